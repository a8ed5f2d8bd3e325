"""The state table of bonded transport: procedures 6."""

from collections.abc import Sequence
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from sekisho.codecs.results import Refusal
from sekisho.handlers.bonded_states import ARRIVED, BONDED_TRANSPORT, CANCELLED, VOID
from sekisho.handlers.examined import APPROVED, REFUSED, REGISTERED
from sekisho.handlers.kit import User
from sekisho.handlers.states import NEW

from .house import CARGO, House
from .test_bonded_registration import draft

TRANSITIONS = BONDED_TRANSPORT.transitions
after = BONDED_TRANSPORT.after


def test_where_a_transport_ends() -> None:
    """Only void, refused, cancelled and arrived are ends."""
    assert BONDED_TRANSPORT.ends() == {VOID, REFUSED, CANCELLED, ARRIVED}


def test_what_the_diagram_says() -> None:
    """The chains of procedures 6, box by box."""
    for events, end in (
        (["register", "correct", "declare", "simple examination"], "approved"),
        (["register", "declare at opening", "office opens", "document examination", "approve"], "approved"),
        (["register", "declare at arrival", "arrival out of hours", "office opens"], "declared"),
        (["declare at arrival", "arrival in hours"], "declared"),
        (["declare", "document examination", "ask for change", "approve cancellation"], "cancelled"),
        (["declare", "simple examination", "ask for change", "approve extension", "gate out", "arrive"], "arrived"),
        (["register", "cancel"], "void"),
    ):
        state: str | None = NEW
        for event in events:
            assert state is not None
            state = after(state, event)
        assert state == end
    for state, event in ((APPROVED, "correct"), (VOID, "declare"), (REGISTERED, "gate out"), (REGISTERED, "approve")):
        assert after(state, event) is None


class Traffic(RuleBasedStateMachine):
    """Random OLA, OLA11 and OLC20 of two brokers; every change of a record must be a step of the table."""

    numbers = Bundle("numbers")

    def __init__(self) -> None:
        super().__init__()
        self.house = House()
        self.house.records.kept["cargo", "SMPLBL0001"] = CARGO
        self.seen: dict[str, tuple[str, int]] = {}

    def records(self) -> dict[str, dict[str, Any]]:
        """The transports by number."""
        kept = self.house.records.kept
        return {key: dict(data) for (kind, key), data in kept.items() if kind == "bonded-transport"}

    def attempt(self, user: str, code: str, **items: str | Sequence[str]) -> str:
        """Send, whether or not it is refused; gives the key."""
        self.house.user = User(user)
        try:
            return self.house.send(code, **items).key
        except Refusal:
            return ""

    users = st.sampled_from(["1ANACA0A", "1ANACA0B", "2OTHRA0A"])
    cargo = st.sampled_from([["SMPLBL0001"], ["UNKNOWN001"]])

    @rule(target=numbers, user=users, cargo=cargo)
    def new(self, user: str, cargo: list[str]) -> str:
        """A new draft always gets a number."""
        number = self.attempt(user, "OLA", **draft(CG_=cargo))
        assert number
        return number

    @rule(user=users, number=numbers, action=st.sampled_from(["9", "5", "1", "7"]), cargo=cargo)
    def change(self, user: str, number: str, action: str, cargo: list[str]) -> None:
        """Correct, cancel, or something that is not allowed."""
        self.attempt(user, "OLA", **draft(KND=action, OLT=number, CG_=cargo))

    @rule(user=users, number=numbers, start=st.sampled_from(["", "K", "I", "Z"]), closed=st.booleans())
    def declare(self, user: str, number: str, start: str, closed: bool) -> None:
        """Declare, in or out of hours."""
        self.house.hours.closed = {"1A"} if closed else set()
        self.attempt(user, "OLC20", OLT=number, IKS=start)

    @rule(user=users, number=numbers)
    def look(self, user: str, number: str) -> None:
        """A call-up changes nothing."""
        before = self.records()
        self.attempt(user, "OLA11", OLT=number)
        assert self.records() == before

    @invariant()
    def only_steps_of_the_table(self) -> None:
        """What changed went along the table (OLC20 goes two steps); versions only count up, owners never change."""
        for number, data in self.records().items():
            state, version = data["state"], data["version"]
            was, old = self.seen.get(number, (NEW, 0))
            steps = {to for (start, _), to in TRANSITIONS.items() if start == was}
            second = {to for (start, _), to in TRANSITIONS.items() if start in steps}
            assert state == was or state in steps | (second if was == REGISTERED else set())
            assert version in (old, old + 1)
            assert (version == old) or state == REGISTERED
            assert data["user_code"] == data["owner"][:5]
            assert ("approved_at" in data) == (state == APPROVED)
            self.seen[number] = (state, version)


TestTraffic = Traffic.TestCase
TestTraffic.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
