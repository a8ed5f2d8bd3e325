import asyncio
import random
import struct
import time
from collections.abc import AsyncIterator

import pytest

from sekisho.codecs.envelope import Envelope, Wrapping
from sekisho.transports.base import Receipt, Verdict
from sekisho.transports.sftp_shared import SftpLimits
from tests.transports.sftp_house import BOX, DAY, OTHER, House
from tests.transports.sftp_talk import (
    APPEND,
    BAD_MESSAGE,
    CREATE,
    DENIED,
    EOF,
    EXCLUSIVE,
    FAILURE,
    NO_SUCH_FILE,
    OK,
    PUT,
    READ,
    TRUNCATE,
    UNSUPPORTED,
    WRITE,
    Talk,
    packet,
    text,
    u32,
    u64,
)

DAY_FOLDER = f"/out/{BOX}/{DAY}"


@pytest.fixture
async def talk() -> AsyncIterator[Talk]:
    """A client before an empty house."""
    made = Talk(House())
    yield made
    made.end()
    assert made.incidents == []


@pytest.mark.parametrize(
    ("kind", "fields", "codes"),
    [
        (18, [text("/out"), text("/in/x")], {DENIED}),  # RENAME
        (18, [text("/in/none.tmp"), text("/in/x")], {NO_SUCH_FILE}),
        (18, [text("/in/../etc/passwd"), text("/in/x")], {NO_SUCH_FILE}),
        (13, [text("/in")], {DENIED}),  # REMOVE
        (13, [text("/in/none")], {NO_SUCH_FILE}),
        (13, [text("/etc/passwd")], {NO_SUCH_FILE}),
        (13, [text("/sent/0000000001_a.edi")], {DENIED}),
        (14, [text("/in"), u32(0)], {FAILURE}),  # MKDIR: it is there
        (14, [text(f"/out/{BOX}"), u32(0)], {FAILURE}),
        (14, [text("/new"), u32(0)], {DENIED}),
        (14, [text("/in/new"), u32(0)], {DENIED}),
        (14, [text(f"{DAY_FOLDER}"), u32(0)], {DENIED}),
        (15, [text("/in")], {DENIED}),  # RMDIR
        (19, [text("/in")], {DENIED}),  # READLINK
        (20, [text("/etc/passwd"), text("/in/x")], {DENIED}),  # SYMLINK
        (9, [text("/in"), u32(4), u32(0o777)], {DENIED}),  # SETSTAT
        (9, [text("/out"), u32(8), u32(0), u32(0)], {DENIED}),
        (9, [text("/in/none"), u32(0)], {NO_SUCH_FILE}),
        (10, [text(b"\0\0\0\7"), u32(0)], {FAILURE}),  # FSETSTAT
        (4, [text(b"\0\0\0\7")], {FAILURE}),  # CLOSE
        (5, [text(b""), u64(0), u32(10)], {FAILURE}),  # READ
        (6, [text(b"xx"), u64(0), text("x")], {FAILURE}),  # WRITE
        (8, [text(b"xx")], {FAILURE}),  # FSTAT
        (12, [text(b"xx")], {FAILURE}),  # READDIR
        (11, [text("/in/none")], {NO_SUCH_FILE}),  # OPENDIR
        (11, [text(f"/out/{OTHER}")], {NO_SUCH_FILE}),
        (11, [text(DAY_FOLDER)], {NO_SUCH_FILE}),
        (17, [text(b"\xc0\xaf")], {NO_SUCH_FILE}),  # STAT
        (7, [text(f"/out/{OTHER}")], {NO_SUCH_FILE}),  # LSTAT
        (16, [text(b"a\0b")], {NO_SUCH_FILE}),  # REALPATH
        (3, [text("/in"), u32(PUT), u32(0)], {FAILURE}),  # OPEN
        (3, [text("/out/x"), u32(PUT), u32(0)], {NO_SUCH_FILE}),
        (3, [text("/sent/x"), u32(PUT), u32(0)], {DENIED}),
        (3, [text(f"{DAY_FOLDER}/x"), u32(PUT), u32(0)], {DENIED}),
        (3, [text("/in/a b"), u32(PUT), u32(0)], {DENIED}),
        (3, [text("/in/none"), u32(WRITE), u32(0)], {NO_SUCH_FILE}),
        (3, [text("/in/none"), u32(READ), u32(0)], {NO_SUCH_FILE}),
        (3, [text("/in"), u32(READ), u32(0)], {FAILURE}),
        (200, [text("hardlink@openssh.com"), text("/in/a"), text("/in/b")], {UNSUPPORTED}),
        (200, [text("statvfs@openssh.com"), text("/")], {UNSUPPORTED}),
        (200, [text("copy-data"), text("x")], {UNSUPPORTED}),
        (200, [text("posix-rename@openssh.com"), text("/out"), text("/in/x")], {DENIED}),
        (200, [text("fsync@openssh.com"), text("x")], {FAILURE}),
        (21, [text("/in")], {UNSUPPORTED}),
        (1, [], {UNSUPPORTED}),  # a second INIT
        (255, [], {UNSUPPORTED}),
        (3, [u32(99), b"x"], {BAD_MESSAGE}),
        (3, [text("/in/x"), u32(PUT)], {BAD_MESSAGE}),
        (9, [text("/in"), u32(1)], {BAD_MESSAGE}),
        (6, [], {BAD_MESSAGE}),
    ],
)
async def test_what_is_refused(talk: Talk, kind: int, fields: list[bytes], codes: set[int]) -> None:
    """Links, attributes, directories and moves outside what the tree offers are refused, each with a defined status."""
    reply = await talk.say(kind, *fields)
    assert (reply.kind, reply.code in codes) == (101, True), reply
    assert reply.text
    assert await talk.list("/") == ["in", "out", "quarantine", "sent"]
    assert talk.house.taken == []


async def test_a_closed_file_is_a_message(talk: Talk) -> None:
    """CLOSE gives the file to the house: bare, the box as principal, name, size and hash as its identity."""
    assert (await talk.put("/in/a.edi", b"content")).code == OK
    (envelope,) = talk.house.taken
    assert envelope.raw == envelope.content == b"content"
    assert (envelope.transport, envelope.peer, envelope.principal) == ("drop", "127.0.0.1:50000", BOX)
    assert (envelope.sender, envelope.recipient, envelope.wrapping) == ("", "", Wrapping.BARE)
    digest = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
    assert envelope.transport_id == f"a.edi|7|{digest}"


async def test_the_same_file_again_has_the_same_identity(talk: Talk) -> None:
    """A repeat, also from a temporary name and in another session, is the same request; other bytes are another one."""
    await talk.put("/in/a.edi", b"content")
    await talk.put("/in/a.edi", b"content")
    await talk.put("/in/a.edi", b"other!!")
    again = Talk(talk.house)
    await again.put("/in/a.part", b"content")
    assert (await again.say(18, text("/in/a.part"), text("/in/a.edi"))).code == OK
    again.end()
    ids = [envelope.transport_id for envelope in talk.house.taken]
    assert ids[0] == ids[1] == ids[3] != ids[2]


async def test_close_is_answered_after_the_house_has_said_yes(talk: Talk) -> None:
    """No answer, neither to the CLOSE nor to what follows it, before the commit; then both, in order."""
    gate = asyncio.Event()

    async def answer(_: Envelope) -> Receipt:
        await gate.wait()
        return Receipt(Verdict.ACCEPTED, "OK", 1)

    talk.house.answer = answer
    handle = await talk.handle("/in/a.edi")
    assert (await talk.say(6, handle, u64(0), text("x"))).code == OK
    closing = talk.send(4, handle)
    looking = talk.send(17, text("/in"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not talk.written
    assert talk.session.busy
    gate.set()
    assert [(await talk.answer()).request for _ in range(2)] == [closing, looking]


@pytest.mark.parametrize(
    ("verdict", "words"),
    [(Verdict.BUSY, "come back at nine"), (Verdict.FULL, "disk is full"), (Verdict.REFUSED, "other bytes"),
     (Verdict.BUSY, "")],
)  # fmt: skip
@pytest.mark.parametrize("rename", [False, True])
async def test_a_refused_file_is_gone(talk: Talk, verdict: Verdict, words: str, rename: bool) -> None:
    """Not accepted: FAILURE with the receipt's text, nothing kept, the name free (reliability.md 8)."""

    async def answer(_: Envelope) -> Receipt:
        return Receipt(verdict, words)

    talk.house.answer = answer
    if rename:
        assert (await talk.put("/in/a.tmp", b"x")).code == OK
        reply = await talk.say(18, text("/in/a.tmp"), text("/in/a.edi"))
    else:
        reply = await talk.put("/in/a.edi", b"x")
    assert reply.code == FAILURE
    assert words in reply.text
    assert reply.text
    assert await talk.list("/in") == []
    assert talk.house.taken == []
    talk.house.answer = None
    assert (await talk.put("/in/a.edi", b"x")).code == OK


async def test_an_error_of_the_house_is_an_incident(talk: Talk) -> None:
    """The peer gets an incident id and no word of what went wrong."""

    async def answer(_: Envelope) -> Receipt:
        raise ZeroDivisionError("secret detail in /some/path")

    talk.house.answer = answer
    reply = await talk.put("/in/a.edi", b"x")
    assert (reply.code, reply.text) == (FAILURE, "Local error, incident 1")
    assert isinstance(talk.incidents.pop(), ZeroDivisionError)


async def test_an_empty_file_is_refused(talk: Talk) -> None:
    """Nothing is no message."""
    reply = await talk.put("/in/a.edi", b"")
    assert (reply.code, "empty" in reply.text) == (FAILURE, True)
    assert talk.house.taken == []


async def test_a_temporary_file_waits_for_its_rename(talk: Talk) -> None:
    """Closed under a temporary name it can be seen, changed, renamed and dropped, and is no message."""
    assert (await talk.put("/in/a.edi.filepart", b"0123456789")).code == OK
    assert (await talk.say(17, text("/in/a.edi.filepart"))).size == 10
    handle = await talk.handle("/in/a.edi.filepart", WRITE)  # resume at an offset
    assert (await talk.say(6, handle, u64(8), text("89ab"))).code == OK
    assert (await talk.say(4, handle)).code == OK
    handle = await talk.handle("/in/a.edi.filepart", WRITE | CREATE | APPEND)
    assert (await talk.say(6, handle, u64(0), text("cd"))).code == OK
    assert (await talk.say(18, text("/in/a.edi.filepart"), text("/in/a.edi"))).code == FAILURE  # still open
    assert (await talk.say(4, handle)).code == OK
    assert (await talk.say(18, text("/in/a.edi.filepart"), text("/in/b.tmp"))).code == OK
    assert await talk.list("/in") == ["b.tmp"]
    assert talk.house.taken == []
    assert (await talk.say(18, text("/in/b.tmp"), text("/in/a.edi"))).code == OK
    assert talk.house.taken[0].content == b"0123456789abcd"
    assert await talk.list("/in") == ["a.edi"]
    assert (await talk.put("/in/c.tmp", b"x")).code == OK
    assert (await talk.say(13, text("/in/c.tmp"))).code == OK
    assert (await talk.say(17, text("/in/c.tmp"))).code == NO_SUCH_FILE


@pytest.mark.parametrize("extension", [False, True])
async def test_no_rename_onto_a_name_that_exists(talk: Talk, extension: bool) -> None:
    """Plain rename and posix-rename are both refused onto existing names in /in (reliability.md 7)."""

    async def rename(old: str, new: str) -> int:
        if extension:
            return (await talk.say(200, text("posix-rename@openssh.com"), text(old), text(new))).code
        return (await talk.say(18, text(old), text(new))).code

    await talk.put("/in/a.edi", b"1")
    await talk.put("/in/b.tmp", b"2")
    await talk.put("/in/c.tmp", b"3")
    assert await rename("/in/b.tmp", "/in/a.edi") == FAILURE
    assert await rename("/in/b.tmp", "/in/c.tmp") == FAILURE
    assert await rename("/in/b.tmp", "/in/b.tmp") == FAILURE
    assert await rename("/in/b.tmp", "/in/-x") == DENIED
    assert await rename("/in/b.tmp", "/out/b.edi") == NO_SUCH_FILE
    assert await rename("/in/b.tmp", "/sent/b.edi") == DENIED
    assert await rename("/in/a.edi", "/in/d.edi") == DENIED  # it was accepted
    assert len(talk.house.taken) == 1
    assert await rename("/in/b.tmp", "/in/b.edi") == OK
    assert [one.content for one in talk.house.taken] == [b"1", b"2"]


async def test_an_accepted_file_stays_to_be_seen(talk: Talk) -> None:
    """Clients look at name and size after the upload, set times, and remove a name before they rename onto it."""
    await talk.put("/in/a.edi", b"12345")
    assert (await talk.say(7, text("/in/a.edi"))).size == 5
    assert await talk.list("/in") == ["a.edi"]
    assert (await talk.say(9, text("/in/a.edi"), u32(12), u32(0o644), u32(1), u32(1_700_000_000))).code == OK
    shown = await talk.say(17, text("/in/a.edi"))
    assert struct.unpack(">I", shown.body[-4:])[0] == 1_700_000_000
    assert (await talk.say(9, text("/in/a.edi"), u32(1), u64(5))).code == OK  # its own size changes nothing
    assert (await talk.say(9, text("/in/a.edi"), u32(1), u64(2))).code == DENIED
    assert (await talk.say(9, text("/in/a.edi"), u32(2), u32(0), u32(0))).code == DENIED
    assert (await talk.open("/in/a.edi", READ)).code == DENIED
    assert (await talk.open("/in/a.edi", WRITE)).code == FAILURE
    assert (await talk.open("/in/a.edi", WRITE | CREATE | APPEND)).code == FAILURE
    assert (await talk.open("/in/a.edi", WRITE | CREATE | EXCLUSIVE)).code == FAILURE
    assert (await talk.say(13, text("/in/a.edi"))).code == OK
    assert await talk.list("/in") == []
    assert len(talk.house.taken) == 1
    other = Talk(talk.house)
    assert await other.list("/in") == []  # it is seen in its own session
    other.end()


async def test_random_order_and_truncation(talk: Talk) -> None:
    """Writes come in any order within the bound; FSETSTAT of the size cuts and fills (OpenSSH's resumed put)."""
    handle = await talk.handle("/in/a.edi")
    for offset, data in ((6, "ghi"), (0, "abc"), (3, "def"), (9, "xyz")):
        assert (await talk.say(6, handle, u64(offset), text(data))).code == OK
    assert (await talk.say(8, handle)).size == 12
    assert (await talk.say(10, handle, u32(1), u64(9))).code == OK
    assert (await talk.say(10, handle, u32(8), u32(1), u32(1))).code == OK
    assert (await talk.say(10, handle, u32(2), u32(1), u32(1))).code == DENIED
    assert (await talk.say(5, handle, u64(0), u32(9))).code == DENIED  # /in gives nothing back
    assert (await talk.say(200, text("fsync@openssh.com"), handle)).code == OK
    assert talk.house.taken == []  # fsync is no acceptance
    assert (await talk.say(4, handle)).code == OK
    assert talk.house.taken[0].content == b"abcdefghi"


async def test_a_file_over_the_bound_fails_at_once() -> None:
    """The first byte too many fails, the upload is dropped, and every further request on it says the same."""
    talk = Talk(House(), SftpLimits(max_object=100_000))
    handle = await talk.handle("/in/a.edi")
    assert (await talk.say(6, handle, u64(0), text(b"x" * 100_000))).code == OK
    for offset in (100_000, 1 << 40, 2**64 - 1):
        reply = await talk.say(6, handle, u64(offset), text("y"))
        assert (reply.code, "100000 bytes" in reply.text) == (FAILURE, True)
    assert (await talk.say(10, handle, u32(1), u64(1))).code == FAILURE
    assert talk.shared.spool.memory == talk.shared.limits.memory
    assert (await talk.say(4, handle)).code == FAILURE
    assert await talk.list("/in") == []
    assert talk.house.taken == []
    handle = await talk.handle("/in/b.edi")
    assert (await talk.say(10, handle, u32(1), u64(1 << 62))).code == FAILURE
    talk.end()


async def test_letters_are_read_and_removed(talk: Talk) -> None:
    """/out shows the box's letters; reading delivers nothing; remove is the collection, answered after its commit."""
    made = talk.house.add(5, b"letter five", "*SOLA", "12345")
    talk.house.add(6, b"somebody else's", box=OTHER)
    assert await talk.list("/out") == [BOX]
    assert await talk.list(f"/out/{BOX}") == [DAY]
    (name,) = await talk.list(DAY_FOLDER)
    assert name == "R-SOLA_12345_7-5.edi"
    path = f"{DAY_FOLDER}/{name}"
    shown = await talk.say(17, text(path))
    assert (shown.size, shown.is_directory) == (made.size, False)
    handle = await talk.handle(path, READ)
    assert (await talk.say(8, handle)).size == made.size
    assert (await talk.say(5, handle, u64(7), u32(100))).body == text("five")
    assert (await talk.say(5, handle, u64(made.size), u32(1))).code == EOF
    assert (await talk.say(6, handle, u64(0), text("x"))).code == DENIED
    assert (await talk.open(path, READ | WRITE)).code == DENIED
    assert (await talk.say(18, text(path), text("/in/x.tmp"))).code == DENIED
    assert (await talk.say(9, text(path), u32(4), u32(0))).code == DENIED
    assert talk.house.collected == []
    talk.house.tray_fault = "the mailbox cannot be used now"
    failed = await talk.say(13, text(path))
    assert (failed.code, failed.text) == (FAILURE, "the mailbox cannot be used now")
    assert await talk.list(DAY_FOLDER) == [name]
    talk.house.tray_fault = ""
    assert (await talk.say(13, text(path))).code == OK
    assert talk.house.collected == [(BOX, 5, "sftp", "127.0.0.1:50000")]
    assert (await talk.say(17, text(path))).code == NO_SUCH_FILE
    assert (await talk.say(11, text(DAY_FOLDER))).code == NO_SUCH_FILE


async def test_a_letter_stays_listed_until_its_removal_is_committed(talk: Talk) -> None:
    """reliability.md 7: until the commit the file is listed."""
    talk.house.add(5, b"x")
    (name,) = await talk.list(DAY_FOLDER)
    second = Talk(talk.house)
    talk.send(13, text(f"{DAY_FOLDER}/{name}"))
    assert await second.list(DAY_FOLDER) == [name]
    assert (await talk.answer()).code == OK
    second.end()


async def test_a_letter_that_is_purged_while_it_is_open(talk: Talk) -> None:
    """The content is asked for when it is read; a letter that is gone by then is no such file."""
    talk.house.add(5, b"x")
    (name,) = await talk.list(DAY_FOLDER)
    handle = await talk.handle(f"{DAY_FOLDER}/{name}", READ)
    talk.house.boxes[BOX].clear()
    reply = await talk.say(5, handle, u64(0), u32(10))
    assert (reply.code, "not kept" in reply.text) == (NO_SUCH_FILE, True)


async def test_what_was_sent_can_be_read_and_not_changed(talk: Talk) -> None:
    """/sent has what was accepted, /quarantine what could not be read; both read-only, both only one's own."""
    await talk.put("/in/a.edi", b"first")
    await talk.put("/in/b.edi", b"second")
    talk.house.unread.add(2)
    assert await talk.list("/sent") == ["0000000001_a.edi"]
    assert await talk.list("/quarantine") == ["0000000002_b.edi"]
    handle = await talk.handle("/quarantine/0000000002_b.edi", READ)
    assert (await talk.say(5, handle, u64(0), u32(99))).body == text("second")
    assert (await talk.say(13, text("/quarantine/0000000002_b.edi"))).code == DENIED
    assert (await talk.say(18, text("/sent/0000000001_a.edi"), text("/in/x"))).code == DENIED
    assert (await talk.open("/sent/0000000001_a.edi", PUT)).code == DENIED
    assert (await talk.say(17, text("/sent/0000000002_b.edi"))).code == NO_SUCH_FILE


async def test_ten_thousand_letters_in_a_second(talk: Talk) -> None:
    """R21: listing 10,000 letters takes under a second of processor time; so does looking at each of them."""
    for number in range(10_000):
        talk.house.add(number, b"x", key=f"{number:011d}")
    began = time.process_time()
    names = await talk.list(DAY_FOLDER)
    assert time.process_time() - began < 1.0
    assert len(set(names)) == 10_000
    before = talk.house.listings
    began = time.process_time()
    for name in names:
        assert (await talk.say(7, text(f"{DAY_FOLDER}/{name}"))).kind == 105
    assert time.process_time() - began < 1.0
    assert talk.house.listings == before


async def test_pages_of_128_names(talk: Talk) -> None:
    """An answer to READDIR has at most 128 names."""
    for number in range(300):
        talk.house.add(number, b"x")
    handle = (await talk.say(11, text(DAY_FOLDER))).body
    pages = [len((await talk.say(12, handle)).names) for _ in range(3)]
    assert pages == [128, 128, 44]
    assert (await talk.say(12, handle)).code == EOF
    assert (await talk.say(5, handle, u64(0), u32(1))).code == DENIED
    assert (await talk.say(8, handle)).is_directory


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
