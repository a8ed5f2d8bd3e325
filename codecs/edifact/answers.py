"""What the business says about a message, before it is a CUSRES or an APERAK."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sekisho.codecs.edifact.writer import Values

__all__ = ["Answer", "ApplicationError", "free_text"]


@dataclass(frozen=True, slots=True)
class ApplicationError:
    """One error of the application: ``code`` (9321, at most 8 characters), text, and where.

    ``section`` is 1049 (1 heading, 2 detail), ``item`` 1052 (an item's id or line), ``sub`` 1054 (a number, empty if
    none), ``reference`` a (1153, 1154) pair that names the record.
    """

    code: str
    text: str = ""
    section: str = "1"
    item: str = ""
    sub: str = ""
    reference: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A business result for one message.

    ``document`` is our own number of the answer (1004), ``at`` YYYYMMDDHHMM, ``references`` (1153, 1154) pairs that
    name what is answered, ``status`` a 7365 for CUSRES, ``name`` overrides 1001, ``function`` is 1225.
    """

    document: str
    accepted: bool
    at: str
    references: Sequence[tuple[str, str]]
    errors: Sequence[ApplicationError] = ()
    text: str = ""
    status: str = ""
    name: str = ""
    function: str = "9"

    def head(self, accepted: str, refused: str) -> Values:
        """BGM with the document name for either verdict, and the response type 4343: AP or RE."""
        name = self.name or (accepted if self.accepted else refused)
        return ("BGM", [name], self.document, self.function, "AP" if self.accepted else "RE")


def free_text(qualifier: str, text: str, *, lines: int = 5, width: int = 70) -> Iterator[Values]:
    """FTX with a text in up to five lines of 70 characters; nothing for an empty text, a longer one is cut."""
    if text:
        cut = [text[at : at + width] for at in range(0, len(text), width)][:lines]
        yield ("FTX", qualifier, "", "", cut)
