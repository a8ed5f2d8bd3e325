"""The gateway under proof: the real ``serve``, with the ways in which the proof may end or spoil it.

*Strategy.* The named places (R2) are reached through the seams that are there anyway: a clerk and a store may be handed
to the gateway, and these say "here" at each named point. :class:`HastyClerk` is the control: it says yes before the
commit, and a proof that does not find its losses has no teeth.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from sekisho.codecs.envelope import Envelope
from sekisho.gateway.app import Gateway, serve
from sekisho.gateway.batch import Batch, BatchWriter
from sekisho.gateway.clerk import Clerk
from sekisho.gateway.clock import Clock
from sekisho.gateway.intake import Taken
from sekisho.gateway.proof.wire import CENTRE, PASSWORD, address, box, user_id
from sekisho.gateway.settings import Settings
from sekisho.mailboxes.letters import Mark
from sekisho.mailboxes.sqlite import SqliteStore
from sekisho.mailboxes.store import Transaction, Unit
from sekisho.transports.base import Receipt, Verdict

__all__ = ["POINTS", "HastyClerk", "run_gateway", "write_settings"]

POINTS: Final = (
    "parsed",
    "journalled",
    "processed",
    "before the commit",
    "after the commit",
    "after the yes",
    "pushed",
    "mark committed",
)
"""The named crash points, in the order of a message's way. ``pushed``: the receiver has said yes, no mark is kept."""

_HASTE: Final = 0.03
"""Seconds by which the hasty clerk's commit lags behind its yes."""


def write_settings(folder: Path, senders: int, modern: int, plain: int) -> Path:
    """Settings and registry of the proof: a user and a box for each sender; the boxes' push doors in turn on two ports.

    Retries are quick, so that an unknown outcome is resolved within the run.
    """
    path = folder / "gateway.toml"
    path.write_text(
        f"""[gateway]
environment = "test"
data = "data"
[[listener]]
name = "two-way"
address = "127.0.0.1:0"
centre = ["{CENTRE}"]
[registry]
seed = "registry.toml"
[log]
level = "warning"
[delivery]
retry_minutes = [0.01]
unknown_after_minutes = 0.01
[limits]
free_disk_bytes = 100_000_000
""",
        "utf-8",
    )
    (folder / "registry.toml").write_text(
        "".join(
            f"""[[user]]
id = "{user_id(sender)}"
password = "{PASSWORD}"
mail_from = ["{address(sender)}"]
box = "{box(sender)}"
[[box]]
id = "{box(sender)}"
address = "{address(sender)}"
push = "127.0.0.1:{plain if sender % 2 else modern}"
"""
            for sender in range(senders)
        ),
        "utf-8",
    )
    return path


class _Crash:
    """Ends the process the way a power switch does when ``point`` is reached for the ``count``-th time."""

    def __init__(self, point: str, count: int) -> None:
        self._point, self._left = point, count

    def here(self, point: str) -> bool:
        """Whether this is the place and the moment."""
        if point == self._point:
            self._left -= 1
        return point == self._point and self._left <= 0

    def at(self, point: str) -> None:
        """Die here, if this is the place."""
        if self.here(point):
            os.kill(os.getpid(), signal.SIGKILL)


class _CrashStore(SqliteStore):
    """A store with a crash point on both sides of its commit."""

    def __init__(self, path: Path, crash: _Crash, clock_us: Callable[[], int]) -> None:
        super().__init__(path, clock_us=clock_us)
        self._crash = crash

    def _commit(self) -> None:
        self._crash.at("before the commit")
        super()._commit()
        self._crash.at("after the commit")


class _CrashWriter(BatchWriter):
    """A batch with crash points on both sides of a message's processing."""

    crash: _Crash

    def process(self, taken: Taken, envelope: Envelope, unit: Unit, batch: Batch, *, busy: bool = False) -> None:
        """See :meth:`BatchWriter.process`."""
        self.crash.at("journalled")
        super().process(taken, envelope, unit, batch, busy=busy)
        self.crash.at("processed")


class _CrashClerk(Clerk):
    """A clerk with the other crash points on a message's way."""

    crash: _Crash

    def submit(self, envelope: Envelope) -> asyncio.Future[Receipt]:
        self.crash.at("parsed")
        return super().submit(envelope)

    def _announce(self, batch: Batch) -> None:
        if batch.yes and self.crash.here("after the yes"):
            # The yeses leave in the loop's next turns; the letters of this batch are held back until the end comes.
            batch.letters = []
            super()._announce(batch)
            asyncio.get_running_loop().call_later(0.003, os.kill, os.getpid(), signal.SIGKILL)
            return
        super()._announce(batch)
        if batch.marks:
            self.crash.at("mark committed")

    def mark(self, mark: Mark) -> None:
        self.crash.at("pushed")
        super().mark(mark)


class HastyClerk(Clerk):
    """The control: it says yes as soon as it is asked, and commits a little later."""

    def submit(self, envelope: Envelope) -> asyncio.Future[Receipt]:
        """See :meth:`Clerk.submit`; this one lies."""
        answer = super().submit(envelope)
        if not answer.done():
            answer.set_result(Receipt(Verdict.ACCEPTED, "accepted, it is hoped"))
        return answer

    def _sync(self, batch: Batch, transaction: Transaction) -> Batch:
        time.sleep(_HASTE)
        return super()._sync(batch, transaction)


def _crash_gateway(point: str, count: int, settings: Settings) -> Gateway:
    crash = _Crash(point, count)
    settings.data.mkdir(parents=True, exist_ok=True)
    store = _CrashStore(settings.data / "sekisho.db", crash, Clock().us)
    writer_class = type("ArmedWriter", (_CrashWriter,), {"crash": crash})
    clerk_class = type("ArmedClerk", (_CrashClerk,), {"crash": crash, "writer_class": writer_class})
    return Gateway(settings, store, clerk_class)


def run_gateway(
    settings: Settings, ready: int, log: Path, *, control: str = "", point: str = "", count: int = 0
) -> int:
    """Run ``serve`` in this process until it ends or is killed; its exit code. Its ready line goes to ``ready``.

    ``ready`` is a file descriptor. ``control`` names a way of spoiling it (``hasty``); ``point`` one of :data:`POINTS`,
    at whose ``count``-th passing it kills itself.
    """
    build: Callable[..., Gateway] = Gateway
    if point:
        build = partial(_crash_gateway, point, count)
    elif control:
        build = partial(Gateway, clerk_class=HastyClerk)
    with log.open("a", encoding="utf-8") as file, os.fdopen(ready, "w", encoding="utf-8") as out:
        os.dup2(file.fileno(), 2)
        sys.stderr = file
        runner = asyncio.Runner(loop_factory=_loop_factory())
        with contextlib.closing(runner):
            return runner.run(serve(settings, out=out, gateway_class=build))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The loop of uvloop where it is installed, as the service itself does."""
    try:
        import uvloop  # noqa: PLC0415 - not on every system
    except ImportError:
        return None
    return uvloop.new_event_loop
