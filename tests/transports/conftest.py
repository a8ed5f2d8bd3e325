"""Fixtures that several files of this folder use."""

from collections.abc import AsyncIterator

import pytest

from .sftp_house import House
from .sftp_talk import Talk


@pytest.fixture
async def talk() -> AsyncIterator[Talk]:
    """A client before an empty house."""
    made = Talk(House())
    yield made
    made.end()
    assert made.incidents == []
