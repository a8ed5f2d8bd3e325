"""File names of a mail's parts: out of header fields, whatever the spelling, into text that is safe to show and keep.

*Strategy.* A structured field is cut into its parameters by one pattern that never looks back, because the standard
library's way costs the square of a field's length. A name is then read by what it says of itself (RFC 2231, or the
encoded words of RFC 2047 that old programs put where they do not belong); a name that says nothing is raw bytes, and
its charset is guessed in a fixed order: ISO-2022-JP if there is an escape, UTF-8 (which checks itself), EUC-JP (the
charset of this wire), Shift_JIS. Every guess and every repair is a finding, in plain words.

A name is only ever the last part of a path, without control and direction characters. Unspecified: our choice, all of
it; official text gives the 190 bytes and nothing else (spec/naccs-edi.md 7.5).
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

from sekisho.codecs import charset

__all__ = ["file_name", "name_size", "parameters"]

# ; name = "quoted" | token; a quoted string that never closes falls to the last way. Possessive: linear.
_PARAMETER: Final = re.compile(
    rb'[;\s]*+([^\s=;"]++)[ \t]*+=[ \t]*+(?:"((?:[^"\\]|\\.)*+)"|([^;]*+))|[;\s]*+[^;]++|;', re.DOTALL
)
# A Shift_JIS character may end in 5C, which is the backslash: then the quote behind it is no escaped one.
_QUOTED_SHIFT_JIS: Final = re.compile(rb'"((?:[\x81-\x9f\xe0-\xfc][\x40-\xfc]|[^"])*+)"')
_ENCODED_WORD: Final = re.compile(rb"=\?([^?*]*+)(?:\*[^?]*+)?\?([BbQq])\?([^?]*+)\?=")
_PATH: Final = re.compile(r".*[/\\]", re.DOTALL)
# Control, zero-width and direction characters: a name made of them shows as another one than it is.
_UNSHOWN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")

# What Python's table reads 80, A0, FD, FE and FF as where no character can begin with them.
_NO_SHIFT_JIS: Final = re.compile("[\x80\uf8f0-\uf8f3]")

# Only these are read: a name of a peer's choice never picks a decoder of ours.
_CHARSETS: Final[Mapping[str, str]] = {
    "": "",
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "ascii",
    "ascii": "ascii",
    "iso-8859-1": "latin-1",
    "windows-1252": "cp1252",
    "euc-jp": "euc-jp",
    "x-euc-jp": "euc-jp",
    "eucjp": "euc-jp",
    "cp51932": "euc-jp",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "x-sjis": "cp932",
    "ms_kanji": "cp932",
    "windows-31j": "cp932",
    "cp932": "cp932",
    "iso-2022-jp": "iso2022_jp_ext",
    "iso-2022-jp-1": "iso2022_jp_ext",
    "iso-2022-jp-ms": "iso2022_jp_ext",
}
_SHOWN: Final = {"euc-jp": "EUC-JP", "cp932": "Shift_JIS", "iso2022_jp_ext": "ISO-2022-JP", "utf-8": "UTF-8"}


def parameters(field: bytes) -> tuple[bytes, dict[str, bytes]]:
    """Cut an unfolded field (``text/plain; charset="EUC-JP"``) into its value and its parameters.

    Names are lower-cased and keep the asterisks of RFC 2231; values are without quotes, bytes as sent. Of a parameter
    given twice the first counts. Never fails: what is no parameter is passed over.
    """
    value, _, rest = field.partition(b";")
    found: dict[str, bytes] = {}
    position = 0
    while position < len(rest):
        match = _PARAMETER.match(rest, position)
        if match is None:
            break
        position = match.end()
        if match[1] is None:
            continue
        if match[2] is not None:
            said = match[2].replace(b"\\\\", b"\\").replace(b'\\"', b'"')
        elif match[3].startswith(b'"'):
            whole = _QUOTED_SHIFT_JIS.match(rest, match.start(3))
            said = whole[1] if whole is not None else match[3].strip(b'" \t')
            position = whole.end() if whole is not None else position
        else:
            said = match[3].strip()
        found.setdefault(match[1].lower().decode("ascii", "replace"), said)
    return value.strip(), found


def file_name(disposition: Mapping[str, bytes], content_type: Mapping[str, bytes]) -> tuple[str, tuple[str, ...]]:
    """The file name of a part, and what was odd about it.

    ``disposition`` and ``content_type`` are the parameters of Content-Disposition (``filename``) and Content-Type
    (``name``); the first has precedence, and in each RFC 2231 over the plain spelling. Empty if there is no name, or
    nothing of it is left.
    """
    findings: list[str] = []
    name = _spelled(disposition, "filename", findings)
    other = _spelled(content_type, "name", findings if name is None else [])
    if name is not None and other is not None and name != other:
        findings.append("filename and name differ, filename counts")
    sent = name if name is not None else other
    if sent is None:
        return "", ()
    clean = _UNSHOWN.sub("", sent)
    if clean != sent:
        findings.append("control or direction characters in a file name, dropped")
    last = _PATH.sub("", clean)
    if last != clean:
        findings.append("a path in a file name, its last part counts")
    last = last.strip()
    if last in ("", ".", ".."):
        findings.append("an empty file name")
        last = ""
    return last, tuple(dict.fromkeys(findings))


def name_size(name: str) -> int:
    """Bytes of a name in EUC-JP, as an item would hold it; a character that EUC-JP lacks counts as its UTF-8 bytes."""
    try:
        return len(charset.encode(name))
    except charset.CharsetError:
        return sum(_size(character) for character in name)


def _size(character: str) -> int:
    try:
        return len(charset.encode(character))
    except charset.CharsetError:
        return len(character.encode("utf-8", "replace"))


def _spelled(found: Mapping[str, bytes], key: str, findings: list[str]) -> str | None:
    """The value of a parameter that holds text, in any of its spellings; None if it is not there."""
    if f"{key}*" in found:
        said, data = _charset_of(found[f"{key}*"])
        return _read(unquote_to_bytes(data), said, findings)
    if f"{key}*0" in found or f"{key}*0*" in found:
        return _joined(found, key, findings)
    plain = found.get(key)
    if plain is None:
        return None
    if b"=?" in plain and _ENCODED_WORD.search(plain) is not None:
        return _words(plain, findings)
    return _read(plain, "", findings)


def _joined(found: Mapping[str, bytes], key: str, findings: list[str]) -> str:
    """RFC 2231 section 3: numbered pieces, those with a trailing asterisk percent-encoded; the first names the set."""
    said, data, count = "", b"", 0
    while True:
        encoded, plain = found.get(f"{key}*{count}*"), found.get(f"{key}*{count}")
        if encoded is not None:
            if count == 0:
                said, encoded = _charset_of(encoded)
            data += unquote_to_bytes(encoded)
        elif plain is not None:
            data += plain
        else:
            break
        count += 1
    if sum(name.startswith(f"{key}*") for name in found) > count:
        findings.append("a piece of a file name is missing or given twice")
    return _read(data, said, findings)


def _charset_of(value: bytes) -> tuple[str, bytes]:
    """``UTF-8'ja'%E6`` -> charset and the rest; without the two quotes all of it is the value."""
    pieces = value.split(b"'", 2)
    if len(pieces) < 3:
        return "", value
    return pieces[0].decode("ascii", "replace"), pieces[2]


def _words(value: bytes, findings: list[str]) -> str:
    """RFC 2047 words where RFC 2231 was due. Bytes of neighbours in one charset are joined before they are read."""
    findings.append("encoded words (RFC 2047) in a file name")
    runs: list[tuple[str, bytes]] = []
    position = 0
    for word in _ENCODED_WORD.finditer(value):
        between = value[position : word.start()]
        if between.strip() or (between and not runs):
            runs.append(("", between))
        said = word[1].decode("ascii", "replace").lower()
        data = _b(word[3]) if word[2] in b"Bb" else binascii.a2b_qp(word[3], header=True)
        if runs and runs[-1][0] == said != "":
            data = runs.pop()[1] + data
        runs.append((said, data))
        position = word.end()
    if value[position:].strip():
        runs.append(("", value[position:]))
    text = "".join(_read(data, said, findings) for said, data in runs)
    return text if text.strip() else value.decode("ascii", "replace")  # a broken word costs the name's beauty only


def _b(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text + b"==")
    except binascii.Error:
        return text


def _read(data: bytes, said: str, findings: list[str]) -> str:
    """Bytes to text: by the charset they name, else by the first of the guesses that fits."""
    name = _CHARSETS.get(said.strip().lower())
    if name is None:
        findings.append("a file name in a charset that is not read here")
    if name:
        try:
            return _decoded(data, name)
        except UnicodeError:
            findings.append(f"a file name that is not in the charset it names ({_SHOWN.get(name, name)})")
    if b"\x1b" not in data and data.isascii():
        return data.decode("ascii")
    for guess in ("iso2022_jp_ext",) if b"\x1b" in data else ("utf-8", "euc-jp", "cp932"):
        try:
            text = _decoded(data, guess)
        except UnicodeError:
            continue
        findings.append(f"a file name of raw bytes, read as {_SHOWN[guess]}")
        return text
    findings.append("a file name in no charset that is read here")
    return data.decode("ascii", "backslashreplace").replace("\\", "%")


def _decoded(data: bytes, name: str) -> str:
    if name != "euc-jp":
        text = data.decode(name)
        if name == "cp932" and _NO_SHIFT_JIS.search(text) is not None:
            raise UnicodeError("bytes that stand for nothing in Shift_JIS")
        return text
    try:
        return charset.decode(data)
    except charset.CharsetError as error:
        raise UnicodeError(str(error)) from error
