"""A whole message: header, body, and which table reads it.

*Strategy.* Routing looks at the header only; a body is read once, when its table is known. Which table that is, a
:class:`Catalogue` says: requests by business code, replies by output code. :func:`as_json` is the documented JSON form
of a message and :func:`from_json` its way back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sekisho.codecs.header import BODY_START, MESSAGE_MOST, Direction, Header, check_header, fields
from sekisho.codecs.layout import EncodeError, Item, Layout, written
from sekisho.codecs.reading import Record, read_body
from sekisho.codecs.results import Deviation

__all__ = ["Catalogue", "Message", "as_json", "from_json", "is_reply", "read_message"]

_KINDS: Final = b"RCPMTU"


@dataclass(frozen=True, slots=True)
class Message:
    """Header, body and layout of one message, and what deviates in it.

    ``layout`` and ``record`` are None where no table is known or the header could not be read. ``findings`` were read
    anyway; ``errors`` are what a result code would be sent for.
    """

    content: bytes
    header: Header
    layout: Layout | None = None
    record: Record | None = None
    findings: tuple[Deviation, ...] = ()
    errors: tuple[Deviation, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The tables of one generation by name (``OLA.in``), and which code is read by which.

    ``aliases`` maps a table name to the one used in its place (``UEA.in`` -> ``EDA.in``); ``long_forms`` maps a business
    code to the table that reads a body longer than its own (OLC20: a SAS1360 sent back); ``variants`` maps a key output
    code to the table of the same shape.
    """

    layouts: Mapping[str, Layout]
    aliases: Mapping[str, str] = field(default_factory=dict)
    long_forms: Mapping[str, str] = field(default_factory=dict)

    def get(self, name: str) -> Layout | None:
        """The table of that name, or the one standing in for it."""
        return self.layouts.get(name) or self.layouts.get(self.aliases.get(name, ""))

    def request(self, business_code: str, body_size: int = 0) -> Layout | None:
        """The table that reads a request of ``business_code`` whose body has ``body_size`` bytes."""
        layout = self.get(f"{business_code}.in")
        long_form = self.long_forms.get(business_code)
        if layout is not None and long_form and body_size > layout.most_bytes:
            return self.get(long_form)
        return layout

    def output(self, output_code: str, business_code: str = "", body_size: int = 0) -> Layout | None:
        """The table that reads a reply. A result notice with a key is RESULT-11, one without is RESULT."""
        if output_code.startswith("*"):
            own = self.layouts.get(f"{business_code}.out")
            if own is not None and body_size == own.most_bytes and not own.open_ended:
                return own
            return self.get("RESULT-11.out" if body_size > 77 else "RESULT.out")  # noqa: PLR2004 - 75 + CRLF
        layout = self.get(f"{output_code}.out")
        if layout is None and output_code[1:2] == "Z":
            # Own output codes: system letter, Z, business code. The sheet is filed under the code or the business.
            business = output_code[2:].rstrip()
            layout = self.get(f"{business}.out") or self.get(f"S{output_code[1:]}.out")
            layout = layout or self.get(f"{business.removesuffix('11')}.in")
        return layout

    def knows_output(self, output_code: str) -> bool:
        """Whether a code is one of the output codes of the tables."""
        return bool(output_code) and self.output(output_code) is not None


def is_reply(content: bytes, catalogue: Catalogue | None = None) -> bool:
    """Request or reply (decisions, "Text"): bytes 9-15 hold ``*…`` or a known output code, byte 250 is of RCPMTU."""
    if len(content) < 250 or content[249] not in _KINDS:  # noqa: PLR2004 - the byte's position
        return False
    code = content[8:15].decode("ascii", "replace").rstrip()
    return code.startswith("*") or (catalogue is not None and catalogue.knows_output(code))


def read_message(
    content: bytes,
    catalogue: Catalogue,
    *,
    direction: Direction | None = None,
    strict: bool = False,
    tolerate_length: bool = False,
) -> Message:
    """Read a request or a reply whole. Never raises; what cannot be read is in ``errors``.

    ``strict`` turns findings into errors: of the header A0016, of the body E0001 or the S code of the item.
    """
    if direction is None:
        direction = "out" if is_reply(content, catalogue) else "in"
    header = Header(content, direction)
    findings, errors = _check(content, direction, tolerate_length)
    layout = record = None
    if len(content) >= BODY_START and content[398:400] == b"\r\n":
        body = content[BODY_START:]
        if header.length.isdigit() and content.endswith(b"\r\n") and int(header.length) == len(content) - 2:
            body = body[:-2]  # the header's finding says so
        if direction == "in":
            layout = catalogue.request(header.business_code, len(body))
            if layout is None:
                code = header.business_code or "a blank code"
                errors.append(Deviation("A0001", None, None, 3, f"no table for {code}"))
        else:
            layout = catalogue.output(header.output_code, header.business_code, len(body))
            if layout is None:
                findings.append(Deviation("A0001", None, None, 8, f"no table for {header.output_code}"))
        if len(content) > MESSAGE_MOST:
            errors.append(Deviation("E0001", None, None, MESSAGE_MOST, f"more than {MESSAGE_MOST} bytes"))
        elif layout is not None:
            record, body_findings, body_errors = read_body(layout, body)
            if findings and findings[-1].text == "the last CRLF is missing":
                body_findings = [f for f in body_findings if f.text != "the last CRLF is missing"]
            findings.extend(body_findings)
            errors.extend(body_errors)
    if strict:
        errors.extend(findings)
        errors.sort(key=lambda error: error.offset)
        findings = []
    return Message(content, header, layout, record, tuple(findings), tuple(errors))


def _check(content: bytes, direction: Direction, tolerate: bool) -> tuple[list[Deviation], list[Deviation]]:  # noqa: FBT001
    if direction == "in":
        return check_header(content, tolerate_length=tolerate)
    if len(content) < BODY_START or content[398:400] != b"\r\n":
        return [], [Deviation("A0016", None, None, min(len(content), 398), "the header is not 398 bytes and CRLF")]
    length = content[392:398]
    if not length.isdigit() or int(length) != len(content):
        text = f"電文長 says {length.decode('ascii', 'replace')}, {len(content)} bytes stand here"
        near = length.isdigit() and abs(int(length) - len(content)) == 2  # noqa: PLR2004 - one CRLF
        deviation = Deviation("A0016" if near else "A0008", None, None, 392, text)
        return ([deviation], []) if near else ([], [deviation])
    return [], []


def _shown(deviation: Deviation) -> dict[str, Any]:
    return {
        "code": deviation.code,
        "item": deviation.item,
        "row": deviation.row,
        "offset": deviation.offset,
        "text": deviation.text,
    }


def as_json(message: Message, *, mask: bool = False) -> dict[str, Any]:
    """The documented JSON form of a message. ``mask`` replaces what a table calls secret by asterisks."""
    header = message.header.values()
    reply = message.header.direction == "out"
    if mask:
        header |= {f.key: "********" for f in fields(message.header.direction) if f.secret and header[f.key]}
    items = []
    if message.record is not None:
        for item, row, text in message.record.items():
            value = "********" if mask and item.secret and text else text
            items.append({"no": item.no, "id": item.id, "name": item.name, "row": row, "value": value})
    return {
        "format": "naccs",
        "direction": "reply" if reply else "request",
        "header": header,
        "business_code": message.header.business_code,
        "output_code": message.header.output_code if reply else None,
        "layout": f"{message.layout.name}.tsv" if message.layout else None,
        "items": items,
        "findings": [_shown(finding) for finding in message.findings],
        "errors": [_shown(error) for error in message.errors],
    }


def from_json(data: Mapping[str, Any], catalogue: Catalogue) -> bytes:
    """The bytes of a message from its JSON form: header and items at full width, 電文長 counted anew if it is blank.

    Raises :class:`EncodeError`, KeyError or ValueError for a form that is no message.
    """
    direction: Direction = "out" if data.get("direction") == "reply" else "in"
    values = dict(data.get("header", {}))
    header = _header_bytes(values, direction)
    name = data.get("layout")
    if name:
        layout = catalogue.get(str(name).removesuffix(".tsv"))
    elif direction == "in":
        layout = catalogue.request(values.get("business_code", ""))
    else:
        layout = catalogue.output(values.get("output_code", ""), values.get("business_code", ""))
    body = b""
    if data.get("items"):
        if layout is None:
            raise ValueError(f"no table for {name or values.get('business_code')!r}: the items cannot be written")
        body = _body_bytes(layout, data["items"])
    if not values.get("length"):
        header = header[:392] + b"%06d" % (BODY_START + len(body))
    return header + b"\r\n" + body


def _header_bytes(values: Mapping[str, str], direction: Direction) -> bytes:
    known = fields(direction)
    unknown = values.keys() - {f.key for f in known}
    if unknown:
        raise EncodeError(min(unknown), None, "the header has no such key")
    out = []
    for f in known:
        item = Item(0, f.name, f.key, f.kind, f.size, "", 1, "", f.secret, f.note)
        text = written(item, values.get(f.key, ""), None)
        try:
            data = text.encode("ascii")
        except UnicodeEncodeError:
            raise EncodeError(f.key, None, "common items take ASCII only") from None
        if len(data) > f.size:
            raise EncodeError(f.key, None, f"{len(data)} bytes, the item holds {f.size}")
        out.append(data.ljust(f.size))
    return b"".join(out)


def _body_bytes(layout: Layout, items: Iterable[Mapping[str, Any]]) -> bytes:
    texts: list[str] = []
    for entry in items:
        id_, row = entry["id"], entry.get("row")
        if id_ not in layout:
            raise EncodeError(id_, row, f"{layout.name} has no such item")
        start, stride, _ = layout.places[id_]
        at = start + ((row or 1) - 1) * stride
        if at >= len(layout.order):
            raise EncodeError(id_, row, "more rows than the table allows")
        texts.extend("" for _ in range(at + 1 - len(texts)))
        texts[at] = written(layout.item(id_), entry.get("value", ""), row)
    whole = layout.fixed + layout.rows_for(len(texts)) * layout.row
    texts.extend("" for _ in range(whole - len(texts)))
    return layout.join(texts)
