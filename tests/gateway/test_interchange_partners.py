"""What each key of a partner's profile does (spec/edifact.md 2.3, docs/edifact.md): unset means not checked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sekisho.codecs.edifact import Profile
from sekisho.gateway.interchange import SENT, TAKEN, forget_references
from sekisho.gateway.partners import BUSINESS_CODES, Partner, Partners, opening_of
from sekisho.gateway.settings import SettingsError, load
from sekisho.mailboxes.store import Unit

from .edifact import asked, interchange, kind_of, message, partner, registered, segments
from .support import house, settings_of

GOOD = interchange(message())


@pytest.fixture(autouse=True)
def _decided() -> Iterator[None]:
    with registered("XTESTA", "XTESTB", "PAXLST"):
        yield


@pytest.mark.parametrize(
    ("policy", "good", "good_asked", "bad", "bad_asked"),
    [
        ("always", True, True, True, True),
        ("on-error", False, True, True, True),
        ("on-request", False, True, False, True),
        ("never", False, False, False, False),
    ],
)
async def test_when_a_contrl_is_sent(
    tmp_path: Path, policy: str, good: bool, good_asked: bool, bad: bool, bad_asked: bool
) -> None:
    """Always, on error, on request (0031) or never (2.3); an error nobody is told of is the operators' business."""
    contents = (
        (interchange(message(), reference="R1"), good),
        (interchange(message(), reference="R2", more=asked()), good_asked),
        (interchange(message(), reference="R3", count=2), bad),
        (interchange(message(), reference="R4", count=2, more=asked()), bad_asked),
    )
    async with house(tmp_path, partner(f'contrl = "{policy}"')) as desk:
        for content, _ in contents:
            assert (await desk.post(content)).accepted
        await desk.processed(4)
        told = {letter.subject for letter in desk.letters("BRK") if letter.output_code == "CONTRL"}
        assert told == {f"R{at}" for at, (_, expected) in enumerate(contents, 1) if expected}
        silent = [one for one in (bad, bad_asked) if not one]
        assert len(desk.quarantine) == len(silent)
        results = [letter.subject for letter in desk.letters("BRK") if letter.output_code == "CUSRES"]
        assert results == ["R1", "R2"]


@pytest.mark.parametrize("accept", ["CUSRES", "APERAK"])
@pytest.mark.parametrize("reject", ["CUSRES", "APERAK"])
async def test_what_says_yes_and_no(tmp_path: Path, accept: str, reject: str) -> None:
    """Success and refusal are told by CUSRES or APERAK as agreed; one interchange of ours a kind (2.3)."""
    content = interchange(message("PUT", "A1"), message("REF", "A2", reference="2"))
    toml = partner(f'accept_with = "{accept}"\nreject_with = "{reject}"')
    async with house(tmp_path, toml) as desk:
        arrivals = await desk.ask(content, 1 if accept == reject else 2)
        kinds = {kind_of(one): segments(one) for one in arrivals}
        assert set(kinds) == {accept, reject}
        yes, no = kinds[accept], kinds[reject]
        assert any(row.startswith("BGM+") and row.endswith("+AP") for row in yes)
        assert "RFF+ACW:A1" in yes
        assert any(row.startswith("BGM+") and row.endswith("+RE") for row in no)
        assert "RFF+ACW:A2" in no
        assert "ERC+E0031::ZZZ" in no
        if reject == "APERAK":
            assert "FTX+AAO+++BGM 2" in no, "segment and its number, where APERAK has no place of its own"


@pytest.mark.parametrize(
    ("messages", "kind", "what", "told"),
    [
        ('{ XTESTA = "XPUT" }', "XTESTA:1:1:ZZ", "PUT", "XPUT"),
        ('{ XTESTA = "XPUT", "XTESTA:PUT" = "XEXC" }', "XTESTA:1:1:ZZ", "PUT", "XEXC"),
        ('{ XTESTA = "XPUT", "XTESTA:NO" = "XEXC" }', "XTESTA:1:1:ZZ", "PUT", "XPUT"),
        ('{ XTESTA = "XPUT", "XTESTA:PUT" = "" }', "XTESTA:1:1:ZZ", "PUT", "ERC+A0001::ZZZ"),
        ('{ XTESTA = "XPUT" }', "XTESTB:1:1:ZZ", "PUT", "UCM+1+XTESTB:1:1:ZZ+4+17+UNH+3:1"),
        ('{ XTESTA = "XPUT" }', "XTESTC:1:1:ZZ", "PUT", "UCM+1+XTESTC:1:1:ZZ+4+14+UNH+3:1"),
        ('{ XTESTA = "" }', "XTESTA:1:1:ZZ", "PUT", "UCM+1+XTESTA:1:1:ZZ+4+17+UNH+3:1"),
    ],
)
async def test_message_types_and_business_codes(tmp_path: Path, messages: str, kind: str, what: str, told: str) -> None:
    """Type and document code -> business code; not agreed is 17, not supported 14, at UCM (E46)."""
    async with house(tmp_path, partner(f"messages = {messages}")) as desk:
        (arrival,) = await desk.ask(interchange(message(what, "A1", kind=kind)))
        record = desk.read(lambda view: view.record("extra", "A1"))
        assert (record["code"] if record else "") == (told if len(told) == 4 else "")
        assert len(told) == 4 or told in segments(arrival)


def test_the_usual_business_codes() -> None:
    """What the profile says of a type goes before the usual meaning of its document codes (2.2)."""
    plain = Partner(name="a", user="1ANACA0A", ids=("A",))
    assert plain.business_code("PAXLST", "250") == "NLR01"
    assert plain.business_code("PAXLST", "999") == "PLR01"
    assert plain.business_code("CUSREP", "") == "VBX"
    assert plain.business_code("CUSDEC", "") == ""
    own = Partner(name="a", user="1ANACA0A", ids=("A",), messages={"PAXLST": "PNR01", "CODECO:36": ""})
    assert own.business_code("PAXLST", "250") == "PNR01"
    assert own.business_code("CODECO", "36") == ""
    assert own.business_code("CODECO", "34") == BUSINESS_CODES["CODECO:34"]
    types = {key.partition(":")[0] for key in BUSINESS_CODES}
    assert own.profile(types).agreed_messages == types | {"CONTRL", "APERAK"}


@pytest.mark.parametrize(
    ("keys", "content", "code"),
    [
        ('syntaxes = ["UNOA:3"]', GOOD, ""),
        ('syntaxes = ["UNOB:3"]', GOOD, "17+UNB+2"),
        ('centre = ["SEKISHO"]', GOOD, ""),
        ('centre = ["ELSEWHERE", "OTHER"]', GOOD, "7+UNB+4:1"),
        ("", interchange(message(), more="++++++1"), ""),
        ('test_indicator = "forbidden"', interchange(message(), more="++++++1"), "25+UNB+12"),
        ('test_indicator = "forbidden"', GOOD, ""),
        ('test_indicator = "required"', interchange(message(), more="++++++1"), ""),
        ('test_indicator = "required"', GOOD, "25+UNB+12"),
        ("max_bytes = 100", interchange(message("PUT", "DOCUMENT1")), "18"),
        ("max_bytes = 1000", GOOD, ""),
        ("", b"\t" + GOOD, ""),
        ("strict = true", b"\t" + GOOD, "18"),
        ("strict = true", GOOD, ""),
        ("unwrap = true", GOOD.replace(b"BGM+PUT", b"BGM+P\r\nUT"), ""),
    ],
)
async def test_what_an_interchange_has_to_be(tmp_path: Path, keys: str, content: bytes, code: str) -> None:
    """Each key that is set is checked, at UCI with its code; what is not set is not (E17 to E30, E67)."""
    async with house(tmp_path, partner(keys)) as desk:
        (arrival,) = await desk.ask(content)
        rows = segments(arrival)
        if code:
            own = "ELSEWHERE" if "ELSEWHERE" in keys else "SEKISHO"
            assert rows[1] == f"UCI+REF1+TRADER1+SEKISHO+4+{code}"
            assert arrival.content.split(b"+")[2] == own.encode(), "the answer comes from an id of ours"
        else:
            assert rows[1].startswith("BGM+962")


async def test_a_wrapped_file_without_the_agreement(tmp_path: Path) -> None:
    """Line ends inside segments are characters outside the repertoire unless unwrap is agreed (3.5)."""
    async with house(tmp_path, partner()) as desk:
        (contrl,) = await desk.ask(GOOD.replace(b"BGM+PUT", b"BGM+P\r\nUT"))
        assert segments(contrl)[3:5] == ["UCS+2", "UCD+21+2"]


async def test_test_mode_is_echoed(tmp_path: Path) -> None:
    """An answer to a test is a test itself (0035)."""
    async with house(tmp_path, partner()) as desk:
        (arrival,) = await desk.ask(interchange(message(), more="++++++1"))
        assert arrival.content.split(b"'")[0].endswith(b"+1++++++1")


async def test_a_character_set_that_was_agreed(tmp_path: Path) -> None:
    """Where the syntax identifier does not tell the character set, the profile does (3.2)."""
    text = "関所"
    body = f"UNH+1+XTESTA:1:1:ZZ'BGM+PUT+A1++{text}'UNT+3+1'".encode("euc_jp")
    content = interchange(message(), syntax="UNOC:3").replace(message().encode(), body)
    async with house(tmp_path, partner('charset = "euc_jp"')) as desk:
        await desk.ask(content)
        record = desk.read(lambda view: view.record("extra", "A1"))
        assert record is not None
        assert record["text"] == text


async def test_the_directory_of_the_profile(tmp_path: Path) -> None:
    """The profile's directory judges a message type whatever UNH says; an empty one leaves it to the envelope (2.3)."""
    body = "UNH+1+PAXLST:D:12B:UN'BGM+745'UNT+3+1'"
    messages = 'messages = { PAXLST = "PLR01" }\n'
    async with house(tmp_path, partner(messages)) as desk:
        (contrl,) = await desk.ask(interchange(body))
        assert segments(contrl)[2] == "UCM+1+PAXLST:D:12B:UN+4"
    folder = tmp_path / "other"
    folder.mkdir()
    async with house(folder, partner(messages + 'directories = { PAXLST = "" }')) as desk:
        (cusres,) = await desk.ask(interchange(body))
        assert "BGM+962+1-1+9+AP" in segments(cusres)


@pytest.mark.parametrize("line", ["true", "false"])
async def test_the_line_of_an_aviation_carrier(tmp_path: Path, line: str) -> None:
    """The decision is told whether the line is one of an aviation carrier (2.1), and which business it is."""
    async with house(tmp_path, partner(f"aviation = {line}")) as desk:
        await desk.ask(interchange(message("PUT", "A1")))
        record = desk.read(lambda view: view.record("extra", "A1"))
        assert record is not None
        assert (record["aviation"], record["code"], record["user"]) == (line == "true", "XPUT", "1ANACA0A")


async def test_an_interchange_reference_comes_once(tmp_path: Path) -> None:
    """Same sender, recipient and 0020 in another mail: CONTRL 26, no second effect (E29), also after a restart."""
    async with house(tmp_path, partner()) as desk:
        await desk.ask(GOOD, message_id="<1@X.EXAMPLE>")
        (contrl,) = await desk.ask(GOOD, message_id="<2@X.EXAMPLE>")
        assert segments(contrl)[1] == "UCI+REF1+TRADER1+SEKISHO+4+26+UNB+6"
        (other,) = await desk.ask(interchange(message(), recipient="OTHER"))
        assert kind_of(other) == "CUSRES", "another recipient is another interchange"
    async with house(tmp_path, partner()) as desk:
        (contrl,) = await desk.ask(GOOD, message_id="<3@X.EXAMPLE>")
        assert segments(contrl)[1].endswith("+26+UNB+6")
        record = desk.read(lambda view: view.record("extra", "DOC1"))
        assert record is not None
        assert record["request"] == 3, "the one to the other recipient was the last that had an effect"


async def test_references_are_remembered_as_long_as_requests(tmp_path: Path) -> None:
    """The memory of references lasts as long as the journal (store.journal_days) and is dropped piece by piece."""
    async with house(tmp_path, '[gateway]\nclock = "2025-10-01T09:00"\n' + partner('contrl = "always"')) as desk:
        await desk.ask(GOOD, 2)
        await desk.gateway.housekeeping.purge()
        assert desk.read(lambda view: [len(view.records(kind)) for kind in (TAKEN, SENT)]) == [1, 2]

        def two_at_a_time(unit: Unit) -> list[str]:
            first = forget_references(unit, SENT, 0, "", 1)
            return [first, forget_references(unit, SENT, 2**60, first, 5), forget_references(unit, SENT, 0, "", 1)]

        assert await desk.write(two_at_a_time) == ["trader1|1", "", "trader1|1"]
        assert desk.read(lambda view: [key for key, _ in view.records(SENT)]) == ["trader1|1"]
    async with house(tmp_path, '[gateway]\nclock = "2026-01-01T09:00"\n' + partner()) as desk:
        await desk.gateway.housekeeping.purge()
        assert desk.read(lambda view: [len(view.records(kind)) for kind in (TAKEN, SENT)]) == [0, 0]


async def test_the_same_mail_again_is_the_same_request(tmp_path: Path) -> None:
    """A byte-identical retransmission with its Message-ID gets the same replies again (decisions, "Identity")."""
    async with house(tmp_path, partner()) as desk:
        (first,) = await desk.ask(GOOD, message_id="<1@X.EXAMPLE>")
        await desk.until(lambda view: view.letters_of(1)[0].delivered_at is not None)
        (again,) = await desk.ask(GOOD, message_id="<1@X.EXAMPLE>")
        assert again.content == first.content
        assert again.transport_id == first.transport_id
        assert len(desk.requests) == 1
        other = await desk.post(GOOD.replace(b"DOC1", b"DOC2"), message_id="<1@X.EXAMPLE>")
        assert other.code == 554, "the Message-ID of another transmission"


async def test_duplicates_may_be_agreed(tmp_path: Path) -> None:
    """With duplicates = false the same reference is processed again."""
    async with house(tmp_path, partner("duplicates = false")) as desk:
        for _ in range(2):
            (arrival,) = await desk.ask(GOOD)
            assert kind_of(arrival) == "CUSRES"


async def test_the_references_of_two_partners_are_apart(tmp_path: Path) -> None:
    """Each partner counts its own references, and each is answered by our own count for it."""
    async with house(tmp_path, partner() + partner(name="trader2", ids='["TRADER2"]')) as desk:
        for sender in ("TRADER1", "TRADER2"):
            (arrival,) = await desk.ask(interchange(message(), sender=sender))
            assert arrival.content.split(b"'")[0].endswith(b"+1")
            assert kind_of(arrival) == "CUSRES"


@pytest.mark.parametrize("policy", ["always", "never"])
async def test_an_acknowledgement_of_ours(tmp_path: Path, policy: str) -> None:
    """A CONTRL or APERAK about an interchange of ours is kept and noted by reference, never answered (E68)."""
    reply = "UNH+1+CONTRL:D:3:UN'UCI+1+SEKISHO+TRADER1+4+29+UNZ+2'UNT+3+1'"
    aperak = "UNH+1+APERAK:D:95B:UN'BGM+313+X1+9+RE'RFF+ACW:1-1'ERC+E1'UNT+5+1'"
    async with house(tmp_path, partner(f'contrl = "{policy}"')) as desk:
        await desk.ask(GOOD, 2 if policy == "always" else 1)
        before = len(desk.letters())
        for at, content in enumerate((reply, aperak, reply.replace("UCI+1+", "UCI+77+")), 2):
            assert (await desk.post(interchange(content, reference=f"ACK{at}"))).accepted
            await desk.processed(at)
        assert desk.events("interchange.acknowledged") == ["CONTRL 1 4 29", "APERAK 1 RE", "CONTRL 77 4 29"]
        events = [e for e in desk.read(lambda view: view.events()) if e.kind == "interchange.acknowledged"]
        assert [event.letter for event in events] == [1, 1, None]
        # An APERAK asks for nothing either, but the interchange it came in may be acknowledged.
        assert [letter.output_code for letter in desk.letters()[before:]] == ["CONTRL"] * (policy == "always")
        assert desk.quarantine == []


async def test_a_broken_contrl_is_not_answered(tmp_path: Path) -> None:
    """A CONTRL is never answered with a CONTRL, whatever is wrong with it (E68); the operators see it."""
    reply = "UNH+1+CONTRL:D:3:UN'UCI+1+SEKISHO+TRADER1+4'UNT+9+1'"
    async with house(tmp_path, partner('contrl = "always"')) as desk:
        assert (await desk.post(interchange(reply))).accepted
        await desk.processed(1)
        assert desk.letters() == []
        assert [one.reason for one in desk.quarantine] == ["EDIFACT-29"]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ('user = "X"', 'partner[0].user: "X"; 8 of A-Z and 0-9 (利用者コード 5 and 識別番号 3) is expected'),
        ('syntaxes = ["UNOA"]', 'partner[0].syntaxes: "UNOA"; identifier:version like "UNOA:3" is expected'),
        ('charset = "klingon"', 'partner[0].charset: "klingon" is no character set that Python knows'),
        ('directories = { CUSCAR = "95B" }', 'partner[0].directories: "95B"; a directory like "D.95B", or "", is'),
        ('messages = { cuscar = "MFR" }', 'partner[0].messages: "cuscar"; a message type, or type:document code'),
        ('messages = { CUSCAR = "m" }', 'partner[0].messages: "m"; a business code, or "", is expected'),
        ('contrl = "sometimes"', 'partner[0].contrl: "sometimes"; one of'),
        ("centre = ['A:B:C']", 'partner[0].centre: "A:B:C"; an id of up to 35 characters'),
        ("max_bytes = 1", "partner[0].max_bytes: 1"),
        ("ids = []", "partner[0].ids: []"),
    ],
)
def test_a_profile_that_is_none(tmp_path: Path, keys: str, problem: str) -> None:
    """Everything wrong with a [[partner]] is said with its path (house 2)."""
    given = {"name": '"a"', "user": '"1ANACA0A"', "ids": '["A"]'}
    key, _, value = keys.partition(" = ")
    text = "".join(f"{name} = {one}\n" for name, one in (given | {key: value}).items())
    (tmp_path / "gateway.toml").write_text("[[partner]]\n" + text, "utf-8")
    with pytest.raises(SettingsError) as caught:
        load(tmp_path / "gateway.toml")
    assert any(one.startswith(problem) for one in caught.value.problems), caught.value.problems


def test_partners_that_cannot_be_told_apart(tmp_path: Path) -> None:
    """One id belongs to one partner; with a qualifier it is another id, which goes before the bare one."""
    settings = settings_of(tmp_path, partner() + partner(name="b", ids='["TRADER1:ZZ"]'))
    partners = Partners(settings.partner)
    names = [found.name if found else "" for found in map(partners.find, ("TRADER1", "TRADER1", "X"), ("", "ZZ", ""))]
    assert names == ["trader1", "b", ""]
    with pytest.raises(SettingsError) as caught:
        settings_of(tmp_path, partner() + partner())
    assert caught.value.problems == [
        'partner[1].name: "trader1" is the name of another partner',
        'partner[1].ids: "TRADER1" is an id of "trader1"',
    ]


def test_unset_is_not_checked() -> None:
    """A profile of the three required keys checks nothing that was not agreed (2.3)."""
    profile = Partner(name="a", user="1ANACA0A", ids=("A",)).profile(["CUSCAR"])
    plain = Profile()
    for key in ("strict", "unwrap", "charset", "syntaxes", "recipients", "directories", "test_indicators", "max_bytes"):
        assert getattr(profile, key) == getattr(plain, key), key


def test_the_opening_of_a_transmission() -> None:
    """Sender, qualifier, reference, first type and document code; what is not there is empty."""
    assert opening_of(b"\r\n" + interchange(message(), sender="A:ZZ")) == ("A", "ZZ", "REF1", "XTESTA", "PUT")
    assert opening_of(b"UNB+UNOA:3+A") == ("A", "", "", "", "")
    assert opening_of(b"UNA") == ("", "", "", "", "")
