"""The plain handler: a business code that needs no decision of its own is a table and nothing else.

It reads and checks by the table, changes nothing and answers the result notice with the key that came, if the business
has one. ``sekisho codes`` shows such a code as *plain*, so that nobody takes the answer for a decision.
"""

from __future__ import annotations

from sekisho.codecs.message import Message
from sekisho.handlers.kit import Context, Outcome
from sekisho.handlers.tables import key_item

__all__ = ["answer"]


def answer(message: Message, context: Context) -> Outcome:  # noqa: ARG001 - every handler has this form
    """Normal end with the key that was sent."""
    key = ""
    if message.layout is not None and message.record is not None:
        item = key_item(message.layout)
        key = message.record.text(item) if item else ""
    return Outcome(key=key)
