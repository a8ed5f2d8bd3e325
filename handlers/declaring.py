"""What business codes do with a declaration: register, call up, declare, change, decide (procedures 6, 7, 11).

*Strategy.* Every function takes the family's definition and the business code, asks the state table before it acts, and
leaves outputs of its own to the caller; those of a start and of a decision come from the definition. A number is drawn
after the last check, so that a refusal costs none.

Corrections come as the number and the changed items [spec]. A change before the permit is registered first
(変更事項登録), kept beside the record as ``pending``, and declared by a second message; customs examines it anew.
While a change is registered customs decides nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.results import ResultCode, Rule
from sekisho.handlers.checks import body, stop
from sekisho.handlers.customs import DECISIONS, customs_only, decision_values
from sekisho.handlers.declarations import (
    CUSTOMS_DECIDES,
    NUMBERS,
    Declaration,
    entitled,
    merged,
    next_state,
    standing,
    system_of,
)
from sekisho.handlers.examined import (
    AT_ARRIVAL,
    AT_OPENING,
    PLAIN,
    examine_anew,
    forget_start,
    items_of,
    new_record,
    not_now,
    start,
)
from sekisho.handlers.kit import Context, Outcome, Output, handles, layout_of, refuse
from sekisho.handlers.review import review_gate

__all__ = [
    "apply_change",
    "called_up",
    "changeable",
    "declare",
    "draft",
    "end_examination",
    "keep",
    "register_change",
    "start_letters",
]

_STARTS: Final[Mapping[str, str]] = MappingProxyType(
    {"": PLAIN, "H": PLAIN, "K": AT_OPENING, "I": AT_ARRIVAL, "Z": AT_ARRIVAL, "U": AT_ARRIVAL, "S": AT_ARRIVAL}
)
"""申告条件: I and K official, the others seen in air entry screens (procedures 9.1)."""
_START_NAMES: Final = {"now": PLAIN, "opening": AT_OPENING, "arrival": AT_ARRIVAL}


# A, B -----------------------------------------------------------------------------------------------------------------


def draft(definition: Declaration, code: str, message: Message, context: Context) -> tuple[str, dict[str, Any]]:
    """A: the number (blank of a new one) and the record as this message makes it, not kept yet.

    A correction counts the version up, which undoes the review. Only the registrant changes 申告予定者: nobody takes
    over what he was let to correct (our choice). Refuses with E9001, U9001, E9005; E9002, E9003, E9004; U9001 at ICC.
    """
    record = body(message)
    number = record.text(definition.number)
    if not number:
        data = new_record(code, items_of(record), context) | {"system": system_of(message), "review": None}
        data["state"] = definition.step(data, "register")
    else:
        data = entitled(definition, number, code, (code,), message, context)
        data["state"] = next_state(definition, number, data, "register again")
        data |= {"items": merged(record, data["items"], context), "version": data["version"] + 1}
        data["request"] = context.request
    planned = str(data["items"].get(definition.planned, ""))
    if number and planned != data["planned"] and context.user.user_code != data["user_code"]:
        raise refuse(ResultCode("U9001", definition.planned), key=number)
    return number, data | {"planned": planned}


def keep(definition: Declaration, number: str, data: Mapping[str, Any], context: Context) -> str:
    """Keep a record under its number, a new one if it has none; gives the number."""
    number = number or context.numbers.next(NUMBERS)
    items = {**data["items"], definition.number: number}
    context.records.put(definition.kind, number, {**data, "items": items})
    return number


def called_up(
    definition: Declaration, code: str, number: str, registered_by: Collection[str], message: Message, context: Context
) -> dict[str, Any]:
    """B: a draft for its screen. Refuses with E9001, U9001, E9005; E9002, E9003, E9004. Changes nothing."""
    data = entitled(definition, number, code, registered_by, message, context)
    next_state(definition, number, data, "call up")
    return data


# C --------------------------------------------------------------------------------------------------------------------


def start_letters(context: Context) -> Mapping[str, str]:
    """申告条件 and the start each asks for; the setting ``declaration_starts`` adds to it (now, opening, arrival)."""
    own = context.business.get("declaration_starts", {})
    return {**_STARTS, **{str(letter): _START_NAMES[name] for letter, name in own.items()}}


def declare(
    definition: Declaration,
    code: str,
    number: str,
    data: Mapping[str, Any],
    condition: str,
    context: Context,
    *,
    reviewed: bool = True,
    more: Iterable[ResultCode] = (),
) -> tuple[str, tuple[Output, ...]]:
    """C: declare a record the sender was let to (:func:`entitled`, or a new one under a blank number) by its 申告条件.

    ``reviewed`` says whether the review gate stands before it, ``more`` what else the caller has found against it.
    Gives number and outputs. Refuses with S9004 (condition); E9002, E9003, E9004; then together E9007 (review), R0005,
    E9011, E9015 (start), E9006 (an arrival, but no cargo is named) and ``more``.
    """
    letters = start_letters(context)
    if condition not in letters:
        results = layout_of(context, f"{code}.in").results
        raise refuse(ResultCode(results.code_for(Rule.VALUE, "JYO"), "JYO"), key=number)
    event, items = letters[condition], data["items"]
    next_state(definition, number, data, event)
    found = review_gate(data, definition.office_of(items, context), context) if reviewed else []
    found += [*not_now(definition, event, items, context), *more]
    if event == AT_ARRIVAL and not definition.cargoes(items):
        found.append(ResultCode("E9006"))
    stop(found, key=number)
    number = number or context.numbers.next(NUMBERS)
    declared = {**data, "items": {**items, definition.number: number}, "declared_as": condition}
    return number, start(definition, number, declared, event, code, context)


# Changes before the permit --------------------------------------------------------------------------------------------


def changeable(
    definition: Declaration,
    number: str,
    event: str,
    message: Message,
    context: Context,
    *,
    not_entitled: str = "U9001",
    official: Mapping[str, str] = MappingProxyType({}),
) -> tuple[dict[str, Any], str]:
    """The record and the state that a change's ``event`` leads to.

    Registrant, 申告予定者 and who declared may change: the change's codes are not among the delegated ones.
    Refuses with E9001, U9001 (or ``not_entitled``), E9005; E9002, E9003, E9004, E9013 (or ``official``, the business's
    own number by :func:`~sekisho.handlers.declarations.standing`).
    """
    data = context.records.get(definition.kind, number)
    if data is None:
        raise refuse(ResultCode("E9001", definition.number), key=number)
    own = {data["user_code"], data["planned"], str(data.get("declarant", ""))[:5]} - {""}
    if context.user.user_code not in own:
        raise refuse(ResultCode(not_entitled), key=number)
    if data["system"] != system_of(message):
        raise refuse(ResultCode("E9005", definition.number), key=number)
    stands = standing(data["state"])
    if stands in official and definition.machine.after(data["state"], event) is None:
        raise refuse(ResultCode(official[stands]), key=number)
    return dict(data), next_state(definition, number, data, event)


def register_change(
    definition: Declaration, message: Message, context: Context, event: str = "register change"
) -> tuple[str, dict[str, Any]]:
    """変更事項登録: keep the items as they will be as the record's ``pending``. Gives number and record.

    What is sent again replaces what was registered before. Refuses as :func:`changeable`.
    """
    record = body(message)
    number = record.text(definition.number)
    data, state = changeable(definition, number, event, message, context)
    forget_start(definition, number, context)
    pending = merged(record, data.get("pending") or data["items"], context)
    kept = {**data, "state": state, "pending": {**pending, definition.number: number}}
    context.records.put(definition.kind, number, kept)
    return number, kept


def apply_change(
    definition: Declaration,
    code: str,
    number: str,
    message: Message,
    context: Context,
    more: Iterable[ResultCode] = (),
) -> tuple[Output, ...]:
    """変更: declare the registered change; customs examines the declaration anew. Gives the outputs.

    Refuses as :func:`changeable` and with the caller's ``more``.
    """
    data, state = changeable(definition, number, "change", message, context)
    stop(more, key=number)
    changed = {**data, "state": state, "items": data["pending"], "pending": None, "version": data["version"] + 1}
    return examine_anew(definition, number, changed, code, context)


# The decision ---------------------------------------------------------------------------------------------------------


@handles("IESET", outputs=["*SIESET", "*AIESET"], items=decision_values)
def end_examination(message: Message, context: Context) -> Outcome:
    """IESET (a code of ours): customs ends the examination of an import or export declaration, as SET of transports.

    A approves, R refuses, C wants a correction; what follows goes to the declarant (EXZ) and the others concerned.
    Refuses with U9001 (not customs); S9004; E9001, E9013.
    """
    customs_only(context)
    record = body(message)
    number = record.text("ICN")
    for kind, decides in CUSTOMS_DECIDES.items():
        data = context.records.get(kind, number)
        if data is not None:
            decision = DECISIONS[record.text("RES")]
            outputs = decides(number, data, decision, context, record.text("NT1"), record.text("JKN"))
            return Outcome(key=number, outputs=outputs)
    raise refuse(ResultCode("E9001", "ICN"), key=number)
