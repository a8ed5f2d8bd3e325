"""What the sessions of an SFTP listener share: the limits, the house's side, and lists that are costly to make.

*Strategy.* The house is four things here: :class:`~sekisho.transports.base.Submit`, its trays, its
:class:`History`, and a clock. Everything that is counted over more than one connection is counted in :class:`Shared`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Generic, Protocol, TypeVar

from sekisho.transports.base import Receipt, Submit, Tray, Waiting
from sekisho.transports.sftp_files import Shelf, Spool
from sekisho.transports.sftp_tree import TEMPORARY, Node, index_of

__all__ = ["Aging", "History", "Kept", "Letters", "SftpLimits", "Shared"]

T = TypeVar("T")

_SHARE: Final = 10
"""A list is used again for this many times the time it took to make."""


@dataclass(frozen=True, slots=True)
class SftpLimits:
    """Every bound of the door; what it is for stands beside it. Times in seconds."""

    max_object: int = 12 * 1024 * 1024
    """Bytes of one file, as of one mail."""
    memory_each: int = 1024 * 1024
    """Bytes of an upload that stay in memory; a longer one goes on in a temporary file without a name."""
    memory: int = 64 * 1024 * 1024
    """The same for all uploads together; when it is taken, uploads go to disk from their first byte."""
    disk: int = 1024 * 1024 * 1024
    """Bytes of all temporary files: eighty files of the greatest size at once."""
    reading: int = 64 * 1024 * 1024
    """Bytes of letters kept while they are read; what is pushed out is read from the store again."""
    handles: int = 64
    """Open files and directories of a session (reliability.md 8); also its uploads that wait for their rename."""
    channels: int = 8
    """SFTP and scp channels of one connection; clients that multiplex open a few."""
    sessions_per_user: int = 8
    """Connections of one box (reliability.md 8)."""
    connections_per_address: int = 50
    """Connections of one address, logged in or not (reliability.md 8)."""
    connections_total: int = 2_000
    """Connections in all (reliability.md 8)."""
    login: float = 60.0
    """From connecting to being logged in; slow ciphers and a person typing a password fit."""
    login_tries: int = 3
    """Wrong passwords, then the connection ends."""
    key_tries: int = 6
    """Keys that do not open the box, then the connection ends; agents offer all they have, OpenSSH allows six."""
    idle: float = 600.0
    """Without a whole request."""
    upload: float = 600.0
    """From opening a file to closing it; the longest transaction of SMTP."""
    session: float = 12 * 3600.0
    """One connection in all: interactive clients stay open for a working day."""
    keep_alive: float = 60.0
    """Silence after which the other side is asked whether it is there; three times without an answer ends it."""
    remembered: int = 1_000
    """Accepted files that a session goes on to show in /in; the oldest are forgotten first."""
    kept: int = 1_000
    """Entries of /sent and of /quarantine, the newest."""
    temporary: tuple[str, ...] = TEMPORARY
    """Endings of names whose file is finished by a rename."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Something a box has sent: its journal number, the name it was sent under, its size, and when (microseconds)."""

    number: int
    name: str
    size: int
    received_at: int


class History(Protocol):
    """What the house remembers of what a box has sent. Reading is quick and happens in the loop."""

    def sent(self, box: str, limit: int) -> Sequence[Kept]:
        """What the box has put in by SFTP and was accepted, the newest ``limit``."""
        ...

    def quarantined(self, box: str, limit: int) -> Sequence[Kept]:
        """Of that, what could not be read as a message, the newest ``limit``."""
        ...

    def raw(self, number: int) -> bytes:
        """The bytes as they came. Raises :class:`~sekisho.transports.base.TrayError` if they are purged."""
        ...


class Aging(Generic[T]):
    """A value that is used again for some times the time it took to make, so that making it never takes over the loop.

    A list of ten letters is made anew whenever it is asked for; one of 10,000 a few times a second.
    """

    def __init__(self, value: T) -> None:
        self.value = value
        self._good_until = 0.0

    def look(self, make: Callable[[], T]) -> T:
        """The value, made anew if its time is over."""
        began = time.perf_counter()
        if began >= self._good_until:
            self.value = make()
            ended = time.perf_counter()
            self._good_until = ended + _SHARE * (ended - began)
        return self.value


class Letters:
    """The letters of one box as a tree: the names of a day with what they stand for."""

    def __init__(self) -> None:
        self._tree: Aging[dict[str, dict[str, Node]]] = Aging({})
        self._names: dict[int, str] = {}

    @property
    def days(self) -> dict[str, dict[str, Node]]:
        """The tree as it was made last."""
        return self._tree.value

    def look(self, waiting: Callable[[], list[Waiting]]) -> None:
        """Bring it up to date."""

        def make() -> dict[str, dict[str, Node]]:
            tree, self._names = index_of(waiting(), self._names)
            return tree

        self._tree.look(make)

    def forget(self, day: str, name: str) -> None:
        """Take a letter out that has been collected."""
        letters = self.days.get(day, {})
        letters.pop(name, None)
        if not letters:
            self.days.pop(day, None)


@dataclass
class Shared:
    """What the visits of a listener share. ``transport`` is the listener's name; ``clock`` gives aware times in UTC."""

    transport: str
    limits: SftpLimits
    submit: Submit
    tray: Tray
    history: History
    clock: Callable[[], datetime]
    spool: Spool
    shelf: Shelf
    boxes: Counter[str] = field(default_factory=Counter)
    letters: dict[str, Letters] = field(default_factory=dict)
    pending: set[asyncio.Future[Receipt]] = field(default_factory=set)
    """Submissions under way; kept here because the loop itself holds tasks by weak references only."""

    def enter(self, box: str) -> bool:
        """Count a connection of this box in; False, and nothing counted, when it is one too many."""
        if self.boxes[box] >= self.limits.sessions_per_user:
            return False
        self.boxes[box] += 1
        self.letters.setdefault(box, Letters())
        return True

    def letters_of(self, box: str) -> Letters:
        """The letters of a box that is logged in."""
        return self.letters.setdefault(box, Letters())

    def leave(self, box: str) -> None:
        """Count it out."""
        self.boxes[box] -= 1
        if self.boxes[box] <= 0:
            del self.boxes[box]
            self.letters.pop(box, None)
