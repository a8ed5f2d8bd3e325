"""Users, boxes, routes, places, offices, stops, records, numbers, timers: mailboxes/store.py."""

import contextlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from sekisho.mailboxes import Conflict, Store, StoreError
from sekisho.mailboxes.letters import Account, Box, Office, Place, Route, Timer, Window

from .desk import NOW, keep, new_account

FULL = Account(
    "1ANACA0A", "hash", "temporary", former="old", former_state="active", history=("h3", "h2"), trade="customs-broker",
    specialist=True, in_house=True, mail_from=("1ANAC1@SMTP.EXAMPLE", "Second@SMTP.EXAMPLE"), box="B1", suspended=True,
    strict=True, tolerate_length=True,
)  # fmt: skip


def test_accounts(store: Store) -> None:
    """put_account, account, accounts: every field; replaced when written again; by id."""
    plain = new_account("0FIRST0A")
    with store.transaction() as unit:
        unit.put_account(FULL)
        unit.put_account(plain, new=True)
    with store.view() as view:
        assert view.account("1ANACA0A") == FULL
        assert view.accounts() == [plain, FULL]
        assert view.account("NOBODY00") is None
    with store.transaction() as unit:
        unit.put_account(replace(FULL, suspended=False, mail_from=()))
    with store.view() as view:
        assert view.account("1ANACA0A") == replace(FULL, suspended=False, mail_from=())
        assert view.owners("1anac1@smtp.example") == []


def test_a_new_account_or_box_must_be_new(store: Store) -> None:
    """put_account, put_box with new: Conflict if there is one, which stays as it is."""
    with store.transaction() as unit:
        unit.put_account(FULL)
        with pytest.raises(Conflict):
            unit.put_account(new_account(), new=True)
        with pytest.raises(Conflict):
            unit.put_box(Box("B1", "OTHER@SMTP.EXAMPLE"), new=True)
        assert unit.account("1ANACA0A") == FULL
        assert unit.box("B1") == Box("B1", "B1@SMTP.EXAMPLE", uid_validity=NOW // 1_000_000)


def test_who_is_known_by_what(store: Store) -> None:
    """knows_user_code: the first five; owners: by id, letter case does not count."""
    with store.transaction() as unit:
        for user_id in ("1ANACA0B", "1ANACA0A"):
            addresses = ("X@Smtp.Example", "x@SMTP.example", f"{user_id}@Y.EXAMPLE")
            unit.put_account(new_account(user_id, mail_from=addresses))
    with store.view() as view:
        assert view.knows_user_code("1ANAC")
        assert not view.knows_user_code("1ANA")
        assert view.owners("x@smtp.EXAMPLE") == ["1ANACA0A", "1ANACA0B"]
        assert view.owners("1anaca0a@y.example") == ["1ANACA0A"]
        assert view.owners("smtp.example") == []


def test_boxes(store: Store) -> None:
    """put_box, box, boxes, box_of_address: every field; uid_validity is the store's and never changes; by id."""
    wanted = Box("A9", "B1@smtp.example", ("pop3", "sftp"), "127.0.0.1:25", "hash", uid_validity=5)
    with store.transaction() as unit:
        unit.put_box(wanted)
        unit.put_box(Box("B1", "New@SMTP.EXAMPLE", doors=(), uid_validity=7))
    with store.view() as view:
        assert view.box("A9") == replace(wanted, uid_validity=NOW // 1_000_000)
        assert view.box("B1") == Box("B1", "New@SMTP.EXAMPLE", (), uid_validity=NOW // 1_000_000)
        assert [box.id for box in view.boxes()] == ["A9", "B1", "B2", "B3"]
        assert view.box_of_address("b1@SMTP.example") == view.box("A9")
        assert view.box_of_address("NEW@smtp.example") == view.box("B1")
        assert view.box_of_address("nobody@smtp.example") is None
        assert view.box("NONE") is None


def test_writing_a_box_again_keeps_its_uids(store: Store) -> None:
    """put_box: the next uid goes on; with uid_validity it makes the Message-ID, which must never name two letters."""
    keep(store, "a")
    with store.transaction() as unit:
        unit.put_box(Box("B1", "B1@SMTP.EXAMPLE", doors=("pop3",)))
    keep(store, "b")
    with store.view() as view:
        assert [letter.uid for number in (1, 2) for letter in view.letters_of(number)] == [1, 2]


def test_routes(store: Store) -> None:
    """put_route replaces the one for the same user and output; delete_route says whether there was one; in order."""
    with store.transaction() as unit:
        for route in (Route("1ANAC", "SAF0010", "B1"), Route("1ANAC", "SAD", "B1"), Route("1ANAC", "SAF0010", "B2")):
            unit.put_route(route)
        unit.put_route(Route("0X", "SAF0010", "B3"))
        assert not unit.delete_route("1ANAC", "NONE")
        assert unit.routes() == [
            Route("0X", "SAF0010", "B3"), Route("1ANAC", "SAD", "B1"), Route("1ANAC", "SAF0010", "B2"),
        ]  # fmt: skip
        assert unit.delete_route("0X", "SAF0010")
    with store.view() as view:
        assert len(view.routes()) == 2


def test_places_and_offices(store: Store) -> None:
    """put_place, put_office: replaced by code, listed by code; what is unknown is None."""
    office = Office("1A", "東京", {"mon": "0830-1715"}, ("20270101",))
    with store.transaction() as unit:
        unit.put_place(Place("2B", "5WHSE", "old"))
        unit.put_place(Place("2B", "5WHSE", "倉庫"))
        unit.put_place(Place("1A", "5OTHR"))
        unit.put_office(Office("1A"))
        unit.put_office(office)
        unit.put_office(Office("0Z"))
    with store.view() as view:
        assert view.place("2B") == Place("2B", "5WHSE", "倉庫")
        assert [place.code for place in view.places()] == ["1A", "2B"]
        assert view.office("1A") == office
        assert view.offices() == [Office("0Z"), office]
        assert view.place("9") is None
        assert view.office("9") is None


def test_windows(store: Store) -> None:
    """add_window gives the number; windows by start; delete_window says whether there was one."""
    with store.transaction() as unit:
        assert unit.add_window(Window(99, "", "A0006", 50, 60, "maintenance")) == 1
        assert unit.add_window(Window(99, "OLA", "A0002", 10, 20)) == 2
        assert unit.windows() == [Window(2, "OLA", "A0002", 10, 20), Window(1, "", "A0006", 50, 60, "maintenance")]
        assert unit.delete_window(2)
        assert not unit.delete_window(2)
    with store.transaction() as unit:
        assert unit.add_window(Window(1, "", "A0006", 1, 2)) == 3


RECORD: dict[str, Any] = {
    "text": "貨物", "int": 7, "float": 1.5, "yes": True, "none": None, "list": [1, {"a": "b"}], "map": {"k": []},
}  # fmt: skip


def test_records(store: Store) -> None:
    """put_record, record, records: as put, replaced by key, by key after, at most limit; deleted once."""
    with store.transaction() as unit:
        for key in ("B", "A", "C"):
            unit.put_record("cargo", key, {"key": key}, 1)
        unit.put_record("cargo", "A", RECORD, 2)
        unit.put_record("other", "A", {"x": ("t", 1)}, 2)
        assert unit.record("cargo", "A") == RECORD
        assert unit.record("other", "A") == {"x": ["t", 1]}
    with store.view() as view:
        assert view.records("cargo") == [("A", RECORD), ("B", {"key": "B"}), ("C", {"key": "C"})]
        assert [key for key, _ in view.records("cargo", 1, "A")] == ["B"]
        assert view.records("none") == []
        assert view.record("cargo", "X") is None
    with store.transaction() as unit:
        assert unit.delete_record("cargo", "B")
        assert not unit.delete_record("cargo", "B")
        assert [key for key, _ in unit.records("cargo")] == ["A", "C"]


def test_a_record_is_a_copy(store: Store) -> None:
    """record: changing what was put or given changes nothing in the store."""
    data = {"list": [1]}
    with store.transaction() as unit:
        unit.put_record("k", "a", data, 1)
        data["list"].append(2)
        given = unit.record("k", "a")
        assert given == {"list": [1]}
        given["list"].append(3)
        assert unit.record("k", "a") == {"list": [1]}


def test_what_a_record_cannot_hold_is_refused(store: Store) -> None:
    """put_record: StoreError for other things than text, numbers, booleans, lists, mappings."""
    with store.transaction() as unit:
        with pytest.raises(StoreError):
            unit.put_record("k", "a", {"x": object()}, 1)
        with pytest.raises(StoreError):
            unit.add_timer(1, "k", "a", {"x": "\udc80"})
        assert unit.record("k", "a") is None
        assert unit.timers(9) == []


def test_find_records(store: Store) -> None:
    """find_records: top-level field is this text, exactly and as text, by key, at most limit."""
    values = {"d": "A\"1\\'", "b": 'A"1\\\'', "a": "A", "c": 5, "e": ["A"], "f": {"bl": "A"}, "g": None}
    with store.transaction() as unit:
        for key, value in values.items():
            unit.put_record("cargo", key, {"bl": value, "note": "A 5"}, 1)
        unit.put_record("other", "a", {"bl": "A"}, 1)
    with store.view() as view:
        assert [key for key, _ in view.find_records("cargo", "bl", "A")] == ["a"]
        assert [key for key, _ in view.find_records("cargo", "bl", 'A"1\\\'')] == ["b", "d"]
        assert view.find_records("cargo", "bl", "5") == view.find_records("cargo", "no", "A") == []
        assert [key for key, _ in view.find_records("cargo", "note", "A 5", 3)] == ["a", "b", "c"]
        assert view.find_records("cargo", "note", "A 5", 0) == []


def test_numbers_of_a_series(store: Store) -> None:
    """next_number: from 1, each series by itself; one taken in a block that was undone comes again."""
    with store.transaction() as unit:
        assert [unit.next_number(series) for series in ("OLA", "OLA", "URY")] == [1, 2, 1]
    with contextlib.suppress(KeyError), store.transaction() as unit:
        assert unit.next_number("OLA") == 3
        raise KeyError
    with store.transaction() as unit:
        assert unit.next_number("OLA") == 3


def test_timers(store: Store) -> None:
    """timers: due and not taken, by (due_at, number); take_timer once; cancel_timers by kind and key; data as put."""
    with store.transaction() as unit:
        for at, key in ((30, "a"), (10, "b"), (30, "a"), (99, "a")):
            unit.add_timer(at, "start", key, {"at": [at]})
        unit.add_timer(5, "other", "a", {})
        assert unit.timers(30) == [
            Timer(5, 5, "other", "a", {}), Timer(2, 10, "start", "b", {"at": [10]}),
            Timer(1, 30, "start", "a", {"at": [30]}), Timer(3, 30, "start", "a", {"at": [30]}),
        ]  # fmt: skip
        assert len(unit.timers(30, 2)) == 2
        assert unit.take_timer(1)
        assert not unit.take_timer(1)
        assert unit.cancel_timers("start", "a") == 2
        assert unit.cancel_timers("start", "a") == 0
    with store.view() as view:
        assert [timer.number for timer in view.timers(100)] == [5, 2]
    with store.transaction() as unit:
        assert unit.take_timer(5)
        assert unit.add_timer(1, "start", "c", {}) == 6


def test_the_uid_validity_is_the_time_of_the_first_writing(store: Store) -> None:
    """put_box: seconds since the epoch, which IMAP can carry."""
    with store.view() as view:
        box = view.box("B1")
    assert box is not None
    assert datetime.fromtimestamp(box.uid_validity, UTC) == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
