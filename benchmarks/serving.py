"""Servers under measurement, each in a process of its own: the gateway, the plain build, a private Postfix.

*Strategy.* Everything listens on loopback, keeps its data in a folder that is removed afterwards, and can be asked for
the processor time it has used. As a program it is one of the gateways::

    python benchmarks/serving.py gateway FOLDER        # sekisho as it is
    python benchmarks/serving.py journal-only FOLDER   # journals and answers, processes nothing

"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from smtp_load import CENTRE, SENDER

__all__ = ["PARTNERS", "Server", "gateway", "plain", "postfix", "request", "user_id"]

PARTNERS = 4
"""Users and boxes of a round trip: each box has a connection of its own."""
HERE = Path(__file__).parent
_TICK = os.sysconf("SC_CLK_TCK")


def user_id(number: int) -> str:
    """One of the users that both builds know."""
    return f"1BEN{number % PARTNERS}A0A"


def request(number: int, size: int) -> bytes:
    """A mail of ``size`` bytes with a link check (TCC) that no other mail equals; padded in its mail header."""
    tag = f"B{number:09d}"
    body = f"{'HELLO':<50}\r\n{'':50}\r\n \r\n"
    content = (
        f"   {'TCC':<5}{'':21}{user_id(number)}{'SAMPLE01':<8}{'':174}{tag:<26}{'':8}{tag:<10}{'':100} 2{'':27}"
        f"{400 + len(body):06d}\r\n{body}"
    )
    head = (
        f"From:{SENDER}\r\nTo:{CENTRE}\r\nMime-Version:1.0\r\n"
        'Content-Type:Text/xml;charset="EUC-JP"\r\nContent-Transfer-Encoding:8bit\r\n'
    )
    room = size - len(head) - len(content) - len("X-Mailer: \r\n\r\n")
    lines = [f"X-Mailer: {'x' * max(0, room)}\r\n"] if room > 0 else []
    return f"{head}{''.join(lines)}\r\n{content}".encode("ascii")


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. ``pids`` are the processes whose time counts as its own."""

    host: str
    port: int
    pids: tuple[int, ...]

    def cpu(self) -> float:
        """Processor seconds used so far, both kinds."""
        total = 0
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(") ")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / _TICK


def _settings(folder: Path, push: int) -> Path:
    doors = f'push = "127.0.0.1:{push}"' if push else "doors = []"
    (folder / "registry.toml").write_text(
        "".join(
            f'[[user]]\nid = "{user_id(n)}"\npassword = "SAMPLE01"\nbox = "BEN{n}"\n'
            f'[[box]]\nid = "BEN{n}"\naddress = "BEN{n}@SMTP.BENCH.SEKISHO.EXAMPLE"\n{doors}\n'
            for n in range(PARTNERS)
        ),
        "utf-8",
    )
    path = folder / "gateway.toml"
    path.write_text(
        f'[gateway]\nenvironment = "test"\ndata = "data"\n[limits]\nfree_disk_bytes = 100_000_000\n'
        f'connections_partner = 2000\n'
        f'connections_address = 2000\n[[listener]]\nname = "two-way"\naddress = "127.0.0.1:0"\ncentre = ["{CENTRE}"]\n'
        f'[registry]\nseed = "registry.toml"\n',
        "utf-8",
    )
    return path


@contextlib.contextmanager
def _started(command: list[str], folder: Path) -> Iterator[Server]:
    """A process that prints a ready line with its address and ends with SIGTERM; its log goes into ``folder``."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            line = process.stdout.readline() if process.stdout is not None else ""
            if not line:
                raise RuntimeError(f"{command} did not start:\n{(folder / 'log').read_text('utf-8')[-2000:]}")
            host, _, port = next(iter(json.loads(line)["listeners"].values())).rpartition(":")
            yield Server(host, int(port), (process.pid,))
        finally:
            process.terminate()
            process.wait(30)


@contextlib.contextmanager
def gateway(push: int = 0, *, journal_only: bool = False) -> Iterator[Server]:
    """The gateway on uvloop with its default settings; replies are pushed to port ``push``, or stay in their box."""
    with tempfile.TemporaryDirectory(prefix="sekisho-bench-") as name:
        folder = Path(name)
        _settings(folder, push)
        kind = "journal-only" if journal_only else "gateway"
        with _started([sys.executable, __file__, kind, name], folder) as server:
            yield server


@contextlib.contextmanager
def plain(push: int) -> Iterator[Server]:
    """The plain build (plain_gateway.py), replies pushed to port ``push``."""
    with tempfile.TemporaryDirectory(prefix="plain-bench-") as name:
        command = [sys.executable, str(HERE / "plain_gateway.py"), name, str(push)]
        with _started(command, Path(name)) as server:
            yield server


_MASTER = """127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


@contextlib.contextmanager
def postfix() -> Iterator[Server | None]:
    """A private Postfix that queues durably, as it always does, and then discards; None where it cannot be run.

    It needs Postfix's programs and root, because its master does.
    """
    program = shutil.which("postfix", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if program is None or os.geteuid() != 0:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="postfix-bench-") as name, socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
        probe.close()
        folder = Path(name)
        folder.chmod(0o755)
        for part in ("etc", "queue", "data"):
            (folder / part).mkdir(mode=0o755)
        shutil.chown(folder / "data", "postfix")
        (folder / "etc/master.cf").write_text(_MASTER.format(port=port), "ascii")
        (folder / "etc/main.cf").write_text(
            f"compatibility_level = 3.6\nqueue_directory = {folder}/queue\ndata_directory = {folder}/data\n"
            "inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmyhostname = bench.sekisho.example\n"
            "mydestination =\nmynetworks = 127.0.0.0/8\nlocal_transport = discard\ndefault_transport = discard\n"
            "smtpd_recipient_restrictions = permit_mynetworks, reject\nsmtputf8_enable = no\n"
            f"maillog_file = /var/log/{folder.name}.log\nalias_maps =\nalias_database =\n"
            "default_process_limit = 100\nmessage_size_limit = 12582912\n",
            "ascii",
        )
        control = [program, "-c", f"{folder}/etc"]
        started = subprocess.run([*control, "start"], capture_output=True, text=True, check=False)
        try:
            if started.returncode:
                raise RuntimeError(f"Postfix did not start: {started.stderr or started.stdout}")
            _await_listening(port)
            yield Server("127.0.0.1", port, ())
        finally:
            subprocess.run([*control, "stop"], capture_output=True, check=False)
            Path(f"/var/log/{folder.name}.log").unlink(missing_ok=True)


def _await_listening(port: int) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise RuntimeError(f"nobody listens on port {port}")


def _serve(kind: str, folder: Path) -> int:
    """Run the gateway in this process, as ``sekisho serve`` does."""
    from functools import partial  # noqa: PLC0415 - the measuring side does not load the gateway
    from typing import Any  # noqa: PLC0415 - same

    import uvloop  # noqa: PLC0415 - same

    from sekisho.codecs.envelope import Envelope  # noqa: PLC0415 - same
    from sekisho.gateway.app import Gateway, serve  # noqa: PLC0415 - same
    from sekisho.gateway.batch import Batch, BatchWriter  # noqa: PLC0415 - same
    from sekisho.gateway.clerk import Clerk  # noqa: PLC0415 - same
    from sekisho.gateway.intake import Taken  # noqa: PLC0415 - same
    from sekisho.gateway.settings import load  # noqa: PLC0415 - same
    from sekisho.mailboxes.letters import RequestState  # noqa: PLC0415 - same
    from sekisho.mailboxes.store import Unit  # noqa: PLC0415 - same

    class JournalWriter(BatchWriter):
        """Keeps; the request is closed without being looked at."""

        def process(
            self, taken: Taken, envelope: Envelope, unit: Unit, batch: Batch, *, busy: bool = False  # noqa: ARG002
        ) -> None:
            unit.finish(taken.number, state=RequestState.DONE, result="", key="", at=self._clock.us())

    class JournalOnly(Clerk):
        """Keeps and answers."""

        writer_class = JournalWriter

    settings = load(folder / "gateway.toml")
    build: Any = Gateway if kind == "gateway" else partial(Gateway, clerk_class=JournalOnly)
    return int(uvloop.run(serve(settings, gateway_class=build)))


if __name__ == "__main__":
    sys.exit(_serve(sys.argv[1], Path(sys.argv[2])))
