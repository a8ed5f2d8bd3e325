"""What EDIFACT handlers share: reading a message's segments, and the life of a document that is sent again.

*Strategy.* Messages come in a dozen releases whose group numbers differ, so groups are found by their trigger segments
and values by qualifier, which do not. A function that reads a value appends what is wrong with it to ``errors`` and
goes on; the handler stops at the end of the step (:func:`~sekisho.handlers.checks.stop`). Which segment means what is
our reading of the published directories (docs/edifact-mappings.md), not an implementation guide.

A result code names the segment: item is its tag, row its number in the message (UNH is 1). What is missing is placed at
the segment behind which it was expected, as CONTRL counts (0096).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from itertools import takewhile
from typing import Any, Final

from sekisho.codecs.edifact.model import Message
from sekisho.codecs.edifact.segment import Segment
from sekisho.codecs.results import ResultCode
from sekisho.handlers.cargo import CANCELLED
from sekisho.handlers.kit import Context

__all__ = [
    "GROUPS",
    "Action",
    "Document",
    "amount",
    "at",
    "carriage",
    "control_total",
    "document_of",
    "entry",
    "first",
    "listed",
    "missing",
    "moment",
    "objections",
    "parties",
    "places",
    "plain",
    "qualified",
    "references",
    "split",
    "text_of",
    "value_at",
    "verdict",
]

Errors = list[ResultCode]


class Action(Enum):
    """What BGM 1225 asks for."""

    ORIGINAL = "original"
    ADD = "add"
    CHANGE = "change"
    REPLACE = "replace"
    CANCEL = "cancel"


_ACTIONS: Final[Mapping[str, Action]] = {
    "": Action.ORIGINAL,
    "9": Action.ORIGINAL,
    "2": Action.ADD,
    "4": Action.CHANGE,
    "5": Action.REPLACE,
    "1": Action.CANCEL,
    "3": Action.CANCEL,
}
"""1225 to action; 1 (cancellation) and 3 (deletion) are one thing here. Others are refused with S9004."""

PREVIOUS: Final = "ACW"
"""1153: reference number of the previous message; names the document a later one replaces, changes or cancels."""

GROUPS: Final = frozenset(("TDT", "NAD", "EQD", "CNI", "GID"))
"""With one of these the head of a message is over, in all the messages read here."""


@dataclass(frozen=True, slots=True)
class Document:
    """BGM: ``code`` 1001, ``number`` 1004, the action of 1225; ``row`` is the segment's number, ``message`` the type.

    ``target`` is the number of the document acted on: that of RFF ACW where there is one and something earlier is
    meant, else its own.
    """

    message: str
    code: str
    number: str
    action: Action
    target: str
    row: int

    def result(self, code: str) -> ResultCode:
        """``code`` at BGM."""
        return ResultCode(code, "BGM", self.row)


def at(code: str, segment: Segment) -> ResultCode:
    """``code`` at a segment."""
    return ResultCode(code, segment.tag, segment.number)


def value_at(segment: Segment, element: int, component: int = 0) -> str:
    """A value without the spaces behind it: a sender may leave them, they mean nothing (edifact 3.4)."""
    return segment.get(element, component).rstrip(" ")


def missing(tag: str, behind: Segment | int, code: str = "S9001") -> ResultCode:
    """``code`` for a segment ``tag`` that was expected behind this one (or this number)."""
    return ResultCode(code, tag, behind if isinstance(behind, int) else behind.number)


def first(segments: Iterable[Segment], tag: str) -> Segment | None:
    """The first segment with this tag."""
    return next((segment for segment in segments if segment.tag == tag), None)


def qualified(segments: Iterable[Segment], tag: str, *qualifiers: str) -> Segment | None:
    """The segment with this tag whose first value is the earliest listed of ``qualifiers`` that occurs."""
    found: dict[str, Segment] = {}
    for segment in segments:
        if segment.tag == tag:
            found.setdefault(value_at(segment, 0), segment)
    return next((found[qualifier] for qualifier in qualifiers if qualifier in found), None)


def split(segments: Sequence[Segment], trigger: str) -> tuple[list[Segment], list[list[Segment]]]:
    """What stands before the first ``trigger``, and the parts that begin with one. UNT is left out."""
    head: list[Segment] = []
    parts: list[list[Segment]] = []
    for segment in segments:
        if segment.tag == trigger:
            parts.append([segment])
        elif segment.tag != "UNT":
            (parts[-1] if parts else head).append(segment)
    return head, parts


def document_of(message: Message, errors: Errors, *, corrects: bool = False) -> Document:
    """BGM of a message; S9001 if there is none, S9004 for a 1225 that is not read.

    ``corrects`` says that the business is a correction by its name: 9 and blank mean 5 then.
    """
    segment = first(message.segments, "BGM")
    if segment is None:
        errors.append(missing("BGM", 1))
        return Document(message.type, "", "", Action.ORIGINAL, "", 1)
    function = value_at(segment, 2)
    action = _ACTIONS.get(function)
    if action is None:
        errors.append(at("S9004", segment))
        action = Action.ORIGINAL
    if corrects and action is Action.ORIGINAL:
        action = Action.REPLACE
    number = value_at(segment, 1)
    target = number
    if action is not Action.ORIGINAL:
        # Only in the head: a reference inside a group is the group's own.
        head = takewhile(lambda s: s.tag not in GROUPS, message.segments)
        target = next((value_at(s, 0, 1) for s in head if s.tag == "RFF" and value_at(s, 0) == PREVIOUS), number)
    return Document(message.type, value_at(segment, 0), number, action, target, segment.number)


# Values ---------------------------------------------------------------------------------------------------------------

_FORMATS: Final[Mapping[str, tuple[str, str]]] = {
    "101": ("%y%m%d", "%Y%m%d"),
    "102": ("%Y%m%d", "%Y%m%d"),
    "201": ("%y%m%d%H%M", "%Y%m%d%H%M"),
    "203": ("%Y%m%d%H%M", "%Y%m%d%H%M"),
    "204": ("%Y%m%d%H%M%S", "%Y%m%d%H%M"),
    "205": ("%Y%m%d%H%M%z", "%Y%m%d%H%M"),
}
"""2379 to how 2380 is read, and how it is kept. Without 2379 the length decides."""
_DIGITS: Final = re.compile(r"[0-9]+(?:[+-][0-9]{4})?")
_NUMBER: Final = re.compile(r"[0-9]+(?:[.,][0-9]+)?")
_BY_LENGTH: Final = {6: "101", 8: "102", 10: "201", 12: "203", 14: "204"}


def moment(segment: Segment | None, errors: Errors, *, until: str = "") -> str:
    """The date of a DTM as YYYYMMDD, with hhmm behind it where it was given; S9003 if it is no date of a form we read.

    A time with an offset (2379 205) keeps its own clock. A year of two digits that would lie behind ``until``
    (YYYYMMDD) belongs to the century before: a date of birth.
    """
    if segment is None:
        return ""
    value, form = value_at(segment, 0, 1), value_at(segment, 0, 2)
    known = _FORMATS.get(form or _BY_LENGTH.get(len(value), ""), ("", ""))
    try:
        read = datetime.strptime(value, known[0]) if _DIGITS.fullmatch(value) else None  # noqa: DTZ007 - local
    except ValueError:
        read = None
    # strptime takes short days and months; what does not read back the same was not written in that form.
    if read is None or f"{read:{known[0]}}" != value:
        errors.append(at("S9003", segment))
        return ""
    kept = f"{read:{known[1]}}"
    if until and known[0].startswith("%y") and kept[:8] > until:
        kept = f"{int(kept[:4]) - 100}{kept[4:]}"
    return kept


def amount(segment: Segment, element: int, component: int, errors: Errors) -> Decimal:
    """A count or measure of a segment, 0 where none was sent; S9003 if it is none. Either decimal mark is read."""
    text = value_at(segment, element, component).strip()
    if text and not _NUMBER.fullmatch(text):
        errors.append(at("S9003", segment))
        return Decimal(0)
    return Decimal(text.replace(",", ".") or 0)


def plain(number: Decimal) -> int | float:
    """A number as records hold it."""
    return int(number) if number == number.to_integral_value() else float(number)


def text_of(segment: Segment | None) -> str:
    """The free text of an FTX: the components of C108, joined by spaces."""
    parts = [value_at(segment, 3, component) for component in range(5)] if segment is not None else []
    return " ".join(part.strip() for part in parts if part.strip())


def references(segments: Iterable[Segment]) -> dict[str, list[str]]:
    """Numbers of the RFF segments by their qualifiers 1153, in order."""
    found: dict[str, list[str]] = {}
    for segment in segments:
        if segment.tag == "RFF" and value_at(segment, 0, 1):
            found.setdefault(value_at(segment, 0), []).append(value_at(segment, 0, 1))
    return found


def parties(segments: Iterable[Segment]) -> dict[str, dict[str, str]]:
    """Id and name of the first NAD of each qualifier 3035; the name is C080's, else the first line of C058."""
    found: dict[str, dict[str, str]] = {}
    for segment in segments:
        if segment.tag == "NAD":
            found.setdefault(
                value_at(segment, 0), {"id": value_at(segment, 1), "name": value_at(segment, 3) or value_at(segment, 2)}
            )
    return found


def places(segments: Iterable[Segment]) -> dict[str, str]:
    """Code of the first LOC of each qualifier 3227."""
    found: dict[str, str] = {}
    for segment in segments:
        if segment.tag == "LOC" and value_at(segment, 1):
            found.setdefault(value_at(segment, 0), value_at(segment, 1))
    return found


def carriage(segments: Iterable[Segment]) -> Segment | None:
    """The TDT of the main carriage (8051 is 20, or 11 at the border), else the first one."""
    ways = [segment for segment in segments if segment.tag == "TDT"]
    return qualified(ways, "TDT", "20", "11") or (ways[0] if ways else None)


def listed(segments: Iterable[Segment]) -> list[list[Any]]:
    """Segments as records keep them whole: tag and elements; a composite is a list. Service segments are left out."""
    return [[segment.tag, *segment.elements] for segment in segments if segment.tag not in ("UNH", "UNT")]


def control_total(segments: Iterable[Segment], qualifier: str, counted: Decimal | int, errors: Errors) -> None:
    """R9008 at every CNT with this qualifier 6069 whose total differs from what was counted."""
    for segment in segments:
        if segment.tag == "CNT" and value_at(segment, 0) == qualifier:
            before = len(errors)
            if amount(segment, 0, 1, errors) != counted and len(errors) == before:
                errors.append(at("R9008", segment))


# Documents that are sent again ----------------------------------------------------------------------------------------


def objections(data: Mapping[str, Any] | None, context: Context) -> str:
    """Why a record may not be replaced, changed or cancelled: E9001, U9003, E9003; empty if it may."""
    if data is None:
        return "E9001"
    if data.get("user_code") != context.user.user_code:
        return "U9003"
    return "E9003" if data.get("state") == CANCELLED else ""


def verdict(data: Mapping[str, Any] | None, action: Action, context: Context) -> str:
    """The result code that stands against ``action`` on a record; empty if nothing does.

    An original may take the place of nothing or of what was cancelled: else E9002. Everything else needs a live record
    of one's own.
    """
    if action is Action.ORIGINAL:
        return "" if data is None or data.get("state") == CANCELLED else "E9002"
    return objections(data, context)


def entry(former: Mapping[str, Any] | None, document: Document, state: str, context: Context) -> dict[str, Any]:
    """The fields every record has that a document made: whose it is, which document, state, version, moment."""
    return {
        "owner": context.user.id,
        "user_code": context.user.user_code,
        "state": state,
        "version": former.get("version", 0) + 1 if former else 1,
        "document": document.number,
        "document_code": document.code,
        "message_type": document.message,
        "business_code": context.business_code,
        "registered_at": context.now.isoformat(timespec="seconds"),
        "request": context.request,
    }
