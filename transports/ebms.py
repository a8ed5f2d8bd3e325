"""ebMS in and out, as far as it is HTTP: an endpoint that a handler mounts, and a sender that posts once.

*Strategy.* The endpoint asks its :class:`Handler` who somebody is before it reads a byte of the body, reads the body
within that caller's bounds, and says what the handler says. The sender makes one attempt and names how it ended:
answered, not reached, or *unknown*, which is when the message went out and no answer came. Neither knows XML, partner
profiles or retries; those are the message service handler's (``gateway/msh.py``).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
import ssl
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Generic, Protocol, TypeVar

import aiohttp
import structlog
from aiohttp import web

from sekisho.transports.base import TrayError
from sekisho.transports.http import HttpLimits, client_fingerprint, incident
from sekisho.transports.http_body import BodyError, read_body
from sekisho.transports.smtp_data import Pool

__all__ = ["Answer", "Caller", "EbmsEndpoint", "EbmsSender", "Handler", "Post", "Posted", "Target", "Unauthorised"]

log = structlog.get_logger("sekisho.ebms")
_BAD: Final = (aiohttp.ClientError, OSError, ValueError)
"""What aiohttp raises for a peer, a network or an address."""
P_co = TypeVar("P_co", bound=Hashable, covariant=True)
P = TypeVar("P", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who posts, as far as HTTP and TLS say.

    ``peer`` is ``host:port``; ``fingerprint`` the SHA-256 of the client certificate in small hex, empty without one;
    ``user`` and ``password`` come from HTTP Basic; ``loopback`` says that the peer is a program on this machine.
    """

    listener: str
    peer: str
    loopback: bool
    fingerprint: str = ""
    user: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True)
class Post:
    """One HTTP request. ``raw`` is the Content-Type field, an empty line, and the body, which begins at ``start``."""

    caller: Caller
    content_type: str
    soap_action: str
    raw: bytes = field(repr=False)
    start: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP response; ``retry_after`` in seconds is for a 503."""

    status: int = 200
    content_type: str = ""
    body: bytes = b""
    retry_after: int = 0


class Unauthorised(Exception):
    """Nobody we know; with ``challenge`` the caller may try HTTP Basic."""

    def __init__(self, *, challenge: bool = False) -> None:
        super().__init__("unknown caller")
        self.challenge = challenge


class Handler(Protocol[P]):
    """Who decides what is said. Exceptions of :meth:`receive` become 500 with an incident id."""

    async def identify(self, caller: Caller) -> P:
        """The partner that calls; a value of the handler's own.

        Raises :class:`Unauthorised`, and :class:`~sekisho.transports.base.TrayError` when that cannot be found out now.
        """
        ...

    def most(self, partner: P) -> int:
        """The largest body, in bytes, that is taken from the partner."""
        ...

    async def receive(self, partner: P, post: Post) -> Answer:
        """Take a message in; return when the answer may be said."""
        ...


class EbmsEndpoint(Generic[P]):
    """The URL that partners post to. Hand :meth:`mount` to an :class:`~sekisho.transports.http.HttpListener`.

    ``per_partner`` bounds the requests of one partner that are under way (10, as for SMTP): the next one hears 503.
    """

    def __init__(
        self,
        handler: Handler[P],
        *,
        listener: str,
        path: str = "/ebms",
        limits: HttpLimits | None = None,
        per_partner: int = 10,
    ) -> None:
        self._handler = handler
        self._listener = listener
        self._path = path
        self._limits = limits or HttpLimits()
        self._pool = Pool(self._limits.pending_bytes)
        self._per_partner = per_partner
        self._running: Counter[Hashable] = Counter()

    def mount(self, application: web.Application) -> None:
        """Add the route. A client that waits for 100 Continue gets it only when we know who it is."""
        application.router.add_post(self._path, self._serve, expect_handler=_unexpected)

    async def _serve(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        try:
            partner = await self._handler.identify(caller)
        except Unauthorised as error:
            return _turned_away(error, request)
        except TrayError as error:  # who calls cannot be found out now
            log.warning("ebms.caller_unjudged", peer=request.remote, error=str(error))
            return _response(Answer(503, retry_after=10), close=True)
        if self._running[partner] >= self._per_partner:
            log.warning("ebms.partner_busy", peer=request.remote, running=self._running[partner])
            return _response(Answer(503, retry_after=5), close=True)
        self._running[partner] += 1
        try:
            return _response(await self._take(partner, caller, request))
        except BodyError as error:
            log.info("ebms.body_refused", peer=request.remote, error=str(error))
            return error.response
        except Exception as error:  # noqa: BLE001 - the peer hears an incident id, the log the rest
            number = incident(log, "ebms.request_failed", error, peer=request.remote)
            return _response(Answer(500, "text/plain", f"incident {number}\n".encode()))
        finally:
            self._running[partner] -= 1
            if not self._running[partner]:
                del self._running[partner]

    async def _take(self, partner: P, caller: Caller, request: web.Request) -> Answer:
        content_type = request.headers.get("Content-Type", "")
        prefix = b"Content-Type: " + content_type.encode("utf-8", "surrogateescape") + b"\r\n\r\n"
        most = self._handler.most(partner)
        raw = await read_body(request, most=most, pool=self._pool, limits=self._limits, prefix=prefix)
        return await self._handler.receive(
            partner, Post(caller, content_type, request.headers.get("SOAPAction", ""), raw, len(prefix))
        )

    def _caller(self, request: web.Request) -> Caller:
        name = request.transport.get_extra_info("peername") if request.transport is not None else None
        host, port = (str(name[0]), int(name[1])) if name else ("", 0)
        user, password = _basic(request.headers.get("Authorization", ""))
        return Caller(
            listener=self._listener,
            peer=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            loopback=_is_loopback(host),
            fingerprint=client_fingerprint(request),
            user=user,
            password=password,
        )


async def _unexpected(request: web.Request) -> None:
    """Leave the answer to ``Expect`` to the reading of the body."""


@lru_cache(maxsize=1024)
def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _basic(field_value: str) -> tuple[str, str]:
    """User and password of an Authorization field (RFC 7617); empty where it is none or is broken."""
    scheme, _, text = field_value.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(text.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password


def _turned_away(error: Unauthorised, request: web.Request) -> web.Response:
    log.warning("ebms.caller_unknown", peer=request.remote, challenged=error.challenge)
    if error.challenge:
        response = web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="ebms", charset="UTF-8"'})
    else:
        response = web.Response(status=403)
    if not request.content.is_eof():
        response.force_close()  # its body is not read
    return response


def _response(answer: Answer, *, close: bool = False) -> web.Response:
    headers = {"Content-Type": answer.content_type} if answer.content_type else {}
    if answer.retry_after:
        headers["Retry-After"] = str(answer.retry_after)
    response = web.Response(status=answer.status, body=answer.body, headers=headers)
    if close:
        response.force_close()
    return response


# Out -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Target:
    """Where a partner is reached. ``tls`` is a client context for https (with our client certificate, if any).

    ``timeout`` bounds a whole attempt and ``connect`` its beginning, in seconds; ``response_bytes`` what is read of an
    answer; ``connections`` how many are held to this partner at once.
    """

    url: str
    soap_action: str = '"ebXML"'
    tls: ssl.SSLContext | None = None
    user: str = ""
    password: str = field(default="", repr=False)
    timeout: float = 60.0
    connect: float = 15.0
    response_bytes: int = 12 * 1024 * 1024
    connections: int = 4


@dataclass(frozen=True, slots=True)
class Posted:
    """How one attempt ended.

    ``answered``: ``status``, ``content_type`` and ``body`` are the peer's. ``unreached``: nothing can have been taken
    in. ``unknown``: the peer may have it. ``text`` is for operators.
    """

    outcome: str
    status: int = 0
    content_type: str = ""
    body: bytes = field(default=b"", repr=False)
    text: str = ""


class EbmsSender:
    """Posts to one partner, over connections that are kept. Redirects are not followed, nothing is decompressed."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._session: aiohttp.ClientSession | None = None

    async def post(self, content_type: str, body: bytes) -> Posted:
        """One attempt. Never raises for the peer's or the network's sake."""
        target = self.target
        headers = {"Content-Type": content_type, "SOAPAction": target.soap_action}
        try:
            async with asyncio.timeout(target.timeout), self._open().post(
                target.url, data=body, headers=headers, allow_redirects=False
            ) as response:
                return await self._read(response)
        except aiohttp.ClientConnectorError as error:  # refused, no such name, no agreement on TLS
            return Posted("unreached", text=_text(error))
        except aiohttp.ConnectionTimeoutError as error:
            return Posted("unreached", text=_text(error))
        except TimeoutError:
            return Posted("unknown", text=f"no answer within {target.timeout:g} s")
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            return Posted("unreached", text=_text(error))
        except _BAD as error:
            return Posted("unknown", text=_text(error))

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            target = self.target
            headers = {"User-Agent": "sekisho", "Accept-Encoding": "identity"}
            if target.user:
                shown = base64.b64encode(f"{target.user}:{target.password}".encode())
                headers["Authorization"] = f"Basic {shown.decode('ascii')}"
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=target.connections, ssl=target.tls if target.tls is not None else True
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=target.connect),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers=headers,
            )
        return self._session

    async def _read(self, response: aiohttp.ClientResponse) -> Posted:
        """The answer, as far as it is bounded. Its status counts even if its body breaks off: then it is unknown."""
        body = bytearray()
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > self.target.response_bytes:
                response.close()
                return Posted("unknown", response.status, text=f"{response.status}, and an answer without end")
        content_type = response.headers.get("Content-Type", "")
        return Posted("answered", response.status, content_type, bytes(body), f"HTTP {response.status}")


def _text(error: BaseException) -> str:
    """An error in one line, for operators."""
    return " ".join((str(error) or type(error).__name__).split())[:200]
