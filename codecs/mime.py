"""The mail around a message: taken off on the way in, put on on the way out.

*Strategy.* What in-house systems send is nearly always one text part after a handful of header lines. For that shape
:func:`unwrap_plain` checks the header block with one regular expression and cuts at the blank line: the body is never
parsed, decoded or copied twice. Everything else (multipart, base64, quoted-printable, line ends other than CRLF) is
taken into its parts by :mod:`sekisho.codecs.mime_parts`, bounded in parts, depth and time, and one of the parts is
chosen as the message. Both ways give the same value for a plain mail; the tests hold them against each other and
against the standard library.

Bytes stay bytes: nothing here decodes a body.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from typing import Final, NamedTuple

from sekisho.codecs.envelope import Attachment
from sekisho.codecs.mime_names import name_size
from sekisho.codecs.mime_parts import Leaf, MimeError, MimeLimits, field_text, read_parts
from sekisho.codecs.results import ResultCode

__all__ = [
    "EDIFACT_TYPE",
    "NACCS_TYPE",
    "MimeError",
    "MimeLimits",
    "Unwrapped",
    "build_mail",
    "is_interchange",
    "is_xml",
    "unwrap",
    "unwrap_plain",
]

_MAX_PLAIN_HEAD = 65_536
"""Header blocks above this many bytes are not what in-house systems send: the library parser takes them."""
_MAX_MESSAGE_ID = 998
"""RFC 5322 section 2.1.1: no line is longer, so no id is. A longer one is no identity and is dropped with a finding."""

_LINE_END = "a line end inside an address, Message-ID or type"
_SHORT_HEAD = 1_024
"""Header blocks up to this many bytes are remembered: who sends neither Date nor Message-ID repeats its own."""

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
_XML = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*+<\?xml[ \t\r\n]")
_DEFAULT_LIMITS: Final = MimeLimits()


class Unwrapped(NamedTuple):
    """A mail taken apart.

    ``content`` is the message: the only part; else, in this order, the first part that begins with a NACCS header, that
    is an EDIFACT interchange, that is XML, that is text or of an ``edi`` type, each time parts that do not call
    themselves a file before those that do; else nothing (Unspecified: our choice; no official text says how a message
    lies in a multipart).
    ``content_type`` is that part's Content-Type as sent (unfolded, with parameters), ``transport_id`` the Message-ID
    with its brackets; both are empty when absent. ``attachments`` are the other parts in order of the mail.
    ``findings`` are deviations that were read anyway, in plain words. ``faults`` are what the sender is answered: the
    result codes of files that no message may bring along, their rows counting the attachments from 1.
    """

    content: bytes
    content_type: str = ""
    transport_id: str = ""
    attachments: tuple[Attachment, ...] = ()
    findings: tuple[str, ...] = ()
    faults: tuple[ResultCode, ...] = ()


def unwrap(raw: bytes, limits: MimeLimits = _DEFAULT_LIMITS) -> Unwrapped:
    """Take any mail apart.

    ``raw`` is the mail with dot-stuffing undone. Raises :class:`MimeError` when it holds more parts, more levels or a
    longer Content field than ``limits`` say. A long mail that is not plain costs milliseconds and more: call this
    outside an event loop, and :func:`unwrap_plain` inside.
    """
    plain = unwrap_plain(raw)
    return plain if plain is not None else _unwrap_parts(raw, limits)


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
    if end < 0:
        return None
    head = raw[: end + 2]
    read = _plain_head(head) if end < _SHORT_HEAD else _plain_head.__wrapped__(head)
    return None if read is None else Unwrapped(raw[end + 4 :], read[0], read[1], (), read[2])


@lru_cache(maxsize=512)
def _plain_head(head: bytes) -> tuple[str, str, tuple[str, ...]] | None:
    """Content-Type, Message-ID and findings of a plain mail's header block; None if the mail is not plain."""
    if _HEAD.fullmatch(head) is None:
        return None
    content_type = encoding = message_id = None
    for name, value in _FIELDS.findall(head):
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
    return field_text(content_type or b""), *_message_id(message_id or b"")


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
    before, behind = _around(sender, recipient, date.replace(microsecond=0), date.utcoffset(), content_type)
    if "\r" in message_id or "\n" in message_id:
        raise ValueError(_LINE_END)
    return b"%b%b%b%b" % (before, message_id.encode("ascii"), behind, content)


@lru_cache(maxsize=1024)  # the letters of a second to one box differ in their Message-ID only
def _around(
    sender: str, recipient: str, date: datetime, _offset: timedelta | None, content_type: str
) -> tuple[bytes, bytes]:
    """What stands before and behind the Message-ID of an outgoing mail; two times are equal in whatever offset."""
    names = f"{sender}{recipient}{content_type}"
    if "\r" in names or "\n" in names:
        raise ValueError(_LINE_END)
    before = f"Date: {format_datetime(date)}\r\nFrom: {sender}\r\nTo: {recipient}\r\nMessage-ID: "
    behind = (
        f"\r\nMime-Version: 1.0\r\nContent-Type: {content_type}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    )
    return before.encode("ascii"), behind.encode("ascii")


def is_xml(content: bytes) -> bool:
    """Whether these bytes begin with an XML declaration. What such a message says is not known (spec 1): it is kept."""
    return _XML.match(content) is not None


def _message_id(value: bytes) -> tuple[str, tuple[str, ...]]:
    text = field_text(value)
    if len(text) > _MAX_MESSAGE_ID:
        return "", ("Message-ID too long, ignored",)
    return text, ()


# Any other shape ------------------------------------------------------------------------------------------------------


def _unwrap_parts(raw: bytes, limits: MimeLimits) -> Unwrapped:
    mail = read_parts(raw, limits, _begins_like_a_message)
    transport_id, findings = _message_id(mail.message_id)
    findings += mail.findings
    if not mail.is_multipart:
        only = mail.leaves[0]
        return Unwrapped(only.content, only.sent_type, transport_id, (), findings)
    chosen = _message_among(mail.leaves)
    if chosen is None:
        findings += ("no part of the mail is a message",)
    files = [leaf for leaf in mail.leaves if leaf is not chosen and not _same_in_other_words(leaf, chosen)]
    if len(files) + (chosen is not None) < len(mail.leaves):
        findings += ("other forms of the message (multipart/alternative), left out",)
    if len({leaf.name for leaf in files if leaf.name}) < sum(bool(leaf.name) for leaf in files):
        findings += ("two files of one name",)
    return Unwrapped(
        content=chosen.content if chosen else b"",
        content_type=chosen.sent_type if chosen else "",
        transport_id=transport_id,
        attachments=tuple(Attachment(leaf.name, leaf.media_type, leaf.content) for leaf in files),
        findings=findings,
        faults=_faults(files, chosen, limits),
    )


def _message_among(leaves: Sequence[Leaf]) -> Leaf | None:
    """The part that is the message; see :class:`Unwrapped`."""
    candidates = sorted(leaves, key=lambda leaf: leaf.is_file)  # stable: the order of the mail within each half
    return (
        next((leaf for leaf in candidates if _begins_with_header(leaf.content)), None)
        or next((leaf for leaf in candidates if is_interchange(leaf.content)), None)
        or next((leaf for leaf in candidates if is_xml(leaf.content)), None)
        or next((leaf for leaf in candidates if leaf.media_type.startswith(("text/", "application/edi"))), None)
    )


def _same_in_other_words(leaf: Leaf, chosen: Leaf | None) -> bool:
    """Whether it is only another form of the message (multipart/alternative), and not a file."""
    return chosen is not None and leaf.choice == chosen.choice != 0 and not leaf.is_file and not leaf.name


def _faults(files: Sequence[Leaf], chosen: Leaf | None, limits: MimeLimits) -> tuple[ResultCode, ...]:
    """What the sender is told of the files. The codes are Unspecified: our choice, but S9006 and E0001 in their sense.

    A second message that does not call itself a file would be kept and never run: A0008, as for two in one text.
    """
    faults = []
    if chosen is not None and _begins_with_header(chosen.content):
        faults += [
            ResultCode("A0008")
            for leaf in files
            if _begins_with_header(leaf.content) and not leaf.is_file and not leaf.name
        ][:1]
    if len(files) > limits.attachments:
        faults.append(ResultCode("A0021"))
    for row, leaf in enumerate(files, 1):
        if name_size(leaf.name) > limits.attachment_name:
            faults.append(ResultCode("S9006", row=row))
        if len(leaf.content) > limits.attachment_bytes:
            faults.append(ResultCode("E0001", row=row))
    if sum(len(leaf.content) for leaf in files) > limits.attachments_bytes:
        faults.append(ResultCode("E0001"))
    return tuple(faults)


def _begins_with_header(content: bytes) -> bool:
    """The common items are 398 bytes and CRLF (spec/naccs-edi.md section 2)."""
    return len(content) >= 400 and content[398:400] == b"\r\n"


def _begins_like_a_message(content: bytes) -> bool:
    return _begins_with_header(content) or is_interchange(content) or is_xml(content)
