"""The mail-style listener on real loopback sockets: TLS, AUTH, several requests in a row, other people's clients."""

import asyncio
import smtplib
import socket
import ssl
import struct
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from sekisho.codecs.envelope import Envelope
from sekisho.transports.base import Receipt
from sekisho.transports.smtp import SmtpListener

from .mail_house import PLAIN, WRONG, Keeper, ehlo, mail_style, secured
from .posting import tls_pair
from .senders import CENTRE, ENVELOPE, MAIL, SENDER, TELEGRAM, House, Peer, until

SPELLINGS = [
    line.split("\t")[1].encode("ascii").decode("unicode_escape").encode("ascii")
    for line in Path(__file__).with_name("smuggling.tsv").read_text("ascii").splitlines()[1:]
]


async def test_several_requests_in_a_row_each_with_its_answer() -> None:
    """Mail style sends many requests in one session, pipelined or not (spec/naccs-edi.md 7.3); the order is kept."""
    house = House()
    async with mail_style(house) as listener:
        peer = await Peer.at(listener)
        assert await ehlo(peer) == ["SIZE 12582912", "8BITMIME", "PIPELINING", "ENHANCEDSTATUSCODES"]
        one = ENVELOPE + b"DATA\r\n" + MAIL + b".\r\n"
        peer.writer.write(one * 20 + b"QUIT\r\n")
        replies = (await asyncio.wait_for(peer.reader.read(), 10)).splitlines()
    assert [line[:3] for line in replies] == [b"250", b"250", b"354", b"250"] * 20 + [b"221"]
    assert [line for line in replies if b"kept" in line] == [b"250 2.0.0 kept %d" % n for n in range(1, 21)]
    assert [(envelope.raw, envelope.principal) for envelope in house.got] == [(MAIL, "")] * 20


@pytest.mark.parametrize("implicit", [False, True])
async def test_the_box_that_logged_in_is_the_principal(implicit: bool) -> None:
    """TLS, then mailbox id and password: the envelope carries the box, and the doorkeeper heard door and peer."""
    server, client = tls_pair()
    house, keeper = House(), Keeper()
    async with mail_style(
        house, tls=server, implicit_tls=implicit, require_tls=True, auth="required", doorkeeper=keeper
    ) as listener:
        if implicit:
            peer = Peer(*await asyncio.open_connection(*listener.address, ssl=client, server_hostname="127.0.0.1"))
            Peer.opened[listener].append(peer)
            assert (await peer.line()).startswith(b"220 ")
        else:
            peer = await Peer.at(listener)
            assert "STARTTLS" in await ehlo(peer)
            assert (await peer.say(PLAIN)).startswith(b"530 5.7.0")
            await secured(peer, client)
            assert (await peer.say(ENVELOPE)).startswith(b"530 5.7.0")
            await peer.line()
        assert (await ehlo(peer))[-1] == "AUTH PLAIN LOGIN"
        assert (await peer.say(WRONG)).startswith(b"535 5.7.8")
        assert (await peer.say(PLAIN.replace(b"PLAIN", b"plain"))).startswith(b"235 2.7.0")
        await peer.data()
        assert (await peer.say(MAIL + b".\r\n")).startswith(b"250 2.0.0 kept")
    assert [envelope.principal for envelope in house.got] == ["BRK001"]
    assert keeper.asked == [("smtp-auth", "BRK001", "127.0.0.1")] * 2


async def test_what_is_pipelined_behind_a_login_waits_for_it() -> None:
    """The mail behind AUTH is not taken before the doorkeeper said yes, however long he takes."""
    house, keeper = House(), Keeper()
    keeper.open.clear()
    async with mail_style(house, auth="required", auth_in_clear=True, doorkeeper=keeper) as listener:
        peer = await Peer.at(listener)
        await ehlo(peer)
        peer.writer.write(PLAIN + ENVELOPE + b"DATA\r\n" + MAIL + b".\r\nQUIT\r\n")
        await until(lambda: bool(keeper.asked))
        assert house.got == []
        keeper.open.set()
        replies = (await asyncio.wait_for(peer.reader.read(), 5)).splitlines()
    assert [line[:3] for line in replies] == [b"235", b"250", b"250", b"354", b"250", b"221"]
    assert [envelope.principal for envelope in house.got] == ["BRK001"]


async def test_leaving_while_the_password_is_looked_at() -> None:
    """Nothing that was pipelined behind the login is run for a peer that is gone, and its place is free again."""
    house, keeper = House(), Keeper()
    keeper.open.clear()
    async with mail_style(house, auth="required", auth_in_clear=True, doorkeeper=keeper) as listener:
        peer = await Peer.at(listener)
        await ehlo(peer)
        peer.writer.write(PLAIN + ENVELOPE + b"DATA\r\n" + MAIL + b".\r\n")
        await until(lambda: bool(keeper.asked))
        sock = peer.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a close may be half a close
        peer.writer.transport.abort()
        await until(lambda: listener.open_connections == 0)
        keeper.open.set()
        await asyncio.sleep(0.05)
        assert house.got == []
        assert listener.pool.free == listener.limits.pending_bytes


async def test_a_registry_that_cannot_be_read_is_454() -> None:
    """RFC 4954 section 6: temporary, not a wrong password; the session goes on and tells nothing of ours."""
    keeper = Keeper()
    keeper.closed = True
    async with mail_style(House(), auth="optional", auth_in_clear=True, doorkeeper=keeper) as listener:
        peer = await Peer.at(listener)
        await ehlo(peer)
        assert await peer.say(PLAIN) == b"454 4.7.0 Temporary authentication failure\r\n"
        keeper.closed = False
        assert (await peer.say(PLAIN)).startswith(b"235")


@pytest.mark.parametrize("gap", [0.0, 0.05])
async def test_no_plaintext_survives_starttls(gap: float) -> None:
    """Commands sent in clear behind STARTTLS, in one segment or later, are never run: the connection ends."""
    server, _client = tls_pair()
    house = House()
    async with mail_style(house, tls=server) as listener:
        peer = await Peer.at(listener)
        await ehlo(peer)
        peer.writer.write(b"STARTTLS\r\n")
        if gap:
            await peer.writer.drain()
            await asyncio.sleep(gap)
        peer.writer.write(b"EHLO x\r\n" + ENVELOPE + b"DATA\r\n" + MAIL + b".\r\n")
        rest = await asyncio.wait_for(peer.reader.read(), 5)
        assert (b"220 2.0.0" in rest) == bool(gap)
        assert b"250" not in rest
        await until(lambda: listener.open_connections == 0)
    assert house.got == []


async def test_a_handshake_that_fails_ends_only_itself() -> None:
    """No TLS, half a TLS, another TLS: the connection is closed and counted out once; the next peer is served."""
    server, client = tls_pair()
    _server, stranger = tls_pair()
    async with mail_style(House(), {"tls_handshake": 0.3}, tls=server, implicit_tls=True) as listener:
        for sent in (b"EHLO a\r\n" * 50, b"\x16\x03\x01\x02\0", b""):
            peer = Peer(*await asyncio.open_connection(*listener.address))
            Peer.opened[listener].append(peer)
            peer.writer.write(sent)
            answer = await asyncio.wait_for(peer.reader.read(), 5)
            assert b"421" not in answer
            assert b"220" not in answer
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(*listener.address, ssl=stranger, server_hostname="127.0.0.1")
        await until(lambda: listener.open_connections == 0)
        good = Peer(*await asyncio.open_connection(*listener.address, ssl=client, server_hostname="127.0.0.1"))
        Peer.opened[listener].append(good)
        assert (await good.line()).startswith(b"220 ")
        assert listener.open_connections == 1


async def test_a_new_certificate_is_shown_without_a_restart() -> None:
    """Connections made after ``tls`` was replaced see the new certificate, those before go on."""
    server, client = tls_pair()
    new_server, new_client = tls_pair()
    async with mail_style(House(), tls=server) as listener:
        old = await Peer.at(listener)
        await secured(old, client)
        listener.tls = new_server
        new = await Peer.at(listener)
        await secured(new, new_client)
        assert await ehlo(old) == await ehlo(new)


@pytest.mark.parametrize("profile", ["clear", "starttls"])
async def test_no_spelling_smuggles_a_second_mail(profile: str) -> None:
    """One in is one stored, for each profile: in clear, and under STARTTLS with AUTH (spec/reliability.md 5.2)."""
    server, client = tls_pair()
    house = House()
    options: dict[str, Any] = {"tls": server, "require_tls": True, "auth": "required", "doorkeeper": Keeper()}
    async with mail_style(house, **(options if profile == "starttls" else {})) as listener:
        peer = await Peer.at(listener)
        if profile == "starttls":
            await secured(peer, client)
            await ehlo(peer)
            assert (await peer.say(PLAIN)).startswith(b"235")
        for ending in SPELLINGS:
            await peer.data()
            text = MAIL + b"a" + ending + ENVELOPE + b"DATA\r\nsmuggled\r\n"
            assert (await peer.say(text + b".\r\n")).startswith(b"250 2.0.0 kept")
    assert len(house.got) == len(SPELLINGS) > 10
    assert all(envelope.raw.endswith(b"smuggled\r\n") for envelope in house.got)


async def test_a_large_mail_under_tls() -> None:
    """Twelve megabytes in records of TLS are the same bytes; a longer one is 552 and the session goes on."""
    server, client = tls_pair()
    house = House()
    async with mail_style(house, tls=server) as listener:
        peer = await Peer.at(listener)
        await secured(peer, client)
        await ehlo(peer)
        mail = MAIL + b"\xb4\xd8 0123456789\r\n" * ((listener.limits.max_object - len(MAIL)) // 15)
        await peer.data()
        assert (await peer.say(mail + b".\r\n")).startswith(b"250")
        await peer.data()
        assert (await peer.say(mail + b"and more than that\r\n.\r\n")).startswith(b"552 5.3.4")
        await peer.data()
        assert (await peer.say(MAIL + b".\r\n")).startswith(b"250")
    assert [envelope.raw for envelope in house.got] == [mail, MAIL]


@pytest.mark.parametrize("leave", ["close", "reset"])
async def test_leaving_after_the_dot_under_tls(leave: str) -> None:
    """The submission ends as it would have; the connection is counted out once."""
    server, client = tls_pair()
    house, go = House(), asyncio.Event()
    accept = house.accept

    async def slow(envelope: Envelope) -> Receipt:
        await go.wait()
        return await accept(envelope)

    house.answer = slow
    async with mail_style(house, tls=server) as listener:
        peer = await Peer.at(listener)
        await secured(peer, client)
        await ehlo(peer)
        await peer.data()
        peer.writer.write(MAIL + b".\r\n")
        await until(lambda: bool(listener.pending))
        if leave == "close":
            peer.writer.close()
        else:
            peer.writer.transport.abort()
        await until(lambda: listener.open_connections == 0)
        go.set()
        await until(lambda: len(house.got) == 1)
        assert listener.pool.free == listener.limits.pending_bytes


def _by_smtplib(listener: SmtpListener, client: ssl.SSLContext) -> None:
    with smtplib.SMTP(*listener.address, timeout=5) as peer:
        peer.starttls(context=client)
        peer.login("BRK001", "BOXPASS1")
        peer.sendmail(SENDER, CENTRE, MAIL, mail_options=["BODY=8BITMIME", f"SIZE={len(MAIL)}"])
        peer.sendmail(SENDER, [CENTRE], MAIL)


def _by_the_habits_of_swaks(listener: SmtpListener, client: ssl.SSLContext) -> None:
    """EHLO, STARTTLS, EHLO, AUTH LOGIN word by word, header lines, a lone dot, QUIT: the script of swaks."""
    with socket.create_connection(listener.address, 5) as plain:
        lines = plain.makefile("rb")
        for said, code in ((b"", b"220"), (b"EHLO swaks\r\n", b"250"), (b"STARTTLS\r\n", b"220")):
            plain.sendall(said)
            line = lines.readline()
            while line[3:4] == b"-":
                line = lines.readline()
            assert line.startswith(code), line
        with client.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
            lines = secure.makefile("rb")
            for said, code in (
                (b"EHLO swaks\r\n", b"250"),
                (b"AUTH LOGIN\r\n", b"334"),
                (b"QlJLMDAx\r\n", b"334"),
                (b"Qk9YUEFTUzE=\r\n", b"235"),
                (b"MAIL FROM:<" + SENDER.encode() + b">\r\n", b"250"),
                (b"RCPT TO:<" + CENTRE.encode() + b">\r\n", b"250"),
                (b"DATA\r\n", b"354"),
                (MAIL + b"\r\n\r\n.\r\n", b"250"),
                (b"QUIT\r\n", b"221"),
            ):
                secure.sendall(said)
                line = lines.readline()
                while line[3:4] == b"-":
                    line = lines.readline()
                assert line.startswith(code), line


@pytest.mark.parametrize("client_of", [_by_smtplib, _by_the_habits_of_swaks])
async def test_other_clients_log_in_and_send(client_of: Callable[[SmtpListener, ssl.SSLContext], None]) -> None:
    """STARTTLS and AUTH as the standard library's client does them, and as a much used script does."""
    server, client = tls_pair()
    house = House()
    async with mail_style(
        house, tls=server, require_tls=True, auth="required", doorkeeper=Keeper()
    ) as listener:
        await asyncio.to_thread(client_of, listener, client)
    assert house.got
    assert all(envelope.content.startswith(TELEGRAM) and envelope.principal == "BRK001" for envelope in house.got)


async def _certificate(listener: SmtpListener, client: ssl.SSLContext) -> str:
    """The certificate that a listener shows, in PEM."""
    if listener.implicit_tls:
        peer = Peer(*await asyncio.open_connection(*listener.address, ssl=client, server_hostname="127.0.0.1"))
        Peer.opened[listener].append(peer)
    else:
        peer = await secured(await Peer.at(listener), client)
    return ssl.DER_cert_to_PEM_cert(peer.writer.get_extra_info("ssl_object").getpeercert(binary_form=True))


async def _run(*command: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode("utf-8", "replace")


@pytest.mark.peer("curl")
@pytest.mark.parametrize("way", ["clear", "starttls", "smtps"])
async def test_curl(tmp_path: Path, way: str) -> None:
    """Three mails on one connection of curl, in clear, with STARTTLS or smtps://; a wrong password is its error 67."""
    server, client = tls_pair()
    house = House()
    authority, mail = tmp_path / "ca.pem", tmp_path / "mail"
    mail.write_bytes(MAIL)
    options: dict[str, Any] = {"tls": server, "require_tls": True, "auth": "required", "doorkeeper": Keeper()}
    async with mail_style(house, implicit_tls=way == "smtps", **({} if way == "clear" else options)) as listener:
        authority.write_text(await _certificate(listener, client) if way != "clear" else "")
        scheme, port = "smtps" if way == "smtps" else "smtp", listener.address[1]
        common = ["curl", "-sS", "--max-time", "20", "--mail-from", SENDER, "--mail-rcpt", CENTRE, "-T", str(mail)]
        if way == "starttls":
            common += ["--ssl-reqd"]
        if way != "clear":
            common += ["--cacert", str(authority), "--user", "BRK001:BOXPASS1", "--login-options", "AUTH=LOGIN"]
        url = f"{scheme}://127.0.0.1:{port}/inhouse.example"
        code, said = await _run(*common, url, "-T", str(mail), url, "-T", str(mail), url)
        assert (code, said) == (0, "")
        if way != "clear":
            code, said = await _run(*(word.replace("BOXPASS1", "GUESS") for word in common), url)
            assert code == 67, said
        accepted = listener.accepted
    assert [envelope.raw for envelope in house.got] == [MAIL] * 3
    assert accepted == (1 if way == "clear" else 3)


@pytest.mark.peer("smtp-source")
async def test_smtp_source() -> None:
    """Postfix's load tool: 5 sessions of 8 messages each, EHLO and one message after the other on a connection."""
    house = House()
    async with mail_style(house) as listener:
        address = f"inet:127.0.0.1:{listener.address[1]}"
        code, said = await _run(
            *("smtp-source", "-d", "-s", "5", "-m", "40", "-l", "2000", "-f", SENDER, "-t", CENTRE, address)
        )
        assert code == 0, said
    assert len(house.got) == 40


@pytest.mark.parametrize(
    "scenario",
    [
        test_several_requests_in_a_row_each_with_its_answer,
        test_a_large_mail_under_tls,
        test_a_handshake_that_fails_ends_only_itself,
        test_a_new_certificate_is_shown_without_a_restart,
        lambda: test_the_box_that_logged_in_is_the_principal(False),
        lambda: test_the_box_that_logged_in_is_the_principal(True),
        lambda: test_no_plaintext_survives_starttls(0.0),
        lambda: test_no_plaintext_survives_starttls(0.05),
        lambda: test_leaving_after_the_dot_under_tls("close"),
    ],
)
def test_uvloop_is_no_different(scenario: Callable[[], Coroutine[None, None, None]]) -> None:
    """The other loop has a TLS of its own; what the peer sees is the same."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())
