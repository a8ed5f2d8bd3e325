"""The quick way: a function per item table that reads the bodies that are exactly as the table says.

*Strategy.* Nearly every body conforms, so it is asked as a whole, not item by item. One ``bytes.translate`` drops every
byte that is plain in an item of kind ``an``: what stays of a conforming body is one CRLF per item. One pattern,
compiled once a table, then checks the widths and the form of numbers, dates, times and flags; it never looks at a text
item's bytes again. Where something else stays (kanji, lower case), it must all stand in ``j`` and ``sn`` items, which
are then converted in one go.
Everything this way refuses is read by :mod:`sekisho.codecs.reading`, which says what deviates and where. The pattern's
loops are possessive or of fixed width: no input makes it go back, and a fixed width costs one step.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable
from typing import Final

from sekisho.codecs import charset
from sekisho.codecs.layout import Item, Layout, trimmed

__all__ = ["Reader", "prepare"]

Reader = Callable[[bytes], list[str] | None]
"""The trimmed texts of a conforming body in wire order; None for any other."""

_LETTERS: Final = bytes([*range(0x21, 0x7F), *range(0xA1, 0xFF)])
_DATE: Final = (
    rb"(?:(?:19|20|21)[0-9][0-9](?:(?:0[13578]|1[02])(?:0[1-9]|[12][0-9]|3[01])"
    rb"|(?:0[469]|11)(?:0[1-9]|[12][0-9]|30)|02(?:0[1-9]|1[0-9]|2[0-8]))"
    rb"|(?:2000|(?:19|20|21)(?:0[48]|[2468][048]|[13579][26]))0229| {8})"
)


def _item_pattern(item: Item, *, filled: bool) -> bytes:
    """What one conforming item and its CRLF look like; the bytes of a text item are somebody else's business."""
    size = item.size
    ahead = b"(?! {%d}+\r\n)" % size if filled else b""
    if item.kind == "n":
        ahead += b"(?=[^\n]{%d}+\r\n)" % size
        body = rb" *+(?:[1-9][0-9]*+(?:\.[0-9]*+)?+|-?+(?:(?:0(?![0-9])|[1-9][0-9]*+)(?:\.[0-9]*+)?+|\.[0-9]++))?+"
    elif item.kind == "n0":
        body = b"(?:[0-9]{%d}+| {%d}+)" % (size, size)
    elif item.kind == "date":
        body = _DATE
    elif item.kind == "time":
        body = b"(?:(?:[01][0-9]|2[0-3])[0-5][0-9]| {4})"
    elif item.kind == "flag":
        body = b"[* ]" if size == 1 else rb"(?:\* {%d}| {%d})" % (size - 1, size)
    else:
        body = b".{%d}+" % size
    return ahead + body + b"\r\n"


def _pattern(layout: Layout) -> re.Pattern[bytes]:
    """Matches, whole, a body at full width up to its last row, required items of each block's first row filled."""
    out = []
    for block in layout.blocks:
        row = b"".join(_item_pattern(item, filled=False) for item in block.items)
        first = b"".join(_item_pattern(item, filled=item.required == "M") for item in block.items)
        if block.repeat == 1:
            out.append(first)
        elif block is not layout.blocks[-1]:
            out.append(b"%b(?:%b){%d}" % (first, row, block.repeat - 1))
        elif first != row:
            out.append(b"%b(?:%b){0,%d}+" % (first, row, block.repeat - 1))
        else:
            out.append(b"(?:%b){0,%d}+" % (row, block.repeat))
    return re.compile(b"".join(out), re.DOTALL)


def _later_rows(layout: Layout) -> list[tuple[int, int, list[int]]]:
    """Of every row after the first in a block with required items: start, end, places of the required ones."""
    out = []
    for block in layout.blocks:
        required = [at for at, item in enumerate(block.items) if item.required == "M"]
        for row in range(1, block.repeat if required else 0):
            start = block.start + row * len(block.items)
            out.append((start, start + len(block.items), [start + at for at in required]))
    return out


def prepare(layout: Layout) -> Reader:
    """The function that reads conforming bodies of ``layout``. Costs milliseconds once; it never raises."""
    match = _pattern(layout).fullmatch
    places = [(place, item) for place, (item, _) in enumerate(layout.order)]
    numbers = [place for place, item in places if item.kind == "n"]
    padded = [(place, item) for place, item in places if item.kind == "n0"]
    wide = [place for place, item in places if item.kind in ("j", "sn")]
    narrow = frozenset(place for place, item in places if item.kind == "sn")
    later = _later_rows(layout)
    fixed_items, fixed_bytes, row_items, row_bytes = layout.fixed, layout.fixed_bytes, layout.row, layout.row_bytes
    whole = b"\r\n" * fixed_items

    def read(body: bytes) -> list[str] | None:
        count, ends = fixed_items, whole
        if row_items:
            rows, odd = divmod(len(body) - fixed_bytes, row_bytes)
            if odd or rows < 0:
                return None
            count += rows * row_items
            ends = b"\r\n" * count
        # What is not plain is a CRLF an item, and letters that only j and sn may hold (kanji, lower case).
        left = body.translate(None, charset.PLAIN)
        letters = left != ends
        if (letters and left.translate(None, _LETTERS) != ends) or not match(body):
            return None
        # Latin-1 keeps each byte one character. The only white space that comes this far is the space: the plain
        # rstrip, twice as fast as the other, takes nothing else.
        texts = list(map(str.rstrip, body.decode("latin-1").split("\r\n")))
        if letters:
            here = wide[: bisect_left(wide, count)] if row_items else wide
            if not _convert(texts, here, len(left) - len(ends), narrow):
                return None
        texts.pop()
        for place in numbers[: bisect_left(numbers, count)] if row_items else numbers:
            texts[place] = texts[place].lstrip()
        for place, item in padded:
            if place >= count:
                break
            texts[place] = trimmed(item, texts[place])
        for start, end, required in later:
            if start >= count:
                break
            if any(texts[start:end]) and not all(texts[place] for place in required):
                return None
        return texts

    return read


def _convert(texts: list[str], wide: list[int], letters: int, narrow: frozenset[int]) -> bool:
    """Make text of the bytes of the j and sn items, all in one go.

    False if they do not hold all the ``letters`` of the body that an item of kind an may not, or are not plain.
    """
    kanji = [place for place in wide if not texts[place].isascii()]
    if kanji:
        # No item holds a line feed, so it parts them; a pair of bytes cannot reach over it.
        joined = "\n".join([texts[place] for place in kanji]).encode("latin-1")
        letters -= len(joined.translate(None, charset.PLAIN)) - len(kanji) + 1
        text = charset.decode_usual(joined)
        if text is None or not narrow.isdisjoint(kanji):
            return False
        for place, part in zip(kanji, text.split("\n"), strict=True):
            texts[place] = part
    if letters:
        latin = "".join([texts[place] for place in wide if texts[place].isascii()])
        return len(latin.encode("ascii").translate(None, charset.PLAIN)) == letters
    return True
