"""OSA and IOS: procedures 4.1, 9.5."""

import pytest

from sekisho.handlers import catalogue, find
from sekisho.handlers.kit import Outcome

from .house import BROKER, STRANGER, House, result
from .test_bonded_registration import Items, register, shown

REQUEST: Items = {"SYC": "1", "ZKN": "1A", "RSY": "20261120", "RSH": "1000", "REY": "20261120", "REH": "1100"}


def test_a_request_is_numbered_and_counts(house: House) -> None:
    """OSA issues a 受理番号, and a declaration outside hours is taken while it covers the moment [spec]."""
    house.hours.closed.add("1A")
    number = register(house)
    assert house.refused("OLC20", OLT=number) == [result("E9011")]
    assert house.send("OSA", **REQUEST).key == "0000000001O"
    assert house.send("OLC20", OLT=number).key == number


@pytest.mark.parametrize(
    ("changes", "covers"),
    [
        ({}, True),
        ({"RSH": "1030"}, True),
        ({"REH": "1030"}, True),
        ({"RSH": "1031"}, False),
        ({"REH": "1029"}, False),
        ({"RSY": "20261119", "RSH": "2200", "REY": "20261121", "REH": "0600"}, True),
        ({"RSY": "20261121", "REY": "20261122"}, False),
    ],
)
def test_what_a_request_covers(house: House, changes: Items, covers: bool) -> None:
    """From its first minute to its last, over midnight too, at its office and for its 利用者コード only."""
    house.hours.closed.add("1A")
    house.send("OSA", **REQUEST | changes)
    number = register(house)
    expected = [] if covers else [result("E9011")]
    assert house.refused("OLC20", OLT=number) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ZKN": "9Z"}, [result("S0003", "ZKN")]),
        ({"ZKN": ""}, [result("S9001", "ZKN")]),
        ({"RSY": "20261131"}, [result("S9003", "RSY")]),
        ({"REH": "1000"}, [result("R9002", "REY")]),
        ({"REY": "20261119"}, [result("R9002", "REY")]),
        ({"REY": "20261221"}, [result("R9010", "REY")]),
    ],
)
def test_refusals(house: House, changes: Items, expected: list[str]) -> None:
    """The office has to be known [spec]; the end comes after the start, and not a month later (setting)."""
    assert house.refused("OSA", **REQUEST | changes) == expected
    assert house.numbers.last == {}


def test_longest_request_is_a_setting(house: House) -> None:
    """overtime_days counts the days a request touches."""
    house.send("OSA", **REQUEST | {"REY": "20261220"})
    house.business["overtime_days"] = 1
    assert house.refused("OSA", **REQUEST | {"REY": "20261121"}) == [result("R9010", "REY")]
    assert house.send("OSA", **REQUEST).key


def _inquire(house: House, system: str = "2", **items: str) -> Outcome:
    layout = catalogue().request("IOS")
    handler = find("IOS")
    assert layout is not None
    assert handler is not None
    message = house.read("IOS", layout.encode(items), system=system)
    return handler.decide(message, house.context())


def test_inquiry_by_number(house: House) -> None:
    """One request by its 受理番号: M output alone, by システム識別 SZIOS or AZIOS, read by one table."""
    number = house.send("OSA", **REQUEST).key
    outcome = _inquire(house, UKN=number)
    (answer,) = outcome.outputs
    assert (outcome.notice, answer.code, answer.kind) == (False, "SZIOS", "M")
    record = shown(answer)
    assert [record.text(item) for item in ("UK_", "SY_", "ZK_", "SD_", "ST_", "ED_", "ET_", "RG_")] == [
        number, "1", "1A", "20261120", "1000", "20261120", "1100", "20261120",
    ]  # fmt: skip
    assert record.text("RES") == "00000-0000-0000"
    assert _inquire(house, "1", UKN=number).outputs[0].code == "AZIOS"


def test_inquiry_lists_ones_own(house: House) -> None:
    """By office: the sender's requests there, the newest fifty; nobody else's (U9003 by number, E9001 by office)."""
    numbers = [house.send("OSA", **REQUEST).key for _ in range(52)]
    assert shown(_inquire(house, ZKN="1A").outputs[0]).texts("UK_") == numbers[2:]
    assert house.refused("IOS", ZKN="2B") == [result("E9001", "ZKN")]
    house.user = STRANGER
    assert house.refused("IOS", ZKN="1A") == [result("E9001", "ZKN")]
    assert house.refused("IOS", UKN=numbers[0]) == [result("U9003", "UKN")]
    assert house.refused("IOS", UKN="9999999999O") == [result("E9001", "UKN")]
    house.user = BROKER
    assert house.refused("IOS") == [result("R9001", "UKN")]
    assert house.refused("IOS", UKN=numbers[0], ZKN="1A") == [result("R9001", "UKN")]
