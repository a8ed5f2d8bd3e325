"""Files that come with a message, through the whole gateway (spec/naccs-edi.md 7.5; docs/mail-style.md)."""

import base64
from pathlib import Path

import pytest

from sekisho.gateway.intake import reopened
from sekisho.gateway.listeners import smtp_limits

from .support import Desk, extra_codes, house, result_of

ID = "<7@SMTP.BROKER.SEKISHO.EXAMPLE>"
HEADER = b"Content-Type: text/plain; charset=EUC-JP\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"


def part(name: str, content: bytes = b"%PDF-1.4") -> bytes:
    """A file as mail programs attach it."""
    sent = "".join(f"%{byte:02X}" for byte in name.encode())
    return (
        f"Content-Type: application/pdf\r\nContent-Disposition: attachment; filename*=UTF-8''{sent}\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\n"
    ).encode() + base64.encodebytes(content).replace(b"\n", b"\r\n")


def mail(*parts: bytes, message_id: str = "") -> bytes:
    """A multipart mail; the first part is usually the message."""
    field = f"Message-ID: {message_id}\r\n".encode() if message_id else b""
    body = b"".join(b"--=_B\r\n" + one + b"\r\n" for one in parts)
    return field + b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="=_B"\r\n\r\n' + body + b"--=_B--\r\n"


async def test_a_message_with_files_is_processed(tmp_path: Path) -> None:
    """The message runs as without them; what the journal keeps gives message and files again after a restart."""
    async with house(tmp_path) as desk:
        message = desk.request("TCC", items={"I01": "FILES"})
        (arrival,) = await desk.ask(mail(HEADER + message, part("請求書.pdf"), part("a.csv", b"1,2")), raw=True)
        assert result_of(arrival) == "00000"
        with desk.store.transaction() as unit:
            again = reopened(unit, 1)
        assert [(file.name, file.content) for file in again.attachments] == [
            ("請求書.pdf", b"%PDF-1.4"),
            ("a.csv", b"1,2"),
        ]
        assert again.faults == ()


async def _codes(desk: Desk, raw: bytes) -> list[str]:
    """The result codes of the one notice that answers a mail."""
    (arrival,) = await desk.ask(raw, raw=True)
    block = arrival.content[400:475].decode()
    return [block[at : at + 15] for at in range(0, 75, 15) if block[at : at + 15].strip()]


async def test_what_is_wrong_with_files_is_answered(tmp_path: Path) -> None:
    """250, then a notice: S9006 for a long name, A0021 for too many files, A0008 for a second message.

    190 bytes of name are right: 93 characters of two bytes and four of one. The row of S9006 is the file's number.
    """
    async with house(tmp_path) as desk:
        message = HEADER + desk.request("TCC", items={"I01": "X"})
        assert await _codes(desk, mail(message, part("名" * 93 + ".pdf"))) == ["00000-0000-0000"]
        long = part("名" * 94 + ".pdf")
        assert await _codes(desk, mail(message, part("a"), long)) == ["S9006-0000-0002"]
        assert await _codes(desk, mail(message, *[part("f")] * 101)) == ["A0021-0000-0000"]
        assert await _codes(desk, mail(message, message)) == ["A0008-0000-0000"]
        assert await _codes(desk, mail(message, *[long] * 7)) == [f"S9006-0000-000{row}" for row in range(1, 6)]


async def test_a_wrong_password_comes_before_wrong_files(tmp_path: Path) -> None:
    """The order of checks: the user first; whoever cannot prove who he is learns nothing of his files."""
    async with house(tmp_path) as desk:
        message = HEADER + desk.request("TCC", password="WRONG001")
        assert await _codes(desk, mail(message, part("名" * 100))) == ["A0004-0000-0000"]


async def test_other_files_are_another_request(tmp_path: Path) -> None:
    """Same Message-ID and message with other files: refused, not taken for a repetition; with the same ones: repeated.

    Without a Message-ID the tag rule looks at the files too.
    """
    async with house(tmp_path, extra_codes()) as desk:
        message = HEADER + desk.request("XPUT", items={"TXT": "ONE"}, carry="TAG")
        await desk.ask(mail(message, part("a.pdf"), message_id=ID), raw=True)
        await desk.until(lambda view: view.letters_of(1)[0].delivered_at)
        await desk.ask(mail(message, part("a.pdf"), message_id=ID), raw=True)
        assert len(desk.requests) == 1
        refused = await desk.post(mail(message, part("a.pdf", b"other"), message_id=ID), raw=True)
        assert (refused.stage, refused.code) == ("dot", 554)
        first, second = mail(message, part("a.pdf")), mail(message, part("b.pdf"))
        await desk.ask(first, raw=True)
        await desk.until(lambda view: view.letters_of(2)[0].delivered_at)
        await desk.ask(second, raw=True)
        assert len({request.key for request in desk.requests}) == 3
        await desk.until(lambda view: view.letters_of(3)[0].delivered_at)
        await desk.ask(first, raw=True)
        assert desk.events("request.repeated") == ["", "2"]


async def test_a_mail_is_read_again_by_the_limits_of_the_settings(tmp_path: Path) -> None:
    """What the settings say of parts and files holds for the journal too: the second look finds what the first did."""
    few = "attachments = 1\nmime_parts = 4\n"
    async with house(tmp_path, f"[limits]\n{few}") as desk:
        message = HEADER + desk.request("TCC", items={"I01": "X"})
        assert await _codes(desk, mail(message, part("a"), part("b"))) == ["A0021-0000-0000"]
        assert (await desk.post(mail(message, *[part("a")] * 3), raw=True)).accepted
        limits = smtp_limits(desk.gateway.settings).mime
        with desk.store.transaction() as unit:
            assert [str(fault) for fault in reopened(unit, 1, limits).faults] == ["A0021-0000-0000"]
            assert reopened(unit, 1).faults == ()
            assert reopened(unit, 2, limits).content == b""


@pytest.mark.parametrize("kind", ["text/xml", "application/xml", "text/plain"])
async def test_xml_is_kept_for_operators(tmp_path: Path, kind: str) -> None:
    """What an XML message says is not known (spec 1): quarantine, with its bytes as content, nobody is written to."""
    document = b'<?xml version="1.0"?>\r\n<Message/>\r\n'
    async with house(tmp_path) as desk:
        letters = len(desk.letters())
        raw = mail(b"Content-Type: text/plain\r\n\r\nsee the file", f"Content-Type: {kind}\r\n\r\n".encode() + document)
        assert (await desk.post(raw, raw=True)).accepted
        await desk.until(lambda view: view.quarantined())
        assert len(desk.letters()) == letters
        with desk.store.transaction() as unit:
            assert reopened(unit, 1).content == document
