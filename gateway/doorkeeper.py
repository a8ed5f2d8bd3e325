"""The doorkeeper: who may come in by a door where a box has credentials of its own.

*Strategy.* Mailbox ID and password are not the user ID and password of a message's header: they open a box, nothing
else. A wrong guess costs time, not memory: after a few in a row for one box or from one address every further answer is
delayed, right or wrong, so that guessing is slow and nobody is locked out. What was wrong is never told, and an unknown
box takes as long as a known one.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog

from sekisho.gateway.passwords import Passwords, hash_password
from sekisho.mailboxes.letters import Box
from sekisho.mailboxes.store import Store, StoreError
from sekisho.transports.base import TrayError

__all__ = ["Doors"]

log = structlog.get_logger("sekisho.doors")
_COUNTED: Final = 10_000
"""Names and addresses whose failures are counted; the oldest are forgotten first."""
_FORGIVEN: Final = 600.0
"""Seconds after which earlier failures count no more."""
_FOR_SENDERS: Final = frozenset({"smtp-auth"})
"""Doors that a box need not have: who may send is not asked where his letters leave."""


class Doors:
    """See :class:`sekisho.transports.base.Doorkeeper`.

    After ``tries`` failures in a row of one name or one address every answer to it waits ``delay`` seconds.
    """

    def __init__(self, store: Store, passwords: Passwords, *, tries: int = 3, delay: float = 5.0) -> None:
        self._store = store
        self._passwords = passwords
        self._tries = tries
        self._delay = delay
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._hashing = ThreadPoolExecutor(2, "sekisho-doors")
        self._nobody = hash_password("nobody")

    async def password(self, door: str, box: str, password: str, peer: str) -> str | None:
        """See :meth:`sekisho.transports.base.Doorkeeper.password`."""
        found = await self._called(door, box, peer)
        stored = found.password_hash if found is not None and found.password_hash else self._nobody
        name = f"box {box}"  # a box and a user may have the same name
        right = self._passwords.verify(name, stored, password)
        if right is None:
            loop = asyncio.get_running_loop()
            right = await loop.run_in_executor(self._hashing, self._passwords.learn, name, stored, password)
        return self._judged(right and stored is not self._nobody, found, door, box, peer)

    async def apop(self, box: str, banner: str, digest: str, peer: str) -> str | None:
        """See :meth:`sekisho.transports.base.Doorkeeper.apop`."""
        found = await self._called("pop3", box, peer)
        secret = found.secret if found is not None else ""
        expected = hashlib.md5(f"{banner}{secret}".encode(), usedforsecurity=False).hexdigest()
        right = hmac.compare_digest(expected.encode(), digest.lower().encode("utf-8", "replace"))
        return self._judged(right and bool(secret), found, "pop3", box, peer)

    async def public_key(self, door: str, box: str, key: str, peer: str) -> str | None:
        """See :meth:`sekisho.transports.base.Doorkeeper.public_key`."""
        found = await self._called(door, box, peer)
        offered = _key(key)
        if found is not None and offered and any(_key(known) == offered for known in found.keys):
            return found.id  # no success yet: the transport still has to see the signature
        return None  # no failure: clients offer every key they have before the right one

    async def _called(self, door: str, box: str, peer: str) -> Box | None:
        """The box if it is there and has the door; waits first if there were too many failures."""
        if any(self._count(name) >= self._tries for name in (f"box {box}", f"peer {peer}")):
            await asyncio.sleep(self._delay)
        try:
            with self._store.view() as view:
                found = view.box(box) or view.box(box.upper())
        except StoreError as error:
            log.exception("doors.store_failed")
            raise TrayError("nobody can be let in now, try again later") from error
        if found is None or (door not in _FOR_SENDERS and door not in found.doors):
            return None
        return found

    def _judged(self, right: bool, found: Box | None, door: str, box: str, peer: str) -> str | None:
        if right and found is not None:
            self._failures.pop(f"box {box}", None)
            self._failures.pop(f"peer {peer}", None)
            return found.id
        for name in (f"box {box}", f"peer {peer}"):
            self._failures[name] = (self._count(name) + 1, asyncio.get_running_loop().time())
            self._failures.move_to_end(name)
        while len(self._failures) > _COUNTED:
            self._failures.popitem(last=False)
        log.warning("door.refused", door=door, box=box[:40], peer=peer)
        return None

    def _count(self, name: str) -> int:
        count, at = self._failures.get(name, (0, 0.0))
        return count if count and asyncio.get_running_loop().time() - at < _FORGIVEN else 0

    def close(self) -> None:
        """End its threads."""
        self._hashing.shutdown(wait=False, cancel_futures=True)


def _key(text: str) -> tuple[str, str] | None:
    """Type and bytes of a public key line, without its comment."""
    words = text.split()
    return (words[0], words[1]) if len(words) > 1 else None
