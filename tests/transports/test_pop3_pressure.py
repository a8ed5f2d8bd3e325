"""The POP3 listener under pressure: limits, timers, floods, peers that drip or do not read."""

import asyncio
import contextlib
import time
import tracemalloc
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest
import uvloop

from .boxes import NAME, PASSWORD, Caller, House, letter, make_keys, numbered, opened
from .senders import until


@pytest.mark.parametrize("limit", ["connections_per_address", "connections_total"])
async def test_connections_are_bounded(limit: str) -> None:
    """Per address and in all: one more hears -ERR [SYS/TEMP] and is closed; a place that is left is free again."""
    async with opened(House(), **{limit: 2}) as listener:
        first, _second = await Caller.at(listener), await Caller.at(listener)
        third = await Caller.at(listener)
        assert third.banner.startswith(b"-ERR [SYS/TEMP] Too many connections")
        assert await third.ended()
        assert (listener.accepted, listener.refused, listener.open_connections) == (2, 1, 2)
        first.writer.close()
        await until(lambda: listener.open_connections == 1)
        assert (await Caller.at(listener)).banner.startswith(b"+OK")


async def test_peers_inside_the_handshake_are_counted(tmp_path: Path) -> None:
    """Implicit TLS: who connects and says nothing takes a place, for as long as a login may take."""
    keys = make_keys(tmp_path)
    async with opened(House(), tls=keys.server(), implicit_tls=True, connections_per_address=3, login=0.4) as listener:
        silent = [await asyncio.open_connection(*listener.address) for _ in range(4)]
        await until(lambda: listener.refused == 1)
        assert (listener.accepted, listener.open_connections) == (3, 3)
        await until(lambda: listener.open_connections == 0)
        for reader, writer in silent:
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()


async def test_stopping_ends_handshakes(tmp_path: Path) -> None:
    """Nobody who keeps silent can hold up the end."""
    async with opened(House(), tls=make_keys(tmp_path).server(), implicit_tls=True) as listener:
        _reader, writer = await asyncio.open_connection(*listener.address)
        await until(lambda: listener.open_connections == 1)
        await asyncio.wait_for(listener.stop(5), 1)
        assert listener.open_connections == 0
        with pytest.raises(OSError, match=r"Connect|connect"):
            await asyncio.open_connection(*listener.address)
        writer.close()


async def test_timers() -> None:
    """Idle, login and session each close a connection without a word (RFC 1939 section 3), and nothing is deleted."""

    async def idle() -> None:
        house = House(list(numbered(1)))
        async with opened(house, idle=0.2) as listener:
            caller = await Caller.at(listener, login=True)
            assert await caller.say("DELE 1") == b"+OK\r\n"
            assert await caller.ended()
            await until(lambda: not house.locked)
            assert (await Caller.at(listener, login=True)).banner
            assert house.collections == []

    async def drip() -> None:
        """Bytes without a line end are no activity."""
        async with opened(House(), idle=0.3) as listener:
            caller = await Caller.at(listener, login=True)
            ended = asyncio.create_task(caller.ended())
            began = time.monotonic()
            with contextlib.suppress(ConnectionError):
                while not ended.done():
                    caller.writer.write(b"x")
                    await caller.writer.drain()
                    await asyncio.sleep(0.02)
            assert await ended
            assert time.monotonic() - began < 3

    async def login() -> None:
        async with opened(House(), login=0.3) as listener:
            caller = await Caller.at(listener)
            began = time.monotonic()
            with contextlib.suppress(ConnectionError):
                for _ in range(200):
                    if not await caller.say("USER x"):
                        break
                    await asyncio.sleep(0.02)
            assert 0.2 < time.monotonic() - began < 3

    async def camper() -> None:
        async with opened(House(), session=0.4) as listener:
            caller = await Caller.at(listener, login=True)
            began = time.monotonic()
            with contextlib.suppress(ConnectionError):
                for _ in range(200):
                    if not await caller.say("NOOP"):
                        break
                    await asyncio.sleep(0.02)
            assert 0.3 < time.monotonic() - began < 3

    async def slow_house() -> None:
        """While the house thinks, it is not the peer who is idle."""
        house = House(list(numbered(1)))
        house.hold = {"password": asyncio.Event(), "collect": asyncio.Event()}
        async with opened(house, idle=0.2, login=0.2, session=0.2) as listener:
            caller = await Caller.at(listener)
            asyncio.get_running_loop().call_later(0.6, house.hold["password"].set)
            caller.writer.write(f"USER {NAME}\r\nPASS {PASSWORD}\r\nDELE 1\r\nQUIT\r\n".encode())
            assert [(await caller.line())[:3] for _ in range(3)] == [b"+OK"] * 3
            asyncio.get_running_loop().call_later(0.6, house.hold["collect"].set)
            assert await caller.line() == b"+OK 1 letters collected\r\n"

    await asyncio.gather(idle(), drip(), login(), camper(), slow_house())


async def test_guesses_are_not_cheaper_for_hanging_up() -> None:
    """A peer that leaves while its password is looked at keeps its place in the counts until the answer is there."""
    house = House()
    house.hold["password"] = asyncio.Event()
    async with opened(house, connections_per_address=3) as listener:
        for _ in range(3):
            caller = await Caller.at(listener)
            caller.writer.write(b"USER x\r\nPASS y\r\n")
            assert await caller.line() == b"+OK Password?\r\n"
            caller.writer.transport.abort()
        await asyncio.sleep(0.05)
        assert (await Caller.at(listener)).banner.startswith(b"-ERR [SYS/TEMP]")
        house.hold["password"].set()
        await until(lambda: listener.open_connections == 0)


@pytest.mark.parametrize("command", ["LIST\r\n", "RETR 1\r\n", "RETR 2\r\n"])
async def test_a_peer_that_does_not_read(command: str) -> None:
    """Replies that nobody takes are not made: memory stays flat, commands are not read, the idle timer ends it."""
    house = House([b"x" * 98 + b"\r\n"] * 20_000)
    house.boxes[NAME][2] = b"y" * 3_000_000 + b"\r\n"
    async with opened(house, idle=1.0) as listener:
        caller = await Caller.at(listener, login=True)
        caller.writer.transport.pause_reading()  # type: ignore[attr-defined]
        tracemalloc.start()
        began = time.monotonic()
        burst = command.encode() * 5_000
        with contextlib.suppress(ConnectionError, TimeoutError):
            for _ in range(400):
                caller.writer.write(burst)
                await asyncio.wait_for(caller.writer.drain(), 0.3)
        _now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await until(lambda: listener.open_connections == 0)
        assert time.monotonic() - began < 6
        assert peak < 12 * 1024 * 1024  # one letter of 3 MB, its stuffed copy, and what the test itself holds
        caller.writer.transport.abort()


async def test_a_peer_that_reads_slowly_gets_everything() -> None:
    """Back-pressure holds the session up, it does not break it."""
    house = House([b"." + b"z" * 2_000_000 + b"\r\n", letter(2)])
    async with opened(house, idle=2.0) as listener:
        caller = await Caller.at(listener, login=True)
        caller.writer.write(b"RETR 1\r\nRETR 2\r\nDELE 1\r\nQUIT\r\n")
        said = b""
        while piece := await caller.reader.read(100_000):
            said += piece
            await asyncio.sleep(0.005)
        assert said.startswith(b"+OK 2000003 octets\r\n..zzz")
        assert said.endswith(b"\r\n.\r\n+OK\r\n+OK 1 letters collected\r\n")
        assert house.boxes[NAME].keys() == {2}


async def test_a_burst_lets_others_have_their_turn() -> None:
    """Somebody who pipelines thousands of RETR, and reads as fast, does not keep the others waiting."""
    house = House(list(numbered(50)))
    house.boxes["BRK002"] = {}
    async with opened(house) as listener:
        busy, other = await Caller.at(listener, login=True), await Caller.at(listener)
        assert (await other.log_in("BRK002")).startswith(b"+OK")

        async def read() -> None:
            while not (await busy.reader.read(1 << 20)).endswith(b"+OK Bye\r\n"):
                pass

        reading = asyncio.create_task(read())
        busy.writer.write(b"".join(b"RETR %d\r\n" % (1 + n % 50) for n in range(20_000)) + b"QUIT\r\n")
        waits = []
        while not reading.done():
            began = time.perf_counter()
            assert await other.say("NOOP") == b"+OK\r\n"
            waits.append(time.perf_counter() - began)
        assert len(waits) > 20
        assert sorted(waits)[len(waits) // 2] < 0.05


async def test_an_endless_line_leaves_memory_flat() -> None:
    """64 MB in one line: the answer is -ERR at its end, and the session lives on."""
    async with opened(House(list(numbered(1)))) as listener:
        caller = await Caller.at(listener, login=True)
        piece = b"A" * 65_536
        tracemalloc.start()
        for _ in range(1_024):
            caller.writer.write(piece)
            await caller.writer.drain()
        _now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert await caller.say(b"\r\n") == b"-ERR Line too long\r\n"
        assert (await caller.say("STAT")).startswith(b"+OK 1 ")
        assert peak < 2 * 1024 * 1024


async def test_what_comes_before_the_answer_is_bounded() -> None:
    """While the house looks at a password a peer can send only so much ahead; afterwards it is all served."""
    house = House()
    house.hold["password"] = asyncio.Event()
    async with opened(house) as listener:
        caller = await Caller.at(listener)
        caller.writer.write(f"USER {NAME}\r\nPASS {PASSWORD}\r\n".encode())
        sent, stalled = 0, False
        while sent < 32 * 1024 * 1024 and not stalled:
            caller.writer.write(b"NOOP\r\n" * 10_000)
            sent += 10_000
            try:
                await asyncio.wait_for(caller.writer.drain(), 0.5)
            except TimeoutError:
                stalled = True
        assert stalled
        house.hold["password"].set()
        caller.writer.write(b"QUIT\r\n")
        said = await asyncio.wait_for(caller.reader.read(), 20)
        assert said.count(b"+OK\r\n") == sent
        assert said.endswith(b"+OK Bye\r\n")


async def test_a_thousand_idle_connections() -> None:
    """They cost little and the next one is served as fast as the first (the issue's list of bad input)."""
    async with opened(House(list(numbered(1))), connections_per_address=2_000) as listener:
        idle = [await Caller.at(listener) for _ in range(1_000)]
        assert listener.open_connections == 1_000
        caller = await Caller.at(listener)
        began = time.perf_counter()
        assert (await caller.log_in()).startswith(b"+OK")
        assert (await caller.say("RETR 1")).startswith(b"+OK")
        assert time.perf_counter() - began < 1
        for one in idle:
            one.writer.transport.abort()
        await until(lambda: listener.open_connections == 1)


@pytest.mark.parametrize(
    "scenario",
    [
        lambda _: test_a_peer_that_does_not_read("RETR 2\r\n"),
        lambda _: test_a_peer_that_reads_slowly_gets_everything(),
        lambda _: test_an_endless_line_leaves_memory_flat(),
        lambda _: test_what_comes_before_the_answer_is_bounded(),
        test_peers_inside_the_handshake_are_counted,
        test_stopping_ends_handshakes,
    ],
)
def test_uvloop_is_no_different(scenario: Callable[[Path], Coroutine[None, None, None]], tmp_path: Path) -> None:
    """The other loop reads, pauses and shakes hands by other code; what the peer sees is the same."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario(tmp_path))
