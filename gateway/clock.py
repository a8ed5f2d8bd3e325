"""The one clock of all rules.

*Strategy.* Rules think in Japan time, stores in microseconds since the epoch; both come from one object, so that a test
environment can start at another moment. Durations (timers of connections, retries) never use it: they are the loop's.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

__all__ = ["JAPAN", "Clock", "from_us", "to_us"]

JAPAN: Final = timezone(timedelta(hours=9), "JST")
"""Japan has had no summer time since 1951."""

_EPOCH_JAPAN: Final = datetime.fromtimestamp(0, JAPAN)
_EPOCH_UTC: Final = datetime.fromtimestamp(0, UTC)


def to_us(moment: datetime) -> int:
    """Whole microseconds since the epoch of an aware time."""
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


def from_us(microseconds: int) -> datetime:
    """Japan time of microseconds since the epoch."""
    return _EPOCH_JAPAN + timedelta(microseconds=microseconds)


class Clock:
    """System time, or in a test environment system time moved so that it began at ``start`` (aware)."""

    def __init__(self, start: datetime | None = None) -> None:
        self._base_us = 0 if start is None else to_us(start) - time.time_ns() // 1000
        self._shift_us = self._base_us

    @property
    def moved_us(self) -> int:
        """How far it has been moved since it began, in microseconds."""
        return self._shift_us - self._base_us

    def move(self, microseconds: int) -> None:
        """Move it so far from where it would be if nobody had moved it. Who rules over time calls this, nobody else."""
        self._shift_us = self._base_us + microseconds

    @property
    def shift_us(self) -> int:
        """How far it is from the system's, in microseconds."""
        return self._shift_us

    def follow(self, shift_us: int) -> None:
        """Show the time of another process's clock, which stands so far from the system's."""
        self._shift_us = shift_us

    def us(self) -> int:
        """Now, in microseconds since the epoch."""
        return time.time_ns() // 1000 + self._shift_us

    def now(self) -> datetime:
        """Now in Japan time."""
        return from_us(self.us())

    def utc(self) -> datetime:
        """Now in UTC, for envelopes."""
        return _EPOCH_UTC + timedelta(microseconds=self.us())
