"""ebMS messages: our reader against the standard library's MIME parser with lxml, and signing against bare RSA.

The first table: take a package apart, parse its XML, check it against the OASIS schema, ours and the library's. The
second: our whole reader, which also keeps every rule and makes the values, by the same work of the library. They take
turns, CPU time is taken, and only the ratios count (the machine is shared). ::

    python benchmarks/ebms_codec.py
    python benchmarks/ebms_codec.py --check    # exit 1 where a floor is not kept
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message
from functools import partial
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID
from lxml import etree

from sekisho.codecs.ebms.package import split
from sekisho.codecs.ebms.reading import read
from sekisho.codecs.ebms.signing import Signer, Verifier
from sekisho.codecs.ebms.values import LIMITS, AckRequested, EbMessage, Header, Party, PartyId, Payload, Service
from sekisho.codecs.ebms.writing import write
from sekisho.codecs.ebms.xml import MESSAGE_SCHEMA, parse

NOW = datetime(2025, 4, 1, tzinfo=UTC)
ROUNDS = 7
SCHEMA = MESSAGE_SCHEMA._compiled()  # noqa: SLF001
FLOORS = {
    "take apart and check": {1_500: 1.0, 100_000: 5.0, 700_000: 5.0},
    "read whole": {1_500: 0.4, 100_000: 3.0, 700_000: 5.0},
}
"""How many times the standard library's speed each has to reach, by bytes of payload. Rules and values cost what they
cost; the gateway's floor for accepting is 1,000 messages a second."""


def message(size: int) -> EbMessage:
    """A message with one payload of any bytes."""
    header = Header(
        sender=Party((PartyId("urn:sekisho:party:BROKER.EXAMPLE"),), "Declarant"),
        receiver=Party((PartyId("CENTRE", "urn:sekisho:type"),), "Centre"),
        cpa_id="CPA-1",
        conversation="conversation-1",
        service=Service("declarations", "urn:sekisho:services"),
        action="Submit",
        message_id="m1@BROKER.EXAMPLE",
        timestamp=NOW,
        duplicate_elimination=True,
    )
    content = (bytes(range(256)) * (size // 256 + 1))[:size]
    payload = Payload("one@BROKER.EXAMPLE", "application/octet-stream", content)
    return EbMessage(header, ack_requested=AckRequested(signed=False), payloads=(payload,))


def library(content_type: str, body: bytes) -> bytes:
    """The same by the standard library's parser and lxml."""
    mail = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    root, part = (cast("Message", each).get_payload(decode=True) for each in mail.get_payload())
    SCHEMA.assertValid(etree.fromstring(cast("bytes", root)))
    return cast("bytes", part)


def taken_apart(content_type: str, body: bytes) -> bytes:
    """What the library's side does, by our splitter and parser."""
    package = split(content_type, body)
    if MESSAGE_SCHEMA.error(parse(package.soap, package.charset, LIMITS)):
        raise SystemExit("the sample is not valid")
    return package.parts[0].content


def identity() -> tuple[bytes, bytes, rsa.RSAPrivateKey]:
    """A key and its certificate, both PEM, and the key."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "BROKER.EXAMPLE")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return plain, certificate.public_bytes(serialization.Encoding.PEM), key


def turns(ours: Callable[[], object], theirs: Callable[[], object], calls: int) -> tuple[float, float, float]:
    """How many times faster ours is, and both rates a second of CPU time: medians of interleaved rounds."""
    ratios, own, other = [], [], []
    for _ in range(ROUNDS):
        spent = []
        for work in (ours, theirs):
            started = time.process_time()
            for _ in range(calls):
                work()
            spent.append(max(time.process_time() - started, 1e-9))
        ratios.append(spent[1] / spent[0])
        own.append(calls / spent[0])
        other.append(calls / spent[1])
    return statistics.median(ratios[1:]), statistics.median(own[1:]), statistics.median(other[1:])


def main() -> int:
    """Print the table; 1 if ``--check`` is given and a floor is not kept."""
    parser = argparse.ArgumentParser(description="ebMS codec speed")
    parser.add_argument("--check", action="store_true", help="exit 1 if a ratio is under its floor")
    check = parser.parse_args().check
    missed = False
    works: tuple[Callable[[str, bytes], object], ...] = (taken_apart, read)
    for (name, floors), work in zip(FLOORS.items(), works, strict=True):
        print(f"{name}, by bytes of payload: times the standard library's speed (both a second)")
        for size, floor in floors.items():
            kind, body, _ = write(message(size), boundary="=_bench_1", content_id="root@BROKER.EXAMPLE")
            calls = 200 if size < 10_000 else 20
            ratio, own, other = turns(partial(work, kind, body), partial(library, kind, body), calls)
            missed |= ratio < floor
            print(f"  {size:>7}  {ratio:6.1f}  (floor {floor:3.1f})  ({own:.0f}, {other:.0f})")
    plain, certificate, key = identity()
    signer, verifier = Signer(plain, certificate), Verifier([certificate])
    small = message(1_500)
    wire = write(small, boundary="=_bench_1", content_id="root@BROKER.EXAMPLE", signer=signer)
    digest = key.sign(b"x", padding.PKCS1v15(), hashes.SHA256())
    public = key.public_key()
    print("RSA-2048, one payload: share of bare RSA's speed (both a second)")
    for name, ours, theirs in (
        (
            "write and sign",
            lambda: write(small, boundary="=_bench_1", content_id="root@BROKER.EXAMPLE", signer=signer),
            lambda: key.sign(b"x", padding.PKCS1v15(), hashes.SHA256()),
        ),
        (
            "read and verify",
            lambda: verifier.verify(read(wire.content_type, wire.body), now=NOW),
            lambda: public.verify(digest, b"x", padding.PKCS1v15(), hashes.SHA256()),
        ),
    ):
        ratio, own, other = turns(ours, theirs, 40)
        print(f"  {name:<16}{ratio:6.3f}  ({own:.0f}, {other:.0f})")
    if check and missed:
        print("a floor is not kept", file=sys.stderr)
    return int(check and missed)


if __name__ == "__main__":
    raise SystemExit(main())
