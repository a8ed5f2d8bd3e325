"""HTTP in: one aiohttp application on one listening address, which ebMS, the console and an API mount into.

*Strategy.* aiohttp speaks HTTP; what it leaves open is closed here. A connection is counted in (per address and in all)
or hears 503; under TLS it is counted before the handshake, which has a time of its own. The request head must be
complete within a time, whatever else it drips; a peer that does not read what it asked for is cut; heads are bounded in
line, field and number; bodies are never decompressed. What goes wrong inside is logged under an incident id, and the id
is all that the peer is told.

Nothing here knows ebMS: a *mount* is a function that adds its routes to the application. Bodies are read by
:mod:`sekisho.transports.http_body`, which each endpoint calls when it knows who is asking.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, cast

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

__all__ = ["HttpLimits", "HttpListener", "Mount", "client_fingerprint", "incident"]

Mount = Callable[[web.Application], None]
"""Adds routes to the application before it starts."""

log = structlog.get_logger("sekisho.http")
_BACKLOG: Final = 512
_SWEEP_SECONDS: Final = 1.0
"""How often the connections' times are looked at: one pass over all of them is cheaper than a timer each."""
_REFUSED: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)
_TIMED_OUT: Final = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_PARTING_SECONDS: Final = 2.0
_BREATH_SECONDS: Final = 0.1
"""Pause after an accept that failed: mostly descriptors are short, and the next one would fail as well."""
_LINGERING: Final = 500
"""Refused connections that may wait for their peer to read why; more are cut without a word."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What bounds the peers of a listener; times in seconds.

    ``head`` is the time for a request head from its first byte (10: it is one packet); ``idle`` how long a connection
    is kept between requests (75, as most servers and proxies do); ``stall`` how long a peer may leave an answer unread
    (30); ``handshake`` the time for TLS (30, as for SMTP); ``line``, ``field`` and ``fields`` bound the head (8,190
    bytes, 8,190 bytes and 100, as Apache does).
    ``body_idle`` is the longest silence inside a body (20), ``body`` the time for a whole one (300: 12 MiB at 40 KB/s);
    ``pending_bytes`` what bodies of all connections may hold in memory while they come in (64 MiB).
    Connections are bounded as for SMTP (reliability 8): ``connections_per_address`` and ``connections_total``.
    """

    head: float = 10.0
    idle: float = 75.0
    stall: float = 30.0
    handshake: float = 30.0
    line: int = 8190
    field: int = 8190
    fields: int = 100
    body_idle: float = 20.0
    body: float = 300.0
    pending_bytes: int = 64 * 1024 * 1024
    connections_per_address: int = 50
    connections_total: int = 2000


class HttpListener:
    """One listening address with everything mounted on it.

    ``mounts`` add the routes; ``tls`` is a server context, None for plain HTTP (loopback, or a tunnel in front). Ask
    for client certificates there (``verify_mode = CERT_OPTIONAL``); endpoints read them with
    :func:`client_fingerprint`. Counters: ``accepted`` connections so far, ``refused`` ones among the attempts,
    ``open_connections`` now. A stopped listener is not started again.
    """

    def __init__(
        self,
        *,
        name: str,
        host: str,
        port: int,
        mounts: Iterable[Mount],
        tls: ssl.SSLContext | None = None,
        limits: HttpLimits | None = None,
    ) -> None:
        self.name = name
        self.limits = limits or HttpLimits()
        self.accepted = 0
        self.refused = 0
        self.log = log.bind(listener=name)
        self._host = host
        self._port = port
        self._tls = tls
        self._mounts = tuple(mounts)
        self._server: asyncio.Server | None = None
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._handshakes: set[asyncio.Task[None]] = set()
        self._runner: web.AppRunner | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._address: tuple[str, int] | None = None
        self._open: set[_Connection] = set()
        self._turned_away: set[_Connection] = set()
        self._by_address: Counter[str] = Counter()
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
        application = web.Application()
        application.on_response_prepare.append(_name_nobody)
        for mount in self._mounts:
            mount(application)
        runner = web.AppRunner(application, handle_signals=False)
        await runner.setup()
        manager = runner.server
        if manager is None:
            raise RuntimeError("the application has no server")
        # In front of the application: as its middleware the same would cost each request what routing it costs.
        manager.request_handler = _in_progress(manager.request_handler)
        self._runner = runner
        if self._tls is None:
            self._server = await loop.create_server(
                lambda: _Connection(self, manager, loop), self._host, self._port, backlog=_BACKLOG
            )
            host, port = self._server.sockets[0].getsockname()[:2]
        else:
            family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
            self._socket = socket.create_server((self._host, self._port), family=family, backlog=_BACKLOG)
            self._socket.setblocking(False)
            self._accepting = loop.create_task(self._accept(self._socket, manager))
            host, port = self._socket.getsockname()[:2]
        self._address = (host, port)
        self._sweeper = loop.create_task(self._sweep(), name=f"http-sweep-{self.name}")
        self.log.info("http.listener_started", address=f"{host}:{port}", tls=self._tls is not None)

    async def _accept(self, listening: socket.socket, manager: web.Server) -> None:
        """Count peers in before they shake hands: a server of asyncio's knows nothing of them until then."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(listening)
            except OSError as error:
                self.log.warning("http.accept_failed", error=str(error))
                await asyncio.sleep(_BREATH_SECONDS)
                continue
            connection = _Connection(self, manager, loop)
            if not connection.enter(str(address[0])):
                sock.close()
                continue
            task = loop.create_task(self._shake_hands(connection, sock, str(address[0])))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, connection: _Connection, sock: socket.socket, host: str) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection, sock, ssl=self._tls, ssl_handshake_timeout=self.limits.handshake
            )
        except OSError as error:  # ssl.SSLError, TimeoutError and the peer's leaving are ones
            self.log.debug("http.tls_failed", peer=host, error=str(error))
            self.dismiss(connection, host)
            sock.close()
        except asyncio.CancelledError:
            self.dismiss(connection, host)
            sock.close()
            raise

    async def stop(self, grace: float) -> None:
        """Stop in order: accept nobody, close what is idle, give running requests ``grace`` seconds, then end."""
        self._stopping = True
        if self._server is not None:
            self._server.close()
        for task in (*self._handshakes, *filter(None, [self._accepting])):
            task.cancel()
        if self._socket is not None:
            self._socket.close()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace
        for connection in tuple(self._open):
            connection.retire()
        while self._occupied() and loop.time() < deadline:  # noqa: ASYNC110 - no one says that an answer has left
            await asyncio.sleep(0.01)
        for connection in tuple(self._open | self._turned_away):
            connection.cut()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        self.log.info("http.listener_stopped", accepted=self.accepted, refused=self.refused)

    def _occupied(self) -> bool:
        return any(connection.busy or connection.unsent() for connection in self._open)

    async def _sweep(self) -> None:
        """Look after the connections' times, now and then, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(_SWEEP_SECONDS, self.limits.head / 4))
            now = loop.time()
            for connection in tuple(self._open):
                connection.look(now, self.limits)
            for connection in tuple(self._turned_away):
                connection.look(now, self.limits)

    def admit(self, connection: _Connection, host: str) -> bool:
        """Count a new connection in; False when it is one too many."""
        limits = self.limits
        if (
            self._stopping
            or len(self._open) >= limits.connections_total
            or self._by_address[host] >= limits.connections_per_address
        ):
            self.refused += 1
            if self.refused & (self.refused - 1) == 0:  # the 1st, 2nd, 4th, 8th ...: a flood must not fill the log
                self.log.warning("http.connection_refused", peer=host, open=len(self._open), refused=self.refused)
            return False
        self.accepted += 1
        self._open.add(connection)
        self._by_address[host] += 1
        return True

    def turn_away(self, connection: _Connection) -> bool:
        """Whether a refused connection may stay for the moment that its peer needs to read the refusal."""
        if self._stopping or len(self._turned_away) >= _LINGERING:
            return False
        self._turned_away.add(connection)
        return True

    def dismiss(self, connection: _Connection, host: str) -> None:
        """Count a closed connection out."""
        self._turned_away.discard(connection)
        if connection not in self._open:
            return
        self._open.discard(connection)
        self._by_address[host] -= 1
        if self._by_address[host] <= 0:
            del self._by_address[host]


class _Connection(web.RequestHandler):
    """One connection: aiohttp's protocol, counted and timed.

    ``busy`` while a request is with its endpoint. The library's own keep-alive timer ends connections that are idle.
    """

    __slots__ = (
        "_head_at", "_host", "_inside", "_listener", "_parted_at", "_refused", "_stalled_at", "_unsent", "busy",
    )  # fmt: skip

    def __init__(self, listener: HttpListener, manager: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        limits = listener.limits
        super().__init__(
            manager,
            loop=loop,
            keepalive_timeout=limits.idle,
            access_log=cast("logging.Logger", None),
            max_line_size=limits.line,
            max_headers=limits.fields,
            max_field_size=limits.field,
            lingering_time=1.0,  # a refused body is not worth waiting for
            auto_decompress=False,  # a small body must not become a large one
        )
        self.busy = False
        self._listener = listener
        self._host = ""
        self._inside = self._refused = False
        self._head_at = self._parted_at = self._stalled_at = 0.0
        self._unsent = 0

    def enter(self, host: str) -> bool:
        """Be counted in under the peer's address; False when it is one too many."""
        self._host = host
        self._inside = self._listener.admit(self, host)
        return self._inside

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it in, where that has not been done yet, or refuse it with 503."""
        name = transport.get_extra_info("peername") or ("", 0)
        if self._inside or self.enter(str(name[0])):
            super().connection_made(transport)
            return
        self._refused = True
        self.transport = cast("asyncio.Transport", transport)
        if not self._listener.turn_away(self):
            self.transport.abort()
            return
        self._part(_REFUSED, self._loop.time())

    def _part(self, word: bytes, now: float) -> None:
        """Say a last word. The peer gets a moment to read it, because an early close would take it back."""
        self._parted_at = now
        if self.transport is not None:
            self.transport.write(word)
            if self.transport.can_write_eof():
                self.transport.write_eof()

    def data_received(self, data: bytes) -> None:
        """Note when a request head begins; what a peer says after our last word is not read."""
        if self._parted_at:
            return
        if not self.busy and not self._head_at:
            self._head_at = self._loop.time()
        super().data_received(data)

    def eof_received(self) -> None:
        """A peer that has heard the last word goes; others may close their half and wait for the answer."""
        if self._parted_at and self.transport is not None:
            self.transport.close()
            return
        super().eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Count it out. What an endpoint has begun goes on without its peer."""
        self._listener.dismiss(self, self._host)
        if self._refused:
            self.transport = None
        else:
            super().connection_lost(exc)

    def request_began(self) -> None:
        """An endpoint has the request."""
        self.busy = True
        self._head_at = 0.0

    def request_ended(self) -> None:
        """Its answer is on the way."""
        self.busy = False

    def unsent(self) -> int:
        """Bytes of answers that the peer has not taken yet."""
        return self.transport.get_write_buffer_size() if self.transport is not None else 0

    def look(self, now: float, limits: HttpLimits) -> None:
        """End the connection if its peer takes too long over something."""
        if self._parted_at:
            if now - self._parted_at > _PARTING_SECONDS:
                self.cut()
            return
        if self._head_at and not self.busy and now - self._head_at > limits.head:
            self._listener.log.info("http.head_timed_out", peer=self._host)
            self._part(_TIMED_OUT, now)
            return
        unsent = self.unsent()
        if unsent != self._unsent or not unsent:
            self._unsent, self._stalled_at = unsent, now
        elif now - self._stalled_at > limits.stall:
            self._listener.log.info("http.peer_stalled", peer=self._host, unsent=unsent)
            self.cut()

    def retire(self) -> None:
        """Take no further request; an idle connection closes at once."""
        self.close()
        if not self.busy and not self.unsent():
            self.force_close()

    def cut(self) -> None:
        """End it without waiting for anybody."""
        if self.transport is not None:
            self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 (the library's text quotes what was wrong inside)
    ) -> web.StreamResponse:
        """The answer to what no endpoint answered; it always closes the connection. Raises if one is on its way."""
        if isinstance(exc, HttpProcessingError):
            self._listener.log.info("http.request_malformed", peer=self._host, error=type(exc).__name__)
            text = "bad request"
        else:
            text = f"incident {incident(self._listener.log, 'http.request_failed', exc)}"
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        response = web.Response(status=status, text=f"{status} {text}\n", headers={"Server": "sekisho"})
        response.force_close()
        return response


def incident(logger: Any, event: str, error: BaseException | None, **fields: object) -> str:  # noqa: ANN401 - any bound logger
    """Log an unexpected error under a new incident id, and give the id: the one thing a peer may be told."""
    number = secrets.token_hex(6)
    logger.error(event, incident=number, exc_info=error, **fields)
    return number


def client_fingerprint(request: web.BaseRequest) -> str:
    """SHA-256 of the certificate that the client has shown, in small hex; empty if it has shown none."""
    transport = request.transport
    tls = transport.get_extra_info("ssl_object") if transport is not None else None
    shown = tls.getpeercert(binary_form=True) if tls is not None else None
    return hashlib.sha256(shown).hexdigest() if shown else ""


def _in_progress(answer: Callable[[web.BaseRequest], Any]) -> Callable[[web.BaseRequest], Any]:
    """``answer``, with its connection told when it begins and ends."""

    async def told(request: web.BaseRequest) -> web.StreamResponse:
        connection = cast("_Connection", request.protocol)
        connection.request_began()
        try:
            return cast("web.StreamResponse", await answer(request))
        finally:
            connection.request_ended()

    return told


async def _name_nobody(request: web.Request, response: web.StreamResponse) -> None:  # noqa: ARG001 (the signal's signature)
    """The library would name itself and its version."""
    response.headers["Server"] = "sekisho"
