"""Service characters, released characters, and the character repertoires of UNB 0001.

*Strategy.* Bytes are scanned as Latin-1, one character a byte. A released service character becomes one private-use
character (a *mark*) before anything is split, so that splitting is plain ``str.split`` and no input is worse than
linear; a mark stands for two bytes. A release before any other character stays in the text and disappears when a value
is taken out (ISO 9735 v3, 5.1: the next character is literal, whatever it is).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any, Final, NamedTuple

__all__ = ["CONTROL_ADVICE", "DEFAULT_ADVICE", "Repertoire", "Syntax", "repertoire", "syntax_of"]

DEFAULT_ADVICE: Final = ":+.? '"
"""Without UNA: component, element, decimal mark (then ``.`` and ``,`` are both right), release, none, terminator."""
CONTROL_ADVICE: Final = "\x1f\x1d.  \x1c"
"""Level B by the letter of the standard: IS1, IS3, no release, IS4."""

_RELEASED, _TERMINATOR, _ELEMENT, _COMPONENT, _REPETITION = "\ue000", "\ue001", "\ue002", "\ue003", "\ue004"
_MARKS: Final = re.compile("[\ue000-\ue004]")

_UPPER: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,-()/='+:?!\"%&*;<>"
_LEVEL_B: Final = _UPPER + b"abcdefghijklmnopqrstuvwxyz"
_ASCII: Final = bytes(range(0x20, 0x7F))
_HIGH: Final = bytes(range(0x80, 0x100))


class Repertoire(NamedTuple):
    """Bytes a syntax identifier allows, the codec of its values, the syntax versions it goes with.

    ``multibyte``: lengths count characters, and the bytes must decode.
    """

    allowed: bytes
    codec: str
    versions: str
    multibyte: bool = False


def _part(number: int) -> bytes:
    """The graphic characters of ISO 8859-``number``: no C0, no C1, no empty positions."""
    high = bytes(b for b in range(0xA0, 0x100) if bytes([b]).decode(f"iso8859-{number}", "ignore"))
    return _ASCII + high


# 0001 -> ISO 8859 part and the versions of 0002 (spec 3.2).
_PARTS: Final = {
    "UNOC": (1, "34"), "UNOD": (2, "34"), "UNOE": (5, "34"), "UNOF": (7, "34"), "UNOG": (3, "4"), "UNOH": (4, "4"),
    "UNOI": (6, "4"), "UNOJ": (8, "4"), "UNOK": (9, "4"), "UNOL": (15, "4"),
}  # fmt: skip


@lru_cache(maxsize=64)
def repertoire(identifier: str) -> Repertoire | None:
    """The repertoire of a 0001; None if there is no such identifier.

    IATA and IATB are the airlines' own identifiers (PADIS messages), read as printable ASCII. Unspecified: our choice.
    """
    if identifier in ("UNOA", "UNOB"):
        return Repertoire(_UPPER if identifier == "UNOA" else _LEVEL_B, "ascii", "1234")
    if identifier in _PARTS:
        part, versions = _PARTS[identifier]
        return Repertoire(_part(part), f"iso8859-{part}", versions)
    if identifier in ("UNOW", "UNOY"):
        return Repertoire(_ASCII + _HIGH, "utf-8", "4", multibyte=True)
    if identifier == "UNOX":
        return Repertoire(_ASCII + _HIGH, "euc_jp", "4", multibyte=True)
    if identifier in ("IATA", "IATB"):
        return Repertoire(_ASCII, "ascii", "1234")
    return None


class Syntax:
    """The service characters of one interchange, with its 0001 and 0002.

    ``release`` and ``repetition`` are empty where there is none; ``decimal`` holds every mark that is right.
    ``advised`` says that a UNA was sent.
    """

    def __init__(
        self, advice: str, identifier: str, version: str, *, advised: bool, charset: str | None = None
    ) -> None:
        self.advice = advice
        self.identifier = identifier
        self.version = version
        self.advised = advised
        self.component, self.element, mark, release, fifth, self.terminator = list(advice)
        self.release = "" if release == " " else release
        # Without UNA a version 4 sender may repeat with the default character.
        if version == "4":
            self.repetition = "*" if not advised and advice == DEFAULT_ADVICE else fifth.strip()
        else:
            self.repetition = ""
        self.decimal = ".," if not advised or version == "4" else mark
        own = repertoire(identifier)
        self.allowed = (own.allowed if own else _ASCII + _HIGH) if charset is None else _ASCII + _HIGH
        self.codec = charset or (own.codec if own else "latin-1")
        self.multibyte = charset is not None or (own is not None and own.multibyte)
        self.separators = self.element + self.component + self.repetition
        pairs = [(self.release, _RELEASED), (self.terminator, _TERMINATOR), (self.element, _ELEMENT)]
        pairs.append((self.component, _COMPONENT))
        if self.repetition:
            pairs.append((self.repetition, _REPETITION))
        self._pairs = [(self.release + character, mark) for character, mark in pairs] if self.release else []
        self._raw = {ord(mark): pair for pair, mark in self._pairs}
        self._plain = {ord(mark): pair[1] for pair, mark in self._pairs}

    def marked(self, text: str) -> str:
        """Text with every released service character as one mark. It must not end between a release and its partner."""
        for pair, mark in self._pairs:
            text = text.replace(pair, mark)
        return text

    def raw(self, text: str) -> str:
        """Marked text as it came: the inverse of :meth:`marked`."""
        return text if text.isascii() else text.translate(self._raw)

    def value(self, text: str) -> str:
        """The value in a piece of marked text: releases gone, bytes decoded (undecodable ones as surrogates)."""
        if text.isascii():
            return text.replace(self.release, "") if self.release and self.release in text else text
        if self.release:
            text = text.replace(self.release, "").translate(self._plain)
        if self.codec in ("latin-1", "iso8859-1") or text.isascii():
            return text
        return text.encode("latin-1").decode(self.codec, "surrogateescape")

    @cached_property
    def split(self) -> Callable[[str], list[Any]]:
        """A function from a segment's marked text to its elements as values: text, or a list of components.

        Of a repeated element the first occurrence. Made once, because every segment that is looked at goes through it.
        """
        element, component, repetition, value = self.element, self.component, self.repetition, self.value
        # A character that no data holds, where there is no such service character.
        release, barred = self.release or "\ue005", repetition or "\ue005"

        def split(text: str) -> list[Any]:
            parts: list[Any] = text.split(element)
            del parts[0]
            if barred in text:
                parts = [part.split(repetition, 1)[0] for part in parts]
            if text.isascii() and release not in text:
                if component in text:
                    return [part.split(component) if component in part else part for part in parts]
                return parts
            return [
                [value(piece) for piece in part.split(component)] if component in part else value(part)
                for part in parts
            ]

        return split

    def size(self, text: str) -> int:
        """How many bytes a piece of marked text took."""
        return len(text) if text.isascii() else len(text) + len(_MARKS.findall(text))

    def decodes(self, text: str) -> bool:
        """Whether a piece of marked text is valid in the interchange's multi-byte code."""
        try:
            self.raw(text).encode("latin-1").decode(self.codec)
        except UnicodeDecodeError:
            return False
        return True

    @cached_property
    def wanted(self) -> bytes:
        """Bytes that need no second look: the repertoire, the service characters, line ends."""
        return bytes(sorted({*self.allowed, *self.service.encode("latin-1"), 10, 13}))

    @cached_property
    def service(self) -> str:
        """The characters with a function in this interchange."""
        return self.separators + self.release + self.terminator

    @cached_property
    def odd(self) -> bool:
        """Whether a service character lies outside the repertoire, so that a released one may be wrong."""
        return any(ord(character) not in self.allowed for character in self.service)

    @cached_property
    def unwanted(self) -> re.Pattern[str]:
        """Finds a character of marked text that the repertoire does not have."""
        kept = {chr(byte) for byte in self.allowed} | {*self.service}
        kept |= {mark for pair, mark in self._pairs if ord(pair[1]) in self.allowed}
        return re.compile(f"[^{''.join(map(re.escape, sorted(kept)))}]")

    @cached_property
    def boundary(self) -> re.Pattern[str]:
        """Finds the next UNZ, UNA or UNB at the start of a segment."""
        return re.compile(re.escape(self.terminator) + "[ \t\r\n]*UN[ZAB]")

    @cached_property
    def wrapped_boundary(self) -> re.Pattern[str]:
        """The same in wrapped data, where a line may end inside the tag."""
        return re.compile(re.escape(self.terminator) + "[ \t\r\n]*U[\r\n]*N[\r\n]*[ZAB]")

    @cached_property
    def trailing(self) -> tuple[str, ...]:
        """Pieces that only stand in marked text where a separator ends a segment, or in v4 an element."""
        ends = [separator + self.terminator for separator in self.separators]
        if self.version == "4":
            ends += [self.component + self.element, *((self.repetition + self.element,) if self.repetition else ())]
            ends += [self.component + self.repetition] if self.repetition else []
        return tuple(ends)


@lru_cache(maxsize=256)
def syntax_of(advice: str, identifier: str, version: str, *, advised: bool, charset: str | None = None) -> Syntax:
    """The Syntax of an advice, made once."""
    return Syntax(advice, identifier, version, advised=advised, charset=charset)
