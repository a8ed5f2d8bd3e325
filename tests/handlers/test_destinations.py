"""UOK UOM UOC UOD UKS, USS and UTB: what users set themselves, naccs-edi 5."""

from __future__ import annotations

from datetime import time

import pytest

from sekisho.handlers import find
from sekisho.handlers.delegation import may_act
from sekisho.handlers.destinations import TABLES
from sekisho.handlers.kit import HANDLERS
from sekisho.handlers.routes import EVERY, copy_to, third_party

from .exports import SPECIALIST, named, register, shown
from .house import STRANGER, House, result


@pytest.fixture(autouse=True)
def _boxes(house: House) -> None:
    house.routes.owned |= {"1ANACA0A": "BRK001", "1ANACA0B": "BRK002", "2OTHRA0A": "OTH001"}


def test_named_codes_are_there() -> None:
    """UOK01 UOK11, UOM01 UOM11, UOC01 UOC11, UOD11, UKS11, USS11 are named; …01 of UOD and UKS are not."""
    for code in ("UOK", "UOM", "UOC"):
        assert {code, f"{code}01", f"{code}11"} <= HANDLERS.keys()
    assert {"UOD", "UOD11", "UKS11", "USS", "USS11", "UTB"} <= HANDLERS.keys()
    assert find("UOD01") is None
    assert [table.code for table in TABLES] == ["UOK", "UOM", "UOC", "UOD", "UKS"]


def test_outputs_of_an_id_go_to_another_box(house: House) -> None:
    """UOM: own user ID and output code -> mailbox; again replaces it, DEL Y removes it."""
    outcome = house.send("UOM", RID="1ANACA0A", SCD=["SAS1360", "*SOLA"], NMI=["BRK002", "BRK001"])
    assert (outcome.notice, outcome.outputs) == (True, ())
    assert house.routes.kept == {("1ANACA0A", "SAS1360"): "BRK002", ("1ANACA0A", "*SOLA"): "BRK001"}
    house.send("UOM", RID="1ANACA0A", SCD=["SAS1360", "*SOLA"], NMI=["BRK001", ""], DEL=["", "Y"])
    assert house.routes.kept == {("1ANACA0A", "SAS1360"): "BRK001"}


def test_what_others_cause_has_its_own_table(house: House) -> None:
    """UOC: own 利用者コード and output code -> mailbox of EXC outputs."""
    house.send("UOC", RCD="1ANAC", SCD=["SAS0411"], NMI=["BRK002"])
    assert house.routes.kept == {(third_party("1ANAC"), "SAS0411"): "BRK002"}


def test_copies_may_be_many(house: House) -> None:
    """UOD: further mailboxes for every output, or for a code; each row is one of its own."""
    house.send("UOD", RCD="1ANAC", AM2=["BRK002", "BRK001", "BRK002"], SCD=["", "SAS1360", "SAS1360"])
    every = (copy_to("1ANAC", "BRK002"), EVERY)
    assert house.routes.kept.keys() == {
        every,
        (copy_to("1ANAC", "BRK001"), "SAS1360"),
        (copy_to("1ANAC", "BRK002"), "SAS1360"),
    }
    house.send("UOD", RCD="1ANAC", AM2=["BRK002"], DEL=["Y"])
    assert every not in house.routes.kept
    (screen,) = house.send("UOD11", RCD="1ANAC").outputs
    assert (shown(screen).texts("SCD"), shown(screen).texts("AM2")) == (["SAS1360", "SAS1360"], ["BRK001", "BRK002"])


def test_management_documents_go_to_a_box(house: House) -> None:
    """UKS takes codes of management documents only, and shows no others."""
    house.routes.kept["1ANAC", "SAF0010"] = "BRK002"
    house.send("UKS", RCD="1ANAC", SCD=["CZDLH01"], NMI=["BRK002"])
    assert house.routes.kept["1ANAC", "CZDLH01"] == "BRK002"
    assert house.refused("UKS", RCD="1ANAC", SCD=["SAF0010"], NMI=["BRK002"]) == [result("S9004", "SCD", 1)]
    (screen,) = house.send("UKS11", RCD="1ANAC").outputs
    assert (screen.code, shown(screen).texts("SCD")) == ("CZUKS11", ["CZDLH01"])


def test_terminals_are_kept_and_shown(house: House) -> None:
    """UOK: no conversational terminal is here, so nothing is routed by it."""
    house.send("UOK", TRM="TERM01", SCD=["SAS1360"], AT_=["TERM02"])
    assert house.routes.kept == {}
    (answer,) = house.send("UOK01", TRM="TERM01").outputs
    assert (shown(answer).text("SCD"), shown(answer).text("AT_")) == ("SAS1360", "TERM02")
    house.send("UOK", TRM="TERM01", SCD=["SAS1360"], DEL=["Y"])
    (screen,) = house.send("UOK11", TRM="TERM01").outputs
    assert (screen.code, shown(screen).text("SCD")) == ("CZUOK11", "")


@pytest.mark.parametrize("code", ["UOM", "UOC"])
def test_inquiry_and_call_up_show_what_is_set(house: House, code: str) -> None:
    """…01 answers its M output alone, …11 the screen with a notice; neither changes anything."""
    owner = {"UOM": {"RID": "1ANACA0A"}, "UOC": {"RCD": "1ANAC"}}[code]
    house.send(code, **owner, SCD=["SAS1360", "SAS0371"], NMI=["BRK002", "BRK001"])
    before = dict(house.routes.kept)
    asked, called = house.send(f"{code}01", **owner), house.send(f"{code}11", **owner)
    assert (asked.notice, asked.outputs[0].kind, called.notice, called.outputs[0].kind) == (False, "M", True, "C")
    for outcome in (asked, called):
        assert shown(outcome.outputs[0]).texts("SCD") == ["SAS0371", "SAS1360"]
    assert house.routes.kept == before


@pytest.mark.parametrize(
    ("code", "items", "expected"),
    [
        ("UOM", {"RID": "2OTHRA0A", "SCD": ["SAS1360"], "NMI": ["BRK001"]}, [("U9003", "RID", 0)]),
        ("UOM", {"RID": "1ANACZ9Z", "SCD": ["SAS1360"], "NMI": ["BRK001"]}, [("E9001", "RID", 0)]),
        ("UOM", {"RID": "1ANACA0A", "SCD": ["NOCODE"], "NMI": ["BRK001"]}, [("S9004", "SCD", 1)]),
        ("UOM", {"RID": "1ANACA0A", "SCD": ["*SNONE"], "NMI": ["BRK001"]}, [("S9004", "SCD", 1)]),
        ("UOM", {"RID": "1ANACA0A", "SCD": ["SAS1360"], "NMI": ["OTH001"]}, [("E9001", "NMI", 1)]),
        ("UOM", {"RID": "1ANACA0A", "SCD": ["SAS1360"], "NMI": [""]}, [("S9001", "NMI", 1)]),
        ("UOM", {"RID": "1ANACA0A", "SCD": [""], "NMI": ["BRK001"]}, [("S9001", "SCD", 1)]),
        ("UOM", {"RID": "1ANACA0A", "SCD": ["SAS1360"], "NMI": ["BRK001"], "DEL": ["X"]}, [("S9004", "DEL", 1)]),
        ("UOM", {"RID": "1ANACA0A", "SCD": ["SAS1360"], "DEL": ["Y"]}, [("E9001", "SCD", 1)]),
        ("UOM", {"RID": "1ANACA0A"}, [("R9003", "SCD", 0)]),
        ("UOM", {"RID": "1ANACA0A", "SCD": ["SAS1360"] * 2, "NMI": ["BRK001"] * 2}, [("R9004", "SCD", 2)]),
        ("UOC", {"RCD": "2OTHR", "SCD": ["SAS1360"], "NMI": ["BRK001"]}, [("U9003", "RCD", 0)]),
        ("UOD", {"RCD": "1ANAC", "AM2": ["OTH001"]}, [("E9001", "AM2", 1)]),
        ("UOD", {"RCD": "1ANAC", "SCD": ["SAS1360"]}, [("S9001", "AM2", 1)]),
        ("UOM01", {"RID": "2OTHRA0A"}, [("U9003", "RID", 0)]),
        ("UOM11", {"RID": "2OTHRA0A"}, [("U9003", "RID", 0)]),
    ],
)
def test_refusals(
    house: House, code: str, items: dict[str, str | list[str]], expected: list[tuple[str, str, int]]
) -> None:
    """The code exists, the ID is one's own, the mailbox belongs to it (naccs-edi 5); a refusal sets nothing."""
    assert house.refused(code, **items) == [result(*one) for one in expected]
    assert house.routes.kept == {}


def test_no_list_grows_without_end(house: House) -> None:
    """``destinations_most`` bounds the destinations of one owner (E9010); replacing one is still possible."""
    house.business["destinations_most"] = 2
    house.send("UOM", RID="1ANACA0A", SCD=["SAS1360", "SAS0371"], NMI=["BRK001", "BRK001"])
    assert house.refused("UOM", RID="1ANACA0A", SCD=["SAS0411"], NMI=["BRK001"]) == [result("E9010")]
    house.send("UOM", RID="1ANACA0A", SCD=["SAS1360"], NMI=["BRK002"])
    assert house.routes.kept["1ANACA0A", "SAS1360"] == "BRK002"


@pytest.mark.parametrize("code", ["UOK", "UOM", "UOC", "UOD", "UKS", "UTB"])
def test_set_up_has_hours(code: str) -> None:
    """U0002 outside the hours in which it may run [spec]; from 0:00 to 23:00, as URY (our choice)."""
    assert (HANDLERS[code].opens, HANDLERS[code].closes) == (time(0), time(23))


# USS, UTB -------------------------------------------------------------------------------------------------------------


def test_entitled_inquirers_ask_and_do_nothing_else(house: House) -> None:
    """USS: they run the inquiries on my declarations, not the businesses of a delegate."""
    house.send("USS", KND="9", RCD=["2OTHR"])
    (screen,) = house.send("USS11", RCD="1ANAC").outputs
    assert (screen.code, shown(screen).text("RCD"), shown(screen).text("KND")) == ("CZUSS11", "2OTHR", "9")
    house.user = STRANGER
    assert may_act(house.context(), "1ANAC", "", "IEX")
    assert not may_act(house.context(), "1ANAC", "", "EDB")
    assert not may_act(house.context(), "1ANAC", "", "MSX")
    assert house.refused("USS11", RCD="1ANAC") == [result("U9003", "RCD")]


def test_licence_number_of_a_specialist_is_printed(house: House) -> None:
    """UTB takes IDs of 通関士 only (S0007); permits print the number of who declared, or who reviewed."""
    house.accounts.specialists.add(SPECIALIST.id)
    house.user = SPECIALIST
    house.send("UTB", KND="9", RID=SPECIALIST.id, TBN="12345")
    permit = house.send("EDC", ECN=register(house)).outputs[0]
    assert named(permit)["通関士コード"] == "12345"
    house.send("UTB", KND="1", RID=SPECIALIST.id)
    permit = house.send("EDC", ECN=register(house)).outputs[0]
    assert named(permit)["通関士コード"] == ""


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ({"KND": "9", "RID": "1ANACA0B", "TBN": "12345"}, ("S0007", "RID")),
        ({"KND": "9", "RID": "2OTHRA0A", "TBN": "12345"}, ("U9003", "RID")),
        ({"KND": "9", "RID": "1ANACA0A"}, ("R9005", "TBN")),
        ({"KND": "1", "RID": "1ANACA0A", "TBN": "12345"}, ("R9007", "TBN")),
        ({"KND": "1", "RID": "1ANACA0A"}, ("E9001", "RID")),
        ({"KND": "5", "RID": "1ANACA0A"}, ("S9004", "KND")),
    ],
)
def test_refusals_of_the_number(house: House, items: dict[str, str], expected: tuple[str, str]) -> None:
    """What UTB does not take."""
    house.accounts.specialists.add("1ANACA0A")
    assert house.refused("UTB", **items) == [result(*expected)]
