"""From bytes to raw segments: a transmission as starts, batches of segment texts, and ends.

*Strategy.* Windows of bytes are taken from the source, marked, cut at the last terminator and split in one go; the
unfinished tail is a list of pieces, joined once. What concerns single characters (repertoire, line ends, trailing
separators, white space) is asked once a window, and only a window with something to say is looked at segment by
segment. An interchange starts with a small window that doubles, so that a transmission of many tiny interchanges costs
no more than one big one; where an interchange ends, the rest of the window goes back to the source, because the next
one may have other service characters. Nothing here depends on how the bytes were cut into chunks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from sekisho.codecs.edifact.profile import Profile
from sekisho.codecs.edifact.syntax import CONTROL_ADVICE, DEFAULT_ADVICE, Syntax, syntax_of

__all__ = ["Batch", "End", "Gap", "Garbage", "Start", "events"]

_SMALLEST: Final = 2048
_LARGEST: Final = 1 << 15
_BLANK: Final = b" \t\r\n"
_BOM: Final = b"\xef\xbb\xbf"
# What may lie around interchanges without being one; only strict profiles mind.
_SKIPPED: Final = re.compile(rb"(?:\xef\xbb\xbf|[\x00\x1a \t\r\n])+")
_HEAD: Final = 96
"""Bytes looked at to find UNB and its syntax after UNA; more white space than that is no interchange."""
_BEGIN: Final = re.compile(rb"UNA.{4,6}[^A-Za-z0-9]?[ \t\r\n]*UNB|UNB[+\x1d][A-Z]{4}[:\x1f]", re.DOTALL)
_LEVELS: Final = re.compile(rb"UNB(.)(\w{0,6})(?:(\W)(\w{0,3}))?", re.DOTALL)
_PAIR: Final = re.compile("[\r\n]+")


@dataclass(slots=True)
class Start:
    """An interchange begins; ``problems`` with its service characters: (code, tag, offset, text, tolerated)."""

    offset: int
    syntax: Syntax
    una: str | None
    problems: list[tuple[str, str, int, str, bool]]
    prefix: bytes = b""
    """UNA with the blanks behind it, as sent."""
    readable: bool = True


@dataclass(slots=True)
class Batch:
    """Some segment texts (marked, without terminators) in order.

    ``offset``: of the first byte after the terminator before ``texts[0]``. ``characters``: a byte may be outside the
    repertoire. ``lines``: white space may stand in front of segments or inside them. ``trailing``: a segment may end in
    a separator. ``over``: index of a text that was longer than allowed and is cut, else -1; ``over_size`` its bytes.
    """

    texts: list[str]
    offset: int
    characters: bool
    lines: bool
    trailing: bool
    over: int = -1
    over_size: int = 0


@dataclass(slots=True)
class End:
    """An interchange ends: after UNZ (``closed``), before the next one begins, or with the data.

    ``rest`` is what was left without a terminator, ``offset`` where that begins.
    """

    offset: int
    closed: bool
    rest: str = ""


@dataclass(slots=True)
class Garbage:
    """Bytes outside any interchange; ``tolerated`` for byte-order marks, NUL and 0x1A."""

    offset: int
    sample: bytes
    tolerated: bool


@dataclass(slots=True)
class Gap:
    """Blanks and what transports leave behind, between interchanges and around them."""

    raw: bytes


class _Source:
    """Bytes by the window, from one object or from chunks; what was taken may be given back."""

    def __init__(self, data: bytes | Iterable[bytes]) -> None:
        whole = isinstance(data, bytes | bytearray | memoryview)
        self._data = bytes(data) if whole else b""  # type: ignore[arg-type]
        self._chunks: Iterator[bytes] = iter(()) if whole else iter(data)  # type: ignore[arg-type]
        self._at = 0
        self.offset = 0
        self._open = not whole

    def _fill(self, size: int) -> None:
        left = len(self._data) - self._at
        if left >= size or not self._open:
            return
        pieces = [self._data[self._at :]]
        while left < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._open = False
                break
            pieces.append(chunk)
            left += len(chunk)
        self._data, self._at = b"".join(pieces), 0

    def peek(self, size: int) -> bytes:
        self._fill(size)
        return self._data[self._at : self._at + size]

    def take(self, size: int) -> bytes:
        found = self.peek(size)
        self._at += len(found)
        self.offset += len(found)
        return found

    def back(self, raw: bytes) -> None:
        """Give the last bytes taken back; ``raw`` may differ from them only in the order of line ends."""
        self.offset -= len(raw)
        if self._at >= len(raw):
            self._at -= len(raw)
        else:
            self._data, self._at = raw + self._data[self._at :], 0


def events(data: bytes | Iterable[bytes], profile: Profile) -> Iterator[Start | Batch | End | Garbage | Gap]:
    """The transmission as events, for any cutting into chunks the same ones. Raises nothing for any bytes."""
    source = _Source(data)
    first = True
    while True:
        yield from _between(source)
        head = source.peek(_HEAD)
        if not head:
            return
        if not (head.startswith(b"UNB") or (head.startswith(b"UNA") and b"UNB" in head[6:])):
            yield _garbage(source, first=first)
            first = False
            continue
        first = False
        start = _start(source, head, profile)
        yield start
        yield from _segments(source, start, profile)


def _between(source: _Source) -> Iterator[Garbage | Gap]:
    """Pass white space and what transports leave behind."""
    while found := _SKIPPED.match(head := source.peek(4096)):
        at = source.offset
        skipped = source.take(found.end())
        if skipped.strip(b"\r\n") or (at == 0 and source.peek(1)):
            yield Garbage(at, skipped[:16], tolerated=True)
        yield Gap(skipped)
        if len(skipped) < len(head):
            return


def _garbage(source: _Source, *, first: bool) -> Garbage:
    """Pass everything up to what looks like the next interchange."""
    at = source.offset
    sample = source.peek(40)
    # A false start would be found again for ever.
    source.take(3 if first or sample[:2] == b"UN" else 1)
    while window := source.peek(_LARGEST):
        found = _BEGIN.search(window)
        if found is not None:
            source.take(found.start())
            break
        source.take(max(len(window) - 64, 1) if len(window) == _LARGEST else len(window))
    return Garbage(at, sample, tolerated=False)


def _start(source: _Source, head: bytes, profile: Profile) -> Start:
    at = source.offset
    una: str | None = None
    prefix = b""
    problems: list[tuple[str, str, int, str, bool]] = []
    if head.startswith(b"UNA"):
        place = head.find(b"UNB", 6)
        advice = head[3:9].decode("latin-1")
        between = head[9:place] if place >= 0 else b""
        # Five characters and a line end: the sixth is missing, and what seems to be position 5 is the terminator.
        short = advice[4:5] == DEFAULT_ADVICE[5] and advice[5:] in ("\r", "\n")
        if place < 9 or short or between.strip(_BLANK):
            text = "UNA holds exactly six characters and stands directly before UNB"
            problems.append(("22", "UNA", at, text, False))
            # The terminator may still be told from what stands before UNB.
            advice = DEFAULT_ADVICE
            prefix = source.take(place if place >= 0 else len(head))
        else:
            una = advice
            if between.strip(b"\r\n"):
                problems.append(("18", "UNA", at + 9, "white space between UNA and UNB", True))
            _check_advice(advice, at, problems)
            prefix = source.take(place)
        head = source.peek(_HEAD)
        if profile.una == "forbidden":
            problems.append(("22", "UNA", at, "no UNA is agreed: send without it", False))
    else:
        advice = DEFAULT_ADVICE
        if profile.una == "required":
            problems.append(("22", "UNA", at, "a UNA is agreed: send it before UNB", False))
    found = _LEVELS.match(head)
    lead = found[1].decode("latin-1") if found else ""
    readable = lead == advice[1] and not any(code == "20" and "told apart" in text for code, _, _, text, _ in problems)
    if una is None and lead == CONTROL_ADVICE[1] and not problems:
        advice, readable = CONTROL_ADVICE, True
        if not profile.control_separators:
            text = "control characters as separators are not agreed: use + : ' or send a UNA"
            problems.append(("22", "UNB", source.offset + 3, text, False))
    elif lead != advice[1]:
        text = f"after UNB stands {lead!r} where the element separator {advice[1]!r} is due; send the UNA that says so"
        problems.append(("22", "UNB", source.offset + 3, text, False))
    identifier = found[2].decode("latin-1") if found else ""
    version = found[4].decode("latin-1") if found and found[4] and found[3] == advice[0].encode("latin-1") else ""
    if una is not None and una[4] != " " and version in ("1", "2", "3"):
        text = f"position 5 of UNA is {una[4]!r}; before syntax version 4 it must be a space"
        problems.append(("20", "UNA", at + 7, text, False))
    syntax = syntax_of(advice, identifier, version, advised=una is not None, charset=profile.charset)
    return Start(at, syntax, una, problems, prefix, readable)


def _check_advice(advice: str, at: int, problems: list[tuple[str, str, int, str, bool]]) -> None:
    seen: dict[str, int] = {}
    for place, character in enumerate(advice):
        spare = character == " " and place in (3, 4)
        # Line ends are chosen as terminators in the field, and nothing forbids it.
        if not spare and (character.isalnum() or character == " "):
            needed = "; nothing can be told apart" * (place in (0, 1, 5))
            text = f"position {place + 1} of UNA is {character!r}, which cannot be a service character{needed}"
            problems.append(("20", "UNA", at + 3 + place, text, False))
        elif not spare and place != 2 and character in seen:
            text = f"position {place + 1} of UNA repeats position {seen[character] + 1}; nothing can be told apart"
            problems.append(("20", "UNA", at + 3 + place, text, False))
        elif not spare and place == 2 and character in seen:
            text = f"the decimal mark of UNA repeats position {seen[character] + 1}; choose another"
            problems.append(("20", "UNA", at + 3 + place, text, False))
        if not spare:
            seen.setdefault(character, place)


def _segments(source: _Source, start: Start, profile: Profile) -> Iterator[Batch | End]:
    """The batches of one interchange and its end."""
    syntax = start.syntax
    terminator, release = syntax.terminator, syntax.release
    release_byte = release.encode("latin-1")
    probes = _probes(syntax, unwrap=profile.unwrap)
    size = _SMALLEST
    pieces: list[str] = []
    held = dropped = 0
    at = source.offset
    carried = (False, False, False)
    opening = True
    while True:
        raw = source.take(size)
        size = min(size * 2, _LARGEST)
        if release:
            # A window must not end between a release and the character it releases.
            while raw.endswith(release_byte) and (len(raw) - len(raw.rstrip(release_byte))) % 2:
                more = source.take(1)
                if not more:
                    break
                raw += more
        if not raw:
            yield End(at, closed=False, rest="".join(pieces))
            return
        own = probes.of(raw)
        text = raw.decode("latin-1")
        if release and release in text:
            if profile.unwrap and ("\n" in text or "\r" in text):
                text = _unhook(text, release)
            text = syntax.marked(text)
        flags = (own[0] or carried[0], own[1] or carried[1], own[2] or carried[2])
        if terminator not in text:
            carried = flags
            held += len(text)
            if held <= profile.max_segment:
                pieces.append(text)
            else:
                dropped += syntax.size(text)
            continue
        over, cut_off = -1, 0
        if dropped:
            first, text = text.split(terminator, 1)
            over, cut_off = 0, dropped + syntax.size(first)
            text = "".join(pieces) + terminator + text
        elif pieces:
            pieces.append(text)
            text = "".join(pieces)
        stop, closed = -1, False
        # Only a window that may hold the end is searched for it; at its start it may have been cut.
        begin = 3 if opening else 0
        if opening or pieces or text.startswith(_STARTS) or probes.boundary(raw):
            stop, closed = _boundary(text, begin, syntax, source, unwrap=profile.unwrap)
        pieces, held, dropped, opening = [], 0, 0, False
        end = text.rfind(terminator) + 1 if stop < 0 else stop
        tail = text[end:]
        if end:
            texts = text[: end - 1].split(terminator)
            if len(text) > profile.max_segment and over < 0:
                over = next((i for i, t in enumerate(texts) if len(t) > profile.max_segment), -1)
            marks = syntax.odd and not text.isascii()
            # The bytes may have shown released characters for true ones: asked again where they seem to be there.
            lines = flags[2] and probes.blanks(text)
            trailing = flags[1] and any(piece in text for piece in syntax.trailing)
            yield Batch(texts, at, flags[0] or marks, lines, trailing, over, cut_off)
            at = source.offset - syntax.size(tail)
        if stop >= 0:
            source.back(syntax.raw(tail).encode("latin-1"))
            yield End(at, closed=closed)
            return
        carried = own if tail else (False, False, False)
        if tail:
            pieces, held = [tail], len(tail)


_STARTS: Final = (" ", "\t", "\r", "\n", "UN")


class _Probes:
    """What is asked of a whole window of bytes: three flags, and whether an interchange may end in it."""

    def __init__(self, syntax: Syntax, *, unwrap: bool) -> None:
        terminator = syntax.terminator.encode("latin-1")
        self._wanted = syntax.wanted
        self._multibyte = syntax.multibyte
        self._service = syntax.service.encode("latin-1")
        self._trailing = tuple(piece.encode("latin-1") for piece in syntax.trailing)
        self._blanks = (terminator + b" ", terminator + b"\t")
        self._texts = tuple(blank.decode("latin-1") for blank in self._blanks)
        self._unwrap = unwrap
        gap = rb"[\r\n]*" if unwrap else b""
        self.boundary = re.compile(
            re.escape(terminator) + rb"[ \t\r\n]*U" + gap + b"N" + gap + b"[ZAB]"
        ).search

    def of(self, raw: bytes) -> tuple[bool, bool, bool]:
        """Characters, trailing separators, white space: whether a segment of the window may have some."""
        characters = bool(raw.translate(None, self._wanted)) or (self._multibyte and not raw.isascii())
        # A separator at the very end may meet its terminator in the next window.
        trailing = raw[:1] in self._service or any(piece in raw for piece in self._trailing)
        lines = b"\n" in raw or b"\r" in raw or any(blank in raw for blank in self._blanks) or raw[:1] in b" \t"
        return characters, trailing, lines or self._unwrap

    def blanks(self, text: str) -> bool:
        """Whether line ends, or blanks behind a true terminator, are in marked text; or all of it is unwrapped."""
        if self._unwrap or "\n" in text or "\r" in text or text[:1] in " \t":
            return True
        return any(blank in text for blank in self._texts)


@lru_cache(maxsize=64)
def _probes(syntax: Syntax, *, unwrap: bool) -> _Probes:
    """The probes of a set of service characters, made once."""
    return _Probes(syntax, unwrap=unwrap)


def _boundary(text: str, begin: int, syntax: Syntax, source: _Source, *, unwrap: bool) -> tuple[int, bool]:
    """Where this interchange ends in ``text`` and whether its UNZ ends there; -1 if it does not end in here."""
    terminator = syntax.terminator
    if begin == 0:
        blank = len(text) - len(text.lstrip(" \t\r\n"))
        head = text[blank : blank + 12]
        head = _PAIR.sub("", head) if unwrap else head
        if head.startswith("UNZ"):
            return text.find(terminator, blank) + 1, True
        if head.startswith(("UNA", "UNB")) and _is_header(text, 0, syntax, source):
            return 0, False
    for found in (syntax.wrapped_boundary if unwrap else syntax.boundary).finditer(text, begin):
        start = found.start() + 1
        if found[0][-1] == "Z":
            close = text.find(terminator, found.end())
            return (close + 1, True) if close >= 0 else (-1, False)
        if _is_header(text, start, syntax, source):
            return start, False
    return -1, False


def _is_header(text: str, start: int, syntax: Syntax, source: _Source) -> bool:
    """Whether UNA or UNB at ``start`` begins another interchange: a UNA that no UNB follows does not."""
    head = syntax.raw(text[start : start + _HEAD]).lstrip(" \t\r\n")
    if head.startswith("UNB"):
        return True
    if start + _HEAD > len(text):
        head += source.peek(_HEAD).decode("latin-1")
    return head[9:].lstrip(" \t\r\n").startswith("UNB")


def _unhook(text: str, release: str) -> str:
    """Wrapped data: put line ends behind the character that a release before them belongs to."""
    mark = re.escape(release)
    return re.sub(f"(?<!{mark})((?:{mark}{mark})*)({mark})([\r\n]+)", r"\1\3\2", text)
