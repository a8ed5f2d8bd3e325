"""Inquiries: ICG 貨物情報照会, IGS 輸出貨物情報照会, IIV invoices, IXX requests to other ministries (procedures 5.7).

*Strategy.* An inquiry changes nothing and answers its M output alone; what it cannot find is a notice with E9001. Cargo
may be asked for by anybody, invoices and declarations by whom they belong to and his delegates (Unspecified: our
choice).

貨物状態 is ours: REG registered, SLP in a bond-in slip, INW in an air warehouse, INY all its containers in a yard, OUT
gone out with all of them, APP a procedure approved. With ``TRN`` the 搬出入 rows follow: approvals that named the
cargo, then its stays in yards and warehouses; of more than the table has rows, the latest. IGS always shows them.

An ``invoice`` (key 電子インボイス受付番号) comes with the registry: ``user_code``, ``registered_at`` and ``items`` by
the short names of IDA.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode, Rule, result_block
from sekisho.handlers.air_cargo_states import IN_WAREHOUSE, OUT, SLIP, state_of
from sekisho.handlers.cargo import CONTAINER, approvals, find_cargo
from sekisho.handlers.checks import body
from sekisho.handlers.declarations import find_declaration, progress, system_of
from sekisho.handlers.delegation import may_act
from sekisho.handlers.filling import filled
from sekisho.handlers.kit import Context, Outcome, Output, handles, layout_of, refuse

__all__ = ["inquire_cargo", "inquire_export_cargo", "inquire_invoice", "inquire_requests"]

MOVEMENTS: Final = "TRN"
"""搬出入情報 [spec]."""
_ROWS: Final = 20
_AIR_STATES: Final = {SLIP: "SLP", IN_WAREHOUSE: "INW"}
_REQUESTS: Final = ("SFN", "SPN", "SLN")
"""食品, 植物, 動物: the numbers of requests to other ministries that SWC names."""


def _selector(record: Record, code: Callable[[str, str, int], ResultCode]) -> list[ResultCode]:
    """指定情報 is blank or TRN."""
    return [] if record.text("SJI") in ("", MOVEMENTS) else [code(Rule.VALUE, "SJI", 0)]


@handles("ICG0W", outputs=["SZICG"], items=_selector)
@handles("ICG", outputs=["SZICG"], items=_selector)
def inquire_cargo(message: Message, context: Context) -> Outcome:
    """ICG (browser form ICG0W): what the cargo data base holds of a 貨物管理番号. Refuses with S9004; E9001."""
    record = body(message)
    number, selector = record.text("CGN"), record.text("SJI")
    cargo = find_cargo(number, context)
    if cargo is None:
        raise refuse(ResultCode("E9001", "CGN"))
    stays = _stays(cargo, context)
    approved = approvals(number, context)
    values: dict[str, Any] = {
        "RES": result_block(()),
        "CGN": number,
        "SJI": selector,
        "IEI": cargo.get("direction", ""),
        "STS": _state(cargo, stays, approved),
        "VSC": cargo.get("vessel_code", ""),
        "VSN": cargo.get("vessel_name", ""),
        "ARR": cargo.get("arrival_date", ""),
        "ST": cargo.get("place", ""),
        "CMN": cargo.get("description", ""),
        "NO": cargo.get("packages") or "",  # 0 is how a registry says nothing of a number
        "NOT": cargo.get("package_unit", ""),
        "GW": cargo.get("weight") or "",
        "GWT": cargo.get("weight_unit", ""),
    }
    if selector == MOVEMENTS:
        values |= _rows(approved, stays)
    layout = layout_of(context, "SZICG.out")
    return Outcome(key=number, outputs=(Output("SZICG", "M", filled(layout, values)),), notice=False)


def _stays(cargo: Mapping[str, Any], context: Context) -> list[Mapping[str, Any]]:
    """What yards reported of the cargo's containers, and air warehouses of itself, oldest first."""
    found: list[Mapping[str, Any]] = []
    for number in cargo.get("containers", ()):
        container = context.records.get(CONTAINER, number)
        found += container["stays"] if container is not None else ()
    return sorted([*found, *cargo.get("stays", ())], key=lambda stay: str(stay["in_at"]))


def _state(cargo: Mapping[str, Any], stays: Sequence[Mapping[str, Any]], approved: Sequence[Mapping[str, Any]]) -> str:
    if state_of(cargo) == OUT:
        return "OUT"
    if approved:
        return "APP"
    if state_of(cargo) in _AIR_STATES:
        return _AIR_STATES[state_of(cargo)]
    stays = [stay for stay in stays if stay["container"]]
    containers = set(cargo.get("containers", ()))
    last = {stay["container"]: stay for stay in stays}
    if not containers or last.keys() != containers:
        return "REG"
    gone = {bool(stay["out_at"]) for stay in last.values()}
    return "REG" if len(gone) == 2 else "OUT" if True in gone else "INY"


def _rows(approved: Sequence[Mapping[str, Any]], stays: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    rows = [{"PR_": a["procedure"], "PN_": a["number"], "PD_": a["date"]} for a in approved]
    rows += [{"PR_": s["procedure"], "ID_": s["in_at"][:8], "OD_": s["out_at"][:8], "PL_": s["place"]} for s in stays]
    return {
        item: [str(row.get(item, "")) for row in rows[-_ROWS:]] for item in ("PR_", "PN_", "PD_", "ID_", "OD_", "PL_")
    }


@handles("IGS0W", outputs=["AZIGS"])
@handles("IGS", outputs=["AZIGS"])
def inquire_export_cargo(message: Message, context: Context) -> Outcome:
    """IGS (browser form IGS0W): what is known of export cargo. Refuses with E9001, also for cargo of imports."""
    number = body(message).text("CGN")
    cargo = find_cargo(number, context)
    if cargo is None or cargo.get("direction") != "E":
        raise refuse(ResultCode("E9001", "CGN"))
    stays, approved = _stays(cargo, context), approvals(number, context)
    values: dict[str, Any] = {
        "RES": result_block(()),
        "CGN": number,
        "STS": _state(cargo, stays, approved),
        "HDB": cargo.get("slip", ""),
        "MAB": cargo.get("master_bill", ""),
        "ST": cargo.get("place", ""),
        "HYS": cargo.get("planned_place", ""),
        "HYD": cargo.get("planned_date", ""),
        "ALN": cargo.get("carrier", ""),
        "AGC": cargo.get("agent", ""),
        "TKI": cargo.get("broker", ""),
        "LPC": cargo.get("port", ""),
        "DES": cargo.get("destination", ""),
        "CMN": cargo.get("description", ""),
        "NO": cargo.get("packages") or "",
        "GW": cargo.get("weight") or "",
        "GWT": cargo.get("weight_unit", ""),
    }
    values |= _rows(approved, stays)
    output = Output("AZIGS", "M", filled(layout_of(context, "AZIGS.out"), values))
    return Outcome(key=number, outputs=(output,), notice=False)


@handles("IIV", outputs=["SZIIV", "AZIIV"])
def inquire_invoice(message: Message, context: Context) -> Outcome:
    """IIV: an invoice by its 電子インボイス受付番号. Refuses with E9001; U9001 for another's."""
    number = body(message).text("IV2")
    invoice = context.records.get("invoice", number)
    if invoice is None:
        raise refuse(ResultCode("E9001", "IV2"))
    if not may_act(context, str(invoice.get("user_code", "")), "", "IIV"):
        raise refuse(ResultCode("U9001"))
    values: dict[str, Any] = dict(invoice.get("items", {}))
    values |= {
        "RES": result_block(()),
        "IV2": number,
        "RGC": invoice.get("user_code", ""),
        "REG": str(invoice.get("registered_at", ""))[:10].replace("-", ""),
    }
    return _answer("IIV", "air" if message.header.system == "1" else "sea", number, values, context)


@handles("IXX", outputs=["SZIXX", "AZIXX"])
def inquire_requests(message: Message, context: Context) -> Outcome:
    """IXX: where a declaration's requests to other ministries stand; without any, a list without rows.

    Refuses with E9001, U9001, E9005.
    """
    number = body(message).text("ICN")
    found = find_declaration(number, context)
    if found is None:
        raise refuse(ResultCode("E9001", "ICN"), key=number)
    data = found[1]
    if not may_act(context, data["user_code"], data.get("planned", ""), "IXX"):
        raise refuse(ResultCode("U9001"), key=number)
    if data["system"] != system_of(message):
        raise refuse(ResultCode("E9005", "ICN"), key=number)
    stands = progress(data)
    numbers = [(item, str(data["items"].get(item, ""))) for item in _REQUESTS]
    rows = [(item, text) for item, text in numbers if text]
    values: dict[str, Any] = {
        "RES": result_block(()),
        "ICN": number,
        "STS": stands,
        "MK_": [item for item, _ in rows],
        "MN_": [text for _, text in rows],
        # Ours: a request goes with its declaration; what other ministries decide by themselves is not played.
        "MS_": ["4" if stands >= "4" else "1" for _ in rows],
    }
    return _answer("IXX", data["system"], number, values, context)


def _answer(code: str, system: str, number: str, values: Mapping[str, Any], context: Context) -> Outcome:
    output_code = f"{'A' if system == 'air' else 'S'}Z{code}"
    output = Output(output_code, "M", filled(layout_of(context, f"{output_code}.out"), values))
    return Outcome(key=number, outputs=(output,), notice=False)
