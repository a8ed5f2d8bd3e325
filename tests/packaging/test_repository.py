"""Rules for every file of the repository, whatever it holds."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What .gitignore names: made by tools, never shipped.
MADE = {
    ".git", ".venv", "build", "dist", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis",
    ".import_linter_cache", "htmlcov", "var", "report",
}  # fmt: skip


def _files(top: Path) -> Iterator[Path]:
    for path in top.iterdir():
        made = path.name in MADE or path.name.endswith(".egg-info") or path.name.startswith(".coverage")
        if made or path.is_symlink():
            continue
        if path.is_dir():
            yield from _files(path)
        else:
            yield path


def test_no_python_file_has_more_than_500_lines() -> None:
    """Around 400 lines a file asks to become two rooms' worth of thought; above 500 it is a defect."""
    long = {
        str(path.relative_to(ROOT)): lines
        for path in _files(ROOT)
        if path.suffix == ".py" and (lines := path.read_bytes().count(b"\n")) > 500
    }
    assert long == {}


# One letter of each stands in brackets, so that this file does not break its own rule.
HOSTS = re.compile(rb"py[p]i\.org|python[h]osted\.org|(?<![\w.])/wor[k]/\w+|/op[t]/(?:pypi|wheels)")


def test_no_file_names_a_package_registry_or_a_path_of_one_machine() -> None:
    """A checkout builds against whatever index its user has configured, in whatever folder."""
    named = {str(path.relative_to(ROOT)): found for path in _files(ROOT) if (found := HOSTS.findall(path.read_bytes()))}
    assert named == {}


@pytest.mark.parametrize("name", ["runtime.txt", "test.txt"])
def test_every_requirement_is_pinned_and_hashed_and_no_index_is_written_down(name: str) -> None:
    """Only ``package==version`` with SHA-256 hashes; no option such as --index-url, no address, no local path."""
    text = (ROOT / "requirements" / name).read_text("utf-8")
    lines = [line.split(" #")[0] for line in text.replace("\\\n", " ").splitlines() if not line.startswith("#")]
    requirements = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    marker = r'(?: ; [a-z_]+ [!=<>]+ "[^"]+")?'
    shape = re.compile(rf"[a-z0-9.-]+==[A-Za-z0-9.!+]+{marker}(?:\s+--hash=sha256:[0-9a-f]{{64}})+\s*")
    assert [line for line in requirements if not shape.fullmatch(line)] == []
    assert len(requirements) > 20
    assert "://" not in text


def test_the_test_pins_hold_the_runtime_pins() -> None:
    """``make test`` after ``make demo`` changes no version that the demo ran with."""

    def pins(name: str) -> set[str]:
        return set(re.findall(r"^[a-z0-9.-]+==\S+", (ROOT / "requirements" / name).read_text("utf-8"), re.MULTILINE))

    assert pins("runtime.txt") - pins("test.txt") == set()
