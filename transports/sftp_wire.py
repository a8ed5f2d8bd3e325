"""SFTP version 3 as bytes: what a request holds, and how a reply is written (draft-ietf-secsh-filexfer-02, OpenSSH).

*Strategy.* Version 3 is the one version every client speaks. Requests are read field by field through :class:`Fields`,
which fails with :class:`Failure` instead of reading past the end; replies are functions that give whole packets. No
socket and no state: :mod:`~sekisho.transports.sftp_session` holds the conversation.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = [
    "MOST_DATA",
    "MOST_PACKET",
    "Attributes",
    "Failure",
    "Fields",
    "OpenFlag",
    "Status",
    "Type",
    "attributes_reply",
    "data_reply",
    "handle_reply",
    "limits_reply",
    "names_reply",
    "packed_attributes",
    "status_reply",
    "string",
    "version_reply",
]

MOST_PACKET = 256 * 1024
"""Bytes of a packet without its length word: OpenSSH's own bound, the largest that clients send."""
MOST_DATA = MOST_PACKET - 1024
"""Bytes of file data in one READ or WRITE, as OpenSSH's server offers them through ``limits@openssh.com``."""

_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_HEAD = struct.Struct(">IBI")
_STATUS = struct.Struct(">IBII")
_ATTRIBUTES = struct.Struct(">IQIIIII")
_LIMITS = struct.Struct(">QQQQ")
_SIZE, _OWNER, _PERMISSIONS, _TIMES, _EXTENDED = 1, 2, 4, 8, 0x80000000


class Type(enum.IntEnum):
    """Packet types."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    WRITE = 6
    LSTAT = 7
    FSTAT = 8
    SETSTAT = 9
    FSETSTAT = 10
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    MKDIR = 14
    RMDIR = 15
    REALPATH = 16
    STAT = 17
    RENAME = 18
    READLINK = 19
    SYMLINK = 20
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105
    EXTENDED = 200
    EXTENDED_REPLY = 201


class Status(enum.IntEnum):
    """Status codes of version 3; there are no others."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3
    FAILURE = 4
    BAD_MESSAGE = 5
    OP_UNSUPPORTED = 8


class OpenFlag(enum.IntFlag):
    """What an OPEN wants to do with the file."""

    READ = 1
    WRITE = 2
    APPEND = 4
    CREATE = 8
    TRUNCATE = 16
    EXCLUSIVE = 32


class Failure(Exception):
    """A request that cannot be done: the status to answer with, and its public text (one line, ASCII)."""

    def __init__(self, status: Status, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a client wants a file's attributes to be; None: left alone. ``owner``: whether it names user or group."""

    size: int | None = None
    mtime: int | None = None
    owner: bool = False


class Fields:
    """The fields of one packet, read in order. Raises :class:`Failure` (BAD_MESSAGE) where the packet is too short."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self._at = at

    def u32(self) -> int:
        """A number of four bytes."""
        at = self._at
        if at + 4 > len(self._data):
            raise Failure(Status.BAD_MESSAGE, "The packet is too short")
        self._at = at + 4
        number: int = _U32.unpack_from(self._data, at)[0]
        return number

    def u64(self) -> int:
        """A number of eight bytes."""
        at = self._at
        if at + 8 > len(self._data):
            raise Failure(Status.BAD_MESSAGE, "The packet is too short")
        self._at = at + 8
        number: int = _U64.unpack_from(self._data, at)[0]
        return number

    def string(self) -> bytes:
        """Bytes behind their own length."""
        size = self.u32()
        at = self._at
        if at + size > len(self._data):
            raise Failure(Status.BAD_MESSAGE, "The packet is too short")
        self._at = at + size
        return self._data[at : at + size]

    def view(self) -> memoryview:
        """The same as :meth:`string` without copying: file data."""
        size = self.u32()
        at = self._at
        if at + size > len(self._data):
            raise Failure(Status.BAD_MESSAGE, "The packet is too short")
        self._at = at + size
        return memoryview(self._data)[at : at + size]

    def attributes(self) -> Attributes:
        """Attributes; permissions are read and not kept, for nothing here has any of its own."""
        flags = self.u32()
        size = self.u64() if flags & _SIZE else None
        if flags & _OWNER:
            self.u64()
        if flags & _PERMISSIONS:
            self.u32()
        mtime = None
        if flags & _TIMES:
            self.u32()
            mtime = self.u32()
        if flags & _EXTENDED:
            for _ in range(self.u32()):
                self.string()
                self.string()
        return Attributes(size, mtime, bool(flags & _OWNER))


def string(data: bytes) -> bytes:
    """Bytes with their length in front."""
    return _U32.pack(len(data)) + data


def packed_attributes(*, size: int, mode: int, mtime: int) -> bytes:
    """Attributes as every reply gives them: size, owner 0:0, mode with its file type, one time for both times."""
    seconds = min(max(mtime, 0), 0xFFFFFFFF)
    return _ATTRIBUTES.pack(_SIZE | _OWNER | _PERMISSIONS | _TIMES, size, 0, 0, mode, seconds, seconds)


def _packet(kind: Type, request: int, body: bytes) -> bytes:
    return _HEAD.pack(5 + len(body), kind, request) + body


def status_reply(request: int, status: Status, text: str) -> bytes:
    """STATUS; the text is for people."""
    words = text.encode("ascii", "replace")
    return b"".join((_STATUS.pack(17 + len(words), Type.STATUS, request, status), string(words), b"\0\0\0\0"))


def handle_reply(request: int, handle: bytes) -> bytes:
    """HANDLE."""
    return _packet(Type.HANDLE, request, string(handle))


def data_reply(request: int, data: bytes) -> bytes:
    """DATA: what a READ got, never empty."""
    size = len(data)
    return b"".join((_HEAD.pack(9 + size, Type.DATA, request), _U32.pack(size), data))


def attributes_reply(request: int, attributes: bytes) -> bytes:
    """ATTRS, of attributes that are packed already."""
    return _packet(Type.ATTRS, request, attributes)


def names_reply(request: int, names: Iterable[tuple[bytes, bytes, bytes]]) -> bytes:
    """NAME: file name, the line that ``ls -l`` shows, packed attributes of each."""
    entries = [string(name) + string(line) + attributes for name, line, attributes in names]
    return _packet(Type.NAME, request, _U32.pack(len(entries)) + b"".join(entries))


def limits_reply(request: int, handles: int) -> bytes:
    """The answer to ``limits@openssh.com``: packet, read and write sizes, open handles."""
    return _packet(Type.EXTENDED_REPLY, request, _LIMITS.pack(MOST_PACKET, MOST_DATA, MOST_DATA, handles))


def version_reply(extensions: Iterable[tuple[bytes, bytes]]) -> bytes:
    """VERSION 3 with the names of what is offered beyond it."""
    body = b"".join(string(name) + string(data) for name, data in extensions)
    return _HEAD.pack(5 + len(body), Type.VERSION, 3) + body
