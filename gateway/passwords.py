"""Passwords: hashed for keeping, remembered for speed.

*Strategy.* What is kept is an argon2id hash; verifying one costs tens of milliseconds on purpose. A sender repeats its
password in every message, so a verification that was done once is remembered in memory, as a BLAKE2 digest under a
key that only this process knows: a busy sender costs a microsecond, and a dump of the memory shows no password. An
entry names the stored hash it was verified against, so a changed password needs no telling.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

__all__ = ["Passwords", "hash_password", "matches_password"]

_HASHER: Final = PasswordHasher(time_cost=3, memory_cost=12 * 1024, parallelism=1, hash_len=32, salt_len=16)
"""argon2id, 12 MiB, three passes, one lane: one of the sets OWASP's password storage page gives as its least.

About 20 ms on a small machine: six users hash well within 0.3 s at start, and a wrong guess still costs something.
"""
REMEMBERED: Final = 10_000
"""Verdicts kept; a centre's senders are fewer, and wrong guesses must not fill memory."""


def hash_password(password: str) -> str:
    """An argon2id hash with its own salt and parameters in it. Takes about 20 ms."""
    return _HASHER.hash(password)


def matches_password(stored: str, password: str) -> bool:
    """Whether the hash was made from this password. Takes about 20 ms; an empty or broken hash matches nothing."""
    try:
        return _HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


class Passwords:
    """Remembers which passwords were verified against which hash. All methods may be called from any thread."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._keyed = hashlib.blake2b(key=secrets.token_bytes(32), digest_size=32)
        self._most = remembered
        self._verdicts: OrderedDict[bytes, bool] = OrderedDict()
        self._lock = threading.Lock()

    def _digest(self, user_id: str, stored: str, password: str) -> bytes:
        # NUL cannot stand in a user ID or a hash, so no two triples make the same text.
        keyed = self._keyed.copy()
        keyed.update(f"{user_id}\0{stored}\0{password}".encode("utf-8", "surrogatepass"))
        return keyed.digest()

    def verify(self, user_id: str, stored: str, password: str) -> bool | None:
        """Right or wrong from memory only, in microseconds; None if it was not verified against this hash."""
        digest = self._digest(user_id, stored, password)
        with self._lock:
            verdict = self._verdicts.get(digest)
            if verdict is not None:
                self._verdicts.move_to_end(digest)
            return verdict

    def learn(self, user_id: str, stored: str, password: str) -> bool:
        """Verify with argon2 (about 20 ms, without the lock), remember the verdict and give it."""
        verdict = matches_password(stored, password)
        digest = self._digest(user_id, stored, password)
        with self._lock:
            self._verdicts[digest] = verdict
            self._verdicts.move_to_end(digest)
            while len(self._verdicts) > self._most:
                self._verdicts.popitem(last=False)
        return verdict

    def hash(self, password: str) -> str:
        """As :func:`hash_password`."""
        return hash_password(password)

    def matches(self, stored: str, password: str) -> bool:
        """As :func:`matches_password`: nothing is remembered."""
        return matches_password(stored, password)
