"""samples/: every request there, sent to a real gateway, brings the replies that stand beside it, byte for byte.

A case is a folder ``samples/<business code>/<case>``: ``request.txt``, ``reply-1.txt`` ... and ``case.toml``, which
says who sends it (``from``), into which box each reply comes, and which common items and items (``any``) may differ
from run to run. ``files`` names files of the folder that go along. ``before`` names cases that are sent first; such a
case, and one with ``fresh``, has a gateway of its own, so that the numbers it is given are the first ones.
"""

import tomllib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sekisho.codecs.message import read_message
from sekisho.gateway.conntest.centre import throw_away_centre
from sekisho.gateway.conntest.judging import cells, header_cells
from sekisho.gateway.conntest.runner import Target
from sekisho.gateway.inhouse import Arrival, InHouseSystem, build_mail, submit
from sekisho.handlers.tables import catalogue

SAMPLES = Path(__file__).parents[2] / "samples"
CASES = sorted(str(path.parent.relative_to(SAMPLES)) for path in SAMPLES.glob("*/*/case.toml"))
CLOCK = "2025-10-01T09:00"
"""A Wednesday in office hours; the samples' dates are around it."""

in_module_loop = pytest.mark.asyncio(loop_scope="module")


def read_case(name: str) -> dict[str, Any]:
    """The case.toml of a case."""
    return tomllib.loads((SAMPLES / name / "case.toml").read_text("utf-8"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[tuple[InHouseSystem, Target]]:
    """One gateway for all cases that leave no trace."""
    async with (
        InHouseSystem(catalogue()) as system,
        throw_away_centre(SAMPLES / "gateway.toml", system.address, clock=CLOCK) as centre,
    ):
        yield system, centre.target


async def exchange(name: str, system: InHouseSystem, target: Target) -> list[Arrival]:
    """Send a case's request; what came after it until its replies were there, and no longer than 10 s."""
    case = read_case(name)
    known = len(system.arrivals)
    files = [(file, (SAMPLES / name / file).read_bytes()) for file in case.get("files", ())]
    request = (SAMPLES / name / "request.txt").read_bytes()
    mail = build_mail(request, sender=case["from"], recipient=target.centre, files=files)
    submission = await submit(target.host, target.port, mail, sender=case["from"], recipient=target.centre)
    assert submission.accepted, submission
    await system.wait(lambda arrivals: len(arrivals) >= known + len(case["reply"]), 10)
    await system.wait(lambda arrivals: len(arrivals) > known + len(case["reply"]), 0.1)
    return system.arrivals[known:]


def masked(content: bytes, any_: Sequence[str]) -> bytes:
    """A reply with the items that may differ overwritten."""
    message = read_message(content, catalogue(), direction="out")
    out = bytearray(content)
    for cell in (*header_cells(message), *cells(message)):
        if cell.id in any_:
            end = content.find(b"\r\n", cell.offset) if cell.offset >= 400 else cell.offset + 14
            out[cell.offset : end] = b"?" * (end - cell.offset)
    return bytes(out)


def compare(name: str, case: Mapping[str, Any], arrivals: Sequence[Arrival]) -> None:
    """Every reply of the case came into its box, as it stands there, and nothing else came."""
    left = [(arrival.box, arrival.content) for arrival in arrivals]
    for reply in case["reply"]:
        expected = masked((SAMPLES / name / reply["file"]).read_bytes(), reply["any"])
        came = next((one for one in left if one[0] == reply["box"] and one[1][3:15] == expected[3:15]), None)
        assert came is not None, f"{reply['file']} ({expected[8:15]!r}) did not come; came {left}"
        assert masked(came[1], reply["any"]) == expected
        left.remove(came)
    assert not left


@in_module_loop
@pytest.mark.parametrize("name", [name for name in CASES if not {"before", "fresh"} & read_case(name).keys()])
async def test_sample(name: str, shared: tuple[InHouseSystem, Target]) -> None:
    """A sample brings the replies that stand beside it (style.md, principle 8)."""
    compare(name, read_case(name), await exchange(name, *shared))


@in_module_loop
@pytest.mark.parametrize("name", [name for name in CASES if {"before", "fresh"} & read_case(name).keys()])
async def test_sample_on_its_own(name: str) -> None:
    """The same for samples that change what others see, or that build on others."""
    case = read_case(name)
    async with (
        InHouseSystem(catalogue()) as system,
        throw_away_centre(SAMPLES / "gateway.toml", system.address, clock=CLOCK) as centre,
    ):
        for first in case.get("before", ()):
            assert len(await exchange(first, system, centre.target)) == len(read_case(first)["reply"])
        compare(name, case, await exchange(name, system, centre.target))


def test_every_business_of_this_release_has_a_sample() -> None:
    """samples/<code>/ exists for every code with a decision, and one for a code that does not exist (issue 2)."""
    from sekisho.handlers import HANDLERS

    assert {name.partition("/")[0] for name in CASES} >= {code.lower() for code in HANDLERS} | {"zzz"}
