"""What import and export declarations have in common: their state table, whose they are, how they are found.

*Strategy.* A declaration is an examined procedure (:mod:`sekisho.handlers.examined`) that is registered first, belongs
to a 申告予定者 and may be changed before the permit. A :class:`Declaration` is one definition object of what differs.
Its state table is built of :func:`declaration_states`, :func:`declaration_events` and :func:`declaration_transitions`
plus what a family adds; what business codes do with it stands in :mod:`sekisho.handlers.declaring`.

All families draw from one series of numbers, so that a 申告等番号 names one declaration (:func:`find_declaration`).
Besides what an examined record holds there are ``planned`` (申告予定者), ``review`` (:mod:`sekisho.handlers.review`),
``declared_as`` (申告条件) and, while a change is on its way, ``pending`` (the items it will have).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode
from sekisho.handlers.delegation import may_act
from sekisho.handlers.examined import (
    APPROVED,
    CORRECTION_WANTED,
    EXAMINED_STATES,
    EXAMINED_TRANSITIONS,
    REFUSED,
    REGISTERED,
    UNDER_EXAMINATION,
    WAITING_FOR_ARRIVAL,
    WAITING_FOR_OPENING,
    Procedure,
    decide,
    examined_events,
    items_of,
    opened,
)
from sekisho.handlers.kit import Context, Outcome, Output, refuse, step
from sekisho.handlers.states import NEW, Event

__all__ = [
    "CHANGED",
    "CHANGE_REGISTERED",
    "CUSTOMS_DECIDES",
    "FAMILIES",
    "NUMBERS",
    "CustomsDecides",
    "Declaration",
    "against",
    "declaration_events",
    "declaration_states",
    "declaration_transitions",
    "entitled",
    "family",
    "find_declaration",
    "merged",
    "next_state",
    "progress",
    "standing",
    "system_of",
]

NUMBERS: Final = "declaration"
"""The series that every 申告等番号 comes from."""

CHANGE_REGISTERED: Final = "change-registered"
CHANGED: Final = "changed"


# The state table ------------------------------------------------------------------------------------------------------


def declaration_states(permitted: tuple[str, str]) -> dict[str, tuple[str, str]]:
    """The states of every declaration; ``permitted`` names the permit in Japanese and English."""
    return {
        REGISTERED: ("事項登録済み", "registered"),
        **EXAMINED_STATES,
        REFUSED: ("不許可", "refused"),
        APPROVED: permitted,
        CHANGE_REGISTERED: ("変更事項登録済み", "change registered"),
        CHANGED: ("変更済み・審査中", "changed, under examination"),
    }


def declaration_events(register_by: str, call_up_by: str, declare_by: str, change_by: str) -> dict[str, Event]:
    """The events of every declaration; the arguments say which business codes they come from."""
    return {
        "register": Event("事項登録", "registered", register_by),
        "register again": Event("事項再登録", "registered again", f"{register_by} with the number"),
        "call up": Event("事項呼出し", "called up", call_up_by),
        "review": Event("通関士審査", "reviewed", "CCA, CCB"),
        **examined_events(declare_by, "IESET"),
        "call up for change": Event("変更呼出し", "called up for a change", change_by),
        "register change": Event("変更事項登録", "change registered", change_by),
        "change": Event("変更", "changed", change_by),
    }


def declaration_transitions() -> dict[tuple[str, str], str]:
    """What may follow what in every declaration."""
    open_to_change = (UNDER_EXAMINATION, CORRECTION_WANTED, CHANGED)
    return {
        (NEW, "register"): REGISTERED,
        (REGISTERED, "register again"): REGISTERED,
        (REGISTERED, "call up"): REGISTERED,
        (REGISTERED, "review"): REGISTERED,
        **EXAMINED_TRANSITIONS,
        **{(state, "call up for change"): state for state in (*open_to_change, CHANGE_REGISTERED)},
        **{(state, "register change"): CHANGE_REGISTERED for state in (*open_to_change, CHANGE_REGISTERED)},
        (CHANGE_REGISTERED, "change"): CHANGED,
        (CHANGED, "simple examination"): APPROVED,
        (CHANGED, "document examination"): CHANGED,
        (CHANGED, "approve"): APPROVED,
        (CHANGED, "refuse"): REFUSED,
        (CHANGED, "want correction"): CORRECTION_WANTED,
    }


_PROGRESS: Final = {
    UNDER_EXAMINATION: "1",
    CORRECTION_WANTED: "1",
    CHANGE_REGISTERED: "2",
    CHANGED: "3",
    APPROVED: "4",
    "permit-change-registered": "5",
    "permit-change-applied": "6",
    "permit-changed": "7",
}


def progress(data: Mapping[str, Any]) -> str:
    """The official progress number 1 to 7 of a record (procedures 6); blank before the declaration and once refused."""
    return _PROGRESS.get(data["state"], "")


CustomsDecides = Callable[[str, Mapping[str, Any], str, Context, str, str], tuple[Output, ...]]
"""Customs decides: number, record, decision (approve, refuse, correct), context, 記事 and 条件; gives the outputs."""


# The definition -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Declaration(Procedure):
    """What is different in one family of declarations.

    ``planned`` is the short name of 申告予定者, ``named`` gives the cargo a declaration names, ``worth`` its declared
    value in yen, and ``decided`` what customs' decision does in this family (default: it ends the examination).
    """

    planned: str
    named: Callable[[Mapping[str, Any]], list[str]]
    worth: Callable[[Mapping[str, Any], Context], int]
    decided: CustomsDecides | None = None

    def cargoes(self, items: Mapping[str, Any]) -> list[str]:
        """The cargo it names."""
        return self.named(items)

    def value(self, items: Mapping[str, Any], context: Context) -> int:
        """The declared value in yen."""
        return self.worth(items, context)


FAMILIES: Final[dict[str, Declaration]] = {}
"""Every family of declarations by the kind of its records, to be listed by anybody."""
CUSTOMS_DECIDES: Final[dict[str, CustomsDecides]] = {}
"""What customs' decision (IESET) does with a record, by its kind: all families, and who else registers here."""


def family(definition: Declaration) -> Declaration:
    """Make a family known: its numbers are found, and its two steps run. Raises ValueError if its kind has one."""
    if definition.kind in FAMILIES:
        raise ValueError(f"two families of declarations keep {definition.kind}")
    FAMILIES[definition.kind] = definition

    def decides(
        number: str, data: Mapping[str, Any], decision: str, context: Context, note: str, condition: str
    ) -> tuple[Output, ...]:
        return decide(definition, number, data, decision, context, note=note, condition=condition)

    CUSTOMS_DECIDES[definition.kind] = definition.decided or decides

    @step(definition.opening)
    def open_(key: str, data: Mapping[str, Any], context: Context) -> Outcome:
        del data
        return Outcome(key=key, outputs=opened(definition, key, context))

    @step(definition.decision)
    def decide_(key: str, data: Mapping[str, Any], context: Context) -> Outcome:
        found = context.records.get(definition.kind, key)
        if found is None:
            return Outcome(key=key)
        return Outcome(key=key, outputs=CUSTOMS_DECIDES[definition.kind](key, found, data["decision"], context, "", ""))

    return definition


def find_declaration(number: str, context: Context) -> tuple[Declaration, dict[str, Any]] | None:
    """The declaration of a 申告等番号, whatever its family; None if there is none."""
    for kind, definition in FAMILIES.items():
        data = context.records.get(kind, number) if number else None
        if data is not None:
            return definition, dict(data)
    return None


# Whose it is and how it stands ----------------------------------------------------------------------------------------


def system_of(message: Message) -> str:
    """``air`` or ``sea``, by システム識別."""
    return "air" if message.header.system == "1" else "sea"


def standing(state: str) -> str:
    """``not declared``, ``declared``, ``permitted`` or ``void``: what official lists tell apart."""
    if state == REFUSED:
        return "void"
    if state == APPROVED or state.startswith("permit"):
        return "permitted"
    return "not declared" if state in (REGISTERED, WAITING_FOR_OPENING, WAITING_FOR_ARRIVAL) else "declared"


def against(state: str) -> str:
    """The number that says why a declaration in ``state`` is not open to what was asked (procedures 2.1)."""
    if state == REGISTERED:
        return "E9013"
    return {"void": "E9003", "permitted": "E9004"}.get(standing(state), "E9002")


def entitled(
    definition: Declaration, number: str, code: str, registered_by: Collection[str], message: Message, context: Context
) -> dict[str, Any]:
    """The record of that number, for business ``code`` of its registrant, planned declarant or delegate.

    Refuses with E9001 (none, or not registered by one of ``registered_by``), U9001, E9005 (sea/air differs).
    """
    data = context.records.get(definition.kind, number)
    if data is None or data["registered_by"] not in registered_by:
        raise refuse(ResultCode("E9001", definition.number), key=number)
    if not may_act(context, data["user_code"], data["planned"], code):
        raise refuse(ResultCode("U9001"), key=number)
    if data["system"] != system_of(message):
        raise refuse(ResultCode("E9005", definition.number), key=number)
    return dict(data)


def next_state(definition: Declaration, number: str, data: Mapping[str, Any], event: str) -> str:
    """The state that ``event`` leads to. Refuses with E9002, E9003, E9004 or E9013 where it is not allowed."""
    state = definition.machine.after(data["state"], event)
    if state is None:
        raise refuse(ResultCode(against(data["state"]), definition.number), key=number)
    return state


# Items ----------------------------------------------------------------------------------------------------------------


def merged(record: Record, kept: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """The items of a draft after a correction: the number and the changed items are sent [spec].

    A blank item stays as it was; one filled row has all rows of its block replaced. The setting
    ``correction = "replace"`` (default ``merge``) takes everything as sent instead.
    """
    sent = items_of(record)
    if context.business.get("correction", "merge") == "replace":
        return sent
    changed = {item.group for item in record.layout.items if item.repeat > 1 and any(sent[item.id])}
    return {
        **kept,
        **{
            item.id: sent[item.id]
            for item in record.layout.items
            if (item.group in changed if item.repeat > 1 else sent[item.id])
        },
    }
