"""Import manifest clearance by air: MIC, MID (procedures 4.3)."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from sekisho.handlers.import_manifest import KIND
from sekisho.handlers.kit import Examination, Outcome, Output, Party, User

from .house import BROKER, STRANGER, House, result, written


@pytest.fixture
def house(house: House) -> House:
    """The house, sending by air."""
    house.system = "1"
    return house


def manifest(**changes: str | Sequence[str]) -> dict[str, str | Sequence[str]]:
    """What a MIC holds."""
    items: dict[str, str | Sequence[str]] = {
        "IC1": "Z",
        "CH": "1A",
        "IMN": "SAMPLE TRADING",
        "ST": "1AW01",
        "HAB": "HAWB0000001",
        "MAB": "MAWB0000001",
        "NO": "2",
        "GW": "12.5",
        "CMN": "PARTS",
        "OR": "DE",
        "DPR": "90000",
        "REF": "JOB-7",
    }
    return items | changes


def codes(outcome: Outcome) -> list[str]:
    """The output codes of an outcome, in order."""
    return [output.code for output in outcome.outputs]


def lines(output: Output) -> list[str]:
    """An output as a reader sees it that splits on line ends and counts."""
    return written(output).decode("euc_jp").split("\r\n")[:-1]


def test_permit(house: House) -> None:
    """One message declares; 簡易審査 answers the permit of 79 lines and tells the warehouse."""
    permit = house.send("MIC", **manifest())
    assert codes(permit) == ["AZMICG", "AZIDCW"]
    read = lines(permit.outputs[0])
    assert len(read) == 79
    assert (read[7 - 1], read[12 - 1].strip(), read[36 - 1].strip()) == (permit.key, "SAMPLE TRADING", "HAWB0000001")
    assert (read[67 - 1].strip(), read[77 - 1]) == ("90000", "20261120")
    assert permit.outputs[1].to == Party(place="1AW01")
    assert permit.outputs[1].values["BL_"] == ["HAWB0000001"]


def test_copy_then_permit(house: House) -> None:
    """書類審査 answers the copy of 75 lines; the permit comes later."""
    house.examinations.by_code["MIC"] = Examination("documents", timedelta(minutes=1))
    answered = house.send("MIC", **manifest())
    assert codes(answered) == ["AZMIC"]
    assert len(lines(answered.outputs[0])) == 75
    assert house.examinations.asked == [("MIC", "1A", 90000, "")]
    (later,) = house.advance(house.now + timedelta(minutes=1))
    assert codes(later) == ["AZMICG", "AZIDCW"]


def test_reopened(house: House) -> None:
    """MID shows what is not decided; MIC with the number takes its place and is examined anew."""
    house.examinations.by_code["MIC"] = Examination("documents", timedelta(minutes=1))
    number = house.send("MIC", **manifest()).key
    screen = house.send("MID", ICN=number)
    assert codes(screen) == ["AZMID"]
    body = written(screen.outputs[0]).replace(b"PARTS", b"TOOLS")
    house.now += timedelta(seconds=40)
    assert house.send_body("MIC", body).key == number
    assert house.advance(house.now + timedelta(seconds=40)) == [], "the minute counts from the second message"
    (later,) = house.advance(house.now + timedelta(seconds=40))
    assert lines(later.outputs[0])[66 - 1].strip() == "TOOLS"
    assert house.refused("MID", ICN=number) == [result("E9004", "ICN")]
    assert house.refused("MIC", **manifest(ICN=number)) == [result("E9004", "ICN")]


def test_arrival(house: House) -> None:
    """申告条件 I waits for the waybill's cargo; sent again it waits once."""
    number = house.send("MIC", **manifest(JYO="I")).key
    assert house.records.kept[KIND, number]["state"] == "waiting-for-arrival"
    house.send("MIC", **manifest(JYO="I", ICN=number))
    assert house.records.kept["awaited", "HAWB0000001"]["by"] == [[KIND, number]]


def test_small_weight_and_no_review(house: House) -> None:
    """MIC has no draft for a 通関士 to review: who is none may send it (our choice)."""
    house.user = User(BROKER.id, "customs-broker", specialist=False)
    assert codes(house.send("MIC", **manifest()))[0] == "AZMICG"


def test_refusals(house: House) -> None:
    """R9001 no waybill, E9001 unknown, U9001 a stranger, E9005 by sea, S9004 申告条件."""
    assert house.refused("MIC", **manifest(HAB="", MAB="")) == [result("R9001", "HAB")]
    assert house.refused("MIC", **manifest(ICN="NOSUCH00001")) == [result("E9001", "ICN")]
    assert house.refused("MIC", **manifest(JYO="?")) == [result("S9004", "JYO")]
    number = house.send("MIC", **manifest()).key
    house.user = STRANGER
    assert house.refused("MID", ICN=number) == [result("U9001")]
    house.user = BROKER
    house.system = "2"
    assert house.refused("MIC", **manifest()) == [result("E9005")]
