"""Decode and encode: the documented JSON, a table for people, exit codes (house 2)."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sekisho.gateway.cli_text import table, width

from .commands import OLA, message, sekisho

BAD = message("OLA", {"KND": "9", "BYA": "31", "SEP": "12", "CG_": ["SMPLBL0001"]}).replace(b"12\r\n", b"1X\r\n")


def written(folder: Path, data: bytes) -> str:
    """A file with these bytes."""
    path = folder / "message.edi"
    path.write_bytes(data)
    return str(path)


def test_json_form_is_the_documented_one(tmp_path: Path) -> None:
    """House 2: format, direction, header, codes, layout, items with no/id/name/row/value, findings, errors."""
    ran = sekisho("decode", written(tmp_path, OLA), "--json")
    form = ran.json
    assert ran.code == 0
    assert list(form) == [
        "format", "direction", "header", "business_code", "output_code", "layout", "items", "findings", "errors",
    ]  # fmt: skip
    assert (form["format"], form["direction"], form["output_code"], form["layout"]) == (
        "naccs",
        "request",
        None,
        "OLA.in.tsv",
    )
    assert form["header"]["password"] == "SAMPLE01"
    items = {(item["id"], item["row"]): item for item in form["items"]}
    assert items["CG_", 2] == {"no": 26, "id": "CG_", "name": "貨物管理番号", "row": 2, "value": "SMPLBL0002"}
    assert items["NTA", None]["value"] == "機械部品　１"
    assert items["KND", None]["row"] is None
    assert form["findings"] == form["errors"] == []


def test_unacceptable_message_prints_every_error_and_ends_with_1(tmp_path: Path) -> None:
    """House 2: exit 1 with every error (code, item, position); JSON is printed on exit 1 too."""
    ran = sekisho("decode", written(tmp_path, BAD), "--json")
    assert ran.code == 1
    errors = {(error["item"], error["code"]) for error in ran.json["errors"]}
    assert {item for item, _ in errors} == {"OBJ", "SEP"}
    for error in ran.json["errors"]:
        assert set(error) == {"code", "item", "row", "offset", "text"}
        assert 400 <= error["offset"] < len(BAD)
    text = sekisho("decode", written(tmp_path, BAD))
    assert text.code == 1
    marked = [line.split() for line in text.lines if line.startswith("  !")]
    assert [cells[3] for cells in marked] == ["OBJ", "SEP"]
    offsets = {error["item"]: error["offset"] for error in ran.json["errors"]}
    assert int(marked[0][1]) == offsets["OBJ"]


def test_text_form_is_aligned_by_display_width(tmp_path: Path) -> None:
    """Japanese item names take two columns a character; the values stand under each other on a terminal."""
    lines = sekisho("decode", written(tmp_path, OLA)).lines
    head = next(line for line in lines if line.split()[:2] == ["offset", "no"])
    column = width(head[: head.index("value")])
    for value in ("31", "SHI", "機械部品　１", "SMPLBL0002"):
        line = next(line for line in lines if line.endswith(value))
        assert width(line[: line.rindex(value)]) == column
    assert "blank items; --all shows them" in lines[-1]
    assert len(sekisho("decode", written(tmp_path, OLA), "--all").lines) > len(lines) + 30


def test_strict_takes_findings_as_errors(tmp_path: Path) -> None:
    """--strict: a header deviation is A0016 (decisions, "Text"); without it the same is a finding and exit 0."""
    filled = OLA[:50] + b"X" + OLA[51:]
    lax = sekisho("decode", written(tmp_path, filled), "--json")
    assert (lax.code, [f["offset"] for f in lax.json["findings"]]) == (0, [45])
    strict = sekisho("decode", written(tmp_path, filled), "--json", "--strict")
    assert (strict.code, [e["code"] for e in strict.json["errors"]]) == (1, ["A0016"])
    assert "read anyway" in sekisho("decode", written(tmp_path, filled)).out


def test_decode_then_encode_gives_the_same_bytes(tmp_path: Path) -> None:
    """House 2: the way back is the identity for a conforming message, through standard input and into a file."""
    form = sekisho("decode", "-", "--json", stdin=OLA)
    assert sekisho("encode", "-", stdin=form.data).data == OLA
    target = tmp_path / "back.edi"
    assert sekisho("encode", "-", "-o", target, stdin=form.data).data == b""
    assert target.read_bytes() == OLA
    nowhere = sekisho("encode", "-", "-o", tmp_path / "no" / "where", stdin=form.data)
    assert (nowhere.code, nowhere.err.count("\n")) == (2, 1)


def test_encode_counts_a_blank_length() -> None:
    """電文長 is counted where the form leaves it out."""
    form = {
        "direction": "request",
        "header": {"business_code": "TCC", "system": "2"},
        "items": [{"id": "I01", "value": "A"}],
    }
    data = sekisho("encode", "-", stdin=json.dumps(form).encode()).data
    assert int(data[392:398]) == len(data)


@pytest.mark.parametrize(
    ("form", "code", "said"),
    [
        (b"{", 2, "not JSON"),
        (b"[]", 2, "no JSON form"),
        (b'{"format": "edifact"}', 2, "no JSON form"),
        (b'{"header": {"business_code": "OLA", "colour": "red"}}', 1, "colour: the header has no such key"),
        (b'{"header": {"business_code": "OLA"}, "items": [{"id": "QQQ", "value": ""}]}', 1, "OLA.in has no such item"),
        (b'{"header": {"business_code": "OLA"}, "items": [{"id": "CG_", "row": 6, "value": "A"}]}', 1, "row 6"),
        (b'{"header": {"business_code": "OLA"}, "items": [{"value": "A"}]}', 1, "an item is an object with id"),
        (b'{"header": {"business_code": "OLA"}, "items": [{"id": "KND", "value": "12"}]}', 1, "the item holds 1"),
    ],
)
def test_encode_names_what_it_cannot_write(form: bytes, code: int, said: str) -> None:
    """An error is one line: what happened and where; 2 for a file that is no form, 1 for a value that does not fit."""
    ran = sekisho("encode", "-", stdin=form)
    assert ran.code == code
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert ran.data == b""


CUSCAR = b"UNB+UNOA:3+SND+RCV+250101:1200+R1'UNH+1+CUSCAR:D:95B:UN'BGM+85+X+9'UNT+%d+1'UNZ+1+R1'"


def test_decode_judges_an_edifact_interchange() -> None:
    """House 2, the form of EDIFACT; exit code 1 and the code of element 0085 where it is not acceptable."""
    good = sekisho("decode", "-", "--json", stdin=CUSCAR % 3)
    assert (good.code, good.json["format"], good.json["valid"], good.json["segments"]) == (0, "edifact", True, 5)
    bad = sekisho("decode", "-", "--json", stdin=CUSCAR % 9)
    assert bad.code == 1
    assert [(error["code"], error["tag"], error["segment"]) for error in bad.json["errors"]] == [("29", "UNT", 3)]
    assert "received were 3" in sekisho("decode", "-", stdin=CUSCAR % 9).out


def test_decode_takes_edifact_out_of_a_mail_and_unwraps_on_request() -> None:
    """An interchange comes as a mail too; wrapped lines are an error unless asked for (spec 3.5)."""
    mail = b"From: a@b.EXAMPLE\r\nContent-Type: application/EDIFACT\r\n\r\n"
    assert sekisho("decode", "-", "--json", stdin=mail + CUSCAR % 3).json["valid"] is True
    wrapped = (CUSCAR % 3).replace(b"CUSCAR", b"CUS\r\nCAR")
    assert sekisho("decode", "-", "--json", stdin=wrapped).json["errors"][0]["code"] == "21"
    assert sekisho("decode", "-", "--json", "--unwrap", stdin=wrapped).json["valid"] is True


def test_missing_file_is_one_line() -> None:
    """What happened, where, what to do; no traceback."""
    ran = sekisho("decode", "/nowhere/at.all")
    assert ran.code == 2
    hint = "give the path of a file, or - for standard input"
    assert ran.err == f"sekisho: /nowhere/at.all: No such file or directory; {hint}\n"


def test_a_mail_is_opened() -> None:
    """A file with a mail's header block before the telegram is read as the telegram in it."""
    mail = b'Content-Type: Text/xml; charset="EUC-JP"\r\nMessage-ID: <1@x>\r\n\r\n' + OLA
    assert sekisho("decode", "-", "--json", stdin=mail).json == sekisho("decode", "-", "--json", stdin=OLA).json
    assert sekisho("decode", "-", stdin=mail).lines[0].startswith("mail: Text/xml")


@pytest.mark.parametrize("data", [b"", b"A" * 398, bytes(range(256)) * 4, OLA.replace(b"\r\n", b"\n"), OLA[:100]])
def test_any_bytes_get_an_answer(data: bytes) -> None:
    """Decode never ends with a traceback; what cannot be read is an error with an offset."""
    form = sekisho("decode", "-", "--json", stdin=data)
    assert (form.code, len(form.json["errors"])) == (1, 1)
    assert form.json["errors"][0]["code"] == "A0016"
    assert sekisho("decode", "-", stdin=data).code == 1


def test_lost_carriage_returns_are_pointed_out() -> None:
    """A file that lost its CR on the way looks right to the eye; the text form names the reason."""
    assert "LF alone" in sekisho("decode", "-", stdin=OLA.replace(b"\r\n", b"\n")).out


def test_table_shows_control_characters_and_aligns_to_the_right() -> None:
    """A cell is one line whatever is in it; full-width blanks stay."""
    lines = table(["n", "text"], [(5, "a\nb"), (10, "全\u3000角")], ">")
    assert lines == [" n  text", " 5  a\\nb", "10  全\u3000角"]
    assert table(["n"], []) == []


@pytest.mark.parametrize("encoding", ["latin-1", "euc_jp", "utf-8"])
def test_any_terminal_encoding_will_do(tmp_path: Path, encoding: str) -> None:
    """Text for people takes the terminal's encoding, as far as it goes; JSON is UTF-8 always."""
    program = [sys.executable, "-m", "sekisho.gateway", "decode", written(tmp_path, OLA)]
    env = os.environ | {"PYTHONIOENCODING": encoding}
    text = subprocess.run(program, capture_output=True, check=True, env=env).stdout.decode(encoding)
    assert ("機械部品" if encoding != "latin-1" else r"\u6a5f\u68b0\u90e8\u54c1") in text
    form = subprocess.run([*program, "--json"], capture_output=True, check=True, env=env).stdout
    assert "機械部品" in form.decode("utf-8")


def test_decode_starts_quickly(tmp_path: Path) -> None:
    """Decode does not pay for the gateway: nothing of it, of the store or of the log is imported.

    The time itself depends on the machine; a quarter of a second is usual, two is broken.
    """
    code = (
        "import sys; from sekisho.gateway.cli import main; main(['decode', sys.argv[1]], standalone_mode=False);"
        "print(sorted(m for m in ('structlog', 'sqlalchemy', 'rich', 'jinja2', 'yaml', 'asyncio', 'argon2',"
        " 'sekisho.mailboxes') if m in sys.modules))"
    )
    began = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-c", code, written(tmp_path, OLA)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
    )
    assert ran.stdout.splitlines()[-1] == "[]"
    assert time.monotonic() - began < 2
