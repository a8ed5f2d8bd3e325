"""Interchanges in connection tests: what they are matched by, and how each difference is told."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sekisho.gateway.conntest.centre import throw_away_centre
from sekisho.gateway.conntest.edifact import answers
from sekisho.gateway.conntest.runner import Target
from sekisho.gateway.inhouse import InHouseSystem
from sekisho.handlers.tables import catalogue

from .exchange import SETTINGS, problems, run, scenario, verdicts

pytestmark = pytest.mark.asyncio(loop_scope="module")
Line = tuple[InHouseSystem, Target]

BROKEN = """
        - send: CUSCAR
          as: manifest
          message_id: true
          edifact: |
            UNB+UNOA:3+TRADER1+SEKISHO+251001:0900+${ref}${seq}'
            UNH+1+CUSCAR:D:95B:UN'
            BGM+785+M${ref}+9'
            UNT+9+1'
            UNZ+1+${ref}${seq}'
"""
"""A manifest that lacks a segment and counts wrong: answered with a CONTRL."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def line() -> AsyncIterator[Line]:
    """A gateway on the samples' settings, and an in-house system that all its boxes push to."""
    async with (
        InHouseSystem(catalogue()) as system,
        throw_away_centre(SETTINGS, system.address) as centre,
    ):
        yield system, centre.target


async def test_what_a_reply_has_to_hold(line: Line) -> None:
    """Each of ``segments`` has to begin a segment of the reply, in order; what came instead is told."""
    good = """
        - expect:
            - {reply: CONTRL, segments: ["UCI+${ref}001+TRADER1", UCM+1+CUSCAR]}
        """
    assert problems(await run(scenario(BROKEN + good), *line)) == []
    bad = """
        - expect:
            - {reply: CONTRL, segments: [UCM+2, "UCI+${ref}", XYZ]}
        """
    result = await run(scenario(BROKEN + bad), *line)
    assert verdicts(result) == ["p", "f"]
    first, second = problems(result)
    assert first == "CONTRL UCM: expected a segment UCM+2; came UCM+1+CUSCAR:D:95B:UN+4+29+UNT+2"
    assert second == "CONTRL XYZ: expected a segment XYZ; no XYZ came"
    bad = """
        - expect:
            - {reply: CONTRL, segments: [UCM, UCI]}
        """
    result = await run(scenario(BROKEN + bad), *line)
    assert [one.split("; ")[0] for one in problems(result)] == ["CONTRL UCI: expected a segment UCI"]


async def test_what_did_not_come_and_what_came_too_much(line: Line) -> None:
    """Another answer is named; an answer nobody expected fails the end and the silence."""
    missing = """
        - expect: [{reply: CUSRES}]
          within: 1
        """
    result = await run(scenario(BROKEN + missing), *line)
    box = "1ANAC1@SMTP.BROKER.SEKISHO.EXAMPLE"
    assert problems(result) == [
        f"CUSRES: expected in {box} within 1 s; came CONTRL in {box}",
        f"end: expected no reply that no step expects; came CONTRL in {box}",
    ]
    silent = """
        - expect: none
          within: 1
        """
    result = await run(scenario(BROKEN + silent), *line)
    assert problems(result) == [f"silence: expected no reply for 1 s; came CONTRL in {box}"]


async def test_the_same_mail_again(line: Line) -> None:
    """``repeats``: the same bytes and the same Message-ID, of an interchange too."""
    again = """
        - expect: [{reply: CONTRL, as: first}]
        - again: manifest
        - expect: [{reply: CONTRL, repeats: first}]
        """
    assert problems(await run(scenario(BROKEN + again), *line)) == []


async def test_an_interchange_from_a_file(line: Line, tmp_path: Path) -> None:
    """A ``file`` may be an interchange; hostile bytes in it are sent as they are."""
    unb = b"UNB+UNOA:3+TRADER1+SEKISHO+251001:0900+ODD1'"
    (tmp_path / "odd.edi").write_bytes(unb + b"UNH+1+X:1:1:Y'\xff'UNT+3+1'UNZ+1+ODD1'")
    steps = """
        - {send: X, file: odd.edi}
        - expect: [{reply: CONTRL, segments: [UCM+1+X]}]
        """
    assert problems(await run(scenario(steps, folder=tmp_path), *line)) == []


@pytest.mark.parametrize(
    ("content", "sent", "told"),
    [
        (b"UNB+UNOA:3+B+A+1:1+9'UCI+REF+A+B+7'UNZ+1+9'", b"UNB+UNOA:3+A+B+1:1+REF'", True),
        (b"UNB+UNOA:3+B+A+1:1+9'RFF+AGO:REF/1'UNZ+1+9'", b"UNB+UNOA:3+A+B+1:1+REF'", True),
        (b"UNB+UNOA:3+B+A+1:1+9'RFF+ACW:DOC'UNZ+1+9'", b"UNB+UNOA:3+A+B+1:1+REF'BGM+1+DOC'", True),
        (b"UNB+UNOA:3+B+C+1:1+9'UCI+REF+A+B+7'UNZ+1+9'", b"UNB+UNOA:3+A+B+1:1+REF'", False),
        (b"UNB+UNOA:3+B+A+1:1+REF'UCI+OTHER+A+B+7'UNZ+1+REF'", b"UNB+UNOA:3+A+B+1:1+REF'", False),
        (b"UNB+UNOA:3+B+A+1:1+9'UCI+REF1+A+B+7'UNZ+1+9'", b"UNB+UNOA:3+A+B+1:1+REF'", False),
        (b"", b"UNB+UNOA:3+A+B+1:1+REF'", False),
    ],
)
async def test_which_reply_answers_which_interchange(content: bytes, sent: bytes, told: bool) -> None:
    """The reference or a document number as a whole value, parties swapped; the reply's own reference says nothing."""
    assert answers(content, sent) is told
