"""SOAP parts that are meant to hurt: entities, files, depth, width, encodings (63, spec section 7)."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sekisho.codecs.ebms.names import TOLERANCES
from sekisho.codecs.ebms.reading import read
from sekisho.codecs.ebms.values import EbFault, Limits

from .envelopes import envelope, header_xml, manifest

PLAIN = envelope()
SOAP_11 = b"http://schemas.xmlsoap.org/soap/envelope/"
XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
BOMB = "<!ENTITY a0 'boom'>" + "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 12))


def refuse(soap: bytes, charset: str = "UTF-8", limits: Limits | None = None) -> EbFault:
    """The fault, which is a SOAP Fault and names nothing of ours."""
    with pytest.raises(EbFault) as caught:
        read(f"text/xml; charset={charset}", soap, tolerances=frozenset(TOLERANCES), limits=limits or Limits())
    assert caught.value.soap_client
    for internal in ("lxml", "python", "/work", "site-packages", "Traceback", ".xsd"):
        assert internal not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE x>",
        f"<!DOCTYPE x [{BOMB}]>",
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">',
        '<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x.dtd"> %p;]>',
    ],
)
@pytest.mark.parametrize("charset", ["UTF-8", "UTF-16"])
def test_item_63_a_doctype_is_refused(doctype: str, charset: str) -> None:
    """No DOCTYPE, entities, external fetch (11, 63), in any encoding, and in no time."""
    text = PLAIN.decode().replace("<SOAP:Envelope", doctype + "<SOAP:Envelope", 1).replace(">Submit<", ">&a11;&a;<")
    started = time.process_time()
    if charset == "UTF-16":
        text = text.replace('encoding="UTF-8"', 'encoding="UTF-16"')
    assert "DOCTYPE" in refuse(text.encode(charset), charset).text
    assert "DOCTYPE" in refuse(text.encode(charset), "").text
    assert time.process_time() - started < 1


def test_item_63_no_schema_of_the_message_is_fetched() -> None:
    """Nearly every peer sends xsi:schemaLocation; nothing is asked of the address it names."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x.xsd"
        located = f'{XSI} xsi:schemaLocation="urn:x {address}" xsi:noNamespaceSchemaLocation="{address}"'
        soap = envelope(header_xml() + f'<x:a xmlns:x="urn:x" {located}/>', attributes=located)
        assert read("text/xml", soap).header.action == "Submit"
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.accept()


def test_no_xinclude_and_no_stylesheet(tmp_path: Path) -> None:
    """XInclude and xml-stylesheet are not followed."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    include = f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{secret.as_uri()}" parse="text"/>'
    assert "secret" not in refuse(envelope(header_xml(action=include))).text
    styled = PLAIN.replace(b"<SOAP:Env", f'<?xml-stylesheet href="{secret.as_uri()}"?><SOAP:Env'.encode(), 1)
    assert read("text/xml", styled).header.action == "Submit"


@pytest.mark.parametrize(
    "soap",
    [
        envelope(attributes=" ".join(f'a{n}="x"' for n in range(50_000))),
        envelope(header_xml() + '<x xmlns="urn:x" ' + " ".join(f'a{n}=""' for n in range(100_000)) + "/>"),
        envelope(attributes=" ".join(f'xmlns:a{n}="urn:{n}"' for n in range(40_000))),
        envelope(header_xml() + '<x xmlns="urn:x">' * 65 + "</x>" * 65),
        envelope(header_xml() + '<x xmlns="urn:x">' * 100_000),
        envelope(header_xml() + '<x xmlns="urn:x">' + "<x/>" * 200_000 + "</x>"),
        envelope(header_xml(action="x" * 1_048_576)),
        envelope(header_xml(marks='eb:version="2.0" eb:version="2.0" SOAP:mustUnderstand="1"')),
        envelope("<x:unbound/>"),
        PLAIN[:-1],
        PLAIN + b"<x/>",
        PLAIN.replace(b"Submit", b"\xff\xfe"),
        PLAIN.replace(b"Submit", b"&#0;"),
        PLAIN.replace(b"Submit", b"&nbsp;"),
        b"",
        b"\x00" * 1000,
        b"<html/>",
    ],
    ids=range(17),
)
def test_item_63_documents_that_hurt(soap: bytes) -> None:
    """100,000 attributes, nesting, width, ill-formed: refused within a second (sections 7 and 14)."""
    started = time.process_time()
    refuse(soap)
    refuse(soap, limits=Limits(soap_bytes=8 << 20))  # each has its own rule, not only the bound of bytes
    assert time.process_time() - started < 2


def test_the_bounds_are_settings() -> None:
    """Each limit is an argument."""
    refuse(envelope(header_xml() + '<x xmlns="urn:x" a="" b="" c=""/>'), limits=Limits(attributes=2))
    refuse(PLAIN, limits=Limits(depth=4))
    refuse(PLAIN, limits=Limits(elements=5))
    refuse(PLAIN, limits=Limits(soap_bytes=100))
    refuse(PLAIN, limits=Limits(identifier=5))


@pytest.mark.parametrize(
    ("declared", "charset", "codec"),
    [
        ("UTF-8", "", "utf-8"),
        ("UTF-8", "utf-8", "utf-8"),
        ("UTF-8", "us-ascii", "utf-8"),
        ("UTF-16", "utf-16", "utf-16"),
        ("UTF-16", "", "utf-16"),
        ("UTF-8", "", "utf-8-sig"),
        ("Shift_JIS", "Shift_JIS", "cp932"),
        ("Shift_JIS", "", "cp932"),
        ("EUC-JP", "euc-jp", "euc_jp"),
        ("UTF-8", "EUC-JP", "euc_jp"),
    ],
)
def test_item_3_encodings_that_are_read(declared: str, charset: str, codec: str) -> None:
    """UTF-8 by default; what the transport states wins, then the mark, then the declaration (3, RFC 3023)."""
    text = envelope(header_xml(action="申告")).decode().replace('encoding="UTF-8"', f'encoding="{declared}"')
    kind = f"text/xml; charset={charset}" if charset else "text/xml"
    assert read(kind, text.encode(codec)).header.action == "申告"


@pytest.mark.parametrize("charset", ["UTF-7", "EBCDIC-CP-BE", "utf-8x", "idna", "rot13", "zlib"])
def test_item_3_encodings_that_are_not(charset: str) -> None:
    """Only encodings of a list are read: no codec of Python is called by a peer's choice."""
    assert "encoding" in refuse(PLAIN, charset).text
    assert "encoding" in refuse(PLAIN.replace(b'"UTF-8"', f'"{charset}"'.encode()), "").text


@pytest.mark.parametrize(
    ("soap", "code"),
    [
        (PLAIN.replace(SOAP_11, b"http://www.w3.org/2003/05/soap-envelope"), "VersionMismatch"),
        (PLAIN.replace(SOAP_11, b"urn:other"), "VersionMismatch"),
        (
            envelope('<m:Messaging xmlns:m="http://docs.oasis-open.org/ebxml-msg/ebms/v3.0/ns/core/200704/"/>'),
            "Client",
        ),
    ],
)  # fmt: skip
def test_as4_gets_a_clear_fault(soap: bytes, code: str) -> None:
    """SOAP 1.2 or eb:Messaging: another protocol, said so (section 13)."""
    fault = refuse(soap)
    assert (fault.soap_code, fault.code) == (code, "NotSupported")


def test_threads_are_told_of_their_own_document() -> None:
    """The verdict and its text are about the sender's document, whatever other threads read meanwhile."""
    wrongs = {"mustUnderstand": envelope(header_xml(marks='eb:version="2.0"')), "Manifest": envelope(body=manifest())}

    def told(name: str) -> bool:
        return name in refuse(wrongs[name]).text and read("text/xml", PLAIN).header.action == "Submit"

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(told, list(wrongs) * 1000))


@pytest.mark.parametrize(
    "soap",
    [
        PLAIN.replace(b"<SOAP:Body></SOAP:Body>", b""),
        PLAIN.replace(b"<SOAP:Body></SOAP:Body>", b"<SOAP:Body/><SOAP:Body/>"),
        PLAIN.replace(b"<SOAP:Header>", b"<SOAP:Header/><SOAP:Header>"),
        PLAIN.replace(b"<eb:CPAId>CPA-1</eb:CPAId>", b""),
        PLAIN.replace(b"<eb:From>", b"<eb:Fro>").replace(b"</eb:From>", b"</eb:Fro>"),
        envelope(body=manifest()),
    ],
)
def test_item_11_a_document_against_its_schema_is_a_soap_fault(soap: bytes) -> None:
    """Schema-invalid: SOAP Fault with HTTP 500 (11), whatever is tolerated."""
    assert refuse(soap).code == "Inconsistent"
