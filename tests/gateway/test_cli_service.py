"""serve, check-config, db upgrade: the real program, started and stopped (house 2)."""

import asyncio
import json
import select
import signal
import smtplib
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sekisho.gateway.inhouse import InHouseSystem
from sekisho.handlers.tables import catalogue
from sekisho.mailboxes import open_store
from sekisho.mailboxes.letters import LetterQuery

from .commands import NOON, REGISTRY, message, sekisho

SETTINGS = """
[gateway]
data = "store"
[[listener]]
name = "two-way"
address = "127.0.0.1:0"
centre = ["NACCS@SMTP.TEST.SEKISHO.EXAMPLE"]
[registry]
seed = "registry.toml"
"""


def settings(folder: Path, text: str = SETTINGS) -> Path:
    """A settings file with the sample registry beside it, boxes without a door."""
    registry = REGISTRY.read_text(encoding="utf-8").replace('push = "127.0.0.1:2626"', "doors = []")
    registry = registry.replace('doors = ["smtp-push"]', "# no door")
    (folder / "registry.toml").write_text(registry, encoding="utf-8")
    path = folder / "gateway.toml"
    path.write_text(text, encoding="utf-8")
    return path


@contextmanager
def serving(path: Path, *args: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any], float]]:
    """``sekisho serve`` in a process of its own: the process, its ready line, seconds until it came."""
    program = [sys.executable, "-m", "sekisho.gateway", "serve", "-c", str(path), *args]
    began = time.monotonic()
    with (
        (path.parent / "log").open("w") as log,
        subprocess.Popen(program, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            assert select.select([process.stdout], [], [], 30)[0], "no ready line in 30 s"
            line = process.stdout.readline()
            assert line, (path.parent / "log").read_text()
            yield process, json.loads(line), time.monotonic() - began
        finally:
            process.kill()


def submit(address: str, content: bytes) -> tuple[int, bytes]:
    """One message as an in-house system sends it; the answer to the final dot."""
    host, port = address.split(":")
    with smtplib.SMTP(host, int(port), timeout=10) as client:
        client.helo("in-house")
        client.docmd("MAIL FROM:1ANAC1@SMTP.BROKER.SEKISHO.EXAMPLE")
        client.docmd("RCPT TO:NACCS@SMTP.TEST.SEKISHO.EXAMPLE")
        return client.data(b"Content-Type:text/plain\r\n\r\n" + content)


def results(path: Path, count: int) -> list[str]:
    """The first result codes of the requests, newest first, when so many are processed (or after 10 s)."""
    deadline = time.monotonic() + 10
    while True:
        forms = sekisho("mailbox", "list", "--requests", "--json", "-c", path).json
        done = [form["result"][:5] for form in forms if form["state"] == "done"]
        if len(done) == count or time.monotonic() > deadline:
            return done
        time.sleep(0.05)


def test_serve_says_ready_takes_mail_and_ends_on_sigterm(tmp_path: Path) -> None:
    """House 2: one JSON line when all listeners are up, port 0 is allowed, SIGTERM closes in order (exit 0)."""
    path = settings(tmp_path)
    with serving(path) as (process, ready, _):
        assert ready["event"] == "gateway.ready"
        assert ready["listeners"].keys() == {"two-way"}
        code, _ = submit(ready["listeners"]["two-way"], message("TCC", {"I01": "HELLO"}))
        assert code == 250
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    store = open_store("sqlite", tmp_path / "store", lambda: NOON)
    with store.view() as view:
        assert [letter.output_code for letter in view.letters(LetterQuery(box="BRK001"))] == ["*CTCC"]
    store.close()


def test_a_running_gateway_sees_what_commands_write(tmp_path: Path) -> None:
    """House 2: the commands do the same to a running store; a suspended user is refused at the next message."""
    path = settings(tmp_path)
    with serving(path) as (process, ready, _):
        address = ready["listeners"]["two-way"]
        submit(address, message("TCC", {"I01": "ONE"}))
        assert results(path, 1) == ["00000"]
        assert sekisho("user", "suspend", "1ANACA0A", "-c", path).code == 0
        submit(address, message("TCC", {"I01": "TWO"}))
        assert results(path, 2) == ["A0014", "00000"]
        assert sekisho("user", "resume", "1ANACA0A", "-c", path).code == 0
        added = sekisho("user", "add", "1ANACA0C", "--password", "FRESH001", "--box", "BRK001", "-c", path)
        assert added.code == 0
        submit(address, message("TCC", {"I01": "THREE"}, user_seq="A0C", password="FRESH001"))
        submit(address, message("TCC", {"I01": "FOUR"}))
        assert results(path, 4) == ["00000", "00000", "A0014", "00000"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


async def test_resend_through_a_running_gateway_repeats_the_same_mail(tmp_path: Path) -> None:
    """A repeat carries the same Message-ID and the same bytes (decisions, "Identity of a request")."""
    async with InHouseSystem(catalogue()) as house:
        path = settings(tmp_path)
        (tmp_path / "registry.toml").write_text(
            REGISTRY.read_text(encoding="utf-8").replace("127.0.0.1:2626", house.address), encoding="utf-8"
        )
        with serving(path) as (process, ready, _):
            address = ready["listeners"]["two-way"]
            await asyncio.to_thread(submit, address, message("TCC", {"I01": "HELLO"}))
            assert await house.wait(lambda arrivals: len(arrivals) == 1, 10)
            assert await asyncio.to_thread(delivered, path)
            ran = await asyncio.to_thread(sekisho, "mailbox", "resend", "1", "-c", path)
            assert ran.code == 0
            assert await house.wait(lambda arrivals: len(arrivals) == 2, 10)
            first, second = house.arrivals
            assert (first.transport_id, first.content) == (second.transport_id, second.content)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 10) == 0


def delivered(path: Path) -> bool:
    """Wait until the delivered mark of the first letter is in the store, 10 s at most."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if sekisho("mailbox", "list", "--json", "-c", path).json[0]["state"] == "delivered":
            return True
        time.sleep(0.05)
    return False


def test_tail_follows_a_running_gateway(tmp_path: Path) -> None:
    """A letter is shown within a second or two of its commit; an interrupt ends tail well."""
    path = settings(tmp_path)
    with serving(path) as (_, ready, _):
        tail = [sys.executable, "-m", "sekisho.gateway", "mailbox", "tail", "-n", "1", "--json", "-c", str(path)]
        address = ready["listeners"]["two-way"]
        submit(address, message("TCC", {"I01": "OLD"}))
        assert results(path, 1) == ["00000"]
        with subprocess.Popen(tail, stdout=subprocess.PIPE, text=True) as following:
            try:
                assert following.stdout is not None
                assert json.loads(following.stdout.readline())["letter"] == 1
                submit(address, message("TCC", {"I01": "NEWS"}))
                assert select.select([following.stdout], [], [], 10)[0], "no second line in 10 s"
                assert json.loads(following.stdout.readline())["letter"] == 2
                following.send_signal(signal.SIGINT)
                assert following.wait(10) == 0
            finally:
                following.kill()


def test_serve_starts_quickly_on_a_store_that_is_there(tmp_path: Path) -> None:
    """A restart is part of a switch-over: senders wait. The bound is for a busy machine; 0.5 s is usual."""
    path = settings(tmp_path)
    with serving(path) as (process, _, _):
        process.send_signal(signal.SIGTERM)
        process.wait(10)
    with serving(path, "--data", str(tmp_path / "store")) as (process, _, seconds):
        assert seconds < 3
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def test_serve_logs_what_should_be_known(tmp_path: Path) -> None:
    """Warnings of the settings stand in the log before anything is taken; a memory store is one."""
    with serving(settings(tmp_path, SETTINGS + '[store]\nurl = "memory"\n[log]\nformat = "json"\n')):
        lines = [json.loads(line) for line in (tmp_path / "log").read_text(encoding="utf-8").splitlines()]
    assert lines[0]["event"] == "settings.warned"
    assert "a restart forgets every message" in lines[0]["text"]


def test_serve_with_settings_that_cannot_be_used_ends_with_2(tmp_path: Path) -> None:
    """Wrong settings, a wrong registry, a port that is taken: one line each, exit 2, no traceback, no ready line."""
    wrong = sekisho("serve", "-c", settings(tmp_path, SETTINGS.replace("address", "adress")))
    assert (wrong.code, wrong.data) == (2, b"")
    assert 'listener[0].adress: unknown key; did you mean "address"?' in wrong.err
    path = settings(tmp_path)
    (tmp_path / "registry.toml").write_text("[[user]]\n", encoding="utf-8")
    registry = subprocess.run(
        [sys.executable, "-m", "sekisho.gateway", "serve", "-c", str(path)], capture_output=True, text=True, check=False
    )
    assert (registry.returncode, registry.stdout) == (2, "")
    assert "user[0].id: missing" in registry.stderr
    assert "Traceback" not in registry.stderr
    first = settings(tmp_path)
    with serving(first) as (_, ready, _):
        taken = tmp_path / "taken.toml"
        text = SETTINGS.replace("127.0.0.1:0", ready["listeners"]["two-way"]).replace('"store"', '"other"')
        taken.write_text(text, encoding="utf-8")
        second = subprocess.run(
            [sys.executable, "-m", "sekisho.gateway", "serve", "-c", str(taken)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (second.returncode, second.stdout) == (2, "")
        assert "a listener could not start" in second.stderr
        assert "Traceback" not in second.stderr


def test_check_config_says_fine_warns_and_refuses(tmp_path: Path) -> None:
    """check-config reads settings, registry and own modules and starts nothing."""
    path = settings(tmp_path)
    fine = sekisho("check-config", "-c", path)
    assert (fine.code, fine.lines) == (0, [f"{path}: fine; 1 listener(s), store sqlite in {tmp_path / 'store'}"])
    assert not (tmp_path / "store").exists()
    path.write_text(SETTINGS.replace('data = "store"', "allow_plain = true").replace("127.0.0.1", "[::]"), "utf-8")
    risky = sekisho("check-config", "-c", path)
    assert risky.code == 0
    assert risky.lines[0].startswith('warning: listener "two-way" on [::]:0 takes passwords')
    path.write_text(SETTINGS.replace('data = "store"', 'handlers = ["no.such"]'), encoding="utf-8")
    assert 'gateway.handlers: "no.such" cannot be imported' in sekisho("check-config", "-c", path).err
    path.write_text(SETTINGS, encoding="utf-8")
    (tmp_path / "registry.toml").write_text('[[box]]\nid = "a b"\naddress = "A@B.EXAMPLE"\n', encoding="utf-8")
    broken = sekisho("check-config", "-c", path)
    assert broken.code == 2
    assert 'box[0].id: "a b"' in broken.err
    assert sekisho("check-config").code == 2


def test_db_upgrade_makes_a_store_once_and_refuses_what_is_none(tmp_path: Path) -> None:
    """The schema is brought to this release's: db upgrade makes a store once; a foreign file is left alone."""
    made = sekisho("db", "upgrade", "--data", tmp_path / "new")
    assert made.code == 0
    assert made.out.endswith("(was not there)\n")
    assert sekisho("db", "upgrade", "--data", tmp_path / "new").out.endswith("nothing to do\n")
    (tmp_path / "sekisho.db").write_bytes(b"not a database, " * 100)
    refused = sekisho("db", "upgrade", "--data", tmp_path)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert (tmp_path / "sekisho.db").read_bytes() == b"not a database, " * 100
    assert sekisho("user", "list", "--data", tmp_path).code == 2
    assert "which store?" in sekisho("db", "upgrade").err
    path = settings(tmp_path)
    assert str(tmp_path / "store") in sekisho("db", "upgrade", "-c", path).out


def test_help_names_every_command_and_the_exit_codes() -> None:
    """The front door of house 2 is all there."""
    ran = sekisho("--help")
    for command in (
        "serve", "decode", "encode", "codes", "explain", "send", "mailbox", "user", "box", "conntest", "check-config",
        "db", "prove", "demo",
    ):  # fmt: skip
        assert f"\n  {command} " in ran.out
    assert "Exit codes: 0 done; 1 not acceptable" in ran.out
    for view in ("list", "show", "raw", "hex", "thread", "tail", "resend", "export"):
        assert f"\n  {view} " in sekisho("mailbox", "--help").out


def test_check_config_tells_the_days_of_certificates(tmp_path: Path) -> None:
    """TLS and identity: days left are visible before anything starts; what cannot be used is a problem with exit 2."""
    certificate = '\n[[certificate]]\nname = "c"\ncertificate = "c.pem"\nkey = "c.key"\n'
    tls = SETTINGS.replace('address = "127.0.0.1:0"', 'address = "127.0.0.1:0"\ntls = "implicit"\ncertificate = "c"')
    path = settings(tmp_path, tls + certificate)
    ran = sekisho("check-config", "-c", path)
    assert (ran.code, "c.pem cannot be read" in ran.err) == (2, True)
    assert sekisho("serve", "-c", path).code == 2
    path.write_text(tls + certificate + "self_signed = true\n", encoding="utf-8")
    assert "will be made at the start" in sekisho("check-config", "-c", path).out
    with serving(path):
        pass
    ran = sekisho("check-config", "-c", path)
    assert (ran.code, "days left" in ran.out) == (0, True)
