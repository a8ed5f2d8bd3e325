"""The state table of bonded transport (保税運送), procedures 6.

Boxes and the three kinds of start are official; letters and the states between are inferred. Ours: what customs wants
corrected or refuses, a change that is not granted goes back to where it came from, and a gate-out may be taken back.
"""

from __future__ import annotations

from typing import Final

from sekisho.handlers.examined import (
    APPROVED,
    CORRECTION_WANTED,
    DECLARED,
    EXAMINED_STATES,
    EXAMINED_TRANSITIONS,
    REGISTERED,
    UNDER_EXAMINATION,
    WAITING_FOR_ARRIVAL,
    WAITING_FOR_OPENING,
    examined_events,
)
from sekisho.handlers.states import NEW, Event, Machine

__all__ = [
    "ARRIVED",
    "BONDED_TRANSPORT",
    "CANCELLED",
    "CHANGE_PENDING",
    "IN_TRANSIT",
    "KIND",
    "PERIOD_EXTENDED",
    "VOID",
]

KIND: Final = "bonded-transport"
"""Kind of the records and of their numbers."""

VOID: Final = "void"
CHANGE_PENDING: Final = "change-pending"
PERIOD_EXTENDED: Final = "period-extended"
CANCELLED: Final = "cancelled"
IN_TRANSIT: Final = "in-transit"
ARRIVED: Final = "arrived"

BONDED_TRANSPORT: Final = Machine(
    name="bonded-transport",
    title=("保税運送", "bonded transport"),
    kind=KIND,
    states={
        REGISTERED: ("事項登録済み", "registered"),
        VOID: ("登録取消し", "void"),
        **EXAMINED_STATES,
        CHANGE_PENDING: ("変更審査中", "change pending"),
        PERIOD_EXTENDED: ("運送期間延長済み", "period extended"),
        CANCELLED: ("取消し承認済み", "cancelled"),
        IN_TRANSIT: ("運送中", "in transit"),
        ARRIVED: ("到着済み", "arrived"),
    },
    events={
        "register": Event("事項登録", "registered", "OLA 9"),
        "call up": Event("事項登録呼出し", "called up", "OLA11"),
        "correct": Event("事項訂正", "corrected", "OLA 5"),
        "cancel": Event("登録取消し", "taken back", "OLA 1"),
        **examined_events("OLC, OLC20", "SET"),
        "call up declaration": Event("申告呼出し", "declaration called up", "OLC11"),
        "correct declaration": Event("申告訂正", "waiting declaration corrected", "OLC 5"),
        "cancel declaration": Event("申告取消し", "waiting declaration taken back", "OLC 1"),
        "accept individual transport": Event("個別運送受付", "individual transport accepted", "OLC, OLC20 with HNO"),
        "call up for change": Event("変更呼出し", "called up for a change", "SOT11"),
        "ask for change": Event("変更申請", "change asked for", "SOT 5, 1, E"),
        "approve change": Event("訂正承認", "correction approved", "SET A"),
        "approve cancellation": Event("取消し承認", "cancellation approved", "SET A"),
        "approve extension": Event("延長承認", "extension approved", "SET A"),
        "back to under-examination": Event("変更不承認", "change not granted", "SET R, C"),
        "back to correction-wanted": Event("変更不承認", "change not granted", "SET R, C"),
        "back to approved": Event("承認に戻る", "change not granted, gate-out taken back", "SET R, C; BOA 1, CYO 1"),
        "back to period-extended": Event("延長承認に戻る", "the same, of an extended period", "SET R, C; BOA 1, CYO 1"),
        "gate out": Event("搬出", "gone out", "BOA 9, CYO 9"),
        "further container": Event("後続コンテナ搬出", "another container gone out or taken back", "CYO 9, CYO 1"),
        "arrive": Event("搬入", "arrived", "BIA"),
    },
    transitions={
        (NEW, "register"): REGISTERED,
        (REGISTERED, "call up"): REGISTERED,
        (REGISTERED, "correct"): REGISTERED,
        (REGISTERED, "cancel"): VOID,
        **EXAMINED_TRANSITIONS,
        (WAITING_FOR_OPENING, "call up declaration"): WAITING_FOR_OPENING,
        (WAITING_FOR_ARRIVAL, "call up declaration"): WAITING_FOR_ARRIVAL,
        (WAITING_FOR_OPENING, "correct declaration"): WAITING_FOR_OPENING,
        (WAITING_FOR_ARRIVAL, "correct declaration"): WAITING_FOR_ARRIVAL,
        (WAITING_FOR_OPENING, "cancel declaration"): VOID,
        (WAITING_FOR_ARRIVAL, "cancel declaration"): VOID,
        (DECLARED, "accept individual transport"): APPROVED,
        **{
            (state, event): CHANGE_PENDING if event == "ask for change" else state
            for state in (UNDER_EXAMINATION, CORRECTION_WANTED, APPROVED, PERIOD_EXTENDED)
            for event in ("call up for change", "ask for change")
        },
        (CHANGE_PENDING, "approve change"): APPROVED,
        (CHANGE_PENDING, "approve cancellation"): CANCELLED,
        (CHANGE_PENDING, "approve extension"): PERIOD_EXTENDED,
        (CHANGE_PENDING, "back to under-examination"): UNDER_EXAMINATION,
        (CHANGE_PENDING, "back to correction-wanted"): CORRECTION_WANTED,
        (CHANGE_PENDING, "back to approved"): APPROVED,
        (CHANGE_PENDING, "back to period-extended"): PERIOD_EXTENDED,
        (APPROVED, "gate out"): IN_TRANSIT,
        (PERIOD_EXTENDED, "gate out"): IN_TRANSIT,
        (IN_TRANSIT, "further container"): IN_TRANSIT,
        (IN_TRANSIT, "back to approved"): APPROVED,
        (IN_TRANSIT, "back to period-extended"): PERIOD_EXTENDED,
        (IN_TRANSIT, "arrive"): ARRIVED,
    },
    source="procedures 6 and 9 (boxes and starts official, states between inferred, refusals and ways back ours)",
    notes=(
        "`declared` is passed in one step; what the official diagram calls declared is `under-examination` here.",
        "A change, an extension and a cancellation always wait for SET (審査終了), whatever the first examination was.",
    ),
)
"""State and event -> next state; an event that a state does not list is refused there."""
