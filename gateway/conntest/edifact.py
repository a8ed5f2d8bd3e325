"""EDIFACT in connection tests: which reply answers which interchange, and whether it says what it has to.

*Strategy.* Interchanges have no tags to be matched by. A CONTRL names the interchange it answers, a CUSRES or APERAK
the document; so a reply answers what was sent if the reference (0020) or the document number (BGM 1004) of the one
stands in the other as a whole value, and the parties of UNB are swapped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sekisho.codecs.edifact import Segment, read, walk
from sekisho.gateway.conntest.judging import Cell, Problem, repeated
from sekisho.gateway.conntest.scenario import Reply
from sekisho.gateway.inhouse import Arrival

__all__ = ["answers", "interchange_cells", "judge_interchange"]


def _segments(content: bytes) -> list[Segment]:
    return list(walk(content))


def _raw(segment: Segment) -> str:
    """A segment as it came, without its terminator."""
    return segment.raw.decode("latin-1")[:-1]


def answers(content: bytes, sent: bytes) -> bool:
    """Whether an interchange that came answers one that was sent."""
    mine, theirs = _segments(sent), _segments(content)
    if not mine or not theirs or mine[0].get(1) != theirs[0].get(2):
        return False
    names = {mine[0].get(4), *(one.get(1) for one in mine if one.tag == "BGM")} - {""}
    values = {
        part
        for one in theirs[1:-1]
        for element in one.elements
        for value in ([element] if isinstance(element, str) else element)
        for part in (value, value.partition("/")[0])
    }
    return bool(names & values)


def judge_interchange(
    arrival: Arrival, wanted: Reply, earlier: Arrival | None, fill: Callable[[str], str]
) -> Iterator[Problem]:
    """Every difference between an EDIFACT reply and what it has to be; ``earlier`` is the reply it has to repeat."""
    where = str(wanted)
    for error in read(arrival.content).errors:
        came = f"{error.code} {error.text}"
        yield Problem(where, "an interchange without errors", came, error.tag or "", "", error.segment, error.offset)
    segments = _segments(arrival.content)
    at = 0
    for text in map(fill, wanted.segments):
        found = next((n for n, one in enumerate(segments[at:], at) if _raw(one).startswith(text)), None)
        if found is None:
            tag = text[:3]
            near = [_raw(one) for one in segments if one.tag == tag]
            came = f"came {', '.join(near)}" if near else f"no {tag} came"
            yield Problem(where, f"a segment {text}", came, tag)
        else:
            at = found + 1
    yield from repeated(where, arrival, earlier)


def interchange_cells(content: bytes) -> tuple[Cell, ...]:
    """The segments of an interchange for a reader: byte offset, tag, number in the message, text."""
    return tuple(
        Cell(one.offset, one.tag, "", one.number or None, _raw(one)[len(one.tag) + 1 :]) for one in _segments(content)
    )
