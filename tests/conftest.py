"""What holds for every test: foreign peers are named, and nothing is left out in silence.

A test that needs a foreign program says so: ``@pytest.mark.peer("smtp-source")``. Where the program is missing, the
test is left out and the end of the run names the program and its Debian package. With ``CI=true`` it fails instead,
and so does every test that is skipped or expected to fail: CI leaves nothing out.
"""

import os
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest

_CI = os.environ.get("CI") == "true"
_LIST = Path(__file__).parents[1] / "deploy" / "debian-test-packages.txt"
# Debian puts smtp-source and postfix where only root's PATH looks.
os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def _packages() -> dict[str, str]:
    """Program -> the Debian package that brings it."""
    lines = (line.split() for line in _LIST.read_text("utf-8").splitlines() if not line.startswith("#"))
    return {program: package for package, *programs in filter(None, lines) for program in programs}


_PACKAGES = _packages()
_MISSING = sorted(program for program in _PACKAGES if shutil.which(program) is None)


def _wanted(item: pytest.Item) -> list[str]:
    programs = [str(program) for marker in item.iter_markers("peer") for program in marker.args]
    for program in programs:
        if program not in _PACKAGES:
            message = f"{item.nodeid}: the peer {program!r} is not listed in {_LIST.name}"
            raise pytest.UsageError(message)
    return programs


def pytest_report_header() -> str:
    """Which foreign programs this run can use."""
    return "peers: " + ", ".join(f"{name} (missing)" if name in _MISSING else name for name in _PACKAGES)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what wants a missing peer, except in CI."""
    lacking = {item for item in items if not set(_wanted(item)).isdisjoint(_MISSING)}
    if lacking and not _CI:
        config.hook.pytest_deselected(items=[item for item in items if item in lacking])
        items[:] = [item for item in items if item not in lacking]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """In CI a missing peer is a failure."""
    for program in _wanted(item):
        if program in _MISSING:
            pytest.fail(f"CI lacks {program} (Debian package {_PACKAGES[program]})", pytrace=False)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped or expectedly failing test is a failure."""
    report = yield
    if _CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"CI leaves nothing out: {item.nodeid} was skipped or marked xfail\n{report.longrepr}"
        vars(report).pop("wasxfail", None)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole module that is skipped."""
    report = yield
    if _CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"CI leaves nothing out: {collector.nodeid} was skipped\n{report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what was left out."""
    if _MISSING and not _CI:
        packages = sorted({_PACKAGES[program] for program in _MISSING})
        terminalreporter.write_line(
            f"left out: tests that need {', '.join(_MISSING)}; apt-get install {' '.join(packages)} to run them"
        )
