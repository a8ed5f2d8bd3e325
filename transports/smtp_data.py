"""The bytes after DATA: one mail out of the pieces the socket gives, bounded, without regard to lines.

*Strategy.* The one end mark is CR LF ``.`` CR LF, also across pieces; every other spelling (lone CR, lone LF, a NUL in
between) is data and is kept unchanged. No line is too long, because no line is looked at. A mail over its limit is
dropped as it comes, so what it costs is four bytes, and the peer hears of it at the end mark.
"""

from __future__ import annotations

from collections import Counter

__all__ = ["DataReader", "Pool"]

_END = b"\r\n.\r\n"


class Pool:
    """What the sessions of a listener share: bytes that mails in progress may still take, and who is connected.

    ``per_partner`` bounds the sessions that speak for one sender address at once.
    """

    __slots__ = ("_partners", "_per_partner", "free")

    def __init__(self, size: int, per_partner: int = 10) -> None:
        self.free = size
        self._per_partner = per_partner
        self._partners: Counter[str] = Counter()

    def enter(self, partner: str) -> bool:
        """Count a session of this sender in; False, and nothing counted, when it is one too many."""
        if self._partners[partner] >= self._per_partner:
            return False
        self._partners[partner] += 1
        return True

    def leave(self, partner: str) -> None:
        """Count a session of this sender out."""
        self._partners[partner] -= 1
        if self._partners[partner] <= 0:
            del self._partners[partner]

    def take(self, size: int) -> bool:
        """Take ``size`` bytes; False, and nothing taken, when fewer are free."""
        if size > self.free:
            return False
        self.free -= size
        return True


class DataReader:
    """Collects one mail from the bytes after DATA; see the module's text for what ends it.

    ``refusal`` is empty, or the reply to give at the end mark: the mail was too long (552) or the pool was empty (452).
    From then on the bytes are dropped as they come. :meth:`release` gives back what was taken from the pool.
    """

    __slots__ = ("_kept", "_limit", "_pool", "_seen", "_taken", "data", "refusal")

    def __init__(self, limit: int, pool: Pool) -> None:
        self._limit = limit
        self._pool = pool
        # Starts with a CRLF that was not sent, so that a dot on the first line needs no rule of its own.
        self._kept = bytearray()
        self._seen = 0
        self._taken = 0
        self.data = b""
        self.refusal = b""

    def feed(self, chunk: bytes, start: int = 0) -> int:
        """Read ``chunk`` from ``start``. Returns the index behind the end mark, or -1 when it has not come yet."""
        if not self._kept:
            if chunk.startswith(b".\r\n", start):
                return start + 3
            at = chunk.find(_END, start)
            if at >= 0:  # the usual mail: whole in one read, copied once
                if self._admit(at + 2 - start, at + 2 - start):
                    self.data = _unstuffed(chunk[start : at + 2])
                return at + 5
            self._kept += b"\r\n"
        before = len(self._kept)
        self._kept += memoryview(chunk)[start:]
        at = self._kept.find(_END, max(0, before - 4))
        if at < 0:
            self._seen += len(chunk) - start
            # The last two bytes may be the dot and CR of an end mark that is still on its way.
            if self.refusal or not self._admit(self._seen - 2, len(chunk) - start):
                self._kept = self._kept[-4:]
            return -1
        size = self._seen + at + 2 - before
        if not self.refusal and self._admit(size, max(0, at + 2 - before)):
            with memoryview(self._kept) as view:
                whole = bytes(view[2 : at + 2])
            self._kept = bytearray()
            self.data = _unstuffed(whole)
        return start + at + 5 - before

    def _admit(self, size: int, more: int) -> bool:
        if size > self._limit:
            self.refusal = b"552 5.3.4 Message too long\r\n"
        elif not self._pool.take(more):
            self.refusal = b"452 4.3.1 Too much in progress, try again later\r\n"
        else:
            self._taken += more
            return True
        self.release()
        return False

    def release(self) -> None:
        """Give the bytes back to the pool; calling it again does nothing."""
        self._pool.free += self._taken
        self._taken = 0


def _unstuffed(data: bytes) -> bytes:
    """RFC 5321 4.5.2: the first dot of every line that begins with one goes, whether or not another follows."""
    return (data[1:] if data.startswith(b".") else data).replace(b"\r\n.", b"\r\n")
