"""What deviates in a body: the code, the item, the row and the byte, and every one of them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings

from sekisho.codecs import charset
from sekisho.codecs.layout import Layout, parse_layout
from sekisho.codecs.message import read_message
from sekisho.codecs.reading import read_body
from sekisho.codecs.results import Deviation, read_result_list

from .samples import CATALOGUE, REQUESTS, padded, request, seeds, texts_of


def one_item(kind: str, size: int, required: str = "") -> Layout:
    """A table of one item between two others, so that its first byte is byte 405 of the message."""
    lines = ["2\tbefore\tBEF\tan\t3\t\t\t\t\t", f"3\tthe item\tITM\t{kind}\t{size}\t\t\t{required}\t\t"]
    return parse_layout("ZZZ.in", "\n".join([*lines, "4\tafter\tAFT\tan\t3\t\t\t\t\t"]))


def read_one(kind: str, value: bytes, size: int = 8) -> tuple[str, list[Deviation], list[Deviation]]:
    """Text, findings and errors of one item."""
    record, findings, errors = read_body(one_item(kind, size), b"BEF\r\n" + value + b"\r\nAFT\r\n")
    assert record.text("BEF") == "BEF"
    assert record.text("AFT") == "AFT"
    return record.text("ITM"), findings, errors


@pytest.mark.parametrize(
    ("kind", "value", "text", "offset"),
    [
        ("an", b"ABCabc  ", "ABCabc", 408),
        ("an", b"AB_CD   ", "AB_CD", 407),
        ("an", b"$1      ", "$1", 405),
        ("an", b"[1]{2}|~", "[1]{2}|~", 405),
        ("j", "①      ".encode("cp932").replace(b"\x87\x40", b"\xad\xa1"), "①", 405),
        ("j", b"A\x8e\xb6     ", "Aｶ", 406),
        ("j", b"\xb0\xa1\x8f\xb0\xa1   ", "亜丂", 407),
        ("j", charset.encode("AB纊") + b"    ", "AB纊", 407),
    ],
)
def test_outside_the_usual_set_is_a_finding(kind: str, value: bytes, text: str, offset: int) -> None:
    """Lower case and the seldom symbols in an; row 13, IBM extensions, kana, SS3 in j (decisions, Text)."""
    read, findings, errors = read_one(kind, value)
    assert read == text
    assert not errors
    assert [(f.code, f.item, f.row, f.offset) for f in findings] == [("S9002", "ITM", None, offset)]


@pytest.mark.parametrize(
    ("kind", "value", "code", "offset"),
    [
        ("an", b"AB\x00     ", "S9002", 407),
        ("an", b"ABC\r    ", "S9002", 408),
        ("an", b"ABC\n    ", "S9002", 408),
        ("an", b"\xb0\xa1      ", "S9002", 405),
        ("an", b"ABC\x7f    ", "S9002", 408),
        ("sn", b"abc\xb6    ", "S9002", 408),
        ("j", b"AB\xff\xff    ", "S9002", 407),
        ("j", b"\xb0\xa1\xb0     ", "S9002", 407),
        ("j", b"AB\t     ", "S9002", 407),
        ("n", b"    12.a", "S9003", 405),
        ("n", b"  1,000 ", "S9003", 405),
        ("n", b"1.2345E7", "S9003", 405),
        ("n", b"     1.2.3"[-8:], "S9003", 405),
        ("n", b"       -", "S9003", 405),
        ("n", b"       .", "S9003", 405),
        ("n", b"    - 12", "S9003", 405),
        ("n", b"    12 3", "S9003", 405),
        ("n", b"     +12", "S9003", 405),
        ("n", "  １２  ".encode("euc_jp"), "S9003", 407),
        ("n0", b"    -001", "S9003", 405),
        ("n0", b"00000.50", "S9003", 405),
        ("date", b"20260231", "S9003", 405),
        ("date", b"20261301", "S9003", 405),
        ("date", b"2026041 ", "S9003", 405),
        ("date", b"00000000", "S9003", 405),
        ("date", b"2026-4-1", "S9003", 405),
        ("date", b"21000229", "S9003", 405),
    ],
)
def test_what_an_item_cannot_hold_is_an_error(kind: str, value: bytes, code: str, offset: int) -> None:
    """Bad characters, numbers and dates: the provisional S codes, with the item and the byte (decisions, Text)."""
    _, _, errors = read_one(kind, value)
    assert [(e.code, e.item, e.row, e.offset) for e in errors] == [(code, "ITM", None, offset)]


@pytest.mark.parametrize("value", [b"2400", b"0960", b"9:30", b"93  ", b" 930"])
def test_no_time(value: bytes) -> None:
    """A time is hhmm."""
    _, _, errors = read_one("time", value, 4)
    assert [(e.code, e.item, e.offset) for e in errors] == [("S9003", "ITM", 405)]


@pytest.mark.parametrize("value", [b"Y", b"1", b"a"])
def test_no_flag(value: bytes) -> None:
    """A flag is an asterisk or a space (wire reference 3.2)."""
    _, _, errors = read_one("flag", value, 1)
    assert [(e.code, e.item, e.offset) for e in errors] == [("S9004", "ITM", 405)]


@pytest.mark.parametrize("value", ["20000229", "20240229", "19000228", "21991231", "18991231", "22000101", "00010101"])
def test_every_day_of_the_calendar_is_a_date(value: str) -> None:
    """Dates are those of the calendar, also outside the usual centuries."""
    assert read_one("date", value.encode()) == (value, [], [])


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("n", b"12      ", "12"),
        ("n", b"00000012", "12"),
        ("n", b"   12   ", "12"),
        ("n", b"   00.5 ", "0.5"),
        ("n0", b"      12", "12"),
        ("n0", b"12      ", "12"),
    ],
)
def test_a_number_padded_otherwise_is_read(kind: str, value: bytes, text: str) -> None:
    """Zero and space padding and left-justified numbers are taken, with a finding (wire reference 3.2)."""
    read, findings, errors = read_one(kind, value)
    assert read == text
    assert not errors
    assert [(f.code, f.item, f.offset) for f in findings] == [("E0001", "ITM", 405)]


def test_too_long_is_the_length_code_and_nothing_is_cut() -> None:
    """A sender that counts characters instead of bytes overruns the item: item-length error (wire reference 3.3)."""
    read, _, errors = read_one("j", charset.encode("見本見本見"))
    assert read == "見本見本見"
    assert [(e.code, e.item, e.offset) for e in errors] == [("E0001", "ITM", 405)]


def test_half_a_kanji_before_the_crlf() -> None:
    """A character cut at the item's border is an error there, and the next item is read."""
    _, findings, errors = read_one("j", charset.encode("見本見本")[:7])
    assert [(e.code, e.item, e.offset) for e in errors] == [("S9002", "ITM", 411)]
    assert [(f.code, f.item) for f in findings] == [("E0001", "ITM")]


@pytest.mark.parametrize("value", [b"        ", b"", None])
def test_required_and_blank(value: bytes | None) -> None:
    """A missing required item is an error, also where the message ends before it."""
    body = b"BEF\r\n" + (value + b"\r\nAFT\r\n" if value is not None else b"")
    _, _, errors = read_body(one_item("an", 8, "M"), body)
    assert [(e.code, e.item, e.row, e.offset) for e in errors] == [("S9001", "ITM", None, 405)]


def test_a_bad_required_item_is_blamed_once() -> None:
    """What is there but wrong is not called missing too."""
    _, _, errors = read_body(one_item("n", 8, "M"), b"BEF\r\n       x\r\nAFT\r\n")
    assert [e.code for e in errors] == ["S9003"]


def test_the_list_of_a_business_names_its_own_numbers() -> None:
    """A rule is answered with the business's own number for the item where its list knows one (procedures)."""
    layout = one_item("an", 8, "M")
    rows = "code\titem\trule\nS0001\tITM\tmissing,character\nS0009\t\tmissing\nS0002\tITM\tlength\n"
    layout.results = read_result_list("ZZZ", rows)
    codes = [
        read_body(layout, b"BEF\r\n" + value + b"\r\nAFT\r\n")[2][0].code
        for value in (b" " * 8, b"AB\x00     ", b"123456789")
    ]
    assert codes == ["S0001", "S0001", "S0002"]
    layout = one_item("an", 8)
    layout.results = read_result_list("ZZZ", rows)
    _, findings, _ = read_body(layout, b"BEF\r\nabcdefgh\r\nAFT\r\n")
    assert [f.code for f in findings] == ["S0001"]


def test_rows() -> None:
    """Required items of a block are wanted in the first row and in every row that is used; rows are counted from 1."""
    layout = CATALOGUE.layouts["OUT.in"]
    required = [item for item in layout.items if item.required == "M"]
    texts = texts_of(layout, random.Random(3), 3)
    body = padded(layout, texts)
    lead = layout.fixed_bytes + layout.row_bytes
    blank = b"".join(b" " * item.size + b"\r\n" for item in layout.blocks[-1].items)
    assert len(blank) == layout.row_bytes
    record, findings, errors = read_body(layout, body[:lead] + blank + body[lead + layout.row_bytes :])
    assert (findings, errors) == ([], [])  # a row in the middle may be blank
    assert record.row_count(layout.blocks[-1].items[0].id) == 3
    _, _, errors = read_body(layout, body[: layout.fixed_bytes] + blank)
    assert {(e.item, e.row) for e in errors} == {(i.id, 1) for i in required if i.repeat > 1}
    assert {e.code for e in errors} <= {layout.results.code_for("missing", item.id) for item in required}
    _, _, errors = read_body(layout, body + body[lead : lead + layout.row_bytes] * 8)
    first = layout.blocks[-1].items[0].id
    assert [(e.code, e.item, e.row, e.offset) for e in errors] == [
        ("E0001", first, 11, 400 + layout.fixed_bytes + 10 * layout.row_bytes)
    ]


def test_more_items_than_the_table_has() -> None:
    """A table without a last block takes no more items than it names."""
    _, _, errors = read_body(one_item("an", 8), b"BEF\r\nITEM    \r\nAFT\r\nXXX\r\n")
    assert [(e.code, e.offset) for e in errors] == [("E0001", 400 + 20)]


FAULTS = {
    "an": (b"\x01", "character"),
    "sn": (b"\x01", "character"),
    "j": (b"\xff", "character"),
    "n": (b"x", "format"),
    "n0": (b"x", "format"),
    "date": (b"x", "format"),
    "time": (b"x", "format"),
    "flag": (b"x", "value"),
}


@pytest.mark.parametrize("name", REQUESTS)
@settings(max_examples=6, deadline=None)
@given(seed=seeds)
def test_planted_faults_are_all_found_where_they_were_planted(name: str, seed: int) -> None:
    """All errors are collected, with the item's id, its row and the byte (issue: "all are collected")."""
    layout = CATALOGUE.layouts[name]
    rng = random.Random(seed)
    texts = texts_of(layout, rng, rng.choice((1, 2, 5)))
    parts = padded(layout, texts).split(b"\r\n")[:-1]
    planted: set[tuple[str, int | None, int, str]] = set()
    for at in rng.sample(range(len(parts)), min(len(parts), rng.randint(1, 6))):
        item, row = layout.order[at]
        offset = 400 + sum(len(part) + 2 for part in parts[:at])
        bad, rule = FAULTS[item.kind]
        if rng.random() < 0.3:
            parts[at] = (parts[at].replace(b" ", b"0") if item.kind != "j" else b"") + b"0" * (item.size + 1)
            parts[at] = parts[at][: item.size + 1]
            bad = b""
            rule = "length"
        inner = 0
        if bad:
            inner = rng.randrange(item.size) if item.kind in ("an", "sn") else 0
            parts[at] = parts[at][:inner] + bad + parts[at][inner + 1 :]
        if item.kind == "j" and bad:
            parts[at] = bad + b"A" * (item.size - 1)
        shift = 1 if rule == "length" else 0
        planted = {(i, r, o + (shift if o > offset else 0), u) for i, r, o, u in planted}
        planted.add((item.id, row, offset + inner, rule))
    message = read_message(request(layout.code, b"".join(part + b"\r\n" for part in parts)), CATALOGUE)
    assert message.layout is layout
    found = {(e.item, e.row, e.offset, e.code) for e in message.errors}
    expected = {(i, r, o, layout.results.code_for(rule, i)) for i, r, o, rule in planted}
    assert expected <= found
    blamed = {(i, r) for i, r, _, _ in planted}
    assert {(i, r) for i, r, _, _ in found} == blamed
    offsets = [error.offset for error in message.errors]
    assert offsets == sorted(offsets)
    results = [str(error.result) for error in message.errors]
    assert all(len(result) == 15 for result in results)
