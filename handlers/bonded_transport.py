"""Bonded transport (保税運送): OLA11, OLA, OLC11, OLC, OLC20 (procedures 9).

*Strategy.* One record a transport, kind ``bonded-transport``, keyed by its 保税運送申告番号; its state table
(:mod:`sekisho.handlers.bonded_states`) says what may follow what, and every business code asks it before it acts. A
draft is written by OLA, read by OLA11, declared by OLC20; OLC declares in one shot and may be corrected or taken back
while it waits for its start. How a declaration starts and is examined stands in :mod:`sekisho.handlers.examined`;
changes, and the way of the goods, in files of their own.

Order inside a code (decisions, "Order of checks"): relations (R), then the record, its owner, its state and what hangs
on it (U, E), then the act. A step's results are raised together. 申告 of another 利用者コード's draft is U0002 under
OLC20, the official number; the others answer U9003.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode
from sekisho.handlers.arrivals import forget_arrival
from sekisho.handlers.bonded_checks import (
    CANCELLATION,
    CORRECTION,
    NEW_ENTRY,
    beyond_two_items,
    not_for_cancellation,
    number_sent,
    registration_values,
    relations,
)
from sekisho.handlers.bonded_outputs import (
    approval_set,
    call_up,
    cargo_values,
    departure,
    examination_copy,
    input_copy,
    unknown_cargo,
    verdict,
)
from sekisho.handlers.bonded_states import BONDED_TRANSPORT, CANCELLED, VOID
from sekisho.handlers.checks import body, exactly_one, not_twice, stop
from sekisho.handlers.examined import (
    CORRECTION_WANTED,
    DECLARED,
    REFUSED,
    UNDER_EXAMINATION,
    WAITING_FOR_ARRIVAL,
    WAITING_FOR_OPENING,
    Procedure,
    declarant,
    forget_start,
    items_of,
    new_record,
    not_now,
    opened,
    own,
    start,
    start_event,
    wait,
)
from sekisho.handlers.kit import Context, Outcome, Output, handles, refuse, step

__all__ = [
    "BONDED",
    "against",
    "call_up_declaration",
    "call_up_registration",
    "declare",
    "declare_registered",
    "ended",
    "register",
]

BONDED: Final = Procedure(
    machine=BONDED_TRANSPORT,
    number="OLT",
    office="CHC",
    remarks=("NTA",),
    place=departure,
    shortcut=lambda items: "accept individual transport" if items.get("HNO") else "",
    approval=approval_set,
    examination=examination_copy,
    verdict=verdict,
)
"""Bonded transport as an examined procedure. Under a blanket approval the transport is accepted, not examined."""

_APPROVALS: Final = ("SAS0371", "SAS0381", "SAS0411", "SAS0421", "SAS0431", "SAS0441", "SZOLC")
_ENDED: Final = (VOID, CANCELLED, REFUSED)
_NOT_YET_APPROVED: Final = (
    WAITING_FOR_OPENING,
    WAITING_FOR_ARRIVAL,
    DECLARED,
    UNDER_EXAMINATION,
    CORRECTION_WANTED,
)
_NOT_OWNER: Final = ResultCode("U9003", "OLT")


def ended(state: str) -> bool:
    """Whether a transport in this state is void, cancelled or refused."""
    return state in _ENDED


def against(state: str) -> ResultCode:
    """Why what is in this state is not declared: E9003 void, E9002 declared before, E9004 approved before."""
    code = "E9003" if ended(state) else "E9002" if state in _NOT_YET_APPROVED else "E9004"
    return ResultCode(code, "OLT")


def _draft_only(data: Mapping[str, Any], event: str, number: str) -> str:
    """The state after an event that only a draft allows; E9003 for what is void, E9002 for what is declared."""
    state = BONDED_TRANSPORT.after(data["state"], event)
    if state is None:
        raise refuse(ResultCode("E9003" if ended(data["state"]) else "E9002", "OLT"), key=number)
    return state


def _screen(code: str, table: str, record: Record, values: Mapping[str, Any], context: Context) -> Output:
    """A call-up's screen from the draft ``values``, or where there is none from the cargo data base."""
    number = record.text("OLT")
    if number:
        return call_up(code, table, {**values, "KND": CORRECTION, "OLT": number}, context)
    numbers = record.texts("CG_")
    stop(unknown_cargo(numbers, context, "E9006", "CG_"))
    return call_up(code, table, {**cargo_values(numbers, context), "KND": NEW_ENTRY}, context)


@handles("OLA11", outputs=["*SOLA11", "SZOLA11"])
def call_up_registration(message: Message, context: Context) -> Outcome:
    """OLA11: the registration screen, filled from cargo data before there is a number, from the draft afterwards.

    Refuses with R9001, R9004; E9006 by row; E9001, U9003, E9002, E9003. Changes nothing.
    """
    record = body(message)
    stop([*exactly_one(record, ("OLT", "CG_")), *not_twice(record, "CG_")])
    number, values = record.text("OLT"), {}
    if number:
        data = own(BONDED, number, _NOT_OWNER, context)
        _draft_only(data, "call up", number)
        values = data["items"]
    return Outcome(key=number, outputs=(_screen("SZOLA11", "OLA.in", record, values, context),))


@handles("OLA", outputs=["*SOLA", "SAS1360"], items=registration_values, ignores=not_for_cancellation)
def register(message: Message, context: Context) -> Outcome:
    """OLA: 9 registers and issues the number, 5 replaces the draft by what is sent, 1 makes it void.

    Refuses with R9001, R9002, R9004, R9005, R9007; E9001, U9003, E9002, E9003. Cargo need not be known yet:
    that is OLC20's matter.
    """
    record = body(message)
    action, number = record.text("KND"), record.text("OLT")
    if action == CANCELLATION:
        stop([] if number else [ResultCode("R9007", "OLT")])
    else:
        stop(relations(record), key=number)
    if action == NEW_ENTRY:
        number = context.numbers.next(BONDED.kind)
        data = new_record("OLA", items_of(record), context)
        data["state"] = BONDED.step(data, "register")
    else:
        data = own(BONDED, number, _NOT_OWNER, context)
        if action == CORRECTION:
            data["state"] = _draft_only(data, "correct", number)
            data |= {"items": items_of(record), "version": data["version"] + 1, "request": context.request}
        else:
            data["state"] = _draft_only(data, "cancel", number)
            data["items"] = {**data["items"], "KND": CANCELLATION}
    context.records.put(BONDED.kind, number, data)
    return Outcome(key=number, outputs=(input_copy(number, data, context),))


@handles("OLC20", outputs=["*SOLC20", *_APPROVALS], items=number_sent, ignores=beyond_two_items)
def declare_registered(message: Message, context: Context) -> Outcome:
    """OLC20: declare what OLA registered, by its number or by its copy sent back, now or with one of the later starts.

    簡易審査 approves at once, 書類審査 answers the copy and waits for SET. Refuses with S0002; E9001, U0002; E9002,
    E9003, E9004; E0002, R0005, E9011, E9015.
    """
    record = body(message)
    number = record.text("OLT")
    event = start_event("OLC20", record.text("IKS"), context)
    data = own(BONDED, number, ResultCode("U0002"), context)
    if BONDED_TRANSPORT.after(data["state"], event) is None:
        raise refuse(against(data["state"]), key=number)
    # Official: E0002 names no item, for OLC20 has no 貨物管理番号 of its own.
    unknown = unknown_cargo(data["items"]["CG_"], context, "E0002", "CG_")
    found = [ResultCode("E0002")] if unknown else []
    stop([*found, *not_now(BONDED, event, data["items"], context)], key=number)
    return Outcome(key=number, outputs=start(BONDED, number, data, event, "OLC20", context))


# OLC11, OLC -----------------------------------------------------------------------------------------------------------


def _waiting(number: str, event: str, context: Context) -> dict[str, Any]:
    """An OLC that still waits for its start, in the state that ``event`` leads to.

    Refuses with E9001, U9003; E9012 for what OLA registered; E9002, E9003, E9004.
    """
    data = own(BONDED, number, _NOT_OWNER, context)
    if data["registered_by"] == "OLA":
        raise refuse(ResultCode("E9012", "OLT"), key=number)
    state = BONDED_TRANSPORT.after(data["state"], event)
    if state is None:
        raise refuse(against(data["state"]), key=number)
    return {**data, "state": state}


@handles("OLC11", outputs=["*SOLC11", "SZOLC11"])
def call_up_declaration(message: Message, context: Context) -> Outcome:
    """OLC11: the screen of OLC, filled from cargo data, or by number from a declaration that waits for its start.

    Refuses with R9001, R9004; E9006 by row; E9001, U9003, E9012; E9002, E9003, E9004. Changes nothing.
    """
    record = body(message)
    stop([*exactly_one(record, ("OLT", "CG_")), *not_twice(record, "CG_")])
    number = record.text("OLT")
    values = _waiting(number, "call up declaration", context)["items"] if number else {}
    return Outcome(key=number, outputs=(_screen("SZOLC11", "OLC.in", record, values, context),))


@handles("OLC", outputs=["*SOLC", *_APPROVALS], items=registration_values, ignores=not_for_cancellation)
def declare(message: Message, context: Context) -> Outcome:
    """OLC: 9 declares in one shot and issues the number; 5 corrects and 1 takes back what still waits for its start.

    Refuses with S9004 for the start kind; R9001, R9002, R9004, R9005, R9007; E9001, U9003, E9012; E9002, E9003, E9004;
    E9006 by row, R0005, E9011, E9015.
    """
    record = body(message)
    action, number = record.text("KND"), record.text("OLT")
    if action == CANCELLATION:
        stop([] if number else [ResultCode("R9007", "OLT")])
        return _take_back(number, context)
    event = start_event("OLC", record.text("IKS"), context)
    stop(relations(record), key=number)
    items = items_of(record)
    unknown = unknown_cargo(record.texts("CG_"), context, "E9006", "CG_")
    if action == CORRECTION:
        return _correct(number, items, event, unknown, context)
    stop([*unknown, *not_now(BONDED, event, items, context)])
    number = context.numbers.next(BONDED.kind)
    data = new_record("OLC", items, context)
    return Outcome(key=number, outputs=start(BONDED, number, data, event, "OLC", context))


def _correct(number: str, items: Mapping[str, Any], event: str, unknown: list[ResultCode], context: Context) -> Outcome:
    """OLC 5: everything sent replaces what waits, but the kind of its start stays (R9007)."""
    data = _waiting(number, "correct declaration", context)
    stop([*([ResultCode("R9007", "IKS")] if data["start"] != event else []), *unknown], key=number)
    forget_arrival(BONDED.cargoes(data["items"]), BONDED.kind, number, context)
    corrected = {**data, "items": items, "version": data["version"] + 1, "request": context.request}
    return Outcome(key=number, outputs=wait(BONDED, number, corrected, context, declarant(data)))


def _take_back(number: str, context: Context) -> Outcome:
    """OLC 1: nothing is declared when the office opens or the cargo comes."""
    data = _waiting(number, "cancel declaration", context)
    forget_arrival(BONDED.cargoes(data["items"]), BONDED.kind, number, context)
    forget_start(BONDED, number, context)
    context.records.put(BONDED.kind, number, data)
    return Outcome(key=number)


@step(BONDED.opening)
def _open(key: str, data: Mapping[str, Any], context: Context) -> Outcome:
    """The office has opened: what waited for it is declared."""
    del data
    return Outcome(key=key, outputs=opened(BONDED, key, context))
