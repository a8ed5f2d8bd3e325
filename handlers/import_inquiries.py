"""Inquiries into import declarations: IID (browser form IID0W) and ICT (procedures 5.7).

*Strategy.* An inquiry changes nothing and answers its M output alone; what it cannot find is a notice with E9001. Who
registered, the planned declarant, who declared and their delegates may ask (procedures 7), nobody else: U9001. A
declaration of the Okinawa duty-free scheme is found too, by the 利用者コード that registered it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.results import ResultCode, result_block
from sekisho.handlers import duty_free_states, import_manifest, imports
from sekisho.handlers.checks import body
from sekisho.handlers.declarations import progress, system_of
from sekisho.handlers.delegation import may_act
from sekisho.handlers.filling import filled
from sekisho.handlers.kit import Context, Outcome, Output, handles, layout_of, refuse
from sekisho.handlers.review import review_of

__all__ = ["inquire_import", "inquire_stores"]

_REVIEWS: Final = {"ok": "Y", "ng": "N"}
_EXAMINATIONS: Final = {"simple": "1", "documents": "2", "inspection": "3"}


def _found(number: str, code: str, message: Message, context: Context) -> tuple[str, Mapping[str, Any]]:
    """Kind and record of a number the sender may ask for. Refuses with E9001, U9001, E9005."""
    for kind in (imports.KIND, import_manifest.KIND, duty_free_states.KIND):
        data = context.records.get(kind, number) if number else None
        if data is None:
            continue
        own = context.user.user_code == str(data.get("declarant", ""))[:5]
        if not own and not may_act(context, data["user_code"], data.get("planned", ""), code):
            raise refuse(ResultCode("U9001"), key=number)
        if data["system"] != system_of(message):
            raise refuse(ResultCode("E9005", "ICN"), key=number)
        return kind, data
    raise refuse(ResultCode("E9001", "ICN"), key=number)


def _day(data: Mapping[str, Any], *names: str) -> str:
    return next((data[name][:10].replace("-", "") for name in names if data.get(name)), "")


def _answer(code: str, number: str, kind: str, data: Mapping[str, Any], context: Context) -> Outcome:
    items = data["items"]
    duty_free = kind == duty_free_states.KIND
    examination = data.get("examination")
    values: dict[str, Any] = {
        "RES": result_block(()),
        "ICN": number,
        "GYO": data["registered_by"],
        "STS": duty_free_states.PROGRESS.get(data["state"], "") if duty_free else progress(data),
        "REG": _day(data, "registered_at"),
        "ICT": _day(data, "declared_at"),
        "RII": _EXAMINATIONS[examination["kind"]] if examination else "",
        "IID": _day(data, "approved_at", "permitted_at"),
        "AGC": str(data.get("declarant", data["user_code"]))[:5],
        "ICC": data.get("planned", ""),
        "CKK": _REVIEWS.get(review_of(data), "") if not duty_free else "",
        "IMC": items.get("IMC", ""),
        "IMN": items.get("IMN") or items.get("RKN", ""),
        "ST": items.get("ST", ""),
        "NO": items.get("NO", ""),
        "NOT": items.get("NOT", ""),
        "BL_": [text for text in items.get("BL_", ()) if text] or [items.get("HAB", "")],
    }
    first = "A" if data["system"] == "air" else "S"
    layout = layout_of(context, "SZIID.out")
    return Outcome(
        key=number, outputs=(Output(f"{first}Z{code}", "M", filled(layout, values), layout="SZIID"),), notice=False
    )


@handles("IID0W", outputs=["SZIID", "AZIID"])
@handles("IID", outputs=["SZIID", "AZIID"])
def inquire_import(message: Message, context: Context) -> Outcome:
    """IID: where an import declaration stands, with its progress number. Refuses with E9001, U9001, E9005."""
    number = body(message).text("ICN")
    kind, data = _found(number, message.header.business_code.strip(), message, context)
    return _answer("IID", number, kind, data, context)


@handles("ICT", outputs=["AZICT"])
def inquire_stores(message: Message, context: Context) -> Outcome:
    """ICT: the same of what CTA registered. Refuses with E9001, U9001, E9005."""
    number = body(message).text("ICN")
    kind, data = _found(number, "ICT", message, context)
    if data["registered_by"] != "CTA":
        raise refuse(ResultCode("E9001", "ICN"), key=number)
    return _answer("ICT", number, kind, data, context)
