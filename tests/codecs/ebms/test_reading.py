"""The header and its blocks: what the schema lets through has rules of its own (spec sections 3.1 and 4.3 to 4.8)."""

from datetime import UTC, datetime

import pytest

from sekisho.codecs.ebms.names import (
    BARE_MESSAGE_ID,
    EMPTY_ERROR_LIST,
    ID_WITH_DIGIT,
    MISSING_LANGUAGE,
    MISSING_VERSION,
    MUST_UNDERSTAND_TRUE,
    RICH_ACKNOWLEDGMENT,
    TIME_WITHOUT_ZONE,
    TOLERANCES,
)
from sekisho.codecs.ebms.reading import read
from sekisho.codecs.ebms.values import (
    AckRequested,
    EbError,
    EbFault,
    EbMessage,
    ErrorList,
    ManifestItem,
    Order,
    PartyId,
    StatusRequest,
    StatusResponse,
    SyncReply,
)

from .envelopes import (
    MARKS,
    NEXT_MSH,
    REF_TO,
    SOAP_NEXT,
    TO_PARTY,
    envelope,
    header_xml,
    manifest,
    multipart,
    signal_xml,
)

ACK = (
    f'<eb:Acknowledgment {MARKS} SOAP:actor="{TO_PARTY}"><eb:Timestamp>2025-04-01T03:00:01Z</eb:Timestamp>'
    "<eb:RefToMessageId>m0@CENTRE.EXAMPLE</eb:RefToMessageId></eb:Acknowledgment>"
)
SYNC = f'<eb:SyncReply {MARKS} SOAP:actor="{SOAP_NEXT}"/>'
ORDER = f'<eb:MessageOrder {MARKS}><eb:SequenceNumber eb:status="Continue">7</eb:SequenceNumber></eb:MessageOrder>'
ERROR = '<eb:Error eb:errorCode="Inconsistent" eb:severity="Error"/>'
ERRORS = f'<eb:ErrorList {MARKS} eb:highestSeverity="Error">{ERROR}</eb:ErrorList>'
STATUS = f'<eb:StatusRequest eb:version="2.0">{REF_TO}</eb:StatusRequest>'
ALL = frozenset(TOLERANCES)


def reads(soap: bytes, *tolerances: str) -> EbMessage:
    """A message without payload, read."""
    return read("text/xml; charset=UTF-8", soap, tolerances=frozenset(tolerances))


def refuse(soap: bytes, *tolerances: str) -> EbFault:
    """The fault of such a message."""
    with pytest.raises(EbFault) as caught:
        reads(soap, *tolerances)
    assert caught.value.soap_client or caught.value.header is not None
    return caught.value


def ack_requested(actor: str = TO_PARTY, signed: str = "false") -> str:
    """An eb:AckRequested."""
    return f'<eb:AckRequested {MARKS} SOAP:actor="{actor}" eb:signed="{signed}"/>'


def test_a_message_header_whole() -> None:
    """Every part of the MessageHeader arrives (section 3.1)."""
    rest = '<eb:DuplicateElimination/><eb:Description xml:lang="ja">申告</eb:Description>'
    data = f"{REF_TO}<eb:TimeToLive>2025-04-02T24:00:00Z</eb:TimeToLive>"
    message = reads(envelope(header_xml(data=data, rest=rest)))
    header = message.header
    assert header.sender.ids == (PartyId("urn:sekisho:party:BROKER.EXAMPLE"),)
    assert (header.sender.role, header.receiver.ids[0].type) == ("Declarant", "urn:sekisho:type")
    assert (header.cpa_id, header.conversation, header.action) == ("CPA-1", "conversation-1", "Submit")
    assert (header.service.value, header.service.type) == ("declarations", "urn:sekisho:services")
    assert (header.message_id, header.ref_to) == ("m1@BROKER.EXAMPLE", "m0@CENTRE.EXAMPLE")
    assert header.timestamp == datetime(2025, 4, 1, 3, tzinfo=UTC)
    assert header.timestamp_text == "2025-04-01T12:00:00+09:00"
    assert header.time_to_live == datetime(2025, 4, 3, tzinfo=UTC)
    assert header.duplicate_elimination
    assert [(each.text, each.language) for each in header.descriptions] == [("申告", "ja")]
    assert (message.kind, message.findings, message.is_signed) == ("business", (), False)


@pytest.mark.parametrize("blocks", [header_xml() + header_xml(), SYNC, "<x/>"])
def test_item_14_exactly_one_message_header(blocks: str) -> None:
    """None or two MessageHeaders pass the schema and are refused (14)."""
    assert refuse(envelope(blocks)).soap_client


def test_item_15_version_other_than_20_is_inconsistent() -> None:
    """eb:version is 2.0, on every block (15)."""
    fault = refuse(envelope(header_xml(marks=MARKS.replace("2.0", "3.0"))))
    assert (fault.code, fault.soap_client) == ("Inconsistent", False)
    assert fault.location == "/SOAP:Envelope/SOAP:Header/eb:MessageHeader/@eb:version"
    assert refuse(envelope(header_xml() + SYNC.replace("2.0", "1.0"))).code == "Inconsistent"
    assert refuse(envelope(body=STATUS.replace("2.0", "1.0"))).code == "Inconsistent"


@pytest.mark.parametrize("marks", ['eb:version="2.0"', 'SOAP:mustUnderstand="1"', MARKS.replace("eb:", "")])
def test_item_15_version_and_must_understand_are_required(marks: str) -> None:
    """Both attributes, qualified, else the schema refuses (15)."""
    assert refuse(envelope(header_xml(marks=marks)), *TOLERANCES).soap_client


def test_item_16_a_party_or_service_without_type_is_a_uri() -> None:
    """PartyId and Service without type must be URIs (16)."""
    fault = refuse(envelope(header_xml(sender="<eb:PartyId>BROKER</eb:PartyId>")))
    assert (fault.code, fault.location.rsplit("/", 2)[1:]) == ("Inconsistent", ["eb:From", "eb:PartyId"])
    fault = refuse(envelope(header_xml(service="<eb:Service>declarations</eb:Service>")))
    assert (fault.code, fault.location.rsplit("/", 1)[1]) == ("Inconsistent", "eb:Service")


def test_item_20_a_bare_uuid_is_tolerated_by_name() -> None:
    """MessageId has RFC 2822 form; bare UUIDs occur (20)."""
    soap = envelope(header_xml(message_id="1B2A7C6E-0A55-4B5C-9E53-0E8B2F6F7C11"))
    assert refuse(soap).code == "ValueNotRecognized"
    assert [each.name for each in reads(soap, BARE_MESSAGE_ID).findings] == [BARE_MESSAGE_ID]


@pytest.mark.parametrize(
    ("action", "rest"), [("Acknowledgment", ACK), ("MessageError", ERRORS), ("Pong", ""), ("StatusResponse", "")]
)
def test_item_21_ref_to_message_id_is_required(action: str, rest: str) -> None:
    """Acknowledgments, errors and answers say what they are about (21)."""
    assert refuse(envelope(signal_xml(action, data="") + rest)).code == "Inconsistent"


def test_item_22_a_time_without_zone_is_tolerated_as_utc() -> None:
    """Timestamps are xs:dateTime; times without zone occur (22)."""
    soap = envelope(header_xml(timestamp="2025-04-01T03:00:00.125"))
    assert refuse(soap).code == "ValueNotRecognized"
    message = reads(soap, TIME_WITHOUT_ZONE)
    assert message.header.timestamp == datetime(2025, 4, 1, 3, 0, 0, 125000, tzinfo=UTC)
    assert [each.name for each in message.findings] == [TIME_WITHOUT_ZONE]


@pytest.mark.parametrize("time", ["2025-04-01", "12025-04-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "yesterday", ""])
def test_item_22_a_time_that_cannot_be_read(time: str) -> None:
    """Not a dateTime, or one outside the calendar: nothing to answer about, a SOAP Fault."""
    assert refuse(envelope(header_xml(timestamp=time)), *TOLERANCES).soap_client


def test_item_24_manifest() -> None:
    """Reference with href, role, id, Schema, Description (24)."""
    body = (
        '<eb:Manifest eb:version="2.0"><eb:Reference xlink:type="simple" xlink:href="cid:one@A.EXAMPLE" '
        'xlink:role="urn:r" eb:id="p1"><eb:Schema eb:location="urn:s" eb:version="1"/>'
        '<eb:Description xml:lang="en">text</eb:Description></eb:Reference></eb:Manifest>'
    )
    message = read(*multipart(envelope(body=body), ("Content-ID: <one@A.EXAMPLE>", b"x")))
    (item,) = message.manifest
    assert (item.href, item.role, item.id) == ("cid:one@A.EXAMPLE", "urn:r", "p1")
    assert (item.schemas[0].location, item.schemas[0].version, item.descriptions[0].text) == ("urn:s", "1", "text")
    found = message.payload(item.href)
    assert found is not None
    assert found.content == b"x"
    extended = body.replace('"simple"', '"extended"')
    with pytest.raises(EbFault, match="xlink:type"):
        read(*multipart(envelope(body=extended), ("Content-ID: <one@A.EXAMPLE>", b"x")))


def test_item_24_two_manifests_are_refused() -> None:
    """The schema passes two Manifests (section 3.1); so does it one that names a part twice."""
    part = ("Content-ID: <one@A.EXAMPLE>", b"x")
    for body in (manifest("cid:one@A.EXAMPLE") * 2, manifest("cid:one@A.EXAMPLE", "cid:one@A.EXAMPLE")):
        with pytest.raises(EbFault, match="Inconsistent"):
            read(*multipart(envelope(body=body), part))


@pytest.mark.parametrize("href", ["cid:two@A.EXAMPLE", "cid:", "cid:one", "cid:ONE@A.EXAMPLE"])
def test_item_25_an_unresolvable_cid_is_a_mime_problem(href: str) -> None:
    """Unresolvable cid: MimeProblem, Error (25); never tolerable."""
    with pytest.raises(EbFault) as caught:
        read(*multipart(envelope(body=manifest(href)), ("Content-ID: <one@A.EXAMPLE>", b"")), tolerances=ALL)
    assert (caught.value.code, caught.value.severity, caught.value.location) == ("MimeProblem", "Error", href)
    assert caught.value.header is not None
    assert caught.value.header.message_id == "m1@BROKER.EXAMPLE"


def test_item_25_a_cid_may_be_escaped() -> None:
    """RFC 2392: a cid: address has its Content-ID with escapes."""
    message = read(*multipart(envelope(body=manifest("cid:one%40A.EXAMPLE")), ("Content-ID: <one@A.EXAMPLE>", b"x")))
    assert message.payload(message.manifest[0].href) is message.payloads[0]


def test_item_26_a_message_without_manifest() -> None:
    """Fine (26); a part that no Manifest names is noted."""
    assert reads(envelope()).manifest == ()
    message = read(*multipart(envelope(), ("Content-ID: <one@A.EXAMPLE>", b"x")))
    assert [each.name for each in message.findings] == ["unnamed-part"]


def test_item_27_external_references_only_when_agreed() -> None:
    """Refused unless the profile allows them; never fetched (27)."""
    soap = envelope(body=manifest("http://127.0.0.1:9/secret"))
    assert refuse(soap, *TOLERANCES).code == "NotSupported"
    message = read("text/xml", soap, external_references=True)
    assert message.manifest == (ManifestItem("http://127.0.0.1:9/secret"),)


def test_item_28_an_id_that_begins_with_a_digit() -> None:
    """eb:id is xs:ID (28)."""
    soap = envelope(header_xml(marks=MARKS + ' eb:id="1a"'))
    assert refuse(soap).soap_client
    assert [each.name for each in reads(soap, ID_WITH_DIGIT).findings] == [ID_WITH_DIGIT]


def test_item_29_ack_requested() -> None:
    """AckRequested says signed; its actor is nextMSH or toPartyMSH, by default toPartyMSH (29)."""
    assert reads(envelope(header_xml() + ack_requested(signed="1"))).ack_requested == AckRequested(True, TO_PARTY)
    default = ack_requested().replace(f'SOAP:actor="{TO_PARTY}" ', "")
    assert reads(envelope(header_xml() + default)).ack_requested == AckRequested(False, TO_PARTY)
    assert refuse(envelope(header_xml() + ack_requested().replace('eb:signed="false"', ""))).soap_client
    assert refuse(envelope(header_xml() + ack_requested(actor=SOAP_NEXT))).code == "ValueNotRecognized"


def test_item_30_next_msh_is_read_and_two_are_not_supported() -> None:
    """Users meet nextMSH (30): it is read, and the handler decides; both actors at once mean an intermediary."""
    assert reads(envelope(header_xml() + ack_requested(NEXT_MSH))).ack_requested == AckRequested(False, NEXT_MSH)
    both = header_xml() + ack_requested(NEXT_MSH) + ack_requested()
    assert refuse(envelope(both)).code == "NotSupported"
    assert refuse(envelope(header_xml() + ack_requested() + ack_requested())).code == "Inconsistent"


def test_item_31_and_32_an_acknowledgment() -> None:
    """Timestamp, RefToMessageId, From, ds:Reference (31); standalone in the MSH service (32)."""
    parts = (
        '<eb:From><eb:PartyId>urn:x:y</eb:PartyId></eb:From><ds:Reference URI=""><ds:DigestMethod '
        'Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue>QUJD\nREVG</ds:DigestValue></ds:Reference>'
    )
    message = reads(envelope(signal_xml("Acknowledgment") + ACK.replace("</eb:Ack", parts + "</eb:Ack")))
    ack = message.acknowledgment
    assert ack is not None
    assert (message.kind, ack.ref_to) == ("acknowledgment", "m0@CENTRE.EXAMPLE")
    assert ack.timestamp == datetime(2025, 4, 1, 3, 0, 1, tzinfo=UTC)
    assert ack.sender is not None
    assert [(each.uri, each.digest_value) for each in ack.references] == [("", "QUJDREVG")]
    other = ACK.replace("m0@", "m9@")
    assert refuse(envelope(signal_xml("Acknowledgment") + other)).code == "Inconsistent"
    assert refuse(envelope(signal_xml("Acknowledgment"))).code == "Inconsistent"


def test_item_33_an_acknowledgment_asks_for_nothing() -> None:
    """No AckRequested, no DuplicateElimination on an Acknowledgment (33); over-rich ones occur (section 12)."""
    rich = envelope(signal_xml("Acknowledgment", rest="<eb:DuplicateElimination/>") + ack_requested() + ACK)
    assert refuse(rich).code == "Inconsistent"
    message = reads(rich, RICH_ACKNOWLEDGMENT)
    assert [each.name for each in message.findings] == [RICH_ACKNOWLEDGMENT] * 2


def test_item_47_sync_reply_has_the_actor_next() -> None:
    """SyncReply's actor is SOAP's next (47)."""
    assert reads(envelope(header_xml() + SYNC)).sync_reply == SyncReply()
    assert refuse(envelope(header_xml() + SYNC.replace(SOAP_NEXT, TO_PARTY))).code == "Inconsistent"
    assert refuse(envelope(header_xml() + SYNC.replace(f'SOAP:actor="{SOAP_NEXT}"', ""))).soap_client


def test_item_50_message_order() -> None:
    """SequenceNumber from 0, Reset or Continue; not together with SyncReply (50)."""
    assert reads(envelope(header_xml() + ORDER)).order == Order(7, "Continue")
    reset = ORDER.replace(">7<", ">0<").replace("Continue", "Reset")
    assert reads(envelope(header_xml() + reset)).order == Order(0, "Reset")
    assert refuse(envelope(header_xml() + ORDER.replace("Continue", "Reset"))).code == "Inconsistent"
    assert refuse(envelope(header_xml() + ORDER.replace(">7<", ">-7<"))).soap_client
    assert refuse(envelope(header_xml() + ORDER.replace(">7<", f">{'9' * 5000}<"))).code == "ValueNotRecognized"
    assert refuse(envelope(header_xml() + ORDER + SYNC)).code == "Inconsistent"


def test_item_51_ping_and_pong() -> None:
    """Ping and Pong have an empty Body (51)."""
    assert reads(envelope(signal_xml("Ping", data=""))).kind == "ping"
    assert reads(envelope(signal_xml("Pong"))).kind == "pong"
    assert refuse(envelope(signal_xml("Ping", data=""), manifest("http://x.EXAMPLE/"))).code == "NotSupported"


def test_item_52_status() -> None:
    """StatusRequest and StatusResponse, Timestamp only when known (52)."""
    message = reads(envelope(signal_xml("StatusRequest", data=""), STATUS))
    assert (message.kind, message.status_request) == ("status-request", StatusRequest("m0@CENTRE.EXAMPLE"))
    answer = f'<eb:StatusResponse eb:version="2.0" eb:messageStatus="Received">{REF_TO}</eb:StatusResponse>'
    message = reads(envelope(signal_xml("StatusResponse"), answer))
    assert message.status_response == StatusResponse("m0@CENTRE.EXAMPLE", "Received", None)
    assert refuse(envelope(signal_xml("StatusResponse"), answer.replace("Received", "Eaten"))).soap_client
    assert refuse(envelope(signal_xml("StatusRequest", data=""))).code == "Inconsistent"


def test_item_54_and_56_an_error() -> None:
    """ErrorList with its Errors (54), standalone as MessageError (56)."""
    listed = ERRORS.replace(
        ERROR,
        '<eb:Error eb:codeContext="urn:x" eb:errorCode="Own" eb:severity="Warning" eb:location="cid:a">'
        '<eb:Description xml:lang="en">why</eb:Description></eb:Error>',
    )
    message = reads(envelope(signal_xml("MessageError") + listed))
    assert message.kind == "error"
    assert message.errors == ErrorList("Error", (EbError("Own", "Warning", "why", "cid:a", "urn:x"),))
    assert refuse(envelope(signal_xml("MessageError"))).code == "Inconsistent"


def test_item_58_sloppy_errors_are_read_by_name() -> None:
    """No xml:lang, missing version, empty ErrorList, mustUnderstand true: real traffic (58), named when used."""
    sloppy = '<eb:ErrorList SOAP:mustUnderstand="true" eb:highestSeverity="Error"></eb:ErrorList>'
    soap = envelope(signal_xml("MessageError", rest="<eb:Description>oh</eb:Description>") + sloppy)
    names = (EMPTY_ERROR_LIST, MISSING_LANGUAGE, MISSING_VERSION, MUST_UNDERSTAND_TRUE)
    message = reads(soap, *names)
    assert message.errors == ErrorList("Error", ())
    assert message.header.descriptions[0].language == ""
    assert sorted(each.name for each in message.findings) == sorted(names)
    for name in names:
        assert refuse(soap, *(each for each in TOLERANCES if each != name)).code == "Inconsistent"


@pytest.mark.parametrize(
    "blocks",
    [
        header_xml(marks=f'{MARKS} SOAP:actor="{SOAP_NEXT}"'),
        header_xml() + ORDER.replace("2.0", '2.0" SOAP:actor="urn:x'),
        header_xml() + ERRORS.replace("2.0", f'2.0" SOAP:actor="{SOAP_NEXT}'),
        header_xml() + SYNC + SYNC,
        header_xml() + ACK + ACK,
        header_xml() + ORDER + ORDER,
        header_xml() + ERRORS + ERRORS,
        header_xml() + ACK.replace(TO_PARTY, "urn:somebody"),
    ],
)
def test_item_62_doubled_blocks_and_wrong_actors_are_refused(blocks: str) -> None:
    """The schema passes them all; a block that an actor takes out of the signature is a forger's (62)."""
    assert refuse(envelope(blocks), *TOLERANCES).code in {"Inconsistent", "ValueNotRecognized"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<eb:Manifest ", f'<eb:Manifest SOAP:actor="{SOAP_NEXT}" '),
        ("<eb:Reference ", f'<eb:Reference SOAP:actor="{SOAP_NEXT}" '),
        ("<eb:CPAId>", f'<x:y xmlns:x="urn:x" SOAP:actor="{SOAP_NEXT}"/><eb:CPAId>'),
        ("<SOAP:Body>", f'<SOAP:Body SOAP:actor="{NEXT_MSH}">'),
        ("<SOAP:Header>", f'<SOAP:Header SOAP:actor="{NEXT_MSH}">'),
        ("<SOAP:Envelope ", f'<SOAP:Envelope SOAP:actor="{NEXT_MSH}" '),
    ],
)
def test_item_62_an_actor_anywhere_else_is_refused(old: str, new: str) -> None:
    """An actor inside a block, on the Body or above takes it out of the signature as well (62, section 8)."""
    soap = envelope(body=manifest("cid:one@A.EXAMPLE")).replace(old.encode(), new.encode(), 1)
    with pytest.raises(EbFault, match="Inconsistent"):
        read(*multipart(soap, ("Content-ID: <one@A.EXAMPLE>", b"")), tolerances=ALL)


def test_unknown_blocks() -> None:
    """Unknown ebMS blocks are refused; foreign ones only if they must be understood, by us (SOAP 1.1 section 4.2.3)."""
    assert refuse(envelope(header_xml() + f"<eb:Via {MARKS}/>")).soap_code == "MustUnderstand"
    assert refuse(envelope(header_xml() + '<eb:Via eb:version="2.0"/>')).code == "NotSupported"
    assert refuse(envelope(body='<eb:Other eb:version="2.0"/>')).code == "NotSupported"
    foreign = '<x:a xmlns:x="urn:x" SOAP:mustUnderstand="1" SOAP:actor="{}"/>'
    assert refuse(envelope(header_xml() + foreign.format(SOAP_NEXT))).soap_code == "MustUnderstand"
    assert reads(envelope(header_xml() + foreign.format("urn:somebody:else"))).kind == "business"
    assert refuse(envelope(signal_xml("Dance"))).code == "ValueNotRecognized"


def test_a_comment_cannot_cut_a_value() -> None:
    """Canonicalisation drops comments, so a signature would not see Sub<!-- -->mit; it is refused."""
    assert refuse(envelope(header_xml(action="Sub<!-- -->mit"))).code == "OtherXml"
    assert refuse(envelope(header_xml(action="Sub<?x?>mit"))).soap_client
    assert reads(envelope("<!-- between -->" + header_xml())).header.action == "Submit"


def test_an_identifier_is_bounded() -> None:
    """Identifiers become keys of the store: 1,024 characters, not blank."""
    assert refuse(envelope(header_xml(action="x" * 1025))).soap_client
    assert refuse(envelope(header_xml(action="  "))).soap_client
    assert reads(envelope(header_xml(action="\n Submit "))).header.action == "Submit"
