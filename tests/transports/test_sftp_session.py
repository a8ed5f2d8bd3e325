import asyncio
import struct

import pytest

from sekisho.codecs.envelope import Envelope, Wrapping
from sekisho.transports.base import Receipt, Verdict
from sekisho.transports.sftp_shared import SftpLimits

from .sftp_house import BOX, DAY, OTHER, House
from .sftp_talk import (
    APPEND,
    BAD_MESSAGE,
    CREATE,
    DENIED,
    EXCLUSIVE,
    FAILURE,
    NO_SUCH_FILE,
    OK,
    PUT,
    READ,
    UNSUPPORTED,
    WRITE,
    Talk,
    text,
    u32,
    u64,
)

DAY_FOLDER = f"/out/{BOX}/{DAY}"


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
