"""kill -9 of ``sekisho serve`` while foreign clients fetch by POP3: nothing is lost, what a QUIT took stays away."""

import asyncio
import contextlib
import poplib
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sekisho.gateway.passwords import hash_password
from sekisho.mailboxes.letters import Box, NewLetter, NewRequest
from sekisho.mailboxes.sqlite import SqliteStore
from tests.transports.boxes import BODY, PASSWORD
from tests.transports.pop3_clients import ALL, Client, Poplib, told

from .support import Desk, served, settings_of, store_file

NAME = "MBX00001"
COUNT = 8
TOML = '[[listener]]\nname = "fetch"\nkind = "pop3"\naddress = "127.0.0.1:0"\n'


@dataclass(frozen=True, slots=True)
class Trip:
    """When the gateway is killed: at the ``nth`` of some commands, before it is passed on or just ``after``."""

    verbs: tuple[bytes, ...]
    nth: int
    after: float | None = None


TRIPS = (
    Trip((b"RETR", b"TOP "), 3),
    Trip((b"DELE",), 2),
    Trip((b"QUIT",), 1, after=0.0),
    Trip((b"QUIT",), 1, after=0.004),
)
"""Between RETR and QUIT; after a DELE; during QUIT, without and with time for the commit. QUIT counts after a DELE."""


class Wire:
    """The way between a client and a gateway, which reads along and kills the gateway at a certain command.

    ``told`` says whether the gateway has said +OK to a QUIT that deletes; not every client listens to that.
    """

    def __init__(self, desk: Desk, trip: Trip | None) -> None:
        self._desk = desk
        self._trip = trip
        self._seen = 0
        self.tripped = asyncio.Event()
        self.told = False
        self.lines: list[bytes] = []

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of the client."""
        port = int(self._desk.listeners["fetch"].rpartition(":")[2])
        with contextlib.suppress(OSError):
            there, to = await asyncio.open_connection("127.0.0.1", port)
            back = asyncio.create_task(self._copy(there, writer))
            marked = False
            while line := await reader.readline():
                self.lines.append(line)
                marked = marked or line.upper().startswith(b"DELE")
                due = self._due(line, marked=marked)
                if not due or (self._trip and self._trip.after is not None):
                    to.write(line)
                    await to.drain()
                if due:
                    await self._kill()
                    break
            to.close()
            await back
        writer.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                self.told = self.told or b" letters collected\r\n" in data
                writer.write(data)
                await writer.drain()
        writer.close()

    def _due(self, line: bytes, *, marked: bool) -> bool:
        if self._trip is None or not line.upper().startswith(self._trip.verbs):
            return False
        self._seen += self._trip.after is None or marked
        return self._seen == self._trip.nth

    async def _kill(self) -> None:
        assert self._trip is not None
        await asyncio.sleep(self._trip.after or 0.0)
        self.tripped.set()
        self._desk.served.kill()


@contextlib.asynccontextmanager
async def _gateway(folder: Path, trip: Trip | None = None) -> AsyncIterator[tuple[Desk, int, Wire]]:
    """The gateway of a folder, with a wire before its POP3 door; the wire's port."""
    async with served(folder, TOML) as desk:
        wire = Wire(desk, trip)
        server = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
        try:
            yield desk, server.sockets[0].getsockname()[1], wire
        finally:
            server.close()


def _fill(folder: Path) -> None:
    """A box with letters in it."""
    settings_of(folder, TOML)
    store = SqliteStore(store_file(folder), clock_us=lambda: 1_800_000_000_000_000)
    with store.transaction() as unit:
        address = f"{NAME}@MAIL.TEST.SEKISHO.EXAMPLE"
        unit.put_box(Box(NAME, address, ("pop3",), password_hash=hash_password(PASSWORD)))
        number = unit.journal(
            NewRequest(
                lane="x",
                idem="x",
                transport="two-way",
                principal="",
                received_at=1,
                peer="",
                sender="",
                recipient="",
                raw=b"x",
                content=b"x",
                wrapping="mail",
            )
        )
        unit.finish(number, state=1, result="", key="", at=1)
        for part in range(COUNT):
            unit.add_letter(
                NewLetter(
                    request=number,
                    part=part,
                    box=NAME,
                    user_id="1ANACA0A",
                    business_code="TCC",
                    output_code="*CTCC",
                    kind="R",
                    form="",
                    subject=f"letter {part}",
                    content=BODY + b"%d\r\n" % part,
                    created_at=1_800_000_000_000_000 + part,
                )
            )
    store.close()


def _uids(port: int) -> dict[str, bytes]:
    """What UIDL and RETR say, in a session that deletes nothing."""
    client = poplib.POP3("127.0.0.1", port, timeout=20)
    client.user(NAME)
    client.pass_(PASSWORD)
    found = {}
    for line in client.uidl()[1]:
        number, uid = line.decode("ascii").split()
        found[uid] = b"".join(line + b"\r\n" for line in client.retr(int(number))[1])
    client.quit()
    return found


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can come to: pytest's own are root's alone when root runs it."""
    with tempfile.TemporaryDirectory(prefix="pop3-kill-") as name:
        Path(name).chmod(0o755)
        (Path(name) / "client").mkdir()
        yield Path(name)


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[pytest.mark.peer(kind.program)] if kind is not Poplib else []) for kind in ALL],
    ids=lambda kind: kind.program,
)
async def test_kill_9_loses_nothing(kind: type[Client], folder: Path) -> None:
    """RFC 1939 section 6 across crashes: an unfinished session deletes nothing, UIDLs stay, what a QUIT took is gone.

    A letter may be fetched twice only by a client that did not come to its QUIT and keeps no list of what it has.
    """
    _fill(folder)
    all_: dict[str, bytes] = {}
    quit_came, told_so = False, False
    for trip in (*TRIPS, None):
        async with _gateway(folder, trip) as (desk, port, wire):
            door = int(desk.listeners["fetch"].rpartition(":")[2])
            now = await asyncio.to_thread(_uids, door)
            all_ = all_ or now
            assert len(all_) == COUNT
            assert now == all_ or (quit_came and not now), "letters are lost, changed, or have other UIDLs"
            assert not (told_so and now), "a QUIT was answered with +OK, and its letters are back"
            client = kind(folder / "client", port, name=NAME)
            ended_well = await asyncio.to_thread(client.collect)
            if trip is not None and now and not wire.tripped.is_set() and not wire.told and not ended_well:
                ended_well = await asyncio.to_thread(client.collect)  # it gave up before the moment: it comes again
            if trip is None:
                assert ended_well
                assert await asyncio.to_thread(_uids, door) == {}
            elif now:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(wire.tripped.wait(), 5)
                assert wire.tripped.is_set(), (trip, client.said, wire.lines)
                quit_came = trip.after is not None
                told_so = wire.told
    arrived = told(client, list(all_.values()))
    assert {at for (at,) in arrived} == set(range(COUNT)), "a letter never came"
    # Each killed session may have brought each letter once more, unless the client notes each letter as it comes.
    assert len(arrived) == COUNT if kind.notes_each else len(arrived) <= COUNT * (1 + len(TRIPS))
