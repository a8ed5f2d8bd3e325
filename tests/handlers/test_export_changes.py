"""EDD EDA01 EDE before the permit, EPCHA EPCHB EPCHC after it, MEC and MED: procedures 6, 7, 11, 16."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sekisho.handlers.kit import SENDER, Examination, Originator, Party

from .exports import DOCUMENTS, SPECIALIST, examined, kept, named, register, shown
from .house import OFFICER, STRANGER, House, result, written

MANIFEST = {"CH": "1A", "EXN": "SAMPLE EXPORTER", "ST": "1AW01", "HAB": "SMPLHAWB01", "DPR": "8000", "CMN": "SAMPLES"}


@pytest.fixture(autouse=True)
def _specialist(house: House) -> None:
    house.user = SPECIALIST


def progress(house: House, number: str) -> str:
    """The progress number that IEX answers."""
    return shown(house.send("IEX", ECN=number).outputs[0]).text("STS")


def customs(house: House, number: str, decision: str) -> list[tuple[str, object]]:
    """Customs decides; codes and addressees of what follows."""
    former, house.user = house.user, OFFICER
    outcome = house.send("IESET", ICN=number, RES=decision)
    house.user = former
    return [(output.code, output.to) for output in outcome.outputs]


def permitted(house: House) -> str:
    """An export that was permitted at once."""
    number = register(house)
    house.send("EDC", ECN=number)
    return number


# Before the permit ----------------------------------------------------------------------------------------------------


def test_change_is_registered_then_declared_then_permitted(house: House) -> None:
    """Progress 1 declared, 2 change registered, 3 changed, 4 permitted; the declaration changes with EDE."""
    number = examined(house)
    seen = [progress(house, number)]
    (copy,) = house.send("EDA01", ECN=number, NO="118").outputs
    assert (copy.code, named(copy)["貨物個数"], kept(house, number)["items"]["NO"]) == ("SZEDA01", "118", "120")
    seen.append(progress(house, number))
    house.examinations.by_code["EDE"] = DOCUMENTS
    (again,) = house.send("EDE", ECN=number).outputs
    seen.append(progress(house, number))
    assert (again.code, kept(house, number)["items"]["NO"]) == ("SZEDC", "118")
    assert [code for code, _ in customs(house, number, "A")] == ["SAE1LF3", "SZEDCG"]
    assert [*seen, progress(house, number)] == ["1", "2", "3", "4"]


def test_simple_examination_of_the_change_permits(house: House) -> None:
    """EDE under 簡易審査 answers the permit at once."""
    number = examined(house)
    house.send("EDA01", ECN=number, NO="118")
    permit, _ = house.send("EDE", ECN=number).outputs
    assert (permit.code, permit.to, named(permit)["貨物個数"]) == ("SAE1LF3", SENDER, "118")


def test_customs_waits_for_a_registered_change(house: House) -> None:
    """While a change is registered customs decides nothing: E9013, and a planned decision is off."""
    house.examinations.by_code["EDC"] = Examination("documents", timedelta(seconds=30))
    number = register(house)
    house.send("EDC", ECN=number)
    house.send("EDA01", ECN=number, NO="118")
    assert house.advance(house.now + timedelta(minutes=5)) == []
    house.user = OFFICER
    assert house.refused("IESET", ICN=number, RES="A") == [result("E9013", "ECN")]


def test_change_may_be_registered_again(house: House) -> None:
    """EDD shows the change that is registered; EDA01 goes on from there."""
    number = examined(house)
    house.send("EDA01", ECN=number, NO="118")
    house.send("EDA01", ECN=number, NOT="BX")
    (screen,) = house.send("EDD", ECN=number).outputs
    assert (shown(screen).text("NO"), shown(screen).text("NOT")) == ("118", "BX")


@pytest.mark.parametrize(("letter", "expected"), [("", "L"), ("L", "L"), ("S", "S")])
def test_call_up_for_a_change_takes_a_class(house: House, letter: str, expected: str) -> None:
    """情報呼出識別 is blank, L or S [spec]; other letters S0004."""
    number = examined(house)
    (screen,) = house.send("EDD", ECN=number, JYY=letter).outputs
    assert (screen.code, shown(screen).text("LSK")) == ("SZEDD", expected)
    assert house.refused("EDD", ECN=number, JYY="X") == [result("S0004", "JYY")]


def test_official_numbers_of_the_call_up(house: House) -> None:
    """EDD: E0003 not declared, E0004 permitted, E0005 void [spec]."""
    assert house.refused("EDD", ECN=register(house)) == [result("E0003")]
    assert house.refused("EDD", ECN=permitted(house)) == [result("E0004")]
    refused = examined(house)
    customs(house, refused, "R")
    assert house.refused("EDD", ECN=refused) == [result("E0005")]


def test_change_belongs_to_those_concerned(house: House) -> None:
    """Registrant, planned declarant and who declared: a delegate that declared is among them, another one is not."""
    house.send("UKY", KND="9", RCD=["2OTHR"])
    number = examined(house)
    house.user = replace(STRANGER, specialist=True)
    assert house.refused("EDD", ECN=number) == [result("U9001")], "EDD is not among the delegated codes"
    house.user = SPECIALIST
    other = register(house)
    house.user = replace(STRANGER, specialist=True)
    house.send("EDC", ECN=other)
    assert house.send("EDD", ECN=other).key == other


def test_change_needs_its_order(house: House) -> None:
    """EDE without a registered change E9002, EDA01 without a number R9007, either before the declaration E9013."""
    number = examined(house)
    assert house.refused("EDE", ECN=number) == [result("E9002", "ECN")]
    assert house.refused("EDA01", NO="1") == [result("R9007", "ECN")]
    draft = register(house)
    for code in ("EDA01", "EDE"):
        assert house.refused(code, ECN=draft) == [result("E9013", "ECN")]
        assert house.refused(code, ECN="9999999999T") == [result("E9001", "ECN")]


# After the permit -----------------------------------------------------------------------------------------------------


def test_permit_is_changed(house: House) -> None:
    """Progress 5 registered, 6 applied, 7 approved: the permit stands as it was until then."""
    number = permitted(house)
    seen = [progress(house, number)]
    house.send("EPCHA", ECN=number, FDC="USSEA")
    seen.append(progress(house, number))
    house.examinations.by_code["EPCHC"] = DOCUMENTS
    (copy,) = house.send("EPCHC", ECN=number, RSC="仕向地変更").outputs
    request = house.requests
    seen.append(progress(house, number))
    assert (copy.code, kept(house, number)["items"]["FDC"]) == ("SZEDC", "USLAX")
    assert customs(house, number, "A") == [
        ("SZEPCHC", Originator(SPECIALIST.id, request)),
        ("SZEDCG", Party(place="1AW01")),
    ]
    assert [*seen, progress(house, number)] == ["4", "5", "6", "7"]
    assert (kept(house, number)["items"]["FDC"], kept(house, number)["version"]) == ("USSEA", 2)


def test_refused_change_leaves_the_permit(house: House) -> None:
    """IESET R: back to where it came from, first permitted, later changed once; the verdict goes to who applied."""
    number = permitted(house)
    house.examinations.by_code["EPCHC"] = DOCUMENTS
    for expected in ("4", "7"):
        house.send("EPCHA", ECN=number, NO="1")
        house.send("EPCHC", ECN=number)
        ((code, _),) = customs(house, number, "R")
        assert (code, progress(house, number), kept(house, number)["items"]["NO"]) == ("SZIESET", expected, "120")
        house.examinations.by_code.clear()
        house.send("EPCHA", ECN=number, FDC="USSEA")
        assert [o.code for o in house.send("EPCHC", ECN=number).outputs] == ["SZEPCHC", "SZEDCG"]
        house.examinations.by_code["EPCHC"] = DOCUMENTS


def test_wanted_correction_is_registered_again(house: House) -> None:
    """IESET C: the change is registered again (5), corrected and applied for anew."""
    number = permitted(house)
    house.examinations.by_code["EPCHC"] = DOCUMENTS
    house.send("EPCHA", ECN=number, NO="1")
    house.send("EPCHC", ECN=number)
    customs(house, number, "C")
    assert progress(house, number) == "5"
    (screen,) = house.send("EPCHB", ECN=number).outputs
    assert shown(screen).text("NO") == "1"


def test_permit_is_changed_by_the_list_for_permits_only(house: House) -> None:
    """UKT delegates may, UKY delegates and strangers may not (procedures 7)."""
    number = permitted(house)
    house.send("UKY", KND="9", RCD=["2OTHR"])
    for code in ("EPCHA", "EPCHB", "EPCHC"):
        house.user = STRANGER
        assert house.refused(code, ECN=number) == [result("U9001")], code
    house.user = SPECIALIST
    house.send("UKT", KND="9", RCD=["2OTHR"])
    house.user = STRANGER
    house.send("EPCHA", ECN=number, NO="1")
    outcome = house.send("EPCHC", ECN=number)
    assert (outcome.outputs[0].code, outcome.outputs[0].to) == ("SZEPCHC", SENDER)


def test_change_of_a_permit_needs_one(house: House) -> None:
    """E9013 before the permit, E9003 without any; nothing to apply for is E9004, and so is what customs holds."""
    draft, number = register(house), permitted(house)
    for code in ("EPCHA", "EPCHB", "EPCHC"):
        assert house.refused(code, ECN=draft) == [result("E9013", "ECN")]
    assert house.refused("EPCHC", ECN=number) == [result("E9004", "ECN")]
    house.examinations.by_code["EPCHC"] = DOCUMENTS
    house.send("EPCHA", ECN=number, NO="1")
    house.send("EPCHC", ECN=number)
    for code in ("EPCHA", "EPCHB", "EPCHC"):
        assert house.refused(code, ECN=number) == [result("E9004", "ECN")]
    refused = examined(house)
    customs(house, refused, "R")
    assert house.refused("EPCHA", ECN=refused, NO="1") == [result("E9003", "ECN")]


# Manifest -------------------------------------------------------------------------------------------------------------


def test_manifest_declares_in_one_shot(house: House) -> None:
    """MEC: number, permit and goods information at once; air only (E9005 for sea)."""
    assert house.refused("MEC", **MANIFEST) == [result("E9005")]
    house.system = "1"
    outcome = house.send("MEC", **MANIFEST)
    permit, goods = outcome.outputs
    assert (permit.code, goods.code, goods.to) == ("AZMECP", "AZEDCG", Party(place="1AW01"))
    assert named(permit)["輸出許可年月日"] == "20261120"
    assert shown(goods).text("AWB") == "SMPLHAWB01"
    assert (kept(house, outcome.key, "export-manifest")["state"], progress(house, outcome.key)) == ("approved", "4")
    assert house.examinations.asked[-1] == ("MEC", "1A", 8000, "")


def test_manifest_is_opened_and_sent_again(house: House) -> None:
    """MED shows what is examined, MEC with the number sends it again; then customs permits by EXZ."""
    house.system = "1"
    house.examinations.by_code["MEC"] = DOCUMENTS
    outcome = house.send("MEC", **MANIFEST)
    number, (copy,) = outcome.key, outcome.outputs
    assert (copy.code, written(copy).count(b"\r\n")) == ("AZMEC", 58)
    (screen,) = house.send("MED", ECN=number).outputs
    assert (screen.code, shown(screen).text("CMN")) == ("AZMED", "SAMPLES")
    assert house.send("MEC", ECN=number, CMN="TRADE SAMPLES").key == number
    assert [code for code, _ in customs(house, number, "A")] == ["AZMECP", "AZEDCG"]
    assert kept(house, number, "export-manifest")["items"]["CMN"] == "TRADE SAMPLES"
    for code in ("MED", "MEC"):
        assert house.refused(code, ECN=number) == [result("E9004", "ECN")]
    house.user = STRANGER
    assert house.refused("MED", ECN=number) == [result("U9001")]


def test_manifest_has_no_review(house: House) -> None:
    """There is no 事項登録 to review (E9002 of CCA), and so no gate: anybody of the company declares."""
    house.system, house.user = "1", replace(SPECIALIST, specialist=False)
    house.examinations.by_code["MEC"] = DOCUMENTS
    number = house.send("MEC", **MANIFEST).key
    house.user = SPECIALIST
    assert house.refused("CCA", ICN=number, CKK="Y") == [result("E9002", "ICN")]
