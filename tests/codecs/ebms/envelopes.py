"""Envelopes in the shapes of real peers with invented values, keys made for the run, and what most tests start from."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from sekisho.codecs.ebms.values import (
    Description,
    EbMessage,
    Header,
    Party,
    PartyId,
    Payload,
    Service,
)

NOW = datetime(2025, 4, 1, 3, 0, tzinfo=UTC)
SPACES = (
    'xmlns:SOAP="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'xmlns:eb="http://www.oasis-open.org/committees/ebxml-msg/schema/msg-header-2_0.xsd" '
    'xmlns:ds="http://www.w3.org/2000/09/xmldsig#"'
)
MARKS = 'eb:version="2.0" SOAP:mustUnderstand="1"'
TO_PARTY = "urn:oasis:names:tc:ebxml-msg:actor:toPartyMSH"
NEXT_MSH = "urn:oasis:names:tc:ebxml-msg:actor:nextMSH"
SOAP_NEXT = "http://schemas.xmlsoap.org/soap/actor/next"
MSH = "urn:oasis:names:tc:ebxml-msg:service"

BUSINESS = Header(
    sender=Party((PartyId("urn:sekisho:party:BROKER.EXAMPLE"),), "Declarant"),
    receiver=Party((PartyId("CENTRE", "urn:sekisho:type"),), "Centre"),
    cpa_id="CPA-1",
    conversation="conversation-1",
    service=Service("declarations", "urn:sekisho:services"),
    action="Submit",
    message_id="m1@BROKER.EXAMPLE",
    timestamp=NOW,
    time_to_live=NOW + timedelta(days=1),
    duplicate_elimination=True,
    descriptions=(Description("申告", "ja"),),
)
PAYLOADS = (
    Payload("one@BROKER.EXAMPLE", "text/plain; charset=EUC-JP", b"   OLA \xa4\xa2\r\n"),
    Payload("two@BROKER.EXAMPLE", "application/xml", b"<x/>"),
)
MESSAGE = EbMessage(BUSINESS, payloads=PAYLOADS)


def header_xml(
    *,
    marks: str = MARKS,
    sender: str = "<eb:PartyId>urn:sekisho:party:BROKER.EXAMPLE</eb:PartyId><eb:Role>Declarant</eb:Role>",
    service: str = '<eb:Service eb:type="urn:sekisho:services">declarations</eb:Service>',
    action: str = "Submit",
    message_id: str = "m1@BROKER.EXAMPLE",
    timestamp: str = "2025-04-01T12:00:00+09:00",
    data: str = "",
    rest: str = "",
) -> str:
    """An eb:MessageHeader."""
    return (
        f"<eb:MessageHeader {marks}><eb:From>{sender}</eb:From><eb:To>"
        '<eb:PartyId eb:type="urn:sekisho:type">CENTRE</eb:PartyId></eb:To><eb:CPAId>CPA-1</eb:CPAId>'
        f"<eb:ConversationId>conversation-1</eb:ConversationId>{service}<eb:Action>{action}</eb:Action>"
        f"<eb:MessageData><eb:MessageId>{message_id}</eb:MessageId><eb:Timestamp>{timestamp}</eb:Timestamp>{data}"
        f"</eb:MessageData>{rest}</eb:MessageHeader>"
    )


REF_TO = "<eb:RefToMessageId>m0@CENTRE.EXAMPLE</eb:RefToMessageId>"


def signal_xml(action: str, data: str = REF_TO, rest: str = "") -> str:
    """The MessageHeader of a message of the MSH service."""
    return header_xml(service=f"<eb:Service>{MSH}</eb:Service>", action=action, data=data, rest=rest)


def envelope(blocks: str = "", body: str = "", *, attributes: str = "") -> bytes:
    """A SOAP Envelope with these header blocks (a MessageHeader alone if none are given) and this Body."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<SOAP:Envelope {SPACES} {attributes}><SOAP:Header>'
        f"{blocks or header_xml()}</SOAP:Header><SOAP:Body>{body}</SOAP:Body></SOAP:Envelope>"
    ).encode()


def manifest(*hrefs: str) -> str:
    """An eb:Manifest."""
    items = "".join(f'<eb:Reference xlink:type="simple" xlink:href="{href}"/>' for href in hrefs)
    return f'<eb:Manifest eb:version="2.0">{items}</eb:Manifest>'


def multipart(
    soap: bytes, *parts: tuple[str, bytes], boundary: str = "b1", root: str = "root@A.EXAMPLE"
) -> tuple[str, bytes]:
    """A package of a SOAP part and (header fields, content) parts."""
    body = f"--{boundary}\r\nContent-Type: text/xml; charset=UTF-8\r\nContent-ID: <{root}>\r\n\r\n".encode() + soap
    for fields, content in parts:
        body += f"\r\n--{boundary}\r\n{fields}\r\n\r\n".encode() + content
    body += f"\r\n--{boundary}--\r\n".encode()
    return f'multipart/related; type="text/xml"; boundary="{boundary}"; start="<{root}>"', body


@dataclass(frozen=True)
class Identity:
    """A key and its certificate, both PEM."""

    key: bytes
    certificate: bytes


@cache
def identity(name: str, kind: str = "rsa", days: int = 365) -> Identity:
    """A self-signed identity, valid from a day before NOW for ``days``; made once a run."""
    key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW - timedelta(days=1) + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    return Identity(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain),
        certificate.public_bytes(serialization.Encoding.PEM),
    )
