"""Trays: the boxes as doors see them that letters are fetched by (POP3, SFTP, ebMS pull).

*Strategy.* Reading looks at committed state, in the loop. Collecting goes through the clerk like everything that is
written: one transaction, and when it is on disk the couriers drop what was fetched, so that one door has delivered it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from sekisho.codecs.mime import is_interchange
from sekisho.gateway.clerk import Clerk
from sekisho.gateway.clock import Clock
from sekisho.gateway.letterhead import Letterhead
from sekisho.mailboxes.letters import Event
from sekisho.mailboxes.store import Store, StoreError, Unit
from sekisho.transports.base import TrayError, Waiting

__all__ = ["Trays"]

log = structlog.get_logger("sekisho.trays")


class Trays:
    """All boxes; see :class:`sekisho.transports.base.Tray`.

    ``on_collected`` is told, after the commit, which letters of a box left through another door than the push.
    """

    def __init__(
        self,
        store: Store,
        clerk: Clerk,
        letterhead: Letterhead,
        clock: Clock,
        on_collected: Callable[[str, Sequence[int]], None] = lambda _box, _numbers: None,
    ) -> None:
        self._store, self._clerk, self._letterhead, self._clock = store, clerk, letterhead, clock
        self._on_collected = on_collected
        self._locked: set[str] = set()

    def waiting(self, box: str) -> list[Waiting]:
        """See :meth:`sekisho.transports.base.Tray.waiting`."""
        try:
            with self._store.view() as view:
                found = view.box(box)
                listed = view.waiting(box) if found is not None else []
        except StoreError as error:
            raise self._failed(error, box) from error
        if found is None:
            return []
        return [
            Waiting(
                number=x.number,
                uid=x.uid,
                uid_validity=found.uid_validity,
                size=x.size,
                mail_size=self._letterhead.size(
                    address=found.address,
                    box=box,
                    uid_validity=found.uid_validity,
                    uid=x.uid,
                    size=x.size,
                    created_at=x.created_at,
                    is_interchange=x.is_interchange,
                ),
                created_at=x.created_at,
                output_code=x.output_code,
                business_code=x.business_code,
                user_id=x.user_id,
                kind=x.kind,
                subject=x.subject,
                key=x.key,
                is_interchange=x.is_interchange,
            )
            for x in listed
        ]

    def content(self, number: int) -> bytes:
        """See :meth:`sekisho.transports.base.Tray.content`."""
        try:
            with self._store.view() as view:
                return view.content(number)
        except StoreError as error:
            raise TrayError("this letter is not kept any more") from error

    def mail(self, number: int) -> bytes:
        """See :meth:`sekisho.transports.base.Tray.mail`."""
        try:
            with self._store.view() as view:
                letter = view.letter(number)
                box = view.box(letter.box) if letter is not None else None
                if letter is None or box is None:
                    raise TrayError("this letter is not kept any more")
                content = view.content(number)
        except StoreError as error:
            raise TrayError("this letter is not kept any more") from error
        return self._letterhead.mail(
            address=box.address,
            box=box.id,
            uid_validity=box.uid_validity,
            uid=letter.uid,
            created_at=letter.created_at,
            content=content,
            is_interchange=is_interchange(content),
        )

    async def collect(self, box: str, numbers: Sequence[int], door: str, peer: str) -> None:
        """See :meth:`sekisho.transports.base.Tray.collect`."""
        if not numbers:
            return
        at = self._clock.us()

        def work(unit: Unit) -> list[int]:
            gone = unit.collect(numbers, box, door, at)
            unit.add_event(Event(at, box, "box.collected", None, None, f"{len(gone)} by {door} from {peer}"))
            return gone

        collecting: asyncio.Future[list[int]] = asyncio.wrap_future(self._clerk.call(work))
        # Told by the commit, not by who waits for it: a session that is cut meanwhile has collected all the same.
        collecting.add_done_callback(lambda done: self._collected(done, box, door, peer))
        try:
            await asyncio.shield(collecting)
        except StoreError as error:
            raise self._failed(error, box) from error

    def _collected(self, done: asyncio.Future[list[int]], box: str, door: str, peer: str) -> None:
        if done.cancelled() or done.exception() is not None:
            return
        self._on_collected(box, done.result())
        log.info("box.collected", box=box, door=door, letters=len(done.result()), peer=peer)

    def _failed(self, error: StoreError, box: str) -> TrayError:
        log.error("box.unavailable", box=box, error=str(error))
        return TrayError("the mailbox cannot be used now, try again later")

    def lock(self, box: str) -> bool:
        """See :meth:`sekisho.transports.base.Tray.lock`."""
        if box in self._locked:
            return False
        self._locked.add(box)
        return True

    def unlock(self, box: str) -> None:
        """See :meth:`sekisho.transports.base.Tray.unlock`."""
        self._locked.discard(box)
