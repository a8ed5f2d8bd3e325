"""Messages in the shapes that real peers send (spec section 12), with invented values: each gets the right verdict."""

import pytest

from sekisho.codecs.ebms.names import BARE_MESSAGE_ID, MISSING_LANGUAGE, MUST_UNDERSTAND_TRUE, TIME_WITHOUT_ZONE
from sekisho.codecs.ebms.reading import read
from sekisho.codecs.ebms.values import AckRequested, EbFault

EB = "http://www.oasis-open.org/committees/ebxml-msg/schema/msg-header-2_0.xsd"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"

EBMS_CORE = f"""<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<soap:Envelope xmlns:soap="{SOAP}" xmlns:xlink="http://www.w3.org/1999/xlink" xmlns="{EB}" xmlns:ns4="{EB}">
<soap:Header><MessageHeader ns4:version="2.0" soap:mustUnderstand="1"><From>
<PartyId ns4:type="urn:example:oin">00000000000000000001</PartyId><Role>DUMMY_SENDER</Role></From><To>
<PartyId ns4:type="urn:example:oin">00000000000000000002</PartyId><Role>DUMMY_RECEIVER</Role></To>
<CPAId>cpa_example_url</CPAId><ConversationId>e0e0c5c4-0000-4000-8000-000000000001</ConversationId>
<Service ns4:type="urn:example:services">order:1:0</Service><Action>create</Action><MessageData>
<MessageId>8f7c5f0e-0000-4000-8000-000000000002@sender.EXAMPLE</MessageId><Timestamp>2025-04-01T03:00:00.123Z</Timestamp>
<TimeToLive>2025-04-01T03:30:00Z</TimeToLive></MessageData><DuplicateElimination/></MessageHeader>
<AckRequested ns4:version="2.0" soap:mustUnderstand="1" soap:actor="urn:oasis:names:tc:ebxml-msg:actor:toPartyMSH"
 ns4:signed="false"/></soap:Header><soap:Body><Manifest ns4:version="2.0"><Reference xlink:type="simple"
 xlink:href="cid:1"/></Manifest></soap:Body></soap:Envelope>"""

NHS = f"""<?xml version="1.0" encoding="UTF-8"?>
<SOAP:Envelope xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:SOAP="{SOAP}" xmlns:eb="{EB}"
 xmlns:hl7ebxml="urn:hl7-org:transport/ebXML/DSTUv1.0" xmlns:xlink="http://www.w3.org/1999/xlink">
  <SOAP:Header><eb:MessageHeader eb:version="2.0" SOAP:mustUnderstand="1">
      <eb:From><eb:PartyId eb:type="urn:example:partyType:ebXML">EXAMPLE-0000806</eb:PartyId></eb:From>
      <eb:To><eb:PartyId eb:type="urn:example:partyType:ebXML">EXAMPLE-0000807</eb:PartyId></eb:To>
      <eb:CPAId>S1001A0000</eb:CPAId><eb:ConversationId>79F49A34-0000-4000-8000-000000000001</eb:ConversationId>
      <eb:Service>urn:example:names:services:gp2gp</eb:Service><eb:Action>RCMR_IN010000UK05</eb:Action>
      <eb:MessageData><eb:MessageId>79F49A34-0000-4000-8000-000000000002</eb:MessageId>
        <eb:Timestamp>2025-04-01T03:00:00</eb:Timestamp></eb:MessageData><eb:DuplicateElimination/>
    </eb:MessageHeader>
    <eb:AckRequested SOAP:mustUnderstand="1" eb:version="2.0" eb:signed="false"
      SOAP:actor="urn:oasis:names:tc:ebxml-msg:actor:nextMSH"/></SOAP:Header>
  <SOAP:Body><eb:Manifest eb:version="2.0"><eb:Reference xlink:href="cid:hl7@EXAMPLE" eb:id="_FE6A40B9">
      <eb:Description xml:lang="en-GB">payload</eb:Description>
      <hl7ebxml:Payload style="HL7" encoding="XML" version="3.0"/></eb:Reference></eb:Manifest></SOAP:Body>
</SOAP:Envelope>"""

NAV = f"""<SOAP-ENV:Envelope xmlns:SOAP-ENV="{SOAP}" xmlns:eb="{EB}"><SOAP-ENV:Header>
<eb:MessageHeader eb:version="2.0" SOAP-ENV:mustUnderstand="true" eb:id="ID1"><eb:From>
<eb:PartyId eb:type="HER">1</eb:PartyId>
<eb:Role>Lege</eb:Role></eb:From><eb:To><eb:PartyId eb:type="HER">2</eb:PartyId><eb:Role>Utleverer</eb:Role></eb:To>
<eb:CPAId>example:12345</eb:CPAId><eb:ConversationId>c1</eb:ConversationId>
<eb:Service>urn:oasis:names:tc:ebxml-msg:service</eb:Service><eb:Action>MessageError</eb:Action><eb:MessageData>
<eb:MessageId>e1@nav.EXAMPLE</eb:MessageId><eb:Timestamp>2025-04-01T03:00:00Z</eb:Timestamp>
<eb:RefToMessageId>m1@BROKER.EXAMPLE</eb:RefToMessageId></eb:MessageData></eb:MessageHeader>
<eb:ErrorList eb:version="2.0" SOAP-ENV:mustUnderstand="true" eb:highestSeverity="Error"><eb:Error
 eb:codeContext="urn:oasis:names:tc:ebxml-msg:service:errors" eb:errorCode="ValueNotRecognized" eb:severity="Error"
 eb:location="//eb:MessageHeader/eb:CPAId"><eb:Description>Unknown CPA</eb:Description></eb:Error></eb:ErrorList>
</SOAP-ENV:Header><SOAP-ENV:Body/></SOAP-ENV:Envelope>"""

HERMES = f"""<?xml version="1.0" encoding="UTF-8"?>
<soap-env:Envelope xmlns:soap-env="{SOAP}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:schemaLocation="{SOAP} http://www.oasis-open.org/committees/ebxml-msg/schema/envelope.xsd"><soap-env:Header
 xmlns:eb="{EB}" xsi:schemaLocation="{EB} {EB}"><eb:MessageHeader xmlns:eb="{EB}" soap-env:mustUnderstand="1"
 eb:version="2.0" eb:id="header"><eb:From><eb:PartyId eb:type="type1">party1</eb:PartyId></eb:From><eb:To>
<eb:PartyId eb:type="type2">party2</eb:PartyId></eb:To><eb:CPAId>cpaid</eb:CPAId>
<eb:ConversationId>convId</eb:ConversationId>
<eb:Service>http://localhost.EXAMPLE:8080/corvus/httpd/ebms/inbound</eb:Service>
<eb:Action>action</eb:Action><eb:MessageData>
<eb:MessageId>20250401-030000-00100@127.0.0.1</eb:MessageId><eb:Timestamp>2025-04-01T03:00:00.001Z</eb:Timestamp>
</eb:MessageData></eb:MessageHeader><eb:SyncReply soap-env:mustUnderstand="1" eb:version="2.0"
 soap-env:actor="http://schemas.xmlsoap.org/soap/actor/next"/></soap-env:Header><soap-env:Body
 xmlns:xlink="http://www.w3.org/1999/xlink"><eb:Manifest xmlns:eb="{EB}" eb:version="2.0"><eb:Reference
 xlink:type="simple" xlink:href="cid:payload-0" xlink:role="http://www.EXAMPLE/r"/></eb:Manifest></soap-env:Body></soap-env:Envelope>"""


def package(soap: str, boundary: str, *parts: str) -> bytes:
    """The pieces between boundaries, CRLF line ends where the text has them."""
    text = "".join(f"--{boundary}\r\n{part}\r\n" for part in (f"{parts[0]}\r\n\r\n{soap}", *parts[1:]))
    return f"{text}--{boundary}--\r\n".encode()


def test_ebms_core() -> None:
    """The default name space beside a prefix of its own, CTE binary, boundary of JavaMail."""
    kind = 'multipart/related; boundary="----=_Part_0_1.2"; type="text/xml"; start="<0>"; start-info="text/xml"'
    head = "Content-Type: text/xml; charset=UTF-8\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <0>"
    part = "Content-Type: application/xml\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <1>\r\n\r\n<order/>"
    message = read(kind, package(EBMS_CORE, "----=_Part_0_1.2", head, part))
    assert message.findings == ()
    assert message.header.sender.role == "DUMMY_SENDER"
    assert message.payload("cid:1") == message.payloads[0]
    assert message.ack_requested == AckRequested(signed=False)


def test_nhs() -> None:
    """Content-Id, 8bit and base64, bare UUID, no zone, nextMSH, foreign content in a Reference."""
    kind = "multipart/related; boundary=--=_MIME-Boundary; type=text/xml; start=<ebXMLHeader@spine.EXAMPLE>"
    head = "Content-Id: <ebXMLHeader@spine.EXAMPLE>\r\nContent-Type: text/xml; charset=UTF-8"
    head += "\r\nContent-Transfer-Encoding: 8bit"
    part = "Content-Id: <hl7@EXAMPLE>\r\nContent-Type: text/xml"
    part += "\r\nContent-Transfer-Encoding: base64\r\n\r\nPGhs\r\nNy8+"
    body = package(NHS, "--=_MIME-Boundary", head, part)
    with pytest.raises(EbFault) as caught:
        read(kind, body)
    assert caught.value.code == "ValueNotRecognized"
    message = read(kind, body, tolerances=frozenset({BARE_MESSAGE_ID, TIME_WITHOUT_ZONE}))
    assert message.payloads[0].content == b"<hl7/>"
    assert {each.name for each in message.findings} == {BARE_MESSAGE_ID, TIME_WITHOUT_ZONE, "base64-part"}
    assert message.ack_requested is not None
    assert message.ack_requested.actor.endswith("nextMSH")


def test_nav() -> None:
    """An error for an unknown CPA: mustUnderstand true and no xml:lang, as national users write them."""
    with pytest.raises(EbFault, match="mustUnderstand"):
        read("text/xml", NAV.encode())
    message = read("text/xml", NAV.encode(), tolerances=frozenset({MUST_UNDERSTAND_TRUE, MISSING_LANGUAGE}))
    assert message.kind == "error"
    assert message.errors is not None
    assert (message.errors.errors[0].code, message.errors.errors[0].text) == ("ValueNotRecognized", "Unknown CPA")
    assert {each.name for each in message.findings} == {MUST_UNDERSTAND_TRUE, MISSING_LANGUAGE}


def test_hermes() -> None:
    """A schemaLocation everywhere, name spaces declared again and again, a MIME part without CTE."""
    kind = 'multipart/related; type="text/xml"; boundary="----=_Part_6_9"; start="<soap-part>"'
    head = "Content-Type: text/xml\r\nContent-ID: <soap-part>"
    part = "Content-Type: application/octet-stream\r\nContent-ID: <payload-0>\r\n\r\n\x00\x01\r\n"
    message = read(kind, package(HERMES, "----=_Part_6_9", head, part))
    assert message.findings == ()
    assert message.payloads[0].content == b"\x00\x01\r\n"
    assert message.sync_reply is not None
