"""Ship-side and lighter handling (本船・ふ中扱い): HFD, HFA, HFA01, HFC, HFC20, HFE20, IHF (procedures 10).

*Strategy.* The second definition of an examined procedure (:mod:`sekisho.handlers.examined`): its records are of kind
``ship-side``, keyed by 本船・ふ中扱い承認申請番号. HFA registers, HFA01 corrects, HFC20 applies with the draft, HFC in
one shot; 簡易審査 answers 承認申請情報 (SZHFC), 書類審査 入力控情報 (SZHFA) [spec].

Ours, for official text has no more than titles: HFE20 changes or withdraws an application; what was approved before is
examined anew. Customs ends an examination by HFSET, a code of ours with five letters, which no official code has.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode, Rule, result_block
from sekisho.handlers.arrivals import forget_arrival
from sekisho.handlers.bonded_outputs import unknown_cargo
from sekisho.handlers.cargo import find_cargo, withdraw_approval
from sekisho.handlers.checks import body, exactly_one, not_before, not_twice, stop
from sekisho.handlers.customs import DECISIONS, customs_only, decision_values
from sekisho.handlers.delegation import may_act
from sekisho.handlers.examined import (
    APPROVED,
    REGISTERED,
    WAITING_FOR_ARRIVAL,
    WAITING_FOR_OPENING,
    Procedure,
    decide,
    declarant,
    examination_kept,
    forget_start,
    items_of,
    new_record,
    not_now,
    opened,
    own,
    schedule_decision,
    start,
    start_event,
    wait,
)
from sekisho.handlers.filling import filled
from sekisho.handlers.kit import SENDER, Context, Originator, Outcome, Output, Sender, handles, layout_of, refuse, step
from sekisho.handlers.ship_side_states import ENDED, SHIP_SIDE_HANDLING, state_digit

__all__ = [
    "SHIP_SIDE",
    "apply",
    "apply_registered",
    "call_up",
    "change_application",
    "correct",
    "end_examination",
    "inquire",
    "register",
]

CORRECTION: Final = "5"
WITHDRAWAL: Final = "1"
_WAITING: Final = (WAITING_FOR_OPENING, WAITING_FOR_ARRIVAL)
_NOT_OWNER: Final = ResultCode("U9003", "HFN")
_STARTED: Final = ("SZHFA", "SZHFC")


# Outputs --------------------------------------------------------------------------------------------------------------


def _known(number: str, data: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Everything known of an application, by short item name; blank goods are filled from the cargo data base."""
    items: Mapping[str, Any] = data["items"]
    office = SHIP_SIDE.office_of(items, context)
    return _with_goods(items, context) | {
        "HFN": number,
        "STS": state_digit(data["state"]),
        "REG": _day(data["registered_at"]),
        "RGC": data["user_code"],
        "APD": _day(data.get("approved_at", "")) if data["state"] == APPROVED else "",
        "CHN": context.hours.office_name(office).upper() if office else "",
    }


def _day(moment: str) -> str:
    return moment[:10].replace("-", "")


_GOODS: Final = {
    "CM_": "description",
    "PC_": "packages",
    "PU_": "package_unit",
    "GW_": "weight",
    "WU_": "weight_unit",
}


def _with_goods(items: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """The items with what the cargo data base says where a row says nothing itself."""
    out = dict(items)
    rows = [find_cargo(str(cargo), context) or {} for cargo in items.get("CG_", ())]
    for item, name in _GOODS.items():
        sent = list(items.get(item, ()))
        sent += [""] * (len(rows) - len(sent))
        out[item] = [mine or row.get(name) or "" for mine, row in zip(sent, rows, strict=False)]
    return out


def _output(code: str, kind: str, values: Mapping[str, Any], context: Context, to: Sender | Originator) -> Output:
    return Output(code, kind, filled(layout_of(context, f"{code}.out"), values), to)


def _input_copy(
    number: str, data: Mapping[str, Any], context: Context, to: Sender | Originator = SENDER
) -> tuple[Output, ...]:
    """入力控情報: what stands, to the applicant (kind C)."""
    return (_output("SZHFA", "C", _known(number, data, context), context, to),)


def _approval(number: str, data: Mapping[str, Any], context: Context, to: Sender | Originator) -> tuple[Output, ...]:
    """承認申請情報: the approved application, to the applicant (kind P)."""
    return (_output("SZHFC", "P", _known(number, data, context), context, to),)


def _verdict(number: str, data: Mapping[str, Any], context: Context, to: Sender | Originator) -> tuple[Output, ...]:
    """Refused or correction wanted, with the officer's note (kind P)."""
    values = _known(number, data, context) | {
        "RES": "R" if data["state"] in ENDED else "C",
        "DTM": f"{context.now:%Y%m%d}",
        "TIM": f"{context.now:%H%M}",
        "JKN": data.get("condition", ""),
        "NT1": data.get("officer_note", ""),
    }
    return (_output("SZHFSET", "P", values, context, to),)


SHIP_SIDE: Final = Procedure(
    machine=SHIP_SIDE_HANDLING,
    number="HFN",
    office="CH",
    remarks=("RSN", "NT1"),
    place=lambda items: str(items.get("PLC") or ""),
    shortcut=lambda items: "",  # noqa: ARG005 - nothing is approved without an examination
    approval=_approval,
    examination=_input_copy,
    verdict=_verdict,
)
"""本船・ふ中扱い as an examined procedure; its cargo is expected at 停泊場所."""


# What a message may hold ----------------------------------------------------------------------------------------------


def _values(record: Record, code: Callable[[str, str, int], ResultCode]) -> list[ResultCode]:
    """輸出入識別 is I or E, 本船・ふ中扱い識別 H or F."""
    lists = {"IEI": "IE", "HFK": "HF"}
    return [code(Rule.VALUE, item, 0) for item, known in lists.items() if record.text(item) not in ("", *known)]


def _change_values(record: Record, code: Callable[[str, str, int], ResultCode]) -> list[ResultCode]:
    """処理区分 is 5 or 1; a change holds what an application cannot be without."""
    action = record.text("KND")
    if action != CORRECTION:
        return [code(Rule.VALUE, "KND", 0)] if action not in ("", WITHDRAWAL) else []
    missing = [code(Rule.MISSING, item, 0) for item in ("IEI", "HFK", "VSC") if not record.text(item)]
    if not any(record.texts("CG_")):
        missing.append(code(Rule.MISSING, "CG_", 1))
    return [*missing, *_values(record, code)]


def _not_for_withdrawal(record: Record) -> Collection[str]:
    """A withdrawal is asked for number and reason only."""
    return record.layout.places.keys() - {"KND", "HFN", "RSC"} if record.text("KND") == WITHDRAWAL else ()


def _relations(record: Record) -> list[ResultCode]:
    return [*not_before(record, "ARR", "DEP"), *not_before(record, "SDT", "EDT"), *not_twice(record, "CG_")]


def _items(record: Record) -> dict[str, Any]:
    """What was sent of the application itself."""
    return {item: value for item, value in items_of(record).items() if item not in ("KND", "HFN", "IKS", "RSC")}


def _unknown(items: Mapping[str, Any], item: str, context: Context) -> list[ResultCode]:
    """E9006 by row, or once without an item where the message has no rows: import cargo has to be known."""
    if items.get("IEI") != "I":
        return []
    found = unknown_cargo(list(items["CG_"]), context, "E9006", "CG_")
    return found if item else [ResultCode("E9006")] * bool(found)


def _against(state: str) -> ResultCode:
    """Why what is in this state is no draft: E9003 ended, E9004 approved, E9002 applied for."""
    return ResultCode("E9003" if state in ENDED else "E9004" if state == APPROVED else "E9002", "HFN")


def _stands(data: Mapping[str, Any], event: str, number: str, against: ResultCode | None = None) -> str:
    """The state that ``event`` leads to, or the refusal."""
    state = SHIP_SIDE_HANDLING.after(data["state"], event)
    if state is None:
        raise refuse(against or _against(data["state"]), key=number)
    return state


# Draft ----------------------------------------------------------------------------------------------------------------


@handles("HFD", outputs=["*SHFD", "SZHFD"])
def call_up(message: Message, context: Context) -> Outcome:
    """HFD: the screen of an application from the cargo data base, or by number from what is registered.

    Refuses with R9001, R9004; E9006 by row; E9001, U9003, E9002, E9003, E9004. Changes nothing.
    """
    record = body(message)
    stop([*exactly_one(record, ("HFN", "CG_")), *not_twice(record, "CG_")])
    number = record.text("HFN")
    if number:
        data = own(SHIP_SIDE, number, _NOT_OWNER, context)
        _stands(data, "call up", number)
        values = {**data["items"], "HFN": number}
    else:
        numbers = record.texts("CG_")
        stop(unknown_cargo(numbers, context, "E9006", "CG_"))
        values = _from_cargo(numbers, context)
    return Outcome(key=number, outputs=(_output("SZHFD", "C", values, context, SENDER),))


def _from_cargo(numbers: list[str], context: Context) -> dict[str, Any]:
    """What the cargo data base can fill: goods by row; vessel, arrival and direction if all cargo agrees."""
    rows = [find_cargo(number, context) or {} for number in numbers if number]

    def common(name: str) -> str:
        found = {str(row.get(name) or "") for row in rows}
        return found.pop() if len(found) == 1 else ""

    return _with_goods({"CG_": numbers}, context) | {
        "IEI": common("direction"),
        "VSC": common("vessel_code"),
        "VSN": common("vessel_name"),
        "ARR": common("arrival_date"),
    }


@handles("HFA", outputs=["*SHFA", "SZHFA"], items=_values)
def register(message: Message, context: Context) -> Outcome:
    """HFA: register an application and issue its number. Refuses with S9004; R9002, R9004."""
    record = body(message)
    stop(_relations(record))
    number = context.numbers.next(SHIP_SIDE.kind)
    data = new_record("HFA", _items(record), context)
    data["state"] = SHIP_SIDE.step(data, "register")
    context.records.put(SHIP_SIDE.kind, number, data)
    return Outcome(key=number, outputs=_input_copy(number, data, context))


@handles("HFA01", outputs=["*SHFA01", "SZHFA"], items=_values)
def correct(message: Message, context: Context) -> Outcome:
    """HFA01: replace the draft by what is sent. Refuses with S9004; R9002, R9004; E9001, U9003, E9002, E9003, E9004."""
    record = body(message)
    number = record.text("HFN")
    stop(_relations(record), key=number)
    data = own(SHIP_SIDE, number, _NOT_OWNER, context)
    data["state"] = _stands(data, "correct", number)
    data |= {"items": _items(record), "version": data["version"] + 1, "request": context.request}
    context.records.put(SHIP_SIDE.kind, number, data)
    return Outcome(key=number, outputs=_input_copy(number, data, context))


# Application ----------------------------------------------------------------------------------------------------------


@handles("HFC20", outputs=["*SHFC20", *_STARTED])
def apply_registered(message: Message, context: Context) -> Outcome:
    """HFC20: apply with the draft, now or with one of the later starts.

    Refuses with S9004 for the start kind; E9001, U9003, E9002, E9003, E9004; E9006, R0005, E9011, E9015.
    """
    record = body(message)
    number = record.text("HFN")
    event = start_event("HFC20", record.text("IKS"), context)
    data = own(SHIP_SIDE, number, _NOT_OWNER, context)
    _stands(data, event, number)
    items = data["items"]
    stop([*_unknown(items, "", context), *not_now(SHIP_SIDE, event, items, context)], key=number)
    return Outcome(key=number, outputs=start(SHIP_SIDE, number, data, event, "HFC20", context))


@handles("HFC", outputs=["*SHFC", *_STARTED], items=_values)
def apply(message: Message, context: Context) -> Outcome:
    """HFC: apply in one shot and issue the number.

    Refuses with S9004; R9002, R9004; E9006 by row, R0005, E9011, E9015.
    """
    record = body(message)
    event = start_event("HFC", record.text("IKS"), context)
    stop(_relations(record))
    items = _items(record)
    stop([*_unknown(items, "CG_", context), *not_now(SHIP_SIDE, event, items, context)])
    number = context.numbers.next(SHIP_SIDE.kind)
    data = new_record("HFC", items, context)
    return Outcome(key=number, outputs=start(SHIP_SIDE, number, data, event, "HFC", context))


@handles("HFE20", outputs=["*SHFE20", "SZHFA"], items=_change_values, ignores=_not_for_withdrawal)
def change_application(message: Message, context: Context) -> Outcome:
    """HFE20: 5 changes an application, 1 withdraws it; both answer the input copy.

    Refuses with S9001, S9004; R9002, R9004; E9001, U9003, E9003, E9013 (not applied for yet); E9006 by row.
    """
    record = body(message)
    number, changes = record.text("HFN"), record.text("KND") == CORRECTION
    stop(_relations(record) if changes else [], key=number)
    data = own(SHIP_SIDE, number, _NOT_OWNER, context)
    against = ResultCode("E9013", "HFN") if data["state"] == REGISTERED else None
    state = _stands(data, "change" if changes else "withdraw", number, against)
    stop(_unknown(_items(record), "CG_", context) if changes else [], key=number)
    forget_arrival(SHIP_SIDE.cargoes(data["items"]), SHIP_SIDE.kind, number, context)
    if data["state"] == APPROVED:
        for cargo in SHIP_SIDE.cargoes(data["items"]):
            withdraw_approval(cargo, data["declared_by"], number, context)
    if not changes:
        forget_start(SHIP_SIDE, number, context)
        data["state"] = state
        context.records.put(SHIP_SIDE.kind, number, data)
        return Outcome(key=number, outputs=_input_copy(number, data, context))
    data |= {"state": state, "items": _items(record), "version": data["version"] + 1, "reason": record.text("RSC")}
    return Outcome(key=number, outputs=_changed(number, data, context))


def _changed(number: str, data: dict[str, Any], context: Context) -> tuple[Output, ...]:
    """What waits goes on waiting for what it names now; anything else is examined anew, by the rules for HFE20."""
    copy = _input_copy(number, data, context)
    if data["state"] in _WAITING:
        return copy + wait(SHIP_SIDE, number, data, context, declarant(data))
    items = data["items"]
    remarks = " ".join(str(items.get(item, "")) for item in SHIP_SIDE.remarks)
    chosen = context.examinations.choose("HFE20", office=SHIP_SIDE.office_of(items, context), remarks=remarks)
    context.records.put(SHIP_SIDE.kind, number, {**data, "examination": examination_kept(chosen)})
    schedule_decision(SHIP_SIDE, number, chosen, context)
    return copy


@step(SHIP_SIDE.opening)
def _open(key: str, data: Mapping[str, Any], context: Context) -> Outcome:
    """The office has opened: what waited for it is applied for."""
    del data
    return Outcome(key=key, outputs=opened(SHIP_SIDE, key, context))


# Customs --------------------------------------------------------------------------------------------------------------


@handles("HFSET", outputs=["*SHFSET", "SZHFC", "SZHFSET"], items=decision_values)
def end_examination(message: Message, context: Context) -> Outcome:
    """HFSET: customs approves (A), refuses (R) or wants a correction (C). Refuses with U9001; E9001, E9003, E9013."""
    customs_only(context)
    record = body(message)
    number = record.text("HFN")
    data = context.records.get(SHIP_SIDE.kind, number)
    if data is None:
        raise refuse(ResultCode("E9001", "HFN"), key=number)
    if data["state"] in ENDED:
        raise refuse(ResultCode("E9003", "HFN"), key=number)
    decision = DECISIONS[record.text("RES")]
    outputs = decide(SHIP_SIDE, number, data, decision, context, note=record.text("NT1"), condition=record.text("JKN"))
    return Outcome(key=number, outputs=outputs)


@step(SHIP_SIDE.decision)
def _decide(key: str, data: Mapping[str, Any], context: Context) -> Outcome:
    """Customs decides by itself, as the rule of examination says."""
    record = context.records.get(SHIP_SIDE.kind, key)
    if record is None:
        return Outcome(key=key)
    return Outcome(key=key, outputs=decide(SHIP_SIDE, key, record, str(data["decision"]), context))


@handles("IHF", outputs=["SZIHF"])
def inquire(message: Message, context: Context) -> Outcome:
    """IHF: what stands of an application, for its 利用者コード and its delegates. Refuses with E9001, U9001."""
    number = body(message).text("HFN")
    data = context.records.get(SHIP_SIDE.kind, number)
    if data is None:
        raise refuse(ResultCode("E9001", "HFN"), key=number)
    if not may_act(context, data["user_code"], "", "IHF"):
        raise refuse(ResultCode("U9001", "HFN"), key=number)
    values = _known(number, data, context) | {"RES": result_block(())}
    return Outcome(key=number, outputs=(_output("SZIHF", "M", values, context, SENDER),), notice=False)
