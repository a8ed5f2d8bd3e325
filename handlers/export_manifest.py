"""Export manifest clearance (輸出マニフェスト通関申告, air): MEC declares in one shot, MED opens it again.

*Strategy.* The second family of export declarations on the same engine: there is no draft and so no review. MEC with a
number sends an examined declaration again, as MED showed it; customs examines it anew. 申告価格 counts as the declared
value, else ＦＯＢ価格 in yen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.results import ResultCode
from sekisho.handlers.checks import body
from sekisho.handlers.declaration_outputs import verdict
from sekisho.handlers.declarations import Declaration, entitled, family, merged, next_state, system_of
from sekisho.handlers.declaring import called_up, declare
from sekisho.handlers.examined import examine_anew, items_of, new_record
from sekisho.handlers.export_outputs import copy, examination_copies, fob_value, goods_information, screen
from sekisho.handlers.export_states import EXPORT_MANIFEST
from sekisho.handlers.kit import Context, Originator, Outcome, Output, Sender, handles, refuse
from sekisho.handlers.tariff import value_in_yen

__all__ = ["MANIFEST"]

_COPY: Final = "copy-mec"


def _worth(items: Mapping[str, Any], context: Context) -> int:
    return value_in_yen(str(items.get("DPR", "")), "JPY", context) or fob_value(items, context)


def _permits(number: str, data: Mapping[str, Any], context: Context, to: Sender | Originator) -> tuple[Output, ...]:
    permit = copy(MANIFEST, "ZMECP", "P", number, data, context, to, table="AZMECP")
    return (permit, *goods_information(MANIFEST, number, data, context))


def _copies(number: str, data: Mapping[str, Any], context: Context, to: Sender | Originator) -> tuple[Output, ...]:
    return examination_copies(MANIFEST, "ZMEC", number, data, context, to, table=_COPY)


MANIFEST: Final[Declaration] = family(
    Declaration(
        machine=EXPORT_MANIFEST,
        number="ECN",
        office="CH",
        remarks=("NT1",),
        place=lambda items: str(items.get("ST", "")),
        shortcut=lambda _: "",
        approval=_permits,
        examination=_copies,
        verdict=lambda number, data, context, to: verdict(MANIFEST, number, data, context, to),
        planned="",
        named=lambda items: [number for number in (str(items.get("HAB", "")),) if number],
        worth=_worth,
    )
)
"""What is particular of export manifest declarations."""


@handles("MEC", outputs=["*AMEC", "AZMEC", "AZMECP", "AZEDCG", "AZEDCIN"])
def declare_manifest(message: Message, context: Context) -> Outcome:
    """MEC: declare and issue the number; with the number, send again what is examined. 簡易審査 answers the permit.

    Refuses with E9005 (システム識別 is sea); S9004 (申告条件); R0005, E9011, E9015, E9006; with a number, whose start
    stays as it was, E9001, U9001, E9002, E9003, E9004.
    """
    record = body(message)
    number, condition = record.text("ECN"), record.text("JYO")
    if system_of(message) != "air":
        raise refuse(ResultCode("E9005"), key=number)
    if not number:
        data = new_record("MEC", items_of(record), context) | {"system": "air", "planned": "", "review": None}
        number, outputs = declare(MANIFEST, "MEC", "", data, condition, context, reviewed=False)
        return Outcome(key=number, outputs=outputs)
    data = entitled(MANIFEST, number, "MEC", ("MEC",), message, context)
    state = next_state(MANIFEST, number, data, "change")
    items = merged(record, data["items"], context)
    again = {**data, "state": state, "items": items, "version": data["version"] + 1}
    return Outcome(key=number, outputs=examine_anew(MANIFEST, number, again, "MEC", context))


@handles("MED", outputs=["*AMED", "AZMED"])
def call_up_manifest(message: Message, context: Context) -> Outcome:
    """MED: the screen of MEC, filled from what is examined. Refuses with E9001, U9001, E9005; E9002 to E9004."""
    number = body(message).text("ECN")
    data = called_up(MANIFEST, "MED", number, ("MEC",), message, context)
    return Outcome(key=number, outputs=(screen("ZMED", number, data, context),))
