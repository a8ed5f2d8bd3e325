"""A whole message: header, body, and which table reads it.

*Strategy.* Routing looks at the header only; a body is read once, when its table is known. Which table that is, a
:class:`Catalogue` says: requests by business code, replies by output code. :func:`as_json` is the documented JSON form
of a message and :func:`from_json` its way back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from sekisho.codecs import charset
from sekisho.codecs.header import (
    BODY_START,
    LAST_CRLF_MISSING,
    MESSAGE_MOST,
    ONE_CRLF_MORE,
    Direction,
    Header,
    check_header,
    fields,
    length_deviation,
)
from sekisho.codecs.layout import EncodeError, Item, Layout, written
from sekisho.codecs.reading import REQUIRED_AND_BLANK, Record, read_body
from sekisho.codecs.results import Deviation

__all__ = ["Catalogue", "Message", "as_json", "from_json", "is_reply", "read_message"]

_KINDS: Final = b"RCPMTU"
_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")
_HIGH: Final = re.compile(rb"[\x80-\xff]")
_NOTICE_SIZE: Final = 77
"""Body of a result notice without a key: 75 bytes and CRLF [client]."""


class Message(NamedTuple):
    """Header, body and layout of one message, and what deviates in it.

    ``layout`` and ``record`` are None where no table is known or the header could not be read. ``findings`` were read
    anyway; ``errors`` are what a result code would be sent for. (A named tuple is built in half the time of a frozen
    dataclass, and one is built for every message.)
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

    ``aliases`` maps a table name to the one used in its place (``UEA.in`` -> ``EDA.in``); ``long_forms`` maps a
    business code to the table that reads a body longer than its own (OLC20: a SAS1360 sent back).
    """

    layouts: Mapping[str, Layout]
    aliases: Mapping[str, str] = field(default_factory=dict)
    long_forms: Mapping[str, str] = field(default_factory=dict)

    def get(self, name: str) -> Layout | None:
        """The table of that name, or the one standing in for it."""
        return self.layouts.get(name) or self.layouts.get(self.aliases.get(name, ""))

    def request(self, business_code: str, body_size: int = 0) -> Layout | None:
        """The table that reads a request of ``business_code`` whose body has ``body_size`` bytes.

        A body is longer than its own table only if one CRLF too many does not account for it.
        """
        name = business_code + ".in"
        layout = self.layouts.get(name) or self.get(name)
        if business_code in self.long_forms and layout is not None and body_size > layout.most_bytes + 2:
            return self.get(self.long_forms[business_code])
        return layout

    def output(
        self, output_code: str, business_code: str = "", body_size: int = 0, items: int | None = None
    ) -> Layout | None:
        """The table that reads a reply; ``body_size`` in bytes, ``items`` the CRLFs in the body if they were counted.

        A result notice (``*…``) is read by its business's own form if it is as long as that, else with a key
        (RESULT-11) or without (RESULT). An output code is a table's own or its air or common twin's; a code of ours
        (system letter, ``Z``, business code) is filed under the business code, or is what a call-up shows: a code that
        ends in 11 calls up what the code before the 11 registers, by that one's item table.
        """
        if output_code.startswith("*"):
            return self._notice(business_code, body_size, items)
        layout = self.get(output_code + ".out")
        if layout is None and output_code[1:2] == "Z":
            business = output_code[2:].rstrip()
            layout = self.get(f"SZ{business}.out") or self.get(business + ".out")
            if layout is None and business.endswith("11"):
                layout = self.get(business.removesuffix("11") + ".in")
        return layout

    def _notice(self, business_code: str, body_size: int, items: int | None) -> Layout | None:
        own = self.get(business_code + ".out")
        if own is not None and not own.open_ended and (body_size == own.most_bytes or items == len(own.items)):
            return own
        keyed = body_size > _NOTICE_SIZE if items is None else items > 1
        return self.get("RESULT-11.out" if keyed else "RESULT.out")

    def knows_output(self, output_code: str) -> bool:
        """Whether a code is one of the output codes of the tables."""
        return bool(output_code) and self.output(output_code) is not None


def is_reply(content: bytes, catalogue: Catalogue | None = None) -> bool:
    """Request or reply (decisions, "Text"): bytes 9-15 hold ``*…`` or a known output code, byte 250 is of RCPMTU.

    A management document (宛管形式 K) has no table that could make its output code known; it is a reply all the same.
    """
    if len(content) < 250 or content[249] not in _KINDS:
        return False
    if content[363:364] == b"K":
        return True
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
    check = check_header if direction == "in" else _check_reply
    findings, errors = check(content, tolerate_length=tolerate_length)
    header = Header(content, direction)
    layout = record = None
    if content[398:400] == b"\r\n":
        body = content[BODY_START:]
        if findings:
            body = _as_meant(body, findings)
        if direction == "in":
            layout = catalogue.request(header.business_code, len(body))
            if layout is None:
                code = header.business_code or "a blank code"
                errors.append(Deviation("A0001", None, None, 3, f"no table for {code}"))
        else:
            items = body.count(b"\r\n")
            layout = catalogue.output(header.output_code, header.business_code, len(body), items)
            if layout is None:
                findings.append(Deviation("A0001", None, None, 8, f"no table for {header.output_code}"))
        if len(content) > MESSAGE_MOST:
            errors.append(Deviation("E0001", None, None, MESSAGE_MOST, f"more than {MESSAGE_MOST} bytes"))
        elif layout is not None:
            record, body_findings, body_errors = read_body(layout, body)
            if direction == "out":
                # A call-up answers with the table of a request; what is required there is the reader's to fill in.
                body_errors = [error for error in body_errors if not error.text.endswith(REQUIRED_AND_BLANK)]
            findings += body_findings
            errors += body_errors
            if not findings and not errors:
                return Message(content, header, layout, record)
    if strict and findings:
        errors += findings
        errors.sort(key=lambda error: error.offset)
        findings = []
    return Message(content, header, layout, record, tuple(findings), tuple(errors))


def _as_meant(body: bytes, findings: list[Deviation]) -> bytes:
    """The body without the CRLF too many, or with the one missing, that 電文長 and a finding tell of."""
    if findings[-1].text == LAST_CRLF_MISSING:
        return body + b"\r\n"
    return body[:-2] if findings[-1].text == ONE_CRLF_MORE else body


def _check_reply(content: bytes, *, tolerate_length: bool) -> tuple[list[Deviation], list[Deviation]]:
    if len(content) < BODY_START or content[398:400] != b"\r\n":
        return [], [Deviation("A0016", None, None, min(len(content), 398), "the header is not 398 bytes and CRLF")]
    control = _CONTROL.search(content, 0, 398)
    if control:
        return [], [Deviation("A0009", None, None, control.start(), "a control character stands in the header")]
    findings: list[Deviation] = []
    high = _HIGH.search(content, 0, 398)
    if high:
        findings.append(Deviation("A0016", None, None, high.start(), "a byte above 7E stands in the header"))
    wrong = length_deviation(content)
    if wrong is None:
        return findings, []
    if tolerate_length or wrong.code == "A0016":
        return [*findings, wrong], []
    return findings, [wrong]


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

    Raises ValueError for a form that is no message (:class:`EncodeError` where an item is to blame).
    """
    direction: Direction = "out" if data.get("direction") == "reply" else "in"
    values, items = data.get("header", {}), data.get("items", [])
    if not isinstance(values, Mapping) or not isinstance(items, list):
        raise ValueError("a message has a header (an object) and items (a list)")  # noqa: TRY004 - one error for input
    header = _header_bytes(values, direction)
    name = data.get("layout")
    if name:
        layout = catalogue.get(str(name).removesuffix(".tsv"))
    elif direction == "in":
        layout = catalogue.request(values.get("business_code", ""))
    else:
        layout = catalogue.output(values.get("output_code", ""), values.get("business_code", ""))
    body = b""
    if layout is not None:
        body = _body_bytes(layout, items)
    elif items or values.get("length", "") not in ("", f"{BODY_START:06d}"):
        raise ValueError(f"no table for {name or values.get('business_code')!r}: the items cannot be written")
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
        try:
            data = charset.encode(written(item, values.get(f.key, ""), None))
        except charset.CharsetError as error:
            raise EncodeError(f.key, None, str(error)) from None
        if len(data) > f.size:
            raise EncodeError(f.key, None, f"{len(data)} bytes, the item holds {f.size}")
        out.append(data.ljust(f.size))
    return b"".join(out)


def _body_bytes(layout: Layout, items: Iterable[Any]) -> bytes:
    texts: list[str] = []
    for entry in items:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("id"), str):
            raise ValueError("an item is an object with id, row and value")  # noqa: TRY004 - one error for input
        id_, row = entry["id"], entry.get("row")
        if id_ not in layout:
            raise EncodeError(id_, None, f"{layout.name} has no such item")
        start, stride, repeat = layout.places[id_]
        if row is not None and (type(row) is not int or not 1 <= row <= repeat):
            raise EncodeError(id_, None, f"row {row}: the table has rows 1 to {repeat} of it")
        at = start + ((row or 1) - 1) * stride
        texts.extend("" for _ in range(at + 1 - len(texts)))
        texts[at] = written(layout.item(id_), entry.get("value", ""), row)
    if not texts:
        return b""
    whole = layout.fixed + layout.rows_for(len(texts)) * layout.row
    texts.extend("" for _ in range(whole - len(texts)))
    return layout.join(texts)
