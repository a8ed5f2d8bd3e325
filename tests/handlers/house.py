"""A house in memory for handlers: every Protocol of the kit, each as small as its contract allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from sekisho.codecs import charset
from sekisho.codecs.message import Message, read_message
from sekisho.codecs.results import Refusal, ResultCode
from sekisho.handlers import catalogue, find, single_items
from sekisho.handlers.kit import STEPS, Attached, Context, Examination, Outcome, Output, User

JAPAN = timezone(timedelta(hours=9))
MORNING = datetime(2026, 11, 20, 10, 30, tzinfo=JAPAN)
BROKER = User("1ANACA0A", "customs-broker")
STRANGER = User("2OTHRA0A", "customs-broker")
OFFICER = User("9CUSTC0C", "customs")
WAREHOUSE = User("5WHSEW0W", "warehouse")
YARD = User("6CYOPY0Y", "container-yard")
CARGO: dict[str, Any] = {
    "description": "FROZEN SHRIMP",
    "packages": 120,
    "package_unit": "CT",
    "weight": 2400.5,
    "weight_unit": "KGM",
    "vessel_code": "3ABC9",
    "vessel_name": "SAMPLE MARU",
    "arrival_date": "20261118",
    "place": "1AW01",
    "containers": ["SMPU1234567"],
}


@dataclass
class Records:
    """Business records, and the registry of places."""

    kept: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    places: dict[str, tuple[str, str]] = field(default_factory=dict)

    def get(self, kind: str, key: str) -> Mapping[str, Any] | None:
        return self.kept.get((kind, key))

    def put(self, kind: str, key: str, data: Mapping[str, Any]) -> None:
        self.kept[kind, key] = dict(data)

    def find(self, kind: str, field: str, value: str) -> list[tuple[str, Mapping[str, Any]]]:
        return sorted((k, d) for (of, k), d in self.kept.items() if of == kind and d.get(field) == value)

    def place(self, code: str) -> tuple[str, str] | None:
        return self.places.get(code)


@dataclass
class Numbers:
    """11 characters: ten digits and a letter, T for bonded transports; 7 digits of 搬入伝票. Each kind has a count."""

    last: dict[str, int] = field(default_factory=dict)

    def next(self, kind: str) -> str:
        self.last[kind] = self.last.get(kind, 0) + 1
        if kind == "bond-in-slip":
            return f"{self.last[kind]:07d}"
        return f"{self.last[kind]:010d}{'T' if kind == 'bonded-transport' else kind[0].upper()}"


@dataclass
class Accounts:
    """User IDs with their passwords, newest last; ``temporary`` holds the issued ones, ``house`` the in-house IDs."""

    passwords: dict[str, list[str]] = field(default_factory=dict)
    temporary: dict[str, str] = field(default_factory=dict)
    house: set[str] = field(default_factory=set)
    specialists: set[str] = field(default_factory=set)

    def specialist(self, user_id: str) -> bool:
        return user_id in self.specialists

    def state(self, user_id: str) -> str | None:
        if user_id in self.temporary:
            return "temporary"
        return "active" if user_id in self.passwords else None

    def in_house(self, user_id: str) -> bool:
        return user_id in self.house

    def used_before(self, user_id: str, password: str) -> bool:
        return password in self.passwords[user_id][-3:]

    def change(self, user_id: str, password: str) -> None:
        self.temporary.pop(user_id, None)
        self.passwords[user_id].append(password)

    def initialise(self, user_id: str) -> str:
        self.temporary[user_id] = "TEMP0001"
        return "TEMP0001"

    def cancel_initialisation(self, user_id: str) -> bool:
        return self.temporary.pop(user_id, None) is not None


@dataclass
class Waiting:
    """Letters by output code."""

    by_code: dict[str, list[int]] = field(default_factory=dict)

    def counts(self) -> list[tuple[str, int]]:
        return [(code, len(numbers)) for code, numbers in sorted(self.by_code.items())]

    def letters(self, output_code: str) -> list[int]:
        return self.by_code.get(output_code, [])


@dataclass
class Hours:
    """Offices with their names; those in ``closed`` are closed until the hour ``opens`` of the next day."""

    names: dict[str, str] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    opens: int = 8

    def is_open(self, office: str, at: datetime) -> bool:
        assert at.tzinfo is not None
        return office not in self.closed

    def opens_next(self, office: str, after: datetime) -> datetime:
        if office not in self.closed:
            return after
        return after.replace(hour=self.opens, minute=0, second=0) + timedelta(days=1)

    def office_name(self, office: str) -> str:
        return self.names.get(office, "")


@dataclass(frozen=True)
class Planned:
    """A step that was asked for, by whom and with which request."""

    when: datetime
    data: Mapping[str, Any]
    user: User
    request: int


@dataclass
class Schedule:
    """Steps that were asked for; ``user`` and ``request`` are of the message that is being decided."""

    steps: dict[tuple[str, str], Planned] = field(default_factory=dict)
    user: User = BROKER
    request: int = 0

    def at(self, when: datetime, kind: str, key: str, data: Mapping[str, Any] | None = None) -> None:
        assert kind in STEPS
        assert (kind, key) not in self.steps, "a waiting step is not replaced: cancel it first (kit.Schedule)"
        self.steps[kind, key] = Planned(when, dict(data or {}), self.user, self.request)

    def cancel(self, kind: str, key: str) -> None:
        self.steps.pop((kind, key), None)


@dataclass
class Rules:
    """Customs' choice of examination: by business code, simple where none is named."""

    by_code: dict[str, Examination] = field(default_factory=dict)
    asked: list[tuple[str, str, int, str]] = field(default_factory=list)

    def choose(self, code: str, *, office: str = "", value: int = 0, remarks: str = "") -> Examination:
        self.asked.append((code, office, value, remarks))
        return self.by_code.get(code, Examination())


@dataclass
class Files:
    """Names and sizes of the files that come with the next message."""

    named: list[tuple[str, int]] = field(default_factory=list)

    def files(self) -> list[Attached]:
        return [Attached(index, name, "application/pdf", size) for index, (name, size) in enumerate(self.named, 1)]


@dataclass
class Destinations:
    """Boxes by user ID, and where outputs go by key and output code."""

    owned: dict[str, str] = field(default_factory=dict)
    kept: dict[tuple[str, str], str] = field(default_factory=dict)
    user_code: str = ""

    def of(self, user_code: str) -> Destinations:
        return Destinations(self.owned, self.kept, user_code)

    def boxes(self) -> list[str]:
        return sorted({box for user, box in self.owned.items() if user.startswith(self.user_code)} | {
            box for _, _, box in self.listed()
        })  # fmt: skip

    def listed(self) -> list[tuple[str, str, str]]:
        return sorted((*key, box) for key, box in self.kept.items() if key[0].startswith(self.user_code))

    def put(self, key: str, output_code: str, box: str) -> None:
        self.kept[key, output_code] = box

    def delete(self, key: str, output_code: str) -> bool:
        return self.kept.pop((key, output_code), None) is not None


@dataclass
class House:
    """All of it, and :meth:`send`, which does with a message what the pipeline does around a handler."""

    user: User = BROKER
    system: str = "2"
    now: datetime = MORNING
    business: dict[str, Any] = field(default_factory=dict)
    records: Records = field(default_factory=Records)
    numbers: Numbers = field(default_factory=Numbers)
    accounts: Accounts = field(default_factory=Accounts)
    waiting: Waiting = field(default_factory=Waiting)
    hours: Hours = field(default_factory=Hours)
    schedule: Schedule = field(default_factory=Schedule)
    examinations: Rules = field(default_factory=Rules)
    attachments: Files = field(default_factory=Files)
    routes: Destinations = field(default_factory=Destinations)
    requests: int = 0

    def context(self, step: Planned | None = None) -> Context:
        """What a handler gets for the next message, or a step at the moment it was planned for."""
        self.requests += step is None
        self.schedule.user = step.user if step else self.user
        self.schedule.request = step.request if step else self.requests
        return Context(
            user=self.schedule.user,
            now=step.when if step else self.now,
            environment="test",
            request=self.schedule.request,
            records=self.records,
            numbers=self.numbers,
            accounts=self.accounts,
            waiting=self.waiting,
            hours=self.hours,
            schedule=self.schedule,
            catalogue=catalogue(),
            business=self.business,
            examinations=self.examinations,
            attachments=Files() if step else self.attachments,
            routes=self.routes.of(self.schedule.user.user_code),
        )

    def advance(self, until: datetime) -> list[Outcome]:
        """Move the clock: what becomes due on the way happens in the order of its time."""
        outcomes = []
        while due := sorted((p.when, *key) for key, p in self.schedule.steps.items() if p.when <= until):
            _, kind, key = due[0]
            planned = self.schedule.steps.pop((kind, key))
            outcomes.append(STEPS[kind](key, planned.data, self.context(planned)))
        self.now = until
        return outcomes

    def send(self, code: str, **items: str | Sequence[str]) -> Outcome:
        """Write a request by its table, read it, run the single-item step and the handler. Raises Refusal."""
        layout = catalogue().request(code)
        assert layout is not None
        return self.send_body(code, layout.encode(items))

    def send_body(self, code: str, body: bytes) -> Outcome:
        """The same with a body as bytes."""
        handler = find(code)
        assert handler is not None
        message = self.read(code, body)
        before = dict(self.records.kept)
        found = single_items(handler, message, catalogue())
        if found:
            raise Refusal(found, "items")
        try:
            return handler.decide(message, self.context())
        except Refusal:
            assert self.records.kept == before, "a refusal changes nothing (procedures 1.1, step 5)"
            raise

    def read(self, code: str, body: bytes, system: str = "") -> Message:
        """A request with a plain header and this body, read by its table."""
        header = b"   %-5b%21b%-8b%-8b%319b%b%27b%06d\r\n" % (
            code.encode(),
            b"",
            self.user.id.encode(),
            b"SAMPLE01",
            b"",
            (system or self.system).encode(),
            b"",
            400 + len(body),
        )
        assert len(header) == 400
        return read_message(header + body, catalogue(), direction="in")

    def refused(self, code: str, **items: str | Sequence[str]) -> list[str]:
        """The result codes a request is refused with, as they stand in a notice; [] if it is not refused."""
        try:
            self.send(code, **items)
        except Refusal as refusal:
            return [str(result) for result in refusal.results]
        return []


def written(output: Output) -> bytes:
    """The body of an output, as the pipeline writes it: by its layout, else by its own table."""
    if output.text:
        return charset.encode(output.text)
    name = output.layout or output.code
    layout = catalogue().get(name if name.endswith((".in", ".out")) else f"{name}.out")
    assert layout is not None
    return layout.encode(output.values)


def result(code: str, item: str = "", row: int = 0) -> str:
    """A result code as it stands in a notice."""
    return str(ResultCode(code, item, row))
