"""Signed messages by python-xmlsec as it comes: verify one, sign its acknowledgment, and nothing else.

The peer of the signed line of ``ebms_accept.py``, in a process of its own because xmlsec has one set of callbacks. It
parses the SOAP part, verifies the signature with a key loaded before, fills an Acknowledgment's template with the
same transforms and algorithms, signs and serialises it. No rule of ebMS, no schema, no HTTP, nothing kept. ::

    python benchmarks/plain_xmlsec.py FOLDER    # rate a second; FOLDER holds the keys and ``signed.json``
"""

from __future__ import annotations

import json
import sys
import time
from io import BytesIO
from pathlib import Path

import xmlsec
from lxml import etree

_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_DS = "{http://www.w3.org/2000/09/xmldsig#}"
_PARTS: dict[bytes, bytes] = {}


def signature_of(root: etree._Element) -> etree._Element:
    """The signature in the header."""
    found = root.find(f"{{{_SOAP}}}Header/{_DS}Signature")
    if found is None:
        raise LookupError("no signature")
    return found


def main() -> None:
    """Print how many messages a second were verified and answered."""
    folder = Path(sys.argv[1])
    rows = json.loads((folder / "signed.json").read_text("utf-8"))
    messages = [(soap.encode(), name.encode(), part.encode()) for soap, name, part in rows]
    template = (folder / "receipt.xml").read_bytes()
    theirs = xmlsec.Key.from_memory((folder / "theirs.pem").read_bytes(), xmlsec.constants.KeyDataFormatCertPem)
    ours = xmlsec.Key.from_memory((folder / "ours.key").read_bytes(), xmlsec.constants.KeyDataFormatPem)
    xmlsec.cleanup_callbacks()
    xmlsec.register_callbacks(
        lambda _name: True,
        lambda name: BytesIO(_PARTS[name]),
        lambda source, buffer: source.readinto(buffer),
        lambda source: source.close(),
    )
    began = time.perf_counter()
    for soap, name, part in messages:
        _PARTS.clear()
        _PARTS[name] = part
        context = xmlsec.SignatureContext()
        context.key = theirs
        root = etree.fromstring(soap)
        context.verify(signature_of(root))
        root = etree.fromstring(template)
        context = xmlsec.SignatureContext()
        context.key = ours
        context.sign(signature_of(root))
        etree.tostring(root, encoding="UTF-8", xml_declaration=True)
    print(len(messages) / (time.perf_counter() - began))


if __name__ == "__main__":
    main()
