"""Foreign clients fetch from the POP3 listener: byte for byte, kept and fetched again, deleted, plain and over TLS."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .boxes import NAME, House, letter, make_keys, opened
from .pop3_clients import ALL, Client, told

HARD = [
    letter(1),
    letter(2, b"   *SOLA  ".ljust(398) + b"\r\n" + b"".join(b"." * n + b"\r\n" for n in range(1, 9))),
    letter(3, "   SAS1360 申告 輸入許可\r\nFrom nobody\r\n>From x\r\n \r\n\r\n\r\n".encode("euc_jp")),
    letter(4, b"x" * 990 + b"\r\n" + bytes(range(0xA1, 0xFF)) + b"\r\n"),
    letter(5, b""),
    letter(6, b"one line\r\n" * 20_000),
]
"""Dots at line starts, EUC-JP, blank lines at the end, a line of the longest kind, no body, more than a buffer."""

CASES = [
    pytest.param(
        client,
        tls,
        id=f"{client.program}-{tls or 'plain'}",
        marks=[pytest.mark.peer(client.program)] if client.program != "poplib" else [],
    )
    for client in ALL
    for tls in client.can
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can come to: pytest's own are root's alone when root runs it."""
    with tempfile.TemporaryDirectory(prefix="pop3-client-") as name:
        yield Path(name)


@pytest.mark.parametrize(("kind", "tls"), CASES)
async def test_collect_keep_and_delete(kind: type[Client], tls: str, folder: Path) -> None:
    """A client leaves letters on the server and gets each once; then takes them away; nothing is lost or changed."""
    keys, house = make_keys(folder), House(HARD)
    server = keys.server() if tls else None
    async with opened(house, tls=server, implicit_tls=tls == "implicit", require_tls=bool(tls)) as listener:
        client = kind(folder, listener.address[1], tls, keys)
        for _ in range(2):
            assert await asyncio.to_thread(client.collect, keep=True)
            assert told(client, HARD) == [[at] for at in range(len(HARD))]
        assert len(house.boxes[NAME]) == len(HARD)
        new = letter(7, b"new\r\n")
        house.boxes[NAME][7] = new
        for _ in range(2):
            assert await asyncio.to_thread(client.collect)
            assert told(client, [*HARD, new]) == [[at] for at in range(len(HARD) + 1)]
            assert house.boxes[NAME] == {}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.peer(kind.program)) for kind in ALL if kind.program != "poplib"]
)
async def test_a_wrong_password_is_understood(kind: type[Client], folder: Path) -> None:
    """The client says that it failed, and has nothing."""
    house = House(HARD)
    async with opened(house) as listener:
        client = kind(folder, listener.address[1], password="WRONG")
        assert not await asyncio.to_thread(client.collect)
        assert client.stored == []
        assert len(house.boxes[NAME]) == len(HARD)
