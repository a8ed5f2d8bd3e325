"""One mailbox, every door: a letter leaves by whichever door its box has, and is then gone from the others."""

import asyncio
import poplib
import smtplib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from sekisho.gateway.inhouse import build_mail
from sekisho.gateway.passwords import hash_password
from sekisho.mailboxes.store import Unit

from .support import BROKER, Desk, house

MAIL = "NACCS@MAIL.TEST.SEKISHO.EXAMPLE"
DOORS = f"""
[[listener]]
name = "mail"
mode = "mail"
address = "127.0.0.1:0"
centre = ["{MAIL}"]
auth = "required"
[[listener]]
name = "pop3"
kind = "pop3"
address = "127.0.0.1:0"
[[listener]]
name = "sftp"
kind = "sftp"
address = "127.0.0.1:0"
[limits]
login_delay = 0
"""
HASH = hash_password("BOXPASS1")


def _boxes(*doors: str) -> Callable[[Unit], object]:
    """The broker's box has these doors, the forwarder's all that are fetched from; nothing is pushed successfully."""

    def change(unit: Unit) -> None:
        for name, have in (("BRK", doors), ("FWD", ("pop3", "sftp"))):
            box = unit.box(name)
            assert box is not None
            unit.put_box(replace(box, doors=have, push="127.0.0.1:9", password_hash=HASH))

    return change


def _at(desk: Desk, name: str) -> tuple[str, int]:
    host, _, port = desk.listeners[name].rpartition(":")
    return host, int(port)


def _send_mail(desk: Desk, content: bytes, box: str, sender: str = BROKER) -> None:
    """Mail style: log in with mailbox ID and password, send one request."""
    with smtplib.SMTP(*_at(desk, "mail"), timeout=10) as client:
        client.ehlo("in-house")
        client.login(box, "BOXPASS1")
        assert client.sendmail(sender, [MAIL], build_mail(content, sender=sender, recipient=MAIL)) == {}


def _fetch(desk: Desk, box: str, *, delete: bool) -> list[bytes]:
    """What POP3 gives."""
    client = poplib.POP3(*_at(desk, "pop3"), timeout=10)
    client.user(box)
    client.pass_("BOXPASS1")
    mails = []
    for number in range(1, len(client.list()[1]) + 1):
        mails.append(b"\r\n".join(client.retr(number)[1]))
        if delete:
            client.dele(number)
    client.quit()
    return mails


def _sftp(desk: Desk, box: str) -> asyncssh.misc._ACMWrapper[asyncssh.SSHClientConnection]:
    host, port = _at(desk, "sftp")
    return asyncssh.connect(host, port, username=box, password="BOXPASS1", known_hosts=None, client_keys=None)


async def _put(desk: Desk, box: str, content: bytes) -> None:
    async with (
        _sftp(desk, box) as connection,
        connection.start_sftp_client() as client,
        client.open("/in/tcc.edi", "wb") as file,
    ):
        await file.write(content)


async def _files(desk: Desk, box: str) -> list[str]:
    async with _sftp(desk, box) as connection, connection.start_sftp_client() as client:
        found = []
        for day in await client.listdir(f"/out/{box}"):
            if not day.startswith("."):
                names = await client.listdir(f"/out/{box}/{day}")
                found += [f"/out/{box}/{day}/{name}" for name in names if not name.startswith(".")]
        return sorted(found)


async def test_sent_by_mail_style_fetched_by_pop3(tmp_path: Path) -> None:
    """Mail style: the reply waits in the mailbox; fetched and deleted there, it is gone from sftp, and it says how."""
    async with house(tmp_path, DOORS, change=_boxes("smtp-push", "pop3", "sftp")) as desk:
        await asyncio.to_thread(_send_mail, desk, desk.request("TCC"), "BRK")
        await desk.processed(1)
        assert len(await asyncio.to_thread(_fetch, desk, "BRK", delete=False)) == 1
        assert len(await _files(desk, "BRK")) == 1
        (mail,) = await asyncio.to_thread(_fetch, desk, "BRK", delete=True)
        assert b"*CTCC" in mail
        assert await _files(desk, "BRK") == []
        (letter,) = desk.letters("BRK")
        assert (letter.state, letter.door, letter.due_at) == ("delivered", "pop3", None)
        assert desk.requests[0].principal == "BRK"


async def test_sent_and_fetched_by_sftp(tmp_path: Path) -> None:
    """SFTP: put and rename, the reply lies in /out; removed there, it is gone from POP3."""
    async with house(tmp_path, DOORS, change=_boxes("pop3", "sftp")) as desk:
        async with _sftp(desk, "BRK") as connection, connection.start_sftp_client() as client:
            async with client.open("/in/tcc.tmp", "wb") as file:
                await file.write(desk.request("TCC"))
            await client.rename("/in/tcc.tmp", "/in/tcc.edi")
        await desk.processed(1)
        (path,) = await _files(desk, "BRK")
        async with _sftp(desk, "BRK") as connection, connection.start_sftp_client() as client:
            await client.get(path, tmp_path / "reply")
            assert (tmp_path / "reply").read_bytes()[8:13] == b"*CTCC"
            await client.remove(path)
            assert [name for name in await client.listdir("/sent") if not name.startswith(".")]
        assert await asyncio.to_thread(_fetch, desk, "BRK", delete=False) == []
        assert desk.letters("BRK")[0].door == "sftp"


@pytest.mark.parametrize("line", ["mail", "sftp"])
async def test_a_line_of_one_company_carries_no_other_users_requests(tmp_path: Path, line: str) -> None:
    """A0013: AUTH name or SFTP user belongs to another 利用者コード than the header's; the box that sent it is told."""
    async with house(tmp_path, DOORS, change=_boxes("pop3")) as desk:
        request = desk.request("TCC")  # a user of BRK, over the line of FWD
        if line == "mail":
            await asyncio.to_thread(_send_mail, desk, request, "FWD", sender="")
        else:
            await _put(desk, "FWD", request)
        await desk.processed(1)
        assert desk.requests[0].result[:5] == "A0013"
        assert [(letter.box, letter.subject[:5]) for letter in desk.letters()] == [("FWD", "A0013")]


async def test_the_same_file_again_is_the_same_request(tmp_path: Path) -> None:
    """Identity by SFTP is name, size and hash: put twice, it has one effect, and its reply waits once."""
    async with house(tmp_path, DOORS, change=_boxes("sftp")) as desk:
        for _ in range(2):
            await _put(desk, "BRK", desk.request("TCC"))
        await desk.processed(1)
        assert len(desk.requests) == 1
        (path,) = await _files(desk, "BRK")
        async with _sftp(desk, "BRK") as connection, connection.start_sftp_client() as client:
            await client.remove(path)
            async with client.open("/in/tcc.edi", "wb") as file:
                await file.write(desk.request("TCC"))
        assert await desk.until(lambda view: view.waiting("BRK"))
        assert await _files(desk, "BRK") == [path]


async def test_every_door_answers_alike_to_a_wrong_password(tmp_path: Path) -> None:
    """A box opens with its own password only: not with a user's, and nobody is told what was wrong."""
    async with house(tmp_path, DOORS, change=_boxes("pop3", "sftp")) as desk:
        await asyncio.to_thread(_fetch_wrongly, desk)
        with pytest.raises(asyncssh.PermissionDenied):
            await _connect_wrongly(desk)
        await asyncio.to_thread(_send_wrongly, desk)
        assert desk.requests == []


def _fetch_wrongly(desk: Desk) -> None:
    client = poplib.POP3(*_at(desk, "pop3"), timeout=10)
    for box in ("BRK", "NOBODY"):
        client.user(box)
        with pytest.raises(poplib.error_proto, match=r"\[AUTH\] Name or password is wrong"):
            client.pass_("SAMPLE01")
    client.quit()


def _send_wrongly(desk: Desk) -> None:
    with smtplib.SMTP(*_at(desk, "mail"), timeout=10) as sender:
        sender.ehlo("in-house")
        with pytest.raises(smtplib.SMTPAuthenticationError):
            sender.login("BRK", "SAMPLE01")
        assert sender.mail(BROKER)[0] == 530


async def _connect_wrongly(desk: Desk) -> None:
    host, port = _at(desk, "sftp")
    await asyncssh.connect(host, port, username="BRK", password="SAMPLE01", known_hosts=None, client_keys=None)


async def test_the_result_comes_by_the_door_of_the_box(tmp_path: Path) -> None:
    """Who sends by two-way SMTP and has a box with the pop3 door alone fetches his reply there."""
    async with house(tmp_path, DOORS, change=_boxes("pop3")) as desk:
        assert (await desk.post(desk.request("TCC"))).accepted
        await desk.processed(1)
        (mail,) = await asyncio.to_thread(_fetch, desk, "BRK", delete=True)
        assert mail.split(b"\r\n\r\n", 1)[1][8:15] == b"*CTCC  "
        assert desk.inhouse.arrivals == []
