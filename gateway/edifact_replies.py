"""Interchanges of our own: what a partner is answered with, as bytes.

*Strategy.* One interchange a kind of answer and received interchange: its CONTRL, all its CUSRES, all its APERAK. UNB
swaps the parties, the date is Japan time, 0020 counts by partner. Every segment ends its line, because mail lines are
bounded (RFC 5321 4.5.3.1.6) and line ends between segments are read by everybody.

Unspecified: which reference names what. RFF+ACW holds the document number of the message that is answered, RFF+AGO the
reference of its interchange and its own (0020/0062), RFF+ABT the number that a business gave it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sekisho.codecs.edifact import Interchange, Message
from sekisho.codecs.edifact.answers import Answer, ApplicationError
from sekisho.codecs.edifact.aperak import aperak
from sekisho.codecs.edifact.cusres import cusres
from sekisho.codecs.edifact.syntax import repertoire
from sekisho.codecs.edifact.writer import Outgoing, OutgoingMessage, build
from sekisho.codecs.results import ResultCode
from sekisho.gateway.partners import Partner
from sekisho.handlers import result_list

__all__ = ["DEFAULT_RELEASE", "Answered", "answer_message", "document_of", "interchange_of_ours", "kept", "value_of"]

DEFAULT_RELEASE: Final = "D.95B"
"""The directory of a CUSRES and an APERAK where neither the profile nor the answered message names one."""
_KEPT: Final = 200
"""Two ids of 35 characters and a reference take 86."""
_TESTS: Final = {False: frozenset("1"), True: frozenset("12345")}
"""Test indicators (0035) that may be echoed, before and in syntax version 4."""
_LINE_END: Final = b"\r\n"


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of one message. Empty ``results``: taken; ``key`` is the number that the business gave it."""

    message: Message
    business_code: str = ""
    key: str = ""
    results: tuple[ResultCode, ...] = field(default=())
    refused: bool = False


def value_of(message: Message, tag: str, element: int, component: int = 0) -> str:
    """A value of the first segment with this tag; empty where there is none."""
    return next((one.get(element, component) for one in message.segments if one.tag == tag), "")


def document_of(message: Message) -> str:
    """The document number of BGM (1004); the message's own reference where there is none."""
    return value_of(message, "BGM", 1) or message.reference


def kept(text: str) -> str:
    """A value of a message as a store can keep it and a line can show it.

    What could not be decoded is escaped, and of a text that is longer than any key or reference the rest is cut.
    """
    return text.encode("utf-8", "backslashreplace").decode()[:_KEPT]


def answer_message(
    answered: Answered, interchange: Interchange, partner: Partner, kind: str, *, own: str, place: int, now: datetime
) -> OutgoingMessage:
    """The CUSRES or APERAK (``kind``) that answers one message; the ``place``-th of our interchange ``own``.

    A result code stands in ERC, the segment's tag and number in the message (or the item and row) in ERP, the meaning
    in FTX.
    """
    message = answered.message
    document = document_of(message)
    references = [("ACW", document[:35]), ("AGO", f"{interchange.reference}/{message.reference}"[:35])]
    if answered.key and answered.key != document:
        references.append(("ABT", answered.key[:35]))
    answer = Answer(
        document=f"{own}-{place}",
        accepted=not answered.refused,
        at=f"{now:%Y%m%d%H%M}",
        references=references,
        errors=[_error(one, message.type, answered.business_code) for one in answered.results],
    )
    release = partner.directories.get(kind) or message.directory or DEFAULT_RELEASE
    make = cusres if kind == "CUSRES" else aperak
    return make(answer, reference=str(place), release=release)


def _error(result: ResultCode, message_type: str, business_code: str) -> ApplicationError:
    """What a decision says of a message type stands in the list of that type, the rest in that of the business."""
    found = result_list(message_type).find(result.code, result.item)
    found = found or result_list(business_code).find(result.code, result.item)
    return ApplicationError(
        code=result.code,
        text=_plain(found.meaning if found else ""),
        section="2" if result.item else "1",
        item=result.item,
        sub=str(result.row) if result.row else "",
    )


def _plain(text: str) -> str:
    """A text in the narrowest repertoire (UNOA), so that it never needs another than was agreed."""
    own = repertoire("UNOA")
    allowed = own.allowed.decode("ascii") if own is not None else ""
    return " ".join("".join(one if one in allowed else " " for one in text.upper()).split())


def interchange_of_ours(
    messages: Sequence[OutgoingMessage],
    interchange: Interchange,
    partner: Partner | None,
    *,
    own: str,
    now: datetime,
) -> bytes:
    """An interchange with these messages to the sender of ``interchange``; ``own`` is our 0020, ``now`` Japan time.

    Raises ValueError where a value that has to be copied cannot be written.
    """
    syntax = interchange.syntax
    version = syntax.version if syntax.version in ("1", "2", "3", "4") else "3"
    known = repertoire(syntax.identifier)
    fits = known is not None and version in known.versions and syntax.identifier.startswith("UNO")
    return build(
        Outgoing(
            sender=_party(_ours(interchange, partner)),
            recipient=_party(interchange.sender),
            reference=own,
            date=f"{now:%Y%m%d}" if version == "4" else f"{now:%y%m%d}",
            time=f"{now:%H%M}",
            identifier=syntax.identifier if fits else "UNOA",
            version=version,
            test=interchange.test if interchange.test in _TESTS[version == "4"] else "",
            line_end=_LINE_END,
            messages=messages,
        )
    )


def _party(parts: tuple[str, ...]) -> tuple[str, ...]:
    """A copied id with qualifier and routing, as long as UNB holds them: a sender that is not known may send any."""
    return tuple(part[:most] for part, most in zip(parts, (35, 4, 14), strict=False))


def _ours(interchange: Interchange, partner: Partner | None) -> tuple[str, ...]:
    """Our id: the one that was written to, unless that is not ours."""
    centre = partner.centre if partner is not None else ()
    ids = {one.partition(":")[0] for one in centre}
    if not ids or (interchange.recipient[:1] and interchange.recipient[0] in ids):
        return interchange.recipient
    return tuple(centre[0].split(":"))
