"""Import declarations: IDA, SWA, MWA, CTA with their call-ups and declarations (procedures 4.3, 7, 11)."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from sekisho.handlers import catalogue
from sekisho.handlers.imports import KIND
from sekisho.handlers.kit import Examination, Originator, Outcome, Output, Party, User

from .house import House, result, written

SPECIALIST = User("1ANACA0A", "customs-broker", specialist=True)
COLLEAGUE = User("1ANACA0B", "customs-broker")
OTHER = User("2OTHRA0A", "customs-broker", specialist=True)
OFFICER = User("9CSTMA0A", "customs", specialist=True)
LINES: dict[str, Sequence[str]] = {
    "CMD": ["030617000", "030214000"],
    "CMN": ["FROZEN SHRIMP", "SALMON"],
    "OR": ["TH", "NO"],
    "QN1": ["1200", "800"],
    "QT1": ["KG", "KG"],
    "DPR": ["500000", "300000"],
    "TX1": ["F1", "F1"],
}


@pytest.fixture
def house(house: House) -> House:
    """The house, with a 通関士 as its sender."""
    house.user = SPECIALIST
    return house


def draft(**changes: str | Sequence[str]) -> dict[str, str | Sequence[str]]:
    """What an IDA of two lines of goods holds."""
    items: dict[str, str | Sequence[str]] = {
        "LSK": "L",
        "IC1": "C",
        "CH": "1A",
        "IMC": "1234567890123",
        "IMN": "SAMPLE TRADING",
        "ST": "1AW01",
        "BL_": ["SMPLBL0001"],
        "NO": "120",
        "NOT": "CT",
        "NT1": "NOTHING TO SAY",
        "REF": "JOB-1",
        **LINES,
    }
    return items | changes


def codes(outcome: Outcome) -> list[str]:
    """The output codes of an outcome, in order."""
    return [output.code for output in outcome.outputs]


def lines(output: Output) -> list[str]:
    """An output as a reader sees it that splits on line ends and counts."""
    return written(output).decode("euc_jp").split("\r\n")[:-1]


def test_register_and_declare(house: House) -> None:
    """IDA issues the number and answers the copy; IDC under 簡易審査 the permit and the warehouse's information."""
    registered = house.send("IDA", **draft())
    assert codes(registered) == ["SZIDA"]
    assert (registered.outputs[0].kind, registered.outputs[0].layout) == ("C", "copy-import")
    permit = house.send("IDC", ICN=registered.key)
    assert codes(permit) == ["SAD1AG2", "SZIDCW"]
    assert permit.outputs[1].to == Party(place="1AW01")
    assert permit.outputs[1].values["BL_"] == ["SMPLBL0001"]
    assert house.records.kept[KIND, registered.key]["state"] == "approved"


def test_lines_of_the_permit(house: House) -> None:
    """257 head lines, then 74 a line of goods; no blank amount where a client fails on one (layouts, permit-import)."""
    number = house.send("IDA", **draft()).key
    read = lines(house.send("IDC", ICN=number).outputs[0])
    assert len(read) == 257 + 2 * 74
    assert read[15] == number
    for line in (116, 119, 125, 145, 153, 157, 161, 179):
        assert read[line - 1].strip().isdigit(), line
    assert read[125 - 1].strip() == "800000"
    assert read[209 - 1] == "20261120"
    assert read[258 - 1] == "01"
    assert read[258 + 74 - 1] == "02"
    numbers = [at for at, item in enumerate(catalogue_block()) if item]
    for block in (257, 257 + 74):
        assert all(read[block + at].strip() for at in numbers), "every number of every block is filled"


def catalogue_block() -> list[bool]:
    """Which of the 74 lines of a block are numbers."""
    layout = catalogue().get("permit-import.out")
    assert layout is not None
    return [item.is_number for item in layout.blocks[-1].items]


def test_permit_without_goods_amounts(house: House) -> None:
    """A declaration that states no value at all still has its zeros."""
    number = house.send("IDA", **draft(DPR=["", ""], TX1=["", ""])).key
    read = lines(house.send("IDC", ICN=number).outputs[0])
    assert [read[line - 1].strip() for line in (116, 119, 125, 145, 153, 157, 161, 179)] == ["0"] * 8


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"LSK": "S"}, "SAD1DG2"),
        ({"IC1": "F"}, "SAD1EG2"),
        ({"IC1": "S"}, "SAD1RG1"),
        ({"BP": "01"}, "SAD1AJ2"),
        ({"IC1": "K"}, "SAD1AG2"),
    ],
)
def test_codes_of_permits(house: House, changes: dict[str, str], code: str) -> None:
    """The families of procedures 11: G permit, J release before the permit, R bonded-in, D small value, E delivery."""
    number = house.send("IDA", **draft(**changes)).key
    permit = house.send("IDC", ICN=number)
    assert permit.outputs[0].code == code
    assert len(lines(permit.outputs[0])) == 257 + 2 * 74


def test_air(house: House) -> None:
    """Air outputs begin with A; a sea declaration is E9005 to an air system and the other way round."""
    number = house.send("IDA", **draft()).key
    house.system = "1"
    assert house.refused("IDC", ICN=number) == [result("E9005", "ICN")]
    by_air = house.send("IDA", **draft()).key
    assert codes(house.send("IDC", ICN=by_air)) == ["AAD1AG2", "AZIDCW"]


@pytest.mark.parametrize(
    ("kind", "code"),
    [("C", "SAD4191"), ("F", "SAD4201"), ("Y", "SAD4211"), ("K", "SAD4221"), ("S", "SAD4231"), ("", "SAD4191")],
)
def test_call_up(house: House, kind: str, code: str) -> None:
    """IDB shows the draft by the item table of IDA under the code of its kind [spec], and changes nothing."""
    number = house.send("IDA", **draft(IC1=kind)).key
    before = dict(house.records.kept)
    screen = house.send("IDB", ICN=number)
    assert codes(screen) == [code]
    assert screen.outputs[0].layout == "IDA.in"
    assert screen.outputs[0].values["ICN"] == number
    assert screen.outputs[0].values["CMN"] == ["FROZEN SHRIMP", "SALMON"]
    assert house.records.kept == before


def test_screen_sent_back_corrects(house: House) -> None:
    """The screen of IDB, edited and sent as IDA, corrects the draft (procedures 1.2); the number stays."""
    number = house.send("IDA", **draft()).key
    body = written(house.send("IDB", ICN=number).outputs[0]).replace(b"SAMPLE TRADING", b"ANOTHER TRADER")
    assert house.send_body("IDA", body).key == number
    kept = house.records.kept[KIND, number]
    assert (kept["items"]["IMN"], kept["version"], kept["state"]) == ("ANOTHER TRADER", 2, "registered")


def test_call_up_of_cargo(house: House) -> None:
    """IDB by Ｂ／Ｌ番号 fills the screen from the cargo data base; E9006 for cargo it does not hold."""
    screen = house.send("IDB", BL_="SMPLBL0001").outputs[0]
    assert (screen.values["NO"], screen.values["VSN"], screen.values["ST"]) == ("120", "SAMPLE MARU", "1AW01")
    assert house.refused("IDB", BL_="NOSUCHBL") == [result("E9006", "BL_")]
    assert house.refused("IDB", IV2="1234567890") == [result("E9001", "IV2")]
    assert house.refused("IDB", BL_="SMPLBL0001", ICN="00000000001") == [result("R9001", "ICN")]


def test_call_up_of_invoice(house: House) -> None:
    """IDB by 電子インボイス受付番号 fills the screen from the registry's invoice; another company's is U9001."""
    items = {"IMN": "SAMPLE IMPORTER", "IP3": "USD", "IP4": "12500", "CMN": ["MACHINE PARTS"]}
    house.records.kept["invoice", "1000000001"] = {"user_code": "1ANAC", "items": items}
    screen = house.send("IDB", IV2="1000000001").outputs[0]
    assert screen.values["IV2"] == "1000000001"
    assert (screen.values["IP4"], screen.values["CMN"]) == ("12500", ["MACHINE PARTS"])
    house.user = OTHER
    assert house.refused("IDB", IV2="1000000001") == [result("U9001")]


def test_document_examination(house: House) -> None:
    """書類審査: the copy at once; the permit as EXZ when customs ends it, to the request that declared."""
    house.examinations.by_code["IDC"] = Examination("documents")
    number = house.send("IDA", **draft()).key
    assert codes(house.send("IDC", ICN=number)) == ["SZIDC"]
    assert house.examinations.asked[-1] == ("IDC", "1A", 800000, "NOTHING TO SAY ")
    house.user = OFFICER
    ended = house.send("IESET", ICN=number, RES="A")
    assert codes(ended) == ["SAD1AG2", "SZIDCW"]
    assert ended.outputs[0].to == Originator(SPECIALIST.id, 2)


def test_value_in_foreign_money(house: House) -> None:
    """Where no 課税価格 is stated the invoice counts, by the setting exchange_rates; what it does not name is 0."""
    house.business["exchange_rates"] = {"USD": "150.5"}
    for currency, yen in (("USD", 15050), ("EUR", 0), ("JPY", 100)):
        number = house.send("IDA", **draft(DPR=["", ""], IP3=currency, IP4="100")).key
        house.send("IDC", ICN=number)
        assert house.examinations.asked[-1][2] == yen


def test_inspection_slip(house: House) -> None:
    """検査: 検査指定票 of 67 lines beside the copy (layouts, inspection)."""
    house.examinations.by_code["IDC"] = Examination("inspection", timedelta(hours=1))
    number = house.send("IDA", **draft()).key
    answered = house.send("IDC", ICN=number)
    assert codes(answered) == ["SZIDC", "SZINSPI"]
    slip = lines(answered.outputs[1])
    assert (len(slip), slip[1]) == (67, number)
    (later,) = house.advance(house.now + timedelta(hours=1))
    assert codes(later) == ["SAD1AG2", "SZIDCW"]


def test_starts(house: House) -> None:
    """申告条件 K waits for the opening, I for the arrival; K in office hours is R0005 (procedures 9.1)."""
    number = house.send("IDA", **draft()).key
    assert house.refused("IDC", ICN=number, JYO="K") == [result("R0005")]
    assert house.refused("IDC", ICN=number, JYO="?") == [result("S9004", "JYO")]
    house.hours.closed.add("1A")
    assert house.refused("IDC", ICN=number) == [result("E9011")]
    assert codes(house.send("IDC", ICN=number, JYO="K")) == []
    house.hours.closed.clear()
    (opened,) = house.advance(house.now + timedelta(days=1))
    assert codes(opened) == ["SAD1AG2", "SZIDCW"]


def test_refusals(house: House) -> None:
    """E9001 unknown; U9001 a stranger; E9002 declared; E9004 permitted; R9003 without goods; S9004 bad values."""
    assert house.refused("IDC", ICN="NOSUCH00001") == [result("E9001", "ICN")]
    assert house.refused("IDA", **draft(LSK="X")) == [result("S9004", "LSK")]
    assert house.refused("IDA", **draft(IP4="100")) == [result("R9005", "IP3")]
    empty = house.send("IDA", IMN="SAMPLE TRADING").key
    assert house.refused("IDC", ICN=empty) == [result("R9003")]
    house.examinations.by_code["IDC"] = Examination("documents")
    number = house.send("IDA", **draft()).key
    house.user = OTHER
    for code in ("IDA", "IDB", "IDC"):
        assert house.refused(code, **(draft(ICN=number) if code == "IDA" else {"ICN": number})) == [result("U9001")]
    house.user = SPECIALIST
    house.send("IDC", ICN=number)
    for code in ("IDA", "IDB", "IDC"):
        items = draft(ICN=number) if code == "IDA" else {"ICN": number}
        assert house.refused(code, **items) == [result("E9002", "ICN")]
    house.user = OFFICER
    house.send("IESET", ICN=number, RES="A")
    house.user = SPECIALIST
    assert house.refused("IDC", ICN=number) == [result("E9004", "ICN")]


def test_review_gate(house: House) -> None:
    """Who is no 通関士 declares only what a 通関士 has reviewed (procedures 8)."""
    number = house.send("IDA", **draft()).key
    house.user = COLLEAGUE
    assert house.refused("IDC", ICN=number) == [result("E9007")]
    house.user = SPECIALIST
    house.send("CCA", ICN=number, CKK="Y")
    house.user = COLLEAGUE
    assert codes(house.send("IDC", ICN=number))[0] == "SAD1AG2"


def test_known_cargo(house: House) -> None:
    """With the setting import_cargo_known a declaration of cargo nobody has registered is E9006."""
    house.business["import_cargo_known"] = True
    number = house.send("IDA", **draft(BL_=["NOSUCHBL"])).key
    assert house.refused("IDC", ICN=number) == [result("E9006")]
    assert codes(house.send("IDC", ICN=house.send("IDA", **draft()).key))[0] == "SAD1AG2"


@pytest.mark.parametrize(
    ("register", "call_up", "declare", "system"),
    [("SWA", "SWB", "SWC", "2"), ("MWA", "MWB", "MWC", "2"), ("CTA", "CTB", "CTC", "1")],
)
def test_siblings(house: House, register: str, call_up: str, declare: str, system: str) -> None:
    """SWA, MWA, CTA run as IDA does, by their own codes only: IDC of what they registered is E9001."""
    house.system = system
    key = "SIC" if declare == "SWC" else "ICN"
    letter = "A" if system == "1" else "S"
    number = house.send(register, **draft(IC1="U" if register == "MWA" else "")).key
    assert codes(house.send(call_up, ICN=number)) == [f"{letter}Z{call_up}"]
    assert house.refused("IDC", ICN=number) == [result("E9001", "ICN")]
    permit = house.send(declare, **{key: number})
    assert permit.outputs[0].code == f"{letter}AD1AG2"
    assert house.refused(declare, **{key: number}) == [result("E9004", key)]


def test_single_window_requests(house: House) -> None:
    """SWC's numbers of requests stand on the permit (lines 85, 87, 89); SWX shows them in any state."""
    number = house.send("SWA", **draft()).key
    permit = lines(house.send("SWC", SIC=number, SFN="F0000000001", SLN="A0000000001").outputs[0])
    assert [permit[line - 1].strip() for line in (85, 87, 89)] == ["F0000000001", "", "A0000000001"]
    assert codes(house.send("SWX", ICN=number)) == ["SZSWX"]
    assert house.refused("SWC", SIC="NOSUCH00001") == [result("E9001", "SIC")]
    again = house.send("SWA", **draft()).key
    assert house.refused("SWC", SIC=again, SJO="?") == [result("S9004", "SJO")]


def test_who_may_run_ex_bond(house: House) -> None:
    """MWA U0002: 業務通関 registrant or 申告可能者; 自社通関 the registrant only [spec]."""
    number = house.send("MWA", **draft(IC1="U")).key
    house.send("UKY", KND="9", RCD=["2OTHR", "3TRAD"])
    house.user = OTHER
    assert codes(house.send("MWB", ICN=number)) == ["SZMWB"]
    house.user = User("3TRADA0A", "trader")
    for code in ("MWB", "MWC"):
        assert house.refused(code, ICN=number) == [result("U0002")]
    assert house.refused("MWA", **draft(ICN=number, IC1="U")) == [result("U0002")]


def test_systems_and_kinds(house: House) -> None:
    """MWA is of the sea, CTA of the air (E9005); MWA takes the kinds U, L, B and E."""
    assert house.refused("CTA", **draft()) == [result("E9005")]
    assert house.refused("MWA", **draft(IC1="C")) == [result("S9004", "IC1")]
    house.system = "1"
    assert house.refused("MWA", **draft(IC1="U")) == [result("E9005")]


def test_planned_declarant(house: House) -> None:
    """The official case: registered by one, planned for another: he declares, and whom he lists (procedures 7)."""
    number = house.send("IDA", **draft(ICC="2OTHR")).key
    assert house.refused("IDC", ICN=number) == [result("U9001")]
    house.user = OTHER
    assert codes(house.send("IDB", ICN=number)) == ["SAD4191"]
    house.send("UKY", KND="9", RCD=["1ANAC"])
    house.user = SPECIALIST
    assert codes(house.send("IDC", ICN=number))[0] == "SAD1AG2"


def test_changes_before_the_permit(house: House) -> None:
    """IDD, IDA01, IDE: the change is registered, then declared, then examined anew (progress 2, 3, 4)."""
    house.examinations.by_code["IDC"] = Examination("documents", timedelta(minutes=5))
    number = house.send("IDA", **draft()).key
    assert house.refused("IDA01", **draft(ICN=number)) == [result("E9013", "ICN")]
    assert house.refused("IDA01", **draft()) == [result("S9001", "ICN")]
    house.send("IDC", ICN=number)
    screen = house.send("IDD", ICN=number)
    assert (codes(screen), screen.outputs[0].layout) == (["SZIDD"], "IDA.in")
    assert codes(house.send("IDA01", ICN=number, IMN="ANOTHER TRADER")) == ["SZIDA01"]
    assert progress_of(house, number) == "2"
    assert house.advance(house.now + timedelta(hours=1)) == [], "customs waits for IDE"
    assert house.send("IDD", ICN=number).outputs[0].values["IMN"] == "ANOTHER TRADER"
    house.examinations.by_code["IDE"] = Examination("documents", timedelta(minutes=5))
    assert codes(house.send("IDE", ICN=number)) == ["SZIDE"]
    assert progress_of(house, number) == "3"
    (later,) = house.advance(house.now + timedelta(hours=1))
    assert codes(later)[0] == "SAD1AG2"
    assert lines(later.outputs[0])[21].strip() == "ANOTHER TRADER"
    assert progress_of(house, number) == "4"
    assert house.refused("IDD", ICN=number) == [result("E9004", "ICN")]


def progress_of(house: House, number: str) -> str:
    """The progress number that IID shows."""
    (answer,) = house.send("IID", ICN=number).outputs
    return str(answer.values.get("STS", ""))


def test_change_of_strangers(house: House) -> None:
    """IDD U0100: neither registrant nor planned declarant nor original declarant [spec]."""
    house.examinations.by_code["IDC"] = Examination("documents")
    number = house.send("IDA", **draft()).key
    house.send("IDC", ICN=number)
    house.user = OTHER
    assert house.refused("IDD", ICN=number) == [result("U0100")]
    assert house.refused("IDE", ICN=number) == [result("U9001")]


def test_inquiry(house: House) -> None:
    """IID and IID0W answer the M output alone, with the progress number; E9001 unknown, U9001 strangers."""
    number = house.send("IDA", **draft()).key
    house.send("CCA", ICN=number, CKK="Y")
    answered = house.send("IID", ICN=number)
    assert (answered.notice, codes(answered), answered.outputs[0].kind) == (False, ["SZIID"], "M")
    values: dict[str, Any] = dict(answered.outputs[0].values)
    assert (values.get("STS", ""), values["CKK"], values["GYO"]) == ("", "Y", "IDA")
    house.send("IDC", ICN=number)
    values = dict(house.send("IID0W", ICN=number).outputs[0].values)
    assert (values["STS"], values["IID"], values["NO"]) == ("4", "20261120", "120")
    assert house.refused("IID", ICN="NOSUCH00001") == [result("E9001", "ICN")]
    house.user = OTHER
    assert house.refused("IID", ICN=number) == [result("U9001")]


def test_inquiry_of_stores(house: House) -> None:
    """ICT finds what CTA registered, and nothing else."""
    house.system = "1"
    stores = house.send("CTA", **draft()).key
    assert codes(house.send("ICT", ICN=stores)) == ["AZICT"]
    plain = house.send("IDA", **draft()).key
    assert house.refused("ICT", ICN=plain) == [result("E9001", "ICN")]
