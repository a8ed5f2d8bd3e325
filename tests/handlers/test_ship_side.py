"""本船・ふ中扱い: HFD, HFA, HFA01, HFC, HFC20, HFE20, HFSET, IHF: procedures 6 and 10."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from sekisho.handlers.cargo import approvals
from sekisho.handlers.kit import SENDER, Examination, Originator, Outcome

from .house import BROKER, MORNING, OFFICER, STRANGER, House, result, written
from .test_bonded_registration import Items, shown
from .test_bonded_starts import OPENING, at_night, codes, discharge

DOCUMENTS = Examination("documents")


def application(**changes: str | Sequence[str]) -> Items:
    """An application for import cargo on board."""
    items: Items = {
        "IEI": "I",
        "HFK": "H",
        "CH": "1A",
        "DEC": "1ANAC",
        "VSC": "3ABC9",
        "ARR": "20261118",
        "DEP": "20261125",
        "PLC": "1AC02",
        "SDT": "20261120",
        "EDT": "20261122",
        "RSN": "長尺貨物のため",
        "CG_": ["SMPLBL0001"],
    }
    return items | changes


def register(house: House, **changes: str | Sequence[str]) -> str:
    """A registered application."""
    return house.send("HFA", **application(**changes)).key


def stored(house: House, number: str) -> dict[str, Any]:
    """The record of an application."""
    data = house.records.get("ship-side", number)
    assert data is not None
    return dict(data)


def decide(house: House, number: str, decision: str = "A", **items: str) -> Outcome:
    """HFSET by customs."""
    sender, house.user = house.user, OFFICER
    try:
        return house.send("HFSET", HFN=number, RES=decision, **items)
    finally:
        house.user = sender


# Draft ----------------------------------------------------------------------------------------------------------------


def test_the_official_chain(house: House) -> None:
    """HFD by cargo, HFA, HFD by number, HFA01, HFC20 under 簡易審査: copies SZHFA, then 承認申請情報 SZHFC [spec]."""
    (screen,) = house.send("HFD", CG_=["SMPLBL0001"]).outputs
    record = shown(screen)
    assert (screen.code, screen.kind, record.text("HFN")) == ("SZHFD", "C", "")
    assert [record.text(item) for item in ("VSC", "VSN", "ARR", "CM_", "PC_")] == [
        "3ABC9", "SAMPLE MARU", "20261118", "FROZEN SHRIMP", "120",
    ]  # fmt: skip
    outcome = house.send("HFA", **application())
    (copy,) = outcome.outputs
    assert (outcome.key, copy.code, copy.kind, copy.to) == ("0000000001S", "SZHFA", "C", SENDER)
    assert [shown(copy).text(item) for item in ("HFN", "STS", "REG", "RGC", "CHN", "CM_")] == [
        outcome.key, "1", "20261120", "1ANAC", "TOKYO", "FROZEN SHRIMP",
    ]  # fmt: skip
    (screen,) = house.send("HFD", HFN=outcome.key).outputs
    assert shown(screen).text("HFN") == outcome.key
    corrected = house.send_body("HFA01", written(screen).replace(b"20261122", b"20261123"))
    assert (corrected.key, shown(corrected.outputs[0]).text("EDT")) == (outcome.key, "20261123")
    applied = house.send("HFC20", HFN=outcome.key)
    (notice,) = applied.outputs
    assert (applied.key, notice.code, notice.kind, notice.to) == (outcome.key, "SZHFC", "P", SENDER)
    assert [shown(notice).text(item) for item in ("STS", "APD", "EDT")] == ["3", "20261120", "20261123"]
    assert (stored(house, outcome.key)["state"], stored(house, outcome.key)["version"]) == ("approved", 2)
    assert [event["procedure"] for event in approvals("SMPLBL0001", house.context())] == ["HFC20"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"IEI": "X", "HFK": "Y"}, [result("S9004", "IEI"), result("S9004", "HFK")]),
        ({"VSC": ""}, [result("S9001", "VSC")]),
        ({"EDT": "20261119", "DEP": "20261117"}, [result("R9002", "DEP"), result("R9002", "EDT")]),
        ({"CG_": ["A", "A"]}, [result("R9004", "CG_", 2)]),
    ],
)
def test_registration_refusals(house: House, changes: Items, expected: list[str]) -> None:
    """Items and relations of an application; one shot asks the same."""
    assert house.refused("HFA", **application(**changes)) == expected
    assert house.refused("HFC", **application(**changes)) == expected
    assert house.numbers.last == {}


def test_call_up_refusals(house: House) -> None:
    """Exactly one kind of key, known cargo by row, the number's own 利用者コード, a draft."""
    number = register(house)
    assert house.refused("HFD") == [result("R9001", "HFN")]
    assert house.refused("HFD", CG_=["NONE1", "SMPLBL0001"]) == [result("E9006", "CG_", 1)]
    assert house.refused("HFD", HFN="9999999999S") == [result("E9001", "HFN")]
    house.user = STRANGER
    assert house.refused("HFD", HFN=number) == [result("U9003", "HFN")]
    assert house.refused("HFA01", **application(HFN=number)) == [result("U9003", "HFN")]
    assert house.refused("HFC20", HFN=number) == [result("U9003", "HFN")]
    house.user = BROKER
    house.send("HFC20", HFN=number)
    for code, items in (("HFD", {"HFN": number}), ("HFA01", application(HFN=number)), ("HFC20", {"HFN": number})):
        assert house.refused(code, **items) == [result("E9004", "HFN")]


# Application ----------------------------------------------------------------------------------------------------------


def test_document_examination(house: House) -> None:
    """書類審査: HFC20 answers 入力控情報 [spec]; HFSET A brings 承認申請情報 by EXZ."""
    house.examinations.by_code["HFC20"] = DOCUMENTS
    number = register(house)
    (copy,) = house.send("HFC20", HFN=number).outputs
    assert (copy.code, shown(copy).text("STS")) == ("SZHFA", "2")
    assert house.refused("HFC20", HFN=number) == [result("E9002", "HFN")]
    outcome = decide(house, number)
    (notice,) = outcome.outputs
    assert (outcome.key, notice.code, notice.to) == (number, "SZHFC", Originator(BROKER.id, 2))
    house.user = OFFICER
    assert house.refused("HFSET", HFN=number, RES="A") == [result("E9013", "HFN")]


def test_refusal_and_wanted_correction(house: House) -> None:
    """R ends it; C wants HFE20, which puts it under examination again; the officer's words go along."""
    house.examinations.by_code["HFC"] = DOCUMENTS
    refused, wanted = (house.send("HFC", **application()).key for _ in range(2))
    (told,) = decide(house, refused, "R", NT1="理由").outputs
    assert (told.code, shown(told).text("RES"), shown(told).text("NT1")) == ("SZHFSET", "R", "理由")
    assert house.refused("HFE20", KND="1", HFN=refused) == [result("E9003", "HFN")]
    house.user = OFFICER
    assert house.refused("HFSET", HFN=refused, RES="A") == [result("E9003", "HFN")]
    house.user = BROKER
    (told,) = decide(house, wanted, "C").outputs
    assert (shown(told).text("RES"), stored(house, wanted)["state"]) == ("C", "correction-wanted")
    house.send("HFE20", **application(KND="5", HFN=wanted, EDT="20261130"))
    assert shown(decide(house, wanted).outputs[0]).text("EDT") == "20261130"


def test_customs_only(house: House) -> None:
    """HFSET is customs' own: anybody else U9001; unknown numbers E9001; 審査結果 A, R or C."""
    number = register(house)
    assert house.refused("HFSET", HFN=number, RES="A") == [result("U9001")]
    house.user = OFFICER
    assert house.refused("HFSET", HFN="9999999999S", RES="A") == [result("E9001", "HFN")]
    assert house.refused("HFSET", HFN=number, RES="Q") == [result("S9004", "RES")]
    assert house.refused("HFSET", HFN=number, RES="A") == [result("E9013", "HFN")]


def test_import_cargo_has_to_be_known(house: House) -> None:
    """E9006 by row in one shot, without an item under HFC20; export cargo may come later (our choice)."""
    assert house.refused("HFC", **application(CG_=["SMPLBL0001", "NONE1"])) == [result("E9006", "CG_", 2)]
    assert house.refused("HFC20", HFN=register(house, CG_=["NONE1"])) == [result("E9006")]
    assert codes(house.send("HFC", **application(IEI="E", CG_=["NONE1"]))) == ["SZHFC"]


def test_later_starts(house: House) -> None:
    """開庁時 and 搬入時 as in bonded transport, for the engine is the same; letters outside the list S9004."""
    number = register(house)
    assert house.refused("HFC20", HFN=number, IKS="Z") == [result("S9004", "IKS")]
    assert house.refused("HFC20", HFN=number, IKS="K") == [result("R0005")]
    arriving = house.send("HFC", **application(IKS="I")).key
    (notice,) = discharge(house, "SMPLBL0001").outputs
    assert (notice.code, notice.to) == ("SZHFC", Originator(BROKER.id, house.requests - 1))
    assert stored(house, arriving)["state"] == "approved"
    at_night(house)
    assert house.refused("HFC20", HFN=number) == [result("E9011")]
    assert house.send("HFC20", HFN=number, IKS="K").outputs == ()
    (started,) = house.advance(OPENING)
    assert (started.key, codes(started)) == (number, ["SZHFC"])


# HFE20, IHF -----------------------------------------------------------------------------------------------------------


def test_change_after_the_approval(house: House) -> None:
    """HFE20 5 answers the input copy [spec]; what was approved is examined anew and is not approved meanwhile."""
    number = house.send("HFC", **application()).key
    outcome = house.send("HFE20", **application(KND="5", HFN=number, EDT="20261130"))
    assert (outcome.key, codes(outcome)) == (number, ["SZHFA"])
    assert [shown(outcome.outputs[0]).text(item) for item in ("STS", "EDT", "APD")] == ["2", "20261130", ""]
    assert stored(house, number)["state"] == "under-examination"
    assert approvals("SMPLBL0001", house.context()) == []
    decide(house, number)
    assert [event["number"] for event in approvals("SMPLBL0001", house.context())] == [number]


def test_change_decided_by_a_rule(house: House) -> None:
    """Rules for HFE20 say when customs decides a changed application."""
    house.examinations.by_code["HFE20"] = Examination("documents", timedelta(seconds=30))
    number = house.send("HFC", **application()).key
    house.send("HFE20", **application(KND="5", HFN=number))
    (decided,) = house.advance(MORNING + timedelta(seconds=30))
    assert (decided.key, codes(decided)) == (number, ["SZHFC"])


def test_change_and_withdrawal_while_waiting(house: House) -> None:
    """What waits goes on waiting with what it names now; a withdrawn one does not start."""
    at_night(house)
    kept, gone = (house.send("HFC", **application(IKS="K")).key for _ in range(2))
    house.send("HFE20", **application(KND="5", HFN=kept, EDT="20261130"))
    outcome = house.send("HFE20", KND="1", HFN=gone)
    assert (codes(outcome), shown(outcome.outputs[0]).text("STS")) == (["SZHFA"], "9")
    (started,) = house.advance(OPENING)
    assert (started.key, shown(started.outputs[0]).text("EDT")) == (kept, "20261130")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"KND": "9"}, [result("S9004", "KND")]),
        ({"IEI": "", "VSC": ""}, [result("S9001", "IEI"), result("S9001", "VSC")]),
        ({"CG_": []}, [result("S9001", "CG_", 1)]),
        ({"EDT": "20261119"}, [result("R9002", "EDT")]),
        ({"HFN": "9999999999S"}, [result("E9001", "HFN")]),
        ({"CG_": ["NONE1"]}, [result("E9006", "CG_", 1)]),
    ],
)
def test_change_refusals(house: House, changes: Items, expected: list[str]) -> None:
    """A change is a whole application; of what is not applied for yet E9013, of somebody else's U9003."""
    number = house.send("HFC", **application()).key
    assert house.refused("HFE20", **application(KND="5", HFN=number) | changes) == expected
    assert house.refused("HFE20", KND="1", HFN=register(house)) == [result("E9013", "HFN")]
    house.user = STRANGER
    assert house.refused("HFE20", KND="1", HFN=number) == [result("U9003", "HFN")]


def test_inquiry(house: House) -> None:
    """IHF: M output alone; the applicant and his 申告可能者 may ask (7), others U9001."""
    number = register(house)
    outcome = house.send("IHF", HFN=number)
    (answer,) = outcome.outputs
    assert (outcome.notice, answer.code, answer.kind) == (False, "SZIHF", "M")
    assert [shown(answer).text(item) for item in ("RES", "HFN", "STS")] == ["00000-0000-0000", number, "1"]
    assert house.refused("IHF", HFN="9999999999S") == [result("E9001", "HFN")]
    house.user = STRANGER
    assert house.refused("IHF", HFN=number) == [result("U9001", "HFN")]
    house.user = BROKER
    house.send("UKY", KND="9", RCD=["2OTHR"])
    house.user = STRANGER
    assert shown(house.send("IHF", HFN=number).outputs[0]).text("HFN") == number
