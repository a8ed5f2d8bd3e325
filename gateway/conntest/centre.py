"""A throw-away gateway to test against: a process of its own, free loopback ports, data that is gone afterwards.

*Strategy.* The settings file that it is given is copied with three changes: every listener takes any free port, the
data lives in a temporary folder, and every mailbox that is pushed to gets the address of the in-house system that runs
the test. Everything else (users, places, cargo, limits) is as the file says.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import tempfile
import tomllib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sekisho.gateway.conntest.runner import Target
from sekisho.gateway.inhouse import split_address

__all__ = ["PROGRAM", "CentreFailed", "RunningCentre", "default_settings", "throw_away_centre"]

PROGRAM: Final = (sys.executable, "-P", "-c", "from sekisho.gateway.cli import main; main()")
"""The command ``sekisho`` of this interpreter. -P: the current folder may hold the room ``codecs``, which is not the
standard library's module."""
_READY_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 15.0
_BARE: Final = re.compile("[A-Za-z0-9_-]+")


class CentreFailed(Exception):
    """The gateway did not come up; the text says why, ``log`` is what it wrote."""

    def __init__(self, text: str, log: str) -> None:
        super().__init__(text)
        self.log = log


@dataclass(frozen=True, slots=True)
class RunningCentre:
    """A gateway that is up: what it listens on by listener name, its settings file and data, and its log so far."""

    target: Target
    listeners: Mapping[str, str]
    settings: Path
    data: Path
    log_file: Path
    pid: int

    @property
    def log(self) -> str:
        """What the gateway has written to its log until now."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")


def default_settings() -> Path:
    """``samples/gateway.toml`` of the current folder, or of the checkout this program runs from.

    Raises FileNotFoundError where there is neither.
    """
    for folder in (Path.cwd(), Path(__file__).resolve().parents[2]):
        path = folder / "samples" / "gateway.toml"
        if path.is_file():
            return path
    raise FileNotFoundError("there is no samples/gateway.toml here; name a settings file with -c")


def toml_text(data: Mapping[str, Any], path: tuple[str, ...] = ()) -> str:
    """A mapping as TOML: plain values first, then its tables. A JSON string is a TOML string."""

    def key(name: str) -> str:
        return name if _BARE.fullmatch(name) else json.dumps(name)

    def is_tables(value: object) -> bool:
        return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)

    lines, tables = [], []
    for name, value in data.items():
        where = (*path, name)
        title = ".".join(map(key, where))
        if isinstance(value, dict):
            tables.append(f"\n[{title}]\n{toml_text(value, where)}")
        elif is_tables(value):
            tables.extend(f"\n[[{title}]]\n{toml_text(one, where)}" for one in value)
        else:
            shown = value.isoformat() if hasattr(value, "isoformat") else json.dumps(value, ensure_ascii=False)
            lines.append(f"{key(name)} = {shown}\n")
    return "".join(lines) + "".join(tables)


def _copied(settings: Path, folder: Path, push: str, clock: str) -> tuple[Path, str]:
    """Write the changed settings into ``folder``; the file, and the centre's address of the first listener."""
    data = tomllib.loads(settings.read_text(encoding="utf-8"))
    data.setdefault("gateway", {})["data"] = str(folder / "data")
    if clock:
        data["gateway"]["clock"] = clock
    centre = ""
    for listener in data.get("listener", []):
        host, _ = split_address(listener["address"], 0)
        listener["address"] = f"{host}:0"
        if listener.get("kind") == "smtp" and not centre:
            centre = listener["centre"][0]
    seed = data.get("registry", {}).get("seed")
    if seed:
        registry = tomllib.loads((settings.parent / seed).read_text(encoding="utf-8"))
        for box in registry.get("box", []):
            if "push" in box or "smtp-push" in box.get("doors", ()):
                box["push"] = push
        data["registry"]["seed"] = "registry.toml"
        (folder / "registry.toml").write_text(toml_text(registry), encoding="utf-8")
    path = folder / "gateway.toml"
    path.write_text(toml_text(data), encoding="utf-8")
    return path, centre


@contextlib.asynccontextmanager
async def throw_away_centre(settings: Path, push: str, *, clock: str = "") -> AsyncIterator[RunningCentre]:
    """A gateway on the settings of a file that pushes to ``push`` (``host:port``), for the length of the block.

    ``clock`` is the Japan time its clock starts at (``2025-10-01T09:00``), empty to leave it as the file says.
    Raises :class:`CentreFailed` if it does not come up within half a minute; at the end it is told to close in order.
    """
    with tempfile.TemporaryDirectory(prefix="sekisho-") as name:
        folder = Path(name)
        path, centre = _copied(settings, folder, push, clock)
        log = folder / "gateway.log"
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *PROGRAM,
                *("serve", "-c", str(path), "--data", str(folder / "data")),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=os.environ | {"PYTHONUTF8": "1"},
            )
        try:
            ready = await _ready(process)
            if isinstance(ready, str):
                raise CentreFailed(ready, log.read_text(encoding="utf-8", errors="replace"))
            listeners = ready["listeners"]
            host, port = split_address(next(iter(listeners.values())))
            target = Target(host, port, centre)
            yield RunningCentre(target, listeners, path, folder / "data", log, process.pid)
        finally:
            await _stop(process)


async def _ready(process: asyncio.subprocess.Process) -> dict[str, Any] | str:
    """The ready event, or why there is none."""
    if process.stdout is None:
        raise RuntimeError("the gateway was started without a pipe")
    try:
        async with asyncio.timeout(_READY_SECONDS):
            while line := await process.stdout.readline():
                with contextlib.suppress(ValueError):
                    event = json.loads(line)
                    if isinstance(event, dict) and event.get("event") == "gateway.ready":
                        return event
            return f"the gateway ended with exit code {await process.wait()} before it was ready"
    except TimeoutError:
        return f"the gateway was not ready within {_READY_SECONDS:g} s"


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
