"""What a handler may do to the house, and what is undone (decisions, "Commit"; reliability 1b)."""

import re
from pathlib import Path

import pytest

from sekisho.gateway.inhouse import Arrival

from .support import BROKER, OTHER, PASSWORD, extra_codes, house, result_of, results_of, served


@pytest.mark.parametrize("form", ["console", "json"])
async def test_exception_in_a_handler(tmp_path: Path, form: str) -> None:
    """A handler's exception is A0007; records, numbers and the password are as before (naccs-edi.md 7.7).

    The traceback is in the log and nowhere else, and holds no value of a variable.
    """
    async with served(tmp_path, f'{extra_codes()}[log]\nformat = "{form}"\n') as desk:
        (arrival,) = await desk.ask(desk.request("XBOOM", items={"TXT": "SECRET"}, carry="TAG"))
        assert results_of(arrival) == ["A0007-0000-0000"]
        assert len(arrival.content) == 477
        assert arrival.message.header.output_code == "*SXBOOM"
        assert desk.read(lambda view: view.record("extra", "SECRET")) is None
        (arrival,) = await desk.ask(desk.request("XPUT", items={"TXT": "GOOD"}))
        assert result_of(arrival) == "00000", "the password is the former one"
        key = arrival.content[477:488].decode()
        assert int(key[:10]) == 2, "the first number was undone, so the series has no gap"
    text = (tmp_path / "log").read_text()
    assert "message.failed" in text
    assert "broken inside" in text
    assert "LOCAL-VALUE-SECRET" not in text
    assert PASSWORD not in text


@pytest.mark.parametrize(
    ("code", "results", "key"),
    [
        ("XREFU", ["E0031-TXT -0000", "E0032-0000-0000"], "KEY00000001"),
        ("XMUTE", ["A0007-0000-0000"], ""),
        ("XTABL", ["A0007-0000-0000"], ""),
    ],
)
async def test_refusal_in_a_handler(tmp_path: Path, code: str, results: list[str], key: str) -> None:
    """A refusal changes nothing and its notice holds codes and key; one without a code is A0007 (procedures 1.1)."""
    async with house(tmp_path, extra_codes()) as desk:
        (arrival,) = await desk.ask(desk.request(code, items={"TXT": "GONE"}))
        assert results_of(arrival) == results
        assert arrival.content[477:488].decode().strip() == key
        assert arrival.message.header.subject == f"{results[0]} {key}".strip()
        assert desk.read(lambda view: view.record("extra", "GONE")) is None
        assert len(desk.letters()) == 1
        assert desk.quarantine == []


async def test_exc_outputs(tmp_path: Path) -> None:
    """EXC goes to the box of the place's user, tags blank, form C (naccs-edi.md 2.4, 5; decisions, "Replies")."""
    async with house(tmp_path, extra_codes()) as desk:
        arrivals = await desk.ask(desk.request("XEXC", items={"TXT": "1AW01"}, carry="TAG", input_id="ID"), 4)
        by_code = {arrival.message.header.output_code: arrival for arrival in arrivals}
        exc = by_code["SAS0411"]
        assert exc.box == "5WHSE1@SMTP.WAREHOUSE.SEKISHO.EXAMPLE"
        assert exc.content[219:245].strip() == b""
        assert exc.content[253:363].strip() == b""
        assert (exc.content[29:34], exc.content[363:364]) == (b"5WHSE", b"C")
        assert exc.content[15:27] == by_code["*SXEXC"].content[15:27], "the moment of what triggered it"
        routed = by_code["SAF0010"]
        assert routed.box == exc.box, "a route of the 利用者コード counts"
        inq = by_code["SAF0021"]
        assert (inq.box, inq.content[363:364], inq.carry) == (BROKER, b"Q", b"TAG".ljust(26))
        assert inq.content[253:263] == b"ID".ljust(10)


@pytest.mark.parametrize("place", ["9ZZ99", "UNKNO"])
async def test_exc_without_a_user(tmp_path: Path, place: str, capfd: pytest.CaptureFixture[str]) -> None:
    """An EXC whose place or user has no box goes to the operators' box, is logged, and fails nobody (decisions)."""
    async with house(tmp_path, extra_codes()) as desk:
        arrivals = await desk.ask(desk.request("XEXC", items={"TXT": place}), 3)
        assert result_of(next(a for a in arrivals if a.message.header.kind == "R")) == "00000"
        (letter,) = desk.letters("OPERATORS")
        assert (letter.output_code, letter.form) == ("SAS0411", "C")
        assert len(desk.events("output.strayed")) == 1
    assert "output.strayed" in capfd.readouterr().out


async def test_exz_output(tmp_path: Path) -> None:
    """EXZ goes to the one who asked first, with the tags of that request and form Z (naccs-edi.md 2.4, 5)."""
    async with house(tmp_path, extra_codes()) as desk:
        await desk.ask(desk.request("TCC", user="1ANACA0B", carry="FIRST", input_id="ID1", header={"index": "IX"}))
        (first,) = desk.requests
        content = desk.request("XEXZ", user="2BKOUB0B", items={"TXT": str(first.number)}, carry="SECOND")
        arrivals = await desk.ask(content, 2, sender=OTHER)
        notice, exz = sorted(arrivals, key=lambda arrival: arrival.message.header.kind != "R")
        assert (notice.box, notice.carry) == (OTHER, b"SECOND".ljust(26))
        assert exz.message.header.output_code == "SAF0010"
        assert exz.content[363:364] == b"Z"
        assert exz.carry == b"FIRST".ljust(26)
        assert exz.content[253:263] == b"ID1".ljust(10)
        assert exz.content[263:363] == b"IX".ljust(100)


async def test_control_character_in_the_key(tmp_path: Path) -> None:
    """A refused request's key goes into the notice only if a header can carry it: no reply is malformed."""
    async with house(tmp_path) as desk:
        for bad in (b"AB\rCD", b"AB\nCD", b"AB\x00CD", b"\xb4\xd8\xbd\xea"):
            (arrival,) = await desk.ask(desk.request("OLC20", body=bad.ljust(11) + b"\r\n" + b"  \r\n" + b" \r\n"))
            head = arrival.content[:398]
            assert head.isascii()
            assert head.decode().isprintable()
            assert len(arrival.content) == int(arrival.content[392:398]) == 477
            assert result_of(arrival)[0] in "SE"


async def test_password_change_counts_at_once(tmp_path: Path) -> None:
    """URY C in one mail, the new password in the next of the same sender, sent without waiting (reliability 1d)."""
    async with house(tmp_path) as desk:
        items = {"KND": "C", "RID": "1ANACA0A", "PW1": "FRESH001", "PW2": "FRESH001"}
        await desk.post(desk.request("URY", items=items, carry="1"))
        await desk.post(desk.request("TCC", password="FRESH001", carry="2"))
        await desk.post(desk.request("TCC", password=PASSWORD, carry="3"))
        arrivals = await desk.come(3)
        assert {a.carry.strip(): result_of(a) for a in arrivals} == {b"1": "00000", b"2": "00000", b"3": "A0004"}


async def test_refused_password_change_is_forgotten(tmp_path: Path) -> None:
    """What a handler changed in an account and then failed is not remembered by the directory either."""
    async with house(tmp_path, extra_codes()) as desk:
        assert result_of((await desk.ask(desk.request("XBOOM", items={"TXT": "X"})))[0]) == "A0007"
        for password, code in {"CHANGED1": "A0004", PASSWORD: "00000"}.items():
            assert result_of((await desk.ask(desk.request("TCC", password=password)))[0]) == code


async def test_temporary_password_only_in_its_letter(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """URY I gives the temporary password once, in the C output; no log line has it (decisions, "URY")."""
    async with house(tmp_path, '[log]\nlevel = "debug"\n') as desk:
        arrivals = await desk.ask(desk.request("URY", items={"KND": "I", "RID": "1ANACA0B"}), 2)
        output = _of(arrivals, "CZURY")
        temporary = output.content[400 + 77 + 10 :].split(b"\r\n")[0].decode().strip()
        assert re.fullmatch("[A-Z0-9]{8}", temporary)
        (arrival,) = await desk.ask(desk.request("TCC", user="1ANACA0B", password=temporary))
        assert result_of(arrival) == "U0001"
        assert temporary not in _of(arrivals, "*CURY").content.decode()
    out = capfd.readouterr()
    assert temporary not in out.err + out.out


def _of(arrivals: list[Arrival], code: str) -> Arrival:
    return next(arrival for arrival in arrivals if arrival.message.header.output_code == code)
