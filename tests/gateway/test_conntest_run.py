"""Connection tests against a real gateway: what passes, and how each kind of failure is told (issue 2)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from sekisho.gateway.conntest.centre import throw_away_centre
from sekisho.gateway.conntest.runner import Target
from sekisho.gateway.conntest.scenario import find_scenario, load_scenario
from sekisho.gateway.inhouse import InHouseSystem
from sekisho.handlers.tables import catalogue

from .exchange import ROOT, SETTINGS, problems, run, scenario, verdicts

pytestmark = pytest.mark.asyncio(loop_scope="module")
Line = tuple[InHouseSystem, Target]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def line() -> AsyncIterator[Line]:
    """A gateway on the samples' settings, and an in-house system that all its boxes push to."""
    async with (
        InHouseSystem(catalogue()) as system,
        throw_away_centre(SETTINGS, system.address, clock="2025-10-01T09:00") as centre,
    ):
        yield system, centre.target


async def test_the_shipped_link_check_passes(line: Line) -> None:
    """導通確認 passes against this gateway (issue 2: shipped with it)."""
    result = await run(find_scenario("導通確認"), *line)
    assert problems(result) == []
    assert result.passed


async def test_the_documented_scenario_passes(line: Line) -> None:
    """The example of docs/connection-tests.md is a scenario that runs."""
    page = (ROOT / "docs" / "connection-tests.md").read_text("utf-8")
    text = page.partition("```yaml\n")[2].partition("```")[0]
    result = await run(load_scenario(text, stem="documented", folder=ROOT), *line)
    assert problems(result) == []


async def test_a_wrong_value_is_told_with_item_and_byte(line: Line) -> None:
    """A failing step says what was expected, what came, at which item (issue 2)."""
    steps = """
        - {send: TCC, items: {I01: HELLO}}
        - expect: [{reply: "*CTCC", items: {O01: GOOD BYE, O02: {present: true}}}]
        """
    result = await run(scenario(steps), *line)
    assert verdicts(result) == ["p", "f"]
    assert problems(result) == [
        "*CTCC O01 出力欄１ at byte 477: expected 'GOOD BYE'; came 'HELLO'",
        "*CTCC O02 出力欄２ at byte 529: expected a value; it is blank",
    ]


async def test_rows_are_counted(line: Line) -> None:
    """An item of a repeating block is compared row by row, and the row is told."""
    result = await run(
        scenario(
            """
            - {send: OLA11, items: {CG_: [SMPLBL0001, SMPLBL0002]}}
            - expect:
                - {reply: "*SOLA11", result: "00000"}
                - {reply: SZOLA11, items: {CG_: [SMPLBL0001, SMPLBL0003], DD_: {row: 2, equals: "20250930"}}}
            """
        ),
        *line,
    )
    assert [text.split(" at byte")[0] for text in problems(result)] == ["SZOLA11 CG_ 貨物管理番号 row 2"]
    assert "expected 'SMPLBL0003'; came 'SMPLBL0002'" in problems(result)[0]
    steps = """
        - {send: OLA11, items: {CG_: [SMPLBL0001]}}
        - expect: [{reply: "*SOLA11"}, {reply: SZOLA11, items: {CG_: []}}]
        """
    result = await run(scenario(steps), *line)
    assert "expected no further row; came 'SMPLBL0001'" in problems(result)[0]


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ("result: A0004", "*CTCC RES 処理結果コード at byte 400: expected A0004; came 00000-0000-0000"),
        ("result: ['00000', W0001]", "*CTCC RES 処理結果コード at byte 415: expected W0001; came none"),
        ("kind: C", "*CTCC kind 電文種別 at byte 249: expected kind C; came 'R'"),
        ("header: {form: C}", "*CTCC form 宛管形式 at byte 363: expected 'C'; came 'Q'"),
        ("items: {XXX: Y}", "*CTCC XXX: expected an item XXX; TCC.out has no such item"),
        ("items: {O01: {blank: true}}", "*CTCC O01 出力欄１ at byte 477: expected blank; came 'HELLO'"),
        ("items: {O01: {matches: '[AB]'}}", "*CTCC O01 出力欄１ at byte 477: expected a match of [AB]; came 'HELLO'"),
        ("items: {O01: {row: 2, equals: X}}", "*CTCC O01 出力欄１: expected 'X'; it did not come"),
    ],
)  # fmt: skip
async def test_each_matcher_can_fail(line: Line, wanted: str, problem: str) -> None:
    """Result codes, 電文種別, common items and item matchers are all judged, and only what is wrong is told."""
    steps = f"- {{send: TCC, items: {{I01: HELLO}}}}\n- expect: [{{reply: '*CTCC', {wanted}}}]"
    assert problems(await run(scenario(steps), *line)) == [problem]


async def test_matchers_that_hold_are_silent(line: Line) -> None:
    """The same matchers pass where they hold."""
    steps = """
        - {send: TCC, items: {I01: HELLO}}
        - expect:
            - reply: {matches: "\\\\*C.*"}
              kind: R
              result: "00000-0000-0000"
              header: {form: Q, subject: {matches: "00000-0000-0000.*"}, carry: {present: true}}
              items: {O01: {equals: HELLO, matches: "[A-Z]+", present: true}, O02: {blank: true}}
        """
    assert problems(await run(scenario(steps), *line)) == []


async def test_what_does_not_come_is_told_with_what_came(line: Line) -> None:
    """After a refusal nothing else comes: the step ends soon, and names the refusal."""
    result = await run(
        scenario("- {send: TCC, header: {password: WRONG999}}\n- expect: [{reply: '*COTHER'}]\n  within: 30"), *line
    )
    assert problems(result)[0] == (
        "*COTHER: expected in 1ANAC1@SMTP.BROKER.SEKISHO.EXAMPLE within 30 s; "
        "came *CTCC A0004-0000-0000 in 1ANAC1@SMTP.BROKER.SEKISHO.EXAMPLE"
    )
    assert result.steps[1].seconds < 5


async def test_replies_that_no_step_expects_fail_the_test(line: Line) -> None:
    """A surplus reply is a failure, unless the scenario allows it."""
    steps = "- send: TCC"
    result = await run(scenario(steps), *line)
    assert verdicts(result) == ["p", "f"]
    assert problems(result)[0].startswith("end: expected no reply that no step expects; came *CTCC 00000-0000-0000")
    assert verdicts(await run(scenario(steps, more="surplus: allowed\n"), *line)) == ["p"]


async def test_silence_is_an_expectation(line: Line) -> None:
    """``expect: none`` passes if nothing comes within its time, and fails with what came."""
    result = await run(scenario("- send: TCC\n- {expect: none, within: 2}"), *line)
    assert verdicts(result) == ["p", "f"]
    assert problems(result)[0].startswith("silence: expected no reply for 2 s; came *CTCC")
    result = await run(
        scenario("- send: TCC\n- expect: [{reply: '*CTCC'}]\n- {expect: none, within: 0.2}"), *line
    )
    assert verdicts(result) == ["p", "p", "p"]


async def test_order_is_judged_where_it_is_asked_for(line: Line) -> None:
    """``order: given`` compares arrival with the order written; without it any order passes (wire reference 2.4)."""
    steps = """
        - {send: OLA11, items: {CG_: [SMPLBL0001]}}
        - expect: [{reply: SZOLA11}, {reply: "*SOLA11"}]
        """
    assert problems(await run(scenario(steps), *line)) == []
    result = await run(scenario(steps.replace('"*SOLA11"}]', '"*SOLA11"}]\n          order: given')), *line)
    assert problems(result) == ["order: expected SZOLA11, *SOLA11; came *SOLA11, SZOLA11"]


async def test_a_step_without_what_it_builds_on_is_not_run(line: Line) -> None:
    """After a failure what still makes sense is run; a step that lacks something is not, and says what (Strategy)."""
    result = await run(
        scenario(
            """
            - {send: OLA, as: ola, items: {KND: "7", BYA: "31", OBJ: OTH, CG_: [X]}}
            - expect:
                - {reply: "*SOLA", items: {RES: {present: true}}}
                - {reply: SAS1360, as: copy, items: {OLT: {present: true, as: number}}}
            - {send: OLC20, body_of: copy}
            - {send: OLC20, items: {OLT: "${number}"}}
            - send: TCC
            - expect: [{reply: "*CTCC", result: "00000"}]
            """
        ),
        *line,
    )
    assert verdicts(result) == ["p", "f", "n", "n", "p", "p"]
    assert problems(result)[-2:] == [
        "step: expected what it builds on; the reply 'copy' did not come",
        "step: expected what it builds on; ${number} has no value: the reply that was to bring it did not come",
    ]


async def test_a_request_can_be_broken_on_purpose(line: Line) -> None:
    """Every patch does what it says to the bytes; a file and hexadecimal text are sent as they are."""
    result = await run(
        scenario(
            """
            - {send: TCC, items: {I01: ABC}, patch: [{at: 401, text: XY}, {append: "0D0A"}]}
            - expect: [{reply: "*CTCC", items: {O01: XYC}}]
            - {send: TCC, patch: [{at: 365, hex: "20"}]}
            - expect: [{reply: "*CTCC", result: A0016}]
            - {send: TCC, patch: [{cut: 55}]}
            - expect: [{reply: "*CTCC", result: A0008}]
            - {send: TCC, patch: [{length: "000999"}]}
            - expect: [{reply: "*CTCC", result: A0008}]
            - {send: TCC, file: samples/tcc/wrong-password/request.txt}
            - expect: [{reply: "*CTCC", result: A0004}]
            - {send: OLA, items: {KND: "99"}}
            - {send: TCC, file: samples/no-such-file}
            """
        ),
        *line,
    )
    assert verdicts(result) == ["p"] * 10 + ["n", "n"]
    assert "KND: 2 bytes, the item holds 1" in problems(result)[0]
    request = result.steps[0].sent
    assert request is not None
    hexadecimal = scenario(f"- {{send: TCC, hex: {request.content.hex()}}}\n- expect: [{{reply: '*CTCC'}}]")
    assert verdicts(await run(hexadecimal, *line)) == ["p", "p"]


async def test_a_repeated_request_gets_the_same_replies(line: Line) -> None:
    """The same mail again: same bytes, same Message-IDs, one effect (decisions, Identity of a request)."""
    steps = """
        - {send: TCC, as: first, message_id: true}
        - expect: [{reply: "*CTCC", as: notice}]
        - again: first
        - expect: [{reply: "*CTCC", repeats: notice}]
        - {send: TCC, message_id: true}
        - expect: [{reply: "*CTCC", repeats: notice}]
        """
    result = await run(scenario(steps), *line)
    assert verdicts(result) == ["p", "p", "p", "p", "p", "f"]
    assert problems(result)[0].startswith("*CTCC: expected the Message-ID of the first time, <")
    assert "they differ from byte 2" in problems(result)[1]  # in 電文引継情報, or earlier if a minute has passed


async def test_the_receiver_can_refuse(line: Line) -> None:
    """A party's own server answers 450 until it accepts again: replies stay waiting; other boxes do not notice."""
    steps = """
        - {receiver: refuse, box: forwarder}
        - {send: TCC, from: forwarder}
        - {expect: none, within: 0.5}
        - {send: TCC, from: broker}
        - expect: [{reply: "*CTCC", result: "00000"}]
        """
    result = await run(scenario(steps), *line)
    assert verdicts(result) == ["p"] * 5
    assert line[0].refusing == set()  # the next scenario starts with a server that accepts


async def test_scenarios_side_by_side_do_not_take_each_others_replies(line: Line) -> None:
    """Every run has tags of its own (issue 2: each scenario isolated)."""
    steps = """
        - {send: TCC, items: {I01: "${tag}"}}
        - expect: [{reply: "*CTCC", items: {O01: "${tag}"}}]
        """
    results = await asyncio.gather(*(run(scenario(steps), *line, order=order) for order in range(4)))
    assert [problems(result) for result in results] == [[]] * 4


async def test_a_refused_submission_fails_the_send_step(line: Line) -> None:
    """What SMTP says is part of the verdict: here a centre address that the listener does not have (550)."""
    system, target = line
    result = await run(scenario("- send: TCC"), system, replace(target, centre="NOBODY@SMTP.TEST.SEKISHO.EXAMPLE"))
    assert verdicts(result) == ["f"]
    assert "expected 250 to the dot; came RCPT: 550" in problems(result)[0]


async def test_a_closed_port_fails_the_send_step(line: Line) -> None:
    """A centre that is not there is a failed step, never a traceback."""
    system, _ = line
    async with InHouseSystem(catalogue()) as gone:
        port = int(gone.address.rpartition(":")[2])
    result = await run(scenario("- send: TCC"), system, Target("127.0.0.1", port, "NACCS@SMTP.TEST.SEKISHO.EXAMPLE"))
    assert verdicts(result) == ["f"]
    assert "came connect: no reply" in problems(result)[0]
