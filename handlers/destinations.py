"""宛先管理 by users: UOK, UOM, UOC, UOD, UKS with their inquiries (…01) and call-ups (…11), naccs-edi 5.

*Strategy.* Five tables of the same make: an owner, and rows of an output code and where it goes; a row sets one
destination or removes it. What UOM, UOC, UOD and UKS set holds for the next output (:mod:`sekisho.handlers.routes`).
UOK speaks of conversational terminals, which this gateway has none of: kept, shown, and nothing else.

Checks are official: the code exists, the user ID is one's own, the mailbox belongs to it, U0002 outside hours. Which
hours is not known; they are URY's (our choice), and a ``[[window]]`` may close more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode, Rule, result_block
from sekisho.handlers.checks import body, not_twice, stop
from sekisho.handlers.filling import filled
from sekisho.handlers.kit import Context, Outcome, Output, handles, layout_of, refuse
from sekisho.handlers.routes import COPY, EVERY, copy_to, third_party
from sekisho.handlers.tables import business_codes

__all__ = ["TABLES", "Table"]

_HOURS: Final = (time(0), time(23))
_MOST: Final = 100
"""Destinations of one owner in one table (setting ``destinations_most``), so that no list grows without end (ours)."""
_REMOVE: Final = "Y"
_TERMINALS: Final = "terminal-destination"


@dataclass(frozen=True, slots=True)
class Table:
    """One table of destinations.

    ``owner`` is the item that says whose they are (RID: a user ID; RCD: the own 利用者コード; TRM: a terminal) and
    ``target`` the one of a row that says where to. ``key`` makes the route's key of owner and target.
    """

    code: str
    owner: str
    target: str
    key: Callable[[str, str], str]
    inquiry: bool = True


TABLES: Final = (
    Table("UOK", "TRM", "AT_", lambda owner, _: owner),
    Table("UOM", "RID", "NMI", lambda owner, _: owner),
    Table("UOC", "RCD", "NMI", lambda owner, _: third_party(owner)),
    Table("UOD", "RCD", "AM2", copy_to, inquiry=False),
    Table("UKS", "RCD", "NMI", lambda owner, _: owner, inquiry=False),
)
"""Every table, to be listed by anybody."""


def _rows(record: Record, table: Table) -> list[tuple[int, str, str, bool]]:
    """Row number, output code, target and whether it is to be removed, of every row that holds anything."""
    columns = [record.texts(item) for item in ("SCD", table.target, "DEL")]
    size = max(map(len, columns))
    cells = zip(*(column + [""] * (size - len(column)) for column in columns), strict=True)
    found = enumerate(cells, 1)
    return [(row, code, target, gone == _REMOVE) for row, (code, target, gone) in found if code or target or gone]


def _row_values(table: Table) -> Callable[[Record, Callable[[str, str, int], ResultCode]], list[ResultCode]]:
    """A row names a code, and a target unless it removes; UOD may leave the code and never the target. DEL: Y."""

    def check(record: Record, code: Callable[[str, str, int], ResultCode]) -> list[ResultCode]:
        found = [
            code(Rule.VALUE, "DEL", row) for row, text in enumerate(record.texts("DEL"), 1) if text not in ("", _REMOVE)
        ]
        for row, output, target, gone in _rows(record, table):
            if not output and table.code != "UOD":
                found.append(code(Rule.MISSING, "SCD", row))
            if not target and not (gone and table.code != "UOD"):
                found.append(code(Rule.MISSING, table.target, row))
        return found

    return check


def _management(output_code: str) -> bool:
    """Whether it is a management document: B in second place (wire reference 4.5), or the one of ours."""
    return output_code[1:2] == "B" or output_code == "CZDLH01"


def _exists(table: Table, output_code: str, context: Context) -> bool:
    """Whether there is such an output code: of a table, or of the notice of a business (``*SOLA``)."""
    if table.code == "UKS":
        return _management(output_code)
    if output_code.startswith("*"):
        return output_code[1:2] in ("S", "A", "C") and output_code[2:] in business_codes()
    return context.catalogue.output(output_code) is not None


def _owned(table: Table, owner: str, context: Context) -> None:
    """Refuse with U9003 for what is not one's own, E9001 for an ID that nobody has."""
    if table.owner != "TRM" and owner[:5] != context.user.user_code:
        raise refuse(ResultCode("U9003", table.owner))
    if table.owner == "RID" and context.accounts.state(owner) is None:
        raise refuse(ResultCode("E9001", table.owner))


def _kept(table: Table, owner: str, context: Context) -> list[tuple[str, str]]:
    """Output codes and targets of an owner, by code."""
    if table.owner == "TRM":
        data = context.records.get(_TERMINALS, f"{context.user.user_code}/{owner}")
        return sorted((str(code), str(target)) for code, target in (data or {}).get("to", {}).items())
    listed = context.routes.listed()
    if table.code == "UOD":
        copies = [(code, box) for key, code, box in listed if key.startswith(f"{owner}{COPY}")]
        return sorted(("" if code == EVERY else code, box) for code, box in copies)
    wanted = _management if table.code == "UKS" else bool
    return sorted((code, box) for key, code, box in listed if key == table.key(owner, "") and wanted(code))


def _set(table: Table, message: Message, context: Context) -> Outcome:
    record = body(message)
    owner, rows = record.text(table.owner), _rows(record, table)
    _owned(table, owner, context)
    stop([ResultCode("S9004", "SCD", row) for row, code, _, _ in rows if code and not _exists(table, code, context)])
    twice = [] if table.code == "UOD" else not_twice(record, "SCD")
    stop([*([] if rows else [ResultCode("R9003", "SCD")]), *twice])
    before = _kept(table, owner, context)
    stop(_against(table, rows, before, context))
    after = _applied(table, rows, before)
    most = int(context.business.get("destinations_most", _MOST))
    stop([ResultCode("E9010")] if len(after) > max(most, len(before)) else [])
    if table.owner == "TRM":
        kept = {"user_code": context.user.user_code, "to": dict(after)}
        context.records.put(_TERMINALS, f"{context.user.user_code}/{owner}", kept)
        return Outcome()
    for code, target in set(before) - set(after):
        context.routes.delete(table.key(owner, target), code or EVERY)
    for code, target in after:
        context.routes.put(table.key(owner, target), code or EVERY, target)
    return Outcome()


def _against(
    table: Table, rows: Sequence[tuple[int, str, str, bool]], before: Sequence[tuple[str, str]], context: Context
) -> list[ResultCode]:
    """E9001 by row: nothing there to remove, or a mailbox that is not one's own."""
    mine = None if table.owner == "TRM" else context.routes.boxes()
    found = []
    for row, code, target, gone in rows:
        there = (code, target) in before if table.code == "UOD" else code in dict(before)
        if gone and not there:
            found.append(ResultCode("E9001", "SCD", row))
        if not gone and mine is not None and target not in mine:
            found.append(ResultCode("E9001", table.target, row))
    return found


def _applied(
    table: Table, rows: Sequence[tuple[int, str, str, bool]], before: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """The destinations as the rows make them: of UOD any number for a code, else one."""
    after = list(before)
    for _, code, target, gone in rows:
        if table.code == "UOD":
            after = [one for one in after if one != (code, target)]
        else:
            after = [one for one in after if one[0] != code]
        if not gone:
            after.append((code, target))
    return after


def _shown(table: Table, owner: str, context: Context) -> Mapping[str, Any]:
    kept = _kept(table, owner, context)
    return {table.owner: owner, "SCD": [code for code, _ in kept], table.target: [target for _, target in kept]}


def _serve(table: Table) -> None:
    """Register a table's business codes."""
    screen = f"CZ{table.code}11"

    @handles(table.code, outputs=[f"*C{table.code}"], items=_row_values(table), hours=_HOURS)
    def set_destinations(message: Message, context: Context) -> Outcome:
        """Set and remove destinations. Refuses with U0002 (hours), U9003, E9001; S9001, S9004; R9003, R9004; E9010."""
        return _set(table, message, context)

    @handles(f"{table.code}11", outputs=[f"*C{table.code}11", screen])
    def call_up_destinations(message: Message, context: Context) -> Outcome:
        """The screen of what is set. Refuses with U9003, E9001; changes nothing."""
        owner = body(message).text(table.owner)
        _owned(table, owner, context)
        name = f"{table.code}.in"
        return Outcome(
            outputs=(Output(screen, "C", filled(layout_of(context, name), _shown(table, owner, context)), layout=name),)
        )

    if not table.inquiry:
        return
    answer = f"CZ{table.code}01"

    @handles(f"{table.code}01", outputs=[answer])
    def inquire_destinations(message: Message, context: Context) -> Outcome:
        """What is set, as an M output alone. Refuses with U9003, E9001."""
        owner = body(message).text(table.owner)
        _owned(table, owner, context)
        values = {**_shown(table, owner, context), "RES": result_block(())}
        return Outcome(
            outputs=(Output(answer, "M", filled(layout_of(context, f"{answer}.out"), values)),), notice=False
        )


for _table in TABLES:
    _serve(_table)
