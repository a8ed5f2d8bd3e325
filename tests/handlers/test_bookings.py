"""IFTMBC, IFTMIN, IFTMCS are kept and refer to each other (issue 3). Codes from 9001 up are provisional."""

from typing import Any

import pytest

from sekisho.codecs.edifact.model import Message

from .house import STRANGER, House, result
from .interchanges import damaged, decide, message, refused

GOODS = ["GID+1+100:CT", "FTX+AAA+++MACHINE PARTS", "MEA+AAE+G+KGM:10500"]
BUSINESS = {"IFTMBC": "BRR", "IFTMIN": "SIR", "IFTMCS": "ACL"}
KINDS = {"IFTMBC": "booking", "IFTMIN": "shipping-instruction", "IFTMCS": "transport-contract"}


def booking(number: str = "BK1", function: str = "9", document: str = "DOC1") -> Message:
    """A booking confirmation of one container."""
    body = [f"BGM+770+{document}+{function}", "DTM+137:20261120:102", "LOC+9+XXAAA", f"RFF+BN:{number}"]
    way = ["TDT+20+012W+1++SMPC+++SMPL1:::SAMPLE STAR", "NAD+CZ+++SAMPLE EXPORTER"]
    return message("IFTMBC", [*body, *way, *GOODS, "EQD+CN++22G1"])


def instruction(kind: str = "IFTMIN", refers: str = "BK1", number: str = "INS1", function: str = "9") -> Message:
    """An instruction, or a contract status, on a booking."""
    body = [
        f"BGM+340+{number}+{function}",
        "LOC+9+XXAAA",
        f"RFF+BN:{refers}",
        "TDT+20+012W",
        "NAD+CZ+++SAMPLE EXPORTER",
    ]
    return message(kind, [*body, *GOODS])


def given(kind: str, number: str = "DOC1", function: str = "9") -> Message:
    """One of the three without any reference."""
    way = ["TDT+20+012W", "NAD+CZ+++SAMPLE EXPORTER"]
    return message(kind, [f"BGM+340+{number}+{function}", *way, *GOODS])


def record(house: House, kind: str, key: str) -> dict[str, Any]:
    """A record that must be there."""
    data = house.records.get(kind, key)
    assert data is not None
    return dict(data)


def test_booking_is_kept_under_its_booking_number(house: House) -> None:
    """RFF BN of the head is the key; what others look for has names, the message is kept whole."""
    assert decide(house, booking(), "BRR").key == "BK1"
    data = record(house, "booking", "BK1")
    assert (data["document"], data["voyage"], data["vessel_name"], data["carrier"]) == (
        "DOC1",
        "012W",
        "SAMPLE STAR",
        "SMPC",
    )
    assert (data["places"], data["moments"]) == ({"9": "XXAAA"}, {"137": "20261120"})
    assert data["goods"] == [
        {
            "description": "MACHINE PARTS",
            "packages": 100,
            "package_unit": "CT",
            "weight": 10500,
            "weight_unit": "KGM",
        }
    ]
    assert data["equipment"] == [{"number": "", "size_type": "22G1"}]
    assert data["segments"][3] == ["RFF", ["BN", "BK1"]]


def test_booking_without_a_booking_number(house: House) -> None:
    """BGM 1004 then."""
    assert decide(house, given("IFTMBC"), "BRR").key == "DOC1"
    assert record(house, "booking", "DOC1")["state"] == "registered"


@pytest.mark.parametrize("kind", ["IFTMIN", "IFTMCS"])
def test_instruction_refers_to_a_booking(house: House, kind: str) -> None:
    """Another user may refer to a booking; an unknown or cancelled one is E9001 at the RFF."""
    assert refused(house, instruction(kind), BUSINESS[kind]) == [result("E9001", "RFF", 4)]
    decide(house, booking(), "BRR")
    house.user = STRANGER
    assert decide(house, instruction(kind), BUSINESS[kind]).key == "INS1"
    data = record(house, KINDS[kind], "2OTHR/INS1")
    assert (data["booking"], data["references"], data["message_type"]) == ("BK1", {"BN": ["BK1"]}, kind)
    house.user = House().user
    decide(house, booking(function="1"), "BRR")
    house.user = STRANGER
    assert refused(house, instruction(kind, number="INS2"), BUSINESS[kind]) == [result("E9001", "RFF", 4)]


@pytest.mark.parametrize("kind", BUSINESS)
def test_sent_again(house: House, kind: str) -> None:
    """9 again E9002; 5 replaces, 4 fills in, 1 and 3 cancel; of what is not there E9001; what is cancelled E9003."""
    business = BUSINESS[kind]
    key = "DOC1" if kind == "IFTMBC" else "1ANAC/DOC1"
    for function in ("5", "4", "1", "3"):
        assert refused(house, given(kind, function=function), business) == [result("E9001", "BGM", 2)]
    decide(house, given(kind), business)
    assert refused(house, given(kind), business) == [result("E9002", "BGM", 2)]
    change = damaged(kind, ["BGM+340+DOC1+4", "TDT+20+099E"], "D:95B:UN")
    decide(house, change, business)
    data = record(house, KINDS[kind], key)
    assert (data["voyage"], len(data["goods"]), data["version"]) == ("099E", 1, 2)
    replacement = damaged(kind, ["BGM+340+DOC1+5", "TDT+20+100W"], "D:95B:UN")
    decide(house, replacement, business)
    data = record(house, KINDS[kind], key)
    assert (data["voyage"], "goods" in data, data["version"]) == ("100W", False, 3)
    decide(house, given(kind, function="1"), business)
    assert record(house, KINDS[kind], key)["state"] == "cancelled"
    assert refused(house, given(kind, function="3"), business) == [result("E9003", "BGM", 2)]
    decide(house, given(kind), business)
    assert record(house, KINDS[kind], key)["state"] == "registered"


def test_booking_of_another_user(house: House) -> None:
    """A booking number is one for all: taken is E9002, replaced by others U9003."""
    decide(house, booking(), "BRR")
    house.user = STRANGER
    assert refused(house, booking(), "BRR") == [result("E9002", "BGM", 2)]
    assert refused(house, booking(function="5"), "BRR") == [result("U9003", "BGM", 2)]


@pytest.mark.parametrize("kind", BUSINESS)
def test_errors_name_the_segment(house: House, kind: str) -> None:
    """No BGM, no number, an unread function, a date and a count that are none."""
    business = BUSINESS[kind]
    assert refused(house, damaged(kind, ["RFF", "GID", "MEA", "TDT"], "D:90Z:UN"), business) == [
        result("S9001", "BGM", 1)
    ]
    assert refused(house, damaged(kind, ["BGM+340"], "D:90Z:UN"), business) == [result("S9001", "BGM", 2)]
    body = ["BGM+340+D1+2", "DTM+137:2026:102", "GID+1+1X:CT", "MEA+AAE+G+KGM:Y"]
    assert refused(house, damaged(kind, body, "D:95B:UN"), business) == [
        result("S9004", "BGM", 2),
        result("S9003", "DTM", 3),
        result("S9003", "GID", 4),
        result("S9003", "MEA", 5),
    ]
