"""Letters, their delivery and their listing: mailboxes/store.py and letters.py."""

from hashlib import sha256

import pytest

from sekisho.mailboxes import Conflict, Store, StoreError
from sekisho.mailboxes.letters import Box, Dispatch, Letter, LetterQuery, Mark, Stored

from .desk import NOW, keep, new_letter, new_request


def _letter(store: Store, number: int = 1) -> Letter:
    with store.view() as view:
        letter = view.letter(number)
    assert letter is not None
    return letter


def _mark(store: Store, *marks: Mark) -> None:
    with store.transaction() as unit:
        unit.mark(marks)


def _due(store: Store, now: int = 10**9) -> list[int]:
    with store.view() as view:
        return [dispatch.number for dispatch in view.due(now, 100)]


def test_a_letter_is_kept_as_given(store: Store) -> None:
    """add_letter: every field, the bytes, size and digest; Stored names number, uid and the box's uid_validity."""
    content = "処理結果".encode("euc_jp")
    with store.transaction() as unit:
        number = unit.journal(new_request())
        stored = unit.add_letter(new_letter(number, 3, content=content, form="A", subject="件名"))
    assert stored == Stored(1, 1, NOW // 1_000_000)
    expected = Letter(
        number=1, request=number, part=3, box="B1", uid=1, user_id="1ANACA0A", business_code="TCC", output_code="*CTCC",
        kind="R", form="A", subject="件名", size=8, digest=sha256(content).hexdigest(), created_at=2000,
        delivered_at=None, deleted_at=None, due_at=2000, attempts=0, last_outcome="", last_error="",
    )  # fmt: skip
    assert _letter(store) == expected
    assert expected.state == "waiting"
    with store.view() as view:
        assert view.content(1) == content
        assert view.letters_of(number) == [expected]


def test_uids_count_within_the_box(store: Store) -> None:
    """add_letter: the box's next uid, over transactions and requests."""
    with store.transaction() as unit:
        number = unit.journal(new_request())
        uids = [unit.add_letter(new_letter(number, part, box=box)).uid for part, box in enumerate(("B1", "B2", "B1"))]
        unit.letters_of(number)
        uids.append(unit.add_letter(new_letter(number, 3)).uid)
    with store.transaction() as unit:
        uids += [unit.add_letter(new_letter(number, 4 + i, box=box)).uid for i, box in enumerate(("B2", "B1"))]
    assert uids == [1, 1, 2, 3, 2, 4]


@pytest.mark.parametrize("later", [False, True])
def test_a_part_is_there_once(store: Store, later: bool) -> None:
    """add_letter: Conflict if the part is there already, so that a second run is no second letter."""
    with store.transaction() as unit:
        number = unit.journal(new_request())
        unit.add_letter(new_letter(number))
        if not later:
            with pytest.raises(Conflict):
                unit.add_letter(new_letter(number))
            unit.letters_of(number)
            with pytest.raises(Conflict):
                unit.add_letter(new_letter(number, box="B2"))
    if later:
        with store.transaction() as unit:
            with pytest.raises(Conflict):
                unit.add_letter(new_letter(number))
            assert unit.add_letter(new_letter(number, 1)).uid == 2


def test_no_box_or_no_request_is_an_error(store: Store) -> None:
    """add_letter: StoreError at the call; the next letter gets the uid."""
    with store.transaction() as unit:
        number = unit.journal(new_request())
        for letter in (new_letter(number, box="NONE"), new_letter(99)):
            with pytest.raises(StoreError):
                unit.add_letter(letter)
        assert unit.add_letter(new_letter(number)) == Stored(1, 1, NOW // 1_000_000)


def test_letters_of_a_request_by_part(store: Store) -> None:
    """letters_of: by part, deleted ones too."""
    with store.transaction() as unit:
        number = unit.journal(new_request())
        for part in (2, 0, 1):
            unit.add_letter(new_letter(number, part))
        unit.delete_letters([2], 5)
    with store.view() as view:
        assert [(x.part, x.state) for x in view.letters_of(number)] == [
            (0, "deleted"), (1, "waiting"), (2, "waiting"),
        ]  # fmt: skip


def test_due_is_in_order_and_at_push_boxes_only(store: Store) -> None:
    """due, next_due: (due_at, number), up to now and limit, without exclude; only boxes that push, as they are now."""
    with store.transaction() as unit:
        number = unit.journal(new_request())
        for part, (box, at) in enumerate((("B1", 30), ("B2", 10), ("B3", 20), ("B1", 20), ("B1", None), ("B1", 40))):
            unit.add_letter(new_letter(number, part, box=box, due_at=at))
        assert [d.number for d in unit.due(30, 10)] == [3, 4, 1]
        assert [d.number for d in unit.due(99, 2)] == [3, 4]
        assert [d.number for d in unit.due(99, 2, frozenset({3, 1}))] == [4, 6]
        assert [d.number for d in unit.due(99, 2, frozenset({4}), ["B3", "B2"])] == [1, 6]
        assert unit.due(19, 10) == []
        assert unit.next_due() == 20
        assert unit.due(20, 1) == [Dispatch(3, "B3", 1, NOW // 1_000_000, 2000, 20, 0, b"letter 1/2")]
        unit.put_box(Box("B2", "B2@SMTP.EXAMPLE", doors=("smtp-push",)))
        assert unit.next_due() == 10
        unit.put_box(Box("B1", "B1@SMTP.EXAMPLE", doors=("pop3",)))
        assert [d.number for d in unit.due(99, 9)] == [2, 3]


def test_next_due_is_none_where_nothing_ever_is(store: Store) -> None:
    """next_due: None if none ever is due."""
    with store.transaction() as unit:
        assert unit.next_due() is None
        number = unit.journal(new_request())
        unit.add_letter(new_letter(number, 0, due_at=None))
        unit.add_letter(new_letter(number, 1, box="B2"))
        assert unit.next_due() is None


@pytest.mark.parametrize(
    ("mark", "state", "due"),
    [
        (Mark(1, "delivered", 5, 99, "250 ok"), "delivered", None),
        (Mark(1, "deferred", 5, 99, "451 later"), "waiting", 99),
        (Mark(1, "unknown", 5, 99, "no answer"), "unknown", 99),
        (Mark(1, "unknown", 5, None, "no answer"), "failed", None),
        (Mark(1, "refused", 5, None, "550 no"), "failed", None),
        (Mark(1, "deferred", 5, None, "given up"), "failed", None),
    ],
)
def test_mark(store: Store, mark: Mark, state: str, due: int | None) -> None:
    """mark: outcome, text, one attempt more, the next due time; a delivered letter has none. The state follows."""
    keep(store, "r1")
    _mark(store, mark)
    letter = _letter(store)
    assert (letter.state, letter.due_at, letter.attempts) == (state, due, 1)
    assert (letter.last_outcome, letter.last_error) == (mark.outcome, mark.text)
    assert letter.delivered_at == (5 if state == "delivered" else None)
    with store.view() as view:
        assert [x.number for x in view.letters(LetterQuery(states=(state,)))] == [1]
        assert view.next_due() == due


def test_delivered_stays_delivered(store: Store) -> None:
    """mark: a letter once delivered stays so, with the first time; a mark for a letter that is gone is ignored."""
    keep(store, "r1")
    _mark(store, Mark(1, "delivered", 5), Mark(77, "delivered", 5))
    _mark(store, Mark(1, "refused", 6, None, "550"), Mark(1, "delivered", 7))
    letter = _letter(store)
    assert (letter.state, letter.delivered_at, letter.attempts) == ("delivered", 5, 3)


def test_a_fetched_letter_is_marked_as_well(store: Store) -> None:
    """mark: letters that never were due at the push door (pop3, sftp) are delivered the same way."""
    with store.transaction() as unit:
        number = unit.journal(new_request())
        unit.add_letter(new_letter(number, box="B2", due_at=None))
        unit.mark([Mark(1, "delivered", 5, None, "RETR")])
    letter = _letter(store)
    assert (letter.state, letter.attempts, letter.last_error, letter.due_at) == ("delivered", 1, "RETR", None)


def test_hasten(store: Store) -> None:
    """hasten: due at once, delivered or not, attempts anew, delivered mark kept; push boxes only, no deleted ones."""
    with store.transaction() as unit:
        number = unit.journal(new_request())
        for part, box in enumerate(("B1", "B1", "B2", "B1")):
            unit.add_letter(new_letter(number, part, box=box, due_at=None))
        unit.mark([Mark(1, "delivered", 5), Mark(2, "refused", 5, None, "550")])
        unit.delete_letters([4], 6)
        unit.hasten([1, 2, 3, 4, 99], 70)
    assert _due(store) == [1, 2]
    first, second = _letter(store, 1), _letter(store, 2)
    assert (first.state, first.delivered_at, first.due_at, first.attempts) == ("delivered", 5, 70, 0)
    assert (second.state, second.due_at, second.attempts) == ("waiting", 70, 0)
    assert _letter(store, 3).due_at is None
    assert _letter(store, 4).due_at is None
    _mark(store, Mark(1, "deferred", 71, 90))
    assert _letter(store).due_at == 90


def test_deleted_letters_are_out_of_their_box(store: Store) -> None:
    """delete_letters: for good; listed under state deleted only, never due, not counted; the bytes stay."""
    keep(store, "r1", "r2")
    with store.transaction() as unit:
        unit.delete_letters([1, 99], 6)
        unit.delete_letters([1], 7)
        unit.mark([Mark(1, "deferred", 8, 9)])
    assert _letter(store).deleted_at == 6
    assert _letter(store).state == "deleted"
    assert _due(store) == [2]
    with store.view() as view:
        assert [x.number for x in view.letters(LetterQuery())] == [2]
        assert [x.number for x in view.letters(LetterQuery(states=("deleted",)))] == [1]
        assert [x.number for x in view.letters(LetterQuery(states=("deleted", "waiting")))] == [2, 1]
        assert view.box_counts() == [("B1", 1, 1), ("B2", 0, 0), ("B3", 0, 0)]
        assert view.undelivered(["B1"]) == [("*CTCC", 1)]
        assert view.content(1) == b"letter 1/0"


def test_undelivered_counts_by_output_code(store: Store) -> None:
    """undelivered: output codes and counts in these boxes, by code; box_counts: letters and undelivered, by box."""
    with store.transaction() as unit:
        number = unit.journal(new_request())
        codes = (("B1", "SAS1360"), ("B1", "*SOLA"), ("B2", "*SOLA"), ("B3", "*SOLA"), ("B1", "*SOLA"))
        for part, (box, code) in enumerate(codes):
            unit.add_letter(new_letter(number, part, box=box, output_code=code))
        unit.mark([Mark(5, "delivered", 1)])
        assert unit.undelivered(["B1", "B2"]) == [("*SOLA", 2), ("SAS1360", 1)]
        assert unit.undelivered([]) == []
        assert unit.box_counts() == [("B1", 3, 2), ("B2", 1, 1), ("B3", 1, 1)]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        (LetterQuery(), [4, 3, 2, 1]),
        (LetterQuery(limit=2), [4, 3]),
        (LetterQuery(limit=0), []),
        (LetterQuery(before=3), [2, 1]),
        (LetterQuery(after=2), [4, 3]),
        (LetterQuery(after=1, oldest_first=True, limit=2), [2, 3]),
        (LetterQuery(box="B1"), [4, 1]),
        (LetterQuery(box="B1", oldest_first=True), [1, 4]),
        (LetterQuery(box="B1", before=4), [1]),
        (LetterQuery(user_id="U2"), [2]),
        (LetterQuery(business_code="OLA"), [3]),
        (LetterQuery(output_code="SAS1360"), [3]),
        (LetterQuery(request=2), [4, 3]),
        (LetterQuery(text="100%_"), [2]),
        (LetterQuery(text="%"), [2]),
        (LetterQuery(text="件"), [4]),
        (LetterQuery(states=("delivered",)), [1]),
        (LetterQuery(box="B1", states=("waiting", "failed")), [4]),
        (LetterQuery(box="B2", user_id="nobody"), []),
    ],
)
def test_letters_are_listed_by_what_is_asked(store: Store, query: LetterQuery, numbers: list[int]) -> None:
    """LetterQuery: every given field must match; newest first unless oldest_first; text is looked for as it stands."""
    with store.transaction() as unit:
        for idem in "ab":
            unit.journal(new_request(idem))
        unit.add_letter(new_letter(1, 0))
        unit.add_letter(new_letter(1, 1, box="B2", user_id="U2", subject="at 100%_"))
        unit.add_letter(new_letter(2, 0, box="B3", business_code="OLA", output_code="SAS1360"))
        unit.add_letter(new_letter(2, 1, subject="ある件"))
        unit.mark([Mark(1, "delivered", 9)])
    with store.view() as view:
        assert [letter.number for letter in view.letters(query)] == numbers
