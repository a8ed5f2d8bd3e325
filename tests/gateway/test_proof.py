"""The no-loss proof in small, and that its auditor has teeth.

Each proof runs as the command does, in a process of its own: it forks, and a test runner has threads.
"""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sekisho.gateway.proof.audit import ARRIVED, STORE, TOLD, audit
from sekisho.gateway.proof.house import POINTS
from sekisho.gateway.proof.wire import ola, read_facts, read_reply


def _prove(report: Path, *options: str) -> tuple[int, str, dict[str, Any]]:
    """Run the command; its exit code, what it printed, and the kept verdict."""
    command = [sys.executable, "-m", "sekisho.gateway.proof", "--report", str(report), "--seed", "7", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    verdict = report / "verdict.json"
    return done.returncode, done.stdout + done.stderr, json.loads(verdict.read_text()) if verdict.exists() else {}


@pytest.fixture(scope="module")
def proved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str, dict[str, Any]]:
    """A short proof: its folder, exit code, output and verdict."""
    folder = tmp_path_factory.mktemp("proof") / "run"
    return folder, *_prove(folder, "--cycles", "10", "--points", "1", "--no-count")


def test_nothing_is_lost_or_doubled_when_killed(proved: tuple[Path, int, str, dict[str, Any]]) -> None:
    """Kill -9 at random and at every named point, 8 senders: nothing lost or twice (reliability 1, R1, R2)."""
    _, code, output, verdict = proved
    assert code == 0, output
    assert verdict["violations"] == []
    assert verdict["kills"] == 10 + len(POINTS)
    assert verdict["points"] == dict.fromkeys(POINTS, 1)
    assert verdict["counts"]["acknowledged"] == verdict["counts"]["effects"] > 100
    assert verdict["counts"]["replies in the boxes"] == 2 * verdict["counts"]["effects"]
    assert verdict["counts"]["requests sent more than once"] > 0
    assert verdict["counts"]["replies received again"] > 0


def test_a_yes_before_the_commit_is_found_out(tmp_path: Path) -> None:
    """The control: with the acknowledgement before the commit, acknowledged requests are lost (reliability 1 (a))."""
    code, output, verdict = _prove(tmp_path / "run", "--cycles", "6", "--points", "0", "--control", "hasty")
    assert code == 0, output
    assert {kind for kind, _ in verdict["violations"]} >= {"acknowledged and lost", "reply never arrived"}


@pytest.mark.peer("strace")
def test_one_synced_commit_a_batch(tmp_path: Path) -> None:
    """Group commit: every batch is one commit with one sync of the log, shared by several requests (reliability 2)."""
    code, output, _ = _prove(tmp_path / "run", "--cycles", "0", "--points", "0", "--count")
    assert code == 0, output
    assert "one synced commit a batch" in output
    assert "NOT" not in output


def _rewrite(path: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    facts = list(read_facts(path))
    change(facts)
    path.write_text("".join(f"{json.dumps(fact)}\n" for fact in facts))


def _store(folder: Path, *statements: str) -> None:
    connection = sqlite3.connect(folder / STORE)
    for statement in statements:
        assert connection.execute(statement).rowcount > 0
    connection.commit()
    connection.close()


def _lose_an_effect(folder: Path) -> None:
    _store(folder, "DELETE FROM record WHERE key = (SELECT max(key) FROM record WHERE kind = 'bonded-transport')")


def _double_an_effect(folder: Path) -> None:
    _store(
        folder,
        "INSERT INTO record SELECT kind, '99999999999', at, data FROM record WHERE kind = 'bonded-transport' LIMIT 1",
    )


def _invent_an_effect(folder: Path) -> None:
    def forget_first(facts: list[dict[str, Any]]) -> None:
        ref = facts[0]["ref"]
        facts[:] = [fact for fact in facts if fact["ref"] != ref]

    _rewrite(folder / TOLD, forget_first)


def _rename_a_reply(folder: Path) -> None:
    _rewrite(folder / ARRIVED, lambda facts: facts.append({**facts[0], "id": "<another@x.EXAMPLE>"}))


def _share_an_id(folder: Path) -> None:
    _rewrite(folder / ARRIVED, lambda facts: facts.append({**facts[0], "code": "SAS9999"}))


def _change_bytes(folder: Path) -> None:
    _rewrite(folder / ARRIVED, lambda facts: facts.append({**facts[0], "digest": "0"}))


def _name_another_number(folder: Path) -> None:
    _rewrite(folder / ARRIVED, lambda facts: facts[0].update(number="99999999999"))


def _swallow_a_reply(folder: Path) -> None:
    def without_first(facts: list[dict[str, Any]]) -> None:
        gone = (facts[0]["ref"], facts[0]["code"])
        facts[:] = [fact for fact in facts if (fact["ref"], fact["code"]) != gone]

    _rewrite(folder / ARRIVED, without_first)


def _deliver_late(folder: Path) -> None:
    def last(facts: list[dict[str, Any]]) -> None:
        first = facts[0]
        rest = [fact for fact in facts if (fact["ref"], fact["code"]) != (first["ref"], first["code"])]
        facts[:] = [*rest, first]

    _rewrite(folder / ARRIVED, last)


def _swap_effects(folder: Path) -> None:
    def swap(facts: list[dict[str, Any]]) -> None:
        made = [fact for fact in facts if fact["told"] == "made" and fact["sender"] == 0]
        order = [fact["ref"] for fact in made]
        swapped = {order[0]: order[1], order[1]: order[0]}
        for fact in facts:
            fact["ref"] = swapped.get(fact["ref"], fact["ref"])

    _rewrite(folder / TOLD, swap)


def _drop_a_letter(folder: Path) -> None:
    _store(folder, "DELETE FROM reply WHERE id = (SELECT id FROM reply WHERE uid = 2 LIMIT 1)")


def _undeliver(folder: Path) -> None:
    _store(folder, "UPDATE reply SET delivered_at = NULL WHERE id = (SELECT max(id) FROM reply)")


def _misplace(folder: Path) -> None:
    _store(
        folder,
        "UPDATE reply SET box = 'OPERATORS', uid = 1 WHERE id ="
        " (SELECT max(id) FROM reply WHERE box = 'PRV000' AND uid = (SELECT max(uid) FROM reply WHERE box = 'PRV000'))",
    )


def _leave_unprocessed(folder: Path) -> None:
    _store(folder, "UPDATE message SET state = 0 WHERE id = (SELECT max(id) FROM message)")


def _refuse(folder: Path) -> None:
    _rewrite(folder / TOLD, lambda facts: facts.append({**facts[-1], "told": 554}))


def _break_a_reference(folder: Path) -> None:
    _store(folder, "DELETE FROM lane WHERE lane = (SELECT min(lane) FROM lane)")


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (_lose_an_effect, "acknowledged and lost"),
        (_double_an_effect, "effect twice"),
        (_invent_an_effect, "effect of nothing"),
        (_rename_a_reply, "reply under two Message-IDs"),
        (_share_an_id, "Message-ID of two replies"),
        (_change_bytes, "other bytes under one Message-ID"),
        (_name_another_number, "reply of nothing"),
        (_swallow_a_reply, "reply never arrived"),
        (_deliver_late, "replies out of order"),
        (_swap_effects, "effects out of order"),
        (_drop_a_letter, "replies of a request"),
        (_drop_a_letter, "uid gap"),
        (_undeliver, "reply not delivered"),
        (_misplace, "reply in another box"),
        (_leave_unprocessed, "request not processed"),
        (_refuse, "refused"),
        (_break_a_reference, "store damaged"),
    ],
)
def test_the_auditor_finds_it(
    proved: tuple[Path, int, str, dict[str, Any]], tmp_path: Path, spoil: Callable[[Path], None], kind: str
) -> None:
    """Each check of the auditor finds the violation it is for, in a copy of a clean run that was spoiled by hand."""
    folder = tmp_path / "spoiled"
    shutil.copytree(proved[0], folder)
    assert audit(folder).violations == []
    spoil(folder)
    assert audit(folder).kinds[kind] > 0


def test_the_parties_read_and_write_the_wire_by_position() -> None:
    """Wire reference 2.1: a request has its 電文引継情報 at byte 220 and says its length; a reply is read likewise."""
    content = ola(3, "P3-0000001", "<a@b.EXAMPLE>").partition(b"\r\n\r\n")[2]
    assert content[219:245] == b"P3-0000001".ljust(26)
    assert int(content[392:398]) == len(content)
    body = b"00000-0000-0000".ljust(75) + b"\r\n00000000015\r\n"
    header = bytearray(b" " * 398 + b"\r\n")
    header[8:15], header[219:245], header[249:250] = b"*SOLA  ", b"P3-0000001".ljust(26), b"R"
    reply = read_reply(b"Message-ID: <c@d.EXAMPLE>\r\n\r\n" + bytes(header) + body)
    assert (reply.message_id, reply.output_code, reply.reference) == ("<c@d.EXAMPLE>", "*SOLA", "P3-0000001")
    assert (reply.result, reply.number) == ("00000-0000-0000", "00000000015")
