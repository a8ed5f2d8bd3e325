"""mailbox: find, read, follow and resend letters; secrets stay hidden (house 2; reliability 10; decisions, "Rooms")."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sekisho.codecs.message import read_message
from sekisho.gateway.cli_letters import masked
from sekisho.gateway.cli_mailbox import hex_rows
from sekisho.handlers.tables import catalogue
from sekisho.mailboxes import open_store
from sekisho.mailboxes.letters import Dispatch, Event

from .commands import NOON, OLA, URY, make_store, message, sekisho


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A filled store."""
    return make_store(tmp_path / "var")


def look(data: Path) -> tuple[list[Event], list[Dispatch]]:
    """The audit trail, and what is due at noon."""
    store = open_store("sqlite", data, lambda: NOON)
    with store.view() as view:
        found = view.events(), view.due(NOON, 100)
    store.close()
    return found


def test_list_shows_the_newest_first_and_filters(data: Path) -> None:
    """Letters by box, user, business, output, state, subject and request; newest first."""
    forms = sekisho("mailbox", "list", "--json", "--data", data).json
    assert [form["letter"] for form in forms] == [4, 3, 2, 1]
    assert (forms[3]["output_code"], forms[3]["state"], forms[1]["state"]) == ("*SOLA", "waiting", "delivered")
    for args, numbers in (
        (["--business", "OLA"], [2, 1]),
        (["--output", "CZURY"], [4]),
        (["--state", "delivered"], [3]),
        (["--state", "waiting", "--limit", "2"], [4, 2]),
        (["--before", "3"], [2, 1]),
        (["--request", "r2"], [4, 3]),
        (["--text", "SAS1360"], [2]),
        (["--box", "BRK002"], []),
        (["--user", "1ANACA0A", "--box", "BRK001"], [4, 3, 2, 1]),
    ):
        found = sekisho("mailbox", "list", *args, "--json", "--data", data).json
        assert [form["letter"] for form in found] == numbers, args
    lines = sekisho("mailbox", "list", "--data", data).lines
    assert lines[0].split()[:6] == ["number", "created", "box", "uid", "user", "business"]
    assert "2025-10-01 12:01:00" in lines[1]
    assert sekisho("mailbox", "list", "--box", "NONE", "--data", data).out == "no letters\n"


def test_requests_are_listed(data: Path) -> None:
    """What came in, with its first result code."""
    lines = sekisho("mailbox", "list", "--requests", "--data", data).lines
    assert [line.split()[0] for line in lines] == ["number", "r3", "r2", "r1"]
    forms = sekisho("mailbox", "list", "--requests", "--json", "--data", data).json
    assert [form["result"] for form in forms] == ["A0016-0000-0000", "00000-0000-0000", "00000-0000-0000"]


def test_show_decodes_a_letter(data: Path) -> None:
    """Facts of the letter, then its items with Japanese names."""
    form = sekisho("mailbox", "show", "2", "--json", "--data", data).json
    assert (form["box"], form["uid"], form["message"]["output_code"]) == ("BRK001", 2, "SAS1360")
    assert {item["id"]: item["value"] for item in form["message"]["items"]}["NTA"] == "機械部品　１"
    page = sekisho("mailbox", "show", "2", "--data", data).out
    assert "保税運送申告番号" in page
    assert "BRK001" in page


SECRETS = {"r1": "SAMPLE01", "r2": "NEWPASS1", "r3": "SAMPLE01", "4": "SECRET99"}


@pytest.mark.parametrize("reference", SECRETS)
@pytest.mark.parametrize("view", ["show", "raw", "hex", "thread"])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_no_view_shows_a_secret(data: Path, reference: str, view: str, form: list[str]) -> None:
    """Every view of stored bytes masks secrets (decisions, "Rooms"), of encoded and broken requests too."""
    more = ["--full"] if view == "thread" else []
    ran = sekisho("mailbox", view, reference, *more, *form, "--data", data)
    assert ran.code == 0
    secret = SECRETS[reference].encode()
    shown = ran.data
    if view == "hex" and not form:
        shown += bytes.fromhex("".join(line[8:55] for line in ran.lines))
    elif view == "hex":
        shown += bytes.fromhex("".join(row["bytes"] for row in ran.json))
    elif view == "raw" and form:
        shown += bytes.fromhex(ran.json["hex"])
    assert secret not in shown
    assert len(shown) > 400
    assert look(data)[0] == []


@pytest.mark.parametrize("reference", SECRETS)
def test_unmask_shows_the_bytes_and_is_audited(data: Path, reference: str) -> None:
    """Each unmasked view is audited (decisions, "Rooms"); the bytes are those that came."""
    ran = sekisho("mailbox", "raw", reference, "--unmask", "--data", data)
    assert SECRETS[reference].encode() in ran.data or reference == "r2"  # r2 came in base64
    shown = sekisho("mailbox", "show", reference, "--unmask", "--json", "--data", data)
    assert SECRETS[reference] in shown.out or reference == "r3"  # r3's header is one byte short
    kinds = [(event.actor, event.kind, event.request, event.letter) for event in look(data)[0]]
    kind = "request.unmasked" if reference.startswith("r") else "letter.unmasked"
    assert [one[:2] for one in kinds] == [("operator", kind)] * 2
    assert f"r{kinds[0][2]}" == reference or kinds[0][3] == int(reference)


def test_masking_keeps_every_offset() -> None:
    """Masked bytes have the length of the message, blanks and line ends in place; only secrets differ."""
    tables = catalogue()
    for content, secrets in ((OLA, [b"SAMPLE01"]), (URY, [b"SAMPLE01", b"NEWPASS1", b"NEWPASS1"])):
        safe = masked(read_message(content, tables))
        expected = content
        for secret in secrets:
            expected = expected.replace(secret, b"*" * len(secret))
        assert safe == expected


@pytest.mark.parametrize(
    "content",
    [
        URY.replace(b"\r\n", b"\n"),
        URY[:-30],
        b"X" + URY,
        URY[:3] + b"QQQ  " + URY[8:],
        URY[:400] + b"\r\n" + URY[400:],
        URY[:200],
    ],
)
def test_masking_a_broken_message_hides_more_rather_than_less(content: bytes) -> None:
    """Where nobody can say what stands where, everything that could be a secret is masked."""
    safe = masked(read_message(content, catalogue(), direction="in"))
    assert len(safe) == len(content)
    assert b"NEWPASS1" not in safe
    assert b"SAMPLE01" not in safe


def test_raw_gives_the_stored_bytes(data: Path) -> None:
    """A letter has nothing secret: its bytes are those stored; a request comes with its mail."""
    ran = sekisho("mailbox", "raw", "2", "--data", data)
    assert len(ran.data) == int(ran.data[392:398])
    mail = sekisho("mailbox", "raw", "r1", "--unmask", "--data", data).data
    assert mail.startswith(b"Content-Type: text/plain\r\n")
    assert mail.endswith(OLA)
    form = sekisho("mailbox", "raw", "2", "--json", "--data", data).json
    assert bytes.fromhex(form["hex"]) == ran.data


def test_hex_shows_offsets_bytes_and_euc_text() -> None:
    """A two-byte character stands in the row of its first byte; CR and LF are visible."""
    rows = hex_rows(b"0123456789abcde" + "機".encode("euc_jp") + b"\r\n\x01\xff")
    assert rows == [
        (0, b"0123456789abcde\xb5", "0123456789abcde機"),
        (16, b"\xa1\r\n\x01\xff", "␍␊··"),
    ]


def test_hex_of_a_letter(data: Path) -> None:
    """Offset, sixteen bytes, text."""
    lines = sekisho("mailbox", "hex", "1", "--data", data).lines
    assert lines[0].startswith("     0  20 20 20 4f 4c 41")
    assert "OLA  *SOLA" in lines[0]
    rows = sekisho("mailbox", "hex", "1", "--json", "--data", data).json
    assert b"".join(bytes.fromhex(row["bytes"]) for row in rows) == sekisho("mailbox", "raw", "1", "--data", data).data


def test_thread_follows_a_request_to_its_letters_in_time_order(data: Path) -> None:
    """Request, result notice, outputs, and what became of each, from the request's number or any letter's."""
    sekisho("mailbox", "resend", "4", "--data", data)
    form = sekisho("mailbox", "thread", "4", "--json", "--data", data).json
    assert form["request"]["request"] == 2
    assert [(one["output_code"], one["state"]) for one in form["letters"]] == [
        ("*CURY", "delivered"),
        ("CZURY", "waiting"),
    ]
    what = [moment["what"] for moment in form["timeline"]]
    assert what == [
        "request.received", "request.processed", "letter.written", "letter.written", "letter.delivered",
        "letter.resent",
    ]  # fmt: skip
    at = [moment["at"] for moment in form["timeline"]]
    assert at == sorted(at)
    assert sekisho("mailbox", "thread", "r2", "--json", "--data", data).json == form
    page = sekisho("mailbox", "thread", "r2", "--full", "--data", data).out
    assert page.index("利用者情報登録") < page.index("letter 3") < page.index("letter 4") < page.index("timeline")


def test_resend_makes_letters_due_again(data: Path) -> None:
    """The same letter, due at once, delivered or not; one line each in the audit trail; all or none."""
    assert [dispatch.number for dispatch in look(data)[1]] == [1, 2, 4]
    assert sekisho("mailbox", "resend", "3", "99", "--data", data).code == 1
    assert look(data)[0] == []
    ran = sekisho("mailbox", "resend", "3", "1", "--json", "--data", data)
    assert [one["letter"] for one in ran.json] == [3, 1]
    trail, due = look(data)
    assert {dispatch.number for dispatch in due} == {1, 2, 4}
    store = open_store("sqlite", data, lambda: NOON)
    with store.view() as view:
        assert {dispatch.number for dispatch in view.due(NOON + 60_000_000, 9)} == {1, 2, 3, 4}
    store.close()
    assert [(event.kind, event.letter) for event in trail] == [("letter.resent", 3), ("letter.resent", 1)]


def test_resend_says_why_not(data: Path) -> None:
    """A box without doors lets nothing out; a request is no letter."""
    store = open_store("sqlite", data, lambda: NOON)
    with store.transaction() as unit:
        box = unit.box("BRK001")
        assert box is not None
        unit.put_box(replace(box, doors=()))
    store.close()
    ran = sekisho("mailbox", "resend", "1", "--data", data)
    assert (ran.code, "no door" in ran.err) == (1, True)
    assert sekisho("mailbox", "resend", "r1", "--data", data).code == 2
    assert sekisho("mailbox", "resend", "x", "--data", data).code == 2


def test_export_writes_a_file_a_letter_and_an_index(data: Path, tmp_path: Path) -> None:
    """The filters are those of list; secrets are masked unless asked for, which is audited."""
    target = tmp_path / "out"
    ran = sekisho("mailbox", "export", target, "--request", "r2", "--data", data)
    assert ran.out.startswith("2 letters in ")
    assert sorted(path.name for path in target.iterdir()) == [
        "BRK001-000003-RCURY.edi", "BRK001-000004-CZURY.edi", "index.json",
    ]  # fmt: skip
    assert b"SECRET99" not in (target / "BRK001-000004-CZURY.edi").read_bytes()
    index = json.loads((target / "index.json").read_text("utf-8"))
    assert [(one["file"], one["masked"]) for one in index] == [
        ("BRK001-000004-CZURY.edi", True),
        ("BRK001-000003-RCURY.edi", True),
    ]
    assert look(data)[0] == []
    sekisho("mailbox", "export", target, "--request", "r2", "--unmask", "--data", data)
    assert b"SECRET99" in (target / "BRK001-000004-CZURY.edi").read_bytes()
    assert [event.letter for event in look(data)[0]] == [4, 3]
    (tmp_path / "file").write_bytes(b"")
    assert sekisho("mailbox", "export", tmp_path / "file", "--data", data).code == 2


def test_tail_begins_with_the_last_letters(data: Path) -> None:
    """The last n, oldest first, one a line; with --json one object a line."""
    lines = sekisho("mailbox", "tail", "-n", "2", "--seconds", "0", "--json", "--data", data).lines
    assert [json.loads(line)["letter"] for line in lines] == [3, 4]
    assert "CZURY" in sekisho("mailbox", "tail", "-n", "1", "--seconds", "0", "--data", data).out
    assert sekisho("mailbox", "tail", "-n", "0", "--seconds", "0", "--data", data).out == ""


@pytest.mark.parametrize("view", ["show", "raw", "hex", "thread"])
def test_what_is_not_there_ends_with_1(data: Path, view: str) -> None:
    """A number that nobody has is said in a line with where to look."""
    for reference, said in (("99", "`sekisho mailbox list` shows"), ("r99", "list --requests` shows")):
        ran = sekisho("mailbox", view, reference, "--data", data)
        assert (ran.code, ran.data) == (1, b"")
        assert said in ran.err
    assert sekisho("mailbox", view, "0", "--data", data).code == 2


def test_a_message_without_a_table_is_shown_as_far_as_it_goes() -> None:
    """A business code nobody knows: header, error, and the body masked, since nobody can say what is in it."""
    strange = message("TCC", {"I01": "A"})
    strange = strange[:3] + b"QQQ  " + strange[8:]
    assert masked(read_message(strange, catalogue())).endswith(b"\r\n")
