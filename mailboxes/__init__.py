"""What is kept: requests, letters, boxes, users and records, in a store that says yes only after a synced commit.

:func:`open_store` is the way in; ``store.py`` says what a store promises, ``letters.py`` what the values are.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sekisho.mailboxes.store import Conflict, Store, StoreError, Unit, UnknownSchema, View

__all__ = ["Conflict", "Store", "StoreError", "Unit", "UnknownSchema", "View", "open_store"]


def open_store(url: str, data: Path, clock_us: Callable[[], int]) -> Store:
    """The store that ``url`` names: ``sqlite`` (the file ``sekisho.db`` in the folder ``data``) or ``memory``.

    ``clock_us`` gives the time in microseconds since the epoch. ``memory`` keeps nothing and is for tests. Raises
    StoreError if the name is unknown or the store cannot be opened, UnknownSchema if it is another release's.
    """
    if url == "sqlite":
        from sekisho.mailboxes.sqlite import SqliteStore  # noqa: PLC0415 - only what is used is loaded

        try:
            data.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"the folder {data} cannot be made: {error}") from error
        return SqliteStore(data / "sekisho.db", clock_us=clock_us)
    if url == "memory":
        from sekisho.mailboxes.memory import MemoryStore  # noqa: PLC0415 - same

        return MemoryStore(clock_us=clock_us)
    raise StoreError(f"there is no store {url!r}: sqlite or memory")
