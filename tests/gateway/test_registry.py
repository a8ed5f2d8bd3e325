"""The registry file: strict reading, seeding what is not there yet (house 2, registry.toml)."""

import time
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from sekisho.gateway.passwords import Passwords, hash_password, matches_password
from sekisho.gateway.registry import CARGO, RegistryFile, ensure_box, read_registry, seed
from sekisho.gateway.settings import SettingsError
from sekisho.mailboxes import Store, open_store

from .commands import NOON, REGISTRY

USER = '[[user]]\nid = "9TESTA0A"\npassword = "SAMPLE01"\nbox = "B1"\n'
BOX = '[[box]]\nid = "B1"\naddress = "B1@MAIL.EXAMPLE"\n'


def quick(password: str) -> str:
    """A hasher that can be seen through."""
    return f"hash of {password}"


def written(folder: Path, text: str) -> Path:
    """A registry file."""
    path = folder / "registry.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def store() -> Iterator[Store]:
    """An empty store."""
    store = open_store("memory", Path(), lambda: NOON)
    yield store
    store.close()


def test_sample_shows_every_key_and_follows_the_house() -> None:
    """samples/registry.toml holds each key at least once, its addresses end in .EXAMPLE, its passwords are samples."""
    tables = tomllib.loads(REGISTRY.read_text(encoding="utf-8"))
    for field in msgspec.structs.fields(RegistryFile):
        entry: Any = get_args(field.type)[0]
        shown = {key for row in tables[field.name] for key in row}
        assert shown == {one.name for one in msgspec.structs.fields(entry)}, field.name
    registry = read_registry(REGISTRY)
    assert all(box.address.endswith(".EXAMPLE") for box in registry.box)
    assert all(address.endswith(".EXAMPLE") for user in registry.user for address in user.mail_from)
    assert all(not box.push or box.push.startswith("127.0.0.1:") for box in registry.box)


def test_sample_has_the_users_that_tests_of_a_line_need() -> None:
    """A sibling, another company, a temporary password, an in-house system's ID and a warehouse."""
    users = {user.id: user for user in read_registry(REGISTRY).user}
    assert users["1ANACA0A"].id[:5] == users["1ANACA0B"].id[:5]
    assert users["2BKOUB0B"].box != users["1ANACA0A"].box
    assert users["3CITHC0C"].password_state == "temporary"
    assert [user.id for user in users.values() if user.in_house] == ["1ANACS01"]
    assert users["5WHSEW0W"].trade == "warehouse"


def test_seed_writes_what_is_not_there_and_leaves_the_rest(store: Store) -> None:
    """House 2: loaded at start for what is not there yet; afterwards the store is the truth."""
    with store.transaction() as unit:
        rows = tomllib.loads(REGISTRY.read_text(encoding="utf-8"))
        loaded = {table: count for table, count in seed(unit, REGISTRY, quick, NOON).items() if count}
        assert loaded == {table: len(some) for table, some in rows.items()}
    with store.transaction() as unit:
        account = unit.account("1ANACA0A")
        assert account is not None
        assert account.password_hash == "hash of SAMPLE01"
        unit.put_account(replace(account, suspended=True))
        unit.delete_record(CARGO, "SMPLBL0003")
    with store.transaction() as unit:
        again = seed(unit, REGISTRY, quick, NOON)
        assert {table: count for table, count in again.items() if count} == {"cargo": 1}
        account = unit.account("1ANACA0A")
        assert account is not None
        assert account.suspended


def test_seeded_values_are_those_of_the_file(store: Store) -> None:
    """Boxes, routes, places, offices and cargo come out as they were written."""
    with store.transaction() as unit:
        seed(unit, REGISTRY, quick, NOON)
    with store.view() as view:
        box, office, place = view.box("OPERATORS"), view.office("2B"), view.place("1AW01")
        record = view.record(CARGO, "SMPLBL0002")
        assert box is not None
        assert office is not None
        assert place is not None
        assert record is not None
        assert (box.doors, box.push) == ((), "")
        assert office.hours["sat"] == "0900-1200"
        assert (place.user, place.name) == ("5WHSE", "SAMPLE WAREHOUSE")
        assert record["weight"] == 3600.5
        assert record["containers"] == ["SMPU0000027", "SMPU0000032"]
        assert [(route.user, route.output, route.box) for route in view.routes()] == [("1ANAC", "SAF0010", "BRK002")]
        assert sorted(box.password_hash for box in view.boxes() if box.password_hash) == [
            "hash of BOXPASS1", "hash of BOXPASS6", "hash of BOXPASS7", "hash of BOXPASS8",
        ]  # fmt: skip


def test_six_users_hash_within_a_third_of_a_second(store: Store) -> None:
    """Seeding must not make a first start slow; counted in CPU time, and a slow machine gets four times as long."""
    began = time.process_time()
    with store.transaction() as unit:
        seed(unit, REGISTRY, hash_password, NOON)
    assert time.process_time() - began < 1.2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (USER + 'bocks = "B1"\n' + BOX, 'user[0].bocks: unknown key; did you mean "box"?'),
        ("[[users]]\n", 'users: unknown key; did you mean "user"?'),
        (USER.replace("9TESTA0A", "9TEST") + BOX, 'user[0].id: "9TEST"; 8 of A-Z and 0-9'),
        (USER.replace("SAMPLE01", "SAMPLES") + BOX, "user[0].password: 6 to 8 of A-Z and 0-9, at least one letter"),
        (USER + BOX + 'doors = ["fax"]\n', 'box[0].doors[0]: "fax"; one of'),
        (USER + BOX.replace("B1@MAIL.EXAMPLE", "nobody"), 'box[0].address: "nobody"; a mail address'),
        (BOX.replace("B1@", "B" * 60 + "@"), "the header of a reply holds 64"),
        (BOX + 'push = "here"\n', 'box[0].push: "here"; host:port is expected'),
        (BOX + BOX, 'box[1].id: "B1" is in box[0] already'),
        ('[[place]]\ncode = "1AW01"\nuser = "5WHSE"\nname = "倉庫"\n', "upper-case Roman letters"),
        ('[[office]]\ncode = "1A"\nhours = { monday = "0830-1700" }\n', "office[0].hours.monday: unknown day"),
        ('[[office]]\ncode = "1A"\nhours = { mon = "8-17" }\n', 'office[0].hours.mon: "8-17"; HHMM-HHMM is expected'),
        ('[[cargo]]\nkey = "A1"\nweigth = 3\n', 'cargo[0].weigth: unknown key; did you mean "weight"?'),
        ('[[cargo]]\nkey = "A1"\narrival_date = "20251301"\n', 'cargo[0].arrival_date: "20251301"; YYYYMMDD'),
        ('[[cargo]]\nkey = "A1"\nweight = -1\n', "cargo[0].weight: -1; a number from 0 is expected"),
        ('[[invoice]]\nkey = "1-1"\n', 'invoice[0].key: "1-1"; up to 10 of A-Z and 0-9'),
        ('[[route]]\nuser = "1A"\noutput = "SAF0010"\nbox = "B1"\n', 'route[0].user: "1A"; a user ID (8) or'),
    ],
)
def test_a_wrong_entry_is_named_by_its_path(tmp_path: Path, text: str, problem: str) -> None:
    """Read as strictly as the settings: path, value, what is expected; a password is never repeated."""
    with pytest.raises(SettingsError) as caught:
        read_registry(written(tmp_path, text))
    assert len(caught.value.problems) == 1
    assert problem in caught.value.problems[0]
    assert "SAMPLES" not in caught.value.problems[0]


def test_a_reference_astray_writes_nothing(store: Store, tmp_path: Path) -> None:
    """A user whose box is neither in the file nor in the store is a problem, and nothing of the file is written."""
    with pytest.raises(SettingsError, match=r'user\[0\]\.box: there is no box "B1"'), store.transaction() as unit:
        seed(unit, written(tmp_path, USER), quick, NOON)
    with store.transaction() as unit:
        assert unit.accounts() == []
        seed(unit, written(tmp_path, BOX), quick, NOON)
        assert seed(unit, written(tmp_path, USER), quick, NOON)["user"] == 1


def test_operators_box_is_made_once(store: Store) -> None:
    """Letters without another place need one; it has no door."""
    with store.transaction() as unit:
        assert ensure_box(unit, "OPERATORS", "centre.example")
        assert not ensure_box(unit, "OPERATORS", "centre.example")
        box = unit.box("OPERATORS")
        assert box is not None
        assert (box.address, box.doors) == ("OPERATORS@centre.example", ())


def test_passwords_are_argon2id_with_their_own_salt() -> None:
    """Issue 2: passwords are stored as argon2id hashes."""
    first, second = hash_password("SAMPLE01"), hash_password("SAMPLE01")
    assert first.startswith("$argon2id$")
    assert first != second
    assert matches_password(first, "SAMPLE01")
    assert not matches_password(first, "SAMPLE02")
    for broken in ("", "plain", "$argon2id$v=19$broken"):
        assert not matches_password(broken, "SAMPLE01")


def test_verified_passwords_are_remembered_and_others_are_not_known() -> None:
    """A busy sender costs microseconds; what was never verified is None, neither right nor wrong."""
    passwords = Passwords()
    stored = hash_password("SAMPLE01")
    assert passwords.verify("1ANACA0A", stored, "SAMPLE01") is None
    assert passwords.learn("1ANACA0A", stored, "SAMPLE01")
    assert passwords.verify("1ANACA0A", stored, "SAMPLE01") is True
    assert passwords.verify("1ANACA0A", stored, "SAMPLE02") is None
    assert not passwords.learn("1ANACA0A", stored, "SAMPLE02")
    assert passwords.verify("1ANACA0A", stored, "SAMPLE02") is False
    assert passwords.verify("1ANACA0B", stored, "SAMPLE01") is None
    assert passwords.verify("1ANACA0A", hash_password("SAMPLE01"), "SAMPLE01") is None
    began = time.perf_counter()
    for _ in range(1000):
        passwords.verify("1ANACA0A", stored, "SAMPLE01")
    assert time.perf_counter() - began < 0.5


def test_memory_is_bounded_and_holds_no_password() -> None:
    """The oldest verdict goes first; a dump shows no password."""
    passwords = Passwords(remembered=2)
    for password in ("GUESS001", "GUESS002", "GUESS003"):
        passwords.learn("1ANACA0A", "no hash", password)
    assert [passwords.verify("1ANACA0A", "no hash", f"GUESS00{n}") for n in (1, 2, 3)] == [None, False, False]
    assert "GUESS" not in repr(vars(passwords))
