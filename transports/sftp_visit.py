"""What one logged-in SFTP user can do: look, list, read, put in, take out. The words of the wire are not known here.

*Strategy.* A :class:`Visit` lives as long as the connection and is shared by its channels, be they SFTP or scp. What
can be answered from memory is answered by plain functions; what waits for a commit is a coroutine, and its awaiter may
go away without harm. Every refusal is a :class:`~sekisho.transports.sftp_wire.Failure` with a public text. A file is
taken in by :meth:`Visit.finish` and by nothing else, so nothing is a message that was not closed or renamed in full.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from sekisho.codecs.envelope import Envelope, Wrapping
from sekisho.transports.base import Receipt, TrayError, Verdict
from sekisho.transports.sftp_files import Shelf, Upload
from sekisho.transports.sftp_shared import Aging, Shared
from sekisho.transports.sftp_tree import (
    Node,
    Place,
    Spot,
    is_temporary,
    kept_name,
    locate,
    split_path,
    upload_name_fault,
)
from sekisho.transports.sftp_wire import Attributes, Failure, OpenFlag, Status

__all__ = ["Reader", "Visit"]

DOOR: Final = "sftp"
_TEXTS: Final = {
    Verdict.BUSY: "Busy, try again later",
    Verdict.FULL: "Storage is short, try again later",
    Verdict.REFUSED: "Refused",
}


@dataclass(frozen=True, slots=True)
class Reader:
    """A file that is open for reading."""

    node: Node
    key: Hashable
    load: Callable[[], bytes]
    shelf: Shelf

    def read(self, offset: int, size: int) -> bytes:
        """At most ``size`` bytes from ``offset``; empty at the end. Raises :class:`Failure`."""
        try:
            return self.shelf.get(self.key, self.load)[offset : offset + size]
        except TrayError as error:
            raise Failure(Status.NO_SUCH_FILE, str(error)) from None


class Visit:
    """One logged-in connection: the box ``box`` from ``peer`` (host:port). ``requests`` and ``files`` are counters."""

    def __init__(self, shared: Shared, box: str, peer: str) -> None:
        self.shared = shared
        self.limits = shared.limits
        self.box = box
        self.peer = peer
        self.handles = 0
        self.requests = 0
        self.files = 0
        self.uploads: dict[str, Upload] = {}
        """Files in /in that are not finished, open or not, by name."""
        self.accepted: OrderedDict[str, Node] = OrderedDict()
        """Files of this session that were accepted, by name."""
        self.last_request = time.monotonic()
        self._ended = False
        self._kept_lists: dict[Place, Aging[dict[str, Node]]] = {
            Place.SENT_FILE: Aging({}),
            Place.UNREAD_FILE: Aging({}),
        }

    # Looking ----------------------------------------------------------------------------------------------------------

    def touch(self) -> None:
        """Note that the client has asked for something."""
        self.requests += 1
        self.last_request = time.monotonic()

    def check_room(self) -> None:
        """Raise :class:`Failure` when no more files or directories may be opened."""
        if self.handles >= self.limits.handles:
            raise Failure(Status.FAILURE, f"More than {self.limits.handles} open files")

    def spot(self, path: bytes) -> Spot:
        """Where a path leads. Raises :class:`Failure` when it leads nowhere."""
        names = split_path(path)
        spot = locate(names, self.box) if names is not None else None
        if spot is None:
            raise Failure(Status.NO_SUCH_FILE, "No such file or directory")
        return spot

    def look(self, path: bytes) -> Node:
        """What is at a path. Raises :class:`Failure`."""
        return self._at(self.spot(path))

    def _at(self, spot: Spot) -> Node:
        node: Node | None = None
        match spot.place:
            case Place.UPLOAD:
                upload = self.uploads.get(spot.name)
                node = _upload_node(upload) if upload is not None else self.accepted.get(spot.name)
            case Place.DAY if spot.day in self._days():
                node = self._directory(spot.day)
            case Place.LETTER:
                node = self._letter(spot)
            case Place.SENT_FILE | Place.UNREAD_FILE:
                node = self._kept_lists[spot.place].value.get(spot.name) or self._kept(spot.place).get(spot.name)
            case place if spot.is_directory and place is not Place.DAY:
                node = self._directory(place.value.rsplit("/", 1)[-1] or "/")
        if node is None:
            raise Failure(Status.NO_SUCH_FILE, "No such file or directory")
        return node

    def entries(self, path: bytes) -> list[Node]:
        """What is in a directory, in the order of the names. Raises :class:`Failure`."""
        spot = self.spot(path)
        match spot.place:
            case Place.ROOT:
                return [self._directory(name) for name in ("in", "out", "quarantine", "sent")]
            case Place.IN:
                names = {name: _upload_node(upload) for name, upload in self.uploads.items()}
                return _sorted({**self.accepted, **names}.values())
            case Place.OUT:
                return [self._directory(self.box)]
            case Place.BOX:
                return [self._directory(day) for day in sorted(self._days())]
            case Place.DAY if spot.day in self._days():
                return _sorted(self._days()[spot.day].values())
            case Place.SENT:
                return _sorted(self._kept(Place.SENT_FILE).values())
            case Place.QUARANTINE:
                return _sorted(self._kept(Place.UNREAD_FILE).values())
        raise Failure(Status.NO_SUCH_FILE, "No such directory")

    def now(self) -> int:
        """Seconds since the epoch."""
        return int(self.shared.clock().timestamp())

    def _directory(self, name: str) -> Node:
        return Node(name, 0, self.now(), is_directory=True)

    def _days(self) -> dict[str, dict[str, Node]]:
        letters = self.shared.letters_of(self.box)
        try:
            letters.look(lambda: self.shared.tray.waiting(self.box))
        except TrayError as error:
            raise Failure(Status.FAILURE, str(error)) from None
        return letters.days

    def _letter(self, spot: Spot) -> Node | None:
        # A name that is known is not looked up again: a listing of 10,000 is followed by 10,000 of these.
        known = self.shared.letters_of(self.box).days.get(spot.day, {}).get(spot.name)
        return known or self._days().get(spot.day, {}).get(spot.name)

    def _kept(self, place: Place) -> dict[str, Node]:
        def load() -> dict[str, Node]:
            history, limit = self.shared.history, self.limits.kept
            found = history.sent(self.box, limit) if place is Place.SENT_FILE else history.quarantined(self.box, limit)
            names = {one.number: kept_name(one.number, one.name) for one in found}
            return {
                names[one.number]: Node(names[one.number], one.size, one.received_at // 1_000_000, number=one.number)
                for one in found
            }

        try:
            return self._kept_lists[place].look(load)
        except TrayError as error:
            raise Failure(Status.FAILURE, str(error)) from None

    # Reading ----------------------------------------------------------------------------------------------------------

    def open_to_read(self, path: bytes) -> Reader:
        """A letter or something that was sent. Raises :class:`Failure`."""
        spot = self.spot(path)
        node = self._at(spot)
        if node.is_directory:
            raise Failure(Status.FAILURE, "It is a directory")
        if spot.place is Place.UPLOAD:
            raise Failure(Status.PERMISSION_DENIED, "Files in /in are not given back; see /sent")
        number, shared = node.number, self.shared
        if spot.place is Place.LETTER:
            return Reader(node, ("letter", number), lambda: shared.tray.content(number), shared.shelf)
        return Reader(node, ("request", number), lambda: shared.history.raw(number), shared.shelf)

    # Putting in -------------------------------------------------------------------------------------------------------

    def open_to_write(self, path: bytes, flags: OpenFlag) -> Upload:
        """A new file in /in, or the rest of an unfinished one. Raises :class:`Failure`."""
        spot = self._upload_spot(path)
        if self._ended:
            raise Failure(Status.FAILURE, "The session is over")
        name = spot.name
        upload = self.uploads.get(name)
        if upload is not None:
            if upload.open:
                raise Failure(Status.FAILURE, "The file is being written already")
            if flags & OpenFlag.EXCLUSIVE:
                raise Failure(Status.FAILURE, "The file exists already")
            if not flags & OpenFlag.TRUNCATE and not upload.fault:
                upload.open = True
                return upload
            self.abandon(upload)
        elif name in self.accepted:
            if flags & OpenFlag.EXCLUSIVE or not flags & OpenFlag.TRUNCATE:
                raise Failure(Status.FAILURE, "The file was accepted already; it can be sent anew, not changed")
        elif not flags & OpenFlag.CREATE:
            raise Failure(Status.NO_SUCH_FILE, "No such file")
        if len(self.uploads) >= self.limits.handles:
            raise Failure(Status.FAILURE, f"More than {self.limits.handles} unfinished files")
        upload = Upload(self.shared.spool, name, self.now(), time.monotonic())
        self.uploads[name] = upload
        return upload

    def _upload_spot(self, path: bytes) -> Spot:
        fault = upload_name_fault(path)
        names = split_path(path)
        spot = locate(names, self.box) if names is not None else None
        if spot is None:
            raise Failure(Status.PERMISSION_DENIED if fault else Status.NO_SUCH_FILE, fault or "No such directory")
        if spot.is_directory:
            raise Failure(Status.FAILURE, "It is a directory")
        if spot.place is not Place.UPLOAD:
            raise Failure(Status.PERMISSION_DENIED, "Files are put into /in")
        return spot

    def abandon(self, upload: Upload) -> None:
        """Drop an unfinished file; nothing of it is kept."""
        upload.drop()
        if self.uploads.get(upload.name) is upload:
            del self.uploads[upload.name]

    def close_upload(self, upload: Upload) -> bool:
        """The client has closed it. True: it has its final name, so it is to be finished now."""
        upload.open = False
        if upload.fault:
            self.abandon(upload)
            raise Failure(Status.FAILURE, upload.fault)
        return not is_temporary(upload.name, self.limits.temporary)

    def finish(self, upload: Upload, name: str) -> Coroutine[Any, Any, None]:
        """Give the file to the house under this name; returns when it is on disk.

        Raises :class:`Failure` if it was not accepted; then nothing of it is kept and the name is free. The caller may
        be cancelled: what has been submitted goes on, its answer is not heard.
        """
        # From this moment the end of the session drops it no more.
        self.uploads.pop(upload.name, None)
        return self._finish(upload, name)

    async def _finish(self, upload: Upload, name: str) -> None:
        try:
            if not upload.size:
                raise Failure(Status.FAILURE, "The file is empty, nothing was taken in")
            ready = upload.content()
            if ready is not None:
                receipt = await self._submit(name, upload, *ready)
            else:
                async with self.shared.spool.whole:
                    receipt = await self._submit(name, upload, *await upload.whole())
        finally:
            size, mtime = upload.size, upload.mtime
            upload.drop()
        if receipt.verdict is not Verdict.ACCEPTED:
            raise Failure(Status.FAILURE, receipt.text or _TEXTS[receipt.verdict])
        self.files += 1
        self.accepted.pop(name, None)
        self.accepted[name] = Node(name, size, mtime, number=receipt.number)
        while len(self.accepted) > self.limits.remembered:
            self.accepted.popitem(last=False)

    async def _submit(self, name: str, upload: Upload, content: bytes, digest: str) -> Receipt:
        shared = self.shared
        envelope = Envelope(
            transport=shared.transport,
            received_at=shared.clock(),
            peer=self.peer,
            sender="",
            recipient="",
            raw=content,
            content=content,
            wrapping=Wrapping.BARE,
            transport_id=f"{name}|{upload.size}|{digest}",
            principal=self.box,
        )
        future = asyncio.ensure_future(shared.submit(envelope))
        shared.pending.add(future)
        future.add_done_callback(shared.pending.discard)
        return await asyncio.shield(future)

    # Changing ---------------------------------------------------------------------------------------------------------

    def rename(self, old: bytes, new: bytes) -> tuple[Upload, str] | None:
        """Give an unfinished file another name. If that is its final one: what to :meth:`finish`. Raises Failure."""
        source = self.spot(old)
        if source.place is not Place.UPLOAD:
            raise Failure(Status.PERMISSION_DENIED, "Only unfinished files in /in are renamed")
        upload = self.uploads.get(source.name)
        if upload is None:
            if source.name in self.accepted:
                raise Failure(Status.PERMISSION_DENIED, "The file was accepted already")
            raise Failure(Status.NO_SUCH_FILE, "No such file")
        name = self._upload_spot(new).name
        if upload.open:
            raise Failure(Status.FAILURE, "The file is still open")
        if name in self.uploads or name in self.accepted:
            raise Failure(Status.FAILURE, "The new name exists already")
        if not is_temporary(name, self.limits.temporary):
            return upload, name
        del self.uploads[upload.name]
        upload.name = name
        self.uploads[name] = upload
        return None

    def remove(self, path: bytes) -> tuple[Spot, Node] | None:
        """Take a file away. A letter: what to :meth:`collect`. Raises :class:`Failure`."""
        spot = self.spot(path)
        if spot.is_directory or spot.place in (Place.SENT_FILE, Place.UNREAD_FILE):
            raise Failure(Status.PERMISSION_DENIED, "It cannot be removed")
        node = self._at(spot)
        if spot.place is Place.LETTER:
            return spot, node
        upload = self.uploads.get(spot.name)
        if upload is None:
            # Clients do so before they rename onto a name. What was accepted stays accepted.
            del self.accepted[spot.name]
        elif upload.open:
            raise Failure(Status.FAILURE, "The file is being written")
        else:
            self.abandon(upload)
        return None

    async def collect(self, spot: Spot, node: Node) -> None:
        """Take a letter out of the box; returns after the commit. Raises :class:`Failure`: it is still there."""
        try:
            await self.shared.tray.collect(self.box, [node.number], DOOR, self.peer)
        except TrayError as error:
            raise Failure(Status.FAILURE, str(error)) from None
        if (letters := self.shared.letters.get(self.box)) is not None:
            letters.forget(spot.day, node.name)

    def make_directory(self, path: bytes) -> None:
        """Always raises :class:`Failure`: the tree is as it is."""
        names = split_path(path)
        spot = locate(names, self.box) if names is not None else None
        if spot is not None and spot.is_directory and spot.place is not Place.DAY:
            raise Failure(Status.FAILURE, "The directory exists already")
        raise Failure(Status.PERMISSION_DENIED, "Directories are not made here")

    def set_attributes(self, path: bytes, wanted: Attributes) -> None:
        """Of one's own files in /in only. Raises :class:`Failure`."""
        spot = self.spot(path)
        if spot.place is not Place.UPLOAD:
            raise Failure(Status.PERMISSION_DENIED, "Attributes are not changed here")
        upload = self.uploads.get(spot.name)
        if upload is not None:
            self.set_upload_attributes(upload, wanted)
            return
        node = self._at(spot)
        if wanted.owner or wanted.size not in (None, node.size):
            raise Failure(Status.PERMISSION_DENIED, "The file was accepted already")
        if wanted.mtime is not None:
            self.accepted[spot.name] = Node(node.name, node.size, wanted.mtime, number=node.number)

    def set_upload_attributes(self, upload: Upload, wanted: Attributes) -> None:
        """Size and time of an unfinished file. Raises :class:`Failure`."""
        if wanted.owner:
            raise Failure(Status.PERMISSION_DENIED, "Owners are not changed here")
        if wanted.size is not None and wanted.size != upload.size:
            upload.truncate(wanted.size)
        if wanted.mtime is not None:
            upload.mtime = wanted.mtime

    def end(self) -> None:
        """The connection is over: what was not finished is gone, and what still lies in buffers begins nothing."""
        self._ended = True
        for upload in list(self.uploads.values()):
            self.abandon(upload)
        self.accepted.clear()


def _upload_node(upload: Upload) -> Node:
    return Node(upload.name, upload.size, upload.mtime)


def _sorted(nodes: Iterable[Node]) -> list[Node]:
    return sorted(nodes, key=lambda node: node.name)
