"""Senders and fetchers of every door for the kill test: they insist on their yes, and write down what they saw.

A :class:`Sender` goes on with the request it has until somebody says yes, over any number of gateways; ``told`` counts
what it sent and heard. A fetcher notes every letter that it read, and which of them it was told are gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import poplib
import random
import smtplib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import aiohttp
import asyncssh

from sekisho.codecs.ebms.values import Wire
from sekisho.gateway.proof.wire import CENTRE, address, box, ola

from .ebms_peer import Peer
from .support import Desk

__all__ = ["PASSWORD", "EbmsSender", "Fetched", "MailSender", "Sender", "SftpSender", "fetch_files", "fetch_mails"]

PASSWORD = "BOXPASS1"
GONE = (OSError, EOFError, smtplib.SMTPException, poplib.error_proto, asyncssh.Error, aiohttp.ClientError, TimeoutError)


def at(desk: Desk, door: str) -> tuple[str, int]:
    """Host and port of a listener."""
    host, _, port = desk.listeners[door].rpartition(":")
    return host, int(port)


@contextlib.asynccontextmanager
async def sftp_of(desk: Desk, name: str) -> AsyncIterator[asyncssh.SFTPClient]:
    """A client of a box."""
    host, port = at(desk, "sftp")
    async with (
        asyncssh.connect(
            host, port, username=name, password=PASSWORD, known_hosts=None, client_keys=None, config=None
        ) as connection,
        connection.start_sftp_client() as client,
    ):
        yield client


@dataclass
class Sender:
    """One sender of one door, who is user and box ``number`` of the proof's registry."""

    number: int
    made: int = 0
    yes: set[str] = field(default_factory=set)
    tries: Counter[str] = field(default_factory=Counter)
    answers: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))

    @property
    def reference(self) -> str:
        """The request that is on its way."""
        return f"P{self.number}-{self.made:07d}"

    def content(self, reference: str) -> bytes:
        """The request (OLA) of a reference."""
        return self.mail(reference).partition(b"\r\n\r\n")[2]

    def mail(self, reference: str) -> bytes:
        """The same as a mail."""
        return ola(self.number, reference, f"<{reference}@KILLED.EXAMPLE>")

    async def run(self, desk: Desk) -> None:
        """Send until the gateway is gone; the request that was not answered is the first of the next gateway."""
        with contextlib.suppress(*GONE):
            while True:
                reference = self.reference
                self.tries[reference] += 1
                self.answers[reference].add(await self.send(desk, reference))
                self.yes.add(reference)
                self.made += 1
                await asyncio.sleep(0.01)

    async def send(self, desk: Desk, reference: str) -> bytes:
        """Send one request; what was answered, where the answer itself is to be the same each time."""
        raise NotImplementedError


class MailSender(Sender):
    """Mail style: a session for each mail."""

    async def send(self, desk: Desk, reference: str) -> bytes:
        """See :meth:`Sender.send`."""

        def post() -> None:
            with smtplib.SMTP(*at(desk, "mail"), timeout=10) as client:
                client.sendmail(address(self.number), [CENTRE], self.mail(reference))

        await asyncio.to_thread(post)
        return b""


class SftpSender(Sender):
    """Puts a file under a temporary name and renames it."""

    async def send(self, desk: Desk, reference: str) -> bytes:
        """See :meth:`Sender.send`."""
        async with sftp_of(desk, box(self.number)) as client:
            async with client.open(f"/in/{reference}.tmp", "wb") as file:
                await file.write(self.content(reference))
            await client.rename(f"/in/{reference}.tmp", f"/in/{reference}.edi")
        return b""


@dataclass
class EbmsSender(Sender):
    """Posts an ebMS message, the same bytes each time; keeps the answer's bytes."""

    peer: Peer = field(default_factory=Peer)
    wires: dict[str, Wire] = field(default_factory=dict)

    async def send(self, desk: Desk, reference: str) -> bytes:
        """See :meth:`Sender.send`."""
        if reference not in self.wires:
            self.wires[reference] = self.peer.write(self.peer.request(self.content(reference)))
        host, port = at(desk, "http")
        self.peer.url = f"http://{host}:{port}/ebms"
        said = await self.peer.post(self.wires[reference])
        if said.status != 200:
            raise TimeoutError
        return said.body


@dataclass
class Fetched:
    """What fetchers saw of one box: the bytes of each letter by its UIDL or path, how often, and what was gone."""

    box: str
    letters: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    gone: set[str] = field(default_factory=set)
    again: Counter[str] = field(default_factory=Counter)
    unfinished: int = 0

    def saw(self, name: str, letter: bytes) -> None:
        """Note a letter; one that was told to be gone counts in ``again``."""
        self.letters[name].add(letter)
        if name in self.gone:
            self.again[name] += 1


def fetch_mails(desk: Desk, fetched: Fetched, chance: Callable[[], float]) -> int:
    """One POP3 session that reads everything; now and then it leaves without QUIT. How many letters there were."""
    client = poplib.POP3(*at(desk, "pop3"), timeout=10)
    try:
        client.user(fetched.box)
        client.pass_(PASSWORD)
        names = [line.decode("ascii").split()[1] for line in client.uidl()[1]]
        for number, name in enumerate(names, 1):
            fetched.saw(name, b"".join(line + b"\r\n" for line in client.retr(number)[1]).partition(b"\r\n\r\n")[2])
        for number in range(1, len(names) + 1):
            client.dele(number)
        if chance() < 0.3:
            fetched.unfinished += bool(names)
            return len(names)
        client.quit()
        fetched.gone.update(names)
        return len(names)
    finally:
        client.close()


async def fetch_files(desk: Desk, fetched: Fetched, chance: Callable[[], float]) -> int:
    """Read every file of /out, and remove it; now and then one is left. How many there were."""
    count = 0
    async with sftp_of(desk, fetched.box) as client:
        for day in await client.listdir(f"/out/{fetched.box}"):
            if str(day).startswith("."):
                continue
            for name in await client.listdir(f"/out/{fetched.box}/{day}"):
                path = f"/out/{fetched.box}/{day}/{name}"
                if str(name).startswith("."):
                    continue
                count += 1
                async with client.open(path, "rb") as file:
                    content: bytes = await file.read()
                fetched.saw(path, content)
                if chance() < 0.1:
                    fetched.unfinished += 1
                    continue
                await client.remove(path)
                fetched.gone.add(path)
    return count


async def fetching(desk: Desk, fetched: Fetched, door: str, chance: random.Random) -> None:
    """Fetch again and again until the gateway is gone."""
    with contextlib.suppress(*GONE):
        while True:
            if door == "pop3":
                await asyncio.to_thread(fetch_mails, desk, fetched, chance.random)
            else:
                await fetch_files(desk, fetched, chance.random)
            await asyncio.sleep(0.05)
