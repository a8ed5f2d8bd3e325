"""What an operator sees of interchanges (house 2): decoded, masked, in the thread of what came."""

from pathlib import Path

import pytest

from sekisho.gateway.cli_interchange import interchange_lines, masked_interchange

from .commands import sekisho
from .edifact import interchange, message, partner, registered
from .support import house

BROKEN = message("PUT", "A2", reference="2").replace("UNT+3", "UNT+4")
"""The segment count is wrong: 29."""


async def test_the_mailbox_commands_read_interchanges(tmp_path: Path) -> None:
    """`mailbox show`, `thread` and `raw` decode EDIFACT letters and requests (issue 3); passwords are masked."""
    content = interchange(message("PUT", "A1"), BROKEN, more="+SECRET99:AA")
    with registered("XTESTA"):
        async with house(tmp_path, partner()) as desk:
            await desk.ask(content, 2)
    there = ("-c", tmp_path / "gateway.toml", "--data", tmp_path / "var")
    shown = sekisho("mailbox", "show", "1", *there, "--json").json
    assert (shown["output_code"], shown["subject"], shown["kind"]) == ("CONTRL", "REF1", "")
    assert shown["message"]["format"] == "edifact"
    assert shown["message"]["valid"] is True
    lines = sekisho("mailbox", "show", "2", *there).out
    assert "CUSRES" in lines
    assert "RFF+ACW:A1'" in lines
    request = sekisho("mailbox", "show", "r1", *there)
    assert "29  byte" in request.out
    assert "SECRET99" not in request.out
    assert "+***********'" in request.out
    assert sekisho("mailbox", "show", "r1", *there, "--json").json["message"]["errors"][0]["code"] == "29"
    assert b"SECRET99" not in sekisho("mailbox", "raw", "r1", *there).data
    assert b"SECRET99" in sekisho("mailbox", "raw", "r1", *there, "--unmask").data
    thread = sekisho("mailbox", "thread", "2", *there, "--full")
    assert "SECRET99" not in thread.out
    assert "UCM+2+XTESTA:1:1:ZZ+4+29+UNT+2'" in thread.out
    listed = sekisho("mailbox", "list", *there, "--json").json
    assert [one["output_code"] for one in listed] == ["CUSRES", "CONTRL"]
    requests = sekisho("mailbox", "list", "--requests", *there, "--json").json
    assert [(one["business_code"], one["input_id"], one["user"]) for one in requests] == [("XPUT", "REF1", "1ANACA0A")]


@pytest.mark.parametrize(
    ("content", "masked"),
    [
        (b"UNB+UNOA:3+A+B+251001:0900+1+PASS:AA+APP'", b"UNB+UNOA:3+A+B+251001:0900+1+*******+APP'"),
        (b"UNB+UNOA:3+A+B+251001:0900+1+P?'SS'", b"UNB+UNOA:3+A+B+251001:0900+1+*****'"),
        (b"UNB+UNOC:4+A+B+20251001:0900+1+PASS'", b"UNB+UNOC:4+A+B+20251001:0900+1+XXXX'"),
        (b"UNB+UNOA:3+A+B+251001:0900+1'", b"UNB+UNOA:3+A+B+251001:0900+1'"),
        (
            b"UNB+UNOA:3+A+B+251001:0900+1'UNG+CUSCAR+A+B+251001:0900+1+UN+D:95B+PASS'",
            b"UNB+UNOA:3+A+B+251001:0900+1'UNG+CUSCAR+A+B+251001:0900+1+UN+D:95B+****'",
        ),
        (b"UNA", b"UNA"),
    ],
)
def test_what_is_masked(content: bytes, masked: bytes) -> None:
    """Passwords of UNB and UNG are hidden byte for byte (decisions, "Secrets"); nothing else is touched."""
    assert masked_interchange(content) == masked
    assert len(masked) == len(content)


def test_lines_show_any_bytes() -> None:
    """Control characters and foreign bytes never reach a terminal as they are."""
    lines = "\n".join(interchange_lines(b"UNB+UNOA:3+A\x1b[2J+B+251001:0900+1'\xff\x00UNZ+0+1'"))
    assert "\x1b" not in lines
    assert "\x00" not in lines
