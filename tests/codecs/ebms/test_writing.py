"""What we write: schema-valid, read back strictly by our own reader, the same bytes every time (spec section 10)."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from sekisho.codecs.ebms.names import ERROR_CONTEXT, NEXT_MSH, SOAP_NEXT
from sekisho.codecs.ebms.package import split
from sekisho.codecs.ebms.reading import read
from sekisho.codecs.ebms.values import (
    Acknowledgment,
    AckRequested,
    Description,
    EbError,
    EbFault,
    EbMessage,
    ErrorList,
    Kind,
    ManifestItem,
    Order,
    Party,
    PartyId,
    Payload,
    Schema,
    Service,
    SignedReference,
    StatusRequest,
    StatusResponse,
    SyncReply,
    Wire,
)
from sekisho.codecs.ebms.writing import soap_fault, write
from sekisho.codecs.ebms.xml import MESSAGE_SCHEMA

from .envelopes import BUSINESS, MESSAGE, MSH, NOW, PAYLOADS

SIGNAL = replace(
    BUSINESS,
    sender=BUSINESS.receiver,
    receiver=BUSINESS.sender,
    service=Service(MSH),
    message_id="a1@CENTRE.EXAMPLE",
    ref_to="m1@BROKER.EXAMPLE",
    duplicate_elimination=False,
    time_to_live=None,
    descriptions=(),
)
PART = SignedReference(
    "",
    "http://www.w3.org/2001/04/xmlenc#sha256",
    "QUJD",
    b'<ds:Reference xmlns:ds="http://www.w3.org/2000/09/xmldsig#" URI=""><ds:DigestMethod '
    b'Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue>QUJD</ds:DigestValue></ds:Reference>',
)
ACK = Acknowledgment(NOW, "m1@BROKER.EXAMPLE", BUSINESS.receiver, (PART,))
ERRORS = ErrorList(
    "Error",
    (
        EbError("Inconsistent", "Error", "why <&> ]]>", "/SOAP:Envelope"),
        EbError("MimeProblem", "Warning", context="urn:own"),
    ),
)
MANIFEST = tuple(
    ManifestItem(f"cid:{part.content_id}", "urn:role", f"p{number}", (Schema("urn:s", "1"),), (Description("d"),))
    for number, part in enumerate(PAYLOADS)
)
EVERY = {
    "business": replace(MESSAGE, ack_requested=AckRequested(signed=False), sync_reply=SyncReply(), manifest=MANIFEST),
    "next MSH": replace(MESSAGE, ack_requested=AckRequested(True, NEXT_MSH), manifest=MANIFEST),
    "ordered": EbMessage(BUSINESS, order=Order(0, "Reset")),
    "riding": EbMessage(replace(BUSINESS, ref_to="x"), acknowledgment=ACK, order=Order(12)),
    "acknowledgment": EbMessage(replace(SIGNAL, action="Acknowledgment"), acknowledgment=ACK),
    "error": EbMessage(replace(SIGNAL, action="MessageError"), errors=ERRORS),
    "ping": EbMessage(replace(SIGNAL, action="Ping", ref_to="")),
    "pong": EbMessage(replace(SIGNAL, action="Pong")),
    "status-request": EbMessage(replace(SIGNAL, action="StatusRequest"), status_request=StatusRequest("m@A.EXAMPLE")),
    "status-response": EbMessage(
        replace(SIGNAL, action="StatusResponse"), status_response=StatusResponse("m@A.EXAMPLE", "Received", NOW)
    ),
    "not recognized": EbMessage(
        replace(SIGNAL, action="StatusResponse"), status_response=StatusResponse("m@A.EXAMPLE", "NotRecognized")
    ),
}


def written(message: EbMessage) -> Wire:
    """A message, written without signature."""
    return write(message, boundary="b1", content_id="root@A.EXAMPLE")


@pytest.mark.parametrize("name", EVERY)
def test_everything_we_write_is_valid_and_read_back_strictly(name: str) -> None:
    """Strict on send: valid by the schema, no tolerance needed, nothing lost (section 10)."""
    message = EVERY[name]
    wire = written(message)
    root = etree.fromstring(split(wire.content_type, wire.body).soap)
    assert MESSAGE_SCHEMA.error(root) == ""
    back = read(wire.content_type, wire.body)
    assert back == message
    if name in get_args(Kind):
        assert back.kind == name
    assert written(message) == wire


@pytest.mark.parametrize("name", EVERY)
def test_attributes_are_qualified_and_must_understand_is_1(name: str) -> None:
    """All ebMS attributes are qualified (section 3); mustUnderstand is the literal 1 (15)."""
    wire = written(EVERY[name])
    root = etree.fromstring(split(wire.content_type, wire.body).soap)
    for element in root.iter("{*}*"):
        if "xmldsig" not in str(element.tag):
            assert all(str(key).startswith("{") for key in element.attrib)
    for block in root[0]:
        assert block.get("{http://schemas.xmlsoap.org/soap/envelope/}mustUnderstand") == "1"


def test_item_2_and_8_a_message_without_payload_is_text_xml() -> None:
    """Without payload plain text/xml is sent (2), charset stated (3)."""
    assert written(EVERY["ping"]).content_type == "text/xml; charset=UTF-8"


def test_item_1_and_4_the_package_of_a_message_with_payloads() -> None:
    """multipart/related, type, start; a Content-ID a part, which a Manifest names though none was given (1, 4)."""
    wire = written(MESSAGE)
    assert wire.content_type == 'multipart/related; type="text/xml"; boundary="b1"; start="<root@A.EXAMPLE>"'
    assert [item.href for item in read(*wire[:2]).manifest] == [f"cid:{part.content_id}" for part in PAYLOADS]


def test_item_22_times_are_written_in_utc() -> None:
    """xs:dateTime with a zone (22); milliseconds where there are any."""
    japan = timezone(timedelta(hours=9))
    header = replace(BUSINESS, timestamp=datetime(2025, 4, 1, 12, 0, 0, 125999, japan), time_to_live=None)
    assert b"<eb:Timestamp>2025-04-01T03:00:00.125Z<" in written(EbMessage(header)).body
    with pytest.raises(ValueError, match="zone"):
        written(EbMessage(replace(BUSINESS, timestamp=datetime(2025, 4, 1))))  # noqa: DTZ001


def test_item_54_the_standard_error_context_is_left_out() -> None:
    """The codeContext has a default (54); sync reply has the actor next (47)."""
    assert ERROR_CONTEXT.encode() not in written(EVERY["error"]).body
    assert f'soap:actor="{SOAP_NEXT}"'.encode() in written(EVERY["business"]).body


@pytest.mark.parametrize(
    "message",
    [
        replace(EVERY["acknowledgment"], ack_requested=AckRequested(signed=True)),
        replace(EVERY["acknowledgment"], header=replace(SIGNAL, action="Acknowledgment", duplicate_elimination=True)),
        replace(EVERY["acknowledgment"], header=replace(SIGNAL, action="Acknowledgment", ref_to="other")),
        replace(EVERY["acknowledgment"], acknowledgment=None),
        replace(EVERY["acknowledgment"], acknowledgment=replace(ACK, actor=SOAP_NEXT)),
        replace(EVERY["acknowledgment"], acknowledgment=replace(ACK, references=(replace(PART, xml=b"<x/>"),))),
        replace(EVERY["error"], errors=None),
        replace(EVERY["error"], errors=ErrorList("Error", ())),
        replace(EVERY["pong"], header=replace(SIGNAL, action="Pong", ref_to="")),
        replace(EVERY["ping"], header=replace(SIGNAL, action="Dance")),
        replace(EVERY["ping"], payloads=PAYLOADS),
        replace(EVERY["status-request"], status_request=None),
        replace(EVERY["status-request"], status_response=StatusResponse("m", "Received")),
        replace(EVERY["ordered"], sync_reply=SyncReply()),
        replace(MESSAGE, manifest=MANIFEST[:1]),
        replace(MESSAGE, payloads=PAYLOADS[:1], manifest=MANIFEST),
        replace(MESSAGE, payloads=(Payload("", "text/plain", b""),)),
        EbMessage(replace(BUSINESS, sender=Party(()))),
        EbMessage(replace(BUSINESS, sender=Party((PartyId(""),)))),
        EbMessage(replace(BUSINESS, conversation=" blank")),
        EbMessage(replace(BUSINESS, action="\x00")),
    ],
    ids=range(21),
)
def test_what_breaks_a_rule_is_not_written(message: EbMessage) -> None:
    """A message that its own receiver would have to refuse is our mistake: ValueError (33, 21, 54, 50)."""
    with pytest.raises(ValueError, match=r"[a-z]"):
        written(message)


TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn", "Co")), min_size=1, max_size=30).filter(
    lambda text: text == text.strip() and "\ufffe" not in text and "\uffff" not in text
)


@given(TEXT, TEXT, TEXT, st.binary(max_size=100))
def test_any_text_comes_back(conversation: str, action: str, description: str, content: bytes) -> None:
    """Text of any kind is escaped and comes back; so do the bytes of a payload."""
    header = replace(BUSINESS, conversation=conversation, action=action, descriptions=(Description(description),))
    message = EbMessage(header, payloads=(Payload("p@A.EXAMPLE", "text/plain", content),))
    back = read(*write(message, boundary="boundary-x1", content_id="root@A.EXAMPLE")[:2])
    assert (back.header, back.payloads) == (header, message.payloads)


def test_a_soap_fault() -> None:
    """A Fault of SOAP 1.1: code, text; what XML cannot hold is replaced; other codes are our mistake."""
    root = etree.fromstring(soap_fault("Client", "a < b & c\x00 incident 7f3a"))
    assert MESSAGE_SCHEMA.error(root) == ""
    assert root.findtext(".//faultstring") == "a < b & c\ufffd incident 7f3a"
    assert root.findtext(".//faultcode") == "SOAP:Client"
    with pytest.raises(EbFault) as caught:
        read("text/xml", soap_fault("Server", "x"))
    assert caught.value.soap_client
    with pytest.raises(ValueError, match="fault code"):
        soap_fault("Oops", "x")


def test_a_fault_becomes_an_error() -> None:
    """What a reader raises is what the answer says."""
    fault = EbFault("MimeProblem", "text", location="cid:a")
    assert fault.as_error() == EbError("MimeProblem", "Error", "text", "cid:a")
    assert not fault.soap_client
