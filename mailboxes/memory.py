"""The store's twin in memory: what the SQLite store promises but for the disk, said as plainly as possible.

*Strategy.* A transaction works on a copy of the committed state and a savepoint keeps a copy of the transaction's; what
raises goes back to the copy. That takes time in proportion to what is kept, and is meant for tests, where it also tells
whether the SQLite store is right.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any, Literal, overload

import msgspec

from sekisho.mailboxes.letters import (
    Account,
    Box,
    Event,
    Letter,
    Mark,
    NewLetter,
    NewRequest,
    Office,
    Place,
    Quarantined,
    Request,
    RequestState,
    Route,
    SentMessage,
    Stored,
    Timer,
    Window,
)
from sekisho.mailboxes.memory_view import MemoryView, State
from sekisho.mailboxes.store import Conflict, StoreError

__all__ = ["MemoryStore"]


def _json(value: object) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise StoreError(f"not a value that can be kept: {error}") from error


def _check_text(*texts: str) -> None:
    try:
        "".join(texts).encode()
    except UnicodeEncodeError as error:
        raise StoreError(f"text that is not Unicode cannot be kept: {error}") from error


class _Unit(MemoryView):
    """One open transaction."""

    __slots__ = ("_clock", "_depth")

    def __init__(self, state: State, clock_us: Callable[[], int]) -> None:
        super().__init__(state)
        self._clock = clock_us
        self._depth = 0

    @property
    def state(self) -> State:
        """What the transaction has come to."""
        return self._state

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        kept = self._state.copy()
        self._depth = depth = self._depth + 1
        try:
            yield
        except BaseException:
            if self._held is not None:
                self._held = kept
            raise
        finally:
            if self._held is not None:
                nested, self._depth = self._depth == depth, depth - 1
                if not nested:
                    raise StoreError("savepoints must end in the order in which they nest")

    def _next(self, what: str, of: str = "") -> int:
        number = self._state.counters.get((what, of), 0) + 1
        self._state.counters[what, of] = number
        return number

    # The journal
    def journal(self, request: NewRequest) -> int:
        r = request
        if r.idem and self.find_request(r.idem):
            raise Conflict(f"the request {r.idem} is known")
        _check_text(
            r.lane, r.idem, r.transport, r.principal, r.peer, r.sender, r.recipient, r.wrapping, r.content_type,
            r.transport_id, r.user_id, r.business_code, r.carry, r.input_id, r.conversation,
        )  # fmt: skip
        number = self._next("request")
        self._state.requests[number] = Request(
            number=number,
            lane=r.lane,
            seq=self._next("lane", r.lane),
            idem=r.idem or f"#{number}",
            transport=r.transport,
            principal=r.principal,
            received_at=r.received_at,
            peer=r.peer,
            sender=r.sender,
            recipient=r.recipient,
            wrapping=r.wrapping,
            content_type=r.content_type,
            transport_id=r.transport_id,
            user_id=r.user_id,
            business_code=r.business_code,
            carry=r.carry,
            input_id=r.input_id,
            parent=r.parent,
            state=RequestState.RECEIVED,
            attempts=0,
            digest=sha256(r.raw).hexdigest(),
            content_digest=sha256(r.content).hexdigest(),
            result="",
            key="",
            done_at=None,
            conversation=r.conversation,
        )
        if r.answer:
            self._state.answers[number] = r.answer
        if r.comparable:
            self._state.comparable.add(number)
        self._state.raws[number] = bytes(r.raw)
        return number

    def finish(self, request: int, *, state: int, result: str, key: str, at: int) -> None:
        _check_text(result, key)
        found = self._state.requests.get(request)
        if found is None or found.state is not RequestState.RECEIVED:
            raise StoreError(f"request {request} is {'finished' if found else 'unknown'}")
        self._state.requests[request] = replace(
            found, state=RequestState(state), result=result, key=key, done_at=at, attempts=found.attempts + 1
        )

    # Letters
    def add_letter(self, letter: NewLetter) -> Stored:
        x = letter
        if x.request not in self._state.requests:
            raise StoreError(f"there is no request {x.request}")
        if any(each.part == x.part for each in self.letters_of(x.request)):
            raise Conflict(f"part {x.part} of request {x.request} is there")
        if x.box not in self._state.boxes:
            raise StoreError(f"there is no box {x.box}")
        _check_text(x.user_id, x.business_code, x.output_code, x.kind, x.form, x.subject)
        number = self._next("letter")
        uid = self._next("uid", x.box)
        self._state.letters[number] = Letter(
            number=number,
            request=x.request,
            part=x.part,
            box=x.box,
            uid=uid,
            user_id=x.user_id,
            business_code=x.business_code,
            output_code=x.output_code,
            kind=x.kind,
            form=x.form,
            subject=x.subject,
            size=len(x.content),
            digest=sha256(x.content).hexdigest(),
            created_at=x.created_at,
            delivered_at=None,
            deleted_at=None,
            due_at=x.due_at,
            attempts=0,
            last_outcome="",
            last_error="",
        )
        self._state.contents[number] = bytes(x.content)
        return Stored(number, uid, self._state.boxes[x.box].uid_validity)

    def mark(self, marks: Iterable[Mark]) -> None:
        for mark in marks:
            _check_text(mark.outcome, mark.text)
            if (letter := self._state.letters.get(mark.number)) is None:
                continue
            delivered = mark.outcome == "delivered"
            self._state.letters[mark.number] = replace(
                letter,
                attempts=letter.attempts + 1,
                last_outcome=mark.outcome,
                last_error=mark.text,
                due_at=None if delivered or letter.deleted_at is not None else mark.due_at,
                delivered_at=mark.at if delivered and letter.delivered_at is None else letter.delivered_at,
                door=mark.door if delivered and letter.delivered_at is None else letter.door,
            )

    def collect(self, letters: Sequence[int], box: str, door: str, at: int) -> list[int]:
        gone = []
        for number in letters:
            x = self._state.letters.get(number)
            if x and x.box == box and x.delivered_at is None and x.deleted_at is None:
                outcome = "delivered" if x.due_at is not None or x.last_outcome else ""
                self._state.letters[number] = replace(x, delivered_at=at, door=door, due_at=None, last_outcome=outcome)
                gone.append(number)
        return gone

    def set_answer(self, request: int, answer: bytes) -> None:
        if request not in self._state.requests:
            raise StoreError(f"there is no request {request}")
        self._state.answers[request] = answer

    def put_sent(self, sent: SentMessage) -> None:
        if sent.letter not in self._state.letters:
            raise StoreError(f"there is no letter {sent.letter}")
        self._state.sent[sent.message_id] = sent

    def hasten(self, letters: Sequence[int], at: int) -> None:
        for number in letters:
            letter = self._state.letters.get(number)
            if not letter or letter.deleted_at is not None:
                continue
            box = self._state.boxes[letter.box]
            if box.pushes:
                self._state.letters[number] = replace(letter, due_at=at, attempts=0, last_outcome="")
            elif box.doors:
                self._state.letters[number] = replace(letter, delivered_at=None, door="")

    def delete_letters(self, letters: Sequence[int], at: int) -> None:
        for number in letters:
            letter = self._state.letters.get(number)
            if letter and letter.deleted_at is None:
                self._state.letters[number] = replace(letter, deleted_at=at, due_at=None)

    # The registry
    def put_account(self, account: Account, *, new: bool = False) -> None:
        _check_text(*_texts(account))
        if new and account.id in self._state.accounts:
            raise Conflict(f"the user {account.id} is there")
        history, mail_from = tuple(account.history), tuple(account.mail_from)
        self._state.accounts[account.id] = replace(account, history=history, mail_from=mail_from)

    def put_box(self, box: Box, *, new: bool = False) -> None:
        _check_text(*_texts(box))
        known = self._state.boxes.get(box.id)
        if new and known:
            raise Conflict(f"the box {box.id} is there")
        validity = known.uid_validity if known else max(self._clock() // 1_000_000, 1)
        self._state.boxes[box.id] = replace(
            box, doors=tuple(box.doors), keys=tuple(box.keys), uid_validity=validity
        )

    def put_route(self, route: Route) -> None:
        _check_text(*_texts(route))
        self._state.routes[route.user, route.output] = route

    def delete_route(self, user: str, output: str) -> bool:
        return self._state.routes.pop((user, output), None) is not None

    def put_place(self, place: Place) -> None:
        _check_text(*_texts(place))
        self._state.places[place.code] = place

    def put_office(self, office: Office) -> None:
        _check_text(*_texts(office))
        hours = msgspec.json.decode(_json(dict(office.hours)))
        self._state.offices[office.code] = replace(office, hours=hours, holidays=tuple(office.holidays))

    def add_window(self, window: Window) -> int:
        _check_text(*_texts(window))
        number = self._next("window")
        self._state.windows[number] = replace(window, number=number)
        return number

    def delete_window(self, number: int) -> bool:
        return self._state.windows.pop(number, None) is not None

    # Business records
    def put_record(self, kind: str, key: str, data: Mapping[str, Any], at: int) -> None:
        del at  # kept for those who look at the tables; no view shows it
        _check_text(kind, key)
        self._state.records[kind, key] = _json(data)

    def delete_record(self, kind: str, key: str) -> bool:
        return self._state.records.pop((kind, key), None) is not None

    def next_number(self, series: str) -> int:
        _check_text(series)
        return self._next("series", series)

    # The rest
    def add_timer(self, due_at: int, kind: str, key: str, data: Mapping[str, Any]) -> int:
        _check_text(kind, key)
        kept = _json(data)
        number = self._next("timer")
        self._state.timers[number] = (Timer(number, due_at, kind, key), kept)
        return number

    def take_timer(self, number: int) -> bool:
        return self._state.timers.pop(number, None) is not None

    def cancel_timers(self, kind: str, key: str) -> int:
        found = [n for n, (timer, _) in self._state.timers.items() if (timer.kind, timer.key) == (kind, key)]
        for number in found:
            del self._state.timers[number]
        return len(found)

    def quarantine(self, request: int, reason: str, at: int) -> int:
        _check_text(reason)
        if request not in self._state.requests:
            raise StoreError(f"there is no request {request}")
        number = self._next("quarantine")
        self._state.quarantined[number] = Quarantined(number, request, reason, at)
        return number

    def release(self, quarantined: int, at: int) -> bool:
        found = self._state.quarantined.get(quarantined)
        if found is None or found.released_at is not None:
            return False
        self._state.quarantined[quarantined] = replace(found, released_at=at)
        return True

    def add_event(self, event: Event) -> None:
        _check_text(event.actor, event.kind, event.detail)
        number = self._next("event")
        self._state.events[number] = replace(event, number=number)

    def purge(self, *, letters_before: int, fetched_before: int, requests_before: int, limit: int = 1000) -> int:
        s = self._state
        old = sorted(
            (x.created_at, x.number)
            for x in s.letters.values()
            if x.created_at < (letters_before if x.delivered_at is None and x.deleted_at is None else fetched_before)
        )[: max(limit, 0)]
        for _, number in old:
            del s.letters[number], s.contents[number]
        s.sent = {name: each for name, each in s.sent.items() if each.letter in s.letters}
        used = {letter.request for letter in s.letters.values()}
        done = sorted(
            (r.received_at, r.number)
            for r in s.requests.values()
            if r.received_at < requests_before and r.state is not RequestState.RECEIVED and r.number not in used
        )[: max(limit, 0)]
        for _, number in done:
            del s.requests[number], s.raws[number]
            s.answers.pop(number, None)
            s.comparable.discard(number)
        s.quarantined = {n: each for n, each in s.quarantined.items() if each.request in s.requests}
        return len(old) + len(done)


def _texts(value: Account | Box | Route | Place | Office | Window) -> list[str]:
    return [each for name in value.__slots__ if isinstance(each := getattr(value, name), str)]


class _Transaction:
    """See :class:`sekisho.mailboxes.store.Transaction`."""

    def __init__(self, store: MemoryStore, unit: _Unit) -> None:
        self._store = store
        self._ended = False
        self.unit = unit

    def seal(self) -> None:
        """Nothing is left to do: the unit writes at once."""

    def commit(self) -> None:
        """Let everybody see it."""
        self._ended = True
        self._store.end_unit(self.unit, undo=False)

    def undo(self) -> None:
        """Drop it, unless it has ended."""
        if not self._ended:
            self._ended = True
            self._store.end_unit(self.unit, undo=True)


class MemoryStore:
    """An empty store that is gone when it is closed. ``clock_us`` gives the time for uid_validity."""

    def __init__(self, *, clock_us: Callable[[], int]) -> None:
        self._clock = clock_us
        self._lock = threading.Lock()
        self._owner: int | None = None
        self._committed = State()
        self._commits = 0
        self._closed = False

    @contextlib.contextmanager
    def transaction(self) -> Iterator[_Unit]:
        """See :meth:`sekisho.mailboxes.store.Store.transaction`."""
        transaction = self.begin()
        try:
            yield transaction.unit
            transaction.commit()
        finally:
            transaction.undo()

    @overload
    def begin(self, *, wait: Literal[True] = True) -> _Transaction: ...
    @overload
    def begin(self, *, wait: bool) -> _Transaction | None: ...
    def begin(self, *, wait: bool = True) -> _Transaction | None:
        """See :meth:`sekisho.mailboxes.store.Store.begin`."""
        if self._owner == threading.get_ident():
            raise StoreError("a transaction of this thread is open")
        if not self._lock.acquire(blocking=wait):
            return None
        if self._closed:
            self._lock.release()
            raise StoreError("the store is closed")
        self._owner = threading.get_ident()
        return _Transaction(self, _Unit(self._committed.copy(), self._clock))

    def end_unit(self, unit: _Unit, *, undo: bool) -> None:
        """Take over what the unit has written, or drop it; used by the transaction."""
        if not undo:
            self._committed = unit.state
            self._commits += 1
        unit.end()
        self._owner = None
        self._lock.release()

    @contextlib.contextmanager
    def view(self) -> Iterator[MemoryView]:
        """See :meth:`sekisho.mailboxes.store.Store.view`."""
        if self._closed:
            raise StoreError("the store is closed")
        view = MemoryView(self._committed)
        try:
            yield view
        finally:
            view.end()

    def changed_elsewhere(self) -> bool:
        """Never: no other process can see it."""
        return False

    @property
    def commits(self) -> int:
        """Transactions committed by this object so far."""
        return self._commits

    def free_bytes(self) -> int:
        """A very large number."""
        return sys.maxsize

    def checkpoint(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Close; idempotent. Waits for an open transaction."""
        with self._lock:
            self._closed = True
