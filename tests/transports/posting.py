"""What the tests of the push half share: parcels, a sender to a peer, one call with its reports, TLS contexts."""

import contextlib
import datetime as dt
import ipaddress
import ssl
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sekisho.transports.base import Parcel, Report
from sekisho.transports.smtp_out import SendLimits, SmtpSender

CENTRE = "NACCS@SMTP.TEST.SEKISHO.EXAMPLE"
USER = "1ANAC1@SMTP.BROKER.SEKISHO.EXAMPLE"
GATEWAY = "gateway.sekisho.example"

# A kanji, a half-width kana (0x8E first), a line that starts with a dot, one that is only a dot, trailing spaces.
AWKWARD = b"To: x\r\n\r\n\xb4\xd8\xbd\xea   \r\n\x8e\xb1\r\n.hidden\r\n.\r\n..\r\nend  \r\n"


class Address(Protocol):
    """Where a peer listens."""

    host: str
    port: int


def parcel(number: int, data: bytes = AWKWARD, sender: str = CENTRE, recipient: str = USER) -> Parcel:
    """A parcel between sample addresses."""
    return Parcel(number, sender, recipient, data)


@contextlib.asynccontextmanager
async def sending(
    peer: Address, limits: SendLimits | None = None
) -> AsyncIterator[SmtpSender]:
    """A sender to ``peer``, closed at the end of the block."""
    sender = SmtpSender(peer.host, peer.port, limits=limits or SendLimits(), source=GATEWAY)
    try:
        yield sender
    finally:
        await sender.close()


async def send(sender: SmtpSender, *parcels: Parcel) -> list[Report]:
    """The reports of one call; every parcel has exactly one."""
    reports: list[Report] = []
    await sender.send(parcels, reports.append)
    assert sorted(report.number for report in reports) == sorted(one.number for one in parcels)
    return reports


def tls_pair() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a client's context that trust one throw-away certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "receiver.EXAMPLE")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "receiver.pem")
        file.write_bytes(pem + secret)
        server.load_cert_chain(file)
    client = ssl.create_default_context(cadata=pem.decode("ascii"))
    return server, client
