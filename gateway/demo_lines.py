"""The second half of the demo: the same exchange by every line, and what the gateway knows of it.

*Strategy.* Who fetches is somebody else's program wherever this machine has one, and it is said which; and what
happened is told by ``sekisho mailbox thread``, not by the program that made it happen.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from sekisho.gateway.clock import Clock
from sekisho.gateway.conntest.centre import PROGRAM, RunningCentre
from sekisho.gateway.conntest.lines import Fetcher
from sekisho.gateway.conntest.reports import shown
from sekisho.gateway.conntest.runner import Result, StepResult, run_scenario
from sekisho.gateway.conntest.scenario import Again, Expect, Scenario, Send, find_scenario
from sekisho.gateway.conntest.terminal import print_problems
from sekisho.gateway.foreign import CurlPop3, OpenSshSftp, curl_post, program
from sekisho.gateway.inhouse import InHouseSystem
from sekisho.gateway.inhouse_msh import EbmsEnd, Poster

__all__ = ["Clients", "ask", "find_clients", "show_lines", "show_threads"]

_AT_ONCE: Final = 3
"""Commands that run at the same time: a machine has few processors."""


@dataclass(frozen=True, slots=True)
class Clients:
    """Who speaks for the in-house systems: other people's programs by name, empty where ours does it."""

    curl: str
    sftp: str

    @property
    def fetchers(self) -> dict[str, Fetcher]:
        """What replaces our collectors."""
        found: dict[str, Fetcher] = {}
        if self.curl:
            found["pop3"] = CurlPop3
        if self.sftp:
            found["sftp"] = OpenSshSftp
        return found

    @property
    def poster(self) -> Poster | None:
        """What replaces our HTTP client."""
        return curl_post if self.curl else None

    def words(self, party: str) -> str:
        """What one reads about a line before it is shown."""
        curl, sftp = self.curl or "our own client", self.sftp or "our own client"
        return {
            "two-way": "one message a connection; replies pushed to the in-house system's own server",
            "mail": f"STARTTLS, AUTH, one session; replies fetched by {curl}, with STLS",
            "sftp": f"put under a temporary name and renamed; replies taken by {sftp}",
            "ebms": f"posted and pulled by {curl}; signed and acknowledged both ways",
        }[party]


async def find_clients() -> Clients:
    """What this machine has."""
    return Clients(await program("curl"), await program("sftp"))


async def show_lines(
    system: InHouseSystem, centre: RunningCentre, end: EbmsEnd, clients: Clients, console: Console
) -> Result:
    """Run the shipped scenario ``lines`` and print it, a line at a time."""
    scenario = find_scenario("lines")
    titles = {"two-way": "Two-way SMTP", "mail": "Mail style, POP3", "sftp": "SFTP", "ebms": "ebMS 2.0"}
    shown_parties: set[str] = set()

    def watch(step: StepResult) -> None:
        plan = scenario.steps[step.number - 1] if step.number <= len(scenario.steps) else None
        if isinstance(plan, Send) and plan.from_ not in shown_parties:
            shown_parties.add(plan.from_)
            console.print(Text.assemble("\n  ", (titles[plan.from_], "bold"), f": {clients.words(plan.from_)}"))
        _print_step(step, plan, console)

    console.print()
    title = Text("The same by every line: CUSCAR → CUSRES, OLA → *SOLA and SAS1360 ", style="bold")
    console.rule(title, align="left", characters="─", style="dim")
    return await run_scenario(
        scenario, system, centre.target, now=Clock().now, watch=watch, fetchers=clients.fetchers, ebms=end
    )


def _print_step(step: StepResult, plan: object, console: Console) -> None:
    if step.sent is not None and isinstance(plan, (Send, Again)):
        again = "once more: " if isinstance(plan, Again) else ""
        sent = (f"→ {shown(step.sent, 'sent').code:8}", "bold cyan")
        console.print(Text.assemble("    ", sent, f"{again}{step.submission or ''}"), no_wrap=True)
    for arrival in step.received:
        message = shown(arrival.message, "received", arrival.box)
        said = " ".join(message.results[0]) if message.results else message.title
        way = "pushed" if arrival.line == "two-way" else f"by {arrival.line}"
        came = (f"← {message.code:8}", "bold magenta")
        console.print(Text.assemble("    ", came, f"{way}  {said}"), no_wrap=True)
    if isinstance(plan, Expect) and plan.expect == "none" and not step.problems:
        console.print(Text.assemble("    ", ("✓ ", "green"), plan.title))
    print_problems(step, console)


async def ask(centre: RunningCentre, *arguments: str) -> tuple[Any, str]:
    """What ``sekisho mailbox`` says of the gateway's store as JSON, and why not where it does not."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        *("mailbox", *arguments, "-c", str(centre.settings), "--data", str(centre.data), "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    if process.returncode:
        return None, errors.decode("utf-8", "replace").rstrip()
    return json.loads(output), ""


async def show_threads(centre: RunningCentre, scenario: Scenario, console: Console) -> bool:
    """One thread a request: who asked what, which letters it brought, how they left; whether all of them did."""
    console.print()
    title = Text("One thread per conversation, by sekisho mailbox thread ", style="bold")
    console.rule(title, align="left", characters="─", style="dim")
    count = sum(isinstance(step, Send) for step in scenario.steps)
    listed, problem = await ask(centre, "list", "--requests", "--limit", str(count))
    if listed is None:
        console.print(Text(problem), soft_wrap=True)
        return False
    some = asyncio.Semaphore(_AT_ONCE)

    async def thread(number: int) -> tuple[Any, str]:
        async with some:
            return await ask(centre, "thread", f"r{number}")

    threads = await asyncio.gather(*(thread(one["request"]) for one in reversed(listed)))
    for found, problem in threads:
        if found is None:
            console.print(Text(problem), soft_wrap=True)
        else:
            _print_thread(found, console)
    # A letter that no door has taken would be one that nobody has.
    return all(
        found is not None and found["letters"] and all(one["state"] == "delivered" for one in found["letters"])
        for found, _ in threads
    )


def _print_thread(found: Mapping[str, Any], console: Console) -> None:
    request, letters = found["request"], found["letters"]
    head = f"r{request['request']} {request['business_code']} of {request['user']} by {request['transport']}"
    result = f"{request['result']} {request['key']}".strip()
    repeats = sum(one["what"] == "request.repeated" for one in found["timeline"])
    again = f"; came {repeats + 1} times, done once" if repeats else ""
    came = _time(request["received_at"])
    console.print(Text.assemble(f"    {came}  ", (head, "bold"), f"  {result}{again}"), no_wrap=True)
    for letter in letters:
        left = _time(letter["delivered_at"]) if letter["delivered_at"] else "waits   "
        by = f"by {letter['door']}" if letter["door"] else letter["state"]
        text = f"letter {letter['letter']} {letter['output_code']:7} left {letter['box']} {by}"
        console.print(Text(f"    {left}    {text}"), no_wrap=True)


def _time(text: str) -> str:
    """The time of day of a moment."""
    return text.partition("T")[2].partition("+")[0] if "T" in text else text[11:]
