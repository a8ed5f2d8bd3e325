"""Signatures between the two handlers (spec/ebms.md 4.9): what is agreed, what covers what, and forgeries."""

import asyncio
import dataclasses
import datetime as dt
import ssl
from pathlib import Path
from typing import Any

import msgspec
import pytest
from lxml import etree

from sekisho.codecs.ebms.names import DS, EB, SOAP, SOAP_NEXT
from sekisho.codecs.ebms.reading import read
from sekisho.codecs.ebms.signing import Signer, Verifier, same_references
from sekisho.codecs.ebms.values import AckRequested, EbMessage, Wire
from sekisho.gateway.msh_profiles import ProfileError, Profiles
from tests.gateway.ebms_peer import PULL, Said, key_files, keys
from tests.gateway.msh_house import Centre, centre, signed_profile


def _verify(said: bytes, content_type: str) -> EbMessage:
    """A message of ours, its signature judged by the peer with the centre's certificate."""
    message = read(content_type, said)
    Verifier([keys("centre")[1]]).verify(message, now=dt.datetime.now(dt.UTC))
    return message


def _said(said: Said) -> EbMessage:
    return _verify(said.body, said.headers["Content-Type"])


async def test_item_34_a_signed_acknowledgment_names_what_was_received(tmp_path: Path) -> None:
    """Items 34, 36, 59: signed, with the ds:Reference elements of the message; the same bytes for a duplicate."""
    async with centre(tmp_path, signed=True) as desk:
        wire = desk.peer.write(desk.peer.request(desk.request("TCC"), b"file", ack=True))
        first = await desk.peer.post(wire)
        receipt = _said(first).acknowledgment
        assert receipt is not None
        assert [one.uri for one in receipt.references] == [
            "", "cid:part-1@BROKER.SEKISHO.EXAMPLE", "cid:part-2@BROKER.SEKISHO.EXAMPLE",
        ]  # fmt: skip
        assert same_references(wire.digests, receipt.references)
        assert (await desk.peer.post(wire)).body == first.body


async def test_item_60_unsigned_and_strangers_are_refused(tmp_path: Path) -> None:
    """Items 60, 64: no signature, another's key, SHA-1: SecurityFailure, nothing kept."""
    async with centre(tmp_path, signed=True) as desk:
        message = desk.peer.request(desk.request("TCC"))
        unsigned = await desk.peer.post(message, signed=False)
        assert (unsigned.error.code, unsigned.error.location[-12:]) == ("SecurityFailure", "ds:Signature")
        desk.peer.signer = Signer(*keys("stranger"))
        assert (await desk.peer.post(message)).error.code == "SecurityFailure"
        assert desk.desk.requests == []


async def test_item_60_a_certificate_out_of_its_time_is_refused(tmp_path: Path) -> None:
    """Item 60 and section 11: an ended certificate does not count; of two certificates the valid one does."""
    _, ended = key_files(tmp_path, "ended", days=0)
    async with centre(tmp_path, signed=True, signing_certificates=(ended,)) as desk:
        desk.peer.signer = Signer(*keys("ended", 0))
        said = await desk.peer.post(desk.peer.request(desk.request("TCC")))
        assert said.error.code == "SecurityFailure"
    async with centre(tmp_path, signed=True, signing_certificates=(ended, "broker.pem")) as desk:
        assert (await desk.peer.post(desk.peer.request(desk.request("TCC")))).message.kind == "acknowledgment"


def _changed(wire: Wire, change: Any) -> Wire:  # noqa: ANN401 - a function on the Envelope
    """The same message with its Envelope changed after it was signed."""
    begin, end = wire.body.index(b"<?xml"), wire.body.index(b"Envelope>") + 9
    root = etree.fromstring(wire.body[begin:end])
    change(root)
    return wire._replace(body=wire.body[:begin] + etree.tostring(root) + wire.body[end:])


def _double_header(root: Any) -> None:  # noqa: ANN401 - an element
    heading = root.find(f"{{{SOAP}}}Header")
    forged = etree.fromstring(etree.tostring(heading.find(f"{{{EB}}}MessageHeader")))
    forged.set(f"{{{SOAP}}}actor", SOAP_NEXT)
    heading.insert(0, forged)


def _hidden_block(root: Any) -> None:  # noqa: ANN401 - an element
    root.find(f"{{{SOAP}}}Header/{{{EB}}}MessageHeader").set(f"{{{SOAP}}}actor", SOAP_NEXT)


def _other_conversation(root: Any) -> None:  # noqa: ANN401 - an element
    root.find(f".//{{{EB}}}ConversationId").text = "conversation-of-another"


def _no_payload_reference(root: Any) -> None:  # noqa: ANN401 - an element
    info = root.find(f".//{{{DS}}}SignedInfo")
    info.remove(info.findall(f"{{{DS}}}Reference")[1])


def _wrapped_manifest(root: Any) -> None:  # noqa: ANN401 - an element
    body = root.find(f"{{{SOAP}}}Body")
    body.append(etree.fromstring(etree.tostring(body[0])))


def _other_transform(root: Any) -> None:  # noqa: ANN401 - an element
    root.find(f".//{{{DS}}}XPath").text = "not(ancestor-or-self::node())"


FORGED = {
    "14 second MessageHeader": _double_header,
    "62 actor on the MessageHeader": _hidden_block,
    "59 changed header": _other_conversation,
    "61 payload outside the signature": _no_payload_reference,
    "62 wrapped Manifest": _wrapped_manifest,
    "59 changed transform": _other_transform,
}


@pytest.mark.parametrize("name", FORGED)
async def test_item_62_forged_messages_are_refused_on_the_wire(tmp_path: Path, name: str) -> None:
    """Items 14, 59, 61, 62: whatever was done to a signed message, nothing of it is kept and nothing acknowledged."""
    async with centre(tmp_path, signed=True) as desk:
        wire = desk.peer.write(desk.peer.request(desk.request("TCC")))
        said = await desk.peer.post(_changed(wire, FORGED[name]))
        assert said.status in (200, 500)
        if said.status == 200:
            assert said.error.code in ("SecurityFailure", "Inconsistent")
        assert desk.desk.requests == []
        assert (await desk.peer.post(wire)).message.kind == "acknowledgment"


async def test_item_61_a_changed_payload_is_refused(tmp_path: Path) -> None:
    """Item 61: the payload's digest is the signature's."""
    async with centre(tmp_path, signed=True) as desk:
        content = desk.request("TCC")
        wire = desk.peer.write(desk.peer.request(content))
        said = await desk.peer.post(wire._replace(body=wire.body.replace(b"1ANACA0A", b"1ANACA0B")))
        assert said.error.code == "SecurityFailure"
        assert desk.desk.requests == []


async def _sent(desk: Centre) -> EbMessage:
    await desk.desk.until(lambda _: bool(desk.peer.posts))
    came = desk.peer.posts[0]
    return _verify(came.body, came.headers["Content-Type"])


async def test_item_65_letters_are_signed_and_want_signed_acknowledgments(tmp_path: Path) -> None:
    """Item 65, profile 8: signature on the message, and a signed receipt with the same digests, which ends it."""
    async with centre(tmp_path, signed=True, push=True, sync_reply="none") as desk:
        desk.peer.answering = lambda peer, message: peer.write(peer.acknowledgment(message, signed=True))
        await desk.ask(sync=False, ack=None)
        message = await _sent(desk)
        assert message.ack_requested == AckRequested(signed=True)
        assert [one.uri for one in message.digests][1:] == [f"cid:{message.payloads[0].content_id}"]
        await desk.desk.until(lambda _: desk.states() == ["delivered"])


async def test_section_6_unsigned_or_other_acknowledgments_do_not_count(tmp_path: Path) -> None:
    """Section 6: unsigned, without digests, with another's digests: SecurityFailure, and the letter is sent again."""
    async with centre(tmp_path, signed=True, push=True, sync_reply="none") as desk:
        desk.peer.answering = lambda _peer, _message: None
        await desk.ask(sync=False, ack=None)
        message = await _sent(desk)
        good = desk.peer.acknowledgment(message, signed=True)
        receipt = good.acknowledgment
        assert receipt is not None
        forged = dataclasses.replace(receipt, references=tuple(
            dataclasses.replace(one, xml=one.xml.replace(one.digest_value.encode(), b"AAAA"))
            for one in receipt.references
        ))  # fmt: skip
        for sent, signed in (
            (good, False),
            (desk.peer.acknowledgment(message), True),
            (dataclasses.replace(good, acknowledgment=forged), True),
        ):
            await desk.peer.post(sent, signed=signed)
            await asyncio.sleep(0.05)
            assert desk.states() != ["delivered"]
        await desk.peer.post(good)
        assert desk.states() == ["delivered"]


async def test_pulled_letters_are_signed(tmp_path: Path) -> None:
    """Section 6: built once, signed once; a pull gives the signed bytes."""
    async with centre(tmp_path, signed=True) as desk:
        await desk.ask()
        await desk.desk.processed(1)
        said = await desk.peer.post(desk.peer.request(action=PULL, ack=None))
        message = _said(said)
        await desk.peer.post(desk.peer.acknowledgment(message, signed=True))
        assert desk.states() == ["delivered"]


async def test_a_key_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    """Settings are judged before anything is listened for, by name of profile, key and file."""
    good = signed_profile(tmp_path)
    assert Profiles([good], tmp_path).endings
    key_files(tmp_path, "other")
    for change, text in (
        ({"signing_key": "none.key"}, "No such file"),
        ({"signing_key": "other.key"}, "the certificate is not the key's"),
        ({"signing_certificates": ("broker.key",)}, "no certificate in PEM"),
        ({"certificates": ("none.pem",)}, "No such file"),
    ):
        with pytest.raises(ProfileError, match=text):
            Profiles([msgspec.structs.replace(good, **change)], tmp_path)


async def test_item_65_profile_3_certificates_on_both_sides_of_the_channel(tmp_path: Path) -> None:
    """Items 65, 68: over TLS the client certificate is the partner; without it, or with another, nothing is read."""
    key_files(tmp_path, "server")
    for name in ("client", "other"):
        key_files(tmp_path, name)
    (tmp_path / "ca.pem").write_bytes(keys("other")[1])
    toml = """
[[certificate]]
name = "server"
certificate = "server.pem"
key = "server.key"
client_ca = "ca.pem"
[[listener]]
name = "tls"
kind = "http"
address = "127.0.0.1:0"
tls = "implicit"
certificate = "server"
client_certificates = "optional"
"""
    async with centre(tmp_path, toml=toml, plain=False, certificates=("client.pem",)) as desk:
        wire = desk.peer.write(desk.peer.request(desk.request("TCC")))
        assert (await desk.peer.post(wire)).status == 403  # the plain door knows nobody
        desk.peer.url = f"https://localhost:{desk.desk.listeners['tls'].rpartition(':')[2]}/ebms"
        for name, status in (("", 403), ("other", 403), ("client", 200)):
            desk.peer.tls = ssl.create_default_context(cafile=str(tmp_path / "server.pem"))
            if name:
                desk.peer.tls.load_cert_chain(tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
            assert (await desk.peer.post(wire)).status == status
        assert len(desk.desk.requests) == 1
