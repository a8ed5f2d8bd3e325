"""Random sequences of every request type against a model that is four dictionaries (R10)."""

import asyncio
import struct
from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sekisho.codecs.envelope import Envelope
from sekisho.transports.base import Receipt, Verdict
from sekisho.transports.sftp_shared import SftpLimits

from .sftp_house import BOX, DAY, OTHER, House
from .sftp_talk import (
    APPEND,
    CREATE,
    DENIED,
    EOF,
    EXCLUSIVE,
    FAILURE,
    NO_SUCH_FILE,
    OK,
    READ,
    TRUNCATE,
    UNSUPPORTED,
    WRITE,
    Reply,
    Talk,
    text,
    u32,
    u64,
)

LIMIT = 3_000
HANDLES = 6
LETTERS = f"/out/{BOX}/{DAY}"
NAMES = ["a.edi", "b.edi", "c.tmp", "d.part", ".e"]
HOSTILE = ["/in/../etc/passwd", "/etc/passwd", f"/out/{OTHER}/{DAY}/SAS1360_-_7-9.edi", "/in/a b", "/in/\0", "/in/a/b",
           "/IN/a.edi", f"/out/{BOX}/../../etc", "/in/\u6ce8", "/in/" + "x" * 191, "/in/a.", "/in/-a",
           "/sent/../../x"]  # fmt: skip
VERDICTS = st.sampled_from([Verdict.ACCEPTED] * 4 + [*Verdict])
FILES = [f"/in/{name}" for name in NAMES]
PLACES = ["/", "/in", "/out", f"/out/{BOX}", LETTERS, "/sent", "/quarantine"]


@dataclass
class Draft:
    """An unfinished file as the model has it."""

    content: bytearray = field(default_factory=bytearray)
    open: bool = True
    broken: bool = False


@dataclass
class Handle:
    """What the model knows of a handle."""

    name: str = ""
    draft: Draft | None = None
    letter: int | None = None
    listing: bool = False
    append: bool = False


class Sessions(RuleBasedStateMachine):
    """One session; every answer is compared with what the model says."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.house = House()
        self.verdict = Verdict.ACCEPTED
        self.house.answer = self._answer
        limits = SftpLimits(
            max_object=LIMIT, memory_each=1_000, handles=HANDLES, memory=4_000, disk=2 * LIMIT, remembered=1000
        )
        self.talk = self.loop.run_until_complete(self._begin(limits))
        self.drafts: dict[str, Draft] = {}
        self.accepted: dict[str, int] = {}
        self.taken: list[tuple[str, bytes]] = []
        self.letters: dict[str, int] = {}
        self.handles: dict[bytes, Handle] = {}
        self.closed_handles: list[bytes] = [text(b"\xff\xff\xff\xff"), text(b"")]

    async def _begin(self, limits: SftpLimits) -> Talk:
        return Talk(self.house, limits)

    async def _answer(self, _: Envelope) -> Receipt:
        return Receipt(self.verdict, "as told")

    def say(self, kind: int, *fields: bytes) -> Reply:
        """One request."""
        return self.loop.run_until_complete(self.talk.say(kind, *fields))

    def teardown(self) -> None:
        self.talk.end()
        assert self.talk.incidents == []
        assert [one.content for one in self.house.taken] == [content for _, content in self.taken]
        while waiting := asyncio.all_tasks(self.loop):  # a thread may still be writing a dropped file
            self.loop.run_until_complete(asyncio.wait(waiting, timeout=5))
        self.loop.close()

    @initialize(count=st.integers(0, 3), files=st.sets(st.sampled_from(FILES)))
    def _fill(self, count: int, files: set[str]) -> None:
        for path in sorted(files):
            self.put(path, 10, Verdict.ACCEPTED)
        self.house.add(99, b"of another box", box=OTHER)
        for number in range(1, count + 1):
            self.house.add(number, b"letter %d" % number)
            self.letters[f"{LETTERS}/SAS1360_-_7-{number}.edi"] = number

    def _temporary(self, name: str) -> bool:
        return name.startswith(".") or name.endswith((".tmp", ".part"))

    def _finish(self, draft: Draft, name: str, reply: Reply) -> None:
        """What CLOSE and RENAME must have answered."""
        if draft.broken or not draft.content or self.verdict is not Verdict.ACCEPTED:
            assert reply.code == FAILURE
            return
        assert reply.code == OK, reply
        self.taken.append((name, bytes(draft.content)))
        self.accepted[name] = len(draft.content)

    # OPEN, CLOSE, READ, WRITE

    @rule(path=st.sampled_from(FILES), flags=st.integers(0, 63))
    def open_in(self, path: str, flags: int) -> None:
        name = path[4:]
        reply = self.say(3, text(path), u32(flags), u32(0))
        draft = self.drafts.get(name)
        if len(self.handles) >= HANDLES:
            assert reply.code == FAILURE
            return
        if not flags & WRITE:
            there = draft is not None or name in self.accepted
            assert reply.code == (DENIED if there else NO_SUCH_FILE)
            return
        if draft is not None:
            if draft.open or flags & EXCLUSIVE:
                assert reply.code == FAILURE
                return
            if not flags & TRUNCATE and not draft.broken:
                draft.open = True
                self._opened(reply, name, draft, flags)
                return
            del self.drafts[name]
        elif name in self.accepted:
            if flags & EXCLUSIVE or not flags & TRUNCATE:
                assert reply.code == FAILURE
                return
        elif not flags & CREATE:
            assert reply.code == NO_SUCH_FILE
            return
        if len(self.drafts) >= HANDLES:
            assert reply.code == FAILURE
            return
        draft = self.drafts[name] = Draft()
        self._opened(reply, name, draft, flags)

    def _opened(self, reply: Reply, name: str, draft: Draft, flags: int) -> None:
        assert reply.kind == 102, reply
        self.handles[reply.body] = Handle(name, draft, append=bool(flags & APPEND))

    @rule(data=st.data(), flags=st.sampled_from([READ, READ | CREATE, READ | WRITE]))
    def open_letter(self, data: st.DataObject, flags: int) -> None:
        path = data.draw(st.sampled_from([*self.letters, f"{LETTERS}/SAS1360_-_7-77.edi"]))
        reply = self.say(3, text(path), u32(flags), u32(0))
        if len(self.handles) >= HANDLES:
            assert reply.code == FAILURE
        elif flags & WRITE:
            assert reply.code == DENIED
        elif path in self.letters:
            assert reply.kind == 102
            self.handles[reply.body] = Handle(letter=self.letters[path])
        else:
            assert reply.code == NO_SUCH_FILE

    def _any_handle(self, data: st.DataObject) -> bytes:
        return data.draw(st.sampled_from([*self.handles, *self.handles, *self.closed_handles[-2:]]))

    @rule(data=st.data(), verdict=VERDICTS)
    def close(self, data: st.DataObject, verdict: Verdict) -> None:
        handle = self._any_handle(data)
        self.verdict = verdict
        self._closed(handle, self.say(4, handle))

    def _closed(self, handle: bytes, reply: Reply) -> None:
        known = self.handles.pop(handle, None)
        if known is None:
            assert reply.code == FAILURE
            return
        self.closed_handles.append(handle)
        draft = known.draft
        if draft is None:
            assert reply.code == OK
            return
        draft.open = False
        if draft.broken:
            assert reply.code == FAILURE
            del self.drafts[known.name]
        elif self._temporary(known.name):
            assert reply.code == OK
        else:
            del self.drafts[known.name]
            self._finish(draft, known.name, reply)

    @rule(data=st.data(), offset=st.one_of(st.integers(0, LIMIT + 50), st.just(2**63)), size=st.integers(0, 1_500))
    def write(self, data: st.DataObject, offset: int, size: int) -> None:
        handle = self._any_handle(data)
        content = bytes([65 + size % 26]) * size
        reply = self.say(6, handle, u64(offset), text(content))
        known = self.handles.get(handle)
        if known is None:
            assert reply.code == FAILURE
            return
        draft = known.draft
        if draft is None:
            assert reply.code == DENIED
            return
        if known.append:
            offset = len(draft.content)
        if draft.broken:
            assert reply.code == FAILURE
        elif not size:
            assert reply.code == OK
        elif offset + size > LIMIT:
            assert reply.code == FAILURE
            draft.broken = True
        elif reply.code == FAILURE:  # all disk bytes of the listener are taken: told, and the file is gone
            assert "No room" in reply.text
            draft.broken = True
        else:
            assert reply.code == OK
            draft.content.extend(bytes(max(0, offset - len(draft.content))))
            draft.content[offset : offset + size] = content

    @rule(data=st.data(), offset=st.integers(0, 20), size=st.integers(0, 50))
    def read(self, data: st.DataObject, offset: int, size: int) -> None:
        handle = self._any_handle(data)
        reply = self.say(5, handle, u64(offset), u32(size))
        known = self.handles.get(handle)
        if known is None:
            assert reply.code == FAILURE
        elif known.letter is None:
            assert reply.code == DENIED
        elif known.letter not in self.house.boxes[BOX]:
            assert reply.code in (NO_SUCH_FILE, EOF) or reply.kind == 103  # collected; the shelf may still have it
        else:
            expected = (b"letter %d" % known.letter)[offset : offset + size]
            assert (reply.body == text(expected)) if expected else (reply.code == EOF)

    @rule(data=st.data(), size=st.one_of(st.none(), st.integers(0, LIMIT + 10)), owner=st.booleans())
    def set_handle(self, data: st.DataObject, size: int | None, owner: bool) -> None:
        handle = self._any_handle(data)
        flags = (1 if size is not None else 0) | (2 if owner else 0)
        fields = u32(flags) + (u64(size) if size is not None else b"") + (u64(0) if owner else b"")
        reply = self.say(10, handle, fields)
        known = self.handles.get(handle)
        if known is None:
            assert reply.code == FAILURE
        elif known.draft is None or owner:
            assert reply.code == DENIED
        elif size is None or (size == len(known.draft.content) and not known.draft.broken):
            assert reply.code == OK
        elif known.draft.broken:
            assert reply.code == FAILURE or size == 0
        elif size > LIMIT or reply.code == FAILURE:
            assert reply.code == FAILURE
            known.draft.broken = True
        else:
            assert reply.code == OK
            del known.draft.content[size:]
            known.draft.content.extend(bytes(size - len(known.draft.content)))

    @rule(data=st.data())
    def stat_handle(self, data: st.DataObject) -> None:
        handle = self._any_handle(data)
        reply = self.say(8, handle)
        known = self.handles.get(handle)
        if known is None:
            assert reply.code == FAILURE
        elif known.draft is not None and not known.draft.broken:
            assert reply.size == len(known.draft.content)
        else:
            assert reply.kind == 105

    @rule(
        path=st.sampled_from(FILES), size=st.integers(1, 1_500), verdict=VERDICTS
    )
    def put(self, path: str, size: int, verdict: Verdict) -> None:
        """What every client does: open, write, close; it brings the machine into states that single steps miss."""
        name = path[4:]
        if name in self.drafts or len(self.drafts) >= HANDLES:
            return
        if len(self.handles) >= HANDLES:
            handle = next(iter(self.handles))
            self._closed(handle, self.say(4, handle))
            if name in self.drafts:
                return
        self.verdict = verdict
        handle = self.say(3, text(path), u32(WRITE | CREATE | TRUNCATE), u32(0)).body
        draft = Draft(bytearray(b"p" * size))
        if self.say(6, handle, u64(0), text(bytes(draft.content))).code != OK:
            draft.broken = True  # no room on the disk
        reply = self.say(4, handle)
        draft.open = False
        if not self._temporary(name) or draft.broken:
            self._finish(draft, name, reply)
        else:
            assert reply.code == OK
            self.drafts[name] = draft

    # Names

    def _some_file(self, data: st.DataObject) -> str:
        """Mostly one that is there."""
        there = [f"/in/{name}" for name in (*self.drafts, *self.accepted)]
        return data.draw(st.sampled_from([*FILES, *there * 4]))

    @rule(data=st.data(), extension=st.booleans(), verdict=VERDICTS)
    def rename(self, data: st.DataObject, extension: bool, verdict: Verdict) -> None:
        source = self._some_file(data)
        to = data.draw(st.sampled_from([*[self._some_file(data)] * 6, *FILES, "/out/x", "/sent/x", "/in/a b"]))
        self.verdict = verdict
        kind, head = (200, [text("posix-rename@openssh.com")]) if extension else (18, [])
        reply = self.say(kind, *head, text(source), text(to))
        old, new = source[4:], to[4:]
        draft = self.drafts.get(old)
        if draft is None:
            assert reply.code == (DENIED if old in self.accepted else NO_SUCH_FILE)
        elif to not in FILES:
            assert reply.code in (DENIED, NO_SUCH_FILE)
        elif draft.open or new in self.drafts or new in self.accepted:
            assert reply.code == FAILURE
        else:
            del self.drafts[old]
            if self._temporary(new):
                assert reply.code == OK
                self.drafts[new] = draft
            else:
                self._finish(draft, new, reply)

    @rule(data=st.data())
    def remove_upload(self, data: st.DataObject) -> None:
        path = self._some_file(data)
        name = path[4:]
        reply = self.say(13, text(path))
        draft = self.drafts.get(name)
        if draft is not None:
            assert reply.code == (FAILURE if draft.open else OK)
            if not draft.open:
                del self.drafts[name]
        elif name in self.accepted:
            assert reply.code == OK
            del self.accepted[name]
        else:
            assert reply.code == NO_SUCH_FILE

    @rule(data=st.data(), fault=st.booleans())
    def remove_letter(self, data: st.DataObject, fault: bool) -> None:
        path = data.draw(st.sampled_from([*self.letters, f"{LETTERS}/SAS1360_-_7-77.edi"]))
        self.house.tray_fault = "not now" if fault else ""
        reply = self.say(13, text(path))
        if path not in self.letters:
            assert reply.code == NO_SUCH_FILE
        elif fault:
            assert (reply.code, reply.text) == (FAILURE, "not now")
        else:
            assert reply.code == OK
            assert self.letters.pop(path) not in self.house.boxes[BOX]

    @rule(path=st.sampled_from([*FILES, *PLACES]), kind=st.sampled_from([7, 17]))
    def stat(self, path: str, kind: int) -> None:
        reply = self.say(kind, text(path))
        name = path[4:] if path in FILES else ""
        if path in PLACES:
            there = path != LETTERS or bool(self.letters)
            assert (reply.is_directory if there else reply.code == NO_SUCH_FILE), reply
        elif name in self.drafts:
            assert self.drafts[name].broken or reply.size == len(self.drafts[name].content)
        elif name in self.accepted:
            assert reply.size == self.accepted[name]
        else:
            assert reply.code == NO_SUCH_FILE

    @rule(path=st.sampled_from(PLACES), rest=st.booleans())
    def list(self, path: str, rest: bool) -> None:
        reply = self.say(11, text(path))
        if len(self.handles) >= HANDLES:
            assert reply.code == FAILURE
            return
        expected: dict[str, list[str]] = {
            "/": ["in", "out", "quarantine", "sent"],
            "/in": sorted({*self.drafts, *self.accepted}),
            "/out": [BOX],
            f"/out/{BOX}": [DAY] if self.letters else [],
            LETTERS: sorted(one.rpartition("/")[2] for one in self.letters),
            "/sent": [f"{number:010d}_{name}" for number, (name, _) in enumerate(self.taken, 1)],
            "/quarantine": [],
        }
        if path == LETTERS and not self.letters:
            assert reply.code == NO_SUCH_FILE
            return
        page = self.say(12, reply.body)
        assert page.names == expected[path] if expected[path] else page.code == EOF
        if rest:
            self.handles[reply.body] = Handle(listing=True)
        else:
            assert self.say(4, reply.body).code == OK

    @rule(path=st.sampled_from([*FILES, *PLACES, *HOSTILE]), kind=st.sampled_from([14, 15, 19, 20, 21, 99, 200]))
    def never(self, path: str, kind: int) -> None:
        """Directories, links and unknown requests: refused always, whatever the state."""
        head = [text("hardlink@openssh.com")] if kind == 200 else []
        reply = self.say(kind, *head, text(path), text("/in/x"))
        expected = {14: (DENIED, FAILURE), 15: (DENIED,), 19: (DENIED,), 20: (DENIED,)}.get(kind, (UNSUPPORTED,))
        assert reply.code in expected, reply

    @rule(path=st.sampled_from(HOSTILE), kind=st.sampled_from([3, 7, 9, 11, 13, 17, 18]), flags=st.integers(0, 63))
    def hostile(self, path: str, kind: int, flags: int) -> None:
        """Names from outside lead nowhere, in every request that takes one."""
        tail = {3: [u32(flags), u32(0)], 9: [u32(0)], 18: [text("/in/zz.edi")]}.get(kind, [])
        reply = self.say(kind, text(path), *tail)
        full = len(self.handles) >= HANDLES and kind in (3, 11)
        assert reply.code in ((FAILURE,) if full else (NO_SUCH_FILE, DENIED)), reply

    @rule(path=st.sampled_from([*HOSTILE, *PLACES]))
    def real_path(self, path: str) -> None:
        """REALPATH answers inside the tree's alphabet or not at all."""
        reply = self.say(16, text(path))
        assert reply.code == NO_SUCH_FILE or (reply.names[0].startswith("/") and ".." not in reply.names[0])

    @rule(data=st.data(), mtime=st.integers(0, 2**32 - 1))
    def set_times(self, data: st.DataObject, mtime: int) -> None:
        """Times of one's own files in /in only."""
        path = data.draw(st.sampled_from([self._some_file(data), *PLACES]))
        reply = self.say(9, text(path), u32(8), u32(0), u32(mtime))
        name = path[4:] if path in FILES else ""
        if name in self.drafts or name in self.accepted:
            assert reply.code == OK
            shown = self.say(17, text(path))
            assert struct.unpack(">I", shown.body[-4:])[0] == mtime
        else:
            assert reply.code == (NO_SUCH_FILE if name else DENIED)

    @invariant()
    def nothing_else_was_taken(self) -> None:
        """Every message of the house is one that the model took in, byte for byte, under its name."""
        assert [(one.transport_id.partition("|")[0], one.content) for one in self.house.taken] == self.taken
        assert set(self.house.boxes[OTHER]) <= {99}


Sessions.TestCase.settings = settings(
    max_examples=250, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)
TestSessions = Sessions.TestCase
"""250 sequences of about 50 requests: over 10,000 in all, shrunk to the shortest that fails."""
