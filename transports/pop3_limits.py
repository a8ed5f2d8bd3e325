"""The limits of a POP3 listener, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Pop3Limits"]


@dataclass(frozen=True, slots=True)
class Pop3Limits:
    """Every limit of a POP3 listener; sizes in bytes, times in seconds. Source: spec/reliability.md sections 6 and 8.

    Raises ValueError when a limit is not positive or ``line_bytes`` is under 255.
    """

    idle: float = 600.0
    """Without a complete command or a reply taken. RFC 1939 section 3: at least ten minutes (mail style: two)."""
    session: float = 3_600.0
    """The whole connection: ends a peer that lives on NOOP. What it marked as deleted stays."""
    login: float = 60.0
    """Until somebody is logged in, TLS included: a connection without a name must not stand as long as one with."""
    connections_per_address: int = 50
    """Open connections of one peer address; beyond it -ERR [SYS/TEMP]. As on the SMTP listener."""
    connections_total: int = 2_000
    """Open connections of the listener; beyond it -ERR [SYS/TEMP]."""
    bad_commands: int = 20
    """Refused commands and logins in a session before it is closed. As on the SMTP listener."""
    line_bytes: int = 255
    """A command line with its CRLF: RFC 2449 section 4."""
    auth_line_bytes: int = 1_026
    """The client's answer inside AUTH: base64 of three values of 255 bytes (RFC 4616 section 2), and CRLF."""
    pipelined_bytes: int = 64 * 1024
    """Commands that came ahead of their turn; beyond it the socket is not read."""
    out_buffer: int = 64 * 1024
    """Replies that are made before the peer takes them."""
    keepalive: int = 60
    """Silence after which the system asks whether the other side still lives: a cut cable must free the box sooner than
    the idle timer does."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be more than 0")
        if self.line_bytes < 255:
            raise ValueError("line_bytes under 255 would refuse commands that RFC 2449 allows")
