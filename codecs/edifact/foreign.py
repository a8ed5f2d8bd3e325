"""What a file is that is no EDIFACT interchange, in words for its sender."""

from __future__ import annotations

from typing import Final

__all__ = ["described"]

_OTHERS: Final = {
    b"UIB": "interactive EDIFACT (UIB)", b"ISA": "an ANSI X12 interchange (ISA)", b"STX": "a TRADACOMS file (STX)",
    b"UNH": "a bare message (UNH)", b"UNG": "a bare group (UNG)",
}  # fmt: skip
_OUT: Final = "; leave them out"


def _kind(sample: bytes) -> str:
    """What the first bytes of something that is no EDIFACT interchange look like, in words."""
    head = sample[:3]
    if head in _OTHERS:
        return _OTHERS[head]
    if sample[:2] in (b"\xff\xfe", b"\xfe\xff") or (len(sample) > 3 and sample[1::2].count(0) > len(sample) // 3):
        return "UTF-16 text"
    if sample.lstrip()[:1] in (b"<", b"{"):
        return "XML" if sample.lstrip()[:1] == b"<" else "JSON"
    if all(32 <= byte < 127 or byte in b"\r\n\t" for byte in sample):
        return f"text ({sample[:12].decode('ascii')!r})"
    return "binary data"


def described(sample: bytes, *, begun: bool, tolerated: bool) -> tuple[str, str, str | None]:
    """Code, text and tag for bytes outside any interchange. ``begun``: an interchange came before them."""
    if tolerated:
        shown = sample.strip(b" \t\r\n")[:3].hex(" ")
        return "18", f"{f'bytes {shown}' if shown else 'blanks'} around the interchange{_OUT}", None
    if begun:
        return "13", "after UNZ only UNA or UNB may follow", "UNZ"
    if sample.startswith(b"UNA"):
        if len(sample.strip()) <= 9:
            return "13", "UNA is followed by nothing; UNB is missing", "UNB"
        return "22", "UNA stands only directly before UNB", "UNA"
    return "13", f"no interchange begins here, but {_kind(sample)}; send UNB first", "UNB"
