"""The doorkeeper: transports/base.py, "Doorkeeper"; reliability 8, "failed logins: 3 then delay"."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sekisho.gateway.doorkeeper import Doors
from sekisho.gateway.passwords import Passwords, hash_password
from sekisho.mailboxes import open_store
from sekisho.mailboxes.letters import Box

HASH = hash_password("BOX PASS 1")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIx"


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    """A box with pop3 and sftp, one with the push door only, one for APOP; delays of 0.2 s."""
    store = open_store("memory", tmp_path, lambda: 1)
    with store.transaction() as unit:
        unit.put_box(Box("BRK001", "B@X.EXAMPLE", ("pop3", "sftp"), password_hash=HASH, keys=(f"{KEY} comment",)))
        unit.put_box(Box("PUSH01", "P@X.EXAMPLE", password_hash=HASH))
        unit.put_box(Box("APOP01", "A@X.EXAMPLE", ("pop3",), password_hash=HASH, secret="BOX PASS 1"))
        unit.put_box(Box("NOPASS", "N@X.EXAMPLE", ("pop3",)))
    made = Doors(store, Passwords(), tries=3, delay=0.2)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("door", "box", "password", "who"),
    [
        ("pop3", "BRK001", "BOX PASS 1", "BRK001"),
        ("sftp", "brk001", "BOX PASS 1", "BRK001"),
        ("smtp-auth", "PUSH01", "BOX PASS 1", "PUSH01"),
        ("pop3", "PUSH01", "BOX PASS 1", None),
        ("pop3", "BRK001", "box pass 1", None),
        ("pop3", "BRK001", "", None),
        ("pop3", "NOPASS", "", None),
        ("pop3", "NOPASS", "nobody", None),
        ("pop3", "NOBODY", "nobody", None),
        ("ebms", "BRK001", "BOX PASS 1", None),
    ],
)
async def test_who_comes_in(doors: Doors, door: str, box: str, password: str, who: str | None) -> None:
    """Name, password and door must be right; a sender's box need not have a door of its own."""
    assert await doors.password(door, box, password, "127.0.0.1") == who
    assert await doors.password(door, box, password, "127.0.0.1") == who  # from memory, too


async def test_guessing_is_slow_and_nobody_is_locked_out(doors: Doors) -> None:
    """After three failures of a name or an address every answer waits; the right password still comes in."""
    for _ in range(3):
        assert await doors.password("pop3", "BRK001", "WRONG", "127.0.0.9") is None
    for box, peer, slow in [("BRK001", "127.0.0.1", True), ("APOP01", "127.0.0.1", False)]:
        began = time.monotonic()
        assert await doors.password("pop3", box, "BOX PASS 1", peer) == box
        assert (time.monotonic() - began >= 0.2) is slow
    began = time.monotonic()
    assert await doors.password("pop3", "APOP01", "BOX PASS 1", "127.0.0.9") == "APOP01"
    assert time.monotonic() - began >= 0.2
    began = time.monotonic()
    assert await doors.password("pop3", "BRK001", "BOX PASS 1", "127.0.0.9") == "BRK001"
    assert time.monotonic() - began < 0.2


async def test_apop_is_for_boxes_that_keep_a_secret(doors: Doors) -> None:
    """RFC 1939: MD5 of banner and secret; a box without a readable secret cannot use it, not even with an empty one."""
    banner = "<1896.697170952@dbc.mtview.ca.us>"

    def digest(secret: str) -> str:
        return hashlib.md5(f"{banner}{secret}".encode(), usedforsecurity=False).hexdigest()

    assert await doors.apop("APOP01", banner, digest("BOX PASS 1"), "127.0.0.1") == "APOP01"
    assert await doors.apop("APOP01", banner, digest("BOX PASS 1").upper(), "127.0.0.1") == "APOP01"
    assert await doors.apop("APOP01", banner, digest("other"), "127.0.0.1") is None
    assert await doors.apop("BRK001", banner, digest(""), "127.0.0.1") is None
    assert await doors.apop("NOBODY", banner, digest(""), "127.0.0.1") is None
    assert await doors.apop("APOP01", banner, "ｄ", "127.0.0.1") is None


async def test_a_public_key_is_compared_without_its_comment(doors: Doors) -> None:
    """Keys are type and bytes; offering wrong ones is what clients do, so it counts as no failure."""
    for _ in range(5):
        assert await doors.public_key("sftp", "BRK001", "ssh-ed25519 AAAAother", "127.0.0.1") is None
    began = time.monotonic()
    assert await doors.public_key("sftp", "BRK001", f"{KEY} me@here", "127.0.0.1") == "BRK001"
    assert time.monotonic() - began < 0.2
    assert await doors.public_key("pop3", "APOP01", KEY, "127.0.0.1") is None
    assert await doors.public_key("sftp", "BRK001", "", "127.0.0.1") is None
