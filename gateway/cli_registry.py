"""``sekisho box``, ``route``, ``place`` and ``records``: what the gateway knows beside its users."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click
from msgspec import Struct

from sekisho.gateway.cli_store import Opened, with_store, writing
from sekisho.gateway.cli_text import SetupFailed, Unacceptable, echo_json, pairs, table
from sekisho.gateway.passwords import hash_password
from sekisho.gateway.registry import (
    CARGO,
    DOORS,
    INVOICE,
    BoxEntry,
    PlaceEntry,
    RouteEntry,
    cargo_record,
    invoice_record,
    read_registry,
)
from sekisho.gateway.settings import SettingsError
from sekisho.mailboxes.letters import Place, Route

__all__ = ["box", "place", "records", "route"]

T = TypeVar("T", bound=Struct)
json_option = click.option("--json", "as_data", is_flag=True, help="Print JSON.")


def _entry(struct: type[T], **given: Any) -> T:  # noqa: ANN401 - the entry's own fields
    """A checked entry. Raises SetupFailed naming what was given."""
    try:
        return struct(**given)
    except ValueError as error:
        key, text = error.args
        raise SetupFailed(f"{key}: {text}") from None


def _show(forms: list[dict[str, Any]], nothing: str, *, as_data: bool, right: str = "") -> None:
    if as_data:
        echo_json(forms)
        return
    rows = [[" ".join(v) if isinstance(v, list) else v for v in form.values()] for form in forms]
    click.echo("\n".join(table(list(forms[0]), rows, right) if forms else [nothing]))


@click.group()
def box() -> None:
    """Mailboxes: add, list, change."""


@box.command("add")
@click.argument("box_id", metavar="ID")
@click.option("--address", required=True, help="The box's mail address.")
@click.option("--door", "doors", multiple=True, type=click.Choice(DOORS), help="How letters leave; may be repeated.")
@click.option("--push", default="", metavar="HOST:PORT", help="Of smtp-push; left out: DNS of the address's domain.")
@click.option("--password", default="", help="Of the doors that letters are fetched at.")
@click.option("--apop", is_flag=True, help="Keep the password readable too, for APOP.")
@click.option("--key", "keys", multiple=True, help="A public key line that opens sftp; may be repeated.")
@with_store
def add_box(there: Opened, /, box_id: str, *, address: str, **given: Any) -> None:  # noqa: ANN401 - the options above
    """Make a mailbox. Without --door letters stay in it until an operator looks."""
    entry = _entry(BoxEntry, id=box_id, address=address, **given)
    made = entry.box(hash_password)
    with writing(there, "box.added", box_id) as unit:
        if unit.box(box_id) is not None:
            raise Unacceptable(f"{box_id}: is there already; `sekisho box set` changes it")
        if (other := unit.box_of_address(address)) is not None:
            raise Unacceptable(f"--address {address}: belongs to box {other.id}")
        unit.put_box(made, new=True)
    click.echo(f"{box_id}: added")


@box.command("set")
@click.argument("box_id", metavar="ID")
@click.option("--address", help="The box's mail address.")
@click.option("--door", "doors", multiple=True, type=click.Choice(DOORS), help="Replaces all doors; may be repeated.")
@click.option("--push", metavar="HOST:PORT", help='Of smtp-push; "" for DNS of the address\'s domain.')
@click.option("--password", help="Of the doors that letters are fetched at.")
@click.option("--apop/--no-apop", default=None, help="Keep the password given with it readable too, for APOP.")
@click.option("--key", "keys", multiple=True, help="Replaces all public keys; may be repeated.")
@with_store
def set_box(there: Opened, /, box_id: str, **given: Any) -> None:  # noqa: ANN401 - the options above
    """Change what is named; letters and their numbers stay."""
    changes = {key: value for key, value in given.items() if value is not None and value != ()}
    if not changes:
        raise SetupFailed("nothing to change; `sekisho box set --help` lists what can be")
    with writing(there, "box.changed", f"{box_id} {' '.join(sorted(changes))}") as unit:
        known = unit.box(box_id)
        if known is None:
            raise Unacceptable(f"{box_id}: no such box; `sekisho box list` shows them")
        _entry(BoxEntry, id=box_id, **{"address": known.address, **changes})
        password, apop = changes.pop("password", ""), changes.pop("apop", None)
        if apop and not password:
            raise SetupFailed("--apop keeps a password readable that is given with it: name --password too")
        if password:
            changes["password_hash"] = hash_password(password)
        if password or apop is False:
            changes["secret"] = password if apop or (apop is None and known.secret) else ""
        unit.put_box(replace(known, **changes))
    click.echo(f"{box_id}: changed")


@box.command("list")
@json_option
@with_store
def list_boxes(there: Opened, /, *, as_data: bool) -> None:
    """List mailboxes with how many letters they hold and how many of them no door has delivered."""
    with there.store.view() as view:
        counts = {name: (letters, waiting) for name, letters, waiting in view.box_counts()}
        forms = [
            {
                "id": known.id,
                "letters": counts.get(known.id, (0, 0))[0],
                "waiting": counts.get(known.id, (0, 0))[1],
                "doors": list(known.doors),
                "push": known.push,
                "keys": len(known.keys),
                "address": known.address,
            }
            for known in view.boxes()
        ]
    _show(forms, "no boxes", as_data=as_data, right=" >>")


@click.group()
def route() -> None:
    """宛先管理: which outputs of a user go to which box."""


@route.command("add")
@click.argument("user")
@click.argument("output")
@click.argument("box_id", metavar="BOX")
@with_store
def add_route(there: Opened, /, user: str, output: str, box_id: str) -> None:
    """Send outputs OUTPUT of USER (a user ID, or a 利用者コード for all its IDs) to BOX; replaces an earlier one."""
    entry = _entry(RouteEntry, user=user, output=output, box=box_id)
    with writing(there, "route.added", f"{user} {output} {box_id}") as unit:
        if unit.box(box_id) is None:
            raise Unacceptable(f"{box_id}: no such box; `sekisho box list` shows them")
        unit.put_route(Route(entry.user, entry.output, entry.box))
    click.echo(f"{user} {output}: to {box_id}")


@route.command("list")
@json_option
@with_store
def list_routes(there: Opened, /, *, as_data: bool) -> None:
    """List routes."""
    with there.store.view() as view:
        forms = [{"user": r.user, "output": r.output, "box": r.box} for r in view.routes()]
    _show(forms, "no routes", as_data=as_data)


@route.command("remove")
@click.argument("user")
@click.argument("output")
@with_store
def remove_route(there: Opened, /, user: str, output: str) -> None:
    """Remove a route: the outputs go to the user's own box again."""
    with writing(there, "route.removed", f"{user} {output}") as unit:
        if not unit.delete_route(user, output):
            raise Unacceptable(f"{user} {output}: no such route; `sekisho route list` shows them")
    click.echo(f"{user} {output}: removed")


@click.group()
def place() -> None:
    """Bonded areas and berths (保税地域) and who receives their outputs."""


@place.command("add")
@click.argument("code")
@click.option("--user", required=True, metavar="利用者コード", help="Who receives EXC outputs for it.")
@click.option("--name", default="", help="In upper-case Roman letters.")
@with_store
def add_place(there: Opened, /, code: str, user: str, name: str) -> None:
    """Write a place; replaces an earlier one of the code."""
    entry = _entry(PlaceEntry, code=code, user=user, name=name)
    with writing(there, "place.added", f"{code} {user}") as unit:
        unit.put_place(Place(entry.code, entry.user, entry.name))
    click.echo(f"{code}: added")


@place.command("list")
@json_option
@with_store
def list_places(there: Opened, /, *, as_data: bool) -> None:
    """List places."""
    with there.store.view() as view:
        forms = [{"code": p.code, "user": p.user, "name": p.name} for p in view.places()]
    _show(forms, "no places", as_data=as_data)


@click.group()
def records() -> None:
    """Business records: cargo, registrations, declarations."""


@records.command("import")
@click.argument("file")
@click.option("--replace", "over", is_flag=True, help="Write over what is there already.")
@with_store
def import_records(there: Opened, /, file: str, *, over: bool) -> None:
    """Load the [[cargo]] and [[invoice]] tables of a TOML file (samples/registry.toml); the others are checked only."""
    try:
        registry = read_registry(Path(file))
    except SettingsError as error:
        raise SetupFailed(str(error)) from None
    found = [(CARGO, cargo.key, cargo_record(cargo)) for cargo in registry.cargo]
    found += [(INVOICE, invoice.key, invoice_record(invoice)) for invoice in registry.invoice]
    if not found:
        raise Unacceptable(f"{file}: no [[cargo]] or [[invoice]] in it")
    with writing(there, "records.imported", file) as unit:
        wanted = [(kind, key, data) for kind, key, data in found if over or unit.record(kind, key) is None]
        for kind, key, data in wanted:
            unit.put_record(kind, key, data, there.now())
    left = len(found) - len(wanted)
    click.echo(
        f"{len(wanted)} imported" + (f", {left} were there already (--replace writes over them)" if left else "")
    )


@records.command("list")
@click.option("--kind", default=CARGO, show_default=True, help="Which kind of record.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="At most so many.")
@click.option("--after", default="", metavar="KEY", help="Keys greater than this one.")
@json_option
@with_store
def list_records(there: Opened, /, *, kind: str, limit: int, after: str, as_data: bool) -> None:
    """List business records by key."""
    with there.store.view() as view:
        found = view.records(kind, limit, after)
    if as_data:
        echo_json([{"key": key, "data": data} for key, data in found])
        return
    rows = [(key, _in_short(data)) for key, data in found]
    click.echo("\n".join(table(["key", "data"], rows) or [f"no records of kind {kind}"]))


def _in_short(data: Any) -> str:  # noqa: ANN401 - a record is any mapping
    parts = [f"{key}={value}" for key, value in data.items() if key != "key" and isinstance(value, str | int | float)]
    text = " ".join(part for part in parts if not part.endswith("="))
    return text if len(text) <= 100 else text[:97] + "..."


@records.command("show")
@click.argument("key")
@click.option("--kind", default=CARGO, show_default=True, help="Which kind of record.")
@json_option
@with_store
def show_record(there: Opened, /, key: str, *, kind: str, as_data: bool) -> None:
    """Show one business record."""
    with there.store.view() as view:
        data = view.record(kind, key)
    if data is None:
        raise Unacceptable(f"{key}: no such {kind} record; `sekisho records list` shows them")
    if as_data:
        echo_json(dict(data))
    else:
        click.echo("\n".join(pairs({name: _plain(value) for name, value in data.items()})))


def _plain(value: Any) -> str:  # noqa: ANN401 - a record's field
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
