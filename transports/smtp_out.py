"""SMTP out: the push half. Parcels to one destination over one kept-alive connection.

*Strategy.* aiosmtplib connects and greets (EHLO, HELO where EHLO is unknown). A peer that offers PIPELINING is then
spoken to by :class:`~.smtp_pipeline.Pipeline`, every other one lock-step by :class:`Lockstep` through aiosmtplib.
Both have one shape: ``run`` takes parcels off a queue and reports each; what is left in the queue when the connection
breaks was certainly not delivered. :class:`SmtpSender` owns the connection and decides what to do with the rest.

Plain commands only: ``MAIL FROM:<a>`` and ``RCPT TO:<b>`` without parameters, never NOOP, STARTTLS only when asked,
because that is all a real receiver on this link knows (naccs-edi.md 7.2).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol, cast

import aiosmtplib

from .base import Outcome, Parcel, Report
from .smtp_pipeline import Pipeline, SendLimits, outcome_of, path, printable, unsendable, wire_text

__all__ = ["EventSink", "Lockstep", "SendLimits", "SmtpSender"]

_HOSTNAME = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}")

_TROUBLE = (aiosmtplib.SMTPException, OSError, ValueError)
"""What aiosmtplib raises for a peer or a network; ValueError covers host names that IDNA cannot spell."""


class EventSink(Protocol):
    """Where events go: a name (``peer.connected``) and its fields. The methods of a structlog logger fit."""

    def __call__(self, event: str, /, **fields: object) -> object:
        """Take one event; what it returns is ignored."""


class Lockstep:
    """One connection, one command at a time, for peers that do not offer PIPELINING.

    The attributes mean what they mean at :class:`~.smtp_pipeline.Pipeline`. The text goes out by the protocol's plain
    ``write``, not by aiosmtplib's ``data``: that one repairs line ends, and its errors do not tell whether the final
    dot was already out, which is the difference between *not delivered* and *unknown*. ``data_reply`` counts from the
    moment the text is handed to the transport, so it includes the time a long text needs on a slow line.
    """

    def __init__(self, client: aiosmtplib.SMTP, limits: SendLimits) -> None:
        self._client = client
        self._limits = limits
        self.broken = ""
        self.closing = False
        self.answered = 0
        self.heard = False

    @property
    def alive(self) -> bool:
        """Whether another parcel may be tried here."""
        return not self.broken and self._client.is_connected

    async def run(self, queue: deque[Parcel], report: Callable[[Report], None]) -> None:
        """Send what is in ``queue``, taking parcels off its left; return when it is empty or the connection is broken.

        Never raises for the peer's sake; an exception that ``report`` raises breaks the connection and comes out here.
        """
        self.heard = False
        try:
            while queue and not self.broken:
                await self._deliver(queue, report)
        except BaseException as error:
            self._break("sending was cancelled" if isinstance(error, asyncio.CancelledError) else "report failed")
            raise

    async def quit(self) -> None:
        """Say QUIT, wait shortly for the answer, close."""
        try:
            if self.alive:
                with contextlib.suppress(*_TROUBLE):
                    await self._client.quit(timeout=self._limits.quit)
        finally:
            self._break("closed")

    async def _deliver(self, queue: deque[Parcel], report: Callable[[Report], None]) -> None:
        parcel = queue[0]
        for command, good in (
            ((b"MAIL", b"FROM:" + path(parcel.sender)), 2),
            ((b"RCPT", b"TO:" + path(parcel.recipient)), 2),
            ((b"DATA",), 3),
        ):
            reply = await self._ask(*command)
            if reply is None:
                return
            code, text = reply
            if code // 100 == good:
                continue
            outcome = outcome_of(code)
            if outcome is None or outcome is Outcome.DELIVERED:
                self._break("out of step: " + text)
                return
            self.answered += 1
            report(Report(queue.popleft().number, outcome, text))
            await self._ask(b"RSET")
            return
        await self._deliver_text(queue, report)

    async def _ask(self, *command: bytes) -> tuple[int, str] | None:
        """One command and its reply; None if the connection broke over it or the peer said 421."""
        try:
            response = await self._client.execute_command(*command, timeout=self._limits.command)
        except _TROUBLE as error:
            self._break(printable(str(error)))
            return None
        text = printable(f"{response.code} {response.message}")
        if response.code == 421:
            self._break(text, closing=True)
            return None
        self.heard = True
        return response.code, text

    async def _deliver_text(self, queue: deque[Parcel], report: Callable[[Report], None]) -> None:
        protocol = self._client.protocol
        if protocol is None:
            self._break("connection closed by the peer")
            return
        try:
            protocol.write(wire_text(queue[0].data) + b".\r\n")
        except _TROUBLE as error:
            self._break(printable(str(error)))
            return
        parcel = queue.popleft()
        try:
            response = await protocol.read_response(timeout=self._limits.data_reply)
        except _TROUBLE as error:
            self._break(printable(str(error)))
            report(Report(parcel.number, Outcome.UNKNOWN, self.broken))
            return
        except asyncio.CancelledError:
            report(Report(parcel.number, Outcome.UNKNOWN, "sending was cancelled"))
            raise
        text = printable(f"{response.code} {response.message}")
        outcome = outcome_of(response.code)
        if outcome is None:
            self._break("out of step: " + text)
            report(Report(parcel.number, Outcome.UNKNOWN, self.broken))
            return
        self.answered += 1
        if response.code == 421:
            self._break(text, closing=True)
        report(Report(parcel.number, outcome, text))

    def _break(self, reason: str, *, closing: bool = False) -> None:
        if not self.broken:
            self.broken, self.closing = reason or "connection lost", closing
            self._client.close()


class SmtpSender:
    """Sends parcels to one destination over at most one connection, which is kept for the next call.

    ``host`` and ``port`` are the peer's; ``source`` the name said in EHLO (ValueError if it cannot stand there);
    ``starttls`` asks for STARTTLS with this context: a peer that does not offer it gets nothing. A courier that wants k
    connections makes k senders. ``on_event`` hears ``peer.connected``, ``peer.connect_failed``, ``peer.disconnected``.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        limits: SendLimits,
        source: str,
        on_event: EventSink | None = None,
        starttls: ssl.SSLContext | None = None,
    ) -> None:
        if _HOSTNAME.fullmatch(source) is None:
            msg = f"not a host name: {source!r}"
            raise ValueError(msg)
        self._host = host
        self._port = port
        self._limits = limits
        self._source = source
        self._on_event = on_event
        self._starttls = starttls
        self._lock = asyncio.Lock()
        self._link: Pipeline | Lockstep | None = None
        self._idle_since = 0.0
        self._idle_timer: asyncio.TimerHandle | None = None
        self._idle_close: asyncio.Task[None] | None = None

    async def send(self, parcels: Sequence[Parcel], report: Callable[[Report], None]) -> None:
        """Send ``parcels`` in order; call ``report`` once for each as soon as its fate is known.

        Never raises for network or protocol trouble. Calls wait for each other. When the call is cancelled, a parcel
        whose final dot is out is reported unknown and every later one deferred before the cancellation goes on.
        """
        queue: deque[Parcel] = deque()
        for parcel in parcels:
            if why := unsendable(parcel):
                report(Report(parcel.number, Outcome.REFUSED, why))
            else:
                queue.append(parcel)
        try:
            async with self._lock:
                await self._work_off(queue, report)
        except asyncio.CancelledError:
            _defer(queue, report, "sending was cancelled")
            raise

    async def close(self) -> None:
        """Wait for a running call, then QUIT and close. A later ``send`` opens a new connection."""
        async with self._lock:
            await self._quit("closed")
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    async def _work_off(self, queue: deque[Parcel], report: Callable[[Report], None]) -> None:
        chances = self._limits.reconnects
        while queue:
            link = self._link
            kept = link is not None and link.alive
            if link is None or not kept:
                self._forget()
                try:
                    link = self._link = await self._connect()
                except _TROUBLE as error:
                    why = printable(str(error) or type(error).__name__)
                    self._tell("peer.connect_failed", error=why)
                    _defer(queue, report, why)
                    return
            try:
                await link.run(queue, report)
            finally:
                if link.broken:
                    self._forget()
            if not link.broken:
                break
            if kept and not link.heard:
                # The peer had closed it while it lay idle, or closed with 421 as we spoke: normal, and not counted.
                continue
            if link.closing or not link.answered or not chances:
                _defer(queue, report, link.broken)
                return
            chances -= 1
        if self._link is not None:
            self._rest()

    async def _connect(self) -> Pipeline | Lockstep:
        """Connect and greet. Raises what aiosmtplib raises; a greeting of 4xx or 5xx says nothing of any parcel."""
        limits = self._limits
        client = aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            local_hostname=self._source,
            timeout=limits.command,
            start_tls=False,
        )
        try:
            await client.connect(timeout=limits.connect)
            await self._greet(client)
            if self._starttls is not None:
                await client.starttls(tls_context=self._starttls)
                await self._greet(client)
        except BaseException:
            client.close()
            raise
        pipelining = client.supports_extension("pipelining")
        self._tell("peer.connected", pipelining=pipelining, tls=self._starttls is not None)
        if pipelining and client.is_connected:
            return Pipeline(cast("asyncio.Transport", client.transport), limits)
        return Lockstep(client, limits)

    async def _greet(self, client: aiosmtplib.SMTP) -> None:
        try:
            await client.ehlo()
        except aiosmtplib.SMTPHeloError:
            # The observed receiver answers EHLO with 500 and knows HELO only. After 421 there is nobody to greet.
            if not client.is_connected:
                raise
            await client.helo()

    # Keeping the connection, and letting it go

    def _rest(self) -> None:
        """From now on nobody uses the connection: it may stay ``keep_alive`` seconds."""
        loop = asyncio.get_running_loop()
        self._idle_since = loop.time()
        if self._idle_timer is None:
            self._idle_timer = loop.call_later(self._limits.keep_alive, self._look_at_rest)

    def _look_at_rest(self) -> None:
        """One timer for many calls: it looks when the last one ended and comes back for the remainder."""
        self._idle_timer = None
        if self._link is None:
            return
        loop = asyncio.get_running_loop()
        left = self._idle_since + self._limits.keep_alive - loop.time()
        if left > 0:
            self._idle_timer = loop.call_later(left, self._look_at_rest)
        else:
            self._idle_close = loop.create_task(self._close_idle())

    async def _close_idle(self) -> None:
        since = self._idle_since
        async with self._lock:
            # A call may have been running, or have come in between: then it has set the time anew.
            if self._idle_since == since:
                await self._quit("idle")

    async def _quit(self, reason: str) -> None:
        if self._link is not None:
            if self._link.alive:
                await self._link.quit()
                self._link.broken = reason
            self._forget()

    def _forget(self) -> None:
        if self._link is not None:
            self._tell("peer.disconnected", reason=self._link.broken or "connection closed by the peer")
            self._link = None

    def _tell(self, event: str, **fields: object) -> None:
        if self._on_event is not None:
            self._on_event(event, host=self._host, port=self._port, **fields)


def _defer(queue: deque[Parcel], report: Callable[[Report], None], why: str) -> None:
    while queue:
        report(Report(queue.popleft().number, Outcome.DEFERRED, why))
