"""The clerk: who owns the writing side of the store.

*Strategy.* Everything to be durable is put before the clerk; whatever has gathered while the last commit ran is the
next batch, without any timer. A batch is one transaction with a savepoint a message: journal, process, letters; then
one synced commit; then all the yeses. What would hold the batch up (a password to verify, slow work, a batch that is
already over its time) is journalled and answered now and processed in a later batch, in the order of its lane. A crash
leaves at worst requests in state received: they are processed at the next start.

A batch is written in the loop, and only its commit waits for the disk in the pen, a thread of its own: two threads that
both run Python hand the interpreter to and fro at every row, which costs more than the rows. Deferred work runs in the
pen whole, because it may be slow. One batch is open at a time, so nothing here needs a lock.

Nothing is answered before the commit that holds it. If a commit fails, nobody in the batch gets a yes and the clerk
stops for good: what the disk did is not known any more (reliability, "Durability").
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import structlog

from sekisho.codecs.envelope import Envelope
from sekisho.gateway.admission import PasswordUnknown
from sekisho.gateway.batch import Batch, BatchWriter, Call, ClerkLimits, Job, Submission, Verified
from sekisho.gateway.clock import Clock
from sekisho.gateway.directory import Directory
from sekisho.gateway.events import info_lines
from sekisho.gateway.intake import Intake
from sekisho.gateway.passwords import Passwords
from sekisho.gateway.pen import Pen
from sekisho.gateway.pipeline import Pipeline
from sekisho.mailboxes.letters import Dispatch, Mark, Request
from sekisho.mailboxes.store import Store, StoreError, Transaction, Unit
from sekisho.transports.base import Receipt, Verdict

__all__ = ["Clerk", "ClerkLimits"]

log = structlog.get_logger("sekisho.clerk")
_BUSY: Final = Receipt(Verdict.BUSY, "busy, try again later")
_FULL: Final = Receipt(Verdict.FULL, "storage is short, try again later")
_TRIES: Final = 3
"""Batches undone in a row before the clerk gives up: a full disk may recover, a broken one does not."""
_PAUSE: Final = 0.05
"""After a batch that was undone (seconds): the senders come again anyway, and a full disk does not fill the log."""
_FAILED: Final = Receipt(Verdict.BUSY, "not stored, try again later")


class _Undone(Exception):
    """A batch could not be written; nothing of it is kept."""

    def __init__(self, batch: Batch) -> None:
        super().__init__()
        self.batch = batch


class _Unsynced(_Undone):
    """Its commit failed."""


class Clerk:
    """What waits to be written, and the writing of it.

    Start it with :meth:`start` inside a running loop, hand it envelopes with :meth:`submit`, end it with :meth:`stop`.
    In the loop, after each commit, ``on_letters`` gets the letters that may leave now and ``on_marked`` the numbers of
    those whose marks are in; ``on_fatal`` what ended the clerk.
    """

    writer_class: type[BatchWriter] = BatchWriter

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
        self._directory = directory
        self._passwords = passwords
        self._limits = limits or ClerkLimits()
        self._writer = self.writer_class(
            store,
            pipeline,
            intake=intake,
            directory=directory,
            clock=clock,
            limits=self._limits,
            verify=self._verify,
        )
        self._on_letters = on_letters
        self._on_marked = on_marked
        self._on_fatal = on_fatal
        self._jobs: deque[Job] = deque()
        self._marks: deque[Mark] = deque()
        self._verifiers = ThreadPoolExecutor(2, "sekisho-verify")
        self._pen = Pen("sekisho-pen")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()
        self._writing = False
        """A batch is open, in the loop or in the pen."""
        self._called = False
        self._seen = 0
        """Jobs that waited when the loop was last asked for more."""
        self._deferred_next = False
        self._stopping = False
        self._waiting_bytes = 0
        self._disk_low = False
        self._dead = False
        self._undone = 0
        self.batches = 0
        self.accepted = 0

    # What others call --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take up what a former run left, and begin."""
        self._loop = asyncio.get_running_loop()
        self._reload()
        self._pen.start(self._loop)
        self._wake()

    def _reload(self) -> None:
        """The lanes as the store has them: at the start, and after a batch that was undone."""
        self._writer.lanes.clear()
        with self._store.view() as view:
            for number in view.received():
                request = view.request(number)
                if request is not None:
                    self._writer.lanes.defer(request.lane, number, None, 0)

    async def stop(self) -> None:
        """Process what waits, commit it, and end."""
        self._stopping = True
        self._wake()
        await self._ended.wait()
        await self._pen.stop()
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
            self._jobs.append(Submission(envelope, answer))
            self._wake()
        return answer

    def mark(self, mark: Mark) -> None:
        """Note an attempt to deliver; it rides in the next commit, whatever that is for."""
        self._marks.append(mark)

    def nudge(self) -> None:
        """Have the marks committed if nobody else brings a commit; called now and then."""
        if self._marks and not self._writing and self._loop is not None and not self._dead:
            self._begin(Batch())

    def call(self, function: Callable[[Unit], Any]) -> Future[Any]:
        """Run something in a transaction; the future has its result after the commit, or its exception.

        May be called from any thread.
        """
        answer: Future[Any] = Future()
        if self._dead:
            answer.set_exception(StoreError("the clerk has stopped; nothing is kept any more"))
        else:
            self._jobs.append(Call(function, answer))
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._wake)
        return answer

    def adopt(self, entered: list[Request]) -> bool:
        """Take up requests that another process has journalled; called in the loop. False: not now, ask again."""
        lanes = self._writer.lanes
        if self._writing:
            return False  # a lane may be on its way through the pen
        for request in entered:
            if not lanes.holds(request.lane, request.number):
                lanes.defer(request.lane, request.number, None, 0)
        self._wake()
        return True

    def watch_disk(self) -> None:
        """Look at the free space; called now and then."""
        low = self._store.free_bytes() < self._limits.free_bytes
        if low != self._disk_low:
            log.warning("disk.ran_low" if low else "disk.recovered", free=self._store.free_bytes())
        self._disk_low = low

    @property
    def backlog(self) -> int:
        """Requests that are journalled and not processed."""
        return len(self._writer.lanes)

    # One batch after the other -----------------------------------------------------------------------------------

    def _wake(self) -> None:
        """Have the next batch begun once the loop has taken in what is there to be taken."""
        if not self._called and not self._writing and self._loop is not None:
            self._called = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Begin the next batch if none is open: what came, and in turn with it what was deferred."""
        self._called = False
        if self._writing or self._dead:
            return
        if self._seen < len(self._jobs) < self._limits.batch_messages:
            # The last round of the loop has brought something, so the sockets may hold more; no time passes with it.
            self._seen = len(self._jobs)
            self._wake()
            return
        self._seen = 0
        lanes = self._writer.lanes
        if lanes.ready and (self._deferred_next or not self._jobs):
            # In a commit of its own: nobody's yes waits for it but who comes meanwhile.
            self._deferred_next = False
            self._writing = True
            self._pen.put(self._work_off, self._committed)
        elif self._jobs:
            self._deferred_next = True
            self._begin(self._gather())
        elif self._stopping and not lanes.blocked:  # else a password is being verified; its lane comes back
            if self._marks:
                self._begin(Batch())
            else:
                self._ended.set()

    def _gather(self) -> Batch:
        """Whatever waits now, up to the batch's bounds."""
        batch = Batch()
        jobs = batch.jobs
        while self._jobs and len(jobs) < self._limits.batch_messages and batch.size < self._limits.batch_bytes:
            job = self._jobs.popleft()
            jobs.append(job)
            if type(job) is Submission:
                batch.size += len(job.envelope.raw)
        return batch

    def _begin(self, batch: Batch) -> None:
        self._writing = True
        try:
            transaction = self._store.begin(wait=False)
        except StoreError as error:
            self._fail(batch, error, sealed=False)
            return
        if transaction is not None:
            self._write(batch, transaction)
        else:  # another process is writing: wait for it where nobody else waits
            self._pen.put(self._store.begin, lambda begun, error: self._begun(batch, begun, error))

    def _begun(self, batch: Batch, transaction: Transaction | None, error: BaseException | None) -> None:
        if transaction is None:
            self._fail(batch, error or StoreError("no transaction"), sealed=False)
        else:
            self._write(batch, transaction)

    def _write(self, batch: Batch, transaction: Transaction) -> None:
        """Write a batch here and have it committed in the pen."""
        try:
            self._writer.fill(batch, transaction.unit, self._marks)
            transaction.seal()
        except Exception as error:  # noqa: BLE001 - undone whole, and judged in one place
            transaction.undo()
            self._fail(batch, error, sealed=False)
        except BaseException:
            transaction.undo()
            raise
        else:
            self._pen.put(lambda: self._sync(batch, transaction), self._committed)

    def _sync(self, batch: Batch, transaction: Transaction) -> Batch:
        """The commit, in the pen. Raises :class:`_Unsynced`."""
        try:
            transaction.commit()
        except Exception as error:
            raise _Unsynced(batch) from error
        return batch

    def _work_off(self) -> Batch:
        """A batch of what was deferred, in the pen whole. Raises :class:`_Undone` or :class:`_Unsynced`."""
        batch = Batch()
        try:
            transaction = self._store.begin()
            try:
                self._writer.fill(batch, transaction.unit, self._marks, deferred=True)
                transaction.seal()
            except BaseException:
                transaction.undo()
                raise
        except Exception as error:
            raise _Undone(batch) from error
        return self._sync(batch, transaction)

    def _committed(self, batch: Batch | None, error: BaseException | None) -> None:
        """The pen has committed a batch, or could not."""
        if isinstance(error, _Undone):
            self._fail(error.batch, error.__cause__ or error, sealed=isinstance(error, _Unsynced))
        elif batch is None:
            self._end(error or StoreError("no batch"))
        else:
            self._writing = False
            self._undone = 0
            self.batches += 1
            self._say(batch)
            # Not at once: what waits in the sockets belongs to the next batch too.
            self._wake()

    def _fail(self, batch: Batch, error: BaseException, *, sealed: bool) -> None:
        """A batch is undone and its senders told to come again.

        If the commit itself failed, what the disk holds is unknown: that ends the clerk, and so do batches that fail
        one after the other.
        """
        self._answer_all(batch.jobs, _FAILED)
        with contextlib.suppress(OSError):
            self.watch_disk()  # on a full disk 452 from here on, and no end: it may have room again
        self._undone += not self._disk_low
        if self._undone > _TRIES or (sealed and not self._store_goes_on()):
            self._end(error)
            return
        log.error("batch.undone", jobs=len(batch.jobs), error=repr(error), exc_info=error)
        self._marks.extendleft(reversed(batch.marks))
        self._directory.forget()
        try:
            self._reload()
        except StoreError as broken:
            self._end(broken)
            return
        self._writing = False
        if self._loop is not None:
            self._loop.call_later(_PAUSE, self._wake)

    def _end(self, error: BaseException) -> None:
        """The clerk stops for good; nobody who waits gets a yes."""
        self._dead = True
        log.critical("clerk.stopped", error=repr(error), exc_info=error)
        self._answer_all(list(self._jobs), _FAILED)
        self._jobs.clear()
        self._ended.set()
        self._on_fatal(error)

    def _store_goes_on(self) -> bool:
        """Whether a failed commit was one that left nothing behind (a full disk): the store then begins another."""
        try:
            with self._store.transaction():
                return True
        except StoreError:
            return False

    def _say(self, batch: Batch) -> None:
        """After the commit: the yeses, the letters, the lines of the log."""
        self.accepted += len([None for _, receipt in batch.yes if receipt.verdict is Verdict.ACCEPTED])
        if batch.changed:
            self._directory.forget()
        self._announce(batch)
        for call, result, error in batch.calls:
            if error is None:
                call.answer.set_result(result)
            else:
                call.answer.set_exception(error)
        info_lines(log, "message.processed", batch.lines)

    def _announce(self, batch: Batch) -> None:
        self._waiting_bytes -= batch.size
        for answer, receipt in batch.yes:
            if not answer.done():
                answer.set_result(receipt)
        if batch.marks:
            self._on_marked([mark.number for mark in batch.marks])
        if batch.letters:
            self._on_letters(batch.letters)

    def _verify(self, name: str, unknown: PasswordUnknown) -> None:
        """Verify a password beside the batch; its lane waits, the others go on."""
        self._writer.lanes.block(name)
        loop = self._loop
        if loop is None:
            return

        def verify() -> None:
            try:
                self._passwords.learn(unknown.user_id, unknown.stored, unknown.password)
            finally:
                self._jobs.append(Verified(name))
                with contextlib.suppress(RuntimeError):  # the loop has closed: the next start begins anew
                    loop.call_soon_threadsafe(self._wake)

        self._verifiers.submit(verify)

    def _answer_all(self, jobs: list[Job], receipt: Receipt) -> None:
        answers = [(job.answer, receipt) for job in jobs if type(job) is Submission]
        for job in jobs:
            if type(job) is Call and (job.answer.running() or job.answer.set_running_or_notify_cancel()):
                job.answer.set_exception(StoreError("the commit failed; nothing was kept"))
        size = sum(len(job.envelope.raw) for job in jobs if type(job) is Submission)
        self._announce(Batch(yes=answers, size=size))


