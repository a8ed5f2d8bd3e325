"""The store: what it promises, in prose, for every engine behind it.

*Strategy.* One writer. Everything that is to be durable together happens inside one :meth:`Store.transaction`; when
that block ends without an exception, it is on stable storage, and only then may anybody be told yes. Inside it
:meth:`Unit.savepoint` undoes one message without touching its neighbours. Reading beside the writer goes through
:meth:`Store.view`, which sees whole transactions only.

The SQLite store and the in-memory twin run the same suite; a sentence in this file is a test in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol, overload

from sekisho.mailboxes.letters import (
    Account,
    Box,
    Dispatch,
    Event,
    Letter,
    LetterQuery,
    Listed,
    Mark,
    NewLetter,
    NewRequest,
    Office,
    Place,
    Quarantined,
    Request,
    Route,
    SentMessage,
    Stored,
    Timer,
    Window,
)

__all__ = ["Conflict", "Store", "StoreError", "Transaction", "Unit", "UnknownSchema", "View"]


class StoreError(Exception):
    """The store could not do what was asked; nothing of the transaction is kept."""


class Conflict(StoreError):
    """A value that must be unique was there already (``idem``, a letter's part, an account that must be new)."""


class UnknownSchema(StoreError):
    """The store on disk has a schema this release does not know: run ``sekisho db upgrade``, or use a newer release."""


class View(Protocol):
    """Reading. Unknown keys give None or an empty list, never an exception; lists are in a stated order."""

    # The journal
    def request(self, number: int) -> Request | None:
        """The request of that number."""
        ...

    def raw(self, request: int) -> bytes:
        """The bytes of a request exactly as they came in. Raises StoreError if there is no such request (any more)."""
        ...

    def answer(self, request: int) -> bytes:
        """What was said to the transport's peer about a request; empty if nothing was kept."""
        ...

    def find_request(self, idem: str) -> Request | None:
        """The request of that identity."""
        ...

    def find_same(self, lane: str, content_digest: str, since: int) -> list[Request]:
        """Comparable requests of the lane with the same bytes received at or after ``since``, newest first."""
        ...

    def received(self) -> list[int]:
        """Numbers of the requests that are on disk and not processed, in the order they came."""
        ...

    def requests(self, limit: int = 100, before: int | None = None) -> list[Request]:
        """The newest requests, newest first, below number ``before``."""
        ...

    def sent_by(
        self, principal: str, wrapping: str, limit: int = 100, *, quarantined: bool = False
    ) -> list[tuple[Request, int]]:
        """What somebody whom a transport knows has sent in that wrapping, newest first, with the size of its bytes.

        ``quarantined``: of that what lies in quarantine. An empty ``principal`` has sent nothing.
        """
        ...

    # Letters
    def letter(self, number: int) -> Letter | None:
        """The letter of that number, deleted ones too."""
        ...

    def content(self, letter: int) -> bytes:
        """The bytes of a letter's message. Raises StoreError if there is no such letter."""
        ...

    def letters(self, query: LetterQuery) -> list[Letter]:
        """The letters that match; deleted ones only where ``states`` names them."""
        ...

    def letters_of(self, request: int) -> list[Letter]:
        """The letters that a request caused, deleted ones too, by part."""
        ...

    def undelivered(self, boxes: Sequence[str]) -> list[tuple[str, int]]:
        """Output codes and counts of letters in these boxes that no door has delivered, by output code."""
        ...

    def waiting(self, box: str) -> list[Listed]:
        """The letters in a box that no door has delivered, by uid."""
        ...

    def due(
        self, now: int, limit: int, exclude: frozenset[int] = frozenset(), but_boxes: Sequence[str] = ()
    ) -> list[Dispatch]:
        """Letters due at or before ``now`` at a push box, in order of (due_at, number).

        At most ``limit``, without those in ``exclude`` and those in the boxes ``but_boxes``. Which boxes push is looked
        at now: a box that gets the door has its letters due again.
        """
        ...

    def next_due(self) -> int | None:
        """When the next letter is due at a push box, past or future; None if none ever is."""
        ...

    def box_counts(self) -> list[tuple[str, int, int]]:
        """Of every box its id, its letters and how many of them no door has delivered, by id; deleted ones left out."""
        ...

    def sent_message(self, message_id: str) -> SentMessage | None:
        """The ebMS message of that id that carried a letter."""
        ...

    def sent_for(self, letter: int) -> SentMessage | None:
        """The newest ebMS message that carries this letter."""
        ...

    # The registry
    def account(self, user_id: str) -> Account | None:
        """The account of that user ID."""
        ...

    def accounts(self) -> list[Account]:
        """All accounts by id."""
        ...

    def knows_user_code(self, user_code: str) -> bool:
        """Whether any account has this 利用者コード."""
        ...

    def owners(self, address: str) -> list[str]:
        """User IDs that have this sender address registered, by id; letter case does not count."""
        ...

    def users_of_box(self, box: str) -> list[str]:
        """User IDs whose replies go to this box, by id."""
        ...

    def box(self, box: str) -> Box | None:
        """The box of that id."""
        ...

    def box_of_address(self, address: str) -> Box | None:
        """The box with this address, the first by id if there are several; letter case does not count."""
        ...

    def boxes(self) -> list[Box]:
        """All boxes by id."""
        ...

    def routes(self) -> list[Route]:
        """All routes by user and output."""
        ...

    def place(self, code: str) -> Place | None:
        """The place of that code."""
        ...

    def places(self) -> list[Place]:
        """All places by code."""
        ...

    def office(self, code: str) -> Office | None:
        """The customs office of that code."""
        ...

    def offices(self) -> list[Office]:
        """All customs offices by code."""
        ...

    def windows(self) -> list[Window]:
        """Stops by start, then number."""
        ...

    # Business records
    def record(self, kind: str, key: str) -> Mapping[str, Any] | None:
        """A business record as it was put (lists for tuples), or None. Changing what is given changes nothing here."""
        ...

    def records(self, kind: str, limit: int = 1000, after: str = "") -> list[tuple[str, Mapping[str, Any]]]:
        """Records of a kind by key, keys greater than ``after``."""
        ...

    def find_records(self, kind: str, field: str, value: str, limit: int = 100) -> list[tuple[str, Mapping[str, Any]]]:
        """Records of a kind whose top-level ``field`` is this text, by key."""
        ...

    # The rest
    def timers(self, until: int, limit: int = 100) -> list[Timer]:
        """Timers due at or before ``until`` that were not taken, by (due_at, number)."""
        ...

    def quarantined(self, limit: int = 100) -> list[Quarantined]:
        """What lies in quarantine and was not released, newest first."""
        ...

    def events(self, request: int | None = None, letter: int | None = None, limit: int = 100) -> list[Event]:
        """The audit trail, oldest first; of one request or letter, or the newest ``limit`` of all."""
        ...


class Unit(View, Protocol):
    """One open transaction. Reads see what it has written."""

    def savepoint(self) -> AbstractContextManager[None]:
        """Undo everything written inside if the block raises (the exception goes on); nested ones are allowed."""
        ...

    def journal(self, request: NewRequest) -> int:
        """Keep a request as received and give its number. Order within a lane (``seq``) is the order of the calls.

        Raises :class:`Conflict` if the identity is known, StoreError if a text is no Unicode (a lone surrogate).
        """
        ...

    def finish(self, request: int, *, state: int, result: str, key: str, at: int) -> None:
        """Set a received request's state; its first result code, its key and the time go with it; one attempt more.

        Raises StoreError if there is no such request or it is not in state received (any more).
        """
        ...

    def add_letter(self, letter: NewLetter) -> Stored:
        """Put a letter into its box under the box's next uid.

        Raises :class:`Conflict` if the part is there already, :class:`StoreError` if there is no such box or request.
        """
        ...

    def mark(self, marks: Iterable[Mark]) -> None:
        """Note attempts to deliver. A letter once delivered stays so; its due time is then cleared.

        A mark for a letter that is gone is ignored; one for a deleted letter never makes it due again.
        """
        ...

    def collect(self, letters: Sequence[int], box: str, door: str, at: int) -> list[int]:
        """Note that letters of a box were fetched through a door: delivered, and due no more. Gives which ones.

        Letters that are delivered or deleted already, or lie in another box, are passed over.
        """
        ...

    def hasten(self, letters: Sequence[int], at: int) -> None:
        """Offer letters again, delivered or not. Deleted and unknown ones are passed over.

        Where their box pushes they become due at ``at`` with attempts counted anew, and the delivered mark is kept: the
        letter stays counted as delivered. Where it is only fetched from they wait to be fetched again.
        """
        ...

    def set_answer(self, request: int, answer: bytes) -> None:
        """Replace what a repeated request is answered. StoreError if there is no such request."""
        ...

    def put_sent(self, sent: SentMessage) -> None:
        """Keep an ebMS message that goes out, or what became of it."""
        ...

    def delete_letters(self, letters: Sequence[int], at: int) -> None:
        """Take letters out of their box for good: they are listed no more but under state deleted, and never due."""
        ...

    def put_account(self, account: Account, *, new: bool = False) -> None:
        """Write an account. With ``new`` raises :class:`Conflict` if there is one."""
        ...

    def put_box(self, box: Box, *, new: bool = False) -> None:
        """Write a box. Its ``uid_validity`` is set by the store on first writing and never changes."""
        ...

    def put_route(self, route: Route) -> None:
        """Write a route; it replaces the one for the same user and output."""
        ...

    def delete_route(self, user: str, output: str) -> bool:
        """Remove a route; whether there was one."""
        ...

    def put_place(self, place: Place) -> None:
        """Write a place; it replaces the one with the same code."""
        ...

    def put_office(self, office: Office) -> None:
        """Write a customs office; it replaces the one with the same code."""
        ...

    def add_window(self, window: Window) -> int:
        """Add a stop and give its number (the one in ``window`` is not looked at)."""
        ...

    def delete_window(self, number: int) -> bool:
        """Remove a stop; whether there was one."""
        ...

    def put_record(self, kind: str, key: str, data: Mapping[str, Any], at: int) -> None:
        """Write a business record: text, numbers, booleans, lists and mappings of them. StoreError for other things."""
        ...

    def delete_record(self, kind: str, key: str) -> bool:
        """Remove a business record; whether there was one."""
        ...

    def next_number(self, series: str) -> int:
        """The next number of a series, from 1; never given twice, not even after a crash.

        A number taken inside a block that was undone was never given: it comes again, so that a series has no gaps.
        """
        ...

    def add_timer(self, due_at: int, kind: str, key: str, data: Mapping[str, Any]) -> int:
        """Add something that becomes due, and give its number."""
        ...

    def take_timer(self, number: int) -> bool:
        """Take a timer so that nobody gets it again; whether it was still there."""
        ...

    def cancel_timers(self, kind: str, key: str) -> int:
        """Take every open timer of that kind and key; how many."""
        ...

    def quarantine(self, request: int, reason: str, at: int) -> int:
        """Show a request to operators until it is released, and give the entry's number. StoreError if unknown."""
        ...

    def release(self, quarantined: int, at: int) -> bool:
        """Take an entry out of quarantine; whether it was still in it."""
        ...

    def add_event(self, event: Event) -> None:
        """Add a line to the audit trail (its own ``number`` is not looked at)."""
        ...

    def purge(self, *, letters_before: int, fetched_before: int, requests_before: int, limit: int = 1000) -> int:
        """Remove old letters, then old requests, with their bytes, the oldest first; how many of both went.

        Letters: up to ``limit`` created before ``fetched_before`` if delivered or deleted, before ``letters_before`` if
        not. Requests: up to ``limit`` that were received before ``requests_before``, are finished and have no letter
        left; their quarantine entries go with them. A request that is not finished stays, whatever its age.
        """
        ...


class Transaction(Protocol):
    """One transaction in steps, for who must not wait for the disk where it writes.

    ``unit`` is what is written through. :meth:`seal` hands everything to the engine, in the thread that wrote;
    :meth:`commit` makes it durable and may be called in another thread, so that only the waiting happens there.
    """

    @property
    def unit(self) -> Unit:
        """The open unit; no use after :meth:`seal`."""
        ...

    def seal(self) -> None:
        """Write what was gathered. Raises StoreError; then only :meth:`undo` is left."""
        ...

    def commit(self) -> None:
        """Commit and sync. Raises StoreError, and then everything is undone; the transaction has ended either way."""
        ...

    def undo(self) -> None:
        """Undo everything; the transaction has ended. After the end: nothing happens."""
        ...


class Store(Protocol):
    """One store. All methods may be called from any thread; one transaction is open at a time."""

    @overload
    def begin(self, *, wait: Literal[True] = True) -> Transaction: ...
    @overload
    def begin(self, *, wait: bool) -> Transaction | None: ...
    def begin(self, *, wait: bool = True) -> Transaction | None:
        """Begin a transaction in steps. None if somebody else is writing and ``wait`` is false."""
        ...

    def transaction(self) -> AbstractContextManager[Unit]:
        """One transaction: committed and synced when the block ends, undone when it raises.

        Raises StoreError if the commit fails, if this thread has a transaction open, or if an earlier commit failed in
        a way that leaves unknown what the disk holds: then only a new process may go on.
        """
        ...

    def view(self) -> AbstractContextManager[View]:
        """Read committed state, beside a transaction: all reads of a view see the moment at which it was opened."""
        ...

    def changed_elsewhere(self) -> bool:
        """Whether another process (or store object) has committed since the last call: caches must be dropped."""
        ...

    @property
    def commits(self) -> int:
        """Transactions committed by this object so far."""
        ...

    def free_bytes(self) -> int:
        """Free space where the store lives, for the disk watermark; a very large number if there is no such place."""
        ...

    def checkpoint(self) -> None:
        """Do what the engine wants done now and then beside the commits (SQLite: a passive checkpoint). May be slow."""
        ...

    def close(self) -> None:
        """Close; idempotent."""
        ...
