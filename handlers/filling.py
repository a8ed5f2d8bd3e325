"""Filling an output's table: every value made to fit its item, so that no reply ever fails to be written.

*Strategy.* A handler offers all it knows under the short names of items; a table takes what it has items for. What a
drop-in official table calls otherwise stays blank there, and nothing else changes. Texts are cut at a character, never
inside one; a name that is not in half-width letters leaves an ``an`` item blank (decisions, "Text"); a number that does
not fit is left blank, because a cut number would be another number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any, Final

from sekisho.codecs import charset
from sekisho.codecs.layout import Item, Layout, Value

__all__ = ["filled", "fit"]

_HALF_WIDTH: Final = re.compile(r"[ -~]*")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_GETA: Final = "〓"
"""Printed where EUC-JP has no character for what a registry holds, as typesetters do (Unspecified: our choice)."""

_ROUNDING: Final = Context(prec=100, rounding=ROUND_HALF_UP)


def _cut(text: str, size: int) -> str:
    """The longest beginning of ``text`` that has at most ``size`` bytes in EUC-JP."""
    if text.isascii():
        return text[:size]
    try:
        if len(charset.encode(text)) <= size:
            return text
    except charset.CharsetError:
        pass  # one character at a time, then
    out, used = [], 0
    for character in text:
        try:
            width = len(charset.encode(character))
        except charset.CharsetError:
            character, width = _GETA, 2  # noqa: PLW2901 - the same character, as it will be printed
        if used + width > size:
            break
        out.append(character)
        used += width
    return "".join(out)


def _number(text: str, size: int) -> str:
    """The number as the item holds it, decimals rounded off as far as needed; blank if it does not fit."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return ""
    if not number.is_finite() or abs(number.adjusted()) > size:
        return ""
    decimals = len(f"{number:f}".partition(".")[2])
    for kept in range(min(decimals, size), -1, -1):
        plain = f"{number.quantize(Decimal(1).scaleb(-kept), context=_ROUNDING):f}"
        if len(plain) <= size:
            return plain
    return ""


def fit(item: Item, value: object) -> str:
    """The text of ``value`` as ``item`` can hold it; blank where it cannot. Never raises."""
    if value is None or value == "" or isinstance(value, bool):
        return ""
    if isinstance(value, str):
        text = value
    else:
        text = f"{value:%Y%m%d}" if isinstance(value, date) else str(value)
    if item.kind == "an":
        return text[: item.size] if _HALF_WIDTH.fullmatch(text) else ""
    if item.kind in ("n", "n0"):
        text = _number(text, item.size)
        return text if item.kind == "n" or text.isdigit() else ""
    if item.kind == "date":
        return text if _is_date(text) else ""
    if item.kind == "time":
        return text if re.fullmatch("(?:[01][0-9]|2[0-3])[0-5][0-9]", text) else ""
    if item.kind == "flag":
        return text if text == "*" else ""
    if item.kind == "j":
        return _cut(_CONTROL.sub(" ", text), item.size)
    return text[: item.size] if _HALF_WIDTH.fullmatch(text) else ""


def _is_date(text: str) -> bool:
    if re.fullmatch("[0-9]{8}", text) is None:
        return False
    try:
        date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return False
    return True


def filled(layout: Layout, offered: Mapping[str, Any]) -> dict[str, Value | Sequence[Value]]:
    """What ``layout`` takes of ``offered``, each made to fit. A list fills a repeating block, up to its last row.

    What is blank is left out.
    """
    out: dict[str, Value | Sequence[Value]] = {}
    for item in layout.items:
        value = offered.get(item.id)
        if value is None or value == "":
            continue
        if isinstance(value, (list, tuple)):
            if item.repeat > 1 and any(value):
                out[item.id] = [fit(item, cell) for cell in value[: item.repeat]]
        elif item.repeat == 1:
            out[item.id] = fit(item, value)
    return out
