"""STARTTLS and AUTH in the dialogue, without a socket: every order of commands, legal or not, and every split."""

import base64
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.transports.smtp_data import Pool
from sekisho.transports.smtp_secure import Access, SecureSession
from sekisho.transports.smtp_session import SmtpLimits

CENTRE = "NACCS@MAIL.TEST.SEKISHO.EXAMPLE"
PRODUCTION = "NACCS@MAIL.PROD.SEKISHO.EXAMPLE"
SENDER = b"MAIL FROM:<BRK001@MAIL.TEST.SEKISHO.EXAMPLE>\r\n"
RCPT = b"RCPT TO:<NACCS@MAIL.TEST.SEKISHO.EXAMPLE>\r\n"

TLS = Access(tls=True, auth="optional")
STRICT = Access(tls=True, require_tls=True, auth="required")
CLEAR = Access(auth="optional", auth_in_clear=True)
NEEDED = Access(auth="required", auth_in_clear=True)
OPEN = Access()


def b64(text: str) -> bytes:
    """Base64 of a text."""
    return base64.b64encode(text.encode())


GOOD = b64("\0BRK001\0BOXPASS1")
BAD = b64("\0BRK001\0WRONG")


def session(access: Access, *, secure: bool = False, **limits: int) -> SecureSession:
    """A session of its own, under TLS already when ``secure``."""
    bounds = SmtpLimits(**limits)
    one = SecureSession(
        "centre.sekisho.example",
        frozenset((CENTRE,)),
        bounds,
        Pool(bounds.pending_bytes),
        access=access,
        other_centre=frozenset((PRODUCTION,)),
        environment="test",
    )
    if secure:
        one.secure()
    return one


def settle(one: SecureSession) -> bytes:
    """Judge the login that waits, and answer the mail that does, as the connection would."""
    replies = b""
    while one.waiting and not one.closing:
        if one.mail is not None:
            replies += one.answer(b"250 2.0.0 kept\r\n")
        elif one.verb == ("AUTH", ""):
            name, password = one.login
            replies += one.judge("BRK001" if (name.upper(), password) == ("BRK001", "BOXPASS1") else None)
        else:
            break
    return replies


def codes(replies: bytes) -> list[str]:
    """Code and, of final lines, the second number (RFC 3463): ``535 5.7.8``; ``250-`` lines are left out."""
    return [
        " ".join(line.decode().split()[: 2 if line[4:6] in (b"2.", b"4.", b"5.") else 1])
        for line in replies.splitlines()
        if line[3:4] != b"-"
    ]


EHLO = b"EHLO inhouse\r\n"
LONG = b"A" * 3_000 + b"\r\n"


@pytest.mark.parametrize(
    ("access", "secure", "commands", "expected"),
    [
        # What is offered decides what is known.
        (OPEN, False, EHLO + b"STARTTLS\r\nAUTH PLAIN " + GOOD + b"\r\n", ["250", "500 5.5.1", "500 5.5.1"]),
        (TLS, False, EHLO + b"AUTH PLAIN " + GOOD + b"\r\n", ["250", "538 5.7.11"]),
        (TLS, False, EHLO + b"STARTTLS now\r\n", ["250", "501 5.5.4"]),
        (TLS, True, EHLO + b"STARTTLS\r\n", ["250", "503 5.5.1"]),
        # Nothing passes before TLS where TLS is required; the six verbs of RFC 3207 do.
        (
            STRICT,
            False,
            b"NOOP\r\nHELO a\r\n" + SENDER + RCPT + b"DATA\r\nVRFY a\r\nAUTH PLAIN " + GOOD + b"\r\nRSET\r\nQUIT\r\n",
            ["250 2.0.0", "250", *["530 5.7.0"] * 5, "250 2.0.0", "221 2.0.0"],
        ),
        # Nor before AUTH where AUTH is required.
        (
            NEEDED,
            False,
            EHLO + SENDER + RCPT + b"DATA\r\nAUTH PLAIN " + GOOD + b"\r\n" + SENDER,
            ["250", *["530 5.7.0"] * 3, "235 2.7.0", "250 2.1.0"],
        ),
        # The ways of saying it.
        (CLEAR, False, EHLO + b"AUTH PLAIN " + GOOD + b"\r\n", ["250", "235 2.7.0"]),
        (TLS, True, EHLO + b"auth plain\r\n" + GOOD + b"\r\n", ["250", "334", "235 2.7.0"]),
        (
            CLEAR,
            False,
            EHLO + b"AUTH LOGIN\r\n" + b64("brk001") + b"\r\n" + b64("BOXPASS1") + b"\r\n",
            ["250", "334", "334", "235 2.7.0"],
        ),
        (
            CLEAR,
            False,
            EHLO + b"AUTH LOGIN " + b64("BRK001") + b"\r\n" + b64("BOXPASS1") + b"\r\n",
            ["250", "334", "235 2.7.0"],
        ),
        (CLEAR, False, EHLO + b"AUTH PLAIN " + b64("BRK001\0BRK001\0BOXPASS1") + b"\r\n", ["250", "235 2.7.0"]),
        # The ways of failing; the session goes on.
        (CLEAR, False, EHLO + b"AUTH PLAIN " + BAD + b"\r\nNOOP\r\n", ["250", "535 5.7.8", "250 2.0.0"]),
        (CLEAR, False, EHLO + b"AUTH PLAIN " + b64("OTHER\0BRK001\0BOXPASS1") + b"\r\n", ["250", "535 5.7.8"]),
        (CLEAR, False, EHLO + b"AUTH PLAIN\r\n*\r\nNOOP\r\n", ["250", "334", "501 5.7.0", "250 2.0.0"]),
        (CLEAR, False, EHLO + b"AUTH LOGIN\r\nQlJL\r\n*\r\nNOOP\r\n", ["250", "334", "334", "501 5.7.0", "250 2.0.0"]),
        (CLEAR, False, EHLO + b"AUTH PLAIN\r\n?!\r\nNOOP\r\n", ["250", "334", "501 5.5.2", "250 2.0.0"]),
        (CLEAR, False, EHLO + b"AUTH PLAIN QQ\r\nNOOP\r\n", ["250", "501 5.5.2", "250 2.0.0"]),
        (CLEAR, False, EHLO + b"AUTH PLAIN /w==\r\nNOOP\r\n", ["250", "501 5.5.2", "250 2.0.0"]),
        (CLEAR, False, EHLO + b"AUTH PLAIN =\r\nNOOP\r\n", ["250", "501 5.5.2", "250 2.0.0"]),
        (CLEAR, False, EHLO + b"AUTH PLAIN " + b64("no nul") + b"\r\n", ["250", "501 5.5.2"]),
        (CLEAR, False, EHLO + b"AUTH PLAIN\r\n\r\nNOOP\r\n", ["250", "334", "501 5.5.2", "250 2.0.0"]),
        (CLEAR, False, EHLO + b"AUTH LOGIN =\r\n\r\n", ["250", "334", "535 5.7.8"]),
        (CLEAR, False, EHLO + b"AUTH PLAIN\r\n" + LONG + b"QUIT\r\n", ["250", "334", "500 5.5.2", "221 2.0.0"]),
        (CLEAR, False, EHLO + b"AUTH\r\nAUTH MD5\r\n", ["250", "501 5.5.4", "504 5.5.4"]),
        (CLEAR, False, EHLO + b"AUTH PLAIN a b\r\n", ["250", "501 5.5.4"]),
        # A command where an answer is due is no command.
        (CLEAR, False, EHLO + b"AUTH PLAIN\r\nQUIT\r\nQUIT\r\n", ["250", "334", "501 5.5.2", "221 2.0.0"]),
        # Out of place.
        (CLEAR, False, b"AUTH PLAIN " + GOOD + b"\r\n", ["503 5.5.1"]),
        (CLEAR, False, b"HELO a\r\nAUTH PLAIN " + GOOD + b"\r\n", ["250", "503 5.5.1"]),
        (CLEAR, False, EHLO + (b"AUTH PLAIN " + GOOD + b"\r\n") * 2, ["250", "235 2.7.0", "503 5.5.1"]),
        (CLEAR, False, EHLO + SENDER + b"AUTH PLAIN " + GOOD + b"\r\n", ["250", "250 2.1.0", "503 5.5.1"]),
        # RFC 4954 5: the parameter is taken where AUTH is offered, and says nothing.
        (CLEAR, False, EHLO + SENDER.replace(b">", b"> AUTH=<> SIZE=9 BODY=8BITMIME"), ["250", "250 2.1.0"]),
        (OPEN, False, EHLO + SENDER.replace(b">", b"> AUTH=<>"), ["250", "555 5.5.4"]),
        # The verbs that a two-way session leaves to its library.
        (OPEN, False, b"VRFY a\r\nVRFY\r\nEXPN a\r\nHELP\r\n", ["252 2.5.0", "501 5.5.4", "502 5.5.1", "214 2.0.0"]),
        # Several requests in a row, each with its answer; the login lasts.
        (
            NEEDED,
            False,
            EHLO + b"AUTH PLAIN " + GOOD + b"\r\n" + (SENDER + RCPT + b"DATA\r\nx\r\n.\r\n") * 2 + b"QUIT\r\n",
            ["250", "235 2.7.0", *["250 2.1.0", "250 2.1.5", "354", "250 2.0.0"] * 2, "221 2.0.0"],
        ),
    ],
)
@pytest.mark.parametrize("step", [1, 3, 100_000])
def test_replies(access: Access, secure: bool, commands: bytes, expected: list[str], step: int) -> None:
    """RFC 4954, RFC 3207, RFC 2034; whatever the pieces, and whether or not the peer waits for its answers."""
    one = session(access, secure=secure)
    replies = b""
    for at in range(0, len(commands), step):
        replies += one.receive(commands[at : at + step])
        replies += settle(one)
    assert codes(replies) == expected


@pytest.mark.parametrize(
    ("access", "secure", "offers"),
    [
        (OPEN, False, []),
        (TLS, False, ["STARTTLS"]),
        (TLS, True, ["AUTH PLAIN LOGIN"]),
        (Access(tls=True, auth="optional", auth_in_clear=True), False, ["STARTTLS", "AUTH PLAIN LOGIN"]),
        (CLEAR, False, ["AUTH PLAIN LOGIN"]),
        (Access(tls=True), True, []),
    ],
)
def test_what_ehlo_offers(access: Access, secure: bool, offers: list[str]) -> None:
    """SIZE, 8BITMIME, PIPELINING always; STARTTLS until it is on, AUTH where a password may be said now."""
    lines = session(access, secure=secure, max_object=1000).receive(EHLO).decode().splitlines()
    assert [line[4:] for line in lines[1:]] == ["SIZE 1000", "8BITMIME", "PIPELINING", "ENHANCEDSTATUSCODES", *offers]
    assert [line[3] for line in lines] == ["-"] * (len(lines) - 1) + [" "]


INJECTED = EHLO + b"STARTTLS\r\n" + EHLO + SENDER + RCPT + b"DATA\r\ninjected\r\n.\r\n"


@pytest.mark.parametrize("at", range(len(INJECTED)))
def test_nothing_said_in_clear_behind_starttls_is_run(at: int) -> None:
    """Wherever the stream is split: the conversation ends, and nothing of it is kept for the time under TLS.

    The fault has been found in most mail servers once (CVE-2011-0411 and its kin).
    """
    one = session(TLS)
    replies = one.receive(INJECTED[:at])
    if not one.closing:
        replies += one.receive(INJECTED[at:])
    assert codes(replies) == ["250", "421 4.7.0"]
    assert (one.transactions, one.mail, one.kept) == (0, None, 0)
    assert one.closing == "plaintext behind STARTTLS"


def test_tls_forgets_what_was_said() -> None:
    """RFC 3207 4.2: after the handshake the conversation begins anew; a transaction, a name, an EHLO are gone."""
    one = session(TLS)
    assert codes(one.receive(EHLO + SENDER + RCPT + b"STARTTLS\r\n")) == ["250", "250 2.1.0", "250 2.1.5"]
    assert one.verb == ("STARTTLS", "")
    assert one.secure() == b""
    assert (one.peer_name, one.in_transaction, one.is_secure) == ("", False, True)
    assert codes(one.receive(b"DATA\r\n" + SENDER + EHLO + b"DATA\r\n")) == [
        "503 5.5.1", "503 5.5.1", "250", "503 5.5.1",
    ]  # fmt: skip


def test_failed_logins_end_the_session() -> None:
    """The last of ``failed_logins`` is answered 421 4.7.0, and what was pipelined behind it is not looked at."""
    one = session(CLEAR, failed_logins=3)
    replies = one.receive(EHLO + (b"AUTH PLAIN " + BAD + b"\r\n") * 3 + b"AUTH PLAIN " + GOOD + b"\r\n")
    replies += settle(one)
    assert codes(replies) == ["250", "535 5.7.8", "535 5.7.8", "421 4.7.0"]
    assert (one.closing, one.principal) == ("failed logins", "")


def test_a_password_does_not_stay() -> None:
    """Once judged, name and password are gone from the session."""
    one = session(CLEAR)
    one.receive(EHLO + b"AUTH LOGIN\r\n" + b64("BRK001") + b"\r\n" + b64("BOXPASS1") + b"\r\n")
    assert one.login == ("BRK001", "BOXPASS1")
    settle(one)
    assert one.principal == "BRK001"
    kept = [getattr(one, name) for kind in type(one).__mro__ for name in getattr(kind, "__slots__", ())]
    assert "BOXPASS1" not in kept
    assert ("BRK001", "BOXPASS1") not in kept


@pytest.mark.parametrize(
    ("rcpt", "reply"),
    [
        (CENTRE.lower(), "250 2.1.5 OK"),
        (PRODUCTION.lower(), "550 5.1.1 This is the test environment, not that of this address"),
        ("WHO@MAIL.TEST.SEKISHO.EXAMPLE", "550 5.1.1 No such recipient here"),
    ],
)
def test_the_environment_is_in_the_address(rcpt: str, reply: str) -> None:
    """Mail for production must not be taken by a test gateway, nor the other way round (spec/naccs-edi.md 7.3)."""
    one = session(OPEN)
    said = one.receive(b"HELO a\r\n" + SENDER + f"RCPT TO:<{rcpt}>\r\n".encode())
    assert said.decode().splitlines()[-1] == reply


@pytest.mark.parametrize(
    "impossible",
    [{"require_tls": True}, {"auth": "required"}, {"auth": "required", "require_tls": True}],
)
def test_what_no_peer_could_fulfil_is_refused_at_once(impossible: dict[str, bool]) -> None:
    """A listener that nobody could use is a mistake in the settings."""
    with pytest.raises(ValueError, match="required"):
        Access(**impossible)  # type: ignore[arg-type]


WORDS = [
    *(b"EHLO a\r\n", b"HELO a\r\n", b"STARTTLS\r\n", b"AUTH PLAIN\r\n", b"AUTH LOGIN\r\n", b"*\r\n"),
    *(b"AUTH PLAIN " + GOOD + b"\r\n", b"AUTH PLAIN " + BAD + b"\r\n", GOOD + b"\r\n"),
    *(b64("BRK001") + b"\r\n", b64("BOXPASS1") + b"\r\n", SENDER, RCPT, b"DATA\r\n", b"x\r\n.\r\n"),
    *(b"RSET\r\n", b"NOOP\r\n", b"QUIT\r\n", b"\r\n", b"\xff\0\r\n"),
]


@given(st.lists(st.sampled_from(WORDS), max_size=14), st.sampled_from([STRICT, NEEDED, TLS, CLEAR]))
def test_no_order_of_commands_gets_round_the_rules(words: list[bytes], access: Access) -> None:
    """Whatever the order: no mail without the TLS and the login that are required, one reply for each line."""
    one = session(access)
    for word in words:
        in_data = one.in_data
        replies = one.receive(word) + settle(one)
        if one.verb == ("STARTTLS", ""):
            assert replies == b""
            one.secure()
        elif in_data:
            assert len(codes(replies)) == word.endswith(b"\r\n.\r\n")
        else:
            assert len(codes(replies)) == word.count(b"\n")
        if one.in_transaction:
            assert one.is_secure or not access.require_tls
            assert one.principal or access.auth != "required"
        if one.closing:
            break


@given(st.lists(st.sampled_from(WORDS), max_size=8), st.lists(st.integers(0, 400), max_size=6))
def test_pieces_change_nothing(words: list[bytes], cuts: list[int]) -> None:
    """The same bytes in other pieces get the same replies, whichever commands they are (no STARTTLS among them)."""
    wire = b"".join(word for word in words if word != b"STARTTLS\r\n")
    whole, pieces = session(CLEAR), session(CLEAR)
    expected = whole.receive(wire) + settle(whole)
    edges = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
    got = b""
    for begin, end in itertools.pairwise(edges):
        if not pieces.closing:
            got += pieces.receive(wire[begin:end]) + settle(pieces)
    assert got == expected
