"""The receivers: an SMTP server that writes down every reply it gets before it says 250.

*Strategy.* It offers PIPELINING on one port and knows HELO only on the other, so both ways of pushing are in the proof.
Now and then it closes the line after the dot without an answer: the gateway cannot know whether the reply arrived and
has to send it again under the same Message-ID (reliability 4, "unknown").
"""

from __future__ import annotations

import asyncio
import random
import signal
import socket
from functools import partial
from typing import Final, cast

from sekisho.gateway.proof.wire import Facts, read_reply

__all__ = ["receive_all"]

_LEAVES: Final = 0.0005
"""How often a receiver closes the line instead of answering the dot."""


class _Receiver(asyncio.Protocol):
    """One connection of the gateway's."""

    def __init__(self, facts: Facts, chance: random.Random, *, modern: bool) -> None:
        self._facts, self._chance, self._modern = facts, chance, modern
        self._rest = b""
        self._box = ""
        self._in_text = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(b"220 in-house system\r\n")

    def data_received(self, data: bytes) -> None:
        """Commands and texts, as many as came in one segment; their replies leave in one (RFC 2920 section 3.2)."""
        self._rest += data
        replies = []
        while not self._transport.is_closing():
            mark = b"\r\n.\r\n" if self._in_text else b"\r\n"
            piece, found, rest = self._rest.partition(mark)
            if not found:
                break
            self._rest = rest
            replies.append(self._take(piece + b"\r\n") if self._in_text else self._obey(piece))
        if any(replies):
            self._transport.write(b"".join(replies))

    def _obey(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb == b"EHLO":
            return b"250-in-house\r\n250-PIPELINING\r\n250 8BITMIME\r\n" if self._modern else b"500 unknown\r\n"
        if verb == b"RCPT":
            self._box = line.partition(b"<")[2].partition(b">")[0].decode("ascii", "replace")
        if verb == b"DATA":
            self._in_text = True
            return b"354 go ahead\r\n"
        if verb == b"QUIT":
            self._transport.write(b"221 bye\r\n")
            self._transport.close()
            return b""
        return b"250 ok\r\n" if verb in (b"HELO", b"MAIL", b"RCPT", b"RSET") else b"500 unknown\r\n"

    def _take(self, text: bytes) -> bytes:
        self._in_text = False
        mail = text[1:] if text.startswith(b".") else text
        reply = read_reply(mail.replace(b"\r\n..", b"\r\n."))
        self._facts.write(
            box=self._box,
            id=reply.message_id,
            code=reply.output_code,
            ref=reply.reference,
            result=reply.result,
            number=reply.number,
            digest=reply.digest,
        )
        if self._chance.random() < _LEAVES:
            self._transport.abort()
            return b""
        return b"250 taken\r\n"


def receive_all(modern: socket.socket, plain: socket.socket, seed: int, facts: Facts) -> None:
    """Serve both listening sockets until SIGTERM. Blocks."""

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, ended.set)
        chance = random.Random(f"{seed}-receivers")  # noqa: S311 - a repeatable run, no secret
        for listening in (modern, plain):
            build = partial(_Receiver, facts, chance, modern=listening is modern)
            await loop.create_server(build, sock=listening, backlog=64)
        await ended.wait()
        facts.close()

    asyncio.run(serve())
