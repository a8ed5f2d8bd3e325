"""裏書登録 and 理由登録: JENDR endorses a licence for a declaration, JRSNR registers why they differ (procedures 13.3).

*Strategy.* Both steps are official, their business codes are not known: these are ours, of five letters, which no
official code has. An endorsement is for one declaration, between its registration and its declaration, and takes from
what remains of the licence's lines; cancelled, it gives back. Owner, designated brokers, customs and the ministry may.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode, Rule
from sekisho.handlers.checks import body, not_twice, numbered, stop, unnamed_rows
from sekisho.handlers.declarations import Declaration, find_declaration, standing
from sekisho.handlers.kit import Context, Outcome, handles, refuse
from sekisho.handlers.licence_states import form_of
from sekisho.handlers.licences import (
    ENDORSEMENT,
    LICENCE,
    REASON,
    amount,
    as_text,
    entitled_licence,
    pair,
    standing_of,
    today,
)

__all__ = ["endorse", "register_reason"]

_REGISTER, _CANCEL = "9", "1"
_MOST: Final = 999
"""Endorsements a licence may have had (setting ``licence_endorsements``): JTM answers 999 rows [spec]."""


def _not_declared(number: str, context: Context) -> Declaration:
    """The family of a declaration that is not declared yet. Refuses with E9001, E9002."""
    found = find_declaration(number, context)
    if found is None:
        raise refuse(ResultCode("E9001", "ICN"))
    definition, data = found
    if standing(data["state"]) != "not declared":
        raise refuse(ResultCode("E9002", "ICN"))
    return definition


def _items(record: Record, code: Callable[[str, str, int], ResultCode]) -> list[ResultCode]:
    """処理区分 is 9 or 1, 裏書種別 1, 2 or 4; every quantity is above zero."""
    found = [] if record.text("KND") in ("", _REGISTER, _CANCEL) else [code(Rule.VALUE, "KND", 0)]
    found += [] if record.text("UGS") in ("", "1", "2", "4") else [code(Rule.VALUE, "UGS", 0)]
    if record.text("KND") == _REGISTER:
        rows = numbered(record, "LR_")
        found += [ResultCode("S9003", "LQ_", row) for row, _ in rows if amount(record.text("LQ_", row)) <= 0]
    return found


@handles("JENDR", outputs=["*SJENDR", "*AJENDR"], items=_items)
def endorse(message: Message, context: Context) -> Outcome:
    """JENDR (a code of ours): 9 endorses lines of a licence for a declaration and issues a 裏書番号, 1 cancels.

    Refuses with S9004, S9003; R9003, R9004; E9001, U9003 (LCN), E9001, E9002 (ICN); E9003 (not valid), E9002 (endorsed
    already), E9013 (UGS does not fit; nothing to cancel), E9018; E9001, E9019, E9020 by row.
    """
    record = body(message)
    number, declaration = record.text("LCN"), record.text("ICN")
    registers = record.text("KND") == _REGISTER
    if registers:
        found = [] if numbered(record, "LR_") else [ResultCode("R9003", "LR_")]
        found += [ResultCode("R9003", "LR_", row) for row in unnamed_rows(record, "LR_")]
        stop([*found, *not_twice(record, "LR_")])
    licence = entitled_licence(number, context, brokers=True)
    definition = _not_declared(declaration, context)
    known = context.records.get(ENDORSEMENT, pair(number, declaration))
    stands = known if known is not None and not known["cancelled"] else None
    if not registers:
        return _cancel(number, licence, stands, context)
    _usable(record, licence, definition, stands, context)
    wanted = _wanted(record, licence)
    most = int(context.business.get("licence_endorsements", _MOST))
    stop([ResultCode("E9018", "LCN")] if licence["endorsements"] >= most else [])
    issued = context.numbers.next(ENDORSEMENT)
    data: dict[str, Any] = {
        "number": issued,
        "licence": number,
        "declaration": declaration,
        "kind": _kind(licence),
        "lines": wanted,
        "date": today(context),
        "by": context.user.id,
        "cancelled": False,
    }
    context.records.put(ENDORSEMENT, pair(number, declaration), data)
    context.records.put(LICENCE, number, _used(licence, wanted, 1) | {"endorsements": licence["endorsements"] + 1})
    return Outcome(key=issued)


def _kind(licence: Mapping[str, Any]) -> str:
    form = form_of(licence["form"])
    return form.endorsement if form else ""


def _usable(
    record: Record, licence: Mapping[str, Any], definition: Declaration, stands: object, context: Context
) -> None:
    """Refuses with E9003, E9002, E9013: not valid, endorsed already, a kind that does not fit."""
    kind = _kind(licence)
    exports = definition.number == "ECN"
    found = [] if standing_of(licence, context) == "1" else [ResultCode("E9003", "LCN")]
    found += [] if stands is None else [ResultCode("E9002", "LCN")]
    fits = bool(kind) and exports == (kind == "1") and record.text("UGS") in ("", kind)
    stop([*found, *([] if fits else [ResultCode("E9013", "UGS")])])


def _wanted(record: Record, licence: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The lines to endorse. Refuses by row: E9001 (no such line), E9019 (another unit), E9020 (more than remains)."""
    lines, found, wanted = licence["lines"], list[ResultCode](), list[dict[str, Any]]()
    for row, text in numbered(record, "LR_"):
        at, quantity, unit = int(amount(text)), amount(record.text("LQ_", row)), record.text("LU_", row)
        if not 1 <= at <= len(lines) or amount(text) != at:
            found.append(ResultCode("E9001", "LR_", row))
            continue
        line = lines[at - 1]
        if line["unit"] and unit not in ("", line["unit"]):
            found.append(ResultCode("E9019", "LU_", row))
        if line["quantity"] and amount(line["endorsed"]) + quantity > amount(line["quantity"]):
            found.append(ResultCode("E9020", "LQ_", row))
        if any(one["line"] == at for one in wanted):  # 1 and 01
            found.append(ResultCode("R9004", "LR_", row))
        wanted.append({"line": at, "quantity": as_text(quantity), "unit": unit or line["unit"]})
    stop(found)
    return wanted


def _used(licence: Mapping[str, Any], wanted: list[dict[str, Any]], sign: int) -> dict[str, Any]:
    """The licence with its lines' endorsed quantities changed; lines an amendment took away are gone."""
    lines = [dict(line) for line in licence["lines"]]
    for one in wanted:
        if one["line"] <= len(lines):
            line = lines[one["line"] - 1]
            left = amount(line["endorsed"]) + sign * amount(one["quantity"])
            line["endorsed"] = as_text(max(left, Decimal(0)))
    return {**licence, "lines": lines}


def _cancel(number: str, licence: Mapping[str, Any], known: Mapping[str, Any] | None, context: Context) -> Outcome:
    if known is None:
        raise refuse(ResultCode("E9013", "LCN"))
    context.records.put(ENDORSEMENT, pair(number, known["declaration"]), {**known, "cancelled": True})
    context.records.put(LICENCE, number, _used(licence, known["lines"], -1))
    return Outcome(key=known["number"])


@handles("JRSNR", outputs=["*SJRSNR", "*AJRSNR"])
def register_reason(message: Message, context: Context) -> Outcome:
    """JRSNR (a code of ours): why a declaration differs from the endorsement of a licence; the last one counts.

    Refuses with E9001, U9003 (LCN), E9001, E9002 (ICN).
    """
    record = body(message)
    number, declaration = record.text("LCN"), record.text("ICN")
    entitled_licence(number, context, brokers=True)
    _not_declared(declaration, context)
    data = {
        "reason": record.text("RSN"),
        "by": context.user.id,
        "at": context.now.isoformat(timespec="seconds"),
    }
    context.records.put(REASON, pair(number, declaration), data)
    return Outcome(key=declaration)
