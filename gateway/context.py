"""What a handler's Protocols are made of: one unit of the store, the directory, the settings.

Each class here is the house's side of a Protocol in :mod:`sekisho.handlers.kit`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sekisho.codecs.envelope import Attachment
from sekisho.codecs.message import Catalogue
from sekisho.gateway.clock import from_us, to_us
from sekisho.gateway.directory import Directory, Hours
from sekisho.gateway.examinations import ExaminationRule, ExaminationsOf
from sekisho.gateway.passwords import Passwords
from sekisho.handlers.kit import STEPS, Attached, Context, User
from sekisho.mailboxes.letters import Account, LetterQuery, Route
from sekisho.mailboxes.store import Unit

__all__ = ["AccountsOf", "AttachmentsOf", "Contexts", "NumbersOf", "RecordsOf", "RoutesOf", "ScheduleOf", "WaitingOf"]

ACTIVE, TEMPORARY = "active", "temporary"
_REMEMBERED = 3
"""The last three passwords are barred [spec]."""


class RecordsOf:
    """Business records of one unit."""

    __slots__ = ("_directory", "_now_us", "_unit")

    def __init__(self, unit: Unit, directory: Directory, now_us: int) -> None:
        self._unit, self._directory, self._now_us = unit, directory, now_us

    def get(self, kind: str, key: str) -> Mapping[str, Any] | None:
        """A record, or None."""
        return self._unit.record(kind, key)

    def put(self, kind: str, key: str, data: Mapping[str, Any]) -> None:
        """Write a record."""
        self._unit.put_record(kind, key, data, self._now_us)

    def find(self, kind: str, field: str, value: str) -> list[tuple[str, Mapping[str, Any]]]:
        """Records of a kind whose field has this text."""
        return self._unit.find_records(kind, field, value)

    def place(self, code: str) -> tuple[str, str] | None:
        """利用者コード and name of a place."""
        place = self._directory.place(self._unit, code)
        return (place.user, place.name) if place else None


class NumbersOf:
    """Numbers of one unit; ``text`` writes number ``n`` of a kind as the settings say."""

    def __init__(self, unit: Unit, text: Callable[[str, int], str]) -> None:
        self._unit, self._text = unit, text

    def next(self, kind: str) -> str:
        """The next number of a kind."""
        return self._text(kind, self._unit.next_number(kind))


class AccountsOf:
    """Passwords of accounts in one unit. Hashing takes tens of milliseconds a call."""

    def __init__(self, unit: Unit, directory: Directory, passwords: Passwords) -> None:
        self._unit, self._directory, self._passwords = unit, directory, passwords

    def _account(self, user_id: str) -> Account:
        account = self._unit.account(user_id)
        if account is None:
            raise KeyError(user_id)
        return account

    def _write(self, account: Account) -> None:
        self._unit.put_account(account)
        self._directory.forget()

    def state(self, user_id: str) -> str | None:
        """active, temporary, or None."""
        account = self._unit.account(user_id)
        return account.password_state if account else None

    def in_house(self, user_id: str) -> bool:
        """Whether it is an in-house-system ID."""
        account = self._unit.account(user_id)
        return account is not None and account.in_house

    def specialist(self, user_id: str) -> bool:
        """Whether it is an ID of a 通関士."""
        account = self._unit.account(user_id)
        return account is not None and account.specialist

    def used_before(self, user_id: str, password: str) -> bool:
        """Whether it is one of the last three passwords."""
        account = self._account(user_id)
        hashes = [h for h in dict.fromkeys((account.former, *account.history)) if h]
        if account.password_state == "active":
            hashes = list(dict.fromkeys((account.password_hash, *hashes)))
        return any(self._passwords.matches(stored, password) for stored in hashes[:_REMEMBERED])

    def change(self, user_id: str, password: str) -> None:
        """Make it the active password; the one before goes into the history, a temporary one does not."""
        account = self._account(user_id)
        before = account.password_hash if account.password_state == "active" else account.former
        history = tuple(dict.fromkeys(h for h in (before, *account.history) if h))[:_REMEMBERED]
        hashed = self._passwords.hash(password)
        self._write(
            replace(account, password_hash=hashed, password_state=ACTIVE, former="", former_state="", history=history)
        )

    def initialise(self, user_id: str) -> str:
        """Set a fresh temporary password and give it; the former one is kept aside until it is changed or undone."""
        account = self._account(user_id)
        temporary = temporary_password()
        pending = account.former != ""
        self._write(
            replace(
                account,
                password_hash=self._passwords.hash(temporary),
                password_state=TEMPORARY,
                former=account.former if pending else account.password_hash,
                former_state=account.former_state if pending else account.password_state,
            )
        )
        return temporary

    def cancel_initialisation(self, user_id: str) -> bool:
        """Bring the former password back; whether one was pending."""
        account = self._account(user_id)
        if not account.former:
            return False
        self._write(
            replace(
                account,
                password_hash=account.former,
                password_state=account.former_state or "active",
                former="",
                former_state="",
            )
        )
        return True


def temporary_password() -> str:
    """Eight capitals and digits, at least one of each, without those that look alike."""
    letters, digits = "ABCDEFGHJKLMNPQRSTUVWXYZ", "23456789"
    drawn = [secrets.choice(letters), secrets.choice(digits)]
    drawn += [secrets.choice(letters + digits) for _ in range(6)]
    secrets.SystemRandom().shuffle(drawn)
    return "".join(drawn)


class WaitingOf:
    """The undelivered letters of a user's boxes: the own one and those that routes name."""

    def __init__(self, unit: Unit, boxes: list[str]) -> None:
        self._unit, self._boxes = unit, boxes

    def counts(self) -> list[tuple[str, int]]:
        """Output codes and counts."""
        return self._unit.undelivered(self._boxes)

    def letters(self, output_code: str) -> list[int]:
        """Numbers of the letters of that code, oldest first."""
        found = []
        for box in self._boxes:
            query = LetterQuery(
                box=box,
                output_code=output_code,
                states=("waiting", "unknown", "failed"),
                limit=10_000,
                oldest_first=True,
            )
            found += [letter.number for letter in self._unit.letters(query)]
        return sorted(found)


class ScheduleOf:
    """Timers of one unit; they remember whose they are and which request set them."""

    __slots__ = ("_request", "_unit", "_user_id")

    def __init__(self, unit: Unit, user_id: str, request: int) -> None:
        self._unit, self._user_id, self._request = unit, user_id, request

    def at(self, when: datetime, kind: str, key: str, data: Mapping[str, Any] | None = None) -> None:
        """Have something happen at a moment. Raises ValueError for a step that nobody has registered."""
        if kind not in STEPS:
            raise ValueError(f"there is no step {kind}")
        whose = {"user": self._user_id, "request": self._request, "data": dict(data or {})}
        self._unit.add_timer(to_us(when), kind, key, whose)

    def cancel(self, kind: str, key: str) -> None:
        """Take it back."""
        self._unit.cancel_timers(kind, key)


class RoutesOf:
    """The destinations of one 利用者コード in one unit."""

    __slots__ = ("_directory", "_unit", "_user_code")

    def __init__(self, unit: Unit, directory: Directory, user_code: str) -> None:
        self._unit, self._directory, self._user_code = unit, directory, user_code

    def boxes(self) -> Sequence[str]:
        """Boxes of its IDs, and those that its destinations name already: an operator gave it these."""
        own = [account.box for account in self._unit.accounts() if account.user_code == self._user_code]
        return sorted({box for box in (*own, *(box for _, _, box in self.listed())) if box})

    def listed(self) -> Sequence[tuple[str, str, str]]:
        """Its destinations by key and code."""
        mine = self._user_code
        return [(one.user, one.output, one.box) for one in self._unit.routes() if one.user.startswith(mine)]

    def put(self, key: str, output_code: str, box: str) -> None:
        """Write a destination."""
        self._unit.put_route(Route(key, output_code, box))
        self._directory.forget()

    def delete(self, key: str, output_code: str) -> bool:
        """Remove a destination."""
        self._directory.forget()
        return self._unit.delete_route(key, output_code)


class AttachmentsOf:
    """The files of one envelope."""

    __slots__ = ("_files",)

    def __init__(self, files: Sequence[Attachment]) -> None:
        self._files = files

    def files(self) -> Sequence[Attached]:
        """What a handler may know of them."""
        return [
            Attached(index, file.name, file.content_type, len(file.content))
            for index, file in enumerate(self._files, 1)
        ]


class Contexts:
    """Makes the context of one message; the arguments are what all messages share."""

    def __init__(
        self,
        *,
        directory: Directory,
        passwords: Passwords,
        environment: str,
        number_text: Callable[[str, int], str],
        catalogue: Catalogue,
        business: Mapping[str, Any],
        examinations: Sequence[ExaminationRule] = (),
    ) -> None:
        self._examinations = tuple(examinations)
        self._directory, self._passwords, self._number_text = directory, passwords, number_text
        self._environment, self._catalogue, self._business = environment, catalogue, business
        self._unit: Unit | None = None
        self._shared: tuple[NumbersOf, AccountsOf, Hours]
        self._forgotten = -1
        self._users: dict[str, tuple[Account, User, WaitingOf, ExaminationsOf, RoutesOf]] = {}
        """What the messages of one user have in common, in one batch."""

    def make(
        self,
        unit: Unit,
        account: Account,
        request: int,
        now_us: int,
        *,
        business_code: str = "",
        aviation: bool = False,
        files: Sequence[Attachment] = (),
    ) -> Context:
        """What the handler of a message of ``account`` may use; ``files`` came with it.

        ``business_code`` and ``aviation`` are of EDIFACT messages.
        """
        if self._unit is not unit or self._forgotten != self._directory.forgotten:
            self._unit, self._forgotten = unit, self._directory.forgotten
            self._users.clear()
            # The messages of a batch have these in common.
            self._shared = (
                NumbersOf(unit, self._number_text),
                AccountsOf(unit, self._directory, self._passwords),
                Hours(self._directory, unit),
            )
        numbers, accounts, hours = self._shared
        known = self._users.get(account.id)
        if known is None or known[0] is not account:
            boxes = [box for box in (account.box, *self._directory.routed_boxes(unit, account.id)) if box]
            known = self._users[account.id] = (
                account,
                User(account.id, account.trade, account.specialist, account.in_house),
                WaitingOf(unit, list(dict.fromkeys(boxes))),
                ExaminationsOf(self._examinations, account.id),
                RoutesOf(unit, self._directory, account.user_code),
            )
        _, user, waiting, examinations, routes = known
        return Context(
            user,
            from_us(now_us),
            self._environment,
            request,
            RecordsOf(unit, self._directory, now_us),
            numbers,
            accounts,
            waiting,
            hours,
            ScheduleOf(unit, account.id, request),
            self._catalogue,
            self._business,
            business_code,
            aviation,
            examinations,
            AttachmentsOf(files),
            routes,
        )
