import asyncio
import contextlib
import re
import stat
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from sekisho.codecs.envelope import Envelope
from sekisho.transports.base import Receipt, Verdict
from sekisho.transports.sftp import CIPHERS, KEY_EXCHANGES, MACS, SftpLimits, ensure_host_key

from .sftp_house import BOX, OTHER, PASSWORD, House, serving


async def test_a_box_logs_in_with_its_password() -> None:
    """The user is the box; what he puts in carries the box as registered, and his own address as peer."""
    async with serving() as house:
        async with house.client("brk001") as sftp, sftp.open("/in/a.edi", "wb") as file:
            await file.write(b"content")
        (envelope,) = house.taken
        assert (envelope.principal, envelope.transport) == (BOX, "drop")
        assert envelope.peer.startswith("127.0.0.1:")
        assert house.listener.logins == 1


async def test_a_box_logs_in_with_its_key() -> None:
    """A registered public key opens the box; another one does not, and does not name why."""
    key, strange = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    async with serving() as house:
        house.keys[BOX] = " ".join(key.export_public_key("openssh").decode().split()[:2])
        async with house.client(password=None, client_keys=[key]) as sftp:
            assert await sftp.listdir("/") == ["in", "out", "quarantine", "sent"]
        with pytest.raises(asyncssh.PermissionDenied):
            await house.connect(password=None, client_keys=[strange])
        with pytest.raises(asyncssh.PermissionDenied):
            await house.connect(OTHER, password=None, client_keys=[key])
        async with house.client(client_keys=[strange]) as sftp:  # and then the password
            assert await sftp.isdir("/in")


async def test_a_key_of_one_box_does_not_open_the_box_named_later() -> None:
    """Who offers his key for one name and then logs in under another is the other."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    async with serving() as house:
        house.keys[BOX] = " ".join(key.export_public_key("openssh").decode().split()[:2])
        async with house.client(OTHER, client_keys=[key]) as sftp:
            assert await sftp.listdir("/out") == [OTHER]


async def test_wrong_passwords_end_the_connection() -> None:
    """Three tries a connection (reliability.md 8)."""

    class Guesser(asyncssh.SSHClient):
        tries = 0

        def password_auth_requested(self) -> str:
            Guesser.tries += 1
            return f"wrong{Guesser.tries}"

    async with serving() as house:
        with pytest.raises(asyncssh.DisconnectError, match="Too many failed logins"):
            await house.connect(password=None, client_factory=Guesser)
        assert house.guesses == Guesser.tries == 3


async def test_a_doorkeeper_that_cannot_look() -> None:
    """Not refused for good: the client is told to come again."""
    async with serving(door_fault="the store is away") as house:
        with pytest.raises(asyncssh.DisconnectError, match="try again later"):
            await house.connect()


@pytest.mark.parametrize(
    "ask",
    [
        lambda connection: connection.run("id", check=True),
        lambda connection: connection.run(check=True),
        lambda connection: connection.run("scp -t /in; id", check=True),
        lambda connection: connection.create_process(subsystem="netconf"),
        lambda connection: connection.open_connection("127.0.0.1", 22),
        lambda connection: connection.open_unix_connection("/run/x"),
        lambda connection: connection.forward_remote_port("127.0.0.1", 0, "127.0.0.1", 22),
        lambda connection: connection.forward_remote_path("/run/x", "/run/y"),
        lambda connection: connection.create_tun(lambda: None),
    ],
)
async def test_nothing_but_files(ask: Any) -> None:  # noqa: ANN401 (a call)
    """No shell, command, other subsystem, forwarding or tunnel."""
    async with serving() as house, await house.connect() as connection:
        with pytest.raises((asyncssh.Error, asyncssh.ChannelListenError, OSError)):
            await asyncio.wait_for(ask(connection), 5)


async def test_a_terminal_and_an_agent_are_refused() -> None:
    """What a channel asks for besides is refused and the files still work."""
    async with serving() as house, await house.connect() as connection:
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.create_process("scp -t /in", term_type="xterm", x11_forwarding=True)
        async with connection.start_sftp_client() as sftp:
            assert await sftp.isdir("/in")


@pytest.mark.parametrize(
    "options",
    [
        {"encryption_algs": ["aes128-cbc"]},
        {"encryption_algs": ["3des-cbc"]},
        {"encryption_algs": ["aes128-ctr"], "mac_algs": ["hmac-sha1"]},
        {"encryption_algs": ["aes128-ctr"], "mac_algs": ["hmac-md5"]},
        {"kex_algs": ["diffie-hellman-group14-sha1"]},
        {"kex_algs": ["diffie-hellman-group-exchange-sha1"]},
        {"compression_algs": ["zlib@openssh.com"]},
    ],
)
async def test_weak_algorithms_are_not_offered(options: dict[str, Any]) -> None:
    """An allow-list: no CBC, no SHA-1, no MD5, no compression."""
    async with serving() as house:
        with pytest.raises(asyncssh.KeyExchangeFailed):
            await house.connect(**options)


@pytest.mark.parametrize("cipher", CIPHERS)
async def test_every_cipher_of_the_list(cipher: str) -> None:
    """Each one carries a file both ways; AES-GCM stands first."""
    assert CIPHERS[0] == "aes128-gcm@openssh.com"
    async with serving() as house:
        house.add(1, bytes(range(256)) * 400)
        async with house.client(encryption_algs=[cipher]) as sftp:
            async with sftp.open("/in/a.edi", "wb") as file:
                await file.write(bytes(range(256)) * 400)
            (path,) = await sftp.glob("/out/*/*/*")
            async with sftp.open(path, "rb") as file:
                content: object = await file.read()
                assert content == house.taken[0].content


@pytest.mark.parametrize(
    "options", [*({"kex_algs": [name]} for name in KEY_EXCHANGES),
                *({"encryption_algs": ["aes256-ctr"], "mac_algs": [name]} for name in MACS)]
)  # fmt: skip
async def test_every_key_exchange_and_mac_of_the_list(options: dict[str, Any]) -> None:
    """What is offered works."""
    async with serving() as house, house.client(**options) as sftp:
        assert await sftp.isdir("/in")


async def test_rekeying_in_the_middle_of_a_file() -> None:
    """A new key exchange between two pieces of a file changes nothing in it."""
    async with serving() as house:
        async with house.client(rekey_bytes=100_000) as sftp, sftp.open("/in/a.edi", "wb", block_size=16_384) as file:
            for number in range(64):
                await file.write(bytes([number]) * 16_384)
        assert house.taken[0].content == b"".join(bytes([number]) * 16_384 for number in range(64))


async def test_a_clients_environment_is_forgotten() -> None:
    """A channel may set variables without end; nothing here looks at them, so none is kept."""
    async with serving() as house, await house.connect() as connection:
        variables = {f"NAME{number}": "x" * 100 for number in range(500)}
        async with connection.start_sftp_client(env=variables) as sftp:
            assert await sftp.isdir("/in")
            (served,) = house.listener._open
            (channel,) = served.channels
            assert channel._chan is not None
            assert len(channel._chan.get_environment()) == 0


async def test_eight_sessions_of_a_user() -> None:
    """The ninth is told so; when one ends there is room again; another user is not concerned."""
    async with serving() as house, contextlib.AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(await house.connect()) for _ in range(8)]
        with pytest.raises(asyncssh.Error):
            async with house.client() as sftp:
                await sftp.listdir("/")
        async with house.client(OTHER) as sftp:
            assert await sftp.isdir("/in")
        connections[0].close()
        await connections[0].wait_closed()
        async with house.client() as sftp:
            assert await sftp.isdir("/in")


@pytest.mark.parametrize("limits", [SftpLimits(connections_total=3), SftpLimits(connections_per_address=3)])
async def test_connections_are_bounded(limits: SftpLimits) -> None:
    """One too many gets a line of text and is closed, before any cryptography; the others go on."""
    async with serving(limits) as house:
        streams = [await asyncio.open_connection("127.0.0.1", house.port) for _ in range(3)]
        assert (await streams[0][0].readline()).startswith(b"SSH-2.0-sekisho")
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        assert await reader.read() == b"Too many connections, try again later\r\n"
        assert (house.listener.refused, house.listener.open_connections) == (1, 3)
        for _, stream in [*streams, (reader, writer)]:
            stream.close()
        await house.emptied()
        async with house.client() as sftp:
            assert await sftp.isdir("/in")


async def test_channels_of_a_connection_are_bounded() -> None:
    """Eight a connection; they share its 64 handles."""
    async with serving(SftpLimits(handles=10)) as house, await house.connect() as connection:
        clients = [await connection.start_sftp_client() for _ in range(8)]
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.start_sftp_client()
        for number in range(10):
            await clients[number % 8].open(f"/in/{number}.edi", "wb")
        with pytest.raises(asyncssh.SFTPFailure, match="More than 10 open files"):
            await clients[0].open("/in/more.edi", "wb")
        for client in clients:
            client.exit()
            await client.wait_closed()
        async with connection.start_sftp_client() as sftp:
            assert await sftp.listdir("/in") == []
    assert house.taken == []


async def test_who_does_not_log_in_is_cut() -> None:
    """60 seconds to log in: silence, a drip and a half-done handshake alike."""
    async with serving(SftpLimits(login=0.4)) as house:
        streams = [await asyncio.open_connection("127.0.0.1", house.port) for _ in range(3)]
        streams[1][1].write(b"SSH-2.0-drip\r\n")

        async def drip() -> None:
            with contextlib.suppress(OSError):
                for byte in b"SSH-2.0-slow-as-can-be-and-never-done":
                    streams[2][1].write(bytes([byte]))
                    await asyncio.sleep(0.05)

        task = asyncio.create_task(drip())
        async with asyncio.timeout(5):
            for reader, _ in streams:
                with contextlib.suppress(ConnectionError):
                    await reader.read()
                    await reader.read()
        task.cancel()
        await house.emptied()
        for _, writer in streams:
            writer.close()


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (SftpLimits(idle=0.3), "reason=idle"),
        (SftpLimits(session=0.3), "reason='session time'"),
        (SftpLimits(upload=0.3), "reason='upload time'"),
    ],
)
async def test_every_session_has_an_end(
    limits: SftpLimits, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Idle, total and upload time: disconnected, logged with the reason, and nothing of an open file is kept."""
    async with serving(limits) as house, await house.connect() as connection:
        async with connection.start_sftp_client() as sftp:
            file = await sftp.open("/in/a.edi", "wb")
            await file.write(b"half of it")
            if limits.idle > 1:  # a drip: whole requests, so it is never idle
                with contextlib.suppress(asyncssh.Error):
                    for number in range(100):
                        await file.write(b"x", 10 + number)
                        await asyncio.sleep(0.02)
            async with asyncio.timeout(5):
                await connection.wait_closed()
        assert reason in re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
        assert house.taken == []
        assert house.listener.open_connections == 0


async def test_a_connection_cut_during_the_commit() -> None:
    """Closed in full, then the cable is cut: the house keeps the file. Cut before the close: it keeps nothing."""
    gate = asyncio.Event()
    asked = asyncio.Event()

    async def answer(_: Envelope) -> Receipt:
        asked.set()
        await gate.wait()
        return Receipt(Verdict.ACCEPTED)

    async with serving(answer=answer) as house:
        first, second = await house.connect(), await house.connect()
        sftp = await first.start_sftp_client()
        file = await sftp.open("/in/a.edi", "wb")
        await file.write(b"whole")
        closing = asyncio.create_task(file.close())
        await asked.wait()
        other = await second.start_sftp_client()
        half = await other.open("/in/b.edi", "wb")
        await half.write(b"half")
        first.abort()
        second.abort()
        with pytest.raises(asyncssh.Error):
            await closing
        await house.emptied()
        gate.set()
        for _ in range(5):
            await asyncio.sleep(0.01)
        assert [one.content for one in house.taken] == [b"whole"]
        assert house.listener.shared.spool.memory == SftpLimits().memory


async def test_stopping_lets_a_commit_finish() -> None:
    """Who waits for an answer gets it within the grace; who waits for nothing is told at once; nobody new comes in."""
    asked = asyncio.Event()

    async def answer(_: Envelope) -> Receipt:
        asked.set()
        await asyncio.sleep(0.2)
        return Receipt(Verdict.ACCEPTED)

    async with serving(answer=answer) as house:
        idle, working = await house.connect(), await house.connect()
        sftp = await working.start_sftp_client()
        file = await sftp.open("/in/a.edi", "wb")
        await file.write(b"x")
        closing = asyncio.create_task(file.close())
        await asked.wait()
        stopping = asyncio.create_task(house.listener.stop(5.0))
        await idle.wait_closed()
        assert not closing.done()
        await closing
        await stopping
        assert len(house.taken) == 1
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection("127.0.0.1", house.port)


async def test_an_incident_is_logged_and_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    """The client gets the number of an incident; class, text and path of the error stay in the log."""

    async def answer(_: Envelope) -> Receipt:
        raise ZeroDivisionError("inner secret")

    async with serving(answer=answer) as house, house.client() as sftp:
        with pytest.raises(asyncssh.SFTPFailure) as caught:
            async with sftp.open("/in/a.edi", "wb") as file:
                await file.write(b"x")
        told = str(caught.value)
        assert told.startswith("Local error, incident ")
        assert "ZeroDivision" not in told
        logged = capsys.readouterr().out
        assert told.rpartition(" ")[2] in logged
        assert "inner secret" in logged


async def test_a_client_that_does_not_read_costs_no_memory() -> None:
    """Reads of a large letter are asked for without end and nothing is read: what is kept stays bounded."""
    async with serving() as house:
        house.add(1, b"z" * 4_000_000)
        connection = await house.connect()
        sftp = await connection.start_sftp_client()
        (path,) = await sftp.glob("/out/*/*/*")
        file = await sftp.open(path, "rb")
        wire = connection._transport
        assert wire is not None
        wire.pause_reading()
        tasks = [asyncio.create_task(file.read(200_000, 0)) for _ in range(2_000)]
        await asyncio.sleep(0.7)
        (served,) = house.listener._open
        assert served.wire is not None
        assert served.wire.get_write_buffer_size() < 4_000_000
        assert sum(channel._chan.get_write_buffer_size() for channel in served.channels if channel._chan) < 4_000_000
        wire.resume_reading()
        content: object = await tasks[0]
        assert content == b"z" * 200_000
        for task in tasks:
            task.cancel()
        connection.abort()


async def test_garbage_before_and_after_the_greeting() -> None:
    """What is not SSH is closed, without a word of what went wrong inside."""
    async with serving() as house:
        for wire in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 70_000, b"SSH-2.0-x\r\n" + b"\xff" * 300, b"SSH-1.5-old\r\n",
                     b"SSH-2.0-\xff\xfe\r\n"):  # fmt: skip
            reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
            writer.write(wire)
            async with asyncio.timeout(5):
                with contextlib.suppress(ConnectionError):
                    answer = await reader.read()
                    assert b"Traceback" not in answer
                    assert b".py" not in answer
            writer.close()
        async with house.client() as sftp:
            assert await sftp.isdir("/in")


def test_the_host_key_is_made_once(tmp_path: Path) -> None:
    """Ed25519, readable by its owner only, and the same for ever; a broken file is an error and not replaced."""
    path = tmp_path / "var" / "sftp_host_key"
    first = ensure_host_key(path)
    assert ensure_host_key(path).export_public_key() == first.export_public_key()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["sftp_host_key"]
    assert first.algorithm == b"ssh-ed25519"
    path.write_text("no key")
    with pytest.raises(asyncssh.KeyImportError):
        ensure_host_key(path)
    assert path.read_text() == "no key"


async def test_many_sessions_at_once() -> None:
    """Forty connections of five boxes put files at the same time: each is taken once, under its own box."""
    boxes = {f"BOX{number:03d}": PASSWORD for number in range(5)}
    house: House
    async with serving(passwords=boxes) as house:

        async def one(number: int) -> None:
            async with house.client(f"BOX{number % 5:03d}") as sftp:
                for turn in range(5):
                    async with sftp.open(f"/in/{number}-{turn}.tmp", "wb") as file:
                        await file.write(b"%d-%d" % (number, turn))
                    await sftp.rename(f"/in/{number}-{turn}.tmp", f"/in/{number}-{turn}.edi")

        await asyncio.gather(*(one(number) for number in range(40)))
        assert len({one.content for one in house.taken}) == len(house.taken) == 200
        for one_taken in house.taken:
            number = int(one_taken.content.split(b"-")[0])
            assert one_taken.principal == f"BOX{number % 5:03d}"
