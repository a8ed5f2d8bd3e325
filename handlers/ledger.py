"""What each 利用者コード has done day by day, for management documents (管理資料).

*Strategy.* One row a movement of cargo, written by the business that moved it: pages of 100 rows (kind ``ledger``, key
user code/YYYYMMDD/page) behind one count a day (kind ``ledger-day``), so that a row is one small write however long the
day is. A day keeps no more than the setting ``ledger_rows`` allows; what comes later is counted only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sekisho.handlers.kit import Context

__all__ = ["COLUMNS", "day_of", "note"]

COLUMNS: Final = ("time", "code", "number", "cargo", "place", "packages", "weight")
"""Cells of a row: hhmm, 業務コード, its own number, 貨物管理番号, 保税地域, 個数, 重量."""
_DAY: Final = "ledger-day"
_PAGE: Final = "ledger"
_PAGE_ROWS: Final = 100
_ROWS: Final = 2000
"""Rows a day keeps (setting ``ledger_rows``): one day is then under 200,000 bytes, a week within few letters."""

Row = Sequence[str | int | float]


def note(rows: Sequence[Row], context: Context) -> None:
    """Append rows, without their time, to the sender's day."""
    day = f"{context.user.user_code}/{context.now:%Y%m%d}"
    head = context.records.get(_DAY, day)
    count = int(head["count"]) if head is not None else 0
    most = int(context.business.get("ledger_rows", _ROWS))
    kept = [[f"{context.now:%H%M}", *row] for row in rows[: max(0, most - count)]]
    at = count
    while kept:
        page, used = divmod(at, _PAGE_ROWS)
        fits, kept = kept[: _PAGE_ROWS - used], kept[_PAGE_ROWS - used :]
        known = context.records.get(_PAGE, f"{day}/{page}")
        context.records.put(_PAGE, f"{day}/{page}", {"rows": [*(known["rows"] if known is not None else ()), *fits]})
        at += len(fits)
    context.records.put(_DAY, day, {"count": count + len(rows)})


def day_of(user_code: str, day: str, context: Context) -> tuple[list[list[str]], int]:
    """The rows kept of a day (YYYYMMDD), and how many there were."""
    head = context.records.get(_DAY, f"{user_code}/{day}")
    count = int(head["count"]) if head is not None else 0
    rows: list[list[str]] = []
    for page in range(-(-count // _PAGE_ROWS)):
        known = context.records.get(_PAGE, f"{user_code}/{day}/{page}")
        if known is None:
            break
        rows += [[str(cell) for cell in row] for row in known["rows"]]
    return rows, count
