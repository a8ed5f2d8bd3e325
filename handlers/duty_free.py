"""Import under the Okinawa duty-free scheme (沖縄特免制度): OTA, OTA01, OTC.

*Strategy.* OTA registers and issues the 輸入申告番号, OTA with that number corrects the draft, OTC declares it; OTA01
changes a draft, or registers a change of what is declared and not permitted, and OTC then declares the change. The
first answer of OTC is the declaration copy or, by 簡易審査, the permit at once; what customs decides later is EXZ.
Only the 利用者コード that registered may go on (the scheme's codes are not among the delegated ones).

Taxes that a named security or account does not cover hold the permit back (SAF0221, SAF0211); OTC again, once they do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode
from sekisho.handlers.checks import body, stop
from sekisho.handlers.declarations import CUSTOMS_DECIDES, NUMBERS
from sekisho.handlers.duty_free_outputs import (
    account_notice,
    copy,
    declaration_copy,
    goods_value,
    input_copy,
    permit_set,
    shortage,
    verdict,
)
from sekisho.handlers.duty_free_states import DUTY_FREE, KIND, PERMITTED, REFUSED, REGISTERED, RELEASED
from sekisho.handlers.kit import SENDER, Context, Originator, Outcome, Output, Sender, handles, refuse, step
from sekisho.handlers.states import NEW
from sekisho.handlers.tariff import account_usable

__all__ = ["decide", "declare", "register", "register_change"]

_DECISION: Final = f"{KIND}.decide"
_FORMS: Final = ("SAD4031", "SAD4041", "SAD4071", "SAD4081", "SAD4131", "SAF0010", "SAF0021", "SAF0211", "SAF0221")


def _items(record: Record) -> dict[str, Any]:
    """What was sent, by short name; rows as lists without the blank ones at the end."""
    items: dict[str, Any] = {}
    for item in record.layout.items:
        items[item.id] = record.text(item.id) if item.repeat == 1 else record.texts(item.id)
    rows = [name for name, cells in items.items() if isinstance(cells, list)]
    used = max((len(items[name]) for name in rows), default=0)
    while used and not any(items[name][used - 1] for name in rows):
        used -= 1
    return items | {name: items[name][:used] for name in rows}


def _own(number: str, context: Context) -> dict[str, Any]:
    """The sender's declaration; E9001 if there is none, U9003 if another 利用者コード registered it."""
    data = context.records.get(KIND, number)
    if data is None:
        raise refuse(ResultCode("E9001", "ICN"), key=number)
    if data["user_code"] != context.user.user_code:
        raise refuse(ResultCode("U9003", "ICN"), key=number)
    return dict(data)


def _not_now(state: str, number: str) -> None:
    """Refuse: E9004 permitted, E9003 refused, E9002 declared, E9013 else."""
    codes = {PERMITTED: "E9004", RELEASED: "E9004", REFUSED: "E9003"}
    raise refuse(ResultCode(codes.get(state, "E9013" if state == REGISTERED else "E9002"), "ICN"), key=number)


def _after(data: Mapping[str, Any], event: str, number: str) -> str:
    state = DUTY_FREE.after(data["state"], event)
    if state is None:
        _not_now(data["state"], number)
    return str(state)


def _moment(context: Context) -> str:
    return context.now.isoformat(timespec="seconds")


@handles("OTA", outputs=["*SOTA", "SAD4011"])
def register(message: Message, context: Context) -> Outcome:
    """OTA: register and issue the number; with a number, replace the draft. Refuses with E9001, U9003, E9002-E9004."""
    record = body(message)
    number = record.text("ICN")
    if number:
        data = _own(number, context)
        data |= {"state": _after(data, "correct", number), "version": data["version"] + 1}
    else:
        number = context.numbers.next(NUMBERS)
        data = {
            "owner": context.user.id,
            "user_code": context.user.user_code,
            "system": "sea",
            "state": str(DUTY_FREE.after(NEW, "register")),
            "version": 1,
            "registered_by": "OTA",
            "registered_at": _moment(context),
        }
    data |= {"items": {**_items(record), "ICN": number}, "request": context.request}
    context.records.put(KIND, number, data)
    return Outcome(key=number, outputs=(input_copy(number, data, context),))


@handles("OTA01", outputs=["*SOTA01", "SAD4021"])
def register_change(message: Message, context: Context) -> Outcome:
    """OTA01: correct a draft, or register a change of what is declared and not permitted.

    Refuses with S9001 without a number; E9001, U9003; E9003, E9004.
    """
    record = body(message)
    number = record.text("ICN")
    stop([] if number else [ResultCode("S9001", "ICN")])
    data = _own(number, context)
    event = "correct" if data["state"] == REGISTERED else "register change"
    data |= {"state": _after(data, event, number), "version": data["version"] + 1}
    data |= {"items": {**_items(record), "ICN": number}, "request": context.request}
    context.schedule.cancel(_DECISION, number)
    context.records.put(KIND, number, data)
    return Outcome(key=number, outputs=(copy("SAD4021", "C", number, data, context),))


@handles("OTC", outputs=["*SOTC", *_FORMS, "SZOTC"])
def declare(message: Message, context: Context) -> Outcome:
    """OTC: declare what is registered, declare a registered change, or try again what was held.

    Refuses with S9001; E9001, U9003; E9002, E9003, E9004; R9003 where there are no goods.
    """
    number = body(message).text("ICN")
    stop([] if number else [ResultCode("S9001", "ICN")])
    data = _own(number, context)
    events = ("declare", "declare change", "declare again")
    event = next((one for one in events if DUTY_FREE.after(data["state"], one)), "declare")
    data["state"] = _after(data, event, number)
    items = data["items"]
    value = goods_value(items, context)
    stop([] if items.get("SKC") or value else [ResultCode("R9003")], key=number)
    office = str(items.get("CH") or context.business.get("default_office", ""))
    chosen = context.examinations.choose("OTC", office=office, value=value, remarks=items.get("NT1", ""))
    seconds = chosen.after.total_seconds() if chosen.after is not None else None
    data |= {
        "declarant": context.user.id,
        "declaration_request": context.request,
        "declared_at": data.get("declared_at") or _moment(context),
        "examination": asdict(chosen) | {"after": seconds},
    }
    if chosen.kind == "simple":
        return Outcome(key=number, outputs=_end(number, data, context, SENDER))
    context.records.put(KIND, number, data)
    context.schedule.cancel(_DECISION, number)
    if chosen.after is not None:
        context.schedule.at(context.now + chosen.after, _DECISION, number, {"decision": chosen.decision})
    return Outcome(key=number, outputs=declaration_copy(number, data, context, SENDER))


def _end(number: str, data: Mapping[str, Any], context: Context, to: Sender | Originator) -> tuple[Output, ...]:
    """Permit or release if the taxes are covered, else hold."""
    items = data["items"]
    missing = shortage(number, data, context, to)
    if not missing and not account_usable(items.get("PF", ""), context):
        missing = (account_notice(number, data, context, to),)
    event = "hold" if missing else "release" if items.get("BP") else "permit"
    ended = {**data, "state": _after(data, event, number)}
    if missing:
        context.records.put(KIND, number, ended)
        return missing
    ended["permitted_at"] = _moment(context)
    context.records.put(KIND, number, ended)
    return permit_set(number, ended, context, to)


def decide(number: str, decision: str, context: Context, *, note: str = "") -> tuple[Output, ...]:
    """Customs ends the examination: approve, refuse or correct. Outputs go to the declarant (EXZ).

    Refuses with E9001; E9013 where the state allows no such decision.
    """
    data = context.records.get(KIND, number)
    if data is None:
        raise refuse(ResultCode("E9001", "ICN"), key=number)
    to = Originator(data["declarant"], data["declaration_request"]) if "declarant" in data else None
    event = {"approve": "permit", "refuse": "refuse", "correct": "want correction"}[decision]
    state = DUTY_FREE.after(data["state"], event)
    if state is None or to is None:
        raise refuse(ResultCode("E9013", "ICN"), key=number)
    context.schedule.cancel(_DECISION, number)
    if decision == "approve":
        return _end(number, {**data, "officer_note": note}, context, to)
    decided = {**data, "state": state, "officer_note": note}
    context.records.put(KIND, number, decided)
    return (verdict(number, decided, context, to),)


@step(_DECISION)
def _decided(key: str, data: Mapping[str, Any], context: Context) -> Outcome:
    """Customs decides by itself; nothing, if the declaration has moved on meanwhile."""
    known = context.records.get(KIND, key)
    if known is None or DUTY_FREE.after(known["state"], "permit") is None:
        return Outcome(key=key)
    return Outcome(key=key, outputs=decide(key, data["decision"], context))


def _by_customs(
    number: str, data: Mapping[str, Any], decision: str, context: Context, note: str, condition: str
) -> tuple[Output, ...]:
    """IESET: the forms of the scheme have no place for a condition."""
    del data, condition
    return decide(number, decision, context, note=note)


CUSTOMS_DECIDES[KIND] = _by_customs
