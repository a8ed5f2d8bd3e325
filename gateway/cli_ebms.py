"""``sekisho ebms``: partners of the ebMS door."""

from __future__ import annotations

from pathlib import Path

import click

from sekisho.gateway.cli_text import SetupFailed, Unacceptable, read_input
from sekisho.gateway.msh_cpa import AgreementError, import_cpa

__all__ = ["ebms"]


@click.group()
def ebms() -> None:
    """Partners of the ebMS door."""


@ebms.command("import-cpa")
@click.argument("file")
@click.option("--us", default="", metavar="PARTYID", help="One of our PartyIds in the document.")
@click.option("--name", default="partner", show_default=True, help="How the profile is called.")
@click.option("--box", default="BOX", show_default=True, help="The partner's box.")
@click.option("--files", default="", metavar="DIR", help="Write the document's certificates there.")
def import_agreement(file: str, us: str, name: str, box: str, files: str) -> None:
    """Print the [[ebms]] table of a CPA 2.0 document, and as comments what it lacks and what could not be mapped.

    FILE is the document; - reads standard input. Nothing is fetched, and nothing but --files is written.
    """
    if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
        raise SetupFailed(f'--name: "{name}"; letters, digits, - and _ are expected, because files are called by it')
    try:
        made = import_cpa(read_input(file), us=us, name=name, box=box)
    except AgreementError as error:
        raise Unacceptable(f"{file}: {error}") from None
    click.echo(made.toml, nl=False)
    if files:
        folder = Path(files)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for each, content in made.files.items():
                (folder / each).write_bytes(content)
        except OSError as error:
            raise SetupFailed(f"--files: {files}: {error.strerror}") from None
        click.echo(f"# written to {files}: {', '.join(made.files) or 'nothing'}")
