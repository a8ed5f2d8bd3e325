"""Applications, licences and endorsements for tests: who acts, and the ways to get one somewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sekisho.handlers.kit import Examination, User

from .exports import Items, export, shown
from .house import House

MINISTRY = User("9METIM0M", "ministry")
BROKER_OF_ANOTHER = User("2OTHRA0A", "customs-broker", specialist=True)
UNKNOWN = "99999999999"


def apply(house: House, **changes: str | Sequence[str]) -> str:
    """An application that the ministry reviews; gives its number."""
    house.examinations.by_code["JAA"] = Examination("documents")
    return house.send("JAA", **{"SSN": "200", "NT1": "見本", **changes}).key


def granted(house: House, *, form: str = "200", **terms: str | Sequence[str]) -> str:
    """A licence of the sender's, by default for ten vehicles until the end of March; gives its number."""
    number, applicant = apply(house, SSN=form), house.user
    house.user = MINISTRY
    usual: Items = {"LC_": ["870323"], "LQ_": ["10"], "LU_": ["NO"], "VFR": "20261101", "VTO": "20270331"}
    outcome = house.send("JASET", JNO=number, RES="A", **(usual | terms))
    house.user = applicant
    return shown(outcome.outputs[0]).text("LCN")


def licensed(house: House, licence: str, **changes: str | Sequence[str]) -> str:
    """An export of two vehicles that names a licence; gives its number."""
    return house.send("EDA", **export(S_=["ELIC"], N_=[licence], **changes)).key


def endorse(house: House, licence: str, declaration: str, **changes: str | Sequence[str]) -> str:
    """Endorse two vehicles; gives the number."""
    items: Items = {"LR_": ["1"], "LQ_": ["2"], "LU_": ["NO"]}
    return house.send("JENDR", KND="9", LCN=licence, ICN=declaration, **(items | changes)).key


def licence(house: House, number: str) -> Mapping[str, Any]:
    """The licence as the register has it."""
    return house.records.kept["licence", number]
