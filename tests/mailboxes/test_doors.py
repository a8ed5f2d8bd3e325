"""Letters at several doors: store.py, "Letters"; issue clause "One mailbox, every door"."""

import pytest

from sekisho.mailboxes import Store
from sekisho.mailboxes.letters import Box, LetterQuery, Mark, SentMessage
from sekisho.mailboxes.store import StoreError

from .desk import furnish, keep, new_account, new_letter, new_request


def _fill(store: Store, box: str, count: int) -> list[int]:
    """So many letters in a box; their numbers."""
    with store.transaction() as unit:
        request = unit.journal(new_request(f"fill {box}"))
        due = 2000 if box != "B2" else None
        return [
            unit.add_letter(new_letter(request, part, box=box, due_at=due, content=b"letter %d" % part)).number
            for part in range(count)
        ]


def test_a_listing_shows_what_no_door_has_delivered(store: Store) -> None:
    """waiting: by uid, delivered and deleted ones left out, sizes and keys with them, interchanges told apart."""
    furnish(store)
    numbers = _fill(store, "B2", 5)
    with store.transaction() as unit:
        request = unit.journal(new_request("other"))
        unit.finish(request, state=1, result="00000", key="12345678901", at=1)
        unit.add_letter(new_letter(request, 0, box="B2", content=b"UNB+UNOA:3", output_code="CUSRES", due_at=None))
        unit.mark([Mark(numbers[1], "delivered", 3000, door="pop3")])
        unit.delete_letters([numbers[2]], 3000)
    with store.view() as view:
        found = view.waiting("B2")
        assert [(x.uid, x.size, x.key, x.is_interchange) for x in found] == [
            (1, 8, "", False), (4, 8, "", False), (5, 8, "", False), (6, 10, "12345678901", True),
        ]  # fmt: skip
        assert view.waiting("B1") == view.waiting("NONE") == []


def test_what_is_collected_is_gone_from_every_door(store: Store) -> None:
    """collect: delivered through that door, due no more, and counted as delivered; what was gone already stays so."""
    furnish(store)
    a, b, c = _fill(store, "B3", 3)
    with store.transaction() as unit:
        unit.mark([Mark(a, "delivered", 2500)])
        assert unit.collect([a, b, 9999], "B3", "pop3", 3000) == [b]
        assert unit.collect([c], "B1", "pop3", 3000) == []
        assert [x.number for x in unit.waiting("B3")] == [c]
    with store.view() as view:
        assert [x.number for x in view.due(9999, 10)] == [c]
        letters = {x.number: x for x in view.letters(LetterQuery(box="B3"))}
        assert (letters[a].door, letters[a].delivered_at) == ("smtp-push", 2500)
        assert (letters[b].door, letters[b].delivered_at, letters[b].state) == ("pop3", 3000, "delivered")
        assert view.undelivered(["B3"]) == [("*CTCC", 1)]


def test_a_mark_after_the_collection_changes_nothing(store: Store) -> None:
    """The push was under way when the letter was fetched: the first door that delivered it counts."""
    furnish(store)
    (a,) = _fill(store, "B3", 1)
    with store.transaction() as unit:
        unit.collect([a], "B3", "sftp", 3000)
        unit.mark([Mark(a, "delivered", 3100)])
        letter = unit.letter(a)
        assert letter is not None
        assert (letter.door, letter.delivered_at, letter.due_at) == ("sftp", 3000, None)


def test_offering_again(store: Store) -> None:
    """hasten: at a box that is only fetched from, letters wait to be fetched again under the uid they have."""
    furnish(store)
    a, b = _fill(store, "B2", 2)
    with store.transaction() as unit:
        unit.collect([a, b], "B2", "pop3", 3000)
        unit.delete_letters([b], 3100)
        unit.hasten([a, b], 3200)
        assert [(x.number, x.uid) for x in unit.waiting("B2")] == [(a, 1)]
        assert unit.due(9999, 10) == []


def test_a_box_without_doors_offers_nothing(store: Store) -> None:
    """The operators' box: what was delivered by hand is not delivered again."""
    with store.transaction() as unit:
        unit.put_box(Box("OP", "OP@X.EXAMPLE", ()))
    with store.transaction() as unit:
        request = unit.journal(new_request())
        letter = unit.add_letter(new_letter(request, box="OP", due_at=None)).number
        unit.mark([Mark(letter, "delivered", 1, door="")])
        unit.hasten([letter], 5)
        found = unit.letter(letter)
        assert found is not None
        assert found.delivered_at == 1


def test_answers_are_kept_with_their_request(store: Store) -> None:
    """answer: what the transport's peer was told, written with the request, replaced at will, gone with it."""
    with store.transaction() as unit:
        first = unit.journal(new_request("a", answer=b"<ack/>", conversation="C1"))
        second = unit.journal(new_request("b"))
        assert (unit.answer(first), unit.answer(second), unit.answer(99)) == (b"<ack/>", b"", b"")
        unit.set_answer(second, b"later")
        with pytest.raises(StoreError):
            unit.set_answer(99, b"")
    with store.view() as view:
        assert view.answer(second) == b"later"
        request = view.request(first)
        assert request is not None
        assert request.conversation == "C1"
        known = view.find_request("b")
        assert known is not None
        assert known.conversation == ""


def test_a_conversation_must_be_text(store: Store) -> None:
    """journal: StoreError for a lone surrogate, and nothing is lost by it."""
    with store.transaction() as unit, pytest.raises(StoreError):
        unit.journal(new_request(conversation="\ud800"))


def test_sent_messages_go_with_their_letter(store: Store) -> None:
    """put_sent: kept byte for byte, found by id and letter, replaced as its state changes, purged with it."""
    furnish(store)
    (request,) = keep(store, "a")
    sent = SentMessage("<1@x>", 1, "acme", "text/xml", b"\x00bytes", 10, 20)
    with store.transaction() as unit:
        unit.put_sent(sent)
        with pytest.raises(StoreError):
            unit.put_sent(SentMessage("<2@x>", 99, "acme", "", b"", 10, 20))
    with store.transaction() as unit:
        unit.put_sent(SentMessage("<1@x>", 1, "acme", "text/xml", b"\x00bytes", 10, 20, "acknowledged", 15))
    with store.view() as view:
        found = view.sent_message("<1@x>")
        assert found is not None
        assert (found.content, found.state, found.acknowledged_at) == (b"\x00bytes", "acknowledged", 15)
        assert view.sent_for(1) == found
        assert view.sent_for(2) is view.sent_message("<2@x>") is None
    with store.transaction() as unit:
        unit.purge(letters_before=9999, fetched_before=9999, requests_before=9999)
        assert unit.request(request) is None
        assert unit.sent_message("<1@x>") is None


def test_users_of_a_box(store: Store) -> None:
    """users_of_box: whose replies go there, by id."""
    with store.transaction() as unit:
        unit.put_account(new_account("1ANACA0B", box="B1"))
        unit.put_account(new_account("1ANACA0A", box="B1"))
        unit.put_account(new_account("2BKOUA0A", box="B2"))
        assert unit.users_of_box("B1") == ["1ANACA0A", "1ANACA0B"]
        assert unit.users_of_box("") == unit.users_of_box("B9") == []


def test_keys_and_secret_of_a_box(store: Store) -> None:
    """A box keeps its public keys and, for APOP, its readable secret."""
    with store.transaction() as unit:
        unit.put_box(Box("B1", "B1@X.EXAMPLE", ("sftp",), keys=("ssh-ed25519 AAAA",), secret="S"))
    with store.view() as view:
        box = view.box("B1")
        assert box is not None
        assert (box.keys, box.secret, box.pushes) == (("ssh-ed25519 AAAA",), "S", False)


def test_what_a_principal_has_sent(store: Store) -> None:
    """sent_by: newest first with sizes, of one wrapping; of that what lies in quarantine; nobody has sent nothing."""
    with store.transaction() as unit:
        for name, principal, wrapping in [
            ("a", "B1", "bare"), ("b", "B2", "bare"), ("c", "B1", "mail"), ("d", "B1", "bare"), ("e", "", "bare"),
        ]:  # fmt: skip
            unit.journal(new_request(name, principal=principal, wrapping=wrapping))
        entry = unit.quarantine(1, "A0016", 5)
    with store.view() as view:
        assert [(request.idem, size) for request, size in view.sent_by("B1", "bare")] == [("d", 5), ("a", 5)]
        assert [request.number for request, _ in view.sent_by("B1", "bare", 1)] == [4]
        assert [request.number for request, _ in view.sent_by("B1", "bare", quarantined=True)] == [1]
        assert view.sent_by("", "bare") == []
    with store.transaction() as unit:
        unit.release(entry, 6)
        assert unit.sent_by("B1", "bare", quarantined=True) == []
