"""Air warehouses: CDB01 registers what is to come; BIL, BIL01, BIN, BIN01 confirm that it came, OUT that it left.

*Strategy.* Each code asks the state table of air cargo (:mod:`sekisho.handlers.air_cargo_states`) for every row and
acts on all rows or on none. Only the user of a place of the registry confirms what happens there; places that are not
in the registry may be reported by anybody. An arrival starts the declarations that wait for it (搬入時), like BIA. Each
movement is a row of the sender's ledger and a stay in the cargo record, which inquiries show.

A ``bond-in-slip`` (key 搬入伝票番号) holds ``user_code``, ``owner``, ``place``, ``planned_date``, ``agent`` and its
``cargo``. Unspecified: our choice: a number that CDB01 names and nobody has yet is taken as its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode, Rule
from sekisho.handlers.air_cargo_states import AIR_CARGO, state_of
from sekisho.handlers.bonded_movements import STARTED, arrive, start_waiting
from sekisho.handlers.cargo import CANCELLED, CARGO, approvals, find_cargo
from sekisho.handlers.checks import body, not_twice, numbered, stop
from sekisho.handlers.house_waybills import named_by
from sekisho.handlers.kit import Context, Outcome, Output, handles, refuse
from sekisho.handlers.ledger import note

__all__ = ["confirm_arrival", "confirm_bond_in", "confirm_slip", "confirm_transport", "release"]

SLIP: Final = "bond-in-slip"
_NEW, _BACK = "9", "1"
_STAYS: Final = 20
"""Stays a cargo record holds, the latest: as many as an inquiry shows."""
_TRANSPORT_ONLY: Final = frozenset({"OLC", "OLC20"})
"""Approvals under which cargo leaves by BOA, as a transport, and not by OUT."""

Check = Callable[[str, Mapping[str, Any]], str]
"""A rule about one cargo: the result code that stands against it, empty if nothing does."""
ItemCode = Callable[[str, str, int], ResultCode]


def _action_and_rows(record: Record, code: ItemCode) -> list[ResultCode]:
    """処理区分 is 9 or 1; a row that holds something holds its number."""
    found = [code(Rule.VALUE, "KND", 0)] if record.text("KND") not in ("", _NEW, _BACK) else []
    return [*found, *named_by("AWB")(record, code)]


def _holds(place: str, context: Context) -> bool:
    """Whether the sender may report for a place: it is his, or nobody's in the registry."""
    known = context.records.place(place) if place else None
    return known is None or known[0] == context.user.user_code


def _day(record: Record, item: str, context: Context) -> None:
    """Refuse with S9003 a day that is not within the past year, as BIA does [spec]; blank is no day."""
    day, today = record.text(item), context.now.date()
    within = f"{today - timedelta(days=366):%Y%m%d}" <= day <= f"{today:%Y%m%d}"
    stop([] if within or not day else [ResultCode("S9003", item)])


def _rows(record: Record, item: str) -> list[tuple[int, str]]:
    """The rows that name cargo. Refuses with R9003, R9004."""
    rows = numbered(record, item)
    stop([*([] if rows else [ResultCode("R9003", item)]), *not_twice(record, item)])
    return rows


def _allowed(
    rows: Iterable[tuple[int, str]], item: str, event: str, context: Context, check: Check = lambda _number, _data: ""
) -> dict[str, dict[str, Any]]:
    """The cargo of every row in the state ``event`` leads to. Refuses by row with E9006, E9013, what ``check`` says."""
    out: dict[str, dict[str, Any]] = {}
    found = []
    for row, number in rows:
        data = find_cargo(number, context)
        if data is None:
            found.append(ResultCode("E9006", item, row))
            continue
        state = AIR_CARGO.after(state_of(data), event)
        against = "E9013" if state is None or data.get("transport") else check(number, data)
        if against:
            found.append(ResultCode(against, item, row))
        out[number] = {**data, "state": state}
    stop(found)
    return out


def _enter(number: str, data: Mapping[str, Any], place: str, at: str, code: str, context: Context) -> None:
    """The cargo lies at ``place`` since ``at`` (YYYYMMDD or YYYYMMDDhhmm)."""
    stay = {"container": "", "place": place, "procedure": code, "in_at": at, "out_at": ""}
    where = {"place": place, "former_place": data.get("place", ""), "arrived_place": place, "arrived_at": at}
    stays = [*data.get("stays", ()), stay][-_STAYS:]
    context.records.put(CARGO, number, {**data, **where, "arrived_by": context.user.user_code, "stays": stays})


def _undo_entry(number: str, data: Mapping[str, Any], context: Context) -> None:
    """The last entry has not happened."""
    kept = {name: value for name, value in data.items() if not name.startswith(("arrived_", "former_"))}
    where = {"place": data.get("former_place", ""), "stays": list(data.get("stays", ()))[:-1]}
    context.records.put(CARGO, number, {**kept, **where})


def _entered_at(place: str) -> Check:
    """E9014 for cargo that lies at another place."""
    return lambda _number, data: "E9014" if data.get("arrived_place", place) != place else ""


def _noted(code: str, number: str, cargoes: Mapping[str, Mapping[str, Any]], place: str, context: Context) -> None:
    rows = [(code, number, cargo, place, d.get("packages", ""), d.get("weight", "")) for cargo, d in cargoes.items()]
    note(rows, context)


# Export: slips and what comes in by them ------------------------------------------------------------------------------

_SLIP_ROW: Final = {
    "KMS": "cargo_kind",
    "LPC": "port",
    "DES": "destination",
    "ALN": "carrier",
    "KGY": "consolidator",
    "AGO": "agent_office",
    "TKI": "broker",
    "EYD": "export_date",
    "MAB": "master_bill",
    "KSB": "type",
    "KYN": "permit",
    "SPC": "special",
    "CMN": "description",
}


def _slip_cargo(record: Record, row: int) -> dict[str, Any]:
    has = record.layout
    found: dict[str, Any] = {name: record.text(item, row) for item, name in _SLIP_ROW.items() if item in has}
    total = _number(record, ("NO", "HKS"), row), _number(record, ("GW", "HJR"), row)
    found |= {"packages": total[0], "weight": total[1], "weight_unit": "KGM" if total[1] else ""}
    return {name: value for name, value in found.items() if value not in ("", None)}


def _number(record: Record, items: Sequence[str], row: int) -> int | float | None:
    """The first filled number: the total, else what is brought in."""
    texts = (record.text(item, row) for item in items if item in record.layout)
    text = next((text for text in texts if text), "")
    if not text:
        return None
    return float(text) if "." in text else int(text)


@handles("CDB01", outputs=["*ACDB01", "AZCDB01"], items=named_by("AWB"))
def register_slip(message: Message, context: Context) -> Outcome:
    """CDB01: register a bond-in slip and its export cargo, or with its 搬入伝票番号 put new contents into it.

    Cargo that a correction no longer names is cancelled. Refuses with R9003, R9004; U9003; by row E9002 for cargo that
    is registered already, E9013 (at HDB for cargo that is no longer named) for what has been brought in.
    """
    record = body(message)
    rows = _rows(record, "AWB")
    number = record.text("HDB")
    slip = context.records.get(SLIP, number) if number else None
    if slip is not None and slip["user_code"] != context.user.user_code:
        raise refuse(ResultCode("U9003", "HDB"))
    held = set(slip["cargo"]) if slip is not None else set[str]()
    states, found = {}, []
    for row, cargo in rows:
        event = "correct slip" if cargo in held else "register slip"
        states[cargo] = AIR_CARGO.after(state_of(find_cargo(cargo, context)), event)
        if states[cargo] is None:
            found.append(ResultCode("E9013" if cargo in held else "E9002", "AWB", row))
    gone = {cargo: find_cargo(cargo, context) for cargo in sorted(held - states.keys())}
    if any(data is not None and AIR_CARGO.after(state_of(data), "leave slip") is None for data in gone.values()):
        found.append(ResultCode("E9013", "HDB"))
    stop(found)
    number = number or _fresh(context)
    for cargo, data in gone.items():
        if data is not None:
            context.records.put(CARGO, cargo, {**data, "state": CANCELLED, "request": context.request})
    _write_slip(number, record, rows, states, slip, context)
    return Outcome(key=number, outputs=_slip_form(number, record, rows))


def _fresh(context: Context) -> str:
    """An issued number that no sender has taken for his own."""
    while True:
        number = context.numbers.next(SLIP)
        if context.records.get(SLIP, number) is None:
            return number


def _write_slip(
    number: str,
    record: Record,
    rows: Sequence[tuple[int, str]],
    states: Mapping[str, str | None],
    former: Mapping[str, Any] | None,
    context: Context,
) -> None:
    whose = {"owner": context.user.id, "user_code": context.user.user_code, "request": context.request}
    moment = context.now.isoformat(timespec="seconds")
    version = former["version"] + 1 if former is not None else 1
    slip: dict[str, Any] = {
        **whose,
        "number": number,
        "version": version,
        "registered_at": former["registered_at"] if former is not None else moment,
        "place": record.text("HYS"),
        "planned_date": record.text("HYD"),
        "agent": record.text("AGC"),
        "cargo": [cargo for _, cargo in rows],
    }
    context.records.put(SLIP, number, slip)
    for row, cargo in rows:
        about = {"slip": number, "planned_place": slip["place"], "planned_date": slip["planned_date"]}
        entry = {**whose, **about, "business_code": "CDB01", "registered_at": moment, "version": version}
        data = {**_slip_cargo(record, row), **entry, "direction": "E", "state": states[cargo]}
        context.records.put(CARGO, cargo, data)
    written = {cargo: _slip_cargo(record, row) for row, cargo in rows}
    _noted("CDB01", number, written, slip["place"], context)


def _slip_form(number: str, record: Record, rows: Sequence[tuple[int, str]]) -> tuple[Output, ...]:
    """搬入伝票, unless 搬入伝票作成要否 is N (values unknown; our choice)."""
    if record.text("DPY") == "N":
        return ()
    columns = {"X07": "HKS", "HKS": "HKS", "X09": "HJR"} | {i: i for i in ("LPC", "DES", "AGO", "SPC", "CMN", "ALN")}
    values: dict[str, Any] = {"HDB": number, "HST": record.text("HYS"), "X05": record.text("AGC")}
    values["X06"] = [cargo for _, cargo in rows]
    values |= {out: [record.text(item, row) for row, _ in rows] for out, item in columns.items()}
    return (Output("AZCDB01", "P", values, layout="bondin-slip"),)


def _slip_row_action(record: Record, code: ItemCode) -> list[ResultCode]:
    """処理識別 of a row is blank, or 1 to take the confirmation back (the values are ours)."""
    wrong = [row for row, text in numbered(record, "SYS") if text != _BACK]
    return [*(code(Rule.VALUE, "SYS", row) for row in wrong), *named_by("HAB")(record, code)]


@handles("BIL01", outputs=["*ABIL01", *STARTED], items=_slip_row_action)
def confirm_slip(message: Message, context: Context) -> Outcome:
    """BIL01: the cargo of a slip was brought in; without rows, all of it that was not yet.

    Refuses with R9004; E9001 (no such slip; by row, not of this slip), U9003, E9013.
    """
    record = body(message)
    stop(not_twice(record, "HAB"))
    number = record.text("HDB")
    slip = context.records.get(SLIP, number) if number else None
    if slip is None:
        raise refuse(ResultCode("E9001", "HDB"))
    place = slip["place"]
    stop([] if _holds(place, context) else [ResultCode("U9003", "HDB")])
    rows = numbered(record, "HAB")
    stop(ResultCode("E9001", "HAB", row) for row, cargo in rows if cargo not in slip["cargo"])
    if not rows:
        rows = [(0, cargo) for cargo in slip["cargo"] if _waits(cargo, context)]
        stop([] if rows else [ResultCode("E9013", "HDB")])
    back = {cargo for row, cargo in rows if row and record.text("SYS", row)}
    leaving = _allowed([one for one in rows if one[1] in back], "HAB", "take back bond-in", context)
    coming = _allowed([one for one in rows if one[1] not in back], "HAB", "confirm bond-in", context)
    for cargo, data in leaving.items():
        _undo_entry(cargo, data, context)
    for cargo, data in coming.items():
        _enter(cargo, data, place, f"{context.now:%Y%m%d%H%M}", "BIL01", context)
    _noted("BIL01", number, coming, place, context)
    _noted("BIL01-", number, leaving, place, context)
    return Outcome(key=number, outputs=tuple(start_waiting(coming, context)))


def _waits(cargo: str, context: Context) -> bool:
    return AIR_CARGO.after(state_of(find_cargo(cargo, context)), "confirm bond-in") is not None


def _confirm(message: Message, context: Context, into: str, back: str, more: Check) -> Outcome:
    """BIL and BIN: 9 brings cargo in at a place, 1 takes that back."""
    record, code = body(message), message.header.business_code
    _day(record, "IDT", context)
    rows, place = _rows(record, "AWB"), record.text("HST")
    stop([] if _holds(place, context) else [ResultCode("U9003", "HST")])
    if record.text("KND") == _BACK:
        undone = _allowed(rows, "AWB", back, context, lambda n, data: more(n, data) or _entered_at(place)(n, data))
        for cargo, data in undone.items():
            _undo_entry(cargo, data, context)
        _noted(f"{code}-", "", undone, place, context)
        return Outcome()
    coming = _allowed(rows, "AWB", into, context, more)
    for cargo, data in coming.items():
        _enter(cargo, data, place, record.text("IDT") + record.text("ITM"), code, context)
    _noted(code, "", coming, place, context)
    return Outcome(outputs=tuple(start_waiting(coming, context)))


@handles("BIL", outputs=["*ABIL", *STARTED], items=_action_and_rows)
def confirm_bond_in(message: Message, context: Context) -> Outcome:
    """BIL: export cargo of slips was brought in at a place.

    Refuses with S9003 (not within the past year); R9003, R9004; U9003; by row E9006, E9014 (its slip names another
    place), E9013.
    """
    place = body(message).text("HST")
    return _confirm(
        message,
        context,
        "confirm bond-in",
        "take back bond-in",
        lambda _number, data: "E9014" if data.get("planned_place") not in ("", None, place) else "",
    )


# Import ---------------------------------------------------------------------------------------------------------------


def _imported(_number: str, data: Mapping[str, Any]) -> str:
    """E9013 for export cargo, which comes in by its slip."""
    return "E9013" if data.get("slip") else ""


@handles("BIN", outputs=["*ABIN", *STARTED], items=_action_and_rows)
def confirm_arrival(message: Message, context: Context) -> Outcome:
    """BIN: import cargo was brought in at a place.

    Refuses with S9003 (not within the past year); R9003, R9004; U9003; by row E9006, E9014 (of 1: it lies elsewhere),
    E9013.
    """
    return _confirm(message, context, "confirm arrival", "take back arrival", _imported)


@handles("BIN01", outputs=["*ABIN01", *STARTED])
def confirm_transport(message: Message, context: Context) -> Outcome:
    """BIN01: a bonded transport has arrived, and all its cargo with it.

    Refuses with S9003 (not within the past year); E9001, E9003, U9003, E9013, E9014.
    """
    record = body(message)
    _day(record, "IDT", context)
    number, at = record.text("OLT"), record.text("IDT") + record.text("ITM")
    cargoes = arrive(number, record.text("ALC"), at, context, item="ALC")
    came: dict[str, Mapping[str, Any]] = {}
    for cargo in cargoes:
        data = find_cargo(cargo, context)
        state = AIR_CARGO.after(state_of(data), "arrive under transport")
        if data is not None and state is not None:
            came[cargo] = {**data, "state": state}
            stay = {"container": "", "place": data["place"], "procedure": "BIN01", "in_at": at, "out_at": ""}
            stays = [*data.get("stays", ()), stay][-_STAYS:]
            context.records.put(CARGO, cargo, {**came[cargo], "stays": stays})
    place = next((str(data["place"]) for data in came.values()), "")
    _noted("BIN01", number, came, place, context)
    return Outcome(key=number, outputs=tuple(start_waiting(cargoes, context)))


# Out ------------------------------------------------------------------------------------------------------------------


@handles("OUT", outputs=["*AOUT"], items=named_by("AWB"))
def release(message: Message, context: Context) -> Outcome:
    """OUT: cargo has left the warehouse it lay in; a filled 取消表示 takes that back.

    Refuses with S9003 (not within the past year); R9003, R9004; by row E9006, U9003 (the place is another's), E9013,
    E9016 (neither permitted nor approved; not asked if the setting ``release_needs_permit`` is false).
    """
    record = body(message)
    _day(record, "HSD", context)
    rows = _rows(record, "AWB")
    if record.text("TRK"):
        back = _allowed(rows, "AWB", "take back release", context, lambda _n, d: _foreign(d["left_place"], context))
        for cargo, data in back.items():
            _come_back(cargo, data, context)
            _noted("OUT-", "", {cargo: data}, data["left_place"], context)
        return Outcome()
    leaving = _allowed(rows, "AWB", "release", context, lambda number, data: _against_release(number, data, context))
    day = record.text("HSD") or f"{context.now:%Y%m%d}"
    times = {cargo: record.text("HSJ", row) for row, cargo in rows}
    for cargo, data in leaving.items():
        stays = [dict(stay) for stay in data.get("stays", ())]
        if stays:
            stays[-1]["out_at"] = day + times[cargo]
        left = {"left_place": data.get("place", ""), "place": "", "arrived_place": "", "stays": stays}
        context.records.put(CARGO, cargo, {**data, **left})
        _noted("OUT", "", {cargo: data}, left["left_place"], context)
    return Outcome()


def _come_back(cargo: str, data: Mapping[str, Any], context: Context) -> None:
    stays = [dict(stay) for stay in data.get("stays", ())]
    if stays:
        stays[-1]["out_at"] = ""
    where = {"place": data["left_place"], "arrived_place": data["left_place"], "left_place": "", "stays": stays}
    context.records.put(CARGO, cargo, {**data, **where})


def _foreign(place: str, context: Context) -> str:
    return "" if _holds(place, context) else "U9003"


def _against_release(number: str, data: Mapping[str, Any], context: Context) -> str:
    """U9003 at another's place; E9016 without a permit."""
    if against := _foreign(str(data.get("place", "")), context):
        return against
    needed = context.business.get("release_needs_permit", True)
    permitted = any(one["procedure"] not in _TRANSPORT_ONLY for one in approvals(number, context))
    return "" if permitted or not needed else "E9016"
