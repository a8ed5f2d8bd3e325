"""Inquiries: ICG, 貨物情報照会 (procedures 5.7).

*Strategy.* An inquiry changes nothing and answers its M output alone; what it cannot find is a notice with E9001. Cargo
may be asked for by anybody (Unspecified: our choice).

貨物状態 is ours: REG registered, INY all its containers in a yard, OUT all of them gone out, APP a procedure approved.
With ``TRN`` the 搬出入 rows follow: approvals that named the cargo, then stays of its containers in yards; of more than
the table has rows, the latest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode, Rule, result_block
from sekisho.handlers.cargo import CONTAINER, approvals, find_cargo
from sekisho.handlers.checks import body
from sekisho.handlers.filling import filled
from sekisho.handlers.kit import Context, Outcome, Output, handles, layout_of, refuse

__all__ = ["inquire_cargo"]

MOVEMENTS: Final = "TRN"
"""搬出入情報 [spec]."""
_ROWS: Final = 20


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
    """What yards reported of the cargo's containers since it is registered, oldest first."""
    found: list[Mapping[str, Any]] = []
    for number in cargo.get("containers", ()):
        container = context.records.get(CONTAINER, number)
        found += container["stays"] if container is not None else ()
    return sorted(found, key=lambda stay: str(stay["in_at"]))


def _state(cargo: Mapping[str, Any], stays: Sequence[Mapping[str, Any]], approved: Sequence[Mapping[str, Any]]) -> str:
    if approved:
        return "APP"
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
