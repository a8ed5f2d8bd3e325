"""Where cargo has been confirmed to have arrived, and which declarations wait for that (搬入時, 船卸時).

*Strategy.* 搬入確認登録 and 船卸確認登録 mark the cargo record with ``arrived_place`` and ``arrived_at``; a declaration
that waits stands in a record of kind ``awaited`` for each cargo it names, so that an arrival finds it by the cargo's
key and by nothing else. It starts when the last of its cargo is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sekisho.handlers.cargo import CARGO, find_cargo
from sekisho.handlers.kit import Context

__all__ = [
    "all_arrived",
    "await_arrival",
    "awaiting",
    "forget_arrival",
    "note_arrival",
    "set_back",
    "set_out",
    "take_back_arrival",
]

_AWAITED: Final = "awaited"


def note_arrival(cargo: str, place: str, at: str, context: Context) -> None:
    """Mark a known cargo as arrived at ``place`` at ``at`` (YYYYMMDD or YYYYMMDDhhmm); it lies there now."""
    data = find_cargo(cargo, context)
    if data is not None:
        former = data["former_place"] if data.get("arrived_place") == place else data.get("place", "")
        where = {"place": place, "former_place": former, "arrived_place": place, "arrived_at": at}
        context.records.put(CARGO, cargo, {**data, **where, "arrived_by": context.user.user_code})


def take_back_arrival(cargo: str, context: Context) -> None:
    """Take the mark away again; the cargo lies where it lay before."""
    data = context.records.get(CARGO, cargo)
    if data is not None:
        kept = {name: value for name, value in data.items() if not name.startswith(("arrived_", "former_"))}
        context.records.put(CARGO, cargo, {**kept, "place": data.get("former_place", "")})


def set_out(cargo: str, number: str, context: Context) -> None:
    """The cargo has left its place under a 保税運送申告番号."""
    data = find_cargo(cargo, context)
    if data is not None:
        left = {"transport": number, "left_place": data.get("place", ""), "place": ""}
        context.records.put(CARGO, cargo, {**data, **left})


def set_back(cargo: str, context: Context) -> None:
    """It has not left after all, or is no longer on its way."""
    data = find_cargo(cargo, context)
    if data is not None and data.get("transport"):
        context.records.put(CARGO, cargo, {**data, "transport": "", "place": data["left_place"]})


def all_arrived(cargoes: Iterable[str], place: str, context: Context) -> bool:
    """Whether each cargo has been confirmed at ``place``, at any place if that is empty, and is still there."""
    for cargo in cargoes:
        data = find_cargo(cargo, context)
        where = data.get("arrived_place", "") if data is not None and not data.get("transport") else ""
        if not where or where != (place or where):
            return False
    return True


def await_arrival(cargoes: Iterable[str], kind: str, number: str, context: Context) -> None:
    """Have the declaration ``number`` of a procedure's kind found when one of these arrives."""
    for cargo in cargoes:
        waiting = awaiting(cargo, context)
        if (kind, number) not in waiting:
            _put(cargo, [*waiting, (kind, number)], context)


def forget_arrival(cargoes: Iterable[str], kind: str, number: str, context: Context) -> None:
    """It no longer waits for any of these."""
    for cargo in cargoes:
        waiting = awaiting(cargo, context)
        if (kind, number) in waiting:
            _put(cargo, [one for one in waiting if one != (kind, number)], context)


def awaiting(cargo: str, context: Context) -> list[tuple[str, str]]:
    """Kinds and numbers of the declarations that wait for this cargo, in the order they came."""
    data = context.records.get(_AWAITED, cargo)
    return [(str(kind), str(number)) for kind, number in data["by"]] if data is not None else []


def _put(cargo: str, waiting: Sequence[tuple[str, str]], context: Context) -> None:
    context.records.put(_AWAITED, cargo, {"by": [list(one) for one in waiting]})
