"""The registry as the pipeline reads it: every message asks for a user, a box and the routes, few change them.

*Strategy.* One cache per process, read through the transaction that is open and dropped whole whenever anybody wrote
to the registry, here or in another process (``Store.changed_elsewhere``). A stale answer can not outlive a batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sekisho.gateway.clock import from_us
from sekisho.handlers.routes import COPY, EVERY, third_party
from sekisho.mailboxes.letters import Account, Box, Office, Place, Route, Window
from sekisho.mailboxes.store import View

__all__ = ["Directory", "Hours"]

REMEMBERED: Final = 10_000
"""Answers of a kind that are remembered, like the verified passwords: a centre's users are fewer."""
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(slots=True)
class _Tables:
    routes: dict[tuple[str, str], Route]
    copies: dict[str, list[Route]]
    windows: list[Window]
    offices: dict[str, Office]


class Directory:
    """Accounts, boxes, routes, places, offices and stops, remembered. ``planned`` are the stops of the settings."""

    def __init__(self, planned: tuple[Window, ...] = ()) -> None:
        self._planned = planned
        self.forgotten = 0
        """How often: what was made of its answers holds as long as this does."""
        self.forget()

    def forget(self) -> None:
        """Drop everything remembered: somebody wrote to the registry."""
        self.forgotten += 1
        self._accounts: dict[str, Account | None] = {}
        self._codes: dict[str, bool] = {}
        self._owners: dict[str, list[str]] = {}
        self._boxes: dict[str, Box | None] = {}
        self._by_address: dict[str, Box | None] = {}
        self._places: dict[str, Place | None] = {}
        self._defaults: dict[str, str] = {}
        self._tables: _Tables | None = None

    def _bound(self) -> None:
        """Forget when too much is remembered: most keys come from messages, so strangers invent them."""
        caches = (self._accounts, self._codes, self._owners, self._boxes, self._by_address, self._places)
        if any(len(cache) > REMEMBERED for cache in caches):
            self.forget()

    def account(self, view: View, user_id: str) -> Account | None:
        """The account of a user ID."""
        if user_id not in self._accounts:
            self._bound()
            self._accounts[user_id] = view.account(user_id)
        return self._accounts[user_id]

    def knows_user_code(self, view: View, user_code: str) -> bool:
        """Whether any user ID has this 利用者コード."""
        if user_code not in self._codes:
            self._codes[user_code] = view.knows_user_code(user_code)
        return self._codes[user_code]

    def owners(self, view: View, name: str) -> list[str]:
        """User IDs that registered this sender address, or (of a name that is no address) whose box it is."""
        if name not in self._owners:
            self._owners[name] = view.owners(name) if "@" in name else view.users_of_box(name)
        return self._owners[name]

    def box(self, view: View, box: str) -> Box | None:
        """The box of that id."""
        if box not in self._boxes:
            self._boxes[box] = view.box(box)
        return self._boxes[box]

    def box_of_address(self, view: View, address: str) -> Box | None:
        """The box with that address."""
        if address not in self._by_address:
            self._by_address[address] = view.box_of_address(address)
        return self._by_address[address]

    def place(self, view: View, code: str) -> Place | None:
        """A bonded area or berth."""
        if code not in self._places:
            self._places[code] = view.place(code)
        return self._places[code]

    def default_box(self, view: View, user_code: str) -> str:
        """The box of a 利用者コード: that of its first user ID that has one; empty if none has."""
        if user_code not in self._defaults:
            mine = (a.box for a in view.accounts() if a.user_code == user_code and a.box)
            self._defaults[user_code] = next(mine, "")
        return self._defaults[user_code]

    def _read(self, view: View) -> _Tables:
        if self._tables is None:
            routes = view.routes()
            copies: dict[str, list[Route]] = {}
            for route in routes:
                user_code, copy, _ = route.user.partition(COPY)
                if copy:
                    copies.setdefault(user_code, []).append(route)
            self._tables = _Tables(
                {(route.user, route.output): route for route in routes},
                copies,
                [*self._planned, *view.windows()],
                {office.code: office for office in view.offices()},
            )
        return self._tables

    def route(self, view: View, user: str, output_code: str) -> str:
        """The box that 宛先管理 names for an output of a user ID or a 利用者コード; empty if it names none."""
        routes = self._read(view).routes
        if not routes:
            return ""
        found = routes.get((user, output_code)) or routes.get((user[:5], output_code))
        return found.box if found else ""

    def copies(self, view: View, user: str, output_code: str) -> list[str]:
        """The boxes that get a copy of an output of a user ID or a 利用者コード, once each, by their keys."""
        copies = self._read(view).copies
        if not copies:
            return []
        wanted = (route.box for route in copies.get(user[:5], ()) if route.output in (EVERY, output_code))
        return list(dict.fromkeys(wanted))

    def routed_boxes(self, view: View, user_id: str) -> list[str]:
        """Every box that a route of this user ID or its 利用者コード names."""
        routes = self._read(view).routes
        if not routes:
            return []
        code = user_id[:5]
        wanted = (user_id, code, third_party(code))
        mine = {route.box for (user, _), route in routes.items() if user in wanted}
        return sorted(mine | {route.box for route in self._read(view).copies.get(code, ())})

    def stop(self, view: View, business_code: str, at: int) -> Window | None:
        """The stop that holds for a business at this moment (``""``: for the whole service); None if it runs."""
        for window in self._read(view).windows:
            if window.business == business_code and window.starts <= at < window.ends:
                return window
        return None

    def office(self, view: View, code: str) -> Office | None:
        """A customs office."""
        return self._read(view).offices.get(code)


class Hours:
    """開庁時間 from the offices of the registry. An office without a calendar is always open (our choice)."""

    def __init__(self, directory: Directory, view: View) -> None:
        self._directory = directory
        self._view = view

    def _span(self, office: Office, day: datetime) -> tuple[datetime, datetime] | None:
        hours = office.hours.get(_DAYS[day.weekday()], "")
        if not hours or f"{day:%Y%m%d}" in office.holidays:
            return None
        first, _, last = hours.partition("-")
        start = day.replace(hour=int(first[:2]), minute=int(first[2:]), second=0, microsecond=0)
        midnight = last == "2400"
        end = day.replace(hour=0 if midnight else int(last[:2]), minute=int(last[2:]), second=0, microsecond=0)
        return start, end + timedelta(days=1) if midnight else end

    def is_open(self, office: str, at: datetime) -> bool:
        """Whether the office is open at this moment (Japan time)."""
        known = self._directory.office(self._view, office)
        if known is None or not known.hours:
            return True
        span = self._span(known, at)
        return span is not None and span[0] <= at < span[1]

    def opens_next(self, office: str, after: datetime) -> datetime:
        """The first opening after this moment; the moment itself for an office without a calendar."""
        known = self._directory.office(self._view, office)
        if known is None or not known.hours:
            return after
        day = after
        for _ in range(400):
            span = self._span(known, day)
            if span is not None and span[0] > after:
                return span[0]
            day = (day + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        return after

    def office_name(self, office: str) -> str:
        """The office's name; empty if it is not registered."""
        known = self._directory.office(self._view, office)
        return known.name if known else ""


def moment(window: Window) -> str:
    """When a stop ends, for people, in Japan time."""
    return f"{from_us(window.ends):%Y-%m-%d %H:%M}"
