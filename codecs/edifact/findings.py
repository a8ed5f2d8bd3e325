"""What is wrong with a transmission, where, and how it is counted.

*Strategy.* A deviation is a value: an error code of element 0085, the level that a CONTRL reports it at, and a position
by the counting rules of ISO 9735. Whether it is an *error* (the interchange is not acceptable) or a *finding* (read
anyway) is decided where it is found; a strict profile takes every finding as an error. Collecting stops at a bound, and
the number of what was left out is kept, so no input makes the list grow without end.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

__all__ = ["PER_SEGMENT", "SEGMENTS_PER_MESSAGE", "Finding", "Findings", "Level"]

PER_SEGMENT: Final = 99
"""Errors of one segment that a CONTRL can hold (UCD x99)."""
SEGMENTS_PER_MESSAGE: Final = 999
"""Segments with errors of one message that a CONTRL can hold (SG2 x999)."""


class Level(Enum):
    """The CONTRL segment that reports a finding."""

    INTERCHANGE = "UCI"
    GROUP = "UCF"
    MESSAGE = "UCM"
    SEGMENT = "UCS"
    ELEMENT = "UCD"


@dataclass(frozen=True, slots=True)
class Finding:
    """One deviation.

    ``code`` is a code of element 0085, as text. ``interchange``, ``group`` and ``message`` count from 1, None outside
    one. ``segment`` counts inside the message (UNH is 1; of a missing segment: the last one before its place), None
    outside a message; ``place`` counts all segments of the interchange (UNB is 1). ``element`` is 0098: the tag is 1,
    the first element 2; ``component`` is 0104, ``repeat`` 0136, both from 1. ``offset`` is in bytes from the start of
    the transmission. ``text`` is public.
    """

    code: str
    level: Level
    interchange: int
    offset: int
    text: str
    tag: str | None = None
    message: int | None = None
    group: int | None = None
    segment: int | None = None
    place: int | None = None
    element: int | None = None
    component: int | None = None
    repeat: int | None = None


class Findings:
    """Collects errors and findings of one transmission, ``limit`` of each at most."""

    def __init__(self, limit: int = 1000, *, strict: bool = False) -> None:
        self.errors: list[Finding] = []
        self.findings: list[Finding] = []
        self.limit = limit
        self.strict = strict
        self.count = 0
        """Errors seen, those left out of the list among them."""
        self.left_out = 0
        self._segment: tuple[int, int | None, int | None] = (0, None, None)
        self._in_segment = 0
        self._message: tuple[int, int | None] = (0, None)
        self._segments = 0

    def add(self, finding: Finding, *, tolerated: bool = False) -> None:
        """Take one in; ``tolerated`` makes it a finding unless the profile is strict."""
        if tolerated and not self.strict:
            if len(self.findings) < self.limit:
                self.findings.append(finding)
            else:
                self.left_out += 1
            return
        self.count += 1
        if len(self.errors) < self.limit and self._room(finding):
            self.errors.append(finding)
        else:
            self.left_out += 1

    def _room(self, finding: Finding) -> bool:
        """Whether a CONTRL could still name it: 99 a segment, 999 segments a message."""
        segment = (finding.interchange, finding.message, finding.place)
        if segment == self._segment:
            self._in_segment += 1
            return self._in_segment <= PER_SEGMENT and self._segments <= SEGMENTS_PER_MESSAGE
        self._segment, self._in_segment = segment, 1
        if self._message != segment[:2]:
            self._message, self._segments = segment[:2], 0
        self._segments += 1
        return self._segments <= SEGMENTS_PER_MESSAGE

    def note(self, finding: Finding) -> None:
        """Take in what no profile minds: what was not checked, and how the data was read."""
        if len(self.findings) < self.limit:
            self.findings.append(finding)
        else:
            self.left_out += 1
