"""CUSREP: vessels and their calls (issue 3; docs/edifact-mappings.md). Codes from 9001 up are provisional."""

from typing import Any

import pytest

from sekisho.codecs.edifact.model import Message

from .house import STRANGER, House, result
from .interchanges import damaged, decide, message, refused

STAR = "TDT+20+012W++13+SMPC+++SMPL1:103::SAMPLE STAR:XX"


def particulars(*more: str, number: str = "VES1", function: str = "9", way: str = STAR) -> Message:
    """A vessel's particulars."""
    return message("CUSREP", [f"BGM+799+{number}+{function}", *more, way])


def report(
    when: str, where: str = "LOC+60+XXBBB", *, number: str = "REP1", function: str = "9", way: str = STAR
) -> Message:
    """A report on a call: a DTM, a LOC and the vessel."""
    return message("CUSREP", [f"BGM+98+{number}+{function}", when, where, way])


ARRIVAL = "DTM+178:202611220600:203"
DEPARTURE = "DTM+186:202611230600:203"


def record(house: House, kind: str, key: str) -> dict[str, Any]:
    """A record that must be there."""
    data = house.records.get(kind, key)
    assert data is not None
    return dict(data)


@pytest.fixture
def registered(house: House) -> House:
    """A house that knows the SAMPLE STAR."""
    decide(house, particulars(), "VBX")
    return house


# Vessels --------------------------------------------------------------------------------------------------------------


def test_vbx_registers_a_vessel(house: House) -> None:
    """Key is the call sign (C222 8213); name, nationality, carrier, measures and references are kept."""
    more = ["MEA+AAE+AAM+TNE:52000", "RFF+ABO:9000001", "LOC+89+XXAAA"]
    assert decide(house, particulars(*more), "VBX").key == "VES1"
    data = record(house, "vessel", "SMPL1")
    assert (data["name"], data["nationality"], data["means"], data["carrier"]) == ("SAMPLE STAR", "XX", "13", "SMPC")
    assert data["measures"] == [{"purpose": "AAE", "property": "AAM", "unit": "TNE", "value": 52000}]
    assert (data["references"], data["places"]) == ({"ABO": ["9000001"]}, {"89": "XXAAA"})
    assert (data["state"], data["user_code"], data["business_code"]) == ("registered", "1ANAC", "VBX")
    assert data["segments"][0] == ["BGM", "799", "VES1", "9"]


def test_vessel_sent_again(house: House) -> None:
    """9 again is E9002; 5 replaces; 4 changes what is filled; VBY corrects by its name; 1 cancels; each once."""
    assert refused(house, particulars(function="5"), "VBX") == [result("E9001", "TDT", 3)]
    assert refused(house, particulars(), "VBY") == [result("E9001", "TDT", 3)]
    decide(house, particulars(), "VBX")
    assert refused(house, particulars(), "VBX") == [result("E9002", "TDT", 3)]
    decide(house, particulars(way="TDT+20+++++++SMPL1:::NEW NAME", function="4"), "VBX")
    data = record(house, "vessel", "SMPL1")
    assert (data["name"], data["nationality"], data["version"]) == ("NEW NAME", "XX", 2)
    decide(house, particulars(way="TDT+20+++++++SMPL1:::NEXT NAME"), "VBY")
    data = record(house, "vessel", "SMPL1")
    assert (data["name"], data.get("nationality"), data["version"]) == ("NEXT NAME", None, 3)
    decide(house, particulars(function="1"), "VBX")
    assert refused(house, particulars(function="1"), "VBX") == [result("E9003", "TDT", 3)]
    decide(house, particulars(), "VBX")
    assert record(house, "vessel", "SMPL1")["state"] == "registered"


def test_vessel_of_another_user(registered: House) -> None:
    """Only the 利用者コード that registered a vessel corrects it (our choice)."""
    registered.user = STRANGER
    assert refused(registered, particulars(), "VBY") == [result("U9003", "TDT", 3)]


# Calls ----------------------------------------------------------------------------------------------------------------


def test_way_of_a_call(registered: House) -> None:
    """Announced, arrived, departed: one record a call, one entry a report."""
    for business, when, where in (
        ("VPX", "DTM+132:202611220500:203", "LOC+60+XXBBB"),
        ("VIX", ARRIVAL, "LOC+60+XXBBB"),
        ("VOX", DEPARTURE, "LOC+5+XXBBB"),
    ):
        decide(registered, report(when, where, number=business), business)
    data = record(registered, "vessel-call", "SMPL1/012W/XXBBB")
    assert (data["state"], data["vessel_name"], data["voyage"], data["port"]) == (
        "departed",
        "SAMPLE STAR",
        "012W",
        "XXBBB",
    )
    assert {stage: made["at"] for stage, made in data["reports"].items()} == {
        "expected": "202611220500",
        "arrived": "202611220600",
        "departed": "202611230600",
    }


def test_call_of_an_unknown_vessel(house: House) -> None:
    """A report of a vessel that nobody registered, or that was taken off, is E9001 at TDT."""
    assert refused(house, report(ARRIVAL), "VIX") == [result("E9001", "TDT", 5)]
    decide(house, particulars(), "VBX")
    decide(house, particulars(function="1"), "VBX")
    assert refused(house, report(ARRIVAL), "VIX") == [result("E9001", "TDT", 5)]


def test_wrong_order_is_answered(registered: House) -> None:
    """No departure without a call (E9001) or before arrival (E9013), no report twice (E9002), none going back."""
    departure = report(DEPARTURE, "LOC+5+XXBBB")
    assert refused(registered, departure, "VOX") == [result("E9001", "TDT", 5)]
    decide(registered, report("DTM+132:20261122:102"), "VPX")
    assert refused(registered, departure, "VOX") == [result("E9013", "TDT", 5)]
    decide(registered, report(ARRIVAL), "VIX")
    assert refused(registered, report(ARRIVAL), "VIX") == [result("E9002", "BGM", 2)]
    early = report("DTM+186:20261121:102", "LOC+5+XXBBB")
    assert refused(registered, early, "VOX") == [result("R9002", "DTM", 3)]
    decide(registered, departure, "VOX")
    assert refused(registered, report("DTM+132:20261122:102"), "VPX") == [result("E9002", "BGM", 2)]


def test_no_announcement_after_arrival(registered: House) -> None:
    """A call that began with its arrival is not announced afterwards."""
    decide(registered, report(ARRIVAL), "VIX")
    assert refused(registered, report("DTM+132:20261122:102"), "VPX") == [result("E9013", "TDT", 5)]


def test_reports_sent_again(registered: House) -> None:
    """5 and 4 rewrite a report that was made, 1 takes the last one back; of what was not made E9001."""
    decide(registered, report("DTM+132:20261122:102"), "VPX")
    assert refused(registered, report(ARRIVAL, function="5"), "VIX") == [result("E9001", "BGM", 2)]
    decide(registered, report(ARRIVAL), "VIX")
    decide(registered, report("DTM+178:202611220700:203", function="5"), "VIX")
    data = record(registered, "vessel-call", "SMPL1/012W/XXBBB")
    assert (data["reports"]["arrived"]["at"], data["state"]) == ("202611220700", "arrived")
    assert refused(registered, report("DTM+132:20261122:102", function="1"), "VPX") == [result("E9013", "BGM", 2)]
    decide(registered, report(ARRIVAL, function="1"), "VIX")
    assert record(registered, "vessel-call", "SMPL1/012W/XXBBB")["state"] == "expected"
    decide(registered, report("DTM+132:20261124:102", function="4"), "VPX")
    data = record(registered, "vessel-call", "SMPL1/012W/XXBBB")
    assert data["reports"]["expected"]["at"] == "20261124"
    decide(registered, report("DTM+132:20261122:102", function="1"), "VPX")
    assert refused(registered, report("DTM+132:20261122:102", function="1"), "VPX") == [result("E9003", "BGM", 2)]
    decide(registered, report(ARRIVAL), "VIX")


def test_call_of_another_user(registered: House) -> None:
    """A call goes on by the hand that began it."""
    decide(registered, report(ARRIVAL), "VIX")
    registered.user = STRANGER
    assert refused(registered, report(DEPARTURE, "LOC+5+XXBBB"), "VOX") == [result("U9003", "TDT", 5)]
    assert refused(registered, report(ARRIVAL, function="1"), "VIX") == [result("U9003", "BGM", 2)]


def test_vessel_in_port_stays_registered(registered: House) -> None:
    """A vessel with a call that has not ended cannot be cancelled (E9013)."""
    decide(registered, report(ARRIVAL), "VIX")
    assert refused(registered, particulars(function="1"), "VBX") == [result("E9013", "TDT", 3)]
    decide(registered, report(DEPARTURE, "LOC+5+XXBBB"), "VOX")
    decide(registered, particulars(function="1"), "VBX")


# Wrong in itself ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("business", ["VBX", "VIX"])
def test_errors_name_the_segment(house: House, business: str) -> None:
    """No vessel, no code, no date, an unread function: result codes with segment and number."""
    bare = damaged("CUSREP", ["BGM+799+V1+9", "DTM+178:2026112:102", "EQD+CN+X"], "D:90Z:UN")
    dated = [result("S9003", "DTM", 3)] if business == "VIX" else []
    assert refused(house, bare, business) == [result("S9001", "TDT", 3)]
    nameless = damaged("CUSREP", ["BGM+799+V1+2", "DTM+178:2026112:102", "TDT+20+1", "MEA"], "D:90Z:UN")
    assert refused(house, nameless, business) == [result("S9004", "BGM", 2), result("S9001", "TDT", 4), *dated]
    assert refused(house, damaged("CUSREP", ["TDT"], "D:90Z:UN"), business) == [
        result("S9001", "BGM", 1),
        result("S9001", "TDT", 2),
    ]


def test_measures_are_numbers(house: House) -> None:
    """S9003 at the MEA."""
    body = ["BGM+799+V1+9", "MEA+AAE+AAM+TNE:5X", STAR]
    assert refused(house, damaged("CUSREP", body, "D:95B:UN"), "VBX") == [result("S9003", "MEA", 3)]


@pytest.mark.parametrize("release", ["D:96A:UN", "D:99B:UN", "D:02B:UN", "D:12B:UN"])
def test_same_reading_in_every_release(house: House, release: str) -> None:
    """The vessel stands in TDT C222 in every release."""
    decide(house, message("CUSREP", ["BGM+799+V1+9", STAR], release), "VBX")
    assert record(house, "vessel", "SMPL1")["name"] == "SAMPLE STAR"
