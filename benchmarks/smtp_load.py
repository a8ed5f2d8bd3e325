"""SMTP load from one process: many lock-step senders over one epoll, cheap enough not to be the bottleneck.

Each connection behaves like an ordinary in-house system: it awaits every reply, HELO, MAIL, RCPT, DATA, text with the
dot, QUIT. Other benchmarks use :func:`load`; as a program it loads a server that is already up::

    python benchmarks/smtp_load.py HOST:PORT [--connections 10] [--messages 2000] [--per-connection 0] [--size 1024]
"""

from __future__ import annotations

import argparse
import select
import socket
import time
from collections.abc import Callable

__all__ = ["CENTRE", "SENDER", "load", "mail"]

SENDER = "1ANAC1@SMTP.BROKER.SEKISHO.EXAMPLE"
CENTRE = "NACCS@SMTP.TEST.SEKISHO.EXAMPLE"

_HEAD = (
    f"From:{SENDER}\r\nTo:{CENTRE}\r\nMime-Version:1.0\r\n"
    'Content-Type:Text/xml;charset="EUC-JP"\r\nContent-Transfer-Encoding:8bit\r\n\r\n'
).encode()


def mail(size: int) -> bytes:
    """A request mail of about ``size`` bytes, at least the header: a 400-byte common header, then items of 18 bytes."""
    header = b"   OLA  ".ljust(398) + b"\r\n"
    item = b"\xc5\xec\xb5\xfeSAMPLE".ljust(18) + b"\r\n"
    return _HEAD + header + item * max(0, (size - len(_HEAD) - len(header)) // len(item))


class _Sender:
    """One connection: which reply it waits for, and how many mails are still to be acknowledged on it."""

    __slots__ = ("left_here", "step", "wire")

    def __init__(self, address: tuple[str, int], mails: int) -> None:
        self.wire = socket.create_connection(address, timeout=10)
        self.wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.step = 0
        self.left_here = mails


_OPENING = (b"HELO load\r\n", f"MAIL FROM:<{SENDER}>\r\n".encode(), f"RCPT TO:<{CENTRE}>\r\n".encode(), b"DATA\r\n")


def load(
    host: str,
    port: int,
    *,
    connections: int,
    messages: int,
    per_connection: int,
    make_mail: Callable[[int], bytes],
) -> float:
    """Send ``messages`` mails over ``connections`` parallel connections and return mails acknowledged per second.

    A connection is closed with QUIT and opened anew after ``per_connection`` mails (0: never). ``make_mail`` gets the
    number of the mail, from 0, and returns it with CRLF line ends; it is dot-stuffed here. Blocks until all are
    acknowledged. Raises RuntimeError on any reply but the expected one, OSError when a connection fails.
    """
    poll = select.epoll()
    senders: dict[int, _Sender] = {}
    started = acknowledged = planned = 0

    def share() -> int:
        remaining = messages - planned
        return min(remaining, per_connection) if per_connection else -(-remaining // (connections - len(senders)))

    def open_one() -> None:
        nonlocal planned
        mails = share()
        if mails > 0:
            sender = _Sender((host, port), mails)
            planned += mails
            senders[sender.wire.fileno()] = sender
            poll.register(sender.wire, select.EPOLLIN)

    began = time.perf_counter()
    for _ in range(connections):
        open_one()
    while senders:
        events = poll.poll(10)
        if not events:
            raise RuntimeError(f"no reply within 10 seconds, {acknowledged} of {messages} acknowledged")
        for number, _event in events:
            sender = senders[number]
            reply = sender.wire.recv(4096)
            step = sender.step
            # Steps: 0 greeting, 1 HELO, 2 MAIL, 3 RCPT, 4 DATA, 5 the dot, 6 QUIT; each is waiting for its reply.
            if reply[:1] != (b"3" if step == 4 else b"2") or not reply.endswith(b"\n"):
                raise RuntimeError(f"step {step} was answered {reply!r}")
            if step < 4:
                sender.wire.sendall(_OPENING[step])
                sender.step = step + 1
            elif step == 4:
                sender.wire.sendall(_wire_form(make_mail(started)))
                started += 1
                sender.step = 5
            elif step == 5:
                acknowledged += 1
                sender.left_here -= 1
                sender.step, command = (2, _OPENING[1]) if sender.left_here else (6, b"QUIT\r\n")
                sender.wire.sendall(command)
            else:
                poll.unregister(number)
                sender.wire.close()
                del senders[number]
                open_one()
    poll.close()
    return acknowledged / (time.perf_counter() - began)


def _wire_form(text: bytes) -> bytes:
    stuffed = text.replace(b"\r\n.", b"\r\n..") if b"\r\n." in text else text
    return (b"." if stuffed.startswith(b".") else b"") + stuffed + b".\r\n"


def main() -> None:
    """Load one server and print mails per second."""
    parser = argparse.ArgumentParser(description="SMTP load: mails acknowledged per second")
    parser.add_argument("address", help="HOST:PORT")
    parser.add_argument("--connections", type=int, default=10)
    parser.add_argument("--messages", type=int, default=2_000)
    parser.add_argument("--per-connection", type=int, default=0, help="mails on a connection, 0 for all")
    parser.add_argument("--size", type=int, default=1_024)
    options = parser.parse_args()
    host, _, port = options.address.rpartition(":")
    data = mail(options.size)
    rate = load(
        host,
        int(port),
        connections=options.connections,
        messages=options.messages,
        per_connection=options.per_connection,
        make_mail=lambda _number: data,
    )
    print(f"{rate:.0f} mails/s")


if __name__ == "__main__":
    main()
