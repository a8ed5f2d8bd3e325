"""What the schema refuses and a partner's profile tolerates: mended in a copy, for the schema's eyes only.

*Strategy.* Real traffic breaks the schema in a handful of known ways (checklist 58, spec section 10). A message that
the schema refuses is copied, each tolerated deviation is mended in the copy and named, and the schema judges the copy.
The message itself is never changed: its signature covers it as it came.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Final

from lxml import etree

from sekisho.codecs.ebms.names import (
    EB,
    EMPTY_ERROR_LIST,
    ID_WITH_DIGIT,
    MISSING_LANGUAGE,
    MISSING_VERSION,
    MUST_UNDERSTAND_TRUE,
    SOAP,
    VERSION,
    XML,
)
from sekisho.codecs.ebms.values import Finding
from sekisho.codecs.ebms.xml import path_of

__all__ = ["mended"]

_MUST_UNDERSTAND: Final = f"{{{SOAP}}}mustUnderstand"
_LANGUAGE: Final = f"{{{XML}}}lang"
_VERSION: Final = f"{{{EB}}}version"
_ID: Final = f"{{{EB}}}id"
_SIGNALS: Final = frozenset(
    f"{{{EB}}}{name}"
    for name in (
        "AckRequested", "Acknowledgment", "SyncReply", "MessageOrder", "ErrorList", "StatusRequest", "StatusResponse",
    )
)  # fmt: skip


def mended(root: etree._Element, tolerances: frozenset[str]) -> tuple[etree._Element, list[Finding]]:
    """A copy of the Envelope without its tolerated deviations, and a finding for each kind at its first place."""
    copy = deepcopy(root)
    findings: dict[str, Finding] = {}

    def note(name: str, text: str, element: etree._Element) -> None:
        findings.setdefault(name, Finding(name, text, path_of(element)))

    for element in copy.iter(f"{{{EB}}}*"):
        if MUST_UNDERSTAND_TRUE in tolerances and element.get(_MUST_UNDERSTAND) in {"true", "false"}:
            note(MUST_UNDERSTAND_TRUE, 'SOAP:mustUnderstand is written "true" or "false"', element)
            element.set(_MUST_UNDERSTAND, "1" if element.get(_MUST_UNDERSTAND) == "true" else "0")
        if MISSING_LANGUAGE in tolerances and element.tag == f"{{{EB}}}Description" and _LANGUAGE not in element.attrib:
            note(MISSING_LANGUAGE, "a Description has no xml:lang", element)
            element.set(_LANGUAGE, "en")
        if MISSING_VERSION in tolerances and element.tag in _SIGNALS and _VERSION not in element.attrib:
            note(MISSING_VERSION, "eb:version is missing", element)
            element.set(_VERSION, VERSION)
        if EMPTY_ERROR_LIST in tolerances and element.tag == f"{{{EB}}}ErrorList" and len(element) == 0:
            note(EMPTY_ERROR_LIST, "the ErrorList is empty", element)
            error = etree.SubElement(element, f"{{{EB}}}Error")
            error.set(f"{{{EB}}}errorCode", "Unknown")
            error.set(f"{{{EB}}}severity", "Error")
        if ID_WITH_DIGIT in tolerances and element.get(_ID, "")[:1].isdigit():
            note(ID_WITH_DIGIT, "an eb:id begins with a digit", element)
            element.set(_ID, "_" + element.get(_ID, ""))
    return copy, list(findings.values())
