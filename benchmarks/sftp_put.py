"""The SFTP door against OpenSSH's server: small files put and renamed, large ones both ways, logins.

    python benchmarks/sftp_put.py [--short] [--check]

Both servers get the same client: OpenSSH's ``ssh`` for the cryptography (AES-GCM), and this process for the SFTP
packets of the small files, OpenSSH's ``sftp`` for the large ones. The peer is a private sshd with ``internal-sftp`` on
loopback, which writes to a folder and syncs nothing. Ours answers a put+rename after the synced commit of the journal
(G9: journal only, as G4; the next line with requests of half a kilobyte processed and their replies in the box).
Rounds are interleaved and the first is thrown away; a ratio is the median of the rounds' ratios. Needs root and
Debian's openssh-server and openssh-client; :func:`measure` gives no lines where they are missing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from serving import request, user_id

__all__ = ["Line", "measure"]

CLIENTS = 10
LARGE = 8 * 1024 * 1024
"""Bytes of a large file: within the door's bound of 12 MiB for one object."""
HERE = Path(__file__).parent
_QUIET = ["-F/dev/null", "-oBatchMode=yes", "-oIdentitiesOnly=yes", "-oStrictHostKeyChecking=no",
          "-oUserKnownHostsFile=/dev/null", "-oLogLevel=ERROR", "-oCiphers=aes128-gcm@openssh.com"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the result: the ratio, its floor (0: none), and what stands on both sides."""

    name: str
    ratio: float
    floor: float
    text: str

    @property
    def missed(self) -> bool:
        """Whether it is below its floor."""
        return bool(self.floor) and self.ratio < self.floor


@dataclass(frozen=True, slots=True)
class Side:
    """One server: where it is, who logs in with which key, where files go, and large ones that can be fetched."""

    port: int
    users: tuple[str, ...]
    key: Path
    inbox: str
    large: tuple[str, ...]

    def arguments(self, client: int) -> list[str]:
        """For ssh and sftp, without the port, which they call by two names."""
        return [*_QUIET, f"-oIdentityFile={self.key}", f"-oPort={self.port}", self._who(client)]

    def _who(self, client: int) -> str:
        return f"{self.users[client % len(self.users)]}@127.0.0.1"


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


class _Client:
    """One connection; its packets are written and read here."""

    def __init__(self, side: Side, number: int) -> None:
        command = ["ssh", *side.arguments(number)[:-1], "-s", side.arguments(number)[-1], "sftp"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("ssh was started without pipes")
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        self._rest = b""
        self._inbox = side.inbox.encode()
        self._ask(struct.pack(">BI", 1, 3))
        if self._answer()[0] != 2:
            raise RuntimeError("no SFTP")

    def _ask(self, *bodies: bytes) -> None:
        os.write(self._in, b"".join(map(_string, bodies)))

    def _answer(self) -> bytes:
        while len(self._rest) < 4 or len(self._rest) < 4 + struct.unpack_from(">I", self._rest)[0]:
            data = os.read(self._out, 1 << 18)
            if not data:
                raise RuntimeError("the connection was closed")
            self._rest += data
        end = 4 + struct.unpack_from(">I", self._rest)[0]
        answer, self._rest = self._rest[4:end], self._rest[end:]
        return answer

    def _ok(self) -> None:
        answer = self._answer()
        if answer[0] != 101 or answer[5:9] != b"\0\0\0\0":
            raise RuntimeError(f"refused: {answer!r}")

    def put(self, name: str, content: bytes) -> None:
        """Open, write and close under a temporary name, rename."""
        path = f"{name}.part".encode()
        self._ask(struct.pack(">BI", 3, 1) + _string(self._inbox + path) + struct.pack(">II", 0x1A, 0))
        handle = self._answer()[5:]
        self._ask(struct.pack(">BI", 6, 2) + handle + bytes(8) + _string(content), struct.pack(">BI", 4, 3) + handle)
        self._ok()
        self._ok()
        final = self._inbox + f"{name}.edi".encode()
        self._ask(struct.pack(">BI", 18, 4) + _string(self._inbox + path) + _string(final))
        self._ok()

    def close(self) -> None:
        """End ssh."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(10)


def _content(number: int) -> bytes:
    """A link check (TCC) that no other file equals."""
    return request(number, 0).partition(b"\r\n\r\n")[2]


def _puts(side: Side, each: int, first: int, size: int = 1_024) -> float:
    """Files per second of put+rename, padded to ``size`` bytes, all clients logged in beforehand."""
    clients = [_Client(side, number) for number in range(CLIENTS)]
    contents = [_content(first + n).ljust(size) for n in range(CLIENTS * each)]
    gate = threading.Barrier(CLIENTS + 1)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        gate.wait()
        try:
            for n in range(number * each, (number + 1) * each):
                clients[number].put(f"p{first + n}", contents[n])
        except (RuntimeError, OSError) as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    gate.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    for client in clients:
        client.close()
    if failures:
        raise failures[0]
    return CLIENTS * each / seconds


def _logins(side: Side, each: int, first: int) -> float:
    """Files per second where every file has a connection of its own."""
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for n in range(each):
                client = _Client(side, number)
                client.put(f"l{first}-{number}-{n}", _content(first + n * CLIENTS + number).ljust(1_024))
                client.close()
        except (RuntimeError, OSError) as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return CLIENTS * each / (time.perf_counter() - began)


def _sftp(side: Side, batch: str) -> float:
    began = time.perf_counter()
    command = ["sftp", "-q", "-b", "-", *side.arguments(0)]
    subprocess.run(command, input=batch.encode(), stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def _bulk(side: Side, folder: Path, files: int, *, up: bool) -> float:
    """MiB per second of large files over one connection; what the login costs is taken off."""
    if up:
        lines = [f"put {folder}/large {side.inbox}b{number}.edi" for number in range(files)]
    else:
        lines = [f"get {side.large[number % len(side.large)]} {folder}/got" for number in range(files)]
    login = _sftp(side, "pwd\n")
    return files * LARGE / 2**20 / max(_sftp(side, "\n".join(lines)) - login, 0.001)


@contextlib.contextmanager
def _sshd(folder: Path) -> Iterator[Side]:
    """A private sshd; root logs in with a key made for it."""
    folder.chmod(0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    inbox = folder / "inbox"
    inbox.mkdir()
    (inbox / "large").write_bytes(os.urandom(LARGE))
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
        f"PermitRootLogin yes\nStrictModes no\nUsePAM no\nPidFile {folder}/pid\nSubsystem sftp internal-sftp\n"
        "MaxStartups 100\nLogLevel ERROR\n",
        "ascii",
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    program = shutil.which("sshd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin") or "sshd"
    command = [program, "-D", "-e", "-f", str(folder / "sshd_config")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(100):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                time.sleep(0.05)
            yield Side(port, ("root",), folder / "user", f"{inbox}/", (f"{inbox}/large",))
        finally:
            process.terminate()


@contextlib.contextmanager
def _gateway(folder: Path, kind: str) -> Iterator[Side]:
    """The gateway with an SFTP door: a box a client, so that no bound of one box is met; one has large letters."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "user")], check=True)
    key = (folder / "user.pub").read_text("ascii").strip()
    (folder / "gateway.toml").write_text(
        '[gateway]\nenvironment = "test"\ndata = "data"\n[limits]\nfree_disk_bytes = 100_000_000\n'
        '[[listener]]\nname = "drop"\nkind = "sftp"\naddress = "127.0.0.1:0"\n[registry]\nseed = "registry.toml"\n',
        "utf-8",
    )
    (folder / "registry.toml").write_text(
        "".join(
            f'[[user]]\nid = "{user_id(n)}"\npassword = "SAMPLE01"\nbox = "BEN{n}"\n'
            f'[[box]]\nid = "BEN{n}"\naddress = "BEN{n}@SMTP.BENCH.SEKISHO.EXAMPLE"\ndoors = ["sftp"]\n'
            f'keys = ["{key}"]\n'
            for n in range(4)
        ),
        "utf-8",
    )
    command = [sys.executable, str(HERE / "serving.py"), kind, str(folder)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            line = process.stdout.readline() if process.stdout is not None else ""
            if not line:
                raise RuntimeError(f"{command} did not start:\n{(folder / 'log').read_text('utf-8')[-2000:]}")
            port = int(json.loads(line)["listeners"]["drop"].rpartition(":")[2])
            side = Side(port, tuple(f"BEN{n}" for n in range(4)), folder / "user", "/in/", ())
            # What was sent can be fetched: the same bytes, kept in the journal.
            (folder / "first").write_bytes(os.urandom(LARGE))
            _sftp(side, f"put {folder}/first /in/first.edi\n")
            listed = subprocess.run(
                ["sftp", "-q", "-b", "-", *side.arguments(0)],
                input=b"ls -1 /sent /quarantine\n", capture_output=True, check=True,
            )  # fmt: skip
            path = next(name for name in listed.stdout.decode().split() if name.endswith("first.edi"))
            yield Side(port, side.users, side.key, side.inbox, (path,))
        finally:
            process.terminate()
            process.wait(30)


def measure(*, short: bool = False) -> list[Line]:
    """The lines of one run; none where OpenSSH's programs or root are missing."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
    programs = ("sshd", "ssh", "sftp", "ssh-keygen")
    if os.geteuid() != 0 or any(shutil.which(name, path=path) is None for name in programs):
        return []
    rounds, each, files = (3, 20, 6) if short else (5, 60, 12)
    rates: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sftp-bench-"))) for _ in range(3)]
        theirs = stack.enter_context(_sshd(folders[0]))
        journal = stack.enter_context(_gateway(folders[1], "journal-only"))
        whole = stack.enter_context(_gateway(folders[2], "gateway"))
        (folders[0] / "large").write_bytes(os.urandom(LARGE))
        few = max(each // 10, 1)
        work: dict[str, Callable[[int], float]] = {
            "put ours": lambda first: _puts(journal, each, first),
            "put theirs": lambda first: _puts(theirs, each, first),
            "whole ours": lambda first: _puts(whole, each, first, 0),
            "login ours": lambda first: _logins(journal, few, first + 50_000),
            "login theirs": lambda first: _logins(theirs, few, first + 50_000),
            "up ours": lambda _: _bulk(journal, folders[0], files, up=True),
            "up theirs": lambda _: _bulk(theirs, folders[0], files, up=True),
            "down ours": lambda _: _bulk(journal, folders[0], files, up=False),
            "down theirs": lambda _: _bulk(theirs, folders[0], files, up=False),
        }
        for number in range(rounds + 1):
            for name, one in work.items():
                rate = one(number * 100_000)
                if number:
                    rates.setdefault(name, []).append(rate)
            print(f"  round {number} of {rounds}" + ("" if number else " (warm-up)"), file=sys.stderr, flush=True)

    def line(name: str, ours: str, theirs: str, floor: float, unit: str) -> Line:
        pairs = zip(rates[ours], rates[theirs], strict=True)
        text = f"{statistics.median(rates[ours]):.0f} / {statistics.median(rates[theirs]):.0f} {unit}"
        return Line(name, statistics.median(a / b for a, b in pairs), floor, text)

    return [
        line("G9 SFTP put+rename of 1 KB, durable / OpenSSH", "put ours", "put theirs", 0.35, "files/s"),
        line("   processed too, reply in its box / OpenSSH", "whole ours", "put theirs", 0, "files/s"),
        line("G10 SFTP login and one put / OpenSSH", "login ours", "login theirs", 3, "files/s"),
        line("   SFTP bulk up, durable / OpenSSH", "up ours", "up theirs", 1.0, "MiB/s"),
        line("   SFTP bulk down / OpenSSH", "down ours", "down theirs", 1.0, "MiB/s"),
    ]


def main() -> int:
    """Print the lines; the exit code."""
    parser = argparse.ArgumentParser(description="The SFTP door as ratios of one run")
    parser.add_argument("--short", action="store_true", help="three small rounds")
    parser.add_argument("--check", action="store_true", help="exit 1 when a floor is missed")
    options = parser.parse_args()
    lines = measure(short=options.short)
    if not lines:
        print("left out: needs root, ssh, sftp, ssh-keygen and sshd")
    for line in lines:
        floor = f"   floor {line.floor}{'  MISSED' if line.missed else ''}" if line.floor else ""
        print(f"{line.name:62} x{line.ratio:5.2f}   ({line.text}){floor}")
    return 1 if options.check and any(line.missed for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
