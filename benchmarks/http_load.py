"""HTTP load from one process: many lock-step clients over one epoll, cheap enough not to be the bottleneck.

Each connection is kept alive, posts a request that was made before, reads the whole response by its Content-Length and
posts the next one. A response other than 200, or one that holds what must not be in it, ends the run.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Sequence

__all__ = ["load"]


class _Client:
    """One connection: the requests that are left, and what has come of the response."""

    __slots__ = ("got", "left", "wire")

    def __init__(self, address: tuple[str, int], requests: Sequence[bytes]) -> None:
        self.wire = socket.create_connection(address, timeout=10)
        self.wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.left = iter(requests)
        self.got = b""

    def post(self) -> bool:
        """Post the next request; False when there is none."""
        request = next(self.left, None)
        if request is None:
            self.wire.close()
            return False
        self.got = b""
        self.wire.sendall(request)
        return True

    def answered(self, unwanted: bytes) -> bool:
        """Read what there is; True when a whole response has come. Raises RuntimeError if it is not the one wanted."""
        piece = self.wire.recv(65_536)
        if not piece:
            raise RuntimeError("the server has closed a connection")
        self.got = self.got + piece if self.got else piece
        head = self.got.find(b"\r\n\r\n")
        if head < 0:
            return False
        if not self.got.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(self.got.decode("latin-1"))
        at = self.got.index(b"Content-Length: ", 0, head + 2) + 16
        if len(self.got) < head + 4 + int(self.got[at : self.got.index(b"\r\n", at)]):
            return False
        if unwanted in self.got:
            raise RuntimeError(self.got.decode("latin-1"))
        return True


def load(address: tuple[str, int], requests: Sequence[bytes], *, connections: int, unwanted: bytes) -> float:
    """Post ``requests`` over ``connections`` parallel connections and return how many a second were answered.

    ``unwanted`` must not occur in a response. Raises RuntimeError on any response but the expected one, OSError when a
    connection fails.
    """
    poll = select.epoll()
    clients: dict[int, _Client] = {}
    for number in range(connections):
        client = _Client(address, requests[number::connections])
        clients[client.wire.fileno()] = client
        poll.register(client.wire, select.EPOLLIN)
    began = time.perf_counter()
    for number, client in list(clients.items()):
        if not client.post():
            del clients[number]
    while clients:
        events = poll.poll(10)
        if not events:
            raise RuntimeError("no response within 10 seconds")
        for number, _event in events:
            client = clients[number]
            if client.answered(unwanted) and not client.post():
                del clients[number]
    took = time.perf_counter() - began
    poll.close()
    return len(requests) / took
