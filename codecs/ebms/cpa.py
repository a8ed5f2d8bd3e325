"""Agreements: a CPA 2.0 document (OASIS ebXML CPPA), read into what a partner's profile needs.

*Strategy.* The document is parsed like a message (no DTD, no entity, bounded) and checked against the OASIS schema.
Then each party's actions are followed through their references (action to channel, channel to transport and document
exchange, certificate to KeyInfo), so that the reader of an :class:`Agreement` sees one flat :class:`Channel` for each
DeliveryChannel. Nothing is decided here: not which party is us, not whether the agreement is in force. What has no
place in a profile is listed by name, so that an import can say what it leaves out (spec section 11).
"""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeVar, cast

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate
from lxml import etree

from sekisho.codecs.ebms.names import CPA, DS, TO_PARTY_MSH, XLINK
from sekisho.codecs.ebms.values import LIMITS, EbFault, Limits, PartyId, Service
from sekisho.codecs.ebms.xml import AGREEMENT_SCHEMA, parse

__all__ = ["AgreedAction", "AgreedParty", "Agreement", "AgreementError", "Certificate", "Channel", "read_cpa"]

Often = Literal["always", "never", "perMessage"]
SyncReplyMode = Literal["none", "mshSignalsOnly", "signalsOnly", "responseOnly", "signalsAndResponse"]

_T = TypeVar("_T")
_TP: Final = f"{{{CPA}}}"
_DURATION: Final = re.compile(
    r"P(?:(\d{1,4})Y)?(?:(\d{1,4})M)?(?:(\d{1,6})D)?(?:T(?:(\d{1,7})H)?(?:(\d{1,9})M)?(?:(\d{1,9}(?:\.\d{1,9})?)S)?)?"
)
_UNMAPPED: Final = (
    ("tp:ConversationConstraints", "ConversationConstraints: how many conversations at once"),
    ("tp:Signature", "Signature: the agreement's own signature is not verified"),
    ("//tp:OverrideMshActionBinding", "OverrideMshActionBinding: a channel of its own for an MSH signal"),
    ("//tp:SenderDigitalEnvelope|//tp:ReceiverDigitalEnvelope", "DigitalEnvelope: encrypted payloads"),
    ("//tp:EncryptionAlgorithm", "EncryptionAlgorithm: the cipher of TLS or of payloads"),
    ("//tp:ApplicationCertificateRef", "ApplicationCertificateRef: a certificate of the application"),
    ("//tp:ApplicationSecurityDetailsRef", "ApplicationSecurityDetailsRef: trust of the application"),
    ("//tp:SecurityPolicy", "SecurityPolicy"),
    ("//tp:SignatureTransforms", "SignatureTransforms: payloads transformed before they are signed"),
    ("//tp:EncryptionTransforms", "EncryptionTransforms"),
    ("//tp:Constituent[@tp:excludedFromSignature='true']", "excludedFromSignature: our signatures cover every part"),
    ("//tp:NamespaceSupported", "NamespaceSupported: name spaces of payloads are not checked"),
    ("//@tp:timeToPerform|//@tp:timeToAcknowledgeReceipt", "timeTo...: times of the business"),
    ("//tp:Encapsulation", "Encapsulation: payloads wrapped in S/MIME"),
)


class AgreementError(ValueError):
    """The document is no agreement that can be read. The text may be shown to whoever brought it."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate of the agreement: its certId, the certificate in PEM, and from when to when it is valid."""

    id: str
    pem: bytes
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Channel:
    """A DeliveryChannel with the Transport and the DocExchange it points at.

    ``endpoints`` are (type, address) as written; ``url`` is the one for requests. ``retries``, ``retry_interval``,
    ``persist_duration`` and ``ordered`` are those of the sender binding, else of the receiver binding; None where the
    agreement is silent. ``signing_certificate`` is this party's own (certId); ``trusted`` are the certIds that its
    SecurityDetails name as anchors for the other side's signatures, ``tls_trusted`` those for the other side's TLS.
    """

    id: str
    sync_reply: SyncReplyMode
    ack: Often
    ack_signed: Often
    duplicate_elimination: Often
    ack_actor: str
    endpoints: tuple[tuple[str, str], ...]
    tls: bool
    authentication: tuple[str, ...]
    retries: int | None
    retry_interval: timedelta | None
    persist_duration: timedelta | None
    ordered: bool
    signs: bool
    wants_signature: bool
    hash_function: str
    signature_algorithms: tuple[str, ...]
    signing_certificate: str
    trusted: tuple[str, ...]
    client_certificate: str
    server_certificate: str
    tls_trusted: tuple[str, ...]

    @property
    def url(self) -> str:
        """Where requests go: the endpoint of type request, else allPurpose, else none."""
        of_type = dict(reversed(self.endpoints))
        return of_type.get("request", of_type.get("allPurpose", ""))


@dataclass(frozen=True, slots=True)
class AgreedAction:
    """An action that a party sends or receives, in a role, over channels (by id; the first is preferred).

    ``media_types`` are those of its payload parts in order. ``synchronous`` actions come back on the connection of the
    action they answer.
    """

    service: Service
    action: str
    direction: Literal["send", "receive"]
    role: str
    channels: tuple[str, ...]
    media_types: tuple[str, ...]
    signed: bool
    signed_receipt: bool
    synchronous: bool = False


@dataclass(frozen=True, slots=True)
class AgreedParty:
    """One of the two parties."""

    name: str
    ids: tuple[PartyId, ...]
    default_channel: str
    actions: tuple[AgreedAction, ...]
    channels: tuple[Channel, ...]
    certificates: tuple[Certificate, ...]

    def channel(self, name: str) -> Channel:
        """The channel of that id. Raises KeyError."""
        return {each.id: each for each in self.channels}[name]


@dataclass(frozen=True, slots=True)
class Agreement:
    """A CPA. ``start`` and ``end`` are aware; ``unmapped`` says what the document holds and this value does not."""

    cpa_id: str
    status: Literal["proposed", "agreed", "signed"]
    start: datetime
    end: datetime
    parties: tuple[AgreedParty, AgreedParty]
    unmapped: tuple[str, ...]


def read_cpa(document: bytes, limits: Limits = LIMITS) -> Agreement:
    """Read a CPA 2.0 document.

    Raises :class:`AgreementError` where it is not well-formed, not valid by its schema, larger than ``limits``, or
    points at something that is not there.
    """
    if len(document) > limits.soap_bytes:
        raise AgreementError(f"the document has more than {limits.soap_bytes} bytes")
    try:
        root = parse(document, "", limits)
    except EbFault as fault:
        raise AgreementError(fault.text) from None
    wrong = AGREEMENT_SCHEMA.error(root)
    if wrong:
        raise AgreementError(wrong)
    if root.tag != f"{_TP}CollaborationProtocolAgreement":
        raise AgreementError("the document is no CollaborationProtocolAgreement")
    unmapped = [text for path, text in _UNMAPPED if root.xpath(path, namespaces={"tp": CPA})]
    packages = _packages(root)
    first, second = (_party(element, packages, unmapped) for element in root.findall(f"{_TP}PartyInfo"))
    return Agreement(
        cpa_id=_get(root, "cpaid"),
        status=cast('Literal["proposed", "agreed", "signed"]', _get(_one(root, "Status"), "value")),
        start=_time(_one(root, "Start"), unmapped),
        end=_time(_one(root, "End"), unmapped),
        parties=(first, second),
        unmapped=tuple(dict.fromkeys(unmapped)),
    )


def _party(element: etree._Element, packages: dict[str, tuple[str, ...]], unmapped: list[str]) -> AgreedParty:
    certificates = [
        found for each in element.findall(f"{_TP}Certificate") if (found := _certificate(each, unmapped)) is not None
    ]
    transports = {_get(each, "transportId"): each for each in element.findall(f"{_TP}Transport")}
    exchanges = {_get(each, "docExchangeId"): each for each in element.findall(f"{_TP}DocExchange")}
    anchors = {
        _get(each, "securityId"): tuple(_get(ref, "certId") for ref in each.iter(f"{_TP}AnchorCertificateRef"))
        for each in element.findall(f"{_TP}SecurityDetails")
    }
    channels = tuple(
        _channel(
            each,
            _at(transports, _get(each, "transportId")),
            _at(exchanges, _get(each, "docExchangeId")),
            anchors,
            unmapped,
        )
        for each in element.findall(f"{_TP}DeliveryChannel")
    )
    actions = tuple(
        action
        for role in element.findall(f"{_TP}CollaborationRole")
        for action in _actions(role, packages, {channel.id for channel in channels})
    )
    return AgreedParty(
        name=_get(element, "partyName"),
        ids=tuple(PartyId(_text(each), _get(each, "type")) for each in element.findall(f"{_TP}PartyId")),
        default_channel=_get(element, "defaultMshChannelId"),
        actions=actions,
        channels=channels,
        certificates=tuple(certificates),
    )


def _actions(role: etree._Element, packages: dict[str, tuple[str, ...]], channels: set[str]) -> list[AgreedAction]:
    name = _get(_one(role, "Role"), "name")
    binding = _one(role, "ServiceBinding")
    service = Service(_text(_one(binding, "Service")), _get(_one(binding, "Service"), "type"))
    found: list[AgreedAction] = []
    for each in binding.iter(f"{_TP}CanSend", f"{_TP}CanReceive"):
        bound = _one(each, "ThisPartyActionBinding")
        traits = _one(bound, "BusinessTransactionCharacteristics")
        over = tuple(_text(channel) for channel in bound.findall(f"{_TP}ChannelId"))
        if not channels.issuperset(over):
            raise AgreementError("an action names a channel that is not there")
        found.append(
            AgreedAction(
                service=service,
                action=_get(bound, "action"),
                direction="send" if each.tag == f"{_TP}CanSend" else "receive",
                role=name,
                channels=over,
                media_types=_at(packages, _get(bound, "packageId")),
                signed=_flag(traits, "isNonRepudiationRequired"),
                signed_receipt=_flag(traits, "isNonRepudiationReceiptRequired"),
                synchronous=each.getparent() is not binding,
            )
        )
    return found


def _channel(
    element: etree._Element,
    transport: etree._Element,
    exchange: etree._Element,
    anchors: dict[str, tuple[str, ...]],
    unmapped: list[str],
) -> Channel:
    traits = _one(element, "MessagingCharacteristics")
    sends = exchange.find(f"{_TP}ebXMLSenderBinding")
    takes = exchange.find(f"{_TP}ebXMLReceiverBinding")
    binding = sends if sends is not None else takes
    if any(_text(each).upper() != "HTTP" for each in transport.iter(f"{_TP}TransportProtocol")):
        unmapped.append("TransportProtocol: another than HTTP")
    reliable = None if binding is None else binding.find(f"{_TP}ReliableMessaging")
    signing = exchange.find(f"{_TP}ebXMLSenderBinding/{_TP}SenderNonRepudiation")
    wanting = exchange.find(f"{_TP}ebXMLReceiverBinding/{_TP}ReceiverNonRepudiation")
    named = signing if signing is not None else wanting
    retries = "" if reliable is None else _text(reliable.find(f"{_TP}Retries"))
    return Channel(
        id=_get(element, "channelId"),
        sync_reply=cast("SyncReplyMode", _get(traits, "syncReplyMode") or "none"),
        ack=cast("Often", _get(traits, "ackRequested") or "perMessage"),
        ack_signed=cast("Often", _get(traits, "ackSignatureRequested") or "perMessage"),
        duplicate_elimination=cast("Often", _get(traits, "duplicateElimination") or "perMessage"),
        ack_actor=_get(traits, "actor") or TO_PARTY_MSH,
        endpoints=tuple(
            (_get(each, "type") or "allPurpose", _get(each, "uri")) for each in transport.iter(f"{_TP}Endpoint")
        ),
        tls=any(True for _ in transport.iter(f"{_TP}TransportServerSecurity", f"{_TP}TransportClientSecurity")),
        authentication=tuple(dict.fromkeys(_text(each) for each in transport.iter(f"{_TP}AccessAuthentication"))),
        retries=max(0, int(retries)) if retries and len(retries) < 10 else None,
        retry_interval=_duration(None if reliable is None else reliable.find(f"{_TP}RetryInterval"), unmapped),
        persist_duration=_duration(None if binding is None else binding.find(f"{_TP}PersistDuration"), unmapped),
        ordered=reliable is not None and _text(reliable.find(f"{_TP}MessageOrderSemantics")) == "Guaranteed",
        signs=signing is not None,
        wants_signature=wanting is not None,
        hash_function="" if named is None else _text(named.find(f"{_TP}HashFunction")),
        signature_algorithms=()
        if named is None
        else tuple(_get(each, "w3c") or _text(each) for each in named.findall(f"{_TP}SignatureAlgorithm")),
        signing_certificate=_reference(exchange, "SigningCertificateRef", "certId"),
        trusted=_anchors(anchors, _reference(exchange, "SigningSecurityDetailsRef", "securityId")),
        client_certificate=_reference(transport, "ClientCertificateRef", "certId"),
        server_certificate=_reference(transport, "ServerCertificateRef", "certId"),
        tls_trusted=_anchors(anchors, _reference(transport, "ClientSecurityDetailsRef", "securityId"))
        + _anchors(anchors, _reference(transport, "ServerSecurityDetailsRef", "securityId")),
    )


def _packages(root: etree._Element) -> dict[str, tuple[str, ...]]:
    """The media types of each Packaging's payload parts, by its id: its outermost Composite without the SOAP part."""
    parts = {_get(each, "id"): _get(each, "mimetype") for each in root.findall(f"{_TP}SimplePart")}
    packages: dict[str, tuple[str, ...]] = {}
    for package in root.findall(f"{_TP}Packaging"):
        composites = list(package.iter(f"{_TP}Composite"))
        used = [_get(each, "idref") for each in composites[-1].iter(f"{_TP}Constituent")] if composites else []
        packages[_get(package, "id")] = tuple(parts[each] for each in used if each in parts)[1:]
    return packages


def _certificate(element: etree._Element, unmapped: list[str]) -> Certificate | None:
    shown = element.find(f"{{{DS}}}KeyInfo/{{{DS}}}X509Data/{{{DS}}}X509Certificate")
    name = _get(element, "certId")
    if shown is None:
        unmapped.append(f"Certificate {name}: holds no X509Certificate")
        return None
    try:
        certificate = load_der_x509_certificate(b64decode("".join((shown.text or "").split())))
        pem = certificate.public_bytes(Encoding.PEM)
    except ValueError:
        unmapped.append(f"Certificate {name}: cannot be read")
        return None
    return Certificate(name, pem, certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def _duration(element: etree._Element | None, unmapped: list[str]) -> timedelta | None:
    """xs:duration; a year counts as 365 days and a month as 30, and that is told."""
    if element is None:
        return None
    match = _DURATION.fullmatch(_text(element))
    if match is None:
        unmapped.append(f"{etree.QName(element).localname}: a duration that is not read")
        return None
    years, months, days, hours, minutes, seconds = (float(each or 0) for each in match.groups())
    if years or months:
        unmapped.append(f"{etree.QName(element).localname}: years count as 365 days, months as 30")
    return timedelta(days=years * 365 + months * 30 + days, hours=hours, minutes=minutes, seconds=seconds)


def _time(element: etree._Element, unmapped: list[str]) -> datetime:
    try:
        time = datetime.fromisoformat(_text(element))
    except ValueError:
        raise AgreementError(f"{etree.QName(element).localname}: a time that is not read") from None
    if time.tzinfo is None:
        unmapped.append(f"{etree.QName(element).localname}: a time without zone, read as UTC")
        return time.replace(tzinfo=UTC)
    return time


def _reference(element: etree._Element, name: str, attribute: str) -> str:
    return next((_get(each, attribute) for each in element.iter(f"{_TP}{name}")), "")


def _anchors(anchors: dict[str, tuple[str, ...]], name: str) -> tuple[str, ...]:
    return _at(anchors, name) if name else ()


def _at(table: dict[str, _T], name: str) -> _T:
    if name not in table:
        raise AgreementError(f"the document points at {name[:100]!r}, which is not there")
    return table[name]


def _one(element: etree._Element, name: str) -> etree._Element:
    found = element.find(f"{_TP}{name}")
    if found is None:
        raise AgreementError(f"{name} is missing")
    return found


def _get(element: etree._Element, name: str) -> str:
    space = XLINK if name == "href" else CPA
    return element.get(f"{{{space}}}{name}", "").strip()


def _flag(element: etree._Element, name: str) -> bool:
    return _get(element, name) in {"true", "1"}


def _text(element: etree._Element | None) -> str:
    return "" if element is None else (element.text or "").strip()
