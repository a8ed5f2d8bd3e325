"""Inquiries of export declarations: IEX (IEX0W), IEU, IMO (procedures 4.3, 5.7).

*Strategy.* An inquiry changes nothing and answers its M output alone. Registrant, 申告予定者, who declared, and the
申告可能者 may ask. Which cars IMO means is not known: the lines whose 統計品目番号 is one of motor vehicles (ours).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.results import ResultCode, result_block
from sekisho.handlers.checks import body
from sekisho.handlers.declaration_outputs import date_of, letter_of, state_values
from sekisho.handlers.declarations import FAMILIES, Declaration, progress, system_of
from sekisho.handlers.delegation import may_act
from sekisho.handlers.export_states import EXPORT_DECLARATION, EXPORT_MANIFEST
from sekisho.handlers.filling import filled
from sekisho.handlers.kit import Context, Outcome, Output, handles, layout_of, refuse

__all__ = ["inquire_cars", "inquire_export", "inquire_unaccompanied"]

_CARS: Final = ("8701", "8702", "8703", "8704", "8705", "8711")
"""Headings of the harmonized system: motor vehicles and motorcycles."""


def _asked(
    code: str,
    registered_by: Collection[str],
    message: Message,
    context: Context,
    not_entitled: ResultCode,
    unknown: ResultCode,
    other_system: ResultCode,
) -> tuple[str, Declaration, Mapping[str, Any]]:
    """Number, family and record of an export that the sender may ask about; refuses with the last three."""
    number = body(message).text("ECN")
    for kind in (EXPORT_DECLARATION.kind, EXPORT_MANIFEST.kind):
        data = context.records.get(kind, number)
        if data is None or data["registered_by"] not in registered_by:
            continue
        declared_it = str(data.get("declarant", ""))[:5] == context.user.user_code
        if not declared_it and not may_act(context, data["user_code"], data["planned"], code):
            raise refuse(not_entitled, key=number)
        if data["system"] != system_of(message):
            raise refuse(other_system, key=number)
        return number, FAMILIES[kind], data
    raise refuse(unknown, key=number)


def _state(definition: Declaration, number: str, data: Mapping[str, Any], code: str, context: Context) -> Outcome:
    items = data["items"]
    values = {name: items.get(name, "") for name in ("EXC", "EXN", "ST", "NO", "NOT")}
    values |= state_values(number, data) | {"AWB": next(iter(definition.cargoes(items)), "")}
    layout = layout_of(context, "SZIEX.out")
    output = Output(f"{letter_of(data)}{code}", "M", filled(layout, values), layout="SZIEX.out")
    return Outcome(key=number, outputs=(output,), notice=False)


@handles("IEX0W", outputs=["SZIEX", "AZIEX"])
@handles("IEX", outputs=["SZIEX", "AZIEX"])
def inquire_export(message: Message, context: Context) -> Outcome:
    """IEX (browser form IEX0W): where an export declaration stands. Refuses with E9001, U9001, E9005."""
    refusals = ResultCode("U9001"), ResultCode("E9001", "ECN"), ResultCode("E9005", "ECN")
    number, definition, data = _asked("IEX", ("EDA", "UEA", "MEC"), message, context, *refusals)
    return _state(definition, number, data, "ZIEX", context)


@handles("IEU", outputs=["SZIEU", "AZIEU"])
def inquire_unaccompanied(message: Message, context: Context) -> Outcome:
    """IEU: where an export of unaccompanied goods stands. Refuses with S0001, S0002; S0003 (unknown), U0002, E0002."""
    refusals = ResultCode("U0002"), ResultCode("S0003", "ECN"), ResultCode("E0002", "ECN")
    number, definition, data = _asked("IEU", ("UEA",), message, context, *refusals)
    return _state(definition, number, data, "ZIEU", context)


@handles("IMO", outputs=["SZIMO", "AZIMO"])
def inquire_cars(message: Message, context: Context) -> Outcome:
    """IMO: the motor vehicles of an export declaration. Refuses with E9001 (none of them too), U9001, E9005."""
    refusals = ResultCode("U9001"), ResultCode("E9001", "ECN"), ResultCode("E9005", "ECN")
    number, _, data = _asked("IMO", ("EDA", "UEA"), message, context, *refusals)
    items = data["items"]
    rows = [row for row, heading in enumerate(items.get("CMD", ())) if heading.startswith(_CARS)]
    if not rows:
        raise refuse(ResultCode("E9001", "ECN"), key=number)
    values: dict[str, Any] = {name: items.get(name, "") for name in ("EXC", "EXN", "CNK", "LPC", "VSN", "DEP")}
    values |= {"RES": result_block(()), "ECN": number, "STS": progress(data), "IID": date_of(data.get("approved_at"))}
    values["RN_"] = [row + 1 for row in rows]
    for name in ("CMD", "CMN", "QN1", "QT1"):
        cells = [*items.get(name, ()), *[""] * len(items["CMD"])]
        values[name] = [cells[row] for row in rows]
    layout = layout_of(context, "SZIMO.out")
    return Outcome(
        key=number,
        outputs=(Output(f"{letter_of(data)}ZIMO", "M", filled(layout, values), layout="SZIMO.out"),),
        notice=False,
    )
