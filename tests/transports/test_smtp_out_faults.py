"""The push half against receivers that fail: every parcel ends as delivered, deferred, refused or unknown."""

import asyncio
import socket

import pytest

from sekisho.transports.base import Outcome, Report
from sekisho.transports.smtp_out import SendLimits, SmtpSender

from .peers import Fault, FaultyReceiver, Session
from .posting import AWKWARD, GATEWAY, parcel, send, sending

DELIVERED, DEFERRED, REFUSED, UNKNOWN = Outcome.DELIVERED, Outcome.DEFERRED, Outcome.REFUSED, Outcome.UNKNOWN

both_ways = pytest.mark.parametrize("pipelining", [True, False], ids=["pipelined", "lock-step"])


def outcomes(reports: list[Report]) -> list[Outcome]:
    """The outcomes in the order of the parcels."""
    return [report.outcome for report in sorted(reports, key=lambda report: report.number)]


def numbers(peer: FaultyReceiver) -> list[int]:
    """The parcels that the peer has, in the order in which it got them."""
    return [int(message.data) for message in peer.messages]


def four() -> list[bytes]:
    """Four mails that name their own number."""
    return [b"%d\r\n" % number for number in range(4)]


@both_ways
@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "TEXT"])
@pytest.mark.parametrize(("reply", "outcome"), [("450 4.2.0 later", DEFERRED), ("550 5.1.1 never", REFUSED)])
async def test_a_refusal_concerns_one_parcel(pipelining: bool, verb: str, reply: str, outcome: Outcome) -> None:
    """4xx is deferred, 5xx refused (reliability.md 4); the connection goes on with the next parcel (RFC 2920 3.1).

    The receiver answers a MAIL inside an open transaction with 503, so the transaction must have been cleared.
    """
    receiver = FaultyReceiver([Fault(verb, reply, after=1, times=1)], pipelining=pipelining)
    async with receiver as peer, sending(peer) as sender:
        reports = await send(sender, *(parcel(number, data) for number, data in enumerate(four())))
        assert outcomes(reports) == [DELIVERED, outcome, DELIVERED, DELIVERED]
        assert reports[1] == Report(1, outcome, reply)
        assert numbers(peer) == [0, 2, 3]
        assert peer.connections == 1


@both_ways
async def test_all_refused(pipelining: bool) -> None:
    """A peer that refuses everything is asked about everything, and the connection is still good afterwards."""
    receiver = FaultyReceiver([Fault("RCPT", "550 no", times=3)], pipelining=pipelining)
    async with receiver as peer, sending(peer) as sender:
        assert outcomes(await send(sender, parcel(1), parcel(2), parcel(3))) == [REFUSED] * 3
        assert outcomes(await send(sender, parcel(4))) == [DELIVERED]
        assert peer.connections == 1


async def test_data_accepted_without_a_recipient() -> None:
    """A 354 though RCPT was refused is ended with a lone dot, whose reply means nothing (RFC 2920 section 3.1)."""
    faults = [Fault("RCPT", "550 unknown", after=1), Fault("TEXT", "554 no recipient", after=1)]
    receiver = FaultyReceiver(faults, lax_data=True)
    async with receiver as peer, sending(peer) as sender:
        reports = await send(sender, *(parcel(number, data) for number, data in enumerate(four())))
        assert outcomes(reports) == [DELIVERED, REFUSED, DELIVERED, DELIVERED]
        assert reports[1].text == "550 unknown"
        assert numbers(peer) == [0, 2, 3]
        assert any(segment.startswith(b".\r\nRSET\r\n") for segment in peer.segments)


@both_ways
@pytest.mark.parametrize("store", [True, False])
async def test_connection_dropped_after_the_dot(pipelining: bool, store: bool) -> None:
    """The peer may have it or not: unknown, once; the parcels not begun go over a fresh connection."""
    receiver = FaultyReceiver([Fault("TEXT", after=1, drop=True, store=store)], pipelining=pipelining)
    async with receiver as peer, sending(peer) as sender:
        reports = await send(sender, *(parcel(number, data) for number, data in enumerate(four())))
        assert outcomes(reports) == [DELIVERED, UNKNOWN, DELIVERED, DELIVERED]
        assert numbers(peer) == ([0, 1, 2, 3] if store else [0, 2, 3])
        assert peer.connections == 2


@both_ways
async def test_nothing_answered_then_the_rest_waits(pipelining: bool) -> None:
    """A connection that broke without an answer for any parcel is not tried again at once."""
    async with FaultyReceiver([Fault("TEXT", drop=True)], pipelining=pipelining) as peer, sending(peer) as sender:
        assert outcomes(await send(sender, parcel(1), parcel(2))) == [UNKNOWN, DEFERRED]
        assert peer.connections == 1


@both_ways
async def test_reply_to_the_text_does_not_come(pipelining: bool) -> None:
    """No reply within ``data_reply`` is unknown; the connection is closed, a later reply is lost with it."""
    receiver = FaultyReceiver([Fault("TEXT", after=1, delay=0.6)], pipelining=pipelining)
    async with receiver as peer, sending(peer, SendLimits(data_reply=0.2)) as sender:
        reports = await send(sender, *(parcel(number, data) for number, data in enumerate(four())))
        assert outcomes(reports) == [DELIVERED, UNKNOWN, DELIVERED, DELIVERED]
        assert peer.connections == 2
        assert [message.connection for message in peer.messages if message.data != b"1\r\n"] == [1, 2, 2]


@both_ways
async def test_a_slow_receiver_has_its_own_time(pipelining: bool) -> None:
    """The wait after the dot is longer than that after a command: a receiver may store and print before it answers."""
    receiver = FaultyReceiver([Fault("TEXT", delay=0.5)], pipelining=pipelining)
    async with receiver as peer, sending(peer, SendLimits(command=0.2, data_reply=5)) as sender:
        assert outcomes(await send(sender, parcel(1), parcel(2))) == [DELIVERED, DELIVERED]


@both_ways
@pytest.mark.parametrize("verb", ["EHLO", "MAIL", "RCPT", "DATA"])
async def test_no_reply_to_a_command(pipelining: bool, verb: str) -> None:
    """Silence before the text is out is never unknown: nothing can have been delivered. It ends after ``command``."""
    receiver = FaultyReceiver([Fault(verb, delay=30)], pipelining=pipelining)
    async with receiver as peer, sending(peer, SendLimits(command=0.2)) as sender:
        before = asyncio.get_running_loop().time()
        assert outcomes(await send(sender, parcel(1), parcel(2))) == [DEFERRED, DEFERRED]
        assert asyncio.get_running_loop().time() - before < 2
        assert peer.messages == []


async def test_a_dripping_peer_does_not_keep_us() -> None:
    """Bytes that never become a reply do not move the deadline."""
    drip = "250-" + "\r\n250-".join("drip" for _ in range(200))
    receiver = FaultyReceiver([Fault("MAIL", drip)], byte_by_byte=True)
    async with receiver as peer, sending(peer, SendLimits(command=0.3)) as sender:
        before = asyncio.get_running_loop().time()
        assert outcomes(await send(sender, parcel(1))) == [DEFERRED]
        assert asyncio.get_running_loop().time() - before < 1


@both_ways
async def test_421_on_connect(pipelining: bool) -> None:
    """421 instead of a greeting: all deferred with the peer's words, one attempt."""
    receiver = FaultyReceiver([Fault("CONNECT", "421 4.3.2 too busy", drop=True)], pipelining=pipelining)
    async with receiver as peer, sending(peer) as sender:
        reports = await send(sender, parcel(1), parcel(2))
        assert outcomes(reports) == [DEFERRED] * 2
        assert "too busy" in reports[0].text
        assert peer.connections == 1


@pytest.mark.parametrize("fault", [Fault("CONNECT", "554 no mail here", drop=True), Fault("HELO", "550 not you")])
async def test_a_refused_greeting_says_nothing_of_a_parcel(fault: Fault) -> None:
    """5xx before any MAIL is about the connection, not about a message: deferred, not refused."""
    async with FaultyReceiver([Fault("EHLO", "500 unknown"), fault]) as peer, sending(peer) as sender:
        reports = await send(sender, parcel(1), parcel(2))
        assert outcomes(reports) == [DEFERRED] * 2
        assert fault.reply[4:] in reports[0].text


@both_ways
@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "TEXT"])
async def test_421_in_the_middle(pipelining: bool, verb: str) -> None:
    """421 anywhere: this parcel and the rest are deferred, and the peer is left alone (RFC 5321 section 3.8)."""
    receiver = FaultyReceiver([Fault(verb, "421 4.3.2 going down", after=1, drop=True)], pipelining=pipelining)
    async with receiver as peer, sending(peer) as sender:
        reports = await send(sender, *(parcel(number, data) for number, data in enumerate(four())))
        assert outcomes(reports) == [DELIVERED, DEFERRED, DEFERRED, DEFERRED]
        assert {report.text for report in reports[1:]} == {"421 4.3.2 going down"}
        assert numbers(peer) == [0]
        assert peer.connections == 1


async def test_nobody_listens() -> None:
    """Connection refused: all deferred, with a text for the operator."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    sender = SmtpSender("127.0.0.1", port, limits=SendLimits(), source=GATEWAY)
    reports = await send(sender, parcel(1), parcel(2))
    assert outcomes(reports) == [DEFERRED] * 2
    assert str(port) in reports[0].text


@pytest.mark.parametrize("host", ["x" * 64 + ".example", "a..example"])
async def test_a_name_that_cannot_be_looked_up(host: str) -> None:
    """A host name that fails before the network is trouble like any other: deferred, nothing raised."""
    reports = await send(SmtpSender(host, 25, limits=SendLimits(), source=GATEWAY), parcel(1))
    assert outcomes(reports) == [DEFERRED]
    assert reports[0].text


async def test_a_greeting_that_does_not_come() -> None:
    """A peer that accepts the connection and is silent is given up after ``connect``."""
    async with FaultyReceiver([Fault("CONNECT", delay=30)]) as peer, sending(peer, SendLimits(connect=0.2)) as sender:
        before = asyncio.get_running_loop().time()
        assert outcomes(await send(sender, parcel(1))) == [DEFERRED]
        assert asyncio.get_running_loop().time() - before < 2


@both_ways
@pytest.mark.parametrize("words", ["", "421 4.4.2 idle too long"])
async def test_closed_while_idle(pipelining: bool, words: str) -> None:
    """A kept connection that the peer closed is normal: a new one is made at once and is not counted."""
    receiver = FaultyReceiver(pipelining=pipelining, idle_close=0.1, idle_words=words)
    async with receiver as peer, sending(peer, SendLimits(reconnects=0)) as sender:
        for number in range(3):
            assert outcomes(await send(sender, parcel(number))) == [DELIVERED]
            await asyncio.sleep(0.25)
        assert peer.connections == 3


@both_ways
@pytest.mark.parametrize("fault", [Fault("MAIL", after=1, drop=True), Fault("MAIL", "421 idle", after=1, drop=True)])
async def test_closed_just_as_we_speak(pipelining: bool, fault: Fault) -> None:
    """The same when the close crosses our first command on the kept connection."""
    receiver = FaultyReceiver([fault], pipelining=pipelining)
    async with receiver as peer, sending(peer, SendLimits(reconnects=0)) as sender:
        assert outcomes(await send(sender, parcel(1))) == [DELIVERED]
        assert outcomes(await send(sender, parcel(2), parcel(3))) == [DELIVERED, DELIVERED]
        assert peer.connections == 2


@both_ways
@pytest.mark.parametrize(("reconnects", "expected"), [(0, 1), (1, 2), (2, 4)])
async def test_fresh_connections_are_counted(pipelining: bool, reconnects: int, expected: int) -> None:
    """A connection that answered and broke is replaced ``reconnects`` times in a call; then the rest is deferred."""
    faults = [Fault("MAIL", after=1, drop=True), Fault("MAIL", after=3, drop=True)]
    limits = SendLimits(reconnects=reconnects)
    async with FaultyReceiver(faults, pipelining=pipelining) as peer, sending(peer, limits) as sender:
        reports = await send(sender, *(parcel(number, data) for number, data in enumerate(four())))
        assert outcomes(reports) == [DELIVERED] * expected + [DEFERRED] * (4 - expected)
        assert numbers(peer) == list(range(expected))
        assert peer.connections == reconnects + 1


@both_ways
async def test_dropped_inside_the_text(pipelining: bool) -> None:
    """The whole text was handed to the transport: unknown, though the peer read one line of it."""

    class Impatient(FaultyReceiver):
        async def take_text(self, session: Session) -> bool:
            await session.line()
            return False

    async with Impatient(pipelining=pipelining) as peer, sending(peer) as sender:
        big = b"x" * 998 + b"\r\n"
        assert outcomes(await send(sender, parcel(1, big * 8000), parcel(2))) == [UNKNOWN, DEFERRED]
        assert peer.messages == []


async def test_a_slow_line_is_not_a_silent_peer() -> None:
    """While a long text still flows out, the wait for its answer has not begun."""

    class Slow(FaultyReceiver):
        async def take_text(self, session: Session) -> bool:
            text = b""
            while not text.endswith(b"\r\n.\r\n"):
                text += await session.reader.read(2**20)
                await asyncio.sleep(0.1)
            await self.say(session, "250 stored at last")
            return True

    text = b"x" * 998 + b"\r\n"
    async with Slow() as peer:
        # A small receive buffer, so that most of the text waits on the sender's side.
        peer.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        async with sending(peer, SendLimits(data_reply=1.1)) as sender:
            before = asyncio.get_running_loop().time()
            assert outcomes(await send(sender, parcel(1, text * 20000))) == [DELIVERED]
            assert asyncio.get_running_loop().time() - before > 1.5


@both_ways
@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "TEXT"])
@pytest.mark.parametrize("reply", ["hello there", "700 what", "150 wait", "25", "+OK", ""])
async def test_not_smtp(pipelining: bool, verb: str, reply: str) -> None:
    """A reply out of the protocol: we are out of step, so the connection goes; unknown only once the dot is out."""
    # A fault without words would say the usual thing; a lone line end is an empty reply.
    receiver = FaultyReceiver([Fault(verb, reply or "\r")], pipelining=pipelining)
    async with receiver as peer, sending(peer) as sender:
        reports = await send(sender, parcel(1), parcel(2))
        assert outcomes(reports) == [UNKNOWN if verb == "TEXT" else DEFERRED, DEFERRED]
        assert peer.connections == 1


@both_ways
@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "TEXT"])
async def test_out_of_step(pipelining: bool, verb: str) -> None:
    """A good reply to another question is no answer to ours: same consequence."""
    receiver = FaultyReceiver([Fault(verb, "250 ok" if verb == "DATA" else "354 go ahead")], pipelining=pipelining)
    async with receiver as peer, sending(peer) as sender:
        reports = await send(sender, parcel(1), parcel(2))
        assert outcomes(reports) == [UNKNOWN if verb == "TEXT" else DEFERRED, DEFERRED]
        assert "out of step" in reports[0].text
        assert peer.connections == 1


@both_ways
@pytest.mark.parametrize("reply", ["250 " + "x" * 40000, "\r\n".join(["250-" + "x" * 90] * 1000 + ["250 end"])])
async def test_endless_replies(pipelining: bool, reply: str) -> None:
    """A reply is bounded in memory (``max_line``, ``max_reply``); beyond it the connection goes."""
    async with FaultyReceiver([Fault("MAIL", reply)], pipelining=pipelining) as peer, sending(peer) as sender:
        reports = await send(sender, parcel(1))
        assert outcomes(reports) == [DEFERRED]
        assert len(reports[0].text) <= 200


@both_ways
async def test_reply_texts_are_made_safe(pipelining: bool) -> None:
    """What the peer says reaches the operator as at most 200 printable ASCII characters."""
    reply = "554 \x1b[31m<b>\t" + "no " * 200
    async with FaultyReceiver([Fault("TEXT", reply)], pipelining=pipelining) as peer, sending(peer) as sender:
        text = (await send(sender, parcel(1)))[0].text
        assert text.startswith("554 ")
        assert len(text) == 200
        assert text.isprintable()


@both_ways
async def test_cancelled_after_the_dot(pipelining: bool) -> None:
    """A cancelled call still says what it knows: unknown for what is out, deferred for the rest; nothing is reused."""
    receiver = FaultyReceiver([Fault("TEXT", delay=1)], pipelining=pipelining)
    async with receiver as peer, sending(peer) as sender:
        reports: list[Report] = []
        waiting: list[Report] = []
        first = asyncio.create_task(sender.send([parcel(1), parcel(2)], reports.append))
        second = asyncio.create_task(sender.send([parcel(3)], waiting.append))
        await asyncio.sleep(0.3)
        for task in (second, first):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert outcomes(reports) == [UNKNOWN, DEFERRED]
        assert outcomes(waiting) == [DEFERRED]
        assert outcomes(await send(sender, parcel(4, AWKWARD))) == [DELIVERED]
        assert peer.connections == 2
