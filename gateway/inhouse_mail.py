"""The sending half of the mail-style line (メール処理方式): several requests in a session, with files, logged in.

*Strategy.* It does what a mail program of today does and the two-way senders do not: EHLO, STARTTLS, AUTH PLAIN, and
MAIL, RCPT and DATA in one piece where PIPELINING is offered. One session is kept for all that is sent and opened anew
when the other side has ended it. Replies are fetched (``inhouse_pop3``).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from sekisho.codecs.envelope import Attachment
from sekisho.codecs.mime import EDIFACT_TYPE, NACCS_TYPE, is_interchange
from sekisho.gateway.inhouse import Submission, stuffed
from sekisho.gateway.inhouse_doors import Access, LineError, Packet
from sekisho.gateway.inhouse_wire import TextWire

__all__ = ["MailLine", "build_multipart"]

_BASE64_LINE: Final = 57
"""Bytes in a line of base64: 76 characters (RFC 2045 section 6.8)."""


def build_multipart(
    content: bytes, files: Sequence[Attachment], *, sender: str, recipient: str, message_id: str = ""
) -> bytes:
    """A mail as mail programs write it: the message alone, or first in a multipart with files in base64.

    File names outside US-ASCII are written as RFC 2231 says.
    """
    head = [f"From: <{sender}>", f"To: <{recipient}>", "MIME-Version: 1.0"]
    if message_id:
        head.append(f"Message-ID: {message_id}")
    kind = EDIFACT_TYPE if is_interchange(content) else NACCS_TYPE
    own = [f"Content-Type: {kind}", "Content-Transfer-Encoding: 8bit"]
    if not files:
        return "\r\n".join([*head, *own, "", ""]).encode("ascii") + content
    # A boundary that is in nothing it separates, and the same for the same mail.
    boundary = f"=_{binascii.crc32(content):08x}_{len(content)}"
    while any(boundary.encode("ascii") in one for one in (content, *(file.content for file in files))):
        boundary += "_"
    head.append(f'Content-Type: multipart/mixed; boundary="{boundary}"')
    parts = ["\r\n".join([*own, "", ""]).encode("ascii") + content]
    for file in files:
        fields = [
            f"Content-Type: {file.content_type or 'application/octet-stream'}",
            "Content-Transfer-Encoding: base64",
            f"Content-Disposition: attachment; {_file_name(file.name)}",
        ]
        parts.append("\r\n".join([*fields, "", ""]).encode("ascii") + _base64(file.content))
    mark = f"--{boundary}".encode("ascii")
    body = b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts)
    return "\r\n".join([*head, "", ""]).encode("ascii") + body + mark + b"--\r\n"


def _file_name(name: str) -> str:
    if name.isascii() and name.isprintable() and '"' not in name and "\\" not in name:
        return f'filename="{name}"'
    return f"filename*=utf-8''{quote(name, safe='')}"


def _base64(data: bytes) -> bytes:
    lines = [data[at : at + _BASE64_LINE] for at in range(0, len(data), _BASE64_LINE)]
    return b"\r\n".join(base64.b64encode(line) for line in lines)


@dataclass(slots=True)
class _Session:
    wire: TextWire
    offers: frozenset[str]


class MailLine:
    """Sends by one session; see :class:`~sekisho.gateway.inhouse_doors.Line`.

    ``access.box`` and its password log in where they are given.
    """

    def __init__(self, access: Access, *, sender: str, centre: str) -> None:
        self._access, self._sender, self._centre = access, sender, centre
        self._session: _Session | None = None
        self._one = asyncio.Lock()

    def pack(self, content: bytes, *, message_id: str = "", files: Sequence[Attachment] = ()) -> Packet:
        """See :meth:`~sekisho.gateway.inhouse_doors.Line.pack`."""
        mail = build_multipart(content, files, sender=self._sender, recipient=self._centre, message_id=message_id)
        return Packet(message_id, mail)

    async def submit(self, packet: Packet) -> Submission:
        """See :meth:`~sekisho.gateway.inhouse_doors.Line.submit`."""
        async with self._one:
            kept = self._session is not None
            try:
                try:
                    return await self._send(packet.data)
                except LineError:
                    # A session that has been idle may be at its end, which is seen at its first command only.
                    if not kept or self._session is None or self._session.wire.stage != "MAIL":
                        raise
                    await self._drop()
                    return await self._send(packet.data)
            except LineError as error:
                await self._drop()
                return Submission(error.stage, error.code, error.text)

    async def close(self) -> None:
        """End the session in order."""
        if self._session is not None:
            wire = self._session.wire
            wire.stage = "QUIT"
            try:
                await wire.send(b"QUIT\r\n")
                await _reply(wire)
            except LineError:
                pass  # the other side was quicker
            await self._drop()

    async def _drop(self) -> None:
        if self._session is not None:
            await self._session.wire.close()
            self._session = None

    async def _send(self, mail: bytes) -> Submission:
        if self._session is None:
            self._session = await self._open()
        wire, offers = self._session.wire, self._session.offers
        size = f" SIZE={len(mail)}" if "SIZE" in offers else ""
        eight = " BODY=8BITMIME" if "8BITMIME" in offers else ""
        commands = [
            ("MAIL", f"MAIL FROM:<{self._sender}>{size}{eight}\r\n".encode("ascii"), 250),
            ("RCPT", f"RCPT TO:<{self._centre}>\r\n".encode("ascii"), 250),
            ("DATA", b"DATA\r\n", 354),
        ]
        wire.stage = "MAIL"
        pipelined = "PIPELINING" in offers
        if pipelined:
            await wire.send(b"".join(line for _, line, _ in commands))
        answers = []
        for stage, line, wanted in commands:
            wire.stage = stage
            if not pipelined:
                await wire.send(line)
            code, text = await _reply(wire)
            answers.append((stage, code, " ".join(text.split()), code == wanted))
            if code != wanted and not pipelined:
                break
        refused = next(((stage, code, text) for stage, code, text, good in answers if not good), None)
        if refused is not None:
            # Refused, and yet asked for the text: an empty mail would be one, so the session ends instead.
            if answers[-1][3]:
                await self._drop()
            else:
                wire.stage = "RSET"
                await wire.send(b"RSET\r\n")
                await _reply(wire)
            return Submission(*refused)
        wire.stage = "dot"
        await wire.send(stuffed(mail) + b".\r\n")
        code, text = await _reply(wire)
        return Submission("dot", code, " ".join(text.split()))

    async def _open(self) -> _Session:
        wire = await TextWire.open(self._access)
        try:
            await _wanted(wire, 220)
            offers = await self._hello(wire)
            if self._access.tls == "starttls":
                offers = await self._encrypted(wire, offers)
            if self._access.box and self._access.password:
                await self._login(wire, offers)
        except LineError:
            await wire.close()
            raise
        return _Session(wire, offers)

    async def _encrypted(self, wire: TextWire, offers: frozenset[str]) -> frozenset[str]:
        if "STARTTLS" not in offers:
            raise LineError("tls", "STARTTLS is not offered")
        wire.stage = "tls"
        await wire.send(b"STARTTLS\r\n")
        await _wanted(wire, 220)
        await wire.start_tls(self._access)
        return await self._hello(wire)

    async def _login(self, wire: TextWire, offers: frozenset[str]) -> None:
        if "AUTH" not in offers:
            raise LineError("login", "AUTH is not offered here; is TLS missing (--tls starttls)?")
        wire.stage = "login"
        secret = f"\0{self._access.box}\0{self._access.password}".encode()
        await wire.send(b"AUTH PLAIN " + base64.b64encode(secret) + b"\r\n")
        await _wanted(wire, 235)

    async def _hello(self, wire: TextWire) -> frozenset[str]:
        wire.stage = "EHLO"
        await wire.send(f"EHLO {self._sender.partition('@')[2] or 'localhost'}\r\n".encode("ascii"))
        text = await _wanted(wire, 250)
        return frozenset(line.split(" ", 1)[0].upper() for line in text.split("\n")[1:])


async def _wanted(wire: TextWire, code: int) -> str:
    came, text = await _reply(wire)
    if came != code:
        raise LineError(wire.stage, " ".join(text.split()), came)
    return text


async def _reply(wire: TextWire) -> tuple[int, str]:
    """Code and text of one reply, its lines as lines."""
    texts = []
    while True:
        line = await wire.line()
        if not line[:3].isdigit():
            raise LineError(wire.stage, f"not an SMTP reply: {line[:80]!r}")
        texts.append(line[4:].decode("ascii", "replace").strip())
        if line[3:4] != b"-":
            return int(line[:3]), "\n".join(texts)

