"""EDIFACT through the gateway: each UNH is one message, and everybody hears what became of it (issue 3, house 4)."""

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

import pytest

from sekisho.codecs.edifact import read
from sekisho.codecs.envelope import Envelope
from sekisho.mailboxes.letters import Box, Dispatch, NewRequest, RequestState, Route, Window
from sekisho.mailboxes.store import Unit
from sekisho.transports.base import Verdict

from .edifact import asked, interchange, kind_of, message, partner, registered, segments
from .support import BROKER, OTHER, STRANGER, house

CUSCAR = Path(__file__).resolve().parents[2] / "samples" / "edifact" / "cuscar.edi"
CHANGED = message("PUT", "DOC1").replace("UNT+3", "UNT+4")
"""A message whose segment count is wrong (0085 code 29)."""


@pytest.fixture(autouse=True)
def _decided() -> Iterator[None]:
    with registered("XTESTA", "XTESTB"):
        yield


async def test_a_message_is_decided_and_answered(tmp_path: Path) -> None:
    """Success is a CUSRES into the partner's box; the journal names user, business, reference and key (issue 3)."""
    async with house(tmp_path, '[gateway]\nclock = "2025-10-01T00:30"\n' + partner('centre = ["SEKISHO"]')) as desk:
        (arrival,) = await desk.ask(interchange(message("NUM", "DOC1")))
        assert arrival.box == BROKER
        unb, *rows, unz = arrival.content.decode().split("'\r\n")[:-1]
        number = desk.requests[0].key
        assert re.fullmatch(r"[0-9]{11}", number)
        assert unb == "UNB+UNOA:3+SEKISHO+TRADER1+251001:0030+1", "parties swapped, Japan time, our first reference"
        assert rows == [
            "UNH+1+CUSRES:D:95B:UN",
            "BGM+962+1-1+9+AP",
            "DTM+137:202510010030:203",
            "RFF+ACW:DOC1",
            "RFF+AGO:REF1/1",
            f"RFF+ABT:{number}",
            "UNT+7+1",
        ]
        assert unz == "UNZ+1+1"
        (letter,) = desk.letters("BRK")
        assert (letter.output_code, letter.kind, letter.subject, letter.form) == ("CUSRES", "", "REF1", "Q")
        (request,) = desk.requests
        assert (request.user_id, request.business_code, request.input_id) == ("1ANACA0A", "XPUT", "REF1")
        assert (request.result, request.content_type) == ("00000-0000-0000", "application/EDIFACT")
        assert desk.quarantine == []


async def test_a_manifest_becomes_cargo(tmp_path: Path) -> None:
    """The CUSCAR of the samples registers cargo that OLA11 calls up, and its CUSRES comes (issue 3, "Done when")."""
    async with house(tmp_path, partner()) as desk:
        (arrival,) = await desk.ask(CUSCAR.read_bytes())
        assert kind_of(arrival) == "CUSRES"
        assert "BGM+962" in segments(arrival)[1]
        record = desk.read(lambda view: view.record("cargo", "SMPLBL0101"))
        assert record is not None
        _, form = await desk.ask(desk.request("OLA11", items={"CG_": ["SMPLBL0101"]}), 2)
        assert form.message.header.output_code == "SZOLA11"


@pytest.mark.parametrize(("aviation", "verdict"), [("true", "BGM+962+1-1+9+AP"), ("false", "BGM+963+1-1+9+RE")])
async def test_a_passenger_list(tmp_path: Path, aviation: str, verdict: str) -> None:
    """PAXLST, syntax version 4 in a group, from an aviation carrier's line; refused from any other (2.1)."""
    async with house(tmp_path, partner(f"aviation = {aviation}", ids='["SMPLAIR"]')) as desk:
        (cusres,) = await desk.ask(CUSCAR.with_name("paxlst.edi").read_bytes())
        rows = segments(cusres)
        assert rows[:2] == ["UNH+1+CUSRES:D:05B:UN", verdict]
        assert ("ERC+U9005::ZZZ" in rows) is (aviation == "false")


@pytest.mark.parametrize("way", ["typed", "attached", "blank lines", "quoted"])
async def test_how_an_interchange_lies_in_a_mail(tmp_path: Path, way: str) -> None:
    """application/EDIFACT or text/plain, single part or attachment (issue 3, "Through the gateway")."""
    content = interchange(message())
    mails = {
        "typed": b"Content-Type: application/EDIFACT\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(content),
        "attached": b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="X"\r\n\r\n'
        b"--X\r\nContent-Type: text/plain\r\n\r\nmanifest attached\r\n"
        b"--X\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
        b'Content-Disposition: attachment; filename="M.EDI"\r\n\r\n' + base64.encodebytes(content) + b"--X--\r\n",
        "blank lines": b"Content-Type: text/plain\r\n\r\n\r\n\r\n" + content + b"\r\n\r\n",
        "quoted": b"Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        + content.replace(b"=", b"=3D").replace(b"BGM", b"=42GM"),
    }
    async with house(tmp_path, partner()) as desk:
        (arrival,) = await desk.ask(mails[way], raw=True)
        assert kind_of(arrival) == "CUSRES"
        assert desk.requests[0].result == "00000-0000-0000"


async def test_replies_leave_as_edifact(tmp_path: Path) -> None:
    """A reply's mail says application/EDIFACT; a NACCS EDI reply says what it always said (naccs-edi.md 7.4)."""
    async with house(tmp_path, partner()) as desk:
        await desk.ask(interchange(message()))
        await desk.ask(desk.request("TCC"))
        box = desk.read(lambda view: view.box("BRK"))
        assert box is not None
        letters = desk.letters("BRK")
        contents = desk.read(lambda view: [view.content(letter.number) for letter in letters])
        mails = []
        for letter, content in zip(letters, contents, strict=True):
            dispatch = Dispatch(letter.number, "BRK", letter.uid, 1, letter.created_at, 0, 0, content)
            mails.append(desk.gateway.couriers.parcel(box, dispatch).data)
        assert b"\r\nContent-Type: application/EDIFACT\r\n" in mails[0]
        assert b'\r\nContent-Type: Text/plain;charset="EUC-JP"\r\n' in mails[1]


async def test_a_broken_message_is_named_and_the_others_are_done(tmp_path: Path) -> None:
    """A syntax error in one message is a CONTRL with its exact segment; its neighbours are decided (issue 3)."""
    bad = "UNH+2+CUSREP:D:95B:UN'BGM+85+DOC2+9'DTM+132:20251001:102:9'UNT+4+2'"
    async with house(tmp_path, partner()) as desk:
        contrl, cusres = await desk.ask(interchange(message("PUT", "A1"), bad, message("PUT", "A3", reference="3")), 2)
        rows = segments(contrl)
        assert rows[0] == "UNH+1+CONTRL:D:3:UN"
        assert rows[1] == "UCI+REF1+TRADER1+SEKISHO+7"
        assert rows[2] == "UCM+2+CUSREP:D:95B:UN+4"
        assert rows[3:5] == ["UCS+3", "UCD+16+2:4"], "segment 3 of the message, element 2, component 4"
        assert [row for row in segments(cusres) if row.startswith("RFF+ACW")] == ["RFF+ACW:A1", "RFF+ACW:A3"]
        assert desk.read(lambda view: [key for key, _ in view.records("extra")]) == ["A1", "A3"]
        assert [letter.output_code for letter in desk.letters("BRK")] == ["CONTRL", "CUSRES"]
        assert desk.requests[0].result == "EDIFACT-16"


async def test_an_interchange_that_is_wrong_as_a_whole(tmp_path: Path) -> None:
    """An error of the interchange rejects it: CONTRL 4 with the code at UCI, and nothing of it is done (5.1)."""
    async with house(tmp_path, partner()) as desk:
        (contrl,) = await desk.ask(interchange(message("PUT", "A1"), count=2))
        assert segments(contrl)[1] == "UCI+REF1+TRADER1+SEKISHO+4+29+UNZ+2"
        assert desk.read(lambda view: view.records("extra")) == []
        assert desk.requests[0].result == "EDIFACT-29"
        (good,) = await desk.ask(interchange(message("PUT", "A1")))
        assert kind_of(good) == "CUSRES", "what was not taken may come again under its reference"


async def test_a_group_that_is_wrong(tmp_path: Path) -> None:
    """An error of a group rejects that group by UCF; the other group is done (spec/edifact.md 5.1)."""

    def group(reference: str, document: str, count: int) -> str:
        head = f"UNG+XTESTA+TRADER1+SEKISHO+251001:0900+{reference}+ZZ+1:1'"
        return f"{head}{message('PUT', document)}UNE+{count}+{reference}'"

    async with house(tmp_path, partner()) as desk:
        contrl, cusres = await desk.ask(interchange(group("G1", "A1", 2), group("G2", "A2", 1)), 2)
        rows = segments(contrl)
        assert rows[1:3] == ["UCI+REF1+TRADER1+SEKISHO+7", "UCF+G1+TRADER1+SEKISHO+4+29+UNE+2"]
        assert "RFF+ACW:A2" in segments(cusres)
        assert desk.read(lambda view: [key for key, _ in view.records("extra")]) == ["A2"]


async def test_a_refusal_undoes_its_message_alone(tmp_path: Path) -> None:
    """A refusal by the business is answered with code, segment and its number in ERP/ERC (issue 3), and undone."""
    async with house(tmp_path, partner()) as desk:
        messages = [message("REF", "A1"), message("PUT", "A2", reference="2")]
        (cusres,) = await desk.ask(interchange(*messages))
        rows = segments(cusres)
        assert rows[:2] == ["UNH+1+CUSRES:D:95B:UN", "BGM+963+1-1+9+RE"]
        assert rows[3:7] == ["ERP+2:BGM:2", "ERC+E0031::ZZZ", "ERP+1", "ERC+E0032::ZZZ"]
        assert rows[7] == "RFF+ACW:A1"
        assert "BGM+962+1-2+9+AP" in rows
        assert desk.read(lambda view: [key for key, _ in view.records("extra")]) == ["A2"]
        (request,) = desk.requests
        assert (request.result, request.key) == ("E0031-BGM -0002", "A1")


@pytest.mark.parametrize("what", ["BOOM", "MUTE"])
async def test_an_exception_in_a_decision(tmp_path: Path, what: str, capfd: pytest.CaptureFixture[str]) -> None:
    """It is A0007 to the partner, the traceback is in the log alone, and its message leaves nothing (issue 3)."""
    async with house(tmp_path, partner()) as desk:
        (cusres,) = await desk.ask(interchange(message(what, "A1"), message("PUT", "A2", reference="2")))
        rows = segments(cusres)
        assert "ERC+A0007::ZZZ" in rows
        assert "BGM+962+1-2+9+AP" in rows
        assert b"broken inside" not in cusres.content
        assert desk.read(lambda view: [key for key, _ in view.records("extra")]) == ["A2"]
        assert desk.requests[0].result == "A0007-0000-0000"
    assert ("broken inside" in capfd.readouterr().out) is (what == "BOOM")


@pytest.mark.parametrize(
    ("toml", "user", "code"),
    [
        ("", "4SUSPS0S", "A0014"),
        ("", "3TEMPT0T", "U0001"),
        ('[rights]\ncustoms-broker = ["TCC"]\n', "1ANACA0A", "A0012"),
        (
            '[[window]]\nbusiness = "XPUT"\ncode = "U0002"\nstarts = "2020-01-01T00:00"\nends = "2099-01-01T00:00"\n',
            "1ANACA0A",
            "U0002",
        ),
        ('[[window]]\ncode = "A0006"\nstarts = "2020-01-01T00:00"\nends = "2099-01-01T00:00"\n', "1ANACA0A", "A0006"),
    ],
)
async def test_admission_without_a_password(tmp_path: Path, toml: str, user: str, code: str) -> None:
    """State, hours, right and service are those of the partner's user, answered as for any message (decisions)."""

    def change(unit: Unit) -> None:
        account = unit.account(user)
        assert account is not None
        unit.put_account(replace(account, mail_from=(BROKER,)))

    async with house(tmp_path, toml + partner(user=user), change=change) as desk:
        (cusres,) = await desk.ask(interchange(message()))
        assert f"ERC+{code}::ZZZ" in segments(cusres)
        assert desk.read(lambda view: view.records("extra")) == []
        assert desk.requests[0].result.startswith(code)


async def test_a_stop_that_begins_later_counts_from_then(tmp_path: Path) -> None:
    """An operator's stop holds for EDIFACT as for all (reliability 1b): before it the message is taken, then not."""
    async with house(tmp_path, partner()) as desk:
        (taken,) = await desk.ask(interchange(message()))
        assert "BGM+962" in segments(taken)[1]
        await desk.write(lambda unit: unit.add_window(Window(0, "XPUT", "A0002", 0, 2**60)))
        (refused,) = await desk.ask(interchange(message(), reference="REF2"))
        assert "ERC+A0002::ZZZ" in segments(refused)


async def test_business_outputs_reach_others(tmp_path: Path) -> None:
    """What a decision sends to others goes to them as NACCS EDI, with blank tags (naccs-edi.md 2.4)."""
    async with house(tmp_path, partner()) as desk:
        arrivals = await desk.ask(interchange(message("EXC", "A1")), 2)
        by_box = {arrival.box: arrival for arrival in arrivals}
        told = by_box["5WHSE1@SMTP.WAREHOUSE.SEKISHO.EXAMPLE"]
        header = told.message.header
        assert (header.output_code, header.kind, header.subject) == ("SAS0411", "P", "A1")
        assert told.carry.strip() == b""
        assert kind_of(by_box[BROKER]) == "CUSRES"


async def test_a_warning_is_told_with_the_acceptance(tmp_path: Path) -> None:
    """A normal end with a warning code is an acceptance that names the code (naccs-edi.md 4.2)."""
    async with house(tmp_path, partner()) as desk:
        (cusres,) = await desk.ask(interchange(message("WARN")))
        rows = segments(cusres)
        assert rows[1] == "BGM+962+1-1+9+AP"
        assert "ERC+W0001::ZZZ" in rows


async def test_several_interchanges_in_one_mail(tmp_path: Path) -> None:
    """Each gets its own verdict by its own sender's profile; a bad one does not spoil the next (E69)."""
    toml = partner() + partner('contrl = "always"', name="trader2", ids='["TRADER2"]')
    parts = [
        interchange(message("PUT", "A1"), reference="R1"),
        interchange(message("PUT", "A2"), reference="R2", count=9),
        interchange(message("PUT", "A3"), reference="R3", sender="TRADER2", una="UNA:+.? '"),
        interchange(message("PUT", "A4"), reference="R4", sender="NOBODY"),
    ]
    async with house(tmp_path, toml) as desk:
        arrivals = await desk.ask(b"\r\n".join(parts), 5)
        told = [(kind_of(one), segments(one)[1]) for one in arrivals]
        assert told == [
            ("CUSRES", "BGM+962+1-1+9+AP"),
            ("CONTRL", "UCI+R2+TRADER1+SEKISHO+4+29+UNZ+2"),
            ("CONTRL", "UCI+R3+TRADER2+SEKISHO+7"),
            ("CUSRES", "BGM+962+2-1+9+AP"),
            ("CONTRL", "UCI+R4+NOBODY+SEKISHO+4+23+UNB+3:1"),
        ]
        assert desk.read(lambda view: [key for key, _ in view.records("extra")]) == ["A1", "A3"]


async def test_an_unknown_sender(tmp_path: Path) -> None:
    """CONTRL 23 to the box whose address sent it; from elsewhere nobody is told (no backscatter, decisions)."""
    async with house(tmp_path, partner()) as desk:
        content = interchange(message(), sender="NOBODY")
        (contrl,) = await desk.ask(content, sender=OTHER)
        assert contrl.box == OTHER
        assert segments(contrl)[1] == "UCI+REF1+NOBODY+SEKISHO+4+23+UNB+3:1"
        assert (await desk.post(content, sender=STRANGER)).accepted
        await desk.processed(2)
        assert len(desk.letters()) == 1
        assert [one.reason for one in desk.quarantine] == ["A0003", "A0003"]
        assert desk.read(lambda view: view.records("extra")) == []


@pytest.mark.parametrize("sender", [OTHER, STRANGER])
async def test_the_sender_address_is_the_partners(tmp_path: Path, sender: str) -> None:
    """An EDIFACT transmission has no password: a sender address that is not the partner's is refused (A0013)."""
    async with house(tmp_path, partner()) as desk:
        assert (await desk.post(interchange(message()), sender=sender)).accepted
        await desk.processed(1)
        assert [one.reason for one in desk.quarantine] == ["A0013"]
        assert desk.requests[0].result == "A0013"
        assert [letter.box for letter in desk.letters()] == (["FWD"] if sender == OTHER else [])
        assert desk.read(lambda view: view.records("extra")) == []


async def test_a_partner_whose_user_is_gone(tmp_path: Path) -> None:
    """A profile that names a user nobody registered answers as for an unknown sender, and operators see it."""
    async with house(tmp_path, partner(user="9NONE000")) as desk:
        (contrl,) = await desk.ask(interchange(message()))
        assert segments(contrl)[1].endswith("+4+23+UNB+3:1")
        assert [one.reason for one in desk.quarantine] == ["A0003"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"UNA:+.? '", "EDIFACT-13"),
        (b"UNB+UNOA:3+TRADER1+SEKISHO+251001:0900'UNZ+0+1'", "EDIFACT-13"),
        (b"UNB+UNOA:3", "A0003"),
    ],
)
async def test_what_no_contrl_can_name(tmp_path: Path, content: bytes, reason: str) -> None:
    """Without 0020, sender or recipient no CONTRL can be built (E22): the operators see it, no mail leaves."""
    async with house(tmp_path, partner()) as desk:
        assert (await desk.post(content)).accepted
        await desk.processed(1)
        assert [one.reason for one in desk.quarantine] == [reason]
        assert desk.letters() == []


_MUTATED = (
    CUSCAR.read_bytes(),
    interchange(message(), message("REF", "A2", reference="2"), more="+PW+APP++1"),
    interchange(message(), syntax="UNOC:4", date="20251001"),
    interchange("UNH+1+CONTRL:D:3:UN'UCI+1+SEKISHO+TRADER1+4+29+UNZ+2'UNT+3+1'"),
    interchange(message(), una="UNA:+.? '") + interchange(message(), reference="X2"),
)
_PIECES = (b"'", b"+", b":", b"?", b"UNH+9+X'", b"UNT+1+1'", b"UNZ+1+1'", b"UNB+", b"\xb4\xd8", b"\x00", b"*", b"\r\n")


def _mutant(random: Random) -> bytes:
    content = bytearray(random.choice(_MUTATED))
    for _ in range(random.randint(1, 4)):
        at = random.randint(3, len(content))
        match random.randint(0, 3):
            case 0:
                del content[at : at + random.randint(1, 12)]
            case 1:
                content[at:at] = random.choice(_PIECES)
            case 2:
                content[at : at + 1] = bytes([random.randrange(256)])
            case _:
                del content[at : at + random.choice((1, 1, 1, 500))]
    return bytes(content)


async def test_no_content_stops_the_house(tmp_path: Path) -> None:
    """Any bytes that begin like an interchange are processed to an end: none parked, every CUSRES valid (issue 3)."""
    random = Random(20251001)
    mutants = [_mutant(random) for _ in range(400)]
    # Bytes that are no UTF-8, as sender, reference and document number.
    odd = partial(interchange, syntax="UNOW:4", date="20251001")
    mutants += [
        odd(message(), sender="\xb1"),
        odd(message(), reference="\xb1" * 9),
        odd(message(document="\xb1")),
        interchange(message(), reference="R" * 5000),
        interchange(message("REF", "D" * 5000)),
        odd("UNH+1+CONTRL:D:3:UN'UCI+\xb1+A+B+7'UNT+3+1'"),
    ]
    async with house(tmp_path, partner('contrl = "always"\nduplicates = false'), push="127.0.0.1:1") as desk:
        now = desk.gateway.clock.utc()
        taken = [
            desk.gateway.clerk.submit(Envelope("two-way", now, "peer", BROKER, "X", content, content))
            for content in mutants
        ]
        assert {(await one).verdict for one in taken} == {Verdict.ACCEPTED}
        await desk.processed(len(mutants))
        assert {request.state for request in desk.requests} == {RequestState.DONE}
        letters = desk.letters()
        assert {one.output_code for one in letters} >= {"CONTRL", "CUSRES"}
        ours = [one.number for one in letters if one.output_code == "CUSRES"]
        for content in desk.read(lambda view: [view.content(number) for number in ours]):
            assert read(content).valid, content


async def test_a_large_one_is_answered_first(tmp_path: Path) -> None:
    """What takes tens of milliseconds is journalled and answered, then processed in its lane's order (decisions)."""
    many = [message("PUT", f"A{at:05}", reference=str(at)) for at in range(1, 2001)]
    async with house(tmp_path, partner()) as desk:
        assert (await desk.post(interchange(*many))).accepted
        assert (await desk.post(desk.request("TCC"))).accepted
        first, second = await desk.come(2)
        assert kind_of(first) == "CUSRES", "the same sender's later message waits"
        assert second.message.header.output_code == "*CTCC"
        report = read(first.content)
        assert report.interchanges[0].messages == 2000
        assert max(map(len, first.content.split(b"\r\n"))) < 998


async def test_what_a_crash_left_is_processed_at_the_next_start(tmp_path: Path) -> None:
    """A crash leaves at worst requests in state received; the next start processes them (house 4)."""
    content = interchange(message("PUT", "A1")) + b"\r\n"
    raw = b"Content-Type: application/EDIFACT\r\nMessage-ID: <1@X.EXAMPLE>\r\n\r\n" + content

    def change(unit: Unit) -> None:
        unit.journal(
            NewRequest(
                lane="1ANACA0A|two-way|" + BROKER, idem="1ANACA0A|two-way|" + BROKER + "|<1@X.EXAMPLE>",
                transport="two-way", principal="", received_at=1_759_287_600_000_000, peer="127.0.0.1:4",
                sender=BROKER, recipient="NACCS@CENTRE.EXAMPLE", raw=raw, content=content, wrapping="mail",
                transport_id="<1@X.EXAMPLE>", user_id="1ANACA0A", business_code="XPUT", input_id="REF1",
            )
        )  # fmt: skip

    async with house(tmp_path, partner(), change=change) as desk:
        (cusres,) = await desk.come(1)
        assert "RFF+ACW:A1" in segments(cusres)
        await desk.until(lambda view: view.letters_of(1)[0].delivered_at is not None)
        (again,) = await desk.ask(raw, raw=True)
        assert again.transport_id == cusres.transport_id, "the sender that repeats it gets the same reply"


async def test_numbers_and_dates_of_replies(tmp_path: Path) -> None:
    """Our references count by partner; version 4 is answered in version 4 with its wide date (3.3, 5.1)."""
    toml = '[gateway]\nclock = "2025-10-01T09:00"\n' + partner('contrl = "always"')
    async with house(tmp_path, toml + partner(name="trader2", ids='["TRADER2:ZZ"]')) as desk:
        contrl, cusres = await desk.ask(interchange(message(), syntax="UNOC:4", date="20251001"), 2)
        assert contrl.content.startswith(b"UNB+UNOC:4+SEKISHO+TRADER1+20251001:0900+1'")
        assert segments(contrl)[0] == "UNH+1+CONTRL:4:1:UN"
        assert cusres.content.startswith(b"UNB+UNOC:4+SEKISHO+TRADER1+20251001:0900+2'")
        (other,) = await desk.ask(interchange(message(), sender="TRADER2:ZZ", recipient="SEKISHO:14"))
        assert other.content.startswith(b"UNB+UNOA:3+SEKISHO:14+TRADER2:ZZ+251001:0900+1'")


async def test_whoever_asks_is_answered(tmp_path: Path) -> None:
    """0031 asks for a CONTRL (E31): the answer to a good interchange is 7."""
    async with house(tmp_path, partner()) as desk:
        contrl, _ = await desk.ask(interchange(message(), more=asked()), 2)
        assert segments(contrl)[1] == "UCI+REF1+TRADER1+SEKISHO+7"


async def test_routes_hold_for_interchanges(tmp_path: Path) -> None:
    """宛先管理 leads CUSRES and CONTRL elsewhere like any output code (naccs-edi.md 5)."""

    def change(unit: Unit) -> None:
        unit.put_route(Route("1ANAC", "CUSRES", "FWD"))

    async with house(tmp_path, partner('contrl = "always"'), change=change) as desk:
        arrivals = await desk.ask(interchange(message()), 2)
        assert {kind_of(one): one.box for one in arrivals} == {"CONTRL": BROKER, "CUSRES": OTHER}


async def test_undelivered_ones_are_found_by_syg(tmp_path: Path) -> None:
    """SYG lists and sends interchanges that wait, by their kind (naccs-edi.md 6.1)."""
    async with house(tmp_path, partner()) as desk:
        desk.inhouse.refusing.add(BROKER)
        assert (await desk.post(interchange(message()))).accepted
        await desk.until(lambda view: view.letters_of(1) and view.letters_of(1)[0].last_outcome)
        assert desk.read(lambda view: view.undelivered(["BRK"])) == [("CUSRES", 1)]
        desk.inhouse.refusing.clear()
        arrivals = await desk.ask(desk.request("SYG", items={"OCD": "CUSRES"}), 2)
        assert {one.code for one in arrivals} == {"*CSYG", "CUSRES"}


async def test_operators_get_what_has_no_box(tmp_path: Path) -> None:
    """A partner's user without a box: its answers go to the operators, never nowhere (decisions, "Replies")."""

    def change(unit: Unit) -> None:
        account = unit.account("1ANACA0A")
        assert account is not None
        for other in unit.accounts():
            if other.user_code == "1ANAC":
                unit.put_account(replace(other, box=""))
        unit.put_box(Box("OPERATORS", "OPERATORS@CENTRE.SEKISHO.EXAMPLE", ()))

    async with house(tmp_path, partner(), change=change) as desk:
        assert (await desk.post(interchange(message()))).accepted
        await desk.processed(1)
        assert [letter.box for letter in desk.letters()] == ["OPERATORS"]
        assert desk.events("output.strayed") == ["CUSRES for 1ANACA0A"]
