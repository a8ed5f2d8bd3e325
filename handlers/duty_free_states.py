"""The state table of the Okinawa duty-free import scheme (沖縄特免制度).

Registration, declaration and the forms of their ends are observed; which change is possible when, and what happens to
what cannot be paid, is ours. ``PROGRESS`` gives the official progress numbers (procedures 6).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from sekisho.handlers.states import NEW, Event, Machine

__all__ = [
    "CHANGED",
    "CHANGE_REGISTERED",
    "CORRECTION_WANTED",
    "DECLARED",
    "DUTY_FREE",
    "HELD",
    "KIND",
    "PERMITTED",
    "PROGRESS",
    "REFUSED",
    "REGISTERED",
    "RELEASED",
]

KIND: Final = "duty-free-import"
REGISTERED: Final = "registered"
DECLARED: Final = "declared"
HELD: Final = "held"
CORRECTION_WANTED: Final = "correction-wanted"
CHANGE_REGISTERED: Final = "change-registered"
CHANGED: Final = "changed"
PERMITTED: Final = "permitted"
RELEASED: Final = "released"
REFUSED: Final = "refused"

_EXAMINED: Final = (DECLARED, CHANGED)

DUTY_FREE: Final = Machine(
    name="duty-free-import",
    title=("輸入申告（沖縄特免制度）", "import declaration, Okinawa duty-free scheme"),
    kind=KIND,
    states={
        REGISTERED: ("事項登録済み", "registered"),
        DECLARED: ("申告済み（審査中）", "declared, under examination"),
        HELD: ("担保・口座不足", "held: security or account does not cover the taxes"),
        CORRECTION_WANTED: ("訂正待ち", "correction wanted"),
        CHANGE_REGISTERED: ("変更事項登録済み", "change registered"),
        CHANGED: ("変更申告済み（審査中）", "changed, under examination"),
        PERMITTED: ("許可済み", "permitted"),
        RELEASED: ("許可前引取承認済み", "released before the permit"),
        REFUSED: ("不許可", "refused"),
    },
    events={
        "register": Event("事項登録", "registered", "OTA without a number"),
        "correct": Event("事項訂正", "corrected", "OTA, OTA01 with the number"),
        "declare": Event("申告", "declared", "OTC"),
        "register change": Event("変更事項登録", "change registered", "OTA01"),
        "declare change": Event("変更申告", "change declared", "OTC"),
        "permit": Event("許可", "permitted", "the rules of examination, customs, time"),
        "release": Event("許可前引取承認", "released", "the same, with ＢＰ申請事由"),
        "hold": Event("担保・口座不足", "held", "the same, where the taxes are not covered"),
        "want correction": Event("訂正依頼", "correction wanted", "customs, time"),
        "refuse": Event("不許可", "refused", "customs, time"),
        "declare again": Event("再申告", "declared again", "OTC"),
    },
    transitions={
        (NEW, "register"): REGISTERED,
        (REGISTERED, "correct"): REGISTERED,
        (REGISTERED, "declare"): DECLARED,
        **{(state, "permit"): PERMITTED for state in _EXAMINED},
        **{(state, "release"): RELEASED for state in _EXAMINED},
        **{(state, "hold"): HELD for state in _EXAMINED},
        **{(state, "want correction"): CORRECTION_WANTED for state in _EXAMINED},
        **{(state, "refuse"): REFUSED for state in (*_EXAMINED, CORRECTION_WANTED, HELD)},
        (HELD, "declare again"): DECLARED,
        **{
            (state, "register change"): CHANGE_REGISTERED
            for state in (*_EXAMINED, HELD, CORRECTION_WANTED, CHANGE_REGISTERED)
        },
        (CHANGE_REGISTERED, "declare change"): CHANGED,
    },
    source="observed (OTA, OTA01, OTC and their forms), states between inferred, holding and changes ours",
    notes=(
        "While a change is registered customs does not decide; it decides about what OTC declares then.",
        "Progress of an inquiry: 1 declared, held, correction-wanted; 2 change-registered; 3 changed; 4 permitted.",
    ),
)
"""State and event -> next state; an event that a state does not list is refused there."""

PROGRESS: Final[Mapping[str, str]] = MappingProxyType(
    {
        DECLARED: "1",
        HELD: "1",
        CORRECTION_WANTED: "1",
        CHANGE_REGISTERED: "2",
        CHANGED: "3",
        PERMITTED: "4",
        RELEASED: "1",
    }
)
"""進捗 of a state; blank for what is not declared or refused."""
