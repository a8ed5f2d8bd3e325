"""The store in one SQLite file: opening, transactions, views, checkpoints.

*Strategy.* One writer connection behind a lock, a few reading ones beside it. WAL with synchronous=FULL: a commit is
one fdatasync of the log. The log is never copied back by a commit (wal_autocheckpoint=0), because the one commit that
does it makes everybody wait; :meth:`SqliteStore.checkpoint` does it from a thread of its own.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal, overload

import structlog

from sekisho.mailboxes import migrations
from sekisho.mailboxes.sqlite_unit import Counters, SqliteUnit
from sekisho.mailboxes.sqlite_view import SqliteView
from sekisho.mailboxes.store import StoreError

__all__ = ["SqliteStore"]

BUSY_SECONDS: Final = 10
"""How long to wait for another process's transaction before giving up with StoreError."""

WAL_TRUNCATE: Final = 64 << 20
"""Above this size the log is emptied by the next checkpoint that finds no transaction open (bytes)."""

WAL_LIMIT: Final = 4 * WAL_TRUNCATE
"""Above this size the checkpoint makes the next transaction wait for it (bytes)."""

CHECK_LIMIT: Final = 256 << 20
"""Larger files are not checked at start after an unclean end: about a second a GB, while senders wait (bytes)."""

_BUSY_PAUSE: Final = 0.002
"""Between two looks at another process's lock (seconds)."""
_IDLE_READERS: Final = 4
_SETTINGS: Final = (
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    # What is written is read soon after (letters by the courier); index pages should stay. 32 MiB.
    "PRAGMA cache_size=-32768",
    # With a mapped file a disk error is a signal that kills the process, not an error that can be told apart.
    "PRAGMA mmap_size=0",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA wal_autocheckpoint=0",
    f"PRAGMA journal_size_limit={WAL_TRUNCATE}",
)


class SqliteTransaction:
    """See :class:`sekisho.mailboxes.store.Transaction`."""

    __slots__ = ("_ended", "_store", "unit")

    def __init__(self, store: SqliteStore, unit: SqliteUnit) -> None:
        self._store = store
        self._ended = False
        self.unit = unit

    def seal(self) -> None:
        """See :meth:`sekisho.mailboxes.store.Transaction.seal`."""
        self.unit.flush()

    def commit(self) -> None:
        """See :meth:`sekisho.mailboxes.store.Transaction.commit`."""
        try:
            self._store.commit_unit()
        except BaseException:
            self.undo()
            raise
        self._ended = True
        self._store.end_unit(self.unit, undo=False)

    def undo(self) -> None:
        """See :meth:`sekisho.mailboxes.store.Transaction.undo`."""
        if not self._ended:
            self._ended = True
            self._store.end_unit(self.unit, undo=True)


class SqliteStore:
    """A store in the file ``path``, made if it is missing or empty. ``clock_us`` gives the time for uid_validity.

    Raises UnknownSchema if the file has another release's schema, StoreError if it is damaged or cannot be opened.
    """

    def __init__(self, path: Path | str, *, clock_us: Callable[[], int]) -> None:
        self._path = Path(path)
        self._wal = self._path.with_name(self._path.name + "-wal")
        self._clock = clock_us
        self._log = structlog.get_logger().bind(store=str(self._path))
        self._lock = threading.Lock()
        self._owner: int | None = None
        self._readers: list[sqlite3.Connection] = []
        self._readers_lock = threading.Lock()
        self._checkpoint_lock = threading.Lock()
        self._commits = 0
        self._foreign = False
        self._fatal = ""
        self._closed = False
        self._counters = Counters()
        if not migrations.check(self._path):
            migrations.upgrade(self._path)
        unclean = self._wal_bytes() > 0
        self._writer = self._connect()
        # Who may wait for another process waits in _begin: the engine's own waiting would hold up a whole loop.
        self._writer.execute("PRAGMA busy_timeout=0")
        try:
            if unclean:
                self._check()
            self._version = self._data_version()
        except (sqlite3.Error, StoreError) as error:
            self._writer.close()
            raise StoreError(f"{self._path} cannot be used: {error}") from error

    def _connect(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
            )
            mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
            for setting in _SETTINGS:
                connection.execute(setting)
        except sqlite3.Error as error:
            raise StoreError(f"{self._path} cannot be opened: {error}") from error
        if mode != "wal":
            connection.close()
            raise StoreError(f"{self._path}: this file system cannot hold a write-ahead log (journal mode {mode})")
        return connection

    def _check(self) -> None:
        """The last end was unclean: look for damage, where that does not keep senders waiting."""
        size = self._path.stat().st_size
        if size > CHECK_LIMIT:
            self._log.warning("store.check_skipped", size=size, limit=CHECK_LIMIT)
            return
        found = [row[0] for row in self._writer.execute("PRAGMA quick_check(5)")]
        if found != ["ok"]:
            raise StoreError("damaged: " + "; ".join(found))
        self._log.info("store.checked", size=size)

    def _wal_bytes(self) -> int:
        try:
            return self._wal.stat().st_size
        except OSError:
            return 0

    def _data_version(self) -> int:
        return int(self._writer.execute("PRAGMA data_version").fetchone()[0])

    # Writing
    @contextlib.contextmanager
    def transaction(self) -> Iterator[SqliteUnit]:
        """See :meth:`sekisho.mailboxes.store.Store.transaction`."""
        transaction = self.begin()
        try:
            yield transaction.unit
            transaction.seal()
            transaction.commit()
        finally:
            transaction.undo()

    @overload
    def begin(self, *, wait: Literal[True] = True) -> SqliteTransaction: ...
    @overload
    def begin(self, *, wait: bool) -> SqliteTransaction | None: ...
    def begin(self, *, wait: bool = True) -> SqliteTransaction | None:
        """See :meth:`sekisho.mailboxes.store.Store.begin`."""
        if self._owner == threading.get_ident():
            raise StoreError("a transaction of this thread is open")
        if not self._lock.acquire(blocking=wait):
            return None
        begun = False
        try:
            begun = self._begin(BUSY_SECONDS if wait else 0)
            if begun:
                self._owner = threading.get_ident()
                return SqliteTransaction(self, SqliteUnit(self._writer, self._counters, self._clock))
            return None
        finally:
            if not begun:
                self._lock.release()

    def _begin(self, seconds: float) -> bool:
        """Take the engine's write lock; False if another process holds it and ``seconds`` is 0."""
        if self._closed:
            raise StoreError("the store is closed")
        if self._fatal:
            raise StoreError(f"an earlier commit failed, nothing can be promised any more: {self._fatal}")
        deadline = time.monotonic() + seconds
        while True:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                self._look()
            except sqlite3.Error as error:
                self._rollback()
                if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                    if not seconds:
                        return False
                    if time.monotonic() < deadline:
                        time.sleep(_BUSY_PAUSE)
                        continue
                raise StoreError(f"no transaction could be begun: {error}") from error
            return True

    def commit_unit(self) -> None:
        """The synced commit of the open transaction; used by :class:`SqliteTransaction`."""
        self._commit()

    def end_unit(self, unit: SqliteUnit, *, undo: bool) -> None:
        """Let the next transaction begin; used by :class:`SqliteTransaction`."""
        try:
            if undo:
                self._counters.clear()
                self._rollback()
        finally:
            unit.end()
            self._owner = None
            self._lock.release()

    def _look(self) -> None:
        """Notice commits of other processes."""
        version = self._data_version()
        if version != self._version:
            self._version = version
            self._foreign = True
            self._counters.clear()

    def _commit(self) -> None:
        if not self._writer.in_transaction:
            raise StoreError("the engine gave the transaction up")
        try:
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            # After a failed sync nobody knows what the disk holds (R5): only a new process may go on. A full disk is
            # known: nothing of the transaction is there, and when there is room again, work goes on (R4).
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                self._fatal = str(error)
                self._log.critical("store.commit_failed", error=self._fatal, code=error.sqlite_errorname)
            raise StoreError(f"the commit failed: {error}") from error
        self._commits += 1

    def _rollback(self) -> None:
        if self._writer.in_transaction:
            try:
                self._writer.execute("ROLLBACK")
            except sqlite3.Error as error:
                self._fatal = str(error)

    # Reading
    @contextlib.contextmanager
    def view(self) -> Iterator[SqliteView]:
        """See :meth:`sekisho.mailboxes.store.Store.view`. The state is that of the moment the view is opened."""
        if self._closed:
            raise StoreError("the store is closed")
        with self._readers_lock:
            connection = self._readers.pop() if self._readers else None
        if connection is None:
            connection = self._connect()
        view = SqliteView(connection)
        try:
            try:
                connection.execute("BEGIN")
                # BEGIN alone sees nothing yet: the first read takes the snapshot.
                connection.execute("SELECT 1 FROM lane LIMIT 1").fetchone()
            except sqlite3.Error as error:
                raise StoreError(f"the store cannot be read: {error}") from error
            yield view
        finally:
            view.end()
            self._put_back(connection)

    def _put_back(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            connection.close()
            return
        with self._readers_lock:
            if len(self._readers) < _IDLE_READERS and not self._closed:
                self._readers.append(connection)
                return
        connection.close()

    def changed_elsewhere(self) -> bool:
        """See :meth:`sekisho.mailboxes.store.Store.changed_elsewhere`."""
        # While a transaction of ours is open nobody else can commit, and its beginning has looked.
        if self._lock.acquire(blocking=False):
            try:
                if not self._closed:
                    self._look()
            except sqlite3.Error as error:
                raise StoreError(f"the store cannot be read: {error}") from error
            finally:
                self._lock.release()
        changed, self._foreign = self._foreign, False
        return changed

    @property
    def commits(self) -> int:
        """Transactions committed by this object so far."""
        return self._commits

    def free_bytes(self) -> int:
        """Free bytes of the file system that holds the file."""
        return shutil.disk_usage(self._path.parent).free

    def checkpoint(self) -> None:
        """Copy the log into the file beside the commits; empty it when it has grown and nobody writes.

        Holds the write lock only in the second case, and in any case above :data:`WAL_LIMIT`. A reader that stays
        long makes it do less; the next call does the rest.
        """
        with self._checkpoint_lock, contextlib.closing(self._connect()) as connection:
            try:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                size = self._wal_bytes()
                if size <= WAL_TRUNCATE or not self._lock.acquire(blocking=size > WAL_LIMIT):
                    return
                try:
                    # Readers that do not end are not waited for long: senders wait meanwhile.
                    connection.execute("PRAGMA busy_timeout=200")
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                finally:
                    self._lock.release()
            except sqlite3.Error as error:
                raise StoreError(f"the checkpoint failed: {error}") from error
            self._log.info("store.log_truncated", was=size, size=self._wal_bytes())

    def close(self) -> None:
        """Close; idempotent. Waits for an open transaction; views that are still open keep their connections."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            with self._readers_lock:
                idle, self._readers = self._readers, []
            # The last connection to close copies the log back and removes it: a clean end.
            for connection in [*idle, self._writer]:
                connection.close()
