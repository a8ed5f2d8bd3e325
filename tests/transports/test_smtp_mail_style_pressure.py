"""The mail-style listener under pressure: timers, caps, endless lines, peers that never finish a handshake."""

import asyncio
import contextlib
import time
import tracemalloc
from collections.abc import Callable, Coroutine

import pytest
import uvloop

from sekisho.transports.smtp import SmtpListener

from .mail_house import WRONG, Keeper, ehlo, mail_style, secured
from .posting import tls_pair
from .senders import MAIL, House, Peer, listening, until


async def test_two_minutes_of_silence_end_a_mail_style_session() -> None:
    """The idle rule since April 2023 is for mail style alone (spec/naccs-edi.md 7.3): ``idle_mail``, here shortened."""
    async with mail_style(House(), {"idle_mail": 0.2}) as listener, listening(House(), idle_mail=0.2) as two_way:
        assert listener.limits.idle_mail == 0.2
        other = await Peer.at(two_way)
        assert (await (await Peer.at(listener)).line()).startswith(b"421 4.4.2")
        assert (await other.say(b"NOOP\r\n")).startswith(b"250")
    async with mail_style(House()) as listener:
        assert listener.idle == 120


async def test_a_drip_inside_a_login_ends() -> None:
    """Bytes one by one put the idle timer off, not that of the session."""
    async with mail_style(
        House(), {"session": 0.4}, auth="optional", auth_in_clear=True, doorkeeper=Keeper()
    ) as listener:
        peer = await Peer.at(listener)
        await ehlo(peer)
        assert (await peer.say(b"AUTH LOGIN\r\n")).startswith(b"334")
        heard = asyncio.create_task(peer.line())
        with contextlib.suppress(ConnectionError):
            while not heard.done():
                peer.writer.write(b"Q")
                await peer.writer.drain()
                await asyncio.sleep(0.02)
        assert (await heard).startswith(b"421 4.4.2")


async def test_an_endless_login_line_leaves_memory_flat() -> None:
    """16 MB where a password is due: dropped as they come, refused once at the line end, the login is over."""
    keeper = Keeper()
    async with mail_style(House(), auth="optional", auth_in_clear=True, doorkeeper=keeper) as listener:
        peer = await Peer.at(listener)
        await ehlo(peer)
        assert (await peer.say(b"AUTH PLAIN\r\n")).startswith(b"334")
        piece = b"QUJD" * 16_384
        tracemalloc.start()
        for _ in range(256):
            peer.writer.write(piece)
            await peer.writer.drain()
        _now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (await peer.say(b"\r\n")).startswith(b"500 5.5.2")
        assert (await peer.say(b"NOOP\r\n")).startswith(b"250")
    assert peak < 2 * 1024 * 1024
    assert keeper.asked == []


async def test_guessing_passwords_ends_the_connection() -> None:
    """421 at the limit; the connection is closed by us."""
    async with mail_style(
        House(), {"failed_logins": 3}, auth="optional", auth_in_clear=True, doorkeeper=Keeper()
    ) as listener:
        peer = await Peer.at(listener)
        await ehlo(peer)
        assert [(await peer.say(WRONG))[:3] for _ in range(3)] == [b"535", b"535", b"421"]
        assert await peer.line() == b""
        await until(lambda: listener.open_connections == 0)


@pytest.mark.parametrize("implicit", [False, True])
async def test_a_handshake_that_drips_ends(implicit: bool) -> None:
    """``tls_handshake`` is for the whole of it, whether TLS comes first or by STARTTLS."""
    server, _client = tls_pair()
    async with mail_style(House(), {"tls_handshake": 0.3}, tls=server, implicit_tls=implicit) as listener:
        peer = await Peer.at(listener, greeted=not implicit)
        if not implicit:
            assert (await peer.say(b"STARTTLS\r\n")).startswith(b"220")
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            for byte in b"\x16\x03\x01\x0f\xff" + b"\x01" * 4_000:
                peer.writer.write(bytes([byte]))
                await peer.writer.drain()
                await asyncio.sleep(0.02)
                if peer.reader.at_eof():
                    break
        assert 0.2 < time.monotonic() - began < 3
        await until(lambda: listener.open_connections == 0)


async def test_peers_without_a_handshake_count() -> None:
    """Where TLS comes first, who has not begun it takes a place like anybody; one too many is closed without words."""
    server, client = tls_pair()
    async with mail_style(House(), {"connections_per_address": 3}, tls=server, implicit_tls=True) as listener:
        waiting = [await Peer.at(listener, greeted=False) for _ in range(3)]
        await until(lambda: listener.open_connections == 3)
        fourth = await Peer.at(listener, greeted=False)
        assert await fourth.line() == b""
        assert (listener.accepted, listener.refused) == (3, 1)
        waiting[0].writer.close()
        await until(lambda: listener.open_connections == 2)
        good = Peer(*await asyncio.open_connection(*listener.address, ssl=client, server_hostname="127.0.0.1"))
        Peer.opened[listener].append(good)
        assert (await good.line()).startswith(b"220")
        assert (listener.accepted, listener.open_connections) == (4, 3)


async def test_stopping_does_not_wait_for_handshakes() -> None:
    """Peers in the middle of one are let go at once; those under TLS hear 421 first."""
    server, client = tls_pair()
    for implicit in (False, True):
        async with mail_style(House(), tls=server, implicit_tls=implicit) as listener:
            half = await Peer.at(listener, greeted=not implicit)
            if implicit:
                whole = Peer(*await asyncio.open_connection(*listener.address, ssl=client, server_hostname="127.0.0.1"))
                Peer.opened[listener].append(whole)
                await whole.line()
            else:
                whole = await secured(await Peer.at(listener), client)
                assert (await half.say(b"STARTTLS\r\n")).startswith(b"220")
            await until(lambda: listener.open_connections == 2)
            began = time.monotonic()
            await listener.stop(0.3)
            assert time.monotonic() - began < 2
            assert (await whole.line()).startswith(b"421 4.3.2")
            with contextlib.suppress(ConnectionError):
                assert await half.line() == b""
            await until(lambda: listener.open_connections == 0)


async def _served(listener: SmtpListener, house: House) -> float:
    peer = await Peer.at(listener)
    began = time.perf_counter()
    await peer.data()
    assert (await peer.say(MAIL + b".\r\n")).startswith(b"250")
    assert house.got
    return time.perf_counter() - began


async def test_a_thousand_half_done_logins() -> None:
    """A thousand peers that were asked for a password and say nothing cost little, and the next one is served."""
    house = House()
    async with mail_style(
        house, {"connections_per_address": 2_000}, auth="optional", auth_in_clear=True, doorkeeper=Keeper()
    ) as listener:
        tracemalloc.start()
        idle = [await Peer.at(listener) for _ in range(1_000)]
        for peer in idle:
            peer.writer.write(b"EHLO a\r\nAUTH LOGIN\r\nQlJL")
        await asyncio.sleep(0.2)
        assert listener.open_connections == 1_000
        assert await _served(listener, house) < 1
        now, _peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert now < 1_000 * 64 * 1024  # both ends of each are in this process
        for peer in idle:
            peer.writer.transport.abort()
        await until(lambda: listener.open_connections == 1)


@pytest.mark.parametrize(
    "scenario",
    [
        test_peers_without_a_handshake_count,
        test_stopping_does_not_wait_for_handshakes,
        lambda: test_a_handshake_that_drips_ends(False),
        lambda: test_a_handshake_that_drips_ends(True),
    ],
)
def test_uvloop_is_no_different(scenario: Callable[[], Coroutine[None, None, None]]) -> None:
    """The other loop has a TLS of its own; what the peer sees is the same."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())
