"""``sekisho window``: planned stops of the service or of one business."""

from __future__ import annotations

import click

from sekisho.gateway.cli_store import Opened, japan, with_store, writing
from sekisho.gateway.cli_text import SetupFailed, Unacceptable, echo_json, table
from sekisho.gateway.settings import Window as Planned
from sekisho.mailboxes.letters import Window

__all__ = ["window"]


@click.group()
def window() -> None:
    """Planned stops: of the whole service, or of one business. Those of the settings are not listed here."""


@window.command("add")
@click.option("--business", default="", help="A business code; left out: the whole service.")
@click.option(
    "--code", type=click.Choice(["A0002", "A0006", "A0010", "A0011", "U0002"]), default="A0002", show_default=True
)
@click.option("--starts", required=True, metavar="TIME", help="Japan time, YYYY-MM-DDTHH:MM[:SS].")
@click.option("--ends", required=True, metavar="TIME", help="The first moment after it.")
@click.option("--text", default="", help="For operators.")
@with_store
def add(there: Opened, business: str, code: str, starts: str, ends: str, text: str) -> None:
    """Answer CODE from one moment until another."""
    try:
        planned = Planned(business=business, code=code, starts=starts, ends=ends, text=text)  # type: ignore[arg-type]
    except ValueError as error:
        key, said = error.args
        raise SetupFailed(f"--{key}: {said}") from None
    with writing(there, "window.added", f"{code} {business or 'service'} {starts} {ends}") as unit:
        number = unit.add_window(Window(0, business, code, planned.starts_us, planned.ends_us, text))
    click.echo(f"{number}: {code} for {business or 'the whole service'} from {starts} until {ends}")


@window.command("list")
@click.option("--json", "as_data", is_flag=True, help="Print JSON.")
@with_store
def list_windows(there: Opened, *, as_data: bool) -> None:
    """List stops by start, past ones too."""
    with there.store.view() as view:
        forms = [
            {
                "number": one.number,
                "code": one.code,
                "business": one.business,
                "starts": japan(one.starts),
                "ends": japan(one.ends),
                "text": one.text,
            }
            for one in view.windows()
        ]
    if as_data:
        echo_json(forms)
        return
    rows = [list(form.values()) for form in forms]
    click.echo("\n".join(table(list(forms[0]), rows, ">") if forms else ["no stops"]))


@window.command("remove")
@click.argument("number", type=int)
@with_store
def remove(there: Opened, number: int) -> None:
    """Remove a stop; one that has begun ends at once."""
    with writing(there, "window.removed", str(number)) as unit:
        if not unit.delete_window(number):
            raise Unacceptable(f"{number}: no such stop; `sekisho window list` shows them")
    click.echo(f"{number}: removed")
