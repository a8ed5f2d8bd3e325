"""user, box, route, place, records, quarantine: the registry of a store, by commands (house 2)."""

from pathlib import Path

import pytest

from sekisho.gateway.passwords import matches_password
from sekisho.mailboxes import open_store
from sekisho.mailboxes.letters import Account, Event

from .commands import NOON, REGISTRY, Ran, make_store, sekisho


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A filled store."""
    return make_store(tmp_path / "var")


def account(data: Path, user_id: str) -> Account:
    """An account as the store has it."""
    store = open_store("sqlite", data, lambda: NOON)
    with store.view() as view:
        found = view.account(user_id)
    store.close()
    assert found is not None
    return found


def events(data: Path) -> list[Event]:
    """The audit trail."""
    store = open_store("sqlite", data, lambda: NOON)
    with store.view() as view:
        found = view.events()
    store.close()
    return found


def done(ran: Ran) -> Ran:
    """A command that ended well."""
    assert (ran.code, ran.err) == (0, "")
    return ran


def test_user_add_takes_the_options_of_the_house(data: Path) -> None:
    """House 2: user add ID --password P [--temporary] --trade T [--specialist] [--in-house] --mail-from A --box B."""
    done(
        sekisho(
            "user", "add", "9TESTA0A", "--password", "START001", "--temporary", "--trade", "carrier", "--specialist",
            "--in-house", "--mail-from", "A@MAIL.EXAMPLE", "--mail-from", "B@MAIL.EXAMPLE", "--box", "BRK001",
            "--data", data,
        )
    )  # fmt: skip
    made = account(data, "9TESTA0A")
    assert matches_password(made.password_hash, "START001")
    assert (made.password_state, made.trade, made.specialist, made.in_house) == ("temporary", "carrier", True, True)
    assert (made.mail_from, made.box) == (("A@MAIL.EXAMPLE", "B@MAIL.EXAMPLE"), "BRK001")
    assert [(event.actor, event.kind, event.detail) for event in events(data)] == [
        ("operator", "user.added", "9TESTA0A")
    ]


def test_user_add_without_a_password_makes_a_temporary_one(data: Path) -> None:
    """The made password is printed once; it follows the rules and is temporary."""
    ran = done(sekisho("user", "add", "9TESTA0A", "--box", "BRK001", "--data", data))
    password = ran.out.split()[-1]
    made = account(data, "9TESTA0A")
    assert matches_password(made.password_hash, password)
    assert made.password_state == "temporary"


def test_user_list_shows_no_password(data: Path) -> None:
    """Passwords are never shown, not even as hashes."""
    forms = done(sekisho("user", "list", "--json", "--data", data)).json
    assert [form["id"] for form in forms][:3] == ["1ANACA0A", "1ANACA0B", "1ANACS01"]
    assert "hash" not in sekisho("user", "list", "--json", "--data", data).out
    lines = done(sekisho("user", "list", "--data", data)).lines
    assert lines[0].split() == ["id", "state", "trade", "box", "flags", "mail", "from"]
    assert "temporary" in next(line for line in lines if line.startswith("3CITHC0C"))


def test_user_reset_password_is_temporary_and_remembers_the_former(data: Path) -> None:
    """An operator's reset: temporary; the former active one stays barred among the last three (wire reference 8)."""
    password = done(sekisho("user", "reset-password", "1ANACS01", "--data", data)).out.split()[-1]
    after = account(data, "1ANACS01")
    assert matches_password(after.password_hash, password)
    assert (after.password_state, after.former, after.history) == ("temporary", "", ("hash of SYSTEM01",))
    ran = done(sekisho("user", "reset-password", "1ANACS01", "--password", "GIVEN001", "--data", data))
    assert "GIVEN001" not in ran.out
    assert account(data, "1ANACS01").history == ("hash of SYSTEM01",)


def test_user_suspend_resume_and_set(data: Path) -> None:
    """A suspension answers A0014 until it is ended; set changes what is named and nothing else."""
    done(sekisho("user", "suspend", "1ANACA0A", "--data", data))
    assert account(data, "1ANACA0A").suspended
    assert "suspended" in sekisho("user", "list", "--data", data).out
    done(sekisho("user", "resume", "1ANACA0A", "--data", data))
    before = account(data, "1ANACA0A")
    assert not before.suspended
    done(sekisho("user", "set", "1ANACA0A", "--strict", "--box", "BRK002", "--data", data))
    after = account(data, "1ANACA0A")
    assert (after.strict, after.box) == (True, "BRK002")
    assert (after.password_hash, after.mail_from, after.trade) == (before.password_hash, before.mail_from, before.trade)
    done(sekisho("user", "set", "1ANACA0A", "--no-strict", "--no-specialist", "--data", data))
    assert not account(data, "1ANACA0A").specialist
    assert [event.kind for event in events(data)] == [
        "user.suspended", "user.resumed", "user.changed", "user.changed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["user", "add", "1ANACA0A", "--box", "BRK001"], 1, "1ANACA0A: is there already"),
        (["user", "add", "9TESTA0A", "--box", "NONE01"], 1, "--box NONE01: no such box"),
        (["user", "add", "short", "--box", "BRK001"], 2, 'ID: "short"; 8 of A-Z'),
        (["user", "add", "9TESTA0A", "--box", "BRK001", "--password", "abc"], 2, "--password: 6 to 8"),
        (["user", "add", "9TESTA0A", "--box", "BRK001", "--mail-from", "me"], 2, '--mail-from: "me"; a mail address'),
        (["user", "set", "1ANACA0A"], 2, "nothing to change"),
        (["user", "set", "9TESTA0A", "--trade", "x"], 1, "9TESTA0A: no such user ID"),
        (["user", "set", "1ANACA0A", "--box", "NONE01"], 1, "--box NONE01: no such box"),
        (["user", "reset-password", "9TESTA0A"], 1, "9TESTA0A: no such user ID"),
        (["user", "suspend", "9TESTA0A"], 1, "9TESTA0A: no such user ID"),
        (["box", "add", "BRK001", "--address", "X@Y.EXAMPLE"], 1, "BRK001: is there already"),
        (["box", "add", "NEW002", "--address", "1anac1@smtp.broker.sekisho.example"], 1, "belongs to box BRK001"),
        (["box", "add", "new", "--address", "X@Y.EXAMPLE"], 2, 'id: "new"'),
        (["box", "set", "NONE01", "--push", "127.0.0.1:1"], 1, "NONE01: no such box"),
        (["box", "set", "BRK001", "--push", "here"], 2, 'push: "here"; host:port'),
        (["box", "set", "BRK001"], 2, "nothing to change"),
        (["route", "add", "1ANAC", "SAF0010", "NONE01"], 1, "NONE01: no such box"),
        (["route", "add", "1A", "SAF0010", "BRK001"], 2, 'user: "1A"'),
        (["route", "remove", "1ANAC", "SAS0371"], 1, "no such route"),
        (["place", "add", "1AW09", "--user", "x"], 2, 'user: "x"'),
        (["records", "show", "NONE"], 1, "NONE: no such cargo record"),
        (["records", "import", "/nowhere.toml"], 2, "there is no such file"),
        (["quarantine", "release", "9"], 1, "9: not in quarantine"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_changes_nothing(data: Path, args: list[str], code: int, said: str) -> None:
    """What happened, where, what to do; 1 for what is not there, 2 for wrong usage; no line in the audit trail."""
    ran = sekisho(*args, "--data", data)
    assert (ran.code, ran.data) == (code, b"")
    assert said in ran.err
    assert events(data) == []


def test_boxes_are_added_changed_and_counted(data: Path) -> None:
    """House 2: box add ID --address A --door D [--push HOST:PORT] [--password P]; list counts letters."""
    done(
        sekisho(
            "box", "add", "NEW002", "--address", "N2@MAIL.EXAMPLE", "--door", "smtp-push", "--door", "pop3", "--push",
            "127.0.0.1:26", "--password", "BOXPASS9", "--data", data,
        )
    )  # fmt: skip
    done(sekisho("box", "set", "NEW002", "--push", "", "--door", "sftp", "--data", data))
    boxes = {box["id"]: box for box in done(sekisho("box", "list", "--json", "--data", data)).json}
    assert boxes["NEW002"] == {
        "id": "NEW002", "letters": 0, "waiting": 0, "doors": ["sftp"], "push": "", "keys": 0,
        "address": "N2@MAIL.EXAMPLE",
    }  # fmt: skip
    assert (boxes["BRK001"]["letters"], boxes["BRK001"]["waiting"]) == (4, 3)
    assert "BOXPASS9" not in sekisho("box", "list", "--json", "--data", data).out


def test_routes_and_places(data: Path) -> None:
    """A route is added, replaces the one before it, and is removed; a place is written over."""
    done(sekisho("route", "add", "1ANACA0A", "SAS0371", "BRK002", "--data", data))
    done(sekisho("route", "add", "1ANACA0A", "SAS0371", "BRK001", "--data", data))
    routes = done(sekisho("route", "list", "--json", "--data", data)).json
    assert {"user": "1ANACA0A", "output": "SAS0371", "box": "BRK001"} in routes
    assert len(routes) == 2
    done(sekisho("route", "remove", "1ANACA0A", "SAS0371", "--data", data))
    assert "SAS0371" not in sekisho("route", "list", "--data", data).out
    done(sekisho("place", "add", "1AW01", "--user", "2BKOU", "--name", "OTHER NAME", "--data", data))
    places = {place["code"]: place for place in done(sekisho("place", "list", "--json", "--data", data)).json}
    assert places["1AW01"] == {"code": "1AW01", "user": "2BKOU", "name": "OTHER NAME"}


def test_records_are_imported_listed_and_shown(data: Path, tmp_path: Path) -> None:
    """House 2: [[cargo]] is loaded by `sekisho records import` too; what is there stays unless --replace says so."""
    file = tmp_path / "cargo.toml"
    file.write_text('[[cargo]]\nkey = "SMPLBL0001"\npackages = 7\n[[cargo]]\nkey = "SMPLBL0009"\n', encoding="utf-8")
    ran = done(sekisho("records", "import", file, "--data", data))
    assert ran.out == "1 imported, 1 were there already (--replace writes over them)\n"
    assert sekisho("records", "show", "SMPLBL0001", "--json", "--data", data).json["packages"] == 120
    done(sekisho("records", "import", file, "--replace", "--data", data))
    assert sekisho("records", "show", "SMPLBL0001", "--json", "--data", data).json["packages"] == 7
    keys = [
        row["key"] for row in done(sekisho("records", "list", "--json", "--after", "SMPLBL0003", "--data", data)).json
    ]
    assert keys == ["SMPLBL0004", "SMPLBL0005", "SMPLBL0009"]
    assert "SMPU0000027 SMPU0000032" in done(sekisho("records", "show", "SMPLBL0002", "--data", data)).out
    assert done(sekisho("records", "list", "--kind", "nothing", "--data", data)).out == "no records of kind nothing\n"
    again = sekisho("records", "import", REGISTRY, "--data", data)
    assert again.out.startswith("0 imported, 6 were there")


def test_stops_are_added_listed_and_removed(data: Path) -> None:
    """A planned stop of the service or of a business, in Japan time."""
    times = ["--starts", "2025-12-31T18:00", "--ends", "2026-01-01T08:30"]
    done(sekisho("window", "add", "--business", "OSA", "--code", "U0002", "--text", "new year", *times, "--data", data))
    done(sekisho("window", "add", *times, "--data", data))
    first, second = done(sekisho("window", "list", "--json", "--data", data)).json
    assert first == {
        "number": 1, "code": "U0002", "business": "OSA", "starts": "2025-12-31 18:00:00", "ends": "2026-01-01 08:30:00",
        "text": "new year",
    }  # fmt: skip
    assert (second["code"], second["business"]) == ("A0002", "")
    done(sekisho("window", "remove", "1", "--data", data))
    assert sekisho("window", "remove", "1", "--data", data).code == 1
    assert len(done(sekisho("window", "list", "--data", data)).lines) == 2
    wrong = sekisho("window", "add", "--starts", "noon", "--ends", "2026-01-01T08:30", "--data", data)
    assert (wrong.code, wrong.err.startswith('sekisho: --starts: "noon"')) == (2, True)


def test_quarantine_is_listed_and_released(data: Path) -> None:
    """What nobody could be told about is visible to operators until one releases it; the request stays."""
    (form,) = done(sekisho("quarantine", "list", "--json", "--data", data)).json
    assert (form["request"], form["reason"]) == (3, "A0016")
    assert "r3" in done(sekisho("quarantine", "list", "--data", data)).out
    done(sekisho("quarantine", "release", str(form["number"]), "--data", data))
    assert done(sekisho("quarantine", "list", "--data", data)).out == "nothing in quarantine\n"
    assert sekisho("mailbox", "show", "r3", "--data", data).code == 0
    assert [(event.kind, event.request) for event in events(data)] == [("quarantine.released", 3)]


def test_a_store_is_named_by_settings_or_folder_and_never_made(tmp_path: Path) -> None:
    """A mistyped folder is an error, not an empty store; the settings file may come from SEKISHO_CONFIG."""
    for args, said in (
        ([], "which store?"),
        (["--data", str(tmp_path / "none")], "no store there"),
        (["-c", str(tmp_path / "none.toml")], "there is no such file"),
    ):
        ran = sekisho("user", "list", *args)
        assert ran.code == 2
        assert said in ran.err
    assert list(tmp_path.iterdir()) == []
    make_store(tmp_path / "var")
    listener = '[[listener]]\nname = "a"\naddress = "127.0.0.1:0"\ncentre = ["NACCS@CENTRE.EXAMPLE"]\n'
    (tmp_path / "gateway.toml").write_text(listener, encoding="utf-8")
    assert done(sekisho("user", "list", "-c", tmp_path / "gateway.toml")).lines[1].startswith("1ANACA0A")
    (tmp_path / "memory.toml").write_text(f'[store]\nurl = "memory"\n{listener}', encoding="utf-8")
    assert "inside the running gateway only" in sekisho("user", "list", "-c", tmp_path / "memory.toml").err


def test_settings_come_from_the_environment_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SEKISHO_CONFIG stands for -c, so that an operator types it once a shell."""
    make_store(tmp_path / "var")
    listener = '[[listener]]\nname = "a"\naddress = "127.0.0.1:0"\ncentre = ["NACCS@CENTRE.EXAMPLE"]\n'
    (tmp_path / "gateway.toml").write_text(listener, encoding="utf-8")
    monkeypatch.setenv("SEKISHO_CONFIG", str(tmp_path / "gateway.toml"))
    assert done(sekisho("place", "list")).lines[1].startswith("1AW01")
