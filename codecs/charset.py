"""Characters: EUC-JP as the trading side writes it, and what each kind of item may hold.

*Strategy.* Bytes are EUC-JP as Microsoft maps it (CP51932): a two-byte character is read through CP932's table,
because Python's own ``euc_jp`` knows neither row 13 (``①``, ``㈱``) nor the IBM extensions (Unspecified: our choice,
decisions "Text"). ASCII is checked first, the whole text is converted at once, and the slow way is taken only by
texts that the quick one refuses.

Kinds of items (wire reference 3.2): ``an`` half-width capitals, digits, symbols; ``sn`` the same with lower case;
``n`` a number padded with spaces on the left; ``n0`` padded with zeros; ``j`` full and half width mixed; ``date``
YYYYMMDD; ``time`` hhmm; ``flag`` an asterisk or a space.
"""

from __future__ import annotations

import re
from codecs import getdecoder
from functools import cache
from typing import Final

__all__ = [
    "KINDS",
    "PLAIN",
    "CharsetError",
    "decode",
    "decode_anyway",
    "decode_usual",
    "encode",
    "irregular",
    "odd_bytes",
    "plain_text",
]

KINDS: Final = ("an", "sn", "n", "n0", "j", "date", "time", "flag")
"""Every kind an item table may name."""

# Both spellings of these six characters are encoded; decoding gives CP932's (decisions, "Text").
_SPELLINGS: Final = str.maketrans("〜−‖¢£¬", "～－∥￠￡￢")
_NEVER: Final = bytes([*range(0x80, 0x8E), *range(0x90, 0xA1), 0xFF])  # in no EUC-JP text
# Where a second look is needed: the single shifts, and the six characters of JIS X 0208 (nowhere else) that Python's
# euc_jp spells in another way than CP932. It may match across two pairs, which only costs that look.
_APART: Final = re.compile(rb"\x8e|\x8f|\xa1[\xc1\xc2\xdd\xf1\xf2]|\xa2\xcc")
_euc_jp: Final = getdecoder("euc_jp")  # by name it is looked up at every call
# JIS X 0212 (SS3) is read with Python's table; a pair with CP932's; SS2 is half-width kana.
_UNIT: Final = re.compile(rb"[\x00-\x7f]+|(?:[\xa1-\xfe]{2})+|(?:\x8e[\xa1-\xdf])+|\x8f[\xa1-\xfe]{2}")


class CharsetError(ValueError):
    """Bytes that are not EUC-JP, or a character that it cannot hold; ``offset`` counts from 0 in what was given."""

    def __init__(self, offset: int, text: str) -> None:
        super().__init__(text)
        self.offset = offset


def _pair_to_cp932(high: int, low: int) -> bytes:
    """The Shift_JIS bytes of an EUC pair (both without their top bit: JIS row and cell + 0x20)."""
    row, cell = high - 0x80, low - 0x80
    lead = ((row - 0x21) >> 1) + (0x81 if row < 0x5F else 0xC1)
    if row & 1:
        trail = cell + (0x1F if cell < 0x60 else 0x20)
    else:
        trail = cell + 0x7E
    return bytes((lead, trail))


@cache
def _pairs() -> dict[bytes, str]:
    """EUC pair -> character, for every pair CP932 knows (JIS X 0208, row 13, rows 89 to 92)."""
    table = {}
    for high in range(0xA1, 0xFF):
        for low in range(0xA1, 0xFF):
            try:
                table[bytes((high, low))] = _pair_to_cp932(high, low).decode("cp932")
            except UnicodeDecodeError:
                continue
    return table


@cache
def _characters() -> dict[str, bytes]:
    """Character -> EUC-JP bytes; a character with two places gets the one in JIS X 0208, else the earlier row."""
    table = {chr(code): bytes((code,)) for code in range(0x80)}
    for pair, character in _pairs().items():
        table.setdefault(character, pair)
    for code in range(0xA1, 0xE0):
        table.setdefault(chr(0xFF61 + code - 0xA1), bytes((0x8E, code)))
    return table


def decode(data: bytes) -> str:
    """Text of EUC-JP bytes. Raises :class:`CharsetError` with the offset of the first byte that has no meaning."""
    if data.isascii():
        return data.decode("ascii")
    try:
        text = data.decode("euc_jp")
    except UnicodeDecodeError:
        return _decode_slowly(data)
    return text.translate(_SPELLINGS) if _APART.search(data) else text


def decode_usual(data: bytes) -> str | None:
    """Text of ASCII and JIS X 0208 alone; None if anything else is there."""
    apart = _APART.search(data)
    if apart and (b"\x8e" in data or b"\x8f" in data):
        return None
    try:
        text = _euc_jp(data)[0]  # which knows no other row
    except UnicodeDecodeError:
        return None
    return text.translate(_SPELLINGS) if apart else text


def _decode_slowly(data: bytes) -> str:
    pairs, out, at = _pairs(), [], 0
    while at < len(data):
        unit = _UNIT.match(data, at)
        if unit is None:
            raise CharsetError(at, "these bytes are not EUC-JP")
        run, first = unit.group(), data[at]
        if first < 0x80:
            out.append(run.decode("ascii"))
        elif first >= 0xA1:
            for i in range(0, len(run), 2):
                character = pairs.get(run[i : i + 2])
                if character is None:
                    raise CharsetError(at + i, "this EUC-JP pair has no character")
                out.append(character)
        else:
            try:
                out.append(run.decode("euc_jp"))
            except UnicodeDecodeError:
                raise CharsetError(at, "this EUC-JP sequence has no character") from None
        at = unit.end()
    return "".join(out)


def decode_anyway(data: bytes) -> str:
    """Text of bytes that may not be EUC-JP, to show to a person: U+FFFD stands for each byte above 0x7F then."""
    if data.translate(None, _NEVER) == data:
        try:
            return decode(data)
        except CharsetError:
            pass
    return data.decode("ascii", "replace")


def encode(text: str) -> bytes:
    """EUC-JP bytes of a text; both spellings of ～ － ∥ ￠ ￡ ￢ are taken. Raises :class:`CharsetError`.

    The offset of the error counts characters.
    """
    if text.isascii():
        return text.encode("ascii")
    table = _characters()
    try:
        return b"".join(map(table.__getitem__, text.translate(_SPELLINGS)))
    except KeyError:
        pass
    out = []
    for at, character in enumerate(text.translate(_SPELLINGS)):
        known = table.get(character)
        if known is None:
            try:
                known = character.encode("euc_jp")  # JIS X 0212, three bytes behind SS3
            except UnicodeEncodeError:
                known = b""
            if len(known) != 3:  # Python also takes a yen sign for a backslash: that would change the data silently
                raise CharsetError(at, f"no EUC-JP for U+{ord(character):04X}")
        out.append(known)
    return b"".join(out)


PLAIN: Final = bytes([*range(0x20, 0x24), *range(0x25, 0x5B)])
"""Every byte that is plain in an item of kind ``an``: 0x20-0x23 and 0x25-0x5A [client]."""
# What else comes is either tolerated with a finding or an error (decisions, "Text").
_TOLERATED_AN: Final = re.compile(rb"[$\[-~]")
_ILLEGAL_AN: Final = re.compile(rb"[^ -~]")
# JIS X 0208 has rows 1 to 8 and 16 to 84; row 13 and 89 to 92 are CP932's, SS2 and SS3 stand outside both.
_IRREGULAR_J: Final = re.compile(rb"\xad[\xa1-\xfe]|[\xf9-\xfc][\xa1-\xfe]|\x8e[\xa1-\xdf]|\x8f[\xa1-\xfe]{2}")
_SKIP_J: Final = re.compile(rb"(?:[ -~]|(?!\xad)[\xa1-\xf8\xfd\xfe][\xa1-\xfe])*+")
_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")


def plain_text(data: bytes) -> str | None:
    """Text of bytes that are all in :data:`PLAIN`, which no kind of text item objects to; None for any other."""
    return None if data.translate(None, PLAIN) else data.decode("ascii")


def irregular(kind: str, data: bytes) -> int:
    r"""Offset of the first byte that ``kind`` tolerates but does not call plain; -1 if there is none.

    Lower case and ``$ [ \ ] ^ _ ` { | } ~`` in ``an``; row 13, the IBM extensions, half-width kana and JIS X 0212
    in ``j``.
    """
    if kind == "an":
        found = _TOLERATED_AN.search(data)
        return found.start() if found else -1
    if kind == "j" and not data.isascii():
        end = _SKIP_J.match(data)
        at = end.end() if end else 0
        return at if _IRREGULAR_J.match(data, at) else -1
    return -1


def odd_bytes(kind: str, data: bytes) -> int:
    """Offset of the first byte that ``kind`` cannot hold at all; -1 if there is none."""
    if kind != "j":  # an and sn hold printable ASCII, and so does what holds digits
        found = _ILLEGAL_AN.search(data)
        return found.start() if found else -1
    found = _CONTROL.search(data)
    if found:
        return found.start()
    try:
        decode(data)
    except CharsetError as error:
        return error.offset
    return -1
