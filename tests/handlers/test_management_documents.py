"""DLH01 and the ledger behind it: wire reference 6.2; the document itself is ours."""

import csv
from datetime import timedelta

import pytest

from sekisho.handlers.kit import SENDER
from sekisho.handlers.ledger import day_of, note

from .house import MORNING, STRANGER, House, result, written
from .test_air_cargo import slip, waybills

YESTERDAY = {"KND": "9", "DCN": "001", "SDT": "20261120", "EDT": "20261120"}


def next_day(house: House, hour: int, minute: int = 0) -> None:
    """Let a night pass."""
    house.advance((MORNING + timedelta(days=1)).replace(hour=hour, minute=minute))


def document(house: House) -> list[list[str]]:
    """Ask for yesterday's document and let it be worked off at once; its lines."""
    house.send("DLH01", **YESTERDAY)
    (outcome,) = house.advance(house.now)
    (output,) = outcome.outputs
    assert (output.code, output.kind, output.to) == ("CZDLH01", "P", SENDER)
    return list(csv.reader(written(output).decode("euc_jp").splitlines()))


def test_a_day_of_movements(house: House) -> None:
    """Accepted with W0001; the CSV has its head, the sender's own rows in order and their number."""
    number = slip(house, "A", "B")
    house.user = STRANGER
    slip_of_other = house.send("CDB01", AWB=["C"]).key
    next_day(house, 10)
    assert slip_of_other != number
    house.user = STRANGER
    assert document(house) == [
        ["年月日", "時刻", "業務コード", "番号", "貨物管理番号", "保税地域コード", "個数", "重量"],
        ["20261120", "1030", "CDB01", slip_of_other, "C", "", "", ""],
        ["件数", "1"],
    ]


def test_acceptance_is_a_warning(house: House) -> None:
    """W0001: the business is complete, the document comes later [spec]."""
    next_day(house, 10)
    outcome = house.send("DLH01", **YESTERDAY)
    assert [str(one) for one in outcome.results] == [result("W0001")]
    assert outcome.outputs == ()


@pytest.mark.parametrize(
    ("hour", "minute", "days", "at"),
    [(8, 59, 0, (9, 0)), (9, 0, 0, (9, 0)), (18, 45, 0, (18, 45)), (18, 46, 1, (9, 0))],
)
def test_when_documents_are_worked_off(house: House, hour: int, minute: int, days: int, at: tuple[int, int]) -> None:
    """Between 09:00 and 18:45 [spec]: at once, else when it begins."""
    next_day(house, hour, minute)
    house.send("DLH01", **YESTERDAY)
    (planned,) = house.schedule.steps.values()
    assert planned.when.date() == house.now.date() + timedelta(days=days)
    assert (planned.when.hour, planned.when.minute) == at


def test_days_that_may_be_asked_for(house: House) -> None:
    """Strictly before today [spec]; in order; no more than the setting allows."""
    assert house.refused("DLH01", **YESTERDAY) == [result("S9003", "SDT"), result("S9003", "EDT")]
    next_day(house, 10)
    assert house.refused("DLH01", **YESTERDAY | {"SDT": "20261120", "EDT": "20261119"}) == [result("R9002", "EDT")]
    assert house.refused("DLH01", **YESTERDAY | {"SDT": "20261113"}) == [result("R9010", "EDT")]
    assert house.refused("DLH01", **YESTERDAY | {"SDT": "00010101"}) == [result("R9010", "EDT")]
    house.send("DLH01", **YESTERDAY | {"SDT": "20261114"})
    assert house.refused("DLH01", **YESTERDAY | {"KND": "1"}) == [result("S9004", "KND")]
    assert house.refused("DLH01", **YESTERDAY | {"DCN": "777"}) == [result("S9004", "DCN")]


def test_a_day_keeps_so_many_rows(house: House) -> None:
    """The rest is counted only; pages of a hundred follow each other in order."""
    house.business |= {"ledger_rows": 250, "management_rows": 100}
    for start in range(0, 300, 30):
        note([("BIN", "", f"C{n:03d}", "1AW01", n, "") for n in range(start, start + 30)], house.context())
    rows, count = day_of("1ANAC", "20261120", house.context())
    assert count == 300
    assert [row[3] for row in rows] == [f"C{n:03d}" for n in range(250)]
    next_day(house, 10)
    house.send("DLH01", **YESTERDAY)
    (outcome,) = house.advance(house.now)
    lines = [written(output).count(b"\r\n") - 2 for output in outcome.outputs]
    assert lines == [100, 100, 50]


def test_what_no_japanese_text_holds(house: House) -> None:
    """A cell is text that EUC-JP has; what it lacks is printed as 〓, and commas do not shift columns."""
    note([("BIN", "N,1", "😀", "1AW01", 1, "")], house.context())
    next_day(house, 10)
    assert document(house)[1][2:5] == ["BIN", "N,1", "〓"]


def test_import_waybills_are_no_movements(house: House) -> None:
    """Only what moves is listed; registering a waybill moves nothing."""
    waybills(house, "H")
    assert day_of("1ANAC", "20261120", house.context()) == ([], 0)
