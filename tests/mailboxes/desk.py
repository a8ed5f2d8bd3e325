"""Short ways to make what the store's suite keeps."""

from dataclasses import replace
from typing import Any

from sekisho.mailboxes import Store
from sekisho.mailboxes.letters import Account, Box, NewLetter, NewRequest, RequestState

NOW = 1_700_000_000_000_000
DONE = RequestState.DONE


def furnish(store: Store) -> None:
    """The boxes B1 (push), B2 (pop3) and B3 (both)."""
    with store.transaction() as unit:
        unit.put_box(Box("B1", "B1@SMTP.EXAMPLE"))
        unit.put_box(Box("B2", "B2@SMTP.EXAMPLE", doors=("pop3",)))
        unit.put_box(Box("B3", "B3@SMTP.EXAMPLE", doors=("pop3", "smtp-push"), push="127.0.0.1:2626"))


def new_request(idem: str = "r1", **fields: Any) -> NewRequest:  # noqa: ANN401 - any field of the value
    """A request of lane L1."""
    made = NewRequest(
        lane="L1",
        idem=idem,
        transport="smtp",
        principal="P",
        received_at=1000,
        peer="127.0.0.1",
        sender="A@SMTP.EXAMPLE",
        recipient="NACCS@SMTP.EXAMPLE",
        raw=f"raw {idem}".encode(),
        content=f"content {idem}".encode(),
        wrapping="mail",
    )
    return made._replace(**fields)


def new_letter(request: int, part: int = 0, **fields: Any) -> NewLetter:  # noqa: ANN401 - any field of the value
    """A letter to B1 that is due at 2000."""
    made = NewLetter(
        request=request,
        part=part,
        box="B1",
        user_id="1ANACA0A",
        business_code="TCC",
        output_code="*CTCC",
        kind="R",
        form="",
        subject="00000-0000-0000",
        content=f"letter {request}/{part}".encode(),
        created_at=2000,
        due_at=2000,
    )
    return made._replace(**fields)


def new_account(user_id: str = "1ANACA0A", **fields: Any) -> Account:  # noqa: ANN401 - any field of the value
    """An account with nothing but a hash."""
    return replace(Account(user_id, "hash"), **fields)


def keep(store: Store, *idems: str, finished: bool = True, letters: int = 1, **fields: Any) -> list[int]:  # noqa: ANN401 - any field of the value
    """Journal requests, each with so many letters, in one transaction; their numbers."""
    numbers = []
    with store.transaction() as unit:
        for idem in idems:
            number = unit.journal(new_request(idem, **fields))
            for part in range(letters):
                unit.add_letter(new_letter(number, part))
            if finished:
                unit.finish(number, state=DONE, result="00000-0000-0000", key="", at=2000)
            numbers.append(number)
    return numbers
