"""The envelope: UNB, UNG, UNH, UNT, UNE, UNZ and what must be true between them.

*Strategy.* One state (in the interchange, in a group, in a message) and one table: for a state and a service tag the
actions to take, in order. An action is a method that reports what is wrong and changes the state; a missing trailer is
closed by the same action that its own trailer would have used, so counts stay right after an error.
"""

from __future__ import annotations

from typing import Final

from sekisho.codecs.edifact.directory import service, tables_for
from sekisho.codecs.edifact.elements import Fault, faults
from sekisho.codecs.edifact.findings import Finding, Findings, Level
from sekisho.codecs.edifact.judging import Judge
from sekisho.codecs.edifact.model import Group, Interchange, Message
from sekisho.codecs.edifact.opening import calendar_fault, interchange_faults, is_other_width
from sekisho.codecs.edifact.profile import Profile
from sekisho.codecs.edifact.references import References
from sekisho.codecs.edifact.scan import Start
from sekisho.codecs.edifact.segment import Segment
from sekisho.codecs.edifact.syntax import Syntax

__all__ = ["Envelope"]

_IN: Final = "interchange"
_GROUP: Final = "group"
_MESSAGE: Final = "message"

# State and tag -> what happens, in order. Methods are named _<action>.
TRANSITIONS: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    (_IN, "UNG"): ("open_group",),
    (_IN, "UNH"): ("open_message",),
    (_IN, "UNT"): ("stray",),
    (_IN, "UNE"): ("stray",),
    (_IN, "UNZ"): ("close_interchange",),
    (_GROUP, "UNG"): ("group_in_group", "open_group"),
    (_GROUP, "UNH"): ("open_message",),
    (_GROUP, "UNT"): ("stray",),
    (_GROUP, "UNE"): ("close_group",),
    (_GROUP, "UNZ"): ("miss_group_end", "close_interchange"),
    (_MESSAGE, "UNG"): ("miss_message_end", "again"),
    (_MESSAGE, "UNH"): ("miss_message_end", "open_message"),
    (_MESSAGE, "UNT"): ("close_message",),
    (_MESSAGE, "UNE"): ("miss_message_end", "again"),
    (_MESSAGE, "UNZ"): ("miss_message_end", "again"),
}
_LEVELS: Final = {
    "UNA": Level.INTERCHANGE, "UNB": Level.INTERCHANGE, "UNZ": Level.INTERCHANGE, "UNG": Level.GROUP,
    "UNE": Level.GROUP, "UNH": Level.MESSAGE, "UNT": Level.MESSAGE,
}  # fmt: skip


class Envelope:
    """The state machine over the service segments of a transmission."""

    def __init__(self, profile: Profile, findings: Findings, *, keep: bool) -> None:
        self.profile = profile
        self.findings = findings
        self.keep = keep
        self.interchanges: list[Interchange] = []
        self.current: Interchange | None = None
        self.group: Group | None = None
        self.message: Message | None = None
        self.judge: Judge | None = None
        self.number = 0
        """Segments of the open message so far; 0 outside one."""
        self.early = 0
        """Errors in the characters of a UNH that is about to be opened."""
        self.silent = False
        """Nothing can be read: the interchange is passed over without further errors."""
        self._place_of_message = 0
        self._outside = 0
        self._singles = 0
        self._mixed = False
        self._strayed = False
        self._messages_before = 0
        self._errors_before = 0
        self._judges: dict[tuple[str, ...], Judge | None] = {}
        self._unjudged: set[tuple[str, ...]] = set()
        self._references = References()
        self._group_references = References()
        self._message_mark = 0
        self._group_mark = 0
        self._start = 0

    # -- reporting ----------------------------------------------------------------------------------------------------

    @property
    def place(self) -> int:
        """Segments of the interchange so far, UNB included."""
        return self._place_of_message + self.number - 1 if self.number else self._outside

    def report(
        self,
        code: str,
        level: Level,
        offset: int,
        text: str,
        *,
        tag: str | None = None,
        segment: int | None = None,
        element: int | None = None,
        component: int | None = None,
        repeat: int | None = None,
        tolerated: bool = False,
    ) -> None:
        """Add a deviation at the present place; ``segment`` is its number in the message if it has one."""
        message = self.message
        place = self._place_of_message + segment - 1 if segment and message is not None else self.place
        finding = Finding(
            code=code,
            level=level,
            interchange=max(len(self.interchanges), 1),
            offset=offset,
            text=text,
            tag=tag,
            message=message.number if message is not None else None,
            group=self.group.number if self.group is not None else None,
            segment=segment if message is not None else None,
            place=place,
            element=element,
            component=component,
            repeat=repeat,
        )
        self.findings.add(finding, tolerated=tolerated)

    def _upper(self) -> Level:
        return Level.GROUP if self.group is not None else Level.INTERCHANGE

    def level_of(self, tag: str) -> Level:
        """Where an error in a segment is reported."""
        return _LEVELS.get(tag, Level.ELEMENT)

    # -- an interchange -----------------------------------------------------------------------------------------------

    def begin(self, start: Start) -> None:
        """UNA or UNB has been seen; UNB itself comes as the first segment."""
        self.current = Interchange(len(self.interchanges) + 1, start.syntax, start.offset, start.una)
        self.interchanges.append(self.current)
        self.group = self.message = self.judge = None
        self.number = self._outside = self._singles = 0
        self._mixed = self._strayed = False
        self._judges.clear()
        self._references.clear()
        self._group_references.clear()
        self._start = self.findings.count
        for code, tag, offset, text, tolerated in start.problems:
            self.report(code, Level.INTERCHANGE, offset, text, tag=tag, tolerated=tolerated)
        self.silent = not start.readable

    def open_interchange(self, text: str, offset: int) -> None:
        """UNB."""
        self._outside += 1
        current = self.current
        if self.silent or current is None:
            return
        unb = Segment(text, offset, 0, current.syntax)
        current.sender, current.recipient = unb.parts(1), unb.parts(2)
        current.date, current.time = (*unb.parts(3), "", "")[:2]
        firsts = [element if isinstance(element, str) else element[0] for element in unb.elements] + [""] * 11
        current.reference, current.application = firsts[4], firsts[6]
        current.acknowledge, current.agreement, current.test = firsts[8:11]
        known = interchange_faults(unb, current, self.profile)
        for code, element, component, text_, tolerated in known:
            at = offset + unb.distance(element, component)
            self.report(
                code, Level.INTERCHANGE, at, text_, tag="UNB", element=element, component=component, tolerated=tolerated
            )
        told = {(element, component) for _, element, component, _, _ in known}
        self.check_elements(text, offset, current.syntax, told)
        bad = calendar_fault(current.date, current.time)
        if bad is not None:
            at = offset + unb.distance(5, bad[0])
            self.report("12", Level.INTERCHANGE, at, bad[1], tag="UNB", element=5, component=bad[0])

    def check_elements(
        self, text: str, offset: int, syntax: Syntax, told: set[tuple[int, int | None]] | None = None
    ) -> bool:
        """Check a service segment by the service directory; whether it is good. ``told``: already reported places."""
        tag = text[:3]
        definition = service(syntax.version).definitions(syntax)[tag]
        if definition is None or definition.fast(text) is not None:
            return True
        good = True
        for fault in faults(text, definition.places, syntax, {}):
            if told and (fault.element, fault.component) in told and fault.code != "13":
                continue
            tolerated = self._tolerated(tag, fault, text, syntax)
            good = good and tolerated
            level = self.level_of(tag)
            if tag == "UNH" and fault.code == "13" and fault.element == 2:
                # Without 0062 a UCM cannot name the message: one level up.
                level = self._upper()
            self.report(
                fault.code,
                level,
                offset + syntax.size(text[: fault.at]),
                f"{tag}: {fault.text}",
                tag=tag,
                segment=self.number or None,
                element=fault.element,
                component=fault.component,
                repeat=fault.repeat,
                tolerated=tolerated,
            )
        return good

    def _tolerated(self, tag: str, fault: Fault, text: str, syntax: Syntax) -> bool:
        """The other width of a date, and a repetition separator inside the ids of UNB, are read anyway."""
        if tag not in ("UNB", "UNG"):
            return False
        if fault.code == "35":
            return fault.element in (3, 4)
        return fault.element == 5 and fault.component == 1 and is_other_width(fault.code, text, syntax)

    def end(self, offset: int, *, closed: bool) -> None:
        """The interchange is over, after UNZ or without it."""
        current = self.current
        if current is None:
            return
        if not closed and not self.silent:
            if self.message is not None:
                self._miss_message_end("", offset, offset)
            if self.group is not None:
                self._miss_group_end("", offset, offset)
            text = "UNZ is missing: the interchange ends without it"
            self.report("13", Level.INTERCHANGE, offset, text, tag="UNZ")
        current.closed = closed
        current.end = offset
        current.segments = self._outside
        current.errors = self.findings.count - self._start
        self.current = None

    # -- the table ----------------------------------------------------------------------------------------------------

    def service_segment(self, tag: str, text: str, offset: int, end: int) -> int:
        """Take UNG, UNH, UNT, UNE or UNZ; the segment's number in its message, 0 outside one."""
        if self.silent:
            self._outside += 1
            return 0
        state = _MESSAGE if self.message is not None else _GROUP if self.group is not None else _IN
        number = 0
        for action in TRANSITIONS[state, tag]:
            if action == "again":
                return self.service_segment(tag, text, offset, end)
            number = getattr(self, f"_{action}")(text, offset, end)
        return number

    def _stray(self, text: str, offset: int, _end: int) -> int:
        self._outside += 1
        tag = text[:3]
        header = "UNH" if tag == "UNT" else "UNG"
        self.report("33", self._upper(), offset, f"{tag} without {header}; add the header or leave it out", tag=tag)
        return 0

    def _open_group(self, text: str, offset: int, _end: int) -> int:
        current = self._here()
        self._outside += 1
        self._strayed = False
        current.groups += 1
        if self._singles:
            self._mix(offset, "UNG")
        elif self.profile.groups == "forbidden":
            self.report("17", Level.INTERCHANGE, offset, "groups are not agreed; send messages without UNG", tag="UNG")
        ung = Segment(text, offset, 0, current.syntax)
        version = ung.parts(6)
        self.group = Group(current.groups, ung.get(4), ung.get(0), ung.parts(1), ung.parts(2), version, offset)
        self._group_mark = self.findings.count
        self._messages_before = current.messages
        self._references.clear()
        self.check_elements(text, offset, current.syntax)
        bad = calendar_fault(ung.get(3), ung.get(3, 1))
        if bad is not None:
            at = offset + ung.distance(5, bad[0])
            self.report("12", Level.GROUP, at, bad[1], tag="UNG", element=5, component=bad[0])
        if self.group.reference and not self._group_references.add(self.group.reference):
            what = f"group reference {self.group.reference} was used before in this interchange"
            self.report("26", Level.GROUP, offset, what, tag="UNG", element=6)
        if self.profile.group_password is not None and ung.get(7) != self.profile.group_password:
            what = "the password of the group is not the agreed one"
            self.report("12", Level.GROUP, offset, what, tag="UNG", element=9)
        return 0

    def _group_in_group(self, text: str, offset: int, end: int) -> int:
        """After messages the UNE is missing; before any, a group stands inside a group."""
        group = self.group
        if group is not None and group.messages == 0:
            self.report("33", Level.INTERCHANGE, offset, "UNG inside a group; close the first one with UNE", tag="UNG")
            self._leave_group()
        else:
            self._miss_group_end(text, offset, end)
        return 0

    def _miss_group_end(self, _text: str, offset: int, _end: int) -> int:
        self.report("13", Level.GROUP, offset, "UNE is missing: the group is not closed", tag="UNE")
        self._leave_group()
        return 0

    def _close_group(self, text: str, offset: int, _end: int) -> int:
        group, current = self.group, self._here()
        self._outside += 1
        self._strayed = False
        if group is None:
            return 0
        une = Segment(text, offset, 0, current.syntax)
        if group.messages == 0:
            self.report("32", Level.GROUP, offset, "the group has no message; leave it out", tag="UNG")
        self._trailer(une, group.messages, group.reference, "messages", Level.GROUP)
        self._leave_group()
        return 0

    def _leave_group(self) -> None:
        group, current = self.group, self._here()
        if group is not None:
            group.errors = self.findings.count - self._group_mark
            if group.errors:
                current.groups_rejected[group.number] = group
        self.group = None

    def _trailer(self, trailer: Segment, count: int, reference: str, what: str, level: Level) -> None:
        """Count and reference of UNT, UNE or UNZ against what was received."""
        tag, offset = trailer.tag, trailer.offset
        number = self.number or None
        self.check_elements(trailer.text, offset, trailer.syntax)
        said, again = trailer.get(0), trailer.get(1)
        if said.isascii() and said.isdigit() and len(said) <= 10 and int(said) != count:
            counted = f"{tag} counts {said} {what}, received were {count}; send the true count"
            self.report("29", level, offset + 4, counted, tag=tag, segment=number, element=2)
        # Trailing spaces are to be suppressed, and accepted where they are not.
        if again and again.rstrip(" ") != reference.rstrip(" "):
            at = offset + trailer.distance(3)
            differ = f"reference {again!r} of {tag} differs from {reference!r} of its header; send the same"
            self.report("28", level, at, differ, tag=tag, segment=number, element=3)

    def _mix(self, offset: int, tag: str) -> None:
        if not self._mixed:
            self._mixed = True
            text = "groups and messages outside groups in one interchange; use one or the other"
            self.report("30", Level.INTERCHANGE, offset, text, tag=tag)

    # -- messages -----------------------------------------------------------------------------------------------------

    def _open_message(self, text: str, offset: int, _end: int) -> int:
        current = self._here()
        syntax = current.syntax
        self._strayed = False
        unh = Segment(text, offset, 1, syntax)
        current.messages += 1
        group = self.group
        message = Message(current.messages, unh.get(0), unh.parts(1), offset, group.number if group else None)
        message.access = unh.get(2)
        self._message_mark = self.findings.count - self.early
        self.early = 0
        self._place_of_message = self._outside + 1
        self.number = 1
        self.message = message
        if group is None:
            self._singles += 1
            if current.groups:
                self._mix(offset, "UNH")
            elif self.profile.groups == "required":
                self.report("17", Level.INTERCHANGE, offset, "groups are agreed; send messages inside UNG", tag="UNH")
        else:
            group.messages += 1
        self.check_elements(text, offset, syntax)
        if message.reference and not self._references.add(message.reference):
            level = "group" if group else "interchange"
            what = f"message reference {message.reference} was used before in this {level}"
            self.report("26", Level.MESSAGE, offset + 4, what, tag="UNH", segment=1, element=2)
        self._check_sequence(unh)
        if group is not None:
            self._check_group_of(message, group, offset)
        self._choose(message, offset)
        if self.profile.max_messages is not None and current.messages == self.profile.max_messages + 1:
            text = f"more than {self.profile.max_messages} messages; send them in several interchanges"
            self.report("18", Level.INTERCHANGE, offset, text, tag="UNH")
        return 1

    def _check_sequence(self, unh: Segment) -> None:
        sequence, letter = (*unh.parts(3), "", "")[:2]
        if not sequence and not letter:
            return
        at = unh.offset + unh.distance(5)
        if not self.profile.partial:
            what = "messages in parts (S010) are not agreed"
            self.report("15", Level.MESSAGE, at, what, tag="UNH", segment=1, element=5)
            return
        if sequence.isascii() and sequence.isdigit() and not int(sequence):
            text = "UNH: the sequence of a transfer counts from 1"
            self.report("12", Level.MESSAGE, at, text, tag="UNH", segment=1, element=5, component=1)
        if len(letter) == 1 and letter.isalpha() and letter not in "CF":
            text = "UNH: element 0073 is C (first part) or F (last part)"
            self.report("12", Level.MESSAGE, at, text, tag="UNH", segment=1, element=5, component=2)

    def _check_group_of(self, message: Message, group: Group, offset: int) -> None:
        v4 = self._here().syntax.version == "4"
        if group.type and message.type != group.type and not v4:
            text = f"a {message.type} in a group of {group.type}; a group holds one message type"
            self.report("31", Level.GROUP, offset, text, tag="UNH", segment=1, element=3, component=1)
        asked = group.version
        if len(asked) >= 2 and message.version[:2] != asked[:2]:
            text = f"version {'.'.join(message.version[:2])} differs from {'.'.join(asked[:2])} of its group's UNG"
            self.report("12", Level.MESSAGE, offset, text, tag="UNH", segment=1, element=3, component=2)

    def _choose(self, message: Message, offset: int) -> None:
        """Find the tables that judge the message."""
        profile, syntax = self.profile, self._here().syntax
        self.judge = None
        self._here().types.add(message.type)
        if profile.messages and message.type not in profile.messages:
            text = f"message type {message.type} is not supported here"
            self.report("14", Level.MESSAGE, offset, text, tag="UNH", segment=1, element=3, component=1)
        elif profile.agreed_messages and message.type not in profile.agreed_messages:
            text = f"no agreement to send {message.type}"
            self.report("17", Level.MESSAGE, offset, text, tag="UNH", segment=1, element=3, component=1)
        if not profile.validate:
            return
        key = message.identifier[:4]
        if key not in self._judges:
            tables = tables_for(message.type, *message.version, profile.directories.get(message.type))
            if tables is None and key not in self._unjudged:
                self._unjudged.add(key)
                what = ":".join(key)
                text = f"no tables for {what}: only the envelope of such messages was checked"
                finding = Finding("14", Level.MESSAGE, self._here().number, offset, text, "UNH", message.number)
                self.findings.note(finding)
            if len(self._judges) > 32:
                self._judges.clear()
            self._judges[key] = (
                None if tables is None else Judge(message.type, tables, syntax, profile.code_lists, self.report)
            )
        self.judge = self._judges[key]
        if self.judge is not None:
            self.judge.begin()
            message.directory = self.judge.name

    def _miss_message_end(self, _text: str, offset: int, _end: int) -> int:
        self.report(
            "13", Level.MESSAGE, offset, "UNT is missing: the message is not closed", tag="UNT", segment=self.number
        )
        self._leave_message(offset)
        return 0

    def _close_message(self, text: str, offset: int, end: int) -> int:
        message, current = self.message, self._here()
        if message is None:
            return 0
        self.number += 1
        number = self.number
        if self.judge is not None:
            self.judge.end(number, offset)
        unt = Segment(text, offset, number, current.syntax)
        self._trailer(unt, number, message.reference, "segments", Level.MESSAGE)
        self._leave_message(end)
        return number

    def _leave_message(self, end: int) -> None:
        message, current = self.message, self._here()
        self._outside = self.place
        if message is not None:
            message.end, message.count = end, self.number
            message.errors = self.findings.count - self._message_mark
            if message.errors:
                current.rejected[message.number] = message
            if self.keep:
                current.listed.append(message)
        self.message = self.judge = None
        self.number = 0

    # -- UNZ ----------------------------------------------------------------------------------------------------------

    def _close_interchange(self, text: str, offset: int, _end: int) -> int:
        current = self._here()
        self._outside += 1
        self._strayed = False
        unz = Segment(text, offset, 0, current.syntax)
        if not current.messages and not current.groups:
            self.report("32", Level.INTERCHANGE, offset, "the interchange has no message or group", tag="UNZ")
        count = current.groups or current.messages
        what = "groups" if current.groups else "messages"
        if self._mixed:
            said = unz.get(0)
            count = int(said) if said.isascii() and said.isdigit() and len(said) < 11 else count
        self._trailer(unz, count, current.reference, what, Level.INTERCHANGE)
        return 0

    def outside(self, tag: str, offset: int) -> None:
        """A segment that is in no message; a run of them is one error."""
        self._outside += 1
        if not self._strayed and not self.silent:
            self._strayed = True
            text = f"{tag} stands outside a message; only UNG, UNH, UNE and UNZ may stand here"
            self.report("33", self._upper(), offset, text, tag=tag)

    def _here(self) -> Interchange:
        if self.current is None:
            raise RuntimeError("no interchange is open")
        return self.current
