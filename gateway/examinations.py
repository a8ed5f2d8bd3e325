"""Customs' choice of examination: rules of the settings, the first that matches counts.

*Strategy.* Rules are plain data, asked in their order: a test steers what customs does without anybody acting for it,
and sees in the settings why.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from msgspec import Meta, Struct

from sekisho.handlers.kit import SIMPLE, Examination

__all__ = ["ExaminationRule", "ExaminationsOf"]

Filled = Annotated[str, Meta(min_length=1)]


class ExaminationRule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[examination]]``: how customs examines what matches every pattern; the first rule that matches counts."""

    code: Filled = "*"
    """Business codes (``*`` and ``?`` allowed)."""
    user: Filled = "*"
    """User IDs."""
    office: Filled = "*"
    """税関官署."""
    value_over: Annotated[int, Meta(ge=0)] = 0
    """Only above this value in yen; 0: any, also where the business knows none."""
    marker: str = ""
    """Only where the remarks (記事) hold this text."""
    kind: Literal["simple", "documents", "inspection"] = "documents"
    """simple: accepted at once; documents (書類審査) and inspection (検査) wait for a decision."""
    after_seconds: Annotated[float, Meta(ge=0)] = 0
    """Customs decides by itself after so long; 0: an officer's message or an operator does."""
    decision: Literal["approve", "refuse", "correct"] = "approve"
    """What it then decides."""


class ExaminationsOf:
    """The rules as one user's messages meet them; see :class:`sekisho.handlers.kit.Examinations`."""

    def __init__(self, rules: Sequence[ExaminationRule], user_id: str) -> None:
        self._rules = [rule for rule in rules if fnmatchcase(user_id, rule.user)]

    def choose(self, code: str, *, office: str = "", value: int = 0, remarks: str = "") -> Examination:
        """The first rule that matches; simple examination where none does."""
        for rule in self._rules:
            if (
                fnmatchcase(code, rule.code)
                and fnmatchcase(office, rule.office)
                and (not rule.value_over or value > rule.value_over)
                and rule.marker in remarks
            ):
                after = timedelta(seconds=rule.after_seconds) if rule.after_seconds else None
                return Examination(rule.kind, after, rule.decision)
        return SIMPLE
