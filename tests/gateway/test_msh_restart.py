"""The message service handler under kill -9: what was answered is kept, what was kept is answered alike."""

import asyncio
import contextlib
import dataclasses
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sekisho.mailboxes.letters import Box, SentMessage
from sekisho.mailboxes.sqlite import SqliteStore
from tests.gateway.ebms_peer import Peer
from tests.gateway.msh_house import LISTENER, profile, table_of
from tests.gateway.support import Desk, served, settings_of, store_file

BOX = "SHELF"
"""The one box that the process's set-up leaves alone."""
DIES = """
import os, signal
from sekisho.gateway import msh
from sekisho.transports import ebms

def at(owner, name, before):
    real = getattr(owner, name)
    async def dying(*args, **more):
        if not before:
            await real(*args, **more)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(owner, name, dying)

at({owner}, "{name}", {before})
from sekisho.gateway.cli import main
main()
"""
"""A gateway that kills itself before or after one step of its own."""


def _dying(owner: str, name: str, *, before: bool) -> list[str]:
    return [sys.executable, "-P", "-c", DIES.format(owner=owner, name=name, before=before)]


@contextlib.asynccontextmanager
async def _centre(folder: Path, peer: Peer, program: list[str] | None = None, **changes: Any) -> AsyncIterator[Desk]:  # noqa: ANN401 - keys of a profile
    toml = LISTENER + table_of(profile(box=BOX, **changes))
    if not store_file(folder).exists():
        settings_of(folder, toml)
        store = SqliteStore(store_file(folder), clock_us=lambda: 1)
        with store.transaction() as unit:
            account = unit.account("1ANACA0A")
            assert account is not None
            unit.put_box(Box(BOX, "SHELF@SMTP.BROKER.SEKISHO.EXAMPLE", ("ebms",)))
            unit.put_account(dataclasses.replace(account, box=BOX))
        store.close()
    async with served(folder, toml, program=program or ()) as desk:
        peer.url = f"http://{desk.listeners['ebms']}/ebms"
        yield desk


async def _died(desk: Desk) -> None:
    assert await asyncio.wait_for(desk.served.wait(), 15) == -9


async def test_item_36_killed_between_commit_and_response_the_answer_is_the_same(tmp_path: Path) -> None:
    """Items 36, 38 and section 14: the sender heard nothing, sends again, and gets the answer that was kept then."""
    peer = Peer()
    wire = None
    dying = _dying("msh.MessageService", "_accepted", before=True)
    async with _centre(tmp_path, peer, dying) as desk:
        wire = peer.write(peer.request(desk.request("TCC")))
        with pytest.raises(aiohttp.ClientError):
            await peer.post(wire)
        await _died(desk)
    await peer.close()
    async with _centre(tmp_path, peer) as desk:
        (request,) = desk.requests
        kept = desk.read(lambda view: view.answer(request.number))
        said = [await peer.post(wire) for _ in range(3)]
        assert {one.body for one in said} == {kept.partition(b"\r\n\r\n")[2]}
        assert said[0].message.kind == "acknowledgment"
        await desk.processed(1)
        assert (len(desk.requests), len(desk.letters(BOX))) == (1, 1)
    await peer.close()


async def test_item_37_killed_before_the_reply_joined_the_reply_still_comes(tmp_path: Path) -> None:
    """Items 36, 37: nothing had been said, so who asks again gets the business reply that the agreement promises."""
    peer = Peer()
    dying = _dying("msh.MessageService", "_accepted", before=True)
    changes: dict[str, Any] = {"sync_reply": "signalsAndResponse"}
    async with _centre(tmp_path, peer, dying, **changes) as desk:
        wire = peer.write(peer.request(desk.request("TCC")))
        with pytest.raises(aiohttp.ClientError):
            await peer.post(wire)
        await _died(desk)
    await peer.close()
    async with _centre(tmp_path, peer, **changes) as desk:
        first = await peer.post(wire)
        assert first.message.kind == "business"
        assert first.message.acknowledgment is not None
        assert (await peer.post(wire)).body == first.body
    await peer.close()


def _sent(desk: Desk) -> SentMessage | None:
    letters = desk.letters(BOX)
    return desk.read(lambda view: view.sent_for(letters[0].number)) if letters else None


@pytest.mark.parametrize("before", [True, False])
async def test_item_42_killed_around_a_post_the_same_message_is_sent_again(tmp_path: Path, before: bool) -> None:
    """Items 35, 42: the message is on disk before its first attempt, so a partner recognises the second one."""
    peer = Peer()
    async with peer.listening() as url:
        changes: dict[str, Any] = {"url": url, "sync_reply": "none", "retry_interval_seconds": 300}
        async with _centre(tmp_path, peer, _dying("ebms.EbmsSender", "post", before=before), **changes) as desk:
            with contextlib.suppress(aiohttp.ClientError):
                await peer.post(peer.request(desk.request("TCC"), sync=False, ack=None))
            await _died(desk)
            kept = _sent(desk)
        assert kept is not None
        assert len(peer.posts) == (0 if before else 1)
        await peer.close()
        async with _centre(tmp_path, peer, **changes) as desk:
            await desk.until(lambda _: [letter.state for letter in desk.letters(BOX)] == ["delivered"])
        assert {came.body for came in peer.posts} == {kept.content}
    await peer.close()
