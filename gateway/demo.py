"""The demo: a throw-away gateway, a small in-house system, and a declaration from call-up to approval.

*Strategy.* What is shown are the shipped scenarios ``demo`` and ``lines``, run by the connection-test runner like any
other; this file and ``demo_lines`` only print them nicer. So the demo passes exactly if every expected reply came and
was as it has to be.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from sekisho.gateway.cli_text import table
from sekisho.gateway.clock import Clock
from sekisho.gateway.conntest.centre import CentreFailed, RunningCentre, throw_away_centre
from sekisho.gateway.conntest.reports import messages
from sekisho.gateway.conntest.runner import Result, StepResult, run_scenario
from sekisho.gateway.conntest.scenario import Again, Expect, Scenario, Send, find_scenario
from sekisho.gateway.conntest.terminal import print_message, print_problems
from sekisho.gateway.demo_lines import ask, find_clients, show_lines, show_threads
from sekisho.gateway.inhouse import InHouseSystem
from sekisho.gateway.inhouse_msh import EbmsEnd
from sekisho.handlers.tables import catalogue

__all__ = ["run_demo"]


async def run_demo(settings: Path, console: Console) -> bool:
    """Run and print the demo; whether every expected reply arrived. On failure the gateway's log is printed."""
    start = time.monotonic()
    scenario = find_scenario("demo")
    clients = await find_clients()
    async with InHouseSystem(catalogue()) as system, EbmsEnd(system, poster=clients.poster) as end:
        try:
            async with throw_away_centre(settings, system.address, ebms=end.url, sign=True) as centre:
                _print_opening(centre, system, console)
                exchange = 0

                def watch(step: StepResult) -> None:
                    nonlocal exchange
                    exchange += step.kind in {"send", "again"}
                    _print_step(step, scenario, exchange, console)

                first = await run_scenario(scenario, system, centre.target, now=Clock().now, watch=watch)
                listed = await _print_mailboxes(centre, console)
                second = await show_lines(system, centre, end, clients, console)
                told = await show_threads(centre, second.scenario, console)
                good = first.passed and second.passed and listed and told
                if not good:
                    console.print(Text("\nThe gateway's log:", style="bold"))
                    console.print(Text(centre.log), soft_wrap=True)
        except CentreFailed as failed:
            console.print(Text(f"The gateway did not start: {failed}", style="bold red"))
            console.print(Text(failed.log), soft_wrap=True)
            return False
    _print_closing([first, second], time.monotonic() - start, console)
    return good


def _print_opening(centre: RunningCentre, system: InHouseSystem, console: Console) -> None:
    console.print(Text("関所 sekisho: a declaration from call-up to approval", style="bold"))
    target = centre.target
    console.print(f"  the gateway, a process of its own   {target.host}:{target.port}  {target.centre}")
    console.print(f"  the in-house system's SMTP server   {system.address}")
    console.print("  → what the in-house system sends   ← what the gateway pushes back, filled items only\n")


def _print_step(step: StepResult, scenario: Scenario, exchange: int, console: Console) -> None:
    plan = scenario.steps[step.number - 1] if step.number <= len(scenario.steps) else None
    if step.kind in {"send", "again"}:
        if exchange > 1:
            console.print()
        console.rule(Text(f"{exchange}  {step.title} ", style="bold"), align="left", characters="─", style="dim")
    if isinstance(plan, Again):
        console.print(Text("    → the same mail, byte for byte", style="bold cyan"))
    for at, message in enumerate([] if isinstance(plan, Again) else messages(step)):
        note = ""
        if isinstance(plan, Send) and plan.body_of:
            note = f"its body is the {plan.body_of}, as it came"
        elif isinstance(plan, Expect) and isinstance(plan.expect, list) and not step.problems:
            note = "the same bytes and the same Message-ID as before" if plan.expect[at].repeats else ""
        print_message(replace(message, body=()) if note else message, console)
        if note:
            console.print(Text(f"      {note}", style="italic"))
    if isinstance(plan, Expect) and not step.problems and (plan.title or plan.expect == "none"):
        console.print(Text.assemble("    ", ("✓ ", "green"), plan.title or "nothing more came"))
    print_problems(step, console)


async def _print_mailboxes(centre: RunningCentre, console: Console) -> bool:
    """What ``sekisho mailbox list`` says of the gateway's store, oldest letter first; whether it could."""
    console.print()
    title = Text("The mailboxes, by sekisho mailbox list ", style="bold")
    console.rule(title, align="left", characters="─", style="dim")
    letters, problem = await ask(centre, "list")
    if letters is None:
        console.print(Text(problem), soft_wrap=True)
        return False
    columns = ("letter", "box", "user", "business_code", "output_code", "kind", "subject", "size", "state")
    rows = [[letter[column] for column in columns] for letter in reversed(letters)]
    heads = ("letter", "box", "user", "business", "output", "kind", "subject", "bytes", "state")
    for line in table(heads, rows, ">      > "):
        console.print(Text(f"    {line}"))
    return True


def _print_closing(results: Sequence[Result], seconds: float, console: Console) -> None:
    steps = [step for result in results for step in result.scenario.steps]
    wanted = [step.expect for step in steps if isinstance(step, Expect) and isinstance(step.expect, list)]
    sent = sum(isinstance(step, (Send, Again)) for step in steps)
    again = sum(isinstance(step, Again) for step in steps)
    console.print()
    if all(result.passed for result in results):
        text = f"{sent} requests sent, {again} of them repeats; {sum(map(len, wanted))} replies, all as expected"
        console.print(Text.assemble(("✓ ", "green"), (f"{text}, in {seconds:.1f} s", "bold")))
    else:
        failed = ", ".join(f"{one.number} ({one.title})" for result in results for one in result.steps if one.problems)
        console.print(Text(f"✗ not as expected: step {failed}", style="bold red"))
