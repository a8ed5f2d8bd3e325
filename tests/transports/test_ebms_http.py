"""ebMS over HTTP: who calls is known before a byte is read, and an attempt to post ends in one of three ways."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from sekisho.transports.base import TrayError
from sekisho.transports.ebms import Answer, Caller, EbmsEndpoint, EbmsSender, Post, Posted, Target, Unauthorised
from sekisho.transports.http import HttpListener

XML = "text/xml; charset=UTF-8"


@dataclass
class _Partners:
    """A handler that knows the user ``broker``, and answers what the test says."""

    answer: Answer = field(default_factory=lambda: Answer(200, XML, b"<yes/>"))
    posts: list[Post] = field(default_factory=list)
    callers: list[Caller] = field(default_factory=list)
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    fails: bool = False

    def __post_init__(self) -> None:
        self.hold.set()

    async def identify(self, caller: Caller) -> str:
        self.callers.append(caller)
        if caller.user == "nobody-knows":
            raise TrayError("the store is away")
        if caller.user != "broker":
            raise Unauthorised(challenge=not caller.user)
        return caller.user

    def most(self, partner: str) -> int:
        return 1000 * len(partner)

    async def receive(self, partner: str, post: Post) -> Answer:
        assert partner == "broker"
        self.posts.append(post)
        if self.fails:
            raise RuntimeError("secret of the house")
        await self.hold.wait()
        return self.answer


@contextlib.asynccontextmanager
async def _endpoint(per_partner: int = 10) -> AsyncIterator[tuple[_Partners, str, HttpListener]]:
    handler = _Partners()
    endpoint = EbmsEndpoint(handler, listener="ebms", per_partner=per_partner)
    listener = HttpListener(name="ebms", host="127.0.0.1", port=0, mounts=[endpoint.mount])
    await listener.start()
    host, port = listener.address
    try:
        yield handler, f"http://{host}:{port}/ebms", listener
    finally:
        await listener.stop(1)


def _sender(url: str, **more: float | str) -> EbmsSender:
    fields: dict[str, float | str] = {"url": url, "user": "broker", "password": "right"}
    return EbmsSender(Target(**(fields | more)))  # type: ignore[arg-type]


async def _post(url: str, **more: float | str) -> Posted:
    sender = _sender(url, **more)
    try:
        return await sender.post(XML, b"<x/>")
    finally:
        await sender.close()


async def test_what_is_posted_arrives_as_it_was() -> None:
    """Items 8, 10: method, SOAPAction, Content-Type and body; the answer comes back with its own."""
    async with _endpoint() as (handler, url, _):
        said = await _post(url)
        assert said == Posted("answered", 200, XML, b"<yes/>", "HTTP 200")
        (post,) = handler.posts
        assert (post.content_type, post.soap_action) == (XML, '"ebXML"')
        assert post.raw == b"Content-Type: " + XML.encode() + b"\r\n\r\n<x/>"
        assert post.raw[post.start :] == b"<x/>"
        assert (post.caller.user, post.caller.password, post.caller.loopback) == ("broker", "right", True)


async def test_a_stranger_is_refused_before_his_body_is_read() -> None:
    """Section 5, step 1: 401 where Basic may help, else 403; the body stays where it is."""
    async with _endpoint() as (handler, url, listener):
        assert (await _post(url, user="")).status == 401
        assert (await _post(url, user="other")).status == 403
        assert (await _post(url, user="nobody-knows")).status == 503
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(b"POST /ebms HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4000\r\n\r\n")
        said = await asyncio.wait_for(reader.read(-1), 5)
        assert said.startswith(b"HTTP/1.1 401 ")
        assert b"WWW-Authenticate: Basic" in said
        writer.close()
        assert handler.posts == []


NO_TEXT = "Basic " + base64.b64encode(b"\xff:\xff").decode()


@pytest.mark.parametrize("text", ["Basic !!!", "Basic", "Bearer abc", NO_TEXT])
async def test_broken_credentials_are_none(text: str) -> None:
    """RFC 7617: what cannot be read identifies nobody."""
    async with _endpoint() as (handler, url, _), aiohttp.ClientSession() as session:
        async with session.post(url, data=b"x", headers={"Authorization": text}) as response:
            assert response.status == 401
        assert handler.callers[0].user == ""


async def test_a_partners_bound_holds() -> None:
    """Reliability 8: the bound is the partner's, 413 above it."""
    async with _endpoint() as (handler, url, _):
        sender = _sender(url)
        assert (await sender.post(XML, bytes(6000))).status == 200
        assert (await sender.post(XML, bytes(6001))).status == 413
        await sender.close()
        assert len(handler.posts) == 1


async def test_a_partner_cannot_hold_more_than_his_share() -> None:
    """Reliability 8: requests of one partner at once are bounded; 503 with Retry-After, and then again."""
    async with _endpoint(per_partner=2) as (handler, url, _):
        handler.hold.clear()
        held = [asyncio.create_task(_post(url)) for _ in range(2)]
        while len(handler.posts) < 2:  # noqa: ASYNC110 - the handler announces nothing
            await asyncio.sleep(0.01)
        assert (await _post(url)).status == 503
        handler.hold.set()
        assert [one.status for one in await asyncio.gather(*held)] == [200, 200]
        assert (await _post(url)).status == 200


async def test_a_fault_of_ours_is_an_incident() -> None:
    """House: a class name, path or text of ours never leaves."""
    async with _endpoint() as (handler, url, _):
        handler.fails = True
        said = await _post(url)
        assert said.status == 500
        assert said.body.startswith(b"incident ")
        assert b"secret" not in said.body


async def test_503_says_when_to_come_again() -> None:
    """Reliability 8."""
    async with _endpoint() as (handler, url, _):
        handler.answer = Answer(503, retry_after=60)
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=b"<x/>", headers={"Authorization": "Basic YnJva2VyOng="}) as response,
        ):
            assert (response.status, response.headers["Retry-After"]) == (503, "60")


async def test_who_hangs_up_takes_nothing_back() -> None:
    """Item 36: what was taken in is finished; the answer waits for the next asking."""
    async with _endpoint() as (handler, url, _):
        handler.hold.clear()
        hasty = asyncio.create_task(_post(url, timeout=0.3))
        assert (await hasty).outcome == "unknown"
        assert len(handler.posts) == 1
        handler.hold.set()


# Out -----------------------------------------------------------------------------------------------------------------

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def _peer(talk: Talk) -> AsyncIterator[str]:
    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"<x/>")
            await talk(reader, writer)
        writer.close()

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/msh"
    finally:
        server.close()


def _says(text: bytes, after: float = 0) -> Talk:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        await writer.drain()
        await asyncio.sleep(after)

    return talk


OK = b"HTTP/1.1 200 OK\r\nContent-Length: "
ENDS = {
    "nothing": (_says(b""), "unknown"),
    "half a head": (_says(b"HTTP/1.1 200 OK\r\nCont"), "unknown"),
    "half a body": (_says(OK + b"100\r\n\r\nhalf"), "unknown"),
    "no HTTP": (_says(b"220 smtp.EXAMPLE ready\r\n"), "unknown"),
    "silence": (_says(b"", 5), "unknown"),
    "a drip": (_says(OK + b"100\r\n\r\n", 5), "unknown"),
    "without end": (_says(OK + b"90000000\r\n\r\n" + bytes(2_000_000)), "unknown"),
    "endless head": (_says(b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 100_000), "unknown"),
    "two lengths": (_says(OK + b"1\r\nContent-Length: 2\r\n\r\nab"), "unknown"),
    "good": (_says(OK + b"2\r\n\r\nab"), "answered"),
}


@pytest.mark.parametrize("name", ENDS)
async def test_item_13_how_an_attempt_ends(name: str) -> None:
    """Item 13: no answer, or half of one, leaves in doubt whether the message was taken; never an exception."""
    talk, outcome = ENDS[name]
    async with _peer(talk) as url:
        said = await _post(url, timeout=0.5, response_bytes=1_000_000)
        assert said.outcome == outcome
        assert said.text


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://nowhere.invalid/", "https://127.0.0.1:1/", "nonsense"])
async def test_item_13_who_cannot_be_reached_has_nothing(url: str) -> None:
    """Item 13: refused, unknown name, no address: certainly not delivered."""
    assert (await _post(url, timeout=5)).outcome == "unreached"


async def test_redirects_are_not_followed_and_compression_is_not_undone() -> None:
    """Section 7: the endpoint comes from the profile; a small answer stays small."""
    asked: list[str] = []

    async def moved(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=307, headers={"Location": "/other", "Content-Encoding": "gzip"}, body=b"\x1f\x8b")

    application = web.Application()
    application.router.add_route("*", "/{any:.*}", moved)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        said = await _post(f"http://127.0.0.1:{runner.addresses[0][1]}/msh")
        assert (said.outcome, said.status, said.body) == ("answered", 307, b"\x1f\x8b")
        assert asked == ["/msh"]
    finally:
        await runner.cleanup()


async def test_a_server_without_a_good_certificate_is_not_reached() -> None:
    """Section 7: TLS verification is on."""
    import ssl
    import tempfile
    from pathlib import Path

    from tests.transports.test_http_listener import _certificate

    with tempfile.TemporaryDirectory() as folder:
        ours, _ = _certificate(Path(folder), "server")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(ours)
        server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0, ssl=context)
        url = f"https://localhost:{server.sockets[0].getsockname()[1]}/msh"
        assert (await _post(url, timeout=5)).outcome == "unreached"
        server.close()
