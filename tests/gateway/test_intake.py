"""When two transmissions are one request (decisions, "Identity of a request"; reliability 1)."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from sekisho.mailboxes.letters import RequestState
from sekisho.mailboxes.store import Unit

from .support import BROKER, CENTRE, OTHER, STRANGER, Desk, extra_codes, house, result_of

ID = "<42@SMTP.BROKER.SEKISHO.EXAMPLE>"


def _put(desk: Desk, text: str = "ONE", carry: str = "", input_id: str = "") -> bytes:
    """A request that changes something: each run takes the next number of a series and answers it as its key."""
    return desk.request("XPUT", items={"TXT": text}, carry=carry, input_id=input_id)


def _keys(desk: Desk) -> list[str]:
    return [request.key for request in desk.requests if request.result.startswith("00000")]


async def test_same_id_same_bytes(tmp_path: Path) -> None:
    """One effect, 250 again, and the same letters again under the same Message-ID."""
    async with house(tmp_path, extra_codes()) as desk:
        (first,) = await desk.ask(_put(desk), message_id=ID)
        await desk.until(lambda view: view.letters_of(1)[0].delivered_at)
        (again,) = await desk.ask(_put(desk), message_id=ID)
        assert again.content == first.content
        assert again.transport_id == first.transport_id != ""
        assert len(desk.requests) == len(desk.letters()) == 1
        assert desk.read(lambda view: view.record("extra", "ONE")) == {"n": "00000000011"}
        assert desk.events("request.repeated") == [""]


async def test_same_id_other_bytes(tmp_path: Path) -> None:
    """Refused finally with 554, nothing kept, the audit trail and the log say so."""
    async with house(tmp_path, extra_codes()) as desk:
        await desk.ask(_put(desk), message_id=ID)
        submission = await desk.post(_put(desk, "TWO"), message_id=ID)
        assert (submission.stage, submission.code) == ("dot", 554)
        assert len(desk.requests) == 1
        assert desk.events("request.conflicted") == [ID]
        assert desk.read(lambda view: view.record("extra", "TWO")) is None


async def test_same_id_of_another_sender(tmp_path: Path) -> None:
    """The sender belongs to the identity: user ID and transport principal; letter case of addresses does not count."""
    async with house(tmp_path, extra_codes()) as desk:
        await desk.ask(_put(desk), message_id=ID)
        await desk.ask(desk.request("XPUT", user="1ANACA0B", items={"TXT": "B"}), message_id=ID)
        await desk.ask(_put(desk), message_id=ID, sender=STRANGER)
        assert len(desk.requests) == 3
        await desk.until(lambda view: view.letters_of(1)[0].delivered_at)
        await desk.ask(_put(desk), message_id=ID, sender=BROKER.lower())
        assert len(desk.requests) == 3


async def test_same_id_at_once(tmp_path: Path) -> None:
    """Twenty copies at the same time, the password not yet verified: all 250, one effect (reliability R12)."""
    async with house(tmp_path, extra_codes() + "[limits]\nconnections_partner = 20\n") as desk:
        posted = await asyncio.gather(*(desk.post(_put(desk), message_id=ID) for _ in range(20)))
        assert all(submission.accepted for submission in posted)
        await desk.processed(1)
        assert len(_keys(desk)) == len(desk.letters()) == 1


async def test_same_id_across_a_restart(tmp_path: Path) -> None:
    """A resend after a restart is still the same request, its replies the same bytes and Message-ID."""
    async with house(tmp_path, extra_codes()) as desk:
        (first,) = await desk.ask(_put(desk, carry="TAG"), message_id=ID)
    async with house(tmp_path, extra_codes()) as desk:
        (again,) = await desk.ask(_put(desk, carry="TAG"), message_id=ID)
        assert (again.content, again.transport_id) == (first.content, first.transport_id)
        assert len(desk.requests) == 1


async def test_same_id_of_a_refused_request(tmp_path: Path) -> None:
    """With an id the answer is the stored one, also where it was a refusal."""
    async with house(tmp_path, extra_codes()) as desk:
        content = desk.request("XPUT", password="WRONG999", items={"TXT": "ONE"})
        (first,) = await desk.ask(content, message_id=ID)
        await desk.until(lambda view: view.letters_of(1)[0].delivered_at)
        (again,) = await desk.ask(content, message_id=ID)
        assert result_of(first) == "A0004"
        assert again.content == first.content
        assert len(desk.requests) == 1


@pytest.mark.parametrize("tags", [{"carry": "TAG"}, {"input_id": "ID1"}, {"carry": "TAG", "input_id": "ID1"}])
async def test_no_id_with_a_tag(tmp_path: Path, tags: dict[str, str]) -> None:
    """Identical bytes with a filled tag within the window: the same request, the same replies again."""
    async with house(tmp_path, extra_codes()) as desk:
        content = _put(desk, carry=tags.get("carry", ""), input_id=tags.get("input_id", ""))
        (first,) = await desk.ask(content)
        await desk.until(lambda view: view.letters_of(1)[0].delivered_at)
        (again,) = await desk.ask(content)
        assert (again.content, again.transport_id) == (first.content, first.transport_id)
        assert len(_keys(desk)) == len(desk.letters()) == 1
        assert [request.state for request in desk.requests] == [RequestState.DONE] * 2
        assert desk.events("request.repeated") == ["1"]


async def test_no_id_with_a_tag_after_the_window(tmp_path: Path) -> None:
    """Outside the window the same bytes are a request of their own."""
    async with house(tmp_path, extra_codes() + "[identity]\nwindow_seconds = 0.2\n") as desk:
        await desk.ask(_put(desk, carry="TAG"))
        await asyncio.sleep(0.3)
        await desk.ask(_put(desk, carry="TAG"))
        assert len(_keys(desk)) == len(desk.letters()) == 2


async def test_no_id_with_blank_tags(tmp_path: Path) -> None:
    """Identical bytes with blank tags are two requests, and the log says that they look alike."""
    async with house(tmp_path, extra_codes()) as desk:
        await desk.ask(_put(desk))
        await desk.ask(_put(desk))
        assert len(_keys(desk)) == len(desk.letters()) == 2
        assert desk.events("request.looked_alike") == ["1"]


async def test_identical_bytes_with_different_ids(tmp_path: Path) -> None:
    """Different ids are two requests whatever the tags say, and the log says that they look alike."""
    async with house(tmp_path, extra_codes()) as desk:
        for number in (1, 2):
            await desk.ask(_put(desk, carry="TAG"), message_id=f"<{number}@SMTP.BROKER.SEKISHO.EXAMPLE>")
        assert len(_keys(desk)) == len(desk.letters()) == 2
        assert desk.events("request.looked_alike") == ["1"]


async def test_failed_first(tmp_path: Path) -> None:
    """Without an id a refused request is processed anew: here the account was not usable the first time."""

    def suspended(yes: bool) -> Callable[[Unit], None]:
        def write(unit: Unit) -> None:
            account = unit.account("1ANACA0A")
            assert account is not None
            unit.put_account(replace(account, suspended=yes))

        return write

    async with house(tmp_path, extra_codes()) as desk:
        await desk.write(suspended(True))
        (arrival,) = await desk.ask(_put(desk, carry="TAG"))
        assert result_of(arrival) == "A0014"
        await desk.write(suspended(False))
        (arrival,) = await desk.ask(_put(desk, carry="TAG"))
        assert result_of(arrival) == "00000"
        assert len(_keys(desk)) == 1


@pytest.mark.parametrize("business", ["TCC", "SYG", "ICG"])
async def test_business_that_changes_nothing(tmp_path: Path, business: str) -> None:
    """T, B and Q codes and SYG are always processed anew: a list a minute later is another list."""
    items: Mapping[str, str] = {"TCC": {}, "SYG": {"OCD": "REF"}, "ICG": {"CGN": "SMPLBL0001"}}[business]
    async with house(tmp_path) as desk:
        content = desk.request(business, items=items, carry="TAG")
        for _ in range(2):
            (arrival,) = await desk.ask(content)
            assert arrival.carry == b"TAG".ljust(26)
        assert len(desk.letters()) == len([r for r in desk.requests if r.result]) == 2


async def test_first_is_still_deferred(tmp_path: Path) -> None:
    """The second copy comes while the first waits for its password: it waits behind it and is recognised."""
    async with house(tmp_path, extra_codes()) as desk:
        for _ in range(3):
            assert (await desk.post(_put(desk, carry="TAG"))).accepted
        await desk.processed(3)
        assert len(_keys(desk)) == len(desk.letters()) == 1
        assert len(desk.events("request.repeated")) == 2


async def test_per_transport(tmp_path: Path) -> None:
    """Two listeners are two transports: the same bytes are two requests (decisions)."""
    toml = f'[[listener]]\nname = "mail"\nmode = "mail"\naddress = "127.0.0.1:0"\ncentre = ["{CENTRE}"]\n'
    async with house(tmp_path, toml + extra_codes()) as desk:
        await desk.ask(_put(desk, carry="TAG"), message_id=ID)
        other = Desk(desk.store, desk.inhouse, {"two-way": desk.listeners["mail"]}, desk.gateway)
        await other.ask(_put(desk, carry="TAG"), message_id=ID)
        assert [request.transport for request in desk.requests] == ["two-way", "mail"]
        assert len(_keys(desk)) == 2


async def test_recognised_also_for_a_user_that_is_refused(tmp_path: Path) -> None:
    """A0013 with an id: repeated to the same box, never processed twice."""
    async with house(tmp_path) as desk:
        (first,) = await desk.ask(desk.request("TCC"), sender=OTHER, message_id=ID)
        await desk.until(lambda view: view.letters_of(1)[0].delivered_at)
        (again,) = await desk.ask(desk.request("TCC"), sender=OTHER, message_id=ID)
        assert first.content == again.content
        assert first.box == again.box == OTHER
        assert len(desk.requests) == 1
