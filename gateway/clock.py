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
        self._shift_us = 0 if start is None else to_us(start) - time.time_ns() // 1000

    def us(self) -> int:
        """Now, in microseconds since the epoch."""
        return time.time_ns() // 1000 + self._shift_us

    def now(self) -> datetime:
        """Now in Japan time."""
        return from_us(self.us())

    def utc(self) -> datetime:
        """Now in UTC, for envelopes."""
        return _EPOCH_UTC + timedelta(microseconds=self.us())
