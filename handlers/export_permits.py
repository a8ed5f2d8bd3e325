"""Change of an export permit (輸出許可内容変更申請): EPCHA, EPCHB, EPCHC, procedures 7.

*Strategy.* The change is registered beside the permit (``amendment``: ``items``, ``from`` with the state it goes back
to, and once applied for ``user``, ``request`` and ``reason``), applied for, examined, and made true or dropped. Who
may: the 当初申告者, who declared, and the 許可後訂正可能者 of his UKT list. The permit stands until the approval.

The steps are official, their business codes are not known: these are ours, of five letters, which no official code has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode, Rule
from sekisho.handlers.checks import body, stop
from sekisho.handlers.declaration_outputs import verdict
from sekisho.handlers.declarations import FAMILIES, Declaration, merged, next_state, system_of
from sekisho.handlers.delegation import may_amend_permit
from sekisho.handlers.examined import examination_chosen, schedule_decision
from sekisho.handlers.export_outputs import copy, examination_copies, goods_information, screen
from sekisho.handlers.export_states import (
    EXPORT_DECLARATION,
    PERMIT_CHANGE_APPLIED,
)
from sekisho.handlers.kit import SENDER, Context, Originator, Outcome, Output, Sender, handles, refuse

__all__ = ["decide_permit_change", "permit_change_waits"]

_FORMS: Final = ("SZEPCHC", "AZEPCHC", "SZEDCG", "AZEDCG")


def permit_change_waits(data: Mapping[str, Any]) -> bool:
    """Whether a change of the permit waits for customs."""
    return bool(data["state"] == PERMIT_CHANGE_APPLIED)


def _permit(number: str, event: str, message: Message, context: Context) -> tuple[Declaration, dict[str, Any], str]:
    """The family, the record of a permit and the state that ``event`` leads to.

    Refuses with E9001, U9001, E9005; E9002, E9003, E9013.
    """
    definition = FAMILIES[EXPORT_DECLARATION.kind]
    data = context.records.get(definition.kind, number)
    if data is None:
        raise refuse(ResultCode("E9001", "ECN"), key=number)
    declarant = str(data.get("declarant") or data["owner"])[:5]
    if not may_amend_permit(context, declarant):
        raise refuse(ResultCode("U9001"), key=number)
    if data["system"] != system_of(message):
        raise refuse(ResultCode("E9005", "ECN"), key=number)
    if definition.machine.after(data["state"], event) is None and not data.get("approved_at"):
        raise refuse(ResultCode("E9003" if data["state"] == "refused" else "E9013", "ECN"), key=number)
    return definition, dict(data), next_state(definition, number, data, event)


@handles("EPCHB", outputs=["*SEPCHB", "*AEPCHB", "SZEPCHB", "AZEPCHB"])
def call_up_permit(message: Message, context: Context) -> Outcome:
    """EPCHB: the screen of EPCHA: the permit, or the change of it that is registered. Changes nothing.

    Refuses with E9001, U9001, E9005; E9003 (void), E9013 (not permitted), E9004 (a change is with customs).
    """
    number = body(message).text("ECN")
    _, data, _ = _permit(number, "call up permit", message, context)
    return Outcome(key=number, outputs=(screen("ZEPCHB", number, _as_amended(data), context),))


def _as_amended(data: Mapping[str, Any]) -> dict[str, Any]:
    amendment = data.get("amendment")
    return {**data, "items": amendment["items"]} if amendment else dict(data)


def _items(record: Record, code: Callable[[str, str, int], ResultCode]) -> list[ResultCode]:
    """大額・少額識別 is blank, L or S."""
    return [] if record.text("LSK") in ("", "L", "S") else [code(Rule.VALUE, "LSK", 0)]


@handles("EPCHA", outputs=["*SEPCHA", "*AEPCHA", "SZEPCHA", "AZEPCHA"], items=_items)
def register_permit_change(message: Message, context: Context) -> Outcome:
    """EPCHA: register the changed items of a permit; answers the copy as it will be. Progress number 5.

    Refuses with S9004; R9007 (no number); else as EPCHB.
    """
    record = body(message)
    number = record.text("ECN")
    stop([] if number else [ResultCode("R9007", "ECN")])
    definition, data, state = _permit(number, "register permit change", message, context)
    former = data.get("amendment")
    items = {**merged(record, former["items"] if former else data["items"], context), "ECN": number}
    came_from = former["from"] if former else data["state"]
    kept = {**data, "state": state, "amendment": {"items": items, "from": came_from}}
    context.records.put(definition.kind, number, kept)
    return Outcome(key=number, outputs=(copy(definition, "ZEPCHA", "C", number, _as_amended(kept), context),))


@handles("EPCHC", outputs=["*SEPCHC", "*AEPCHC", "SZEDC", "AZEDC", "SZEDCIN", "AZEDCIN", *_FORMS])
def apply_permit_change(message: Message, context: Context) -> Outcome:
    """EPCHC: apply for the registered change; 簡易審査 approves at once, else customs decides (IESET). Progress 6, 7.

    Refuses as EPCHB; E9004 also if no change is registered.
    """
    number = body(message).text("ECN")
    definition, data, state = _permit(number, "apply permit change", message, context)
    amendment = {
        **data["amendment"],
        "user": context.user.id,
        "request": context.request,
        "reason": body(message).text("RSC"),
    }
    applied = {**data, "state": state, "amendment": amendment}
    chosen = examination_chosen(definition, amendment["items"], "EPCHC", context)
    if chosen.kind == "simple":
        return Outcome(key=number, outputs=_approved(definition, number, applied, context, SENDER))
    context.records.put(definition.kind, number, applied)
    schedule_decision(definition, number, chosen, context)
    copies = examination_copies(definition, "ZEDC", number, _as_amended(applied), context, SENDER)
    return Outcome(key=number, outputs=copies)


def _approved(
    definition: Declaration, number: str, data: Mapping[str, Any], context: Context, to: Sender | Originator
) -> tuple[Output, ...]:
    """The change is true: 変更承認通知 for who applied, 許可貨物情報 for the warehouse."""
    changed = {
        **data,
        "state": next_state(definition, number, data, "approve permit change"),
        "items": data["amendment"]["items"],
        "amendment": None,
        "version": data["version"] + 1,
        "amended_at": context.now.isoformat(timespec="seconds"),
    }
    context.records.put(definition.kind, number, changed)
    permit = copy(definition, "ZEPCHC", "P", number, changed, context, to, table="permit-export")
    return (permit, *goods_information(definition, number, changed, context))


def decide_permit_change(
    definition: Declaration,
    number: str,
    data: Mapping[str, Any],
    decision: str,
    context: Context,
    note: str,
    condition: str,
) -> tuple[Output, ...]:
    """Customs decides about a change that was applied for: approve, refuse (the permit stands as it was), correct."""
    context.schedule.cancel(definition.decision, number)
    amendment = data["amendment"]
    to = Originator(amendment["user"], amendment["request"])
    noted = {**data, "officer_note": note, "condition": condition}
    if decision == "approve":
        return _approved(definition, number, noted, context, to)
    if decision == "correct":
        state, left = next_state(definition, number, data, "want permit correction"), amendment
    else:
        state, left = next_state(definition, number, data, f"back to {amendment['from']}"), None
    decided = {**noted, "state": state, "amendment": left}
    context.records.put(definition.kind, number, decided)
    return verdict(definition, number, decided, context, to, decision)
