"""The whole: up and down in order, the ready line, the exit code (house, section 2)."""

import asyncio
import json
import socket
import sys
import time
from pathlib import Path

import pytest

from sekisho.gateway.app import Gateway
from sekisho.gateway.clock import JAPAN
from sekisho.gateway.inhouse import InHouseSystem
from sekisho.handlers import catalogue
from sekisho.mailboxes.letters import RequestState

from .support import CENTRE, OTHER, Desk, extra_codes, house, result_of, served, settings_of


async def test_several_listeners(tmp_path: Path) -> None:
    """Every listener is named in the ready line with the port that it got."""
    toml = f'[[listener]]\nname = "mail"\nmode = "mail"\naddress = "127.0.0.1:0"\ncentre = ["{CENTRE}"]\n'
    async with served(tmp_path, toml) as desk:
        assert sorted(desk.listeners) == ["mail", "two-way"]
        for address in desk.listeners.values():
            host, _, port = address.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            assert (await reader.readline()).startswith(b"220 ")
            writer.close()


async def test_port_in_use(tmp_path: Path) -> None:
    """A listener that cannot start: exit code 2 and one line that says which address, no traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        folder = tmp_path / "x"
        folder.mkdir()
        settings_of(folder)
        path = folder / "gateway.toml"
        path.write_text(path.read_text().replace("127.0.0.1:0", f"127.0.0.1:{taken.getsockname()[1]}"))
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("sekisho")), "serve", "-c", str(path), "--data", str(folder / "var"),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 2
        assert out == b""
        assert b"a listener could not start" in err
        assert b"Traceback" not in err


async def test_letters_made_while_closing(tmp_path: Path) -> None:
    """What is processed after the couriers have gone home is sent by the next start, once."""
    async with served(tmp_path, extra_codes()) as desk:
        await desk.ask(desk.request("TCC", user="2BKOUB0B"), sender=OTHER)
        await desk.post(desk.request("XSLOW", items={"TXT": "1"}, carry="LATE"))
        desk.served.terminate()
        assert await asyncio.wait_for(desk.served.wait(), 20) == 0
        assert {request.state for request in desk.requests} == {RequestState.DONE}
        sent = len(desk.inhouse.arrivals)
    async with house(tmp_path, extra_codes()) as desk:
        await asyncio.sleep(0.5)
        assert [arrival.carry.strip() for arrival in desk.inhouse.arrivals] == [b"LATE"] * (2 - sent)


async def test_closing_with_mails_under_way(tmp_path: Path) -> None:
    """SIGTERM under load: what was answered 250 is in the journal and processed, the exit code is 0."""
    async with served(tmp_path) as desk:
        content = desk.request("TCC")
        posts = [asyncio.create_task(desk.post(content, sender=f"{n}@X.EXAMPLE")) for n in range(40)]
        await asyncio.sleep(0.05)
        desk.served.terminate()
        answers = await asyncio.gather(*posts)
        assert await asyncio.wait_for(desk.served.wait(), 20) == 0
        accepted = sum(answer.accepted for answer in answers)
        assert len(desk.requests) >= accepted
        assert desk.read(lambda view: view.received()) == []
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log
    assert "was never retrieved" not in log


async def test_close_is_quick_when_a_peer_hangs(tmp_path: Path) -> None:
    """A peer that connects and says nothing does not hold the end up beyond the grace."""
    async with served(tmp_path) as desk:
        peers = [await asyncio.open_connection("127.0.0.1", desk.port) for _ in range(5)]
        began = time.monotonic()
        desk.served.terminate()
        assert await asyncio.wait_for(desk.served.wait(), 20) == 0
        assert time.monotonic() - began < 8
        for _, writer in peers:
            writer.close()


async def test_moved_clock(tmp_path: Path) -> None:
    """In a test environment rules, stamps and mails live at the clock's time, and it goes on from there."""
    async with house(tmp_path, '[gateway]\nclock = "2027-04-01T08:59:58"\n') as desk:
        (arrival,) = await desk.ask(desk.request("TCC"))
        assert arrival.content[15:27] in (b"202704010859", b"202704010900")
        first = desk.gateway.clock.now()
        assert (first.year, first.tzinfo) == (2027, JAPAN)
        await asyncio.sleep(0.05)
        assert desk.gateway.clock.now() > first


async def test_memory_store(tmp_path: Path) -> None:
    """``store.url = "memory"`` is the same gateway without a file (settings)."""
    (tmp_path / "registry.toml").write_text(
        '[[user]]\nid = "1ANACA0A"\npassword = "SAMPLE01"\nbox = "B"\n[[box]]\nid = "B"\naddress = "A@B.EXAMPLE"\n'
        "doors = []\n"
    )
    settings = settings_of(tmp_path, '[store]\nurl = "memory"\n[registry]\nseed = "registry.toml"\n')
    gateway = Gateway(settings)
    listeners = await gateway.start()
    try:
        desk = Desk(gateway.store, InHouseSystem(catalogue()), listeners, gateway)
        assert (await desk.post(desk.request("TCC"))).accepted
        await desk.processed(1)
        (letter,) = desk.letters("B")
        assert desk.read(lambda view: view.content(letter.number))[400:405] == b"00000"
    finally:
        await gateway.stop()


@pytest.mark.parametrize("form", ["console", "json"])
async def test_log_without_content(tmp_path: Path, form: str) -> None:
    """One line a message with numbers and codes; passwords, items and raw control characters never stand in the log."""
    toml = f'[log]\nformat = "{form}"\nlevel = "debug"\n'
    async with served(tmp_path, toml) as desk:
        await desk.ask(desk.request("TCC", items={"I01": "ITEM VALUE"}, carry="CARRY1"))
        (arrival,) = await desk.ask(desk.request("TCC", password="GUESS123", items={"I01": "ITEM VALUE"}))
        assert result_of(arrival) == "A0004"
        first = desk.request("TCC", items={"I01": "ONE"})
        await desk.ask(first, message_id="<\x1b[31m@X.EXAMPLE>")
        assert (await desk.post(desk.request("TCC"), message_id="<\x1b[31m@X.EXAMPLE>")).code == 554
    log = (tmp_path / "log").read_text()
    for secret in ("SAMPLE01", "GUESS123", "ITEM VALUE", "\x1b[31m@"):
        assert secret not in log
    assert log.count("message.processed") == 3
    if form == "json":
        lines = [json.loads(line) for line in log.splitlines()]
        (wrong,) = [line for line in lines if line.get("result") == "A0004-0000-0000"]
        assert {"request", "user", "business_code", "result", "stage", "letters"} <= wrong.keys()
