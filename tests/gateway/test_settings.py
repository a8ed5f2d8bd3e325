"""Settings: one place for defaults, unknown keys refused with a suggestion, everything wrong said at once (house 2)."""

import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from sekisho.gateway import settings as module
from sekisho.gateway.settings import NumberSeries, Settings, SettingsError, load, warnings

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "samples" / "gateway.toml"
LISTENER = '[[listener]]\nname = "a"\naddress = "127.0.0.1:0"\ncentre = ["NACCS@CENTRE.EXAMPLE"]\n'
FREE = {"rights", "business", "numbers"}


def written(folder: Path, text: str) -> Path:
    """A settings file."""
    path = folder / "gateway.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str) -> list[str]:
    """What load finds wrong."""
    with pytest.raises(SettingsError) as caught:
        load(written(folder, text))
    return caught.value.problems


def struct_keys() -> set[str]:
    """Every key that the Structs know, as section.key."""
    out = set()
    for section in msgspec.structs.fields(Settings):
        kind: Any = section.type
        struct = next(
            (k for k in (kind, *get_args(kind)) if isinstance(k, type) and issubclass(k, msgspec.Struct)), None
        )
        if section.name in FREE or struct is None:
            out.add(section.name)
        else:
            out |= {f"{section.name}.{field.name}" for field in msgspec.structs.fields(struct)}
    return out


def test_sample_shows_every_key() -> None:
    """``samples/gateway.toml`` shows every key (house 2): its keys are the Structs' keys, no more and no fewer."""
    tables = tomllib.loads(SAMPLE.read_text(encoding="utf-8"))
    shown = set()
    for name, table in tables.items():
        if name in FREE:
            shown.add(name)
        else:
            shown |= {f"{name}.{key}" for row in (table if isinstance(table, list) else [table]) for key in row}
    assert shown == struct_keys()
    assert tables["business"].keys() == module.BUSINESS.keys()


def test_every_key_of_the_sample_has_a_comment() -> None:
    """A reader of the sample learns what each key does without another page."""
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()
    bare = [line for line in lines if re.match(r"[a-z_]+ = ", line) and "#" not in line]
    assert bare == []


def test_sample_loads_with_the_defaults_and_loopback_limits() -> None:
    """The sample holds the defaults; for loopback the three connection caps are 2,000 (decisions, "Size")."""
    settings = load(SAMPLE)
    caps = {"connections_partner": 2000, "connections_address": 2000, "connections_total": 2000}
    assert settings.limits == msgspec.structs.replace(module.Limits(), **caps)
    assert settings.delivery == module.Delivery()
    assert settings.store == module.StoreSettings()
    assert settings.identity == module.Identity()
    assert settings.business == module.BUSINESS
    assert settings.data == ROOT / "var"
    assert Path(settings.registry.seed) == ROOT / "samples" / "registry.toml"
    assert (settings.listener[0].host, settings.listener[0].port) == ("127.0.0.1", 2525)
    assert warnings(settings) == []


def test_documented_page_names_every_key() -> None:
    """docs/settings.md has a row for each key, so that nobody reads code to configure."""
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `([a-z0-9_.]+)` \|", page, re.MULTILINE))
    assert struct_keys() <= rows


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[gateway]\nenviroment = 'test'", 'gateway.enviroment: unknown key; did you mean "environment"?'),
        ("[limit]\na = 1", 'limit: unknown key; did you mean "limits"?'),
        ("[limits]\nbad_commands = 'many'", 'limits.bad_commands: "many"; a whole number from 1 is expected'),
        ("[limits]\nbad_commands = true", "limits.bad_commands: true; a whole number from 1 is expected"),
        ("[gateway]\ngeneration = 8", "gateway.generation: 8; one of 6, 7 is expected"),
        ("gateway = 3", "gateway: 3; a table is expected"),
        ("[delivery]\nretry_minutes = []", "delivery.retry_minutes: []; a list, each a number above 0, is expected"),
        ("[delivery]\nretry_minutes = 'a'", 'delivery.retry_minutes: "a"; a list, each a number above 0, is expected'),
        ("[rights]\ncarrier = 'TCC'", 'rights.carrier: "TCC"; a list is expected ([[...]] or [...])'),
        ("[numbers]\nola = '{n:09d}'", "numbers.ola: \"{n:09d}\" gives '000000001', 9 characters; 11 are expected"),
        ("[numbers]\nola = '{m}'", 'numbers.ola: "{m}"; {n} is a must, {check} and {letter} are known'),
        (
            "[store]\nurl = 'postgresql://db/naccs'",
            'store.url: PostgreSQL is not yet in this release; "sqlite" or "memory" is expected',
        ),
        (
            "[gateway]\nenvironment = 'production'\nclock = '2025-10-01T09:00'",
            'gateway.clock: a set clock is for tests; production takes "system" only',
        ),
        (
            "[gateway]\nclock = 'noon'",
            'gateway.clock: "noon"; a Japan time YYYY-MM-DDTHH:MM[:SS] is expected',
        ),
        (
            "[[window]]\nstarts = '2025-10-01T09:00'\nends = '2025-10-01T09:00'",
            'window[0].ends: "2025-10-01T09:00" is not after starts "2025-10-01T09:00"',
        ),
        (
            "[limits]\nmax_object = 1000",
            "limits.max_object: smaller than limits.message_bytes; the mail around a message needs room too",
        ),
    ],
)
def test_a_wrong_setting_is_named_by_path_value_and_expectation(tmp_path: Path, text: str, problem: str) -> None:
    """Unknown keys are refused with path and suggestion, wrong values with path, value and what is expected."""
    assert problems(tmp_path, f"{text}\n{LISTENER}") == [problem]


@pytest.mark.parametrize(
    ("listener", "problem"),
    [
        ('adress = "127.0.0.1:1"', 'listener[0].adress: unknown key; did you mean "address"?'),
        ('address = "2525"', 'listener[0].address: "2525"; host:port is expected, like "127.0.0.1:2525"'),
        (
            'address = "127.0.0.1:70000"',
            'listener[0].address: "127.0.0.1:70000"; host:port is expected, like "127.0.0.1:2525"',
        ),
        (
            'kind = "pop3"\naddress = "127.0.0.1:0"',
            "listener[0].centre: is for smtp; this listener is pop3",
        ),
        (
            'address = "127.0.0.1:0"\ntls = "starttls"',
            "listener[0].certificate: the name of a [[certificate]] is expected with tls",
        ),
        (
            'address = "127.0.0.1:0"\ntls = "starttls"\ncertificate = "b"',
            'listener[0].certificate: there is no [[certificate]] named "b"',
        ),
        (
            'address = "127.0.0.1:0"\nauth = "required"',
            "listener[0].auth: is for smtp in mode mail",
        ),
        (
            'address = "127.0.0.1:0"\nother_centre = ["naccs@centre.example"]',
            'listener[0].other_centre: "NACCS@CENTRE.EXAMPLE" is in centre too',
        ),
        (
            'kind = "ftp"\naddress = "127.0.0.1:0"',
            'listener[0].kind: "ftp"; one of "http", "pop3", "sftp", "smtp" is expected',
        ),
    ],
)
def test_a_wrong_listener_is_named_by_its_place(tmp_path: Path, listener: str, problem: str) -> None:
    """Rows of a list are counted from 0 in the path, as in ``listener[0].adress``."""
    text = f'[[listener]]\nname = "a"\ncentre = ["NACCS@CENTRE.EXAMPLE"]\n{listener}\n'
    assert problem in problems(tmp_path, text)


def test_all_problems_are_shown_at_once(tmp_path: Path) -> None:
    """One run shows every problem: nobody repairs a file line by line."""
    text = "[gateway]\nclok = 1\ngeneration = '7'\n[log]\nformat = 'xml'\n[[listener]]\nname = 'a'\n"
    found = problems(tmp_path, text)
    assert [line.partition(":")[0] for line in found] == [
        "gateway.clok",
        "gateway.generation",
        "listener[0].address",
        "log.format",
    ]


def test_unreadable_files_are_problems_too(tmp_path: Path) -> None:
    """A missing file and a file that is not TOML are said in one line, without a traceback."""
    with pytest.raises(SettingsError, match="there is no such file"):
        load(tmp_path / "none.toml")
    assert "not TOML" in problems(tmp_path, "[gateway\n")[0]
    assert problems(tmp_path, "") == ["listener: missing; at least one [[listener]] is expected"]


def test_plain_listeners_stand_on_loopback_only(tmp_path: Path) -> None:
    """Passwords travel in the clear over plain SMTP: reaching it from elsewhere must be asked for, and is warned of."""
    open_to_all = LISTENER.replace("127.0.0.1:0", "0.0.0.0:25")
    (problem,) = problems(tmp_path, open_to_all)
    assert problem.startswith('listener[0].address: "0.0.0.0:25" can be reached from elsewhere')
    allowed = load(written(tmp_path, f"[gateway]\nallow_plain = true\n{open_to_all}"))
    assert "without encryption" in warnings(allowed)[0]
    for host in ("127.0.0.1", "[::1]", "localhost"):
        assert load(written(tmp_path, LISTENER.replace("127.0.0.1", host))).listener[0].is_loopback
    certificate = '[[certificate]]\nname = "c"\ncertificate = "c.pem"\nkey = "c.key"\n'
    for tls, fine in [("implicit", True), ("starttls", True), ('starttls"\nrequire_tls = false #"', False)]:
        text = f'{open_to_all}tls = "{tls}"\ncertificate = "c"\n{certificate}'
        if fine:
            assert warnings(load(written(tmp_path, text))) == []
        else:
            assert "can be reached from elsewhere" in problems(tmp_path, text)[0]


def test_two_listeners_need_two_names(tmp_path: Path) -> None:
    """The ready line lists listeners by name."""
    assert problems(tmp_path, LISTENER * 2) == ['listener[1].name: "a" is the name of another listener']


def test_data_folder_is_relative_to_the_file_and_data_wins(tmp_path: Path) -> None:
    """``data`` is relative to the settings file; ``--data`` replaces it (house 2)."""
    path = written(tmp_path, LISTENER)
    assert load(path).data == tmp_path / "var"
    assert load(path, tmp_path / "other").data == tmp_path / "other"


def test_a_set_clock_is_japan_time(tmp_path: Path) -> None:
    """Times are Japan time, quoted or in TOML's own form."""
    for text in ("'2025-10-01T09:00'", "2025-10-01T09:00:00"):
        starts = load(written(tmp_path, f"[gateway]\nclock = {text}\n{LISTENER}")).gateway.starts_at
        assert starts is not None
        assert starts.isoformat() == "2025-10-01T09:00:00+09:00"
    assert load(written(tmp_path, LISTENER)).gateway.starts_at is None
    window = "[[window]]\nstarts = 1970-01-01T09:00:00\nends = '1970-01-01T09:00:01'\n"
    settings = load(written(tmp_path, window + LISTENER))
    assert (settings.window[0].starts_us, settings.window[0].ends_us) == (0, 1_000_000)


def test_rights_are_patterns_by_trade(tmp_path: Path) -> None:
    """A0012: a 業種 runs what its patterns match; one that is not named runs all (decisions, "Order of checks")."""
    settings = load(written(tmp_path, f"[rights]\nwarehouse = ['TCC', 'OL*']\nnobody = []\n{LISTENER}"))
    assert settings.may_run("warehouse", "OLC20")
    assert not settings.may_run("warehouse", "IDA")
    assert not settings.may_run("nobody", "TCC")
    assert settings.may_run("customs-broker", "IDA")


def test_numbers_have_eleven_characters_unless_said(tmp_path: Path) -> None:
    """Numbers that the gateway issues have 11 characters, the last one n modulo 7; a series may say otherwise."""
    text = "[numbers]\nosa = { pattern = '{letter}{n:04d}', size = 5 }\nhfa = 'H{n:09d}{check}'\n"
    settings = load(written(tmp_path, text + LISTENER))
    assert settings.series("ola").text(123) == "00000001234"
    assert settings.series("hfa").text(1) == "H0000000011"
    assert settings.series("osa").text(7) == "H0007"
    with pytest.raises(ValueError, match="5 are expected"):
        settings.series("osa").text(10_000)
    assert settings.patterns == {"osa": "{letter}{n:04d}", "hfa": "H{n:09d}{check}"}
    assert NumberSeries().text(10**10 - 1) == "99999999993"


def test_business_is_free_form_over_defaults(tmp_path: Path) -> None:
    """``[business]`` is given to handlers as it is; what it leaves out has its default."""
    settings = load(written(tmp_path, f"[business]\nmany_lines_over = 3\nacme = 'x'\n{LISTENER}"))
    assert settings.business == module.BUSINESS | {"many_lines_over": 3, "acme": "x"}
