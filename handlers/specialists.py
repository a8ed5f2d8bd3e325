"""UTB, 通関士証票番号登録: the number of a specialist's licence, by user ID (procedures 8, wire reference 5).

*Strategy.* Whether an ID is one of a 通関士 says the registry; UTB adds the number, which permits print (通関士コード).
Official are the checks (S0007 to S0013: not a 通関士 ID and the like; U0002 outside hours); which hours is not known,
so they are URY's (our choice).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import time
from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode, Rule
from sekisho.handlers.checks import body, stop
from sekisho.handlers.kit import Context, Outcome, handles, refuse
from sekisho.handlers.review import review_of

__all__ = ["register_specialist", "specialist_number"]

_KIND: Final = "specialist"
_REGISTER, _REMOVE = "9", "1"


def specialist_number(data: Mapping[str, Any], context: Context) -> str:
    """通関士コード of a declaration: of who reviewed this version, else of who declared; blank without one."""
    review = data.get("review")
    user_id = str(review["by"]) if review and review_of(data) == "ok" else str(data.get("declarant", ""))
    known = context.records.get(_KIND, user_id) if user_id else None
    return str(known["number"]) if known is not None else ""


def _items(record: Record, code: Callable[[str, str, int], ResultCode]) -> list[ResultCode]:
    """処理区分 is 9 or 1."""
    return [] if record.text("KND") in ("", _REGISTER, _REMOVE) else [code(Rule.VALUE, "KND", 0)]


@handles("UTB", outputs=["*CUTB"], items=_items, hours=(time(0), time(23)))
def register_specialist(message: Message, context: Context) -> Outcome:
    """UTB: 9 registers the number of a 通関士's ID, 1 removes it.

    Refuses with U0002 (hours); U9003 (another company's ID); S0007 (not a 通関士 ID); R9005 (no number), R9007 (a
    number to remove); E9001 (nothing to remove).
    """
    record = body(message)
    user_id, number, remove = record.text("RID"), record.text("TBN"), record.text("KND") == _REMOVE
    if user_id[:5] != context.user.user_code:
        raise refuse(ResultCode("U9003", "RID"))
    if not context.accounts.specialist(user_id):
        raise refuse(ResultCode("S0007", "RID"))
    if remove:
        stop([ResultCode("R9007", "TBN")] if number else [])
        known = context.records.get(_KIND, user_id)
        stop([] if known is not None and known["number"] else [ResultCode("E9001", "RID")])
    else:
        stop([] if number else [ResultCode("R9005", "TBN")])
    context.records.put(_KIND, user_id, {"user_code": context.user.user_code, "number": number})
    return Outcome()
