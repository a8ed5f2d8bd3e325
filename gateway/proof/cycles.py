"""The cycles: start the gateway, let it work, kill it, and again; at the end let it finish, and audit.

*Strategy.* The parent has imported everything, runs no thread and no loop, and forks: a cycle costs the start of the
gateway and nothing else. Chance comes from one seed; what the machine does in between does not, so a seed repeats the
plan of kills and not every interleaving.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import socket
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sekisho.gateway.proof.audit import ARRIVED, TOLD, Verdict, audit, drained
from sekisho.gateway.proof.house import POINTS, run_gateway, write_settings
from sekisho.gateway.proof.receivers import receive_all
from sekisho.gateway.proof.senders import send_all
from sekisho.gateway.proof.wire import Facts, Whereabouts
from sekisho.gateway.settings import Settings, load

__all__ = ["Failed", "Plan", "Result", "Run", "prove"]

_START_SECONDS: Final = 30.0
"""How long a gateway may take to come up: it checks the store after each kill."""
_REACH_SECONDS: Final = 5.0
"""How long to wait until a named point is reached."""
_FINISH_SECONDS: Final = 60.0
"""How long the last gateway may take to answer, process and deliver everything."""
_LONGEST: Final = 0.35
"""Most seconds between the ready line and a random kill."""
_EARLY: Final = 0.05
"""How often the kill comes while the gateway is still starting."""


class Failed(Exception):
    """The proof could not be carried out: the gateway did not come up, or did not finish."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: random kills (``cycles``, or as many as fit into ``seconds``), then each named point so often."""

    folder: Path
    cycles: int
    points: int
    senders: int
    seed: int
    seconds: float = 0
    control: str = ""


@dataclass(slots=True)
class Result:
    """The auditor's verdict, and what was done to the gateway."""

    verdict: Verdict
    kills: int = 0
    reached: Counter[str] = field(default_factory=Counter)
    seconds: float = 0


class Run:
    """The parties of one run, and what is done to the gateway. :meth:`close` it, whatever happens."""

    def __init__(self, plan: Plan, show: Callable[[str], None]) -> None:
        self.plan, self.show = plan, show
        self.chance = random.Random(plan.seed)  # noqa: S311 - a repeatable run, no secret
        self.where = Whereabouts()
        self.log = plan.folder / "gateway.log"
        self.children: list[int] = []
        self.gateway = 0
        self.kills = 0
        self.reached: Counter[str] = Counter()
        modern, plain = (socket.create_server(("127.0.0.1", 0), backlog=64) for _ in range(2))
        ports = (modern.getsockname()[1], plain.getsockname()[1])
        self.settings: Settings = load(write_settings(plan.folder, plan.senders, *ports))
        arrived, told = plan.folder / ARRIVED, plan.folder / TOLD
        self.receivers = self.fork(lambda: receive_all(modern, plain, plan.seed, Facts(arrived)))
        modern.close()
        plain.close()
        self.senders = self.fork(lambda: send_all(plan.senders, plan.seed, self.where, Facts(told)))

    def fork(self, work: Callable[[], object]) -> int:
        """Run ``work`` in a child; its process id. What it returns is the exit code."""
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child:
            self.children.append(child)
            return child
        code = 70
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            code = int(work() or 0)  # type: ignore[call-overload]
        except BaseException:  # noqa: BLE001 - a child ends here, whatever happened
            traceback.print_exc()
        finally:
            os._exit(code)

    def start(self, point: str = "", count: int = 0) -> int:
        """Start a gateway; the descriptor its ready line comes from."""
        reading, writing = os.pipe()

        def work() -> int:
            os.close(reading)
            return run_gateway(
                self.settings, writing, self.log, control=self.plan.control, point=point, count=count
            )

        self.gateway = self.fork(work)
        os.close(writing)
        return reading

    def await_ready(self, reading: int, seconds: float) -> bool:
        """Wait for the ready line and tell the senders; False if there is none in time or the gateway died."""
        deadline = time.monotonic() + seconds
        line = b""
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([reading], [], [], left)[0]:
                return False
            more = os.read(reading, 4096)
            if not more:
                return False
            line += more
        self.where.port = int(next(iter(json.loads(line)["listeners"].values())).rpartition(":")[2])
        return True

    def reap(self, child: int, seconds: float) -> int | None:
        """Wait for a child; its status, or None if it still runs."""
        deadline = time.monotonic() + seconds
        while True:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                self.children.remove(child)
                return status
            if time.monotonic() > deadline:
                return None
            time.sleep(0.002)

    def kill(self, child: int) -> None:
        """SIGKILL, and wait until it is gone."""
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        self.children.remove(child)

    def random_cycle(self) -> None:
        """Start, work a random time, kill. Some kills come during the start."""
        early = self.chance.random() < _EARLY
        delay = self.chance.uniform(0, 0.1 if early else _LONGEST)
        reading = self.start()
        try:
            if early:
                self.await_ready(reading, delay)
            else:
                if not self.await_ready(reading, _START_SECONDS):
                    raise Failed(f"the gateway did not come up; see {self.log}")
                time.sleep(delay)
        finally:
            os.close(reading)
        self.end_cycle()

    def end_cycle(self) -> None:
        """Kill the gateway, which must still be there."""
        status = self.reap(self.gateway, 0)
        if status is not None:
            raise Failed(f"the gateway ended by itself with status {status}; see {self.log}")
        self.kill(self.gateway)
        self.kills += 1
        self.where.port = 0

    def point_cycle(self, point: str) -> None:
        """Start a gateway that kills itself at a named point."""
        reading = self.start(point, self.chance.randint(1, 12))
        try:
            ready = self.await_ready(reading, _START_SECONDS)
            status = self.reap(self.gateway, _REACH_SECONDS if ready else 0.5)
        finally:
            os.close(reading)
        if status is None:
            self.end_cycle()
            return
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            raise Failed(f"the gateway ended by itself with status {status}; see {self.log}")
        self.kills += 1
        self.reached[point] += 1
        self.where.port = 0

    def cycles(self) -> None:
        """All kills, with a line of progress now and then."""
        began = shown = time.monotonic()
        number = 0
        while number < self.plan.cycles or (self.plan.seconds and time.monotonic() - began < self.plan.seconds):
            number += 1
            self.random_cycle()
            if time.monotonic() - shown > 2:
                shown = time.monotonic()
                goal = f" of {self.plan.cycles}" if not self.plan.seconds else ""
                self.show(f"{number}{goal} kills, {self.where.yeses} yeses, {shown - began:.0f} s")
        for _ in range(self.plan.points):
            for point in POINTS:
                self.point_cycle(point)
        if self.plan.points:
            self.show(f"{sum(self.reached.values())} kills at {len(self.reached)} named points")

    def finish(self, load_seconds: float = 0.5) -> None:
        """The last gateway works a little, answers, processes and delivers what there is; then everybody goes home."""
        reading = self.start()
        try:
            if not self.await_ready(reading, _START_SECONDS):
                raise Failed(f"the gateway did not come up; see {self.log}")
        finally:
            os.close(reading)
        time.sleep(load_seconds)
        self.where.end()
        if self.reap(self.senders, _FINISH_SECONDS) != 0:
            raise Failed("the senders did not get their last yes in time")
        deadline = time.monotonic() + _FINISH_SECONDS
        while not drained(self.plan.folder):
            if time.monotonic() > deadline:
                self.show("not everything was processed and delivered in time")
                break
            time.sleep(0.1)
        os.kill(self.gateway, signal.SIGTERM)
        if self.reap(self.gateway, _FINISH_SECONDS) != 0:
            raise Failed(f"the gateway did not end in order; see {self.log}")
        os.kill(self.receivers, signal.SIGTERM)
        if self.reap(self.receivers, _FINISH_SECONDS) != 0:
            raise Failed("the receivers did not end in order")

    def close(self) -> None:
        """Leave no process behind."""
        for child in list(self.children):
            self.kill(child)


def prove(plan: Plan, show: Callable[[str], None]) -> Result:
    """Carry the plan out in ``plan.folder`` (must be empty) and have it audited; ``show`` gets lines of progress.

    Forks: the calling process must have no other thread. Raises :class:`Failed` if the gateway does not come up, ends
    by itself, or does not finish.
    """
    began = time.monotonic()
    run = Run(plan, show)
    try:
        run.cycles()
        run.finish()
    finally:
        run.close()
    verdict = audit(plan.folder)
    return Result(verdict, run.kills, run.reached, time.monotonic() - began)
