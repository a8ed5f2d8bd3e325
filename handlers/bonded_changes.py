"""Changes of a bonded transport, and customs' decision: SOT11, SOT, SET (procedures 9.1, 9.4, 9.5).

*Strategy.* A change never acts by itself: SOT puts what is asked for beside the record (``pending``: ``action``,
``items``, ``reason``, ``from`` with the state it came from, ``user``, ``request``) and SET makes it true or drops it,
whatever the first examination was [spec]. SET ends the examination of a declaration by the same message; which of the
two it is says the state. A rule of examination for SOT may let customs decide by itself.

What customs grants goes to whoever asked (EXZ) and to the departure place (EXC), as after any approval.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode
from sekisho.handlers.bonded_checks import (
    CANCELLATION,
    CORRECTION,
    EXTENSION,
    NEW_ENTRY,
    change_values,
    not_for_change,
    transport_relations,
)
from sekisho.handlers.bonded_outputs import approval_set, call_up, change_copy, unknown_cargo, verdict
from sekisho.handlers.bonded_states import BONDED_TRANSPORT, CHANGE_PENDING
from sekisho.handlers.bonded_transport import BONDED, ended
from sekisho.handlers.cargo import note_approval, withdraw_approval
from sekisho.handlers.checks import body, not_twice, numbered, stop
from sekisho.handlers.customs import DECISIONS, customs_only, decision_values
from sekisho.handlers.examined import UNDER_EXAMINATION, decide, examination_of, own, schedule_decision
from sekisho.handlers.kit import Context, Originator, Outcome, Output, handles, refuse, step

__all__ = ["ask_for_change", "call_up_for_change", "end_examination"]

_ROWS: Final = ("CG_", "DD_", "RM_", "NT_")
"""Items of a cargo row."""
_MOST_ROWS: Final = 5
_GRANTED: Final = {
    CORRECTION: "approve change",
    CANCELLATION: "approve cancellation",
    EXTENSION: "approve extension",
}


def _changeable(number: str, event: str, context: Context) -> tuple[dict[str, Any], str]:
    """The record and the state that ``event`` leads to. Refuses with E9001, U9003, E9003; E9013 elsewhere."""
    data = own(BONDED, number, ResultCode("U9003", "OLT"), context)
    state = BONDED_TRANSPORT.after(data["state"], event)
    if state is None:
        raise refuse(ResultCode("E9003" if ended(data["state"]) else "E9013", "OLT"), key=number)
    return data, state


@handles("SOT11", outputs=["*SSOT11", "SZSOT11"])
def call_up_for_change(message: Message, context: Context) -> Outcome:
    """SOT11: the screen of SOT, filled from what is declared or approved. Changes nothing.

    Refuses with E9001, U9003, E9003, E9013.
    """
    number = body(message).text("OLT")
    data, _ = _changeable(number, "call up for change", context)
    marks = [CORRECTION if cargo else "" for cargo in data["items"].get("CG_", ())]
    values = {**data["items"], "KND": CORRECTION, "OLT": number, "TK_": marks}
    return Outcome(key=number, outputs=(call_up("SZSOT11", "SOT.in", values, context),))


# SOT ------------------------------------------------------------------------------------------------------------------


@handles("SOT", outputs=["*SSOT", "SZSOT"], items=change_values, ignores=not_for_change)
def ask_for_change(message: Message, context: Context) -> Outcome:
    """SOT: 5 corrects, 1 cancels, E extends the period; it is pending until SET.

    A correction's items replace those of the transport, its rows are added (9), corrected (5) or deleted (1) by their
    cargo number; rows without 訂正区分 and containers that are not sent stay. Refuses with R9001, R9002, R9004, R9005,
    R9007; E9001, U9003, E9003, E9013; by row E9001, E9002, E9006; R9003, E9010.
    """
    record = body(message)
    action, number = record.text("KND"), record.text("OLT")
    stop([*transport_relations(record), *not_twice(record, "CG_")] if action == CORRECTION else [], key=number)
    data, state = _changeable(number, "ask for change", context)
    items = _changed(record, action, number, data, context)
    remarks = " ".join((record.text("RSN"), str(items.get("NTA", ""))))
    chosen = context.examinations.choose("SOT", office=BONDED.office_of(items, context), remarks=remarks)
    data["pending"] = {
        "action": action,
        "items": items,
        "reason": record.text("RSN"),
        "from": data["state"],
        "user": context.user.id,
        "request": context.request,
    }
    data["state"] = state
    context.records.put(BONDED.kind, number, data)
    schedule_decision(BONDED, number, chosen, context)
    return Outcome(key=number, outputs=(change_copy(number, data, items, context),))


def _changed(record: Record, action: str, number: str, data: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """The items as they will be, or the refusal of what cannot be."""
    items = dict(data["items"])
    if action == EXTENSION:
        end, former = record.text("EDT"), str(items.get("EDT", ""))
        stop([ResultCode("R9002", "EDT")] if end <= max(former, str(items.get("SDT", ""))) else [], key=number)
        return items | {"EDT": end}
    if action == CANCELLATION:
        return items
    for item in record.layout.items:
        if item.repeat == 1 and item.id not in ("KND", "OLT", "RSN"):
            items[item.id] = record.text(item.id)
    containers = [text for text in record.texts("CNO") if text]
    return items | _rows(record, number, items, context) | ({"CNO": containers} if containers else {})


def _rows(record: Record, number: str, items: Mapping[str, Any], context: Context) -> dict[str, list[str]]:
    """The cargo rows after 訂正区分 9, 5 and 1 of each."""
    kept = {cargo: {item: _cell(items, item, at) for item in _ROWS} for at, cargo in enumerate(items["CG_"]) if cargo}
    marks = record.texts("TK_")
    found = []
    for row, cargo in numbered(record, "CG_"):
        mark = marks[row - 1]
        if mark == NEW_ENTRY and cargo in kept:
            found.append(ResultCode("E9002", "CG_", row))
        elif mark in (CORRECTION, CANCELLATION) and cargo not in kept:
            found.append(ResultCode("E9001", "CG_", row))
        elif mark == CANCELLATION:
            del kept[cargo]
        elif mark:
            kept[cargo] = {item: record.text(item, row) for item in _ROWS}
            found += [ResultCode("E9006", "CG_", row)] if unknown_cargo([cargo], context, "E9006", "CG_") else []
    found += [ResultCode("R9003", "CG_")] if not kept else []
    found += [ResultCode("E9010", "CG_")] if len(kept) > _MOST_ROWS else []
    stop(found, key=number)
    return {item: [row[item] for row in kept.values()] for item in _ROWS}


def _cell(items: Mapping[str, Any], item: str, at: int) -> str:
    rows = items.get(item, ())
    return str(rows[at]) if at < len(rows) else ""


# SET ------------------------------------------------------------------------------------------------------------------


@handles(
    "SET",
    outputs=["*SSET", "SAS0371", "SAS0381", "SAS0411", "SAS0421", "SAS0431", "SAS0441", "SZSET"],
    items=decision_values,
)
def end_examination(message: Message, context: Context) -> Outcome:
    """SET: customs approves (A), refuses (R) or wants a correction (C) of a declaration or of a change of one.

    Refuses with U9001 whoever is not customs; E9001, E9003, E9013.
    """
    customs_only(context)
    record = body(message)
    number, decision = record.text("OLT"), DECISIONS[record.text("RES")]
    data = context.records.get(BONDED.kind, number)
    if data is None:
        raise refuse(ResultCode("E9001", "OLT"), key=number)
    if ended(data["state"]):
        raise refuse(ResultCode("E9003", "OLT"), key=number)
    outputs = _end(number, data, decision, context, note=record.text("NT1"), condition=record.text("JKN"))
    return Outcome(key=number, outputs=outputs)


@step(BONDED.decision)
def _decide(key: str, data: Mapping[str, Any], context: Context) -> Outcome:
    """Customs decides by itself, as the rule of examination says."""
    record = context.records.get(BONDED.kind, key)
    if record is None:
        return Outcome(key=key)
    return Outcome(key=key, outputs=_end(key, record, str(data["decision"]), context))


def _end(
    number: str, data: Mapping[str, Any], decision: str, context: Context, *, note: str = "", condition: str = ""
) -> tuple[Output, ...]:
    if data["state"] != CHANGE_PENDING:
        return decide(BONDED, number, data, decision, context, note=note, condition=condition)
    context.schedule.cancel(BONDED.decision, number)
    settled = {name: value for name, value in data.items() if name != "pending"}
    settled |= {"officer_note": note, "condition": condition}
    pending = data["pending"]
    to = Originator(pending["user"], pending["request"])
    if decision == "approve":
        return _grant(number, settled, pending, data, to, context)
    settled["state"] = BONDED.step(data, f"back to {pending['from']}")
    context.records.put(BONDED.kind, number, settled)
    if settled["state"] == UNDER_EXAMINATION:
        schedule_decision(BONDED, number, examination_of(settled), context)
    return verdict(number, settled, context, to, pending["action"])


def _grant(
    number: str,
    settled: dict[str, Any],
    pending: Mapping[str, Any],
    data: Mapping[str, Any],
    to: Originator,
    context: Context,
) -> tuple[Output, ...]:
    """Make the change true: a cancellation withdraws the approval, anything else approves what stands now."""
    event = _GRANTED[pending["action"]]
    settled |= {"state": BONDED.step(data, event), "items": pending["items"]}
    for cargo in BONDED.cargoes(data["items"]):
        withdraw_approval(cargo, data["declared_by"], number, context)
    if pending["action"] == CANCELLATION:
        context.records.put(BONDED.kind, number, settled)
        return verdict(number, settled, context, to, CANCELLATION)
    settled |= {"approved_at": context.now.isoformat(timespec="seconds"), "version": settled["version"] + 1}
    context.records.put(BONDED.kind, number, settled)
    for cargo in BONDED.cargoes(settled["items"]):
        note_approval(cargo, settled["declared_by"], number, context)
    return approval_set(number, settled, context, to)
