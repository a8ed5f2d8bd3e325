"""Reading a body by its table: tolerant, and saying so.

*Strategic order.* A body that matches the layout's pattern is split once and trimmed; nothing else is asked of it but
dates that exist and required items that are filled. Any other body is split on CRLF with each width as an upper bound
(wire reference 3.4) and walked item by item; every deviation becomes a finding (read anyway) or an error (a result code
would be sent), with item, row and byte offset, and all of them are collected.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from typing import Final

from sekisho.codecs import charset
from sekisho.codecs.layout import Item, Layout, Value, trimmed, typed
from sekisho.codecs.results import Deviation, Rule

__all__ = ["Record", "read_body"]

_NUMBER: Final = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)\Z", re.ASCII)


class Record:
    """The items of one body. Text by :meth:`text`, typed values by index, rows by :meth:`rows`.

    ``record["OLT"]`` is one value, ``record["CG_"]`` the list of its rows; an item the sender left out reads as blank.
    """

    __slots__ = ("_body", "_texts", "layout")

    def __init__(self, layout: Layout, texts: list[str], body: bytes) -> None:
        self.layout = layout
        self._texts = texts
        self._body = body

    def __len__(self) -> int:
        """Items on the wire, rows counted."""
        return len(self._texts)

    def text(self, id_: str, row: int = 1) -> str:
        """The trimmed text of an item; blank if it was not sent. Raises KeyError for an id the table does not have."""
        start, stride, _ = self.layout.places[id_]
        at = start + (row - 1) * stride
        return self._texts[at] if at < len(self._texts) else ""

    def value(self, id_: str, row: int = 1) -> Value:
        """The value of an item by its kind."""
        return typed(self.layout.item(id_), self.text(id_, row))

    def __getitem__(self, id_: str) -> Value | list[Value]:
        if self.layout.places[id_][2] == 1:
            return self.value(id_)
        return [self.value(id_, row) for row in range(1, self.row_count(id_) + 1)]

    def texts(self, id_: str) -> list[str]:
        """The texts of an item of a repeating block, one a row that was sent."""
        return [self.text(id_, row) for row in range(1, self.row_count(id_) + 1)]

    def row_count(self, id_: str) -> int:
        """Rows of the item's block that were sent (1 outside a block)."""
        start, stride, repeat = self.layout.places[id_]
        if repeat == 1:
            return 1
        first = start - next(at for at, i in enumerate(self._block(id_)) if i.id == id_)
        return min(repeat, max(0, -(-(len(self._texts) - first) // stride)))

    def _block(self, id_: str) -> tuple[Item, ...]:
        return next(block.items for block in self.layout.blocks if any(item.id == id_ for item in block.items))

    def used_rows(self, group: str) -> list[dict[str, str]]:
        """The rows of a block with anything in them, each as texts by short name and ``row`` as ``#``."""
        block = next(b for b in self.layout.blocks if b.group == group)
        out = []
        for row in range(1, self.row_count(block.items[0].id) + 1):
            cells = {item.id: self.text(item.id, row) for item in block.items}
            if any(cells.values()):
                out.append(cells | {"#": str(row)})
        return out

    def values(self) -> dict[str, Value | list[Value]]:
        """Every item by short name, in table order."""
        return {item.id: self[item.id] for item in self.layout.items}

    def items(self) -> Iterator[tuple[Item, int | None, str]]:
        """Item, row and trimmed text in wire order, up to the last item present."""
        rows = self.layout.rows_for(len(self._texts))
        for (item, row), text in zip(self.layout.in_order(rows), self._texts, strict=False):
            yield item, row, text

    def raw(self, id_: str, row: int = 1) -> bytes:
        """The bytes of an item as they came, padding included; empty if it was not sent."""
        start, stride, _ = self.layout.places[id_]
        at = start + (row - 1) * stride
        parts = self._body.split(b"\r\n")
        return parts[at] if at < len(self._texts) and at < len(parts) else b""


@lru_cache(maxsize=4096)
def _is_date(text: str) -> bool:
    try:
        date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return False
    return len(text) == 8 and text.isascii() and text.isdigit()


def read_body(layout: Layout, body: bytes, base: int = 400) -> tuple[Record, list[Deviation], list[Deviation]]:
    """Record, findings and errors of a body; ``base`` is where it starts in the message, for the offsets.

    Never raises: what cannot be read is an error in the list, and everything else is in the record.
    """
    if layout.pattern.fullmatch(body):
        # Latin-1 keeps every byte one character, so only the few items with kanji pay for their conversion; the only
        # white space the pattern lets through is the space, so the plain rstrip (twice as fast) takes nothing else.
        texts = list(map(str.rstrip, body.decode("latin-1").split("\r\n")))
        if not body.isascii():
            try:
                texts = [t if t.isascii() else charset.decode(t.encode("latin-1")) for t in texts]
            except charset.CharsetError:
                return _explain(layout, body, base)
        texts.pop()
        count = len(texts)
        for at in layout.numbers:
            if at >= count:
                break
            if texts[at]:
                texts[at] = trimmed(layout.order[at][0], texts[at])
        for start, end, required in layout.later_rows:
            if start >= count:
                break
            if any(texts[start:end]) and not all([texts[at] for at in required]):
                return _explain(layout, body, base)
        return Record(layout, texts, body), [], []
    return _explain(layout, body, base)


def _offsets(body: bytes, base: int) -> list[int]:
    out, at = [], base
    for part in body.split(b"\r\n"):
        out.append(at)
        at += len(part) + 2
    return out


def _missing(layout: Layout, record: Record, offsets: list[int]) -> list[Deviation]:
    """Required items that are blank: outside a block, in its first row, and in every row that is used."""
    errors = []
    for block in layout.blocks:
        required = [item for item in block.items if item.required == "M"]
        if not required:
            continue
        rows = 1 if block.repeat == 1 else max(1, record.row_count(block.items[0].id))
        for row in range(1, rows + 1):
            if row > 1 and not any(record.text(item.id, row) for item in block.items):
                continue
            for item in required:
                if record.text(item.id, row):
                    continue
                start, stride, _ = layout.places[item.id]
                at = start + (row - 1) * stride
                offset = offsets[at] if at < len(record) else offsets[-1]
                code = layout.results.code_for(Rule.MISSING, item.id)
                text = f"{item.name} is required and blank"
                errors.append(Deviation(code, item.id, row if block.repeat > 1 else None, offset, text))
    return errors


def _explain(layout: Layout, body: bytes, base: int) -> tuple[Record, list[Deviation], list[Deviation]]:
    findings: list[Deviation] = []
    errors: list[Deviation] = []
    parts = body.split(b"\r\n")
    offsets = _offsets(body, base)
    if parts[-1] == b"":
        parts.pop()
    elif parts:
        findings.append(Deviation("E0001", None, None, base + len(body), "the last CRLF is missing"))
    order = layout.order
    whole = len(parts) - layout.fixed
    surplus = whole % layout.row == 1 if layout.open_ended and whole > 0 else len(parts) > layout.fixed
    if parts and parts[-1] == b"" and surplus and (layout.row != 1):
        offset = offsets[len(parts) - 1]
        findings.append(Deviation("E0001", None, None, offset, "one CRLF follows the last item; it is ignored"))
        parts.pop()
    if len(parts) > len(order):
        item, row = order[-1]
        at = offsets[len(order)]
        if layout.open_ended:
            first = layout.blocks[-1].items[0]
            text = f"more than {first.repeat} rows of {first.group}"
            errors.append(Deviation("E0001", first.id, first.repeat + 1, at, text))
        else:
            errors.append(Deviation("E0001", item.id, row, at, "more items than the table has"))
        del parts[len(order) :]
    texts = []
    for part, offset, (item, row) in zip(parts, offsets, order, strict=False):
        texts.append(_read_item(layout, item, row, part, offset, findings, errors))
    if len(parts) < layout.fixed:
        item, row = order[len(parts)]
        text = f"the message ends before {item.name}; what is missing is blank"
        findings.append(Deviation("E0001", item.id, row, base + len(body), text))
    elif layout.open_ended and (len(parts) - layout.fixed) % layout.row:
        item, row = order[len(parts)]
        text = f"the last row ends before {item.name}; what is missing is blank"
        findings.append(Deviation("E0001", item.id, row, base + len(body), text))
    record = Record(layout, texts, body)
    blamed = {(error.item, error.row) for error in errors}
    for missing in _missing(layout, record, offsets):
        if (missing.item, missing.row) not in blamed:
            errors.append(missing)
    order_of = {(item.id, row): at for at, (item, row) in enumerate(order)}
    errors.sort(key=lambda e: order_of.get((e.item or "", e.row), len(order)))
    return record, findings, errors


def _read_item(
    layout: Layout,
    item: Item,
    row: int | None,
    part: bytes,
    offset: int,
    findings: list[Deviation],
    errors: list[Deviation],
) -> str:
    """The trimmed text of one item as it came; what deviates is added to the lists."""
    codes = layout.results

    def error(rule: str, at: int, text: str) -> None:
        errors.append(Deviation(codes.code_for(rule, item.id), item.id, row, at, f"{item.name}: {text}"))

    if len(part) > item.size:
        error(Rule.LENGTH, offset, f"{len(part)} bytes, the item holds {item.size}")
    elif len(part) < item.size:
        text = f"{item.name}: {len(part)} of {item.size} bytes; padded"
        findings.append(Deviation("E0001", item.id, row, offset, text))
    checked = "an" if item.kind not in ("j", "sn") else item.kind
    odd = charset.odd_bytes(checked, part)
    if odd >= 0:
        rule = Rule.FORMAT if item.is_number or item.kind in ("date", "time") else Rule.CHARACTER
        error(rule, offset + odd, "a character that this item cannot hold")
        return _as_text(part).rstrip(" ")
    text = charset.decode(part)
    strange = charset.irregular(item.kind, part)
    if strange >= 0:
        code = codes.code_for(Rule.CHARACTER, item.id)
        note = f"{item.name}: a character outside the usual set"
        findings.append(Deviation(code, item.id, row, offset + strange, note))
    value = trimmed(item, text)
    if not value:
        return value
    if item.is_number:
        _check_number(item, row, text, offset, findings, error)
    elif item.kind == "date" and not _is_date(value):
        error(Rule.FORMAT, offset, "not a date YYYYMMDD")
    elif item.kind == "time" and not re.fullmatch("(?:[01][0-9]|2[0-3])[0-5][0-9]", value):
        error(Rule.FORMAT, offset, "not a time hhmm")
    elif item.kind == "flag" and value != "*":
        error(Rule.VALUE, offset, "neither an asterisk nor a space")
    return value


def _check_number(
    item: Item, row: int | None, text: str, offset: int, findings: list[Deviation], error: object
) -> None:
    bare = text.strip(" ")
    if not _NUMBER.match(bare) or (item.kind == "n0" and not bare.isdigit()):
        error(Rule.FORMAT, offset, "not a number")  # type: ignore[operator]
        return
    if len(text) < item.size:
        return
    usual = bare.zfill(item.size) if item.kind == "n0" else trimmed(item, text).rjust(item.size)
    if text != usual:
        note = f"{item.name}: a number padded in another way than its kind says"
        findings.append(Deviation("E0001", item.id, row, offset, note))


def _as_text(part: bytes) -> str:
    try:
        return charset.decode(part)
    except charset.CharsetError:
        return part.decode("ascii", "replace")
