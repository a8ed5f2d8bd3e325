"""SFTP version 3 as a client writes it, by hand: what a foreign library would never send can be sent too."""

import asyncio
import struct
from collections import deque
from datetime import UTC, datetime
from typing import NamedTuple

from sekisho.transports.sftp_files import Shelf, Spool
from sekisho.transports.sftp_session import SftpSession
from sekisho.transports.sftp_shared import SftpLimits, Shared
from sekisho.transports.sftp_visit import Visit

from .sftp_house import BOX, House

READ, WRITE, APPEND, CREATE, TRUNCATE, EXCLUSIVE = 1, 2, 4, 8, 16, 32
PUT = WRITE | CREATE | TRUNCATE
OK, EOF, NO_SUCH_FILE, DENIED, FAILURE, BAD_MESSAGE, UNSUPPORTED = 0, 1, 2, 3, 4, 5, 8


def u32(number: int) -> bytes:
    """Four bytes."""
    return struct.pack(">I", number)


def u64(number: int) -> bytes:
    """Eight bytes."""
    return struct.pack(">Q", number)


def text(value: bytes | str) -> bytes:
    """Bytes behind their length."""
    data = value.encode() if isinstance(value, str) else value
    return u32(len(data)) + data


def packet(body: bytes) -> bytes:
    """A packet with its length."""
    return u32(len(body)) + body


class Reply(NamedTuple):
    """One answer: ``code`` and ``text`` of a STATUS, ``body`` of everything else."""

    kind: int
    request: int
    body: bytes
    code: int = -1
    text: str = ""

    @property
    def size(self) -> int:
        """Of an ATTRS."""
        return int(struct.unpack_from(">Q", self.body, 4)[0])

    @property
    def is_directory(self) -> bool:
        """Of an ATTRS."""
        return bool(struct.unpack_from(">I", self.body, 20)[0] & 0o040000)

    @property
    def names(self) -> list[str]:
        """Of a NAME."""
        count = struct.unpack_from(">I", self.body)[0]
        at, found = 4, []
        for _ in range(count):
            size = struct.unpack_from(">I", self.body, at)[0]
            found.append(self.body[at + 4 : at + 4 + size].decode())
            at += 4 + size
            at += 4 + struct.unpack_from(">I", self.body, at)[0] + 32
        assert at == len(self.body)
        return found


def parse(data: bytes) -> list[Reply]:
    """The packets in what a server has written."""
    found, at = [], 0
    while at < len(data):
        size = struct.unpack_from(">I", data, at)[0]
        body = data[at + 4 : at + 4 + size]
        assert len(body) == size
        at += 4 + size
        kind, request = body[0], struct.unpack_from(">I", body, 1)[0]
        if kind == 101:
            length = struct.unpack_from(">I", body, 9)[0]
            code = struct.unpack_from(">I", body, 5)[0]
            found.append(Reply(kind, request, body[5:], code, body[13 : 13 + length].decode("ascii")))
        else:
            found.append(Reply(kind, request, body[5:]))
    return found


class Talk:
    """A client and its session in one process without SSH between them.

    ``written`` is what the session wrote; ``say`` one request and its answer, ``put`` a whole file.
    """

    def __init__(self, house: House, limits: SftpLimits | None = None, *, begin: bool = True) -> None:
        self.house = house
        limits = limits or SftpLimits()
        spool = Spool(
            object_bytes=limits.max_object, memory_each=limits.memory_each, memory=limits.memory, disk=limits.disk
        )
        self.shared = Shared(
            "drop", limits, house.submit, house, house, lambda: datetime.now(UTC), spool, Shelf(limits.reading)
        )
        assert self.shared.enter(BOX)
        self.visit = Visit(self.shared, BOX, "127.0.0.1:50000")
        self.written = bytearray()
        self.replies: deque[Reply] = deque()
        self.reading = True
        self.closed = False
        self.incidents: list[BaseException] = []
        self.session = SftpSession(
            self.visit,
            write=self.written.extend,
            set_reading=self._set_reading,
            close=self._close,
            incident=self._incident,
        )
        self._request = 0
        if begin:
            self.session.receive(packet(b"\x01" + u32(3)))
            assert self.written[4] == 2
            self.written.clear()

    def _set_reading(self, reading: bool) -> None:
        self.reading = reading

    def _close(self) -> None:
        self.closed = True

    def _incident(self, error: BaseException) -> str:
        self.incidents.append(error)
        return f"Local error, incident {len(self.incidents)}"

    def send(self, kind: int, *fields: bytes) -> int:
        """One request without waiting; its id."""
        self._request += 1
        self.session.receive(packet(bytes([kind]) + u32(self._request) + b"".join(fields)))
        return self._request

    async def answer(self) -> Reply:
        """The next answer."""
        async with asyncio.timeout(10):
            while not self.replies:
                if self.written:
                    self.replies.extend(parse(bytes(self.written)))
                    self.written.clear()
                else:
                    await asyncio.sleep(0)
        return self.replies.popleft()

    async def say(self, kind: int, *fields: bytes) -> Reply:
        """One request and its answer."""
        request = self.send(kind, *fields)
        reply = await self.answer()
        assert reply.request == request
        return reply

    async def open(self, path: str, flags: int = PUT) -> Reply:
        """OPEN."""
        return await self.say(3, text(path), u32(flags), u32(0))

    async def handle(self, path: str, flags: int = PUT) -> bytes:
        """OPEN that must work: the handle as a field."""
        reply = await self.open(path, flags)
        assert reply.kind == 102, reply
        return reply.body

    async def put(self, path: str, content: bytes, flags: int = PUT) -> Reply:
        """The answer to the CLOSE of a new file."""
        handle = await self.handle(path, flags)
        for at in range(0, len(content), 32768):
            assert (await self.say(6, handle, u64(at), text(content[at : at + 32768]))).code == OK
        return await self.say(4, handle)

    async def list(self, path: str) -> list[str]:
        """All names of a directory."""
        reply = await self.say(11, text(path))
        assert reply.kind == 102, reply
        found: list[str] = []
        while (page := await self.say(12, reply.body)).kind == 104:
            found += page.names
        assert page.code == EOF
        assert (await self.say(4, reply.body)).code == OK
        return found

    def end(self) -> None:
        """The connection is gone."""
        self.session.end()
        self.visit.end()
        self.shared.leave(BOX)
        self.shared.spool.close()
