"""``sekisho quarantine``: requests that nobody could be answered about, or that operators should see as well."""

from __future__ import annotations

import click

from sekisho.gateway.cli_store import OPERATOR, Opened, japan, with_store
from sekisho.gateway.cli_text import Unacceptable, echo_json, table
from sekisho.mailboxes.letters import Event

__all__ = ["quarantine"]


@click.group()
def quarantine() -> None:
    """What came and could not be answered; `sekisho mailbox show rN` reads it."""


@quarantine.command("list")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="At most so many.")
@click.option("--json", "as_data", is_flag=True, help="Print JSON.")
@with_store
def list_quarantine(there: Opened, *, limit: int, as_data: bool) -> None:
    """List what lies there, newest first."""
    with there.store.view() as view:
        found = [(one, view.request(one.request)) for one in view.quarantined(limit)]
    forms = [
        {
            "number": one.number,
            "request": one.request,
            "at": japan(one.at),
            "reason": one.reason,
            "transport": request.transport if request else "",
            "peer": request.peer if request else "",
            "sender": request.sender if request else "",
            "user": request.user_id if request else "",
        }
        for one, request in found
    ]
    if as_data:
        echo_json(forms)
        return
    rows = [[f"r{v}" if k == "request" else v for k, v in form.items()] for form in forms]
    click.echo("\n".join(table(list(forms[0]), rows, ">>") if forms else ["nothing in quarantine"]))


@quarantine.command()
@click.argument("number", type=int)
@with_store
def release(there: Opened, number: int) -> None:
    """Take NUMBER off the list; the request stays in the journal."""
    now = there.now()
    with there.store.transaction() as unit:
        request = next((one.request for one in unit.quarantined(1_000_000) if one.number == number), None)
        if request is None or not unit.release(number, now):
            raise Unacceptable(f"{number}: not in quarantine; `sekisho quarantine list` shows what is")
        unit.add_event(Event(now, OPERATOR, "quarantine.released", request, detail=str(number)))
    click.echo(f"{number}: released")
