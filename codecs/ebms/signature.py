"""The shape of a signature: what must hold before any cryptography is worth its time.

*Strategy.* A signature that verifies says only that *something* was signed. So its shape is judged first, element by
element, against the one shape that ebMS 2.0 knows (spec section 8, checklist 59 to 64): the first Reference is the
Envelope itself with exactly the known transforms, every other one is a part of this message, and together they cover
every part. Only algorithms of an allow-list pass. The key is no part of this: KeyInfo is a hint and nothing more.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from lxml import etree

from sekisho.codecs.ebms.names import (
    C14N,
    DIGESTS,
    DS,
    ENVELOPED,
    EXCLUSIVE_C14N,
    MISSING_XPATH,
    NEXT_MSH,
    RSA_SHA1,
    SHA1,
    SHA1_TOLERATED,
    SIGNATURES,
    SOAP,
    XPATH,
    XPATH_TEXT,
)
from sekisho.codecs.ebms.values import EbFault, EbMessage, Finding

__all__ = ["SIGNED_NODES", "Shape", "judge_shape", "refused"]

_PLACE: Final = "/SOAP:Envelope/SOAP:Header/ds:Signature"
_CANONICAL: Final = frozenset({C14N, EXCLUSIVE_C14N})
_CID: Final = re.compile(r"cid:[!-~]{1,500}")
_CHILDREN: Final = ("SignedInfo", "SignatureValue", "KeyInfo")
SIGNED_NODES: Final = 20_000
"""Nodes of a signed Envelope: elements, texts, attributes, and each name space at each element it holds for. The
XPath of ebMS makes a node set of all of them and libxml2 searches that one by one, so the cost grows with the square:
half a second at 15,000, 48 seconds at 150,000, which is 700 parts under 50 declarations (docs/ebms-wire.md). An
Envelope of one part has 300, one of 500 parts with the usual four name spaces 15,000."""
_COMMENT: Final = 100
"""What a comment counts for: 18,000 of them beside each other took 8 seconds, for sorting walks along all siblings."""


class Shape:
    """A signature whose shape is right: its element, and the bytes of each part by the address that names it."""

    def __init__(self, element: etree._Element, served: dict[bytes, bytes], findings: list[Finding]) -> None:
        self.element = element
        self.served = served
        self.findings = findings


def refused(text: str, message: EbMessage) -> EbFault:
    """SecurityFailure at the Signature."""
    return EbFault("SecurityFailure", text, location=_PLACE, header=message.header)


def judge_shape(message: EbMessage, tolerances: frozenset[str], most_nodes: int = SIGNED_NODES) -> Shape:
    """Judge the signature of a message that was read, by its own tree.

    ``tolerances`` may hold ``sha1`` and ``missing-xpath``; ``most_nodes`` bounds what it may cost. Raises
    :class:`EbFault` with SecurityFailure.
    """
    root = message.document
    if not etree.iselement(root) or not message.is_signed:
        raise refused("the message is not signed", message)
    found = list(root.iter(f"{{{DS}}}Signature"))
    heading = root.find(f"{{{SOAP}}}Header")
    if len(found) != 1 or found[0].getparent() is not heading:
        raise refused("there is not exactly one Signature, or it is not in the Header", message)
    _judge_cost(root, message, most_nodes)
    judge = _Judge(message, tolerances)
    return Shape(found[0], judge.signature(found[0]), judge.findings)


class _Judge:
    def __init__(self, message: EbMessage, tolerances: frozenset[str]) -> None:
        self.message = message
        self.tolerances = tolerances
        self.findings: list[Finding] = []

    def signature(self, element: etree._Element) -> dict[bytes, bytes]:
        names = [etree.QName(child) for child in element.iterchildren("*")]
        if [name.localname for name in names] not in (list(_CHILDREN), list(_CHILDREN[:2])) or any(
            name.namespace != DS for name in names
        ):
            raise self.no("the Signature holds something else than SignedInfo, SignatureValue and KeyInfo")
        info = self._only(element, "SignedInfo")
        method = self._only(info, "CanonicalizationMethod")
        if method.get("Algorithm") not in _CANONICAL or len(method):
            raise self.no("the canonicalisation is not accepted")
        self._algorithm(self._only(info, "SignatureMethod"), SIGNATURES, RSA_SHA1)
        references = info.findall(f"{{{DS}}}Reference")
        if len(references) > len(self.message.payloads) + 1:
            raise self.no("there are more References than parts")
        if not references or references[0].get("URI") != "":
            raise self.no("the first Reference is not the Envelope itself")
        self._envelope(references[0])
        served: dict[bytes, bytes] = {}
        covered: set[int] = set()
        for reference in references[1:]:
            covered.add(self._part(reference, served))
        for number, payload in enumerate(self.message.payloads):
            if number not in covered:
                raise self.no("a part is outside the signature", f"cid:{payload.content_id}")
        return served

    def no(self, text: str, location: str = "") -> EbFault:
        fault = refused(text, self.message)
        if location:
            fault.location = location
        return fault

    def _envelope(self, reference: etree._Element) -> None:
        """Exactly enveloped-signature, the XPath of ebMS, canonicalisation (59)."""
        self._digest(reference)
        transforms = list(self._only(reference, "Transforms").iterchildren("*"))
        names = [each.get("Algorithm") for each in transforms]
        if names[:1] != [ENVELOPED] or names[-1] not in _CANONICAL or len(transforms[0]) or len(transforms[-1]):
            raise self.no("the transforms of the Envelope are not those of ebMS")
        if len(names) == 2:
            if MISSING_XPATH not in self.tolerances:
                raise self.no("the XPath transform is missing")
            self.findings.append(Finding(MISSING_XPATH, "the signature has no XPath transform", _PLACE))
            return
        if len(names) != 3 or names[1] != XPATH:
            raise self.no("the transforms of the Envelope are not those of ebMS")
        self._xpath(transforms[1])
        if self.message.acknowledgment is not None and self.message.acknowledgment.actor == NEXT_MSH:
            raise self.no("the Acknowledgment is outside the signature, because its actor is nextMSH")

    def _xpath(self, transform: etree._Element) -> None:
        """The text of ebMS character for character; only the prefix and the blanks between its parts are free."""
        inner = list(transform)
        if len(inner) != 1 or inner[0].tag != f"{{{DS}}}XPath" or len(inner[0]):
            raise self.no("the XPath transform is not the one of ebMS")
        text = " ".join((inner[0].text or "").split())
        for prefix, space in inner[0].nsmap.items():
            if prefix and space == SOAP and text == XPATH_TEXT.replace("SOAP:actor", f"{prefix}:actor"):
                return
        raise self.no("the XPath transform is not the one of ebMS")

    def _part(self, reference: etree._Element, served: dict[bytes, bytes]) -> int:
        """The number of the part that a Reference covers; its bytes are put where xmlsec will ask for them.

        xmlsec asks for the address with its percent-escapes undone, so no two addresses may become one that way, and
        none may become what C takes for shorter.
        """
        self._digest(reference)
        uri = reference.get("URI", "")
        plain = unquote(uri)
        if _CID.fullmatch(uri) is None or _CID.fullmatch(plain) is None or (plain != uri and "%" in plain):
            raise self.no("a Reference is no cid: address")
        if reference.find(f"{{{DS}}}Transforms") is not None:
            raise self.no("a part's Reference has transforms", uri)
        payload = self.message.payload(uri)
        if payload is None:
            raise self.no("a Reference names a part that is not there", uri)
        keys = {uri.encode("ascii"), plain.encode("ascii")}
        if any(key in served for key in keys):
            raise self.no("a part is signed twice", uri)
        for key in keys:
            served[key] = payload.content
        return next(number for number, each in enumerate(self.message.payloads) if each is payload)

    def _digest(self, reference: etree._Element) -> None:
        self._algorithm(self._only(reference, "DigestMethod"), DIGESTS, SHA1)

    def _algorithm(self, method: etree._Element, allowed: frozenset[str], weak: str) -> None:
        name = method.get("Algorithm", "")
        if len(method):
            raise self.no("an algorithm has parameters")
        if name in allowed:
            return
        if name != weak or SHA1_TOLERATED not in self.tolerances:
            raise self.no("an algorithm is not accepted")
        self.findings.append(Finding(SHA1_TOLERATED, "the signature uses SHA-1", _PLACE))

    def _only(self, parent: etree._Element, name: str) -> etree._Element:
        found = parent.findall(f"{{{DS}}}{name}")
        if len(found) != 1:
            raise self.no(f"there is not exactly one {name}")
        return found[0]


def _judge_cost(root: etree._Element, message: EbMessage, most: int) -> None:
    nodes = 0
    for element in root.iter():
        # Comments and processing instructions have a function for a tag, whatever the stubs say.
        nodes += _COMMENT if callable(element.tag) else 1 + len(element.attrib) + len(element.nsmap)
        nodes += (element.text is not None) + (element.tail is not None)
        if nodes > most:
            raise refused("the signed Envelope has too many elements, attributes and name spaces", message)
