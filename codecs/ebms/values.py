"""What an ebMS 2.0 message says, as values.

*Strategy.* One frozen value a block of the message (spec: OASIS ebXML Message Service 2.0; element names in the
docstrings), so that the message service handler never touches XML: it reads a message into an :class:`EbMessage`,
decides, and hands an :class:`EbMessage` to be written. What is wrong is an :class:`EbFault`, which knows the ebMS error
code, its location, and whether the sender is answered with a MessageError or with a plain SOAP Fault.

The doors of the package:

- ``reading.read(content_type, body, tolerances=..., limits=...) -> EbMessage`` (``package.split`` before it, if the
  parts are wanted alone) raises :class:`EbFault`
- ``signing.Verifier(certificates, allow_sha1=..., allow_missing_xpath=...).verify(message, now=...)`` raises
  :class:`EbFault` with SecurityFailure
- ``writing.write(message, boundary=..., content_id=..., signer=None) -> Wire``; ``writing.soap_fault(code, text)``
- ``signing.Signer(key_pem, certificate_pem)``; ``signing.same_references(ours, theirs)``
- ``cpa.read_cpa(document) -> Agreement``

Nothing here has a clock or makes an id: time stamps, message ids, boundaries and Content-IDs are the caller's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, NamedTuple
from urllib.parse import unquote

from sekisho.codecs.ebms.names import (
    ACKNOWLEDGMENT,
    MESSAGE_ERROR,
    MSH_SERVICE,
    PING,
    PONG,
    STATUS_REQUEST,
    STATUS_RESPONSE,
    TO_PARTY_MSH,
)

__all__ = [
    "LIMITS",
    "AckRequested",
    "Acknowledgment",
    "Description",
    "EbError",
    "EbFault",
    "EbMessage",
    "ErrorCode",
    "ErrorList",
    "Finding",
    "Header",
    "Kind",
    "Limits",
    "ManifestItem",
    "MessageStatus",
    "Order",
    "Party",
    "PartyId",
    "Payload",
    "Schema",
    "Service",
    "Severity",
    "SignedReference",
    "StatusRequest",
    "StatusResponse",
    "SyncReply",
    "Wire",
]

Kind = Literal["acknowledgment", "error", "ping", "pong", "status-request", "status-response", "business"]
"""What a message is, told by Service and Action."""
Severity = Literal["Warning", "Error"]
MessageStatus = Literal["UnAuthorized", "NotRecognized", "Received", "Processed", "Forwarded"]
ErrorCode = Literal[
    "ValueNotRecognized",
    "NotSupported",
    "Inconsistent",
    "OtherXml",
    "DeliveryFailure",
    "TimeToLiveExpired",
    "SecurityFailure",
    "MimeProblem",
    "Unknown",
]
"""The error codes of ebMS 2.0 (checklist 55)."""

_KINDS: Final[dict[str, Kind]] = {
    ACKNOWLEDGMENT: "acknowledgment",
    MESSAGE_ERROR: "error",
    PING: "ping",
    PONG: "pong",
    STATUS_REQUEST: "status-request",
    STATUS_RESPONSE: "status-response",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a message may cost. Every number is a setting; the defaults give their reasons."""

    soap_bytes: int = 1_048_576
    """The SOAP part. Real ones have 1 to 10 KB; a Manifest of 1,000 parts has 200 KB."""
    attributes: int = 256
    """Attributes of one element, and name space declarations of the whole SOAP part. Real messages have under 20."""
    depth: int = 64
    """Elements inside each other. Real messages have 8; libxml2 itself stops at 256."""
    elements: int = 20_000
    """Elements of the SOAP part. A Manifest of 1,000 parts with descriptions and signature has under 15,000."""
    identifier: int = 1_024
    """Characters of an id, a party, a role, a service, an action: they become keys of the store."""
    parts: int = 1_000
    """MIME parts, the SOAP part counted."""
    part_header_bytes: int = 8_192
    """The header block of one MIME part. Real ones have under 400 bytes."""
    part_bytes: int = 12_582_912
    """One payload, decoded: the whole message's bound unless a partner's is set lower (``max_part``)."""


LIMITS: Final = Limits()
"""The defaults."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A deviation that was read anyway. ``name`` is a tolerance (``names.TOLERANCES``) or a note (``names.NOTES``)."""

    name: str
    text: str
    location: str = ""


@dataclass(frozen=True, slots=True)
class PartyId:
    """eb:PartyId. Without a ``type`` the value is a URI (checklist 16)."""

    value: str
    type: str = ""


@dataclass(frozen=True, slots=True)
class Party:
    """eb:From or eb:To: one PartyId or more, perhaps a Role."""

    ids: tuple[PartyId, ...]
    role: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """eb:Service. Without a ``type`` the value is a URI (checklist 16)."""

    value: str
    type: str = ""


@dataclass(frozen=True, slots=True)
class Description:
    """eb:Description. ``language`` is xml:lang, empty where a tolerated sender left it out."""

    text: str
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Header:
    """eb:MessageHeader.

    ``timestamp`` and ``time_to_live`` are aware; a time without zone is read as UTC (a tolerance).
    ``timestamp_text`` is the Timestamp as it came; it is not written. ``ref_to`` is RefToMessageId, empty when absent.
    """

    sender: Party
    receiver: Party
    cpa_id: str
    conversation: str
    service: Service
    action: str
    message_id: str
    timestamp: datetime
    ref_to: str = ""
    time_to_live: datetime | None = None
    duplicate_elimination: bool = False
    descriptions: tuple[Description, ...] = ()
    timestamp_text: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class AckRequested:
    """eb:AckRequested: the sender wants an Acknowledgment, ``signed`` or not, of the MSH named by ``actor``.

    ``actor`` is ``names.TO_PARTY_MSH`` (also when the attribute is absent, checklist 29) or ``names.NEXT_MSH``.
    """

    signed: bool
    actor: str = TO_PARTY_MSH


@dataclass(frozen=True, slots=True)
class SignedReference:
    """A ds:Reference: the URI (``""`` or ``cid:...``), digest method URI, digest (base64 as it stands, no white space).

    ``xml`` is the element itself, for a signed acknowledgment to copy (checklist 34).
    """

    uri: str
    digest_method: str
    digest_value: str
    xml: bytes = field(default=b"", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Acknowledgment:
    """eb:Acknowledgment of the message ``ref_to``; ``references`` are the digests of what was received."""

    timestamp: datetime
    ref_to: str
    sender: Party | None = None
    references: tuple[SignedReference, ...] = ()
    actor: str = TO_PARTY_MSH


@dataclass(frozen=True, slots=True)
class SyncReply:
    """eb:SyncReply: the sender wants its answer in the HTTP response. Its actor is always SOAP's ``next``."""


@dataclass(frozen=True, slots=True)
class Order:
    """eb:MessageOrder: the number in its conversation; ``Reset`` begins a sequence (then ``sequence`` is 0)."""

    sequence: int
    status: Literal["Reset", "Continue"] = "Continue"


@dataclass(frozen=True, slots=True)
class EbError:
    """eb:Error. ``code`` is one of :data:`ErrorCode` in what we write; peers have codes of their own.

    ``location`` is a path or ``cid:`` of what is wrong. ``context`` is codeContext, empty for the standard one.
    """

    code: str
    severity: Severity
    text: str = ""
    location: str = ""
    context: str = ""
    language: str = "en"


@dataclass(frozen=True, slots=True)
class ErrorList:
    """eb:ErrorList. ``errors`` is empty only where that was tolerated."""

    highest: Severity
    errors: tuple[EbError, ...]


@dataclass(frozen=True, slots=True)
class Schema:
    """eb:Schema of a Manifest's Reference. Never fetched."""

    location: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class ManifestItem:
    """eb:Reference of the eb:Manifest. ``href`` is ``cid:`` and a payload's Content-ID, or an external address."""

    href: str
    role: str = ""
    id: str = ""
    schemas: tuple[Schema, ...] = ()
    descriptions: tuple[Description, ...] = ()


@dataclass(frozen=True, slots=True)
class StatusRequest:
    """eb:StatusRequest about the message ``ref_to``."""

    ref_to: str


@dataclass(frozen=True, slots=True)
class StatusResponse:
    """eb:StatusResponse. ``timestamp`` is when the message was received, None where that is not known."""

    ref_to: str
    status: MessageStatus
    timestamp: datetime | None = None


@dataclass(frozen=True, slots=True)
class Payload:
    """A MIME part beside the SOAP part.

    ``content_id`` has no angle brackets; empty when the part has none (never so in what we write).
    ``content_type`` is as sent, with parameters. ``transfer_encoding`` says how it came (lower case); ``content`` is
    decoded already.
    """

    content_id: str
    content_type: str
    content: bytes = field(repr=False)
    transfer_encoding: str = "binary"


@dataclass(frozen=True, slots=True)
class EbMessage:
    """An ebMS message, read or to be written.

    ``is_signed`` and ``digests`` tell of the signature that is there; whether it is good ``Verifier.verify`` says.
    ``findings`` are the deviations that were read anyway. ``document`` is the parsed SOAP Envelope, for the verifier:
    the very elements that these values were read from (so no wrapped copy can be verified in their stead). It may be
    dropped with ``dataclasses.replace(message, document=None)`` once the signature is judged.
    """

    header: Header
    ack_requested: AckRequested | None = None
    acknowledgment: Acknowledgment | None = None
    sync_reply: SyncReply | None = None
    order: Order | None = None
    errors: ErrorList | None = None
    manifest: tuple[ManifestItem, ...] = ()
    status_request: StatusRequest | None = None
    status_response: StatusResponse | None = None
    payloads: tuple[Payload, ...] = ()
    is_signed: bool = False
    digests: tuple[SignedReference, ...] = ()
    findings: tuple[Finding, ...] = ()
    document: object = field(default=None, compare=False, repr=False)

    @property
    def kind(self) -> Kind:
        """What it is: Service and Action decide, not the blocks that ride along."""
        if self.header.service.value != MSH_SERVICE:
            return "business"
        return _KINDS.get(self.header.action, "business")

    def payload(self, href: str) -> Payload | None:
        """The part that a ``cid:`` address names (percent-encoded or not, RFC 2392); None when there is none."""
        name = href.removeprefix("cid:")
        if name == href or not name:
            return None
        for wanted in (name, unquote(name)):
            for payload in self.payloads:
                if payload.content_id == wanted:
                    return payload
        return None


class Wire(NamedTuple):
    """A message as it leaves: the HTTP Content-Type, the body, and what the signature covers (empty if unsigned).

    ``digests`` are kept with the sent message: a signed acknowledgment must name the same (spec section 6).
    """

    content_type: str
    body: bytes
    digests: tuple[SignedReference, ...] = ()


class EbFault(Exception):
    """A message that is not acceptable.

    ``code``, ``severity``, ``location`` and ``text`` become the eb:Error of the answer; the text is public. When
    ``soap_code`` is filled (``Client``, ``VersionMismatch``, ``MustUnderstand``) the answer is a SOAP Fault with HTTP
    status 500 instead, because nothing that could be answered was read. ``header`` is the MessageHeader where it was
    read before the fault was found (for RefToMessageId, ConversationId and the parties), else None.
    """

    def __init__(
        self,
        code: ErrorCode,
        text: str,
        *,
        location: str = "",
        severity: Severity = "Error",
        soap_code: str = "",
        header: Header | None = None,
    ) -> None:
        super().__init__(f"{code}: {text}" + (f" ({location})" if location else ""))
        self.code: ErrorCode = code
        self.text = text
        self.location = location
        self.severity: Severity = severity
        self.soap_code = soap_code
        self.header = header

    @property
    def soap_client(self) -> bool:
        """Whether a SOAP Fault answers this, not a MessageError."""
        return bool(self.soap_code)

    def as_error(self) -> EbError:
        """The eb:Error that says this."""
        return EbError(code=self.code, severity=self.severity, text=self.text, location=self.location)
