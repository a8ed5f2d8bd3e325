"""The old scp protocol (``scp -O`` and programs of its age), over the same tree as SFTP.

*Strategy.* It has no paper; OpenSSH's scp.c is what everybody speaks: a line says what comes (``C`` a file, ``D`` and
``E`` a directory, ``T`` times), one byte answers (0 yes, 1 a warning with a line of text, 2 the end with one). A file
is given to the house after all its bytes **and** the sender's own final zero have come; a connection that ends early
leaves nothing. asyncssh's scp server closes what it has at that point, which would be a message here; so this is ours.
"""

from __future__ import annotations

import asyncio
import fnmatch
import posixpath
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sekisho.transports.sftp_files import Upload
from sekisho.transports.sftp_tree import Node, is_temporary
from sekisho.transports.sftp_visit import Visit
from sekisho.transports.sftp_wire import Failure, OpenFlag, Status

__all__ = ["ScpOrder", "ScpSession", "parse_command"]

_LINE_BYTES: Final = 1024
"""The longest line of the protocol; names here have 190 bytes at most."""
_AHEAD: Final = 256 * 1024
"""Bytes that may have come and not been used before the channel is no longer read."""
_BLOCK: Final = 64 * 1024
_COPY: Final = re.compile(rb"C0?[0-7]{3,4} ([0-9]{1,18}) ([^/\n]+)")
_WILD: Final = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class ScpOrder:
    """What the client started: ``sink`` it sends and we receive; ``path`` the one path it named."""

    sink: bool
    path: str
    recursive: bool = False
    times: bool = False
    into_directory: bool = False


def parse_command(command: str) -> ScpOrder | None:
    """The order in ``scp -t|-f [-r -p -d -v] [--] path``; None for every other command."""
    if len(command) > 4 * _LINE_BYTES:
        return None
    try:
        program, *words = shlex.split(command)
    except ValueError:
        return None
    options = ""
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word == "--":
            break
        options += word[1:]
    if program != "scp" or len(words) > 1 or set(options) - set("tfrpdvq") or ("t" in options) == ("f" in options):
        return None
    path = words[0] if words and words[0] else "."
    return ScpOrder("t" in options, path, "r" in options, "p" in options, "d" in options)


class _Gone(Exception):
    """The client has left, or said that it gives up."""


class ScpSession:
    """The conversation of one scp channel; the callables are those of SftpSession, ``close`` takes the exit status."""

    def __init__(
        self,
        visit: Visit,
        order: ScpOrder,
        *,
        write: Callable[[bytes], None],
        set_reading: Callable[[bool], None],
        close: Callable[[int], None],
        incident: Callable[[BaseException], str],
    ) -> None:
        self._visit = visit
        self._order = order
        self._write = write
        self._set_reading = set_reading
        self._close = close
        self._incident = incident
        self._buffer = bytearray()
        self._reading = True
        self._over = False
        self._blocked = False
        self._failed = False
        self._finishing = False
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a file is being given to the house."""
        return self._finishing

    # The channel's side -----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The client listens."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def receive(self, data: bytes) -> None:
        """Take bytes in."""
        self._buffer += data
        self._visit.touch()
        if len(self._buffer) > _AHEAD:
            self._steer(reading=False)
        self._changed.set()

    def half_close(self) -> None:
        """No more bytes will come."""
        self._over = True
        self._changed.set()

    def block(self, blocked: bool) -> None:
        """The client does not read what it asked for, or does again."""
        self._blocked = blocked
        self._changed.set()

    def end(self) -> None:
        """The channel is gone; a file that is being given to the house goes on."""
        self._over = True
        self._buffer.clear()
        self._changed.set()
        if self._task is not None and not self._finishing:
            self._task.cancel()

    def _steer(self, *, reading: bool) -> None:
        if reading != self._reading:
            self._reading = reading
            self._set_reading(reading)

    async def _more(self) -> None:
        if self._over:
            raise _Gone
        self._changed.clear()
        await self._changed.wait()

    def _consume(self, size: int) -> bytes:
        data = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        if len(self._buffer) <= _AHEAD:
            self._steer(reading=True)
        return data

    async def _line(self) -> bytes:
        """The next line without its end; b"" at the end of the stream."""
        while (at := self._buffer.find(b"\n", 0, _LINE_BYTES)) < 0:
            if len(self._buffer) >= _LINE_BYTES:
                raise Failure(Status.BAD_MESSAGE, "The line is too long")
            if self._over and not self._buffer:
                return b""
            await self._more()
        return self._consume(at + 1)[:-1]

    async def _piece(self, most: int) -> bytes:
        while not self._buffer:
            await self._more()
        return self._consume(min(most, len(self._buffer)))

    async def _agreed(self) -> bool:
        """The other side's answer byte; its text is dropped."""
        byte = await self._piece(1)
        if byte == b"\0":
            return True
        await self._line()
        if byte != b"\1":
            raise _Gone
        return False

    async def _say(self, data: bytes) -> None:
        while self._blocked and not self._over:
            await self._more()
        if self._over and self._order.sink is False:
            raise _Gone
        self._write(data)

    async def _warn(self, text: str) -> None:
        self._failed = True
        await self._say(b"\1scp: " + text.encode("ascii", "replace") + b"\n")

    async def _run(self) -> None:
        try:
            await (self._sink() if self._order.sink else self._source())
        except _Gone:
            self._failed = True
        except Failure as failure:
            self._failed = True
            self._write(b"\2scp: " + failure.text.encode("ascii", "replace") + b"\n")
        except Exception as error:  # noqa: BLE001 (whatever went wrong, the client gets an answer)
            self._failed = True
            self._write(b"\2scp: " + self._incident(error).encode("ascii") + b"\n")
        self._task = None
        self._close(1 if self._failed else 0)

    # Receiving --------------------------------------------------------------------------------------------------------

    async def _sink(self) -> None:
        target = self._order.path
        is_directory = self._is_directory(target)
        if self._order.into_directory and not is_directory:
            raise Failure(Status.FAILURE, "Not a directory")
        await self._say(b"\0")
        while line := await self._line():
            kind = line[:1]
            if kind in (b"T", b"E"):
                await self._say(b"\0")
            elif kind == b"D":
                await self._warn("Directories are not made here")
            elif kind == b"\1":
                self._failed = True  # The sender's own trouble with one of its files.
            elif kind == b"C" and (found := _COPY.fullmatch(line)) is not None:
                name = found[2].decode("ascii", "replace")
                await self._receive_file(posixpath.join(target, name) if is_directory else target, int(found[1]))
            elif kind == b"\2":
                raise _Gone
            else:
                raise Failure(Status.BAD_MESSAGE, "Not understood")

    def _is_directory(self, path: str) -> bool:
        try:
            return self._visit.look(path.encode("utf-8", "replace")).is_directory
        except Failure:
            return False

    async def _receive_file(self, path: str, size: int) -> None:
        visit = self._visit
        if size > visit.limits.max_object:
            await self._warn(f"The file has more than {visit.limits.max_object} bytes")
            return
        try:
            visit.check_room()
            upload = visit.open_to_write(
                path.encode("utf-8", "replace"), OpenFlag.WRITE | OpenFlag.CREATE | OpenFlag.TRUNCATE
            )
        except Failure as failure:
            await self._warn(failure.text)
            return
        visit.handles += 1
        try:
            await self._say(b"\0")
            fault = await self._receive_bytes(upload, size)
            whole = await self._agreed()
            if not whole:
                self._failed = True
            elif fault:
                await self._warn(fault)
            else:
                await self._finish(upload)
        finally:
            visit.handles -= 1
            visit.abandon(upload)  # Does nothing to a file that was taken in.

    async def _receive_bytes(self, upload: Upload, size: int) -> str:
        fault, at = "", 0
        while at < size:
            data = await self._piece(min(size - at, _BLOCK))
            if not fault:
                try:
                    waiting = upload.write(at, data)
                    if waiting is not None:
                        await waiting
                except Failure as failure:
                    fault = failure.text
            at += len(data)
        return fault

    async def _finish(self, upload: Upload) -> None:
        if is_temporary(upload.name, self._visit.limits.temporary):
            await self._warn("A file of a temporary name is finished by a rename, which scp has not")
            return
        self._finishing = True
        try:
            self._visit.close_upload(upload)
            await self._visit.finish(upload, upload.name)
        except Failure as failure:
            await self._warn(failure.text)
        else:
            await self._say(b"\0")
        finally:
            self._finishing = False

    # Sending ----------------------------------------------------------------------------------------------------------

    async def _source(self) -> None:
        if not await self._agreed():
            raise _Gone
        found = self._expand(self._order.path)
        if not found:
            await self._warn("No such file or directory")
        for path, node in found:
            await self._send(path, node)

    def _expand(self, path: str) -> list[tuple[str, Node]]:
        """The path, or what its ``* ? []`` match: the client leaves that to the other side's shell, which is not here.

        Names are compared with their case; at most 1,024 bytes of path keep it short.
        """
        if len(path) > _LINE_BYTES:
            return []
        found = [""]
        for name in path.strip("/").split("/"):
            if _WILD.search(name) is None:
                found = [f"{folder}/{name}" for folder in found]
            else:
                found = [
                    f"{folder}/{node.name}"
                    for folder in found
                    for node in self._entries(folder)
                    if fnmatch.fnmatchcase(node.name, name)
                ]
        nodes = ((one, self._node(one)) for one in found)
        return [(one, node) for one, node in nodes if node is not None]

    def _entries(self, path: str) -> list[Node]:
        try:
            return self._visit.entries((path or "/").encode("utf-8", "replace"))
        except Failure:
            return []

    def _node(self, path: str) -> Node | None:
        try:
            return self._visit.look(path.encode("utf-8", "replace"))
        except Failure:
            return None

    async def _send(self, path: str, node: Node) -> None:
        if node.is_directory and not self._order.recursive:
            await self._warn("It is a directory")
            return
        if self._order.times and not await self._offer(f"T{node.mtime} 0 {node.mtime} 0"):
            return
        mode = node.mode & 0o777
        if not node.is_directory:
            await self._send_file(path, node, mode)
            return
        if await self._offer(f"D{mode:04o} 0 {node.name if node.name != '/' else 'sekisho'}"):
            for one in self._entries(path):
                await self._send(f"{path}/{one.name}", one)
            await self._offer("E")

    async def _offer(self, line: str) -> bool:
        await self._say(line.encode("ascii") + b"\n")
        agreed = await self._agreed()
        self._failed |= not agreed
        return agreed

    async def _send_file(self, path: str, node: Node, mode: int) -> None:
        try:
            reader = self._visit.open_to_read(path.encode("ascii"))
            data = reader.read(0, _BLOCK)  # A letter that is gone is told before its size is promised.
        except Failure as failure:
            await self._warn(failure.text)
            return
        if not await self._offer(f"C{mode:04o} {node.size} {node.name}"):
            return
        at = 0
        while data and at < node.size:
            await self._say(data[: node.size - at])
            self._visit.touch()
            at += len(data)
            data = reader.read(at, _BLOCK)
        if at < node.size:
            raise Failure(Status.FAILURE, "The file is gone")
        await self._say(b"\0")
        self._failed |= not await self._agreed()
