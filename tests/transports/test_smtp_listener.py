"""The SMTP listener on real loopback sockets."""

import asyncio
import contextlib
import smtplib
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path

import pytest
import uvloop

from sekisho.codecs.envelope import Envelope, Wrapping
from sekisho.transports.base import Receipt, Verdict
from sekisho.transports.smtp import SmtpLimits, SmtpListener

SMUGGLING = Path(__file__).with_name("smuggling.tsv")
CENTRE = "NACCS@SMTP.TEST.SEKISHO.EXAMPLE"
SENDER = "1ANAC1@SMTP.BROKER.SEKISHO.EXAMPLE"
NOON = datetime(2026, 4, 1, 3, 0, tzinfo=UTC)
TELEGRAM = b"   TCC  ".ljust(398) + b"\r\n" + b"\xc0\xc7\xb4\xd8\r\n"
MAIL = (
    b"From:" + SENDER.encode() + b"\r\nTo:" + CENTRE.encode() + b"\r\nMime-Version:1.0\r\n"
    b'Content-Type:Text/xml;charset="EUC-JP"\r\nContent-Transfer-Encoding:8bit\r\n\r\n' + TELEGRAM + b"\r\n"
)
ENVELOPE = b"MAIL FROM:<" + SENDER.encode() + b">\r\nRCPT TO:<" + CENTRE.encode() + b">\r\n"


class House:
    """Keeps what it is given; ``answer`` is what it does with it."""

    def __init__(self) -> None:
        self.got: list[Envelope] = []
        self.answer: Callable[[Envelope], Awaitable[Receipt]] = self.accept

    def __call__(self, envelope: Envelope) -> Awaitable[Receipt]:
        return self.answer(envelope)

    async def accept(self, envelope: Envelope) -> Receipt:
        """Say yes after a turn of the loop, as after a commit."""
        await asyncio.sleep(0)
        self.got.append(envelope)
        return Receipt(Verdict.ACCEPTED, f"kept {len(self.got)}", len(self.got))


@contextlib.asynccontextmanager
async def listening(house: House, **limits: float) -> AsyncIterator[SmtpListener]:
    """A started listener on a free port."""
    listener = SmtpListener(
        name="two-way",
        host="127.0.0.1",
        port=0,
        mode="two-way",
        centre=[CENTRE],
        submit=house,
        hostname="centre.sekisho.example",
        limits=SmtpLimits(**limits),  # type: ignore[arg-type]
        clock=lambda: NOON,
    )
    await listener.start()
    try:
        yield listener
    finally:
        await listener.stop(0.1)


class Peer:
    """A sender in lock-step: one line out, one reply in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def at(cls, listener: SmtpListener, *, greeted: bool = True) -> "Peer":
        """Connect, and read the greeting and HELO's reply when ``greeted``."""
        peer = cls(*await asyncio.open_connection(*listener.address))
        if greeted:
            assert (await peer.line()).startswith(b"220 ")
            assert (await peer.say(b"HELO inhouse\r\n")).startswith(b"250 ")
        return peer

    async def line(self) -> bytes:
        """The next line, empty at the end of the connection."""
        return await asyncio.wait_for(self.reader.readline(), 10)

    async def say(self, data: bytes) -> bytes:
        """Write, then read one line."""
        self.writer.write(data)
        return await self.line()

    async def data(self) -> None:
        """Go on to inside DATA."""
        self.writer.write(ENVELOPE + b"DATA\r\n")
        assert [(await self.line())[:3] for _ in range(3)] == [b"250", b"250", b"354"]


async def until(condition: Callable[[], bool]) -> None:
    """Wait at most five seconds for something that another task brings about."""
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it did not happen within five seconds"
        await asyncio.sleep(0.01)


async def test_the_envelope_of_an_ordinary_request() -> None:
    """HELO only, no brackets, headers without a space, telegram as the body, one CRLF more (spec/naccs-edi.md 7.2)."""
    house = House()
    async with listening(house) as listener:
        peer = await Peer.at(listener)
        assert (await peer.say(b"MAIL FROM:" + SENDER.encode() + b"\r\n")).startswith(b"250")
        assert (await peer.say(b"RCPT TO:" + CENTRE.lower().encode() + b"\r\n")).startswith(b"250")
        assert (await peer.say(b"DATA\r\n")).startswith(b"354")
        assert await peer.say(MAIL + b".\r\n") == b"250 2.0.0 kept 1\r\n"
        assert (await peer.say(b"QUIT\r\n")).startswith(b"221")
        assert await peer.line() == b""
        host, port = peer.writer.get_extra_info("sockname")
    assert house.got == [
        Envelope(
            transport="two-way",
            received_at=NOON,
            peer=f"{host}:{port}",
            sender=SENDER,
            recipient=CENTRE.lower(),
            raw=MAIL,
            content=TELEGRAM + b"\r\n",
            wrapping=Wrapping.MAIL,
            content_type='Text/xml;charset="EUC-JP"',
        )
    ]


async def test_the_standard_library_client_gets_through() -> None:
    """EHLO, SIZE, dot-stuffing and several mails on one connection, as a foreign client does them."""
    house = House()
    mail = b"Subject: x\r\n\r\n.dot\r\n..two\r\n" + TELEGRAM

    def send(address: tuple[str, int]) -> None:
        with smtplib.SMTP(*address, timeout=5) as client:
            client.sendmail(SENDER, CENTRE, mail)
            client.sendmail(SENDER, [CENTRE], mail)

    async with listening(house) as listener:
        await asyncio.to_thread(send, listener.address)
    assert [envelope.raw for envelope in house.got] == [mail, mail]


@pytest.mark.parametrize(
    ("verdict", "reply"),
    [
        (Verdict.ACCEPTED, b"250 2.0.0 said\r\n"),
        (Verdict.BUSY, b"451 4.3.2 said\r\n"),
        (Verdict.FULL, b"452 4.3.1 said\r\n"),
        (Verdict.REFUSED, b"554 5.6.0 said\r\n"),
    ],
)
async def test_the_reply_is_the_houses(verdict: Verdict, reply: bytes) -> None:
    """Each verdict has its reply (transports/base.py); an answer that is there at once is given as one that comes."""
    house = House()
    done = asyncio.get_running_loop().create_future()
    done.set_result(Receipt(verdict, "said"))

    async def later(_envelope: Envelope) -> Receipt:
        await asyncio.sleep(0.01)
        return Receipt(verdict, "said")

    async with listening(house) as listener:
        peer = await Peer.at(listener)
        for answer in (lambda _envelope: done, later):
            house.answer = answer
            await peer.data()
            assert await peer.say(MAIL + b".\r\n") == reply


async def test_an_error_in_the_house_is_451_and_tells_nothing() -> None:
    """451 4.3.0 with an incident id, whether it fails at the call or later; never a class or a text of ours."""
    house = House()

    def at_once(_envelope: Envelope) -> Awaitable[Receipt]:
        raise KeyError("secret")

    async def later(_envelope: Envelope) -> Receipt:
        raise KeyError("secret")

    async def gone(_envelope: Envelope) -> Receipt:
        raise asyncio.CancelledError

    async with listening(house) as listener:
        peer = await Peer.at(listener)
        for answer, start in ((at_once, b"451 4.3.0"), (later, b"451 4.3.0"), (gone, b"451 4.3.2")):
            house.answer = answer
            await peer.data()
            reply = await peer.say(MAIL + b".\r\n")
            assert reply.startswith(start)
            assert b"secret" not in reply
            assert b"KeyError" not in reply


async def test_unreadable_mime_is_accepted_with_empty_content() -> None:
    """Bad MIME is not SMTP's business: the house keeps the raw bytes and shows them to operators."""
    house = House()
    part = b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n'
    mail = b"".join(part % (depth, depth) for depth in range(30)) + b"\r\nx\r\n"
    async with listening(house) as listener:
        peer = await Peer.at(listener)
        await peer.data()
        assert (await peer.say(mail + b".\r\n")).startswith(b"250")
    assert (house.got[0].content, house.got[0].raw) == (b"", mail)


async def test_a_multipart_mail_is_taken_apart_in_a_thread() -> None:
    """The telegram is found among the parts, the rest are attachments."""
    house = House()
    mail = (
        b'Message-ID: <1@b.example>\r\nContent-Type: multipart/mixed; boundary="B"\r\n\r\n--B\r\n\r\n'
        + TELEGRAM
        + b"\r\n"
        b'--B\r\nContent-Type: application/pdf; name="a.pdf"\r\n'
        b"Content-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--B--\r\n"
    )
    async with listening(house) as listener:
        peer = await Peer.at(listener)
        await peer.data()
        assert (await peer.say(mail + b".\r\n")).startswith(b"250")
    (envelope,) = house.got
    assert envelope.content == TELEGRAM
    assert envelope.transport_id == "<1@b.example>"
    assert [(part.name, part.content) for part in envelope.attachments] == [("a.pdf", b"\0\1\2")]


@pytest.mark.parametrize("leave", ["half-close", "close", "reset"])
async def test_leaving_after_the_dot_does_not_stop_the_commit(leave: str) -> None:
    """Once the dot is sent the peer may go: the submission ends as it would have; a half-closed peer hears of it."""
    house, started, go = House(), asyncio.Event(), asyncio.Event()
    ended: list[Envelope] = []

    async def slow(envelope: Envelope) -> Receipt:
        started.set()
        await go.wait()
        ended.append(envelope)
        return Receipt(Verdict.ACCEPTED, "late")

    house.answer = slow
    async with listening(house) as listener:
        peer = await Peer.at(listener)
        await peer.data()
        peer.writer.write(MAIL + b".\r\n")
        await started.wait()
        match leave:
            case "half-close":
                peer.writer.write_eof()
            case "close":
                peer.writer.close()
            case _:
                peer.writer.transport.abort()
        await asyncio.sleep(0.05)
        go.set()
        await until(lambda: len(ended) == 1)
        if leave == "half-close":
            assert await peer.line() == b"250 2.0.0 late\r\n"
            assert await peer.line() == b""
        await until(lambda: listener.open_connections == 0)
        assert listener.pool.free == listener.limits.pending_bytes


async def test_leaving_inside_data_submits_nothing() -> None:
    """Without the end mark there is no mail, whatever was sent before; what it took is given back."""
    house = House()
    async with listening(house) as listener:
        for reset in (False, True):
            peer = await Peer.at(listener)
            await peer.data()
            peer.writer.write(MAIL + b".\r")
            await peer.writer.drain()
            await asyncio.sleep(0.02)
            peer.writer.transport.abort() if reset else peer.writer.close()
            await until(lambda: listener.open_connections == 0)
        assert listener.pool.free == listener.limits.pending_bytes
    assert house.got == []


async def test_nothing_pipelined_after_data_runs_before_the_reply() -> None:
    """A second mail behind the first waits for the answer to the first (spec/reliability.md 5.2)."""
    house, go = House(), asyncio.Event()

    async def slow(envelope: Envelope) -> Receipt:
        house.got.append(envelope)
        await go.wait()
        return Receipt(Verdict.ACCEPTED, f"{len(house.got)}")

    house.answer = slow
    async with listening(house) as listener:
        peer = await Peer.at(listener)
        one = ENVELOPE + b"DATA\r\n" + MAIL + b".\r\n"
        peer.writer.write(one + one + b"QUIT\r\n")
        assert [(await peer.line())[:3] for _ in range(3)] == [b"250", b"250", b"354"]
        await asyncio.sleep(0.05)
        assert len(house.got) == 1
        go.set()
        rest = (await asyncio.wait_for(peer.reader.read(), 5)).splitlines()
        assert [line[:3] for line in rest] == [b"250", b"250", b"250", b"354", b"250", b"221"]


async def test_no_spelling_smuggles_a_second_mail() -> None:
    """The whole corpus over a socket: one DATA is one envelope, and what looks like commands in it is its text."""
    house = House()
    spellings = [line.split("\t")[1] for line in SMUGGLING.read_text("ascii").splitlines()[1:]]
    async with listening(house) as listener:
        peer = await Peer.at(listener)
        for spelling in spellings:
            ending = spelling.encode("ascii").decode("unicode_escape").encode("ascii")
            await peer.data()
            text = MAIL + b"a" + ending + ENVELOPE + b"DATA\r\nsmuggled\r\n"
            assert (await peer.say(text + b".\r\n")).startswith(b"250 2.0.0 kept")
    assert len(house.got) == len(spellings) > 10
    assert all(envelope.raw.endswith(b"smuggled\r\n") for envelope in house.got)


async def test_verbs_of_the_library() -> None:
    """VRFY says 252 without looking anybody up; HELP lists what is served; EXPN is not; the order is kept."""
    async with listening(House()) as listener:
        peer = await Peer.at(listener)
        peer.writer.write(b"VRFY a@B.EXAMPLE\r\nHELP\r\nEXPN x\r\nVRFY <a\r\nhelp mail\r\nNOOP\r\n")
        lines = [await peer.line() for _ in range(6)]
        assert [line[:3] for line in lines] == [b"252", b"250", b"502", b"502", b"250", b"250"]
        assert lines[1].split(b": ")[1].split() == sorted(b"HELO EHLO MAIL RCPT DATA RSET NOOP QUIT VRFY HELP".split())


@pytest.mark.parametrize("limit", ["connections_per_address", "connections_total"])
async def test_connections_are_bounded(limit: str) -> None:
    """Per address and in all: one more hears 421 4.7.0 and is closed; a place that is left is free again."""
    async with listening(House(), **{limit: 2}) as listener:
        first, _second = await Peer.at(listener), await Peer.at(listener)
        third = await Peer.at(listener, greeted=False)
        assert (await third.line()).startswith(b"421 4.7.0")
        assert await third.line() == b""
        assert (listener.accepted, listener.refused, listener.open_connections) == (2, 1, 2)
        first.writer.close()
        await until(lambda: listener.open_connections == 1)
        await Peer.at(listener)


async def test_timers() -> None:
    """Idle, transaction and session each end a connection with 421; a drip or NOOPs do not put the last two off."""

    async def idle() -> None:
        async with listening(House(), idle_two_way=0.2) as listener:
            assert (await (await Peer.at(listener)).line()).startswith(b"421 4.4.2")

    async def drip() -> None:
        async with listening(House(), transaction=0.4) as listener:
            peer = await Peer.at(listener)
            await peer.data()
            heard = asyncio.create_task(peer.line())
            with contextlib.suppress(ConnectionError):
                while not heard.done():
                    peer.writer.write(b"x")
                    await peer.writer.drain()
                    await asyncio.sleep(0.02)
            assert (await heard).startswith(b"421 4.4.2")

    async def camper() -> None:
        async with listening(House(), session=0.4) as listener:
            peer = await Peer.at(listener)
            replies = set()
            for _ in range(60):
                reply = await peer.say(b"NOOP\r\n")
                replies.add(reply[:3])
                if reply.startswith(b"421"):
                    break
                await asyncio.sleep(0.02)
            assert replies == {b"250", b"421"}

    async def slow_house() -> None:
        house = House()

        async def slow(_envelope: Envelope) -> Receipt:
            await asyncio.sleep(0.6)
            return Receipt(Verdict.ACCEPTED)

        house.answer = slow
        async with listening(house, idle_two_way=0.2, session=0.3) as listener:
            peer = await Peer.at(listener)
            await peer.data()
            assert (await peer.say(MAIL + b".\r\n")).startswith(b"250")

    await asyncio.gather(idle(), drip(), camper(), slow_house())


async def test_a_pause_before_the_dot_is_waited_for() -> None:
    """Real senders pause three seconds inside DATA (spec/naccs-edi.md 7.2): the command timer does not count there."""
    house = House()

    async def pauses(listener: SmtpListener) -> None:
        peer = await Peer.at(listener)
        await peer.data()
        peer.writer.write(MAIL)
        await asyncio.sleep(3)
        assert (await peer.say(b".\r\n")).startswith(b"250")

    async def never_ends(listener: SmtpListener) -> None:
        peer = await Peer.at(listener)
        await peer.data()
        assert (await peer.line()).startswith(b"421 4.4.2")

    async with listening(house, idle_two_way=0.5, data_idle=5) as listener:
        await asyncio.gather(pauses(listener), never_ends(listener))
    assert len(house.got) == 1


async def test_stopping_lets_a_transaction_finish() -> None:
    """An idle peer hears 421 at once; one inside DATA gets its 250 first; nobody new is let in."""
    house = House()
    async with listening(house) as listener:
        idle, busy = await Peer.at(listener), await Peer.at(listener)
        await busy.data()
        address = listener.address
        stopping = asyncio.create_task(listener.stop(5))
        assert (await idle.line()).startswith(b"421 4.3.2")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)
        assert (await busy.say(MAIL + b".\r\n")).startswith(b"250")
        assert (await busy.line()).startswith(b"421 4.3.2")
        await asyncio.wait_for(stopping, 1)


async def test_stopping_ends_after_its_grace() -> None:
    """A sender that does not finish is told 421 when the grace is over, and stop returns."""
    async with listening(House()) as listener:
        peer = await Peer.at(listener)
        await peer.data()
        await asyncio.wait_for(listener.stop(0.1), 3)
        assert (await peer.line()).startswith(b"421 4.3.2")


async def blocked(peer: Peer, data: bytes) -> bool:
    """Write up to 64 MB; whether the other side stopped taking it, for half a second, before the end."""
    for _ in range(64 * 1024 * 1024 // len(data)):
        peer.writer.write(data)
        try:
            await asyncio.wait_for(peer.writer.drain(), 0.5)
        except TimeoutError:
            return True
    return False


async def test_a_peer_that_does_not_read_is_not_read() -> None:
    """Replies that nobody takes stop the reading of commands, so that they do not pile up; stopping is not held up."""
    async with listening(House()) as listener:
        peer = await Peer.at(listener)
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        assert await blocked(peer, b"NOOP\r\n" * 10_000)
        await asyncio.wait_for(listener.stop(0.1), 3)
        await until(lambda: listener.open_connections == 0)
        peer.writer.transport.abort()


async def test_what_comes_before_the_answer_is_bounded() -> None:
    """While the house thinks, a peer can send only so much ahead; after the answer it is read again."""
    house, go = House(), asyncio.Event()

    async def slow(envelope: Envelope) -> Receipt:
        await go.wait()
        return await house.accept(envelope)

    house.answer = slow
    async with listening(house) as listener:
        peer = await Peer.at(listener)
        await peer.data()
        peer.writer.write(MAIL + b".\r\n")
        assert await blocked(peer, b"NOOP\r\n" * 10_000)
        go.set()
        assert await peer.line() == b"250 2.0.0 kept 1\r\n"
        assert await peer.line() == b"250 2.0.0 OK\r\n"
        peer.writer.transport.abort()


async def test_an_endless_line_leaves_memory_flat() -> None:
    """64 MB in one line: at most max_object is kept for a while, the answer is 552, and the session lives on."""
    house = House()
    async with listening(house) as listener:
        peer = await Peer.at(listener)
        await peer.data()
        piece = b"A" * 65_536
        tracemalloc.start()
        for _ in range(1_024):
            peer.writer.write(piece)
            await peer.writer.drain()
        _now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (await peer.say(b"\r\n.\r\n")).startswith(b"552 5.3.4")
        assert (await peer.say(b"NOOP\r\n")).startswith(b"250")
        assert listener.pool.free == listener.limits.pending_bytes
    assert house.got == []
    assert peak < 16 * 1024 * 1024  # max_object and its growth by an eighth


async def test_a_thousand_idle_connections() -> None:
    """They cost little and the next sender is served as fast as the first (the issue's list of bad input)."""
    house = House()
    async with listening(house, connections_per_address=2_000) as listener:
        idle = [await Peer.at(listener, greeted=False) for _ in range(1_000)]
        assert listener.open_connections == 1_000
        peer = await Peer.at(listener)
        await peer.data()
        began = time.perf_counter()
        assert (await peer.say(MAIL + b".\r\n")).startswith(b"250")
        assert time.perf_counter() - began < 1
        for one in idle:
            one.writer.transport.abort()
        await until(lambda: listener.open_connections == 1)


@pytest.mark.parametrize(
    "scenario",
    [
        test_the_envelope_of_an_ordinary_request,
        test_verbs_of_the_library,
        test_nothing_pipelined_after_data_runs_before_the_reply,
        test_leaving_inside_data_submits_nothing,
        test_a_peer_that_does_not_read_is_not_read,
        test_an_endless_line_leaves_memory_flat,
        test_stopping_lets_a_transaction_finish,
        lambda: test_leaving_after_the_dot_does_not_stop_the_commit("half-close"),
        lambda: test_leaving_after_the_dot_does_not_stop_the_commit("reset"),
    ],
)
def test_uvloop_is_no_different(scenario: Callable[[], Coroutine[None, None, None]]) -> None:
    """The other loop reads, half-closes and pauses by other code; what the peer sees is the same."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())
