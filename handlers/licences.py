"""The register of licences under the foreign exchange act, and their matching (突合) with declarations (13.3).

*Strategy.* Functions of records, which declarations call at two moments: :func:`match_at_registration` looks at
owner, validity and kind, :func:`match_at_declaration` compares licence, endorsement (裏書) and declaration. Both find
E9008 at the row of 輸出・輸入承認証番号等 that does not match; a registered reason (理由登録) heals the second, not
the first.

A row is of this register if its 識別 is one of the setting ``electronic_licence_codes`` (default ELIC, ours: official
values are unknown) or if its number is registered here; others are papers of other kinds and nobody's business here.

A ``licence`` (key 電子ライセンス番号) holds ``owner`` (利用者コード), ``form`` (申請種類番号, 新規), ``medium`` (E
electronic, P paper), ``application``, ``valid_from`` and ``valid_to`` (YYYYMMDD), ``version``, ``brokers`` (user
codes), ``endorsements`` (how many there were) and ``lines``: ``code``, ``name``, ``quantity``, ``unit``, ``endorsed``
(texts; a blank code, quantity or unit means any). An ``endorsement`` (key licence/declaration) holds ``number``,
``licence``, ``declaration``, ``kind`` (裏書種別), ``lines`` (``line`` from 1, ``quantity``, ``unit``), ``date``,
``by`` and ``cancelled``; a ``licence-reason``, keyed the same, ``reason``, ``by`` and ``at``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from sekisho.codecs.results import ResultCode
from sekisho.handlers.kit import Context, refuse
from sekisho.handlers.licence_states import form_of

__all__ = [
    "ELECTRONIC",
    "ENDORSEMENT",
    "LICENCE",
    "PAPER",
    "REASON",
    "amount",
    "as_text",
    "entitled_licence",
    "match_at_declaration",
    "match_at_registration",
    "may_use",
    "of_authorities",
    "pair",
    "standing_of",
    "today",
]

LICENCE: Final = "licence"
ENDORSEMENT: Final = "endorsement"
REASON: Final = "licence-reason"
ELECTRONIC, PAPER = "E", "P"

_EXPORT_KINDS: Final = frozenset({"1"})
_IMPORT_KINDS: Final = frozenset({"2", "4"})


def today(context: Context) -> str:
    """YYYYMMDD in Japan."""
    return f"{context.now:%Y%m%d}"


def pair(licence: str, declaration: str) -> str:
    """Key of what concerns a licence and a declaration."""
    return f"{licence}/{declaration}"


def amount(text: object) -> Decimal:
    """The number of a text; 0 of what is none."""
    try:
        number = Decimal(str(text or "0"))
    except InvalidOperation:
        return Decimal(0)
    return number if number.is_finite() else Decimal(0)


def as_text(number: Decimal) -> str:
    """A number as records and items hold it, without an exponent or zeros at the end."""
    plain = f"{number:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def of_authorities(context: Context) -> bool:
    """Whether the sender is the ministry (setting ``licence_authority_trade``) or customs."""
    trades = (
        context.business.get("licence_authority_trade", "ministry"),
        context.business.get("customs_trade", "customs"),
    )
    return context.user.trade in trades


def standing_of(licence: Mapping[str, Any], context: Context) -> str:
    """有効状態 today: 1 valid, 2 not yet, 3 expired."""
    if today(context) < licence["valid_from"]:
        return "2"
    return "3" if today(context) > licence["valid_to"] else "1"


def may_use(licence: Mapping[str, Any], user_codes: Collection[str]) -> bool:
    """Whether the owner or a designated broker (JCA) is among the 利用者コード."""
    return not {licence["owner"], *licence["brokers"]}.isdisjoint(user_codes)


def entitled_licence(number: str, context: Context, *, brokers: bool = False) -> dict[str, Any]:
    """A licence for its owner, with ``brokers`` for those designated too, and for the authorities.

    Refuses with E9001, U9003 at LCN.
    """
    licence = context.records.get(LICENCE, number) if number else None
    if licence is None:
        raise refuse(ResultCode("E9001", "LCN"))
    own = context.user.user_code == licence["owner"]
    if not (own or of_authorities(context) or (brokers and may_use(licence, (context.user.user_code,)))):
        raise refuse(ResultCode("U9003", "LCN"))
    return dict(licence)


# Matching -------------------------------------------------------------------------------------------------------------


def _rows(items: Mapping[str, Any], context: Context) -> Iterator[tuple[int, str, bool, Mapping[str, Any] | None]]:
    """Rows that are of this register: row, number, whether declared as electronic, and the licence if there is one."""
    codes = context.business.get("electronic_licence_codes", ["ELIC"])
    kinds = list(items.get("S_", ()))
    for row, number in enumerate(items.get("N_", ()), 1):
        electronic = row <= len(kinds) and kinds[row - 1] in codes
        licence = context.records.get(LICENCE, str(number)) if number else None
        if electronic or licence is not None:
            yield row, str(number), electronic, licence


def _fits(electronic: bool, licence: Mapping[str, Any] | None, number_item: str, users: set[str], at: Context) -> bool:
    """Owner, validity and kind of one row."""
    if licence is None:
        return False
    form = form_of(licence["form"])
    kinds = _EXPORT_KINDS if number_item == "ECN" else _IMPORT_KINDS
    return (
        electronic == (licence["medium"] == ELECTRONIC)
        and may_use(licence, users)
        and standing_of(licence, at) == "1"
        and form is not None
        and form.endorsement in kinds
    )


def match_at_registration(number_item: str, data: Mapping[str, Any], context: Context) -> list[ResultCode]:
    """E9008 at every licence of a declaration that is not its registrant's or declarant's, not valid, or not the kind.

    ``number_item`` is ECN of exports, ICN of imports; ``data`` the record of the declaration. At 事項登録 and again at
    申告 [spec]; Unspecified: that a designated broker counts as the owner.
    """
    users = {str(data["user_code"]), str(data.get("planned", ""))} - {""}
    return [
        ResultCode("E9008", "N_", row)
        for row, _, electronic, licence in _rows(data["items"], context)
        if not _fits(electronic, licence, number_item, users, context)
    ]


def match_at_declaration(number_item: str, number: str, data: Mapping[str, Any], context: Context) -> list[ResultCode]:
    """突合: what :func:`match_at_registration` finds, and E9008 at every electronic licence without a good endorsement.

    Its endorsement for declaration ``number`` is there and has the declaration's items and quantities, or a reason is
    registered why not.
    """
    found = match_at_registration(number_item, data, context)
    against = {result.row for result in found}
    for row, name, _, licence in _rows(data["items"], context):
        if row in against or licence is None or licence["medium"] != ELECTRONIC:
            continue
        key = pair(name, number)
        endorsed = context.records.get(ENDORSEMENT, key)
        same = endorsed is not None and not endorsed["cancelled"] and _same(endorsed, licence, data["items"])
        if not same and context.records.get(REASON, key) is None:
            found.append(ResultCode("E9008", "N_", row))
    return found


def _same(endorsed: Mapping[str, Any], licence: Mapping[str, Any], items: Mapping[str, Any]) -> bool:
    """Whether the declaration has of every endorsed item exactly what is endorsed, in the unit it is endorsed in."""
    wanted: dict[tuple[str, str], Decimal] = {}
    for line in endorsed["lines"]:
        if line["line"] > len(licence["lines"]):
            return False  # an amendment has taken the line away
        key = str(licence["lines"][line["line"] - 1]["code"]), str(line["unit"])
        wanted[key] = wanted.get(key, Decimal(0)) + amount(line["quantity"])
    return all(_declared(code, unit, items) == quantity for (code, unit), quantity in wanted.items())


def _declared(code: str, unit: str, items: Mapping[str, Any]) -> Decimal:
    """How much the declaration has of goods whose number begins with ``code``, in ``unit`` (either quantity)."""

    def cell(item: str, row: int) -> str:
        cells = items.get(item, ())
        return str(cells[row]) if row < len(cells) else ""

    total = Decimal(0)
    for row, goods in enumerate(items.get("CMD", ())):
        if not goods or not str(goods).startswith(code):
            continue
        name = next((n for n in "12" if cell(f"QT{n}", row) == unit and cell(f"QN{n}", row)), "")
        total += amount(cell(f"QN{name}", row)) if name else Decimal(0)
    return total
