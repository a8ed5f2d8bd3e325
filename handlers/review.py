"""Review by a 通関士: CCB shows a registered declaration, CCA records what the specialist found (procedures 8).

*Strategy.* A review is bound to the version of the draft that was looked at, so any correction undoes it without
anybody clearing it. Every business that declares asks :func:`review_gate`; whether the office demands a review is a
setting. What specialists are says the registry, by user ID.

A record's ``review`` holds ``version``, ``result`` (ok, ng), ``by`` (user ID), ``at`` and ``note``; None without one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode, Rule
from sekisho.handlers.checks import body
from sekisho.handlers.declarations import Declaration, against, find_declaration, system_of
from sekisho.handlers.delegation import may_act
from sekisho.handlers.filling import filled
from sekisho.handlers.kit import Context, Outcome, Output, handles, layout_of, refuse

__all__ = ["call_up_review", "record_review", "review_gate", "review_of"]

_RESULTS: Final = {"Y": "ok", "N": "ng"}


def review_of(data: Mapping[str, Any]) -> str:
    """``ok``, ``ng``, or ``none`` if this version of the draft has not been reviewed."""
    review = data.get("review")
    return str(review["result"]) if review and review["version"] == data["version"] else "none"


def review_gate(data: Mapping[str, Any], office: str, context: Context) -> list[ResultCode]:
    """E9007 if the review does not let this sender declare the record; nothing if it does.

    An error the specialist found stops everybody, himself too, until the registration is corrected [spec]. Where the
    review is demanded, who is no 通関士 needs a good one. The setting ``review_demanded_by`` lists the offices (``*``
    and ``?`` allowed, default all); who clears for himself (``own_clearance_trades``) has no specialist and needs none.
    """
    found = review_of(data)
    demanding = context.business.get("review_demanded_by", ["*"])
    exempt = context.user.specialist or context.user.trade in context.business.get("own_clearance_trades", ["trader"])
    demanded = not exempt and any(fnmatchcase(office, pattern) for pattern in demanding)
    return [ResultCode("E9007")] if found == "ng" or (demanded and found != "ok") else []


def _registered(code: str, message: Message, context: Context) -> tuple[str, Declaration, dict[str, Any]]:
    """A declaration that is registered and not declared yet. Refuses with E9001, U9001, E9005; E9002 to E9004."""
    number = body(message).text("ICN")
    found = find_declaration(number, context)
    if found is None:
        raise refuse(ResultCode("E9001", "ICN"), key=number)
    definition, data = found
    if not may_act(context, data["user_code"], data["planned"], code):
        raise refuse(ResultCode("U9001"), key=number)
    if data["system"] != system_of(message):
        raise refuse(ResultCode("E9005", "ICN"), key=number)
    if definition.machine.after(data["state"], "review") is None:
        raise refuse(ResultCode(against(data["state"]), "ICN"), key=number)
    return number, definition, data


@handles("CCB", outputs=["*SCCB", "*ACCB", "SZCCBI", "AZCCBI", "SZCCBE", "AZCCBE"])
def call_up_review(message: Message, context: Context) -> Outcome:
    """CCB: what is registered, as the item table it was registered by. Refuses as CCA; changes nothing."""
    number, definition, data = _registered("CCB", message, context)
    table = f"{data['registered_by']}.in"
    # The code says which table to read it by: I as IDA, E as EDA.
    code = f"{'A' if data['system'] == 'air' else 'S'}ZCCB{'E' if definition.number == 'ECN' else 'I'}"
    values = filled(layout_of(context, table), {**data["items"], definition.number: number})
    return Outcome(key=number, outputs=(Output(code, "C", values, layout=table),))


def _items(record: Record, code: Callable[[str, str, int], ResultCode]) -> list[ResultCode]:
    """審査結果 is Y or N."""
    return [] if record.text("CKK") in ("", *_RESULTS) else [code(Rule.VALUE, "CKK", 0)]


@handles("CCA", outputs=["*SCCA", "*ACCA"], items=_items)
def record_review(message: Message, context: Context) -> Outcome:
    """CCA: Y lets the draft be declared by anybody entitled, N stops it until it is corrected; the last one counts.

    Refuses with U9002 (not a 通関士 ID); S9004; E9001, U9001, E9005; E9002, E9003, E9004 once it is declared.
    """
    if not context.user.specialist:
        raise refuse(ResultCode("U9002"), key=body(message).text("ICN"))
    number, definition, data = _registered("CCA", message, context)
    record = body(message)
    review = {
        "version": data["version"],
        "result": _RESULTS[record.text("CKK")],
        "by": context.user.id,
        "at": context.now.isoformat(timespec="seconds"),
        "note": record.text("NT1"),
    }
    context.records.put(definition.kind, number, {**data, "review": review})
    return Outcome(key=number)
