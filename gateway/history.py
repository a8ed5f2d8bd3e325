"""What a box has sent by SFTP, for the folders /sent and /quarantine of its door.

*Strategy.* Read from the journal when somebody looks; nothing is kept for it. SFTP's requests are those of the box
whose bytes came bare, and the transport's id of one begins with the file's name.
"""

from __future__ import annotations

from sekisho.codecs.envelope import Wrapping
from sekisho.mailboxes.store import Store, StoreError
from sekisho.transports.base import TrayError
from sekisho.transports.sftp_shared import Kept

__all__ = ["Sent"]


class Sent:
    """See :class:`sekisho.transports.sftp_shared.History`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def sent(self, box: str, limit: int) -> list[Kept]:
        """See :meth:`sekisho.transports.sftp_shared.History.sent`."""
        return self._look(box, limit, quarantined=False)

    def quarantined(self, box: str, limit: int) -> list[Kept]:
        """See :meth:`sekisho.transports.sftp_shared.History.quarantined`."""
        return self._look(box, limit, quarantined=True)

    def _look(self, box: str, limit: int, *, quarantined: bool) -> list[Kept]:
        try:
            with self._store.view() as view:
                found = view.sent_by(box, Wrapping.BARE, limit, quarantined=quarantined)
        except StoreError as error:
            raise TrayError("the journal cannot be read now, try again later") from error
        return [
            Kept(request.number, request.transport_id.partition("|")[0], size, request.received_at)
            for request, size in found
        ]

    def raw(self, number: int) -> bytes:
        """See :meth:`sekisho.transports.sftp_shared.History.raw`."""
        try:
            with self._store.view() as view:
                return view.raw(number)
        except StoreError as error:
            raise TrayError("this file is not kept any more") from error
