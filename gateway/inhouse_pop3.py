"""The POP3 half of the mail-style line: how an in-house system fetches its letters.

*Strategy.* A session a visit, as real fetchers have it: log in, UIDL, RETR what is not known, DELE that, QUIT. What was
read counts as read even if the QUIT fails: the UIDL tells it at the next visit. Written on streams, because the
standard library's client ends at lines of 2,048 bytes, and an interchange may be one line.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from sekisho.codecs.mime import MimeError, unwrap
from sekisho.gateway.inhouse_doors import Access, Fetched, LineError
from sekisho.gateway.inhouse_wire import TextWire

__all__ = ["Pop3Collector", "opened_mail"]


def opened_mail(name: str, mail: bytes) -> Fetched:
    """A fetched mail as the letter in it; the mail itself where none can be found in it."""
    try:
        opened = unwrap(mail)
    except MimeError:
        return Fetched(name, mail)
    return Fetched(name, opened.content, opened.transport_id)


class Pop3Collector:
    """Fetches from one mailbox; see :class:`~sekisho.gateway.inhouse_doors.Collector`."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def waiting(self) -> list[str]:
        """See :meth:`~sekisho.gateway.inhouse_doors.Collector.waiting`."""
        wire = await self._open()
        try:
            names = [name for _, name in await self._listed(wire)]
            await self._quit(wire)
        finally:
            await wire.close()
        return names

    async def collect(self, known: Collection[str] = (), *, leave: bool = False) -> list[Fetched]:
        """See :meth:`~sekisho.gateway.inhouse_doors.Collector.collect`."""
        wire = await self._open()
        letters = []
        try:
            for number, name in await self._listed(wire):
                if name not in known:
                    await self._command(wire, "RETR", str(number))
                    letters.append(opened_mail(name, b"".join([line + b"\r\n" for line in await self._lines(wire)])))
                    if not leave:
                        await self._command(wire, "DELE", str(number))
            await self._quit(wire)
        except LineError:
            if not letters:
                raise
            return letters
        finally:
            await wire.close()
        return letters if leave else [replace(letter, removed=True) for letter in letters]

    async def close(self) -> None:
        """Nothing is kept open: the mailbox is locked while a session is."""

    async def _open(self) -> TextWire:
        wire = await TextWire.open(self._access)
        try:
            await self._answer(wire, "connect")
            if self._access.tls == "starttls":
                await self._command(wire, "STLS", stage="tls")
                await wire.start_tls(self._access)
            await self._command(wire, "USER", self._access.box, stage="login")
            await self._command(wire, "PASS", self._access.password, stage="login")
        except LineError:
            await wire.close()
            raise
        return wire

    async def _listed(self, wire: TextWire) -> list[tuple[int, str]]:
        await self._command(wire, "UIDL")
        listed = []
        for line in await self._lines(wire):
            number, _, name = line.decode("ascii", "replace").partition(" ")
            if not number.isdigit() or not name:
                raise LineError("UIDL", f"not a line of a listing: {line[:80]!r}")
            listed.append((int(number), name))
        return listed

    async def _quit(self, wire: TextWire) -> None:
        await self._command(wire, "QUIT")

    async def _command(self, wire: TextWire, verb: str, argument: str = "", *, stage: str = "") -> None:
        wire.stage = stage or verb
        await wire.send(f"{verb} {argument}".rstrip(" ").encode("utf-8") + b"\r\n")
        await self._answer(wire, wire.stage)

    async def _answer(self, wire: TextWire, stage: str) -> None:
        line = await wire.line()
        if not line.startswith(b"+OK"):
            raise LineError(stage, line.decode("ascii", "replace")[:200])

    async def _lines(self, wire: TextWire) -> list[bytes]:
        """A multi-line answer, its dots unstuffed (RFC 1939 section 3)."""
        lines = []
        while (line := await wire.line()) != b".":
            lines.append(line[1:] if line.startswith(b".") else line)
        return lines
