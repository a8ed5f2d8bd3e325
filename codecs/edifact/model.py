"""What is known of an interchange, a group and a message from their service segments."""

from __future__ import annotations

from dataclasses import dataclass, field

from sekisho.codecs.edifact.findings import Finding
from sekisho.codecs.edifact.segment import Segment
from sekisho.codecs.edifact.syntax import Syntax

__all__ = ["Group", "Interchange", "Message", "Report"]


@dataclass(slots=True)
class Message:
    """One message: UNH's values, where it is, and whether it is free of errors.

    ``number`` counts in the interchange from 1. ``identifier`` holds the components of S009 as sent (type, version,
    release, agency, association). ``offset`` and ``end`` are its bytes in the transmission, terminator of UNT included.
    ``directory`` names the release that judged it, None: envelope level only. ``segments`` is filled by ``keep=True``.
    """

    number: int
    reference: str
    identifier: tuple[str, ...]
    offset: int
    group: int | None = None
    access: str = ""
    end: int = 0
    count: int = 0
    errors: int = 0
    directory: str | None = None
    segments: list[Segment] = field(default_factory=list)

    @property
    def type(self) -> str:
        """0065, for instance CUSCAR."""
        return self.identifier[0] if self.identifier else ""

    @property
    def version(self) -> tuple[str, str, str]:
        """0052, 0054, 0051: for instance D, 95B, UN."""
        version, release, agency = (*self.identifier[1:4], "", "", "")[:3]
        return version, release, agency

    @property
    def valid(self) -> bool:
        """Whether nothing in it is wrong."""
        return self.errors == 0


@dataclass(slots=True)
class Group:
    """One functional group; S006 and S007 as sent."""

    number: int
    reference: str
    type: str
    sender: tuple[str, ...]
    recipient: tuple[str, ...]
    version: tuple[str, ...]
    offset: int
    messages: int = 0
    errors: int = 0


@dataclass(slots=True)
class Interchange:
    """One interchange: UNB's values, counts and verdict.

    ``sender`` and ``recipient`` hold the components of S002 and S003 as sent. ``acknowledge`` is 0031 (``1`` asks for a
    CONTRL; ``0`` is seen where blank is meant), ``test`` 0035. ``offset`` and ``end`` are its bytes, UNA included.
    ``rejected`` and ``groups_rejected`` are the messages and groups with errors, by number; ``listed`` all messages
    (only with ``keep=True``).
    """

    number: int
    syntax: Syntax
    offset: int
    una: str | None = None
    sender: tuple[str, ...] = ()
    recipient: tuple[str, ...] = ()
    date: str = ""
    time: str = ""
    reference: str = ""
    application: str = ""
    agreement: str = ""
    acknowledge: str = ""
    test: str = ""
    end: int = 0
    groups: int = 0
    messages: int = 0
    segments: int = 0
    errors: int = 0
    closed: bool = False
    types: set[str] = field(default_factory=set)
    rejected: dict[int, Message] = field(default_factory=dict)
    groups_rejected: dict[int, Group] = field(default_factory=dict)
    listed: list[Message] = field(default_factory=list)

    @property
    def valid(self) -> bool:
        """Whether nothing in it is wrong."""
        return self.errors == 0

    @property
    def asks_for_acknowledgement(self) -> bool:
        """0031 is 1 (version 4 has 2, receipt only, besides)."""
        return self.acknowledge in ("1", "2")


@dataclass(slots=True)
class Report:
    """The verdict on a transmission. ``left_out`` counts errors and findings beyond the limit."""

    interchanges: list[Interchange] = field(default_factory=list)
    errors: list[Finding] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    error_count: int = 0
    left_out: int = 0
    size: int = 0

    @property
    def valid(self) -> bool:
        """Whether there is an interchange and nothing is wrong with any."""
        return self.error_count == 0 and bool(self.interchanges)

    def errors_of(self, interchange: Interchange) -> list[Finding]:
        """The errors of one interchange, in order."""
        return [error for error in self.errors if error.interchange == interchange.number]
