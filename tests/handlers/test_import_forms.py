"""Whatever the tables of imports let through is answered in forms that can be written (house: inputs are hostile)."""

from datetime import timedelta
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sekisho.codecs.layout import Item, Layout
from sekisho.codecs.results import Refusal
from sekisho.handlers import HANDLERS, catalogue
from sekisho.handlers.kit import Examination, Outcome, User

from .house import House, written

SPECIALIST = User("1ANACA0A", "customs-broker", specialist=True)
CHAINS = {
    "OTA": ("OTC", "ICN"),
    "IDA": ("IDC", "ICN"),
    "SWA": ("SWC", "SIC"),
    "MWA": ("MWC", "ICN"),
    "MIC": ("MIC", "ICN"),
}
NEEDED = {"SKC": ["A00001"], "HAB": "HAWB0000001"}
"""Without these nothing is declared."""
TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12)
JAPANESE = st.text(st.sampled_from("税関御中①～ｱ髙A 1"), max_size=12)


def cell(item: Item) -> st.SearchStrategy[str]:
    """Texts that fit the item, good and bad, blank among them."""
    some = {
        "n": st.integers(-9, 10**18).map(str) | st.sampled_from(["1.5", "0", "9" * 18, "X"]),
        "date": st.sampled_from(["20261120", "20260230", "00000000"]),
        "j": JAPANESE,
    }.get(item.kind, TEXT)
    return (some | st.just("")).map(lambda text: text[: item.size // 2 if item.kind == "j" else item.size])


def bodies(layout: Layout) -> st.SearchStrategy[bytes]:
    """Bodies of a table: some items filled, a few rows."""
    names = st.sets(st.sampled_from([item.id for item in layout.items]), max_size=25)

    @st.composite
    def body(draw: st.DrawFn) -> bytes:
        values: dict[str, str | list[str]] = {}
        for name in sorted(draw(names) - {"ICN", "IC1", "LSK", "JYO", "ICC"}):
            item = layout.item(name)
            rows = min(item.repeat, 4)
            values[name] = draw(cell(item)) if item.repeat == 1 else [draw(cell(item)) for _ in range(rows)]
        needed = NEEDED | ({"CMN": ["GOODS"]} if layout.item("CMN").repeat > 1 else {})
        return layout.encode(values | {name: value for name, value in needed.items() if name in layout})

    return body()


def readable(outcome: Outcome) -> None:
    """Every output has a table that writes it, and as many lines as the table says."""
    for output in outcome.outputs:
        text = written(output)
        assert text.endswith(b"\r\n")
        assert output.code in HANDLERS or catalogue().knows_output(output.code), output.code


@pytest.mark.parametrize("code", sorted(CHAINS))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), kind=st.sampled_from(["simple", "documents", "inspection"]))
def test_any_content(code: str, data: st.DataObject, kind: Literal["simple", "documents", "inspection"]) -> None:
    """Registered, called up, declared and permitted: each reply is written, or the message is refused."""
    layout = catalogue().request(code)
    assert layout is not None
    house = House(user=SPECIALIST, system="1" if code == "MIC" else "2")
    house.records.places["1AW01"] = ("5WHSE", "SAMPLE WAREHOUSE")
    declare, key = CHAINS[code]
    house.examinations.by_code[declare] = Examination(kind, timedelta(minutes=1))
    try:
        first = house.send_body(code, data.draw(bodies(layout)))
        readable(first)
        if declare != code:
            readable(house.send(declare, **{key: first.key}))
    except Refusal:
        return
    for later in house.advance(house.now + timedelta(minutes=1)):
        readable(later)
