"""EDA EDB EDC, UEA UEB UEC and the inquiries: procedures 4.3, 6, 8, 11."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sekisho.handlers import catalogue
from sekisho.handlers.kit import SENDER, Examination, Originator, Party, User

from .exports import DOCUMENTS, PLAIN, SPECIALIST, examined, export, kept, named, register, shown
from .house import OFFICER, STRANGER, House, result, written


@pytest.fixture(autouse=True)
def _specialist(house: House) -> None:
    house.user = SPECIALIST


# EDA ------------------------------------------------------------------------------------------------------------------


def test_registration_issues_a_number_and_returns_the_copy(house: House) -> None:
    """A: *SEDA with the number, then the input copy (C) to the sender; the draft is kept (procedures 11)."""
    outcome = house.send("EDA", **export())
    (copy,) = outcome.outputs
    assert (outcome.notice, copy.code, copy.kind, copy.to) == (True, "SZEDA", "C", SENDER)
    data = kept(house, outcome.key)
    assert (data["state"], data["version"], data["system"], data["planned"]) == ("registered", 1, "sea", "")
    seen = named(copy)
    expected = {"輸出申告番号": outcome.key, "輸出者名": "SAMPLE EXPORTER", "あて先税関": "TOKYO", "申告欄数": "2"}
    assert {name: seen[name] for name in expected} == expected
    assert (seen["仕向人名"], seen["記事（税関用）"]) == ("SAMPLE CONSIGNEE", "見本")


def test_copy_is_137_lines_and_29_a_block(house: House) -> None:
    """Readers split on newline: 137 head lines, then 29 for each of the two lines (layouts, copy-export)."""
    (copy,) = house.send("EDA", **export()).outputs
    assert written(copy).count(b"\r\n") == 137 + 2 * 29


def test_correction_sends_the_number_and_the_changed_items(house: House) -> None:
    """A again with the number and the changed items [spec]: the rest stays; 大額 becomes 少額 by registering again."""
    number = register(house)
    outcome = house.send("EDA", ECN=number, LSK="S", NO="121")
    data = kept(house, number)
    assert (outcome.key, data["version"], data["items"]["LSK"], data["items"]["NO"]) == (number, 2, "S", "121")
    assert (data["items"]["EXN"], data["items"]["CMD"]) == ("SAMPLE EXPORTER", ["870323000", "400110000"])


def test_one_filled_row_replaces_all_rows(house: House) -> None:
    """Rows are corrected as a whole block: what is not sent in it is gone (our choice)."""
    number = register(house)
    house.send("EDA", ECN=number, CMD=["120110000"], CMN=["SOYA BEANS"])
    items = kept(house, number)["items"]
    assert (items["CMD"], items["CMN"], items["QN1"]) == (["120110000"], ["SOYA BEANS"], [])


def test_corrections_may_replace_everything(house: House) -> None:
    """The setting ``correction = "replace"``: every item stands as it was sent last."""
    house.business["correction"] = "replace"
    number = register(house)
    house.send("EDA", ECN=number, LSK="S")
    assert (kept(house, number)["items"]["LSK"], kept(house, number)["items"]["EXN"]) == ("S", "")


def test_value_class_is_checked(house: House) -> None:
    """大額・少額識別 is L, S or blank."""
    assert house.refused("EDA", **export(LSK="X")) == [result("S9004", "LSK")]


def test_unpadded_senders_are_read_alike(house: House) -> None:
    """Items that are not padded, numbers at the left: the same draft (naccs-edi 3.4; the writers seen differ so)."""
    layout = catalogue().request("EDA")
    assert layout is not None
    padded = layout.encode(export())
    bare = b"".join(line.strip() + b"\r\n" for line in padded.split(b"\r\n")[:-1])
    assert len(bare) < len(padded) // 3
    first, second = house.send_body("EDA", padded), house.send_body("EDA", bare)
    items = [{**kept(house, outcome.key)["items"], "ECN": ""} for outcome in (first, second)]
    assert items[0] == items[1]


# EDB ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "code"),
    [
        ({"LSK": "L"}, "SAE4001"),
        ({"LSK": ""}, "SAE4001"),
        ({"LSK": "S"}, "SAE4011"),
        ({"LSK": "L", "EC1": "R"}, "SAE4041"),
        ({"LSK": "S", "EC1": "R"}, "SAE4051"),
    ],
)
def test_call_up_has_a_screen_for_each_class(house: House, items: dict[str, str], code: str) -> None:
    """EDB answers SAE4001 大額, SAE4011 少額, SAE4041 and SAE4051 展示等積戻し [spec], filled as EDA's items."""
    number = register(house, **items)
    before = kept(house, number)
    outcome = house.send("EDB", ECN=number)
    (screen,) = outcome.outputs
    assert (outcome.key, screen.code, screen.kind) == (number, code, "C")
    assert shown(screen).text("ECN") == number
    assert kept(house, number) == before


def test_screen_of_a_call_up_can_be_sent_back(house: House) -> None:
    """B, edit, send A: the screen is EDA's own body [inferred], so the draft comes out as it was."""
    number = register(house)
    (screen,) = house.send("EDB", ECN=number).outputs
    before = kept(house, number)
    assert house.send_body("EDA", written(screen)).key == number
    assert kept(house, number)["items"] == before["items"]


def test_call_up_by_invoice_needs_exactly_one_draft(house: House) -> None:
    """電子インボイス受付番号 is the other key; one of the two (R9001), and it has to name one draft (E9001)."""
    number = register(house, IV2="IV00000001")
    house.user = STRANGER
    register(house, IV2="IV00000001")
    house.user = SPECIALIST
    assert house.send("EDB", IV2="IV00000001").key == number, "another company's does not count"
    register(house, IV2="IV00000001")
    assert house.refused("EDB", IV2="IV00000001") == [result("E9001", "IV2")]
    assert house.refused("EDB") == [result("R9001", "ECN")]
    assert house.refused("EDB", ECN=number, IV2="IV00000001") == [result("R9001", "ECN")]


# EDC ------------------------------------------------------------------------------------------------------------------


def test_simple_examination_permits_at_once(house: House) -> None:
    """簡易審査: permit to the declarant, goods information to the warehouse by EXC; progress number 4."""
    number = register(house)
    outcome = house.send("EDC", ECN=number)
    permit, goods = outcome.outputs
    assert [(o.code, o.kind, o.to) for o in outcome.outputs] == [
        ("SAE1LF3", "P", SENDER),
        ("SZEDCG", "P", Party(place="1AW01")),
    ]
    assert written(permit).count(b"\r\n") == 137 + 2 * 29
    seen = named(permit)
    expected = {"輸出許可年月日": "20261120", "許可年月日２": "20261120", "輸出申告番号": number}
    assert seen["代理人コード"] == "1ANAC"
    assert {name: seen[name] for name in expected} == expected
    told = named(goods)
    assert (told["輸出申告番号"], told["状態"], told["許可年月日"], told["貨物管理番号・ＡＷＢ番号"]) == (
        number,
        "4",
        "20261120",
        "SMPLBL0001",
    )
    assert kept(house, number)["state"] == "approved"


def test_permit_shares_the_value_among_the_lines(house: House) -> None:
    """申告価格（ＦＯＢ） of a line: the FOB value in yen by its 按分係数."""
    number = register(house)
    permit = house.send("EDC", ECN=number).outputs[0]
    record = shown(permit)
    value = next(item.id for item in record.layout.items if item.name == "申告価格（ＦＯＢ）１")
    assert record.texts(value)[:2] == ["600000", "300000"]


def test_air_declaration_answers_with_air_codes(house: House) -> None:
    """システム識別 1: AAE and AZ codes; a sea system may not go on with it (E9005)."""
    house.system = "1"
    outcome = house.send("EDA", **export())
    assert outcome.outputs[0].code == "AZEDA"
    assert [o.code for o in house.send("EDC", ECN=outcome.key).outputs] == ["AAE1LF3", "AZEDCG"]
    other = house.send("EDA", **export()).key
    house.system = "2"
    for code in ("EDB", "EDC", "EDA", "IEX", "CCB"):
        item = "ICN" if code == "CCB" else "ECN"
        assert house.refused(code, **{item: other}) == [result("E9005", item)], code


def test_document_examination_answers_the_copy_and_waits(house: House) -> None:
    """書類審査: 申告控 (P); customs' IESET A sends the permit by EXZ and the warehouse its paper by EXC."""
    number = examined(house)
    data = kept(house, number)
    assert data["state"] == "under-examination"
    assert house.examinations.asked[-1] == ("EDC", "1A", 900000, "見本  ")
    house.user = OFFICER
    outcome = house.send("IESET", ICN=number, RES="A", JKN="条件")
    assert [(o.code, o.to) for o in outcome.outputs] == [
        ("SAE1LF3", Originator(SPECIALIST.id, data["declaration_request"])),
        ("SZEDCG", Party(place="1AW01")),
    ]
    assert kept(house, number)["state"] == "approved"
    assert house.refused("IESET", ICN=number, RES="A") == [result("E9013", "ECN")]


def test_inspection_has_an_order_too(house: House) -> None:
    """検査: the copy and 検査指定票, 67 lines."""
    house.examinations.by_code["EDC"] = Examination("inspection")
    number = register(house)
    copy, order = house.send("EDC", ECN=number).outputs
    assert (copy.code, order.code) == ("SZEDC", "SZEDCIN")
    assert written(order).count(b"\r\n") == 67
    assert named(order)["貨物番号"] == "SMPLBL0001"


@pytest.mark.parametrize(("letter", "state"), [("R", "refused"), ("C", "correction-wanted")])
def test_customs_may_refuse_or_want_a_correction(house: House, letter: str, state: str) -> None:
    """IESET R and C: the verdict goes to the declarant by EXZ with what the officer wrote."""
    number = examined(house)
    house.user = OFFICER
    (told,) = house.send("IESET", ICN=number, RES=letter, NT1="単価").outputs
    assert (told.code, kept(house, number)["state"]) == ("SZIESET", state)
    assert (shown(told).text("RES"), shown(told).text("NT1")) == (letter, "単価")


def test_only_customs_ends_an_examination(house: House) -> None:
    """IESET of anybody else is U9001; an unknown number E9001; RES has three values."""
    number = examined(house)
    assert house.refused("IESET", ICN=number, RES="A") == [result("U9001")]
    house.user = OFFICER
    assert house.refused("IESET", ICN="9999999999T", RES="A") == [result("E9001", "ICN")]
    assert house.refused("IESET", ICN=number, RES="X") == [result("S9004", "RES")]


def test_customs_may_decide_by_itself(house: House) -> None:
    """An examination that says after how long: the decision comes then, once, and an officer's comes before it."""
    house.examinations.by_code["EDC"] = Examination("documents", timedelta(seconds=30))
    number, other = register(house), register(house)
    house.send("EDC", ECN=number)
    house.send("EDC", ECN=other)
    house.user = OFFICER
    house.send("IESET", ICN=other, RES="R")
    (decided,) = house.advance(house.now + timedelta(seconds=31))
    assert (decided.key, kept(house, number)["state"], kept(house, other)["state"]) == (number, "approved", "refused")


def test_declaring_twice_and_correcting_afterwards(house: House) -> None:
    """E9002 while it is examined, E9004 once permitted, E9003 once refused; nothing changes (the house asserts it)."""
    number = examined(house)
    for code in ("EDA", "EDB", "EDC"):
        assert house.refused(code, ECN=number) == [result("E9002", "ECN")], code
    assert house.refused("CCB", ICN=number) == [result("E9002", "ICN")]
    house.examinations.by_code.clear()
    permitted = register(house)
    house.send("EDC", ECN=permitted)
    assert house.refused("EDC", ECN=permitted) == [result("E9004", "ECN")]
    house.user = OFFICER
    house.send("IESET", ICN=number, RES="R")
    house.user = SPECIALIST
    assert house.refused("EDC", ECN=number) == [result("E9003", "ECN")]


def test_strangers_and_unknown_numbers(house: House) -> None:
    """U9001 for who is neither registrant, planned declarant nor delegate; E9001 for a number nobody has."""
    number = register(house)
    house.user = STRANGER
    for code in ("EDA", "EDB", "EDC", "IEX", "IEX0W", "IMO"):
        assert house.refused(code, ECN=number) == [result("U9001")], code
        assert house.refused(code, ECN="9999999999T") == [result("E9001", "ECN")], code


def test_delegate_declares_for_the_planned_declarant(house: House) -> None:
    """UKY: the delegate calls up, corrects and declares; the permit is his, the case of the guide (procedures 7)."""
    number = register(house, ICC="1ANAC")
    house.send("UKY", KND="9", RCD=["2OTHR"])
    house.user = replace(STRANGER, specialist=True)
    assert house.send("EDB", ECN=number).key == number
    house.send("EDA", ECN=number, NO="99")
    outcome = house.send("EDC", ECN=number)
    assert (outcome.outputs[0].code, kept(house, number)["declarant"]) == ("SAE1LF3", STRANGER.id)


def test_planned_declarant_takes_over(house: House) -> None:
    """申告予定者 2OTHR, nothing registered: he declares and the registrant does not (procedures 7, second case)."""
    number = register(house, ICC="2OTHR")
    assert house.refused("EDC", ECN=number) == [result("U9001")]
    house.user = replace(STRANGER, specialist=True)
    assert house.send("EDC", ECN=number).key == number


def test_delegate_does_not_take_over(house: House) -> None:
    """申告予定者 is changed by the registrant alone: a delegate corrects, and stays a delegate (our choice)."""
    number = register(house)
    house.send("UKY", KND="9", RCD=["2OTHR"])
    house.user = replace(STRANGER, specialist=True)
    assert house.refused("EDA", ECN=number, ICC="2OTHR") == [result("U9001", "ICC")]
    house.send("EDA", ECN=number, NO="99")
    house.user = SPECIALIST
    house.send("EDA", ECN=number, ICC="2OTHR")
    assert kept(house, number)["planned"] == "2OTHR"


@pytest.mark.parametrize("letter", ["I", "Z", "U", "S"])
def test_arrival_starts_what_waits_for_it(house: House, letter: str) -> None:
    """搬入時申告: waits for the cargo and is declared when the warehouse confirms it, to the declarant by EXZ."""
    number = register(house)
    assert house.send("EDC", ECN=number, JYO=letter).outputs == ()
    data = kept(house, number)
    assert data["state"] == "waiting-for-arrival"
    assert house.refused("EDC", ECN=number) == [result("E9002", "ECN")]
    house.user = User("5WHSEW0W", "warehouse")
    items = {"KND": "9", "BRT": "1AW01", "DTM": "20261120", "TIM": "1030", "CG_": ["SMPLBL0001"]}
    outcome = house.send("PKI", **items)
    assert [(o.code, o.to) for o in outcome.outputs] == [
        ("SAE1LF3", Originator(SPECIALIST.id, data["declaration_request"])),
        ("SZEDCG", Party(place="1AW01")),
    ]


def test_opening_starts_what_waits_for_it(house: House) -> None:
    """開庁時申告 while the office is closed; R0005 while it is open; E9011 for a plain one outside hours."""
    number = register(house)
    assert house.refused("EDC", ECN=number, JYO="K") == [result("R0005")]
    house.hours.closed.add("1A")
    assert house.refused("EDC", ECN=number) == [result("E9011")]
    assert house.send("EDC", ECN=number, JYO="K").outputs == ()
    house.hours.closed.clear()
    (opened,) = house.advance(house.now + timedelta(days=1))
    assert [o.code for o in opened.outputs] == ["SAE1LF3", "SZEDCG"]


def test_condition_has_known_letters(house: House) -> None:
    """S9004 for any other letter, unless the setting knows it."""
    number = register(house)
    assert house.refused("EDC", ECN=number, JYO="Q") == [result("S9004", "JYO")]
    house.business["declaration_starts"] = {"Q": "now"}
    assert house.send("EDC", ECN=number, JYO="Q").key == number


def test_arrival_needs_a_cargo(house: House) -> None:
    """搬入時申告 of a declaration that names none would wait for ever: E9006."""
    number = register(house, AWB="")
    assert house.refused("EDC", ECN=number, JYO="I") == [result("E9006")]


def test_refusals_of_one_step_come_together(house: House) -> None:
    """Review and start are of one step: both codes are in the notice (procedures 1.1)."""
    number = register(house)
    house.user = PLAIN
    assert house.refused("EDC", ECN=number, JYO="K") == [result("E9007"), result("R0005")]


# UEA, UEB, UEC, inquiries ---------------------------------------------------------------------------------------------


def test_unaccompanied_goods_have_codes_of_their_own(house: House) -> None:
    """What UEA registered only UEB and UEC know, and the other way round (our choice); IEU answers its state."""
    house.examinations.by_code["UEC"] = DOCUMENTS
    number, other = house.send("UEA", **export()).key, register(house)
    for code, wrong in (("EDB", number), ("EDC", number), ("UEB", other), ("UEC", other)):
        assert house.refused(code, ECN=wrong) == [result("E9001", "ECN")], code
    assert house.send("UEB", ECN=number).outputs[0].code == "SZUEB"
    assert house.send("UEC", ECN=number).outputs[0].code == "SZUEC"
    (answer,) = house.send("IEU", ECN=number).outputs
    assert (answer.code, answer.kind, shown(answer).text("STS")) == ("SZIEU", "M", "1")
    assert house.refused("IEU", ECN=other) == [result("S0003", "ECN")]
    house.system = "1"
    assert house.refused("IEU", ECN=number) == [result("E0002", "ECN")]
    house.system, house.user = "2", STRANGER
    assert house.refused("IEU", ECN=number) == [result("U0002")]
    assert house.refused("IEU") == [result("S0001", "ECN")]


def test_inquiry_answers_alone_with_the_progress_number(house: House) -> None:
    """IEX: M output without a notice; blank before the declaration, 1 examined, 4 permitted (procedures 6)."""
    number = register(house)
    states = []
    for send in (None, "EDC", "IESET"):
        if send == "EDC":
            house.examinations.by_code["EDC"] = DOCUMENTS
            house.send("EDC", ECN=number)
        if send == "IESET":
            house.user = OFFICER
            house.send("IESET", ICN=number, RES="A")
            house.user = SPECIALIST
        outcome = house.send("IEX", ECN=number)
        (answer,) = outcome.outputs
        assert (outcome.notice, answer.code, answer.kind) == (False, "SZIEX", "M")
        states.append((shown(answer).text("STS"), shown(answer).text("IID")))
    assert states == [("", ""), ("1", ""), ("4", "20261120")]


def test_cars_are_the_lines_of_motor_vehicles(house: House) -> None:
    """IMO: the one line of two that is a car; E9001 where there is none."""
    number = register(house)
    (answer,) = house.send("IMO", ECN=number).outputs
    record = shown(answer)
    assert (record.texts("CMD"), record.texts("RN_"), record.text("CMN")) == (["870323000"], ["1"], "MOTOR VEHICLES")
    none = register(house, CMD=["400110000"], CMN=["RUBBER"])
    assert house.refused("IMO", ECN=none) == [result("E9001", "ECN")]


def test_numbers_are_of_one_series(house: House) -> None:
    """Import and export draw 申告等番号 from one series, so that CCA and MSX mean one declaration."""
    numbers = {register(house), house.send("UEA", **export()).key, house.send("IDA", IMC="1234567890123").key}
    assert (len(numbers), house.numbers.last) == (3, {"declaration": 3})
