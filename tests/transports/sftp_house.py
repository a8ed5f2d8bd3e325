"""What the SFTP tests share: a small house (submit, trays, doorkeeper, history in memory) and a listener before it.

::

    async with serving() as house:
        async with house.client() as sftp:
            await sftp.put(...)
        assert house.taken[0].content == b"..."
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

from sekisho.codecs.envelope import Envelope
from sekisho.transports.base import Receipt, TrayError, Verdict, Waiting
from sekisho.transports.sftp import Kept, SftpLimits, SftpListener

BOX = "BRK001"
PASSWORD = "BOXPASS1"
OTHER = "FWD002"
NOON = 1_760_000_000_000_000
"""2025-10-09 17:53:20 in Japan."""
DAY = "20251009"


def letter(number: int, content: bytes, output_code: str = "SAS1360", key: str = "") -> Waiting:
    """A letter as a tray shows it."""
    return Waiting(number, number, 7, len(content), len(content) + 200, NOON, output_code, "OLA", "1ANACA0A", "C",
                   "", key, False)  # fmt: skip


@dataclass
class House:
    """Everything behind the door. ``taken`` are the envelopes; ``answer`` makes the receipts."""

    boxes: dict[str, dict[int, tuple[Waiting, bytes]]] = field(default_factory=lambda: {BOX: {}, OTHER: {}})
    passwords: dict[str, str] = field(default_factory=lambda: {BOX: PASSWORD, OTHER: PASSWORD})
    keys: dict[str, str] = field(default_factory=dict)
    taken: list[Envelope] = field(default_factory=list)
    collected: list[tuple[str, int, str, str]] = field(default_factory=list)
    unread: set[int] = field(default_factory=set)
    answer: Callable[[Envelope], Awaitable[Receipt]] | None = None
    tray_fault: str = ""
    door_fault: str = ""
    listings: int = 0
    guesses: int = 0
    listener: SftpListener = field(init=False)
    host_key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))

    def add(self, number: int, content: bytes, output_code: str = "SAS1360", key: str = "", box: str = BOX) -> Waiting:
        """Put a letter into a box."""
        made = letter(number, content, output_code, key)
        self.boxes[box][number] = (made, content)
        return made

    # Submit
    async def submit(self, envelope: Envelope) -> Receipt:
        if self.answer is not None:
            receipt = await self.answer(envelope)
            if receipt.verdict is not Verdict.ACCEPTED:
                return receipt
        self.taken.append(envelope)
        return Receipt(Verdict.ACCEPTED, "OK", len(self.taken))

    # Tray
    def waiting(self, box: str) -> list[Waiting]:
        self.listings += 1
        return [made for made, _ in self.boxes.get(box, {}).values()]

    def content(self, number: int) -> bytes:
        for letters in self.boxes.values():
            if number in letters:
                return letters[number][1]
        raise TrayError("this letter is not kept any more")

    def mail(self, number: int) -> bytes:
        return self.content(number)

    async def collect(self, box: str, numbers: Sequence[int], door: str, peer: str) -> None:
        await asyncio.sleep(0)
        if self.tray_fault:
            raise TrayError(self.tray_fault)
        for number in numbers:
            self.boxes[box].pop(number, None)
            self.collected.append((box, number, door, peer))

    def lock(self, box: str) -> bool:
        return bool(box)

    def unlock(self, box: str) -> None:
        """Nothing is locked here."""

    # Doorkeeper
    async def password(self, door: str, box: str, password: str, peer: str) -> str | None:
        assert (door, peer) == ("sftp", "127.0.0.1")
        if self.door_fault:
            raise TrayError(self.door_fault)
        self.guesses += 1
        return box.upper() if self.passwords.get(box.upper()) == password else None

    async def apop(self, box: str, banner: str, digest: str, peer: str) -> str | None:
        raise AssertionError((box, banner, digest, peer))

    async def public_key(self, door: str, box: str, key: str, peer: str) -> str | None:
        assert (door, peer) == ("sftp", "127.0.0.1")
        return box.upper() if self.keys.get(box.upper()) == key else None

    # History
    def sent(self, box: str, limit: int) -> list[Kept]:
        return [kept for kept in self._kept(box) if kept.number not in self.unread][-limit:]

    def quarantined(self, box: str, limit: int) -> list[Kept]:
        return [kept for kept in self._kept(box) if kept.number in self.unread][-limit:]

    def raw(self, number: int) -> bytes:
        return self.taken[number - 1].raw

    def _kept(self, box: str) -> list[Kept]:
        return [
            Kept(number, one.transport_id.split("|")[0], len(one.raw), NOON)
            for number, one in enumerate(self.taken, 1)
            if one.principal == box
        ]

    # Clients
    @property
    def port(self) -> int:
        """Where the listener listens."""
        return self.listener.address[1]

    async def emptied(self) -> None:
        """Wait until nobody is connected."""
        async with asyncio.timeout(10):
            while self.listener.open_connections:  # noqa: ASYNC110 (the listener has no event for it)
                await asyncio.sleep(0.01)

    async def connect(
        self,
        box: str = BOX,
        password: str | None = PASSWORD,
        **options: Any,  # noqa: ANN401 (asyncssh's own)
    ) -> asyncssh.SSHClientConnection:
        """An SSH connection of a foreign library; its host key is checked."""
        return await asyncssh.connect(
            "127.0.0.1",
            self.port,
            username=box,
            password=password,
            known_hosts=([self.host_key.convert_to_public()], [], []),
            config=None,
            agent_path=None,
            **{"client_keys": None, **options},
        )

    @contextlib.asynccontextmanager
    async def client(self, box: str = BOX, **options: Any) -> AsyncIterator[asyncssh.SFTPClient]:  # noqa: ANN401 (same)
        """An SFTP client of a foreign library."""
        async with await self.connect(box, **options) as connection, connection.start_sftp_client() as sftp:
            yield sftp


@contextlib.asynccontextmanager
async def serving(limits: SftpLimits | None = None, **parts: Any) -> AsyncIterator[House]:  # noqa: ANN401 (House's fields)
    """A listener on a free port before a new house."""
    house = House(**parts)
    house.listener = SftpListener(
        name="drop",
        host="127.0.0.1",
        port=0,
        submit=house.submit,
        tray=house,
        doorkeeper=house,
        history=house,
        host_keys=[house.host_key],
        limits=limits,
    )
    await house.listener.start()
    try:
        yield house
    finally:
        await house.listener.stop(0.5)


def known_hosts(house: House, folder: Path) -> Path:
    """A known_hosts file for OpenSSH's programs."""
    path = folder / "known_hosts"
    key = house.host_key.export_public_key("openssh").decode("ascii").split()
    path.write_text(f"[127.0.0.1]:{house.port} {key[0]} {key[1]}\n", "ascii")
    return path


def user_key(house: House, folder: Path, box: str = BOX) -> Path:
    """A private key file that opens the box; made for the test."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    house.keys[box] = " ".join(key.export_public_key("openssh").decode("ascii").split()[:2])
    path = folder / f"key-{box}"
    path.write_bytes(key.export_private_key("openssh"))
    path.chmod(0o600)
    return path
