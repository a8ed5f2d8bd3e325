"""Lanes: what is journalled and not processed yet, one queue a sender.

*Strategy.* A lane exists only while something waits in it, so strangers cannot fill memory with names. Lanes take
turns, one request each, and a lane whose head waits for a password is passed over. Only so many bytes are kept in
memory; the rest is read from the journal again when its turn comes. Used only by the batch that is open.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from sekisho.codecs.envelope import Envelope

__all__ = ["Lanes", "Waiting"]


@dataclass(slots=True)
class Waiting:
    """One request: its journal number, its bytes' count, and its envelope if memory has room for it."""

    number: int
    size: int
    envelope: Envelope | None


@dataclass(slots=True)
class _Lane:
    """Requests of one sender in the order they came. ``blocked`` while the first waits for its password."""

    waiting: deque[Waiting] = field(default_factory=deque)
    bytes: int = 0
    blocked: bool = False


class Lanes:
    """All lanes. ``messages`` and ``bytes_most`` bound one lane, ``kept_most`` the bytes of all that stay in memory."""

    def __init__(self, messages: int, bytes_most: int, kept_most: int) -> None:
        self._messages, self._bytes_most, self._kept_most = messages, bytes_most, kept_most
        self._lanes: dict[str, _Lane] = {}
        self._ready: deque[str] = deque()
        self._kept = self._count = 0

    def clear(self) -> None:
        """Forget everything: the journal has it."""
        self._lanes.clear()
        self._ready.clear()
        self._kept = self._count = 0

    def __contains__(self, name: str) -> bool:
        return name in self._lanes

    def __len__(self) -> int:
        """Requests that wait, in all lanes; may be called from any thread."""
        return self._count

    @property
    def ready(self) -> bool:
        """Whether anything can be processed now."""
        return bool(self._ready)

    @property
    def blocked(self) -> bool:
        """Whether any lane waits for a password."""
        return any(lane.blocked for lane in self._lanes.values())

    def full(self, name: str) -> bool:
        """Whether a sender has too much waiting."""
        lane = self._lanes.get(name)
        return lane is not None and (len(lane.waiting) >= self._messages or lane.bytes >= self._bytes_most)

    def defer(self, name: str, number: int, envelope: Envelope | None, size: int) -> None:
        """Put a journalled request at the end of its lane; ``envelope`` None: it is only in the journal."""
        lane = self._lanes.setdefault(name, _Lane())
        if envelope is not None and self._kept + size > self._kept_most:
            envelope = None
        if envelope is not None:
            self._kept += size
        lane.waiting.append(Waiting(number, size, envelope))
        lane.bytes += size
        self._count += 1
        if len(lane.waiting) == 1 and not lane.blocked:
            self._ready.append(name)

    def turn(self) -> tuple[str, Waiting]:
        """The lane whose turn it is and its first request; end it with :meth:`done` or :meth:`block`."""
        name = self._ready.popleft()
        return name, self._lanes[name].waiting[0]

    def done(self, name: str) -> None:
        """The first request of this lane has been processed; the lane queues up again if more waits."""
        lane = self._lanes[name]
        gone = lane.waiting.popleft()
        lane.bytes -= gone.size
        self._count -= 1
        if gone.envelope is not None:
            self._kept -= gone.size
        if lane.waiting:
            self._ready.append(name)
        else:
            del self._lanes[name]

    def holds(self, name: str, number: int) -> bool:
        """Whether a request waits in its lane."""
        lane = self._lanes.get(name)
        return lane is not None and any(waiting.number == number for waiting in lane.waiting)

    def block(self, name: str) -> None:
        """The first request of this lane cannot go on; the lane is passed over until :meth:`unblock`."""
        self._lanes[name].blocked = True
        if name in self._ready:
            self._ready.remove(name)

    def unblock(self, name: str) -> None:
        """The lane can go on; nothing happens if there is none or it was not blocked."""
        lane = self._lanes.get(name)
        if lane is not None and lane.blocked:
            lane.blocked = False
            self._ready.append(name)
