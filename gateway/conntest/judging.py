"""Judging one reply: what was expected, what came, at which item.

*Strategy.* A reply is judged whole: every matcher is tried and every difference is a :class:`Problem` with the
item, its row and its byte offset in the message, so that one run shows all there is to mend.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sekisho.codecs.header import BODY_START, fields
from sekisho.codecs.message import Message
from sekisho.codecs.results import Deviation, Rule
from sekisho.gateway.conntest.scenario import Matcher, Reply, Wanted
from sekisho.gateway.inhouse import Arrival

__all__ = ["Cell", "Problem", "captured", "cells", "header_cells", "judge", "repeated", "result_codes"]

Fill = Callable[[str], str]
"""Puts the values of ``${names}`` into a text."""

_CODE: Final = re.compile(r"[A-Z0-9]{5}-[A-Z0-9_ ]{4}-[0-9]{4}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One difference. ``where`` names the reply or the stage; ``offset`` counts bytes from 0, None without a place."""

    where: str
    expected: str
    came: str
    item: str = ""
    name: str = ""
    row: int | None = None
    offset: int | None = None

    def __str__(self) -> str:
        at = ""
        if self.item:
            name = f" {self.name}" if self.name else ""
            row = f" row {self.row}" if self.row else ""
            byte = f" at byte {self.offset}" if self.offset is not None else ""
            at = f" {self.item}{name}{row}{byte}"
        return f"{self.where}{at}: expected {self.expected}; {self.came}"


@dataclass(frozen=True, slots=True)
class Cell:
    """One item as it stands in a message: byte offset from 0, short name or key, official name, row, trimmed text."""

    offset: int
    id: str
    name: str
    row: int | None
    text: str
    secret: bool = False


def cells(message: Message) -> list[Cell]:
    """Every business item that came, in wire order, with its byte offset. Empty where no table reads the body."""
    if message.record is None:
        return []
    out = []
    at = BODY_START
    parts = message.content[BODY_START:].split(b"\r\n")
    for (item, row, text), part in zip(message.record.items(), parts, strict=False):
        out.append(Cell(at, item.id, item.name, row, text, item.secret))
        at += len(part) + 2
    return out


def header_cells(message: Message) -> list[Cell]:
    """Every common item with its byte offset."""
    values = message.header.values()
    return [
        Cell(f.start - 1, f.key, f.name, None, values[f.key], f.secret) for f in fields(message.header.direction)
    ]


def result_codes(message: Message) -> list[str]:
    """The result codes of a notice, 15 characters each, unused slots left out; empty if the body begins with none."""
    block = message.content[BODY_START : BODY_START + 75].decode("ascii", "replace")
    codes = [block[at : at + 15] for at in range(0, 75, 15)]
    return [code for code in codes if _CODE.fullmatch(code)] if _CODE.fullmatch(codes[0]) else []


def _same_code(expected: str, came: str) -> bool:
    """``A0004``, ``S9004-BYA`` or ``S9004-CG_-0002`` against 15 characters: only what is given has to agree."""
    given, actual = expected.split("-"), came.split("-")
    return len(given) <= len(actual) and all(a.strip() == b.strip() for a, b in zip(given, actual, strict=False))


def judge(arrival: Arrival, wanted: Reply, request: Message, earlier: Arrival | None, fill: Fill) -> Iterator[Problem]:
    """Every difference between a reply and what it has to be; ``earlier`` is the reply it has to repeat."""
    message = arrival.message
    where = str(wanted)
    for error in message.errors:
        if _is_form_to_fill(message, error):
            continue
        came = f"{error.code} {error.text}"
        yield Problem(where, "a reply that its table reads", came, error.item or "", "", error.row, error.offset)
    if wanted.kind and message.header.kind != wanted.kind:
        yield Problem(where, f"kind {wanted.kind}", f"came {message.header.kind!r}", "kind", "電文種別", None, 249)
    if wanted.result:
        yield from _judge_result(where, message, wanted.result, fill)
    if wanted.tags == "echoed":
        for key, mine, theirs, offset in (
            ("input_id", request.header.input_id, message.header.input_id, 253),
            ("index", request.header.index, message.header.index, 263),
        ):
            if mine != theirs:
                name = next(f.name for f in fields("out") if f.key == key)
                yield Problem(where, f"the request's {mine!r}", f"came {theirs!r}", key, name, None, offset)
    heads = header_cells(message)
    for key, matcher in wanted.header.items():
        yield from _judge_item(where, [cell for cell in heads if cell.id == key], matcher, fill, key, "")
    body = cells(message)
    for id_, matcher in wanted.items.items():
        if message.layout is not None and id_ not in message.layout:
            yield Problem(where, f"an item {id_}", f"{message.layout.name} has no such item", id_)
            continue
        name = message.layout.item(id_).name if message.layout is not None else ""
        yield from _judge_item(where, [cell for cell in body if cell.id == id_], matcher, fill, id_, name)
    yield from repeated(where, arrival, earlier)


def repeated(where: str, arrival: Arrival, earlier: Arrival | None) -> Iterator[Problem]:
    """What differs between a reply and the earlier one that it has to be again; nothing where there is none."""
    if earlier is not None:
        if arrival.transport_id != earlier.transport_id:
            came = f"came {arrival.transport_id or 'none'}"
            yield Problem(where, f"the Message-ID of the first time, {earlier.transport_id}", came)
        if arrival.content != earlier.content:
            at = next(
                (n for n, (a, b) in enumerate(zip(arrival.content, earlier.content, strict=False)) if a != b),
                min(len(arrival.content), len(earlier.content)),
            )
            yield Problem(where, "the same bytes as the first time", f"they differ from byte {at}")


def _is_form_to_fill(message: Message, error: Deviation) -> bool:
    """Whether an error only says that a call-up's reply, which is a form to be filled, has a required item blank."""
    layout = message.layout
    if layout is None or layout.direction != "in" or error.item is None:
        return False
    blank = not (message.record.text(error.item, error.row or 1) if message.record is not None else "")
    return blank and error.code == layout.results.code_for(Rule.MISSING, error.item)


def _judge_result(where: str, message: Message, result: str | Sequence[str], fill: Fill) -> Iterator[Problem]:
    expected = [fill(result)] if isinstance(result, str) else [fill(one) for one in result]
    came = result_codes(message)
    for slot in range(max(len(expected), len(came))):
        mine = expected[slot] if slot < len(expected) else ""
        theirs = came[slot] if slot < len(came) else ""
        if not mine or not theirs or not _same_code(mine, theirs):
            yield Problem(
                where, mine or "no further result code", f"came {theirs or 'none'}", "RES", "処理結果コード", None,
                BODY_START + 15 * slot,
            )  # fmt: skip


def _judge_item(
    where: str, found: Sequence[Cell], wanted: Wanted, fill: Fill, id_: str, name: str
) -> Iterator[Problem]:
    name = found[0].name if found else name

    def differs(cell: Cell | None, expected: str) -> Problem:
        came = f"came {cell.text!r}" if cell is not None and cell.text else "it is blank"
        if cell is None:
            came = "it did not come"
        return Problem(
            where, expected, came, id_, name, cell.row if cell else None, cell.offset if cell else None
        )

    if isinstance(wanted, list):
        rows = [cell for cell in found if cell.text]
        for at in range(max(len(wanted), len(rows))):
            cell = found[at] if at < len(found) else None
            text = fill(wanted[at]) if at < len(wanted) else ""
            if (cell.text if cell else "") != text:
                yield differs(cell, repr(text) if text else "no further row")
        return
    if isinstance(wanted, str):
        wanted = Matcher(equals=wanted)
    row = wanted.row or 1
    cell = found[row - 1] if row <= len(found) else None
    text = cell.text if cell else ""
    if wanted.equals is not None and text != fill(wanted.equals):
        yield differs(cell, repr(fill(wanted.equals)))
    if wanted.matches is not None and not re.fullmatch(fill(wanted.matches), text):
        yield differs(cell, f"a match of {wanted.matches}")
    if (wanted.present or wanted.as_) and not text:
        yield differs(cell, "a value")
    if wanted.blank and text:
        yield differs(cell, "blank")


def captured(message: Message, wanted: Reply) -> Mapping[str, str]:
    """The values that the matchers of a reply keep, by the name they keep them under."""
    out = {}
    for matchers, places in ((wanted.header, header_cells(message)), (wanted.items, cells(message))):
        for key, matcher in matchers.items():
            if isinstance(matcher, Matcher) and matcher.as_:
                found = [cell for cell in places if cell.id == key]
                row = matcher.row or 1
                if row <= len(found) and found[row - 1].text:
                    out[matcher.as_] = found[row - 1].text
    return out
