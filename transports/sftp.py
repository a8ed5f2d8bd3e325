"""SFTP and scp in and out: the listener, who may come in, and how long one may stay.

*Strategy.* :class:`~sekisho.transports.sftp_connection.SshConnection` is asyncssh's connection class, which does what
SSH asks for: key exchange, encryption, authentication, channels. A channel is served by
:class:`~sekisho.transports.sftp_session.SftpSession` straight from ``data_received``, or by the old scp protocol
(:mod:`~sekisho.transports.sftp_scp`); both see the user's tree through one
:class:`~sekisho.transports.sftp_visit.Visit`. There is no shell, no command, no terminal, no forwarding of anything.
No task and no timer per request: what can be said at once is written at once, and one sweep looks after all deadlines.

A user is a box: name and password, or name and key, are asked of the :class:`~sekisho.transports.base.Doorkeeper`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import asyncssh
import structlog
from asyncssh.constants import DISC_BY_APPLICATION

from sekisho.transports.base import Doorkeeper, Submit, Tray
from sekisho.transports.sftp_connection import SshConnection
from sekisho.transports.sftp_files import Shelf, Spool
from sekisho.transports.sftp_shared import History, Kept, SftpLimits, Shared

__all__ = ["History", "Kept", "SftpLimits", "SftpListener", "ensure_host_key"]

KEY_EXCHANGES: Final = (
    "mlkem768x25519-sha256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
)
"""No SHA-1 (RFC 9142), and elliptic curves only: every client of the last ten years has them. Strict key exchange is
asyncssh's default (CVE-2023-48795)."""
CIPHERS: Final = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
"""No CBC and no RC4. AES-GCM first: one pass of the processor's own instructions for secrecy and integrity."""
MACS: Final = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")
"""For the CTR ciphers; no SHA-1, no MD5, nothing cut short."""
SIGNATURES: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-256",
    "rsa-sha2-512",
)
"""Of users' keys; the old ssh-rsa signs with SHA-1."""
_BACKLOG: Final = 512


def ensure_host_key(path: Path) -> asyncssh.SSHKey:
    """The host key in this file, made once if there is none: Ed25519, readable by its owner only.

    It has to stay: clients refuse a host whose key has changed. Raises OSError, and ``asyncssh.KeyImportError`` when
    the file holds something else.
    """
    if not path.exists():
        key = asyncssh.generate_private_key("ssh-ed25519", comment="sekisho")
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".host-key-")  # mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(key.export_private_key("openssh"))
                file.flush()
                os.fsync(file.fileno())
            # A link, not a rename: of two gateways that start at once, one key wins and both read it.
            with contextlib.suppress(FileExistsError):
                Path(path).hardlink_to(name)
        finally:
            Path(name).unlink()
    return asyncssh.read_private_key(path)


class SftpListener:
    """One listening address.

    ``host_keys`` are files or keys (:func:`ensure_host_key`). ``submit`` is called in the loop for every file that was
    closed or renamed in full; ``tray`` and ``history`` are what /out, /sent and /quarantine show. ``banner`` is the
    software name in the SSH greeting. ``clock`` gives aware times in UTC; ``spool`` is the folder of the temporary
    files, the system's if None. Counters: ``accepted`` connections so far, ``refused`` ones over a limit, ``logins``,
    ``open_connections`` now.
    """

    def __init__(
        self,
        *,
        name: str,
        host: str,
        port: int,
        submit: Submit,
        tray: Tray,
        doorkeeper: Doorkeeper,
        history: History,
        host_keys: Sequence[str | Path | asyncssh.SSHKey],
        limits: SftpLimits | None = None,
        banner: str = "sekisho",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        spool: Path | None = None,
    ) -> None:
        self.name = name
        self.limits = limits or SftpLimits()
        self.doorkeeper = doorkeeper
        self.accepted = 0
        self.refused = 0
        self.logins = 0
        self.log = structlog.get_logger().bind(listener=name)
        self._parts = (submit, tray, history, clock, str(spool) if spool is not None else None)
        self._host = host
        self._port = port
        self._host_keys = list(host_keys)
        self._banner = banner
        self._shared: Shared | None = None
        self._server: asyncio.Server | None = None
        self._address: tuple[str, int] | None = None
        self._open: set[SshConnection] = set()
        self._by_address: Counter[str] = Counter()
        self._all_closed = asyncio.Event()
        self._sweep: asyncio.TimerHandle | None = None
        self._stopping = False

    @property
    def open_connections(self) -> int:
        """Connections that are open now."""
        return len(self._open)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port it listens on; raises RuntimeError before :meth:`start`."""
        if self._address is None:
            raise RuntimeError("the listener has not been started")
        return self._address

    @property
    def shared(self) -> Shared:
        """What its sessions share; raises RuntimeError before :meth:`start`."""
        if self._shared is None:
            raise RuntimeError("the listener has not been started")
        return self._shared

    async def start(self) -> None:
        """Begin to listen. Raises OSError when the address cannot be had, ``asyncssh.KeyImportError`` for a bad key."""
        # Its lines a packet are formatted even when nobody reads them; what an operator needs is logged here.
        logging.getLogger("asyncssh").setLevel(logging.CRITICAL)
        loop = asyncio.get_running_loop()
        submit, tray, history, clock, folder = self._parts
        limits = self.limits
        spool = Spool(
            object_bytes=limits.max_object,
            memory_each=limits.memory_each,
            memory=limits.memory,
            disk=limits.disk,
            folder=folder,
        )
        self._shared = Shared(self.name, limits, submit, tray, history, clock, spool, Shelf(limits.reading))
        options = asyncssh.SSHServerConnectionOptions(
            config=[],
            server_host_keys=self._host_keys,
            server_version=self._banner,
            login_timeout=limits.login,
            keepalive_interval=limits.keep_alive,
            keepalive_count_max=3,
            kex_algs=KEY_EXCHANGES,
            encryption_algs=CIPHERS,
            mac_algs=MACS,
            signature_algs=SIGNATURES,
            compression_algs=None,
            allow_pty=False,
            agent_forwarding=False,
            x11_forwarding=False,
            gss_host=None,
            host_based_auth=False,
            kbdint_auth=False,
            send_server_host_keys=False,
            authorized_client_keys=None,
        )
        self._server = await loop.create_server(
            lambda: SshConnection(self, loop, options), self._host, self._port, backlog=_BACKLOG
        )
        host, port = self._server.sockets[0].getsockname()[:2]
        self._address = (host, port)
        self._look_after()
        self.log.info("sftp.listener_started", address=f"{host}:{port}")

    async def stop(self, grace: float) -> None:
        """Stop in order: accept nobody, end who waits for nothing, give the others ``grace`` seconds, then end.

        What was submitted is left to the house, which finishes or cancels it; its sender hears nothing and asks again.
        A stopped listener is not started again.
        """
        self._stopping = True
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._open):
            if not connection.busy:
                connection.leave(DISC_BY_APPLICATION, "The service is closing", "stopping")
        until = time.monotonic() + grace
        while any(one.busy for one in self._open) and time.monotonic() < until:  # noqa: ASYNC110 (once in its life)
            await asyncio.sleep(0.02)
        for connection in tuple(self._open):
            connection.leave(DISC_BY_APPLICATION, "The service is closing", "stopping")
        await self._emptied(1.0)
        for connection in tuple(self._open):
            connection.cut()
        await self._emptied(1.0)
        if self._sweep is not None:
            self._sweep.cancel()
        if self._shared is not None:
            self._shared.spool.close()
        self.log.info("sftp.listener_stopped", accepted=self.accepted, refused=self.refused, logins=self.logins)

    async def _emptied(self, seconds: float) -> None:
        if self._open:
            self._all_closed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_closed.wait(), seconds)

    def _look_after(self) -> None:
        """End what is over its time; all deadlines of all connections in one sweep."""
        limits = self.limits
        now = time.monotonic()
        for connection in tuple(self._open):
            connection.check(now)
        every = min(limits.idle, limits.upload, limits.session) / 10
        self._sweep = asyncio.get_running_loop().call_later(min(max(every, 0.02), 5.0), self._look_after)

    def admit(self, connection: SshConnection, host: str) -> bool:
        """Count a new connection in; False when it is one too many."""
        limits = self.limits
        if (
            self._stopping
            or len(self._open) >= limits.connections_total
            or self._by_address[host] >= limits.connections_per_address
        ):
            self.refused += 1
            if self.refused & (self.refused - 1) == 0:  # the 1st, 2nd, 4th, 8th ...: a flood must not fill the log
                self.log.warning("sftp.connection_refused", peer=host, open=len(self._open), refused=self.refused)
            return False
        self.accepted += 1
        self._open.add(connection)
        self._by_address[host] += 1
        return True

    def dismiss(self, connection: SshConnection, host: str) -> None:
        """Count a closed connection out."""
        self._open.discard(connection)
        self._by_address[host] -= 1
        if self._by_address[host] <= 0:
            del self._by_address[host]
        if not self._open:
            self._all_closed.set()

    def incident(self, error: BaseException) -> str:
        """Log an unexpected error under a new incident id; returns the text that names the id and nothing else."""
        incident = secrets.token_hex(6)
        self.log.error("sftp.request_failed", incident=incident, exc_info=error)
        return f"Local error, incident {incident}"
