"""The HTTP listener under every kind of peer: defined answers, bounded time and memory, nothing of ours in a text."""

import asyncio
import contextlib
import datetime as dt
import gzip
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from sekisho.transports.http import HttpLimits, HttpListener, client_fingerprint
from sekisho.transports.http_body import BodyError, read_body
from sekisho.transports.smtp_data import Pool

from .senders import until

MOST = 3_000_000


class _Desk:
    """What the tests mount: ``/body`` reads a body, ``/who`` names the client's certificate, ``/large`` says much."""

    def __init__(self, limits: HttpLimits) -> None:
        self.limits = limits
        self.pool = Pool(limits.pending_bytes)
        self.read = 0

    def mount(self, application: web.Application) -> None:
        application.router.add_post("/body", self.body, expect_handler=self.unexpected)
        application.router.add_get("/who", self.who)
        application.router.add_get("/large", self.large)
        application.router.add_get("/broken", self.broken)
        application.router.add_get("/slow", self.slow)

    async def unexpected(self, request: web.Request) -> None:
        """100 Continue is the reader's to say."""

    async def body(self, request: web.Request) -> web.Response:
        try:
            found = await read_body(request, most=MOST, pool=self.pool, limits=self.limits, prefix=b"HEAD")
        except BodyError as error:
            return error.response
        self.read += 1
        return web.Response(text=f"{len(found)} {hash(found)}")

    async def who(self, request: web.Request) -> web.Response:
        return web.Response(text=client_fingerprint(request))

    async def large(self, _request: web.Request) -> web.Response:
        return web.Response(body=bytes(30_000_000))

    async def broken(self, _request: web.Request) -> web.Response:
        raise RuntimeError("secret of the house")

    async def slow(self, _request: web.Request) -> web.Response:
        await asyncio.sleep(0.5)
        return web.Response(text="done")


@contextlib.asynccontextmanager
async def _listening(
    limits: dict[str, Any] | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[HttpListener, _Desk]]:
    bounds = HttpLimits(**(limits or {}))
    desk = _Desk(bounds)
    listener = HttpListener(name="test", host="127.0.0.1", port=0, mounts=[desk.mount], tls=tls, limits=bounds)
    await listener.start()
    try:
        yield listener, desk
    finally:
        await listener.stop(2)


async def _talk(listener: HttpListener, said: bytes, seconds: float = 5) -> bytes:
    """Everything that is answered until the connection closes."""
    reader, writer = await asyncio.open_connection(*listener.address)
    try:
        writer.write(said)
        return await asyncio.wait_for(reader.read(-1), seconds)
    finally:
        writer.close()


async def _count(listener: HttpListener, connections: int) -> None:
    """Wait until so many connections are open."""
    async with asyncio.timeout(5):
        while listener.open_connections != connections:  # noqa: ASYNC110 - the listener announces nothing
            await asyncio.sleep(0.01)


def _url(listener: HttpListener, path: str) -> str:
    host, port = listener.address
    return f"http://{host}:{port}{path}"


@pytest.mark.parametrize("size", [0, 1, 65_536, 1_048_576, 1_048_577, 2_999_999])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_comes_whole_in_one_piece(size: int, chunked: bool) -> None:
    """Section 9: small bodies in memory, large ones by a spool; the same bytes either way."""
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, size, 100_000):
            yield body[at : at + 100_000]

    async with _listening() as (listener, desk), aiohttp.ClientSession() as session:
        data = pieces() if chunked else body
        async with session.post(_url(listener, "/body"), data=data) as response:
            assert await response.text() == f"{size + 4} {hash(b'HEAD' + body)}"
            assert response.headers["Server"] == "sekisho"
        assert desk.pool.free == desk.limits.pending_bytes


async def test_a_body_that_is_too_long_is_refused_at_its_first_word() -> None:
    """Reliability 8: 413, by Content-Length before a byte of it, by count where it is chunked."""
    async with _listening() as (listener, desk):
        said = await _talk(listener, b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 3000001\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 413 ")
        chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
        said = await _talk(listener, _post(b"Transfer-Encoding: chunked", chunk * 60))
        assert said.startswith(b"HTTP/1.1 413 ")
        assert (desk.read, desk.pool.free) == (0, desk.limits.pending_bytes)


async def test_a_body_that_ends_too_early_is_not_taken() -> None:
    """Item 7: Content-Length says more than comes."""
    async with _listening() as (listener, desk):
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        writer.write_eof()
        await asyncio.wait_for(reader.read(-1), 5)
        writer.close()
        await asyncio.sleep(0.1)
        assert (desk.read, desk.pool.free) == (0, desk.limits.pending_bytes)


async def test_100_continue_is_said_by_who_reads_and_not_for_what_is_too_long() -> None:
    """HTTP: a client that waits may spare itself the body."""
    async with _listening() as (listener, _):
        head = b"POST /body HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: "
        said = await _talk(listener, head + b"9000000\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 413 ")
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(head + b"2\r\n\r\n")
        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"ok")
        assert (await asyncio.wait_for(reader.read(-1), 5)).startswith(b"HTTP/1.1 200 ")
        writer.close()


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "gzip, identity"])
async def test_compressed_bodies_are_refused(coding: str) -> None:
    """Section 7: a small body must not become a large one."""
    body = gzip.compress(bytes(2_000_000))
    async with _listening() as (listener, desk), aiohttp.ClientSession() as session:
        headers = {"Content-Encoding": coding}
        async with session.post(_url(listener, "/body"), data=body, headers=headers) as response:
            assert response.status == 415
        assert desk.read == 0


async def test_a_head_that_drips_is_timed_out() -> None:
    """Issue 4, slow drip: 408 after the time for a head, whatever comes meanwhile."""
    async with _listening({"head": 0.4}) as (listener, _):
        reader, writer = await asyncio.open_connection(*listener.address)
        said = asyncio.create_task(reader.read(-1))
        for letter in b"POST /body HTTP/1.1\r\nHost: x\r\nX: aaaaaaaaaaaaaaaaaaaaa":
            with contextlib.suppress(ConnectionError):
                writer.write(bytes([letter]))
                await writer.drain()
            if said.done():
                break
            await asyncio.sleep(0.05)
        assert (await said).startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_a_silent_connection_is_closed() -> None:
    """Nobody keeps a connection for nothing."""
    async with _listening({"idle": 0.3}) as (listener, _):
        assert await _talk(listener, b"") == b""
        assert listener.open_connections == 0


@pytest.mark.parametrize("limits", [{"body_idle": 0.3}, {"body": 0.3}])
async def test_a_body_that_drips_is_timed_out(limits: dict[str, float]) -> None:
    """Issue 4, slow drip: silence inside a body, and a body that takes for ever."""
    async with _listening(limits) as (listener, desk):
        reader, writer = await asyncio.open_connection(*listener.address)
        said = asyncio.create_task(reader.read(-1))
        writer.write(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(40):
            if said.done():
                break
            if "body" in limits:
                with contextlib.suppress(ConnectionError):
                    writer.write(b"a")
            await asyncio.sleep(0.05)
        assert (await said).startswith(b"HTTP/1.1 408 ")
        assert (desk.read, desk.pool.free) == (0, desk.limits.pending_bytes)
        writer.close()


async def test_a_peer_that_reads_nothing_is_cut() -> None:
    """Issue 4: an answer that nobody takes must not be held for ever."""
    async with _listening({"stall": 0.5}) as (listener, _):
        reader, writer = await asyncio.open_connection(*listener.address, limit=1024)
        writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await _count(listener, 1)
        await _count(listener, 0)
        writer.transport.abort()
        assert not reader.at_eof()


def _post(fields: bytes, body: bytes = b"") -> bytes:
    return b"POST /body HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n\r\n" + body


HEADS = {
    "endless line": (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", 400),
    "endless field": (b"GET /who HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", 400),
    "endless fields": (b"GET /who HTTP/1.1\r\n" + b"X: a\r\n" * 10_000 + b"\r\n", 400),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n", 400),
    "two lengths": (_post(b"Content-Length: 1\r\nContent-Length: 2", b"ab"), 400),
    "length and chunked": (_post(b"Content-Length: 4\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"), 400),
    "negative length": (_post(b"Content-Length: -1"), 400),
    "no such path": (b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
    "other method": (b"DELETE /body HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405),
    "our own fault": (b"GET /broken HTTP/1.1\r\nHost: x\r\n\r\n", 500),
}


@pytest.mark.parametrize("name", HEADS)
async def test_hostile_heads_get_an_answer_that_tells_nothing(name: str) -> None:
    """Issue 4: endless line and header; errors carry no library, path, class or traceback."""
    said, expected = HEADS[name]
    async with _listening() as (listener, _):
        answer = await _talk(listener, said)
        assert answer[9:12] == str(expected).encode(), answer[:200]
        for word in (b"aiohttp", b"Python", b"Traceback", b"/work", b"secret", b"Exception", b"aaaa"):
            assert word not in answer
        assert listener.open_connections == 0


async def test_a_connection_too_many_hears_503() -> None:
    """Reliability 8: per address and in all, with Retry-After; when one goes, the next is served."""
    for limits in ({"connections_per_address": 2}, {"connections_total": 2}):
        async with _listening(limits) as (listener, _):
            held = [await asyncio.open_connection(*listener.address) for _ in range(2)]
            await asyncio.sleep(0.05)
            said = await _talk(listener, b"GET /who HTTP/1.1\r\nHost: x\r\n\r\n")
            assert said.startswith(b"HTTP/1.1 503 ")
            assert b"Retry-After: 10\r\n" in said
            held[0][1].close()
            await asyncio.sleep(0.05)
            said = await _talk(listener, b"GET /who HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert said.startswith(b"HTTP/1.1 200 ")
            assert (listener.accepted, listener.refused) == (3, 1)
            held[1][1].close()


async def test_stopping_lets_a_request_finish() -> None:
    """House: nobody new, what runs is finished, then the end."""
    async with _listening() as (listener, _):
        idle = await asyncio.open_connection(*listener.address)
        running = asyncio.create_task(_talk(listener, b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"))
        await asyncio.sleep(0.1)
        await listener.stop(5)
        assert (await running).endswith(b"done")
        assert await asyncio.wait_for(idle[0].read(-1), 1) == b""
        with pytest.raises(ConnectionError):
            await asyncio.open_connection(*listener.address)
        idle[1].close()


async def test_the_body_pool_is_shared_and_given_back() -> None:
    """Reliability 8: what comes in at once is bounded; 503 with Retry-After above."""
    async with _listening({"pending_bytes": 300_000}) as (listener, desk):
        head = b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 250000\r\n\r\n"
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(head + bytes(200_000))
        await asyncio.sleep(0.2)
        said = await _talk(listener, head + bytes(250_000))
        assert said.startswith(b"HTTP/1.1 503 ")
        writer.write(bytes(50_000))
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 200 ")
        assert desk.pool.free == 300_000
        writer.close()


def _certificate(folder: Path, name: str) -> tuple[Path, x509.Certificate]:
    """A key with a self-signed certificate in one PEM file, made for this run."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).sign(key, hashes.SHA256())
    )  # fmt: skip
    path = folder / f"{name}.pem"
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(plain + made.public_bytes(Encoding.PEM))
    return path, made


async def test_the_clients_certificate_is_known_by_its_fingerprint(tmp_path: Path) -> None:
    """Section 9: client certificates per listener, readable where the request is handled."""
    ours, _ = _certificate(tmp_path, "server")
    theirs, shown = _certificate(tmp_path, "client")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(ours)
    server.load_verify_locations(theirs)
    server.verify_mode = ssl.CERT_OPTIONAL
    async with _listening(tls=server) as (listener, _):
        for certificate, expected in ((theirs, shown.fingerprint(hashes.SHA256()).hex()), (None, "")):
            client = ssl.create_default_context(cafile=str(ours))
            if certificate is not None:
                client.load_cert_chain(certificate)
            async with aiohttp.ClientSession() as session:
                url = f"https://localhost:{listener.address[1]}/who"
                async with session.get(url, ssl=client) as response:
                    assert await response.text() == expected
        assert await _talk(listener, b"GET /who HTTP/1.1\r\n\r\n") == b""  # plain HTTP is no TLS


async def test_peers_inside_the_handshake_are_counted(tmp_path: Path) -> None:
    """Section 9, TLS: who connects and says nothing takes a place, for as long as a handshake may take."""
    ours, _ = _certificate(tmp_path, "server")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(ours)
    async with _listening({"handshake": 0.4, "connections_per_address": 3}, tls=server) as (listener, _):
        silent = [await asyncio.open_connection(*listener.address) for _ in range(4)]
        await until(lambda: listener.refused == 1)
        assert (listener.accepted, listener.open_connections) == (3, 3)
        await until(lambda: listener.open_connections == 0)
        for reader, writer in silent:
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
