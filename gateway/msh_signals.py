"""Signals that go out by a post of their own: Acknowledgments, errors, Pongs to partners that answer asynchronously.

*Strategy.* A signal is said a few times and then forgotten: it is stored with the message it answers, and a partner
that missed it sends that message again. Nothing waits for it, and what waits for a partner is bounded.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

import structlog

from sekisho.gateway.msh_words import Answered
from sekisho.transports.ebms import EbmsSender, Target

__all__ = ["SignalPost"]

log = structlog.get_logger("sekisho.ebms")
_MOST: Final = 1000
"""Signals that wait for one partner; beyond that the oldest is dropped, and asked for again."""


class _Line:
    """One partner's signals, in order."""

    def __init__(self, name: str, target: Target, tries: int, wait: float) -> None:
        self._name = name
        self._tries = tries
        self._wait = wait
        self._sender = EbmsSender(target)
        self._waiting: deque[Answered] = deque(maxlen=_MOST)
        self._task: asyncio.Task[None] | None = None

    def put(self, signal: Answered) -> None:
        self._waiting.append(signal)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name=f"ebms-signals-{self._name}")

    async def _run(self) -> None:
        while self._waiting:
            signal = self._waiting.popleft()
            for attempt in range(1, self._tries + 1):
                posted = await self._sender.post(signal.content_type, signal.body)
                if posted.outcome == "answered" and posted.status < 500:
                    log.debug("ebms.signal_posted", partner=self._name, status=posted.status)
                    break
                log.warning("ebms.signal_unposted", partner=self._name, attempt=attempt, text=posted.text)
                if attempt < self._tries:
                    await asyncio.sleep(self._wait * attempt)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._sender.close()


class SignalPost:
    """The lines of all partners: ``tries`` attempts a signal, ``wait`` seconds after the first, twice that then."""

    def __init__(self, *, tries: int = 3, wait: float = 5.0) -> None:
        self._tries = tries
        self._wait = wait
        self._lines: dict[str, _Line] = {}

    def put(self, partner: str, target: Target, signal: Answered) -> None:
        """Have a signal posted."""
        line = self._lines.get(partner)
        if line is None:
            line = self._lines[partner] = _Line(partner, target, self._tries, self._wait)
        line.put(signal)

    async def close(self) -> None:
        """Drop what waits and close the connections."""
        await asyncio.gather(*(line.close() for line in self._lines.values()))
