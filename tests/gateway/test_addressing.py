"""宛先管理: which box an output goes to (naccs-edi.md 5; decisions, "Replies")."""

import pytest

from sekisho.gateway.addressing import Addressee, Addressing
from sekisho.gateway.directory import Directory
from sekisho.handlers import SENDER, Originator, Party
from sekisho.handlers.kit import Sender
from sekisho.handlers.routes import EVERY, copy_to, third_party
from sekisho.mailboxes.letters import Account, Box, Place, Route
from sekisho.mailboxes.memory import MemoryStore
from sekisho.mailboxes.store import Store


@pytest.fixture
def store() -> Store:
    """Users with and without boxes, routes by ID and by code, a place of each kind."""
    store = MemoryStore(clock_us=lambda: 1)
    with store.transaction() as unit:
        for box in ("BROKER", "PERMITS", "MINE", "STORE", "OPERATORS"):
            unit.put_box(Box(box, f"{box}@X.EXAMPLE", ()))
        unit.put_account(Account("1ANACA0A", "", box="BROKER"))
        unit.put_account(Account("1ANACA0B", "", box=""))
        unit.put_account(Account("5WHSEW0W", "", box="STORE"))
        unit.put_account(Account("8NOBXA0A", "", box=""))
        unit.put_account(Account("9GONEA0A", "", box="TAKEN AWAY"))
        unit.put_route(Route("1ANAC", "SAF0010", "PERMITS"))
        unit.put_route(Route("1ANACA0A", "SAF0010", "MINE"))
        unit.put_place(Place("1AW01", "5WHSE"))
        unit.put_place(Place("8XX88", "8NOBX"))
    return store


CASES: list[tuple[str, Sender | Originator | Party, str, str, tuple[str, str, str, bool]]] = [
    ("the user's own box", SENDER, "1ANACA0A", "SAS1360", ("BROKER", "1ANACA0A", "Q", False)),
    ("a route of the ID before one of the code", SENDER, "1ANACA0A", "SAF0010", ("MINE", "1ANACA0A", "Q", False)),
    ("a route of the code", SENDER, "1ANACA0B", "SAF0010", ("PERMITS", "1ANACA0B", "Q", False)),
    ("without a box: that of the code", SENDER, "1ANACA0B", "SAS1360", ("BROKER", "1ANACA0B", "Q", False)),
    ("nobody: operators", SENDER, "8NOBXA0A", "SAS1360", ("OPERATORS", "8NOBXA0A", "Q", True)),
    ("a box that is gone: operators", SENDER, "9GONEA0A", "SAS1360", ("OPERATORS", "9GONEA0A", "Q", True)),
    ("EXZ", Originator("1ANACA0A", 7), "5WHSEW0W", "SAS1360", ("BROKER", "1ANACA0A", "Z", False)),
    ("EXZ by route", Originator("1ANACA0A", 7), "5WHSEW0W", "SAF0010", ("MINE", "1ANACA0A", "Z", False)),
    ("EXC by code", Party(user_code="5WHSE"), "1ANACA0A", "SAS0411", ("STORE", "5WHSE", "C", False)),
    ("EXC by code and route", Party(user_code="1ANAC"), "5WHSEW0W", "SAF0010", ("PERMITS", "1ANAC", "C", False)),
    ("EXC by place", Party(place="1AW01"), "1ANACA0A", "SAS0411", ("STORE", "5WHSE", "C", False)),
    ("EXC, unknown place", Party(place="0????"), "1ANACA0A", "SAS0411", ("OPERATORS", "", "C", True)),
    ("EXC, its user has no box", Party(place="8XX88"), "1ANACA0A", "SAS0411", ("OPERATORS", "8NOBX", "C", True)),
    ("EXC, unknown user", Party(user_code="0????"), "1ANACA0A", "SAS0411", ("OPERATORS", "0????", "C", True)),
]


@pytest.mark.parametrize(("name", "to", "user", "output", "expected"), CASES, ids=[case[0] for case in CASES])
def test_where_it_goes(
    store: Store,
    name: str,
    to: Sender | Originator | Party,
    user: str,
    output: str,
    expected: tuple[str, str, str, bool],
) -> None:
    """Route by ID, route by code, own box, box of the code; else the operators, who are told that it strayed."""
    with store.view() as view:
        account = view.account(user)
        assert account is not None
        found = Addressing(Directory(), "OPERATORS").of(view, to, account, output)
    assert found is not None, name
    assert (found.box.id, found.user, found.form, found.stray) == expected


def test_not_even_operators(store: Store) -> None:
    """Without an operators' box there is nowhere to put it: None, and the pipeline writes that to the audit trail."""
    with store.view() as view:
        account = view.account("8NOBXA0A")
        assert account is not None
        found: Addressee | None = Addressing(Directory(), "NO SUCH BOX").reply(view, account, "SAS1360")
    assert found is None


def test_third_party_outputs_have_a_destination_of_their_own(store: Store) -> None:
    """What others cause (EXC) goes where the user has set it for that; what he asks for does not (naccs-edi 5, UOC)."""
    with store.transaction() as unit:
        unit.put_box(Box("OUTSIDE", "OUTSIDE@X.EXAMPLE", ()))
        unit.put_route(Route(third_party("1ANAC"), "SAS0411", "OUTSIDE"))
    way = Addressing(Directory(), "OPERATORS")
    with store.view() as view:
        account = view.account("1ANACA0A")
        assert account is not None
        found = [way.of(view, to, account, "SAS0411") for to in (Party(user_code="1ANAC"), SENDER)]
        assert [one.box.id for one in found if one] == ["OUTSIDE", "BROKER"]


def test_copies_go_beside_the_usual_box(store: Store) -> None:
    """同報先: every output, or one code, to a further box too; never twice to the same one, never of what strayed."""
    with store.transaction() as unit:
        unit.put_route(Route(copy_to("1ANAC", "PERMITS"), EVERY, "PERMITS"))
        unit.put_route(Route(copy_to("1ANAC", "STORE"), "SAS1360", "STORE"))
        unit.put_route(Route(copy_to("1ANAC", "STORE"), EVERY, "STORE"))
        unit.put_route(Route(copy_to("8NOBX", "STORE"), EVERY, "STORE"))
    way = Addressing(Directory(), "OPERATORS")
    with store.view() as view:
        account, lost = view.account("1ANACA0A"), view.account("8NOBXA0A")
        assert account is not None
        assert lost is not None

        def boxes(account: Account, output: str) -> list[tuple[str, str]]:
            found = way.all_of(view, SENDER, account, output)
            return [(one.box.id, one.form) for one in found if one]

        assert boxes(account, "SAS1360") == [("BROKER", "Q"), ("PERMITS", "Q"), ("STORE", "Q")]
        assert boxes(lost, "SAS0411") == [("OPERATORS", "Q")]
        sibling = view.account("1ANACA0B")
        assert sibling is not None
        assert boxes(sibling, "SAF0010") == [("PERMITS", "Q"), ("STORE", "Q")], "its route leads to PERMITS already"
        assert boxes(lost, "SAS0371") == [("OPERATORS", "Q")]
        assert Directory().routed_boxes(view, "1ANACA0A") == ["MINE", "PERMITS", "STORE"]
