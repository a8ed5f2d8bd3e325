"""CCA and CCB: the specialist's review and the gate before the declaration, procedures 8."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sekisho.handlers.kit import User

from .exports import PLAIN, SPECIALIST, export, kept, register, shown
from .house import STRANGER, House, result


@pytest.fixture(autouse=True)
def _specialist(house: House) -> None:
    house.user = SPECIALIST


def review(house: House, number: str, found: str) -> None:
    """A specialist reviews; whoever was there goes on."""
    former, house.user = house.user, SPECIALIST
    assert house.send("CCA", ICN=number, CKK=found).key == number
    house.user = former


def test_review_lets_the_others_declare(house: House) -> None:
    """Without a good review E9007 for who is no 通関士, with one he may declare (night review, daytime declaration)."""
    number = register(house)
    house.user = PLAIN
    assert house.refused("EDC", ECN=number) == [result("E9007")]
    review(house, number, "Y")
    assert house.send("EDC", ECN=number).key == number


def test_specialist_needs_no_review(house: House) -> None:
    """A sender who is 通関士 declares what nobody has reviewed [inferred]."""
    assert house.send("EDC", ECN=register(house)).outputs


def test_error_stops_everybody_until_the_correction(house: House) -> None:
    """An error found: not even the specialist declares; the correction undoes it, and the review with it [spec]."""
    number = register(house)
    review(house, number, "N")
    assert house.refused("EDC", ECN=number) == [result("E9007")]
    house.user = PLAIN
    assert house.refused("EDC", ECN=number) == [result("E9007")]
    house.send("EDA", ECN=number, NO="121")
    assert house.refused("EDC", ECN=number) == [result("E9007")], "corrected, not reviewed again"
    house.user = SPECIALIST
    assert house.send("EDC", ECN=number).outputs


def test_review_is_of_one_version(house: House) -> None:
    """A correction after a good review, even of nothing, undoes it: the version is another one [spec]."""
    number = register(house)
    review(house, number, "Y")
    house.send("EDA", ECN=number)
    house.user = PLAIN
    assert house.refused("EDC", ECN=number) == [result("E9007")]


def test_last_review_counts(house: House) -> None:
    """A later review replaces the one before."""
    number = register(house)
    review(house, number, "N")
    review(house, number, "Y")
    house.user = PLAIN
    assert house.send("EDC", ECN=number).outputs


def test_offices_may_do_without_a_review(house: House) -> None:
    """Whether the office demands it is a setting; an error that was found stops everybody all the same."""
    house.business["review_demanded_by"] = ["2*"]
    number, other = register(house), register(house, CH="2B")
    bad = register(house)
    review(house, bad, "N")
    house.user = PLAIN
    assert house.send("EDC", ECN=number).outputs
    assert house.refused("EDC", ECN=other) == [result("E9007")]
    assert house.refused("EDC", ECN=bad) == [result("E9007")]


def test_who_clears_for_himself_has_no_specialist(house: House) -> None:
    """自社通関: a trader's own declaration needs no 通関士 (our choice); his broker's does."""
    house.user = User("7TRADA0A", "trader")
    assert house.send("EDC", ECN=register(house)).outputs


def test_only_specialists_review(house: House) -> None:
    """CCA of another ID is U9002; CCB may be sent by anybody entitled."""
    number = register(house)
    house.user = PLAIN
    assert house.refused("CCA", ICN=number, CKK="Y") == [result("U9002")]
    assert house.send("CCB", ICN=number).key == number


def test_call_up_shows_what_is_registered(house: House) -> None:
    """CCB answers the item table of the registration and changes nothing."""
    number = register(house)
    before = kept(house, number)
    (screen,) = house.send("CCB", ICN=number).outputs
    record = shown(screen)
    sent = {name: value for name, value in export().items() if isinstance(value, str)}
    assert {name: record.text(name) for name in sent} == sent
    assert (screen.code, screen.kind, record.text("ECN"), kept(house, number)) == ("SZCCBE", "C", number, before)


def test_imports_are_reviewed_by_the_same_codes(house: House) -> None:
    """CCA takes import numbers as well: the draft's screen is IDA's."""
    number = house.send("IDA", IMC="1234567890123").key
    review(house, number, "Y")
    assert house.send("CCB", ICN=number).outputs[0].code == "SZCCBI"


def test_delegates_review(house: House) -> None:
    """UKY delegates may run CCA and CCB [spec], if they are specialists; strangers may not."""
    number = register(house)
    house.user = replace(STRANGER, specialist=True)
    assert house.refused("CCA", ICN=number, CKK="Y") == [result("U9001")]
    assert house.refused("CCB", ICN=number) == [result("U9001")]
    house.user = SPECIALIST
    house.send("UKY", KND="9", RCD=["2OTHR"])
    house.user = replace(STRANGER, specialist=True)
    assert house.send("CCA", ICN=number, CKK="Y").key == number


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ({"CKK": "X"}, result("S9004", "CKK")),
        ({"CKK": ""}, result("S9001", "CKK")),
        ({"ICN": "9999999999T"}, result("E9001", "ICN")),
    ],
)
def test_refusals(house: House, items: dict[str, str], expected: str) -> None:
    """What CCA does not take; a declared one is E9004 or E9002 (test_export_declaration)."""
    number = register(house)
    assert house.refused("CCA", **({"ICN": number, "CKK": "Y"} | items)) == [expected]
