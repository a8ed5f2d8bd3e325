"""Boxes that letters are fetched from, a listener before them, and peers in lock-step."""

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, ClassVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sekisho.transports.base import TrayError, Waiting
from sekisho.transports.pop3 import Pop3Limits, Pop3Listener

NAME, PASSWORD = "BRK001", "BOX PASS 1"
HEAD = (
    b"From: NACCS@MAIL.TEST.SEKISHO.EXAMPLE\r\nTo: BRK001@MAIL.TEST.SEKISHO.EXAMPLE\r\n"
    b"Message-ID: <%d.1@MAIL.TEST.SEKISHO.EXAMPLE>\r\nMime-Version: 1.0\r\n"
    b'Content-Type: Text/plain;charset="EUC-JP"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n'
)
BODY = b"   *CTCC  ".ljust(398) + b"\r\n" + b".a dot\r\n..two\r\n.\r\n\xc0\xc7\xb4\xd8   \r\n"


def letter(number: int, body: bytes = BODY) -> bytes:
    """A letter as it is pushed: dots at line starts, EUC-JP, blanks at line ends."""
    return HEAD % number + body


def waiting(number: int, mail: bytes, uid: int = 0) -> Waiting:
    """A letter as a tray lists it."""
    return Waiting(
        number=number,
        uid=uid or number,
        uid_validity=1_700_000_000,
        size=len(mail) - 100,
        mail_size=len(mail),
        created_at=1,
        output_code="*CTCC",
        business_code="TCC",
        user_id="1ANACA0A",
        kind="R",
        subject="",
        key="",
        is_interchange=False,
    )


class House:
    """Doorkeeper and tray in one; ``trouble`` is raised by what it names (lock, waiting, mail, collect, password)."""

    def __init__(self, mails: Sequence[bytes] = (), name: str = NAME) -> None:
        self.boxes: dict[str, dict[int, bytes]] = {name: dict(enumerate(mails, 1))}
        self.locked: set[str] = set()
        self.trouble: dict[str, Exception] = {}
        self.collections: list[tuple[str, tuple[int, ...], str, str]] = []
        self.asked: list[tuple[str, str, str, str]] = []
        self.hold: dict[str, asyncio.Event] = {}

    def _fail(self, what: str) -> None:
        if what in self.trouble:
            raise self.trouble[what]

    async def _wait(self, what: str) -> None:
        if what in self.hold:
            await self.hold[what].wait()
        await asyncio.sleep(0)
        self._fail(what)

    async def password(self, door: str, box: str, password: str, peer: str) -> str | None:
        """See :class:`sekisho.transports.base.Doorkeeper`."""
        self.asked.append((door, box, password, peer))
        await self._wait("password")
        return box.upper() if box.upper() in self.boxes and password == PASSWORD else None

    async def apop(self, box: str, banner: str, digest: str, peer: str) -> str | None:
        """See :class:`sekisho.transports.base.Doorkeeper`."""
        self.asked.append(("apop", box, digest, peer))
        right = hashlib.md5((banner + PASSWORD).encode(), usedforsecurity=False).hexdigest()
        return box if digest == right and box in self.boxes else None

    async def public_key(self, door: str, box: str, key: str, peer: str) -> str | None:
        """See :class:`sekisho.transports.base.Doorkeeper`."""
        raise NotImplementedError((door, box, key, peer))

    def waiting(self, box: str) -> list[Waiting]:
        """See :class:`sekisho.transports.base.Tray`."""
        self._fail("waiting")
        return [waiting(number, mail) for number, mail in self.boxes[box].items()]

    def content(self, number: int) -> bytes:
        """See :class:`sekisho.transports.base.Tray`."""
        return self.mail(number)

    def mail(self, number: int) -> bytes:
        """See :class:`sekisho.transports.base.Tray`."""
        self._fail("mail")
        for box in self.boxes.values():
            if number in box:
                return box[number]
        raise TrayError("this letter is not kept any more")

    async def collect(self, box: str, numbers: Sequence[int], door: str, peer: str) -> None:
        """See :class:`sekisho.transports.base.Tray`."""
        await self._wait("collect")
        self.collections.append((box, tuple(numbers), door, peer))
        for number in numbers:
            self.boxes[box].pop(number, None)

    def lock(self, box: str) -> bool:
        """See :class:`sekisho.transports.base.Tray`."""
        self._fail("lock")
        if box in self.locked:
            return False
        self.locked.add(box)
        return True

    def unlock(self, box: str) -> None:
        """See :class:`sekisho.transports.base.Tray`."""
        self.locked.remove(box)


@contextlib.asynccontextmanager
async def opened(house: House, *, grace: float = 0.1, **options: Any) -> AsyncIterator[Pop3Listener]:  # noqa: ANN401
    """A started listener on a free port; options that are limits go into the limits."""
    limits = {name: options.pop(name) for name in tuple(options) if name in Pop3Limits.__slots__}
    listener = Pop3Listener(
        name="fetch",
        host="127.0.0.1",
        port=0,
        tray=house,
        doorkeeper=house,
        hostname="centre.sekisho.example",
        limits=Pop3Limits(**limits),
        **options,
    )
    await listener.start()
    Caller.opened[listener] = []
    try:
        yield listener
    finally:
        await listener.stop(grace)
        for caller in Caller.opened.pop(listener):
            caller.writer.transport.abort()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await caller.writer.wait_closed()
        assert not house.locked, "a session has kept its box"


class Caller:
    """A peer in lock-step."""

    opened: ClassVar[dict[Pop3Listener, list["Caller"]]] = {}

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.banner = b""

    @classmethod
    async def at(cls, listener: Pop3Listener, *, login: bool = False, tls: ssl.SSLContext | None = None) -> "Caller":
        """Connect and read the greeting; log in as well."""
        caller = cls(*await asyncio.open_connection(*listener.address, ssl=tls))
        cls.opened[listener].append(caller)
        caller.banner = await caller.line()
        if login:
            assert caller.banner.startswith(b"+OK")
            assert (await caller.log_in()).startswith(b"+OK"), "the login was refused"
        return caller

    async def line(self) -> bytes:
        """The next line, empty at the end of the connection."""
        return await asyncio.wait_for(self.reader.readline(), 10)

    async def say(self, data: str | bytes) -> bytes:
        """Write a command, read one line."""
        self.writer.write(data if isinstance(data, bytes) else data.encode("latin-1") + b"\r\n")
        return await self.line()

    async def log_in(self, name: str = NAME, password: str = PASSWORD) -> bytes:
        """USER and PASS; the reply to PASS."""
        await self.say(f"USER {name}")
        return await self.say(f"PASS {password}")

    async def block(self) -> bytes:
        """The lines up to the end mark, dots undone."""
        lines = []
        while (line := await self.line()) != b".\r\n":
            assert line, "the connection ended inside a block"
            lines.append(line.removeprefix(b".") if line.startswith(b".") else line)
        return b"".join(lines)

    async def ended(self) -> bool:
        """Whether the listener has closed the connection without a further word."""
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(self.reader.read(), 10) == b""
        return True


@dataclass(frozen=True, slots=True)
class Keys:
    """A certificate for 127.0.0.1 and localhost, made for one test."""

    certificate: Path
    key: Path

    def server(self) -> ssl.SSLContext:
        """The listener's context."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def client(self) -> ssl.SSLContext:
        """The peer's, which trusts that certificate."""
        return ssl.create_default_context(cafile=str(self.certificate))


def make_keys(folder: Path) -> Keys:
    """A new key and a certificate signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    keys = Keys(folder / "certificate.pem", folder / "key.pem")
    keys.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    keys.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return keys


def numbered(count: int) -> Iterator[bytes]:
    """Letters that differ."""
    return (letter(number) for number in range(1, count + 1))
