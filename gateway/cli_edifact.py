"""EDIFACT on the command line: an interchange decoded, an error code explained, the messages there are tables for."""

from __future__ import annotations

import re
import sys
from typing import Any, Final

import click

from sekisho.gateway.cli_text import Unacceptable, echo_json, pairs, pieces, table

__all__ = ["code_rows", "decode_edifact", "explain_edifact", "is_edifact", "message_page"]

# At the start: a service tag with something behind it that is neither letter, digit nor blank (a NACCS EDI header may
# begin with a business code such as URY); anywhere else only what cannot be chance.
_START: Final = re.compile(
    rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff|[\x00\x1a\s])*U\x00?(?:N\x00?[ABGHTZ]|I\x00?B)(?:\x00|[^A-Za-z0-9\s])"
)
_INSIDE: Final = re.compile(rb"UNB[+\x1d]UNO[A-Z][:\x1f][1-9]")
_CODE: Final = re.compile(r"(?:EDIFACT-?)?0*(\d{1,2})")


def is_edifact(content: bytes, *, around: bool = False) -> bool:
    """Whether a file begins with a service segment; ``around``: or whether UNB stands near its start."""
    return _START.match(content) is not None or (around and _INSIDE.search(content, 0, 4096) is not None)


def decode_edifact(content: bytes, *, as_data: bool, strict: bool, unwrap: bool) -> None:
    """Judge a transmission and print the verdict; exit code 1 if it is not acceptable."""
    from sekisho.codecs.edifact import Profile, as_json, as_lines, read  # noqa: PLC0415 - most commands need no EDIFACT

    report = read(content, Profile(strict=strict, unwrap=unwrap))
    if as_data:
        echo_json(as_json(report))
    else:
        click.echo("\n".join(as_lines(report)))
    if not report.valid:
        sys.exit(1)


def explain_edifact(code: str, *, named: bool) -> dict[str, Any] | None:
    """A code of element 0085, or None if it is none. ``named``: EDIFACT was asked for, so bare digits are enough."""
    from sekisho.codecs.edifact import error_codes  # noqa: PLC0415 - most commands need no EDIFACT

    found = _CODE.fullmatch(code)
    if found is None or not (named or code.startswith("EDIFACT")):
        return None
    known = error_codes().get(found[1])
    if known is None:
        raise Unacceptable(f"EDIFACT-{found[1]}: no code of element 0085; they run from 1 to 48")
    states = {"yes": "in force", "-": "does not exist", "withdrawn": "withdrawn: may be received, is never sent"}
    return {
        "code": f"EDIFACT-{known.code}",
        "business": "",
        "meaning": known.meaning,
        "cause": known.cause,
        "remedy": known.remedy,
        "reported at": known.level,
        "syntax 1 to 3": states[known.v3],
        "syntax 4": states[known.v4],
        "sure": "UN/EDIFACT code list of element 0085, in our own words",
    }


def code_rows() -> list[dict[str, str]]:
    """The message types as rows of ``sekisho codes``."""
    from sekisho.codecs.edifact import message_rows  # noqa: PLC0415 - most commands need no EDIFACT

    return [
        {
            "code": row["message"],
            "title": f"UN/EDIFACT {row['message']}",
            "system": "EDIFACT",
            "kind": "message",
            "status": "judged",
            "table": row["releases"],
            "source": "UNECE",
        }
        for row in message_rows()
    ]


def message_page(code: str, release: str | None, *, as_data: bool) -> bool:
    """Print the table of a message type; False if it is none. ``release`` as D.95B. Raises Unacceptable."""
    from sekisho.codecs.edifact import message_rows, message_table  # noqa: PLC0415 - most commands need no EDIFACT

    listed = {row["message"]: row["releases"] for row in message_rows()}
    if code not in listed:
        return False
    form = message_table(code, release)
    if form is None:
        raise Unacceptable(f"{code}: no tables of release {release}; there are {listed[code]}")
    if as_data:
        echo_json(form)
        return True
    facts = {"release": form["release"], "releases": listed[code], "source": "UN/EDIFACT directories, UNECE"}
    lines = [f"{code}  UN/EDIFACT message", "", *pairs(facts)]
    rows = []
    for row in form["segments"]:
        name = ". " * row["depth"] + (row["tag"] or row["group"])
        rows.append((name, row["status"], row["repeat"], "  ".join(row["elements"])))
    click.echo("\n".join(lines + pieces("segments", table(["segment", "", "max", "elements"], rows, "  >"))))
    return True
