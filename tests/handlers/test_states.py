"""State tables of the procedures and the pages written from them: issue clause "State machines as tables"."""

from pathlib import Path

import pytest

from sekisho.handlers import families
from sekisho.handlers.states import NEW, Event, Machine, machines

PAGES = Path(__file__).parents[2] / "docs" / "procedures"
MACHINES = {machine.name: machine for machine in machines(families)}

every = pytest.mark.parametrize("machine", list(MACHINES.values()), ids=list(MACHINES))


@every
def test_the_page_says_what_the_table_says(machine: Machine) -> None:
    """docs/procedures/<name>.md is the table; `sekisho procedures --write docs/procedures` writes it anew."""
    assert (PAGES / f"{machine.name}.md").read_text(encoding="utf-8") == machine.page()


def test_every_page_has_a_table() -> None:
    """No page outlives its procedure, and no two procedures share a page or a kind of record."""
    assert {path.stem for path in PAGES.glob("*.md")} == MACHINES.keys()
    assert len({machine.kind for machine in MACHINES.values()}) == len(MACHINES)


@every
def test_every_state_can_be_reached(machine: Machine) -> None:
    """From what does not exist yet there is a way to every state: a state without one is a mistake of the table."""
    reached, found = set[str](), {NEW}
    while found != reached:
        reached = set(found)
        found |= {after for (before, _), after in machine.transitions.items() if before in reached}
    assert reached - {NEW} == machine.states.keys()
    assert machine.ends()


def test_a_table_that_contradicts_itself_is_refused() -> None:
    """A transition to a state without a name, and a described event that nothing uses, fail at import."""
    states = {"a": ("甲", "A")}
    with pytest.raises(ValueError, match="described or used only: b, idle"):
        Machine(
            "x", ("試", "trial"), "x", states, {"go": Event("行", "go", "X"), "idle": Event("休", "idle", "X")},
            {(NEW, "go"): "a", ("a", "go"): "b"}, "none",
        )  # fmt: skip


def test_page_of_a_small_machine() -> None:
    """Diagram, names and table; two events between the same states are one arrow; ends lead out."""
    machine = Machine(
        "small", ("小", "small"), "small", {"in-use": ("使用中", "in use")},
        {
            "make": Event("作成", "made", "MAK"),
            "use": Event("使用", "used", "USE"),
            "mend": Event("修理", "mended", "a step"),
        },
        {(NEW, "make"): "in-use", ("in-use", "use"): "in-use", ("in-use", "mend"): "in-use"}, "nobody", ("A note.",),
    )  # fmt: skip
    assert machine.diagram().splitlines() == [
        "stateDiagram-v2",
        '    state "使用中 in use" as in_use',
        "    [*] --> in_use : made",
        "    in_use --> in_use : used, mended",
    ]
    page = machine.page()
    assert "| `in-use` | 使用中 | in use |" in page
    assert "| – | `make` | `in-use` |" in page
    assert "| `mend` | 修理 | mended | a step |" in page
    assert machine.after("in-use", "use") == "in-use"
    assert machine.after(NEW, "use") is None
