"""``sekisho decode`` and ``sekisho encode``: one message, from bytes to something readable and back."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, Final

import click

from sekisho.codecs.header import BODY_START, fields
from sekisho.codecs.message import Catalogue, Message, as_json, from_json, read_message
from sekisho.gateway.cli_edifact import decode_edifact, is_edifact
from sekisho.gateway.cli_text import SetupFailed, Unacceptable, echo_json, pairs, pieces, read_input, table

__all__ = ["decode", "decoded_lines", "encode", "load_catalogue"]

_MAIL: Final = re.compile(rb"[!-9;-~]+:[^\r\n]*\r?\n")
_BLANK: Final = "(blank)"

generation_option = click.option(
    "--generation", type=click.Choice(["6", "7"]), default="7", show_default=True, help="Whose item tables apply."
)
handlers_option = click.option(
    "--handlers", multiple=True, metavar="MODULE", help="A module with business codes of your own; may be repeated."
)


def load_catalogue(generation: str, modules: tuple[str, ...]) -> Catalogue:
    """The tables of a generation, those of own modules among them. Raises SetupFailed for a module that fails."""
    from sekisho.handlers.tables import catalogue  # noqa: PLC0415 - 100 tables are read only where they are used

    try:
        return catalogue(int(generation), modules)
    except (ImportError, ValueError) as error:
        raise SetupFailed(f"--handlers {' '.join(modules)}: {error}") from None


@click.command()
@click.argument("file")
@click.option("--json", "as_data", is_flag=True, help="Print the documented JSON form.")
@click.option("--strict", is_flag=True, help="Take findings as errors.")
@click.option("--all", "whole", is_flag=True, help="Show blank items too.")
@click.option("--unwrap", is_flag=True, help="EDIFACT: drop line ends inside segments.")
@generation_option
@handlers_option
def decode(
    file: str, *, as_data: bool, strict: bool, whole: bool, unwrap: bool, generation: str, handlers: tuple[str, ...]
) -> None:
    """Read a NACCS EDI message, request or reply, or an EDIFACT interchange, and say what is in it.

    FILE holds the message, alone or in a mail; - is standard input. Passwords are shown. Exit code 1 if the message is
    not acceptable; every error is printed then, with item, row and byte offset (EDIFACT: code, segment and element).
    """
    content = read_input(file)
    around: list[str] = []
    if not is_edifact(content):
        content, around = _out_of_mail(content)
    if is_edifact(content, around=content[BODY_START - 2 : BODY_START] != b"\r\n"):
        decode_edifact(content, as_data=as_data, strict=strict, unwrap=unwrap)
        return
    message = read_message(content, load_catalogue(generation, handlers), strict=strict)
    if as_data:
        echo_json(as_json(message))
    else:
        click.echo("\n".join([*around, *decoded_lines(message, whole=whole)]))
        if message.errors and b"\r\n" not in content and b"\n" in content:
            click.echo("\nLines end with LF alone; NACCS EDI wants CR LF: something changed the file on its way.")
    if message.errors:
        sys.exit(1)


def _out_of_mail(content: bytes) -> tuple[bytes, list[str]]:
    """The message in a mail, and a line about the mail; anything else as it is."""
    if content[BODY_START - 2 : BODY_START] == b"\r\n" or not _MAIL.match(content):
        return content, []
    from sekisho.codecs.mime import MimeError, unwrap  # noqa: PLC0415 - most files are no mails

    try:
        mail = unwrap(content)
    except MimeError as error:
        raise Unacceptable(f"a mail that cannot be taken apart: {error}") from None
    about = [f"mail: {mail.content_type or 'no Content-Type'}; Message-ID {mail.transport_id or 'none'}"]
    about += [f"mail: {text}" for text in mail.findings]
    if mail.attachments:
        about.append(f"mail: {len(mail.attachments)} more parts")
    return mail.content, about


def decoded_lines(message: Message, *, whole: bool = False) -> list[str]:
    """A message for a person: what it is, common items, items by table, findings and errors with offsets.

    ``whole`` shows blank items too. Nothing is hidden here.
    """
    form = as_json(message)
    layout = message.layout
    what = f"{form['direction']} {form['output_code'] or form['business_code'] or _BLANK}"
    if layout is not None:
        what += f"  {layout.title}  [{form['layout']}, {layout.source}]"
    lines = [f"{what}  {len(message.content)} bytes"]
    lines += pieces("header", _header_lines(message, form["header"], whole=whole))
    items = _item_lines(message, form["items"], whole=whole)
    lines += pieces("items", items)
    left_out = sum(not item["value"] for item in form["items"])
    if left_out and not whole:
        lines.append(f"  ({left_out} blank items; --all shows them)")
    for title in ("findings", "errors"):
        rows = [(d["offset"], d["code"], d["item"], d["row"], d["text"]) for d in form[title]]
        name = f"{title} ({'read anyway' if title == 'findings' else 'not acceptable'})"
        lines += pieces(name, table(["offset", "code", "item", "row", "text"], rows, ">"))
    return lines


def _header_lines(message: Message, values: dict[str, str], *, whole: bool) -> list[str]:
    if not message.content:
        return []
    shown = {}
    for common in fields(message.header.direction):
        value = values[common.key]
        if value or (whole and not common.key.startswith("reserve_")):
            shown[f"{common.start:>3}  {common.key:<14}  {common.name}"] = value
    return pairs(shown)


def _item_lines(message: Message, items: list[dict[str, Any]], *, whole: bool) -> list[str]:
    """Items with the offset of their first byte; ``!`` marks one with an error, ``?`` one with a finding."""
    marks = {(d.item, d.row): "?" for d in message.findings if d.item}
    marks |= {(d.item, d.row): "!" for d in message.errors if d.item}
    rows = []
    at = BODY_START
    sent = message.content[BODY_START:].split(b"\r\n")
    for place, item in enumerate(items):
        mark = marks.get((item["id"], item["row"]), "")
        if item["value"] or whole or mark:
            rows.append((mark, at, item["no"], item["id"], item["row"], item["name"], item["value"]))
        at += len(sent[place]) + 2 if place < len(sent) else 2
    lines = table(["", "offset", "no", "id", "row", "item", "value"], rows, " >> >")
    return [line.removeprefix("  ") for line in lines] if not any(row[0] for row in rows) else lines


@click.command()
@click.argument("file")
@click.option("-o", "--output", metavar="FILE", help="Write there instead of standard output.")
@generation_option
@handlers_option
def encode(file: str, output: str | None, generation: str, handlers: tuple[str, ...]) -> None:
    """Write a message from its JSON form (what decode --json prints): every item at full width.

    A blank 電文長 (header key "length") is counted. FILE - is standard input.
    """
    text = read_input(file)
    try:
        data = json.loads(text)
    except ValueError as error:
        raise SetupFailed(f"{file}: not JSON: {error}") from None
    if not isinstance(data, dict) or data.get("format", "naccs") != "naccs":
        raise SetupFailed(f'{file}: no JSON form of a NACCS EDI message ("format": "naccs")')
    try:
        content = from_json(data, load_catalogue(generation, handlers))
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise Unacceptable(f"{file}: {error}; `sekisho decode --json` shows the form") from None
    if output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    try:
        Path(output).write_bytes(content)
    except OSError as error:
        raise SetupFailed(f"{output}: {error.strerror}; choose another place") from None
