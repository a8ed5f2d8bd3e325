"""The cargo data base: records of kind ``cargo``, keyed by 貨物管理番号, and what has happened to a cargo.

*Strategy.* Whoever writes or reads cargo does it by the field names below: the registry and ``records import``,
manifests (CUSCAR), bonded transport, inquiries. A cancelled cargo stays as a record and counts as unknown everywhere.
All fields are optional; the first table is what outputs print.

==================  ===============================================================
``description``     品名, Roman letters
``packages``        個数, a whole number; ``package_unit`` its 個数単位コード
``weight``          総重量; ``weight_unit`` its 重量単位コード
``vessel_code``     積載船舶コード; ``vessel_name`` 積載船名, Roman letters
``arrival_date``    入港年月日, YYYYMMDD
``place``           保税地域コード where it lies
``containers``      list of コンテナ番号
``direction``       輸出入識別: I or E
==================  ===============================================================

What has been confirmed of its way: ``arrived_place`` and ``arrived_at`` (:mod:`sekisho.handlers.arrivals`), and
``transport``, the 保税運送申告番号 under which it is on its way.

Of cargo that a manifest registered also: ``state`` (registered, cancelled), ``user_code`` and ``owner`` (who registered
it), ``manifest`` (key of its manifest), ``voyage``, ``carrier``, ``ports`` and ``parties`` (by their qualifiers),
``master_bill``, ``consignment``, ``marks``, ``goods`` (one entry a goods item).

A ``cargo-event`` (key 貨物管理番号/procedure/number) is one approval that named the cargo: ``cargo``, ``procedure``
(手続コード), ``number``, ``date`` (YYYYMMDD), and ``withdrawn`` once it was taken back.

A ``container`` (key コンテナ番号) is what yards reported of it (CODECO): ``state`` (in-yard, out), ``place``,
``size_type``, ``load`` (full, empty), ``seals``, ``references``, and ``stays``, oldest first: ``container``, ``place``,
``procedure``, ``in_at`` and ``out_at`` (YYYYMMDD or YYYYMMDDhhmm, ``out_at`` empty while it is there), ``in_document``
and ``out_document`` (keys of the reports).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sekisho.handlers.kit import Context

__all__ = [
    "CANCELLED",
    "CARGO",
    "CONTAINER",
    "IN_YARD",
    "REGISTERED",
    "approvals",
    "find_cargo",
    "note_approval",
    "withdraw_approval",
]

CARGO: Final = "cargo"
CONTAINER: Final = "container"
IN_YARD: Final = "in-yard"
_EVENT: Final = "cargo-event"
REGISTERED: Final = "registered"
CANCELLED: Final = "cancelled"


def find_cargo(number: str, context: Context) -> Mapping[str, Any] | None:
    """The record of a 貨物管理番号; None if there is none or it was cancelled."""
    data = context.records.get(CARGO, number) if number else None
    return None if data is None or data.get("state") == CANCELLED else data


def note_approval(cargo: str, procedure: str, number: str, context: Context) -> None:
    """Keep that ``procedure`` approved something today under ``number`` that names this cargo."""
    event = {"cargo": cargo, "procedure": procedure, "number": number, "date": f"{context.now:%Y%m%d}"}
    context.records.put(_EVENT, f"{cargo}/{procedure}/{number}", event)


def withdraw_approval(cargo: str, procedure: str, number: str, context: Context) -> None:
    """Take an approval back that named this cargo, if there is one."""
    key = f"{cargo}/{procedure}/{number}"
    event = context.records.get(_EVENT, key)
    if event is not None:
        context.records.put(_EVENT, key, {**event, "withdrawn": True})


def approvals(cargo: str, context: Context) -> list[Mapping[str, Any]]:
    """The approvals that named a cargo, oldest first."""
    found = [data for _, data in context.records.find(_EVENT, "cargo", cargo) if not data.get("withdrawn")]
    return sorted(found, key=lambda data: (data["date"], data["number"]))
