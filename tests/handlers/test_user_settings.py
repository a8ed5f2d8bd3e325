"""URY: procedures 5.2, decisions "URY"."""

from datetime import time

import pytest

from sekisho.codecs.results import Refusal, result_block
from sekisho.handlers import find
from sekisho.handlers.kit import User

from .house import BROKER, House, result, written


@pytest.mark.parametrize("code", ["URY", "URY0W"])
def test_hours_and_kind_of_work(code: str) -> None:
    """URY and its browser form run 0:00-23:00, also with a temporary password; hashing makes them slow (decisions)."""
    handler = find(code)
    assert handler is not None
    assert (handler.opens, handler.closes) == (time(0), time(23))
    assert handler.slow
    assert handler.while_temporary


def test_change_sets_the_own_password(house: House) -> None:
    """C: a notice and nothing else; the password is active at once (decisions, "Replies of step one")."""
    house.accounts.temporary[BROKER.id] = "TEMP0001"
    outcome = house.send("URY", KND="C", RID=BROKER.id, PW1="NEWPASS1", PW2="NEWPASS1")
    assert (outcome.notice, outcome.outputs, outcome.results) == (True, (), ())
    assert house.accounts.passwords[BROKER.id][-1] == "NEWPASS1"
    assert house.accounts.state(BROKER.id) == "active"


@pytest.mark.parametrize("password", ["ABCDEFGH", "12345678", "AB1", "ABCD1", "abcdef1", "ABC-123"])
def test_password_rule(house: House, password: str) -> None:
    """6 to 8 characters A-Z and 0-9, at least one of each [spec]: S9005 PW1."""
    assert house.refused("URY", KND="C", RID=BROKER.id, PW1=password, PW2=password) == [result("S9005", "PW1")]


@pytest.mark.parametrize("password", ["ABCDE1", "A234567", "1234567Z"])
def test_passwords_that_keep_the_rule(house: House, password: str) -> None:
    """The edges of the rule: six and eight characters, one letter, one digit."""
    assert house.refused("URY", KND="C", RID=BROKER.id, PW1=password, PW2=password) == []


def test_single_items_are_collected(house: House) -> None:
    """Mandatory items, the password where C needs it (S9001), another 処理区分 (S9004): one step, all its codes."""
    assert house.refused("URY") == [result("S9001", "KND"), result("S9001", "RID")]
    assert house.refused("URY", KND="C") == [result("S9001", "RID"), result("S9001", "PW1")]
    assert house.refused("URY", KND="Z") == [result("S9001", "RID"), result("S9004", "KND")]


def test_change_is_for_the_own_id_only(house: House) -> None:
    """C with another ID, sibling or not: U9004 RID."""
    for target in ("1ANACA0B", "2OTHRA0A", "1ANACZZZ"):
        assert house.refused("URY", KND="C", RID=target, PW1="NEWPASS1", PW2="NEWPASS1") == [result("U9004", "RID")]


def test_the_browser_form_changes_the_same_password(house: House) -> None:
    """URY0W asks and refuses as URY does: one account, one set of rules (procedures 2: "URY / URY0W")."""
    assert house.send("URY0W", KND="C", RID=BROKER.id, PW1="NEWPASS1", PW2="NEWPASS1").outputs == ()
    assert house.accounts.passwords[BROKER.id][-1] == "NEWPASS1"
    assert house.refused("URY0W", KND="C", RID=BROKER.id, PW1="NEWPASS1", PW2="NEWPASS1") == [result("E9009", "PW1")]
    assert house.refused("URY0W", KND="C", RID="1ANACA0B", PW1="NEWPASS2", PW2="NEWPASS2") == [result("U9004", "RID")]


def test_the_two_passwords_agree(house: House) -> None:
    """Different or one missing: R9006 PW2, and the old password stays."""
    for second in ("NEWPASS2", ""):
        assert house.refused("URY", KND="C", RID=BROKER.id, PW1="NEWPASS1", PW2=second) == [result("R9006", "PW2")]
    assert house.accounts.passwords[BROKER.id] == ["SAMPLE01"]


def test_last_three_passwords(house: House) -> None:
    """None of the last three generations [spec]: E9009; the fourth last is free again."""
    house.accounts.passwords[BROKER.id] = ["OLDPASS1", "OLDPASS2", "OLDPASS3", "OLDPASS4"]
    for used in ("OLDPASS2", "OLDPASS3", "OLDPASS4"):
        assert house.refused("URY", KND="C", RID=BROKER.id, PW1=used, PW2=used) == [result("E9009", "PW1")]
    assert house.refused("URY", KND="C", RID=BROKER.id, PW1="OLDPASS1", PW2="OLDPASS1") == []


def test_initialise_gives_the_temporary_password_once(house: House) -> None:
    """I: the notice, then C CZURY with result, ID and temporary password (decisions, "Replies of step one")."""
    outcome = house.send("URY", KND="I", RID="1ANACA0B")
    (output,) = outcome.outputs
    assert (outcome.notice, output.code, output.kind) == (True, "CZURY", "C")
    assert written(output) == f"{result_block(())}\r\n1ANACA0B\r\nTEMP0001\r\n".encode()
    assert house.accounts.state("1ANACA0B") == "temporary"


@pytest.mark.parametrize("action", ["I", "X"])
@pytest.mark.parametrize("target", [BROKER.id, "2OTHRA0A", "1ANACZZZ", "1ANACS01"])
def test_who_may_initialise_whom(house: House, action: str, target: str) -> None:
    """Not oneself, not another 利用者コード, not an unknown ID, not an in-house-system ID [spec]: U9004 RID."""
    house.accounts.temporary |= {"2OTHRA0A": "TEMP0001", "1ANACS01": "TEMP0001"}
    assert house.refused("URY", KND=action, RID=target) == [result("U9004", "RID")]


def test_cancel_brings_the_former_password_back(house: House) -> None:
    """X undoes a pending initialisation; with nothing pending it is E9013."""
    house.send("URY", KND="I", RID="1ANACA0B")
    assert house.send("URY", KND="X", RID="1ANACA0B").outputs == ()
    assert house.accounts.state("1ANACA0B") == "active"
    assert house.refused("URY", KND="X", RID="1ANACA0B") == [result("E9013", "RID")]


@pytest.mark.parametrize("action", ["I", "X"])
def test_passwords_are_for_changes_only(house: House, action: str) -> None:
    """PW1 and PW2 filled for I or X: R9007 for each that is."""
    both = [result("R9007", "PW1"), result("R9007", "PW2")]
    assert house.refused("URY", KND=action, RID="1ANACA0B", PW1="NEWPASS1", PW2="NEWPASS1") == both
    assert house.refused("URY", KND=action, RID="1ANACA0B", PW2="NEWPASS1") == both[1:]


@pytest.mark.parametrize("action", ["I", "X"])
def test_only_change_while_temporary(house: House, action: str) -> None:
    """While the sender's password is temporary only URY C is open: U0001 before anything else is judged."""
    house.accounts.temporary[BROKER.id] = "TEMP0001"
    assert house.refused("URY", KND=action, RID="1ANACA0B") == [result("U0001")]
    assert house.refused("URY", KND=action, RID="2OTHRA0A", PW1="NEWPASS1") == [result("U0001")]


def test_a_refusal_names_no_password(house: House) -> None:
    """A password never leaves by a refusal (kit, Accounts)."""
    house.user = User("1ANACA0B")
    with pytest.raises(Refusal) as refused:
        house.send("URY", KND="C", RID="1ANACA0B", PW1="NEWPASS1", PW2="NEWPASS2")
    assert "NEWPASS" not in f"{refused.value} {refused.value.key} {refused.value.stage}"
