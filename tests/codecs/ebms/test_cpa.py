"""Agreements: a CPA 2.0 document becomes a value, and says what it holds beside it (spec section 11)."""

from datetime import UTC, datetime, timedelta

import pytest

from sekisho.codecs.ebms.cpa import AgreementError, read_cpa
from sekisho.codecs.ebms.values import Limits, PartyId, Service

from .envelopes import NOW, identity

TP = "http://www.oasis-open.org/committees/ebxml-cppa/schema/cpp-cpa-2_0.xsd"
LINK = 'xlink:type="simple" xlink:href="http://www.EXAMPLE/process"'


def party(letter: str, name: str, address: str) -> str:
    """A PartyInfo that sends Submit and receives Answer, or the other way for B."""
    pem = identity(name).certificate.decode()
    certificate = "".join(pem.splitlines()[1:-1])
    sends, takes = ("Submit", "Answer") if letter == "A" else ("Answer", "Submit")

    def binding(kind: str, action: str) -> str:
        return (
            f"<tp:{kind}><tp:ThisPartyActionBinding tp:id='{letter}{action}' tp:action='{action}' "
            "tp:packageId='package'>"
            "<tp:BusinessTransactionCharacteristics tp:isNonRepudiationRequired='true' tp:timeToPerform='PT5M'/>"
            f"<tp:ChannelId>{letter}channel</tp:ChannelId></tp:ThisPartyActionBinding></tp:{kind}>"
        )

    signing = (
        "<tp:{0}NonRepudiation><tp:NonRepudiationProtocol>http://www.w3.org/2000/09/xmldsig#</tp:NonRepudiationProtocol>"
        "<tp:HashFunction>http://www.w3.org/2001/04/xmlenc#sha256</tp:HashFunction>"
        "<tp:SignatureAlgorithm>http://www.w3.org/2001/04/xmldsig-more#rsa-sha256</tp:SignatureAlgorithm>{1}"
        "</tp:{0}NonRepudiation>"
    )
    reliable = (
        "<tp:ReliableMessaging><tp:Retries>3</tp:Retries><tp:RetryInterval>PT1M30.5S</tp:RetryInterval>"
        "<tp:MessageOrderSemantics>Guaranteed</tp:MessageOrderSemantics></tp:ReliableMessaging>"
        "<tp:PersistDuration>P1DT2H</tp:PersistDuration>"
    )
    sender = signing.format("Sender", f"<tp:SigningCertificateRef tp:certId='{letter}cert'/>")
    trust = f"<tp:SigningSecurityDetailsRef tp:securityId='{letter}trust'/>"
    receiver = signing.format("Receiver", trust)
    return f"""
<tp:PartyInfo tp:partyName="{name}" tp:defaultMshChannelId="{letter}channel" tp:defaultMshPackageId="package">
 <tp:PartyId tp:type="urn:example:type">{name}</tp:PartyId><tp:PartyRef xlink:type="simple" xlink:href="http://{name}"/>
 <tp:CollaborationRole><tp:ProcessSpecification tp:name="p" tp:version="1" {LINK}/>
  <tp:Role tp:name="role{letter}" {LINK}/><tp:ServiceBinding><tp:Service tp:type="urn:t">service</tp:Service>
  {binding("CanSend", sends)}{binding("CanReceive", takes)}</tp:ServiceBinding></tp:CollaborationRole>
 <tp:Certificate tp:certId="{letter}cert"><ds:KeyInfo><ds:X509Data>
 <ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></tp:Certificate>
 <tp:SecurityDetails tp:securityId="{letter}trust"><tp:TrustAnchors>
  <tp:AnchorCertificateRef tp:certId="{letter}cert"/></tp:TrustAnchors></tp:SecurityDetails>
 <tp:DeliveryChannel tp:channelId="{letter}channel" tp:transportId="{letter}transport" tp:docExchangeId="{letter}doc">
  <tp:MessagingCharacteristics tp:syncReplyMode="mshSignalsOnly" tp:ackRequested="always"
   tp:ackSignatureRequested="never" tp:actor="urn:oasis:names:tc:ebxml-msg:actor:toPartyMSH"/></tp:DeliveryChannel>
 <tp:Transport tp:transportId="{letter}transport"><tp:TransportSender><tp:TransportProtocol tp:version="1.1">HTTP
  </tp:TransportProtocol><tp:AccessAuthentication>basic</tp:AccessAuthentication></tp:TransportSender>
  <tp:TransportReceiver><tp:TransportProtocol tp:version="1.1">HTTP</tp:TransportProtocol>
  <tp:Endpoint tp:uri="{address}" tp:type="allPurpose"/><tp:Endpoint tp:uri="{address}/errors" tp:type="error"/>
  <tp:TransportServerSecurity><tp:TransportSecurityProtocol tp:version="1.2">TLS</tp:TransportSecurityProtocol>
  <tp:ServerCertificateRef tp:certId="{letter}cert"/><tp:ClientSecurityDetailsRef tp:securityId="{letter}trust"/>
  </tp:TransportServerSecurity></tp:TransportReceiver></tp:Transport>
 <tp:DocExchange tp:docExchangeId="{letter}doc">
  <tp:ebXMLSenderBinding tp:version="2.0">{reliable}{sender}</tp:ebXMLSenderBinding>
  <tp:ebXMLReceiverBinding tp:version="2.0">{reliable}{receiver}</tp:ebXMLReceiverBinding></tp:DocExchange>
</tp:PartyInfo>"""


def agreement(**changes: str) -> bytes:
    """A CPA between two parties; each keyword replaces a text of it."""
    text = f"""<?xml version="1.0" encoding="UTF-8"?>
<tp:CollaborationProtocolAgreement xmlns:tp="{TP}" xmlns:xlink="http://www.w3.org/1999/xlink"
 xmlns:ds="http://www.w3.org/2000/09/xmldsig#" tp:cpaid="CPA-1" tp:version="2_0b"><tp:Status tp:value="agreed"/>
<tp:Start>2025-01-01T00:00:00Z</tp:Start><tp:End>2026-01-01T00:00:00+09:00</tp:End>
{party("A", "BROKER.EXAMPLE", "https://broker.EXAMPLE/ebms")}{party("B", "CENTRE.EXAMPLE", "https://centre.EXAMPLE/ebms")}
<tp:SimplePart tp:id="soap" tp:mimetype="text/xml"/><tp:SimplePart tp:id="edi" tp:mimetype="application/EDIFACT"/>
<tp:Packaging tp:id="package"><tp:ProcessingCapabilities tp:parse="true" tp:generate="true"/><tp:CompositeList>
<tp:Composite tp:id="all" tp:mimetype="multipart/related"><tp:Constituent tp:idref="soap"/>
<tp:Constituent tp:idref="edi"/>
</tp:Composite></tp:CompositeList></tp:Packaging><tp:Comment xml:lang="en">none</tp:Comment>
</tp:CollaborationProtocolAgreement>"""
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text.encode()


def test_an_agreement_whole() -> None:
    """CPAId, Status, Start, End, parties, actions, channels, reliable messaging, signatures, certificates."""
    found = read_cpa(agreement())
    assert (found.cpa_id, found.status) == ("CPA-1", "agreed")
    assert (found.start, found.end.astimezone(UTC)) == (
        datetime(2025, 1, 1, tzinfo=UTC),
        datetime(2025, 12, 31, 15, tzinfo=UTC),
    )
    broker, centre = found.parties
    assert broker.ids == (PartyId("BROKER.EXAMPLE", "urn:example:type"),)
    assert [(each.action, each.direction, each.role) for each in broker.actions] == [
        ("Submit", "send", "roleA"),
        ("Answer", "receive", "roleA"),
    ]
    action = broker.actions[0]
    assert (action.service, action.media_types) == (Service("service", "urn:t"), ("application/EDIFACT",))
    assert (action.signed, action.signed_receipt, action.synchronous) == (True, False, False)
    channel = centre.channel(centre.actions[1].channels[0])
    assert channel.url == "https://centre.EXAMPLE/ebms"
    assert dict(channel.endpoints)["error"] == "https://centre.EXAMPLE/ebms/errors"
    assert (channel.sync_reply, channel.ack, channel.ack_signed) == ("mshSignalsOnly", "always", "never")
    assert channel.duplicate_elimination == "perMessage"
    assert (channel.retries, channel.retry_interval) == (3, timedelta(seconds=90.5))
    assert (channel.persist_duration, channel.ordered) == (timedelta(days=1, hours=2), True)
    assert (channel.signs, channel.wants_signature, channel.signing_certificate) == (True, True, "Bcert")
    assert channel.signature_algorithms == ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",)
    assert (channel.tls, channel.authentication, channel.server_certificate) == (True, ("basic",), "Bcert")
    assert (channel.trusted, channel.tls_trusted) == (("Bcert",), ("Bcert",))
    (certificate,) = centre.certificates
    assert certificate.pem == identity("CENTRE.EXAMPLE").certificate
    assert certificate.not_before == NOW - timedelta(days=1)
    assert certificate.not_after == NOW + timedelta(days=364)


def test_what_cannot_be_mapped_is_listed() -> None:
    """An import lists what it could not map (section 11)."""
    assert read_cpa(agreement()).unmapped == ("timeTo...: times of the business",)
    found = read_cpa(
        agreement(
            **{
                "<tp:Start>2025-01-01T00:00:00Z": "<tp:Start>2025-01-01T00:00:00",
                "P1DT2H": "P1M",
                '<tp:PartyInfo tp:partyName="BROKER': '<tp:ConversationConstraints tp:invocationLimit="9"/>'
                '<tp:PartyInfo tp:partyName="BROKER',
                'tp:version="1.1">HTTP<': 'tp:version="1.1">SMTP<',
            }
        )
    )
    assert {text.partition(":")[0] for text in found.unmapped} == {
        "ConversationConstraints", "TransportProtocol", "PersistDuration", "Start", "timeTo...",
    }  # fmt: skip
    assert found.parties[0].channels[0].persist_duration == timedelta(days=30)
    assert found.start == datetime(2025, 1, 1, tzinfo=UTC)


def test_a_certificate_that_cannot_be_read_is_listed() -> None:
    """Test agreements hold invented certificates; the rest of the agreement counts all the same."""
    pem = identity("BROKER.EXAMPLE").certificate.decode()
    found = read_cpa(agreement(**{"".join(pem.splitlines()[1:-1]): "QUJD"}))
    assert found.parties[0].certificates == ()
    assert "Certificate Acert: cannot be read" in found.unmapped


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ('tp:transportId="Atransport" tp:doc', 'tp:transportId="none" tp:doc', "points at"),
        ("<tp:ChannelId>Achannel", "<tp:ChannelId>other", "channel"),
        ("tp:packageId='package'", "tp:packageId='other'", "points at"),
        ('tp:value="agreed"', 'tp:value="maybe"', "value"),
        ("<tp:End>2026-01-01T00:00:00+09:00</tp:End>", "", "expected"),
        ("2026-01-01T00:00:00+09:00", "12026-01-01T00:00:00Z", "not read"),
        ("tp:cpaid", "cpaid", "cpaid"),
        ("<tp:Status", "<!-- --><!DOCTYPE x><tp:Status", "DOCTYPE"),
        ("</tp:CollaborationProtocolAgreement>", "", "well-formed"),
    ],
)
def test_what_is_no_agreement(old: str, new: str, text: str) -> None:
    """Not well-formed, against the schema, or pointing at nothing: an error that says so."""
    with pytest.raises(AgreementError, match=text):
        read_cpa(agreement(**{old: new}))


def test_other_documents() -> None:
    """Something else, nothing, or too much."""
    for document in (b"", b"<x/>", b"\x00\x01", b"x" * 2_000_000):
        with pytest.raises(AgreementError, match=r"[a-z]"):
            read_cpa(document)
    with pytest.raises(AgreementError, match="elements"):
        read_cpa(agreement(), Limits(elements=20))
