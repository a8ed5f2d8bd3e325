"""One POP3 connection: bytes between a socket and a session, and what the session wants between it and the house.

*Strategy.* Letters are read in the loop, one at a time and only when the peer takes what was written before; replies of
one turn are written as one piece, and after ``out_buffer`` bytes the other connections have their turn. Login,
collecting and the switch to TLS are one task a connection, never two at once.

The box is locked from the login until the session ends, however it ends; only a collecting that is under way keeps it
locked until it is over. A session that is cut deletes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from sekisho.transports.base import TrayError
from sekisho.transports.pop3_session import Collect, Fetch, Login, Pop3Session, State, Upgrade

if TYPE_CHECKING:
    from sekisho.transports.pop3 import Pop3Listener

__all__ = ["Pop3Connection"]

_DOOR = "pop3"
_FLUSH_SECONDS = 10.0
"""How long a peer that does not read may hold up the closing of its connection."""
_PROBES = 3
"""Unanswered questions, 10 seconds apart, after which the other side is taken for dead."""


class Pop3Connection(asyncio.Protocol):
    """One connection of a listener; made by the server for every peer."""

    def __init__(self, listener: Pop3Listener, loop: asyncio.AbstractEventLoop) -> None:
        self._listener = listener
        self._loop = loop
        self._wire: asyncio.Transport | None = None
        self._host = self.peer = self._box = ""
        self._banner = f"<{secrets.token_hex(12)}@{listener.hostname}>" if listener.apop else ""
        self._session = Pop3Session(
            listener.hostname,
            listener.limits,
            banner=self._banner,
            tls_offered=listener.tls is not None,
            tls_required=listener.require_tls,
            secure=listener.implicit_tls,
        )
        self._task: asyncio.Task[bytes] | None = None
        self._inside = self._locked = self._half_closed = self._handshaking = False
        self._write_blocked = self._read_paused = self._turn_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._began = self._active = loop.time()
        self._commands = self._collected = 0
        self._reason = "peer"

    # The socket's side ------------------------------------------------------------------------------------------------

    def enter(self, address: tuple[Any, ...]) -> bool:
        """Be counted by the peer's address (host, port ...); False, and a line in the log, when it is one too many."""
        listener, host = self._listener, address[0]
        self._host = host
        self.peer = f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"
        self._inside = listener.roster.enter(self, host)
        if not self._inside and listener.roster.worth_a_line:
            listener.log.warning(
                "pop3.connection_refused", peer=host, open=len(listener.roster), refused=listener.refused
            )
        return self._inside

    def leave(self) -> None:
        """Be counted no more."""
        if self._inside:
            self._inside = False
            self._listener.roster.leave(self, self._host)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, or refuse."""
        self._wire = transport  # type: ignore[assignment]
        if not (self._inside or self.enter(transport.get_extra_info("peername") or ("", 0))):
            self._session.closing = "refused"
            self._finish(b"-ERR [SYS/TEMP] Too many connections, try again later\r\n", "refused")
            return
        self._watch(transport.get_extra_info("socket"))
        self._timer = self._loop.call_later(self._shortest(), self._check_time)
        self._bound_writing()
        self._advance(self._session.greeting())

    def _watch(self, sock: socket.socket | None) -> None:
        """Have the system find out that the other side is gone without a word."""
        if sock is None:
            return
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (
            ("TCP_KEEPIDLE", self._listener.limits.keepalive),
            ("TCP_KEEPINTVL", 10),
            ("TCP_KEEPCNT", _PROBES),
        ):
            if hasattr(socket, option):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def _bound_writing(self) -> None:
        if self._wire is not None:
            self._wire.set_write_buffer_limits(high=self._listener.limits.out_buffer)

    def data_received(self, data: bytes) -> None:
        """Feed the session. Only complete commands count as activity: bytes that drip do not."""
        session = self._session
        if session.closing or (isinstance(session.want, Upgrade) and not self._handshaking):
            return  # text that came after STLS must not be read as said inside TLS
        replies = session.receive(data)
        if session.commands != self._commands:
            self._commands, self._active = session.commands, self._loop.time()
        self._advance(replies)

    def eof_received(self) -> bool:
        """Keep the connection for the answers that are still due; otherwise let it close."""
        self._half_closed = True
        return self._busy() and not self._session.secure  # TLS has no half-closed connections

    def connection_lost(self, error: Exception | None) -> None:
        """The socket is gone: nothing is deleted, and the box is free for the next session."""
        if self._wire is None:
            return
        self._wire = None
        if self._timer is not None:
            self._timer.cancel()
        if not self._inside:
            return
        if self._task is None or not isinstance(self._session.want, Collect):
            self._unlock()
        self._log_end(error)
        if self._task is None:
            self.leave()

    def pause_writing(self) -> None:
        """The peer does not read its replies: make no more, and do not read its commands."""
        self._write_blocked = True
        self._set_reading()

    def resume_writing(self) -> None:
        """The peer reads again, which is activity too."""
        self._write_blocked = False
        self._active = self._loop.time()
        self._advance(b"")

    # The dialogue -----------------------------------------------------------------------------------------------------

    def _busy(self) -> bool:
        return self._task is not None or self._session.want is not None or self._session.more or self._write_blocked

    def _advance(self, replies: bytes) -> None:
        """Write the replies and what follows from them, up to ``out_buffer``; then serve what is wanted."""
        session, pieces, size = self._session, [replies], len(replies)
        while not (session.closing or self._write_blocked) and size < self._listener.limits.out_buffer:
            if isinstance(session.want, Fetch):
                replies = self._fetch(session.want)
            elif session.more and session.want is None:
                replies = session.proceed()
            else:
                break
            pieces.append(replies)
            size += len(replies)
        wire = self._wire
        if wire is None:
            return
        if session.closing == "quit":
            self._unlock()  # first: who hears +OK may come back at once
        if size:
            wire.write(b"".join(pieces))
        if session.closing:
            self._finish(b"", session.closing)
            return
        match session.want:
            case Login() as want if self._task is None:
                self._serve(self._log_in(want))
            case Collect() as want if self._task is None:
                self._serve(self._collect(want))
            case Upgrade() if self._task is None:
                wire.pause_reading()
                self._serve(self._begin_tls(wire))
            case Fetch() | None if self._busy() and self._task is None:
                self._take_turn()
            case None if self._half_closed:
                wire.close()
        self._set_reading()

    def _take_turn(self) -> None:
        if not (self._write_blocked or self._turn_due):
            self._turn_due = True
            self._loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._turn_due = False
        if self._wire is not None and not self._session.closing:
            self._advance(b"")

    def _set_reading(self) -> None:
        wire, session = self._wire, self._session
        if wire is None or wire.is_closing() or isinstance(session.want, Upgrade):
            return
        pause = self._write_blocked or session.kept > self._listener.limits.pipelined_bytes
        if pause != self._read_paused:
            self._read_paused = pause
            (wire.pause_reading if pause else wire.resume_reading)()

    def _fetch(self, want: Fetch) -> bytes:
        try:
            mail = self._listener.tray.mail(want.number)
        except TrayError as error:
            return self._session.refuse("SYS/TEMP", str(error))
        except Exception as error:  # noqa: BLE001 (whatever the house does, the peer gets a reply)
            return self._session.refuse("SYS/TEMP", self._listener.incident(error, "pop3.letter_failed"))
        if len(mail) != want.size:  # the letter must not get stuck for it: RETR tells the right count
            self._listener.log.error("pop3.size_differs", letter=want.number, listed=want.size, size=len(mail))
        return self._session.give(mail)

    def _serve(self, work: Coroutine[Any, Any, bytes]) -> None:
        self._task = self._loop.create_task(work)
        self._task.add_done_callback(self._served)

    def _served(self, task: asyncio.Task[bytes]) -> None:
        self._task = None
        self._active = self._loop.time()
        if self._wire is None:
            self._unlock()
            self.leave()
        elif task.cancelled() or task.exception() is not None:
            if not task.cancelled():
                self._listener.incident(task.exception() or RuntimeError(), "pop3.session_failed")
            self._wire.abort()
        else:
            self._advance(task.result())

    async def _log_in(self, want: Login) -> bytes:
        session, listener = self._session, self._listener
        keeper, tray = listener.doorkeeper, listener.tray
        try:
            if want.apop:
                box = await keeper.apop(want.name, self._banner, want.secret, self._host)
            else:
                box = await keeper.password(_DOOR, want.name, want.secret, self._host)
            if self._wire is None:
                return b""
            if box is None:
                listener.log.info("pop3.login_refused", peer=self.peer, box=want.name[:64], apop=want.apop)
                return session.refuse("AUTH", "Name or password is wrong")
            if not tray.lock(box):
                listener.log.info("pop3.box_in_use", peer=self.peer, box=box)
                return session.refuse("IN-USE", "Another session has this mailbox")
            self._box, self._locked = box, True
            letters = tray.waiting(box)
        except TrayError as error:
            self._unlock()
            return session.refuse("SYS/TEMP", str(error))
        except Exception as error:  # noqa: BLE001 (whatever the house does, the peer gets a reply)
            self._unlock()
            return session.refuse("SYS/TEMP", listener.incident(error, "pop3.login_failed"))
        listener.log.debug(
            "pop3.session_opened", peer=self.peer, box=box, letters=len(letters), tls=session.secure, apop=want.apop
        )
        return session.admit(letters)

    async def _collect(self, want: Collect) -> bytes:
        trouble = ""
        try:
            await self._listener.tray.collect(self._box, want.numbers, _DOOR, self.peer)
        except TrayError as error:
            trouble = str(error) or "Nothing was deleted"
        except Exception as error:  # noqa: BLE001 (whatever the house does, the peer gets a reply)
            trouble = self._listener.incident(error, "pop3.collect_failed")
        self._unlock()
        self._collected = 0 if trouble else len(want.numbers)
        if self._wire is None:
            self._listener.log.info(
                "pop3.answer_unheard", peer=self.peer, letters=self._collected, trouble=trouble or None
            )
        return self._session.collected(trouble)

    async def _begin_tls(self, wire: asyncio.Transport) -> bytes:
        listener = self._listener
        if listener.tls is None:
            raise RuntimeError("STLS was offered without a certificate")
        self._handshaking = True
        try:
            secured = await self._loop.start_tls(
                wire, self, listener.tls, server_side=True, ssl_handshake_timeout=listener.limits.login
            )
        except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
            self._reason = "TLS failed"
            wire.abort()
            self.connection_lost(error)
            return b""
        if self._wire is None or secured is None:
            return b""
        self._wire = secured
        self._bound_writing()
        return self._session.upgraded()

    def _unlock(self) -> None:
        if self._locked:
            self._locked = False
            self._listener.tray.unlock(self._box)

    # The end ----------------------------------------------------------------------------------------------------------

    def retire(self, *, now: bool = False) -> None:
        """End if nobody is logged in, or ``now``; a collecting is waited for."""
        reply = self._session.retire(now=now)
        if self._session.closing and not isinstance(self._session.want, Collect):
            self._finish(reply, self._session.closing)

    def abort(self) -> None:
        """Close without a word and without waiting for the peer to read."""
        if self._wire is not None:
            self._wire.abort()

    def _finish(self, reply: bytes, reason: str) -> None:
        wire = self._wire
        if wire is None or wire.is_closing():
            return
        self._reason = reason
        if isinstance(self._session.want, Upgrade):  # a handshake is under way: there is nothing to say it in
            wire.abort()
            return
        if reply:
            wire.write(reply)
        wire.close()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(_FLUSH_SECONDS, self.abort)

    def _shortest(self) -> float:
        limits = self._listener.limits
        return min(limits.idle, limits.login, limits.session)

    def _check_time(self) -> None:
        """The one timer of a connection: compares the noted times with the limits and sets itself again."""
        session, limits, now = self._session, self._listener.limits, self._loop.time()
        due = {"idle": self._active + limits.idle, "session": self._began + limits.session}
        if session.state is State.AUTHORIZATION:
            due["login"] = self._began + limits.login
        reason = min(due, key=due.__getitem__)
        if isinstance(session.want, Login | Collect):  # it is we who are slow
            self._timer = self._loop.call_later(self._shortest(), self._check_time)
        elif due[reason] <= now:
            # RFC 1939 section 3: closed without a word, and nothing is deleted.
            session.closing = reason
            self._reason = reason
            if self._write_blocked:
                self.abort()
            else:
                self._finish(b"", reason)
        else:
            self._timer = self._loop.call_later(min(due[reason] - now, self._shortest()), self._check_time)

    def _log_end(self, error: Exception | None) -> None:
        session, log = self._session, self._listener.log
        usual = session.state is State.AUTHORIZATION and self._reason in ("peer", "quit")
        if usual and not log.is_enabled_for(logging.DEBUG):
            return
        (log.debug if usual else log.info)(
            "pop3.session_closed",
            peer=self.peer,
            box=self._box or None,
            reason=self._reason,
            retrieved=session.retrieved,
            deleted=self._collected,
            bytes=session.octets,
            bad_commands=session.bad,
            seconds=round(self._loop.time() - self._began, 3),
            error=str(error) if error else None,
        )
