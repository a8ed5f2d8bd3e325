"""The same round trip built plainly, as the peer of the gateway: aiosmtpd, email, sqlite3, aiosmtplib.

*Strategy.* What a good engineer writes in a day with the libraries as they come: aiosmtpd's own protocol on uvloop, the
mail read by ``email`` (the quick policy), the items decoded one by one, user and password looked up, a resend
recognised, the reply written field by field, request and reply committed in one transaction in a thread
(synchronous=FULL; whatever waits shares the commit), then the 250, then aiosmtplib over one kept-alive connection a
box; the delivered mark rides in the next commit, and one line of the log tells of each request.

What it does without, in its favour: it knows one business code and no rights, hours, routes or findings, keeps
verified passwords only, its users live in memory, and it has no lanes, savepoints, limits or back-off. ::

    python benchmarks/plain_gateway.py FOLDER PUSH_PORT
"""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.utils
import hashlib
import json
import logging
import signal
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiosmtplib
import uvloop
from aiosmtpd.smtp import SMTP
from serving import PARTNERS, user_id

log = logging.getLogger("plain")
_CENTRE = "NACCS@SMTP.TEST.SEKISHO.EXAMPLE"
_RETRY_SECONDS = 60.0
_SCHEMA = """
CREATE TABLE inbox (id INTEGER PRIMARY KEY, idem TEXT UNIQUE, digest BLOB NOT NULL, received_at TEXT NOT NULL,
    peer TEXT NOT NULL, sender TEXT NOT NULL, user TEXT NOT NULL, code TEXT NOT NULL, carry TEXT NOT NULL,
    input_id TEXT NOT NULL, result TEXT NOT NULL, mail BLOB NOT NULL);
CREATE TABLE outbox (id INTEGER PRIMARY KEY, inbox_id INTEGER NOT NULL REFERENCES inbox, box TEXT NOT NULL,
    code TEXT NOT NULL, subject TEXT NOT NULL, mail BLOB NOT NULL, sent_at TEXT);
CREATE INDEX outbox_inbox ON outbox (inbox_id);
CREATE INDEX outbox_due ON outbox (box, id) WHERE sent_at IS NULL;
"""


class _Store:
    """One connection, one task: whatever waits is one commit, in a thread."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + _SCHEMA)
        self._waiting: asyncio.Queue[tuple[Callable[[sqlite3.Connection], Any], asyncio.Future[Any]]] = asyncio.Queue()

    async def write(self, work: Callable[[sqlite3.Connection], Any]) -> Any:  # noqa: ANN401 - what the work gives
        """Do it and wait until it is on disk."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((work, done))
        return await done

    async def run(self) -> None:
        """Commit batch after batch."""
        while True:
            batch = [await self._waiting.get()]
            while not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            results = await asyncio.to_thread(self._commit, [work for work, _ in batch])
            for (_, done), result in zip(batch, results, strict=True):
                if not done.done():
                    done.set_result(result)

    def _commit(self, works: list[Callable[[sqlite3.Connection], Any]]) -> list[Any]:
        self._connection.execute("BEGIN IMMEDIATE")
        results = [work(self._connection) for work in works]
        self._connection.execute("COMMIT")
        return results


@dataclass
class _Request:
    """The common items of a request that the reply needs, and its items."""

    code: str
    user: str
    password: str
    carry: bytes
    input_id: bytes
    index: bytes
    items: list[str]


def _field(content: bytes, start: int, size: int) -> str:
    return content[start - 1 : start - 1 + size].decode("euc_jp").rstrip()


def _parse(content: bytes) -> _Request | str:
    """Header and items, or the result code for what is wrong with them."""
    if len(content) < 400 or content[398:400] != b"\r\n" or content[364:365] not in (b"1", b"2"):
        return "A0016"
    if not content[392:398].isdigit() or int(content[392:398]) != len(content):
        return "A0008"
    try:
        items = [line.decode("euc_jp").rstrip() for line in content[400:].split(b"\r\n")]
        request = _Request(
            code=_field(content, 4, 5),
            user=_field(content, 30, 8),
            password=_field(content, 38, 8),
            carry=content[219:245],
            input_id=content[253:263],
            index=content[263:363],
            items=items,
        )
    except UnicodeDecodeError:
        return "A0009"
    if any(len(item.encode("euc_jp")) > size for item, size in zip(items, (50, 50, 1), strict=False)):
        return "S0001"
    return request


def _reply(request: _Request, result: str, now: datetime) -> bytes:
    """The result notice of a link check, field by field."""
    lines = [f"{result}-0000-0000".ljust(75), request.items[0].ljust(50), request.items[1].ljust(50), ""]
    body = "\r\n".join(lines).encode("euc_jp")
    head = b"".join(
        (
            b"   ",
            request.code.ljust(5).encode("ascii"),
            f"*C{request.code}".ljust(7).encode("ascii"),
            f"{now:%Y%m%d%H%M}".ljust(14).encode("ascii"),
            request.user[:5].ljust(5).encode("ascii"),
            b" " * 17,
            f"{request.user}@SMTP.BENCH.SEKISHO.EXAMPLE".ljust(64).encode("ascii"),
            f"{result}-0000-0000".ljust(64).encode("ascii"),
            b" " * 40,
            request.carry,
            b"000",
            b"E",
            b"R",
            b"   ",
            request.input_id,
            request.index,
            b"Q",
            b" " * 28,
            f"{400 + len(body):06d}\r\n".encode("ascii"),
        )
    )
    return head + body


class _Plain:
    """aiosmtpd's handler, and the sending of what it answered."""

    def __init__(self, store: _Store, push: int) -> None:
        self._store, self._push = store, push
        boxes = [user_id(number) for number in range(PARTNERS)]
        # Verified once with argon2; what is remembered of it is a digest.
        self._users = {box: hashlib.sha256(f"{box}:SAMPLE01".encode()).digest() for box in boxes}
        self._boxes: dict[str, asyncio.Queue[tuple[int, bytes]]] = {box: asyncio.Queue() for box in boxes}
        self._sent: list[tuple[str, int]] = []

    async def handle_DATA(self, _server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802, ANN401
        """Read it, decide, keep request and reply, say yes, hand the reply on."""
        now = datetime.now(UTC)
        mail = email.message_from_bytes(envelope.content)
        content: bytes = mail.get_payload(decode=True)  # type: ignore[assignment]
        request = _parse(content)
        if isinstance(request, str):
            return "554 5.6.0 " + request
        result = self._judge(request)
        message_id = mail["Message-ID"]
        idem = f"{request.user}|{envelope.mail_from}|{message_id}" if message_id else None
        reply = _reply(request, result, now)
        row = (
            idem, hashlib.sha256(content).digest(), now.isoformat(), f"{session.peer[0]}:{session.peer[1]}",
            envelope.mail_from, request.user, request.code, request.carry.decode("ascii", "replace").rstrip(),
            request.input_id.decode("ascii", "replace").rstrip(), result, envelope.content,
        )  # fmt: skip

        def keep(db: sqlite3.Connection) -> tuple[int, int, bytes]:
            sent, self._sent = self._sent, []
            if sent:
                db.executemany("UPDATE outbox SET sent_at = ? WHERE id = ?", sent)
            if idem is not None:
                known = db.execute("SELECT id FROM inbox WHERE idem = ?", (idem,)).fetchone()
                if known:
                    old = db.execute("SELECT id, mail FROM outbox WHERE inbox_id = ?", known).fetchone()
                    return known[0], old[0], old[1]
            number = db.execute(
                "INSERT INTO inbox (idem, digest, received_at, peer, sender, user, code, carry, input_id, result, mail)"
                " VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                row,
            ).lastrowid
            whole = (
                f"Date: {email.utils.format_datetime(now)}\r\nFrom: {_CENTRE}\r\n"
                f"To: {request.user}@SMTP.BENCH.SEKISHO.EXAMPLE\r\nMessage-ID: <{number}@plain.sekisho.example>\r\n"
                'Mime-Version: 1.0\r\nContent-Type: Text/plain;charset="EUC-JP"\r\n'
                "Content-Transfer-Encoding: 8bit\r\n\r\n"
            ).encode("ascii") + reply
            letter = db.execute(
                "INSERT INTO outbox (inbox_id, box, code, subject, mail) VALUES (?,?,?,?,?)",
                (number, request.user, f"*C{request.code}", result, whole),
            ).lastrowid
            return number or 0, letter or 0, whole

        number, letter, whole = await self._store.write(keep)
        self._boxes[request.user].put_nowait((letter, whole))
        log.info("processed request=%s user=%s code=%s result=%s", number, request.user, request.code, result)
        return f"250 2.0.0 accepted as {number}"

    def _judge(self, request: _Request) -> str:
        """The result code: user, password, business, items."""
        remembered = self._users.get(request.user)
        if remembered is None:
            return "A0003"
        if hashlib.sha256(f"{request.user}:{request.password}".encode()).digest() != remembered:
            return "A0004"
        if request.code != "TCC":
            return "A0001"
        return "00000" if len(request.items) >= 3 else "S0002"

    async def send(self, box: str) -> None:
        """One box's replies in order, over one connection; what fails is tried again with the same Message-ID."""
        client = aiosmtplib.SMTP(
            hostname="127.0.0.1", port=self._push, start_tls=False, local_hostname="plain.sekisho.example"
        )
        while True:
            number, mail = await self._boxes[box].get()
            while True:
                try:
                    if not client.is_connected:
                        await client.connect()
                    await client.sendmail(_CENTRE, [f"{box}@SMTP.BENCH.SEKISHO.EXAMPLE"], mail)
                    break
                except aiosmtplib.SMTPException:
                    log.exception("letter %s was not delivered", number)
                    await asyncio.sleep(_RETRY_SECONDS)
            self._sent.append((datetime.now(UTC).isoformat(), number))


async def _serve(folder: Path, push: int) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("mail.log").setLevel(logging.WARNING)  # aiosmtpd's own lines, several a command
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    store = _Store(folder / "plain.db")
    house = _Plain(store, push)
    tasks = [loop.create_task(store.run()), *(loop.create_task(house.send(user_id(n))) for n in range(PARTNERS))]
    server = await loop.create_server(
        lambda: SMTP(house, hostname="plain.sekisho.example", loop=loop), "127.0.0.1", 0, backlog=512
    )
    host, port = server.sockets[0].getsockname()[:2]
    print(json.dumps({"event": "ready", "listeners": {"smtp": f"{host}:{port}"}}), flush=True)
    await ended.wait()
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks)


if __name__ == "__main__":
    uvloop.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
