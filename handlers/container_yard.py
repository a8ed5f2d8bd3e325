"""Containers in a yard: CODECO gate reports (CYA, BIC in; CYO out).

*Strategic choice.* A ``container`` record (:mod:`sekisho.handlers.cargo`) is a list of stays; a gate-in opens one, a
gate-out closes it, and there is no other order. A ``gate-report`` (key 利用者コード/document number) names its
containers, so that it can be sent again. ICG reads the stays of a cargo's containers.

Whether it went in or out: BGM 1001 (34 in, 36 out), else the stage of the first TDT (10 before, 30 after the main
carriage), else the business code. Function codes: 9 reports; 5 replaces the report, 4 reports the named containers
anew, 1 and 3 take the named ones back. Only the last movement of a container can be taken back; 2 is not for reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sekisho.codecs.edifact.model import Message
from sekisho.codecs.edifact.segment import Segment
from sekisho.handlers.cargo import CANCELLED, CONTAINER, IN_YARD, REGISTERED
from sekisho.handlers.checks import stop
from sekisho.handlers.kit import Context, Outcome, reads
from sekisho.handlers.segments import (
    Action,
    Document,
    Errors,
    at,
    control_total,
    document_of,
    entry,
    first,
    missing,
    moment,
    qualified,
    references,
    split,
    value_at,
    verdict,
)

__all__ = ["GATE_REPORT", "report_gate"]

GATE_REPORT: Final = "gate-report"
IN: Final = "in"
OUT: Final = "out"

_BY_DOCUMENT: Final = {"34": IN, "36": OUT}
"""1001 of gate-in and gate-out reports, as terminals use it [recall]."""
_BY_STAGE: Final = {"10": IN, "30": OUT}
_BY_BUSINESS: Final = {"CYA": IN, "BIC": IN, "CYO": OUT}
_PLACES: Final = ("165", "14", "18")
"""3227 of the yard: location of the activity, of goods, warehouse."""
_LOADS: Final = {"4": "empty", "5": "full"}


@dataclass(frozen=True, slots=True)
class Move:
    """One container of a report; ``when`` is the segment its moment was read from, None: the moment of receipt."""

    number: str
    segment: Segment
    at: str
    when: Segment | None
    place: str
    fields: dict[str, Any]


@reads("CODECO", codes=["CYA", "CYO", "BIC"])
def report_gate(message: Message, context: Context) -> Outcome:
    """CODECO: containers went into or out of a yard.

    Refuses with S9001, S9003, S9004; R9002, R9004, R9007, R9008; E9001, E9002, E9003, E9013, U9003.
    """
    errors: Errors = []
    document = document_of(message, errors)
    if document.action is Action.ADD:
        errors.append(document.result("S9004"))
    head, parts = split(message.segments, "EQD")
    direction = _direction(document, first(head, "TDT"), context)
    moves = [_move(part, head, errors, context) for part in parts]
    if not moves:
        errors.append(missing("EQD", head[-1]))
    stop(errors, document.number)
    seen: set[str] = set()
    for move in moves:
        if move.number in seen:
            errors.append(at("R9004", move.segment))
        seen.add(move.number)
    control_total(message.segments, "16", len(moves), errors)
    stop(errors, document.number)
    _act(document, direction, moves, context)
    return Outcome(key=document.number or moves[0].number)


def _direction(document: Document, way: Segment | None, context: Context) -> str:
    stage = _BY_STAGE.get(value_at(way, 0), "") if way is not None else ""
    return _BY_DOCUMENT.get(document.code) or stage or _BY_BUSINESS.get(context.business_code, IN)


def _move(part: Sequence[Segment], head: Sequence[Segment], errors: Errors, context: Context) -> Move:
    """One EQD group; what it does not say itself, the head says for all."""
    container = part[0]
    if not value_at(container, 1):
        errors.append(at("S9001", container))
    when = qualified(part, "DTM", "7", "178", "186") or qualified(head, "DTM", "7", "178", "186")
    place = qualified(part, "LOC", *_PLACES) or qualified(head, "LOC", *_PLACES)
    operator = qualified(head, "NAD", "TR")
    fields = {
        "size_type": value_at(container, 2),
        "load": _LOADS.get(value_at(container, 5), ""),
        "seals": [value_at(segment, 0) for segment in part if segment.tag == "SEL" and value_at(segment, 0)],
        "references": references(part),
    }
    return Move(
        value_at(container, 1),
        container,
        moment(when, errors) or f"{context.now:%Y%m%d%H%M}",
        when,
        # The related place (C519) is the terminal where the place itself is a port.
        (value_at(place, 2) or value_at(place, 1)) if place else value_at(operator, 1) if operator else "",
        {name: value for name, value in fields.items() if value},
    )


# Records --------------------------------------------------------------------------------------------------------------


class _Yard:
    """The containers a report touches, changed in memory first: nothing is written until everything is possible."""

    def __init__(self, name: str, direction: str, context: Context) -> None:
        self._name, self._direction, self._context = name, direction, context
        self._containers: dict[str, dict[str, Any]] = {}

    def _container(self, number: str) -> dict[str, Any]:
        if number not in self._containers:
            known = self._context.records.get(CONTAINER, number)
            stays = [dict(stay) for stay in known["stays"]] if known is not None else []
            self._containers[number] = {**(known or {"state": ""}), "stays": stays}
        return self._containers[number]

    def take_back(self, number: str, direction: str) -> bool:
        """Undo what this report did to a container; False if something happened to it since."""
        data = self._container(number)
        last = data["stays"][-1] if data["stays"] else {}
        if direction == OUT and last.get("out_document") == self._name:
            last |= {"out_at": "", "out_document": ""}
            data |= {"state": IN_YARD, "place": last["place"]}
            return True
        if direction == IN and last.get("in_document") == self._name and not last["out_at"]:
            data["stays"].pop()
            data |= {"state": OUT, "place": ""}
            return True
        return False

    def move(self, move: Move) -> str:
        """Let a container in or out; the result code of what stands against it."""
        return self._let_in(move) if self._direction == IN else self._let_out(move)

    def _let_in(self, move: Move) -> str:
        data = self._container(move.number)
        last = data["stays"][-1] if data["stays"] else None
        if last is not None and not last["out_at"]:
            return "E9013"
        if last is not None and _before(move.at, last["out_at"]):
            return "R9002"
        stay = {
            "container": move.number,
            "place": move.place,
            "procedure": self._context.business_code,
            "user_code": self._context.user.user_code,
            "in_at": move.at,
            "out_at": "",
            "in_document": self._name,
            "out_document": "",
        }
        data["stays"].append(stay)
        data |= {**move.fields, "state": IN_YARD, "place": move.place}
        return ""

    def _let_out(self, move: Move) -> str:
        data = self._container(move.number)
        last = data["stays"][-1] if data["stays"] else None
        if last is None:
            return "E9001"
        if last["user_code"] != self._context.user.user_code:
            return "U9003"
        if last["out_at"] or (move.place and last["place"] and move.place != last["place"]):
            return "E9013"
        if _before(move.at, last["in_at"]):
            return "R9002"
        last |= {"out_at": move.at, "out_document": self._name}
        data |= {**move.fields, "state": OUT, "place": ""}
        return ""

    def write(self) -> None:
        for number, data in self._containers.items():
            self._context.records.put(CONTAINER, number, data)


def _before(moment_: str, other: str) -> bool:
    """Whether a moment lies before another; what only a day is given of is not before that day."""
    length = min(len(moment_), len(other))
    return moment_[:length] < other[:length]


def _act(document: Document, direction: str, moves: Sequence[Move], context: Context) -> None:
    """Move the containers, or take moves back, and keep the report."""
    key = document.number or moves[0].number
    name = f"{context.user.user_code}/{document.target}"
    former = context.records.get(GATE_REPORT, name) if document.target else None
    action = document.action
    against = verdict(former, action, context) if document.target or action is not Action.ORIGINAL else ""
    stop([document.result(against)] if against else [], key)
    reported = [str(number) for number in former["containers"]] if former and action is not Action.ORIGINAL else []
    went = str(former["direction"]) if former else direction
    named = [move.number for move in moves]
    yard = _Yard(name, direction, context)
    errors: Errors = []
    if action is Action.CHANGE and direction != went:
        stop([document.result("R9007")], key)
    if action in (Action.CHANGE, Action.CANCEL):
        known = set(reported)
        errors += [at("E9001", move.segment) for move in moves if move.number not in known]
        stop(errors, key)
    for number in reported if action is Action.REPLACE else named if action is not Action.ORIGINAL else ():
        if not yard.take_back(number, went):
            segment = next((move.segment for move in moves if move.number == number), None)
            errors.append(at("E9013", segment) if segment is not None else document.result("E9013"))
    stop(errors, key)
    for move in moves if action is not Action.CANCEL else ():
        against = yard.move(move)
        if against:
            errors.append(at(against, move.when if against == "R9002" and move.when else move.segment))
    stop(errors, key)
    yard.write()
    if document.target:
        among = set(named)
        kept = [number for number in reported if number not in among]
        if action is not Action.CANCEL:
            kept = named if action is Action.REPLACE else [*kept, *named]
        data = entry(former, document, REGISTERED if kept else CANCELLED, context)
        context.records.put(
            GATE_REPORT, name, data | {"direction": went if action is Action.CANCEL else direction, "containers": kept}
        )
