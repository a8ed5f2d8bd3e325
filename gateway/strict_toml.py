"""Reads a TOML table into Structs and says everything that is wrong with it at once.

*Strategy.* A Struct is the whole description of its table: names, types, defaults. Every problem is one line that
starts with the path of the key (``listener[0].adress``), collected instead of raised, so that one run of check-config
shows them all. Rules of one Struct that a type cannot say are raised by its ``__post_init__`` as
``ValueError(key, text)``.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import msgspec
from msgspec import inspect

__all__ = ["read_file", "read_table", "unknown_key"]

T = TypeVar("T", bound=msgspec.Struct)


def read_file(path: Path, problems: list[str]) -> dict[str, Any]:
    """The tables of a TOML file; an unreadable one is empty and a problem."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        problems.append(f"{path}: there is no such file")
    except OSError as error:
        problems.append(f"{path}: cannot be read ({error.strerror})")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"{path}: not TOML: {error}")
    return {}


def unknown_key(where: str, key: str, known: Iterable[str]) -> str:
    """The line about a key that nobody reads, with the nearest one that somebody does."""
    near = difflib.get_close_matches(key, list(known), n=1, cutoff=0.5)
    if near:
        return f'{where}{key}: unknown key; did you mean "{near[0]}"?'
    return f"{where}{key}: unknown key; known here: {', '.join(known)}"


def read_table(struct: type[T], data: Mapping[str, Any], where: str, problems: list[str]) -> T | None:
    """A Struct from one table. ``where`` is the path before a key, its last dot included; None if it is wrong."""
    before = len(problems)
    fields = msgspec.structs.fields(struct)
    names = [field.encode_name for field in fields]
    problems.extend(unknown_key(where, key, names) for key in data if key not in names)
    values: dict[str, Any] = {}
    for field in fields:
        path = f"{where}{field.encode_name}"
        if field.encode_name in data:
            values[field.name] = _value(field.type, data[field.encode_name], path, problems)
        elif field.required:
            problems.append(f"{path}: missing; {_expected(field.type)} is expected")
    if len(problems) > before:
        return None
    try:
        return struct(**values)
    except ValueError as error:
        key, text = error.args if len(error.args) == 2 else ("", str(error))
        problems.append(f"{where}{key}: {text}")
        return None


def _is_struct(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _value(kind: Any, value: Any, path: str, problems: list[str]) -> Any:  # noqa: ANN401 - any TOML value
    if _is_struct(kind):
        if isinstance(value, dict):
            return read_table(kind, value, f"{path}.", problems)
        problems.append(f"{path}: {_shown(value)}; a table is expected")
        return None
    origin, inner = get_origin(kind), get_args(kind)
    if origin is tuple and len(inner) == 2 and inner[1] is ...:
        if isinstance(value, list):
            return tuple(_value(inner[0], one, f"{path}[{at}]", problems) for at, one in enumerate(value))
        problems.append(f"{path}: {_shown(value)}; a list is expected ([[...]] or [...])")
        return None
    if origin is dict and isinstance(value, dict):
        return {key: _value(inner[1], one, f"{path}.{key}", problems) for key, one in value.items()}
    if isinstance(value, dict) and any(_is_struct(one) for one in inner):
        table = next(one for one in inner if _is_struct(one))
        return read_table(table, value, f"{path}.", problems)
    if (kind is str or (inner and inner[0] is str)) and isinstance(value, (datetime, date)):
        return value.isoformat()  # a moment may be written without quotes, as TOML has a type for it
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        problems.append(f"{path}: {_shown(value)}; {_expected(kind)} is expected")
        return None


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, dict):
        return "a table"
    return str(value)


def _expected(kind: object) -> str:
    """What a type takes, in words."""
    return _words(inspect.type_info(kind))


def _words(info: inspect.Type) -> str:
    if isinstance(info, inspect.Metadata):
        return _words(info.type)
    if isinstance(info, inspect.BoolType):
        return "true or false"
    if isinstance(info, (inspect.IntType, inspect.FloatType)):
        text = "a whole number" if isinstance(info, inspect.IntType) else "a number"
        if info.gt is not None:
            text += f" above {info.gt}"
        if info.ge is not None:
            text += f" from {info.ge}"
        return f"{text} to {info.le}" if info.le is not None else text
    if isinstance(info, inspect.StrType):
        least = f" of at least {info.min_length} characters" if info.min_length and info.min_length > 1 else ""
        return f"text that is not empty{least}" if info.min_length else "text"
    if isinstance(info, inspect.LiteralType):
        return "one of " + ", ".join(f'"{one}"' if isinstance(one, str) else str(one) for one in info.values)
    if isinstance(info, (inspect.VarTupleType, inspect.ListType)):
        return f"a list, each {_words(info.item_type)},"
    if isinstance(info, inspect.UnionType):
        return " or ".join(_words(one) for one in info.types)
    return "a table"
