"""Trays: issue clause "One mailbox, every door"; transports/base.py, "Tray"."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from sekisho.mailboxes.store import Unit
from sekisho.transports.base import TrayError

from .support import house


def _doors(*doors: str, push: str = "127.0.0.1:9") -> object:
    """A change of the store: the broker's box has these doors; nobody listens where it pushes to."""

    def change(unit: Unit) -> None:
        box = unit.box("BRK")
        assert box is not None
        unit.put_box(replace(box, doors=doors, push=push))

    return change


async def test_the_mail_of_a_tray_is_the_mail_that_is_pushed(tmp_path: Path) -> None:
    """The letterhead is one: what POP3 gives is, byte for byte, what the push door sent; and its size was foretold."""
    async with house(tmp_path) as desk:
        await desk.ask(desk.request("TCC"))
        (letter,) = desk.letters("BRK")
        pushed = desk.inhouse.arrivals[0]
        mail = desk.gateway.trays.mail(letter.number)
        assert mail.endswith(pushed.content)
        assert f"Message-ID: {pushed.transport_id}\r\n".encode() in mail
        assert desk.gateway.trays.content(letter.number) == pushed.content


async def test_sizes_are_those_of_the_mails(tmp_path: Path) -> None:
    """RFC 1939: LIST tells the exact octets of RETR, for uids of one digit and of more, notices and interchanges."""
    async with house(tmp_path, change=_doors("pop3")) as desk:  # type: ignore[arg-type]
        for _ in range(11):
            assert (await desk.post(desk.request("TCC"))).accepted
        await desk.processed(11)
        waiting = desk.gateway.trays.waiting("BRK")
        assert [letter.uid for letter in waiting] == list(range(1, 12))
        for letter in waiting:
            assert len(desk.gateway.trays.mail(letter.number)) == letter.mail_size
            assert len(desk.gateway.trays.content(letter.number)) == letter.size


async def test_what_is_collected_is_not_pushed(tmp_path: Path) -> None:
    """A letter that is fetched while its push rests is gone from the push door in the same transaction."""
    async with house(tmp_path, change=_doors("smtp-push", "pop3")) as desk:  # type: ignore[arg-type]
        assert (await desk.post(desk.request("TCC"))).accepted
        (letter,) = await desk.until(lambda view: view.waiting("BRK"))
        await desk.gateway.trays.collect("BRK", [letter.number], "pop3", "127.0.0.1")
        assert desk.gateway.trays.waiting("BRK") == []
        found = desk.letters("BRK")[0]
        assert (found.state, found.door, found.due_at) == ("delivered", "pop3", None)
        assert desk.read(lambda view: view.next_due()) is None
        assert desk.events("box.collected") == ["1 by pop3 from 127.0.0.1"]
        await desk.gateway.trays.collect("BRK", [letter.number], "sftp", "127.0.0.1")
        assert desk.letters("BRK")[0].door == "pop3"


async def test_a_repeated_request_fills_the_tray_again(tmp_path: Path) -> None:
    """One effect, the same replies again: at a box that is fetched from, the same letter waits under its uid."""
    async with house(tmp_path, change=_doors("pop3")) as desk:  # type: ignore[arg-type]
        request = desk.request("TCC")
        for again in (False, True):
            assert (await desk.post(request, message_id="<1@x.EXAMPLE>")).accepted
            (letter,) = await desk.until(lambda view: view.waiting("BRK"))
            assert (letter.number, letter.uid) == (1, 1)
            if not again:
                await desk.gateway.trays.collect("BRK", [1], "pop3", "127.0.0.1")


async def test_a_box_is_one_sessions(tmp_path: Path) -> None:
    """lock: exclusive until it is given back."""
    async with house(tmp_path) as desk:
        trays = desk.gateway.trays
        assert trays.lock("BRK")
        assert not trays.lock("BRK")
        assert trays.lock("FWD")
        trays.unlock("BRK")
        assert trays.lock("BRK")


async def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    """A purged letter is a TrayError; an unknown box is empty."""
    async with house(tmp_path) as desk:
        assert desk.gateway.trays.waiting("NONE") == []
        for read in (desk.gateway.trays.mail, desk.gateway.trays.content):
            with pytest.raises(TrayError):
                read(99)


async def test_a_clerk_that_stopped_collects_nothing(tmp_path: Path) -> None:
    """Nobody is told that letters are gone when that could not be written."""
    async with house(tmp_path, change=_doors("pop3")) as desk:  # type: ignore[arg-type]
        assert (await desk.post(desk.request("TCC"))).accepted
        (letter,) = await desk.until(lambda view: view.waiting("BRK"))
        await desk.gateway.clerk.stop()
        desk.gateway.clerk._dead = True
        with pytest.raises(TrayError):
            await desk.gateway.trays.collect("BRK", [letter.number], "pop3", "127.0.0.1")
        assert len(desk.gateway.trays.waiting("BRK")) == 1
        desk.gateway.failure = RuntimeError("stopped by the test")


async def test_who_is_cut_while_collecting_has_collected(tmp_path: Path) -> None:
    """A session that ends between QUIT and its answer: the commit counts, and the courier is told all the same."""
    async with house(tmp_path, change=_doors("smtp-push", "pop3")) as desk:  # type: ignore[arg-type]
        assert (await desk.post(desk.request("TCC"))).accepted
        (letter,) = await desk.until(lambda view: view.waiting("BRK"))
        told = []
        desk.gateway.trays._on_collected = lambda box, numbers: told.append((box, list(numbers)))
        session = asyncio.create_task(desk.gateway.trays.collect("BRK", [letter.number], "pop3", "127.0.0.1"))
        await asyncio.sleep(0)
        session.cancel()
        await desk.until(lambda view: not view.waiting("BRK"))
        await asyncio.sleep(0.05)
        assert session.cancelled()
        assert told == [("BRK", [letter.number])]
