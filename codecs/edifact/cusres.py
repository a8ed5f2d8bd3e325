"""CUSRES: the business result of a customs message."""

from __future__ import annotations

from sekisho.codecs.edifact.answers import Answer, ApplicationError, free_text
from sekisho.codecs.edifact.directory import directory
from sekisho.codecs.edifact.writer import OutgoingMessage, Values

__all__ = ["cusres"]

_SOURCE = "ZZZ"
"""3055: mutually defined, for codes that are not in a directory list."""
_MOST_POINTS = 50
"""ERP groups of D.95B; later releases take more."""


def cusres(answer: Answer, *, reference: str, release: str = "D.95B") -> OutgoingMessage:
    """A CUSRES by an :class:`Answer` in the shape of a release: status in GIS (later GEI), errors in ERP and ERC.

    ``reference`` is 0062. Needs at least one of ``answer.references`` (D.95B has RFF as mandatory). Raises ValueError
    for a release that is not shipped or an answer without a reference.
    """
    tables = directory(release)
    if tables is None:
        raise ValueError(f"no tables of {release}")
    if not answer.references:
        raise ValueError("a CUSRES names what it answers: give a reference")
    structure = tables.structure("CUSRES")
    # D.96B turned the message round: references first, then errors with texts of their own.
    early = structure.tags.index("ERP") < structure.tags.index("RFF")
    rows: list[Values] = [answer.head("962", "963"), ("DTM", ["137", answer.at, "203"])]
    indicator: list[Values] = []
    if answer.status:
        indicator = [("GIS", [answer.status])] if "GIS" in structure.has else [("GEI", "1", [answer.status])]
    texts = list(free_text("ABO", answer.text))
    references: list[Values] = [("RFF", list(pair)) for pair in answer.references]
    if early:
        room = 5 - len(texts)
        told = [error for error in answer.errors[:_MOST_POINTS] if error.text][:room]
        texts += [row for error in told for row in free_text("AAO", _sentence(error))]
        rows += indicator + texts
        rows += [row for error in answer.errors[:_MOST_POINTS] for row in (_point(error), _code(error))]
        rows += references
    else:
        rows += texts + indicator + references
        for error in answer.errors[:99]:
            rows.append(_point(error))
            if error.reference is not None:
                rows.append(("RFF", list(error.reference)))
            rows.append(_code(error))
            rows += free_text("AAO", error.text)
    version, number = release.split(".")
    return OutgoingMessage(reference, ("CUSRES", version, number, "UN"), rows)


def _point(error: ApplicationError) -> Values:
    return ("ERP", [error.section, error.item, error.sub])


def _code(error: ApplicationError) -> Values:
    return ("ERC", [error.code, "", _SOURCE])


def _sentence(error: ApplicationError) -> str:
    return f"{error.code} {error.item}: {error.text}" if error.item else f"{error.code}: {error.text}"
