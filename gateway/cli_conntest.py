"""Commands that test a centre as an in-house system: ``conntest run``, ``conntest judge``, ``demo``.

Exit codes: 0 everything came as expected, 1 it did not, 2 the command, the scenario or the settings are wrong.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Final

import click
import msgspec

from sekisho.gateway.cli_send import CENTRE, LISTEN, MAIL_CENTRE, Trusting, trust_options
from sekisho.gateway.cli_text import SetupFailed
from sekisho.gateway.clock import JAPAN, Clock
from sekisho.gateway.conntest.centre import CentreFailed, default_settings, throw_away_centre
from sekisho.gateway.conntest.reports import write_html, write_junit
from sekisho.gateway.conntest.runner import Mover, Result, Target, run_scenario
from sekisho.gateway.conntest.scenario import Party, Scenario, ScenarioError, find_scenario
from sekisho.gateway.conntest.terminal import print_results, terminal
from sekisho.gateway.demo import run_demo
from sekisho.gateway.inhouse import InHouseSystem, split_address
from sekisho.gateway.inhouse_doors import Tls, parse_door
from sekisho.gateway.inhouse_ebms import load_agreements
from sekisho.gateway.inhouse_msh import EbmsEnd
from sekisho.handlers.tables import catalogue

__all__ = ["COMMANDS", "conntest", "demo"]


_DOORS: Final = {
    "mail": ("smtp", "smtps"), "pop3": ("pop3", "pop3s"), "sftp": ("sftp",), "ebms": ("ebms", "ebms+https"),
}  # fmt: skip
"""The doors besides the two-way one, and what their URLs begin with."""


def _two_way(text: str) -> tuple[str, int]:
    if "://" in text and not text.startswith("smtp://"):
        text = f"{text}: --to is the two-way door, smtp://host:port"
        raise SetupFailed(f"{text}; the others are --mail, --pop3, --sftp and --ebms")
    try:
        return split_address(text)
    except ValueError as error:
        raise SetupFailed(str(error)) from None


def _target(
    urls: Mapping[str, str | None], trusting: Trusting, centres: tuple[str, str], agreement: str
) -> Target | None:
    """The centre that runs already, from the doors that were named; None if none was."""
    doors = {}
    for name, schemes in _DOORS.items():
        if url := urls[name]:
            try:
                found = parse_door(url, schemes)
            except ValueError as error:
                raise SetupFailed(str(error)) from None
            doors[name] = trusting.at(found)
    two_way = urls["to"]
    if not doors and not two_way:
        return None
    host, port = _two_way(two_way) if two_way else next((door.host, door.port) for door in doors.values())
    try:
        agreements = tuple(load_agreements(Path(agreement))) if agreement else ()
    except ValueError as error:
        raise SetupFailed(str(error)) from None
    return Target(host, port, centres[0], doors, centres[1], agreements)


def _settings(path: str | None) -> Path:

    try:
        return Path(path) if path else default_settings()
    except FileNotFoundError as error:
        raise SetupFailed(str(error)) from None


@click.group()
def conntest() -> None:
    """Connection tests (接続試験): scripted exchanges with a judge and a report."""


@conntest.command("run")
@click.argument("scenario", nargs=-1, required=True)
@click.option("--to", metavar="URL", help="The centre: smtp://host:port.  [default: a throw-away gateway]")
@click.option("--mail", metavar="URL", help="Its mail-style door: smtp://host:port.")
@click.option("--pop3", metavar="URL", help="Where it is fetched by POP3: pop3://host:port.")
@click.option("--sftp", metavar="URL", help="Its SFTP door: sftp://host:port.")
@click.option("--ebms", metavar="URL", help="Its ebMS endpoint: ebms://host:port/path, ebms+https://host/path.")
@click.option("--agreement", default="", metavar="FILE.toml", help="With --ebms: [[ebms]] tables seen from this side.")
@trust_options
@click.option("--start", is_flag=True, help="Start a throw-away gateway (what happens without --to).")
@click.option("-c", "--config", type=click.Path(exists=True, dir_okay=False), help="Its settings.")
@click.option("--from", "sender", metavar="ADDRESS", help="Address of the scenario's first party.")
@click.option("--set", "changes", multiple=True, metavar="PARTY.FIELD=VALUE", help="Change a party: in-house.user=…")
@click.option("--centre", default=CENTRE, show_default=True, metavar="ADDRESS", help="RCPT TO, with --to.")
@click.option("--mail-centre", default=MAIL_CENTRE, show_default=True, metavar="ADDRESS", help="RCPT TO, with --mail.")
@click.option("--listen", metavar="HOST:PORT", help=f"Where replies are pushed to.  [default: {LISTEN} with --to]")
@click.option(
    "--listen-ebms", default="127.0.0.1:0", metavar="HOST:PORT", help="Where ebMS letters are posted to, path /msh."
)
@click.option("--report", type=click.Path(file_okay=False), metavar="DIR", help="For report.html and junit.xml.")
def run(
    scenario: tuple[str, ...], to: str | None, mail: str | None, pop3: str | None, sftp: str | None, ebms: str | None,
    agreement: str, tls: Tls | None, trust: str, known_hosts: str, insecure: bool, start: bool, config: str | None,
    sender: str | None, changes: tuple[str, ...], centre: str, mail_centre: str, listen: str | None, listen_ebms: str,
    report: str | None,
) -> None:  # fmt: skip
    """Run each SCENARIO: a YAML file, or a shipped one by name (導通確認 or link-check, demo).

    Exit code 0: all passed; 1: a step failed or was not run; 2: a scenario, option or setting is wrong.
    """
    urls = {"to": to, "mail": mail, "pop3": pop3, "sftp": sftp, "ebms": ebms}
    if any(urls.values()) and (start or config):
        raise click.UsageError("--to tests a centre that runs already; --start and -c start one: choose")
    scenarios = _scenarios(scenario, sender, changes)
    target = _target(urls, Trusting(tls, trust, known_hosts, insecure), (centre, mail_centre), agreement)
    ends = (listen or (LISTEN if to else "127.0.0.1:0"), listen_ebms)
    try:
        results = asyncio.run(_run(scenarios, target, _settings(config) if target is None else None, ends))
    except CentreFailed as failed:
        raise SetupFailed(f"{failed}\n{failed.log}") from None
    except OSError as error:
        raise SetupFailed(f"cannot listen on {ends[0]} or {ends[1]}: {error.strerror or error}") from None
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
            changed = msgspec.structs.replace(parties[name], **{key: value})
            parties[name] = msgspec.convert(msgspec.to_builtins(changed), Party)
        except (KeyError, TypeError):
            raise SetupFailed(f"--set {path}: {scenario.name} has no such party or field") from None
        except msgspec.ValidationError as error:
            raise SetupFailed(f"--set {path}={value}: {error}") from None
    return replace(scenario, parties=parties)


async def _run(
    scenarios: Sequence[Scenario], target: Target | None, settings: Path | None, ends: tuple[str, str]
) -> list[Result]:
    async with InHouseSystem(catalogue(), ends[0]) as system, EbmsEnd(system, ends[1]) as end:

        async def these(some: Sequence[Scenario], centre: Target, clock: str, move: Mover | None) -> list[Result]:
            now = (Clock(datetime.fromisoformat(clock).replace(tzinfo=JAPAN)) if clock else Clock()).now
            return [
                await run_scenario(one, system, centre, now=now, order=at, ebms=end, move=move)
                for at, one in enumerate(some)
            ]

        if target is not None:
            return await these(scenarios, target, "", None)
        if settings is None:
            raise RuntimeError("neither a centre to test nor settings to start one")
        results = []
        # One centre for all that take it at its own time, one for each that begins at a time of its own.
        for clock, some in groupby(scenarios, key=lambda one: one.clock):
            for group in [[one] for one in some] if clock else [list(some)]:
                async with throw_away_centre(settings, system.address, clock=clock, ebms=end.url) as centre:
                    results += await these(group, centre.target, clock, centre.move_clock)
        return results


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


COMMANDS: Final[Mapping[str, click.Command]] = {"conntest": conntest, "demo": demo}
"""What ``sekisho`` adds to its commands, by name."""
