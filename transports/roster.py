"""Who is connected to a listener, and whether one more may be.

*Strategy.* Counts only: what is said to somebody who is one too many, and how those inside are ended, is the
listener's business.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import Generic, TypeVar

__all__ = ["Roster"]

C = TypeVar("C")


class Roster(Generic[C]):
    """Open connections of one listener, at most ``total`` and at most ``per_address`` of one peer address.

    ``accepted`` and ``refused`` count the attempts so far; nobody is let in when ``closed``.
    """

    def __init__(self, total: int, per_address: int) -> None:
        self._total = total
        self._per_address = per_address
        self._inside: set[C] = set()
        self._by_address: Counter[str] = Counter()
        self._emptied = asyncio.Event()
        self.accepted = 0
        self.refused = 0
        self.closed = False

    def __len__(self) -> int:
        return len(self._inside)

    @property
    def inside(self) -> tuple[C, ...]:
        """Who is inside now."""
        return tuple(self._inside)

    def enter(self, connection: C, host: str) -> bool:
        """Count a connection in; False when it is one too many."""
        if self.closed or len(self._inside) >= self._total or self._by_address[host] >= self._per_address:
            self.refused += 1
            return False
        self.accepted += 1
        self._inside.add(connection)
        self._by_address[host] += 1
        return True

    @property
    def worth_a_line(self) -> bool:
        """Whether to log the latest refusal: the 1st, 2nd, 4th, 8th ..., because a flood must not fill the log."""
        return self.refused & (self.refused - 1) == 0

    def leave(self, connection: C, host: str) -> None:
        """Count a connection out that was counted in."""
        self._inside.discard(connection)
        self._by_address[host] -= 1
        if self._by_address[host] <= 0:
            del self._by_address[host]
        if not self._inside:
            self._emptied.set()

    async def emptied(self, seconds: float) -> None:
        """Wait until nobody is inside, ``seconds`` at most."""
        if self._inside:
            self._emptied.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), seconds)
