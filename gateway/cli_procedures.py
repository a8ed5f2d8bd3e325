"""``sekisho procedures``: the state tables of the procedures, as operators look them up."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from sekisho.gateway.cli_text import Unacceptable, table
from sekisho.handlers import families
from sekisho.handlers.states import machines

__all__ = ["procedures"]


@click.command()
@click.argument("name", required=False)
@click.option(
    "--write",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write the pages into this folder (docs/procedures) instead.",
)
def procedures(name: str | None, folder: Path | None) -> None:
    """List the procedures; with NAME, show its states, what leads from one to the next, and a mermaid diagram."""
    known = {machine.name: machine for machine in machines(families)}
    if name is not None and name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        hint = f"; near: {', '.join(near)}" if near else ""
        raise Unacceptable(f"{name}: no such procedure{hint}; `sekisho procedures` lists them")
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for machine in known.values() if name is None else (known[name],):
            path = folder / f"{machine.name}.md"
            path.write_text(machine.page(), encoding="utf-8")
            click.echo(path)
    elif name is not None:
        click.echo(known[name].page(), nl=False)
    else:
        rows = [(one.name, *one.title, one.kind, len(one.states)) for one in known.values()]
        click.echo("\n".join(table(["procedure", "", "title", "records", "states"], rows)))
