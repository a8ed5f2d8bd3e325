"""ICG: procedures 5.7 and appendix A; 貨物状態 and the rows of 搬出入 are ours."""

from typing import Any

import pytest

from sekisho.codecs.reading import read_body
from sekisho.codecs.results import result_block
from sekisho.handlers import catalogue
from sekisho.handlers.kit import SENDER, Output

from .house import CARGO, STRANGER, House, result, written
from .interchanges import SAMPLES, decide, only
from .test_bonded_registration import register


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
