"""CONTRL: the answer to one interchange by syntax.

*Strategy.* The report's errors already say at which level each is reported; here they are grouped into UCI, UCF, UCM,
UCS and UCD. A level that is rejected speaks for all below it, so nothing below is named then. Version 3 (message D.3)
answers syntax versions 1 to 3, version 4 (message 4:1) only version 4. A CONTRL is never answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sekisho.codecs.edifact.codes import in_force
from sekisho.codecs.edifact.findings import PER_SEGMENT, SEGMENTS_PER_MESSAGE, Finding, Level
from sekisho.codecs.edifact.model import Interchange, Message
from sekisho.codecs.edifact.syntax import repertoire
from sekisho.codecs.edifact.writer import Outgoing, OutgoingMessage, Values, build

__all__ = ["NotAnswerable", "contrl", "contrl_message"]

ACKNOWLEDGED: Final = "7"
REJECTED: Final = "4"
RECEIVED: Final = "8"
_TAGS: Final = {
    Level.INTERCHANGE: ("UNA", "UNB", "UNZ"),
    Level.GROUP: ("UNG", "UNE"),
    Level.MESSAGE: ("UNH", "UNT"),
}
_PARTY: Final = (35, 4, 14)
_IDENTIFIER: Final = (6, 3, 3, 3, 6)


class NotAnswerable(ValueError):
    """No CONTRL can or may be sent: it is a CONTRL itself, or UNB lacks what an answer copies."""


def contrl(
    interchange: Interchange,
    errors: Sequence[Finding],
    *,
    reference: str,
    date: str,
    time: str,
    receipt: bool = False,
    test: str = "",
    una: bool | None = None,
) -> bytes:
    """The CONTRL interchange that answers ``interchange``; UNB's sender and recipient are swapped.

    ``errors`` are those of ``Report.errors_of(interchange)``; ``reference`` is our own 0020; ``date`` is YYYYMMDD,
    ``time`` HHMM. ``receipt`` gives action 8 (received, report owed), whatever is wrong inside. Raises NotAnswerable.
    """
    version = _version(interchange)
    known = repertoire(interchange.syntax.identifier)
    fits = known is not None and (version in known.versions) and interchange.syntax.identifier.startswith("UNO")
    allowed = _repertoire_of(version)
    outgoing = Outgoing(
        sender=tuple(_writable(_clip(interchange.recipient, _PARTY), allowed)),
        recipient=tuple(_writable(_clip(interchange.sender, _PARTY), allowed)),
        reference=reference,
        date=date if version == "4" else date[2:],
        time=time,
        identifier=interchange.syntax.identifier if fits else "UNOA",
        version=version,
        test=test,
        una=una,
        messages=[contrl_message(interchange, errors, reference="1", receipt=receipt)],
    )
    return build(outgoing)


def contrl_message(
    interchange: Interchange, errors: Sequence[Finding], *, reference: str, receipt: bool = False
) -> OutgoingMessage:
    """The CONTRL message alone, to be sent in an interchange with others. Raises NotAnswerable."""
    if "CONTRL" in interchange.types:
        raise NotAnswerable("a CONTRL is never answered with a CONTRL")
    if not (interchange.reference and interchange.sender[:1] > ("",) and interchange.recipient[:1] > ("",)):
        raise NotAnswerable("UNB lacks its reference, sender or recipient: an answer could not name the interchange")
    v4 = _version(interchange) == "4"
    allowed = _repertoire_of(_version(interchange))
    rows = [_writable(row, allowed) for row in _rows(interchange, errors, receipt=receipt, v4=v4)]
    identifier = ("CONTRL", "4", "1", "UN") if v4 else ("CONTRL", "D", "3", "UN")
    return OutgoingMessage(reference, identifier, rows)


def _version(interchange: Interchange) -> str:
    version = interchange.syntax.version
    return version if version in ("1", "2", "3", "4") else "3"


def _rows(interchange: Interchange, errors: Sequence[Finding], *, receipt: bool, v4: bool) -> Iterator[Values]:
    uci: list[object] = [
        "UCI",
        interchange.reference[:14],
        _clip(interchange.sender, _PARTY),
        _clip(interchange.recipient, _PARTY),
    ]
    if receipt:
        yield [*uci, RECEIVED]
        return
    whole = [error for error in errors if error.level is Level.INTERCHANGE]
    if whole:
        yield [*uci, REJECTED, *_named(whole[0], v4=v4)]
        return
    yield [*uci, ACKNOWLEDGED]
    if interchange.groups:
        yield from _groups(interchange, errors, v4=v4)
        return
    for message in interchange.rejected.values():
        yield from _message(message, [e for e in errors if e.message == message.number], v4=v4)


def _groups(interchange: Interchange, errors: Sequence[Finding], *, v4: bool) -> Iterator[Values]:
    for group in interchange.groups_rejected.values():
        parties = _clip(group.sender, _PARTY), _clip(group.recipient, _PARTY)
        ucf: list[object] = ["UCF", group.reference[:14], *parties]
        own = [e for e in errors if e.level is Level.GROUP and e.group == group.number]
        if own:
            yield [*ucf, REJECTED, *_named(own[0], v4=v4)]
            continue
        yield [*ucf, ACKNOWLEDGED]
        for message in interchange.rejected.values():
            if message.group == group.number:
                yield from _message(message, [e for e in errors if e.message == message.number], v4=v4)


def _message(message: Message, errors: Sequence[Finding], *, v4: bool) -> Iterator[Values]:
    own = [error for error in errors if error.level is Level.MESSAGE]
    ucm: list[object] = ["UCM", message.reference[:14], _clip(message.identifier, _IDENTIFIER), REJECTED]
    yield [*ucm, *(_named(own[0], v4=v4) if own else ())]
    below: dict[int, list[Finding]] = {}
    for error in errors:
        if error.level in (Level.SEGMENT, Level.ELEMENT):
            below.setdefault(error.segment or 1, []).append(error)
    for segment, found in list(below.items())[:SEGMENTS_PER_MESSAGE]:
        of_segment = [error for error in found if error.level is Level.SEGMENT]
        # UCS holds one code; a second one about the same place is another UCS.
        for index in range(max(len(of_segment), 1)):
            code = _code(of_segment[index], v4=v4) if of_segment else ""
            yield ("UCS", str(segment), code)
        for error in [e for e in found if e.level is Level.ELEMENT][:PER_SEGMENT]:
            yield ("UCD", _code(error, v4=v4), _place(error, v4=v4))


def _named(error: Finding, *, v4: bool) -> tuple[object, ...]:
    """0085, the tag of the service segment (only one of the level's own), and S011 where an element is meant."""
    if error.tag not in _TAGS[error.level]:
        return (_code(error, v4=v4),)
    place = _place(error, v4=v4) if error.element is not None else ""
    return _code(error, v4=v4), error.tag, place


def _code(error: Finding, *, v4: bool) -> str:
    """The code of 0085; one that the answering version does not have becomes 18 (nature not told)."""
    return error.code if in_force(error.code, "4" if v4 else "3") else "18"


def _place(error: Finding, *, v4: bool) -> list[str]:
    place = [str(error.element or 1), str(error.component or "")]
    if v4 and error.repeat is not None:
        place.append(str(error.repeat))
    return place


def _clip(parts: tuple[str, ...], sizes: tuple[int, ...]) -> tuple[str, ...]:
    """Copied components, as many and as long as CONTRL can hold."""
    return tuple(part[:size] for part, size in zip(parts, sizes, strict=False))


def _writable(value: Any, allowed: str) -> Any:  # noqa: ANN401 - rows are text in lists in tuples
    """A row without what the answer's repertoire lacks: an answer must go out whatever came in."""
    if isinstance(value, str):
        return "".join(c if c in allowed else "." for c in value)
    return [_writable(part, allowed) for part in value]


def _repertoire_of(version: str) -> str:
    """Characters that an answer can have: UNOC needs syntax version 3."""
    found = repertoire("UNOB" if version in "12" else "UNOC")
    return found.allowed.decode("latin-1") if found is not None else ""
