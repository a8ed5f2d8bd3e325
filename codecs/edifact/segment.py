"""A segment as pydifact knows it, split only when somebody looks.

*Strategy.* The reader makes one object a segment, so it holds no more than marked text, offset and number, and splits
on first access. It is pydifact's :class:`Segment` to all who ask; what that model cannot hold (repetition, groups,
damaged tags) stays reachable by names of our own, and :func:`to_pydifact` refuses it instead of changing it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import pydifact.segments
from pydifact.control.characters import Characters
from pydifact.segmentcollection import Interchange

from sekisho.codecs.edifact.syntax import DEFAULT_ADVICE, Syntax, syntax_of

__all__ = ["LedSegment", "NotPlain", "Segment", "SplitSegment", "from_pydifact", "to_pydifact"]

Element: TypeAlias = str | list[str]


class NotPlain(ValueError):
    """pydifact's model has no place for this (repetition, groups, damage); nothing was changed."""


class Segment(pydifact.segments.Segment):  # type: ignore[no-untyped-call]
    """One segment: ``tag``, ``elements`` as pydifact has them, and where it stood.

    ``text`` is the marked text without terminator, ``offset`` its first byte in the transmission, ``number`` its place
    in the message (UNH is 1), 0 outside one, ``syntax`` the service characters. A repeated version 4 element shows its
    first occurrence in ``elements``; :meth:`occurrences` gives all.
    """

    __omitted__ = True
    __slots__ = ("_split", "number", "offset", "syntax", "tag", "text")

    def __init__(self, text: str, offset: int, number: int, syntax: Syntax) -> None:
        # pydifact's own __init__ refuses damaged tags, which a reader must be able to show.
        self.tag = text[:3]
        self.text = text
        self.offset = offset
        self.number = number
        self.syntax = syntax
        self._split: list[Element] | None = None

    if not TYPE_CHECKING:

        @property
        def elements(self) -> list[Element]:
            """The elements: text, or a list of components where there are several. Split when first asked for."""
            found = self._split
            if found is None:
                self._split = found = self.syntax.split(self.text)
            return found

        @elements.setter
        def elements(self, value: list[Element]) -> None:
            self._split = value

    def occurrences(self, index: int) -> list[Element]:
        """All repeats of the element at ``index`` (0 is the first after the tag); one entry without a repeat."""
        syntax = self.syntax
        part = self.text.split(syntax.element)[index + 1]
        pieces = part.split(syntax.repetition) if syntax.repetition else [part]
        value = syntax.value
        return [
            [value(p) for p in piece.split(syntax.component)] if syntax.component in piece else value(piece)
            for piece in pieces
        ]

    @property
    def changed(self) -> bool:
        """Whether ``elements`` differs from what was read."""
        return self._split is not None and self.elements != self.syntax.split(self.text)

    @property
    def lead(self) -> bytes:
        """The bytes between the segment before and this one: none, line ends, or UNA in front of UNB."""
        return b""

    @property
    def repeated(self) -> bool:
        """Whether an element of it is repeated (version 4)."""
        return bool(self.syntax.repetition) and self.syntax.repetition in self.text

    @property
    def raw(self) -> bytes:
        """The segment's bytes as they came, with its terminator."""
        return self.syntax.raw(self.text + self.syntax.terminator).encode("latin-1")

    def get(self, element: int, component: int = 0) -> str:
        """The value at a place (both from 0), empty where nothing was sent. Never raises."""
        elements = self.elements
        if element >= len(elements):
            return ""
        found = elements[element]
        if isinstance(found, str):
            return found if component == 0 else ""
        return found[component] if component < len(found) else ""

    def parts(self, element: int) -> tuple[str, ...]:
        """The components of an element (from 0); empty where the segment does not reach so far."""
        elements = self.elements
        if element >= len(elements):
            return ()
        found = elements[element]
        return (found,) if isinstance(found, str) else tuple(found)

    def distance(self, element: int, component: int | None = None) -> int:
        """Bytes from the start of the segment to an element (0098) or component (0104); its end where there is none."""
        syntax = self.syntax
        parts = self.text.split(syntax.element)
        if element > len(parts):
            return syntax.size(self.text)
        before = parts[: element - 1]
        if component:
            before += parts[element - 1].split(syntax.component)[: component - 1]
        return sum(syntax.size(part) + 1 for part in before)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Tag, elements and offset."""
        return f"<{self.tag} {self.elements} at {self.offset}>"


class SplitSegment(Segment):  # type: ignore[no-untyped-call]
    """A segment that was split when it was made; ``elements`` must be set."""

    __omitted__ = True
    __slots__ = ("elements",)

    @property
    def changed(self) -> bool:
        """Whether ``elements`` differs from what was read."""
        return bool(self.elements != self.syntax.split(self.text))


class LedSegment(Segment):  # type: ignore[no-untyped-call]
    """A segment with bytes in front of it that belong to no segment."""

    __omitted__ = True
    __slots__ = ("_lead",)

    def __init__(self, text: str, offset: int, number: int, syntax: Syntax, lead: bytes) -> None:
        super().__init__(text, offset, number, syntax)
        self._lead = lead

    @property
    def lead(self) -> bytes:
        """The bytes between the segment before and this one."""
        return self._lead


def _genuine(segment: Segment) -> pydifact.segments.Segment:
    if segment.repeated:
        raise NotPlain(f"{segment.tag} at byte {segment.offset}: a repeated element does not fit pydifact's model")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        try:
            return pydifact.segments.Segment(segment.tag, *segment.elements)
        except ValueError:
            raise NotPlain(f"{segment.tag!r} at byte {segment.offset}: not a segment tag") from None


def to_pydifact(segments: Iterable[Segment]) -> Interchange:
    """A genuine pydifact Interchange of one interchange's segments, UNB to UNZ.

    Raises NotPlain for groups, repeats, damaged tags, and a UNB whose date and time are not real.
    """
    listed = list(segments)
    if not listed or listed[0].tag != "UNB":
        raise NotPlain("an interchange begins with UNB")
    if any(segment.tag in ("UNG", "UNE") for segment in listed):
        raise NotPlain("pydifact's model has no functional groups")
    head, syntax = listed[0], listed[0].syntax
    genuine = [_genuine(segment) for segment in listed]
    date, time = head.get(3), head.get(3, 1)
    try:
        stamp = datetime.strptime(date + time, "%Y%m%d%H%M" if len(date) == 8 else "%y%m%d%H%M")  # noqa: DTZ007
        version = int(head.get(0, 1))
    except ValueError:
        raise NotPlain("UNB: no real date, time or syntax version") from None
    interchange = Interchange(
        sender=genuine[0].elements[1],
        recipient=genuine[0].elements[2],
        control_reference=head.get(4),
        syntax_identifier=(head.get(0), version),
        timestamp=stamp,
        extra_header_elements=genuine[0].elements[5:],
        characters=Characters.from_str(syntax.advice),
    )
    interchange.has_una_segment = syntax.advised
    interchange.add_segments(segment for segment in genuine[1:] if segment.tag != "UNZ")
    return interchange


def from_pydifact(interchange: Interchange) -> Iterator[Segment]:
    """Our segments of a pydifact Interchange, UNB and UNZ made by its own rules.

    Offsets are those the segments would have when written one after the other without UNA.
    """
    identifier, version = interchange.syntax_identifier
    advice = str(interchange.characters) if interchange.has_una_segment else DEFAULT_ADVICE
    syntax = syntax_of(advice, str(identifier), str(version), advised=interchange.has_una_segment)
    offset = number = 0
    for given in (interchange.get_header_segment(), *interchange.segments, interchange.get_footer_segment()):
        number = 1 if given.tag == "UNH" else number + 1 if number else 0
        text = segment_text(given.tag, given.elements, syntax)
        yield Segment(text, offset, number if given.tag != "UNZ" else 0, syntax)
        offset += syntax.size(text) + 1
        if given.tag == "UNT":
            number = 0


def segment_text(tag: str, elements: Iterable[Any], syntax: Syntax) -> str:
    """Marked text of a segment from values; nothing is truncated. Values are encoded by the syntax."""
    pieces = [tag]
    for element in elements:
        if isinstance(element, str):
            pieces.append(marked_value(element, syntax))
        else:
            pieces.append(syntax.component.join(marked_value(part, syntax) for part in element or ()))
    return syntax.element.join(pieces)


def marked_value(value: str | None, syntax: Syntax) -> str:
    """A value as marked text: encoded, its service characters released. Raises ValueError if nothing can release."""
    if not value:
        return ""
    text = value
    if not value.isascii() and syntax.codec not in ("latin-1", "iso8859-1"):
        text = value.encode(syntax.codec, "surrogateescape").decode("latin-1")
    if not any(character in text for character in syntax.service):
        return text
    if not syntax.release:
        raise ValueError(f"{value!r} holds a service character and the interchange has no release character")
    released = "".join(syntax.release + c if c in syntax.service else c for c in text)
    return syntax.marked(released)
