"""Every store in turn."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sekisho.mailboxes import Store, open_store

from .desk import NOW, furnish


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Each store, empty but for three boxes."""
    opened = open_store(request.param, tmp_path, lambda: NOW)
    furnish(opened)
    yield opened
    opened.close()
