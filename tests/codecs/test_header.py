"""The common items: form, characters and length of a request; a reply's header."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.codecs.header import Header, build_reply_header, check_header, fields, length_deviation
from sekisho.codecs.results import Deviation

from .samples import request

TCC = request("TCC", b" " * 50 + b"\r\n" + b" " * 50 + b"\r\n \r\n")


def codes(pair: tuple[list[Deviation], list[Deviation]]) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Codes and offsets of findings and of errors."""
    findings, errors = pair
    return [(f.code, f.offset) for f in findings], [(e.code, e.offset) for e in errors]


def test_one_table_two_directions() -> None:
    """Each direction's items cover the 398 bytes without gap or overlap (wire reference 2.1 to 2.3)."""
    for direction in ("in", "out"):
        at = 1
        for field in fields(direction):
            assert field.start == at, field.key
            at += field.size
        assert at == 399
        keys = [field.key for field in fields(direction)]
        assert len(set(keys)) == len(keys)
        assert all(f.key == f"reserve_{f.start}" for f in fields(direction) if f.key.startswith("reserve"))
    names = "control business_code user_code user_seq password carry input_id index system length"
    assert " ".join(f.key for f in fields("in") if not f.key.startswith("reserve")) == names
    names = "output_code received_at terminal mail_address subject part last kind form"
    known = {f.key for f in fields("in")}
    own = [f.key for f in fields("out") if f.key not in known and not f.key.startswith("reserve")]
    assert " ".join(own) == names


def test_routing_items() -> None:
    """The positions of the wire reference, 2.1."""
    content = request("OTA01", carry="TAG 1", input_id="7", index="IX", control="MS ", length="000400")
    header = Header(content)
    assert (header.business_code, header.user_code, header.user_id) == ("OTA01", "1ANAC", "1ANACA0A")
    assert (header.password, header.system, header.length) == ("SAMPLE01", "2", "000400")
    assert (header.carry, header.input_id) == (b"TAG 1".ljust(26), b"7".ljust(10))
    assert header.index == b"IX".ljust(100)
    assert header.text("control") == "MS"
    assert header.text("user_seq") == "A0A"
    assert check_header(content) == ([], [])
    with pytest.raises(KeyError):
        header.text("subject")
    short = Header(b"   TCC")
    assert (short.business_code, short.user_id, short.carry) == ("TCC", "", b"")


@pytest.mark.parametrize(
    ("content", "offset"),
    [
        (b"", 0),
        (b"TCC", 3),
        (TCC[:398], 398),
        (TCC[:399], 398),
        (TCC[:397] + TCC[398:], 398),  # a 399-byte header, its CRLF counted
        (TCC[:398] + b" \r\n" + TCC[400:], 398),
        (TCC[:398] + b"\n\n" + TCC[400:], 398),
        (TCC[:398] + b"\r\r" + TCC[400:], 398),
        (TCC[:364] + b" " + TCC[365:], 364),
        (TCC[:364] + b"3" + TCC[365:], 364),
    ],
)
def test_a0016_is_the_form(content: bytes, offset: int) -> None:
    """Length of the header, CRLF at 399, システム識別 1 or 2 (decisions, Order of checks)."""
    assert codes(check_header(content)) == ([], [("A0016", offset)])


@pytest.mark.parametrize("at", [0, 4, 30, 40, 100, 225, 260, 300, 393])
@pytest.mark.parametrize("byte", [0x00, 0x0A, 0x0D, 0x1F, 0x7F])
def test_a0009_is_a_control_anywhere(at: int, byte: int) -> None:
    """A byte outside its item's set; a control belongs to none, reserves included (wire reference 4.3)."""
    assert codes(check_header(TCC[:at] + bytes((byte,)) + TCC[at + 1 :])) == ([], [("A0009", at)])


@pytest.mark.parametrize("at", [0, 3, 29, 37, 219, 253, 263, 392])
def test_a0009_is_a_high_byte_in_an_item(at: int) -> None:
    """Common items hold half-width characters."""
    assert codes(check_header(TCC[:at] + b"\xb0" + TCC[at + 1 :])) == ([], [("A0009", at)])


def test_a0009_comes_before_a0008_and_after_a0016() -> None:
    """A later class waits for an earlier one; within A0009 all are collected (decisions, Order of checks)."""
    content = TCC[:219] + b"\xb0\xa1" + TCC[221:253] + b"\xb0" + TCC[254:] + b"more"
    assert codes(check_header(content)) == ([], [("A0009", 219), ("A0009", 253)])
    assert codes(check_header(content[:364] + b" " + content[365:])) == ([], [("A0016", 364)])


@pytest.mark.parametrize("at", [8, 28, 45, 100, 218, 245, 252, 363, 365, 391])
@pytest.mark.parametrize("filling", [b"A", b"\xb6", b"a"])
def test_a_filled_reserve_is_a_finding(at: int, filling: bytes) -> None:
    """Never reject a filled reserve (wire reference 2.3); its finding starts where the reserve starts."""
    start = max(start for start in (8, 45, 245, 363, 365) if start <= at)
    assert codes(check_header(TCC[:at] + filling + TCC[at + 1 :])) == ([("A0016", start)], [])


@pytest.mark.parametrize("at", [0, 29, 37, 220, 254, 270])
@pytest.mark.parametrize("filling", [b"a", b"$", b"_", b"~"])
def test_an_unusual_character_in_an_item_is_a_finding(at: int, filling: bytes) -> None:
    """Lower case and the seldom symbols are taken, with a finding (decisions, Text)."""
    assert codes(check_header(TCC[:at] + filling + TCC[at + 1 :])) == ([("A0016", at)], [])


@pytest.mark.parametrize(
    ("length", "body", "findings", "errors"),
    [
        ("000507", TCC[400:], [], []),
        ("000507", TCC[400:-2], [("A0016", 505)], []),  # counted, not sent
        ("000505", TCC[400:-2], [], []),  # neither counted nor sent: the body's finding
        ("000507", TCC[400:] + b"\r\n", [("A0016", 507)], []),  # one more, not counted
        ("000509", TCC[400:] + b"\r\n", [], []),  # one more, counted: the body's finding
        ("000507", TCC[400:] + b"\r\n\r\n", [], [("A0008", 392)]),
        ("000507", TCC[400:-4], [], [("A0008", 392)]),
        ("000506", TCC[400:], [], [("A0008", 392)]),
        ("000509", TCC[400:], [], [("A0008", 392)]),
        ("000507", TCC[400:] + b"XX", [], [("A0008", 392)]),
        ("999999", TCC[400:], [], [("A0008", 392)]),
        ("000000", TCC[400:], [], [("A0008", 392)]),
        ("      ", TCC[400:], [], [("A0008", 392)]),
        ("   507", TCC[400:], [], [("A0008", 392)]),
        ("0x01FB", TCC[400:], [("A0016", 393)], [("A0008", 392)]),
    ],
)
def test_a0008_is_the_length(
    length: str, body: bytes, findings: list[tuple[str, int]], errors: list[tuple[str, int]]
) -> None:
    """電文長 differs from the bytes; a final CRLF missing or one too many is a finding (decisions, Order of checks)."""
    content = TCC[:392] + length.encode() + b"\r\n" + body
    assert codes(check_header(content)) == (findings, errors)
    tolerated, none = codes(check_header(content, tolerate_length=True))
    assert (tolerated, none) == (findings + errors, [])
    assert (length_deviation(content) is None) == (not errors and ("A0016", 393) not in findings and len(findings) == 0)


def test_two_messages_back_to_back_are_a0008() -> None:
    """A request is one message: 電文長 is not cut at (wire reference 2.6)."""
    assert codes(check_header(TCC + TCC)) == ([], [("A0008", 392)])


REPLY: dict[str, Any] = {
    "output_code": "*SOLA",
    "received_at": "202604010930",
    "user_code": "1ANAC",
    "mail_address": "1ANAC1@SMTP.BROKER.SEKISHO.EXAMPLE",
    "subject": "00000-0000-0000 12345678901",
    "kind": "R",
    "form": "Q",
}


def test_a_reply_echoes_byte_for_byte() -> None:
    """電文引継情報, 入力情報特定番号, 索引引継情報 unchanged, padding included (wire reference 2.4)."""
    content = request("OLA", carry=" A  tag_$ ", input_id="  7", index="x" * 100)
    header = build_reply_header(content, length=477, **REPLY)
    assert len(header) == 400
    assert header.endswith(b"000477\r\n")
    for start, end in ((219, 245), (253, 263), (263, 363)):
        assert header[start:end] == content[start:end]
    values = Header(header, "out").values()
    assert values | REPLY | {"business_code": "OLA", "part": "001", "last": "E", "length": "000477"} == values
    assert all(not text for key, text in values.items() if key.startswith("reserve") or key in ("control", "terminal"))
    view = Header(header, "out")
    assert (view.output_code, view.kind, view.subject) == ("*SOLA", "R", REPLY["subject"])
    notice = build_reply_header(content, length=477, part="000", **REPLY)
    assert notice[245:249] == b"000E"


def test_an_output_caused_by_somebody_else_echoes_nothing() -> None:
    """EXC carries spaces (wire reference 2.4)."""
    header = build_reply_header(request("OLA", index="X"), length=400, echo=False, **REPLY)
    assert header[219:245] + header[253:363] == b" " * 136


@given(st.binary(max_size=420))
def test_a_reply_header_is_well_formed_whatever_came(content: bytes) -> None:
    """Whatever bytes stood in a request, its refusal is a readable header of 400 bytes."""
    header = build_reply_header(content, length=477, **REPLY)
    assert len(header) == 400
    assert header[398:] == b"\r\n"
    assert all(0x20 <= byte < 0x7F for byte in header[:398])


def test_long_values_do_not_shift_the_others() -> None:
    """A subject or an address of over 64 characters is cut, never the next item moved."""
    header = build_reply_header(
        request("OLA"), length=477, **(REPLY | {"subject": "S" * 70, "mail_address": "M" * 70, "user_code": "ABCDEFG"})
    )
    assert len(header) == 400
    assert Header(header, "out").text("user_code") == "ABCDE"
    assert Header(header, "out").subject == "S" * 64
    assert Header(header, "out").kind == "R"
