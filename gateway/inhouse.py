"""An in-house system (自社システム) in small: what the demo, ``sekisho send`` and the connection tests speak as.

*Strategy.* It does what real ones were observed to do (wire reference 7.2): it sends one message a connection with
HELO, header fields without a space after the colon and no Date, and it runs an SMTP server of its own that knows HELO,
MAIL, RCPT, DATA, RSET and QUIT only, into which the centre pushes the replies. The sending half is written on streams
so that it can send exactly the bytes it is told to, broken ones too; the receiving half is aiosmtpd's protocol class in
our loop. Nothing of the gateway's own transports is used: whoever tests a line brings the other end of it.

This file is the two-way line. The other lines are in ``inhouse_mail``, ``inhouse_pop3``, ``inhouse_sftp`` and
``inhouse_ebms``; whatever a letter came by, it becomes an :class:`Arrival` of the one :class:`InHouseSystem`.
"""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

from aiosmtpd.smtp import SMTP, Envelope, Session, syntax

from sekisho.codecs.header import BODY_START
from sekisho.codecs.layout import Value
from sekisho.codecs.message import Catalogue, Message, from_json, read_message
from sekisho.codecs.mime import EDIFACT_TYPE, is_interchange, unwrap
from sekisho.gateway.partners import opening_of

__all__ = [
    "Arrival",
    "InHouseSystem",
    "Submission",
    "build_mail",
    "build_request",
    "split_address",
    "stuffed",
    "submit",
]

_REPLY_SECONDS: Final = 30.0
"""How long a reply to an SMTP command is awaited. Real senders give up after 3 s; a test wants the late answer too."""
_RECEIVE_BYTES: Final = 33_554_432
"""Largest mail taken: far above any message, so that an over-long reply is shown and not refused."""
_UNCODED: Final = frozenset({"login", "tls", "put", "stored", "error", "acknowledgment", "repeat"})
"""Stages at which no number is expected, so that its absence is not told."""


def split_address(text: str, default_port: int = 25) -> tuple[str, int]:
    """``host:port``, ``[v6]:port`` or ``smtp://host:port`` as host and port. Raises ValueError for anything else."""
    found = re.fullmatch(r"(?:smtp://)?(?:\[([0-9A-Fa-f:]+)\]|([^:/@\[\]\s]+))(?::([0-9]{1,5}))?/?", text)
    if found is None or int(found[3] or 0) > 65_535:
        raise ValueError(f"{text!r} is not host:port or smtp://host:port")
    return found[1] or found[2], int(found[3]) if found[3] else default_port


def build_request(
    catalogue: Catalogue,
    business_code: str,
    *,
    user_id: str = "",
    password: str = "",
    items: Mapping[str, Value | Sequence[Value]] | None = None,
    body: bytes | None = None,
    layout: str = "",
    header: Mapping[str, str] | None = None,
) -> bytes:
    """A whole request at full width: common items, CRLF, body.

    ``items`` by short name, lists for repeating ones; ``body`` is used as it is instead. ``layout`` names the table if
    it is not the business's own. ``header`` sets further common items by key (``carry``, ``input_id``, ``index``,
    ``system``; default system ``2``) and overrides what the arguments say. Raises ValueError for a value its item
    cannot hold, and for a business without a table where items are given.
    """
    values = {
        "business_code": business_code,
        "user_code": user_id[:5],
        "user_seq": user_id[5:],
        "password": password,
        "system": "2",
    }
    head = from_json({"direction": "request", "header": values | dict(header or {})}, catalogue)
    if body is None:
        table = catalogue.get(layout) if layout else catalogue.request(business_code)
        if table is None and (items or layout):
            raise ValueError(f"no table {layout or business_code} to write the items with")
        body = table.encode(items or {}) if table is not None else b""
    length = head[392:398] if (header or {}).get("length") else b"%06d" % (BODY_START + len(body))
    return head[:392] + length + head[398:BODY_START] + body


def build_mail(
    content: bytes, *, sender: str, recipient: str, message_id: str = "", files: Sequence[tuple[str, bytes]] = ()
) -> bytes:
    """The mail around a request as observed senders write it: no Date, no Subject, no space after the colon.

    An EDIFACT interchange goes as application/EDIFACT. With ``files`` (names and contents) the request is the first
    part of a multipart mail, and they are the others.
    """
    kind = EDIFACT_TYPE if is_interchange(content) else 'Text/xml;charset="EUC-JP"'
    head = f"From:{sender}\r\nTo:{recipient}\r\nMime-Version:1.0\r\n"
    if message_id:
        head += f"Message-ID:{message_id}\r\n"
    part = f"Content-Type:{kind}\r\nContent-Transfer-Encoding:8bit\r\n"
    if not files:
        return (head + part).encode("ascii") + b"\r\n" + content
    parts = [part.encode("ascii") + b"\r\n" + content, *(_file(name, data) for name, data in files)]
    boundary = _boundary(parts)
    head += f'Content-Type:multipart/mixed;boundary="{boundary}"\r\n\r\n'
    mark = f"--{boundary}".encode("ascii")
    return head.encode("ascii") + b"".join(mark + b"\r\n" + one + b"\r\n" for one in parts) + mark + b"--\r\n"


def _file(name: str, data: bytes) -> bytes:
    """A file as a part: its name by RFC 2231, its bytes in base64."""
    head = (
        "Content-Type:application/octet-stream\r\n"
        f"Content-Disposition:attachment;filename*=UTF-8''{quote(name, safe='')}\r\n"
        "Content-Transfer-Encoding:base64\r\n\r\n"
    )
    return head.encode("ascii") + base64.encodebytes(data).replace(b"\n", b"\r\n")


def _boundary(parts: Sequence[bytes]) -> str:
    """A boundary that no part holds."""
    return next(mark for n in count() if not any((mark := f"=_sekisho_{n}").encode() in part for part in parts))


@dataclass(frozen=True, slots=True)
class Submission:
    """How a submission ended: at which ``stage`` (``connect``, an SMTP verb, ``dot``), with which reply.

    ``code`` is 0 where no reply came, and where the line has no codes (SFTP); ``text`` then says more. A message has
    been taken when the stage is the last one of its line: ``dot`` (SMTP) or ``answer`` (ebMS) with a code of 200 to
    299, ``stored`` (SFTP).
    """

    stage: str
    code: int
    text: str

    @property
    def accepted(self) -> bool:
        """Whether the centre said yes to the whole message."""
        return self.stage == "stored" or (self.stage in ("dot", "answer") and 200 <= self.code < 300)

    def __str__(self) -> str:
        said = str(self.code) if self.code else "" if self.stage in _UNCODED else "no reply"
        return " ".join(filter(None, (f"{self.stage}:", said, self.text)))


async def submit(host: str, port: int, mail: bytes, *, sender: str, recipient: str) -> Submission:
    """Send one mail on a connection of its own, lock-step, and say how it ended. Never raises for the network."""
    stage = "connect"
    writer = None
    try:
        async with asyncio.timeout(_REPLY_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
        code, text = await _reply(reader)
        steps = [
            ("HELO", f"HELO {sender.partition('@')[2] or 'localhost'}".encode("ascii"), 250),
            ("MAIL", f"MAIL FROM:<{sender}>".encode("ascii"), 250),
            ("RCPT", f"RCPT TO:<{recipient}>".encode("ascii"), 250),
            ("DATA", b"DATA", 354),
            ("dot", stuffed(mail) + b".", 250),
        ]
        if code != 220:
            return Submission(stage, code, text)
        for stage, line, wanted in steps:  # noqa: B007 - the stage is told when the line breaks
            writer.write(line + b"\r\n")
            await writer.drain()
            code, text = await _reply(reader)
            if code != wanted:
                break
        writer.write(b"QUIT\r\n")
        return Submission(stage, code, text)
    except TimeoutError:
        return Submission(stage, 0, "no answer in time")
    except (OSError, EOFError, ValueError) as error:
        return Submission(stage, 0, str(error) or type(error).__name__)
    finally:
        if writer is not None:
            writer.close()


def stuffed(mail: bytes) -> bytes:
    """Dots doubled at line starts; the text ends with CRLF, which belongs to it (RFC 5321 section 4.5.2)."""
    text = mail if mail.endswith(b"\r\n") else mail + b"\r\n"
    text = text.replace(b"\r\n.", b"\r\n..")
    return b"." + text if text.startswith(b".") else text


async def _reply(reader: asyncio.StreamReader) -> tuple[int, str]:
    texts = []
    while True:
        async with asyncio.timeout(_REPLY_SECONDS):
            line = await reader.readline()
        if not line:
            raise EOFError("the other side closed the connection")
        if not line[:3].isdigit():
            raise ValueError(f"not an SMTP reply: {line[:80]!r}")
        texts.append(line[4:].decode("ascii", "replace").strip())
        if line[3:4] != b"-":
            return int(line[:3]), " ".join(texts)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One letter that the centre pushed, or that was fetched from it.

    ``number`` counts arrivals from 1; ``at`` is monotonic seconds; ``box`` the RCPT address as it came, of a fetched
    letter what its fetcher calls the box; ``transport_id`` the Message-ID, the MessageId of ebMS, the file name of
    SFTP; ``content`` the bytes of the message; ``message`` what they say as NACCS EDI; ``line`` how it came.
    """

    number: int
    at: float
    box: str
    sender: str
    transport_id: str
    content: bytes
    message: Message
    line: str = "two-way"

    @property
    def carry(self) -> bytes:
        """電文引継情報, padding included; an interchange has none."""
        return b"" if self.is_interchange else self.message.header.carry

    @property
    def is_interchange(self) -> bool:
        """Whether it is EDIFACT."""
        return is_interchange(self.content)

    @property
    def code(self) -> str:
        """出力情報コード, or the type of an interchange's first message."""
        return opening_of(self.content).type if self.is_interchange else self.message.header.output_code


class _Receiver(SMTP):
    """aiosmtpd's protocol, cut down to what observed receivers know."""

    __slots__ = ()

    @syntax("EHLO hostname")
    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: ARG002, N802 - aiosmtpd finds verbs by this name
        """Observed receivers do not know EHLO; the centre has to fall back to HELO."""
        await self.push("500 Command not recognized")

    async def smtp_NOOP(self, arg: str) -> None:  # noqa: ARG002, N802 - same
        """Nor NOOP."""
        await self.push("500 Command not recognized")


class InHouseSystem:
    """The receiving half, and a catalogue to read by. An async context manager: it listens inside the block.

    ``listen`` is ``host:port``, port 0 for any free one; ``address`` says which it became. Every mail that comes is
    kept in ``arrivals`` in order of arrival. An address in ``refusing`` (upper case) is told to try later (450).
    """

    def __init__(self, catalogue: Catalogue, listen: str = "127.0.0.1:0") -> None:
        self.catalogue = catalogue
        self.arrivals: list[Arrival] = []
        self.refusing: set[str] = set()
        self._listen = split_address(listen)
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        def protocol() -> SMTP:
            return _Receiver(self, hostname="in-house.sekisho.example", data_size_limit=_RECEIVE_BYTES)

        self._server = await asyncio.get_running_loop().create_server(protocol, *self._listen)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()

    @property
    def address(self) -> str:
        """``host:port`` where the centre may push to. Raises RuntimeError outside the block."""
        if self._server is None:
            raise RuntimeError("the in-house system is not listening")
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd finds it by this name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]  # noqa: ARG002
    ) -> str:
        """Called by aiosmtpd with each recipient; its answer to RCPT."""
        if address.upper() in self.refusing:
            return "450 Mailbox busy"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802
        """Called by aiosmtpd with each mail; its answer to the dot."""
        raw = envelope.content if isinstance(envelope.content, bytes) else b""
        mail = unwrap(raw)
        box = envelope.rcpt_tos[0] if envelope.rcpt_tos else ""
        self.take_in(mail.content, box=box, sender=envelope.mail_from or "", transport_id=mail.transport_id)
        return "250 OK"

    def take_in(
        self, content: bytes, *, box: str, sender: str = "", transport_id: str = "", line: str = "two-way"
    ) -> None:
        """Keep a letter that came by any line, and wake who waits for it."""
        message = read_message(content, self.catalogue, direction="out")
        number = len(self.arrivals) + 1
        self.arrivals.append(
            Arrival(number, time.monotonic(), box, sender, transport_id, content, message, line)
        )
        self._changed.set()

    async def wait(self, enough: Callable[[Sequence[Arrival]], Any], seconds: float) -> bool:
        """Wait until ``enough`` of all arrivals is true, at most ``seconds``; whether it became true."""
        try:
            async with asyncio.timeout(seconds):
                while not enough(self.arrivals):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return bool(enough(self.arrivals))
        return True
