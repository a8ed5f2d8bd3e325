"""The demo, ``sekisho send`` and ``sekisho conntest`` as people run them: the real command, its output, exit code."""

import json
import os
import subprocess
import unicodedata
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import pytest_asyncio

from sekisho.gateway.conntest.centre import PROGRAM, RunningCentre, throw_away_centre
from sekisho.gateway.inhouse import InHouseSystem
from sekisho.handlers.tables import catalogue

from .exchange import ROOT, SETTINGS

in_module_loop = pytest.mark.asyncio(loop_scope="module")


def sekisho(
    *arguments: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command from another folder than the checkout's."""
    done = subprocess.run(
        [*PROGRAM, *arguments], input=stdin, capture_output=True, timeout=60, check=False, cwd="/",
        env=os.environ | dict(environment or {}),
    )  # fmt: skip
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
    )


def columns(line: str) -> int:
    """Display columns: a Japanese character takes two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in line)


def test_the_demo_shows_every_exchange_and_ends_well() -> None:
    """The demo passes, and its output is worth showing (issue 2, Demo).

    TCC; OLA11; OLA -> *SOLA and SAS1360; sent back as OLC20 -> approval, to the warehouse too; four refusals; a CUSCAR
    whose cargo OLA11 and ICG find (issue 3, "Done when"), one that is broken; a resend; the mailbox list; exit code 0.
    Inside 100 columns, without colour where no terminal is.
    """
    done = sekisho("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    exchanges = done.stdout.partition("The mailboxes")[0]
    arrows = [line.split()[:2] for line in exchanges.splitlines() if line.lstrip()[:1] in {"→", "←"}][1:]
    codes = [("out" if arrow == "→" else "in", code) for arrow, code in arrows]
    assert [code for code in codes if code != ("out", "the")] == [
        ("out", "TCC"), ("in", "*CTCC"),
        ("out", "OLA11"), ("in", "*SOLA11"), ("in", "SZOLA11"),
        ("out", "OLA"), ("in", "*SOLA"), ("in", "SAS1360"),
        ("out", "OLC20"), ("in", "*SOLC20"), ("in", "SAS0371"), ("in", "SAS0411"),
        ("out", "TCC"), ("in", "*CTCC"), ("out", "TCC"), ("in", "*CTCC"),
        ("out", "ZZZ"), ("in", "*CCMSG"), ("out", "OLA"), ("in", "*SOLA"),
        ("out", "CUSCAR"), ("in", "CUSRES"), ("out", "OLA11"), ("in", "*SOLA11"), ("in", "SZOLA11"),
        ("out", "ICG"), ("in", "SZICG"), ("out", "CUSCAR"), ("in", "CONTRL"),
        ("in", "*SOLA"), ("in", "SAS1360"),
    ]  # fmt: skip
    assert "UCS 4  4+15" in done.stdout
    for shown in ("A0004", "A0008", "A0001", "S9004-KND", "保税運送申告番号", "5WHSE1@SMTP.WAREHOUSE", "WHS001"):
        assert shown in done.stdout
    assert "\x1b" not in done.stdout
    assert max(map(columns, exchanges.splitlines())) <= 100
    check_lines(done.stdout.partition("The same by every line")[2])
    for secret in ("SAMPLE0", "BOXPASS", "PRIVATE KEY"):
        assert secret not in done.stdout


def check_lines(shown: str) -> None:
    """Every line's exchange, then one thread a conversation, with the door that each letter left by."""
    parts, _, rest = shown.partition("One thread per conversation")
    said = [line.split()[:2] for line in parts.splitlines() if line.lstrip()[:1] in {"→", "←"}]
    once = [["→", "CUSCAR"], ["←", "CUSRES"], ["→", "OLA"], ["←", "*SOLA"], ["←", "SAS1360"]]
    assert said == [*once * 4, ["→", "OLA"]]
    assert "once more: answer: 200 acknowledged, signed: the first answer again, byte for byte" in parts
    assert "✓ no second effect" in parts
    heads = [line.split("of")[1].split()[:3] for line in rest.splitlines() if " by " in line and " of " in line]
    users = [("1ANACA0A", "two-way"), ("6MLSTD0D", "mail"), ("7SFTPE0E", "sftp"), ("8EBMSF0F", "ebms")]
    assert heads == [[user, "by", line] for user, line in users for _ in range(2)]
    left = [line.split("left ")[1] for line in rest.splitlines() if " left " in line]
    doors = ["BRK001 by smtp-push", "MBX001 by pop3", "SFT001 by sftp", "EBM001 by ebms"]
    assert left == [door for door in doors for _ in range(3)]
    assert "came 2 times, done once" in rest


def test_the_demo_needs_nobody_elses_programs() -> None:
    """From a bare checkout: where there is no curl and no sftp, our own clients do it, and that is said."""
    done = sekisho("demo", environment={"PATH": "/nonexistent"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("our own client") == 3
    check_lines(done.stdout.partition("The same by every line")[2])


def test_the_demo_fails_when_a_reply_is_not_as_expected(tmp_path: Path) -> None:
    """Exit code 0 only if every expected reply arrived; else what was missing, and the gateway's log (issue 2)."""
    registry = (ROOT / "samples" / "registry.toml").read_text("utf-8")
    (tmp_path / "registry.toml").write_text(registry.replace('key = "SMPLBL0001"', 'key = "ELSEWHERE1"'), "utf-8")
    (tmp_path / "gateway.toml").write_text(SETTINGS.read_text("utf-8"), "utf-8")
    done = sekisho("demo", "-c", str(tmp_path / "gateway.toml"))
    assert done.returncode == 1
    assert "*SOLA11 RES 処理結果コード at byte 400: expected 00000; came E9006-CG_ -0001" in done.stdout
    assert "message.processed" in done.stdout
    assert "not as expected: step 4" in done.stdout


def test_a_gateway_that_does_not_start_is_told(tmp_path: Path) -> None:
    """A throw-away gateway with wrong settings: one line why, what it said, exit code not 0."""
    (tmp_path / "gateway.toml").write_text("[gateway]\nenvironmnt = 'test'\n", "utf-8")
    done = sekisho("demo", "-c", str(tmp_path / "gateway.toml"))
    assert done.returncode == 1
    assert "before it was ready" in done.stdout
    assert "environment" in done.stdout
    assert sekisho("conntest", "run", "demo", "-c", str(tmp_path / "gateway.toml")).returncode == 2


def test_conntest_run_starts_a_gateway_and_writes_reports(tmp_path: Path) -> None:
    """`sekisho conntest run SCENARIO... --report DIR`: table, HTML and JUnit; exit code 0 when all passed (house 2)."""
    done = sekisho("conntest", "run", "導通確認", "demo", "-c", str(SETTINGS), "--report", str(tmp_path / "report"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed: 10 of 10 steps" in done.stdout
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"report.html", "junit.xml"}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["no-such"], "no file, and no shipped scenario; shipped are demo (demo), "),
        (["demo", "--to", "sftp://127.0.0.1:22"], "--to is the two-way door"),
        (["demo", "--to", "smtp://127.0.0.1:x"], "is not host:port"),
        (["demo", "--sftp", "pop3://127.0.0.1"], "is not sftp://[BOX@]host:port"),
        (["demo", "--pop3", "pop3://127.0.0.1", "-c", str(SETTINGS)], "choose"),
        (["demo", "--ebms", "ebms://127.0.0.1", "--agreement", "/none.toml"], "there is no such file"),
        (["demo", "--set", "broker.line=fax"], "Invalid enum value 'fax'"),
        (["demo", "--to", "127.0.0.1:25", "--start"], "choose"),
        (["demo", "--set", "broker.usr=X"], "has no such party or field"),
        (["demo", "--set", "broker"], "PARTY.FIELD=VALUE is expected"),
    ],
)
def test_what_conntest_cannot_run_is_exit_code_2(arguments: list[str], line: str) -> None:
    """Usage, scenario and settings faults are told before anything is sent, with exit code 2."""
    done = sekisho("conntest", "run", *arguments)
    assert done.returncode == 2
    assert line in done.stderr


def test_judge_says_that_it_is_not_there() -> None:
    """`conntest judge` is in the front door (house 2) but not in this release, and says so."""
    done = sekisho("conntest", "judge")
    assert done.returncode == 2
    assert "not in this release" in done.stderr


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def centre() -> AsyncIterator[tuple[RunningCentre, str]]:
    """A gateway, and the free address that its boxes push to."""
    async with InHouseSystem(catalogue()) as system:
        listen = system.address
    async with throw_away_centre(SETTINGS, listen) as running:
        yield running, listen


@in_module_loop
async def test_send_prints_the_replies(centre: tuple[RunningCentre, str]) -> None:
    """`sekisho send FILE --to URL` acts as an in-house system: submits, and prints what is pushed back (house 2)."""
    running, listen = centre
    to = ["--to", f"smtp://{running.target.host}:{running.target.port}", "--listen", listen]
    done = sekisho("send", str(ROOT / "samples/tcc/ok/request.txt"), *to)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("dot: 250 ")
    assert "← *CTCC" in done.stdout
    assert "FROM THE BROKER" in done.stdout
    request = (ROOT / "samples/ola11/by-cargo/request.txt").read_bytes()
    done = sekisho("send", "-", *to, "--json", stdin=request)
    document = json.loads(done.stdout)
    assert document["accepted"] is True
    assert [reply["message"]["output_code"] for reply in document["replies"]] == ["*SOLA11", "SZOLA11"]
    assert all(reply["box"] == "1ANAC1@SMTP.BROKER.SEKISHO.EXAMPLE" for reply in document["replies"])


@in_module_loop
async def test_send_takes_an_interchange(centre: tuple[RunningCentre, str]) -> None:
    """EDIFACT is sent and its replies read like NACCS EDI (house 2); it names no user code, so --from is needed."""
    running, listen = centre
    to = ["--to", f"smtp://{running.target.host}:{running.target.port}", "--listen", listen]
    manifest = str(ROOT / "samples/edifact/cuscar.edi")
    done = sekisho("send", manifest, *to)
    assert (done.returncode, "--from ADDRESS" in done.stderr) == (2, True)
    who = ["--from", "1ANAC1@SMTP.BROKER.SEKISHO.EXAMPLE"]
    done = sekisho("send", manifest, *to, *who)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "← CUSRES  interchange 1" in done.stdout
    assert "ACW:MAN0101" in done.stdout
    document = json.loads(sekisho("send", manifest, *to, *who, "--json").stdout)
    (reply,) = document["replies"]
    assert reply["message"]["format"] == "edifact", "the CONTRL that says: received before"


@in_module_loop
async def test_send_saves_replies_byte_for_byte(centre: tuple[RunningCentre, str], tmp_path: Path) -> None:
    """--save writes what a sample needs: the replies as they came, numbered in order of arrival."""
    running, listen = centre
    to = ["--to", f"{running.target.host}:{running.target.port}", "--listen", listen]
    sample = ROOT / "samples/tcc/blank"
    assert sekisho("send", str(sample / "request.txt"), *to, "--save", str(tmp_path / "new")).returncode == 0
    (reply,) = (tmp_path / "new").iterdir()
    assert reply.name == "reply-1.txt"
    expected = (sample / "reply-1.txt").read_bytes()
    assert reply.read_bytes()[:15] + reply.read_bytes()[29:] == expected[:15] + expected[29:]


@in_module_loop
async def test_send_without_an_answer_is_exit_code_1(centre: tuple[RunningCentre, str], tmp_path: Path) -> None:
    """Refused, or accepted and nothing came back: 1. Only taken and --wait 0: 0. A wrong file or address: 2."""
    running, listen = centre
    to = ["--to", f"{running.target.host}:{running.target.port}", "--listen", listen]
    request = str(ROOT / "samples/tcc/ok/request.txt")
    done = sekisho("send", request, *to, "--centre", "NOBODY@SMTP.TEST.SEKISHO.EXAMPLE")
    assert (done.returncode, done.stdout.split()[:2]) == (1, ["RCPT:", "550"])
    junk = tmp_path / "junk"
    junk.write_bytes(b"not a message\r\n")
    done = sekisho("send", str(junk), *to, "--wait", "1")
    assert done.returncode == 1
    assert "no reply within 1 s" in done.stdout
    assert sekisho("send", str(junk), *to, "--wait", "0").returncode == 0
    assert sekisho("send", str(tmp_path / "none"), *to).returncode == 2
    done = sekisho("send", request, *to[:2], "--listen", f"{running.target.host}:{running.target.port}")
    assert done.returncode == 2
    assert "choose another --listen" in done.stderr


@in_module_loop
async def test_conntest_run_tests_a_centre_that_runs_already(centre: tuple[RunningCentre, str], tmp_path: Path) -> None:
    """--to, --from, --set and --listen: the shipped scenario as another user against any host; 1 when a step fails."""
    running, listen = centre
    to = ["--to", f"smtp://{running.target.host}:{running.target.port}", "--listen", listen]
    other = ["--from", "2BKOU1@SMTP.FORWARDER.SEKISHO.EXAMPLE", "--set", "in-house.user=2BKOUB0B"]
    done = sekisho("conntest", "run", "link-check", *to, *other, "--set", "in-house.password=SAMPLE03")
    assert done.returncode == 0, done.stdout + done.stderr
    mine = tmp_path / "mine.yaml"
    party = "{address: 1ANAC1@SMTP.BROKER.SEKISHO.EXAMPLE, user: 1ANACA0A, password: WRONG001}"
    text = f"name: mine\nparties: {{a: {party}}}\n"
    mine.write_text(text + "steps: [{send: TCC}, {expect: [{reply: '*CTCC', result: '00000'}]}]\n", "utf-8")
    done = sekisho("conntest", "run", str(mine), *to)
    assert done.returncode == 1
    assert "expected 00000; came A0004-0000-0000" in " ".join(done.stdout.split())
