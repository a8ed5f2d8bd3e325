"""A throw-away gateway to test against: a process of its own, free loopback ports, data that is gone afterwards.

*Strategy.* The settings file that it is given is copied with four changes: every listener takes any free port, the
data lives in a temporary folder, what identifies it (certificates, SSH host key) is made anew, and every mailbox that
is pushed to gets the address of the in-house system that runs the test. Everything else (users, places, cargo, limits)
is as the file says. Whoever tests it trusts these certificates and this key, and nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import tomllib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncssh

from sekisho.gateway.certificates import make_self_signed
from sekisho.gateway.conntest.agreements import copied_agreement, partners_side
from sekisho.gateway.conntest.lines import Target
from sekisho.gateway.conntest.toml import toml_text
from sekisho.gateway.inhouse import split_address
from sekisho.gateway.inhouse_doors import Access
from sekisho.gateway.settings_doors import Certificate

__all__ = ["PROGRAM", "CentreFailed", "RunningCentre", "default_settings", "throw_away_centre"]

PROGRAM: Final = (sys.executable, "-P", "-c", "from sekisho.gateway.cli import main; main()")
"""The command ``sekisho`` of this interpreter. -P: the current folder may hold the room ``codecs``, which is not the
standard library's module."""
_READY_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 15.0
_HERE: Final = ("localhost", "127.0.0.1", "::1")


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

    async def move_clock(self, where: str) -> None:
        """``sekisho clock``: forwards by ``3d`` or ``1h30m``, or to a Japan time. Raises OSError if it is not moved."""
        verb = "set" if "T" in where else "advance"
        args = ("clock", verb, where, "-c", str(self.settings), "--data", str(self.data))
        process = await asyncio.create_subprocess_exec(
            *PROGRAM, *args, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        _, errors = await process.communicate()
        if process.returncode:
            raise OSError(errors.decode(errors="replace").strip())

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


@dataclass(frozen=True, slots=True)
class _Copy:
    """The changed settings: their file, and the listeners as they stand in it."""

    path: Path
    listeners: tuple[Mapping[str, Any], ...]
    ebms: list[Mapping[str, Any]]

    def target(self, addresses: Mapping[str, str]) -> Target:
        """The doors at the addresses that they got, by listener name; of two of a kind the first counts."""
        folder, doors, centres = self.path.parent, dict[str, Access](), dict[str, str]()
        for listener in self.listeners:
            kind = listener.get("kind", "smtp")
            door = listener.get("mode", "two-way") if kind == "smtp" else kind
            if door in doors:
                continue
            host, port = split_address(addresses[listener["name"]])
            tls = listener.get("tls", "none")
            trust = str(folder / f"{listener['certificate']}.pem") if tls != "none" else ""
            if kind == "sftp":
                trust = _known_hosts(folder, host, port)
            if kind == "http":
                door, kind = "ebms", "ebms"
            doors[door] = Access(kind, host, port, tls=tls, trust=trust, path="/ebms" if kind == "ebms" else "")
            centres[door] = next(iter(listener.get("centre", ())), "")
        first = doors.get("two-way") or next(iter(doors.values()))
        centre = centres.get("two-way") or next(iter(centres.values()))
        agreements = partners_side(self.ebms, folder, f"http://{_HERE[0]}") if "ebms" in doors else ()
        return Target(first.host, first.port, centre, doors, centres.get("mail", ""), agreements)


def _copied(settings: Path, folder: Path, push: str, clock: str, ebms: str, *, sign: bool) -> _Copy:
    """Write the changed settings into ``folder``."""
    data = tomllib.loads(settings.read_text(encoding="utf-8"))
    data.setdefault("gateway", {})["data"] = str(folder / "data")
    if clock:
        data["gateway"]["clock"] = clock
    for listener in data.get("listener", []):
        host, _ = split_address(listener["address"], 0)
        listener["address"] = f"{host}:0"
        listener["host_keys"] = []
    for certificate in data.get("certificate", []):
        name = certificate["name"]
        certificate |= {"certificate": f"{name}.pem", "key": f"{name}.key", "self_signed": False}
        if certificate.get("client_ca"):
            certificate["client_ca"] = str((settings.parent / certificate["client_ca"]).resolve())
        pem, key = str(folder / f"{name}.pem"), str(folder / f"{name}.key")
        make_self_signed(Certificate(name=name, certificate=pem, key=key), _HERE, datetime.now(UTC))
    seed = data.get("registry", {}).get("seed")
    if seed:
        registry = tomllib.loads((settings.parent / seed).read_text(encoding="utf-8"))
        for box in registry.get("box", []):
            if "push" in box or "smtp-push" in box.get("doors", ()):
                box["push"] = push
        data["registry"]["seed"] = "registry.toml"
        (folder / "registry.toml").write_text(toml_text(registry), encoding="utf-8")
    data["ebms"] = [copied_agreement(one, folder, url=ebms, sign=sign) for one in data.get("ebms", ())]
    path = folder / "gateway.toml"
    path.write_text(toml_text(data), encoding="utf-8")
    return _Copy(path, tuple(data.get("listener", ())), data["ebms"])


def _known_hosts(folder: Path, host: str, port: int) -> str:
    """A file of known hosts with the key that the gateway has made for itself."""
    key = asyncssh.read_private_key(str(folder / "data" / "sftp_host_key")).export_public_key().decode("ascii").strip()
    path = folder / "known_hosts"
    path.write_text(f"[{host}]:{port} {' '.join(key.split()[:2])}\n", encoding="ascii")
    return str(path)


@contextlib.asynccontextmanager
async def throw_away_centre(
    settings: Path, push: str, *, clock: str = "", ebms: str = "", sign: bool = False
) -> AsyncIterator[RunningCentre]:
    """A gateway on the settings of a file that pushes to ``push`` (``host:port``), for the length of the block.

    ebMS partners with a url are posted to at ``ebms`` instead; ``sign``: ebMS messages are signed whatever was agreed.
    ``clock`` is the Japan time its clock starts at (``2025-10-01T09:00``), empty to leave it as the file says.
    Raises :class:`CentreFailed` if it does not come up within half a minute; at the end it is told to close in order.
    """
    with tempfile.TemporaryDirectory(prefix="sekisho-") as name:
        folder = Path(name)
        copy = _copied(settings, folder, push, clock, ebms, sign=sign)
        path = copy.path
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
            yield RunningCentre(copy.target(listeners), listeners, path, folder / "data", log, process.pid)
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
