"""Import manifest clearance by air: MIC declares in one shot, MID re-opens it (procedures 4.3).

*Strategy.* A family of declarations beside the other imports. MIC without a number is new; with the number of what is
not decided yet it takes the former message's place and is declared anew (that is what MID's screen is for; our choice).
There is no draft that a specialist could review, so no review is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.results import ResultCode
from sekisho.handlers.arrivals import forget_arrival
from sekisho.handlers.checks import body, stop
from sekisho.handlers.declaration_outputs import verdict
from sekisho.handlers.declarations import (
    CHANGED,
    Declaration,
    declaration_events,
    declaration_states,
    declaration_transitions,
    entitled,
    family,
    merged,
    next_state,
    system_of,
)
from sekisho.handlers.declaring import declare
from sekisho.handlers.examined import (
    CORRECTION_WANTED,
    REGISTERED,
    UNDER_EXAMINATION,
    WAITING_FOR_ARRIVAL,
    WAITING_FOR_OPENING,
    forget_start,
    items_of,
    new_record,
)
from sekisho.handlers.forms import form
from sekisho.handlers.import_outputs import copies, known, release_notice, screen, worth
from sekisho.handlers.kit import Context, Originator, Outcome, Output, Sender, handles
from sekisho.handlers.states import Event, Machine

__all__ = ["IMPORT_MANIFEST", "KIND", "MANIFEST", "call_up_manifest", "declare_manifest"]

KIND: Final = "import-manifest"
_OPEN: Final = (WAITING_FOR_OPENING, WAITING_FOR_ARRIVAL, UNDER_EXAMINATION, CORRECTION_WANTED)
_SHARED: Final = declaration_transitions()
_LEFT_OUT: Final = frozenset(
    ("register", "register again", "call up", "review", "call up for change", "register change", "change")
)

_TRANSITIONS: Final = {
    **{
        (state, event): after
        for (state, event), after in _SHARED.items()
        if event not in _LEFT_OUT and state != CHANGED
    },
    **{(state, "send again"): REGISTERED for state in _OPEN},
    **{(state, "re-open"): state for state in _OPEN},
}
_USED: Final = {event for _, event in _TRANSITIONS}
_REACHED: Final = {state for (before, _), after in _TRANSITIONS.items() for state in (before, after)}

IMPORT_MANIFEST: Final = Machine(
    name="import-manifest",
    title=("輸入マニフェスト通関", "import manifest clearance"),
    kind=KIND,
    states={
        state: names for state, names in declaration_states(("許可済み", "permitted")).items() if state in _REACHED
    },
    events={
        **{name: event for name, event in declaration_events("", "", "MIC", "").items() if name in _USED},
        "send again": Event("再送信", "sent again with its number", "MIC with the number"),
        "re-open": Event("呼出し", "re-opened", "MID"),
    },
    transitions=_TRANSITIONS,
    source="procedures 4.3 and 6 (one shot observed, states inferred, sending again ours)",
    notes=("`registered` and `declared` are passed in one step: MIC declares at once or waits for its start.",),
)
"""State and event -> next state; an event that a state does not list is refused there."""


def _waybills(items: Mapping[str, Any]) -> list[str]:
    """ＨＡＷＢ番号, else ＭＡＷＢ番号."""
    number = str(items.get("HAB") or items.get("MAB") or "")
    return [number] if number else []


def _approval(number: str, data: Mapping[str, Any], context: Context, to: Sender | Originator) -> tuple[Output, ...]:
    """許可通知 for the declarant (AZMICG, ours), 許可・承認貨物情報 for the user of its place (EXC)."""
    ids, names = known(number, data, context)
    out = [form("AZMICG", "P", ids, names, context, to, table="permit-mic")]
    if data["items"].get("ST"):
        out.append(release_notice(number, data, context))
    return tuple(out)


def _examination(number: str, data: Mapping[str, Any], context: Context, to: Sender | Originator) -> tuple[Output, ...]:
    return copies(number, data, context, to, "copy-mic")


def _verdict(number: str, data: Mapping[str, Any], context: Context, to: Sender | Originator) -> tuple[Output, ...]:
    return verdict(MANIFEST, number, data, context, to)


MANIFEST: Final = family(
    Declaration(
        machine=IMPORT_MANIFEST,
        number="ICN",
        office="CH",
        remarks=("NT1",),
        place=lambda items: str(items.get("ST", "")),
        shortcut=lambda _: "",
        approval=_approval,
        examination=_examination,
        verdict=_verdict,
        planned="",
        named=_waybills,
        worth=worth,
    )
)
"""Import manifest clearance as a family of declarations."""


@handles("MIC", outputs=("*AMIC", "AZMIC", "AZMICG", "AZIDCW", "AZINSPI", "AZIESET"))
def declare_manifest(message: Message, context: Context) -> Outcome:
    """MIC: declare, or with a number declare anew what is not decided yet. Answers permit or copy.

    Refuses with R9001 (no waybill); E9001, U9001, E9005; E9003, E9004; S9004 (申告条件), E9011, E9015, R0005.
    """
    record = body(message)
    number = record.text("ICN")
    if number:
        data = entitled(MANIFEST, number, "MIC", ("MIC",), message, context)
        state = next_state(MANIFEST, number, data, "send again")
        forget_start(MANIFEST, number, context)
        forget_arrival(MANIFEST.cargoes(data["items"]), KIND, number, context)
        items = merged(record, data["items"], context)
        data |= {"state": state, "items": items, "version": data["version"] + 1, "request": context.request}
    else:
        data = new_record("MIC", items_of(record), context) | {"system": "air", "planned": "", "review": None}
        stop([ResultCode("E9005")] if system_of(message) != "air" else [])
    stop([] if _waybills(data["items"]) else [ResultCode("R9001", "HAB")], key=number)
    condition = str(record.text("JYO"))
    number, outputs = declare(MANIFEST, "MIC", number, data, condition, context, reviewed=False)
    return Outcome(key=number, outputs=outputs)


@handles("MID", outputs=("*AMID", "AZMID"))
def call_up_manifest(message: Message, context: Context) -> Outcome:
    """MID: the screen of MIC, of what is not decided yet. Refuses with E9001, U9001, E9005; E9003, E9004."""
    number = body(message).text("ICN")
    data = entitled(MANIFEST, number, "MID", ("MIC",), message, context)
    next_state(MANIFEST, number, data, "re-open")
    return Outcome(key=number, outputs=(screen("AZMID", "MIC.in", data["items"], context),))
