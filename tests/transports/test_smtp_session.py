"""The SMTP dialogue without a socket: fed in one piece, and one byte at a time."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.transports.smtp_data import DataReader, Pool
from sekisho.transports.smtp_session import SmtpLimits, SmtpSession, parse_path

CENTRE = "NACCS@SMTP.TEST.SEKISHO.EXAMPLE"
OPENING = (
    b"HELO inhouse\r\nMAIL FROM:<1ANAC1@SMTP.BROKER.SEKISHO.EXAMPLE>\r\nRCPT TO:<NACCS@SMTP.TEST.SEKISHO.EXAMPLE>\r\n"
)

# Spellings of an end of data that are not CR LF . CR LF, and must stay data (spec/reliability.md 5.2).
NOT_THE_END = {
    name: spelling.encode("ascii").decode("unicode_escape").encode("ascii")
    for name, spelling, _note in (
        line.split("\t") for line in Path(__file__).with_name("smuggling.tsv").read_text("ascii").splitlines()[1:]
    )
}


def session(**limits: int) -> SmtpSession:
    """A session with small or default limits and a pool of its own."""
    bounds = SmtpLimits(**limits)
    return SmtpSession("centre.sekisho.example", frozenset((CENTRE,)), bounds, Pool(bounds.pending_bytes))


def codes(replies: bytes) -> list[str]:
    """The three-digit codes of the replies, one a line."""
    return [line[:3].decode() for line in replies.splitlines()]


def talk(commands: bytes, **limits: int) -> list[str]:
    """Codes of the replies to commands that end without a pending mail."""
    return codes(session(**limits).receive(commands))


@pytest.mark.parametrize("step", [1, 2, 3, 7, 10_000])
def test_a_mail_arrives_whatever_the_pieces(step: int) -> None:
    """RFC 5321 is about lines, TCP is not: the pieces of the socket change nothing; the mail stops the session."""
    one = session()
    wire = OPENING + b"DATA\r\nFrom:a\r\n\r\n..dot\r\n.gone\r\nx\0\x8f\xa1\r\r\n.\r\nNOOP\r\nQUIT\r\n"
    replies = b"".join(one.receive(wire[at : at + step]) for at in range(0, len(wire), step))
    assert codes(replies) == ["250", "250", "250", "354"]
    assert one.mail is not None
    assert one.mail.data == b"From:a\r\n\r\n.dot\r\ngone\r\nx\0\x8f\xa1\r\r\n"
    assert (one.mail.sender, one.mail.recipient) == ("1ANAC1@SMTP.BROKER.SEKISHO.EXAMPLE", CENTRE)
    assert codes(one.answer(b"250 kept\r\n")) == ["250", "250", "221"]
    assert one.closing == "quit"


@pytest.mark.parametrize("ending", NOT_THE_END.values(), ids=NOT_THE_END)
@pytest.mark.parametrize("step", [1, 5, 10_000])
def test_only_crlf_dot_crlf_ends_data(ending: bytes, step: int) -> None:
    """Every other spelling is data, kept unchanged but for the stuffed dot (spec/reliability.md 5.2)."""
    one = session()
    one.receive(OPENING + b"DATA\r\n")
    smuggled = b"text" + ending + b"MAIL FROM:<evil@A.EXAMPLE>\r\n"
    wire = smuggled + b".\r\n"
    for at in range(0, len(wire), step):
        assert one.mail is None
        assert one.receive(wire[at : at + step]) == b""
    assert one.mail is not None
    assert one.mail.data == smuggled.replace(b"\r\n.", b"\r\n")
    assert one.transactions == 1


@given(st.text("\r\n.x\0", max_size=40), st.lists(st.integers(0, 50), max_size=8))
def test_reading_in_pieces_is_reading_by_lines(text: str, cuts: list[int]) -> None:
    """Oracle: RFC 5321 4.5.2 by CRLF lines (a lone dot ends, a leading dot goes), whatever the pieces."""
    wire = text.encode("ascii") + b"\r\n.\r\nrest"
    lines = wire.split(b"\r\n")
    end = lines.index(b".")
    expected = b"".join(line.removeprefix(b".") + b"\r\n" for line in lines[:end])
    rest = b"\r\n".join(lines[end + 1 :])
    reader = DataReader(1_000, Pool(1_000))
    edges = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
    for begin, stop in itertools.pairwise(edges):
        position = reader.feed(wire[:stop], begin)
        if position >= 0:
            assert wire[position:] == rest
            assert reader.data == expected
            return
    pytest.fail("the end mark was not seen")


def test_an_empty_mail_is_a_mail() -> None:
    """The dot may follow DATA at once; the house decides what an empty mail is worth."""
    one = session()
    one.receive(OPENING + b"DATA\r\n.\r\n")
    assert one.mail is not None
    assert one.mail.data == b""


def test_two_mails_pipelined_get_their_replies_in_order() -> None:
    """RFC 2920: replies keep the order of the commands; the second mail is not begun before the first is answered."""
    one = session()
    mail = OPENING[14:] + b"DATA\r\nx\r\n.\r\n"
    assert codes(one.receive(b"EHLO a\r\n" + mail + mail)) == ["250"] * 6 + ["354"]
    assert one.transactions == 1
    assert one.answer(b"250 first\r\n").startswith(b"250 first\r\n250 2.1.0")
    assert (one.transactions, one.mails) == (2, 2)
    assert one.answer(b"250 second\r\n") == b"250 second\r\n"


@pytest.mark.parametrize("size", [99, 100, 101, 250])
@pytest.mark.parametrize("step", [1, 3, 64, 10_000])
def test_the_limit_is_exact_and_the_session_goes_on(size: int, step: int) -> None:
    """max_object bytes are taken, one more is 552 5.3.4 at the end mark, and the next command is read as one."""
    one = session(max_object=100)
    one.receive(OPENING + b"DATA\r\n")
    wire = b"y" * (size - 2) + b"\r\n.\r\nNOOP\r\n"
    replies = b"".join(one.receive(wire[at : at + step]) for at in range(0, len(wire), step))
    if size <= 100:
        assert one.mail is not None
        assert len(one.mail.data) == size
        assert replies == b""
    else:
        assert one.mail is None
        assert replies.startswith(b"552 5.3.4")
        assert codes(replies) == ["552", "250"]


def test_bytes_in_progress_are_bounded_over_all_sessions() -> None:
    """Mails of all connections share one allowance: beyond it 452 4.3.1; an answer gives its bytes back."""
    pool = Pool(300)
    bounds = SmtpLimits(max_object=200)
    first, second = (SmtpSession("c.example", frozenset((CENTRE,)), bounds, pool) for _ in range(2))
    first.receive(OPENING + b"DATA\r\n" + b"a" * 198 + b"\r\n.\r\n")
    second.receive(OPENING + b"DATA\r\n" + b"b" * 150)
    assert second.receive(b"\r\n.\r\n").startswith(b"452 4.3.1")
    first.answer(b"250 ok\r\n")
    assert pool.free == 300
    second.receive(OPENING + b"DATA\r\n" + b"b" * 150)
    second.close()
    assert pool.free == 300


@pytest.mark.parametrize(
    ("argument", "address"),
    [
        (b"<a@B.EXAMPLE>", "a@B.EXAMPLE"),
        (b"  <a@B.EXAMPLE>  ", "a@B.EXAMPLE"),
        (b"a@B.EXAMPLE", "a@B.EXAMPLE"),
        (b"<>", ""),
        (b"<@x.example,@y.example:a@B.EXAMPLE>", "a@B.EXAMPLE"),
        (b'<"a >b"@B.EXAMPLE>', '"a >b"@B.EXAMPLE'),
        (b"<a@B.EXAMPLE", None),
        (b"a", None),
        (b"<a@b@c>", None),
        (b"<a\0@B.EXAMPLE>", None),
        (b"<\xa4\xa2@B.EXAMPLE>", None),
        (b"", None),
    ],
)
def test_addresses(argument: bytes, address: str | None) -> None:
    """Brackets are optional, source routes are dropped, anything malformed or not ASCII is refused (spec 7.2)."""
    path = parse_path(argument)
    assert (path[0] if path else None) == address


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        (b"MAIL FROM:<a@B.EXAMPLE>\r\n", ["503"]),
        (b"HELO\r\n", ["501"]),
        (b"helo x\r\nmail from:a@B.EXAMPLE\r\nrcpt to:naccs@smtp.test.sekisho.example\r\n", ["250"] * 3),
        (b"HELO x\nMAIL FROM: <>\n", ["250", "250"]),
        (b"HELO x\r\nMAIL FROM:<a@B.EXAMPLE> SIZE=100 BODY=8BITMIME\r\n", ["250", "250"]),
        (b"HELO x\r\nMAIL FROM:<a@B.EXAMPLE> SIZE=13000000\r\n", ["250", "552"]),
        (b"HELO x\r\nMAIL FROM:<a@B.EXAMPLE> SIZE=many\r\n", ["250", "555"]),
        (b"HELO x\r\nMAIL FROM:<a@B.EXAMPLE> SMTPUTF8\r\n", ["250", "555"]),
        (b"HELO x\r\nMAIL FROM:<a@B.EXAMPLE> BODY=BINARYMIME\r\n", ["250", "555"]),
        (b"HELO x\r\nMAIL FROM:<a@B.EXAMPLE>\r\nMAIL FROM:<a@B.EXAMPLE>\r\n", ["250", "250", "503"]),
        (b"HELO x\r\nMAIL TO:<a@B.EXAMPLE>\r\nMAIL FROM:<a>\r\n", ["250", "501", "553"]),
        (OPENING + b"RCPT TO:<NACCS@SMTP.TEST.SEKISHO.EXAMPLE>\r\n", ["250", "250", "250", "452"]),
        (b"HELO x\r\nRCPT TO:<a@B.EXAMPLE>\r\n", ["250", "503"]),
        (b"HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@B.EXAMPLE>\r\nDATA\r\n", ["250", "250", "550", "503"]),
        (b"HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<>\r\nRCPT a\r\n", ["250", "250", "553", "501"]),
        (OPENING + b"RCPT TO:<NACCS@SMTP.TEST.SEKISHO.EXAMPLE> NOTIFY=NEVER\r\n", ["250", "250", "250", "555"]),
        (OPENING + b"DATA now\r\nRSET\r\nDATA\r\n", ["250", "250", "250", "501", "250", "503"]),
        (OPENING + b"EHLO again\r\nDATA\r\n", ["250"] * 7 + ["503"]),
        (b"STARTTLS\r\nAUTH PLAIN\r\nBDAT 10\r\n\r\n\xa4\xa2 x\r\n", ["500"] * 5),
        (b"x" * 5_000 + b"\r\nNOOP\r\n", ["500", "250"]),
        (b"NOOP x\r\nQUIT\r\nNOOP\r\n", ["250", "221"]),
    ],
)
def test_replies_to_commands(commands: bytes, expected: list[str]) -> None:
    """Codes by RFC 5321; a recipient that is no centre address 550, a second one 452 (decisions.md, Rooms)."""
    assert talk(commands) == expected


def test_ehlo_offers_what_is_kept() -> None:
    """SIZE with max_object, 8BITMIME and PIPELINING; STARTTLS and AUTH are not there yet, SMTPUTF8 never."""
    assert session(max_object=1000).receive(b"EHLO x\r\n") == (
        b"250-centre.sekisho.example\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250 PIPELINING\r\n"
    )


def test_bad_commands_end_the_session() -> None:
    """The twentieth refused command is answered 421 4.7.0 and nothing after it is read (spec/reliability.md 8)."""
    one = session()
    replies = one.receive(b"BAD\r\n" * 30)
    assert codes(replies) == ["500"] * 19 + ["421"]
    assert one.closing == "bad commands"


def test_an_endless_command_line_costs_nothing() -> None:
    """A line without an end is dropped as it comes and answered 500 once."""
    one = session()
    for _ in range(1_000):
        assert one.receive(b"z" * 1_000) == b""
        assert one.kept <= 2_048
    assert codes(one.receive(b"\r\nNOOP\r\n")) == ["500", "250"]


def test_retiring_waits_for_the_transaction() -> None:
    """An idle peer hears 421 at once, a running transaction its reply first (RFC 5321 3.8)."""
    assert codes(session().retire()) == ["421"]
    busy = session()
    busy.receive(OPENING)
    assert busy.retire() == b""
    assert codes(busy.receive(b"DATA\r\nx\r\n.\r\n")) == ["354"]
    assert codes(busy.answer(b"250 kept\r\n")) == ["250", "421"]
    assert busy.closing == "stopping"


def test_limits_refuse_what_would_cut_real_senders() -> None:
    """No data timer under five seconds, because senders pause three seconds before the dot (spec 7.2)."""
    with pytest.raises(ValueError, match="data_idle"):
        SmtpLimits(data_idle=4.9)
    with pytest.raises(ValueError, match="session"):
        SmtpLimits(session=0)


def test_an_over_long_mail_keeps_four_bytes() -> None:
    """Over the limit the reader's memory does not depend on how much still comes."""
    reader = DataReader(1_000, Pool(10_000))
    for _ in range(100):
        assert reader.feed(b"k" * 100_000) == -1
        assert len(reader._kept) <= 4
    assert reader.feed(b"\r\n.\r\nQUIT\r\n") == 5
    assert reader.refusal.startswith(b"552")
    assert reader.data == b""

def test_one_sender_may_not_hold_every_connection() -> None:
    """Partner cap (reliability 8): sessions that speak for one sender are counted, whatever address they come from."""
    bounds = SmtpLimits(connections_per_partner=2)
    pool = Pool(bounds.pending_bytes, bounds.connections_per_partner)
    sessions = [SmtpSession("c.example", frozenset((CENTRE,)), bounds, pool) for _ in range(4)]
    replies = [session.receive(b"HELO a\r\nMAIL FROM:<a@b.example>\r\n") for session in sessions[:3]]
    assert [reply.splitlines()[-1][:3] for reply in replies] == [b"250", b"250", b"421"]
    assert sessions[2].closing == "too many of one sender"
    assert sessions[3].receive(b"HELO a\r\nMAIL FROM:<c@d.example>\r\n").endswith(b"250 2.1.0 OK\r\n")
    sessions[0].close()
    assert sessions[3].receive(b"RSET\r\nMAIL FROM:<A@B.EXAMPLE>\r\n").endswith(b"250 2.1.0 OK\r\n")
