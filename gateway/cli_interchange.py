"""Interchanges as a person or a program reads them at the command line, and what is hidden in them.

*Strategy.* The verdict is the codec's; under it stand the segments, one a line, with their byte offsets. Passwords of
UNB (0022) and UNG (0058) are the only secrets that EDIFACT itself has; they are masked byte for byte,
by a character that changes no verdict.
"""

from __future__ import annotations

from typing import Any, Final

from sekisho.codecs.edifact import Segment, as_json, as_lines, read, walk
from sekisho.gateway.cli_text import visible

__all__ = ["interchange_form", "interchange_lines", "masked_interchange"]

_PASSWORDS: Final = {"UNB": 6, "UNG": 8}
"""The part of the segment (the tag is 0) that holds a password, by tag."""


def interchange_form(content: bytes) -> dict[str, Any]:
    """The documented JSON form of a transmission (house 2)."""
    return as_json(read(content))


def interchange_lines(content: bytes) -> list[str]:
    """What is in a transmission, what is wrong with it, and its segments."""
    lines = [visible(line) for line in as_lines(read(content))]
    rows = [f"  {segment.offset:>6}  {visible(_text(segment))}" for segment in walk(content)]
    return [*lines, "", "segments", *rows]


def _text(segment: Segment) -> str:
    try:
        return segment.raw.decode(segment.syntax.codec)
    except UnicodeDecodeError:
        return segment.raw.decode("latin-1")


def masked_interchange(content: bytes) -> bytes:
    """The same bytes with ``*`` where a password stands (``X`` where ``*`` separates); the length stays."""
    out = bytearray(content)
    for segment in walk(content):
        if segment.tag not in _PASSWORDS:
            continue
        syntax = segment.syntax
        at = segment.offset
        for place, part in enumerate(segment.text.split(syntax.element)):
            size = syntax.size(part)
            if place == _PASSWORDS[segment.tag]:
                out[at : at + size] = (b"X" if "*" in syntax.service else b"*") * size
            at += size + 1
    return bytes(out)
