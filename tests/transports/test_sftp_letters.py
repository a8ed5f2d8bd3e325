import time

from .sftp_house import BOX, DAY, OTHER
from .sftp_talk import (
    DENIED,
    EOF,
    FAILURE,
    NO_SUCH_FILE,
    OK,
    PUT,
    READ,
    WRITE,
    Talk,
    text,
    u32,
    u64,
)

DAY_FOLDER = f"/out/{BOX}/{DAY}"


async def test_letters_are_read_and_removed(talk: Talk) -> None:
    """/out shows the box's letters; reading delivers nothing; remove is the collection, answered after its commit."""
    made = talk.house.add(5, b"letter five", "*SOLA", "12345")
    talk.house.add(6, b"somebody else's", box=OTHER)
    assert await talk.list("/out") == [BOX]
    assert await talk.list(f"/out/{BOX}") == [DAY]
    (name,) = await talk.list(DAY_FOLDER)
    assert name == "R-SOLA_12345_7-5.edi"
    path = f"{DAY_FOLDER}/{name}"
    shown = await talk.say(17, text(path))
    assert (shown.size, shown.is_directory) == (made.size, False)
    handle = await talk.handle(path, READ)
    assert (await talk.say(8, handle)).size == made.size
    assert (await talk.say(5, handle, u64(7), u32(100))).body == text("five")
    assert (await talk.say(5, handle, u64(made.size), u32(1))).code == EOF
    assert (await talk.say(6, handle, u64(0), text("x"))).code == DENIED
    assert (await talk.open(path, READ | WRITE)).code == DENIED
    assert (await talk.say(18, text(path), text("/in/x.tmp"))).code == DENIED
    assert (await talk.say(9, text(path), u32(4), u32(0))).code == DENIED
    assert talk.house.collected == []
    talk.house.tray_fault = "the mailbox cannot be used now"
    failed = await talk.say(13, text(path))
    assert (failed.code, failed.text) == (FAILURE, "the mailbox cannot be used now")
    assert await talk.list(DAY_FOLDER) == [name]
    talk.house.tray_fault = ""
    assert (await talk.say(13, text(path))).code == OK
    assert talk.house.collected == [(BOX, 5, "sftp", "127.0.0.1:50000")]
    assert (await talk.say(17, text(path))).code == NO_SUCH_FILE
    assert (await talk.say(11, text(DAY_FOLDER))).code == NO_SUCH_FILE


async def test_a_letter_stays_listed_until_its_removal_is_committed(talk: Talk) -> None:
    """reliability.md 7: until the commit the file is listed."""
    talk.house.add(5, b"x")
    (name,) = await talk.list(DAY_FOLDER)
    second = Talk(talk.house)
    talk.send(13, text(f"{DAY_FOLDER}/{name}"))
    assert await second.list(DAY_FOLDER) == [name]
    assert (await talk.answer()).code == OK
    second.end()


async def test_a_letter_that_is_purged_while_it_is_open(talk: Talk) -> None:
    """The content is asked for when it is read; a letter that is gone by then is no such file."""
    talk.house.add(5, b"x")
    (name,) = await talk.list(DAY_FOLDER)
    handle = await talk.handle(f"{DAY_FOLDER}/{name}", READ)
    talk.house.boxes[BOX].clear()
    reply = await talk.say(5, handle, u64(0), u32(10))
    assert (reply.code, "not kept" in reply.text) == (NO_SUCH_FILE, True)


async def test_what_was_sent_can_be_read_and_not_changed(talk: Talk) -> None:
    """/sent has what was accepted, /quarantine what could not be read; both read-only, both only one's own."""
    await talk.put("/in/a.edi", b"first")
    await talk.put("/in/b.edi", b"second")
    talk.house.unread.add(2)
    assert await talk.list("/sent") == ["0000000001_a.edi"]
    assert await talk.list("/quarantine") == ["0000000002_b.edi"]
    handle = await talk.handle("/quarantine/0000000002_b.edi", READ)
    assert (await talk.say(5, handle, u64(0), u32(99))).body == text("second")
    assert (await talk.say(13, text("/quarantine/0000000002_b.edi"))).code == DENIED
    assert (await talk.say(18, text("/sent/0000000001_a.edi"), text("/in/x"))).code == DENIED
    assert (await talk.open("/sent/0000000001_a.edi", PUT)).code == DENIED
    assert (await talk.say(17, text("/sent/0000000002_b.edi"))).code == NO_SUCH_FILE


async def test_ten_thousand_letters_in_a_second(talk: Talk) -> None:
    """R21: listing 10,000 letters takes under a second of processor time; so does looking at each of them."""
    for number in range(10_000):
        talk.house.add(number, b"x", key=f"{number:011d}")
    began = time.process_time()
    names = await talk.list(DAY_FOLDER)
    assert time.process_time() - began < 1.0
    assert len(set(names)) == 10_000
    before = talk.house.listings
    began = time.process_time()
    for name in names:
        assert (await talk.say(7, text(f"{DAY_FOLDER}/{name}"))).kind == 105
    assert time.process_time() - began < 1.0
    assert talk.house.listings == before


async def test_pages_of_128_names(talk: Talk) -> None:
    """An answer to READDIR has at most 128 names."""
    for number in range(300):
        talk.house.add(number, b"x")
    handle = (await talk.say(11, text(DAY_FOLDER))).body
    pages = [len((await talk.say(12, handle)).names) for _ in range(3)]
    assert pages == [128, 128, 44]
    assert (await talk.say(12, handle)).code == EOF
    assert (await talk.say(5, handle, u64(0), u32(1))).code == DENIED
    assert (await talk.say(8, handle)).is_directory
