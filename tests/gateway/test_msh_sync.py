"""Letters in HTTP responses: the sync modes and pull (spec/ebms.md 4.7 and 5)."""

import asyncio
import dataclasses
import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from sekisho.codecs.ebms.values import AckRequested, EbMessage
from tests.gateway.ebms_peer import PULL
from tests.gateway.msh_house import Centre, centre
from tests.gateway.support import extra_codes


async def _acknowledge(desk: Centre, message: EbMessage) -> None:
    said = await desk.peer.post(desk.peer.acknowledgment(message))
    assert (said.status, said.body) == (200, b"")


async def _pull(desk: Centre, **more: Any) -> Any:  # noqa: ANN401 - an answer, or its message
    return await desk.peer.post(desk.peer.request(action=PULL, ack=None, **more))


async def test_item_48_none_says_nothing_in_the_response(tmp_path: Path) -> None:
    """Items 10, 48: an empty 2xx; everything goes by posts."""
    async with centre(tmp_path, push=True, sync_reply="none") as desk:
        said = await desk.peer.post(desk.peer.request(desk.request("TCC"), sync=False))
        assert (said.status, said.body) == (200, b"")
        await desk.desk.until(lambda _: sorted(came.message.kind for came in desk.peer.posts)
                              == ["acknowledgment", "business"])  # fmt: skip


@pytest.mark.parametrize("mode", ["mshSignalsOnly", "signalsOnly"])
async def test_item_48_signals_in_the_response_and_the_reply_by_a_post(tmp_path: Path, mode: str) -> None:
    """Items 48, 49."""
    async with centre(tmp_path, push=True, sync_reply=mode) as desk:
        said = await desk.peer.post(desk.peer.request(desk.request("TCC")))
        assert said.message.kind == "acknowledgment"
        await desk.desk.until(lambda _: [came.message.kind for came in desk.peer.posts] == ["business"])


@pytest.mark.parametrize("push", [True, False])
@pytest.mark.parametrize("mode", ["responseOnly", "signalsAndResponse"])
async def test_item_48_the_reply_in_the_response(tmp_path: Path, mode: str, push: bool) -> None:
    """Items 36, 37, 48, 49: client against server; a duplicate gets the same reply; one Acknowledgment ends it."""
    async with centre(tmp_path, push=push, sync_reply=mode) as desk:
        sent = desk.peer.request(desk.request("TCC"))
        said = await desk.peer.post(sent)
        reply = said.message
        assert (reply.header.action, reply.header.ref_to) == ("Reply", sent.header.message_id)
        assert (reply.acknowledgment is not None) == (mode == "signalsAndResponse")
        if reply.acknowledgment is not None:
            assert reply.acknowledgment.ref_to == sent.header.message_id
        number = desk.letters[0].number
        assert reply.payloads[0].content == desk.desk.read(lambda view: view.content(number))
        assert (await desk.peer.post(sent)).body == said.body
        await asyncio.sleep(0.2)
        assert desk.peer.posts == []
        assert desk.letters[0].delivered_at is None
        await _acknowledge(desk, reply)
        assert desk.states() == ["delivered"]
        assert (await desk.peer.post(sent)).body == said.body
        assert (len(desk.desk.requests), len(desk.letters)) == (1, 1)


async def test_item_37_a_slow_reply_goes_the_other_way(tmp_path: Path) -> None:
    """Section 5: past the deadline the Acknowledgment alone is said, for ever, and the reply is sent later."""
    slow = {"items": {"TXT": "0.8"}}
    changes: dict[str, Any] = {"sync_reply": "signalsAndResponse", "sync_wait_seconds": 0.2}
    async with centre(tmp_path, push=True, toml=extra_codes(), **changes) as desk:
        sent = desk.peer.request(desk.request("XSLOW", **slow))
        said = await desk.peer.post(sent)
        assert said.message.kind == "acknowledgment"
        await desk.desk.until(lambda _: [came.message.kind for came in desk.peer.posts] == ["business"])
        assert (await desk.peer.post(sent)).body == said.body


async def test_item_37_nothing_but_the_reply_may_be_said(tmp_path: Path) -> None:
    """Section 5, responseOnly: past the deadline an empty 2xx; who asks again while it is made waits for it too."""
    slow = {"items": {"TXT": "0.8"}}
    changes: dict[str, Any] = {"sync_reply": "responseOnly", "sync_wait_seconds": 0.2}
    async with centre(tmp_path, toml=extra_codes(), **changes) as desk:
        sent = desk.peer.request(desk.request("XSLOW", **slow))
        said = await asyncio.gather(*(desk.peer.post(sent) for _ in range(5)))
        assert {(one.status, one.body) for one in said} == {(200, b"")}
        await desk.desk.until(lambda _: bool(desk.letters))
        assert (await _pull(desk)).message.header.ref_to == sent.header.message_id


async def test_item_37_duplicates_at_once_get_one_reply(tmp_path: Path) -> None:
    """Items 36, 37: all who ask while the reply is made get the same bytes."""
    async with centre(tmp_path, sync_reply="signalsAndResponse") as desk:
        wire = desk.peer.write(desk.peer.request(desk.request("TCC")))
        said = await asyncio.gather(*(desk.peer.post(wire) for _ in range(40)))
        assert len({one.body for one in said}) == 1
        assert len(desk.letters) == 1


async def test_replies_without_acknowledgments_are_out_with_the_response(tmp_path: Path) -> None:
    """Section 5: where none is agreed, the stored answer is what a client that missed it comes back for."""
    async with centre(tmp_path, sync_reply="responseOnly", ack="never") as desk:
        sent = desk.peer.request(desk.request("TCC"), ack=None)
        said = await desk.peer.post(sent)
        assert said.message.ack_requested is None
        assert desk.states() == ["delivered"]
        assert (await desk.peer.post(sent)).body == said.body


async def test_pull_gives_the_oldest_letter_until_it_is_acknowledged(tmp_path: Path) -> None:
    """Issue 4: returned on pull; the same MessageId and bytes until the Acknowledgment, then the next one."""
    async with centre(tmp_path) as desk:
        for _ in range(3):
            await desk.ask()
        await desk.desk.processed(3)
        seen = []
        for left in (3, 2, 1):
            said = await _pull(desk)
            assert (await _pull(desk, sync=False)).body == said.body
            assert desk.states().count("waiting") == left
            seen.append(said.message.header.message_id)
            await _acknowledge(desk, said.message)
        assert desk.states() == ["delivered"] * 3
        assert [letter.door for letter in desk.letters] == ["ebms"] * 3
        assert len(set(seen)) == 3
        assert (await _pull(desk)).body == b""
        late = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
        assert (await _pull(desk, time_to_live=late)).error.code == "TimeToLiveExpired"
        asked = await desk.peer.post(desk.peer.request(action=PULL))
        assert asked.message.kind == "acknowledgment"


async def test_pull_survives_a_restart(tmp_path: Path) -> None:
    """Item 42: the message of a letter is in the store."""
    async with centre(tmp_path) as desk:
        await desk.ask()
        await desk.desk.processed(1)
        said = await _pull(desk)
    async with centre(tmp_path) as desk:
        assert (await _pull(desk)).body == said.body


async def test_pull_without_acknowledgments_collects_by_the_next_pull(tmp_path: Path) -> None:
    """Issue 4: without an agreed Acknowledgment a letter is collected by the next pull that names it."""
    async with centre(tmp_path, ack="never") as desk:
        for _ in range(2):
            await desk.ask(ack=None)
        await desk.desk.processed(2)
        first = (await _pull(desk)).message
        assert (await _pull(desk, ref_to="other@BROKER.SEKISHO.EXAMPLE")).message == first
        second = (await _pull(desk, ref_to=first.header.message_id)).message
        assert second.header.message_id != first.header.message_id
        assert desk.states() == ["delivered", "waiting"]
        assert (await _pull(desk, ref_to=second.header.message_id)).body == b""


async def test_an_acknowledgment_may_ride_on_the_next_pull(tmp_path: Path) -> None:
    """Section 5: signals beside a business message count as alone."""
    async with centre(tmp_path) as desk:
        for _ in range(2):
            await desk.ask()
        await desk.desk.processed(2)
        first = (await _pull(desk)).message
        receipt = desk.peer.acknowledgment(first).acknowledgment
        riding = dataclasses.replace(desk.peer.request(action=PULL, ack=None), acknowledgment=receipt)
        second = (await desk.peer.post(riding)).message
        assert second.header.message_id != first.header.message_id
        assert desk.states() == ["delivered", "waiting"]


async def test_a_letter_that_another_door_delivered_is_not_pulled(tmp_path: Path) -> None:
    """Issue 4, one mailbox: collected through one door it is gone from the others."""
    async with centre(tmp_path) as desk:
        for _ in range(2):
            await desk.ask()
        await desk.desk.processed(2)
        first = (await _pull(desk)).message
        await desk.desk.gateway.trays.collect("BRK", [desk.letters[0].number], "pop3", "127.0.0.1")
        second = (await _pull(desk)).message
        assert second.header.message_id != first.header.message_id
        await _acknowledge(desk, first)  # it arrived twice, and nothing breaks
        assert desk.letters[0].door == "pop3"


async def test_item_29_toparty_is_the_default_actor_of_replies(tmp_path: Path) -> None:
    """Item 29: our AckRequested names its actor and says that it need not be signed."""
    async with centre(tmp_path) as desk:
        await desk.ask()
        await desk.desk.processed(1)
        assert (await _pull(desk)).message.ack_requested == AckRequested(signed=False)
