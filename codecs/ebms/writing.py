"""An ebMS message, written: strict, whatever is tolerated on receipt.

*Strategy.* The Envelope is built element by element in the schema's order, every ebMS attribute qualified and
``mustUnderstand`` the literal 1 (spec section 3), signed while it is a tree, and serialised once. The schema and our
own strict reader check what comes out in the tests, so nothing is checked a second time here but what a caller could
get wrong: a message that cannot be (a payload without a Content-ID, an acknowledgment of nothing) is a ValueError.

Nothing here has a clock or makes an id: what is written twice is the same twice.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from lxml import etree

from sekisho.codecs.ebms.names import (
    DS,
    EB,
    MSH_ACTIONS,
    MSH_SERVICE,
    NEXT_MSH,
    SOAP,
    SOAP_NEXT,
    TO_PARTY_MSH,
    VERSION,
    XLINK,
    XML,
)
from sekisho.codecs.ebms.package import join
from sekisho.codecs.ebms.signing import Signer
from sekisho.codecs.ebms.values import (
    Acknowledgment,
    Description,
    EbMessage,
    ErrorList,
    Header,
    ManifestItem,
    Party,
    SignedReference,
    Wire,
)

__all__ = ["soap_fault", "write"]

_NAMES: Final = {"soap": SOAP, "eb": EB}
_FAULT: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<SOAP:Envelope xmlns:SOAP="' + SOAP + '"><SOAP:Body><SOAP:Fault>'
    "<faultcode>SOAP:{code}</faultcode><faultstring>{text}</faultstring></SOAP:Fault></SOAP:Body></SOAP:Envelope>"
)


def write(message: EbMessage, *, boundary: str, content_id: str, signer: Signer | None = None) -> Wire:
    """The bytes of a message.

    ``boundary`` must not occur in a part; ``content_id`` is the SOAP part's, without angle brackets. Both are used only
    with payloads, which all need a Content-ID of their own. A message with payloads and no ``manifest`` gets one that
    names each of them. With ``signer`` the message is signed, all payloads covered (59). ``is_signed``, ``digests``,
    ``findings`` and ``document`` of ``message`` are not looked at.

    Raises ValueError for a message that would break a rule of its own kind.
    """
    if not message.manifest and message.payloads:
        message = replace(message, manifest=tuple(ManifestItem(f"cid:{each.content_id}") for each in message.payloads))
    _judge(message)
    root = etree.Element(_soap("Envelope"), nsmap=_NAMES)
    heading = etree.SubElement(root, _soap("Header"))
    body = etree.SubElement(root, _soap("Body"))
    _header(heading, message.header)
    if message.sync_reply is not None:
        _block(heading, "SyncReply").set(_soap("actor"), SOAP_NEXT)
    if message.ack_requested is not None:
        block = _block(heading, "AckRequested")
        block.set(_soap("actor"), message.ack_requested.actor)
        block.set(_eb("signed"), "true" if message.ack_requested.signed else "false")
    if message.acknowledgment is not None:
        _acknowledgment(heading, message.acknowledgment)
    if message.order is not None:
        number = _leaf(_block(heading, "MessageOrder"), "SequenceNumber", str(message.order.sequence))
        number.set(_eb("status"), message.order.status)
    if message.errors is not None:
        _error_list(heading, message.errors)
    _content(body, message)
    digests: tuple[SignedReference, ...] = ()
    if signer is not None:
        digests = signer.sign(root, message.payloads)
    soap = etree.tostring(root, encoding="UTF-8", xml_declaration=True)
    content_type, whole = join(soap, content_id, message.payloads, boundary)
    return Wire(content_type, whole, digests)


def soap_fault(code: str, text: str) -> bytes:
    """A SOAP 1.1 Fault (text/xml, UTF-8) to go with HTTP status 500.

    ``code`` is Client, Server, VersionMismatch or MustUnderstand; ``text`` is shown to the peer, so it holds nothing
    internal. Characters that XML cannot hold are replaced.
    """
    if code not in {"Client", "Server", "VersionMismatch", "MustUnderstand"}:
        raise ValueError(f"no SOAP fault code: {code!r}")
    shown = "".join(each if each.isprintable() else "\ufffd" for each in text)
    shown = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _FAULT.format(code=code, text=shown).encode("utf-8", "replace")


def _judge(message: EbMessage) -> None:
    header, kind = message.header, message.kind
    if not header.sender.ids or not header.receiver.ids:
        raise ValueError("a party without PartyId")
    if header.service.value == MSH_SERVICE and header.action not in MSH_ACTIONS:
        raise ValueError("no action of the MSH service")
    if message.order is not None and message.sync_reply is not None:
        raise ValueError("MessageOrder and SyncReply exclude each other")
    if kind in {"acknowledgment", "error", "pong", "status-response"} and not header.ref_to:
        raise ValueError("RefToMessageId is missing")
    needed = {
        "acknowledgment": message.acknowledgment,
        "error": message.errors,
        "status-request": message.status_request,
        "status-response": message.status_response,
    }
    if needed.get(kind, message) is None:
        raise ValueError("the block that the Action promises is missing")
    if kind == "acknowledgment" and (message.ack_requested is not None or header.duplicate_elimination):
        raise ValueError("an acknowledgment asks for nothing")
    if kind != "business" and message.payloads:
        raise ValueError("a payload in a message of the MSH service")
    if (bool(message.manifest) + (message.status_request is not None) + (message.status_response is not None)) > 1:
        raise ValueError("more than one ebMS element in the Body")
    known = message.acknowledgment
    if known is not None and kind == "acknowledgment" and known.ref_to != header.ref_to:
        raise ValueError("the two RefToMessageId differ")
    for actor in (message.ack_requested, message.acknowledgment):
        if actor is not None and actor.actor not in {NEXT_MSH, TO_PARTY_MSH}:
            raise ValueError("the actor is neither nextMSH nor toPartyMSH")
    if message.errors is not None and not message.errors.errors:
        raise ValueError("the ErrorList is empty")
    named = {item.href for item in message.manifest}
    if any(f"cid:{payload.content_id}" not in named for payload in message.payloads):
        raise ValueError("a payload that the Manifest does not name")
    if any(href.startswith("cid:") and message.payload(href) is None for href in named):
        raise ValueError("the Manifest names a part that is not there")


def _header(heading: etree._Element, header: Header) -> None:
    block = _block(heading, "MessageHeader")
    _party(block, "From", header.sender)
    _party(block, "To", header.receiver)
    _leaf(block, "CPAId", header.cpa_id)
    _leaf(block, "ConversationId", header.conversation)
    service = _leaf(block, "Service", header.service.value)
    if header.service.type:
        service.set(_eb("type"), header.service.type)
    _leaf(block, "Action", header.action)
    data = etree.SubElement(block, _eb("MessageData"))
    _leaf(data, "MessageId", header.message_id)
    _leaf(data, "Timestamp", _time(header.timestamp))
    if header.ref_to:
        _leaf(data, "RefToMessageId", header.ref_to)
    if header.time_to_live is not None:
        _leaf(data, "TimeToLive", _time(header.time_to_live))
    if header.duplicate_elimination:
        etree.SubElement(block, _eb("DuplicateElimination"))
    _descriptions(block, header.descriptions)


def _acknowledgment(heading: etree._Element, acknowledgment: Acknowledgment) -> None:
    block = _block(heading, "Acknowledgment")
    block.set(_soap("actor"), acknowledgment.actor)
    _leaf(block, "Timestamp", _time(acknowledgment.timestamp))
    _leaf(block, "RefToMessageId", acknowledgment.ref_to)
    if acknowledgment.sender is not None:
        _party(block, "From", acknowledgment.sender)
    for reference in acknowledgment.references:
        copied = etree.fromstring(reference.xml, etree.XMLParser(resolve_entities=False, no_network=True))
        if copied.tag != f"{{{DS}}}Reference":
            raise ValueError("what is acknowledged is no ds:Reference")
        block.append(copied)


def _error_list(heading: etree._Element, errors: ErrorList) -> None:
    block = _block(heading, "ErrorList")
    block.set(_eb("highestSeverity"), errors.highest)
    for error in errors.errors:
        item = etree.SubElement(block, _eb("Error"))
        if error.context:
            item.set(_eb("codeContext"), error.context)
        item.set(_eb("errorCode"), error.code)
        item.set(_eb("severity"), error.severity)
        if error.location:
            item.set(_eb("location"), error.location)
        if error.text:
            _descriptions(item, (Description(error.text, error.language),))


def _content(body: etree._Element, message: EbMessage) -> None:
    if message.manifest:
        # xlink is declared here only: each name space of the Envelope is a node at each element for the signature.
        block = _body_block(body, "Manifest", {"xlink": XLINK})
        for item in message.manifest:
            reference = etree.SubElement(block, _eb("Reference"))
            reference.set(f"{{{XLINK}}}type", "simple")
            reference.set(f"{{{XLINK}}}href", item.href)
            if item.role:
                reference.set(f"{{{XLINK}}}role", item.role)
            if item.id:
                reference.set(_eb("id"), item.id)
            for schema in item.schemas:
                place = etree.SubElement(reference, _eb("Schema"))
                place.set(_eb("location"), schema.location)
                if schema.version:
                    place.set(_eb("version"), schema.version)
            _descriptions(reference, item.descriptions)
    if message.status_request is not None:
        _leaf(_body_block(body, "StatusRequest"), "RefToMessageId", message.status_request.ref_to)
    if message.status_response is not None:
        block = _body_block(body, "StatusResponse")
        block.set(_eb("messageStatus"), message.status_response.status)
        _leaf(block, "RefToMessageId", message.status_response.ref_to)
        if message.status_response.timestamp is not None:
            _leaf(block, "Timestamp", _time(message.status_response.timestamp))


def _party(parent: etree._Element, name: str, party: Party) -> None:
    element = etree.SubElement(parent, _eb(name))
    for each in party.ids:
        identifier = _leaf(element, "PartyId", each.value)
        if each.type:
            identifier.set(_eb("type"), each.type)
    if party.role:
        _leaf(element, "Role", party.role)


def _descriptions(parent: etree._Element, descriptions: tuple[Description, ...]) -> None:
    for each in descriptions:
        _leaf(parent, "Description", each.text).set(f"{{{XML}}}lang", each.language or "en")


def _block(heading: etree._Element, name: str) -> etree._Element:
    block = _body_block(heading, name)
    block.set(_soap("mustUnderstand"), "1")
    return block


def _body_block(parent: etree._Element, name: str, names: dict[str, str] | None = None) -> etree._Element:
    block = etree.SubElement(parent, _eb(name), nsmap=names)
    block.set(_eb("version"), VERSION)
    return block


def _leaf(parent: etree._Element, name: str, text: str) -> etree._Element:
    if not text or text != text.strip(" \t\r\n"):
        raise ValueError(f"eb:{name} is blank, or has blanks around it")
    element = etree.SubElement(parent, _eb(name))
    element.text = text
    return element


def _time(time: datetime) -> str:
    if time.tzinfo is None:
        raise ValueError("a time without zone")
    utc = time.astimezone(UTC)
    text = utc.isoformat(timespec="milliseconds" if utc.microsecond else "seconds")
    return text.removesuffix("+00:00") + "Z"


def _eb(name: str) -> str:
    return f"{{{EB}}}{name}"


def _soap(name: str) -> str:
    return f"{{{SOAP}}}{name}"
