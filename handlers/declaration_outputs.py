"""Outputs that import and export declarations share: letters of codes, names, customs' verdict, the state inquiry."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sekisho.codecs.results import result_block
from sekisho.handlers.customs import customs_parties
from sekisho.handlers.declarations import Declaration, progress
from sekisho.handlers.examined import CORRECTION_WANTED
from sekisho.handlers.filling import filled
from sekisho.handlers.kit import Context, Originator, Output, Party, Sender, layout_of
from sekisho.handlers.review import review_of

__all__ = ["EXAMINATIONS", "date_of", "letter_of", "office_name", "state_values", "to_customs_too", "verdict"]

EXAMINATIONS: Final = {"simple": "1", "documents": "2", "inspection": "3"}
"""審査検査区分: 1 簡易審査, 2 書類審査, 3 検査 (Unspecified: our choice of letters)."""
_REVIEWS: Final = {"ok": "Y", "ng": "N", "none": ""}


def letter_of(data: Mapping[str, Any]) -> str:
    """The first letter of a declaration's output codes: A air, S sea."""
    return "A" if data["system"] == "air" else "S"


def date_of(moment: str | None) -> str:
    """YYYYMMDD of a moment in a record; blank if there is none."""
    return moment[:10].replace("-", "") if moment else ""


def office_name(definition: Declaration, data: Mapping[str, Any], context: Context) -> str:
    """The name of the office that a declaration goes to, in capitals."""
    office = definition.office_of(data["items"], context)
    return context.hours.office_name(office).upper() if office else ""


def to_customs_too(to: Sender | Originator, context: Context) -> tuple[Sender | Originator | Party, ...]:
    """The declarant, and customs where it has a box."""
    return (to, *customs_parties(context))


def verdict(
    definition: Declaration,
    number: str,
    data: Mapping[str, Any],
    context: Context,
    to: Sender | Originator,
    decision: str = "",
) -> tuple[Output, ...]:
    """審査結果 (kind P) for the declarant: refused or correction wanted, by the state or as ``decision`` says."""
    values = {
        "ICN": number,
        "GYO": data.get("declared_by", ""),
        "RES": "C" if decision == "correct" or data["state"] == CORRECTION_WANTED else "R",
        "STS": progress(data),
        "DTM": f"{context.now:%Y%m%d}",
        "TIM": f"{context.now:%H%M}",
        "CHN": office_name(definition, data, context),
        "JKN": data.get("condition", ""),
        "NT1": data.get("officer_note", ""),
        "REF": data["items"].get("REF", ""),
    }
    layout = layout_of(context, "SZIESET.out")
    return (Output(f"{letter_of(data)}ZIESET", "P", filled(layout, values), to, layout="SZIESET.out"),)


def state_values(number: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """What a state inquiry (IEX, IID and their kin) answers of any declaration, by short name."""
    declared = data.get("declared_at")
    return {
        "RES": result_block(()),
        "ECN": number,
        "ICN": number,
        "GYO": data.get("declared_by") or data["registered_by"],
        "STS": progress(data),
        "REG": f"{datetime.fromisoformat(data['registered_at']):%Y%m%d}",
        "ICT": date_of(declared),
        "RII": EXAMINATIONS[data["examination"]["kind"]] if declared else "",
        "IID": date_of(data.get("approved_at")),
        "AGC": str(data.get("declarant", ""))[:5],
        "ICC": data["planned"],
        "CKK": _REVIEWS[review_of(data)],
    }
