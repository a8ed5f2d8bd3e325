"""Retrieval of stored output: SYG (wire reference 6.1).

*Strategy.* ``REF`` lists what no door has delivered yet, result notices included; any other content is an output code
whose letters are handed over once more. The handler only names the letters; the delivery makes them due at once.

Unspecified: our choice: an output code with nothing waiting, or one that nobody knows, ends normally and nothing
follows; so a sender may ask for every code it knows without looking at the list first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sekisho.codecs.layout import Value
from sekisho.codecs.message import Message
from sekisho.codecs.results import result_block
from sekisho.handlers.checks import body
from sekisho.handlers.kit import Context, Outcome, Output, handles

__all__ = ["retrieve"]

LIST: Final = "REF"
MOST_WRITTEN: Final = 9999
"""The count has four digits [client]: more are written as this many (Unspecified: our choice)."""


@handles("SYG", outputs=["*CSYG", "CZSYG"])
def retrieve(message: Message, context: Context) -> Outcome:
    """SYG: the list of waiting output (no notice), or a notice and then the letters of one output code again."""
    wanted = body(message).text("OCD")
    if wanted != LIST:
        return Outcome(resend=tuple(context.waiting.letters(wanted)))
    counts = context.waiting.counts()
    values: dict[str, Value | Sequence[Value]] = {
        "RES": result_block(()),
        "INF": len(counts),
        "OCD": [code for code, _ in counts],
        "UNS": [min(count, MOST_WRITTEN) for _, count in counts],
    }
    return Outcome(outputs=(Output("CZSYG", "R", values, layout="SYG.out"),), notice=False)
