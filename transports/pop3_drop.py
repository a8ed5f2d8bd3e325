"""A maildrop as one POP3 session sees it, and a letter as it goes over the wire.

*Strategy.* :class:`Maildrop` is the snapshot that the login takes (RFC 1939 section 8): four numbers a letter, nothing
of its text, so ten thousand letters cost a third of a megabyte. What is marked as deleted is marked here only.
Listings are made piece by piece, as the peer takes them. Functions on bytes; no state is shared with the store.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

from sekisho.transports.base import Waiting

__all__ = ["Maildrop", "stuffed", "top_of"]

_LISTED_LINES = 1_000
"""Lines of a listing that are made in one go: about 12 KB."""


def stuffed(mail: bytes) -> bytes:
    """A mail as it goes over the wire: dots at line starts doubled, the end mark behind it (RFC 1939 section 3).

    A line starts after every LF, not only after CRLF: what takes a lone LF for a line end would else see an end mark in
    the middle of a mail.
    """
    wire = mail.replace(b"\n.", b"\n..")
    if wire[:1] == b".":
        wire = b"." + wire
    return wire + (b".\r\n" if not mail or mail[-2:] == b"\r\n" else b"\r\n.\r\n")


def top_of(mail: bytes, lines: int) -> bytes:
    """The header, the blank line and the first ``lines`` lines of the body (RFC 1939, TOP)."""
    blank = 0 if mail[:2] == b"\r\n" else mail.find(b"\r\n\r\n") + 2
    if blank == 1:
        return mail
    end = blank + 2
    if mail.count(b"\n", end) <= lines:
        return mail
    for _ in range(lines):
        end = mail.find(b"\n", end) + 1
    return mail[:end]


class Maildrop:
    """Letters in the order of their places, which count from 0 here and from 1 on the wire.

    ``left`` and ``octets`` are the number and the size of those that are not marked as deleted.
    """

    __slots__ = ("_marked", "_numbers", "_sizes", "_uids", "_validities", "left", "octets")

    def __init__(self, letters: Sequence[Waiting] = ()) -> None:
        self._numbers = array("q", (letter.number for letter in letters))
        self._sizes = array("q", (letter.mail_size for letter in letters))
        self._uids = array("q", (letter.uid for letter in letters))
        self._validities = array("q", (letter.uid_validity for letter in letters))
        self._marked = bytearray()
        self.left = self.octets = 0
        self.unmark()

    def place(self, argument: bytes) -> int:
        """The place that a client's message number names; -1 when there is no such letter, or it is marked."""
        place = int(argument) - 1 if argument.isdigit() and len(argument) <= 10 else -1
        return place if 0 <= place < len(self._marked) and not self._marked[place] else -1

    def number(self, place: int) -> int:
        """The letter's own number."""
        return self._numbers[place]

    def size(self, place: int) -> int:
        """The letter's octets as they are listed."""
        return self._sizes[place]

    def mark(self, place: int) -> None:
        """Mark a letter that is not marked."""
        self._marked[place] = 1
        self.left -= 1
        self.octets -= self._sizes[place]

    def unmark(self) -> None:
        """Take every mark back."""
        self._marked = bytearray(len(self._numbers))
        self.left, self.octets = len(self._numbers), sum(self._sizes)

    def marked(self) -> tuple[int, ...]:
        """The numbers of the letters that are marked."""
        return tuple(number for number, mark in zip(self._numbers, self._marked, strict=True) if mark)

    def size_line(self, place: int) -> bytes:
        """The letter's line in LIST."""
        return b"%d %d\r\n" % (place + 1, self._sizes[place])

    def uid_line(self, place: int) -> bytes:
        """The letter's line in UIDL: unique in the box for ever, the same after a restart."""
        return b"%d %d.%d\r\n" % (place + 1, self._validities[place], self._uids[place])

    def listing(self, *, uids: bool) -> Iterator[bytes]:
        """LIST or UIDL of what is not marked, in pieces, with the end mark."""
        line, marked = self.uid_line if uids else self.size_line, self._marked
        for start in range(0, len(marked), _LISTED_LINES):
            places = range(start, min(start + _LISTED_LINES, len(marked)))
            yield b"".join([line(place) for place in places if not marked[place]])
        yield b".\r\n"
