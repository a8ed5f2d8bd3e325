"""The SMTP listener on real loopback sockets."""

import asyncio
import smtplib
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path

import pytest
import uvloop

from sekisho.codecs.envelope import Envelope, Wrapping
from sekisho.transports.base import Receipt, Verdict

from .senders import CENTRE, ENVELOPE, MAIL, NOON, SENDER, TELEGRAM, House, Peer, listening, until

SMUGGLING = Path(__file__).with_name("smuggling.tsv")


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


@pytest.mark.parametrize(
    "scenario",
    [
        test_the_envelope_of_an_ordinary_request,
        test_verbs_of_the_library,
        test_nothing_pipelined_after_data_runs_before_the_reply,
        test_leaving_inside_data_submits_nothing,
        lambda: test_leaving_after_the_dot_does_not_stop_the_commit("half-close"),
        lambda: test_leaving_after_the_dot_does_not_stop_the_commit("reset"),
    ],
)
def test_uvloop_is_no_different(scenario: Callable[[], Coroutine[None, None, None]]) -> None:
    """The other loop reads, half-closes and pauses by other code; what the peer sees is the same."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())
