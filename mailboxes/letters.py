"""The values that a store keeps.

*Strategy.* Frozen values in, frozen values out: a store never hands out something that writes when it is touched. Times
are whole microseconds since the epoch in UTC, so both engines and the in-memory twin compare them alike. Numbers
(``number``) are the store's own and are never used again.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

__all__ = [
    "Account",
    "Box",
    "Dispatch",
    "Event",
    "Letter",
    "LetterQuery",
    "Listed",
    "Mark",
    "NewLetter",
    "NewRequest",
    "Office",
    "Place",
    "Quarantined",
    "Request",
    "RequestState",
    "Route",
    "SentMessage",
    "Stored",
    "Timer",
    "Window",
]

PUSH: Final = "smtp-push"
"""The door that mails letters to the box's own server."""
EBMS: Final = "ebms"
"""The door that posts letters to a partner's endpoint; a partner without one pulls them."""
PUSHING: Final = frozenset({PUSH, EBMS})
"""Doors that deliver by themselves, so that letters become due at them; at pop3 and sftp they wait to be fetched."""


class RequestState(enum.IntEnum):
    """How far a request has come."""

    RECEIVED = 0
    """On disk and answered; not processed yet."""
    DONE = 1
    """Processed: its effects and replies were committed with this state."""
    PARKED = 2
    """Given up on; an operator looks at it."""


class NewRequest(NamedTuple):
    """A transmission to be journalled. ``raw`` is what came in; ``content`` the message in it (for the digest only).

    ``lane`` is one sender; ``idem`` the identity of the request, unique in the store (empty: nobody gave it one, and
    the store makes ``#`` and its number of it); ``principal`` what the transport knows the sender by; ``comparable``
    whether equal bytes may be asked for later (:meth:`View.find_same`); ``conversation`` what the transport calls an
    exchange of several messages (ebMS). ``answer`` is what was said to the transport's peer and is said again to
    whoever repeats the request (:meth:`View.answer`).
    """

    lane: str
    idem: str
    transport: str
    principal: str
    received_at: int
    peer: str
    sender: str
    recipient: str
    raw: bytes
    content: bytes
    wrapping: str
    content_type: str = ""
    transport_id: str = ""
    user_id: str = ""
    business_code: str = ""
    carry: str = ""
    input_id: str = ""
    parent: int | None = None
    conversation: str = ""
    answer: bytes = b""
    comparable: bool = True


@dataclass(frozen=True, slots=True)
class Request:
    """A journalled request. ``result`` is its first result code (15 characters), ``key`` its business key."""

    number: int
    lane: str
    seq: int
    idem: str
    transport: str
    principal: str
    received_at: int
    peer: str
    sender: str
    recipient: str
    wrapping: str
    content_type: str
    transport_id: str
    user_id: str
    business_code: str
    carry: str
    input_id: str
    parent: int | None
    state: RequestState
    attempts: int
    digest: str
    content_digest: str
    result: str
    key: str
    done_at: int | None
    conversation: str = ""


class NewLetter(NamedTuple):
    """One output to be put into a box. ``content`` is the whole NACCS EDI message, without any mail header.

    ``request`` is the journal number of what caused it; ``part`` its place among the outputs of that request, from 0
    (the notice). ``user_id`` is the addressee. ``due_at`` None means: not delivered by push.
    """

    request: int
    part: int
    box: str
    user_id: str
    business_code: str
    output_code: str
    kind: str
    form: str
    subject: str
    content: bytes
    created_at: int
    due_at: int | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter in a box.

    ``uid`` counts within the box and is never used again; with the box's ``uid_validity`` it makes the Message-ID,
    which is therefore the same for ever. ``last_error`` is what the receiver said last.
    """

    number: int
    request: int
    part: int
    box: str
    uid: int
    user_id: str
    business_code: str
    output_code: str
    kind: str
    form: str
    subject: str
    size: int
    digest: str
    created_at: int
    delivered_at: int | None
    deleted_at: int | None
    due_at: int | None
    attempts: int
    last_outcome: str
    last_error: str
    door: str = ""
    """Through which door it was delivered; empty as long as it was not."""

    @property
    def state(self) -> str:
        """waiting, unknown, failed, delivered or deleted."""
        if self.deleted_at is not None:
            return "deleted"
        if self.delivered_at is not None:
            return "delivered"
        if self.last_outcome in ("refused", "unknown") or (self.last_outcome and self.due_at is None):
            return "unknown" if self.last_outcome == "unknown" and self.due_at is not None else "failed"
        return "waiting"


class Stored(NamedTuple):
    """What :meth:`Unit.add_letter` gives back: the letter's number, its uid in the box, and the box's uid_validity."""

    number: int
    uid: int
    uid_validity: int


class Dispatch(NamedTuple):
    """A letter that is due at the push door: what the courier needs to send it."""

    number: int
    box: str
    uid: int
    uid_validity: int
    created_at: int
    due_at: int
    attempts: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Listed:
    """A letter that no door has delivered, as a listing of its box shows it.

    ``size`` counts the bytes of its message; ``key`` is the business key of the request that caused it.
    """

    number: int
    uid: int
    size: int
    created_at: int
    output_code: str
    business_code: str
    user_id: str
    kind: str
    subject: str
    key: str
    is_interchange: bool


@dataclass(frozen=True, slots=True)
class SentMessage:
    """An ebMS message that carries a letter out: its exact bytes, for every attempt is the same message (item 42).

    ``partner`` is the name of the partner profile; ``state`` waiting, acknowledged, failed or expired;
    ``acknowledged_at`` when an Acknowledgment came, also one that came too late to count.
    """

    message_id: str
    letter: int
    partner: str
    content_type: str
    content: bytes
    created_at: int
    expires_at: int
    state: str = "waiting"
    acknowledged_at: int | None = None


class Mark(NamedTuple):
    """What became of an attempt to deliver the letter ``number``. ``due_at`` is the next attempt, None if none follows.

    ``outcome`` is delivered, deferred, refused or unknown; ``door`` the one it was tried at.
    """

    number: int
    outcome: str
    at: int
    due_at: int | None = None
    text: str = ""
    door: str = PUSH


@dataclass(frozen=True, slots=True)
class Account:
    """One user ID. Hashes are argon2id; ``former`` the hash that an undone initialisation brings back.

    ``history`` holds the hashes of the last passwords, the newest first. ``password_state`` is active or temporary.
    """

    id: str
    password_hash: str
    password_state: str = "active"
    former: str = ""
    former_state: str = ""
    history: tuple[str, ...] = ()
    trade: str = ""
    specialist: bool = False
    in_house: bool = False
    mail_from: tuple[str, ...] = ()
    box: str = ""
    suspended: bool = False
    strict: bool = False
    tolerate_length: bool = False

    @property
    def user_code(self) -> str:
        """利用者コード: the first five of the ID."""
        return self.id[:5]


@dataclass(frozen=True, slots=True)
class Box:
    """A mailbox. ``doors`` say how its letters leave; ``push`` is host:port, empty: the DNS address of its domain.

    Its id and password are credentials of their own at the doors that letters are fetched by; ``keys`` are public keys
    (``ssh-ed25519 AAAA...``) that open it without one. ``secret`` is the password once more, readable, for APOP, which
    cannot do with a hash; empty unless the box is set up for it.
    """

    id: str
    address: str
    doors: tuple[str, ...] = (PUSH,)
    push: str = ""
    password_hash: str = ""
    uid_validity: int = 0
    keys: tuple[str, ...] = ()
    secret: str = ""

    @property
    def pushes(self) -> bool:
        """Whether letters become due here by themselves."""
        return not PUSHING.isdisjoint(self.doors)


@dataclass(frozen=True, slots=True)
class Route:
    """宛先管理: outputs ``output`` of ``user`` (a user ID or a 利用者コード) go to ``box``."""

    user: str
    output: str
    box: str


@dataclass(frozen=True, slots=True)
class Place:
    """A bonded area or berth: ``user`` is the 利用者コード that receives its EXC outputs."""

    code: str
    user: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Office:
    """A customs office (税関官署, 2 letters). ``hours``: mon … sun to ``HHMM-HHMM``; ``holidays``: YYYYMMDD."""

    code: str
    name: str = ""
    hours: Mapping[str, str] = field(default_factory=dict)
    holidays: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """A planned stop or a business's closing: answers ``code`` from ``starts`` until ``ends`` (microseconds).

    ``business`` empty: the whole service.
    """

    number: int
    business: str
    code: str
    starts: int
    ends: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Timer:
    """Something that becomes due: ``kind`` and ``key`` say what, ``data`` is the handler's own."""

    number: int
    due_at: int
    kind: str
    key: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the audit trail. ``kind`` is ``noun.past_participle``; ``actor`` a user ID, operator or a part."""

    at: int
    actor: str
    kind: str
    request: int | None = None
    letter: int | None = None
    detail: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A request that no box could be told about, or that is shown to operators as well; ``reason`` is a result code."""

    number: int
    request: int
    reason: str
    at: int
    released_at: int | None = None


@dataclass(frozen=True, slots=True)
class LetterQuery:
    """Which letters to list: every given field must match; newest first, at most ``limit``, below number ``before``.

    ``states`` as :attr:`Letter.state`. ``text`` is looked for in the subject.
    """

    box: str = ""
    user_id: str = ""
    business_code: str = ""
    output_code: str = ""
    request: int | None = None
    text: str = ""
    states: tuple[str, ...] = ()
    before: int | None = None
    after: int | None = None
    limit: int = 100
    oldest_first: bool = False
