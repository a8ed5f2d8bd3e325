"""The MIME package around an ebMS message: taken apart, and put together.

*Strategy.* A message is text/xml alone, or multipart/related whose first part is the SOAP part (checklist 1 to 7).
The splitter looks for the boundary with ``bytes.find`` from one hit to the next, so its cost is the length of the body
once, whatever the body is; a part is one slice, and nothing is decoded but base64. The standard library's parser does
the same at a fraction of the speed (``benchmarks/ebms_codec.py``). What is not certain is refused: two parsers must
not see two different messages in one body.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from sekisho.codecs.ebms.names import BASE64_PART, LINE_ENDS, MISSING_TYPE_PARAMETER
from sekisho.codecs.ebms.values import LIMITS, EbFault, Finding, Limits, Payload

__all__ = ["Package", "content_type_of", "join", "split"]

_MEDIA_TYPE: Final = re.compile(r"[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*")
# Values of real peers hold what RFC 2045 wants quoted: boundary=--=_Part_1, start=<a@b>, type=text/xml.
_PARAMETER: Final = re.compile(
    r';[ \t\r\n]*+(?:([!#$%&\'*+.^_`|~0-9A-Za-z-]++)[ \t]*+=[ \t]*+(?:"((?:[^"\\]|\\.)*+)"|([^\s;"]*+))[ \t\r\n]*+)?',
    re.DOTALL,
)
_FIELD_NAME: Final = re.compile(r"[!-9;-~]+")
_CONTENT_ID: Final = re.compile(r"[!-;=?-~]{1,250}")
_OUR_CONTENT_ID: Final = re.compile(r"[0-9A-Za-z._=+~@-]{1,250}")
"""What needs no escape in a cid: address (RFC 2392), so that no peer has to undo one."""
_BASE64_SPACE: Final = bytes.maketrans(b"", b""), b" \t\r\n"
_MAX_CONTENT_TYPE: Final = 2_048
"""Real ones have under 300 characters."""
_MAX_BOUNDARY: Final = 200
"""RFC 2046 says 70; toolkits exceed it."""
_KEPT_FIELDS: Final = ("content-type", "content-id", "content-transfer-encoding")
_USUAL: Final = re.compile(
    rb"(?:Content-I[Dd]: <([!-;=?-~]{1,250}+)>\r\n)?"
    rb"Content-Type: ([!-~](?:[ -~]{0,1000}[!-~])?)\r\n"
    rb"(?:Content-I[Dd]: <([!-;=?-~]{1,250}+)>\r\n)?"
    rb"(?:Content-Transfer-Encoding: ([!-~]{1,40}+)\r\n)?"
    rb"(?:Content-I[Dd]: <([!-;=?-~]{1,250}+)>\r\n)?\r\n"
)
"""The header fields of a part as nearly all systems write them; what is written otherwise is read line by line."""
_IDENTITY: Final = ("", "binary", "8bit", "7bit")


@dataclass(frozen=True, slots=True)
class Package:
    """A body taken apart: the SOAP part, the charset its Content-Type states (lower case or empty), the others."""

    soap: bytes = field(repr=False)
    charset: str = ""
    parts: tuple[Payload, ...] = ()
    findings: tuple[Finding, ...] = ()


@lru_cache(maxsize=256)
def content_type_of(text: str) -> tuple[str, Mapping[str, str]]:
    """The media type and the parameters of a Content-Type, both names in lower case, values as they stand.

    Raises :class:`EbFault` (MimeProblem) where it cannot be read or names a parameter twice.
    """
    match = _MEDIA_TYPE.match(text) if len(text) <= _MAX_CONTENT_TYPE else None
    if match is None:
        raise _problem("the Content-Type cannot be read")
    parameters: dict[str, str] = {}
    at = match.end()
    while at < len(text):
        found = _PARAMETER.match(text, at)
        if found is None:
            raise _problem("a parameter of the Content-Type cannot be read")
        name, quoted, plain = found.groups()
        if name is not None:
            if name.lower() in parameters:
                raise _problem("a parameter of the Content-Type is given twice")
            if quoted is not None and "\\" in quoted:
                quoted = re.sub(r"\\(.)", r"\1", quoted)
            parameters[name.lower()] = plain if quoted is None else quoted
        at = found.end()
    return match[1].lower(), parameters


def split(content_type: str, body: bytes, limits: Limits = LIMITS) -> Package:
    """Take an HTTP body apart.

    ``content_type`` is the HTTP field's value. Raises :class:`EbFault` with MimeProblem (to be answered by a SOAP
    Fault) for a package that is not whole: no or wrong Content-Type, no closing boundary, a part that cannot be
    decoded, a Content-ID that is given twice, more parts or bytes than ``limits`` allow.
    """
    media, parameters = content_type_of(content_type)
    if media == "text/xml":
        return Package(_bounded(body, limits), parameters.get("charset", "").lower())
    _refuse_soap_12(media)
    if media != "multipart/related":
        raise _problem("the Content-Type is neither text/xml nor multipart/related")
    findings: list[Finding] = []
    root_type = parameters.get("type", "").lower()
    if not root_type:
        findings.append(Finding(MISSING_TYPE_PARAMETER, "multipart/related without a type parameter"))
    _refuse_soap_12(root_type)
    if root_type not in {"", "text/xml"}:
        raise _problem("the type parameter of multipart/related is not text/xml")
    parts = _parts(body, parameters.get("boundary", ""), limits, findings)
    root, *others = parts
    start = parameters.get("start", "").strip().removeprefix("<").removesuffix(">")
    if start and start != root.content_id:
        raise _problem("the SOAP part, which the start parameter names, is not the first part")
    root_media, root_parameters = content_type_of(root.content_type or "text/plain")
    _refuse_soap_12(root_media)
    if root_media != "text/xml":
        raise _problem("the first part is not text/xml")
    return Package(
        _bounded(root.content, limits), root_parameters.get("charset", "").lower(), tuple(others), tuple(findings)
    )


def join(soap: bytes, content_id: str, parts: Sequence[Payload], boundary: str) -> tuple[str, bytes]:
    """Put a package together: the HTTP Content-Type and the body.

    ``content_id`` is the SOAP part's. Without ``parts`` the SOAP part goes alone (checklist 2). All parts go as binary
    (checklist 5). Raises ValueError where an id or the boundary cannot stand in a header field, or the boundary occurs
    in a part.
    """
    if not parts:
        return "text/xml; charset=UTF-8", soap
    ids = [content_id, *(part.content_id for part in parts)]
    for each in ids:
        if _OUR_CONTENT_ID.fullmatch(each) is None:
            raise ValueError(f"not a Content-ID: {each!r}")
    if len(set(ids)) != len(ids):
        raise ValueError("two parts have one Content-ID")
    if re.fullmatch(r"[0-9A-Za-z'()+_,./:=?-]{1,70}", boundary) is None:
        raise ValueError("not a boundary (RFC 2046 section 5.1.1)")
    mark = b"--" + boundary.encode("ascii")
    pieces: list[bytes] = []
    kinds = ["text/xml; charset=UTF-8", *(part.content_type for part in parts)]
    for each, kind, content in zip(ids, kinds, [soap, *(part.content for part in parts)], strict=True):
        if mark in content:
            raise ValueError("the boundary occurs in a part")
        if re.fullmatch(r"[ -~]+", kind) is None or _MEDIA_TYPE.match(kind) is None:
            raise ValueError(f"not a Content-Type: {kind!r}")
        head = f"Content-Type: {kind}\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <{each}>\r\n\r\n"
        pieces += (mark, b"\r\n", head.encode("ascii"), content, b"\r\n")
    pieces += (mark, b"--\r\n")
    kind = f'multipart/related; type="text/xml"; boundary="{boundary}"; start="<{content_id}>"'
    return kind, b"".join(pieces)


def _parts(body: bytes, boundary: str, limits: Limits, findings: list[Finding]) -> list[Payload]:
    if not 0 < len(boundary) <= _MAX_BOUNDARY or not boundary.isascii() or not boundary.isprintable():
        raise _problem("the boundary parameter is missing or cannot be used")
    mark = b"--" + boundary.encode("ascii")
    parts: list[Payload] = []
    ids: set[str] = set()
    lone = False
    begin, closing, feed = _delimiter(body, mark, 0)
    lone = lone or feed
    if begin[1] < 0 or closing:
        raise _problem("the body does not begin with its boundary")
    while True:
        if len(parts) >= limits.parts:
            raise _problem(f"more than {limits.parts} parts")
        end, closing, feed = _delimiter(body, mark, begin[1])
        lone = lone or feed
        if end[1] < 0:
            raise _problem("the closing boundary is missing")
        part = _part(body, begin[1], end[0], limits)
        if part.content_id in ids:
            raise _problem("a Content-ID is given twice")
        if part.content_id:
            ids.add(part.content_id)
        if part.transfer_encoding == "base64":
            findings.append(Finding(BASE64_PART, "a part came as base64", f"cid:{part.content_id}"))
        parts.append(part)
        if closing:
            break
        begin = end
    if lone:
        findings.append(Finding(LINE_ENDS, "a boundary line ends with LF alone"))
    return parts


def _delimiter(body: bytes, mark: bytes, at: int) -> tuple[tuple[int, int], bool, bool]:
    """The next boundary line from ``at``: where the text before it ends, where the line ends, whether it closes.

    (-1, -1) where there is none. The last value tells whether a lone LF was taken for a line end.
    """
    size = len(body)
    while True:
        hit = body.find(mark, at)
        if hit < 0:
            return (-1, -1), False, False
        at = hit + len(mark)
        if hit and body[hit - 1] != 10:  # not at the start of a line
            continue
        closing = body.startswith(b"--", at)
        end = at + 2 if closing else at
        while end < size and body[end] in b" \t":
            end += 1
        feed = False
        if body.startswith(b"\r\n", end):
            end += 2
        elif body.startswith(b"\n", end):
            end += 1
            feed = True
        elif not (closing and end == size):
            continue  # a longer line that begins like the boundary
        before = hit
        if before:
            before -= 1
            if before and body[before - 1] == 13:
                before -= 1
            else:
                feed = True
        return (before, end), closing, feed


def _part(body: bytes, begin: int, end: int, limits: Limits) -> Payload:
    usual = _USUAL.match(body, begin, min(end + 2, begin + limits.part_header_bytes))
    if usual is not None and len(ids := [*filter(None, usual.group(1, 3, 5))]) < 2:
        begin = usual.end()
        content_id = ids[0].decode("ascii") if ids else ""
        content_type = usual[2].decode("ascii")
        encoding = (usual[4] or b"").decode("ascii").lower()
    else:
        fields, begin = _fields(body, begin, end, limits.part_header_bytes)
        content_id, content_type = fields.get("content-id", ""), fields.get("content-type", "")
        encoding = fields.get("content-transfer-encoding", "").lower()
        if content_id:
            content_id = content_id.removeprefix("<").removesuffix(">")
            if _CONTENT_ID.fullmatch(content_id) is None:
                raise _problem("a Content-ID cannot be read")
    end = max(begin, end)  # an empty part: its blank line is the boundary's own line end
    if encoding in _IDENTITY:
        content = body[begin:end] if end - begin <= limits.part_bytes else None
    elif encoding == "base64":
        content = _base64(body[begin:end], limits.part_bytes)
    else:
        raise _problem("a part has an unknown Content-Transfer-Encoding")
    if content is None:
        raise _problem(f"a part has more than {limits.part_bytes} bytes")
    return Payload(content_id, content_type, content, encoding or "7bit")


def _fields(body: bytes, begin: int, end: int, most: int) -> tuple[dict[str, str], int]:
    """The Content-* fields of a part, and where its content begins."""
    if body.startswith((b"\r\n", b"\n"), begin):
        return {}, begin + (2 if body[begin] == 13 else 1)
    bound = min(end + 2, begin + most)  # the blank line may end with the boundary's own line end
    stop, width = body.find(b"\r\n\r\n", begin, bound), 4
    lone = body.find(b"\n\n", begin, bound if stop < 0 else stop)
    if lone >= 0:
        stop, width = lone, 2
    if stop < 0:
        raise _problem("the header fields of a part do not end, or are too long")
    try:
        head = body[begin:stop].decode("ascii")
    except UnicodeDecodeError:
        raise _problem("the header fields of a part are not ASCII") from None
    lines: list[str] = []
    for line in head.replace("\r\n", "\n").split("\n"):
        if line[:1] in {" ", "\t"} and lines:
            lines[-1] += line
        else:
            lines.append(line)
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or _FIELD_NAME.fullmatch(name) is None or "\r" in value:
            raise _problem("a header field of a part cannot be read")
        key = name.lower()
        if key in _KEPT_FIELDS:
            if key in fields:
                raise _problem("a header field of a part is given twice")
            fields[key] = value.strip()
    return fields, stop + width


def _base64(text: bytes, most: int) -> bytes | None:
    packed = text.translate(*_BASE64_SPACE)
    if len(packed) // 4 * 3 > most + 2:
        return None
    try:
        return binascii.a2b_base64(packed, strict_mode=True)
    except binascii.Error:
        raise _problem("a part cannot be decoded from base64") from None


def _bounded(soap: bytes, limits: Limits) -> bytes:
    if len(soap) > limits.soap_bytes:
        raise _problem(f"the SOAP part has more than {limits.soap_bytes} bytes")
    return soap


def _refuse_soap_12(media: str) -> None:
    if media == "application/soap+xml":
        raise EbFault(
            "NotSupported",
            "this is SOAP 1.2, as ebMS 3.0 and AS4 use it; ebMS 2.0 over SOAP 1.1 is spoken here",
            soap_code="VersionMismatch",
        )


def _problem(text: str) -> EbFault:
    return EbFault("MimeProblem", text, soap_code="Client")
