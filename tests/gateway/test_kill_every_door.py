"""kill -9 at random while requests come by mail style, SFTP and ebMS, and letters leave by POP3 and SFTP.

Short form: twenty kills. ``SEKISHO_KILLS=1000`` makes as many of them (R1, R12, R14).
"""

import asyncio
import json
import os
import random
import sqlite3
import sys
from collections import Counter
from pathlib import Path

import pytest

from sekisho.gateway.passwords import hash_password
from sekisho.gateway.proof.wire import CENTRE, PASSWORD, address, box, user_id
from sekisho.mailboxes.letters import Account, Box
from sekisho.mailboxes.sqlite import SqliteStore

from .door_parties import PASSWORD as BOX_PASSWORD
from .door_parties import EbmsSender, Fetched, MailSender, Sender, SftpSender, fetch_files, fetch_mails, fetching
from .msh_house import profile, table_of
from .support import Desk, served, settings_of, store_file

KILLS = int(os.environ.get("SEKISHO_KILLS", "20"))
SENDERS = (MailSender, SftpSender, EbmsSender)
DOORS = ("pop3", "sftp", "pop3")
"""How each sender's letters are fetched."""
REPLIES = {"*SOLA", "SAS1360"}
TOML = f"""
[[listener]]
name = "mail"
mode = "mail"
address = "127.0.0.1:0"
centre = ["{CENTRE}"]
[[listener]]
name = "pop3"
kind = "pop3"
address = "127.0.0.1:0"
[[listener]]
name = "sftp"
kind = "sftp"
address = "127.0.0.1:0"
[[listener]]
name = "http"
kind = "http"
address = "127.0.0.1:0"
[log]
level = "warning"
[limits]
free_disk_bytes = 100_000_000
""" + table_of(profile(box=box(2)))


def _prepare(folder: Path) -> None:
    settings_of(folder, TOML)
    store = SqliteStore(store_file(folder), clock_us=lambda: 1)
    hashed, opened = hash_password(PASSWORD), hash_password(BOX_PASSWORD)
    with store.transaction() as unit:
        for number, door in enumerate(DOORS):
            unit.put_box(Box(box(number), address(number), (door,), password_hash=opened))
            unit.put_account(Account(user_id(number), hashed, mail_from=(address(number),), box=box(number)))
    store.close()


def _effects(folder: Path) -> Counter[str]:
    """How many registrations the store has of each reference; its integrity first."""
    connection = sqlite3.connect(f"file:{store_file(folder)}?mode=ro", uri=True)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = connection.execute("SELECT data FROM record WHERE kind = 'bonded-transport'").fetchall()
    finally:
        connection.close()
    return Counter(json.loads(row[0])["items"]["REF"] for row in rows)


async def _cycle(desk: Desk, senders: list[Sender], boxes: list[Fetched], chance: random.Random) -> None:
    """Everybody works until the gateway is killed."""
    work = [asyncio.create_task(sender.run(desk)) for sender in senders]
    work += [asyncio.create_task(fetching(desk, one, DOORS[at], chance)) for at, one in enumerate(boxes)]
    await asyncio.sleep(chance.uniform(0.3, 1.3))
    desk.served.kill()
    await desk.served.wait()
    await asyncio.wait_for(asyncio.gather(*work), 30)


async def _empty(desk: Desk, boxes: list[Fetched]) -> None:
    """Fetch what is there, and find nothing after it."""
    for door, one in zip(DOORS, boxes, strict=True):
        for _ in range(2):
            left = (
                await asyncio.to_thread(fetch_mails, desk, one, lambda: 1.0)
                if door == "pop3"
                else await fetch_files(desk, one, lambda: 1.0)
            )
        assert left == 0


def _letters(one: Fetched) -> Counter[tuple[str, str]]:
    """Reference and output code of every letter that was read, each UIDL or path once."""
    heads = (next(iter(contents)) for contents in one.letters.values())
    return Counter((head[219:245].decode().rstrip(), head[8:15].decode().rstrip()) for head in heads)


@pytest.mark.timeout(max(300, 20 * KILLS))
async def test_kill_9_while_every_door_is_used(tmp_path: Path) -> None:
    """R1, R12, R14: nothing acknowledged is lost, nothing happens twice, no letter is lost or changes.

    A letter comes again only of a session without QUIT or remove, or because its request came again; the same ebMS
    message hears the same bytes, before and after a restart.
    """
    _prepare(tmp_path)
    chance = random.Random(11)
    senders: list[Sender] = [kind(number) for number, kind in enumerate(SENDERS)]
    boxes = [Fetched(box(number)) for number in range(len(SENDERS))]
    for _ in range(KILLS):
        async with served(tmp_path, TOML) as desk:
            await _cycle(desk, senders, boxes, chance)
            for sender in senders:
                if isinstance(sender, EbmsSender):
                    await sender.peer.close()
    async with served(tmp_path, TOML) as desk:
        for sender in senders:
            while sender.reference not in sender.yes:
                sender.tries[sender.reference] += 1
                sender.answers[sender.reference].add(await sender.send(desk, sender.reference))
                sender.yes.add(sender.reference)
        await desk.processed(sum(len(sender.yes) for sender in senders))
        await _empty(desk, boxes)
        effects = _effects(tmp_path)
        acknowledged = {reference for sender in senders for reference in sender.yes}
        assert effects == Counter(acknowledged)
        assert any(tries > 1 for sender in senders for tries in sender.tries.values()), "nothing was interrupted"
        assert any(one.unfinished for one in boxes), "no fetching was interrupted"
        for sender, one in zip(senders, boxes, strict=True):
            assert len(sender.yes) > KILLS / 2, type(sender)
            assert {len(contents) for contents in one.letters.values()} == {1}, "a letter has changed"
            assert _letters(one) == Counter((reference, code) for reference in sender.yes for code in REPLIES)
            sent_again = {reference for reference, tries in sender.tries.items() if tries > 1}
            for name in one.again:
                assert next(iter(one.letters[name]))[219:245].decode().rstrip() in sent_again, name
        await _storm(desk, tmp_path, senders, boxes)
        for sender in senders:
            if isinstance(sender, EbmsSender):
                assert {len(answers) for answers in sender.answers.values()} == {1}
                await sender.peer.close()


HASTY = """
from sekisho.gateway.app import Gateway
from sekisho.gateway.proof.house import HastyClerk

Gateway.__init__.__defaults__ = (None, HastyClerk)
from sekisho.gateway.cli import main
main()
"""
"""A gateway that says yes a little before its commit."""


async def test_a_yes_before_the_commit_is_found_out(tmp_path: Path) -> None:
    """The control: the same senders and the same count of effects find what a hasty gateway has lost."""
    _prepare(tmp_path)
    chance = random.Random(5)
    senders: list[Sender] = [kind(number) for number, kind in enumerate(SENDERS)]
    lost: set[str] = set()
    for _ in range(12):
        async with served(tmp_path, TOML, program=[sys.executable, "-P", "-c", HASTY]) as desk:
            await _cycle(desk, senders, [], chance)
        async with served(tmp_path, TOML) as desk:  # what had been kept is processed now
            await desk.processed(0)
            for sender in senders:
                if isinstance(sender, EbmsSender):
                    await sender.peer.close()
        lost = {reference for sender in senders for reference in sender.yes} - set(_effects(tmp_path))
        if lost:
            break
    assert lost


async def _storm(desk: Desk, folder: Path, senders: list[Sender], boxes: list[Fetched]) -> None:
    """R12: old requests five times at once on every transport, after restarts: one effect, the same reply bytes."""
    before = _effects(folder), [_letters(one) for one in boxes], len(desk.requests)
    for sender in senders:
        for reference in sorted(sender.yes)[:: max(1, len(sender.yes) // 4)]:
            said = await asyncio.gather(*(sender.send(desk, reference) for _ in range(5)))
            sender.answers[reference].update(said)
    await _empty(desk, boxes)
    assert (_effects(folder), [_letters(one) for one in boxes], len(desk.requests)) == before
    assert {len(contents) for one in boxes for contents in one.letters.values()} == {1}
