"""Split messages: one output in parts, and joined again."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.codecs.header import Header
from sekisho.codecs.message import read_message
from sekisho.codecs.parts import join_parts, split_message

from .samples import SHIPPED, padded, reply, texts_of

LAYOUT = SHIPPED.layouts["SAS1360.out"]
WHOLE = reply("SAS1360", padded(LAYOUT, texts_of(LAYOUT, random.Random(1), 90)), kind="C")
LEAST = 400 + max(item.size for item in LAYOUT.items) + 2


@given(limit=st.integers(LEAST, len(WHOLE) + 10), seed=st.integers(0, 1000))
def test_parts_join_to_the_whole_in_any_order(limit: int, seed: int) -> None:
    """001, 002 … and `E` on the last; each a message of its own, cut after an item (wire reference 4.7; decisions)."""
    parts = split_message(WHOLE, limit)
    assert all(len(part) <= limit for part in parts)
    assert all(part.endswith(b"\r\n") for part in parts)
    headers = [Header(part, "out") for part in parts]
    assert [header.text("part") for header in headers] == [f"{n:03d}" for n in range(1, len(parts) + 1)]
    assert [header.text("last") for header in headers] == [""] * (len(parts) - 1) + ["E"]
    assert [int(header.length) for header in headers] == [len(part) for part in parts]
    assert b"".join(part[400:] for part in parts) == WHOLE[400:]
    random.Random(seed).shuffle(parts)
    assert join_parts(parts) == WHOLE
    assert read_message(join_parts(parts), SHIPPED).findings == ()


def test_what_fits_is_not_touched() -> None:
    """Splitting is off unless a size is set (decisions, Text): what fits keeps its 000 or 001."""
    notice = reply("*SOLA", b"00000-0000-0000".ljust(75) + b"\r\n", part="000E")
    assert split_message(notice, 477) == [notice]
    assert split_message(WHOLE, len(WHOLE)) == [WHOLE]
    assert len(split_message(WHOLE, len(WHOLE) - 1)) == 2


def test_a_part_that_cannot_hold_an_item() -> None:
    """An item is never cut; more than 999 parts cannot be counted."""
    with pytest.raises(ValueError, match="does not fit a part of 410 bytes"):
        split_message(WHOLE, 410)
    with pytest.raises(ValueError, match="does not fit a part of 300 bytes"):
        split_message(WHOLE, 300)
    many = reply("SAS1360", b"A\r\n" * 1000, kind="C")
    with pytest.raises(ValueError, match="1000 parts of 403 bytes"):
        split_message(many, 403)


PARTS = split_message(WHOLE, 1500)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([], "no parts"),
        (PARTS[:-1], "the last part, and no other"),
        (PARTS[1:], "001 to"),
        ([PARTS[0], *PARTS[2:]], "001 to"),
        ([*PARTS, PARTS[0]], "001 to"),
        ([PARTS[0].replace(b"001 C", b"001EC"), *PARTS[1:]], "the last part, and no other"),
        ([PARTS[0] + b"XX", *PARTS[1:]], "part 001: 電文長 says"),
        ([b""], "part : 電文長 is not six digits"),
        ([PARTS[0].replace(b"SAS1360", b"SAS0371"), *PARTS[1:]], "different outputs"),
        ([PARTS[0].replace(b" TAG 0001", b" TAG 0002"), *PARTS[1:]], "different outputs"),
    ],
)
def test_what_does_not_belong_together(parts: list[bytes], says: str) -> None:
    """Parts are joined by 電文引継情報 and output code; none may miss (decisions, Text)."""
    with pytest.raises(ValueError, match=says):
        join_parts(parts)


def test_a_single_part_joins_to_itself() -> None:
    """001 + E is the whole already."""
    assert join_parts([WHOLE]) == WHOLE
