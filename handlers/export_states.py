"""The state tables of export declarations: 輸出申告 with its change of a permit, and 輸出マニフェスト通関申告.

Boxes and progress numbers 1 to 7 are official (procedures 6); which change is possible when, and what customs does not
approve going back to where it came from, is ours. So is that a manifest declaration is changed by sending it again.
"""

from __future__ import annotations

from typing import Final

from sekisho.handlers.declarations import declaration_events, declaration_states, declaration_transitions
from sekisho.handlers.examined import (
    APPROVED,
    CORRECTION_WANTED,
    EXAMINED_STATES,
    EXAMINED_TRANSITIONS,
    REFUSED,
    REGISTERED,
    UNDER_EXAMINATION,
    examined_events,
)
from sekisho.handlers.states import Event, Machine

__all__ = [
    "EXPORT_DECLARATION",
    "EXPORT_MANIFEST",
    "PERMIT_CHANGED",
    "PERMIT_CHANGE_APPLIED",
    "PERMIT_CHANGE_REGISTERED",
]

PERMIT_CHANGE_REGISTERED: Final = "permit-change-registered"
PERMIT_CHANGE_APPLIED: Final = "permit-change-applied"
PERMIT_CHANGED: Final = "permit-changed"

_PERMITTED: Final = ("輸出許可済み", "permitted")
_OPEN: Final = (APPROVED, PERMIT_CHANGED, PERMIT_CHANGE_REGISTERED)
"""Permits whose change may be registered."""

EXPORT_DECLARATION: Final = Machine(
    name="export-declaration",
    title=("輸出申告", "export declaration"),
    kind="export-declaration",
    states={
        **declaration_states(_PERMITTED),
        PERMIT_CHANGE_REGISTERED: ("許可内容変更事項登録済み", "change of the permit registered"),
        PERMIT_CHANGE_APPLIED: ("許可内容変更申請中", "change of the permit applied for"),
        PERMIT_CHANGED: ("許可内容変更承認済み", "change of the permit approved"),
    },
    events={
        **declaration_events("EDA, UEA", "EDB, UEB", "EDC, UEC", "EDD, EDA01, EDE"),
        "call up permit": Event("許可内容変更呼出し", "permit called up for a change", "EPCHB"),
        "register permit change": Event("許可内容変更事項登録", "change of the permit registered", "EPCHA"),
        "apply permit change": Event("許可内容変更申請", "change of the permit applied for", "EPCHC"),
        "approve permit change": Event(
            "許可内容変更承認", "change of the permit approved", "IESET A; simple examination"
        ),
        "want permit correction": Event("許可内容変更訂正依頼", "correction of the change wanted", "IESET C"),
        "back to approved": Event("許可内容変更不承認", "change not approved", "IESET R"),
        "back to permit-changed": Event("許可内容変更不承認", "further change not approved", "IESET R"),
    },
    transitions={
        **declaration_transitions(),
        **{(state, "call up permit"): state for state in _OPEN},
        **{(state, "register permit change"): PERMIT_CHANGE_REGISTERED for state in _OPEN},
        (PERMIT_CHANGE_REGISTERED, "apply permit change"): PERMIT_CHANGE_APPLIED,
        (PERMIT_CHANGE_APPLIED, "approve permit change"): PERMIT_CHANGED,
        (PERMIT_CHANGE_APPLIED, "want permit correction"): PERMIT_CHANGE_REGISTERED,
        (PERMIT_CHANGE_APPLIED, "back to approved"): APPROVED,
        (PERMIT_CHANGE_APPLIED, "back to permit-changed"): PERMIT_CHANGED,
    },
    source="procedures 6, 7, 8 and 11 (progress numbers official; the states between, refusals and ways back ours)",
    notes=(
        "Progress: 1 `under-examination`, `correction-wanted`; 2 `change-registered`; 3 `changed`; 4 `approved`.",
        "Of a permit: 5 `permit-change-registered`; 6 `permit-change-applied`; 7 `permit-changed`.",
        "`declared` is passed in one step. IESET (end of an examination) and EPCHA, EPCHB, EPCHC are codes of ours.",
    ),
)
"""EDA and UEA to the permit and beyond."""

EXPORT_MANIFEST: Final = Machine(
    name="export-manifest",
    title=("輸出マニフェスト通関申告", "export manifest declaration"),
    kind="export-manifest",
    states={**EXAMINED_STATES, REFUSED: ("不許可", "refused"), APPROVED: _PERMITTED},
    events={
        **examined_events("MEC", "IESET"),
        "call up": Event("申告呼出し", "called up", "MED"),
        "change": Event("再申告", "declared again", "MEC with the number"),
    },
    transitions={
        **{key: after for key, after in EXAMINED_TRANSITIONS.items() if key[0] != REGISTERED},
        **{(state, "call up"): state for state in (UNDER_EXAMINATION, CORRECTION_WANTED)},
        (UNDER_EXAMINATION, "change"): UNDER_EXAMINATION,
        (CORRECTION_WANTED, "change"): UNDER_EXAMINATION,
        (UNDER_EXAMINATION, "document examination"): UNDER_EXAMINATION,
        (UNDER_EXAMINATION, "simple examination"): APPROVED,
    },
    source="procedures 4.3 and 6 (one shot and re-opening official, states and ways back ours)",
    notes=("`declared` is passed in one step. IESET, customs' end of the examination, is a code of ours.",),
)
"""MEC to the permit."""
