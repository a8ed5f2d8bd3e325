"""``sekisho user``: the user registry, beside a running gateway or without one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from sekisho.gateway.cli_store import Opened, with_store, writing
from sekisho.gateway.cli_text import SetupFailed, Unacceptable, echo_json, table
from sekisho.gateway.passwords import hash_password
from sekisho.gateway.registry import UserEntry
from sekisho.mailboxes.letters import Account
from sekisho.mailboxes.store import Unit, View

__all__ = ["user"]

_REMEMBERED = 3
"""The last three passwords are barred [spec]."""


@click.group()
def user() -> None:
    """User IDs: add, list, change, suspend, reset a password."""


def form_of(account: Account) -> dict[str, Any]:
    """An account without anything secret."""
    return {
        "id": account.id,
        "password_state": account.password_state,
        "trade": account.trade,
        "specialist": account.specialist,
        "in_house": account.in_house,
        "mail_from": list(account.mail_from),
        "box": account.box,
        "suspended": account.suspended,
        "strict": account.strict,
        "tolerate_length": account.tolerate_length,
    }


def entry_of(**given: Any) -> UserEntry:  # noqa: ANN401 - the entry's own fields
    """A checked user. Raises SetupFailed naming the option."""
    try:
        return UserEntry(**given)
    except ValueError as error:
        key, text = error.args
        option = "ID" if key == "id" else f"--{key.split('[')[0].replace('_', '-')}"
        raise SetupFailed(f"{option}: {text}") from None


def _there(view: View, user_id: str) -> Account:
    account = view.account(user_id)
    if account is None:
        raise Unacceptable(f"{user_id}: no such user ID; `sekisho user list` shows them")
    return account


def _check_box(unit: Unit, box: str) -> None:
    if unit.box(box) is None:
        raise Unacceptable(f"--box {box}: no such box; `sekisho box list` shows them, `sekisho box add` makes one")


def _fresh() -> str:
    from sekisho.gateway.context import temporary_password  # noqa: PLC0415 - the handlers' room comes with it

    return temporary_password()


@user.command("add")
@click.argument("user_id", metavar="ID")
@click.option("--password", metavar="P", help="6 to 8 of A-Z and 0-9; left out: a temporary one is made and printed.")
@click.option("--temporary", is_flag=True, help="Only URY is open until the password is changed.")
@click.option("--trade", default="", help="業種, as [rights] in the settings names it.")
@click.option("--specialist", is_flag=True, help="An ID of a 通関士.")
@click.option("--in-house", is_flag=True, help="An ID of an in-house system: siblings cannot initialise its password.")
@click.option("--mail-from", multiple=True, metavar="ADDRESS", help="A registered sender address; may be repeated.")
@click.option("--box", required=True, help="Where replies go.")
@click.option("--strict", is_flag=True, help="Refuse what is otherwise read with a finding.")
@click.option("--tolerate-length", is_flag=True, help="Take a wrong 電文長 as a finding.")
@with_store
def add(there: Opened, /, user_id: str, password: str | None, *, temporary: bool, **given: Any) -> None:  # noqa: ANN401
    """Register a user ID: 利用者コード (5) and 識別番号 (3)."""
    made = password or _fresh()
    state = "temporary" if temporary or password is None else "active"
    entry = entry_of(id=user_id, password=made, password_state=state, **given)
    account = entry.account(hash_password)
    with writing(there, "user.added", user_id) as unit:
        if unit.account(user_id) is not None:
            raise Unacceptable(f"{user_id}: is there already; `sekisho user set` changes it")
        _check_box(unit, account.box)
        unit.put_account(account, new=True)
    click.echo(f"{user_id}: added" + (f", temporary password {made}" if password is None else ""))


@user.command("list")
@click.option("--json", "as_data", is_flag=True, help="Print JSON.")
@with_store
def list_users(there: Opened, /, *, as_data: bool) -> None:
    """List user IDs; passwords are kept as hashes and never shown."""
    with there.store.view() as view:
        forms = [form_of(account) for account in view.accounts()]
    if as_data:
        echo_json(forms)
        return
    flags = ("specialist", "in_house", "strict", "tolerate_length")
    rows = [
        (
            form["id"],
            "suspended" if form["suspended"] else form["password_state"],
            form["trade"],
            form["box"],
            " ".join(flag for flag in flags if form[flag]),
            " ".join(form["mail_from"]),
        )
        for form in forms
    ]
    click.echo("\n".join(table(["id", "state", "trade", "box", "flags", "mail from"], rows) or ["no users"]))


@user.command("set")
@click.argument("user_id", metavar="ID")
@click.option("--trade", help="業種.")
@click.option("--specialist/--no-specialist", default=None, help="An ID of a 通関士.")
@click.option("--in-house/--no-in-house", default=None, help="An ID of an in-house system.")
@click.option("--mail-from", multiple=True, metavar="ADDRESS", help="Replaces all addresses; may be repeated.")
@click.option("--box", help="Where replies go.")
@click.option("--strict/--no-strict", default=None, help="Refuse what is otherwise read with a finding.")
@click.option("--tolerate-length/--no-tolerate-length", default=None, help="Take a wrong 電文長 as a finding.")
@with_store
def set_user(there: Opened, /, user_id: str, **given: Any) -> None:  # noqa: ANN401 - the options above
    """Change what is named; the rest stays."""
    changes = {key: value for key, value in given.items() if value is not None and value != ()}
    if not changes:
        raise SetupFailed("nothing to change; `sekisho user set --help` lists what can be")
    with writing(there, "user.changed", f"{user_id} {' '.join(sorted(changes))}") as unit:
        account = _there(unit, user_id)
        entry_of(id=user_id, password="CHECKED1", **{"box": account.box, **changes})  # noqa: S106 - form only
        if "box" in changes:
            _check_box(unit, changes["box"])
        unit.put_account(replace(account, **changes))
    click.echo(f"{user_id}: changed")


@user.command("reset-password")
@click.argument("user_id", metavar="ID")
@click.option("--password", metavar="P", help="Left out: one is made and printed.")
@with_store
def reset_password(there: Opened, /, user_id: str, password: str | None) -> None:
    """Give a user ID a temporary password: only URY is open until the user has changed it.

    This is also the way for IDs of in-house systems, which no sibling can initialise.
    """
    made = password or _fresh()
    entry_of(id=user_id, password=made, box="ANY")
    hashed = hash_password(made)
    with writing(there, "password.reset", user_id) as unit:
        account = _there(unit, user_id)
        before = account.password_hash if account.password_state == "active" else account.former
        history = tuple(dict.fromkeys(h for h in (before, *account.history) if h))[:_REMEMBERED]
        unit.put_account(
            replace(
                account,
                password_hash=hashed,
                password_state="temporary",  # noqa: S106 - a state, not a password
                former="",
                former_state="",
                history=history,
            )
        )
    click.echo(f"{user_id}: temporary password" + (f" {made}" if password is None else " set"))


@user.command()
@click.argument("user_id", metavar="ID")
@with_store
def suspend(there: Opened, /, user_id: str) -> None:
    """Answer A0014 to everything this user ID sends."""
    _suspended(there, user_id, suspended=True)


@user.command()
@click.argument("user_id", metavar="ID")
@with_store
def resume(there: Opened, /, user_id: str) -> None:
    """End a suspension."""
    _suspended(there, user_id, suspended=False)


def _suspended(there: Opened, /, user_id: str, *, suspended: bool) -> None:
    word = "suspended" if suspended else "resumed"
    with writing(there, f"user.{word}", user_id) as unit:
        unit.put_account(replace(_there(unit, user_id), suspended=suspended))
    click.echo(f"{user_id}: {word}")
