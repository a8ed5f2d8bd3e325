"""What every examined procedure has in common: how it starts, how customs decides, and the states of that.

*Strategy.* 保税運送 and 本船・ふ中扱い (procedures 6, 9, 10) are declared by the same three kinds of start and examined
in the same two ways; they differ in items, outputs and in what may follow the approval. A :class:`Procedure` is one
definition object that says what differs; the functions here do the rest with it and ask its state table before every
step. Nothing here knows one of them.

A record holds ``owner`` (user ID), ``user_code``, ``system``, ``state``, ``version``, ``items`` (texts by short name,
rows as lists), ``registered_by`` (business code), ``registered_at``, ``request``; once a declaration was sent also
``declarant`` (user ID), ``declaration_request``, ``declared_by`` (business code), ``start`` (its event) and
``examination``; then ``declared_at``, ``approved_at``, and of an officer's decision ``officer_note``, ``condition``.
Moments are Japan time, ISO 8601.

The examination is chosen when the declaration comes, by the rules that hold for its sender: what makes it start later
(an arrival, a calendar) is somebody else's. What was declared earlier answers its declarant by EXZ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode, Rule
from sekisho.handlers.arrivals import all_arrived, await_arrival, awaiting, forget_arrival
from sekisho.handlers.cargo import note_approval
from sekisho.handlers.kit import SENDER, Context, Examination, Originator, Output, Sender, layout_of, refuse
from sekisho.handlers.overtime import covered
from sekisho.handlers.states import NEW, Event, Machine

__all__ = [
    "APPROVED",
    "CORRECTION_WANTED",
    "DECLARED",
    "EXAMINED_STATES",
    "EXAMINED_TRANSITIONS",
    "REFUSED",
    "REGISTERED",
    "UNDER_EXAMINATION",
    "WAITING_FOR_ARRIVAL",
    "WAITING_FOR_OPENING",
    "Procedure",
    "arrived",
    "decide",
    "declarant",
    "examination_chosen",
    "examination_kept",
    "examination_of",
    "examine_anew",
    "examined_events",
    "forget_start",
    "items_of",
    "new_record",
    "not_now",
    "opened",
    "own",
    "schedule_decision",
    "start",
    "start_event",
    "wait",
]

REGISTERED: Final = "registered"
WAITING_FOR_OPENING: Final = "waiting-for-opening"
WAITING_FOR_ARRIVAL: Final = "waiting-for-arrival"
DECLARED: Final = "declared"
UNDER_EXAMINATION: Final = "under-examination"
CORRECTION_WANTED: Final = "correction-wanted"
REFUSED: Final = "refused"
APPROVED: Final = "approved"

PLAIN: Final = "declare"
AT_OPENING: Final = "declare at opening"
AT_ARRIVAL: Final = "declare at arrival"
_WAITING_FOR_CARGO: Final = 100
"""Declarations that may wait for one cargo, so that nobody makes an arrival grow without end (our choice)."""

EXAMINED_STATES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        WAITING_FOR_OPENING: ("開庁待ち", "waiting for the office to open"),
        WAITING_FOR_ARRIVAL: ("搬入待ち", "waiting for the cargo"),
        DECLARED: ("申告済み", "declared"),
        UNDER_EXAMINATION: ("書類審査中", "under examination"),
        CORRECTION_WANTED: ("訂正待ち", "correction wanted"),
        REFUSED: ("不承認", "refused"),
        APPROVED: ("承認済み", "approved"),
    }
)
EXAMINED_TRANSITIONS: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        **{(state, PLAIN): DECLARED for state in (NEW, REGISTERED)},
        **{(state, AT_OPENING): WAITING_FOR_OPENING for state in (NEW, REGISTERED)},
        **{(state, AT_ARRIVAL): WAITING_FOR_ARRIVAL for state in (NEW, REGISTERED)},
        (WAITING_FOR_OPENING, "office opens"): DECLARED,
        (WAITING_FOR_ARRIVAL, "arrival in hours"): DECLARED,
        (WAITING_FOR_ARRIVAL, "arrival out of hours"): WAITING_FOR_OPENING,
        (DECLARED, "simple examination"): APPROVED,
        (DECLARED, "document examination"): UNDER_EXAMINATION,
        (UNDER_EXAMINATION, "approve"): APPROVED,
        (UNDER_EXAMINATION, "refuse"): REFUSED,
        (UNDER_EXAMINATION, "want correction"): CORRECTION_WANTED,
        (CORRECTION_WANTED, "refuse"): REFUSED,
    }
)


def examined_events(codes: str, customs: str) -> dict[str, Event]:
    """The events of a start and an examination; ``codes`` declare, ``customs`` decides."""
    return {
        PLAIN: Event("申告", "declared at once", f"{codes}, start kind blank"),
        AT_OPENING: Event("開庁時申告", "declared for the opening", f"{codes}, start kind K"),
        AT_ARRIVAL: Event("搬入時申告", "declared for the arrival", f"{codes}, start kind I"),
        "office opens": Event("開庁", "office opens", "the office's calendar"),
        "arrival in hours": Event("開庁時間内の搬入", "cargo arrives in hours", "PKI, BIA"),
        "arrival out of hours": Event("開庁時間外の搬入", "cargo arrives out of hours", "PKI, BIA"),
        "simple examination": Event("簡易審査", "simple examination", "the rules of examination"),
        "document examination": Event("書類審査", "document examination", "the rules of examination"),
        "approve": Event("承認", "approved", f"{customs} A"),
        "refuse": Event("不承認", "refused", f"{customs} R"),
        "want correction": Event("訂正依頼", "correction wanted", f"{customs} C"),
    }


Outputs = Callable[[str, Mapping[str, Any], Context, Sender | Originator], tuple[Output, ...]]
"""Outputs of a record by its number, in the context, to its declarant."""


@dataclass(frozen=True, slots=True)
class Procedure:
    """What is different in one examined procedure.

    ``number`` and ``office`` are short names of items, ``remarks`` those that rules of examination look at; ``place``
    says where its cargo is expected and ``shortcut`` names the event that approves without an examination, if one does.
    ``approval``, ``examination`` and ``verdict`` make the outputs of an approval, of a document examination, and of a
    refusal or a wanted correction. Its steps are ``<kind>.open`` and ``<kind>.decide``.
    """

    machine: Machine
    number: str
    office: str
    remarks: Sequence[str]
    place: Callable[[Mapping[str, Any]], str]
    shortcut: Callable[[Mapping[str, Any]], str]
    approval: Outputs
    examination: Outputs
    verdict: Outputs

    @property
    def kind(self) -> str:
        """Kind of its records and numbers."""
        return self.machine.kind

    @property
    def opening(self) -> str:
        """The step that happens when the office opens."""
        return f"{self.kind}.open"

    @property
    def decision(self) -> str:
        """The step in which customs decides by itself."""
        return f"{self.kind}.decide"

    def office_of(self, items: Mapping[str, Any], context: Context) -> str:
        """税関官署: as declared, else the setting ``default_office``; empty if there is neither."""
        return str(items.get(self.office) or context.business.get("default_office", ""))

    def cargoes(self, items: Mapping[str, Any]) -> list[str]:
        """The 貨物管理番号 it names."""
        return [str(number) for number in items.get("CG_", ()) if number]

    def value(self, items: Mapping[str, Any], context: Context) -> int:
        """The declared value in yen, for rules of examination; 0 where the procedure knows none."""
        del items, context
        return 0

    def step(self, data: Mapping[str, Any], event: str) -> str:
        """The state after an event that is allowed. Raises ValueError if it is not: the caller has to ask before."""
        state = self.machine.after(data["state"], event)
        if state is None:
            raise ValueError(f"{event} of what is {data['state']}")
        return state


def items_of(record: Record) -> dict[str, Any]:
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


def new_record(code: str, items: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """The record of what business ``code`` registers or declares, before its first event."""
    return {
        "owner": context.user.id,
        "user_code": context.user.user_code,
        "system": "sea",
        "state": NEW,
        "version": 1,
        "items": dict(items),
        "registered_by": code,
        "registered_at": _moment(context),
        "request": context.request,
    }


def own(procedure: Procedure, number: str, not_owner: ResultCode, context: Context) -> dict[str, Any]:
    """The record of that number; E9001 if there is none, ``not_owner`` if it belongs to another 利用者コード."""
    data = context.records.get(procedure.kind, number)
    if data is None:
        raise refuse(ResultCode("E9001", procedure.number), key=number)
    if data["user_code"] != context.user.user_code:
        raise refuse(not_owner, key=number)
    return dict(data)


def declarant(data: Mapping[str, Any]) -> Originator:
    """Who declared, by the request that did."""
    return Originator(data["declarant"], data["declaration_request"])


def _moment(context: Context) -> str:
    return context.now.isoformat(timespec="seconds")


# The start ------------------------------------------------------------------------------------------------------------


def start_event(code: str, start: str, context: Context) -> str:
    """The event a 搬入時・開庁時識別 asks for; the letters are settings. Refuses with the number of "out of range"."""
    events = {
        str(context.business.get("start_at_opening", "K")): AT_OPENING,
        str(context.business.get("start_at_arrival", "I")): AT_ARRIVAL,
        "": PLAIN,
    }
    if start not in events:
        number = layout_of(context, f"{code}.in").results.code_for(Rule.VALUE, "IKS")
        raise refuse(ResultCode(number, "IKS"))
    return events[start]


def not_now(procedure: Procedure, event: str, items: Mapping[str, Any], context: Context) -> list[ResultCode]:
    """Why a declaration cannot start so.

    R0005 for the opening of an open office; E9011 outside hours without OSA; E9015 for an arrival that as many
    declarations wait for as the setting ``waiting_for_cargo`` allows.
    """
    office = procedure.office_of(items, context)
    is_open = not office or context.hours.is_open(office, context.now)
    if event == PLAIN and not is_open and not covered(office, context):
        return [ResultCode("E9011")]
    if event == AT_ARRIVAL:
        most = int(context.business.get("waiting_for_cargo", _WAITING_FOR_CARGO))
        crowded = any(len(awaiting(cargo, context)) >= most for cargo in procedure.cargoes(items))
        return [ResultCode("E9015")] if crowded else []
    return [ResultCode("R0005")] if event == AT_OPENING and is_open else []


def start(
    procedure: Procedure, number: str, data: Mapping[str, Any], event: str, code: str, context: Context
) -> tuple[Output, ...]:
    """Declare: at once, or wait for the opening or the arrival. Keeps the record and gives the outputs."""
    declared = {
        **data,
        "state": procedure.step(data, event),
        "declarant": context.user.id,
        "declaration_request": context.request,
        "declared_by": code,
        "start": event,
        "examination": examination_kept(examination_chosen(procedure, data["items"], code, context)),
    }
    act = _declared if event == PLAIN else wait
    return act(procedure, number, declared, context, SENDER)


def wait(
    procedure: Procedure, number: str, data: Mapping[str, Any], context: Context, to: Sender | Originator
) -> tuple[Output, ...]:
    """Have what waits come due: at the opening, or when the cargo arrives, which may have happened already."""
    if data["state"] == WAITING_FOR_OPENING:
        opens = context.hours.opens_next(procedure.office_of(data["items"], context), context.now)
        context.schedule.cancel(procedure.opening, number)
        context.schedule.at(opens, procedure.opening, number)
        context.records.put(procedure.kind, number, data)
        return ()
    cargoes, place = procedure.cargoes(data["items"]), procedure.place(data["items"])
    if all_arrived(cargoes, place, context):
        return arrived(procedure, number, data, context, to)
    context.records.put(procedure.kind, number, data)
    await_arrival(cargoes, procedure.kind, number, context)
    return ()


def forget_start(procedure: Procedure, number: str, context: Context) -> None:
    """Neither the opening nor customs does anything with it by itself any more."""
    context.schedule.cancel(procedure.opening, number)
    context.schedule.cancel(procedure.decision, number)


def arrived(
    procedure: Procedure, number: str, data: Mapping[str, Any], context: Context, to: Sender | Originator
) -> tuple[Output, ...]:
    """All the cargo is there: declare, or outside hours wait for the opening (procedures 9.1)."""
    forget_arrival(procedure.cargoes(data["items"]), procedure.kind, number, context)
    office = procedure.office_of(data["items"], context)
    is_open = not office or context.hours.is_open(office, context.now)
    event = "arrival in hours" if is_open else "arrival out of hours"
    moved = {**data, "state": procedure.step(data, event)}
    return _declared(procedure, number, moved, context, to) if is_open else wait(procedure, number, moved, context, to)


def opened(procedure: Procedure, number: str, context: Context) -> tuple[Output, ...]:
    """The office has opened: declare what waited for it. Nothing happens to what was taken back meanwhile."""
    data = context.records.get(procedure.kind, number)
    if data is None or data["state"] != WAITING_FOR_OPENING:
        return ()
    moved = {**data, "state": procedure.step(data, "office opens")}
    return _declared(procedure, number, moved, context, declarant(data))


def examination_chosen(procedure: Procedure, items: Mapping[str, Any], code: str, context: Context) -> Examination:
    """The examination that the rules of the settings choose for what ``code`` declares."""
    remarks = " ".join(str(items.get(item, "")) for item in procedure.remarks)
    office, value = procedure.office_of(items, context), procedure.value(items, context)
    return context.examinations.choose(code, office=office, value=value, remarks=remarks)


def examine_anew(
    procedure: Procedure, number: str, data: Mapping[str, Any], code: str, context: Context
) -> tuple[Output, ...]:
    """A changed declaration is examined as ``code`` by the rules for its sender. Keeps it and gives the outputs."""
    chosen = examination_chosen(procedure, data["items"], code, context)
    return _declared(procedure, number, {**data, "examination": examination_kept(chosen)}, context, SENDER)


def _declared(
    procedure: Procedure, number: str, data: Mapping[str, Any], context: Context, to: Sender | Originator
) -> tuple[Output, ...]:
    """What is declared now is approved, or goes into examination."""
    declared = {**data, "declared_at": data.get("declared_at") or _moment(context)}
    event = procedure.shortcut(declared["items"])
    if not event and declared["examination"]["kind"] == "simple":
        event = "simple examination"
    if event:
        return _approved(procedure, number, declared, event, context, to)
    declared["state"] = procedure.step(declared, "document examination")
    context.records.put(procedure.kind, number, declared)
    schedule_decision(procedure, number, examination_of(declared), context)
    return procedure.examination(number, declared, context, to)


# The examination ------------------------------------------------------------------------------------------------------


def examination_kept(chosen: Examination) -> dict[str, Any]:
    """An examination as a record holds it: ``after`` in seconds."""
    return asdict(chosen) | {"after": chosen.after.total_seconds() if chosen.after is not None else None}


def examination_of(data: Mapping[str, Any]) -> Examination:
    """The examination that was chosen when a declaration came."""
    kept = data["examination"]
    after = timedelta(seconds=kept["after"]) if kept["after"] is not None else None
    return Examination(kept["kind"], after, kept["decision"])


def schedule_decision(procedure: Procedure, number: str, chosen: Examination, context: Context) -> None:
    """Have customs decide by itself if the examination says when; what was scheduled before is forgotten."""
    context.schedule.cancel(procedure.decision, number)
    if chosen.kind != "simple" and chosen.after is not None:
        when = context.now + chosen.after
        context.schedule.at(when, procedure.decision, number, {"decision": chosen.decision})


def _approved(
    procedure: Procedure,
    number: str,
    data: Mapping[str, Any],
    event: str,
    context: Context,
    to: Sender | Originator,
) -> tuple[Output, ...]:
    approved = {**data, "state": procedure.step(data, event), "approved_at": _moment(context)}
    context.records.put(procedure.kind, number, approved)
    for cargo in procedure.cargoes(approved["items"]):
        note_approval(cargo, approved["declared_by"], number, context)
    return procedure.approval(number, approved, context, to)


_DECISIONS: Final = {"approve": "approve", "refuse": "refuse", "correct": "want correction"}


def decide(
    procedure: Procedure,
    number: str,
    data: Mapping[str, Any],
    decision: str,
    context: Context,
    *,
    note: str = "",
    condition: str = "",
) -> tuple[Output, ...]:
    """Customs ends the examination: ``decision`` is approve, refuse or correct. Outputs go to the declarant.

    Refuses with E9013 if the state allows no such decision.
    """
    event = _DECISIONS[decision]
    state = procedure.machine.after(data["state"], event)
    if state is None:
        raise refuse(ResultCode("E9013", procedure.number), key=number)
    context.schedule.cancel(procedure.decision, number)
    decided = {**data, "officer_note": note, "condition": condition}
    if decision == "approve":
        return _approved(procedure, number, decided, event, context, declarant(data))
    decided["state"] = state
    context.records.put(procedure.kind, number, decided)
    return procedure.verdict(number, decided, context, declarant(data))
