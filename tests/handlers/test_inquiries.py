"""ICG: procedures 5.7 and appendix A; 貨物状態 and the rows of 搬出入 are ours."""

from typing import Any

import pytest

from sekisho.codecs.reading import read_body
from sekisho.codecs.results import result_block
from sekisho.handlers import catalogue
from sekisho.handlers.kit import SENDER, Output

from .exports import DOCUMENTS, SPECIALIST, shown
from .house import CARGO, STRANGER, House, result, written
from .interchanges import SAMPLES, decide, only
from .test_air_cargo import as_warehouse, slip, waybills
from .test_bonded_registration import register
from .test_imports import draft


def asked(house: House, number: str = "SMPLBL0001", selector: str = "", code: str = "ICG") -> Output:
    """The answer of an inquiry that succeeds: one M output, no notice."""
    outcome = house.send(code, CGN=number, SJI=selector)
    assert (outcome.notice, outcome.key, outcome.results) == (False, number, ())
    (output,) = outcome.outputs
    assert (output.code, output.kind, output.to) == ("SZICG", "M", SENDER)
    return output


def rows(output: Output, *items: str) -> list[tuple[str, ...]]:
    """The 搬出入 rows as a reader of the written output sees them."""
    layout = catalogue().get("SZICG.out")
    assert layout is not None
    record, findings, errors = read_body(layout, written(output))
    assert not findings
    assert not errors
    return [row for row in zip(*(record.texts(item) for item in items), strict=True) if any(row)]


def stay(container: str, into: str, out: str = "", place: str = "1AC02") -> dict[str, Any]:
    """A stay of a container in a yard, as CODECO leaves it."""
    return {"container": container, "place": place, "procedure": "CYA", "in_at": into, "out_at": out}


@pytest.mark.parametrize("code", ["ICG", "ICG0W"])
def test_answer_holds_what_the_data_base_holds(house: House, code: str) -> None:
    """On success an M output alone: the 75-byte result item, then the data (procedures 5.7)."""
    values = asked(house, code=code).values
    expected = {
        "RES": result_block(()),
        "CGN": "SMPLBL0001",
        "STS": "REG",
        "VSC": CARGO["vessel_code"],
        "VSN": CARGO["vessel_name"],
        "ARR": CARGO["arrival_date"],
        "ST": CARGO["place"],
        "CMN": CARGO["description"],
        "NO": "120",
        "NOT": CARGO["package_unit"],
        "GW": "2400.5",
        "GWT": "KGM",
    }
    assert values == expected


def test_cargo_may_be_asked_for_by_anybody(house: House) -> None:
    """Unspecified: our choice."""
    house.user = STRANGER
    assert asked(house).values["CGN"] == "SMPLBL0001"


def test_unknown_and_cancelled_numbers(house: House) -> None:
    """A notice with E9001 at CGN, nothing else (procedures 5.7)."""
    assert house.refused("ICG", CGN="NOWHERE1") == [result("E9001", "CGN")]
    house.records.kept["cargo", "GONE1"] = CARGO | {"state": "cancelled"}
    assert house.refused("ICG", CGN="GONE1") == [result("E9001", "CGN")]


def test_single_items(house: House) -> None:
    """The number is mandatory; the selector is blank or TRN."""
    assert house.refused("ICG", CGN="") == [result("S9001", "CGN")]
    assert house.refused("ICG", CGN="SMPLBL0001", SJI="ABC") == [result("S9004", "SJI")]


def test_approvals_stand_in_the_movements(house: House) -> None:
    """TRN carries permit and approval numbers [spec]: an OLC20 shows under every cargo it named, and only with TRN."""
    number = register(house, CG_=["SMPLBL0001", "SMPLBL0002"])
    assert rows(asked(house, selector="TRN"), "PR_") == []
    house.send("OLC20", OLT=number)
    for cargo in ("SMPLBL0001", "SMPLBL0002"):
        answer = asked(house, cargo, "TRN")
        assert rows(answer, "PR_", "PN_", "PD_") == [("OLC20", number, "20261120")]
        assert answer.values["STS"] == "APP"
    assert rows(asked(house), "PR_") == []


def test_stays_in_yards(house: House) -> None:
    """A container's stays are the cargo's; its state follows the last one of every container."""
    decide(house, only((SAMPLES / "cuscar.edi").read_bytes()), "MFR")
    kept = house.records.kept
    kept["container", "SMPU0000101"] = {"stays": [stay("SMPU0000101", "202611200900")]}
    answer = asked(house, "SMPLBL0101", "TRN")
    assert rows(answer, "PR_", "ID_", "OD_", "PL_") == [("CYA", "20261120", "", "1AC02")]
    assert answer.values["STS"] == "INY"
    kept["container", "SMPU0000101"] = {"stays": [stay("SMPU0000101", "202611200900", "202611211000")]}
    answer = asked(house, "SMPLBL0101", "TRN")
    assert rows(answer, "ID_", "OD_") == [("20261120", "20261121")]
    assert answer.values["STS"] == "OUT"


def test_state_of_cargo_in_two_containers(house: House) -> None:
    """It is in the yard, or out of it, only with all its containers."""
    house.records.kept["cargo", "TWO1"] = CARGO | {"containers": ["SMPU0000001", "SMPU0000002"]}
    kept = house.records.kept
    kept["container", "SMPU0000001"] = {"stays": [stay("SMPU0000001", "20261120")]}
    assert asked(house, "TWO1").values["STS"] == "REG"
    kept["container", "SMPU0000002"] = {"stays": [stay("SMPU0000002", "20261119", "20261120")]}
    assert asked(house, "TWO1").values["STS"] == "REG"
    kept["container", "SMPU0000001"] = {"stays": [stay("SMPU0000001", "20261120", "20261121")]}
    assert asked(house, "TWO1").values["STS"] == "OUT"


def test_of_many_movements_the_latest_are_shown(house: House) -> None:
    """The table has 20 rows."""
    stays = [stay("SMPU1234567", f"202611{day:02d}0900", f"202611{day:02d}1000") for day in range(1, 25)]
    house.records.kept["container", "SMPU1234567"] = {"stays": stays}
    shown = rows(asked(house, selector="TRN"), "ID_")
    assert (len(shown), shown[0], shown[-1]) == (20, ("20261105",), ("20261124",))


# IGS, IIV, IXX --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["IGS", "IGS0W"])
def test_export_cargo(house: House, code: str) -> None:
    """What CDB01 and the warehouse registered of it; cargo of imports is not there (procedures 4.3, form ours)."""
    number = slip(house, "A")
    as_warehouse(house).send("BIL01", HDB=number)
    outcome = house.send(code, CGN="A")
    (output,) = outcome.outputs
    assert (output.code, output.kind, outcome.notice) == ("AZIGS", "M", False)
    read = shown(output)
    assert [read.text(item) for item in ("STS", "HDB", "ST", "HYD", "NO")] == ["INW", number, "1AW01", "20261121", "3"]
    assert [read.text(item, 1) for item in ("PR_", "ID_", "OD_", "PL_")] == ["BIL01", "20261120", "", "1AW01"]
    waybills(house, "H")
    assert house.refused(code, CGN="H") == [result("E9001", "CGN")]
    assert house.refused(code, CGN="Z") == [result("E9001", "CGN")]


def test_invoice(house: House) -> None:
    """IIV: by 電子インボイス受付番号, to whom it belongs and his delegates."""
    items = {"IV3": "INV-1", "IP3": "USD", "IP4": "1200.50", "CMN": ["SHRIMP", "SALMON"]}
    invoice = {"user_code": "1ANAC", "registered_at": "2026-11-19", "items": items}
    house.records.kept["invoice", "0000000001"] = invoice
    (output,) = house.send("IIV", IV2="0000000001").outputs
    read = shown(output)
    assert output.code == "SZIIV"
    assert [read.text(item) for item in ("IV3", "IP4", "RGC", "REG")] == ["INV-1", "1200.50", "1ANAC", "20261119"]
    assert read.texts("CMN") == ["SHRIMP", "SALMON"]
    assert house.refused("IIV", IV2="0000000002") == [result("E9001", "IV2")]
    house.user = STRANGER
    assert house.refused("IIV", IV2="0000000001") == [result("U9001")]


def test_requests_to_other_ministries(house: House) -> None:
    """IXX: the numbers SWC named, and how the declaration they went with stands (progress numbers [spec])."""
    house.examinations.by_code["SWC"] = DOCUMENTS
    house.user = SPECIALIST
    number = house.send("SWA", **draft()).key
    asked = {"ICN": number}
    assert shown(house.send("IXX", **asked).outputs[0]).texts("MN_") == []
    house.send("SWC", SIC=number, SFN="FOOD0000001", SLN="ANIM0000001")
    (output,) = house.send("IXX", **asked).outputs
    read = shown(output)
    assert (output.code, read.text("STS")) == ("SZIXX", "1")
    rows = zip(*(read.texts(item) for item in ("MK_", "MN_", "MS_")), strict=True)
    assert list(rows) == [("SFN", "FOOD0000001", "1"), ("SLN", "ANIM0000001", "1")]
    house.system = "1"
    assert house.refused("IXX", **asked) == [result("E9005", "ICN")]
    house.system = "2"
    house.user = STRANGER
    assert house.refused("IXX", **asked) == [result("U9001")]
    assert house.refused("IXX", ICN="99999999999") == [result("E9001", "ICN")]
