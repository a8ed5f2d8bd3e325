"""OLC20: procedures 9 and 16, decisions "Replies of step one"."""

import pytest

from sekisho.codecs.results import Refusal
from sekisho.handlers.examined import APPROVED
from sekisho.handlers.kit import SENDER, Party

from .house import BROKER, CARGO, STRANGER, House, result, written
from .test_bonded_registration import draft, register, shown, stored


def overtime(house: House, **changes: str) -> str:
    """Register a 時間外執務要請届 of today and give its number."""
    items = {"SYC": "1", "ZKN": "1A", "RSY": "20261120", "RSH": "1000", "REY": "20261120", "REH": "1100"}
    return house.send("OSA", **items | changes).key


def test_plain_start_is_approved_at_once(house: House) -> None:
    """簡易審査: *SOLC20 with the number, P SAS0371 to the declarant, P SAS0411 to the departure place (9.4)."""
    number = register(house)
    outcome = house.send("OLC20", OLT=number)
    notice, cargo = outcome.outputs
    assert (outcome.key, outcome.notice) == (number, True)
    assert (notice.code, notice.kind, notice.to) == ("SAS0371", "P", SENDER)
    assert (cargo.code, cargo.kind, cargo.to) == ("SAS0411", "P", Party(place="1AW01"))
    data = stored(house, number)
    assert (data["state"], data["declaration_request"]) == (APPROVED, 2)
    assert data["declared_at"] == data["approved_at"] == "2026-11-20T10:30:00+09:00"


def test_approval_outputs(house: House) -> None:
    """承認通知情報 and 承認貨物情報: the number, the dates, the period, and everything of the registration."""
    number = register(house)
    for output in house.send("OLC20", OLT=number).outputs:
        record = shown(output)
        expected = {
            "OLT": number,
            "ICT": "20261120",
            "APD": "20261120",
            "APN": number,
            "APS": "20261120",
            "APE": "20261127",
            "CHN": "TOKYO",
            "DPN": "SAMPLE WAREHOUSE",
            "CG_": "SMPLBL0001",
            "CM_": "FROZEN SHRIMP",
            "NTA": "冷凍品",
        }
        assert {key: record.text(key) for key in expected} == expected


def test_departure_from_a_discharge_place(house: House) -> None:
    """Where 船卸場所 is the departure place its user gets the cargo information (EXC)."""
    number = register(house, DPR="", BRT="1AC02")
    _, cargo = house.send("OLC20", OLT=number).outputs
    assert cargo.to == Party(place="1AC02")


def test_many_lines(house: House) -> None:
    """多欄: more rows than the setting many_lines_over, default 1, go on SAS0381 and SAS0421 (9.4)."""
    rows = ["SMPLBL0001", "SMPLBL0002"]
    many = house.send("OLC20", OLT=register(house, CG_=rows)).outputs
    assert [output.code for output in many] == ["SAS0381", "SAS0421"]
    assert shown(many[0]).texts("CM_")[:2] == ["FROZEN SHRIMP", "SALMON"]
    house.business["many_lines_over"] = 2
    few = house.send("OLC20", OLT=register(house, CG_=rows)).outputs
    assert [output.code for output in few] == ["SAS0371", "SAS0411"]


def test_the_copy_sent_back_declares(house: House) -> None:
    """A SAS1360 body under OLC20 declares too [spec]; only OLT and IKS of it count (9.3)."""
    outcome = house.send("OLA", **draft())
    body = written(outcome.outputs[0]).replace(b"20261127", b"2026ZZ27")
    assert b"2026ZZ27" in body
    assert house.send_body("OLC20", body).key == outcome.key
    assert stored(house, outcome.key)["items"]["EDT"] == "20261127"


def test_the_copy_without_a_number(house: House) -> None:
    """The long form answers S0001 like the short one."""
    outcome = house.send("OLA", **draft())
    body = written(outcome.outputs[0]).replace(outcome.key.encode(), b" " * 11)
    with pytest.raises(Refusal) as refused:
        house.send_body("OLC20", body)
    assert [str(code) for code in refused.value.results] == [result("S0001", "OLT")]


def test_single_items(house: House) -> None:
    """S0001 number missing, S0002 start kind out of range [spec]; the letters in use are settings (9.1)."""
    number = register(house)
    assert house.refused("OLC20") == [result("S0001", "OLT")]
    assert house.refused("OLC20", OLT=number, IKS="X") == [result("S0002", "IKS")]
    house.business |= {"start_at_opening": "1", "start_at_arrival": "2"}
    assert house.refused("OLC20", OLT=number, IKS="K") == [result("S0002", "IKS")]
    assert house.send("OLC20", OLT=number, IKS="2").outputs == ()


def test_record_and_owner(house: House) -> None:
    """E9001 unknown; another 利用者コード U0002 without an item [spec]; the notice of both carries the number."""
    number = register(house)
    assert house.refused("OLC20", OLT="9999999999T") == [result("E9001", "OLT")]
    house.user = STRANGER
    with pytest.raises(Refusal) as refused:
        house.send("OLC20", OLT=number)
    assert ([str(code) for code in refused.value.results], refused.value.key) == ([result("U0002")], number)


def test_twice(house: House) -> None:
    """What is approved cannot be declared again: E9004."""
    number = register(house)
    house.send("OLC20", OLT=number)
    assert house.refused("OLC20", OLT=number) == [result("E9004", "OLT")]


def test_declared_and_not_yet_approved(house: House) -> None:
    """What is declared or waits for its start is E9002, whatever its examination."""
    number = register(house)
    for state in ("declared", "under-examination", "waiting-for-opening", "waiting-for-arrival"):
        house.records.put("bonded-transport", number, stored(house, number) | {"state": state})
        assert house.refused("OLC20", OLT=number) == [result("E9002", "OLT")]


def test_cargo_must_be_known(house: House) -> None:
    """E0002 names no item [spec]; when the cargo has come in the same draft is approved."""
    number = register(house, CG_=["SMPLBL0001", "LATER00001"])
    assert house.refused("OLC20", OLT=number) == [result("E0002")]
    house.records.kept["cargo", "LATER00001"] = CARGO
    assert house.send("OLC20", OLT=number).key == number


def test_outside_hours(house: House) -> None:
    """A plain declaration outside 開庁時間 needs an OSA: E9011, collected with what else the records say (9.1)."""
    house.hours.closed.add("1A")
    number = register(house, CG_=["LATER00001"])
    assert house.refused("OLC20", OLT=number) == [result("E0002"), result("E9011")]


def test_overtime_opens_the_office(house: House) -> None:
    """An OSA of the sender's 利用者コード that covers the moment stands for 開庁時間 (9.1)."""
    house.hours.closed.add("1A")
    number = register(house)
    house.hours.names["1B"] = "OSAKA"
    hours = {"ZKN": "1A", "RSH": "1000", "REH": "1100"}
    for wrong in ({"ZKN": "1B"}, {"RSH": "1031"}, {"REH": "1029"}):
        overtime(house, **hours | wrong)
        assert house.refused("OLC20", OLT=number) == [result("E9011")]
    house.user = STRANGER
    overtime(house, **hours)
    house.user = BROKER
    assert house.refused("OLC20", OLT=number) == [result("E9011")]
    overtime(house, **hours)
    assert house.send("OLC20", OLT=number).key == number


def test_office_by_setting(house: House) -> None:
    """A draft without 申告官署コード goes by the setting default_office; without either it is always open."""
    house.hours.closed.add("1A")
    number = register(house, CHC="")
    house.business["default_office"] = "1A"
    assert house.refused("OLC20", OLT=number) == [result("E9011")]
    house.business.clear()
    assert house.send("OLC20", OLT=number).key == number
