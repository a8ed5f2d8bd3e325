"""The POP3 session against a second, plainer maildrop, in random sessions."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sekisho.transports.pop3_limits import Pop3Limits
from sekisho.transports.pop3_session import Collect, Fetch, Login, Pop3Session

from .boxes import NAME, PASSWORD, waiting

LINES = st.lists(st.sampled_from([b"", b".", b"..", b".x", b"text", b"\xc0\xc7 ", b"a.b"]), max_size=6)
PLACES = st.integers(0, 7)


def _undotted(block: bytes) -> bytes:
    """What a client makes of a block: RFC 1939 section 3, read the other way."""
    lines = block.split(b"\r\n")
    assert lines[-2:] == [b".", b""], block
    assert b"." not in lines[:-2], "an end mark before the end"
    return b"".join(line.removeprefix(b".") + b"\r\n" for line in lines[:-2])


class Maildrop(RuleBasedStateMachine):
    """Sessions after sessions on one box, ended with and without QUIT; the model keeps the letters in a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.box: dict[int, bytes] = {}
        self.uid = 0
        self.uids: dict[bytes, bytes] = {}
        self.session: Pop3Session | None = None
        self.seen: list[int] = []
        self.gone: set[int] = set()

    def say(self, command: bytes) -> bytes:
        """One command, cut in two, and everything that follows from it."""
        session = self.session
        assert session is not None
        half = len(command) // 2
        said = session.receive(command[:half]) + session.receive(command[half:] + b"\r\n")
        while True:
            match session.want:
                case Login(name, secret):
                    assert (name, secret) == (NAME, PASSWORD)
                    said += session.admit([waiting(number, mail) for number, mail in self.box.items()])
                case Fetch(number, size):
                    assert size == len(self.box[number])
                    said += session.give(self.box[number])
                case Collect(numbers):
                    assert sorted(numbers) == sorted(self.gone)
                    for number in numbers:
                        del self.box[number]
                    said += session.collected()
                case None if session.more:
                    said += session.proceed()
                case _:
                    return said

    def left(self) -> dict[int, bytes]:
        """Place -> letter of what this session still shows."""
        return {at: self.box[n] for at, n in enumerate(self.seen, 1) if n not in self.gone}

    @initialize(letters=st.lists(LINES, max_size=5))
    def begin(self, letters: list[list[bytes]]) -> None:
        for lines in letters:
            self.arrive(lines)

    @rule(lines=LINES)
    def arrive(self, lines: list[bytes]) -> None:
        """New letters are not seen by a session that is open (RFC 1939 section 8: the snapshot of the login)."""
        self.uid += 1
        self.box[self.uid] = b"Subject: x\r\n\r\n" + b"".join(line + b"\r\n" for line in lines)

    @precondition(lambda self: self.session is None)
    @rule(plain=st.booleans())
    def log_in(self, plain: bool) -> None:
        self.session = Pop3Session("centre.sekisho.example", Pop3Limits(out_buffer=50, bad_commands=10_000))
        self.seen, self.gone = list(self.box), set()
        if plain:
            said = self.say(b"AUTH PLAIN AEJSSzAwMQBCT1ggUEFTUyAx")
        else:
            assert self.say(b"USER " + NAME.encode()) == b"+OK Password?\r\n"
            said = self.say(b"PASS " + PASSWORD.encode())
        assert said == b"+OK %d letters (%d octets)\r\n" % (len(self.box), sum(map(len, self.box.values())))

    @precondition(lambda self: self.session is not None)
    @rule(place=PLACES)
    def retrieve(self, place: int) -> None:
        said, mail = self.say(b"RETR %d" % place), self.left().get(place)
        if mail is None:
            assert said == b"-ERR No such letter\r\n"
        else:
            head, _, block = said.partition(b"\r\n")
            assert head == b"+OK %d octets" % len(mail)
            assert _undotted(block) == mail

    @precondition(lambda self: self.session is not None)
    @rule(place=PLACES, lines=st.integers(0, 8))
    def top(self, place: int, lines: int) -> None:
        said, mail = self.say(b"TOP %d %d" % (place, lines)), self.left().get(place)
        if mail is None:
            assert said == b"-ERR No such letter\r\n"
        else:
            wanted = mail.split(b"\r\n")[: 2 + lines]
            assert _undotted(said.partition(b"\r\n")[2]) == b"".join(line + b"\r\n" for line in wanted)[: len(mail)]

    @precondition(lambda self: self.session is not None)
    @rule(place=PLACES)
    def delete(self, place: int) -> None:
        there = place in self.left()
        assert self.say(b"DELE %d" % place) == (b"+OK\r\n" if there else b"-ERR No such letter\r\n")
        if there:
            self.gone.add(self.seen[place - 1])

    @precondition(lambda self: self.session is not None)
    @rule()
    def reset(self) -> None:
        assert self.say(b"RSET") == b"+OK\r\n"
        self.gone.clear()

    @precondition(lambda self: self.session is not None)
    @rule(place=PLACES)
    def ask_for_one(self, place: int) -> None:
        mail = self.left().get(place)
        said, uid = self.say(b"LIST %d" % place), self.say(b"UIDL %d" % place)
        if mail is None:
            assert said == uid == b"-ERR No such letter\r\n"
        else:
            assert said == b"+OK %d %d\r\n" % (place, len(mail))
            assert uid.startswith(b"+OK %d " % place)

    @precondition(lambda self: self.session is not None)
    @rule()
    def ask_for_all(self) -> None:
        left = self.left()
        lines = self.say(b"LIST").split(b"\r\n")
        assert lines[1:] == [b"%d %d" % (at, len(mail)) for at, mail in left.items()] + [b".", b""]
        lines = self.say(b"UIDL").split(b"\r\n")
        pairs = [line.split(b" ") for line in lines[1:-2]]
        assert [int(place) for place, _ in pairs] == list(left)
        for place, uid in pairs:  # one letter, one identity, in every session
            assert self.uids.setdefault(uid, left[int(place)]) == left[int(place)]
            assert 1 <= len(uid) <= 70

    @precondition(lambda self: self.session is not None)
    @rule(word=st.sampled_from([b"", b"LAST", b"NOOP 1", b"RETR", b"RETR x", b"TOP 1", b"USER a", b"STLS", b"\xff"]))
    def mistake(self, word: bytes) -> None:
        """A command that is refused changes nothing."""
        assert self.say(word).startswith(b"-ERR ")

    @precondition(lambda self: self.session is not None)
    @rule(quits=st.booleans())
    def end(self, quits: bool) -> None:
        before, gone = dict(self.box), len(self.gone)
        if quits:
            said = self.say(b"QUIT")
            assert said == (b"+OK %d letters collected\r\n" % gone if gone else b"+OK Bye\r\n")
            assert len(self.box) == len(before) - gone
        else:
            assert self.box == before
        self.session = None

    @invariant()
    def totals(self) -> None:
        if self.session is not None:
            left = self.left()
            assert self.say(b"STAT") == b"+OK %d %d\r\n" % (len(left), sum(map(len, left.values())))


TestMaildrop = Maildrop.TestCase
TestMaildrop.settings = settings(
    max_examples=200, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
