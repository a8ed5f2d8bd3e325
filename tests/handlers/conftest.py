"""A house with one broker, its sibling IDs, two places, one office and two cargoes."""

import pytest

from .house import BROKER, CARGO, House


@pytest.fixture
def house() -> House:
    """The house every test starts from."""
    house = House()
    house.accounts.passwords |= {
        BROKER.id: ["SAMPLE01"],
        "1ANACA0B": ["SAMPLE02"],
        "1ANACS01": ["SAMPLE03"],
        "2OTHRA0A": ["SAMPLE04"],
    }
    house.accounts.house.add("1ANACS01")
    house.records.places |= {"1AW01": ("5WHSE", "Sample Warehouse"), "1AC02": ("6CYOP", "SAMPLE CY")}
    house.hours.names["1A"] = "Tokyo"
    house.records.kept["cargo", "SMPLBL0001"] = CARGO
    house.records.kept["cargo", "SMPLBL0002"] = CARGO | {"description": "SALMON", "containers": ["SMPU7654321"]}
    return house
