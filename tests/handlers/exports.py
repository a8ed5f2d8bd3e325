"""Export declarations for tests: a draft, and the ways to get one somewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sekisho.codecs.reading import Record, read_body
from sekisho.handlers import catalogue
from sekisho.handlers.kit import Examination, Output, User

from .house import BROKER, House, written

Items = dict[str, str | Sequence[str]]

SPECIALIST = replace(BROKER, specialist=True)
PLAIN = User("1ANACB0B", "customs-broker")
"""Of the same company, without the qualification."""
DOCUMENTS = Examination("documents")


def export(**changes: str | Sequence[str]) -> Items:
    """A plain export of two lines."""
    items: Items = {
        "LSK": "L",
        "CH": "1A",
        "CHB": "01",
        "EXC": "1234567890123",
        "EXN": "SAMPLE EXPORTER",
        "EXY": "1050001",
        "ST": "1AW01",
        "CNN": "SAMPLE CONSIGNEE",
        "CNK": "US",
        "AWB": "SMPLBL0001",
        "NO": "120",
        "NOT": "CT",
        "FDC": "USLAX",
        "LPC": "NRT",
        "FOB": "JPY",
        "FOP": "900000",
        "NT1": "見本",
        "REF": "REF-1",
        "CMD": ["870323000", "400110000"],
        "CMN": ["MOTOR VEHICLES", "RUBBER"],
        "QN1": ["2", "300"],
        "QT1": ["NO", "KG"],
        "BPR": ["600000", "300000"],
    }
    return items | changes


def register(house: House, **changes: str | Sequence[str]) -> str:
    """Register an export and give its number."""
    return house.send("EDA", **export(**changes)).key


def examined(house: House, **changes: str | Sequence[str]) -> str:
    """Declare an export that customs examines by documents; gives its number."""
    house.examinations.by_code["EDC"] = DOCUMENTS
    number = register(house, **changes)
    house.send("EDC", ECN=number)
    return number


def kept(house: House, number: str, kind: str = "export-declaration") -> dict[str, Any]:
    """The record of an export."""
    data = house.records.get(kind, number)
    assert data is not None
    return dict(data)


def shown(output: Output) -> Record:
    """What a reader sees in an output: written, then read by the table that its code is filed under."""
    layout = catalogue().output(output.code)
    assert layout is not None
    record, findings, errors = read_body(layout, written(output))
    assert not findings
    assert {error.code for error in errors} <= {"S9001"}
    return record


def named(output: Output) -> dict[str, str]:
    """An output by item names, first rows only."""
    record = shown(output)
    return {item.name: record.text(item.id) for item in record.layout.items}
