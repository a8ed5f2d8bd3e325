"""Result codes: their form, their meaning, and how a refusal is carried.

*Strategy.* A result code is a value, ``ccccc-iiii-rrrr`` on the wire (wire reference 4.1). The meaning of every code
but 00000, the A codes and U0001 depends on the business code, so meanings are kept in one list a business, keyed
(business code, result code, item); what no list names is looked up in ``results.tsv``. A deviation found while reading
carries the code that a reply would carry, whether it ends as an error or as a mere finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final, NamedTuple

__all__ = [
    "NORMAL_END",
    "Deviation",
    "Meaning",
    "Refusal",
    "ResultCode",
    "ResultList",
    "Rule",
    "read_result_list",
    "result_block",
    "system_results",
]

MOST: Final = 5
"""Result codes in one notice: 5 x 15 = 75 bytes [client]."""


@dataclass(frozen=True, slots=True)
class ResultCode:
    """One result code; ``item`` is an item's short name or empty, ``row`` counts from 1, 0 if the item has no rows."""

    code: str
    item: str = ""
    row: int = 0

    def __str__(self) -> str:
        """The 15 characters on the wire: ``S0001-OLT -0000``, ``00000-0000-0000``."""
        return _written(self.code, self.item, self.row)


@lru_cache(maxsize=1024)  # most messages end alike
def _written(code: str, item: str, row: int) -> str:
    return f"{code:<5.5}-{item or '0000':<4.4}-{min(row, 9999):04d}"


NORMAL_END: Final = ResultCode("00000")
"""Normal end."""
_NORMAL_BLOCK: Final = str(NORMAL_END).ljust(15 * MOST)


def result_block(results: Iterable[ResultCode]) -> str:
    """The 75 characters of a notice: up to five codes, unused slots blank; normal end if there is none."""
    codes = [str(result) for result in results][:MOST]
    return "".join(codes).ljust(15 * MOST) if codes else _NORMAL_BLOCK


class Rule:
    """The rules a body is read by; a business list may name its own number for each of them."""

    MISSING: Final = "missing"
    CHARACTER: Final = "character"
    FORMAT: Final = "format"
    VALUE: Final = "value"
    LENGTH: Final = "length"


_DEFAULTS: Final[Mapping[str, str]] = {
    Rule.MISSING: "S9001",
    Rule.CHARACTER: "S9002",
    Rule.FORMAT: "S9003",
    Rule.VALUE: "S9004",
    Rule.LENGTH: "E0001",
}


class Deviation(NamedTuple):
    """Something in a message that is not as its table says.

    ``code`` is the result code that a reply names it by (or would, under ``strict``); ``item`` the short name of the
    item, or None; ``row`` counts from 1 in a repeating block, else None; ``offset`` counts bytes from 0 at the start of
    the message; ``text`` is public.
    """

    code: str
    item: str | None
    row: int | None
    offset: int
    text: str

    @property
    def result(self) -> ResultCode:
        """As it stands in a result notice."""
        return ResultCode(self.code, self.item or "", self.row or 0)


class Refusal(Exception):
    """A request that ends without any effect: ``results`` go into the notice, ``stage`` names the step, for the log."""

    def __init__(self, results: Sequence[ResultCode], stage: str = "", key: str = "") -> None:
        super().__init__(" ".join(str(result) for result in results))
        self.results = tuple(results)
        self.stage = stage
        self.key = key


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one result code of one business means, in words for a person; ``source`` is spec, client, inferred or ours.

    ``rule`` is filled where the code answers one of the reading rules (:class:`Rule`) for ``item``.
    """

    code: str
    item: str
    meaning: str
    meaning_ja: str = ""
    cause: str = ""
    remedy: str = ""
    source: str = ""
    rule: str = ""


@dataclass(frozen=True, slots=True)
class ResultList:
    """The result codes of one business: the official ones known, and by which of them a rule is answered."""

    business_code: str = ""
    meanings: tuple[Meaning, ...] = ()
    _by_rule: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def code_for(self, rule: str, item: str) -> str:
        """The number this business answers ``rule`` with for ``item``; the provisional one where none is known."""
        return self._by_rule.get((rule, item)) or self._by_rule.get((rule, "")) or _DEFAULTS[rule]

    def find(self, code: str, item: str = "") -> Meaning | None:
        """The meaning of a code, preferring the entry for ``item``; the common list where this one is silent."""
        own = [meaning for meaning in self.meanings if meaning.code == code]
        for meaning in own:
            if meaning.item == item:
                return meaning
        return own[0] if own else system_results().get(code)


def _rows(text: str) -> Iterable[dict[str, str]]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    names = lines[0].split("\t")
    for line in lines[1:]:
        cells = line.split("\t")
        yield dict(zip(names, cells + [""] * (len(names) - len(cells)), strict=False))


def read_result_list(business_code: str, text: str) -> ResultList:
    """A :class:`ResultList` from the text of ``results/<code>.tsv``.

    Columns by name: code, item, rule, meaning_ja, meaning, cause, remedy, source; missing columns are blank.
    """
    meanings = tuple(
        Meaning(
            row["code"],
            row.get("item", ""),
            row.get("meaning", ""),
            row.get("meaning_ja", ""),
            row.get("cause", ""),
            row.get("remedy", ""),
            row.get("source", ""),
            row.get("rule", ""),
        )
        for row in _rows(text)
    )
    by_rule = {(rule, m.item): m.code for m in meanings for rule in m.rule.split(",") if rule}
    return ResultList(business_code, meanings, by_rule)


@cache
def system_results() -> Mapping[str, Meaning]:
    """The codes that belong to no single business, by code (wire reference 4.3; procedures 2 and 2.1)."""
    text = files(__package__).joinpath("results.tsv").read_text(encoding="utf-8")
    return {meaning.code: meaning for meaning in read_result_list("", text).meanings}
