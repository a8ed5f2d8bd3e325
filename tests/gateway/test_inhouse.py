"""The in-house system that tests and demo speak as: its two halves against each other, and against scripted peers."""

import asyncio
from collections.abc import Sequence

import pytest

from sekisho.codecs.message import read_message
from sekisho.gateway.inhouse import InHouseSystem, Submission, build_mail, build_request, split_address, submit
from sekisho.handlers.tables import catalogue

SENDER, CENTRE = "1ANAC1@SMTP.BROKER.SEKISHO.EXAMPLE", "NACCS@SMTP.TEST.SEKISHO.EXAMPLE"


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("127.0.0.1:2525", ("127.0.0.1", 2525)),
        ("smtp://localhost:25", ("localhost", 25)),
        ("smtp://host", ("host", 25)),
        ("[::1]:2525", ("::1", 2525)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
    ],
)
def test_an_address_is_host_and_port(text: str, pair: tuple[str, int]) -> None:
    """Where SMTP goes to: host:port, a URL, or IPv6 in brackets; port 25 where none is named."""
    assert split_address(text) == pair


@pytest.mark.parametrize("text", ["", "host:x", "host:70000", "http://host:80", "a b:25", "host:25:26"])
def test_anything_else_is_no_address(text: str) -> None:
    """And nothing is guessed."""
    with pytest.raises(ValueError, match="is not host:port"):
        split_address(text)


def test_a_request_is_written_at_full_width() -> None:
    """TCC 507 bytes, SYG 409, OLC20 416 (wire reference 13), and read back without findings."""
    for code, items, size in (("TCC", {"I01": "A"}, 507), ("SYG", {"OCD": "REF"}, 409), ("OLC20", {"OLT": "1"}, 416)):
        content = build_request(catalogue(), code, user_id="1ANACA0A", password="SAMPLE01", items=items)
        message = read_message(content, catalogue())
        assert (len(content), message.findings, message.errors) == (size, (), ())
        assert (message.header.user_id, message.header.password) == ("1ANACA0A", "SAMPLE01")


def test_what_no_item_can_hold_is_refused() -> None:
    """A value too long, an unknown item, items for a business without a table: ValueError, never a broken message."""
    for code, items, text in (
        ("TCC", {"I01": "X" * 51}, "I01: 51 bytes, the item holds 50"),
        ("TCC", {"XXX": "Y"}, "TCC.in has no such item"),
        ("ZZZ", {"I01": "X"}, "no table ZZZ"),
    ):
        with pytest.raises(ValueError, match=text):
            build_request(catalogue(), code, items=items)


@pytest.mark.parametrize(
    "content",
    [
        b".\r\n..\r\n.hidden\r\n",
        "関所".encode("euc_jp") + b"   \r\n",
        b"X" * 600 + b"\r\n" + bytes(range(128, 256)) + b"\r\n",
    ],
)
async def test_every_byte_arrives(content: bytes) -> None:
    """Trailing spaces are significant, 8-bit bytes survive, a leading dot is stuffed (wire reference 7.4)."""
    async with InHouseSystem(catalogue()) as system:
        mail = build_mail(content, sender=SENDER, recipient=CENTRE, message_id="<1@BROKER.EXAMPLE>")
        submission = await submit(*split_address(system.address), mail, sender=SENDER, recipient=CENTRE)
        assert submission.accepted
        assert await system.wait(len, 5)
        (arrival,) = system.arrivals
    assert arrival.content == content
    assert (arrival.sender, arrival.box, arrival.transport_id) == (SENDER, CENTRE, "<1@BROKER.EXAMPLE>")


async def talk(port: int, *lines: bytes) -> list[bytes]:
    """The replies to some lines, the greeting first."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    replies = [await reader.readline()]
    for line in lines:
        writer.write(line + b"\r\n")
        replies.append(await reader.readline())
    writer.close()
    return replies


async def test_the_receiver_knows_what_observed_receivers_know() -> None:
    """EHLO and NOOP get 500; HELO, MAIL, RCPT, DATA, RSET and QUIT work (wire reference 7.2)."""
    async with InHouseSystem(catalogue()) as system:
        port = split_address(system.address)[1]
        replies = await talk(
            port, b"EHLO a", b"NOOP", b"HELO a", b"MAIL FROM:<a@b.EXAMPLE>", b"RSET", b"MAIL FROM:<a@b.EXAMPLE>",
            b"RCPT TO:<c@d.EXAMPLE>", b"DATA", b"\r\nX\r\n.", b"QUIT",
        )  # fmt: skip
    codes = [int(reply[:3]) for reply in replies]
    assert codes == [220, 500, 500, 250, 250, 250, 250, 250, 354, 250, 221]


async def scripted(replies: Sequence[bytes]) -> Submission:
    """How a submission ends against a peer that answers so, line by line, and then closes."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, reply in enumerate(replies):
            if number == 5:
                await reader.readuntil(b"\r\n.\r\n")
            elif number:
                await reader.readline()
            writer.write(reply)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(peer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        return await submit("127.0.0.1", port, b"\r\nX\r\n", sender=SENDER, recipient=CENTRE)


OK = b"250 OK\r\n"


@pytest.mark.parametrize(
    ("replies", "ended"),
    [
        ([b"554 go away\r\n"], "connect: 554 go away"),
        ([b"220 hi\r\n", b"250-one\r\n250 two\r\n", b"451 later\r\n"], "MAIL: 451 later"),
        ([b"220 hi\r\n", OK, OK, b"550 unknown\r\n"], "RCPT: 550 unknown"),
        ([b"220 hi\r\n", OK, OK, OK, b"354 go\r\n", b"452 full\r\n"], "dot: 452 full"),
        ([b"220 hi\r\n", OK, OK, OK, b"354 go\r\n"], "dot: no reply"),
        ([b"220 hi\r\n", b"nonsense\r\n"], "HELO: no reply not an SMTP reply"),
    ],
)
async def test_a_submission_says_where_it_ended(replies: list[bytes], ended: str) -> None:
    """Which command was answered with what; no exception for what a peer does."""
    submission = await scripted(replies)
    assert not submission.accepted
    assert str(submission).startswith(ended)


async def test_waiting_ends_in_time() -> None:
    """wait() says whether it became true, and never waits longer than asked."""
    async with InHouseSystem(catalogue()) as system:
        assert not await system.wait(len, 0.05)
    with pytest.raises(RuntimeError, match="not listening"):
        _ = InHouseSystem(catalogue()).address
