"""Transactions, savepoints, views: mailboxes/store.py, classes Store and Unit."""

import threading

import pytest

from sekisho.mailboxes import Conflict, Store, StoreError
from sekisho.mailboxes.letters import Event, Place

from .desk import DONE, keep, new_letter, new_request


class Oops(Exception):
    """What a handler might raise."""


def test_a_block_that_ends_is_kept_and_counted(store: Store) -> None:
    """transaction: committed when the block ends; commits counts them."""
    before = store.commits
    with store.transaction() as unit:
        number = unit.journal(new_request())
    assert store.commits == before + 1
    with store.view() as view:
        assert view.received() == [number]


def test_a_block_that_raises_is_undone_and_not_counted(store: Store) -> None:
    """transaction: undone when it raises; the exception goes on; the next transaction starts from before."""
    before = store.commits
    with pytest.raises(Oops), store.transaction() as unit:  # noqa: PT012 - the block is what is tested
        number = unit.journal(new_request())
        unit.add_letter(new_letter(number))
        unit.put_place(Place("1AW01", "5WHSE"))
        raise Oops
    assert store.commits == before
    with store.view() as view:
        assert view.requests() == []
        assert view.places() == []
    with store.transaction() as unit:
        again = unit.journal(new_request())
        assert unit.add_letter(new_letter(again)).uid == 1
        assert unit.request(again) == unit.find_request("r1")


def test_a_unit_reads_what_it_has_written(store: Store) -> None:
    """Unit: reads see what it has written, whatever the way in."""
    with store.transaction() as unit:
        number = unit.journal(new_request())
        assert unit.find_request("r1") == unit.request(number)
        assert unit.raw(number) == b"raw r1"
        assert unit.received() == [number]
        stored = unit.add_letter(new_letter(number))
        assert unit.content(stored.number) == b"letter 1/0"
        assert unit.due(2000, 10)[0].number == stored.number
        unit.finish(number, state=DONE, result="00000", key="K", at=5)
        unit.add_event(Event(5, "intake", "request.repeated", number))
        found = unit.find_request("r1")
        assert found is not None
        assert (found.state, found.result, found.key, found.done_at, found.attempts) == (DONE, "00000", "K", 5, 1)
        assert [event.kind for event in unit.events(number)] == ["request.repeated"]
        assert unit.received() == []


def test_a_savepoint_that_raises_undoes_only_itself(store: Store) -> None:
    """savepoint: undoes everything written inside, keeps what was before, and the exception goes on."""
    with store.transaction() as unit:
        first = unit.journal(new_request("r1"))
        with pytest.raises(Oops), unit.savepoint():  # noqa: PT012 - the block is what is tested
            unit.finish(first, state=DONE, result="x", key="", at=1)
            unit.add_letter(new_letter(first))
            unit.journal(new_request("r2"))
            unit.add_event(Event(1, "a", "b.c", first))
            raise Oops
        stored = unit.add_letter(new_letter(first, subject="second try"))
        assert (stored.number, stored.uid) == (1, 1)
        second = unit.journal(new_request("r3"))
    with store.view() as view:
        assert view.received() == [first, second]
        assert view.find_request("r2") is None
        assert view.events() == []
        assert [letter.subject for letter in view.letters_of(first)] == ["second try"]
        kept = view.request(second)
        assert kept is not None
        assert (kept.number, kept.seq) == (2, 2)


@pytest.mark.parametrize("look", [True, False])
@pytest.mark.parametrize("write", [True, False])
def test_a_savepoint_undoes_what_had_reached_the_engine(store: Store, look: bool, write: bool) -> None:
    """savepoint: the same when reads or records inside made the batch go to the engine, before or after."""
    with store.transaction() as unit:
        first = unit.journal(new_request("r1"))
        with pytest.raises(Oops), unit.savepoint():  # noqa: PT012 - the block is what is tested
            unit.add_letter(new_letter(first, 0))
            with unit.savepoint():
                unit.add_letter(new_letter(first, 1))
                if look:
                    assert len(unit.letters_of(first)) == 2
                if write:
                    unit.put_record("cargo", "A", {"a": 1}, 1)
                    assert unit.next_number("OLA") == 1
                unit.add_letter(new_letter(first, 2))
            unit.journal(new_request("r2"))
            raise Oops
        with unit.savepoint():
            assert unit.add_letter(new_letter(first, 1)).uid == 1
            assert unit.next_number("OLA") == 1
        assert unit.journal(new_request("r2")) == 2
        unit.finish(first, state=DONE, result="", key="", at=1)
    with store.view() as view:
        assert [letter.part for letter in view.letters_of(first)] == [1]
        assert view.record("cargo", "A") is None
        assert view.received() == [2]
        kept = view.find_request("r2")
        assert kept is not None
        assert kept.seq == 2


def test_an_inner_savepoint_does_not_take_the_outer_one_along(store: Store) -> None:
    """savepoint: nested ones are allowed; each undoes its own part."""
    with store.transaction() as unit, unit.savepoint():
        number = unit.journal(new_request())
        unit.put_record("k", "outer", {}, 1)
        with pytest.raises(Oops), unit.savepoint():  # noqa: PT012 - the block is what is tested
            unit.put_record("k", "inner", {}, 1)
            unit.add_letter(new_letter(number))
            raise Oops
        unit.add_letter(new_letter(number, 1))
    with store.view() as view:
        assert [key for key, _ in view.records("k")] == ["outer"]
        assert [letter.part for letter in view.letters_of(number)] == [1]


def test_a_conflict_inside_a_savepoint_leaves_the_batch_whole(store: Store) -> None:
    """A batch of messages: one that is refused by the store does not touch its neighbours (decisions, "Commit")."""
    with store.transaction() as unit:
        for name in ("r1", "r2", "r1", "r3"):
            try:
                with unit.savepoint():
                    number = unit.journal(new_request(name))
                    unit.add_letter(new_letter(number))
                    unit.finish(number, state=DONE, result="", key="", at=1)
            except Conflict:
                assert name == "r1"
    with store.view() as view:
        assert [request.idem for request in view.requests()] == ["r3", "r2", "r1"]
        assert [letter.uid for letter in view.letters_of(3)] == [3]


def test_a_view_sees_one_moment(store: Store) -> None:
    """view: all reads see the moment at which it was opened, and no half transaction."""
    with store.view() as view:
        with store.transaction() as unit:
            number = unit.journal(new_request())
            assert view.received() == []
            with store.view() as other:
                assert other.received() == []
        assert view.request(number) is None
    with store.view() as view:
        assert view.received() == [number]


def test_many_views_can_be_open(store: Store) -> None:
    """All methods may be called from any thread; views do not wait for each other."""
    keep(store, "r1")
    inside = threading.Barrier(12, timeout=20)
    seen = []

    def look() -> None:
        with store.view() as view:
            inside.wait()
            seen.append(len(view.requests()))

    threads = [threading.Thread(target=look) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 12


def test_transactions_of_threads_take_turns(store: Store) -> None:
    """One transaction is open at a time; numbers and uids have no gap and no double."""

    def work(name: int) -> None:
        for turn in range(10):
            keep(store, f"{name}-{turn}")

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.view() as view:
        assert sorted(request.seq for request in view.requests()) == list(range(1, 41))
        assert sorted(view.letters_of(number)[0].uid for number in range(1, 41)) == list(range(1, 41))


def test_a_second_transaction_of_one_thread_is_refused(store: Store) -> None:
    """transaction: StoreError if this thread has one open, instead of waiting for itself for ever."""
    with store.transaction() as unit:
        with pytest.raises(StoreError, match="open"), store.transaction():
            raise Oops
        unit.journal(new_request())
    with store.view() as view:
        assert view.received() == [1]


def test_what_has_ended_refuses(store: Store) -> None:
    """A unit, a view or a store that has ended raises StoreError and keeps nothing in silence."""
    with store.transaction() as unit:
        unit.journal(new_request())
    for call in (
        lambda: unit.journal(new_request("r2")),
        lambda: unit.finish(1, state=DONE, result="", key="", at=1),
        lambda: unit.add_letter(new_letter(1)),
        lambda: unit.add_event(Event(1, "a", "b.c")),
        lambda: unit.put_record("k", "a", {}, 1),
        lambda: unit.find_request("r1"),
        unit.accounts,
        lambda: unit.savepoint().__enter__(),
    ):
        with pytest.raises(StoreError):
            call()
    with store.view() as view:
        assert view.requests() != []
    with pytest.raises(StoreError):
        view.requests()
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"), store.transaction():
        raise Oops
    with pytest.raises(StoreError, match="closed"), store.view():
        raise Oops


def test_text_that_is_no_unicode_is_refused_at_once(store: Store) -> None:
    """journal, add_letter: StoreError at the call, so that its neighbours in the batch are kept."""
    with store.transaction() as unit:
        number = unit.journal(new_request("good"))
        for call in (
            lambda: unit.journal(new_request("bad", sender="\udc80")),
            lambda: unit.add_letter(new_letter(number, subject="\udc80")),
            lambda: unit.finish(number, state=DONE, result="\udc80", key="", at=1),
            lambda: unit.add_event(Event(1, "a", "b.c", detail="\udc80")),
            lambda: unit.put_record("k", "\udc80", {}, 1),
            lambda: unit.put_place(Place("\udc80", "5WHSE")),
        ):
            with pytest.raises(StoreError):
                call()
    with store.view() as view:
        assert [request.idem for request in view.requests()] == ["good"]
        assert view.received() == [number]


def test_beside_the_commits(store: Store) -> None:
    """changed_elsewhere is False for our own commits; there is room; a checkpoint changes nothing that is seen."""
    assert not store.changed_elsewhere()
    keep(store, "r1")
    assert not store.changed_elsewhere()
    assert store.free_bytes() > 1_000_000
    store.checkpoint()
    with store.view() as view:
        assert len(view.requests()) == 1
