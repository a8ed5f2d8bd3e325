"""Partner profiles: what is refused before it can do harm, and what a CPA becomes (spec/ebms.md 4.10 and 11)."""

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from sekisho.gateway.cli import main
from sekisho.gateway.doorkeeper import Doors
from sekisho.gateway.ebms_partners import EbmsPartner, problems_of, warnings_of
from sekisho.gateway.msh_cpa import import_cpa
from sekisho.gateway.msh_profiles import Profiles
from sekisho.gateway.passwords import Passwords, hash_password
from sekisho.gateway.strict_toml import read_table
from sekisho.mailboxes.letters import Box
from sekisho.mailboxes.sqlite import SqliteStore
from sekisho.transports.ebms import Caller, Unauthorised
from tests.codecs.ebms.test_cpa import agreement
from tests.gateway.ebms_peer import key_files, keys
from tests.gateway.msh_house import profile

TABLE = """
name = "broker"
box = "BRK001"
cpa_id = "cpa"
us = { ids = [{ value = "urn:us" }], role = "Centre" }
them = { ids = [{ value = "BROKER", type = "urn:names" }] }
plain = true
"""
OUT = '[[action]]\nservice = "urn:s"\naction = "Reply"\ndirection = "out"\n'


def _read(text: str) -> tuple[EbmsPartner | None, list[str]]:
    problems: list[str] = []
    return read_table(EbmsPartner, tomllib.loads(text), "ebms[0].", problems), problems


def test_defaults_are_the_specifications() -> None:
    """Section 11: what a profile does not say is what most partners agree."""
    partner, problems = _read(TABLE)
    assert problems == []
    assert partner is not None
    assert (partner.retries, partner.retry_interval_seconds, partner.persist_duration_seconds) == (5, 300, 1800)
    assert (partner.sync_reply, partner.ack, partner.signature) == ("none", "per-message", "none")
    assert (partner.soap_action, partner.ack_actor) == ('"ebXML"', "toPartyMSH")
    assert (partner.external_references, partner.tolerances, partner.max_message) == (False, (), 12 * 1024 * 1024)


WRONG = {
    "retrys = 3\n": 'ebms[0].retrys: unknown key; did you mean "retries"?',
    'tolerances = ["all"]\n': 'ebms[0].tolerances: "all"; known are must-understand-true',
    'valid_from = "yesterday"\n': 'ebms[0].valid_from: "yesterday" is no time',
    'valid_from = "2025-01-01T00:00:00"\n': "has no zone",
    'valid_from = "2025-01-02T00:00:00Z"\nvalid_to = "2025-01-02T09:00:00+09:00"\n': "is not after valid_from",
    'url = "ftp://x.EXAMPLE/"\n': "an address like https://",
    'url = "https://user:secret@x.EXAMPLE/"\n': "an address like https://",
    f'url = "http://x.EXAMPLE/msh"\n{OUT}': "has no TLS",
    'url = "https://x.EXAMPLE/msh"\n': "needs an action with direction out",
    'pull = { service = "urn:s", action = "Fetch" }\n': "needs an action with direction out",
    'pull = { service = "S", action = "Fetch" }\n': "a URI is expected",
    'signature = "sign"\n': "signing_key and signing_certificate are expected",
    'signature = "require"\nsigning_key = "a"\nsigning_certificate = "b"\n': "his certificates are expected",
    "ack_signed = true\n": "needs a signature",
    'sync_reply = "responseOnly"\n': "needs a url or a pull",
    'sync_reply = "later"\n': "one of",
    "retries = 10\n": "at least (retries + 1) x retry_interval_seconds, 3300, is expected",
    "persist_duration_seconds = 99999999\n": "more than 90 days",
    'tls_key = "a"\n': "go together",
    'basic_user = "a"\n': "go together",
    'status = "draft"\n': "one of",
}  # fmt: skip


@pytest.mark.parametrize("added", WRONG)
def test_a_wrong_profile_is_refused_by_key(added: str) -> None:
    """Style 7: unknown keys and values that cannot work are named with their path."""
    partner, problems = _read(TABLE + added)
    assert partner is None
    assert len(problems) == 1
    assert WRONG[added] in problems[0]


def test_item_16_a_party_without_type_is_a_uri() -> None:
    """Item 16: so is a service."""
    _, problems = _read(TABLE.replace('value = "urn:us"', 'value = "US"'))
    assert "a URI is expected" in problems[0]


def test_nobody_is_known_without_a_way_to_know_him() -> None:
    """Section 5, step 1: a profile that no caller can have is a mistake."""
    _, problems = _read(TABLE.replace("plain = true", ""))
    assert "how he is known is missing" in problems[0]


def test_profiles_are_told_apart_by_name_and_by_agreement_and_party() -> None:
    """Two profiles of one CPAId and partner could not be told apart by a message."""
    one = profile()
    assert list(problems_of([one, profile(name="two", cpa_id="other")])) == []
    assert "is the name of another profile" in next(problems_of([one, profile(cpa_id="other")]))
    assert 'is already agreed with "broker"' in next(problems_of([one, profile(name="two")]))


def test_what_is_weak_is_warned_of() -> None:
    """Issue 4: plain doors and weak signatures are named."""
    weak = profile(url="http://broker.EXAMPLE/msh", allow_http=True, tolerances=("sha1",))
    assert len(list(warnings_of([weak]))) == 3


def _caller(**changes: Any) -> Caller:  # noqa: ANN401 - fields of a Caller
    fields: dict[str, Any] = {"listener": "ebms", "peer": "192.0.2.1:5", "loopback": False}
    return Caller(**(fields | changes))


async def test_item_68_who_calls_is_told_by_certificate_basic_or_loopback(tmp_path: Path) -> None:
    """Section 5, step 1: the transport's identity decides which profiles a message may name; two certificates count."""
    _, old = key_files(tmp_path, "old", 3)
    _, new = key_files(tmp_path, "new", 60)
    partners = [
        profile(name="tls", box="TLS", cpa_id="1", plain=False, certificates=(old, new)),
        profile(name="basic", box="BRK", cpa_id="2", plain=False, basic=True),
        profile(name="here", box="HERE", cpa_id="3"),
    ]
    store = SqliteStore(tmp_path / "store.db", clock_us=lambda: 1)
    with store.transaction() as unit:
        unit.put_box(Box("BRK", "BRK@BROKER.SEKISHO.EXAMPLE", ("ebms",), password_hash=hash_password("right")))
    doors = Doors(store, Passwords(), delay=0)
    profiles = Profiles(partners, tmp_path, doors)

    async def names(**caller: Any) -> list[str]:  # noqa: ANN401 - fields of a Caller
        return [one.name for one in (await profiles.identify(_caller(**caller))).profiles]

    for name, days in (("old", 3), ("new", 60)):
        shown = x509.load_pem_x509_certificate(keys(name, days)[1]).fingerprint(hashes.SHA256()).hex()
        assert await names(fingerprint=shown) == ["tls"]
    assert await names(user="brk", password="right") == ["basic"]
    assert await names(loopback=True) == ["here"]
    for wrong in ({}, {"fingerprint": "00"}, {"user": "brk", "password": "wrong"}, {"user": "brk", "loopback": True}):
        with pytest.raises(Unauthorised) as refused:
            await names(**wrong)
        assert refused.value.challenge
    assert sorted(one.use for one in profiles.endings) == ["client", "client"]
    assert profiles.client_certificates.count(b"BEGIN CERTIFICATE") == 2
    doors.close()
    store.close()


def test_item_66_an_agreement_is_in_force_from_its_first_to_before_its_last_moment() -> None:
    """Item 66."""
    partner = profile(valid_from="2025-01-01T00:00:00+09:00", valid_to="2026-01-01T00:00:00+09:00")
    first, last = datetime(2024, 12, 31, 15, tzinfo=UTC), datetime(2025, 12, 31, 15, tzinfo=UTC)
    assert partner.in_force(first)
    assert not partner.in_force(last)
    assert not partner.in_force(datetime(2024, 12, 31, 14, 59, tzinfo=UTC))
    assert not profile(status="proposed").in_force(first)


def test_a_cpa_becomes_a_profile_that_can_be_read() -> None:
    """Section 11: the import fills the profile, writes certificates, and lists what it lacks and could not map."""
    made = import_cpa(agreement(), us="CENTRE.EXAMPLE", name="broker", box="BRK001")
    tables = tomllib.loads(made.toml)["ebms"]
    problems: list[str] = []
    partner = read_table(EbmsPartner, tables[0], "", problems)
    assert problems == []
    assert partner is not None
    assert partner.cpa_id == "CPA-1"
    assert [one.value for one in partner.us.ids] == ["CENTRE.EXAMPLE"]
    assert (partner.us.role, partner.them.role) == ("roleB", "roleA")
    assert partner.url == "https://broker.EXAMPLE/ebms"
    assert [(one.action, one.direction) for one in partner.action] == [("Submit", "in"), ("Answer", "out")]
    assert (partner.sync_reply, partner.ack, partner.signature) == ("mshSignalsOnly", "always", "require")
    assert (partner.retries, partner.retry_interval_seconds, partner.persist_duration_seconds) == (3, 90.5, 93600)
    assert (partner.ordered, partner.basic) == (True, True)
    assert set(made.files) == {"broker-signing.pem", "broker-theirs.pem", "broker-server.pem"}
    assert any("signing_key" in each for each in made.missing)
    assert "# not mapped: " in made.toml


def test_the_command_prints_the_profile_and_names_what_is_unclear(tmp_path: Path) -> None:
    """`sekisho ebms import-cpa`: exit 1 with both sides named when ours is not; 1 for what is no agreement."""
    document = tmp_path / "cpa.xml"
    document.write_bytes(agreement())
    run = CliRunner().invoke
    good = run(main, ["ebms", "import-cpa", str(document), "--us", "CENTRE.EXAMPLE", "--files", str(tmp_path / "c")])
    assert good.exit_code == 0, good.output
    assert tomllib.loads(good.output)["ebms"][0]["cpa_id"] == "CPA-1"
    assert (tmp_path / "c" / "partner-theirs.pem").read_bytes().startswith(b"-----BEGIN CERTIFICATE-----")
    unclear = run(main, ["ebms", "import-cpa", str(document)])
    assert unclear.exit_code == 1
    assert '"BROKER.EXAMPLE"' in unclear.output
    assert '"CENTRE.EXAMPLE"' in unclear.output
    document.write_bytes(b"<!DOCTYPE a [<!ENTITY b SYSTEM '/etc/passwd'>]><a>&b;</a>")
    hostile = run(main, ["ebms", "import-cpa", str(document), "--us", "X"])
    assert (hostile.exit_code, "root:" in hostile.output) == (1, False)
    assert run(main, ["ebms", "import-cpa", str(document), "--name", "../x"]).exit_code == 2
