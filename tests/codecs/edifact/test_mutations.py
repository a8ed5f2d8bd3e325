"""The short form of the mutation run: no exception, no finding without a place, the same report for every cutting."""

import random

import pytest

from sekisho.codecs.edifact import Profile

from .mutations import check, mutant, run, seeds


def test_mutants_raise_nothing_and_every_finding_has_a_place() -> None:
    """Bytes in, a report out, whatever the bytes; the long form (1,000,000) is the program mutations.py."""
    assert run(3000) > 0


def test_random_bytes_are_refused_with_a_place() -> None:
    """Binary data is no interchange, and is told so."""
    chance = random.Random(3)
    for size in (1, 2, 9, 100, 5000):
        assert not check(chance.randbytes(size), Profile(), 7).valid


def test_the_check_of_a_mutant_can_fail() -> None:
    """A control: what is no bytes at all is the one documented exception."""
    assert mutant(random.Random(1), seeds()) == mutant(random.Random(1), seeds())
    with pytest.raises(TypeError):
        check("UNB+UNOA:3'", Profile(), 1)  # type: ignore[arg-type]
