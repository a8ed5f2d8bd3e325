"""No input costs more than its size: time is linear, and nothing that is read raises."""

from __future__ import annotations

import json
import os
import random
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sekisho.codecs import charset
from sekisho.codecs.conforming import prepare
from sekisho.codecs.layout import Layout, parse_layout
from sekisho.codecs.message import as_json, from_json, read_message
from sekisho.codecs.reading import _Reading, read_body

from .samples import CATALOGUE, EVERY, REQUESTS, message_of, padded, request, texts_of

MOST = 700_000
# The long form: SEKISHO_FUZZ=200000 pytest tests/codecs/test_effort.py
FUZZ = int(os.environ.get("SEKISHO_FUZZ", "1500"))


def wide_rows() -> Layout:
    """A table of every kind whose rows fill 700,000 bytes."""
    kinds = [("an", 20), ("n", 12), ("j", 30), ("date", 8), ("time", 4), ("flag", 1), ("n0", 4), ("sn", 7)]
    lines = [
        f"{no}\t{k}\tI{no}\t{k}\t{size}\trows\t9999\t{'M' * (k == 'an')}\t\t" for no, (k, size) in enumerate(kinds)
    ]
    return parse_layout("ZZZ.in", "\n".join(lines))


ROWS = wide_rows()


def seconds(layout: Layout, body: bytes, rounds: int = 3) -> float:
    """Processor time of one reading, the best of so many."""
    best = 1e9
    for _ in range(rounds):
        started = time.process_time()
        read_body(layout, body)
        best = min(best, time.process_time() - started)
    return best


def ordinary() -> bytes:
    """A body as a sender writes it who does not pad: 9,999 rows, each item read by itself."""
    parts = padded(ROWS, texts_of(ROWS, random.Random(1), 9999)).split(b"\r\n")
    return b"\r\n".join(part.strip(b" ") for part in parts)[: MOST - 400]


HOSTILE = {
    "spaces": b" " * (MOST - 400),
    "digits": b"1" * (MOST - 400),
    "zeros": b"0" * (MOST - 400),
    "minus signs": b"-" * (MOST - 400),
    "points": b"." * (MOST - 400),
    "kanji": b"\xb0\xa1" * ((MOST - 400) // 2),
    "half a kanji": b"\xb0" * (MOST - 401),
    "row 13": b"\xad\xa1" * ((MOST - 400) // 2),
    "kana": b"\x8e\xb1" * ((MOST - 400) // 2),
    "JIS X 0212": b"\x8f\xb0\xa1" * ((MOST - 400) // 3),
    "letters and kanji in turn": b"A\xb0\xa1" * ((MOST - 400) // 3),
    "CRLFs": b"\r\n" * ((MOST - 400) // 2),
    "CRs": b"\r" * (MOST - 400),
    "LFs": b"\n" * (MOST - 400),
    "NULs": b"\x00" * (MOST - 400),
    "short items": b"1\r\n" * ((MOST - 400) // 3),
    "bad items": b"\xff\r\n" * ((MOST - 400) // 3),
    "blank rows": (b" " * 20 + b"\r\n" + b" " * 12 + b"\r\n") * 19000,
    "spaces and a letter": (b" " * 29 + b"a\r\n") * 21000,
    "kanji rows": (b"\xb0\xa1" * 15 + b"\r\n") * 21000,
    "digit rows": (b"1" * 12 + b"\r\n") * 49000,
    "space and digit rows": (b" " * 11 + b"1\r\n") * 49000,
}


@pytest.fixture(scope="module")
def allowed() -> float:
    """Seconds that 700 KB may take: five times what a byte of an ordinary message takes (measured: up to three)."""
    body = ordinary()
    return 5 * seconds(ROWS, body) * MOST / len(body)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_body_costs_more_than_its_size(name: str, allowed: float) -> None:
    """700 KB of the worst cost no more than a small multiple of an ordinary body of that size."""
    for layout in (ROWS, CATALOGUE.layouts["IDA.in"], CATALOGUE.layouts["TCC.in"]):
        assert seconds(layout, HOSTILE[name]) < allowed, layout.name


@pytest.mark.parametrize("kind", charset.KINDS)
def test_one_endless_item_of_each_kind(kind: str, allowed: float) -> None:
    """An item far too long is one error, whatever it is filled with, and costs time by its length alone."""
    size = 200_000
    layout = parse_layout("ZZZ.in", f"2\tx\tXXX\t{kind}\t{size}\t\t\t\t\t")
    for filling in (b" ", b"1", b"0", b"-", b".", b"\xb0\xa1", b"\xb0", b"A", b"a", b"*", b"\xad\xa1", b" 1", b"1 "):
        for length in (size, size + 1):
            body = (filling * length)[:length]
            assert seconds(layout, body + b"\r\n", rounds=1) < allowed, filling
            assert seconds(layout, body[:-1] + b"\x01\r\n", rounds=1) < allowed, filling


def test_time_grows_with_the_body_not_with_the_rows_before() -> None:
    """Twice the rows, about twice the time: 10,000 rows of SYG's list and one more than it takes."""
    layout = CATALOGUE.layouts["SYG.out"]
    head = b"00000-0000-0000".ljust(75) + b"\r\n9999\r\n"
    row = b"SAS1360\r\n   1\r\n"
    read_body(layout, head)
    half, whole = seconds(layout, head + row * 5000 + b"X\r\n"), seconds(layout, head + row * 9999 + b"X\r\n")
    assert whole < 4 * half + 0.05
    record, findings, errors = read_body(layout, head + row * 9999)
    assert (len(record), findings, errors) == (2 + 2 * 9999, [], [])
    assert len(record.texts("OCD")) == 9999
    record, _, errors = read_body(layout, head + row * 10_000)
    assert [(e.code, e.item, e.row) for e in errors] == [("E0001", "OCD", 10_000)]
    assert len(record) == 2 + 2 * 9999


def test_memory_is_a_small_multiple_of_the_message() -> None:
    """700,000 bytes of errors take no more than a hundred times their size, and leave nothing behind."""
    for body in (HOSTILE["bad items"], HOSTILE["spaces"]):
        read_body(ROWS, body)
        tracemalloc.start()
        read_body(ROWS, body)
        left, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert left < MOST
        assert most < 100 * MOST


def check(content: bytes) -> None:
    """Everything a message goes through, whatever it holds."""
    for strict in (False, True):
        message = read_message(content, CATALOGUE, strict=strict)
        shown = as_json(message, mask=strict)
        json.dumps(shown)
        offsets = [d.offset for d in message.findings + message.errors]
        assert all(0 <= offset <= max(len(content), 398) for offset in offsets)
        assert all(len(str(d.result)) == 15 for d in message.findings + message.errors)
        assert not (strict and message.findings)
    message = read_message(content, CATALOGUE)
    if message.layout is not None and not message.findings and not message.errors:
        assert from_json(as_json(message), CATALOGUE) == content


@settings(max_examples=FUZZ, deadline=None)
@given(content=st.binary(max_size=1200))
def test_any_bytes(content: bytes) -> None:
    """Reading never raises, whatever comes (issue: bad input)."""
    check(content)


BITS = [
    b"",
    b"\r",
    b"\n",
    b"\r\n",
    b"\x00",
    b" ",
    b"a",
    b"0",
    b"9",
    b"-",
    b".",
    b"\xff",
    b"\xb0",
    b"\xb0\xa1",
    b"\x8e\xb1",
]


@settings(max_examples=FUZZ, deadline=None)
@given(name=st.sampled_from(EVERY), seed=st.integers(0, 2**32))
def test_any_change_of_a_message(name: str, seed: int) -> None:
    """Bytes dropped, doubled, put in or changed: an answer always, and what still conforms comes back to the byte."""
    rng = random.Random(seed)
    layout = CATALOGUE.layouts[name]
    content = bytearray(message_of(layout, padded(layout, texts_of(layout, rng, 2))))
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(content) + 1) if rng.random() < 0.7 else rng.randrange(min(400, len(content)) + 1)
        size = rng.choice((0, 1, 1, 1, 2, 8, 400))
        content[at : at + size] = rng.choice((*BITS, rng.randbytes(size), bytes(content[at : at + size]) * 2))
    if rng.random() < 0.7 and len(content) > 400:
        content[392:398] = b"%06d" % len(content)
    check(bytes(content))


@settings(max_examples=FUZZ, deadline=None)
@given(name=st.sampled_from(EVERY), seed=st.integers(0, 2**32))
def test_the_quick_way_takes_nothing_that_the_other_objects_to(name: str, seed: int) -> None:
    """What is read in one sweep has, item by item, the same texts and neither finding nor error."""
    rng = random.Random(seed)
    layout = CATALOGUE.layouts[name]
    body = bytearray(padded(layout, texts_of(layout, rng, 2)))
    for _ in range(rng.randint(0, 3)):
        at = rng.randrange(len(body) + 1)
        change = rng.choice((*BITS, b"~", b"*", b"\x1c", b"\x85", b"\xa0", b"\xad\xa1", b"\xa1\xc1"))
        body[at : at + rng.choice((0, len(change), len(change)))] = change
    texts = prepare(layout)(bytes(body)) if layout.reader is None else layout.reader(bytes(body))
    if texts is None:
        return
    reading = _Reading(layout, 400)
    record = reading.record(bytes(body))
    assert (reading.findings, reading.errors) == ([], [])
    assert [text for _, _, text in record.items()] == texts


@settings(max_examples=max(100, FUZZ // 5), deadline=None)
@given(name=st.sampled_from(REQUESTS), body=st.binary(max_size=300))
def test_any_body(name: str, body: bytes) -> None:
    """A good header before anything."""
    check(request(name.removesuffix(".in"), body))
    check(request(name.removesuffix(".in"), body.replace(b"\x00", b"\r\n")))
