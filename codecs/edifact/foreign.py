"""What a file is that is no EDIFACT interchange, in words for its sender."""

from __future__ import annotations

from typing import Final

__all__ = ["kind_of"]

_OTHERS: Final = {
    b"UIB": "interactive EDIFACT (UIB)", b"ISA": "an ANSI X12 interchange (ISA)", b"STX": "a TRADACOMS file (STX)",
    b"UNH": "a bare message (UNH)", b"UNG": "a bare group (UNG)",
}  # fmt: skip


def kind_of(sample: bytes) -> str:
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
