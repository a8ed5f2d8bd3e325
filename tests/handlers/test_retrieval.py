"""SYG: wire reference 6.1, decisions "Replies of step one"."""

from sekisho.codecs.results import result_block

from .house import House, result, written


def test_list_of_what_waits(house: House) -> None:
    """REF: no notice but the list, code and count by kind, result notices included; it does not start with ``*``."""
    house.waiting.by_code = {"*SOLA": [4], "SAS1360": [5, 9]}
    outcome = house.send("SYG", OCD="REF")
    (output,) = outcome.outputs
    assert (outcome.notice, outcome.resend, output.code, output.kind) == (False, (), "CZSYG", "R")
    rows = b"*SOLA  \r\n   1\r\nSAS1360\r\n   2\r\n"
    assert written(output) == result_block(()).encode() + b"\r\n0002\r\n" + rows


def test_empty_list(house: House) -> None:
    """Nothing waits: the number of kinds is 0000 and no row follows."""
    (output,) = house.send("SYG", OCD="REF").outputs
    assert written(output).endswith(b"\r\n0000\r\n")


def test_count_of_four_digits(house: House) -> None:
    """A count over 9999 is written 9999 (our choice: the item has four digits)."""
    house.waiting.by_code = {"SAS1360": list(range(10_001))}
    (output,) = house.send("SYG", OCD="REF").outputs
    assert written(output).endswith(b"SAS1360\r\n9999\r\n")


def test_fetch(house: House) -> None:
    """An output code: the notice, then those letters again, oldest first."""
    house.waiting.by_code = {"*SOLA": [4], "SAS1360": [5, 9]}
    outcome = house.send("SYG", OCD="SAS1360")
    assert (outcome.notice, outcome.outputs, outcome.resend) == (True, (), (5, 9))
    assert house.send("SYG", OCD="*SOLA").resend == (4,)


def test_fetch_of_nothing(house: House) -> None:
    """A code with nothing waiting, known or not: normal end and nothing follows (our choice)."""
    for code in ("SAS0371", "NOSUCH1"):
        outcome = house.send("SYG", OCD=code)
        assert (outcome.notice, outcome.results, outcome.resend) == (True, (), ())


def test_code_is_required(house: House) -> None:
    """Blank: S9001 OCD."""
    assert house.refused("SYG") == [result("S9001", "OCD")]
