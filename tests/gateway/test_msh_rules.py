"""What an agreement forbids, message by message: HTTP status, error code and location (spec/ebms.md 4.2 to 4.10)."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from sekisho.codecs.ebms.names import NEXT_MSH
from sekisho.codecs.ebms.values import AckRequested, EbMessage, ManifestItem, Order, Party, PartyId, Service
from tests.gateway.ebms_peer import CPA, PULL, REPLY, REQUEST, SERVICE, THEM, US, Peer
from tests.gateway.msh_house import Centre, centre, profile

HEAD = "/SOAP:Envelope/SOAP:Header/"
LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Broken:
    """A message that breaks one item: how it is made, under which agreement, and what is said to it."""

    item: str
    make: Callable[[Peer, bytes], EbMessage]
    code: str
    location: str
    agreed: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"item {self.item}"


def _with(**header: Any) -> Callable[[Peer, bytes], EbMessage]:  # noqa: ANN401 - fields of a Header
    return lambda peer, content: peer.request(content, **header)


def _message(**changes: Any) -> Callable[[Peer, bytes], EbMessage]:  # noqa: ANN401 - fields of an EbMessage
    return lambda peer, content: replace(peer.request(content), **changes)


STRANGER = Party((PartyId("urn:sekisho:stranger"),), "Declarant")
TWO = Party((*THEM.ids, PartyId("urn:sekisho:stranger")), "Declarant")
TABLE = [
    Broken("17 unknown party", _with(sender=STRANGER), "Inconsistent", "eb:MessageHeader/eb:From"),
    Broken("17 one id of two", _with(sender=TWO), "Inconsistent", "eb:MessageHeader/eb:From"),
    Broken("17 not our party", _with(receiver=STRANGER), "Inconsistent", "eb:MessageHeader/eb:To"),
    Broken("17 role", _with(sender=replace(THEM, role="Bank")), "ValueNotRecognized",
           "eb:MessageHeader/eb:From/eb:Role"),
    Broken("17 our role", _with(receiver=replace(US, role="Bank")), "ValueNotRecognized",
           "eb:MessageHeader/eb:To/eb:Role"),
    Broken("17 service", _with(service=Service("urn:other:service")), "ValueNotRecognized",
           "eb:MessageHeader/eb:Service"),
    Broken("17 service type", _with(service=Service(SERVICE.value, "string")), "ValueNotRecognized",
           "eb:MessageHeader/eb:Service"),
    Broken("17 action", _with(action="Other"), "ValueNotRecognized", "eb:MessageHeader/eb:Action"),
    Broken("17 our own action", _with(action=REPLY), "ValueNotRecognized", "eb:MessageHeader/eb:Action"),
    Broken("18 CPAId", _with(cpa_id="urn:other:cpa"), "ValueNotRecognized", "eb:MessageHeader/eb:CPAId"),
    Broken("23 TimeToLive", _with(time_to_live=LONG_AGO), "TimeToLiveExpired",
           "eb:MessageHeader/eb:MessageData/eb:TimeToLive"),
    Broken("30 nextMSH", _message(ack_requested=AckRequested(False, NEXT_MSH)), "NotSupported", "eb:AckRequested"),
    Broken("34 signed acknowledgment without a key", _message(ack_requested=AckRequested(True)), "Inconsistent",
           "eb:AckRequested"),
    Broken("47 SyncReply missing", _message(sync_reply=None), "Inconsistent", "eb:SyncReply"),
    Broken("47 SyncReply not agreed", _message(), "Inconsistent", "eb:SyncReply",
           {"sync_reply": "none", "url": "http://127.0.0.1:9/msh"}),
    Broken("50 MessageOrder", _message(order=Order(0, "Reset"), sync_reply=None), "NotSupported", "eb:MessageOrder"),
    Broken("66 proposed", _message(), "ValueNotRecognized", "eb:MessageHeader/eb:CPAId", {"status": "proposed"}),
    Broken("66 not yet", _message(), "ValueNotRecognized", "eb:MessageHeader/eb:CPAId",
           {"valid_from": "2999-01-01T00:00:00Z"}),
    Broken("66 over", _message(), "ValueNotRecognized", "eb:MessageHeader/eb:CPAId",
           {"valid_to": "2020-01-01T09:00:00+09:00"}),
    Broken("67 ack always", _message(ack_requested=None), "Inconsistent", "eb:AckRequested", {"ack": "always"}),
    Broken("67 ack never", _message(), "Inconsistent", "eb:AckRequested", {"ack": "never"}),
    Broken("67 elimination always", _with(duplicate_elimination=False), "Inconsistent",
           "eb:MessageHeader/eb:DuplicateElimination", {"duplicate_elimination": "always"}),
    Broken("67 elimination never", _message(), "Inconsistent", "eb:MessageHeader/eb:DuplicateElimination",
           {"duplicate_elimination": "never"}),
]  # fmt: skip


@pytest.mark.parametrize("broken", TABLE, ids=str)
async def test_items_of_an_agreement_are_refused_by_code_and_location(tmp_path: Path, broken: Broken) -> None:
    """Items 10, 17, 18, 23, 30, 47, 50, 56, 66, 67: a MessageError with HTTP 200, and nothing is kept."""
    async with centre(tmp_path, **broken.agreed) as desk:
        sent = broken.make(desk.peer, desk.request("TCC"))
        said = await desk.peer.post(sent)
        assert said.status == 200
        assert said.message.header.action == "MessageError"
        assert said.message.header.ref_to == sent.header.message_id
        assert said.message.header.conversation == sent.header.conversation
        assert (said.error.code, said.error.severity) == (broken.code, "Error")
        assert said.error.location == HEAD + broken.location
        assert desk.desk.requests == []


async def test_item_05_a_part_that_is_not_agreed_is_a_mime_problem(tmp_path: Path) -> None:
    """Items 25 and 55: what the agreement says of payloads is MimeProblem when it is missing or too much."""
    async with centre(tmp_path, max_part=10) as desk:
        said = await desk.peer.post(desk.peer.request(desk.request("TCC")))
        assert (said.error.code, said.error.location) == ("MimeProblem", "cid:part-1@BROKER.SEKISHO.EXAMPLE")
        assert desk.desk.requests == []


async def test_item_09_other_soap_action_is_a_soap_fault_unless_tolerated(tmp_path: Path) -> None:
    """Item 9: HTTP 500 with a SOAP Fault (Client); NHS sends its own, so a partner may be allowed to."""
    async with centre(tmp_path) as desk:
        message = desk.peer.request(desk.request("TCC"))
        for action in ("urn:nhs:names:services/Action", '""', ""):
            said = await desk.peer.post(message, SOAPAction=action)
            assert said.status == 500
            assert b"SOAP:Client" in said.body
        assert (await desk.peer.post(message, SOAPAction="ebXML")).status == 200  # the quotes are often forgotten
    async with centre(tmp_path, tolerances=("other-soap-action",)) as desk:
        said = await desk.peer.post(desk.peer.request(desk.request("TCC")), SOAPAction="urn:nhs:names:services/Action")
        assert said.message.kind == "acknowledgment"


async def test_item_27_external_references_only_where_agreed(tmp_path: Path) -> None:
    """Item 27: refused unless the profile allows them, and never fetched."""
    out = ManifestItem("http://127.0.0.1:9/never-fetched")
    async with centre(tmp_path) as desk:
        message = desk.peer.request(desk.request("TCC"))
        message = replace(message, manifest=(*message.manifest, out))
        said = await desk.peer.post(message)
        assert (said.error.code, said.error.location) == ("NotSupported", out.href)
    async with centre(tmp_path, external_references=True) as desk:
        assert (await desk.peer.post(message)).message.kind == "acknowledgment"


async def test_item_30_next_msh_where_it_is_agreed(tmp_path: Path) -> None:
    """Item 30: partners with nextMSH exist; then the Acknowledgment is for that actor."""
    async with centre(tmp_path, ack_actor="nextMSH") as desk:
        message = replace(desk.peer.request(desk.request("TCC")), ack_requested=AckRequested(False, NEXT_MSH))
        receipt = (await desk.peer.post(message)).message.acknowledgment
        assert receipt is not None
        assert receipt.actor == NEXT_MSH


async def test_item_50_message_order_is_read_where_it_is_agreed(tmp_path: Path) -> None:
    """Item 50: Japanese products use it as numbering only."""
    async with centre(tmp_path, ordered=True, sync_reply="none") as desk:
        message = replace(desk.peer.request(desk.request("TCC"), sync=False), order=Order(0, "Reset"))
        assert (await desk.peer.post(message)).message.kind == "acknowledgment"


async def test_item_57_errors_are_not_answered(tmp_path: Path) -> None:
    """Item 57: an error about an error is logged and answered with nothing."""
    async with centre(tmp_path) as desk:
        about = desk.peer.request(b"")
        for wrong in ({}, {"cpa_id": "urn:other:cpa"}, {"sender": STRANGER}):
            error = desk.peer.error(about)
            said = await desk.peer.post(replace(error, header=replace(error.header, **wrong)))
            assert (said.status, said.body) == (200, b"")


async def test_item_58_sloppy_errors_are_read_where_tolerated(tmp_path: Path) -> None:
    """Items 58 and section 10: an empty ErrorList is tolerated by name, and only then."""
    async with centre(tmp_path, tolerances=("empty-error-list",)) as desk:
        wire = desk.peer.write(desk.peer.error(desk.peer.request(b"")))
        begin, end = wire.body.index(b"<eb:Error "), wire.body.index(b"</eb:ErrorList>")
        sloppy = wire._replace(body=wire.body[:begin] + wire.body[end:])
        assert ((await desk.peer.post(sloppy)).status, desk.desk.requests) == (200, [])


async def test_item_22_tolerances_are_those_of_the_chosen_agreement(tmp_path: Path) -> None:
    """Section 10: what one profile of a caller tolerates is not tolerated for another one of his."""
    strict = profile(name="strict")
    lax = profile(name="lax", cpa_id="urn:sekisho:cpa:lax", tolerances=("time-without-zone",))
    async with centre(tmp_path, strict, lax) as desk:
        for cpa_id, answer in ((CPA, ""), ("urn:sekisho:cpa:lax", "acknowledgment")):
            message = desk.peer.request(desk.request("TCC"), cpa_id=cpa_id)
            wire = desk.peer.write(message)
            stamp = message.header.timestamp.strftime("%Y-%m-%dT%H:%M:%S").encode()
            begin = wire.body.index(stamp) + len(stamp)
            end = wire.body.index(b"<", begin)
            said = await desk.peer.post(wire._replace(body=wire.body[:begin] + wire.body[end:]))
            assert (said.message.kind if answer else said.status) == (answer or 500)


async def test_item_68_the_reply_address_is_the_profiles(tmp_path: Path) -> None:
    """Item 68: errors of a partner with an endpoint go there, wherever the message came from."""
    async with centre(tmp_path, push=True, sync_reply="none") as desk:
        sent = desk.peer.request(desk.request("TCC"), sync=False, action="Other")
        assert (await desk.peer.post(sent)).body == b""
        (came,) = await _posts(desk, 1)
        assert came.message.header.action == "MessageError"
        assert came.message.header.ref_to == sent.header.message_id


async def _posts(desk: Centre, count: int) -> list[Any]:
    await desk.desk.until(lambda _: len(desk.peer.posts) >= count)
    return desk.peer.posts


async def test_pull_needs_its_own_service_and_action(tmp_path: Path) -> None:
    """A partner without an agreed pull cannot fetch (Unspecified: our choice)."""
    async with centre(tmp_path, pull=None) as desk:
        said = await desk.peer.post(desk.peer.request(action=PULL))
        assert said.error.code == "ValueNotRecognized"
        assert (await desk.peer.post(desk.peer.request(desk.request("TCC"), action=REQUEST))).status == 200
