"""Outputs that always fit: decisions "Text" (names in ``an`` items; cutting), and every output code that is named."""

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.codecs.layout import Item
from sekisho.handlers import HANDLERS, catalogue
from sekisho.handlers.filling import filled, fit

from .house import CARGO, House, written
from .test_bonded_registration import shown


def item(kind: str, size: int) -> Item:
    """A single item of that kind and size."""
    return Item(2, "項目", "ITM", kind, size, "", 1, "", secret=False, note="")


@pytest.mark.parametrize(
    ("kind", "size", "value", "text"),
    [
        ("an", 5, "ABCDEFG", "ABCDE"),
        ("an", 9, "東京", ""),
        ("an", 9, "A\r\nB", ""),
        ("an", 9, None, ""),
        ("an", 9, 12, "12"),
        ("j", 5, "東京都", "東京"),
        ("j", 6, "東京都", "東京都"),
        ("j", 3, "A東京", "A東"),
        ("j", 4, "A東京", "A東"),
        ("j", 4, "ｱｲｳ", "ｱｲ"),
        ("j", 8, "a\nb😀c", "a b〓c"),
        ("n", 5, 12345, "12345"),
        ("n", 5, 123456, ""),
        ("n", 5, 12.345, "12.35"),
        ("n", 5, "1234.56", "1235"),
        ("n", 5, "12E400", ""),
        ("n", 5, "NaN", ""),
        ("n", 5, "many", ""),
        ("n", 5, True, ""),
        ("n0", 4, 12, "12"),
        ("n0", 4, -1, ""),
        ("date", 8, "20260229", ""),
        ("date", 8, "20240229", "20240229"),
        ("date", 8, "2024-02-29", ""),
        ("time", 4, "2400", ""),
        ("time", 4, "2359", "2359"),
        ("flag", 1, "*", "*"),
        ("flag", 1, "Y", ""),
    ],
)
def test_fit(kind: str, size: int, value: object, text: str) -> None:
    """Texts are cut at a character of EUC-JP, numbers never; what an item cannot hold leaves it blank."""
    assert fit(item(kind, size), value) == text


anything = st.one_of(
    st.text(max_size=200),
    st.text(string.printable, max_size=200),
    st.integers(),
    st.floats(),
    st.decimals(),
    st.booleans(),
    st.dates(),
    st.none(),
)


DOCUMENTS = {"CZDLH01"}
"""Outputs whose body is a document and no row of items (管理資料: CSV)."""


@given(data=st.data())
def test_whatever_is_offered_is_written(data: st.DataObject) -> None:
    """No value of a registry or a record makes an output fail: every table the handlers name encodes it."""
    every = {n for handler in HANDLERS.values() for n in handler.outputs if not n.startswith("*")}
    names = sorted(every - DOCUMENTS)
    name = data.draw(st.sampled_from(names))
    layout = catalogue().output(name)
    assert layout is not None
    ids = [item.id for item in layout.items]
    offered = data.draw(st.dictionaries(st.sampled_from(ids), st.one_of(anything, st.lists(anything, max_size=7))))
    body = layout.encode(filled(layout, offered))
    assert body.endswith(b"\r\n")
    assert len(body) <= layout.most_bytes


def test_every_output_a_handler_names_has_a_table() -> None:
    """A handler's ``outputs`` can be written: output codes by a table, notices by the notice forms."""
    for handler in HANDLERS.values():
        for code in handler.outputs:
            assert len(code) <= 7
            assert code in DOCUMENTS or catalogue().output(code, handler.code) is not None, code


def _sample(item: Item, row: int) -> str:
    """A text that fills the item to its last byte, another one in every row."""
    if item.kind == "j":
        return "関" * (item.size // 2)
    if item.kind == "date":
        return "20261120"
    return "9" * item.size if item.kind == "n" else f"{row:03d}".rjust(item.size, "X")[-item.size :]


def _full(layout_name: str) -> dict[str, Any]:
    """Every item of a table filled to its last byte, all rows."""
    layout = catalogue().get(layout_name)
    assert layout is not None
    return {
        it.id: [_sample(it, row) for row in range(1, it.repeat + 1)] if it.repeat > 1 else _sample(it, 0)
        for it in layout.items
    }


def test_full_messages_come_back_full(house: House) -> None:
    """Every item of OLA at full size, every row, a registry with long and Japanese names: nothing is lost or fails."""
    items = _full("OLA.in") | {"KND": "9", "OLT": "", "HNO": "", "BYA": "31", "OBJ": "OTH", "CNY": "Y"}
    items |= {"BRT": "", "ARB": ""}
    house.records.places[items["DPR"]] = ("5WHSE", "倉庫" * 100)
    long: dict[str, Any] = {
        "description": "D" * 500,
        "packages": 10**9,
        "weight": 1234567.891234,
        "package_unit": "CARTON",
        "weight_unit": "KILOGRAM",
        "vessel_code": "V" * 20,
        "vessel_name": "船" * 50,
        "arrival_date": "soon",
        "place": items["DPR"],
        "containers": [f"SMPU{number:07d}" for number in range(300)],
    }
    for number in items["CG_"]:
        house.records.kept["cargo", number] = CARGO | long
    house.hours.names[items["CHC"]] = "A VERY LONG OFFICE NAME"
    outcome = house.send("OLA", **items)
    outputs = [*outcome.outputs, *house.send("OLA11", CG_=items["CG_"]).outputs]
    outputs += house.send("OLA11", OLT=outcome.key).outputs
    outputs += house.send("OLC20", OLT=outcome.key).outputs
    assert [output.code for output in outputs] == ["SAS1360", "SZOLA11", "SZOLA11", "SAS0381", "SAS0421"]
    for output in outputs:
        layout = catalogue().output(output.code)
        assert layout is not None
        assert len(written(output)) == layout.most_bytes
        record = shown(output)
        assert record.texts("CG_") == items["CG_"]
        if output is not outputs[1]:
            assert record.text("NTA") == "関" * 70
            assert record.texts("CNO") == items["CNO"]
    copy = shown(outputs[0])
    assert (copy.text("RAN"), copy.text("CNT")) == ("5", "100")
    assert (copy.text("PC_"), copy.text("GW_"), copy.text("VN_"), copy.text("CM_")) == ("", "1234567.89", "", "D" * 40)
