"""Vessels and their calls: CUSREP registers a vessel (VBX, VBY) and reports arrivals and departures (VPX ... VOT, VMR).

*Strategic choice.* The business code that the partner's profile made of the message tells what it is. A ``vessel``
record is keyed by its code (TDT C222 8213, the call sign); a ``vessel-call`` by code/voyage/port. One table says which
report leads from which state of a call to which: before arrival, arrived, departed. Calls of a vessel that nobody
registered are refused.

Function codes (BGM 1225): 9 registers or reports, 5 replaces, 4 changes what the message fills, 1 and 3 cancel; 2 is
not for reports. VBY corrects by its name: 9 means 5 there. Of a call only its last report can be cancelled.

What has no field of its own is kept whole under ``segments``; MEA and LOC by their qualifiers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sekisho.codecs.edifact.model import Message
from sekisho.codecs.edifact.segment import Segment
from sekisho.codecs.results import ResultCode
from sekisho.handlers.cargo import CANCELLED, REGISTERED
from sekisho.handlers.checks import stop
from sekisho.handlers.kit import Context, Outcome, reads, refuse
from sekisho.handlers.segments import (
    Action,
    Document,
    Errors,
    amount,
    at,
    carriage,
    document_of,
    entry,
    listed,
    missing,
    moment,
    objections,
    parties,
    places,
    plain,
    qualified,
    references,
    value_at,
    verdict,
)

__all__ = ["CALL", "TRANSITIONS", "VESSEL", "report_vessel"]

VESSEL: Final = "vessel"
CALL: Final = "vessel-call"

EXPECTED: Final = "expected"
ARRIVED: Final = "arrived"
DEPARTED: Final = "departed"
_NEW: Final = ""

_PARTICULARS: Final = frozenset(("", "VBX", "VBY"))
_REPORTS: Final[Mapping[str, str]] = {
    "VPX": EXPECTED,
    "VPT": EXPECTED,
    "VMR": EXPECTED,
    "VIX": ARRIVED,
    "VIT": ARRIVED,
    "VOX": DEPARTED,
    "VOT": DEPARTED,
}
"""What a business reports [inferred]: VP and VMR announce a call, VI its arrival, VO its departure."""

TRANSITIONS: Final = frozenset(((_NEW, EXPECTED), (_NEW, ARRIVED), (EXPECTED, ARRIVED), (ARRIVED, DEPARTED)))
"""State of a call and the report that may follow; the report's stage is the next state."""

_PORTS: Final[Mapping[str, tuple[str, ...]]] = {
    EXPECTED: ("153", "60", "8", "11"),
    ARRIVED: ("153", "60", "8", "11"),
    DEPARTED: ("153", "5", "9", "60"),
}
"""3227 of the port reported on: call, arrival, destination, discharge; for departures call, departure, loading."""
_MOMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    EXPECTED: ("132", "232"),
    ARRIVED: ("178", "132"),
    DEPARTED: ("186", "136", "133"),
}
"""2005: estimated and scheduled arrival; actual arrival; actual departure, departure, estimated departure."""


_BEHIND: Final = frozenset(("EQD", "EQN", "AUT", "UNT"))
"""What may stand behind the place of TDT."""


@reads("CUSREP", codes=["VBX", "VBY", *_REPORTS])
def report_vessel(message: Message, context: Context) -> Outcome:
    """CUSREP: a vessel's particulars, or a report on its call at a port.

    A0001 where the profile made a business of it that is neither.
    Refuses with S9001, S9003, S9004; R9002; E9001, E9002, E9003, E9013, U9003.
    """
    if context.business_code not in _PARTICULARS and context.business_code not in _REPORTS:
        raise refuse(ResultCode("A0001"))
    errors: Errors = []
    document = document_of(message, errors, corrects=context.business_code == "VBY")
    if document.action is Action.ADD:
        errors.append(document.result("S9004"))
    way = carriage(message.segments)
    if way is None:
        before = [segment for segment in message.segments if segment.tag not in _BEHIND]
        raise refuse(*errors, missing("TDT", before[-1]), key=document.number)
    if not value_at(way, 7):
        errors.append(at("S9001", way))
    if context.business_code in _PARTICULARS:
        return _particulars(message.segments, document, way, errors, context)
    return _call(message.segments, document, way, errors, context)


def _particulars(
    segments: Sequence[Segment], document: Document, way: Segment, errors: Errors, context: Context
) -> Outcome:
    """VBX and VBY: the vessel's record."""
    code = value_at(way, 7)
    key = document.number or code
    fields: dict[str, Any] = {
        "code": code,
        "name": value_at(way, 7, 3),
        "nationality": value_at(way, 7, 4),
        "means": value_at(way, 3),
        "carrier": value_at(way, 4),
        "measures": _measures(segments, errors),
        "places": places(segments),
        "parties": parties(segments),
        "references": references(segments),
        "segments": listed(segments),
    }
    stop(errors, key)
    former = context.records.get(VESSEL, code)
    against = verdict(former, document.action, context)
    if not against and document.action is Action.CANCEL and _in_port(code, context):
        against = "E9013"
    stop([at(against, way)] if against else [], key)
    state = CANCELLED if document.action is Action.CANCEL else REGISTERED
    if document.action is Action.CANCEL:
        data = {**(former or {}), **entry(former, document, state, context)}
    else:
        kept = former if document.action is Action.CHANGE else None
        filled = {name: value for name, value in fields.items() if value}
        data = {**(kept or {}), **filled, **entry(former, document, state, context)}
    context.records.put(VESSEL, code, data)
    return Outcome(key=key)


def _in_port(code: str, context: Context) -> bool:
    """Whether a call of the vessel is announced or under way: such a vessel is not taken off the register."""
    calls = context.records.find(CALL, "vessel_code", code)
    return any(data["state"] in (EXPECTED, ARRIVED) for _, data in calls)


def _measures(segments: Sequence[Segment], errors: Errors) -> list[dict[str, Any]]:
    """Every MEA: purpose 6311, property 6313, unit 6411, value 6314."""
    return [
        {
            "purpose": value_at(s, 0),
            "property": value_at(s, 1),
            "unit": value_at(s, 2),
            "value": plain(amount(s, 2, 1, errors)),
        }
        for s in segments
        if s.tag == "MEA"
    ]


# Calls ----------------------------------------------------------------------------------------------------------------


def _call(segments: Sequence[Segment], document: Document, way: Segment, errors: Errors, context: Context) -> Outcome:
    """A report on a call: its record, one entry a report."""
    stage = _REPORTS[context.business_code]
    code, voyage = value_at(way, 7), value_at(way, 1)
    place = qualified(segments, "LOC", *_PORTS[stage])
    port = value_at(place, 1) if place else ""
    when = qualified(segments, "DTM", *_MOMENTS[stage])
    moment_of = moment(when, errors)
    name = f"{code}/{voyage}/{port}"
    key = document.number or name
    stop(errors, key)
    vessel = context.records.get(VESSEL, code)
    if vessel is None or vessel.get("state") == CANCELLED:
        raise refuse(at("E9001", way), key=key)
    former = context.records.get(CALL, name)
    live = former if former is not None and former["state"] != CANCELLED else None
    reports: dict[str, Any] = dict(live["reports"]) if live else {}
    state = str(live["state"]) if live else _NEW
    if document.action is Action.ORIGINAL:
        stop(_not_now(stage, state, reports, live, document, way, context), key)
        arrived = str(reports.get(ARRIVED, {}).get("at", ""))
        if stage == DEPARTED and when is not None and moment_of < arrived[: len(moment_of)]:
            raise refuse(at("R9002", when), key=key)
        state = stage
    else:
        against = objections(former, context) or ("" if stage in reports else "E9001")
        if not against and document.action is Action.CANCEL and stage != state:
            against = "E9013"
        stop([document.result(against)] if against else [], key)
    made = entry(former, document, stage, context) | {"at": moment_of, "segments": listed(segments)}
    if document.action is Action.CANCEL:
        del reports[stage]
        state = list(reports)[-1] if reports else CANCELLED
    elif document.action is Action.CHANGE:
        reports[stage] = {**reports[stage], **{n: v for n, v in made.items() if v}}
    else:
        reports[stage] = made
    data = entry(former, document, state, context) | {
        "vessel_code": code,
        "vessel_name": value_at(way, 7, 3) or vessel.get("name", ""),
        "voyage": voyage,
        "port": port,
        "reports": reports,
    }
    context.records.put(CALL, name, data)
    return Outcome(key=key)


def _not_now(
    stage: str,
    state: str,
    reports: Mapping[str, Any],
    live: Mapping[str, Any] | None,
    document: Document,
    way: Segment,
    context: Context,
) -> Errors:
    """What stands against a first report: E9002 made before, U9003 not ours, E9001 no call, E9013 wrong order."""
    if live is not None and live["user_code"] != context.user.user_code:
        return [at("U9003", way)]
    if stage in reports:
        return [document.result("E9002")]
    if (state, stage) in TRANSITIONS:
        return []
    return [at("E9001" if state == _NEW else "E9013", way)]
