"""The failure table (naccs-edi.md 7.7) and the order of checks (decisions), through the real gateway."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from sekisho.gateway.clock import from_us
from sekisho.mailboxes.letters import Box, Route, Window
from sekisho.mailboxes.store import Unit

from .support import BOXES, BROKER, CENTRE, OTHER, PASSWORD, STRANGER, Desk, house, result_of, results_of

FOREVER = 4_000_000_000_000_000
Spoil = Callable[[bytes], bytes]


def _length(content: bytes) -> bytes:
    return content[:392] + b"000999" + content[398:]


def _put(at: int, value: bytes) -> Spoil:
    """Write over the bytes that start at byte ``at`` (counted from 1, as the tables do)."""
    return lambda content: content[: at - 1] + value + content[at - 1 + len(value) :]


def _stop(code: str, business: str = "") -> Callable[[Unit], object]:
    return lambda unit: unit.add_window(Window(0, business, code, 0, FOREVER))


HEADER_FAULTS = {
    "no CRLF at 399": (_put(399, b"  "), "A0016"),
    "システム識別 blank": (_put(365, b" "), "A0016"),
    "システム識別 3": (_put(365, b"3"), "A0016"),
    "control character": (_put(220, b"\x07"), "A0009"),
    "kanji in 電文引継情報": (_put(220, b"\xb4\xd8\xbd\xea"), "A0009"),
    "電文長 too large": (_length, "A0008"),
    "電文長 no number": (_put(393, b"ABCDEF"), "A0008"),
    "電文長 blank": (_put(393, b"      "), "A0008"),
    "cut before 398": (lambda content: content[:397], "A0016"),
    "cut behind the user ID": (lambda content: content[:37], "A0016"),
}


async def test_header_faults(tmp_path: Path) -> None:
    """Header form first: A0016, A0009, A0008, to the box of the user that bytes 30 to 37 name (decisions)."""
    async with house(tmp_path) as desk:
        for name, (spoil, code) in HEADER_FAULTS.items():
            (arrival,) = await desk.ask(spoil(desk.request("TCC", carry="TAG")))
            assert result_of(arrival) == code, name
            assert arrival.box == BROKER
        assert desk.quarantine == []


SITUATIONS: dict[str, tuple[str, dict[str, str], str]] = {
    "unknown business": ("QQQ", {}, "A0001"),
    "no program for it": ("ZZZ99", {}, "A0001"),
    "wrong password": ("TCC", {"password": "WRONG999"}, "A0004"),
    "blank password": ("TCC", {"password": ""}, "A0004"),
    "password turned into spaces": ("TCC", {"password": "S MPLE 1"}, "A0004"),
    "suspended": ("TCC", {"user": "4SUSPS0S"}, "A0014"),
    "temporary password": ("TCC", {"user": "3TEMPT0T"}, "U0001"),
    "temporary and unknown business": ("QQQ", {"user": "3TEMPT0T"}, "U0001"),
    "suspended and wrong password": ("TCC", {"user": "4SUSPS0S", "password": "WRONG999"}, "A0004"),
    "suspended and unknown business": ("QQQ", {"user": "4SUSPS0S"}, "A0014"),
}


async def test_who_and_what(tmp_path: Path) -> None:
    """User, password, state, business in this order: A0004, A0014, U0001, A0001 (naccs-edi.md 7.7)."""
    async with house(tmp_path) as desk:
        for name, (business, given, code) in SITUATIONS.items():
            user, password = given.get("user", "1ANACA0A"), given.get("password", PASSWORD)
            body = b"" if business in ("QQQ", "ZZZ99") else None
            content = desk.request(business, user=user, password=password, body=body)
            (arrival,) = await desk.ask(content, sender="")
            assert result_of(arrival) == code, name
            assert arrival.box == BROKER, name


async def test_unknown_user(tmp_path: Path) -> None:
    """A0003 for an unknown 利用者コード, A0005 for an unknown 識別番号, to the box whose address sent the mail.

    Always in quarantine's list; a sender that is no box hears nothing (decisions: no backscatter).
    """
    async with house(tmp_path) as desk:
        for user, code in {"9NONEA0A": "A0003", "1ANACZ9Z": "A0005", "": "A0003"}.items():
            (arrival,) = await desk.ask(desk.request("TCC", user=user), sender=OTHER)
            assert (result_of(arrival), arrival.box) == (code, OTHER)
        assert [entry.reason for entry in desk.quarantine] == ["A0003", "A0005", "A0003"]
        for sender in (STRANGER, ""):
            await desk.post(desk.request("TCC", user="9NONEA0A"), sender=sender)
        await desk.processed(5)
        assert [entry.reason for entry in desk.quarantine][3:] == ["A0003", "A0003"]
        assert len(desk.letters()) == 3
        assert {letter.box for letter in desk.letters()} == {"FWD"}


async def test_nobody_to_tell(tmp_path: Path) -> None:
    """A header that names no registered user: quarantine with the code, no letter, whoever sent it (decisions)."""
    async with house(tmp_path) as desk:
        for content in (b"", b"Hello", b"x" * 5000, desk.request("TCC", user="9NONEA0A")[:397]):
            assert (await desk.post(content)).accepted
        await desk.processed(4)
        assert [entry.reason for entry in desk.quarantine] == ["A0016"] * 4
        assert desk.letters() == []


async def test_link_of_somebody_else(tmp_path: Path) -> None:
    """A0013 where MAIL FROM is registered to another 利用者コード, told to the box that sent it (decisions).

    An unregistered MAIL FROM says nothing, nor does the letter case of an address.
    """
    async with house(tmp_path) as desk:
        (arrival,) = await desk.ask(desk.request("TCC"), sender=OTHER)
        assert (result_of(arrival), arrival.box) == ("A0013", OTHER)
        for sender in (STRANGER, "", BROKER.lower()):
            (arrival,) = await desk.ask(desk.request("TCC"), sender=sender)
            assert (result_of(arrival), arrival.box) == ("00000", BROKER)


PRECEDENCE: list[tuple[str, Spoil, str]] = [
    ("form before characters", lambda c: _put(220, b"\x01")(_put(365, b" ")(c)), "A0016"),
    ("characters before length", lambda c: _put(220, b"\x01")(_length(c)), "A0009"),
    ("length before password", lambda c: _put(38, b"WRONG999")(_length(c)), "A0008"),
    ("password before business", lambda c: _put(38, b"WRONG999")(_put(4, b"QQQ  ")(c)), "A0004"),
    ("link before password", _put(38, b"WRONG999"), "A0004"),
    ("business before body", _put(4, b"QQQ  "), "A0001"),
]


@pytest.mark.parametrize(("name", "spoil", "code"), PRECEDENCE, ids=[name for name, _, _ in PRECEDENCE])
async def test_two_faults_at_once(tmp_path: Path, name: str, spoil: Spoil, code: str) -> None:
    """A later step does not run after an earlier one failed (decisions, "Order of checks")."""
    async with house(tmp_path) as desk:
        (arrival,) = await desk.ask(spoil(desk.request("TCC")))
        assert result_of(arrival) == code, name
        if name.startswith("link"):
            (arrival,) = await desk.ask(spoil(desk.request("TCC")), sender=OTHER)
            assert result_of(arrival) == "A0013"


async def test_service_stop_stands_between_header_and_user(tmp_path: Path) -> None:
    """Header, then service state, then user: a closed service says so to a wrong password too, not to a bad header."""
    async with house(tmp_path, change=_stop("A0010")) as desk:
        (arrival,) = await desk.ask(_length(desk.request("TCC")))
        assert result_of(arrival) == "A0008"
        (arrival,) = await desk.ask(desk.request("QQQ", password="WRONG999", body=b""))
        assert result_of(arrival) == "A0010"
        assert arrival.message.header.output_code == "*CCMSG"
        (arrival,) = await desk.ask(desk.request("TCC", user="9NONEA0A"))
        assert (result_of(arrival), arrival.box) == ("A0010", BROKER)


@pytest.mark.parametrize("code", ["A0002", "A0006", "A0010", "A0011"])
async def test_service_windows_of_the_store(tmp_path: Path, code: str) -> None:
    """A stop of the whole service is a 250 and the stop's own code as the reply (decisions, "Size and pressure")."""
    async with house(tmp_path, change=_stop(code)) as desk:
        (arrival,) = await desk.ask(desk.request("TCC"))
        assert result_of(arrival) == code
        (window,) = desk.read(lambda view: view.windows())
        await desk.write(lambda unit: unit.delete_window(window.number))
        (arrival,) = await desk.ask(desk.request("TCC"))
        assert result_of(arrival) == "00000", "a stop ends when it is deleted"


async def test_service_windows_of_the_settings(tmp_path: Path) -> None:
    """``[[window]]`` closes from ``starts`` until, not including, ``ends``; per business under its own code."""
    toml = """
[gateway]
clock = "2025-10-01T09:00"
[[window]]
code = "A0006"
starts = "2025-09-30T00:00"
ends = "2025-10-01T09:00"
[[window]]
business = "OLA"
code = "U0002"
starts = "2025-10-01T00:00"
ends = "2025-10-02T00:00"
[[window]]
business = "SYG"
code = "A0002"
starts = "2025-10-01T00:00"
ends = "2025-10-02T00:00"
"""
    async with house(tmp_path, toml) as desk:
        for business, code in {"TCC": "00000", "OLA": "U0002", "SYG": "A0002"}.items():
            (arrival,) = await desk.ask(desk.request(business))
            assert result_of(arrival) == code


@pytest.mark.parametrize(("at", "code"), [("22:59:50", "00000"), ("23:00:00", "U0002"), ("00:00:00", "00000")])
async def test_hours_of_ury(tmp_path: Path, at: str, code: str) -> None:
    """URY is open 0:00 to 23:00, else U0002 (procedures 15; decisions, "URY")."""
    async with house(tmp_path, f'[gateway]\nclock = "2025-10-01T{at}"\n') as desk:
        items = {"KND": "C", "RID": "1ANACA0A", "PW1": "FRESH001", "PW2": "FRESH001"}
        (arrival,) = await desk.ask(desk.request("URY", items=items))
        assert result_of(arrival) == code
        assert arrival.message.header.output_code == "*CURY"


async def test_right_of_the_trade(tmp_path: Path) -> None:
    """A0012 where the matrix 業種 x business says no; it comes before the length and after the hours (decisions)."""
    async with house(tmp_path, '[rights]\nwarehouse = ["TCC", "S?T"]\n') as desk:
        for business, code in {"TCC": "00000", "OLA": "A0012", "QQQ": "A0001"}.items():
            content = desk.request(business, user="5WHSEW0W", body=b"" if business != "TCC" else None)
            (arrival,) = await desk.ask(content, sender="")
            assert (result_of(arrival), arrival.box) == (code, BOXES["WHS"])
        (arrival,) = await desk.ask(desk.request("OLA", body=b"x" * 9000))
        assert result_of(arrival) != "A0012", "a 業種 that is not named may run all"


async def test_lengths(tmp_path: Path) -> None:
    """Over 700,000 bytes, and more bytes than the business has items for, is its E0001 (naccs-edi.md 7.7)."""
    async with house(tmp_path) as desk:
        for size in (700_000, 700_001, 1_200_000):
            length = {"length": f"{min(size, 999_999):06d}"}
            (arrival,) = await desk.ask(desk.request("TCC", body=b"x" * (size - 402) + b"\r\n", header=length))
            assert result_of(arrival) == "E0001", size
            assert arrival.message.header.output_code == "*CTCC"
        assert [request.result[:5] for request in desk.requests] == ["E0001"] * 3


async def test_above_max_object(tmp_path: Path) -> None:
    """A mail above ``max_object`` is refused with 552 at the end mark and nothing of it is kept (decisions)."""
    async with house(tmp_path, "[limits]\nmax_object = 720_000\n") as desk:
        submission = await desk.post(desk.request("TCC", body=b"x" * 800_000))
        assert (submission.stage, submission.code) == ("dot", 552)
        assert desk.requests == []


async def test_item_errors_name_item_and_row(tmp_path: Path) -> None:
    """A missing or malformed item is an S code with its short name; all of one step are collected, five at most."""
    async with house(tmp_path) as desk:
        items = {"KND": "9", "CG_": ["SMPLBL0001", "bad \x01", "bad \x02", "bad \x03", "bad \x04"]}
        (arrival,) = await desk.ask(desk.request("OLA", items=items))
        codes = results_of(arrival)
        assert len(codes) == 5
        assert all(re.fullmatch(r"S[0-9]{4}-[A-Z0-9_ ]{4}-[0-9]{4}", code) for code in codes), codes
        assert codes[2] == "S9002-CG_ -0002"
        (request,) = desk.requests
        assert request.result == codes[0]


async def test_notice_byte_for_byte(tmp_path: Path) -> None:
    """A refusal's notice by the output table: tags echoed byte for byte, 477 bytes, Subject the first code.

    Source: naccs-edi.md 2.2, 2.4, 4.1.
    """
    clock = '[gateway]\nclock = "2025-10-01T23:59:57"\n'
    tags = {"carry": "aB 9 ", "input_id": "  12345", "index": " I" + "x" * 98}
    async with house(tmp_path, clock) as desk:
        (arrival,) = await desk.ask(desk.request("TCC", password="WRONG999", header=tags))
        (request,) = desk.requests
        received = f"{from_us(request.received_at):%Y%m%d%H%M}"
        assert received.startswith("20251001235")
        expected = b"".join(
            [
                b"   TCC  *CTCC  ",
                received.encode().ljust(14),
                b"1ANAC".ljust(22),
                BROKER.encode().ljust(64),
                b"A0004-0000-0000".ljust(64),
                b" " * 40,
                b"aB 9 ".ljust(26),
                b"000E",
                b"R   ",
                b"  12345".ljust(10),
                (b" I" + b"x" * 98),
                b"Q".ljust(29),
                b"000477\r\n",
                b"A0004-0000-0000".ljust(75) + b"\r\n",
            ]
        )
        assert arrival.content == expected
        assert arrival.sender == CENTRE


async def test_parts_kinds_and_key(tmp_path: Path) -> None:
    """The notice comes first, 000 E and R; each output 001 E with its own kind (naccs-edi.md 4.1, 4.7).

    The key stands in the Subject and in the notice of 490 bytes.
    """
    async with house(tmp_path) as desk:
        notice, output = await desk.ask(_ola(desk, carry="THE CARRY"), 2)
        key = notice.content[477:488].decode()
        assert re.fullmatch(r"[0-9A-Z]{11}", key)
        assert notice.message.header.output_code == "*SOLA"
        assert output.message.header.output_code == "SAS1360"
        assert (notice.content[245:250], output.content[245:250]) == (b"000ER", b"001EC")
        assert len(notice.content) == 490
        assert notice.message.header.subject == f"00000-0000-0000 {key}"
        assert output.message.header.subject == key
        for arrival in (notice, output):
            assert int(arrival.content[392:398]) == len(arrival.content)
            assert arrival.carry == b"THE CARRY".ljust(26)
            assert arrival.content[363:364] == b"Q"


def _ola(desk: Desk, carry: str = "") -> bytes:
    """A registration that is accepted: one parcel from the sample warehouse."""
    items = {
        "KND": "9", "BYA": "31", "OBJ": "SHI", "USS": "1", "DPR": "1AW01", "ARR": "1AW01", "CG_": ["SMPLBL0001"],
    }  # fmt: skip
    return desk.request("OLA", items=items, carry=carry)


async def test_user_without_a_box(tmp_path: Path) -> None:
    """A user without any box is answered into the operators' box, and the audit trail says so (decisions)."""

    def homeless(unit: Unit) -> None:
        account = unit.account("2BKOUB0B")
        assert account is not None
        unit.put_account(type(account)(account.id, account.password_hash, mail_from=account.mail_from))

    async with house(tmp_path, change=homeless) as desk:
        assert (await desk.post(desk.request("TCC", user="2BKOUB0B"), sender=OTHER)).accepted
        await desk.processed(1)
        (letter,) = desk.letters("OPERATORS")
        assert (letter.output_code, letter.due_at) == ("*CTCC", None)
        assert desk.events("output.strayed") == ["*CTCC   for 2BKOUB0B"]


@pytest.mark.parametrize("user", ["6STRIS0S", "1ANACA0A"])
async def test_strict_user(tmp_path: Path, user: str) -> None:
    """``strict`` turns findings into A0016 for the header and an S code or E0001 for the body (decisions, "Text")."""
    strict = user == "6STRIS0S"
    async with house(tmp_path) as desk:
        for fault, content, code in [
            ("filled reserve", _put(10, b"X")(desk.request("TCC", user=user)), "A0016"),
            ("last CRLF missing", desk.request("TCC", user=user)[:-2], "A0016"),
            ("lower case in an item", desk.request("TCC", user=user, items={"I01": "lower"}), "S9002"),
            ("nothing", desk.request("TCC", user=user), "00000"),
        ]:
            raw = f"From:{BROKER}\r\n\r\n".encode() + content
            (arrival,) = await desk.ask(raw, sender="", raw=True)
            wanted = code if strict else "00000"
            if fault == "last CRLF missing":  # SMTP cannot end a mail without CRLF: it is there again
                wanted = "00000"
            assert result_of(arrival)[:1] == wanted[:1], (fault, result_of(arrival))


async def test_tolerated_length(tmp_path: Path) -> None:
    """``tolerate_length``: a wrong 電文長 is a finding for this user, A0008 for the others (decisions)."""
    async with house(tmp_path) as desk:
        for user, code in {"7TOLET0T": "00000", "1ANACA0A": "A0008"}.items():
            (arrival,) = await desk.ask(_length(desk.request("TCC", user=user)), sender="")
            assert result_of(arrival) == code


async def test_received_time_is_that_of_the_request(tmp_path: Path) -> None:
    """電文受信日時 is Japan time of receipt, the letter's own time that of its processing (decisions, "Text")."""
    async with house(tmp_path) as desk:
        (arrival,) = await desk.ask(desk.request("TCC"))
        (request,) = desk.requests
        assert arrival.content[15:27].decode() == f"{from_us(request.received_at):%Y%m%d%H%M}"
        (letter,) = desk.letters()
        assert timedelta(0) <= from_us(letter.created_at) - from_us(request.received_at) < timedelta(seconds=5)


async def test_box_decides_the_mail_address(tmp_path: Path) -> None:
    """メールアドレス in the header is the box's own address, also where a route leads elsewhere (naccs-edi.md 2.2)."""

    def routed(unit: Unit) -> None:
        unit.put_box(Box("NEW", "ELSE@SMTP.BROKER.SEKISHO.EXAMPLE", ()))
        unit.put_route(Route("1ANACA0A", "*CTCC", "NEW"))

    async with house(tmp_path, change=routed) as desk:
        await desk.post(desk.request("TCC"))
        await desk.processed(1)
        (letter,) = desk.letters("NEW")
        content = desk.read(lambda view: view.content(letter.number))
        assert content[51:115] == b"ELSE@SMTP.BROKER.SEKISHO.EXAMPLE".ljust(64)
