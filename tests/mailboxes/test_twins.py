"""The same random operations on both stores: every answer and every view must be equal."""

import contextlib
import random
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sekisho.mailboxes import Conflict, StoreError, Unit, View, open_store
from sekisho.mailboxes.letters import Box, Event, LetterQuery, Mark, Route

from .desk import NOW, furnish, keep, new_account, new_letter, new_request

_NUMBERS = st.integers(1, 5)
_TIMES = st.integers(0, 60)
_STATES = st.sets(st.sampled_from(["waiting", "unknown", "failed", "delivered", "deleted"])).map(tuple)
_OUTCOMES = ["delivered", "deferred", "refused", "unknown"]


def _call(rng: random.Random) -> tuple[str, tuple[Any, ...]]:
    """A method of a unit and its arguments. Letters and requests come often: they are what is held back.

    Reads are among the rest, because a read in the middle makes the SQLite store write out what it holds.
    """
    number, at, name = rng.randint(1, 9), rng.randint(0, 60), rng.choice("abcdef")
    maybe = rng.choice([None, at])
    numbers = [rng.randint(1, 12) for _ in range(rng.randint(0, 3))]
    lane, content = rng.choice(["L1", "L2"]), rng.choice([b"same", b"other"])
    kind = rng.choice(["letter", "letter", "letter", "request", "request", "finish", "other", "other"])
    if kind == "letter":
        box, size = rng.choice(["B1", "B1", "B2", "B3", "B9", "NONE"]), rng.choice([5, 5, 5000])
        made = new_letter(number, rng.randint(0, 12), box=box, due_at=maybe, created_at=at, content=b"x" * size)
        return "add_letter", (made,)
    if kind == "request":
        return "journal", (new_request(str(rng.randint(1, 60)), lane=lane, content=content, received_at=at),)
    if kind == "finish":
        return "finish", (number, rng.choice([0, 1, 1, 2]), "00000", name, at)
    others: list[tuple[str, tuple[Any, ...]]] = [
        ("mark", ([Mark(n, rng.choice(_OUTCOMES), at, maybe, name) for n in numbers],)),
        ("hasten", (numbers, at)),
        ("delete_letters", (numbers[:1], at)),
        ("add_event", (Event(at, "a", "b.c", number, None),)),
        ("put_record", ("k", name, {name: lane}, at)),
        ("delete_record", ("k", name)),
        ("next_number", (name,)),
        ("add_timer", (at, name, name, {})),
        ("take_timer", (number,)),
        ("cancel_timers", (name, name)),
        ("quarantine", (number, name, at)),
        ("release", (number, at)),
        ("put_route", (Route(name, lane, "B1"),)),
        ("delete_route", (name, lane)),
        ("put_account", (new_account(f"1ANAC{name}0A", mail_from=(name, lane)),)),
        ("put_box", (Box(rng.choice(["B2", "B9"]), name, rng.choice([(), ("pop3",), ("smtp-push",)])),)),
        ("find_request", (str(rng.randint(1, 60)),)),
        ("find_same", ("L1", sha256(b"same").hexdigest(), at)),
        ("request", (number,)),
        ("letters_of", (number,)),
        ("due", (at, rng.randint(0, 4), frozenset(numbers))),
        ("undelivered", (["B1", "B3"],)),
        ("content", (number,)),
        ("accounts", ()),
    ]
    return rng.choice(others)


def _block(rng: random.Random, depth: int = 0) -> list[Any]:
    """Calls and inner blocks, each with whether it raises at its end."""
    steps: list[Any] = []
    for _ in range(rng.randint(1, 8)):
        if depth < 3 and rng.random() < 0.3:
            steps.append((_block(rng, depth + 1), rng.random() < 0.4))
        else:
            steps.append(_call(rng))
    return steps


class _Undo(Exception):
    """Raised at the end of a block that is to be undone."""


def _answer(unit: Unit, name: str, values: tuple[Any, ...]) -> Any:  # noqa: ANN401 - what the method gives
    try:
        if name == "finish":
            number, state, result, key, at = values
            return unit.finish(number, state=state, result=result, key=key, at=at)
        return getattr(unit, name)(*values)
    except Conflict:
        return "conflict"
    except StoreError:
        return "refused"


def _run(unit: Unit, block: list[Any]) -> Iterator[Any]:
    for step in block:
        if isinstance(step[0], str):
            yield step, _answer(unit, *step)
        else:
            inner, undone = step
            with contextlib.suppress(_Undo), unit.savepoint():
                yield from _run(unit, inner)
                if undone:
                    raise _Undo


def _everything(view: View) -> list[Any]:
    letters = [letter.number for letter in view.letters(LetterQuery())]
    return [
        view.requests(), view.received(), view.letters(LetterQuery(limit=999)),
        view.letters(LetterQuery(states=("deleted",), oldest_first=True)), view.box_counts(), view.boxes(),
        view.due(99, 99), view.next_due(), view.undelivered(["B1", "B2", "B3"]), view.accounts(), view.routes(),
        view.records("k"), view.timers(99), view.quarantined(), view.events(),
        [view.owners(name) for name in "abc"], [view.raw(r.number) for r in view.requests()],
        [view.content(number) for number in letters], [view.letters_of(number) for number in range(1, 8)],
    ]  # fmt: skip


class Twins(RuleBasedStateMachine):
    """Both stores, side by side; the SQLite one is closed and opened again now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.sqlite = open_store("sqlite", Path(self.folder.name), lambda: NOW)
        self.memory = open_store("memory", Path(self.folder.name), lambda: NOW)
        for store in (self.sqlite, self.memory):
            furnish(store)
            keep(store, "x", "y", "z", letters=0, finished=False)

    @rule(seed=st.integers(0, 2**32), undone=st.integers(0, 4).map(lambda n: n == 0))
    def transact(self, seed: int, undone: bool) -> None:
        """Run a block in a transaction of each."""
        block = _block(random.Random(seed))
        answers = []
        for store in (self.sqlite, self.memory):
            given: list[Any] = []
            with contextlib.suppress(_Undo), store.transaction() as unit:
                given.extend(_run(unit, block))
                given.append(_everything(unit))
                if undone:
                    raise _Undo
            answers.append(given)
        assert answers[0] == answers[1]

    @rule(letters=_TIMES, fetched=_TIMES, requests=_TIMES, limit=st.integers(0, 3))
    def purge(self, letters: int, fetched: int, requests: int, limit: int) -> None:
        """Remove what is old."""
        gone = []
        for store in (self.sqlite, self.memory):
            with store.transaction() as unit:
                gone.append(
                    unit.purge(letters_before=letters, fetched_before=fetched, requests_before=requests, limit=limit)
                )
        assert gone[0] == gone[1]

    @rule(query=st.builds(
        LetterQuery, box=st.sampled_from(["", "B1", "B3"]), request=st.none() | _NUMBERS, states=_STATES,
        before=st.none() | _NUMBERS, after=st.none() | _NUMBERS, limit=st.integers(0, 5), oldest_first=st.booleans(),
    ))  # fmt: skip
    def ask(self, query: LetterQuery) -> None:
        """Ask both for letters."""
        with self.sqlite.view() as one, self.memory.view() as other:
            assert one.letters(query) == other.letters(query)

    @rule()
    def reopen(self) -> None:
        """What is on disk is all there is."""
        self.sqlite.close()
        self.sqlite = open_store("sqlite", Path(self.folder.name), lambda: NOW)

    @rule()
    def checkpoint(self) -> None:
        """A checkpoint changes nothing."""
        self.sqlite.checkpoint()

    @invariant()
    def alike(self) -> None:
        """Everything that can be seen is the same."""
        with self.sqlite.view() as one, self.memory.view() as other:
            assert _everything(one) == _everything(other)

    def teardown(self) -> None:
        self.sqlite.close()
        self.folder.cleanup()


TestTwins = Twins.TestCase
TestTwins.settings = settings(
    max_examples=25, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)
