"""SMTP in: the listener that stands where NACCS listens.

*Strategy.* A listener counts connections in and out, keeps what they share, and ends them in order. What a peer says is
the business of :mod:`~sekisho.transports.smtp_session` (and :mod:`~sekisho.transports.smtp_secure` where peers identify
themselves or encrypt), how it comes that of :mod:`~sekisho.transports.smtp_connection`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Literal

import structlog

from sekisho.transports.base import Doorkeeper, Receipt, Submit
from sekisho.transports.smtp_connection import SmtpConnection
from sekisho.transports.smtp_data import Pool
from sekisho.transports.smtp_secure import Access, Auth, SecureConnection
from sekisho.transports.smtp_session import SmtpLimits

__all__ = ["Mode", "SmtpLimits", "SmtpListener"]

Mode = Literal["two-way", "mail"]

_BACKLOG = 512
_BREATH_SECONDS = 1.0
"""Between two tries to accept when the system refuses (no file descriptors left): it will not change at once."""
_READ_BYTES = 128 * 1024
"""One buffer for all reads of a listener: without it asyncio allocates 256 KiB a read, half of a small mail's cost."""


class SmtpListener:
    """One listening address.

    ``centre`` are the addresses of the centre: mail to any other is refused with 550 (compared without regard to case).
    ``other_centre`` are those of the other environment (production and test): mail to them is refused too, and the
    reply says which ``environment`` this is.
    ``tls`` is the context of the certificate, ``starttls`` whether it is offered, ``implicit_tls`` whether it comes
    before anything is said, ``require_tls`` whether nothing is taken without it. ``auth`` asks for mailbox id and
    password, which ``doorkeeper`` knows, under TLS only unless ``auth_in_clear``; the envelope's ``principal`` is then
    the id of the box. ``tls`` may be replaced at any time: connections made from then on see the new one. Raises
    ValueError for combinations that no peer could fulfil.
    ``submit`` is called in the loop for every complete mail, with an envelope whose content is empty when the mail's
    structure cannot be read. ``clock`` gives aware times in UTC. Counters: ``accepted`` connections so far,
    ``refused`` ones among the attempts (over a limit or while stopping), ``open_connections`` now.
    """

    def __init__(
        self,
        *,
        name: str,
        host: str,
        port: int,
        mode: Mode,
        centre: Iterable[str],
        submit: Submit,
        hostname: str,
        limits: SmtpLimits | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        other_centre: Iterable[str] = (),
        environment: str = "",
        tls: ssl.SSLContext | None = None,
        starttls: bool = True,
        implicit_tls: bool = False,
        require_tls: bool = False,
        auth: Auth = "none",
        auth_in_clear: bool = False,
        doorkeeper: Doorkeeper | None = None,
    ) -> None:
        if implicit_tls and tls is None:
            raise ValueError("TLS is to come first, and there is no certificate for it")
        if auth != "none" and doorkeeper is None:
            raise ValueError("AUTH is asked for, and there is nobody to ask about passwords")
        self.access = Access(tls is not None and (starttls or implicit_tls), require_tls, auth, auth_in_clear)
        self.tls = tls
        self.implicit_tls = implicit_tls
        self.doorkeeper = doorkeeper
        # Two-way peers speak HELO and know no extension (spec 7.2): theirs is the quick way, unless more is asked for.
        quick = mode == "two-way" and tls is None and auth == "none"
        self._connection: type[SmtpConnection] = SmtpConnection if quick else SecureConnection
        self.name = name
        self.hostname = hostname
        self.limits = limits or SmtpLimits()
        self.idle = self.limits.idle_two_way if mode == "two-way" else self.limits.idle_mail
        self.centre = frozenset(address.upper() for address in centre)
        self.other_centre = frozenset(address.upper() for address in other_centre)
        self.environment = environment
        self.submit = submit
        self.clock = clock
        self.pool = Pool(self.limits.pending_bytes, self.limits.connections_per_partner)
        self.accepted = 0
        self.refused = 0
        self.pending: set[asyncio.Future[Receipt]] = set()
        """Submissions under way; kept here because the loop itself holds tasks by weak references only."""
        self.read_buffer = memoryview(bytearray(_READ_BYTES))
        self.log = structlog.get_logger().bind(listener=name)
        self.debug = False
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._socket: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._address: tuple[str, int] | None = None
        self._open: set[SmtpConnection] = set()
        self._by_address: Counter[str] = Counter()
        self._all_closed = asyncio.Event()
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

    async def start(self) -> None:
        """Begin to listen. Raises OSError when the address cannot be had."""
        loop = asyncio.get_running_loop()
        self.debug = self.log.is_enabled_for(logging.DEBUG)
        if self.implicit_tls:
            family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
            self._socket = socket.create_server((self._host, self._port), family=family, backlog=_BACKLOG)
            self._socket.setblocking(False)
            self._tasks.add(loop.create_task(self._accept(self._socket)))
            host, port = self._socket.getsockname()[:2]
        else:
            self._server = await loop.create_server(
                lambda: self._connection(self, loop), self._host, self._port, backlog=_BACKLOG
            )
            host, port = self._server.sockets[0].getsockname()[:2]
        self._address = (host, port)
        self.log.info("smtp.listener_started", address=f"{host}:{port}")

    async def _accept(self, listening: socket.socket) -> None:
        """Count peers in before their handshake: a server of asyncio's would tell of them only after it."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(listening)
            except OSError as error:
                self.log.warning("smtp.accept_failed", error=str(error))
                await asyncio.sleep(_BREATH_SECONDS)
                continue
            connection = SecureConnection(self, loop)
            if not connection.enter(address[:2]):
                sock.close()  # without words: in clear they would be none where TLS is expected
                continue
            task = loop.create_task(self._shake_hands(connection, sock))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _shake_hands(self, connection: SecureConnection, sock: socket.socket) -> None:
        loop, done = asyncio.get_running_loop(), False
        try:
            await loop.connect_accepted_socket(
                lambda: connection, sock, ssl=self.tls, ssl_handshake_timeout=self.limits.tls_handshake
            )
            done = True
        except Exception as error:  # noqa: BLE001 (a peer can fail a handshake in more ways than ssl names)
            self.log.info("smtp.tls_failed", why=f"{type(error).__name__}: {error}")
        finally:
            if not done:
                connection.leave()
                sock.close()

    async def stop(self, grace: float) -> None:
        """Stop in order: accept nobody, tell idle peers 421, give running transactions ``grace`` seconds, then end.

        A submission that still runs afterwards is left to the house, which finishes or cancels it; its sender heard 421
        and asks again. A stopped listener is not started again.
        """
        self._stopping = True
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()
        for connection in tuple(self._open):
            connection.retire()
        await self._emptied(grace)
        for connection in tuple(self._open):
            connection.cut(b"421 4.3.2 Closing\r\n", "stopping")
        await self._emptied(1.0)
        for connection in tuple(self._open):
            connection.abort()
        self.log.info("smtp.listener_stopped", accepted=self.accepted, refused=self.refused)

    async def _emptied(self, seconds: float) -> None:
        if self._open:
            self._all_closed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_closed.wait(), seconds)

    def admit(self, connection: SmtpConnection, host: str) -> bool:
        """Count a new connection in; False when it is one too many."""
        limits = self.limits
        if (
            self._stopping
            or len(self._open) >= limits.connections_total
            or self._by_address[host] >= limits.connections_per_address
        ):
            self.refused += 1
            if self.refused & (self.refused - 1) == 0:  # the 1st, 2nd, 4th, 8th ...: a flood must not fill the log
                self.log.warning("smtp.connection_refused", peer=host, open=len(self._open), refused=self.refused)
            return False
        self.accepted += 1
        self._open.add(connection)
        self._by_address[host] += 1
        return True

    def dismiss(self, connection: SmtpConnection, host: str) -> None:
        """Count a closed connection out."""
        self._open.discard(connection)
        self._by_address[host] -= 1
        if self._by_address[host] <= 0:
            del self._by_address[host]
        if not self._open:
            self._all_closed.set()

    def incident(self, error: BaseException, event: str) -> str:
        """Log an unexpected error under a new incident id; returns the reply that names the id and nothing else."""
        incident = secrets.token_hex(6)
        self.log.error(event, incident=incident, exc_info=error)
        return f"451 4.3.0 Local error, incident {incident}"
