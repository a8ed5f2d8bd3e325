"""docs/add-a-business-code.md, run as it stands: its files, its commands, on free ports."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sekisho.gateway.inhouse import InHouseSystem, build_mail, submit
from sekisho.handlers import catalogue

from .support import BROKER, CENTRE, result_of, results_of

DOCUMENT = (Path(__file__).parents[2] / "docs" / "add-a-business-code.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
FILES = {name: text for _, name, text in BLOCKS if name}
COMMANDS = [line[2:] for kind, _, text in BLOCKS if kind == "console" for line in text.splitlines()]
BIN = Path(sys.executable).parent


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def recipe(tmp_path: Path) -> dict[str, str]:
    """The recipe's files in a folder; the commands by their second word, with the ports that were free."""
    ports = {"127.0.0.1:2525": f"127.0.0.1:{_free_port()}", "127.0.0.1:2626": f"127.0.0.1:{_free_port()}"}

    def moved(text: str) -> str:
        for printed, free in ports.items():
            text = text.replace(printed, free)
        return text

    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(moved(text), "utf-8")
    return {command.split()[1]: moved(command) for command in COMMANDS} | ports


def _run(folder: Path, command: str) -> str:
    """One command of the recipe in a shell, which must succeed; what it printed."""
    done = subprocess.run(
        ["sh", "-c", f"{COMMANDS[0]}; {command}"],
        cwd=folder,
        env=os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


@pytest_asyncio.fixture
async def gateway(tmp_path: Path, recipe: dict[str, str]) -> AsyncIterator[None]:
    """The recipe's gateway, ready."""
    process = await asyncio.create_subprocess_exec(
        *["sh", "-c", f"{COMMANDS[0]}; exec {recipe['serve'].removesuffix('&')}"],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 30)
    assert json.loads(line)["event"] == "gateway.ready"
    yield
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 20) == 0


def test_files_and_commands(tmp_path: Path, recipe: dict[str, str]) -> None:
    """The tables are shown, the sample is written and read without a finding (house, "Adding things")."""
    assert sorted(recipe)[2:] == ["PYTHONPATH=.", "check-config", "codes", "decode", "encode", "send", "serve"]
    shown = _run(tmp_path, recipe["codes"])
    for word in ("ゲートパス登録", "CNO", "ODT", "CGTP010"):
        assert word in shown
    _run(tmp_path, recipe["encode"])
    decoded = _run(tmp_path, recipe["decode"])
    assert "北門" in decoded
    found = json.loads(_run(tmp_path, f"{recipe['decode']} --json"))
    assert (found["errors"], found["findings"]) == ([], [])
    _run(tmp_path, recipe["check-config"])


@pytest.mark.usefixtures("gateway")
async def test_the_recipe_answers(tmp_path: Path, recipe: dict[str, str]) -> None:
    """``sekisho send`` prints the notice with the number and the pass."""
    await asyncio.to_thread(_run, tmp_path, recipe["encode"])
    printed = await asyncio.to_thread(_run, tmp_path, recipe["send"])
    assert "*CGTP01" in printed
    assert "CGTP010" in printed
    assert "00000000011" in printed


@pytest.mark.usefixtures("gateway")
async def test_second_pass_is_refused(tmp_path: Path, recipe: dict[str, str]) -> None:
    """The last paragraph: E9001 at CNO for the same container and day; a bad item names itself."""
    await asyncio.to_thread(_run, tmp_path, recipe["encode"])
    content = (tmp_path / "request.txt").read_bytes()
    host, port = recipe["127.0.0.1:2525"].split(":")
    async with InHouseSystem(catalogue(), recipe["127.0.0.1:2626"]) as system:
        again = content.replace(b"FIRST PASS", b"2ND   PASS")
        bad = content.replace(b"FIRST PASS", b"THIRD PASS").replace(b"20251002", b"20251302")
        for request in (content, again, bad):
            mail = build_mail(request, sender=BROKER, recipient=CENTRE)
            assert (await submit(host, int(port), mail, sender=BROKER, recipient=CENTRE)).accepted
        assert await system.wait(lambda arrivals: len(arrivals) >= 4, 15)
        notices = [arrival for arrival in system.arrivals if arrival.message.header.kind == "R"]
        assert [result_of(notice) for notice in notices] == ["00000", "E9001", "S9003"]
        assert results_of(notices[1]) == ["E9001-CNO -0000"]
        assert results_of(notices[2]) == ["S9003-ODT -0000"]
        passes = [arrival.content[400:411] for arrival in system.arrivals if arrival.message.header.kind == "C"]
        assert passes == [b"00000000011"]
