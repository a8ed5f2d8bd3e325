"""Taking mails apart and putting them on: the fast way, the library's way, and that they agree."""

import base64
import contextlib
import time
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.codecs.envelope import Attachment
from sekisho.codecs.mime import (
    EDIFACT_TYPE,
    MimeError,
    MimeLimits,
    Unwrapped,
    build_mail,
    is_interchange,
    unwrap,
    unwrap_plain,
)

TELEGRAM = b"   OLA  ".ljust(398) + b"\r\n" + b"\xc5\xec\xb5\xfe".ljust(18) + b"\r\n"
HEAD = (
    b"From:1ANAC1@SMTP.BROKER.SEKISHO.EXAMPLE\r\nTo:NACCS@SMTP.TEST.SEKISHO.EXAMPLE\r\nMime-Version:1.0\r\n"
    b'Content-Type:Text/xml;charset="EUC-JP"\r\nContent-Transfer-Encoding:8bit\r\n\r\n'
)


def test_the_mail_in_house_systems_send() -> None:
    """No space after the colons, Text/xml, no Date, no Message-ID: the body is the content (spec/naccs-edi.md 7.2)."""
    assert unwrap(HEAD + TELEGRAM + b"\r\n") == Unwrapped(
        content=TELEGRAM + b"\r\n", content_type='Text/xml;charset="EUC-JP"'
    )


@pytest.mark.parametrize(
    ("raw", "content"),
    [
        (b"", b""),
        (TELEGRAM, TELEGRAM),
        (b"\r\n" + TELEGRAM, TELEGRAM),
        (b"no colon on the first line\r\n\r\nbody", b"no colon on the first line\r\n\r\nbody"),
        (b"\xa4\xa2: 8-bit is no field name\r\n\r\nbody", b"\xa4\xa2: 8-bit is no field name\r\n\r\nbody"),
    ],
)
def test_a_mail_without_header_fields(raw: bytes, content: bytes) -> None:
    """A mail that begins with the telegram is the telegram; each says so in a finding."""
    found = unwrap(raw)
    assert found.content == content
    assert len(found.findings) == 1


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Type: text/plain\r\n",
        b"Content-Type: text/plain; charset=nobody-knows\r\n",
        b"CONTENT-TYPE:TEXT/PLAIN; CHARSET=euc-jp\r\n",
        b"Content-Type: text/plain;\r\n\tcharset=euc-jp\r\nContent-Transfer-Encoding:\r\n BINARY\r\n",
        b"Subject: no type at all\r\nContent-Transfer-Encoding: 7bit\r\n",
        b"X-Content-Type: multipart/mixed\r\nSubject: a\r\n Content-Type: multipart/mixed\r\n",
    ],
)
def test_plain_shapes_take_the_fast_way(head: bytes) -> None:
    """Folding, case and absence do not make a mail less plain; what follows the blank line is kept byte for byte."""
    body = b"\r\n\r\n.x\0\xff\r\r\n\nlast line without an end"
    found = unwrap_plain(head + b"\r\n" + body)
    assert found is not None
    assert found.content == body


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Type: multipart/mixed; boundary=x\r\n",
        b"Content-Type: application/octet-stream\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"Content-Type: text/plain\r\nContent-Type: text/html\r\n",
        b"A: b\r\nline that is no field\r\n",
        b"A: b\nContent-Type: text/plain\r\n",
        b"A: b\r\nC : d\r\n",
    ],
)
def test_other_shapes_do_not(head: bytes) -> None:
    """The fast way leaves to the parser whatever it could read otherwise than the parser."""
    assert unwrap_plain(head + b"\r\nbody") is None


NAMES = st.sampled_from(
    [b"Content-Type", b"content-transfer-encoding", b"Message-ID", b"MESSAGE-id", b"Subject", b"X-A", b"From", b"Date"]
)
VALUES = st.one_of(
    st.sampled_from([b"text/plain", b"Text/xml;charset=EUC-JP", b"8bit", b"7BIT", b"binary", b"<1@a.example>", b"a/b"]),
    st.binary(max_size=30).map(lambda value: value.replace(b"\r", b"").replace(b"\n", b"")),
)
FOLDS = st.sampled_from([b"", b" ", b"\t", b"\r\n ", b" \r\n\t"])
FIELDS = st.builds(lambda name, fold, value: name + b":" + fold + value + b"\r\n", NAMES, FOLDS, VALUES)


@given(st.lists(FIELDS, min_size=1, max_size=6), st.binary(max_size=60) | st.just(TELEGRAM))
def test_both_ways_agree(fields: list[bytes], body: bytes) -> None:
    """Oracle: whatever the fast way reads, the standard library's parser reads the same (performance.md section 5)."""
    raw = b"".join(fields) + b"\r\n" + body
    fast = unwrap_plain(raw)
    if fast is None:
        return
    mail = message_from_bytes(raw)
    assert not mail.is_multipart()
    assert mail.get_payload(decode=True) == body == fast.content
    message_id = next((str(value) for name, value in mail.raw_items() if name.lower() == "message-id"), "")
    sent = message_id.encode("ascii", "surrogateescape").replace(b"\r\n", b"").strip()
    assert fast.transport_id == sent.decode("ascii", "backslashreplace")


@given(st.binary(max_size=300) | st.lists(FIELDS, max_size=4).map(b"".join))
def test_any_bytes_have_an_answer(raw: bytes) -> None:
    """Nothing but MimeError leaves this module, whatever comes."""
    with contextlib.suppress(MimeError):
        assert isinstance(unwrap(raw).content, bytes)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (b"base64", b"ICAgVENDICA=\r\n"),
        (b"Base64 ", b"ICAgVENDICA=\r\n"),
        (b"quoted-printable", b"   TCC=20=20"),
    ],
)
def test_encoded_single_parts(encoding: bytes, body: bytes) -> None:
    """base64 and quoted-printable are undone; the Message-ID keeps its brackets."""
    head = b"Message-Id: <7@b.example>\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: "
    found = unwrap(head + encoding + b"\r\n\r\n" + body)
    assert (found.content, found.transport_id) == (b"   TCC  ", "<7@b.example>")


def multipart(*parts: bytes) -> bytes:
    """A multipart mail of finished parts."""
    return (
        b'Content-Type: multipart/mixed; boundary="B"\r\n\r\n'
        + b"".join(b"--B\r\n" + part + b"\r\n" for part in parts)
        + b"--B--\r\n"
    )


def test_the_telegram_is_found_among_the_parts() -> None:
    """The first part that begins with 398 bytes and CRLF is the message, a text part before it an attachment."""
    found = unwrap(
        multipart(
            b"Content-Type: text/plain\r\n\r\ncover note",
            b"Content-Type: application/octet-stream; name=OLA.txt\r\n\r\n" + TELEGRAM,
            b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC",
        )
    )
    assert found.content == TELEGRAM
    assert found.content_type == "application/octet-stream; name=OLA.txt"
    assert found.attachments == (
        Attachment("", "text/plain", b"cover note"),
        Attachment("", "image/png", b"\0\1\2"),
    )


def test_without_a_telegram_the_first_text_part_or_nothing() -> None:
    """Content is never guessed from a part that is not text."""
    pdf, text = b"Content-Type: application/pdf\r\n\r\n%PDF", b"Content-Type: text/plain\r\n\r\nhello"
    assert unwrap(multipart(pdf, text)).content == b"hello"
    nothing = unwrap(multipart(pdf))
    assert nothing.content == b""
    assert nothing.findings == ("no part of the mail is a message",)


def test_a_mail_inside_a_mail_is_one_attachment() -> None:
    """message/rfc822 stays whole, byte for byte."""
    inner = b"Subject:  in\n\r\nContent-Type: multipart/mixed; boundary=Q\r\n\r\n--Q\r\n\r\nbody\r\n"
    found = unwrap(multipart(b"\r\nhello", b"Content-Type: message/rfc822\r\n\r\n" + inner))
    assert found.content == b"hello"
    assert [(part.content_type, part.content) for part in found.attachments] == [("message/rfc822", inner)]


@pytest.mark.parametrize(
    "sent",
    [
        b'attachment; filename="\xc5\xba\xc9\xd5.csv"',  # raw EUC-JP
        b'attachment; filename="\x93Y\x95t.csv"',  # raw Shift_JIS
        b'attachment; filename="\xe6\xb7\xbb\xe4\xbb\x98.csv"',  # raw UTF-8
        b'attachment; filename="\x1b$BE:IU\x1b(B.csv"',  # raw ISO-2022-JP
        b"attachment; filename*=UTF-8''%E6%B7%BB%E4%BB%98.csv",  # RFC 2231
        b"attachment; filename*0*=EUC-JP''%C5%BA; filename*1*=%C9%D5.csv",  # RFC 2231, continued
        b'attachment; filename="=?ISO-2022-JP?B?GyRCRTpJVRsoQi5jc3Y=?="',  # RFC 2047 where it does not belong
    ],
)
def test_attachment_names(sent: bytes) -> None:
    """Every way Japanese file names are sent ends as the same text."""
    found = unwrap(multipart(b"\r\nhello", b"Content-Type: text/csv\r\nContent-Disposition: " + sent + b"\r\n\r\n1,2"))
    assert found.attachments == (Attachment("添付.csv", "text/csv", b"1,2"),)


@pytest.mark.parametrize("sent", [b"=?nowhere?B?GyRC?=", b"=?utf-8?B?*?=", b"\xff\xff\xff"])
def test_names_nobody_can_read_are_kept_visible(sent: bytes) -> None:
    """A broken name costs the name's beauty, not the mail."""
    found = unwrap(multipart(b"\r\nhello", b'Content-Type: text/csv; name="' + sent + b'"\r\n\r\n1,2'))
    assert found.attachments[0].name


def nested(depth: int) -> bytes:
    """Multiparts inside each other."""
    part = b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n'
    return b"".join(part % (level, level) for level in range(depth)) + b"\r\nbottom\r\n"


def test_depth_is_bounded() -> None:
    """20 levels are read, 21 are not, 5,000 end as soon (spec/reliability.md section 8)."""
    assert unwrap(nested(20)).content.strip() == b"bottom"
    with pytest.raises(MimeError, match="20 levels"):
        unwrap(nested(21))
    began = time.perf_counter()
    with pytest.raises(MimeError):
        unwrap(nested(5_000))
    assert time.perf_counter() - began < 2


def test_parts_are_bounded() -> None:
    """1,000 parts in all, the outermost counted (spec/reliability.md section 8)."""
    assert len(unwrap(multipart(*[b"\r\nx"] * 999)).attachments) == 998
    with pytest.raises(MimeError, match="1000 parts"):
        unwrap(multipart(*[b"\r\nx"] * 1_000))
    with pytest.raises(MimeError, match="2 parts"):
        unwrap(multipart(b"\r\nx", b"\r\ny"), MimeLimits(parts=2))


@pytest.mark.parametrize("filler", [b";", b"=?a?q?", b"name*0=x;"])
def test_a_field_too_long_to_read_is_refused(filler: bytes) -> None:
    """The library's time for a field grows with the square of its length: 3 MB of one would stop it for hours."""
    field = b'Content-Type: multipart/mixed; name="' + filler * (3_000_000 // len(filler)) + b"\r\n"
    began = time.perf_counter()
    with pytest.raises(MimeError, match="header field"):
        unwrap(field + b"\r\nx")
    assert time.perf_counter() - began < 2


def test_malformed_structure_is_a_finding() -> None:
    """A multipart whose boundary never comes is read as far as it goes, and says so."""
    found = unwrap(b'Content-Type: multipart/mixed; boundary="B"\r\n\r\nno boundary here')
    assert any("malformed mail" in finding for finding in found.findings)


def test_an_endless_message_id_is_no_identity() -> None:
    """RFC 5322 2.1.1: no line has more than 998 characters; the id is dropped, the mail is read."""
    found = unwrap(b"Message-ID: <" + b"x" * 2_000 + b">\r\n\r\nbody")
    assert (found.content, found.transport_id) == (b"body", "")
    assert found.findings == ("Message-ID too long, ignored",)
    found = unwrap(b"Message-ID: <" + b"x" * 2_000 + b">\r\n" + multipart(b"\r\nhello"))
    assert (found.content, found.transport_id) == (b"hello", "")


def test_lone_line_feeds_are_read() -> None:
    """A mail whose every line ends with LF is not plain, and its body is kept byte for byte all the same."""
    raw = HEAD.replace(b"\r\n", b"\n") + TELEGRAM
    assert unwrap_plain(raw) is None
    assert unwrap(raw).content == TELEGRAM


def test_outgoing_mail() -> None:
    """Headers of spec/naccs-edi.md 7.4, no Subject, then the message at once; what is built is read back as plain."""
    japan = timezone(timedelta(hours=9))
    mail = build_mail(
        sender="NACCS@SMTP.TEST.SEKISHO.EXAMPLE",
        recipient="1ANAC1@SMTP.BROKER.SEKISHO.EXAMPLE",
        message_id="<1@SMTP.TEST.SEKISHO.EXAMPLE>",
        date=datetime(2026, 4, 1, 12, 0, 0, tzinfo=japan),
        content=TELEGRAM,
    )
    head, body = mail.split(b"\r\n\r\n", 1)
    assert head.split(b"\r\n") == [
        b"Date: Wed, 01 Apr 2026 12:00:00 +0900",
        b"From: NACCS@SMTP.TEST.SEKISHO.EXAMPLE",
        b"To: 1ANAC1@SMTP.BROKER.SEKISHO.EXAMPLE",
        b"Message-ID: <1@SMTP.TEST.SEKISHO.EXAMPLE>",
        b"Mime-Version: 1.0",
        b'Content-Type: Text/plain;charset="EUC-JP"',
        b"Content-Transfer-Encoding: 8bit",
    ]
    assert body == TELEGRAM
    assert unwrap_plain(mail) == Unwrapped(TELEGRAM, 'Text/plain;charset="EUC-JP"', "<1@SMTP.TEST.SEKISHO.EXAMPLE>")


@pytest.mark.parametrize(
    ("field", "value"),
    [("recipient", "a@b\r\nBcc: c@d"), ("message_id", "<1\n@b>"), ("sender", "名@b"), ("date", datetime(2026, 4, 1))],  # noqa: DTZ001
)
def test_outgoing_mail_refuses_what_would_forge_headers(field: str, value: object) -> None:
    """Line ends, bytes that are not ASCII and a date without offset never reach the wire."""
    given_values = {
        "sender": "a@B.EXAMPLE",
        "recipient": "a@B.EXAMPLE",
        "message_id": "<1@b>",
        "date": datetime.now(UTC),
        "content": b"",
        field: value,
    }
    with pytest.raises(ValueError, match=r"offset|line end|ascii"):
        build_mail(**given_values)  # type: ignore[arg-type]


_UNB = b"UNB+UNOA:3+TRADER1+SEKISHO+251001:0900+1'"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (_UNB, True),
        (b"UNA:+.? '" + _UNB, True),
        (b"\r\n \t" + _UNB, True),
        (b"\xef\xbb\xbf" + _UNB, True),
        (b"UNB\x1dUNOB\x1f1", True),
        (b"UNB", False),
        (b"UNBOUND", False),
        (b"UNB  1ANAC", False),
        (b"   UNB  1ANACA0A", False),
        (b"HELLO " + _UNB, False),
        (b"", False),
    ],
)
def test_what_begins_like_an_interchange(content: bytes, found: bool) -> None:
    """A transmission begins with UNA or UNB after white space (spec/edifact.md 3.1); a NACCS header never does."""
    assert is_interchange(content) is found


@pytest.mark.parametrize("kind", ["application/EDIFACT", "Application/edifact; charset=us-ascii", "text/plain"])
def test_an_interchange_as_the_only_part(kind: str) -> None:
    """Content-Type application/EDIFACT or text/plain, single part: read without the library's parser (issue 3)."""
    mail = f"Message-ID: <1@X.EXAMPLE>\r\nContent-Type: {kind}\r\n\r\n".encode() + _UNB
    opened = unwrap_plain(mail)
    assert opened is not None
    assert (opened.content, opened.content_type, opened.transport_id) == (_UNB, kind, "<1@X.EXAMPLE>")
    assert unwrap(_UNB).content == _UNB, "UNB+UNOA is no header field"


def test_an_interchange_among_parts() -> None:
    """The part that is an interchange is the message, whatever its type and place; a NACCS header goes before it."""

    def mail(*parts: bytes) -> bytes:
        body = b"".join(b"--X\r\n" + part + b"\r\n" for part in parts)
        return b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="X"\r\n\r\n' + body + b"--X--\r\n"

    letter = b"Content-Type: text/plain\r\n\r\nplease find attached"
    attached = (
        b'Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename="M.EDI"\r\n'
        b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.b64encode(_UNB)
    )
    opened = unwrap(mail(letter, attached))
    assert (opened.content, opened.content_type) == (_UNB, "application/octet-stream")
    assert [one.content for one in opened.attachments] == [b"please find attached"]
    naccs = b" " * 398 + b"\r\n"
    assert unwrap(mail(attached, b"Content-Type: text/plain\r\n\r\n" + naccs)).content == naccs


def test_an_interchange_leaves_with_its_type() -> None:
    """A reply that is an interchange leaves as application/EDIFACT, byte for byte."""
    built = build_mail(
        sender="A@X.EXAMPLE",
        recipient="B@X.EXAMPLE",
        message_id="<1@X.EXAMPLE>",
        date=datetime(2025, 10, 1, tzinfo=UTC),
        content=_UNB,
        content_type=EDIFACT_TYPE,
    )
    assert b"\r\nContent-Type: application/EDIFACT\r\n" in built
    assert unwrap(built).content == _UNB
