"""The way of the goods: PKI, BOA, CYO, BIA (procedures 4.1, 9.5).

*Strategy.* Who holds a place reports what happens there: a gate-out needs an approved transport, an arrival one that is
on its way. The cargo records follow (place, transport, arrival), and an arrival or a discharge starts the declarations
that wait for the cargo (搬入時, 船卸時), in whatever procedure; what they answer goes to their declarants by EXZ.

CYO moves single containers: the first one out puts the transport on its way, the last one taken back brings it home. It
also closes the container's stay in the yard, as a gate-out reported by CODECO does; without 保税運送申告番号 it does
nothing else. A record holds ``out`` (container -> ``user_code``, ``at``, ``place``) and ``gate_out`` (``user_code``,
``at``, ``from`` with the state before, and ``code``), and at the end ``arrived_at`` and ``arrived_place``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final

from sekisho.codecs.message import Message
from sekisho.codecs.reading import Record
from sekisho.codecs.results import ResultCode, Rule
from sekisho.handlers.arrivals import all_arrived, awaiting, note_arrival, set_back, set_out, take_back_arrival
from sekisho.handlers.bonded_checks import CANCELLATION, NEW_ENTRY, Numbered, gate_values
from sekisho.handlers.bonded_outputs import arrival, containers, departure, unknown_cargo
from sekisho.handlers.bonded_states import BONDED_TRANSPORT
from sekisho.handlers.bonded_transport import BONDED, ended
from sekisho.handlers.cargo import CONTAINER, IN_YARD, find_cargo
from sekisho.handlers.checks import body, not_twice, numbered, stop
from sekisho.handlers.declarations import FAMILIES
from sekisho.handlers.examined import WAITING_FOR_ARRIVAL, Procedure, arrived, declarant
from sekisho.handlers.kit import Context, Outcome, Output, handles, refuse
from sekisho.handlers.ship_side import SHIP_SIDE

__all__ = [
    "STARTED",
    "arrive",
    "confirm_arrival",
    "confirm_discharge",
    "gate_out",
    "gate_out_of_yard",
    "start_waiting",
]

_PROCEDURES: Final[Mapping[str, Procedure]] = {one.kind: one for one in (BONDED, SHIP_SIDE)}
"""The procedures whose declarations may wait for cargo, besides those of imports and exports."""
STARTED: Final = ("SAS0371", "SAS0381", "SAS0411", "SAS0421", "SAS0431", "SAS0441", "SZOLC", "SZHFA", "SZHFC")
"""What a declaration answers that an arrival starts."""


def _transport(number: str, context: Context) -> dict[str, Any]:
    """The transport of a number. Refuses with E9001, E9003."""
    data = context.records.get(BONDED.kind, number)
    if data is None:
        raise refuse(ResultCode("E9001", "OLT"), key=number)
    if ended(data["state"]):
        raise refuse(ResultCode("E9003", "OLT"), key=number)
    return dict(data)


def _stands(data: Mapping[str, Any], event: str, number: str) -> str:
    """The state that ``event`` leads to; E9013 where it is not allowed."""
    state = BONDED_TRANSPORT.after(data["state"], event)
    if state is None:
        raise refuse(ResultCode("E9013", "OLT"), key=number)
    return state


def _holder(place: str, item: str, number: str, context: Context) -> None:
    """Refuse with U9003 whoever is not the user of a place of the registry; others may be reported by anybody."""
    known = context.records.place(place) if place else None
    if known is not None and known[0] != context.user.user_code:
        raise refuse(ResultCode("U9003", item), key=number)


def _others(record: Record, pairs: Iterable[tuple[str, str]]) -> list[ResultCode]:
    """E9014 at each place that is named and is not the one of the transport."""
    return [ResultCode("E9014", item) for item, place in pairs if record.text(item) and record.text(item) != place]


# Discharge and arrival ------------------------------------------------------------------------------------------------


def start_waiting(cargoes: Iterable[str], context: Context) -> list[Output]:
    """Declare what waited for these and now has all its cargo; each once, in the order they came."""
    outputs: list[Output] = []
    waiting = dict.fromkeys(one for cargo in cargoes for one in awaiting(cargo, context))
    for kind, number in waiting:
        procedure = _PROCEDURES.get(kind) or FAMILIES[kind]
        data = context.records.get(kind, number)
        if data is None or data["state"] != WAITING_FOR_ARRIVAL:
            continue
        if all_arrived(procedure.cargoes(data["items"]), procedure.place(data["items"]), context):
            outputs += arrived(procedure, number, data, context, declarant(data))
    return outputs


@handles("PKI", outputs=["*SPKI", *STARTED], items=gate_values)
def confirm_discharge(message: Message, context: Context) -> Outcome:
    """PKI: 9 confirms that cargo was discharged at a place and starts what waits for it, 1 takes that back.

    Taking back leaves what has started as it is. Refuses with R9004; U9003; by row E9006, and of 1 E9001 (not confirmed
    there), E9013 (gone since) and U9003 (by somebody else).
    """
    record = body(message)
    place = record.text("BRT")
    stop(not_twice(record, "CG_"))
    _holder(place, "BRT", "", context)
    stop(unknown_cargo(record.texts("CG_"), context, "E9006", "CG_"))
    cargoes = numbered(record, "CG_")
    if record.text("KND") == CANCELLATION:
        stop(_not_confirmed(cargoes, place, context))
        for _, cargo in cargoes:
            take_back_arrival(cargo, context)
        return Outcome()
    for _, cargo in cargoes:
        note_arrival(cargo, place, record.text("DTM") + record.text("TIM"), context)
    return Outcome(outputs=tuple(start_waiting((cargo for _, cargo in cargoes), context)))


def _not_confirmed(cargoes: Iterable[tuple[int, str]], place: str, context: Context) -> list[ResultCode]:
    found = []
    for row, cargo in cargoes:
        data = find_cargo(cargo, context) or {}
        if data.get("arrived_place") != place:
            found.append(ResultCode("E9001", "CG_", row))
        elif data.get("transport"):
            found.append(ResultCode("E9013", "CG_", row))
        elif data.get("arrived_by") != context.user.user_code:
            found.append(ResultCode("U9003", "CG_", row))
    return found


def _arrival_values(record: Record, code: Numbered) -> list[ResultCode]:
    """処理識別 is A to E [spec]."""
    return [] if record.text("KND") in ("", *"ABCDE") else [code(Rule.VALUE, "KND", 0)]


@handles("BIA", outputs=["*SBIA", *STARTED], items=_arrival_values)
def confirm_arrival(message: Message, context: Context) -> Outcome:
    """BIA: a transport has arrived; declarations that wait for its cargo at this place start.

    Refuses with S9003 for a day that is not within the past year; E9001, E9003, U9003, E9013, E9014.
    """
    record = body(message)
    number, place, day = record.text("OLT"), record.text("PLC"), record.text("DTM")
    today = context.now.date()
    stop([] if f"{today - timedelta(days=366):%Y%m%d}" <= day <= f"{today:%Y%m%d}" else [ResultCode("S9003", "DTM")])
    cargoes = arrive(number, place, day + record.text("TIM"), context)
    return Outcome(key=number, outputs=tuple(start_waiting(cargoes, context)))


def arrive(number: str, place: str, moment: str, context: Context, item: str = "PLC") -> list[str]:
    """A transport has arrived at ``place`` (blank: its 到着地): gives its cargo, which lies there now.

    ``item`` is what results about the place name.

    Refuses with E9001, E9003, U9003, E9013, E9014.
    """
    data = _transport(number, context)
    expected = arrival(data["items"])
    place = place or expected
    _holder(place, item, number, context)
    state = _stands(data, "arrive", number)
    stop([] if place == expected else [ResultCode("E9014", item)], key=number)
    data |= {"state": state, "arrived_at": moment, "arrived_place": place}
    context.records.put(BONDED.kind, number, data)
    cargoes = BONDED.cargoes(data["items"])
    for cargo in cargoes:
        set_back(cargo, context)
        note_arrival(cargo, place, moment, context)
    return cargoes


# Gate-out -------------------------------------------------------------------------------------------------------------


def _leave(number: str, data: dict[str, Any], code: str, at: str, context: Context) -> None:
    """Put an approved transport on its way."""
    state = _stands(data, "gate out", number)
    data["gate_out"] = {"user_code": context.user.user_code, "at": at, "from": data["state"], "code": code}
    data["state"] = state
    for cargo in BONDED.cargoes(data["items"]):
        set_out(cargo, number, context)


def _come_back(number: str, data: dict[str, Any], context: Context) -> None:
    """Take the gate-out back: the state it came from holds again."""
    data["state"] = _stands(data, f"back to {data.pop('gate_out')['from']}", number)
    for cargo in BONDED.cargoes(data["items"]):
        set_back(cargo, context)


@handles("BOA", outputs=["*SBOA"], items=gate_values)
def gate_out(message: Message, context: Context) -> Outcome:
    """BOA: 9 registers that an approved transport has left its departure place, 1 takes that back before it arrives.

    Refuses with E9001, E9003, U9003, E9013, E9014.
    """
    record = body(message)
    number, leaves = record.text("OLT"), record.text("KND") == NEW_ENTRY
    data = _transport(number, context)
    items = data["items"]
    _holder(departure(items), "OLT", number, context)
    places = [(item, str(items.get(item, ""))) for item in ("DPR", "BRT", "ARR", "ARB")]
    if leaves:
        _stands(data, "gate out", number)
        stop(_others(record, places), key=number)
        _leave(number, data, "BOA", record.text("DTM") + record.text("TIM"), context)
    else:
        if data.get("gate_out", {}).get("code") != "BOA":
            raise refuse(ResultCode("E9013", "OLT"), key=number)
        stop(_others(record, places), key=number)
        _come_back(number, data, context)
    context.records.put(BONDED.kind, number, data)
    return Outcome(key=number)


@handles("CYO", outputs=["*SCYO"], items=gate_values)
def gate_out_of_yard(message: Message, context: Context) -> Outcome:
    """CYO: 9 registers that a container has left the container yard, 1 takes that back (then DTM, TIM, ARR are blank).

    Refuses with R9007; E9001, E9002, E9003, U9003, E9013, E9014; U0002 for taking back what another 利用者コード has
    registered [spec].
    """
    record = body(message)
    leaves = record.text("KND") == NEW_ENTRY
    stop([] if leaves else [ResultCode("R9007", item) for item in ("DTM", "TIM", "ARR") if record.text(item)])
    number = record.text("OLT")
    at = record.text("DTM") + record.text("TIM")
    if number:
        data = _transport(number, context)
        if leaves:
            _container_out(number, data, record, at, context)
        else:
            _container_back(number, data, record, context)
        context.records.put(BONDED.kind, number, data)
    _yard(record.text("CNO"), at if leaves else "", bool(number), context)
    return Outcome(key=number)


def _container_out(number: str, data: dict[str, Any], record: Record, at: str, context: Context) -> None:
    items, container = data["items"], record.text("CNO")
    _holder(departure(items), "OLT", number, context)
    out = dict(data.get("out", {}))
    if container in out:
        raise refuse(ResultCode("E9002", "CNO"), key=number)
    state = _stands(data, "further container" if out else "gate out", number)
    strange = [ResultCode("E9014", "CNO")] if container not in containers(items, context) else []
    stop([*strange, *_others(record, [("ARR", arrival(items))])], key=number)
    if out:
        data["state"] = state
    else:
        _leave(number, data, "CYO", at, context)
    data["out"] = {**out, container: {"user_code": context.user.user_code, "at": at}}


def _container_back(number: str, data: dict[str, Any], record: Record, context: Context) -> None:
    container, out = record.text("CNO"), dict(data.get("out", {}))
    if container not in out:
        raise refuse(ResultCode("E9001", "CNO"), key=number)
    if out[container]["user_code"] != context.user.user_code:
        raise refuse(ResultCode("U0002"), key=number)
    del out[container]
    if out:
        data["state"] = _stands(data, "further container", number)
    else:
        _come_back(number, data, context)
    data["out"] = out


def _yard(container: str, at: str, transported: bool, context: Context) -> None:
    """Close the container's stay in the yard, or with a blank ``at`` open it again.

    A container that no yard has reported is passed over if it is of a transport. Refuses with E9001, E9013, U9003,
    U0002.
    """
    known = context.records.get(CONTAINER, container)
    if known is None or not known["stays"]:
        stop([] if transported else [ResultCode("E9001", "CNO")])
        return
    stays = [dict(stay) for stay in known["stays"]]
    last = stays[-1]
    if bool(last["out_at"]) == bool(at):
        stop([] if transported else [ResultCode("E9013", "CNO")])
        return
    if last["user_code"] != context.user.user_code:
        stop([] if transported else [ResultCode("U9003" if at else "U0002", "CNO" if at else "")])
        return
    last |= {"out_at": at}
    where = {"state": "out", "place": ""} if at else {"state": IN_YARD, "place": last["place"]}
    context.records.put(CONTAINER, container, {**known, "stays": stays, **where})
