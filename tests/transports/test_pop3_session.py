"""The POP3 dialogue without a socket: tables, pieces of every size, bounds."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from sekisho.transports.base import TrayError
from sekisho.transports.pop3_limits import Pop3Limits
from sekisho.transports.pop3_session import Collect, Fetch, Login, Pop3Session, Upgrade, Want

from .boxes import NAME, PASSWORD, waiting

SEQUENCES = Path(__file__).with_name("pop3_sequences.txt")
BANNER = "<1.x@centre.sekisho.example>"
DIGEST = hashlib.md5((BANNER + PASSWORD).encode(), usedforsecurity=False).hexdigest().upper()
MAILS = {
    1: b"Subject: one\r\n\r\nline 1\r\nline 2\r\n",
    2: b".dot\r\n\r\n.\r\n..x\r\n",
    3: b"Subject: no end",
}
LOGIN = f"USER {NAME}\r\nPASS {PASSWORD}\r\n".encode()


class Run:
    """A session with a house that answers at once; ``options`` are the words behind ``with:``."""

    def __init__(
        self, options: Iterable[str] = (), mails: dict[int, bytes] | None = None, limits: Pop3Limits | None = None
    ) -> None:
        self.options = set(options)
        self.mails = MAILS if mails is None else mails
        self.deleted: tuple[int, ...] = ()
        self.session = Pop3Session(
            "centre.sekisho.example",
            limits or Pop3Limits(bad_commands=100),
            banner=BANNER if "apop" in self.options else "",
            tls_offered="tls" in self.options,
            tls_required="require" in self.options,
        )
        if "in" in self.options:
            assert self.feed(LOGIN).count(b"+OK") == 2

    def feed(self, data: bytes) -> bytes:
        """What the session says to this piece, with everything that follows from it."""
        session = self.session
        if session.closing:
            return b""
        said = session.receive(data)
        while not session.closing:
            match session.want:
                case Login(name, secret, apop):
                    said += self._log_in(name, secret, apop=apop)
                case Fetch(number, size):
                    if "gone" in self.options and number == 1:
                        said += session.refuse("SYS/TEMP", str(TrayError("this letter is not kept any more")))
                    else:
                        assert len(self.mails[number]) == size
                        said += session.give(self.mails[number])
                case Collect(numbers):
                    if "no-collect" in self.options:
                        said += session.collected("the mailbox cannot be used now")
                    else:
                        self.deleted = numbers
                        said += session.collected()
                case Upgrade():
                    said += session.upgraded()
                case None if session.more:
                    said += session.proceed()
                case _:
                    break
        return said

    def _log_in(self, name: str, secret: str, *, apop: bool) -> bytes:
        if name == "BUSY1":
            return self.session.refuse("IN-USE", "Another session has this mailbox")
        if name == "BROKEN":
            return self.session.refuse("SYS/TEMP", "the mailbox cannot\r\nbe used now")
        if name != NAME or secret != (DIGEST.lower() if apop else PASSWORD):
            return self.session.refuse("AUTH", "Name or password is wrong")
        return self.session.admit([waiting(number, mail) for number, mail in self.mails.items()])


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One block of the table: steps are what the client sends and the reply lines that are due then."""

    rule: str
    options: tuple[str, ...]
    steps: tuple[tuple[bytes, tuple[bytes, ...]], ...]
    deleted: tuple[int, ...] | None


def _bytes(text: str) -> bytes:
    return text.encode("latin-1").decode("unicode_escape").encode("latin-1")


def _sent(text: str) -> bytes:
    text = re.sub(r"\{(\d+)\}", lambda found: "x" * int(found[1]), text.replace("{DIGEST}", DIGEST))
    return _bytes(text.removesuffix("\\c")) if text.endswith("\\c") else _bytes(text) + b"\r\n"


def _read() -> list[Dialogue]:
    found = []
    for block in SEQUENCES.read_text("ascii").split("\n\n")[1:]:
        rule, *lines = block.strip("\n").split("\n")
        options: tuple[str, ...] = ()
        steps: list[tuple[bytes, tuple[bytes, ...]]] = []
        deleted = None
        for line in lines:
            kind, _, text = line.partition(":")
            text = text.removeprefix(" ")
            match kind:
                case "with":
                    options = tuple(text.split())
                case "C":
                    steps.append((_sent(text), ()))
                case "S":
                    steps[-1] = (steps[-1][0], (*steps[-1][1], _bytes(text)))
                case "deleted":
                    deleted = tuple(int(word) for word in text.split())
                case _:
                    raise AssertionError(line)
        found.append(Dialogue(rule[1:-1], options, tuple(steps), deleted))
    return found


ALL = _read()


def _matches(said: bytes, expected: Sequence[bytes]) -> bool:
    lines = said.split(b"\r\n")
    return (
        lines.pop() == b""
        and len(lines) == len(expected)
        and all(
            line.startswith(wanted[:-1]) if wanted.endswith(b"*") else line == wanted
            for line, wanted in zip(lines, expected, strict=True)
        )
    )


def test_the_table_is_read() -> None:
    """A table that nobody reads cannot fail: its size is told here."""
    assert len(ALL) == 37
    assert sum(len(each.steps) for each in ALL) > 150


@pytest.mark.parametrize("sequence", ALL, ids=lambda each: each.rule[:60])
def test_every_sequence_in_lock_step(sequence: Dialogue) -> None:
    """Each command gets the replies that the table gives it, before the next is sent (pop3_sequences.txt)."""
    run = Run(sequence.options)
    for sent, expected in sequence.steps:
        said = run.feed(sent)
        assert _matches(said, expected), (sent, said, expected)
    assert sequence.deleted is None or run.deleted == sequence.deleted


@pytest.mark.parametrize(
    "sequence", [each for each in ALL if "lockstep" not in each.options], ids=lambda each: each.rule[:60]
)
def test_every_sequence_in_other_pieces(sequence: Dialogue) -> None:
    """RFC 2449 6.6: the replies to pipelined commands are the same bytes, wherever the pieces are cut."""
    lock_step = Run(sequence.options)
    expected = b"".join(lock_step.feed(sent) for sent, _ in sequence.steps)
    burst = b"".join(sent for sent, _ in sequence.steps)
    one_by_one = Run(sequence.options)
    assert b"".join(one_by_one.feed(burst[at : at + 1]) for at in range(len(burst))) == expected
    for cut in range(len(burst)):
        run = Run(sequence.options)
        assert run.feed(burst[:cut]) + run.feed(burst[cut:]) == expected, cut
        assert run.deleted == lock_step.deleted


LEGAL = {
    "USER x": "A",
    "PASS x": "A",
    "APOP x " + "0" * 32: "A",
    "AUTH PLAIN": "A",
    "STLS": "A",
    "CAPA": "AT",
    "QUIT": "AT",
    "STAT": "T",
    "LIST": "T",
    "LIST 1": "T",
    "UIDL": "T",
    "RETR 1": "T",
    "TOP 1 1": "T",
    "NOOP": "T",
    "DELE 1": "T",
    "RSET": "T",
}


@pytest.mark.parametrize("command", LEGAL)
def test_every_command_in_every_state(command: str) -> None:
    """RFC 1939, 2449, 2595, 5034: a command is refused as out of place exactly in the states that its text excludes."""
    for state, options in (("A", ("apop", "tls")), ("T", ("apop", "tls", "in"))):
        said = Run(options).feed(command.encode() + b"\r\n")
        assert (said == b"-ERR Not in this state\r\n") == (state not in LEGAL[command]), (state, said)
    ended = Run(("in",))
    ended.feed(b"QUIT\r\n")
    assert ended.feed(command.encode() + b"\r\n") == b""


def _want(session: Pop3Session) -> Want | None:
    return session.want


def _more(session: Pop3Session) -> bool:
    return session.more


def test_commands_wait_for_what_is_wanted() -> None:
    """What comes behind PASS, RETR or QUIT is neither lost nor looked at before the house has answered."""
    session = Run().session
    assert session.receive(LOGIN + b"STAT\r\nRETR 1\r\nNOOP\r\n") == b"+OK Password?\r\n"
    assert _want(session) == Login(NAME, PASSWORD)
    assert session.receive(b"DELE 1\r\nQUIT\r\nNOOP\r\n") == b""
    said = session.admit([waiting(1, MAILS[1])])
    assert said == b"+OK 1 letters (32 octets)\r\n+OK 1 32\r\n"
    assert _want(session) == Fetch(1, 32)
    assert session.give(MAILS[1]).endswith(b"line 2\r\n.\r\n+OK\r\n+OK\r\n")
    assert _want(session) == Collect((1,))
    assert session.collected() == b"+OK 1 letters collected\r\n"
    assert session.closing == "quit"


def test_the_password_is_not_shown() -> None:
    """A want may come into a log or a traceback."""
    assert PASSWORD not in repr(Login(NAME, PASSWORD))


def test_bad_commands_end_the_session() -> None:
    """The twentieth refused command is the last one read (spec/reliability.md 8); wrong letter numbers do not count."""
    run = Run(("in",), limits=Pop3Limits(bad_commands=3))
    run.feed(b"RETR 9\r\n" * 10)
    assert run.session.bad == 0
    assert run.feed(b"X\r\nX\r\n") == b"-ERR Unknown command\r\n" * 2
    assert run.session.closing == ""
    assert run.feed(b"X\r\nNOOP\r\n") == b"-ERR Unknown command\r\n"
    assert run.session.closing == "bad commands"


def test_refused_logins_end_the_session() -> None:
    """Guessing passwords is a bad command too."""
    run = Run(limits=Pop3Limits(bad_commands=2))
    assert run.feed((f"USER {NAME}\r\nPASS wrong\r\n" * 3).encode()).count(b"[AUTH]") == 2
    assert run.session.closing == "bad commands"


def test_an_endless_line_is_not_kept() -> None:
    """However long a line gets, at most a line's length of it is kept; the answer comes at its end."""
    run = Run(("in",))
    for _ in range(1_000):
        assert run.feed(b"A" * 1_000) == b""
        assert run.session.kept < 1_300
    assert run.feed(b"\r\nNOOP\r\n") == b"-ERR Line too long\r\n+OK\r\n"


def test_output_stops_at_its_bound() -> None:
    """A run makes about out_buffer bytes; the rest of a listing, of a letter, of a burst comes when it is asked for."""
    limits = Pop3Limits(out_buffer=1_000)
    mails = dict(enumerate([b"x" * 98 + b"\r\n"] * 5_000, 1))
    mails[1] = b"." + b"y" * 50_000 + b"\r\n"
    for command, size in ((b"LIST\r\n", 15_000), (b"UIDL\r\n", 24_000), (b"RETR 1\r\n", 1_100)):
        run = Run(("in",), mails, limits)
        session = run.session
        first = session.receive(command)
        if isinstance(session.want, Fetch):
            first = session.give(mails[1])
        pieces = [first]
        while session.more:
            pieces.append(session.proceed())
        assert max(map(len, pieces)) <= size
        assert len(pieces) > 4
        whole = Run(("in",), mails).feed(command)
        assert b"".join(pieces) == whole
    burst = Run(("in",), mails, limits).session
    assert len(burst.receive(b"NOOP\r\n" * 1_000)) <= 1_005
    assert _more(burst)
    assert burst.receive(b"STAT\r\n") == b""
    said = b""
    while _more(burst):
        said += burst.proceed()
    assert said.endswith(b"+OK\r\n+OK 5000 549903\r\n")


@pytest.mark.parametrize("limit", Pop3Limits.__slots__)
def test_limits_are_checked(limit: str) -> None:
    """A limit that is not positive, or a line shorter than RFC 2449 allows, is a mistake in the settings."""
    with pytest.raises(ValueError, match=limit):
        Pop3Limits(**{limit: 0})
    with pytest.raises(ValueError, match="line_bytes"):
        Pop3Limits(line_bytes=254)
