"""The same random operations on both stores: every answer and every view must be equal."""

import contextlib
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
_NAMES = st.sampled_from("abcdef")
_BOXES = st.sampled_from(["B1", "B2", "B3", "B3", "NONE"])
_STATES = st.sets(st.sampled_from(["waiting", "unknown", "failed", "delivered", "deleted"])).map(tuple)

# What can be done to a unit: the method's name and its arguments. Reads are among them, because a read in the middle
# makes the SQLite store write out what it holds back.
_LETTERS = st.tuples(
    st.just("add_letter"),
    st.builds(
        lambda request, part, box, at, size: (
            new_letter(request, part, box=box, due_at=at, created_at=(at or 7), content=b"x" * size),
        ),
        _NUMBERS, st.integers(0, 9), _BOXES, st.none() | _TIMES, st.sampled_from([5, 5, 5000]),
    ),
)  # fmt: skip
_REQUESTS = st.tuples(
    st.just("journal"),
    st.builds(
        lambda idem, lane, content, at: (new_request(str(idem), lane=lane, content=content, received_at=at),),
        st.integers(1, 30), st.sampled_from(["L1", "L2"]), st.sampled_from([b"same", b"other"]), _TIMES,
    ),
)  # fmt: skip
_OTHERS = st.one_of(
    st.tuples(st.just("finish"), st.tuples(_NUMBERS, st.sampled_from([0, 1, 1, 2]), st.just("00000"), _NAMES, _TIMES)),
    st.tuples(
        st.just("mark"),
        st.lists(
            st.builds(
                Mark, _NUMBERS, st.sampled_from(["delivered", "deferred", "refused", "unknown"]), _TIMES,
                st.none() | _TIMES, _NAMES,
            ),
            max_size=3,
        ).map(lambda marks: (marks,)),
    ),
    st.tuples(st.just("hasten"), st.tuples(st.lists(_NUMBERS, max_size=3), _TIMES)),
    st.tuples(st.just("delete_letters"), st.tuples(st.lists(_NUMBERS, max_size=2), _TIMES)),
    st.tuples(st.just("add_event"), st.builds(lambda at, n: (Event(at, "a", "b.c", n, None),), _TIMES, _NUMBERS)),
    st.tuples(st.just("put_record"), st.tuples(st.just("k"), _NAMES, st.dictionaries(_NAMES, _NAMES), _TIMES)),
    st.tuples(st.just("delete_record"), st.tuples(st.just("k"), _NAMES)),
    st.tuples(st.just("next_number"), st.tuples(_NAMES)),
    st.tuples(st.just("add_timer"), st.tuples(_TIMES, _NAMES, _NAMES, st.just({}))),
    st.tuples(st.just("take_timer"), st.tuples(_NUMBERS)),
    st.tuples(st.just("cancel_timers"), st.tuples(_NAMES, _NAMES)),
    st.tuples(st.just("quarantine"), st.tuples(_NUMBERS, _NAMES, _TIMES)),
    st.tuples(st.just("release"), st.tuples(_NUMBERS, _TIMES)),
    st.tuples(st.just("put_route"), st.builds(lambda a, b: (Route(a, b, "B1"),), _NAMES, _NAMES)),
    st.tuples(st.just("delete_route"), st.tuples(_NAMES, _NAMES)),
    st.tuples(
        st.just("put_account"),
        st.builds(lambda a, m: (new_account(f"1ANAC{a}0A", mail_from=tuple(m)),), _NAMES, st.lists(_NAMES, max_size=2)),
    ),
    st.tuples(
        st.just("put_box"),
        st.builds(lambda i, d: (Box(i, i, tuple(d)),), st.sampled_from(["B2", "B9"]),
                  st.lists(st.sampled_from(["pop3", "smtp-push"]), max_size=2)),
    ),
    st.tuples(st.just("find_request"), st.tuples(st.integers(1, 30).map(str))),
    st.tuples(st.just("find_same"), st.tuples(st.just("L1"), st.just(sha256(b"same").hexdigest()), _TIMES)),
    st.tuples(st.just("request"), st.tuples(_NUMBERS)),
    st.tuples(st.just("letters_of"), st.tuples(_NUMBERS)),
    st.tuples(st.just("due"), st.tuples(_TIMES, st.integers(0, 4), st.frozensets(_NUMBERS, max_size=2))),
    st.tuples(st.just("undelivered"), st.tuples(st.just(["B1", "B3"]))),
    st.tuples(st.just("content"), st.tuples(_NUMBERS)),
)  # fmt: skip
# A block of calls and blocks; True: it raises at its end.
_CALLS = st.one_of(_LETTERS, _LETTERS, _REQUESTS, _OTHERS, _OTHERS)
_INNER = st.lists(_CALLS, min_size=2, max_size=6)
_MIDDLE = st.lists(st.one_of(_CALLS, _CALLS, st.tuples(_INNER, st.booleans())), min_size=3, max_size=10)
_BLOCKS = st.lists(st.one_of(_CALLS, _CALLS, st.tuples(_MIDDLE, st.booleans())), min_size=5, max_size=15)


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

    @rule(block=_BLOCKS, undone=st.integers(0, 4).map(lambda n: n == 0))
    def transact(self, block: list[Any], undone: bool) -> None:
        """Run a block in a transaction of each."""
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
    max_examples=30, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
