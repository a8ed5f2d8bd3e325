"""UKY and UKT: who may act on whose declarations, procedures 7."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sekisho.handlers.delegation import DELEGATED, MOST, delegates, may_act, may_amend_permit
from sekisho.handlers.kit import Context, User

from .house import House, result

REGISTRANT, PLANNED = "4AKNS", "3AKNS"


def at(house: House, user_code: str, trade: str = "customs-broker") -> Context:
    """The house as an ID of that 利用者コード meets it."""
    house.user = User(f"{user_code}A0A", trade)
    return house.context()


def listed(house: House, owner: str, *names: str, code: str = "UKY") -> None:
    """Have an owner list these user codes."""
    former, house.user = house.user, User(f"{owner}A0A", "customs-broker")
    house.send(code, KND="9", RCD=list(names))
    house.user = former


def test_exactly_the_official_codes_are_delegated() -> None:
    """Procedures 7: 40 codes and the browser forms of IEX, IID, ICG and IGS; nothing else."""
    web = {"IEX0W", "IID0W", "ICG0W", "IGS0W"}
    assert web < DELEGATED
    assert len(DELEGATED - web) == 40
    assert not DELEGATED & {"UKY", "UKT", "OLA", "OLC20", "EDA01", "EDD", "EDE", "IDA01", "IDD", "IDE", "OTA", "OTC"}


@pytest.mark.parametrize("code", ["IDB", "EDB", "IDC", "EDC"])
@pytest.mark.parametrize(
    ("planned", "registered", "expected"),
    [
        (REGISTRANT, False, {REGISTRANT}),
        (PLANNED, False, {PLANNED}),
        (REGISTRANT, True, {REGISTRANT, PLANNED}),
    ],
)
def test_official_cases(house: House, code: str, planned: str, expected: set[str], *, registered: bool) -> None:
    """The three cases of 4AKNS and 3AKNS: who may call up and declare (procedures 7)."""
    if registered:
        listed(house, REGISTRANT, PLANNED)
    may = {who for who in (REGISTRANT, PLANNED, "2OTHR") if may_act(at(house, who), REGISTRANT, planned, code)}
    assert may == expected


def test_blank_planned_declarant_is_the_registrant(house: House) -> None:
    """申告予定者 left blank: the registrant declares himself."""
    assert may_act(at(house, REGISTRANT), REGISTRANT, "", "EDC")
    assert not may_act(at(house, PLANNED), REGISTRANT, "", "EDC")


def test_registrant_may_correct_and_ask_what_another_declares(house: House) -> None:
    """Refused is who is neither registrant, planned declarant nor delegate; call-up and declaration apart."""
    assert may_act(at(house, REGISTRANT), REGISTRANT, PLANNED, "EDA")
    assert may_act(at(house, REGISTRANT), REGISTRANT, PLANNED, "IEX")
    assert not may_act(at(house, "2OTHR"), REGISTRANT, PLANNED, "IEX")


def test_delegation_works_in_one_direction_only(house: House) -> None:
    """4AKNS lists 3AKNS: 4AKNS gains nothing on what 3AKNS registers [spec]."""
    listed(house, REGISTRANT, PLANNED)
    assert may_act(at(house, PLANNED), REGISTRANT, REGISTRANT, "EDC")
    assert not may_act(at(house, REGISTRANT), PLANNED, PLANNED, "EDC")


def test_delegates_of_the_registrant_count_only_if_he_declares(house: House) -> None:
    """Entitled is who stands in the list of the planned declarant, not in that of the registrant."""
    listed(house, REGISTRANT, "5DELE")
    assert not may_act(at(house, "5DELE"), REGISTRANT, PLANNED, "EDC")


def test_list_does_not_open_other_codes(house: House) -> None:
    """A delegate may run the listed codes and no others, whatever the owner thinks."""
    listed(house, REGISTRANT, PLANNED)
    assert may_act(at(house, PLANNED), REGISTRANT, "", "MSY01")
    assert not may_act(at(house, PLANNED), REGISTRANT, "", "EDD")


def test_own_clearance_is_not_reached_by_delegation(house: House) -> None:
    """MWA U0002: for 自社通関 only the registrant, for 業務通関 registrant or 申告可能者 [spec]."""
    listed(house, REGISTRANT, PLANNED)
    assert may_act(at(house, PLANNED), REGISTRANT, "", "MWA")
    assert not may_act(at(house, PLANNED, "trader"), REGISTRANT, "", "MWA")
    assert may_act(at(house, REGISTRANT, "trader"), REGISTRANT, "", "MWA")
    assert may_act(at(house, PLANNED, "trader"), REGISTRANT, "", "IDA"), "official of MWA alone"


def test_permit_amendment_has_a_list_of_its_own(house: House) -> None:
    """UKT lets others change export permits; UKY does not, and UKT does nothing else."""
    listed(house, REGISTRANT, PLANNED, code="UKT")
    assert may_amend_permit(at(house, PLANNED), REGISTRANT)
    assert may_amend_permit(at(house, REGISTRANT), REGISTRANT)
    assert not may_amend_permit(at(house, "2OTHR"), REGISTRANT)
    assert not may_act(at(house, PLANNED), REGISTRANT, "", "EDC")
    listed(house, REGISTRANT, "2OTHR", code="UKY")
    assert not may_amend_permit(at(house, "2OTHR"), REGISTRANT)


def test_lists_are_replaced_extended_and_cut(house: House) -> None:
    """処理区分 9 replaces, 5 adds, 1 removes, 1 without rows removes all (provisional)."""
    house.send("UKY", KND="9", RCD=["2AAAA", "2BBBB"])
    assert delegates("1ANAC", "UKY", house.context()) == ("2AAAA", "2BBBB")
    outcome = house.send("UKY", KND="5", RCD=["2CCCC", "2AAAA"])
    assert (outcome.key, outcome.outputs, outcome.notice) == ("", (), True)
    assert delegates("1ANAC", "UKY", house.context()) == ("2AAAA", "2BBBB", "2CCCC")
    house.send("UKY", KND="1", RCD=["2BBBB"])
    assert delegates("1ANAC", "UKY", house.context()) == ("2AAAA", "2CCCC")
    house.send("UKY", KND="1")
    assert delegates("1ANAC", "UKY", house.context()) == ()


def test_list_belongs_to_the_user_code(house: House) -> None:
    """Per own 利用者コード [spec]: any ID of the company changes the one list."""
    house.send("UKY", KND="9", RCD=["2AAAA"])
    house.user = replace(house.user, id="1ANACB0B")
    house.send("UKY", KND="5", RCD=["2BBBB"])
    assert delegates("1ANAC", "UKY", house.context()) == ("2AAAA", "2BBBB")


def test_forty_are_the_most(house: House) -> None:
    """40 user codes [spec], E9010 for one more; the list stays as it was."""
    full = [f"2A{n:03d}" for n in range(MOST)]
    house.send("UKY", KND="9", RCD=full)
    assert house.refused("UKY", KND="5", RCD=["3NEWX"]) == [result("E9010")]
    house.send("UKY", KND="5", RCD=full[:3])
    assert delegates("1ANAC", "UKY", house.context()) == tuple(full)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ({"KND": "9"}, [result("R9003", "RCD")]),
        ({"KND": "5"}, [result("R9003", "RCD")]),
        ({"KND": "X", "RCD": ["2AAAA"]}, [result("S9004", "KND")]),
        ({"KND": "", "RCD": ["2AAAA"]}, [result("S9001", "KND")]),
        ({"KND": "9", "RCD": ["2AA", "2BBBB"]}, [result("S9004", "RCD", 1)]),
        ({"KND": "9", "RCD": ["2AAAA", "2AAAA"]}, [result("R9004", "RCD", 2)]),
        ({"KND": "9", "RCD": ["2AAAA", "1ANAC"]}, [result("R9007", "RCD", 2)]),
        ({"KND": "1", "RCD": ["2AAAA"]}, [result("E9001", "RCD", 1)]),
    ],
)
@pytest.mark.parametrize("code", ["UKY", "UKT"])
def test_refusals(house: House, code: str, items: dict[str, str | list[str]], expected: list[str]) -> None:
    """Each refusal of UKY and UKT; the house asserts that none of them changes anything."""
    assert house.refused(code, **items) == expected


CODES = st.lists(st.sampled_from([f"2A{n:03d}" for n in range(50)]), max_size=40, unique=True)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from("951"), CODES), max_size=6))
def test_any_order_of_changes_keeps_the_list(house: House, changes: list[tuple[str, list[str]]]) -> None:
    """Whatever is sent: never over 40, never twice, and a refused change leaves the list as it was."""
    house.records.kept.clear()
    expected: list[str] = []
    for action, codes in changes:
        refused = house.refused("UKY", KND=action, RCD=codes)
        if action == "9":
            after = codes
        elif action == "5":
            after = list(dict.fromkeys([*expected, *codes]))
        else:
            after = [code for code in expected if codes and code not in codes]
        illegal = not set(codes) <= set(expected) if action == "1" else not codes or len(after) > MOST
        assert bool(refused) == illegal
        expected = expected if illegal else after
        assert list(delegates("1ANAC", "UKY", house.context())) == expected
