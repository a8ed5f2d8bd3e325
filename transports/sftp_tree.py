"""The tree that an SFTP user sees: names to places and back. Nothing here is a file, so no name can reach one.

*Strategy.* A path is split into names and looked up, name by name, among keys that exist; it is never handed to an
operating system. ``.`` and empty names are dropped and ``..`` is resolved by the text alone, never above the root, so
that ``cd ..`` works and leads nowhere else. Every name is of one fixed alphabet and at most 190 bytes (reliability.md
7), which leaves no second spelling of anything: no encoding, no case folding, no trailing dot or space. Pure: no
clock, no socket, no library of SSH.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from sekisho.transports.base import Waiting

__all__ = [
    "NAME_BYTES",
    "TEMPORARY",
    "Node",
    "Place",
    "Spot",
    "day_of",
    "index_of",
    "is_temporary",
    "kept_name",
    "letter_name",
    "locate",
    "long_line",
    "split_path",
    "upload_name_fault",
]

NAME_BYTES: Final = 190
"""The longest name: what NACCS allows for the file name of an attachment."""
PATH_BYTES: Final = 1024
"""The longest path; the deepest real one has about 250 bytes."""
TEMPORARY: Final = (".tmp", ".temp", ".part", ".partial", ".filepart", ".swp", ".upload", ".lock")
"""Endings of names that clients write to before they rename (WinSCP: .filepart, most others: .part or .tmp)."""

_NAME: Final = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._-]*", re.ASCII)
_NOT_A_NAME: Final = re.compile(r"[^A-Za-z0-9._-]+", re.ASCII)
_OTHER: Final = re.compile(r"[^A-Za-z0-9.-]+", re.ASCII)
_KEY_BYTES: Final = 60
_CODE_BYTES: Final = 20
_JAPAN: Final = timedelta(hours=9)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_US: Final = 86_400_000_000
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Place(enum.Enum):
    """Where a path leads. The first seven are directories."""

    ROOT = "/"
    IN = "/in"
    OUT = "/out"
    BOX = "/out/<box>"
    DAY = "/out/<box>/<day>"
    SENT = "/sent"
    QUARANTINE = "/quarantine"
    UPLOAD = "/in/<name>"
    LETTER = "/out/<box>/<day>/<name>"
    SENT_FILE = "/sent/<name>"
    UNREAD_FILE = "/quarantine/<name>"


DIRECTORIES: Final = frozenset(
    {Place.ROOT, Place.IN, Place.OUT, Place.BOX, Place.DAY, Place.SENT, Place.QUARANTINE}
)


@dataclass(frozen=True, slots=True)
class Spot:
    """A place with the names that are in its path; whether something is there is another question."""

    place: Place
    name: str = ""
    day: str = ""

    @property
    def is_directory(self) -> bool:
        """Whether it can only be a directory."""
        return self.place in DIRECTORIES


@dataclass(frozen=True, slots=True)
class Node:
    """What is at a spot: ``size`` in bytes, ``mtime`` in seconds since the epoch, ``number`` the house's own."""

    name: str
    size: int
    mtime: int
    is_directory: bool = False
    number: int = 0

    @property
    def mode(self) -> int:
        """Type and permissions as SFTP tells them.

        They promise nothing: a copy that takes them over (``get -p``) must stay writable for its new owner.
        """
        return 0o040750 if self.is_directory else 0o100640


def split_path(path: bytes) -> tuple[str, ...] | None:
    """The names of a path from the root, with ``.`` and ``..`` resolved; None if it can name nothing here.

    Bytes over 127 (an overlong UTF-8 slash among them), NUL, backslash and space are outside the alphabet.
    """
    if len(path) > PATH_BYTES:
        return None
    try:
        text = path.decode("ascii")
    except UnicodeDecodeError:
        return None
    names: list[str] = []
    for name in text.split("/"):
        if name in ("", "."):
            continue
        if name == "..":
            del names[-1:]
        elif len(name) > NAME_BYTES or _NAME.fullmatch(name) is None or name[-1] == ".":
            return None
        else:
            names.append(name)
    return tuple(names)


def locate(names: tuple[str, ...], box: str) -> Spot | None:
    """Where these names lead in the tree of the user of ``box``; None: nowhere."""
    match names:
        case ():
            return Spot(Place.ROOT)
        case ("in",):
            return Spot(Place.IN)
        case ("in", name):
            return Spot(Place.UPLOAD, name)
        case ("out",):
            return Spot(Place.OUT)
        case ("out", owner) if owner == box:
            return Spot(Place.BOX)
        case ("out", owner, day) if owner == box and _is_day(day):
            return Spot(Place.DAY, day=day)
        case ("out", owner, day, name) if owner == box and _is_day(day):
            return Spot(Place.LETTER, name, day)
        case ("sent",):
            return Spot(Place.SENT)
        case ("sent", name):
            return Spot(Place.SENT_FILE, name)
        case ("quarantine",):
            return Spot(Place.QUARANTINE)
        case ("quarantine", name):
            return Spot(Place.UNREAD_FILE, name)
        case _:
            return None


def _is_day(text: str) -> bool:
    return len(text) == 8 and text.isdecimal()


def is_temporary(name: str, endings: Iterable[str] = TEMPORARY) -> bool:
    """Whether a file of this name is finished by a rename, not by closing it. A leading dot is temporary too (lftp)."""
    lower = name.lower()
    return lower.startswith(".") or lower.endswith(tuple(endings))


def upload_name_fault(path: bytes) -> str:
    """Why the last name of a path cannot be a file in /in, as a public text; empty if it can."""
    name = path.rsplit(b"/", 1)[-1]
    if len(name) > NAME_BYTES:
        return f"The file name has more than {NAME_BYTES} bytes"
    if name[-1:] == b".":
        return "The file name ends with a dot"
    if _NAME.fullmatch(name.decode("ascii", "replace")) is None:
        return "The file name may hold A-Z a-z 0-9 . _ - only, and not begin with -"
    return ""


def _plain(text: str, most: int) -> str:
    """A field of a file name: letters, digits, dots and hyphens; the star of a notice's output code becomes ``R-``."""
    text = text.strip()
    if text.startswith("*"):
        text = "R-" + text[1:]
    return _OTHER.sub("-", text)[:most].strip("-.") or "-"


@lru_cache(maxsize=64)
def _day_text(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).strftime("%Y%m%d")


def day_of(created_at: int) -> str:
    """The Japan date (YYYYMMDD) of a moment in microseconds since the epoch, UTC."""
    return _day_text((created_at + 9 * 3_600_000_000) // _DAY_US)


def letter_name(letter: Waiting) -> str:
    """``<output code>_<key or ->_<uid_validity>-<uid>.edi``: unique in the box, and the same for ever."""
    code = _plain(letter.output_code, _CODE_BYTES)
    if code == "-":
        code = "NONE"  # no name begins with a hyphen: programs take it for an option
    return f"{code}_{_plain(letter.key, _KEY_BYTES)}_{letter.uid_validity}-{letter.uid}.edi"


def kept_name(number: int, name: str) -> str:
    """``<journal number>_<the name it was sent under>``, for /sent and /quarantine; never longer than a name may be."""
    head = f"{number:010d}_"
    return head + (_NOT_A_NAME.sub("-", name)[: NAME_BYTES - len(head)].rstrip(".") or "-")


def index_of(
    letters: Iterable[Waiting], names: Mapping[int, str]
) -> tuple[dict[str, dict[str, Node]], dict[int, str]]:
    """Letters by day and name, and the names by letter number; ``names`` are those that are known already."""
    days: dict[str, dict[str, Node]] = {}
    known: dict[int, str] = {}
    for letter in letters:
        number = letter.number
        name = known[number] = names.get(number) or letter_name(letter)
        node = Node(name, letter.size, letter.created_at // 1_000_000, number=number)
        days.setdefault(day_of(letter.created_at), {})[name] = node
    return days, known


@lru_cache(maxsize=512)
def _time_text(minutes: int, now_days: int) -> str:
    moment = _EPOCH + timedelta(minutes=minutes) + _JAPAN
    text = f"{_MONTHS[moment.month - 1]} {moment.day:2d} "
    # As ls does: the time of day within half a year, else the year.
    recent = 0 <= now_days - minutes // 1440 < 183
    return text + (f"{moment.hour:02d}:{moment.minute:02d}" if recent else f" {moment.year}")


def long_line(node: Node, now: int) -> str:
    """The line of ``ls -l``; times are Japan time. ``now`` in seconds since the epoch."""
    kind = "drwxr-x---" if node.is_directory else "-rw-r-----"
    return f"{kind}    1 sekisho  sekisho  {node.size:>9d} {_time_text(node.mtime // 60, now // 86400)} {node.name}"
