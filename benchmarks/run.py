"""All of sekisho's speed in one run: ratios against peers that are measured in turns on the same machine.

    python benchmarks/run.py            # five rounds, about six minutes
    python benchmarks/run.py --short    # three smaller rounds, about two minutes
    python benchmarks/run.py --check    # exit 1 when a floor is missed

Only ratios count: the machine is shared, and the rounds of all candidates are interleaved so that noise meets all
alike. A ratio is the median of the rounds' ratios. The floors are those of the goals G1, G4, G5 and G12;
benchmarks/README.md says what each line measures, and what it does not.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import ebms_accept
import pop3_collect
import sftp_put
from serving import Server, gateway, plain, postfix, request
from smtp_in import served
from smtp_load import load
from smtp_sink import Sink, sink

HERE = Path(__file__).parent
ACCEPT_SIZE = 1_024
TRIP_SIZE = 1_500
_OVERDUE = 60.0
"""Seconds after which a reply that has not come is an error."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the result: the ratio, its floor (0: none), and what stands on both sides."""

    name: str
    ratio: float
    floor: float
    text: str

    @property
    def missed(self) -> bool:
        """Whether it is below its floor."""
        return bool(self.floor) and self.ratio < self.floor


def _send(server: Server, messages: int, connections: int, per_connection: int, size: int, first: int) -> float:
    return load(
        server.host,
        server.port,
        connections=connections,
        messages=messages,
        per_connection=per_connection,
        make_mail=lambda number: request(first + number, size),
    )


def _trip(server: Server, replies: Sink, messages: int, first: int) -> float:
    """Messages per second from the first request sent to the last reply received."""
    before = replies.count()["messages"]
    began = time.perf_counter()
    _send(server, messages, 20, 0, TRIP_SIZE, first)
    while replies.count()["messages"] < before + messages:
        if time.perf_counter() - began > _OVERDUE:
            raise RuntimeError(f"only {replies.count()['messages'] - before} of {messages} replies came")
        time.sleep(0.002)
    return messages / (time.perf_counter() - began)


class _Rounds:
    """Candidates that take turns; their rates by name, the first round thrown away."""

    def __init__(self) -> None:
        self.work: dict[str, Callable[[int], float]] = {}
        self.rates: dict[str, list[float]] = {}

    def run(self, rounds: int) -> None:
        for number in range(rounds + 1):
            for name, work in self.work.items():
                rate = work(number)
                if number:
                    self.rates.setdefault(name, []).append(rate)
            print(f"  round {number} of {rounds}" + ("" if number else " (warm-up)"), file=sys.stderr, flush=True)

    def ratio(self, name: str, over: str) -> tuple[float, str]:
        ours, theirs = self.rates[name], self.rates[over]
        middle = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        return middle, f"{statistics.median(ours):.0f} / {statistics.median(theirs):.0f} messages/s"


def _split_us(content: bytes) -> float:
    """Microseconds of splitting this message on CRLF: the unit of the guard."""
    times = []
    for _ in range(41):
        began = time.process_time_ns()
        for _ in range(1000):
            content.split(b"\r\n")
        times.append((time.process_time_ns() - began) / 1e6)
    return statistics.median(times)


def _sync_us() -> float:
    """Microseconds of writing over 60 KB of a file and syncing it: what no commit here can be faster than."""
    times = []
    with tempfile.TemporaryFile(buffering=0) as file:
        for _ in range(41):
            began = time.perf_counter_ns()
            os.pwrite(file.fileno(), bytes(60_000), 0)
            os.fdatasync(file.fileno())
            times.append((time.perf_counter_ns() - began) / 1000)
    return statistics.median(times[1:])


def measure(rounds: int, messages: int) -> list[Line]:
    """Run everything that needs servers."""
    turns = _Rounds()
    costs: dict[str, list[float]] = {}
    """Processor microseconds a message, by candidate, the warm-up left out."""
    first = 0

    with ExitStack() as stack:
        boxed = stack.enter_context(gateway())
        journal = stack.enter_context(gateway(journal_only=True))
        stock_server = stack.enter_context(served("stock", "uvloop"))
        stock = Server(stock_server.host, stock_server.port, (stock_server.pid,))
        queueing = stack.enter_context(postfix())
        fast, slow = (stack.enter_context(sink(pipelining=True)) for _ in range(2))
        pushing = stack.enter_context(gateway(fast.port))
        simple = stack.enter_context(plain(slow.port))

        def costed(name: str, server: Server, send: Callable[[], float]) -> Callable[[int], float]:
            def work(number: int) -> float:
                nonlocal first
                first += messages
                before = server.cpu()
                rate = send()
                if number:
                    costs.setdefault(name, []).append((server.cpu() - before) / messages * 1e6)
                return rate

            return work

        def accept(name: str, server: Server, per_connection: int) -> Callable[[int], float]:
            return costed(name, server, lambda: _send(server, messages, 10, per_connection, ACCEPT_SIZE, first))

        def trip(name: str, server: Server, replies: Sink) -> Callable[[int], float]:
            return costed(name, server, lambda: _trip(server, replies, messages, first))

        turns.work = {
            "gateway, many": accept("gateway, many", boxed, 0),
            "journal, many": accept("journal, many", journal, 0),
            "aiosmtpd, many": accept("aiosmtpd, many", stock, 0),
            "gateway, one": accept("gateway, one", boxed, 1),
            "journal, one": accept("journal, one", journal, 1),
            **({"postfix, one": accept("postfix, one", queueing, 1)} if queueing is not None else {}),
            "gateway, trip": trip("gateway, trip", pushing, fast),
            "plain, trip": trip("plain, trip", simple, slow),
        }
        turns.run(rounds)

    def line(name: str, ours: str, theirs: str, floor: float) -> Line:
        ratio, text = turns.ratio(ours, theirs)
        return Line(name, ratio, floor, text)

    def time_line(name: str, ours: str, theirs: str) -> Line:
        ratio = statistics.median(b / a for a, b in zip(costs[ours], costs[theirs], strict=True))
        text = f"{statistics.median(costs[theirs]):.0f} / {statistics.median(costs[ours]):.0f} us"
        return Line(name, ratio, 0, text)

    lines = [
        line("G4 durable accept / aiosmtpd no-op", "journal, many", "aiosmtpd, many", 1.2),
        time_line("   processor time of it, aiosmtpd / gateway", "journal, many", "aiosmtpd, many"),
        line("   processed too, reply in its box / aiosmtpd no-op", "gateway, many", "aiosmtpd, many", 0),
    ]
    if "postfix, one" in turns.work:
        lines.append(line("G1 durable accept, one mail a connection / Postfix", "journal, one", "postfix, one", 2.5))
        name = "   processed too, reply in its box / Postfix"
        lines.append(line(name, "gateway, one", "postfix, one", 0))
    else:
        print("G1 left out: Postfix is not installed, or this is not root")
    lines.append(line("G5 round trip / plain aiosmtpd + aiosmtplib build", "gateway, trip", "plain, trip", 2.5))
    lines.append(line("   round trip / aiosmtpd no-op accept", "gateway, trip", "aiosmtpd, many", 0))
    unit = _split_us(request(0, TRIP_SIZE))
    lines.append(time_line("   processor time of it, plain / gateway", "gateway, trip", "plain, trip"))
    cost = statistics.median(costs["gateway, trip"])
    print(f"a commit waits {_sync_us():.0f} us for this disk (60 KB written over, one fdatasync)")
    print(f"guard: a round trip costs the gateway {cost:.0f} us, {cost / unit:.0f} x bytes.split of the mail")
    return lines


def doors(*, short: bool) -> list[Line]:
    """The lines of the other ways in and out, each measured by its own script."""
    files = [Line(one.name, one.ratio, one.floor, one.text) for one in sftp_put.measure(short=short)]
    if not files:
        print("SFTP left out: OpenSSH is not installed, or this is not root")
    letters = [Line(*row) for row in pop3_collect.measure(short)]
    messages = [Line(one.name, one.ratio, one.floor, one.text) for one in ebms_accept.measure(short=short)]
    return files + letters + messages


def main() -> int:
    """Print everything; the exit code."""
    parser = argparse.ArgumentParser(description="sekisho's speed as ratios of one run")
    parser.add_argument("--short", action="store_true", help="three small rounds")
    parser.add_argument("--check", action="store_true", help="exit 1 when a floor is missed")
    parser.add_argument("--rounds", type=int, help="rounds after the warm-up")
    parser.add_argument("--messages", type=int, help="messages of a candidate in a round")
    options = parser.parse_args()
    rounds = options.rounds or (3 if options.short else 5)
    messages = options.messages or (600 if options.short else 2_000)
    print("G12 codec, in units of bytes.split", flush=True)
    codec = subprocess.run([sys.executable, str(HERE / "codec.py"), "--check"], check=False)
    xml = [sys.executable, str(HERE / "ebms_codec.py"), "--check"]
    slower = not options.short and subprocess.run(xml, check=False).returncode
    print(f"\nservers: medians of {rounds} interleaved rounds of {messages} messages, 10 connections (round trip: 20)")
    lines = measure(rounds, messages) + doors(short=options.short)
    for line in lines:
        floor = f"   floor {line.floor}{'  MISSED' if line.missed else ''}" if line.floor else ""
        print(f"{line.name:62} x{line.ratio:5.2f}   ({line.text}){floor}")
    missed = [line.name.strip() for line in lines if line.missed] + (["G12"] if codec.returncode else [])
    missed += ["the ebMS codec"] if slower else []
    if missed:
        print(f"below their floors: {'; '.join(missed)}")
    return 1 if options.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
