"""samples/scenarios: whole stories, each on a gateway of its own and its own clock (issue clause "Done when")."""

from pathlib import Path

import pytest

from .commands import sekisho
from .exchange import ROOT

STORIES = sorted((ROOT / "samples" / "scenarios").glob("*.yaml"))


@pytest.mark.parametrize("story", STORIES, ids=[story.stem for story in STORIES])
def test_story(story: Path) -> None:
    """Every step of it is as written, and nothing else comes."""
    ran = sekisho("conntest", "run", story)
    assert ran.code == 0, ran.out + ran.err


def test_a_clock_that_nobody_may_move(tmp_path: Path) -> None:
    """A step `clock` on a centre that the test has not started is not run; a word that is no time is refused before."""
    text = """
        name: hours later
        parties: {broker: {address: 1ANAC1@SMTP.BROKER.SEKISHO.EXAMPLE}}
        steps: [{clock: %s}]
        """
    path = tmp_path / "later.yaml"
    path.write_text(text % "2h30m", encoding="utf-8")
    ran = sekisho("conntest", "run", path, "--to", "smtp://127.0.0.1:9", "--listen", "127.0.0.1:0")
    assert (ran.code, "not run" in ran.out) == (1, True)
    path.write_text(text % "tomorrow", encoding="utf-8")
    ran = sekisho("conntest", "run", path)
    assert (ran.code, "steps[0].clock" in ran.err) == (2, True)


def test_the_clock_goes_where_it_was_sent(tmp_path: Path) -> None:
    """`clock` as the scenario's own beginning and as a step: URY is open at 22:50 and closed at 23:00."""
    text = """
        name: closing time
        clock: 2025-10-01T22:50
        parties: {broker: {address: 1ANAC1@SMTP.BROKER.SEKISHO.EXAMPLE, user: 1ANACA0A, password: SAMPLE01}}
        steps:
          - {send: URY, items: {KND: X, RID: 1ANACA0B}}
          - expect: [{reply: "*CURY", result: E9013, header: {received_at: {matches: "2025100122.*"}}}]
          - {clock: 2025-10-01T23:00}
          - {send: URY, items: {KND: X, RID: 1ANACA0B}}
          - expect: [{reply: "*CURY", result: U0002, header: {received_at: {matches: "2025100123.*"}}}]
        """
    path = tmp_path / "closing.yaml"
    path.write_text(text, encoding="utf-8")
    ran = sekisho("conntest", "run", path)
    assert ran.code == 0, ran.out + ran.err
