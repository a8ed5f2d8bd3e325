"""Connection tests by mail style, SFTP and ebMS: the shipped link checks, how failures are told (issue 4)."""

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from sekisho.gateway.clock import Clock
from sekisho.gateway.conntest.centre import RunningCentre, throw_away_centre
from sekisho.gateway.conntest.reports import messages, write_html
from sekisho.gateway.conntest.runner import Result, Target, run_scenario
from sekisho.gateway.conntest.scenario import Party, Scenario, find_scenario, load_scenario
from sekisho.gateway.foreign import CurlPop3, OpenSshSftp, curl_post
from sekisho.gateway.inhouse import InHouseSystem
from sekisho.gateway.inhouse_doors import Access
from sekisho.gateway.inhouse_msh import EbmsEnd
from sekisho.gateway.inhouse_pop3 import Pop3Collector
from sekisho.handlers.tables import catalogue

from .exchange import ROOT, SETTINGS, problems, verdicts

pytestmark = pytest.mark.asyncio(loop_scope="module")
PARTIES = """\
name: lines
within: 5
parties:
  mail: {address: 6MLST1@MAIL.AGENT.SEKISHO.EXAMPLE, user: 6MLSTD0D, password: SAMPLE06, line: mail, box: MBX001,
         box_password: BOXPASS6}
  sftp: {address: 7SFTP1@FILES.AGENT.SEKISHO.EXAMPLE, user: 7SFTPE0E, password: SAMPLE07, line: sftp, box: SFT001,
         box_password: BOXPASS7}
  ebms: {address: 8EBMS1@EBMS.AGENT.SEKISHO.EXAMPLE, user: 8EBMSF0F, password: SAMPLE08, line: ebms, box: EBM001,
         box_password: BOXPASS8}
  nobody: {address: X@NOWHERE.SEKISHO.EXAMPLE, line: ebms, box: NOBOX}
"""


def scenario(steps: str) -> Scenario:
    """A scenario of one user a line."""
    return load_scenario(PARTIES + "steps:\n" + steps, stem="lines", folder=ROOT)


class Bench:
    """A gateway with its doors, and the in-house systems that test it."""

    def __init__(self, system: InHouseSystem, end: EbmsEnd, centre: RunningCentre) -> None:
        self.system, self.end, self.centre = system, end, centre

    async def run(self, one: Scenario, target: Target | None = None) -> Result:
        """Run a scenario."""
        return await run_scenario(
            one, self.system, target or self.centre.target, now=Clock().now, ebms=self.end
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench() -> AsyncIterator[Bench]:
    """A gateway on the samples' settings; ebMS is signed."""
    async with (
        InHouseSystem(catalogue()) as system,
        EbmsEnd(system) as end,
        throw_away_centre(SETTINGS, system.address, ebms=end.url, sign=True) as centre,
    ):
        yield Bench(system, end, centre)


@pytest.mark.parametrize("name", ["導通確認 mail", "link-check-sftp", "link-check-ebms", "lines"])
async def test_the_shipped_scenarios_pass(bench: Bench, name: str) -> None:
    """A 導通確認 a line, and the same exchange by every line, pass against this gateway."""
    result = await bench.run(find_scenario(name))
    assert problems(result) == []
    assert result.passed


@pytest.mark.parametrize("mode", ["none", "mshSignalsOnly", "signalsAndResponse", "responseOnly"])
async def test_a_partner_with_an_endpoint_is_posted_to(mode: str) -> None:
    """Whatever is agreed about synchronous replies, the link check passes: letters pushed, or in the answer."""
    text = SETTINGS.read_text("utf-8")
    text = re.sub(r'(?m)^url = ""', 'url = "http://127.0.0.1:9/msh"', text)
    text = re.sub(r"(?m)^pull = .*$", "", text)
    text = re.sub(r'(?m)^sync_reply = "\w+"', f'sync_reply = "{mode}"', text)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "gateway.toml").write_text(text, "utf-8")
        (folder / "registry.toml").write_bytes((ROOT / "samples" / "registry.toml").read_bytes())
        async with (
            InHouseSystem(catalogue()) as system,
            EbmsEnd(system) as end,
            throw_away_centre(folder / "gateway.toml", system.address, ebms=end.url, sign=True) as centre,
        ):
            result = await Bench(system, end, centre).run(find_scenario("link-check-ebms"))
    assert problems(result) == []


async def test_a_door_that_is_not_named_is_told(bench: Bench) -> None:
    """A step whose door the target does not have is not run, and says which option names it."""
    bare = replace(bench.centre.target, doors={}, agreements=())
    steps = "  - {send: TCC, from: mail}\n  - {send: TCC, from: sftp}\n  - {send: TCC, from: ebms}\n  - {look: pop3}\n"
    result = await bench.run(scenario(steps), bare)
    said = problems(result)
    for number, door in enumerate(("mail", "sftp", "ebms", "pop3")):
        assert f"the centre's {door} door is not known; name it with --{door}" in said[number]
    half = replace(bare, doors={"mail": bench.centre.target.doors["mail"]})
    result = await bench.run(scenario("  - {send: TCC, from: mail}\n  - expect: [{reply: '*CTCC'}]\n"), half)
    assert verdicts(result) == ["p", "n"]
    assert "the centre's pop3 door is not known" in problems(result)[0]


async def test_an_agreement_that_is_not_there_is_told(bench: Bench) -> None:
    """Without an ebMS agreement of the party's box: not run, and what to do."""
    result = await bench.run(scenario("  - {send: TCC, from: nobody}\n"))
    assert verdicts(result) == ["n"]
    assert "no ebMS agreement of the box 'NOBOX' is known; name a file with --agreement" in problems(result)[0]


async def test_what_a_line_does_not_refuse_fails_the_step(bench: Bench) -> None:
    """`refused` wants a refusal at its stage, `letters` their number; anything else fails with what came."""
    steps = """\
  - {send: TCC, from: mail, refused: login}
  - {send: TCC, from: sftp, refused: login}
  - expect: [{reply: "*CTCC"}]
  - {look: pop3, box: mail, letters: 5}
  - {look: sftp, box: sftp, refused: login}
  - {look: sftp, box: sftp, box_password: WRONG999}
  - {send: TCC, from: sftp, box_password: WRONG999, refused: put}
"""
    said = problems(await bench.run(scenario(steps + "surplus: allowed\n")))
    assert "expected a refusal at login; came dot: 250" in said[0]
    assert "expected a refusal at login; came stored: /in/" in said[1]
    assert re.search(r"pop3: expected 5 letters; there (is|are) [01]", said[2])
    assert said[3] == "sftp: expected a refusal at login; it was let in"
    assert said[4] == "sftp: expected to be let in; came login: mailbox ID or password is wrong"
    assert said[5].endswith("expected a refusal at put; came login: mailbox ID or password is wrong")


async def test_letters_that_cannot_be_fetched_fail_the_step(bench: Bench) -> None:
    """A wrong box password of a party ends the waiting, and is told at each step that waits."""
    one = scenario("  - {send: TCC, from: sftp, box_password: BOXPASS7}\n  - expect: [{reply: '*CTCC'}]\n")
    parties = {"sftp": find_scenario("link-check-sftp").parties["in-house"]}
    wrong = replace(one, parties={name: _with_password(party, "WRONG999") for name, party in parties.items()})
    result = await bench.run(wrong)
    assert verdicts(result) == ["p", "f", "f"]
    assert problems(result)[0] == "line: expected letters to be fetched; login: mailbox ID or password is wrong"


def _with_password(party: Party, password: str) -> Party:
    return msgspec.structs.replace(party, box_password=password)


async def test_letters_that_waited_before_are_left(bench: Bench) -> None:
    """A box in use keeps its letters: what waited before the scenario is neither fetched nor counted."""
    leaves = "  - {send: TCC, from: mail, items: {I01: BEFORE}}\n"
    await bench.run(scenario(leaves + "surplus: allowed\n"), replace(bench.centre.target, doors=_without_pop3(bench)))
    door = Pop3Collector(bench.centre.target.door("pop3", find_scenario("link-check-mail").parties["in-house"]))
    for _ in range(100):
        if before := await door.waiting():
            break
        await asyncio.sleep(0.05)  # the reply is on its way into the box
    assert before
    assert problems(await bench.run(find_scenario("link-check-mail"))) == []
    assert await door.waiting() == before
    assert len(await door.collect()) == len(before)


def _without_pop3(bench: Bench) -> dict[str, Access]:
    return {name: door for name, door in bench.centre.target.doors.items() if name != "pop3"}


async def test_reports_say_by_which_line(bench: Bench, tmp_path: Path) -> None:
    """Requests and letters show the line they took, two-way excepted."""
    result = await bench.run(find_scenario("lines"))
    lines = [[message.line for message in messages(step)] for step in result.steps]
    assert lines[:8] == [[""], [""], [""], ["", ""], ["mail"], ["pop3"], ["mail"], ["pop3", "pop3"]]
    assert lines[8:16] == [["sftp"], ["sftp"], ["sftp"], ["sftp"] * 2, ["ebms"], ["ebms"], ["ebms"], ["ebms"] * 2]
    write_html([result], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "Submitted by mail: dot: 250" in page
    assert "in 7SFTP1@FILES.AGENT.SEKISHO.EXAMPLE by sftp" in page
    assert "BOXPASS" not in page


@pytest.mark.peer("curl", "sftp")
async def test_other_peoples_clients_do_the_same(bench: Bench) -> None:
    """Where curl fetches by POP3 and posts ebMS, and OpenSSH takes files, the same scenarios pass (issue 4)."""
    async with EbmsEnd(bench.system, poster=curl_post) as end:
        for name in ("link-check-mail", "link-check-sftp", "link-check-ebms", "lines"):
            result = await run_scenario(
                find_scenario(name), bench.system, bench.centre.target, now=Clock().now,
                fetchers={"pop3": CurlPop3, "sftp": OpenSshSftp}, ebms=end,
            )  # fmt: skip
            assert problems(result) == [], name
