"""Other people's clients at the doors: curl and OpenSSH, run as their users run them.

*Strategy.* A demonstration of a door by the hand that built it proves little, so where a machine has one of these, it
fetches and posts instead of ours. Each is a collector or a poster like ours, so nothing else knows the difference.
Passwords go in by standard input or the environment of that one process, never by its arguments, which everybody on the
machine can read.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from sekisho.gateway.inhouse_doors import Access, Fetched, LineError
from sekisho.gateway.inhouse_pop3 import opened_mail
from sekisho.gateway.inhouse_sftp import letter_order

__all__ = ["CurlPop3", "OpenSshSftp", "curl_post", "program"]

_SECONDS: Final = 30.0
_CURL: Final = ("curl", "-q", "-sS", "--max-time", f"{_SECONDS:g}", "--config", "-")
_DENIED: Final = 67
"""What curl ends with when it is not let in."""


async def program(name: str) -> str:
    """What ``curl`` or ``sftp`` of this machine is called with its version; empty where it cannot do what is needed."""
    command = {"curl": ("curl", "--version"), "sftp": ("ssh", "-V")}[name]
    if shutil.which(name) is None or shutil.which(command[0]) is None:
        return ""
    asked = await _run(*command)
    said = (asked.output + asked.errors).decode("ascii", "replace")
    if name == "curl" and not re.search(r"^Protocols:.* pop3s", said, re.MULTILINE):
        return ""
    found = re.match(r"curl [0-9.]+|OpenSSH_[0-9.p]+", said)
    return found[0].replace("_", " ") if found else name


class _Ran:
    __slots__ = ("code", "errors", "output")

    def __init__(self, code: int, output: bytes, errors: bytes) -> None:
        self.code, self.output, self.errors = code, output, errors

    @property
    def reason(self) -> str:
        """The last line of what it complained of."""
        lines = self.errors.decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:200] if lines else f"exit code {self.code}"


async def _run(*command: str, text: bytes = b"", environment: Mapping[str, str] | None = None) -> _Ran:
    """Run a program with a home of nobody's. Raises :class:`LineError` if it does not end in time."""
    base = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "HOME": "/nonexistent"}
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=base | dict(environment or {}),
        start_new_session=True,  # ssh would ask a terminal for the password, if it had one
    )
    try:
        async with asyncio.timeout(_SECONDS):
            output, errors = await process.communicate(text)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise LineError("connect", f"{Path(command[0]).name} did not end in time") from None
    return _Ran(process.returncode or 0, output, errors)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sekisho-") as name:
        yield Path(name)


class CurlPop3:
    """curl at POP3; see :class:`~sekisho.gateway.inhouse_doors.Collector`."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def waiting(self) -> list[str]:
        """See :meth:`~sekisho.gateway.inhouse_doors.Collector.waiting`."""
        return [name for _, name in await self._listed()]

    async def collect(self, known: Collection[str] = (), *, leave: bool = False) -> list[Fetched]:
        """See :meth:`~sekisho.gateway.inhouse_doors.Collector.collect`. RETR and DELE each have one session."""
        fresh = [(number, name) for number, name in await self._listed() if name not in known]
        letters = []
        for number, name in fresh:
            got = await self._curl([f'url = "{self._url}{number}"'])
            letters.append(opened_mail(name, got.output))
        if fresh and not leave:
            # One session for all, so the numbers stay what they are.
            urls = [f'url = "{self._url}{number}"' for number, _ in fresh]
            await self._curl(['request = "DELE"', "list-only", *urls])
            letters = [replace(letter, removed=True) for letter in letters]
        return letters

    async def close(self) -> None:
        """Nothing is kept open."""

    @property
    def _url(self) -> str:
        access = self._access
        host = f"[{access.host}]" if ":" in access.host else access.host
        return f"{'pop3s' if access.tls == 'implicit' else 'pop3'}://{host}:{access.port}/"

    async def _listed(self) -> list[tuple[int, str]]:
        said = await self._curl(['request = "UIDL"', f'url = "{self._url}"'])
        rows = [line.split() for line in said.output.decode("ascii", "replace").splitlines() if line.strip()]
        return [(int(row[0]), row[1]) for row in rows if len(row) == 2 and row[0].isdigit()]

    async def _curl(self, more: Sequence[str]) -> _Ran:
        config = [_login(self._access), *_trust(self._access), *more]
        if self._access.tls == "starttls":
            config.append("ssl-reqd")
        said = await _run(*_CURL, text="\n".join(config).encode())
        if said.code:
            raise LineError("login" if said.code == _DENIED else "connect", f"curl: {said.reason}")
        return said


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _login(access: Access) -> str:
    return f"user = {_quoted(f'{access.box}:{access.password}')}" if access.box and access.password else ""


def _trust(access: Access) -> list[str]:
    if access.insecure:
        return ["insecure"]
    return [f"cacert = {_quoted(access.trust)}"] if access.trust and access.tls != "none" else []


async def curl_post(url: str, access: Access, headers: Mapping[str, str], body: bytes) -> tuple[int, str, bytes]:
    """One HTTP POST by curl: status, Content-Type and body of the answer. Raises :class:`LineError`."""
    with _folder() as folder:
        (folder / "body").write_bytes(body)
        config = [
            _login(access),
            *_trust(access),
            *(f"header = {_quoted(f'{name}: {value}')}" for name, value in headers.items()),
            'header = "Expect:"',
            f'data-binary = "@{folder / "body"}"',
            f'output = "{folder / "answer"}"',
            'write-out = "%{http_code} %{content_type}"',
            f"url = {_quoted(url)}",
        ]
        said = await _run(*_CURL, text="\n".join(config).encode())
        if said.code:
            raise LineError("connect", f"curl: {said.reason}")
        status, _, content_type = said.output.decode("ascii", "replace").partition(" ")
        answer = folder / "answer"
        return int(status), content_type, answer.read_bytes() if answer.exists() else b""


class OpenSshSftp:
    """OpenSSH's sftp; see :class:`~sekisho.gateway.inhouse_doors.Collector`. It takes all of /out, then removes it."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def waiting(self) -> list[str]:
        """See :meth:`~sekisho.gateway.inhouse_doors.Collector.waiting`."""
        with _folder() as folder:
            return sorted(await self._taken(folder))

    async def collect(self, known: Collection[str] = (), *, leave: bool = False) -> list[Fetched]:
        """See :meth:`~sekisho.gateway.inhouse_doors.Collector.collect`."""
        with _folder() as folder:
            taken = await self._taken(folder)
            letters = [
                Fetched(name, path.read_bytes(), path.name, removed=not leave)
                for name, path in sorted(taken.items(), key=lambda one: letter_order(one[0]))
                if name not in known
            ]
            if letters and not leave:
                await self._sftp(folder, [f"rm {letter.name}" for letter in letters])
        return letters

    async def close(self) -> None:
        """Nothing is kept open."""

    async def _taken(self, folder: Path) -> dict[str, Path]:
        """Everything below /out, fetched into a folder: path there, file here."""
        await self._sftp(folder, [f"get -r /out {folder}"])
        root = folder / "out"
        return {f"/out/{path.relative_to(root)}": path for path in root.rglob("*.edi")}

    async def _sftp(self, folder: Path, commands: Sequence[str]) -> None:
        access = self._access
        ask = folder / "password"
        ask.write_text("#!/bin/sh\nprintf '%s\\n' \"$SEKISHO_BOX_PASSWORD\"\n", encoding="ascii")
        ask.chmod(0o700)
        options = [
            "BatchMode=no",
            "NumberOfPasswordPrompts=1",
            "PreferredAuthentications=password,keyboard-interactive",
            f"UserKnownHostsFile={access.trust}",
            f"StrictHostKeyChecking={'no' if access.insecure else 'yes'}",
        ]
        said = await _run(
            *("sftp", "-F", "none", "-q", "-P", str(access.port)),
            *(f"-o{option}" for option in options),
            *("-b", "-", f"{access.box}@{access.host}"),
            text="".join(f"{command}\n" for command in commands).encode("ascii"),
            environment={
                "SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":",
                "SEKISHO_BOX_PASSWORD": access.password,
            },
        )  # fmt: skip
        if said.code:
            denied = b"Permission denied" in said.errors
            raise LineError("login" if denied else "connect", f"sftp: {said.reason}")
