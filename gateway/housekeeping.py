"""Housekeeping: what has to be done now and then, beside the messages.

*Strategy.* One task in the loop with plain intervals; whatever may block runs in a thread, whatever writes goes through
the clerk like everything else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import structlog

from sekisho.gateway.certificates import Certificates
from sekisho.gateway.clerk import Clerk
from sekisho.gateway.clock import Clock, from_us, to_us
from sekisho.gateway.delivery import Couriers
from sekisho.gateway.interchange import SENT, TAKEN, forget_references
from sekisho.mailboxes.store import Store, Unit

__all__ = ["Housekeeping", "dropped_before"]

log = structlog.get_logger("sekisho.housekeeping")
_NUDGE: Final = 0.2
"""Seconds a delivered mark waits at most for somebody else's commit; lost with a crash it costs one repeated mail."""
_LOOK: Final = 1.0
"""Seconds between looks for letters that came due, also by another process, and at the disk."""
_RENEW: Final = 60.0
"""Seconds until a renewed certificate is shown; SIGHUP does it at once."""
_PURGE: Final = 600.0
"""Seconds between rounds of purging; days are counted, so nothing depends on it."""


def dropped_before(now_us: int, days: int) -> int:
    """Letters created before this moment are dropped: ``days`` days are kept, the day of delivery included [spec].

    Days begin at midnight in Japan.
    """
    today = from_us(now_us).replace(hour=0, minute=0, second=0, microsecond=0)
    return to_us(today - timedelta(days=days - 1))


class Housekeeping:
    """Runs until cancelled.

    ``retention_days`` for letters nobody fetched, ``fetched_days`` for the others, ``journal_days`` for requests
    without letters.
    """

    def __init__(
        self,
        *,
        store: Store,
        clerk: Clerk,
        couriers: Couriers,
        clock: Clock,
        retention_days: int,
        fetched_days: int,
        journal_days: int,
        certificates: Certificates | None = None,
    ) -> None:
        self._certificates = certificates
        self._store, self._clerk, self._couriers, self._clock = store, clerk, couriers, clock
        self._retention_days = retention_days
        self._fetched_days = fetched_days
        self._journal_days = journal_days
        self._looked_at = {TAKEN: "", SENT: ""}
        """Where the last round stopped: each looks at a few, so that no number of them makes a commit long."""

    async def run(self) -> None:
        """All rounds at once."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._every(_NUDGE, self._nudge))
            group.create_task(self._every(_LOOK, self._look))
            group.create_task(self._every(_LOOK, self._checkpoint))
            group.create_task(self._every(_PURGE, self.purge))
            group.create_task(self._every(_RENEW, self._renew))

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Exception:
                log.exception("round.failed", work=work.__name__)
            await asyncio.sleep(seconds)

    async def _nudge(self) -> None:
        self._clerk.nudge()

    async def _look(self) -> None:
        self._clerk.watch_disk()
        self._couriers.refresh()
        self._couriers.look()

    async def _renew(self) -> None:
        if self._certificates is not None:
            self._certificates.look()

    async def _checkpoint(self) -> None:
        await asyncio.to_thread(self._store.checkpoint)

    async def purge(self) -> None:
        """Drop what is past its days, in small pieces, so that no commit is long."""
        now_us = self._clock.us()
        letters = dropped_before(now_us, self._retention_days)
        fetched = dropped_before(now_us, self._fetched_days)
        requests = dropped_before(now_us, self._journal_days)

        def piece(unit: Unit) -> int:
            return unit.purge(letters_before=letters, fetched_before=fetched, requests_before=requests, limit=500)

        def references(unit: Unit) -> None:
            for kind, after in self._looked_at.items():
                self._looked_at[kind] = forget_references(unit, kind, requests, after)

        await asyncio.wrap_future(self._clerk.call(references))
        total = 0
        while gone := await asyncio.wrap_future(self._clerk.call(piece)):
            total += gone
            await asyncio.sleep(0)
        if total:
            log.info("store.purged", rows=total)
