"""The common items: 398 bytes and a CRLF, one table for both directions.

*Strategy.* ``header.tsv`` is keyed by start byte; input and output common items are two readings of one overlay (wire
reference 2.3). A :class:`Header` keeps the 398 bytes and slices them when asked, so routing a message costs a few
slices. :func:`check_header` is the dispatcher's first step: A0016 (form), A0009 (characters); 電文長 is checked against
the bytes that came (A0008).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final, Literal

from sekisho.codecs import charset
from sekisho.codecs.results import Deviation

__all__ = [
    "BODY_START",
    "CARRY",
    "INPUT_ID",
    "LAST_CRLF_MISSING",
    "MESSAGE_MOST",
    "ONE_CRLF_MORE",
    "Direction",
    "Field",
    "Header",
    "build_reply_header",
    "check_header",
    "fields",
    "length_deviation",
]

Direction = Literal["in", "out"]
BODY_START: Final = 400
"""Where the business items begin: 398 bytes and CRLF."""
CARRY: Final = slice(219, 245)
"""電文引継情報."""
INPUT_ID: Final = slice(253, 263)
"""入力情報特定番号."""
MESSAGE_MOST: Final = 700_000
"""Largest NACCS EDI message in bytes [spec]."""
_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")
_IRREGULAR: Final = re.compile(rb"[$\[-~]")
# A header with nothing to say about it: plain items, blank reserves, system 1 or 2, six digits, CRLF.
_plain: Final = re.compile(
    rb"[ -#%-Z]{8}+ {21}+[ -#%-Z]{16}+ {174}+[ -#%-Z]{26}+ {8}+[ -#%-Z]{110}+ [12] {27}+[0-9]{6}+\r\n"
).match
_UNSENDABLE: Final = re.compile(rb"[^ -~]")


@dataclass(frozen=True, slots=True)
class Field:
    """One common item: ``start`` counts bytes from 1; ``key`` is its name in JSON, ``name`` the official one."""

    start: int
    size: int
    key: str
    name: str
    id: str
    kind: str
    secret: bool
    note: str


@cache
def fields(direction: Direction) -> tuple[Field, ...]:
    """The common items of one direction in wire order."""
    text = files(__package__).joinpath("header.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines() if line and not line.startswith(("#", "start"))]
    return tuple(
        Field(int(start), int(size), key, name, id_, kind, secret == "y", note)
        for start, size, where, key, name, id_, kind, secret, note in rows
        if where in (direction, "both")
    )


class Header:
    """The common items of one message: a view of its first 398 bytes. Values are right-trimmed text.

    In the properties, bytes that are not ASCII show as U+FFFD; ``raw`` has them as they came. A message that is shorter
    reads as blanks.
    """

    __slots__ = ("_text", "direction", "raw")

    def __init__(self, content: bytes, direction: Direction = "in") -> None:
        self.raw = content[:398]
        self.direction = direction
        self._text = self.raw.decode("ascii", "replace")  # one character a byte, so one slice serves both

    @property
    def business_code(self) -> str:
        """業務コード, bytes 4-8."""
        return self._text[3:8].rstrip(" ")

    @property
    def user_code(self) -> str:
        """利用者コード, bytes 30-34: the first five of the user ID."""
        return self._text[29:34].rstrip(" ")

    @property
    def user_id(self) -> str:
        """利用者コード and 識別番号 of a request, bytes 30-37."""
        return self._text[29:37].rstrip(" ")

    @property
    def password(self) -> str:
        """利用者パスワード of a request, bytes 38-45. Secret."""
        return self._text[37:45].rstrip(" ")

    @property
    def carry(self) -> bytes:
        """電文引継情報, bytes 220-245, padding included."""
        return self.raw[219:245]

    @property
    def input_id(self) -> bytes:
        """入力情報特定番号, bytes 254-263, padding included."""
        return self.raw[253:263]

    @property
    def index(self) -> bytes:
        """索引引継情報, bytes 264-363, padding included."""
        return self.raw[263:363]

    @property
    def system(self) -> str:
        """システム識別 of a request, byte 365: ``1`` air, ``2`` sea."""
        return self._text[364:365].rstrip(" ")

    @property
    def length(self) -> str:
        """電文長 as written, bytes 393-398."""
        return self._text[392:398].rstrip(" ")

    @property
    def output_code(self) -> str:
        """出力情報コード of a reply, bytes 9-15."""
        return self._text[8:15].rstrip(" ")

    @property
    def kind(self) -> str:
        """電文種別 of a reply, byte 250: one of R C P M T U."""
        return self._text[249:250].rstrip(" ")

    @property
    def subject(self) -> str:
        """Subject of a reply, bytes 116-179."""
        return self._text[115:179].rstrip(" ")

    def values(self) -> dict[str, str]:
        """Every common item by key, in wire order, reserves included; EUC-JP where an item is not ASCII."""
        return {f.key: self._value(f) for f in fields(self.direction)}

    def text(self, key: str) -> str:
        """One common item by key. Raises KeyError for a key the direction does not have."""
        for f in fields(self.direction):
            if f.key == key:
                return self._value(f)
        raise KeyError(key)

    def _value(self, field: Field) -> str:
        return charset.decode_anyway(self.raw[field.start - 1 : field.start - 1 + field.size]).rstrip(" ")


def check_header(content: bytes, *, tolerate_length: bool = False) -> tuple[list[Deviation], list[Deviation]]:
    """Findings and errors of a request's header, in the order A0016, A0009, A0008; a later class waits for an earlier.

    ``tolerate_length`` turns A0008 into a finding (a setting per user). 電文長 may differ by one final CRLF, counted
    and missing or sent and not counted: that is a finding always.
    """
    if _plain(content):
        if int(content[392:398]) == len(content):
            return [], []
    elif len(content) < BODY_START or content[398:400] != b"\r\n":
        where = min(len(content), 398)
        return [], [Deviation("A0016", None, None, where, "the header is not 398 bytes closed by CRLF")]
    header = content[:398]
    if header[364] not in b"12":
        return [], [Deviation("A0016", None, None, 364, "システム識別 is neither 1 nor 2")]
    findings: list[Deviation] = []
    errors: list[Deviation] = []
    control = _CONTROL.search(header)
    if control:
        errors.append(Deviation("A0009", None, None, control.start(), "a control character stands in the header"))
    elif not header.isascii() or _IRREGULAR.search(header):
        for f in fields("in"):
            value = header[f.start - 1 : f.start - 1 + f.size]
            reserve, odd = f.key.startswith("reserve_"), _UNSENDABLE.search(value)
            if odd and not reserve:
                text = f"{f.name} holds a byte outside its set"
                errors.append(Deviation("A0009", None, None, f.start - 1 + odd.start(), text))
            elif not reserve and (strange := _IRREGULAR.search(value)):
                text = f"{f.name} holds lower case or a symbol outside the usual set"
                findings.append(Deviation("A0016", None, None, f.start - 1 + strange.start(), text))
    if errors:
        return findings, errors
    for start, size in ((8, 21), (45, 174), (245, 8), (363, 1), (365, 27)):
        filled = header[start : start + size]
        if filled.strip(b" "):
            text = f"the reserve at byte {start + 1} is filled; its content is kept"
            findings.append(Deviation("A0016", None, None, start, text))
    wrong = length_deviation(content)
    if wrong is not None:
        tolerated = tolerate_length or wrong.code == "A0016"
        (findings if tolerated else errors).append(wrong)
    return findings, errors


LAST_CRLF_MISSING: Final = "the last CRLF is missing"
ONE_CRLF_MORE: Final = "one CRLF follows the end of the message; it is ignored"


def length_deviation(content: bytes) -> Deviation | None:
    """How 電文長 of a request or a reply differs from its bytes: A0008, or A0016 where it is but the final CRLF."""
    length = content[392:398]
    if not length.isdigit():
        return Deviation("A0008", None, None, 392, "電文長 is not six digits")
    declared, actual = int(length), len(content)
    if declared == actual:
        return None
    if declared == actual + 2 and not content.endswith(b"\r\n"):
        return Deviation("A0016", None, None, actual, LAST_CRLF_MISSING)
    if declared == actual - 2 and content.endswith(b"\r\n"):
        return Deviation("A0016", None, None, declared, ONE_CRLF_MORE)
    return Deviation("A0008", None, None, 392, f"電文長 says {declared}, {actual} bytes came")


def _printable(value: bytes, size: int) -> bytes:
    """``value`` cut and padded to ``size``; bytes that no header may carry become blanks, so no reply is malformed."""
    return _UNSENDABLE.sub(b" ", value)[:size].ljust(size)


def build_reply_header(
    request: bytes,
    *,
    output_code: str,
    received_at: str,
    user_code: str,
    mail_address: str,
    subject: str,
    kind: str,
    form: str,
    length: int,
    echo: bool = True,
    part: str = "001",
    last: str = "E",
) -> bytes:
    """The 400 bytes before a reply's body: a patched copy of the request's header (wire reference 2.2, 2.4).

    ``request`` is the request's message (its first 398 bytes count; shorter reads as blanks); 電文引継情報,
    入力情報特定番号 and 索引引継情報 are echoed byte for byte unless ``echo`` is false, then they are blank;
    ``received_at`` is YYYYMMDDhhmm in Japan time; ``length`` the whole message in bytes.
    """
    header = request[:398].ljust(398)
    carry, input_id, index = header[219:245], header[253:263], header[263:363]
    if not echo:
        carry, input_id, index = b" " * 26, b" " * 10, b" " * 100
    business = header[3:8]
    if not header.isascii() or not header.decode("ascii").isprintable():
        business = _printable(business, 5)
        carry, input_id, index = _printable(carry, 26), _printable(input_id, 10), _printable(index, 100)
    return b"   %b%b%-64b%40b%b%-3b%-1b%-1b   %b%b%-1b%28b%06d\r\n" % (
        business,
        _front(output_code, received_at, user_code, mail_address),
        subject.encode("ascii", "replace")[:64],
        b"",
        carry,
        part.encode("ascii"),
        last.encode("ascii"),
        kind.encode("ascii"),
        input_id,
        index,
        form.encode("ascii"),
        b"",
        length,
    )


@lru_cache(maxsize=1024)  # a user has the same outputs all day, and a minute is long
def _front(output_code: str, received_at: str, user_code: str, mail_address: str) -> bytes:
    """Bytes 9-115 of a reply: what does not change from one message of a user to the next."""
    return b"%-7b%-14b%-5b%17b%-64b" % (
        output_code.encode("ascii"),
        received_at.encode("ascii"),
        _printable(user_code.encode("ascii", "replace"), 5),
        b"",
        mail_address.encode("ascii", "replace")[:64],
    )
