"""Certificates: shown by listeners, watched, and read again when their files change.

*Strategy.* A listener holds one SSLContext for its life; renewing loads the new files into it, so connections that are
open go on and the next handshake shows the new certificate. New files are tried in a context of their own first: a key
that does not fit, or a file half written, changes nothing and is tried again at the next look.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sekisho.gateway.settings_doors import Certificate, Listener

__all__ = [
    "CertificateError",
    "CertificateState",
    "Certificates",
    "fingerprint",
    "make_self_signed",
    "read_states",
    "server_context",
]

log = structlog.get_logger("sekisho.certificates")
_MINIMUM: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_DAY: Final = 86_400.0


class CertificateError(Exception):
    """A certificate cannot be used; the text says which, why, and what to do."""


@dataclass(frozen=True, slots=True)
class CertificateState:
    """What operators want to know of a certificate: whose, until when (UTC), and how many days that is."""

    name: str
    subject: str
    not_after: datetime
    days_left: int
    fingerprint: str

    def warning(self, warn_days: int) -> str:
        """A line for who must renew it; empty while there is time."""
        until = f"{self.not_after:%Y-%m-%d %H:%M} UTC"
        if self.days_left < 0:
            return f'certificate "{self.name}" ended on {until}: partners refuse the connection; put a new one there'
        if self.days_left < warn_days:
            days = "1 day" if self.days_left == 1 else f"{self.days_left} days"
            return f'certificate "{self.name}" ends in {days}, on {until}: renew it and tell those who pin it'
        return ""


def fingerprint(der: bytes) -> str:
    """SHA-256 of a certificate in DER, as lower-case hex without colons."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(der)
    return digest.finalize().hex()


def _state(certificate: Certificate, now: datetime) -> CertificateState:
    path = Path(certificate.certificate)
    try:
        first = x509.load_pem_x509_certificates(path.read_bytes())[0]
    except OSError as error:
        raise CertificateError(f'certificate "{certificate.name}": {path} cannot be read ({error.strerror})') from error
    except ValueError as error:
        raise CertificateError(f'certificate "{certificate.name}": {path} holds no certificate in PEM') from error
    until = first.not_valid_after_utc
    return CertificateState(
        certificate.name,
        first.subject.rfc4514_string(),
        until,
        int((until - now).total_seconds() // _DAY),
        first.fingerprint(hashes.SHA256()).hex(),
    )


def read_states(certificates: Sequence[Certificate], now: datetime | None = None) -> list[CertificateState]:
    """How long each has. Raises :class:`CertificateError` for one that cannot be read."""
    return [_state(each, now or datetime.now(UTC)) for each in certificates]


def _load(context: ssl.SSLContext, certificate: Certificate) -> None:
    def refuse(*_: object) -> str:
        raise CertificateError(
            f'certificate "{certificate.name}": {certificate.key} is protected by a passphrase; '
            "store the key without one, readable for the gateway only"
        )

    try:
        context.load_cert_chain(certificate.certificate, certificate.key, password=refuse)
        if certificate.client_ca:
            context.load_verify_locations(certificate.client_ca)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise CertificateError(
            f'certificate "{certificate.name}": {certificate.certificate} with {certificate.key}'
            f" cannot be used ({reason})"
        ) from error


def make_self_signed(certificate: Certificate, hosts: Sequence[str], now: datetime) -> bool:
    """Make key and certificate where both files are missing, for ``hosts``, valid for a year; whether it did.

    For tests: nobody vouches for it. The key file is readable for its owner only.
    """
    path, key_path = Path(certificate.certificate), Path(certificate.key)
    if path.exists() or key_path.exists():
        return False
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName([_alternative(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    for each in (path, key_path):
        each.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(key_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return True


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def server_context(
    certificate: Certificate, client_certificates: str = "none", known: bytes = b""
) -> ssl.SSLContext:
    """A context for one listener. Raises :class:`CertificateError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _MINIMUM[certificate.minimum_tls]
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    if client_certificates != "none":
        if known:
            context.load_verify_locations(cadata=known.decode("ascii"))
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        elif not certificate.client_ca:
            raise CertificateError(
                f'certificate "{certificate.name}": client_ca is missing; client certificates are checked against it'
            )
        context.verify_mode = ssl.CERT_REQUIRED if client_certificates == "required" else ssl.CERT_OPTIONAL
    _load(context, certificate)
    return context


class Certificates:
    """All certificates of the settings, and the contexts made of them.

    Self-signed ones are made for ``hosts`` where they are missing.
    """

    def __init__(self, certificates: Sequence[Certificate], hosts: Sequence[str] = ("localhost", "127.0.0.1")) -> None:
        self._all = {each.name: each for each in certificates}
        for each in certificates:
            if each.self_signed and make_self_signed(each, hosts, datetime.now(UTC)):
                log.info("certificate.made", certificate=each.name, file=each.certificate)
        self._contexts: list[tuple[Certificate, ssl.SSLContext]] = []
        self._seen = {name: self._files(each) for name, each in self._all.items()}
        self._warned: dict[str, str] = {}
        self._others: list[tuple[str, datetime, int]] = []

    @staticmethod
    def _files(certificate: Certificate) -> tuple[tuple[int, int, int], ...]:
        """What tells that a file is another one; a missing one counts as zero."""
        found = []
        for name in filter(None, (certificate.certificate, certificate.key, certificate.client_ca)):
            try:
                stat = Path(name).stat()
                found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
            except OSError:
                found.append((0, 0, 0))
        return tuple(found)

    def context(self, listener: Listener, known: bytes = b"") -> ssl.SSLContext | None:
        """The listener's context, None without TLS. Raises :class:`CertificateError`.

        ``known`` are client certificates (PEM) that are trusted by themselves, whoever issued them.
        """
        if listener.tls == "none":
            return None
        certificate = self._all[listener.certificate]
        context = server_context(certificate, listener.client_certificates, known)
        self._contexts.append((certificate, context))
        return context

    def also(self, name: str, not_after: datetime, warn_days: int = 30) -> None:
        """Watch the end of a certificate that somebody else shows: a partner's."""
        self._others.append((name, not_after, warn_days))

    def look(self, now: datetime | None = None, *, force: bool = False) -> list[str]:
        """Read changed files again and warn of what ends soon, once a day each; the names of what was read again.

        Nothing is raised: what cannot be used is logged and the old one stays. ``force`` reads everything.
        """
        renewed = []
        for name, certificate in self._all.items():
            files = self._files(certificate)
            if not force and files == self._seen[name]:
                continue
            try:
                server_context(certificate)
                for each, context in self._contexts:
                    if each.name == name:
                        _load(context, certificate)
            except CertificateError as error:
                log.error("certificate.unusable", certificate=name, error=str(error))  # noqa: TRY400 - text says all
            else:
                renewed.append(name)
                log.info("certificate.loaded", certificate=name)
            self._seen[name] = files
        self._warn(now or datetime.now(UTC))
        return renewed

    def _warn(self, now: datetime) -> None:
        for name, certificate in self._all.items():
            try:
                line = _state(certificate, now).warning(certificate.warn_days)
            except CertificateError as error:
                line = str(error)
            self._say(name, line, now)
        for name, not_after, warn_days in self._others:
            days = int((not_after - now).total_seconds() // _DAY)
            self._say(name, CertificateState(name, "", not_after, days, "").warning(warn_days), now)

    def _say(self, name: str, line: str, now: datetime) -> None:
        today = f"{now:%Y-%m-%d} {line.partition(' in ')[0]}"  # days count down, and are no news by themselves
        if line and self._warned.get(name) != today:
            self._warned[name] = today
            log.warning("certificate.ends", certificate=name, text=line)
