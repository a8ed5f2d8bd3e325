"""Random steps of export declarations against their state tables: procedures 6."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from sekisho.codecs.results import Refusal
from sekisho.handlers.export_declaration import EXPORT
from sekisho.handlers.export_states import EXPORT_DECLARATION, EXPORT_MANIFEST
from sekisho.handlers.kit import Examination, Outcome, User

from .exports import SPECIALIST, export
from .house import CARGO, OFFICER, STRANGER, House

Kind = Literal["simple", "documents"]
Alone = Literal["approve", "refuse", "correct"] | None
after = EXPORT_DECLARATION.after
EVENTS = {
    "EDA": "register again",
    "EDB": "call up",
    "EDC": "declare",
    "EDD": "call up for change",
    "EDA01": "register change",
    "EDE": "change",
    "EPCHA": "register permit change",
    "EPCHB": "call up permit",
    "EPCHC": "apply permit change",
}
ANSWERS = {"EDA": 1, "EDB": 1, "EDD": 1, "EDA01": 1, "EPCHA": 1, "EPCHB": 1}
"""Outputs of what is neither declared nor decided."""
DECISIONS = {"A": "approve", "R": "refuse", "C": "want correction"}
OF_A_PERMIT = {"A": "approve permit change", "C": "want permit correction"}


def test_where_exports_end() -> None:
    """A refusal ends a declaration; a permit ends that of a manifest too, but not the other: it may be changed."""
    assert EXPORT_DECLARATION.ends() == {"refused"}
    assert EXPORT_MANIFEST.ends() == {"refused", "approved"}


class Traffic(RuleBasedStateMachine):
    """Random steps of the declarant, a stranger, customs and the clock, against a model that knows the table only.

    What the table allows happens and leads where the table says; what it does not is refused and changes nothing (the
    house asserts that); every step answers as many outputs as it should; no number is lost or issued twice.
    """

    numbers: Bundle[str] = Bundle("numbers")

    def __init__(self) -> None:
        super().__init__()
        self.house = House()
        self.house.records.places["1AW01"] = ("5WHSE", "SAMPLE")
        self.house.records.kept["cargo", "SMPLBL0001"] = CARGO
        self.state: dict[str, str] = {}
        self.bad: set[str] = set()
        self.decided_alone: dict[str, str] = {}
        self.came_from: dict[str, str] = {}

    def send(self, user: User, code: str, **items: str) -> Outcome | None:
        """Send; None if it is refused."""
        self.house.user = user
        try:
            return self.house.send(code, **items)
        except Refusal:
            return None

    @precondition(lambda self: len(self.state) < 4)
    @rule(target=numbers)
    def register(self) -> str:
        """A new draft."""
        return self.new()

    def new(self) -> str:
        """The number of a new draft."""
        self.house.user = SPECIALIST
        number = self.house.send("EDA", **export()).key
        assert number not in self.state
        self.state[number] = "registered"
        return number

    @precondition(lambda self: len(self.state) < 4)
    @rule(target=numbers, changes=st.integers(0, 1))
    def permit(self, changes: int) -> str:
        """A permit, changed once or not at all."""
        number = self.new()
        for code in ("EDC", *("EPCHA", "EPCHC") * changes):
            self.act(number, code, "simple", None)
        return number

    @rule(number=numbers, seed=st.integers(0, 2**32))
    def walk(self, number: str, seed: int) -> None:
        """The declarant goes on, mostly as the table allows; customs decides in between, asked or alone."""
        chance = Random(seed)
        for _ in range(10):
            may = [code for code in sorted(EVENTS) if after(self.state[number], EVENTS[code])]
            code = chance.choice(may if may and chance.random() < 0.8 else sorted(EVENTS))
            kinds: list[Kind] = ["simple", "documents", "documents"]
            alone: list[Alone] = [None, "approve", "refuse", "correct"]
            self.act(number, code, chance.choice(kinds), chance.choice(alone))
            if chance.random() < 0.2:
                self.clock()
            if chance.random() < 0.3:
                self.customs(number, chance.choice("ARC"))
            self.states_agree()

    def act(
        self,
        number: str,
        code: str,
        kind: Kind,
        alone: Alone,
    ) -> None:
        """One step; customs examines it, and decides alone after a minute, or does not."""
        for declaring in ("EDC", "EDE", "EPCHC"):
            after_ = timedelta(minutes=1) if alone else None
            self.house.examinations.by_code[declaring] = Examination(kind, after_, alone or "approve")
        before = self.state[number]
        expected = after(before, EVENTS[code])
        if code == "EDC" and number in self.bad:
            expected = None
        outcome = self.send(SPECIALIST, code, ECN=number)
        assert (outcome is not None) == (expected is not None), (before, code)
        if outcome is None or expected is None:
            return
        declared = code in ("EDC", "EDE", "EPCHC")
        if declared and kind == "simple":
            expected = "permit-changed" if code == "EPCHC" else "approved"
        elif declared:
            expected = expected if code == "EPCHC" else {"EDC": "under-examination", "EDE": "changed"}[code]
            if alone:
                self.decided_alone[number] = alone
        if code == "EDA01":
            self.decided_alone.pop(number, None)
        if code == "EDA":
            self.bad.discard(number)
        if code == "EPCHA" and before != "permit-change-registered":
            self.came_from[number] = before
        self.state[number] = expected
        assert len(outcome.outputs) == ANSWERS.get(code, 2 if kind == "simple" else 1)
        assert (outcome.key, outcome.notice) == (number, True)

    def decided(self, number: str, decision: str) -> str | None:
        """Where a decision of customs leads."""
        before = self.state[number]
        if before == "permit-change-applied":
            event = OF_A_PERMIT.get(decision, f"back to {self.came_from[number]}")
            return after(before, event)
        return after(before, DECISIONS[decision])

    @rule(number=numbers, decision=st.sampled_from("ARC"))
    def customs(self, number: str, decision: str) -> None:
        """An officer decides."""
        expected = self.decided(number, decision)
        outcome = self.send(OFFICER, "IESET", ICN=number, RES=decision)
        assert (outcome is not None) == (expected is not None), (self.state[number], decision)
        if outcome is not None and expected is not None:
            self.state[number] = expected
            self.decided_alone.pop(number, None)
            assert len(outcome.outputs) == (2 if decision == "A" else 1)

    @rule()
    def clock(self) -> None:
        """A minute passes: what customs decides alone happens, once each."""
        letters = {"approve": "A", "refuse": "R", "correct": "C"}
        due = {number: self.decided(number, letters[how]) for number, how in self.decided_alone.items()}
        outcomes = self.house.advance(self.house.now + timedelta(minutes=2))
        assert sorted(outcome.key for outcome in outcomes) == sorted(due)
        for number, state in due.items():
            assert state is not None
            self.state[number] = state
        self.decided_alone.clear()

    @rule(number=numbers, found=st.sampled_from("YN"))
    def review(self, number: str, found: str) -> None:
        """The specialist reviews a draft."""
        outcome = self.send(SPECIALIST, "CCA", ICN=number, CKK=found)
        assert (outcome is not None) == (self.state[number] == "registered")
        if outcome is not None:
            (self.bad.add if found == "N" else self.bad.discard)(number)

    @rule(number=numbers, code=st.sampled_from([*sorted(EVENTS), "IEX", "IMO"]))
    def stranger(self, number: str, code: str) -> None:
        """Somebody else is never let in."""
        assert self.send(replace(STRANGER, specialist=True), code, ECN=number) is None

    @invariant()
    def states_agree(self) -> None:
        """Every number is there, in the state of the model; nothing else is."""
        kept = {key: data["state"] for (kind, key), data in self.house.records.kept.items() if kind == EXPORT.kind}
        assert kept == self.state
        assert sum(self.house.numbers.last.values()) == len(self.state)


Traffic.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestTraffic = Traffic.TestCase
