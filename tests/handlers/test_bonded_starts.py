"""OLC20 and OLC with the three kinds of start, and the two kinds of examination: procedures 9.1."""

from datetime import datetime, timedelta

import pytest

from sekisho.handlers.examined import APPROVED, UNDER_EXAMINATION, WAITING_FOR_ARRIVAL, WAITING_FOR_OPENING
from sekisho.handlers.kit import SENDER, Examination, Originator, Outcome, Party

from .house import BROKER, CARGO, JAPAN, MORNING, OFFICER, STRANGER, WAREHOUSE, YARD, House, result
from .test_bonded_registration import Items, draft, register, shown, stored

EVENING = MORNING.replace(hour=20)
OPENING = datetime(2026, 11, 21, 8, 0, tzinfo=JAPAN)
DOCUMENTS = Examination("documents")


def olc(**changes: str | list[str]) -> Items:
    """A declaration in one shot."""
    return draft(IKS="") | changes


def discharge(house: House, *cargo: str, place: str = "1AC02", **changes: str) -> Outcome:
    """PKI of these by the yard's operator."""
    sender, house.user = house.user, YARD
    items = {"KND": "9", "BRT": place, "DTM": "20261120", "TIM": "0900"} | changes
    try:
        return house.send("PKI", **items, CG_=list(cargo))
    finally:
        house.user = sender


def codes(outcome: Outcome) -> list[str]:
    """Output codes of an outcome."""
    return [output.code for output in outcome.outputs]


def at_night(house: House) -> None:
    """It is evening, and the office is closed until eight in the morning."""
    house.now = EVENING
    house.hours.closed.add("1A")


# 開庁時 ---------------------------------------------------------------------------------------------------------------


def test_start_at_the_opening(house: House) -> None:
    """開庁時: a notice now; when the office opens the declaration is made and answers its sender by EXZ [spec]."""
    number = register(house)
    at_night(house)
    outcome = house.send("OLC20", OLT=number, IKS="K")
    assert (outcome.key, outcome.outputs, outcome.notice) == (number, (), True)
    assert stored(house, number)["state"] == WAITING_FOR_OPENING
    assert house.advance(OPENING - timedelta(seconds=1)) == []
    (started,) = house.advance(OPENING)
    assert codes(started) == ["SAS0371", "SAS0411"]
    assert [output.to for output in started.outputs] == [Originator(BROKER.id, 2), Party(place="1AW01")]
    data = stored(house, number)
    assert (data["state"], data["declared_at"], data["approved_at"]) == (
        APPROVED, "2026-11-21T08:00:00+09:00", "2026-11-21T08:00:00+09:00",
    )  # fmt: skip
    assert shown(started.outputs[0]).text("ICT") == "20261121"


def test_start_at_the_opening_of_an_open_office(house: House) -> None:
    """開庁時 cannot be registered while the office is open: R0005 [spec]; OLC answers the same."""
    number = register(house)
    assert house.refused("OLC20", OLT=number, IKS="K") == [result("R0005")]
    assert house.refused("OLC", **olc(IKS="K")) == [result("R0005")]


def test_waiting_is_declared(house: House) -> None:
    """What waits for its start is declared: OLC20 again, OLA and OLA11 answer E9002; no plain start overtakes it."""
    number = register(house)
    at_night(house)
    house.send("OLC20", OLT=number, IKS="K")
    assert house.refused("OLC20", OLT=number, IKS="K") == [result("E9002", "OLT")]
    assert house.refused("OLC20", OLT=number) == [result("E9002", "OLT")]
    assert house.refused("OLA", **draft(KND="5", OLT=number)) == [result("E9002", "OLT")]
    assert house.refused("OLA11", OLT=number) == [result("E9002", "OLT")]


# 搬入時, 船卸時 ------------------------------------------------------------------------------------------------------


def test_start_at_the_discharge(house: House) -> None:
    """船卸時: PKI starts it; the notice goes to the yard, the approval by EXZ to the declarant [spec]."""
    number = register(house, DPR="", BRT="1AC02")
    assert house.send("OLC20", OLT=number, IKS="I").outputs == ()
    assert stored(house, number)["state"] == WAITING_FOR_ARRIVAL
    outcome = discharge(house, "SMPLBL0001")
    assert (outcome.key, codes(outcome)) == ("", ["SAS0371", "SAS0411"])
    assert [output.to for output in outcome.outputs] == [Originator(BROKER.id, 2), Party(place="1AC02")]
    assert stored(house, number)["state"] == APPROVED
    cargo = house.records.get("cargo", "SMPLBL0001") or {}
    assert (cargo["place"], cargo["arrived_at"]) == ("1AC02", "202611200900")


def test_start_when_the_last_cargo_arrives(house: House) -> None:
    """Of several cargoes the last one starts it; a discharge elsewhere does not count."""
    number = register(house, DPR="", BRT="1AC02", CG_=["SMPLBL0001", "SMPLBL0002"])
    house.send("OLC20", OLT=number, IKS="I")
    assert discharge(house, "SMPLBL0001").outputs == ()
    assert discharge(house, "SMPLBL0002", place="9ZZ99").outputs == ()
    assert codes(discharge(house, "SMPLBL0002")) == ["SAS0381", "SAS0421"]
    assert discharge(house, "SMPLBL0001", "SMPLBL0002").outputs == (), "it starts once"


def test_arrival_out_of_hours_waits_for_the_opening(house: House) -> None:
    """搬入時 outside 開庁時間 turns into 開庁時 [spec]."""
    number = register(house, DPR="", BRT="1AC02")
    house.send("OLC20", OLT=number, IKS="I")
    at_night(house)
    assert discharge(house, "SMPLBL0001").outputs == ()
    assert stored(house, number)["state"] == WAITING_FOR_OPENING
    (started,) = house.advance(OPENING)
    assert [output.to for output in started.outputs] == [Originator(BROKER.id, 2), Party(place="1AC02")]
    assert stored(house, number)["state"] == APPROVED


def test_cargo_that_is_there_already(house: House) -> None:
    """搬入時 of cargo whose arrival was confirmed before starts at once; its sender gets the outputs (our choice)."""
    discharge(house, "SMPLBL0001")
    number = register(house, DPR="", BRT="1AC02")
    outcome = house.send("OLC20", OLT=number, IKS="I")
    assert [output.to for output in outcome.outputs] == [SENDER, Party(place="1AC02")]
    assert stored(house, number)["state"] == APPROVED


def test_as_many_as_may_wait_for_a_cargo(house: House) -> None:
    """The setting waiting_for_cargo bounds the declarations that wait for one cargo: E9015 (our choice)."""
    house.business["waiting_for_cargo"] = 2
    numbers = [register(house, DPR="", BRT="1AC02") for _ in range(3)]
    for number in numbers[:2]:
        house.send("OLC20", OLT=number, IKS="I")
    assert house.refused("OLC20", OLT=numbers[2], IKS="I") == [result("E9015")]
    assert codes(discharge(house, "SMPLBL0001")) == ["SAS0371", "SAS0411"] * 2


# Examination ----------------------------------------------------------------------------------------------------------


def test_document_examination(house: House) -> None:
    """書類審査: 申告控 (SZOLC) to the declarant, and to customs' box where the setting customs_user names one (9.4)."""
    house.examinations.by_code["OLC20"] = DOCUMENTS
    house.business["customs_user"] = "9CUST"
    number = register(house, NTA="EXAMINE")
    outcome = house.send("OLC20", OLT=number)
    assert [(output.code, output.kind, output.to) for output in outcome.outputs] == [
        ("SZOLC", "P", SENDER), ("SZOLC", "P", Party(user_code="9CUST")),
    ]  # fmt: skip
    record = shown(outcome.outputs[0])
    assert (record.text("SKK"), record.text("APD"), record.text("ICT")) == ("2", "", "20261120")
    data = stored(house, number)
    assert (data["state"], "approved_at" in data) == (UNDER_EXAMINATION, False)
    assert house.examinations.asked == [("OLC20", "1A", 0, "EXAMINE")]
    assert house.refused("OLC20", OLT=number) == [result("E9002", "OLT")]


@pytest.mark.parametrize(("decision", "expected"), [("approve", ["SAS0371", "SAS0411"]), ("refuse", ["SZSET"])])
def test_customs_decides_by_itself(house: House, decision: str, expected: list[str]) -> None:
    """A rule that says when: the decision comes at its moment, to the declarant by EXZ."""
    house.examinations.by_code["OLC20"] = Examination("documents", timedelta(seconds=30), decision)  # type: ignore[arg-type]
    number = register(house)
    house.send("OLC20", OLT=number)
    (decided,) = house.advance(MORNING + timedelta(seconds=30))
    assert codes(decided) == expected
    assert decided.outputs[0].to == Originator(BROKER.id, 2)
    assert stored(house, number)["state"] == ("approved" if decision == "approve" else "refused")


def test_the_examination_is_that_of_the_declarant(house: House) -> None:
    """Rules are asked when the declaration comes, not when somebody else's arrival starts it (our choice)."""
    house.examinations.by_code["OLC20"] = DOCUMENTS
    number = register(house, DPR="", BRT="1AC02")
    house.send("OLC20", OLT=number, IKS="I")
    house.examinations.by_code.clear()
    assert codes(discharge(house, "SMPLBL0001")) == ["SZOLC"]
    house.user = OFFICER
    assert codes(house.send("SET", OLT=number, RES="A")) == ["SAS0371", "SAS0411"]


def test_blanket_approval(house: House) -> None:
    """包括保税運送承認番号: the individual transport is accepted, not examined: SAS0431, many lines SAS0441 (9.4)."""
    house.examinations.by_code["OLC20"] = DOCUMENTS
    house.business["default_office"] = "1A"
    one = register(house, HNO="BLANKET0001", CHC="")
    (notice,) = house.send("OLC20", OLT=one).outputs
    assert (notice.code, notice.to, shown(notice).text("HNO")) == ("SAS0431", SENDER, "BLANKET0001")
    many = register(house, HNO="BLANKET0001", CHC="", CG_=["SMPLBL0001", "SMPLBL0002"])
    assert codes(house.send("OLC20", OLT=many)) == ["SAS0441"]


def test_containers_kept_packed(house: House) -> None:
    """コンテナ内蔵識別 Y: without 収容コンテナ番号 the containers are those of the cargo (our choice)."""
    number = register(house, CNY="Y", CG_=["SMPLBL0001", "SMPLBL0002"])
    notice, _ = house.send("OLC20", OLT=number).outputs
    record = shown(notice)
    assert (record.text("CNY"), record.text("CNT")) == ("Y", "2")
    assert record.texts("CNO") == ["SMPU1234567", "SMPU7654321"]
    plain, _ = house.send("OLC20", OLT=register(house)).outputs
    assert (shown(plain).text("CNT"), shown(plain).texts("CNO")) == ("0", [])


def test_five_lines(house: House) -> None:
    """Up to five cargo lines [spec]; a sixth is E0001 at its row."""
    cargo = [f"FIVE{n}" for n in range(1, 6)]
    for key in cargo:
        house.records.kept["cargo", key] = CARGO
    notice, _ = house.send("OLC20", OLT=register(house, CG_=cargo)).outputs
    assert (shown(notice).text("RAN"), shown(notice).texts("CG_")) == ("5", cargo)


# OLC, OLC11 -----------------------------------------------------------------------------------------------------------


def test_one_shot(house: House) -> None:
    """OLC declares what nobody registered: a number, and the outputs of OLC20 (4.1)."""
    outcome = house.send("OLC", **olc())
    assert (outcome.key, codes(outcome)) == ("0000000001T", ["SAS0371", "SAS0411"])
    data = stored(house, outcome.key)
    assert (data["registered_by"], data["declared_by"], data["state"]) == ("OLC", "OLC", APPROVED)
    assert house.refused("OLC20", OLT=outcome.key) == [result("E9004", "OLT")]


def test_what_ola_registered_is_not_declared_by_olc(house: House) -> None:
    """Registered by OLA: use OLC20, E9012 [spec]."""
    number = register(house)
    assert house.refused("OLC", **olc(KND="5", OLT=number)) == [result("E9012", "OLT")]
    assert house.refused("OLC", KND="1", OLT=number) == [result("E9012", "OLT")]
    assert house.refused("OLC11", OLT=number) == [result("E9012", "OLT")]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"IKS": "Z"}, [result("S9004", "IKS")]),
        ({"KND": "7"}, [result("S9004", "KND")]),
        ({"OLT": "0000000001T"}, [result("R9007", "OLT")]),
        ({"CG_": ["SMPLBL0001", "NONE1"]}, [result("E9006", "CG_", 2)]),
        ({"KND": "5", "OLT": "9999999999T"}, [result("E9001", "OLT")]),
        ({"KND": "1"}, [result("R9007", "OLT")]),
    ],
)
def test_one_shot_refusals(house: House, changes: Items, expected: list[str]) -> None:
    """Items, relations and records of a whole declaration; unknown cargo is named by its row."""
    assert house.refused("OLC", **olc(**changes)) == expected  # type: ignore[arg-type]


def test_outside_hours_in_one_shot(house: House) -> None:
    """The plain start of OLC needs open hours or an OSA as that of OLC20 does, and no number is used up."""
    at_night(house)
    assert house.refused("OLC", **olc(CG_=["NONE1"])) == [result("E9006", "CG_", 1), result("E9011")]
    assert house.numbers.last == {}


def test_waiting_declaration_is_corrected_and_taken_back(house: House) -> None:
    """OLC 5 and 1 while it waits (our choice): what stands at the opening is declared, what was taken back is not."""
    at_night(house)
    number = house.send("OLC", **olc(IKS="K")).key
    screen = shown(house.send("OLC11", OLT=number).outputs[0])
    assert (screen.text("KND"), screen.text("OLT"), screen.text("IKS")) == ("5", number, "K")
    assert house.refused("OLC", **olc(KND="5", OLT=number)) == [result("R9007", "IKS")]
    house.send("OLC", **olc(KND="5", OLT=number, IKS="K", EDT="20261201"))
    gone = house.send("OLC", **olc(IKS="K")).key
    assert house.send("OLC", KND="1", OLT=gone).outputs == ()
    (started,) = house.advance(OPENING)
    assert (started.key, shown(started.outputs[0]).text("APE")) == (number, "20261201")
    assert stored(house, gone)["state"] == "void"
    assert house.refused("OLC", KND="1", OLT=gone) == [result("E9003", "OLT")]
    assert house.refused("OLC", KND="1", OLT=number) == [result("E9004", "OLT")]


def test_corrected_cargo_is_what_it_waits_for(house: House) -> None:
    """After OLC 5 another cargo starts it; the one it named before does not."""
    number = house.send("OLC", **olc(IKS="I", DPR="", BRT="1AC02")).key
    house.send("OLC", **olc(KND="5", OLT=number, IKS="I", DPR="", BRT="1AC02", CG_=["SMPLBL0002"]))
    assert discharge(house, "SMPLBL0001").outputs == ()
    assert codes(discharge(house, "SMPLBL0002")) == ["SAS0371", "SAS0411"]


def test_call_up_of_one_shot(house: House) -> None:
    """OLC11 by cargo fills OLC's table; of somebody else's declaration U9003, of a started one E9004."""
    screen = house.send("OLC11", CG_=["SMPLBL0001"]).outputs[0]
    assert (screen.code, shown(screen).layout.name, shown(screen).text("KND")) == ("SZOLC11", "OLC.in", "9")
    number = house.send("OLC", **olc()).key
    assert house.refused("OLC11", OLT=number) == [result("E9004", "OLT")]
    house.user = STRANGER
    assert house.refused("OLC11", OLT=number) == [result("U9003", "OLT")]
    assert house.refused("OLC11") == [result("R9001", "OLT")]


def test_arrival_of_a_transport_starts_the_next_one(house: House) -> None:
    """搬入確認登録 is the other trigger of 搬入時 [spec]: BIA of one transport starts another that departs there."""
    house.records.places["9ZZ99"] = ("5WHSE", "SECOND")
    first = house.send("OLC", **olc()).key
    second = house.send("OLC", **olc(IKS="I", DPR="9ZZ99", ARR="1AW01")).key
    house.user = WAREHOUSE
    house.send("BOA", KND="9", OLT=first, DTM="20261120")
    outcome = house.send("BIA", OLT=first, KND="A", PLC="9ZZ99", DTM="20261120", TIM="1010")
    assert (outcome.key, codes(outcome)) == (first, ["SAS0371", "SAS0411"])
    assert stored(house, second)["state"] == APPROVED
