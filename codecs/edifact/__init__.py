"""EDIFACT (ISO 9735 syntax versions 1 to 4): read, judge, answer, write.

:func:`read` judges a transmission and gives a :class:`Report`; :func:`walk` streams its segments; :func:`peek` tells
what is in it for routing. What is agreed with a partner is a :class:`Profile`. Only this package knows pydifact.
"""

from sekisho.codecs.edifact.findings import Finding, Level
from sekisho.codecs.edifact.model import Group, Interchange, Message, Report
from sekisho.codecs.edifact.profile import TOLERANT, Profile
from sekisho.codecs.edifact.reading import Walk, read, walk
from sekisho.codecs.edifact.report import as_json, as_lines
from sekisho.codecs.edifact.segment import NotPlain, Segment, from_pydifact, to_pydifact

__all__ = [
    "TOLERANT",
    "Finding",
    "Group",
    "Interchange",
    "Level",
    "Message",
    "NotPlain",
    "Profile",
    "Report",
    "Segment",
    "Walk",
    "as_json",
    "as_lines",
    "from_pydifact",
    "read",
    "to_pydifact",
    "walk",
]
