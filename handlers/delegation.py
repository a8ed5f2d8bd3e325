"""Who may act on whose declarations: 申告可能者 (UKY), 許可後訂正可能者 (UKT), 照会可能者 (USS), procedures 7.

*Strategy.* A list stands under its owner's 利用者コード and lets the listed user codes do the owner's follow-up
business; it works in that direction only. :func:`may_act` is the one question that every business asks which acts on
somebody's declaration; which codes a list opens is the official list, whole, as a constant. Nothing else in the house
decides about delegation.

The official cases (planned declarant and lists) speak of call-up and declaration: there the planned declarant counts
and the registrant, if it is another, does not. Official text on corrections and queries names the registrant too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from sekisho.codecs.message import Message
from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode, Rule
from sekisho.handlers.checks import body, not_twice, numbered, stop
from sekisho.handlers.filling import filled
from sekisho.handlers.kit import Context, Outcome, Output, handles, layout_of, refuse

__all__ = ["DELEGATED", "MOST", "delegates", "may_act", "may_amend_permit"]

_LISTED: Final = (
    "EDA EDB EDC IEX UEA UEB UEC IEU IMO MEC MED IDA SWA IDB SWB SWX IDC SWC MWA MWB MWC IID IXX MIC MID CTA CTB CTC "
    "ICT ICG IIV MSX MSY MSY01 IMS CCB CCA IHF ATI IGS"
)
_BROWSER_FORMS: Final = "IEX0W IID0W ICG0W IGS0W"
DELEGATED: Final = frozenset(f"{_LISTED} {_BROWSER_FORMS}".split())
"""What a 申告可能者 may run [spec]: 40 codes and four browser forms."""

_CALL_UP_AND_DECLARE: Final = "EDB EDC UEB UEC MEC MED IDB IDC SWB SWX SWC MWB MWC MIC MID CTB CTC"
_OF_PLANNED_DECLARANT: Final = frozenset(_CALL_UP_AND_DECLARE.split())
"""The official cases speak of IDB/EDB and IDC/EDC; their siblings too [inferred]."""

_NOT_FOR_OWN_CLEARANCE: Final = frozenset({"MWA", "MWB", "MWC"})
"""Of 総保出 a delegate who clears for himself (自社通関) is not let in (MWA U0002 [spec])."""

MOST: Final = 40
"""User codes in a list: official of UKY, assumed of UKT."""

_KIND: Final = "delegation"
_REPLACE, _ADD, _REMOVE = "9", "5", "1"
List = Literal["UKY", "UKT", "USS"]

_ASKING: Final = "IEX IEX0W IEU IMO IID IID0W IXX ICT ICG ICG0W IGS IGS0W IIV IMS IHF"
_INQUIRIES: Final = frozenset(_ASKING.split())
"""What a 照会可能者 may run: entitled inquirers are official (wire reference 5), which inquiries is ours."""


def delegates(owner: str, which: List, context: Context) -> tuple[str, ...]:
    """The user codes in an owner's list, in their order; empty if there is none."""
    data = context.records.get(_KIND, f"{owner}/{which}")
    return tuple(data["delegates"]) if data is not None else ()


def may_act(context: Context, owner_code: str, planned_declarant_code: str, business_code: str) -> bool:
    """Whether the sender may run ``business_code`` on a declaration.

    ``owner_code`` registered it; ``planned_declarant_code`` is its 申告予定者, blank for the registrant himself.
    """
    caller = context.user.user_code
    declarant = planned_declarant_code or owner_code
    if caller == declarant or (caller == owner_code and business_code not in _OF_PLANNED_DECLARANT):
        return True
    if business_code in _INQUIRIES and caller in delegates(declarant, "USS", context):
        return True
    if business_code not in DELEGATED:
        return False
    if business_code in _NOT_FOR_OWN_CLEARANCE and _clears_for_himself(context):
        return False
    return caller in delegates(declarant, "UKY", context)


def may_amend_permit(context: Context, declarant_code: str) -> bool:
    """Whether the sender may change an export permit of ``declarant_code``: he himself, or who is in his UKT list."""
    caller = context.user.user_code
    return caller == declarant_code or caller in delegates(declarant_code, "UKT", context)


def _clears_for_himself(context: Context) -> bool:
    """自社通関: by 業種, which the setting ``own_clearance_trades`` lists (default ``trader``; our choice)."""
    return context.user.trade in context.business.get("own_clearance_trades", ("trader",))


# UKY, UKT -------------------------------------------------------------------------------------------------------------


def _items(record: Record, code: Callable[[str, str, int], ResultCode]) -> list[ResultCode]:
    """処理区分 is 9, 5 or 1; a user code has five characters. Nobody need have it yet."""
    action = record.text("KND")
    found = [code(Rule.VALUE, "KND", 0)] if action and action not in (_REPLACE, _ADD, _REMOVE) else []
    wrong = [row for row, text in numbered(record, "RCD") if len(text) != 5 or not text.isalnum()]
    return [*found, *(code(Rule.VALUE, "RCD", row) for row in wrong)]


def _register(which: List, message: Message, context: Context) -> Outcome:
    record = body(message)
    action, given = record.text("KND"), [text for _, text in numbered(record, "RCD")]
    empty = action != _REMOVE and not given
    own = [row for row, text in numbered(record, "RCD") if text == context.user.user_code]
    stop(
        [
            *([ResultCode("R9003", "RCD")] if empty else []),
            *not_twice(record, "RCD"),
            *(ResultCode("R9007", "RCD", row) for row in own),
        ]
    )
    owner = context.user.user_code
    listed = delegates(owner, which, context)
    if action == _REMOVE:
        stop(ResultCode("E9001", "RCD", row) for row, text in numbered(record, "RCD") if text not in listed)
        kept = tuple(text for text in listed if given and text not in given)
    else:
        kept = tuple(given) if action == _REPLACE else tuple(dict.fromkeys((*listed, *given)))
        stop([ResultCode("E9010")] if len(kept) > MOST else [])
    changed = {
        "owner": owner,
        "list": which,
        "delegates": list(kept),
        "changed_at": context.now.isoformat(timespec="seconds"),
    }
    context.records.put(_KIND, f"{owner}/{which}", changed)
    return Outcome()


@handles("UKY", outputs=["*CUKY"], items=_items)
def register_delegates(message: Message, context: Context) -> Outcome:
    """UKY: 9 replaces the list of who may act on my declarations, 5 adds to it, 1 removes (all, if none is named).

    Refuses with R9003 (nobody named), R9004 (named twice), R9007 (oneself), E9001 (not in the list), E9010 (over 40).
    """
    return _register("UKY", message, context)


@handles("UKT", outputs=["*CUKT"], items=_items)
def register_permit_delegates(message: Message, context: Context) -> Outcome:
    """UKT: the same for who may change my export permits; refuses as UKY."""
    return _register("UKT", message, context)


# USS, USS11 -----------------------------------------------------------------------------------------------------------


@handles("USS", outputs=["*CUSS"], items=_items)
def register_inquirers(message: Message, context: Context) -> Outcome:
    """USS: the same for who may ask about my declarations; refuses as UKY."""
    return _register("USS", message, context)


@handles("USS11", outputs=["*CUSS11", "CZUSS11"])
def call_up_inquirers(message: Message, context: Context) -> Outcome:
    """USS11: the screen of USS, ready to replace the list. Refuses with U9003 (another company's); changes nothing."""
    owner = body(message).text("RCD")
    if owner != context.user.user_code:
        raise refuse(ResultCode("U9003", "RCD"))
    values = filled(layout_of(context, "USS.in"), {"KND": _REPLACE, "RCD": list(delegates(owner, "USS", context))})
    return Outcome(outputs=(Output("CZUSS11", "C", values, layout="USS.in"),))
