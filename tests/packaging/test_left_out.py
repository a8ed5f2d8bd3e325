"""CI leaves nothing out: a skipped, expectedly failing or peerless test is a failure there (tests/conftest.py)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SKIPS = {
    "skip": "import pytest\n\ndef test_it():\n    pytest.skip('not today')\n",
    "xfail": "import pytest\n\n@pytest.mark.xfail(strict=False)\ndef test_it():\n    assert 0\n",
    "module": "import pytest\n\npytest.skip('not today', allow_module_level=True)\n",
    "import": "import pytest\n\npytest.importorskip('no_such_module')\n",
}
PEER = (
    "import pytest\n\n@pytest.mark.peer('no-such-program')\ndef test_it():\n    pass\n\n"
    "def test_other():\n    pass\n"
)


def _run(folder: Path, text: str, *, ci: bool, workers: int = 0) -> subprocess.CompletedProcess[str]:
    """Run pytest on one test file beside a copy of our conftest and settings; ``no-such-program`` is a listed peer."""
    (folder / "tests").mkdir()
    (folder / "deploy").mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", folder / "tests")
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "deploy" / "debian-test-packages.txt").write_text("# a comment\nsome-package no-such-program\n", "utf-8")
    (folder / "tests" / "test_sample.py").write_text(text, "utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-n", str(workers)],
        cwd=folder,
        env=environment | {"CI": "true" if ci else ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("kind", SKIPS)
def test_a_test_that_is_left_out_fails_in_ci_only(tmp_path_factory: pytest.TempPathFactory, kind: str) -> None:
    """Skip, xfail, a skipped module and a missing import are failures with CI=true."""
    in_ci = _run(tmp_path_factory.mktemp("ci"), SKIPS[kind], ci=True)
    assert in_ci.returncode in {1, 2}, in_ci.stdout
    assert "CI leaves nothing out" in in_ci.stdout
    by_hand = _run(tmp_path_factory.mktemp("hand"), SKIPS[kind], ci=False)
    assert by_hand.returncode in {0, 5}, by_hand.stdout


@pytest.mark.parametrize("workers", [0, 2])
def test_a_missing_peer_is_named(tmp_path_factory: pytest.TempPathFactory, workers: int) -> None:
    """By hand its tests are left out and the run names the program and its package; in CI they fail."""
    by_hand = _run(tmp_path_factory.mktemp("hand"), PEER, ci=False, workers=workers)
    assert by_hand.returncode == 0, by_hand.stdout
    assert "left out: tests that need no-such-program; apt-get install some-package" in by_hand.stdout
    assert "1 passed" in by_hand.stdout
    in_ci = _run(tmp_path_factory.mktemp("ci"), PEER, ci=True, workers=workers)
    assert in_ci.returncode == 1, in_ci.stdout
    assert "CI lacks no-such-program (Debian package some-package)" in in_ci.stdout


def test_a_peer_that_no_package_brings_is_refused(tmp_path: Path) -> None:
    """A misspelt peer would otherwise be left out for ever."""
    result = _run(tmp_path, PEER.replace("no-such-program", "mispelt"), ci=False)
    assert result.returncode != 0
    assert "is not listed in debian-test-packages.txt" in result.stdout + result.stderr
