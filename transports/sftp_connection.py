"""One SSH connection: counted in and out, its user known by his box, its deadlines, and what it may never do.

*Strategy.* asyncssh's connection class with four steps of our own: refuse before the greeting what is one too many,
hold the channels while the peer does not read, send nothing that only CBC needs, and bound what waits for a key
exchange. :class:`_Guest` answers asyncssh's questions; whatever it does not answer, the library refuses.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import asyncssh
from asyncssh.constants import (
    DISC_BY_APPLICATION,
    DISC_NO_MORE_AUTH_METHODS_AVAILABLE,
    DISC_SERVICE_NOT_AVAILABLE,
    DISC_TOO_MANY_CONNECTIONS,
    MSG_IGNORE,
)

from sekisho.transports.base import TrayError
from sekisho.transports.sftp_channel import SftpChannel
from sekisho.transports.sftp_visit import DOOR, Visit

if TYPE_CHECKING:
    from sekisho.transports.sftp import SftpListener

__all__ = ["SshConnection"]

WINDOW: Final = 2 * 1024 * 1024
"""Bytes that a client may send ahead of being read: OpenSSH's own value."""
PACKET: Final = 128 * 1024
"""Bytes of one channel packet towards us; larger ones cost less a byte."""
_DEFERRED: Final = 512
"""Packets that may wait for the end of a key exchange; who goes on asking inside one is cut."""


class SshConnection(asyncssh.SSHServerConnection):
    """One connection of a listener; made by the server for every peer."""

    def __init__(
        self, listener: SftpListener, loop: asyncio.AbstractEventLoop, options: asyncssh.SSHServerConnectionOptions
    ) -> None:
        self.listener = listener
        self.guest = _Guest(self)
        options.protocol_factory = lambda: self.guest  # read once, in the next line
        super().__init__(loop, options)
        self.visit: Visit | None = None
        self.channels: set[SftpChannel] = set()
        self.peer = self.host = ""
        self.wire: asyncio.Transport | None = None
        self._admitted = False
        self._began = time.monotonic()
        self._reason = "peer"

    @property
    def busy(self) -> bool:
        """Whether an answer is still due."""
        return any(channel.busy for channel in self.channels)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, or refuse with a line of text, as SSH allows before the greeting (RFC 4253, 4.2)."""
        self.wire = transport  # type: ignore[assignment]
        name = transport.get_extra_info("peername") or ("", 0)
        self.host = name[0]
        self.peer = f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
        self._admitted = self.listener.admit(self, self.host)
        super().connection_made(transport)
        if not self._admitted:
            self._reason = "refused"
            self.abort()

    def _send_version(self) -> None:
        if self._admitted:
            super()._send_version()
        elif self.wire is not None:
            self.wire.write(b"Too many connections, try again later\r\n")

    def connection_lost(self, error: Exception | None = None) -> None:
        """Forget the connection. What was submitted goes on; an unfinished file is dropped."""
        super().connection_lost(error)
        self.wire = None
        if not self._admitted:
            return
        self._admitted = False
        self.listener.dismiss(self, self.host)
        visit = self.visit
        if visit is not None:
            visit.end()
            visit.shared.leave(visit.box)
        quiet = self._reason == "peer"
        (self.listener.log.debug if quiet else self.listener.log.info)(
            "sftp.session_closed",
            peer=self.peer,
            box=visit.box if visit is not None else None,
            reason=self._reason,
            requests=visit.requests if visit is not None else 0,
            files=visit.files if visit is not None else 0,
            seconds=round(time.monotonic() - self._began, 3),
        )

    def send_packet(self, pkttype: int, *args: bytes, handler: object = None) -> None:
        """Send without the empty packets that protect CBC, which is not offered here: they double what sending costs.

        What waits for the end of a key exchange is bounded.
        """
        if pkttype == MSG_IGNORE:
            return
        super().send_packet(pkttype, *args, handler=handler)  # type: ignore[arg-type]
        if len(self._deferred_packets) > _DEFERRED:
            self.cut()

    def pause_writing(self) -> None:
        """The peer does not read what it asked for: do not serve its requests."""
        for channel in self.channels:
            channel.hold(True)

    def resume_writing(self) -> None:
        """The peer reads again."""
        for channel in tuple(self.channels):
            channel.hold(False)

    def leave(self, code: int, text: str, reason: str) -> None:
        """End the connection and say why."""
        if self._reason == "peer":
            self._reason = reason
            # Without closing the channels first, as the library's own method does: a client that reads of its
            # channel's end leaves before it reads the reason. Nobody waits for a peer that does not read.
            self._send_disconnect(code, text, "en")
            self._force_close(None)

    def cut(self) -> None:
        """End the connection now, whatever is still to be sent."""
        self._reason = "cut" if self._reason == "peer" else self._reason
        if self.wire is not None:
            self.wire.abort()

    def check(self, now: float) -> None:
        """End the connection if it is over its time."""
        limits, visit = self.listener.limits, self.visit
        if visit is not None:
            if now - self._began > limits.session:
                self.leave(DISC_BY_APPLICATION, "The session has lasted too long", "session time")
            elif now - visit.last_request > limits.idle and not self.busy:
                self.leave(DISC_BY_APPLICATION, "Idle for too long", "idle")
            elif any(upload.open and now - upload.began > limits.upload for upload in visit.uploads.values()):
                self.leave(DISC_BY_APPLICATION, "The upload has taken too long", "upload time")


class _Guest(asyncssh.SSHServer):
    """asyncssh's questions about one connection: who may come in, and what he may open."""

    def __init__(self, connection: SshConnection) -> None:
        self._connection = connection
        self._listener = connection.listener
        self._boxes: dict[str, str] = {}
        self._passwords = 0
        self._keys = 0

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002 (the library's signature)
        """Everybody has to say who he is."""
        return True

    def password_auth_supported(self) -> bool:
        """By password."""
        return True

    def public_key_auth_supported(self) -> bool:
        """By key, whose possession the library verifies."""
        return True

    async def validate_password(self, username: str, password: str) -> bool:
        """Ask the doorkeeper; after too many wrong ones the connection ends."""
        keeper = self._listener.doorkeeper
        with self._deaf():
            try:
                box = await keeper.password(DOOR, username, password, self._connection.host)
            except TrayError:
                raise _not_now() from None
        if box is None:
            self._passwords += 1
            if self._passwords >= self._listener.limits.login_tries:
                raise asyncssh.DisconnectError(DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "Too many failed logins")
            return False
        self._boxes[username] = box
        return True

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Ask the doorkeeper; after too many strange ones the connection ends."""
        text = " ".join(key.export_public_key("openssh").decode("ascii").split(" ")[:2]).strip()
        with self._deaf():
            try:
                box = await self._listener.doorkeeper.public_key(DOOR, username, text, self._connection.host)
            except TrayError:
                raise _not_now() from None
        if box is None:
            self._keys += 1
            if self._keys >= self._listener.limits.key_tries:
                raise asyncssh.DisconnectError(DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "Too many failed logins")
            return False
        self._boxes[username] = box
        return True

    @contextlib.contextmanager
    def _deaf(self) -> Iterator[None]:
        """Read nothing while an answer is awaited: what comes meanwhile would be kept without a bound."""
        wire = self._connection.wire
        if wire is not None:
            wire.pause_reading()
        try:
            yield
        finally:
            if wire is not None and not wire.is_closing():
                wire.resume_reading()

    def auth_completed(self) -> None:
        """The user is known: make his tree, unless he is here too often."""
        connection = self._connection
        box = self._boxes[connection.get_extra_info("username")]
        shared = self._listener.shared
        if not shared.enter(box):
            self._listener.refused += 1
            connection.leave(DISC_TOO_MANY_CONNECTIONS, "Too many sessions of this user", "too many of one user")
            return
        self._listener.logins += 1
        connection.visit = Visit(shared, box, connection.peer)
        self._listener.log.debug("sftp.session_opened", peer=connection.peer, box=box)

    def session_requested(self) -> tuple[asyncssh.SSHServerChannel, asyncssh.SSHServerSession] | bool:  # type: ignore[type-arg]
        """One more channel; False when it is one too many."""
        connection = self._connection
        if connection.visit is None or len(connection.channels) >= self._listener.limits.channels:
            return False
        channel = SftpChannel(connection.visit, connection.channels, self._listener.incident)
        made = connection.create_server_channel(None, "strict", WINDOW, PACKET)
        made._env = _Forgetful()  # noqa: SLF001 (the library keeps every variable a client sends, without a bound)
        return made, channel


class _Forgetful(dict[bytes, bytes]):
    """A client's environment, of which nothing here looks at anything."""

    def __setitem__(self, key: bytes, value: bytes) -> None:
        """Keep nothing."""


def _not_now() -> asyncssh.DisconnectError:
    return asyncssh.DisconnectError(DISC_SERVICE_NOT_AVAILABLE, "Not available now, try again later")
