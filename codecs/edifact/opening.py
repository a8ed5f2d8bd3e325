"""UNB: syntax, parties and dates against the standard and the partner's profile."""

from __future__ import annotations

from datetime import date
from typing import Final

from sekisho.codecs.edifact.model import Interchange
from sekisho.codecs.edifact.profile import Profile
from sekisho.codecs.edifact.segment import Segment
from sekisho.codecs.edifact.syntax import Syntax, repertoire

__all__ = ["calendar_fault", "interchange_faults", "is_other_width"]

Known = tuple[str, int, int | None, str, bool]
"""Code, 0098, 0104, text, tolerated."""

_FOREIGN: Final = {"3", "5", "6", "8"}
"""0133: codes in which ASCII characters are not single ASCII bytes (code page 500, UCS-2, UCS-4, UTF-16)."""


def interchange_faults(unb: Segment, current: Interchange, profile: Profile) -> list[Known]:
    """What UNB asks for that is not supported or not agreed (E17, E19, E20, E26 to E30 of the checklist)."""
    found: list[Known] = []
    identifier, version = unb.get(0), unb.get(0, 1)
    own = repertoire(identifier)
    unsupported = "46" if version == "4" else "2"
    if version and version not in ("1", "2", "3", "4"):
        found.append(("2", 2, 2, f"syntax version {version!r} is not supported; send 1 to 4", False))
    elif identifier and own is None:
        text = f"syntax identifier {identifier!r} is not known; send UNOA to UNOL, UNOW, UNOX or UNOY"
        found.append((unsupported, 2, 1, text, False))
    elif own is not None and version and version not in own.versions:
        text = f"{identifier} does not go with syntax version {version}; it belongs to {' and '.join(own.versions)}"
        found.append((unsupported, 2, 1, text, False))
    elif own is not None and identifier.startswith("IAT"):
        found.append(("2", 2, 1, f"{identifier} is the airlines' own syntax identifier; read as ASCII", True))
    if version == "4" and unb.get(0, 3) in _FOREIGN and profile.charset is None:
        found.append(("46", 2, 4, f"encoding {unb.get(0, 3)} is not supported; send an ASCII-transparent one", False))
    if profile.syntaxes and not found and (identifier, version) not in profile.syntaxes:
        found.append(("17", 2, None, f"{identifier}:{version} is not agreed", False))
    found += _parties(current, profile)
    if profile.test_indicators is not None and (current.test or "0") not in profile.test_indicators:
        found.append(("25", 12, None, f"test indicator {current.test or '(none)'} cannot be processed here", False))
    stamp = _full(current.date) + current.time
    if profile.oldest is not None and len(stamp) == 12 and stamp.isdigit() and stamp < profile.oldest:
        found.append(("24", 5, None, f"prepared before {profile.oldest}, the oldest that is taken", False))
    if profile.password is not None and unb.get(5) != profile.password:
        found.append(("12", 7, 1, "the password of the interchange is not the agreed one", False))
    parties = _id(current.sender), _id(current.recipient)
    if profile.seen is not None and current.reference and profile.seen(*parties, current.reference):
        text = f"interchange {current.reference} of this sender was received before; send a new reference"
        found.append(("26", 6, None, text, False))
    return found


def _parties(current: Interchange, profile: Profile) -> list[Known]:
    found: list[Known] = []
    sender, recipient = _id(current.sender), _id(current.recipient)
    if sender and profile.senders and sender not in profile.senders:
        found.append(("23", 3, 1, f"interchange sender {sender} is not known here", False))
    if recipient and profile.recipients and recipient not in profile.recipients:
        found.append(("7", 4, 1, f"interchange recipient {recipient} is not here", False))
    if profile.agreed and not found and (sender, recipient) not in profile.agreed:
        found.append(("17", 3, None, f"no agreement between {sender} and {recipient}", False))
    return found


def _id(parts: tuple[str, ...]) -> str:
    return parts[0] if parts else ""


def _full(day: str) -> str:
    """YYYYMMDD of a 6-digit date: 70 to 99 are of the last century."""
    return (("19" if day >= "7" else "20") + day) if len(day) == 6 else day


def calendar_fault(day: str, time: str) -> tuple[int, str] | None:
    """0104 and text if digits of the right number are no day of the calendar, or no time of day."""
    if len(day) in (6, 8) and day.isascii() and day.isdigit():
        full = _full(day)
        try:
            date(int(full[:4]), int(full[4:6]), int(full[6:]))
        except ValueError:
            return 1, f"{day} is no day of the calendar"
    if len(time) == 4 and time.isascii() and time.isdigit() and (time[:2] > "23" or time[2:] > "59"):
        return 2, f"{time} is no time of day"
    return None


def is_other_width(code: str, text: str, syntax: Syntax) -> bool:
    """Whether a date has the width of the other syntax version: 8 before version 4, 6 in it."""
    parts = text.split(syntax.element)
    day = parts[4].split(syntax.component)[0] if len(parts) > 4 else ""
    return day.isdigit() and (code, len(day)) in (("39", 8), ("40", 6))
