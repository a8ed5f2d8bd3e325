"""POP3: the listener that in-house systems of the mail style fetch their replies from.

*Strategy.* The listener lets connections in and ends them in order; the rest is
:class:`~sekisho.transports.pop3_connection.Pop3Connection`'s. With implicit TLS it accepts by itself instead of leaving
that to the loop's server, which tells nobody about a peer before the handshake is done or when it fails: so a peer
inside the handshake is counted like every other.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl

import structlog

from sekisho.transports.base import Doorkeeper, Tray
from sekisho.transports.pop3_connection import Pop3Connection
from sekisho.transports.pop3_limits import Pop3Limits
from sekisho.transports.roster import Roster

__all__ = ["Pop3Limits", "Pop3Listener"]

_BACKLOG = 512
_BREATH_SECONDS = 0.5
"""Pause when the system has no descriptor left for one more connection."""


class Pop3Listener:
    """One listening address.

    ``tls`` offers STLS, or with ``implicit_tls`` is used from the first byte; ``require_tls`` refuses logins without
    it; ``apop`` offers APOP. Raises ValueError when TLS is asked for without ``tls``.
    """

    def __init__(
        self,
        *,
        name: str,
        host: str,
        port: int,
        tray: Tray,
        doorkeeper: Doorkeeper,
        hostname: str,
        limits: Pop3Limits | None = None,
        tls: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        require_tls: bool = False,
        apop: bool = False,
    ) -> None:
        if tls is None and (implicit_tls or require_tls):
            raise ValueError("TLS is asked for, and there is no certificate")
        self.name = name
        self.hostname = hostname
        self.limits = limits or Pop3Limits()
        self.tray = tray
        self.doorkeeper = doorkeeper
        self.tls = tls
        self.implicit_tls = implicit_tls
        self.require_tls = require_tls
        self.apop = apop
        self.roster: Roster[Pop3Connection] = Roster(self.limits.connections_total, self.limits.connections_per_address)
        self.log = structlog.get_logger().bind(listener=name)
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._handshakes: set[asyncio.Task[None]] = set()
        self._address: tuple[str, int] | None = None

    @property
    def accepted(self) -> int:
        """Connections that were let in so far."""
        return self.roster.accepted

    @property
    def refused(self) -> int:
        """Attempts that were not."""
        return self.roster.refused

    @property
    def open_connections(self) -> int:
        """Connections that are open now, or whose last task still runs."""
        return len(self.roster)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port it listens on; raises RuntimeError before :meth:`start`."""
        if self._address is None:
            raise RuntimeError("the listener has not been started")
        return self._address

    async def start(self) -> None:
        """Begin to listen. Raises OSError when the address cannot be had."""
        loop = asyncio.get_running_loop()
        if self.implicit_tls:
            family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
            self._socket = socket.create_server((self._host, self._port), family=family, backlog=_BACKLOG)
            self._socket.setblocking(False)
            self._accepting = loop.create_task(self._accept(self._socket))
            host, port = self._socket.getsockname()[:2]
        else:
            self._server = await loop.create_server(
                lambda: Pop3Connection(self, loop), self._host, self._port, backlog=_BACKLOG
            )
            host, port = self._server.sockets[0].getsockname()[:2]
        self._address = (host, port)
        self.log.info("pop3.listener_started", address=f"{host}:{port}", tls=self.implicit_tls)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(listening)
            except OSError as error:
                self.log.warning("pop3.accept_failed", error=str(error))
                await asyncio.sleep(_BREATH_SECONDS)
                continue
            connection = Pop3Connection(self, loop)
            if not connection.enter(address):
                sock.close()
                continue
            task = loop.create_task(self._shake_hands(connection, sock))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, connection: Pop3Connection, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                lambda: connection, sock, ssl=self.tls, ssl_handshake_timeout=self.limits.login
            )
        except OSError as error:  # ssl.SSLError, TimeoutError and the peer's leaving are ones
            self.log.debug("pop3.tls_failed", peer=connection.peer, error=str(error))
            connection.leave()
            sock.close()
        except asyncio.CancelledError:
            connection.leave()
            sock.close()
            raise

    async def stop(self, grace: float) -> None:
        """Stop in order: accept nobody, end who is not logged in, give the others ``grace`` seconds to QUIT, then end.

        A collecting that still runs afterwards is left to the house. A stopped listener is not started again.
        """
        self.roster.closed = True
        if self._server is not None:
            self._server.close()
        for task in (*self._handshakes, *filter(None, [self._accepting])):
            task.cancel()
        if self._socket is not None:
            self._socket.close()
        for connection in self.roster.inside:
            connection.retire()
        await self.roster.emptied(grace)
        for connection in self.roster.inside:
            connection.retire(now=True)
        await self.roster.emptied(1.0)
        for connection in self.roster.inside:
            connection.abort()
        self.log.info("pop3.listener_stopped", accepted=self.accepted, refused=self.refused)

    def incident(self, error: BaseException, event: str) -> str:
        """Log an unexpected error under a new incident id; returns the text that names the id and nothing else."""
        incident = secrets.token_hex(6)
        self.log.error(event, incident=incident, exc_info=error)
        return f"Local error, incident {incident}"
