"""The quick way: a function per item table that reads the bodies that are exactly as the table says.

*Strategy.* Nearly every body conforms, so it is asked as a whole, not item by item. One ``bytes.translate`` drops every
byte that is plain in an item of kind ``an``: what stays of a conforming body is one CRLF per item. One pattern,
compiled once a table, then checks the widths and the form of numbers, dates, times and flags; it never looks at a text
item's bytes again. Only where something else stays (kanji, lower case) are the ``j`` and ``sn`` items looked at.
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
    wide_places = [place for place, item in places if item.kind in ("j", "sn")]
    narrow = [at for at, place in enumerate(wide_places) if layout.order[place][0].kind == "sn"]
    every_wide, every_other = _slices(layout)
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
        # The only white space that comes as far as a plain rstrip (twice as fast) is the space: it takes nothing else.
        if body.isascii() and body.translate(None, charset.PLAIN) == ends:
            if not match(body):
                return None
            texts = list(map(str.rstrip, body.decode("ascii").split("\r\n")))
        else:
            # Letters beyond those of an: only j and sn may hold them, and these are read apart, all at once.
            wide, others = every_wide, every_other
            if row_items:
                at = bisect_left(wide_places, count)
                wide, others = wide[:at], [*others[:at], slice(wide[-1].stop if at else 0, None)]
            rest = b"".join(map(body.__getitem__, others))
            if rest.translate(None, charset.PLAIN) != ends or not match(body):
                return None
            texts = list(map(str.rstrip, rest.decode("ascii").split("\r\n")))
            special = _wide_texts([body[here].rstrip(b" ") for here in wide], narrow)
            if special is None:
                return None
            for place, text in zip(wide_places, special, strict=False):
                texts[place] = text
        texts.pop()
        for place in numbers:
            if place >= count:
                break
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


def _slices(layout: Layout) -> tuple[list[slice], list[slice]]:
    """Where a full body has its j and sn items, and the bytes between them, CRLFs included."""
    wide, others = [], []
    at = gap = 0
    for item, _ in layout.order:
        if item.kind in ("j", "sn"):
            wide.append(slice(at, at + item.size))
            others.append(slice(gap, at))
            gap = at + item.size
        at += item.size + 2
    others.append(slice(gap, None))
    return wide, others


def _wide_texts(parts: list[bytes], narrow: list[int]) -> list[str] | None:
    """Texts of j and sn items, converted in one go; None if one is not plain. ``narrow`` are those of kind sn."""
    # No part may hold a line feed, so it parts them; a pair of bytes cannot reach over it.
    text = charset.decode_usual(b"\n".join(parts))
    if text is None or (narrow and not all(parts[at].isascii() for at in narrow if at < len(parts))):
        return None
    texts = text.split("\n")
    return texts if len(texts) == len(parts) else None
