"""The clerk: nothing is answered before it is on disk, order of a sender, pressure, crash, broken disks."""

import asyncio
import signal
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sekisho.codecs.mime import unwrap
from sekisho.gateway.inhouse import build_mail
from sekisho.mailboxes.letters import NewLetter, NewRequest, RequestState, Stored
from sekisho.mailboxes.sqlite import SqliteStore
from sekisho.mailboxes.sqlite_unit import SqliteUnit
from sekisho.mailboxes.store import StoreError, Unit

from .support import BROKER, CENTRE, OTHER, STRANGER, Desk, extra_codes, house, result_of, served


def _carries(desk: Desk) -> list[str]:
    return [arrival.carry.decode().strip() for arrival in desk.inhouse.arrivals]


# Order --------------------------------------------------------------------------------------------------------------


async def test_order_while_a_password_is_verified(tmp_path: Path) -> None:
    """One sender's order is kept when its first message waits for argon2 and others come meanwhile (reliability 1d)."""
    async with house(tmp_path) as desk:
        sent = [f"{n:02d}" for n in range(30)]
        for carry in sent:
            assert (await desk.post(desk.request("TCC", carry=carry))).accepted
        await desk.come(30)
        assert _carries(desk) == sent
        assert [request.carry for request in desk.requests] == sent


async def test_wrong_passwords_do_not_hold_others_up(tmp_path: Path) -> None:
    """Each wrong guess costs argon2 beside the batch; a sender whose password is known does not feel it."""
    async with house(tmp_path) as desk:
        await desk.ask(desk.request("TCC", user="2BKOUB0B", carry="WARM"), sender=OTHER)
        guesses = [desk.request("TCC", password=f"WRONG{n:03d}", carry=f"G{n}") for n in range(40)]
        posted = asyncio.gather(*(desk.post(guess, sender=f"{n}@X.EXAMPLE") for n, guess in enumerate(guesses)))
        await desk.until(lambda view: len(view.requests(1000)) > 20)
        await desk.post(desk.request("TCC", user="2BKOUB0B", carry="FAST"), sender=OTHER)
        assert all(submission.accepted for submission in await posted)
        await desk.processed(42)
        done = sorted((r.done_at or 0, r.carry) for r in desk.requests)
        place = [carry for _, carry in done].index("FAST")
        assert place < 41, "it was not put behind the forty"
        await desk.come(42)
        wrong = [arrival for arrival in desk.inhouse.arrivals if arrival.carry.startswith(b"G")]
        assert {result_of(arrival) for arrival in wrong} == {"A0004"}


async def test_slow_business_is_answered_first(tmp_path: Path) -> None:
    """A slow handler's message gets its 250 at once and its reply later; its sender's order holds, others pass."""
    async with house(tmp_path, extra_codes()) as desk:
        await desk.ask(desk.request("TCC", carry="WARM"))
        began = time.monotonic()
        assert (await desk.post(desk.request("XSLOW", items={"TXT": "0.4"}, carry="SLOW"))).accepted
        assert time.monotonic() - began < 0.3
        await desk.post(desk.request("TCC", carry="BEHIND"))
        await desk.come(3)
        assert _carries(desk) == ["WARM", "SLOW", "BEHIND"]


async def test_batch_over_its_time_is_only_journalled(tmp_path: Path) -> None:
    """What comes after 50 ms of processing in a commit is answered now and processed later (decisions, "Commit")."""
    async with house(tmp_path, extra_codes() + "[limits]\nbatch_hold_ms = 0.001\n") as desk:
        await desk.ask(desk.request("TCC", carry="WARM"))
        posts = [desk.post(desk.request("TCC", carry=f"{n}"), sender=f"{n % 3}@X.EXAMPLE") for n in range(30)]
        assert all(submission.accepted for submission in await asyncio.gather(*posts))
        await desk.come(31)
        for sender in range(3):
            mine = [r for r in desk.requests if r.sender.startswith(f"{sender}@")]
            assert [r.done_at for r in mine] == sorted(r.done_at or 0 for r in mine)


# Pressure -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", ["lane_backlog_messages = 2", "lane_backlog_bytes = 1000"])
async def test_backlog_of_a_sender(tmp_path: Path, limit: str) -> None:
    """Too much of one sender unprocessed: 452, nothing kept; another sender is served (reliability 8)."""
    async with house(tmp_path, f"{extra_codes()}[limits]\n{limit}\n") as desk:
        await desk.ask(desk.request("TCC", user="2BKOUB0B"), sender=OTHER)
        slow = [desk.request("XSLOW", items={"TXT": "0.3"}, carry=f"{n}") for n in range(10)]
        codes = [answer.code for answer in await asyncio.gather(*map(desk.post, slow))]
        assert set(codes) == {250, 452}
        assert (await desk.post(desk.request("TCC", user="2BKOUB0B"), sender=OTHER)).accepted
        await desk.processed(codes.count(250) + 2)
        assert len(desk.requests) == codes.count(250) + 2


async def test_centre_busy(tmp_path: Path) -> None:
    """Too much of everybody unprocessed: 250, and A0011 at once instead of an answer that comes too late (7.7)."""
    async with house(tmp_path, extra_codes() + "[limits]\nbusy_backlog = 1\n") as desk:
        await desk.ask(desk.request("TCC", carry="WARM"))
        slow = [desk.request("XSLOW", items={"TXT": "0.1"}, carry=f"{n}") for n in range(8)]
        assert all(answer.accepted for answer in await asyncio.gather(*map(desk.post, slow)))
        await desk.come(9)
        results = {arrival.carry.strip(): result_of(arrival) for arrival in desk.inhouse.arrivals}
        assert len(results) == 9
        assert set(results.values()) == {"00000", "A0011"}
        (again,) = await desk.ask(desk.request("TCC", carry="LATER"))
        assert result_of(again) == "00000"


async def test_too_much_waits_before_the_clerk(tmp_path: Path) -> None:
    """More bytes before the clerk than it may hold: 451 at once, nothing kept, and room again afterwards."""
    async with house(tmp_path) as desk:
        clerk = desk.gateway.clerk
        clerk._waiting_bytes = clerk._limits.waiting_bytes - 100
        submission = await desk.post(desk.request("TCC"))
        assert submission.code == 451
        clerk._waiting_bytes = 0
        await desk.ask(desk.request("TCC"))
        assert clerk._waiting_bytes == 0, "what was answered waits no more"
        assert len(desk.requests) == 1


async def test_waiting_bytes_come_back_to_nothing(tmp_path: Path) -> None:
    """The count of waiting bytes does not drift under load: else a busy gateway would refuse everybody in the end."""
    async with house(tmp_path) as desk:
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            content = desk.request("TCC")
            for _ in range(3):
                await asyncio.gather(*(desk.post(content, sender=f"{n}@X.EXAMPLE") for n in range(30)))
        finally:
            sys.setswitchinterval(interval)
        await desk.processed(90)
        assert desk.gateway.clerk._waiting_bytes == 0
        assert desk.gateway.clerk.backlog == 0


class _Disk(SqliteStore):
    """A store on a disk whose free space the test says."""

    free = 10**12

    def free_bytes(self) -> int:
        return self.free


async def test_disk_low_and_recovery(tmp_path: Path) -> None:
    """Below the watermark 452 and nothing kept; room again: served again within seconds, no restart (R4)."""

    async def answered(code: int) -> bool:
        for _ in range(200):
            if (await desk.post(desk.request("TCC"))).code == code:
                return True
            await asyncio.sleep(0.05)
        return False

    async with house(tmp_path, store=lambda path: _Disk(path, clock_us=lambda: 1)) as desk:
        store = desk.store
        assert isinstance(store, _Disk)
        await desk.ask(desk.request("TCC"))
        store.free = 1000
        assert await answered(452)
        kept = len(desk.requests)
        assert (await desk.post(desk.request("TCC"))).code == 452
        assert len(desk.requests) == kept
        store.free = 10**12
        assert await answered(250)


# Broken disks -------------------------------------------------------------------------------------------------------


class _Connection:
    """A connection on which ``times`` commits of something written fail with an error of SQLite."""

    def __init__(self, real: Any, code: int, times: int) -> None:  # noqa: ANN401 - sqlite3's, and ours for it
        self._real, self.code, self.times = real, code, times
        self._before = 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the connection has
        return getattr(self._real, name)

    def execute(self, sql: str, *values: Any) -> Any:  # noqa: ANN401 - same
        if sql.startswith("BEGIN"):
            self._before = self._real.total_changes
        if sql == "COMMIT" and self.times and self._real.total_changes > self._before:
            self.times -= 1
            error = sqlite3.OperationalError("disk I/O error" if self.code == sqlite3.SQLITE_IOERR else "disk full")
            error.sqlite_errorcode = self.code
            error.sqlite_errorname = "SQLITE_IOERR" if self.code == sqlite3.SQLITE_IOERR else "SQLITE_FULL"
            raise error
        return self._real.execute(sql, *values)


def _break(store: object, code: int, times: int) -> None:
    assert isinstance(store, SqliteStore)
    store._writer = _Connection(store._writer, code, times)  # type: ignore[assignment]


async def test_commit_fails(tmp_path: Path) -> None:
    """A failed sync is fatal: nobody in the batch gets a yes, nobody after it, and the gateway says it failed (R5)."""
    async with house(tmp_path) as desk:
        await desk.ask(desk.request("TCC", carry="BEFORE"))
        _break(desk.store, sqlite3.SQLITE_IOERR, 1)
        posts = [desk.post(desk.request("TCC", carry=f"{n}")) for n in range(8)]
        answers = await asyncio.gather(*posts)
        assert not any(submission.accepted for submission in answers)
        assert {submission.code for submission in answers} <= {451, 0}
        await asyncio.wait_for(desk.gateway.closed.wait(), 5)
        assert isinstance(desk.gateway.failure, StoreError)
        assert (await desk.post(desk.request("TCC"))).code in (451, 0)
        with pytest.raises(StoreError):
            await desk.write(lambda unit: unit.next_number("x"))
    async with house(tmp_path) as desk:
        assert [request.carry for request in desk.requests] == ["BEFORE"]
        await desk.ask(desk.request("TCC", carry="AFTER"))


_BROKEN_SERVE = """
import sqlite3, sys
from sekisho.mailboxes import sqlite
from sekisho.gateway.cli import main
real = sqlite.SqliteStore._commit
def commit(self):
    if self._writer.execute("SELECT count(*) FROM message WHERE carry = 'BREAK'").fetchone()[0]:
        self._fatal = "broken on purpose"
        raise sqlite.StoreError("the commit failed")
    real(self)
sqlite.SqliteStore._commit = commit
main()
"""


async def test_commit_fails_and_the_process_ends(tmp_path: Path) -> None:
    """``sekisho serve`` exits non-zero when its store fails; the next start has what was answered yes, only that."""
    async with served(tmp_path, program=(sys.executable, "-c", _BROKEN_SERVE)) as desk:
        await desk.ask(desk.request("TCC", carry="KEPT"))
        assert not (await desk.post(desk.request("TCC", carry="BREAK"))).accepted
        assert await asyncio.wait_for(desk.served.wait(), 20) == 1
    assert "clerk.stopped" in (tmp_path / "log").read_text()
    async with house(tmp_path) as desk:
        assert [request.carry for request in desk.requests] == ["KEPT"]


async def test_full_disk_at_commit(tmp_path: Path) -> None:
    """A full disk leaves nothing behind: 451 for the batch, and when there is room again work goes on (R4)."""
    async with house(tmp_path) as desk:
        await desk.ask(desk.request("TCC", carry="BEFORE"))
        await desk.until(lambda view: view.letters_of(1)[0].delivered_at)
        _break(desk.store, sqlite3.SQLITE_FULL, 1)
        assert (await desk.post(desk.request("TCC", carry="LOST"))).code == 451
        await desk.ask(desk.request("TCC", carry="KEPT"))
        assert [request.carry for request in desk.requests] == ["BEFORE", "KEPT"]
        assert desk.gateway.failure is None


async def test_disk_stays_full(tmp_path: Path) -> None:
    """However many commits fail for want of room: no yes, no end, and served again when there is room (R4)."""
    async with house(tmp_path, store=lambda path: _Disk(path, clock_us=lambda: 1)) as desk:
        store = desk.store
        assert isinstance(store, _Disk)
        await desk.ask(desk.request("TCC", carry="BEFORE"))
        real = store._writer
        _break(store, sqlite3.SQLITE_FULL, 1000)
        store.free = 0
        codes = [(await desk.post(desk.request("TCC", carry=f"{n}"))).code for n in range(12)]
        assert set(codes) <= {451, 452}
        assert codes[-1] == 452
        await asyncio.sleep(1.2)
        assert desk.gateway.failure is None
        store.free, store._writer = 10**12, real
        for _ in range(100):
            if (await desk.post(desk.request("TCC", carry="AFTER"))).accepted:
                break
            await asyncio.sleep(0.1)
        await desk.processed(2)
        assert [request.carry for request in desk.requests] == ["BEFORE", "AFTER"]


async def test_store_that_always_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that fails batch after batch for another reason is broken: the gateway ends, nobody had a yes (R5)."""
    async with house(tmp_path) as desk:
        await desk.ask(desk.request("TCC", carry="BEFORE"))
        await desk.until(lambda view: view.letters_of(1)[0].delivered_at)

        def refuse(_: SqliteUnit, request: NewRequest) -> int:
            raise StoreError(f"cannot write {request.carry}")

        monkeypatch.setattr(SqliteUnit, "journal", refuse)
        codes = [(await desk.post(desk.request("TCC", carry=f"{n}"))).code for n in range(5)]
        assert set(codes) <= {451, 0}
        await asyncio.wait_for(desk.gateway.closed.wait(), 5)
        assert desk.gateway.failure is not None
        assert [request.carry for request in desk.requests] == ["BEFORE"]


async def test_message_that_nobody_can_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If even its A0007 cannot be written a message is parked in quarantine; its neighbours and the clerk go on."""
    real = SqliteUnit.add_letter

    def add(unit: SqliteUnit, letter: NewLetter) -> Stored:
        if b"POISON" in letter.content[219:245]:
            raise ArithmeticError("cannot be written")
        return real(unit, letter)

    monkeypatch.setattr(SqliteUnit, "add_letter", add)
    async with house(tmp_path) as desk:
        for n in range(6):
            posts = [desk.post(desk.request("TCC", carry=carry)) for carry in (f"A{n}", "POISON", f"B{n}")]
            assert all(submission.accepted for submission in await asyncio.gather(*posts))
        await desk.processed(18)
        assert sum(request.state is RequestState.PARKED for request in desk.requests) == 6
        assert [entry.reason for entry in desk.quarantine] == ["A0007"] * 6
        await desk.come(12)
        assert desk.gateway.failure is None


# Crash --------------------------------------------------------------------------------------------------------------


def _journalled(unit: Unit, content: bytes, carry: str, message_id: str = "") -> None:
    raw = build_mail(content, sender=BROKER, recipient=CENTRE, message_id=message_id)
    lane = f"1ANACA0A|two-way|{BROKER.upper()}"
    unit.journal(
        NewRequest(
            lane=lane,
            idem=f"{lane}|{message_id or carry}",
            transport="two-way",
            principal="",
            received_at=1_700_000_000_000_000,
            peer="127.0.0.1:1",
            sender=BROKER,
            recipient=CENTRE,
            raw=raw,
            content=unwrap(raw).content,
            wrapping="mail",
            transport_id=message_id,
            user_id="1ANACA0A",
            business_code="XPUT",
            carry=carry,
        )
    )


async def test_received_rows_are_processed_at_start(tmp_path: Path) -> None:
    """A crash between journal and processing: done at the next start, in order, and once (house, section 4)."""
    async with house(tmp_path, extra_codes()) as desk:
        contents = [desk.request("XPUT", items={"TXT": f"T{n}"}, carry=f"C{n}") for n in range(5)]

    def write(unit: Unit) -> None:
        for n, content in enumerate(contents):
            _journalled(unit, content, f"C{n}", "<1@X.EXAMPLE>" if n == 0 else "")

    async with house(tmp_path, extra_codes(), change=write) as desk:
        arrivals = await desk.come(5)
        assert [arrival.carry.strip() for arrival in arrivals] == [b"C0", b"C1", b"C2", b"C3", b"C4"]
        assert [int(request.key[:10]) for request in desk.requests] == [2, 4, 6, 8, 10]
        assert arrivals[0].content[15:27] == b"202311150713", "電文受信日時 is that of the first run"
        again = await desk.ask(contents[0], message_id="<1@X.EXAMPLE>")
        assert again[0].content == arrivals[0].content
    async with house(tmp_path, extra_codes()) as desk:
        await asyncio.sleep(0.3)
        assert len(desk.requests) == 5
        assert desk.inhouse.arrivals == []


async def test_kill_between_journal_and_processing(tmp_path: Path) -> None:
    """Kill -9 while accepted requests wait for their passwords: nothing that got its 250 is lost or runs twice."""
    async with served(tmp_path, extra_codes()) as desk:
        guesses = [desk.request("TCC", password=f"WRONG{n:03d}") for n in range(40)]
        await asyncio.gather(*(desk.post(guess, sender=f"{n}@X.EXAMPLE") for n, guess in enumerate(guesses)))
        puts = [desk.request("XPUT", items={"TXT": f"T{n}"}, carry=f"C{n}") for n in range(5)]
        accepted = sum([(await desk.post(put)).accepted for put in puts])
        desk.served.send_signal(signal.SIGKILL)
        await desk.served.wait()
        assert accepted == 5
        assert len(desk.read(lambda view: view.received())) >= 5
        raws = desk.read(lambda view: [view.raw(request.number) for request in view.requests(5)])
        assert [raw.partition(b"\r\n\r\n")[2] for raw in reversed(raws)] == puts, "the journal holds what came"
    async with house(tmp_path, extra_codes()) as desk:
        await desk.processed(45)
        assert [(r.carry, int(r.key[:10])) for r in desk.requests if r.key] == [(f"C{n}", 2 * n + 2) for n in range(5)]
        assert len(desk.letters()) == 45


async def test_stop_finishes_what_was_accepted(tmp_path: Path) -> None:
    """SIGTERM: what was answered yes is processed before the process ends with 0 (house, front door)."""
    async with served(tmp_path) as desk:
        for n in range(10):
            assert (await desk.post(desk.request("TCC", password=f"WRONG{n:03d}"), sender=STRANGER)).accepted
        desk.served.terminate()
        assert await asyncio.wait_for(desk.served.wait(), 20) == 0
        assert desk.read(lambda view: view.received()) == []
        assert len(desk.letters()) == 10


async def test_cancelled_order_does_not_end_the_clerk(tmp_path: Path) -> None:
    """Whoever waits for a transaction may go away; the clerk goes on."""
    async with house(tmp_path) as desk:
        futures = [desk.gateway.clerk.call(lambda unit: unit.next_number("x")) for _ in range(50)]
        for future in futures:
            future.cancel()
        await desk.ask(desk.request("TCC"))
        assert desk.gateway.failure is None
