"""Hostile messages over the wire: refused with a SOAP Fault or an HTTP status, nothing kept, nothing of ours told."""

import asyncio
import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sekisho.codecs.ebms.names import EB, SOAP
from tests.gateway.ebms_peer import Peer
from tests.gateway.msh_house import centre
from tests.gateway.support import PASSWORD

XML = "text/xml; charset=UTF-8"
RELATED = 'multipart/related; type="text/xml"; boundary="x"; start="<s>"'
OPEN = f'<S:Envelope xmlns:S="{SOAP}" xmlns:eb="{EB}"><S:Header>'.encode()
ATTRIBUTES = b" ".join(b'a%d=""' % n for n in range(90_000))
"""As many as the bound on the SOAP part lets through."""
CLOSE = b"</S:Header><S:Body/></S:Envelope>"


def _lol() -> bytes:
    entities = b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10))
    return b'<!DOCTYPE a [<!ENTITY l0 "lol">' + entities + b"]>" + OPEN + b"&l9;" + CLOSE


def _doubled(peer: Peer) -> bytes:
    body = peer.write(peer.request()).body
    begin, end = body.index(b"<eb:MessageHeader"), body.index(b"</eb:MessageHeader>") + 19
    return body[:end] + body[begin:end] + body[end:]


BOMBS: dict[str, tuple[str, Callable[[Peer], bytes]]] = {
    "entity bomb": (XML, lambda _: _lol()),
    "external entity": (XML, lambda _: b'<!DOCTYPE a [<!ENTITY e SYSTEM "/etc/passwd">]>' + OPEN + b"&e;" + CLOSE),
    "external DTD": (XML, lambda _: b'<!DOCTYPE a SYSTEM "http://127.0.0.1:9/dtd">' + OPEN + CLOSE),
    "90,000 attributes": (XML, lambda _: OPEN + b"<a " + ATTRIBUTES + b"/>" + CLOSE),
    "nesting": (XML, lambda _: OPEN + b"<a>" * 100_000 + b"</a>" * 100_000 + CLOSE),
    "over 1 MiB of SOAP": (XML, lambda _: OPEN + b"<!--" + b"x" * 1_100_000 + b"-->" + CLOSE),
    "10,000 parts": (RELATED, lambda _: b"--x\r\n\r\n\r\n" * 10_000 + b"--x--\r\n"),
    "endless part header": (RELATED, lambda _: b"--x\r\nX: " + b"a" * 3_000_000),
    "boundary flood": (RELATED, lambda _: b"\r\n--" * 1_000_000),
    "endless part": (RELATED, lambda _: b"--x\r\nContent-Type: text/xml\r\nContent-ID: <s>\r\n\r\n" + bytes(3_000_000)),
    "item 14: two MessageHeaders": (XML, _doubled),
    "item 63: no XML": (XML, lambda _: b"\x00\xff" * 1000),
    "UTF-7": ("text/xml; charset=utf-7", lambda peer: peer.write(peer.request()).body),
    "AS4": ("application/soap+xml", lambda peer: peer.write(peer.request()).body),
    "a form": ("application/x-www-form-urlencoded", lambda _: b"a=b"),
    "no type": ("", lambda _: b"<a/>"),
}


@pytest.mark.parametrize("name", BOMBS)
async def test_item_63_bombs_get_their_answer_quickly(tmp_path: Path, name: str) -> None:
    """Items 7, 11, 14, 63 and section 7: HTTP 500 with a SOAP Fault within a second; the next message is served."""
    content_type, make = BOMBS[name]
    async with centre(tmp_path) as desk:
        body = make(desk.peer)
        began = time.perf_counter()
        said = await desk.peer.post_raw(content_type or "x", body)
        took = time.perf_counter() - began
        assert said.status == 500
        assert b"<faultcode>SOAP:" in said.body
        assert took < 3, f"{took:.1f} s"
        for word in (b"Traceback", b"lxml", b".py", b"/work", b"root:", b"Error("):
            assert word not in said.body
        assert desk.desk.requests == []
        assert (await desk.peer.post(desk.peer.request(desk.request("TCC")))).message.kind == "acknowledgment"


async def test_a_body_over_the_agreed_bound_is_refused(tmp_path: Path) -> None:
    """Reliability 8: 413."""
    async with centre(tmp_path, max_message=5000) as desk:
        said = await desk.peer.post(desk.peer.request(bytes(6000)))
        assert said.status == 413


async def test_a_stranger_is_not_even_read(tmp_path: Path) -> None:
    """Section 5, step 1: without an identity 401 or 403, whatever the message claims."""
    async with centre(tmp_path, plain=False, basic=True) as desk:
        said = await desk.peer.post(desk.peer.request(desk.request("TCC")))
        assert (said.status, said.headers["WWW-Authenticate"][:5]) == (401, "Basic")
        assert PASSWORD.encode() not in said.body
        assert desk.desk.requests == []


async def test_ten_megabytes_of_files_are_taken_and_memory_is_flat(tmp_path: Path) -> None:
    """Section 9: a large payload is spooled and what it took given back: the tenth needs no more than the fourth."""
    async with centre(tmp_path) as desk:

        async def some(messages: int) -> int:
            for _ in range(messages):
                said = await desk.peer.post(desk.peer.request(desk.request("TCC"), bytes(10_000_000)))
                assert said.message.kind == "acknowledgment"
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        before = await some(4)
        grown = await some(6) - before
        assert grown < 30_000, f"{grown} KiB more after six further messages of 10 MB"
        assert len(desk.desk.requests) == 10


async def test_a_bomb_does_not_hold_up_its_neighbours(tmp_path: Path) -> None:
    """Issue 4: healthy senders go on while a hostile one is judged."""
    async with centre(tmp_path) as desk:
        bombs = [asyncio.create_task(desk.peer.post_raw(XML, _lol())) for _ in range(20)]
        began = time.perf_counter()
        assert (await desk.peer.post(desk.peer.request(desk.request("TCC")))).message.kind == "acknowledgment"
        assert time.perf_counter() - began < 2
        assert {one.status for one in await asyncio.gather(*bombs)} == {500}
