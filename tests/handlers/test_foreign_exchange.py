"""Applications, brokers and inquiries of the foreign exchange act: procedures 13."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from sekisho.codecs.results import Refusal
from sekisho.handlers.kit import Examination, Originator, Outcome, Party, User
from sekisho.handlers.licence_states import LICENCE_APPLICATION, PROGRESS, form_of, licence_forms

from .exports import SPECIALIST, Items, shown
from .house import BROKER, STRANGER, House, result
from .licences import MINISTRY, UNKNOWN, apply, endorse, granted, licence, licensed

after = LICENCE_APPLICATION.after
NEW_NUMBERS = "100 150 200 210 230 240 250 270 110 130 160 410 450 600 700 800 B10 B20 B30 B40 B50 C20"


def test_forms() -> None:
    """The official numbers; 訂正 ends in 9 where there is one [spec]."""
    assert [form.new for form in licence_forms()] == NEW_NUMBERS.split()
    assert {form.amend for form in licence_forms() if form.amend} == {
        f"{form.new[:2]}9" for form in licence_forms() if form.new not in {"110", "130", "160", "410", "450", "C20"}
    }
    assert {form.new for form in licence_forms() if form.web} == {
        "100", "200", "210", "230", "240", "250", "270", "600", "700", "800",
    }  # fmt: skip
    assert form_of("") is None


def test_simple_review_grants_at_once(house: House) -> None:
    """Notice, copy and the grant; the licence is good for any goods, for licence_valid_days (setting)."""
    outcome = house.send("JAA", SSN="200", NT1="見本", REF="R1")
    copy, grant = outcome.outputs
    assert (copy.code, copy.kind, grant.code, grant.kind) == ("SZJAA", "C", "SZJASET", "P")
    record = shown(grant)
    assert [record.text(i) for i in ("JNO", "SSN", "RES", "STS", "LKD", "VFR", "VTO", "REF")] == [
        outcome.key, "200", "A", "3", "E", "20261120", "20270519", "R1",
    ]  # fmt: skip
    assert licence(house, record.text("LCN"))["owner"] == "1ANAC"
    house.system = "1"
    assert [output.code for output in house.send("JAA", SSN="200").outputs] == ["AZJAA", "AZJASET"]


def test_the_ministry_decides(house: House) -> None:
    """JASET tells the applicant by EXZ with the tags of his request; only the ministry may send it."""
    number = apply(house)
    items: Items = {"JNO": number, "RES": "A", "LC_": ["870323"], "LQ_": ["10"], "LU_": ["NO"]}
    assert house.refused("JASET", **items) == [result("U9001")]
    house.user = MINISTRY
    assert house.refused("JASET", JNO=UNKNOWN, RES="A") == [result("E9001", "JNO")]
    assert house.refused("JASET", JNO=number, RES="X", LKD="X") == [result("S9004", "RES"), result("S9004", "LKD")]
    assert house.refused("JASET", JNO=number, RES="A", VFR="20261202", VTO="20261201") == [result("R9002", "VTO")]
    (output,) = house.send("JASET", **items).outputs
    assert output.to == Originator(BROKER.id, 1)
    assert house.refused("JASET", **items) == [result("E9013", "JNO")]
    house.user = BROKER
    second = apply(house)
    house.user = MINISTRY
    used = shown(output).text("LCN")
    assert house.refused("JASET", JNO=second, RES="A", LCN=used) == [result("E9002", "LCN")]


@pytest.mark.parametrize(("decision", "state"), [("approve", "3"), ("refuse", "4"), ("correct", "2")])
def test_the_ministry_decides_by_itself(house: House, decision: str, state: str) -> None:
    """The rules of examination say when and what, as for customs; a withdrawn application is left alone."""
    house.examinations.by_code["JAA"] = Examination("documents", timedelta(hours=1), decision)  # type: ignore[arg-type]
    house.send("JAA", SSN="200")
    withdrawn = house.send("JAA", SSN="200").key
    house.send("JAC", JNO=withdrawn, SSN="200")
    (outcome,) = house.advance(house.now + timedelta(hours=1))
    assert shown(outcome.outputs[0]).text("STS") == state


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ({"SSN": "999"}, [result("S9004", "SSN")]),
        ({"SSN": ""}, [result("S9001", "SSN")]),
        ({"SSN": "209"}, [result("R9005", "LCN")]),
        ({"SSN": "200", "LCN": UNKNOWN}, [result("R9007", "LCN")]),
        ({"SSN": "209", "LCN": UNKNOWN}, [result("E9001", "LCN")]),
        ({"SSN": "200", "RID": "2OTHRA0A"}, [result("U9003", "RID")]),
        ({"SSN": "200", "RID": "1ANACZ9Z"}, [result("E9001", "RID")]),
        ({"SSN": "200", "FN_": ["a.jet"]}, [result("R9005", "FN_", 1)]),
    ],
)
def test_refusals_of_an_application(house: House, items: Items, expected: list[str]) -> None:
    """Each fault by its number; no number is spent."""
    assert house.refused("JAA", **items) == expected
    assert house.numbers.last == {}


def test_amendment(house: House) -> None:
    """訂正 of one's own licence, of its form, keeps number, brokers and what is endorsed; never less than that."""
    house.user = SPECIALIST
    number = granted(house)
    endorse(house, number, licensed(house, number))
    house.send("JCA", LCN=number, RCD=["2OTHR"])
    assert house.refused("JAA", SSN="219", LCN=number) == [result("E9019", "SSN")]
    application = apply(house, SSN="209", LCN=number)
    house.user = MINISTRY
    less: Items = {"LC_": ["870323"], "LQ_": ["1"], "LU_": ["NO"]}
    assert house.refused("JASET", JNO=application, RES="A", **less) == [result("E9020", "LQ_", 1)]
    assert house.refused("JASET", JNO=application, RES="A", LCN="1") == [result("R9007", "LCN")]
    house.send("JASET", JNO=application, RES="A", VTO="20270430", **(less | {"LQ_": ["12"]}))
    kept = licence(house, number)
    assert (kept["version"], kept["valid_to"], kept["brokers"]) == (1, "20270430", ["2OTHR"])
    assert [(line["quantity"], line["endorsed"]) for line in kept["lines"]] == [("12", "2")]
    house.user = STRANGER
    assert house.refused("JAA", SSN="209", LCN=number) == [result("U9003", "LCN")]


def test_files_stay_with_the_application(house: House) -> None:
    """The form file (.jet) and what JAF adds, by name; JAM shows them beside what the form needs."""
    house.attachments.named = [("form.jet", 10)]
    number = apply(house, FN_=["form.jet"])
    assert house.refused("JAF", JNO=number, FN_=["other.pdf"]) == [
        result("R9005", "FN_", 1),
        result("R9005", "FN_"),
    ]
    house.attachments.named = [("contract.pdf", 10)]
    house.send("JAF", JNO=number)
    record = shown(house.send("JAM", JNO=number).outputs[0])
    assert record.texts("FN_") == ["form.jet", "contract.pdf"]
    assert record.texts("DC_")[0] == "申請書"
    house.business["attached_files"] = 2
    assert house.refused("JAF", JNO=number) == [result("E9018", "FN_")]
    house.attachments.named = []
    assert house.refused("JAF", JNO=number) == [result("R9003", "FN_")]


def test_copies_for_the_ministry(house: House) -> None:
    """The setting licence_authority_user names who gets a copy of what comes."""
    house.business["licence_authority_user"] = "9METI"
    house.examinations.by_code["JAH"] = Examination("documents")
    mine, theirs = house.send("JAH", SSN="200").outputs
    assert (mine.kind, theirs.kind, theirs.to) == ("C", "P", Party(user_code="9METI"))


def test_general_and_movement_applications_issue_no_licence(house: House) -> None:
    """JAH and JMD are granted without one; JMD names one of one's own only."""
    assert shown(house.send("JAH", SSN="200").outputs[1]).text("LCN") == ""
    number = granted(house, form="240")
    assert shown(house.send("JMD", SSN="240", LCN=number).outputs[1]).text("LCN") == number
    assert sum(kind == "licence" for kind, _ in house.records.kept) == 1
    house.user = STRANGER
    assert house.refused("JMD", SSN="240", LCN=number) == [result("U9003", "LCN")]


def test_progress(house: House) -> None:
    """JAP: one's own application, or the newest fifty of a form; 1 under review to 5 withdrawn."""
    numbers = [apply(house) for _ in range(51)]
    house.send("JAC", JNO=numbers[50], SSN="200")
    record = shown(house.send("JAP", SSN="200").outputs[0])
    assert record.texts("JN_") == numbers[1:]
    assert record.texts("ST_") == ["1"] * 49 + ["5"]
    assert shown(house.send("JAP", JNO=numbers[0]).outputs[0]).texts("JN_") == numbers[:1]
    assert house.refused("JAP") == house.refused("JAP", SSN="200", JNO="1") == [result("R9001", "SSN")]
    house.user = STRANGER
    assert house.refused("JAP", JNO=numbers[0]) == [result("U9003", "JNO")]
    assert house.refused("JAP", SSN="200") == [result("E9001", "SSN")]


def test_applicant(house: House) -> None:
    """JAJ01 registers an own ID's data, JAJ shows it as its screen, JAI as an answer."""
    assert house.refused("JAI", RID=BROKER.id) == house.refused("JAJ", RID=BROKER.id) == [result("E9001", "RID")]
    house.send("JAJ01", RID="1ANACA0B", DNM="見本商事", TEL="0300000000")
    for code in ("JAI", "JAJ"):
        record = shown(house.send(code, RID="1ANACA0B").outputs[0])
        assert (record.text("DNM"), record.text("TEL")) == ("見本商事", "0300000000")
    assert house.refused("JAJ01", RID="1ANACZ9Z") == [result("E9001", "RID")]
    for code in ("JAI", "JAJ", "JAJ01"):
        assert house.refused(code, RID="2OTHRA0A") == [result("U9003", "RID")]


def test_brokers(house: House) -> None:
    """The owner designates up to ten and releases; brokers see the licence, not who else may use it."""
    number = granted(house)
    house.send("JCA", LCN=number, RCD=["2OTHR", "3ELSE"])
    assert house.refused("JCA", LCN=number, RCD=["3ELSE"]) == [result("E9002", "RCD", 1)]
    assert house.refused("JCA", LCN=number, RCD=["4ELSE", "4ELSE"]) == [result("R9004", "RCD", 2)]
    assert house.refused("JCA", LCN=number) == [result("R9003", "RCD")]
    assert house.refused("JCA", LCN=number, RCD=[f"{n}MANY" for n in range(9)]) == [result("E9010", "RCD")]
    assert shown(house.send("JCI", LCN=number).outputs[0]).texts("RC_") == ["2OTHR", "3ELSE"]
    assert shown(house.send("JCC", LCN=number).outputs[0]).texts("RCD") == ["2OTHR", "3ELSE"]
    assert house.refused("JCC01", LCN=number, RCD=["4ELSE"]) == [result("E9001", "RCD", 1)]
    house.user = STRANGER
    assert shown(house.send("JTS", LCN=number).outputs[0]).text("OWN") == "1ANAC"
    for code, items in {"JCA": {"RCD": ["5ELSE"]}, "JCC": {}, "JCI": {}, "JCC01": {"RCD": ["2OTHR"]}}.items():
        assert house.refused(code, LCN=number, **items) == [result("U9003", "LCN")]
    house.user = BROKER
    house.send("JCC01", LCN=number, RCD=["2OTHR"])
    house.user = STRANGER
    assert house.refused("JTS", LCN=number) == [result("U9003", "LCN")]
    house.user = BROKER
    house.advance(house.now + timedelta(days=200))
    assert house.refused("JCA", LCN=number, RCD=["5ELSE"]) == [result("E9003", "LCN")]
    assert shown(house.send("JTS", LCN=number).outputs[0]).text("STS") == "3"


def test_endorsement_inquiry(house: House) -> None:
    """JTM by its official list: R0053, R0054, E0031, E0094, E0087, E0088, E0089 [spec]."""
    house.user = SPECIALIST
    number = granted(house, LC_=["870323", "400110"], LQ_=["", ""], LU_=["NO", "KG"])
    assert house.refused("JTM", LRN="1") == [result("R0053", "LRN")]
    assert house.refused("JTM", UGS="1") == [result("R0054")]
    assert house.refused("JTM", LCN=UNKNOWN) == house.refused("JTM", LCN=number) == [result("E0031", "LCN")]
    declarations = [licensed(house, number) for _ in range(2)]
    issued = endorse(house, number, declarations[0], LR_=["1", "2"], LQ_=["2", "300"], LU_=["", ""])
    endorse(house, number, declarations[1])
    record = shown(house.send("JTM", LCN=number).outputs[0])
    assert (record.texts("LR_"), record.texts("LQ_")) == (["1", "2", "1"], ["2", "300", "2"])
    record = shown(house.send("JTM", LCN=number, LRN="2").outputs[0])
    assert (record.texts("UN_"), record.texts("IC_")) == ([issued], [declarations[0]])
    assert house.refused("JTM", LCN=number, LRN="3") == [result("E0031", "LCN")]
    assert house.refused("JTM", LCN=number, UGS="4") == [result("E0088", "UGS")]
    key = ("endorsement", f"{number}/{declarations[1]}")
    house.records.kept[key] = {**house.records.kept[key], "kind": "4"}
    assert house.refused("JTM", LCN=number) == [result("E0087", "UGS")]
    assert shown(house.send("JTM", LCN=number, UGS="4").outputs[0]).texts("IC_") == [declarations[1]]
    line = {"line": 1, "quantity": "1", "unit": "NO"}
    house.records.kept[key] = {**house.records.kept[key], "lines": [line] * 1000}
    assert house.refused("JTM", LCN=number, UGS="4") == [result("E0089")]
    house.records.kept[key] = {**house.records.kept[key], "lines": [line] * 999}
    assert len(shown(house.send("JTM", LCN=number, UGS="4").outputs[0]).texts("UN_")) == 999
    house.user = STRANGER
    assert house.refused("JTM", LCN=number) == [result("E0094")]


EVENTS = {"JAB": "supplement", "JAF": "add documents", "JAC": "withdraw"}
DECISIONS = {"A": "approve", "R": "refuse", "C": "correct"}


class Traffic(RuleBasedStateMachine):
    """Random steps of the applicant, a stranger, the ministry and the clock against the state table.

    What it allows leads where it says and is answered once; the rest is refused and changes nothing (the house asserts
    that); no number is lost, and a licence is issued for every grant and for nothing else.
    """

    numbers: Bundle[str] = Bundle("numbers")

    def __init__(self) -> None:
        super().__init__()
        self.house = House()
        self.state: dict[str, str] = {}
        self.alone: set[str] = set()

    def send(self, user: User, code: str, **items: str) -> Outcome | None:
        """Send; None if it is refused."""
        self.house.user = user
        try:
            return self.house.send(code, **items)
        except Refusal:
            return None

    @precondition(lambda self: len(self.state) < 4)
    @rule(target=numbers, kind=st.sampled_from(["simple", "officer", "alone"]))
    def apply(self, kind: str) -> str:
        """A new application, granted at once, by an officer, or by itself after an hour."""
        later = timedelta(hours=1) if kind == "alone" else None
        chosen = Examination("simple" if kind == "simple" else "documents", later)
        self.house.examinations.by_code["JAA"] = chosen
        outcome = self.send(BROKER, "JAA", SSN="200", NT1="X")
        assert outcome is not None
        assert outcome.key not in self.state
        assert len(outcome.outputs) == 1 + (kind == "simple")
        self.state[outcome.key] = "granted" if kind == "simple" else "under-review"
        if kind == "alone":
            self.alone.add(outcome.key)
        self.house.examinations.by_code["JAA"] = Examination("documents")
        return outcome.key

    @rule(number=numbers, code=st.sampled_from(sorted(EVENTS)), stranger=st.booleans())
    def act(self, number: str, code: str, stranger: bool) -> None:
        """The applicant's steps, sometimes by somebody else."""
        self.house.attachments.named = [("a.pdf", 1)]
        items = {"JNO": number} | ({} if code == "JAF" else {"SSN": "200"})
        outcome = self.send(STRANGER if stranger else BROKER, code, **items)
        self.house.attachments.named = []
        expected = None if stranger else after(self.state[number], EVENTS[code])
        assert (outcome is None) == (expected is None)
        if outcome is not None and expected is not None:
            assert len(outcome.outputs) == 1
            self.state[number] = expected
            if code != "JAF":
                self.alone.discard(number)

    @rule(number=numbers, letter=st.sampled_from(sorted(DECISIONS)), ministry=st.booleans())
    def decide(self, number: str, letter: str, ministry: bool) -> None:
        """The ministry's decision, sometimes by somebody else."""
        user = MINISTRY if ministry else replace(MINISTRY, trade="customs")
        outcome = self.send(user, "JASET", JNO=number, RES=letter)
        expected = after(self.state[number], DECISIONS[letter]) if ministry else None
        assert (outcome is None) == (expected is None)
        if outcome is not None and expected is not None:
            assert len(outcome.outputs) == 1
            self.state[number] = expected
            self.alone.discard(number)

    @rule()
    def an_hour_later(self) -> None:
        """What was to be decided by itself is."""
        outcomes = self.house.advance(self.house.now + timedelta(hours=1))
        assert sorted(outcome.key for outcome in outcomes) == sorted(self.alone)
        assert all(len(outcome.outputs) == 1 for outcome in outcomes)
        self.state |= dict.fromkeys(self.alone, "granted")
        self.alone.clear()

    @invariant()
    def records_are_as_the_model_says(self) -> None:
        """States, and one licence a grant."""
        kept = {
            key: data["state"] for (kind, key), data in self.house.records.kept.items() if kind == "licence-application"
        }
        assert kept == self.state
        licences = sum(kind == "licence" for kind, _ in self.house.records.kept)
        assert licences == sum(state == "granted" for state in self.state.values())
        assert set(self.state.values()) <= PROGRESS.keys()


Traffic.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestTraffic = Traffic.TestCase
