"""The tables of this room: item tables, result lists, and the list of business codes.

*Strategy.* All three are data beside the code: ``layouts/*.tsv`` (``OLA.in.tsv``, ``SAS1360.out.tsv``; one more part
before the direction names a generation: ``OLA.7.in.tsv``), ``results/*.tsv`` and ``codes.tsv``; output codes that are
written by a table of another name stand in ``output_codes.tsv``. A generation reads its
own table where there is one, else the newest earlier one (Unspecified: our choice). Modules outside this project bring
theirs in a ``layouts`` folder beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType

from sekisho.codecs.layout import Layout, parse_layout
from sekisho.codecs.message import Catalogue
from sekisho.codecs.results import ResultList, read_result_list

__all__ = ["BusinessCode", "business_codes", "catalogue", "key_item", "result_list", "system_letter"]


@dataclass(frozen=True, slots=True)
class BusinessCode:
    """One line of ``codes.tsv``; see its head for what the columns mean."""

    code: str
    title: str
    gloss: str
    system: str
    kind: str
    group: str
    table: str
    long: str
    web: str
    edifact: str = ""
    edifact_source: str = ""


def _lines(text: str) -> Iterable[dict[str, str]]:
    rows = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    for row in rows[1:]:
        yield dict(zip(rows[0], row, strict=True))


@cache
def business_codes(modules: tuple[str, ...] = ()) -> Mapping[str, BusinessCode]:
    """Every business code by code; ``modules`` may add theirs in a ``codes.tsv`` of their own."""
    out = {}
    for folder in _folders(modules):
        table = folder.joinpath("codes.tsv")
        if table.is_file():
            for row in _lines(table.read_text(encoding="utf-8")):
                out[row["code"]] = BusinessCode(**row)
    return MappingProxyType(out)


def _folders(modules: Sequence[str]) -> list[Traversable]:
    """The folders whose tables count: this room's, then those beside the named modules, in order."""
    out: list[Traversable] = [files(__package__)]
    for name in modules:
        module = import_module(name)
        out.append(files(module if hasattr(module, "__path__") else (module.__package__ or name)))
    return out


def _stem(name: str) -> tuple[str, str, int]:
    """``OLA.7.in.tsv`` -> (``OLA``, ``in``, 7); generation 0 where the name gives none."""
    parts = name.removesuffix(".tsv").split(".")
    if len(parts) == 3 and parts[1].isdigit():
        return parts[0], parts[2], int(parts[1])
    code, _, direction = name.removesuffix(".tsv").rpartition(".")
    return code, direction, 0


@cache
def result_list(business_code: str, modules: tuple[str, ...] = ()) -> ResultList:
    """The result codes known of a business; empty where no list is known.

    Behind its own list stands that of the EDIFACT message that may ask for it, whose items are segment tags.
    """
    found = ResultList(business_code)
    for folder in _folders(modules):
        table = folder.joinpath("results", f"{business_code}.tsv")
        if table.is_file():
            found = read_result_list(business_code, table.read_text(encoding="utf-8"))
    entry = business_codes(modules).get(business_code)
    if entry is not None and entry.edifact:
        found = replace(found, meanings=found.meanings + result_list(entry.edifact, modules).meanings)
    return found


def _serves(layout: Layout, wanted: int, in_name: int) -> int:
    """How well a table serves a generation: the newest generation it is for that is not later; -1 if none."""
    generations = [in_name] if in_name else [int(g) for g in layout.generations if g.isdigit()]
    return max((g for g in generations if g <= wanted), default=-1)


@cache
def catalogue(generation: int = 7, modules: tuple[str, ...] = ()) -> Catalogue:
    """Every item table of a generation, with the aliases and long forms of ``codes.tsv``. Read once and kept."""
    best: dict[str, tuple[int, Layout]] = {}
    for folder in _folders(modules):
        layouts = folder.joinpath("layouts")
        if not layouts.is_dir():
            continue
        for table in layouts.iterdir():
            if not table.name.endswith(".tsv"):
                continue
            code, direction, in_name = _stem(table.name)
            name = f"{code}.{direction}"
            layout = parse_layout(name, table.read_text(encoding="utf-8"))
            serves = _serves(layout, generation, in_name)
            if serves >= 0 and serves >= best.get(name, (-1, layout))[0]:
                best[name] = (serves, layout)
    tables = {name: layout for name, (_, layout) in sorted(best.items())}
    codes = business_codes(modules)
    for name, layout in tables.items():
        if name.endswith(".in"):
            layout.results = result_list(name.removesuffix(".in"), modules)
    aliases = {f"{entry.code}.in": f"{entry.table}.in" for entry in codes.values() if entry.table}
    for folder in _folders(modules):
        filed = folder.joinpath("output_codes.tsv")
        if filed.is_file():
            aliases |= {f"{row['code']}.out": row["table"] for row in _lines(filed.read_text(encoding="utf-8"))}
    longs = {entry.code: entry.long for entry in codes.values() if entry.long}
    return Catalogue(MappingProxyType(tables), aliases, longs)


def system_letter(business_code: str, system: str, modules: tuple[str, ...] = ()) -> str:
    """First letter of the output codes of a business: S sea, A air, C common; by システム識別 where it is both."""
    entry = business_codes(modules).get(business_code)
    where = entry.system if entry else "common"
    if where == "sea+air":
        return "A" if system == "1" else "S"
    return {"sea": "S", "air": "A"}.get(where, "C")


def key_item(layout: Layout) -> str:
    """Short name of the item that the result notice of a request carries as its key; empty if there is none.

    The item that the table's note names, else a first item that is a number of 11 characters.
    """
    for note in layout.notes:
        if note.startswith("result notice key:"):
            name = note.removeprefix("result notice key:").split()[0]
            for item in layout.items:
                if item.name == name:
                    return item.id
            return ""
    first = layout.items[0]
    return first.id if first.kind == "an" and first.size == 11 and first.repeat == 1 else ""
