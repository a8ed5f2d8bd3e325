"""``sekisho codes`` and ``sekisho explain``: what this gateway implements, and what its codes mean."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any, Final

import click

from sekisho.codecs.layout import Layout
from sekisho.codecs.message import Catalogue
from sekisho.codecs.results import Meaning, system_results
from sekisho.gateway.cli_codec import generation_option, handlers_option, load_catalogue
from sekisho.gateway.cli_edifact import code_rows, explain_edifact, message_page
from sekisho.gateway.cli_text import Unacceptable, echo_json, pairs, pieces, table
from sekisho.handlers import HANDLERS, business_codes, find, is_of, key_item, result_list
from sekisho.handlers.tables import BusinessCode

__all__ = ["codes", "explain"]

_KINDS: Final = {
    "A": "register",
    "B": "call-up",
    "C": "declare or apply",
    "Q": "query",
    "S": "setting",
    "X": "customs or site action",
    "T": "test",
}
_PRINTS: Final = {
    "R": "result notice, to the sender",
    "C": "screen copy, to the sender",
    "P": "printed form, to the sender or a third party",
    "M": "answer of an inquiry",
    "T": "broadcast",
    "U": "management document",
}
_SURE: Final = {
    "spec": "official text",
    "official": "official text",
    "client": "read off a product that is in use",
    "inferred": "reasoned from official text; the number or value may differ",
    "ours": "our own choice, provisional; never an official number",
    "provisional": "our own choice, provisional",
}
_RESULT: Final = re.compile(r"([0-9A-Z][0-9]{4})(?:-([A-Z0-9_]{1,4}) *-([0-9]{4}))?")


def _status(code: str, modules: tuple[str, ...]) -> str:
    return "decided" if code in HANDLERS and is_of(HANDLERS[code], modules) else "plain"


@click.command()
@click.argument("code", required=False)
@click.option("--outputs", is_flag=True, help="List the output codes that have a table instead.")
@click.option("--release", metavar="D.95B", help="Of an EDIFACT message: the directory release.")
@click.option("--json", "as_data", is_flag=True, help="Print JSON.")
@generation_option
@handlers_option
def codes(
    code: str | None, *, outputs: bool, release: str | None, as_data: bool, generation: str, handlers: tuple[str, ...]
) -> None:
    """List what this gateway implements; with CODE, its item table, outputs and result codes.

    CODE is a business code (OLA), an output code (SAS1360), the name of an output's table (RESULT-11) or an EDIFACT
    message type (CUSCAR). Status: decided = the business is carried out; plain = the message is read and checked by its
    table and answered, nothing is decided; edifact = no item table is known, only an EDIFACT message may ask for it;
    judged = interchanges are checked by the tables of the releases named.
    """
    tables = load_catalogue(generation, handlers)
    known = business_codes(handlers)
    if code is None:
        rows = _output_rows(tables) if outputs else [
            *_business_rows(tables, known, int(generation), handlers),
            *code_rows(),
        ]
        if as_data:
            echo_json(rows)
        else:
            heads = list(rows[0])
            click.echo("\n".join(table(heads, [list(row.values()) for row in rows])))
        return
    code = code.strip().upper()
    if message_page(code, release, as_data=as_data):
        return
    if code in known:
        form = _business(known[code], tables, int(generation), handlers)
    else:
        layout = _output_table(code, tables)
        if layout is None:
            near = difflib.get_close_matches(code, [*known, *_output_codes(tables)], n=3, cutoff=0.5)
            hint = f"; near: {', '.join(near)}" if near else "; `sekisho codes` lists all"
            raise Unacceptable(f"{code}: neither a business code nor an output code of this gateway{hint}")
        form = {"code": code} | _layout(layout)
    if as_data:
        echo_json(form)
    else:
        click.echo("\n".join(_page(form)))


def _business_rows(
    tables: Catalogue,
    known: Mapping[str, BusinessCode],
    generation: int,
    modules: tuple[str, ...],
) -> list[dict[str, str]]:
    rows = []
    for entry in known.values():
        layout = tables.request(entry.code)
        if layout is None and entry.edifact:
            rows.append(_edifact_row(entry))
        if layout is None or find(entry.code, modules, generation) is None:
            continue
        rows.append(
            {
                "code": entry.code,
                "title": entry.title,
                "system": entry.system,
                "kind": _KINDS.get(entry.kind, entry.kind),
                "status": _status(entry.code, modules),
                "table": f"{layout.name}.tsv",
                "source": layout.source,
            }
        )
    return rows


def _edifact_row(entry: BusinessCode) -> dict[str, str]:
    return {
        "code": entry.code,
        "title": entry.title,
        "system": entry.system,
        "kind": _KINDS.get(entry.kind, entry.kind),
        "status": "edifact",
        "table": f"{entry.edifact} (EDIFACT)",
        "source": entry.edifact_source,
    }


def _output_codes(tables: Catalogue) -> list[str]:
    return [layout.code for name, layout in tables.layouts.items() if name.endswith(".out")]


def _output_table(code: str, tables: Catalogue) -> Layout | None:
    """The table of an output code, or the one of that name in any letter case."""
    names = {name.removesuffix(".out").upper(): name for name in tables.layouts if name.endswith(".out")}
    return tables.layouts[names[code]] if code in names else tables.output(code)


def _output_rows(tables: Catalogue) -> list[dict[str, str]]:
    return [
        {
            "code": layout.code,
            "title": layout.title,
            "system": layout.system,
            "kind": layout.type,
            "table": f"{name}.tsv",
            "source": layout.source,
            "sent by": " ".join(_senders(layout.code)),
        }
        for name, layout in tables.layouts.items()
        if name.endswith(".out")
    ]


def _senders(output_code: str) -> list[str]:
    return [handler.code for handler in HANDLERS.values() if output_code in handler.outputs]


def _layout(layout: Layout) -> dict[str, Any]:
    row = sum(item.size + 2 for item in layout.blocks[-1].items) if layout.open_ended else 0
    rows = layout.blocks[-1].repeat if layout.open_ended else 0
    return {
        "title": layout.title,
        "system": layout.system,
        "direction": layout.direction,
        "kind": layout.type,
        "table": f"{layout.name}.tsv",
        "source": layout.source,
        "confidence": layout.confidence,
        "generations": list(layout.generations),
        "notes": list(layout.notes),
        "fixed_bytes": layout.most_bytes - row * rows,
        "row_bytes": row,
        "rows": rows,
        "sent_by": _senders(layout.code),
        "items": [
            {
                "no": item.no,
                "name": item.name,
                "id": item.id,
                "id_is_ours": "id=ours" in item.note,
                "kind": item.kind,
                "size": item.size,
                "group": item.group,
                "repeat": item.repeat,
                "required": item.required,
                "secret": item.secret,
                "note": item.note,
            }
            for item in layout.items
        ],
    }


def _business(entry: BusinessCode, tables: Catalogue, generation: int, modules: tuple[str, ...]) -> dict[str, Any]:
    layout = tables.request(entry.code)
    handler = find(entry.code, modules, generation)
    if layout is None and entry.edifact:
        return _edifact_business(entry, modules)
    if layout is None or handler is None:
        raise Unacceptable(f"{entry.code}: known by name, but no item table in generation {generation}")
    form = {"code": entry.code, "status": _status(entry.code, modules)} | _layout(layout)
    hours = ""
    if handler.opens is not None and handler.closes is not None:
        hours = f"{handler.opens:%H:%M}-{handler.closes:%H:%M}"
    form |= {"title": entry.title, "gloss": entry.gloss, "system": entry.system, "kind": _KINDS.get(entry.kind, "")}
    form |= {"key": key_item(layout), "hours": hours, "edifact": entry.edifact}
    form["outputs"] = [_output(code, entry.code, tables, keyed=bool(form["key"])) for code in handler.outputs]
    form["results"] = [_meaning(meaning) for meaning in result_list(entry.code, modules).meanings]
    return form


def _edifact_business(entry: BusinessCode, modules: tuple[str, ...]) -> dict[str, Any]:
    """A business that only an EDIFACT message may ask for: no item table, no outputs, its result codes."""
    row = _edifact_row(entry)
    named = "official text names the message"
    if entry.edifact_source != "spec":
        named = "that this message asks for it is inferred"
    return row | {
        "gloss": entry.gloss,
        "confidence": entry.edifact_source,
        "edifact": entry.edifact,
        "notes": [f"{named}; what its segments mean is our reading: docs/edifact-mappings.md"],
        "items": [],
        "sent_by": [],
        "generations": [],
        "results": [_meaning(meaning) for meaning in result_list(entry.code, modules).meanings],
    }


def _output(code: str, business: str, tables: Catalogue, *, keyed: bool) -> dict[str, Any]:
    layout = tables.output(code, business)
    if code.startswith("*"):
        own = tables.layouts.get(f"{business}.out")
        layout = own if own is not None and own.type == "R" else tables.get(f"RESULT{'-11' * keyed}.out")
    kind = "R" if code.startswith("*") else (layout.type if layout and layout.direction == "out" else "C")
    return {"code": code, "title": layout.title if layout else "", "kind": kind}


def _meaning(meaning: Meaning) -> dict[str, Any]:
    return {
        "code": meaning.code,
        "item": meaning.item,
        "meaning_ja": meaning.meaning_ja,
        "meaning": meaning.meaning,
        "cause": meaning.cause,
        "remedy": meaning.remedy,
        "source": meaning.source,
        "sure": _SURE.get(meaning.source, meaning.source),
    }


def _page(form: dict[str, Any]) -> list[str]:
    gloss = f" ({form['gloss']})" if form.get("gloss") else ""
    shape = ""
    if form["items"]:
        more = f" + {form['row_bytes']} a row (up to {form['rows']})" * bool(form["rows"])
        shape = f"{form['fixed_bytes']} bytes{more}"
    facts = {
        "status": form.get("status", ""),
        "system": form["system"],
        "kind": _PRINTS.get(form["kind"], form["kind"]),
        "table": f"{form['table']} ({form['source']}: {_SURE.get(form['source'], '')}; {form['confidence']})",
        "body": shape,
        "edifact": form.get("edifact", ""),
        "key": form.get("key", ""),
        "hours": form.get("hours", ""),
        "sent by": " ".join(form["sent_by"]),
        "generation": " ".join(form["generations"]),
    }
    lines = [f"{form['code']}  {form['title']}{gloss}", "", *pairs({k: v for k, v in facts.items() if v})]
    lines += [f"note        {note}" for note in form["notes"]]
    rows = []
    for item in form["items"]:
        ours = "*" if item["id_is_ours"] else ""
        block = f"{item['group']} x{item['repeat']}" if item["repeat"] > 1 else ""
        secret = "secret" if item["secret"] else ""
        note = re.sub(r"^id=[a-z]+;? ?", "", item["note"])
        rows.append(
            (
                item["no"],
                item["id"] + ours,
                item["name"],
                item["kind"],
                item["size"],
                block,
                item["required"],
                secret,
                note,
            )
        )
    heads = ["no", "id", "item", "kind", "size", "block", "req", "", "note"]
    lines += pieces("items (id with *: ours, not an official short name)", table(heads, rows, ">   >"))
    outputs = [(o["code"], o["kind"], o["title"]) for o in form.get("outputs", ())]
    lines += pieces("outputs", table(["code", "kind", "title"], outputs))
    results = [(r["code"], r["item"], r["meaning_ja"], r["meaning"], r["source"]) for r in form.get("results", ())]
    lines += pieces("result codes", table(["code", "item", "", "meaning", "source"], results))
    if "status" in form:
        lines += ["", "Codes of all businesses (A0001 ... U0001, E0001): `sekisho explain CODE`."]
    return lines


@click.command()
@click.argument("code")
@click.option("--for", "business", metavar="BUSINESS", help="The business code the result came from.")
@click.option("--json", "as_data", is_flag=True, help="Print JSON.")
@generation_option
@handlers_option
def explain(code: str, business: str | None, *, as_data: bool, generation: str, handlers: tuple[str, ...]) -> None:
    """Say what a result code or an output code means, why it came, and what to do.

    CODE may be a whole result of a notice ("S0001-OLT -0000"). Most result codes mean something else in every business:
    name it with --for. Error codes of EDIFACT (element 0085): EDIFACT-29, or 29 --for EDIFACT.
    """
    code = code.strip().upper()
    business = business.strip().upper() if business else None
    edifact = explain_edifact(code, named=business == "EDIFACT")
    if edifact is not None:
        _echo_explained([edifact], as_data=as_data)
        return
    tables = load_catalogue(generation, handlers)
    known = business_codes(handlers)
    if business is not None and business not in known:
        raise Unacceptable(f"--for {business}: no such business code; `sekisho codes` lists all")
    found = _RESULT.fullmatch(code)
    forms = _explain_result(found, business, tables, handlers) if found else []
    if not forms and (layout := tables.output(code, business or "")) is not None:
        forms = [_explain_output(code, layout)]
    if not forms and code in known:
        raise Unacceptable(f"{code}: a business code; `sekisho codes {code}` shows it")
    if not forms:
        there = f" in {business}" if business else ""
        raise Unacceptable(
            f"{code}: not known{there}; give a result code (A0008, S0001-OLT) or an output code (SAS1360)"
        )
    _echo_explained(forms, as_data=as_data)


def _echo_explained(forms: list[dict[str, Any]], *, as_data: bool) -> None:
    if as_data:
        echo_json(forms[0] if len(forms) == 1 else forms)
        return
    for at, form in enumerate(forms):
        if at:
            click.echo()
        head = " ".join(str(form.pop(key)) for key in ("code", "business") if form.get(key))
        click.echo(head)
        click.echo("\n".join(f"  {line}" for line in pairs({k: v for k, v in form.items() if v})))


def _explain_result(
    found: re.Match[str], business: str | None, tables: Catalogue, modules: tuple[str, ...]
) -> list[dict[str, Any]]:
    code, item, row = found[1], (found[2] or "").replace("0000", ""), int(found[3] or 0)
    if business is not None:
        meaning = result_list(business, modules).find(code, item)
        return [] if meaning is None else [_result(meaning, business, item, row, tables)]
    common = system_results().get(code)
    if common is not None and (code[0] in "A0" or code == "U0001" or code[1] == "9"):
        return [_result(common, "", item, row, tables)]
    forms = [] if common is None else [_result(common, "(where a business has no own meaning)", item, row, tables)]
    return forms + [
        _result(meaning, name, item, row, tables)
        for name in business_codes(modules)
        for meaning in result_list(name, modules).meanings
        if meaning.code == code and item in ("", meaning.item)
    ]


def _result(meaning: Meaning, business: str, item: str, row: int, tables: Catalogue) -> dict[str, Any]:
    form = {"code": meaning.code, "business": business}
    item = item or meaning.item
    layout = tables.request(business) if business else None
    if item:
        about = layout.item(item) if layout is not None and item in layout else None
        form["item"] = f"{item}  {about.name}, no {about.no}, {about.kind} {about.size}" if about else item
    if row:
        form["row"] = str(row)
    shown = _meaning(meaning)
    form["meaning"] = " / ".join(text for text in (shown["meaning_ja"], shown["meaning"]) if text)
    return form | {"cause": shown["cause"], "remedy": shown["remedy"], "sure": shown["sure"]}


def _explain_output(code: str, layout: Layout) -> dict[str, Any]:
    kind = "R" if code.startswith("*") else layout.type
    meaning = layout.title
    if code.startswith("*"):
        meaning += f": how {code[2:]} ended; up to five result codes of 15 characters"
    elif code[1:2] == "Z":
        meaning += " (own code of this gateway: the official one is unknown)"
    sure = f"{_SURE.get(layout.source, layout.source)}; table: {layout.confidence}"
    remedy = f"`sekisho codes {layout.name.removesuffix('.out').removesuffix('.in')}` shows its items"
    return {
        "code": code,
        "business": "",
        "meaning": meaning,
        "kind": f"{kind} {_PRINTS.get(kind, '')}".strip(),
        "sent by": " ".join(_senders(code)),
        "remedy": remedy,
        "sure": sure,
    }
