"""Which part of an ebMS message is the message of the house, and which are files beside it.

*Strategy.* The agreed action says which; without a word of it the first part is. The journal keeps the whole body, and
a request that is read again knows its part by the digest that was journalled with it, so a profile that has changed
meanwhile changes nothing for what is in already.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from sekisho.codecs.ebms.package import split
from sekisho.codecs.ebms.values import LIMITS, EbFault, EbMessage, Limits, Payload
from sekisho.codecs.envelope import Attachment
from sekisho.gateway.ebms_partners import Action

__all__ = ["body_of", "chosen", "files", "reopened"]

_MULTIPART: Final = "multipart/"


def body_of(content_type: str, raw: bytes, start: int) -> bytes:
    """The HTTP body inside journal bytes, for the codec.

    A multipart body may be read with its head in front: what stands before the first boundary is nobody's (RFC 2046
    5.1.1), and a large body is not copied.
    """
    return raw if content_type.lstrip()[:10].lower() == _MULTIPART else raw[start:]


def chosen(message: EbMessage, action: Action) -> Payload | None:
    """The payload that is the message; None if there is none. Raises :class:`EbFault` if the agreed one is missing."""
    if not action.part:
        return message.payloads[0] if message.payloads else None
    for payload in message.payloads:
        if payload.content_type.partition(";")[0].strip().lower() == action.part.lower():
            return payload
    for item in message.manifest:
        found = message.payload(item.href) if item.role == action.part else None
        if found is not None:
            return found
    raise EbFault(
        "MimeProblem",
        "the payload that is agreed for this action is missing",
        location="/SOAP:Envelope/SOAP:Body/eb:Manifest",
        header=message.header,
    )


def files(payloads: tuple[Payload, ...], message: Payload | None) -> tuple[Attachment, ...]:
    """The other parts, named by their Content-ID."""
    return tuple(Attachment(one.content_id, one.content_type, one.content) for one in payloads if one is not message)


def reopened(raw: bytes, digest: str, limits: Limits = LIMITS) -> tuple[bytes, tuple[Attachment, ...]]:
    """Content and files of a journalled message; ``digest`` is the SHA-256 of its content in hex.

    What cannot be taken apart any more has neither.
    """
    head, _, _ = raw.partition(b"\r\n\r\n")
    content_type = head.removeprefix(b"Content-Type: ").decode("ascii", "replace")
    try:
        package = split(content_type, body_of(content_type, raw, len(head) + 4), limits)
    except EbFault:
        return b"", ()
    found = next((one for one in package.parts if sha256(one.content).hexdigest() == digest), None)
    return (found.content if found is not None else b""), files(package.parts, found)
