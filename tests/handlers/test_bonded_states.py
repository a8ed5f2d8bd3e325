"""Bonded transport and ship-side handling against their state tables: procedures 6."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from random import Random
from typing import Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from sekisho.codecs.results import Refusal
from sekisho.handlers.bonded_states import ARRIVED, BONDED_TRANSPORT, CANCELLED, CHANGE_PENDING, VOID
from sekisho.handlers.bonded_transport import BONDED
from sekisho.handlers.examined import (
    APPROVED,
    CORRECTION_WANTED,
    DECLARED,
    REFUSED,
    REGISTERED,
    UNDER_EXAMINATION,
    WAITING_FOR_ARRIVAL,
    WAITING_FOR_OPENING,
)
from sekisho.handlers.kit import Examination, Originator, Outcome, Party, User
from sekisho.handlers.ship_side import SHIP_SIDE
from sekisho.handlers.states import NEW, Machine

from .house import BROKER, CARGO, OFFICER, STRANGER, WAREHOUSE, House
from .test_bonded_changes import change
from .test_bonded_registration import Items, draft
from .test_ship_side import application

Kind = Literal["simple", "documents", "inspection"]
Decision = Literal["approve", "refuse", "correct"]
after = BONDED_TRANSPORT.after
_MANY = 5
"""Numbers of one run, so that each goes a long way."""


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


def paths(machine: Machine) -> dict[str, set[str]]:
    """From each state, where one message may lead: one event, or the two of a start and its examination."""
    out: dict[str, set[str]] = {}
    for state in (NEW, *machine.states):
        steps = {to for (start, _), to in machine.transitions.items() if start == state}
        for _ in range(2):  # a cargo that is there already out of hours: two waits in one message
            steps |= {
                to
                for (start, event), to in machine.transitions.items()
                if start in steps and (start == DECLARED or event.startswith("arrival"))
            }
        out[state] = steps - {DECLARED}
    return out


class Traffic(RuleBasedStateMachine):
    """Random steps of two brokers, a warehouse, customs and the clock, legal and illegal.

    Every change of a record is a way of its table, a refusal changes nothing (the house asserts it), a number that was
    issued stays and is issued once, and everybody who has to be told is told once.
    """

    numbers: Bundle[str] = Bundle("numbers")
    applications: Bundle[str] = Bundle("applications")

    def __init__(self) -> None:
        super().__init__()
        self.house = House()
        self.house.records.places |= {"1AW01": ("5WHSE", "SAMPLE"), "9ZZ99": ("5WHSE", "SECOND")}
        for number in range(3):
            self.house.records.kept["cargo", f"CARGO{number}"] = CARGO
        self.seen: dict[tuple[str, str], tuple[str, int]] = {}
        self.told: dict[tuple[str, str], list[str]] = {}
        self.walked = set[tuple[str, str, str]]()
        self.ways = {one.kind: paths(one.machine) for one in (BONDED, SHIP_SIDE)}

    def issued(self) -> int:
        """How many numbers there are."""
        return sum(self.house.numbers.last.values())

    def owner(self, kind: str, number: str, stranger: bool) -> User:
        """Who registered it, or the other broker."""
        data = self.house.records.get(kind, number)
        mine = data is None or data["user_code"] == BROKER.user_code
        return BROKER if mine != stranger else STRANGER

    def send(self, user: User, code: str, **items: str | Sequence[str]) -> Outcome | None:
        """Send, whether or not it is refused; None if it is."""
        self.house.user = user
        try:
            outcome = self.house.send(code, **items)
        except Refusal:
            return None
        self.check(outcome, user)
        return outcome

    def check(self, outcome: Outcome, sender: User | None) -> None:
        """Nobody is told the same thing of the same number twice; what a step answers names its addressee."""
        said = [(output.code, str(output.values.get("OLT") or output.values.get("HFN")), str(output.to))
                for output in outcome.outputs]  # fmt: skip
        assert len(said) == len(set(said))
        if sender is None:
            assert all(isinstance(output.to, (Originator, Party)) for output in outcome.outputs)
        for output in outcome.outputs:
            if isinstance(output.to, Originator):
                assert output.to.user_id.startswith(("1ANAC", "2OTHR"))
            if output.code in ("SAS0371", "SAS0381", "SZHFC"):
                kind, item = ("ship-side", "HFN") if output.code == "SZHFC" else ("bonded-transport", "OLT")
                self.told.setdefault((kind, str(output.values[item])), []).append(output.code)

    brokers = st.sampled_from([BROKER, STRANGER])
    strangers = st.integers(0, 7).map(lambda n: n == 7)
    officers = st.sampled_from([OFFICER] * 6 + [BROKER, WAREHOUSE])
    cargo = st.sampled_from([["CARGO0"], ["CARGO1"], ["CARGO0", "CARGO1"], ["CARGO2", "CARGO0"], ["UNKNOWN001"]])
    starts = st.sampled_from(["", "K", "I", "", "K", "I", "Z"])

    @initialize(kinds=st.lists(st.sampled_from(["simple", "documents"]), min_size=2, max_size=2))
    def customs_has_its_rules(self, kinds: list[Kind]) -> None:
        """Declarations and applications are examined so or so from the beginning."""
        for code, kind in zip(("OLC20", "OLC", "HFC20", "HFC"), (*kinds, *kinds), strict=True):
            self.house.examinations.by_code[code] = Examination(kind)

    # The world around ---------------------------------------------------------------------------------------------

    @rule(closed=st.booleans(), hours=st.integers(0, 30))
    def time_passes(self, closed: bool, hours: int) -> None:
        """What is due happens, one moment after the other; then the office opens or closes."""
        until = self.house.now + timedelta(hours=hours)
        while self.house.now < until:
            due = min((planned.when for planned in self.house.schedule.steps.values()), default=until)
            for outcome in self.house.advance(min(max(due, self.house.now), until)):
                self.check(outcome, None)
            self.only_ways_of_the_table()
        self.house.hours.closed = {"1A"} if closed else set()

    @rule(
        code=st.sampled_from(["OLC20", "OLC", "SOT", "HFC", "HFC20", "HFE20"]),
        kind=st.sampled_from(["simple", "documents", "inspection"]),
        after=st.sampled_from([None, 1, 3600]),
        decision=st.sampled_from(["approve", "refuse", "correct"]),
    )
    def customs_changes_its_rules(self, code: str, kind: Kind, after: int | None, decision: Decision) -> None:
        """Another examination from now on."""
        when = timedelta(seconds=after) if after else None
        self.house.examinations.by_code[code] = Examination(kind, when, decision)

    # Bonded transport ---------------------------------------------------------------------------------------------

    @precondition(lambda self: self.issued() < _MANY)
    @rule(target=numbers, user=brokers, cargo=cargo)
    def register(self, user: User, cargo: list[str]) -> str:
        """A new draft always gets a number."""
        outcome = self.send(user, "OLA", **draft(CG_=cargo))
        assert outcome is not None
        return outcome.key

    @precondition(lambda self: self.issued() < _MANY)
    @rule(target=numbers, user=brokers, cargo=cargo, start=starts, blanket=st.booleans())
    def declare_in_one_shot(self, user: User, cargo: list[str], start: str, blanket: bool) -> str:
        """OLC; where it is refused no number is issued."""
        items = draft(CG_=cargo, IKS=start) | ({"HNO": "BLANKET0001", "CHC": ""} if blanket else {})
        issued = self.house.numbers.last.get("bonded-transport", 0)
        outcome = self.send(user, "OLC", **items)
        assert self.house.numbers.last.get("bonded-transport", 0) == issued + (outcome is not None)
        return outcome.key if outcome else "9999999999T"

    @rule(
        stranger=strangers,
        number=numbers,
        code=st.sampled_from(["OLA", "OLC"]),
        action=st.sampled_from("517"),
        cargo=cargo,
        start=starts,
    )
    def correct(self, stranger: bool, number: str, code: str, action: str, cargo: list[str], start: str) -> None:
        """Correct, cancel, or something that is not allowed."""
        items = draft(KND=action, OLT=number, CG_=cargo)
        user = self.owner("bonded-transport", number, stranger)
        self.send(user, code, **items if code == "OLA" else items | {"IKS": start})

    @rule(stranger=strangers, number=numbers, start=starts)
    def declare(self, stranger: bool, number: str, start: str) -> None:
        """OLC20, in or out of hours."""
        self.send(self.owner("bonded-transport", number, stranger), "OLC20", OLT=number, IKS=start)

    @rule(stranger=strangers, number=numbers, code=st.sampled_from(["OLA11", "OLC11", "SOT11"]))
    def look(self, stranger: bool, number: str, code: str) -> None:
        """A call-up changes nothing."""
        before = dict(self.house.records.kept)
        self.send(self.owner("bonded-transport", number, stranger), code, OLT=number)
        assert self.house.records.kept == before

    @rule(
        stranger=strangers,
        number=numbers,
        action=st.sampled_from("51E5EE7"),
        cargo=cargo,
        mark=st.sampled_from(["", "9", "5", "1", ""]),
    )
    def ask_for_change(self, stranger: bool, number: str, action: str, cargo: list[str], mark: str) -> None:
        """SOT of any kind."""
        marks = [mark] * len(cargo)
        end = "20270131" if action == "E" else "20261231"
        items = change(number, KND=action, EDT=end, CG_=cargo, TK_=marks)
        self.send(self.owner("bonded-transport", number, stranger), "SOT", **items)

    @rule(user=officers, number=numbers, decision=st.sampled_from("ARCA"))
    def decide(self, user: User, number: str, decision: str) -> None:
        """SET, by customs or by somebody who may not."""
        done = self.send(user, "SET", OLT=number, RES=decision)
        assert done is None or user == OFFICER

    @rule(
        user=st.sampled_from([WAREHOUSE, WAREHOUSE, WAREHOUSE, OFFICER]), number=numbers, action=st.sampled_from("991")
    )
    def gate_out(self, user: User, number: str, action: str) -> None:
        """BOA."""
        self.send(user, "BOA", KND=action, OLT=number, DTM="20261120")

    @rule(number=numbers, action=st.sampled_from("91"), container=st.sampled_from(["SMPU1234567", "OTHER000001"]))
    def gate_out_of_yard(self, number: str, action: str, container: str) -> None:
        """CYO."""
        moment = {"DTM": "20261120"} if action == "9" else {}
        self.send(WAREHOUSE, "CYO", KND=action, OLT=number, CNO=container, **moment)

    @rule(number=numbers)
    def arrive(self, number: str) -> None:
        """BIA."""
        day = f"{self.house.now:%Y%m%d}"
        self.send(WAREHOUSE, "BIA", OLT=number, KND="A", PLC="9ZZ99", DTM=day, TIM="0000")

    @rule(cargo=cargo, place=st.sampled_from(["1AW01", "1AC02", "1AW01"]), action=st.sampled_from("9991"))
    def discharge(self, cargo: list[str], place: str, action: str) -> None:
        """PKI."""
        self.send(WAREHOUSE, "PKI", KND=action, BRT=place, DTM="20261120", CG_=cargo)

    # Ship-side handling -------------------------------------------------------------------------------------------

    @precondition(lambda self: self.issued() < _MANY)
    @rule(target=applications, user=brokers, cargo=cargo, start=starts, code=st.sampled_from(["HFA", "HFC"]))
    def apply(self, user: User, cargo: list[str], start: str, code: str) -> str:
        """HFA, or HFC in one shot."""
        items = application(CG_=cargo)
        outcome = self.send(user, code, **items if code == "HFA" else items | {"IKS": start})
        return outcome.key if outcome else "9999999999S"

    @rule(
        stranger=strangers,
        number=applications,
        cargo=cargo,
        code=st.sampled_from(["HFA01", "HFC20", "HFE20", "HFC20", "HFD"]),
        start=starts,
        action=st.sampled_from("551"),
    )
    def go_on(self, stranger: bool, number: str, cargo: list[str], code: str, start: str, action: str) -> None:
        """What may be done with an application, or may not."""
        whole = application(CG_=cargo, HFN=number)
        items: dict[str, Items] = {
            "HFA01": whole,
            "HFC20": {"HFN": number, "IKS": start},
            "HFE20": whole | {"KND": action},
            "HFD": {"HFN": number},
        }
        self.send(self.owner("ship-side", number, stranger), code, **items[code])

    @rule(user=officers, number=applications, decision=st.sampled_from("ARCA"))
    def decide_application(self, user: User, number: str, decision: str) -> None:
        """HFSET, by customs or by somebody who may not."""
        done = self.send(user, "HFSET", HFN=number, RES=decision)
        assert done is None or user == OFFICER

    # What has to hold ---------------------------------------------------------------------------------------------

    @invariant()
    def only_ways_of_the_table(self) -> None:
        """What changed went along its table; versions only count up, owners never change, nothing is lost."""
        there = set[tuple[str, str]]()
        for (kind, number), data in self.house.records.kept.items():
            if kind not in self.ways:
                continue
            there.add((kind, number))
            state, version = data["state"], data["version"]
            was, old = self.seen.get((kind, number), (NEW, 0))
            assert state == was or state in self.ways[kind][was], (was, state)
            assert version in (old, old + 1)
            assert data["user_code"] == data["owner"][:5]
            self.seen[kind, number] = (state, version)
            self.walked |= {(kind, was, state)} if was != state else set()
        assert there == self.seen.keys()
        assert len(there) == sum(self.house.numbers.last.get(kind, 0) for kind in self.ways)

    @invariant()
    def what_is_to_come_fits_the_state(self) -> None:
        """The opening is planned exactly for what waits for it, a decision only for what can be decided."""
        kept = self.house.records.kept
        for kind in self.ways:
            waiting = {key for (of, key), data in kept.items() if of == kind and data["state"] == WAITING_FOR_OPENING}
            assert {key for step, key in self.house.schedule.steps if step == f"{kind}.open"} == waiting
            decided = {key for step, key in self.house.schedule.steps if step == f"{kind}.decide"}
            assert {kept[kind, key]["state"] for key in decided} <= {UNDER_EXAMINATION, CHANGE_PENDING}

    @invariant()
    def waiting_declarations_are_found_by_their_cargo(self) -> None:
        """The cargo's records of kind awaited name exactly what waits for an arrival."""
        kept = self.house.records.kept
        awaited = {(tuple(one), key) for (of, key), data in kept.items() if of == "awaited" for one in data["by"]}
        waiting = {
            ((kind, number), cargo)
            for (kind, number), data in kept.items()
            if kind in self.ways and data["state"] == WAITING_FOR_ARRIVAL
            for cargo in data["items"]["CG_"]
        }
        assert awaited == waiting

    @invariant()
    def approvals_are_told(self) -> None:
        """Everything approved was told at least once, and nothing that never was."""
        for (kind, number), data in self.house.records.kept.items():
            if kind in self.ways and not data["items"].get("HNO"):
                assert bool(self.told.get((kind, number))) == ("approved_at" in data)
            if kind in self.ways and data["state"] == APPROVED:
                assert "approved_at" in data
            if kind in self.ways and data["state"] in (UNDER_EXAMINATION, CORRECTION_WANTED, REFUSED):
                assert "declared_at" in data


TestTraffic = Traffic.TestCase
TestTraffic.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)


class Walk:
    """The same steps, chosen by a seed: long walks that rarely say nonsense, to get to the ends of the tables."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(seed)
        self.traffic = Traffic()
        self.numbers: list[str] = []
        self.applications: list[str] = []

    def step(self) -> None:
        """One step, and everything that has to hold after it."""
        pick, traffic = self.dice.choice, self.traffic
        cargo, start = pick([["CARGO0"], ["CARGO0", "CARGO1"], ["CARGO2"]]), pick(["", "", "K", "I"])
        stranger, number = self.dice.random() < 0.1, pick(self.numbers or ["9999999999T"])
        officer = pick([OFFICER] * 6 + [WAREHOUSE])
        application = pick(self.applications[-2:] or ["9999999999S"])
        code = pick(["OLC20", "OLC", "SOT", "HFC", "HFC20", "HFE20"])
        blanket = self.dice.random() < 0.2
        acts: list[Callable[[], object]] = [
            lambda: traffic.time_passes(closed=pick([True, False]), hours=self.dice.randint(0, 30)),
            lambda: traffic.customs_changes_its_rules(
                code=code,
                kind=pick(["simple", "documents"]),
                after=pick([None, None, 3600]),
                decision=pick(["approve", "refuse", "correct"]),
            ),
            lambda: self.begin(cargo, start, blanket=blanket),
            lambda: traffic.correct(
                stranger=stranger, number=number, code=pick(["OLA", "OLC"]), action=pick("51"), cargo=cargo, start=start
            ),
            lambda: traffic.declare(stranger=stranger, number=number, start=start),
            lambda: traffic.look(stranger=stranger, number=number, code=pick(["OLA11", "OLC11", "SOT11"])),
            lambda: traffic.ask_for_change(
                stranger=stranger, number=number, action=pick("51EE"), cargo=cargo, mark=pick(["", "9", "5", "1"])
            ),
            lambda: traffic.decide(user=officer, number=number, decision=pick("ARC")),
            lambda: traffic.gate_out(user=WAREHOUSE, number=number, action=pick("91")),
            lambda: traffic.gate_out_of_yard(number=number, action=pick("91"), container="SMPU1234567"),
            lambda: traffic.arrive(number=number),
            lambda: traffic.discharge(cargo=cargo, place=pick(["1AW01", "1AC02"]), action=pick("991")),
            lambda: self.applications.append(
                str(traffic.apply(user=STRANGER, cargo=cargo, start=start, code=pick(["HFA", "HFC"])))
            ),
            lambda: traffic.go_on(
                stranger=stranger,
                number=application,
                cargo=cargo,
                code=pick(["HFA01", "HFC20", "HFC20", "HFE20", "HFD"]),
                start=start,
                action=pick("551"),
            ),
            lambda: traffic.decide_application(user=officer, number=application, decision=pick("ARC")),
        ]
        pick(acts)()
        for hold in (
            traffic.only_ways_of_the_table,
            traffic.what_is_to_come_fits_the_state,
            traffic.waiting_declarations_are_found_by_their_cargo,
            traffic.approvals_are_told,
        ):
            hold()

    def begin(self, cargo: list[str], start: str, *, blanket: bool) -> None:
        """Two times of three another transport; the newest three are what the walk goes on with."""
        kind = self.dice.randrange(3)
        if kind == 0:
            number = self.traffic.register(user=BROKER, cargo=cargo)
        elif kind == 1:
            number = self.traffic.declare_in_one_shot(user=BROKER, cargo=cargo, start=start, blanket=blanket)
        else:
            return
        self.numbers = [*self.numbers, str(number)][-3:]


def test_every_way_of_the_tables_is_walked() -> None:
    """Long walks by fixed seeds come along every arrow between two states of both tables."""
    wanted = set()
    for procedure in (BONDED, SHIP_SIDE):
        for (state, _), to in procedure.machine.transitions.items():
            if DECLARED not in (state, to) and state != to:
                wanted.add((procedure.kind, state, to))
    walked = set[tuple[str, str, str]]()
    for seed in range(50):
        walk = Walk(seed)
        for _ in range(500):
            walk.step()
        walked |= walk.traffic.walked
    assert wanted <= walked, sorted(wanted - walked)
