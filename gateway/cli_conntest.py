"""Commands that act as an in-house system: ``send``, ``conntest run``, ``conntest judge``, ``demo``.

Exit codes: 0 everything came as expected, 1 it did not, 2 the command, the scenario or the settings are wrong.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from sekisho.codecs.message import as_json
from sekisho.codecs.mime import is_interchange
from sekisho.gateway.cli_interchange import interchange_form
from sekisho.gateway.cli_text import SetupFailed, echo_json, read_input
from sekisho.gateway.clock import Clock
from sekisho.gateway.conntest.centre import CentreFailed, default_settings, throw_away_centre
from sekisho.gateway.conntest.reports import shown, write_html, write_junit
from sekisho.gateway.conntest.runner import Result, Target, run_scenario
from sekisho.gateway.conntest.scenario import Scenario, ScenarioError, find_scenario
from sekisho.gateway.conntest.terminal import print_message, print_results, terminal
from sekisho.gateway.demo import run_demo
from sekisho.gateway.inhouse import Arrival, InHouseSystem, Submission, build_mail, split_address, submit
from sekisho.handlers.tables import catalogue

__all__ = ["COMMANDS", "conntest", "demo", "send"]

_CENTRE: Final = "NACCS@SMTP.TEST.SEKISHO.EXAMPLE"
"""The centre's address in samples/gateway.toml."""
_LISTEN: Final = "127.0.0.1:2626"
"""Where samples/registry.toml has replies pushed to."""
_QUIET: Final = 1.0
"""Seconds without a further reply after which ``send`` takes the answer as whole."""


def _address(text: str) -> tuple[str, int]:

    scheme = text.partition("://")[0] if "://" in text else "smtp"
    if scheme in {"sftp", "ebms"}:
        raise SetupFailed(f"{scheme}:// is not in this release; smtp://host:port is")
    try:
        return split_address(text)
    except ValueError as error:
        raise SetupFailed(str(error)) from None


def _settings(path: str | None) -> Path:

    try:
        return Path(path) if path else default_settings()
    except FileNotFoundError as error:
        raise SetupFailed(str(error)) from None


@click.command()
@click.argument("file")
@click.option("--to", required=True, metavar="URL", help="The centre: smtp://host:port.")
@click.option("--wait", type=click.FloatRange(0), default=10.0, show_default=True, help="Seconds to wait for replies.")
@click.option("--listen", default=_LISTEN, show_default=True, metavar="HOST:PORT", help="Where replies are pushed to.")
@click.option("--from", "sender", metavar="ADDRESS", help="MAIL FROM.  [default: made from the user code]")
@click.option("--centre", default=_CENTRE, show_default=True, metavar="ADDRESS", help="RCPT TO.")
@click.option("--save", type=click.Path(file_okay=False), metavar="DIR", help="Write reply-1.txt, reply-2.txt … there.")
@click.option("--json", "json_", is_flag=True, help="Print one JSON document.")
def send(
    file: str, to: str, wait: float, listen: str, sender: str | None, centre: str, save: str | None, json_: bool
) -> None:
    """Submit a message FILE, NACCS EDI or EDIFACT, as an in-house system and print the replies pushed back.

    An interchange names no user code, so it needs --from. The box of the sender has to push to the --listen address.
    Exit code 0: taken, and a reply came (with --wait 0: taken); 1: not.
    """
    content = read_input(file)
    if is_interchange(content) and not sender:
        raise SetupFailed(f"{file}: an EDIFACT interchange; --from ADDRESS says who sends it")
    code = content[29:34].decode("ascii", "replace").strip() or "NOBODY"
    address = sender or f"{code}@SMTP.IN-HOUSE.EXAMPLE"
    submission, arrivals = asyncio.run(_send(content, _address(to), wait, listen, address, centre))
    for number, arrival in enumerate(arrivals if save else (), 1):
        folder = Path(save or "")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"reply-{number}.txt").write_bytes(arrival.content)
    if json_:
        replies = [
            {"box": one.box, "message_id": one.transport_id, "message": _form(one)} for one in arrivals
        ]
        answer = {"stage": submission.stage, "code": submission.code, "text": submission.text}
        document = {"accepted": submission.accepted, "answer": answer, "replies": replies}
        echo_json(document)
    else:
        _print_answer(submission, arrivals, wait)
    sys.exit(0 if submission.accepted and (arrivals or not wait) else 1)


def _form(arrival: Arrival) -> dict[str, Any]:
    """A reply in its documented JSON form."""
    return interchange_form(arrival.content) if arrival.is_interchange else as_json(arrival.message)


async def _send(
    content: bytes, to: tuple[str, int], wait: float, listen: str, sender: str, centre: str
) -> tuple[Submission, list[Arrival]]:
    mail = build_mail(content, sender=sender, recipient=centre)
    if not wait:
        return await submit(*to, mail, sender=sender, recipient=centre), []
    try:
        async with InHouseSystem(catalogue(), listen) as system:
            end = time.monotonic() + wait
            submission = await submit(*to, mail, sender=sender, recipient=centre)
            if submission.accepted and await system.wait(partial(_more_than, 0), wait):
                known = 0
                while known < len(system.arrivals) and (left := end - time.monotonic()) > 0:
                    known = len(system.arrivals)
                    await system.wait(partial(_more_than, known), min(_QUIET, left))
            return submission, system.arrivals
    except OSError as error:
        raise SetupFailed(f"cannot listen on {listen}: {error.strerror or error}; choose another --listen") from None


def _more_than(known: int, arrivals: Sequence[Arrival]) -> bool:
    return len(arrivals) > known


def _print_answer(submission: Submission, arrivals: Sequence[Arrival], wait: float) -> None:

    console = terminal()
    console.print(str(submission), markup=False)
    for arrival in arrivals:
        # The caller's own replies: nothing in them is hidden (a temporary password is read here).
        print_message(shown(arrival.message, "received", arrival.box, mask=False), console, indent=0)
    if submission.accepted and wait and not arrivals:
        console.print(f"no reply within {wait:g} s; does the box push to this address?", markup=False)


@click.group()
def conntest() -> None:
    """Connection tests (接続試験): scripted exchanges with a judge and a report."""


@conntest.command("run")
@click.argument("scenario", nargs=-1, required=True)
@click.option("--to", metavar="URL", help="The centre: smtp://host:port.  [default: a throw-away gateway]")
@click.option("--start", is_flag=True, help="Start a throw-away gateway (what happens without --to).")
@click.option("-c", "--config", type=click.Path(exists=True, dir_okay=False), help="Its settings.")
@click.option("--from", "sender", metavar="ADDRESS", help="Address of the scenario's first party.")
@click.option("--set", "changes", multiple=True, metavar="PARTY.FIELD=VALUE", help="Change a party: in-house.user=…")
@click.option("--centre", default=_CENTRE, show_default=True, metavar="ADDRESS", help="RCPT TO, with --to.")
@click.option("--listen", metavar="HOST:PORT", help=f"Where replies are pushed to.  [default: {_LISTEN} with --to]")
@click.option("--report", type=click.Path(file_okay=False), metavar="DIR", help="For report.html and junit.xml.")
def run(
    scenario: tuple[str, ...],
    to: str | None,
    start: bool,
    config: str | None,
    sender: str | None,
    changes: tuple[str, ...],
    centre: str,
    listen: str | None,
    report: str | None,
) -> None:
    """Run each SCENARIO: a YAML file, or a shipped one by name (導通確認 or link-check, demo).

    Exit code 0: all passed; 1: a step failed or was not run; 2: a scenario, option or setting is wrong.
    """
    if to and (start or config):
        raise click.UsageError("--to tests a centre that runs already; --start and -c start one: choose")
    scenarios = _scenarios(scenario, sender, changes)
    target = Target(*_address(to), centre) if to else None
    try:
        results = asyncio.run(
            _run(scenarios, target, _settings(config) if target is None else None, listen or (_LISTEN if to else ""))
        )
    except CentreFailed as failed:
        raise SetupFailed(f"{failed}\n{failed.log}") from None
    except OSError as error:
        raise SetupFailed(f"cannot listen on {listen or _LISTEN}: {error.strerror or error}") from None
    print_results(results, terminal())
    if report:
        folder = Path(report)
        folder.mkdir(parents=True, exist_ok=True)
        write_html(results, folder / "report.html")
        write_junit(results, folder / "junit.xml")
        click.echo(f"report: {folder / 'report.html'}")
    sys.exit(0 if all(result.passed for result in results) else 1)


def _scenarios(names: Sequence[str], sender: str | None, changes: Sequence[str]) -> list[Scenario]:

    out = []
    for name in names:
        try:
            scenario = find_scenario(name)
        except ScenarioError as error:
            raise SetupFailed(str(error)) from None
        wanted = {}
        for change in changes:
            path, equals, value = change.partition("=")
            if not equals:
                raise SetupFailed(f"--set {change}: PARTY.FIELD=VALUE is expected")
            wanted[path] = value
        if sender and scenario.parties:
            wanted.setdefault(f"{next(iter(scenario.parties))}.address", sender)
        out.append(_changed(scenario, wanted))
    return out


def _changed(scenario: Scenario, changes: Mapping[str, str]) -> Scenario:

    parties = dict(scenario.parties)
    for path, value in changes.items():
        name, _, key = path.rpartition(".")
        try:
            parties[name] = msgspec.structs.replace(parties[name], **{key: value})
        except (KeyError, TypeError):
            raise SetupFailed(f"--set {path}: {scenario.name} has no such party or field") from None
    return replace(scenario, parties=parties)


async def _run(
    scenarios: Sequence[Scenario], target: Target | None, settings: Path | None, listen: str
) -> list[Result]:

    async def all_of_them(system: InHouseSystem, centre: Target) -> list[Result]:
        now = Clock().now
        return [await run_scenario(one, system, centre, now=now, order=at) for at, one in enumerate(scenarios)]

    async with InHouseSystem(catalogue(), listen or "127.0.0.1:0") as system:
        if target is not None:
            return await all_of_them(system, target)
        if settings is None:
            raise RuntimeError("neither a centre to test nor settings to start one")
        async with throw_away_centre(settings, system.address) as centre:
            return await all_of_them(system, centre.target)


@conntest.command("judge")
def judge() -> None:
    """Judge a partner's messages as they come in. Not in this release."""
    raise SetupFailed("judging an inbound partner is not in this release; `sekisho conntest run` is")


@click.command()
@click.option("-c", "--config", type=click.Path(exists=True, dir_okay=False), help="Settings.  [default: samples/]")
def demo(config: str | None) -> None:
    """Start a throw-away gateway and show a declaration from call-up to approval.

    Exit code 0 only if every expected reply arrived.
    """
    sys.exit(0 if asyncio.run(run_demo(_settings(config), terminal())) else 1)


COMMANDS: Final[Mapping[str, click.Command]] = {"send": send, "conntest": conntest, "demo": demo}
"""What ``sekisho`` adds to its commands, by name."""
