"""Elements of one segment against its definition.

*Strategy.* A definition becomes one regular expression that matches the marked text of most conforming segments; only
what it does not match is taken apart and looked at piece by piece. The expression may say no to a good segment, never
yes to a bad one, so the slow way alone decides what is reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from sekisho.codecs.edifact.syntax import Syntax

__all__ = ["Fault", "Place", "Simple", "fast_pattern", "faults", "number_fault", "places_of"]

_REPRESENTATION: Final = re.compile(r"(an|a|n)(\.\.)?(\d+)")


class Simple(NamedTuple):
    """A data element in its place: id, whether it must be there, type (a, n, an), least and most characters."""

    id: str
    mandatory: bool
    kind: str
    least: int
    most: int


class Place(NamedTuple):
    """One element position of a segment. ``parts`` has one entry for a simple element. ``repeat``: v4 repeats."""

    id: str
    mandatory: bool
    composite: bool
    repeat: int
    parts: tuple[Simple, ...]


class Fault(NamedTuple):
    """A deviation inside a segment: code, 0098 (first element 2), 0104, 0136, characters before it, text."""

    code: str
    element: int
    component: int | None
    repeat: int | None
    at: int
    text: str


def places_of(
    rows: Sequence[Sequence[object]],
    composites: Mapping[str, Sequence[Sequence[str]]],
    elements: Mapping[str, str],
) -> tuple[Place, ...]:
    """The positions of a segment from a directory's rows ``[id, status, repeat]``.

    A repeat in the table is that many positions in a row: version 3 has no other way, version 4 data sends it so too.
    """
    places: list[Place] = []
    for row in rows:
        name, status, repeat = str(row[0]), row[1], int(str(row[2]))
        composite = name in composites
        listed = composites[name] if composite else [[name, "M"]]
        parts = tuple(_simple(part, need == "M", elements[part]) for part, need in listed)
        places += [Place(name, status == "M" and not i, composite, repeat, parts) for i in range(repeat)]
    return tuple(places)


def _simple(name: str, mandatory: bool, representation: str) -> Simple:
    found = _REPRESENTATION.fullmatch(representation)
    if found is None:
        raise ValueError(f"element {name}: no representation: {representation!r}")
    most = int(found[3])
    return Simple(name, mandatory, found[1], 1 if found[2] else most, most)


def fast_pattern(tag: str, places: Sequence[Place], syntax: Syntax) -> re.Pattern[str]:
    """Matches (fullmatch) marked text that surely conforms: no marks, no repeats, nothing decided by digits alone."""
    # A mark is one character of the value, as it should be; bytes of a multi-byte code are not.
    barred = re.escape(syntax.separators + syntax.release) + ("\x80-\xff" if syntax.multibyte else "")
    ends, marks = re.escape(syntax.separators), re.escape(syntax.decimal)
    element, component = re.escape(syntax.element), re.escape(syntax.component)
    v4 = syntax.version == "4"

    def simple(part: Simple) -> str:
        if part.kind == "n":
            whole = rf"[0-9]{{{part.least},{part.most}}}"
            if part.least == part.most or part.most < 3:
                return whole
            # One character is the mark, so this is one digit short of what is allowed.
            return rf"(?:(?=[0-9{marks}]{{3,{part.most}}}(?:[{ends}]|\Z))[0-9]+[{marks}][0-9]+|{whole})"
        if part.kind == "a":
            return rf"[A-Za-z ]{{{part.least},{part.most}}}"
        return rf"[^{barred}]{{{part.least},{part.most}}}"

    def composite(parts: Sequence[Simple]) -> str:
        pattern = ""
        for index in range(len(parts) - 1, -1, -1):
            part = parts[index]
            needed = any(later.mandatory for later in parts[index + 1 :])
            here = simple(part) if part.mandatory else f"(?:{simple(part)})?"
            rest = f"{component}{pattern}" if index + 1 < len(parts) else ""
            pattern = here + (rest if needed or not rest else f"(?:{rest})?")
        return pattern + (f"(?<!{component})" if v4 else "")

    pattern = ""
    needed = False
    for place in reversed(places):
        here = composite(place.parts) if place.composite else simple(place.parts[0])
        here = f"(?!{element}|\\Z){here}" if place.mandatory else f"(?:{here})?"
        needed = needed or place.mandatory
        pattern = element + here + pattern
        pattern = pattern if needed else f"(?:{pattern})?"
    return re.compile(re.escape(tag) + pattern + (f"(?<!{element})" if v4 else ""))


_ELEMENT_ENDS: Final = "a separator ends the element; leave it out"


def faults(text: str, places: Sequence[Place], syntax: Syntax, codes: Mapping[str, frozenset[str]]) -> Iterator[Fault]:
    """Every deviation of a segment's marked text, in order. ``codes``: element id -> values that are allowed."""
    v4 = syntax.version == "4"
    parts = text.split(syntax.element)
    at = len(parts[0]) + 1
    last = len(parts) - 1
    for index, part in enumerate(parts[1:], 1):
        if index > len(places):
            rest = syntax.element.join(parts[index:])
            if rest.strip(syntax.separators):
                what = f"{parts[0]} has {len(places)} elements; leave out the rest"
                yield Fault("16", index + 1, None, None, at, what)
            else:
                code = "45" if v4 else "16"
                yield Fault(code, index + 1, None, None, at - 1, "separators behind the last element; leave them out")
            return
        place = places[index - 1]
        if not part:
            if place.mandatory:
                yield Fault("13", index + 1, None, None, at, f"element {place.id} is mandatory; fill it")
            if v4 and index == last:
                yield Fault("45", index + 1, None, None, at - 1, "a separator ends the segment; leave it out")
        else:
            yield from _element(part, place, index + 1, at, syntax, codes)
        at += len(part) + 1
    for index in range(len(parts), len(places) + 1):
        place = places[index - 1]
        if place.mandatory:
            yield Fault("13", index + 1, None, None, len(text), f"element {place.id} is mandatory; add it")


def _element(
    part: str, place: Place, element: int, at: int, syntax: Syntax, codes: Mapping[str, frozenset[str]]
) -> Iterator[Fault]:
    v4 = syntax.version == "4"
    repeats = part.split(syntax.repetition) if syntax.repetition else [part]
    for number, occurrence in enumerate(repeats, 1):
        repeat = number if len(repeats) > 1 else None
        if number > place.repeat:
            text = f"element {place.id} may stand {place.repeat} times; leave out repeat {number}"
            yield Fault("35", element, None, number, at, text)
            return
        if not occurrence:
            if number == len(repeats) > 1:
                yield Fault("45", element, None, repeat, at - 1, _ELEMENT_ENDS)
            at += 1
            continue
        components = occurrence.split(syntax.component)
        inner = at
        for index, value in enumerate(components):
            where = index + 1 if place.composite or index else None
            if index >= len(place.parts):
                rest = syntax.component.join(components[index:])
                if rest.strip(syntax.component) or not v4:
                    what = f"{len(place.parts)} components" if place.composite else "no components"
                    what = f"element {place.id} has {what}; leave out the rest"
                    yield Fault("16", element, index + 1, repeat, inner, what)
                else:
                    yield Fault("45", element, index + 1, repeat, inner - 1, _ELEMENT_ENDS)
                break
            part_of = place.parts[index]
            if not value:
                if part_of.mandatory:
                    text = f"component {part_of.id} of {place.id} is mandatory; fill it"
                    yield Fault("13", element, where or 1, repeat, inner, text)
                if v4 and index == len(components) - 1 and index:
                    yield Fault("45", element, index + 1, repeat, inner - 1, _ELEMENT_ENDS)
            else:
                found = value_fault(value, part_of, syntax, codes)
                if found is not None:
                    yield Fault(found[0], element, where, repeat, inner, found[1])
            inner += len(value) + 1
        for index in range(len(components), len(place.parts)):
            if place.parts[index].mandatory:
                text = f"component {place.parts[index].id} of {place.id} is mandatory; add it"
                yield Fault("13", element, index + 1, repeat, inner, text)
        at += len(occurrence) + 1


def value_fault(
    raw: str, element: Simple, syntax: Syntax, codes: Mapping[str, frozenset[str]]
) -> tuple[str, str] | None:
    """Code and text if a (marked) value breaks its representation."""
    value = syntax.value(raw)
    name = f"element {element.id}"
    if element.kind == "n":
        bad = number_fault(value, syntax)
        if bad is not None:
            return bad[0], f"{name}: {bad[1]}"
        size = sum(map(str.isdigit, value.partition("E")[0])) + sum(map(str.isdigit, value.partition("E")[2]))
    else:
        if element.kind == "a" and any(character.isdigit() for character in value):
            return "37", f"{name} takes no digits"
        size = len(value)
    if size > element.most:
        return "39", f"{name} takes {element.most} characters and has {size}; shorten it"
    if size < element.least:
        return "40", f"{name} takes {element.least} characters and has {size}"
    listed = codes.get(element.id)
    if listed is not None and value not in listed:
        return "12", f"{name}: the value is not in the code list"
    return None


def number_fault(value: str, syntax: Syntax) -> tuple[str, str] | None:
    """Code and text if a value is no number of ISO 9735: 19, 37, 38; version 4, which has neither 19 nor 38: 12, 37."""
    v4 = syntax.version == "4"
    marks = ".," if v4 else syntax.decimal
    if value.isascii() and value.isdigit():
        return None
    digits = value[1:] if value[:1] == "-" else value
    allowed = set("0123456789.,")
    if v4:
        allowed.add("E")
        mantissa, exponent, power = digits.partition("E")
        if exponent and re.fullmatch(r"-?\d+", power, re.ASCII):
            digits = mantissa
    if not digits or not set(digits) <= allowed:
        return "37", "digits, one decimal mark and a leading minus only"
    points = sum(digits.count(mark) for mark in ".,")
    if points > 1:
        return ("12" if v4 else "19"), "one decimal mark at most, and no separators between thousands"
    if points:
        mark = "." if "." in digits else ","
        before, _, after = digits.partition(mark)
        if mark not in marks:
            return "19", f"the decimal mark is {marks!r}, as advised"
        if not before:
            return ("12" if v4 else "38"), "a digit must stand before the decimal mark"
        if not after:
            return ("12" if v4 else "19"), "a digit must stand after the decimal mark"
    if value[0] == "-" and not set(digits) & set("123456789"):
        return "37", "zero has no sign"
    return None
