"""The clerk: the one thread that owns the writing side of the store.

*Strategy.* Everything to be durable is put before the clerk; whatever has gathered while the last commit ran is the
next batch, without any timer. A batch is one transaction with a savepoint a message: journal, process, letters; then
one synced commit; then all the yeses. What would hold the batch up (a password to verify, slow work, a batch that is
already over its time) is journalled and answered now and processed in a later batch, in the order of its lane. A crash
leaves at worst requests in state received: they are processed at the next start.

Nothing is answered before the commit that holds it. If a commit fails, nobody in the batch gets a yes and the clerk
stops for good: what the disk did is not known any more (reliability, "Durability").
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from sekisho.codecs.envelope import Envelope
from sekisho.gateway.admission import PasswordUnknown
from sekisho.gateway.clock import Clock
from sekisho.gateway.directory import Directory
from sekisho.gateway.intake import Intake, Taken, reopened
from sekisho.gateway.lanes import Lanes
from sekisho.gateway.passwords import Passwords
from sekisho.gateway.pipeline import Pipeline, Processed
from sekisho.mailboxes.letters import Dispatch, Mark, RequestState
from sekisho.mailboxes.store import Store, StoreError, Unit
from sekisho.transports.base import Receipt, Verdict

__all__ = ["Batch", "Clerk", "ClerkLimits", "Job"]

log = structlog.get_logger("sekisho.clerk")
_BUSY: Final = Receipt(Verdict.BUSY, "busy, try again later")
_BACKLOG: Final = Receipt(Verdict.FULL, "too many of your messages wait to be processed, try again later")
_FULL: Final = Receipt(Verdict.FULL, "storage is short, try again later")
_TRIES: Final = 3
"""Batches undone in a row before the clerk gives up: a full disk may recover, a broken one does not."""
_FAILED: Final = Receipt(Verdict.BUSY, "not stored, try again later")


@dataclass(frozen=True, slots=True)
class ClerkLimits:
    """What bounds the clerk.

    ``batch_messages`` and ``batch_bytes`` bound one commit; ``hold_seconds`` is how long a batch may process before the
    rest is only journalled (50 ms: a sender waits 3 seconds for its 250, and others wait with it); ``waiting_bytes``
    bounds what waits before the clerk (then 451); ``lane_messages`` and ``lane_bytes`` one sender's unprocessed
    requests; ``free_bytes`` is the disk space below which nothing is taken (452).
    """

    batch_messages: int = 256
    batch_bytes: int = 8 * 1024 * 1024
    hold_seconds: float = 0.05
    waiting_bytes: int = 64 * 1024 * 1024
    lane_messages: int = 10_000
    lane_bytes: int = 1_000_000_000
    free_bytes: int = 2_000_000_000


@dataclass(slots=True)
class _Submission:
    envelope: Envelope
    answer: asyncio.Future[Receipt]


@dataclass(slots=True)
class _Call:
    function: Callable[[Unit], Any]
    answer: Future[Any]


@dataclass(slots=True)
class _Verified:
    lane: str


@dataclass(slots=True)
class _Nudge:
    """Commit what rides along, though nothing else came."""


Job = _Submission | _Call | _Verified | _Nudge | None


@dataclass(slots=True)
class Batch:
    """What one commit holds, and what is said after it."""

    yes: list[tuple[asyncio.Future[Receipt], Receipt]] = field(default_factory=list)
    calls: list[tuple[_Call, Any, BaseException | None]] = field(default_factory=list)
    letters: list[Dispatch] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    changed: bool = False
    size: int = 0


class Clerk:
    """The writing thread and what waits before it.

    Start it with :meth:`start` inside a running loop, hand it envelopes with :meth:`submit`, end it with :meth:`stop`.
    In the loop, after each commit, ``on_letters`` gets the letters that may leave now and ``on_marked`` the numbers of
    those whose marks are in; ``on_fatal`` what ended the clerk.
    """

    def __init__(
        self,
        store: Store,
        pipeline: Pipeline,
        *,
        intake: Intake,
        directory: Directory,
        passwords: Passwords,
        clock: Clock,
        limits: ClerkLimits | None = None,
        on_letters: Callable[[list[Dispatch]], None] = lambda _: None,
        on_marked: Callable[[list[int]], None] = lambda _: None,
        on_fatal: Callable[[BaseException], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._pipeline = pipeline
        self._intake = intake
        self._directory = directory
        self._passwords = passwords
        self._clock = clock
        self._limits = limits or ClerkLimits()
        self._on_letters = on_letters
        self._on_marked = on_marked
        self._on_fatal = on_fatal
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._marks: deque[Mark] = deque()
        most = self._limits
        self._lanes = Lanes(most.lane_messages, most.lane_bytes, most.waiting_bytes)
        self._verifiers = ThreadPoolExecutor(2, "sekisho-verify")
        self._thread = threading.Thread(target=self._run, name="sekisho-clerk", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting_bytes = 0
        self._disk_low = False
        self._dead = False
        self._undone = 0
        self.batches = 0
        self.accepted = 0

    # In the loop -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take up what a former run left, and begin."""
        self._loop = asyncio.get_running_loop()
        self._reload()
        self._thread.start()

    def _reload(self) -> None:
        """The lanes as the store has them: at the start, and after a batch that was undone."""
        self._lanes.clear()
        with self._store.view() as view:
            for number in view.received():
                request = view.request(number)
                if request is not None:
                    self._lanes.defer(request.lane, number, None, 0)

    async def stop(self) -> None:
        """Process what waits, commit it, and end the thread."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        self._verifiers.shutdown(wait=False, cancel_futures=True)

    def submit(self, envelope: Envelope) -> asyncio.Future[Receipt]:
        """Have an envelope taken in; the future is done after the commit that holds it, or with a refusal.

        Bounded: when too much waits, or the disk is short, the answer comes at once and nothing is kept.
        """
        loop = self._loop or asyncio.get_running_loop()
        answer: asyncio.Future[Receipt] = loop.create_future()
        size = len(envelope.raw)
        if self._dead or self._waiting_bytes + size > self._limits.waiting_bytes + size * (self._waiting_bytes == 0):
            answer.set_result(_BUSY)
        elif self._disk_low:
            answer.set_result(_FULL)
        else:
            self._waiting_bytes += size
            self._jobs.put(_Submission(envelope, answer))
        return answer

    def mark(self, mark: Mark) -> None:
        """Note an attempt to deliver; it rides in the next commit, whatever that is for."""
        self._marks.append(mark)

    def nudge(self) -> None:
        """Have the marks committed if nobody else brings a commit; called now and then."""
        if self._marks:
            self._jobs.put(_Nudge())

    def call(self, function: Callable[[Unit], Any]) -> Future[Any]:
        """Run something in a transaction; the future has its result after the commit, or its exception."""
        answer: Future[Any] = Future()
        if self._dead:
            answer.set_exception(StoreError("the clerk has stopped; nothing is kept any more"))
        else:
            self._jobs.put(_Call(function, answer))
        return answer

    def watch_disk(self) -> None:
        """Look at the free space; called now and then."""
        low = self._store.free_bytes() < self._limits.free_bytes
        if low != self._disk_low:
            log.warning("disk.ran_low" if low else "disk.recovered", free=self._store.free_bytes())
        self._disk_low = low

    @property
    def backlog(self) -> int:
        """Requests that are journalled and not processed."""
        return len(self._lanes)

    # On the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        stopping = False
        try:
            while True:
                jobs, ended = self._gather(wait=not self._lanes.ready and not stopping)
                stopping = stopping or ended
                if jobs:
                    self._commit(jobs)
                if self._lanes.ready:
                    self._commit([])  # what was deferred, in a commit of its own: nobody's yes waits for it
                elif stopping and not jobs:
                    if not self._lanes.blocked:
                        self._flush()
                        return
                    time.sleep(0.005)  # a password is being verified; its lane comes back
        except BaseException as error:
            self._dead = True
            log.critical("clerk.stopped", error=repr(error), exc_info=True)
            self._refuse_rest()
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._on_fatal, error)

    def _flush(self) -> None:
        if self._marks:
            self._commit([])

    def _gather(self, *, wait: bool) -> tuple[list[Job], bool]:
        """Whatever waits now, up to the batch's bounds; whether the end was asked for."""
        jobs: list[Job] = []
        size = 0
        try:
            job = self._jobs.get(block=wait)
            while True:
                if job is None:
                    return jobs, True
                jobs.append(job)
                if type(job) is _Submission:
                    size += len(job.envelope.raw)
                if len(jobs) >= self._limits.batch_messages or size >= self._limits.batch_bytes:
                    break
                job = self._jobs.get_nowait()
        except queue.Empty:
            pass
        return jobs, False

    def _commit(self, jobs: list[Job]) -> None:
        """One batch: one transaction, one commit, then the answers. Without jobs it is the turn of what was deferred.

        If the batch cannot be done it is undone whole and its senders are told to come again; if the commit itself
        fails, what the disk holds is unknown: that ends the clerk.
        """
        batch = Batch(size=sum(len(job.envelope.raw) for job in jobs if type(job) is _Submission))
        marks = batch.marks = [self._marks.popleft() for _ in range(len(self._marks))]
        ready = False
        try:
            with self._store.transaction() as unit:
                if self._store.changed_elsewhere():  # asked inside: from here on nobody else can write
                    self._directory.forget()
                if marks:
                    unit.mark(marks)  # first: what was delivered must not count as waiting in this batch
                began = time.monotonic()
                if not jobs:
                    self._work_deferred(unit, batch, began)
                for job in jobs:
                    if type(job) is _Submission:
                        self._take(job, unit, batch, began)
                    elif type(job) is _Call:
                        self._obey(job, unit, batch)
                    elif type(job) is _Verified:
                        self._lanes.unblock(job.lane)
                ready = True
        except Exception as error:
            self._answer_all(jobs, _FAILED)
            with contextlib.suppress(OSError):
                self.watch_disk()  # on a full disk 452 from here on, and no end: it may have room again
            self._undone += not self._disk_low
            if self._undone > _TRIES or (ready and not self._store_goes_on()):
                raise
            log.exception("batch.undone", jobs=len(jobs), error=repr(error))
            self._marks.extendleft(reversed(marks))
            self._directory.forget()
            self._reload()
            return
        self._undone = 0
        self.batches += 1
        self._say(batch)

    def _store_goes_on(self) -> bool:
        """Whether a failed commit was one that left nothing behind (a full disk): the store then begins another."""
        try:
            with self._store.transaction():
                return True
        except StoreError:
            return False

    def _say(self, batch: Batch) -> None:
        """After the commit: the yeses, the letters, the lines of the log."""
        self.accepted += sum(receipt.verdict is Verdict.ACCEPTED for _, receipt in batch.yes)
        if batch.changed:
            self._directory.forget()
        for call, result, error in batch.calls:
            if error is None:
                call.answer.set_result(result)
            else:
                call.answer.set_exception(error)
        if self._loop is not None and (batch.yes or batch.letters or batch.marks):
            self._loop.call_soon_threadsafe(self._announce, batch)
        for line in batch.lines:
            log.info("message.processed", **line)

    def _announce(self, batch: Batch) -> None:
        self._waiting_bytes -= batch.size  # here, where it is added to: += on two threads loses counts
        for answer, receipt in batch.yes:
            if not answer.done():
                answer.set_result(receipt)
        if batch.marks:
            self._on_marked([mark.number for mark in batch.marks])
        if batch.letters:
            self._on_letters(batch.letters)

    def _take(self, job: _Submission, unit: Unit, batch: Batch, began: float) -> None:
        """Journal one submission, and process it in the same commit where that does not hold the others up."""
        lane = self._intake.lane(job.envelope)
        if self._lanes.full(lane):
            batch.yes.append((job.answer, _BACKLOG))
            return
        taken = self._intake.take(job.envelope, unit, self._clock.us())
        batch.yes.append((job.answer, taken.receipt))
        if taken.again:
            batch.letters += self._again(unit, taken.again)
        if not taken.number:
            return
        handler = self._pipeline.handler(taken.business_code)
        held = time.monotonic() - began > self._limits.hold_seconds
        if lane in self._lanes or held or taken.slow or (handler is not None and handler.slow):
            self._lanes.defer(lane, taken.number, job.envelope, len(job.envelope.raw))
            return
        try:
            self._process(taken, job.envelope, unit, batch)
        except PasswordUnknown as unknown:
            self._lanes.defer(lane, taken.number, job.envelope, len(job.envelope.raw))
            self._verify(lane, unknown)

    def _process(self, taken: Taken, envelope: Envelope, unit: Unit, batch: Batch) -> None:
        """Process one journalled request; the letters wait for the commit."""
        now_us = self._clock.us()
        repeated = self._intake.repeats(taken, envelope, unit, now_us)
        if repeated is not None:
            batch.letters += self._again(unit, repeated)
            return
        try:
            with unit.savepoint():
                done = self._pipeline.process(taken.number, envelope, unit)
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
            if not self._lanes.ready or (turn and time.monotonic() - began > self._limits.hold_seconds):
                return
            name, first = self._lanes.turn()
            try:
                envelope = first.envelope or reopened(unit, first.number)
                self._process(self._intake.taken(envelope, first.number), envelope, unit, batch)
            except PasswordUnknown as unknown:
                self._verify(name, unknown)
                continue
            self._lanes.done(name)

    def _verify(self, name: str, unknown: PasswordUnknown) -> None:
        """Verify a password beside the batch; its lane waits, the others go on."""
        self._lanes.block(name)

        def verify() -> None:
            try:
                self._passwords.learn(unknown.user_id, unknown.stored, unknown.password)
            finally:
                self._jobs.put(_Verified(name))

        self._verifiers.submit(verify)

    # Orders ------------------------------------------------------------------------------------------------------

    def _obey(self, call: _Call, unit: Unit, batch: Batch) -> None:
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

    def _answer_all(self, jobs: list[Job], receipt: Receipt) -> None:
        answers = [(job.answer, receipt) for job in jobs if type(job) is _Submission]
        for job in jobs:
            if type(job) is _Call and (job.answer.running() or job.answer.set_running_or_notify_cancel()):
                job.answer.set_exception(StoreError("the commit failed; nothing was kept"))
        if self._loop is not None:
            size = sum(len(job.envelope.raw) for job in jobs if type(job) is _Submission)
            self._loop.call_soon_threadsafe(self._announce, Batch(yes=answers, size=size))

    def _refuse_rest(self) -> None:
        rest, _ = self._gather(wait=False)
        while rest:
            self._answer_all(rest, _FAILED)
            rest, _ = self._gather(wait=False)


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
