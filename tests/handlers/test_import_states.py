"""Random messages of import declarations and manifests against their state tables (procedures 6)."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from sekisho.codecs.results import Refusal
from sekisho.handlers.declarations import FAMILIES, NUMBERS
from sekisho.handlers.import_manifest import IMPORT_MANIFEST
from sekisho.handlers.imports import IMPORT_DECLARATION
from sekisho.handlers.kit import Examination, Outcome, User
from sekisho.handlers.states import NEW, Machine

from .house import House
from .test_import_manifest import manifest
from .test_imports import draft

MACHINES = {machine.kind: machine for machine in (IMPORT_DECLARATION, IMPORT_MANIFEST)}
DECLARING = ("IDC", "SWC", "CTC", "IDE", "MIC")
USERS = {
    "broker": User("1ANACA0A", "customs-broker", specialist=True),
    "colleague": User("1ANACA0B", "customs-broker"),
    "stranger": User("2OTHRA0A", "customs-broker", specialist=True),
    "officer": User("9CSTMA0A", "customs", specialist=True),
}


def test_ends() -> None:
    """A permit and a refusal are the ends of both tables; both tables are families of declarations."""
    assert all(machine.ends() == {"approved", "refused"} for machine in MACHINES.values())
    assert all(FAMILIES[kind].machine is machine for kind, machine in MACHINES.items())


def reach(machine: Machine, state: str, steps: int) -> set[str]:
    """States that so many events lead to, or fewer."""
    found = {state}
    for _ in range(steps):
        found |= {to for (start, _), to in machine.transitions.items() if start in found}
    return found


class Traffic(RuleBasedStateMachine):
    """Random A, B, C messages, changes, decisions, openings and time of several users."""

    numbers = Bundle("numbers")

    def __init__(self) -> None:
        super().__init__()
        self.house = House(system="1")
        self.house.records.places["1AW01"] = ("5WHSE", "SAMPLE WAREHOUSE")
        self.house.examinations.by_code = dict.fromkeys(DECLARING, Examination("documents"))
        self.seen: dict[str, Mapping[str, Any]] = {}
        self.issued: list[str] = []

    def attempt(self, who: str, code: str, **items: str | Sequence[str]) -> Outcome | None:
        """Send, whether or not it is refused; nobody gets the same output twice."""
        self.house.user = USERS[who]
        try:
            outcome = self.house.send(code, **items)
        except Refusal:
            return None
        self.unlike(outcome)
        return outcome

    def unlike(self, outcome: Outcome) -> None:
        """No reply is doubled."""
        assert len({(output.code, output.to) for output in outcome.outputs}) == len(outcome.outputs)

    who = st.sampled_from(["broker"] * 4 + sorted(USERS))
    conditions = st.sampled_from(["", "", "", "K", "I", "?"])
    astray = st.sampled_from(["", "", "", "IDC", "SWC", "CTC", "IDE"])

    def registered_by(self, number: str) -> str:
        """The business code that issued the number."""
        kept = self.house.records.kept
        return next(str(kept[kind, number]["registered_by"]) for kind in MACHINES if (kind, number) in kept)

    def issue(self, outcome: Outcome | None) -> str:
        """A number nobody had before."""
        assert outcome is not None
        assert outcome.key not in self.issued
        self.issued.append(outcome.key)
        return outcome.key

    @rule(target=numbers, code=st.sampled_from(["IDA", "SWA", "CTA"]), planned=st.sampled_from(["", "", "", "2OTHR"]))
    def register(self, code: str, planned: str) -> str:
        """A new draft always gets a number."""
        return self.issue(self.attempt("broker", code, **draft(ICC=planned)))

    @rule(target=numbers)
    def clear(self) -> str:
        """A manifest in office hours is declared at once."""
        self.house.hours.closed.clear()
        return self.issue(self.attempt("broker", "MIC", **manifest()))

    @rule(who=who, number=numbers, code=st.sampled_from(["", "", "IDA", "IDA01", "MIC"]), condition=conditions)
    def again(self, who: str, number: str, code: str, condition: str) -> None:
        """Correct or send again by the code that registered it, or by one that may not."""
        code = code or self.registered_by(number)
        items = manifest(JYO=condition) if code == "MIC" else draft()
        self.attempt(who, code, **{**items, "ICN": number})

    @rule(who=who, number=numbers, code=astray, condition=conditions)
    def declare(self, who: str, number: str, code: str, condition: str) -> None:
        """Declare by the code that belongs to the registration, or by one that may not."""
        code = code or {"SWA": "SWC", "CTA": "CTC"}.get(self.registered_by(number), "IDC")
        items = {"SIC": number, "SJO": condition} if code == "SWC" else {"ICN": number, "JYO": condition}
        self.attempt(who, code, **items)

    @rule(
        target=numbers,
        code=st.sampled_from(["IDA", "SWA", "CTA"]),
        changed=st.booleans(),
        decision=st.sampled_from(["A", "R", "C", ""]),
    )
    def whole_story(self, code: str, changed: bool, decision: str) -> str:
        """Register, declare, perhaps change, decide: so that the later states are met in every run."""
        number = self.issue(self.attempt("broker", code, **draft()))
        self.declare("broker", number, "", "")
        if changed:
            self.change(number)
        self.customs("officer", number, decision)
        return number

    @rule(number=numbers)
    def change(self, number: str) -> None:
        """Register a change and declare it."""
        self.attempt("broker", "IDA01", **draft(ICN=number, IMN="ANOTHER TRADER"))
        self.attempt("broker", "IDE", ICN=number)

    @rule(who=who, number=numbers, code=st.sampled_from(["IDB", "SWB", "SWX", "CTB", "IDD", "MID", "IID", "ICT"]))
    def look(self, who: str, number: str, code: str) -> None:
        """Call-ups and inquiries change nothing and answer one output."""
        before = dict(self.house.records.kept)
        outcome = self.attempt(who, code, ICN=number)
        assert self.house.records.kept == before
        assert outcome is None or len(outcome.outputs) == 1

    @rule(who=who, number=numbers, result=st.sampled_from(["Y", "N"]))
    def review(self, who: str, number: str, result: str) -> None:
        """A specialist's word, or that of somebody who is none."""
        self.attempt(who, "CCA", ICN=number, CKK=result)

    @rule(
        who=st.sampled_from(["officer", "officer", "broker"]),
        number=numbers,
        decision=st.sampled_from(["A", "A", "R", "C"]),
    )
    def customs(self, who: str, number: str, decision: str) -> None:
        """Customs decides; nobody else can."""
        before = dict(self.house.records.kept)
        outcome = self.attempt(who, "IESET", ICN=number, RES=decision)
        assert outcome is None or (who == "officer" and outcome.outputs)
        assert outcome is not None or self.house.records.kept == before

    @rule(
        kind=st.sampled_from(["simple", "documents", "documents", "inspection"]),
        by_itself=st.booleans(),
        shut=st.sampled_from([False, False, True]),
    )
    def new_rules(self, kind: Literal["simple", "documents", "inspection"], by_itself: bool, shut: bool) -> None:
        """Customs' rules and hours change."""
        chosen = Examination(kind, timedelta(minutes=1) if by_itself else None)
        self.house.examinations.by_code = dict.fromkeys(DECLARING, chosen)
        self.house.hours.closed = {"1A"} if shut else set()

    @rule(long=st.booleans())
    def wait(self, long: bool) -> None:
        """Time passes: openings and decisions happen."""
        for outcome in self.house.advance(self.house.now + (timedelta(days=1) if long else timedelta(minutes=1))):
            self.unlike(outcome)

    @invariant()
    def only_steps_of_the_tables(self) -> None:
        """No number is lost, none drawn in vain; only so many events pass, an owner never changes."""
        kept = {key: data for (kind, key), data in self.house.records.kept.items() if kind in MACHINES}
        assert sorted(kept) == sorted(self.issued)
        assert self.house.numbers.last.get(NUMBERS, 0) == len(self.issued)
        kinds = {key: kind for kind, key in self.house.records.kept if kind in MACHINES}
        for number, data in kept.items():
            before = self.seen.get(number, {"state": NEW, "version": 0, "owner": data["owner"]})
            machine = MACHINES[kinds[number]]
            assert data["state"] in reach(machine, before["state"], 7 if before["state"] == NEW else 4)
            assert before["version"] <= data["version"] <= before["version"] + 2
            assert data["owner"] == before["owner"]
            assert (data["state"] == "approved") == ("approved_at" in data)
            if before["state"] in machine.ends():
                assert data["state"] == before["state"]
            self.seen[number] = data


TestTraffic = Traffic.TestCase
TestTraffic.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
