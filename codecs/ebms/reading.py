"""An ebMS message, read: bytes to an :class:`EbMessage`, or an :class:`EbFault` that says what is wrong.

*Strategy.* The order is that of spec section 5: package, XML, structure, schema, header, blocks, agreement of the
blocks with each other. The structure rules come before the schema because the schema passes what they forbid: a second
MessageHeader, or an ``actor`` that takes a block out of the signature (checklist 14 and 62, section 1.4). Blocks are
found as children of SOAP:Header and SOAP:Body and nowhere else, and the tree they were read from goes along for the
verifier.

Whatever is found wrong after the MessageHeader was read carries it, so that a MessageError can be addressed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from lxml import etree

from sekisho.codecs.ebms.blocks import Reader, references_of
from sekisho.codecs.ebms.names import (
    DS,
    EB,
    MSH_ACTIONS,
    MSH_SERVICE,
    NEXT_MSH,
    RICH_ACKNOWLEDGMENT,
    SOAP,
    SOAP_NEXT,
    TO_PARTY_MSH,
    UNNAMED_PART,
)
from sekisho.codecs.ebms.package import Package, split
from sekisho.codecs.ebms.repairs import mended
from sekisho.codecs.ebms.values import LIMITS, EbFault, EbMessage, ErrorCode, Finding, Header, Limits
from sekisho.codecs.ebms.xml import MESSAGE_SCHEMA, parse_envelope, path_of

__all__ = ["read", "read_package"]

_ACTOR: Final = f"{{{SOAP}}}actor"
_HEADER_BLOCKS: Final = ("MessageHeader", "AckRequested", "Acknowledgment", "SyncReply", "MessageOrder", "ErrorList")
_BODY_BLOCKS: Final = ("Manifest", "StatusRequest", "StatusResponse")
_WITH_ACTOR: Final = frozenset(f"{{{EB}}}{name}" for name in ("AckRequested", "Acknowledgment", "SyncReply"))
_OUR_ACTORS: Final = frozenset({"", SOAP_NEXT, NEXT_MSH, TO_PARTY_MSH})
_SIGNATURE: Final = f"{{{DS}}}Signature"
# An actor anywhere but on a header block would take that element out of the signature (spec section 8, the XPath).
_HIDDEN_ACTOR: Final = etree.XPath(
    "boolean(//*[@SOAP:actor][not(parent::SOAP:Header[parent::SOAP:Envelope[not(parent::*)]])])",
    namespaces={"SOAP": SOAP},
)
_REFERRING: Final = frozenset({"acknowledgment", "error", "pong", "status-response"})


def read(
    content_type: str,
    body: bytes,
    *,
    tolerances: frozenset[str] = frozenset(),
    limits: Limits = LIMITS,
    external_references: bool = False,
) -> EbMessage:
    """The message in an HTTP body.

    ``content_type`` is the HTTP field's value. ``tolerances`` are names of ``names.TOLERANCES``; each that was needed
    is among the findings. With ``external_references`` a Manifest may name addresses outside the message, which are
    never fetched (27). A signature that is there is not judged here: ``signing.Verifier`` does that.

    Raises :class:`EbFault` for everything that breaks a rule, with the MessageHeader where it was read.
    """
    return read_package(
        split(content_type, body, limits), tolerances=tolerances, limits=limits, external_references=external_references
    )


def read_package(
    package: Package,
    *,
    tolerances: frozenset[str] = frozenset(),
    limits: Limits = LIMITS,
    external_references: bool = False,
) -> EbMessage:
    """The message in a package that was taken apart already. As :func:`read`."""
    root = parse_envelope(package.soap, package.charset, limits)
    heading, body = _sections(root)
    reader = Reader(tolerances, limits)
    reader.findings.extend(package.findings)
    place = _message_header(heading)
    _judge_schema(root, reader)
    header = reader.header(place)
    try:
        return _message(reader, header, heading, body, package, external_references)
    except EbFault as fault:
        fault.header = header
        raise


def _message(
    reader: Reader,
    header: Header,
    heading: etree._Element,
    body: etree._Element,
    package: Package,
    external_references: bool,
) -> EbMessage:
    if _HIDDEN_ACTOR(heading):
        raise EbFault("Inconsistent", "an actor on something that is no header block", location="/SOAP:Envelope")
    found = _header_blocks(heading)
    content = _body_blocks(body)
    reader.judge_header(header, found["MessageHeader"])
    for name in _HEADER_BLOCKS[1:]:
        if name in found:
            reader.version(found[name])
    signature = found.get("Signature")
    signed_info = None if signature is None else signature.find(f"{{{DS}}}SignedInfo")
    message = EbMessage(
        header=header,
        ack_requested=reader.ack_requested(found["AckRequested"]) if "AckRequested" in found else None,
        acknowledgment=reader.acknowledgment(found["Acknowledgment"]) if "Acknowledgment" in found else None,
        sync_reply=reader.sync_reply(found["SyncReply"]) if "SyncReply" in found else None,
        order=reader.order(found["MessageOrder"]) if "MessageOrder" in found else None,
        errors=reader.error_list(found["ErrorList"]) if "ErrorList" in found else None,
        manifest=reader.manifest(content["Manifest"]) if "Manifest" in content else (),
        status_request=reader.status_request(content["StatusRequest"]) if "StatusRequest" in content else None,
        status_response=reader.status_response(content["StatusResponse"]) if "StatusResponse" in content else None,
        payloads=package.parts,
        is_signed=signature is not None,
        digests=() if signed_info is None else references_of(signed_info),
        document=heading.getroottree().getroot(),
    )
    _judge_manifest(reader, message, external_references)
    _judge_kind(reader, message, found["MessageHeader"])
    return replace(message, findings=tuple(reader.findings))


def _sections(root: etree._Element) -> tuple[etree._Element, etree._Element]:
    """SOAP:Header and SOAP:Body, each exactly once."""
    headings = root.findall(f"{{{SOAP}}}Header")
    bodies = root.findall(f"{{{SOAP}}}Body")
    if len(headings) != 1 or len(bodies) != 1:
        raise _refused("the Envelope has not one Header and one Body")
    return headings[0], bodies[0]


def _message_header(heading: etree._Element) -> etree._Element:
    """The one MessageHeader (14), which names no actor (62), and no block that must be understood and is not."""
    places = heading.findall(f"{{{EB}}}MessageHeader")
    if len(places) != 1:
        raise _refused("there is not exactly one MessageHeader")
    if _ACTOR in places[0].attrib:
        raise _refused("the MessageHeader names an actor")
    for block in heading.iterchildren("*"):
        known = block.tag == _SIGNATURE or block.tag in {f"{{{EB}}}{name}" for name in _HEADER_BLOCKS}
        demanded = block.get(f"{{{SOAP}}}mustUnderstand", "0").strip() in {"1", "true"}
        if demanded and not known and block.get(_ACTOR, "") in _OUR_ACTORS:
            raise EbFault(
                "NotSupported",
                "a header block must be understood and is not",
                location=path_of(block),
                soap_code="MustUnderstand",
            )
    return places[0]


def _judge_schema(root: etree._Element, reader: Reader) -> None:
    wrong = MESSAGE_SCHEMA.error(root)
    if wrong and reader.tolerances:
        judged, findings = mended(root, reader.tolerances)
        reader.findings.extend(findings)
        wrong = MESSAGE_SCHEMA.error(judged)
    if wrong:
        raise _refused(wrong)


def _header_blocks(heading: etree._Element) -> dict[str, etree._Element]:
    """The blocks of SOAP:Header by name, each at most once; ``Signature`` is ds:Signature."""
    found: dict[str, etree._Element] = {}
    for block in heading.iterchildren("*"):
        name = etree.QName(block)
        if name.namespace == EB:
            if name.localname not in _HEADER_BLOCKS:
                raise EbFault("NotSupported", "an unknown ebMS header block", location=path_of(block))
        elif block.tag != _SIGNATURE:
            continue
        if name.localname in found:
            twice: ErrorCode = "SecurityFailure" if block.tag == _SIGNATURE else "Inconsistent"
            if block.tag in _WITH_ACTOR and block.get(_ACTOR) != found[name.localname].get(_ACTOR):
                twice = "NotSupported"  # one for nextMSH beside one for toPartyMSH: we are no intermediary (30)
            raise EbFault(twice, f"more than one {name.localname}", location=path_of(block))
        if _ACTOR in block.attrib and block.tag not in _WITH_ACTOR:
            raise EbFault("Inconsistent", "an actor on a block that has none", location=path_of(block))
        found[name.localname] = block
    return found


def _body_blocks(body: etree._Element) -> dict[str, etree._Element]:
    """The block of SOAP:Body: one Manifest, StatusRequest or StatusResponse, or nothing of ebMS."""
    found: dict[str, etree._Element] = {}
    for block in body.iterchildren(f"{{{EB}}}*"):
        name = etree.QName(block).localname
        if name not in _BODY_BLOCKS:
            raise EbFault("NotSupported", "an unknown ebMS element in the Body", location=path_of(block))
        if found:
            raise EbFault("Inconsistent", "more than one ebMS element in the Body", location=path_of(block))
        found[name] = block
    return found


def _judge_manifest(reader: Reader, message: EbMessage, external_references: bool) -> None:
    """Every cid: address has its part (25), no address leads outside unless agreed (27), every part is named."""
    named: set[str] = set()
    for item in message.manifest:
        if item.href.startswith("cid:"):
            payload = message.payload(item.href)
            if payload is None:
                raise EbFault("MimeProblem", "the Manifest names a part that is not there", location=item.href)
            named.add(payload.content_id)
        elif not external_references:
            raise EbFault("NotSupported", "references outside the message are not accepted", location=item.href)
    for payload in message.payloads:
        if payload.content_id not in named:
            text = "a part that the Manifest does not name"
            reader.findings.append(Finding(UNNAMED_PART, text, f"cid:{payload.content_id}"))


def _judge_kind(reader: Reader, message: EbMessage, place: etree._Element) -> None:
    """What a message of the MSH service must and must not hold (21, 32, 33, 50, 51, 52, 54, 56)."""
    header = message.header
    if message.order is not None and message.sync_reply is not None:
        raise EbFault("Inconsistent", "MessageOrder together with SyncReply", location="/SOAP:Envelope/SOAP:Header")
    if header.service.value != MSH_SERVICE:
        return
    if header.action not in MSH_ACTIONS:
        raise EbFault("ValueNotRecognized", "no action of the MSH service", location=f"{path_of(place)}/eb:Action")
    kind = message.kind
    if kind in _REFERRING and not header.ref_to:
        raise EbFault("Inconsistent", "RefToMessageId is missing", location=f"{path_of(place)}/eb:MessageData")
    needed = {
        "acknowledgment": message.acknowledgment,
        "error": message.errors,
        "status-request": message.status_request,
        "status-response": message.status_response,
    }
    if needed.get(kind, message) is None:
        raise EbFault("Inconsistent", "the block that the Action promises is missing", location=path_of(place))
    if message.manifest:
        raise EbFault("Inconsistent", "a Manifest in a message of the MSH service", location=path_of(place))
    if kind == "acknowledgment":
        if message.acknowledgment is not None and message.acknowledgment.ref_to != header.ref_to:
            raise EbFault("Inconsistent", "the two RefToMessageId differ", location=path_of(place))
        if header.duplicate_elimination:
            text = "an Acknowledgment carries DuplicateElimination"
            reader.deviation(RICH_ACKNOWLEDGMENT, "Inconsistent", text, place)
        if message.ack_requested is not None:
            reader.deviation(RICH_ACKNOWLEDGMENT, "Inconsistent", "an Acknowledgment asks for one itself", place)


def _refused(text: str) -> EbFault:
    return EbFault("Inconsistent", text, soap_code="Client")
