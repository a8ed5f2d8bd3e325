"""The in-house side of mail style, POP3 and ebMS against scripted centres: what is sent, how failures are told."""

import asyncio
import contextlib
import email
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from sekisho.codecs.ebms.values import EbError, EbMessage, ErrorList, Service, Wire
from sekisho.codecs.envelope import Attachment
from sekisho.codecs.mime import unwrap
from sekisho.gateway.ebms_partners import EbmsPartner
from sekisho.gateway.inhouse import InHouseSystem, Submission, build_request
from sekisho.gateway.inhouse_doors import Access, LineError
from sekisho.gateway.inhouse_ebms import Agreement, mirrored
from sekisho.gateway.inhouse_mail import MailLine, build_multipart
from sekisho.gateway.inhouse_msh import EbmsCollector, EbmsEnd
from sekisho.gateway.inhouse_pop3 import Pop3Collector
from sekisho.gateway.inhouse_sftp import SftpLine, SftpSession, file_name, letter_order
from sekisho.gateway.strict_toml import read_table
from sekisho.handlers.tables import catalogue

SENDER, CENTRE = "6MLST1@MAIL.AGENT.SEKISHO.EXAMPLE", "NACCS@MAIL.TEST.SEKISHO.EXAMPLE"
REQUEST = build_request(catalogue(), "TCC", user_id="6MLSTD0D", password="SAMPLE06", items={"I01": "関所の見本"})


# Text ----------------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def scripted(*sessions: Sequence[tuple[bytes, bytes]]) -> AsyncIterator[tuple[Access, list[bytes]]]:
    """A server that plays one script a connection: what is waited for (empty: nothing), and what is said then.

    Gives its address, and everything it was told.
    """
    told: list[bytes] = []
    left = list(sessions)

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            for wanted, said in left.pop(0):
                if wanted:
                    told.append(await reader.readuntil(wanted))
                writer.write(said)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(play, "127.0.0.1", 0)
    async with server:
        yield Access("smtp", "127.0.0.1", server.sockets[0].getsockname()[1], "MBX001", "BOXPASS6"), told


HELLO = [(b"", b"220 hi\r\n"), (b"\r\n", b"250-hi\r\n250-PIPELINING\r\n250-SIZE 99\r\n250 AUTH PLAIN\r\n")]
LOGIN = [(b"\r\n", b"235 in\r\n")]
TAKEN = [(b"DATA\r\n", b"250 a\r\n250 b\r\n354 go\r\n"), (b"\r\n.\r\n", b"250 kept\r\n")]


async def sent(access: Access, count: int = 1) -> list[Submission]:
    """How so many submissions by one line end."""
    line = MailLine(access, sender=SENDER, centre=CENTRE)
    packet = line.pack(REQUEST, message_id="<1@AGENT.EXAMPLE>")
    done = [await line.submit(packet) for _ in range(count)]
    await line.close()
    return done


async def test_a_session_is_kept_and_commands_go_in_one_piece() -> None:
    """EHLO, AUTH PLAIN once; MAIL, RCPT and DATA together where PIPELINING is offered (RFC 2920); QUIT at the end."""
    async with scripted([*HELLO, *LOGIN, *TAKEN, *TAKEN, (b"\r\n", b"221 bye\r\n")]) as (access, told):
        assert [str(one) for one in await sent(access, 2)] == ["dot: 250 kept"] * 2
    assert told[1] == b"AUTH PLAIN AE1CWDAwMQBCT1hQQVNTNg==\r\n"
    first, mail, second, again, last = told[2:]
    assert first == second
    assert first.startswith(f"MAIL FROM:<{SENDER}> SIZE=".encode())
    assert (mail, last) == (again, b"QUIT\r\n")


async def test_an_ended_session_is_opened_anew() -> None:
    """A session that the centre has ended while nothing was sent is no failure (2-minute idle rule)."""
    async with scripted([*HELLO, *LOGIN, *TAKEN], [*HELLO, *LOGIN, *TAKEN, (b"\r\n", b"221 bye\r\n")]) as (access, _):
        assert [one.accepted for one in await sent(access, 2)] == [True, True]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ([(b"", b"421 busy\r\n")], "connect: 421 busy"),
        ([(b"", b"220 hi\r\n"), (b"\r\n", b"250 hi\r\n")], "login: AUTH is not offered here; is TLS missing"),
        ([*HELLO, (b"\r\n", b"535 no\r\n")], "login: 535 no"),
        ([*HELLO, *LOGIN, (b"DATA\r\n", b"250 a\r\n550 no\r\n503 c\r\n"), (b"\r\n", b"250 ok\r\n")], "RCPT: 550 no"),
        ([*HELLO, *LOGIN, (b"DATA\r\n", b"250 a\r\n550 no\r\n354 go\r\n")], "RCPT: 550 no"),
        ([*HELLO, *LOGIN, TAKEN[0], (b"\r\n.\r\n", b"452-full\r\n452 later\r\n")], "dot: 452 full later"),
        ([*HELLO, *LOGIN, TAKEN[0], (b"\r\n.\r\n", b"")], "dot: no reply the other side closed the connection"),
        ([(b"", b"SSH-2.0-x\r\n")], "connect: no reply not an SMTP reply"),
        ([], "connect: no reply the other side closed the connection"),
    ],
)
async def test_each_refusal_is_told_with_its_stage(script: Sequence[tuple[bytes, bytes]], said: str) -> None:
    """Which command was refused, with its code and text; a stop after the dot is no yes."""
    async with scripted(script) as (access, _):
        (done,) = await sent(access)
    assert str(done).startswith(said)
    assert not done.accepted


async def test_without_pipelining_commands_wait_for_each_other() -> None:
    """A centre that offers nothing gets lock-step, and no parameters that it has not offered."""
    steps = [(b"\r\n", b"250 a\r\n"), (b"\r\n", b"250 b\r\n"), (b"\r\n", b"354 c\r\n"), (b"\r\n.\r\n", b"250 kept\r\n")]
    plain = [(b"", b"220 hi\r\n"), (b"\r\n", b"250 hi\r\n"), *steps, (b"\r\n", b"221 bye\r\n")]
    async with scripted(plain) as (access, told):
        (done,) = await sent(replace(access, box="", password=""))
    assert done.accepted
    assert told[1:4] == [f"MAIL FROM:<{SENDER}>\r\n".encode(), f"RCPT TO:<{CENTRE}>\r\n".encode(), b"DATA\r\n"]


async def test_starttls_that_is_not_offered_ends_before_the_password() -> None:
    """Asked for TLS, nothing is said in the clear: no AUTH, no mail."""
    async with scripted(HELLO) as (access, told):
        (done,) = await sent(replace(access, tls="starttls"))
    assert str(done) == "tls: STARTTLS is not offered"
    assert len(told) == 1


def test_a_mail_with_files_is_read_by_others_too() -> None:
    """The message first, files in base64 with RFC 2231 names: the same to the codec and to the standard library."""
    files = (Attachment("関所.pdf", "application/pdf", bytes(range(256))), Attachment("a b.txt", "text/plain", b"x"))
    mail = build_multipart(REQUEST, files, sender=SENDER, recipient=CENTRE, message_id="<1@AGENT.EXAMPLE>")
    opened = unwrap(mail)
    assert (opened.content, opened.transport_id) == (REQUEST, "<1@AGENT.EXAMPLE>")
    assert opened.attachments == files
    _, *parts = [part for part in email.message_from_bytes(mail).walk() if not part.is_multipart()]
    assert [part.get_payload(decode=True) for part in parts] == [file.content for file in files]
    boundary = email.message_from_bytes(mail).get_boundary() or ""
    inside = build_multipart(boundary.encode(), files, sender=SENDER, recipient=CENTRE)
    assert unwrap(inside).attachments == files, "a boundary that would stand in the content is another one"


LOGGED_IN = [(b"", b"+OK hi\r\n"), (b"\r\n", b"+OK\r\n"), (b"\r\n", b"+OK\r\n")]


async def test_pop3_unstuffs_dots_and_takes_long_lines() -> None:
    """RFC 1939 section 3: a doubled dot is one; an interchange of one line of 100,000 bytes arrives whole."""
    body = b"X" * 100_000 + b"\r\n..\r\n...two\r\n.\r\n"
    mail = b"+OK\r\nFrom: a\r\nMessage-ID: <7@C.EXAMPLE>\r\n\r\n"
    script = [*LOGGED_IN, (b"\r\n", b"+OK\r\n1 v.7\r\n.\r\n"), (b"\r\n", mail + body), (b"\r\n", b"+OK\r\n")]
    async with scripted([*script, (b"QUIT\r\n", b"+OK\r\n")]) as (access, told):
        (letter,) = await Pop3Collector(access).collect()
    assert letter.content == b"X" * 100_000 + b"\r\n.\r\n..two\r\n"
    assert (letter.name, letter.transport_id, letter.removed) == ("v.7", "<7@C.EXAMPLE>", True)
    assert told == [b"USER MBX001\r\n", b"PASS BOXPASS6\r\n", b"UIDL\r\n", b"RETR 1\r\n", b"DELE 1\r\n", b"QUIT\r\n"]


@pytest.mark.parametrize("last", [b"-ERR [SYS/TEMP] not now\r\n", b""])
async def test_pop3_believes_a_removal_only_when_it_is_confirmed(last: bytes) -> None:
    """DELE is effective at QUIT: without its +OK the letter was read and may come again under its UIDL."""
    script = [*LOGGED_IN, (b"\r\n", b"+OK\r\n1 v.7\r\n2 v.8\r\n.\r\n"), (b"\r\n", b"+OK\r\n\r\nX\r\n.\r\n")]
    async with scripted([*script, (b"\r\n", b"+OK\r\n"), (b"QUIT\r\n", last)]) as (access, _):
        letters = await Pop3Collector(access).collect({"v.7"})
    assert [(letter.name, letter.removed) for letter in letters] == [("v.8", False)]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ([(b"", b"-ERR busy\r\n")], "connect: -ERR busy"),
        ([LOGGED_IN[0], LOGGED_IN[1], (b"\r\n", b"-ERR [IN-USE] wait\r\n")], "login: -ERR [IN-USE] wait"),
        ([*LOGGED_IN, (b"\r\n", b"+OK\r\nnonsense\r\n.\r\n")], "UIDL: not a line of a listing: b'nonsense'"),
        ([*LOGGED_IN, (b"\r\n", b"+OK\r\n1 v.7\r\n")], "UIDL: the other side closed the connection"),
    ],
)
async def test_pop3_tells_where_it_failed(script: Sequence[tuple[bytes, bytes]], said: str) -> None:
    """The stage, and the centre's words."""
    async with scripted(script) as (access, _):
        with pytest.raises(LineError) as error:
            await Pop3Collector(access).waiting()
    assert str(error.value) == said


# Files ---------------------------------------------------------------------------------------------------------------


def test_names_of_files_are_what_any_door_takes() -> None:
    """Path parts and other characters go; a temporary ending or an empty name gets one of its own."""
    assert [file_name(name) for name in ("a b.edi", "../../x", "<1@A.EXAMPLE>")] == ["a-b.edi", "x", "1-A.EXAMPLE"]
    assert file_name("関所").startswith("message-")
    assert file_name("a.tmp").endswith(".edi")
    names = ["SAS1360_-_9-10.edi", "R-SOLA_-_9-9.edi", "X_-_9-100.edi"]
    assert sorted(names, key=letter_order) == [names[1], names[0], names[2]]


async def test_sftp_says_when_nobody_is_there() -> None:
    """A port without a server, and one that speaks something else: the stage, never a traceback."""
    async with scripted([(b"", b"220 smtp\r\n")]) as (access, _):
        session = SftpSession(replace(access, scheme="sftp", insecure=True))
        line = SftpLine(session)
        first = await line.submit(line.pack(REQUEST))
    second = await line.submit(line.pack(REQUEST))
    assert (first.stage, second.stage) == ("connect", "connect")
    with pytest.raises(ValueError, match="no place for attached files"):
        line.pack(REQUEST, files=(Attachment("a", "", b""),))


# EbMS ----------------------------------------------------------------------------------------------------------------

SERVICE = "urn:sekisho:service:edi"
TABLE: dict[str, Any] = {
    "name": "centre",
    "box": "EBM001",
    "cpa_id": "urn:sekisho:cpa:test",
    "us": {"ids": [{"value": "urn:sekisho:agent"}]},
    "them": {"ids": [{"value": "urn:sekisho:centre"}]},
    "plain": True,
    "sync_reply": "mshSignalsOnly",
    "action": [
        {"service": SERVICE, "action": "Request", "direction": "out"},
        {"service": SERVICE, "action": "Reply", "direction": "in"},
    ],
}


def agreement(table: dict[str, Any]) -> Agreement:
    """An agreement without keys."""
    problems: list[str] = []
    found = read_table(EbmsPartner, table, "", problems)
    assert found is not None, problems
    return Agreement(found)


OURS = agreement(TABLE)
PULLED = agreement(TABLE | {"pull": {"service": SERVICE, "action": "Pull"}})
ASYNC = agreement(TABLE | {"sync_reply": "none"})
THEIRS = agreement(mirrored(TABLE, url="http://127.0.0.1:9/msh") | {"sync_reply": "none"})
Answering = Callable[[EbMessage], Wire | None]


@contextlib.asynccontextmanager
async def centre(answering: Answering, said: int = 200) -> AsyncIterator[tuple[Access, list[EbMessage]]]:
    """A centre's endpoint that answers as it is told; what came is judged as a centre judges."""
    came: list[EbMessage] = []

    async def serve(request: web.Request) -> web.Response:
        message = THEIRS.judged(request.headers["Content-Type"], await request.read())
        assert request.headers["SOAPAction"] == '"ebXML"'
        came.append(message)
        wire = answering(message)
        if wire is None:
            return web.Response(status=said)
        return web.Response(body=wire.body, headers={"Content-Type": wire.content_type})

    application = web.Application()
    application.router.add_post("/ebms", serve)
    runner = web.AppRunner(application, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield Access("ebms", "127.0.0.1", runner.addresses[0][1], path="/ebms"), came
    finally:
        await runner.cleanup()


def acknowledged(message: EbMessage) -> Wire:
    """A new Acknowledgment each time."""
    return THEIRS.wire(THEIRS.acknowledgment(message))


def error(message: EbMessage) -> Wire:
    """A MessageError."""
    said = THEIRS.acknowledgment(message)
    header = replace(said.header, action="MessageError")
    errors = ErrorList("Error", (EbError("ValueNotRecognized", "Error", "no such action", "eb:Action"),))
    return THEIRS.wire(EbMessage(header, errors=errors))


def other(message: EbMessage) -> Wire:
    """The Acknowledgment of a message that was never sent."""
    said = THEIRS.acknowledgment(replace(message, header=replace(message.header, message_id="else@where.EXAMPLE")))
    return THEIRS.wire(said)


def stranger(message: EbMessage) -> Wire:
    """An Acknowledgment of somebody who is not the centre."""
    said = THEIRS.acknowledgment(message)
    return THEIRS.wire(replace(said, header=replace(said.header, sender=said.header.receiver)))


@pytest.mark.parametrize(
    ("answering", "status", "said"),
    [
        (acknowledged, 200, "answer: 200 acknowledged"),
        (error, 200, "error: ValueNotRecognized no such action eb:Action"),
        (other, 200, "acknowledgment: another message came: Acknowledgment"),
        (stranger, 200, "answer: no reply 200, and it is not acceptable: Inconsistent: CPAId or From"),
        (lambda _: Wire("text/plain", b"hello"), 200, "answer: no reply 200, and it is not acceptable"),
        (lambda _: None, 200, "acknowledgment: none came in the response"),
        (lambda _: None, 503, "answer: 503"),
        (lambda _: None, 401, "login: 401"),
    ],
)
async def test_ebms_takes_only_its_own_acknowledgment_for_a_yes(answering: Answering, status: int, said: str) -> None:
    """Taken is what was acknowledged by the centre, for this message; everything else is told as what it is."""
    async with InHouseSystem(catalogue()) as system, EbmsEnd(system) as end:
        async with centre(answering, status) as (access, _):
            line = end.agree(OURS, access)
            done = await line.submit(line.pack(REQUEST))
        assert str(done).startswith(said)
        assert done.accepted == (answering is acknowledged)
        gone = await line.submit(line.pack(REQUEST))
    assert (gone.stage in ("connect", "answer"), gone.code, gone.accepted) == (True, 0, False)


async def test_ebms_repeats_bytes_and_wants_the_first_answer() -> None:
    """A packet sent again is the same message, byte for byte; an answer that differs is a fault of the centre (36)."""
    async with InHouseSystem(catalogue()) as system, EbmsEnd(system) as end, centre(acknowledged) as (access, came):
        line = end.agree(OURS, access)
        packet = line.pack(REQUEST, message_id="<1@AGENT.EXAMPLE>", files=(Attachment("a", "text/plain", b"x"),))
        first, second = [await line.submit(packet) for _ in range(2)]
    assert (first.accepted, second.accepted, second.stage) == (True, False, "repeat")
    assert came[0] == came[1]
    assert came[0].header.message_id == "1@AGENT.EXAMPLE"
    assert [part.content for part in came[0].payloads] == [REQUEST, b"x"]


async def test_an_asynchronous_acknowledgment_is_waited_for() -> None:
    """Without sync replies the answer comes by a post to our endpoint; a letter posted twice is kept once (35, 36)."""
    async with InHouseSystem(catalogue()) as system, EbmsEnd(system) as end:
        back: list[asyncio.Task[Submission]] = []

        async def tell(message: EbMessage) -> Submission:
            async with EbmsEnd(system) as theirs:
                host, port = end.url.removeprefix("http://").removesuffix("/msh").split(":")
                to = theirs.agree(THEIRS, Access("ebms", host, int(port), path="/msh"))
                wire = acknowledged(message)
                await theirs.poster(end.url, to.access, {"Content-Type": wire.content_type}, wire.body)
                letter = THEIRS.request(REQUEST, message_id="letter-1@CENTRE.EXAMPLE")
                posted = THEIRS.wire(letter)
                for _ in range(2):
                    await theirs.poster(end.url, to.access, {"Content-Type": posted.content_type}, posted.body)
            return Submission("answer", 200, "")

        told, twice = list[EbMessage](), asyncio.Event()

        def later(message: EbMessage) -> None:
            if message.kind == "business":
                back.append(asyncio.create_task(tell(message)))
            else:
                told.append(message)
                if len(told) == 2:
                    twice.set()

        async with centre(later) as (access, _):
            line = end.agree(ASYNC, access, box="MINE")
            done = await line.submit(line.pack(REQUEST))
            await asyncio.gather(*back)
            async with asyncio.timeout(10):
                await twice.wait()
            await line.close()
    assert str(done) == "answer: 200 acknowledged"
    assert [(one.box, one.line, one.transport_id) for one in system.arrivals] == [
        ("MINE", "ebms", "letter-1@CENTRE.EXAMPLE")
    ]
    assert told[0] == told[1], "the stored Acknowledgment again"


async def test_pulling_ends_when_nothing_waits_and_tells_refusals() -> None:
    """A pull that is answered with an Acknowledgment alone brought nothing; an error is told; nothing can be left."""
    async with InHouseSystem(catalogue()) as system, EbmsEnd(system) as end:
        async with centre(acknowledged) as (access, came):
            collector = EbmsCollector(end.agree(PULLED, access))
            assert await collector.collect() == []
            assert (came[0].header.service, came[0].header.action) == (Service(SERVICE), "Pull")
            for call in (collector.collect(leave=True), collector.waiting()):
                with pytest.raises(LineError, match="ebMS has no way"):
                    await call
        async with centre(error) as (access, _):
            with pytest.raises(LineError, match="ValueNotRecognized no such action"):
                await EbmsCollector(end.agree(PULLED, access)).collect()
    assert system.arrivals == []
