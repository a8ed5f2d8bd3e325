"""The segments of one message against its table: order, presence, repeats, and each segment's elements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from sekisho.codecs.edifact.directory import Directory
from sekisho.codecs.edifact.elements import Fault, faults
from sekisho.codecs.edifact.findings import Level
from sekisho.codecs.edifact.syntax import Syntax

__all__ = ["Judge"]

Report = Callable[..., None]
"""Called as report(code, level, offset, text, tag=, segment=, element=, component=, repeat=, tolerated=)."""

# Mandatory by the directories, left out by the airlines' own guide to PAXLST and by all who follow it: the time of the
# flight stands at its places (LOC, DTM) only. Unspecified: our choice to read such messages.
_LEFT_OUT: Final = {("PAXLST", "DTM", "LOC")}
_NO_CODES: Final[Mapping[str, frozenset[str]]] = {}


class Judge:
    """Walks one message; make one a message type and interchange, and :meth:`begin` it for every message."""

    def __init__(
        self, message: str, tables: Directory, syntax: Syntax, code_lists: frozenset[str], report: Report
    ) -> None:
        self.name = tables.name
        self.message = message
        self._structure = tables.structure(message)
        self._follow = self._structure.follow
        self._definitions = tables.definitions(syntax)
        self._syntax = syntax
        self._codes = {e: listed for e in code_lists if (listed := tables.code_list(e))} or _NO_CODES
        self._exclusive = tables.exclusive.get(message, ())
        self._report = report
        self._fresh = [0] * len(self._structure.tags)
        self.begin()

    def begin(self) -> None:
        """A message starts; its UNH is node 0."""
        self._node = 0
        self._counts = self._fresh[:]

    def __call__(self, text: str, number: int, offset: int, *, content: bool = True) -> None:
        """Check one segment, ``number`` in the message; without ``content`` its place only."""
        tag = text[:3]
        steps = (self._follow[self._node] or self._structure.steps(self._node)).get(tag)
        if steps is None:
            self._misplaced(tag, number, offset)
        else:
            counts = self._counts
            step = steps[0]
            at = step.group if step.group >= 0 else step.target
            if counts[at] >= step.most:
                for other in steps[1:]:
                    place = other.group if other.group >= 0 else other.target
                    if counts[place] < other.most and not other.missed:
                        step, at = other, place
                        break
                else:
                    self._too_many(tag, number, offset, step.most, group=step.group >= 0)
            elif step.missed:
                self._missing(step.missed, tag, number, offset)
            if step.group >= 0:
                end = self._structure.end[step.group]
                counts[step.group + 1 : end] = self._fresh[step.group + 1 : end]
                counts[step.target] = 1
                self._shut_out(step.group, tag, number, offset)
            counts[at] += 1
            self._node = step.target
        if content:
            definition = self._definitions[tag]
            if definition is not None and (definition.fast(text) is None or self._codes):
                for fault in faults(text, definition.places, self._syntax, self._codes):
                    self._fault(fault, text, number, offset)

    def end(self, number: int, offset: int) -> None:
        """UNT has come, the ``number``-th segment: report what is still missing."""
        steps = (self._follow[self._node] or self._structure.steps(self._node)).get("UNT", ())
        for step in steps[:1]:
            self._missing(step.missed, "UNT", number, offset)

    def _misplaced(self, tag: str, number: int, offset: int) -> None:
        if tag in self._structure.has:
            text = f"{tag} cannot stand here in {self.message} ({self.name}); keep the order of the message table"
        else:
            text = f"{self.message} ({self.name}) has no segment {tag}; leave it out"
        self._report("15", Level.SEGMENT, offset, text, tag=tag, segment=number)

    def _too_many(self, tag: str, number: int, offset: int, most: int, *, group: bool) -> None:
        what = f"the group of {tag}" if group else tag
        text = f"{what} may stand {most} times here; leave out the rest"
        self._report("36" if group else "35", Level.SEGMENT, offset, text, tag=tag, segment=number)

    def _missing(self, tags: tuple[str, ...], before: str, number: int, offset: int) -> None:
        for tag in tags:
            text = f"{tag} is mandatory before {before}; add it after segment {number - 1}"
            usual = (self.message, tag, before) in _LEFT_OUT
            self._report("13", Level.SEGMENT, offset, text, tag=tag, segment=number - 1, tolerated=usual)

    def _shut_out(self, group: int, tag: str, number: int, offset: int) -> None:
        name = self._structure.names[group]
        for names in self._exclusive:
            if name in names:
                for other, count in enumerate(self._counts):
                    if count and other != group and self._structure.names[other] in names:
                        text = f"{tag}: {self.message} holds either {' or '.join(names)}, not both"
                        self._report("15", Level.SEGMENT, offset, text, tag=tag, segment=number)

    def _fault(self, fault: Fault, text: str, number: int, offset: int) -> None:
        self._report(
            fault.code,
            Level.ELEMENT,
            offset + self._syntax.size(text[: fault.at]),
            f"{text[:3]}: {fault.text}",
            tag=text[:3],
            segment=number,
            element=fault.element,
            component=fault.component,
            repeat=fault.repeat,
        )
