"""The SFTP line of an in-house system: files put into /in, letters taken out of /out, one connection for both.

*Strategy.* A file is written under a temporary name and renamed when it is whole, as careful senders do; the answer to
the rename is the centre's yes. Letters are read and then removed, because reading alone means nothing there. The
server's key is asked for before a password goes out: a file of known hosts says which, or the caller says by name that
anybody will do.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, Final

import asyncssh

from sekisho.codecs.envelope import Attachment
from sekisho.gateway.inhouse import Submission
from sekisho.gateway.inhouse_doors import Access, Fetched, LineError, Packet

__all__ = ["SftpCollector", "SftpLine", "SftpSession", "file_name", "letter_order"]

_SECONDS: Final = 30.0
_IN: Final = "/in"
_OUT: Final = "/out"
_LETTERS: Final = 1000
"""Letters fetched in one visit: a visit has an end even if more are coming all the time."""


def file_name(text: str) -> str:
    """A text as the name of a file that any door takes; a name of its own where nothing of it is left."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", PurePosixPath(text).name).strip(".-")[:100]
    return name if name and not name.endswith((".tmp", ".part")) else f"{name or 'message'}-{secrets.token_hex(6)}.edi"


class SftpSession:
    """One SSH connection to a box, opened when it is needed and again when it has ended."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._connection: asyncssh.SSHClientConnection | None = None
        self._client: asyncssh.SFTPClient | None = None
        self._one = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def use(self, stage: str) -> AsyncIterator[asyncssh.SFTPClient]:
        """The client, by one task at a time. What goes wrong becomes a :class:`LineError` of this stage."""
        async with self._one:
            if self._client is None:
                await self._open()
            if self._client is None:
                raise RuntimeError("an SFTP session that was opened is not there")
            try:
                async with asyncio.timeout(_SECONDS):
                    yield self._client
            except TimeoutError:
                await self._drop()
                raise LineError(stage, "no answer in time") from None
            except asyncssh.SFTPError as error:
                if isinstance(error, (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection)):
                    await self._drop()
                raise LineError(stage, error.reason) from None
            except (OSError, asyncssh.Error) as error:
                await self._drop()
                raise LineError(stage, str(error) or type(error).__name__) from None

    async def _open(self) -> None:
        access = self._access
        try:
            async with asyncio.timeout(_SECONDS):
                self._connection = await asyncssh.connect(
                    access.host,
                    access.port,
                    username=access.box,
                    password=access.password or None,
                    known_hosts=None if access.insecure else _known_hosts(access.trust),
                    config=None,
                    agent_path=None,
                    client_keys=None if access.password else (),
                    keepalive_interval=0,
                )
                self._client = await self._connection.start_sftp_client()
        except TimeoutError:
            raise LineError("connect", "no answer in time") from None
        except asyncssh.HostKeyNotVerifiable:
            text = f"the key of {access.host}:{access.port} is not among the known hosts"
            raise LineError("connect", f"{text}; name a file of them with --known-hosts") from None
        except asyncssh.PermissionDenied:
            raise LineError("login", "mailbox ID or password is wrong") from None
        except (OSError, asyncssh.Error) as error:
            raise LineError("connect", getattr(error, "strerror", None) or str(error)) from None

    async def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await self._connection.wait_closed()
        self._connection = self._client = None

    async def close(self) -> None:
        """End the connection."""
        await self._drop()


def _known_hosts(path: str) -> Any:  # noqa: ANN401 - asyncssh's own type
    if not path:
        return ()  # asyncssh's default: the user's own file
    try:
        return asyncssh.read_known_hosts(path)
    except (OSError, ValueError) as error:
        raise LineError("connect", f"{path}: {getattr(error, 'strerror', None) or error}") from None


class SftpLine:
    """Puts files; see :class:`~sekisho.gateway.inhouse_doors.Line`."""

    def __init__(self, session: SftpSession) -> None:
        self._session = session
        self._stored: set[str] = set()

    def pack(self, content: bytes, *, message_id: str = "", files: Sequence[Attachment] = ()) -> Packet:
        """See :meth:`~sekisho.gateway.inhouse_doors.Line.pack`. A file goes alone: ``files`` raise ValueError."""
        if files:
            raise ValueError("SFTP has no place for attached files; mail style and ebMS do")
        return Packet(file_name(message_id.strip("<>")), content)

    async def submit(self, packet: Packet) -> Submission:
        """See :meth:`~sekisho.gateway.inhouse_doors.Line.submit`."""
        final = f"{_IN}/{packet.name}"
        if packet.name in self._stored:
            await self._session.close()  # who repeats a file comes back for it: in the old session it is still there
        try:
            async with self._session.use("put") as client:
                async with client.open(f"{final}.tmp", "wb") as file:
                    await file.write(packet.data)
                await client.rename(f"{final}.tmp", final)
        except LineError as error:
            return Submission(error.stage, error.code, error.text)
        self._stored.add(packet.name)
        return Submission("stored", 0, final)

    async def close(self) -> None:
        """See :meth:`~sekisho.gateway.inhouse_doors.Line.close`."""
        await self._session.close()


class SftpCollector:
    """Takes letters out of /out; see :class:`~sekisho.gateway.inhouse_doors.Collector`."""

    def __init__(self, session: SftpSession) -> None:
        self._session = session

    async def waiting(self) -> list[str]:
        """See :meth:`~sekisho.gateway.inhouse_doors.Collector.waiting`."""
        async with self._session.use("list") as client:
            return await self._names(client)

    async def collect(self, known: Collection[str] = (), *, leave: bool = False) -> list[Fetched]:
        """See :meth:`~sekisho.gateway.inhouse_doors.Collector.collect`."""
        letters: list[Fetched] = []
        try:
            async with self._session.use("get") as client:
                for path in await self._names(client):
                    if path in known:
                        continue
                    async with client.open(path, "rb") as file:
                        content = await file.read()
                    letters.append(Fetched(path, _bytes(content), PurePosixPath(path).name))
                    if not leave:
                        await client.remove(path)
                        letters[-1] = replace(letters[-1], removed=True)
                    if len(letters) == _LETTERS:
                        break
        except LineError:
            if not letters:
                raise
        return letters

    async def close(self) -> None:
        """See :meth:`~sekisho.gateway.inhouse_doors.Collector.close`."""
        await self._session.close()

    async def _names(self, client: asyncssh.SFTPClient) -> list[str]:
        """Paths of all letters: days in their order, the letters of a day by the number at the end of their names."""
        paths = []
        for box in await _entries(client, _OUT):
            for day in await _entries(client, f"{_OUT}/{box}"):
                names = await _entries(client, f"{_OUT}/{box}/{day}")
                paths += [f"{_OUT}/{box}/{day}/{name}" for name in sorted(names, key=letter_order)]
        return paths


async def _entries(client: asyncssh.SFTPClient, path: str) -> list[str]:
    return sorted(str(name) for name in await client.listdir(path) if name not in (".", ".."))


def _bytes(content: bytes | str) -> bytes:
    """What a file opened with ``b`` gives: asyncssh's types do not tell."""
    return content if isinstance(content, bytes) else content.encode()


def letter_order(name: str) -> tuple[int, str]:
    """What letters of a box are sorted by: the number at the end of their names."""
    found = re.search(r"-([0-9]+)\.[a-z]+$", name)
    return int(found[1]) if found else 0, name
