"""MSX, MSY, MSY01, IMS and ATI: procedures 12; names, sizes and actions are ours where nothing is said."""

from typing import Any

import pytest

from sekisho.codecs.results import result_block
from sekisho.handlers.kit import Output

from .exports import SPECIALIST, examined, register, shown
from .house import BROKER, STRANGER, House, result

PDF = ("invoice.pdf", 1000)
CSV = ("packing.csv", 20)


@pytest.fixture
def declared(house: House) -> str:
    """A declaration that customs examines."""
    house.user = SPECIALIST
    return examined(house)


def files_of(house: House, number: str) -> list[dict[str, Any]]:
    """What is attached."""
    kept = house.records.kept.get(("attachments", number))
    return list(kept["files"]) if kept else []


def coming(house: House, *files: tuple[str, int]) -> House:
    """Have these files come with the messages that follow."""
    house.attachments.named = list(files)
    return house


def only(outputs: tuple[Output, ...]) -> Output:
    """The one output."""
    (output,) = outputs
    return output


def test_files_are_linked_to_the_declaration(house: House, declared: str) -> None:
    """By request and index, never copied; a second MSX adds (procedures 12)."""
    outcome = coming(house, PDF, CSV).send("MSX", ICN=declared, SUB="請求書", FN_=["packing.csv", PDF[0]], FK_=["PKL"])
    request = house.requests
    assert (outcome.key, outcome.outputs) == (declared, ())
    assert [(f["name"], f["kind"], f["size"], f["request"], f["index"]) for f in files_of(house, declared)] == [
        (PDF[0], "", 1000, request, 1),
        (CSV[0], "PKL", 20, request, 2),
    ]
    coming(house, ("more.pdf", 5)).send("MSX", ICN=declared)
    assert [file["name"] for file in files_of(house, declared)] == [PDF[0], CSV[0], "more.pdf"]
    assert house.records.kept["attachments", declared]["subject"] == "請求書"


def test_names_and_files_agree(house: House, declared: str) -> None:
    """A name without a file by its row, a file that is not named, none at all, the same one twice."""
    assert coming(house).refused("MSX", ICN=declared) == [result("R9003", "FN_")]
    refused = coming(house, PDF).refused("MSX", ICN=declared, FN_=["a", PDF[0]])
    assert refused == [result("R9005", "FN_", 1)]
    assert coming(house, PDF, CSV).refused("MSX", ICN=declared, FN_=[PDF[0]]) == [result("R9005", "FN_")]
    assert coming(house, PDF, PDF).refused("MSX", ICN=declared) == [result("R9004", "FN_", 2)]


def test_names_and_sizes_have_bounds(house: House, declared: str) -> None:
    """190 bytes of a name [spec]; a file, the number of files and all bytes by settings."""
    right, long = "名" * 93 + ".pdf", "名" * 94 + ".pdf"
    assert coming(house, (right, 1), (long, 1)).refused("MSX", ICN=declared) == [result("S9006", "FN_", 2)]
    assert coming(house, ("", 1)).refused("MSX", ICN=declared) == [result("S9001", "FN_", 1)]
    house.business |= {"attached_file_bytes": 1000, "attached_files": 2, "attached_bytes": 1500}
    assert coming(house, ("a", 1001)).refused("MSX", ICN=declared) == [result("E9017", "FN_", 1)]
    coming(house, ("a", 1000)).send("MSX", ICN=declared)
    assert coming(house, ("b", 501)).refused("MSX", ICN=declared) == [result("E9018", "FN_")]
    coming(house, ("b", 500)).send("MSX", ICN=declared)
    assert coming(house, ("c", 0)).refused("MSX", ICN=declared) == [result("E9018", "FN_")]
    assert coming(house, ("a", 1)).refused("MSX", ICN=declared) == [result("E9002", "FN_")]


@pytest.mark.parametrize("code", ["MSX", "MSY", "MSY01", "IMS", "ATI"])
def test_who_may(house: House, declared: str, code: str) -> None:
    """Owner or delegate (procedures 7, 12): E9001, U9001, E9005; then a stranger whom UKY lets in is answered."""
    coming(house, PDF).send("MSX", ICN=declared)
    coming(house, CSV) if code in ("MSX", "MSY01") else coming(house)
    items = {"MSY01": {"KND": "9"}, "ATI": {"TTC": "1ANAC"}}.get(code, {})
    assert house.refused(code, ICN="99999999999", **items) == [result("E9001", "ICN")]
    house.system = "1"
    assert house.refused(code, ICN=declared, **items) == [result("E9005", "ICN")]
    house.system = "2"
    house.user = STRANGER
    assert house.refused(code, ICN=declared, **items) == [result("U9001")]
    house.user = BROKER
    house.send("UKY", KND="9", RCD=[STRANGER.user_code])
    house.user = STRANGER
    house.send(code, ICN=declared, **items)


def test_call_up_and_correction(house: House, declared: str) -> None:
    """MSY answers the screen of MSY01; 9 adds, 5 replaces the same name, 1 removes (procedures 12)."""
    assert house.refused("MSY", ICN=declared) == [result("E9001", "ICN")]
    coming(house, PDF, CSV).send("MSX", ICN=declared, SUB="件名")
    screen = only(coming(house).send("MSY", ICN=declared).outputs)
    assert (screen.code, screen.kind, screen.layout) == ("SZMSY", "C", "MSY01.in")
    assert (screen.values["KND"], screen.values["FN_"], screen.values["SUB"]) == ("5", [PDF[0], CSV[0]], "件名")
    assert shown(screen).text("ICN") == declared
    assert house.refused("MSY01", KND="X", ICN=declared) == [result("S9004", "KND")]
    coming(house, (PDF[0], 7)).send("MSY01", KND="5", ICN=declared, SUB="別の件名")
    assert [(file["name"], file["size"]) for file in files_of(house, declared)] == [(PDF[0], 7), (CSV[0], 20)]
    assert coming(house, ("new", 1)).refused("MSY01", KND="5", ICN=declared) == [result("E9001", "FN_")]
    coming(house, ("new", 1)).send("MSY01", KND="9", ICN=declared)
    assert house.refused("MSY01", KND="1", ICN=declared, FN_=["new"]) == [result("R9007", "FN_")]
    coming(house)
    assert house.refused("MSY01", KND="1", ICN=declared) == [result("R9003", "FN_")]
    assert house.refused("MSY01", KND="1", ICN=declared, FN_=["new", "old"]) == [result("E9001", "FN_", 2)]
    house.send("MSY01", KND="1", ICN=declared, FN_=["new", CSV[0]])
    assert [file["name"] for file in files_of(house, declared)] == [PDF[0]]
    assert house.records.kept["attachments", declared]["subject"] == "別の件名"


def test_the_list(house: House, declared: str) -> None:
    """IMS answers its M output alone: every file with its size, day and who; none is an empty list."""
    assert only(house.send("IMS", ICN=declared).outputs).values["CNT"] == "0"
    coming(house, PDF, CSV).send("MSX", ICN=declared, FN_=[PDF[0], CSV[0]], FK_=["INV", "PKL"])
    outcome = coming(house).send("IMS", ICN=declared)
    output = only(outcome.outputs)
    assert (output.code, output.kind, outcome.notice) == ("SZIMS", "M", False)
    assert output.values["RES"] == result_block(())
    read = shown(output)
    rows = zip(*(read.texts(item) for item in ("FN_", "FK_", "FS_", "FD_", "FU_")), strict=True)
    assert list(rows) == [
        (PDF[0], "INV", "1000", "20261120", "1ANAC"),
        (CSV[0], "PKL", "20", "20261120", "1ANAC"),
    ]


def test_attendant_of_an_inspection(house: House, declared: str) -> None:
    """ATI is for what customs examines: not a draft (E9013), not what is permitted (E9004); the last one counts."""
    draft = register(house)
    assert house.refused("ATI", ICN=draft, TTC="1ANAC") == [result("E9013", "ICN")]
    house.send("ATI", ICN=declared, TTC="2OTHR")
    house.send("ATI", ICN=declared, TTC="1ANAC", NT1="CALL AHEAD")
    kept = house.records.kept["inspection-attendance", declared]
    assert (kept["attendant"], kept["remarks"], kept["by"]) == ("1ANAC", "CALL AHEAD", "1ANAC")
    house.examinations.by_code.clear()
    house.send("EDC", ECN=draft)
    assert house.refused("ATI", ICN=draft, TTC="1ANAC") == [result("E9004", "ICN")]
