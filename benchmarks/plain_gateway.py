"""The same round trip built plainly, as the peer of the gateway: aiosmtpd, sqlite3, aiosmtplib.

*Strategy.* What a competent builder writes in an afternoon with the libraries as they come: aiosmtpd's own protocol on
uvloop, an inbox row committed before the 250 (with synchronous=FULL, and whatever waits shares a commit), then the
work, an outbox row committed, and the reply sent with aiosmtplib over one kept-alive connection a box; the delivered
mark rides in the next commit. It checks no password, knows no users, keeps no order but a box's, and recognises no
resend: everything it leaves out is in its favour. ::

    python benchmarks/plain_gateway.py FOLDER PUSH_PORT
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiosmtplib
import uvloop
from aiosmtpd.smtp import SMTP
from serving import PARTNERS, user_id

_SCHEMA = """
CREATE TABLE inbox (id INTEGER PRIMARY KEY, mail BLOB NOT NULL, done INTEGER NOT NULL DEFAULT 0);
CREATE TABLE outbox (id INTEGER PRIMARY KEY, box TEXT NOT NULL, mail BLOB NOT NULL, sent INTEGER NOT NULL DEFAULT 0);
CREATE INDEX outbox_due ON outbox (id) WHERE sent = 0;
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


def _reply(content: bytes) -> bytes:
    """The result notice of a link check (477 bytes of header and result, then the two echoes)."""
    items = content[400:].split(b"\r\n")
    body = b"\r\n".join([b"00000-0000-0000".ljust(75), *items[:2], b""])
    head = bytearray(content[:400])
    head[8:15], head[249:250], head[392:398] = b"*CTCC  ", b"R", b"%06d" % (400 + len(body))
    return bytes(head) + body


class _Plain:
    """aiosmtpd's handler, and the work behind it."""

    def __init__(self, store: _Store, push: int) -> None:
        self._store, self._push = store, push
        boxes = map(user_id, range(PARTNERS))
        self._boxes: dict[str, asyncio.Queue[tuple[int, bytes]]] = {box: asyncio.Queue() for box in boxes}
        self._sent: list[tuple[int]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle_DATA(self, _server: SMTP, _session: object, envelope: Any) -> str:  # noqa: N802, ANN401
        """Keep it, say yes, go on in a task."""
        mail: bytes = envelope.content
        number = await self._store.write(
            lambda db: db.execute("INSERT INTO inbox (mail) VALUES (?)", (mail,)).lastrowid
        )
        task = asyncio.get_running_loop().create_task(self._work(number, mail))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return f"250 2.0.0 accepted as {number}"

    async def _work(self, number: int, mail: bytes) -> None:
        content = mail.partition(b"\r\n\r\n")[2]
        box = content[29:37].decode("ascii")
        reply = (
            f"From: NACCS@SMTP.TEST.SEKISHO.EXAMPLE\r\nTo: {box}@SMTP.BENCH.SEKISHO.EXAMPLE\r\n"
            f"Message-ID: <{number}@plain.sekisho.example>\r\nMime-Version: 1.0\r\n"
            'Content-Type: Text/plain;charset="EUC-JP"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n'
        ).encode("ascii") + _reply(content)

        def finish(db: sqlite3.Connection) -> int | None:
            sent, self._sent = self._sent, []
            db.executemany("UPDATE outbox SET sent = 1 WHERE id = ?", sent)
            db.execute("UPDATE inbox SET done = 1 WHERE id = ?", (number,))
            return db.execute("INSERT INTO outbox (box, mail) VALUES (?, ?)", (box, reply)).lastrowid

        letter = await self._store.write(finish)
        self._boxes[box].put_nowait((letter, reply))

    async def send(self, box: str) -> None:
        """One box's replies in order, over one connection."""
        client = aiosmtplib.SMTP(
            hostname="127.0.0.1", port=self._push, start_tls=False, local_hostname="plain.sekisho.example"
        )
        while True:
            number, mail = await self._boxes[box].get()
            if not client.is_connected:
                await client.connect()
            await client.sendmail(
                "NACCS@SMTP.TEST.SEKISHO.EXAMPLE", [f"{box}@SMTP.BENCH.SEKISHO.EXAMPLE"], mail
            )
            self._sent.append((number,))


async def _serve(folder: Path, push: int) -> None:
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
