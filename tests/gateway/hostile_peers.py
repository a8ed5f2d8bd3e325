"""Hostile peers, one table row each: what they send, how slowly, whether they read, and what must become of them.

A row is a value (:class:`Attack`); :func:`carry_out` runs it against a door and tells its :class:`Fate`. Nothing of the
gateway's code speaks here: the peers are bytes on sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

__all__ = ["FLOODS", "SLOW", "TIMERS", "Attack", "Fate", "carry_out", "poured"]

MB = 1024 * 1024
CENTRE = b"NACCS@SMTP.TEST.SEKISHO.EXAMPLE"
IMPLICIT = ("smtps", "pop3s", "https")
TALKS_FIRST = ("two-way", "mail", "smtps", "pop3", "pop3s", "sftp")
_KEPT = 4_096
_GREETED = 10.0
_LEAK = re.compile(rb'Traceback|File "|sekisho[./]|\.py\b|aiohttp|asyncssh|Error\(|Exception|/usr/|/home/')
"""What no answer may hold: names of modules and classes, paths, tracebacks."""

TIMERS = """
[limits]
connections_partner = 2000
connections_address = 2000
connections_total = 2000
smtp_idle_two_way = 2
smtp_idle_mail = 2
smtp_transaction = 3
smtp_session = 12
tls_handshake = 2
login_seconds = 3
pop3_idle = 2
pop3_session = 12
http_head = 2
http_idle = 4
http_body_idle = 1.5
http_body = 3
http_stall = 3
sftp_idle = 3
sftp_upload = 4
"""
"""The gateway's timers for these tests: seconds in place of minutes."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One kind of peer at one door.

    ``opening`` are pieces that each wait for an answer; ``first`` is sent after them, and ``piece`` every ``pace``
    seconds until ``most`` bytes are out (0: until the gateway closes), and ``end`` after it. ``eof`` closes the sending
    half, ``reads`` is False for peers that never read. ``answer`` is searched in what was said. ``within`` are the
    seconds after which the gateway must have closed the connection; 0: it stays usable, and ``answer`` must have come.
    ``tls`` wraps the connection first; None: where the door wants it.
    """

    name: str
    door: str
    answer: bytes
    within: float
    opening: tuple[bytes, ...] = ()
    first: bytes = b""
    piece: bytes = b""
    most: int = 0
    pace: float = 0.0
    end: bytes = b""
    eof: bool = False
    reads: bool = True
    tls: bool | None = None

    @property
    def encrypted(self) -> bool:
        """Whether the peer does the TLS handshake."""
        return self.door in IMPLICIT if self.tls is None else self.tls

    def __str__(self) -> str:
        return f"{self.door}: {self.name}"


@dataclass(slots=True)
class Fate:
    """What became of a peer: the beginning and the end of what it heard, whether it was closed, and when."""

    attack: Attack
    heard: bytes = b""
    closed: bool = False
    seconds: float = 0.0
    sent: int = 0
    growth: int = 0
    """Bytes by which the gateway's memory grew meanwhile, where that was looked at."""

    @property
    def faults(self) -> list[str]:
        """What is not as it must be; empty for a peer that got what it deserves."""
        attack, found = self.attack, []
        if attack.within and not self.closed:
            found.append(f"still open after {attack.within} s")
        if attack.reads and not re.search(attack.answer, self.heard, re.DOTALL):
            found.append(f"heard {self.heard[-300:]!r}, expected {attack.answer!r}")
        if _LEAK.search(self.heard):
            found.append(f"an answer tells of the inside: {self.heard[-300:]!r}")
        return [f"{attack}: {text}" for text in found]


@functools.cache
def _client_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class _Peer:
    """One connection on its way through an attack."""

    def __init__(self, attack: Attack) -> None:
        self.fate = Fate(attack)
        self._began = time.monotonic()
        self._heard = asyncio.Event()
        self._total = 0
        self._listening: asyncio.Task[None] | None = None

    async def run(self, address: tuple[str, int]) -> Fate:
        attack, writer = self.fate.attack, None
        try:
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                reader, writer = await self._open(address)
                if attack.reads:
                    self._listening = asyncio.create_task(self._listen(reader))
                else:
                    writer.transport.pause_reading()  # type: ignore[attr-defined] # a stream's transport can
                try:
                    await self._talk(writer)
                except _OverdueError:
                    await self._look_up(reader, writer)
        finally:
            if self._listening is not None:
                self._listening.cancel()
                await asyncio.gather(self._listening, return_exceptions=True)
            if writer is not None:
                writer.transport.abort()
        self.fate.seconds = time.monotonic() - self._began
        return self.fate

    async def _open(self, address: tuple[str, int]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        wire = socket.socket()
        wire.setblocking(False)
        if not self.fate.attack.reads:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        await asyncio.get_running_loop().sock_connect(wire, address)
        tls = _client_tls() if self.fate.attack.encrypted else None
        return await asyncio.open_connection(sock=wire, ssl=tls, server_hostname="localhost" if tls else None)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        fate = self.fate
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while data := await reader.read(65_536):
                fate.heard += data
                self._total += len(data)
                if len(fate.heard) > 2 * _KEPT:
                    fate.heard = fate.heard[:_KEPT] + fate.heard[-_KEPT:]
                self._heard.set()
        fate.closed = True
        self._heard.set()

    async def _talk(self, writer: asyncio.StreamWriter) -> None:
        attack, fate = self.fate.attack, self.fate
        try:
            if attack.door in TALKS_FIRST and (attack.encrypted or attack.door not in IMPLICIT):
                await self._answered(0)
            for piece in attack.opening:
                mark = self._total
                await self._write(writer, piece)
                await self._answered(mark)
            await self._write(writer, attack.first)
            while attack.piece and not fate.closed and not (attack.most and fate.sent >= attack.most):
                self._bounded()
                await self._write(writer, attack.piece)
                await asyncio.sleep(attack.pace)
            await self._write(writer, attack.end)
            if attack.eof:
                writer.write_eof()
            await self._settled()
        except (ConnectionError, ssl.SSLError):
            fate.closed = True
            await asyncio.sleep(0.05)  # what was said before the close may still be on its way to the reader

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """Send; a peer that is not read waits for the close only."""
        if not data or self.fate.closed:
            return
        writer.write(data)
        self.fate.sent += len(data)
        while not self.fate.closed:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(writer.drain(), 0.2)
                return
            self._bounded()
            if writer.transport.is_closing():
                raise ConnectionResetError

    def _bounded(self) -> None:
        attack = self.fate.attack
        if attack.within and time.monotonic() - self._began > attack.within:
            raise _OverdueError

    async def _look_up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The time is over: a peer that did not read looks whether it was closed, which TLS hides from it till then."""
        if self._listening is None:
            writer.transport.resume_reading()  # type: ignore[attr-defined] # as above
            self._listening = asyncio.create_task(self._listen(reader))
            await asyncio.wait([self._listening], timeout=2)

    async def _answered(self, mark: int) -> None:
        """Wait until more has been heard than ``mark`` bytes, and it ends with a line."""
        if not self.fate.attack.reads:
            await asyncio.sleep(0.02)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GREETED):
                while self._total <= mark and not self.fate.closed:
                    self._heard.clear()
                    await self._heard.wait()

    async def _settled(self) -> None:
        """Wait for the close or, where the connection stays, for the answer."""
        attack, fate = self.fate.attack, self.fate
        until = self._began + attack.within if attack.within else time.monotonic() + _GREETED
        while not fate.closed and time.monotonic() < until:
            if not attack.within and re.search(attack.answer, fate.heard, re.DOTALL):
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._heard.wait(), 0.1)
            self._heard.clear()


class _OverdueError(Exception):
    """The gateway has not closed the connection in time."""


async def carry_out(attack: Attack, doors: Mapping[str, str]) -> Fate:
    """Run one peer against its door (``doors``: the names and addresses of the ready line)."""
    host, _, port = doors[attack.door].rpartition(":")
    return await _Peer(attack).run((host, int(port)))


# The rows -------------------------------------------------------------------------------------------------------------

SMTP, POP3, HTTP = ("two-way", "mail", "smtps"), ("pop3", "pop3s"), ("http", "https")
_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
"""How a ClientHello of 512 bytes begins."""
_DATA = (
    b"EHLO x.EXAMPLE\r\n",
    b"MAIL FROM:<1ANAC1@SMTP.BROKER.SEKISHO.EXAMPLE>\r\n",
    b"RCPT TO:<%s>\r\n" % CENTRE,
    b"DATA\r\n",
)
_HEAD = b'POST /ebms HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nSOAPAction: "ebXML"\r\n'
_LATE = rb"421 4\.4\.2 "
_ANY = rb"^220 "
"""The greeting: 421 may be lost to a peer that still sends when the connection closes."""
_SHUT = rb""
"""Closed; whether with a word is the protocol's (RFC 1939 section 3: POP3 says none)."""


def _slow() -> list[Attack]:
    rows = []
    for door in SMTP:
        rows += [
            Attack("silent", door, rb"^220 .*" + _LATE, 8),
            Attack("drip in a command", door, rb"^220 .*" + _LATE, 18, piece=b"N", pace=0.5),
            Attack("drip in a mail", door, rb"354 .*" + _LATE, 10, opening=_DATA, piece=b"a", pace=0.5),
            Attack("never reads", door, _SHUT, 22, piece=b"NOOP\r\n" * 2_000, reads=False),
        ]
    for door in POP3:
        rows += [
            Attack("silent", door, rb"^\+OK", 8),
            Attack("drip in a command", door, rb"^\+OK", 8, piece=b"U", pace=0.5),
            Attack("never reads", door, _SHUT, 22, piece=b"CAPA\r\n" * 2_000, reads=False),
        ]
    for door in HTTP:
        rows += [
            Attack("silent", door, _SHUT, 12),
            Attack("drip in a head", door, rb"^HTTP/1\.1 408 ", 9, piece=b"a", pace=0.5,
                   first=b"GET / HTTP/1.1\r\nX: "),
            Attack("drip in a body", door, rb"HTTP/1\.1 408 ", 10, piece=b"a", pace=0.5,
                   opening=(_HEAD + b"Expect: 100-continue\r\nContent-Length: 9000\r\n\r\n",)),
            Attack("lies about its length", door, rb"^HTTP/1\.1 408 ", 9,
                   piece=_HEAD + b"Content-Length: 9000\r\n\r\n<a/>", most=1),
            Attack("never reads", door, _SHUT, 12, reads=False,
                   first=b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 500, piece=b"\r\n", pace=0.5),
        ]  # fmt: skip
    rows += [
        Attack("silent", "sftp", rb"^SSH-2\.0-", 8),
        Attack("drip in the greeting", "sftp", rb"^SSH-2\.0-", 8, piece=b"S", pace=0.5),
        Attack("half-closed", "two-way", rb"^220 ", 8, eof=True),
        Attack("half-closed", "mail", rb"^220 ", 8, eof=True),
        Attack("half-closed", "pop3", rb"^\+OK", 8, eof=True),
        Attack("half-closed", "http", _SHUT, 8, eof=True),
        Attack("half-closed", "sftp", rb"^SSH-2\.0-", 8, eof=True),
        Attack("key exchange stalls", "sftp", rb"^SSH-2\.0-", 8, piece=b"SSH-2.0-x\r\n\0\0\x10\0\x04\x14", most=1),
        Attack("STARTTLS stalls", "mail", rb"220 2\.0\.0 ", 8, opening=(b"EHLO x\r\n", b"STARTTLS\r\n")),
        Attack("STARTTLS drips", "mail", rb"220 2\.0\.0 ", 8, opening=(b"EHLO x\r\n", b"STARTTLS\r\n", _HELLO),
               piece=b"\0", pace=0.5),
        Attack("STLS stalls", "pop3", rb"\+OK Begin|\+OK.*\+OK", 8, opening=(b"STLS\r\n",)),
    ]  # fmt: skip
    for door in IMPLICIT:
        rows += [
            Attack("no handshake", door, _SHUT, 8, tls=False),
            Attack("handshake stalls", door, _SHUT, 8, tls=False, piece=_HELLO, most=1),
            Attack("handshake drips", door, _SHUT, 8, tls=False, piece=b"\x16", pace=0.5),
        ]
    return rows


def _floods() -> list[Attack]:
    block = b"a" * 65_536
    rows = []
    for door in SMTP:
        rows += [
            Attack("endless line", door, rb"\r\n500 5\.5\.[26] ", 0, piece=block, most=64 * MB, end=b"\r\n"),
            Attack("endless head of a mail", door, rb"354 .*552 5\.3\.4 ", 0, opening=_DATA,
                   piece=b"X-Header: and more\r\n" * 3_000, most=64 * MB, end=b"\r\n\r\n.\r\n"),
            Attack("endless mail", door, rb"354 .*552 5\.3\.4 ", 0, opening=_DATA,
                   piece=b"\r\n" + block, most=64 * MB, end=b"\r\n.\r\n"),
            Attack("endless line in a mail", door, rb"354 .*552 5\.3\.4 ", 0, opening=_DATA,
                   piece=block, most=64 * MB, end=b"\r\n.\r\n"),
            Attack("endless wrong commands", door, _ANY, 12, piece=b"XYZZY\r\n" * 1_000),
            Attack("endless right commands", door, rb"^220 .*250 2\.0\.0 OK.*221 ", 30,
                   piece=b"NOOP\r\n" * 20_000, most=2 * MB, end=b"QUIT\r\n"),
        ]  # fmt: skip
    for door in POP3:
        rows += [
            Attack("endless line", door, rb"^\+OK[^\n]*\r\n-ERR", 0, piece=block, most=64 * MB, end=b"\r\n"),
            Attack("endless wrong commands", door, rb"-ERR", 12, piece=b"XYZZY\r\n" * 1_000),
            Attack("endless right commands", door, rb"^\+OK.*\+OK", 30,
                   piece=b"CAPA\r\n" * 20_000, most=2 * MB, end=b"QUIT\r\n"),
        ]
    for door in HTTP:
        rows += [
            Attack("endless request line", door, rb"^HTTP/1\.[01] 4(00|14|31) ", 12,
                   piece=b"GET /" + block, most=64 * MB),
            Attack("endless field", door, rb"^HTTP/1\.[01] 4(00|31) ", 12,
                   piece=_HEAD + b"X: " + block, most=64 * MB),
            Attack("endless head", door, rb"^HTTP/1\.[01] 4(00|31) ", 12,
                   piece=_HEAD + b"X: a\r\n" * 4_000, most=64 * MB),
            Attack("endless chunks", door, rb"HTTP/1\.1 413 ", 12,
                   opening=(_HEAD + b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",),
                   piece=b"10000\r\n" + block + b"\r\n", most=64 * MB),
            Attack("endless chunk size", door, rb"HTTP/1\.[01] 4(00|08|13) ", 12,
                   opening=(_HEAD + b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",),
                   piece=b"0" * 65_536, most=64 * MB),
            Attack("announces 64 GB", door, rb"^HTTP/1\.1 413 ", 12, most=64 * MB, piece=block,
                   opening=(_HEAD + b"Content-Length: 68719476736\r\n\r\n",)),
        ]  # fmt: skip
    rows += [
        Attack("endless greeting", "sftp", rb"^SSH-2\.0-", 12, piece=block, most=64 * MB),
        Attack("endless packet", "sftp", rb"^SSH-2\.0-", 12, opening=(b"SSH-2.0-x\r\n",), piece=block, most=64 * MB),
    ]
    return rows


SLOW = _slow()
"""Peers that waste time: each must be closed by a timer."""
FLOODS = _floods()
"""Peers that waste room: each must be answered or closed, and cost no memory."""


def poured(attack: Attack, most: int) -> Attack:
    """The same flood with ``most`` bytes; not one of commands that are each answered, which is work and no waste."""
    return replace(attack, most=most) if attack.most == 64 * MB else attack
