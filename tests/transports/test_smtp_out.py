"""The push half against receivers that work: bytes, commands, order, one connection."""

import asyncio
import gc
import ssl

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from sekisho.transports.base import Outcome, Report
from sekisho.transports.smtp_out import SendLimits, SmtpSender
from sekisho.transports.smtp_pipeline import printable, unsendable, wire_text

from .peers import Fault, FaultyReceiver, ObservedReceiver, PipeliningReceiver
from .posting import AWKWARD, CENTRE, GATEWAY, USER, parcel, send, sending, tls_pair


@pytest.mark.parametrize("kind", [ObservedReceiver, PipeliningReceiver])
async def test_bytes_arrive_exactly(kind: type[ObservedReceiver] | type[PipeliningReceiver]) -> None:
    """8-bit bytes survive, trailing spaces stay, a leading dot is doubled on the wire (naccs-edi.md 7.4)."""
    every_byte = bytes(byte for byte in range(256) if byte not in b"\r\n") + b"\r\n"
    mails = [AWKWARD, every_byte, b".\r\n", b".\r\n.\r\n.\r\n", b"..", b"no line end", b"", b"\r\n", b"\r\n.\r\n"]
    async with kind() as peer, sending(peer) as sender:
        reports = await send(sender, *(parcel(number, mail) for number, mail in enumerate(mails)))
        assert [report.outcome for report in reports] == [Outcome.DELIVERED] * len(mails)
        # SMTP cannot end a text anywhere but after CRLF: a last line without one gets it.
        expected = [mail if not mail or mail.endswith(b"\r\n") else mail + b"\r\n" for mail in mails]
        assert [message.data for message in peer.messages] == expected
        assert peer.messages[0].wire == AWKWARD.replace(b"\r\n.", b"\r\n..")


async def test_observed_receiver_is_spoken_to_in_its_own_words() -> None:
    """EHLO is answered 500, so HELO; plain MAIL and RCPT; never NOOP or STARTTLS (naccs-edi.md 7.2)."""
    async with ObservedReceiver() as peer:
        async with sending(peer) as sender:
            await send(sender, parcel(1), parcel(2))
        transaction = [f"MAIL FROM:<{CENTRE}>".encode(), f"RCPT TO:<{USER}>".encode(), b"DATA"]
        greeting = [f"EHLO {GATEWAY}".encode(), f"HELO {GATEWAY}".encode()]
        assert peer.commands == [*greeting, *transaction, *transaction, b"QUIT"]
        assert peer.connections == 1


async def test_observed_receiver_keeps_seven_bits() -> None:
    """The observed receiver drops the high bits on its side; what we sent had all eight (naccs-edi.md 7.2)."""
    async with ObservedReceiver(seven_bit=True) as peer, sending(peer) as sender:
        await send(sender, parcel(1, b"\xb4\xd8\xbd\xea\r\n"))
        assert peer.messages[0].wire == b"\xb4\xd8\xbd\xea\r\n"
        assert peer.messages[0].data == b"\x34\x58\x3d\x6a\r\n"


async def test_lockstep_waits_for_every_reply() -> None:
    """Without PIPELINING in EHLO each command travels alone (RFC 2920 section 3)."""
    async with FaultyReceiver(pipelining=False) as peer, sending(peer) as sender:
        await send(sender, parcel(1), parcel(2))
        commands = [segment for segment in peer.segments if segment[:4] in (b"MAIL", b"RCPT", b"DATA")]
        assert [segment.count(b"\r\n") for segment in commands] == [1] * 6


async def test_pipelined_segments() -> None:
    """MAIL+RCPT+DATA go in one segment, then text, dot and the next envelope in one segment (RFC 2920 section 3.1)."""
    envelope = f"MAIL FROM:<{CENTRE}>\r\nRCPT TO:<{USER}>\r\nDATA\r\n".encode()
    text = wire_text(AWKWARD) + b".\r\n"
    async with PipeliningReceiver() as peer:
        async with sending(peer) as sender:
            await send(sender, parcel(1), parcel(2), parcel(3))
        assert peer.segments[1:] == [envelope, text + envelope, text + envelope, text, b"QUIT\r\n"]
        assert peer.breaches == []


async def test_pipelining_over_starttls() -> None:
    """STARTTLS is said when asked for; the pipelined way takes the encrypted transport over like a plain one."""
    server, client = tls_pair()
    async with PipeliningReceiver(tls=server) as peer:
        sender = SmtpSender(peer.host, peer.port, limits=SendLimits(), source=GATEWAY, starttls=client)
        reports = await send(sender, *(parcel(number) for number in range(20)))
        await sender.close()
        assert {report.outcome for report in reports} == {Outcome.DELIVERED}
        assert [message.data for message in peer.messages] == [AWKWARD] * 20
        greeting = f"EHLO {GATEWAY}".encode()
        assert peer.commands[:3] == [greeting, b"STARTTLS", greeting]
        assert sum(segment.endswith(b"DATA\r\n") and b"MAIL FROM" in segment for segment in peer.segments) == 20
        assert peer.breaches == []


def test_on_uvloop() -> None:
    """The connection is taken over on uvloop as on asyncio's own loop, plain and encrypted."""
    server, client = tls_pair()

    async def deliver(tls: ssl.SSLContext | None, starttls: ssl.SSLContext | None) -> list[bytes]:
        async with PipeliningReceiver(tls=tls) as peer:
            sender = SmtpSender(peer.host, peer.port, limits=SendLimits(), source=GATEWAY, starttls=starttls)
            reports = await send(sender, *(parcel(number) for number in range(20)))
            await sender.close()
            assert {report.outcome for report in reports} == {Outcome.DELIVERED}
            assert peer.breaches == []
            return [message.data for message in peer.messages]

    for tls, starttls in ((None, None), (server, client)):
        assert uvloop.run(deliver(tls, starttls)) == [AWKWARD] * 20


async def test_starttls_asked_for_and_not_offered() -> None:
    """Asked for encryption, nothing is sent in the clear: all is deferred."""
    _, client = tls_pair()
    async with PipeliningReceiver() as peer:
        sender = SmtpSender(peer.host, peer.port, limits=SendLimits(), source=GATEWAY, starttls=client)
        reports = await send(sender, parcel(1), parcel(2))
        assert [report.outcome for report in reports] == [Outcome.DEFERRED] * 2
        assert "STARTTLS" in reports[0].text
        assert not any(command.startswith(b"MAIL") for command in peer.commands)


@pytest.mark.parametrize("kind", [ObservedReceiver, PipeliningReceiver])
async def test_order_and_one_connection(kind: type[ObservedReceiver] | type[PipeliningReceiver]) -> None:
    """The order of a call is kept, calls do not mix, one connection serves them all (lane order, reliability.md 4)."""
    async with kind() as peer, sending(peer) as sender:
        calls = [[parcel(10 * call + step, b"%d\r\n" % (10 * call + step)) for step in range(5)] for call in range(4)]
        results = await asyncio.gather(*(send(sender, *call) for call in calls))
        assert [[report.number for report in reports] for reports in results] == [
            [one.number for one in call] for call in calls
        ]
        assert [int(message.data) for message in peer.messages] == [one.number for call in calls for one in call]
        assert peer.connections == 1


@pytest.mark.parametrize("pipelining", [True, False])
async def test_replies_one_byte_at_a_time_and_in_two_lines(pipelining: bool) -> None:
    """Replies are read however they are cut and however many lines they have (RFC 5321 section 4.2.1)."""
    receiver = FaultyReceiver(pipelining=pipelining, byte_by_byte=True, multiline=True)
    async with receiver as peer, sending(peer) as sender:
        reports = await send(sender, parcel(1), parcel(2))
        assert [report.outcome for report in reports] == [Outcome.DELIVERED] * 2
        assert "first of two lines" in reports[0].text
        assert "stored" in reports[0].text


@pytest.mark.parametrize("pipelining", [True, False])
async def test_a_large_mail(pipelining: bool) -> None:
    """Twelve MiB, the largest object of the house, go out whole."""
    mail = b"".join(b".%07d" % number + b"x" * 60 + b"\r\n" for number in range(12 * 2**20 // 70))
    async with FaultyReceiver(pipelining=pipelining) as peer, sending(peer) as sender:
        reports = await send(sender, parcel(1, mail), parcel(2))
        assert [report.outcome for report in reports] == [Outcome.DELIVERED] * 2
        assert peer.messages[0].data == mail
        assert peer.messages[1].data == AWKWARD


async def test_report_comes_as_soon_as_the_fate_is_known() -> None:
    """A parcel is reported while later ones still wait, so the delivered mark can ride in the next commit."""
    async with FaultyReceiver([Fault("TEXT", after=1, delay=0.3)]) as peer, sending(peer) as sender:
        loop = asyncio.get_running_loop()
        times: list[float] = []
        await sender.send([parcel(1), parcel(2)], lambda _: times.append(loop.time()))
        assert times[1] - times[0] > 0.25


@pytest.mark.parametrize("data", [b"a\nb\r\n", b"a\rb\r\n", b"a\r\n\n", b"a\r", b"\r\r\n", b"\n.\n"])
async def test_lone_line_ends_are_refused(data: bytes) -> None:
    """A mail with a lone CR or LF is not sent, and the others of the call are (no mail may become two)."""
    async with PipeliningReceiver() as peer, sending(peer) as sender:
        reports = {report.number: report for report in await send(sender, parcel(1), parcel(2, data), parcel(3))}
        assert reports[2].outcome is Outcome.REFUSED
        assert "CR LF" in reports[2].text
        assert len(peer.messages) == 2
        assert data not in b"".join(peer.segments)


@pytest.mark.parametrize("address", ["a b@X.EXAMPLE", "a>@X.EXAMPLE", "a@X.EXAMPLE\r\nDATA", "関@X.EXAMPLE", "x" * 255])
async def test_addresses_that_could_not_stand_in_a_command(address: str) -> None:
    """An address that could end the path or the command is refused before anything is said."""
    async with PipeliningReceiver() as peer, sending(peer) as sender:
        reports = await send(sender, parcel(1, recipient=address), parcel(2, sender=address), parcel(3, recipient=""))
        assert [report.outcome for report in reports] == [Outcome.REFUSED] * 3
        assert all(report.text.isascii() and report.text.isprintable() for report in reports)
        assert peer.connections == 0


async def test_null_reverse_path() -> None:
    """An empty sender is the null reverse path (RFC 5321 section 4.5.5)."""
    async with PipeliningReceiver() as peer, sending(peer) as sender:
        await send(sender, parcel(1, sender=""))
        assert peer.messages[0].sender == "<>"


def test_source_name_is_checked() -> None:
    """What is said in EHLO cannot carry another command."""
    for source in ("", "a b", "a\r\nMAIL"):
        with pytest.raises(ValueError, match="host name"):
            SmtpSender("127.0.0.1", 25, limits=SendLimits(), source=source)


async def test_nothing_to_send_opens_nothing() -> None:
    """An empty call does not connect."""
    async with PipeliningReceiver() as peer, sending(peer) as sender:
        await sender.send([], lambda _: None)
        assert peer.connections == 0


async def test_events_name_the_peer() -> None:
    """The operator hears of connections, not of every message."""
    events: list[tuple[str, dict[str, object]]] = []
    async with PipeliningReceiver() as peer:
        sender = SmtpSender(
            peer.host,
            peer.port,
            limits=SendLimits(),
            source=GATEWAY,
            on_event=lambda event, /, **fields: events.append((event, fields)),
        )
        await send(sender, *(parcel(number) for number in range(5)))
        await sender.close()
    await send(sender, parcel(9))
    assert [event for event, _ in events] == ["peer.connected", "peer.disconnected", "peer.connect_failed"]
    assert all(fields["port"] == peer.port for _, fields in events)
    assert events[0][1]["pipelining"] is True


async def test_an_idle_connection_is_closed_after_keep_alive() -> None:
    """After ``keep_alive`` seconds without a call the connection gets its QUIT; use keeps it open."""
    async with PipeliningReceiver() as peer, sending(peer, SendLimits(keep_alive=0.3)) as sender:
        for number in range(4):
            await send(sender, parcel(number))
            await asyncio.sleep(0.15)
        assert peer.connections == peer.open_connections == 1
        await asyncio.sleep(0.4)
        assert peer.open_connections == 0
        assert peer.commands[-1] == b"QUIT"
        assert (await send(sender, parcel(9)))[0].outcome is Outcome.DELIVERED
        assert peer.connections == 2


async def test_a_long_call_is_not_idle_time() -> None:
    """``keep_alive`` counts from the end of the last call, even when it runs out during one."""
    receiver = FaultyReceiver([Fault("TEXT", after=1, delay=0.5)])
    async with receiver as peer, sending(peer, SendLimits(keep_alive=0.3)) as sender:
        await send(sender, parcel(1))
        await send(sender, parcel(2))
        await asyncio.sleep(0.1)
        assert peer.open_connections == 1
        await asyncio.sleep(0.4)
        assert peer.open_connections == 0


@pytest.mark.parametrize("pipelining", [True, False])
async def test_close_does_not_wait_long_for_quit(pipelining: bool) -> None:
    """A peer that does not answer QUIT holds a shutdown up for ``limits.quit`` at most."""
    async with FaultyReceiver([Fault("QUIT", delay=5)], pipelining=pipelining) as peer:
        sender = SmtpSender(peer.host, peer.port, limits=SendLimits(quit=0.2), source=GATEWAY)
        await send(sender, parcel(1))
        before = asyncio.get_running_loop().time()
        await sender.close()
        assert asyncio.get_running_loop().time() - before < 2


@pytest.mark.parametrize("pipelining", [True, False])
async def test_an_error_of_the_caller_comes_out(pipelining: bool) -> None:
    """What ``report`` raises is the caller's: it comes out of ``send``, and the next call works on a new connection."""

    def broken(report: Report) -> None:
        raise LookupError(report.number)

    async with FaultyReceiver(pipelining=pipelining) as peer, sending(peer) as sender:
        with pytest.raises(LookupError):
            await sender.send([parcel(1), parcel(2)], broken)
        assert (await send(sender, parcel(3)))[0].outcome is Outcome.DELIVERED
        assert peer.connections == 2


@pytest.mark.filterwarnings("error")
async def test_nothing_is_left_behind() -> None:
    """After ``close`` no task and no open transport remains (asyncio would warn of either)."""
    async with PipeliningReceiver() as peer:
        for _ in range(3):
            async with sending(peer) as sender:
                await send(sender, parcel(1))
        del sender
        await asyncio.sleep(0.05)
        assert peer.open_connections == 0
    await asyncio.sleep(0)
    gc.collect()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([b".", b"..", b"a", b"\r\n", b"\xa4\xa2", b"\r\n.\r\n"]), max_size=20).map(b"".join))
def test_dot_stuffing_is_undone_by_the_rule(data: bytes) -> None:
    """RFC 5321 4.5.2 read backwards gives the mail again, and no lone dot line is left inside the text."""
    wire = wire_text(data)
    lines = wire.split(b"\r\n")[:-1]
    assert b"." not in lines
    undone = b"".join((line[1:] if line.startswith(b".") else line) + b"\r\n" for line in lines)
    assert undone == (data if not data or data.endswith(b"\r\n") else data + b"\r\n")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([b"\r", b"\n", b"a", b"\r\n"]), max_size=8).map(b"".join))
def test_lone_line_ends_are_found(data: bytes) -> None:
    """A CR or LF outside a CRLF pair is found wherever it stands."""
    rest = data.replace(b"\r\n", b"")
    assert bool(unsendable(parcel(1, data))) == (b"\r" in rest or b"\n" in rest)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=400))
def test_reply_texts_are_short_and_printable(text: str) -> None:
    """Reply texts are at most 200 printable ASCII characters: they go to logs and to operators' screens."""
    shown = printable(text)
    assert len(shown) <= 200
    assert shown.isascii()
    assert not shown or shown.isprintable()
