"""Forms whose tables know their items by name only: declaration copies and permits read by line number.

*Strategy.* The short names of such a table are partly ours and differ from one form to the next, the Japanese names do
not; so a handler offers values under official short names and under names, and the table picks. What a table's notes
say of its readers is done: a blank amount that one fails on is written 0 ("fill with 0"; "numbers filled" of a whole
block), and where one takes "at least one row" there is a blank one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sekisho.codecs.layout import Layout, Value
from sekisho.handlers.filling import filled
from sekisho.handlers.kit import SENDER, Context, Originator, Output, Party, Sender, layout_of

__all__ = ["form", "form_values", "office_name_of"]

_OURS: Final = re.compile("[W-Z][0-9]{2}")
"""Short names that only number the items of one table: they mean nothing elsewhere."""
_ZERO: Final = "fill with 0"
_WHOLE_BLOCK: Final = "numbers filled"
_ONE_ROW: Final = "at least one row"


def form_values(
    layout: Layout, ids: Mapping[str, Any], names: Mapping[str, Any]
) -> dict[str, Value | Sequence[Value]]:
    """What the form holds: by name where ``names`` has it, else by short name from ``ids``; lists fill blocks."""
    offered: dict[str, Any] = {}
    for item in layout.items:
        if item.name in names:
            offered[item.id] = names[item.name]
        elif item.id in ids and not _OURS.fullmatch(item.id):
            offered[item.id] = ids[item.id]
    out = filled(layout, offered)
    last = layout.blocks[-1]
    rows = max((len(cells) for item in last.items if isinstance(cells := out.get(item.id), list)), default=0)
    if not rows and any(_ONE_ROW in item.note for item in layout.items):
        out[last.items[0].id] = [""]
    whole = any(_WHOLE_BLOCK in item.note for item in last.items)
    for item in layout.items:
        if not item.is_number:
            continue
        if item.repeat == 1 and _ZERO in item.note:
            out[item.id] = out.get(item.id) or "0"
        elif whole and rows and item.id in layout.places and item.group == last.group:
            cells = out.get(item.id)
            kept = [str(cell or "") for cell in cells] if isinstance(cells, list) else []
            out[item.id] = [cell or "0" for cell in [*kept, *[""] * (rows - len(kept))]]
    return out


def form(
    code: str,
    kind: str,
    ids: Mapping[str, Any],
    names: Mapping[str, Any],
    context: Context,
    to: Sender | Originator | Party = SENDER,
    *,
    table: str = "",
) -> Output:
    """An output of that code (``kind`` C, P ...) by the table of its own, or ``table`` (``permit-import``)."""
    layout = layout_of(context, f"{table or code}.out")
    return Output(code, kind, form_values(layout, ids, names), to, layout=table)


def office_name_of(items: Mapping[str, Any], context: Context) -> str:
    """Name in capitals of あて先官署 (CH), else of the setting ``default_office``; blank if there is neither."""
    office = str(items.get("CH") or context.business.get("default_office", ""))
    return context.hours.office_name(office).upper() if office else ""
