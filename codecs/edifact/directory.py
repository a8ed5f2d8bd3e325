"""The UN/EDIFACT directories: loaded when a message of a release arrives, compiled when a segment of it does.

*Strategy.* ``tables/*.json`` hold facts of the published directories (see the README beside them). A message table is
flattened: for every node the tags that may follow it, nearest first, each with what is skipped over, which groups are
entered and which mandatory nodes are missed. Checking the order is then one dictionary look-up a segment.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

from sekisho.codecs.edifact.elements import Place, fast_pattern, places_of
from sekisho.codecs.edifact.syntax import Syntax

__all__ = [
    "ADOPTED", "RELEASES", "Definition", "Definitions", "Directory", "Structure", "directory", "service", "tables_for",
]  # fmt: skip

ADOPTED: Final = (
    "CUSRES", "CUSREP", "CUSCAR", "PAXLST", "CODECO", "IFTMIN", "IFTMBC", "IFTMCS", "APERAK", "CONTRL",
)  # fmt: skip
"""The messages NACCS adopts; others are checked at envelope level."""
RELEASES: Final = (
    "D.95B", "D.96A", "D.96B", "D.97B", "D.98B", "D.99B", "D.00B", "D.01B", "D.02B", "D.03B", "D.05B", "D.12B",
)  # fmt: skip
"""The releases whose tables are shipped."""


class Step(NamedTuple):
    """One way on from a node: the target, the group entered by it (or -1), maximum, and mandatory tags skipped."""

    target: int
    group: int
    most: int
    missed: tuple[str, ...]


class Structure:
    """A message table, flattened. Node 0 is UNH; ``tags[i]`` is a segment tag, empty for a group."""

    def __init__(self, nodes: Iterable[Any]) -> None:
        self.tags: list[str] = []
        self.names: list[str] = []
        self.most: list[int] = []
        self.mandatory: list[bool] = []
        self.end: list[int] = []
        self.parent: list[int] = []
        self._flatten(nodes, -1)
        self.has = frozenset(self.tags)
        self.follow: list[dict[str, tuple[Step, ...]] | None] = [None] * len(self.tags)

    def _flatten(self, nodes: Iterable[Any], parent: int) -> None:
        for node in nodes:
            index = len(self.tags)
            group = len(node) == 4
            self.tags.append("" if group else node[0])
            self.names.append(node[0])
            self.mandatory.append(node[1] == "M")
            self.most.append(int(node[2]))
            self.parent.append(parent)
            self.end.append(index + 1)
            if group:
                self._flatten(node[3], index)
                self.end[index] = len(self.tags)

    def steps(self, node: int) -> dict[str, tuple[Step, ...]]:
        """The ways on from a node, by tag, nearest first."""
        found = self.follow[node]
        if found is None:
            found = self.follow[node] = self._ways(node)
        return found

    def _ways(self, node: int) -> dict[str, tuple[Step, ...]]:
        ways: dict[str, list[Step]] = {}
        missed: list[str] = []

        def offer(index: int) -> None:
            """A node that could come next: a segment, or a group by its trigger."""
            target, group = (index, -1) if self.tags[index] else (index + 1, index)
            ways.setdefault(self.tags[target], []).append(Step(target, group, self.most[index], tuple(missed)))

        parent = self.parent[node]
        trigger = parent >= 0 and parent + 1 == node
        if not trigger:
            offer(node)
        at = node + 1
        while True:
            stop = self.end[parent] if parent >= 0 else len(self.tags)
            while at < stop:
                offer(at)
                if self.mandatory[at]:
                    missed.append(self.tags[at] or self.tags[at + 1])
                at = self.end[at]
            if parent < 0:
                break
            offer(parent)
            at, parent = self.end[parent], self.parent[parent]
        return {tag: tuple(steps) for tag, steps in ways.items()}


class Definition(NamedTuple):
    """A segment: its positions, and for one set of service characters the test that most good ones pass."""

    places: tuple[Place, ...]
    fast: Callable[[str], object]


class Definitions(dict[str, Definition | None]):
    """Tag -> definition, compiled on first use; None for a segment the directory does not have."""

    def __init__(self, owner: Directory, syntax: Syntax) -> None:
        super().__init__()
        self._owner = owner
        self._syntax = syntax

    def __missing__(self, tag: str) -> Definition | None:
        """Compile it; segments of the service directory (UNS) are found there."""
        places = self._owner.places(tag)
        if places is None:
            places = service(self._syntax.version).places(tag)
        made = None if places is None else Definition(places, fast_pattern(tag, places, self._syntax).fullmatch)
        self[tag] = made
        return made


class Directory:
    """One release, or the service directory of a syntax version."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.name: str = data["directory"]
        self.messages: Mapping[str, Any] = data["messages"]
        self.message_versions: Mapping[str, list[str]] = data.get("message_versions", {})
        self.codes: Mapping[str, Any] = data.get("codes", {})
        self.withdrawn: Mapping[str, Any] = data.get("withdrawn_codes", {})
        self.exclusive: Mapping[str, Any] = data.get("exclusive_groups", {})
        self._data = data
        self._structures: dict[str, Structure] = {}
        self._places: dict[str, tuple[Place, ...] | None] = {}

    def structure(self, message: str) -> Structure:
        """The table of a message; KeyError if there is none."""
        if message not in self._structures:
            self._structures[message] = Structure(self.messages[message])
        return self._structures[message]

    def places(self, tag: str) -> tuple[Place, ...] | None:
        """The element positions of a segment; None if the directory does not have it."""
        if tag not in self._places:
            rows = self._data["segments"].get(tag)
            data = self._data
            self._places[tag] = None if rows is None else places_of(rows, data["composites"], data["elements"])
        return self._places[tag]

    @lru_cache(maxsize=64)  # noqa: B019 - directories live as long as the program
    def definitions(self, syntax: Syntax) -> Definitions:
        """The definitions of this directory's segments for the service characters of an interchange."""
        return Definitions(self, syntax)

    @lru_cache(maxsize=64)  # noqa: B019 - as above
    def code_list(self, element: str) -> frozenset[str]:
        """The values of an element's code list; empty if none is shipped."""
        return frozenset(self.codes.get(element, ()))


@cache
def _load(name: str) -> Directory:
    text = (files(__package__) / "tables" / f"{name}.json").read_text("utf-8")
    return Directory(json.loads(text))


def directory(name: str) -> Directory | None:
    """A release by its name (``D.95B``); None if its tables are not shipped."""
    return _load(name.replace(".", "")) if name in RELEASES else None


def service(version: str) -> Directory:
    """The service segments of a syntax version (0002); anything but 4 is read by the version 3 table."""
    return _load("service-v4" if version == "4" else "service-v3")


def tables_for(message: str, version: str, release: str, agency: str, override: str | None) -> Directory | None:
    """The directory that judges a message by its UNH, or by the profile's ``override``; None: envelope only."""
    if override is not None:
        found = directory(override) if override else None
        return found if found is not None and message in found.messages else None
    if message not in ADOPTED:
        return None
    if message == "CONTRL":
        for syntax in "34":
            own = service(syntax)
            if own.message_versions["CONTRL"] == [version, release, agency]:
                return own
        return None
    return directory(f"{version}.{release}") if agency == "UN" else None
