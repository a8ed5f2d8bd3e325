"""EDIFACT: our reader and writer against pydifact on the same generated data, in one run.

Data: CUSCAR D.95B under UNOA and syntax 3, about 28 bytes a segment, release characters in 2 % of the segments. Ours
and pydifact's take turns, CPU time is taken, and only the ratios count (the machine is shared). ::

    python benchmarks/edifact.py            # 1.5 kB, 10 MB, 50 MB; some minutes, pydifact needs 1 GB for 50 MB
    python benchmarks/edifact.py --short    # 1.5 kB and 1 MB
    python benchmarks/edifact.py --check    # exit 1 where a floor is not kept
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from pydifact.segmentcollection import Interchange

from sekisho.codecs.edifact import Profile, peek, read, walk
from sekisho.codecs.edifact.syntax import syntax_of
from sekisho.codecs.edifact.writer import segments_text

ENVELOPE = Profile(validate=False)
"""Offsets, envelope and repertoire; no directory tables."""
MEMORY_FLOOR = 40.0


def message(number: int, chance: random.Random, blocks: int) -> str:
    """One CUSCAR message of seven segments a block."""
    segments = [
        f"UNH+{number}+CUSCAR:D:95B:UN'",
        f"BGM+85+DOC{number}+9'",
        "DTM+137:202501011200:203'",
        "TDT+20+V001+1'",
        "LOC+9+JPTYO:139:6'",
    ]
    for block in range(blocks):
        text = "PARTS ?'A?' AND ?+ B" if chance.random() < 0.12 else "ELECTRIC MACHINE PARTS AND ACCESSORIES"
        segments += [
            f"CNI+{block + 1}+BL{number:06d}{block:03d}'",
            f"RFF+BM:SMPLBL{number:06d}{block:03d}'",
            "LOC+11+JPTYO:139:6'",
            "NAD+CN+++SAMPLE TRADING COMPANY+1 HARBOUR STREET+TOKYO'",
            "GID+1+10:CT:67:6:CARTONS'",
            f"FTX+AAA+++{text}'",
            f"MEA+AAE+G+KGM:{chance.randint(1, 9999)}.5'",
        ]
    segments.append(f"UNT+{len(segments) + 1}+{number}'")
    return "".join(segments)


def chunks(size: int, blocks: int = 33) -> Iterator[bytes]:
    """An interchange of about ``size`` bytes, a message at a time."""
    chance = random.Random(7)
    yield b"UNB+UNOA:3+SENDER:ZZ+RECIPIENT:ZZ+250101:1200+REF0001'"
    made = number = 0
    while made < size:
        number += 1
        text = message(number, chance, blocks).encode()
        made += len(text)
        yield text
    yield f"UNZ+{number}+REF0001'".encode()


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def full(data: bytes) -> None:
    """Every element of every segment, with offsets, envelope and repertoire checks."""
    walking = walk(data, ENVELOPE)
    for _ in walking.rows():
        pass
    if not walking.report.valid:
        raise SystemExit(f"the sample is not valid: {walking.report.errors[:3]}")


def segments(data: bytes) -> None:
    """The same as objects: a pydifact Segment each, its elements looked at."""
    for segment in walk(data, ENVELOPE, split=True):
        segment.elements  # noqa: B018 - reading it splits the segment


def checked(data: bytes, profile: Profile | None = None) -> None:
    """The verdict alone."""
    report = read(data, profile)
    if not report.valid:
        raise SystemExit(f"the sample is not valid: {report.errors[:3]}")


def _repeated(work: Callable[[], object], times: int) -> None:
    for _ in range(times):
        work()


def against_pydifact(size: int, rounds: int, peer_rounds: int) -> list[tuple[str, float, float, float]]:
    """(what, ratio, floor, goal) for one size, medians of alternating rounds."""
    # 1.5 kB is one message of seven blocks.
    data = b"".join(chunks(size, 33) if size > 5000 else chunks(1, 7))
    text = data.decode()
    small = size < 5000
    large = size > 20_000_000
    repeat = 200 if small else 1
    works: list[tuple[str, Callable[[], object], float, float]] = [
        ("elements, offsets, envelope", lambda: full(data), 10 if small else 22 if large else 16, 33 if large else 22),
        ("the same as Segment objects", lambda: segments(data), 0, 0),
        ("verdict: envelope, repertoire", lambda: checked(data, ENVELOPE), 0, 0),
        ("verdict: directory too", lambda: checked(data), 0 if small else 3.5, 7),
        ("peek for routing", lambda: peek(data), 50, 105),
    ]
    peers: list[float] = []
    own: dict[str, list[float]] = {name: [] for name, *_ in works}
    for turn in range(rounds):
        if turn < peer_rounds:
            peers.append(timed(lambda: [Interchange.from_str(text) for _ in range(max(repeat // 20, 1))]))
            peers[-1] *= repeat / max(repeat // 20, 1)
        for name, work, _, _ in works:
            own[name].append(timed(partial(_repeated, work, repeat)))
    peer = statistics.median(peers)
    return [(name, peer / statistics.median(own[name]), floor, goal) for name, _, floor, goal in works]


def writing(size: int, rounds: int) -> float:
    """Our writer against pydifact's serializer, both from element lists."""
    data = b"".join(chunks(size))
    interchange = Interchange.from_str(data.decode())
    syntax = syntax_of(":+.? '", "UNOA", "3", advised=False)
    rows = [(segment.tag, *segment.elements) for segment in walk(data, ENVELOPE)]
    if segments_text(rows, syntax).encode() != data:
        raise SystemExit("what was written differs from what was read")
    peers, own = [], []
    for _ in range(rounds):
        peers.append(timed(interchange.serialize))
        own.append(timed(lambda: segments_text(rows, syntax).encode("latin-1")))
    return statistics.median(peers) / statistics.median(own)


def adversarial(size: int, rounds: int) -> list[tuple[str, float]]:
    """(what, cost per byte in units of the ordinary data's) for inputs made to be slow."""
    head, tail = b"UNB+UNOA:3+S+R+250101:1200+R1'UNH+1+ORDERS:D:96A:UN'BGM+1'", b"UNT+4+1'UNZ+1+R1'"
    plain = b"".join(chunks(size))
    hostile = {
        "released terminators": b"FTX+" + b"?'" * (size // 2) + b"'",
        "runs of releases": b"FTX+" + b"??" * (size // 2) + b"'",
        "empty elements": b"FTX" + b"+" * size + b"A'",
        "empty components": b"FTX+" + b":" * size + b"A'",
        "one endless segment": b"FTX+" + b"A" * size + b"'",
        "false ends": b"FTX+" + b"?'UNZ" * (size // 5) + b"'",
    }
    wide = Profile(validate=False, max_segment=1 << 30, max_elements=1 << 30)

    def elements(data: bytes) -> None:
        for segment in walk(data, wide):
            segment.elements  # noqa: B018 - reading it splits the segment

    cost: dict[str, list[float]] = {}
    for _ in range(rounds):
        usual = timed(lambda: elements(plain)) / len(plain)
        for name, body in hostile.items():
            data = head + body + tail
            cost.setdefault(name, []).append(timed(partial(elements, data)) / len(data) / usual)
    return [(name, statistics.median(values)) for name, values in cost.items()]


def memory(size: int) -> float:
    """Peak MB of a process of its own, interpreter and libraries included, that judges a stream of ``size`` bytes."""
    found = subprocess.run(
        [sys.executable, __file__, "--memory", str(size)], capture_output=True, text=True, check=True
    ).stdout
    return float(found)


def peak(size: int) -> None:
    """Print the peak of this process after it has read a stream."""
    report = read(chunks(size))
    if not report.valid:
        raise SystemExit(report.errors[:3])
    # Not getrusage: its peak includes that of the parent before it became another program.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    print(int(status.partition("VmHWM:")[2].split()[0]) / 1024)


def main() -> int:
    """Print the table; 1 if ``--check`` is given and a floor is not kept."""
    parser = argparse.ArgumentParser(description="EDIFACT in units of pydifact")
    parser.add_argument("--short", action="store_true", help="small data, for CI")
    parser.add_argument("--check", action="store_true", help="exit 1 if a ratio is under its floor")
    parser.add_argument("--memory", type=int, metavar="BYTES", help="only print the peak memory of one reading")
    options = parser.parse_args()
    if options.memory is not None:
        peak(options.memory)
        return 0
    warnings.simplefilter("ignore")
    over: list[str] = []

    def row(what: str, value: float, floor: float, goal: float, *, most: bool = False) -> None:
        bounds = f"{floor:8.1f}{goal:7.1f}" if floor or goal else ""
        print(f"  {what:34}{value:9.2f}{bounds}")
        if floor and (value > floor if most else value < floor):
            over.append(f"{what}: {value:.2f}, the floor is {floor}")

    sizes = [(1_500, 9, 9), (10_000_000, 3, 3), (50_000_000, 3, 1)]
    if options.short:
        sizes = [(1_500, 5, 5), (1_000_000, 3, 1)]
    for size, rounds, peer_rounds in sizes:
        print(f"{size / 1000:g} kB, times as fast as pydifact (1.0)            floor   goal")
        for what, value, floor, goal in against_pydifact(size, rounds, peer_rounds):
            # The floors are set for large data; 1 MB is told without one.
            row(what, value, 0 if size == 1_000_000 else floor, goal)
    print("writing from element lists, times as fast as pydifact")
    row("1 MB" if options.short else "10 MB", writing(1_000_000 if options.short else 10_000_000, 5), 2.0, 2.1)
    print("hostile input, cost per byte in units of ordinary data")
    for what, value in adversarial(300_000 if options.short else 3_000_000, 5):
        row(what, value, 2.0, 1.0, most=True)
    print("peak memory of judging a stream, MB")
    for size in (1_000_000, 20_000_000) if options.short else (1_000_000, 100_000_000):
        row(f"{size / 1e6:g} MB", memory(size), MEMORY_FLOOR, 20.0, most=True)
    for line in over:
        print(line, file=sys.stderr)
    return 1 if options.check and over else 0


if __name__ == "__main__":
    sys.exit(main())
