"""Reliable sending: the same bytes until somebody has said yes, or the agreement's end (spec/ebms.md 4.6 and 6)."""

import asyncio
import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sekisho.codecs.ebms.values import EbMessage
from sekisho.mailboxes.letters import Letter, SentMessage
from tests.gateway.ebms_peer import Answering, Peer
from tests.gateway.msh_house import Centre, centre

ASYNC: dict[str, Any] = {"push": True, "sync_reply": "none", "retries": 2, "retry_interval_seconds": 300}


def _sent(desk: Centre) -> SentMessage:
    """What carries the newest letter."""
    letter = desk.letters[-1]
    found = desk.desk.read(lambda view: view.sent_for(letter.number))
    assert found is not None
    return found


async def _posted(desk: Centre, count: int) -> None:
    await desk.desk.until(lambda _: len(desk.peer.posts) >= count)


async def _marked(desk: Centre, attempts: int) -> Letter:
    """The newest letter, when so many attempts are in the store."""
    gateway = desk.desk.gateway

    def tried() -> bool:
        gateway.clerk.nudge()
        return bool(desk.letters) and desk.letters[-1].attempts >= attempts

    await desk.desk.until(lambda _: tried())
    return desk.letters[-1]


async def _later(desk: Centre, seconds: float) -> None:
    """Time passes, for everything that looks at the house's clock; what was tried before is in the store by then."""
    gateway = desk.desk.gateway

    def settled() -> bool:
        gateway.clerk.nudge()
        return not gateway.couriers.unmarked

    await desk.desk.until(lambda _: settled())
    gateway.clock._shift_us += int(seconds * 1_000_000)
    gateway.couriers.look()


async def test_item_41_the_reply_is_pushed_and_acknowledged_in_the_response(tmp_path: Path) -> None:
    """Items 3, 4, 8, 19, 32, 35: a letter as a business message; 2xx with its Acknowledgment is the end of it."""
    async with centre(tmp_path, **ASYNC) as desk:
        request = await desk.ask(sync=False, ack=None, conversation="conversation-9")
        await _posted(desk, 1)
        came = desk.peer.posts[0]
        message = came.message
        assert came.headers["SOAPAction"] == '"ebXML"'
        assert (message.header.action, message.header.conversation) == ("Reply", "conversation-9")
        assert message.header.ref_to == request.header.message_id
        assert message.header.duplicate_elimination
        assert message.ack_requested is not None
        assert message.header.time_to_live is not None
        (payload,) = message.payloads
        assert message.manifest[0].href == f"cid:{payload.content_id}"
        await desk.desk.until(lambda _: desk.states() == ["delivered"])
        (letter,) = desk.letters
        assert payload.content == desk.desk.read(lambda view: view.content(letter.number))
        assert letter.door == "ebms"
        assert (_sent(desk).state, _sent(desk).content) == ("acknowledged", came.body)


async def test_item_41_an_asynchronous_acknowledgment_ends_the_retries(tmp_path: Path) -> None:
    """Items 41, 42, 44: 2xx without a word means waiting; the Acknowledgment comes by a post of its own."""
    async with centre(tmp_path, **ASYNC) as desk:
        desk.peer.answering = lambda _peer, _message: None
        await desk.ask(sync=False, ack=None)
        letter = await _marked(desk, 1)
        assert (letter.state, letter.last_error) == ("unknown", "waiting for the Acknowledgment")
        said = await desk.peer.post(desk.peer.acknowledgment(desk.peer.posts[0].message))
        assert (said.status, said.body) == (200, b"")
        assert desk.states() == ["delivered"]
        await _later(desk, 301)
        await asyncio.sleep(0.1)
        assert len(desk.peer.posts) == 1


async def test_item_42_and_43_retries_are_the_same_bytes_until_they_are_used_up(tmp_path: Path) -> None:
    """Items 41, 42, 43, 45: after the first post two more, each an interval later, then DeliveryFailure, told aloud."""
    async with centre(tmp_path, **ASYNC) as desk:
        desk.peer.answering = lambda _peer, _message: None
        await desk.ask(sync=False, ack=None)
        for attempt in (1, 2, 3):
            letter = await _marked(desk, attempt)
            assert (letter.state, len(desk.peer.posts)) == ("unknown", attempt)
            await _later(desk, 200)  # not yet
            await asyncio.sleep(0.05)
            assert len(desk.peer.posts) == attempt
            await _later(desk, 101)
        letter = await _marked(desk, 4)
        assert letter.state == "failed"
        assert letter.last_error == "DeliveryFailure: no Acknowledgment after 3 attempts"
        assert len({came.body for came in desk.peer.posts}) == 1
        assert len(desk.peer.posts) == 3
        assert _sent(desk).state == "failed"
        assert desk.desk.events("message.undelivered") == [letter.last_error]
        ends = desk.peer.posts[0].message.header.time_to_live
        assert ends is not None
        assert ends >= desk.peer.posts[-1].message.header.timestamp  # item 23: beyond the last attempt


async def test_item_44_a_late_acknowledgment_keeps_both_facts(tmp_path: Path) -> None:
    """Item 44: the message stays failed, and when its Acknowledgment came is known; the letter has arrived."""
    async with centre(tmp_path, **ASYNC | {"retries": 0}) as desk:
        desk.peer.answering = lambda _peer, _message: None
        await desk.ask(sync=False, ack=None)
        await _marked(desk, 1)
        await _later(desk, 301)
        assert (await _marked(desk, 2)).state == "failed"
        assert (await desk.peer.post(desk.peer.acknowledgment(desk.peer.posts[0].message))).status == 200
        assert (_sent(desk).state, _sent(desk).acknowledged_at is not None) == ("failed", True)
        assert desk.states() == ["delivered"]
        assert len(desk.desk.events("message.acknowledged_late")) == 1


async def test_item_13_no_connection_is_a_failed_attempt_and_nothing_overtakes(tmp_path: Path) -> None:
    """Item 13 and section 6: who cannot be reached gets everything later, in order."""
    async with centre(tmp_path, **ASYNC, soap_action='"ebXML"') as desk:
        answer = desk.peer.answering
        desk.peer.answering = lambda _peer, _message: web.Response(status=503)
        for _ in range(3):
            await desk.ask(sync=False, ack=None)
        letter = await _marked_first(desk)
        assert (letter.state, letter.last_error) == ("waiting", "HTTP 503")
        assert len({came.body for came in desk.peer.posts}) == 1
        desk.peer.posts.clear()
        desk.peer.answering = answer
        await _later(desk, 301)
        await desk.desk.until(lambda _: desk.states() == ["delivered"] * 3)
        numbers = [int(came.message.header.message_id.partition(".")[0].removeprefix("letter-"))
                   for came in desk.peer.posts]  # fmt: skip
        assert numbers == sorted(numbers)


async def _marked_first(desk: Centre) -> Letter:
    gateway = desk.desk.gateway

    def tried() -> bool:
        gateway.clerk.nudge()
        return len(desk.letters) == 3 and desk.letters[0].attempts >= 1

    await desk.desk.until(lambda _: tried())
    return desk.letters[0]


def _fault(code: str) -> Answering:
    body = (
        '<S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/"><S:Body><S:Fault>'
        f"<faultcode>S:{code}</faultcode><faultstring>no</faultstring></S:Fault></S:Body></S:Envelope>"
    )
    return lambda _peer, _message: web.Response(status=500, text=body, content_type="text/xml")


def _status(status: int) -> Answering:
    return lambda _peer, _message: web.Response(status=status, headers={"Location": "http://127.0.0.1:9/"})


def _page(_peer: Peer, _message: EbMessage) -> web.Response:
    return web.Response(text="<html>hello</html>", content_type="text/html")


def _cut(_peer: Peer, _message: EbMessage) -> web.Response:
    raise ConnectionResetError


OUTCOMES = {
    "301": (_status(301), "failed"),
    "307": (_status(307), "failed"),
    "400": (_status(400), "failed"),
    "404": (_status(404), "failed"),
    "408": (_status(408), "waiting"),
    "429": (_status(429), "waiting"),
    "500": (_status(500), "waiting"),
    "500 Client": (_fault("Client"), "failed"),
    "500 Server": (_fault("Server"), "waiting"),
    "501": (_status(501), "failed"),
    "502": (_status(502), "waiting"),
    "505": (_status(505), "failed"),
    "a page": (_page, "unknown"),
    "connection lost": (_cut, "unknown"),
    "an error": (lambda peer, message: peer.write(peer.error(message)), "failed"),
    "a warning": (lambda peer, message: peer.write(peer.error(message, severity="Warning")), "unknown"),
    "another's receipt": (lambda peer, _message: peer.write(peer.acknowledgment(peer.request())), "unknown"),
    "a stranger's receipt": (
        lambda peer, message: peer.write(
            EbMessage(
                peer.header("Acknowledgment", service=peer.acknowledgment(message).header.service,
                            ref_to=message.header.message_id, cpa_id="urn:other:cpa", sender=message.header.sender),
                acknowledgment=peer.acknowledgment(message).acknowledgment,
            )
        ),
        "unknown",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OUTCOMES)
async def test_item_12_what_an_answer_does_to_the_letter(tmp_path: Path, name: str) -> None:
    """Items 12, 13: 3xx and 4xx are final, 503 is not, 500 as SOAP says; errors end it, warnings do not."""
    answering, state = OUTCOMES[name]
    async with centre(tmp_path, **ASYNC) as desk:
        desk.peer.answering = answering
        await desk.ask(sync=False, ack=None)
        letter = await _marked(desk, 1)
        assert letter.state == state
        assert len(desk.peer.posts) == 1
        assert _sent(desk).state == ("failed" if state == "failed" else "waiting")


async def test_item_56_an_error_that_comes_by_a_post_ends_it(tmp_path: Path) -> None:
    """Section 6: a MessageError is final unless it is a Warning."""
    async with centre(tmp_path, **ASYNC) as desk:
        desk.peer.answering = lambda _peer, _message: None
        await desk.ask(sync=False, ack=None)
        await _marked(desk, 1)
        sent = desk.peer.posts[0].message
        await desk.peer.post(desk.peer.error(sent, severity="Warning"))
        assert _sent(desk).state == "waiting"
        await desk.peer.post(desk.peer.error(sent, "SecurityFailure"))
        assert (_sent(desk).state, desk.states()) == ("failed", ["failed"])
        assert desk.letters[0].last_error == "SecurityFailure said by the test"


async def test_item_46_without_acknowledgments_2xx_is_enough(tmp_path: Path) -> None:
    """Section 6: 2xx empty is done when no Acknowledgment is due; none is asked for."""
    async with centre(tmp_path, **ASYNC | {"ack": "never"}) as desk:
        desk.peer.answering = lambda _peer, _message: None
        await desk.ask(sync=False, ack=None)
        await desk.desk.until(lambda _: desk.states() == ["delivered"])
        assert desk.peer.posts[0].message.ack_requested is None


async def test_item_36_asynchronous_acknowledgments_are_posted_and_posted_again(tmp_path: Path) -> None:
    """Items 10, 36, 49: an empty 2xx, then the Acknowledgment by a post; a duplicate brings the same bytes again."""
    async with centre(tmp_path, **ASYNC) as desk:
        fails = iter((503, 503))
        desk.peer.answering = lambda _peer, _message: web.Response(status=next(fails, 200))
        sent = desk.peer.request(desk.request("XXXXX"), sync=False)
        for _ in range(2):
            assert (await desk.peer.post(sent)).body == b""
        await desk.desk.until(lambda _: len(_receipts(desk)) >= 3)
        assert len(set(_receipts(desk))) == 1
        assert len(desk.desk.requests) == 1


def _receipts(desk: Centre) -> list[bytes]:
    return [came.body for came in desk.peer.posts if came.message.kind == "acknowledgment"]


async def test_a_letter_that_is_asked_for_again_is_a_new_message(tmp_path: Path) -> None:
    """Item 35: the old MessageId would be dropped as a duplicate, so a resent letter gets another one."""
    async with centre(tmp_path, **ASYNC) as desk:
        await desk.ask(sync=False, ack=None)
        await desk.desk.until(lambda _: desk.states() == ["delivered"])
        number = desk.letters[0].number
        now = desk.desk.gateway.clock.us()
        await desk.desk.write(lambda unit: unit.hasten([number], now))
        desk.desk.gateway.couriers.look()
        await _posted(desk, 2)
        first, second = (came.message for came in desk.peer.posts)
        assert first.header.message_id != second.header.message_id
        assert first.payloads[0].content == second.payloads[0].content
        await desk.desk.until(lambda _: desk.letters[0].due_at is None)


async def test_item_68_an_acknowledgment_counts_only_from_the_partner_it_went_to(tmp_path: Path) -> None:
    """Section 6: another partner's Acknowledgment for our message is an unknown reference."""
    from tests.gateway.msh_house import profile

    other = profile(name="other", box="FWD", cpa_id="urn:sekisho:cpa:other")
    peer = Peer()
    async with peer.listening() as url:
        own = profile(url=url, **{key: value for key, value in ASYNC.items() if key != "push"})
        async with centre(tmp_path, own, other) as desk:
            peer.answering = lambda _peer, _message: None
            await desk.ask(sync=False, ack=None)
            await desk.desk.until(lambda _: bool(peer.posts))
            receipt = desk.peer.acknowledgment(peer.posts[0].message)
            header = desk.peer.header("Acknowledgment", service=receipt.header.service, ref_to=receipt.header.ref_to,
                                      cpa_id="urn:sekisho:cpa:other")  # fmt: skip
            said = await desk.peer.post(EbMessage(header, acknowledgment=receipt.acknowledgment))
            assert said.error.code == "ValueNotRecognized"
            assert desk.states() != ["delivered"]


async def test_item_66_letters_wait_for_an_agreement_that_begins_later(tmp_path: Path) -> None:
    """Item 66: nothing is sent before its first moment; from then on everything is, in order."""
    begins = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=600)
    async with centre(tmp_path, **ASYNC, valid_from=begins.isoformat()) as desk:
        for _ in range(2):
            await desk.desk.ask(desk.request("TCC"), 0)
        await desk.desk.until(lambda _: len(desk.letters) == 2)
        await asyncio.sleep(0.2)
        assert (desk.peer.posts, desk.states()) == ([], ["waiting", "waiting"])
        await _later(desk, 601)
        await desk.desk.until(lambda _: desk.states() == ["delivered"] * 2)


async def test_item_21_letters_of_other_doors_start_a_conversation_of_their_own(tmp_path: Path) -> None:
    """Items 19, 21: a reply to a request that came by mail refers to no ebMS message."""
    async with centre(tmp_path, **ASYNC) as desk:
        await desk.desk.ask(desk.request("TCC"), 0, message_id="<1@BROKER.SEKISHO.EXAMPLE>")
        await _posted(desk, 1)
        header = desk.peer.posts[0].message.header
        assert (header.ref_to, header.conversation) == ("", header.message_id)
