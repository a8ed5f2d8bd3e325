"""``sekisho mailbox``: the operator's view of what came, what was answered, and what became of it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from sekisho.codecs import charset
from sekisho.codecs.message import Catalogue
from sekisho.gateway.cli_letters import (
    LETTER_HEADS,
    Piece,
    letter_form,
    letter_row,
    parse_reference,
    piece,
    request_form,
    seen_unmasked,
    shown_bytes,
)
from sekisho.gateway.cli_store import OPERATOR, Opened, japan, with_store
from sekisho.gateway.cli_text import SetupFailed, Unacceptable, echo_json, pairs, pieces, table, visible
from sekisho.mailboxes.letters import PUSHING, Event, Letter, LetterQuery, Request
from sekisho.mailboxes.store import View

__all__ = ["mailbox"]

STATES: Final = ("waiting", "unknown", "failed", "delivered", "deleted")
_LIVE: Final = STATES[:-1]
_LOOK_SECONDS: Final = 0.5
"""How often tail looks for news."""

json_option = click.option("--json", "as_data", is_flag=True, help="Print JSON.")
unmask_option = click.option("--unmask", is_flag=True, help="Show passwords too; the audit trail notes it.")


@click.group()
def mailbox() -> None:
    """Find, read and resend letters.

    A letter is named by its number (12), a request by r and its number (r3).
    """


def _filters(command: Any) -> Any:  # noqa: ANN401 - a click decorator
    for option in (
        click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="At most so many."),
        click.option("--before", type=int, help="Numbers below this one."),
        click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="May be repeated."),
        click.option("--text", default="", help="Part of the subject: a result code or a number."),
        click.option("--request", "request_number", metavar="rN", help="Letters that this request caused."),
        click.option("--output", default="", help="出力情報コード."),
        click.option("--business", default="", help="業務コード."),
        click.option("--user", default="", help="User ID of the addressee."),
        click.option("--box", default="", help="Only this box."),
    ):
        command = option(command)
    return command


def _query(given: dict[str, Any]) -> LetterQuery:
    request = given["request_number"]
    return LetterQuery(
        box=given["box"],
        user_id=given["user"],
        business_code=given["business"],
        output_code=given["output"],
        request=parse_reference(request)[1] if request else None,
        text=given["text"],
        states=given["states"] or _LIVE,
        before=given["before"],
        limit=given["limit"],
    )


@mailbox.command("list")
@_filters
@click.option("--requests", is_flag=True, help="List what came in instead (only --limit and --before count).")
@json_option
@with_store
def list_letters(there: Opened, /, *, requests: bool, as_data: bool, **given: Any) -> None:  # noqa: ANN401
    """List letters, newest first; deleted ones only with --state deleted."""
    with there.store.view() as view:
        if requests:
            came = view.requests(given["limit"], given["before"])
        else:
            letters = view.letters(_query(given))
    if requests:
        _list_requests(came, as_data=as_data)
    elif as_data:
        echo_json([letter_form(letter) for letter in letters])
    else:
        lines = table(LETTER_HEADS, [letter_row(letter) for letter in letters], ">  >     > >")
        click.echo("\n".join(lines or ["no letters"]))


def _list_requests(requests: list[Request], *, as_data: bool) -> None:
    if as_data:
        echo_json([request_form(request) for request in requests])
        return
    rows = [
        (
            f"r{request.number}", japan(request.received_at), request.transport, request.user_id,
            request.business_code, request.input_id.rstrip(), request.state.name.lower(), request.result, request.key,
        )
        for request in requests
    ]  # fmt: skip
    heads = ["number", "received", "transport", "user", "business", "input id", "state", "result", "key"]
    click.echo("\n".join(table(heads, rows, ">") or ["no requests"]))


def _find(there: Opened, reference: str, tables: Catalogue, *, unmask: bool) -> Piece:
    with there.store.view() as view:
        found = piece(view, reference, tables)
    if unmask:
        seen_unmasked(there, found)
    return found


@mailbox.command()
@click.argument("reference", metavar="NUMBER")
@click.option("--all", "whole", is_flag=True, help="Show blank items too.")
@unmask_option
@json_option
@with_store
def show(there: Opened, reference: str, *, whole: bool, unmask: bool, as_data: bool) -> None:
    """Show a letter or request decoded, item by item."""
    found = _find(there, reference, there.catalogue(), unmask=unmask)
    facts = letter_form(found.letter) if found.letter else request_form(found.request) if found.request else {}
    if as_data:
        echo_json(facts | {"masked": not unmask, "message": found.form(unmask=unmask)})
        return
    lines = pairs({key: value for key, value in facts.items() if value not in (None, "")})
    lines += ["", *found.lines(unmask=unmask, whole=whole)]
    if not unmask:
        lines += ["", "Secrets are masked; --unmask shows them and leaves a line in the audit trail."]
    click.echo("\n".join(lines))


@mailbox.command()
@click.argument("reference", metavar="NUMBER")
@unmask_option
@json_option
@with_store
def raw(there: Opened, reference: str, *, unmask: bool, as_data: bool) -> None:
    """Write the bytes of a letter, or of a request with the mail around it, as they are."""
    found = _find(there, reference, there.catalogue(), unmask=unmask)
    data = shown_bytes(found, unmask=unmask)
    if as_data:
        echo_json({"reference": reference, "size": len(data), "masked": not unmask, "hex": data.hex()})
        return
    if not unmask:
        click.echo("secrets are masked; --unmask writes the bytes as they are", err=True)
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


@mailbox.command("hex")
@click.argument("reference", metavar="NUMBER")
@unmask_option
@json_option
@with_store
def hex_view(there: Opened, reference: str, *, unmask: bool, as_data: bool) -> None:
    """Show bytes by offset, with their text as EUC-JP."""
    found = _find(there, reference, there.catalogue(), unmask=unmask)
    rows = hex_rows(shown_bytes(found, unmask=unmask))
    if as_data:
        echo_json([{"offset": at, "bytes": data.hex(" "), "text": text} for at, data, text in rows])
    else:
        click.echo("\n".join(f"{at:>6}  {data.hex(' '):<47}  {text}" for at, data, text in rows))


def hex_rows(data: bytes) -> list[tuple[int, bytes, str]]:
    """Sixteen bytes a row with their text: a two-byte character stands in the row of its first byte.

    CR and LF show as ␍ and ␊, other control characters and bytes that are no text as a middle dot.
    """
    texts = [""] * len(data)
    at = 0
    while at < len(data):
        size = 3 if data[at] == 0x8F else 2 if data[at] >= 0x80 else 1
        try:
            character = charset.decode(data[at : at + size])
        except charset.CharsetError:
            size, character = 1, "·"
        texts[at] = {"\r": "␍", "\n": "␊"}.get(character, character if character.isprintable() else "·")
        if character == "\u3000":
            texts[at] = character
        at += size
    return [(at, data[at : at + 16], "".join(texts[at : at + 16])) for at in range(0, len(data), 16)]


@mailbox.command()
@click.argument("reference", metavar="NUMBER")
@click.option("--full", is_flag=True, help="Show every message decoded.")
@json_option
@with_store
def thread(there: Opened, reference: str, *, full: bool, as_data: bool) -> None:
    """Show a request, its letters and what happened to them, in the order of time.

    NUMBER names the request (r3) or any of its letters (12).
    """
    tables = there.catalogue()
    with there.store.view() as view:
        is_request, number = parse_reference(reference)
        letter = None if is_request else view.letter(number)
        if not is_request and letter is None:
            raise Unacceptable(f"letter {number}: not there; `sekisho mailbox list` shows letters")
        root = piece(view, f"r{letter.request if letter else number}", tables)
        if root.request is None:
            raise TypeError(root)
        letters = view.letters_of(root.request.number)
        found = [piece(view, str(one.number), tables) for one in letters]
        line = _timeline(view, root.request, letters)
    if as_data:
        form = request_form(root.request) | {"message": root.form(unmask=False)}
        outputs = [letter_form(one.letter) | {"message": one.form(unmask=False)} for one in found if one.letter]
        moments = [{"at": japan(at), "who": who, "what": what, "detail": detail} for at, who, what, detail in line]
        echo_json({"request": form, "letters": outputs, "timeline": moments})
        return
    facts = {key: value for key, value in request_form(root.request).items() if value not in (None, "")}
    lines = pairs(facts)
    if full:
        lines += ["", *root.lines(unmask=False)]
    lines += pieces("letters", table(LETTER_HEADS, [letter_row(one) for one in letters], ">  >     > >"))
    if full:
        for one in found:
            lines += ["", f"letter {one.reference}", *one.lines(unmask=False)]
    rows = [(japan(at), who, what, detail) for at, who, what, detail in line]
    lines += pieces("timeline", table(["time", "who", "what", "detail"], rows))
    click.echo("\n".join(lines))


def _timeline(view: View, request: Request, letters: list[Letter]) -> list[tuple[int, str, str, str]]:
    """Moments of a request and its letters: time, who, what, detail; by time."""
    moments = [(request.received_at, request.user_id or request.principal, "request.received", request.business_code)]
    if request.done_at is not None:
        moments.append((request.done_at, "gateway", "request.processed", request.result))
    for letter in letters:
        name = f"letter {letter.number} {letter.output_code}"
        moments.append((letter.created_at, "gateway", "letter.written", f"{name} to {letter.box}"))
        if letter.delivered_at is not None:
            # At the other doors the owner of the box comes for it.
            who = "courier" if letter.door in PUSHING else letter.box
            moments.append((letter.delivered_at, who, "letter.delivered", f"{name} by {letter.door or 'hand'}"))
        if letter.deleted_at is not None:
            moments.append((letter.deleted_at, "", "letter.deleted", name))
    events = {event.number: event for event in view.events(request=request.number)}
    for letter in letters:
        events |= {event.number: event for event in view.events(letter=letter.number)}
    for event in events.values():
        about = f"letter {event.letter} " if event.letter else ""
        moments.append((event.at, event.actor, event.kind, about + event.detail))
    return sorted(moments, key=lambda moment: moment[0])


@mailbox.command()
@click.option("--box", default="", help="Only this box.")
@click.option(
    "-n", "--lines", default=10, show_default=True, type=click.IntRange(0), help="Begin with so many letters."
)
@click.option("--seconds", type=click.FloatRange(0), help="End after so long; left out: until interrupted.")
@json_option
@with_store
def tail(there: Opened, *, box: str, lines: int, seconds: float | None, as_data: bool) -> None:
    """Show new letters as they come, one a line (with --json one JSON object a line)."""
    until = None if seconds is None else time.monotonic() + seconds
    try:
        for letter in _coming(there, box, lines, until):
            if as_data:
                echo_json(letter_form(letter), one_line=True)
            else:
                cells = [visible(cell) for cell in letter_row(letter)]
                click.echo("  ".join(cell for cell in cells if cell))
            sys.stdout.flush()
    except KeyboardInterrupt:
        return


def _coming(there: Opened, box: str, lines: int, until: float | None) -> Iterator[Letter]:
    with there.store.view() as view:
        seen = view.letters(LetterQuery(box=box, limit=max(lines, 1), states=STATES))
    yield from reversed(seen[:lines])
    last = seen[0].number if seen else 0
    while until is None or time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
        with there.store.view() as view:
            fresh = view.letters(LetterQuery(box=box, after=last, oldest_first=True, limit=1000, states=STATES))
        for letter in fresh:
            last = letter.number
            yield letter


@mailbox.command()
@click.argument("references", metavar="NUMBER...", nargs=-1, required=True)
@json_option
@with_store
def resend(there: Opened, references: tuple[str, ...], *, as_data: bool) -> None:
    """Offer letters again: the same bytes under the same Message-ID, due at once or waiting to be fetched anew."""
    numbers = []
    for reference in references:
        is_request, number = parse_reference(reference)
        if is_request:
            raise SetupFailed(f"{reference}: a request; resend takes letters (`sekisho mailbox thread {reference}`)")
        numbers.append(number)
    with there.store.transaction() as unit:
        letters = [_resendable(unit, number) for number in numbers]
        for letter in letters:
            # Due since it was written: then it is due by the gateway's clock too, which a test may have set.
            unit.hasten([letter.number], min(there.now(), letter.created_at))
            unit.add_event(Event(there.now(), OPERATOR, "letter.resent", letter.request, letter.number))
    if as_data:
        echo_json([{"letter": letter.number, "box": letter.box, "uid": letter.uid} for letter in letters])
    else:
        for letter in letters:
            click.echo(f"letter {letter.number}: offered again to {letter.box}")


def _resendable(view: View, number: int) -> Letter:
    letter = view.letter(number)
    if letter is None:
        raise Unacceptable(f"letter {number}: not there; nothing was resent")
    if letter.deleted_at is not None:
        raise Unacceptable(f"letter {number}: deleted by its receiver; nothing was resent")
    box = view.box(letter.box)
    if box is None or not box.doors:
        raise Unacceptable(f"letter {number}: box {letter.box} has no door that it could leave by")
    return letter


@mailbox.command()
@click.argument("folder")
@_filters
@unmask_option
@json_option
@with_store
def export(there: Opened, /, folder: str, *, unmask: bool, as_data: bool, **given: Any) -> None:  # noqa: ANN401
    """Write letters into FOLDER, one file each, with an index.json; the filters are those of list."""
    where = Path(folder)
    tables = there.catalogue()
    with there.store.view() as view:
        found = [piece(view, str(letter.number), tables) for letter in view.letters(_query(given))]
    index = []
    try:
        where.mkdir(parents=True, exist_ok=True)
        for one in found:
            if one.letter is None:
                raise TypeError(one)
            name = f"{one.letter.box}-{one.letter.uid:06d}-{one.letter.output_code.replace('*', 'R')}.edi"
            (where / name).write_bytes(shown_bytes(one, unmask=unmask))
            index.append({"file": name, "masked": not unmask} | letter_form(one.letter))
        text = json.dumps(index, ensure_ascii=False, indent=2)
        (where / "index.json").write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise SetupFailed(f"{folder}: {error.strerror}; choose another place") from None
    if unmask:
        for one in found:
            seen_unmasked(there, one)
    if as_data:
        echo_json(index)
    else:
        note = "" if unmask else "; secrets are masked, --unmask writes them"
        click.echo(f"{len(index)} letters in {where}{note}")
