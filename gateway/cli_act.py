"""``sekisho act``: an operator plays the other side: customs, a warehouse, a ministry.

*Strategy.* What they do are business codes like any other, so an operator enters a request of one, as a user of the
right 業種, and it goes the way of every message: checked, decided, answered. Only the password is not asked for: the
machine has let him in. The audit trail and the journal say that it was an operator.
"""

from __future__ import annotations

import time
from typing import Final

import click

from sekisho.codecs.envelope import Wrapping
from sekisho.gateway.cli_letters import letter_form, request_form
from sekisho.gateway.cli_store import OPERATOR, Opened, with_store, writing
from sekisho.gateway.cli_text import SetupFailed, Unacceptable, echo_json
from sekisho.gateway.inhouse import build_request
from sekisho.gateway.schedule import ENTERED
from sekisho.mailboxes.letters import NewRequest, RequestState

__all__ = ["act"]

_WAIT: Final = 15.0
"""Seconds a command waits for the gateway to have processed what was entered."""


@click.command()
@click.argument("business_code", metavar="CODE")
@click.argument("items", metavar="[ITEM=VALUE]...", nargs=-1)
@click.option("--as", "user_id", required=True, metavar="USER", help="The user ID it is entered for.")
@click.option("--wait", type=click.FloatRange(0), default=_WAIT, show_default=True, help="Seconds to wait for it.")
@click.option("--json", "as_data", is_flag=True, help="Print JSON.")
@with_store
def act(there: Opened, business_code: str, items: tuple[str, ...], *, user_id: str, wait: float, as_data: bool) -> None:
    """Enter a request of business CODE as USER: `sekisho act SET OLT=12345678901 RES=A --as 8CUSTC0C`.

    Items by their short names (`sekisho codes CODE` shows them); a repeating item may be given several times. Exit
    code 1 if the gateway refused it.
    """
    values: dict[str, list[str]] = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals:
            raise SetupFailed(f"{item}: ITEM=VALUE is expected")
        values.setdefault(name, []).append(value)
    try:
        content = build_request(
            there.catalogue(),
            business_code,
            user_id=user_id,
            items={name: many if len(many) > 1 else many[0] for name, many in values.items()},
        )
    except ValueError as error:
        raise SetupFailed(f"{business_code}: {error}") from None
    number = _enter(there, business_code, user_id, content)
    deadline = time.monotonic() + wait
    while True:
        with there.store.view() as view:
            request = view.request(number)
            letters = view.letters_of(number)
        if request is None or request.state is not RequestState.RECEIVED or time.monotonic() >= deadline:
            break
        time.sleep(0.05)
    if request is None or request.state is RequestState.RECEIVED:
        raise Unacceptable(f"r{number}: entered, and no gateway took it up within {wait:g} s; its next start does")
    if as_data:
        echo_json({"request": request_form(request), "letters": [letter_form(letter) for letter in letters]})
    else:
        click.echo(f"r{number}: {request.result} {request.key}".rstrip())
        for letter in letters:
            click.echo(f"  letter {letter.number}: {letter.output_code} to {letter.box}")
    if not request.result.startswith(("00000", "W")):
        why = f"sekisho explain {request.result[:5]} --for {business_code}"
        raise Unacceptable(f"{business_code}: refused with {request.result}; `{why}` says why")


def _enter(there: Opened, business_code: str, user_id: str, content: bytes) -> int:
    """Journal it as received; the running gateway takes it up within a second."""
    with writing(there, "request.entered", f"{business_code} for {user_id}") as unit:
        if unit.account(user_id) is None:
            raise Unacceptable(f"{user_id}: no such user; `sekisho user list` shows them")
        now = there.now()
        number = unit.journal(
            NewRequest(
                lane=f"{user_id}|{OPERATOR}|",
                idem="",
                transport=OPERATOR,
                principal="",
                received_at=now,
                peer="",
                sender="",
                recipient="",
                raw=content,
                content=content,
                wrapping=Wrapping.BARE,
                user_id=user_id,
                business_code=business_code,
            )
        )
        unit.put_record(ENTERED, "last", {"request": number}, now)
    return number
