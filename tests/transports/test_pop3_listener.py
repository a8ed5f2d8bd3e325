"""The POP3 listener on real loopback sockets: locks, TLS, what a cut session leaves, what the house says."""

import asyncio
import contextlib
import hashlib
import socket
import ssl
import struct
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest
import structlog
import uvloop

from sekisho.transports.base import TrayError
from sekisho.transports.pop3 import Pop3Listener

from .boxes import NAME, PASSWORD, Caller, House, letter, make_keys, numbered, opened
from .senders import until


async def test_a_session_from_greeting_to_quit() -> None:
    """Login, listing, letters byte for byte, deletion at QUIT in one collecting, which names door and peer."""
    house = House(list(numbered(3)))
    async with opened(house) as listener:
        caller = await Caller.at(listener, login=True)
        assert caller.banner == b"+OK centre.sekisho.example POP3 ready\r\n"
        for number in (1, 2, 3):
            assert await caller.say(f"RETR {number}") == b"+OK %d octets\r\n" % len(letter(number))
            assert await caller.block() == letter(number)
            assert await caller.say(f"DELE {number}") == b"+OK\r\n"
        assert house.boxes[NAME].keys() == {1, 2, 3}
        host, port = caller.writer.get_extra_info("sockname")
        assert await caller.say("QUIT") == b"+OK 3 letters collected\r\n"
        assert await caller.ended()
        assert house.collections == [(NAME, (1, 2, 3), "pop3", f"{host}:{port}")]
        assert house.asked == [("pop3", NAME, PASSWORD, "127.0.0.1")]
        await until(lambda: listener.open_connections == 0)


@pytest.mark.parametrize("leave", ["close", "half-close", "reset"])
async def test_a_session_without_quit_deletes_nothing(leave: str) -> None:
    """RFC 1939 section 6; the box is free for the next login as soon as the cut is seen."""
    house = House(list(numbered(2)))
    async with opened(house) as listener:
        caller = await Caller.at(listener, login=True)
        assert await caller.say("DELE 1") == b"+OK\r\n"
        match leave:
            case "close":
                caller.writer.close()
            case "half-close":
                caller.writer.write_eof()
                assert await caller.ended()
            case _:
                sock = caller.writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                caller.writer.transport.abort()
        await until(lambda: not house.locked)
        again = await Caller.at(listener, login=True)
        assert await again.say("STAT") == b"+OK 2 %d\r\n" % (2 * len(letter(1)))
        assert house.collections == []


async def test_the_answers_to_what_was_sent_before_the_half_close() -> None:
    """A client may send everything and close its half: it hears every answer, and its QUIT counts."""
    house = House(list(numbered(200)))
    async with opened(house) as listener:
        caller = await Caller.at(listener)
        burst = f"USER {NAME}\r\nPASS {PASSWORD}\r\n" + "".join(f"RETR {n}\r\nDELE {n}\r\n" for n in range(1, 201))
        caller.writer.write(burst.encode() + b"QUIT\r\n")
        caller.writer.write_eof()
        said = await asyncio.wait_for(caller.reader.read(), 10)
        assert said.endswith(b"+OK 200 letters collected\r\n")
        assert len(said) > sum(map(len, numbered(200)))
        assert house.boxes[NAME] == {}


async def test_one_session_a_box() -> None:
    """RFC 1939 section 4, RFC 2449 8.1.1: the second login hears [IN-USE], and gets in after the first has quit."""
    async with opened(House(list(numbered(1)))) as listener:
        first, second = await Caller.at(listener, login=True), await Caller.at(listener)
        assert (await second.log_in()).startswith(b"-ERR [IN-USE]")
        assert await first.say("QUIT") == b"+OK Bye\r\n"
        assert (await second.log_in()).startswith(b"+OK")


async def test_a_collecting_under_way_is_not_cut() -> None:
    """The peer leaves after QUIT: its letters go, and the box stays locked until they are gone."""
    house = House(list(numbered(2)))
    house.hold["collect"] = asyncio.Event()
    async with opened(house) as listener:
        caller = await Caller.at(listener, login=True)
        caller.writer.write(b"DELE 2\r\nQUIT\r\n")
        assert await caller.line() == b"+OK\r\n"
        await asyncio.sleep(0.05)
        caller.writer.transport.abort()
        await asyncio.sleep(0.05)
        other = await Caller.at(listener)
        assert (await other.log_in()).startswith(b"-ERR [IN-USE]")
        assert listener.open_connections == 2
        house.hold["collect"].set()
        await until(lambda: not house.locked)
        assert (await other.log_in()) == b"+OK 1 letters (%d octets)\r\n" % len(letter(1))
        assert listener.open_connections == 1


@pytest.mark.parametrize("what", ["password", "lock", "waiting", "mail", "collect"])
async def test_what_fails_in_the_house_is_temporary(what: str) -> None:
    """[SYS/TEMP] with the tray's public text, or with an incident id and nothing else; the session goes on."""
    house = House(list(numbered(2)))
    errors = ((TrayError("try again later"), b"try again later"), (KeyError("inner"), b"Local error, incident"))
    for error, text in errors:
        async with opened(house) as listener:
            house.trouble = {what: error}
            caller = await Caller.at(listener)
            said = await caller.log_in()
            if what in ("mail", "collect"):
                assert said.startswith(b"+OK")
                said = await caller.say("RETR 1")
            if what == "collect":
                assert await caller.block() == letter(1)
                assert await caller.say("DELE 1") == b"+OK\r\n"
                said = await caller.say("QUIT")
                assert await caller.ended()
            assert said.startswith(b"-ERR [SYS/TEMP] " + text)
            assert b"inner" not in said
            assert b"KeyError" not in said
            if what != "collect":
                house.trouble = {}
                assert (await caller.say("STAT") if what == "mail" else await caller.log_in()).startswith(b"+OK")
    assert house.boxes[NAME].keys() == {1, 2}


async def test_a_letter_of_another_size_than_listed_is_given_with_its_true_size() -> None:
    """RETR's count is that of the bytes that follow, whatever LIST said; the difference is logged."""
    house = House(list(numbered(1)))
    with structlog.testing.capture_logs() as logs:
        async with opened(house) as listener:
            caller = await Caller.at(listener, login=True)
            house.boxes[NAME][1] = letter(1) + b"more\r\n"
            assert await caller.say("RETR 1") == b"+OK %d octets\r\n" % (len(letter(1)) + 6)
            assert await caller.block() == letter(1) + b"more\r\n"
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["pop3.size_differs"]


async def test_what_is_logged() -> None:
    """A refused login and the end of a session with its counts; never a password (style.md, principle 6)."""
    with structlog.testing.capture_logs() as logs:
        async with opened(House(list(numbered(3)))) as listener:
            caller = await Caller.at(listener)
            assert (await caller.log_in(password="WRONG PASS")).startswith(b"-ERR [AUTH]")
            await caller.log_in()
            await caller.say("RETR 1")
            await caller.block()
            await caller.say("DELE 1")
            await caller.say("QUIT")
    (refused,) = [line for line in logs if line["event"] == "pop3.login_refused"]
    assert (refused["box"], refused["log_level"]) == (NAME, "info")
    (closed,) = [line for line in logs if line["event"] == "pop3.session_closed"]
    told = {name: closed[name] for name in ("log_level", "box", "reason", "retrieved", "deleted", "bytes")}
    assert told == {
        "log_level": "info", "box": NAME, "reason": "quit", "retrieved": 1, "deleted": 1, "bytes": len(letter(1))
    }  # fmt: skip
    assert "PASS" not in str(logs).replace(NAME, "")


async def test_apop() -> None:
    """RFC 1939 section 7: each connection shows its own timestamp; the digest is of that one."""
    async with opened(House(list(numbered(1))), apop=True) as listener:
        first, second = await Caller.at(listener), await Caller.at(listener)
        banners = [each.banner.split()[-1] for each in (first, second)]
        assert banners[0] != banners[1]
        assert all(banner.startswith(b"<") and banner.endswith(b"@centre.sekisho.example>") for banner in banners)
        digests = [hashlib.md5(each + PASSWORD.encode(), usedforsecurity=False).hexdigest() for each in banners]
        assert (await first.say(f"APOP {NAME} {digests[1]}")).startswith(b"-ERR [AUTH]")
        assert (await first.say(f"APOP {NAME} {digests[0]}")).startswith(b"+OK")


async def _upgraded(caller: Caller, context: ssl.SSLContext) -> None:
    assert await caller.say("STLS") == b"+OK Begin TLS\r\n"
    await caller.writer.start_tls(context, server_hostname="127.0.0.1")


async def test_stls(tmp_path: Path) -> None:
    """RFC 2595: the session begins anew inside TLS; where TLS is required the login waits for it."""
    keys, house = make_keys(tmp_path), House(list(numbered(300)))
    async with opened(house, tls=keys.server(), require_tls=True) as listener:
        caller = await Caller.at(listener)
        assert (await caller.log_in()).startswith(b"-ERR [SYS/PERM]")
        await _upgraded(caller, keys.client())
        assert (await caller.log_in()).startswith(b"+OK")
        caller.writer.write(b"".join(b"RETR %d\r\n" % number for number in range(1, 301)))
        for number in range(1, 301):
            assert await caller.line() == b"+OK %d octets\r\n" % len(letter(number))
            assert await caller.block() == letter(number)
        assert await caller.say("DELE 1") == b"+OK\r\n"
        assert await caller.say("QUIT") == b"+OK 1 letters collected\r\n"
        assert house.collections[0][1] == (1,)


async def test_implicit_tls(tmp_path: Path) -> None:
    """TLS from the first byte (RFC 8314): no STLS is offered inside, and plain text gets nowhere."""
    keys = make_keys(tmp_path)
    async with opened(House(list(numbered(1))), tls=keys.server(), implicit_tls=True, require_tls=True) as listener:
        caller = await Caller.at(listener, login=True, tls=keys.client())
        await caller.say("CAPA")
        offers = (await caller.block()).splitlines()
        assert b"STLS" not in offers
        assert b"USER" in offers
        assert await caller.say("QUIT") == b"+OK Bye\r\n"
        assert await caller.ended()
        plain = await asyncio.open_connection(*listener.address)
        plain[1].write(b"USER x\r\nQUIT\r\n")
        with contextlib.suppress(ConnectionError):
            assert b"+OK" not in await asyncio.wait_for(plain[0].read(), 5)
        plain[1].close()
        await until(lambda: listener.open_connections == 0)


async def test_text_before_tls_is_never_read_as_said_inside(tmp_path: Path) -> None:
    """What an attacker puts behind STLS: in one piece with it the session ends, in a piece of its own TLS fails."""
    keys, house = make_keys(tmp_path), House(list(numbered(1)))
    async with opened(house, tls=keys.server()) as listener:
        caller = await Caller.at(listener)
        said = await caller.say(f"STLS\r\nUSER {NAME}\r\nPASS {PASSWORD}")
        assert said.startswith(b"-ERR Nothing may follow STLS")
        assert await caller.ended()
        for pause in (0.0, 0.05):
            caller = await Caller.at(listener)
            caller.writer.write(b"STLS\r\n")
            await asyncio.sleep(pause)
            caller.writer.write(f"USER {NAME}\r\nPASS {PASSWORD}\r\n".encode())
            with contextlib.suppress(ConnectionError):
                rest = await asyncio.wait_for(caller.reader.read(), 5)
                assert b"letters" not in rest
        await until(lambda: listener.open_connections == 0)
    assert house.asked == []


def test_tls_without_a_certificate_is_a_mistake() -> None:
    """A listener that cannot keep what it is told to is not made."""
    for implicit in (False, True):
        with pytest.raises(ValueError, match="certificate"):
            Pop3Listener(
                name="x",
                host="127.0.0.1",
                port=0,
                tray=House(),
                doorkeeper=House(),
                hostname="x",
                implicit_tls=implicit,
                require_tls=not implicit,
            )


async def test_pipelined_replies_come_in_few_pieces() -> None:
    """RFC 2449 6.6: a burst of commands is answered in few writes, not in one a command."""
    async with opened(House(list(numbered(100)))) as listener:
        caller = await Caller.at(listener, login=True)
        caller.writer.write(b"".join(b"DELE %d\r\n" % number for number in range(1, 101)))
        pieces = 0
        said = b""
        while len(said) < 500:
            said += await caller.reader.read(65_536)
            pieces += 1
        assert said == b"+OK\r\n" * 100
        assert pieces <= 3


async def test_ten_thousand_letters_are_listed_at_once() -> None:
    """LIST and UIDL of 10,000 letters within 50 ms of the gateway's time (the best of five, on a shared machine)."""
    house = House([b"x" * 98 + b"\r\n"] * 10_000)
    async with opened(house) as listener:
        caller = await Caller.at(listener, login=True)
        times = []
        for _ in range(5):
            began = time.perf_counter()
            caller.writer.write(b"LIST\r\nUIDL\r\n")
            said = b""
            while said.count(b"\r\n.\r\n") < 2:
                said += await caller.reader.read(1 << 20)
            times.append(time.perf_counter() - began)
        assert said.count(b"\r\n") == 2 * 10_002
        assert min(times) < 0.05


async def test_stopping_lets_a_session_quit() -> None:
    """Who is not logged in is told at once; a session has the grace to QUIT, and its deletions count."""
    house = House(list(numbered(2)))
    async with opened(house) as listener:
        idle, busy = await Caller.at(listener), await Caller.at(listener, login=True)
        assert await busy.say("DELE 1") == b"+OK\r\n"
        stopping = asyncio.create_task(listener.stop(5))
        assert (await idle.line()).startswith(b"-ERR [SYS/TEMP]")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*listener.address)
        assert await busy.say("QUIT") == b"+OK 1 letters collected\r\n"
        await asyncio.wait_for(stopping, 2)
    assert house.boxes[NAME].keys() == {2}


async def test_stopping_ends_after_its_grace() -> None:
    """A session that does not quit is ended, and deletes nothing."""
    house = House(list(numbered(2)))
    async with opened(house) as listener:
        caller = await Caller.at(listener, login=True)
        assert await caller.say("DELE 1") == b"+OK\r\n"
        await asyncio.wait_for(listener.stop(0.1), 3)
        assert (await caller.line()).startswith(b"-ERR [SYS/TEMP]")
    assert house.boxes[NAME].keys() == {1, 2}


@pytest.mark.parametrize(
    "scenario",
    [
        lambda _: test_a_session_from_greeting_to_quit(),
        lambda _: test_the_answers_to_what_was_sent_before_the_half_close(),
        lambda _: test_a_session_without_quit_deletes_nothing("half-close"),
        lambda _: test_a_session_without_quit_deletes_nothing("reset"),
        lambda _: test_a_collecting_under_way_is_not_cut(),
        lambda _: test_stopping_lets_a_session_quit(),
        test_stls,
        test_implicit_tls,
        test_text_before_tls_is_never_read_as_said_inside,
    ],
)
def test_uvloop_is_no_different(scenario: Callable[[Path], Coroutine[None, None, None]], tmp_path: Path) -> None:
    """The other loop reads, half-closes, pauses and switches to TLS by other code; what the peer sees is the same."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario(tmp_path))
