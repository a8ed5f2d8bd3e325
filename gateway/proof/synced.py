"""Counting: one synced commit a batch, seen from the operating system.

*Strategy.* The gateway runs under strace with the usual senders and receivers, checkpoints are switched
off for the count (they sync on their own account, from another thread), and then each fdatasync of the log must be
somebody's commit.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sekisho.gateway.app import Gateway, serve
from sekisho.gateway.clock import Clock
from sekisho.gateway.proof.audit import audit
from sekisho.gateway.proof.cycles import Failed, Plan, Run
from sekisho.gateway.settings import Settings, load
from sekisho.mailboxes.sqlite import SqliteStore

__all__ = ["Counted", "count_syncs"]

_TRACE: Final = "syncs.txt"
_BEGIN: Final = "begin.json"
_END: Final = "end.json"
"""Files that are synced as marks in the trace, and hold the counts of that moment."""
_LOAD_SECONDS: Final = 2.0
_SYNC: Final = re.compile(r"(?:fdatasync|fsync)\(\d+<([^>]*)>(?:\)\s*= 0| <unfinished \.\.\.>)")
"""Its line in the trace; cut in two when another thread's call came between, and then the second half has no path."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted while the gateway took requests, after its start and before its end.

    ``batches`` are the clerk's, ``commits`` the store's, ``written`` those that had anything to write, ``log`` the
    syncs of its write-ahead log, ``other`` those of any other file.
    """

    requests: int
    batches: int
    commits: int
    written: int
    log: int
    other: int
    violations: int

    @property
    def holds(self) -> bool:
        """Whether each batch was one synced commit, and several requests shared one where they could."""
        return (
            self.batches == self.commits >= self.written == self.log
            and not self.other
            and self.requests > self.batches > 0
            and not self.violations
        )

    def __str__(self) -> str:
        verdict = "one synced commit a batch" if self.holds else "NOT one synced commit a batch"
        return (
            f"counted with strace: {self.requests} requests in {self.batches} batches, {self.commits} commits"
            f" ({self.written} wrote something), {self.log} syncs of the log, {self.other} of other files: {verdict}"
        )


class _Traced(Run):
    """A run whose gateway is executed anew under strace, which keeps the gateway's process id (-D)."""

    def start(self, point: str = "", count: int = 0) -> int:  # noqa: ARG002 - nothing is killed here
        """Start the gateway; the descriptor its ready line comes from."""
        reading, writing = os.pipe()
        strace = ["strace", "-D", "-f", "-y", "-e", "trace=fdatasync,fsync", "-o", str(self.plan.folder / _TRACE)]
        command = [*strace, sys.executable, "-m", __name__, str(self.plan.folder)]

        def work() -> int:
            os.dup2(writing, 1)
            with self.log.open("ab") as log:
                os.dup2(log.fileno(), 2)
            os.execvp(command[0], command)  # noqa: S606 - no shell is wanted

        self.gateway = self.fork(work)
        os.close(writing)
        return reading


def count_syncs(folder: Path) -> Counted:
    """Run a gateway under strace in ``folder`` and count. Raises Failed if there is no strace or it may not trace."""
    if shutil.which("strace") is None:
        raise Failed("strace is not installed, so syncs cannot be counted")
    folder.mkdir(parents=True)
    run = _Traced(Plan(folder, cycles=0, points=0, senders=8, seed=1), lambda _line: None)
    try:
        run.finish(_LOAD_SECONDS)
    finally:
        run.close()
    paths: list[str] = _SYNC.findall(_trace(folder / _TRACE))
    # What was synced for the schema and the registry came before the first mark, what closing syncs after the last.
    paths = paths[paths.index(str(folder / _BEGIN)) + 1 : paths.index(str(folder / _END))]
    begin, end = (json.loads((folder / name).read_text("utf-8")) for name in (_BEGIN, _END))
    log = sum(path.endswith("-wal") for path in paths)
    verdict = audit(folder)
    return Counted(
        requests=verdict.counts["requests"],
        batches=end["batches"] - begin["batches"],
        commits=end["commits"] - begin["commits"],
        written=end["written"] - begin["written"],
        log=log,
        other=len(paths) - log,
        violations=len(verdict.violations),
    )


def _trace(path: Path) -> str:
    """The trace, once strace has written its last line."""
    for _ in range(200):
        text = path.read_text("utf-8", "replace")
        if "+++ exited" in text.rstrip().rpartition("\n")[2]:
            return text
        time.sleep(0.05)
    raise Failed("strace wrote no end")


class _CountedStore(SqliteStore):
    """A store that leaves its log alone and counts the commits that have anything to write.

    A batch of nothing but a verified password, or of a look around, has nothing; SQLite then syncs nothing.
    """

    written = 0
    _changes = 0

    def checkpoint(self) -> None:
        """Not during the count."""

    def _commit(self) -> None:
        super()._commit()
        changes = self._writer.total_changes
        self.written += changes > self._changes
        self._changes = changes


class _CountedGateway(Gateway):
    """A gateway that puts a mark into the trace after its start and before its end."""

    def __init__(self, settings: Settings) -> None:
        settings.data.mkdir(parents=True, exist_ok=True)
        self._counted = _CountedStore(settings.data / "sekisho.db", clock_us=Clock().us)
        super().__init__(settings, self._counted)
        self._close = self._counted.close

    def _mark(self, name: str) -> None:
        with (self.settings.data.parent / name).open("w", encoding="utf-8") as file:
            counts = {"batches": self.clerk.batches, "commits": self.store.commits, "written": self._counted.written}
            json.dump(counts, file)
            file.flush()
            os.fsync(file.fileno())

    async def start(self) -> dict[str, str]:
        """See :meth:`Gateway.start`."""
        listeners = await super().start()
        # Inside a batch no other one can be half done.
        await asyncio.wrap_future(self.clerk.call(lambda _unit: self._mark(_BEGIN)))
        return listeners

    async def stop(self) -> None:
        """See :meth:`Gateway.stop`."""
        self._counted.close = self._marked_close  # type: ignore[method-assign]
        await super().stop()

    def _marked_close(self) -> None:
        self._mark(_END)
        self._close()


if __name__ == "__main__":
    sys.exit(asyncio.run(serve(load(Path(sys.argv[1]) / "gateway.toml"), gateway_class=_CountedGateway)))
