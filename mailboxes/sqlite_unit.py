"""Writing the SQLite store: one open transaction.

*Strategy.* What every message writes (its journal row, its letters, events, the counters of lane and box) is gathered
in lists and goes to the engine in a few ``executemany`` calls: before the commit, or before the first read that could
miss it. The write lock is held from BEGIN IMMEDIATE on, so numbers and uids are counted in memory. Everything else is
written at once.

A savepoint is at first only a note of how long the lists are; undoing it shortens them. It becomes a SAVEPOINT of the
engine when something inside it is written to the engine (:meth:`SqliteUnit._issue`); what was gathered before it goes
first. Hence the rule that undoing relies on: nothing older than an issued savepoint is ever in the lists.
"""

# ruff: noqa: D102 - what each method promises is said once, in store.py

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from types import TracebackType
from typing import Any, Final

from sekisho.mailboxes.letters import (
    Event,
    Mark,
    NewLetter,
    NewRequest,
    Request,
    RequestState,
    Stored,
)
from sekisho.mailboxes.migrations import SHARED_SIZE
from sekisho.mailboxes.sqlite_registry import SqliteRegistry
from sekisho.mailboxes.sqlite_view import tag
from sekisho.mailboxes.store import Conflict, StoreError

__all__ = ["Counters", "SqliteUnit"]

# The driver binds whole numbers, texts and bytearrays as they are; for bytes and None it first looks for an adapter,
# which costs more than the binding. So bytes go in as bytearrays, and what is missing as a value that nothing has
# (a time of -1, a number 0, an empty text) and nullif().
_NEVER: Final = -1
_BLOB: Final = "INSERT INTO blob (id, digest, size, bytes) VALUES (?, ?, ?, ?)"
_SHARED: Final = f"SELECT id FROM blob WHERE digest = ? AND size >= {SHARED_SIZE:d}"  # noqa: S608 - a constant
_LANE: Final = (
    "INSERT INTO lane (lane, next_seq, pending, head_at) VALUES (?, ?, ?, ?) ON CONFLICT (lane) DO UPDATE"
    " SET next_seq = excluded.next_seq, pending = pending + excluded.pending, head_at = excluded.head_at"
)
_LANE_LESS: Final = "UPDATE lane SET pending = pending - ? WHERE lane = ?"
_MESSAGE: Final = (
    "INSERT INTO message (id, lane, seq, idem, transport, principal, received_at, peer, sender, recipient, wrapping,"
    " content_type, transport_id, user_id, business_code, carry, input_id, parent, content_digest, content_tag, state,"
    " attempts, result, key, done_at, blob_id, conversation, answer)"
    " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,nullif(?, 0),?,nullif(?, 0),?,?,?,?,nullif(?, -1),?,?,nullif(?, ''))"
)
_REPLY: Final = (
    "INSERT INTO reply (id, message_id, part, box, uid, user_id, business_code, output_code, kind, form, subject,"
    " created_at, due_at, blob_id) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,nullif(?, -1),?)"
)
_EVENT: Final = "INSERT INTO event (at, actor, kind, message_id, reply_id, detail) VALUES (?,?,?,?,?,?)"
_FINISH: Final = (
    "UPDATE message SET state = ?, result = ?, key = ?, done_at = ?, attempts = attempts + 1 WHERE id = ? AND state = 0"
)
_MARK: Final = (
    "UPDATE reply SET due_at = CASE WHEN deleted_at IS NULL THEN nullif(?1, -1) END, attempts = attempts + 1,"
    " last_outcome = ?2, last_error = ?3,"
    " door = CASE WHEN delivered_at IS NULL AND ?4 IS NOT NULL THEN ?5 ELSE door END,"
    " delivered_at = coalesce(delivered_at, ?4) WHERE id = ?6"
)
_HASTEN: Final = (
    "UPDATE reply SET due_at = ?, attempts = 0, last_outcome = '' WHERE id = ? AND deleted_at IS NULL"
    " AND EXISTS (SELECT 1 FROM mailbox x WHERE x.box = reply.box AND x.pushes = 1)"
)
_OFFER: Final = (
    "UPDATE reply SET delivered_at = NULL, door = '' WHERE id = ? AND deleted_at IS NULL"
    " AND EXISTS (SELECT 1 FROM mailbox x WHERE x.box = reply.box AND x.pushes = 0 AND x.doors <> '')"
)


class Counters:
    """What the writer knows of the committed state; dropped whenever it may not hold any more."""

    __slots__ = ("blob", "boxes", "lanes", "letter", "message")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Know nothing."""
        self.message: int | None = None
        self.letter: int | None = None
        self.blob: int | None = None
        self.lanes: dict[str, int] = {}
        """lane -> next seq."""
        self.boxes: dict[str, list[int]] = {}
        """box -> next uid, uid_validity."""


class _Savepoint:
    """See the module's strategy. ``lengths`` are those of the unit's lists; ``issued``: the engine knows it."""

    __slots__ = ("issued", "lengths", "unit")

    def __init__(self, unit: SqliteUnit) -> None:
        self.unit = unit
        self.issued = False
        self.lengths = (0, 0, 0, 0)

    def __enter__(self) -> None:
        self.unit.enter(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unit.leave(self, undo=kind is not None)


def _check_text(*texts: str) -> None:
    """A lone surrogate would be found only when the whole batch is written, and would cost its neighbours."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError as error:
        raise StoreError(f"text that is not Unicode cannot be kept: {error}") from error


class SqliteUnit(SqliteRegistry):
    """One transaction on the writer connection, whose owner begins and ends it."""

    __slots__ = ("_absent", "_broken", "_counters", "_done", "_ended", "_events", "_finishes", "_idems", "_letters",
                 "_parts", "_pending", "_requests", "_savepoints")  # fmt: skip

    def __init__(self, connection: sqlite3.Connection, counters: Counters, clock_us: Callable[[], int]) -> None:
        super().__init__(connection, clock_us)
        self._counters = counters
        self._ended = False
        self._broken = False
        self._savepoints: list[_Savepoint] = []
        # Gathered and not yet written: number, seq, digest of raw and content; number, state, result, key, time, lane;
        # number, uid, digest; and what they belong to.
        self._requests: list[tuple[int, int, bytes, bytes, NewRequest]] = []
        self._finishes: list[tuple[int, int, str, str, int, str]] = []
        self._letters: list[tuple[int, int, bytes, NewLetter]] = []
        self._events: list[Event] = []
        # Seen from another side: number -> lane, identities, (request, part), finished requests.
        self._pending: dict[int, str] = {}
        self._idems: set[str] = set()
        self._parts: set[tuple[int, int]] = set()
        self._done: set[int] = set()
        # Identities that were looked for and are not in the engine: the lock is ours, so they stay away.
        self._absent: set[str] = set()

    # Gathering, writing, undoing
    def end(self) -> None:
        """No more calls: every later one raises StoreError."""
        super().end()
        self._ended = True

    def flush(self) -> None:
        """Write what was gathered. Raises StoreError, also if an earlier write of this transaction failed for good."""
        self._alive()
        if self._requests or self._letters or self._finishes or self._events:
            self._issue()
            self._flush(len(self._requests), len(self._finishes), len(self._letters), len(self._events))

    def savepoint(self) -> _Savepoint:
        return _Savepoint(self)

    def enter(self, savepoint: _Savepoint) -> None:
        """Begin one; called by the savepoint."""
        if self._ended or self._broken:
            self._alive()
        savepoint.lengths = (len(self._requests), len(self._finishes), len(self._letters), len(self._events))
        self._savepoints.append(savepoint)

    def leave(self, savepoint: _Savepoint, *, undo: bool) -> None:
        """End one; called by the savepoint."""
        self._alive()
        if self._savepoints.pop() is not savepoint:
            raise StoreError("savepoints must end in the order in which they nest")
        if undo:
            self._forget(*savepoint.lengths)
        if savepoint.issued:
            if undo:
                self._run(f"ROLLBACK TO s{len(self._savepoints)}")
                # The engine holds the counters of the moment of the savepoint: read them anew.
                self._counters.clear()
                self._absent.clear()
            self._run(f"RELEASE s{len(self._savepoints)}")

    def _alive(self) -> None:
        if self._ended:
            raise StoreError("this transaction has ended")
        if self._broken:
            raise StoreError("this transaction has failed and cannot be committed")

    def _fresh(self) -> None:
        self.flush()

    def _ready(self) -> None:
        """Called before writing something that is not gathered."""
        self._alive()
        if self._savepoints and not self._savepoints[-1].issued:
            self._issue()

    def _run(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        try:
            return super()._run(sql, values)
        except StoreError:
            # A full disk can end the whole transaction; what came after it would be committed piece by piece.
            if not self._connection.in_transaction:
                self._broken = True
            raise

    def _write_all(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        """Write gathered rows. They belong to several messages: if this fails, none of them may be committed."""
        try:
            self._connection.executemany(sql, rows)
        except (sqlite3.Error, UnicodeError, OverflowError) as error:
            self._broken = True
            raise StoreError(f"the store refused: {error}") from error

    def _forget(self, requests: int, finishes: int, letters: int, events: int) -> None:
        """Shorten the lists to these lengths and count back."""
        for number, state, *_ in self._finishes[finishes:]:
            if state:
                self._done.discard(number)
        for number, seq, _raw, _content, request in reversed(self._requests[requests:]):
            self._counters.message = number - 1
            self._counters.lanes[request.lane] = seq
            self._idems.discard(request.idem)
            del self._pending[number]
        for number, uid, _digest, letter in reversed(self._letters[letters:]):
            self._counters.letter = number - 1
            self._counters.boxes[letter.box][0] = uid
            self._parts.discard((letter.request, letter.part))
        del self._requests[requests:], self._finishes[finishes:], self._letters[letters:], self._events[events:]

    def _issue(self) -> None:
        """Make the open savepoints known to the engine, each after what was gathered before it."""
        for depth, savepoint in enumerate(self._savepoints):
            if savepoint.issued:
                continue
            a, b, c, d = savepoint.lengths
            self._flush(a, b, c, d)
            self._run(f"SAVEPOINT s{depth}")
            savepoint.issued = True
            for later in self._savepoints[depth:]:
                e, f, g, h = later.lengths
                later.lengths = (e - a, f - b, g - c, h - d)

    def _flush(self, requests: int, finishes: int, letters: int, events: int) -> None:
        """Write so many of each list and take them off it. Parents go before children: the engine checks references."""
        if finishes:
            self._flush_finishes(finishes, requests)
        elif requests:
            self._flush_requests(requests, {})
        if letters:
            self._flush_letters(letters)
        if events:
            rows = [(e.at, e.actor, e.kind, e.request, e.letter, e.detail) for e in self._events[:events]]
            del self._events[:events]
            self._write_all(_EVENT, rows)

    def _flush_requests(self, count: int, ends: Mapping[int, tuple[int, int, str, str, int | None]]) -> None:
        gathered = self._requests[:count]
        del self._requests[:count]
        lanes: dict[str, list[int]] = {}
        rows = []
        blobs = self._blobs((digest, r.raw) for _, _, digest, _, r in gathered)
        for blob, (number, seq, _digest, content_digest, r) in zip(blobs, gathered, strict=True):
            state, attempts, result, key, done_at = ends.get(number, (0, 0, "", "", None))
            lane = lanes.setdefault(r.lane, [0, 0, 0])
            lane[0], lane[1], lane[2] = seq + 1, lane[1] + (state == 0), r.received_at
            self._idems.discard(r.idem)
            del self._pending[number]
            rows.append((
                number, r.lane, seq, r.idem or f"#{number}", r.transport, r.principal, r.received_at, r.peer, r.sender,
                r.recipient, r.wrapping, r.content_type, r.transport_id, r.user_id, r.business_code, r.carry,
                r.input_id, r.parent or 0, bytearray(content_digest), tag(content_digest) if r.comparable else 0, state,
                attempts, result, key, _NEVER if done_at is None else done_at, blob, r.conversation, r.answer or "",
            ))  # fmt: skip
        self._write_all(_LANE, [(lane, *values) for lane, values in lanes.items()])
        self._write_all(_MESSAGE, rows)

    def _flush_finishes(self, count: int, requests: int) -> None:
        """A request that is journalled and finished in one go is written once."""
        gathered = self._finishes[:count]
        del self._finishes[:count]
        fresh = {row[0] for row in self._requests[:requests]}
        ends: dict[int, tuple[int, int, str, str, int | None]] = {}
        rows = []
        lanes: dict[str, int] = {}
        for number, state, result, key, at, lane in gathered:
            self._done.discard(number)
            if number in fresh:
                ends[number] = (state, ends[number][1] + 1 if number in ends else 1, result, key, at)
            else:
                rows.append((state, result, key, at, number))
                if state:
                    lanes[lane] = lanes.get(lane, 0) + 1
        if fresh:
            self._flush_requests(requests, ends)
        if rows:
            self._write_all(_FINISH, rows)
            self._write_all(_LANE_LESS, [(less, lane) for lane, less in lanes.items()])

    def _flush_letters(self, count: int) -> None:
        gathered = self._letters[:count]
        del self._letters[:count]
        boxes: dict[str, int] = {}
        rows = []
        blobs = self._blobs((digest, x.content) for _, _, digest, x in gathered)
        for blob, (number, uid, _digest, x) in zip(blobs, gathered, strict=True):
            boxes[x.box] = uid + 1
            self._parts.discard((x.request, x.part))
            rows.append((
                number, x.request, x.part, x.box, uid, x.user_id, x.business_code, x.output_code, x.kind, x.form,
                x.subject, x.created_at, _NEVER if x.due_at is None else x.due_at, blob,
            ))  # fmt: skip
        self._write_all("UPDATE mailbox SET uid_next = ? WHERE box = ?", [(uid, box) for box, uid in boxes.items()])
        self._write_all(_REPLY, rows)

    def _blobs(self, gathered: Iterable[tuple[bytes, bytes]]) -> list[int]:
        """Write bytes with their digests and give their row numbers. Large ones that are there are not written."""
        counters = self._counters
        if counters.blob is None:
            counters.blob = (self._one("SELECT max(id) FROM blob") or (0,))[0] or 0
        numbers = []
        rows = []
        shared: dict[bytes, int] = {}
        for digest, content in gathered:
            number = None
            if len(content) >= SHARED_SIZE:
                row = self._one(_SHARED, digest)
                number = row[0] if row else shared.get(digest)
            if number is None:
                number = shared[digest] = counters.blob = counters.blob + 1
                rows.append((number, bytearray(digest), len(content), bytearray(content)))
            numbers.append(number)
        self._write_all(_BLOB, rows)
        return numbers

    def _last(self, table: str) -> int:
        row = self._one("SELECT seq FROM sqlite_sequence WHERE name = ?", table)
        return int(row[0]) if row else 0

    # The journal
    def find_request(self, idem: str) -> Request | None:
        self._alive()
        if idem in self._absent:
            return None
        if idem in self._idems:
            self.flush()
        found = self._find_request(idem)
        if found is None:
            self._absent.add(idem)
        elif self._finishes:
            self.flush()
            found = self._find_request(idem)
        return found

    def find_same(self, lane: str, content_digest: str, since: int) -> list[Request]:
        # Asked for every request without an identity of its own, which is itself among the gathered ones.
        self._alive()
        kept = self._find_same(lane, content_digest, since)
        if kept and self._finishes:
            self.flush()
            return self._find_same(lane, content_digest, since)
        gathered = [
            self._gathered(number, seq, raw, content, r)
            for number, seq, raw, content, r in reversed(self._requests)
            if r.lane == lane and r.comparable and r.received_at >= since and content.hex() == content_digest
        ]
        return gathered + kept

    def _gathered(self, number: int, seq: int, raw: bytes, content: bytes, r: NewRequest) -> Request:
        """A request as it will be read once it is written."""
        ends = [end for end in self._finishes if end[0] == number]
        state, result, key, at = ends[-1][1:5] if ends else (0, "", "", None)
        return Request(
            number, r.lane, seq, r.idem or f"#{number}", r.transport, r.principal, r.received_at, r.peer, r.sender,
            r.recipient, r.wrapping, r.content_type, r.transport_id, r.user_id, r.business_code, r.carry, r.input_id,
            r.parent, RequestState(state), len(ends), raw.hex(), content.hex(), result, key, at, r.conversation,
        )  # fmt: skip

    def journal(self, request: NewRequest) -> int:
        self._alive()
        idem, lane, counters = request.idem, request.lane, self._counters
        if idem in self._idems:
            raise Conflict(f"the request {idem} is known")
        if not idem:
            pass  # its number will be one
        elif idem in self._absent:
            self._absent.discard(idem)
        elif self._one("SELECT 1 FROM message WHERE idem = ?", idem):
            raise Conflict(f"the request {idem} is known")
        r = request
        _check_text(
            lane, idem, r.transport, r.principal, r.peer, r.sender, r.recipient, r.wrapping, r.content_type,
            r.transport_id, r.user_id, r.business_code, r.carry, r.input_id, r.conversation,
        )  # fmt: skip
        seq = counters.lanes.get(lane)
        if seq is None:
            row = self._one("SELECT next_seq FROM lane WHERE lane = ?", lane)
            seq = row[0] if row else 1
        if counters.message is None:
            counters.message = self._last("message")
        raw = sha256(request.raw).digest()
        content = raw if request.content is request.raw else sha256(request.content).digest()
        number = counters.message = counters.message + 1
        counters.lanes[lane] = seq + 1
        self._pending[number] = lane
        if idem:
            self._idems.add(idem)
        self._requests.append((number, seq, raw, content, request))
        return number

    def finish(self, request: int, *, state: int, result: str, key: str, at: int) -> None:
        self._alive()
        _check_text(result, key)
        lane = self._pending.get(request)
        if request in self._done:
            raise StoreError(f"request {request} is finished")
        if lane is None:
            row = self._one("SELECT lane, state FROM message WHERE id = ?", request)
            if row is None or row[1]:
                raise StoreError(f"request {request} is {'finished' if row else 'unknown'}")
            lane = row[0]
        if state:
            self._done.add(request)
        self._finishes.append((request, int(state), result, key, at, lane))

    # Letters
    def add_letter(self, letter: NewLetter) -> Stored:
        self._alive()
        request, part, counters = letter.request, letter.part, self._counters
        if (request, part) in self._parts:
            raise Conflict(f"part {part} of request {request} is there")
        if request not in self._pending:
            sql = "SELECT r.id FROM message m LEFT JOIN reply r ON r.message_id = m.id AND r.part = ? WHERE m.id = ?"
            row = self._one(sql, part, request)
            if row is None:
                raise StoreError(f"there is no request {request}")
            if row[0] is not None:
                raise Conflict(f"part {part} of request {request} is there")
        box = counters.boxes.get(letter.box)
        if box is None:
            row = self._one("SELECT uid_next, uid_validity FROM mailbox WHERE box = ?", letter.box)
            if row is None:
                raise StoreError(f"there is no box {letter.box}")
            box = counters.boxes[letter.box] = [*row]
        _check_text(
            letter.user_id, letter.business_code, letter.output_code, letter.kind, letter.form, letter.subject
        )  # fmt: skip
        if counters.letter is None:
            counters.letter = self._last("reply")
        number = counters.letter = counters.letter + 1
        uid = box[0]
        box[0] = uid + 1
        self._parts.add((request, part))
        self._letters.append((number, uid, sha256(letter.content).digest(), letter))
        return Stored(number, uid, box[1])

    def mark(self, marks: Iterable[Mark]) -> None:
        self._fresh()
        self._ready()
        rows: list[tuple[Any, ...]] = []
        for number, outcome, at, due_at, text, door in marks:
            if not text.isascii():
                _check_text(text)
            if outcome == "delivered":
                rows.append((_NEVER, outcome, text, at, door, number))
            else:
                rows.append((_NEVER if due_at is None else due_at, outcome, text, None, door, number))
        self._write_all(_MARK, rows)

    def hasten(self, letters: Sequence[int], at: int) -> None:
        self._fresh()
        for number in letters:
            self._write(_HASTEN, at, number)
            self._write(_OFFER, number)

    def delete_letters(self, letters: Sequence[int], at: int) -> None:
        self._fresh()
        for number in letters:
            sql = "UPDATE reply SET deleted_at = ?, due_at = NULL WHERE id = ? AND deleted_at IS NULL"
            self._write(sql, at, number)

    # The rest
    def add_event(self, event: Event) -> None:
        self._alive()
        _check_text(event.actor, event.kind, event.detail)
        self._events.append(event)
