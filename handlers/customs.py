"""Customs' own side: who may act for it, and where it hears of what it has to examine.

*Strategy.* Customs is a user like any other, of the 業種 that the setting ``customs_trade`` names (default
``customs``), so an officer's system, an operator (``sekisho act``) and a test act by the same messages. Businesses
whose codes only customs may send ask :func:`customs_only` first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode, Rule
from sekisho.handlers.kit import Context, Party, refuse

__all__ = ["DECISIONS", "customs_only", "customs_parties", "decision_values"]

DECISIONS: Final = {"A": "approve", "R": "refuse", "C": "correct"}
"""審査結果 as customs sends it -> the decision, in the words of :class:`~sekisho.handlers.kit.Examination`."""


def customs_only(context: Context) -> None:
    """Refuse with U9001 whoever is not of customs' 業種."""
    if context.user.trade != context.business.get("customs_trade", "customs"):
        raise refuse(ResultCode("U9001"))


def customs_parties(context: Context) -> tuple[Party, ...]:
    """Customs' 利用者コード by the setting ``customs_user``, for copies of what waits for it; nobody if it is empty."""
    user_code = str(context.business.get("customs_user", ""))
    return (Party(user_code=user_code),) if user_code else ()


def decision_values(record: Record, code: Callable[[str, str, int], ResultCode]) -> list[ResultCode]:
    """審査結果 (RES) is A, R or C."""
    return [] if record.text("RES") in ("", *DECISIONS) else [code(Rule.VALUE, "RES", 0)]
