"""Admission: whether a message may come in, and who sent it.

*Strategy.* The steps stand in the order of the decisions page ("Order of checks"), one small function a step; the first
that finds something raises :class:`Refusal` with its code. Nothing here changes anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from sekisho.codecs.envelope import Envelope
from sekisho.codecs.header import Header, check_header
from sekisho.codecs.results import Deviation, Refusal, ResultCode
from sekisho.gateway.clock import from_us
from sekisho.gateway.directory import Directory
from sekisho.handlers import Handler
from sekisho.mailboxes.letters import Account
from sekisho.mailboxes.store import View

__all__ = ["Admission", "PasswordUnknown", "Verifier"]

_LENGTH_MOST: Final = 999_999
"""What the six digits of 電文長 can say. Above it no length is right, and E0001 (in its turn) names the fault."""


class PasswordUnknown(Exception):
    """The password cannot be judged from memory: verify it beside the batch, then process the message."""

    def __init__(self, user_id: str, stored: str, password: str) -> None:
        super().__init__(user_id)
        self.user_id, self.stored, self.password = user_id, stored, password


class Verifier(Protocol):
    """What is remembered of verified passwords."""

    def verify(self, user_id: str, stored: str, password: str) -> bool | None:
        """Right or wrong, or None if it has not been verified against this hash yet."""
        ...


class Admission:
    """The steps before the business. ``may_run`` says whether a 業種 has a right to a business code."""

    def __init__(self, directory: Directory, verifier: Verifier, may_run: Callable[[str, str], bool]) -> None:
        self._directory = directory
        self._verifier = verifier
        self._may_run = may_run

    def header(self, envelope: Envelope, account: Account | None) -> list[Deviation]:
        """Form, characters, 電文長: A0016, A0009, A0008. Gives the findings; the header's owner may be strict."""
        findings, errors = check_header(
            envelope.content, tolerate_length=account is not None and account.tolerate_length
        )
        if len(envelope.content) > _LENGTH_MOST:
            errors = [error for error in errors if error.code != "A0008"]
        if not errors and account is not None and account.strict:
            errors = findings
        if errors:
            raise Refusal([error.result for error in errors[:1]], "header")
        return findings

    def service(self, view: View, now_us: int, *, busy: bool = False) -> None:
        """Is the service open: A0002, A0006, A0010, A0011 as the stop says; A0011 if too much waits already."""
        stop = self._directory.stop(view, "", now_us)
        if stop is not None:
            raise Refusal([ResultCode(stop.code)], "service")
        if busy:
            raise Refusal([ResultCode("A0011")], "service")

    def user(self, view: View, header: Header, envelope: Envelope) -> Account:
        """Who is it: A0003 (利用者コード), A0005 (識別番号), A0013 (the link belongs to somebody else)."""
        account = self._directory.account(view, header.user_id)
        if account is None:
            known = self._directory.knows_user_code(view, header.user_code)
            raise Refusal([ResultCode("A0005" if known else "A0003")], "user")
        for name in (envelope.sender, envelope.principal):
            owners = self._directory.owners(view, name) if name else []
            if owners and not any(owner[:5] == account.user_code for owner in owners):
                raise Refusal([ResultCode("A0013")], "user")
        return account

    def password(self, account: Account, header: Header) -> None:
        """The password: A0004. Raises :class:`PasswordUnknown` where memory does not know it."""
        right = self._verifier.verify(account.id, account.password_hash, header.password)
        if right is None:
            raise PasswordUnknown(account.id, account.password_hash, header.password)
        if not right:
            raise Refusal([ResultCode("A0004")], "password")

    def state(self, account: Account, handler: Handler | None) -> None:
        """Suspended A0014; password still the temporary one U0001, unless the business is open to such a user."""
        if account.suspended:
            raise Refusal([ResultCode("A0014")], "state")
        if account.password_state == "temporary" and not (handler is not None and handler.while_temporary):
            raise Refusal([ResultCode("U0001")], "state")

    def business(self, view: View, code: str, handler: Handler | None, now_us: int) -> Handler:
        """Known A0001; allowed now: the stop's code, or U0002 outside the hours of the business."""
        if handler is None:
            raise Refusal([ResultCode("A0001")], "business")
        stop = self._directory.stop(view, code, now_us)
        if stop is not None:
            raise Refusal([ResultCode(stop.code)], "hours")
        if handler.opens is not None and handler.closes is not None:
            at = from_us(now_us).time()
            if not handler.opens <= at < handler.closes:
                raise Refusal([ResultCode("U0002")], "hours")
        return handler

    def right(self, account: Account, code: str) -> None:
        """業種 against business: A0012. A 業種 that the settings do not name may run everything."""
        if not self._may_run(account.trade, code):
            raise Refusal([ResultCode("A0012")], "right")
