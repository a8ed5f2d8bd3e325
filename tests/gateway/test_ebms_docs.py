"""docs/ebms.md tells what is there: every key, every item of the checklist, and tests that exist."""

import re
from pathlib import Path

import msgspec
import pytest

from sekisho.gateway.ebms_partners import Action, EbmsPartner, Pull, Side

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "ebms.md").read_text("utf-8")


@pytest.mark.parametrize("struct", [EbmsPartner, Action, Pull, Side])
def test_every_key_of_a_profile_is_told(struct: type[msgspec.Struct]) -> None:
    """House 2: no key without a word about it."""
    keys = [one.encode_name for one in msgspec.structs.fields(struct)]
    assert [key for key in keys if f"`{key}`" not in TEXT] == []


def test_every_item_of_the_checklist_has_a_test_that_exists() -> None:
    """Section 14: every item 1 to 68, each with a test by name."""
    rows = re.findall(r"^\| (\d+) \| [^|]+ \| ([^|]+) \|$", TEXT, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 69))
    named = [name for _, cell in rows for name in re.findall(r"`([^`]+)`", cell)]
    assert len(named) >= 68
    for name in named:
        path, _, function = name.partition("::")
        assert re.search(rf"^(async )?def {function}\(", (ROOT / "tests" / path).read_text("utf-8"), re.MULTILINE), name
