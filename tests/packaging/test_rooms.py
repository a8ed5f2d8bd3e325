"""Who may know what: the import contracts hold, and each of them catches what it is there for."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("gateway", "codecs", "transports", "handlers", "mailboxes")


def _lint(source: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter with our contracts over the rooms below ``source``/sekisho."""
    linter = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [linter, "--no-logo", "--no-cache", "--config", ROOT / "pyproject.toml"],
        env=os.environ | {"PYTHONPATH": str(source), "COLUMNS": "200"},
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the rooms where violations may be planted."""
    top = tmp_path_factory.mktemp("rooms")
    for room in ROOMS:
        shutil.copytree(ROOT / room, top / "sekisho" / room, ignore=shutil.ignore_patterns("__pycache__"))
    return top


@pytest.mark.parametrize(
    ("room", "line", "contract"),
    [
        ("codecs", "from sekisho import mailboxes", "gateway > transports | handlers > mailboxes > codecs"),
        ("mailboxes", "import sekisho.transports", "gateway > transports | handlers > mailboxes > codecs"),
        ("transports", "import sekisho.handlers", "gateway > transports | handlers > mailboxes > codecs"),
        ("handlers", "import sekisho.transports", "gateway > transports | handlers > mailboxes > codecs"),
        ("handlers", "import sekisho.mailboxes", "handlers see records only through the Protocol"),
        ("codecs", "import asyncio", "codecs have no network"),
        ("codecs", "import logging", "codecs have no network"),
        ("mailboxes", "import socket", "handlers and mailboxes are synchronous"),
        ("handlers", "import time", "handlers reach no store, clock"),
    ],
)
def test_a_planted_import_breaks_the_contract(source: Path, room: str, line: str, contract: str) -> None:
    """Layers: gateway > transports | handlers > mailboxes > codecs; codecs and handlers are pure (ARCHITECTURE.md)."""
    planted = source / "sekisho" / room / "planted.py"
    planted.write_text(f"{line}\n", "utf-8")
    try:
        result = _lint(source)
    finally:
        planted.unlink()
    assert result.returncode == 1, result.stdout + result.stderr
    broken = [row for row in result.stdout.splitlines() if row.endswith(" BROKEN")]
    assert any(row.startswith(contract) for row in broken), result.stdout
    assert f"sekisho.{room}.planted" in result.stdout


def test_the_rooms_keep_their_contracts(source: Path) -> None:
    """The same copy without a planted import is clean, so that the planted one is what was found."""
    result = _lint(source)
    assert result.returncode == 0, result.stdout + result.stderr
