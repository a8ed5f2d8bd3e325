import asyncio
import random
import struct

import pytest

from sekisho.codecs.envelope import Envelope
from sekisho.transports.base import Receipt, Verdict
from sekisho.transports.sftp_shared import SftpLimits

from .sftp_house import BOX, DAY, House
from .sftp_talk import (
    FAILURE,
    OK,
    PUT,
    READ,
    TRUNCATE,
    WRITE,
    Talk,
    packet,
    text,
    u32,
    u64,
)

DAY_FOLDER = f"/out/{BOX}/{DAY}"


async def test_sixty_four_handles() -> None:
    """64 open files and directories a session; one more is refused until one is closed (reliability.md 8)."""
    talk = Talk(House())
    handles = [await talk.handle(f"/in/{number}.edi") for number in range(63)]
    handles.append((await talk.say(11, text("/in"))).body)
    refused = await talk.open("/in/64.edi")
    assert (refused.code, "64" in refused.text) == (FAILURE, True)
    assert (await talk.say(11, text("/"))).code == FAILURE
    assert (await talk.say(4, handles.pop())).code == OK
    assert (await talk.say(11, text("/"))).kind == 102
    talk.end()
    assert talk.visit.handles == 0
    assert talk.house.taken == []


async def test_unfinished_files_are_bounded_too() -> None:
    """Temporary names that are closed hold no handle, but a place: 64 of them."""
    talk = Talk(House())
    for number in range(64):
        assert (await talk.put(f"/in/{number}.tmp", b"x")).code == OK
    assert (await talk.open("/in/65.tmp")).code == FAILURE
    assert (await talk.open("/in/3.tmp", WRITE | TRUNCATE)).kind == 102
    talk.end()
    assert talk.house.taken == []
    assert talk.shared.spool.memory == talk.shared.limits.memory


async def test_one_writer_a_file(talk: Talk) -> None:
    """A file that is open is not opened again: two halves would be one message."""
    await talk.handle("/in/a.edi")
    assert (await talk.open("/in/a.edi")).code == FAILURE
    assert (await talk.say(13, text("/in/a.edi"))).code == FAILURE


@pytest.mark.parametrize("closed", [False, True])
async def test_an_abandoned_file_is_no_message(talk: Talk, closed: bool) -> None:
    """A session that ends stores nothing that was not closed under a final name."""
    handle = await talk.handle("/in/a.part")
    await talk.say(6, handle, u64(0), text("x"))
    if closed:
        await talk.say(4, handle)
    talk.session.end()
    talk.visit.end()
    await asyncio.sleep(0)
    assert talk.house.taken == []
    assert talk.visit.uploads == {}


async def test_a_submission_outlives_the_connection(talk: Talk) -> None:
    """Closed in full and cut off: the house keeps it, the answer is not heard, and nothing is written any more."""
    gate = asyncio.Event()

    async def answer(_: Envelope) -> Receipt:
        await gate.wait()
        return Receipt(Verdict.ACCEPTED)

    talk.house.answer = answer
    handle = await talk.handle("/in/a.edi")
    await talk.say(6, handle, u64(0), text("x"))
    talk.send(4, handle)
    await asyncio.sleep(0)
    talk.session.end()
    talk.visit.end()
    gate.set()
    for _ in range(10):
        await asyncio.sleep(0)
    assert [one.content for one in talk.house.taken] == [b"x"]
    assert not talk.written


async def test_what_lies_in_buffers_begins_nothing(talk: Talk) -> None:
    """The cable is cut while a CLOSE waits: the requests behind it open no files that nobody would ever close."""
    gate = asyncio.Event()

    async def answer(_: Envelope) -> Receipt:
        await gate.wait()
        return Receipt(Verdict.ACCEPTED)

    talk.house.answer = answer
    handle = await talk.handle("/in/a.edi")
    await talk.say(6, handle, u64(0), text("x"))
    talk.send(4, handle)
    talk.send(3, text("/in/b.tmp"), u32(PUT), u32(0))
    talk.visit.end()  # the connection is told before its channels
    gate.set()
    assert [(await talk.answer()).code for _ in range(2)] == [OK, FAILURE]
    assert talk.visit.uploads == {}


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        packet(b"\x03" + u32(1) + text("/in/a")),  # a request before INIT
        u32(0),
        u32(4) + b"\x01\0\0\0",
        u32(256 * 1024 + 1),
        b"\xff\xff\xff\xff",
    ],
)
async def test_what_is_not_sftp_ends_the_channel(first: bytes) -> None:
    """A length out of bounds or a wrong first packet: closed, nothing answered, nothing kept."""
    talk = Talk(House(), begin=False)
    talk.session.receive(first)
    assert (talk.closed, bytes(talk.written)) == (True, b"")
    talk.session.receive(packet(b"\x01" + u32(3)))
    assert not talk.written
    talk.end()


async def test_one_byte_at_a_time(talk: Talk) -> None:
    """However the bytes are cut, the conversation is the same."""
    wire = b"".join(
        packet(body)
        for body in (
            b"\x03" + u32(1) + text("/in/a.edi") + u32(PUT) + u32(0),
            b"\x06" + u32(2) + text(b"\0\0\0\0") + u64(0) + text("abc"),
            b"\x04" + u32(3) + text(b"\0\0\0\0"),
            b"\x11" + u32(4) + text("/in/a.edi"),
        )
    )
    for at in range(len(wire)):
        talk.session.receive(wire[at : at + 1])
    assert [(await talk.answer()).request for _ in range(4)] == [1, 2, 3, 4]
    assert talk.house.taken[0].content == b"abc"


async def test_a_client_that_does_not_read_is_not_served(talk: Talk) -> None:
    """While its replies cannot leave, requests wait, and the channel is not read."""
    talk.house.add(5, b"z" * 600_000)
    (name,) = await talk.list(DAY_FOLDER)
    handle = await talk.handle(f"{DAY_FOLDER}/{name}", READ)
    talk.session.block(True)
    for _ in range(8_000):
        talk.send(5, handle, u64(0), u32(200_000))
    assert not talk.written
    assert not talk.reading
    write, total = talk.session._write, 0

    def small_window(data: bytes) -> None:
        nonlocal total
        total += len(data)
        talk.session.block(True)

    talk.session._write = small_window
    talk.session.block(False)
    assert 0 < total < 1_000_000  # a small request asks for much: answers are made as they leave
    talk.session._write = write


async def test_requests_behind_a_commit_stop_the_channel(talk: Talk) -> None:
    """A client that sends on while its CLOSE waits is read no further than a bound."""
    gate = asyncio.Event()

    async def answer(_: Envelope) -> Receipt:
        await gate.wait()
        return Receipt(Verdict.ACCEPTED)

    talk.house.answer = answer
    handle = await talk.handle("/in/a.edi")
    await talk.say(6, handle, u64(0), text("x"))
    talk.send(4, handle)
    for _ in range(10_000):
        talk.send(17, text("/in/a.edi"))
    assert not talk.reading
    gate.set()
    assert (await talk.answer()).code == OK
    for _ in range(10_000):
        assert (await talk.answer()).kind == 105
    assert talk.reading


async def test_limits_are_told(talk: Talk) -> None:
    """limits@openssh.com: packets of 256 KiB, 64 handles."""
    reply = await talk.say(200, text("limits@openssh.com"))
    assert struct.unpack(">QQQQ", reply.body) == (262144, 261120, 261120, 64)


async def test_a_tray_that_cannot_be_read(talk: Talk) -> None:
    """A failing store is a failing listing with the public text, not an incident."""
    from sekisho.transports.base import TrayError, Waiting

    def fails(_: str) -> list[Waiting]:
        raise TrayError("not now")

    talk.house.waiting = fails  # type: ignore[method-assign, assignment]
    reply = await talk.say(11, text(f"/out/{BOX}"))
    assert (reply.code, reply.text) == (FAILURE, "not now")


async def test_mangled_packets_get_defined_answers() -> None:
    """R8: 5,000 packets with random types, cut, lengthened and flipped: each whole one gets one answer, no incident."""
    chance = random.Random(5)
    talk = Talk(House(), SftpLimits(max_object=5_000, memory_each=500))
    talk.house.add(1, b"letter")
    (name,) = await talk.list(DAY_FOLDER)
    paths = [text(path) for path in ("/in/a.edi", "/in/b.tmp", f"{DAY_FOLDER}/{name}", "/sent", "/in/" + "x" * 300)]
    parts = [*paths, text(b"\0\0\0\0"), text(b"\0\0\0\1"), u32(PUT), u32(0), u64(3), text("data"), u32(0x8000000F),
             u32(0xFFFFFFFF), u64(2**64 - 1), b"", b"\xff" * 9]  # fmt: skip
    for number in range(5_000):
        kind = chance.choice([*range(1, 22), 101, 102, 200, 201, 255])
        body = bytearray(b"".join(chance.choice(parts) for _ in range(chance.randint(0, 5))))
        for _ in range(chance.randint(0, 2)):
            if body:
                body[chance.randrange(len(body))] = chance.randrange(256)
        reply = await talk.say(kind, bytes(body))
        assert reply.kind in (101, 102, 103, 104, 105, 201), number
    assert talk.incidents == []
    talk.end()
    assert talk.visit.handles == 0
    for _ in range(50):
        await asyncio.sleep(0.002)
    assert (talk.shared.spool.memory, talk.shared.spool.disk) == (talk.shared.limits.memory, talk.shared.limits.disk)
