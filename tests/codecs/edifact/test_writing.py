"""Writing, pydifact's model, and what reading costs."""

import time
import warnings
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydifact.segmentcollection import Interchange

from sekisho.codecs.edifact import (
    NotPlain,
    Outgoing,
    OutgoingMessage,
    Profile,
    Repeated,
    build,
    from_pydifact,
    read,
    to_pydifact,
    walk,
    write_back,
)
from sekisho.codecs.edifact.syntax import syntax_of
from sekisho.codecs.edifact.writer import segments_text

VALUE = st.text(st.sampled_from("AB1 '+:?*.|^~,\x1c"), max_size=6)
ELEMENT = VALUE | st.lists(VALUE, min_size=2, max_size=3)
SEGMENTS = st.lists(st.tuples(st.sampled_from(["BGM", "FTX", "LOC"]), ELEMENT, ELEMENT), min_size=1, max_size=5)
ADVICES = [":+.? '", "|*.? ~", ":+,! \n", "\x1f\x1d.? \x1c"]
GOOD = (
    b"UNB+UNOA:3+SND:ZZ+RCV+250101:1200+R1'UNH+1+ORDERS:D:96A:UN'"
    b"BGM+220+A?'B+9'DTM+137:20250101:102'UNT+4+1'UNZ+1+R1'"
)


def stripped(element: str | list[str]) -> str | list[str]:
    """What a truncating writer leaves of an element: no empty ends, and one component is the element."""
    if isinstance(element, str):
        return element
    while len(element) > 1 and not element[-1]:
        element = element[:-1]
    return element if len(element) > 1 else element[0]


@given(SEGMENTS, st.sampled_from(ADVICES[:2] + ADVICES[3:]))
def test_what_is_written_is_read_again_with_any_service_characters(
    segments: list[tuple[str, str | list[str], str | list[str]]], advice: str
) -> None:
    """read(write(model)) == model: every service character in a value is released, nothing else is."""
    syntax = syntax_of(advice, "UNOC", "3", advised=True)
    head = f"UNA{advice}" + segments_text([("UNB", ["UNOC", "3"], "S", "R", ["250101", "1200"], "1")], syntax)
    text = head + segments_text(segments, syntax)
    found = [segment for segment in walk(text.encode("latin-1"), Profile(validate=False)) if segment.tag != "UNB"]
    for segment, (tag, *elements) in zip(found, segments, strict=True):
        wanted = [stripped(element) for element in elements]
        while wanted and not wanted[-1]:
            wanted.pop()
        assert (segment.tag, segment.elements) == (tag, wanted)


def test_a_changed_segment_is_written_from_its_elements_and_the_rest_as_it_came() -> None:
    """Nothing unchanged is touched: the release of B's quote stays where it was."""

    def changed() -> Iterator[bytes]:
        walking = walk(GOOD.replace(b"'", b"'\r\n").replace(b"?'\r\n", b"?'"))
        for segment in walking:
            if segment.tag == "DTM":
                segment.elements = [["137", "2025+1", "102"]]
            yield from write_back([segment])

    assert b"".join(changed()) == GOOD.replace(b"20250101", b"2025?+1").replace(b"'", b"'\r\n").replace(
        b"?'\r\n", b"?'"
    ).removesuffix(b"\r\n")


def test_an_interchange_of_ours_is_counted_and_referenced_here() -> None:
    """Counts, trailers and the raised repertoire: 0001 says what the values need."""
    message = OutgoingMessage("M1", ("ORDERS", "D", "96A", "UN"), [("BGM", "220", "lower", None, "")])
    raw = build(Outgoing(("S",), ("R", "ZZ"), "R1", "250101", "1200", test="1", messages=[message], line_end=b"\r\n"))
    assert raw.split(b"\r\n") == [
        b"UNB+UNOB:3+S+R:ZZ+250101:1200+R1++++++1'",
        b"UNH+M1+ORDERS:D:96A:UN'",
        b"BGM+220+lower'",
        b"UNT+3+M1'",
        b"UNZ+1+R1'",
        b"",
    ]
    assert read(raw).valid
    with pytest.raises(ValueError, match="cannot be written"):
        build(Outgoing(("S",), ("\u5927",), "R1", "250101", "1200", messages=[message]))


def test_repeats_are_written_in_version_4_only() -> None:
    """A Repeated element needs a repetition separator."""
    row = ("COM", Repeated([["1", "TE"], ["2*", "FX"]]))
    four = syntax_of(":+.?*'", "UNOA", "4", advised=True)
    assert segments_text([row], four) == "COM+1:TE*2?*:FX'"
    with pytest.raises(ValueError, match="version 4"):
        segments_text([row], syntax_of(":+.? '", "UNOA", "3", advised=False))


def test_pydifact_reads_the_same_segments_and_takes_ours() -> None:
    """Section 6: the model is pydifact's; on valid version 3 data without groups both readers agree."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = Interchange.from_str(GOOD.decode())
        ours = to_pydifact(walk(GOOD))
        assert ours.segments == theirs.segments
        assert [m.type for m in ours.get_messages()] == ["ORDERS"]
        assert Interchange.from_segments(list(walk(GOOD))).segments == theirs.segments
        assert ours.serialize() == theirs.serialize()
        again = [(segment.tag, segment.elements) for segment in from_pydifact(theirs)]
    assert again == [(segment.tag, segment.elements) for segment in walk(GOOD)]


@pytest.mark.parametrize(
    "data",
    [
        b"UNB+UNOA:4+S+R+20250101:1200+1'UNH+1+ORDERS:D:96A:UN'COM+1:TE*2:FX'UNT+3+1'UNZ+1+1'",
        b"UNB+UNOA:3+S+R+250101:1200+1'UNG+A+B+C+250101:1200+1+UN+D:95B'UNE+0+1'UNZ+1+1'",
        b"UNB+UNOA:3+S+R+259901:1200+1'UNZ+0+1'",
        b"UNB+UNOA:3+S+R+250101:1200+1'f-x+1'UNZ+0+1'",
        b"",
    ],
    ids=["repeat", "group", "date", "tag", "nothing"],
)
def test_what_pydifact_has_no_place_for_is_refused_and_not_changed(data: bytes) -> None:
    """Repetition, groups, damaged tags: a clear error instead of another interchange."""
    with pytest.raises(NotPlain):
        to_pydifact(walk(data))


def test_occurrences_of_a_repeated_element() -> None:
    """``elements`` shows the first one; all are reachable."""
    data = b"UNB+UNOA:4+S+R+20250101:1200+1'UNH+1+ORDERS:D:96A:UN'COM+1:TE*2?*:FX'UNT+3+1'UNZ+1+1'"
    com = next(segment for segment in walk(data) if segment.tag == "COM")
    assert com.elements == [["1", "TE"]]
    assert com.occurrences(0) == [["1", "TE"], ["2*", "FX"]]
    assert com.raw == b"COM+1:TE*2?*:FX'"


HEAD, TAIL = b"UNB+UNOA:3+S+R+250101:1200+1'UNH+1+ORDERS:D:96A:UN'", b"UNT+3+1'UNZ+1+1'"
HOSTILE: dict[str, Callable[[int], bytes]] = {
    "released terminators": lambda n: b"FTX+" + b"?'" * n + b"'",
    "releases": lambda n: b"FTX+" + b"??" * n + b"'",
    "elements": lambda n: b"FTX" + b"+" * n + b"A'",
    "components": lambda n: b"FTX+" + b":" * n + b"A'",
    "one segment": lambda n: b"FTX+" + b"A" * n + b"'",
    "false ends": lambda n: b"FTX+" + b"?'UNZ" * n + b"'",
    "no data": lambda n: b"'" * n,
    "blanks": lambda n: b" " * n + b"FTX+A'",
    "false advice": lambda n: b"UNA'" * n,
    "openings": lambda n: b"UNB+UNOA:3+S+R+250101:1200+1'" * (n // 20),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_costs_no_more_than_linear_time(name: str) -> None:
    """Section 9: doubling the input doubles the time; the bound leaves room for a busy machine."""
    wide = Profile(max_segment=1 << 30)

    def cost(count: int) -> float:
        data = HEAD + HOSTILE[name](count) + TAIL
        spent = []
        for _ in range(3):
            start = time.process_time()
            read(data, wide)
            spent.append(time.process_time() - start)
        return min(spent) + 0.002

    # Eight times the data: linear is 8, quadratic 64.
    assert cost(160_000) < 20 * cost(20_000) + 0.1


def test_one_byte_chunks_are_no_trap() -> None:
    """E70: the source is filled, not re-scanned, so chunks of one byte cost what appending them costs."""
    data = GOOD * 300
    start = time.process_time()
    assert read(data[at : at + 1] for at in range(len(data))).valid
    assert time.process_time() - start < 5


def test_the_segment_cap_holds_before_anything_is_joined() -> None:
    """E67: a segment without end is reported at its place and passed over; what follows is read."""
    data = HEAD + b"FTX+" + b"A" * 3_000_000 + b"'" + TAIL
    report = read(data)
    assert [(error.code, error.tag, error.segment, error.offset) for error in report.errors] == [
        ("18", "FTX", 2, len(HEAD))
    ]


@pytest.mark.parametrize(
    "data", [GOOD, GOOD.replace(b"'", b"'\r\n").replace(b"?'\r\n", b"?'"), HEAD + b"COM+1:TE'" + TAIL]
)
def test_rows_and_segments_say_the_same(data: bytes) -> None:
    """Rows are the quick form of the same reading, split or not."""
    wanted = [(segment.offset, [segment.tag, *segment.elements]) for segment in walk(data)]
    assert list(walk(data).rows()) == wanted
    assert [(segment.offset, [segment.tag, *segment.elements]) for segment in walk(data, split=True)] == wanted
