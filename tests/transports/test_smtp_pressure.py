"""The SMTP listener under pressure: limits, timers, floods and stopping."""

import asyncio
import contextlib
import time
import tracemalloc
from collections.abc import Callable, Coroutine

import pytest
import uvloop

from sekisho.codecs.envelope import Envelope
from sekisho.transports.base import Receipt, Verdict
from sekisho.transports.smtp import SmtpListener
from sekisho.transports.smtp_session import SmtpSession

from .senders import MAIL, House, Peer, blocked, listening, until


@pytest.mark.parametrize("limit", ["connections_per_address", "connections_total"])
async def test_connections_are_bounded(limit: str) -> None:
    """Per address and in all: one more hears 421 4.7.0 and is closed; a place that is left is free again."""
    async with listening(House(), **{limit: 2}) as listener:
        first, _second = await Peer.at(listener), await Peer.at(listener)
        third = await Peer.at(listener, greeted=False)
        assert (await third.line()).startswith(b"421 4.7.0")
        assert await third.line() == b""
        assert (listener.accepted, listener.refused, listener.open_connections) == (2, 1, 2)
        first.writer.close()
        await until(lambda: listener.open_connections == 1)
        await Peer.at(listener)


async def test_timers() -> None:
    """Idle, transaction and session each end a connection with 421; a drip or NOOPs do not put the last two off."""

    async def idle() -> None:
        async with listening(House(), idle_two_way=0.2) as listener:
            assert (await (await Peer.at(listener)).line()).startswith(b"421 4.4.2")

    async def drip() -> None:
        async with listening(House(), transaction=0.4) as listener:
            peer = await Peer.at(listener)
            await peer.data()
            heard = asyncio.create_task(peer.line())
            with contextlib.suppress(ConnectionError):
                while not heard.done():
                    peer.writer.write(b"x")
                    await peer.writer.drain()
                    await asyncio.sleep(0.02)
            assert (await heard).startswith(b"421 4.4.2")

    async def camper() -> None:
        async with listening(House(), session=0.4) as listener:
            peer = await Peer.at(listener)
            replies = set()
            for _ in range(60):
                reply = await peer.say(b"NOOP\r\n")
                replies.add(reply[:3])
                if reply.startswith(b"421"):
                    break
                await asyncio.sleep(0.02)
            assert replies == {b"250", b"421"}

    async def slow_house() -> None:
        house = House()

        async def slow(_envelope: Envelope) -> Receipt:
            await asyncio.sleep(0.6)
            return Receipt(Verdict.ACCEPTED)

        house.answer = slow
        async with listening(house, idle_two_way=0.2, session=0.3) as listener:
            peer = await Peer.at(listener)
            await peer.data()
            assert (await peer.say(MAIL + b".\r\n")).startswith(b"250")

    await asyncio.gather(idle(), drip(), camper(), slow_house())


async def test_a_pause_before_the_dot_is_waited_for() -> None:
    """Real senders pause three seconds inside DATA (spec/naccs-edi.md 7.2): the command timer does not count there."""
    house = House()

    async def pauses(listener: SmtpListener) -> None:
        peer = await Peer.at(listener)
        await peer.data()
        peer.writer.write(MAIL)
        await asyncio.sleep(3)
        assert (await peer.say(b".\r\n")).startswith(b"250")

    async def never_ends(listener: SmtpListener) -> None:
        peer = await Peer.at(listener)
        await peer.data()
        assert (await peer.line()).startswith(b"421 4.4.2")

    async with listening(house, idle_two_way=0.5, data_idle=5) as listener:
        await asyncio.gather(pauses(listener), never_ends(listener))
    assert len(house.got) == 1


async def test_stopping_lets_a_transaction_finish() -> None:
    """An idle peer hears 421 at once; one inside DATA gets its 250 first; nobody new is let in."""
    house = House()
    async with listening(house) as listener:
        idle, busy = await Peer.at(listener), await Peer.at(listener)
        await busy.data()
        address = listener.address
        stopping = asyncio.create_task(listener.stop(5))
        assert (await idle.line()).startswith(b"421 4.3.2")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)
        assert (await busy.say(MAIL + b".\r\n")).startswith(b"250")
        assert (await busy.line()).startswith(b"421 4.3.2")
        await asyncio.wait_for(stopping, 1)
    assert listener.address == address


async def test_stopping_ends_after_its_grace() -> None:
    """A sender that does not finish is told 421 when the grace is over, and stop returns."""
    async with listening(House()) as listener:
        peer = await Peer.at(listener)
        await peer.data()
        await asyncio.wait_for(listener.stop(0.1), 3)
        assert (await peer.line()).startswith(b"421 4.3.2")


async def test_a_peer_that_does_not_read_is_not_read() -> None:
    """Replies that nobody takes stop the reading of commands, so that they do not pile up; stopping is not held up."""
    async with listening(House()) as listener:
        peer = await Peer.at(listener)
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        assert await blocked(peer, b"NOOP\r\n" * 10_000)
        await asyncio.wait_for(listener.stop(0.1), 3)
        await until(lambda: listener.open_connections == 0)
        peer.writer.transport.abort()


async def test_what_comes_before_the_answer_is_bounded() -> None:
    """While the house thinks, a peer can send only so much ahead; after the answer it is read again."""
    house, go = House(), asyncio.Event()

    async def slow(envelope: Envelope) -> Receipt:
        await go.wait()
        return await house.accept(envelope)

    house.answer = slow
    async with listening(house) as listener:
        peer = await Peer.at(listener)
        await peer.data()
        peer.writer.write(MAIL + b".\r\n")
        assert await blocked(peer, b"NOOP\r\n" * 10_000)
        go.set()
        assert await peer.line() == b"250 2.0.0 kept 1\r\n"
        assert await peer.line() == b"250 2.0.0 OK\r\n"
        peer.writer.transport.abort()


async def test_a_burst_of_commands_is_served_in_turns() -> None:
    """Somebody who pipelines thousands of NOOP gets every answer, and others have their turn in between."""
    count = 10_000
    async with listening(House()) as listener:
        session = SmtpSession("x", frozenset(), listener.limits, listener.pool)
        assert session.receive(b"NOOP\r\n" * count).count(b"\r\n") < count / 10
        assert session.more
        busy, other = await Peer.at(listener), await Peer.at(listener)
        busy.writer.write(b"NOOP\r\n" * count + b"QUIT\r\n")
        assert (await other.say(b"NOOP\r\n")).startswith(b"250")
        heard = await asyncio.wait_for(busy.reader.read(-1), 20)
        assert heard.count(b"250 2.0.0 OK\r\n") == count
        assert heard.endswith(b"221 2.0.0 Bye\r\n")


async def test_an_endless_line_leaves_memory_flat() -> None:
    """64 MB in one line: at most max_object is kept for a while, the answer is 552, and the session lives on."""
    house = House()
    async with listening(house) as listener:
        peer = await Peer.at(listener)
        await peer.data()
        piece = b"A" * 65_536
        tracemalloc.start()
        for _ in range(1_024):
            peer.writer.write(piece)
            await peer.writer.drain()
        _now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (await peer.say(b"\r\n.\r\n")).startswith(b"552 5.3.4")
        assert (await peer.say(b"NOOP\r\n")).startswith(b"250")
        assert listener.pool.free == listener.limits.pending_bytes
    assert house.got == []
    assert peak < 16 * 1024 * 1024  # max_object and its growth by an eighth


async def test_a_thousand_idle_connections() -> None:
    """They cost little and the next sender is served as fast as the first (the issue's list of bad input)."""
    house = House()
    async with listening(house, connections_per_address=2_000) as listener:
        idle = [await Peer.at(listener, greeted=False) for _ in range(1_000)]
        assert listener.open_connections == 1_000
        peer = await Peer.at(listener)
        await peer.data()
        began = time.perf_counter()
        assert (await peer.say(MAIL + b".\r\n")).startswith(b"250")
        assert time.perf_counter() - began < 1
        for one in idle:
            one.writer.transport.abort()
        await until(lambda: listener.open_connections == 1)


@pytest.mark.parametrize(
    "scenario",
    [
        test_a_peer_that_does_not_read_is_not_read,
        test_a_burst_of_commands_is_served_in_turns,
        test_an_endless_line_leaves_memory_flat,
        test_stopping_lets_a_transaction_finish,
    ],
)
def test_uvloop_is_no_different(scenario: Callable[[], Coroutine[None, None, None]]) -> None:
    """The other loop reads, half-closes and pauses by other code; what the peer sees is the same."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())
