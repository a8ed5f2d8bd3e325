"""時間外執務要請届: OSA registers a request for service outside office hours, IOS inquires (procedures 4.1, 9.5).

*Strategy.* What declarations ask is whether a user code has a request that covers this moment at an office; so beside
the request itself (kind ``overtime``, keyed by its 受理番号) a record of kind ``overtime-day`` is kept for every day it
touches, keyed office/user code/day, and one of kind ``overtime-list``, keyed office/user code, with the newest numbers.
All three are read by key. A request covers its first minute and its last.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode, result_block
from sekisho.handlers.checks import body, exactly_one, stop
from sekisho.handlers.filling import filled
from sekisho.handlers.kit import Context, Outcome, Output, handles, layout_of, refuse
from sekisho.handlers.tables import system_letter

__all__ = ["covered", "inquire_overtime", "request_overtime"]

KIND: Final = "overtime"
_DAY: Final = "overtime-day"
_LIST: Final = "overtime-list"
_MOST_DAYS: Final = 31
"""Days one request may span (setting ``overtime_days``): every day it touches is written once (our choice)."""
_SPANS: Final = 100
"""Requests that count on one day at one office; of more the newest, so that nobody makes a record grow without end."""
_ROWS: Final = 50
"""Rows of the inquiry's table; of more requests the newest."""


def covered(office: str, context: Context) -> bool:
    """Whether a request of the sender's 利用者コード covers this moment at ``office``."""
    day = context.records.get(_DAY, f"{office}/{context.user.user_code}/{context.now:%Y%m%d}")
    now = f"{context.now:%Y%m%d%H%M}"
    return day is not None and any(start <= now <= end for start, end in day["spans"])


def _span(record: Record) -> tuple[str, str]:
    """Start and end as YYYYMMDDhhmm."""
    return record.text("RSY") + record.text("RSH"), record.text("REY") + record.text("REH")


def _days(start: str, end: str, most: int) -> list[str]:
    """The days from start to end; no more than one beyond ``most``."""
    day, last = datetime.strptime(start[:8], "%Y%m%d"), end[:8]  # noqa: DTZ007 - a day of the calendar, nowhere
    out: list[str] = []
    while f"{day:%Y%m%d}" <= last and len(out) <= most:
        out.append(f"{day:%Y%m%d}")
        day += timedelta(days=1)
    return out


@handles("OSA", outputs=["*SOSA", "*AOSA"])
def request_overtime(message: Message, context: Context) -> Outcome:
    """OSA: register a request and issue its 受理番号.

    Refuses with S0003 (office unknown; which of S0003-S0007 means which is not known); R9002, R9010.
    """
    record = body(message)
    office = record.text("ZKN")
    stop([] if context.hours.office_name(office) else [ResultCode("S0003", "ZKN")])
    start, end = _span(record)
    most = int(context.business.get("overtime_days", _MOST_DAYS))
    stop([ResultCode("R9002", "REY")] if end <= start else [])
    days = _days(start, end, most)
    stop([ResultCode("R9010", "REY")] if len(days) > most else [])
    number, user_code = context.numbers.next(KIND), context.user.user_code
    data: dict[str, Any] = {
        "owner": context.user.id,
        "user_code": user_code,
        "office": office,
        "type": record.text("SYC"),
        "start": start,
        "end": end,
        "declarations": [text for text in record.texts("BN_") if text],
        "reason": record.text("NT1"),
        "registered_at": context.now.isoformat(timespec="seconds"),
        "request": context.request,
    }
    context.records.put(KIND, number, data)
    for day in days:
        _add(_DAY, f"{office}/{user_code}/{day}", "spans", [start, end], context, most=_SPANS)
    _add(_LIST, f"{office}/{user_code}", "numbers", number, context, most=_ROWS)
    return Outcome(key=number)


def _add(kind: str, key: str, name: str, value: object, context: Context, *, most: int) -> None:
    """Append to the list of a record, once; of more than ``most`` the first ones go."""
    known = context.records.get(kind, key)
    kept = list(known[name]) if known is not None else []
    if value not in kept:
        context.records.put(kind, key, {name: [*kept, value][-most:]})


@handles("IOS", outputs=["SZIOS", "AZIOS"])
def inquire_overtime(message: Message, context: Context) -> Outcome:
    """IOS: one request by its 受理番号, or the sender's newest ones at an office.

    Refuses with R9001; E9001, U9003. Several answers stand in the order of their numbers' issue.
    """
    record = body(message)
    stop(exactly_one(record, ("UKN", "ZKN")))
    number, office = record.text("UKN"), record.text("ZKN")
    if number:
        numbers = [number]
    else:
        known = context.records.get(_LIST, f"{office}/{context.user.user_code}")
        numbers = list(known["numbers"]) if known is not None else []
    found = [(one, context.records.get(KIND, one)) for one in numbers]
    if not found or found[0][1] is None:
        raise refuse(ResultCode("E9001", "UKN" if number else "ZKN"), key=number)
    if number and found[0][1]["user_code"] != context.user.user_code:
        raise refuse(ResultCode("U9003", "UKN"), key=number)
    rows = [_row(one, data) for one, data in found if data is not None]
    values = {name: [row[name] for row in rows] for name in rows[0]} | {"RES": result_block(())}
    code = f"{system_letter('IOS', message.header.system)}ZIOS"
    return Outcome(
        key=number,
        outputs=(Output(code, "M", filled(layout_of(context, "SZIOS.out"), values), layout="SZIOS.out"),),
        notice=False,
    )


def _row(number: str, data: Mapping[str, Any]) -> dict[str, str]:
    return {
        "UK_": number,
        "SY_": data["type"],
        "ZK_": data["office"],
        "SD_": data["start"][:8],
        "ST_": data["start"][8:],
        "ED_": data["end"][:8],
        "ET_": data["end"][8:],
        "RG_": data["registered_at"][:10].replace("-", ""),
    }
