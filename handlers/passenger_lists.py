"""Passenger and crew lists: PAXLST (PLR01, NLR01), over lines of aviation carriers only.

*Strategic choice.* A ``passenger-list`` is keyed by 利用者コード, BGM 1001 (745 passengers, 250 crew), conveyance
(TDT 8028), day of departure and, where it was sent, BGM 1004: lists of the field often have no document number. Persons
are the NAD groups behind the first TDT.

A list may come in parts (UNH S010): part 1 opens it, every later part carries the same 0068 and the next number.

Function codes (BGM 1225): 9 keeps, 5 replaces the list, 2 adds persons, 4 changes the named persons or adds them,
1 and 3 remove the named persons, or the list where none is named. A person is known by the first document's number,
else by name.
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
    at,
    carriage,
    control_total,
    document_of,
    entry,
    missing,
    moment,
    parties,
    places,
    qualified,
    references,
    split,
    value_at,
    verdict,
)

__all__ = ["PASSENGER_LIST", "keep_list"]

PASSENGER_LIST: Final = "passenger-list"

_ROLES: Final = {"FL": "passenger", "FM": "crew", "DDU": "transit passenger", "DDT": "transit crew"}
"""3035 of a person; any other is kept as it is."""
_DEPARTURE: Final = ("189", "133", "186", "136", "232", "132", "178")
"""2005 of the day that names the journey: departure before arrival, scheduled before estimated and actual."""


@reads("PAXLST", codes=["PLR01", "NLR01"])
def keep_list(message: Message, context: Context) -> Outcome:
    """PAXLST: keep a list, or a part of one. U9005 from a line that is not an aviation carrier's, before all else.

    Refuses with U9005; S9001, S9003, S9004; R9008; E9001, E9002, E9003, E9013.
    """
    if not context.aviation:
        raise refuse(ResultCode("U9005"))
    errors: Errors = []
    document = document_of(message, errors)
    head, groups = _persons(message.segments)
    way = carriage(head)
    if way is None:
        errors.append(missing("TDT", head[-1]))
    elif not value_at(way, 1):
        errors.append(at("S9001", way))
    day = moment(qualified(head, "DTM", *_DEPARTURE), errors)[:8]
    if not day and way is not None and not errors:
        errors.append(missing("DTM", way))
    persons = [_person(group, errors, context) for group in groups]
    legs = _legs(head, errors)
    flight = value_at(way, 1) if way else ""
    key = document.number or f"{flight}/{day}"
    stop(errors, key)
    unh = message.segments[0]
    # A total speaks of the whole list, of which a part holds less.
    if not value_at(unh, 3) or (_part(unh) == 1 and value_at(unh, 3, 1) == "F"):
        _totals(message.segments, persons, errors)
        stop(errors, key)
    name = "/".join(filter(None, (context.user.user_code, document.code, flight, day, document.target)))
    fields = {
        "flight": flight,
        "carrier": value_at(way, 4) if way else "",
        "departure_date": day,
        "legs": legs,
        "parties": parties(head),
        "references": references(head),
    }
    _act(name, document, unh, fields, list(zip(groups, persons, strict=True)), context, key)
    return Outcome(key=key)


# Reading --------------------------------------------------------------------------------------------------------------


def _persons(segments: Sequence[Segment]) -> tuple[list[Segment], list[list[Segment]]]:
    """The head, and the person groups: NAD from behind the first TDT on (a later release has TDT inside them too)."""
    begin, travelling = len(segments), False
    for index, segment in enumerate(segments):
        travelling = travelling or segment.tag == "TDT"
        if travelling and segment.tag == "NAD":
            begin = index
            break
    head = [segment for segment in segments[:begin] if segment.tag != "UNT"]
    return head, split(segments[begin:], "NAD")[1]


def _person(group: Sequence[Segment], errors: Errors, context: Context) -> dict[str, Any]:
    """One traveller; S9001 at a NAD without any name."""
    nad = group[0]
    own, documents = split(group, "DOC")
    names = [value_at(nad, 3, part) for part in range(5)]
    if not any(names):
        names = [value_at(nad, 2, part) for part in range(5)]
    if not any(names):
        errors.append(at("S9001", nad))
    today = f"{context.now:%Y%m%d}"
    fields: dict[str, Any] = {
        "role": _ROLES.get(value_at(nad, 0), value_at(nad, 0)),
        "surname": names[0],
        "given_names": " ".join(name for name in names[1:] if name),
        "gender": next((value_at(s, 2) for s in own if s.tag == "ATT" and value_at(s, 0) == "2"), ""),
        "born": moment(qualified(own, "DTM", "329"), errors, until=today),
        "nationality": next((value_at(s, 1) for s in own if s.tag == "NAT"), ""),
        "places": places(own),
        "references": references(own),
        "documents": [_travel_document(document, errors) for document in documents],
    }
    return {name: value for name, value in fields.items() if value}


def _travel_document(group: Sequence[Segment], errors: Errors) -> dict[str, str]:
    """DOC: type, number, expiry (DTM 36), issuing country (LOC 91)."""
    fields = {
        "type": value_at(group[0], 0),
        "number": value_at(group[0], 1),
        "expires": moment(qualified(group, "DTM", "36"), errors)[:8],
        "issued_by": places(group).get("91", ""),
    }
    return {name: value for name, value in fields.items() if value}


def _legs(head: Sequence[Segment], errors: Errors) -> list[dict[str, Any]]:
    """Every TDT of the head with its places and moments, each with the qualifier of what it says."""
    return [
        {
            "conveyance": value_at(leg[0], 1),
            "stage": value_at(leg[0], 0),
            "places": places(leg),
            "moments": {value_at(s, 0): moment(s, errors) for s in leg if s.tag == "DTM"},
        }
        for leg in split(head, "TDT")[1]
    ]


def _part(unh: Segment) -> int:
    """Number of the part by S010 0070; a list that does not come in parts is part 1."""
    sent = value_at(unh, 3)
    return int(sent) if sent.isdecimal() else 1


def _totals(segments: Sequence[Segment], persons: Sequence[dict[str, Any]], errors: Errors) -> None:
    """R9008 where CNT 42 (passengers) or 41 (crew) differs from the persons of that kind."""
    crew = sum("crew" in person["role"] for person in persons if "role" in person)
    control_total(segments, "41", crew, errors)
    control_total(segments, "42", len(persons) - crew, errors)


# Records --------------------------------------------------------------------------------------------------------------


def _identity(person: dict[str, Any]) -> str:
    numbers = [document["number"] for document in person.get("documents", ()) if document.get("number")]
    return numbers[0] if numbers else f"{person.get('surname', '')}/{person.get('given_names', '')}"


def _act(
    name: str,
    document: Document,
    unh: Segment,
    fields: dict[str, Any],
    persons: Sequence[tuple[Sequence[Segment], dict[str, Any]]],
    context: Context,
    key: str,
) -> None:
    """Keep the list as the action says."""
    former = context.records.get(PASSENGER_LIST, name)
    part = _part(unh)
    people = [person for _, person in persons]
    kept: list[dict[str, Any]] = list(former["persons"]) if former and former["state"] != CANCELLED else []
    parts = [1]
    if part > 1:
        stop(_out_of_turn(former, unh, part), key)
        parts = [*(former or {"parts": []})["parts"], part]
        people = [*kept, *people]
    else:
        against = verdict(former, document.action, context)
        stop([document.result(against)] if against else [], key)
        if document.action is Action.CANCEL:
            known = {_identity(person) for person in kept}
            stop([at("E9001", group[0]) for group, person in persons if _identity(person) not in known], key)
        named = {_identity(person) for person in people}
        others = [person for person in kept if _identity(person) not in named]
        if document.action is Action.CANCEL:
            people = others if named else []
        elif document.action is Action.CHANGE:
            people = [*others, *people]
        elif document.action is Action.ADD:
            people = [*kept, *people]
    state = CANCELLED if document.action is Action.CANCEL and not people else REGISTERED
    data = fields | entry(former, document, state, context)
    data |= {"access": value_at(unh, 2), "parts": parts, "persons": people}
    context.records.put(PASSENGER_LIST, name, data)


def _out_of_turn(former: Mapping[str, Any] | None, unh: Segment, part: int) -> Errors:
    """What stands against a later part: E9001 no list of that 0068, E9002 came before, E9013 not the next one."""
    if former is None or former["state"] == CANCELLED or former["access"] != value_at(unh, 2):
        return [at("E9001", unh)]
    if part in former["parts"]:
        return [at("E9002", unh)]
    return [] if part == former["parts"][-1] + 1 else [at("E9013", unh)]
