"""The bytes of SFTP's files: uploads that are not finished yet, and the contents that downloads read.

*Strategy.* An upload lives in memory. What grows over ``memory_each`` (or finds the memory of all uploads taken) goes
on in an anonymous temporary file, which has no name and is gone with its descriptor, however the process ends; it is
written behind the client's back by a thread, and a client that is faster waits. Uploads are bounded by size, all of
them together by memory and disk: nothing a client does makes them grow further, it makes his upload fail. Contents to
be read are kept in one bounded :class:`Shelf` and loaded again when they have been pushed out.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

from sekisho.transports.sftp_wire import Failure, Status

__all__ = ["Shelf", "Spool", "Upload"]

_BEHIND = 1024 * 1024
"""Bytes of one upload that may wait for the thread before its client has to."""
_HASHED_HERE = 128 * 1024
"""Contents above this are hashed in the thread: in the loop the other sessions would feel it."""


class Spool:
    """What all uploads of a listener share: the bytes they may still take, and the thread that writes their files.

    ``object_bytes`` is the most one file may have, ``memory_each`` what of it stays in memory, ``memory`` the same for
    all uploads together, ``disk`` the bytes of all temporary files. ``folder`` None: the system's temporary folder.
    """

    def __init__(
        self, *, object_bytes: int, memory_each: int, memory: int, disk: int, folder: str | None = None
    ) -> None:
        self.object_bytes = object_bytes
        self.memory_each = memory_each
        self.memory = memory
        self.disk = disk
        self.folder = folder
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="sftp-spool")
        self.whole = asyncio.Semaphore(4)
        """Large files that are held whole at a time, on their way from the disk to the house."""

    def close(self) -> None:
        """End the thread."""
        self.thread.shutdown(wait=False, cancel_futures=True)


class Upload:
    """One file on its way in. ``size`` is how far it has been written; ``mtime`` what the client wants to see.

    ``fault`` is empty, or why it can no longer be finished (a public text); its bytes are dropped at that moment.
    """

    __slots__ = ("_behind", "_buffer", "_descriptor", "_held", "_queue", "_room", "_spool", "_stored", "_writing",
                 "append", "began", "fault", "mtime", "name", "open", "size", "spilled")  # fmt: skip

    def __init__(self, spool: Spool, name: str, mtime: int, began: float) -> None:
        self._spool = spool
        self.name = name
        self.mtime = mtime
        self.began = began
        self.size = 0
        self.fault = ""
        self.append = False
        """Whether every write goes to its end."""
        self.open = True
        """Whether a client has a handle to it."""
        self.spilled = False
        """Whether its bytes are in a file."""
        self._buffer = bytearray()
        self._held = 0
        self._stored = 0
        self._descriptor = -1
        self._queue: list[tuple[int, bytes | memoryview]] = []
        self._behind = 0
        self._writing: asyncio.Task[None] | None = None
        self._room: asyncio.Future[None] | None = None

    def write(self, offset: int, data: bytes | memoryview) -> asyncio.Future[None] | None:
        """Put ``data`` at ``offset``; None when that is done, else what to await before the next write.

        Raises :class:`Failure`; ``fault`` says then why every further one fails as well.
        """
        self._check()
        if not data:
            return None
        end = offset + len(data)
        if end > self._spool.object_bytes:
            self._fail(f"The file has more than {self._spool.object_bytes} bytes")
        if not self.spilled:
            if end <= self._spool.memory_each and self._hold(end):
                buffer = self._buffer
                have = len(buffer)
                if offset == have:
                    buffer += data
                else:
                    if offset > have:
                        buffer.extend(bytes(offset - have))
                    buffer[offset:end] = data
                self.size = len(buffer)
                return None
            self._spill()
        self._claim(end)
        self.size = max(self.size, end)
        return self._enqueue(offset, data)

    def truncate(self, size: int) -> None:
        """Make it ``size`` bytes long, with zeros at the end if it was shorter. Raises :class:`Failure`."""
        self._check()
        if size > self._spool.object_bytes:
            self._fail(f"The file has more than {self._spool.object_bytes} bytes")
        if not self.spilled and (size > self._spool.memory_each or not self._hold(size)):
            self._spill()
        if self.spilled:
            self._claim(size)
            self._enqueue(size, b"")  # an empty piece is a cut
        elif size < len(self._buffer):
            del self._buffer[size:]
        else:
            self._buffer.extend(bytes(size - len(self._buffer)))
        self.size = size

    def content(self) -> tuple[bytes, str] | None:
        """The bytes and their SHA-256 in hex if both are quickly had, else None: await :meth:`whole`."""
        self._check()
        if self.spilled or len(self._buffer) > _HASHED_HERE:
            return None
        data = bytes(self._buffer)
        return data, hashlib.sha256(data).hexdigest()

    async def whole(self) -> tuple[bytes, str]:
        """The bytes and their SHA-256 in hex. Raises :class:`Failure` when the disk failed."""
        while self._writing is not None:
            await asyncio.wait({self._writing})
        self._check()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._spool.thread, self._read_whole)

    def drop(self) -> None:
        """Forget the bytes and give back what they took; may be called again."""
        self._spool.memory += self._held
        self._spool.disk += self._stored
        self._held = self._stored = 0
        self._buffer = bytearray()
        self._queue.clear()
        self._behind = 0
        self._wake()
        self.fault = self.fault or "The file is gone"
        if self._writing is None:
            self._close()

    # Memory -----------------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        if self.fault:
            raise Failure(Status.FAILURE, self.fault)

    def _fail(self, text: str) -> NoReturn:
        self.fault = text
        self.drop()
        raise Failure(Status.FAILURE, text)

    def _hold(self, size: int) -> bool:
        more = size - self._held
        if more > 0:
            if more > self._spool.memory:
                return False
            self._spool.memory -= more
            self._held = size
        return True

    # Disk -------------------------------------------------------------------------------------------------------------

    def _spill(self) -> None:
        data = bytes(self._buffer)
        self._claim(len(data))
        self.spilled = True
        self._spool.memory += self._held
        self._held = 0
        self._buffer = bytearray()
        if data:
            self._enqueue(0, data)

    def _claim(self, size: int) -> None:
        more = size - self._stored
        if more > 0:
            if more > self._spool.disk:
                self._fail("No room for the file now, try again later")
            self._spool.disk -= more
            self._stored = size

    def _enqueue(self, offset: int, data: bytes | memoryview) -> asyncio.Future[None] | None:
        self._queue.append((offset, data))
        self._behind += len(data)
        loop = asyncio.get_running_loop()
        if self._writing is None:
            self._writing = loop.create_task(self._write_behind())
        if self._behind <= _BEHIND:
            return None
        if self._room is None:
            self._room = loop.create_future()
        return self._room

    def _wake(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None

    async def _write_behind(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue and not self.fault:
            pieces, self._queue = self._queue, []
            try:
                await loop.run_in_executor(self._spool.thread, self._write_pieces, pieces)
            except (OSError, RuntimeError):  # RuntimeError: the listener has been stopped
                self.fault = "No room for the file now, try again later"
            self._behind -= min(self._behind, sum(len(data) for _, data in pieces))
            if self._behind <= _BEHIND:
                self._wake()
        self._writing = None
        if self.fault:
            self.drop()

    def _write_pieces(self, pieces: list[tuple[int, bytes | memoryview]]) -> None:
        if self._descriptor < 0:
            with tempfile.TemporaryFile(dir=self._spool.folder, buffering=0) as file:
                self._descriptor = os.dup(file.fileno())
        for offset, data in pieces:
            if not data:
                os.ftruncate(self._descriptor, offset)
            written = 0
            while written < len(data):
                written += os.pwrite(self._descriptor, data[written:] if written else data, offset + written)

    def _read_whole(self) -> tuple[bytes, str]:
        data = os.pread(self._descriptor, self.size, 0) if self.spilled else bytes(self._buffer)
        return data, hashlib.sha256(data).hexdigest()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Shelf:
    """Contents that are being read, by key; at most ``size`` bytes of them stay, those read last.

    One content larger than that is kept alone.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._used = 0
        self._contents: OrderedDict[Hashable, bytes] = OrderedDict()

    def get(self, key: Hashable, load: Callable[[], bytes]) -> bytes:
        """The content of ``key``, by ``load`` if it is not here; what that raises passes."""
        content = self._contents.get(key)
        if content is not None:
            self._contents.move_to_end(key)
            return content
        content = load()
        self._contents[key] = content
        self._used += len(content)
        while self._used > self._size and len(self._contents) > 1:
            _, old = self._contents.popitem(last=False)
            self._used -= len(old)
        return content
