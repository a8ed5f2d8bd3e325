"""Mutated interchanges, and what must hold of every one of them.

The long form is a program of its own::

    python tests/codecs/edifact/mutations.py 1000000

Each mutant is read whole and in chunks, peeked at, walked, and answered; the seed of a failing one is printed.
"""

import random
import sys
from pathlib import Path

from sekisho.codecs.edifact import NotAnswerable, Profile, Report, as_json, contrl, peek, read, walk, write_back

CORPUS = Path(__file__).parent / "corpus"
PIECES = (
    b"'", b"+", b":", b"?", b"*", b"??", b"?'", b"\r\n", b" ", b"UNA:+.? '", b"UNA", b"UNB", b"'UNZ", b"''", b"++++",
    b"UNB+UNOA:3+S+R+250101:1200+1'", b"UNH+1+CUSCAR:D:95B:UN'", b"UNT+3+1'", b"UNZ+1+R1'", b"UNE+1+1'", b"UNS+D'",
    b"UNG+CUSCAR+A+B+250101:1200+1+UN+D:95B'", b"\x00", b"\xff", b"\x1a", b"\x1b", b"\x1c", b"\x1d", b"\x1f",
    b"\xe3\x81\x82", b"-0", b".5", b"1,5", b"UNOY:4", b"UNOX:4", b"UNOC:3", b"\xef\xbb\xbf", b"A" * 40, b"::::",
    b"0" * 30,
)  # fmt: skip
PROFILES = (
    Profile(),
    Profile(strict=True),
    Profile(unwrap=True),
    Profile(max_segment=64, max_elements=8, max_messages=2, max_bytes=4000),
    Profile(charset="euc_jp", control_separators=True, code_lists=frozenset({"1001", "1153", "1225"})),
)


def seeds() -> list[bytes]:
    """The files of the corpus, none so long that mutating it shows little."""
    return [data for path in sorted(CORPUS.glob("*.edi")) if len(data := path.read_bytes()) < 2000]


def mutant(chance: random.Random, stock: list[bytes]) -> bytes:
    """One seed with some bytes changed, put in, taken out, doubled, moved or crossed with another seed."""
    data = bytearray(chance.choice(stock))
    for _ in range(chance.randint(1, 5)):
        at = chance.randrange(len(data) + 1)
        to = min(at + chance.randint(0, 12), len(data))
        kind = chance.randrange(6)
        if kind == 0:
            data[at:at] = chance.choice(PIECES)
        elif kind == 1:
            del data[at:to]
        elif kind == 2:
            data[at:to] = chance.randbytes(to - at)
        elif kind == 3:
            data[at:at] = data[at:to]
        elif kind == 4:
            other = chance.choice(stock)
            data[at:] = other[chance.randrange(len(other) + 1) :]
        else:
            data[at:to] = chance.choice(PIECES)
    return bytes(data)


def check(data: bytes, profile: Profile, cut: int) -> Report:
    """Raises AssertionError where a promise is broken; anything else that is raised is one too."""
    report = read(data, profile)
    for finding in (*report.errors, *report.findings):
        assert 0 <= finding.offset <= len(data), finding
        assert finding.interchange >= 1, finding
        assert finding.code.isdigit(), finding
        assert finding.text, finding
        assert finding.segment is None or finding.message is not None, finding
    assert report.valid == (bool(report.interchanges) and not report.errors)
    assert as_json(read((data[at : at + cut] for at in range(0, len(data), cut)), profile)) == as_json(report)
    written = b"".join(write_back(walk(data, profile)))
    if report.valid and not profile.unwrap:
        assert written == data
    peek(data)
    for interchange in report.interchanges:
        try:
            answer = contrl(interchange, report.errors_of(interchange), reference="C", date="20250101", time="0000")
        except NotAnswerable:
            continue
        assert len(read(answer).interchanges) == 1
    return report


def run(count: int, start: int = 0) -> int:
    """Check ``count`` mutants; how many of them were valid. Prints the number of one that fails."""
    stock = seeds()
    valid = 0
    for number in range(start, start + count):
        chance = random.Random(number)
        data = mutant(chance, stock)
        profile = PROFILES[number % len(PROFILES)]
        try:
            valid += check(data, profile, chance.randint(1, 40)).valid
        except BaseException:
            sys.stderr.write(f"mutant {number}: {data!r}\n")
            raise
    return valid


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    sys.stdout.write(f"{wanted} mutants, {run(wanted, first)} of them valid\n")
