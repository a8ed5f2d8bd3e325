import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sekisho.transports.sftp_tree import (
    NAME_BYTES,
    Node,
    Place,
    day_of,
    index_of,
    is_temporary,
    kept_name,
    letter_name,
    locate,
    long_line,
    split_path,
    upload_name_fault,
)

from .sftp_house import DAY, letter

BOX = "BRK001"


def place(path: bytes) -> Place | None:
    """Where a path of this user leads."""
    names = split_path(path)
    spot = locate(names, BOX) if names is not None else None
    return spot.place if spot is not None else None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"", Place.ROOT),
        (b".", Place.ROOT),
        (b"/", Place.ROOT),
        (b"//", Place.ROOT),
        (b"/..", Place.ROOT),
        (b"/../../../..", Place.ROOT),
        (b"in", Place.IN),
        (b"/in/", Place.IN),
        (b"//in//.", Place.IN),
        (b"/in/x/..", Place.IN),
        (b"/in/a.edi", Place.UPLOAD),
        (b"in/./a.edi", Place.UPLOAD),
        (b"/in/../in/a.edi", Place.UPLOAD),
        (b"/in/.a.edi.tmp", Place.UPLOAD),
        (b"/out", Place.OUT),
        (b"/out/BRK001", Place.BOX),
        (b"/out/BRK001/20251009", Place.DAY),
        (b"/out/BRK001/20251009/SAS1360_-_7-1.edi", Place.LETTER),
        (b"/out/BRK001/../BRK001/20251009", Place.DAY),
        (b"/sent", Place.SENT),
        (b"/sent/0000000001_a.edi", Place.SENT_FILE),
        (b"/quarantine", Place.QUARANTINE),
        (b"/quarantine/x", Place.UNREAD_FILE),
    ],
)
def test_paths_lead_to_their_places(path: bytes, expected: Place) -> None:
    """The tree is /in, /out/<box>/<YYYYMMDD>, /sent, /quarantine; dots are resolved by the text (decisions.md)."""
    assert place(path) is expected


@pytest.mark.parametrize(
    "path",
    [
        b"/etc/passwd",
        b"/in/../../etc/passwd",
        b"/out/FWD002",  # another box
        b"/out/FWD002/20251009/x",
        b"/out/BRK001/../FWD002",
        b"/out/brk001",  # names are keys: another case is another key
        b"/IN/a.edi",
        b"/in/a/b",
        b"/in/a.edi/..//..//etc",
        b"/out/BRK001/2025100",
        b"/out/BRK001/202510099",
        b"/out/BRK001/2025-1-9",
        b"/out/BRK001/20251009/a/b",
        b"/in/a.edi\0",
        b"/in/a.edi\0.txt",
        b"/in/a b",
        b"/in/a.edi ",
        b"/in/a.edi.",
        b"/in/...",
        b"/in/..\\..\\etc",
        b"/in/C:x",
        b"/in/a:stream",
        b"/in/-rf",
        b"/in/a\nb",
        b"/in/a\x7f",
        b"/in/%2e%2e%2fetc",
        b"/in/~root",
        b"/in/\xe6\xb3\xa8",  # UTF-8
        b"/in/\xb4\xd8",  # EUC-JP
        b"/in/\xc0\xaf",  # an overlong slash
        b"/in/\xc0\xae\xc0\xae",  # overlong dots
        b"/in/\xef\xbc\x8f",  # a full-width slash
        b"/in/" + b"a" * (NAME_BYTES + 1),
        b"/in" + b"/." * 600,  # longer than any path
        b"/sent/a/b",
        b"/quarantine/a/b",
        b"\xff" * 40,
    ],
)
def test_other_paths_lead_nowhere(path: bytes) -> None:
    """No name outside the tree is a name: fixed alphabet, 190 bytes, no second spelling (reliability.md 7)."""
    assert place(path) is None


def test_hostile_names_never_leave_the_tree() -> None:
    """R10: 10,000 generated names; what is found is inside, and every accepted name is its own only spelling."""
    chance = random.Random(20251009)
    pieces = [b"..", b".", b"/", b"//", b"\\", b"\0", b"in", b"out", BOX.encode(), DAY.encode(), b"sent", b"%2f", b" ",
              b"\xc0\xaf", b"\xe2\x80\xae", b"\n", b"a.edi", b"A" * 250, b"CON", b"~", b"$(x)", b"`x`", b"|", b"*",
              b"?", b"-", b".tmp", b"etc/passwd", b"\xff\xfe", b";", b"'", b'"']  # fmt: skip
    kind = [b"/", b"in", b"out", b"sent", BOX.encode(), DAY.encode(), b"a.edi", b"..", b"."]
    seen: set[tuple[str, ...]] = set()
    for _ in range(10_000):
        path = b"".join(
            chance.choice(kind if chance.random() < 0.8 else pieces) + chance.choice([b"/", b""])
            for _ in range(chance.randint(1, 9))
        )
        names = split_path(path)
        if names is None:
            continue
        seen.add(names)
        spot = locate(names, BOX)
        if spot is None:
            continue
        for name in names:
            assert name.isascii()
            assert 0 < len(name) <= NAME_BYTES
            assert not set(name) & set("/\\ \0\n%~$`|*?;'\"")
            assert name not in (".", "..")
        again = ("/" + "/".join(names)).encode()
        assert split_path(again) == names
        assert names[:1] in ((), ("in",), ("out",), ("sent",), ("quarantine",))
        assert names[1:2] in ((), (BOX,)) or names[0] != "out"
    assert len(seen) > 500


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (b"a.edi", ""),
        (b".a.edi.tmp", ""),
        (b"_x-1.EDI", ""),
        (b"a" * 190, ""),
        (b"a" * 191, "190 bytes"),
        (b"a.", "ends with a dot"),
        (b"a b", "A-Z a-z 0-9"),
        (b"-a", "not begin with -"),
        (b"\xe6\xb3\xa8.txt", "A-Z a-z 0-9"),
        (b"", "A-Z a-z 0-9"),
    ],
)
def test_a_refused_file_name_is_told_why(name: bytes, words: str) -> None:
    """What is wrong with a name is told: the sender has to change his program."""
    fault = upload_name_fault(b"/in/" + name)
    assert words in fault
    assert bool(fault) == bool(words)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.edi", False), ("a.tmp", True), ("a.PART", True), ("a.edi.filepart", True), (".in.a.edi.", True),
     (".a.edi", True), ("a.swp", True), ("tmp", False), ("a.tmp.edi", False), ("part", False)],
)  # fmt: skip
def test_temporary_names(name: str, expected: bool) -> None:
    """A file of a temporary name is finished by its rename (reliability.md 7)."""
    assert is_temporary(name) is expected


def test_the_day_is_the_japan_date() -> None:
    """A letter of 15:00 UTC lies in the next day's folder."""
    before = int(datetime(2025, 12, 31, 14, 59, 59, 999999, UTC).timestamp() * 1e6)
    after = int(datetime(2025, 12, 31, 15, 0, tzinfo=UTC).timestamp() * 1e6)
    assert (day_of(before), day_of(after)) == ("20251231", "20260101")


@pytest.mark.parametrize(
    ("code", "key", "expected"),
    [
        ("SAS1360", "12345678901", "SAS1360_12345678901_7-3.edi"),
        ("*SOLA  ", "", "R-SOLA_-_7-3.edi"),
        ("", "", "NONE_-_7-3.edi"),
        ("CUSRES", "A/B C\0\n../x", "CUSRES_A-B-C-..-x_7-3.edi"),
        ("SAS1360", "税関", "SAS1360_-_7-3.edi"),
        ("x" * 400, "y" * 400, f"{'x' * 20}_{'y' * 60}_7-3.edi"),
    ],
)
def test_names_of_letters(code: str, key: str, expected: str) -> None:
    """Output code, key and uid; whatever the key holds, the name is one a client can ask for."""
    name = letter_name(letter(3, b"", code, key))
    assert name == expected
    assert place(f"/out/{BOX}/{DAY}/{name}".encode()) is Place.LETTER


def test_names_of_letters_are_unique() -> None:
    """Same code, same key: the uid tells them apart."""
    days, names = index_of([replace(letter(n, b""), output_code="*" * 40, key="/" * 99) for n in range(500)], {})
    assert len(days[DAY]) == len(set(names.values())) == 500


@pytest.mark.parametrize("name", ["a.edi", "", "../../x", "注文.txt", "a" * 500, "x.", "...", "a|b"])
def test_names_of_what_was_sent(name: str) -> None:
    """Whatever the name was, it can be asked for under /sent, with the journal number in front."""
    made = kept_name(42, name)
    assert made.startswith("0000000042_")
    assert place(b"/sent/" + made.encode()) is Place.SENT_FILE


def test_the_line_of_ls() -> None:
    """Type, permissions, owner, size, Japan time, name; the year when it is not recent, as ls writes it."""
    node = Node("a.edi", 1234, int(datetime(2025, 10, 9, 20, 5, tzinfo=UTC).timestamp()))
    now = int(datetime(2025, 10, 10, tzinfo=UTC).timestamp())
    assert long_line(node, now) == "-rw-r-----    1 sekisho  sekisho       1234 Oct 10 05:05 a.edi"
    assert " Oct 10  2025 " in long_line(node, now + 400 * 86400)
    assert long_line(Node("in", 0, now, is_directory=True), now).startswith("drwx")
