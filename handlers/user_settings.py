"""User settings: URY, 利用者情報登録, and its browser form URY0W.

*Strategy.* Three actions on the password of one user ID (procedures 5.2; decisions, "URY"): C changes the sender's own,
I gives a sibling ID (same 利用者コード) a temporary one, X takes that back. The account keeps hashes, generations and
what is pending; here are only the rules. A password is never put into an outcome but the temporary one, once.

All numbers from 9001 up are provisional. The order is entitlement, relations, account: U9004, then R, then E.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import time
from typing import Final

from sekisho.codecs.message import Message
from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode, Rule, result_block
from sekisho.handlers.checks import body, stop
from sekisho.handlers.kit import Context, Outcome, Output, handles, refuse

__all__ = ["set_user"]

CHANGE: Final = "C"
INITIALISE: Final = "I"
CANCEL: Final = "X"
_PASSWORD: Final = re.compile("(?=.*[A-Z])(?=.*[0-9])[A-Z0-9]{6,8}")
"""6 to 8 characters A-Z and 0-9, at least one of each [spec]."""


def _items(record: Record, code: Callable[[str, str, int], ResultCode]) -> list[ResultCode]:
    """処理区分 is one of three; a change needs a password that keeps the rule (S9001 or S9005 PW1)."""
    action, password = record.text("KND"), record.text("PW1")
    if action not in (CHANGE, INITIALISE, CANCEL):
        return [code(Rule.VALUE, "KND", 0)] if action else []
    if action != CHANGE:
        return []
    if not password:
        return [code(Rule.MISSING, "PW1", 0)]
    return [] if _PASSWORD.fullmatch(password) else [code(Rule.VALUE, "PW1", 0)]


_HOURS: Final = (time(0), time(23))


@handles("URY0W", outputs=["*CURY0W", "CZURY"], items=_items, hours=_HOURS, slow=True, while_temporary=True)
@handles("URY", outputs=["*CURY", "CZURY"], items=_items, hours=_HOURS, slow=True, while_temporary=True)
def set_user(message: Message, context: Context) -> Outcome:
    """URY, URY0W: change (C), initialise (I) or take that back (X). While the password is temporary only C is open.

    Refuses with U0001, U9004, R9006, R9007, E9009 or E9013.
    """
    record = body(message)
    action, target = record.text("KND"), record.text("RID")
    if action == CHANGE:
        return _change(record, target, context)
    if context.accounts.state(context.user.id) == "temporary":
        raise refuse(ResultCode("U0001"))
    if target[:5] != context.user.user_code or target == context.user.id:
        raise refuse(ResultCode("U9004", "RID"))
    stop(ResultCode("R9007", item) for item in ("PW1", "PW2") if record.text(item))
    if context.accounts.state(target) is None or context.accounts.in_house(target):
        raise refuse(ResultCode("U9004", "RID"))
    if action == CANCEL:
        if not context.accounts.cancel_initialisation(target):
            raise refuse(ResultCode("E9013", "RID"))
        return Outcome()
    values = {"RES": result_block(()), "RID": target, "PWT": context.accounts.initialise(target)}
    return Outcome(outputs=(Output("CZURY", "C", values, layout="URY.out"),))


def _change(record: Record, target: str, context: Context) -> Outcome:
    if target != context.user.id:
        raise refuse(ResultCode("U9004", "RID"))
    password = record.text("PW1")
    if record.text("PW2") != password:
        raise refuse(ResultCode("R9006", "PW2"))
    if context.accounts.used_before(target, password):
        raise refuse(ResultCode("E9009", "PW1"))
    context.accounts.change(target, password)
    return Outcome()
