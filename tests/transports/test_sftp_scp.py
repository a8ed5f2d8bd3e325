import asyncio

import pytest

from sekisho.codecs.envelope import Envelope
from sekisho.transports.base import Receipt, Verdict
from sekisho.transports.sftp_scp import ScpOrder, ScpSession, parse_command
from sekisho.transports.sftp_shared import SftpLimits

from .sftp_house import BOX, DAY, House
from .sftp_talk import Talk


class Scp:
    """An scp client by hand: ``say`` bytes, ``hear`` what came, ``status`` when it has ended."""

    def __init__(self, command: str, limits: SftpLimits | None = None, house: House | None = None) -> None:
        self.house = house or House()
        self.talk = Talk(self.house, limits)
        order = parse_command(command)
        assert order is not None
        self.written = bytearray()
        self.status: int | None = None
        self.reading = True
        self.session = ScpSession(
            self.talk.visit,
            order,
            write=self.written.extend,
            set_reading=self._set_reading,
            close=self._close,
            incident=self.talk._incident,
        )
        self.session.begin()

    def _set_reading(self, reading: bool) -> None:
        self.reading = reading

    def _close(self, status: int) -> None:
        self.status = status

    def say(self, data: bytes) -> None:
        """Send."""
        self.session.receive(data)

    async def hear(self) -> bytes:
        """What has been written once nothing moves any more."""
        for _ in range(200):
            await asyncio.sleep(0)
        heard = bytes(self.written)
        self.written.clear()
        return heard

    async def end(self) -> int | None:
        """Close our side; the exit status."""
        self.session.half_close()
        await self.hear()
        return self.status


@pytest.mark.parametrize(
    ("command", "order"),
    [
        ("scp -t /in", ScpOrder(True, "/in")),
        ("scp -p -r -t -- /in", ScpOrder(True, "/in", True, True)),
        ("scp -prd -t '/in/a b'", ScpOrder(True, "/in/a b", True, True, True)),
        ("scp -v -f /out/*", ScpOrder(False, "/out/*")),
        ("scp -f", ScpOrder(False, ".")),
        ("scp -t -- -x", ScpOrder(True, "-x")),
        ("scp -t ''", ScpOrder(True, ".")),
    ],
)
def test_commands_that_are_scp(command: str, order: ScpOrder) -> None:
    """What scp clients start on the other side (OpenSSH's scp.c)."""
    assert parse_command(command) == order


@pytest.mark.parametrize(
    "command",
    ["", "id", "scp", "scp /in", "scp -t -f /in", "scp -t /in /out", "scp -t /in; id", "scp -S x -t /in", "sh -c scp",
     "/usr/bin/scp -t /in", "scp -t $(id) x", "scp -t 'a", "scp -t " + "a" * 5_000, "sftp-server", "scp -x -t /in"],
)  # fmt: skip
def test_commands_that_are_not(command: str) -> None:
    """No shell, no other command, no option that its client does not send."""
    assert parse_command(command) is None


async def test_a_file_is_taken_in_after_the_senders_zero() -> None:
    """All bytes and the final zero, then the house, then our zero."""
    scp = Scp("scp -p -t /in")
    assert await scp.hear() == b"\0"
    scp.say(b"T1700000000 0 1700000000 0\n")
    assert await scp.hear() == b"\0"
    scp.say(b"C0644 5 a.edi\n")
    assert await scp.hear() == b"\0"
    scp.say(b"hello")
    assert await scp.hear() == b""
    assert scp.house.taken == []
    scp.say(b"\0")
    assert await scp.hear() == b"\0"
    assert scp.house.taken[0].content == b"hello"
    assert scp.house.taken[0].transport_id.startswith("a.edi|5|")
    assert await scp.end() == 0


@pytest.mark.parametrize("sent", [b"", b"hel", b"hello"])
@pytest.mark.parametrize("how", ["half", "gone"])
async def test_what_ends_early_is_no_message(sent: bytes, how: str) -> None:
    """The line is cut in the file, or before the final zero: nothing is taken in, nothing is held."""
    scp = Scp("scp -t /in")
    scp.say(b"C0644 5 a.edi\n" + sent)
    await scp.hear()
    if how == "half":
        assert await scp.end() == 1
    else:
        scp.session.end()
        await scp.hear()
    assert scp.house.taken == []
    assert (scp.talk.visit.uploads, scp.talk.visit.handles) == ({}, 0)


async def test_a_sender_that_says_its_file_is_broken() -> None:
    """A warning instead of the final zero: the sender could not read its file to the end."""
    scp = Scp("scp -t /in")
    scp.say(b"C0644 5 a.edi\nhello\1scp: read error\n")
    await scp.hear()
    assert await scp.end() == 1
    assert scp.house.taken == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"C0644 5 a b.edi\n", b"A-Z"),
        (b"C0644 5 ..\n", b"directory"),
        (b"C0644 99999999999 a.edi\n", b"bytes"),
        (b"D0755 0 folder\n", b"Directories"),
    ],
)
async def test_a_file_that_is_refused_is_skipped(line: bytes, words: bytes) -> None:
    """A warning with a text; the next file of the same call is taken."""
    scp = Scp("scp -r -t /in")
    scp.say(line)
    heard = await scp.hear()
    assert heard.startswith(b"\0\1scp: ")
    assert words in heard
    scp.say(b"C0644 2 b.edi\nok\0")
    assert await scp.hear() == b"\0\0"
    assert [one.content for one in scp.house.taken] == [b"ok"]
    assert await scp.end() == 1


@pytest.mark.parametrize(
    "line", [b"C0644 5 ../a\n", b"C0644 -5 a\n", b"X\n", b"C\n", b"C0644 5\n", b"a" * 2_000, b"C9999 1 a\n"]
)
async def test_what_is_not_scp_ends_it(line: bytes) -> None:
    """One last answer, exit status 1."""
    scp = Scp("scp -t /in")
    scp.say(line)
    assert (await scp.hear()).startswith(b"\0\2scp: ")
    assert scp.status == 1
    assert scp.house.taken == []


async def test_a_refusal_of_the_house_is_told() -> None:
    """BUSY: a warning with the receipt's text, nothing kept."""

    async def answer(_: Envelope) -> Receipt:
        return Receipt(Verdict.BUSY, "come back at nine")

    scp = Scp("scp -t /in/a.edi")
    scp.house.answer = answer
    scp.say(b"C0644 2 other\nok\0")
    assert b"\1scp: come back at nine\n" in await scp.hear()
    assert await scp.end() == 1


async def test_a_temporary_name_is_refused() -> None:
    """The protocol cannot rename, so such a file would never be a message; the sender must hear that."""
    scp = Scp("scp -t /in")
    scp.say(b"C0644 2 a.part\nok\0")
    assert b"rename" in await scp.hear()
    assert scp.talk.visit.uploads == {}


async def test_a_file_over_the_bound_by_its_size() -> None:
    """Refused by what it says, before its bytes come."""
    scp = Scp("scp -t /in", SftpLimits(max_object=10))
    scp.say(b"C0644 11 a.edi\n")
    assert b"\1scp: The file has more than 10 bytes\n" in await scp.hear()


async def test_letters_are_sent_with_wild_cards() -> None:
    """-f with ``*``: the client leaves it to the other side; each file after the client's zero."""
    house = House()
    house.add(1, b"one")
    house.add(2, b"two!", "*SOLA")
    scp = Scp(f"scp -f /out/{BOX}/*/S*", house=house)
    scp.say(b"\0")
    assert await scp.hear() == b"C0640 3 SAS1360_-_7-1.edi\n"
    scp.say(b"\0")
    assert await scp.hear() == b"one\0"
    scp.say(b"\0")
    await scp.hear()
    assert scp.status == 0
    assert house.collected == []


async def test_a_directory_with_times() -> None:
    """-r -p: T and D lines, then the files, then E."""
    house = House()
    house.add(1, b"one")
    scp = Scp(f"scp -r -p -f /out/{BOX}/{DAY}", house=house)
    heard = b""
    for _ in range(8):
        scp.say(b"\0")
        heard += await scp.hear()
    lines = heard.split(b"\n")
    assert [line[:1] for line in lines] == [b"T", b"D", b"T", b"C", b"o", b""]
    assert lines[1] == b"D0750 0 " + DAY.encode()
    assert heard.endswith(b"one\0E\n")
    assert scp.status == 0


@pytest.mark.parametrize("path", ["/etc/passwd", "/out/FWD002/*", "/in/../../etc/*", "/out/*/nothing*"])
async def test_nothing_outside_the_tree_is_sent(path: str) -> None:
    """No such file: a warning and exit status 1."""
    scp = Scp(f"scp -f '{path}'")
    scp.say(b"\0")
    assert await scp.hear() == b"\1scp: No such file or directory\n"
    assert scp.status == 1


async def test_a_directory_without_r() -> None:
    """Not a file."""
    scp = Scp("scp -f /out")
    scp.say(b"\0")
    assert b"directory" in await scp.hear()
    assert scp.status == 1


async def test_much_at_once_stops_the_channel() -> None:
    """What comes faster than it is used is bounded."""
    gate = asyncio.Event()

    async def answer(_: Envelope) -> Receipt:
        await gate.wait()
        return Receipt(Verdict.ACCEPTED)

    scp = Scp("scp -t /in")
    scp.house.answer = answer
    scp.say(b"C0644 2 a.edi\nok\0")
    await scp.hear()
    scp.say(b"x" * 300_000)
    assert not scp.reading
    gate.set()
