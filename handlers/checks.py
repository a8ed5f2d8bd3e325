"""The rules many business codes share, each a function that gives the result codes it finds.

*Strategy.* A rule looks at texts and answers with values; when its step is over, the handler raises them all at once
(:func:`stop`). Numbers from 9001 up are provisional (procedures 2.1): no official list of these codes is known. What
values a coded item may have is data, ``code_values.tsv``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from sekisho.codecs.message import Message
from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode
from sekisho.handlers.kit import refuse

__all__ = [
    "CodeValue",
    "body",
    "code_values",
    "exactly_one",
    "not_before",
    "not_twice",
    "numbered",
    "stop",
    "together",
    "unnamed_rows",
]


@dataclass(frozen=True, slots=True)
class CodeValue:
    """One value of a coded item: ``name`` in Roman letters (for ``an`` items), ``name_ja`` for ``j`` items."""

    code: str
    name: str
    name_ja: str
    source: str


@cache
def code_values(item: str) -> Mapping[str, CodeValue]:
    """The values of a coded item by code, from ``code_values.tsv``; empty where none is known: any value is taken."""
    text = files(__package__).joinpath("code_values.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")][1:]
    return MappingProxyType({row[1]: CodeValue(*row[1:]) for row in rows if row[0] == item})


def body(message: Message) -> Record:
    """The items of a message. Raises ValueError without one: the pipeline hands on no message that was not read."""
    if message.record is None:
        raise ValueError(f"{message.header.business_code} came to its handler without a body")
    return message.record


def stop(results: Iterable[ResultCode], key: str = "") -> None:
    """End of a step: raises the refusal if the step found anything, each result once."""
    found = tuple(dict.fromkeys(results))
    if found:
        raise refuse(*found, key=key)


def numbered(record: Record, item: str) -> list[tuple[int, str]]:
    """Row number and text of every row of a repeating item that is filled."""
    return [(row, text) for row, text in enumerate(record.texts(item), 1) if text]


def exactly_one(record: Record, items: Sequence[str]) -> list[ResultCode]:
    """R9001 at the first of ``items`` unless exactly one of them is filled, in whatever row."""
    given = sum(any(record.texts(item)) for item in items)
    return [] if given == 1 else [ResultCode("R9001", items[0])]


def not_before(record: Record, start: str, end: str) -> list[ResultCode]:
    """R9002 at ``end`` if both dates are given and it lies before ``start``."""
    first, last = record.text(start), record.text(end)
    return [ResultCode("R9002", end)] if first and last and last < first else []


def not_twice(record: Record, item: str) -> list[ResultCode]:
    """R9004 at every row whose number stands in an earlier row too."""
    seen: set[str] = set()
    found = []
    for row, text in numbered(record, item):
        if text in seen:
            found.append(ResultCode("R9004", item, row))
        seen.add(text)
    return found


def together(record: Record, items: Sequence[str]) -> list[ResultCode]:
    """R9005 at each of ``items`` that is blank while another one is filled."""
    blank = [item for item in items if not record.text(item)]
    return [ResultCode("R9005", item) for item in blank] if len(blank) < len(items) else []


def unnamed_rows(record: Record, key: str) -> list[int]:
    """Rows of the block of ``key`` that hold something, but not their key."""
    group = record.layout.item(key).group
    block = [item.id for item in record.layout.items if item.group == group and item.id != key]
    return [
        row
        for row, text in enumerate(record.texts(key), 1)
        if not text and any(record.text(item, row) for item in block)
    ]
