"""What a transport and the house agree on.

*Strategy.* Inwards a transport calls one coroutine, :class:`Submit`, and says to its peer what the :class:`Receipt`
says; it must not answer "yes" on its own account. Outwards a courier hands over :class:`Parcel` s and gets one
:class:`Report` for each: every attempt ends as delivered, refused or unknown, never as an exception.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from sekisho.codecs.envelope import Envelope

__all__ = ["Outcome", "Parcel", "Receipt", "Report", "Submit", "Verdict"]


class Verdict(enum.Enum):
    """What the house says to a submission, and what each transport makes of it."""

    ACCEPTED = "accepted"
    """On disk. SMTP 250."""
    BUSY = "busy"
    """Nothing kept, try again later (backlog, store slow). SMTP 451 4.3.2."""
    FULL = "full"
    """Nothing kept, storage is short. SMTP 452 4.3.1."""
    REFUSED = "refused"
    """Nothing kept, and sending the same again will not help. SMTP 554 5.6.0."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to one submission: ``text`` is public, one line, ASCII; ``number`` the journal number if accepted."""

    verdict: Verdict
    text: str = ""
    number: int = 0


class Submit(Protocol):
    """Give an envelope to the house. Returns after the commit (or the refusal); never raises for bad content.

    The returned awaitable is not cancelled by a transport whose peer goes away: shield it.
    """

    def __call__(self, envelope: Envelope, /) -> Awaitable[Receipt]:
        """Take the envelope in."""
        ...


class Outcome(enum.StrEnum):
    """How an attempt to deliver ended."""

    DELIVERED = "delivered"
    """The peer said yes to the whole message."""
    DEFERRED = "deferred"
    """The peer, or the way to it, said: not now (4xx, connection refused). Try again by schedule."""
    REFUSED = "refused"
    """The peer said: never (5xx)."""
    UNKNOWN = "unknown"
    """The whole message went out and no answer came: the peer may have it. Repeat with the same Message-ID."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One letter on its way out: ``number`` is the caller's; ``data`` the whole mail, CRLF lines, not dot-stuffed."""

    number: int
    sender: str
    recipient: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the parcel ``number``; ``text`` is the peer's reply or the error, for the operator."""

    number: int
    outcome: Outcome
    text: str = ""
