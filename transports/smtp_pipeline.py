"""SMTP to a peer that offers PIPELINING: one round trip a message (RFC 2920).

*Strategy.* :class:`Pipeline` is an :class:`asyncio.Protocol` that takes over an open, greeted connection. It writes
MAIL, RCPT and DATA of a parcel in one segment, and later the text, the final dot and the next parcel's MAIL, RCPT and
DATA in one segment: RFC 2920 section 3.1 lets DATA be only the last command of a group and the text be the first thing
of the next. What the peer still owes is one queue of :class:`_Owed`; a reply takes its head, and everything that may
happen is decided there. A parcel leaves the caller's queue when its fate is known or its final dot was handed to the
transport, so what is left in the queue when the connection breaks was certainly not delivered.

The small functions that put a parcel on the wire are here too; the lock-step way (:mod:`.smtp_out`) shares them.
"""

from __future__ import annotations

import asyncio
import enum
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from .base import Outcome, Parcel, Report

__all__ = ["Pipeline", "SendLimits", "outcome_of", "path", "printable", "unsendable", "wire_text"]

_SHOWN = 200
"""Characters of a reply that an operator gets to see."""

_MAILBOX = re.compile(r"[!-;=?-~]{0,254}")
"""Printable ASCII without space, ``<`` and ``>``: nothing in it can end path or command (RFC 5321 4.5.3.1.3)."""

_UNPRINTABLE = re.compile(r"[^ -~]+")

_OUTCOMES = {2: Outcome.DELIVERED, 4: Outcome.DEFERRED, 5: Outcome.REFUSED}


@dataclass(frozen=True, slots=True)
class SendLimits:
    """How long to wait for a peer and how much to take from it. Times in seconds, sizes in bytes."""

    connect: float = 10.0
    """For the TCP connection, and again for the greeting: both sides stand in one closed network."""
    command: float = 30.0
    """For the reply to a command: real peers answer within 3 s or give up themselves (naccs-edi.md 7.2)."""
    data_reply: float = 120.0
    """For the reply to the final dot: a receiver may store, print and convert before it says yes."""
    keep_alive: float = 60.0
    """An unused connection is closed after this; peers of this link close theirs after 120 s or more."""
    quit: float = 2.0
    """For the reply to QUIT: politeness must not hold up a shutdown."""
    reconnects: int = 1
    """Fresh connections within one call after one broke that had answered for at least one parcel."""
    max_line: int = 8192
    """Of one reply line. RFC 5321 says 512; a longer one is either a very talkative peer or no SMTP at all."""
    max_reply: int = 32768
    """Of one whole reply with all its lines."""


def printable(text: str) -> str:
    """``text`` as an operator may see it: printable ASCII, one line, at most 200 characters."""
    if text.isascii() and text.isprintable():
        return text[:_SHOWN]
    return _UNPRINTABLE.sub("?", " ".join(text[: 4 * _SHOWN].split()))[:_SHOWN]


def outcome_of(code: int) -> Outcome | None:
    """What a final reply ``code`` means for a parcel; None if it is no final reply (1xx, 3xx, out of range)."""
    return _OUTCOMES.get(code // 100)


def path(address: str) -> bytes:
    """``address`` in angle brackets and nothing else: a real receiver takes exactly ``<addr>`` (naccs-edi.md 7.2).

    The empty address is the null reverse path ``<>``. ValueError for anything that could not stand there safely.
    """
    if _MAILBOX.fullmatch(address) is None:
        msg = f"address not sendable: {address!r}"
        raise ValueError(msg)
    return b"<%b>" % address.encode("ascii")


@lru_cache(maxsize=1024)
def _envelope(sender: str, recipient: str) -> bytes:
    """The group MAIL, RCPT, DATA. Cached: a destination has few addresses and thousands of messages."""
    return b"MAIL FROM:%b\r\nRCPT TO:%b\r\nDATA\r\n" % (path(sender), path(recipient))


def unsendable(parcel: Parcel) -> str:
    """Why ``parcel`` may not go on the wire at all; empty if it may.

    A lone CR or LF is refused, never repaired: receivers disagree on whether it ends a line, which is how one mail
    becomes two. (The relay's own output never carries one.)
    """
    try:
        _envelope(parcel.sender, parcel.recipient)
    except ValueError as error:
        return printable(str(error))
    if not parcel.recipient:
        return "no recipient"
    data = parcel.data
    lines = data.count(b"\r\n")
    if data.count(b"\n") != lines or data.count(b"\r") != lines:
        return "the mail has a line end other than CR LF"
    return ""


def wire_text(data: bytes) -> bytes:
    """``data`` as it is sent: dots at line starts doubled (RFC 5321 4.5.2), last line ended. Without the final dot."""
    if b"\r\n." in data:
        data = data.replace(b"\r\n.", b"\r\n..")
    if data.startswith(b"."):
        data = b"." + data
    if data and not data.endswith(b"\r\n"):
        data += b"\r\n"
    return data


class _Owed(enum.Enum):
    """What the peer still has to answer."""

    TEXT = "text"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    NOTHING_OF_USE = "nothing of use"
    """A lone dot, RSET or QUIT: any reply will do."""


# Bound once: attribute access on an Enum class is slow enough to show in the cost of a message.
_TEXT, _MAIL, _RCPT, _DATA, _ANY = _Owed
_ENVELOPE = (_MAIL, _RCPT, _DATA)
_NOTHING_TO_SAY = (_MAIL, _RCPT)
_AFTER_LONE_DOT: tuple[_Owed, ...] = (_ANY, _ANY)
_AFTER_REFUSED_DATA: tuple[_Owed, ...] = (_ANY,)

_DOT = b".\r\n"
_RSET = b"RSET\r\n"


class Pipeline(asyncio.Protocol):
    """One connection that pipelines. Takes ``transport`` over; the greeting and EHLO are already done.

    ``broken`` is empty while the connection may be used, then the reason; ``closing`` tells that the peer said 421;
    ``answered`` counts the parcels it has answered for; ``heard`` tells whether any reply but 421 came in this run.
    """

    def __init__(self, transport: asyncio.Transport, limits: SendLimits) -> None:
        self._transport = transport
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Parcel] = deque()
        self._report: Callable[[Report], None] | None = None
        self._sent: Parcel | None = None
        self._fault: tuple[Outcome, str] | None = None
        self._owed: deque[_Owed] = deque()
        self._tail = b""
        self._earlier = b""
        self._done: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._unwritten = 0
        self.broken = ""
        self.closing = False
        self.answered = 0
        self.heard = False
        transport.set_protocol(self)
        if transport.is_closing():
            self._break("connection closed by the peer")

    @property
    def alive(self) -> bool:
        """Whether another parcel may be tried here."""
        return not self.broken

    async def run(self, queue: deque[Parcel], report: Callable[[Report], None]) -> None:
        """Send what is in ``queue`` (not empty), taking parcels off its left; return when it is empty or all is broken.

        Never raises for the peer's sake. An exception that ``report`` raises breaks the connection and comes out here.
        """
        self._queue, self._report = queue, report
        self.heard = False
        done = self._done = self._loop.create_future()
        self._write_next(b"", ())
        self._postpone()
        if self._timer is None:
            self._timer = self._loop.call_later(self._tick_after(), self._tick)
        try:
            await done
        except asyncio.CancelledError:
            self._break("sending was cancelled")
            raise
        finally:
            self._done = self._report = None
            self._queue = deque()

    async def quit(self) -> None:
        """Say QUIT, wait shortly for the answer, close."""
        if self.broken:
            return
        done = self._done = self._loop.create_future()
        self._transport.write(b"QUIT\r\n")
        self._owed.append(_ANY)
        try:
            async with asyncio.timeout(self._limits.quit):
                await done
        except TimeoutError:
            pass
        finally:
            self._break("closed")

    # What the transport calls

    def data_received(self, data: bytes) -> None:
        """Take replies apart, however they are cut into segments."""
        if self._tail:
            data = self._tail + data
        lines = data.split(b"\n")
        self._tail = lines.pop()
        if len(data) > self._limits.max_line and max(map(len, (*lines, self._tail))) > self._limits.max_line:
            self._break("reply too long")
            return
        progress = False
        for line in lines:
            if self.broken:
                return
            code, mark = line[:3], line[3:4]
            if not code.isdigit() or len(code) < 3 or mark not in b"- \r":
                self._break("not an SMTP reply: " + printable(line.decode("latin-1")))
            elif mark == b"-":
                self._earlier += line[4:].rstrip() + b" "
            else:
                self._reply(int(code), line)
                progress = True
        if len(self._earlier) > self._limits.max_reply:
            self._break("reply too long")
        elif progress:
            # Only a whole reply moves the deadline: a peer that drips bytes does not keep us.
            self._postpone()

    def eof_received(self) -> bool:
        """A half-closed peer will answer nothing more that can be trusted."""
        self._break("connection closed by the peer")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end, whoever caused it."""
        self._break(f"connection lost: {exc}" if exc else "connection closed by the peer")

    # What a reply leads to

    def _reply(self, code: int, line: bytes) -> None:
        if code == 250 and self._owed and not self._earlier and self._owed[0] in _NOTHING_TO_SAY:
            self._owed.popleft()  # the usual answer to MAIL or RCPT; DATA is owed behind it
            self.heard = True
            return
        text = line.decode("latin-1").rstrip()
        if self._earlier:
            text = f"{code} {self._earlier.decode('latin-1')}{text[4:]}"
            self._earlier = b""
        if not self._owed:
            # Nobody asked: most often "421 idle too long" just before the peer closes.
            self._break(printable(text))
            return
        owed = self._owed.popleft()
        if code == 421:
            if owed is _TEXT:
                self._answer_text(Outcome.DEFERRED, text)
            self._break(printable(text), closing=True)
            return
        self.heard = True
        outcome = outcome_of(code)
        if owed is _DATA:
            self._answer_data(code, outcome, text)
        elif owed is _TEXT:
            if outcome is None:
                self._break("out of step: " + printable(text))
                return
            self._answer_text(outcome, text)
        elif owed is not _ANY and outcome is not Outcome.DELIVERED and self._fault is None:
            # MAIL or RCPT refused. The first refusal is the reason: the "bad sequence" of later ones follows from it.
            if outcome is None:
                self._break("out of step: " + printable(text))
                return
            self._fault = (outcome, text)
        if not self._owed:
            self._finish()

    def _answer_data(self, code: int, outcome: Outcome | None, text: str) -> None:
        """The whole envelope is answered: send the text, or clear up and go on with the next parcel."""
        fault = self._fault
        if code == 354:
            if fault is None:
                parcel = self._sent = self._queue.popleft()
                self._write_next(wire_text(parcel.data) + _DOT, (_TEXT,))
                return
            # RFC 2920 3.1: a DATA that is accepted though no recipient was valid is ended with a lone dot and its
            # reply means nothing. RSET, because peers differ on what such a dot leaves behind.
            head, steps = _DOT + _RSET, _AFTER_LONE_DOT
        elif outcome is Outcome.DEFERRED or outcome is Outcome.REFUSED:
            # A strict peer would answer the next MAIL with "nested MAIL" while this transaction stands.
            head, steps = _RSET, _AFTER_REFUSED_DATA
        else:
            self._break("out of step: " + printable(text))
            return
        self._fault = None
        self.answered += 1
        self._tell(self._queue.popleft(), *(fault or (outcome or Outcome.DEFERRED, text)))
        self._write_next(head, steps)

    def _answer_text(self, outcome: Outcome, text: str) -> None:
        parcel, self._sent = self._sent, None
        if parcel is not None:
            self.answered += 1
            self._tell(parcel, outcome, text)

    def _tell(self, parcel: Parcel, outcome: Outcome, text: str) -> None:
        if self._report is None:
            return
        try:
            self._report(Report(parcel.number, outcome, printable(text)))
        except Exception as error:  # noqa: BLE001 - the caller's own error; it comes out of run(), not in the event loop
            self._error = error
            self._break("report failed")

    def _write_next(self, head: bytes, steps: tuple[_Owed, ...]) -> None:
        """One segment: ``head`` (answered by ``steps``) and the envelope of the next parcel, if there is one."""
        if self.broken:
            return
        if self._queue:
            parcel = self._queue[0]
            head += _envelope(parcel.sender, parcel.recipient)
            self._owed.extend(steps + _ENVELOPE)
        else:
            self._owed.extend(steps)
        self._transport.write(head)
        self._unwritten = self._transport.get_write_buffer_size()

    # The end, and time

    def _finish(self) -> None:
        if self._done is not None and not self._done.done():
            if self._error is not None:
                self._done.set_exception(self._error)
            else:
                self._done.set_result(None)

    def _break(self, reason: str, *, closing: bool = False) -> None:
        """Never use this connection again; the parcel whose dot is out and unanswered is unknown."""
        if self.broken:
            return
        self.broken, self.closing = reason, closing
        self._owed.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._transport.abort()
        parcel, self._sent = self._sent, None
        if parcel is not None:
            self._tell(parcel, Outcome.UNKNOWN, reason)
        self._finish()

    def _tick_after(self) -> float:
        return min(self._limits.command, self._limits.data_reply)

    def _postpone(self) -> None:
        """The next reply is due so long from now."""
        if self._owed:
            text_first = self._owed[0] is _TEXT
            self._deadline = self._loop.time() + (self._limits.data_reply if text_first else self._limits.command)

    def _tick(self) -> None:
        """One timer a connection, not one a command: it looks at the deadline often enough never to be late."""
        self._timer = None
        if not self._owed:
            return
        now = self._loop.time()
        if now >= self._deadline:
            unwritten = self._transport.get_write_buffer_size()
            if unwritten >= self._unwritten:
                self._break("no reply to the text in time" if self._owed[0] is _TEXT else "no reply in time")
                return
            # A long text was still flowing out over a slow line: the wait for its answer begins now.
            self._unwritten = unwritten
            self._postpone()
        self._timer = self._loop.call_later(min(self._deadline - now, self._tick_after()), self._tick)
