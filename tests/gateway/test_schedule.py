"""Time: issue clause "One clock for all rules"; kit.py, "step"."""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sekisho.codecs.message import Message
from sekisho.codecs.results import ResultCode
from sekisho.gateway.clock import from_us
from sekisho.handlers.kit import HANDLERS, SENDER, STEPS, Context, Outcome, Output, Party, handles, refuse, step

from .commands import sekisho
from .support import Desk, house

SEEN: list[str] = []


@pytest.fixture(autouse=True)
def _business() -> Iterator[None]:
    """TCC decides for a while that things happen later: what its first item says."""
    kept = HANDLERS.pop("TCC")
    SEEN.clear()

    @handles("TCC")
    def later(message: Message, context: Context) -> Outcome:
        assert message.record is not None
        for word in message.record.text("I01").split():
            name, hours = word[:-1], word[-1]
            when = context.now + timedelta(hours=int(hours))
            context.schedule.at(when, f"test.{name.lower()}", f"K{hours}", {"x": 1})
        return Outcome(key="NUMBER")

    # The decision must count as the room's own, or it is not found.
    later.__module__ = kept.decide.__module__

    @step("test.tell")
    def tell(key: str, data: Mapping[str, Any], context: Context) -> Outcome:
        SEEN.append(f"{key} {data['x']} {context.now:%d %H:%M} {context.user.id} {context.request}")
        values = {"O01": "IT IS TIME"}
        party = Output("SZTELL", "P", values, to=Party(user_code="2BKOU"), layout="TCC.out")
        return Outcome(key=key, outputs=(Output("SZTELL", "P", values, to=SENDER, layout="TCC.out"), party))

    @step("test.fail")
    def fail(key: str, data: Mapping[str, Any], context: Context) -> Outcome:
        context.records.put("test", key, data)
        raise refuse(ResultCode("E9013"))

    @step("test.again")
    def again(key: str, data: Mapping[str, Any], context: Context) -> Outcome:
        SEEN.append(f"again {key} {context.now:%d %H:%M}")
        if len(SEEN) < 3:
            context.schedule.at(context.now + timedelta(hours=1), "test.again", key, data)
        return Outcome()

    yield
    HANDLERS["TCC"] = kept
    for name in ("tell", "fail", "again"):
        del STEPS[f"test.{name}"]


CLOCK = '[gateway]\nclock = "2025-10-03T12:00"\n'


async def _ask(desk: Desk, text: str) -> None:
    before = len(desk.requests)
    await desk.ask(desk.request("TCC", items={"I01": text}, carry="MY TAG"))
    await desk.processed(before + 1)


async def _move(folder: Path, *args: str) -> str:
    ran = await asyncio.to_thread(sekisho, "clock", *args, "-c", folder / "gateway.toml", "--data", folder / "var")
    assert ran.code == 0, ran.err
    return ran.out


async def test_what_is_due_happens_in_order_at_its_own_moment(tmp_path: Path) -> None:
    """Advance over three steps: each sees the moment it was due for, in the order of time, not of writing."""
    async with house(tmp_path, CLOCK) as desk:
        await _ask(desk, "TELL5 TELL2 AGAIN1")
        shown = await _move(tmp_path, "show")
        assert shown.startswith("2025-10-03 12:00")
        assert "next: 2025-10-03 13:00" in shown
        await _move(tmp_path, "advance", "1d")
        assert SEEN[0] == "again K1 03 13:00"
        told = [line for line in SEEN if line.startswith("K")]
        assert told == ["K2 1 03 14:00 1ANACA0A 1", "K5 1 03 17:00 1ANACA0A 1"]
        assert desk.read(lambda view: view.timers(2**62)) == []
        now = from_us(desk.gateway.clock.us())
        assert f"{now:%Y-%m-%d %H}" == "2025-10-04 12"


async def test_outputs_of_a_step_belong_to_the_request_that_set_it(tmp_path: Path) -> None:
    """EXZ with the tags of that request to its user, EXC without tags to others; in its thread, after its notice."""
    async with house(tmp_path, CLOCK) as desk:
        await _ask(desk, "TELL1")
        await _move(tmp_path, "advance", "90m")
        arrivals = await desk.come(2, 1)
        to_me, to_other = sorted(arrivals, key=lambda one: one.message.header.text("form"), reverse=True)
        assert (to_me.message.header.text("form"), to_me.carry.rstrip()) == ("Z", b"MY TAG")
        assert to_me.message.header.text("received_at") == "202510031300"
        assert (to_other.message.header.text("form"), to_other.carry.strip()) == ("C", b"")
        letters = desk.read(lambda view: view.letters_of(1))
        assert [(letter.part, letter.output_code) for letter in letters] == [(0, "*CTCC"), (1, "SZTELL"), (2, "SZTELL")]
        assert desk.events("step.run") == ["test.tell K1"]


async def test_a_step_that_fails_changes_nothing_and_stops_nobody(tmp_path: Path) -> None:
    """What it wrote is undone, the audit trail has it, the next one runs, and it is not tried again."""
    async with house(tmp_path, CLOCK) as desk:
        await _ask(desk, "FAIL1 TELL2")
        await _move(tmp_path, "set", "2025-10-03T20:00")
        assert desk.read(lambda view: view.record("test", "K1")) is None
        assert desk.events("step.failed") == ["test.fail E9013-0000-0000"]
        assert len(SEEN) == 1


async def test_steps_survive_a_restart_and_what_was_missed_is_worked_off(tmp_path: Path) -> None:
    """A gateway that was down while something came due runs it at its start, at the moment it was due for."""
    async with house(tmp_path, CLOCK) as desk:
        await _ask(desk, "TELL2")
    later = CLOCK.replace("T12:00", "T18:00")
    async with house(tmp_path, later) as desk:
        await desk.until(lambda _: SEEN)
        assert SEEN == ["K2 1 03 14:00 1ANACA0A 1"]


async def test_a_moved_clock_stays_moved_over_a_restart_until_reset(tmp_path: Path) -> None:
    """The move is a record of the store; reset takes it back; commands see the gateway's time."""
    async with house(tmp_path, CLOCK):
        assert (await _move(tmp_path, "advance", "2d")).startswith("2025-10-05 12:0")
    async with house(tmp_path, CLOCK) as desk:
        assert f"{desk.gateway.clock.now():%d %H}" == "05 12"
        assert (await _move(tmp_path, "show")).startswith("2025-10-05 12:0")
        assert (await _move(tmp_path, "reset")).startswith("2025-10-03 12:0")


async def test_a_production_clock_is_not_moved(tmp_path: Path) -> None:
    """Production refuses, and a record that says otherwise moves nothing."""
    async with house(tmp_path, '[gateway]\nenvironment = "production"\n') as desk:
        ran = sekisho("clock", "advance", "1h", "-c", tmp_path / "gateway.toml", "--data", tmp_path / "var")
        assert (ran.code, "production" in ran.err) == (2, True)
        await desk.write(lambda unit: unit.put_record("clock", "wanted", {"us": 3_600_000_000}, 1))
        await asyncio.sleep(0.6)
        assert desk.gateway.clock.moved_us == 0


@pytest.mark.parametrize("args", [("advance", "soon"), ("advance", ""), ("set", "noon"), ("set", "2025-10-03T11:00")])
async def test_wrong_moves_are_refused(tmp_path: Path, args: tuple[str, str]) -> None:
    """What is no time, or past: exit 2, and nothing moves."""
    async with house(tmp_path, CLOCK) as desk:
        ran = sekisho("clock", *args, "-c", tmp_path / "gateway.toml", "--data", tmp_path / "var")
        assert ran.code == 2
        assert desk.read(lambda view: view.record("clock", "wanted")) is None


async def test_an_operator_enters_a_request_for_somebody(tmp_path: Path) -> None:
    """act: a request goes the way of every message, without a password; its journal says operator."""
    async with house(tmp_path, CLOCK) as desk:
        where = ("-c", tmp_path / "gateway.toml", "--data", tmp_path / "var")
        ran = await asyncio.to_thread(sekisho, "act", "TCC", "I01=TELL9", "--as", "1ANACA0A", "--json", *where)
        assert ran.code == 0, ran.err
        assert (ran.json["request"]["transport"], ran.json["request"]["result"]) == ("operator", "00000-0000-0000")
        assert [letter["output_code"] for letter in ran.json["letters"]] == ["*CTCC"]
        assert len(desk.read(lambda view: view.timers(2**62))) == 1
        ran = await asyncio.to_thread(sekisho, "act", "TCC", "--as", "4SUSPS0S", *where)
        assert (ran.code, "A0014" in ran.err) == (1, True)
        for wrong in (["TCC", "I01", "--as", "1ANACA0A"], ["NONE", "X=1", "--as", "1ANACA0A"]):
            assert sekisho("act", *wrong, *where).code == 2
        assert sekisho("act", "TCC", "--as", "9NONEN0N", *where).code == 1
