"""What is to be paid on imported goods, and whether it is.

*Strategy.* No official tariff is built in: the registry may hold records of kind ``tariff``, keyed by 品目コード, with
``rate`` (percent of the value, as text), and of kind ``exchange-rate``, keyed by currency, with ``yen``. Goods without
a record are free of duty. Consumption tax is asked of goods that name a 内国消費税等種別コード beginning with F; its
percentages are settings. Values are cut to 1,000 yen before a rate is applied and each tax to 100 yen, as the general
law on national taxes does. All of that is our choice; what a message states itself counts first.

A record of kind ``security`` (担保登録番号: ``balance`` in yen) or ``account`` (口座番号: ``usable``) says that a
security is too small or an account closed; what has no record is taken as good.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal, InvalidOperation
from typing import Any, Final

from sekisho.handlers.kit import Context

__all__ = ["Good", "Taxes", "account_usable", "security_short", "taxes_of", "value_in_yen"]

_SUBJECTS: Final = (("D", "関税"), ("F", "消費税"), ("A", "地方消費税"))
"""受入科目 (letters as readers of permits show them; inferred)."""


@dataclass(frozen=True, slots=True)
class Good:
    """One line of goods: 品目コード, its value in yen, 内国消費税等種別コード, and whether duty is charged on it."""

    code: str
    value: int
    consumption: str = ""
    dutiable: bool = True


@dataclass(frozen=True, slots=True)
class Taxes:
    """Yen to be paid: by 税科目 (letter, name, total, lines) and by line (duty, consumption, local)."""

    subjects: tuple[tuple[str, str, int, int], ...]
    lines: tuple[tuple[int, int, int], ...]
    rates: tuple[str, ...]

    @property
    def total(self) -> int:
        """納税額合計."""
        return sum(total for _, _, total, _ in self.subjects)


def _number(text: object) -> Decimal:
    try:
        number = Decimal(str(text or 0))
    except InvalidOperation:
        return Decimal(0)
    return number if number.is_finite() else Decimal(0)


def _cut(amount: Decimal | int, to: int) -> int:
    return int((Decimal(amount) / to).to_integral_value(ROUND_DOWN)) * to


def value_in_yen(amount: str, currency: str, context: Context) -> int:
    """An amount in yen, by the record of the currency's rate; an unknown currency counts as nothing."""
    if currency in ("", "JPY"):
        return int(_number(amount))
    rate = context.records.get("exchange-rate", currency)
    return int(_number(amount) * _number(rate["yen"])) if rate is not None else 0


def taxes_of(goods: Sequence[Good], context: Context) -> Taxes:
    """What the goods cost in taxes."""
    national = _number(context.business.get("consumption_tax_percent", "7.8"))
    local = _number(context.business.get("local_consumption_tax_percent", "2.2"))
    lines, rates = [], []
    for good in goods:
        entry = context.records.get("tariff", good.code) if good.code else None
        rate = _number(entry["rate"]) if entry is not None and good.dutiable else Decimal(0)
        duty = _cut(_cut(good.value, 1000) * rate / 100, 100)
        base = _cut(good.value + duty, 1000) if good.consumption.startswith("F") else 0
        lines.append((duty, _cut(base * national / 100, 100), _cut(base * local / 100, 100)))
        rates.append(f"{rate.normalize():f}%" if rate else "FREE")
    subjects = [
        (letter, name, sum(line[at] for line in lines), sum(line[at] > 0 for line in lines))
        for at, (letter, name) in enumerate(_SUBJECTS)
    ]
    return Taxes(tuple(one for one in subjects if one[2]), tuple(lines), tuple(rates))


def security_short(number: str, amount: int, context: Context) -> int:
    """Yen by which the security falls short of ``amount``; 0 if it covers it, or if there is no record of it."""
    known: Mapping[str, Any] | None = context.records.get("security", number) if number else None
    return max(0, amount - int(_number(known["balance"]))) if known is not None else 0


def account_usable(number: str, context: Context) -> bool:
    """Whether 口座 may be debited; what has no record may."""
    known: Mapping[str, Any] | None = context.records.get("account", number) if number else None
    return known is None or bool(known.get("usable", True))
