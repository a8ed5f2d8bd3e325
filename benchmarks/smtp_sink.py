"""A fast SMTP receiver in a process of its own, which counts messages and keeps nothing.

As a program it prints ``{"host": ..., "port": ...}`` when it listens, answers every line on standard input with one
JSON line ``{"messages": n, "bytes": n, "cpu": seconds}``, and ends when standard input does::

    python benchmarks/smtp_sink.py [--pipelining] [--port N]

Other benchmarks use :func:`sink`::

    with sink(pipelining=True) as peer:
        ...  # send to peer.host, peer.port
        print(peer.count()["messages"])

It answers without looking at addresses and reads a text only for its end, so that the sender is what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, TypedDict, cast

__all__ = ["Count", "Sink", "sink"]

_END = b"\r\n.\r\n"


class Count(TypedDict):
    """What a sink has taken so far: whole messages, bytes of their texts, its own processor time in seconds."""

    messages: int
    bytes: int
    cpu: float


class _Receiver(asyncio.Protocol):
    """One connection. Replies to all that came in one segment leave in one segment."""

    totals: ClassVar[dict[str, int]] = {"messages": 0, "bytes": 0}
    pipelining = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._rest = b""
        self._in_text = False
        self._transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        replies: list[bytes] = []
        at = 0
        while at < len(data):
            if self._in_text:
                # The CRLF of the last command line counts as the one before a dot that is the whole text.
                if data.startswith(b".\r\n", at):
                    end, after = at, at + 3
                else:
                    end = data.find(_END, at)
                    after = end + len(_END)
                if end < 0:
                    break
                self._in_text = False
                self.totals["messages"] += 1
                self.totals["bytes"] += end - at
                replies.append(b"250 2.0.0 stored\r\n")
                at = after
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                break
            verb = data[at : at + 4].upper()
            at = end + 2
            if verb == b"DATA":
                self._in_text = True
                replies.append(b"354 go ahead\r\n")
            elif verb == b"EHLO" and self.pipelining:
                replies.append(b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
            elif verb == b"QUIT":
                replies.append(b"221 bye\r\n")
            else:
                replies.append(b"250 ok\r\n")
        self._rest = data[at:]
        if replies:
            self._transport.write(b"".join(replies))
            if replies[-1].startswith(b"221"):
                self._transport.close()


@dataclass(frozen=True, slots=True)
class Sink:
    """A running sink process."""

    host: str
    port: int
    process: subprocess.Popen[str]

    def count(self) -> Count:
        """Ask the process what it has taken."""
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("the sink was started without pipes")
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return cast("Count", json.loads(self.process.stdout.readline()))


@contextlib.contextmanager
def sink(*, pipelining: bool) -> Iterator[Sink]:
    """A sink process for the length of the block."""
    command = [sys.executable, __file__, *(["--pipelining"] if pipelining else [])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the sink was started without pipes")
        ready = json.loads(process.stdout.readline())
        try:
            yield Sink(ready["host"], ready["port"], process)
        finally:
            process.stdin.close()
            process.wait(10)


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Receiver, "127.0.0.1", port)
    host, port = server.sockets[0].getsockname()
    print(json.dumps({"host": host, "port": port}), flush=True)
    ended = loop.create_future()

    def asked() -> None:
        lines = os.read(0, 4096)
        if not lines:
            loop.remove_reader(0)
            ended.set_result(None)
        for _ in range(lines.count(b"\n")):
            print(json.dumps({**_Receiver.totals, "cpu": time.process_time()}), flush=True)

    loop.add_reader(0, asked)
    await ended


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A fast SMTP receiver that counts messages and keeps nothing.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--pipelining", action="store_true")
    arguments = parser.parse_args()
    _Receiver.pipelining = arguments.pipelining
    try:
        import uvloop
    except ImportError:
        asyncio.run(_serve(arguments.port))
    else:
        uvloop.run(_serve(arguments.port))
