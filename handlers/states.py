"""State machines of procedures: which event leads from which state to which, and the page that shows it.

*Strategy.* A family's table is one constant and the only place that says what may follow what: every business code asks
it before it acts, the tests walk it, and the page that operators look a state up on is written from it (``sekisho
procedures``), so the three cannot differ. Words of states and events are what records hold; people read their names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Final

__all__ = ["NEW", "Event", "Machine", "machines"]

NEW: Final = ""
"""The state of what does not exist yet."""


@dataclass(frozen=True, slots=True)
class Event:
    """What makes a state change: its names, and who or what it comes from (business codes, an office's opening)."""

    ja: str
    en: str
    by: str


@dataclass(frozen=True, slots=True)
class Machine:
    """The state table of one procedure.

    ``name`` is that of its page, ``kind`` that of its records and number series; ``states`` gives every state its
    Japanese and English name, ``transitions`` the next state by state and event. ``source`` says where the table
    comes from, ``notes`` are lines for the page. Raises ValueError if a transition names what is not described.
    """

    name: str
    title: tuple[str, str]
    kind: str
    states: Mapping[str, tuple[str, str]]
    events: Mapping[str, Event]
    transitions: Mapping[tuple[str, str], str]
    source: str
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """A table that speaks of unknown states or events is a mistake of its author."""
        used = {state for (state, _), after in self.transitions.items() for state in (state, after)} - {NEW}
        asked = {event for _, event in self.transitions}
        wrong = sorted((used ^ self.states.keys()) | (asked ^ self.events.keys()))
        if wrong:
            raise ValueError(f"{self.name}: described or used only: {', '.join(wrong)}")

    def after(self, state: str, event: str) -> str | None:
        """The state that ``event`` leads to; None if the event is not allowed in ``state``."""
        return self.transitions.get((state, event))

    def ends(self) -> frozenset[str]:
        """States that nothing leads out of."""
        return frozenset(self.states) - {state for state, _ in self.transitions}

    def diagram(self) -> str:
        """The table as a mermaid state diagram; what leads from one state to the same other one is one arrow."""
        lines = ["stateDiagram-v2"]
        lines += [f'    state "{ja} {en}" as {_node(state)}' for state, (ja, en) in self.states.items()]
        arrows: dict[tuple[str, str], list[str]] = {}
        for (state, event), after in self.transitions.items():
            arrows.setdefault((state, after), []).append(self.events[event].en)
        lines += [f"    {_node(state)} --> {_node(after)} : {', '.join(by)}" for (state, after), by in arrows.items()]
        lines += [f"    {_node(state)} --> [*]" for state in self.states if state in self.ends()]
        return "\n".join(lines)

    def page(self) -> str:
        """docs/procedures/<name>.md: the diagram, the states, the events, and the table itself. Ends with a newline."""
        ja, en = self.title
        out = [
            f"# {ja} ({en})",
            "",
            f"Written from the state table by `sekisho procedures {self.name}`; a test compares the two.",
            f"Source: {self.source}.",
            f"A record of kind `{self.kind}` holds the state's word.",
            "An event that a state does not list is refused there and changes nothing.",
        ]
        out += [line for note in self.notes for line in ("", note)]
        out += ["", "```mermaid", self.diagram(), "```", "", "## States", "", "| state | 状態 | |", "|---|---|---|"]
        out += [f"| `{state}` | {names[0]} | {names[1]} |" for state, names in self.states.items()]
        out += ["", "## Events", "", "| event | 事象 | | comes from |", "|---|---|---|---|"]
        out += [f"| `{name}` | {event.ja} | {event.en} | {event.by} |" for name, event in self.events.items()]
        out += ["", "## What may follow what", "", "| state | event | next state |", "|---|---|---|"]
        out += [
            f"| {f'`{state}`' if state else '–'} | `{event}` | `{after}` |"
            for (state, event), after in self.transitions.items()
        ]
        return "\n".join(out) + "\n"


def _node(state: str) -> str:
    """A state's name in a diagram, which takes no hyphens."""
    return state.replace("-", "_") if state else "[*]"


def machines(modules: Iterable[ModuleType]) -> Iterator[Machine]:
    """Every state table that stands as a constant in one of the modules, once each."""
    seen = set[str]()
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, Machine) and value.name not in seen:
                seen.add(value.name)
                yield value
