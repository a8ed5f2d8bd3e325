"""Running the migrations with Alembic. Imported only when there is something to migrate."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import SQLAlchemyError

from sekisho.mailboxes.store import StoreError

__all__ = ["configuration", "engine", "migrate"]


def engine(path: Path) -> sqlalchemy.Engine:
    """An engine on the file that opens no transaction of its own: the caller's BEGIN IMMEDIATE is the one."""

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(path, timeout=10, isolation_level=None)

    return sqlalchemy.create_engine("sqlite+pysqlite://", creator=connect, poolclass=sqlalchemy.pool.NullPool)


def configuration(connection: sqlalchemy.Connection) -> Config:
    """Alembic's settings; they live here and not in an alembic.ini, so that they are in the wheel."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config


def migrate(path: Path, version: int) -> None:
    """Run every migration that the file has not had, up to ``version``, in one transaction. Raises StoreError."""
    try:
        with engine(path).connect() as connection:
            # WAL is a property of the file and cannot be set inside a transaction.
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            connection.exec_driver_sql("PRAGMA synchronous=FULL")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            found = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            if found < version:
                command.upgrade(configuration(connection), f"{version:04d}")
                connection.exec_driver_sql(f"PRAGMA user_version={version:d}")
            connection.exec_driver_sql("COMMIT")
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise StoreError(f"{path} could not be brought to schema {version}: {error}") from error
