"""Receiving: kept before it is answered, once, and answered alike for ever (spec/ebms.md 4.5 and 5)."""

import asyncio
import base64
import datetime as dt
from dataclasses import replace
from pathlib import Path

import msgspec

from sekisho.codecs.ebms.values import Payload, StatusRequest
from sekisho.codecs.envelope import Wrapping
from sekisho.codecs.mime import is_interchange
from sekisho.gateway.ebms_partners import Action
from sekisho.gateway.intake import content_digest
from sekisho.gateway.msh_content import reopened
from sekisho.mailboxes.letters import RequestState
from tests.gateway.ebms_peer import CPA, REQUEST, SERVICE, Peer
from tests.gateway.msh_house import centre, profile


async def test_item_02_and_20_the_acknowledgment_is_plain_xml_with_an_id_of_its_own(tmp_path: Path) -> None:
    """Items 2, 19, 20, 31, 32, 33: what an Acknowledgment carries, and what it does not."""
    async with centre(tmp_path) as desk:
        sent = desk.peer.request(desk.request("TCC"))
        said = await desk.peer.post(sent)
        header, receipt = said.message.header, said.message.acknowledgment
        assert said.headers["Content-Type"] == "text/xml; charset=UTF-8"
        assert (header.service.value, header.action) == ("urn:oasis:names:tc:ebxml-msg:service", "Acknowledgment")
        assert header.ref_to == sent.header.message_id
        assert (header.conversation, header.cpa_id) == ("conversation-1", CPA)
        assert (header.sender.ids, header.receiver.ids) == (sent.header.receiver.ids, sent.header.sender.ids)
        assert header.message_id.endswith("@SMTP.TEST.SEKISHO.EXAMPLE")
        assert header.message_id != sent.header.message_id
        assert not header.duplicate_elimination
        assert said.message.ack_requested is None
        assert receipt is not None
        assert (receipt.ref_to, receipt.references) == (sent.header.message_id, ())


async def test_the_request_is_journalled_as_it_came_and_answered_by_its_business(tmp_path: Path) -> None:
    """House 4: raw bytes, conversation, principal and identity are journalled; the reply is in the partner's box."""
    async with centre(tmp_path) as desk:
        content = desk.request("TCC")
        sent = desk.peer.request(content, b"file", conversation="conversation-7")
        assert (await desk.peer.post(sent)).message.kind == "acknowledgment"
        await desk.desk.processed(1)
        (request,) = desk.desk.requests
        assert (request.principal, request.conversation) == ("BRK", "conversation-7")
        assert (request.transport, request.wrapping) == ("ebms", Wrapping.EBMS)
        assert (request.transport_id, request.idem) == (sent.header.message_id, f"broker|{sent.header.message_id}")
        assert (request.business_code, request.state) == ("TCC", RequestState.DONE)
        raw = desk.desk.read(lambda view: view.raw(request.number))
        assert raw.startswith(b"Content-Type: multipart/related; ")
        assert raw.endswith(desk.peer.write(sent).body)
        found, others = reopened(raw, content_digest(content))
        assert found == content
        assert [one.content for one in others] == [b"file"]
        assert [letter.output_code for letter in desk.letters] == ["*CTCC"]


async def test_item_05_base64_is_read_and_mixed_names_of_content_id(tmp_path: Path) -> None:
    """Items 5, 6: all transfer encodings, Content-Id in any letter case, boundaries that begin with hyphens."""
    async with centre(tmp_path) as desk:
        content = desk.request("TCC")
        wire = desk.peer.write(desk.peer.request(content))
        body = wire.body.replace(content, base64.encodebytes(content).replace(b"\n", b"\r\n"))
        head, _, tail = body.rpartition(b"Content-Transfer-Encoding: binary")
        body = head + b"Content-Transfer-Encoding: base64" + tail.replace(b"Content-ID", b"content-iD")
        said = await desk.peer.post(wire._replace(body=body))
        assert said.message.kind == "acknowledgment"
        (request,) = desk.desk.requests
        assert request.content_digest == content_digest(content)


async def test_item_07_a_package_that_is_not_whole_is_a_soap_fault(tmp_path: Path) -> None:
    """Item 7: no closing boundary, or an undecodable part: nothing stored, no Acknowledgment."""
    async with centre(tmp_path) as desk:
        wire = desk.peer.write(desk.peer.request(desk.request("TCC")))
        for body in (wire.body[:-6], wire.body[: len(wire.body) // 2], b"", b"\r\n"):
            said = await desk.peer.post(wire._replace(body=body))
            assert said.status == 500
            assert b"SOAP:Client" in said.body
        assert desk.desk.requests == []


async def test_item_36_duplicate_gets_the_stored_answer_byte_for_byte(tmp_path: Path) -> None:
    """Items 35, 36: the same Acknowledgment, MessageId and Timestamp included; not delivered again."""
    async with centre(tmp_path) as desk:
        sent = desk.peer.request(desk.request("TCC"))
        first = await desk.peer.post(sent)
        await desk.desk.processed(1)
        for _ in range(3):
            assert (await desk.peer.post(sent)).body == first.body
        assert len(desk.desk.requests) == 1
        assert len(desk.letters) == 1


async def test_item_36_200_duplicates_at_once_are_one_delivery(tmp_path: Path) -> None:
    """Section 14: whatever the order they arrive in, one request, one answer."""
    async with centre(tmp_path) as desk:
        wire = desk.peer.write(desk.peer.request(desk.request("TCC")))
        said = await asyncio.gather(*(desk.peer.post(wire) for _ in range(200)))
        assert {one.status for one in said} == {200}
        assert len({one.body for one in said}) == 1
        await desk.desk.processed(1)
        assert (len(desk.desk.requests), len(desk.letters)) == (1, 1)


async def test_item_36_the_answer_survives_a_restart(tmp_path: Path) -> None:
    """Item 36: the answer is in the store, not in memory."""
    async with centre(tmp_path) as desk:
        wire = desk.peer.write(desk.peer.request(desk.request("TCC")))
        first = await desk.peer.post(wire)
    async with centre(tmp_path) as desk:
        assert (await desk.peer.post(wire)).body == first.body
        assert len(desk.desk.requests) == 1


async def test_item_38_nothing_is_answered_that_is_not_kept(tmp_path: Path) -> None:
    """Item 38 and reliability 8: a store that cannot keep it means 503 with Retry-After, and no Acknowledgment."""
    async with centre(tmp_path) as desk:
        desk.desk.gateway.clerk._disk_low = True
        sent = desk.peer.request(desk.request("TCC"))
        said = await desk.peer.post(sent)
        assert (said.status, said.headers["Retry-After"], said.body) == (503, "60", b"")
        desk.desk.gateway.clerk._disk_low = False
        assert (await desk.peer.post(sent)).message.kind == "acknowledgment"


async def test_item_39_one_id_for_two_messages_is_refused(tmp_path: Path) -> None:
    """Item 39: other content under a known MessageId is not delivered, and noted."""
    async with centre(tmp_path) as desk:
        first = desk.peer.request(desk.request("TCC"))
        assert (await desk.peer.post(first)).message.kind == "acknowledgment"
        other = replace(desk.peer.request(desk.request("URY")), header=first.header)
        said = await desk.peer.post(other)
        assert (said.error.code, said.error.location[-12:]) == ("Inconsistent", "eb:MessageId")
        assert len(desk.desk.requests) == 1
        assert desk.desk.events("request.conflicted") == [first.header.message_id]


async def test_item_40_a_duplicate_of_what_failed_gets_no_receipt(tmp_path: Path) -> None:
    """Item 40: taken, then parked: who asks again hears DeliveryFailure, not success."""
    async with centre(tmp_path) as desk:
        sent = desk.peer.request(desk.request("TCC"))
        await desk.peer.post(sent)
        await desk.desk.processed(1)
        store = desk.desk.gateway.store
        await desk.desk.write(lambda unit: unit._connection.execute("UPDATE message SET state = 2"))  # type: ignore[attr-defined]
        with store.view() as view:
            assert view.requests()[0].state is RequestState.PARKED
        assert (await desk.peer.post(sent)).error.code == "DeliveryFailure"


async def test_item_23_a_duplicate_is_answered_after_its_time_to_live(tmp_path: Path) -> None:
    """Items 23, 36: the first one came in time, so its answer is said again later on."""
    async with centre(tmp_path) as desk:
        until = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)
        wire = desk.peer.write(desk.peer.request(desk.request("TCC"), time_to_live=until))
        first = await desk.peer.post(wire)
        assert first.message.kind == "acknowledgment"
        await asyncio.sleep(1.2)
        assert (await desk.peer.post(wire)).body == first.body
        late = desk.peer.request(desk.request("TCC"), time_to_live=until)
        assert (await desk.peer.post(late)).error.code == "TimeToLiveExpired"


async def test_item_26_a_message_without_manifest_is_taken(tmp_path: Path) -> None:
    """Item 26: it has no content, which the business side then judges."""
    async with centre(tmp_path) as desk:
        assert (await desk.peer.post(desk.peer.request())).message.kind == "acknowledgment"
        await desk.desk.processed(1)
        assert len(desk.desk.quarantine) == 1


async def test_the_agreed_part_is_the_message_and_the_others_are_files(tmp_path: Path) -> None:
    """Section 2: which MIME part carries which message is unknown, so the profile says it."""
    by_type = Action(service=SERVICE.value, action=REQUEST, direction="in", part="text/plain")
    out = profile().action[1]
    async with centre(tmp_path, action=(by_type, out)) as desk:
        message = desk.peer.request(b"<picture/>", desk.request("TCC"))
        pdf = Payload("picture@BROKER.SEKISHO.EXAMPLE", "application/pdf", b"%PDF")
        message = replace(message, payloads=(pdf, *message.payloads[1:]), manifest=())
        assert (await desk.peer.post(message)).message.kind == "acknowledgment"
        (request,) = desk.desk.requests
        assert request.business_code == "TCC"
        missing = replace(desk.peer.request(), payloads=(pdf,), manifest=())
        assert (await desk.peer.post(missing)).error.code == "MimeProblem"
    (tmp_path / "role").mkdir()
    by_role = replace_action(by_type, part="urn:declaration")
    async with centre(tmp_path / "role", action=(by_role, out)) as desk:
        message = desk.peer.request(b"other", desk.request("TCC"))
        roles = (message.manifest[0], replace(message.manifest[1], role="urn:declaration"))
        assert (await desk.peer.post(replace(message, manifest=roles))).message.kind == "acknowledgment"
        assert desk.desk.requests[0].business_code == "TCC"


def replace_action(action: Action, **changes: str) -> Action:
    """An action with keys changed."""
    return msgspec.structs.replace(action, **changes)


async def test_an_interchange_goes_its_way(tmp_path: Path) -> None:
    """House 4: EDIFACT is recognised by its content."""
    interchange = b"UNB+UNOA:3+STRANGER+CENTRE+260101:0000+1'UNZ+0+1'"
    assert is_interchange(interchange)
    async with centre(tmp_path) as desk:
        await desk.peer.post(desk.peer.request(interchange, media_type="application/EDIFACT"))
        await desk.desk.processed(1)
        assert desk.desk.requests[0].business_code == "EDI"


async def test_item_51_ping_is_answered_by_policy(tmp_path: Path) -> None:
    """Items 51, 53: Pong with the same conversation, parties swapped, an empty Body; or refused, or nothing."""
    async with centre(tmp_path) as desk:
        ping = desk.peer.signal("Ping")
        pong = (await desk.peer.post(ping)).message
        assert (pong.header.action, pong.header.ref_to) == ("Pong", ping.header.message_id)
        assert (pong.header.conversation, pong.header.sender.ids) == ("conversation-1", ping.header.receiver.ids)
    async with centre(tmp_path, ping="refuse") as desk:
        assert (await desk.peer.post(desk.peer.signal("Ping"))).error.code == "NotSupported"
    async with centre(tmp_path, ping="ignore") as desk:
        assert (await desk.peer.post(desk.peer.signal("Ping"))).body == b""


async def _status(peer: Peer, ref_to: str) -> tuple[str, bool]:
    said = await peer.post(peer.signal("StatusRequest", status_request=StatusRequest(ref_to)))
    response = said.message.status_response
    assert response is not None
    assert response.ref_to == ref_to
    return response.status, response.timestamp is not None


async def test_item_52_status_is_told_of_the_partners_own_messages(tmp_path: Path) -> None:
    """Items 52, 53: Processed after the business took it; NotRecognized without a time, also for another partner's."""
    async with centre(tmp_path) as desk:
        sent = await desk.ask()
        await desk.desk.processed(1)
        assert await _status(desk.peer, sent.header.message_id) == ("Processed", True)
        assert await _status(desk.peer, "unknown@BROKER.SEKISHO.EXAMPLE") == ("NotRecognized", False)
    async with centre(tmp_path, name="another") as desk:
        assert await _status(desk.peer, sent.header.message_id) == ("NotRecognized", False)
    async with centre(tmp_path, status_request="refuse") as desk:
        assert await _status(desk.peer, sent.header.message_id) == ("UnAuthorized", False)


async def test_item_21_a_receipt_for_what_we_never_sent_is_not_recognised(tmp_path: Path) -> None:
    """Items 21 and section 6: an unknown RefToMessageId is ValueNotRecognized."""
    async with centre(tmp_path) as desk:
        said = await desk.peer.post(desk.peer.acknowledgment(desk.peer.request(b"")))
        assert said.error.code == "ValueNotRecognized"
        assert said.error.location.endswith("eb:Acknowledgment/eb:RefToMessageId")
