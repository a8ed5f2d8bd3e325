"""The blocks of an ebMS message: one element in, one value out.

*Strategy.* Every reader takes an element that stands at its place below the Envelope and that the schema has passed,
and keeps the rules that the schema lets through (spec section 3.1). A value is the whole text of its element: a comment
or anything else inside is refused, because canonicalisation drops comments and a signature would not see the cut.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, cast

from lxml import etree

from sekisho.codecs.ebms.names import (
    BARE_MESSAGE_ID,
    DS,
    EB,
    EMPTY_ERROR_LIST,
    ERROR_CONTEXT,
    NEXT_MSH,
    SOAP,
    SOAP_NEXT,
    TIME_WITHOUT_ZONE,
    TO_PARTY_MSH,
    VERSION,
    XLINK,
    XML,
)
from sekisho.codecs.ebms.values import (
    Acknowledgment,
    AckRequested,
    Description,
    EbError,
    EbFault,
    ErrorCode,
    ErrorList,
    Finding,
    Header,
    Limits,
    ManifestItem,
    MessageStatus,
    Order,
    Party,
    PartyId,
    Schema,
    Service,
    Severity,
    SignedReference,
    StatusRequest,
    StatusResponse,
    SyncReply,
)
from sekisho.codecs.ebms.xml import path_of

__all__ = ["Reader", "references_of"]

_ACTOR: Final = f"{{{SOAP}}}actor"
_DATE_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT)(\d\d)(:\d\d:\d\d(?:\.\d+)?)(Z|[+-]\d\d:\d\d)?")
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
_MESSAGE_ID: Final = re.compile(r"[^\s<>@]+@[^\s<>@]+")
_SEQUENCE_BOUND: Final = 99_999_999
"""SequenceNumber has at most eight digits (OASIS text, section 9; recall)."""


class Reader:
    """Reads blocks for one message: what is tolerated, what was found, what an identifier may measure."""

    def __init__(self, tolerances: frozenset[str], limits: Limits) -> None:
        self.tolerances = tolerances
        self.limits = limits
        self.findings: list[Finding] = []

    def deviation(self, name: str, code: ErrorCode, text: str, element: etree._Element) -> None:
        """Note a deviation that is tolerated; raise :class:`EbFault` for one that is not."""
        if name not in self.tolerances:
            raise EbFault(code, text, location=path_of(element))
        self.findings.append(Finding(name, text, path_of(element)))

    def header(self, element: etree._Element) -> Header:
        """eb:MessageHeader. What it cannot say without (a time, an id) is a SOAP Fault when it cannot be read."""
        data = _need(element, "MessageData")
        try:
            return Header(
                sender=self._party(_need(element, "From")),
                receiver=self._party(_need(element, "To")),
                cpa_id=self._identifier(_need(element, "CPAId")),
                conversation=self._identifier(_need(element, "ConversationId")),
                service=self._service(_need(element, "Service")),
                action=self._identifier(_need(element, "Action")),
                message_id=self._identifier(_need(data, "MessageId")),
                timestamp=self._time(_need(data, "Timestamp")),
                timestamp_text=_text(_need(data, "Timestamp")),
                ref_to=self._optional(data, "RefToMessageId"),
                time_to_live=self._optional_time(data, "TimeToLive"),
                duplicate_elimination=_child(element, "DuplicateElimination") is not None,
                descriptions=_descriptions(element),
            )
        except EbFault as fault:
            fault.soap_code = "Client"
            raise

    def judge_header(self, header: Header, element: etree._Element) -> None:
        """The rules of a MessageHeader that was read: version, types of parties, form of the id (15, 16, 20)."""
        self.version(element)
        for name, party in (("From", header.sender), ("To", header.receiver)):
            for each in party.ids:
                if not each.type and _URI.fullmatch(each.value) is None:
                    raise EbFault(
                        "Inconsistent",
                        "a PartyId without type is not a URI",
                        location=f"{path_of(element)}/eb:{name}/eb:PartyId",
                    )
        if not header.service.type and _URI.fullmatch(header.service.value) is None:
            location = f"{path_of(element)}/eb:Service"
            raise EbFault("Inconsistent", "a Service without type is not a URI", location=location)
        if _MESSAGE_ID.fullmatch(header.message_id) is None:
            place = _need(_need(element, "MessageData"), "MessageId")
            self.deviation(BARE_MESSAGE_ID, "ValueNotRecognized", "the MessageId is not of the form left@right", place)

    def version(self, element: etree._Element) -> None:
        """eb:version is 2.0 (15). Where it is missing the schema, or a tolerance, has spoken."""
        if element.get(f"{{{EB}}}version", VERSION) != VERSION:
            raise EbFault("Inconsistent", "eb:version is not 2.0", location=f"{path_of(element)}/@eb:version")

    def ack_requested(self, element: etree._Element) -> AckRequested:
        """eb:AckRequested (29)."""
        return AckRequested(element.get(f"{{{EB}}}signed", "").strip() in {"1", "true"}, _msh_actor(element))

    def acknowledgment(self, element: etree._Element) -> Acknowledgment:
        """eb:Acknowledgment (31)."""
        sender = _child(element, "From")
        return Acknowledgment(
            timestamp=self._time(_need(element, "Timestamp")),
            ref_to=self._identifier(_need(element, "RefToMessageId")),
            sender=None if sender is None else self._party(sender),
            references=references_of(element),
            actor=_msh_actor(element),
        )

    def sync_reply(self, element: etree._Element) -> SyncReply:
        """eb:SyncReply (47)."""
        if element.get(_ACTOR) != SOAP_NEXT:
            raise EbFault("Inconsistent", "the actor of SyncReply is not SOAP's next", location=path_of(element))
        return SyncReply()

    def order(self, element: etree._Element) -> Order:
        """eb:MessageOrder (50)."""
        number = _need(element, "SequenceNumber")
        digits = _text(number).lstrip("+").lstrip("0") or "0"
        if len(digits) > len(str(_SEQUENCE_BOUND)) or not digits.isdecimal():
            raise EbFault("ValueNotRecognized", "the SequenceNumber has too many digits", location=path_of(number))
        status = cast('Literal["Reset", "Continue"]', number.get(f"{{{EB}}}status", "Continue").strip())
        if status == "Reset" and digits != "0":
            raise EbFault("Inconsistent", "a sequence that is reset begins with 0", location=path_of(number))
        return Order(int(digits), status)

    def error_list(self, element: etree._Element) -> ErrorList:
        """eb:ErrorList (54, 58)."""
        found = element.findall(f"{{{EB}}}Error")
        if not found and EMPTY_ERROR_LIST not in self.tolerances:
            raise EbFault("Inconsistent", "the ErrorList is empty", location=path_of(element))
        errors: list[EbError] = []
        for each in found:
            described = _descriptions(each)
            context = each.get(f"{{{EB}}}codeContext", "")
            errors.append(
                EbError(
                    code=each.get(f"{{{EB}}}errorCode", ""),
                    severity=_severity(each.get(f"{{{EB}}}severity", "")),
                    text=described[0].text if described else "",
                    location=each.get(f"{{{EB}}}location", ""),
                    context="" if context == ERROR_CONTEXT else context,
                    language=described[0].language if described else "en",
                )
            )
        return ErrorList(_severity(element.get(f"{{{EB}}}highestSeverity", "")), tuple(errors))

    def manifest(self, element: etree._Element) -> tuple[ManifestItem, ...]:
        """eb:Manifest (24). Whether its addresses can be resolved is judged elsewhere."""
        self.version(element)
        items: list[ManifestItem] = []
        for each in element.findall(f"{{{EB}}}Reference"):
            if each.get(f"{{{XLINK}}}type", "simple") != "simple":
                raise EbFault("ValueNotRecognized", "xlink:type is not simple", location=path_of(each))
            items.append(
                ManifestItem(
                    href=each.get(f"{{{XLINK}}}href", ""),
                    role=each.get(f"{{{XLINK}}}role", ""),
                    id=each.get(f"{{{EB}}}id", ""),
                    schemas=tuple(
                        Schema(schema.get(f"{{{EB}}}location", ""), schema.get(f"{{{EB}}}version", ""))
                        for schema in each.findall(f"{{{EB}}}Schema")
                    ),
                    descriptions=_descriptions(each),
                )
            )
        if len({item.href for item in items}) != len(items):
            raise EbFault("Inconsistent", "the Manifest names a part twice", location=path_of(element))
        return tuple(items)

    def status_request(self, element: etree._Element) -> StatusRequest:
        """eb:StatusRequest (52)."""
        self.version(element)
        return StatusRequest(self._identifier(_need(element, "RefToMessageId")))

    def status_response(self, element: etree._Element) -> StatusResponse:
        """eb:StatusResponse (52)."""
        self.version(element)
        status = cast("MessageStatus", element.get(f"{{{EB}}}messageStatus", "").strip())
        return StatusResponse(
            self._identifier(_need(element, "RefToMessageId")), status, self._optional_time(element, "Timestamp")
        )

    def _party(self, element: etree._Element) -> Party:
        ids = tuple(
            PartyId(self._identifier(each), each.get(f"{{{EB}}}type", ""))
            for each in element.findall(f"{{{EB}}}PartyId")
        )
        return Party(ids, self._optional(element, "Role"))

    def _service(self, element: etree._Element) -> Service:
        return Service(self._identifier(element), element.get(f"{{{EB}}}type", ""))

    def _identifier(self, element: etree._Element) -> str:
        text = _text(element)
        if not text:
            raise EbFault("ValueNotRecognized", "an identifier is blank", location=path_of(element))
        if len(text) > self.limits.identifier:
            text = f"an identifier has more than {self.limits.identifier} characters"
            raise EbFault("ValueNotRecognized", text, location=path_of(element))
        return text

    def _optional(self, element: etree._Element, name: str) -> str:
        child = _child(element, name)
        return "" if child is None else self._identifier(child)

    def _optional_time(self, element: etree._Element, name: str) -> datetime | None:
        child = _child(element, name)
        return None if child is None else self._time(child)

    def _time(self, element: etree._Element) -> datetime:
        """xs:dateTime (22); 24:00:00 is the next day's midnight, a time without zone UTC."""
        match = _DATE_TIME.fullmatch(_text(element))
        if match is None:
            raise EbFault("ValueNotRecognized", "a time cannot be read", location=path_of(element))
        date, hour, rest, zone = match.groups()
        if zone is None:
            self.deviation(TIME_WITHOUT_ZONE, "ValueNotRecognized", "a time has no zone", element)
        try:
            time = datetime.fromisoformat(f"{date}{'00' if hour == '24' else hour}{rest}{zone or '+00:00'}")
            time += timedelta(days=hour == "24")
            time.astimezone(UTC)
        except (ValueError, OverflowError):
            raise EbFault("ValueNotRecognized", "a time cannot be read", location=path_of(element)) from None
        return time


def references_of(element: etree._Element) -> tuple[SignedReference, ...]:
    """The ds:Reference children of a ds:SignedInfo or an eb:Acknowledgment."""
    found: list[SignedReference] = []
    for each in element.findall(f"{{{DS}}}Reference"):
        method = each.find(f"{{{DS}}}DigestMethod")
        value = each.find(f"{{{DS}}}DigestValue")
        found.append(
            SignedReference(
                uri=each.get("URI", ""),
                digest_method="" if method is None else method.get("Algorithm", ""),
                digest_value="" if value is None else "".join(_text(value).split()),
                xml=etree.tostring(each, with_tail=False),
            )
        )
    return tuple(found)


def _child(element: etree._Element, name: str) -> etree._Element | None:
    return next(element.iterchildren(f"{{{EB}}}{name}"), None)  # five times as fast as find()


def _need(element: etree._Element, name: str) -> etree._Element:
    child = _child(element, name)
    if child is None:
        raise EbFault("Inconsistent", f"eb:{name} is missing", location=path_of(element))
    return child


def _text(element: etree._Element) -> str:
    if len(element):
        raise EbFault("OtherXml", "a value is broken by something else", location=path_of(element))
    return (element.text or "").strip(" \t\r\n")


def _descriptions(element: etree._Element) -> tuple[Description, ...]:
    return tuple(
        Description(_text(each), each.get(f"{{{XML}}}lang", "")) for each in element.findall(f"{{{EB}}}Description")
    )


def _severity(text: str) -> Severity:
    return "Warning" if text.strip() == "Warning" else "Error"


def _msh_actor(element: etree._Element) -> str:
    actor = element.get(_ACTOR, TO_PARTY_MSH)
    if actor not in {NEXT_MSH, TO_PARTY_MSH}:
        raise EbFault("ValueNotRecognized", "the actor is neither nextMSH nor toPartyMSH", location=path_of(element))
    return actor
