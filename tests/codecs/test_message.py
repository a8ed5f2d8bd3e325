"""Whole messages: which table reads them, their JSON form and the way back."""

from __future__ import annotations

import json

import pytest

from sekisho.codecs import charset
from sekisho.codecs.layout import EncodeError
from sekisho.codecs.message import Catalogue, as_json, from_json, is_reply, read_message

from .samples import CATALOGUE, SHIPPED, reply, request

SYG = b"REF    \r\n"
TCC_BODY = b"HELLO".ljust(50) + b"\r\n" + b" " * 50 + b"\r\nX\r\n"


def test_the_documented_json() -> None:
    """The contract of `sekisho decode --json` (house, 2), key by key."""
    content = request("TCC", TCC_BODY, index="IX")
    shown = as_json(read_message(content, SHIPPED))
    names = [item.name for item in SHIPPED.layouts["TCC.in"].items]
    ids = [item.id for item in SHIPPED.layouts["TCC.in"].items]
    blank = {"control": "", "reserve_9": "", "reserve_46": "", "reserve_246": "", "reserve_364": "", "reserve_366": ""}
    assert json.loads(json.dumps(shown)) == {
        "format": "naccs",
        "direction": "request",
        "header": blank
        | {"business_code": "TCC", "user_code": "1ANAC", "user_seq": "A0A", "password": "SAMPLE01"}
        | {"carry": "TAG 0001", "input_id": "", "index": "IX", "system": "2", "length": "000507"},
        "business_code": "TCC",
        "output_code": None,
        "layout": "TCC.in.tsv",
        "items": [
            {"no": no, "id": ids[no - 2], "name": names[no - 2], "row": None, "value": value}
            for no, value in ((2, "HELLO"), (3, ""), (4, "X"))
        ],
        "findings": [],
        "errors": [],
    }
    assert list(shown) == [
        *("format", "direction", "header", "business_code", "output_code", "layout", "items", "findings", "errors")
    ]


def test_the_json_of_a_reply() -> None:
    """Replies have the output items of the header, and an output code."""
    content = reply("*SOLA", b"00000-0000-0000".ljust(75) + b"\r\n12345678901\r\n")
    shown = as_json(read_message(content, SHIPPED))
    assert (shown["direction"], shown["output_code"], shown["layout"]) == ("reply", "*SOLA", "RESULT-11.out.tsv")
    keys = "control business_code output_code received_at user_code reserve_35 terminal mail_address subject"
    keys += " reserve_180 carry part last kind reserve_251 input_id index form reserve_365 length"
    assert list(shown["header"]) == keys.split()
    assert shown["header"]["carry"] == " TAG 0001"
    assert [(item["id"], item["row"], item["value"]) for item in shown["items"]] == [
        ("RES", None, "00000-0000-0000"),
        ("KEY", None, "12345678901"),
    ]
    assert from_json(shown, SHIPPED) == content


def test_a_deviation_in_json() -> None:
    """Findings and errors have code, item, row, offset and text (house, 2)."""
    shown = as_json(read_message(request("TCC", b"x\r\n" + TCC_BODY[52:104] + b"\x01\r\n"), SHIPPED))
    assert [list(entry) for entry in shown["findings"] + shown["errors"]] == [
        ["code", "item", "row", "offset", "text"]
    ] * 3
    assert [(entry["code"], entry["offset"]) for entry in shown["findings"]] == [("E0001", 400), ("S0001", 400)]
    assert [(entry["code"], entry["offset"]) for entry in shown["errors"]] == [("S0003", 455)]
    assert all(entry["text"] for entry in shown["findings"] + shown["errors"])


@pytest.mark.parametrize(
    "content",
    [
        request("TCC", b"  AB".ljust(50) + b"\r\n" + b" . ".ljust(50) + b"\r\n \r\n"),
        request("TCC", TCC_BODY, carry="  A B  C", input_id="    000001", index=" " * 99 + "Z"),
        request("TCC", TCC_BODY, control="MS ", password="PASS1"),
        request("TCC", TCC_BODY, control=" 1"),
        request("OLC20", b"12345678901\r\nK\r\n"),
        request("IDC", b"12345678901\r\n".ljust(13) + b" \r\n \r\n"),
    ],
)
def test_blanks_before_a_value_are_kept(content: bytes) -> None:
    """Only the padding goes: spaces before a text, in items and in the header, are part of it; so is 制御情報."""
    message = read_message(content, SHIPPED)
    assert (message.findings, message.errors) == ((), ())
    assert from_json(as_json(message), SHIPPED) == content


@pytest.mark.parametrize(
    "values",
    [
        {"reserve_366": "AID"},
        {"reserve_9": " X" + "Y" * 18},
        {"reserve_46": "Z".rjust(174)},
        {"reserve_246": "12345678", "reserve_366": "Z".rjust(26)},
        {"control": "ab$", "carry": "Tag_1"},
    ],
)
def test_what_fills_a_reserve_comes_back(values: dict[str, str]) -> None:
    """A filled reserve is kept, in the JSON too (wire reference 2.3; house, 2)."""
    content = request("TCC", TCC_BODY, **values)
    message = read_message(content, SHIPPED)
    assert message.findings
    assert not message.errors
    shown = as_json(message)
    assert from_json(shown, SHIPPED) == content
    strict = read_message(content, SHIPPED, strict=True)
    assert {error.code for error in strict.errors} == {"A0016"}


def test_kanji_in_a_reserve_comes_back() -> None:
    """A reserve is opaque: EUC-JP in it is shown as text and written again."""
    content = bytearray(request("TCC", TCC_BODY))
    content[50:54] = charset.encode("見本")
    message = read_message(bytes(content), SHIPPED)
    assert message.header.text("reserve_46") == "     見本"
    assert not message.errors
    assert from_json(as_json(message), SHIPPED) == bytes(content)


def test_strict_turns_findings_into_the_codes_they_name() -> None:
    """A header deviation is A0016, a body deviation E0001 with item and row, a character the S code (decisions)."""
    body = b"OLD TAG\r\n" + b"x".ljust(50) + b"\r\n"
    content = request("TCC", body, reserve_366="AID")
    lenient = read_message(content, SHIPPED)
    first, second, third = (item.id for item in SHIPPED.layouts["TCC.in"].items)
    assert [(f.code, f.item) for f in lenient.findings] == [
        ("A0016", None),
        ("E0001", first),
        ("S0002", second),
        ("E0001", third),
    ]
    assert not lenient.errors
    strict = read_message(content, SHIPPED, strict=True)
    assert strict.findings == ()
    assert sorted(strict.errors, key=repr) == sorted(lenient.findings, key=repr)
    assert strict.record is not None


def test_one_finding_for_one_missing_crlf() -> None:
    """The header says it, the body does not say it again."""
    content = request("TCC", TCC_BODY)
    missing = read_message(content[:-2], SHIPPED)
    assert [(f.code, f.offset) for f in missing.findings] == [("A0016", 505)]
    more = read_message(content + b"\r\n", SHIPPED)
    assert [(f.code, f.offset) for f in more.findings] == [("A0016", 507)]
    counted = read_message(request("TCC", TCC_BODY + b"\r\n"), SHIPPED)
    assert [(f.code, f.offset) for f in counted.findings] == [("E0001", 507)]
    not_counted = read_message(request("TCC", TCC_BODY[:-2]), SHIPPED)
    assert [(f.code, f.offset) for f in not_counted.findings] == [("E0001", 505)]
    values = [item["value"] for item in as_json(read_message(content, SHIPPED))["items"]]
    for message in (missing, more, counted, not_counted):
        assert [item["value"] for item in as_json(message)["items"]] == values
        assert not message.errors


def test_sizes() -> None:
    """Up to 700,000 bytes is processed, above is E0001 of the business (decisions, Size and pressure)."""
    body = b"REF    \r\n"
    most = request("SYG", body + b" " * (700_000 - 400 - len(body)), length="700000")
    assert [error.code for error in read_message(most, SHIPPED).errors] == ["E0001"]  # the item, not the message
    assert read_message(most, SHIPPED).record is not None
    over = read_message(request("SYG", body + b" " * (700_001 - 400 - len(body)), length="700001"), SHIPPED)
    assert [(error.code, error.offset) for error in over.errors] == [("E0001", 700_000)]
    assert over.record is None


def test_no_table_for_a_business() -> None:
    """A0001: business code not in the table (wire reference 4.3)."""
    message = read_message(request("ZZZ", b"A\r\n"), SHIPPED)
    assert [(error.code, error.offset) for error in message.errors] == [("A0001", 3)]
    assert (message.layout, message.record, as_json(message)["items"]) == (None, None, [])
    with pytest.raises(ValueError, match="no table for 'ZZZ'"):
        from_json(as_json(message), SHIPPED)


def test_a_message_without_a_header() -> None:
    """Nothing is guessed of a message that is too short."""
    message = read_message(b"", SHIPPED)
    assert [error.code for error in message.errors] == ["A0016"]
    assert as_json(message)["header"]["business_code"] == ""


@pytest.mark.parametrize(
    ("code", "table"),
    [
        ("UEA", "EDA.in"),  # the same table under another code
        ("SWA", "IDA.in"),
        ("OLC20", "OLC20.in"),
        ("OLA", "OLA.in"),
    ],
)
def test_which_table_reads_a_request(code: str, table: str) -> None:
    """By business code; some codes share a table (procedures)."""
    layout = SHIPPED.request(code)
    assert layout is not None
    assert layout.name == table


def test_olc20_takes_a_sas1360_back() -> None:
    """OLC20 with a body over 16 bytes is read with SAS1360.out (decisions, Text)."""
    layout = SHIPPED.layouts["SAS1360.out"]
    body = layout.join([""] * (layout.fixed + layout.row))
    assert read_message(request("OLC20", body), SHIPPED).layout is layout
    unpadded = b"12345678901\r\n" + b"\r\n" * 20
    assert read_message(request("OLC20", unpadded), SHIPPED).layout is layout
    own = SHIPPED.layouts["OLC20.in"]
    assert read_message(request("OLC20", b"12345678901\r\n \r\n"), SHIPPED).layout is own
    assert read_message(request("OLC20", b"12345678901\r\n \r\n\r\n"), SHIPPED).layout is own  # one CRLF too many


NOTICE = b"00000-0000-0000".ljust(75) + b"\r\n"


@pytest.mark.parametrize(
    ("output_code", "business_code", "body", "table"),
    [
        ("*SOLA", "OLA", NOTICE, "RESULT.out"),
        ("*SOLA", "OLA", NOTICE + b"12345678901\r\n", "RESULT-11.out"),
        ("*SOLA", "OLA", b"00000-0000-0000\r\n", "RESULT.out"),  # not padded
        ("*SOLA", "OLA", b"00000-0000-0000\r\n12345678901\r\n", "RESULT-11.out"),
        ("*SOLA", "OLA", NOTICE[:-2], "RESULT.out"),
        ("*CTCC", "TCC", NOTICE + b" " * 50 + b"\r\n" + b" " * 50 + b"\r\n", "TCC.out"),
        ("*CTCC", "TCC", NOTICE + b"A\r\n\r\n", "TCC.out"),
        ("*CTCC", "TCC", NOTICE, "RESULT.out"),
        ("*CURY", "URY", NOTICE, "RESULT.out"),
        ("CZURY", "URY", NOTICE + b"1ANACA0B\r\nTEMP0001\r\n", "URY.out"),
        ("CZSYG", "SYG", NOTICE + b"0000\r\n", "SYG.out"),
        ("*CSYG", "SYG", NOTICE, "RESULT.out"),
        ("SZOLA11", "OLA11", b"", "OLA.in"),
        ("SZOLC11", "OLC11", b"", "OLC.in"),
        ("SZSOT11", "SOT11", b"", "SOT.in"),
        ("SZICG", "ICG", b"", "SZICG.out"),
        ("AZICG", "ICG", b"", "SZICG.out"),
        ("AZIID", "IID", b"", "SZIID.out"),
        ("SZOLC", "OLC", b"", "SZOLC.out"),
        ("SAS1360", "OLA", b"", "SAS1360.out"),
        ("SAS0381", "OLC20", b"", "SAS0381.out"),
        ("SAD1AG2", "IDC", b"", "permit-import.out"),
        ("SZMIC", "MIC", b"", None),  # no table of that name: a request's is not taken for it
        ("SAX9999", "OLA", b"", None),
        ("", "OLA", b"", None),
    ],
)
def test_which_table_reads_a_reply(output_code: str, business_code: str, body: bytes, table: str | None) -> None:
    """By output code; a notice by its own form, with a key or without (decisions, Replies of step one)."""
    message = read_message(reply(output_code, body, business_code), SHIPPED, direction="out")
    assert (message.layout.name if message.layout else None) == table
    assert not [error for error in message.errors if error.code[0] == "A"]
    if table is None:
        assert [finding.code for finding in message.findings] == ["A0001"]
    assert SHIPPED.knows_output(output_code) == (table is not None)


@pytest.mark.parametrize("kind", list("RCPMTU"))
@pytest.mark.parametrize("code", ["*SOLA", "SAS1360", "CZSYG", "SZOLA11"])
def test_a_reply_is_told_by_code_and_kind(code: str, kind: str) -> None:
    """A reply if bytes 9-15 hold `*…` or a known output code and byte 250 is one of R C P M T U (decisions, Text)."""
    assert is_reply(reply(code, kind=kind), SHIPPED)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"*" * 249,
        request("OLA"),
        request("OLA", reserve_9="*SOLA"),
        request("OLA", reserve_246="000ER"),
        reply("*SOLA", kind=" "),
        reply("*SOLA", kind="X"),
        reply("SAX9999"),
        reply(""),
    ],
)
def test_everything_else_is_a_request(content: bytes) -> None:
    """Else a request (decisions, Text)."""
    assert not is_reply(content, SHIPPED)
    assert read_message(content, SHIPPED).header.direction == "in"


def test_a_management_document_is_a_reply() -> None:
    """宛管形式 K: CSV under an output code that no table knows (wire reference 6.2)."""
    content = bytearray(reply("CZDLH01", kind="P"))
    assert not is_reply(bytes(content), SHIPPED)
    content[363:364] = b"K"
    assert is_reply(bytes(content), SHIPPED)


def test_a_reply_of_a_wrong_length() -> None:
    """電文長 of a reply is checked too; the form of its header as well."""
    content = reply("*SOLA", NOTICE)
    assert read_message(content + b"more", SHIPPED).errors[0].code == "A0008"
    assert [f.code for f in read_message(content[:-2], SHIPPED).findings] == ["A0016"]
    assert [e.code for e in read_message(content[:390], SHIPPED).errors] == ["A0016"]
    assert [e.code for e in read_message(b"\x00" + content[1:], SHIPPED).errors] == ["A0009"]
    two = read_message(content + content, SHIPPED)
    assert two.errors[0].code == "A0008"


def test_mask_hides_what_a_table_calls_secret() -> None:
    """Views and exports mask items with secret = y (decisions, Rooms); a blank one shows as blank."""
    content = request("URY", b"C\r\n1ANACA0A\r\nNEWPASS1\r\n        \r\n")
    message = read_message(content, SHIPPED)
    masked = as_json(message, mask=True)
    assert "NEWPASS1" not in json.dumps(masked)
    assert "SAMPLE01" not in json.dumps(masked)
    assert [item["value"] for item in masked["items"]] == ["C", "1ANACA0A", "********", ""]
    assert "NEWPASS1" in json.dumps(as_json(message))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"header": {"nonsense": "x"}}, "nonsense: the header has no such key"),
        ({"header": {"carry": "X" * 27}}, "carry: 27 bytes, the item holds 26"),
        ({"header": {"carry": "😀"}}, "carry: no EUC-JP"),
        ({"header": {"length": "12x"}}, "length: not a whole number"),
        ({"header": []}, "a message has a header"),
        ({"items": {}}, "a message has a header"),
        ({"items": ["x"]}, "an item is an object"),
        ({"items": [{"value": "x"}]}, "an item is an object"),
        ({"items": [{"id": "XXX", "value": "x"}]}, "OLA.in has no such item"),
        ({"layout": "OUT.in.tsv", "items": [{"id": "ZZ", "row": 1}]}, "OUT.in has no such item"),
        ({"layout": "NONE.in.tsv", "items": [{"id": "ZZ", "row": 1}]}, "no table for 'NONE.in.tsv'"),
    ],
)
def test_json_that_is_no_message(change: dict[str, object], says: str) -> None:
    """What cannot be written is refused with its item; nothing else than ValueError comes out."""
    form = {"header": {"business_code": "OLA"}, "items": []} | change
    with pytest.raises(ValueError, match=says):
        from_json(form, SHIPPED)


@pytest.mark.parametrize("row", [0, -1, 11, "1", 1.0, True])
def test_a_row_that_the_table_does_not_have(row: object) -> None:
    """Rows count from 1 to the table's most."""
    block = SHIPPED.layouts["OUT.in"].blocks[-1].items[0].id
    form = {"header": {"business_code": "OUT"}, "items": [{"id": block, "row": row, "value": "X"}]}
    with pytest.raises(EncodeError, match="the table has rows 1 to 10"):
        from_json(form, SHIPPED)


def test_json_by_hand() -> None:
    """Items may come in any order and in part; what is left out is blank, 電文長 is counted, rows are made whole."""
    block = SHIPPED.layouts["OUT.in"].blocks[-1].items
    form = {
        "header": {"business_code": "OUT", "system": 1},
        "items": [{"id": block[1].id, "row": 2, "value": "1"}, {"id": block[0].id, "row": 1, "value": "A"}],
    }
    content = from_json(form, SHIPPED)
    assert len(content) == 400 + 25 + 2 * 77
    assert content[392:398] == b"000579"
    record = read_message(content, SHIPPED).record
    assert record is not None
    assert (record.text(block[0].id), record.text(block[1].id, 2)) == ("A", "1")
    assert from_json({"header": {"business_code": "ZZZ"}}, Catalogue({})) == content[:0] + from_json(
        {"header": {"business_code": "ZZZ"}}, CATALOGUE
    )


def test_a_call_up_leaves_blank_what_its_reader_fills_in() -> None:
    """A call-up answers with the table of the register code: required there is not missing here (procedures 3)."""
    layout = CATALOGUE.layouts["OLA.in"]
    content = reply("SZOLA11", layout.encode({"KND": "9", "CG_": ["SMPLBL0001"]}), kind="C")
    message = read_message(content, CATALOGUE)
    assert message.layout is layout
    assert message.errors == ()
