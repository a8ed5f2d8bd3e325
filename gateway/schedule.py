"""Time: steps that come due, and in a test environment the clock that is moved.

*Strategy.* One task looks a few times a second. What is due runs in the order of its time, one transaction each, at the
moment it was due for: a clock that is moved over a weekend shows what the weekend would have brought, in order, and a
gateway that was down works off what it missed. The move itself is a record of the store, so that a command can make it
and a restart keeps it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from sekisho.gateway.clerk import Clerk
from sekisho.gateway.clock import Clock
from sekisho.gateway.outbox import Processed
from sekisho.gateway.pipeline import OPERATOR
from sekisho.gateway.steps import StepWay
from sekisho.mailboxes.letters import Dispatch, Timer
from sekisho.mailboxes.store import Store, Unit, View

__all__ = ["CLOCK", "ENTERED", "Schedule"]

log = structlog.get_logger("sekisho.schedule")
CLOCK: Final = "clock"
"""Kind of the records ``wanted`` (how far the clock is to be moved, by an operator) and ``moved`` (how far it is)."""
ENTERED: Final = "operator"
"""Kind of the record ``last``, which names the newest request that an operator has entered."""
_LOOK: Final = 0.25
"""Seconds between looks: a step comes at most so late, and a command that moves the clock waits for it."""


class Schedule:
    """Fires what is due. ``movable``: the clock may be moved (a test environment)."""

    def __init__(
        self,
        *,
        store: Store,
        clerk: Clerk,
        clock: Clock,
        steps: StepWay,
        on_letters: Callable[[list[Dispatch]], None],
        movable: bool,
    ) -> None:
        self._store, self._clerk, self._clock, self._steps = store, clerk, clock, steps
        self._on_letters = on_letters
        self._movable = movable
        self.begin()

    def begin(self) -> None:
        """Move the clock to where it was left. What operators had entered the clerk takes up at its start by itself."""
        with self._store.view() as view:
            wanted = view.record(CLOCK, "wanted") if self._movable else None
            self._adopted = self._last_entered(view)
        if wanted is not None:
            self._clock.move(int(wanted["us"]))

    def note(self, unit: Unit) -> None:
        """Tell other processes where this clock stands."""
        where = {"us": self._clock.moved_us, "shift": self._clock.shift_us}
        if where["shift"] or unit.record(CLOCK, "moved") is not None:
            unit.put_record(CLOCK, "moved", where, self._clock.us())

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.look()
            except Exception:
                log.exception("schedule.failed")
            await asyncio.sleep(_LOOK)

    async def look(self) -> None:
        """Take up a moved clock and the requests of operators, then run everything that is due, in order."""
        with self._store.view() as view:
            wanted = view.record(CLOCK, "wanted") if self._movable else None
            due = view.timers(2**62 if wanted is not None else self._clock.us(), 1)
            entered = self._last_entered(view)
            fresh = [view.request(number) for number in view.received()] if entered > self._adopted else []
        if self._clerk.adopt([one for one in fresh if one is not None and one.transport == OPERATOR]):
            self._adopted = entered
        if wanted is not None and int(wanted["us"]) != self._clock.moved_us:
            await self._move(int(wanted["us"]))
        elif due and due[0].due_at <= self._clock.us():
            await self._work_off()

    @staticmethod
    def _last_entered(view: View) -> int:
        """Number of the last request that an operator has entered."""
        noted = view.record(ENTERED, "last")
        return int(noted["request"]) if noted is not None else 0

    async def _move(self, wanted_us: int) -> None:
        """Move the clock; forwards over what becomes due on the way, so that it happens in order."""
        self._clock.move(wanted_us)
        await self._work_off()

        def note(unit: Unit) -> None:
            self.note(unit)

        await asyncio.wrap_future(self._clerk.call(note))
        log.warning("clock.moved", now=f"{self._clock.now():%Y-%m-%d %H:%M:%S}", seconds=wanted_us // 1_000_000)

    async def _work_off(self) -> None:
        """Everything due; a step may schedule others that are due as well."""
        while True:
            with self._store.view() as view:
                due = view.timers(self._clock.us(), 1)
            if not due:
                return
            await self._step(due[0])

    async def _step(self, timer: Timer) -> None:
        def work(unit: Unit) -> Processed:
            return self._steps.run(timer, unit)

        done = await asyncio.wrap_future(self._clerk.call(work))
        if done.letters:
            self._on_letters(done.letters)
