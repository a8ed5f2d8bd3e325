"""OLA11 and OLA: procedures 9, decisions "Replies of step one"."""

from collections.abc import Sequence
from typing import Any

import pytest

from sekisho.codecs.reading import Record, read_body
from sekisho.codecs.results import Refusal
from sekisho.handlers import catalogue
from sekisho.handlers.bonded_states import VOID
from sekisho.handlers.examined import APPROVED, REGISTERED
from sekisho.handlers.kit import SENDER, Output

from .house import CARGO, STRANGER, House, result, written

Items = dict[str, str | Sequence[str]]


def draft(**changes: str | Sequence[str]) -> Items:
    """A plain registration of one known cargo."""
    items: Items = {
        "KND": "9",
        "CHC": "1A",
        "DEC": "1ANAC",
        "DNM": "SAMPLE BROKER",
        "BYA": "31",
        "OBJ": "SHI",
        "SDT": "20261120",
        "EDT": "20261127",
        "DPR": "1AW01",
        "ARR": "9ZZ99",
        "NTA": "冷凍品",
        "CG_": ["SMPLBL0001"],
    }
    return items | changes


def stored(house: House, number: str) -> dict[str, Any]:
    """The record of a transport."""
    data = house.records.get("bonded-transport", number)
    assert data is not None
    return dict(data)


def shown(output: Output) -> Record:
    """What a reader sees in an output: written, then read back by its own table without a finding."""
    name = output.layout or f"{output.code}.out"
    layout = catalogue().get(name)
    assert layout is not None
    record, findings, errors = read_body(layout, written(output))
    assert not findings
    assert {error.code for error in errors} <= {"S9001"}, "a call-up screen may leave required items to its user"
    return record


def register(house: House, **changes: str | Sequence[str]) -> str:
    """Register a draft and give its number."""
    return house.send("OLA", **draft(**changes)).key


# OLA ------------------------------------------------------------------------------------------------------------------


def test_registration_issues_a_number_and_returns_the_copy(house: House) -> None:
    """KND 9: *SOLA with the number, then C SAS1360 to the sender; the draft is kept (procedures 9.1)."""
    outcome = house.send("OLA", **draft())
    (copy,) = outcome.outputs
    assert (outcome.key, outcome.notice, copy.code, copy.kind, copy.to) == ("0000000001T", True, "SAS1360", "C", SENDER)
    data = stored(house, outcome.key)
    assert (data["owner"], data["user_code"], data["state"], data["version"]) == ("1ANACA0A", "1ANAC", REGISTERED, 1)
    assert (data["registered_by"], data["system"], data["request"]) == ("OLA", "sea", 1)
    assert data["items"]["CG_"] == ["SMPLBL0001"]


def test_copy_holds_what_was_sent_decoded_and_counted(house: House) -> None:
    """SAS1360: every item of OLA, names of codes, counts, and the cargo data base's side of each row (9.3)."""
    (copy,) = house.send("OLA", **draft(CNO=["SMPU1234567", "SMPU1234568"])).outputs
    record = shown(copy)
    sent = {key: value for key, value in draft().items() if isinstance(value, str)}
    assert {key: record.text(key) for key in sent} == sent
    expected = {
        "OLT": "0000000001T",
        "IKS": "",
        "FRM": "保税運送申告入力控（OLA）",
        "CHN": "TOKYO",
        "REG": "20261120",
        "RGT": "1030",
        "RGC": "1ANAC",
        "BYN": "TRUCK",
        "OBN": "荷受人の倉庫への搬入",
        "DPN": "SAMPLE WAREHOUSE",
        "DPF": "",
        "ARN": "",
        "ARF": "*",
        "RAN": "1",
        "CNT": "2",
        "CG_": "SMPLBL0001",
        "DD_": "20261118",
        "CM_": "FROZEN SHRIMP",
        "PC_": "120",
        "PU_": "CT",
        "GW_": "2400.5",
        "WU_": "KGM",
        "VC_": "3ABC9",
        "VN_": "SAMPLE MARU",
        "CNO": "SMPU1234567",
    }
    assert {key: record.text(key) for key in expected} == expected


def test_what_was_sent_goes_before_what_is_known(house: House) -> None:
    """発送地名 and 入港年月日 stand as sent; only blanks are filled from the registry and the cargo data."""
    (copy,) = house.send("OLA", **draft(DPN="OWN NAME", DD_=["20261101"])).outputs
    record = shown(copy)
    assert (record.text("DPN"), record.text("DD_")) == ("OWN NAME", "20261101")


def test_cargo_need_not_be_known_yet(house: House) -> None:
    """An unknown 貨物管理番号 is registered with blanks beside it: E0002 is OLC20's (procedures 16)."""
    outcome = house.send("OLA", **draft(CG_=["SMPLBL0001", "NOTYET0001"]))
    record = shown(outcome.outputs[0])
    assert record.texts("CG_")[:2] == ["SMPLBL0001", "NOTYET0001"]
    assert record.texts("CM_")[:2] == ["FROZEN SHRIMP", ""]


def test_numbers_that_are_not_known_stay_blank(house: House) -> None:
    """A cargo record with 0 packages or weight, as a registry without them gives: blank, not 0 (our choice)."""
    house.records.kept["cargo", "SMPLBL0001"] = CARGO | {"packages": 0, "weight": 0}
    record = shown(house.send("OLA", **draft()).outputs[0])
    assert (record.text("PC_"), record.text("GW_")) == ("", "")


def test_rows_may_have_gaps(house: House) -> None:
    """A blank row between used ones keeps its place; the count counts used rows."""
    outcome = house.send("OLA", **draft(CG_=["SMPLBL0001", "", "SMPLBL0002"]))
    record = shown(outcome.outputs[0])
    assert (record.texts("CM_")[:3], record.text("RAN")) == (["FROZEN SHRIMP", "", "SALMON"], "2")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"KND": "2"}, [result("S9004", "KND")]),
        ({"BYA": "99"}, [result("S9004", "BYA")]),
        ({"OBJ": "XXX"}, [result("S9004", "OBJ")]),
        ({"CNY": "N"}, [result("S9004", "CNY")]),
        ({"BYA": "", "OBJ": ""}, [result("S9001", "BYA"), result("S9001", "OBJ")]),
        ({"CG_": []}, [result("S9001", "CG_", 1)]),
        ({"BYA": "ｱ"}, [result("S9002", "BYA")]),
        ({"SDT": "20261131", "CNY": "N"}, [result("S9003", "SDT"), result("S9004", "CNY")]),
    ],
)
def test_single_items(house: House, changes: Items, expected: list[str]) -> None:
    """Mandatory items, dates and code values, table and code lists in one step (procedures 1.1, step 2)."""
    assert house.refused("OLA", **draft(**changes)) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"OLT": "0000000001T"}, [result("R9007", "OLT")]),
        ({"KND": "5"}, [result("R9007", "OLT")]),
        ({"KND": "1"}, [result("R9007", "OLT")]),
        ({"EDT": "20261119"}, [result("R9002", "EDT")]),
        ({"DPR": ""}, [result("R9001", "DPR")]),
        ({"BRT": "1AC02"}, [result("R9001", "DPR")]),
        ({"ARR": ""}, [result("R9001", "ARR")]),
        ({"ARB": "1AC02"}, [result("R9001", "ARR")]),
        ({"SC1": "SEC000001"}, [result("R9005", "SEP")]),
        ({"SEP": "1000"}, [result("R9005", "SC1")]),
        ({"HNO": "BLANKET0001"}, [result("R9007", "CHC")]),
        ({"HNO": "BLANKET0001", "CHC": "", "OBJ": "KNU"}, [result("R9007", "OBJ")]),
        ({"CG_": ["A1", "B2", "A1", "", "A1"]}, [result("R9004", "CG_", 3), result("R9004", "CG_", 5)]),
        (
            {"EDT": "20261119", "DPR": "", "SEP": "1"},
            [result("R9002", "EDT"), result("R9001", "DPR"), result("R9005", "SC1")],
        ),
    ],
)
def test_relations(house: House, changes: Items, expected: list[str]) -> None:
    """The relations of a registration, all of one step (procedures 16, "Rules worth checking")."""
    assert house.refused("OLA", **draft(**changes)) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"EDT": "20261120"},
        {"SDT": "", "EDT": ""},
        {"DPR": "", "BRT": "1AC02", "ARR": "", "ARB": "1AC02"},
        {"SC1": "SEC000001", "SEP": "1000"},
        {"HNO": "BLANKET0001", "CHC": ""},
        {"CNY": "Y"},
        {"USS": "ZZ"},
    ],
)
def test_relations_kept(house: House, changes: Items) -> None:
    """The other side of each relation; 運送種別 takes any value, for no list of it is known."""
    assert house.send("OLA", **draft(**changes)).key


def test_correction_replaces_the_draft(house: House) -> None:
    """KND 5: everything sent replaces the draft, the version counts up, the owner stays (procedures 9.1)."""
    number = register(house)
    outcome = house.send("OLA", **draft(KND="5", OLT=number, EDT="20261130", NTA=""))
    assert outcome.key == number
    record = shown(outcome.outputs[0])
    assert (record.text("KND"), record.text("EDT"), record.text("NTA")) == ("5", "20261130", "")
    data = stored(house, number)
    assert (data["version"], data["state"], data["owner"], data["request"]) == (2, REGISTERED, "1ANACA0A", 2)


def test_cancellation_needs_the_number_only(house: House) -> None:
    """KND 1: items mandatory for 9 and 5 are not asked for [spec]; the number stays and is void (E9003 afterwards)."""
    number = register(house)
    outcome = house.send("OLA", KND="1", OLT=number)
    record = shown(outcome.outputs[0])
    assert (outcome.key, record.text("KND"), record.text("CG_")) == (number, "1", "SMPLBL0001")
    assert stored(house, number)["state"] == VOID
    for action in ("5", "1"):
        assert house.refused("OLA", **draft(KND=action, OLT=number)) == [result("E9003", "OLT")]
    assert house.refused("OLA11", OLT=number) == [result("E9003", "OLT")]
    assert house.refused("OLC20", OLT=number) == [result("E9003", "OLT")]
    assert register(house) != number


@pytest.mark.parametrize("action", ["5", "1"])
def test_record_owner_state(house: House, action: str) -> None:
    """Unknown E9001; of another 利用者コード U9003; declared E9002. The refusal carries the number as its key."""
    number = register(house)
    assert house.refused("OLA", **draft(KND=action, OLT="9999999999T")) == [result("E9001", "OLT")]
    house.user = STRANGER
    assert house.refused("OLA", **draft(KND=action, OLT=number)) == [result("U9003", "OLT")]
    house.user = House().user
    house.send("OLC20", OLT=number)
    with pytest.raises(Refusal) as refused:
        house.send("OLA", **draft(KND=action, OLT=number))
    assert [str(code) for code in refused.value.results] == [result("E9002", "OLT")]
    assert refused.value.key == number
    assert stored(house, number)["state"] == APPROVED


# OLA11 ----------------------------------------------------------------------------------------------------------------


def test_call_up_by_cargo_fills_the_screen(house: House) -> None:
    """Cargo numbers: notice without a key, then C SZOLA11 = the OLA table from cargo data (procedures 9.1)."""
    outcome = house.send("OLA11", CG_=["SMPLBL0001", "SMPLBL0002"])
    (screen,) = outcome.outputs
    assert (outcome.key, outcome.notice, screen.code, screen.kind) == ("", True, "SZOLA11", "C")
    record = shown(screen)
    assert record.layout.name == "OLA.in"
    assert (record.text("KND"), record.text("OLT"), record.text("DPR")) == ("9", "", "1AW01")
    assert record.texts("CG_")[:2] == ["SMPLBL0001", "SMPLBL0002"]
    assert record.texts("DD_")[:2] == ["20261118", "20261118"]
    assert record.texts("CNO") == ["SMPU1234567", "SMPU7654321"]


def test_call_up_names_no_place_for_cargo_in_two_places(house: House) -> None:
    """発送地 is filled only if all cargo lies in one place (our choice)."""
    house.records.kept["cargo", "SMPLBL0003"] = {"place": "1AC02"}
    (screen,) = house.send("OLA11", CG_=["SMPLBL0001", "SMPLBL0003"]).outputs
    assert shown(screen).text("DPR") == ""


def test_call_up_by_number_gives_the_draft(house: House) -> None:
    """The number: its notice carries it, and the screen is ready to be sent as a correction."""
    number = register(house, CNO=["SMPU1234567"])
    outcome = house.send("OLA11", OLT=number)
    record = shown(outcome.outputs[0])
    assert outcome.key == number
    sent = {key: value for key, value in draft(KND="5", OLT=number).items() if isinstance(value, str)}
    assert {key: record.text(key) for key in sent} == sent
    assert (record.text("CG_"), record.texts("CNO")) == ("SMPLBL0001", ["SMPU1234567"])


def test_called_up_screen_is_a_registration(house: House) -> None:
    """The screen's body, sent back as OLA, corrects: A and B businesses share the item table (procedures 1.2)."""
    number = register(house)
    (screen,) = house.send("OLA11", OLT=number).outputs
    assert house.send_body("OLA", written(screen)).key == number
    assert stored(house, number)["version"] == 2


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ({}, [result("R9001", "OLT")]),
        ({"OLT": "0000000001T", "CG_": ["SMPLBL0001"]}, [result("R9001", "OLT")]),
        ({"OLT": "0000000001T", "CG_": ["", "SMPLBL0001"]}, [result("R9001", "OLT")]),
        ({"CG_": ["SMPLBL0001", "SMPLBL0001"]}, [result("R9004", "CG_", 2)]),
        ({"CG_": ["NONE1", "SMPLBL0001", "", "NONE2"]}, [result("E9006", "CG_", 1), result("E9006", "CG_", 4)]),
        ({"OLT": "9999999999T"}, [result("E9001", "OLT")]),
    ],
)
def test_call_up_refusals(house: House, items: Items, expected: list[str]) -> None:
    """Exactly one kind of key, no number twice, every cargo known, the number registered."""
    assert house.refused("OLA11", **items) == expected


def test_call_up_owner_and_state(house: House) -> None:
    """A draft is shown to its 利用者コード only (U9003), and only until OLC20 has run (E9002) [spec]."""
    number = register(house)
    house.user = STRANGER
    assert house.refused("OLA11", OLT=number) == [result("U9003", "OLT")]
    house.user = House().user
    house.send("OLC20", OLT=number)
    assert house.refused("OLA11", OLT=number) == [result("E9002", "OLT")]
