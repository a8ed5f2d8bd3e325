"""Import declarations: IDA IDB IDC, SWA SWB SWX SWC, MWA MWB MWC, CTA CTB CTC (procedures 4.3, 7, 11).

*Strategy.* Four siblings of one family: each registers (A), is called up (B) and declared (C) by codes of its own, and
a declaration that one registered is declared by the same one's C code only (our choice; E9001 else). What differs is a
:class:`Sibling`; everything else stands in :mod:`sekisho.handlers.declaring`. The item table of all four is IDA's.

SWC names its items otherwise (SIC, SJO), so its refusals are told in those names. Of 総保出 (MWA, MWB, MWC) who is not
let in hears the official U0002. Whether the cargo is known is not asked unless the setting ``import_cargo_known`` is
true: then E9006 (Unspecified: our choice).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.reading import Record
from sekisho.codecs.results import Refusal, ResultCode, Rule
from sekisho.handlers.cargo import find_cargo
from sekisho.handlers.checks import body, exactly_one, stop, together
from sekisho.handlers.declaration_outputs import letter_of, verdict
from sekisho.handlers.declarations import (
    Declaration,
    declaration_events,
    declaration_states,
    declaration_transitions,
    entitled,
    family,
    system_of,
)
from sekisho.handlers.declaring import called_up, declare, draft, keep
from sekisho.handlers.delegation import may_act
from sekisho.handlers.import_outputs import (
    PERMITS,
    SCREENS,
    approval,
    examination,
    input_copy,
    kind_of,
    screen,
    worth,
)
from sekisho.handlers.kit import Context, Originator, Outcome, Output, Sender, handles, refuse
from sekisho.handlers.licences import match_at_declaration, match_at_registration
from sekisho.handlers.states import Machine

__all__ = ["IMPORT", "IMPORT_DECLARATION", "KIND", "Sibling", "cargo_screen", "declares", "let_in"]

KIND: Final = "import-declaration"

IMPORT_DECLARATION: Final = Machine(
    name="import-declaration",
    title=("輸入申告", "import declaration"),
    kind=KIND,
    states=declaration_states(("許可・承認済み", "permitted or approved")),
    events=declaration_events(
        "IDA, SWA, MWA, CTA", "IDB, SWB, SWX, MWB, CTB", "IDC, SWC, MWC, CTC", "IDD, IDA01, IDE"
    ),
    transitions=declaration_transitions(),
    source="procedures 6 and 11 (register, declare and permit official, states between inferred, refusals ours)",
    notes=(
        "Progress of an inquiry: 1 under-examination, correction-wanted; 2 change-registered; 3 changed; 4 approved.",
        "An approval of 蔵入 or 機用品蔵入 and a release before the permit (ＢＰ申請事由) stand as `approved` too.",
    ),
)
"""State and event -> next state; an event that a state does not list is refused there."""


def _bills(items: Mapping[str, Any]) -> list[str]:
    """The Ｂ／Ｌ番号 or ＡＷＢ番号 it names."""
    return [str(number) for number in items.get("BL_", ()) if number]


def _verdict(number: str, data: Mapping[str, Any], context: Context, to: Sender | Originator) -> tuple[Output, ...]:
    return verdict(IMPORT, number, data, context, to)


IMPORT: Final = family(
    Declaration(
        machine=IMPORT_DECLARATION,
        number="ICN",
        office="CH",
        remarks=("NT1", "NT2"),
        place=lambda items: str(items.get("ST", "")),
        shortcut=lambda _: "",
        approval=approval,
        examination=examination,
        verdict=_verdict,
        planned="ICC",
        named=_bills,
        worth=worth,
    )
)
"""Import declarations as one family."""


@dataclass(frozen=True, slots=True)
class Sibling:
    """One way to declare an import: its codes, and what it asks besides.

    ``not_entitled`` is the number of a refusal to who is not let in; ``kinds`` the 申告種別コード it takes (any if
    empty); ``only`` the system it belongs to, if it is one.
    """

    register: str
    declare: str
    not_entitled: str = "U9001"
    kinds: str = ""
    only: str = ""


_PLAIN: Final = Sibling("IDA", "IDC")
_SINGLE_WINDOW: Final = Sibling("SWA", "SWC")
_EX_BOND: Final = Sibling("MWA", "MWC", not_entitled="U0002", kinds="ULBE", only="sea")
_STORES: Final = Sibling("CTA", "CTC", only="air")

_PERMIT_CODES: Final = tuple(f"{first}A{tail}" for first in "SA" for tail in dict.fromkeys(PERMITS.values()))
_SCREEN_CODES: Final = tuple(f"{first}A{tail}" for first in "SA" for tail in dict.fromkeys(SCREENS.values()))


def _own_codes(code: str) -> tuple[str, ...]:
    return f"*S{code}", f"*A{code}", f"SZ{code}", f"AZ{code}"


def declares(code: str) -> tuple[str, ...]:
    """Output codes of a business that declares."""
    return (*_own_codes(code), *_PERMIT_CODES, "SZIDCW", "AZIDCW", "SZINSPI", "AZINSPI", "SZIESET", "AZIESET")


def let_in(number: str, code: str, refusal: str, context: Context) -> None:
    """Refuse with ``refusal`` who is neither registrant nor planned declarant nor delegate of a known declaration."""
    data = context.records.get(KIND, number) if number else None
    if data is not None and not may_act(context, data["user_code"], data["planned"], code):
        raise refuse(ResultCode(refusal), key=number)


# A --------------------------------------------------------------------------------------------------------------------


def _registration(sibling: Sibling) -> Callable[[Record, Callable[[str, str, int], ResultCode]], list[ResultCode]]:
    """Single items: 大額・少額識別 is L or S; 申告種別コード１ is one the business takes."""

    def items(record: Record, code: Callable[[str, str, int], ResultCode]) -> list[ResultCode]:
        found = [] if record.text("LSK") in ("", "L", "S") else [code(Rule.VALUE, "LSK", 0)]
        kind = record.text("IC1")
        wrong = bool(kind and sibling.kinds) and kind not in sibling.kinds
        return [*found, code(Rule.VALUE, "IC1", 0)] if wrong else found

    return items


def _register(sibling: Sibling, message: Message, context: Context) -> Outcome:
    """Keep the draft, issue its number if it is new, answer 入力控. Refuses with R9005; those of ``draft``."""
    record = body(message)
    stop(together(record, ("IP3", "IP4")) if record.text("IP4") else [], key=record.text("ICN"))
    stop([ResultCode("E9005")] if sibling.only not in ("", system_of(message)) else [], key=record.text("ICN"))
    let_in(record.text("ICN"), sibling.register, sibling.not_entitled, context)
    number, data = draft(IMPORT, sibling.register, message, context)
    stop(match_at_registration("ICN", data, context), key=number)
    number = keep(IMPORT, number, data, context)
    return Outcome(key=number, outputs=(input_copy(sibling.register, number, data, context),))


@handles("IDA", outputs=_own_codes("IDA"), items=_registration(_PLAIN))
def register_import(message: Message, context: Context) -> Outcome:
    """IDA: register, or with a number correct what is registered.

    Refuses with S9004; R9005; E9001, U9001, E9005; E9002, E9003, E9004; E9008 (a licence's owner, validity or kind).
    """
    return _register(_PLAIN, message, context)


@handles("SWA", outputs=_own_codes("SWA"), items=_registration(_SINGLE_WINDOW))
def register_single_window(message: Message, context: Context) -> Outcome:
    """SWA: as IDA, to be declared by SWC together with requests to other ministries."""
    return _register(_SINGLE_WINDOW, message, context)


@handles("MWA", outputs=_own_codes("MWA"), items=_registration(_EX_BOND))
def register_ex_bond(message: Message, context: Context) -> Outcome:
    """MWA: as IDA for 総保出 of petroleum; who is not let in hears U0002 (official)."""
    return _register(_EX_BOND, message, context)


@handles("CTA", outputs=_own_codes("CTA"), items=_registration(_STORES))
def register_stores(message: Message, context: Context) -> Outcome:
    """CTA: as IDA, an application for the approval of aircraft stores."""
    return _register(_STORES, message, context)


# B --------------------------------------------------------------------------------------------------------------------


def cargo_screen(number: str, context: Context) -> dict[str, Any]:
    """The items of IDA that the cargo data base can fill. Refuses with E9006."""
    cargo = find_cargo(number, context)
    if cargo is None:
        raise refuse(ResultCode("E9006", "BL_"))
    return {
        "BL_": [number],
        "NO": cargo.get("packages") or "",
        "NOT": cargo.get("package_unit", ""),
        "GW": cargo.get("weight") or "",
        "GWT": cargo.get("weight_unit", ""),
        "VSC": cargo.get("vessel_code", ""),
        "VSN": cargo.get("vessel_name", ""),
        "ARR": cargo.get("arrival_date", ""),
        "ST": cargo.get("place", ""),
        "COC": len(cargo.get("containers", ())) or "",
        "CMN": [cargo.get("description", "")],
    }


def _invoice_screen(number: str, context: Context) -> dict[str, Any]:
    """The items of IDA that an electronic invoice of the registry fills. Refuses with E9001; U9001 for another's."""
    invoice = context.records.get("invoice", number)
    if invoice is None:
        raise refuse(ResultCode("E9001", "IV2"))
    if not may_act(context, str(invoice.get("user_code", "")), "", "IDB"):
        raise refuse(ResultCode("U9001"))
    return {**invoice.get("items", {}), "IV2": number}


@handles("IDB", outputs=("*SIDB", "*AIDB", *_SCREEN_CODES))
def call_up_import(message: Message, context: Context) -> Outcome:
    """IDB: the screen of IDA, from a draft by number, or from cargo or invoice data before there is one.

    The code of the screen says what kind of declaration it is [spec]. Refuses with R9001; E9001, U9001, E9005; E9002,
    E9003, E9004; E9006. Changes nothing.
    """
    record = body(message)
    stop(exactly_one(record, ("ICN", "BL_", "IV2")))
    number = record.text("ICN")
    if number:
        data = called_up(IMPORT, "IDB", number, ("IDA",), message, context)
        values = data["items"]
    else:
        bill = record.text("BL_")
        values = cargo_screen(bill, context) if bill else _invoice_screen(record.text("IV2"), context)
    code = f"{'A' if system_of(message) == 'air' else 'S'}A{SCREENS[kind_of(values, context)]}"
    return Outcome(key=number, outputs=(screen(code, "IDA.in", {**values, "ICN": number}, context),))


def _call_up(sibling: Sibling, code: str, message: Message, context: Context) -> Outcome:
    number = body(message).text("ICN")
    let_in(number, code, sibling.not_entitled, context)
    data = called_up(IMPORT, code, number, (sibling.register,), message, context)
    return Outcome(key=number, outputs=(screen(f"{letter_of(data)}Z{code}", "IDA.in", data["items"], context),))


@handles("SWB", outputs=_own_codes("SWB"))
def call_up_single_window(message: Message, context: Context) -> Outcome:
    """SWB: what SWA registered, as its screen. Refuses as IDB; changes nothing."""
    return _call_up(_SINGLE_WINDOW, "SWB", message, context)


@handles("SWX", outputs=_own_codes("SWX"))
def call_up_with_requests(message: Message, context: Context) -> Outcome:
    """SWX: what SWA registered, in whatever state it is, to look at declaration and requests.

    Refuses with E9001, U9001, E9005; changes nothing.
    """
    number = body(message).text("ICN")
    data = entitled(IMPORT, number, "SWX", ("SWA",), message, context)
    return Outcome(key=number, outputs=(screen(f"{letter_of(data)}ZSWX", "IDA.in", data["items"], context),))


@handles("MWB", outputs=_own_codes("MWB"))
def call_up_ex_bond(message: Message, context: Context) -> Outcome:
    """MWB: what MWA registered, as its screen. Refuses as IDB, with U0002 for U9001; changes nothing."""
    return _call_up(_EX_BOND, "MWB", message, context)


@handles("CTB", outputs=_own_codes("CTB"))
def call_up_stores(message: Message, context: Context) -> Outcome:
    """CTB: what CTA registered, as its screen. Refuses as IDB; changes nothing."""
    return _call_up(_STORES, "CTB", message, context)


# C --------------------------------------------------------------------------------------------------------------------


def _against(data: Mapping[str, Any], context: Context) -> list[ResultCode]:
    """What stands against a declaration besides its state: no line of goods, cargo nobody knows."""
    items = data["items"]
    found = [] if any(items.get("CMD", ())) or any(items.get("CMN", ())) else [ResultCode("R9003")]
    if context.business.get("import_cargo_known", False):
        bills = _bills(items)
        found += [ResultCode("E9006")] if any(find_cargo(bill, context) is None for bill in bills) else []
    return found


def _declare(sibling: Sibling, number: str, condition: str, message: Message, context: Context, **more: str) -> Outcome:
    let_in(number, sibling.declare, sibling.not_entitled, context)
    data = entitled(IMPORT, number, sibling.declare, (sibling.register,), message, context)
    requested = {**data, "items": {**data["items"], **{name: text for name, text in more.items() if text}}}
    against = [*_against(data, context), *match_at_declaration("ICN", number, data, context)]
    number, outputs = declare(IMPORT, sibling.declare, number, requested, condition, context, more=against)
    return Outcome(key=number, outputs=outputs)


@handles("IDC", outputs=declares("IDC"))
def declare_import(message: Message, context: Context) -> Outcome:
    """IDC: declare what IDA registered: now, at the opening or at the arrival (申告条件).

    Refuses with E9001, U9001, E9005; S9004; E9002, E9003, E9004; E9006, E9007, E9008 (突合), E9011,
    E9015, R0005, R9003.
    """
    record = body(message)
    return _declare(_PLAIN, record.text("ICN"), record.text("JYO"), message, context)


@handles("MWC", outputs=declares("MWC"))
def declare_ex_bond(message: Message, context: Context) -> Outcome:
    """MWC: declare what MWA registered. Refuses as IDC, with U0002 for U9001."""
    record = body(message)
    return _declare(_EX_BOND, record.text("ICN"), record.text("JYO"), message, context)


@handles("CTC", outputs=declares("CTC"))
def declare_stores(message: Message, context: Context) -> Outcome:
    """CTC: apply for what CTA registered. Refuses as IDC."""
    record = body(message)
    return _declare(_STORES, record.text("ICN"), record.text("JYO"), message, context)


_OF_SWC: Final = {"ICN": "SIC", "JYO": "SJO"}


@handles("SWC", outputs=declares("SWC"))
def declare_single_window(message: Message, context: Context) -> Outcome:
    """SWC: declare what SWA registered; the numbers of requests to other ministries are kept and printed.

    Refuses as IDC, in the names of its own items (SIC, SJO).
    """
    record = body(message)
    requests = {name: record.text(name) for name in ("SFN", "SPN", "SLN")}
    try:
        return _declare(_SINGLE_WINDOW, record.text("SIC"), record.text("SJO"), message, context, **requests)
    except Refusal as refusal:
        results = [replace(one, item=_OF_SWC.get(one.item, one.item)) for one in refusal.results]
        raise refuse(*results, key=refusal.key) from None
