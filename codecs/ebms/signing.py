"""XML signatures of ebMS messages, made and verified with xmlsec.

*Strategy.* ``signature`` judges the shape of a signature and which bytes it covers; here xmlsec computes (signxml does
not apply the XPath transform that every ebMS peer sends, spec section 8). xmlsec asks for the parts of a message
through callbacks that are one set for the whole process. Its own defaults, which can open files, are taken out when
this module is loaded, and one set is put in that serves the parts of the message being worked on and nothing else.
Those parts hang on a context variable: the callbacks run on the thread that called xmlsec, so threads verify side by
side without a lock and cannot see each other's parts.

Keys are loaded once, by the constructors. Signing and verifying take milliseconds of processor time: a caller with an
event loop calls them in a thread.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Final

import xmlsec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256 as SHA256_HASH
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509 import Certificate, load_pem_x509_certificate
from lxml import etree

from sekisho.codecs.ebms.blocks import references_of
from sekisho.codecs.ebms.names import C14N, DS, ENVELOPED, MORE, SHA256, SIGNATURES, SOAP, XPATH, XPATH_TEXT
from sekisho.codecs.ebms.signature import SIGNED_NODES, Shape, judge_shape, refused
from sekisho.codecs.ebms.values import EbMessage, Finding, Payload, SignedReference

__all__ = ["Signer", "Verified", "Verifier", "same_references"]

_SERVED: ContextVar[dict[bytes, bytes]] = ContextVar("parts of the message that xmlsec is working on")
_LEAST_RSA_BITS: Final = 2_048
"""Shorter RSA keys are refused in our own configuration (NIST SP 800-131A)."""


def _match(_name: bytes) -> bool:
    # Always: the binding keeps the callbacks in use in one variable, which a "no" of another thread would clear.
    return True


def _open(name: bytes) -> BytesIO | None:
    content = _SERVED.get({}).get(name)
    return None if content is None else BytesIO(content)


def _read(source: BytesIO | None, buffer: memoryview) -> int:
    return -1 if source is None else source.readinto(buffer)


def _close(source: BytesIO | None) -> None:
    if source is not None:
        source.close()


xmlsec.cleanup_callbacks()
xmlsec.register_callbacks(_match, _open, _read, _close)


class Signer:
    """Signs messages with one key.

    ``key_pem`` is a private key in PEM (``password`` where it is encrypted), RSA of 2,048 bits or more or EC;
    ``certificate_pem`` its certificate, which goes into KeyInfo. ``algorithm`` is a URI of ``names.SIGNATURES``;
    empty: SHA-256 with the key's own kind. Raises ValueError for anything else, and where the two do not match.
    """

    def __init__(
        self, key_pem: bytes, certificate_pem: bytes, *, algorithm: str = "", password: bytes | None = None
    ) -> None:
        key = load_pem_private_key(key_pem, password)
        certificate = load_pem_x509_certificate(certificate_pem)
        if not isinstance(key, (RSAPrivateKey, EllipticCurvePrivateKey)):
            raise ValueError("the key is neither RSA nor EC")  # noqa: TRY004
        if key.public_key() != certificate.public_key():
            raise ValueError("the certificate is not the key's")
        _judge_key(certificate)
        kind = "rsa-" if isinstance(key, RSAPrivateKey) else "ecdsa-"
        self.algorithm = algorithm or f"{MORE}{kind}sha256"
        if self.algorithm not in SIGNATURES or not self.algorithm.startswith(MORE + kind):
            raise ValueError("the algorithm is not the key's, or not accepted")
        plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self._key = xmlsec.Key.from_memory(plain, xmlsec.constants.KeyDataFormatPem)
        self._certificate = b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii")

    def sign(self, root: etree._Element, payloads: Sequence[Payload]) -> tuple[SignedReference, ...]:
        """Put a Signature into the Header of an Envelope that is otherwise ready, covering it and all ``payloads``.

        Gives what was signed. The Envelope must not change afterwards.
        """
        heading = root.find(f"{{{SOAP}}}Header")
        if heading is None:
            raise ValueError("the Envelope has no Header")
        signature = etree.SubElement(heading, _ds("Signature"), nsmap={"ds": DS})
        info = etree.SubElement(signature, _ds("SignedInfo"))
        etree.SubElement(info, _ds("CanonicalizationMethod"), Algorithm=C14N)
        etree.SubElement(info, _ds("SignatureMethod"), Algorithm=self.algorithm)
        transforms = etree.SubElement(_reference(info, ""), _ds("Transforms"))
        etree.SubElement(transforms, _ds("Transform"), Algorithm=ENVELOPED)
        chosen = etree.SubElement(transforms, _ds("Transform"), Algorithm=XPATH)
        etree.SubElement(chosen, _ds("XPath"), nsmap={"SOAP": SOAP}).text = XPATH_TEXT
        etree.SubElement(transforms, _ds("Transform"), Algorithm=C14N)
        for payload in payloads:
            _reference(info, f"cid:{payload.content_id}")
        for reference in info.iterchildren(_ds("Reference")):
            etree.SubElement(reference, _ds("DigestMethod"), Algorithm=SHA256)
            etree.SubElement(reference, _ds("DigestValue"))
        etree.SubElement(signature, _ds("SignatureValue"))
        context = xmlsec.SignatureContext()
        context.key = self._key
        token = _SERVED.set({f"cid:{payload.content_id}".encode("ascii"): payload.content for payload in payloads})
        try:
            context.sign(signature)
        except xmlsec.Error as error:
            raise ValueError("the message cannot be signed") from error
        finally:
            _SERVED.reset(token)
        # After signing: KeyInfo is in the Signature, which the enveloped-signature transform leaves out.
        data = etree.SubElement(etree.SubElement(signature, _ds("KeyInfo")), _ds("X509Data"))
        etree.SubElement(data, _ds("X509Certificate")).text = self._certificate
        return references_of(info)


@dataclass(frozen=True, slots=True)
class Verified:
    """A signature that is good: the SHA-256 fingerprint (hexadecimal) of the certificate, and what was tolerated."""

    fingerprint: str
    findings: tuple[Finding, ...] = ()


class Verifier:
    """Judges the signatures of one partner.

    ``certificates`` (PEM, one each) are the partner's, from its profile: only their keys count, KeyInfo never adds one
    (60). Several may be valid at once, so that a yearly renewal needs no stop. ``tolerances`` may hold ``sha1`` and
    ``missing-xpath``; ``signed_nodes`` bounds what one signature may cost. Raises ValueError for what is no certificate
    or has a weak key.
    """

    def __init__(
        self,
        certificates: Sequence[bytes],
        *,
        tolerances: frozenset[str] = frozenset(),
        signed_nodes: int = SIGNED_NODES,
    ) -> None:
        self.tolerances = tolerances
        self.signed_nodes = signed_nodes
        self._trusted: list[tuple[Certificate, bytes, xmlsec.Key]] = []
        for pem in certificates:
            certificate = load_pem_x509_certificate(pem)
            _judge_key(certificate)
            plain = certificate.public_bytes(Encoding.PEM)
            key = xmlsec.Key.from_memory(plain, xmlsec.constants.KeyDataFormatCertPem)
            self._trusted.append((certificate, certificate.public_bytes(Encoding.DER), key))

    def verify(self, message: EbMessage, *, now: datetime) -> Verified:
        """Say whose signature a message that was read carries.

        ``now`` (aware) is the moment the certificate must be valid at. Everything that the message was read from is
        covered but what ebMS leaves to intermediaries: blocks for the actors nextMSH and ``next`` (59).
        Raises :class:`EbFault` with SecurityFailure: no signature, a wrong shape, a part outside it (61), a key that is
        not the partner's, a certificate out of its time, a digest or signature that does not match.
        """
        shape = judge_shape(message, self.tolerances, self.signed_nodes)
        valid = [
            each for each in self._trusted if each[0].not_valid_before_utc <= now <= each[0].not_valid_after_utc
        ]
        if not valid:
            raise refused("no certificate of the sender is valid now", message)
        hint = _hinted(shape)
        valid.sort(key=lambda each: each[1] != hint)
        for certificate, _, key in valid:
            if _matches(shape, key):
                return Verified(certificate.fingerprint(SHA256_HASH()).hex(), tuple(shape.findings))
        raise refused("the signature does not match the message and a key of its sender", message)


def same_references(ours: Sequence[SignedReference], theirs: Sequence[SignedReference]) -> bool:
    """Whether a signed acknowledgment names exactly what we signed: addresses, methods and digests (34, section 6)."""
    return sorted(_key_of(each) for each in ours) == sorted(_key_of(each) for each in theirs)


def _key_of(reference: SignedReference) -> tuple[str, str, str]:
    return reference.uri, reference.digest_method, reference.digest_value


def _matches(shape: Shape, key: xmlsec.Key) -> bool:
    context = xmlsec.SignatureContext()
    context.key = key
    token = _SERVED.set(shape.served)
    try:
        context.verify(shape.element)
    except xmlsec.Error:
        return False
    finally:
        _SERVED.reset(token)
    return True


def _hinted(shape: Shape) -> bytes:
    """The certificate that KeyInfo shows, to try its key first; empty where it shows none."""
    shown = shape.element.find(f"{_ds('KeyInfo')}/{_ds('X509Data')}/{_ds('X509Certificate')}")
    try:
        return b"" if shown is None else b64decode("".join((shown.text or "").split()))
    except (Base64Error, ValueError):
        return b""


def _judge_key(certificate: Certificate) -> None:
    key = certificate.public_key()
    if isinstance(key, RSAPublicKey):
        if key.key_size < _LEAST_RSA_BITS:
            raise ValueError(f"an RSA key of less than {_LEAST_RSA_BITS} bits")
    elif not isinstance(key, EllipticCurvePublicKey):
        raise ValueError("the certificate's key is neither RSA nor EC")  # noqa: TRY004


def _reference(info: etree._Element, uri: str) -> etree._Element:
    return etree.SubElement(info, _ds("Reference"), URI=uri)


def _ds(name: str) -> str:
    return f"{{{DS}}}{name}"
