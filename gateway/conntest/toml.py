"""Settings written back as TOML: what a throw-away gateway is started with."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["toml_text"]

_BARE: Final = re.compile("[A-Za-z0-9_-]+")


def toml_text(data: Mapping[str, Any], path: tuple[str, ...] = ()) -> str:
    """A mapping as TOML: plain values first, then its tables. A JSON string is a TOML string."""

    def key(name: str) -> str:
        return name if _BARE.fullmatch(name) else json.dumps(name)

    def is_tables(value: object) -> bool:
        return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)

    lines, tables = [], []
    for name, value in data.items():
        where = (*path, name)
        title = ".".join(map(key, where))
        if isinstance(value, dict):
            tables.append(f"\n[{title}]\n{toml_text(value, where)}")
        elif is_tables(value):
            tables.extend(f"\n[[{title}]]\n{toml_text(one, where)}" for one in value)
        else:
            lines.append(f"{key(name)} = {_shown(value)}\n")
    return "".join(lines) + "".join(tables)


def _shown(value: Any) -> str:  # noqa: ANN401 - any TOML value
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(name)} = {_shown(one)}' for name, one in value.items())} }}"
    return json.dumps(value, ensure_ascii=False)
