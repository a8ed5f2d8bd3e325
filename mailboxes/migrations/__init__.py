"""Making and upgrading a store's schema.

*Strategy.* The version of a store is read with one PRAGMA and needs nothing but sqlite3. Alembic and SQLAlchemy are
imported only when a schema must be made or changed: together they take longer to import than a gateway takes to start.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Final

from sekisho.mailboxes.store import StoreError, UnknownSchema

__all__ = ["SCHEMA_VERSION", "SHARED_SIZE", "check", "upgrade", "version"]

SCHEMA_VERSION: Final = 5
"""The schema this release works on; PRAGMA user_version of a SQLite file, the number of the last migration."""


SHARED_SIZE: Final = 4096
"""From this size on (bytes) equal bytes are kept once; part of the schema, and known without SQLAlchemy."""


def version(path: Path) -> int | None:
    """The schema version of the file, None if it is missing or holds no table yet."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as connection:
            tables, number = connection.execute(
                "SELECT (SELECT count(*) FROM sqlite_schema), user_version FROM pragma_user_version"
            ).fetchone()
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path} is no SQLite database or cannot be read: {error}") from error
    return int(number) if tables else None


def check(path: Path) -> bool:
    """Whether the file has the schema of this release; False if it is empty. Raises UnknownSchema for any other."""
    found = version(path)
    if found is None or found == SCHEMA_VERSION:
        return found is not None
    if 0 < found < SCHEMA_VERSION:
        raise UnknownSchema(
            f"{path} has schema {found}, this release works on {SCHEMA_VERSION}: "
            "stop every gateway on it, make a copy, run `sekisho db upgrade`"
        )
    if found > SCHEMA_VERSION:
        raise UnknownSchema(
            f"{path} has schema {found}, newer than {SCHEMA_VERSION} of this release: use the release that wrote it"
        )
    raise UnknownSchema(f"{path} holds tables that are no store of sekisho: name another file, or move this one away")


def upgrade(path: Path) -> int:
    """Bring the file to the schema of this release, making it if need be; gives the version. Nothing happens twice.

    The whole way is one transaction under the write lock, so a crash leaves the old schema and two starts at once
    make one store. Raises UnknownSchema if the file is newer than this release or not a store, StoreError on failure.
    """
    found = version(path)
    if found is not None and not 0 < found <= SCHEMA_VERSION:
        check(path)
    if found == SCHEMA_VERSION:
        return SCHEMA_VERSION
    # Letters and password hashes are nobody else's business; SQLite gives the WAL the same mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    from sekisho.mailboxes.migrations.run import migrate  # noqa: PLC0415 - see Strategy

    migrate(path, SCHEMA_VERSION)
    return SCHEMA_VERSION
