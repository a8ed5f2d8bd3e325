"""SMTP receivers for tests, built as other companies build theirs: real servers on a free loopback port.

Nothing here uses the house's own code. Each is an async context manager::

    async with ObservedReceiver() as peer:
        ...  # talk to peer.host, peer.port
        assert peer.messages[0].data == b"..."

:class:`ObservedReceiver` does what was observed of a real in-house receiver (naccs-edi.md 7.2);
:class:`PipeliningReceiver` is a strict RFC 2920 server that notes every breach; :class:`FaultyReceiver` follows a
script of :class:`Fault` s.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, SupportsIndex

__all__ = ["Fault", "FaultyReceiver", "ObservedReceiver", "PipeliningReceiver", "Received", "Session"]


@dataclass(frozen=True)
class Received:
    """One message: the paths as they stood in MAIL and RCPT (with their brackets), and the text.

    ``wire`` is the text as it came, without the final dot line; ``data`` the same with doubled dots undone;
    ``connection`` counts the connections of the receiver from 1.
    """

    sender: str
    recipient: str
    wire: bytes
    data: bytes
    connection: int


@dataclass
class Fault:
    """Something to go wrong at a verb (``CONNECT EHLO HELO MAIL RCPT DATA TEXT RSET QUIT``; TEXT is the final dot).

    The first ``after`` occurrences pass, the next ``times`` are hit. ``reply`` is said instead of the usual answer
    (empty with ``drop``: nothing is said), after ``delay`` seconds; ``drop`` closes the connection then. ``store``
    keeps the message of a TEXT all the same.
    """

    at: str
    reply: str = ""
    after: int = 0
    times: int = 1
    delay: float = 0.0
    drop: bool = False
    store: bool = False


class _Tap(asyncio.StreamReader):
    """A stream reader that remembers how the bytes came: ``segments`` as received, ``fed`` bytes in all.

    Segments stay apart only while they are read as they arrive, which is so on loopback below the socket's buffer.
    """

    def __init__(self) -> None:
        super().__init__(limit=1 << 20)
        self.segments: list[bytes] = []
        self.fed = 0

    def feed_data(self, data: Iterable[SupportsIndex]) -> None:
        segment = bytes(data)
        self.segments.append(segment)
        self.fed += len(segment)
        super().feed_data(segment)


@dataclass
class Session:
    """What one connection has said so far."""

    number: int
    reader: _Tap
    writer: asyncio.StreamWriter
    taken: int = 0
    sender: str | None = None
    recipient: str | None = None
    commands: list[bytes] = field(default_factory=list)

    async def line(self) -> bytes:
        """The next line with its CRLF; b"" at the end of the stream."""
        raw = await self.reader.readline()
        self.taken += len(raw)
        return raw

    @property
    def pipelined(self) -> bool:
        """Whether bytes beyond the last line have come already."""
        return self.reader.fed > self.taken


class _Receiver:
    """A server that takes one message after the other on a connection. The special ones differ in ``answer``."""

    greeting = "220 receiver ready"
    extensions: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.messages: list[Received] = []
        self.sessions: list[Session] = []
        self.breaches: list[str] = []
        self.host = "127.0.0.1"
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        """How many were opened so far."""
        return len(self.sessions)

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The listening sockets."""
        return self._server.sockets if self._server is not None else ()

    @property
    def open_connections(self) -> int:
        """How many are open now."""
        return len(self._tasks)

    @property
    def commands(self) -> list[bytes]:
        """Every command line of every connection, without its line end."""
        return [command for session in self.sessions for command in session.commands]

    @property
    def segments(self) -> list[bytes]:
        """The bytes of every connection in the pieces in which they came."""
        return [segment for session in self.sessions for segment in session.reader.segments]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.get_running_loop().create_server(self._protocol, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _protocol(self) -> asyncio.StreamReaderProtocol:
        reader = _Tap()
        return asyncio.StreamReaderProtocol(reader, lambda _, writer: self._accepted(reader, writer))

    def _accepted(self, reader: _Tap, writer: asyncio.StreamWriter) -> None:
        session = Session(len(self.sessions) + 1, reader, writer)
        self.sessions.append(session)
        task = asyncio.ensure_future(self._serve(session))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, session: Session) -> None:
        try:
            with contextlib.suppress(ConnectionError, TimeoutError, EOFError):
                await self.talk(session)
        finally:
            session.writer.close()

    async def talk(self, session: Session) -> None:
        """The whole conversation; returning closes the connection."""
        if not await self.event(session, "CONNECT", self.greeting):
            return
        while raw := await self.next_command(session):
            line = raw.rstrip(b"\r\n")
            session.commands.append(line)
            verb = line[:4].upper().decode("latin-1")
            if not await self.event(session, verb, self.answer(session, verb, line.decode("latin-1"))):
                return
            if verb == "QUIT":
                return

    async def next_command(self, session: Session) -> bytes:
        """The next command line; b"" ends the connection."""
        return await session.line()

    async def event(self, session: Session, verb: str, reply: str) -> bool:
        """Say ``reply`` and do what follows from it. False: the connection is over."""
        await self.say(session, reply)
        if verb == "DATA" and reply.startswith("354"):
            return await self.take_text(session)
        return True

    async def say(self, session: Session, reply: str) -> None:
        """One reply; a line break in it makes it a multi-line one as it stands."""
        session.writer.write(reply.encode("ascii") + b"\r\n")
        await session.writer.drain()

    async def take_text(self, session: Session) -> bool:
        """Read the text to its lone dot and answer it."""
        lines: list[bytes] = []
        while (raw := await session.line()) != b".\r\n":
            if not raw.endswith(b"\n"):
                return False
            lines.append(raw)
        return await self.text_done(session, lines, "250 stored")

    async def text_done(self, session: Session, lines: list[bytes], reply: str) -> bool:
        """The final dot has come."""
        self.store(session, lines)
        await self.say(session, reply)
        return True

    def store(self, session: Session, lines: list[bytes]) -> None:
        """Keep the message and forget the transaction."""
        plain = b"".join(line[1:] if line.startswith(b".") else line for line in lines)
        self.messages.append(
            Received(session.sender or "", session.recipient or "", b"".join(lines), plain, session.number)
        )
        session.sender = session.recipient = None

    def answer(self, session: Session, verb: str, line: str) -> str:
        """The usual answer to a command."""
        if verb == "EHLO":
            return "\r\n".join(["250-receiver", *(f"250-{name}" for name in self.extensions), "250 8BITMIME"])
        if verb in ("HELO", "NOOP"):
            return "250 receiver"
        if verb == "QUIT":
            return "221 bye"
        if verb == "RSET":
            session.sender = session.recipient = None
            return "250 forgotten"
        if verb == "MAIL":
            return self.answer_mail(session, line)
        if verb == "RCPT":
            return self.answer_rcpt(session, line)
        if verb == "DATA":
            return "354 go ahead" if session.recipient else "503 need RCPT"
        return "500 unknown command"

    def answer_mail(self, session: Session, line: str) -> str:
        """MAIL: strict about the order of commands."""
        if session.sender is not None:
            return "503 nested MAIL"
        session.sender = line.partition(":")[2]
        return "250 sender ok"

    def answer_rcpt(self, session: Session, line: str) -> str:
        """RCPT: strict about the order of commands."""
        if session.sender is None:
            return "503 need MAIL"
        session.recipient = line.partition(":")[2]
        return "250 recipient ok"


class ObservedReceiver(_Receiver):
    """The receiver of an in-house system as observed (naccs-edi.md 7.2, "What a real receiver can take").

    HELO, MAIL, RCPT, DATA, RSET and QUIT only, everything else is 500. RCPT must be exactly ``<addr>``; MAIL tolerates
    BODY= and SIZE=, any other parameter is 501. Several messages a connection. ``seven_bit`` drops the high bit of
    every byte of the text, as that receiver does; ``wire`` keeps the bytes as they came.
    """

    greeting = "220 in-house SMTP"

    def __init__(self, *, seven_bit: bool = False) -> None:
        super().__init__()
        self._seven_bit = seven_bit

    def answer(self, session: Session, verb: str, line: str) -> str:
        if verb not in ("HELO", "MAIL", "RCPT", "DATA", "RSET", "QUIT"):
            return "500 command not known"
        return super().answer(session, verb, line)

    def answer_mail(self, session: Session, line: str) -> str:
        found = re.fullmatch(r"MAIL FROM:(<[^<> ]*>)((?: [^ ]+)*)", line)
        if found is None or any(not word.startswith(("BODY=", "SIZE=")) for word in found[2].split()):
            return "501 parameter not known"
        return super().answer_mail(session, f"MAIL FROM:{found[1]}")

    def answer_rcpt(self, session: Session, line: str) -> str:
        if re.fullmatch(r"RCPT TO:<[^<> ]+@[^<> ]+>", line) is None:
            return "501 parameter not known"
        return super().answer_rcpt(session, line)

    def store(self, session: Session, lines: list[bytes]) -> None:
        super().store(session, lines)
        if self._seven_bit:
            kept = self.messages[-1]
            data = bytes(byte & 0x7F for byte in kept.data)
            self.messages[-1] = Received(kept.sender, kept.recipient, kept.wire, data, kept.connection)


class PipeliningReceiver(_Receiver):
    """A strict server that offers PIPELINING. ``breaches`` lists what RFC 2920 forbids and happened all the same.

    ``tls``: STARTTLS is offered with this context, and nothing but EHLO, STARTTLS and QUIT is served before it.
    """

    extensions: tuple[str, ...] = ("PIPELINING", "SIZE 12582912")

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self._tls = tls
        if tls is not None:
            self.extensions = (*self.extensions, "STARTTLS")

    async def event(self, session: Session, verb: str, reply: str) -> bool:
        if verb in ("EHLO", "DATA", "QUIT", "NOOP", "STAR") and session.pipelined:
            self.breaches.append(f"{verb} was not the last command of its group")
        if verb == "STAR" and self._tls is not None:
            await self.say(session, "220 ready for TLS")
            await session.writer.start_tls(self._tls)
            self.extensions = tuple(name for name in self.extensions if name != "STARTTLS")
            return True
        return await super().event(session, verb, reply)

    def answer(self, session: Session, verb: str, line: str) -> str:
        plain = session.writer.get_extra_info("sslcontext") is None
        if self._tls is not None and plain and verb not in ("EHLO", "STAR", "QUIT"):
            return "530 must issue STARTTLS first"
        return super().answer(session, verb, line)


class FaultyReceiver(_Receiver):
    """A server that fails as its ``faults`` say, and otherwise works.

    ``pipelining``: whether EHLO offers it. ``byte_by_byte``: replies come in segments of one byte. ``multiline``: every
    final reply gets a line before it. ``idle_close``: seconds after which it closes a silent connection, saying
    ``idle_words`` first if there are any. ``lax_data``: DATA is accepted without a valid recipient, as some servers do.
    """

    def __init__(
        self,
        faults: Iterable[Fault] = (),
        *,
        pipelining: bool = True,
        byte_by_byte: bool = False,
        multiline: bool = False,
        idle_close: float | None = None,
        idle_words: str = "",
        lax_data: bool = False,
    ) -> None:
        super().__init__()
        self.faults = list(faults)
        self.extensions = ("PIPELINING",) if pipelining else ()
        self._byte_by_byte = byte_by_byte
        self._multiline = multiline
        self._idle_close = idle_close
        self._idle_words = idle_words
        self._lax_data = lax_data
        self._seen: dict[str, int] = {}

    async def next_command(self, session: Session) -> bytes:
        try:
            async with asyncio.timeout(self._idle_close):
                return await session.line()
        except TimeoutError:
            if self._idle_words:
                await self.say(session, self._idle_words)
            return b""

    async def event(self, session: Session, verb: str, reply: str) -> bool:
        fault = self._due(verb)
        if fault is None:
            return await super().event(session, verb, reply)
        if fault.reply.startswith("2"):
            pass  # Oddly worded, but a yes.
        elif verb == "MAIL":
            session.sender = None
        elif verb == "RCPT":
            session.recipient = None
        return await self._suffer(session, fault, verb, reply)

    async def text_done(self, session: Session, lines: list[bytes], reply: str) -> bool:
        fault = self._due("TEXT")
        if fault is None:
            return await super().text_done(session, lines, reply)
        if fault.store or not (fault.reply or fault.drop):
            self.store(session, lines)
        session.sender = session.recipient = None
        return await self._suffer(session, fault, "TEXT", reply)

    async def _suffer(self, session: Session, fault: Fault, verb: str, usual: str) -> bool:
        if fault.delay:
            await asyncio.sleep(fault.delay)
        reply = fault.reply or ("" if fault.drop else usual)
        if reply and not fault.drop:
            return await super().event(session, verb, reply)
        if reply:
            await self.say(session, reply)
        return False

    async def say(self, session: Session, reply: str) -> None:
        if self._multiline and "\n" not in reply:
            reply = f"{reply[:3]}-first of two lines\r\n{reply}"
        if not self._byte_by_byte:
            await super().say(session, reply)
            return
        for byte in reply.encode("ascii") + b"\r\n":
            session.writer.write(bytes([byte]))
            await session.writer.drain()
            await asyncio.sleep(0.0005)

    def answer(self, session: Session, verb: str, line: str) -> str:
        if verb == "DATA" and self._lax_data:
            return "354 go ahead"
        return super().answer(session, verb, line)

    def _due(self, verb: str) -> Fault | None:
        count = self._seen[verb] = self._seen.get(verb, 0) + 1
        for fault in self.faults:
            if fault.at == verb and fault.after < count <= fault.after + fault.times:
                return fault
        return None
