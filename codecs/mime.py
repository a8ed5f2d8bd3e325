"""The mail around a message: taken off on the way in, put on on the way out.

*Strategy.* What in-house systems send is nearly always one text part after a handful of header lines. For that shape
:func:`unwrap_plain` checks the header block with one regular expression and cuts at the blank line: the body is never
parsed, decoded or copied twice. Everything else (multipart, base64, quoted-printable, line ends other than CRLF) goes
to the standard library's parser, which costs five to a hundred times as much and is bounded in parts and depth. Both
ways give the same value for a plain mail; the tests hold them against each other.

Bytes stay bytes: nothing here decodes a body.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesParser
from email.policy import Compat32
from email.utils import format_datetime

from sekisho.codecs.envelope import Attachment

__all__ = [
    "EDIFACT_TYPE",
    "MAX_DEPTH",
    "MAX_PARTS",
    "NACCS_TYPE",
    "MimeError",
    "Unwrapped",
    "build_mail",
    "is_interchange",
    "unwrap",
    "unwrap_plain",
]

MAX_DEPTH = 20
"""Multiparts inside each other that are still read. Limit of the gateway: real mails have two or three."""
MAX_PARTS = 1_000
"""Parts of one mail that are still read, multiparts counted. Limit of the gateway."""

_MAX_PLAIN_HEAD = 65_536
"""Header blocks above this many bytes are not what in-house systems send: the library parser takes them."""
_MAX_MESSAGE_ID = 998
"""RFC 5322 section 2.1.1: no line is longer, so no id is. A longer one is no identity and is dropped with a finding."""

_MAX_FIELD = 1_024
"""A Content-* field above this many bytes is refused: a file name has at most 190 (spec/naccs-edi.md 7.5)."""

_FIRST_FIELD = re.compile(rb"[!-9;-~]+:")
# Whole header block: fields and folded lines only, every line end CRLF. Possessive, so linear on any input.
_HEAD = re.compile(rb"(?:[!-9;-~]++:[^\r\n]*+\r\n(?:[ \t][^\r\n]*+\r\n)*+)++")
_FIELDS = re.compile(
    rb"^(content-type|content-transfer-encoding|message-id):((?:[^\r\n]|\r\n[ \t])*)", re.IGNORECASE | re.MULTILINE
)
_IDENTITY_ENCODINGS = frozenset((b"", b"7bit", b"8bit", b"binary"))
_PLAIN_TYPES = (b"text/", b"application/edifact")

NACCS_TYPE = 'Text/plain;charset="EUC-JP"'
"""Content-Type of mails with a NACCS EDI message, as NACCS sends it."""
EDIFACT_TYPE = "application/EDIFACT"
"""Content-Type of mails with an interchange (RFC 1767)."""
# White space and a byte-order mark before the interchange are read anyway; behind UNA and UNB stands a separator.
_INTERCHANGE = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*+UN[AB][^A-Z0-9 \r\n]")


class MimeError(ValueError):
    """The mail cannot be taken apart. The text is public: it names the limit or the fault, no program detail."""


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """A mail taken apart.

    ``content`` is the message: the only part, or the first part that begins with a NACCS header, or the first that is
    an EDIFACT interchange, or the first text part, or nothing (Unspecified: our choice; no official text says how a
    message lies in a multipart).
    ``content_type`` is that part's Content-Type as sent (unfolded, with parameters), ``transport_id`` the Message-ID
    with its brackets; both are empty when absent. ``attachments`` are the other parts in order of the mail.
    ``findings`` are deviations that were read anyway, in plain words.
    """

    content: bytes
    content_type: str = ""
    transport_id: str = ""
    attachments: tuple[Attachment, ...] = ()
    findings: tuple[str, ...] = ()


def unwrap(raw: bytes, *, max_depth: int = MAX_DEPTH, max_parts: int = MAX_PARTS) -> Unwrapped:
    """Take any mail apart.

    ``raw`` is the mail with dot-stuffing undone. Raises :class:`MimeError` when it holds more than ``max_parts`` parts
    or more than ``max_depth`` levels, or when the library parser gives up. A long mail that is not plain costs
    milliseconds and more: call this outside an event loop, and :func:`unwrap_plain` inside.
    """
    plain = unwrap_plain(raw)
    return plain if plain is not None else _unwrap_parsed(raw, max_depth, max_parts)


def unwrap_plain(raw: bytes) -> Unwrapped | None:
    """Take a plain mail apart in microseconds; None when the mail is of any other shape.

    Plain is: a header block of well-formed, perhaps folded fields with CRLF line ends (with or without a space after
    the colon), Content-Type absent, ``text/*`` or ``application/EDIFACT`` in any spelling, Content-Transfer-Encoding
    absent, 7bit, 8bit or binary, neither field given twice. Also plain is a mail without a header block: one that is
    empty, begins with the blank line, or begins with the telegram itself. The content is what follows the blank line,
    byte for byte.
    """
    if _FIRST_FIELD.match(raw) is None or is_interchange(raw):  # UNB+UNOA:3 looks like a field named UNB+UNOA
        # A telegram's first line is 398 bytes and has blanks (control, reserves) before any colon it may hold.
        if raw.startswith(b"\r\n"):
            return Unwrapped(content=raw[2:], findings=("mail without header fields",))
        return Unwrapped(content=raw, findings=("mail without a header block" if raw else "empty mail",))
    end = raw.find(b"\r\n\r\n", 0, _MAX_PLAIN_HEAD)
    if end < 0 or _HEAD.fullmatch(raw, 0, end + 2) is None:
        return None
    content_type = encoding = message_id = None
    for name, value in _FIELDS.findall(raw, 0, end + 2):
        match len(name):
            case 12:
                if content_type is not None:
                    return None
                content_type = value
            case 25:
                if encoding is not None:
                    return None
                encoding = value
            case _:
                message_id = value if message_id is None else message_id
    if content_type is not None and not content_type.strip()[:19].lower().startswith(_PLAIN_TYPES):
        return None
    if encoding is not None and encoding.strip().lower() not in _IDENTITY_ENCODINGS:
        return None
    transport_id, findings = _message_id(message_id or b"")
    return Unwrapped(
        content=raw[end + 4 :],
        content_type=_field_text(content_type or b""),
        transport_id=transport_id,
        findings=findings,
    )


def is_interchange(content: bytes) -> bool:
    """Whether these bytes begin like an EDIFACT transmission: UNA or UNB after white space. No NACCS header does."""
    return _INTERCHANGE.match(content) is not None


def build_mail(
    *, sender: str, recipient: str, message_id: str, date: datetime, content: bytes, content_type: str = NACCS_TYPE
) -> bytes:
    """Put the mail around an outgoing message: headers as NACCS sends them (spec/naccs-edi.md 7.4), no Subject.

    ``message_id`` carries its brackets; ``date`` must be aware and is written with its own offset; ``content`` follows
    the blank line unchanged (dot-stuffing is the sender's work). Raises ValueError for a naive date and for an address
    or id that is not ASCII or holds a line end.
    """
    if date.tzinfo is None:
        raise ValueError("the date of a mail needs its offset")
    names = f"{sender}{recipient}{message_id}{content_type}"
    if "\r" in names or "\n" in names:
        raise ValueError("a line end inside an address, Message-ID or type")
    return b"%b%b" % (
        (
            f"Date: {format_datetime(date)}\r\nFrom: {sender}\r\nTo: {recipient}\r\nMessage-ID: {message_id}\r\n"
            f"Mime-Version: 1.0\r\nContent-Type: {content_type}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        ).encode("ascii"),
        content,
    )


def _field_text(value: bytes) -> str:
    return value.replace(b"\r\n", b"").strip().decode("ascii", "backslashreplace")


def _message_id(value: bytes) -> tuple[str, tuple[str, ...]]:
    text = _field_text(value)
    if len(text) > _MAX_MESSAGE_ID:
        return "", ("Message-ID too long, ignored",)
    return text, ()


# Any other shape: the library parser, bounded -------------------------------------------------------------------------


class _AsSent(Compat32):
    """compat32 that gives header values as they stand: its own getter turns raw 8-bit names into question marks.

    The library reads parameters and encoded words in time that grows with the square of the field's length.
    """

    def header_fetch_parse(self, name: str, value: str) -> str:
        if len(value) > _MAX_FIELD:
            if name.lower().startswith("content-"):
                raise MimeError(f"a header field of more than {_MAX_FIELD} bytes")
            return value[:_MAX_FIELD]
        return value.strip()


_AS_SENT = _AsSent()


class _Part(Message):
    """A part that knows how deep it lies; the parser calls attach while it reads, so the bound holds during parsing.

    To the parser a mail inside the mail is no mail: it stays one attachment, byte for byte.
    """

    depth = 0
    max_depth = MAX_DEPTH

    def attach(self, payload: _Part) -> None:  # type: ignore[override]  # the factory below makes every part
        payload.depth = self.depth + 1
        if payload.depth > self.max_depth:
            raise MimeError(f"more than {self.max_depth} levels of parts")
        super().attach(payload)

    def get_content_type(self) -> str:
        sent = super().get_content_type()
        return "application/octet-stream" if sent.startswith("message/") else sent


def _part_factory(max_depth: int, max_parts: int) -> Callable[..., _Part]:
    made = -1  # the parser makes one to see whether it may give a policy

    def make(policy: Compat32 = _AS_SENT) -> _Part:
        nonlocal made
        made += 1
        if made > max_parts:
            raise MimeError(f"more than {max_parts} parts")
        part = _Part(policy)
        part.max_depth = max_depth
        return part

    return make


def _unwrap_parsed(raw: bytes, max_depth: int, max_parts: int) -> Unwrapped:
    try:
        mail = BytesParser(_part_factory(max_depth, max_parts), policy=_AS_SENT).parsebytes(raw)
        leaves = [_Leaf.of(part) for part in _leaves(mail)]
    except MimeError:
        raise
    except Exception as error:
        # The library's parser has no list of what it raises on malformed input; to the sender it is all one fault.
        raise MimeError("the mail's structure cannot be read") from error
    transport_id, findings = _message_id(_sent_bytes(mail.get("message-id", "")))
    if mail.defects:
        findings += ("malformed mail: " + ", ".join(dict.fromkeys(type(d).__name__ for d in mail.defects)),)
    if not mail.is_multipart():
        return Unwrapped(leaves[0].content, leaves[0].sent_type, transport_id, (), findings)
    chosen = (
        next((leaf for leaf in leaves if _begins_with_header(leaf.content)), None)
        or next((leaf for leaf in leaves if is_interchange(leaf.content)), None)
        or next((leaf for leaf in leaves if leaf.media_type.startswith("text/")), None)
    )
    if chosen is None:
        findings += ("no part of the mail is a message",)
    return Unwrapped(
        content=chosen.content if chosen else b"",
        content_type=chosen.sent_type if chosen else "",
        transport_id=transport_id,
        attachments=tuple(
            Attachment(leaf.name, leaf.media_type, leaf.content) for leaf in leaves if leaf is not chosen
        ),
        findings=findings,
    )


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One part that is not itself a multipart, decoded."""

    name: str
    media_type: str
    sent_type: str
    content: bytes

    @classmethod
    def of(cls, part: Message) -> _Leaf:
        decoded = part.get_payload(decode=True)
        return cls(
            name=_decoded_name(part.get_filename("")),
            media_type=Message.get_content_type(part),
            sent_type=_field_text(_sent_bytes(part.get("content-type", ""))),
            content=decoded if isinstance(decoded, bytes) else b"",
        )


def _leaves(part: Message) -> list[Message]:
    """Parts in order of the mail; the depth is bounded by the parser's factory."""
    if not part.is_multipart():
        return [part]
    return [leaf for inner in part.get_payload() for leaf in _leaves(inner)]  # type: ignore[arg-type]


def _begins_with_header(content: bytes) -> bool:
    """The common items are 398 bytes and CRLF (spec/naccs-edi.md section 2)."""
    return len(content) >= 400 and content[398:400] == b"\r\n"


def _sent_bytes(value: object) -> bytes:
    return str(value).encode("utf-8", "surrogateescape")


def _decoded_name(name: str) -> str:
    """A file name in readable form: RFC 2231 is already undone, RFC 2047 and raw 8-bit or ISO-2022-JP bytes are not."""
    sent = _sent_bytes(name)
    if "=?" in name:
        try:
            return str(make_header(decode_header(name))) or name
        except (LookupError, UnicodeError, HeaderParseError):
            return sent.decode("utf-8", "backslashreplace")
    if b"\x1b" in sent:
        return sent.decode("iso2022_jp", "backslashreplace")
    # UTF-8 checks itself; of the two others EUC-JP is the charset of this wire.
    for charset in ("utf-8", "euc_jp", "cp932"):
        try:
            return sent.decode(charset)
        except UnicodeDecodeError:
            continue
    return sent.decode("ascii", "backslashreplace")
