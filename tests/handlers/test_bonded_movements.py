"""PKI, BOA, CYO, BIA: procedures 4.1, 9.5."""

from typing import Any

import pytest

from sekisho.handlers.kit import Outcome

from .house import BROKER, STRANGER, WAREHOUSE, YARD, House, result
from .test_bonded_changes import approved
from .test_bonded_registration import register, stored
from .test_bonded_starts import discharge

CONTAINERS = ["SMPU1234567", "SMPU7654321"]


def cargo(house: House, number: str = "SMPLBL0001") -> dict[str, Any]:
    """A cargo record."""
    return dict(house.records.get("cargo", number) or {})


def leave(house: House, number: str, **changes: str) -> Outcome:
    """BOA by the departure warehouse."""
    house.user = WAREHOUSE
    return house.send("BOA", **{"KND": "9", "OLT": number, "DTM": "20261120", "TIM": "1100"} | changes)


def arrive(number: str, **changes: str) -> dict[str, str]:
    """A BIA at the arrival place."""
    return {"OLT": number, "KND": "A", "PLC": "9ZZ99", "DTM": "20261120", "TIM": "1500"} | changes


# BOA, BIA -------------------------------------------------------------------------------------------------------------


def test_the_whole_way(house: House) -> None:
    """APPROVED - BOA - IN_TRANSIT - BIA - ARRIVED, notices with the number, and the cargo record goes along (6)."""
    number = approved(house)
    assert leave(house, number, DPR="1AW01", ARR="9ZZ99").key == number
    assert (stored(house, number)["state"], cargo(house)["place"], cargo(house)["transport"]) == (
        "in-transit", "", number,
    )  # fmt: skip
    outcome = house.send("BIA", **arrive(number))
    assert (outcome.key, outcome.outputs) == (number, ())
    data = stored(house, number)
    assert (data["state"], data["arrived_at"], data["arrived_place"]) == ("arrived", "202611201500", "9ZZ99")
    assert (cargo(house)["place"], cargo(house)["transport"], cargo(house)["arrived_place"]) == ("9ZZ99", "", "9ZZ99")
    assert house.refused("BIA", **arrive(number)) == [result("E9013", "OLT")]


def test_gate_out_needs_an_approval(house: House) -> None:
    """BOA of a draft E9013, unknown E9001, void E9003; by somebody who does not hold the departure place U9003."""
    number = register(house)
    house.user = WAREHOUSE
    items = {"KND": "9", "DTM": "20261120"}
    assert house.refused("BOA", OLT=number, **items) == [result("E9013", "OLT")]
    assert house.refused("BOA", OLT="9999999999T", **items) == [result("E9001", "OLT")]
    assert house.refused("BIA", **arrive(number)) == [result("E9013", "OLT")]
    house.user = BROKER
    house.send("OLC20", OLT=number)
    assert house.refused("BOA", OLT=number, **items) == [result("U9003", "OLT")]
    void = register(house)
    house.send("OLA", KND="1", OLT=void)
    assert house.refused("BOA", OLT=void, **items) == [result("E9003", "OLT")]


def test_gate_out_of_a_place_nobody_holds(house: House) -> None:
    """A departure place that is not in the registry may be reported by anybody (our choice)."""
    number = approved(house, DPR="8NOBD")
    house.user = STRANGER
    assert house.send("BOA", KND="9", OLT=number, DTM="20261120").key == number


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"KND": "5"}, [result("S9004", "KND")]),
        ({"DTM": ""}, [result("S9001", "DTM")]),
        ({"DPR": "2BW02"}, [result("E9014", "DPR")]),
        ({"BRT": "1AC02", "ARR": "1AW01"}, [result("E9014", "BRT"), result("E9014", "ARR")]),
    ],
)
def test_gate_out_items(house: House, changes: dict[str, str], expected: list[str]) -> None:
    """処理区分, the day of 9, and places that are not those of the transport."""
    number = approved(house)
    house.user = WAREHOUSE
    assert house.refused("BOA", **{"KND": "9", "OLT": number, "DTM": "20261120"} | changes) == expected
    assert stored(house, number)["state"] == "approved"


def test_gate_out_taken_back(house: House) -> None:
    """BOA 1 brings approval (or extension) and cargo back; there must be a gate-out to take back: E9013."""
    number = approved(house)
    house.user = WAREHOUSE
    assert house.refused("BOA", KND="1", OLT=number) == [result("E9013", "OLT")]
    leave(house, number)
    house.send("BOA", KND="1", OLT=number)
    assert (stored(house, number)["state"], cargo(house)["place"], cargo(house)["transport"]) == (
        "approved", "1AW01", "",
    )  # fmt: skip
    house.records.put("bonded-transport", number, stored(house, number) | {"state": "period-extended"})
    leave(house, number)
    house.send("BOA", KND="1", OLT=number)
    assert stored(house, number)["state"] == "period-extended"
    assert leave(house, number).key == number


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"KND": "F"}, [result("S9004", "KND")]),
        ({"DTM": "20251101"}, [result("S9003", "DTM")]),
        ({"DTM": "20261121"}, [result("S9003", "DTM")]),
        ({"PLC": "2BW02"}, [result("E9014", "PLC")]),
        ({"OLT": "9999999999T"}, [result("E9001", "OLT")]),
        ({"PLC": "1AC02"}, [result("U9003", "PLC")]),
    ],
)
def test_arrival_items(house: House, changes: dict[str, str], expected: list[str]) -> None:
    """処理識別 A to E and a day within the past year [spec]; the place the transport goes to, held by the sender."""
    number = approved(house)
    leave(house, number)
    assert house.refused("BIA", **arrive(number, **changes)) == expected
    assert stored(house, number)["state"] == "in-transit"


# PKI ------------------------------------------------------------------------------------------------------------------


def test_discharge_marks_the_cargo(house: House) -> None:
    """PKI 9 says where the cargo lies; confirming it again changes nothing but the moment; 1 brings back what was."""
    discharge(house, "SMPLBL0001", "SMPLBL0002")
    discharge(house, "SMPLBL0001", TIM="0930")
    assert (cargo(house)["place"], cargo(house)["arrived_at"]) == ("1AC02", "202611200930")
    discharge(house, "SMPLBL0001", KND="1")
    assert (cargo(house)["place"], "arrived_place" in cargo(house)) == ("1AW01", False)
    assert cargo(house, "SMPLBL0002")["place"] == "1AC02"


def test_discharge_refusals(house: House) -> None:
    """Unknown cargo E9006 by row, the same twice R9004, another's place U9003; 1 of what was not confirmed E9001."""
    items: dict[str, Any] = {"KND": "9", "BRT": "1AC02", "DTM": "20261120"}
    assert house.refused("PKI", **items, CG_=["SMPLBL0001"]) == [result("U9003", "BRT")]
    house.user = YARD
    assert house.refused("PKI", **items, CG_=["NONE1", "SMPLBL0001"]) == [result("E9006", "CG_", 1)]
    assert house.refused("PKI", **items, CG_=["SMPLBL0001"] * 2) == [result("R9004", "CG_", 2)]
    assert house.refused("PKI", **items | {"KND": "2"}, CG_=["SMPLBL0001"]) == [result("S9004", "KND")]
    assert house.refused("PKI", **items | {"KND": "1"}, CG_=["SMPLBL0001"]) == [result("E9001", "CG_", 1)]


def test_discharge_taken_back_too_late_or_by_somebody_else(house: House) -> None:
    """What has left since is E9013; what somebody else has confirmed at a place of nobody's U9003."""
    discharge(house, "SMPLBL0001")
    number = approved(house, DPR="", BRT="1AC02")
    house.user = YARD
    house.send("BOA", KND="9", OLT=number, DTM="20261120")
    items: dict[str, Any] = {"KND": "1", "BRT": "1AC02", "DTM": "20261120", "CG_": ["SMPLBL0001"]}
    assert house.refused("PKI", **items) == [result("E9013", "CG_", 1)]
    discharge(house, "SMPLBL0002", place="8NOBD")
    house.user = STRANGER
    assert house.refused("PKI", **items | {"BRT": "8NOBD", "CG_": ["SMPLBL0002"]}) == [result("U9003", "CG_", 1)]


def test_a_start_that_happened_stays(house: House) -> None:
    """PKI 1 after a declaration has started takes the mark away and leaves the declaration (our choice)."""
    number = register(house, DPR="", BRT="1AC02")
    house.send("OLC20", OLT=number, IKS="I")
    discharge(house, "SMPLBL0001")
    discharge(house, "SMPLBL0001", KND="1")
    assert stored(house, number)["state"] == "approved"


# CYO ------------------------------------------------------------------------------------------------------------------


def packed(house: House) -> str:
    """An approved transport of two containers kept packed, from a container yard."""
    number = approved(house, DPR="", BRT="1AC02", CNY="Y", CG_=["SMPLBL0001", "SMPLBL0002"])
    house.user = YARD
    return number


def out(container: str, number: str = "", **changes: str) -> dict[str, str]:
    """A CYO that registers a gate-out."""
    return {"KND": "9", "CNO": container, "DTM": "20261120", "TIM": "1100", "OLT": number} | changes


def test_containers_leave_one_by_one(house: House) -> None:
    """The first container puts the transport on its way, the others follow; each once (E9002), only its own (E9014)."""
    number = packed(house)
    assert house.send("CYO", **out(CONTAINERS[0], number)).key == number
    assert stored(house, number)["state"] == "in-transit"
    assert house.refused("CYO", **out(CONTAINERS[0], number)) == [result("E9002", "CNO")]
    assert house.refused("CYO", **out("OTHER000001", number)) == [result("E9014", "CNO")]
    house.send("CYO", **out(CONTAINERS[1], number))
    assert sorted(stored(house, number)["out"]) == CONTAINERS
    house.user = WAREHOUSE
    house.send("BIA", **arrive(number))
    house.user = YARD
    assert house.refused("CYO", KND="1", CNO=CONTAINERS[0], OLT=number) == [result("E9013", "OLT")]


def test_containers_taken_back(house: House) -> None:
    """1 with blank DTM, TIM, ARR [spec]; the last one brings the transport back; U0002 for another's [spec]."""
    number = packed(house)
    for container in CONTAINERS:
        house.send("CYO", **out(container, number))
    back = {"KND": "1", "CNO": CONTAINERS[0], "OLT": number}
    assert house.refused("CYO", **back, DTM="20261120", TIM="1100", ARR="9ZZ99") == [
        result("R9007", "DTM"), result("R9007", "TIM"), result("R9007", "ARR"),
    ]  # fmt: skip
    house.user = STRANGER
    assert house.refused("CYO", **back) == [result("U0002")]
    house.user = YARD
    house.send("CYO", **back)
    assert stored(house, number)["state"] == "in-transit"
    house.send("CYO", **back | {"CNO": CONTAINERS[1]})
    assert (stored(house, number)["state"], cargo(house)["transport"]) == ("approved", "")
    assert house.refused("CYO", **back) == [result("E9001", "CNO")]


def test_gate_out_of_containers_needs_an_approval(house: House) -> None:
    """CYO of a draft E9013, of an unknown number E9001, by another than the yard U9003, without a day S9001."""
    number = register(house, DPR="", BRT="1AC02", CNO=CONTAINERS)
    house.user = YARD
    assert house.refused("CYO", **out(CONTAINERS[0], number)) == [result("E9013", "OLT")]
    assert house.refused("CYO", **out(CONTAINERS[0], "9999999999T")) == [result("E9001", "OLT")]
    assert house.refused("CYO", **out(CONTAINERS[0], number, DTM="")) == [result("S9001", "DTM")]
    house.user = WAREHOUSE
    assert house.refused("CYO", **out(CONTAINERS[0], number)) == [result("U9003", "OLT")]


def test_stay_in_the_yard(house: House) -> None:
    """Without a transport CYO closes the stay a yard has reported (CODECO), and 1 opens it again; only its reporter."""
    stay = {
        "container": "SMPU1234567", "place": "1AC02", "procedure": "CYA", "user_code": "6CYOP", "in_at": "20261119",
        "out_at": "", "in_document": "", "out_document": "",
    }  # fmt: skip
    house.user = YARD
    assert house.refused("CYO", **out("SMPU1234567")) == [result("E9001", "CNO")]
    house.records.kept["container", "SMPU1234567"] = {"state": "in-yard", "place": "1AC02", "stays": [stay]}
    assert house.refused("CYO", KND="1", CNO="SMPU1234567") == [result("E9013", "CNO")]
    house.user = STRANGER
    assert house.refused("CYO", **out("SMPU1234567")) == [result("U9003", "CNO")]
    house.user = YARD
    house.send("CYO", **out("SMPU1234567"))
    container = house.records.get("container", "SMPU1234567") or {}
    assert (container["state"], container["stays"][0]["out_at"]) == ("out", "202611201100")
    house.user = STRANGER
    assert house.refused("CYO", KND="1", CNO="SMPU1234567") == [result("U0002")]
    house.user = YARD
    house.send("CYO", KND="1", CNO="SMPU1234567")
    container = house.records.get("container", "SMPU1234567") or {}
    assert (container["state"], container["place"], container["stays"][0]["out_at"]) == ("in-yard", "1AC02", "")
