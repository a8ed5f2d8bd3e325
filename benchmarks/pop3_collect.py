"""Collecting letters by POP3: the gateway against a private Dovecot, in turns on the same machine.

    python benchmarks/pop3_collect.py            # three rounds of 10,000 letters of 1.5 KB, minutes
    python benchmarks/pop3_collect.py --short    # three rounds of 2,000

One collecting is what a client does: login, UIDL, LIST, every letter, DELE for each, QUIT, timed until its +OK.
Lock-step waits for each reply (poplib, fetchmail); pipelined sends a hundred commands ahead (mpop). Both servers have
the same mails in a box that has been logged in to once before, so that Dovecot's index is made, and take the password
in the clear on loopback. Both delete as they are delivered: the gateway in one synced transaction at QUIT, Dovecot by
unlinking the files of a maildir.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from serving import HERE, Server, _await_listening, _started

from sekisho.gateway.passwords import hash_password
from sekisho.mailboxes.letters import Box, NewLetter, NewRequest
from sekisho.mailboxes.sqlite import SqliteStore

__all__ = ["Row", "measure"]

PASSWORD = "BOXPASS1"
SIZE = 1_500
_AHEAD = 100
_HEAD = (
    "Date: Wed, 1 Apr 2026 12:00:00 +0900\r\nFrom: NACCS@MAIL.BENCH.SEKISHO.EXAMPLE\r\n"
    "To: {box}@MAIL.BENCH.SEKISHO.EXAMPLE\r\nMessage-ID: <{number}.1@MAIL.BENCH.SEKISHO.EXAMPLE>\r\n"
    'Mime-Version: 1.0\r\nContent-Type: Text/plain;charset="EUC-JP"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n'
)

Row = tuple[str, float, float, str]
"""Name, ratio, floor (0: none), what stands on both sides: the fields of a line of run.py."""


def _content(number: int) -> bytes:
    """A reply that fills a mail of about SIZE bytes: a header of the common items, then lines of an output."""
    first = f"   *SOLA  {number:010d}".ljust(398)
    lines = "".join(f"LINE {at:03d} {'X' * 60}\r\n" for at in range(10))
    return f"{first}\r\n{lines}".encode("ascii")


def _box(number: int) -> str:
    return f"BEN{number:03d}"


@contextlib.contextmanager
def _gateway(boxes: int, letters: int) -> Iterator[Server]:
    """The gateway with its default settings and one POP3 door."""
    with tempfile.TemporaryDirectory(prefix="sekisho-pop3-") as name:
        folder = Path(name)
        (folder / "data").mkdir()
        (folder / "gateway.toml").write_text(
            '[gateway]\nenvironment = "test"\ndata = "data"\n[limits]\nfree_disk_bytes = 100_000_000\n'
            '[[listener]]\nname = "fetch"\nkind = "pop3"\naddress = "127.0.0.1:0"\n',
            "ascii",
        )
        store = SqliteStore(folder / "data" / "sekisho.db", clock_us=lambda: time.time_ns() // 1000)
        hashed = hash_password(PASSWORD)
        now = time.time_ns() // 1000
        for at in range(boxes):
            with store.transaction() as unit:
                unit.put_box(Box(_box(at), f"{_box(at)}@MAIL.BENCH.SEKISHO.EXAMPLE", ("pop3",), password_hash=hashed))
                request = unit.journal(
                    NewRequest(
                        lane="x",
                        idem=f"x{at}",
                        transport="two-way",
                        principal="",
                        received_at=now,
                        peer="",
                        sender="",
                        recipient="",
                        raw=b"x",
                        content=b"x",
                        wrapping="mail",
                    )
                )
                unit.finish(request, state=1, result="", key="", at=now)
                for part in range(letters):
                    unit.add_letter(
                        NewLetter(
                            request=request,
                            part=part,
                            box=_box(at),
                            user_id="1BEN0A0A",
                            business_code="OLA",
                            output_code="*SOLA",
                            kind="R",
                            form="",
                            subject="",
                            content=_content(part),
                            created_at=now + part,
                        )
                    )
        store.close()
        with _started([sys.executable, str(HERE / "serving.py"), "gateway", name], folder) as server:
            yield server


_DOVECOT = """base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = pop3
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
auth_username_format = %u
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {folder}/users
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/mail/%u
}}
mail_location = maildir:{folder}/mail/%u
pop3_uidl_format = %v.%u
service pop3-login {{
  inet_listener pop3 {{
    port = {port}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
"""


def _fill_maildir(folder: Path, box: str, letters: int) -> None:
    """Files as Dovecot's own delivery writes them: LF line ends, both sizes in the name."""
    for part in ("cur", "new", "tmp"):
        (folder / part).mkdir(parents=True, mode=0o755)
    for number in range(letters):
        mail = _HEAD.format(box=box, number=number).encode("ascii") + _content(number)
        lines = mail.replace(b"\r\n", b"\n")
        name = f"17000{number:06d}.M{number}P1.bench,S={len(lines)},W={len(mail)}:2,"
        (folder / "cur" / name).write_bytes(lines)


@contextlib.contextmanager
def _dovecot(boxes: int, letters: int) -> Iterator[Server | None]:
    """A private Dovecot with a maildir a box; None where it is not installed or this is not root."""
    program = shutil.which("dovecot", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if program is None or os.geteuid() != 0:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="dovecot-bench-") as name, socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
        probe.close()
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "mail").mkdir(mode=0o755)
        for at in range(boxes):
            _fill_maildir(folder / "mail" / _box(at), _box(at), letters)
        for path in [folder / "mail", *(folder / "mail").rglob("*")]:
            shutil.chown(path, "nobody", "nogroup")
        (folder / "users").write_text("".join(f"{_box(at)}:{PASSWORD}\n" for at in range(boxes)), "ascii")
        config = folder / "dovecot.conf"
        config.write_text(_DOVECOT.format(folder=folder, port=port, user="nobody", group="nogroup"), "ascii")
        process = subprocess.Popen([program, "-F", "-c", str(config)])
        try:
            _await_listening(port)
            yield Server("127.0.0.1", port, (process.pid,))
        finally:
            process.terminate()
            process.wait(30)


class _Client:
    """A connection that is logged in; cheap, because its own time is measured too."""

    def __init__(self, server: Server, box: str) -> None:
        self._socket = socket.create_connection((server.host, server.port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.line(b"")
        for command in (f"USER {box}", f"PASS {PASSWORD}"):
            self.line(command.encode("ascii") + b"\r\n")

    def line(self, command: bytes) -> bytes:
        """Send, and read a reply of one line."""
        self._socket.sendall(command)
        said = self._socket.recv(4_096)
        while said[-1:] != b"\n":
            said += self._socket.recv(4_096)
        if not said.startswith(b"+OK"):
            raise RuntimeError(f"{command[:40]!r}: {said!r}")
        return said

    def block(self, command: bytes) -> int:
        """Send, and read a reply of many lines; its size."""
        self._socket.sendall(command)
        said = self._socket.recv(1 << 18)
        size, tail = len(said), said[-5:]
        while tail != b"\r\n.\r\n":
            said = self._socket.recv(1 << 18)
            if not said:
                raise RuntimeError("the server has hung up")
            size, tail = size + len(said), (tail + said)[-5:]
        return size

    def ahead(self, commands: list[bytes], end: bytes) -> None:
        """Send commands ahead of their replies, each of which ends in ``end``, as ``end`` does nowhere else."""
        for at in range(0, len(commands), _AHEAD):
            batch = commands[at : at + _AHEAD]
            self._socket.sendall(b"".join(batch))
            seen, tail = 0, b""
            while seen < len(batch):
                said = tail + self._socket.recv(1 << 18)
                seen += said.count(end)
                last = said.rfind(end)
                tail = said[max(last + len(end) if last >= 0 else 0, len(said) - len(end) + 1) :]


def _collect(server: Server, box: str, letters: int, *, pipelined: bool) -> float:
    """Empty a box as a client does; letters per second."""
    began = time.perf_counter()
    client = _Client(server, box)
    client.block(b"UIDL\r\n")
    client.block(b"LIST\r\n")
    retrieve = [b"RETR %d\r\n" % number for number in range(1, letters + 1)]
    delete = [b"DELE %d\r\n" % number for number in range(1, letters + 1)]
    if pipelined:
        client.ahead(retrieve, b"\r\n.\r\n")
        client.ahead(delete, b"\r\n")
    else:
        for fetch, drop in zip(retrieve, delete, strict=True):
            client.block(fetch)
            client.line(drop)
    client.line(b"QUIT\r\n")
    return letters / (time.perf_counter() - began)


def _look(server: Server, box: str, letters: int) -> None:
    """Log in once, see that all is there, and leave it."""
    client = _Client(server, box)
    if client.line(b"STAT\r\n").split()[1] != b"%d" % letters:
        raise RuntimeError(f"{box} does not hold {letters} letters")
    client.block(b"UIDL\r\n")
    client.line(b"QUIT\r\n")


def measure(short: bool, rounds: int = 3) -> list[Row]:
    """The rows of the result; none where Dovecot cannot be run."""
    letters = 2_000 if short else 10_000
    boxes = 2 * rounds
    rates: dict[str, list[float]] = {}
    with ExitStack() as stack:
        ours = stack.enter_context(_gateway(boxes, letters))
        theirs = stack.enter_context(_dovecot(boxes, letters))
        if theirs is None:
            print("POP3 left out: Dovecot is not installed, or this is not root")
            return []
        servers = {"ours": ours, "theirs": theirs}
        work: dict[str, Callable[[Server, str], float]] = {
            "lock-step": lambda server, box: _collect(server, box, letters, pipelined=False),
            "pipelined": lambda server, box: _collect(server, box, letters, pipelined=True),
        }
        for at in range(boxes):
            for server in servers.values():
                _look(server, _box(at), letters)
        for number in range(rounds):
            for at, (way, collect) in enumerate(work.items()):
                for who, server in servers.items():
                    rates.setdefault(f"{who} {way}", []).append(collect(server, _box(2 * number + at)))
            print(f"  POP3 round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    rows: list[Row] = []
    for way in work:
        mine, other = rates[f"ours {way}"], rates[f"theirs {way}"]
        ratio = statistics.median(a / b for a, b in zip(mine, other, strict=True))
        text = f"{statistics.median(mine):.0f} / {statistics.median(other):.0f} letters/s"
        rows.append((f"POP3 collect of {letters} letters, {way} / Dovecot", ratio, 0.0, text))
    return rows


def main() -> int:
    """Print the rows; the exit code."""
    parser = argparse.ArgumentParser(description="collecting by POP3: the gateway against Dovecot")
    parser.add_argument("--short", action="store_true", help="2,000 letters in place of 10,000")
    parser.add_argument("--rounds", type=int, default=3, help="collectings of each kind")
    options = parser.parse_args()
    for name, ratio, _floor, text in measure(options.short, options.rounds):
        print(f"{name:62} x{ratio:5.2f}   ({text})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
