"""EDIFACT (ISO 9735 syntax versions 1 to 4): read, judge, answer, write.

:func:`read` judges a transmission and gives a :class:`Report`; :func:`walk` streams its segments; :func:`peek` tells
what is in it for routing; :func:`contrl`, :func:`aperak` and :func:`cusres` answer it; :func:`build` and
:func:`write_back` make bytes. What is agreed with a partner is a :class:`Profile`. Only this package knows pydifact.
"""

from sekisho.codecs.edifact.answers import Answer, ApplicationError
from sekisho.codecs.edifact.aperak import aperak
from sekisho.codecs.edifact.codes import ErrorCode, error_codes, message_rows, message_table
from sekisho.codecs.edifact.contrl import NotAnswerable, contrl, contrl_message
from sekisho.codecs.edifact.cusres import cusres
from sekisho.codecs.edifact.findings import Finding, Level
from sekisho.codecs.edifact.model import Group, Interchange, Message, Report
from sekisho.codecs.edifact.peek import Peeked, PeekedMessage, peek
from sekisho.codecs.edifact.profile import TOLERANT, Profile
from sekisho.codecs.edifact.reading import Walk, read, walk
from sekisho.codecs.edifact.report import as_json, as_lines
from sekisho.codecs.edifact.segment import NotPlain, Segment, from_pydifact, to_pydifact
from sekisho.codecs.edifact.writer import Outgoing, OutgoingMessage, Repeated, build, write_back

__all__ = [
    "TOLERANT",
    "Answer",
    "ApplicationError",
    "ErrorCode",
    "Finding",
    "Group",
    "Interchange",
    "Level",
    "Message",
    "NotAnswerable",
    "NotPlain",
    "Outgoing",
    "OutgoingMessage",
    "Peeked",
    "PeekedMessage",
    "Profile",
    "Repeated",
    "Report",
    "Segment",
    "Walk",
    "aperak",
    "as_json",
    "as_lines",
    "build",
    "contrl",
    "contrl_message",
    "cusres",
    "error_codes",
    "from_pydifact",
    "message_rows",
    "message_table",
    "peek",
    "read",
    "to_pydifact",
    "walk",
    "write_back",
]
