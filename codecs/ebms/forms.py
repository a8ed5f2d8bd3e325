"""Messages of one sender, read by the form of an earlier one.

*Strategy.* What one system sends differs in a handful of values: ids, times, the names of parts. A SOAP part that was
read whole, passed every rule and was found without a deviation becomes a *form*: its bytes, with those values left
open. A later SOAP part that is the same byte for byte but for plain values in the open places is the same document
with other texts, so the schema and the structure rules, which judged the first one, would say the same again; only what
depends on the values is judged. That takes a tenth of the time of reading.

The open places hold characters that XML spells as they are and that end nothing (no blank, quote, ``&``, ``<``, ``>``),
times of one unmistakable shape, and Content-IDs that need no escape. Whatever else comes, a signed message too, is read
in full by :mod:`sekisho.codecs.ebms.reading`, which alone refuses. A form is tried before it is kept: the same document
with values of ours in the open places must be read as the same message with those values.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from sekisho.codecs.ebms.package import Package, split
from sekisho.codecs.ebms.reading import read_package
from sekisho.codecs.ebms.values import LIMITS, EbFault, EbMessage, Header, Limits, ManifestItem
from sekisho.codecs.ebms.xml import is_plain

__all__ = ["Forms"]

_MOST: Final = 8
"""Forms that are kept of one sender: he has a few programs, and each may write messages of a few shapes."""
_MOST_BYTES: Final = 16_384
"""Of a SOAP part that becomes a form: real ones have 1 to 10 KB, and forms are held for every sender."""
_MOST_PARTS: Final = 16
_AT_LEAST: Final = 16
"""Of the messages that no form reads, one after the other, the 1st, 2nd, 4th, 8th and each 16th may become one: trying
one costs as much as reading it again."""
_PLAIN: Final = re.compile(rb"[!#-%(-;=?-~]+").fullmatch
_ID: Final = re.compile(rb"[!#-%(-;=?A-~]+@[!#-%(-;=?A-~]+").fullmatch
_TIME: Final = re.compile(
    rb"[12]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-](?:0\d|1[0-3]):[0-5]\d)"
).fullmatch
_CID: Final = re.compile(rb"[0-9A-Za-z._=+~@-]+").fullmatch
_LEAF: Final = rb"<(?:[A-Za-z_][0-9A-Za-z_.-]*:)?%b(?:[ \t\r\n][^<>]*)?>([^<>]*)</"
_LEAVES: Final = (
    # element, name of the value, what may stand there, what stands there for the trial
    (b"ConversationId", "conversation", _PLAIN, b"trial-conversation"),
    (b"MessageId", "message_id", _ID, b"trial-id@trial"),
    (b"Timestamp", "timestamp", _TIME, b"1999-12-31T23:59:58Z"),
    (b"RefToMessageId", "ref_to", _PLAIN, b"trial-reference"),
    (b"TimeToLive", "time_to_live", _TIME, b"1999-12-31T23:59:59Z"),
)
_PART: Final = "part%d"
_Place = tuple[int, int, str, Callable[[bytes], object], bytes]
"""Where an open place begins and ends, its name, what may stand there, and what stands there for the trial."""


class Forms:
    """The forms of one sender. One that sends nothing twice alike costs little more: trials become rarer and rarer."""

    def __init__(self) -> None:
        self._forms: list[_Form] = []
        self._missed = 0

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._forms)

    def read(
        self,
        content_type: str,
        body: bytes,
        *,
        tolerances: frozenset[str] = frozenset(),
        limits: Limits = LIMITS,
        external_references: bool = False,
    ) -> EbMessage:
        """As :func:`sekisho.codecs.ebms.reading.read`; ``document`` is None where a form was used."""
        package = split(content_type, body, limits)
        for place, form in enumerate(self._forms):
            message = form.read(package, limits)
            if message is not None:
                self._missed = 0
                if place:
                    self._forms = [form, *(each for each in self._forms if each is not form)]
                return message
        message = read_package(
            package, tolerances=tolerances, limits=limits, external_references=external_references
        )
        self._missed += 1
        if self._missed & (self._missed - 1) == 0 or self._missed % _AT_LEAST == 0:
            learnt = _form_of(package, message, limits)
            if learnt is not None:  # behind those that were used: what never comes again must not push them out
                self._forms = [*self._forms[: _MOST - 1], learnt]
        return message


class _Form:
    """A document with open places, and the message that it was first read as."""

    def __init__(
        self, soap: bytes, charset: str, places: list[_Place], message: EbMessage, limits: Limits
    ) -> None:
        self._limits = limits
        self._charset = charset
        self._message = message
        self._parts = tuple(_PART % number for number in range(len(message.manifest)))
        self._has_ref = bool(message.header.ref_to)
        self._has_end = message.header.time_to_live is not None
        begins = [0, *(end for _, end, _, _, _ in places)]
        self._places = tuple(
            (soap[at:begin], soap[end : end + 1], name, allowed)
            for at, (begin, end, name, allowed, _) in zip(begins, places, strict=False)
        )
        """For each open place the bytes before it, the one behind it, its name, and what may stand there."""
        self._rest = soap[begins[-1] :]

    def read(self, package: Package, limits: Limits) -> EbMessage | None:
        """The message in a package; None where it is not of this form, or may break a rule."""
        if package.charset != self._charset or limits is not self._limits or len(package.parts) != len(self._parts):
            return None
        soap, at = package.soap, 0
        values: dict[str, str] = {}
        for before, behind, name, allowed in self._places:
            if not soap.startswith(before, at):
                return None
            at += len(before)
            value = soap[at : soap.find(behind, at)]
            if not allowed(value):
                return None
            values[name] = value.decode("ascii")
            at += len(value)
        if len(soap) != at + len(self._rest) or not soap.endswith(self._rest):
            return None
        first, known = self._message, self._message.header
        conversation, message_id = values["conversation"], values["message_id"]
        ref_to = values["ref_to"] if self._has_ref else ""
        if max(len(conversation), len(message_id), len(ref_to)) > limits.identifier:
            return None
        for name, part in zip(self._parts, package.parts, strict=True):
            if values[name] != part.content_id:
                return None
        try:
            timestamp = datetime.fromisoformat(values["timestamp"])
            end = datetime.fromisoformat(values["time_to_live"]) if self._has_end else None
        except ValueError:
            return None
        return EbMessage(
            Header(
                known.sender,
                known.receiver,
                known.cpa_id,
                conversation,
                known.service,
                known.action,
                message_id,
                timestamp,
                ref_to,
                end,
                known.duplicate_elimination,
                known.descriptions,
                values["timestamp"],
            ),
            first.ack_requested,
            sync_reply=first.sync_reply,
            manifest=tuple(
                ManifestItem(f"cid:{values[name]}", item.role, item.id, item.schemas, item.descriptions)
                for name, item in zip(self._parts, first.manifest, strict=True)
            ),
            payloads=package.parts,
            findings=package.findings,
        )


def _form_of(package: Package, message: EbMessage, limits: Limits) -> _Form | None:
    """The form of a message that was read; None where it has none, or fails its trial."""
    if (
        message.kind != "business"
        or message.is_signed
        or len(package.soap) > _MOST_BYTES
        or len(message.manifest) > _MOST_PARTS
        or message.findings != package.findings
        or any((message.acknowledgment, message.order, message.errors))
        or not is_plain(package.soap, package.charset)
    ):
        return None
    places = _places(package.soap, message)
    if places is None:
        return None
    trial, at = b"", 0
    for begin, end, _, _, value in places:
        trial += package.soap[at:begin] + value
        at = end
    trial += package.soap[at:]
    form = _Form(package.soap, package.charset, places, replace(message, payloads=(), document=None), limits)
    parts = tuple(replace(part, content_id=f"trial-{number}") for number, part in enumerate(package.parts))
    tried = replace(package, soap=trial, parts=parts)
    try:
        in_full = read_package(tried, limits=limits)
    except EbFault:
        return None
    by_form = form.read(tried, limits)
    if by_form is None or by_form != in_full or by_form.header.timestamp_text != in_full.header.timestamp_text:
        return None
    return form if form.read(package, limits) == message else None


def _places(soap: bytes, message: EbMessage) -> list[_Place] | None:
    """The open places from the first to the last; None where one is not there exactly once."""
    header = message.header
    places: list[_Place] = []
    for element, name, allowed, value in _LEAVES:
        found = list(re.finditer(_LEAF % element, soap))
        if not found and not getattr(header, name):
            continue
        if len(found) != 1:
            return None
        places.append((*found[0].span(1), name, allowed, value))
    for number, item in enumerate(message.manifest):
        href = item.href.encode("utf-8")
        hits = [hit for quote in (b'"', b"'") for hit in re.finditer(re.escape(quote + href + quote), soap)]
        if len(hits) != 1:
            return None
        begin, end = hits[0].span()
        places.append((begin + 5, end - 1, _PART % number, _CID, b"trial-%d" % number))
    places.sort(key=lambda place: place[0])
    return places
