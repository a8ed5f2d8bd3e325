"""What only a store on disk promises: spec/reliability.md sections 1 and 2, gates R4, R5, R16."""

import os
import random
import resource
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from sekisho.mailboxes import StoreError, open_store, sqlite
from sekisho.mailboxes.letters import LetterQuery
from sekisho.mailboxes.sqlite import SqliteStore

from .desk import DONE, NOW, furnish, keep, new_letter, new_request

_WRITER = Path(__file__).with_name("writer.py")


def _open(folder: Path) -> SqliteStore:
    store = SqliteStore(folder / "s.db", clock_us=lambda: NOW)
    with store.view() as view:
        empty = not view.boxes()
    if empty:
        furnish(store)
    return store


def _writer(folder: Path, *values: object) -> "subprocess.Popen[str]":
    command = [sys.executable, str(_WRITER), str(folder / "s.db"), *map(str, values)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_a_commit_is_synced(tmp_path: Path) -> None:
    """synchronous=FULL and WAL on the connection that commits: NORMAL may lose acknowledged work at power loss."""
    store = _open(tmp_path)
    for connection in (store._writer, store._connect()):
        assert _pragma(connection, "synchronous") == 2
        assert _pragma(connection, "journal_mode") == "wal"
        assert _pragma(connection, "foreign_keys") == 1
        assert _pragma(connection, "wal_autocheckpoint") == 0
        # The writer waits for other processes in begin(), so that nobody else has to wait with it.
        assert _pragma(connection, "busy_timeout") == (0 if connection is store._writer else 10_000)
        assert _pragma(connection, "mmap_size") == 0
    store.close()


def test_one_batch_is_one_commit(tmp_path: Path) -> None:
    """One synced commit per batch: commits counts it, and nothing reaches the log before it."""
    store = _open(tmp_path)
    before, log = store.commits, store._wal_bytes()
    with store.transaction() as unit:
        for turn in range(50):
            with unit.savepoint():
                number = unit.journal(new_request(f"r{turn}"))
                unit.add_letter(new_letter(number))
                unit.put_record("k", str(turn), {}, 1)
                unit.finish(number, state=DONE, result="", key="", at=1)
        assert store._wal_bytes() == log
    assert store.commits == before + 1
    assert store._wal_bytes() > log
    store.close()


def test_what_is_kept_outlives_the_process(tmp_path: Path) -> None:
    """Open again: everything is there, counters go on, uids and numbers are never used again, even after a purge."""
    store = _open(tmp_path)
    keep(store, "a", "b", letters=2)
    with store.transaction() as unit:
        unit.next_number("OLA")
        assert unit.purge(letters_before=10**9, fetched_before=10**9, requests_before=10**9) == 6
    store.close()
    assert not (tmp_path / "s.db-wal").exists()
    store = _open(tmp_path)
    assert keep(store, "a") == [3]
    with store.view() as view:
        letter = view.letters_of(3)[0]
        assert (letter.number, letter.uid) == (5, 5)
    with store.transaction() as unit:
        assert unit.next_number("OLA") == 2
    store.close()


def test_a_kill_inside_a_transaction_leaves_what_was_committed(tmp_path: Path) -> None:
    """(a) and (b): what was said yes to is there, with its letters; the open transaction is not there at all."""
    store = _open(tmp_path)
    keep(store, "mine")
    writer = _writer(tmp_path, "w", 3, 2, "hold")
    assert writer.stdout is not None
    lines = [writer.stdout.readline() for _ in range(3)]
    assert lines[2] == "holding\n"
    writer.kill()
    writer.wait()
    writer.stdout.close()
    assert store.changed_elsewhere()
    assert keep(store, "after") == [8]
    with store.view() as view:
        theirs = [f"w-{turn}-{each}" for turn in (0, 1) for each in range(3)]
        assert [r.idem for r in reversed(view.requests())] == ["mine", *theirs, "after"]
        assert [letter.uid for letter in view.letters(LetterQuery(oldest_first=True))] == list(range(1, 15))
    store.close()


def test_kills_at_random_moments_lose_nothing(tmp_path: Path) -> None:
    """R1 in short: every printed commit is whole, numbers and uids have no gap and no double, the file is sound."""
    _open(tmp_path).close()
    rng = random.Random(7)
    said: dict[str, list[int]] = {}
    for cycle in range(6):
        writer = _writer(tmp_path, f"c{cycle}", 10_000, 2)
        assert writer.stdout is not None
        stop = threading.Timer(0.5 + rng.random() * 0.4, writer.kill)
        stop.start()
        for line in writer.stdout:
            if line.endswith("\n"):
                tag, turn, *words = line.split()
                said[f"{tag}-{turn}"] = [int(word) for word in words]
        stop.join()
        writer.wait()
        writer.stdout.close()
    store = _open(tmp_path)
    with store.view() as view:
        kept = {request.idem: request for request in view.requests(10**6)}
        letters = view.letters(LetterQuery(limit=10**6))
        for name, given in said.items():
            assert [kept[f"{name}-{each}"].number for each in range(3)] == given
        assert len(kept) % 3 == 0
        assert {request.state for request in kept.values()} == {DONE}
        assert len(letters) == 2 * len(kept)
        assert sorted(letter.uid for letter in letters) == list(range(1, len(letters) + 1))
        assert sorted(request.seq for request in kept.values()) == list(range(1, len(kept) + 1))
        assert len(view.records("seen", 10**6)) == len(kept)
        for number in (letters[0].number, letters[-1].number):
            assert len(view.content(number)) > 1000
    assert len(said) >= 6
    assert _pragma(store._writer, "integrity_check") == "ok"
    assert store._writer.execute("PRAGMA foreign_key_check").fetchall() == []
    store.close()


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    """An operator's command beside the gateway: both wait for their turn, share the counters, and notice each other."""
    store = _open(tmp_path)
    writer = _writer(tmp_path, "w", 40, 1)
    assert writer.stdout is not None
    assert writer.stdout.readline().startswith("w 0 ")
    noticed = 0
    for turn in range(40):
        keep(store, f"m-{turn}")
        noticed += store.changed_elsewhere()
        time.sleep(0.001)
    assert writer.wait() == 0
    writer.stdout.close()
    keep(store, "last")
    with store.view() as view:
        letters = view.letters(LetterQuery(limit=1000))
        assert len(letters) == 161
        assert sorted(letter.uid for letter in letters) == list(range(1, 162))
        assert sorted(r.seq for r in view.requests(1000) if r.lane == "L") == list(range(1, 121))
    assert noticed > 0
    store.close()


def test_commits_of_others_are_noticed_once(tmp_path: Path) -> None:
    """changed_elsewhere: True once after a commit of another object, also inside a transaction; not for our own."""
    store, other = _open(tmp_path), _open(tmp_path)
    store.changed_elsewhere()
    other.changed_elsewhere()
    keep(store, "a")
    assert not store.changed_elsewhere()
    assert other.changed_elsewhere()
    assert not other.changed_elsewhere()
    keep(other, "b")
    with store.transaction() as unit:
        assert store.changed_elsewhere()
        assert unit.find_request("b") is not None
        assert unit.add_letter(new_letter(1, 5)).uid == 3
    assert not store.changed_elsewhere()
    other.close()
    store.close()


def test_a_writer_that_is_kept_out_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """busy_timeout: after it transaction raises StoreError, and works again when the other one is done."""
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    store, other = _open(tmp_path), _open(tmp_path)
    with other.transaction() as unit:
        unit.journal(new_request())
        with pytest.raises(StoreError, match="begun"), store.transaction():
            pass
    assert keep(store, "r2") == [2]
    other.close()
    store.close()


def test_the_log_stays_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R16: checkpoint copies the log back; above the limit it empties it, also while somebody never stops writing."""
    monkeypatch.setattr(sqlite, "WAL_TRUNCATE", 1 << 20)
    monkeypatch.setattr(sqlite, "WAL_LIMIT", 4 << 20)
    store = _open(tmp_path)
    stop = threading.Event()
    most = []

    def side() -> None:
        while not stop.is_set():
            store.checkpoint()
            most.append(store._wal_bytes())
            time.sleep(0.005)

    thread = threading.Thread(target=side)
    thread.start()
    body = os.urandom(200_000)
    for turn in range(150):
        with store.transaction() as unit:
            unit.journal(new_request(f"r{turn}", raw=body + bytes([turn])))
    stop.set()
    thread.join()
    store.checkpoint()
    assert max(most) < 16 << 20  # 30 MB were written
    assert store._wal_bytes() <= 1 << 20
    assert (tmp_path / "s.db").stat().st_size > 28 << 20
    store.close()


def test_a_checkpoint_does_not_wait_for_a_transaction(tmp_path: Path) -> None:
    """checkpoint: beside the commits; a small log is copied back while a transaction is open."""
    store = _open(tmp_path)
    with store.transaction() as unit:
        unit.journal(new_request())
        thread = threading.Thread(target=store.checkpoint)
        thread.start()
        thread.join(5)
        assert not thread.is_alive()
    with store.view() as view:
        assert view.received() == [1]
    store.close()


def test_large_equal_bytes_are_kept_once(tmp_path: Path) -> None:
    """Bodies are stored once by SHA-256, from 4 KiB on; a purge removes them with their last reference."""
    store = _open(tmp_path)
    body = os.urandom(100_000)
    with store.transaction() as unit:
        for name in "ab":
            number = unit.journal(new_request(name, raw=body))
            unit.add_letter(new_letter(number, content=body))
            unit.finish(number, state=DONE, result="", key="", at=1)
    with store.transaction() as unit:
        unit.journal(new_request("c", raw=body, received_at=10**8))
    count = "SELECT count(*) FROM blob"
    assert store._writer.execute(count).fetchone() == (1,)
    with store.transaction() as unit:
        assert unit.purge(letters_before=10**9, fetched_before=0, requests_before=10**7) == 4
        assert unit.raw(3) == body
        unit.finish(3, state=DONE, result="", key="", at=1)
        assert unit.purge(letters_before=0, fetched_before=0, requests_before=10**9) == 1
    assert store._writer.execute(count).fetchone() == (0,)
    store.close()


def test_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    """It holds letters and password hashes: mode 600, log included."""
    store = _open(tmp_path)
    for name in ("s.db", "s.db-wal"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    store.close()


def test_damage_is_found_after_an_unclean_end(tmp_path: Path) -> None:
    """Integrity check at start after a crash: a damaged file is refused with StoreError, not served."""
    store = _open(tmp_path)
    keep(store, *map(str, range(200)))
    store.checkpoint()
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("s.db", "s.db-wal"):
        (copy / name).write_bytes((tmp_path / name).read_bytes())
    store.close()
    _open(copy).close()
    for name in ("s.db", "s.db-wal"):
        (copy / name).unlink(missing_ok=True)
    data = bytearray((tmp_path / "s.db").read_bytes())
    for page in range(20 * 4096, len(data) - 4096, 4096):
        data[page : page + 64] = b"\xff" * 64
    (copy / "s.db").write_bytes(data)
    (copy / "s.db-wal").write_bytes(b"torn")
    with pytest.raises(StoreError):
        _open(copy)


def test_a_failed_write_at_the_commit_is_final(tmp_path: Path) -> None:
    """R5: a commit that fails raises StoreError; from then on nothing is promised; a new start has all that was."""
    _open(tmp_path).close()
    script = textwrap.dedent("""
        import resource, sys
        from sekisho.mailboxes import StoreError
        from sekisho.mailboxes.sqlite import SqliteStore
        from tests.mailboxes.desk import keep, new_request
        store = SqliteStore(sys.argv[1], clock_us=lambda: 1)
        keep(store, "kept")
        resource.setrlimit(resource.RLIMIT_FSIZE, (store._wal_bytes() + 50_000,) * 2)
        for name in ("lost", "also lost"):
            try:
                with store.transaction() as unit:
                    unit.journal(new_request(name, raw=b"x" * 1_000_000))
            except StoreError as error:
                print(error)
        with store.view() as view:
            print([request.idem for request in view.requests()])
        print(store.commits)
    """)
    links = Path(__file__).parents[2] / ".links"
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "s.db")], capture_output=True, text=True, check=False, cwd=links
    )
    lines = [line for line in run.stdout.splitlines() if "store.commit_failed" not in line]
    assert len(lines) == 4, run.stdout + run.stderr
    assert lines[0].startswith("the commit failed")
    assert lines[1].startswith("an earlier commit failed")
    assert lines[2:] == ["['kept']", "1"]
    store = _open(tmp_path)
    assert keep(store, "next") == [2]
    store.close()


def test_a_full_disk_is_not_final(tmp_path: Path) -> None:
    """R4: nothing of that transaction is kept, nobody gets a yes, and work goes on when there is room again."""
    store = _open(tmp_path)
    keep(store, "a")
    pages = _pragma(store._writer, "page_count")
    store._writer.execute(f"PRAGMA max_page_count={pages}")
    for look in (False, True):
        with pytest.raises(StoreError), store.transaction() as unit:  # noqa: PT012 - the block is what is tested
            unit.journal(new_request("b"))
            with pytest.raises(StoreError):  # noqa: PT012 - same
                unit.journal(new_request("c", raw=os.urandom(1_000_000)))
                if look:
                    unit.requests()
                else:
                    unit.flush()
            # A neighbour must not slip through when what was gathered is lost.
            unit.journal(new_request("d"))
    store._writer.execute("PRAGMA max_page_count=1073741823")
    assert keep(store, "b") == [2]
    with store.view() as view:
        assert [r.idem for r in view.requests()] == ["b", "a"]
    store.close()


def test_the_limit_of_open_files_is_no_matter(tmp_path: Path) -> None:
    """Readers are put back: a thousand views one after the other hold no more files than a few."""
    store = _open(tmp_path)
    with store.view() as view:
        view.requests()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(1000):
        with store.view() as view:
            view.requests()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > before
    store.close()


def test_names_of_stores(tmp_path: Path) -> None:
    """open_store: sqlite or memory; another name is a StoreError, and so is a folder that cannot be."""
    with pytest.raises(StoreError, match="sqlite or memory"):
        open_store("oracle", tmp_path, lambda: NOW)
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot be made"):
        open_store("sqlite", tmp_path / "file" / "data", lambda: NOW)
    open_store("sqlite", tmp_path / "new" / "data", lambda: NOW).close()
    assert (tmp_path / "new" / "data" / "sekisho.db").exists()
