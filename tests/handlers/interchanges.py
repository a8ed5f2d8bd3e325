"""Invented EDIFACT messages, read by the codec and decided as the gateway does it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sekisho.codecs.edifact import read
from sekisho.codecs.edifact.model import Message
from sekisho.codecs.results import Refusal
from sekisho.handlers import EDIFACT
from sekisho.handlers.kit import Outcome

from .house import House

SAMPLES = Path(__file__).parents[2] / "samples" / "edifact"


def message(kind: str, body: Sequence[str], release: str = "D:95B:UN", unh: str = "") -> Message:
    """One message of these segments (without terminators) in an interchange of its own, valid by its directory."""
    segments = [f"UNH+1+{kind}:{release}{unh}", *body, f"UNT+{len(body) + 2}+1"]
    lines = ["UNB+UNOC:3+TRADER1+SEKISHO+261120:1030+R1", *segments, "UNZ+1+R1"]
    return only(b"".join(f"{line}'\r\n".encode("latin-1") for line in lines))


def only(data: bytes) -> Message:
    """The one message of an interchange; it must be valid, and judged by a directory wherever there is one."""
    report = read(data, keep=True)
    assert report.valid, report.errors
    ((only,),) = [interchange.listed for interchange in report.interchanges]
    return only


def damaged(kind: str, body: Sequence[str], release: str) -> Message:
    """A message that no directory has judged; whatever is wrong in it reaches the handler."""
    segments = [f"UNH+1+{kind}:{release}", *body, f"UNT+{len(body) + 2}+1"]
    lines = ["UNB+UNOC:3+TRADER1+SEKISHO+261120:1030+R1", *segments, "UNZ+1+R1"]
    report = read(b"".join(f"{line}'".encode("latin-1") for line in lines), keep=True)
    return report.interchanges[0].listed[0]


def decide(house: House, given: Message, business: str, *, aviation: bool = False) -> Outcome:
    """What the handler of the message's type makes of it. Raises Refusal; a refusal may have changed nothing."""
    handler = EDIFACT[given.type]
    assert business in handler.codes
    before = dict(house.records.kept)
    context = house.context()._replace(business_code=business, aviation=aviation)
    try:
        return handler.decide(given, context)
    except Refusal:
        assert house.records.kept == before, "a refusal changes nothing (procedures 1.1, step 5)"
        raise


def refused(house: House, given: Message, business: str, *, aviation: bool = False) -> list[str]:
    """The result codes a message is refused with, as they stand in a notice; [] if it is not refused."""
    try:
        decide(house, given, business, aviation=aviation)
    except Refusal as refusal:
        return [str(result) for result in refusal.results]
    return []
