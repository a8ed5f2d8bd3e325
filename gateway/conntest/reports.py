"""What a run came to, in files: JUnit XML for machines, one HTML file for people.

*Strategy.* Both are made from the same results and hold nothing that changes from run to run but times and what
the centre itself numbers. The HTML file is whole in itself: no script, no style sheet, font or picture from elsewhere,
and it prints. Secret items are masked everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from sekisho.codecs.message import Message
from sekisho.codecs.mime import is_interchange
from sekisho.gateway.cli_interchange import masked_interchange
from sekisho.gateway.cli_text import visible
from sekisho.gateway.conntest.edifact import interchange_cells
from sekisho.gateway.conntest.judging import Cell, Problem, cells, header_cells, result_codes
from sekisho.gateway.conntest.runner import Result, StepResult, Verdict
from sekisho.gateway.partners import opening_of
from sekisho.handlers.tables import result_list

__all__ = ["Shown", "meaning", "messages", "shown", "write_html", "write_junit"]

_MASK = "********"


@dataclass(frozen=True, slots=True)
class Shown:
    """One message for a reader: ``way`` is sent or received, ``head`` and ``body`` the filled items with byte offsets.

    ``blanks`` counts the items left out because they are blank; ``results`` the result codes with their meaning;
    ``tolerated`` the deviations that were read anyway; ``line`` by which line it went or came, empty for two-way.
    """

    way: str
    code: str
    title: str
    kind: str
    box: str
    size: int
    head: tuple[Cell, ...]
    body: tuple[Cell, ...]
    blanks: int
    results: tuple[tuple[str, str], ...]
    tolerated: tuple[str, ...]
    marked: frozenset[tuple[str, int | None]] = frozenset()
    line: str = ""

    def is_marked(self, cell: Cell) -> bool:
        """Whether a problem names this item."""
        return (cell.id, cell.row) in self.marked


def meaning(business_code: str, result_code: str) -> str:
    """What a result code of 15 characters means for a business; empty where nothing is known."""
    code, item, _ = result_code.split("-")
    found = result_list(business_code).find(code, item.strip().replace("0000", ""))
    return (found.meaning_ja or found.meaning) if found else ""


def shown(message: Message, way: str, box: str = "", problems: Sequence[Problem] = (), *, mask: bool = True) -> Shown:
    """A message for a reader; ``problems`` are those that were found in it; ``mask`` hides secret items."""

    def masked(cell: Cell) -> Cell:
        # A broken message may hold bytes that a terminal obeys or a page cannot hold.
        return replace(cell, text=_MASK if mask and cell.secret and cell.text else visible(cell.text))

    if is_interchange(message.content):
        return _shown_interchange(message.content, way, box, problems)
    head = [masked(cell) for cell in header_cells(message) if cell.text]
    body = cells(message)
    marked = frozenset((one.item, one.row) for one in problems)
    seen = [masked(cell) for cell in body if cell.text or (cell.id, cell.row) in marked]
    header = message.header
    codes = result_codes(message) if header.direction == "out" else []
    return Shown(
        way,
        header.output_code if header.direction == "out" else header.business_code,
        message.layout.title if message.layout else "",
        header.kind if header.direction == "out" else "",
        box,
        len(message.content),
        tuple(head),
        tuple(seen),
        len(body) - len(seen),
        tuple((code, meaning(header.business_code, code)) for code in codes),
        tuple(f"byte {one.offset}: {one.text}" for one in message.findings) if way == "received" else (),
        marked,
    )


def _shown_interchange(content: bytes, way: str, box: str, problems: Sequence[Problem]) -> Shown:
    """An interchange for a reader: its segments for items. What is wrong with one that came stands in the problems."""
    opening, marked = opening_of(content), frozenset((one.item, one.row) for one in problems)
    cells = [replace(cell, text=visible(cell.text)) for cell in interchange_cells(masked_interchange(content))]
    title = f"interchange {opening.reference}"
    return Shown(way, opening.type, title, "", box, len(content), (), tuple(cells), 0, (), (), marked)


def messages(step: StepResult) -> list[Shown]:
    """The messages of a step: what was sent, or what came, masked."""
    out = [replace(shown(step.sent, "sent"), line=_line(step.line))] if step.sent is not None else []
    for arrival in step.received:
        code = arrival.code
        own = [one for one in step.problems if one.where in (code, "silence", "end") or len(step.received) == 1]
        out.append(replace(shown(arrival.message, "received", arrival.box, own), line=_line(arrival.line)))
    return out


def _line(name: str) -> str:
    """What is said of a line: two-way, the ordinary one, is not mentioned."""
    return "" if name == "two-way" else name


def write_junit(results: Sequence[Result], path: Path) -> None:
    """JUnit XML: a suite a scenario, a case a step; a step that was not run is skipped."""
    from lxml import etree  # noqa: PLC0415 - only a report needs it

    root = etree.Element("testsuites", name="sekisho connection tests")
    for result in results:
        failed = sum(step.verdict is Verdict.FAILED for step in result.steps)
        skipped = sum(step.verdict is Verdict.NOT_RUN for step in result.steps)
        suite = etree.SubElement(
            root,
            "testsuite",
            name=result.scenario.name,
            tests=str(len(result.steps)),
            failures=str(failed),
            errors="0",
            skipped=str(skipped),
            time=f"{result.seconds:.3f}",
            timestamp=f"{result.began:%Y-%m-%dT%H:%M:%S}",
        )
        for step in result.steps:
            case = etree.SubElement(
                suite,
                "testcase",
                classname=result.scenario.name,
                name=f"{step.number:02} {step.kind}: {step.title}",
                time=f"{step.seconds:.3f}",
            )
            if step.verdict is Verdict.PASSED:
                continue
            tag = "failure" if step.verdict is Verdict.FAILED else "skipped"
            text = "\n".join(map(str, step.problems))
            etree.SubElement(case, tag, message=_xml_text(str(step.problems[0]))).text = _xml_text(text)
    etree.ElementTree(root).write(str(path), encoding="utf-8", xml_declaration=True, pretty_print=True)


def _xml_text(text: str) -> str:
    """Without what XML 1.0 cannot hold: a broken reply may bring any byte."""
    return "".join(c if c in "\t\n" or " " <= c < "\ud800" or "\ue000" <= c <= "\ufffd" else "\ufffd" for c in text)


def write_html(results: Sequence[Result], path: Path) -> None:
    """The report for people, in one file."""
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - only a report needs it

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(
        files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8"), globals={"messages": messages}
    )
    path.write_text(template.render(results=results, passed=all(one.passed for one in results)), encoding="utf-8")
