"""申請 under the foreign exchange act: the forms (申請種類番号), and the state table of an application (procedures 13).

*Strategy.* The numbers are data, ``licence_forms.tsv``; which number may be amended and what endorsement its licence
takes is looked up there and nowhere else. That an application is granted, refused, supplemented and withdrawn is
official; between which states is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from sekisho.handlers.states import NEW, Event, Machine

__all__ = [
    "GRANTED",
    "LICENCE_APPLICATION",
    "PROGRESS",
    "REFUSED",
    "SUPPLEMENT_WANTED",
    "UNDER_REVIEW",
    "WITHDRAWN",
    "LicenceForm",
    "form_of",
    "licence_forms",
]

UNDER_REVIEW: Final = "under-review"
SUPPLEMENT_WANTED: Final = "supplement-wanted"
GRANTED: Final = "granted"
REFUSED: Final = "refused"
WITHDRAWN: Final = "withdrawn"

PROGRESS: Final[Mapping[str, str]] = MappingProxyType(
    {UNDER_REVIEW: "1", SUPPLEMENT_WANTED: "2", GRANTED: "3", REFUSED: "4", WITHDRAWN: "5"}
)
"""申請状態 as outputs print it (ours)."""


@dataclass(frozen=True, slots=True)
class LicenceForm:
    """One line of ``licence_forms.tsv``; see its head for what the columns mean."""

    new: str
    amend: str
    title: str
    package: bool
    web: bool
    endorsement: str
    documents: tuple[str, ...]


@cache
def licence_forms() -> tuple[LicenceForm, ...]:
    """Every form, in the official order."""
    text = files(__package__).joinpath("licence_forms.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")][1:]
    return tuple(
        LicenceForm(new, amend, title, bool(package), bool(web), endorsement, tuple(documents.split(";")))
        for new, amend, title, package, web, endorsement, documents in rows
    )


def form_of(number: str) -> LicenceForm | None:
    """The form of a 申請種類番号, 新規 or 訂正; None if there is none."""
    return next((form for form in licence_forms() if number and number in (form.new, form.amend)), None)


_OPEN: Final = (UNDER_REVIEW, SUPPLEMENT_WANTED)

LICENCE_APPLICATION: Final = Machine(
    name="licence-application",
    title=("外為法 申請", "application under the foreign exchange act"),
    kind="licence-application",
    states={
        UNDER_REVIEW: ("審査中", "under review"),
        SUPPLEMENT_WANTED: ("補正待ち", "supplement wanted"),
        GRANTED: ("交付済み", "granted"),
        REFUSED: ("不許可・不承認", "refused"),
        WITHDRAWN: ("取下げ済み", "withdrawn"),
    },
    events={
        "apply": Event("申請", "applied", "JAA, JAH, JMD"),
        "supplement": Event("補正", "supplemented", "JAB"),
        "add documents": Event("添付書類等追加", "documents added", "JAF"),
        "withdraw": Event("取下げ", "withdrawn", "JAC"),
        "approve": Event("交付", "granted", "JASET A; the rules of examination"),
        "refuse": Event("不許可・不承認", "refused", "JASET R; the rules of examination"),
        "correct": Event("補正依頼", "supplement wanted", "JASET C; the rules of examination"),
    },
    transitions={
        (NEW, "apply"): UNDER_REVIEW,
        (SUPPLEMENT_WANTED, "supplement"): UNDER_REVIEW,
        **{(state, "add documents"): state for state in _OPEN},
        **{(state, "withdraw"): WITHDRAWN for state in _OPEN},
        (UNDER_REVIEW, "approve"): GRANTED,
        (UNDER_REVIEW, "refuse"): REFUSED,
        (UNDER_REVIEW, "correct"): SUPPLEMENT_WANTED,
        (SUPPLEMENT_WANTED, "refuse"): REFUSED,
    },
    source="procedures 13 (the steps official, the states between ours)",
    notes=("JASET, the ministry's end of the review, is a code of ours: no official one is known.",),
)
"""JAA, JAH and JMD to the decision."""
