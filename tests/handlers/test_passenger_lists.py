"""PAXLST: passenger and crew lists of aviation lines (edifact 2.1, issue 3). Codes from 9001 up are provisional."""

from typing import Any

import pytest

from sekisho.codecs.edifact.model import Message
from sekisho.codecs.results import Refusal

from .house import STRANGER, House, result
from .interchanges import SAMPLES, damaged, decide, message, only
from .interchanges import refused as refused_of

SMITH = ["NAD+FL+++SMITH:JOHN:A", "ATT+2++M", "DTM+329:650907:101", "LOC+178+XXA", "LOC+179+XXB"]
PASS = ["DOC+P:110:111+AB1234567", "DTM+36:20301231:102", "LOC+91+XXX"]
BROWN = ["NAD+FL+++BROWN:ANN", "ATT+2++F", "DOC+P+CD7654321"]
PILOT = ["NAD+FM+++WRIGHT:WILBUR", "DOC+P+EF1111111"]
FLIGHT = ["TDT+20+XX123+4+6+XX", "LOC+125+XXA", "DTM+189:2611201200:201", "LOC+87+XXB", "DTM+232:2611201530:201"]


def persons(*body: str, function: str = "", number: str = "", kind: str = "745", part: str = "") -> Message:
    """A list of the flight XX123; ``part`` is S010 (``+ACCESS+01:C``)."""
    bgm = f"BGM+{kind}+{number}+{function}".rstrip("+")
    return message("PAXLST", [bgm, "NAD+MS+++OPS DESK", *FLIGHT, *body], "D:02B:UN", part)


def keep(house: House, given: Message) -> str:
    """Send it over an aviation line; the key that is answered."""
    return decide(house, given, "PLR01", aviation=True).key


def refused(house: House, given: Message) -> list[str]:
    """The results it is refused with over an aviation line."""
    return refused_of(house, given, "PLR01", aviation=True)


def kept(house: House, name: str = "1ANAC/745/XX123/20261120") -> dict[str, Any]:
    """The record of a list."""
    data = house.records.get("passenger-list", name)
    assert data is not None
    return dict(data)


def names(house: House) -> list[str]:
    """The surnames of the list."""
    return [person["surname"] for person in kept(house)["persons"]]


def test_only_lines_of_aviation_carriers(house: House) -> None:
    """Any other line is refused [spec], before anything is read of it."""
    assert refused_of(house, persons(*SMITH), "PLR01") == [result("U9005")]
    assert refused_of(house, damaged("PAXLST", [], "D:90Z:UN"), "NLR01") == [result("U9005")]
    assert house.records.get("passenger-list", "1ANAC/745/XX123/20261120") is None


def test_list_is_kept(house: House) -> None:
    """Flight, legs, persons with their documents; a birth year of two digits never lies ahead."""
    assert keep(house, persons(*SMITH, *PASS, *PILOT, "CNT+42:1")) == "XX123/20261120"
    data = kept(house)
    assert (data["flight"], data["carrier"], data["departure_date"]) == ("XX123", "XX", "20261120")
    (leg,) = data["legs"]
    assert leg["places"] == {"125": "XXA", "87": "XXB"}
    assert leg["moments"] == {"189": "202611201200", "232": "202611201530"}
    assert data["parties"]["MS"]["name"] == "OPS DESK"
    smith, wright = data["persons"]
    assert smith == {
        "role": "passenger",
        "surname": "SMITH",
        "given_names": "JOHN A",
        "gender": "M",
        "born": "19650907",
        "places": {"178": "XXA", "179": "XXB"},
        "documents": [{"type": "P", "number": "AB1234567", "expires": "20301231", "issued_by": "XXX"}],
    }
    assert (wright["role"], wright["surname"]) == ("crew", "WRIGHT")


def test_list_sent_again(house: House) -> None:
    """9 or nothing E9002; 5 replaces; 2 adds; 4 changes or adds by document; 1 removes, and all where none is named."""
    assert refused(house, persons(*SMITH, function="5")) == [result("E9001", "BGM", 2)]
    keep(house, persons(*SMITH, *PASS))
    assert refused(house, persons(*SMITH)) == [result("E9002", "BGM", 2)]
    keep(house, persons(*BROWN, function="2"))
    assert names(house) == ["SMITH", "BROWN"]
    keep(house, persons("NAD+FL+++SMYTHE:JOHN", *PASS, *PILOT, function="4"))
    assert names(house) == ["BROWN", "SMYTHE", "WRIGHT"]
    assert refused(house, persons("NAD+FL+++NOBODY:A", function="1")) == [result("E9001", "NAD", 9)]
    keep(house, persons(*BROWN, function="1"))
    assert names(house) == ["SMYTHE", "WRIGHT"]
    keep(house, persons(*SMITH, function="5"))
    assert names(house) == ["SMITH"]
    keep(house, persons(function="3"))
    assert (kept(house)["state"], names(house)) == ("cancelled", [])
    assert refused(house, persons(function="1")) == [result("E9003", "BGM", 2)]
    keep(house, persons(*SMITH))
    assert kept(house)["state"] == "registered"


def test_lists_are_told_apart(house: House) -> None:
    """By kind (passengers, crew), flight, day, document number and sender."""
    keep(house, persons(*SMITH))
    keep(house, persons(*PILOT, kind="250"))
    keep(house, persons(*SMITH, number="N1"))
    house.user = STRANGER
    keep(house, persons(*SMITH))
    assert kept(house, "1ANAC/250/XX123/20261120")["persons"][0]["role"] == "crew"
    assert kept(house, "1ANAC/745/XX123/20261120/N1")["document"] == "N1"
    assert kept(house, "2OTHR/745/XX123/20261120")["owner"] == STRANGER.id


def test_parts_of_a_list(house: House) -> None:
    """UNH S010: parts of one 0068 in order make one list; totals of a part are not counted."""
    assert refused(house, persons(*BROWN, part="+ACC1+02")) == [result("E9001", "UNH", 1)]
    keep(house, persons(*SMITH, "CNT+42:3", part="+ACC1+01:C"))
    assert refused(house, persons(*PILOT, part="+ACC1+03:F")) == [result("E9013", "UNH", 1)]
    assert refused(house, persons(*BROWN, part="+ACC2+02")) == [result("E9001", "UNH", 1)]
    keep(house, persons(*BROWN, part="+ACC1+02"))
    assert refused(house, persons(*BROWN, part="+ACC1+02")) == [result("E9002", "UNH", 1)]
    keep(house, persons(*PILOT, part="+ACC1+03:F"))
    assert (names(house), kept(house)["parts"]) == (["SMITH", "BROWN", "WRIGHT"], [1, 2, 3])


def test_a_single_part_is_a_whole_list(house: House) -> None:
    """S010 with 01 and F: first and last, so its totals count."""
    assert refused(house, persons(*SMITH, "CNT+42:3", part="+ACC1+01:F")) == [result("R9008", "CNT", 14)]
    keep(house, persons(*SMITH, "CNT+42:1", part="+ACC1+01:F"))


def test_sample_in_a_group_of_syntax_4(house: House) -> None:
    """As airlines send it: UNG, dates with century, persons with telephone numbers of the desk before them."""
    assert keep(house, only((SAMPLES / "paxlst.edi").read_bytes())) == "XX123/20250101"
    (person,) = kept(house, "1ANAC/745/XX123/20250101")["persons"]
    assert (person["surname"], person["born"], person["gender"]) == ("SAMPLE", "19800101", "M")


@pytest.mark.parametrize("release", ["D:95B:UN", "D:96A:UN", "D:98B:UN", "D:12B:UN"])
def test_same_reading_in_every_release(house: House, release: str) -> None:
    """Later releases have onward journeys (TDT) inside the person group: they begin no new head."""
    onward = [] if release == "D:95B:UN" else ["TDT+30+YY9"]
    body = ["BGM+745", "NAD+MS+++OPS DESK", *FLIGHT, *SMITH, *onward, *BROWN]
    keep(house, message("PAXLST", body, release))
    assert (names(house), kept(house)["flight"], len(kept(house)["legs"])) == (["SMITH", "BROWN"], "XX123", 1)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (["NAD+FL+++A:B"], [result("S9001", "BGM", 1), result("S9001", "TDT", 2)]),
        (["BGM+745", "TDT+20", "NAD+FL+++A:B"], [result("S9001", "TDT", 3)]),
        (["BGM+745", "TDT+20+X1", "NAD+FL+++A:B"], [result("S9001", "DTM", 3)]),
        (["BGM+745", *FLIGHT, "NAD+FL"], [result("S9001", "NAD", 8)]),
        (["BGM+745", *FLIGHT, "NAD+FL+++A", "DTM+329:19991301:102"], [result("S9003", "DTM", 9)]),
        (
            ["BGM+745", "TDT+20+X1", "DTM+189:X:102", "DTM+232:Y:102"],
            [result("S9003", "DTM", 4), result("S9003", "DTM", 5)],
        ),
        (["BGM+745", *FLIGHT, "NAD+FL+++A", "CNT+42:2"], [result("R9008", "CNT", 9)]),
        (["BGM+250", *FLIGHT, "NAD+FM+++A", "CNT+41:2"], [result("R9008", "CNT", 9)]),
        (["BGM+745++22", *FLIGHT], [result("S9004", "BGM", 2)]),
    ],
)
def test_errors_name_the_segment(house: House, body: list[str], expected: list[str]) -> None:
    """Item is the segment's tag, row its number; every segment once, also where no directory judged it."""
    assert refused(house, damaged("PAXLST", body, "D:90Z:UN")) == expected


def test_refusal_has_the_list_as_its_key(house: House) -> None:
    """The answer names the conveyance and the day where there is no document number."""
    keep(house, persons(*SMITH))
    with pytest.raises(Refusal) as refusal:
        keep(house, persons(*SMITH))
    assert refusal.value.key == "XX123/20261120"
