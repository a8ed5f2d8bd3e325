"""What it costs the gateway to send a message over SMTP: processor time of the sending process per message.

Candidates take turns in one process against one sink process (:mod:`smtp_sink`) on kept-alive connections; only the
ratios count (the machine is shared). ::

    python benchmarks/smtp_out.py [--short] [--size BYTES] [--loop uvloop]

``aiosmtplib`` is its ``sendmail`` one message after the other; ``pipelined`` and ``lock-step`` are our sender with all
messages of a round in one call; ``pipelined, one a call`` hands over one at a time, as a quiet gateway does.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

import aiosmtplib
from smtp_sink import Sink, sink

from sekisho.transports.base import Outcome, Parcel, Report
from sekisho.transports.smtp_out import SendLimits, SmtpSender

__all__ = ["measure"]

SENDER = "NACCS@SMTP.TEST.SEKISHO.EXAMPLE"
RECIPIENT = "1ANAC1@SMTP.BROKER.SEKISHO.EXAMPLE"

Candidate = Callable[[int], Awaitable[None]]


def mail(size: int) -> bytes:
    """A reply mail of about ``size`` bytes: headers, then lines like items."""
    head = b"From: <%b>\r\nTo: <%b>\r\nMime-Version: 1.0\r\n\r\n" % (SENDER.encode(), RECIPIENT.encode())
    line = b"\xb4\xd8\xbd\xea SAMPLE ITEM   \r\n"
    return head + line * ((size - len(head)) // len(line))


async def measure(fast: Sink, plain: Sink, *, size: int, messages: int, rounds: int) -> dict[str, list[float]]:
    """Microseconds of this process a message, a list of ``rounds`` figures for each candidate, taken in turns."""
    data = mail(size)
    library = aiosmtplib.SMTP(hostname=plain.host, port=plain.port, start_tls=False, local_hostname="gateway.example")
    await library.connect()
    ours = SmtpSender(fast.host, fast.port, limits=SendLimits(), source="gateway.example")
    single = SmtpSender(fast.host, fast.port, limits=SendLimits(), source="gateway.example")
    lockstep = SmtpSender(plain.host, plain.port, limits=SendLimits(), source="gateway.example")
    delivered = 0

    def count(report: Report) -> None:
        nonlocal delivered
        if report.outcome is not Outcome.DELIVERED:
            raise RuntimeError(report)
        delivered += 1

    async def by_library(number: int) -> None:
        for _ in range(number):
            await library.sendmail(SENDER, [RECIPIENT], data)

    async def at_once(number: int) -> None:
        await ours.send([Parcel(one, SENDER, RECIPIENT, data) for one in range(number)], count)

    async def one_a_call(number: int) -> None:
        for one in range(number):
            await single.send([Parcel(one, SENDER, RECIPIENT, data)], count)

    async def in_lockstep(number: int) -> None:
        await lockstep.send([Parcel(one, SENDER, RECIPIENT, data) for one in range(number)], count)

    candidates: dict[str, Candidate] = {
        "aiosmtplib": by_library,
        "lock-step": in_lockstep,
        "pipelined, one a call": one_a_call,
        "pipelined": at_once,
    }
    figures: dict[str, list[float]] = {name: [] for name in candidates}
    for candidate in candidates.values():
        await candidate(20)
    for _ in range(rounds):
        for name, candidate in candidates.items():
            before = time.process_time()
            await candidate(messages)
            figures[name].append((time.process_time() - before) / messages * 1e6)
    for sender in (ours, single, lockstep):
        await sender.close()
    await library.quit()
    taken = fast.count()["messages"] + plain.count()["messages"]
    if taken != 4 * (20 + rounds * messages) or delivered != 3 * (20 + rounds * messages):
        raise RuntimeError(f"the sinks took {taken}, {delivered} were reported")
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Processor time of the sending process per message.")
    parser.add_argument("--short", action="store_true", help="a few hundred messages")
    parser.add_argument("--size", type=int, default=1500, help="bytes of a mail")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    arguments = parser.parse_args()
    run = asyncio.run
    if arguments.loop == "uvloop":
        import uvloop

        run = uvloop.run
    messages, rounds = (200, 3) if arguments.short else (2000, 5)
    with sink(pipelining=True) as fast, sink(pipelining=False) as plain:
        result = run(measure(fast, plain, size=arguments.size, messages=messages, rounds=rounds))
    library = statistics.median(result["aiosmtplib"])
    print(f"{arguments.loop}, {arguments.size} bytes, median of {rounds} rounds of {messages}")
    for name, figures in result.items():
        median = statistics.median(figures)
        print(f"{name:22} {median:7.1f} us a message   aiosmtplib / this = {library / median:4.1f}")
