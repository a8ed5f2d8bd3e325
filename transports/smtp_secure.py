"""The SMTP conversation where peers encrypt or say who they are: STARTTLS (RFC 3207) and AUTH (RFC 4954).

*Strategy.* :class:`SecureSession` is :class:`~sekisho.transports.smtp_session.SmtpSession` with these verbs, and as
pure: it stops at STARTTLS and at a complete login as it stops at a verb (``verb``), and goes on when it is told how
that ended. :class:`SecureConnection` does the two: the handshake, and asking the
:class:`~sekisho.transports.base.Doorkeeper`.

What was said in clear counts for nothing once TLS is up, and what comes in clear behind STARTTLS ends the connection:
TLS gets a protocol object of its own, so bytes of the two can never be taken for each other.

All replies carry the second number of RFC 3463, so ENHANCEDSTATUSCODES (RFC 2034) is offered here, and VRFY, EXPN and
HELP are served here too.
"""

from __future__ import annotations

import asyncio
import binascii
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

from sekisho.codecs.envelope import Envelope
from sekisho.codecs.mime import Unwrapped
from sekisho.transports.base import TrayError
from sekisho.transports.smtp_connection import SmtpConnection
from sekisho.transports.smtp_data import Pool
from sekisho.transports.smtp_session import Mail, SmtpLimits, SmtpSession

if TYPE_CHECKING:
    from sekisho.transports.smtp import SmtpListener

__all__ = ["Access", "Auth", "SecureConnection", "SecureSession"]

Auth = Literal["none", "optional", "required"]

_CLOSE_SECONDS: Final = 5.0
"""How long the closing words of TLS are waited for."""
_BEFORE_TLS: Final = frozenset((b"EHLO", b"HELO", b"STARTTLS", b"NOOP", b"RSET", b"QUIT"))
"""RFC 3207 section 4, and two that reveal nothing."""
_TRANSACTION: Final = frozenset((b"MAIL", b"RCPT", b"DATA"))
_NAME_PROMPT: Final = b"334 VXNlcm5hbWU6\r\n"
_PASSWORD_PROMPT: Final = b"334 UGFzc3dvcmQ6\r\n"


@dataclass(frozen=True, slots=True)
class Access:
    """What peers of a listener can and must do before they may send.

    ``tls``: encryption is there (STARTTLS, or TLS that comes first); ``require_tls``: nothing is taken without it;
    ``auth``: whether AUTH is there and needed; ``auth_in_clear``: passwords may cross the line unencrypted. Raises
    ValueError for what no peer could fulfil.
    """

    tls: bool = False
    require_tls: bool = False
    auth: Auth = "none"
    auth_in_clear: bool = False

    def __post_init__(self) -> None:
        if self.require_tls and not self.tls:
            raise ValueError("TLS is required, and there is no certificate for it")
        if self.auth == "required" and not (self.tls or self.auth_in_clear):
            raise ValueError("AUTH is required, and neither TLS nor AUTH in clear is allowed")


class SecureSession(SmtpSession):
    """A conversation with STARTTLS and AUTH, as far as ``access`` allows.

    ``verb`` is ``("STARTTLS", "")`` while TLS is to be begun, until :meth:`secure`; ``("AUTH", "")`` while ``login``
    (name and password) is to be judged, until :meth:`judge`. ``principal`` is the id of the box that logged in.
    """

    __slots__ = ("_access", "_asking", "_failed", "_name", "is_secure", "login", "principal")

    def __init__(
        self,
        hostname: str,
        centre: frozenset[str],
        limits: SmtpLimits,
        pool: Pool,
        *,
        access: Access,
        other_centre: frozenset[str] = frozenset(),
        environment: str = "",
    ) -> None:
        super().__init__(hostname, centre, limits, pool, other_centre=other_centre, environment=environment)
        self._access = access
        self._asking: Literal["", "plain", "name", "password"] = ""
        self._failed = 0
        self._name = ""
        self.is_secure = False
        self.login = ("", "")
        self.principal = ""

    def secure(self) -> bytes:
        """TLS is up: forget what was said before it (RFC 3207 4.2). Returns a reply if the conversation has to end."""
        self._reset()
        self.is_secure, self.extended, self.peer_name, self.verb = True, False, "", None
        return self._run(b"")

    def judge(self, box: str | None) -> bytes:
        """Say how the login ended: the box it opened, or None. Returns the replies that are due now."""
        self.login = ("", "")
        if box is not None:
            self.principal = box
            return self.answer(b"235 2.7.0 Authentication succeeded\r\n")
        self._failed += 1
        if self._failed >= self._limits.failed_logins:
            self.closing = "failed logins"
            return self.answer(b"421 4.7.0 Too many failed logins\r\n")
        return self.answer(b"535 5.7.8 Authentication credentials invalid\r\n")

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the peer; in clear behind STARTTLS they are an injection, and end the conversation."""
        replies = super().receive(data)
        if self._kept and self.verb is not None and self.verb[0] == "STARTTLS":
            self._kept = b""
            self.closing = "plaintext behind STARTTLS"
            replies += b"421 4.7.0 Nothing may follow STARTTLS in clear\r\n"
        return replies

    def _command(self, line: bytes) -> bytes:
        if self._asking:
            return self._continue(line)
        word, _, argument = line.partition(b" ")
        verb, access = word.upper(), self._access
        if access.require_tls and not self.is_secure and verb not in _BEFORE_TLS:
            return self._refuse(b"530 5.7.0 Must issue a STARTTLS command first\r\n")
        if access.auth == "required" and not self.principal and verb in _TRANSACTION:
            return self._refuse(b"530 5.7.0 Authentication required\r\n")
        match verb:
            case b"STARTTLS" if access.tls:
                return self._starttls(argument)
            case b"AUTH" if access.auth != "none":
                return self._auth(argument.split())
            case b"VRFY" if argument.strip():
                return b"252 2.5.0 Nobody is looked up; mail for the centre will be taken\r\n"
            case b"VRFY":
                return self._refuse(b"501 5.5.4 Syntax: VRFY address\r\n")
            case b"EXPN":
                return self._refuse(b"502 5.5.1 Not served\r\n")
            case b"HELP":
                return b"214 2.0.0 RFC 5321, 2920, 1870, 6152, 2034, 3207, 4954\r\n"
            case _:
                return super()._command(line)

    def _refuse(self, reply: bytes) -> bytes:
        self._asking = ""  # whatever is refused in the middle of a login ends it
        return super()._refuse(reply)

    def _offers(self) -> list[bytes]:
        offers = [*super()._offers(), b"ENHANCEDSTATUSCODES"]
        if self._access.tls and not self.is_secure:
            offers.append(b"STARTTLS")
        if self._may_log_in():
            offers.append(b"AUTH PLAIN LOGIN")
        return offers

    def _parameter_refused(self, name: str, value: str) -> bytes:
        if name == "AUTH" and value and self._access.auth != "none":  # RFC 4954 5: taken, and believed of nobody
            return b""
        return super()._parameter_refused(name, value)

    def _may_log_in(self) -> bool:
        return self._access.auth != "none" and (self.is_secure or self._access.auth_in_clear)

    def _starttls(self, argument: bytes) -> bytes:
        if argument.strip():
            return self._refuse(b"501 5.5.4 Syntax: STARTTLS\r\n")
        if self.is_secure:
            return self._refuse(b"503 5.5.1 TLS is on already\r\n")
        self.verb = ("STARTTLS", "")
        return b""

    def _auth(self, words: list[bytes]) -> bytes:
        if not self.extended:
            return self._refuse(b"503 5.5.1 EHLO first\r\n")
        if self.principal or self.in_transaction:
            return self._refuse(b"503 5.5.1 Not now\r\n")
        if not self._may_log_in():
            return self._refuse(b"538 5.7.11 Encryption required\r\n")
        if not 1 <= len(words) <= 2:
            return self._refuse(b"501 5.5.4 Syntax: AUTH mechanism [initial response]\r\n")
        match words[0].upper():
            case b"PLAIN":
                self._asking, prompt = "plain", b"334 \r\n"
            case b"LOGIN":
                self._asking, prompt = "name", _NAME_PROMPT
            case _:
                return self._refuse(b"504 5.5.4 Mechanism not served\r\n")
        if len(words) == 1:
            return prompt
        return self._continue(b"" if words[1] == b"=" else words[1])

    def _continue(self, line: bytes) -> bytes:
        """One answer of the peer to a 334, or the initial response."""
        asking = self._asking
        if line == b"*":
            return self._refuse(b"501 5.7.0 Authentication cancelled\r\n")
        try:
            said = binascii.a2b_base64(line, strict_mode=True).decode("utf-8")
        except ValueError:
            return self._refuse(b"501 5.5.2 Not base64 of UTF-8\r\n")
        if asking == "name":
            self._asking, self._name = "password", said
            return _PASSWORD_PROMPT
        self._asking = ""
        if asking == "password":
            return self._judged_later(self._name, said)
        pieces = said.split("\0")
        if len(pieces) != 3:
            return self._refuse(b"501 5.5.2 Not a PLAIN response\r\n")
        acting_for, name, password = pieces
        if acting_for not in ("", name):  # one box never speaks for another
            return self._judged_later("", "")
        return self._judged_later(name, password)

    def _judged_later(self, name: str, password: str) -> bytes:
        self._name = ""
        self.login, self.verb = (name, password), ("AUTH", "")
        return b""


class SecureConnection(SmtpConnection):
    """A connection whose session is a :class:`SecureSession`."""

    def __init__(self, listener: SmtpListener, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(listener, loop)
        self._dialogue = self._session = SecureSession(
            listener.hostname,
            listener.centre,
            listener.limits,
            listener.pool,
            access=listener.access,
            other_centre=listener.other_centre,
            environment=listener.environment,
        )
        self._task: asyncio.Task[None] | None = None
        self._shaking_hands = False
        self._early = b""
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet; where TLS comes first, the handshake is over now."""
        self._session.is_secure = self._listener.implicit_tls
        super().connection_made(transport)

    def leave(self) -> None:
        """The handshake that comes first has failed: be counted out."""
        self._reason = "TLS failed"
        self.connection_lost(None)

    def eof_received(self) -> bool:
        """TLS has no half of a connection: under it an answer that is still due goes unheard."""
        return super().eof_received() and not self._session.is_secure

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the connection, once: a handshake that fails is told of in two ways."""
        if not self._lost:
            self._lost = True
            super().connection_lost(error)

    def cut(self, reply: bytes, reason: str) -> None:
        """Say why and close; at once and without a word while a handshake is under way."""
        if not self._shaking_hands:
            super().cut(reply, reason)
            return
        self._session.closing = self._reason = reason
        if self._task is not None:
            self._task.cancel()
        self.abort()
        self.connection_lost(None)

    def decrypted(self, data: bytes) -> None:
        """What the peer said through TLS."""
        if self._shaking_hands:  # its last bytes were the handshake's, and our task has not run since
            self._early += data
        else:
            self.data_received(data)

    def _serve_verb(self, verb: str, argument: str) -> None:
        match verb:
            case "STARTTLS" if self._wire is not None:
                self._serve(self._secured(self._wire))
            case "AUTH":
                self._serve(self._logged_in(*self._session.login))
            case _:
                super()._serve_verb(verb, argument)

    def _serve(self, work: Coroutine[None, None, None]) -> None:
        self._task = self.loop.create_task(work)  # kept: the loop holds tasks by weak references only

    async def _secured(self, wire: asyncio.Transport) -> None:
        listener, session = self._listener, self._session
        context = listener.tls
        if context is None or wire.is_closing() or session.closing:
            return
        self._shaking_hands = True
        wire.write(b"220 2.0.0 Ready for TLS\r\n")
        try:
            secure = await self.loop.start_tls(
                wire,
                _Decrypted(self),
                context,
                server_side=True,
                ssl_handshake_timeout=listener.limits.tls_handshake,
                ssl_shutdown_timeout=_CLOSE_SECONDS,
            )
        except Exception as error:  # noqa: BLE001 (a peer can fail a handshake in more ways than ssl names)
            listener.log.info("smtp.tls_failed", peer=self._peer, why=f"{type(error).__name__}: {error}")
            wire.abort()
            self.leave()
            return
        self._shaking_hands = False
        if self._lost:
            return
        self._wire = secure
        self._read_paused = self._write_blocked = False
        self._advance(session.secure())
        early, self._early = self._early, b""
        if early:
            self.data_received(early)

    async def _logged_in(self, name: str, password: str) -> None:
        listener, session = self._listener, self._session
        keeper, failure, box = listener.doorkeeper, b"", None
        try:
            if keeper is not None and name and password:
                box = await keeper.password("smtp-auth", name, password, self._host)
        except TrayError:
            failure = b"454 4.7.0 Temporary authentication failure\r\n"
        except Exception as error:  # noqa: BLE001 (whatever the house does, the peer gets a reply)
            failure = listener.incident(error, "smtp.login_failed").encode("ascii") + b"\r\n"
        if self._wire is None or session.closing:
            return
        if box is None and not failure:
            listener.log.info("smtp.login_refused", peer=self._peer)
        self._advance(session.answer(failure) if failure else session.judge(box))

    def _envelope(self, mail: Mail, received_at: datetime, unwrapped: Unwrapped) -> Envelope:
        envelope = super()._envelope(mail, received_at, unwrapped)
        return envelope._replace(principal=self._session.principal)


class _Decrypted(asyncio.Protocol):
    """What TLS talks to: bytes that come by here were encrypted, all others were not."""

    def __init__(self, connection: SecureConnection) -> None:
        self._connection = connection

    def data_received(self, data: bytes) -> None:
        self._connection.decrypted(data)

    def eof_received(self) -> bool:
        return False  # TLS has no half of a connection: an answer that is still due goes unheard

    def connection_lost(self, error: Exception | None) -> None:
        self._connection.connection_lost(error)

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()
