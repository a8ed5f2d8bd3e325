"""Write interchanges: what was read goes back byte for byte, what we make is escaped, counted and referenced here.

*Strategy.* A segment of values becomes text in one join; counting separators in the result tells whether any value held
one, and only then is it escaped piece by piece. Empty ends are truncated, as ISO 9735 wants it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sekisho.codecs.edifact.reading import Walk
from sekisho.codecs.edifact.segment import Segment, marked_value
from sekisho.codecs.edifact.syntax import DEFAULT_ADVICE, Syntax, repertoire, syntax_of

__all__ = ["Outgoing", "OutgoingMessage", "Repeated", "Values", "build", "segment_bytes", "segments_text", "write_back"]


class Repeated(tuple[Any, ...]):
    """The occurrences of one repeated element (syntax version 4); each is text or a list of components."""

    __slots__ = ()


Values: TypeAlias = Sequence[Any]
"""A segment to write: tag, then elements; an element is text, a list of components, None, or Repeated."""


def segments_text(segments: Iterable[Values], syntax: Syntax) -> str:
    """Segments of values as wire text (Latin-1 for bytes), each with its terminator.

    Raises ValueError where a value holds a service character and there is no release character.
    """
    element, component, release, terminator = syntax.element, syntax.component, syntax.release, syntax.terminator
    trailing, inner, barred = element + component, component + element, syntax.repetition or release
    pieces = []
    for values in segments:
        colons = 0
        parts = []
        for value in values:
            if value.__class__ is str:
                parts.append(value)
            elif value.__class__ is list:
                colons += len(value) - 1
                parts.append(component.join(value))
            else:
                break
        else:
            text = element.join(parts)
            if (
                text.isascii()
                and text.count(element) == len(parts) - 1
                and text.count(component) == colons
                and release not in text
                and terminator not in text
                and barred not in text
                and text[-1] not in trailing
                and inner not in text
            ):
                pieces.append(text)
                continue
        pieces.append(_slowly(values, syntax))
    pieces.append("")
    return terminator.join(pieces)


def _slowly(values: Values, syntax: Syntax) -> str:
    parts = [str(values[0]), *(_element(value, syntax) for value in values[1:])]
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return syntax.raw(syntax.element.join(parts))


def _element(value: object, syntax: Syntax) -> str:
    if value is None or isinstance(value, str):
        return marked_value(value, syntax)
    if isinstance(value, Repeated):
        if not syntax.repetition:
            raise ValueError("a repeated element needs syntax version 4 and a repetition separator")
        return syntax.repetition.join(_element(occurrence, syntax) for occurrence in value).rstrip(syntax.repetition)
    if not isinstance(value, Sequence):
        raise TypeError(f"an element is text, a list of components or Repeated, not {value!r}")
    return syntax.component.join(marked_value(part, syntax) for part in value).rstrip(syntax.component)


def segment_bytes(values: Values, syntax: Syntax) -> bytes:
    """One segment of values as bytes, terminator included. Raises ValueError as :func:`segments_text` does."""
    return segments_text([values], syntax).encode("latin-1")


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message to send: reference 0062, S009, and its segments between UNH and UNT (which are made)."""

    reference: str
    identifier: tuple[str, ...]
    segments: Sequence[Values]
    access: str = ""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An interchange to send.

    ``sender`` and ``recipient`` hold id, qualifier, routing; ``date`` has the width of the syntax version (YYMMDD, in
    version 4 YYYYMMDD), ``time`` HHMM. ``una`` None writes UNA only where the service
    characters are not the default ones; ``line_end`` follows every terminator.
    """

    sender: tuple[str, ...]
    recipient: tuple[str, ...]
    reference: str
    date: str
    time: str
    identifier: str = "UNOA"
    version: str = "3"
    advice: str = DEFAULT_ADVICE
    una: bool | None = None
    application: str = ""
    acknowledge: str = ""
    agreement: str = ""
    test: str = ""
    line_end: bytes = b""
    messages: Sequence[OutgoingMessage] = field(default=())


def build(outgoing: Outgoing, *, raise_repertoire: bool = True) -> bytes:
    """The bytes of an interchange of ours; counts and trailers are made here.

    ``raise_repertoire`` goes from UNOA to UNOB and UNOC where a value needs it (0001 says so then); without it, and for
    what UNOC does not have, ValueError is raised.
    """
    ladder = [outgoing.identifier]
    if raise_repertoire and outgoing.identifier in ("UNOA", "UNOB"):
        ladder = ["UNOA", "UNOB", "UNOC"][["UNOA", "UNOB"].index(outgoing.identifier) :]
        if outgoing.version in "12":
            ladder.remove("UNOC")
    refused = ""
    for identifier in ladder:
        advised = outgoing.una if outgoing.una is not None else outgoing.advice != DEFAULT_ADVICE
        syntax = syntax_of(outgoing.advice, identifier, outgoing.version, advised=advised)
        try:
            text = segments_text(_rows(outgoing, identifier), syntax)
            raw = text.encode("latin-1")
        except UnicodeEncodeError as error:
            refused = f"{error.object[error.start]!r} cannot be written in {identifier}"
            continue
        own = repertoire(identifier)
        over = raw.translate(None, syntax.wanted) if own is not None else b""
        if not over and b"\r" not in raw and b"\n" not in raw:
            end = syntax.terminator.encode("latin-1")
            if outgoing.line_end:
                raw = b"".join(piece + end + outgoing.line_end for piece in _pieces(text, syntax))
            return (b"UNA" + outgoing.advice.encode("latin-1") + outgoing.line_end if advised else b"") + raw
        refused = f"byte {over[0] if over else 10:#04x} is not in {identifier}"
    raise ValueError(f"the interchange cannot be written: {refused}")


def _pieces(text: str, syntax: Syntax) -> Iterator[bytes]:
    for piece in syntax.marked(text).split(syntax.terminator)[:-1]:
        yield syntax.raw(piece).encode("latin-1")


def _rows(outgoing: Outgoing, identifier: str) -> Iterator[Values]:
    extra = ["", outgoing.application, "", outgoing.acknowledge, outgoing.agreement, outgoing.test]
    yield (
        "UNB",
        [identifier, outgoing.version],
        list(outgoing.sender),
        list(outgoing.recipient),
        [outgoing.date, outgoing.time],
        outgoing.reference,
        *extra,
    )
    for message in outgoing.messages:
        yield ("UNH", message.reference, list(message.identifier), message.access)
        yield from message.segments
        yield ("UNT", str(len(message.segments) + 2), message.reference)
    yield ("UNZ", str(len(outgoing.messages)), outgoing.reference)


def write_back(walk: Walk | Iterable[Segment]) -> Iterator[bytes]:
    """The bytes of what was read, in pieces: unchanged segments byte for byte, with what stood between them.

    Of a :class:`Walk` of valid data (not read with ``unwrap``) the pieces joined are the transmission itself. A segment
    whose ``elements`` were assigned or changed is written from them.
    """
    for segment in walk:
        yield segment.lead + segment.raw if not segment.changed else segment.lead + _changed(segment)
    if isinstance(walk, Walk):
        yield walk.trailer


def _changed(segment: Segment) -> bytes:
    return segment_bytes((segment.tag, *segment.elements), segment.syntax)
