"""What the parties of the proof share: a request and a reply on the wire, the file of facts, the gateway's whereabouts.

*Strategy.* Offsets and widths are written down here once more, from the wire reference (2.1, 4.1) and the item table of
OLA, so that a mistake in the codec cannot hide itself. No module of the gateway is imported.
"""

from __future__ import annotations

import json
import mmap
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TextIO

__all__ = ["CENTRE", "Facts", "Reply", "Whereabouts", "address", "box", "ola", "read_facts", "read_reply", "user_id"]

CENTRE: Final = "NACCS@SMTP.TEST.SEKISHO.EXAMPLE"
PASSWORD: Final = "SAMPLE01"

_OLA_BEFORE_REF: Final = (1, 11, 11, 2, 17, 70, 105, 2, 3, 2, 8, 8, 5, 5, 70, 5, 5, 70, 35, 1, 9, 11, 140)
"""Widths of the items before 社内整理用番号 (REF, 20), from the table of OLA."""


def user_id(sender: int) -> str:
    """利用者コード and 識別番号 of a sender, counted from 0."""
    return f"1PRV{sender}A0A"


def address(sender: int) -> str:
    """The mail address of a sender and of its box."""
    return f"1PRV{sender}1@SMTP.PROOF{sender}.SEKISHO.EXAMPLE"


def box(sender: int) -> str:
    """The id of a sender's box."""
    return f"PRV{sender:03d}"


def ola(sender: int, reference: str, message_id: str) -> bytes:
    """A mail with a registration (OLA) whose 社内整理用番号, 電文引継情報 and 入力情報特定番号 are ``reference``.

    As observed senders write it: no Date, no space after the colon, items at full width up to the last one used.
    ``message_id`` with its brackets, or empty for a mail without one.
    """
    filled = {0: "9", 7: "31", 8: "SHI", 12: "1AW01", 15: "2BW02"}
    items = [filled.get(at, "").ljust(width) for at, width in enumerate(_OLA_BEFORE_REF)]
    items += [reference.ljust(20), "SMPLBL0001".ljust(35)]
    body = "".join(f"{item}\r\n" for item in items)
    header = (
        f"   {'OLA':<5}{'':21}{user_id(sender)}{PASSWORD:<8}{'':174}{reference:<26}{'':8}{reference[-10:]:<10}"
        f"{'':100} 2{'':27}{400 + len(body):06d}\r\n"
    )
    mail = f"From:{address(sender)}\r\nTo:{CENTRE}\r\nMime-Version:1.0\r\n"
    mail += 'Content-Type:Text/xml;charset="EUC-JP"\r\nContent-Transfer-Encoding:8bit\r\n'
    mail += f"Message-ID:{message_id}\r\n" if message_id else ""
    return f"{mail}\r\n{header}{body}".encode("ascii")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a receiver sees of a reply mail: the digest is of all its bytes, ``number`` the one that was issued."""

    message_id: str
    output_code: str
    reference: str
    result: str
    number: str
    digest: str


def read_reply(mail: bytes) -> Reply:
    """Take a reply apart by position. Raises ValueError if it has no header or no blank line."""
    head, blank, content = mail.partition(b"\r\n\r\n")
    if not blank or len(content) < 400 or content[398:400] != b"\r\n":
        raise ValueError(f"not a reply: {mail[:200]!r}")
    fields = dict(line.split(b":", 1) for line in head.split(b"\r\n") if b":" in line)
    lower = {name.strip().lower(): value.strip().decode("ascii") for name, value in fields.items()}
    text = content.decode("ascii", "replace")
    lines = text[400:].split("\r\n")
    notice = text[249] == "R"
    return Reply(
        message_id=lower.get(b"message-id", ""),
        output_code=text[8:15].rstrip(),
        reference=text[219:245].rstrip(),
        result=lines[0][:15].rstrip() if notice else "",
        number=(lines[1] if notice and len(lines) > 1 else lines[0]).rstrip(),
        digest=sha256(mail).hexdigest()[:32],
    )


class Facts:
    """A file with one JSON object a line; lines of several threads do not mix. Whoever writes it is never killed."""

    def __init__(self, path: Path) -> None:
        self._file: TextIO = path.open("a", encoding="ascii", buffering=1)
        self._lock = threading.Lock()

    def write(self, **fact: str | int) -> None:
        """Add one."""
        with self._lock:
            self._file.write(f"{json.dumps(fact)}\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_facts(path: Path) -> Iterator[dict[str, Any]]:
    """All facts of a file, in the order they were written."""
    with path.open(encoding="ascii") as file:
        for line in file:
            yield json.loads(line)


class Whereabouts:
    """Where the gateway listens now (0: nowhere), whether the senders should finish, and how many yeses they got.

    In memory shared by the processes that are forked after it was made.
    """

    _FORM: Final = struct.Struct("<iiq")

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, self._FORM.size)

    def _read(self) -> tuple[int, int, int]:
        port, ending, yeses = self._FORM.unpack(self._shared[:])
        return int(port), int(ending), int(yeses)

    @property
    def port(self) -> int:
        """The port on the loopback interface."""
        return self._read()[0]

    @port.setter
    def port(self, port: int) -> None:
        struct.pack_into("<i", self._shared, 0, port)

    @property
    def ending(self) -> bool:
        """Whether no new request is to be made."""
        return bool(self._read()[1])

    def end(self) -> None:
        """Let the senders finish what they have."""
        struct.pack_into("<i", self._shared, 4, 1)

    @property
    def yeses(self) -> int:
        """Requests acknowledged so far, for the progress line."""
        return self._read()[2]

    @yeses.setter
    def yeses(self, count: int) -> None:
        struct.pack_into("<q", self._shared, 8, count)
