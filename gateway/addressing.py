"""宛先管理: which box an output goes to.

*Strategy.* Every output names a party; this page turns it into a box. INQ and EXZ outputs go where a route for the user
and the output code says, else into the user's own box. EXC outputs go to the box of the 利用者コード, found by place if
need be; where there is none they go to the operators' box, so nothing is ever dropped (decisions, "Replies").
"""

from __future__ import annotations

from typing import NamedTuple

from sekisho.gateway.directory import Directory
from sekisho.handlers import Originator, Party
from sekisho.handlers.kit import Sender
from sekisho.handlers.routes import third_party
from sekisho.mailboxes.letters import Account, Box
from sekisho.mailboxes.store import View

__all__ = ["Addressee", "Addressing"]


class Addressee(NamedTuple):
    """Where an output goes: the box, the user the header names (an ID or a 利用者コード), and the 宛管形式 byte.

    ``stray`` says that nobody could be found and the operators get it.
    """

    box: Box
    user: str
    form: str
    stray: bool = False


class Addressing:
    """``operators`` is the box for outputs that have no other."""

    def __init__(self, directory: Directory, operators: str) -> None:
        self._directory = directory
        self._operators = operators

    def reply(self, view: View, account: Account, output_code: str) -> Addressee | None:
        """The box for a reply to a request of this user (INQ); None if not even the operators have a box."""
        box = self._user_box(view, account.id, output_code)
        if box is not None:
            return Addressee(box, account.id, "Q")
        operators = self._operators_box(view)
        return Addressee(operators, account.id, "Q", stray=True) if operators else None

    def of(self, view: View, to: Sender | Originator | Party, account: Account, output_code: str) -> Addressee | None:
        """The addressee of an output of ``account``'s request; None if not even the operators have a box."""
        if isinstance(to, Sender):
            return self.reply(view, account, output_code)
        if isinstance(to, Originator):
            box, user, form = self._user_box(view, to.user_id, output_code), to.user_id, "Z"
        else:
            user, form = self._party(view, to), "C"
            box = self._third_party_box(view, user, output_code) if user else None
        if box is not None:
            return Addressee(box, user, form)
        operators = self._operators_box(view)
        return Addressee(operators, user, form, stray=True) if operators else None

    def all_of(
        self, view: View, to: Sender | Originator | Party, account: Account, output_code: str
    ) -> list[Addressee | None]:
        """The addressee of an output as :meth:`of` finds it, then those of its copies (同報先)."""
        first = self.of(view, to, account, output_code)
        if first is None or first.stray:
            return [first]
        boxes = [self._directory.box(view, name) for name in self._directory.copies(view, first.user, output_code)]
        further = [first._replace(box=box) for box in boxes if box is not None and box.id != first.box.id]
        return [first, *further]

    def _third_party_box(self, view: View, user_code: str, output_code: str) -> Box | None:
        """What others cause goes where the user has set it for that (EXC), else as all its outputs of that code."""
        name = self._directory.route(view, third_party(user_code), output_code)
        box = self._directory.box(view, name) if name else None
        return box or self._user_box(view, user_code, output_code)

    def _party(self, view: View, to: Party) -> str:
        if to.user_code:
            return to.user_code
        place = self._directory.place(view, to.place)
        return place.user if place else ""

    def _operators_box(self, view: View) -> Box | None:
        return self._directory.box(view, self._operators)

    def _user_box(self, view: View, user: str, output_code: str) -> Box | None:
        name = self._directory.route(view, user, output_code)
        if not name:
            account = self._directory.account(view, user)
            name = account.box if account is not None and account.box else ""
        name = name or self._directory.default_box(view, user[:5])
        return self._directory.box(view, name) if name else None
