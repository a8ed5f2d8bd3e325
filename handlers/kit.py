"""What a handler is given, and what it gives back.

*Strategy.* A handler is a function of a message and a context: it decides, changes records through the context and
returns an :class:`Outcome`; it never writes, waits, logs or knows how a reply leaves. Everything a handler sees of the
house is a Protocol in this file, so the room needs no other but the codecs. A refusal is raised as
:class:`~sekisho.codecs.results.Refusal`; whatever the handler changed until then is undone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol

from sekisho.codecs.layout import Layout, Value
from sekisho.codecs.message import Catalogue, Message
from sekisho.codecs.reading import Record
from sekisho.codecs.results import Refusal, ResultCode
from sekisho.handlers.routes import NoRoutes, Routes

if TYPE_CHECKING:
    from sekisho.codecs.edifact.model import Message as EdifactMessage

__all__ = [
    "EDIFACT",
    "HANDLERS",
    "SENDER",
    "STEPS",
    "Accounts",
    "Attached",
    "Attachments",
    "Context",
    "EdifactHandler",
    "Examination",
    "Examinations",
    "Handler",
    "Hours",
    "ItemCheck",
    "Numbers",
    "Originator",
    "Outcome",
    "Output",
    "Party",
    "Records",
    "Routes",
    "Schedule",
    "Sender",
    "User",
    "Waiting",
    "handles",
    "layout_of",
    "reads",
    "refuse",
    "single_items",
    "step",
]


@dataclass(frozen=True, slots=True)
class User:
    """Who sent the message: an admitted user ID, its 業種, and whether it is a 通関士's or an in-house system's."""

    id: str
    trade: str = ""
    specialist: bool = False
    in_house: bool = False

    @property
    def user_code(self) -> str:
        """利用者コード, the first five characters."""
        return self.id[:5]


@dataclass(frozen=True, slots=True)
class Sender:
    """To the party that sent the request: 宛管形式 INQ."""


@dataclass(frozen=True, slots=True)
class Originator:
    """To the user ID whose earlier request this output belongs to: 宛管形式 EXZ. ``request`` is its journal number."""

    user_id: str
    request: int


@dataclass(frozen=True, slots=True)
class Party:
    """To somebody else, by 利用者コード, or by place: 宛管形式 EXC. One of the two is filled."""

    user_code: str = ""
    place: str = ""


SENDER: Final = Sender()


@dataclass(frozen=True, slots=True)
class Output:
    """One output information. ``code`` has up to 7 characters; ``kind`` is the 電文種別 (C P M T U, R for a notice).

    ``layout`` names the table that writes ``values`` (default: the code's own). ``subject`` defaults to the outcome's
    key. ``text`` is the body of what no item table writes: lines of a management document (管理資料), 宛管形式 K; its
    characters must be ones that EUC-JP has.
    """

    code: str
    kind: str
    values: Mapping[str, Value | Sequence[Value]]
    to: Sender | Originator | Party = SENDER
    layout: str = ""
    subject: str | None = None
    text: str = ""


_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Outcome(NamedTuple):
    """What a business did. Empty ``results`` is normal end; ``key`` the number it issued or handled.

    ``notice`` False leaves the result notice out (an inquiry that succeeds answers with its M output alone).
    ``notice_layout`` and ``notice_values`` replace the notice's body where a business has a form of its own.
    ``resend`` lists letters (their numbers) that are to be delivered again after the replies.
    """

    key: str = ""
    outputs: tuple[Output, ...] = ()
    results: tuple[ResultCode, ...] = ()
    notice: bool = True
    notice_layout: str = ""
    notice_values: Mapping[str, Value | Sequence[Value]] = _NOTHING
    resend: tuple[int, ...] = ()


class Records(Protocol):
    """Business records by kind and key: plain mappings of text, numbers, booleans, lists and mappings."""

    def get(self, kind: str, key: str) -> Mapping[str, Any] | None:
        """The record as it was last put; None if there is none."""
        ...

    def put(self, kind: str, key: str, data: Mapping[str, Any]) -> None:
        """Keep ``data`` as the whole record. Undone if the message is refused afterwards."""
        ...

    def find(self, kind: str, field: str, value: str) -> list[tuple[str, Mapping[str, Any]]]:
        """Keys and records of a kind whose top-level ``field`` is the text ``value``, by key."""
        ...

    def place(self, code: str) -> tuple[str, str] | None:
        """利用者コード and name of a bonded area or berth; None if it is not in the registry."""
        ...


class Numbers(Protocol):
    """Numbers that are unique, never used again, and survive a restart."""

    def next(self, kind: str) -> str:
        """The next number of that kind by its configured pattern (default 11 characters)."""
        ...


class Accounts(Protocol):
    """Passwords of user IDs, for URY. A password never leaves this door but the temporary one it has just made."""

    def state(self, user_id: str) -> str | None:
        """``active``, ``temporary`` or None if there is no such ID."""
        ...

    def in_house(self, user_id: str) -> bool:
        """Whether it is an ID for in-house systems (自社システム用)."""
        ...

    def specialist(self, user_id: str) -> bool:
        """Whether it is an ID of a 通関士."""
        ...

    def used_before(self, user_id: str, password: str) -> bool:
        """Whether it is one of the last three passwords. Takes tens of milliseconds."""
        ...

    def change(self, user_id: str, password: str) -> None:
        """Make it the active password."""
        ...

    def initialise(self, user_id: str) -> str:
        """Set a fresh temporary password, keep the former one aside, and give the temporary one."""
        ...

    def cancel_initialisation(self, user_id: str) -> bool:
        """Bring the former password back; False if nothing is pending."""
        ...


class Waiting(Protocol):
    """The sender's letters that no door has delivered yet, for SYG."""

    def counts(self) -> list[tuple[str, int]]:
        """Output codes and how many of each, by code."""
        ...

    def letters(self, output_code: str) -> list[int]:
        """Numbers of those with that output code, oldest first."""
        ...


class Hours(Protocol):
    """開庁時間 of customs offices. An office without a calendar is always open."""

    def is_open(self, office: str, at: datetime) -> bool:
        """Whether ``at`` (Japan time) lies inside the office's 開庁時間."""
        ...

    def opens_next(self, office: str, after: datetime) -> datetime:
        """The first moment after ``after`` at which the office opens."""
        ...

    def office_name(self, office: str) -> str:
        """The office's name in Roman letters; empty if it is not in the registry."""
        ...


class Schedule(Protocol):
    """Business steps that happen by themselves later, for the user and the request of this context.

    A step of a kind and key that is waiting is not replaced by another one: cancel it first.
    """

    def at(self, when: datetime, kind: str, key: str, data: Mapping[str, Any] | None = None) -> None:
        """Run the step ``kind`` (:func:`step`) for ``key`` at ``when``; if that is past, right after this message."""
        ...

    def cancel(self, kind: str, key: str) -> None:
        """Forget the step; nothing happens if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Examination:
    """How customs examines something (審査区分).

    ``kind``: simple (簡易審査: accepted at once), documents (書類審査) or inspection (検査). ``after``: how long until
    customs decides by itself; None: an officer's message or an operator does. ``decision``: what it then decides.
    """

    kind: Literal["simple", "documents", "inspection"] = "simple"
    after: timedelta | None = None
    decision: Literal["approve", "refuse", "correct"] = "approve"


SIMPLE: Final = Examination()


class Examinations(Protocol):
    """Customs' choice of examination by the rules of the settings, so that a test can steer it."""

    def choose(self, code: str, *, office: str = "", value: int = 0, remarks: str = "") -> Examination:
        """The examination of what business ``code`` asks for; ``value`` in yen, ``remarks`` the message's 記事."""
        ...


class _Simple:
    """Where nobody has made rules."""

    def choose(self, code: str, *, office: str = "", value: int = 0, remarks: str = "") -> Examination:
        del code, office, value, remarks
        return SIMPLE


@dataclass(frozen=True, slots=True)
class Attached:
    """A file that came with a request: its number among them from 1, its name, media type and bytes."""

    index: int
    name: str
    media_type: str
    size: int


class Attachments(Protocol):
    """The files that came with the request. A handler keeps their request and index, never their bytes."""

    def files(self) -> Sequence[Attached]:
        """The files of this request in the order they came; empty in a step."""
        ...


class _NoFiles:
    """Where nothing can come along: EDIFACT, steps."""

    def files(self) -> Sequence[Attached]:
        return ()


class Context(NamedTuple):
    """What a handler may use. ``now`` is Japan time; ``request`` the journal number of the message.

    ``received`` is when the request came (電文受信日時); ``business`` the settings table ``[business]`` by name.
    Of an EDIFACT message, ``business_code`` is what the partner's profile made of it, and ``aviation`` says whether the
    partner's line is one of an aviation carrier.
    """

    user: User
    now: datetime
    environment: str
    request: int
    records: Records
    numbers: Numbers
    accounts: Accounts
    waiting: Waiting
    hours: Hours
    schedule: Schedule
    catalogue: Catalogue
    business: Mapping[str, Any] = _NOTHING
    business_code: str = ""
    aviation: bool = False
    examinations: Examinations = _Simple()
    attachments: Attachments = _NoFiles()
    routes: Routes = NoRoutes()


Decide = Callable[[Message, Context], Outcome]
ItemCheck = Callable[[Record, Callable[[str, str, int], ResultCode]], list[ResultCode]]
"""Single-item checks a table cannot say (code values): gets the record and ``code(rule, item, row)``."""
Ignored = Callable[[Record], Collection[str]]
"""Short names of the items that a message of this content is not asked for: what the table says of them is dropped."""


@dataclass(frozen=True, slots=True)
class Handler:
    """One business code and the function that decides it.

    ``outputs`` are the output codes it may send; ``opens`` and ``closes`` its hours (U0002 outside); ``slow`` marks
    work of tens of milliseconds: such a message is journalled and answered first and processed in a later commit;
    ``while_temporary`` lets it run while the password is the temporary one; ``ignores`` names items whose errors do not
    count in this message, because its 処理区分 or its form does not use them.
    """

    code: str
    decide: Decide
    outputs: tuple[str, ...] = ()
    items: ItemCheck | None = None
    opens: time | None = None
    closes: time | None = None
    slow: bool = False
    while_temporary: bool = False
    ignores: Ignored | None = None


HANDLERS: Final[dict[str, Handler]] = {}
"""Every business code with a decision of its own, by code: the whole registration, to be listed by anybody."""


def handles(
    code: str,
    *,
    outputs: Sequence[str] = (),
    items: ItemCheck | None = None,
    hours: tuple[time, time] | None = None,
    slow: bool = False,
    while_temporary: bool = False,
    ignores: Ignored | None = None,
) -> Callable[[Decide], Decide]:
    """Register a function as the decision of a business code. Raises ValueError if the code has one already."""

    def register(decide: Decide) -> Decide:
        if code in HANDLERS:
            raise ValueError(f"{code} is handled twice: {HANDLERS[code].decide.__module__} and {decide.__module__}")
        opens, closes = hours or (None, None)
        HANDLERS[code] = Handler(code, decide, tuple(outputs), items, opens, closes, slow, while_temporary, ignores)
        return decide

    return register


StepDecide = Callable[[str, Mapping[str, Any], Context], Outcome]
"""A step that happens by itself: its key, the data it was scheduled with, and the context of who scheduled it.

``context.now`` is the moment it was scheduled for. Its outcome has no notice; outputs to :data:`SENDER` go as EXZ to
the user who scheduled it, with the tags of that request.
"""

STEPS: Final[dict[str, StepDecide]] = {}
"""Every step that can be scheduled, by kind."""


def step(kind: str) -> Callable[[StepDecide], StepDecide]:
    """Register a function as what happens when a scheduled step is due. Raises ValueError if the kind has one."""

    def register(decide: StepDecide) -> StepDecide:
        if kind in STEPS:
            raise ValueError(f"{kind} is a step twice: {STEPS[kind].__module__} and {decide.__module__}")
        STEPS[kind] = decide
        return decide

    return register


EdifactDecide = Callable[["EdifactMessage", Context], Outcome]


@dataclass(frozen=True, slots=True)
class EdifactHandler:
    """One EDIFACT message type and the function that decides it.

    ``codes`` are the business codes that a partner's profile may make of it, the usual one first. The function reads
    ``message.segments`` (:meth:`~sekisho.codecs.edifact.segment.Segment.get`); it refuses by :func:`refuse` with the
    segment's tag as item and its number in the message as row. ``Outcome.key`` is the document number that the answer
    refers to; its ``outputs`` are letters in the NACCS form to others, as of any business.
    """

    type: str
    decide: EdifactDecide
    codes: tuple[str, ...]


EDIFACT: Final[dict[str, EdifactHandler]] = {}
"""Every EDIFACT message type that is decided here, by type (0065)."""


def reads(message_type: str, *, codes: Sequence[str]) -> Callable[[EdifactDecide], EdifactDecide]:
    """Register a function as the decision of an EDIFACT message type. Raises ValueError if the type has one already."""

    def register(decide: EdifactDecide) -> EdifactDecide:
        if message_type in EDIFACT:
            first = EDIFACT[message_type].decide.__module__
            raise ValueError(f"{message_type} is read twice: {first} and {decide.__module__}")
        EDIFACT[message_type] = EdifactHandler(message_type, decide, tuple(codes))
        return decide

    return register


def single_items(handler: Handler, message: Message, catalogue: Catalogue) -> list[ResultCode]:
    """Everything the single-item step finds (procedures 1.1, step 2): by the table, then by the handler's own checks.

    Numbers are those of the business code's list, also where a longer form was read. An item that the table has
    something against is not judged again. Empty if the step is passed.
    """
    record = message.record
    if record is None:
        return [error.result for error in message.errors]
    ignored = handler.ignores(record) if handler.ignores else ()
    found = [error.result for error in message.errors if error.item is None or error.item not in ignored]
    if handler.items is not None:
        own = catalogue.get(f"{handler.code}.in") or record.layout

        def code(rule: str, item: str, row: int) -> ResultCode:
            return ResultCode(own.results.code_for(rule, item), item, row)

        blamed = {(result.item, result.row) for result in found}
        found.extend(result for result in handler.items(record, code) if (result.item, result.row) not in blamed)
    return found


def refuse(*results: ResultCode, key: str = "") -> Refusal:
    """A refusal with these result codes, to be raised."""
    return Refusal(results, "handler", key)


def layout_of(context: Context, name: str) -> Layout:
    """A table of the catalogue. Raises KeyError: a handler names only tables that are shipped with it."""
    layout = context.catalogue.get(name)
    if layout is None:
        raise KeyError(name)
    return layout
