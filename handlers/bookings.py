"""Bookings and instructions: IFTMBC (BRR), IFTMIN (SIR), IFTMCS (ACL).

*Strategic choice.* Each is kept as a record, whole under ``segments`` and with the values others look for under names.
A ``booking`` is keyed by its booking number (RFF BN in the head, else BGM 1004), for the other party refers to it; a
``shipping-instruction`` and a ``transport-contract`` by 利用者コード/document number. Every RFF BN of an instruction or
a contract status must name a booking that is there.

Function codes (BGM 1225): 9 keeps, 5 replaces, 4 changes what the message fills, 1 and 3 cancel; 2 is not for these.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any, Final

from sekisho.codecs.edifact.model import Message
from sekisho.codecs.edifact.segment import Segment
from sekisho.handlers.cargo import CANCELLED, REGISTERED
from sekisho.handlers.checks import stop
from sekisho.handlers.kit import Context, Outcome, reads
from sekisho.handlers.segments import (
    GROUPS,
    Action,
    Errors,
    amount,
    at,
    carriage,
    document_of,
    entry,
    first,
    listed,
    moment,
    parties,
    places,
    plain,
    qualified,
    references,
    split,
    text_of,
    value_at,
    verdict,
)

__all__ = ["BOOKING", "CONTRACT", "INSTRUCTION", "confirm_booking", "instruct", "state_contract"]

BOOKING: Final = "booking"
INSTRUCTION: Final = "shipping-instruction"
CONTRACT: Final = "transport-contract"

_BOOKED: Final = "BN"
"""1153: booking reference number."""


@reads("IFTMBC", codes=["BRR"])
def confirm_booking(message: Message, context: Context) -> Outcome:
    """IFTMBC: keep a confirmed booking. Refuses with S9001, S9003, S9004; E9001, E9002, E9003, U9003."""
    head = list(takewhile(lambda segment: segment.tag not in GROUPS, message.segments))
    booked = qualified(head, "RFF", _BOOKED)
    return _keep(BOOKING, message, value_at(booked, 0, 1) if booked else "", context)


@reads("IFTMIN", codes=["SIR"])
def instruct(message: Message, context: Context) -> Outcome:
    """IFTMIN: keep an instruction. Refuses with S9001, S9003, S9004; E9001, E9002, E9003."""
    return _keep(INSTRUCTION, message, "", context)


@reads("IFTMCS", codes=["ACL"])
def state_contract(message: Message, context: Context) -> Outcome:
    """IFTMCS: keep a contract status. Refuses with S9001, S9003, S9004; E9001, E9002, E9003."""
    return _keep(CONTRACT, message, "", context)


def _keep(kind: str, message: Message, number: str, context: Context) -> Outcome:
    errors: Errors = []
    document = document_of(message, errors)
    if document.action is Action.ADD:
        errors.append(document.result("S9004"))
    if not errors and not (number or document.target):
        errors.append(document.result("S9001"))
    fields = _fields(message.segments, errors)
    key = number or document.number
    stop(errors, key)
    name = (number or document.target) if kind == BOOKING else f"{context.user.user_code}/{document.target}"
    if kind != BOOKING and document.action is not Action.CANCEL:
        stop(_unknown_bookings(message.segments, context), key)
    former = context.records.get(kind, name)
    against = verdict(former, document.action, context)
    stop([document.result(against)] if against else [], key)
    if document.action is Action.CANCEL:
        data = {**(former or {}), **entry(former, document, CANCELLED, context)}
    else:
        kept = former if document.action is Action.CHANGE else None
        data = {**(kept or {}), **fields, **entry(former, document, REGISTERED, context)}
    context.records.put(kind, name, data)
    return Outcome(key=key)


def _unknown_bookings(segments: Sequence[Segment], context: Context) -> Errors:
    """E9001 at every RFF BN that names no booking."""
    errors: Errors = []
    for segment in segments:
        if segment.tag == "RFF" and value_at(segment, 0) == _BOOKED:
            booking = context.records.get(BOOKING, value_at(segment, 0, 1)) if value_at(segment, 0, 1) else None
            if booking is None or booking.get("state") == CANCELLED:
                errors.append(at("E9001", segment))
    return errors


def _fields(segments: Sequence[Segment], errors: Errors) -> dict[str, Any]:
    """The values others look for, and the whole message; what is blank is left out."""
    head, goods = split(segments, "GID")
    head = list(takewhile(lambda segment: segment.tag != "EQD", head))
    way = carriage(head)
    found = references(segments)
    fields: dict[str, Any] = {
        "booking": next(iter(found.get(_BOOKED, ())), ""),
        "references": found,
        "parties": parties(head),
        "places": places(head),
        "moments": {value_at(s, 0): at_ for s in head if s.tag == "DTM" and (at_ := moment(s, errors))},
        "voyage": value_at(way, 1) if way else "",
        "vessel_code": value_at(way, 7) if way else "",
        "vessel_name": value_at(way, 7, 3) if way else "",
        "carrier": value_at(way, 4) if way else "",
        "goods": [_goods(item, errors) for item in goods],
        "equipment": [
            {"number": value_at(s, 1), "size_type": value_at(s, 2)}
            for s in segments
            if s.tag == "EQD" and (value_at(s, 1) or value_at(s, 2))
        ],
        "segments": listed(segments),
    }
    return {name: value for name, value in fields.items() if value}


def _goods(item: Sequence[Segment], errors: Errors) -> dict[str, Any]:
    """One goods item: packages, description, gross weight as it was sent."""
    gid = item[0]
    weight = first((s for s in item if value_at(s, 1) in ("G", "AAD", "AAB", "AAE", "")), "MEA")
    return {
        "description": text_of(qualified(item, "FTX", "AAA")),
        "packages": plain(amount(gid, 1, 0, errors)),
        "package_unit": value_at(gid, 1, 1),
        "weight": plain(amount(weight, 2, 1, errors)) if weight else 0,
        "weight_unit": value_at(weight, 2) if weight else "",
    }
