"""Link check: TCC, 端末開通確認.

The first message of every connection test, and the documented way to see whether a password has been changed: normal
end means changed, U0001 means that URY comes first (procedures 5.1).
"""

from __future__ import annotations

from sekisho.codecs.message import Message
from sekisho.codecs.results import result_block
from sekisho.handlers.kit import Context, Outcome, handles

__all__ = ["confirm_line"]


@handles("TCC", outputs=["*CTCC"])
def confirm_line(message: Message, context: Context) -> Outcome:  # noqa: ARG001 - every handler has this form
    """TCC: echo both input fields; 帳票出力指示 is ignored, no printed form is known (decisions, "Replies")."""
    record = message.record
    echo = (record.text("I01"), record.text("I02")) if record is not None else ("", "")
    values = {"RES": result_block(()), "O01": echo[0], "O02": echo[1]}
    return Outcome(notice_layout="TCC.out", notice_values=values)
