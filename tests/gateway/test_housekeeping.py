"""Retention, and what is done now and then (naccs-edi.md 6.1; issue 2, "Store")."""

import asyncio
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from sekisho.gateway.clock import JAPAN, from_us, to_us
from sekisho.gateway.housekeeping import dropped_before
from sekisho.mailboxes.letters import NewLetter, NewRequest
from sekisho.mailboxes.store import Unit

from .support import Desk, house


def _shelved(unit: Unit) -> None:
    account = unit.account("1ANACA0B")
    assert account is not None
    unit.put_account(replace(account, box="SHELF"))


def _at(moment: str, more: str = "") -> str:
    return f'[gateway]\nclock = "{moment}"\n{more}'


@pytest.mark.parametrize(
    ("now", "days", "first_kept"),
    [
        ("2025-10-07T23:59:59", 7, "2025-10-01T00:00:00"),
        ("2025-10-08T00:00:00", 7, "2025-10-02T00:00:00"),
        ("2025-10-01T12:00:00", 1, "2025-10-01T00:00:00"),
        ("2025-01-03T00:00:01", 7, "2024-12-28T00:00:00"),
    ],
)
def test_days_are_those_of_japan_with_the_first_one(now: str, days: int, first_kept: str) -> None:
    """Seven days, the day of delivery included; days begin at midnight in Japan [spec]."""
    at = to_us(datetime.fromisoformat(now).replace(tzinfo=JAPAN))
    assert f"{from_us(dropped_before(at, days)):%Y-%m-%dT%H:%M:%S}" == first_kept


async def _two(desk: Desk) -> None:
    """One letter that is delivered and one that nobody fetches."""
    await desk.ask(desk.request("TCC", carry="PUSHED"))
    await desk.post(desk.request("TCC", user="1ANACA0B", carry="SHELVED"))
    await desk.processed(2)
    await desk.until(lambda view: view.letters_of(1)[0].delivered_at)


async def _left(desk: Desk) -> set[str]:
    """The boxes that still hold a letter, after a round of purging."""
    await desk.gateway.housekeeping.purge()
    return {letter.box for letter in desk.letters()}


@pytest.mark.parametrize(("later", "left"), [("2025-10-07T23:59:30", True), ("2025-10-08T00:00:00", False)])
async def test_seven_days(tmp_path: Path, later: str, left: bool) -> None:
    """A letter of 1 October is there on the 7th and gone on the 8th, fetched or not; its request stays (90 days)."""
    async with house(tmp_path, _at("2025-10-01T09:00"), change=_shelved) as desk:
        await _two(desk)
    async with house(tmp_path, _at(later)) as desk:
        assert await _left(desk) == ({"BRK", "SHELF"} if left else set())
        assert len(desk.requests) == 2


async def test_fetched_and_unfetched_apart(tmp_path: Path) -> None:
    """Both periods are settings; after a disaster the one for unfetched letters is extended (naccs-edi.md 6.1)."""
    keep = "[store]\nretention_days = 30\nretention_fetched_days = 2\n"
    async with house(tmp_path, _at("2025-10-01T09:00"), change=_shelved) as desk:
        await _two(desk)
    async with house(tmp_path, _at("2025-10-03T09:00", keep)) as desk:
        assert await _left(desk) == {"SHELF"}
    async with house(tmp_path, _at("2025-10-31T09:00", keep)) as desk:
        assert await _left(desk) == set()


async def test_journal(tmp_path: Path) -> None:
    """A finished request goes with its bytes after ``journal_days``, never before its letters."""
    async with house(tmp_path, _at("2025-10-01T09:00"), change=_shelved) as desk:
        await _two(desk)
    keep = "[store]\nretention_days = 60\njournal_days = 30\n"
    async with house(tmp_path, _at("2025-11-15T09:00", keep)) as desk:
        assert await _left(desk) == {"SHELF"}
        assert [request.carry for request in desk.requests] == ["SHELVED"]
    async with house(tmp_path, _at("2025-12-15T09:00", keep)) as desk:
        assert await _left(desk) == set()
        assert desk.requests == []


async def test_many_letters_go_in_small_pieces(tmp_path: Path) -> None:
    """Purging thousands of letters does not make a sender wait for one long commit."""

    def much(unit: Unit) -> None:
        number = unit.journal(NewRequest("lane", "idem", "two-way", "", 1, "", "", "", b"x", b"x", "bare"))
        unit.finish(number, state=1, result="", key="", at=1)
        for part in range(3000):
            content = f"{part}".encode()
            unit.add_letter(NewLetter(number, part, "SHELF", "1ANAC", "TCC", "X", "C", "Q", "", content, 1))

    async with house(tmp_path, change=much) as desk:
        before = desk.store.commits
        await desk.until(lambda view: not view.undelivered(["SHELF"]))
        assert desk.store.commits - before >= 3
        await desk.ask(desk.request("TCC"))


async def test_delivered_marks_need_no_company(tmp_path: Path) -> None:
    """A delivered mark rides in the next commit, and gets one of its own if nobody comes (decisions, "Commit")."""
    async with house(tmp_path) as desk:
        await desk.ask(desk.request("TCC"))
        await desk.until(lambda view: view.letters_of(1)[0].delivered_at, seconds=2)
        commits = desk.store.commits
        await asyncio.sleep(0.6)
        assert desk.store.commits == commits, "an idle gateway writes nothing"
