"""Bonded transport (保税運送): OLA11, OLA, OLC20.

*Strategy.* One record a transport, kind ``bonded-transport``, keyed by its 保税運送申告番号; one table says which event
leads from which state to which (procedures 6), and every business code asks it before it acts. A draft is written by
OLA, read by OLA11, declared by OLC20; examination, changes and the way of the goods are events of the same table.

Order inside a code (decisions, "Order of checks"): relations (R), then the record, its owner, its state and what hangs
on it (U, E), then the act. A step's results are raised together. 申告 of another 利用者コード's draft is U0002 under
OLC20, the official number; OLA and OLA11 answer U9003.

A record's fields: ``owner`` (user ID), ``user_code``, ``system``, ``state``, ``version`` (counts registrations from 1),
``items`` (texts by short name, rows as lists), ``registered_by`` (business code), ``registered_at``, ``request``, and
once declared ``declared_at``, ``declaration_request``, ``approved_at``; moments are Japan time, ISO 8601.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode, Rule
from sekisho.handlers.bonded_outputs import approval_set, call_up, cargo_values, input_copy, office_of, unknown_cargo
from sekisho.handlers.cargo import note_approval
from sekisho.handlers.checks import body, code_values, exactly_one, not_before, not_twice, stop, together
from sekisho.handlers.kit import Context, Outcome, handles, layout_of, refuse

__all__ = ["TRANSITIONS", "after", "call_up_registration", "declare", "register"]

KIND: Final = "bonded-transport"
"""Kind of the records and of their numbers."""

NEW: Final = ""
REGISTERED: Final = "registered"
VOID: Final = "void"
WAITING_FOR_OPENING: Final = "waiting-for-opening"
WAITING_FOR_ARRIVAL: Final = "waiting-for-arrival"
DECLARED: Final = "declared"
UNDER_EXAMINATION: Final = "under-examination"
APPROVED: Final = "approved"
CHANGE_PENDING: Final = "change-pending"
PERIOD_EXTENDED: Final = "period-extended"
CANCELLED: Final = "cancelled"
IN_TRANSIT: Final = "in-transit"
ARRIVED: Final = "arrived"

TRANSITIONS: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        (NEW, "register"): REGISTERED,
        (NEW, "declare"): DECLARED,
        (NEW, "declare at opening"): WAITING_FOR_OPENING,
        (NEW, "declare at arrival"): WAITING_FOR_ARRIVAL,
        (REGISTERED, "call up"): REGISTERED,
        (REGISTERED, "correct"): REGISTERED,
        (REGISTERED, "cancel"): VOID,
        (REGISTERED, "declare"): DECLARED,
        (REGISTERED, "declare at opening"): WAITING_FOR_OPENING,
        (REGISTERED, "declare at arrival"): WAITING_FOR_ARRIVAL,
        (WAITING_FOR_OPENING, "office opens"): DECLARED,
        (WAITING_FOR_ARRIVAL, "arrival in hours"): DECLARED,
        (WAITING_FOR_ARRIVAL, "arrival out of hours"): WAITING_FOR_OPENING,
        (DECLARED, "simple examination"): APPROVED,
        (DECLARED, "document examination"): UNDER_EXAMINATION,
        (UNDER_EXAMINATION, "approve"): APPROVED,
        (DECLARED, "ask for change"): CHANGE_PENDING,
        (APPROVED, "ask for change"): CHANGE_PENDING,
        (PERIOD_EXTENDED, "ask for change"): CHANGE_PENDING,
        (CHANGE_PENDING, "approve"): APPROVED,
        (CHANGE_PENDING, "approve cancellation"): CANCELLED,
        (CHANGE_PENDING, "approve extension"): PERIOD_EXTENDED,
        (APPROVED, "gate out"): IN_TRANSIT,
        (PERIOD_EXTENDED, "gate out"): IN_TRANSIT,
        (IN_TRANSIT, "arrive"): ARRIVED,
    }
)
"""State and event -> next state; an event that a state does not list is refused there (procedures 6)."""

_ENDED: Final = (VOID, CANCELLED)
_NOT_YET_APPROVED: Final = (WAITING_FOR_OPENING, WAITING_FOR_ARRIVAL, DECLARED, UNDER_EXAMINATION)


def after(state: str, event: str) -> str | None:
    """The state that ``event`` leads to; None if the event is not allowed in ``state``."""
    return TRANSITIONS.get((state, event))


# What a message may hold --------------------------------------------------------------------------------------------

NEW_ENTRY: Final = "9"
CORRECTION: Final = "5"
CANCELLATION: Final = "1"


def _registration_values(record: Record, code: Callable[[str, str, int], ResultCode]) -> list[ResultCode]:
    """Code values of a registration: 処理区分, and unless it cancels 運送具, 運送目的, 運送種別, コンテナ内蔵識別."""
    action = record.text("KND")
    wrong = ["KND"] if action and action not in (NEW_ENTRY, CORRECTION, CANCELLATION) else []
    if action != CANCELLATION:
        for item in ("BYA", "OBJ", "USS"):
            known = code_values(item)
            if known and record.text(item) and record.text(item) not in known:
                wrong.append(item)
        if record.text("CNY") not in ("", "Y"):
            wrong.append("CNY")
    return [code(Rule.VALUE, item, 0) for item in wrong]


def _not_for_cancellation(record: Record) -> Collection[str]:
    """A cancellation is asked for its number only: mandatory items are mandatory for 9 and 5 (procedures 9.2)."""
    return record.layout.places.keys() - {"KND", "OLT"} if record.text("KND") == CANCELLATION else ()


def _beyond_two_items(record: Record) -> Collection[str]:
    """Of a SAS1360 sent back only the number and the start kind count (procedures 9.3)."""
    return record.layout.places.keys() - {"OLT", "IKS"}


def _number_sent(record: Record, code: Callable[[str, str, int], ResultCode]) -> list[ResultCode]:
    """S0001: also the longer form, whose own table asks for nothing, must name the number."""
    asked = record.layout.item("OLT").required == "M"
    return [] if asked or record.text("OLT") else [code(Rule.MISSING, "OLT", 0)]


def _relations(record: Record) -> list[ResultCode]:
    """The relations of a registration that is not a cancellation, in the order of the items."""
    found = []
    if bool(record.text("OLT")) != (record.text("KND") == CORRECTION):
        found.append(ResultCode("R9007", "OLT"))
    if record.text("HNO"):  # a blanket approval names its office and excludes KNU [spec]
        found.extend([ResultCode("R9007", "CHC")] if record.text("CHC") else [])
        found.extend([ResultCode("R9007", "OBJ")] if record.text("OBJ") == "KNU" else [])
    found.extend(not_before(record, "SDT", "EDT"))
    found.extend(exactly_one(record, ("DPR", "BRT")))
    found.extend(exactly_one(record, ("ARR", "ARB")))
    found.extend(together(record, ("SC1", "SEP")))
    found.extend(not_twice(record, "CG_"))
    return found


def _own(number: str, not_owner: ResultCode, context: Context) -> Mapping[str, Any]:
    """The record of that number; E9001 if there is none, ``not_owner`` if it belongs to another 利用者コード."""
    data = context.records.get(KIND, number)
    if data is None:
        raise refuse(ResultCode("E9001", "OLT"), key=number)
    if data["user_code"] != context.user.user_code:
        raise refuse(not_owner, key=number)
    return data


def _draft_only(data: Mapping[str, Any], event: str, number: str) -> str:
    """The state after an event that only a draft allows; E9003 for what is void, E9002 for what is declared."""
    state = after(data["state"], event)
    if state is None:
        raise refuse(ResultCode("E9003" if data["state"] in _ENDED else "E9002", "OLT"), key=number)
    return state


# OLA11 ---------------------------------------------------------------------------------------------------------------


@handles("OLA11", outputs=["*SOLA11", "SZOLA11"])
def call_up_registration(message: Message, context: Context) -> Outcome:
    """OLA11: the registration screen, filled from cargo data before there is a number, from the draft afterwards.

    Refuses with R9001, R9004; E9006 by row; E9001, U9003, E9002, E9003. Changes nothing.
    """
    record = body(message)
    stop([*exactly_one(record, ("OLT", "CG_")), *not_twice(record, "CG_")])
    number = record.text("OLT")
    if number:
        data = _own(number, ResultCode("U9003", "OLT"), context)
        _draft_only(data, "call up", number)
        values = {**data["items"], "KND": CORRECTION, "OLT": number}
    else:
        numbers = record.texts("CG_")
        stop(unknown_cargo(numbers, context, "E9006", "CG_"))
        values = {**cargo_values(numbers, context), "KND": NEW_ENTRY}
    return Outcome(key=number, outputs=(call_up("SZOLA11", "OLA.in", values, context),))


# OLA -----------------------------------------------------------------------------------------------------------------


def _items(record: Record) -> dict[str, Any]:
    """What was sent, by short name; rows as lists without the blank ones at the end."""
    items: dict[str, Any] = {}
    for item in record.layout.items:
        if item.repeat == 1:
            items[item.id] = record.text(item.id)
            continue
        rows = record.texts(item.id)
        while rows and not rows[-1]:
            rows.pop()
        items[item.id] = rows
    return items


@handles("OLA", outputs=["*SOLA", "SAS1360"], items=_registration_values, ignores=_not_for_cancellation)
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
        stop(_relations(record), key=number)
    if action == NEW_ENTRY:
        number = context.numbers.next(KIND)
        data: dict[str, Any] = {
            "owner": context.user.id,
            "user_code": context.user.user_code,
            "system": "sea",
            "state": TRANSITIONS[NEW, "register"],
            "version": 1,
            "items": _items(record),
            "registered_by": "OLA",
            "registered_at": context.now.isoformat(timespec="seconds"),
            "request": context.request,
        }
    else:
        data = dict(_own(number, ResultCode("U9003", "OLT"), context))
        if action == CORRECTION:
            data["state"] = _draft_only(data, "correct", number)
            data |= {"items": _items(record), "version": data["version"] + 1, "request": context.request}
        else:
            data["state"] = _draft_only(data, "cancel", number)
            data["items"] = {**data["items"], "KND": CANCELLATION}
    context.records.put(KIND, number, data)
    return Outcome(key=number, outputs=(input_copy(number, data, context),))


# OLC20 ---------------------------------------------------------------------------------------------------------------


def _start_event(start: str, context: Context) -> str:
    """The event a 搬入時・開庁時識別 asks for; the letters are settings. Refuses with the number of "out of range"."""
    events = {
        str(context.business.get("start_at_opening", "K")): "declare at opening",
        str(context.business.get("start_at_arrival", "I")): "declare at arrival",
        "": "declare",
    }
    if start not in events:
        number = layout_of(context, "OLC20.in").results.code_for(Rule.VALUE, "IKS")
        raise refuse(ResultCode(number, "IKS"))
    return events[start]


def _overtime(office: str, context: Context) -> bool:
    """Whether the sender's 時間外執務要請届 covers this moment.

    Records of kind ``overtime``: ``office``, ``user_code``, ``start`` and ``end`` as YYYYMMDDhhmm in Japan time.
    """
    now = f"{context.now:%Y%m%d%H%M}"
    requests = context.records.find("overtime", "office", office)
    return any(
        data["user_code"] == context.user.user_code and data["start"] <= now <= data["end"] for _, data in requests
    )


def _not_now(event: str, data: Mapping[str, Any], context: Context) -> list[ResultCode]:
    """Why a declaration cannot start now: R0005, E9011; E9013 for a start kind that this gateway does not run yet."""
    office = office_of(data["items"], context)
    is_open = not office or context.hours.is_open(office, context.now)
    if event == "declare":
        return [] if is_open or _overtime(office, context) else [ResultCode("E9011")]
    if event == "declare at opening" and is_open:
        return [ResultCode("R0005")]
    return [ResultCode("E9013", "IKS")]


@handles(
    "OLC20",
    outputs=["*SOLC20", "SAS0371", "SAS0381", "SAS0411", "SAS0421"],
    items=_number_sent,
    ignores=_beyond_two_items,
)
def declare(message: Message, context: Context) -> Outcome:
    """OLC20: declare what OLA registered, by its number or by its copy sent back; 簡易審査 approves it at once.

    Refuses with S0002; E9001, U0002; E9002, E9003, E9004; E0002, R0005, E9011, E9013.
    """
    record = body(message)
    number = record.text("OLT")
    event = _start_event(record.text("IKS"), context)
    data = _own(number, ResultCode("U0002"), context)
    if after(data["state"], event) is None:
        before = "E9002" if data["state"] in _NOT_YET_APPROVED else "E9004"
        raise refuse(ResultCode("E9003" if data["state"] in _ENDED else before, "OLT"), key=number)
    # Official: E0002 names no item, for OLC20 has no 貨物管理番号 of its own.
    unknown = unknown_cargo(data["items"]["CG_"], context, "E0002", "CG_")
    stop([*([ResultCode("E0002")] if unknown else []), *_not_now(event, data, context)], key=number)
    now = context.now.isoformat(timespec="seconds")
    declared = TRANSITIONS[data["state"], event]
    approved = dict(data) | {
        "state": TRANSITIONS[declared, "simple examination"],
        "declared_at": now,
        "declaration_request": context.request,
        "approved_at": now,
    }
    context.records.put(KIND, number, approved)
    for cargo in filter(None, data["items"]["CG_"]):
        note_approval(cargo, "OLC20", number, context)
    return Outcome(key=number, outputs=approval_set(number, approved, context))
