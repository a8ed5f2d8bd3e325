"""Messages made from the item tables, as conforming senders and as others write them."""

from __future__ import annotations

import random
from collections.abc import Iterable

from hypothesis import strategies as st

from sekisho.codecs import charset
from sekisho.codecs.layout import Item, Layout
from sekisho.codecs.message import Catalogue
from sekisho.handlers.tables import catalogue

SHIPPED: Catalogue = catalogue()
REQUESTS = sorted(name for name in SHIPPED.layouts if name.endswith(".in"))
REPLIES = sorted(name for name in SHIPPED.layouts if name.endswith(".out"))
EVERY = REQUESTS + REPLIES
# Forms whose own output code nobody knows are filed under a name (copy-mic.out): here they get a code to be read by.
_NAMED = [name for name in REPLIES if len(name) != len("SAS1360.out") or not name[:3].isupper()]
_CODES = {f"SAX{number:04d}.out": name for number, name in enumerate(_NAMED, 1)}
CATALOGUE = Catalogue(SHIPPED.layouts, {**SHIPPED.aliases, **_CODES}, SHIPPED.long_forms)

PLAIN = charset.PLAIN.decode("ascii")
KANJI = "神戸市中央区波止場町保税運送承認見本貿易株式会社　（ＡＢＣ１２３）～－￠￡￢あいうアイウ々〇ー・"


def request(business_code: str, body: bytes = b"", **values: str) -> bytes:
    """A conforming request; ``values`` are common items by key, 電文長 is right unless ``length`` is given."""
    header = bytearray(b" " * 398)
    places = {"control": 0, "reserve_9": 8, "reserve_46": 45, "carry": 219, "reserve_246": 245, "input_id": 253}
    places |= {"index": 263, "system": 364, "reserve_366": 365, "length": 392, "user_id": 29, "password": 37}
    given = {"user_id": "1ANACA0A", "password": "SAMPLE01", "carry": "TAG 0001", "system": "2"}
    given |= {"length": f"{400 + len(body):06d}"} | values
    header[3:8] = business_code.ljust(5).encode("ascii")
    for key, value in given.items():
        data = value.encode("ascii")
        header[places[key] : places[key] + len(data)] = data
    return bytes(header) + b"\r\n" + body


def reply(
    output_code: str, body: bytes = b"", business_code: str = "OLA", kind: str = "R", part: str = "001E"
) -> bytes:
    """A reply with every common item filled that a centre fills."""
    header = bytearray(b" " * 398)
    for start, text in (
        (4, business_code),
        (9, output_code),
        (16, "202604010930"),
        (30, "1ANAC"),
        (52, "1ANAC1@SMTP.BROKER.SEKISHO.EXAMPLE"),
        (116, "00000-0000-0000 12345678901"),
        (220, " TAG 0001"),
        (246, part + kind),
        (254, "0000000001"),
        (264, "INDEX"),
        (364, "Q"),
        (365, "2"),
        (393, f"{400 + len(body):06d}"),
    ):
        header[start - 1 : start - 1 + len(text)] = text.encode("ascii")
    return bytes(header) + b"\r\n" + body


def message_of(layout: Layout, body: bytes) -> bytes:
    """The message that carries ``body``: a request, or a reply with a code that the table reads."""
    code, _, direction = layout.name.rpartition(".")
    if direction == "in":
        return request(code, body)
    if code.startswith("RESULT"):
        return reply("*SOLA", body)
    own = {"TCC": ("*CTCC", "TCC"), "URY": ("CZURY", "URY"), "SYG": ("CZSYG", "SYG")}
    filed = next((alias.removesuffix(".out") for alias, name in _CODES.items() if name == layout.name), code)
    output_code, business_code = own.get(code, (filed, "OLA"))
    return reply(output_code, body, business_code, "R" if output_code.startswith("*") else "C")


def text_of(rng: random.Random, item: Item, *, full: bool = False) -> str:
    """A conforming text for an item, trimmed as a reader gives it; never blank with ``full``."""
    if not full and rng.random() < 0.25:
        return ""
    size = item.size
    if item.kind == "n0":
        return str(rng.randrange(10 ** min(size, 9)))
    if item.kind == "n":
        return _number(rng, size)
    if item.kind == "date":
        return f"{rng.randrange(1900, 2200)}{rng.randrange(1, 13):02d}{rng.randrange(1, 29):02d}"
    if item.kind == "time":
        return f"{rng.randrange(24):02d}{rng.randrange(60):02d}"
    if item.kind == "flag":
        return "*"
    length = rng.choice((1, size, rng.randint(1, size)))
    if item.kind == "j":
        letters = "".join(rng.choices(KANJI + "ABC abc~$0", k=length))
        while len(charset.encode(letters)) > size:
            letters = letters[:-1]
    else:
        letters = "".join(rng.choices(PLAIN, k=length))
    letters = letters.rstrip(" ")
    return letters or ("X" if full else "")


def _number(rng: random.Random, size: int) -> str:
    forms = ["0", str(rng.randrange(10 ** min(size, 15)))]
    if size > 1:
        forms.append(str(-rng.randrange(10 ** min(size - 1, 15))))
    if size > 2:
        forms.append(f"{rng.randrange(10 ** min(size - 2, 9))}.{rng.randrange(10)}")
        forms.append(f".{rng.randrange(10)}")
    return rng.choice(forms)


def texts_of(layout: Layout, rng: random.Random, rows: int | None = None) -> list[str]:
    """Trimmed texts of a whole body in wire order; required items filled; at most ``rows`` rows of the last block."""
    last = layout.blocks[-1]
    if rows is None:
        least = 1 if any(item.required == "M" for item in last.items) else 0
        rows = rng.choice((least, 1, min(3, last.repeat), rng.randint(1, min(last.repeat, 12))))
    rows = min(rows, last.repeat)
    return [text_of(rng, item, full=item.required == "M") for item, _ in layout.in_order(rows)]


def padded(layout: Layout, texts: Iterable[str]) -> bytes:
    """A body as the rules say, written item by item here: this is what the encoder is compared with."""
    out = []
    for (item, _), text in zip(layout.order, texts, strict=False):
        data = text.encode("ascii") if text.isascii() else charset.encode(text)
        if item.kind == "n":
            data = data.rjust(item.size)
        elif item.kind == "n0" and text:
            data = data.rjust(item.size, b"0")
        out.append(data.ljust(item.size) + b"\r\n")
    return b"".join(out)


seeds = st.integers(0, 2**32)
