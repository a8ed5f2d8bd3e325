"""From settings to listeners: one function a kind.

*Strategy.* A transport gets what it needs as arguments and never sees the settings; which of them it gets stands here
and nowhere else. A new transport is one function and one line in :data:`_KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from sekisho.gateway.certificates import Certificates
from sekisho.gateway.clock import Clock
from sekisho.gateway.msh import MessageService
from sekisho.gateway.settings import Listener, Settings
from sekisho.transports.base import Doorkeeper, Submit, Tray
from sekisho.transports.ebms import EbmsEndpoint
from sekisho.transports.http import HttpLimits, HttpListener
from sekisho.transports.pop3 import Pop3Listener
from sekisho.transports.pop3_limits import Pop3Limits
from sekisho.transports.sftp import SftpListener, ensure_host_key
from sekisho.transports.sftp_shared import History, SftpLimits
from sekisho.transports.smtp import SmtpListener
from sekisho.transports.smtp_session import SmtpLimits

__all__ = ["Door", "Hall", "make_listener", "smtp_limits"]


class Door(Protocol):
    """A listener, whatever it speaks."""

    name: str

    @property
    def address(self) -> tuple[str, int]:
        """Host and port it listens on, after :meth:`start`."""
        ...

    async def start(self) -> None:
        """Begin to listen. Raises OSError when the address cannot be had."""
        ...

    async def stop(self, grace: float) -> None:
        """Accept nobody, give what runs ``grace`` seconds, then end."""
        ...


@dataclass(frozen=True, slots=True)
class Hall:
    """What listeners are built with."""

    settings: Settings
    submit: Submit
    tray: Tray
    history: History
    doorkeeper: Doorkeeper
    certificates: Certificates
    clock: Clock
    ebms: MessageService


def make_listener(listener: Listener, hall: Hall) -> Door:
    """The listener that a ``[[listener]]`` table describes. Raises CertificateError for one that cannot be shown."""
    return _KINDS[listener.kind](listener, hall)


def smtp_limits(settings: Settings) -> SmtpLimits:
    """What SMTP listeners keep to; what mails may hold (``mime``) binds whoever reads a journalled mail again too."""
    limits = settings.limits
    return SmtpLimits(
        max_object=limits.max_object,
        idle_two_way=limits.smtp_idle_two_way,
        idle_mail=limits.smtp_idle_mail,
        transaction=limits.smtp_transaction,
        session=limits.smtp_session,
        connections_per_address=limits.connections_address,
        connections_per_partner=limits.connections_partner,
        connections_total=limits.connections_total,
        mime_depth=limits.mime_depth,
        mime_parts=limits.mime_parts,
        attachment_name=limits.attachment_name,
        attachment_bytes=limits.attachment_bytes,
        attachments_bytes=limits.attachments_bytes,
        attachments=limits.attachments,
        bad_commands=limits.bad_commands,
        failed_logins=limits.logins_session,
        tls_handshake=limits.tls_handshake,
    )


def _smtp(listener: Listener, hall: Hall) -> Door:
    return SmtpListener(
        name=listener.name,
        host=listener.host,
        port=listener.port,
        mode=listener.mode,
        centre=listener.centre,
        submit=hall.submit,
        hostname=hall.settings.gateway.hostname,
        limits=smtp_limits(hall.settings),
        clock=hall.clock.utc,
        other_centre=listener.other_centre,
        environment=hall.settings.gateway.environment,
        tls=hall.certificates.context(listener),
        implicit_tls=listener.tls == "implicit",
        require_tls=listener.encrypts,
        auth=listener.auth,
        auth_in_clear=listener.tls == "none",  # which the settings allow on loopback only, or by name
        doorkeeper=hall.doorkeeper,
    )


def _pop3(listener: Listener, hall: Hall) -> Door:
    limits = hall.settings.limits
    return Pop3Listener(
        name=listener.name,
        host=listener.host,
        port=listener.port,
        tray=hall.tray,
        doorkeeper=hall.doorkeeper,
        hostname=hall.settings.gateway.hostname,
        limits=Pop3Limits(
            idle=limits.pop3_idle,
            session=limits.pop3_session,
            login=limits.login_seconds,
            connections_per_address=limits.connections_address,
            connections_total=limits.connections_total,
            bad_commands=limits.bad_commands,
            keepalive=limits.pop3_keep_alive,
        ),
        tls=hall.certificates.context(listener),
        implicit_tls=listener.tls == "implicit",
        require_tls=listener.encrypts,
        apop=listener.apop,
    )


def _sftp(listener: Listener, hall: Hall) -> Door:
    limits = hall.settings.limits
    # Made once and kept: clients refuse a server whose key has changed.
    keys = listener.host_keys or (str(hall.settings.data / "sftp_host_key"),)
    return SftpListener(
        name=listener.name,
        host=listener.host,
        port=listener.port,
        submit=hall.submit,
        tray=hall.tray,
        doorkeeper=hall.doorkeeper,
        history=hall.history,
        host_keys=[ensure_host_key(Path(key)) for key in keys],
        limits=SftpLimits(
            max_object=limits.max_object,
            memory_each=limits.sftp_memory,
            handles=limits.sftp_handles,
            sessions_per_user=limits.sftp_sessions_user,
            connections_per_address=limits.connections_address,
            connections_total=limits.connections_total,
            login=limits.login_seconds,
            login_tries=limits.login_tries,
            idle=limits.sftp_idle,
            session=limits.sftp_session,
            upload=limits.sftp_upload,
            keep_alive=limits.sftp_keep_alive,
            channels=limits.sftp_channels,
            key_tries=limits.sftp_keys,
            disk=limits.sftp_disk,
            temporary=limits.sftp_temporary,
        ),
        clock=hall.clock.utc,
        spool=hall.settings.data,  # where there is room for it: the system's own folder may be memory
    )


def _http(listener: Listener, hall: Hall) -> Door:
    limits = hall.settings.limits
    bounds = HttpLimits(
        head=limits.http_head,
        idle=limits.http_idle,
        stall=limits.http_stall,
        handshake=limits.tls_handshake,
        body_idle=limits.http_body_idle,
        body=limits.http_body,
        connections_per_address=limits.connections_address,
        connections_total=limits.connections_total,
    )
    endpoint = EbmsEndpoint(
        hall.ebms, listener=listener.name, limits=bounds, per_partner=limits.connections_partner
    )
    return HttpListener(
        name=listener.name,
        host=listener.host,
        port=listener.port,
        mounts=[endpoint.mount],
        tls=hall.certificates.context(listener, hall.ebms.profiles.client_certificates),
        limits=bounds,
    )


_KINDS: Final[dict[str, Callable[[Listener, Hall], Door]]] = {
    "smtp": _smtp,
    "pop3": _pop3,
    "sftp": _sftp,
    "http": _http,
}
