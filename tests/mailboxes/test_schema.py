"""The schema and its versions: gate R17, decisions "Commit"."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from sekisho.mailboxes import StoreError, UnknownSchema, migrations
from sekisho.mailboxes.migrations import SCHEMA_VERSION
from sekisho.mailboxes.migrations.run import engine
from sekisho.mailboxes.sqlite import SqliteStore
from sekisho.mailboxes.tables import metadata

from .desk import NOW, furnish, keep, new_request


def _open(path: Path) -> SqliteStore:
    return SqliteStore(path, clock_us=lambda: NOW)


def test_the_migrations_make_what_the_tables_say(tmp_path: Path) -> None:
    """tables.py is the one schema: a migrated file differs from it in nothing, defaults and indexes included."""
    path = tmp_path / "s.db"
    assert migrations.upgrade(path) == SCHEMA_VERSION
    fresh = tmp_path / "fresh.db"
    with engine(fresh).connect() as connection:
        metadata.create_all(connection)
    with engine(path).connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, "target_metadata": metadata}
        )
        assert compare_metadata(context, metadata) == []
    texts = []
    for each in (path, fresh):
        with closing(sqlite3.connect(each)) as connection:
            rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE '%alembic%'")
            # Alembic writes table options and column order in other lines, not in other words.
            texts.append({name: sorted((sql or "").replace(",", " ").split()) for name, sql in rows})
    assert texts[0] == texts[1]
    assert {"blob", "lane", "message", "reply", "mailbox", "event", "seal"} <= set(texts[0])


def test_the_tables_can_be_said_to_postgresql() -> None:
    """One schema for both engines: the PostgreSQL dialect takes every table."""
    for table in metadata.sorted_tables:
        text = str(CreateTable(table).compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
        assert table.name in text
        assert "AUTOINCREMENT" not in text


def test_an_empty_file_or_none_becomes_a_store(tmp_path: Path) -> None:
    """An empty store is made by itself: no file, or one without bytes."""
    for name in ("none.db", "empty.db"):
        path = tmp_path / name
        if name == "empty.db":
            path.touch()
        assert migrations.version(path) is None
        _open(path).close()
        assert migrations.version(path) == SCHEMA_VERSION
        with closing(sqlite3.connect(path)) as connection:
            found = connection.execute("SELECT version_num FROM alembic_version").fetchall()
            assert found == [(f"{SCHEMA_VERSION:04d}",)]


def test_upgrading_twice_is_upgrading_once(tmp_path: Path) -> None:
    """upgrade: nothing happens twice, and what is kept stays."""
    path = tmp_path / "s.db"
    store = _open(path)
    furnish(store)
    keep(store, "a")
    assert migrations.upgrade(path) == SCHEMA_VERSION
    store.close()
    store = _open(path)
    with store.view() as view:
        assert [request.idem for request in view.requests()] == ["a"]
    store.close()


def test_two_starts_at_once_make_one_store(tmp_path: Path) -> None:
    """upgrade: the whole way is one transaction under the write lock."""
    path = tmp_path / "s.db"
    script = "import sys; from pathlib import Path; from sekisho.mailboxes import migrations; "
    script += "print(migrations.upgrade(Path(sys.argv[1])))"
    runs = [
        subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    assert [run.communicate()[0] for run in runs] == [f"{SCHEMA_VERSION}\n"] * 3
    _open(path).close()


@pytest.mark.parametrize(("number", "advice"), [(SCHEMA_VERSION + 1, "newer"), (0, "no store of"), (-1, "no store")])
def test_an_unknown_schema_is_refused(tmp_path: Path, number: int, advice: str) -> None:
    """R17: a clear refusal that says what to do; the file is left as it was, by opening and by upgrading."""
    path = tmp_path / "s.db"
    _open(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version={number}")
    before = path.read_bytes()
    with pytest.raises(UnknownSchema, match=advice):
        _open(path)
    with pytest.raises(UnknownSchema, match=advice):
        migrations.upgrade(path)
    assert path.read_bytes() == before


def test_an_older_schema_asks_for_the_upgrade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older store is not changed by merely starting: the operator stops, copies, runs `sekisho db upgrade`."""
    path = tmp_path / "s.db"
    _open(path).close()
    monkeypatch.setattr(migrations, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    with pytest.raises(UnknownSchema, match="sekisho db upgrade"):
        _open(path)


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    """A file of another kind: StoreError, and its bytes stay."""
    path = tmp_path / "s.db"
    path.write_bytes(b"not a database, just a letter" * 100)
    with pytest.raises(StoreError, match="no SQLite database"):
        _open(path)
    assert path.read_bytes() == b"not a database, just a letter" * 100


def test_opening_a_store_loads_no_sqlalchemy(tmp_path: Path) -> None:
    """Start-up: SQLAlchemy and Alembic are imported only when a schema must be made."""
    path = tmp_path / "sekisho.db"
    _open(path).close()
    script = (
        "import sys; from pathlib import Path; from sekisho.mailboxes import open_store; "
        "store = open_store('sqlite', Path(sys.argv[1]), lambda: 1); store.checkpoint(); store.close(); "
        "print(sorted({'sqlalchemy', 'alembic', 'sekisho.mailboxes.memory'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """upgrade: one transaction; StoreError, and the file is as empty as before."""
    from sekisho.mailboxes.migrations import run

    def fail(*_: object) -> None:
        raise OSError("no such script")

    path = tmp_path / "s.db"
    monkeypatch.setattr(run, "configuration", fail)
    with pytest.raises(StoreError, match="no such script"):
        migrations.upgrade(path)
    monkeypatch.undo()
    assert migrations.version(path) is None
    _open(path).close()


def test_a_store_of_the_first_release_is_upgraded(tmp_path: Path) -> None:
    """R17: N-1 to N with letters in it: nothing is lost, and the new columns say what was true."""
    from sekisho.mailboxes.migrations.run import migrate

    path = tmp_path / "s.db"
    path.touch()
    migrate(path, 1)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "INSERT INTO mailbox (box, address_key, doors, pushes, uid_validity) VALUES ('B1', '', 'smtp-push', 1, 5);"
            "INSERT INTO lane (lane, head_at) VALUES ('L', 0); INSERT INTO blob VALUES (1, x'00', 1, 'raw', x'41');"
            "INSERT INTO message (id, lane, seq, idem, transport, principal, received_at, peer, sender, recipient,"
            " wrapping, content_digest, content_tag, blob_id) VALUES (1, 'L', 1, 'i', '', '', 0, '', '', '', 'bare',"
            " x'00', 0, 1);"
            "INSERT INTO reply (message_id, part, box, uid, created_at, delivered_at, blob_id)"
            " VALUES (1, 0, 'B1', 1, 2, 3, 1), (1, 1, 'B1', 2, 2, NULL, 1);"
            "INSERT INTO outbox (reply_id, attempts, next_at, last_outcome, last_error)"
            " VALUES (1, 1, NULL, 'delivered', '250 yes'), (2, 2, 9, 'deferred', '451 no');"
            "UPDATE sqlite_sequence SET seq = 7 WHERE name = 'message';"
        )
    with pytest.raises(UnknownSchema, match="sekisho db upgrade"):
        _open(path)
    assert migrations.upgrade(path) == SCHEMA_VERSION
    store = _open(path)
    with store.view() as view:
        assert [(letter.uid, letter.door) for letter in view.letters_of(1)] == [(1, "smtp-push"), (2, "")]
        tried = [(x.due_at, x.attempts, x.last_outcome, x.last_error) for x in view.letters_of(1)]
        assert tried == [(None, 1, "delivered", "250 yes"), (9, 2, "deferred", "451 no")]
        assert [(d.number, d.due_at, d.attempts) for d in view.due(9, 5)] == [(2, 9, 2)]
        box = view.box("B1")
        assert box is not None
        assert (box.keys, box.secret, box.pushes) == ((), "", True)
        assert view.answer(1) == b""
    with store.transaction() as unit:
        assert unit.journal(new_request("j", lane="L")) == 8  # 2 to 7 were given once
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert {row[2] for row in connection.execute("PRAGMA foreign_key_list(reply)")} >= {"message"}
