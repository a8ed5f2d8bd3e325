"""CUSCAR: manifests become cargo (issue 3; docs/edifact-mappings.md). Codes from 9001 up are provisional."""

from typing import Any

import pytest

from sekisho.codecs.edifact.model import Message

from .house import STRANGER, House, result
from .interchanges import SAMPLES, damaged, decide, message, only, refused


def bill(number: str, *extra: str, goods: str = "GID+1+10:CT") -> list[str]:
    """A plain consignment: one bill, one goods item."""
    return ["CNI+1", f"RFF+BM:{number}", goods, "FTX+AAA+++TOYS", "MEA+AAE+G+KGM:500", *extra]


def manifest(*body: str, number: str = "MAN1", function: str = "9", kind: str = "785") -> Message:
    """A manifest of the SAMPLE STAR with these consignments."""
    head = [f"BGM+{kind}+{number}+{function}", "TDT+20+012W+++SMPC+++SMPL1:::SAMPLE STAR", "DTM+132:20261122:102"]
    return message("CUSCAR", [*head, *body])


def cargo(house: House, number: str) -> dict[str, Any]:
    """The record of a cargo."""
    data = house.records.get("cargo", number)
    assert data is not None
    return dict(data)


def known_to_olc(house: House, number: str) -> bool:
    """Whether OLA11 finds the cargo."""
    return not house.refused("OLA11", CG_=[number])


# What becomes of a bill ----------------------------------------------------------------------------------------------


def test_sample_manifest_fills_the_fields_that_outputs_print(house: House) -> None:
    """Bill, goods, packages, weight, vessel, arrival, place, containers: the fields of the registry's cargo."""
    outcome = decide(house, only((SAMPLES / "cuscar.edi").read_bytes()), "MFR")
    assert (outcome.key, outcome.results, outcome.outputs) == ("MAN0101", (), ())
    data = cargo(house, "SMPLBL0101")
    expected = {
        "description": "MACHINE PARTS",
        "packages": 120,
        "weight": 12500,
        "weight_unit": "KGM",
        "vessel_code": "SMPL1",
        "vessel_name": "SAMPLE STAR",
        "voyage": "012W",
        "carrier": "SMPC",
        "arrival_date": "20251002",
        "place": "1AW01",
        "containers": ["SMPU0000101"],
        "direction": "I",
        "state": "registered",
        "user_code": "1ANAC",
        "manifest": "1ANAC/MAN0101",
        "marks": ["SAMPLE 0101"],
    }
    assert {name: data.get(name) for name in expected} == expected
    assert "package_unit" not in data, "cartons and pieces have no unit in common"
    assert data["ports"] == {"9": "XXAAA", "11": "XXBBB", "14": "1AW01"}
    assert [(g["description"], g["packages"], g["package_unit"]) for g in data["goods"]] == [
        ("MACHINE PARTS", 100, "CT"),
        ("ELECTRIC MOTORS", 20, "PX"),
    ]
    assert data["parties"]["CN"]["name"] == "SAMPLE IMPORTER"
    second = cargo(house, "SMPLBL0102")
    assert (second["packages"], second["package_unit"], second["weight"]) == (48, "BL", 3600.5)
    kept = house.records.get("manifest", "1ANAC/MAN0101")
    assert kept is not None
    assert (kept["bills"], kept["state"], kept["vessel_code"]) == (["SMPLBL0101", "SMPLBL0102"], "registered", "SMPL1")


def test_cargo_of_a_manifest_can_be_called_up_and_inquired(house: House) -> None:
    """Issue 3: a CUSCAR makes its cargo callable by OLA11 and visible in ICG."""
    decide(house, only((SAMPLES / "cuscar.edi").read_bytes()), "MFR")
    (screen,) = house.send("OLA11", CG_=["SMPLBL0101"]).outputs
    assert (screen.values["DPR"], screen.values["CNO"]) == ("1AW01", ["SMPU0000101"])
    (answer,) = house.send("ICG", CGN="SMPLBL0101").outputs
    assert (answer.values["CMN"], answer.values["NO"], answer.values["ST"]) == ("MACHINE PARTS", "120", "1AW01")


@pytest.mark.parametrize(
    ("consignment", "number"),
    [
        (["CNI+1+CNIBL1", "RFF+BM:REALBL1", "GID+1+1:CT"], "REALBL1"),
        (["CNI+1+CNIBL1", "RFF+ABO:OTHER", "GID+1+1:CT"], "CNIBL1"),
        (["CNI+1", "RFF+ABO:OTHER", "GID+1+1:CT"], "MAN1"),
        (["CNI+1", "RFF+AWB:12312345675", "GID+1+1:CT"], "12312345675"),
    ],
)
def test_number_of_a_bill(house: House, consignment: list[str], number: str) -> None:
    """RFF BM and its like, else CNI 1004, else of a message with one bill BGM 1004 (our reading)."""
    decide(house, manifest(*consignment), "MFR")
    assert known_to_olc(house, number)


def test_house_bill_before_master_bill_where_no_directory_judges(house: House) -> None:
    """Two references before the goods are of one bill: the house bill is the number, the master bill is kept."""
    body = ["BGM+785+MAN1+9", "CNI+1", "RFF+MB:MASTER1", "RFF+BH:HOUSE1", "GID+1+1:CT"]
    decide(house, damaged("CUSCAR", body, "D:90Z:UN"), "MFR")
    assert cargo(house, "HOUSE1")["master_bill"] == "MASTER1"
    assert house.records.get("cargo", "MASTER1") is None


def test_two_bills_in_one_consignment(house: House) -> None:
    """Every RFF group behind goods is a bill of its own; groups that share a number are one."""
    body = ["CNI+1+CN1", "RFF+BM:A1", "GID+1+1:CT", "RFF+BM:A2", "GID+1+2:CT", "RFF+BM:A1", "GID+1+3:CT"]
    decide(house, manifest(*body), "MFR")
    assert (cargo(house, "A1")["packages"], cargo(house, "A2")["packages"]) == (4, 2)
    assert cargo(house, "A1")["consignment"] == "1"


def test_weights_of_different_units_are_added_in_kilograms(house: House) -> None:
    """Net weights and volumes are no gross weight; tonnes and pounds become kilograms where they meet."""
    goods = ["GID+1+1:CT", "MEA+AAE+N+KGM:9", "MEA+AAE+AAW+MTQ:7", "MEA+AAE+G+KGM:500", "GID+2+1:CT", "MEA+WT++TNE:1.5"]
    decide(house, manifest("CNI+1", "RFF+BM:A1", *goods), "MFR")
    assert (cargo(house, "A1")["weight"], cargo(house, "A1")["weight_unit"]) == (2000, "KGM")


def test_single_bill_without_split_goods_takes_all_containers(house: House) -> None:
    """EQD speaks of the whole message: with one bill it is that bill's equipment, with two nobody's."""
    one = manifest("EQD+CN+SMPU0000101", "EQD+CN+SMPU0000102", *bill("A1"))
    decide(house, one, "MFR")
    decide(house, manifest("EQD+CN+SMPU0000103", *bill("A2"), *bill("A3"), number="MAN2"), "MFR")
    assert cargo(house, "A1")["containers"] == ["SMPU0000101", "SMPU0000102"]
    assert "containers" not in cargo(house, "A2")


def test_bill_level_carriage_and_actual_arrival_win(house: House) -> None:
    """A bill's own TDT says more than the head's; DTM 178 (arrived) more than 132 (expected)."""
    own = ["CNI+1", "RFF+BM:A1", "TDT+20+9E++++++SMPL9:::SAMPLE MOON", "DTM+132:20261124:102"]
    decide(house, manifest(*own, "DTM+178:202611250730:203", "GID+1+1:CT"), "MFR")
    data = cargo(house, "A1")
    assert (data["vessel_code"], data["vessel_name"], data["arrival_date"]) == ("SMPL9", "SAMPLE MOON", "20261125")


@pytest.mark.parametrize("release", ["D:96A:UN", "D:96B:UN", "D:99B:UN", "D:02B:UN", "D:12B:UN"])
def test_same_reading_in_every_release(house: House, release: str) -> None:
    """Group numbers move between releases; triggers and qualifiers do not."""
    head = ["BGM+785+MAN1+9", "RFF+ABO:X", "TDT+20+012W+++SMPC+++SMPL1:::SAMPLE STAR", "DTM+132:20261122:102"]
    decide(house, message("CUSCAR", [*head, *bill("A1")], release), "MFR")
    data = cargo(house, "A1")
    assert (data["packages"], data["weight"], data["vessel_name"]) == (10, 500, "SAMPLE STAR")


# Sent again -----------------------------------------------------------------------------------------------------------


def test_original_of_what_is_there_is_answered(house: House) -> None:
    """9 again: E9002 at BGM; another manifest with a bill that is there: E9002 at that bill's RFF."""
    decide(house, manifest(*bill("A1")), "MFR")
    assert refused(house, manifest(*bill("A2")), "MFR") == [result("E9002", "BGM", 2)]
    assert refused(house, manifest(*bill("A2"), *bill("A1"), number="MAN2"), "MFR") == [result("E9002", "RFF", 11)]
    assert refused(house, manifest(*bill("SMPLBL0001"), number="MAN3"), "MFR") == [result("E9002", "RFF", 6)]


def test_replacement_replaces_the_whole_manifest(house: House) -> None:
    """5: bills are as the new message says; what it no longer names is cancelled; what is new is registered."""
    decide(house, manifest(*bill("A1"), *bill("A2")), "MFR")
    decide(house, manifest(*bill("A2", goods="GID+1+77:BX"), *bill("A3"), function="5"), "MFR")
    assert not known_to_olc(house, "A1")
    assert (cargo(house, "A2")["packages"], cargo(house, "A2")["version"]) == (77, 2)
    assert known_to_olc(house, "A3")
    kept = house.records.get("manifest", "1ANAC/MAN1")
    assert kept is not None
    assert (kept["bills"], kept["version"]) == (["A2", "A3"], 2)


def test_replacement_by_reference_to_the_previous_message(house: House) -> None:
    """RFF ACW names the document that is replaced where the new one has a number of its own."""
    decide(house, manifest(*bill("A1")), "MFR")
    body = ["BGM+785+MAN2+5", "RFF+ACW:MAN1", *bill("A1", goods="GID+1+3:CT")]
    decide(house, message("CUSCAR", body), "MFR")
    assert cargo(house, "A1")["packages"] == 3
    assert refused(house, message("CUSCAR", ["BGM+785+MAN3+5", "RFF+ACW:MAN9", *bill("A1")]), "MFR") == [
        result("E9001", "BGM", 2)
    ]


def test_change_keeps_what_the_message_does_not_say(house: House) -> None:
    """4: filled values are changed, the others stay; a bill that is not in the manifest is E9001."""
    decide(house, manifest(*bill("A1")), "MFR")
    change = message("CUSCAR", ["BGM+785+MAN1+4", "CNI+1", "RFF+BM:A1", "GID+1+12:CT"])
    decide(house, change, "MFR")
    data = cargo(house, "A1")
    assert (data["packages"], data["weight"], data["vessel_code"], data["version"]) == (12, 500, "SMPL1", 2)
    assert refused(house, manifest(*bill("A9"), function="4"), "MFR") == [result("E9001", "RFF", 6)]


def test_addition_adds_bills(house: House) -> None:
    """2: bills join a manifest that is there."""
    assert refused(house, manifest(*bill("A2"), function="2"), "MFR") == [result("E9001", "BGM", 2)]
    decide(house, manifest(*bill("A1")), "MFR")
    decide(house, manifest(*bill("A2"), function="2"), "MFR")
    kept = house.records.get("manifest", "1ANAC/MAN1")
    assert kept is not None
    assert kept["bills"] == ["A1", "A2"]


@pytest.mark.parametrize("function", ["1", "3"])
def test_cancellation_of_bills_and_of_the_whole(house: House, function: str) -> None:
    """1 and 3: the named bills, or all where none is named; a cancelled cargo is unknown and may be registered anew."""
    decide(house, manifest(*bill("A1"), *bill("A2")), "MFR")
    decide(house, manifest(*bill("A1"), function=function), "MFR")
    assert (known_to_olc(house, "A1"), known_to_olc(house, "A2")) == (False, True)
    assert refused(house, manifest(*bill("A1"), function=function), "MFR") == [result("E9003", "RFF", 6)]
    decide(house, message("CUSCAR", [f"BGM+785+MAN1+{function}"]), "MFR")
    assert not known_to_olc(house, "A2")
    assert refused(house, manifest(function=function), "MFR") == [result("E9003", "BGM", 2)]
    decide(house, manifest(*bill("A1")), "MFR")
    assert known_to_olc(house, "A1")


@pytest.mark.parametrize("function", ["1", "3", "4", "5"])
def test_what_is_unknown_or_somebody_else_s_is_answered(house: House, function: str) -> None:
    """Replace, change and cancel of an unknown manifest are E9001; bills of another user's are U9003."""
    assert refused(house, manifest(*bill("A1"), function=function), "MFR") == [result("E9001", "BGM", 2)]
    decide(house, manifest(*bill("A1")), "MFR")
    house.user = STRANGER
    decide(house, manifest(*bill("B1")), "MFR")
    assert refused(house, manifest(*bill("A1"), function=function), "MFR") == [result("U9003", "RFF", 6)]


def test_replace_without_a_document_number_goes_by_bills(house: House) -> None:
    """A document without a number is known by its bills alone: they must be there and one's own."""
    decide(house, manifest(*bill("A1"), number=""), "MFR")
    decide(house, manifest(*bill("A1", goods="GID+1+2:CT"), number="", function="5"), "MFR")
    assert cargo(house, "A1")["packages"] == 2
    assert refused(house, manifest(*bill("A2"), number="", function="5"), "MFR") == [result("E9001", "RFF", 6)]
    assert refused(house, manifest(number="", function="1"), "MFR") == [result("S9001", "BGM", 2)]


# Corrections and submission ------------------------------------------------------------------------------------------


def test_cmf_corrects_by_its_name(house: House) -> None:
    """CMF: function 9 or none means replace, so an unknown manifest is E9001."""
    assert refused(house, manifest(*bill("A1")), "CMF") == [result("E9001", "BGM", 2)]
    decide(house, manifest(*bill("A1")), "MFR")
    decide(house, manifest(*bill("A1", goods="GID+1+5:CT")), "CMF")
    assert cargo(house, "A1")["packages"] == 5


def test_dmf_submits_what_is_registered_or_registers_and_submits(house: House) -> None:
    """DMF: with bills it registers them, without it submits the manifest that is there; once."""
    submit = message("CUSCAR", ["BGM+785+MAN1+9"])
    assert refused(house, submit, "DMF") == [result("E9001", "BGM", 2)]
    decide(house, manifest(*bill("A1")), "MFR")
    decide(house, submit, "DMF")
    kept = house.records.get("manifest", "1ANAC/MAN1")
    assert kept is not None
    assert (kept["state"], kept["bills"]) == ("submitted", ["A1"])
    assert refused(house, submit, "DMF") == [result("E9002", "BGM", 2)]
    decide(house, manifest(*bill("A2"), number="MAN2"), "DMF")
    kept = house.records.get("manifest", "1ANAC/MAN2")
    assert kept is not None
    assert kept["state"] == "submitted"
    decide(house, manifest(function="1"), "MFR")
    assert refused(house, submit, "DMF") == [result("E9003", "BGM", 2)]


# Wrong in itself -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (["CNI+1", "GID+1+1:CT"], [result("S9001", "RFF", 6)]),
        (["CNI+1", "RFF+BM:LOWER\xe9", "GID+1+1:CT"], [result("S9002", "RFF", 6)]),
        (["CNI+1", "RFF+BM:A1", "GID+1+1:CT", "MEA+AAE+G+KGM:12X"], [result("S9003", "MEA", 8)]),
        (["DTM+178:20261340:102", *bill("A1")], [result("S9003", "DTM", 5)]),
        ([], [result("R9003", "CNI", 4)]),
        ([*bill("A1"), *bill("A1")], [result("R9004", "RFF", 11)]),
        (["CNT+10:2", *bill("A1")], [result("R9008", "CNT", 5)]),
        (["CNT+16:1", *bill("A1")], [result("R9008", "CNT", 5)]),
        (["CNI+1", "RFF+BM:A1", "CNT+11:9", "GID+1+10:CT"], [result("R9008", "CNT", 7)]),
        (["EQD+CN+SMPU0000101", *bill("A1", "SGP+SMPU0000999+1")], [result("R9009", "SGP", 11)]),
    ],
)
def test_errors_name_the_segment(house: House, body: list[str], expected: list[str]) -> None:
    """Item is the segment's tag, row its number in the message; of what is missing, the segment before its place."""
    head = ["BGM+785+MAN1+9", "TDT+20+012W+++SMPC+++SMPL1:::SAMPLE STAR", "DTM+132:20261122:102"]
    two = ["CNI+9+OTHER", "RFF+BM:OTHER", "GID+1+1:CT"] if expected == [result("S9001", "RFF", 6)] else []
    given = damaged("CUSCAR", [*head, *body, *two], "D:95B:UN")
    assert refused(house, given, "MFR") == expected


def test_what_no_directory_judged_is_refused_and_never_fails(house: House) -> None:
    """Without BGM, with an unread function, with bare segments: result codes, no exception."""
    bare = damaged("CUSCAR", ["CNI", "RFF", "GID", "MEA", "DTM", "SGP", "EQD", "TDT", "CNT"], "D:90Z:UN")
    assert refused(house, bare, "MFR") == [result("S9001", "BGM", 1), result("S9001", "RFF", 3)]
    assert refused(house, damaged("CUSCAR", ["BGM+785+M+77", *bill("A1")], "D:90Z:UN"), "MFR") == [
        result("S9004", "BGM", 2)
    ]


def test_vessel_is_named_from_the_register(house: House) -> None:
    """A manifest that gives only the vessel's code gets its name from what CUSREP registered."""
    house.records.kept["vessel", "SMPL7"] = {"name": "SAMPLE DAWN", "state": "registered"}
    body = ["BGM+785+MAN1+9", "TDT+20+1++++++SMPL7", *bill("A1")]
    decide(house, message("CUSCAR", body), "MFR")
    assert cargo(house, "A1")["vessel_name"] == "SAMPLE DAWN"


def test_spaces_behind_values_mean_nothing(house: House) -> None:
    """A receiver takes values with and without trailing spaces and leading zeros (edifact 3.4)."""
    head = ["BGM+785+MAN1 +9", "TDT+20+012W +++SMPC +++SMPL1 :::SAMPLE STAR "]
    body = ["EQD+CN+SMPU0000101 ", "CNI+1", "RFF+BM:A1 ", "GID+1+010:CT ", "MEA+AAE+G+KGM:00500", "SGP+SMPU0000101"]
    decide(house, message("CUSCAR", [*head, *body]), "MFR")
    data = cargo(house, "A1")
    assert (data["packages"], data["package_unit"], data["weight"]) == (10, "CT", 500)
    assert (data["vessel_code"], data["vessel_name"], data["containers"]) == ("SMPL1", "SAMPLE STAR", ["SMPU0000101"])
    assert refused(house, manifest(*bill("A1")), "MFR") == [result("E9002", "BGM", 2)]
