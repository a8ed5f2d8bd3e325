"""One SFTP channel: requests in, replies out, in their order.

*Strategy.* Bytes are given to :meth:`SftpSession.receive` as they come; all that one piece asks for is answered as one
piece. What a :class:`~sekisho.transports.sftp_visit.Visit` answers from memory is answered at once, without a task;
what waits for a commit holds up the requests behind it, so that the answers keep the order of the requests. No library
of SSH is known here: the channel below is a function that writes and two that stop and go.

The request types are those of version 3 with ``posix-rename``, ``fsync`` and ``limits`` of OpenSSH. fsync is answered
OK and promises nothing: a file is taken in when it is closed or renamed. Links do not exist, and are refused.
"""

from __future__ import annotations

import asyncio
import itertools
import struct
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Final

from sekisho.transports.sftp_files import Upload
from sekisho.transports.sftp_tree import Node, long_line, split_path
from sekisho.transports.sftp_visit import Reader, Visit
from sekisho.transports.sftp_wire import (
    MOST_DATA,
    MOST_PACKET,
    Failure,
    Fields,
    OpenFlag,
    Status,
    Type,
    attributes_reply,
    data_reply,
    handle_reply,
    limits_reply,
    names_reply,
    packed_attributes,
    status_reply,
    version_reply,
)

__all__ = ["SftpSession"]

PAGE: Final = 128
"""Names in one answer to READDIR."""
_KEPT_BYTES: Final = 128 * 1024
"""Bytes behind an unanswered request after which the channel is not read until the answer."""
_READY_BYTES: Final = 256 * 1024
"""Bytes of answers that are gathered before they are written."""
_INIT: Final = int(Type.INIT)
_EXTENSIONS: Final = (
    (b"posix-rename@openssh.com", b"1"),
    (b"fsync@openssh.com", b"1"),
    (b"limits@openssh.com", b"1"),
)
_LENGTH: Final = struct.Struct(">I")

Answer = bytes | Coroutine[Any, Any, None]
"""A reply, or what to wait for before the reply is OK. Its :class:`Failure` is the reply otherwise."""


class _Listing:
    """An open directory: what it held when it was opened, and how far it has been read."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes
        self.at = 0


class SftpSession:
    """The conversation of one channel.

    ``write`` sends bytes, ``set_reading`` starts and stops the channel, ``close`` ends it; ``incident`` logs an
    unexpected error and gives the public text for it.
    """

    def __init__(
        self,
        visit: Visit,
        *,
        write: Callable[[bytes], None],
        set_reading: Callable[[bool], None],
        close: Callable[[], None],
        incident: Callable[[BaseException], str],
    ) -> None:
        self._visit = visit
        self._write = write
        self._set_reading = set_reading
        self._close = close
        self._incident = incident
        self._buffer = bytearray()
        self._handles: dict[bytes, Upload | Reader | _Listing] = {}
        self._next_handle = itertools.count()
        self._begun = False
        self._ended = False
        self._half_closed = False
        self._reading = True
        self._write_blocked = False
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether an answer is still due."""
        return self._task is not None

    # The channel's side -----------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take bytes in and serve what is whole."""
        if not self._ended:
            self._buffer += data
            self._advance()

    def half_close(self) -> None:
        """The client sends no more; it still hears the answers that are due."""
        self._half_closed = True
        if self._task is None:
            self._close()

    def block(self, blocked: bool) -> None:
        """The client does not read its replies: its requests are not served until it does."""
        self._write_blocked = blocked
        if not blocked and not self._ended:
            self._advance()
        self._steer()

    def end(self) -> None:
        """The channel is gone. What was submitted goes on; what was not closed is dropped."""
        if self._ended:
            return
        self._ended = True
        self._buffer.clear()
        self._visit.handles -= len(self._handles)
        for handle in self._handles.values():
            if isinstance(handle, Upload):
                self._visit.abandon(handle)
        self._handles.clear()

    def _steer(self) -> None:
        reading = not (self._write_blocked or (self._task is not None and len(self._buffer) > _KEPT_BYTES))
        if reading != self._reading:
            self._reading = reading
            self._set_reading(reading)

    def _advance(self) -> None:
        buffer, at, ready = self._buffer, 0, 0
        replies: list[bytes] = []
        while self._task is None and not self._write_blocked:
            if len(buffer) - at < 4:
                break
            size = _LENGTH.unpack_from(buffer, at)[0]
            if not 5 <= size <= MOST_PACKET or not (self._begun or (len(buffer) > at + 4 and buffer[at + 4] == _INIT)):
                self._break_off(replies)
                return
            if len(buffer) - at - 4 < size:
                break
            with memoryview(buffer) as view:
                packet = bytes(view[at + 4 : at + 4 + size])
            at += 4 + size
            answer = self._answer(packet) if self._begun else version_reply(_EXTENSIONS)
            self._begun = True
            if not isinstance(answer, bytes):
                # What is known so far need not wait for the commit.
                self._task = asyncio.get_running_loop().create_task(self._wait(Fields(packet, 1).u32(), answer))
                break
            replies.append(answer)
            ready += len(answer)
            if ready > _READY_BYTES:
                # Written before more is made: a small request may ask for a large answer. Writing may block us.
                self._write(b"".join(replies))
                replies, ready = [], 0
        del buffer[:at]
        if replies:
            self._write(b"".join(replies))
        self._steer()

    def _break_off(self, replies: list[bytes]) -> None:
        """What comes is not SFTP: there is nothing left to answer."""
        if replies:
            self._write(b"".join(replies))
        self.end()
        self._close()

    # Requests ---------------------------------------------------------------------------------------------------------

    def _answer(self, packet: bytes) -> Answer:
        self._visit.touch()
        fields = Fields(packet, 1)
        request = 0
        try:
            request = fields.u32()
            return self._SERVE.get(packet[0], SftpSession._unknown)(self, request, fields)
        except Failure as failure:
            return status_reply(request, failure.status, failure.text)
        except Exception as error:  # noqa: BLE001 (whatever went wrong, the client gets an answer)
            return status_reply(request, Status.FAILURE, self._incident(error))

    async def _wait(self, request: int, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
            reply = status_reply(request, Status.OK, "")
        except Failure as failure:
            reply = status_reply(request, failure.status, failure.text)
        except Exception as error:  # noqa: BLE001 (same)
            reply = status_reply(request, Status.FAILURE, self._incident(error))
        self._task = None
        if self._ended:
            return
        self._visit.touch()
        self._write(reply)
        self._advance()
        if self._half_closed and self._task is None:
            self._close()

    def _keep(self, request: int, thing: Upload | Reader | _Listing) -> bytes:
        handle = _LENGTH.pack(next(self._next_handle) & 0xFFFFFFFF)
        self._handles[handle] = thing
        self._visit.handles += 1
        return handle_reply(request, handle)

    def _handle(self, fields: Fields) -> Upload | Reader | _Listing:
        thing = self._handles.get(fields.string())
        if thing is None:
            raise Failure(Status.FAILURE, "No such handle")
        return thing

    def _upload(self, fields: Fields) -> Upload:
        thing = self._handle(fields)
        if not isinstance(thing, Upload):
            raise Failure(Status.PERMISSION_DENIED, "The handle is not open for writing")
        return thing

    def _open(self, request: int, fields: Fields) -> Answer:
        path, flags = fields.string(), OpenFlag(fields.u32() & 0x3F)
        fields.attributes()
        self._visit.check_room()
        if not flags & OpenFlag.WRITE:
            return self._keep(request, self._visit.open_to_read(path))
        upload = self._visit.open_to_write(path, flags)
        upload.append = bool(flags & OpenFlag.APPEND)
        return self._keep(request, upload)

    def _close_handle(self, request: int, fields: Fields) -> Answer:
        handle = fields.string()
        thing = self._handles.pop(handle, None)
        if thing is None:
            raise Failure(Status.FAILURE, "No such handle")
        self._visit.handles -= 1
        if isinstance(thing, Upload) and self._visit.close_upload(thing):
            return self._visit.finish(thing, thing.name)
        return status_reply(request, Status.OK, "")

    def _read(self, request: int, fields: Fields) -> Answer:
        thing = self._handle(fields)
        offset, size = fields.u64(), fields.u32()
        if not isinstance(thing, Reader):
            raise Failure(Status.PERMISSION_DENIED, "The handle is not open for reading")
        data = thing.read(offset, min(size, MOST_DATA))
        if not data:
            raise Failure(Status.EOF, "End of file")
        return data_reply(request, data)

    def _write_data(self, request: int, fields: Fields) -> Answer:
        upload = self._upload(fields)
        offset, data = fields.u64(), fields.view()
        waiting = upload.write(upload.size if upload.append else offset, data)
        return status_reply(request, Status.OK, "") if waiting is None else _until(waiting)

    def _stat(self, request: int, fields: Fields) -> Answer:
        return attributes_reply(request, _attributes(self._visit.look(fields.string())))

    def _stat_handle(self, request: int, fields: Fields) -> Answer:
        thing = self._handle(fields)
        if isinstance(thing, Upload):
            node = Node(thing.name, thing.size, thing.mtime)
        elif isinstance(thing, Reader):
            node = thing.node
        else:
            node = Node("", 0, self._visit.now(), is_directory=True)
        return attributes_reply(request, _attributes(node))

    def _set(self, request: int, fields: Fields) -> Answer:
        path = fields.string()
        self._visit.set_attributes(path, fields.attributes())
        return status_reply(request, Status.OK, "")

    def _set_handle(self, request: int, fields: Fields) -> Answer:
        upload = self._upload(fields)
        self._visit.set_upload_attributes(upload, fields.attributes())
        return status_reply(request, Status.OK, "")

    def _open_directory(self, request: int, fields: Fields) -> Answer:
        path = fields.string()
        self._visit.check_room()
        return self._keep(request, _Listing(self._visit.entries(path)))

    def _read_directory(self, request: int, fields: Fields) -> Answer:
        listing = self._handle(fields)
        if not isinstance(listing, _Listing):
            raise Failure(Status.FAILURE, "The handle is not a directory")
        nodes = listing.nodes[listing.at : listing.at + PAGE]
        if not nodes:
            raise Failure(Status.EOF, "End of directory")
        listing.at += PAGE
        now = self._visit.now()
        return names_reply(
            request, [(node.name.encode(), long_line(node, now).encode(), _attributes(node)) for node in nodes]
        )

    def _real_path(self, request: int, fields: Fields) -> Answer:
        names = split_path(fields.string())
        if names is None:
            raise Failure(Status.NO_SUCH_FILE, "No such file or directory")
        path = ("/" + "/".join(names)).encode()
        return names_reply(request, [(path, path, _attributes(Node("", 0, self._visit.now(), is_directory=True)))])

    def _remove(self, request: int, fields: Fields) -> Answer:
        letter = self._visit.remove(fields.string())
        return status_reply(request, Status.OK, "") if letter is None else self._visit.collect(*letter)

    def _rename(self, request: int, fields: Fields) -> Answer:
        finished = self._visit.rename(fields.string(), fields.string())
        return status_reply(request, Status.OK, "") if finished is None else self._visit.finish(*finished)

    def _make_directory(self, request: int, fields: Fields) -> Answer:  # noqa: ARG002 (always refused)
        self._visit.make_directory(fields.string())
        raise Failure(Status.PERMISSION_DENIED, "Directories are not made here")

    def _never(self, _request: int, _fields: Fields) -> Answer:
        raise Failure(Status.PERMISSION_DENIED, "Not allowed here")

    def _unknown(self, _request: int, _fields: Fields) -> Answer:
        raise Failure(Status.OP_UNSUPPORTED, "Not supported")

    def _extended(self, request: int, fields: Fields) -> Answer:
        name = fields.string()
        if name == b"posix-rename@openssh.com":
            return self._rename(request, fields)
        if name == b"fsync@openssh.com":
            self._handle(fields)
            return status_reply(request, Status.OK, "")
        if name == b"limits@openssh.com":
            return limits_reply(request, self._visit.limits.handles)
        return self._unknown(request, fields)

    _SERVE: ClassVar[dict[int, Callable[[SftpSession, int, Fields], Answer]]] = {
        Type.OPEN: _open,
        Type.CLOSE: _close_handle,
        Type.READ: _read,
        Type.WRITE: _write_data,
        Type.LSTAT: _stat,
        Type.FSTAT: _stat_handle,
        Type.SETSTAT: _set,
        Type.FSETSTAT: _set_handle,
        Type.OPENDIR: _open_directory,
        Type.READDIR: _read_directory,
        Type.REMOVE: _remove,
        Type.MKDIR: _make_directory,
        Type.RMDIR: _never,
        Type.REALPATH: _real_path,
        Type.STAT: _stat,
        Type.RENAME: _rename,
        Type.READLINK: _never,
        Type.SYMLINK: _never,
        Type.EXTENDED: _extended,
    }


async def _until(room: asyncio.Future[None]) -> None:
    await room


def _attributes(node: Node) -> bytes:
    return packed_attributes(size=node.size, mode=node.mode, mtime=node.mtime)
