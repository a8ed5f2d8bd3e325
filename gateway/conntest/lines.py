"""The lines that a connection test speaks by: which door a party sends to, and how its letters are fetched.

*Strategy.* Letters of two-way parties and of those who have an ebMS endpoint are pushed; those of the others are
fetched for as long as somebody waits for them, and become arrivals like the pushed ones. Who judges sees no difference.
A door that lets nobody in ends the waiting at once and is told.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Final, Self

from sekisho.codecs.envelope import Attachment
from sekisho.gateway.conntest.scenario import Party
from sekisho.gateway.inhouse import Arrival, InHouseSystem, Submission, build_mail, submit
from sekisho.gateway.inhouse_doors import Access, Collector, Line, LineError, Packet
from sekisho.gateway.inhouse_ebms import Agreement
from sekisho.gateway.inhouse_mail import MailLine
from sekisho.gateway.inhouse_msh import EbmsCollector, EbmsEnd, EbmsLine
from sekisho.gateway.inhouse_pop3 import Pop3Collector
from sekisho.gateway.inhouse_sftp import SftpCollector, SftpLine, SftpSession

__all__ = ["Fetcher", "Lines", "Target", "TwoWayLine"]

_LOOK_SECONDS: Final = 0.1
"""Between two visits to a door while a letter is awaited. Real fetchers come every minute; a test is in a hurry."""
_FETCHED_AT: Final = {"mail": "pop3", "sftp": "sftp", "ebms": "ebms"}
Fetcher = Callable[[Access], Collector]
"""Makes a collector for a door: ours, or one that has somebody else's program do it."""


@dataclass(frozen=True, slots=True)
class Target:
    """The centre under test: where its two-way listener is, and the address it takes mail for.

    ``doors`` are its other doors by name (``mail``, ``pop3``, ``sftp``, ``ebms``), without anybody's box and password;
    ``mail_centre`` is the address that mail style sends to; ``agreements`` are what ebMS parties have agreed with it,
    seen from their side.
    """

    host: str
    port: int
    centre: str
    doors: Mapping[str, Access] = field(default_factory=dict)
    mail_centre: str = ""
    agreements: tuple[Agreement, ...] = ()

    def __str__(self) -> str:
        return f"{self.centre} at {self.host}:{self.port}"

    def door(self, name: str, party: Party, password: str | None = None) -> Access:
        """A door with a party's box and password (or another ``password``). Raises ValueError without that door."""
        found = self.doors.get(name)
        if found is None:
            raise ValueError(f"the centre's {name} door is not known; name it with --{name}")
        return replace(found, box=party.box, password=party.box_password if password is None else password)


    def agreement(self, box: str) -> Agreement:
        """The ebMS agreement of a box. Raises ValueError if there is none."""
        found = next((one for one in self.agreements if one.agreed.box == box), None)
        if found is None:
            raise ValueError(f"no ebMS agreement of the box {box!r} is known; name a file with --agreement")
        return found


class TwoWayLine:
    """Sends one mail a connection; see :class:`~sekisho.gateway.inhouse_doors.Line`. Replies are pushed."""

    def __init__(self, host: str, port: int, *, sender: str, centre: str) -> None:
        self._where, self._sender, self._centre = (host, port), sender, centre

    def pack(self, content: bytes, *, message_id: str = "", files: Sequence[Attachment] = ()) -> Packet:
        """See :meth:`~sekisho.gateway.inhouse_doors.Line.pack`. Observed senders attach nothing: ``files`` raise."""
        if files:
            raise ValueError("two-way senders attach no files; mail style and ebMS do")
        return Packet(
            message_id, build_mail(content, sender=self._sender, recipient=self._centre, message_id=message_id)
        )

    async def submit(self, packet: Packet) -> Submission:
        """See :meth:`~sekisho.gateway.inhouse_doors.Line.submit`."""
        return await submit(*self._where, packet.data, sender=self._sender, recipient=self._centre)

    async def close(self) -> None:
        """Nothing is kept open."""


class Lines:
    """The lines of one scenario's parties. An async context manager: its connections end with the block.

    ``fetchers`` replace our own collectors, by door; ``ebms`` is the end that ebMS parties speak by where the centre
    knows one, else one is made that can pull. ``looked`` are the parties and doors that are looked into besides. What
    waits at these doors before the block is neither fetched nor counted: it may be somebody's.
    """

    def __init__(
        self,
        target: Target,
        system: InHouseSystem,
        parties: Mapping[str, Party],
        fetchers: Mapping[str, Fetcher] | None = None,
        ebms: EbmsEnd | None = None,
        looked: Collection[tuple[str, str]] = (),
    ) -> None:
        self._ebms = ebms
        self._looked = looked
        self._before: dict[tuple[str, str], list[str]] = {}
        self._own = contextlib.AsyncExitStack()
        self._target, self._system, self._parties = target, system, parties
        self._fetchers = dict(fetchers or {})
        self._sessions: dict[str, SftpSession] = {}
        self._lines: dict[str, Line] = {}
        self._collectors: dict[str, Collector] = {}
        self._known: dict[str, set[str]] = {}

    async def __aenter__(self) -> Self:
        if self._ebms is None and any(party.line == "ebms" for party in self._parties.values()):
            self._ebms = await self._own.enter_async_context(EbmsEnd(self._system))
        fetched = [(name, _FETCHED_AT[one.line]) for name, one in self._parties.items() if self._is_fetched(one)]
        for name, door in {*fetched, *self._looked}:
            # Who is not let in is told at the step that needs it; by ebMS nobody can look without taking.
            with contextlib.suppress(LineError, ValueError):
                self._before[name, door] = await self.collector(name, door).waiting()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        kept: list[Line | Collector | SftpSession] = [*self._lines.values(), *self._collectors.values()]
        for one in (*kept, *self._sessions.values()):
            with contextlib.suppress(LineError):
                await one.close()
        await self._own.aclose()

    def line(self, name: str, password: str | None = None) -> Line:
        """How a party sends; with another ``password`` a line of its own. Raises ValueError without such a door."""
        if password is not None:
            return self._made(name, password)
        if name not in self._lines:
            self._lines[name] = self._made(name, None)
        return self._lines[name]

    def _made(self, name: str, password: str | None) -> Line:
        party, target = self._parties[name], self._target
        match party.line:
            case "mail":
                access = target.door("mail", party, password)
                return MailLine(access, sender=party.address, centre=target.mail_centre or target.centre)
            case "sftp":
                return SftpLine(self._session(name, password))
            case "ebms":
                return self._ebms_line(name, password)
            case _:
                return TwoWayLine(target.host, target.port, sender=party.address, centre=target.centre)

    def _ebms_line(self, name: str, password: str | None) -> EbmsLine:
        party, target = self._parties[name], self._target
        if self._ebms is None:
            raise RuntimeError("the ebMS end is not open")
        access = target.door("ebms", party, password)
        return self._ebms.agree(target.agreement(party.box), access, box=party.address)

    def _session(self, name: str, password: str | None) -> SftpSession:
        if password is not None:
            return SftpSession(self._target.door("sftp", self._parties[name], password))
        if name not in self._sessions:
            self._sessions[name] = SftpSession(self._target.door("sftp", self._parties[name]))
        return self._sessions[name]

    def collector(self, name: str, door: str, password: str | None = None) -> Collector:
        """How a party's letters are fetched at a door. Raises ValueError without such a door."""
        if door == "sftp" and door not in self._fetchers:
            return SftpCollector(self._session(name, password))
        if door == "ebms":
            line = self.line(name, password)
            if not isinstance(line, EbmsLine):
                raise ValueError(f"{name} does not speak ebMS")
            return EbmsCollector(line)
        access = self._target.door(door, self._parties[name], password)
        return self._fetchers.get(door, Pop3Collector)(access)

    async def wait(self, enough: Callable[[Sequence[Arrival]], Any], seconds: float) -> bool:
        """Wait until ``enough`` of all arrivals is true, fetching meanwhile; whether it became true.

        Raises :class:`LineError` when a party is not let in.
        """
        polled = [name for name, party in self._parties.items() if self._is_fetched(party)]
        if not polled:
            return await self._system.wait(enough, seconds)
        ended = asyncio.Event()
        waiting = asyncio.ensure_future(self._system.wait(enough, seconds))
        visits = [asyncio.ensure_future(self._fetch_on(name, ended)) for name in polled]
        try:
            await asyncio.wait([waiting, *visits], return_when=asyncio.FIRST_COMPLETED)
            for visit in visits:
                if visit.done():
                    visit.result()  # it never ends by itself but by an error
            return await waiting
        finally:
            # A visit is never cut: the box would stay locked until the door has seen it, and the next one refused.
            ended.set()
            waiting.cancel()
            await asyncio.gather(waiting, *visits, return_exceptions=True)

    async def waiting(self, name: str, door: str, password: str | None = None) -> int:
        """How many letters wait for a party at a door that were not there before. Raises :class:`LineError`."""
        collector = self.collector(name, door, password)
        found = set(await collector.waiting()).difference(self._before.get((name, door), ()))
        if password is not None:
            await collector.close()
        return len(found)

    def check(self, name: str) -> None:
        """See that a party's letters can be fetched. Raises ValueError where its door is not known."""
        party = self._parties[name]
        if party.line in _FETCHED_AT:
            self._target.door(_FETCHED_AT[party.line], party)

    def _is_fetched(self, party: Party) -> bool:
        door = _FETCHED_AT.get(party.line)
        if door == "ebms" and not any(one.is_pulled for one in self._target.agreements if one.agreed.box == party.box):
            return False
        return door in self._target.doors

    async def _fetch_on(self, name: str, ended: asyncio.Event) -> None:
        while not ended.is_set():
            await self.fetch(name)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await ended.wait()

    async def fetch(self, name: str) -> None:
        """One visit to a party's door: what is new becomes an arrival. Raises :class:`LineError`."""
        party = self._parties[name]
        door = _FETCHED_AT[party.line]
        if name not in self._collectors:
            self._collectors[name] = self.collector(name, door)
        known = self._known.setdefault(name, set())
        before = self._before.get((name, door), ())
        for letter in await self._collectors[name].collect(known.union(before)):
            (known.discard if letter.removed else known.add)(letter.name)
            self._system.take_in(letter.content, box=party.address, transport_id=letter.transport_id, line=door)
