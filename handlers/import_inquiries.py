"""Inquiries into import declarations: IID (browser form IID0W) and ICT (procedures 5.7).

*Strategy.* An inquiry changes nothing and answers its M output alone; what it cannot find is a notice with E9001. Who
registered, the planned declarant, who declared and their delegates may ask (procedures 7), nobody else: U9001. A
declaration of the Okinawa duty-free scheme is found too, by the 利用者コード that registered it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sekisho.codecs.message import Message
from sekisho.codecs.results import ResultCode
from sekisho.handlers import duty_free_states, import_manifest, imports
from sekisho.handlers.checks import body
from sekisho.handlers.declaration_outputs import letter_of, state_values
from sekisho.handlers.declarations import system_of
from sekisho.handlers.delegation import may_act
from sekisho.handlers.filling import filled
from sekisho.handlers.kit import Context, Outcome, Output, handles, layout_of, refuse

__all__ = ["inquire_import", "inquire_stores"]


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


def _answer(code: str, number: str, kind: str, data: Mapping[str, Any], context: Context) -> Outcome:
    items = data["items"]
    if kind == duty_free_states.KIND:
        whole = {**data, "planned": "", "approved_at": data.get("permitted_at")}
        values = state_values(number, whole) | {"STS": duty_free_states.PROGRESS.get(data["state"], "")}
    else:
        values = state_values(number, data)
    values |= {
        "IMC": items.get("IMC", ""),
        "IMN": items.get("IMN") or items.get("RKN", ""),
        "ST": items.get("ST", ""),
        "NO": items.get("NO", ""),
        "NOT": items.get("NOT", ""),
        "BL_": [text for text in items.get("BL_", ()) if text] or [items.get("HAB", "")],
    }
    table = layout_of(context, "SZIID.out")
    output = Output(f"{letter_of(data)}Z{code}", "M", filled(table, values), layout="SZIID")
    return Outcome(key=number, outputs=(output,), notice=False)


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
