"""ebMS agreements of a throw-away gateway: the centre's side as its settings say, the partner's side for the test.

*Strategy.* The secrets of real partners cannot be had and are not needed: keys of both sides are made for the run, and
how the partner is known and reached is changed to what a test on this machine can be. What was agreed about messages
stays as it is; only, a test may ask for signatures where none are agreed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sekisho.gateway.conntest.toml import toml_text
from sekisho.gateway.inhouse_ebms import Agreement, load_agreements, mirrored

__all__ = ["copied_agreement", "partners_side"]

_CENTRE, _PARTNER = "centre", "partner"
_UNHAD: Final = (
    "certificates", "tls_certificate", "tls_key", "tls_trust", "basic_user", "basic_password_file", "signing_key",
    "signing_certificate", "signing_certificates",
)  # fmt: skip
"""Keys that name secrets, or certificates of somebody else."""
_FROM, _UNTIL = datetime(2000, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)
"""When the keys are valid: a test may set the gateway's clock to any day."""


def copied_agreement(table: Mapping[str, Any], folder: Path, *, url: str = "", sign: bool = False) -> dict[str, Any]:
    """A ``[[ebms]]`` table for a throw-away gateway in ``folder``.

    A partner that is posted to is posted to at ``url``; one without a password is everybody on this machine. ``sign``:
    messages and acknowledgments are signed, whatever was agreed.
    """
    changed = {key: value for key, value in table.items() if key not in _UNHAD}
    if not changed.get("basic"):
        changed["plain"] = True
    if changed.get("url") and url:
        changed |= {"url": url, "allow_http": True}
    if sign:
        changed |= {"signature": "require", "ack_signed": True}
    if changed.get("signature", "none") != "none":
        changed |= _keys(folder, changed["name"], _CENTRE, _PARTNER)
    return changed


def partners_side(tables: list[Mapping[str, Any]], folder: Path, url: str) -> tuple[Agreement, ...]:
    """The other side of copied agreements, for a centre whose endpoint is ``url``."""
    if not tables:
        return ()
    others = []
    for table in tables:
        other = mirrored(table, url=url)
        if other.get("signature", "none") != "none":
            other |= _keys(folder, table["name"], _PARTNER, _CENTRE)
        others.append(other)
    path = folder / "partners.toml"
    path.write_text(toml_text({"ebms": others}), encoding="utf-8")
    return tuple(load_agreements(path))


def _keys(folder: Path, name: str, own: str, other: str) -> dict[str, Any]:
    for side in (own, other):
        _make_key(folder, f"{name}-{side}")
    return {
        "signing_key": f"{name}-{own}.key",
        "signing_certificate": f"{name}-{own}.pem",
        "signing_certificates": [f"{name}-{other}.pem"],
    }


def _make_key(folder: Path, name: str) -> None:
    """A key and its certificate, unless they are there."""
    path = folder / f"{name}.key"
    if path.exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FROM)
        .not_valid_after(_UNTIL)
        .sign(key, hashes.SHA256())
    )
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(plain)
    (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
