"""What messages of the bonded-transport family may hold: their single items and relations.

Numbers from 9001 up are ours; what is asked comes from procedures 9.2, 9.5 and 16.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode, Rule
from sekisho.handlers.checks import code_values, exactly_one, not_before, not_twice, together

__all__ = [
    "CANCELLATION",
    "CORRECTION",
    "EXTENSION",
    "NEW_ENTRY",
    "beyond_two_items",
    "change_values",
    "gate_values",
    "not_for_cancellation",
    "not_for_change",
    "number_sent",
    "registration_values",
    "relations",
    "transport_relations",
]

NEW_ENTRY: Final = "9"
CORRECTION: Final = "5"
CANCELLATION: Final = "1"
EXTENSION: Final = "E"
"""処理区分 of SOT that extends the transport's period (ours)."""

Numbered = Callable[[str, str, int], ResultCode]


def _coded(record: Record) -> list[str]:
    """The coded items of a transport whose value no list has: 運送具, 運送目的, 運送種別, コンテナ内蔵識別."""
    wrong = []
    for item in ("BYA", "OBJ", "USS"):
        known = code_values(item)
        if known and record.text(item) and record.text(item) not in known:
            wrong.append(item)
    return [*wrong, "CNY"] if record.text("CNY") not in ("", "Y") else wrong


def registration_values(record: Record, code: Numbered) -> list[ResultCode]:
    """Code values of OLA and OLC: 処理区分, and unless it cancels those of the transport."""
    action = record.text("KND")
    wrong = ["KND"] if action and action not in (NEW_ENTRY, CORRECTION, CANCELLATION) else []
    if action != CANCELLATION:
        wrong += _coded(record)
    return [code(Rule.VALUE, item, 0) for item in wrong]


def not_for_cancellation(record: Record) -> Collection[str]:
    """A cancellation is asked for its number only: mandatory items are mandatory for 9 and 5 (procedures 9.2)."""
    return record.layout.places.keys() - {"KND", "OLT"} if record.text("KND") == CANCELLATION else ()


def beyond_two_items(record: Record) -> Collection[str]:
    """Of a SAS1360 sent back only the number and the start kind count (procedures 9.3)."""
    return record.layout.places.keys() - {"OLT", "IKS"}


def number_sent(record: Record, code: Numbered) -> list[ResultCode]:
    """S0001: also the longer form, whose own table asks for nothing, must name the number."""
    asked = record.layout.item("OLT").required == "M"
    return [] if asked or record.text("OLT") else [code(Rule.MISSING, "OLT", 0)]


def relations(record: Record) -> list[ResultCode]:
    """The relations of a registration that is not a cancellation, in the order of the items."""
    found = [ResultCode("R9007", "OLT")] if bool(record.text("OLT")) != (record.text("KND") == CORRECTION) else []
    return [*found, *transport_relations(record), *not_twice(record, "CG_")]


def transport_relations(record: Record) -> list[ResultCode]:
    """The relations between the items of a transport as such."""
    found = []
    if record.text("HNO"):  # a blanket approval names its office and excludes KNU [spec]
        found.extend([ResultCode("R9007", "CHC")] if record.text("CHC") else [])
        found.extend([ResultCode("R9007", "OBJ")] if record.text("OBJ") == "KNU" else [])
    found.extend(not_before(record, "SDT", "EDT"))
    found.extend(exactly_one(record, ("DPR", "BRT")))
    found.extend(exactly_one(record, ("ARR", "ARB")))
    found.extend(together(record, ("SC1", "SEP")))
    return found


# SOT ------------------------------------------------------------------------------------------------------------------


def change_values(record: Record, code: Numbered) -> list[ResultCode]:
    """処理区分; of a correction also what a transport cannot be without, its code values, and 訂正区分 of each row."""
    action = record.text("KND")
    if action != CORRECTION:
        known = action in (CANCELLATION, EXTENSION) or not action
        missing = [code(Rule.MISSING, "EDT", 0)] if action == EXTENSION and not record.text("EDT") else []
        return missing if known else [code(Rule.VALUE, "KND", 0)]
    found = [code(Rule.MISSING, item, 0) for item in ("BYA", "OBJ") if not record.text(item)]
    found += [code(Rule.VALUE, item, 0) for item in _coded(record)]
    for row, what in enumerate(record.texts("TK_"), 1):
        if what not in ("", NEW_ENTRY, CORRECTION, CANCELLATION):
            found.append(code(Rule.VALUE, "TK_", row))
    return found


def not_for_change(record: Record) -> Collection[str]:
    """A cancellation is asked for number and reason only, an extension for the new end besides."""
    asked = {CANCELLATION: {"KND", "OLT", "RSN"}, EXTENSION: {"KND", "OLT", "RSN", "EDT"}}.get(record.text("KND"))
    return record.layout.places.keys() - asked if asked is not None else ()


# The way of the goods -------------------------------------------------------------------------------------------------


def gate_values(record: Record, code: Numbered) -> list[ResultCode]:
    """PKI, BOA, CYO: 処理区分 is 9 or 1; 9 says when."""
    action = record.text("KND")
    if action not in ("", NEW_ENTRY, CANCELLATION):
        return [code(Rule.VALUE, "KND", 0)]
    return [code(Rule.MISSING, "DTM", 0)] if action == NEW_ENTRY and not record.text("DTM") else []
