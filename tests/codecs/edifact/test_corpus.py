"""One file or more for each row of the checklist (E1 to E70): verdict, first code, and its place.

``corpus/expected.tsv`` names the row, the file, the settings of the profile as JSON, and the first error: code, tag,
message, segment, element, component, byte offset. A file without a code is acceptable.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sekisho.codecs.edifact import Finding, NotAnswerable, Profile, as_json, contrl, peek, read, walk, write_back

CORPUS = Path(__file__).parent / "corpus"
SETS = ("senders", "recipients", "messages", "agreed_messages", "test_indicators", "code_lists")


def cases() -> list[dict[str, str]]:
    """The rows of the table."""
    with (CORPUS / "expected.tsv").open(encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))


def profile_of(case: dict[str, str]) -> Profile:
    """A profile from its JSON settings."""
    settings: dict[str, Any] = json.loads(case["profile"] or "{}")
    for name in SETS:
        if name in settings:
            settings[name] = frozenset(settings[name])
    if "agreed" in settings:
        settings["agreed"] = frozenset(tuple(pair) for pair in settings["agreed"])
    if settings.pop("seen", False):
        settings["seen"] = lambda sender, recipient, reference: (sender, recipient, reference) == ("SND", "RCV", "R1")
    return Profile(**settings)


CASES = cases()
each_case = pytest.mark.parametrize("case", CASES, ids=[case["file"][:-4] for case in CASES])


def number(text: str) -> int | None:
    """An optional number of the table."""
    return int(text) if text else None


@each_case
def test_verdict_first_code_and_place(case: dict[str, str]) -> None:
    """Section 4 of the EDIFACT reference: each row's code, at its place by the counting rules of CONTRL."""
    report = read((CORPUS / case["file"]).read_bytes(), profile_of(case))
    if not case["code"]:
        assert report.valid, report.errors
        return
    assert not report.valid
    first = report.errors[0]
    found = (first.code, first.tag or "", first.message, first.segment, first.element, first.component, first.offset)
    places = tuple(number(case[name]) for name in ("message", "segment", "element", "component", "offset"))
    assert found == (case["code"], case["tag"], *places), first.text


def test_every_row_of_the_checklist_has_a_file() -> None:
    """Rows without input of their own: dependency notes (E64), for which no tables exist."""
    rows = {case["row"] for case in CASES}
    assert {f"E{row}" for row in range(1, 71)} - rows == {"E64"}


@each_case
def test_the_cutting_into_chunks_changes_nothing(case: dict[str, str]) -> None:
    """E70: the same report for every chunk size from one byte up."""
    data = (CORPUS / case["file"]).read_bytes()
    profile = profile_of(case)
    whole = as_json(read(data, profile))
    for size in (1, 2, 3, 7, 64):
        assert as_json(read((data[at : at + size] for at in range(0, len(data), size)), profile)) == whole


@each_case
def test_valid_files_are_written_back_byte_for_byte(case: dict[str, str]) -> None:
    """Nothing is changed that was not changed by the caller; line ends and UNA included."""
    data = (CORPUS / case["file"]).read_bytes()
    profile = profile_of(case)
    if not case["code"] and not profile.unwrap:
        assert b"".join(write_back(walk(data, profile))) == data
    else:
        assert list(walk(data, profile)) is not None


def findings(case: dict[str, str]) -> Iterator[Finding]:
    """Errors and findings of a file."""
    report = read((CORPUS / case["file"]).read_bytes(), profile_of(case))
    yield from report.errors
    yield from report.findings


@each_case
def test_every_finding_has_a_place_and_says_what_is_wrong(case: dict[str, str]) -> None:
    """E65: no finding without interchange, offset and text; inside a message it has the message's number too."""
    size = (CORPUS / case["file"]).stat().st_size
    for finding in findings(case):
        assert finding.interchange >= 1
        assert 0 <= finding.offset <= size
        assert finding.text
        assert (finding.segment is None) or finding.message is not None


@each_case
def test_every_interchange_that_names_itself_gets_a_contrl_that_is_right_itself(case: dict[str, str]) -> None:
    """Section 5.1; a CONTRL is never answered (E68), and without 0020, sender or recipient none can be built (E22)."""
    report = read((CORPUS / case["file"]).read_bytes(), profile_of(case))
    for interchange in report.interchanges:
        try:
            raw = contrl(interchange, report.errors_of(interchange), reference="C1", date="20250102", time="0900")
        except NotAnswerable:
            assert case["row"] in ("E22", "E68") or not (interchange.reference and interchange.sender)
            continue
        answer = read(raw)
        assert answer.interchanges[0].recipient[0] == interchange.sender[0]
        uci = next(segment for segment in walk(raw) if segment.tag == "UCI")
        own = [error for error in report.errors_of(interchange) if error.level.value == "UCI"]
        assert uci.get(3) == ("4" if own else "7")
        if own:
            assert uci.get(4) in (own[0].code, "18")
        # A UNH without its parts cannot be copied in full; all else must be free of errors.
        assert answer.valid or case["row"] in ("E39", "E45"), answer.errors


@each_case
def test_peeking_sees_the_interchanges_and_messages_that_reading_sees(case: dict[str, str]) -> None:
    """Routing rests on the same headers; damaged service characters are the reader's business alone."""
    data = (CORPUS / case["file"]).read_bytes()
    if case["code"] or case["profile"]:
        assert isinstance(peek(data), list)
        return
    report = read(data, keep=True)
    seen = [(one.reference, [(m.reference, m.identifier, m.offset) for m in one.messages]) for one in peek(data)]
    assert seen == [
        (one.reference, [(m.reference, m.identifier, m.offset) for m in one.listed]) for one in report.interchanges
    ]
