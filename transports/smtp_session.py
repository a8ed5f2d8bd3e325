"""The centre's side of one SMTP conversation: bytes in, replies and mails out.

*Strategy.* The session is a pure state machine. :meth:`SmtpSession.receive` takes whatever the socket gave and returns
the replies that are due, in order, as one piece to write. Two things stop it until :meth:`SmtpSession.answer`: a
complete mail (``mail``), whose reply only the house can give, and a verb that the protocol class serves (``verb``).
What arrives meanwhile is kept and not looked at, so nothing that was pipelined after DATA runs before its reply.

Tolerated from senders (spec/naccs-edi.md 7.2; the rest Unspecified: our choice): HELO only, lower-case verbs, addresses
without brackets, blanks after the colon, source routes, a command line that ends with a lone LF.
Texts of replies: RFC 5321; second numbers: RFC 3463. They are sent to everyone, but not announced
(ENHANCEDSTATUSCODES), because the verbs served by aiosmtpd answer without them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

from sekisho.codecs.mime_parts import MimeLimits
from sekisho.transports.smtp_data import DataReader, Pool

__all__ = ["LIBRARY_VERBS", "Mail", "SmtpLimits", "SmtpSession", "parse_path"]

LIBRARY_VERBS: Final = frozenset(("VRFY", "EXPN", "HELP"))
"""Verbs that aiosmtpd's own methods serve: seldom used, and none of them is part of a mail's way."""


@dataclass(frozen=True, slots=True)
class SmtpLimits:
    """Every limit of an SMTP listener; sizes in bytes, times in seconds. Source: spec/reliability.md section 8.

    Raises ValueError when a limit is not positive or ``data_idle`` is under 5.
    """

    max_object: int = 12 * 1024 * 1024
    """One mail, end mark not counted. Attachments: more than 700,000 bytes of message; beyond it 552."""
    pending_bytes: int = 256 * 1024 * 1024
    """Mails of all connections that are unfinished or wait for their answer: 2,000 times max_object would be 24 GB."""
    command_line: int = 2_048
    """RFC 5321 4.5.3.1.4 asks for 512; parameters add to it."""
    idle_two_way: float = 180.0
    """Between commands, two-way listener: users wait three minutes."""
    idle_mail: float = 120.0
    """Between commands, mail-style listener: the published value since April 2023."""
    data_idle: float = 180.0
    """Between two reads inside DATA. Real senders pause three seconds before the dot, so never under five."""
    transaction: float = 600.0
    """From MAIL to the dot: ends a sender that drips bytes."""
    session: float = 3_600.0
    """The whole connection: ends a peer that lives on NOOP."""
    connections_per_address: int = 50
    """Open connections of one peer address; beyond it 421. Postfix has the same default."""
    connections_per_partner: int = 10
    """Open connections of one sender address; beyond it 421 to MAIL. A partner sends one after the other."""
    connections_total: int = 2_000
    """Open connections of the listener; beyond it 421."""
    mime_depth: int = 20
    """Multiparts inside each other; beyond it the mail is kept unread, for operators."""
    mime_parts: int = 1_000
    """Parts of one mail; the same."""
    attachment_name: int = 190
    """Bytes of one file name in EUC-JP, official; beyond it the message is answered with a result code."""
    attachment_bytes: int = 10 * 1024 * 1024
    """One attached file; the same. Official text gives no value; base64 leaves 9 MiB of a mail of 12."""
    attachments_bytes: int = 12 * 1024 * 1024
    """All files of a mail; the same. As much as the mail itself may have."""
    attachments: int = 100
    """Files of one mail; the same. Item tables have room for 10 or 20 names."""
    bad_commands: int = 20
    """Refused commands in a session before 421. Postfix has the same default."""
    failed_logins: int = 6
    """Failed logins in a session; the last is answered 421. Clients try each mechanism in turn: three tries of two."""
    tls_handshake: float = 30.0
    """From STARTTLS, or from connecting where TLS comes first, to the end of the handshake."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be more than 0")
        if self.data_idle < 5:
            raise ValueError("data_idle under 5 seconds would cut senders that pause before the final dot")

    @property
    def mime(self) -> MimeLimits:
        """Those of them that the taking apart of a mail asks for."""
        return MimeLimits(
            depth=self.mime_depth,
            parts=self.mime_parts,
            attachment_name=self.attachment_name,
            attachment_bytes=self.attachment_bytes,
            attachments_bytes=self.attachments_bytes,
            attachments=self.attachments,
        )


class Mail(NamedTuple):
    """A complete mail: addresses without brackets, ``data`` with dot-stuffing undone, its last CRLF included."""

    sender: str
    recipient: str
    data: bytes


_ADDRESS = r'(?:"(?:[^"\\\x00-\x1f]|\\[^\x00-\x1f])*"|[^\x00-\x20<>"@:\x7f]+)@[^\x00-\x20<>"@\x7f]+'
_PATH = re.compile(rf" *(?:<(?:@[^\x00-\x20<>\x7f]+:)?({_ADDRESS})?>|({_ADDRESS}))(?: +([^\x00-\x1f]*))?")

Parameters = tuple[tuple[str, str], ...]


@functools.lru_cache(maxsize=1024)  # a sender repeats its two addresses with every mail
def parse_path(argument: bytes) -> tuple[str, Parameters] | None:
    """Read what follows ``FROM:`` or ``TO:``: an address, with or without brackets, and its parameters.

    Returns the address without brackets and source route (empty for ``<>``) and the parameters as pairs of upper-case
    name and value; None when it is malformed or not ASCII.
    """
    if not argument.isascii():
        return None
    found = _PATH.fullmatch(argument.decode("ascii").rstrip(" "))
    if found is None:
        return None
    pairs = (word.partition("=") for word in (found[3] or "").split())
    return found[1] or found[2] or "", tuple((name.upper(), value) for name, _, value in pairs)


_TURN = 100
"""Commands of one turn: a peer that pipelines thousands must not keep the others waiting; a mail needs three."""


class SmtpSession:
    """One conversation. ``centre`` holds the recipient addresses in upper case; ``pool`` is shared by the listener.

    ``other_centre`` are the addresses of the other environment, refused with the name of this one.

    ``mail`` and ``verb`` are set while the session waits for :meth:`answer`; ``closing`` is the reason (``quit``, ``bad
    commands``, ``stopping``) why the connection is to be closed after the replies are written; ``transactions`` and
    ``mails`` count MAIL commands and complete mails. ``more``: the turn is over before what came is: call
    :meth:`receive` once more, without bytes, when the other connections have had theirs.
    """

    __slots__ = (
        "_centre",
        "_environment",
        "_hostname",
        "_kept",
        "_limits",
        "_other_centre",
        "_partner",
        "_pool",
        "_reader",
        "_recipient",
        "_retiring",
        "_sender",
        "_skipping",
        "bad",
        "closing",
        "extended",
        "mail",
        "mails",
        "more",
        "peer_name",
        "transactions",
        "verb",
    )

    def __init__(
        self,
        hostname: str,
        centre: frozenset[str],
        limits: SmtpLimits,
        pool: Pool,
        *,
        other_centre: frozenset[str] = frozenset(),
        environment: str = "",
    ) -> None:
        self._hostname = hostname.encode("ascii")
        self._other_centre = other_centre
        self._environment = environment
        self._centre = centre
        self._limits = limits
        self._pool = pool
        self._kept = b""
        self._partner = ""
        self._reader: DataReader | None = None
        self._sender: str | None = None
        self._recipient: str | None = None
        self._skipping = False
        self._retiring = False
        self.bad = 0
        self.closing = ""
        self.extended = False
        self.mail: Mail | None = None
        self.mails = 0
        self.more = False
        self.peer_name = ""
        self.transactions = 0
        self.verb: tuple[str, str] | None = None

    def greeting(self) -> bytes:
        """The first line of the conversation."""
        return b"220 %b ESMTP\r\n" % self._hostname

    @property
    def waiting(self) -> bool:
        """A mail or a verb waits for :meth:`answer`."""
        return self.mail is not None or self.verb is not None

    @property
    def in_transaction(self) -> bool:
        """MAIL was accepted and the mail is not answered yet."""
        return self._sender is not None

    @property
    def in_data(self) -> bool:
        """The bytes that come are those of a mail."""
        return self._reader is not None and self.mail is None

    @property
    def kept(self) -> int:
        """Bytes that came while the session waited."""
        return len(self._kept)

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the peer; returns the replies that are due now, possibly none."""
        if self._kept or self.mail is not None or self.verb is not None:
            data = self._kept + data
            self._kept = b""
        return self._run(data)

    def answer(self, reply: bytes) -> bytes:
        """Give the reply (with CRLF) that ``mail`` or ``verb`` waits for, empty when it has been written already.

        Returns it, followed by the replies to what came meanwhile.
        """
        if self.mail is not None:
            self.mail = None
            self._reset()
        self.verb = None
        kept, self._kept = self._kept, b""
        return reply + self._run(kept)

    def retire(self) -> bytes:
        """End the conversation after the transaction that is under way; returns the reply that is due now."""
        self._retiring = True
        return self._run(b"") if not self.waiting else b""

    def close(self) -> None:
        """The connection is gone: give back what an unfinished mail had taken."""
        if self._reader is not None and self.mail is None:
            self._reader.release()
        self._speak_for("")

    def _speak_for(self, partner: str) -> bool:
        """Count this session under the sender it speaks for; False when that one has too many already."""
        if partner != self._partner:
            if partner and not self._pool.enter(partner):
                return False
            if self._partner:
                self._pool.leave(self._partner)
            self._partner = partner
        return True

    def _run(self, data: bytes) -> bytes:
        replies: list[bytes] = []
        position, size, turn = 0, len(data), _TURN
        self.more = False
        while position < size and not (self.closing or self.mail is not None or self.verb is not None):
            if turn == 0:
                self.more = True
                break
            if self._reader is not None:
                position = self._reader.feed(data, position)
                if position < 0:
                    position = size
                else:
                    replies.append(self._end_data(self._reader))
                continue
            end = data.find(b"\n", position)
            if end < 0:
                if size - position > self._limits.command_line:
                    self._skipping, position = True, size
                break
            line = data[position:end].removesuffix(b"\r")
            position = end + 1
            turn -= 1
            if self._skipping or len(line) > self._limits.command_line:
                self._skipping = False
                replies.append(self._refuse(b"500 5.5.2 Line too long\r\n"))
            else:
                replies.append(self._command(line))
        if position < size:
            self._kept = data[position:]
        if self._retiring and not (self.closing or self.in_transaction or self.waiting):
            self.closing = "stopping"
            replies.append(b"421 4.3.2 %b closing\r\n" % self._hostname)
        return b"".join(replies)

    def _command(self, line: bytes) -> bytes:
        verb, _, argument = line.partition(b" ")
        serve = self.VERBS.get(verb.upper())
        if serve is not None:
            return serve(self, argument)
        name = verb.upper().decode("ascii", "backslashreplace")
        if name not in LIBRARY_VERBS:
            return self._refuse(b"500 5.5.1 Command not recognised\r\n")
        self.verb = (name, argument.strip().decode("ascii", "backslashreplace"))
        return b""

    def _refuse(self, reply: bytes) -> bytes:
        self.bad += 1
        if self.bad < self._limits.bad_commands:
            return reply
        self.closing = "bad commands"
        return b"421 4.7.0 Too many bad commands\r\n"

    def _reset(self) -> None:
        if self._reader is not None:
            self._reader.release()
        self._reader = self._sender = self._recipient = None

    def _helo(self, argument: bytes) -> bytes:
        return self._hello(argument, b"250 %b\r\n", extended=False)

    def _ehlo(self, argument: bytes) -> bytes:
        lines = [b"%b", *self._offers()]
        reply = b"".join(b"250-%b\r\n" % line for line in lines[:-1]) + b"250 %b\r\n" % lines[-1]
        return self._hello(argument, reply, extended=True)

    def _offers(self) -> list[bytes]:
        return [b"SIZE %d" % self._limits.max_object, b"8BITMIME", b"PIPELINING"]

    def _hello(self, argument: bytes, reply: bytes, *, extended: bool) -> bytes:
        name = argument.strip().decode("ascii", "backslashreplace")
        if not name:
            return self._refuse(b"501 5.5.4 Your host name is missing\r\n")
        self._reset()
        self.peer_name, self.extended = name, extended
        return reply % self._hostname

    def _mail(self, argument: bytes) -> bytes:
        if not self.peer_name:
            return self._refuse(b"503 5.5.1 HELO first\r\n")
        if self._sender is not None:
            return self._refuse(b"503 5.5.1 MAIL was given already\r\n")
        if argument[:5].upper() != b"FROM:":
            return self._refuse(b"501 5.5.4 Syntax: MAIL FROM:<address>\r\n")
        path = parse_path(argument[5:])
        if path is None:
            return self._refuse(b"553 5.1.7 Malformed sender address\r\n")
        for name, value in path[1]:
            if name == "SIZE" and value.isdecimal() and len(value) <= 20:
                if int(value) > self._limits.max_object:
                    return b"552 5.3.4 Message too long\r\n"
            else:
                refusal = self._parameter_refused(name, value)
                if refusal:
                    return self._refuse(refusal)
        if not self._speak_for(path[0].upper()):
            self.closing = "too many of one sender"
            return b"421 4.7.0 Too many connections of this sender, try again later\r\n"
        self._sender = path[0]
        self.transactions += 1
        return b"250 2.1.0 OK\r\n"

    def _parameter_refused(self, name: str, value: str) -> bytes:
        if name == "BODY" and value.upper() in ("7BIT", "8BITMIME"):
            return b""
        return b"555 5.5.4 Parameter not supported\r\n"

    def _rcpt(self, argument: bytes) -> bytes:
        if self._sender is None:
            return self._refuse(b"503 5.5.1 MAIL first\r\n")
        if argument[:3].upper() != b"TO:":
            return self._refuse(b"501 5.5.4 Syntax: RCPT TO:<address>\r\n")
        path = parse_path(argument[3:])
        if path is None or not path[0]:
            return self._refuse(b"553 5.1.3 Malformed recipient address\r\n")
        if path[1]:
            return self._refuse(b"555 5.5.4 Parameter not supported\r\n")
        if path[0].upper() not in self._centre:
            if path[0].upper() in self._other_centre:
                here = self._environment.encode("ascii", "replace")
                return self._refuse(b"550 5.1.1 This is the %b environment, not that of this address\r\n" % here)
            return self._refuse(b"550 5.1.1 No such recipient here\r\n")
        if self._recipient is not None:
            return b"452 4.5.3 One recipient per mail\r\n"
        self._recipient = path[0]
        return b"250 2.1.5 OK\r\n"

    def _data(self, argument: bytes) -> bytes:
        if argument.strip():
            return self._refuse(b"501 5.5.4 Syntax: DATA\r\n")
        if self._recipient is None:
            return self._refuse(b"503 5.5.1 RCPT first\r\n")
        self._reader = DataReader(self._limits.max_object, self._pool)
        return b"354 End with a dot\r\n"

    def _end_data(self, reader: DataReader) -> bytes:
        if reader.refusal or self._sender is None or self._recipient is None:
            self._reset()
            return reader.refusal
        self.mails += 1
        self.mail = Mail(self._sender, self._recipient, reader.data)
        return b""

    def _rset(self, _argument: bytes) -> bytes:
        self._reset()
        return b"250 2.0.0 OK\r\n"

    def _noop(self, _argument: bytes) -> bytes:
        return b"250 2.0.0 OK\r\n"

    def _quit(self, _argument: bytes) -> bytes:
        self.closing = "quit"
        return b"221 2.0.0 Bye\r\n"

    VERBS: ClassVar[dict[bytes, Callable[[SmtpSession, bytes], bytes]]] = {
        b"HELO": _helo,
        b"EHLO": _ehlo,
        b"MAIL": _mail,
        b"RCPT": _rcpt,
        b"DATA": _data,
        b"RSET": _rset,
        b"NOOP": _noop,
        b"QUIT": _quit,
    }
