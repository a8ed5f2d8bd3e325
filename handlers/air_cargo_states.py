"""The state table of air cargo: waybills, bond-in slips, and what warehouses confirm of them (procedures 4.7).

The codes and their tables are observed; what may follow what is ours. Cargo that a manifest or the registry brought in
is ``registered`` too; a record without a state counts as that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sekisho.handlers.cargo import CANCELLED, CARGO, REGISTERED
from sekisho.handlers.states import NEW, Event, Machine

__all__ = ["AIR_CARGO", "IN_WAREHOUSE", "OUT", "SLIP", "state_of"]

SLIP: Final = "slip-registered"
IN_WAREHOUSE: Final = "in-warehouse"
OUT: Final = "out"

AIR_CARGO: Final = Machine(
    name="air-cargo",
    title=("航空貨物", "air cargo"),
    kind=CARGO,
    states={
        REGISTERED: ("情報登録済み", "registered"),
        SLIP: ("搬入伝票登録済み", "bond-in slip registered"),
        IN_WAREHOUSE: ("搬入済み", "in a warehouse"),
        OUT: ("搬出済み", "gone out"),
        CANCELLED: ("取消し", "cancelled"),
    },
    events={
        "register waybill": Event("ＨＡＷＢ情報登録", "waybill registered", "HCH01, HDM01"),
        "correct waybill": Event("ＨＡＷＢ情報訂正", "waybill corrected", "CHA"),
        "register slip": Event("搬入伝票情報登録", "slip registered", "CDB01"),
        "correct slip": Event("搬入伝票情報訂正", "slip corrected", "CDB01 with the number"),
        "leave slip": Event("搬入伝票からの除外", "left out of its slip", "CDB01 with the number"),
        "confirm bond-in": Event("搬入確認（輸出）", "export cargo brought in", "BIL, BIL01"),
        "take back bond-in": Event("搬入確認取消し（輸出）", "that taken back", "BIL 1, BIL01 row 1"),
        "confirm arrival": Event("搬入確認（輸入）", "import cargo brought in", "BIN"),
        "take back arrival": Event("搬入確認取消し（輸入）", "that taken back", "BIN 1"),
        "arrive under transport": Event("保税運送貨物の搬入", "arrived by a bonded transport", "BIN01"),
        "release": Event("搬出確認", "gone out", "OUT"),
        "take back release": Event("搬出確認取消し", "that taken back", "OUT with 取消表示"),
    },
    transitions={
        (NEW, "register waybill"): REGISTERED,
        (REGISTERED, "correct waybill"): REGISTERED,
        (IN_WAREHOUSE, "correct waybill"): IN_WAREHOUSE,
        (NEW, "register slip"): SLIP,
        (SLIP, "correct slip"): SLIP,
        (SLIP, "leave slip"): CANCELLED,
        (SLIP, "confirm bond-in"): IN_WAREHOUSE,
        (IN_WAREHOUSE, "take back bond-in"): SLIP,
        (REGISTERED, "confirm arrival"): IN_WAREHOUSE,
        (IN_WAREHOUSE, "take back arrival"): REGISTERED,
        (REGISTERED, "arrive under transport"): IN_WAREHOUSE,
        (IN_WAREHOUSE, "arrive under transport"): IN_WAREHOUSE,
        (IN_WAREHOUSE, "release"): OUT,
        (OUT, "take back release"): IN_WAREHOUSE,
    },
    source="procedures 4.7 (codes observed; states and what may follow what ours)",
    notes=(
        "Export cargo that was brought in by a slip goes back to its slip, import cargo to its waybill.",
        "A number that was cancelled may be registered again: its story begins anew.",
    ),
)
"""State and event -> next state; an event that a state does not list is refused there."""


def state_of(data: Mapping[str, Any] | None) -> str:
    """Where a cargo record of :func:`~sekisho.handlers.cargo.find_cargo` stands."""
    return NEW if data is None else str(data.get("state") or REGISTERED)
