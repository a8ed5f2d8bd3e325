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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from sekisho.codecs.header import BODY_START
from sekisho.codecs.message import Message, read_message
from sekisho.codecs.mime import is_interchange
from sekisho.gateway.conntest.edifact import answers, judge_interchange
from sekisho.gateway.conntest.judging import Problem, captured, judge, result_codes
from sekisho.gateway.conntest.scenario import (
    DAYS,
    VARIABLE,
    Again,
    Expect,
    Party,
    Patch,
    Receiver,
    Reply,
    Scenario,
    Send,
    Step,
)
from sekisho.gateway.inhouse import Arrival, InHouseSystem, Submission, build_mail, build_request, submit

__all__ = ["Result", "StepResult", "Target", "Verdict", "run_scenario"]

_SURPLUS_SECONDS: Final = 0.2
"""How long the end of a scenario waits for replies that nobody expects."""

_AFTER_REFUSAL: Final = 1.0
"""How long other replies are still awaited after a notice that refuses: they may have overtaken it."""


class Verdict(enum.StrEnum):
    """How a step or a scenario ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Target:
    """The centre under test: where its SMTP listener is, and the address it takes mail for."""

    host: str
    port: int
    centre: str

    def __str__(self) -> str:
        return f"{self.centre} at {self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one step did. ``kind`` is send, again, expect, receiver or end.

    ``sent`` and ``submission`` are filled for a request;
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


class _Missing(Exception):
    """A step needs something that an earlier one did not bring; the text says what."""


@dataclass(frozen=True, slots=True)
class _Request:
    party: str
    mail: bytes
    message: Message

    def is_answered_by(self, arrival: Arrival) -> bool:
        """Whether a reply came to this request: by the tags, of an interchange by the references in it."""
        content = self.message.content
        if is_interchange(content):
            return arrival.is_interchange and answers(arrival.content, content)
        return arrival.carry == self.message.header.carry


@dataclass(slots=True)
class _Run:
    scenario: Scenario
    system: InHouseSystem
    target: Target
    tag: str
    began: datetime
    first: int
    variables: dict[str, str] = field(default_factory=dict)
    requests: dict[str, _Request] = field(default_factory=dict)
    replies: dict[str, Arrival] = field(default_factory=dict)
    taken: set[int] = field(default_factory=set)
    interchanges: list[bytes] = field(default_factory=list)
    sent: int = 0
    last: _Request | None = None

    def fill(self, text: str) -> str:
        """Put the values of ``${names}`` in. Raises :class:`_Missing` for one that nothing has given a value."""

        def value(found: re.Match[str]) -> str:
            name = found[1]
            days = DAYS.fullmatch(name)
            if days:
                return f"{self.began + timedelta(days=int(days[1] or 0)):%Y%m%d}"
            if name not in self.variables:
                raise _Missing(f"${{{name}}} has no value: the reply that was to bring it did not come")
            return self.variables[name]

        return VARIABLE.sub(value, text)

    def arrived(self) -> list[Arrival]:
        """What came since the scenario began and no step has taken."""
        return [one for one in self.system.arrivals[self.first :] if one.number not in self.taken]


async def run_scenario(
    scenario: Scenario,
    system: InHouseSystem,
    target: Target,
    *,
    now: Callable[[], datetime],
    order: int = 0,
    watch: Callable[[StepResult], None] | None = None,
) -> Result:
    """Run every step and give the result. ``now`` is Japan time; ``order`` tells scenarios apart that begin together.

    ``watch`` is called after every step. Never raises for what the other side does.
    """
    began = now()
    # 26 bytes of 電文引継情報: where from, when, which request. Unique in a run and against runs before it, because
    # the centre takes identical bytes with filled tags as one request.
    stem = re.sub("[^A-Z0-9]", "", scenario.stem.upper())[:6] or "TEST"
    tag = f"{stem}{began:%m%d%H%M%S}{began.microsecond // 1000:03d}{order % 100:02d}"
    run = _Run(scenario, system, target, tag, began, len(system.arrivals))
    # With seq behind it the 14 characters of an interchange reference (0020), unique for a month.
    reference = f"{began:%d%H%M%S}{began.microsecond // 1000:03d}"
    run.variables |= {"tag": tag, "now": f"{began:%Y%m%d%H%M}", "seq": "000", "ref": reference}
    steps: list[StepResult] = []
    for number, step in enumerate(scenario.steps, 1):
        start = time.monotonic()
        kind = type(step).__name__.lower()
        title = step.title or _title(step)
        try:
            if isinstance(step, Expect):
                done = await _expect(run, step, number, title)
            elif isinstance(step, Receiver):
                done = _receiver(run, step, number, title)
            else:
                done = await _send(run, step, number, title)
        except _Missing as missing:
            problem = Problem("step", "what it builds on", str(missing))
            done = StepResult(number, kind, title, Verdict.NOT_RUN, (problem,))
        except (ValueError, KeyError, OSError) as error:
            problem = Problem("step", "a message that can be written", str(error))
            done = StepResult(number, kind, title, Verdict.NOT_RUN, (problem,))
        done = replace(done, seconds=time.monotonic() - start)
        steps.append(done)
        if watch is not None:
            watch(done)
    system.refusing.difference_update(party.address.upper() for party in scenario.parties.values())
    if scenario.surplus == "refused":
        end = await _surplus(run, len(steps) + 1)
        if end is not None:
            steps.append(end)
            if watch is not None:
                watch(end)
    return Result(scenario, str(target), began, tuple(steps))


def _title(step: Step) -> str:
    if isinstance(step, Receiver):
        return f"{step.receiver} mail for {step.box or 'the first party'}"
    if isinstance(step, Send):
        return step.send
    if isinstance(step, Again):
        return f"{step.again} again"
    return "nothing more" if step.expect == "none" else ", ".join(reply.title or str(reply) for reply in step.expect)


def _receiver(run: _Run, step: Receiver, number: int, title: str) -> StepResult:
    name = step.box or next(iter(run.scenario.parties))
    change = run.system.refusing.add if step.receiver == "refuse" else run.system.refusing.discard
    change(run.scenario.parties[name].address.upper())
    return StepResult(number, "receiver", title, Verdict.PASSED)


async def _send(run: _Run, step: Send | Again, number: int, title: str) -> StepResult:
    if isinstance(step, Again):
        request = run.requests.get(step.again)
        if request is None:
            raise _Missing(f"the request {step.again!r} was not sent")
        kind = "again"
    else:
        request, kind = _written(run, step), "send"
        if step.as_:
            run.requests[step.as_] = request
    run.last = request
    party = run.scenario.parties[request.party]
    submission = await submit(
        run.target.host, run.target.port, request.mail, sender=party.address, recipient=run.target.centre
    )
    if submission.accepted:
        return StepResult(number, kind, title, Verdict.PASSED, (), request.message, submission)
    problem = Problem(str(run.target), "250 to the dot", f"came {submission}")
    return StepResult(number, kind, title, Verdict.FAILED, (problem,), request.message, submission)


def _written(run: _Run, step: Send) -> _Request:
    run.sent += 1
    run.variables["seq"] = f"{run.sent:03d}"
    name = step.from_ or next(iter(run.scenario.parties))
    party = run.scenario.parties[name]
    if step.file:
        content = (run.scenario.folder / run.fill(step.file)).read_bytes()
    elif step.hex:
        content = bytes.fromhex(step.hex)
    elif step.edifact:
        content = "\r\n".join(run.fill(step.edifact).split("\n")).encode("latin-1")
    else:
        content = _built(run, step, party)
    for patch in step.patch:
        content = _patched(content, patch, run.fill)
    message_id = f"<{run.tag}{run.sent:03d}@{party.address.partition('@')[2]}>" if step.message_id else ""
    mail = build_mail(content, sender=party.address, recipient=run.target.centre, message_id=message_id)
    if is_interchange(content):
        run.interchanges.append(content)
    return _Request(name, mail, read_message(content, run.system.catalogue, direction="in"))


def _built(run: _Run, step: Send, party: Party) -> bytes:
    body = None
    if step.body_of:
        if step.body_of not in run.replies:
            raise _Missing(f"the reply {step.body_of!r} did not come")
        body = run.replies[step.body_of].content[BODY_START:]
    header = {"carry": f"{run.tag}{run.sent:03d}", "input_id": f"{run.sent:010d}", "system": party.system}
    return build_request(
        run.system.catalogue,
        run.fill(step.send),
        user_id=party.user,
        password=party.password,
        items={
            id_: [run.fill(one) for one in value] if isinstance(value, list) else run.fill(value)
            for id_, value in step.items.items()
        },
        body=body,
        layout=step.layout,
        header=header | {key: run.fill(value) for key, value in step.header.items()},
    )


def _patched(content: bytes, patch: Patch, fill: Callable[[str], str]) -> bytes:
    if patch.length:
        content = content[:392] + fill(patch.length).encode("ascii").rjust(6)[:6] + content[398:]
    if patch.at:
        new = bytes.fromhex(patch.hex) if patch.hex else fill(patch.text).encode("ascii")
        content = content[: patch.at - 1].ljust(patch.at - 1) + new + content[patch.at - 1 + len(new) :]
    if patch.cut:
        content = content[: -patch.cut]
    return content + bytes.fromhex(patch.append)


async def _expect(run: _Run, step: Expect, number: int, title: str) -> StepResult:
    seconds = step.within or run.scenario.within
    if step.expect == "none":
        return await _silence(run, seconds, number, title)
    request = run.requests.get(step.of) if step.of else run.last
    if request is None:
        raise _Missing(f"the request {step.of!r} was not sent" if step.of else "nothing was sent")
    wanted = step.expect
    for reply in wanted:
        if reply.repeats and reply.repeats not in run.replies:
            raise _Missing(f"the reply {reply.repeats!r} did not come the first time")
    await run.system.wait(lambda _: _settled(run, wanted, request), seconds)
    if None in _matched(run, wanted, request):
        await run.system.wait(lambda _: None not in _matched(run, wanted, request), min(_AFTER_REFUSAL, seconds))
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


def _settled(run: _Run, wanted: Sequence[Reply], request: _Request) -> bool:
    """Whether all came, or a refusal came, after which nothing else will."""
    if None not in _matched(run, wanted, request):
        return True
    ours = (one for one in run.arrived() if not one.is_interchange and request.is_answered_by(one))
    return any(one.message.header.kind == "R" and result_codes(one.message)[:1] != ["00000-0000-0000"] for one in ours)


def _matched(run: _Run, wanted: Sequence[Reply], request: _Request) -> list[Arrival | None]:
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


def _absent(run: _Run, reply: Reply, request: _Request, seconds: float, found: Sequence[Arrival]) -> Problem:
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


def _own(run: _Run) -> list[Arrival]:
    """Arrivals with this run's tags, or answers to its interchanges, that no step has taken."""
    return [
        one
        for one in run.arrived()
        if one.carry.startswith(run.tag.encode("ascii"))
        or (one.is_interchange and any(answers(one.content, sent) for sent in run.interchanges))
    ]


async def _silence(run: _Run, seconds: float, number: int, title: str) -> StepResult:
    await run.system.wait(lambda _: _own(run), seconds)
    surplus = _own(run)
    run.taken.update(one.number for one in surplus)
    problems = tuple(Problem("silence", f"no reply for {seconds:g} s", f"came {_described(one)}") for one in surplus)
    verdict = Verdict.FAILED if problems else Verdict.PASSED
    return StepResult(number, "expect", title, verdict, problems, received=tuple(surplus))


async def _surplus(run: _Run, number: int) -> StepResult | None:
    """A failed step for replies that no step expected; None if there are none."""
    await run.system.wait(lambda _: _own(run), _SURPLUS_SECONDS)
    surplus = _own(run)
    if not surplus:
        return None
    problems = tuple(Problem("end", "no reply that no step expects", f"came {_described(one)}") for one in surplus)
    return StepResult(number, "end", "no surplus replies", Verdict.FAILED, problems, received=tuple(surplus))
