"""File names of parts: every spelling that was seen, and what may not come through."""

from email.message import Message
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.codecs import charset
from sekisho.codecs.mime_names import file_name, name_size, parameters

NAME = "添付ー書類㈱.pdf"


def named(disposition: bytes, content_type: bytes = b"") -> tuple[str, tuple[str, ...]]:
    """Name and findings of a part with these parameters."""
    return file_name(parameters(b"attachment;" + disposition)[1], parameters(b"a/b;" + content_type)[1])


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        (b"text/plain", b"text/plain", {}),
        (b" Text/Plain ; CharSet = EUC-JP ", b"Text/Plain", {"charset": b"EUC-JP"}),
        (b'a/b;x="1;2";y=3', b"a/b", {"x": b"1;2", "y": b"3"}),
        (b'a/b; x="q\\"q"; x=2', b"a/b", {"x": b'q"q'}),
        (b'a/b; x="C:\\dir\\f.txt"', b"a/b", {"x": b"C:\\dir\\f.txt"}),
        (b'a/b; x="never closed; y=1', b"a/b", {"x": b"never closed", "y": b"1"}),
        (b"a/b; ;; flag; =x; y=1;", b"a/b", {"y": b"1"}),
        (b'a/b; x=; y="";z', b"a/b", {"x": b"", "y": b""}),
        (b"a/b; x*0*=a'b'c; x*1=d", b"a/b", {"x*0*": b"a'b'c", "x*1": b"d"}),
        (b"", b"", {}),
        (b"; x=1", b"", {"x": b"1"}),
    ],
)
def test_parameters(field: bytes, value: bytes, expected: dict[str, bytes]) -> None:
    """RFC 2045 5.1, with what is sent in its name: blanks, empty pieces, quotes that never close."""
    assert parameters(field) == (value, expected)


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_bytes_have_an_answer(disposition: bytes, content_type: bytes) -> None:
    """Nothing is raised; what comes out can be shown: one line, no path, no control characters."""
    name, _findings = named(b"filename=" + disposition, b'name="' + content_type)
    assert name == name.strip()
    assert not set(name) & set("/\\\0\r\n\x1b\x7f\u202e\ufeff")
    assert name_size(name) >= len(name) - name.count("\ufffd")


SHIFT_JIS_END = b'filename="\x95\x5c"'  # the last byte of the character is a backslash


@pytest.mark.parametrize(
    ("sent", "name", "finding"),
    [
        (b"filename=a.csv", "a.csv", ""),
        (b"filename*=UTF-8''" + quote(NAME).encode(), NAME, ""),
        (b"filename*=utf-8'ja'" + quote(NAME).encode(), NAME, ""),
        (b"filename*=EUC-JP''" + quote(charset.encode(NAME)).encode(), NAME, ""),
        (b"filename*=Shift_JIS''" + quote(NAME.encode("cp932")).encode(), NAME, ""),
        (b"filename*=ISO-2022-JP''%1B$BE:IU%1B%28B.pdf", "添付.pdf", ""),
        (b"filename*0*=UTF-8''" + quote("添").encode() + b'; filename*1*=%E4%BB%98; filename*2=".pdf"', "添付.pdf", ""),
        (b'filename*1="b"; filename*0="a"', "ab", ""),
        (b'filename*0="a"; filename*2="c"', "a", "piece"),
        (b"filename*=UTF-8''%E6%B7%BB; filename=plain.txt", "添", ""),
        (b"filename*=nowhere''%E6%B7%BB", "添", "charset that is not read"),
        (b"filename*=UTF-8''%93Y%95t", "添付", "not in the charset it names"),
        (b"filename*=no-quotes", "no-quotes", ""),
        (b'filename="=?UTF-8?B?5re75LuYLnBkZg==?="', "添付.pdf", "RFC 2047"),
        (b'filename="=?ISO-2022-JP?B?GyRCRTobKEI=?= =?ISO-2022-JP?B?GyRCSVUbKEI=?=.pdf"', "添付.pdf", "RFC 2047"),
        (b'filename="=?utf-8?Q?=E6=B7?= =?utf-8?Q?=BB_a?="', "添 a", "RFC 2047"),
        (b'filename="a =?us-ascii?Q?b?= c"', "a b c", "RFC 2047"),
        (b'filename="\xc5\xba\xc9\xd5"', "添付", "read as EUC-JP"),
        (b'filename="\x93Y\x95t"', "添付", "read as Shift_JIS"),
        (b'filename="' + "添付".encode() + b'"', "添付", "read as UTF-8"),
        (b'filename="\x1b$BE:IU\x1b(B"', "添付", "read as ISO-2022-JP"),
        (SHIFT_JIS_END, "表", "read as Shift_JIS"),
        (b'filename="\x83\x80\x83\x7b"', "ムボ", "read as Shift_JIS"),
        (SHIFT_JIS_END + b"; size=3", "表", "read as Shift_JIS"),
        (b'filename="\xff\xfe"', "%xff%xfe", "no charset"),
        (b'filename="C:\\Documents\\a.txt"', "a.txt", "path"),
        (b'filename="../../etc/passwd"', "passwd", "path"),
        (b"filename*=UTF-8''..%2F..%2Fa.txt", "a.txt", "path"),
        (b'filename="a/"', "", "empty"),
        (b'filename=".."', "", "empty"),
        (b'filename="  "', "", "empty"),
        (b"filename*=UTF-8''a%0D%0Ab%00c", "abc", "control"),
        (b"filename*=UTF-8''fdp%E2%80%AEexe.txt", "fdpexe.txt", "direction"),
        (b'filename="x\x7fy"', "xy", "control"),
    ],
)
def test_names(sent: bytes, name: str, finding: str) -> None:
    """Text, and what was odd about it; a path loses its folders, a name its control and direction characters."""
    found, findings = named(sent)
    assert found == name
    assert any(finding in text for text in findings) if finding else findings == ()


def test_the_disposition_goes_before_the_type() -> None:
    """Many programs send both; where they differ it is said, and Content-Disposition counts (RFC 2183 2.3)."""
    assert named(b"filename=a.txt", b"name=a.txt") == ("a.txt", ())
    name, findings = named(b"filename=a.txt", b"name=b.txt")
    assert (name, len(findings)) == ("a.txt", 1)
    assert named(b"", b"name=b.txt") == ("b.txt", ())
    assert named(b"size=3", b"charset=x") == ("", ())


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="/\\."), max_size=40))
def test_what_the_library_writes_is_read(text: str) -> None:
    """Oracle: a name written by the standard library as RFC 2231 comes back."""
    mail = Message()
    mail.add_header("Content-Disposition", "attachment", filename=("utf-8", "ja", text))
    assert file_name(parameters(str(mail["content-disposition"]).encode())[1], {})[0] == text


@pytest.mark.parametrize(
    ("name", "size"), [("", 0), ("a.txt", 5), ("添付", 4), ("ｱ", 2), ("㈱", 2), ("é", 3), ("한", 3), ("😀", 4)]
)
def test_the_size_of_a_name(name: str, size: int) -> None:
    """Bytes in EUC-JP, as an item would hold them; what EUC-JP lacks counts as UTF-8; é is JIS X 0212, three bytes."""
    assert name_size(name) == size
