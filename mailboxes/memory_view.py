"""Reading the twin: plain dicts of frozen values, sorted and filtered in Python."""

# ruff: noqa: D102 - what each method promises is said once, in store.py

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

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

__all__ = ["MemoryView", "State"]


@dataclass(slots=True)
class State:
    """Everything a store holds. A committed one is never written again: a transaction works on a copy."""

    requests: dict[int, Request] = field(default_factory=dict)
    raws: dict[int, bytes] = field(default_factory=dict)
    letters: dict[int, Letter] = field(default_factory=dict)
    contents: dict[int, bytes] = field(default_factory=dict)
    answers: dict[int, bytes] = field(default_factory=dict)
    comparable: set[int] = field(default_factory=set)
    sent: dict[str, SentMessage] = field(default_factory=dict)
    boxes: dict[str, Box] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    routes: dict[tuple[str, str], Route] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    offices: dict[str, Office] = field(default_factory=dict)
    windows: dict[int, Window] = field(default_factory=dict)
    records: dict[tuple[str, str], bytes] = field(default_factory=dict)
    timers: dict[int, tuple[Timer, bytes]] = field(default_factory=dict)
    quarantined: dict[int, Quarantined] = field(default_factory=dict)
    events: dict[int, Event] = field(default_factory=dict)
    counters: dict[tuple[str, str], int] = field(default_factory=dict)
    """(what, of which) -> the last number given."""

    def copy(self) -> State:
        """Another state with the same values."""
        return State(*(getattr(self, each.name).copy() for each in fields(self)))


class MemoryView:
    """One state, read."""

    __slots__ = ("_held",)

    def __init__(self, state: State) -> None:
        self._held: State | None = state

    @property
    def _state(self) -> State:
        if self._held is None:
            raise StoreError("this view or transaction has ended")
        return self._held

    def end(self) -> None:
        """No more calls: every later one raises StoreError."""
        self._held = None

    # The journal
    def request(self, number: int) -> Request | None:
        return self._state.requests.get(number)

    def raw(self, request: int) -> bytes:
        if request not in self._state.raws:
            raise StoreError(f"there is no request {request}")
        return self._state.raws[request]

    def answer(self, request: int) -> bytes:
        return self._state.answers.get(request, b"")

    def _newest(self) -> Iterator[Request]:
        return iter(sorted(self._state.requests.values(), key=lambda request: -request.number))

    def find_request(self, idem: str) -> Request | None:
        return next((request for request in self._state.requests.values() if request.idem == idem), None)

    def find_same(self, lane: str, content_digest: str, since: int) -> list[Request]:
        return [
            request
            for request in self._newest()
            if request.lane == lane and request.content_digest == content_digest and request.received_at >= since
            if request.number in self._state.comparable
        ]

    def received(self) -> list[int]:
        return sorted(
            number for number, request in self._state.requests.items() if request.state is RequestState.RECEIVED
        )

    def requests(self, limit: int = 100, before: int | None = None) -> list[Request]:
        found = [request for request in self._newest() if before is None or request.number < before]
        return found[: max(limit, 0)]

    def sent_by(
        self, principal: str, wrapping: str, limit: int = 100, *, quarantined: bool = False
    ) -> list[tuple[Request, int]]:
        held = {each.request for each in self._state.quarantined.values() if each.released_at is None}
        found = [
            (request, len(self._state.raws[request.number]))
            for request in self._newest()
            if principal and request.principal == principal and request.wrapping == wrapping
            and (request.number in held or not quarantined)
        ]
        return found[: max(limit, 0)]

    # Letters
    def letter(self, number: int) -> Letter | None:
        return self._state.letters.get(number)

    def content(self, letter: int) -> bytes:
        if letter not in self._state.contents:
            raise StoreError(f"there is no letter {letter}")
        return self._state.contents[letter]

    def letters(self, query: LetterQuery) -> list[Letter]:
        q = query
        found = [
            x
            for _, x in sorted(self._state.letters.items(), reverse=not q.oldest_first)
            if (not q.box or x.box == q.box)
            and (not q.user_id or x.user_id == q.user_id)
            and (not q.business_code or x.business_code == q.business_code)
            and (not q.output_code or x.output_code == q.output_code)
            and (q.request is None or x.request == q.request)
            and q.text in x.subject
            and (x.state in q.states if q.states else x.state != "deleted")
            and (q.before is None or x.number < q.before)
            and (q.after is None or x.number > q.after)
        ]
        return found[: max(q.limit, 0)]

    def letters_of(self, request: int) -> list[Letter]:
        found = [letter for letter in self._state.letters.values() if letter.request == request]
        return sorted(found, key=lambda letter: letter.part)

    def _waiting(self) -> Iterator[Letter]:
        return (x for x in self._state.letters.values() if x.delivered_at is None and x.deleted_at is None)

    def undelivered(self, boxes: Sequence[str]) -> list[tuple[str, int]]:
        return sorted(Counter(letter.output_code for letter in self._waiting() if letter.box in boxes).items())

    def waiting(self, box: str) -> list[Listed]:
        s = self._state
        found = sorted((x for x in self._waiting() if x.box == box), key=lambda x: x.uid)
        return [
            Listed(
                x.number, x.uid, x.size, x.created_at, x.output_code, x.business_code, x.user_id, x.kind, x.subject,
                s.requests[x.request].key, s.contents[x.number][:3] in (b"UNA", b"UNB"),
            )
            for x in found
        ]  # fmt: skip

    def sent_message(self, message_id: str) -> SentMessage | None:
        return self._state.sent.get(message_id)

    def sent_for(self, letter: int) -> SentMessage | None:
        found = (x for x in self._state.sent.values() if x.letter == letter)
        return max(found, key=lambda x: (x.created_at, x.message_id), default=None)

    def _due(self) -> list[tuple[int, int]]:
        """When and which, in order."""
        boxes = self._state.boxes
        return sorted(
            (letter.due_at, letter.number)
            for letter in self._state.letters.values()
            if letter.due_at is not None and boxes[letter.box].pushes
        )

    def due(
        self, now: int, limit: int, exclude: frozenset[int] = frozenset(), but_boxes: Sequence[str] = ()
    ) -> list[Dispatch]:
        box_of = self._state.letters
        found = [
            (at, number)
            for at, number in self._due()
            if at <= now and number not in exclude and box_of[number].box not in but_boxes
        ]
        dispatches = []
        for at, number in found[: max(limit, 0)]:
            x = self._state.letters[number]
            validity = self._state.boxes[x.box].uid_validity
            content = self._state.contents[number]
            dispatches.append(Dispatch(number, x.box, x.uid, validity, x.created_at, at, x.attempts, content))
        return dispatches

    def next_due(self) -> int | None:
        return next((at for at, _ in self._due()), None)

    def box_counts(self) -> list[tuple[str, int, int]]:
        kept = Counter(letter.box for letter in self._state.letters.values() if letter.deleted_at is None)
        waiting = Counter(letter.box for letter in self._waiting())
        return [(box, kept[box], waiting[box]) for box in sorted(self._state.boxes)]

    # The registry
    def account(self, user_id: str) -> Account | None:
        return self._state.accounts.get(user_id)

    def accounts(self) -> list[Account]:
        return [account for _, account in sorted(self._state.accounts.items())]

    def knows_user_code(self, user_code: str) -> bool:
        return any(account.user_code == user_code for account in self._state.accounts.values())

    def owners(self, address: str) -> list[str]:
        wanted = address.lower()
        return sorted(
            account.id
            for account in self._state.accounts.values()
            if any(each.lower() == wanted for each in account.mail_from)
        )

    def users_of_box(self, box: str) -> list[str]:
        return sorted(account.id for account in self._state.accounts.values() if account.box == box)

    def box(self, box: str) -> Box | None:
        return self._state.boxes.get(box)

    def box_of_address(self, address: str) -> Box | None:
        return next((box for box in self.boxes() if box.address.lower() == address.lower()), None)

    def boxes(self) -> list[Box]:
        return [box for _, box in sorted(self._state.boxes.items())]

    def routes(self) -> list[Route]:
        return [route for _, route in sorted(self._state.routes.items())]

    def place(self, code: str) -> Place | None:
        return self._state.places.get(code)

    def places(self) -> list[Place]:
        return [place for _, place in sorted(self._state.places.items())]

    def office(self, code: str) -> Office | None:
        return self._state.offices.get(code)

    def offices(self) -> list[Office]:
        return [office for _, office in sorted(self._state.offices.items())]

    def windows(self) -> list[Window]:
        return sorted(self._state.windows.values(), key=lambda window: (window.starts, window.number))

    # Business records
    def record(self, kind: str, key: str) -> Mapping[str, Any] | None:
        data = self._state.records.get((kind, key))
        return None if data is None else msgspec.json.decode(data)

    def _records(self, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for (of, key), data in sorted(self._state.records.items()):
            if of == kind:
                yield key, msgspec.json.decode(data)

    def records(self, kind: str, limit: int = 1000, after: str = "") -> list[tuple[str, Mapping[str, Any]]]:
        return [(key, data) for key, data in self._records(kind) if key > after][: max(limit, 0)]

    def find_records(self, kind: str, field: str, value: str, limit: int = 100) -> list[tuple[str, Mapping[str, Any]]]:
        return [(key, data) for key, data in self._records(kind) if data.get(field) == value][: max(limit, 0)]

    # The rest
    def timers(self, until: int, limit: int = 100) -> list[Timer]:
        found = sorted(
            (timer.due_at, number, timer, data)
            for number, (timer, data) in self._state.timers.items()
            if timer.due_at <= until
        )
        return [
            Timer(number, at, timer.kind, timer.key, msgspec.json.decode(data))
            for at, number, timer, data in found[: max(limit, 0)]
        ]

    def quarantined(self, limit: int = 100) -> list[Quarantined]:
        found = sorted(self._state.quarantined.items(), reverse=True)
        return [each for _, each in found if each.released_at is None][: max(limit, 0)]

    def events(self, request: int | None = None, letter: int | None = None, limit: int = 100) -> list[Event]:
        found = [
            event
            for _, event in sorted(self._state.events.items(), reverse=True)
            if (request is None or event.request == request) and (letter is None or event.letter == letter)
        ]
        return found[: max(limit, 0)][::-1]
