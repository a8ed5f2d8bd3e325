"""SOT11, SOT, SET: procedures 9.1, 9.4, 9.5."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from sekisho.handlers.cargo import approvals
from sekisho.handlers.kit import SENDER, Examination, Originator, Outcome, Party

from .house import BROKER, CARGO, MORNING, OFFICER, STRANGER, House, result, written
from .test_bonded_registration import Items, draft, register, shown, stored
from .test_bonded_starts import codes

DOCUMENTS = Examination("documents")


def approved(house: House, **changes: str | Sequence[str]) -> str:
    """An approved transport."""
    number = register(house, **changes)
    house.send("OLC20", OLT=number)
    return number


def change(number: str, **changes: str | Sequence[str]) -> Items:
    """A whole correction of the draft's transport: its one cargo corrected."""
    items = draft(KND="5", OLT=number, RSN="01", TK_=["5"]) | changes
    return {name: value for name, value in items.items() if value != ""}


def decide(house: House, number: str, decision: str = "A", **items: str) -> Outcome:
    """SET by customs."""
    sender, house.user = house.user, OFFICER
    try:
        return house.send("SET", OLT=number, RES=decision, **items)
    finally:
        house.user = sender


def named(house: House, cargo: str) -> list[str]:
    """Numbers of the approvals that name a cargo."""
    return [event["number"] for event in approvals(cargo, house.context())]


# SOT11, SOT -----------------------------------------------------------------------------------------------------------


def test_call_up_and_send_back(house: House) -> None:
    """SOT11: the SOT table filled, each row marked for correction; its body sent back changes nothing."""
    number = approved(house, CNO=["SMPU1234567"])
    outcome = house.send("SOT11", OLT=number)
    (screen,) = outcome.outputs
    record = shown(screen)
    assert (outcome.key, screen.code, screen.kind, record.layout.name) == (number, "SZSOT11", "C", "SOT.in")
    assert (record.text("KND"), record.text("TK_"), record.text("CG_"), record.text("CNO")) == (
        "5", "5", "SMPLBL0001", "SMPU1234567",
    )  # fmt: skip
    before = stored(house, number)["items"]
    assert house.send_body("SOT", written(screen)).key == number
    pending = stored(house, number)["pending"]
    assert {name: value for name, value in pending["items"].items() if value != before.get(name)} == {
        name: [""] for name in ("DD_", "RM_", "NT_")
    }


def test_a_change_waits_for_customs(house: House) -> None:
    """Every SOT is pending until SET, even when the original was 簡易審査 [spec]; the copy shows what is asked for."""
    number = approved(house)
    outcome = house.send("SOT", **change(number, EDT="20261130", NTA="変更"))
    (copy,) = outcome.outputs
    assert (outcome.key, copy.code, copy.kind, copy.to) == (number, "SZSOT", "C", SENDER)
    assert (shown(copy).text("EDT"), shown(copy).text("NTA")) == ("20261130", "変更")
    data = stored(house, number)
    assert (data["state"], data["items"]["EDT"]) == ("change-pending", "20261127")
    notice, cargo = decide(house, number).outputs
    assert (notice.code, notice.to, cargo.code, cargo.to) == (
        "SAS0371", Originator(BROKER.id, 3), "SAS0411", Party(place="1AW01"),
    )  # fmt: skip
    assert shown(notice).text("APE") == "20261130"
    data = stored(house, number)
    assert (data["state"], data["version"], "pending" in data) == ("approved", 2, False)


def test_rows_of_a_change(house: House) -> None:
    """訂正区分 9 adds, 1 deletes, blank leaves a row as it is; the approvals of the cargoes follow."""
    house.records.kept["cargo", "SMPLBL0003"] = CARGO
    number = approved(house, CG_=["SMPLBL0001", "SMPLBL0002"], NT_=["A", "B"])
    house.send("SOT", **change(number, TK_=["1", "9"], CG_=["SMPLBL0001", "SMPLBL0003"], NT_=["", "C"]))
    assert (named(house, "SMPLBL0001"), named(house, "SMPLBL0003")) == ([number], [])
    decide(house, number)
    items = stored(house, number)["items"]
    assert (items["CG_"], items["NT_"]) == (["SMPLBL0002", "SMPLBL0003"], ["B", "C"])
    assert [named(house, f"SMPLBL000{n}") for n in (1, 2, 3)] == [[], [number], [number]]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"KND": "7"}, [result("S9004", "KND")]),
        ({"KND": "E", "EDT": ""}, [result("S9001", "EDT")]),
        ({"KND": "E", "EDT": "20261127"}, [result("R9002", "EDT")]),
        ({"BYA": "", "OBJ": ""}, [result("S9001", "BYA"), result("S9001", "OBJ")]),
        ({"BYA": "99", "TK_": ["2"]}, [result("S9004", "BYA"), result("S9004", "TK_", 1)]),
        ({"EDT": "20261119"}, [result("R9002", "EDT")]),
        ({"CG_": ["A", "A"], "TK_": ["9", "9"]}, [result("R9004", "CG_", 2)]),
        ({"TK_": ["1"]}, [result("R9003", "CG_")]),
        ({"TK_": ["9"]}, [result("E9002", "CG_", 1)]),
        ({"CG_": ["SMPLBL0002"]}, [result("E9001", "CG_", 1)]),
        ({"CG_": ["SMPLBL0002", "NONE1"], "TK_": ["9", "9"]}, [result("E9006", "CG_", 2)]),
        ({"OLT": "9999999999T"}, [result("E9001", "OLT")]),
    ],
)
def test_refusals_of_a_change(house: House, changes: Items, expected: list[str]) -> None:
    """Items, relations, then the record and its rows, each step by itself."""
    assert house.refused("SOT", **change(approved(house), **changes)) == expected


def test_at_most_five_rows(house: House) -> None:
    """A transport has up to five cargo lines [spec]: more than that after a change are E9010."""
    cargo = [f"FIVE{n}" for n in range(1, 6)]
    for key in cargo:
        house.records.kept["cargo", key] = CARGO
    number = approved(house)
    assert house.refused("SOT", **change(number, CG_=cargo, TK_=["9"] * 5)) == [result("E9010", "CG_")]
    house.send("SOT", **change(number, CG_=cargo[:4], TK_=["9"] * 4))
    assert len(stored(house, number)["pending"]["items"]["CG_"]) == 5


def test_who_and_when(house: House) -> None:
    """Somebody else's U9003; a draft, a pending change and what is on its way E9013; a void draft E9003."""
    number = register(house)
    assert house.refused("SOT", **change(number)) == [result("E9013", "OLT")]
    assert house.refused("SOT11", OLT=number) == [result("E9013", "OLT")]
    house.send("OLC20", OLT=number)
    house.user = STRANGER
    assert house.refused("SOT", **change(number)) == [result("U9003", "OLT")]
    assert house.refused("SOT11", OLT=number) == [result("U9003", "OLT")]
    house.user = BROKER
    house.send("SOT", **change(number))
    assert house.refused("SOT", **change(number)) == [result("E9013", "OLT")]
    void = register(house)
    house.send("OLA", KND="1", OLT=void)
    assert house.refused("SOT11", OLT=void) == [result("E9003", "OLT")]


def test_cancellation(house: House) -> None:
    """SOT 1 looks at number and reason only; granted, declarant and departure place hear of it, approvals are gone."""
    number = approved(house)
    house.send("SOT", KND="1", OLT=number, RSN="09")
    assert stored(house, number)["state"] == "change-pending"
    outcome = decide(house, number, NT1="取消しを認める")
    assert [(output.code, output.kind, output.to) for output in outcome.outputs] == [
        ("SZSET", "P", Originator(BROKER.id, 3)), ("SZSET", "P", Party(place="1AW01")),
    ]  # fmt: skip
    record = shown(outcome.outputs[0])
    assert [record.text(item) for item in ("OLT", "RES", "KND", "NT1")] == [number, "A", "1", "取消しを認める"]
    assert (stored(house, number)["state"], named(house, "SMPLBL0001")) == ("cancelled", [])
    assert house.refused("SOT11", OLT=number) == [result("E9003", "OLT")]
    house.user = OFFICER
    assert house.refused("SET", OLT=number, RES="A") == [result("E9003", "OLT")]


def test_extension(house: House) -> None:
    """SOT E moves the end of the period; the approval set says the new one; it may be extended again [spec]."""
    number = approved(house)
    house.send("SOT", KND="E", OLT=number, EDT="20261210")
    notice, _ = decide(house, number).outputs
    assert (notice.code, shown(notice).text("APE")) == ("SAS0371", "20261210")
    assert stored(house, number)["state"] == "period-extended"
    house.send("SOT", KND="E", OLT=number, EDT="20261220")
    decide(house, number, "R")
    data = stored(house, number)
    assert (data["state"], data["items"]["EDT"]) == ("period-extended", "20261210")


def test_a_change_that_is_not_granted(house: House) -> None:
    """R and C drop the change: the transport stands as before, the declarant is told with the officer's words."""
    for decision in "RC":
        number = approved(house)
        house.send("SOT", **change(number, EDT="20261130"))
        (told,) = decide(house, number, decision, NT1="理由").outputs
        record = shown(told)
        assert (told.code, record.text("RES"), record.text("KND"), record.text("NT1")) == ("SZSET", "R", "5", "理由")
        data = stored(house, number)
        assert (data["state"], data["items"]["EDT"], "pending" in data) == ("approved", "20261127", False)


def test_customs_decides_a_change_by_itself(house: House) -> None:
    """A rule for SOT that says when; the decision on the declaration itself no longer comes then."""
    house.examinations.by_code |= {
        "OLC20": Examination("documents", timedelta(seconds=30), "refuse"),
        "SOT": Examination("documents", timedelta(seconds=60)),
    }
    number = approved(house)
    house.send("SOT", **change(number, EDT="20261130"))
    assert house.advance(MORNING + timedelta(seconds=59)) == []
    (granted,) = house.advance(MORNING + timedelta(seconds=60))
    assert codes(granted) == ["SAS0371", "SAS0411"]
    assert stored(house, number)["state"] == "approved"


def test_examination_goes_on_after_a_change_that_is_not_granted(house: House) -> None:
    """A declaration whose change was refused is still under examination, and its own decision comes again."""
    house.examinations.by_code["OLC20"] = Examination("documents", timedelta(seconds=30))
    number = approved(house)
    house.send("SOT", **change(number, EDT="20261130"))
    decide(house, number, "R")
    assert stored(house, number)["state"] == "under-examination"
    (granted,) = house.advance(MORNING + timedelta(seconds=30))
    assert shown(granted.outputs[0]).text("APE") == "20261127"


# SET ------------------------------------------------------------------------------------------------------------------


def test_end_of_a_document_examination(house: House) -> None:
    """SET A approves: notice with the number to customs, the approval set to declarant (EXZ) and warehouse (EXC)."""
    house.examinations.by_code["OLC20"] = DOCUMENTS
    number = approved(house)
    outcome = decide(house, number, JKN="封印すること")
    assert (outcome.key, codes(outcome)) == (number, ["SAS0371", "SAS0411"])
    assert outcome.outputs[0].to == Originator(BROKER.id, 2)
    record = shown(outcome.outputs[0])
    assert (record.text("SKK"), record.text("JKN"), record.text("APD")) == ("2", "封印すること", "20261120")
    house.user = OFFICER
    assert house.refused("SET", OLT=number, RES="A") == [result("E9013", "OLT")]


def test_refusal_and_wanted_correction(house: House) -> None:
    """SET R ends it; SET C wants a SOT, after which SET approves what was corrected."""
    house.examinations.by_code["OLC20"] = DOCUMENTS
    refused = approved(house)
    (told,) = decide(house, refused, "R").outputs
    assert (told.code, shown(told).text("RES"), shown(told).text("KND")) == ("SZSET", "R", "")
    assert stored(house, refused)["state"] == "refused"
    assert house.refused("SOT11", OLT=refused) == [result("E9003", "OLT")]
    wanted = approved(house)
    (told,) = decide(house, wanted, "C").outputs
    assert (shown(told).text("RES"), stored(house, wanted)["state"]) == ("C", "correction-wanted")
    house.user = OFFICER
    assert house.refused("SET", OLT=wanted, RES="A") == [result("E9013", "OLT")]
    house.user = BROKER
    house.send("SOT", **change(wanted, EDT="20261130"))
    assert codes(decide(house, wanted)) == ["SAS0371", "SAS0411"]
    assert stored(house, wanted)["state"] == "approved"


def test_customs_only(house: House) -> None:
    """SET is customs' own business: anybody else is U9001, before the number is looked at; the 業種 is a setting."""
    number = approved(house)
    assert house.refused("SET", OLT=number, RES="A") == [result("U9001")]
    house.user = OFFICER
    assert house.refused("SET", OLT="9999999999T", RES="A") == [result("E9001", "OLT")]
    assert house.refused("SET", OLT=number, RES="X") == [result("S9004", "RES")]
    assert house.refused("SET", OLT=number) == [result("S9001", "RES")]
    assert house.refused("SET", OLT=number, RES="A") == [result("E9013", "OLT")]
    house.business["customs_trade"] = "zeikan"
    assert house.refused("SET", OLT=number, RES="A") == [result("U9001")]
