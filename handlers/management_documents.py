"""Management documents (管理資料): DLH01 asks for one again (wire reference 6.2).

*Strategy.* DLH01 answers W0001 (accepted) at once; the document itself is made in the hours in which they are worked
off (09:00 to 18:45 [spec]), by a step, and comes as CSV with 宛管形式 K. There is one document, 001: 搬出入等一覧, what
the sender's 利用者コード has registered and confirmed of cargo in the days asked for (:mod:`sekisho.handlers.ledger`).

The CSV has a line of column names, one line a movement, and ends with a line of how many there were; more rows than fit
into one message make another document. A code that ends with ``-`` takes the movement back. All of this is ours.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from datetime import datetime, time, timedelta
from typing import Any, Final

from sekisho.codecs.layout import Item
from sekisho.codecs.message import Message
from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode, Rule
from sekisho.handlers.checks import body, not_before, stop
from sekisho.handlers.filling import fit
from sekisho.handlers.kit import Context, Outcome, Output, handles, step
from sekisho.handlers.ledger import day_of

__all__ = ["ask_again"]

_MOVEMENTS: Final = "001"
_OPENS, _CLOSES = time(9), time(18, 45)
"""When documents are worked off [spec]."""
_DAYS: Final = 7
"""Days one request may span (setting ``management_days``): undelivered output is kept for seven days (our choice)."""
_ROWS: Final = 4000
"""Rows of one document (setting ``management_rows``): of at most 150 bytes, so that it stays below 700,000 bytes."""
_HEAD: Final = ("年月日", "時刻", "業務コード", "番号", "貨物管理番号", "保税地域コード", "個数", "重量")
_CELL: Final = Item(0, "", "", "j", 60, "", 1, "", secret=False, note="")


def _items(record: Record, code: Callable[[str, str, int], ResultCode]) -> list[ResultCode]:
    """処理区分 is 9 [spec], the document 001."""
    found = [code(Rule.VALUE, "KND", 0)] if record.text("KND") not in ("", "9") else []
    return found + ([code(Rule.VALUE, "DCN", 0)] if record.text("DCN") not in ("", _MOVEMENTS) else [])


@handles("DLH01", outputs=["*CDLH01", "CZDLH01"], items=_items)
def ask_again(message: Message, context: Context) -> Outcome:
    """DLH01: accept the request for a document over some days before today; it comes when they are worked off.

    Answers W0001. Refuses with S9004; S9003 for a day that is not before today; R9002, R9010 (too many days).
    """
    record = body(message)
    today = f"{context.now:%Y%m%d}"
    stop(ResultCode("S9003", item) for item in ("SDT", "EDT") if record.text(item) >= today)
    stop(not_before(record, "SDT", "EDT"))
    first, last = record.text("SDT"), record.text("EDT")
    most = int(context.business.get("management_days", _DAYS))
    stop([ResultCode("R9010", "EDT")] if len(_days(first, last, most)) > most else [])
    asked = {"user_code": context.user.user_code, "first": first, "last": last}
    context.schedule.at(_worked_off(context.now), "management.write", f"{context.user.id}/{context.request}", asked)
    return Outcome(results=(ResultCode("W0001"),))


def _worked_off(now: datetime) -> datetime:
    """The first moment from now on at which documents are worked off."""
    if now.time() < _OPENS:
        return now.replace(hour=_OPENS.hour, minute=0, second=0, microsecond=0)
    if now.time() <= _CLOSES:
        return now
    return (now + timedelta(days=1)).replace(hour=_OPENS.hour, minute=0, second=0, microsecond=0)


def _days(first: str, last: str, most: int) -> list[str]:
    """The days from first to last; no more than one beyond ``most``."""
    day = datetime.strptime(first, "%Y%m%d")  # noqa: DTZ007 - a day of the calendar, nowhere
    out: list[str] = []
    while f"{day:%Y%m%d}" <= last and len(out) <= most:
        out.append(f"{day:%Y%m%d}")
        day += timedelta(days=1)
    return out


@step("management.write")
def _write(key: str, data: Mapping[str, Any], context: Context) -> Outcome:
    """Documents are worked off: write what was asked for."""
    del key
    rows: list[list[str]] = []
    count = 0
    for day in _days(data["first"], data["last"], int(context.business.get("management_days", _DAYS))):
        kept, of_day = day_of(data["user_code"], day, context)
        rows += [[day, *row] for row in kept]
        count += of_day
    most = int(context.business.get("management_rows", _ROWS))
    parts = [rows[at : at + most] for at in range(0, len(rows), most)] or [[]]
    subject = f"{data['first']}-{data['last']}"
    return Outcome(
        key="", outputs=tuple(Output("CZDLH01", "P", {}, text=_csv(part, count), subject=subject) for part in parts)
    )


def _csv(rows: list[list[str]], count: int) -> str:
    """Lines end with CRLF; a cell is quoted where it has to be, and shortened to what an item would hold."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(_HEAD)
    writer.writerows([fit(_CELL, cell) for cell in row] for row in rows)
    writer.writerow(["件数", count])
    return out.getvalue()
