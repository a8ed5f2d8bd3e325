"""The Okinawa duty-free scheme: OTA, OTA01, OTC and the forms they answer with (procedures 3, 4.7)."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from sekisho.codecs.results import Refusal
from sekisho.handlers import catalogue
from sekisho.handlers.declarations import NUMBERS
from sekisho.handlers.duty_free import decide
from sekisho.handlers.duty_free_states import DUTY_FREE, KIND
from sekisho.handlers.kit import Examination, Originator, Outcome, Party, User
from sekisho.handlers.states import NEW

from .house import BROKER, STRANGER, House, result, written

GOODS: dict[str, Sequence[str]] = {
    "KZT": ["1", ""],
    "SKC": ["A00001", "A00002"],
    "CMN": ["BAG", "WATCH"],
    "HTK": ["25000", "30000"],
    "HSR": ["2", "1"],
    "CMD": ["420222000", "910111000"],
    "TX1": ["F1", ""],
}


def draft(**changes: str | Sequence[str]) -> dict[str, str | Sequence[str]]:
    """What an OTA of two lines of goods holds."""
    items: dict[str, str | Sequence[str]] = {"CH": "1A", "RKN": "TARO SAMPLE", "ST": "1AW01", "REF": "SHOP-1", **GOODS}
    return items | changes


def codes(outcome: Outcome) -> list[str]:
    """The output codes of an outcome, in order."""
    return [output.code for output in outcome.outputs]


def lines(outcome: Outcome, code: str) -> list[str]:
    """An output as a reader sees it that splits on line ends."""
    output = next(one for one in outcome.outputs if one.code == code)
    return written(output).decode("euc_jp").split("\r\n")[:-1]


def test_register_and_declare(house: House) -> None:
    """OTA brings the notice with the number and SAD4011; OTC under 簡易審査 the permit (procedures 3)."""
    registered = house.send("OTA", **draft())
    assert registered.key == "0000000001D"
    assert codes(registered) == ["SAD4011"]
    assert registered.outputs[0].kind == "C"
    declared = house.send("OTC", ICN=registered.key)
    assert codes(declared) == ["SAD4071", "SAF0010", "SAD4131"]
    assert declared.outputs[2].to == Party(place="1AW01")


def test_forms_by_line(house: House) -> None:
    """SAD4011: seven 税科目 blocks whether used or not, then as many rows as 申請欄数 says (layouts, SAD4011)."""
    read = lines(house.send("OTA", **draft()), "SAD4011")
    layout = catalogue().get("SAD4011.out")
    assert layout is not None
    head = layout.fixed
    assert (len(read) - head) % layout.row == 0
    assert (len(read) - head) // layout.row == 2
    assert read[head].strip() == "01"
    assert "TARO SAMPLE" in read[5].strip()


def test_form_without_goods(house: House) -> None:
    """A client reads one row of SAD4011 even where 申請欄数 is 0 (layouts, SAD4011): a blank one is there."""
    read = lines(house.send("OTA", RKN="TARO SAMPLE"), "SAD4011")
    layout = catalogue().get("SAD4011.out")
    assert layout is not None
    assert len(read) == layout.fixed + layout.row
    assert not "".join(read[layout.fixed :]).strip()


def test_taxes(house: House) -> None:
    """Duty by the settings' tariff, consumption tax on lines that name it; amounts cut down (our choice)."""
    house.business["tariff"] = {"420222000": "8"}
    number = house.send("OTA", **draft()).key
    permit = house.send("OTC", ICN=number)
    values = dict(permit.outputs[0].values)
    assert values["X22"] == ["4000", "4200", "1100"]  # 50,000 x 8 %; 54,000 x 7.8 % and x 2.2 %, cut to 100 yen
    assert values["X24"] == "9300"
    assert values["X20"] == ["D", "F", "A"]
    slips = [one.values for one in permit.outputs if one.code == "SAF0010"]
    assert [(one["X13"], one["X20"]) for one in slips] == [("関税", "4000"), ("消費税及び地方消費税", "5300")]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"NOF": "M"}, ["SAD4071", "SAF0021", "SAD4131"]),
        ({"PF": "12345678901234"}, ["SAD4071", "SAD4131"]),
        ({"BP": "01"}, ["SAD4081", "SAD4131"]),
        ({"TX1": ["", ""]}, ["SAD4071", "SAD4131"]),
        ({"ST": ""}, ["SAD4071", "SAF0010"]),
    ],
)
def test_permit_sets(house: House, changes: dict[str, Any], expected: list[str]) -> None:
    """By 納付方法, 口座, ＢＰ申請事由, taxes due and 蔵置場 (procedures 3; letters of 納付方法 ours)."""
    number = house.send("OTA", **draft(**changes)).key
    assert codes(house.send("OTC", ICN=number)) == expected


def test_document_examination(house: House) -> None:
    """書類審査: the copy at once, the permit as EXZ when customs decides (procedures 3, pattern of an A to C chain)."""
    house.examinations.by_code["OTC"] = Examination("documents", timedelta(seconds=30))
    number = house.send("OTA", **draft(NT1="LOOK")).key
    assert codes(house.send("OTC", ICN=number)) == ["SAD4031"]
    assert house.examinations.asked[-1] == ("OTC", "1A", 80000, "LOOK")
    (later,) = house.advance(house.now + timedelta(seconds=30))
    assert codes(later) == ["SAD4071", "SAF0010", "SAD4131"]
    assert later.outputs[0].to == Originator(BROKER.id, 2)
    assert house.records.kept[KIND, number]["state"] == "permitted"


def test_customs_ends(house: House) -> None:
    """IESET ends it as it ends other declarations: customs only (U9001)."""
    house.examinations.by_code["OTC"] = Examination("documents")
    number = house.send("OTA", **draft()).key
    house.send("OTC", ICN=number)
    assert house.refused("IESET", ICN=number, RES="A") == [result("U9001")]
    house.user = User("9CSTMA0A", "customs")
    assert codes(house.send("IESET", ICN=number, RES="A"))[0] == "SAD4071"
    assert house.refused("IESET", ICN=number, RES="A") == [result("E9013", "ICN")]


def test_release_copy(house: House) -> None:
    """With ＢＰ申請事由 the copy is SAD4041, of an application for release; customs has one too."""
    house.business["customs_user"] = "9CSTM"
    house.examinations.by_code["OTC"] = Examination("documents")
    number = house.send("OTA", **draft(BP="01")).key
    copies = house.send("OTC", ICN=number)
    assert codes(copies) == ["SAD4041", "SAD4041"]
    assert copies.outputs[1].to == Party(user_code="9CSTM")


def test_change_between(house: House) -> None:
    """OTA01 after OTC registers a change: nothing is decided until OTC declares it (progress 2 and 3)."""
    house.examinations.by_code["OTC"] = Examination("documents", timedelta(seconds=30))
    number = house.send("OTA", **draft()).key
    house.send("OTC", ICN=number)
    assert codes(house.send("OTA01", **draft(ICN=number, RKN="HANAKO SAMPLE"))) == ["SAD4021"]
    assert house.advance(house.now + timedelta(minutes=5)) == []
    assert house.records.kept[KIND, number]["state"] == "change-registered"
    assert "HANAKO SAMPLE" in lines(house.send("OTC", ICN=number), "SAD4031")[5]
    assert house.records.kept[KIND, number]["state"] == "changed"


def test_shortage_holds(house: House) -> None:
    """担保不足: SAF0221 and no permit; OTC again brings it once the security covers the taxes."""
    house.business["securities"] = {"SEC000001": 100}
    number = house.send("OTA", **draft(SC1="SEC000001")).key
    held = house.send("OTC", ICN=number)
    assert codes(held) == ["SAF0221"]
    assert held.outputs[0].values["X13"] == "4900"  # 50,000 x 7.8 % and 2.2 %, cut: 3,900 and 1,100; 100 there
    house.business["securities"] = {"SEC000001": 5000}
    assert codes(house.send("OTC", ICN=number))[0] == "SAD4071"


def test_closed_account_holds(house: House) -> None:
    """口座使用不可: SAF0211 and no permit."""
    house.business["accounts"] = {"12345678901234": False}
    number = house.send("OTA", **draft(PF="12345678901234")).key
    assert codes(house.send("OTC", ICN=number)) == ["SAF0211"]


def test_refusals(house: House) -> None:
    """E9001 unknown, U9003 another company's, E9002 declared, E9004 permitted, S9001 no number, R9003 no goods."""
    assert house.refused("OTC", ICN="NOSUCH00001") == [result("E9001", "ICN")]
    assert house.refused("OTC", ICN="") == [result("S9001", "ICN")]
    assert house.refused("OTA01", **draft()) == [result("S9001", "ICN")]
    empty = house.send("OTA", RKN="TARO SAMPLE").key
    assert house.refused("OTC", ICN=empty) == [result("R9003")]
    house.examinations.by_code["OTC"] = Examination("documents")
    number = house.send("OTA", **draft()).key
    house.user = STRANGER
    assert house.refused("OTC", ICN=number) == [result("U9003", "ICN")]
    house.user = BROKER
    house.send("OTC", ICN=number)
    assert house.refused("OTC", ICN=number) == [result("E9002", "ICN")]
    assert house.refused("OTA", **draft(ICN=number)) == [result("E9002", "ICN")]
    decide(number, "approve", house.context())
    assert house.refused("OTC", ICN=number) == [result("E9004", "ICN")]
    assert house.refused("OTA01", **draft(ICN=number)) == [result("E9004", "ICN")]


def test_wanted_correction(house: House) -> None:
    """Customs wants a correction: SZOTC says so; OTA01 and OTC go on; a second word of customs is E9013."""
    house.examinations.by_code["OTC"] = Examination("documents")
    number = house.send("OTA", **draft()).key
    house.send("OTC", ICN=number)
    (said,) = decide(number, "correct", house.context(), note="数量を確認")
    assert (said.code, said.values["RES"], said.values["NT1"]) == ("SZOTC", "C", "数量を確認")
    with pytest.raises(Refusal) as caught:
        decide(number, "approve", house.context())
    assert [str(one) for one in caught.value.results] == [result("E9013", "ICN")]
    house.send("OTA01", **draft(ICN=number))
    assert codes(house.send("OTC", ICN=number)) == ["SAD4031"]


class Traffic(RuleBasedStateMachine):
    """Random OTA, OTA01, OTC, decisions and time; every change of a record must be a step of the table."""

    numbers = Bundle("numbers")

    def __init__(self) -> None:
        super().__init__()
        self.house = House()
        self.seen: dict[str, str] = {}
        self.issued: list[str] = []

    def attempt(self, user: str, code: str, **items: str | Sequence[str]) -> Outcome | None:
        """Send, whether or not it is refused; a business that was done has at least one output."""
        self.house.user = User(user)
        try:
            outcome = self.house.send(code, **items)
        except Refusal:
            return None
        assert outcome.outputs
        assert len({(output.code, output.to) for output in outcome.outputs}) == len(outcome.outputs)
        return outcome

    users = st.sampled_from(["1ANACA0A", "1ANACA0B", "2OTHRA0A"])

    @rule(target=numbers, user=users)
    def new(self, user: str) -> str:
        """A new draft always gets a number of its own."""
        outcome = self.attempt(user, "OTA", **draft())
        assert outcome is not None
        assert outcome.key not in self.issued
        self.issued.append(outcome.key)
        return outcome.key

    @rule(user=users, number=numbers, code=st.sampled_from(["OTA", "OTA01"]), security=st.booleans())
    def change(self, user: str, number: str, code: str, security: bool) -> None:
        """Correct or change, with a security that is too small or without."""
        self.house.business["securities"] = {"SEC000001": 0}
        self.attempt(user, code, **draft(ICN=number, SC1="SEC000001" if security else ""))

    @rule(user=users, number=numbers, kind=st.sampled_from(["simple", "documents"]), by_itself=st.booleans())
    def declare(self, user: str, number: str, kind: Literal["simple", "documents"], by_itself: bool) -> None:
        """Declare under either examination."""
        after = timedelta(seconds=30) if by_itself else None
        self.house.examinations.by_code["OTC"] = Examination(kind, after)
        self.attempt(user, "OTC", ICN=number)

    @rule(number=numbers, decision=st.sampled_from(["approve", "refuse", "correct"]))
    def officer(self, number: str, decision: str) -> None:
        """Customs decides; where it may not, nothing changes."""
        before = dict(self.house.records.kept)
        try:
            decide(number, decision, self.house.context())
        except Refusal:
            assert self.house.records.kept == before

    @rule()
    def wait(self) -> None:
        """Time passes."""
        self.house.advance(self.house.now + timedelta(minutes=1))

    @invariant()
    def only_steps_of_the_table(self) -> None:
        """No number is lost; a change goes one step of the table, a declaration decided at once two."""
        kept = {key: data for (kind, key), data in self.house.records.kept.items() if kind == KIND}
        assert sorted(kept) == sorted(self.issued)
        assert self.house.numbers.last.get(NUMBERS, 0) == len(self.issued)
        for number, data in kept.items():
            was, state = self.seen.get(number, NEW), data["state"]
            one = {to for (start, _), to in DUTY_FREE.transitions.items() if start == was}
            two = {to for (start, _), to in DUTY_FREE.transitions.items() if start in one}
            assert state == was or state in one | two
            assert ("permitted_at" in data) == (state in ("permitted", "released"))
            self.seen[number] = state


TestTraffic = Traffic.TestCase
TestTraffic.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
