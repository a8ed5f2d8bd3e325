"""Letters leave in order, once, until somebody says yes (reliability 4; decisions, "Identity of a request")."""

import asyncio
import contextlib
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sekisho.codecs.mime import unwrap
from sekisho.gateway.delivery import RetryPlan
from sekisho.gateway.inhouse import InHouseSystem
from sekisho.handlers import catalogue
from sekisho.mailboxes.letters import Box, NewLetter, NewRequest
from sekisho.mailboxes.sqlite import SqliteStore
from sekisho.mailboxes.sqlite_view import SqliteView
from sekisho.mailboxes.store import StoreError, Unit, View
from sekisho.transports.base import Outcome
from tests.transports.peers import Fault, FaultyReceiver, Received

from .support import BOXES, BROKER, CENTRE, OTHER, Desk, house, result_of, store_file

MINUTE = 60_000_000
SOON = "[delivery]\nretry_minutes = [0.005]\nunknown_after_minutes = 0.005\nspread = 0.0\nrecall_seconds = 0.1\n"
LATE = "[delivery]\nretry_minutes = [60]\nspread = 0.0\nrecall_seconds = 0.1\n"
NEVER = "[delivery]\nretry_minutes = [60]\nspread = 0.0\nrecall_seconds = 3600\n"


def dead_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def carries(messages: list[Received]) -> list[bytes]:
    """電文引継情報 of what a receiver took."""
    return [unwrap(message.data).content[219:245].strip() for message in messages]


def ids(messages: list[Received]) -> list[str]:
    """Message-IDs of what a receiver took."""
    return [unwrap(message.data).transport_id for message in messages]


async def taken(peer: FaultyReceiver, count: int) -> list[Received]:
    """What a receiver took, as soon as it has so many."""
    for _ in range(1500):
        if len(peer.messages) >= count:
            break
        await asyncio.sleep(0.01)
    assert len(peer.messages) >= count
    return peer.messages


async def tried(desk: Desk, number: int, outcome: str) -> None:
    """Wait until the last attempt for a letter has ended so."""

    def holds(view: View) -> bool:
        letter = view.letter(number)
        return letter is not None and letter.last_outcome == outcome

    await desk.until(holds)


def test_retry_schedule() -> None:
    """1, 2, 5, 10, 30 minutes, then hourly to 24 hours; an unknown outcome first after 3 minutes (reliability 4)."""
    plan = RetryPlan(spread=0.0)
    now, waits = 0, []
    for attempt in range(1, 40):
        due = plan.next_due(Outcome.DEFERRED, attempt, 0, now)
        if due is None:
            break
        waits.append((due - now) // MINUTE)
        now = due
    assert waits[:7] == [1, 2, 5, 10, 30, 60, 60]
    assert 23 * 60 * MINUTE < now <= 24 * 60 * MINUTE
    assert plan.next_due(Outcome.UNKNOWN, 1, 0, 0) == 3 * MINUTE
    assert plan.next_due(Outcome.UNKNOWN, 3, 0, 0) == 5 * MINUTE
    assert plan.next_due(Outcome.REFUSED, 1, 0, 0) is None
    assert plan.next_due(Outcome.DELIVERED, 1, 0, 0) is None
    spread = {RetryPlan(spread=0.1).next_due(Outcome.DEFERRED, 1, 0, 0) or 0 for _ in range(50)}
    assert len(spread) > 1
    assert all(MINUTE <= due <= 1.1 * MINUTE for due in spread)


async def test_order_over_an_outage(tmp_path: Path) -> None:
    """A box's letters come in order, those too that were made while nobody listened (issue 2: per-box order)."""
    port = dead_port()
    async with house(tmp_path, SOON, push=f"127.0.0.1:{port}") as desk:
        for n in range(12):
            await desk.post(desk.request("TCC", carry=f"{n:02d}"))
            await asyncio.sleep(0.05)
        await desk.processed(12)
        await tried(desk, 1, "deferred")
        async with InHouseSystem(catalogue(), f"127.0.0.1:{port}") as system:
            assert await system.wait(lambda arrivals: len(arrivals) >= 12, 15)
            assert [a.carry.strip().decode() for a in system.arrivals] == [f"{n:02d}" for n in range(12)]


async def test_order_over_an_outage_and_a_restart(tmp_path: Path) -> None:
    """The order holds over a restart, which sends what was not delivered and only that (reliability 4)."""
    async with house(tmp_path, LATE) as desk:
        await desk.ask(desk.request("TCC", carry="00"))
        await desk.until(lambda view: view.letters_of(1)[0].delivered_at)
    async with house(tmp_path, NEVER, push=f"127.0.0.1:{dead_port()}") as desk:
        for n in range(1, 6):
            await desk.post(desk.request("TCC", carry=f"{n:02d}"))
        await desk.processed(6)
        await tried(desk, 2, "deferred")
    async with house(tmp_path, LATE) as desk:
        arrivals = await desk.come(5)
        assert [arrival.carry.strip().decode() for arrival in arrivals] == ["01", "02", "03", "04", "05"]
        await desk.ask(desk.request("TCC", carry="06"))
        assert len(desk.inhouse.arrivals) == 6


async def test_unknown_outcome(tmp_path: Path) -> None:
    """The peer stored it and the line broke before its answer: repeated under the same Message-ID, byte for byte."""
    async with (
        FaultyReceiver([Fault("TEXT", drop=True, store=True)]) as peer,
        house(tmp_path, SOON, push=f"{peer.host}:{peer.port}") as desk,
    ):
        await desk.post(desk.request("TCC"))
        first, second = (await taken(peer, 2))[:2]
        assert first.data == second.data
        assert len(set(ids([first, second]))) == 1
        assert re.fullmatch(r"<1\.\d+\.BRK@SMTP\.TEST\.SEKISHO\.EXAMPLE>", ids([first])[0])
        await tried(desk, 1, "delivered")
        (letter,) = desk.letters()
        assert (letter.attempts, letter.due_at, letter.state) == (2, None, "delivered")


@pytest.mark.parametrize("at", ["RCPT", "DATA", "TEXT"])
async def test_temporary_refusal(tmp_path: Path, at: str) -> None:
    """4xx at any step: tried again by schedule, delivered once."""
    async with (
        FaultyReceiver([Fault(at, "450 not now")]) as peer,
        house(tmp_path, SOON, push=f"{peer.host}:{peer.port}") as desk,
    ):
        for n in range(3):
            await desk.post(desk.request("TCC", carry=f"{n}"))
        await taken(peer, 3)
        await desk.until(lambda view: all(letter.delivered_at for letter in view.letters_of(1)))
        assert sorted(carries(peer.messages)) == [b"0", b"1", b"2"]
        assert desk.letters()[0].attempts == 2


async def test_final_refusal_stays_for_syg(tmp_path: Path) -> None:
    """5xx is final: failed, not tried again, still listed by SYG and fetched by it (reliability 4; wire 6.1)."""
    async with (
        FaultyReceiver([Fault("RCPT", "550 no such box")]) as peer,
        house(tmp_path, SOON, push=f"{peer.host}:{peer.port}") as desk,
    ):
        await desk.post(desk.request("TCC", carry="LOST"))
        await tried(desk, 1, "refused")
        (letter,) = desk.letters()
        assert (letter.state, letter.due_at, letter.last_error) == ("failed", None, "550 no such box")
        await desk.post(desk.request("SYG", items={"OCD": "REF"}))
        (listed,) = await taken(peer, 1)
        body = unwrap(listed.data).content[400:]
        assert body[77:].split(b"\r\n")[:3] == [b"0001", b"*CTCC  ", b"   1"]
        await desk.post(desk.request("SYG", items={"OCD": "*CTCC"}, carry="FETCH"))
        assert carries(await taken(peer, 3)) == [b"", b"FETCH", b"LOST"]
        await desk.until(lambda view: view.letters_of(1)[0].delivered_at)


async def test_syg_resets_the_back_off(tmp_path: Path) -> None:
    """SYG fetch: the notice, then the letters at once, though their box rests for an hour (decisions, "Replies")."""
    port = dead_port()
    async with house(tmp_path, LATE, push=f"127.0.0.1:{port}") as desk:
        for n in range(3):
            await desk.post(desk.request("TCC", carry=f"{n}"))
        await desk.processed(3)
        await tried(desk, 1, "deferred")
        async with InHouseSystem(catalogue(), f"127.0.0.1:{port}") as system:
            await desk.post(desk.request("SYG", items={"OCD": "*CTCC"}, carry="FETCH"))
            assert await system.wait(lambda arrivals: len(arrivals) >= 4, 15)
            got = [arrival.carry.strip() for arrival in system.arrivals]
            assert sorted(got) == [b"0", b"1", b"2", b"FETCH"]
            assert got.index(b"FETCH") == 0
            await desk.until(lambda view: not view.due(2**60, 10))


async def test_resting_box_does_not_hold_others_up(tmp_path: Path) -> None:
    """More letters for a dead box than are read at a time: another box's letter leaves all the same (reliability 4)."""

    def backlog(unit: Unit) -> None:
        unit.put_box(Box("DEAD", "DEAD@SMTP.BROKER.SEKISHO.EXAMPLE", push=f"127.0.0.1:{dead_port()}"))
        request = NewRequest("lane", "idem", "two-way", "", 1, "", "", "", b"x", b"x", "bare")
        number = unit.journal(request)
        unit.finish(number, state=1, result="", key="", at=1)
        for part in range(2500):
            box = "BRK" if part == 2400 else "DEAD"
            content = f"{part:0500d}".encode()
            at = 1 + part
            unit.add_letter(NewLetter(number, part, box, "1ANAC", "TCC", "X", "C", "Q", "", content, at, at))

    async with house(tmp_path, "[delivery]\nretry_minutes = [60]\ngive_up_hours = 1_000_000\n", change=backlog) as desk:
        await desk.come(1, seconds=10)
        (arrival,) = await desk.ask(desk.request("TCC"))
        assert result_of(arrival) == "00000"


async def test_box_without_a_push_door(tmp_path: Path) -> None:
    """Its letters wait, never due; given the door they leave, in order (house, section 2)."""

    def shelved(unit: Unit) -> None:
        account = unit.account("1ANACA0A")
        assert account is not None
        unit.put_account(replace(account, box="SHELF"))

    async with house(tmp_path, SOON, change=shelved) as desk:
        for n in range(3):
            await desk.post(desk.request("TCC", carry=f"{n}"))
        await desk.processed(3)
        assert [(letter.state, letter.due_at) for letter in desk.letters("SHELF")] == [("waiting", None)] * 3
        box = desk.read(lambda view: view.box("SHELF"))
        assert box is not None
        await desk.write(lambda unit: unit.put_box(replace(box, doors=("smtp-push",), push=desk.inhouse.address)))
        await desk.post(desk.request("SYG", items={"OCD": "*CTCC"}, carry="FETCH"))
        arrivals = await desk.come(4)
        assert [arrival.carry.strip() for arrival in arrivals] == [b"FETCH", b"0", b"1", b"2"]


async def test_domain_without_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A box without a host whose domain DNS does not know: deferred, not lost; it leaves once there is a host."""

    def unknown(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async with house(tmp_path, NEVER, push="") as desk:
        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        await desk.post(desk.request("TCC"))
        await tried(desk, 1, "deferred")
        (letter,) = desk.letters()
        assert letter.due_at is not None
        assert letter.attempts == 1
        assert desk.gateway.failure is None


async def test_address_changed_by_another_process(tmp_path: Path) -> None:
    """`sekisho box` in another process gives the box another host: what waits goes there, in order, within seconds."""
    async with house(tmp_path, SOON, push=f"127.0.0.1:{dead_port()}") as desk:
        for n in range(3):
            await desk.post(desk.request("TCC", carry=f"{n}"))
        await desk.processed(3)
        await tried(desk, 1, "deferred")
        other = SqliteStore(store_file(tmp_path), clock_us=lambda: 1)
        with other.transaction() as unit:
            unit.put_box(Box("BRK", BROKER, push=desk.inhouse.address))
        other.close()
        arrivals = await desk.come(3)
        assert [arrival.carry.strip() for arrival in arrivals] == [b"0", b"1", b"2"]


async def test_registry_changed_by_another_process(tmp_path: Path) -> None:
    """Suspended elsewhere: the very next message is A0014, and the one after the change back is not."""
    async with house(tmp_path) as desk:
        await desk.ask(desk.request("TCC"))
        other = SqliteStore(store_file(tmp_path), clock_us=lambda: 1)
        for suspended, code in [(True, "A0014"), (False, "00000"), (True, "A0014")]:
            with other.transaction() as unit:
                account = unit.account("1ANACA0A")
                assert account is not None
                unit.put_account(replace(account, suspended=suspended))
            (arrival,) = await desk.ask(desk.request("TCC"))
            assert result_of(arrival) == code
        other.close()


async def test_what_goes_out(tmp_path: Path) -> None:
    """Single part, 8bit, EUC-JP, Date, From, To, Message-ID, no Subject; HELO, plain MAIL and RCPT (wire 7.2, 7.4)."""
    async with (
        FaultyReceiver([Fault("EHLO", "500 unknown")]) as peer,
        house(tmp_path, SOON, push=f"{peer.host}:{peer.port}") as desk,
    ):
        await desk.post(desk.request("TCC", user="2BKOUB0B", items={"I01": ".DOT"}), sender=OTHER)
        (message,) = await taken(peer, 1)
        assert (message.sender, message.recipient) == (f"<{CENTRE}>", f"<{BOXES['FWD']}>")
        head, _, body = message.data.partition(b"\r\n\r\n")
        names = [line.split(b":")[0] for line in head.split(b"\r\n")]
        assert names == [b"Date", b"From", b"To", b"Message-ID", b"Mime-Version", b"Content-Type",
                         b"Content-Transfer-Encoding"]  # fmt: skip
        (letter,) = desk.letters()
        assert body == desk.read(lambda view: view.content(letter.number))
        assert b"\r\n..DOT" in message.wire


async def test_door_taken_away_while_letters_wait(tmp_path: Path) -> None:
    """A box that loses its push door gets nothing more pushed."""
    async with house(tmp_path, SOON, push=f"127.0.0.1:{dead_port()}") as desk:
        await desk.post(desk.request("TCC"))
        await desk.processed(1)
        await tried(desk, 1, "deferred")
        await desk.write(lambda unit: unit.put_box(Box("BRK", BROKER, (), push=desk.inhouse.address)))
        await asyncio.sleep(2.5)
        assert desk.inhouse.arrivals == []
        assert desk.letters()[0].state == "waiting"


async def test_resend_by_another_process_to_a_resting_box(tmp_path: Path) -> None:
    """An operator's resend is tried though the box rests for an hour; everything older that waits goes with it."""
    port = dead_port()
    async with house(tmp_path, LATE, push=f"127.0.0.1:{port}") as desk:
        for n in range(3):
            await desk.post(desk.request("TCC", carry=f"{n}"))
        await desk.processed(3)
        await tried(desk, 1, "deferred")
        async with InHouseSystem(catalogue(), f"127.0.0.1:{port}") as system:
            other = SqliteStore(store_file(tmp_path), clock_us=lambda: 1)
            with other.transaction() as unit:
                unit.hasten([2], desk.gateway.clock.us())
            other.close()
            assert await system.wait(lambda arrivals: len(arrivals) >= 3, 40)


async def test_fresh_letter_for_a_resting_box(tmp_path: Path) -> None:
    """Who sends a request has come back: the box is tried again at once, older letters first (conformance)."""
    port = dead_port()
    async with house(tmp_path, LATE, push=f"127.0.0.1:{port}") as desk:
        for n in range(3):
            await desk.post(desk.request("TCC", carry=f"{n}"))
        await desk.processed(3)
        await tried(desk, 1, "deferred")
        async with InHouseSystem(catalogue(), f"127.0.0.1:{port}") as system:
            await desk.post(desk.request("TCC", carry="FRESH"))
            assert await system.wait(lambda arrivals: len(arrivals) >= 4, 5)
            assert [arrival.carry.strip() for arrival in system.arrivals] == [b"0", b"1", b"2", b"FRESH"]


class _Unreadable(SqliteStore):
    """A store that at times cannot be read beside the writer."""

    broken = False

    @contextlib.contextmanager
    def view(self) -> Iterator[SqliteView]:
        if self.broken:
            raise StoreError("the store cannot be read")
        with super().view() as view:
            yield view


async def test_courier_outlives_a_store_that_cannot_be_read(tmp_path: Path) -> None:
    """A failed look at the store ends no courier: the box is served on."""
    async with house(tmp_path, store=lambda path: _Unreadable(path, clock_us=lambda: 1)) as desk:
        store = desk.store
        assert isinstance(store, _Unreadable)
        await desk.ask(desk.request("TCC"))
        await asyncio.sleep(0.1)
        desk.gateway.couriers._behind = True  # as after a look that could not see everything
        store.broken = True
        await desk.ask(desk.request("TCC"))
        await asyncio.sleep(0.1)
        store.broken = False
        await desk.ask(desk.request("TCC"))
        assert all(not courier.task.done() for courier in desk.gateway.couriers._couriers.values())
