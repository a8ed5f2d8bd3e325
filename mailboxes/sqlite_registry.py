"""Writing the SQLite store: users, boxes, routes, records, timers, removal. These are written at once."""

# ruff: noqa: D102 - what each method promises is said once, in store.py

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sekisho.mailboxes.letters import Account, Box, Office, Place, Route, SentMessage, Window
from sekisho.mailboxes.sqlite_view import SqliteView, dump
from sekisho.mailboxes.store import Conflict, StoreError

__all__ = ["SqliteRegistry"]

_ACCOUNT: Final = (
    "INSERT INTO user_account (id, user_code, password_hash, password_state, former, former_state, history, trade,"
    " specialist, in_house, mail_from, box, suspended, strict, tolerate_length) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
)
_ACCOUNT_AGAIN: Final = (
    " ON CONFLICT (id) DO UPDATE SET password_hash = excluded.password_hash, password_state = excluded.password_state,"
    " former = excluded.former, former_state = excluded.former_state, history = excluded.history,"
    " trade = excluded.trade, specialist = excluded.specialist, in_house = excluded.in_house,"
    " mail_from = excluded.mail_from, box = excluded.box, suspended = excluded.suspended, strict = excluded.strict,"
    " tolerate_length = excluded.tolerate_length"
)
_BOX: Final = (
    "INSERT INTO mailbox (box, address, address_key, doors, pushes, push, password_hash, uid_validity, keys,"
    " secret) VALUES (?,?,?,?,?,?,?,?,?,?)"
)
_BOX_AGAIN: Final = (
    " ON CONFLICT (box) DO UPDATE SET address = excluded.address, address_key = excluded.address_key,"
    " doors = excluded.doors, pushes = excluded.pushes, push = excluded.push, password_hash = excluded.password_hash,"
    " keys = excluded.keys, secret = excluded.secret"
)
_COLLECT: Final = (
    "UPDATE reply SET delivered_at = ?, door = ?, due_at = NULL,"
    " last_outcome = CASE WHEN due_at IS NULL AND attempts = 0 THEN last_outcome ELSE 'delivered' END"
    " WHERE id = ? AND box = ? AND delivered_at IS NULL AND deleted_at IS NULL"
)
_SENT: Final = (
    "INSERT OR REPLACE INTO ebms_sent (message_id, reply_id, partner, content_type, content, created_at, expires_at,"
    " state, acknowledged_at) VALUES (?,?,?,?,?,?,?,?,?)"
)
_OLD_LETTERS: Final = (
    "SELECT id, blob_id FROM reply WHERE created_at < ? AND created_at <"
    " CASE WHEN delivered_at IS NULL AND deleted_at IS NULL THEN ? ELSE ? END ORDER BY created_at, id LIMIT ?"
)
_OLD_REQUESTS: Final = (
    "SELECT id, blob_id FROM message m WHERE received_at < ? AND state <> 0"
    " AND NOT EXISTS (SELECT 1 FROM reply r WHERE r.message_id = m.id) ORDER BY received_at, id LIMIT ?"
)
_UNUSED_BLOB: Final = (
    "DELETE FROM blob WHERE id = ? AND NOT EXISTS (SELECT 1 FROM message WHERE blob_id = blob.id)"
    " AND NOT EXISTS (SELECT 1 FROM reply WHERE blob_id = blob.id)"
)


class SqliteRegistry(SqliteView):
    """The half of a unit that has no memory."""

    __slots__ = ("_clock",)

    def __init__(self, connection: sqlite3.Connection, clock_us: Callable[[], int]) -> None:
        super().__init__(connection)
        self._clock = clock_us

    def _ready(self) -> None:
        """Called before every write."""

    def _write(self, sql: str, *values: Any) -> sqlite3.Cursor:  # noqa: ANN401 - column values
        self._ready()
        return self._run(sql, values)

    # The registry
    def put_account(self, account: Account, *, new: bool = False) -> None:
        if new and self._one("SELECT 1 FROM user_account WHERE id = ?", account.id):
            raise Conflict(f"the user {account.id} is there")
        a = account
        self._write(
            _ACCOUNT + _ACCOUNT_AGAIN,
            a.id, a.user_code, a.password_hash, a.password_state, a.former, a.former_state, dump(a.history), a.trade,
            a.specialist, a.in_house, dump(a.mail_from), a.box, a.suspended, a.strict, a.tolerate_length,
        )  # fmt: skip
        self._write("DELETE FROM user_address WHERE user_id = ?", a.id)
        for key in {address.lower() for address in a.mail_from}:
            self._write("INSERT INTO user_address (address_key, user_id) VALUES (?, ?)", key, a.id)

    def put_box(self, box: Box, *, new: bool = False) -> None:
        if new and self._one("SELECT 1 FROM mailbox WHERE box = ?", box.id):
            raise Conflict(f"the box {box.id} is there")
        doors = " ".join(box.doors)
        # Seconds, as IMAP counts them; a store that is made anew under old box names gets other ones.
        validity = max(self._clock() // 1_000_000, 1)
        address = box.address
        self._write(
            _BOX + _BOX_AGAIN, box.id, address, address.lower(), doors, box.pushes, box.push, box.password_hash,
            validity, dump(box.keys), box.secret,
        )  # fmt: skip

    def put_route(self, route: Route) -> None:
        sql = "INSERT INTO route VALUES (?, ?, ?) ON CONFLICT (user, output) DO UPDATE SET box = excluded.box"
        self._write(sql, route.user, route.output, route.box)

    def delete_route(self, user: str, output: str) -> bool:
        return self._write("DELETE FROM route WHERE user = ? AND output = ?", user, output).rowcount > 0

    def put_place(self, place: Place) -> None:
        sql = "INSERT OR REPLACE INTO place (code, user, name) VALUES (?, ?, ?)"
        self._write(sql, place.code, place.user, place.name)

    def put_office(self, office: Office) -> None:
        sql = "INSERT OR REPLACE INTO office (code, name, hours, holidays) VALUES (?, ?, ?, ?)"
        self._write(sql, office.code, office.name, dump(dict(office.hours)), dump(office.holidays))

    def add_window(self, window: Window) -> int:
        sql = 'INSERT INTO "window" (business, code, starts, ends, text) VALUES (?, ?, ?, ?, ?)'
        w = window
        return int(self._write(sql, w.business, w.code, w.starts, w.ends, w.text).lastrowid or 0)

    def delete_window(self, number: int) -> bool:
        return self._write('DELETE FROM "window" WHERE id = ?', number).rowcount > 0

    # Letters at the doors, and what is said of requests
    def collect(self, letters: Sequence[int], box: str, door: str, at: int) -> list[int]:
        self._fresh()
        return [number for number in letters if self._write(_COLLECT, at, door, number, box).rowcount]

    def set_answer(self, request: int, answer: bytes) -> None:
        self._fresh()
        if not self._write("UPDATE message SET answer = ? WHERE id = ?", answer, request).rowcount:
            raise StoreError(f"there is no request {request}")

    def put_sent(self, sent: SentMessage) -> None:
        self._fresh()
        s = sent
        self._write(
            _SENT, s.message_id, s.letter, s.partner, s.content_type, s.content, s.created_at, s.expires_at, s.state,
            s.acknowledged_at,
        )  # fmt: skip

    # Business records
    def put_record(self, kind: str, key: str, data: Mapping[str, Any], at: int) -> None:
        sql = "INSERT OR REPLACE INTO record (kind, key, at, data) VALUES (?, ?, ?, ?)"
        self._write(sql, kind, key, at, dump(data))

    def delete_record(self, kind: str, key: str) -> bool:
        return self._write("DELETE FROM record WHERE kind = ? AND key = ?", kind, key).rowcount > 0

    def next_number(self, series: str) -> int:
        sql = (
            "INSERT INTO number_series (series, last) VALUES (?, 1)"
            " ON CONFLICT (series) DO UPDATE SET last = last + 1 RETURNING last"
        )
        return int(self._write(sql, series).fetchall()[0][0])

    # The rest
    def add_timer(self, due_at: int, kind: str, key: str, data: Mapping[str, Any]) -> int:
        sql = "INSERT INTO schedule (due_at, kind, key, data) VALUES (?, ?, ?, ?)"
        return int(self._write(sql, due_at, kind, key, dump(data)).lastrowid or 0)

    def take_timer(self, number: int) -> bool:
        return self._write("DELETE FROM schedule WHERE id = ?", number).rowcount > 0

    def cancel_timers(self, kind: str, key: str) -> int:
        return self._write("DELETE FROM schedule WHERE kind = ? AND key = ?", kind, key).rowcount

    def quarantine(self, request: int, reason: str, at: int) -> int:
        self._fresh()
        sql = "INSERT INTO quarantine (message_id, reason, at) VALUES (?, ?, ?)"
        return int(self._write(sql, request, reason, at).lastrowid or 0)

    def release(self, quarantined: int, at: int) -> bool:
        sql = "UPDATE quarantine SET released_at = ? WHERE id = ? AND released_at IS NULL"
        return self._write(sql, at, quarantined).rowcount > 0

    def purge(self, *, letters_before: int, fetched_before: int, requests_before: int, limit: int = 1000) -> int:
        self._fresh()
        newest = max(letters_before, fetched_before)
        letters = self._all(_OLD_LETTERS, newest, letters_before, fetched_before, max(limit, 0))
        for number, _ in letters:
            self._write("DELETE FROM reply WHERE id = ?", number)
        requests = self._all(_OLD_REQUESTS, requests_before, max(limit, 0))
        for number, _ in requests:
            self._write("DELETE FROM message WHERE id = ?", number)
        for blob in {blob for _, blob in letters + requests}:
            self._write(_UNUSED_BLOB, blob)
        return len(letters) + len(requests)
