"""What is to be paid on imported goods, and whether it is.

*Strategy.* No official tariff is built in: settings of ``[business]`` may hold tables, ``tariff`` (品目コード = percent
of the value) and ``exchange_rates`` (currency = yen). Goods that no table names are free of duty. Consumption tax is
asked of goods that name a 内国消費税等種別コード beginning with F; its percentages are settings. Values are cut to
1,000 yen before a rate is applied and each tax to 100 yen, as the general law on national taxes does. All of that is
our choice; what a message states itself counts first.

Two more tables play what customs and banks know: ``securities`` (担保登録番号 = its balance in yen) and ``accounts``
(口座番号 = whether it may be debited). What they do not name is taken as good.
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


def _table(name: str, context: Context) -> Mapping[str, Any]:
    """A table of the settings; empty if it is not there."""
    found = context.business.get(name, {})
    return found if isinstance(found, Mapping) else {}


def value_in_yen(amount: str, currency: str, context: Context) -> int:
    """An amount in yen, by the setting ``exchange_rates``; an unknown currency counts as nothing."""
    if currency in ("", "JPY"):
        return int(_number(amount))
    return int(_number(amount) * _number(_table("exchange_rates", context).get(currency)))


def taxes_of(goods: Sequence[Good], context: Context) -> Taxes:
    """What the goods cost in taxes."""
    national = _number(context.business.get("consumption_tax_percent", "7.8"))
    local = _number(context.business.get("local_consumption_tax_percent", "2.2"))
    tariff = _table("tariff", context)
    lines, rates = [], []
    for good in goods:
        rate = _number(tariff.get(good.code)) if good.dutiable else Decimal(0)
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
    """Yen by which the security falls short of ``amount``; 0 if it covers it, or if the settings do not name it."""
    balance = _table("securities", context).get(number)
    return max(0, amount - int(_number(balance))) if balance is not None else 0


def account_usable(number: str, context: Context) -> bool:
    """Whether 口座 may be debited; one that the settings do not name may."""
    return bool(_table("accounts", context).get(number, True))
