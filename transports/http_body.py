"""Bodies of HTTP requests: read within bounds, in memory while they are small, in a spool file while they are not.

*Strategy.* An endpoint knows who asks before it calls :func:`read_body`; until then not a byte is read. A body over
its bound is refused by its Content-Length where there is one, and where that lies or is missing at the byte that is
too many. What all connections hold in memory together comes out of one pool; what is large goes to an unlinked file
piece by piece and is read back once, when it is complete, so it is not held twice here. A body that is compressed is
refused: nothing here makes a small body large.
"""

from __future__ import annotations

import asyncio
import tempfile
from typing import IO, Final

from aiohttp import web

from sekisho.transports.http import HttpLimits
from sekisho.transports.smtp_data import Pool

__all__ = ["BodyError", "read_body"]

_SPOOLED: Final = 1024 * 1024
"""Bodies above this wait for their end in a file: a thousand slow senders must not hold a gigabyte of memory."""
_RETRY_SECONDS: Final = "10"


class BodyError(Exception):
    """The body is not taken; ``response`` is the answer, and the connection closes after it."""

    def __init__(self, status: int, text: str, *, retry: bool = False) -> None:
        super().__init__(f"{status} {text}")
        headers = {"Retry-After": _RETRY_SECONDS} if retry else {}
        self.response = web.Response(status=status, text=f"{text}\n", headers=headers)
        self.response.force_close()


async def read_body(
    request: web.BaseRequest, *, most: int, pool: Pool, limits: HttpLimits | None = None, prefix: bytes = b""
) -> bytes:
    """The whole body behind ``prefix``, one object. Raises :class:`BodyError` (411, 413, 415, 408, 400, 503).

    ``most`` bounds the body alone. ``pool`` gives what is held in memory and has it back when this returns.
    """
    limits = limits or HttpLimits()
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise BodyError(415, "compressed bodies are not taken")
    announced = request.content_length
    if announced is not None and announced > most:
        raise BodyError(413, f"at most {most} bytes are taken")
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if announced is not None and announced <= _SPOOLED and request.content.is_eof():
        try:
            return prefix + request.content.read_nowait()  # it came with its head: the usual case
        except (ConnectionError, web.RequestPayloadError):
            raise BodyError(400, "the body ended too early") from None
    reading = _Reading(request, most, pool, limits, prefix)
    try:
        async with asyncio.timeout(limits.body):
            return await reading.whole()
    except TimeoutError:
        raise BodyError(408, "the body took too long") from None
    except (ConnectionError, web.RequestPayloadError, asyncio.IncompleteReadError):
        raise BodyError(400, "the body ended too early") from None
    finally:
        reading.close()


class _Reading:
    """One body on its way in."""

    def __init__(self, request: web.BaseRequest, most: int, pool: Pool, limits: HttpLimits, prefix: bytes) -> None:
        self._request = request
        self._most = most
        self._pool = pool
        self._limits = limits
        self._kept = bytearray(prefix)
        self._taken = 0
        self._size = 0
        self._file: IO[bytes] | None = None

    async def whole(self) -> bytes:
        """Read to the end."""
        content = self._request.content
        while True:
            async with asyncio.timeout(self._limits.body_idle):
                piece = await content.readany()
            if not piece:
                break
            self._size += len(piece)
            if self._size > self._most:
                raise BodyError(413, f"at most {self._most} bytes are taken")
            if not self._pool.take(len(piece)):
                raise BodyError(503, "too much comes in at once, try again later", retry=True)
            self._taken += len(piece)
            self._kept += piece
            if len(self._kept) >= _SPOOLED:
                await asyncio.to_thread(self._spool)
                self._release()
        if self._file is None:
            return bytes(self._kept)
        return await asyncio.to_thread(self._read_back)

    def close(self) -> None:
        """Give everything back."""
        self._release()
        if self._file is not None:
            self._file.close()

    def _release(self) -> None:
        self._pool.free += self._taken
        self._taken = 0

    def _spool(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="sekisho-")  # noqa: SIM115 - closed by close()
        self._file.write(self._kept)
        self._kept.clear()

    def _read_back(self) -> bytes:
        if self._file is None:
            return bytes(self._kept)
        self._file.write(self._kept)
        self._kept.clear()
        self._file.seek(0)
        return self._file.read()
