"""Reports of connection tests, and a centre that answers wrongly (issue 2: JUnit XML, one HTML file)."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from lxml import etree, html

from sekisho.codecs.message import from_json
from sekisho.gateway.conntest.centre import throw_away_centre
from sekisho.gateway.conntest.reports import write_html, write_junit
from sekisho.gateway.conntest.runner import Result, Target, run_scenario
from sekisho.gateway.conntest.scenario import find_scenario
from sekisho.gateway.inhouse import InHouseSystem, build_mail, split_address, submit
from sekisho.handlers.tables import catalogue

from .exchange import NOON, SETTINGS, problems, run, scenario, verdicts

CENTRE = "NACCS@SMTP.TEST.SEKISHO.EXAMPLE"
Answer = Callable[[bytes], bytes]


@contextlib.asynccontextmanager
async def odd_centre(system: InHouseSystem, answer: Answer) -> AsyncIterator[Target]:
    """A centre of somebody else: takes a mail, and pushes what ``answer`` makes of its message to its sender."""
    pushes = set()

    class Handler:
        async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802
            assert isinstance(envelope.content, bytes)
            assert envelope.mail_from
            content = answer(envelope.content.partition(b"\r\n\r\n")[2])
            mail = build_mail(content, sender=CENTRE, recipient=envelope.mail_from)
            push = submit(*split_address(system.address), mail, sender=CENTRE, recipient=envelope.mail_from)
            pushes.add(asyncio.ensure_future(push))
            return "250 OK"

    server = await asyncio.get_running_loop().create_server(lambda: SMTP(Handler(), hostname="odd"), "127.0.0.1", 0)
    try:
        yield Target("127.0.0.1", server.sockets[0].getsockname()[1], CENTRE)
    finally:
        server.close()
        await asyncio.gather(*pushes)


def notice(request: bytes, block: str = "00000-0000-0000", **header: str) -> bytes:
    """The notice of TCC with the tags of its request, as another centre would write it."""
    echoed = {
        "carry": request[219:245].decode(), "input_id": request[253:263].decode(), "index": request[263:363].decode(),
    }  # fmt: skip
    values = {"business_code": "TCC", "output_code": "*CTCC", "kind": "R", "part": "000", "last": "E"}
    data = {"direction": "reply", "header": values | echoed | header, "layout": "RESULT.out.tsv"}
    return from_json(data | {"items": [{"id": "RES", "row": None, "value": block}]}, catalogue())


ONE_TCC = "- {send: TCC, header: {index: ABC}}\n- expect: [{reply: '*CTCC'}]"


async def judged(answer: Answer, steps: str = ONE_TCC) -> Result:
    """What a scenario comes to against a centre that answers so."""
    async with InHouseSystem(catalogue()) as system, odd_centre(system, answer) as target:
        return await run(scenario(steps, more="surplus: allowed\n"), system, target)


async def test_a_foreign_centre_is_tested_alike() -> None:
    """`conntest run` tests any host: nothing of our own gateway is needed (issue 2)."""
    assert problems(await judged(notice)) == []


async def test_a_reply_that_lies_about_its_length_fails() -> None:
    """Every reply has to be one its table reads, asked for or not."""
    result = await judged(lambda request: notice(request, length="000999"))
    assert verdicts(result) == ["p", "f"]
    assert problems(result)[0].startswith("*CTCC: expected a reply that its table reads; A0008 ")


async def test_tags_have_to_come_back_byte_for_byte() -> None:
    """入力情報特定番号 and 索引引継情報 are echoed (wire reference 2.4); replies are matched by 電文引継情報."""
    found = problems(await judged(lambda request: notice(request, index="ANOTHER", input_id="")))
    where = [text.partition(" at byte")[0] for text in found]
    assert where == ["*CTCC input_id 入力情報特定番号", "*CTCC index 索引引継情報"]
    steps = "- send: TCC\n- {expect: [{reply: '*CTCC'}], within: 0.3}"
    assert verdicts(await judged(lambda request: notice(request, carry="ANOTHER"), steps)) == ["p", "f"]


async def test_garbage_is_a_failed_step() -> None:
    """Whatever bytes a centre pushes, the test ends with a verdict."""
    junk = [b"", b"\x00" * 10, b"\xff" * 500, b"no header\r\n" * 200]
    steps = "- send: TCC\n- {expect: [{reply: '*CTCC'}], within: 0.3}\n"
    result = await judged(lambda _: junk.pop(), steps * len(junk))
    assert verdicts(result) == ["p", "f"] * 4
    assert junk == []


async def test_junit_says_what_failed(tmp_path: Path) -> None:
    """A suite a scenario, a case a step; what was not run is skipped; odd bytes leave the XML well formed."""
    steps = """
        - {send: TCC, header: {index: ABC}}
        - expect: [{reply: "*CTCC", result: A0004, header: {subject: {present: true, as: word}}}]
        - {send: TCC, items: {I01: "${word}"}}
        """
    result = await judged(lambda request: notice(request, "S0001-I\x01 <-0000"), steps)
    write_junit([result], tmp_path / "junit.xml")
    suite = etree.parse(str(tmp_path / "junit.xml")).getroot()[0]
    assert dict(suite.attrib) | {"time": "", "timestamp": ""} == {
        "name": "test", "tests": "3", "failures": "1", "errors": "0", "skipped": "1", "time": "", "timestamp": "",
    }  # fmt: skip
    assert [[child.tag for child in case] for case in suite] == [[], ["failure"], ["skipped"]]
    assert "expected A0004" in (suite[1][0].text or "")


async def passed_run(folder: Path) -> tuple[str, str]:
    """The HTML and the JUnit report of the shipped demo against a fresh gateway, the clock standing still."""

    def stopped() -> datetime:
        return NOON

    async with (
        InHouseSystem(catalogue()) as system,
        throw_away_centre(SETTINGS, system.address, clock="2025-10-01T12:00") as centre,
    ):
        result = await run_scenario(find_scenario("demo"), system, centre.target, now=stopped)
    assert problems(result) == []
    write_html([result], folder / "report.html")
    write_junit([result], folder / "junit.xml")
    page = (folder / "report.html").read_text("utf-8")
    return page.replace(str(centre.target.port), "PORT"), (folder / "junit.xml").read_text("utf-8")


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """Both reports of two runs."""
    return [asyncio.run(passed_run(tmp_path_factory.mktemp("report"))) for _ in range(2)]


def rows(page: str, of: str = "tr") -> list[list[str]]:
    """The cells of the table rows of a page."""
    found = html.fromstring(page).iterfind(f".//{of}")
    return [["".join(map(str, cell.itertext())) for cell in row.iterfind("td")] for row in found]


def without_times(text: str) -> str:
    """A report without durations, moments and SMTP numbers."""
    text = re.sub(r'time="[0-9.]+"|>[0-9]+\.[0-9]+<', "", text)
    return re.sub(r"20251001[0-9]{0,4}|\b12[0-5][0-9]\b", "TIME", text)


def test_two_runs_give_the_same_report_but_for_times(two_runs: list[tuple[str, str]]) -> None:
    """The report is deterministic (reliability 11)."""
    first, second = two_runs
    assert [without_times(text) for text in first] == [without_times(text) for text in second]


def test_the_html_report_is_whole_in_itself_and_hides_passwords(two_runs: list[tuple[str, str]]) -> None:
    """One file: no script and nothing from elsewhere; every message decoded with offsets; secrets masked (issue 2)."""
    page = two_runs[0][0]
    assert not re.search(r"<(script|link|img|iframe|object)|src=|url\(|@import|https?:", page)
    assert all(target.startswith("#") for target in re.findall(r'href="([^"]*)"', page))
    assert "SAMPLE01" not in page
    assert ["400", "OLT", "保税運送申告番号", "", "00000000011"] in rows(page)
    assert ["37", "password", "利用者パスワード", "", "********"] in rows(page)


async def test_the_html_report_marks_the_failing_item(tmp_path: Path) -> None:
    """A failing step shows expected and came, and marks the item where it stands in the message."""
    steps = "- {send: TCC, header: {index: '<b>'}}\n- expect: [{reply: '*CTCC', result: A0004}]"
    write_html([await judged(notice, steps)], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert rows(page, "tr[@class='bad']") == [["400", "RES", "処理結果コード", "", "00000-0000-0000"]]
