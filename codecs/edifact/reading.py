"""Read and judge transmissions: the loop over raw segments, and what callers get.

*Strategy.* An ordinary segment inside a message costs one set look-up (its tag with the separator behind it, seen
before and found good); everything else takes the slow way: service segments, damaged tags, text outside messages.
Characters, line ends and trailing separators are looked at only in batches whose scanner says that there is something.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from typing import Any, Final

from sekisho.codecs.edifact.envelope import Envelope
from sekisho.codecs.edifact.findings import Finding, Findings, Level
from sekisho.codecs.edifact.foreign import described
from sekisho.codecs.edifact.model import Report
from sekisho.codecs.edifact.profile import TOLERANT, Profile
from sekisho.codecs.edifact.scan import Batch, End, Gap, Garbage, Start, events
from sekisho.codecs.edifact.segment import LedSegment, Segment, SplitSegment
from sekisho.codecs.edifact.syntax import Syntax

__all__ = ["Walk", "read", "walk"]

_TAG: Final = re.compile("[A-Z][A-Z0-9]{2}")
_SERVICE: Final = frozenset(("UNG", "UNH", "UNT", "UNE", "UNZ"))
# Security and object segments of syntax version 4 (parts 5, 6 and 8): not supported.
_SECURITY: Final = frozenset(("USH", "USA", "USC", "USR", "UST", "USB", "USD", "USU", "USX", "USY", "UNO", "UNP"))
_BLANK: Final = " \t\r\n"
_KNOWN_TAGS: Final = 1024
_NOTHING: Final = -1
_LONG: Final = -2
"""Of a batch: no text is cut off; the same, and it is one long text."""
_NONE: Final = "\ue005"
"""No data holds it."""
_MOST_BLANKS: Final = 1 << 16
"""Bytes between interchanges that are kept for writing back."""


@lru_cache(maxsize=16)
def _good_tags(element: str) -> set[str]:
    """Tags, with the element separator behind them, that were found well-formed and no service segments."""
    del element
    return set()


class Walk:
    """Segments of a transmission in order, each with offset and number; ``report`` is complete when the walk is over.

    ``split`` splits every segment at once, which is quicker where all elements are looked at. ``build=False`` makes no
    Segment objects: the iterator is empty then, and only the report counts.
    """

    def __init__(
        self,
        data: bytes | Iterable[bytes],
        profile: Profile = TOLERANT,
        *,
        limit: int = 1000,
        build: bool = True,
        split: bool = False,
        keep: bool = False,
    ) -> None:
        self._split = split
        self._rows = False
        self._data = data
        self._profile = profile
        self._findings = Findings(limit, strict=profile.strict)
        self._envelope = Envelope(profile, self._findings, keep=keep)
        self._build = build
        self._keep = keep
        self._good: set[str] = set()
        self._noted_wrapped = False
        self._unterminated = False
        self._lead_bytes = b""
        self.trailer = b""
        """What follows the last segment, when the walk is over."""
        self.report = Report()

    def __iter__(self) -> Iterator[Segment]:
        """The segments; UNA is not one of them."""
        return chain.from_iterable(self._batches())

    def rows(self) -> Iterator[tuple[int, list[Any]]]:
        """The same as (offset, [tag, elements ...]): the quickest way to all values. To be called once, instead."""
        self._rows = True
        return chain.from_iterable(self._batches())

    def _item(self, segment: Segment) -> Any:  # noqa: ANN401 - a Segment, or a row
        return (segment.offset, [segment.tag, *segment.elements]) if self._rows else segment

    def _batches(self) -> Iterator[Iterator[Any]]:
        envelope = self._envelope
        size = 0
        opening = False
        for event in events(self._data, self._profile):
            if isinstance(event, Batch):
                yield self._batch(event, opening=opening)
                opening = False
            elif isinstance(event, Start):
                envelope.begin(event)
                self._good = _good_tags(event.syntax.element)
                self._noted_wrapped = self._unterminated = False
                opening = True
                self._lead_bytes += event.prefix
            elif isinstance(event, End):
                yield self._end(event, opening=opening)
                size = event.offset
                limit = self._profile.max_bytes
                if limit is not None and size > limit:
                    self._whole("18", size, f"more than {limit} bytes; send smaller interchanges")
                    break
            elif isinstance(event, Gap):
                if len(self._lead_bytes) < _MOST_BLANKS:
                    self._lead_bytes += event.raw
            else:
                self._garbage(event)
        if not envelope.interchanges and not self._findings.errors:
            self._whole("13", 0, "no interchange: there is nothing but white space", tag="UNB")
        found = self._findings
        report = self.report
        report.interchanges, report.errors, report.findings = envelope.interchanges, found.errors, found.findings
        self.trailer = self._lead_bytes
        report.error_count, report.left_out, report.size = found.count, found.left_out, size

    def _whole(self, code: str, offset: int, text: str, *, tag: str | None = None, tolerated: bool = False) -> None:
        """A deviation of the transmission itself."""
        interchange = max(len(self._envelope.interchanges), 1)
        self._findings.add(Finding(code, Level.INTERCHANGE, interchange, offset, text, tag), tolerated=tolerated)

    def _batch(self, batch: Batch, *, opening: bool) -> Iterator[Any]:
        envelope = self._envelope
        current = envelope.current
        if current is None:
            return
        syntax = current.syntax
        build, keep, good, lines = self._build, self._keep, self._good, batch.lines
        look = batch.characters or batch.trailing or lines
        most = self._profile.max_elements
        if opening and not look and batch.over == _NOTHING and len(batch.texts) > 1:
            # UNB takes the slow way, so that the rest need not.
            begin, first = batch.offset, syntax.size(batch.texts[0]) + 1
            yield from self._batch(Batch(batch.texts[:1], begin, False, False, False, _LONG), opening=True)
            yield from self._batch(Batch(batch.texts[1:], begin + first, False, False, False), opening=False)
            return
        number, judge = envelope.number, envelope.judge
        at = batch.offset
        lead = ""
        if not look and batch.over == _NOTHING and not opening and not keep:
            # The usual batch: nothing to look at, so only service segments and odd tags leave this loop.
            element, component, release = syntax.element, syntax.component, syntax.release or _NONE
            split, rows = self._split and not syntax.repetition, self._rows and not syntax.repetition
            for text in batch.texts:
                length = len(text)
                if number and text[:4] in good and length <= most:
                    number += 1
                    if judge is not None:
                        envelope.number = number
                        judge(text, number, at)
                    if rows:
                        if release in text or not text.isascii():
                            yield at, [text[:3], *syntax.split(text)]
                        elif component in text:
                            yield (
                                at,
                                [
                                    part.split(component) if component in part else part
                                    for part in text.split(element)
                                ],
                            )
                        else:
                            yield at, text.split(element)
                    elif split:
                        whole = SplitSegment(text, at, number, syntax)
                        if release in text or not text.isascii():
                            whole.elements = syntax.split(text)
                        else:
                            parts: list[Any] = text.split(element)
                            del parts[0]
                            if component in text:
                                parts = [part.split(component) if component in part else part for part in parts]
                            whole.elements = parts
                        yield whole
                    elif build:
                        segment = Segment(text, at, number, syntax)
                        yield self._item(segment) if self._rows else segment
                elif length > most:
                    envelope.number = number
                    one = Batch([text], at, characters=False, lines=False, trailing=False, over=_LONG)
                    yield from self._batch(one, opening=False)
                    number, judge = envelope.number, envelope.judge
                else:
                    envelope.number = number
                    here = self._special(text, at, at + syntax.size(text) + 1, syntax, batch)
                    number, judge = envelope.number, envelope.judge
                    if build:
                        yield self._item(Segment(text, at, here, syntax))
                at += length + 1 if text.isascii() else syntax.size(text) + 1
            envelope.number = number
            return
        for index, text in enumerate(batch.texts):
            start = begin = at
            length = len(text)
            at += length + 1 if text.isascii() else syntax.size(text) + 1
            if lines:
                bare = text.lstrip(_BLANK)
                if len(bare) != length:
                    lead = text[: length - len(bare)]
                    start += length - len(bare)
                    text = self._lead(text, bare, start)  # noqa: PLW2901 - what follows is about the bare segment
                if self._profile.unwrap and ("\n" in text or "\r" in text):
                    text = self._unwrapped(text, start)  # noqa: PLW2901 - same
            if index == batch.over or length > most:
                at += batch.over_size if index == batch.over else 0
                envelope.number = number
                if self._too_big(text, syntax, start, cut=index == batch.over):
                    number = envelope.number
                    continue
            if number and text[:4] in good:
                number += 1
                if look:
                    envelope.number = number
                    content = self._look(text, start, syntax, batch)
                    if judge is not None:
                        judge(text, number, start, content=content)
                elif judge is not None:
                    envelope.number = number
                    judge(text, number, start)
                if build:
                    segment = (
                        Segment(text, start, number, syntax) if start == begin else self._led(text, start, number, lead)
                    )
                    if keep and envelope.message is not None:
                        envelope.message.segments.append(segment)
                    yield self._item(segment)
                continue
            envelope.number = number
            message = envelope.message
            if opening:
                opening = False
                if look:
                    self._look(text, start, syntax, batch)
                envelope.open_interchange(text, start)
                here = 0
            else:
                here = self._special(text, start, at, syntax, batch)
            number, judge = envelope.number, envelope.judge
            if build:
                segment = Segment(text, start, here, syntax)
                if start != begin or self._lead_bytes:
                    segment = self._led(text, start, here, lead if start != begin else "")
                message = envelope.message or message
                if keep and here and message is not None:
                    message.segments.append(segment)
                yield self._item(segment)
        envelope.number = number

    def _led(self, text: str, offset: int, number: int, lead: str) -> Segment:
        """A segment with what stands before it."""
        before, self._lead_bytes = self._lead_bytes, b""
        current = self._envelope.current
        if current is None:
            raise RuntimeError("no interchange is open")
        return LedSegment(text, offset, number, current.syntax, before + lead.encode("latin-1"))

    def _lead(self, text: str, bare: str, offset: int) -> str:
        """White space before a segment: line ends are usual, anything else is a tolerance."""
        lead = text[: len(text) - len(bare)]
        if lead.strip("\r\n"):
            self._whole("18", offset - len(lead), "blanks between segments; leave them out", tolerated=True)
        return bare

    def _unwrapped(self, text: str, offset: int) -> str:
        if not self._noted_wrapped:
            self._noted_wrapped = True
            interchange = len(self._envelope.interchanges)
            what = "line ends inside segments were dropped (unwrap)"
            self._findings.note(Finding("21", Level.INTERCHANGE, interchange, offset, what, text[:3]))
        return text.replace("\r", "").replace("\n", "")

    def _too_big(self, text: str, syntax: Syntax, offset: int, *, cut: bool) -> bool:
        """Report a segment beyond the profile's limits; True if it was cut off and cannot be read."""
        limit = f"{self._profile.max_segment} bytes" if cut else f"{self._profile.max_elements} elements"
        if not cut and text.count(syntax.element) <= self._profile.max_elements:
            return False
        envelope = self._envelope
        if envelope.silent:
            return cut
        tag = text[:3]
        if cut and envelope.number:
            envelope.number += 1
        what = f"{tag} has more than {limit}"
        envelope.report("18", envelope.level_of(tag), offset, what, tag=tag, segment=envelope.number or None)
        return cut

    def _look(self, text: str, offset: int, syntax: Syntax, batch: Batch) -> bool:
        """Characters and trailing separators of one segment; False if its elements need no further check."""
        envelope = self._envelope
        if envelope.silent:
            return False
        tag = text[:3]
        number = envelope.number or None
        if batch.characters or "\n" in text or "\r" in text:
            found = syntax.unwanted.search(text)
            if found is not None:
                self._character(text, found.start(), offset, syntax)
            elif syntax.multibyte and not text.isascii() and not syntax.decodes(text):
                what = f"{tag}: bytes that are not valid {syntax.codec}"
                envelope.report("21", envelope.level_of(tag), offset, what, tag=tag, segment=number, element=2)
        if len(text) > 3 and text[-1] in syntax.separators:
            if not text[3:].strip(syntax.separators):
                self._empty(tag, offset)
                return False
            if syntax.version == "4" and envelope.judge is None and tag not in ("UNB", *_SERVICE):
                at = len(text.rstrip(syntax.separators))
                self._trailing(text, at, offset, syntax)
        elif syntax.version == "4" and batch.trailing and envelope.judge is None and tag not in ("UNB", *_SERVICE):
            for piece in syntax.trailing:
                at = text.find(piece)
                if at >= 0:
                    self._trailing(text, at, offset, syntax)
                    break
        return True

    def _trailing(self, text: str, at: int, offset: int, syntax: Syntax) -> None:
        what = f"{text[:3]}: a separator with nothing behind it; leave it out"
        self._envelope.report(
            "45",
            Level.ELEMENT,
            offset + syntax.size(text[:at]),
            what,
            tag=text[:3],
            segment=self._envelope.number or None,
            element=text.count(syntax.element, 0, at) + 1,
        )

    def _character(self, text: str, at: int, offset: int, syntax: Syntax) -> None:
        """The first character outside the repertoire, and how many there are."""
        envelope = self._envelope
        more = len(syntax.unwanted.findall(text))
        tag = text[:3]
        shown = syntax.raw(text[at])[-1]
        where = offset + syntax.size(text[:at]) + len(syntax.raw(text[at])) - 1
        if shown == "\x1b" and syntax.identifier == "UNOX":
            text = "code extension by escape sequences (ISO 2022) is not supported; agree a charset"
            envelope.report("46", Level.INTERCHANGE, where, text, tag=tag, segment=envelope.number or None)
            return
        element = text.count(syntax.element, 0, at) + 1
        begin = text.rfind(syntax.element, 0, at) + 1
        end = text.find(syntax.element, at)
        whole = text[begin : end if end >= 0 else len(text)]
        component = text.count(syntax.component, begin, at) + 1 if syntax.component in whole else None
        what = f"{tag}: byte {ord(shown):#04x} is outside {syntax.identifier or 'the repertoire'}"
        if shown in "\r\n":
            what = f"{tag}: a line end inside the segment; break lines between segments only, or read with unwrap"
        if more > 1:
            what += f" ({more} such characters)"
        envelope.report(
            "21",
            envelope.level_of(tag),
            where,
            what,
            tag=tag,
            segment=envelope.number or None,
            element=element,
            component=component,
        )

    def _empty(self, tag: str, offset: int) -> None:
        envelope = self._envelope
        if tag in _SERVICE or tag == "UNB":
            return
        message = envelope.message
        # The airlines' own messages (PADIS) send bare tags.
        own = message is not None and envelope.judge is None and message.version[2] != "UN"
        envelope.report(
            "13",
            Level.ELEMENT,
            offset + 3,
            f"{tag} holds no data; leave the segment out",
            tag=tag,
            segment=envelope.number or None,
            element=2,
            tolerated=own,
        )

    def _special(self, text: str, start: int, end: int, syntax: Syntax, batch: Batch) -> int:
        """A segment off the usual way; its number in the message, 0 outside one."""
        envelope = self._envelope
        tag = text[:3]
        behind = text[3:4]
        if tag in _SERVICE and behind in ("", syntax.element):
            errors = self._findings.errors
            before = len(errors)
            if batch.characters or batch.lines:
                self._look(text, start, syntax, batch)
            found = len(errors)
            if tag != "UNH" or found == before:
                return envelope.service_segment(tag, text, start, end)
            # These errors belong to the message that begins here.
            envelope.early = found - before
            here = envelope.service_segment(tag, text, start, end)
            message = envelope.message
            if message is not None:
                for at in range(before, found):
                    errors[at] = replace(errors[at], message=message.number, group=message.group, segment=1)
            return here
        if tag == "UNA":
            envelope.report("22", Level.INTERCHANGE, start, "UNA stands only directly before UNB", tag="UNA")
            return 0
        if not text:
            if not envelope.silent:
                number = envelope.number or None
                what = "a terminator without a segment; leave it out"
                level = Level.SEGMENT if number else Level.INTERCHANGE
                envelope.report("15", level, start, what, segment=number)
            return 0
        if envelope.message is None:
            envelope.outside(tag, start)
            return 0
        envelope.number += 1
        number = envelope.number
        whole = _TAG.fullmatch(tag) is not None and behind in ("", syntax.element)
        if not whole:
            nested = _TAG.fullmatch(tag) is not None and behind == syntax.component
            code = "34" if nested and syntax.version != "4" else "15"
            what = f"{tag}: explicit nesting is not used here" if nested else f"{tag!r} is no segment tag"
            what += "; send three capital letters or digits and the element separator"
            envelope.report(code, Level.SEGMENT, start, what, tag=tag, segment=number)
            self._look(text, start, syntax, batch)
            return number
        if tag in _SECURITY:
            code = "47" if syntax.version == "4" else "27"
            what = f"{tag} is not supported; agree on messages without it"
            envelope.report(code, Level.MESSAGE, start, what, tag=tag, segment=number)
            return number
        content = True
        if behind:
            content = not (batch.characters or batch.lines or batch.trailing) or self._look(text, start, syntax, batch)
            if len(self._good) >= _KNOWN_TAGS:
                self._good.clear()
            self._good.add(text[:4])
        else:
            self._empty(tag, start)
            content = False
        if envelope.judge is not None:
            envelope.judge(text, number, start, content=content)
        return number

    def _end(self, event: End, *, opening: bool) -> Iterator[Any]:
        envelope = self._envelope
        current = envelope.current
        if current is None:
            return
        syntax = current.syntax
        closed = event.closed
        end = event.offset
        rest = event.rest
        if rest.strip(_BLANK + "\x00\x1a") and not envelope.silent:
            length = syntax.size(rest)
            if syntax.release and rest.endswith(syntax.release):
                what = "the data ends in a release character"
                self._whole("18", end + length - 1, what)
            what = "the last segment has no terminator; the data may be cut off"
            self._whole("13", end + length, what, tag="UNZ")
            batch = Batch([rest.rstrip(_BLANK)], end, bool(rest), lines=True, trailing=True)
            yield from self._batch(batch, opening=opening)
            end += length
            closed = rest.lstrip(_BLANK).startswith("UNZ")
        envelope.end(end, closed=closed)

    def _garbage(self, event: Garbage) -> None:
        code, what, tag = described(event.sample, begun=bool(self._envelope.interchanges), tolerated=event.tolerated)
        self._whole(code, event.offset, what, tag=tag, tolerated=event.tolerated)


def walk(
    data: bytes | Iterable[bytes], profile: Profile = TOLERANT, *, limit: int = 1000, split: bool = False
) -> Walk:
    """The segments of a transmission, streaming; see :class:`Walk`. Raises TypeError for anything but bytes."""
    return Walk(data, profile, limit=limit, split=split)


def read(
    data: bytes | Iterable[bytes], profile: Profile | None = None, limit: int = 1000, *, keep: bool = False
) -> Report:
    """Judge a transmission. ``data``: bytes, or chunks of any size; ``limit``: errors and findings listed at most.

    ``keep`` holds all messages with their segments in ``Interchange.listed`` (memory grows with the data then);
    without it memory stays flat. Raises TypeError for text and the like; any bytes get a report.
    """
    walking = Walk(data, profile or TOLERANT, limit=limit, build=keep, keep=keep)
    for _ in walking:
        pass
    return walking.report
