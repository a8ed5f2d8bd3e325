"""The pen: one thread that does what waits for the disk, and tells the loop when it is done.

*Strategy.* An executor with its futures costs more than the work here (a commit of a fifth of a millisecond): one
queue, one thread, one call back into the loop for each order.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["Pen"]

T = TypeVar("T")
_Order = tuple[Callable[[], Any], Callable[[Any, BaseException | None], None]]


class Pen:
    """Orders are worked off one after the other; ``done(result, error)`` is called in the loop, one of the two None."""

    def __init__(self, name: str) -> None:
        self._orders: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin; ``loop`` is where everybody is told."""
        self._loop = loop
        self._thread.start()

    def put(self, work: Callable[[], T], done: Callable[[T | None, BaseException | None], None]) -> None:
        """Have something done."""
        self._orders.put((work, done))

    async def stop(self) -> None:
        """Finish what was ordered and end the thread."""
        self._orders.put(None)
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        loop = self._loop
        while loop is not None and (order := self._orders.get()) is not None:
            work, done = order
            result: Any = None
            error: BaseException | None = None
            try:
                result = work()
            except BaseException as raised:  # noqa: BLE001 - whoever ordered it is told
                error = raised
            try:
                loop.call_soon_threadsafe(done, result, error)
            except RuntimeError:  # the loop has closed: nobody is left to be told
                return
