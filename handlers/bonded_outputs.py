"""What the bonded-transport family answers with: copies, approvals, verdicts, call-up screens.

*Strategy.* One dictionary holds everything known of a transport by short item name: what was registered, decoded
names, counts, and the cargo data base's side of every row. Each output's table takes what it has items for
(:mod:`sekisho.handlers.filling`), so a drop-in table needs no change here.

What a cargo record holds says :mod:`sekisho.handlers.cargo`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sekisho.codecs.results import ResultCode
from sekisho.handlers.cargo import find_cargo
from sekisho.handlers.checks import code_values
from sekisho.handlers.customs import customs_parties
from sekisho.handlers.filling import filled
from sekisho.handlers.kit import SENDER, Context, Originator, Output, Party, Sender, layout_of

__all__ = [
    "approval_set",
    "arrival",
    "call_up",
    "cargo_values",
    "change_copy",
    "containers",
    "departure",
    "examination_copy",
    "input_copy",
    "unknown_cargo",
    "verdict",
]

_OF_CARGO: Final = {
    "CM_": "description",
    "PC_": "packages",
    "PU_": "package_unit",
    "GW_": "weight",
    "WU_": "weight_unit",
    "VC_": "vessel_code",
    "VN_": "vessel_name",
}
_EXAMINATIONS: Final = {"simple": "1", "documents": "2", "inspection": "3"}
"""審査区分識別 (Unspecified: our choice)."""
_VERDICTS: Final = {"refused": "R", "correction-wanted": "C", "cancelled": "A"}
"""審査結果 of a state that no approval form speaks of; a change that was not granted is R too."""


def _office_name(items: Mapping[str, Any], context: Context) -> str:
    office = str(items.get("CHC") or context.business.get("default_office", ""))
    return context.hours.office_name(office).upper() if office else ""


def arrival(items: Mapping[str, Any]) -> str:
    """到着地コード: the bonded area, else the discharge place."""
    return str(items.get("ARR") or items.get("ARB") or "")


def containers(items: Mapping[str, Any], context: Context) -> list[str]:
    """収容コンテナ番号: as sent; of cargo that moves still packed (コンテナ内蔵識別 Y) those of its records else."""
    sent = [str(number) for number in items.get("CNO", ()) if number]
    if sent or items.get("CNY") != "Y":
        return sent
    rows = [row or {} for row in _cargo(list(items.get("CG_", ())), context)]
    return list(dict.fromkeys(str(number) for row in rows for number in row.get("containers", ())))


def departure(items: Mapping[str, Any]) -> str:
    """発送地コード: the bonded area, else the discharge place."""
    return str(items.get("DPR") or items.get("BRT") or "")


def _cargo(numbers: Sequence[str], context: Context) -> list[Mapping[str, Any] | None]:
    return [find_cargo(number, context) for number in numbers]


def unknown_cargo(numbers: Sequence[str], context: Context, code: str, item: str) -> list[ResultCode]:
    """``code`` at ``item`` and row for every 貨物管理番号 that the cargo data base does not hold."""
    found = zip(numbers, _cargo(numbers, context), strict=True)
    return [ResultCode(code, item, row) for row, (number, data) in enumerate(found, 1) if number and data is None]


def cargo_values(numbers: Sequence[str], context: Context) -> dict[str, Any]:
    """The items of a registration that the cargo data base can fill, rows as in ``numbers``.

    発送地 is filled if everything lies in one place. Containers stand once each, in the order of the rows.
    """
    rows = [data or {} for data in _cargo(numbers, context)]
    places = {str(row.get("place") or "") for row, number in zip(rows, numbers, strict=True) if number}
    place = places.pop() if len(places) == 1 else ""
    return {
        "CG_": list(numbers),
        "DD_": [row.get("arrival_date", "") for row in rows],
        "CNO": list(dict.fromkeys(number for row in rows for number in row.get("containers", ()))),
        "DPR": place,
        "DPN": _place_name(place, context)[0],
    }


def _place_name(code: str, context: Context) -> tuple[str, str]:
    """Name of a place in capitals, and the asterisk of one that does not take part in the system."""
    if not code:
        return "", ""
    known = context.records.place(code)
    return (known[1].upper(), "") if known else ("", "*")


def _known(number: str, data: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Everything known of a transport, by short item name."""
    items: Mapping[str, Any] = data["items"]
    office = _office_name(items, context)
    packed = containers(items, context)
    departed, departure_flag = _place_name(departure(items), context)
    arrived, arrival_flag = _place_name(arrival(items), context)
    registered = datetime.fromisoformat(data["registered_at"])
    means, purpose, kind = (code_values(item).get(str(items.get(item, ""))) for item in ("BYA", "OBJ", "USS"))
    numbers = [str(cargo) for cargo in items.get("CG_", ())]
    rows = [row or {} for row in _cargo(numbers, context)]
    out: dict[str, Any] = dict(items) if items.get("CNO") else {**items, "CNO": packed}
    out |= {
        "OLT": number,
        "IKS": "",
        "CHN": office,
        "NOC": office,
        "REG": f"{registered:%Y%m%d}",
        "RGT": f"{registered:%H%M}",
        "RGC": data["user_code"],
        "BYN": means.name if means else "",
        "OBN": purpose.name_ja if purpose else "",
        "USN": kind.name_ja if kind else "",
        "DPN": items.get("DPN") or departed,
        "DPF": departure_flag,
        "ARN": items.get("ARN") or arrived,
        "ARF": arrival_flag,
        "RAN": sum(bool(cargo) for cargo in numbers),
        "CNT": len(packed),
    }
    for item, name in _OF_CARGO.items():
        out[item] = [row.get(name) or "" for row in rows]  # 0 is how a registry says nothing of a number
    arrivals = list(items.get("DD_", ()))
    arrivals += [""] * (len(rows) - len(arrivals))
    out["DD_"] = [sent or row.get("arrival_date", "") for sent, row in zip(arrivals, rows, strict=False)]
    if data.get("declared_at"):
        kind = data["examination"]["kind"]
        out |= {"ICT": data["declared_at"][:10].replace("-", ""), "SKK": _EXAMINATIONS[kind]}
    if data.get("approved_at"):
        approved = data["approved_at"][:10].replace("-", "")
        out |= {
            "APD": approved,
            "APN": number,
            "APS": items.get("SDT") or approved,
            "APE": items.get("EDT", ""),
            "JKN": data.get("condition", ""),
        }
    return out


def _output(
    code: str, kind: str, known: Mapping[str, Any], context: Context, to: Sender | Originator | Party = SENDER
) -> Output:
    layout = layout_of(context, f"{code}.out")
    return Output(code, kind, filled(layout, {**known, "FRM": layout.title}), to)


def input_copy(number: str, data: Mapping[str, Any], context: Context) -> Output:
    """入力控 for the sender (kind C). Its first two items are OLC20's: the body sent back declares [spec]."""
    return _output("SAS1360", "C", _known(number, data, context), context)


def change_copy(number: str, data: Mapping[str, Any], items: Mapping[str, Any], context: Context) -> Output:
    """変更控 for the sender (kind C): the transport as it will be once customs has ended the examination of it."""
    return _output("SZSOT", "C", _known(number, {**data, "items": items}, context), context)


def examination_copy(
    number: str, data: Mapping[str, Any], context: Context, to: Sender | Originator
) -> tuple[Output, ...]:
    """申告控 of 書類審査 (kind P), for the declarant and, where customs has a box, for customs."""
    known = _known(number, data, context)
    return tuple(_output("SZOLC", "P", known, context, one) for one in (to, *customs_parties(context)))


def approval_set(
    number: str, data: Mapping[str, Any], context: Context, to: Sender | Originator = SENDER
) -> tuple[Output, ...]:
    """承認通知情報 for the declarant, 承認貨物情報 for the user of the departure place (EXC); kind P.

    Under a blanket approval 個別運送受付情報 for the declarant alone. The 多欄 forms are used for more cargo rows than
    the setting ``many_lines_over`` (default 1).
    """
    known = _known(number, data, context)
    many = int(known["RAN"]) > int(context.business.get("many_lines_over", 1))
    if data["items"].get("HNO"):
        return (_output("SAS0441" if many else "SAS0431", "P", known, context, to),)
    notice, cargo = ("SAS0381", "SAS0421") if many else ("SAS0371", "SAS0411")
    place = Party(place=departure(data["items"]))
    return _output(notice, "P", known, context, to), _output(cargo, "P", known, context, place)


def verdict(
    number: str, data: Mapping[str, Any], context: Context, to: Sender | Originator, change: str = ""
) -> tuple[Output, ...]:
    """審査結果 (kind P) for the declarant: refused, correction wanted, a change not granted, cancelled.

    ``change`` is the 処理区分 of the SOT that was decided. Of a cancellation the user of the departure place hears too.
    """
    values = {
        "OLT": number,
        "RES": _VERDICTS.get(data["state"], "R"),
        "KND": change,
        "DTM": f"{context.now:%Y%m%d}",
        "TIM": f"{context.now:%H%M}",
        "CHN": _office_name(data["items"], context),
        "JKN": data.get("condition", ""),
        "NT1": data.get("officer_note", ""),
        "REF": data["items"].get("REF", ""),
    }
    told: list[Sender | Originator | Party] = [to]
    if data["state"] == "cancelled":
        told.append(Party(place=departure(data["items"])))
    return tuple(_output("SZSET", "P", values, context, one) for one in told)


def call_up(code: str, table: str, values: Mapping[str, Any], context: Context) -> Output:
    """A call-up's screen (kind C): the item table of the register business, filled; ``table`` as ``OLA.in``."""
    return Output(code, "C", filled(layout_of(context, table), values), layout=table)
