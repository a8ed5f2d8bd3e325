"""One connection of an SMTP listener: the socket's side of a conversation.

*Strategy.* :class:`SmtpConnection` is aiosmtpd's protocol class with another engine. The way of a mail is served by
:class:`~sekisho.transports.smtp_session.SmtpSession` straight from ``data_received``: no task, no stream and no timer
per command, replies of one read written as one piece. Verbs outside that way (``LIBRARY_VERBS``) are served by the
methods inherited from aiosmtpd, whose costly set-up is put off until one of them is used.

The answer to a mail is the house's (:class:`~sekisho.transports.base.Submit`). Its future is never awaited by anything
that dies with the connection: a peer that leaves after the dot cancels nothing, it only does not hear the answer.
A peer that closes its sending half after the dot does hear it. Mails that are not plain, or large, are taken apart in
a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import datetime
from typing import TYPE_CHECKING

from aiosmtpd.smtp import SMTP

from sekisho.codecs.envelope import Envelope, Wrapping
from sekisho.codecs.mime import MimeError, Unwrapped, unwrap, unwrap_plain
from sekisho.transports.base import Receipt, Verdict
from sekisho.transports.smtp_session import LIBRARY_VERBS, Mail, SmtpSession, parse_path

if TYPE_CHECKING:
    from sekisho.transports.smtp import SmtpListener

__all__ = ["SmtpConnection"]

_LOOP_BYTES = 256 * 1024
"""Mails above this are taken apart in a thread: their slicing alone would be felt by the other connections."""
_KEPT_BYTES = 64 * 1024
"""Bytes behind an unanswered mail after which the socket is not read until the answer."""
_FLUSH_SECONDS = 10.0
"""How long a peer that does not read may hold up the closing of its connection."""

_REPLIES = {
    Verdict.ACCEPTED: ("250 2.0.0", "OK"),
    Verdict.BUSY: ("451 4.3.2", "Busy, try again later"),
    Verdict.FULL: ("452 4.3.1", "Storage is short, try again later"),
    Verdict.REFUSED: ("554 5.6.0", "Refused"),
}


class SmtpConnection(SMTP, asyncio.BufferedProtocol):
    """One connection of a listener; made by the server for every peer. BufferedProtocol is about reading only."""

    # The base's own set-up runs in _serve_by_library: it costs more than a whole mail does here.
    def __init__(self, listener: SmtpListener, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._listener = listener
        self._wire: asyncio.Transport | None = None
        self._dialogue = SmtpSession(
            listener.hostname,
            listener.centre,
            listener.limits,
            listener.pool,
            other_centre=listener.other_centre,
            environment=listener.environment,
        )
        self._host = self._peer = ""
        self._admitted = False
        self._half_closed = False
        self._write_blocked = False
        self._read_paused = False
        self._turn_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._began = self._last_read = self._transaction_began = 0.0
        self._transaction = 0
        self._reason = "peer"
        self._library_ready = False

    # The socket's side ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet at once, or refuse with 421."""
        self._wire = wire = transport  # type: ignore[assignment]
        if not self._admitted and not self.enter(transport.get_extra_info("peername") or ("", 0)):
            self._finish(b"421 4.7.0 Too many connections, try again later\r\n", "refused")
            return
        self._last_read = self.loop.time()
        self._timer = self.loop.call_later(self._shortest(), self._check_time)
        wire.write(self._dialogue.greeting())  # type: ignore[attr-defined]
        if self._listener.debug:
            self._listener.log.debug("smtp.session_opened", peer=self._peer)

    def enter(self, name: tuple[str, int]) -> bool:
        """Be counted in under the peer's host and port; False when there are too many."""
        self._host = name[0]
        self._peer = f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
        self._began = self.loop.time()
        self._admitted = self._listener.admit(self, self._host)
        if not self._admitted:
            self._dialogue.closing = "refused"
        return self._admitted

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 (the protocol's signature)
        """Where the loop reads into: one buffer for all connections, because it is emptied before the next read."""
        return self._listener.read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """What asyncio's loop calls after a read; uvloop has a buffer of its own and calls data_received."""
        self.data_received(bytes(self._listener.read_buffer[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Feed the session; the time is noted and no timer is touched."""
        self._last_read = self.loop.time()
        if not self._dialogue.closing:
            self._advance(self._dialogue.receive(data))

    def eof_received(self) -> bool:
        """Keep the connection for the answer that is still due; otherwise let it close."""
        self._half_closed = True
        return self._dialogue.waiting or self._dialogue.more

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the connection. What was submitted goes on; an unfinished mail is dropped."""
        self._wire = None
        if self._timer is not None:
            self._timer.cancel()
        session = self._dialogue
        if not self._admitted:
            return
        if session.in_data and self._reason == "peer":
            self._reason = "peer inside DATA"
        session.close()
        self._listener.dismiss(self, self._host)
        if self._listener.debug or self._reason not in ("peer", "quit"):
            log = self._listener.log
            (log.debug if self._reason in ("peer", "quit") else log.info)(
                "smtp.session_closed",
                peer=self._peer,
                reason=self._reason,
                mails=session.mails,
                bad_commands=session.bad,
                seconds=round(self.loop.time() - self._began, 3),
                error=str(error) if error else None,
            )

    def pause_writing(self) -> None:
        """The peer does not read its replies: do not read its commands."""
        self._write_blocked = True
        self._set_reading()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._write_blocked = False
        self._take_turn()
        self._set_reading()

    # The dialogue -----------------------------------------------------------------------------------------------------

    def _advance(self, replies: bytes) -> None:
        """Write the replies and serve what the session waits for, as long as the answers come at once."""
        session = self._dialogue
        while session.mail is not None:
            answer = self._offer(session.mail)
            if answer is None:
                break
            replies += session.answer(answer)
        wire = self._wire
        if wire is None:
            return
        if replies:
            wire.write(replies)
        if session.closing:
            self._finish(b"", session.closing)
            return
        if session.verb is not None:
            self._serve_verb(*session.verb)
        elif session.more:
            self._take_turn()
        elif self._half_closed and not session.waiting:
            wire.close()
            return
        if session.transactions != self._transaction:
            self._transaction = session.transactions
            self._transaction_began = self._last_read
        if self._read_paused or session.kept > _KEPT_BYTES:
            self._set_reading()

    def _take_turn(self) -> None:
        """Go on with what came, after the other connections; not while the peer leaves its replies unread."""
        if self._dialogue.more and not (self._write_blocked or self._turn_due):
            self._turn_due = True
            self.loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._turn_due = False
        if self._wire is not None and self._dialogue.more and not (self._write_blocked or self._dialogue.closing):
            self._advance(self._dialogue.receive(b""))

    def _set_reading(self) -> None:
        wire = self._wire
        session = self._dialogue
        pause = self._write_blocked or ((session.waiting or session.more) and session.kept > _KEPT_BYTES)
        if wire is None or wire.is_closing() or pause == self._read_paused:
            return
        self._read_paused = pause
        (wire.pause_reading if pause else wire.resume_reading)()

    def _offer(self, mail: Mail) -> bytes | None:
        """Give a mail to the house; the reply if it is known at once, else None and _answered follows."""
        listener = self._listener
        received_at = listener.clock()
        plain = unwrap_plain(mail.data) if len(mail.data) <= _LOOP_BYTES else None
        waiting: Awaitable[Receipt]
        try:
            if plain is not None:
                waiting = listener.submit(self._envelope(mail, received_at, plain))
            else:
                waiting = self._unwrap_and_submit(mail, received_at)
            future = waiting if isinstance(waiting, asyncio.Future) else asyncio.ensure_future(waiting)
        except Exception as error:  # noqa: BLE001 (whatever the house does, the peer gets a reply)
            return listener.incident(error, "smtp.submission_failed").encode("ascii") + b"\r\n"
        if future.done():
            return self._reply(future)
        listener.pending.add(future)
        future.add_done_callback(self._answered)
        return None

    async def _unwrap_and_submit(self, mail: Mail, received_at: datetime) -> Receipt:
        try:
            unwrapped = await asyncio.to_thread(unwrap, mail.data, self._listener.limits.mime)
        except MimeError as error:
            # Accepting it is right: the house keeps and shows what it cannot read.
            self._listener.log.warning("smtp.mail_unreadable", peer=self._peer, why=str(error))
            unwrapped = Unwrapped(content=b"")
        return await self._listener.submit(self._envelope(mail, received_at, unwrapped))

    def _envelope(self, mail: Mail, received_at: datetime, unwrapped: Unwrapped) -> Envelope:
        return Envelope(
            transport=self._listener.name,
            received_at=received_at,
            peer=self._peer,
            sender=mail.sender,
            recipient=mail.recipient,
            raw=mail.data,
            content=unwrapped.content,
            wrapping=Wrapping.MAIL,
            content_type=unwrapped.content_type,
            attachments=unwrapped.attachments,
            transport_id=unwrapped.transport_id,
            faults=unwrapped.faults,
        )

    def _answered(self, future: asyncio.Future[Receipt]) -> None:
        self._listener.pending.discard(future)
        reply = self._reply(future)
        if self._wire is None:
            self._listener.log.warning("smtp.answer_unheard", peer=self._peer, answer=reply[:9].decode("ascii"))
            self._dialogue.closing = "peer"
        self._advance(self._dialogue.answer(reply))

    def _reply(self, future: asyncio.Future[Receipt]) -> bytes:
        if future.cancelled():
            return b"451 4.3.2 Closing, try again later\r\n"
        error = future.exception()
        if error is not None:
            return self._listener.incident(error, "smtp.submission_failed").encode("ascii") + b"\r\n"
        receipt = future.result()
        code, default = _REPLIES[receipt.verdict]
        text = receipt.text if receipt.text.isprintable() and receipt.text else default
        return f"{code} {text}\r\n".encode("ascii", "replace")

    # The end ----------------------------------------------------------------------------------------------------------

    def retire(self) -> None:
        """End after the transaction that is under way."""
        reply = self._dialogue.retire()
        if self._dialogue.closing:
            self._finish(reply, self._dialogue.closing)

    def cut(self, reply: bytes, reason: str) -> None:
        """Say why and close, whatever is under way."""
        self._dialogue.closing = reason
        self._finish(reply, reason)

    def abort(self) -> None:
        """Close without a word and without waiting for the peer to read."""
        if self._wire is not None:
            self._wire.abort()

    def _finish(self, reply: bytes, reason: str) -> None:
        wire = self._wire
        if wire is None or wire.is_closing():
            return
        self._reason = reason
        if reply:
            wire.write(reply)
        wire.close()
        if wire.get_write_buffer_size():
            self.loop.call_later(_FLUSH_SECONDS, self.abort)

    def _idle(self) -> float:
        return self._listener.limits.data_idle if self._dialogue.in_data else self._listener.idle

    def _shortest(self) -> float:
        limits = self._listener.limits
        return min(self._listener.idle, limits.data_idle, limits.transaction, limits.session)

    def _check_time(self) -> None:
        """The one timer of a connection: compares the noted times with the limits and sets itself again."""
        session, limits, now = self._dialogue, self._listener.limits, self.loop.time()
        due = {"idle": self._last_read + self._idle(), "session": self._began + limits.session}
        if session.in_transaction:
            due["transaction"] = self._transaction_began + limits.transaction
        reason = min(due, key=due.__getitem__)
        if session.waiting:  # it is we who are slow
            self._timer = self.loop.call_later(self._shortest(), self._check_time)
        elif due[reason] <= now:
            self.cut(b"421 4.4.2 Time limit reached, closing\r\n", reason)
        else:
            self._timer = self.loop.call_later(min(due[reason] - now, self._shortest()), self._check_time)

    # Verbs served by aiosmtpd -----------------------------------------------------------------------------------------

    def _serve_verb(self, verb: str, argument: str) -> None:
        """Serve what the session left to us; a task, because it may take time."""
        self.loop.create_task(self._serve_by_library(verb, argument))

    async def _serve_by_library(self, verb: str, argument: str) -> None:
        try:
            if not self._library_ready:
                self.command_size_limits = {}  # the base keeps one for all connections and clears it
                super().__init__(None, hostname=self._listener.hostname, loop=self.loop)
                self._smtp_methods = {
                    name: method
                    for name, method in self._smtp_methods.items()
                    if name in LIBRARY_VERBS or name.encode() in SmtpSession.VERBS
                }
                self._library_ready = True
            self.session = self._create_session()
            self.session.peer = self._peer
            self.session.host_name = self._dialogue.peer_name
            self.session.extended_smtp = self._dialogue.extended
            await self._smtp_methods[verb](argument or None)
        except Exception as error:  # noqa: BLE001 (the library names no errors; the peer gets 451)
            await self.push(await self.handle_exception(error))
        self._advance(self._dialogue.answer(b""))

    async def push(self, status: str | bytes) -> None:
        """Write one reply of an inherited method; the session's own replies do not come this way."""
        if self._wire is not None:
            self._wire.write((status.encode("ascii", "replace") if isinstance(status, str) else status) + b"\r\n")

    async def handle_exception(self, error: Exception) -> str:
        """451 with an incident id: a reply never names a class or a file."""
        return self._listener.incident(error, "smtp.command_failed")

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        path = parse_path(arg.encode("utf-8", "surrogateescape"))
        return (None, None) if path is None else (path[0], "")
