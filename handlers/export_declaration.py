"""Export declarations (輸出申告) and those of unaccompanied goods (別送品): EDA EDB EDC, EDA01 EDD EDE, UEA UEB UEC.

*Strategy.* One family on the engine of declarations (:mod:`sekisho.handlers.declaring`): a business code is one call of
it and its output. The two kinds of goods share numbers, tables and states and differ in the codes that may touch them:
what UEA registered only UEB and UEC know. 大額 and 少額 are one item of the draft, switched by registering again.

A change before the permit is EDA01 and EDE (names and order inferred from the import side); a permit is changed by
:mod:`sekisho.handlers.export_permits`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode, Rule
from sekisho.handlers.checks import body, exactly_one, stop
from sekisho.handlers.declaration_outputs import verdict
from sekisho.handlers.declarations import Declaration, entitled, family, system_of
from sekisho.handlers.declaring import apply_change, called_up, changeable, declare, draft, keep, register_change
from sekisho.handlers.delegation import may_act
from sekisho.handlers.examined import REGISTERED, decide
from sekisho.handlers.export_outputs import (
    cargo_named,
    copy,
    examination_copies,
    fob_value,
    permit_set,
    screen,
    screen_code,
)
from sekisho.handlers.export_permits import decide_permit_change, permit_change_waits
from sekisho.handlers.export_states import EXPORT_DECLARATION
from sekisho.handlers.kit import Context, Originator, Outcome, Output, Sender, handles, refuse
from sekisho.handlers.licences import match_at_declaration, match_at_registration

__all__ = ["EXPORT"]

_INVOICE: Final = "export-invoice"
_DRAFTS: Final = 20
"""Drafts remembered of one registrant and invoice, the latest, so that no list grows without end (our choice)."""
_OFFICIAL: Final = {"not declared": "E0003", "permitted": "E0004", "void": "E0005"}
"""EDD's own numbers [spec]."""


def _customs_decides(
    number: str, data: Mapping[str, Any], decision: str, context: Context, note: str, condition: str
) -> tuple[Output, ...]:
    """Of a change of the permit if one was applied for, else of the declaration."""
    if permit_change_waits(data):
        return decide_permit_change(EXPORT, number, data, decision, context, note, condition)
    return decide(EXPORT, number, data, decision, context, note=note, condition=condition)


def _copies(number: str, data: Mapping[str, Any], context: Context, to: Sender | Originator) -> tuple[Output, ...]:
    code = "ZUEC" if data["registered_by"] == "UEA" else "ZEDC"
    return examination_copies(EXPORT, code, number, data, context, to)


EXPORT: Final[Declaration] = family(
    Declaration(
        machine=EXPORT_DECLARATION,
        number="ECN",
        office="CH",
        remarks=("NT1", "NT2", "NT3"),
        place=lambda items: str(items.get("ST", "")),
        shortcut=lambda _: "",
        approval=lambda number, data, context, to: permit_set(EXPORT, number, data, context, to),
        examination=_copies,
        verdict=lambda number, data, context, to: verdict(EXPORT, number, data, context, to),
        planned="ICC",
        named=cargo_named,
        worth=fob_value,
        decided=_customs_decides,
    )
)
"""What is particular of export declarations."""

_DECLARED: Final = ("SAE1LF3", "AAE1LF3", "SZEDCG", "AZEDCG", "SZEDCIN", "AZEDCIN")


# EDA, UEA -------------------------------------------------------------------------------------------------------------


def _items(record: Record, code: Callable[[str, str, int], ResultCode]) -> list[ResultCode]:
    """大額・少額識別 is blank, L or S (letters as in 情報呼出識別)."""
    return [] if record.text("LSK") in ("", "L", "S") else [code(Rule.VALUE, "LSK", 0)]


def _register(code: str, message: Message, context: Context) -> Outcome:
    number, data = draft(EXPORT, code, message, context)
    stop(match_at_registration("ECN", data, context), key=number)
    number = keep(EXPORT, number, data, context)
    _note_invoice(str(data["items"].get("IV2", "")), data["user_code"], number, context)
    return Outcome(key=number, outputs=(copy(EXPORT, f"Z{code}", "C", number, data, context),))


@handles("EDA", outputs=["*SEDA", "*AEDA", "SZEDA", "AZEDA"], items=_items)
def register_export(message: Message, context: Context) -> Outcome:
    """EDA: register and issue the number, or with the number correct; answers the input copy.

    大額 and 少額 may be switched so. Refuses with S9004; E9001, U9001, E9005; E9002, E9003, E9004 once it is declared;
    E9008 (a licence's owner, validity or kind).
    """
    return _register("EDA", message, context)


@handles("UEA", outputs=["*SUEA", "*AUEA", "SZUEA", "AZUEA"], items=_items)
def register_unaccompanied(message: Message, context: Context) -> Outcome:
    """UEA: as EDA, for goods sent separately."""
    return _register("UEA", message, context)


# EDB, UEB -------------------------------------------------------------------------------------------------------------


@handles(
    "EDB",
    outputs=["*SEDB", "*AEDB", *(f"{letter}AE40{n}1" for letter in "SA" for n in (0, 1, 4, 5))],
)
def call_up_export(message: Message, context: Context) -> Outcome:
    """EDB: the screen of EDA by number, or by the 電子インボイス受付番号 of exactly one draft. Changes nothing.

    Refuses with R9001; E9001, U9001, E9005; E9002, E9003, E9004 once it is declared.
    """
    record = body(message)
    stop(exactly_one(record, ("ECN", "IV2")))
    number = record.text("ECN") or _of_invoice(record.text("IV2"), message, context)
    data = called_up(EXPORT, "EDB", number, ("EDA",), message, context)
    return Outcome(key=number, outputs=(screen(screen_code(data["items"]), number, data, context),))


def _note_invoice(invoice: str, registrant: str, number: str, context: Context) -> None:
    """Remember a registrant's latest drafts of an invoice under its number, so that a call-up reads no others."""
    if invoice:
        known = dict(context.records.get(_INVOICE, invoice) or {})
        drafts = [one for one in known.get(registrant, ()) if one != number]
        context.records.put(_INVOICE, invoice, {**known, registrant: [*drafts, number][-_DRAFTS:]})


def _of_invoice(invoice: str, message: Message, context: Context) -> str:
    """The one draft with that invoice number that the sender may call up; E9001 if there is none, or more than one."""
    system = system_of(message)
    found = []
    drafts = (context.records.get(_INVOICE, invoice) or {}).values()
    for number in (number for numbers in drafts for number in numbers):
        data = context.records.get(EXPORT.kind, number)
        if data is None or data["items"].get("IV2") != invoice or data["registered_by"] != "EDA":
            continue
        mine = may_act(context, data["user_code"], data["planned"], "EDB")
        if mine and data["system"] == system and data["state"] == REGISTERED:
            found.append(number)
    if len(found) != 1:
        raise refuse(ResultCode("E9001", "IV2"))
    return str(found[0])


@handles("UEB", outputs=["*SUEB", "*AUEB", "SZUEB", "AZUEB"])
def call_up_unaccompanied(message: Message, context: Context) -> Outcome:
    """UEB: the screen of UEA by number. Refuses as EDB; changes nothing."""
    number = body(message).text("ECN")
    data = called_up(EXPORT, "UEB", number, ("UEA",), message, context)
    return Outcome(key=number, outputs=(screen("ZUEB", number, data, context),))


# EDC, UEC -------------------------------------------------------------------------------------------------------------


def _declare(code: str, registered_by: str, message: Message, context: Context) -> Outcome:
    record = body(message)
    number = record.text("ECN")
    data = entitled(EXPORT, number, code, (registered_by,), message, context)
    matched = match_at_declaration("ECN", number, data, context)
    number, outputs = declare(EXPORT, code, number, data, record.text("JYO"), context, more=matched)
    return Outcome(key=number, outputs=outputs)


@handles("EDC", outputs=["*SEDC", "*AEDC", "SZEDC", "AZEDC", *_DECLARED])
def declare_export(message: Message, context: Context) -> Outcome:
    """EDC: declare what EDA registered; 簡易審査 answers the permit, 書類審査 and 検査 the copy.

    Refuses with E9001, U9001, E9005; S9004 (申告条件); E9002, E9003, E9004; E9007 (review), E9008 (突合), R0005,
    E9011, E9015, E9006.
    """
    return _declare("EDC", "EDA", message, context)


@handles("UEC", outputs=["*SUEC", "*AUEC", "SZUEC", "AZUEC", *_DECLARED])
def declare_unaccompanied(message: Message, context: Context) -> Outcome:
    """UEC: declare what UEA registered; as EDC."""
    return _declare("UEC", "UEA", message, context)


# EDD, EDA01, EDE ------------------------------------------------------------------------------------------------------


def _call_values(record: Record, code: Callable[[str, str, int], ResultCode]) -> list[ResultCode]:
    """情報呼出識別 is blank, L or S [spec]."""
    return [] if record.text("JYY") in ("", "L", "S") else [code(Rule.VALUE, "JYY", 0)]


@handles("EDD", outputs=["*SEDD", "*AEDD", "SZEDD", "AZEDD"], items=_call_values)
def call_up_change(message: Message, context: Context) -> Outcome:
    """EDD: the screen of a declared export, with the change that is registered, as 大額 (L), 少額 (S) or as it is.

    Refuses with S0004; E9001, U9001, E9005; E0003 (not declared), E0004 (permitted), E0005 (void). Changes nothing.
    """
    record = body(message)
    number = record.text("ECN")
    data, _ = changeable(EXPORT, number, "call up for change", message, context, official=_OFFICIAL)
    items = {**(data.get("pending") or data["items"])}
    if record.text("JYY"):
        items["LSK"] = record.text("JYY")
    return Outcome(key=number, outputs=(screen("ZEDD", number, {**data, "items": items}, context),))


@handles("EDA01", outputs=["*SEDA01", "*AEDA01", "SZEDA01", "AZEDA01"], items=_items)
def register_export_change(message: Message, context: Context) -> Outcome:
    """EDA01: register the changed items of a declared export; answers the copy as it will be. Progress number 2.

    Refuses with R9007 (no number); S9004; E9001, U9001, E9005; E9002, E9003, E9004, E9013.
    """
    stop([] if body(message).text("ECN") else [ResultCode("R9007", "ECN")])
    number, data = register_change(EXPORT, message, context)
    changed = {**data, "items": data["pending"]}
    return Outcome(key=number, outputs=(copy(EXPORT, "ZEDA01", "C", number, changed, context),))


@handles("EDE", outputs=["*SEDE", "*AEDE", "SZEDC", "AZEDC", "SZUEC", "AZUEC", *_DECLARED])
def declare_change(message: Message, context: Context) -> Outcome:
    """EDE: declare the registered change; the declaration is examined anew. Progress number 3 until the permit.

    Refuses with E9001, U9001, E9005; E9002 (no change is registered), E9003, E9004, E9013.
    """
    number = body(message).text("ECN")
    return Outcome(key=number, outputs=apply_change(EXPORT, "EDE", number, message, context))
