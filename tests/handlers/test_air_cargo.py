"""HCH01, HDM01, CHA, CDB01, BIL, BIL01, BIN, BIN01, OUT: procedures 4.7; what may follow what is ours."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sekisho.codecs.reading import read_body
from sekisho.codecs.results import Refusal
from sekisho.handlers import catalogue
from sekisho.handlers.air_cargo_states import AIR_CARGO, state_of
from sekisho.handlers.cargo import note_approval
from sekisho.handlers.kit import Originator, User
from sekisho.handlers.ledger import day_of
from sekisho.handlers.states import NEW

from .house import BROKER, STRANGER, House, result, written
from .test_bonded_registration import draft

WAREHOUSE = User("5WHSEW0W", "warehouse")
AT = {"KND": "9", "HST": "1AW01", "IDT": "20261120", "ITM": "0900"}


def cargo(house: House, number: str) -> dict[str, Any]:
    """The cargo record of a number."""
    return dict(house.records.kept["cargo", number])


def as_warehouse(house: House) -> House:
    """The house as the user of place 1AW01 meets it."""
    house.user = WAREHOUSE
    return house


def waybills(house: House, *numbers: str, code: str = "HCH01") -> None:
    """Register house waybills of one master waybill."""
    house.user = BROKER
    house.send(
        code,
        MAB="180-12345675",
        AF1="SA0101",
        AF2="20NOV",
        APT="NRT",
        HAB=list(numbers),
        NO=["5"] * len(numbers),
        GW=["12.5"] * len(numbers),
        GWT=["KGM"] * len(numbers),
        CMN=["SAMPLE PARTS"] * len(numbers),
        SHN=["SAMPLE SHIPPER"] * len(numbers),
    )


def slip(house: House, *numbers: str, place: str = "1AW01", number: str = "") -> str:
    """Register a slip; its number."""
    house.user = BROKER
    pieces = ["3"] * len(numbers)
    sent: dict[str, str | Sequence[str]] = {"HYS": place, "HYD": "20261121", "HDB": number}
    return house.send("CDB01", **sent, AWB=list(numbers), HKS=pieces, HJR=["7.5"] * len(numbers)).key


def permit(house: House, number: str) -> None:
    """Have customs permit something that names this cargo."""
    note_approval(number, "MIC", "00000000017", house.context())


@pytest.mark.parametrize("code", ["HCH01", "HDM01"])
def test_a_waybill_is_cargo_from_then_on(house: House, code: str) -> None:
    """Its number is found by the cargo inquiry and by a bonded transport's call-up (procedures 4.7)."""
    waybills(house, "HAWB0001", "HAWB0002", code=code)
    found = cargo(house, "HAWB0002")
    assert (found["state"], found["direction"], found["business_code"]) == ("registered", "I", code)
    assert (found["packages"], found["weight"], found["flight"]) == (5, 12.5, "SA0101 20NOV")
    assert found["parties"] == {"CZ": {"name": "SAMPLE SHIPPER"}}
    assert house.send("ICG", CGN="HAWB0001").outputs[0].values["CMN"] == "SAMPLE PARTS"
    assert house.send("OLA11", CG_=["HAWB0001"]).outputs


def test_what_a_registration_is_refused_for(house: House) -> None:
    """A row without a number, no row, a number twice, and a number that is known; all or nothing."""
    assert house.refused("HCH01", HAB=["A", ""], CMN=["X", "Y"]) == [result("S9001", "HAB", 2)]
    assert house.refused("HCH01", MAB="1") == [result("R9003", "HAB")]
    assert house.refused("HCH01", HAB=["A", "B", "A"]) == [result("R9004", "HAB", 3)]
    waybills(house, "B")
    assert house.refused("HDM01", HAB=["A", "B"]) == [result("E9002", "HAB", 2)]
    assert ("cargo", "A") not in house.records.kept


def test_a_correction_takes_what_is_filled(house: House) -> None:
    """CHA: blank items stay, of a party too; only the registrant may, and only what HCH01 or HDM01 registered."""
    waybills(house, "HAWB0001")
    house.send("CHA", HAB=["HAWB0001"], NO=["6"], SHA=["1-1 SAMPLE"], TRC=["001"])
    found = cargo(house, "HAWB0001")
    assert (found["packages"], found["description"], found["version"]) == (6, "SAMPLE PARTS", 2)
    assert found["parties"]["CZ"] == {"name": "SAMPLE SHIPPER", "address": "1-1 SAMPLE"}
    assert house.refused("CHA", HAB=["SMPLBL0001"]) == [result("E9001", "HAB", 1)]
    house.user = STRANGER
    assert house.refused("CHA", HAB=["HAWB0001"]) == [result("U9003", "HAB", 1)]


def test_a_slip_and_its_form(house: House) -> None:
    """CDB01 issues seven characters and prints the slip in the order that clients read (bondin-slip, observed)."""
    outcome = house.send("CDB01", HYS="1AW01", AGC="1ANAC", AWB=["111-1", "111-2"], HKS=["3", "4"], CMN=["A", "B"])
    assert outcome.key == "0000001"
    (form,) = outcome.outputs
    lines = written(form).split(b"\r\n")
    assert [line.strip() for line in lines[:6]] == [b"0000001", b"1AW01", b"", b"1ANAC", b"111-1", b"3"]
    layout = catalogue().get("AZCDB01.out")
    assert layout is not None, "a reader finds the table by the output code"
    record, _, errors = read_body(layout, written(form))
    assert record.texts("X06") == ["111-1", "111-2"]
    assert not errors
    assert house.send("CDB01", DPY="N", AWB=["111-3"]).outputs == ()


def test_a_slip_may_get_other_contents(house: House) -> None:
    """By its number: what is not named any longer is cancelled; what came in stays named."""
    number = slip(house, "A", "B")
    assert slip(house, "B", "C", number=number) == number
    assert [cargo(house, one)["state"] for one in "ABC"] == ["cancelled", "slip-registered", "slip-registered"]
    as_warehouse(house).send("BIL01", HDB=number, HAB=["B"])
    house.user = BROKER
    assert house.refused("CDB01", HDB=number, AWB=["C"]) == [result("E9013", "HDB")]
    assert house.refused("CDB01", HDB=number, AWB=["B", "C"]) == [result("E9013", "AWB", 1)]
    assert house.refused("CDB01", AWB=["C"]) == [result("E9002", "AWB", 1)]
    house.user = STRANGER
    assert house.refused("CDB01", HDB=number, AWB=["C"]) == [result("U9003", "HDB")]
    assert slip(house, "A"), "a cancelled number may be registered again"


def test_own_slip_numbers(house: House) -> None:
    """A number that nobody has is the sender's own; one that is issued later is never the same."""
    assert slip(house, "A", number="0000001") == "0000001"
    assert slip(house, "B") == "0000002"


def test_bond_in_by_slip(house: House) -> None:
    """BIL01: single rows, then the rest; only the user of the place; a row may be taken back."""
    number = slip(house, "A", "B")
    assert house.refused("BIL01", HDB=number) == [result("U9003", "HDB")]
    as_warehouse(house)
    assert house.refused("BIL01", HDB="9999999") == [result("E9001", "HDB")]
    assert house.refused("BIL01", HDB=number, HAB=["A", "Z"]) == [result("E9001", "HAB", 2)]
    assert house.refused("BIL01", HDB=number, HAB=["A"], SYS=["X"]) == [result("S9004", "SYS", 1)]
    house.send("BIL01", HDB=number, HAB=["A"])
    assert (cargo(house, "A")["state"], cargo(house, "A")["place"]) == ("in-warehouse", "1AW01")
    house.send("BIL01", HDB=number)
    assert cargo(house, "B")["state"] == "in-warehouse"
    assert house.refused("BIL01", HDB=number) == [result("E9013", "HDB")]
    house.send("BIL01", HDB=number, HAB=["A"], SYS=["1"])
    assert (cargo(house, "A")["state"], cargo(house, "A")["place"]) == ("slip-registered", "")
    assert cargo(house, "A")["stays"] == []


def test_bond_in_by_waybill(house: House) -> None:
    """BIL: the slip's place counts; import cargo does not come in by it."""
    slip(house, "A", place="2BW02")
    slip(house, "B")
    waybills(house, "I")
    as_warehouse(house)
    refused = house.refused("BIL", **AT, AWB=["A", "B", "I", "Z"])
    assert refused == [result("E9014", "AWB", 1), result("E9013", "AWB", 3), result("E9006", "AWB", 4)]
    house.send("BIL", **AT, AWB=["B"])
    assert cargo(house, "B")["arrived_at"] == "202611200900"
    house.send("BIL", **AT | {"KND": "1"}, AWB=["B"])
    assert cargo(house, "B")["state"] == "slip-registered"
    assert house.refused("BIL", **AT | {"KND": "5"}, AWB=["B"]) == [result("S9004", "KND")]


def test_import_cargo_comes_in_and_goes_out(house: House) -> None:
    """BIN, a permit, OUT; each may be taken back; nothing leaves without a permit unless the setting says so."""
    waybills(house, "H")
    assert house.refused("BIN", **AT, AWB=["H"]) == [result("U9003", "HST")]
    as_warehouse(house)
    assert house.refused("OUT", AWB=["H"]) == [result("E9013", "AWB", 1)]
    house.send("BIN", **AT, AWB=["H"])
    assert house.refused("BIN", **AT, AWB=["H"]) == [result("E9013", "AWB", 1)]
    assert house.refused("OUT", AWB=["H"]) == [result("E9016", "AWB", 1)]
    note_approval("H", "OLC20", "00000000011", house.context())
    assert house.refused("OUT", AWB=["H"]) == [result("E9016", "AWB", 1)], "a transport leaves by BOA"
    permit(house, "H")
    house.user = STRANGER
    assert house.refused("OUT", AWB=["H"]) == [result("U9003", "AWB", 1)]
    as_warehouse(house).send("OUT", HSD="20261120", AWB=["H"], HSJ=["1500"])
    found = cargo(house, "H")
    assert (found["state"], found["place"], found["stays"][0]["out_at"]) == ("out", "", "202611201500")
    assert house.send("ICG", CGN="H").outputs[0].values["STS"] == "OUT"
    house.send("OUT", TRK="1", AWB=["H"])
    assert (cargo(house, "H")["state"], cargo(house, "H")["place"]) == ("in-warehouse", "1AW01")
    house.send("BIN", **AT | {"KND": "1"}, AWB=["H"])
    assert cargo(house, "H")["state"] == "registered"
    house.business["release_needs_permit"] = False
    waybills(house, "J")
    as_warehouse(house).send("BIN", **AT, AWB=["J"])
    house.send("OUT", AWB=["J"])
    assert cargo(house, "J")["state"] == "out"


@pytest.mark.parametrize("code", ["BIL", "BIN", "BIN01", "OUT"])
@pytest.mark.parametrize(("day", "right"), [("20261121", False), ("20251118", False), ("20251119", True)])
def test_days_of_confirmations(house: House, code: str, day: str, right: bool) -> None:
    """Within the past year, as official text says of BIA (procedures 9.5); BIN01 names no cargo, the others do."""
    item = "HSD" if code == "OUT" else "IDT"
    items: dict[str, str | Sequence[str]] = {"OLT": "1"} if code == "BIN01" else {"AWB": ["Z"]}
    items |= {"KND": "9", "HST": "1CY09"} if code in ("BIL", "BIN") else {}
    wrong = [result("S9003", item)]
    assert (house.refused(code, **items | {item: day}) == wrong) != right


def test_an_arrival_starts_what_waits_for_it(house: House) -> None:
    """搬入時 start: BIN is a 搬入確認登録 too (procedures 9.1); the declarant hears of it by EXZ."""
    waybills(house, "H")
    number = house.send("OLA", **draft() | {"CG_": ["H"], "DPR": "1AW01", "ARR": "", "ARB": "2BW02"}).key
    house.send("OLC20", OLT=number, IKS="I")
    asked = house.requests
    outcome = as_warehouse(house).send("BIN", **AT, AWB=["H"])
    assert next((one.code, one.to) for one in outcome.outputs) == ("SAS0371", Originator(BROKER.id, asked))


def test_a_bonded_transport_arrives_by_air(house: House) -> None:
    """BIN01 ends a transport that is on its way, and its cargo lies at the arrival place; before, E9013."""
    waybills(house, "H")
    as_warehouse(house).send("BIN", **AT, AWB=["H"])
    house.user = BROKER
    number = house.send("OLA", **draft() | {"CG_": ["H"], "DPR": "1AW01", "ARR": "", "ARB": "2BW02"}).key
    house.send("OLC20", OLT=number)
    arrival = {"OLT": number, "IDT": "20261120", "ITM": "1000"}
    assert house.refused("BIN01", **arrival) == [result("E9013", "OLT")]
    as_warehouse(house).send("BOA", KND="9", OLT=number, DTM="20261120", TIM="1200")
    assert house.refused("OUT", AWB=["H"]) == [result("E9013", "AWB", 1)], "it is on its way"
    assert house.refused("BIN01", **arrival, ALC="1AW01") == [result("E9014", "ALC")]
    house.send("BIN01", **arrival)
    found = cargo(house, "H")
    assert (found["state"], found["place"], found["transport"]) == ("in-warehouse", "2BW02", "")
    assert house.records.kept["bonded-transport", number]["state"] == "arrived"
    assert house.refused("BIN01", OLT="99999999999", IDT="20261120") == [result("E9001", "OLT")]


@pytest.mark.parametrize("code", ["HCH01", "CDB01"])
@pytest.mark.parametrize("ending", [b"", b"\r\n"])
def test_files_of_observed_formatters(house: House, code: str, ending: bytes) -> None:
    """Full width and unpadded, with and without the last CRLF: the same cargo (layouts, "Reading rules")."""
    layout = catalogue().request(code)
    assert layout is not None
    key = "HAB" if code == "HCH01" else "AWB"
    full = layout.encode({key: ["X1", "X2"], "CMN": ["A", "B"]})
    house.send_body(code, full.removesuffix(b"\r\n") + ending)
    first = [cargo(house, number)["description"] for number in ("X1", "X2")]
    house.records.kept.clear()
    unpadded = b"\r\n".join(part.strip() for part in full.split(b"\r\n"))
    house.send_body(code, unpadded.removesuffix(b"\r\n") + ending)
    assert [cargo(house, number)["description"] for number in ("X1", "X2")] == first == ["A", "B"]


def test_out_unpadded(house: House) -> None:
    """The same of OUT, whose trailing items may be missing altogether."""
    waybills(house, "H")
    as_warehouse(house).send("BIN", **AT, AWB=["H"])
    permit(house, "H")
    house.send_body("OUT", b"20261120\r\n\r\n\r\n\r\nH")
    assert cargo(house, "H")["state"] == "out"


def test_what_the_state_table_says() -> None:
    """Taking back leads where it came from; a cancelled number is the only end."""
    assert AIR_CARGO.ends() == {"cancelled"}
    for event, back in (("confirm bond-in", "take back bond-in"), ("confirm arrival", "take back arrival")):
        before = next(state for state, one in AIR_CARGO.transitions if one == event)
        assert AIR_CARGO.after(AIR_CARGO.transitions[before, event], back) == before


NUMBERS = ["A", "B", "C"]
PICKED = st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=3)
WHO = st.sampled_from([BROKER, STRANGER, WAREHOUSE])


class Traffic(RuleBasedStateMachine):
    """Random messages of three users about three numbers: a state changes only by a step of the table."""

    def __init__(self) -> None:
        super().__init__()
        self.house = House(business={"release_needs_permit": False})
        self.house.records.places["1AW01"] = (WAREHOUSE.user_code, "SAMPLE WAREHOUSE")
        self.slips: list[str] = ["0000009"]
        self.rows = 0

    def states(self) -> dict[str, str]:
        """Where every number stands; what is cancelled may begin anew."""
        kept = self.house.records.kept
        found = {number: kept.get(("cargo", number)) for number in NUMBERS}
        return {number: state_of(data) for number, data in found.items()}

    def send(self, who: User, code: str, key: str, picked: list[str], **items: str) -> str:
        """Send it; every number named moved by one and the same step or none moved at all."""
        self.house.user = who
        before = self.states()
        try:
            outcome = self.house.send(code, **items, **{key: picked})
        except Refusal:
            assert self.states() == before
            return ""
        after = self.states()
        allowed = set(AIR_CARGO.transitions.items())
        for number in NUMBERS:
            if number in picked:
                start = NEW if before[number] == "cancelled" else before[number]
                assert any((s, e) == (start, e) and to == after[number] for (s, e), to in allowed)
            elif after[number] != before[number]:
                assert code in ("CDB01", "BIL01")
        self.rows += code in ("BIN", "OUT", "CDB01", "BIL01")
        return outcome.key

    @rule(who=WHO, picked=PICKED, code=st.sampled_from(["HCH01", "HDM01", "CHA"]))
    def waybill(self, who: User, picked: list[str], code: str) -> None:
        self.send(who, code, "HAB", picked)

    @rule(who=WHO, picked=PICKED, data=st.data())
    def slip(self, who: User, picked: list[str], data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(["", *self.slips]))
        key = self.send(who, "CDB01", "AWB", picked, HDB=number, HYS="1AW01")
        assert key in ("", number) or key not in self.slips, "no number is issued twice"
        self.slips += [key] if key and key not in self.slips else []

    @rule(who=WHO, picked=PICKED, data=st.data(), back=st.booleans())
    def bond_in(self, who: User, picked: list[str], data: st.DataObject, back: bool) -> None:
        self.house.user = who
        self.send(who, "BIL01", "HAB", picked, HDB=data.draw(st.sampled_from(self.slips)))
        if back:
            self.send(who, "BIL", "AWB", picked, **AT | {"KND": "1"})

    @rule(who=WHO, picked=PICKED, kind=st.sampled_from("91"))
    def arrive(self, who: User, picked: list[str], kind: str) -> None:
        self.send(who, "BIN", "AWB", picked, **AT | {"KND": kind})

    @rule(who=WHO, picked=PICKED, back=st.sampled_from(["", "1"]))
    def release(self, who: User, picked: list[str], back: str) -> None:
        self.send(who, "OUT", "AWB", picked, TRK=back)

    @invariant()
    def places_follow_the_state(self) -> None:
        """Cargo in the warehouse lies at its place; what is out, or not there yet, lies nowhere."""
        for number in NUMBERS:
            data = self.house.records.kept.get(("cargo", number))
            if data is not None and data["state"] != "cancelled":
                assert (data.get("place", "") == "1AW01") == (data["state"] == "in-warehouse")

    @invariant()
    def every_movement_is_in_somebodys_ledger(self) -> None:
        """At least one row an accepted movement, on this one day."""
        kept = [day_of(who.user_code, "20261120", self.house.context())[1] for who in (BROKER, STRANGER, WAREHOUSE)]
        assert sum(kept) >= self.rows


Traffic.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestTraffic = Traffic.TestCase
