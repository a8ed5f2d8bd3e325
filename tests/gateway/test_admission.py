"""Who may come in: the steps that need no whole gateway, and what they remember (decisions, "Order of checks")."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from sekisho.codecs.envelope import Envelope
from sekisho.codecs.header import Header
from sekisho.codecs.results import Refusal
from sekisho.gateway.admission import Admission, PasswordUnknown
from sekisho.gateway.directory import REMEMBERED, Directory
from sekisho.handlers import Handler
from sekisho.handlers.plain import answer
from sekisho.mailboxes.letters import Account, Box, Route, Window
from sekisho.mailboxes.memory import MemoryStore
from sekisho.mailboxes.store import Store

from .support import forgetful

NOON = datetime(2025, 10, 1, 12, tzinfo=UTC)


@dataclass
class Known:
    """A verifier that knows some passwords and has never seen the others."""

    verdicts: dict[str, bool]

    def verify(self, user_id: str, stored: str, password: str) -> bool | None:  # noqa: ARG002 - the protocol's form
        """From memory."""
        return self.verdicts.get(password)


@pytest.fixture
def store() -> Store:
    """Two users of different companies, each with an address."""
    store = MemoryStore(clock_us=lambda: 1)
    with store.transaction() as unit:
        unit.put_box(Box("B", "A@B.EXAMPLE", ()))
        unit.put_account(Account("1ANACA0A", "hash", mail_from=("ONE@A.EXAMPLE", "shared"), box="B"))
        unit.put_account(Account("1ANACA0B", "hash", mail_from=("TWO@A.EXAMPLE",), box="B"))
        unit.put_account(Account("2BKOUB0B", "hash", mail_from=("OTHER@B.EXAMPLE", "shared"), box="B"))
    return store


def _admission(directory: Directory, verdicts: dict[str, bool] | None = None) -> Admission:
    return Admission(directory, Known(verdicts or {}), lambda trade, code: (trade, code) != ("warehouse", "IDA"))


def _envelope(content: bytes = b"", sender: str = "", principal: str = "") -> Envelope:
    return Envelope("two-way", NOON, "127.0.0.1:1", sender, "", content, content, principal=principal)


def _header(user_id: str = "1ANACA0A", word: str = "SAMPLE01") -> Header:
    return Header(b" " * 29 + f"{user_id:<8}{word:<8}".encode())


@pytest.mark.parametrize(
    ("sender", "principal", "code"),
    [
        ("ONE@A.EXAMPLE", "", ""),
        ("TWO@A.EXAMPLE", "", ""),
        ("one@a.example", "", ""),
        ("NOBODY@C.EXAMPLE", "", ""),
        ("", "", ""),
        ("OTHER@B.EXAMPLE", "", "A0013"),
        ("", "OTHER@B.EXAMPLE", "A0013"),
        ("ONE@A.EXAMPLE", "OTHER@B.EXAMPLE", "A0013"),
        ("shared", "", ""),
    ],
)
def test_whose_link_it_is(store: Store, sender: str, principal: str, code: str) -> None:
    """A0013 if address or login belong to another 利用者コード only; an address several share says nothing."""
    admission = _admission(Directory())
    with store.view() as view:
        try:
            account = admission.user(view, _header(), _envelope(sender=sender, principal=principal))
            found = ""
            assert account.id == "1ANACA0A"
        except Refusal as refusal:
            found = refusal.results[0].code
    assert found == code


def test_password_that_memory_does_not_know() -> None:
    """It is no refusal: the message waits while argon2 works; the exception does not show the password."""
    admission = _admission(Directory(), {"RIGHT001": True, "WRONG001": False})
    account = Account("1ANACA0A", "hash")
    admission.password(account, _header(word="RIGHT001"))
    with pytest.raises(Refusal, match="A0004"):
        admission.password(account, _header(word="WRONG001"))
    with pytest.raises(PasswordUnknown) as unknown:
        admission.password(account, _header(word="SECRET01"))
    assert "SECRET01" not in str(unknown.value)
    assert "SECRET01" not in repr(unknown.value)


def test_state_before_business_before_right() -> None:
    """A0014 before U0001; a business open while the password is temporary is let through; A0012 by the matrix."""
    admission = _admission(Directory())
    usual, open_ = Handler("TCC", answer), Handler("URY", answer, while_temporary=True)
    temporary = Account("1ANACA0A", "hash", "temporary")
    with pytest.raises(Refusal, match="U0001"):
        admission.state(temporary, usual)
    with pytest.raises(Refusal, match="U0001"):
        admission.state(temporary, None)
    admission.state(temporary, open_)
    with pytest.raises(Refusal, match="A0014"):
        admission.state(Account("1ANACA0A", "hash", "temporary", suspended=True), open_)
    with pytest.raises(Refusal, match="A0012"):
        admission.right(Account("1ANACA0A", "hash", trade="warehouse"), "IDA")


def test_stops_of_settings_and_store(store: Store) -> None:
    """Both count, the settings' first; a stop begins at its start and is over at its end."""
    directory = Directory((Window(0, "", "A0002", 100, 200), Window(0, "OLA", "U0002", 100, 300)))
    with store.transaction() as unit:
        unit.add_window(Window(0, "", "A0006", 150, 250))
    with store.view() as view:
        codes = [stop.code if (stop := directory.stop(view, "", at)) else "" for at in (99, 100, 150, 200, 249, 250)]
        assert codes == ["", "A0002", "A0002", "A0006", "A0006", ""]
        stop = directory.stop(view, "OLA", 299)
        assert stop is not None
        assert stop.code == "U0002"
        assert directory.stop(view, "OLC", 150) is None


def test_strangers_do_not_fill_memory(store: Store) -> None:
    """Whatever a message can name is remembered only so often: user IDs, codes, addresses, places (reliability 8)."""
    directory = Directory()
    with store.view() as view:
        for n in range(3 * REMEMBERED):
            directory.account(view, f"{n:08d}")
            directory.knows_user_code(view, f"{n:05d}")
            directory.owners(view, f"{n}@X.EXAMPLE")
            directory.box_of_address(view, f"{n}@X.EXAMPLE")
            directory.place(view, f"{n:05d}")
        assert forgetful(directory) <= 6 * (REMEMBERED + 1)
        assert directory.account(view, "1ANACA0A") is not None, "and the truth is found again"


def test_what_is_remembered_is_forgotten_at_once(store: Store) -> None:
    """After :meth:`forget` the store is asked again: accounts, unknown ones too, routes, boxes."""
    directory = Directory()
    with store.transaction() as unit:
        assert directory.account(unit, "3NEW0000") is None
        assert directory.route(unit, "1ANACA0A", "X") == ""
        unit.put_account(Account("3NEW0000", "hash", box="B"))
        unit.put_route(Route("1ANAC", "X", "B"))
        assert directory.account(unit, "3NEW0000") is None
        directory.forget()
        assert directory.account(unit, "3NEW0000") is not None
        assert directory.route(unit, "1ANACA0A", "X") == "B"
