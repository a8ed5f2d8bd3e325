"""XML from strangers: parsed without DTD, entity or network, bounded, checked against the schemas.

*Strategy.* Bytes are brought to UTF-8 first, so that every check on bytes sees what the parser sees, and a DOCTYPE is
refused before anything is parsed (spec section 7). libxml2 then builds the tree without recovery; what the tree may
cost later (elements, attributes, depth, name spaces) is counted by compiled XPaths, in C. The schemas are the
package's own files; the validator follows no schemaLocation of the message.

The schema is not a security check (spec section 1): see ``reading`` for the rules that it lets through.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import as_file, files
from typing import Final

from lxml import etree

from sekisho.codecs.ebms.names import CPA, EB, EB_3, SOAP, SOAP_12
from sekisho.codecs.ebms.values import EbFault, Limits

__all__ = ["AGREEMENT_SCHEMA", "MESSAGE_SCHEMA", "Schema", "is_plain", "parse", "parse_envelope", "path_of"]

_DECLARATION: Final = re.compile(rb"\s*<\?xml[^>]*?\?>")
_ENCODING: Final = re.compile(rb"""encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_MARKS: Final = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_ENCODINGS: Final = {
    "utf-8": "utf-8", "utf8": "utf-8", "us-ascii": "utf-8", "ascii": "utf-8", "utf-16": "utf-16",
    "utf-16le": "utf-16-le", "utf-16be": "utf-16-be", "iso-8859-1": "latin-1", "shift_jis": "cp932",
    "windows-31j": "cp932", "euc-jp": "euc_jp",
}  # fmt: skip
"""Encodings that are read; all but UTF-8 by way of Python's codec."""

_PREFIXES: Final = {SOAP: "SOAP", EB: "eb", CPA: "tp"}
_QUOTED: Final = 300
"""Characters of a schema error that are shown to its sender."""


def parse(document: bytes, charset: str, limits: Limits) -> etree._Element:
    """The root of a document.

    ``charset`` is what the transport said of it, empty if nothing. Raises :class:`EbFault` with a SOAP Fault for what
    is not well-formed, has a DOCTYPE, is in an encoding we do not read, or exceeds ``limits``.
    """
    text = _as_utf8(document, charset)
    if b"<!DOCTYPE" in text:
        raise _refused("a DOCTYPE is not accepted")
    if text.count(b"xmlns") > limits.attributes:
        raise _refused(f"more than {limits.attributes} name space declarations")
    # A parser of its own for each document: a shared one would let one thread wait for another.
    parser = etree.XMLParser(
        encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=False
    )
    try:
        root = etree.fromstring(text, parser)
    except etree.XMLSyntaxError as error:
        line, column = error.position
        raise _refused(f"not well-formed XML (line {line}, column {column})") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise _refused("a DOCTYPE is not accepted")
    if _holds(f"count(//*) > {limits.elements:d}")(root):
        raise _refused(f"more than {limits.elements} elements")
    if _holds("boolean(" + "/*" * (limits.depth + 1) + ")")(root):
        raise _refused(f"more than {limits.depth} elements inside each other")
    if _holds(f"boolean(//*[count(@*) > {limits.attributes:d}])")(root):
        raise _refused(f"more than {limits.attributes} attributes in one element")
    return root


def parse_envelope(soap: bytes, charset: str, limits: Limits) -> etree._Element:
    """The root of a SOAP part, which is a SOAP 1.1 Envelope.

    Raises :class:`EbFault` as :func:`parse` does, and for SOAP 1.2, ebMS 3.0 and AS4 (spec section 13), or any other
    document.
    """
    root = parse(soap, charset, limits)
    if root.tag == f"{{{SOAP}}}Envelope":
        if _holds(f'boolean(/*/*/*[local-name() = "Messaging" and namespace-uri() = "{EB_3}"])')(root):
            raise EbFault("NotSupported", "this is ebMS 3.0; ebMS 2.0 is spoken here", soap_code="Client")
        return root
    if root.tag == f"{{{SOAP_12}}}Envelope":
        raise EbFault(
            "NotSupported",
            "this is SOAP 1.2, as ebMS 3.0 and AS4 use it; ebMS 2.0 over SOAP 1.1 is spoken here",
            soap_code="VersionMismatch",
        )
    if root.tag.endswith("}Envelope"):
        raise EbFault("NotSupported", "not a SOAP 1.1 Envelope", soap_code="VersionMismatch")
    raise _refused("not a SOAP 1.1 Envelope")


class Schema:
    """One of the package's schemas, compiled when it is first needed and as often as threads use it at once.

    A compiled schema of lxml keeps the errors of its last document, so two threads on one would read each other's: the
    sender of one document would be told about another's. Each call borrows one that nobody else has.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._free: list[etree.XMLSchema] = []

    def error(self, root: etree._Element) -> str:
        """What is wrong with a document, for its sender: the first error, shortened; empty when nothing is.

        The text quotes the sender's own document and the schema, nothing of ours.
        """
        try:
            schema = self._free.pop()
        except IndexError:
            schema = self._compiled()
        try:
            schema.assertValid(root)
        except etree.DocumentInvalid as error:
            text = str(error)
        else:
            return ""
        finally:
            self._free.append(schema)
        for space, prefix in _PREFIXES.items():
            text = text.replace(f"{{{space}}}", f"{prefix}:")
        return text[:_QUOTED]

    def _compiled(self) -> etree.XMLSchema:
        with as_file(files("sekisho.codecs.ebms") / "schemas") as folder:
            return etree.XMLSchema(etree.parse(str(folder / self._name), etree.XMLParser(no_network=True)))


MESSAGE_SCHEMA: Final = Schema("msg-header-2_0.xsd")
"""SOAP 1.1 and OASIS msg-header-2_0."""
AGREEMENT_SCHEMA: Final = Schema("cpp-cpa-2_0.xsd")
"""OASIS cpp-cpa-2_0."""


def is_plain(document: bytes, charset: str) -> bool:
    """Whether a document is read as the bytes that it is: UTF-8."""
    return _as_utf8(document, charset) is document


def path_of(element: etree._Element) -> str:
    """Where an element stands, as an eb:Error's location says it: ``/SOAP:Envelope/SOAP:Header/eb:MessageHeader``."""
    steps: list[str] = []
    node: etree._Element | None = element
    while node is not None:
        name = etree.QName(node)
        prefix = _PREFIXES.get(name.namespace or "") or node.prefix
        steps.append(f"{prefix}:{name.localname}" if prefix else name.localname)
        node = node.getparent()
    return "/" + "/".join(reversed(steps))


def _as_utf8(document: bytes, charset: str) -> bytes:
    """The same document in UTF-8; without its declaration where that named something else."""
    declaration = _DECLARATION.match(document)
    named = _ENCODING.search(declaration[0]) if declaration is not None else None
    encoding = charset or (named[1].decode("ascii") if named is not None else "utf-8")
    codec = _ENCODINGS.get(encoding.lower())
    for mark, of_mark in _MARKS:
        if document.startswith(mark):
            codec = of_mark
    if codec is None:
        raise _refused("the SOAP part is in an encoding that is not read here")
    if codec == "utf-8":
        return document
    try:
        text = document.decode(codec).encode("utf-8")
    except UnicodeError:
        raise _refused("the SOAP part is not in the encoding it names") from None
    declaration = _DECLARATION.match(text)
    return text if declaration is None else text[declaration.end() :]


@cache
def _holds(expression: str) -> etree.XPath:
    """A boolean XPath, compiled once: there is one for each limit that is ever set."""
    return etree.XPath(expression)


def _refused(text: str) -> EbFault:
    return EbFault("OtherXml", text, soap_code="Client")
