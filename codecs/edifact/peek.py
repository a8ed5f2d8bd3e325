"""What is in a transmission, for routing: nothing is checked, and only headers are split.

*Strategy.* ``UNH`` and the like are looked for as bytes; a hit counts where an unreleased terminator, and nothing but
white space, stands before it. Data between headers is never looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from sekisho.codecs.edifact.segment import Segment
from sekisho.codecs.edifact.syntax import CONTROL_ADVICE, DEFAULT_ADVICE, Syntax, syntax_of

__all__ = ["Peeked", "PeekedMessage", "peek"]

_OPENING: Final = re.compile(rb"(?:UNA(.{6})[ \t\r\n]*)?UNB(.)(\w{0,6})(?:\W(\w{0,3}))?", re.DOTALL)
_SKIPPED: Final = re.compile(rb"(?:\xef\xbb\xbf|[\x00\x1a \t\r\n])*")
_BLANK: Final = b" \t\r\n"


@dataclass(slots=True)
class PeekedMessage:
    """One UNH: reference, S009 as sent, offset of UNH."""

    reference: str
    identifier: tuple[str, ...]
    offset: int


@dataclass(slots=True)
class Peeked:
    """One interchange as its headers tell it; ``count`` is what UNZ says, empty without a UNZ; ``end`` behind it."""

    offset: int
    syntax: Syntax
    sender: tuple[str, ...]
    recipient: tuple[str, ...]
    reference: str
    acknowledge: str
    test: str
    groups: int = 0
    messages: list[PeekedMessage] = field(default_factory=list)
    count: str = ""
    end: int = 0


def peek(data: bytes) -> list[Peeked]:
    """The interchanges of a transmission by their headers. Raises nothing for any bytes; other data is passed over."""
    found: list[Peeked] = []
    at = 0
    while True:
        skipped = _SKIPPED.match(data, at)
        at = skipped.end() if skipped else at
        opening = _OPENING.match(data, at) or _OPENING.search(data, at)
        if opening is None:
            return found
        one = _interchange(data, opening)
        found.append(one)
        at = max(one.end, opening.end())


def _interchange(data: bytes, opening: re.Match[bytes]) -> Peeked:
    advised = opening[1] is not None
    advice = opening[1].decode("latin-1") if advised else DEFAULT_ADVICE
    if not advised and opening[2] == b"\x1d":
        advice = CONTROL_ADVICE
    version = (opening[4] or b"").decode("latin-1")
    syntax = syntax_of(advice, opening[3].decode("latin-1"), version, advised=advised)
    start = opening.start(2) - 3
    unb, at = _segment(data, start, syntax)
    sender, recipient = unb.parts(1), unb.parts(2)
    one = Peeked(opening.start(), syntax, sender, recipient, unb.get(4), unb.get(8), unb.get(10))
    for tag, place in _headers(data, at - 1, syntax):
        if tag == b"UNH":
            unh, _ = _segment(data, place, syntax)
            one.messages.append(PeekedMessage(unh.get(0), unh.parts(1), place))
        elif tag == b"UNG":
            one.groups += 1
        elif tag == b"UNZ":
            unz, one.end = _segment(data, place, syntax)
            one.count = unz.get(0)
            return one
        else:
            one.end = place
            return one
    one.end = len(data)
    return one


def _headers(data: bytes, at: int, syntax: Syntax) -> Iterator[tuple[bytes, int]]:
    """Tags and offsets of UNH, UNG, UNZ, UNB and UNA from the terminator at ``at`` on."""
    terminator, release = syntax.terminator.encode("latin-1"), syntax.release.encode("latin-1")
    for found in re.compile(re.escape(terminator) + rb"[ \t\r\n]*(UN[HGZAB])").finditer(data, at):
        place = found.start()
        if release and data[place - 1 : place] == release:
            run = place
            while data[run - 1 : run] == release:
                run -= 1
            if (place - run) % 2:
                continue
        if found[1] == b"UNA" and not data[found.start(1) + 9 : found.start(1) + 73].lstrip(_BLANK).startswith(b"UNB"):
            continue
        yield found[1], found.start(1)


def _segment(data: bytes, start: int, syntax: Syntax) -> tuple[Segment, int]:
    """The segment at ``start`` and the offset behind its terminator."""
    terminator, release = syntax.terminator.encode("latin-1"), syntax.release.encode("latin-1")
    size = 512
    while True:
        raw = data[start : start + size]
        while release and (len(raw) - len(raw.rstrip(release))) % 2:
            raw = raw[:-1]
        marked = syntax.marked(raw.decode("latin-1"))
        text, terminated, _ = marked.partition(syntax.terminator)
        if terminated or start + size >= len(data) or size > 1 << 16:
            return Segment(text, start, 0, syntax), start + syntax.size(text) + len(terminated and terminator)
        size *= 8
