"""A mail-style listener for tests: with or without TLS and AUTH, a doorkeeper of its own, peers that go over to TLS."""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

from sekisho.transports.base import TrayError
from sekisho.transports.smtp import SmtpListener
from sekisho.transports.smtp_session import SmtpLimits

from .senders import CENTRE, NOON, House, Peer

PLAIN = b"AUTH PLAIN " + base64.b64encode(b"\0BRK001\0BOXPASS1") + b"\r\n"
WRONG = b"AUTH PLAIN " + base64.b64encode(b"\0BRK001\0BOXPASS2") + b"\r\n"


class Keeper:
    """Knows one box, BRK001 with BOXPASS1, through the door smtp-auth. ``asked`` are the doors, names and peers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.closed = False
        self.open = asyncio.Event()
        self.open.set()

    async def password(self, door: str, box: str, password: str, peer: str) -> str | None:
        """The box if it is that one."""
        self.asked.append((door, box, peer))
        await self.open.wait()
        if self.closed:
            raise TrayError("the registry cannot be read")
        return "BRK001" if (box.upper(), password) == ("BRK001", "BOXPASS1") else None

    async def apop(self, box: str, banner: str, digest: str, peer: str) -> str | None:
        """No part of SMTP."""
        raise NotImplementedError(box, banner, digest, peer)

    async def public_key(self, door: str, box: str, key: str, peer: str) -> str | None:
        """No part of SMTP."""
        raise NotImplementedError(door, box, key, peer)


@contextlib.asynccontextmanager
async def mail_style(
    house: House,
    limits: dict[str, float] | None = None,
    **options: Any,  # noqa: ANN401 - the listener's own arguments
) -> AsyncIterator[SmtpListener]:
    """A started mail-style listener on a free port; ``options`` are the listener's own."""
    listener = SmtpListener(
        name="mail",
        host="127.0.0.1",
        port=0,
        mode="mail",
        centre=[CENTRE],
        submit=house,
        hostname="centre.sekisho.example",
        limits=SmtpLimits(**(limits or {})),  # type: ignore[arg-type]
        clock=lambda: NOON,
        **options,
    )
    await listener.start()
    Peer.opened[listener] = []
    try:
        yield listener
    finally:
        await listener.stop(0.1)
        for peer in Peer.opened.pop(listener):
            peer.writer.transport.abort()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await peer.writer.wait_closed()


async def ehlo(peer: Peer) -> list[str]:
    """Say EHLO; what is offered."""
    line = await peer.say(b"EHLO inhouse\r\n")
    offers = []
    while line[3:4] == b"-":
        line = await peer.line()
        offers.append(line[4:].decode().strip())
    return offers


async def secured(peer: Peer, client: ssl.SSLContext) -> Peer:
    """Go over to TLS by STARTTLS; nothing is said under it yet."""
    assert (await peer.say(b"STARTTLS\r\n")).startswith(b"220 2.0.0")
    await peer.writer.start_tls(client, server_hostname="127.0.0.1")
    return peer
