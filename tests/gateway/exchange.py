"""What the tests of connection tests share: a scenario from its steps, a run of it, the samples' users."""

import textwrap
from datetime import datetime
from pathlib import Path

from sekisho.gateway.clock import JAPAN, Clock
from sekisho.gateway.conntest.runner import Result, Target, Verdict, run_scenario
from sekisho.gateway.conntest.scenario import Scenario, load_scenario
from sekisho.gateway.inhouse import InHouseSystem

ROOT = Path(__file__).parents[2]
SETTINGS = ROOT / "samples" / "gateway.toml"
NOON = datetime(2025, 10, 1, 12, 0, 0, tzinfo=JAPAN)
PARTIES = """\
name: {name}
parties:
  broker: {{address: 1ANAC1@SMTP.BROKER.SEKISHO.EXAMPLE, user: 1ANACA0A, password: SAMPLE01}}
  forwarder: {{address: 2BKOU1@SMTP.FORWARDER.SEKISHO.EXAMPLE, user: 2BKOUB0B, password: SAMPLE03}}
  warehouse: {{address: 5WHSE1@SMTP.WAREHOUSE.SEKISHO.EXAMPLE}}
within: 5
"""


def scenario(steps: str, *, name: str = "test", more: str = "", folder: Path = ROOT) -> Scenario:
    """A scenario of the samples' users with these steps; ``more`` is further text of its head."""
    text = PARTIES.format(name=name) + more + "steps:\n" + textwrap.indent(textwrap.dedent(steps).strip("\n"), "  ")
    return load_scenario(text, stem=name, folder=folder)


async def run(one: Scenario, system: InHouseSystem, target: Target, *, order: int = 0) -> Result:
    """Run it on the system clock."""
    return await run_scenario(one, system, target, now=Clock().now, order=order)


def problems(result: Result) -> list[str]:
    """Every problem of every step, as the terminal prints it."""
    return [str(problem) for step in result.steps for problem in step.problems]


def verdicts(result: Result) -> list[str]:
    """How each step ended, in one letter: p, f or n (not run)."""
    return [{Verdict.PASSED: "p", Verdict.FAILED: "f", Verdict.NOT_RUN: "n"}[step.verdict] for step in result.steps]
