"""Every item table of the product, written and read with data generated from the table itself."""

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings

from sekisho.codecs.layout import EncodeError, Layout, Value, parse_layout, trimmed, typed, written
from sekisho.codecs.message import as_json, from_json, is_reply, read_message
from sekisho.codecs.reading import read_body

from .samples import CATALOGUE, EVERY, REQUESTS, message_of, padded, request, seeds, texts_of


def test_all_tables_are_there() -> None:
    """The 129 item tables that we began with ship, and those that were added since."""
    assert len(EVERY) >= 129


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=12, deadline=None)
@given(seed=seeds)
def test_what_a_table_writes_it_reads(name: str, seed: int) -> None:
    """What was encoded reads back without finding or error, and decode -> encode gives the same bytes."""
    layout = CATALOGUE.layouts[name]
    texts = texts_of(layout, random.Random(seed))
    body = padded(layout, texts)
    content = message_of(layout, body)
    assert is_reply(content, CATALOGUE) == name.endswith(".out")
    message = read_message(content, CATALOGUE)
    assert (message.findings, message.errors) == ((), ())
    assert message.layout is not None
    assert message.record is not None
    assert [text for _, _, text in message.record.items()] == texts
    shown = as_json(message)
    assert [item["value"] for item in shown["items"]] == texts
    assert from_json(shown, CATALOGUE) == content
    rows = layout.rows_for(len(texts))
    assert [(item["id"], item["row"]) for item in shown["items"]] == [(i.id, r) for i, r in layout.in_order(rows)]
    values = message.record.values()
    again, findings, errors = read_body(layout, layout.encode(values))
    assert (again.values(), findings, errors) == (values, [], [])


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=4, deadline=None)
@given(seed=seeds)
def test_item_by_item_reads_the_same(name: str, seed: int) -> None:
    """The quick way and the way that explains agree: one item that is too short changes one finding, no value."""
    layout = CATALOGUE.layouts[name]
    rng = random.Random(seed)
    texts = texts_of(layout, rng)
    body = padded(layout, texts)
    places = [at for at, text in enumerate(texts) if body.split(b"\r\n")[at].endswith(b" ")]
    if not places:
        return
    at = rng.choice(places)
    parts = body.split(b"\r\n")
    parts[at] = parts[at][:-1]
    record, findings, errors = read_body(layout, b"\r\n".join(parts))
    assert not errors
    assert len(findings) == 1
    item, row = layout.order[at]
    assert (findings[0].code, findings[0].item, findings[0].row) == ("E0001", item.id, row)
    assert findings[0].offset == 400 + sum(len(part) + 2 for part in parts[:at])
    assert [text for _, _, text in record.items()] == texts


@pytest.mark.parametrize("name", REQUESTS)
@settings(max_examples=10, deadline=None)
@given(seed=seeds)
def test_someone_elses_formatter(name: str, seed: int) -> None:
    """Unpadded, trailing items or rows dropped, last CRLF missing, one more: findings, and the values of the full form.

    Wire reference 2.6, 3.1 and 3.4; decisions, "Order of checks".
    """
    layout = CATALOGUE.layouts[name]
    rng = random.Random(seed)
    rows = rng.choice((1, 2, 3))
    texts = texts_of(layout, rng, rows)
    parts = padded(layout, texts).split(b"\r\n")[:-1]
    whole = {(item.id, row): text for (item, row), text in zip(layout.order, texts, strict=False)}
    if rng.random() < 0.7:  # not padded
        parts = [part.lstrip(b" ") if layout.order[at][0].kind == "n" else part for at, part in enumerate(parts)]
        parts = [part.rstrip(b" ") for part in parts]
    if rng.random() < 0.7:  # everything after the last filled item left out
        last = max((at for at, text in enumerate(texts) if text), default=-1)
        del parts[rng.randint(last + 1, len(parts)) :]
    body = b"".join(part + b"\r\n" for part in parts)
    end = rng.choice(("as it is", "missing, counted", "missing, not counted", "one more, counted", "one more"))
    sent, counted = body, len(body)
    if body and end.startswith("missing") and parts[-1]:
        sent = body[:-2]
        counted = len(body) if end == "missing, counted" else len(sent)
    elif end.startswith("one more"):
        sent = body + b"\r\n"
        counted = len(sent) if end == "one more, counted" else len(body)
    message = read_message(request(layout.code, sent, length=f"{400 + counted:06d}"), CATALOGUE)
    assert message.record is not None
    assert message.errors == ()
    read = {(item.id, row): text for item, row, text in message.record.items()}
    assert {key: text for key, text in read.items() if text} == {key: text for key, text in whole.items() if text}
    whole_rows = [padded(layout, texts[: layout.fixed + count * layout.row]) for count in range(rows + 1)]
    assert bool(message.findings) == (sent not in whole_rows)
    strict = read_message(message.content, CATALOGUE, strict=True)
    assert not strict.findings
    assert sorted(strict.errors, key=repr) == sorted(message.findings, key=repr)


@pytest.mark.parametrize(
    ("name", "body", "rows", "size"),
    [
        ("TCC.in", 107, 0, 507),
        ("TCC.out", 181, 0, 581),
        ("SYG.in", 9, 0, 409),
        ("SYG.out", 83, 2, 513),
        ("RESULT.out", 77, 0, 477),
        ("RESULT-11.out", 90, 0, 490),
        ("OUT.in", 25, 1, 502),
        ("OUT.in", 25, 3, 656),
        ("IDC.in", 19, 0, 419),
        ("EDC.in", 19, 0, 419),
        ("IDA.in", 2301, 1, 3084),
        ("EDA.in", 2309, 1, 2893),
        ("MIC.in", 1264, 0, 1664),
        ("MEC.in", 1151, 0, 1551),
        ("OTA.in", 642, 0, 1042),
        ("OTA.in", 642, 1, 1218),
        ("OTA.in", 642, 2, 1394),
        ("OTC.in", 13, 0, 413),
        ("OLC20.in", 16, 0, 416),
        ("URY.in", 33, 0, 433),
    ],
)
def test_worked_sizes(name: str, body: int, rows: int, size: int) -> None:
    """Wire reference 13: the body without its last block, and 電文長 with so many rows of it."""
    layout = CATALOGUE.layouts[name]
    assert layout.fixed_bytes == body
    texts = [""] * (layout.fixed + rows * layout.row)
    content = message_of(layout, layout.join(texts))
    assert len(content) == size
    assert content[392:398] == b"%06d" % size


ITEMS = (
    ("text", "TXT", "an", 8, "", "", "M"),
    ("small", "SML", "sn", 8, "", "", ""),
    ("number", "NUM", "n", 8, "", "", ""),
    ("count", "CNT", "n0", 4, "", "", ""),
    ("kanji", "KNJ", "j", 10, "", "", ""),
    ("day", "DAY", "date", 8, "", "", ""),
    ("time", "TIM", "time", 4, "", "", ""),
    ("mark", "MRK", "flag", 1, "", "", ""),
    ("pair a", "PA_", "an", 3, "pair", 2, ""),
    ("pair b", "PB_", "n", 3, "pair", 2, ""),
    ("row", "ROW", "an", 4, "rows", 5, "M"),
    ("sum", "SUM", "n", 6, "rows", 5, ""),
)
HEAD = "# code: ZZZ\n# title: every kind\n# note: a note\n"
HEAD += "no\tname\tid\tkind\tsize\tgroup\trepeat\trequired\tsecret\tnote\n"


@pytest.fixture
def every_kind() -> Layout:
    """A table with an item of every kind, a block in the middle and one at the end."""
    rows = ["\t".join(map(str, (no, *item, "y" if item[1] == "MRK" else "", ""))) for no, item in enumerate(ITEMS, 2)]
    return parse_layout("ZZZ.in", HEAD + "\n".join(rows))


def test_encoder_follows_the_table(every_kind: Layout) -> None:
    """an, sn, j left; n right; n0 with zeros; date and time as they are; a block that is not the last in full (3.2)."""
    values: dict[str, Value | list[Value]] = {
        "TXT": "AB",
        "SML": "ab",
        "NUM": Decimal("-1.50"),
        "CNT": 12,
        "KNJ": "見本",
        "DAY": date(2026, 4, 1),
        "TIM": "0930",
        "MRK": "*",
        "PA_": ["A"],
        "PB_": [1, 22],
        "ROW": ["R1", "R2"],
        "SUM": [None, 5],
    }
    body = every_kind.encode(values)
    kanji = "見本".encode("euc_jp")
    head = [b"AB      ", b"ab      ", b"   -1.50", b"0012", kanji + b"      ", b"20260401", b"0930", b"*"]
    rows = [b"A  ", b"  1", b"   ", b" 22", b"R1  ", b"      ", b"R2  ", b"     5", b""]
    assert body == b"\r\n".join([*head, *rows])
    record, findings, errors = read_body(every_kind, body)
    assert (findings, errors) == ([], [])
    assert record["NUM"] == Decimal("-1.50")
    assert record["CNT"] == 12
    assert record["DAY"] == date(2026, 4, 1)
    assert record["PB_"] == [1, 22]
    assert record["SUM"] == [None, 5]
    assert record["TIM"] == "0930"
    assert record.raw("KNJ") == kanji + b"      "
    assert record.row_count("ROW") == 2
    assert record.used_rows("rows") == [{"ROW": "R1", "SUM": "", "#": "1"}, {"ROW": "R2", "SUM": "5", "#": "2"}]
    assert record.texts("ROW") == ["R1", "R2"]
    assert record.text("ROW", 5) == ""
    with pytest.raises(KeyError):
        record.text("NONE")


@pytest.mark.parametrize(
    ("id_", "value", "says"),
    [
        ("TXT", "123456789", "9 bytes, the item holds 8"),
        ("KNJ", "見本見本見本", "12 bytes, the item holds 10"),
        ("KNJ", "😀", "no EUC-JP for U\\+1F600"),
        ("CNT", "1.5", "not a whole number"),
        ("CNT", "１２", "not a whole number"),
        ("CNT", 12345, "5 bytes, the item holds 4"),
        ("TXT", "A\r\nB", "a line break cannot stand inside an item"),
        ("TXT", "A\nB", "a line break cannot stand inside an item"),
        ("NONE", "A", "has no such item"),
        ("PA_", ["A", "B", "C"], "at most 2 rows"),
        ("ROW", ["A"] * 6, "at most 5 rows"),
    ],
)
def test_encoder_refuses_what_an_item_cannot_hold(every_kind: Layout, id_: str, value: Value, says: str) -> None:
    """A value is never cut: the item is named."""
    with pytest.raises(EncodeError, match=says) as caught:
        every_kind.encode({id_: value})
    assert caught.value.item == id_


@pytest.mark.parametrize(
    ("kind", "text", "short", "value"),
    [
        ("n", "      12", "12", 12),
        ("n", "00000012", "12", 12),
        ("n", "12      ", "12", 12),
        ("n", "    0012", "12", 12),
        ("n", "       0", "0", 0),
        ("n", "00000000", "0", 0),
        ("n", "        ", "", None),
        ("n", "    -1.5", "-1.5", Decimal("-1.5")),
        ("n", "-0000001", "-1", -1),
        ("n", "   00.50", "0.50", Decimal("0.50")),
        ("n", "     .50", ".50", Decimal("0.50")),
        ("n", "      5.", "5.", Decimal(5)),
        ("n0", "00000012", "12", 12),
        ("n0", "00000000", "0", 0),
        ("an", "  AB    ", "  AB", "  AB"),
        ("an", "005     ", "005", "005"),
        ("date", "20260401", "20260401", date(2026, 4, 1)),
        ("date", "        ", "", None),
        ("date", "20260231", "20260231", "20260231"),
        ("time", "0930    ", "0930", "0930"),
    ],
)
def test_value_by_kind(kind: str, text: str, short: str, value: Value) -> None:
    """Text trimmed by its kind; int, Decimal or date where the kind says so; what is neither stays text."""
    layout = parse_layout("ZZZ.in", f"2\tx\tXXX\t{kind}\t8\t\t\t\t\t")
    item = layout.item("XXX")
    assert trimmed(item, text) == short
    assert typed(item, short) == value
    assert type(typed(item, short)) is type(value)


def test_written_forms() -> None:
    """None and the empty text are blank; a Decimal has no exponent."""
    item = parse_layout("ZZZ.in", "2\tx\tXXX\tn\t20\t\t\t\t\t").item("XXX")
    assert written(item, None, None) == ""
    assert written(item, Decimal("1E+7"), None) == "10000000"
    assert written(item, Decimal("1E-7"), None) == "0.0000001"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2\tx\tXXX\tan\t8", "line 1: 5 columns, 10 expected"),
        ("2\tx\tXXX\tzz\t8\t\t\t\t\t", "line 1: unknown kind 'zz'"),
        ("2\tx\tXXX\tan\tx\t\t\t\t\t", "line 1: no, size and repeat are whole numbers"),
        ("# code: X", "no items"),
        ("2\tx\tXXX\tan\t8\t\t\t\t\t\n3\ty\tXXX\tan\t8\t\t\t\t\t", "the id XXX occurs twice"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(text: str, says: str) -> None:
    """A table is data that users drop in: what is wrong is said with the line."""
    with pytest.raises(ValueError, match=says):
        parse_layout("ZZZ.in", text)


def test_table_head(every_kind: Layout) -> None:
    """The comment lines of a table are its head."""
    assert (every_kind.code, every_kind.title, every_kind.notes) == ("ZZZ", "every kind", ("a note",))
    assert every_kind.item("MRK").secret
    assert every_kind.open_ended
    assert (every_kind.fixed, every_kind.row, every_kind.row_bytes) == (12, 2, 14)
    assert every_kind.most_bytes == every_kind.fixed_bytes + 5 * 14
