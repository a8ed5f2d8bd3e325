"""Bad input end to end: every line of docs/bad-input.md is a test here, by the name that stands in its last column."""

import asyncio
import base64
import re
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .support import BROKER, CENTRE, OTHER, Desk, house, result_of, results_of, served

ROOT = Path(__file__).parents[2]
HEAD = f"From:{BROKER}\r\nTo:{CENTRE}\r\nMime-Version:1.0\r\n"
PLAIN = 'Content-Type:Text/xml;charset="EUC-JP"\r\nContent-Transfer-Encoding:8bit\r\n'


def mail(content: bytes, head: str = PLAIN) -> bytes:
    """A mail with these header lines around a content."""
    return (HEAD + head + "\r\n").encode() + content


def table() -> list[list[str]]:
    """The rows of docs/bad-input.md."""
    text = (ROOT / "docs" / "bad-input.md").read_text("utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return rows[2:]


def test_every_line_of_the_document_is_tested() -> None:
    """Each bad input has a defined answer and a test, here or beside its transport."""
    assert len(table()) >= 22
    named = {name for row in table() for name in re.findall(r"`(test_\w+)`", row[-1])}
    ours = {name for name in globals() if name.startswith("test_")} - {"test_every_line_of_the_document_is_tested"}
    assert ours <= named
    texts = [path.read_text(encoding="utf-8") for path in Path(__file__).parents[1].rglob("test_*.py")]
    there = {name for text in texts for name in re.findall(r"^ *(?:async )?def (test_\w+)\(", text, re.MULTILINE)}
    assert named <= there


async def quarantined(desk: Desk, raw: bytes, reason: str) -> None:
    """Submit a whole mail: 250, a quarantine entry with this reason, no letter to anybody."""
    before = len(desk.quarantine)
    submission = await desk.post(raw, raw=True)
    assert submission.accepted, submission
    await desk.until(lambda view: len(view.quarantined()) > before)
    assert desk.quarantine[-1].reason == reason
    assert desk.letters() == []


async def refused(desk: Desk, raw: bytes, code: str) -> None:
    """Submit a whole mail: 250 and one notice that begins with this result code."""
    (arrival,) = await desk.ask(raw, raw=True)
    assert results_of(arrival)[0].startswith(code)
    assert len(arrival.content) == int(arrival.content[392:398])


async def test_empty_mail(tmp_path: Path) -> None:
    """Nothing after DATA, only header lines, only an empty line: 250 and quarantine, nobody is told."""
    async with house(tmp_path) as desk:
        for raw in (b"", b"\r\n", HEAD.encode() + b"\r\n", mail(b"")):
            await quarantined(desk, raw, "A0016")


async def test_header_of_399_bytes(tmp_path: Path) -> None:
    """One byte more before the CRLF: A0016 to the user that bytes 30 to 37 still name."""
    async with house(tmp_path) as desk:
        content = desk.request("TCC")
        await refused(desk, mail(content[:398] + b" " + content[398:]), "A0016-")


@pytest.mark.parametrize("end", [b"\n", b"\r", b"", b"\n\r", b"\x00\x00"])
async def test_no_crlf_at_399(tmp_path: Path, end: bytes) -> None:
    """Bytes 399 and 400 are anything but CRLF: A0016."""
    async with house(tmp_path) as desk:
        content = desk.request("TCC")
        await refused(desk, mail(content[:398] + end + content[400:]), "A0016-")


@pytest.mark.parametrize("byte", [b"\n", b"\r", b"\x00"])
async def test_lone_lf_lone_cr_nul(tmp_path: Path, byte: bytes) -> None:
    """Inside an item: its S code, kept unchanged in the journal; inside the header: A0009."""
    async with house(tmp_path) as desk:
        content = desk.request("TCC", body=b"AB" + byte + b"CD\r\n")
        await refused(desk, mail(content), "S0001-I01 -0000")
        (request,) = desk.requests
        assert content in desk.read(lambda view: view.raw(request.number))
        content = desk.request("TCC")
        await refused(desk, mail(content[:230] + byte + content[231:]), "A0009-")


async def test_invalid_euc_jp(tmp_path: Path) -> None:
    """Bytes that are no EUC-JP: the item's S code; in the header A0009."""
    async with house(tmp_path) as desk:
        for bad in (b"\xff\xfe", b"\xa4", b"\x8e", b"\x8f\xa1", b"\xa9\xa1", b"\x80"):
            await refused(desk, mail(desk.request("TCC", body=b"A" + bad + b"\r\n")), "S0001-I01 -0000")
        content = desk.request("TCC")
        await refused(desk, mail(content[:219] + b"\xff\xfe" + content[221:]), "A0009-")


async def test_700000_bytes(tmp_path: Path) -> None:
    """The largest message is processed: here it has more bytes than the business takes, so E0001."""
    async with house(tmp_path) as desk:
        await refused(desk, mail(desk.request("TCC", body=b"x" * 699_598 + b"\r\n")), "E0001-")
        await refused(desk, mail(desk.request("TCC", body=(b"A" * 50 + b"\r\n") * 13_453)), "E0001-")


async def test_700001_bytes(tmp_path: Path) -> None:
    """One byte more, and a million more: 250 and E0001 of the business (decisions, "Size and pressure")."""
    async with house(tmp_path) as desk:
        await refused(desk, mail(desk.request("TCC", body=b"x" * 699_599 + b"\r\n")), "E0001-")
        long = desk.request("TCC", body=b"x" * 1_699_599 + b"\r\n", header={"length": "999999"})
        await refused(desk, mail(long), "E0001-")


async def _smtp(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readline()
    return reader, writer


async def _say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: str) -> str:
    writer.write(line.encode() + b"\r\n")
    await writer.drain()
    return (await asyncio.wait_for(reader.readline(), 30)).decode()


def _resident(pid: int) -> int:
    """Bytes of memory of a process now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize()


async def _endless(port: int, size: int) -> str:
    reader, writer = await _smtp(port)
    for line in ("HELO x", f"MAIL FROM:<{BROKER}>", f"RCPT TO:<{CENTRE}>", "DATA"):
        await _say(reader, writer, line)
    chunk = b"x" * 262_144
    for _ in range(size // len(chunk)):
        writer.write(chunk)
        await writer.drain()
    answer = await _say(reader, writer, "\r\n.")
    assert (await _say(reader, writer, "NOOP")).startswith("250"), "the connection stays usable"
    writer.close()
    return answer


async def test_line_of_64_mb(tmp_path: Path) -> None:
    """An endless line is dropped as it comes: 552 at the end mark, memory grows by less than 16 MB (R7)."""
    async with served(tmp_path) as desk:
        await desk.ask(desk.request("TCC"))
        await _endless(desk.port, 16 * 1024 * 1024)  # what the first large mail needs once is not growth
        before = _resident(desk.served.pid)
        assert (await _endless(desk.port, 64 * 1024 * 1024)).startswith("552 5.3.4")
        assert _resident(desk.served.pid) - before < 16 * 1024 * 1024
        await desk.ask(desk.request("TCC"))


async def test_10000_rows(tmp_path: Path) -> None:
    """Far more rows than the table has: E0001, in less than a second, memory flat."""
    async with served(tmp_path) as desk:
        items = {"KND": "9", "BYA": "31", "OBJ": "SHI", "USS": "1", "DPR": "1AW01", "ARR": "1AW01"}
        rows: dict[str, Any] = {"CG_": ["SMPLBL0001"], "CNO": ["SMPU0000011"]}
        body = desk.request("OLA", items=items | rows)[400:] + b"SMPU0000011 \r\n" * 10_000
        await refused(desk, mail(desk.request("OLA", body=body)), "E0001-")
        before = _resident(desk.served.pid)
        for n in range(3):
            await refused(desk, mail(desk.request("OLA", body=body, carry=f"{n}")), "E0001-")
        assert _resident(desk.served.pid) - before < 16 * 1024 * 1024


async def test_digits_in_full_width(tmp_path: Path) -> None:
    """Full-width digits in a number are an error of that item (decisions, "Text")."""
    async with house(tmp_path) as desk:
        layout = desk.inhouse.catalogue.request("OLA")
        assert layout is not None
        number = next(item for item in layout.items if item.kind.startswith("n"))
        lines = desk.request("OLA", items={"KND": "9"})[400:].split(b"\r\n")
        at = [item.id for item in layout.items].index(number.id)
        lines[at] = "１２".encode("euc_jp").ljust(number.size)[: number.size]
        (arrival,) = await desk.ask(desk.request("OLA", body=b"\r\n".join(lines)))
        assert any(re.match(rf"S\d{{4}}-{number.id:<4}-", code) for code in results_of(arrival)), results_of(arrival)


async def test_half_width_kana(tmp_path: Path) -> None:
    """In Japanese text accepted with a finding, S code under ``strict``; in Roman letters an S code (decisions)."""
    async with house(tmp_path) as desk:
        await refused(desk, mail(desk.request("TCC", body=b"\x8e\xb1\x8e\xb2\r\n")), "S0001-I01 -0000")
        kana = "ｱｲ".encode("euc_jp")
        items = desk.request("OLA", items={"KND": "9"})[400:].split(b"\r\n")
        layout = desk.inhouse.catalogue.request("OLA")
        assert layout is not None
        at, item = next((n, i) for n, i in enumerate(layout.items) if i.kind == "j")
        items[at] = kana.ljust(item.size)
        for user, found in {"1ANACA0A": False, "6STRIS0S": True}.items():
            (arrival,) = await desk.ask(desk.request("OLA", user=user, body=b"\r\n".join(items)), sender="")
            assert any(code[6:10] == f"{item.id:<4}" for code in results_of(arrival)) is found


async def test_dot_at_line_start(tmp_path: Path) -> None:
    """A stuffed dot comes through both ways byte for byte; an unstuffed one is lost, and 電文長 tells: A0008."""
    async with house(tmp_path) as desk:
        (arrival,) = await desk.ask(desk.request("TCC", items={"I01": ".DOT", "I02": ".."}))
        assert result_of(arrival) == "00000"
        assert arrival.content[477:].split(b"\r\n")[:2] == [b".DOT".ljust(50), b"..".ljust(50)]
        reader, writer = await _smtp(desk.port)
        for line in ("HELO x", f"MAIL FROM:<{BROKER}>", f"RCPT TO:<{CENTRE}>", "DATA"):
            await _say(reader, writer, line)
        writer.write(mail(desk.request("TCC", items={"I01": ".DOT"})) + b".\r\n")
        assert (await reader.readline()).startswith(b"250")
        writer.close()
        (arrival,) = await desk.come(1, 1)
        assert result_of(arrival) == "A0008"


async def test_two_telegrams_in_one_mail(tmp_path: Path) -> None:
    """Back to back in one body: 電文長 is that of the first, so A0008 for the mail; neither runs."""
    async with house(tmp_path) as desk:
        await refused(desk, mail(desk.request("TCC", carry="ONE") + desk.request("TCC", carry="TWO")), "A0008-")
        assert len(desk.requests) == 1


def _multipart(*parts: bytes) -> bytes:
    body = b"".join(b"--B\r\n" + part + b"\r\n" for part in parts) + b"--B--\r\n"
    return mail(body, 'Content-Type: multipart/mixed; boundary="B"\r\n')


async def test_telegram_as_attachment(tmp_path: Path) -> None:
    """The part that begins with a header is the message, also behind a covering text, in base64 or quoted-printable."""
    async with house(tmp_path) as desk:
        content = desk.request("TCC", items={"I01": "ATTACHED"})
        encoded = base64.encodebytes(content).replace(b"\n", b"\r\n")
        cover = b"Content-Type: text/plain\r\n\r\nplease find attached\r\n"
        for part in (
            b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n" + encoded,
            b"Content-Type: text/plain; charset=EUC-JP\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + content,
        ):
            (arrival,) = await desk.ask(_multipart(cover, part), raw=True)
            assert result_of(arrival) == "00000"
            assert b"ATTACHED" in arrival.content
        await quarantined_too(desk, _multipart(cover, cover))


async def quarantined_too(desk: Desk, raw: bytes) -> None:
    """Quarantine, and no further letter."""
    letters = len(desk.letters())
    assert (await desk.post(raw, raw=True)).accepted
    await desk.until(lambda view: view.quarantined())
    assert len(desk.letters()) == letters


@pytest.mark.parametrize("charset", ["x-unknown", "shift_jis", "utf-8", '"', "EUC-JP; charset=two"])
async def test_unknown_charset(tmp_path: Path, charset: str) -> None:
    """The charset of the mail is not believed: the bytes are read as EUC-JP (naccs-edi.md 3.3)."""
    async with house(tmp_path) as desk:
        raw = mail(desk.request("TCC", items={"I01": "X"}), f"Content-Type: text/plain; charset={charset}\r\n")
        (arrival,) = await desk.ask(raw, raw=True)
        assert result_of(arrival) == "00000"


@pytest.mark.parametrize("length", ["000001", "000508", "999999", "-00507", "0x01fb", "００", " 00507", "000000"])
async def test_header_lengths_that_lie(tmp_path: Path, length: str) -> None:
    """電文長 is compared with the bytes that came, never waited for or cut by: A0008 (naccs-edi.md 2.6)."""
    async with house(tmp_path) as desk:
        content = desk.request("TCC")
        lie = content[:392] + length.encode("euc_jp").ljust(6)[:6] + content[398:]
        (arrival,) = await asyncio.wait_for(desk.ask(lie), 10)
        assert result_of(arrival) in ("A0008", "A0009")


async def test_two_users_in_one_session(tmp_path: Path) -> None:
    """Each message is judged by itself, also on one connection (decisions, A0013)."""
    async with house(tmp_path) as desk:
        reader, writer = await _smtp(desk.port)
        await _say(reader, writer, "HELO x")
        for sender, user, carry in [
            (BROKER, "1ANACA0A", "A"),
            (OTHER, "2BKOUB0B", "B"),
            (OTHER, "1ANACA0A", "C"),
            (BROKER, "9NONEA0A", "D"),
        ]:
            await _say(reader, writer, f"MAIL FROM:<{sender}>")
            await _say(reader, writer, f"RCPT TO:<{CENTRE}>")
            await _say(reader, writer, "DATA")
            writer.write(mail(desk.request("TCC", user=user, carry=carry)))
            assert (await _say(reader, writer, ".")).startswith("250")
        writer.close()
        arrivals = await desk.come(4)
        got = {a.carry.decode().strip(): (result_of(a), a.box) for a in arrivals}
        assert got == {"A": ("00000", BROKER), "B": ("00000", OTHER), "C": ("A0013", OTHER), "D": ("A0003", BROKER)}


async def test_1000_idle_connections(tmp_path: Path) -> None:
    """A thousand silent peers cost little memory and hold nobody up; they go when their time is over."""
    toml = "[limits]\nconnections_address = 2000\nsmtp_idle_two_way = 8\n"
    async with served(tmp_path, toml) as desk:
        await desk.ask(desk.request("TCC"))
        before = _resident(desk.served.pid)
        peers = [await _smtp(desk.port) for _ in range(1000)]
        assert _resident(desk.served.pid) - before < 32 * 1024 * 1024
        loop = asyncio.get_running_loop()
        began = loop.time()
        await desk.ask(desk.request("TCC"))
        assert loop.time() - began < 2
        last = await asyncio.wait_for(asyncio.gather(*(reader.read() for reader, _ in peers)), 60)
        assert all(text.startswith(b"421 ") for text in last)
        for _, writer in peers:
            writer.close()


CASES: dict[str, Callable[[bytes], bytes]] = {
    "8-bit header lines": lambda content: b"Subject: \xb4\xd8\xbd\xea\r\n" + mail(content),
    "no header lines at all": lambda content: b"\r\n" + content,
    "telegram at once": lambda content: content,
    "lone LF as line ends of the mail": lambda content: mail(b"").replace(b"\r\n", b"\n") + content,
    "folded header line of 60 kB": lambda content: b"X-Long: a\r\n" + b" b\r\n" * 15_000 + mail(content),
}


@pytest.mark.parametrize("case", CASES)
async def test_odd_mails_around_a_good_telegram(tmp_path: Path, case: str) -> None:
    """Only the telegram counts: any header block, or none, is taken (naccs-edi.md 7.2)."""
    async with house(tmp_path) as desk:
        (arrival,) = await desk.ask(CASES[case](desk.request("TCC")), raw=True)
        assert result_of(arrival) == "00000"


async def test_mime_bombs(tmp_path: Path) -> None:
    """Too deep, too many parts, no end: 250, quarantine, in bounded time (R9)."""
    async with house(tmp_path) as desk:
        deep = b"".join(b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n) for n in range(500))
        many = _multipart(*[b"Content-Type: text/plain\r\n\r\nx"] * 3000)
        endless = mail(b"--B\r\n" * 10, 'Content-Type: multipart/mixed; boundary="B"\r\n')
        for raw in (HEAD.encode() + deep, many, endless):
            await asyncio.wait_for(quarantined(desk, raw, "A0016"), 10)
