"""A mail taken into its parts: multiparts split at their boundaries, transfer encodings undone.

*Strategy.* The mail is never copied, split into lines or turned into text: a multipart is a range of bytes, its parts
are found by searching for its boundary in that range, and only what no multipart is gets sliced out and decoded. The
work is one search over the mail for each level of parts, and levels, parts and fields are bounded; memory is the mail
and its decoded parts. A line ends with LF, with or without a CR before it; a lone CR ends none.

A boundary of an outer multipart ends an inner one, as in every parser that reads by lines. A mail inside the mail
(``message/*``) stays one part, byte for byte: what somebody else once sent is no request of this sender.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from sekisho.codecs.mime_names import file_name, parameters

__all__ = ["Leaf", "MimeError", "MimeLimits", "Parts", "field_text", "read_parts"]

_HEAD: Final = re.compile(rb"(?:[!-9;-~]++:[^\n]*+(?:\n|\Z)|[ \t][^\n]*+(?:\n|\Z))*+")
_FIELDS: Final = re.compile(
    rb"^(content-type|content-transfer-encoding|content-disposition|message-id):((?:[^\n]++|\n[ \t])*+)",
    re.IGNORECASE | re.MULTILINE,
)
_BLANK: Final = re.compile(rb"\r?\n|\r?\Z")
_BOUNDARY_END: Final = re.compile(rb"(--)?[ \t]*+(?:\r?\n|\r?\Z)")
_MEDIA_TYPE: Final = re.compile(rb"[!-.0-~]+/[!-.0-~]+")
_ENCODING: Final = re.compile(rb"[!-:<-~]*")
_AS_IT_STANDS: Final = frozenset((b"", b"7bit", b"8bit", b"binary"))
_NO_BASE64: Final = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))
_WHITE: Final = b" \t\r\n"
_MAX_BOUNDARY: Final = 70
"""RFC 2046 5.1.1; longer ones are read, a finding."""


class MimeError(ValueError):
    """The mail cannot be taken apart. The text is public: it names the limit or the fault, no program detail."""


@dataclass(frozen=True, slots=True)
class MimeLimits:
    """What a mail may hold. Raises ValueError when a limit is not positive.

    Over ``depth``, ``parts`` or ``field`` the mail is not taken apart (:class:`MimeError`). Over the others it is, and
    the sender is answered with a result code.
    """

    depth: int = 20
    """Multiparts inside each other; real mails have two or three. spec/reliability.md section 8."""
    parts: int = 1_000
    """Parts of one mail, multiparts counted. spec/reliability.md section 8."""
    field: int = 8_192
    """Bytes of one Content field; a name of 190 bytes, percent-encoded with its charset, takes 700."""
    attachment_name: int = 190
    """Bytes of one file name, counted in EUC-JP: official (spec/naccs-edi.md 7.5)."""
    attachment_bytes: int = 10 * 1024 * 1024
    """One file, decoded. Official text gives no value; within the 12 MiB of a mail, base64 leaves 9."""
    attachments_bytes: int = 12 * 1024 * 1024
    """All files of a mail, decoded: as much as the mail itself may have."""
    attachments: int = 100
    """Files of one mail. Official text gives no value; the tables have room for 10 or 20 names."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be more than 0")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A part that is no multipart.

    ``content`` is decoded; ``media_type`` lower case without parameters; ``sent_type`` the Content-Type as sent;
    ``name`` the file name as text, empty if none; ``is_file`` whether it says so itself (Content-Disposition:
    attachment); ``choice`` the number of the multipart/alternative it lies in, 0 outside of any.
    """

    content: bytes
    media_type: str
    sent_type: str
    name: str
    is_file: bool
    choice: int


@dataclass(frozen=True, slots=True)
class Parts:
    """A mail in parts. ``message_id`` is the field as sent; ``is_multipart`` false: one leaf is all of the mail."""

    leaves: tuple[Leaf, ...]
    is_multipart: bool
    message_id: bytes
    findings: tuple[str, ...]


def read_parts(raw: bytes, limits: MimeLimits, is_message: Callable[[bytes], bool]) -> Parts:
    """Take a mail with a header block into its parts. Raises :class:`MimeError`.

    ``is_message`` tells bytes that begin like a message: a part that does as it stands, and no longer when decoded,
    was not encoded, whatever it says.
    """
    reading = _Reading(raw, limits, is_message)
    is_multipart = reading.walk(0, len(raw), 0, "text/plain", 0)
    return Parts(tuple(reading.leaves), is_multipart, reading.message_id, tuple(reading.findings))


def field_text(value: bytes) -> str:
    """A field's value unfolded; bytes that are not ASCII stay visible."""
    return value.replace(b"\r\n", b"").replace(b"\n", b"").strip().decode("ascii", "backslashreplace")


class _Reading:
    """One mail while it is read."""

    def __init__(self, raw: bytes, limits: MimeLimits, is_message: Callable[[bytes], bool]) -> None:
        self._raw = raw
        self._limits = limits
        self._is_message = is_message
        self._parts = 0
        self._choices = 0
        self.leaves: list[Leaf] = []
        self.findings: dict[str, None] = {}  # in order, each once: a peer may repeat a fault a million times
        self.message_id = b""

    def walk(self, start: int, end: int, depth: int, default_type: str, choice: int) -> bool:
        """Read the part between two offsets; whether it is a multipart."""
        limits = self._limits
        self._parts += 1
        if self._parts > limits.parts:
            raise MimeError(f"more than {limits.parts} parts")
        if depth > limits.depth:
            raise MimeError(f"more than {limits.depth} levels of parts")
        fields, body = self._head(start, end)
        if depth == 0:
            self.message_id = fields.get(b"message-id", b"")
        sent_type = fields.get(b"content-type", b"")
        value, said = parameters(sent_type)
        media_type = _media_type(value, default_type)
        encoding = _ENCODING.match(fields.get(b"content-transfer-encoding", b"").lower())
        named = encoding[0] if encoding is not None else b""
        if media_type.startswith("multipart/"):
            if named not in _AS_IT_STANDS:
                self.findings["a multipart with a transfer encoding, read without it"] = None
            pieces = self._pieces(body, end, said.get("boundary", b"").rstrip(_WHITE))
            if media_type == "multipart/alternative" and not choice:
                self._choices += 1
                choice = self._choices
            inner_type = "message/rfc822" if media_type == "multipart/digest" else "text/plain"
            split = False
            for begin, stop in pieces:
                split = True
                self.walk(begin, stop, depth + 1, inner_type, choice)
            if split:
                return True
        content = self._decoded(self._raw[body:end], named)
        kind, about = parameters(fields.get(b"content-disposition", b""))
        name, findings = file_name(about, said)
        self.findings |= dict.fromkeys(findings)
        is_file = kind.lower() == b"attachment"
        self.leaves.append(Leaf(content, media_type, field_text(sent_type), name, is_file, choice))
        return False

    def _head(self, start: int, end: int) -> tuple[dict[bytes, bytes], int]:
        """The fields that count, unfolded, and where the body begins."""
        head = _HEAD.match(self._raw, start, end)
        stop = head.end() if head is not None else start
        fields: dict[bytes, bytes] = {}
        for field in _FIELDS.finditer(self._raw, start, stop):
            name = field[1].lower()
            if name in fields:
                self.findings["a header field given twice, the first counts"] = None
                continue
            if name != b"message-id" and field.end(2) - field.start(2) > self._limits.field:
                raise MimeError(f"a header field of more than {self._limits.field} bytes")
            fields[name] = field[2].replace(b"\r\n", b"").replace(b"\n", b"").strip()
        blank = _BLANK.match(self._raw, stop, end)
        if blank is None:
            self.findings["malformed mail: no blank line after the header fields"] = None
        return fields, blank.end() if blank is not None else stop

    def _pieces(self, start: int, end: int, boundary: bytes) -> Iterator[tuple[int, int]]:
        """Where the parts of a multipart lie: between boundary lines, the line end before each belonging to it."""
        if not boundary:
            self.findings["malformed mail: a multipart without a boundary"] = None
            return
        if len(boundary) > _MAX_BOUNDARY:
            self.findings[f"a boundary of more than {_MAX_BOUNDARY} bytes"] = None
        raw, mark = self._raw, b"\n--" + boundary
        opened = -1
        at = start - 1 if raw.startswith(mark[1:], start, end) else raw.find(mark, start, end)
        while at >= 0:
            line = _BOUNDARY_END.match(raw, at + len(mark), end)
            if line is None:  # a line that only begins like it
                at = raw.find(mark, at + len(mark), end)
                continue
            if opened >= 0:
                yield opened, max(opened, at - 1 if raw[at - 1 : at] == b"\r" else at)
            if line[1] is not None:
                if opened < 0:
                    break
                return
            opened = line.end()
            at = raw.find(mark, opened - 1, end)
        if opened < 0:
            self.findings["malformed mail: a multipart whose boundary never comes"] = None
            return
        self.findings["malformed mail: a multipart without its last boundary"] = None
        yield opened, end

    def _decoded(self, body: bytes, encoding: bytes) -> bytes:
        if encoding in _AS_IT_STANDS:
            return body
        if encoding == b"base64":
            content = self._base64(body)
        elif encoding == b"quoted-printable":
            content = binascii.a2b_qp(body)
        else:
            # RFC 2045 6.4: nobody knows what it holds. uuencode is one of these (Unspecified: our choice).
            self.findings["a transfer encoding that is not undone here"] = None
            return body
        if self._is_message(body) and not self._is_message(content):
            self.findings["a part that is not in the transfer encoding it names, taken as it stands"] = None
            return body
        return content

    def _base64(self, body: bytes) -> bytes:
        """RFC 2045 6.8: what is not of the alphabet is passed over; the first padding is the end."""
        text = body.translate(None, _NO_BASE64)
        data, _, rest = text.partition(b"=")
        if rest.strip(b"=") or len(data) % 4 == 1 or len(body.translate(None, _WHITE)) != len(text):
            self.findings["malformed base64, read as far as it goes"] = None
        if len(data) % 4 == 1:
            data = data[:-1]
        return binascii.a2b_base64(data + b"=" * (-len(data) % 4))


def _media_type(value: bytes, default: str) -> str:
    """RFC 2045 5.2: what is no media type is text/plain."""
    if not value:
        return default
    return value.lower().decode("ascii", "replace") if _MEDIA_TYPE.fullmatch(value) else "text/plain"
