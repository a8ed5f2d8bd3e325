"""Running a scenario: send, wait, judge, step by step.

*Strategy.* Replies are matched as in-house systems match them: by box and 電文引継情報, never by order of arrival (wire
reference 2.4). Every run has tags of its own, so scenarios can run side by side, and against a centre in use, without
taking each other's replies. A failed step does not end the scenario: what still makes sense is run, and a step that
needs something which never came is *not run* and says what it lacks.
"""

from __future__ import annotations

import enum
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sekisho.codecs.header import BODY_START
from sekisho.codecs.message import Message
from sekisho.gateway.conntest.edifact import answers, judge_interchange
from sekisho.gateway.conntest.judging import Problem, captured, judge, result_codes
from sekisho.gateway.conntest.lines import Fetcher, Lines, Target
from sekisho.gateway.conntest.requests import Missing, Request, Run, written
from sekisho.gateway.conntest.scenario import Again, Expect, Look, Move, Receiver, Reply, Scenario, Send, Step
from sekisho.gateway.inhouse import Arrival, InHouseSystem, Submission
from sekisho.gateway.inhouse_doors import LineError
from sekisho.gateway.inhouse_msh import EbmsEnd

__all__ = ["Mover", "Result", "StepResult", "Target", "Verdict", "run_scenario"]

_SURPLUS_SECONDS: Final = 0.2
"""How long the end of a scenario waits for replies that nobody expects."""

_YES: Final = {
    "two-way": "250 to the dot", "mail": "250 to the dot", "sftp": "the file stored", "ebms": "an answer of 200",
}  # fmt: skip
"""What the lines say when a message has been taken."""

_AFTER_REFUSAL: Final = 1.0
"""How long other replies are still awaited after a notice that refuses: they may have overtaken it."""


Mover = Callable[[str], Awaitable[None]]
"""Moves the centre's clock as a step says, and comes back when what was due on the way has happened."""


class Verdict(enum.StrEnum):
    """How a step or a scenario ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one step did. ``kind`` is send, again, expect, receiver, look, clock or end.

    ``sent``, ``submission`` and ``line`` (by which it went) are filled for a request;
    ``received`` are the replies that an expectation took, in the order they are written in the scenario; ``seconds`` is
    how long the step took. ``problems`` are empty only if it passed.
    """

    number: int
    kind: str
    title: str
    verdict: Verdict
    problems: tuple[Problem, ...] = ()
    sent: Message | None = None
    submission: Submission | None = None
    received: tuple[Arrival, ...] = ()
    seconds: float = 0.0
    line: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What a scenario came to. ``began`` is Japan time; ``target`` the centre in words."""

    scenario: Scenario
    target: str
    began: datetime
    steps: tuple[StepResult, ...]

    @property
    def passed(self) -> bool:
        """Whether every step passed."""
        return all(step.verdict is Verdict.PASSED for step in self.steps)

    @property
    def seconds(self) -> float:
        """How long its steps took together."""
        return sum(step.seconds for step in self.steps)


async def run_scenario(
    scenario: Scenario,
    system: InHouseSystem,
    target: Target,
    *,
    now: Callable[[], datetime],
    order: int = 0,
    watch: Callable[[StepResult], None] | None = None,
    fetchers: Mapping[str, Fetcher] | None = None,
    ebms: EbmsEnd | None = None,
    move: Mover | None = None,
) -> Result:
    """Run every step and give the result. ``now`` is Japan time; ``order`` tells scenarios apart that begin together.

    ``watch`` is called after every step; ``fetchers`` replace our own collectors by door; ``ebms`` is the end that the
    centre posts ebMS letters to; ``move`` moves the centre's clock. Never raises for what the other side does.
    """
    began = now()
    # 26 bytes of 電文引継情報: where from, when, which request. Unique in a run and against runs before it, because
    # the centre takes identical bytes with filled tags as one request.
    stem = re.sub("[^A-Z0-9]", "", scenario.stem.upper())[:6] or "TEST"
    tag = f"{stem}{began:%m%d%H%M%S}{began.microsecond // 1000:03d}{order % 100:02d}"
    # With seq behind it the 14 characters of an interchange reference (0020), unique for a month.
    reference = f"{began:%d%H%M%S}{began.microsecond // 1000:03d}"
    steps: list[StepResult] = []

    def note(done: StepResult) -> None:
        steps.append(done)
        if watch is not None:
            watch(done)

    first = next(iter(scenario.parties), "")
    looked = {(step.box or first, step.look) for step in scenario.steps if isinstance(step, Look)}
    async with Lines(target, system, scenario.parties, fetchers, ebms, looked) as lines:
        run = Run(scenario, system, target, lines, tag, began, len(system.arrivals))
        run.variables |= {"tag": tag, "now": f"{began:%Y%m%d%H%M}", "seq": "000", "ref": reference}
        for number, step in enumerate(scenario.steps, 1):
            note(await _tried(run, step, number, move))
        system.refusing.difference_update(party.address.upper() for party in scenario.parties.values())
        if scenario.surplus == "refused":
            end = await _surplus(run, len(steps) + 1)
            if end is not None:
                note(end)
    return Result(scenario, str(target), began, tuple(steps))


async def _tried(run: Run, step: Step, number: int, move: Mover | None) -> StepResult:
    """One step, whatever becomes of it."""
    start = time.monotonic()
    kind, title = type(step).__name__.lower(), step.title or _title(step)
    try:
        if isinstance(step, Move):
            done = await _move(step, number, title, move)
        else:
            done = await _done(run, step, number, title)
    except Missing as missing:
        problem = Problem("step", "what it builds on", str(missing))
        done = StepResult(number, kind, title, Verdict.NOT_RUN, (problem,))
    except LineError as error:
        problem = Problem("line", "letters to be fetched", str(error))
        done = StepResult(number, kind, title, Verdict.FAILED, (problem,))
    except (ValueError, KeyError, OSError) as error:
        problem = Problem("step", "a message that can be written", str(error))
        done = StepResult(number, kind, title, Verdict.NOT_RUN, (problem,))
    return replace(done, seconds=time.monotonic() - start)


async def _move(step: Move, number: int, title: str, move: Mover | None) -> StepResult:
    if move is None:
        raise Missing("only the clock of a centre that the test has started itself is moved")
    await move(step.clock)
    return StepResult(number, "clock", title, Verdict.PASSED)


async def _done(run: Run, step: Send | Again | Expect | Receiver | Look, number: int, title: str) -> StepResult:
    if isinstance(step, Expect):
        return await _expect(run, step, number, title)
    if isinstance(step, Receiver):
        return _receiver(run, step, number, title)
    if isinstance(step, Look):
        return await _look(run, step, number, title)
    return await _send(run, step, number, title)


def _title(step: Step) -> str:
    if isinstance(step, Move):
        return f"the clock goes {'on ' if 'T' not in step.clock else 'to '}{step.clock}"
    if isinstance(step, Look):
        return f"look into the box of {step.box or 'the first party'} by {step.look}"
    if isinstance(step, Receiver):
        return f"{step.receiver} mail for {step.box or 'the first party'}"
    if isinstance(step, Send):
        return step.send
    if isinstance(step, Again):
        return f"{step.again} again"
    return "nothing more" if step.expect == "none" else ", ".join(reply.title or str(reply) for reply in step.expect)


def _receiver(run: Run, step: Receiver, number: int, title: str) -> StepResult:
    name = step.box or next(iter(run.scenario.parties))
    change = run.system.refusing.add if step.receiver == "refuse" else run.system.refusing.discard
    change(run.scenario.parties[name].address.upper())
    return StepResult(number, "receiver", title, Verdict.PASSED)


async def _send(run: Run, step: Send | Again, number: int, title: str) -> StepResult:
    if isinstance(step, Again):
        request = run.requests.get(step.again)
        if request is None:
            raise Missing(f"the request {step.again!r} was not sent")
        kind = "again"
    else:
        request, kind = written(run, step), "send"
        if step.as_:
            run.requests[step.as_] = request
    run.last = request
    party = run.scenario.parties[request.party]
    other = step.box_password or None if isinstance(step, Send) else None
    line = run.lines.line(request.party, other)
    submission = await line.submit(request.packet)
    if other is not None:
        await line.close()
    wanted = step.refused if isinstance(step, Send) else ""
    problems = _judged(str(run.target), _YES[party.line], submission, wanted)
    verdict = Verdict.FAILED if problems else Verdict.PASSED
    return StepResult(number, kind, title, verdict, problems, request.message, submission, line=party.line)


def _judged(where: str, yes: str, submission: Submission, refused: str) -> tuple[Problem, ...]:
    if refused:
        good = not submission.accepted and submission.stage == refused
        return () if good else (Problem(where, f"a refusal at {refused}", f"came {submission}"),)
    return () if submission.accepted else (Problem(where, yes, f"came {submission}"),)


async def _look(run: Run, step: Look, number: int, title: str) -> StepResult:
    """How many letters wait at a door, and whether it lets in whom it should."""
    name, problems = step.box or next(iter(run.scenario.parties)), list[Problem]()
    try:
        found = await run.lines.waiting(name, step.look, step.box_password or None)
    except LineError as error:
        if step.refused != error.stage:
            problems.append(Problem(step.look, f"a refusal at {step.refused}" if step.refused else "to be let in",
                                    f"came {error}"))  # fmt: skip
    else:
        if step.refused:
            problems.append(Problem(step.look, f"a refusal at {step.refused}", "it was let in"))
        elif step.letters is not None and found != step.letters:
            problems.append(Problem(step.look, f"{step.letters} letters", f"there are {found}"))
    return StepResult(number, "look", title, Verdict.FAILED if problems else Verdict.PASSED, tuple(problems))


async def _expect(run: Run, step: Expect, number: int, title: str) -> StepResult:
    seconds = step.within or run.scenario.within
    if step.expect == "none":
        return await _silence(run, seconds, number, title)
    request = run.requests.get(step.of) if step.of else run.last
    if request is None:
        raise Missing(f"the request {step.of!r} was not sent" if step.of else "nothing was sent")
    wanted = step.expect
    for reply in wanted:
        run.lines.check(reply.box or request.party)
        if reply.repeats and reply.repeats not in run.replies:
            raise Missing(f"the reply {reply.repeats!r} did not come the first time")
    await run.lines.wait(lambda _: _settled(run, wanted, request), seconds)
    if None in _matched(run, wanted, request):
        await run.lines.wait(lambda _: None not in _matched(run, wanted, request), min(_AFTER_REFUSAL, seconds))
    found = _matched(run, wanted, request)
    problems: list[Problem] = []
    for reply, arrival in zip(wanted, found, strict=True):
        if arrival is None:
            problems.append(_absent(run, reply, request, seconds, [one for one in found if one is not None]))
            continue
        run.taken.add(arrival.number)
        if reply.as_:
            run.replies[reply.as_] = arrival
        if arrival.is_interchange:
            problems.extend(judge_interchange(arrival, reply, run.replies.get(reply.repeats), run.fill))
            continue
        problems.extend(judge(arrival, reply, request.message, run.replies.get(reply.repeats), run.fill))
        run.variables |= captured(arrival.message, reply)
    came = [one for one in found if one is not None]
    numbers = [one.number for one in came]
    if step.order == "given" and numbers != sorted(numbers):
        order = ", ".join(one.code for one in sorted(came, key=lambda one: one.number))
        problems.append(Problem("order", ", ".join(map(str, wanted)), f"came {order}"))
    verdict = Verdict.FAILED if problems else Verdict.PASSED
    return StepResult(number, "expect", title, verdict, tuple(problems), received=tuple(came))


def _settled(run: Run, wanted: Sequence[Reply], request: Request) -> bool:
    """Whether all came, or a refusal came, after which nothing else will."""
    if None not in _matched(run, wanted, request):
        return True
    ours = (one for one in run.arrived() if not one.is_interchange and request.is_answered_by(one))
    return any(one.message.header.kind == "R" and result_codes(one.message)[:1] != ["00000-0000-0000"] for one in ours)


def _matched(run: Run, wanted: Sequence[Reply], request: Request) -> list[Arrival | None]:
    """For each expected reply the first arrival nobody has taken that is for this box, these tags and this code."""
    used: set[int] = set()
    out: list[Arrival | None] = []
    for reply in wanted:
        box = run.scenario.parties[reply.box or request.party].address.upper()
        match = next(
            (
                one
                for one in run.arrived()
                if one.number not in used
                and one.box.upper() == box
                and (one.carry == b" " * 26 if reply.tags == "blank" else request.is_answered_by(one))
                and reply.names(one.code)
            ),
            None,
        )
        if match is not None:
            used.add(match.number)
        out.append(match)
    return out


def _absent(run: Run, reply: Reply, request: Request, seconds: float, found: Sequence[Arrival]) -> Problem:
    box = run.scenario.parties[reply.box or request.party].address
    others = [one for one in run.arrived() if one not in found and request.is_answered_by(one)]
    came = ", ".join(_described(one) for one in others) or "nothing else"
    return Problem(str(reply), f"in {box} within {seconds:g} s", f"came {came}")


def _described(arrival: Arrival) -> str:
    if arrival.is_interchange:
        return f"{arrival.code} in {arrival.box}"
    header = arrival.message.header
    first = arrival.message.content[BODY_START : BODY_START + 15].decode("ascii", "replace").strip()
    return f"{header.output_code} {first if header.kind == 'R' else header.kind} in {arrival.box}"


def _own(run: Run) -> list[Arrival]:
    """Arrivals with this run's tags, or answers to its interchanges, that no step has taken."""
    return [
        one
        for one in run.arrived()
        if one.carry.startswith(run.tag.encode("ascii"))
        or (one.is_interchange and any(answers(one.content, sent) for sent in run.interchanges))
    ]


async def _silence(run: Run, seconds: float, number: int, title: str) -> StepResult:
    await run.lines.wait(lambda _: _own(run), seconds)
    surplus = _own(run)
    run.taken.update(one.number for one in surplus)
    problems = tuple(Problem("silence", f"no reply for {seconds:g} s", f"came {_described(one)}") for one in surplus)
    verdict = Verdict.FAILED if problems else Verdict.PASSED
    return StepResult(number, "expect", title, verdict, problems, received=tuple(surplus))


async def _surplus(run: Run, number: int) -> StepResult | None:
    """A failed step for replies that no step expected; None if there are none."""
    try:
        await run.lines.wait(lambda _: _own(run), _SURPLUS_SECONDS)
    except LineError as error:
        problem = Problem("line", "letters to be fetched", str(error))
        return StepResult(number, "end", "no surplus replies", Verdict.FAILED, (problem,))
    surplus = _own(run)
    if not surplus:
        return None
    problems = tuple(Problem("end", "no reply that no step expects", f"came {_described(one)}") for one in surplus)
    return StepResult(number, "end", "no surplus replies", Verdict.FAILED, problems, received=tuple(surplus))
