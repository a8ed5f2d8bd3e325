"""APERAK: the application took or rejected a message."""

from __future__ import annotations

from sekisho.codecs.edifact.answers import Answer, ApplicationError, free_text
from sekisho.codecs.edifact.writer import OutgoingMessage, Values

__all__ = ["aperak"]

_SOURCE = "ZZZ"
"""3055: mutually defined, for codes that are not in a directory list."""


def aperak(answer: Answer, *, reference: str, release: str = "D.95B") -> OutgoingMessage:
    """An APERAK by an :class:`Answer`; the same segments are right in every shipped release.

    ``reference`` is 0062. 1001 is 312 (acknowledgement) or 313 (error message), in the code list since D.99B.
    At most 9 references and 999 errors are told.
    """
    rows: list[Values] = [answer.head("312", "313"), ("DTM", ["137", answer.at, "203"])]
    rows += free_text("AAO" if not answer.accepted else "AAI", answer.text)
    rows += [("RFF", list(pair)) for pair in answer.references[:9]]
    for error in answer.errors[:999]:
        rows += _error(error)
    version, number = release.split(".")
    return OutgoingMessage(reference, ("APERAK", version, number, "UN"), rows)


def _error(error: ApplicationError) -> list[Values]:
    rows: list[Values] = [("ERC", [error.code, "", _SOURCE])]
    where = " ".join(part for part in (error.item, error.sub) if part)
    rows += free_text("AAO", f"{where}: {error.text}" if where and error.text else error.text or where)
    if error.reference is not None:
        rows.append(("RFF", list(error.reference)))
    return rows
