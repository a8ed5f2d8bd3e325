"""突合 of licence, endorsement and declaration: procedures 13.3."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sekisho.handlers.kit import User

from .exports import SPECIALIST, Items, export
from .house import OFFICER, House, result
from .licences import BROKER_OF_ANOTHER, MINISTRY, UNKNOWN, endorse, granted, licence, licensed

MISMATCH = [result("E9008", "N_", 1)]


@pytest.fixture(autouse=True)
def specialist(house: House) -> None:
    """The broker needs no review, so that nothing but the matching stands before the declaration."""
    house.user = SPECIALIST


def test_matching_declaration_is_permitted(house: House) -> None:
    """裏書登録 before the declaration, the same goods and quantity: the permit [spec]."""
    number = granted(house)
    declaration = licensed(house, number)
    endorse(house, number, declaration)
    assert [output.code for output in house.send("EDC", ECN=declaration).outputs] == ["SAE1LF3", "SZEDCG"]


def test_endorsement_is_mandatory(house: House) -> None:
    """Without 裏書登録 the declaration is refused and changes nothing [spec]; afterwards it is taken."""
    number = granted(house)
    declaration = licensed(house, number)
    assert house.refused("EDC", ECN=declaration) == MISMATCH
    endorse(house, number, declaration)
    assert house.send("EDC", ECN=declaration).key == declaration


@pytest.mark.parametrize(
    "goods",
    [
        {"QN1": ["3", "300"]},
        {"QN1": ["1", "300"]},
        {"QT1": ["DZ", "KG"]},
        {"CMD": ["870324000", "400110000"]},
        {"CMD": ["870323000", "870323000"], "QN1": ["2", "1"], "QT1": ["NO", "NO"]},
    ],
)
def test_what_differs_is_refused(house: House, goods: Items) -> None:
    """Items and quantities are compared; corrected, or with a registered reason (理由登録), it is declared [spec]."""
    number = granted(house)
    declaration = licensed(house, number, **goods)
    endorse(house, number, declaration)
    assert house.refused("EDC", ECN=declaration) == MISMATCH
    house.send("JRSNR", LCN=number, ICN=declaration, RSN="一部は見本")
    assert house.send("EDC", ECN=declaration).key == declaration


def test_correction_makes_it_match(house: House) -> None:
    """The other way out: correct the declaration [spec]."""
    number = granted(house)
    declaration = licensed(house, number, QN1=["3", "300"])
    endorse(house, number, declaration)
    assert house.refused("EDC", ECN=declaration) == MISMATCH
    house.send("EDA", **export(ECN=declaration, S_=["ELIC"], N_=[number]))
    assert house.send("EDC", ECN=declaration).key == declaration


@pytest.mark.parametrize(
    "terms",
    [
        {"VFR": "20261121"},
        {"VFR": "20261101", "VTO": "20261119"},
        {"LKD": "P"},
    ],
)
def test_validity_and_kind_at_registration(house: House, terms: Items) -> None:
    """At 事項登録: not valid today, or a paper licence named as an electronic one [spec]; no number is spent."""
    number = granted(house, form="200", **terms)
    issued = dict(house.numbers.last)
    assert house.refused("EDA", **export(S_=["ELIC"], N_=[number])) == MISMATCH
    assert house.numbers.last == issued


def test_owner_at_registration(house: House) -> None:
    """Another company's licence is not usable until it designates the broker (JCA), nor after the release [spec]."""
    number, owner = granted(house), house.user
    house.user = BROKER_OF_ANOTHER
    assert house.refused("EDA", **export(S_=["ELIC"], N_=[number])) == MISMATCH
    house.user = owner
    house.send("JCA", LCN=number, RCD=["2OTHR"])
    house.user = BROKER_OF_ANOTHER
    declaration = licensed(house, number)
    endorse(house, number, declaration)
    house.user = owner
    house.send("JCC01", LCN=number, RCD=["2OTHR"])
    house.user = BROKER_OF_ANOTHER
    assert house.refused("EDC", ECN=declaration) == MISMATCH


def test_a_reason_does_not_heal_an_expired_licence(house: House) -> None:
    """Validity is looked at again at the declaration (our choice): a reason explains differences only."""
    number = granted(house)
    declaration = licensed(house, number)
    endorse(house, number, declaration)
    house.send("JRSNR", LCN=number, ICN=declaration, RSN="理由")
    house.advance(house.now + timedelta(days=200))
    assert house.refused("EDC", ECN=declaration) == MISMATCH


def test_rows_of_other_papers_are_nobodys_business(house: House) -> None:
    """A number that is not registered, under another 識別, is a paper this register does not keep."""
    assert house.send("EDA", **export(S_=["PAPR"], N_=[UNKNOWN])).key
    assert house.refused("EDA", **export(S_=["PAPR", "ELIC"], N_=["1", UNKNOWN])) == [result("E9008", "N_", 2)]
    house.business["electronic_licence_codes"] = ["PAPR"]
    assert house.refused("EDA", **export(S_=["PAPR"], N_=[UNKNOWN])) == MISMATCH


def test_paper_licence_is_endorsed_on_paper(house: House) -> None:
    """A registered paper licence is looked at for owner, validity and kind only."""
    number = granted(house, LKD="P")
    declaration = house.send("EDA", **export(S_=["PAPR"], N_=[number])).key
    assert house.send("EDC", ECN=declaration).key == declaration
    electronic = granted(house)
    assert house.refused("EDA", **export(S_=["PAPR"], N_=[electronic])) == MISMATCH


def test_imports_match_too(house: House) -> None:
    """An import licence (600 to 800) for an import, an export one for it is of the wrong kind."""
    number = granted(house, form="700")
    items: Items = {"LSK": "L", "CH": "1A", "ST": "1AW01", "CMD": ["870323000"], "QN1": ["2"], "QT1": ["NO"]}
    named: Items = items | {"S_": ["ELIC"], "N_": [number]}
    declaration = house.send("IDA", **named).key
    assert house.refused("IDC", ICN=declaration) == MISMATCH
    endorse(house, number, declaration, UGS="2")
    assert house.send("IDC", ICN=declaration).key == declaration
    assert house.refused("EDA", **export(S_=["ELIC"], N_=[number])) == MISMATCH
    assert house.refused("IDA", **(named | {"N_": [granted(house)]})) == MISMATCH


# 裏書登録 -------------------------------------------------------------------------------------------------------------


def test_endorsements_take_and_give_back(house: House) -> None:
    """What is endorsed is taken from the line; a cancelled endorsement gives it back (ours)."""
    number = granted(house)
    first, second = licensed(house, number), licensed(house, number)
    issued = endorse(house, number, first, LQ_=["8"])
    assert licence(house, number)["lines"][0]["endorsed"] == "8"
    again: Items = {"KND": "9", "LCN": number, "ICN": second, "LR_": ["1"], "LQ_": ["2.5"], "LU_": ["NO"]}
    assert house.refused("JENDR", **again) == [result("E9020", "LQ_", 1)]
    assert house.send("JENDR", KND="1", LCN=number, ICN=first).key == issued
    assert licence(house, number)["lines"][0]["endorsed"] == "0"
    assert house.send("JENDR", **again).key != issued
    assert licence(house, number)["lines"][0]["endorsed"] == "2.5"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"KND": "5"}, [result("S9004", "KND")]),
        ({"UGS": "3"}, [result("S9004", "UGS")]),
        ({"LQ_": ["0"]}, [result("S9003", "LQ_", 1)]),
        ({"LQ_": ["-1"]}, [result("S9003", "LQ_", 1)]),
        ({"LR_": [""], "LQ_": ["2"]}, [result("R9003", "LR_"), result("R9003", "LR_", 1)]),
        ({"LR_": ["1", "1"], "LQ_": ["1", "1"]}, [result("R9004", "LR_", 2)]),
        ({"LR_": ["1", "01"], "LQ_": ["1", "1"]}, [result("R9004", "LR_", 2)]),
        ({"LR_": ["2"]}, [result("E9001", "LR_", 1)]),
        ({"LR_": ["1.5"]}, [result("E9001", "LR_", 1)]),
        ({"LU_": ["KG"]}, [result("E9019", "LU_", 1)]),
        ({"LQ_": ["10.01"]}, [result("E9020", "LQ_", 1)]),
        ({"UGS": "4"}, [result("E9013", "UGS")]),
        ({"LCN": UNKNOWN}, [result("E9001", "LCN")]),
        ({"ICN": UNKNOWN}, [result("E9001", "ICN")]),
        ({"KND": "1"}, [result("E9013", "LCN")]),
    ],
)
def test_refusals_of_an_endorsement(house: House, changes: Items, expected: list[str]) -> None:
    """Every fault by its own number; nothing is taken from the licence (the house asserts it)."""
    number = granted(house)
    items: Items = {"KND": "9", "LCN": number, "ICN": licensed(house, number), "LR_": ["1"], "LQ_": ["2"], "LU_": [""]}
    assert house.refused("JENDR", **(items | changes)) == expected


def test_when_and_by_whom_an_endorsement_is_made(house: House) -> None:
    """Once a declaration, before it is declared, by owner, designated broker, customs or the ministry."""
    number = granted(house)
    declaration = licensed(house, number)
    items: Items = {"KND": "9", "LCN": number, "ICN": declaration, "LR_": ["1"], "LQ_": ["2"]}
    house.user = BROKER_OF_ANOTHER
    assert house.refused("JENDR", **items) == [result("U9003", "LCN")]
    assert house.refused("JRSNR", LCN=number, ICN=declaration, RSN="X") == [result("U9003", "LCN")]
    house.user = OFFICER
    assert house.send("JENDR", **items).key
    for user in (MINISTRY, SPECIALIST):
        house.user = user
        assert house.refused("JENDR", **items) == [result("E9002", "LCN")]
    house.send("EDC", ECN=declaration)
    assert house.refused("JENDR", **(items | {"KND": "1"})) == [result("E9002", "ICN")]
    assert house.refused("JRSNR", LCN=number, ICN=declaration, RSN="X") == [result("E9002", "ICN")]


def test_endorsements_are_bounded(house: House) -> None:
    """The setting licence_endorsements counts cancelled ones too, so that no licence grows without end."""
    house.business["licence_endorsements"] = 1
    number = granted(house)
    declaration = licensed(house, number)
    endorse(house, number, declaration)
    house.send("JENDR", KND="1", LCN=number, ICN=declaration)
    items: Items = {"KND": "9", "LCN": number, "ICN": declaration, "LR_": ["1"], "LQ_": ["2"]}
    assert house.refused("JENDR", **items) == [result("E9018", "LCN")]


def test_licence_for_any_goods(house: House) -> None:
    """What is granted without lines is endorsed without limit, in any unit; all goods in that unit count."""
    number = granted(house, LC_=[], LQ_=[], LU_=[])
    declaration = licensed(house, number)
    endorse(house, number, declaration, LQ_=["300"], LU_=["KG"])
    assert house.send("EDC", ECN=declaration).key == declaration


def test_delegate_declares_with_his_principals_licence(house: House) -> None:
    """The registrant's entitlement counts: whom he lists by UKY declares what he registered and endorsed."""
    number = granted(house)
    declaration = licensed(house, number)
    endorse(house, number, declaration)
    house.send("UKY", KND="9", RCD=["2OTHR"])
    house.user = User("2OTHRA0A", "customs-broker", specialist=True)
    assert house.send("EDC", ECN=declaration).key == declaration
