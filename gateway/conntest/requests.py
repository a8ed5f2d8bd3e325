"""The requests of a run: what a step says becomes the bytes that its line sends.

*Strategy.* A request is packed once, when its step is first run; sending it again sends the same packet. A step that
needs something which an earlier one did not bring raises :class:`Missing` with what it lacks.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sekisho.codecs.envelope import Attachment
from sekisho.codecs.header import BODY_START
from sekisho.codecs.message import Message, read_message
from sekisho.codecs.mime import is_interchange
from sekisho.gateway.conntest.edifact import answers
from sekisho.gateway.conntest.lines import Lines, Target
from sekisho.gateway.conntest.scenario import DAYS, VARIABLE, Party, Patch, Scenario, Send
from sekisho.gateway.inhouse import Arrival, InHouseSystem, build_request
from sekisho.gateway.inhouse_doors import Packet

__all__ = ["Missing", "Request", "Run", "written"]


class Missing(Exception):
    """A step needs something that an earlier one did not bring; the text says what."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a party: what its line sends, and what that says."""

    party: str
    packet: Packet
    message: Message

    def is_answered_by(self, arrival: Arrival) -> bool:
        """Whether a reply came to this request: by the tags, of an interchange by the references in it."""
        content = self.message.content
        if is_interchange(content):
            return arrival.is_interchange and answers(arrival.content, content)
        return arrival.carry == self.message.header.carry


@dataclass(slots=True)
class Run:
    """A scenario under way: what was sent, what came, which values are known.

    ``tag`` begins 電文引継情報 of all its requests; ``first`` counts the arrivals before it; ``taken`` are the numbers
    of those that a step has taken.
    """

    scenario: Scenario
    system: InHouseSystem
    target: Target
    lines: Lines
    tag: str
    began: datetime
    first: int
    variables: dict[str, str] = field(default_factory=dict)
    requests: dict[str, Request] = field(default_factory=dict)
    replies: dict[str, Arrival] = field(default_factory=dict)
    taken: set[int] = field(default_factory=set)
    interchanges: list[bytes] = field(default_factory=list)
    sent: int = 0
    last: Request | None = None

    def fill(self, text: str) -> str:
        """Put the values of ``${names}`` in. Raises :class:`Missing` for one that nothing has given a value."""

        def value(found: re.Match[str]) -> str:
            name = found[1]
            days = DAYS.fullmatch(name)
            if days:
                return f"{self.began + timedelta(days=int(days[1] or 0)):%Y%m%d}"
            if name not in self.variables:
                raise Missing(f"${{{name}}} has no value: the reply that was to bring it did not come")
            return self.variables[name]

        return VARIABLE.sub(value, text)

    def arrived(self) -> list[Arrival]:
        """What came since the scenario began and no step has taken."""
        return [one for one in self.system.arrivals[self.first :] if one.number not in self.taken]


def written(run: Run, step: Send) -> Request:
    """The request of a step, packed for its party's line. Raises :class:`Missing`, ValueError, KeyError, OSError."""
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
    named = step.message_id or party.line != "two-way"  # only two-way senders were observed to give no Message-ID
    message_id = f"<{run.tag}{run.sent:03d}@{party.address.partition('@')[2]}>" if named else ""
    files = [Attachment(name, "text/plain", run.fill(text).encode()) for name, text in step.attach.items()]
    line = run.lines.line(name, step.box_password or None)
    if is_interchange(content):
        run.interchanges.append(content)
    packet = line.pack(content, message_id=message_id, files=files)
    return Request(name, packet, read_message(content, run.system.catalogue, direction="in"))


def _built(run: Run, step: Send, party: Party) -> bytes:
    body = None
    if step.body_of:
        if step.body_of not in run.replies:
            raise Missing(f"the reply {step.body_of!r} did not come")
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
