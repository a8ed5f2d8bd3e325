"""What one commit holds, and how it is filled.

*Strategy.* The clerk decides when a batch is written and says what became of it (:mod:`sekisho.gateway.clerk`); this is
what is done in between, inside the open transaction: journal each submission, process it where that does not hold the
others up, obey calls, work off what was deferred. Nothing here tells anybody anything: what is to be said is gathered
in the :class:`Batch` and said after the commit.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from sekisho.codecs.envelope import Envelope
from sekisho.gateway.admission import PasswordUnknown
from sekisho.gateway.clock import Clock
from sekisho.gateway.directory import Directory
from sekisho.gateway.intake import Intake, Taken
from sekisho.gateway.lanes import Lanes
from sekisho.gateway.pipeline import Pipeline, Processed
from sekisho.mailboxes.letters import Dispatch, Mark, RequestState
from sekisho.mailboxes.store import Store, StoreError, Unit
from sekisho.transports.base import Receipt, Verdict

__all__ = ["Batch", "BatchWriter", "Call", "ClerkLimits", "Job", "Submission", "Verified"]

log = structlog.get_logger("sekisho.clerk")
_BACKLOG: Final = Receipt(Verdict.FULL, "too many of your messages wait to be processed, try again later")


@dataclass(frozen=True, slots=True)
class ClerkLimits:
    """What bounds the clerk.

    ``batch_messages`` and ``batch_bytes`` bound one commit; ``hold_seconds`` is how long a batch may process before the
    rest is only journalled (50 ms: a sender waits 3 seconds for its 250, and others wait with it); ``waiting_bytes``
    bounds what waits before the clerk (then 451); ``lane_messages`` and ``lane_bytes`` one sender's unprocessed
    requests; ``free_bytes`` is the disk space below which nothing is taken (452); above ``busy_messages`` unprocessed
    requests of all senders a new one is kept and answered A0011 at once, because its real answer would come too late.
    """

    batch_messages: int = 256
    batch_bytes: int = 8 * 1024 * 1024
    hold_seconds: float = 0.05
    waiting_bytes: int = 64 * 1024 * 1024
    lane_messages: int = 10_000
    lane_bytes: int = 1_000_000_000
    free_bytes: int = 2_000_000_000
    busy_messages: int = 20_000


@dataclass(slots=True)
class Submission:
    """An envelope, and who waits to hear that it is kept."""

    envelope: Envelope
    answer: asyncio.Future[Receipt]


@dataclass(slots=True)
class Call:
    """Something to be run in a transaction, and where its result goes."""

    function: Callable[[Unit], Any]
    answer: Future[Any]


@dataclass(slots=True)
class Verified:
    """A password was verified: its lane can go on."""

    lane: str


Job = Submission | Call | Verified


@dataclass(slots=True)
class Batch:
    """What one commit holds, and what is said after it."""

    yes: list[tuple[asyncio.Future[Receipt], Receipt]] = field(default_factory=list)
    calls: list[tuple[Call, Any, BaseException | None]] = field(default_factory=list)
    letters: list[Dispatch] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    changed: bool = False
    size: int = 0


class BatchWriter:
    """Fills batches. ``verify`` is told of passwords that memory cannot judge; it brings their lane back."""

    def __init__(
        self,
        store: Store,
        pipeline: Pipeline,
        *,
        intake: Intake,
        directory: Directory,
        clock: Clock,
        limits: ClerkLimits,
        verify: Callable[[str, PasswordUnknown], None],
    ) -> None:
        self._store = store
        self._pipeline = pipeline
        self._intake = intake
        self._directory = directory
        self._clock = clock
        self._limits = limits
        self._verify = verify
        self.lanes = Lanes(limits.lane_messages, limits.lane_bytes, limits.waiting_bytes)

    def fill(self, batch: Batch, unit: Unit, marks: deque[Mark], *, deferred: bool = False) -> None:
        """Everything a batch writes."""
        if self._store.changed_elsewhere():  # asked inside: from here on nobody else can write
            self._directory.forget()
        batch.marks = [marks.popleft() for _ in range(len(marks))]
        if batch.marks:
            unit.mark(batch.marks)  # first: what was delivered must not count as waiting in this batch
        began = time.monotonic()
        if deferred:
            self._work_deferred(unit, batch, began)
        for job in batch.jobs:
            if type(job) is Submission:
                self._take(job, unit, batch, began)
            elif type(job) is Call:
                self._obey(job, unit, batch)
            elif type(job) is Verified:
                self.lanes.unblock(job.lane)

    def _take(self, job: Submission, unit: Unit, batch: Batch, began: float) -> None:
        """Journal one submission, and process it in the same commit where that does not hold the others up."""
        sender = self._intake.sender(job.envelope)
        lane = sender.lane
        if self.lanes.full(lane):
            batch.yes.append((job.answer, _BACKLOG))
            return
        taken = self._intake.take(job.envelope, unit, self._clock.us(), sender)
        batch.yes.append((job.answer, taken.receipt))
        if taken.again:
            batch.letters += self._again(unit, taken.again)
        if not taken.number:
            return
        handler = self._pipeline.handler(taken.business_code)
        if len(self.lanes) >= self._limits.busy_messages and not taken.slow:
            self.process(taken, job.envelope, unit, batch, busy=True)
            return
        held = time.monotonic() - began > self._limits.hold_seconds
        if lane in self.lanes or held or taken.slow or (handler is not None and handler.slow):
            self.lanes.defer(lane, taken.number, job.envelope, len(job.envelope.raw))
            return
        try:
            self.process(taken, job.envelope, unit, batch)
        except PasswordUnknown as unknown:
            self.lanes.defer(lane, taken.number, job.envelope, len(job.envelope.raw))
            self._verify(lane, unknown)

    def process(self, taken: Taken, envelope: Envelope, unit: Unit, batch: Batch, *, busy: bool = False) -> None:
        """Process one journalled request; the letters wait for the commit."""
        now_us = self._clock.us()
        repeated = None if busy else self._intake.repeats(taken, envelope, unit, now_us)
        if repeated is not None:
            batch.letters += self._again(unit, repeated)
            return
        try:
            with unit.savepoint():
                done = self._pipeline.process(taken.number, envelope, unit, busy=busy)
                again = self._again(unit, done.again) if done.again else []
        except (PasswordUnknown, StoreError):
            raise
        except Exception:
            # The pipeline answers what goes wrong in a business; this is a fault of the house. One message must not
            # undo its neighbours: operators find it in quarantine.
            log.exception("request.parked", request=taken.number)
            self._directory.forget()
            unit.finish(taken.number, state=RequestState.PARKED, result="", key="", at=now_us)
            unit.quarantine(taken.number, "A0007", now_us)
            return
        batch.letters += done.letters
        batch.letters += again
        batch.lines.append(_line(taken, done))

    def _again(self, unit: Unit, letters: tuple[int, ...]) -> list[Dispatch]:
        """Letters that are to leave once more, with the identity they have."""
        now_us = self._clock.us()
        unit.hasten(letters, now_us)
        out = []
        for number in letters:
            letter = unit.letter(number)
            box = unit.box(letter.box) if letter is not None else None
            if letter is None or box is None or letter.due_at is None or letter.deleted_at is not None:
                continue
            content = unit.content(number)
            out.append(
                Dispatch(number, letter.box, letter.uid, box.uid_validity, letter.created_at, now_us, 0, content)
            )
        return out

    # Lanes -------------------------------------------------------------------------------------------------------

    def _work_deferred(self, unit: Unit, batch: Batch, began: float) -> None:
        """Process deferred requests, the lanes in turn, until the time of a batch is over (at least one)."""
        for turn in range(self._limits.batch_messages):
            if not self.lanes.ready or (turn and time.monotonic() - began > self._limits.hold_seconds):
                return
            name, first = self.lanes.turn()
            try:
                envelope = first.envelope or self._intake.reopened(unit, first.number)
                self.process(self._intake.taken(envelope, first.number), envelope, unit, batch)
            except PasswordUnknown as unknown:
                self._verify(name, unknown)
                continue
            self.lanes.done(name)


    def _obey(self, call: Call, unit: Unit, batch: Batch) -> None:
        if not call.answer.set_running_or_notify_cancel():
            return  # nobody wants it any more, and a cancelled future takes no result
        try:
            with unit.savepoint():
                result = call.function(unit)
        except Exception as error:  # noqa: BLE001 - it belongs to the caller and goes to it
            batch.calls.append((call, None, error))
        else:
            batch.changed = True
            batch.calls.append((call, result, None))


def _line(taken: Taken, done: Processed) -> dict[str, Any]:
    """The canonical line of one message."""
    line: dict[str, Any] = {
        "request": taken.number,
        "user": taken.user_id,
        "business_code": taken.business_code,
        "result": done.result,
        "key": done.key,
        "letters": len(done.letters),
    }
    if done.stage:
        line["stage"] = done.stage
        line["results"] = " ".join(str(result) for result in done.errors)
    if done.findings:
        line["findings"] = done.findings
    return line
