"""The state table of ship-side and lighter handling (本船・ふ中扱い), procedures 6 and 10."""

from __future__ import annotations

from typing import Final

from sekisho.handlers.examined import (
    APPROVED,
    CORRECTION_WANTED,
    EXAMINED_STATES,
    EXAMINED_TRANSITIONS,
    REFUSED,
    REGISTERED,
    UNDER_EXAMINATION,
    WAITING_FOR_ARRIVAL,
    WAITING_FOR_OPENING,
    examined_events,
)
from sekisho.handlers.states import NEW, Event, Machine

__all__ = ["ENDED", "SHIP_SIDE_HANDLING", "WITHDRAWN", "state_digit"]

WITHDRAWN: Final = "withdrawn"
ENDED: Final = (REFUSED, WITHDRAWN)
_WAITING: Final = (WAITING_FOR_OPENING, WAITING_FOR_ARRIVAL)
_EXAMINED: Final = (UNDER_EXAMINATION, CORRECTION_WANTED, APPROVED)

SHIP_SIDE_HANDLING: Final = Machine(
    name="ship-side",
    title=("本船・ふ中扱い", "ship-side and lighter handling"),
    kind="ship-side",
    states={
        REGISTERED: ("事項登録済み", "registered"),
        **EXAMINED_STATES,
        WITHDRAWN: ("取下げ済み", "withdrawn"),
    },
    events={
        "register": Event("事項登録", "registered", "HFA"),
        "call up": Event("事項登録呼出し", "called up", "HFD"),
        "correct": Event("事項訂正", "corrected", "HFA01"),
        **examined_events("HFC, HFC20", "HFSET"),
        "change": Event("申請変更", "application changed", "HFE20 5"),
        "withdraw": Event("取下げ", "application withdrawn", "HFE20 1"),
    },
    transitions={
        (NEW, "register"): REGISTERED,
        (REGISTERED, "call up"): REGISTERED,
        (REGISTERED, "correct"): REGISTERED,
        **EXAMINED_TRANSITIONS,
        **{(state, "change"): state for state in _WAITING},
        **{(state, "change"): UNDER_EXAMINATION for state in _EXAMINED},
        **{(state, "withdraw"): WITHDRAWN for state in (*_WAITING, *_EXAMINED)},
    },
    source="procedures 6 and 10 (HFD to HFE20 official, states inferred, what HFE20 does after an approval ours)",
    notes=("`declared` is passed in one step. HFSET, customs' end of the examination, is a code of ours.",),
)
"""State and event -> next state; an event that a state does not list is refused there."""


def state_digit(state: str) -> str:
    """申請状態 as the copies print it: 1 registered, 2 applied for, 3 approved, 9 void (ours)."""
    return {REGISTERED: "1", APPROVED: "3", REFUSED: "9", WITHDRAWN: "9"}.get(state, "2")
