"""Item tables: one TSV becomes a :class:`Layout` that reads, checks, prints and writes a body.

*Strategy.* A table names its items in wire order; offsets are computed, never written down. Each item is followed by a
CRLF, a repeating block is its items again, and only the last block of a table may have fewer rows than its maximum
(layouts, "Reading rules"), so the place of any item of any row is one multiplication. What a conforming body looks like
is prepared once a table (:mod:`sekisho.codecs.conforming`); any other is looked at item by item
(:mod:`sekisho.codecs.reading`), to say what deviates and where.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Final, cast

from sekisho.codecs import charset
from sekisho.codecs.results import ResultList

__all__ = ["EncodeError", "Item", "Layout", "Value", "parse_layout", "trimmed", "typed", "written"]

Value = str | int | Decimal | date | None
"""A value by its item's kind: text; int or Decimal for n and n0; date for date; None for a blank number or date."""

_COLUMNS: Final = ("no", "name", "id", "kind", "size", "group", "repeat", "required", "secret", "note")
_SINGLE: Final = frozenset((str, int, Decimal, date, type(None)))
_NUMBERS: Final = ("n", "n0")


class EncodeError(ValueError):
    """A value that its item cannot hold; ``item`` is the short name, ``row`` counts from 1 or is None."""

    def __init__(self, item: str, row: int | None, text: str) -> None:
        super().__init__(f"{item}{f' row {row}' if row else ''}: {text}")
        self.item, self.row, self.text = item, row, text


@dataclass(frozen=True, slots=True)
class Item:
    """One row of an item table. ``size`` in bytes without the CRLF; ``repeat`` 1 outside a repeating block.

    ``no`` counts as official tables count (1 is the common header); ``required`` is M, C, X or empty; ``secret`` items
    are never logged or shown.
    """

    no: int
    name: str
    id: str
    kind: str
    size: int
    group: str
    repeat: int
    required: str
    secret: bool
    note: str

    @property
    def is_number(self) -> bool:
        """Whether the kind is n or n0."""
        return self.kind in _NUMBERS


@dataclass(frozen=True, slots=True)
class Block:
    """Items that stand together: one run of single items, or one repeating group. ``start`` counts items from 0."""

    group: str
    items: tuple[Item, ...]
    repeat: int
    start: int


class Layout:
    """One item table, prepared. ``name`` is its file name without ``.tsv`` (``OLA.in``)."""

    def __init__(self, name: str, head: Mapping[str, str], notes: Sequence[str], items: Sequence[Item]) -> None:
        self.name = name
        self.code = head.get("code", "")
        self.title = head.get("title", "")
        self.system = head.get("system", "")
        self.direction = head.get("direction", "")
        self.source = head.get("source", "")
        self.confidence = head.get("confidence", "")
        self.generations = tuple(g.strip() for g in head.get("generation", "").split(",") if g.strip())
        self.type = head.get("type", "")[:1]
        self.notes = tuple(notes)
        self.items = tuple(items)
        self.blocks = _blocks(self.items)
        self.results = ResultList(self.code)
        self.reader: Callable[[bytes], list[str] | None] | None = None
        """Prepared by :mod:`sekisho.codecs.reading` when the first body comes."""
        last = self.blocks[-1]
        self.open_ended = last.repeat > 1
        self.fixed = last.start if self.open_ended else last.start + len(last.items)
        self.row = len(last.items) if self.open_ended else 0
        self.places: dict[str, tuple[int, int, int]] = {}
        for block in self.blocks:
            for at, item in enumerate(block.items):
                self.places[item.id] = (block.start + at, len(block.items), block.repeat)
        self._by_id = {item.id: item for item in self.items}
        sizes = [(item.size + 2) * item.repeat for item in self.items]
        self.most_bytes = sum(sizes)
        self.row_bytes = sum(item.size + 2 for item in last.items) if self.open_ended else 0
        self.fixed_bytes = self.most_bytes - self.row_bytes * last.repeat
        self._flat = tuple((item.id, item.size, item.kind) for item in self.items if item.repeat == 1)

    def __repr__(self) -> str:
        return f"Layout({self.name!r}, {len(self.items)} items)"

    def item(self, id_: str) -> Item:
        """The item of that short name. Raises KeyError."""
        return self._by_id[id_]

    def __contains__(self, id_: object) -> bool:
        return id_ in self._by_id

    def in_order(self, rows: int) -> list[tuple[Item, int | None]]:
        """Every item of every row in wire order, the last block with ``rows`` rows; row is None outside a block."""
        out: list[tuple[Item, int | None]] = []
        for block in self.blocks:
            if block.repeat == 1:
                out.extend((item, None) for item in block.items)
            else:
                count = rows if block is self.blocks[-1] else block.repeat
                out.extend((item, row) for row in range(1, count + 1) for item in block.items)
        return out

    def rows_for(self, parts: int) -> int:
        """How many rows of the last block ``parts`` items on the wire make (a started row counts)."""
        if not self.open_ended:
            return 0
        return max(0, -(-(parts - self.fixed) // self.row))

    @cached_property
    def order(self) -> list[tuple[Item, int | None]]:
        """Every item of every row a full body has, in wire order."""
        return self.in_order(self.blocks[-1].repeat)

    # Writing -----------------------------------------------------------------------------------------------------

    def encode(self, values: Mapping[str, Value | Sequence[Value]]) -> bytes:
        """A body at full width. ``values`` by short name: one value, or a list for an item of a repeating block.

        Missing items are blank; the last block gets as many rows as its longest list, every other block all its
        rows. Raises :class:`EncodeError`, also for an id that the table does not have.
        """
        if not values.keys() <= self._by_id.keys():
            unknown = values.keys() - self._by_id.keys()
            raise EncodeError(min(unknown), None, f"{self.name} has no such item")
        quick = self._encode_flat(values) if len(self._flat) == len(self.items) else None
        if quick is not None:
            return quick
        lists: dict[str, Sequence[Value]] = {}
        single: dict[str, Value] = {}
        for id_, value in values.items():
            # By type, not by isinstance(Sequence): the abstract class costs more than the rest of this loop.
            if type(value) in _SINGLE:
                single[id_] = cast("Value", value)
            else:
                lists[id_] = cast("Sequence[Value]", value)
        last = self.blocks[-1]
        rows = max((len(lists.get(item.id, ())) for item in last.items), default=0) if self.open_ended else 0
        if rows > last.repeat:
            raise EncodeError(last.items[0].id, rows, f"at most {last.repeat} rows")
        texts = []
        for block in self.blocks:
            if block.repeat == 1:
                texts.extend([written(item, single.get(item.id), None) for item in block.items])
                continue
            count = rows if block is last else block.repeat
            for item in block.items:
                if len(lists.get(item.id, ())) > block.repeat:
                    raise EncodeError(item.id, block.repeat + 1, f"at most {block.repeat} rows")
            for row in range(count):
                for item in block.items:
                    cells = lists.get(item.id, ())
                    texts.append(written(item, cells[row] if row < len(cells) else None, row + 1))
        return self.join(texts)

    def _encode_flat(self, values: Mapping[str, Value | Sequence[Value]]) -> bytes | None:
        """The body of a table without repeating blocks from plain texts that fit; None for anything else."""
        out = []
        for id_, size, kind in self._flat:
            text = values.get(id_, "")
            if type(text) is not str or len(text) > size or (kind == "n0" and text):
                return None
            out.append(text.rjust(size) if kind == "n" else text.ljust(size))
        out.append("")
        body = "\r\n".join(out)
        if not body.isascii() or body.count("\n") != len(out) - 1 or body.count("\r") != len(out) - 1:
            return None
        return body.encode("ascii")

    def join(self, texts: Sequence[str]) -> bytes:
        """A body from texts in wire order (as :func:`written` gives them): padded to full width, CRLF after each."""
        order = self.order
        if len(texts) > len(order):
            item, row = order[-1]
            raise EncodeError(item.id, row, "more items than the table has")
        out = []
        for text, (item, row) in zip(texts, order, strict=False):
            try:
                data = text.encode("ascii") if text.isascii() else charset.encode(text)
            except charset.CharsetError as error:
                raise EncodeError(item.id, row, str(error)) from None
            if len(data) > item.size:
                raise EncodeError(item.id, row, f"{len(data)} bytes, the item holds {item.size}")
            out.append(data.rjust(item.size) if item.kind == "n" else data.ljust(item.size))
        out.append(b"")
        return b"\r\n".join(out)


def _blocks(items: Sequence[Item]) -> tuple[Block, ...]:
    blocks: list[Block] = []
    run: list[Item] = []
    start = 0

    def close() -> None:
        nonlocal start
        if run:
            blocks.append(Block(run[0].group, tuple(run), run[0].repeat, start))
            start += len(run) * run[0].repeat
            run.clear()

    for item in items:
        if run and (item.group, item.repeat) != (run[0].group, run[0].repeat):
            close()
        run.append(item)
    close()
    return tuple(blocks)


def trimmed(item: Item, text: str) -> str:
    """The text of an item without its padding: trailing spaces, and what stands before a number."""
    if item.kind in _NUMBERS:
        text = text.strip(" ")
        sign = "-" if text.startswith("-") else ""
        digits = text[len(sign) :]
        if digits[:1] == "0" and digits[1:2].isdigit():
            digits = digits.lstrip("0")
            if not digits[:1].isdigit():
                digits = "0" + digits
        return sign + digits
    return text.rstrip(" ")


def written(item: Item, value: Value, row: int | None) -> str:
    """The text of a value by its item's kind, without padding except the zeros of n0. Raises :class:`EncodeError`."""
    if value is None or value == "":
        return ""
    if isinstance(value, date):
        return f"{value:%Y%m%d}"
    if isinstance(value, Decimal):
        text = f"{value:f}"
    else:
        text = str(value)
    if item.kind == "n0":
        if not text.isdigit() or not text.isascii():
            raise EncodeError(item.id, row, "not a whole number")
        return text.zfill(item.size)
    if "\r" in text or "\n" in text:
        raise EncodeError(item.id, row, "a line break cannot stand inside an item")
    return text


def parse_layout(name: str, text: str) -> Layout:
    """A :class:`Layout` from the text of a table: comment lines, a header row, one row an item; ten columns, by tabs.

    Raises ValueError with the line that is wrong.
    """
    head: dict[str, str] = {}
    notes: list[str] = []
    items: list[Item] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#"):
            key, _, value = line[1:].strip().partition(":")
            if key == "note":
                notes.append(value.strip())
            else:
                head[key] = value.strip()
            continue
        if not line or line.startswith("no\t"):
            continue
        cells = line.split("\t")
        if len(cells) != len(_COLUMNS):
            raise ValueError(f"{name}.tsv line {number}: {len(cells)} columns, {len(_COLUMNS)} expected")
        no, title, id_, kind, size, group, repeat, required, secret, note = cells
        if kind not in charset.KINDS:
            raise ValueError(f"{name}.tsv line {number}: unknown kind {kind!r}")
        if not (no.isdigit() and size.isdigit() and (repeat.isdigit() or not repeat)):
            raise ValueError(f"{name}.tsv line {number}: no, size and repeat are whole numbers")
        items.append(Item(int(no), title, id_, kind, int(size), group, int(repeat or 1), required, secret == "y", note))
    if not items:
        raise ValueError(f"{name}.tsv: no items")
    repeated = {item.id for item in items if sum(other.id == item.id for other in items) > 1}
    if repeated:
        raise ValueError(f"{name}.tsv: the id {min(repeated)} occurs twice")
    return Layout(name, head, notes, items)


def typed(item: Item, text: str) -> Value:
    """The value of a trimmed text by its item's kind; text that is not a number or a date stays text."""
    if item.kind in _NUMBERS:
        if not text:
            return None
        try:
            return Decimal(text) if "." in text else int(text)
        except (ValueError, ArithmeticError):
            return text
    if item.kind == "date":
        if not text:
            return None
        try:
            return date(int(text[:4]), int(text[4:6]), int(text[6:8])) if len(text) == 8 else text
        except ValueError:
            return text
    return text
