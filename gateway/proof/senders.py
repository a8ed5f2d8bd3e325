"""The senders: each sends one request after the other and goes on only when the gateway has said yes.

*Strategy.* A sender does what the contract asks of it and no more: a request that got no 250 (a lost line, a 4xx, a
gateway that is gone) is sent again, byte for byte, until it gets one. Half of the requests carry a Message-ID; the
others have none and are told apart by 電文引継情報 and 入力情報特定番号 (decisions, "Identity of a request"). Now and
then a sender leaves after the dot without reading the answer, or sends an acknowledged request once more.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from typing import Final

from sekisho.gateway.proof.wire import CENTRE, Facts, Whereabouts, address, ola

__all__ = ["send_all"]

_PATIENCE: Final = 5.0
"""Seconds a sender waits for any answer; observed ones give up after 3."""
_LEAVES: Final = 0.02
"""How often a sender closes the line after the dot without waiting for the answer."""
_REPEATS: Final = 0.03
"""How often a sender sends an acknowledged request again."""
_PAUSE: Final = 0.008
"""Most seconds between two requests of a sender: keeps the journal of a long run small."""


class _Line:
    """One SMTP connection, lock-step, by the letter of RFC 5321."""

    def __init__(self, port: int) -> None:
        self._wire = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        self._wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""

    def answer(self) -> int:
        """The code of the next reply. Raises OSError when the line is gone."""
        while True:
            line, found, rest = self._rest.partition(b"\r\n")
            if found:
                self._rest = rest
                if line[3:4] != b"-":
                    return int(line[:3])
                continue
            more = self._wire.recv(4096)
            if not more:
                raise ConnectionResetError("closed by the gateway")
            self._rest += more

    def say(self, line: bytes) -> int:
        """Send a command line and give the code of its reply."""
        self.write(line + b"\r\n")
        return self.answer()

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._wire.sendall(data)

    def close(self) -> None:
        """Close without a word."""
        self._wire.close()


class _Sender(threading.Thread):
    """One sender, with its own chance."""

    def __init__(self, sender: int, seed: int, where: Whereabouts, told: Facts) -> None:
        super().__init__(name=f"sender-{sender}")
        self._sender = sender
        self._chance = random.Random(f"{seed}-{sender}")  # noqa: S311 - a repeatable run, no secret
        self._where = where
        self._told = told
        self._line: _Line | None = None
        self._left = 0
        self.yeses = 0

    def run(self) -> None:
        """Requests until the end is asked for; the last one is finished."""
        number = 0
        while not self._where.ending:
            number += 1
            reference = f"P{self._sender}-{number:07d}"
            message_id = f"<{reference}@PROOF{self._sender}.SEKISHO.EXAMPLE>" if number % 2 else ""
            mail = ola(self._sender, reference, message_id)
            self._told.write(sender=self._sender, n=number, ref=reference, id=message_id, told="made")
            self._insist(number, reference, mail)
            if self._chance.random() < _REPEATS:
                self._insist(number, reference, mail)
            time.sleep(self._chance.uniform(0, _PAUSE))
        if self._line is not None:
            self._line.close()

    def _insist(self, number: int, reference: str, mail: bytes) -> None:
        """Send until there is a yes."""
        while True:
            if not self._where.port and self._line is None:
                time.sleep(0.005)
                continue
            code = self._try(mail)
            self._told.write(sender=self._sender, n=number, ref=reference, told=code)
            if 200 <= code < 300:
                self.yeses += 1
                return
            if code >= 500:
                return
            time.sleep(0.02 if code else 0.005)

    def _try(self, mail: bytes) -> int:
        """One attempt: the code that the dot was answered with, or what stopped it before; 0: nothing is known."""
        try:
            line = self._open()
            for command, wanted in (
                (f"MAIL FROM:<{address(self._sender)}>", 250), (f"RCPT TO:<{CENTRE}>", 250), ("DATA", 354),
            ):  # fmt: skip
                code = line.say(command.encode("ascii"))
                if code != wanted:
                    self._drop()
                    return code
            line.write(mail + b".\r\n")
            if self._chance.random() < _LEAVES:
                self._drop()
                return 0
            return line.answer()
        except (OSError, ValueError):
            self._drop()
            return 0

    def _open(self) -> _Line:
        """The open line, or a new one. Raises OSError while there is no gateway."""
        self._left -= 1
        if self._left < 0:
            self._drop()
        if self._line is None:
            line = _Line(self._where.port)
            if line.answer() != 220 or line.say(b"HELO proof.sekisho.example") != 250:
                line.close()
                raise ConnectionResetError("not greeted")
            self._line = line
            self._left = self._chance.randrange(12)
        return self._line

    def _drop(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None


def send_all(senders: int, seed: int, where: Whereabouts, told: Facts) -> None:
    """Run ``senders`` senders until the end is asked for and each has got its last yes. Blocks."""
    crew = [_Sender(number, seed, where, told) for number in range(senders)]
    for sender in crew:
        sender.start()
    while any(sender.is_alive() for sender in crew):
        where.yeses = sum(sender.yeses for sender in crew)
        time.sleep(0.02)
    where.yeses = sum(sender.yeses for sender in crew)
    told.close()
