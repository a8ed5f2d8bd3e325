"""House air waybills of import cargo: HCH01 and HDM01 register them, CHA corrects them (procedures 4.7).

*Strategy.* A house waybill is a cargo: its number is the 貨物管理番号 under which declarations, warehouses and
inquiries find it. One message names a master waybill and up to 20 house waybills; the whole message counts or nothing
of it. HCH01 and HDM01 have the same table and the same effect; which one came is kept. Unspecified: our choice: a
correction takes what is filled and leaves what is blank, and only the 利用者コード that registered may correct.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode, Rule
from sekisho.handlers.air_cargo_states import AIR_CARGO, state_of
from sekisho.handlers.cargo import CARGO, find_cargo
from sekisho.handlers.checks import body, not_twice, numbered, stop, unnamed_rows
from sekisho.handlers.kit import Context, Outcome, handles

__all__ = ["correct_waybills", "named_by", "quantity", "register_waybills"]

_REGISTERED_BY: Final = ("HCH01", "HDM01")

_MASTER: Final = {
    "MAB": "master_bill",
    "IKG": "consolidator",
    "MKS": "sub_consolidation",
    "APT": "port",
    "ORG": "origin",
    "JNT": "joint",
    "CH": "office",
}
"""Items of the message's head and the cargo fields they fill."""
_ROW: Final = {
    "CMN": "description",
    "GWT": "weight_unit",
    "SPC": "special",
    "DES": "destination",
    "HST": "planned_place",
    "KSH": "accounted",
    "KKS": "house_consolidator",
    "TRC": "correction_reason",
}
_PARTIES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "CZ": {"name": "SHN", "address": "SHA", "phone": "SHT"},
        "CN": {"id": "CNC", "name": "CNN", "address": "CNL", "phone": "CNT"},
    }
)
"""荷送人 and 荷受人 by their party qualifiers, as manifests keep them."""


def quantity(record: Record, item: str, row: int) -> int | float | None:
    """A number of a row as cargo records hold it; None if it is blank."""
    value = record.value(item, row)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value if isinstance(value, int) else None


def named_by(key: str) -> Callable[[Record, Callable[[str, str, int], ResultCode]], list[ResultCode]]:
    """The single-item check of a list of cargo: a row that holds something holds its number."""

    def check(record: Record, code: Callable[[str, str, int], ResultCode]) -> list[ResultCode]:
        return [code(Rule.MISSING, key, row) for row in unnamed_rows(record, key)]

    return check


def _fields(record: Record, row: int) -> dict[str, Any]:
    """What a message says of one waybill; what it leaves blank is left out."""
    has = record.layout
    found: dict[str, Any] = {name: record.text(item) for item, name in _MASTER.items() if item in has}
    found |= {name: record.text(item, row) for item, name in _ROW.items() if item in has}
    found["flight"] = " ".join(text for text in (record.text("AF1"), record.text("AF2")) if text)
    found |= {"packages": quantity(record, "NO", row), "weight": quantity(record, "GW", row)}
    parties = {
        who: {name: text for name, item in items.items() if (text := record.text(item, row))}
        for who, items in _PARTIES.items()
    }
    found["parties"] = {who: named for who, named in parties.items() if named}
    return {name: value for name, value in found.items() if value not in ("", None, {})}


def _rows(record: Record) -> list[tuple[int, str]]:
    """The waybills of a message. Refuses with R9003, R9004."""
    rows = numbered(record, "HAB")
    stop([*([] if rows else [ResultCode("R9003", "HAB")]), *not_twice(record, "HAB")])
    return rows


@handles("HDM01", outputs=["*AHDM01"], items=named_by("HAB"))
@handles("HCH01", outputs=["*AHCH01"], items=named_by("HAB"))
def register_waybills(message: Message, context: Context) -> Outcome:
    """HCH01, HDM01: register house waybills as import cargo.

    Refuses with R9003, R9004; by row E9002 for a number that is registered already.
    """
    record = body(message)
    rows = _rows(record)
    states = {number: AIR_CARGO.after(state_of(find_cargo(number, context)), "register waybill") for _, number in rows}
    stop(ResultCode("E9002", "HAB", row) for row, number in rows if states[number] is None)
    for row, number in rows:
        entry = {
            "owner": context.user.id,
            "user_code": context.user.user_code,
            "business_code": message.header.business_code,
            "registered_at": context.now.isoformat(timespec="seconds"),
            "request": context.request,
            "version": 1,
            "direction": "I",
            "state": states[number],
        }
        context.records.put(CARGO, number, {**_fields(record, row), **entry})
    return Outcome()


@handles("CHA", outputs=["*ACHA"], items=named_by("HAB"))
def correct_waybills(message: Message, context: Context) -> Outcome:
    """CHA: correct house waybills; what is filled takes the place of what was there, in the head for every row.

    Refuses with R9003, R9004; by row E9001 for what HCH01 or HDM01 have not registered, U9003, E9013.
    """
    record = body(message)
    rows = _rows(record)
    stop(found for row, number in rows for found in _against_correction(number, row, context))
    for row, number in rows:
        data = find_cargo(number, context) or {}
        fields = _fields(record, row)
        parties = {**data.get("parties", {})}
        for who, named in fields.pop("parties", {}).items():
            parties[who] = {**parties.get(who, {}), **named}
        corrected = {**data, **fields, "version": data["version"] + 1, "request": context.request}
        context.records.put(CARGO, number, corrected | ({"parties": parties} if parties else {}))
    return Outcome()


def _against_correction(number: str, row: int, context: Context) -> list[ResultCode]:
    data = find_cargo(number, context)
    if data is None or data.get("business_code") not in _REGISTERED_BY:
        return [ResultCode("E9001", "HAB", row)]
    if data["user_code"] != context.user.user_code:
        return [ResultCode("U9003", "HAB", row)]
    stands = AIR_CARGO.after(state_of(data), "correct waybill") is not None and not data.get("transport")
    return [] if stands else [ResultCode("E9013", "HAB", row)]
