"""A second implementation judges our signatures: Java's own XML digital signature (spec section 8)."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from sekisho.codecs.ebms.package import split
from sekisho.codecs.ebms.signing import Signer
from sekisho.codecs.ebms.values import AckRequested, SyncReply
from sekisho.codecs.ebms.writing import write

from .envelopes import MESSAGE, identity


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the compiled verifier."""
    folder = tmp_path_factory.mktemp("java")
    source = str(Path(__file__).parent / "Verify.java")
    subprocess.run(["javac", "-d", str(folder), source], check=True, timeout=120)
    return folder


def judge(program: Path, soap: bytes, certificate: bytes, parts: dict[str, bytes], folder: Path) -> str:
    """What Java says of a signed Envelope and its parts."""
    (folder / "envelope.xml").write_bytes(soap)
    (folder / "certificate.pem").write_bytes(certificate)
    named: list[str] = []
    for number, (name, content) in enumerate(parts.items()):
        (folder / str(number)).write_bytes(content)
        named += [name, str(folder / str(number))]
    files = [str(folder / "envelope.xml"), str(folder / "certificate.pem")]
    command = ["java", "-cp", str(program), "Verify", *files, *named]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.strip()


@pytest.mark.peer("java", "javac")
@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_java_takes_our_signature_and_sees_what_was_changed(kind: str, program: Path, tmp_path: Path) -> None:
    """Good as it is, with the XPath applied (SyncReply may go); bad with a changed part, and it says which."""
    own = identity("BROKER.EXAMPLE", kind)
    message = replace(MESSAGE, ack_requested=AckRequested(signed=True), sync_reply=SyncReply())
    wire = write(message, boundary="b1", content_id="root@A.EXAMPLE", signer=Signer(own.key, own.certificate))
    package = split(wire.content_type, wire.body)
    parts = {part.content_id: part.content for part in package.parts}
    assert judge(program, package.soap, own.certificate, parts, tmp_path) == "good"
    begin = package.soap.index(b"<eb:SyncReply")
    without = package.soap[:begin] + package.soap[package.soap.index(b"/>", begin) + 2 :]
    assert judge(program, without, own.certificate, parts, tmp_path) == "good"
    parts["one@BROKER.EXAMPLE"] += b" "
    changed = package.soap.replace(b">Submit<", b">Cancel<")
    assert judge(program, changed, own.certificate, parts, tmp_path) == "bad [] [cid:one@BROKER.EXAMPLE]"
