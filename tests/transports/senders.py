"""Senders on real loopback sockets, a listener for them, and a house that keeps what it is given."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import ClassVar

from sekisho.codecs.envelope import Envelope
from sekisho.transports.base import Receipt, Verdict
from sekisho.transports.smtp import SmtpLimits, SmtpListener

CENTRE = "NACCS@SMTP.TEST.SEKISHO.EXAMPLE"
SENDER = "1ANAC1@SMTP.BROKER.SEKISHO.EXAMPLE"
NOON = datetime(2026, 4, 1, 3, 0, tzinfo=UTC)
TELEGRAM = b"   TCC  ".ljust(398) + b"\r\n" + b"\xc0\xc7\xb4\xd8\r\n"
MAIL = (
    b"From:" + SENDER.encode() + b"\r\nTo:" + CENTRE.encode() + b"\r\nMime-Version:1.0\r\n"
    b'Content-Type:Text/xml;charset="EUC-JP"\r\nContent-Transfer-Encoding:8bit\r\n\r\n' + TELEGRAM + b"\r\n"
)
ENVELOPE = b"MAIL FROM:<" + SENDER.encode() + b">\r\nRCPT TO:<" + CENTRE.encode() + b">\r\n"


class House:
    """Keeps what it is given; ``answer`` is what it does with it."""

    def __init__(self) -> None:
        self.got: list[Envelope] = []
        self.answer: Callable[[Envelope], Awaitable[Receipt]] = self.accept

    def __call__(self, envelope: Envelope) -> Awaitable[Receipt]:
        return self.answer(envelope)

    async def accept(self, envelope: Envelope) -> Receipt:
        """Say yes after a turn of the loop, as after a commit."""
        await asyncio.sleep(0)
        self.got.append(envelope)
        return Receipt(Verdict.ACCEPTED, f"kept {len(self.got)}", len(self.got))


@contextlib.asynccontextmanager
async def listening(house: House, **limits: float) -> AsyncIterator[SmtpListener]:
    """A started listener on a free port."""
    listener = SmtpListener(
        name="two-way",
        host="127.0.0.1",
        port=0,
        mode="two-way",
        centre=[CENTRE],
        submit=house,
        hostname="centre.sekisho.example",
        limits=SmtpLimits(**limits),  # type: ignore[arg-type]
        clock=lambda: NOON,
    )
    await listener.start()
    Peer.opened[listener] = []
    try:
        yield listener
    finally:
        await listener.stop(0.1)
        for peer in Peer.opened.pop(listener):
            peer.writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await peer.writer.wait_closed()


class Peer:
    """A sender in lock-step: one line out, one reply in. ``opened`` is closed by :func:`listening`."""

    opened: ClassVar[dict[SmtpListener, list["Peer"]]] = {}

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def at(cls, listener: SmtpListener, *, greeted: bool = True) -> "Peer":
        """Connect, and read the greeting and HELO's reply when ``greeted``."""
        peer = cls(*await asyncio.open_connection(*listener.address))
        cls.opened[listener].append(peer)
        if greeted:
            assert (await peer.line()).startswith(b"220 ")
            assert (await peer.say(b"HELO inhouse\r\n")).startswith(b"250 ")
        return peer

    async def line(self) -> bytes:
        """The next line, empty at the end of the connection."""
        return await asyncio.wait_for(self.reader.readline(), 10)

    async def say(self, data: bytes) -> bytes:
        """Write, then read one line."""
        self.writer.write(data)
        return await self.line()

    async def data(self) -> None:
        """Go on to inside DATA."""
        self.writer.write(ENVELOPE + b"DATA\r\n")
        assert [(await self.line())[:3] for _ in range(3)] == [b"250", b"250", b"354"]


async def until(condition: Callable[[], bool]) -> None:
    """Wait at most five seconds for something that another task brings about."""
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it did not happen within five seconds"
        await asyncio.sleep(0.01)


async def blocked(peer: Peer, data: bytes) -> bool:
    """Write up to 64 MB; whether the other side stopped taking it, for half a second, before the end."""
    for _ in range(64 * 1024 * 1024 // len(data)):
        peer.writer.write(data)
        try:
            await asyncio.wait_for(peer.writer.drain(), 0.5)
        except TimeoutError:
            return True
    return False
