"""kill -9 while files are put: what was answered is there once, what was not is there once after it is put again."""

import asyncio
import contextlib
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import asyncssh

from sekisho.gateway.passwords import hash_password
from sekisho.mailboxes.sqlite import SqliteStore

from .support import Desk, served, settings_of, store_file

BOX = "SHELF"
TOML = """
[[listener]]
name = "drop"
kind = "sftp"
address = "127.0.0.1:0"
"""


def _prepare(folder: Path) -> None:
    """The broker's user answers to a box that is fetched from by SFTP only."""
    settings_of(folder, TOML)
    store = SqliteStore(store_file(folder), clock_us=lambda: 1)
    with store.transaction() as unit:
        box, account = unit.box(BOX), unit.account("1ANACA0A")
        assert box is not None
        assert account is not None
        unit.put_box(replace(box, doors=("sftp",), password_hash=hash_password("BOXPASS1")))
        unit.put_account(replace(account, box=BOX))
    store.close()


class Sender:
    """Puts files until it is cut. ``answered`` had their OK; ``closing`` may be known to the house; others may not."""

    def __init__(self, name: str, content: bytes) -> None:
        self.name = name
        self.content = content
        self.answered: set[str] = set()
        self.closing: set[str] = set()
        self.never: set[str] = set()
        self.number = 0

    async def connect(self, desk: Desk) -> asyncssh.SSHClientConnection:
        host, _, port = desk.listeners["drop"].rpartition(":")
        return await asyncssh.connect(
            host, int(port), username=BOX, password="BOXPASS1", known_hosts=None, client_keys=None, config=None
        )

    async def put(self, sftp: asyncssh.SFTPClient, name: str) -> None:
        """By rename or by close; two clients of three give up in the middle now and then."""
        rename = self.number % 2 == 0
        self.never.add(name)
        file = await sftp.open(f"/in/{name}.tmp" if rename else f"/in/{name}", "wb")
        await file.write(self.content)
        if not rename:
            self.closing.add(name)
            self.never.discard(name)
        await file.close()
        if rename:
            self.closing.add(name)
            self.never.discard(name)
            await sftp.rename(f"/in/{name}.tmp", f"/in/{name}")
        self.answered.add(name)

    async def run(self, desk: Desk) -> None:
        with contextlib.suppress(asyncssh.Error, OSError):
            async with await self.connect(desk) as connection, connection.start_sftp_client() as sftp:
                while True:
                    self.number += 1
                    await self.put(sftp, f"{self.name}-{self.number}.edi")


async def test_kill_9_while_files_are_put(tmp_path: Path) -> None:
    """R1, R14 for SFTP: between write and close, between close and answer, at random; no loss, no second effect."""
    _prepare(tmp_path)
    chance = random.Random(7)
    content = b""
    senders: list[Sender] = []
    for _ in range(6):
        async with served(tmp_path, TOML) as desk:
            if not senders:
                content = desk.request("TCC")
                senders = [Sender(f"s{number}", content) for number in range(4)]
            tasks = [asyncio.create_task(sender.run(desk)) for sender in senders]
            await asyncio.sleep(0.4 + chance.random() * 0.3)
            desk.served.kill()
            await desk.served.wait()
            await asyncio.gather(*tasks)
    answered = {name for sender in senders for name in sender.answered}
    closing = {name for sender in senders for name in sender.closing}
    never = {name for sender in senders for name in sender.never}
    assert len(answered) > 20
    async with served(tmp_path, TOML) as desk:
        names = Counter(request.transport_id.split("|")[0] for request in desk.requests)
        assert max(names.values()) == 1
        assert answered <= set(names) <= closing
        assert not never & set(names)
        # Whose answer was not heard puts the same file again: it is the same request.
        unsure = closing - answered
        async with await senders[0].connect(desk) as connection, connection.start_sftp_client() as sftp:
            for name in sorted(unsure | set(sorted(answered)[:3])):
                async with sftp.open(f"/in/{name}", "wb") as file:
                    await file.write(content)
        await desk.processed(len(closing))
        names = Counter(request.transport_id.split("|")[0] for request in desk.requests)
        assert names == Counter(closing)
        replies = Counter(letter.request for letter in desk.letters(BOX))
        assert set(replies.values()) == {1}
        assert len(replies) == len(closing)
