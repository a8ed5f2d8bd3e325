"""Delivery: letters leave by the push door, in the order of their box, until somebody has said yes.

*Strategy.* One courier a box. After each commit the clerk hands the new letters over and the courier sends them from
memory; the store stays the truth, so whatever memory does not hold (a restart, a full queue, a box in back-off) is
found again by its due time; until then the box is *behind*, and its fresh letters wait in the store too, so that none
overtakes an older one. A box that could not be reached rests; something fresh for it is reason enough to try again
soon, because who sends a request has come back to hear the answer. Every attempt ends as delivered, deferred, refused
or unknown (reliability 4) and becomes a mark that rides in the next commit. A letter has one Message-ID for ever: box,
the box's uid_validity and uid make it.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from sekisho.codecs.mime import is_interchange
from sekisho.gateway.clock import Clock
from sekisho.gateway.letterhead import Letterhead
from sekisho.mailboxes.letters import PUSH, Box, Dispatch, LetterQuery, Mark
from sekisho.mailboxes.store import Store, View
from sekisho.transports.base import Outcome, Parcel, Report
from sekisho.transports.smtp_out import SendLimits, SmtpSender

__all__ = ["Couriers", "Plan", "RetryPlan", "Sender", "Way"]

log = structlog.get_logger("sekisho.delivery")
_AT_ONCE: Final = 64
"""Letters given to a sender at a time: enough to keep a pipelined connection full, few enough to reorder late."""
_LOOKED_AT: Final = 1000
"""Letters taken up from the store at a time: reading them holds the loop up."""
_EVER: Final = 2**62
"""A due time after every other."""
_MINUTE: Final = 60_000_000
_RESENT_ELSEWHERE: Final = 20_000_000
"""Microseconds between looks for letters of a resting box that another process made due."""


class Sender(Protocol):
    """What carries letters to one box."""

    async def send(self, parcels: Sequence[Parcel], report: Callable[[Report], None]) -> None:
        """Try each once, in order; one report each, but for those behind one that could not be delivered for now."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...


class Plan(Protocol):
    """When to try again."""

    def next_due(self, outcome: Outcome, attempts: int, created_at: int, now_us: int) -> int | None:
        """The next attempt after the ``attempts``-th one ended so (counted from 1); None: none."""
        ...


@dataclass(frozen=True, slots=True)
class Way:
    """How the letters of a box leave: through which ``door``, who carries them, and when he tries again."""

    door: str
    sender: Sender
    plan: Plan


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """When to try again.

    ``minutes`` between attempts, the last one repeating until ``give_up_hours``; ``spread`` is the share by which each
    wait varies at random, so that a peer that comes back is not met by everybody at once. A resting box for which
    something fresh has come is tried again ``recall_seconds`` after the last attempt.
    """

    minutes: tuple[float, ...] = (1, 2, 5, 10, 30, 60)
    give_up_hours: float = 24
    unknown_after_minutes: float = 3
    spread: float = 0.1
    recall_seconds: float = 2

    def next_due(self, outcome: Outcome, attempts: int, created_at: int, now_us: int) -> int | None:
        """The next attempt after the ``attempts``-th one ended so (counted from 1); None: none."""
        if outcome in (Outcome.DELIVERED, Outcome.REFUSED):
            return None
        wait = self.minutes[min(attempts, len(self.minutes)) - 1]
        if outcome is Outcome.UNKNOWN:
            wait = max(wait, self.unknown_after_minutes)
        due = now_us + int(wait * _MINUTE * (1 + random.uniform(0, self.spread)))  # noqa: S311 - spread, no secret
        return due if due <= created_at + self.give_up_hours * 60 * _MINUTE else None


def turn(dispatch: Dispatch) -> tuple[int, int]:
    """The order of a box: by number, but what was hastened later (SYG, resend) comes where it was asked for.

    A letter that waits for another attempt keeps its place: its due time says when, not after whom.
    """
    hastened = dispatch.attempts == 0 and dispatch.due_at > dispatch.created_at
    return (dispatch.due_at if hastened else dispatch.created_at), dispatch.number


class _Courier:
    """Sends one box's letters. Before ``resting_until_us`` the box is not tried.

    While it is ``behind`` the store holds letters that come before any fresh one.
    """

    def __init__(self, house: Couriers, box: Box, *, behind: bool) -> None:
        self.house = house
        self.box = box
        self.behind = behind
        self.queue: deque[Dispatch] = deque()
        self.queued: set[int] = set()
        self.sending: dict[int, Dispatch] = {}
        self.resting_until_us = 0
        self.tried_at_us = 0
        self.called = False
        """Something fresh has come since the last attempt."""
        self.looked_at_us = 0
        self.doubtful: dict[int, int] = {}
        """Letters the peer may have, and when they are to be repeated."""
        self.way: Way | None = None
        self.wake = asyncio.Event()
        self.task = asyncio.get_running_loop().create_task(self.run(), name=f"courier-{box.id}")

    def offer(self, dispatch: Dispatch) -> None:
        """Take a letter up, unless it is here already, was just tried, or the box rests (then the store keeps it)."""
        number = dispatch.number
        if number in self.queued or number in self.sending or number in self.house.unmarked:
            return
        if self.resting_until_us > self.house.now_us():
            return
        self.queued.add(number)
        self.queue.append(dispatch)
        self.wake.set()

    async def run(self) -> None:
        while True:
            await self.wake.wait()
            self.wake.clear()
            while self.queue:
                if len(self.queue) <= _AT_ONCE:
                    batch = list(self.queue)
                    self.queue.clear()
                else:
                    batch = [self.queue.popleft() for _ in range(_AT_ONCE)]
                self.sending = {dispatch.number: dispatch for dispatch in batch}
                self.queued -= self.sending.keys()
                try:
                    parcels = [self.house.parcel(self.box, dispatch) for dispatch in batch]
                    if self.way is None:
                        self.way = self.house.way_of(self.box)
                    if self.way is None:  # its doors have changed: the store has the letters for whoever fetches them
                        self.queue.clear()
                        self.queued.clear()
                        break
                    await self.way.sender.send(parcels, self.report)
                except asyncio.CancelledError:
                    raise
                except Exception:
                    log.exception("courier.failed", box=self.box.id)
                    for number in list(self.sending):
                        self.report(Report(number, Outcome.DEFERRED, "internal error"))
                self.sending = {}
            try:
                self.house.ran_dry()
            except Exception:
                log.exception("courier.failed", box=self.box.id)  # the next round looks again

    def report(self, report: Report) -> None:
        """One attempt ended: mark it, and let the box rest if it could not be reached."""
        dispatch = self.sending.pop(report.number)
        now_us = self.house.now_us()
        plan = self.way.plan if self.way is not None else self.house.plan
        due = plan.next_due(report.outcome, dispatch.attempts + 1, dispatch.created_at, now_us)
        self.tried_at_us = now_us
        self.called = False
        self.doubtful.pop(report.number, None)
        self.house.unmarked.add(report.number)
        door = self.way.door if self.way is not None else PUSH
        self.house.on_mark(Mark(report.number, report.outcome.value, now_us, due, report.text, door))
        if report.outcome is Outcome.DELIVERED:
            self.house.delivered += 1
            return
        log.warning("letter.not_delivered", box=self.box.id, letter=report.number, outcome=report.outcome.value,
                    text=report.text, attempts=dispatch.attempts + 1)  # fmt: skip
        if report.outcome is Outcome.UNKNOWN and due is not None:
            self.doubtful[report.number] = due  # the peer may have it: its neighbours need not wait for the repeat
        if report.outcome is Outcome.DEFERRED:
            # The rest waits in the store, behind this one: order within a box is kept by resting the whole box.
            self.queue.clear()
            self.queued.clear()
            self.behind = True
            self.resting_until_us = max(self.resting_until_us, due or 0)


class Couriers:
    """All couriers, made when their box first has a letter.

    ``on_mark`` gets the marks; ``letterhead`` writes the mails, its sender is our MAIL FROM; ``port`` is used where a
    box names no host; ``queue_most`` bounds the letters of a box in memory.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        on_mark: Callable[[Mark], None],
        letterhead: Letterhead,
        hostname: str,
        limits: SendLimits,
        plan: RetryPlan | None = None,
        port: int = 25,
        queue_most: int = 10_000,
        other_way: Callable[[Box], Way | None] = lambda _: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self.on_mark = on_mark
        self.plan = plan or RetryPlan()
        self._letterhead = letterhead
        self._hostname = hostname
        self._limits = limits
        self._port = port
        self._queue_most = queue_most
        self._other_way = other_way
        self._couriers: dict[str, _Courier] = {}
        self._fetched: set[str] = set()
        """Boxes that have a door for pushing and nobody at its other end: their letters wait to be fetched."""
        self._behind = self._starting = True
        self._stopped = False
        self.unmarked: set[int] = set()
        """Letters whose attempt has ended and whose mark is not in the store yet: the store still calls them due."""
        self.delivered = 0

    def now_us(self) -> int:
        """The clock's now."""
        return self._clock.us()

    def parcel(self, box: Box, dispatch: Dispatch) -> Parcel:
        """A letter with its mail around it: the same bytes at every attempt."""
        data = self._letterhead.mail(
            address=box.address,
            box=box.id,
            uid_validity=dispatch.uid_validity,
            uid=dispatch.uid,
            created_at=dispatch.created_at,
            content=dispatch.content,
            is_interchange=is_interchange(dispatch.content),
        )
        return Parcel(dispatch.number, self._letterhead.sender, box.address, data)

    def way_of(self, box: Box) -> Way | None:
        """By the first of its doors that pushes; None if letters cannot leave by themselves."""
        for door in box.doors:
            way = Way(PUSH, self.sender_for(box), self.plan) if door == PUSH else self._other_way(box)
            if way is not None:
                return way
        return None

    def sender_for(self, box: Box) -> SmtpSender:
        """A sender to the box's configured host, or to the DNS address of its domain."""
        host, port = box.address.rpartition("@")[2], self._port
        if box.push:
            host, _, text = box.push.rpartition(":")
            host, port = host.strip("[]"), int(text)
        return SmtpSender(host, port, limits=self._limits, source=self._hostname)

    def offer(self, dispatches: Iterable[Dispatch]) -> None:
        """New letters, just committed. Called in the loop."""
        if self._stopped:
            return  # the next start finds them in the store
        for dispatch in dispatches:
            courier = self._couriers.get(dispatch.box) or self._hire(dispatch.box)
            if courier is None:
                continue
            if courier.behind:
                courier.called = True
                continue
            if len(courier.queue) >= self._queue_most:
                courier.behind = True  # the store has it; look() finds it when there is room
                continue
            courier.offer(dispatch)

    def _hire(self, name: str) -> _Courier | None:
        with self._store.view() as view:
            box = view.box(name)
        if box is None:
            return None
        way = self.way_of(box)
        if way is None:
            self._fetched.add(name)
            return None
        courier = self._couriers[name] = _Courier(self, box, behind=self._behind)
        courier.way = way
        return courier

    def refresh(self) -> None:
        """The registry changed: couriers whose box has another address or host start anew."""
        self._fetched.clear()
        with self._store.view() as view:
            for name, courier in list(self._couriers.items()):
                box = view.box(name)
                if box is not None and box != courier.box:
                    courier.box = box
                    courier.way = None
                    courier.resting_until_us = 0

    def look(self) -> None:
        """Take up what is due in the store and not in memory.

        Called now and then, and at the start before anything fresh is committed. After a start everything is tried at
        once: which boxes were resting is not known any more, and their fresh letters must not go first.
        """
        if self._stopped:
            return
        held = self.unmarked.union(*(courier.queued | courier.sending.keys() for courier in self._couriers.values()))
        room = min(_LOOKED_AT, self._queue_most - len(held))
        if room <= 0:
            return
        now_us = self._clock.us()
        # A resting box's letters would be refused, and enough of them would leave no room for anybody else's.
        with self._store.view() as view:
            for courier in self._couriers.values():
                if courier.resting_until_us > now_us and self._recalled(view, courier, now_us):
                    self._take_up(view, courier, now_us, held, room)
            resting = [name for name, courier in self._couriers.items() if courier.resting_until_us > now_us]
            fetched = [*self._fetched]
            due = view.due(_EVER if self._starting else now_us, room, frozenset(held), resting + fetched)
        self._behind = len(due) == room  # there may be more, of any box
        self._starting = self._starting and self._behind
        for courier in self._couriers.values():
            courier.behind = self._behind or (courier.behind and courier.resting_until_us > now_us)
        for dispatch in sorted(due, key=turn):
            looked_at = self._couriers.get(dispatch.box) or self._hire(dispatch.box)
            if looked_at is not None:
                looked_at.offer(dispatch)

    def _recalled(self, view: View, courier: _Courier, now_us: int) -> bool:
        """Whether something fresh, or something asked for again, waits for a box that rests."""
        if now_us - courier.tried_at_us < self.plan.recall_seconds * 1_000_000:
            return False
        if courier.called:
            return True
        # What another process asked for (resend) is only found by reading the box, which takes long for a full one.
        if now_us - courier.looked_at_us < _RESENT_ELSEWHERE:
            return False
        courier.looked_at_us = now_us
        waiting = view.letters(LetterQuery(box=courier.box.id, states=("waiting", "unknown", "failed"), limit=100))
        return any(
            letter.attempts == 0 and letter.due_at is not None and letter.due_at > courier.tried_at_us
            for letter in waiting
        )

    def _take_up(self, view: View, courier: _Courier, now_us: int, held: AbstractSet[int], room: int) -> None:
        """Try everything that waits for one box, in its order, whatever its due time; what is in doubt keeps it."""
        courier.resting_until_us = 0
        others = [box.id for box in view.boxes() if box.id != courier.box.id]
        doubtful = {number for number, due in courier.doubtful.items() if due > now_us}
        waiting = view.due(_EVER, room, frozenset(held | doubtful), others)
        courier.behind = len(waiting) == room
        for dispatch in sorted(waiting, key=turn):
            courier.offer(dispatch)

    def ran_dry(self) -> None:
        """A courier has nothing left: if the last look could not see everything, do not wait for the next one."""
        if self._behind and not any(courier.queue for courier in self._couriers.values()):
            self.look()

    def collected(self, box: str, numbers: Iterable[int]) -> None:
        """These letters left their box through another door: what is not on its way yet stays here."""
        courier = self._couriers.get(box)
        if courier is not None and courier.queue:
            gone = set(numbers)
            courier.queue = deque(dispatch for dispatch in courier.queue if dispatch.number not in gone)
            courier.queued -= gone

    def marked(self, numbers: Iterable[int]) -> None:
        """The marks of these letters are in the store now."""
        self.unmarked.difference_update(numbers)

    async def stop(self, grace: float = 5.0) -> None:
        """Let what is being sent finish, at most ``grace`` seconds, then close the connections for good."""
        deadline = asyncio.get_running_loop().time() + grace
        while any(c.queue or c.sending for c in self._couriers.values()):
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.01)
        self._stopped = True
        tasks = [courier.task for courier in self._couriers.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        senders = [c.way.sender for c in self._couriers.values() if c.way is not None]
        await asyncio.gather(*(sender.close() for sender in senders), return_exceptions=True)
