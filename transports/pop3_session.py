"""The POP3 dialogue, seen from the server: bytes in, replies out, no socket and no clock.

*Strategy.* :class:`Pop3Session` takes the commands of one read one after the other; its replies come back as one piece,
which is all that PIPELINING (RFC 2449 6.6) asks for. Commands are one table (``COMMANDS``): in which states each is
legal and how many arguments it takes. What the session cannot know itself it asks for in ``want`` and stops until it is
told: a login, a letter's bytes, the collecting at QUIT, the switch to TLS. What arrives meanwhile is kept unread.

Output is bounded, not only input: a run ends when about ``out_buffer`` bytes of replies are made (``more`` is set then)
and goes on with :meth:`Pop3Session.proceed` when those are written, so a peer that does not read is owed one piece and
one letter, never a maildrop. The maildrop is the snapshot of the login
(:class:`~sekisho.transports.pop3_drop.Maildrop`).

Source: RFC 1939, 2449 (CAPA, response codes), 2595 (STLS), 3206 (SYS and AUTH codes), 5034 and 4616 (AUTH PLAIN).
Unspecified, our choice: a command line may end with a lone LF; bytes outside printable US-ASCII are refused (UTF8 is
not offered); CAPA may stand between USER and PASS; USER says +OK to every name, so nobody learns which boxes exist.
"""

from __future__ import annotations

import binascii
import enum
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from sekisho.transports.base import Waiting
from sekisho.transports.pop3_drop import Maildrop, stuffed, top_of
from sekisho.transports.pop3_limits import Pop3Limits

__all__ = ["Collect", "Fetch", "Login", "Pop3Session", "State", "Upgrade", "Want"]


class State(enum.Flag):
    """RFC 1939's states; UPDATE lasts from QUIT to its answer, in which no command is looked at."""

    AUTHORIZATION = enum.auto()
    TRANSACTION = enum.auto()
    UPDATE = enum.auto()


@dataclass(frozen=True, slots=True)
class Login:
    """Somebody wants in: :meth:`Pop3Session.admit` or :meth:`Pop3Session.refuse`.

    ``secret`` is the password, or with ``apop`` the digest in lower-case hex.
    """

    name: str
    secret: str = field(repr=False)
    apop: bool = False


@dataclass(frozen=True, slots=True)
class Fetch:
    """The letter ``number``, listed with ``size`` bytes: :meth:`Pop3Session.give` or :meth:`Pop3Session.refuse`."""

    number: int
    size: int


@dataclass(frozen=True, slots=True)
class Collect:
    """QUIT: these letters are to be taken out of the box: :meth:`Pop3Session.collected`."""

    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Write the replies, then begin TLS: :meth:`Pop3Session.upgraded`."""


Want = Login | Fetch | Collect | Upgrade

_UNPRINTABLE = re.compile(rb"[^\x20-\x7e]")
_DIGEST = re.compile(rb"[0-9a-fA-F]{32}")


def _error(code: str, text: str) -> bytes:
    """A reply with a response code; the house's text becomes one line of at most 400 bytes (RFC 2449: 512 in all)."""
    return b"-ERR [%b] %b\r\n" % (code.encode("ascii"), " ".join(text.split()).encode("ascii", "replace")[:400])


@dataclass(frozen=True, slots=True)
class _Command:
    """When a command is legal, its least and most arguments; ``whole``: all that follows is one argument."""

    serve: Callable[[Pop3Session, list[bytes]], None]
    states: State
    least: int = 0
    most: int = 0
    whole: bool = False


class Pop3Session:
    """One conversation.

    ``banner`` is the timestamp of APOP (``<...@host>``), empty where APOP is not offered; ``tls_offered`` says whether
    STLS can be served, ``tls_required`` that nobody logs in without TLS, ``secure`` that it is on already. ``want`` is
    what the session waits for, ``closing`` the reason why the connection is to be closed after the replies are written
    (``quit``, ``bad commands``, ``text before TLS``, ``stopping``), ``more`` that :meth:`proceed` has more replies.
    Counters: ``commands`` complete ones, ``bad`` refused ones, ``retrieved`` letters and ``octets`` of RETR.
    """

    __slots__ = (
        "_at",
        "_banner",
        "_data",
        "_drop",
        "_hostname",
        "_in_auth",
        "_limits",
        "_name",
        "_pieces",
        "_room",
        "_skipping",
        "_sources",
        "_tls_offered",
        "_tls_required",
        "_top",
        "bad",
        "closing",
        "commands",
        "more",
        "octets",
        "retrieved",
        "secure",
        "state",
        "want",
    )

    def __init__(
        self,
        hostname: str,
        limits: Pop3Limits,
        *,
        banner: str = "",
        tls_offered: bool = False,
        tls_required: bool = False,
        secure: bool = False,
    ) -> None:
        self._hostname = hostname.encode("ascii")
        self._limits = limits
        self._banner = banner.encode("ascii")
        self._tls_offered = tls_offered
        self._tls_required = tls_required
        self._data = b""
        self._at = 0
        self._skipping = self._in_auth = False
        self._name = ""
        self._pieces: list[bytes] = []
        self._room = 0
        self._sources: Iterator[bytes] | None = None
        self._top: int | None = None
        self.bad = self.commands = self.octets = self.retrieved = 0
        self.closing = ""
        self.more = False
        self.secure = secure
        self.state = State.AUTHORIZATION
        self.want: Want | None = None
        self._drop = Maildrop()

    def greeting(self) -> bytes:
        """The first line of the conversation."""
        return b"+OK %b POP3 ready%b\r\n" % (self._hostname, b" " + self._banner if self._banner else b"")

    @property
    def kept(self) -> int:
        """Bytes that came ahead of their turn."""
        return len(self._data) - self._at

    @property
    def deleted(self) -> int:
        """Letters that are marked as deleted."""
        return len(self._drop.marked())

    # What goes on around it -------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the peer; returns the replies that are due now, possibly none."""
        self._data = self._data[self._at :] + data if self.kept else data
        self._at = 0
        return self.proceed() if not self.more else b""

    def proceed(self) -> bytes:
        """Go on after the last piece is written; returns the next replies."""
        self._room = self._limits.out_buffer
        self._run()
        replies = b"".join(self._pieces)
        self._pieces.clear()
        return replies

    def admit(self, letters: Sequence[Waiting]) -> bytes:
        """The login is good and the box is this session's: its letters, as they stay until the session ends."""
        self._drop = Maildrop(letters)
        self.state = State.TRANSACTION
        return self._told(b"+OK %d letters (%d octets)\r\n" % (self._drop.left, self._drop.octets))

    def give(self, mail: bytes) -> bytes:
        """The letter that was wanted."""
        if self._top is None:
            self.retrieved += 1
            self.octets += len(mail)
            head = b"+OK %d octets\r\n" % len(mail)
        else:
            mail = top_of(mail, self._top)
            head = b"+OK\r\n"
        wire, size = stuffed(mail), self._limits.out_buffer
        if len(wire) <= size:
            return self._told(head + wire)
        self._sources = (wire[at : at + size] for at in range(0, len(wire), size))
        return self._told(head)

    def refuse(self, code: str, text: str) -> bytes:
        """What was wanted is not to be had: a response code (``AUTH``, ``IN-USE``, ``SYS/TEMP``) and public text."""
        reply = _error(code, text)
        if isinstance(self.want, Login):
            self._name = ""
            self._refuse(reply)
            reply = b""
        return self._told(reply)

    def collected(self, trouble: str = "") -> bytes:
        """The letters are out of the box, or, with ``trouble`` (public text), all of them are still there."""
        self.closing = "quit"
        if trouble:
            self._drop.unmark()
            return self._told(_error("SYS/TEMP", trouble))
        return self._told(b"+OK %d letters collected\r\n" % self.deleted)

    def upgraded(self) -> bytes:
        """TLS is on, and what is fed from now on came inside it; what was said before does not count (RFC 2595 4)."""
        self.secure = True
        self._name = ""
        return self._told(b"")

    def retire(self, *, now: bool = False) -> bytes:
        """End the conversation if nobody is logged in, or ``now``; returns what is said about it."""
        if self.closing or self.state is State.UPDATE or not (now or self.state is State.AUTHORIZATION):
            return b""
        self.closing = "stopping"
        return b"" if self.want or self.more else b"-ERR [SYS/TEMP] Closing, try again later\r\n"

    # The dialogue -----------------------------------------------------------------------------------------------------

    def _say(self, reply: bytes) -> None:
        self._pieces.append(reply)
        self._room -= len(reply)

    def _told(self, reply: bytes) -> bytes:
        """Go on after an answer to ``want``, its reply first."""
        self.want = None
        self._pieces.append(reply)
        return self.proceed()

    def _refuse(self, reply: bytes) -> None:
        self.bad += 1
        self._say(reply)
        if self.bad >= self._limits.bad_commands:
            self.closing = "bad commands"

    def _run(self) -> None:
        data = self._data
        while not self.closing and self.want is None:
            self.more = self._room <= 0
            if self.more:
                return
            if self._sources is not None:
                piece = next(self._sources, None)
                if piece is None:
                    self._sources = None
                else:
                    self._say(piece)
                continue
            bound = self._limits.auth_line_bytes if self._in_auth else self._limits.line_bytes
            end = data.find(b"\n", self._at)
            if end < 0:
                if len(data) - self._at >= bound:
                    self._skipping = True
                if self._skipping:
                    self._data, self._at = b"", 0
                return
            line, too_long = data[self._at : end], self._skipping or end - self._at >= bound
            self._at, self._skipping = end + 1, False
            self.commands += 1
            if too_long:
                self._in_auth = False
                self._refuse(b"-ERR Line too long\r\n")
            elif self._in_auth:
                self._in_auth = False
                self._auth_response(line.removesuffix(b"\r"))
            else:
                self._command(line.removesuffix(b"\r"))
        self.more = False

    def _command(self, line: bytes) -> None:
        verb, _, rest = line.partition(b" ")
        command = self.COMMANDS.get(verb.upper())
        if _UNPRINTABLE.search(line):
            self._refuse(b"-ERR Only printable US-ASCII is read here\r\n")
        elif command is None:
            self._refuse(b"-ERR Unknown command\r\n")
        elif self.state not in command.states:
            self._refuse(b"-ERR Not in this state\r\n")
        else:
            # A blank may be part of a password (RFC 1939, PASS); elsewhere one too many is forgiven.
            arguments = ([rest] if rest else []) if command.whole else rest.split()
            if command.least <= len(arguments) <= command.most:
                command.serve(self, arguments)
            else:
                self._refuse(b"-ERR Wrong number of arguments\r\n")

    # AUTHORIZATION ----------------------------------------------------------------------------------------------------

    def _may_log_in(self) -> bool:
        if self._tls_required and not self.secure:
            self._refuse(b"-ERR [SYS/PERM] Not without encryption, use STLS\r\n")
            return False
        return True

    def _user(self, arguments: list[bytes]) -> None:
        if self._may_log_in():
            self._name = arguments[0].decode("ascii")
            self._say(b"+OK Password?\r\n")

    def _pass(self, arguments: list[bytes]) -> None:
        if not self._may_log_in():
            return
        if not self._name:
            self._refuse(b"-ERR USER first\r\n")
            return
        self.want = Login(self._name, arguments[0].decode("ascii"))

    def _apop(self, arguments: list[bytes]) -> None:
        if not self._banner:
            self._refuse(b"-ERR APOP is not offered\r\n")
        elif self._may_log_in():
            if _DIGEST.fullmatch(arguments[1]):
                self.want = Login(arguments[0].decode("ascii"), arguments[1].decode("ascii").lower(), apop=True)
            else:
                self._refuse(b"-ERR A digest has 32 hexadecimal digits\r\n")

    def _auth(self, arguments: list[bytes]) -> None:
        if not self._may_log_in():
            return
        if arguments[0].upper() != b"PLAIN":
            self._refuse(b"-ERR Mechanism not offered\r\n")
        elif len(arguments) == 1:
            self._in_auth = True
            self._say(b"+ \r\n")
        else:
            self._auth_response(b"" if arguments[1] == b"=" else arguments[1])

    def _auth_response(self, line: bytes) -> None:
        if line == b"*":
            self._refuse(b"-ERR Cancelled\r\n")
            return
        try:
            acting, name, password = binascii.a2b_base64(line, strict_mode=True).decode("utf-8").split("\0")
        except ValueError:  # binascii.Error and UnicodeDecodeError are ones
            self._refuse(b"-ERR Not an answer of PLAIN in base64\r\n")
            return
        if not (name and password and (name + password).isprintable()):
            self._refuse(b"-ERR Name and password must be there and printable\r\n")
        elif acting not in ("", name):
            self._refuse(b"-ERR [AUTH] Nobody acts for another here\r\n")
        else:
            self.want = Login(name, password)

    def _stls(self, _arguments: list[bytes]) -> None:
        if self.secure:
            self._refuse(b"-ERR TLS is on already\r\n")
        elif not self._tls_offered:
            self._refuse(b"-ERR STLS is not offered\r\n")
        elif self.kept:
            # Text behind STLS was written by somebody who does not wait for TLS: it must never count as said inside it.
            self._say(b"-ERR Nothing may follow STLS before its answer\r\n")
            self.closing = "text before TLS"
        else:
            self.want = Upgrade()
            self._say(b"+OK Begin TLS\r\n")

    # TRANSACTION ------------------------------------------------------------------------------------------------------

    def _place(self, argument: bytes) -> int:
        place = self._drop.place(argument)
        if place < 0:
            self._say(b"-ERR No such letter\r\n")
        return place

    def _stat(self, _arguments: list[bytes]) -> None:
        self._say(b"+OK %d %d\r\n" % (self._drop.left, self._drop.octets))

    def _list(self, arguments: list[bytes]) -> None:
        self._listing(arguments, uids=False)

    def _uidl(self, arguments: list[bytes]) -> None:
        self._listing(arguments, uids=True)

    def _listing(self, arguments: list[bytes], *, uids: bool) -> None:
        drop = self._drop
        if not arguments:
            self._say(b"+OK %d letters\r\n" % drop.left)
            self._sources = drop.listing(uids=uids)
        elif (place := self._place(arguments[0])) >= 0:
            self._say(b"+OK " + (drop.uid_line(place) if uids else drop.size_line(place)))

    def _retr(self, arguments: list[bytes]) -> None:
        self._fetch(arguments[0], None)

    def _top_lines(self, arguments: list[bytes]) -> None:
        if arguments[1].isdigit() and len(arguments[1]) <= 10:
            self._fetch(arguments[0], int(arguments[1]))
        else:
            self._refuse(b"-ERR Not a number of lines\r\n")

    def _fetch(self, argument: bytes, top: int | None) -> None:
        place = self._place(argument)
        if place >= 0:
            self._top = top
            self.want = Fetch(self._drop.number(place), self._drop.size(place))

    def _dele(self, arguments: list[bytes]) -> None:
        place = self._place(arguments[0])
        if place >= 0:
            self._drop.mark(place)
            self._say(b"+OK\r\n")

    def _rset(self, _arguments: list[bytes]) -> None:
        self._drop.unmark()
        self._say(b"+OK\r\n")

    # Both -------------------------------------------------------------------------------------------------------------

    def _capa(self, _arguments: list[bytes]) -> None:
        offers = [b"+OK", b"TOP", b"UIDL", b"RESP-CODES", b"AUTH-RESP-CODE", b"PIPELINING", b"IMPLEMENTATION sekisho"]
        if self.secure or not self._tls_required:
            offers += [b"USER", b"SASL PLAIN"]
        if self._tls_offered and not self.secure and self.state is State.AUTHORIZATION:
            offers.append(b"STLS")
        self._say(b"\r\n".join([*offers, b".\r\n"]))

    def _noop(self, _arguments: list[bytes]) -> None:
        self._say(b"+OK\r\n")

    def _quit(self, _arguments: list[bytes]) -> None:
        marked = self._drop.marked()
        if marked:
            self.state = State.UPDATE
            self.want = Collect(marked)
        else:
            self.closing = "quit"
            self._say(b"+OK Bye\r\n")

    COMMANDS: ClassVar[dict[bytes, _Command]] = {
        b"USER": _Command(_user, State.AUTHORIZATION, 1, 1),
        b"PASS": _Command(_pass, State.AUTHORIZATION, 1, 1, whole=True),
        b"APOP": _Command(_apop, State.AUTHORIZATION, 2, 2),
        b"AUTH": _Command(_auth, State.AUTHORIZATION, 1, 2),
        b"STLS": _Command(_stls, State.AUTHORIZATION),
        b"CAPA": _Command(_capa, State.AUTHORIZATION | State.TRANSACTION),
        b"STAT": _Command(_stat, State.TRANSACTION),
        b"LIST": _Command(_list, State.TRANSACTION, 0, 1),
        b"UIDL": _Command(_uidl, State.TRANSACTION, 0, 1),
        b"RETR": _Command(_retr, State.TRANSACTION, 1, 1),
        b"TOP": _Command(_top_lines, State.TRANSACTION, 2, 2),
        b"NOOP": _Command(_noop, State.TRANSACTION),
        b"DELE": _Command(_dele, State.TRANSACTION, 1, 1),
        b"RSET": _Command(_rset, State.TRANSACTION),
        b"QUIT": _Command(_quit, State.AUTHORIZATION | State.TRANSACTION),
    }
