"""Certificates: issue clause "TLS and identity everywhere": days left, warnings, reload without a restart."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sekisho.gateway.certificates import (
    CertificateError,
    Certificates,
    fingerprint,
    make_self_signed,
    read_states,
    server_context,
)
from sekisho.gateway.settings import Certificate, Listener

NOW = datetime(2025, 10, 1, tzinfo=UTC)


def _made(folder: Path, now: datetime = NOW) -> Certificate:
    certificate = Certificate(name="main", certificate=str(folder / "c.pem"), key=str(folder / "c.key"))
    assert make_self_signed(certificate, ["localhost", "127.0.0.1"], now)
    return certificate


LISTENER = Listener(name="a", kind="pop3", address="127.0.0.1:0", tls="implicit", certificate="main")


async def _shown(context: ssl.SSLContext) -> str:
    """The fingerprint of the certificate that a handshake with this context shows."""
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0, ssl=context)
    anyone = ssl.create_default_context()
    anyone.check_hostname = False
    anyone.verify_mode = ssl.CERT_NONE
    port = server.sockets[0].getsockname()[1]
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=anyone)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    server.close()
    return fingerprint(der)


def test_a_made_certificate_is_never_replaced(tmp_path: Path) -> None:
    """self_signed: only where both files are missing; the key is readable for its owner only."""
    certificate = _made(tmp_path)
    before = (tmp_path / "c.key").read_bytes()
    assert (tmp_path / "c.key").stat().st_mode & 0o777 == 0o600
    assert not make_self_signed(certificate, ["localhost"], NOW)
    (tmp_path / "c.pem").unlink()
    assert not make_self_signed(certificate, ["localhost"], NOW)
    assert (tmp_path / "c.key").read_bytes() == before


@pytest.mark.parametrize(
    ("days", "text"),
    [(300, ""), (336, "ends in 29 days"), (364, "ends in 1 day,"), (365, "ends in 0 days"), (366, "ended on")],
)
def test_days_left_are_counted_and_warned_of(tmp_path: Path, days: int, text: str) -> None:
    """warn_days: nothing while there is time, then how many days and until when, at last that it is over."""
    certificate = _made(tmp_path)
    (state,) = read_states([certificate], NOW + timedelta(days=days))
    assert state.days_left == 365 - days
    assert (text in state.warning(30)) if text else state.warning(30) == ""


async def test_a_renewed_certificate_is_shown_without_a_restart(tmp_path: Path) -> None:
    """look: the files changed, so the same context shows the new one; what cannot be used changes nothing."""
    certificate = _made(tmp_path)
    certificates = Certificates([certificate])
    context = certificates.context(LISTENER)
    assert context is not None
    first = await _shown(context)
    assert certificates.look(NOW) == []
    other = tmp_path / "other"
    other.mkdir()
    renewed = _made(other)
    # The certificate is there and its key not yet: half a renewal.
    (tmp_path / "c.pem").write_bytes((other / "c.pem").read_bytes())
    with capture_logs() as logs:
        assert certificates.look(NOW) == []
    assert [line["event"] for line in logs] == ["certificate.unusable"]
    assert await _shown(context) == first
    (tmp_path / "c.key").write_bytes((other / "c.key").read_bytes())
    assert certificates.look(NOW) == ["main"]
    second = await _shown(context)
    assert second == read_states([renewed], NOW)[0].fingerprint != first


def test_what_ends_soon_is_warned_of_once_a_day(tmp_path: Path) -> None:
    """An operator reads it every morning, not every minute."""
    certificates = Certificates([_made(tmp_path)])
    with capture_logs() as logs:
        for hours in (0, 1, 2, 30):
            certificates.look(NOW + timedelta(days=340, hours=hours))
    assert [line["event"] for line in logs] == ["certificate.ends"] * 2


@pytest.mark.parametrize("damage", ["missing", "no-pem", "other-key", "no-ca"])
def test_what_cannot_be_used_says_which_and_why(tmp_path: Path, damage: str) -> None:
    """CertificateError names the certificate and its file; nothing else is raised."""
    certificate = _made(tmp_path)
    if damage == "missing":
        (tmp_path / "c.pem").unlink()
    elif damage == "no-pem":
        (tmp_path / "c.pem").write_text("hello")
    elif damage == "other-key":
        other = tmp_path / "other"
        other.mkdir()
        _made(other)
        (tmp_path / "c.key").write_bytes((other / "c.key").read_bytes())
    with pytest.raises(CertificateError, match='"main"'):
        server_context(certificate, "required" if damage == "no-ca" else "none")
    if damage in ("missing", "no-pem"):
        with pytest.raises(CertificateError, match=r"c\.pem"):
            read_states([certificate])
