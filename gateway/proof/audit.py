"""The auditor: compares what senders were told, what receivers got and what the store holds.

*Strategy.* It reads three things only: the senders' file, the receivers' file and the database, through a connection
that can only read. Every sentence of the contract is one check; a violation names the request, so that it can be
followed through all three.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sekisho.gateway.proof.wire import box, read_facts

__all__ = ["ARRIVED", "STORE", "TOLD", "Verdict", "audit", "drained"]

TOLD: Final = "told.jsonl"
ARRIVED: Final = "arrived.jsonl"
STORE: Final = "data/sekisho.db"
_REPLIES: Final = ("*SOLA", "SAS1360")
"""What a registration is answered with, in this order."""


@dataclass(slots=True)
class Verdict:
    """What the auditor found: counts of what was compared, and every violation with its kind."""

    counts: dict[str, int] = field(default_factory=dict)
    violations: list[tuple[str, str]] = field(default_factory=list)

    @property
    def kinds(self) -> Counter[str]:
        """How many violations there are of each kind."""
        return Counter(kind for kind, _ in self.violations)


def _open(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{folder / STORE}?mode=ro", uri=True)


def drained(folder: Path) -> bool:
    """Whether the store has neither unprocessed requests nor letters that are due."""
    connection = _open(folder)
    try:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM message WHERE state = 0)"
            " + (SELECT count(*) FROM reply WHERE due_at IS NOT NULL)"
        ).fetchone()
    finally:
        connection.close()
    return bool(row[0] == 0)


@dataclass(slots=True)
class _Told:
    """One request as its sender saw it."""

    sender: int
    number: int
    id: str
    yeses: int = 0
    refused: int = 0
    tries: int = 0


class _Audit:
    def __init__(self, folder: Path) -> None:
        self.verdict = Verdict()
        self.requests: dict[str, _Told] = {}
        for fact in read_facts(folder / TOLD):
            if fact["told"] == "made":
                self.requests[fact["ref"]] = _Told(fact["sender"], fact["n"], fact["id"])
                continue
            request = self.requests[fact["ref"]]
            request.tries += 1
            request.yeses += 200 <= fact["told"] < 300
            request.refused += fact["told"] >= 500
        self.arrivals = list(read_facts(folder / ARRIVED))
        self.effects: dict[str, list[str]] = defaultdict(list)
        self.rows: list[dict[str, Any]] = []
        self.store(folder)

    def bad(self, kind: str, text: str) -> None:
        """Note a violation."""
        self.verdict.violations.append((kind, text))

    def store(self, folder: Path) -> None:
        """Read the store; its own integrity is the first check."""
        connection = _open(folder)
        connection.row_factory = sqlite3.Row
        try:
            for row in connection.execute("PRAGMA integrity_check"):
                if row[0] != "ok":
                    self.bad("store damaged", row[0])
            for row in connection.execute("PRAGMA foreign_key_check"):
                self.bad("store damaged", f"{row[0]} row {row[1]} refers to nothing in {row[2]}")
            for row in connection.execute("SELECT key, data FROM record WHERE kind = 'bonded-transport' ORDER BY key"):
                self.effects[json.loads(row["data"])["items"]["REF"]].append(row["key"])
            for row in connection.execute("SELECT id, lane, state FROM message WHERE state <> 1"):
                self.bad("request not processed", f"request {row['id']} of {row['lane']} has state {row['state']}")
            letters = connection.execute(
                "SELECT m.carry, r.message_id, r.part, r.box, r.uid, r.output_code, r.delivered_at, r.due_at,"
                " (SELECT result FROM message WHERE id = r.message_id) AS result"
                " FROM reply r JOIN message m ON m.id = r.message_id"
                " ORDER BY r.box, r.uid"
            )
            self.rows = [dict(row) for row in letters]
            self.verdict.counts["requests in the journal"] = connection.execute(
                "SELECT count(*) FROM message"
            ).fetchone()[0]
        finally:
            connection.close()

    def one_effect(self) -> None:
        """(a), (b): every acknowledged request has one effect, nothing has two, and none is unasked for."""
        for reference, request in self.requests.items():
            effects = self.effects.get(reference, [])
            if request.yeses and not effects:
                self.bad("acknowledged and lost", f"{reference} {request.id or 'without id'}: {request.yeses} yes")
            if len(effects) > 1:
                self.bad("effect twice", f"{reference} {request.id or 'without id'}: {', '.join(effects)}")
            if request.refused:
                self.bad("refused", f"{reference} was answered 5xx")
        for reference in self.effects.keys() - self.requests.keys():
            self.bad("effect of nothing", f"{reference}: {self.effects[reference]}")

    def in_the_box(self) -> None:
        """(b), (c): each effect has its replies in the sender's box, once; uids have no gap; all were delivered."""
        have: dict[str, list[str]] = defaultdict(list)
        uids: dict[str, list[int]] = defaultdict(list)
        for row in self.rows:
            have[row["carry"]].append(row["output_code"])
            uids[row["box"]].append(row["uid"])
            if row["delivered_at"] is None or row["due_at"] is not None:
                self.bad("reply not delivered", f"{row['box']} uid {row['uid']}")
            request = self.requests.get(row["carry"])
            if request is not None and row["box"] != box(request.sender):
                self.bad("reply in another box", f"{row['carry']} in {row['box']}")
        for reference, request in self.requests.items():
            if request.yeses and sorted(have[reference]) != sorted(_REPLIES):
                self.bad("replies of a request", f"{reference} has {have[reference]} in the box")
        for name, found in uids.items():
            if found != list(range(1, len(found) + 1)):
                self.bad("uid gap", f"{name}: {len(found)} letters, the last uid is {found[-1]}")

    def one_identity(self) -> None:
        """(b): a reply has one Message-ID for ever, the same bytes every time, and is what the store says."""
        ids: dict[tuple[str, str], set[str]] = defaultdict(set)
        owners: dict[str, set[tuple[str, str]]] = defaultdict(set)
        bytes_of: dict[str, set[str]] = defaultdict(set)
        for arrival in self.arrivals:
            reply = (arrival["ref"], arrival["code"])
            ids[reply].add(arrival["id"])
            owners[arrival["id"]].add(reply)
            bytes_of[arrival["id"]].add(arrival["digest"])
            known = self.effects.get(arrival["ref"], [])
            if arrival["number"] not in known:
                self.bad("reply of nothing", f"{reply} names {arrival['number']}, the store has {known}")
        for reply, found in ids.items():
            if len(found) > 1:
                self.bad("reply under two Message-IDs", f"{reply}: {', '.join(sorted(found))}")
        for name, replies in owners.items():
            if len(replies) > 1:
                self.bad("Message-ID of two replies", f"{name}: {sorted(replies)}")
        for name, digests in bytes_of.items():
            if len(digests) > 1:
                self.bad("other bytes under one Message-ID", f"{name}: {len(digests)} forms")
        for reference, request in self.requests.items():
            missing = [code for code in _REPLIES if request.yeses and (reference, code) not in ids]
            if missing:
                self.bad("reply never arrived", f"{reference}: {', '.join(missing)}")
        self.verdict.counts["replies received again"] = len(self.arrivals) - len(ids)

    def in_order(self) -> None:
        """(d): a sender's requests took effect in the order it sent them, and the replies first came in that order."""
        last_number: dict[int, str] = {}
        for reference, request in self.requests.items():  # in the order each sender made them
            number = min(self.effects.get(reference, [""]))
            if number and number < last_number.get(request.sender, ""):
                self.bad("effects out of order", f"{reference}: {number} after {last_number[request.sender]}")
            if number:
                last_number[request.sender] = number
        seen: set[tuple[str, str]] = set()
        last: dict[int, tuple[int, int]] = {}
        for arrival in self.arrivals:
            reply = (arrival["ref"], arrival["code"])
            told = self.requests.get(arrival["ref"])
            if told is None or reply in seen or arrival["code"] not in _REPLIES:
                continue
            seen.add(reply)
            place, before = (told.number, _REPLIES.index(arrival["code"])), last.get(told.sender, (0, 0))
            if place < before:
                self.bad("replies out of order", f"{reply} came after request {before[0]}")
            last[told.sender] = max(place, before)

    def run(self) -> Verdict:
        """All checks."""
        self.one_effect()
        self.in_the_box()
        self.one_identity()
        self.in_order()
        requests = self.requests.values()
        self.verdict.counts |= {
            "requests": len(self.requests),
            "acknowledged": sum(request.yeses > 0 for request in requests),
            "transmissions": sum(request.tries for request in requests),
            "requests sent more than once": sum(request.tries > 1 for request in requests),
            "effects": sum(len(numbers) for numbers in self.effects.values()),
            "replies in the boxes": len(self.rows),
            "replies received": len(self.arrivals),
        }
        return self.verdict


def audit(folder: Path) -> Verdict:
    """Judge the run whose files are in ``folder``. Raises OSError or sqlite3.Error if they cannot be read."""
    return _Audit(folder).run()
