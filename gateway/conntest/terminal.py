"""Connection tests on a terminal: the table of verdicts, and messages item by item.

*Strategy.* Japanese names take two columns a character, so everything is aligned by display width. Lines stay inside
100 columns, and nothing is said by colour alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sekisho.gateway.cli_text import visible
from sekisho.gateway.conntest.judging import Cell
from sekisho.gateway.conntest.reports import Shown
from sekisho.gateway.conntest.runner import Result, StepResult, Verdict

__all__ = ["COLUMNS", "print_message", "print_problems", "print_results", "terminal"]

COLUMNS = 100
"""Widest line. On a narrower terminal every item has a line of its own."""
_ID = 7
_NAME = 27
_SHORT = 12
"""Display columns of an item's id with its row, its name, and a value that may share its line with another."""
_STYLES = {Verdict.PASSED: "green", Verdict.FAILED: "bold red", Verdict.NOT_RUN: "yellow"}


def terminal(*, error: bool = False) -> Console:
    """A console of at most 100 columns on standard output (or standard error); colour only where a terminal is."""
    console = Console(stderr=error, highlight=False)
    stream = sys.stderr if error else sys.stdout
    console.width = min(console.width, COLUMNS) if stream.isatty() else COLUMNS
    return console


def print_results(results: Sequence[Result], console: Console) -> None:
    """One line a step, and under a step that did not pass what was expected and what came."""
    for result in results:
        console.print(Text.assemble((result.scenario.name, "bold"), f"  {result.target}"))
        table = Table(box=None, padding=(0, 1, 0, 0), show_header=False)
        table.add_column(justify="right", width=4)
        table.add_column(width=7)
        table.add_column(width=8)
        table.add_column(overflow="fold")
        for step in result.steps:
            lines = [step.title, *map(str, step.problems)]
            verdict = Text(step.verdict.value, style=_STYLES[step.verdict])
            table.add_row(str(step.number), verdict, step.kind, Text("\n".join(lines)))
        console.print(table)
        passed = sum(step.verdict is Verdict.PASSED for step in result.steps)
        verdict = Text("passed", style="green") if result.passed else Text("failed", style="bold red")
        count = f": {passed} of {len(result.steps)} steps, {result.seconds:.1f} s"
        console.print(Text.assemble("     ", verdict, count))
        console.print()


def print_message(message: Shown, console: Console, indent: int = 4) -> None:
    """One message: a line about it, its result codes with their meaning, its filled items."""
    arrow, style = ("→", "bold cyan") if message.way == "sent" else ("←", "bold magenta")
    size = f"{message.kind}  {message.size} bytes".strip()
    box = f"in {message.box}  " if message.box else ""
    box += f"by {message.line}  " if message.line else ""
    title = Text.assemble((f"{arrow} {message.code}", style), f"  {message.title}")
    gap = console.width - indent - cell_len(title.plain) - cell_len(box) - cell_len(size)
    console.print(Text.assemble(" " * indent, title, " " * max(2, gap), (box + size, "dim")))
    for code, text in message.results:
        good = code.startswith(("00000", "W"))
        console.print(Text.assemble(" " * (indent + 2), (code, "green" if good else "bold red"), f"  {text}"))
    items = [cell for cell in message.body if not (message.results and cell.id == "RES")]
    for line in _lines(items, indent + 2, console.width):
        console.print(line)


def _lines(items: Iterable[Cell], indent: int, width: int) -> Iterator[Text]:
    """The items in wire order, two in a line where both values are short and the line is wide enough."""
    waiting: Cell | None = None
    for cell in items:
        if cell_len(cell.text) > _SHORT or not 0 < cell_len(cell.name) < _NAME or width < COLUMNS:
            if waiting is not None:
                yield _line([waiting], indent)
                waiting = None
            yield from _long(cell, indent, width)
        elif waiting is None:
            waiting = cell
        else:
            yield _line([waiting, cell], indent)
            waiting = None
    if waiting is not None:
        yield _line([waiting], indent)


def _padded(text: str, width: int) -> str:
    return text + " " * max(1, width - cell_len(text))


def _named(cell: Cell) -> tuple[tuple[str, str], str]:
    row = f" {cell.row}" if cell.row else ""
    # The segments of an interchange have no names, so they need no column for them.
    return (_padded(cell.id + row, _ID), "dim"), _padded(cell.name, _NAME) if cell.name else ""


def _line(pair: Sequence[Cell], indent: int) -> Text:
    line = Text(" " * indent)
    for cell in pair:
        head, name = _named(cell)
        line.append_text(Text.assemble(head, name, (_padded(cell.text, _SHORT + 1), "bold")))
    line.rstrip()
    return line


def _long(cell: Cell, indent: int, width: int) -> Iterator[Text]:
    head, name = _named(cell)
    used = indent + cell_len(head[0] + name)
    for at, part in enumerate(chop_cells(cell.text, max(20, width - used))):
        start = Text.assemble(" " * indent, head, name) if at == 0 else Text(" " * used)
        yield Text.assemble(start, (part, "bold"))


def print_problems(step: StepResult, console: Console, indent: int = 4) -> None:
    """What was expected and what came, one line a difference."""
    for problem in step.problems:
        console.print(Text.assemble(" " * indent, ("✗ ", "bold red"), visible(problem)))
