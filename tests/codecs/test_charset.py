"""EUC-JP as CP51932, and what each kind of item may hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.codecs import charset

PAIRS = [bytes((high, low)) for high in range(0xA1, 0xFF) for low in range(0xA1, 0xFF)]


def cp932_of(pair: bytes) -> str | None:
    """The character CP932 has at an EUC pair's row and cell, reckoned by the textbook formula (Lunde, CJKV)."""
    row, cell = pair[0] - 0xA0, pair[1] - 0xA0
    lead = (row + 1) // 2 + (0x80 if row <= 62 else 0xC0)
    trail = (cell + 0x3F + (1 if cell >= 64 else 0)) if row % 2 else cell + 0x9E
    try:
        return bytes((lead, trail)).decode("cp932")
    except UnicodeDecodeError:
        return None


def test_every_pair_of_the_plane_is_read_as_cp932_has_it() -> None:
    """Bytes are EUC-JP as Microsoft maps it: a two-byte character is read through CP932's table (decisions, Text)."""
    known = 0
    for pair in PAIRS:
        expected = cp932_of(pair)
        if expected is None:
            with pytest.raises(charset.CharsetError):
                charset.decode(pair)
            assert charset.decode_usual(pair) is None
            continue
        known += 1
        assert charset.decode(pair) == expected, pair.hex()
        assert charset.decode(pair + b"\xad\xa1") == expected + "①"  # the slow way reads the same
    assert known == 6879 + 83 + 374  # JIS X 0208:1990, row 13, rows 89 to 92 (NEC selected IBM extensions)


def test_every_pair_comes_back_from_its_character() -> None:
    """Reading and writing is the identity in JIS X 0208; a character with a second place elsewhere gets the first."""
    twice = 0
    for pair in PAIRS:
        character = cp932_of(pair)
        if character is None:
            continue
        back = charset.encode(character)
        if back != pair:
            twice += 1
            assert pair[0] in (0xAD, *range(0xF9, 0xFD)), pair.hex()
            assert back < pair
            assert charset.decode(back) == character
    assert twice == 9 + 1  # nine mathematical signs of row 13, and the not sign of row 92


@pytest.mark.parametrize(
    ("jis", "microsoft"), [("〜", "～"), ("−", "－"), ("‖", "∥"), ("¢", "￠"), ("£", "￡"), ("¬", "￢")]
)
def test_both_spellings_are_written_and_cp932s_is_read(jis: str, microsoft: str) -> None:
    """Encoding accepts both spellings of six characters (decisions, Text)."""
    assert charset.encode(f"見{jis}本") == charset.encode(f"見{microsoft}本")
    assert charset.decode(charset.encode(jis)) == microsoft
    assert charset.decode_usual(charset.encode(jis)) == microsoft


def test_single_shifts_are_read_and_written() -> None:
    """SS2 is half-width kana, SS3 JIS X 0212: accepted with a finding (decisions, Text)."""
    for code in range(0xA1, 0xE0):
        data = bytes((0x8E, code))
        assert charset.decode(data) == chr(0xFF61 + code - 0xA1)
        assert charset.encode(charset.decode(data)) == data
        assert charset.decode(data + b"\xad\xa1") == charset.decode(data) + "①"
    assert charset.decode(b"\x8f\xb0\xa1") == "丂"
    assert charset.encode("丂") == b"\x8f\xb0\xa1"
    assert charset.encode("丂①") == b"\x8f\xb0\xa1\xad\xa1"
    assert charset.decode_usual(b"\x8e\xb1") is None
    assert charset.decode_usual(b"\x8f\xb0\xa1") is None


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b"A\xff", 1),
        (b"AB\xb0", 2),  # half a kanji
        (b"\xb0\xa1\xb0", 2),
        (b"\xb0 ", 0),
        (b"AB\x8e", 2),
        (b"\x8e\xe0", 0),
        (b"\x8f\xb0", 0),
        (b"\x8f\xa1\xa1", 0),  # SS3 cell without a character
        (b"\x80", 0),
        (b"\xa0\xa1", 0),
        (b"\xb0\xa1\xa9\xa1", 2),  # row 9 is empty
        (b"ABC\xf5\xa1", 3),  # row 85: user defined elsewhere
    ],
)
def test_undecodable_bytes_say_where(data: bytes, offset: int) -> None:
    """Undecodable bytes are an error always (decisions, Text), with the offset of the first."""
    with pytest.raises(charset.CharsetError) as caught:
        charset.decode(data)
    assert caught.value.offset == offset
    assert charset.odd_bytes("j", data) == offset
    assert charset.decode_anyway(data)


def test_what_eucjp_cannot_hold_is_refused_with_its_place() -> None:
    """No silent replacement: Python's own codec takes a yen sign for a backslash."""
    for text, offset in (("AB¥", 2), ("見本€", 2), ("😀", 0), ("见", 0), ("ABé", -1)):
        if offset < 0:
            assert charset.encode(text) == b"AB\x8f\xab\xb1"  # JIS X 0212 has it
            continue
        with pytest.raises(charset.CharsetError) as caught:
            charset.encode(text)
        assert caught.value.offset == offset


def test_what_an_calls_plain() -> None:
    """an: 0x20-0x23 and 0x25-0x5A [client]; `_ $ [ ] { | } ~` and lower case are tolerated (decisions, Text)."""
    for code in range(256):
        data = bytes((0x41, code))
        plain = 0x20 <= code <= 0x23 or 0x25 <= code <= 0x5A
        assert (charset.plain_text(data) is not None) == plain
        assert (charset.irregular("an", data) == 1) == (code == 0x24 or 0x5B <= code <= 0x7E)
        assert (charset.odd_bytes("an", data) == 1) == (not 0x20 <= code <= 0x7E)
        assert (charset.odd_bytes("sn", data) == 1) == (not 0x20 <= code <= 0x7E)
        assert charset.irregular("sn", data) == -1


@pytest.mark.parametrize(
    ("text", "offset"),
    [("見本abc$~", -1), ("見本①", 4), ("㈱", 0), ("Aｶ", 1), ("見ｶ", 2), ("纊", 0), ("AB丂", 2), ("神戸港積出", -1)],
)
def test_what_j_calls_plain(text: str, offset: int) -> None:
    """JIS X 0201 Roman and JIS X 0208 are plain; row 13, IBM extensions, half-width kana and SS3 are not."""
    data = charset.encode(text)
    assert charset.irregular("j", data) == offset
    assert charset.odd_bytes("j", data) == -1
    assert (charset.decode_usual(data) is None) == (offset >= 0)


def test_controls_are_odd_in_j() -> None:
    """A control character stands in no item."""
    for code in (*range(0x20), 0x7F):
        assert charset.odd_bytes("j", b"\xb0\xa1" + bytes((code,))) == 2


@given(st.binary(max_size=60))
def test_decode_never_fails_but_as_declared_and_encode_takes_what_it_gives(data: bytes) -> None:
    """Whatever can be read can be written, and reads the same again."""
    try:
        text = charset.decode(data)
    except charset.CharsetError as error:
        offset = error.offset
    else:
        assert charset.decode(charset.encode(text)) == text
        return
    assert 0 <= offset < len(data)


@given(st.text(max_size=40))
def test_encode_is_undone_by_decode(text: str) -> None:
    """What was written reads as it was, but for the six spellings."""
    try:
        data = charset.encode(text)
    except charset.CharsetError as error:
        offset = error.offset
    else:
        assert charset.decode(data) == text.translate(str.maketrans("〜−‖¢£¬", "～－∥￠￡￢"))
        return
    assert 0 <= offset < len(text)
