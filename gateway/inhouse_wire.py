"""A connection of lines of text, in the clear or encrypted: what the SMTP and POP3 clients stand on.

*Strategy.* asyncio's streams with two rules: every wait has an end, and everything that goes wrong becomes one
:class:`~sekisho.gateway.inhouse_doors.LineError` with the stage that it went wrong at.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from typing import Final, Self

from sekisho.gateway.inhouse_doors import Access, LineError, client_context

__all__ = ["TextWire"]

_SECONDS: Final = 30.0
"""How long a connection, a handshake or a reply is awaited: a test wants the late answer too."""
_BUFFER: Final = 33_554_432
"""Bytes that are read ahead: more than any letter, so that nothing has to be held back."""


class TextWire:
    """One connection. ``stage`` is what errors are told with; set it before what it names."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self._reader, self._writer, self._host = reader, writer, host
        self.stage = "connect"

    @classmethod
    async def open(cls, access: Access) -> Self:
        """Connect; with implicit TLS the handshake too. Raises :class:`LineError`."""
        context = client_context(access) if access.tls == "implicit" else None
        with _told("connect"):
            async with asyncio.timeout(_SECONDS):
                reader, writer = await asyncio.open_connection(access.host, access.port, ssl=context, limit=_BUFFER)
        return cls(reader, writer, access.host)

    async def start_tls(self, access: Access) -> None:
        """Go on encrypted. Raises :class:`LineError`."""
        context = client_context(access)
        with _told("tls"):
            async with asyncio.timeout(_SECONDS):
                await self._writer.start_tls(context, server_hostname=access.host)

    async def send(self, data: bytes) -> None:
        """Send bytes as they are. Raises :class:`LineError`."""
        with _told(self.stage):
            async with asyncio.timeout(_SECONDS):
                self._writer.write(data)
                await self._writer.drain()

    async def line(self) -> bytes:
        """The next line without its CRLF. Raises :class:`LineError`."""
        with _told(self.stage):
            async with asyncio.timeout(_SECONDS):
                line = await self._reader.readline()
        if not line.endswith(b"\n"):
            raise LineError(self.stage, "the other side closed the connection")
        return line.removesuffix(b"\n").removesuffix(b"\r")

    async def close(self) -> None:
        """End the connection; nothing is waited for long."""
        self._writer.close()
        with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
            async with asyncio.timeout(1):
                await self._writer.wait_closed()


@contextlib.contextmanager
def _told(stage: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise LineError(stage, "no answer in time") from None
    except ssl.SSLCertVerificationError as error:
        text = f"the other side's certificate is not trusted ({error.verify_message}); name its issuer with --trust"
        raise LineError("tls", text) from None
    except (OSError, ValueError) as error:
        raise LineError(stage, getattr(error, "strerror", None) or str(error) or type(error).__name__) from None
