"""A transaction in steps: begun and written by one thread, committed by another (store.py, class Transaction)."""

import threading
from pathlib import Path

import pytest

from sekisho.mailboxes import Store, StoreError, open_store
from sekisho.mailboxes.letters import Box


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Either store, empty."""
    return open_store(request.param, tmp_path, lambda: 1)


def test_another_thread_may_commit(store: Store) -> None:
    """Only the waiting happens in the other thread; afterwards everybody sees it and the next one may begin."""
    transaction = store.begin()
    transaction.unit.put_box(Box("A", "A@B.EXAMPLE"))
    transaction.seal()
    thread = threading.Thread(target=transaction.commit)
    thread.start()
    thread.join()
    with store.view() as view:
        assert view.box("A") is not None
    assert store.commits == 1
    with store.transaction() as unit:
        assert unit.box("A") is not None


def test_who_does_not_wait_is_told(store: Store) -> None:
    """``wait=False`` gives None while somebody else writes, and the store's thread never waits for itself."""
    found: list[object] = []
    transaction = store.begin()
    other = threading.Thread(target=lambda: found.append(store.begin(wait=False)))
    other.start()
    other.join()
    assert found == [None]
    with pytest.raises(StoreError):
        store.begin()
    transaction.undo()
    second = store.begin(wait=False)
    assert second is not None
    second.undo()
    second.undo()


def test_undone_is_as_if_it_had_not_been(store: Store) -> None:
    """An undone transaction leaves nothing, numbers included."""
    transaction = store.begin()
    assert transaction.unit.next_number("n") == 1
    transaction.unit.put_box(Box("A", "A@B.EXAMPLE"))
    transaction.undo()
    with store.transaction() as unit:
        assert unit.box("A") is None
        assert unit.next_number("n") == 1
    assert store.commits == 1
