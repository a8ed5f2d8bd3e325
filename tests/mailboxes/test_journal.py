"""The journal, events, quarantine, removal: mailboxes/store.py."""

from hashlib import sha256

import pytest

from sekisho.mailboxes import Conflict, Store, StoreError
from sekisho.mailboxes.letters import Event, LetterQuery, Mark, Request, RequestState

from .desk import DONE, keep, new_letter, new_request


def test_a_request_is_kept_as_it_came(store: Store) -> None:
    """journal: every field, the bytes, both digests; raw gives the bytes exactly."""
    raw = bytes(range(256)) * 9
    new = new_request(
        raw=raw, content=raw[5:], content_type="text/xml", transport_id="<1@X.EXAMPLE>", user_id="1ANACA0A",
        business_code="TCC", carry="引継", input_id="I1", parent=77,
    )  # fmt: skip
    with store.transaction() as unit:
        number = unit.journal(new)
    expected = Request(
        number=1, lane="L1", seq=1, idem="r1", transport="smtp", principal="P", received_at=1000, peer="127.0.0.1",
        sender="A@SMTP.EXAMPLE", recipient="NACCS@SMTP.EXAMPLE", wrapping="mail", content_type="text/xml",
        transport_id="<1@X.EXAMPLE>", user_id="1ANACA0A", business_code="TCC", carry="引継", input_id="I1", parent=77,
        state=RequestState.RECEIVED, attempts=0, digest=sha256(raw).hexdigest(),
        content_digest=sha256(raw[5:]).hexdigest(), result="", key="", done_at=None,
    )  # fmt: skip
    with store.view() as view:
        assert view.request(number) == expected
        assert view.find_request("r1") == expected
        assert view.raw(number) == raw


def test_unknown_keys_give_nothing(store: Store) -> None:
    """View: unknown keys give None or an empty list; only raw and content raise StoreError."""
    with store.view() as view:
        assert view.request(9) is None
        assert view.find_request("x") is None
        assert view.letter(9) is None
        assert view.find_same("L1", "00" * 32, 0) == view.find_same("L1", "no digest", 0) == []
        for found in (view.letters_of(9), view.events(9), view.requests(), view.received()):
            assert not found
        with pytest.raises(StoreError):
            view.raw(9)
        with pytest.raises(StoreError):
            view.content(9)


def test_an_identity_is_taken_once(store: Store) -> None:
    """journal: Conflict if the identity is known, in this transaction, an earlier one, or looked for before."""
    with store.transaction() as unit:
        unit.journal(new_request())
        with pytest.raises(Conflict):
            unit.journal(new_request(lane="L2"))
    with store.transaction() as unit:
        with pytest.raises(Conflict):
            unit.journal(new_request())
        assert unit.find_request("r2") is None
        unit.journal(new_request("r2"))
        with pytest.raises(Conflict):
            unit.journal(new_request("r2"))
    with store.view() as view:
        assert [request.idem for request in view.requests()] == ["r2", "r1"]


def test_order_within_a_lane_is_the_order_of_the_calls(store: Store) -> None:
    """journal: seq counts within the lane from 1, over transactions."""
    for lanes in (["A", "B", "A"], ["B", "A"]):
        with store.transaction() as unit:
            for lane in lanes:
                unit.journal(new_request(f"r{len(unit.requests())}", lane=lane))
    with store.view() as view:
        assert [(r.lane, r.seq) for r in reversed(view.requests())] == [
            ("A", 1), ("B", 1), ("A", 2), ("B", 2), ("A", 3),
        ]  # fmt: skip


@pytest.mark.parametrize("later", [False, True])
def test_finish(store: Store, later: bool) -> None:
    """finish: state, result, key, time, one attempt more; in the same transaction or a later one."""
    with store.transaction() as unit:
        number = unit.journal(new_request())
        if not later:
            unit.finish(number, state=DONE, result="W0001-0000-0000", key="K1", at=7)
    if later:
        with store.transaction() as unit:
            unit.finish(number, state=DONE, result="W0001-0000-0000", key="K1", at=7)
    with store.view() as view:
        request = view.request(number)
        assert request is not None
        assert (request.state, request.result, request.key, request.done_at, request.attempts) == (
            DONE, "W0001-0000-0000", "K1", 7, 1,
        )  # fmt: skip
        assert type(request.state) is RequestState
        assert view.received() == []


@pytest.mark.parametrize("look", [False, True])
def test_only_a_received_request_is_finished(store: Store, look: bool) -> None:
    """finish: StoreError if there is no such request or it is finished; state received notes an attempt."""
    with store.transaction() as unit:
        number = unit.journal(new_request())
        if look:
            unit.requests()
        unit.finish(number, state=RequestState.RECEIVED, result="", key="", at=1)
        unit.finish(number, state=RequestState.PARKED, result="", key="", at=2)
        for of in (number, 99):
            with pytest.raises(StoreError):
                unit.finish(of, state=DONE, result="", key="", at=3)
    with store.transaction() as unit:
        with pytest.raises(StoreError):
            unit.finish(number, state=DONE, result="", key="", at=3)
        request = unit.request(number)
    assert request is not None
    assert (request.state, request.attempts, request.done_at) == (RequestState.PARKED, 2, 2)


def test_received_gives_the_unprocessed_in_the_order_they_came(store: Store) -> None:
    """received: numbers of requests on disk and not processed, in order."""
    numbers = keep(store, "a", "b", "c", finished=False, letters=0)
    with store.transaction() as unit:
        unit.finish(numbers[1], state=DONE, result="", key="", at=1)
    with store.view() as view:
        assert view.received() == [numbers[0], numbers[2]]


def test_requests_newest_first(store: Store) -> None:
    """requests: newest first, at most limit, below number before."""
    keep(store, "a", "b", "c", "d", letters=0)
    with store.view() as view:
        assert [r.number for r in view.requests(2)] == [4, 3]
        assert [r.number for r in view.requests(10, before=3)] == [2, 1]
        assert view.requests(0) == []


@pytest.mark.parametrize("apart", [False, True])
def test_find_same(store: Store, apart: bool) -> None:
    """find_same: the lane's requests with the same message bytes at or after since, newest first, as they are now."""
    digest = sha256(b"same").hexdigest()
    new = [
        new_request("old", content=b"same", received_at=10),
        new_request("one", content=b"same", received_at=20),
        new_request("other lane", content=b"same", received_at=20, lane="L2"),
        new_request("other bytes", content=b"other", received_at=20),
        new_request("two", content=b"same", received_at=30),
    ]
    if apart:
        with store.transaction() as unit:
            for request in new[:3]:
                unit.journal(request)
    with store.transaction() as unit:
        for request in new[3 * apart :]:
            unit.journal(request)
        unit.finish(2, state=DONE, result="00000", key="K", at=40)
        found = unit.find_same("L1", digest, 20)
        assert [(r.idem, r.state, r.key) for r in found] == [("two", 0, ""), ("one", 1, "K")]
        assert found == [unit.request(5), unit.request(2)]
    with store.view() as view:
        assert view.find_same("L1", digest, 20) == found
        assert [r.idem for r in view.find_same("L1", digest, 0)] == ["two", "one", "old"]


def test_what_nobody_compares_is_not_found(store: Store) -> None:
    """find_same: only comparable requests, also while they are not written yet."""
    digest = sha256(b"same").hexdigest()
    with store.transaction() as unit:
        unit.journal(new_request("one", content=b"same", comparable=False))
        unit.journal(new_request("two", content=b"same"))
        assert [r.idem for r in unit.find_same("L1", digest, 0)] == ["two"]
    with store.view() as view:
        assert [r.idem for r in view.find_same("L1", digest, 0)] == ["two"]


def test_a_request_without_an_identity_has_its_number(store: Store) -> None:
    """journal: any number of requests may have no identity; each is then ``#`` and its number."""
    with store.transaction() as unit:
        numbers = [unit.journal(new_request("")) for _ in range(2)]
        assert [r.idem for r in reversed(unit.requests())] == ["#1", "#2"]
        unit.journal(new_request(""))
    with store.view() as view:
        assert numbers == [1, 2]
        known = view.find_request("#3")
        assert known is not None
        assert known.number == 3


def test_events(store: Store) -> None:
    """events: oldest first; of one request or letter, or the newest limit of all; numbered by the store."""
    (number,) = keep(store, "a")
    with store.transaction() as unit:
        for at in range(5):
            unit.add_event(Event(at, "op", "x.done", number if at % 2 else None, 1 if at > 2 else None, f"d{at}", 99))
    with store.view() as view:
        assert [(e.at, e.number) for e in view.events()] == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
        assert [e.at for e in view.events(limit=2)] == [3, 4]
        assert [e.at for e in view.events(number)] == [1, 3]
        assert [e.at for e in view.events(letter=1)] == [3, 4]
        assert view.events(number, 1) == [Event(3, "op", "x.done", number, 1, "d3", 4)]


def test_quarantine(store: Store) -> None:
    """quarantine, release: shown newest first until released, once; an unknown request is a StoreError."""
    first, second = keep(store, "a", "b", letters=0)
    with store.transaction() as unit:
        one = unit.quarantine(first, "A0016-0000-0000", 5)
        two = unit.quarantine(second, "A0003-0000-0000", 6)
        with pytest.raises(StoreError), unit.savepoint():
            unit.quarantine(99, "A0003-0000-0000", 6)
        assert [(q.number, q.request, q.reason, q.at) for q in unit.quarantined()] == [
            (two, second, "A0003-0000-0000", 6), (one, first, "A0016-0000-0000", 5),
        ]  # fmt: skip
        assert [q.number for q in unit.quarantined(1)] == [two]
        assert unit.release(two, 7)
        assert not unit.release(two, 8)
        assert not unit.release(99, 8)
    with store.view() as view:
        assert [q.number for q in view.quarantined()] == [one]


def test_purge_takes_letters_by_what_became_of_them(store: Store) -> None:
    """purge: delivered or deleted letters by fetched_before, others by letters_before; the oldest first, to limit."""
    with store.transaction() as unit:
        number = unit.journal(new_request())
        for part in range(6):
            unit.add_letter(new_letter(number, part, created_at=100 + part))
        unit.mark([Mark(1, "delivered", 1), Mark(2, "delivered", 1), Mark(3, "deferred", 1, 5)])
        unit.delete_letters([4], 1)
        assert unit.purge(letters_before=0, fetched_before=101, requests_before=0) == 1
        assert unit.purge(letters_before=0, fetched_before=999, requests_before=0, limit=1) == 1
        assert unit.letter(2) is None
        assert unit.purge(letters_before=105, fetched_before=0, requests_before=0) == 2
    with store.view() as view:
        assert [letter.number for letter in view.letters_of(number)] == [4, 6]
        assert [d.number for d in view.due(10**9, 9)] == [6]
        with pytest.raises(StoreError):
            view.content(2)


def test_purge_takes_finished_requests_without_letters(store: Store) -> None:
    """purge: finished, old, no letter left, with bytes and quarantine entry; what is not finished stays for ever."""
    keep(store, "with letter", received_at=10)
    keep(store, "done", "new", letters=0, received_at=10)
    keep(store, "waiting", letters=0, finished=False, received_at=10)
    keep(store, "young", letters=0, received_at=500)
    with store.transaction() as unit:
        unit.quarantine(2, "A0016", 1)
        unit.quarantine(1, "A0016", 1)
        assert unit.purge(letters_before=0, fetched_before=0, requests_before=500, limit=1) == 1
        assert unit.purge(letters_before=0, fetched_before=0, requests_before=500) == 1
        assert unit.purge(letters_before=0, fetched_before=0, requests_before=500) == 0
    with store.view() as view:
        assert [r.idem for r in view.requests()] == ["young", "waiting", "with letter"]
        assert [q.request for q in view.quarantined()] == [1]
        with pytest.raises(StoreError):
            view.raw(2)


def test_nothing_is_numbered_twice_after_a_purge(store: Store) -> None:
    """Letter.uid, Request.number: never used again, not even the highest after its removal."""
    keep(store, "a", "b")
    with store.transaction() as unit:
        assert unit.purge(letters_before=10**9, fetched_before=10**9, requests_before=10**9) == 4
        assert unit.letters(LetterQuery(states=("waiting", "delivered", "deleted", "failed", "unknown"))) == []
    assert keep(store, "a") == [3]
    with store.view() as view:
        letter = view.letters_of(3)[0]
        assert (letter.number, letter.uid) == (3, 3)
        request = view.request(3)
        assert request is not None
        assert request.seq == 3


def test_large_bytes_come_back(store: Store) -> None:
    """max_object is 12 MiB (decisions, "Size and pressure"): kept and given back exactly, shared or not."""
    raw = bytes(range(256)) * (12 << 12)
    with store.transaction() as unit:
        one = unit.journal(new_request("a", raw=raw, content=raw))
        two = unit.journal(new_request("b", raw=raw, content=raw))
        unit.add_letter(new_letter(one, content=raw))
        unit.finish(one, state=DONE, result="", key="", at=1)
    with store.view() as view:
        assert view.raw(one) == raw
        assert view.letter(1).size == 12 << 20  # type: ignore[union-attr]
    with store.transaction() as unit:
        assert unit.purge(letters_before=10**9, fetched_before=0, requests_before=10**9) == 2
        assert unit.raw(two) == raw
