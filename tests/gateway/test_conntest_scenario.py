"""Scenario files are read strictly: what cannot be meant is refused before anything is sent (issue 2)."""

from pathlib import Path

import pytest

from sekisho.gateway.conntest.scenario import Expect, ScenarioError, Send, find_scenario, load_scenario

from .exchange import scenario


def refused(steps: str, more: str = "") -> str:
    """What is said about a scenario with these steps."""
    with pytest.raises(ScenarioError) as error:
        scenario(steps, more=more)
    return str(error.value)


def test_every_scalar_is_text() -> None:
    """``000999`` keeps its zeros and ``NO`` is not false: items are text on the wire (scenario.py, Strategy)."""
    one = scenario("- send: TCC\n  items: {I01: NO, I02: 0012}\n  patch: [{length: 000999}]")
    send = one.steps[0]
    assert isinstance(send, Send)
    assert send.items == {"I01": "NO", "I02": "0012"}
    assert send.patch[0].length == "000999"


@pytest.mark.parametrize(
    ("steps", "line"),
    [
        ("- send: TCC\n  hedaer: {}", "test: steps[0]: unknown key 'hedaer'; did you mean 'header'?"),
        (
            "- expct: none",
            "test: steps[0]: a step is one of send, again, expect, receiver, look and clock; did you mean 'expect'?",
        ),
        ("- 7", "test: steps[0]: a step is a table"),
        ("- {send: TCC, expect: none}", "a step is one of send, again, expect, receiver, look and clock"),
        ("- send: TCC\n- expect: [{reply: X, items: {A: {matchs: x}}}]", "unknown key 'matchs'; did you mean"),
        ("- {send: TCC, from: brocker}", "steps[0].from: no party 'brocker' before this step; did you mean 'broker'?"),
        ("- {send: TCC, header: {carri: X}}", "no common item 'carri' before this step; did you mean 'carry'?"),
        ("- {send: TCC, items: {I01: '${number}'}}", "steps[0]: no variable 'number' before this step"),
        ("- {send: TCC, body_of: copy}", "steps[0].body_of: no reply 'copy' before this step"),
        ("- {again: ola}", "steps[0].again: no request 'ola' before this step"),
        ("- expect: [{reply: '*CTCC'}]", "steps[0].expect[0]: nothing has been sent yet"),
        ("- send: TCC\n- expect: [{reply: '*CTCC', box: nobody}]", "steps[1].expect[0].box: no party 'nobody'"),
        ("- send: TCC\n- expect: [{reply: {matches: '('}}]", "steps[1].expect[0]: matches '(' is no pattern"),
        ("- send: TCC\n- {expect: none, within: -1}", "steps[1].within: Expected `float` > 0"),
        ("- {send: TCC, hex: '00', items: {I01: X}}", "steps[0]: only one of items, body_of, file, hex and edifact"),
        ("- {send: TCC, send: SYG}", "the key 'send' stands twice"),
        ("[]", "steps: a scenario has at least one step"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_its_path(steps: str, line: str) -> None:
    """Unknown keys, names and values are refused with their path and a suggestion (issue 2: strict loading)."""
    assert line in refused(steps)


def test_all_problems_are_shown_at_once() -> None:
    """One run shows all there is to mend, one line each."""
    text = refused("- {send: TCC, hedaer: {}}\n- {expct: none}\n- {send: TCC, form: x}")
    assert [line.split(":")[1].strip() for line in text.splitlines()] == ["steps[0]", "steps[1]", "steps[2]"]


def test_an_unknown_key_of_the_head_is_refused() -> None:
    """The same rule outside the steps."""
    assert "unknown key 'wihtin'; did you mean 'within'?" in refused("- send: TCC", more="wihtin: 3\n")


def test_a_value_taken_from_a_reply_is_known_to_later_steps_and_replies() -> None:
    """``as`` keeps a value; what comes after may use it, even in the same expectation."""
    one = scenario(
        """
        - send: OLA
        - expect:
            - {reply: "*SOLA", items: {KEY: {present: true, as: number}}}
            - {reply: SAS1360, items: {OLT: "${number}"}}
        - {send: OLC20, items: {OLT: "${number}", IKS: "${today+3}"}}
        """
    )
    assert len(one.steps) == 3


@pytest.mark.parametrize("name", ["導通確認", "link-check"])
def test_the_shipped_link_check_is_found_by_both_names(name: str) -> None:
    """導通確認: connect, TCC, wrong password, unknown code, wrong length, SYG (wire reference 9, issue 2)."""
    one = find_scenario(name)
    sent = [(step.send, step.header.get("password", "")) for step in one.steps if isinstance(step, Send)]
    assert sent == [("TCC", ""), ("TCC", "WRONG999"), ("ZZZ", ""), ("TCC", ""), ("SYG", "")]
    results = [
        reply.result
        for step in one.steps
        if isinstance(step, Expect) and isinstance(step.expect, list)
        for reply in step.expect
    ]
    assert results == ["00000", "A0004", "A0001", "A0008", "00000"]


def test_a_path_is_read_and_a_wrong_name_lists_what_is_shipped(tmp_path: Path) -> None:
    """A scenario is a path or a shipped name; anything else says what there is."""
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nparties: {a: {address: A@B.EXAMPLE}}\nsteps: [{send: TCC}]\n", "utf-8")
    assert find_scenario(str(path)).name == "mine"
    known = r"demo \(demo\), .*link-check-sftp \(導通確認 sftp\), link-check \(導通確認\)"
    with pytest.raises(ScenarioError, match=known):
        find_scenario("no-such")
    with pytest.raises(ScenarioError, match="cannot be read"):
        find_scenario(str(tmp_path / "none.yaml"))


def test_what_is_not_yaml_is_refused() -> None:
    """A syntax fault is one line with its place."""
    with pytest.raises(ScenarioError, match="line 1"):
        load_scenario("name: [", stem="broken", folder=Path())
