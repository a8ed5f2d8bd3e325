"""Manifests: CUSCAR registers cargo (MFR), corrects it (CMF) and submits a manifest (DMF).

*Strategic choice.* A bill of lading is a cargo: its number is the 貨物管理番号 that OLA11, OLC20 and ICG ask for. One
``manifest`` record (key 利用者コード/document number) names its bills, each of which is a ``cargo`` record
(:mod:`sekisho.handlers.cargo`). The whole message counts or nothing of it.

A bill's number is the first of: RFF BM, BH, AWB, HWB, MB, MWB at the head of its group; CNI 1004; of a message with one
bill only, BGM 1004. Groups of one CNI with the same number are one bill.

Function codes (BGM 1225): 9 registers what is not there yet; 5 replaces the manifest, and bills it no longer names are
cancelled; 4 changes what the message fills; 2 adds bills; 1 and 3 cancel the named bills, or all of them where none is
named. CMF reads 9 as 5, since it is a correction by its name; DMF registers and submits in one, or submits what is
there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import takewhile
from typing import Any, Final

from sekisho.codecs.edifact.model import Message
from sekisho.codecs.edifact.segment import Segment
from sekisho.handlers.cargo import CANCELLED, CARGO, REGISTERED
from sekisho.handlers.checks import stop
from sekisho.handlers.kit import Context, Outcome, reads
from sekisho.handlers.segments import (
    Action,
    Document,
    Errors,
    amount,
    at,
    carriage,
    control_total,
    document_of,
    entry,
    first,
    missing,
    moment,
    objections,
    parties,
    places,
    plain,
    qualified,
    references,
    split,
    text_of,
    value_at,
    verdict,
)

__all__ = ["MANIFEST", "register_manifest"]

MANIFEST: Final = "manifest"
SUBMITTED: Final = "submitted"

_BILLS: Final = ("BM", "BH", "AWB", "HWB", "MB", "MWB")
"""1153: bill of lading, house bill, air waybill, house waybill; a master bill only where nothing else is named."""
_NUMBER: Final = re.compile(r"[!-~](?:[ -~]{0,33}[!-~])?")
"""貨物管理番号: up to 35 half-width characters."""
_KILOGRAMS: Final = {
    "KGM": Decimal(1),
    "GRM": Decimal("0.001"),
    "TNE": Decimal(1000),
    "LBR": Decimal("0.45359237"),
}
"""6411 units of mass; anything else in a MEA is no weight."""
_NOT_GROSS: Final = frozenset(("N", "AAC", "AAF", "AAL", "T", "AAO"))
"""6313: net and tare weights."""
_DIRECTIONS: Final = {"833": "E", "933": "I", "85": "I", "785": "I"}
"""1001 to 輸出入識別: departure, arrival, and the manifests that MFR registers, which are those of imports."""
_WAY: Final = ("vessel_code", "vessel_name", "voyage", "carrier", "arrival_date")
"""What a manifest's own record says of its journey."""


@dataclass(slots=True)
class Bill:
    """One bill as the message tells it; ``segment`` names it in results."""

    number: str
    segment: Segment
    groups: list[list[Segment]]
    consignment: str
    fields: dict[str, Any] = field(default_factory=dict)


@reads("CUSCAR", codes=["MFR", "CMF", "DMF"])
def register_manifest(message: Message, context: Context) -> Outcome:
    """CUSCAR: registers, replaces, changes, cancels or submits a manifest and its cargo.

    Refuses with S9001, S9002, S9003, S9004; R9003, R9004, R9008, R9009; E9001, E9002, E9003, U9003.
    """
    errors: Errors = []
    document = document_of(message, errors, corrects=context.business_code == "CMF")
    segments = list(takewhile(lambda segment: segment.tag != "AUT", message.segments))
    head, consignments = split(segments, "CNI")
    bills = _bills(consignments, document, errors)
    common = _common(head, document, errors)
    for bill in bills:
        bill.fields = _fields(bill, common, errors, alone=len(bills) == 1)
    key = document.number or (bills[0].number if bills else "")
    stop(errors, key)
    stop(_relations(head, consignments, bills, document, context), key)
    _act(document, bills, common, context, key)
    return Outcome(key=key)


# Reading --------------------------------------------------------------------------------------------------------------


def _groups(consignment: Sequence[Segment]) -> tuple[list[Segment], list[list[Segment]]]:
    """CNI's own segments, and its RFF groups. A group holds goods: an RFF before any goods belongs to the same one."""
    head: list[Segment] = []
    groups: list[list[Segment]] = []
    goods = False
    for segment in consignment:
        if segment.tag == "RFF" and (goods or not groups):
            groups.append([])
            goods = False
        goods = goods or segment.tag == "GID"
        (groups[-1] if groups else head).append(segment)
    return head, groups


def _bills(consignments: Sequence[Sequence[Segment]], document: Document, errors: Errors) -> list[Bill]:
    """The bills in order; S9001 where one has no number, S9002 where it is no 貨物管理番号."""
    found: list[Bill] = []
    grouped = [_groups(consignment) for consignment in consignments]
    alone = sum(max(len(groups), 1) for _, groups in grouped) == 1
    for head, groups in grouped:
        mine: dict[str, Bill] = {}
        for group in groups or [[]]:
            leading = takewhile(lambda segment: segment.tag == "RFF", group)
            named = qualified(leading, "RFF", *_BILLS)
            number = value_at(named, 0, 1) if named else value_at(head[0], 1) or (document.number if alone else "")
            segment = named or head[0]
            if not number:
                errors.append(missing("RFF", group[0] if group else head[-1]))
            elif not _NUMBER.fullmatch(number):
                errors.append(at("S9002", segment))
            elif number in mine:
                mine[number].groups.append(group)
            else:
                mine[number] = Bill(number, segment, [group or head[1:]], value_at(head[0], 0))
        found += mine.values()
    return found


def _common(head: Sequence[Segment], document: Document, errors: Errors) -> dict[str, Any]:
    """What the head says for every bill; the EQD groups' own segments are not the head's."""
    front = split(head, "EQD")[0]
    return {
        **_carriage(front, errors),
        "ports": places(front),
        "parties": parties(front),
        "direction": _DIRECTIONS.get(document.code, ""),
        "containers": [
            value_at(segment, 1) for segment in head if segment.tag == "EQD" and value_at(segment, 0) == "CN"
        ],
    }


def _fields(bill: Bill, common: Mapping[str, Any], errors: Errors, *, alone: bool) -> dict[str, Any]:
    """What a cargo record holds of a bill; what the message does not say is left out."""
    own = [segment for group in bill.groups for segment in takewhile(lambda s: s.tag != "GID", group)]
    goods = [item for group in bill.groups for item in split(group, "GID")[1]]
    items = [_goods(item, errors) for item in goods]
    containers = [number for item in items for number in item["containers"]]
    if alone and not containers:
        containers = common["containers"]
    ports = common["ports"] | places(own)
    found = references(own)
    fields = {**common, **_carriage(own, errors), **_totals(items), **_weight(goods, own, errors)}
    fields |= {
        "description": next((item["description"] for item in items if item["description"]), ""),
        "containers": list(dict.fromkeys(number for number in containers if number)),
        "place": ports.get("14") or ports.get("18", ""),
        "ports": ports,
        "parties": common["parties"] | parties(own),
        "references": found,
        "master_bill": next((n for q in ("MB", "MWB") for n in found.get(q, ()) if n != bill.number), ""),
        "consignment": bill.consignment,
        "marks": [mark for item in items for mark in item["marks"]],
        "goods": items,
    }
    return {name: value for name, value in fields.items() if value not in ("", 0, [], {})}


def _carriage(segments: Sequence[Segment], errors: Errors) -> dict[str, Any]:
    """Vessel, voyage, carrier and arrival of a TDT group."""
    way = carriage(segments)
    found: dict[str, Any] = {}
    if way is not None:
        found = {
            "vessel_code": value_at(way, 7),
            "vessel_name": value_at(way, 7, 3),
            "voyage": value_at(way, 1),
            "carrier": value_at(way, 4),
        }
    # The actual arrival (178) says more than the estimated one (132).
    found["arrival_date"] = moment(qualified(segments, "DTM", "178", "132"), errors)[:8]
    return {name: value for name, value in found.items() if value}


def _goods(item: Sequence[Segment], errors: Errors) -> dict[str, Any]:
    """One goods item: GID and what stands below it."""
    gid = item[0]
    count, unit = amount(gid, 1, 0, errors), value_at(gid, 1, 1)
    if not value_at(gid, 1) and (pac := first(item, "PAC")) is not None:
        count, unit = amount(pac, 0, 0, errors), value_at(pac, 2)
    marks = [mark for s in item if s.tag == "PCI" for mark in (value_at(s, 1, n) for n in range(10)) if mark]
    return {
        "description": text_of(qualified(item, "FTX", "AAA")),
        "packages": plain(count),
        "package_unit": unit,
        "containers": [value_at(segment, 0) for segment in item if segment.tag == "SGP"],
        "marks": marks,
        "commodity": next((value_at(segment, 1) for segment in item if segment.tag == "CST"), ""),
        "dangerous": [value_at(segment, 2) for segment in item if segment.tag == "DGS" and value_at(segment, 2)],
    }


def _totals(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Packages of all items; a unit only where all have the same."""
    units = {item["package_unit"] for item in items if item["packages"]}
    total = sum((Decimal(str(item["packages"])) for item in items), Decimal(0))
    return {"packages": plain(total), "package_unit": units.pop() if len(units) == 1 else ""}


def _gross(segments: Sequence[Segment], errors: Errors) -> tuple[Decimal, str] | None:
    """The gross weight among MEA segments; total and item gross weight before an unnamed one."""
    weights = [
        s for s in segments if s.tag == "MEA" and value_at(s, 2) in _KILOGRAMS and value_at(s, 1) not in _NOT_GROSS
    ]
    chosen = next((s for name in ("G", "AAD", "AAB", "AAE") for s in weights if value_at(s, 1) == name), None)
    chosen = chosen or (weights[0] if weights else None)
    return (amount(chosen, 2, 1, errors), value_at(chosen, 2)) if chosen is not None else None


def _weight(goods: Sequence[Sequence[Segment]], own: Sequence[Segment], errors: Errors) -> dict[str, Any]:
    """Gross weight of the goods, added up; of different units in kilograms. Without goods' weights the bill's own."""
    found = [weight for item in goods if (weight := _gross(item, errors))]
    if not found and (of_bill := _gross(own, errors)):
        found = [of_bill]
    units = {unit for _, unit in found}
    if len(units) == 1:
        return {"weight": plain(sum((value for value, _ in found), Decimal(0))), "weight_unit": units.pop()}
    kilograms = sum((value * _KILOGRAMS[unit] for value, unit in found), Decimal(0))
    return {"weight": plain(kilograms), "weight_unit": "KGM"} if found else {}


# Relations and records ------------------------------------------------------------------------------------------------


def _relations(
    head: Sequence[Segment],
    consignments: Sequence[Sequence[Segment]],
    bills: Sequence[Bill],
    document: Document,
    context: Context,
) -> Errors:
    """R9003 without any bill, R9004 a number twice, R9008 a wrong total, R9009 a container that EQD does not list."""
    errors: Errors = []
    submits = context.business_code == "DMF" and document.action is Action.ORIGINAL
    if not bills and document.action is not Action.CANCEL and not submits:
        errors.append(missing("CNI", head[-1], "R9003"))
    if not bills and not document.target:
        errors.append(document.result("S9001"))
    seen: set[str] = set()
    for bill in bills:
        if bill.number in seen:
            errors.append(at("R9004", bill.segment))
        seen.add(bill.number)
    equipment = [segment for segment in head if segment.tag == "EQD"]
    control_total(head, "10", len(consignments), errors)
    control_total(head, "16", len(equipment), errors)
    for bill in bills:
        own = [segment for group in bill.groups for segment in takewhile(lambda s: s.tag != "GID", group)]
        packages = sum((Decimal(str(item["packages"])) for item in bill.fields.get("goods", ())), Decimal(0))
        control_total(own, "11", packages, errors)
    known = {value_at(segment, 1) for segment in equipment}
    if known:
        named = (s for bill in bills for group in bill.groups for s in group if s.tag == "SGP")
        errors += [at("R9009", segment) for segment in named if value_at(segment, 0) not in known]
    return errors


def _act(document: Document, bills: Sequence[Bill], common: Mapping[str, Any], context: Context, key: str) -> None:
    """Check the records and write them: the manifest, then its cargo."""
    name = f"{context.user.user_code}/{document.target}" if document.target else ""
    manifest = context.records.get(MANIFEST, name) if name else None
    action, state = document.action, str(manifest["state"]) if manifest else REGISTERED
    if context.business_code == "DMF" and action is Action.ORIGINAL:
        if manifest is not None and state == REGISTERED:
            action = Action.REPLACE if bills else Action.CHANGE
        elif not bills:
            against = "E9001" if manifest is None else "E9003" if state == CANCELLED else "E9002"
            stop([document.result(against)], key)
        state = SUBMITTED
    elif action is Action.ORIGINAL:
        state = REGISTERED
    against = verdict(manifest, action, context) if name else ""
    stop([document.result(against)] if against else [], key)
    listed = list(manifest["bills"]) if manifest and manifest["state"] != CANCELLED else []
    stop(_bill_objections(bills, listed if name else None, action, context), key)
    named = [bill.number for bill in bills]
    among = set(named)
    if action is Action.CANCEL:
        gone, kept = named or listed, [number for number in listed if named and number not in among]
        state = state if kept else CANCELLED
    elif action is Action.REPLACE:
        gone, kept = [number for number in listed if number not in among], named
    else:
        gone, kept = [], list(dict.fromkeys([*listed, *named]))
    _write_cargo(document, bills if action is not Action.CANCEL else (), gone, context, merge=action is Action.CHANGE)
    if name:
        way = {what: common[what] for what in _WAY if what in common}
        fields = {**(manifest or {}), **entry(manifest, document, state, context), **way, "bills": kept}
        if action is Action.CANCEL and manifest is not None:
            fields |= {"document": manifest["document"], "document_code": manifest["document_code"]}
        context.records.put(MANIFEST, name, fields)


def _bill_objections(bills: Sequence[Bill], listed: Sequence[str] | None, action: Action, context: Context) -> Errors:
    """What stands against each bill; ``listed`` are the manifest's bills, None without a manifest's number.

    A replacement may name new bills; a bill that another manifest holds is E9002.
    """
    errors: Errors = []
    held = frozenset(listed or ())
    for bill in bills:
        data = context.records.get(CARGO, bill.number)
        live = data is not None and data.get("state") != CANCELLED
        if action in (Action.ORIGINAL, Action.ADD) or (action is Action.REPLACE and listed is not None and not live):
            against = "E9002" if live else ""
        else:
            against = objections(data, context)
            if not against and listed is not None and bill.number not in held:
                against = "E9002" if action is Action.REPLACE else "E9001"
        if against:
            errors.append(at(against, bill.segment))
    return errors


def _write_cargo(
    document: Document, bills: Sequence[Bill], gone: Sequence[str], context: Context, *, merge: bool
) -> None:
    for number in gone:
        last = context.records.get(CARGO, number) or {}
        context.records.put(CARGO, number, {**last, "state": CANCELLED, "request": context.request})
    for bill in bills:
        former = context.records.get(CARGO, bill.number)
        data = {**(former or {}), **bill.fields} if merge else dict(bill.fields)
        data |= entry(former, document, REGISTERED, context)
        data["manifest"] = f"{context.user.user_code}/{document.target}" if document.target else ""
        _name_vessel(data, context)
        context.records.put(CARGO, bill.number, data)


def _name_vessel(data: dict[str, Any], context: Context) -> None:
    """積載船名 of a vessel that CUSREP registered, where the manifest gives only its code."""
    if data.get("vessel_code") and not data.get("vessel_name"):
        vessel = context.records.get("vessel", data["vessel_code"])
        if vessel is not None and vessel.get("state") != CANCELLED:
            data["vessel_name"] = vessel.get("name", "")
