"""Mails in parts, against the standard library's parser, and against mails made to break parsers."""

import base64
import contextlib
import quopri
import re
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.codecs.mime import MimeError, MimeLimits, Unwrapped, unwrap
from sekisho.codecs.mime_parts import Parts, read_parts
from sekisho.codecs.results import ResultCode

TELEGRAM = b"   MSX  ".ljust(398) + b"\r\n" + b"\xc5\xec\xb5\xfe".ljust(18) + b"\r\n"
XML = b'<?xml version="1.0"?><a/>'
LIMITS = MimeLimits()


@dataclass(frozen=True)
class Part:
    """A part to be written: its header block and its body, both with their line ends.

    Of a multipart ``children`` are its parts, ``head`` is its subtype, ``body`` its preamble, ``padding`` what stands
    behind its boundaries, ``end`` what follows the last one.
    """

    head: bytes
    body: bytes
    children: tuple["Part", ...] = ()
    padding: bytes = b""
    end: bytes = b""

    def written(self, number: bytes = b"1") -> bytes:
        """Header block, blank line and body; the number is the boundary, another one for each multipart."""
        if not self.children:
            return self.head + b"\r\n" + self.body
        mark = b"--" + number
        inner = [child.written(b"%b'%d" % (number, at)) for at, child in enumerate(self.children)]
        parts = b"".join(mark + self.padding + b"\r\n" + one + b"\r\n" for one in inner)
        head = b'Content-Type: multipart/%b; boundary="%b"\r\n\r\n' % (self.head, number)
        return head + self.body + parts + mark + self.end


def lines(text: bytes) -> bytes:
    """Without a lone CR: our lines end with LF, the library's with a lone CR too (the module's text)."""
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"").replace(b"\n", b"\r\n")


BODIES = st.one_of(
    st.binary(max_size=80).map(lines),
    st.lists(st.sampled_from([b"--", b"x\r\n--1\r\n\r\nx", b"x\n--1-- \nx", b"\n--2", b"\n", b" "])).map(b"".join),
    st.just(TELEGRAM),
)
TYPES = st.sampled_from([b"text/plain", b"TEXT/XML; charset=EUC-JP", b"application/pdf", b"a/b; x=y", b"bad", b"a/b/c"])
NAMES = st.sampled_from([b"", b"; filename=a.txt", b'; FileName="b c.pdf"', b'; filename="q\\"uote.csv"', b"; size=3"])


@st.composite
def leaves(draw: st.DrawFn) -> Part:
    """A part that is no multipart, in any transfer encoding, with or without fields."""
    body = draw(BODIES)
    encoding = draw(st.sampled_from([b"", b"7bit", b"8BIT", b"binary", b"base64", b"Quoted-Printable"]))
    head = b""
    if draw(st.booleans()):
        head += b"Content-Type: " + draw(TYPES) + b"\r\n"
    if draw(st.booleans()):
        head += b"Content-Disposition:\r\n\tattachment" + draw(NAMES) + b"\r\n"
    if encoding:
        head += b"content-transfer-ENCODING: " + encoding + b"\r\n"
    if encoding == b"base64":
        body = base64.encodebytes(body).replace(b"\n", b"\r\n")
    elif encoding == b"Quoted-Printable":
        body = lines(quopri.encodestring(body))
    return Part(head, body)


def multiparts(children: st.SearchStrategy[Part]) -> st.SearchStrategy[Part]:
    """A multipart with preamble, epilogue, padding behind its boundaries.

    Never without a part: there the library sometimes drops the line end before the outer boundary, sometimes not.
    """
    return st.builds(
        Part,
        st.sampled_from([b"mixed", b"related", b"alternative", b"signed", b"Mixed"]),
        st.sampled_from([b"", b"preamble\r\n", b"\r\n", b" --1\r\n"]),
        st.lists(children, min_size=1, max_size=4).map(tuple),
        st.sampled_from([b"", b" ", b"\t "]),
        st.sampled_from([b"--\r\n", b"-- \r\nepilogue", b"--"]),
    )


TREES = st.recursive(leaves(), multiparts, max_leaves=8)


def written(part: Part) -> bytes:
    """The mail that a part makes; its first field is one that says nothing."""
    return b"X-First: 1\r\n" + part.written()


def ours(raw: bytes) -> Parts:
    """The mail in parts, no message being looked for in them."""
    return read_parts(raw, LIMITS, lambda _content: False)


def theirs(raw: bytes) -> list[tuple[bytes, str, str]]:
    """Content, media type and file name of each leaf, as the library reads them.

    Of base64 that breaks off inside four characters the library reads nothing; it is given the whole ones.
    """
    found = []
    mail: Message = message_from_bytes(raw, policy=policy.compat32)
    for one in mail.walk():
        if not one.is_multipart():
            if one.get("content-transfer-encoding") == "base64":
                text = re.sub("[^A-Za-z0-9+/=]", "", str(one.get_payload()))
                one.set_payload(text[:-1] if len(text.rstrip("=")) % 4 == 1 else text)
            content = one.get_payload(decode=True)
            assert isinstance(content, bytes)
            found.append((content, one.get_content_type(), one.get_filename("")))
    return found


@given(TREES)
def test_the_library_reads_the_same(tree: Part) -> None:
    """Oracle: contents, types and names of all leaves, in order, of any tree (issue 4)."""
    raw = written(tree)
    assert [(leaf.content, leaf.media_type, leaf.name) for leaf in ours(raw).leaves] == theirs(raw)


@given(TREES, st.data())
def test_a_mail_that_breaks_off_is_read_as_far_as_it_goes(tree: Part, data: st.DataObject) -> None:
    """Cut anywhere behind its header block: the leaves are still the library's.

    But for line ends before a boundary that never comes: we keep them, the library drops the last one.
    """
    raw = written(tree)
    raw = raw[: data.draw(st.integers(raw.index(b"\r\n\r\n") + 4, len(raw)))]
    expected = [content.rstrip(b"\r\n") for content, _, _ in theirs(raw)]
    assert [leaf.content.rstrip(b"\r\n") for leaf in ours(raw).leaves] == expected


@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=60))
def test_any_bytes_have_an_answer(before: bytes, after: bytes, field: bytes) -> None:
    """Whatever stands around and inside a boundary: parts, or MimeError, and never more bytes than came."""
    raw = b"Content-Type: multipart/mixed; boundary=B" + field + b"\r\n\r\n" + before + b"\r\n--B\r\n" + after
    try:
        parts = ours(raw)
    except MimeError:
        return
    assert sum(len(leaf.content) for leaf in parts.leaves) <= len(raw)


def multipart(*parts: bytes, kind: bytes = b"mixed", boundary: bytes = b"B") -> bytes:
    """A multipart mail of finished parts."""
    body = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts)
    head = b'Content-Type: multipart/%b; boundary="%b"\r\n\r\n' % (kind, boundary)
    return head + body + b"--" + boundary + b"--\r\n"


def attached(content: bytes, fields: bytes = b"") -> bytes:
    """A part that calls itself a file."""
    return b'Content-Disposition: attachment; filename="f.txt"\r\n' + fields + b"\r\n" + content


@pytest.mark.parametrize(
    ("raw", "content", "files"),
    [
        # A file that looks like a message does not go before one that does not call itself a file.
        (multipart(attached(TELEGRAM), b"\r\n" + TELEGRAM), TELEGRAM, [("f.txt", TELEGRAM)]),
        (multipart(attached(TELEGRAM), b"\r\nplease see"), TELEGRAM, [("", b"please see")]),
        (multipart(attached(b"no message"), b"\r\nmessage?"), b"message?", [("f.txt", b"no message")]),
        # XML before other text; the NACCS message before XML.
        (multipart(b"\r\nnote", b"\r\n" + XML), XML, [("", b"note")]),
        (multipart(b"\r\n" + XML, b"\r\n" + TELEGRAM), TELEGRAM, [("", XML)]),
        # By its type alone, where no bytes tell.
        (multipart(b"Content-Type: a/png\r\n\r\nP", b"Content-Type: application/EDI-X12\r\n\r\nQ"), b"Q", [("", b"P")]),
        # The other form of the message is no file; a picture with a name is.
        (
            multipart(
                b"\r\n" + TELEGRAM,
                b"Content-Type: text/html\r\n\r\n<p>",
                b'Content-Type: image/png; name="logo.png"\r\n\r\nP',
                kind=b"alternative",
            ),
            TELEGRAM,
            [("logo.png", b"P")],
        ),
        # related in alternative in mixed, as mail programs nest them.
        (
            multipart(
                multipart(
                    b"\r\n" + TELEGRAM,
                    multipart(b"Content-Type: text/html\r\n\r\n<p>", kind=b"related", boundary=b"D"),
                    kind=b"alternative",
                    boundary=b"C",
                ),
                attached(b"1,2"),
            ),
            TELEGRAM,
            [("f.txt", b"1,2")],
        ),
    ],
)
def test_which_part_is_the_message(raw: bytes, content: bytes, files: list[tuple[str, bytes]]) -> None:
    """Unspecified: our choice, as Unwrapped says it (docs/conformance.md)."""
    found = unwrap(raw)
    assert (found.content, [(file.name, file.content) for file in found.attachments]) == (content, files)


@pytest.mark.parametrize(
    ("encoding", "sent", "content", "finding"),
    [
        (b"base64", TELEGRAM, TELEGRAM, "not in the transfer encoding"),
        (b"quoted-printable", TELEGRAM.replace(b"\xc5\xec", b"=C5=EC"), TELEGRAM, ""),
        (b"base64", base64.b64encode(b"abcd")[:-1], b"abcd", ""),
        (b"base64", b"YW Jj\r\nZ!A==", b"abcd", "malformed base64"),
        (b"base64", b"YWJjZA==YWJjZA==", b"abcd", "malformed base64"),
        (b"base64", b"YWJjZ", b"abc", "malformed base64"),
        (b"x-uuencode", b"begin 644 a\r\n#86)C\r\nend", b"begin 644 a\r\n#86)C\r\nend", "not undone"),
        (b"gzip64", b"x", b"x", "not undone"),
        (b'base64; x="y"', b"YWJjZA==", b"abcd", ""),
        (b"quoted-printable", b"a=\r\nb=ZZ=", b"ab=ZZ", ""),
    ],
)
def test_transfer_encodings(encoding: bytes, sent: bytes, content: bytes, finding: str) -> None:
    """RFC 2045 section 6; what lies about itself is taken as it stands, what nobody knows is left as it is."""
    field = b"Content-Transfer-Encoding: " + encoding + b"\r\n"
    found = unwrap(multipart(b"\r\n" + TELEGRAM[:-1] + b"?", attached(sent, field)))
    assert found.attachments[0].content == content
    assert any(finding in text for text in found.findings) if finding else found.findings == ()


SMALL = MimeLimits(attachments=3, attachment_bytes=10, attachments_bytes=25, attachment_name=8)


@pytest.mark.parametrize(
    ("parts", "faults"),
    [
        ([attached(b"1" * 10)] * 2, []),
        ([attached(b"1"), attached(b"1" * 11)], ["E0001-0000-0002"]),
        ([attached(b"1" * 9)] * 3, ["E0001-0000-0000"]),
        ([attached(b"1")] * 4, ["A0021-0000-0000"]),
        ([attached(b"1").replace(b"f.txt", b"filename8")], ["S9006-0000-0001"]),
        ([attached(b"1").replace(b"f.txt", "名名名名".encode("euc_jp"))], []),
        ([attached(b"1").replace(b"f.txt", "名名名名9".encode())], ["S9006-0000-0001"]),
        ([b"\r\n" + TELEGRAM, b"\r\n" + TELEGRAM], ["E0001-0000-0001", "E0001-0000-0002", "E0001-0000-0000"]),
        ([attached(TELEGRAM)], ["E0001-0000-0001", "E0001-0000-0000"]),
    ],
)
def test_what_the_sender_is_told_of_files(parts: list[bytes], faults: list[str]) -> None:
    """Each limit has its code, and a second message that is no file has A0008 before them."""
    found = unwrap(multipart(b"\r\n" + TELEGRAM, *parts), SMALL)
    second = [] if not parts[0].startswith(b"\r\n") else [str(ResultCode("A0008"))]
    assert [str(fault) for fault in found.faults] == second + faults
    assert unwrap(multipart(b"\r\n" + TELEGRAM, *parts), SMALL).attachments == found.attachments


def test_limits_are_positive() -> None:
    """A limit of nothing would refuse every mail."""
    with pytest.raises(ValueError, match="parts"):
        MimeLimits(parts=0)


HEAD = b'A: b\r\nContent-Type: multipart/mixed; boundary="B"\r\n\r\n'
ENCODED = b"A: b\nContent-Transfer-Encoding: "
LONG = b"B" * 70
BOMBS: dict[str, Callable[[int], bytes]] = {
    "boundaries": lambda n: HEAD + b"--B\r\n" * n,
    "near boundaries": lambda n: HEAD + b"\r\n--Bx" * n,
    "beginnings of a long boundary": lambda n: HEAD.replace(b'"B"', LONG) + (b"\n--" + LONG[1:]) * (n // 16),
    "one endless boundary": lambda n: HEAD.replace(b'"B"', LONG) + b"\n--" + b"B" * 5 * n,
    "blanks behind a boundary": lambda n: HEAD + b"\n--B" + b" " * 5 * n + b"x",
    "header fields": lambda n: b"A: b\n" + b"A:b\n" * n + b"\nx",
    "one header field": lambda n: b"A: b\nB: " + b"x" * 5 * n + b"\n\nx",
    "a folded field": lambda n: b"A: b\nB: " + b"\n x" * n + b"\n\nx",
    "one type many times": lambda n: b"A: b\n" + b"Content-Type: a/b\n" * (n // 4) + b"\nx",
    "multiparts inside each other": lambda n: HEAD + (b"--B\r\n" + HEAD) * (n // 8),
    "base64 that is none": lambda n: ENCODED + b"base64\n\n" + b"=A*\n=" * n,
    "quoted-printable that is none": lambda n: ENCODED + b"quoted-printable\n\n" + b"=\r\n=x" * n,
    "lone line ends": lambda n: HEAD + b"--B\n\n" + b"\n\r\n\r\r" * n,
}


def _seconds(raw: bytes) -> float:
    best = 9.0
    for _ in range(3):
        began = time.perf_counter()
        with contextlib.suppress(MimeError):
            assert isinstance(unwrap(raw), Unwrapped)
        best = min(best, time.perf_counter() - began)
    return best


@pytest.mark.parametrize("name", BOMBS)
def test_time_grows_with_the_bytes_and_no_faster(name: str) -> None:
    """Sixteen times the mail takes less than 64 times as long, where the square would take 256 times."""
    small, large = _seconds(BOMBS[name](20_000)), _seconds(BOMBS[name](320_000))
    assert large < 64 * max(small, 0.000_2)


def test_fields_of_many_pieces() -> None:
    """A field as long as is read, of all that a name can be made of, costs as much as its bytes: 16, not 256 times."""
    for piece in (b";name*%d=x", b'; n%d="\\"', b";name=%d"):
        times = []
        for size in (500, 8_000):
            field = b"Content-Type: text/plain" + b"".join(piece % n for n in range(size // len(piece)))
            times.append(_seconds(multipart(b"\r\nm", *[field + b"\r\n\r\nx"] * 40)))
        assert times[1] < 64 * times[0]


def test_memory_is_the_mail_and_its_parts() -> None:
    """A mail of 12 MiB in 1,000 parts: decoded parts of three quarters of its bytes, and hardly more beside them."""
    file = attached(base64.encodebytes(b"x" * 8_900), b"Content-Transfer-Encoding: base64\r\n")
    raw = multipart(b"\r\n" + TELEGRAM, *[file] * 998)
    assert len(raw) > 11_500_000
    tracemalloc.start()
    found = unwrap(raw)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.attachments) == 998
    assert peak < len(raw)
