"""What a transport and the house agree on.

*Strategy.* Inwards a transport calls one coroutine, :class:`Submit`, and says to its peer what the :class:`Receipt`
says; it must not answer "yes" on its own account. Outwards a courier hands over :class:`Parcel` s and gets one
:class:`Report` for each: every attempt ends as delivered, refused or unknown, never as an exception. A transport that
letters are fetched by asks the :class:`Doorkeeper` who somebody is and reads his box through a :class:`Tray`.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sekisho.codecs.envelope import Envelope

__all__ = [
    "Doorkeeper",
    "Outcome",
    "Parcel",
    "Receipt",
    "Report",
    "Submit",
    "Tray",
    "TrayError",
    "Verdict",
    "Waiting",
]


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


class Receipt(NamedTuple):
    """The answer to one submission: ``text`` is public, one line, ASCII; ``number`` the journal number if accepted.

    Of a request that was here before, ``repeated`` is true, ``number`` is that of the first one, and ``answer`` what
    the transport's peer was told then (empty if nothing was kept).
    """

    verdict: Verdict
    text: str = ""
    number: int = 0
    repeated: bool = False
    answer: bytes = b""


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


class Parcel(NamedTuple):
    """One letter on its way out: ``number`` is the caller's; ``data`` the whole mail, CRLF lines, not dot-stuffed."""

    number: int
    sender: str
    recipient: str
    data: bytes


class Report(NamedTuple):
    """What became of the parcel ``number``; ``text`` is the peer's reply or the error, for the operator."""

    number: int
    outcome: Outcome
    text: str = ""


class Doorkeeper(Protocol):
    """Who may come in by a door where boxes have credentials of their own (mailbox ID and password).

    A failed try costs the caller time: after three in a row of one name or address every further answer is delayed
    (settings ``limits.login_tries``, ``limits.login_delay``), so a transport only awaits.
    """

    async def password(self, door: str, box: str, password: str, peer: str) -> str | None:
        """The id of the box as it is registered if name and password are right and the box has this door.

        ``door`` is pop3, sftp, smtp-auth ...; ``peer`` the address of the other side without its port. None: refused;
        what was wrong is not told. Raises :class:`TrayError` when that cannot be found out now.
        """
        ...

    async def apop(self, box: str, banner: str, digest: str, peer: str) -> str | None:
        """The same for APOP: ``digest`` is MD5 of banner and password in hex. Only boxes set up for it can do it."""
        ...

    async def public_key(self, door: str, box: str, key: str, peer: str) -> str | None:
        """The same for a public key (``ssh-ed25519 AAAA...``), whose possession the transport itself verifies."""
        ...


@dataclass(frozen=True, slots=True)
class Waiting:
    """A letter that lies in a box and that no door has delivered: what a listing shows without reading it.

    ``number`` is the letter's own; ``uid`` and ``uid_validity`` its identity in the box for ever; ``size`` the bytes of
    its message and ``mail_size`` those of the mail made of it, header, CRLF line ends and all; ``created_at``
    microseconds since the epoch, UTC; ``key`` the business key of what caused it (a declaration number), empty if none.
    """

    number: int
    uid: int
    uid_validity: int
    size: int
    mail_size: int
    created_at: int
    output_code: str
    business_code: str
    user_id: str
    kind: str
    subject: str
    key: str
    is_interchange: bool


class TrayError(Exception):
    """A box cannot be read or changed now; the text is public. Nothing was changed."""


class Tray(Protocol):
    """The boxes as doors see them that letters are fetched by.

    Reading is quick and happens in the loop. A letter is gone from every door in the transaction that collects it.
    """

    def waiting(self, box: str) -> list[Waiting]:
        """The box's letters that no door has delivered, by uid: the same list for POP3, SFTP and ebMS."""
        ...

    def content(self, number: int) -> bytes:
        """The bytes of a letter's message, whoever has collected it meanwhile. Raises :class:`TrayError` if purged."""
        ...

    def mail(self, number: int) -> bytes:
        """The letter as a mail: the bytes that the push door sends too, CRLF lines, not dot-stuffed."""
        ...

    async def collect(self, box: str, numbers: Sequence[int], door: str, peer: str) -> None:
        """Take letters out of a box through a door, all in one transaction; returns after its commit.

        Letters that another door has delivered meanwhile are passed over: the outcome is the same. Raises
        :class:`TrayError`, and then all of them are still there.
        """
        ...

    def lock(self, box: str) -> bool:
        """Take the box for one session; False if another one has it. Not durable: a restart frees every box."""
        ...

    def unlock(self, box: str) -> None:
        """Give the box back."""
        ...
