"""The MIME package: checklist 1 to 7, and bodies that are meant to hurt."""

import base64
import time
from collections.abc import Callable
from email import message_from_bytes
from email.message import Message
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.codecs.ebms.package import content_type_of, join, split
from sekisho.codecs.ebms.values import EbFault, Limits, Payload

from .envelopes import multipart

SOAP = b"<soap/>"
ONE = "Content-ID: <one@A.EXAMPLE>\r\nContent-Type: text/plain"


def refuse(content_type: str, body: bytes, limits: Limits | None = None) -> EbFault:
    """The fault of a package that is not whole; it is always answered by a SOAP Fault."""
    with pytest.raises(EbFault) as caught:
        split(content_type, body, limits or Limits())
    assert caught.value.soap_client
    assert caught.value.header is None
    return caught.value


def test_item_1_multipart_related_with_the_soap_part_first() -> None:
    """With payload: multipart/related, type text/xml, start names the SOAP part, which is first (1)."""
    kind, body = multipart(SOAP, (ONE, b"payload"))
    package = split(kind, body)
    assert (package.soap, package.charset) == (SOAP, "utf-8")
    assert package.parts == (Payload("one@A.EXAMPLE", "text/plain", b"payload", "7bit"),)
    assert package.findings == ()


def test_item_1_a_start_that_is_not_the_first_part_is_refused() -> None:
    """Two parsers must not take two different parts for the SOAP part (1)."""
    kind, body = multipart(SOAP, (ONE, b"<soap/>"))
    assert refuse(kind.replace("root@", "one@"), body).code == "MimeProblem"


def test_item_2_text_xml_alone() -> None:
    """Without payload plain text/xml is taken (2)."""
    package = split('text/xml; charset="UTF-8"', SOAP)
    assert (package.soap, package.charset, package.parts) == (SOAP, "utf-8", ())


@pytest.mark.parametrize(
    "kind",
    ["", "text", "text/html", "application/json", "multipart/mixed; boundary=b1", "text/xml; a", "text/xml; a=b; A=c"],
)
def test_item_3_another_content_type_is_refused(kind: str) -> None:
    """The SOAP part is text/xml (3); what cannot be read, or says a parameter twice, is no Content-Type."""
    assert refuse(kind, SOAP).code == "MimeProblem"


def test_item_4_a_content_id_given_twice_is_refused() -> None:
    """Each payload part has its own Content-ID (4)."""
    kind, body = multipart(SOAP, (ONE, b"a"), (ONE, b"b"))
    assert "twice" in refuse(kind, body).text


@pytest.mark.parametrize("encoding", ["binary", "8bit", "7bit", "base64", "BASE64", ""])
def test_item_5_every_transfer_encoding_is_taken(encoding: str) -> None:
    """binary, 8bit, 7bit and base64 are all read (5); base64 is noted."""
    content = b"\x00\r\n--b2\r\n\xff"
    wire = base64.encodebytes(content) if encoding.lower() == "base64" else content
    field = f"\r\nContent-Transfer-Encoding: {encoding}" if encoding else ""
    package = split(*multipart(SOAP, (ONE + field, wire)))
    assert package.parts[0].content == content
    assert [finding.name for finding in package.findings] == (["base64-part"] if encoding.lower() == "base64" else [])


@pytest.mark.parametrize("name", ["Content-Id", "CONTENT-ID", "content-id"])
@pytest.mark.parametrize("boundary", ["b1", "--=_Part_7", "----=_Part_0_1.2'()+,-./:=?", "x" * 70])
def test_item_6_letter_case_and_boundaries(name: str, boundary: str) -> None:
    """Content-Id in any case; boundaries may begin with -- and hold = (6)."""
    kind, body = multipart(SOAP, (f"{name}: <one@A.EXAMPLE>", b"payload"), boundary=boundary)
    assert split(kind, body).parts[0].content_id == "one@A.EXAMPLE"
    plain = split(kind.replace(f'"{boundary}"', boundary), body)
    assert plain.parts[0].content == b"payload"


@pytest.mark.parametrize(
    "ruin",
    [
        lambda body: body[: body.rindex(b"--b1--")],
        lambda body: body.replace(b"--b1--", b"--b1"),
        lambda body: body.replace(b"--b1--", b"--b1-"),
        lambda body: body.replace(b"\r\n--b1--", b"--b1--"),
        lambda body: body[:-30],
        lambda body: body[:0],
    ],
)
def test_item_7_a_missing_closing_boundary_is_a_mime_problem(ruin: Callable[[bytes], bytes]) -> None:
    """Missing closing boundary: nothing can be stored (7)."""
    kind, body = multipart(SOAP, (ONE, b"payload"))
    assert refuse(kind, ruin(body)).code == "MimeProblem"


@pytest.mark.parametrize(
    ("field", "content"),
    [
        ("Content-Transfer-Encoding: base64", b"QUJ"),
        ("Content-Transfer-Encoding: base64", b"Q*JD"),
        ("Content-Transfer-Encoding: base64", b"QUJD=QUJD"),
        ("Content-Transfer-Encoding: x-zip", b"QUJD"),
        ("Content-Transfer-Encoding: quoted-printable", b"=41"),
        ("Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64", b"QUJD"),
        ("no field", b""),
        ("Content-Description: \u00e9", b""),
    ],
)
def test_item_7_an_undecodable_part_is_a_mime_problem(field: str, content: bytes) -> None:
    """A part that cannot be decoded in one certain way is refused (7)."""
    assert refuse(*multipart(SOAP, (f"{ONE}\r\n{field}", content))).code == "MimeProblem"


def test_line_ends_of_one_byte_are_read_and_noted() -> None:
    """Lines ending with LF alone occur; they are read, and named."""
    kind, body = multipart(SOAP, (ONE, b"payload"))
    package = split(kind, body.replace(b"\r\n", b"\n"))
    assert package.parts[0].content == b"payload"
    assert [finding.name for finding in package.findings] == ["line-ends"]


def test_a_preamble_an_epilogue_and_padding_are_passed_over() -> None:
    """RFC 2046 section 5.1.1: text before and after, blanks after a boundary."""
    kind, body = multipart(SOAP, (ONE, b"payload"))
    body = b"preamble\r\n" + body.replace(b"--b1\r\n", b"--b1 \t\r\n") + b"epilogue\r\n--b1\r\nno part"
    assert [part.content for part in split(kind, body).parts] == [b"payload"]


def test_a_longer_line_that_begins_like_the_boundary_is_content() -> None:
    """--b1x is not --b1, and --b1 inside a line is none (RFC 2046 section 5.1.1)."""
    content = b"--b1x\r\n --b1\r\n--b1-\r\n--b1--x"
    assert split(*multipart(SOAP, (ONE, content))).parts[0].content == content


@pytest.mark.parametrize("kind", ["application/soap+xml", "multipart/related; type=application/soap+xml"])
def test_soap_12_gets_a_clear_fault(kind: str) -> None:
    """AS4 comes as SOAP 1.2: VersionMismatch and a text that says so (spec section 13)."""
    fault = refuse(kind, SOAP)
    assert fault.soap_code == "VersionMismatch"
    assert "ebMS 2.0" in fault.text


def test_ten_thousand_parts_are_refused_at_once() -> None:
    """The bound is 1,000 parts; what is beyond it is not looked at (spec section 14)."""
    kind, body = multipart(SOAP, *((f"Content-ID: <p{number}@A.EXAMPLE>", b"x") for number in range(10_000)))
    started = time.process_time()
    assert "1000 parts" in refuse(kind, body).text
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    "filler", [b"\r\n--b1x", b"\n--b1 \t", b"--b1", b"\n", b"\r\n--b1- ", b"\n--b1" + b" " * 50 + b"x"]
)
def test_the_cost_is_the_length_of_the_body(filler: bytes) -> None:
    """Near misses of the boundary, four megabytes of them: a second, not a quarter of an hour."""
    body = b"--b1\r\n\r\n" + filler * (4_000_000 // len(filler))
    started = time.process_time()
    refuse("multipart/related; boundary=b1", body)
    assert time.process_time() - started < 5


def test_limits_of_bytes() -> None:
    """Header fields of a part, a part, and the SOAP part have bounds of their own."""
    kind, body = multipart(SOAP, (f"{ONE}\r\nX-Long: {'x' * 9000}", b""))
    assert "too long" in refuse(kind, body).text
    kind, body = multipart(SOAP, (ONE, b"x" * 101))
    assert "100 bytes" in refuse(kind, body, Limits(part_bytes=100)).text
    kind, body = multipart(SOAP, (ONE + "\r\nContent-Transfer-Encoding: base64", base64.b64encode(b"x" * 104)))
    assert "100 bytes" in refuse(kind, body, Limits(part_bytes=100)).text
    assert "6 bytes" in refuse("text/xml", SOAP, Limits(soap_bytes=6)).text


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=4))
def test_what_is_joined_is_split_again(contents: list[bytes]) -> None:
    """Any bytes go through whole, and the standard library sees the same parts."""
    parts = tuple(Payload(f"p{n}@A.EXAMPLE", "application/octet-stream", each) for n, each in enumerate(contents))
    kind, body = join(SOAP, "root@A.EXAMPLE", parts, "boundary-that-is-long-enough")
    package = split(kind, body)
    assert (package.soap, package.parts, package.findings) == (SOAP, parts, ())
    library = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body).get_payload()
    assert isinstance(library, list)
    names = [cast("Message", part)["Content-ID"] for part in library]
    assert names == ["<root@A.EXAMPLE>", *(f"<{part.content_id}>" for part in parts)]


@pytest.mark.parametrize(
    ("root", "part", "kind", "boundary"),
    [
        ("a b@A", "p@A", "text/plain", "b1"),
        ("r@A", "p%41@A", "text/plain", "b1"),
        ("r@A", "r@A", "text/plain", "b1"),
        ("r@A", "p@A", "text/plain\r\nX: y", "b1"),
        ("r@A", "p@A", "plain", "b1"),
        ("r@A", "p@A", "text/plain", 'b"1'),
        ("r@A", "p@A", "text/plain", "here"),
    ],
)
def test_what_cannot_be_packed(root: str, part: str, kind: str, boundary: str) -> None:
    """An id, type or boundary that would break the package is our own mistake: ValueError."""
    with pytest.raises(ValueError, match=r"Content-ID|Content-Type|boundary"):
        join(SOAP, root, [Payload(part, kind, b"--here")], boundary)


def test_quoted_parameters() -> None:
    """Values as they stand: quoted, escaped, or with characters that RFC 2045 wants quoted."""
    assert content_type_of(' Multipart/Related; a="x;\\"y"; B=--=_1 ;c=<a@b>;') == (
        "multipart/related", {"a": 'x;"y', "b": "--=_1", "c": "<a@b>"},
    )  # fmt: skip
