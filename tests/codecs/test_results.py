"""Result codes: their form on the wire and their meaning."""

from __future__ import annotations

import pytest

from sekisho.codecs.results import (
    NORMAL_END,
    Deviation,
    Refusal,
    ResultCode,
    ResultList,
    Rule,
    read_result_list,
    result_block,
    system_results,
)
from sekisho.handlers.tables import business_codes, result_list


@pytest.mark.parametrize(
    ("code", "wire"),
    [
        (ResultCode("00000"), "00000-0000-0000"),
        (ResultCode("S0001", "OLT"), "S0001-OLT -0000"),
        (ResultCode("S0001", "CG_", 2), "S0001-CG_ -0002"),
        (ResultCode("R0002", "NAMES", 12345), "R0002-NAME-9999"),
        (ResultCode("A0004"), "A0004-0000-0000"),
        (ResultCode("U1", "A"), "U1   -A   -0000"),
    ],
)
def test_fifteen_characters(code: ResultCode, wire: str) -> None:
    """ccccc-iiii-rrrr: code, item short name or 0000, repeat number or 0000 (wire reference 4.1)."""
    assert str(code) == wire
    assert len(wire) == 15


def test_five_codes_a_notice() -> None:
    """75 bytes: success in the first slot, unused slots are spaces, never more than five (wire reference 4.1)."""
    assert result_block([]) == "00000-0000-0000" + " " * 60
    assert result_block([ResultCode("A0001")]) == "A0001-0000-0000" + " " * 60
    many = [ResultCode(f"S000{n}", "OLT", n) for n in range(1, 8)]
    assert result_block(many) == "".join(str(code) for code in many[:5])
    assert str(NORMAL_END) == "00000-0000-0000"


def test_a_deviation_names_its_result() -> None:
    """What was found while reading stands in a notice under item and row."""
    assert str(Deviation("S9002", "CG_", 2, 470, "x").result) == "S9002-CG_ -0002"
    assert str(Deviation("A0008", None, None, 392, "x").result) == "A0008-0000-0000"


def test_a_refusal_carries_its_results() -> None:
    """A refusal is the answer, not a message text."""
    refusal = Refusal([ResultCode("E0005"), ResultCode("S0001", "OLT")], "handler", key="12345678901")
    assert refusal.results == (ResultCode("E0005"), ResultCode("S0001", "OLT"))
    assert (refusal.stage, refusal.key) == ("handler", "12345678901")
    assert str(refusal) == "E0005-0000-0000 S0001-OLT -0000"


def test_numbers_where_a_list_is_silent() -> None:
    """Provisional numbers from 9001 up, the length E0001 (decisions, Text)."""
    empty = ResultList("ZZZ")
    rules = (Rule.MISSING, Rule.CHARACTER, Rule.FORMAT, Rule.VALUE, Rule.LENGTH)
    assert [empty.code_for(rule, "OLT") for rule in rules] == ["S9001", "S9002", "S9003", "S9004", "E0001"]
    own = read_result_list("ZZZ", "code\titem\trule\tmeaning\nS0001\tOLT\tmissing\tno place\nS0005\t\tformat\tbad\n")
    assert own.code_for(Rule.MISSING, "OLT") == "S0001"
    assert own.code_for(Rule.MISSING, "ARR") == "S9001"
    assert own.code_for(Rule.FORMAT, "ARR") == "S0005"


def test_meaning_depends_on_the_business_and_the_item() -> None:
    """Keyed (business code, result code, item); what a list does not know the common one may (wire reference 4.2)."""
    own = read_result_list("ZZZ", "# a list\ncode\titem\tmeaning\nS0001\tOLT\tone\nS0001\tARR\tanother\n")
    found = [own.find("S0001", item) for item in ("OLT", "ARR", "XXX", "")]
    assert [meaning.meaning if meaning else None for meaning in found] == ["one", "another", "one", "one"]
    common = own.find("A0008")
    assert common is not None
    assert common.source == "spec"
    assert own.find("S0002") is None


def test_the_common_codes_are_all_there() -> None:
    """The table of the wire reference 4.3, U0001, E0001 and our provisional ones, each with a remedy."""
    known = system_results()
    expected = ["00000", *(f"A{number:04d}" for number in range(1, 17)), "U0001", "E0001"]
    expected += ["S9001", "S9002", "S9003", "S9004"]
    assert [code for code in expected if code not in known] == []
    assert all(known[code].meaning and known[code].meaning_ja and known[code].remedy for code in expected)


def test_every_list_of_the_product_reads() -> None:
    """A list's codes have five characters, a class letter (wire reference 4.2) and a meaning."""
    for code in business_codes():
        for meaning in result_list(code).meanings:
            assert len(meaning.code) == 5, (code, meaning)
            assert meaning.code[0] in "AUSRELMW0", (code, meaning)
            assert meaning.meaning or meaning.meaning_ja, (code, meaning)
