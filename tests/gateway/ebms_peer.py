"""A partner's message service handler for tests: writes what it is told to, and keeps what is posted to it.

It is made of the codec and a bare aiohttp server and client, so every answer is the test's own decision.
"""

# ruff: noqa: ANN401 - keyword arguments are handed through to the values they make

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import itertools
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from sekisho.codecs.ebms.names import ACKNOWLEDGMENT, MESSAGE_ERROR, MSH_SERVICE, SOAP_ACTION, TOLERANCES
from sekisho.codecs.ebms.reading import read
from sekisho.codecs.ebms.signing import Signer
from sekisho.codecs.ebms.values import (
    Acknowledgment,
    AckRequested,
    EbError,
    EbMessage,
    ErrorList,
    Header,
    ManifestItem,
    Party,
    PartyId,
    Payload,
    Service,
    SyncReply,
    Wire,
)
from sekisho.codecs.ebms.writing import write

US = Party((PartyId("urn:sekisho:centre"),), "Centre")
THEM = Party((PartyId("urn:sekisho:broker"),), "Declarant")
CPA = "urn:sekisho:cpa:sample-1"
SERVICE = Service("urn:sekisho:service:declarations")
REQUEST, REPLY, PULL = "Request", "Reply", "Fetch"


def keys(name: str, days: int = 30) -> tuple[bytes, bytes]:
    """Key and self-signed certificate in PEM, made once a run; valid from yesterday to ``days`` days from now."""
    return _keys(name, days)


@functools.cache
def _keys(name: str, days: int) -> tuple[bytes, bytes]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return plain, made.public_bytes(Encoding.PEM)


def key_files(folder: Path, name: str, days: int = 30) -> tuple[str, str]:
    """The same as files; their names, key first."""
    key, certificate = keys(name, days)
    (folder / f"{name}.key").write_bytes(key)
    (folder / f"{name}.pem").write_bytes(certificate)
    return f"{name}.key", f"{name}.pem"


@dataclass(frozen=True)
class Said:
    """One HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> EbMessage:
        """The ebMS message in it, read strictly."""
        return read(self.headers["Content-Type"], self.body)

    @property
    def error(self) -> EbError:
        """The one error of the MessageError in it."""
        errors = self.message.errors
        assert errors is not None
        (one,) = errors.errors
        return one


@dataclass(frozen=True)
class Came:
    """One HTTP request that was posted to the peer."""

    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> EbMessage:
        """The ebMS message in it, read strictly."""
        return read(self.headers["Content-Type"], self.body)


Answering = Callable[["Peer", EbMessage], "web.Response | Wire | None"]


class Peer:
    """The partner ``THEM`` of the centre ``US``. ``posts`` are the requests that came to its endpoint.

    ``answering`` makes the response to each; by default the Acknowledgment goes into it.
    """

    def __init__(self, url: str = "", *, signer: Signer | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.url = url
        self.signer = signer
        self.tls = tls
        self.posts: list[Came] = []
        self.answering: Answering = lambda peer, message: peer.write(peer.acknowledgment(message))
        self.address = ""
        self._count = itertools.count(1)
        self._session: aiohttp.ClientSession | None = None

    # Making ------------------------------------------------------------------------------------------------------

    def new_id(self) -> str:
        """A MessageId."""
        return f"{next(self._count)}.{id(self):x}@BROKER.SEKISHO.EXAMPLE"

    def header(self, action: str = REQUEST, *, service: Service = SERVICE, ref_to: str = "", **more: Any) -> Header:
        """A MessageHeader to the centre."""
        fields: dict[str, Any] = {
            "sender": THEM,
            "receiver": US,
            "cpa_id": CPA,
            "conversation": "conversation-1",
            "service": service,
            "action": action,
            "message_id": self.new_id(),
            "timestamp": dt.datetime.now(dt.UTC).replace(microsecond=0),
            "ref_to": ref_to,
        }
        return Header(**(fields | more))

    def request(
        self,
        *contents: bytes,
        ack: bool | None = False,
        sync: bool = True,
        action: str = REQUEST,
        media_type: str = "text/plain",
        message: dict[str, Any] | None = None,
        **header: Any,
    ) -> EbMessage:
        """A business message; ``ack``: ask for an Acknowledgment, signed if true, None for none at all."""
        parts = tuple(Payload(f"part-{n}@BROKER.SEKISHO.EXAMPLE", media_type, one) for n, one in enumerate(contents, 1))
        header.setdefault("duplicate_elimination", True)
        made = EbMessage(
            self.header(action, **header),
            ack_requested=AckRequested(ack) if ack is not None else None,
            sync_reply=SyncReply() if sync else None,
            manifest=tuple(ManifestItem(f"cid:{part.content_id}") for part in parts),
            payloads=parts,
        )
        return replace(made, **(message or {}))

    def signal(self, action: str, *, ref_to: str = "", **message: Any) -> EbMessage:
        """A message of the MSH service."""
        return EbMessage(self.header(action, service=Service(MSH_SERVICE), ref_to=ref_to), **message)

    def acknowledgment(self, of: EbMessage, *, signed: bool = False) -> EbMessage:
        """The Acknowledgment of a message that came."""
        ref_to = of.header.message_id
        receipt = Acknowledgment(
            dt.datetime.now(dt.UTC).replace(microsecond=0), ref_to, references=of.digests if signed else ()
        )
        return self.signal(ACKNOWLEDGMENT, ref_to=ref_to, acknowledgment=receipt)

    def error(self, of: EbMessage, code: str = "Unknown", severity: Any = "Error") -> EbMessage:
        """A MessageError about a message that came."""
        errors = ErrorList(severity, (EbError(code, severity, "said by the test"),))
        return self.signal(MESSAGE_ERROR, ref_to=of.header.message_id, errors=errors)

    def write(self, message: EbMessage, *, signed: bool | None = None) -> Wire:
        """Its bytes; signed where the peer has a key, unless told otherwise."""
        signer = self.signer if signed in (None, True) else None
        return write(message, boundary="--=_part", content_id="soap@BROKER.SEKISHO.EXAMPLE", signer=signer)

    # Posting -----------------------------------------------------------------------------------------------------

    async def post(self, message: EbMessage | Wire, *, signed: bool | None = None, **headers: str) -> Said:
        """Post a message to the centre."""
        wire = message if isinstance(message, Wire) else self.write(message, signed=signed)
        return await self.post_raw(wire.content_type, wire.body, **headers)

    async def post_raw(self, content_type: str, body: Any, **headers: str) -> Said:
        """Post bytes to the centre; ``headers`` with _ for -, an empty one is left out."""
        fields = {"Content-Type": content_type, "SOAPAction": SOAP_ACTION}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        fields = {name: value for name, value in fields.items() if value}
        async with self.session.post(self.url, data=body, headers=fields, ssl=self.tls or True) as response:
            return Said(response.status, dict(response.headers), await response.read())

    @property
    def session(self) -> aiohttp.ClientSession:
        """Its client."""
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        return self._session

    async def close(self) -> None:
        """Close its client."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    # Its endpoint ------------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Its endpoint's URL."""
        application = web.Application(client_max_size=0)
        application.router.add_post("/msh", self._posted)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.address = f"http://{host}:{port}/msh"
        try:
            yield self.address
        finally:
            await runner.cleanup()

    async def _posted(self, request: web.Request) -> web.Response:
        came = Came(dict(request.headers), await request.read())
        self.posts.append(came)
        try:
            said = self.answering(self, read(came.headers["Content-Type"], came.body, tolerances=frozenset(TOLERANCES)))
        except ConnectionResetError:  # the test wants no answer at all
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if isinstance(said, web.Response):
            return said
        if said is None:
            return web.Response()
        return web.Response(body=said.body, headers={"Content-Type": said.content_type})
