"""Scenario files: what a connection test sends, and what it expects to come back.

*Strategy.* A scenario is YAML read without guessing: every scalar is text (``000999`` stays six characters, ``NO``
stays ``NO``), every key is known or refused with its path and a suggestion, every ``${name}`` is known before anything
is sent. What a step may say is the fields of the structures below; docs/connection-tests.md shows them in use.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
import yaml

from sekisho.codecs.header import fields

__all__ = [
    "Again",
    "Expect",
    "Look",
    "Matcher",
    "Move",
    "Party",
    "Patch",
    "Receiver",
    "Reply",
    "Scenario",
    "ScenarioError",
    "Send",
    "find_scenario",
    "load_scenario",
    "shipped_scenarios",
]

_SHIPPED: Final = "scenarios"
_T = TypeVar("_T")
GENERATED: Final = frozenset({"seq", "tag", "now", "today", "ref"})
"""Names that every scenario may use; ``today+3`` and ``today-1`` count days."""
VARIABLE: Final = re.compile(r"\$\{([^{}]*)\}")
DAYS: Final = re.compile(r"today([+-][0-9]{1,3})?")


class ScenarioError(ValueError):
    """A scenario file that is none; ``problems`` are all that is wrong with it, one line each, with paths."""

    def __init__(self, path: str, problems: Sequence[str]) -> None:
        super().__init__("\n".join(f"{path}: {problem}" for problem in problems))
        self.path, self.problems = path, tuple(problems)


_KEYS: Final = {"from_": "from", "as_": "as"}


class Party(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=_KEYS):
    """One user of the line.

    ``address`` is its MAIL FROM and names its box here; ``user`` (8 characters) and ``password`` are empty for one that
    only receives. ``line`` is how it sends and gets its letters: ``two-way`` (pushed), ``mail`` (fetched by POP3),
    ``sftp``, ``ebms``; ``box`` and ``box_password`` are the mailbox's own credentials there.
    """

    address: str
    user: str = ""
    password: str = ""
    system: str = "2"
    line: Literal["two-way", "mail", "sftp", "ebms"] = "two-way"
    box: str = ""
    box_password: str = ""


class Patch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=_KEYS):
    """One change to the bytes of a request after it was written, to break it on purpose.

    ``length`` replaces 電文長; ``at`` (byte position from 1, as official tables count) overwrites with ``text`` or
    ``hex``; ``cut`` takes bytes off the end; ``append`` adds bytes given in hexadecimal.
    """

    length: str = ""
    at: int = 0
    text: str = ""
    hex: str = ""
    cut: Annotated[int, msgspec.Meta(ge=0)] = 0
    append: str = ""


class Matcher(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=_KEYS):
    """What an item has to be: all that is given has to hold. ``as`` keeps the value for later steps as ``${name}``."""

    equals: str | None = None
    matches: str | None = None
    present: bool = False
    blank: bool = False
    row: int | None = None
    as_: str = ""


Wanted = str | list[str] | Matcher


class Send(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=_KEYS):
    """Submit a request.

    ``send`` is the business code; the body is ``items``, or ``body_of`` an earlier reply; or the whole message is
    ``file`` (beside the scenario) or ``hex``, or ``edifact`` with the text of an interchange (``send`` is its message
    type then). ``header`` sets common items by key; ``message_id`` gives the mail a Message-ID; ``as`` names the
    request for later steps. ``attach`` are files that go along, text by name. ``refused`` is the stage at which the
    line has to refuse it (``login``); ``box_password`` tries another password of the box.
    """

    send: str
    from_: str = ""
    title: str = ""
    as_: str = ""
    items: dict[str, str | list[str]] = {}
    header: dict[str, str] = {}
    layout: str = ""
    body_of: str = ""
    file: str = ""
    hex: str = ""
    edifact: str = ""
    patch: list[Patch] = []
    message_id: bool = False
    attach: dict[str, str] = {}
    box_password: str = ""
    refused: str = ""


class Again(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=_KEYS):
    """Submit an earlier request once more: the same mail, byte for byte, with the same Message-ID."""

    again: str
    title: str = ""


class Reply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=_KEYS):
    """One reply that has to come.

    ``reply`` is the output code (or CONTRL, CUSRES, APERAK) or a matcher of it, ``box`` the party whose box it comes to
    (default: the sender's).
    ``result`` is what the result codes have to be, ``kind`` the 電文種別, ``header`` and ``items`` matchers by key and
    by short name. ``tags`` says whether the request's tags come back (``echoed``) or not (``blank``: an EXC output).
    ``repeats`` names an earlier reply that this one has to be, byte for byte and with the same Message-ID.
    ``segments`` are the beginnings of segments that an EDIFACT reply has to hold, in this order.
    """

    reply: str | Matcher
    box: str = ""
    title: str = ""
    kind: str = ""
    result: str | list[str] = ""
    header: dict[str, Wanted] = {}
    items: dict[str, Wanted] = {}
    tags: Literal["echoed", "blank"] = "echoed"
    as_: str = ""
    repeats: str = ""
    segments: list[str] = []

    def __str__(self) -> str:
        if isinstance(self.reply, str):
            return self.reply
        return self.reply.equals or (f"/{self.reply.matches}/" if self.reply.matches else "any reply")

    def names(self, output_code: str) -> bool:
        """Whether a reply with this output code is one of these."""
        if isinstance(self.reply, str):
            return self.reply == output_code
        equal = self.reply.equals is None or self.reply.equals == output_code
        return equal and (self.reply.matches is None or re.fullmatch(self.reply.matches, output_code) is not None)


class Expect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=_KEYS):
    """Replies to the latest request (or the one named by ``of``), all within ``within`` seconds.

    ``order`` ``given`` asks that they arrive in the order written here. ``expect: none`` asks that no further reply of
    this scenario arrives for ``within`` seconds.
    """

    expect: list[Reply] | Literal["none"]
    within: Annotated[float, msgspec.Meta(gt=0)] | None = None
    order: Literal["any", "given"] = "any"
    of: str = ""
    title: str = ""


class Receiver(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=_KEYS):
    """What the in-house system's own server does with mail for a party's box from here on.

    ``refuse`` answers every attempt with 450, so that replies stay waiting at the centre; ``accept`` takes them again.
    """

    receiver: Literal["refuse", "accept"]
    box: str = ""
    title: str = ""


class Look(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=_KEYS):
    """Look into a party's box through a door and leave everything there.

    ``look`` is the door; ``letters`` how many have to wait; ``box_password`` tries another password; ``refused`` is the
    stage at which the door has to turn it away (``login``).
    """

    look: Literal["pop3", "sftp"]
    box: str = ""
    letters: int | None = None
    box_password: str = ""
    refused: str = ""
    title: str = ""


class Move(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=_KEYS):
    """Move the centre's clock: ``3d``, ``1h30m`` forwards, or to a Japan time (``2025-10-06T08:30``).

    Everything due on the way happens in order before the next step. Only where the test has started the centre.
    """

    clock: Annotated[str, msgspec.Meta(pattern=r"^([0-9]+[dhms])+$|^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}$")]
    title: str = ""


Step = Send | Again | Expect | Receiver | Look | Move


@dataclass(frozen=True, slots=True)
class Scenario:
    """One connection test. ``stem`` is its file's name without suffix, ``folder`` where its files lie.

    ``needs`` says in words what the other side has to know; ``within`` is the default for every expectation in
    seconds; ``surplus`` whether replies that no step expected fail the test (``refused``) or not (``allowed``).
    ``clock`` is the Japan time its centre starts at, which is then its own; empty: any centre, at its own time.
    """

    stem: str
    folder: Path
    name: str
    about: str
    needs: tuple[str, ...]
    parties: Mapping[str, Party]
    steps: tuple[Step, ...]
    within: float = 10.0
    surplus: Literal["refused", "allowed"] = "refused"
    clock: str = ""


class _Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=_KEYS):
    name: str
    about: str = ""
    needs: list[str] = []
    parties: dict[str, Party] = {}
    within: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    surplus: Literal["refused", "allowed"] = "refused"
    clock: Annotated[str, msgspec.Meta(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2})?$")] = ""
    steps: list[Any] = []


class _Text(yaml.BaseLoader):
    """Every scalar is text, and a key that stands twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a node; raises ConstructorError for a key given twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                text = f"the key {key.value!r} stands twice"
                raise yaml.constructor.ConstructorError(None, None, text, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _convert(data: object, kind: type[_T], path: str) -> _T:
    try:
        return msgspec.convert(data, kind, strict=False)
    except msgspec.ValidationError as error:
        text, _, where = str(error).partition(" - at `")
        full = path + where.rstrip("`").removeprefix("$")
        unknown = re.search(r"unknown field `([^`]*)`", text)
        if unknown is None:
            raise ScenarioError("", [f"{full}: {text}"]) from None
        raise ScenarioError("", [f"{full}: unknown key {unknown[1]!r}{_suggest(unknown[1], _keys(kind))}"]) from None


def _keys(kind: object) -> set[str]:
    """Every key that may stand anywhere below a structure."""
    out: set[str] = set()
    todo = [kind]
    while todo:
        one = todo.pop()
        if isinstance(one, type) and issubclass(one, msgspec.Struct):
            for field in msgspec.structs.fields(one):
                out.add(field.encode_name)
                todo.append(field.type)
        else:
            todo.extend(getattr(one, "__args__", ()))
    return out


def _suggest(wrong: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(wrong, sorted(known), 1, 0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def _step(data: object, path: str) -> Step:
    if not isinstance(data, dict):
        raise ScenarioError("", [f"{path}: a step is a table"])
    kinds: dict[str, type[Step]] = {
        "send": Send, "again": Again, "expect": Expect, "receiver": Receiver, "look": Look, "clock": Move,
    }  # fmt: skip
    found = [key for key in kinds if key in data]
    if len(found) != 1:
        near = next((_suggest(str(key), kinds) for key in data if _suggest(str(key), kinds)), "")
        raise ScenarioError("", [f"{path}: a step is one of send, again, expect, receiver, look and clock{near}"])
    step: Step = _convert(data, kinds[found[0]], path)
    return step


def load_scenario(text: str, *, stem: str, folder: Path) -> Scenario:
    """Read a scenario. Raises :class:`ScenarioError` with all problems found."""
    try:
        data = yaml.load(text, Loader=_Text)  # noqa: S506 - a BaseLoader makes text, lists and mappings only
    except yaml.YAMLError as error:
        raise ScenarioError(stem, [" ".join(str(error).split())]) from None
    try:
        head = _convert(data, _Head, "")
    except ScenarioError as error:
        raise ScenarioError(stem, [problem.lstrip(".: ") for problem in error.problems]) from None
    problems: list[str] = []
    steps: list[Step] = []
    for number, one in enumerate(head.steps):
        try:
            steps.append(_step(one, f"steps[{number}]"))
        except ScenarioError as error:
            problems.extend(error.problems)
    if not head.steps:
        problems.append("steps: a scenario has at least one step")
    if not problems:
        problems.extend(_unknown_names(head.parties, steps))
    if problems:
        raise ScenarioError(stem, problems)
    return Scenario(
        stem, folder, head.name, head.about, tuple(head.needs), head.parties, tuple(steps), head.within, head.surplus,
        head.clock,
    )  # fmt: skip


def _unknown_names(parties: Mapping[str, Party], steps: Sequence[Step]) -> Iterator[str]:
    """Parties, requests, replies, keys and variables that a step names but nothing before it has made."""
    variables, requests, replies = set(GENERATED), set[str](), set[str]()
    sent = False
    keys = {f.key for f in fields("in")}, {f.key for f in fields("out")}

    def known(path: str, what: str, name: str, among: Iterable[str]) -> Iterator[str]:
        if name and name not in among:
            yield f"{path}: no {what} {name!r} before this step{_suggest(name, among)}"

    for number, step in enumerate(steps):
        path = f"steps[{number}]"
        for part in step.expect if isinstance(step, Expect) and isinstance(step.expect, list) else [step]:
            for name in VARIABLE.findall(msgspec.json.encode(part).decode()):
                if not DAYS.fullmatch(name):
                    yield from known(path, "variable", name, variables)
            if isinstance(part, Reply):
                variables |= {one.as_ for one in part.items.values() if isinstance(one, Matcher)}
                variables |= {one.as_ for one in part.header.values() if isinstance(one, Matcher)}
        if isinstance(step, Send):
            yield from known(f"{path}.from", "party", step.from_, parties)
            yield from known(f"{path}.body_of", "reply", step.body_of, replies)
            for key in step.header:
                yield from known(f"{path}.header", "common item", key, keys[0])
            if not parties:
                yield f"{path}: nobody to send it; name one under parties"
            if sum(bool(form) for form in (step.items, step.body_of, step.file, step.hex, step.edifact)) > 1:
                yield f"{path}: only one of items, body_of, file, hex and edifact"
            requests.add(step.as_)
            sent = True
        elif isinstance(step, Again):
            yield from known(f"{path}.again", "request", step.again, requests)
        elif isinstance(step, (Receiver, Look)):
            yield from known(f"{path}.box", "party", step.box, parties)
        elif isinstance(step, Expect):
            yield from known(f"{path}.of", "request", step.of, requests)
            for at, reply in enumerate(step.expect if isinstance(step.expect, list) else ()):
                where = f"{path}.expect[{at}]"
                yield from known(f"{where}.box", "party", reply.box, parties)
                yield from known(f"{where}.repeats", "reply", reply.repeats, replies)
                for key in reply.header:
                    yield from known(f"{where}.header", "common item", key, keys[1])
                if not sent:
                    yield f"{where}: nothing has been sent yet"
                for wanted in (reply.reply, *reply.header.values(), *reply.items.values()):
                    if isinstance(wanted, Matcher):
                        yield from _bad_pattern(where, wanted)
                replies.add(reply.as_)


def _bad_pattern(where: str, wanted: Matcher) -> Iterator[str]:
    try:
        re.compile(wanted.matches or "")
    except re.error as error:
        yield f"{where}: matches {wanted.matches!r} is no pattern: {error}"


def shipped_scenarios() -> dict[str, Scenario]:
    """The scenarios of this package by file stem."""
    folder = files(__package__).joinpath(_SHIPPED)
    out = {}
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.name.endswith(".yaml"):
            stem = entry.name.removesuffix(".yaml")
            out[stem] = load_scenario(entry.read_text(encoding="utf-8"), stem=stem, folder=Path(str(folder)))
    return out


def find_scenario(name: str) -> Scenario:
    """The scenario of a path, or a shipped one by its stem or its name. Raises :class:`ScenarioError`."""
    path = Path(name)
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ScenarioError(name, [f"cannot be read: {error}"]) from None
        return load_scenario(text, stem=path.stem, folder=path.parent)
    shipped = shipped_scenarios()
    for stem, scenario in shipped.items():
        if name in (stem, scenario.name):
            return scenario
    known = ", ".join(f"{stem} ({one.name})" for stem, one in shipped.items())
    raise ScenarioError(name, [f"no file, and no shipped scenario; shipped are {known}"])
