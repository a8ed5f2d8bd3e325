"""What the codes of element 0085 mean, in our own words, and which syntax version has them in force."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from sekisho.codecs.edifact.directory import ADOPTED, RELEASES, directory, service

__all__ = ["ErrorCode", "error_codes", "in_force", "message_rows", "message_table"]


class ErrorCode(NamedTuple):
    """One code: ``v3`` and ``v4`` are ``yes``, ``-`` or ``withdrawn``; ``level`` names the CONTRL segment(s)."""

    code: str
    v3: str
    v4: str
    level: str
    meaning: str
    cause: str
    remedy: str


@cache
def error_codes() -> dict[str, ErrorCode]:
    """All codes by number, the withdrawn ones too (they may still be received)."""
    lines = (files(__package__) / "codes.tsv").read_text("utf-8").splitlines()[1:]
    rows = [ErrorCode(*line.split("\t")) for line in lines if line]
    return {row.code: row for row in rows}


def in_force(code: str, version: str) -> bool:
    """Whether a code may be sent in an answer of this syntax version (1 to 3, or 4)."""
    found = error_codes().get(code)
    return found is not None and (found.v4 if version == "4" else found.v3) == "yes"


def message_rows() -> list[dict[str, str]]:
    """The message types that are judged by tables, and the releases there are tables of."""
    rows = []
    for name in ADOPTED:
        if name == "CONTRL":
            rows.append({"message": name, "releases": "D.3 (syntax 1 to 3)  4.1 (syntax 4)"})
        else:
            rows.append({"message": name, "releases": " ".join(RELEASES)})
    return rows


def message_table(message: str, release: str | None = None) -> dict[str, Any] | None:
    """The segment table of a message: ``{"message", "release", "releases", "segments"}``; None if there is none.

    ``release`` defaults to the oldest shipped (D.95B; of CONTRL to that of syntax 3). A row is ``{"tag", "group",
    "depth", "status", "repeat", "elements"}``; a group has no tag, ``elements`` are ids with status.
    """
    if message not in ADOPTED:
        return None
    releases: tuple[str, ...] = RELEASES
    if message == "CONTRL":
        releases = ("D.3", "4.1")
        release = release or "D.3"
        found = {"D.3": service("3"), "4.1": service("4")}.get(release)
    else:
        release = release or RELEASES[0]
        found = directory(release)
    if found is None:
        return None
    rows: list[dict[str, Any]] = []

    def add(nodes: list[list[Any]], depth: int) -> None:
        for node in nodes:
            group = len(node) == 4
            places = found.places(node[0]) if not group else None
            if places is None and not group:
                places = service("3").places(node[0])
            elements = [f"{place.id} {'M' if place.mandatory else 'C'}" for place in places or ()]
            rows.append(
                {
                    "tag": "" if group else node[0],
                    "group": node[0] if group else "",
                    "depth": depth,
                    "status": node[1],
                    "repeat": node[2],
                    "elements": elements,
                }
            )
            if group:
                add(node[3], depth + 1)

    add(found.messages[message], 0)
    return {"message": message, "release": release, "releases": list(releases), "segments": rows}
