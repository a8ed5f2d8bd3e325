"""The codec beside ``bytes.split``: ratios of one run (goal G12).

    python benchmarks/codec.py            # prints the table
    python benchmarks/codec.py --check    # and exits 1 if a ratio is over its floor

The message is a 400-byte header and 60 items (about 1,640 bytes): once pure ASCII, once with kanji in the two long
items of kind j (remarks).
What is timed: routing (a header and business code, user ID, password, system), and the full decode (header check,
table look-up, every item checked and trimmed), each against splitting the same message on CRLF, which is the least
that eager work can cost. Rounds are interleaved, CPU time is taken, and the median round counts, so other load on the
machine changes both sides alike.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import Final

from sekisho.codecs.header import Header
from sekisho.codecs.layout import Item, Layout
from sekisho.codecs.message import Catalogue, as_json, from_json, read_message

ROUNDS: Final = 41
CALLS: Final = 200
FULL_FLOOR: Final = 6.0
FULL_GOAL: Final = 3.5
ROUTE_FLOOR: Final = 0.5
ROUTE_GOAL: Final = 0.2

# kind, size, how many: 60 items, 1,220 bytes with their CRLFs
SHAPE: Final = (
    ("an", 35, 8),
    ("an", 25, 9),
    ("an", 17, 7),
    ("an", 11, 8),
    ("an", 5, 8),
    ("j", 70, 2),
    ("j", 35, 2),
    ("n", 12, 8),
    ("date", 8, 4),
    ("time", 4, 2),
    ("flag", 1, 2),
)
KANJI: Final = ("神戸市中央区波止場町一丁目", "見本運輸株式会社　神戸支店", "保税蔵置場（ＳＡＭＰＬＥ）", "取扱注意")


def table() -> Layout:
    """The item table of the message."""
    kinds = [(kind, size) for kind, size, count in SHAPE for _ in range(count)]
    random.Random(1).shuffle(kinds)
    items = [
        Item(no + 2, f"item {no}", f"I{no:02d}", kind, size, "", 1, "M" if no < 2 else "", secret=False, note="")
        for no, (kind, size) in enumerate(kinds)
    ]
    return Layout("BENCH.in", {"code": "BENCH"}, (), items)


def value(item: Item, rng: random.Random, *, kanji: bool) -> str:
    """A sample value: a fifth of the items are blank, the others between half and wholly filled."""
    if not item.required and rng.random() < 0.2:
        return ""
    if item.kind == "n":
        return str(rng.randrange(1, 10**8))
    if item.kind == "j" and item.size == 70 and kanji:
        return rng.choice(KANJI)
    fixed = {"date": "20260401", "time": "0930", "flag": "*"}
    letters = rng.choices("ABCDEFGHJKLMNP0123456789", k=rng.randint(item.size // 2, item.size))
    return fixed.get(item.kind) or "".join(letters)


def message(layout: Layout, *, kanji: bool) -> bytes:
    """The message as an in-house system sends it."""
    rng = random.Random(2)
    body = layout.join([value(item, rng, kanji=kanji) for item in layout.items])
    header = "   BENCH".ljust(29) + "1ANACA0ASAMPLE01".ljust(190) + "TAG 0001 20260401".ljust(34)
    header += "0000000001".ljust(111)
    return f"{header}2".ljust(392).encode("ascii") + b"%06d\r\n" % (400 + len(body)) + body


def ratio(content: bytes, work: Callable[[], object]) -> tuple[float, float, float]:
    """CPU time of ``work`` by that of ``content.split``, and both in microseconds: medians of interleaved rounds."""
    ratios, base, own = [], [], []
    for _ in range(ROUNDS):
        started = time.process_time_ns()
        for _ in range(CALLS):
            content.split(b"\r\n")
        between = time.process_time_ns()
        for _ in range(CALLS):
            work()
        ended = time.process_time_ns()
        base.append((between - started) / CALLS / 1000)
        own.append((ended - between) / CALLS / 1000)
        ratios.append(own[-1] / base[-1])
    return statistics.median(ratios), statistics.median(own), statistics.median(base)


def candidates(content: bytes, catalogue: Catalogue) -> list[tuple[str, Callable[[], object], float, float]]:
    """What is timed: name, work, floor and goal (0 where none is set). Exits if the sample does not conform."""
    read = read_message(content, catalogue, direction="in")
    if read.findings or read.errors:
        raise SystemExit(f"the sample does not conform: {read.findings or read.errors}")
    body = b"\r\n".join(part.rstrip(b" ") for part in content[400:].split(b"\r\n"))
    unpadded = content[:392] + b"%06d\r\n" % (400 + len(body)) + body
    shown = as_json(read)

    def route() -> tuple[str, ...]:
        header = Header(content)
        return header.business_code, header.user_id, header.password, header.system

    return [
        ("routing", route, ROUTE_FLOOR, ROUTE_GOAL),
        ("full decode", lambda: read_message(content, catalogue, direction="in"), FULL_FLOOR, FULL_GOAL),
        ("full decode, unpadded sender", lambda: read_message(unpadded, catalogue, direction="in"), 0, 0),
        ("as JSON, decoded before", lambda: as_json(read), 0, 0),
        ("encode from JSON", lambda: from_json(shown, catalogue), 0, 0),
    ]


def main() -> int:
    """Print the table; 1 if ``--check`` is given and a floor is not kept."""
    parser = argparse.ArgumentParser(description="Codec speed in units of bytes.split")
    parser.add_argument("--check", action="store_true", help="exit 1 if a ratio is over its floor")
    check = parser.parse_args().check
    layout = table()
    catalogue = Catalogue({"BENCH.in": layout})
    over = []
    print(f"{'':34}{'x split':>8}{'us':>8}{'split us':>10}   floor  goal")
    for name, kanji in (("ASCII", False), ("kanji", True)):
        content = message(layout, kanji=kanji)
        print(f"{name}: {len(content)} bytes, {len(layout.items)} items")
        for what, work, floor, goal in candidates(content, catalogue):
            times, own, base = ratio(content, work)
            bounds = f"{floor:8.1f}{goal:6.1f}" if floor else ""
            print(f"  {what:32}{times:8.2f}{own:8.2f}{base:10.2f}{bounds}")
            if floor and times > floor:
                over.append(f"{name} {what}: {times:.2f} x split, the floor is {floor}")
    for line in over:
        print(line, file=sys.stderr)
    return 1 if check and over else 0


if __name__ == "__main__":
    sys.exit(main())
