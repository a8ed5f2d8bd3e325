"""``sekisho send`` and ``sekisho collect`` by every line, as people run them: real command, output, exit code."""

import json
import os
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import pytest_asyncio

from sekisho.gateway.conntest.centre import PROGRAM, RunningCentre, throw_away_centre
from sekisho.gateway.inhouse import InHouseSystem, build_request
from sekisho.gateway.inhouse_doors import parse_door
from sekisho.handlers.tables import catalogue

from .exchange import ROOT, SETTINGS

pytestmark = pytest.mark.asyncio(loop_scope="module")
AGREEMENT = str(ROOT / "samples" / "ebms" / "agent.toml")
MAIL, FILES, AGENT = ("6MLSTD0D", "SAMPLE06"), ("7SFTPE0E", "SAMPLE07"), ("8EBMSF0F", "SAMPLE08")
MAIL_FROM = "6MLST1@MAIL.AGENT.SEKISHO.EXAMPLE"


def sekisho(
    *arguments: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command; its input is no terminal."""
    done = subprocess.run(
        [*PROGRAM, *arguments], input=stdin, capture_output=True, timeout=60, check=False, cwd="/",
        env=os.environ | dict(environment or {}),
    )  # fmt: skip
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
    )


def tcc(user: tuple[str, str], text: str) -> bytes:
    """A link check that says something."""
    return build_request(
        catalogue(), "TCC", user_id=user[0], password=user[1], items={"I01": text}, header={"carry": text}
    )


def echoes(document: str) -> list[tuple[str, str]]:
    """By which line each TCC answer came, and what it echoes."""
    read = json.loads(document)
    out = []
    for letter in read.get("replies", read.get("letters")):
        echo = next(item["value"] for item in letter["message"]["items"] if item["id"] == "O01")
        out.append((letter["line"], echo))
    return out


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def centre() -> AsyncIterator[RunningCentre]:
    """A gateway on the samples' settings with all its doors."""
    async with InHouseSystem(catalogue()) as system, throw_away_centre(SETTINGS, system.address) as running:
        yield running


def mail_style(centre: RunningCentre, box: str = "MBX001") -> list[str]:
    """Options that speak mail style with a box, encrypted."""
    found = centre.target.doors
    at = {name: f"{found[name].host}:{found[name].port}" for name in ("mail", "pop3")}
    trust = ["--tls", "starttls", "--trust", found["pop3"].trust]
    doors = ["--to", f"smtp://{box}@{at['mail']}", "--collect", f"pop3://{box}@{at['pop3']}"]
    return [*doors, *trust, "--from", MAIL_FROM]


def at(centre: RunningCentre, door: str, box: str) -> str:
    """The URL of a door."""
    access = centre.target.doors[door]
    return f"{access.scheme}://{box}@{access.host}:{access.port}{access.path}"


async def test_mail_style_sends_logs_in_and_fetches(centre: RunningCentre, tmp_path: Path) -> None:
    """`--to smtp://BOX@… --collect pop3://BOX@…` (issue 4): STARTTLS, AUTH, a file, fetched over STLS."""
    file = tmp_path / "添付.txt"
    file.write_text("a file", "utf-8")
    environment = {"SEKISHO_BOX_PASSWORD": "BOXPASS6"}
    done = sekisho(
        "send", "-", *mail_style(centre), "--attach", str(file), "--json",
        stdin=tcc(MAIL, "MAIL STYLE"), environment=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert echoes(done.stdout) == [("pop3", "MAIL STYLE")]
    assert "BOXPASS6" not in done.stdout + done.stderr
    again = sekisho("collect", at(centre, "pop3", "MBX001"), "--password", "BOXPASS6")
    assert (again.returncode, "no letter waits" in again.stdout) == (0, True), "what was fetched is gone"


async def test_letters_that_waited_before_are_not_the_answer(centre: RunningCentre) -> None:
    """Only what came after the request is shown and removed; --leave leaves that too; `collect` takes all."""
    to, environment = mail_style(centre), {"SEKISHO_BOX_PASSWORD": "BOXPASS6"}
    without = [*to[:2], *to[4:]]
    first = sekisho("send", "-", *without, "--wait", "0", stdin=tcc(MAIL, "BEFORE"), environment=environment)
    assert first.returncode == 0, first.stderr
    left = sekisho("send", "-", *to, "--leave", "--json", stdin=tcc(MAIL, "LEFT"), environment=environment)
    assert echoes(left.stdout) == [("pop3", "LEFT")], left.stderr
    url = at(centre, "pop3", "MBX001")
    looked = sekisho("collect", url, "--leave", "--json", environment=environment)
    assert echoes(looked.stdout) == [("pop3", "BEFORE"), ("pop3", "LEFT")]
    other = ["--known-hosts", centre.target.doors["sftp"].trust]
    taken = sekisho("collect", at(centre, "sftp", "MBX001"), *other, "--json", environment=environment)
    assert echoes(taken.stdout) == [("sftp", "BEFORE"), ("sftp", "LEFT")]
    assert json.loads(sekisho("collect", url, "--json", environment=environment).stdout)["letters"] == []


async def test_sftp_puts_and_takes(centre: RunningCentre, tmp_path: Path) -> None:
    """`--to sftp://BOX@…` puts a file and takes the replies; --save keeps them byte for byte."""
    file = tmp_path / "link check.txt"
    file.write_bytes(tcc(FILES, "BY SFTP"))
    options = ["--password", "BOXPASS7", "--known-hosts", centre.target.doors["sftp"].trust]
    done = sekisho("send", str(file), "--to", at(centre, "sftp", "SFT001"), *options, "--save", str(tmp_path / "new"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("stored: /in/link-check\n")
    assert "← *CTCC" in done.stdout
    assert b"BY SFTP" in (tmp_path / "new" / "reply-1.txt").read_bytes()


async def test_ebms_posts_and_pulls(centre: RunningCentre) -> None:
    """`--to ebms://BOX@… --agreement FILE` posts, checks the Acknowledgment, pulls the reply and acknowledges it."""
    options = ["--password", "BOXPASS8", "--agreement", AGREEMENT, "--json"]
    url = at(centre, "ebms", "EBM001")
    done = sekisho("send", "-", "--to", url, *options, stdin=tcc(AGENT, "BY EBMS"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert echoes(done.stdout) == [("ebms", "BY EBMS")]
    assert json.loads(done.stdout)["answer"]["text"].startswith("acknowledged")
    assert sekisho("send", "-", "--to", url, *options, "--wait", "0", stdin=tcc(AGENT, "LATER")).returncode == 0
    assert echoes(sekisho("collect", url, *options, "--wait", "10").stdout) == [("ebms", "LATER")]


@pytest.mark.parametrize(
    ("door", "box", "more", "said"),
    [
        ("sftp", "SFT001", ["--insecure"], "login: mailbox ID or password is wrong"),
        ("sftp", "SFT001", [], "is not among the known hosts; name a file of them with --known-hosts"),
        ("ebms", "EBM001", ["--agreement", AGREEMENT], "login: 401"),
        ("pop3", "MBX001", [], "login: -ERR [AUTH]"),
        ("pop3", "MBX001", ["--tls", "starttls"], "certificate is not trusted"),
    ],
)
async def test_who_is_not_let_in_is_told_why(
    centre: RunningCentre, door: str, box: str, more: list[str], said: str
) -> None:
    """A wrong password, an unknown server: exit code 1 and where it went wrong; nothing secret in the text."""
    environment = {"SEKISHO_BOX_PASSWORD": "WRONG999", "HOME": "/nonexistent"}
    done = sekisho("collect", at(centre, door, box), *more, environment=environment)
    assert done.returncode == 1, done.stdout
    assert said in done.stderr
    assert "WRONG999" not in done.stderr
    assert ("whoever answers at" in done.stderr) == ("--insecure" in more)


async def test_a_refusal_of_the_line_is_exit_code_1(centre: RunningCentre) -> None:
    """Mail style with a wrong box password: the stage and the centre's words, exit code 1."""
    done = sekisho("send", "-", *mail_style(centre), "--password", "WRONG999", stdin=tcc(MAIL, "X"))
    assert done.returncode == 1
    assert done.stdout.startswith("login: ")
    options = ["--agreement", AGREEMENT, "--password", "BOXPASS8"]
    access = centre.target.doors["ebms"]
    wrong = f"ebms://EBM001@{access.host}:{access.port}/elsewhere"
    done = sekisho("send", "-", "--to", wrong, *options, stdin=tcc(AGENT, "X"))
    assert (done.returncode, done.stdout[:11]) == (1, "answer: 404")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["send", "-", "--to", "sftp://SFT001:SECRET99@127.0.0.1:22"], "a password does not belong into a URL"),
        (["send", "-", "--to", "ftp://127.0.0.1"], "'ftp://127.0.0.1' is not smtp://[BOX@]host:port or"),
        (["send", "-", "--to", "smtp://MBX001@127.0.0.1:25"], "no password; give it with --password"),
        (["send", "-", "--to", "sftp://A@127.0.0.1:22", "--collect", "pop3://A@127.0.0.1"], "--collect is for smtp://"),
        (["send", "-", "--to", "ebms://127.0.0.1:80/ebms"], "--agreement FILE.toml"),
        (["send", "-", "--to", "ebms://127.0.0.1:80/ebms", "--agreement", "/none.toml"], "there is no such file"),
        (["send", "-", "--to", "smtp://127.0.0.1:25", "--attach", __file__], "two-way senders attach no files"),
        (["collect", "smtp://127.0.0.1:25"], "is not pop3://[BOX@]host:port or"),
    ],
)
async def test_what_cannot_be_meant_is_exit_code_2(arguments: list[str], said: str) -> None:
    """Told before anything is sent; a password in a URL is not repeated."""
    done = sekisho(*arguments, stdin=tcc(MAIL, "X"))
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr
    assert "SECRET99" not in done.stderr


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("pop3://MBX001@host", "pop3://MBX001@host:110"),
        ("pop3s://MBX001@[::1]/", "pop3://MBX001@[::1]:995"),
        ("sftp://A%40B@host:2222", "sftp://A@B@host:2222"),
        ("ebms+https://host/msh/in", "ebms://host:443/msh/in"),
    ],
)
async def test_a_door_is_shown_without_secrets(url: str, shown: str) -> None:
    """Default ports, IPv6, paths of ebMS; what is printed of a door has no password in it."""
    assert str(parse_door(url, ("pop3", "pop3s", "sftp", "ebms+https"))) == shown
