"""What every command shares: how it prints, how it fails, how it reads a file.

*Strategy.* Tables are aligned by display width (a Japanese character takes two columns), printed in the order given and
never cut. An error is one line on standard error: what happened, where, what to do. Exit codes: 0 done; 1 not
acceptable, or what was asked for is not there; 2 wrong usage or settings.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

import click

__all__ = ["SetupFailed", "Unacceptable", "echo_json", "pairs", "pieces", "read_input", "table", "visible", "width"]

_WIDE: Final = ("W", "F")


class Unacceptable(click.ClickException):
    """Exit code 1: the message is not acceptable, or what was asked for is not there."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """One line on standard error."""
        click.echo(f"sekisho: {self.format_message()}", file=file, err=file is None)


class SetupFailed(Unacceptable):
    """Exit code 2: wrong usage, or settings, a file or a store that cannot be used."""

    exit_code = 2


def width(text: str) -> int:
    """Columns a terminal needs for a text. Ambiguous ones count as one, as wcwidth has it."""
    if text.isascii():
        return len(text)
    columns = 0
    for character in text:
        if not unicodedata.combining(character):
            columns += 2 if unicodedata.east_asian_width(character) in _WIDE else 1
    return columns


def visible(value: object) -> str:
    """A value in one line: None is blank, control characters and undecodable bytes are shown as such."""
    text = "" if value is None else str(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\u3000" else c.encode("unicode_escape").decode("ascii") for c in text)


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], right: str = "") -> list[str]:
    """Lines of a table; columns whose letter in ``right`` is ``>`` are set to the right. Empty without rows."""
    texts = [[visible(cell) for cell in row] for row in rows]
    if not texts:
        return []
    columns = [max(width(line[at]) for line in [list(heads), *texts]) for at in range(len(heads))]
    out = []
    for line in [list(heads), *texts]:
        cells = []
        for at, cell in enumerate(line):
            blanks = " " * (columns[at] - width(cell))
            cells.append(blanks + cell if right[at : at + 1] == ">" else cell + blanks)
        out.append("  ".join(cells).rstrip())
    return out


def pairs(values: Mapping[str, object]) -> list[str]:
    """Lines of names and values, the values under each other."""
    most = max((width(name) for name in values), default=0)
    return [f"{name}{' ' * (most - width(name))}  {visible(value)}".rstrip() for name, value in values.items()]


def pieces(title: str, lines: Sequence[str]) -> list[str]:
    """A titled block after a blank line; nothing if there are no lines."""
    return ["", title, *(f"  {line}" for line in lines)] if lines else []


def echo_json(value: object, *, one_line: bool = False) -> None:
    """A value as JSON on standard output: UTF-8 whatever the terminal's encoding, Japanese as it is."""
    text = json.dumps(value, ensure_ascii=False, indent=None if one_line else 2)
    click.echo(text.encode("utf-8", "backslashreplace"))


def read_input(file: str) -> bytes:
    """The bytes of a file; ``-`` is standard input. Raises :class:`SetupFailed`."""
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise SetupFailed(f"{file}: {error.strerror}; give the path of a file, or - for standard input") from None
