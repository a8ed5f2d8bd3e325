"""What accepting a mail costs before anything is kept: our listener against aiosmtpd's own protocol class.

Both run alone in a process on the same event loop with a house that says yes at once, and take turns under the same
load (:mod:`smtp_load`, in this process); only the ratios count (the machine is shared). ::

    python benchmarks/smtp_in.py [--rounds 5] [--messages 2000] [--loops asyncio,uvloop] [--short]

Printed per case: the ratio of mails per second and of the server's processor time per mail, medians over the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass

import structlog
import uvloop
from aiosmtpd.smtp import SMTP
from smtp_load import CENTRE, load, mail

from sekisho.codecs.envelope import Envelope
from sekisho.transports.base import Receipt, Verdict
from sekisho.transports.smtp import SmtpLimits, SmtpListener

__all__ = ["Served", "measure", "served"]


@dataclass(frozen=True, slots=True)
class Case:
    """One shape of load: mails on a connection (0: all of them), connections at a time, mail size in bytes."""

    name: str
    per_connection: int
    connections: int
    size: int


CASES = (
    Case("1 KB, 10 connections, many mails each", 0, 10, 1_024),
    Case("1 KB, 10 connections, one mail each", 1, 10, 1_024),
    Case("20 KB, 10 connections, many mails each", 0, 10, 20_480),
    Case("1 KB, 1 connection, many mails", 0, 1, 1_024),
)


class _NoOp:
    """aiosmtpd's handler interface, saying yes to every mail."""

    async def handle_DATA(self, *_arguments: object) -> str:  # noqa: N802 (aiosmtpd's name)
        """The reply to the dot."""
        return "250 2.0.0 OK"


async def _serve(kind: str) -> None:
    """Serve until standard input ends; every line on it is answered with the processor time used so far."""
    loop = asyncio.get_running_loop()
    if kind == "ours":
        done: asyncio.Future[Receipt] = loop.create_future()
        done.set_result(Receipt(Verdict.ACCEPTED, "OK", 1))

        def submit(envelope: Envelope) -> Awaitable[Receipt]:  # noqa: ARG001 (the name is part of Submit)
            return done

        listener = SmtpListener(
            name="two-way",
            host="127.0.0.1",
            port=0,
            mode="two-way",
            centre=[CENTRE],
            submit=submit,
            hostname="bench.sekisho.example",
            limits=SmtpLimits(connections_per_address=2_000),
        )
        await listener.start()
        address = listener.address
    else:
        handler = _NoOp()
        server = await loop.create_server(
            lambda: SMTP(handler, hostname="bench.sekisho.example", loop=loop), "127.0.0.1", 0, backlog=512
        )
        address = server.sockets[0].getsockname()[:2]
    print(json.dumps({"host": address[0], "port": address[1]}), flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps({"cpu": time.process_time()}), flush=True)


class Served:
    """A server in a process of its own: where it listens, and the processor seconds it has used."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid
        address = self._read()
        self.host, self.port = str(address["host"]), int(address["port"])

    def _read(self) -> dict[str, float]:
        if self._process.stdout is None:
            raise RuntimeError("the server has no standard output")
        answer: dict[str, float] = json.loads(self._process.stdout.readline())
        return answer

    def cpu(self) -> float:
        """Processor seconds of the server so far."""
        if self._process.stdin is None:
            raise RuntimeError("the server has no standard input")
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read()["cpu"]


@contextlib.contextmanager
def served(kind: str, loop: str) -> Iterator[Served]:
    """Start ``ours`` or ``stock`` on the ``asyncio`` or ``uvloop`` loop; ended on leaving."""
    command = [sys.executable, __file__, "--serve", kind, "--loops", loop]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Served(process)
        finally:
            if process.stdin is not None:
                process.stdin.close()
            process.wait(10)


def measure(case: Case, loop: str, *, rounds: int, messages: int) -> tuple[float, float]:
    """Our mails per second over stock's, and stock's processor time per mail over ours (medians, taken in turns)."""
    data = mail(case.size)
    rates: dict[str, list[float]] = {"stock": [], "ours": []}
    costs: dict[str, list[float]] = {"stock": [], "ours": []}
    with served("stock", loop) as stock, served("ours", loop) as ours:
        for number in range(rounds + 1):
            for kind, server in (("stock", stock), ("ours", ours)):
                before = server.cpu()
                rate = load(
                    server.host,
                    server.port,
                    connections=case.connections,
                    messages=messages,
                    per_connection=case.per_connection,
                    make_mail=lambda _number: data,
                )
                if number:  # the first round warms up
                    rates[kind].append(rate)
                    costs[kind].append((server.cpu() - before) / messages * 1e6)
    middle = statistics.median
    faster = middle(ours / stock for ours, stock in zip(rates["ours"], rates["stock"], strict=True))
    cheaper = middle(stock / ours for ours, stock in zip(costs["ours"], costs["stock"], strict=True))
    print(
        f"{case.name}, {loop}: rate x{faster:.2f} "
        f"({middle(rates['ours']):.0f} / {middle(rates['stock']):.0f} mails/s), "
        f"processor x{cheaper:.2f} ({middle(costs['ours']):.0f} / {middle(costs['stock']):.0f} us a mail)",
        flush=True,
    )
    return faster, cheaper


def main() -> None:
    """Compare, or serve for a comparison."""
    parser = argparse.ArgumentParser(description="SMTP accept, ours over aiosmtpd's, with nothing kept")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=2_000)
    parser.add_argument("--loops", default="asyncio,uvloop")
    parser.add_argument("--short", action="store_true", help="two cases, one round")
    parser.add_argument("--serve", choices=("ours", "stock"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    if options.serve:
        factory = uvloop.new_event_loop if options.loops == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(_serve(options.serve))
        return
    for loop in options.loops.split(","):
        for case in CASES[:2] if options.short else CASES:
            measure(case, loop, rounds=1 if options.short else options.rounds, messages=options.messages)


if __name__ == "__main__":
    main()
