"""The mail around a letter: the same bytes at every door and at every attempt.

*Strategy.* A letter has one Message-ID for ever: its box, the box's uid_validity and its uid make it. Push and POP3
take their mails from here, so what is pushed and what is fetched cannot differ.
"""

from __future__ import annotations

from typing import Final

from sekisho.codecs.mime import EDIFACT_TYPE, NACCS_TYPE, build_mail
from sekisho.gateway.clock import from_us

__all__ = ["Letterhead"]

_REMEMBERED: Final = 10_000
"""Header sizes kept: two a box; and heads kept: one a box and second."""
_PLACE: Final = "<\x7f>"
"""Where a head that is kept has its Message-ID: no address holds this character."""


class Letterhead:
    """Who writes: ``sender`` is our address, its domain (or ``hostname`` without one) the right side of Message-IDs."""

    def __init__(self, sender: str, hostname: str) -> None:
        self.sender = sender
        self._domain = sender.rpartition("@")[2] or hostname
        self._around: dict[tuple[str, int, bool], tuple[bytes, bytes]] = {}
        self._sizes: dict[tuple[str, str, int, bool], int] = {}

    def message_id(self, box: str, uid_validity: int, uid: int) -> str:
        """The one Message-ID of a letter, with its brackets."""
        return f"<{uid}.{uid_validity}.{box}@{self._domain}>"

    def mail(
        self,
        *,
        address: str,
        box: str,
        uid_validity: int,
        uid: int,
        created_at: int,
        content: bytes,
        is_interchange: bool,
    ) -> bytes:
        """A letter as a mail to ``address``: CRLF lines, not dot-stuffed. ``created_at`` in microseconds, UTC."""
        # The letters of one second to one address differ in their Message-ID only.
        key = (address, created_at // 1_000_000, is_interchange)
        around = self._around.get(key)
        if around is None:
            if len(self._around) >= _REMEMBERED:
                self._around.clear()
            whole = build_mail(
                sender=self.sender,
                recipient=address,
                message_id=_PLACE,
                date=from_us(created_at),
                content=b"",
                content_type=EDIFACT_TYPE if is_interchange else NACCS_TYPE,
            )
            before, _, behind = whole.partition(_PLACE.encode("ascii"))
            around = self._around[key] = (before, behind)
        message_id = self.message_id(box, uid_validity, uid)
        if not message_id.isprintable():
            raise ValueError("a Message-ID that would end its line")
        return b"%b%b%b%b" % (around[0], message_id.encode("ascii"), around[1], content)

    def size(
        self, *, address: str, box: str, uid_validity: int, uid: int, size: int, created_at: int, is_interchange: bool
    ) -> int:
        """The length of :meth:`mail` for a message of ``size`` bytes, without making it.

        Of two letters of a box only the digits of the uid differ in length: a date always has the same.
        """
        key = (address, box, uid_validity, is_interchange)
        base = self._sizes.get(key)
        if base is None:
            if len(self._sizes) >= _REMEMBERED:
                self._sizes.clear()
            head = self.mail(
                address=address,
                box=box,
                uid_validity=uid_validity,
                uid=0,
                created_at=created_at,
                content=b"",
                is_interchange=is_interchange,
            )
            base = self._sizes[key] = len(head) - 1
        return base + len(str(uid)) + size
