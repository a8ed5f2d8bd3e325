"""Signatures: what is good is taken, and every forgery of spec sections 8 and 14 is refused (59 to 64, 34)."""

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import xmlsec
from lxml import etree

from sekisho.codecs.ebms import signing
from sekisho.codecs.ebms.names import (
    C14N,
    EXCLUSIVE_C14N,
    MISSING_XPATH,
    NEXT_MSH,
    SHA1_TOLERATED,
    SOAP_NEXT,
    TOLERANCES,
    XPATH_TEXT,
)
from sekisho.codecs.ebms.package import join, split
from sekisho.codecs.ebms.reading import read
from sekisho.codecs.ebms.signing import Signer, Verifier, same_references
from sekisho.codecs.ebms.values import (
    Acknowledgment,
    AckRequested,
    EbFault,
    EbMessage,
    Header,
    Payload,
    Service,
    SyncReply,
    Wire,
)
from sekisho.codecs.ebms.writing import write

from .envelopes import BUSINESS, MARKS, MESSAGE, MSH, NOW, header_xml, identity

BROKER = identity("BROKER.EXAMPLE")
SIGNER = Signer(BROKER.key, BROKER.certificate)
VERIFIER = Verifier([BROKER.certificate])
EXTRA = (
    '<ds:Reference URI="cid:one@BROKER.EXAMPLE"><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>'
    "<ds:DigestValue>QUJD</ds:DigestValue></ds:Reference>"
)
FULL = replace(MESSAGE, ack_requested=AckRequested(signed=True), sync_reply=SyncReply())


def signed(message: EbMessage = FULL, signer: Signer = SIGNER) -> Wire:
    """A message, written and signed."""
    return write(message, boundary="b1", content_id="root@BROKER.EXAMPLE", signer=signer)


def forged(old: str, new: str, message: EbMessage = FULL) -> EbMessage:
    """A signed message with something replaced on the wire, read with every tolerance."""
    wire = signed(message)
    assert old.encode() in wire.body
    return read(wire.content_type, wire.body.replace(old.encode(), new.encode(), 1), tolerances=frozenset(TOLERANCES))


def resigned(change: Callable[[etree._Element], None], message: EbMessage = FULL) -> EbMessage:
    """A message whose sender signed it in another shape: ``change`` is given the Signature before it is computed."""
    wire = signed(message)
    package = split(wire.content_type, wire.body)
    root = etree.fromstring(package.soap)
    signature = root.find(".//{*}Signature")
    assert signature is not None
    change(signature)
    for value in signature.iter("{*}DigestValue", "{*}SignatureValue"):
        value.text = None
    signature.remove(signature[2])
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(BROKER.key, xmlsec.constants.KeyDataFormatPem)
    token = signing._SERVED.set({f"cid:{part.content_id}".encode(): part.content for part in package.parts})
    context.sign(signature)
    signing._SERVED.reset(token)
    kind, body = join(etree.tostring(root), "root@BROKER.EXAMPLE", package.parts, "b1")
    return read(kind, body, tolerances=frozenset(TOLERANCES))


def refuse(message: EbMessage, verifier: Verifier = VERIFIER) -> EbFault:
    """The verdict on a forged message: SecurityFailure, with the header it can be answered by."""
    with pytest.raises(EbFault) as caught:
        verifier.verify(message, now=NOW)
    assert caught.value.code == "SecurityFailure"
    assert caught.value.header == message.header
    return caught.value


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_item_59_our_own_signature_has_the_shape_and_is_good(kind: str) -> None:
    """Signature in the Header; URI="" with enveloped, XPath, C14N; one Reference a payload (59)."""
    own = identity("BROKER.EXAMPLE", kind)
    wire = signed(signer=Signer(own.key, own.certificate))
    message = read(wire.content_type, wire.body)
    assert message.is_signed
    assert message.findings == ()
    assert [each.uri for each in message.digests] == ["", "cid:one@BROKER.EXAMPLE", "cid:two@BROKER.EXAMPLE"]
    assert message.digests == wire.digests
    assert XPATH_TEXT.encode() in wire.body
    verified = Verifier([own.certificate]).verify(message, now=NOW)
    assert re.fullmatch("[0-9a-f]{64}", verified.fingerprint)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (">Submit<", ">Cancel<"),
        ("<eb:DuplicateElimination/>", ""),
        (" OLA ", " OLC "),
        ("<x/>", "<y/>"),
        ('eb:signed="true"', 'eb:signed="false"'),
        ("<soap:Body>", "<soap:Body><x/>"),
        ("</soap:Body>", "</soap:Body><x xmlns='urn:x'/>"),
        (">urn:sekisho:party:BROKER.EXAMPLE<", ">urn:sekisho:party:OTHER.EXAMPLE<"),
    ],
)
def test_a_changed_message_is_refused(old: str, new: str) -> None:
    """Header, Body and payload are all covered."""
    assert "does not match" in refuse(forged(old, new)).text


def test_what_intermediaries_may_change_is_outside() -> None:
    """SyncReply, for the actor next, may go without breaking the signature (59): the XPath is applied."""
    wire = signed()
    body = re.sub(rb"<eb:SyncReply[^>]*/>", b"", wire.body)
    assert body != wire.body
    VERIFIER.verify(read(wire.content_type, body), now=NOW)


def test_item_60_the_key_comes_from_the_profile_never_from_key_info() -> None:
    """A forger's good signature with the forger's own certificate in KeyInfo is refused (60)."""
    forger = identity("FORGER.EXAMPLE")
    wire = signed(signer=Signer(forger.key, forger.certificate))
    assert "a key of its sender" in refuse(read(wire.content_type, wire.body)).text
    mixed = wire.body.replace(_certificate(forger.certificate), _certificate(BROKER.certificate))
    assert mixed != wire.body
    assert "a key of its sender" in refuse(read(wire.content_type, mixed)).text
    wire = signed()
    bare = re.sub(rb"<ds:KeyInfo>.*</ds:KeyInfo>", b"", wire.body)
    VERIFIER.verify(read(wire.content_type, bare), now=NOW)


def test_two_certificates_at_once() -> None:
    """Yearly renewal: old and new certificate are both good, in any order (spec section 11)."""
    old = identity("OLD.EXAMPLE")
    wire = signed()
    message = read(wire.content_type, wire.body)
    for certificates in ([old.certificate, BROKER.certificate], [BROKER.certificate, old.certificate]):
        Verifier(certificates).verify(message, now=NOW)


def test_an_expired_certificate_is_refused() -> None:
    """Before and after its time a certificate counts for nothing."""
    wire = signed()
    message = read(wire.content_type, wire.body)
    for moment in (NOW - timedelta(days=2), NOW + timedelta(days=365)):
        with pytest.raises(EbFault, match="valid now"):
            VERIFIER.verify(message, now=moment)


def test_item_61_a_payload_outside_the_signature_is_refused() -> None:
    """A signature that leaves a part out verifies; it is refused before that (61), named by the Manifest or not."""
    small = signed(replace(MESSAGE, payloads=MESSAGE.payloads[:1]))
    part = b"--b1\r\nContent-ID: <extra@X.EXAMPLE>\r\n\r\nextra\r\n--b1--"
    message = read(small.content_type, small.body.replace(b"--b1--", part))
    assert refuse(message).location == "cid:extra@X.EXAMPLE"
    left_out = resigned(lambda signature: signature[0].remove(signature[0][-1]))
    assert refuse(left_out).location == "cid:two@BROKER.EXAMPLE"


def test_item_62_a_second_message_header_is_refused() -> None:
    """A second MessageHeader with actor next is outside the signature and passes the schema (62)."""
    spaces = 'xmlns:SOAP="http://schemas.xmlsoap.org/soap/envelope/" '
    doubled = header_xml(marks=f'{spaces}{MARKS} SOAP:actor="{SOAP_NEXT}"', action="Forged")
    for place in ("<soap:Header>", "</soap:Header>"):
        new = place + doubled if place == "<soap:Header>" else doubled + place
        with pytest.raises(EbFault, match="exactly one MessageHeader"):
            forged(place, new)


def test_item_62_a_wrapped_manifest_is_refused() -> None:
    """The signed Manifest moved away and another put in its place, in each way that hides one of the two (62)."""
    wire = signed()
    found = re.search(rb"<eb:Manifest.*</eb:Manifest>", wire.body)
    assert found is not None
    other = found[0].replace(b"two@", b"one@").replace(b"one@", b"two@", 1)
    hidden = other.replace(b"<eb:Manifest ", f'<eb:Manifest soap:actor="{SOAP_NEXT}" '.encode())
    for put in (found[0] + other, hidden + found[0], b'<w xmlns="urn:w">' + found[0] + b"</w>" + hidden):
        with pytest.raises(EbFault, match=r"Inconsistent|OtherXml"):
            read(wire.content_type, wire.body.replace(found[0], put))
    aside = b'</soap:Body><w xmlns="urn:w">' + found[0] + b"</w>"
    moved = wire.body.replace(found[0], other).replace(b"</soap:Body>", aside)
    with pytest.raises(EbFault):
        VERIFIER.verify(read(wire.content_type, moved), now=NOW)


def test_item_62_a_second_signature_is_refused() -> None:
    """More than one Signature, or one in another place (62)."""
    wire = signed()
    found = re.search(rb"<ds:Signature .*</ds:Signature>", wire.body, re.DOTALL)
    assert found is not None
    with pytest.raises(EbFault, match="SecurityFailure"):
        read(wire.content_type, wire.body.replace(found[0], found[0] * 2))
    inside = wire.body.replace(b"<soap:Body>", b"<soap:Body>" + found[0])
    assert "exactly one Signature" in refuse(read(wire.content_type, inside)).text
    away = wire.body.replace(found[0], b"").replace(b"<soap:Body>", b"<soap:Body>" + found[0])
    assert "not signed" in refuse(read(wire.content_type, away)).text
    wrapped = wire.body.replace(found[0], b'<w xmlns="urn:w">' + found[0] + b"</w>")
    assert "not signed" in refuse(read(wire.content_type, wrapped)).text
    assert "not signed" in refuse(read(wire.content_type, wire.body.replace(found[0], b""))).text


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (SOAP_NEXT + '"])', SOAP_NEXT + 's"])', "XPath"),
        ("not(ancestor", "not(self::eb:Action|ancestor", "XPath"),
        ('<ds:XPath xmlns:SOAP="http://schemas.xmlsoap.org/soap/envelope/"', '<ds:XPath xmlns:SOAP="urn:x"', "XPath"),
        ("<ds:XPath ", "<ds:XPath/><ds:XPath ", "XPath"),
        ("REC-xpath-19991116", "REC-xslt-19991116", "transforms"),
        ("xmldsig#enveloped-signature", "xmldsig#base64", "transforms"),
        ('<ds:Reference URI="">', '<ds:Reference URI="#id">', "Envelope itself"),
        ('<ds:Reference URI="">', "<ds:Reference>", "Envelope itself"),
        ('URI="cid:one@', 'URI="file:///etc/hostname?', "no cid"),
        ('URI="cid:one@', 'URI="http://127.0.0.1:9/', "no cid"),
        ('URI="cid:one@', 'URI="cid:nobody@', "not there"),
        ('URI="cid:one@BROKER', 'URI="cid:two@BROKER', "twice"),
        ('URI="cid:one@BROKER', 'URI="cid:tw%6F@BROKER', "twice"),
        ('URI="cid:one@BROKER.EXAMPLE', 'URI="cid:one@BROKER.EXAMPLE%00', "no cid"),
        ('URI="cid:one@BROKER', 'URI="cid:one%2540BROKER', "no cid"),
        ("</ds:SignedInfo>", EXTRA + "</ds:SignedInfo>", "more References"),
        ("</ds:Signature>", "<ds:Object><x/></ds:Object></ds:Signature>", "something else"),
        ("xmldsig-more#rsa-sha256", "xmldsig-more#hmac-sha256", "algorithm"),
        ("xmldsig-more#rsa-sha256", "xmldsig-more#rsa-md5", "algorithm"),
        ("xmlenc#sha256", "xmlenc#ripemd160", "algorithm"),
        (f'CanonicalizationMethod Algorithm="{C14N}', f'CanonicalizationMethod Algorithm="{C14N}#WithComments', "can"),
        (f'Transform Algorithm="{C14N}', f'Transform Algorithm="{C14N}#WithComments', "transforms"),
    ],
)  # fmt: skip
def test_item_59_and_60_a_changed_shape_is_refused(old: str, new: str, text: str) -> None:
    """Every Reference, transform and algorithm is the one of ebMS, judged before anything is computed (section 8)."""
    assert text in refuse(forged(old, new), Verifier([BROKER.certificate], tolerances=frozenset(TOLERANCES))).text


def test_a_part_reference_has_no_transforms() -> None:
    """A transform could take the content away; parts are digested as they are."""
    old = '<ds:Reference URI="cid:one@BROKER.EXAMPLE">'
    new = f'{old}<ds:Transforms><ds:Transform Algorithm="{C14N}"/></ds:Transforms>'
    assert "has transforms" in refuse(forged(old, new)).text


def parent_of(element: etree._Element) -> etree._Element:
    """The element around it."""
    parent = element.getparent()
    assert parent is not None
    return parent


def test_the_xpath_with_another_prefix_and_blanks_is_the_same() -> None:
    """Peers choose their own SOAP prefix and break the line; both say the same (NAV, webMethods)."""

    def other(signature: etree._Element) -> None:
        old = next(signature.iter("{*}XPath"))
        new = etree.SubElement(parent_of(old), old.tag, nsmap={"SOAP-ENV": old.nsmap["SOAP"]})
        new.text = XPATH_TEXT.replace("SOAP:", "SOAP-ENV:").replace(" | ", "\n   |\n   ")
        parent_of(old).remove(old)

    assert VERIFIER.verify(resigned(other), now=NOW).findings == ()


def test_exclusive_canonicalisation_is_taken() -> None:
    """C14N 1.0 and exclusive C14N are both accepted (section 8)."""

    def other(signature: etree._Element) -> None:
        for element in signature.iter("{*}CanonicalizationMethod", "{*}Transform"):
            if element.get("Algorithm") == C14N:
                element.set("Algorithm", EXCLUSIVE_C14N)

    assert VERIFIER.verify(resigned(other), now=NOW).findings == ()


@pytest.mark.parametrize("text", ["not(self::eb:Action)", "true()", XPATH_TEXT + " and not(ancestor-or-self::eb:To)"])
def test_a_changed_transform_is_refused_even_from_the_sender(text: str) -> None:
    """A good signature over a part of the Envelope is no signature of the message (59)."""

    def other(signature: etree._Element) -> None:
        next(signature.iter("{*}XPath")).text = text

    assert "XPath" in refuse(resigned(other)).text


def test_item_64_sha1_only_behind_its_switch() -> None:
    """SHA-1 is refused unless the partner's profile tolerates it, and then named (64)."""

    def weak(signature: etree._Element) -> None:
        for element in signature.iter("{*}SignatureMethod", "{*}DigestMethod"):
            name = "rsa-sha1" if element.tag.endswith("SignatureMethod") else "sha1"
            element.set("Algorithm", f"http://www.w3.org/2000/09/xmldsig#{name}")

    message = resigned(weak)
    assert "algorithm" in refuse(message).text
    lenient = Verifier([BROKER.certificate], tolerances=frozenset({SHA1_TOLERATED}))
    assert {each.name for each in lenient.verify(message, now=NOW).findings} == {SHA1_TOLERATED}


def test_item_59_a_missing_xpath_only_behind_its_switch() -> None:
    """One partner omits the XPath (59): a good signature without it is taken by tolerance, and then named."""

    def without(signature: etree._Element) -> None:
        transform = parent_of(next(signature.iter("{*}XPath")))
        parent_of(transform).remove(transform)

    message = resigned(without)
    assert "XPath transform is missing" in refuse(message).text
    lenient = Verifier([BROKER.certificate], tolerances=frozenset({MISSING_XPATH}))
    assert [each.name for each in lenient.verify(message, now=NOW).findings] == [MISSING_XPATH]


def test_item_34_a_signed_acknowledgment_copies_the_references() -> None:
    """Sign the acknowledgment and copy the ds:Reference elements of what was received (34)."""
    received = read(*signed()[:2])
    centre = identity("CENTRE.EXAMPLE")
    ack = _acknowledgment(received)
    wire = signed(ack, Signer(centre.key, centre.certificate))
    answer = read(wire.content_type, wire.body)
    Verifier([centre.certificate]).verify(answer, now=NOW)
    assert answer.acknowledgment is not None
    assert same_references(received.digests, answer.acknowledgment.references)
    assert XPATH_TEXT.encode() in answer.acknowledgment.references[0].xml
    other = read(*signed(replace(FULL, payloads=FULL.payloads[:1]))[:2])
    assert not same_references(other.digests, answer.acknowledgment.references)


def test_an_acknowledgment_for_next_msh_is_outside_the_signature() -> None:
    """Its actor takes it out of the signature, so a forger could have put it there."""
    ack = _acknowledgment(read(*signed()[:2]))
    assert ack.acknowledgment is not None
    wire = signed(replace(ack, acknowledgment=replace(ack.acknowledgment, actor=NEXT_MSH)))
    assert "outside the signature" in refuse(read(wire.content_type, wire.body)).text


def test_threads_do_not_see_each_other_s_parts() -> None:
    """The callbacks of xmlsec are one set for the process; each message gets its own parts all the same (section 8)."""
    wires = [
        signed(replace(MESSAGE, payloads=(Payload("same@A.EXAMPLE", "text/plain", b"%d" % number * 5000),)))
        for number in range(8)
    ]
    swapped = wires[0].body.replace(b"0" * 5000, b"1" * 5000)

    def judge(number: int) -> bool:
        if number % 9 == 8:
            refuse(read(wires[0].content_type, swapped))
        else:
            VERIFIER.verify(read(wires[number % 9].content_type, wires[number % 9].body), now=NOW)
            signed(MESSAGE)
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(judge, range(180)))


def test_no_file_is_ever_opened(tmp_path: Path) -> None:
    """The file callbacks of xmlsec itself are gone: even past the shape, a file's address is answered with nothing."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    for address in (secret.as_uri(), str(secret)):
        signature = etree.fromstring(_unsigned(address))
        context = xmlsec.SignatureContext()
        context.key = xmlsec.Key.from_memory(BROKER.key, xmlsec.constants.KeyDataFormatPem)
        with pytest.raises(xmlsec.Error):
            context.sign(signature)
        token = signing._SERVED.set({address.encode(): b"served"})
        context = xmlsec.SignatureContext()
        context.key = xmlsec.Key.from_memory(BROKER.key, xmlsec.constants.KeyDataFormatPem)
        context.sign(signature)  # what is served to it, it takes: the error above was ours
        signing._SERVED.reset(token)


def test_what_a_signature_may_cost_is_bounded() -> None:
    """Seven hundred parts under fifty name spaces took 48 seconds (measured); they are refused by count."""
    many = tuple(Payload(f"p{number}@A.EXAMPLE", "text/plain", b"") for number in range(700))
    wire = write(replace(MESSAGE, payloads=many), boundary="b1", content_id="root@A.EXAMPLE")
    spaces = "".join(f' xmlns:n{number}="urn:{number}"' for number in range(50))
    signature = b"<ds:Signature xmlns:ds='http://www.w3.org/2000/09/xmldsig#'>" + _signed_info() + b"</ds:Signature>"
    body = wire.body.replace(b"<soap:Envelope", b"<soap:Envelope" + spaces.encode())
    body = body.replace(b"</soap:Header>", signature + b"</soap:Header>")
    assert "too many" in refuse(read(wire.content_type, body)).text


@pytest.mark.parametrize(
    "junk",
    [
        b'<x xmlns="urn:x">' + b"<!---->t" * 18_000 + b"</x>",
        b'<x xmlns="urn:x">' + b"<?x?>" * 18_000 + b"</x>",
        b'<x xmlns="urn:x">' + b"<x/>t" * 10_000 + b"</x>",
        (b'<x xmlns="urn:x">' + b"<x>" * 55 + b"</x>" * 56) * 200,
        b'<x xmlns="urn:x" %s/>' % b" ".join(b'a%d=""' % number for number in range(250)) * 100,
        b'<x xmlns="urn:x">' + b"<!---->" * 190 + b"</x>",
        b'<x xmlns="urn:x">' + b"<x/>t" * 2_700 + b"</x>",
    ],
    ids=["comments", "instructions", "wide", "deep", "attributes", "most comments", "widest"],
)
def test_no_signed_envelope_takes_long(junk: bytes) -> None:
    """Refused by count, or small enough to be computed in about a second, whatever its shape is."""
    wire = signed(replace(MESSAGE, payloads=()))
    message = read(wire.content_type, wire.body.replace(b"</soap:Header>", junk + b"</soap:Header>"))
    started = time.process_time()
    refuse(message)
    assert time.process_time() - started < 3


@pytest.mark.parametrize(
    ("key", "certificate", "algorithm"),
    [
        (identity("A.EXAMPLE").key, BROKER.certificate, ""),
        (BROKER.key, BROKER.certificate, "http://www.w3.org/2000/09/xmldsig#rsa-sha1"),
        (BROKER.key, BROKER.certificate, "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"),
        (b"no key", BROKER.certificate, ""),
        (BROKER.key, b"no certificate", ""),
    ],
)
def test_a_signer_is_refused_what_it_cannot_use(key: bytes, certificate: bytes, algorithm: str) -> None:
    """Key, certificate and algorithm belong together; our own signatures never use SHA-1."""
    with pytest.raises(ValueError, match=r"key|certificate|PEM|algorithm"):
        Signer(key, certificate, algorithm=algorithm)


def _certificate(pem: bytes) -> bytes:
    return b"".join(pem.split(b"-----")[2].split())


def _unsigned(address: str) -> bytes:
    found = re.search(rb"<ds:SignedInfo>.*?<ds:Reference", signed().body, re.DOTALL)
    assert found is not None
    rest = EXTRA[EXTRA.index("><ds:Dig") :].replace("QUJD", "")
    spaces = 'xmlns:ds="http://www.w3.org/2000/09/xmldsig#"'
    return (
        f"<ds:Signature {spaces}>".encode() + found[0] + f' URI="{address}"{rest}'.encode()
        + b"</ds:SignedInfo><ds:SignatureValue/></ds:Signature>"
    )  # fmt: skip


def _signed_info() -> bytes:
    found = re.search(rb"<ds:SignedInfo>.*</ds:SignatureValue>", signed().body, re.DOTALL)
    assert found is not None
    return found[0]


def _acknowledgment(received: EbMessage) -> EbMessage:
    header = Header(
        sender=BUSINESS.receiver,
        receiver=BUSINESS.sender,
        cpa_id=BUSINESS.cpa_id,
        conversation=BUSINESS.conversation,
        service=Service(MSH),
        action="Acknowledgment",
        message_id="a1@CENTRE.EXAMPLE",
        timestamp=NOW,
        ref_to=received.header.message_id,
    )
    return EbMessage(
        header, acknowledgment=Acknowledgment(NOW, received.header.message_id, BUSINESS.receiver, received.digests)
    )
