"""A channel of an SSH connection: what it may be asked for, and which protocol it speaks then.

*Strategy.* The glue between asyncssh's session callbacks and the two protocols, which know nothing of each other:
the subsystem ``sftp``, and the command ``scp`` with the options its own client sends. Anything else a channel can be
asked for (shell, terminal, other commands and subsystems, forwarding) is refused by saying no.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import asyncssh

from sekisho.transports.sftp_scp import ScpSession, parse_command
from sekisho.transports.sftp_session import SftpSession
from sekisho.transports.sftp_visit import Visit

if TYPE_CHECKING:
    Base = asyncssh.SSHServerSession[bytes]
else:
    Base = asyncssh.SSHServerSession

__all__ = ["SftpChannel"]


class SftpChannel(Base):
    """One channel. ``channels`` is where it counts itself in while it is open."""

    def __init__(
        self, visit: Visit, channels: set[SftpChannel], incident: Callable[[BaseException], str]
    ) -> None:
        self._visit = visit
        self._channels = channels
        self._incident = incident
        self._chan: asyncssh.SSHServerChannel[bytes] | None = None
        self._session: SftpSession | ScpSession | None = None
        self._blocked: set[str] = set()
        channels.add(self)

    @property
    def busy(self) -> bool:
        """Whether an answer is still due."""
        return self._session is not None and self._session.busy

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """The channel is open."""
        self._chan = chan

    def subsystem_requested(self, subsystem: str) -> bool:
        """Sftp and nothing else."""
        if subsystem != "sftp" or self._session is not None or self._chan is None:
            return False
        self._session = SftpSession(
            self._visit,
            write=self._write,
            set_reading=self._set_reading,
            close=self._close,
            incident=self._incident,
        )
        return True

    def exec_requested(self, command: str) -> bool:
        """Scp as its client calls it, and nothing else."""
        order = parse_command(command)
        if order is None or self._session is not None or self._chan is None:
            return False
        self._session = ScpSession(
            self._visit,
            order,
            write=self._write,
            set_reading=self._set_reading,
            close=self._exit,
            incident=self._incident,
        )
        return True

    def session_started(self) -> None:
        """The client has heard that it may begin."""
        if isinstance(self._session, ScpSession):
            self._session.begin()

    def data_received(self, data: bytes, datatype: Any) -> None:  # noqa: ANN401, ARG002 (the library's signature)
        """Feed the protocol."""
        if self._session is not None:
            self._session.receive(data)

    def eof_received(self) -> bool:
        """Keep the channel for the answer that is still due."""
        if self._session is not None:
            self._session.half_close()
        return True

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 (the library's signature)
        """The channel is gone."""
        self._channels.discard(self)
        if self._session is not None:
            self._session.end()

    def pause_writing(self) -> None:
        """The client's window is full."""
        self._hold("window", True)

    def resume_writing(self) -> None:
        """There is room again."""
        self._hold("window", False)

    def hold(self, blocked: bool) -> None:
        """The connection below does not get rid of its bytes, or does again."""
        self._hold("wire", blocked)

    def _hold(self, why: str, blocked: bool) -> None:
        (self._blocked.add if blocked else self._blocked.discard)(why)
        if self._session is not None:
            self._session.block(bool(self._blocked))

    def _write(self, data: bytes) -> None:
        if self._chan is not None and not self._chan.is_closing():
            self._chan.write(data)

    def _set_reading(self, reading: bool) -> None:
        if self._chan is not None and not self._chan.is_closing():
            (self._chan.resume_reading if reading else self._chan.pause_reading)()

    def _close(self) -> None:
        if self._chan is not None and not self._chan.is_closing():
            self._chan.exit(0)

    def _exit(self, status: int) -> None:
        if self._chan is not None and not self._chan.is_closing():
            self._chan.exit(status)
