"""Reading a body by its table: tolerant, and saying so.

*Strategy.* A body that conforms is split once and trimmed (:mod:`sekisho.codecs.conforming`). Any other is split on
CRLF with each width as an upper bound (wire reference 3.4) and walked item by item; every deviation becomes a finding
(read anyway) or an error (a result code would be sent), with item, row and byte offset, and all are collected.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from typing import Final

from sekisho.codecs import charset
from sekisho.codecs.conforming import prepare
from sekisho.codecs.layout import Item, Layout, Value, trimmed, typed
from sekisho.codecs.results import Deviation, Rule

__all__ = ["Record", "read_body"]

REQUIRED_AND_BLANK: Final = "required and blank"
"""How an error about a missing item ends."""
_NUMBER: Final = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)", re.ASCII)
_TIME: Final = re.compile("(?:[01][0-9]|2[0-3])[0-5][0-9]")
_FORMATTED: Final = frozenset(("n", "n0", "date", "time", "flag"))


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
    read = layout.reader
    if read is None:
        read = layout.reader = prepare(layout)
    texts = read(body)
    if texts is not None:
        return Record(layout, texts, body), [], []
    reading = _Reading(layout, base)
    return reading.record(body), reading.findings, sorted(reading.errors, key=lambda error: error.offset)


class _Reading:
    """One body that does not conform, item by item; what deviates gathers in ``findings`` and ``errors``."""

    def __init__(self, layout: Layout, base: int) -> None:
        self.layout = layout
        self.base = base
        self.findings: list[Deviation] = []
        self.errors: list[Deviation] = []

    def find(self, item: Item | None, row: int | None, offset: int, text: str) -> None:
        """Note a deviation of form: E0001 under ``strict``."""
        self.findings.append(Deviation("E0001", item.id if item else None, row, offset, text))

    def error(self, rule: str, item: Item, row: int | None, offset: int, text: str) -> None:
        """Note an error under the number that the business has for ``rule``."""
        code = self.layout.results.code_for(rule, item.id)
        self.errors.append(Deviation(code, item.id, row, offset, f"{item.name}: {text}"))

    def record(self, body: bytes) -> Record:
        """Everything of ``body`` that can be read."""
        layout, order = self.layout, self.layout.order
        end = self.base + len(body)
        parts = self.parts(body)
        texts, offsets, offset = [], [], self.base
        for part, (item, row) in zip(parts, order, strict=False):
            texts.append(self.text(item, row, part, offset))
            offsets.append(offset)
            offset += len(part) + 2
        if len(parts) < layout.fixed:
            item, row = order[len(parts)]
            self.find(item, row, end, f"the message ends before {item.name}; what is missing is blank")
        elif layout.open_ended and (len(parts) - layout.fixed) % layout.row:
            item, row = order[len(parts)]
            self.find(item, row, end, f"the last row ends before {item.name}; what is missing is blank")
        record = Record(layout, texts, body)
        self.required(record, offsets, end)
        return record

    def parts(self, body: bytes) -> list[bytes]:
        """The items of ``body`` as they came, at most as many as the table has."""
        layout, most = self.layout, len(self.layout.order)
        parts = body.split(b"\r\n")
        end = self.base + len(body)
        if not parts[-1]:
            parts.pop()
        else:
            self.find(None, None, end, "the last CRLF is missing")
        beyond = len(parts) - layout.fixed
        if beyond > 0 and not parts[-1] and (layout.row <= 1 or beyond % layout.row == 1):
            self.find(None, None, end - 2, "one CRLF follows the last item; it is ignored")
            parts.pop()
        if len(parts) > most:
            item, row = layout.order[-1]
            what = "more items than the table has"
            if layout.open_ended:
                item = layout.blocks[-1].items[0]
                row = item.repeat + 1
                what = f"more than {item.repeat} rows"
            offset = self.base + sum(map(len, parts[:most])) + 2 * most
            self.errors.append(Deviation("E0001", item.id, row, offset, what))
            del parts[most:]
        return parts

    def text(self, item: Item, row: int | None, part: bytes, offset: int) -> str:
        """The trimmed text of one item."""
        if len(part) > item.size:
            self.error(Rule.LENGTH, item, row, offset, f"{len(part)} bytes, the item holds {item.size}")
        elif len(part) < item.size:
            self.find(item, row, offset, f"{item.name}: {len(part)} of {item.size} bytes; padded")
        text = charset.plain_text(part)
        if text is None:
            odd = charset.odd_bytes(item.kind, part)
            if odd >= 0:
                rule = Rule.FORMAT if item.kind in _FORMATTED else Rule.CHARACTER
                self.error(rule, item, row, offset + odd, "a character that this item cannot hold")
                return charset.decode_anyway(part).rstrip(" ")
            text = charset.decode(part)
            strange = charset.irregular(item.kind, part)
            if strange >= 0:
                code = self.layout.results.code_for(Rule.CHARACTER, item.id)
                note = f"{item.name}: a character outside the usual set"
                self.findings.append(Deviation(code, item.id, row, offset + strange, note))
        value = trimmed(item, text)
        if not value or item.kind not in _FORMATTED:
            return value
        if item.is_number:
            self.number(item, row, text, offset)
        elif item.kind == "date" and not _is_date(value):
            self.error(Rule.FORMAT, item, row, offset, "not a date YYYYMMDD")
        elif item.kind == "time" and not _TIME.fullmatch(value):
            self.error(Rule.FORMAT, item, row, offset, "not a time hhmm")
        elif item.kind == "flag" and value != "*":
            self.error(Rule.VALUE, item, row, offset, "neither an asterisk nor a space")
        return value

    def number(self, item: Item, row: int | None, text: str, offset: int) -> None:
        """Check the form of a number, then its padding."""
        bare = text.strip(" ")
        if not _NUMBER.fullmatch(bare) or (item.kind == "n0" and not bare.isdigit()):
            self.error(Rule.FORMAT, item, row, offset, "not a number")
            return
        usual = bare.zfill(item.size) if item.kind == "n0" else trimmed(item, text).rjust(item.size)
        if len(text) == item.size and text != usual:
            self.find(item, row, offset, f"{item.name}: a number padded in another way than its kind says")

    def required(self, record: Record, offsets: list[int], end: int) -> None:
        """Note required items that are blank: outside a block, in its first row, and in every row that is used."""
        layout = self.layout
        blamed = {(error.item, error.row) for error in self.errors}
        for block in layout.blocks:
            required = [item for item in block.items if item.required == "M"]
            if not required:
                continue
            repeats = block.repeat > 1
            for row in range(1, max(1, record.row_count(block.items[0].id)) + 1):
                if row > 1 and not any(record.text(item.id, row) for item in block.items):
                    continue
                for item in required:
                    blame = (item.id, row if repeats else None)
                    if record.text(item.id, row) or blame in blamed:
                        continue
                    place = layout.places[item.id][0] + (row - 1) * len(block.items)
                    offset = offsets[place] if place < len(offsets) else end
                    self.error(Rule.MISSING, item, blame[1], offset, REQUIRED_AND_BLANK)
