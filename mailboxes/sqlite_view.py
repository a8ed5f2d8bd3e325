"""Reading the SQLite store: constant statements, rows in the order of the values' fields."""

# ruff: noqa: D102 - what each method promises is said once, in store.py

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from sekisho.mailboxes.letters import (
    Account,
    Box,
    Dispatch,
    Event,
    Letter,
    LetterQuery,
    Listed,
    Office,
    Place,
    Quarantined,
    Request,
    RequestState,
    Route,
    SentMessage,
    Timer,
    Window,
)
from sekisho.mailboxes.store import StoreError

__all__ = ["SqliteView", "dump", "tag"]

_REQUEST: Final = (
    "SELECT m.id, m.lane, m.seq, m.idem, m.transport, m.principal, m.received_at, m.peer, m.sender, m.recipient,"
    " m.wrapping, m.content_type, m.transport_id, m.user_id, m.business_code, m.carry, m.input_id, m.parent, m.state,"
    " m.attempts, b.digest, m.content_digest, m.result, m.key, m.done_at, m.conversation"
    " FROM message m JOIN blob b ON b.id = m.blob_id"
)
_LETTER: Final = (
    "SELECT r.id, r.message_id, r.part, r.box, r.uid, r.user_id, r.business_code, r.output_code, r.kind, r.form,"
    " r.subject, b.size, b.digest, r.created_at, r.delivered_at, r.deleted_at, r.due_at, r.attempts,"
    " r.last_outcome, r.last_error, r.door FROM reply r JOIN blob b ON b.id = r.blob_id"
)
# Letter.state, said in SQL.
_STATE: Final = (
    "CASE WHEN r.deleted_at IS NOT NULL THEN 'deleted' WHEN r.delivered_at IS NOT NULL THEN 'delivered'"
    " WHEN r.last_outcome = '' THEN 'waiting'"
    " WHEN r.last_outcome = 'unknown' AND r.due_at IS NOT NULL THEN 'unknown'"
    " WHEN r.last_outcome IN ('refused', 'unknown') OR r.due_at IS NULL THEN 'failed' ELSE 'waiting' END"
)
_ACCOUNT: Final = (
    "SELECT id, password_hash, password_state, former, former_state, history, trade, specialist, in_house, mail_from,"
    " box, suspended, strict, tolerate_length FROM user_account"
)
_BOX: Final = "SELECT box, address, doors, push, password_hash, uid_validity, keys, secret FROM mailbox"
# The partial index of undelivered letters, whatever else the box still holds.
_WAITING: Final = (
    "SELECT r.id, r.uid, b.size, r.created_at, r.output_code, r.business_code, r.user_id, r.kind, r.subject, m.key,"
    " substr(b.bytes, 1, 3) IN (x'554E41', x'554E42') FROM reply r INDEXED BY reply_undelivered"
    " JOIN blob b ON b.id = r.blob_id JOIN message m ON m.id = r.message_id"
    " WHERE r.box = ? AND r.delivered_at IS NULL AND r.deleted_at IS NULL ORDER BY r.uid"
)
_SENT: Final = (
    "SELECT message_id, reply_id, partner, content_type, content, created_at, expires_at, state, acknowledged_at"
    " FROM ebms_sent"
)
_EVENT: Final = "SELECT at, actor, kind, message_id, reply_id, detail, id FROM event"
_DUE: Final = " FROM reply r INDEXED BY reply_due JOIN mailbox x ON x.box = r.box WHERE x.pushes = 1"


def dump(value: object) -> str:
    """A business value as JSON text. Raises StoreError for what JSON cannot hold."""
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise StoreError(f"not a value that can be kept: {error}") from error


def tag(digest: bytes) -> int:
    """The first 8 bytes of a digest as the signed number by which equal messages are found."""
    return int.from_bytes(digest[:8], "big", signed=True)


def _load(text: str) -> Any:  # noqa: ANN401 - a record holds what its handler put
    return msgspec.json.decode(text)


def _request(row: tuple[Any, ...]) -> Request:
    state, attempts, digest, content_digest = row[18:22]
    return Request(*[*row[:18], RequestState(state), attempts, digest.hex(), content_digest.hex(), *row[22:]])


def _letter(row: tuple[Any, ...]) -> Letter:
    return Letter(*[*row[:12], row[12].hex(), *row[13:]])


def _account(row: tuple[Any, ...]) -> Account:
    history, trade, specialist, in_house, mail_from, box, *flags = row[5:]
    values = (tuple(_load(history)), trade, bool(specialist), bool(in_house), tuple(_load(mail_from)), box)
    return Account(*[*row[:5], *values, *map(bool, flags)])


def _box(row: tuple[Any, ...]) -> Box:
    return Box(row[0], row[1], tuple(row[2].split()), row[3], row[4], row[5], tuple(_load(row[6])), row[7])


def _office(row: tuple[Any, ...]) -> Office:
    return Office(row[0], row[1], _load(row[2]), tuple(_load(row[3])))


# A connection that is closed refuses everything, which is just what a view has to do whose block has ended.
_ENDED: Final = sqlite3.connect(":memory:", check_same_thread=False)
_ENDED.close()


class SqliteView:
    """Committed state, or in a unit also its own writing, on one connection; used by one thread at a time."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def end(self) -> None:
        """No more calls: every later one raises StoreError."""
        self._connection = _ENDED

    def _fresh(self) -> None:
        """Called before reading what a unit may still hold in memory."""

    def _run(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        try:
            return self._connection.execute(sql, values)
        except (sqlite3.Error, UnicodeError, OverflowError) as error:
            raise StoreError(f"the store refused: {error}") from error

    def _one(self, sql: str, *values: Any) -> tuple[Any, ...] | None:  # noqa: ANN401 - column values
        try:
            row: tuple[Any, ...] | None = self._connection.execute(sql, values).fetchone()
        except (sqlite3.Error, UnicodeError, OverflowError) as error:
            raise StoreError(f"the store refused: {error}") from error
        return row

    def _all(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 - column values
        try:
            return self._connection.execute(sql, values).fetchall()
        except (sqlite3.Error, UnicodeError, OverflowError) as error:
            raise StoreError(f"the store refused: {error}") from error

    # The journal
    def request(self, number: int) -> Request | None:
        self._fresh()
        row = self._one(_REQUEST + " WHERE m.id = ?", number)
        return None if row is None else _request(row)

    def raw(self, request: int) -> bytes:
        self._fresh()
        row = self._one("SELECT b.bytes FROM message m JOIN blob b ON b.id = m.blob_id WHERE m.id = ?", request)
        if row is None:
            raise StoreError(f"there is no request {request}")
        return bytes(row[0])

    def answer(self, request: int) -> bytes:
        self._fresh()
        row = self._one("SELECT answer FROM message WHERE id = ?", request)
        return bytes(row[0]) if row and row[0] else b""

    def find_request(self, idem: str) -> Request | None:
        return self._find_request(idem)

    def _find_request(self, idem: str) -> Request | None:
        row = self._one(_REQUEST + " WHERE m.idem = ?", idem)
        return None if row is None else _request(row)

    def find_same(self, lane: str, content_digest: str, since: int) -> list[Request]:
        return self._find_same(lane, content_digest, since)

    def _find_same(self, lane: str, content_digest: str, since: int) -> list[Request]:
        try:
            digest = bytes.fromhex(content_digest)
        except ValueError:
            return []
        where = " WHERE m.content_tag = ? AND m.content_digest = ? AND m.lane = ? AND m.received_at >= ?"
        rows = self._all(_REQUEST + where + " ORDER BY m.id DESC", tag(digest), digest, lane, since)
        return [_request(row) for row in rows]

    def received(self) -> list[int]:
        self._fresh()
        return [row[0] for row in self._all("SELECT id FROM message WHERE state = 0 ORDER BY id")]

    def requests(self, limit: int = 100, before: int | None = None) -> list[Request]:
        self._fresh()
        where = " WHERE ? IS NULL OR m.id < ? ORDER BY m.id DESC LIMIT ?"
        return [_request(row) for row in self._all(_REQUEST + where, before, before, max(limit, 0))]

    def sent_by(
        self, principal: str, wrapping: str, limit: int = 100, *, quarantined: bool = False
    ) -> list[tuple[Request, int]]:
        self._fresh()
        where = " WHERE m.principal = ? AND m.principal <> '' AND m.wrapping = ?"
        if quarantined:
            where += " AND EXISTS (SELECT 1 FROM quarantine q WHERE q.message_id = m.id AND q.released_at IS NULL)"
        sql = f"{_REQUEST.replace(' FROM ', ', b.size FROM ', 1)}{where} ORDER BY m.id DESC LIMIT ?"
        return [(_request(row[:-1]), row[-1]) for row in self._all(sql, principal, wrapping, max(limit, 0))]

    # Letters
    def letter(self, number: int) -> Letter | None:
        self._fresh()
        row = self._one(_LETTER + " WHERE r.id = ?", number)
        return None if row is None else _letter(row)

    def content(self, letter: int) -> bytes:
        self._fresh()
        row = self._one("SELECT b.bytes FROM reply r JOIN blob b ON b.id = r.blob_id WHERE r.id = ?", letter)
        if row is None:
            raise StoreError(f"there is no letter {letter}")
        return bytes(row[0])

    def letters(self, query: LetterQuery) -> list[Letter]:
        self._fresh()
        tests: list[str] = []
        values: list[Any] = []

        def match(test: str, *given: Any) -> None:  # noqa: ANN401 - column values
            tests.append(test)
            values.extend(given)

        for column in ("box", "user_id", "business_code", "output_code"):
            if wanted := getattr(query, column):
                match(f"r.{column} = ?", wanted)
        if query.request is not None:
            match("r.message_id = ?", query.request)
        if query.text:
            match("instr(r.subject, ?) > 0", query.text)
        if query.before is not None:
            match("r.id < ?", query.before)
        if query.after is not None:
            match("r.id > ?", query.after)
        if query.states:
            match(f"{_STATE} IN ({', '.join('?' * len(query.states))})", *query.states)
        else:
            match("r.deleted_at IS NULL")
        # Within one box uids and numbers rise together, and (box, uid) is an index.
        order = "uid" if query.box else "id"
        way = "ASC" if query.oldest_first else "DESC"
        sql = f"{_LETTER} WHERE {' AND '.join(tests)} ORDER BY r.{order} {way} LIMIT ?"
        return [_letter(row) for row in self._all(sql, *values, max(query.limit, 0))]

    def letters_of(self, request: int) -> list[Letter]:
        self._fresh()
        return [_letter(row) for row in self._all(_LETTER + " WHERE r.message_id = ? ORDER BY r.part", request)]

    def undelivered(self, boxes: Sequence[str]) -> list[tuple[str, int]]:
        self._fresh()
        marks = ", ".join("?" * len(boxes))
        sql = (
            "SELECT output_code, count(*) FROM reply WHERE delivered_at IS NULL AND deleted_at IS NULL"  # noqa: S608
            f" AND box IN ({marks}) GROUP BY output_code ORDER BY output_code"
        )
        return [(row[0], row[1]) for row in self._all(sql, *boxes)]

    def waiting(self, box: str) -> list[Listed]:
        self._fresh()
        return [Listed(*[*row[:10], bool(row[10])]) for row in self._all(_WAITING, box)]

    def sent_message(self, message_id: str) -> SentMessage | None:
        row = self._one(_SENT + " WHERE message_id = ?", message_id)
        return None if row is None else SentMessage(*row)

    def sent_for(self, letter: int) -> SentMessage | None:
        row = self._one(_SENT + " WHERE reply_id = ? ORDER BY created_at DESC, message_id DESC LIMIT 1", letter)
        return None if row is None else SentMessage(*row)

    def due(
        self, now: int, limit: int, exclude: frozenset[int] = frozenset(), but_boxes: Sequence[str] = ()
    ) -> list[Dispatch]:
        self._fresh()
        # Numbers first: what is excluded is in somebody's hands and need not be read again.
        skip = f" AND x.box NOT IN ({','.join('?' * len(but_boxes))})" if but_boxes else ""
        sql = f"SELECT r.id{_DUE} AND r.due_at <= ?{skip} ORDER BY r.due_at, r.id LIMIT ?"
        rows = self._all(sql, now, *but_boxes, max(limit, 0) + len(exclude))
        found = [row[0] for row in rows if row[0] not in exclude]
        row_sql = (
            "SELECT r.id, r.box, r.uid, x.uid_validity, r.created_at, r.due_at, r.attempts, b.bytes"
            " FROM reply r JOIN mailbox x ON x.box = r.box JOIN blob b ON b.id = r.blob_id WHERE r.id = ?"
        )
        letters = (self._one(row_sql, number) for number in found[: max(limit, 0)])
        return [Dispatch(*letter) for letter in letters if letter]

    def next_due(self) -> int | None:
        self._fresh()
        sql = f"SELECT r.due_at{_DUE} AND r.due_at IS NOT NULL ORDER BY r.due_at LIMIT 1"
        row = self._one(sql)
        return None if row is None else int(row[0])

    def box_counts(self) -> list[tuple[str, int, int]]:
        self._fresh()
        kept = "SELECT count(*) FROM reply r WHERE r.box = x.box AND r.deleted_at IS NULL"
        waiting = f"{kept} AND r.delivered_at IS NULL"
        sql = f"SELECT x.box, ({kept}), ({waiting}) FROM mailbox x ORDER BY x.box"  # noqa: S608 - constants
        return [(row[0], row[1], row[2]) for row in self._all(sql)]

    # The registry
    def account(self, user_id: str) -> Account | None:
        row = self._one(_ACCOUNT + " WHERE id = ?", user_id)
        return None if row is None else _account(row)

    def accounts(self) -> list[Account]:
        return [_account(row) for row in self._all(_ACCOUNT + " ORDER BY id")]

    def knows_user_code(self, user_code: str) -> bool:
        return self._one("SELECT 1 FROM user_account WHERE user_code = ?", user_code) is not None

    def owners(self, address: str) -> list[str]:
        sql = "SELECT user_id FROM user_address WHERE address_key = ? ORDER BY user_id"
        return [row[0] for row in self._all(sql, address.lower())]

    def users_of_box(self, box: str) -> list[str]:
        return [row[0] for row in self._all("SELECT id FROM user_account WHERE box = ? ORDER BY id", box)]

    def box(self, box: str) -> Box | None:
        row = self._one(_BOX + " WHERE box = ?", box)
        return None if row is None else _box(row)

    def box_of_address(self, address: str) -> Box | None:
        row = self._one(_BOX + " WHERE address_key = ? ORDER BY box LIMIT 1", address.lower())
        return None if row is None else _box(row)

    def boxes(self) -> list[Box]:
        return [_box(row) for row in self._all(_BOX + " ORDER BY box")]

    def routes(self) -> list[Route]:
        return [Route(*row) for row in self._all("SELECT user, output, box FROM route ORDER BY user, output")]

    def place(self, code: str) -> Place | None:
        row = self._one("SELECT code, user, name FROM place WHERE code = ?", code)
        return None if row is None else Place(*row)

    def places(self) -> list[Place]:
        return [Place(*row) for row in self._all("SELECT code, user, name FROM place ORDER BY code")]

    def office(self, code: str) -> Office | None:
        row = self._one("SELECT code, name, hours, holidays FROM office WHERE code = ?", code)
        return None if row is None else _office(row)

    def offices(self) -> list[Office]:
        return [_office(row) for row in self._all("SELECT code, name, hours, holidays FROM office ORDER BY code")]

    def windows(self) -> list[Window]:
        sql = 'SELECT id, business, code, starts, ends, text FROM "window" ORDER BY starts, id'
        return [Window(*row) for row in self._all(sql)]

    # Business records
    def record(self, kind: str, key: str) -> Mapping[str, Any] | None:
        row = self._one("SELECT data FROM record WHERE kind = ? AND key = ?", kind, key)
        return None if row is None else _load(row[0])

    def records(self, kind: str, limit: int = 1000, after: str = "") -> list[tuple[str, Mapping[str, Any]]]:
        sql = "SELECT key, data FROM record WHERE kind = ? AND key > ? ORDER BY key LIMIT ?"
        return [(key, _load(data)) for key, data in self._all(sql, kind, after, max(limit, 0))]

    def find_records(self, kind: str, field: str, value: str, limit: int = 100) -> list[tuple[str, Mapping[str, Any]]]:
        # The engine sorts out by the text as JSON writes it; what is left is read and looked at.
        found: list[tuple[str, Mapping[str, Any]]] = []
        sql = "SELECT key, data FROM record WHERE kind = ? AND instr(data, ?) > 0 ORDER BY key"
        for key, text in self._run(sql, (kind, dump(value))):
            if len(found) >= limit:
                break
            data = _load(text)
            if data.get(field) == value:
                found.append((key, data))
        return found

    # The rest
    def timers(self, until: int, limit: int = 100) -> list[Timer]:
        sql = "SELECT id, due_at, kind, key, data FROM schedule WHERE due_at <= ? ORDER BY due_at, id LIMIT ?"
        return [Timer(*[*row[:4], _load(row[4])]) for row in self._all(sql, until, max(limit, 0))]

    def quarantined(self, limit: int = 100) -> list[Quarantined]:
        self._fresh()
        sql = (
            "SELECT id, message_id, reason, at, released_at FROM quarantine WHERE released_at IS NULL"
            " ORDER BY id DESC LIMIT ?"
        )
        return [Quarantined(*row) for row in self._all(sql, max(limit, 0))]

    def events(self, request: int | None = None, letter: int | None = None, limit: int = 100) -> list[Event]:
        self._fresh()
        # The newest ones, told oldest first. Two constant tests a query keep each on its own index.
        where, values = "", []
        if request is not None:
            where, values = " WHERE message_id = ?", [request]
        if letter is not None:
            where, values = (where + " AND" if where else " WHERE") + " reply_id = ?", [*values, letter]
        rows = self._all(f"{_EVENT}{where} ORDER BY id DESC LIMIT ?", *values, max(limit, 0))
        return [Event(*row) for row in reversed(rows)]
