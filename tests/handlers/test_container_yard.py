"""CODECO: containers in and out of a yard (issue 3; docs/edifact-mappings.md). Codes from 9001 up are provisional."""

from typing import Any

import pytest

from sekisho.codecs.edifact.model import Message

from .house import STRANGER, House, result
from .interchanges import damaged, decide, message, refused

BOX = "SMPU0000101"
OTHER = "SMPU0000102"


def gate(
    *containers: str,
    kind: str = "34",
    number: str = "G1",
    function: str = "9",
    when: str = "202611200900",
    place: str = "1AC02",
    way: str = "TDT+1",
) -> Message:
    """A gate report: BGM, TDT, terminal, and an EQD group a container."""
    groups = [
        segment
        for container in containers
        for segment in (f"EQD+CN+{container}+22G1+++5", f"DTM+7:{when}:203", f"LOC+165+{place}", "SEL+SEAL1")
    ]
    body = [f"BGM+{kind}+{number}+{function}", way, "NAD+CA+SMPC", *groups, f"CNT+16:{len(containers)}"]
    return message("CODECO", body)


def out(
    *containers: str, number: str = "G2", when: str = "202611210900", function: str = "9", place: str = "1AC02"
) -> Message:
    """A gate-out report."""
    return gate(*containers, kind="36", number=number, function=function, when=when, place=place)


def container(house: House, number: str = BOX) -> dict[str, Any]:
    """The record of a container."""
    data = house.records.get("container", number)
    assert data is not None
    return dict(data)


def stays(house: House, number: str = BOX) -> list[tuple[str, str, str]]:
    """Place, in and out of every stay."""
    return [(stay["place"], stay["in_at"], stay["out_at"]) for stay in container(house, number)["stays"]]


def test_in_and_out(house: House) -> None:
    """A gate-in opens a stay, a gate-out closes it; the container's own data is kept."""
    assert decide(house, gate(BOX, OTHER), "CYA").key == "G1"
    data = container(house)
    assert (data["state"], data["place"], data["size_type"], data["load"]) == ("in-yard", "1AC02", "22G1", "full")
    assert (data["seals"], stays(house)) == (["SEAL1"], [("1AC02", "202611200900", "")])
    decide(house, out(BOX), "CYO")
    assert (container(house)["state"], container(house)["place"]) == ("out", "")
    assert stays(house) == [("1AC02", "202611200900", "202611210900")]
    assert container(house, OTHER)["state"] == "in-yard"
    decide(house, gate(BOX, number="G3", when="202611221000"), "CYA")
    assert len(stays(house)) == 2


@pytest.mark.parametrize(
    ("kind", "way", "business", "goes"),
    [
        ("34", "TDT+30", "CYO", "in"),
        ("36", "TDT+10", "CYA", "out"),
        ("98", "TDT+10", "CYO", "in"),
        ("98", "TDT+30", "CYA", "out"),
        ("98", "TDT+1", "CYA", "in"),
        ("98", "TDT+1", "BIC", "in"),
        ("98", "TDT+1", "CYO", "out"),
    ],
)
def test_direction(house: House, kind: str, way: str, business: str, goes: str) -> None:
    """The document code tells, else the stage of the first TDT, else the business code (our reading)."""
    given = gate(BOX, kind=kind, way=way)
    if goes == "in":
        decide(house, given, business)
        assert container(house)["state"] == "in-yard"
    else:
        assert refused(house, given, business) == [result("E9001", "EQD", 5)]


def test_wrong_order_is_answered(house: House) -> None:
    """Out before in, in twice, out twice, out of another yard, out earlier than in: E9001, E9013, R9002."""
    assert refused(house, out(BOX), "CYO") == [result("E9001", "EQD", 5)]
    decide(house, gate(BOX), "CYA")
    assert refused(house, gate(OTHER, BOX, number="G9"), "CYA") == [result("E9013", "EQD", 9)]
    assert house.records.get("container", OTHER) is None
    assert refused(house, out(BOX, place="9ZZ99"), "CYO") == [result("E9013", "EQD", 5)]
    assert refused(house, out(BOX, when="202611190900"), "CYO") == [result("R9002", "DTM", 6)]
    decide(house, out(BOX), "CYO")
    assert refused(house, out(BOX, number="G9"), "CYO") == [result("E9013", "EQD", 5)]
    assert refused(house, gate(BOX, number="G9"), "CYA") == [result("R9002", "DTM", 6)]


def test_only_the_yard_that_let_it_in_lets_it_out(house: House) -> None:
    """U9003; but the next stay may be anybody's."""
    decide(house, gate(BOX), "CYA")
    house.user = STRANGER
    assert refused(house, out(BOX), "CYO") == [result("U9003", "EQD", 5)]


# Sent again -----------------------------------------------------------------------------------------------------------


def test_original_again(house: House) -> None:
    """E9002 at BGM."""
    decide(house, gate(BOX), "CYA")
    assert refused(house, gate(OTHER), "CYA") == [result("E9002", "BGM", 2)]


@pytest.mark.parametrize("function", ["1", "3"])
def test_cancellation_takes_the_last_movement_back(house: House, function: str) -> None:
    """Of the named containers; in the order they were made; once."""
    decide(house, gate(BOX, OTHER), "CYA")
    decide(house, out(BOX), "CYO")
    assert refused(house, gate(BOX, function=function), "CYA") == [result("E9013", "EQD", 5)]
    decide(house, out(BOX, function=function), "CYO")
    assert (container(house)["state"], container(house)["place"]) == ("in-yard", "1AC02")
    assert refused(house, out(BOX, function=function), "CYO") == [result("E9003", "BGM", 2)]
    decide(house, gate(BOX, function=function), "CYA")
    assert (container(house)["state"], stays(house)) == ("out", [])
    assert refused(house, gate(BOX, function=function), "CYA") == [result("E9001", "EQD", 5)]
    assert container(house, OTHER)["state"] == "in-yard"


def test_replacement(house: House) -> None:
    """5: everything the report did is taken back, then what it says now is done."""
    decide(house, gate(BOX, OTHER), "CYA")
    decide(house, gate(OTHER, "SMPU0000103", function="5", when="202611201200"), "CYA")
    assert stays(house) == []
    assert stays(house, OTHER) == [("1AC02", "202611201200", "")]
    assert container(house, "SMPU0000103")["state"] == "in-yard"
    report = house.records.get("gate-report", "1ANAC/G1")
    assert report is not None
    assert (report["containers"], report["version"]) == ([OTHER, "SMPU0000103"], 2)
    decide(house, out(OTHER), "CYO")
    assert refused(house, gate(BOX, function="5"), "CYA") == [result("E9013", "BGM", 2)]


def test_change(house: House) -> None:
    """4: the named containers anew, the others stay; the direction stays too."""
    decide(house, gate(BOX, OTHER), "CYA")
    decide(house, gate(BOX, function="4", when="202611201000"), "CYA")
    assert (stays(house)[0][1], stays(house, OTHER)[0][1]) == ("202611201000", "202611200900")
    assert refused(house, gate("SMPU0000103", function="4"), "CYA") == [result("E9001", "EQD", 5)]
    assert refused(house, gate(BOX, kind="36", function="4"), "CYO") == [result("R9007", "BGM", 2)]


@pytest.mark.parametrize("function", ["1", "3", "4", "5"])
def test_unknown_report(house: House, function: str) -> None:
    """E9001 at BGM; another user's report is unknown too, for document numbers are the sender's own."""
    assert refused(house, gate(BOX, function=function), "CYA") == [result("E9001", "BGM", 2)]
    decide(house, gate(BOX), "CYA")
    house.user = STRANGER
    assert refused(house, gate(BOX, function=function), "CYA") == [result("E9001", "BGM", 2)]


# Wrong in itself ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (["BGM+34+G1+9", "NAD+CA+X"], [result("S9001", "EQD", 3)]),
        (["BGM+34+G1+9", "EQD+CN"], [result("S9001", "EQD", 3)]),
        (["BGM+34+G1+2", f"EQD+CN+{BOX}"], [result("S9004", "BGM", 2)]),
        (["BGM+34+G1+9", f"EQD+CN+{BOX}", "DTM+7:2611:203"], [result("S9003", "DTM", 4)]),
        (["BGM+34+G1+9", f"EQD+CN+{BOX}", f"EQD+CN+{BOX}"], [result("R9004", "EQD", 4)]),
        (["BGM+34+G1+9", f"EQD+CN+{BOX}", "CNT+16:2"], [result("R9008", "CNT", 4)]),
        (["BGM+34+G1+9", f"EQD+CN+{BOX}", "CNT+16:X"], [result("S9003", "CNT", 4)]),
        ([], [result("S9001", "BGM", 1), result("S9001", "EQD", 1)]),
    ],
)
def test_errors_name_the_segment(house: House, body: list[str], expected: list[str]) -> None:
    """Item is the segment's tag, row its number in the message, also where no directory judged it."""
    assert refused(house, damaged("CODECO", body, "D:90Z:UN"), "CYA") == expected


@pytest.mark.parametrize("release", ["D:96B:UN", "D:99B:UN", "D:00B:UN", "D:12B:UN"])
def test_same_reading_in_every_release(house: House, release: str) -> None:
    """The groups move, EQD and its segments stay; the yard may be the terminal of the head, or the head's operator."""
    box = [f"EQD+CN+{BOX}+22G1+++5", "DTM+7:202611200900:203"]
    head = ["BGM+34+G1+9", "TDT+1", "LOC+165+XXBBB+1AC02", "NAD+TR+9ZZ99"]
    decide(house, message("CODECO", [*head, *box, "CNT+16:1"], release), "CYA")
    assert stays(house) == [("1AC02", "202611200900", "")]
    other = ["BGM+34+G2+9", "TDT+1", "NAD+TR+9ZZ99", f"EQD+CN+{OTHER}", "CNT+16:1"]
    decide(house, message("CODECO", other, release), "CYA")
    assert stays(house, OTHER) == [("9ZZ99", "202611201030", "")]
