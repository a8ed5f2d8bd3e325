"""Wheel, sdist, wheel from the sdist and editable install hold every file of the rooms, and all of it imports.

setuptools leaves a forgotten package or data file out in silence, so the lists are compared with the folders.
Nothing is downloaded: builds use the setuptools beside this interpreter, installs borrow its dependencies.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("gateway", "codecs", "transports", "handlers", "mailboxes")
LIBRARY = Path(sysconfig.get_path("purelib"))
NOISE = shutil.ignore_patterns("__pycache__", "*.pyc")
# Run in the new environment with the module names as arguments.
IMPORT = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
# Alembic's environment runs only inside a migration, and __main__ is a program.
PROGRAMS = (".__main__", ".migrations.env")


def _run(*command: str | Path, cwd: Path) -> str:
    """Run away from the repository, so that only what was built or installed is found; standard output."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _room_files(top: Path) -> set[str]:
    """Every file of every room below ``top``, as room/path."""
    files = (path for room in ROOMS for path in (top / room).rglob("*") if path.is_file())
    return {path.relative_to(top).as_posix() for path in files if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what packaging reads: builds write beside their sources."""
    top = tmp_path_factory.mktemp("tree")
    for room in ROOMS:
        shutil.copytree(ROOT / room, top / room, ignore=NOISE)
    shutil.copytree(ROOT / ".links", top / ".links", symlinks=True)
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, top)
    return top


@pytest.fixture(scope="module")
def built(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The three files that can be published: wheel, sdist, and the wheel made from the sdist."""
    direct, via = tmp_path_factory.mktemp("direct"), tmp_path_factory.mktemp("via")
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", via, tree, cwd=via)
    _run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", direct, tree, cwd=direct)
    return {
        "wheel": next(direct.glob("*.whl")),
        "sdist": next(via.glob("*.tar.gz")),
        "wheel from sdist": next(via.glob("*.whl")),
    }


def _modules(top: Path) -> list[str]:
    """The names of all modules of the rooms that may be imported, read off the folders."""
    files = (Path(name).with_suffix("") for name in _room_files(top) if name.endswith(".py"))
    parts = (file.parts[:-1] if file.name == "__init__" else file.parts for file in files)
    names = (".".join(("sekisho", *part)) for part in parts)
    return sorted(name for name in names if not name.endswith(PROGRAMS))


@pytest.mark.parametrize("kind", ["wheel", "wheel from sdist"])
def test_a_wheel_holds_every_file_of_the_rooms_and_nothing_else(built: dict[str, Path], tree: Path, kind: str) -> None:
    """Modules, tables, templates, schemas and py.typed; beside them only the metadata."""
    with zipfile.ZipFile(built[kind]) as archive:
        names = set(archive.namelist())
    ours = {name for name in names if ".dist-info/" not in name}
    wanted = {f"sekisho/{name}" for name in _room_files(tree)}
    assert sorted(wanted - ours) == []
    assert sorted(ours - wanted) == []
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_sdist_holds_the_rooms_once(built: dict[str, Path], tree: Path) -> None:
    """The links that type checkers use would double every file."""
    with tarfile.open(built["sdist"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert sorted(_room_files(tree) - names) == []
    assert {"pyproject.toml", "README.md", "LICENSE"} <= names
    assert [name for name in names if name.startswith((".links", "tests/", ".ci"))] == []


def test_every_folder_with_modules_is_a_listed_package() -> None:
    """``packages`` names sub-packages one by one (pyproject.toml)."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    listed = set(settings["tool"]["setuptools"]["packages"])
    folders = {Path(name).parent for name in _room_files(ROOT) if name.endswith(".py")}
    found = {".".join(("sekisho", *folder.parts)) for folder in folders}
    assert sorted(found - listed) == []
    assert sorted(listed - found) == []
    assert [folder for folder in folders if not (ROOT / folder / "__init__.py").is_file()] == []


@pytest.fixture(scope="module", params=["wheel", "wheel from sdist", "editable"])
def installed(
    request: pytest.FixtureRequest, built: dict[str, Path], tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The scripts' folder of a new environment that holds sekisho and, from outside, its dependencies."""
    top = tmp_path_factory.mktemp("environment")
    venv.EnvBuilder(with_pip=False).create(top)
    scripts, library = top / "bin", next((top / "lib").glob("python*")) / "site-packages"
    pip = (sys.executable, "-m", "pip", "--python", scripts / "python", "--disable-pip-version-check", "install")
    if request.param == "editable":
        for part in ("setuptools", "_distutils_hack", f"setuptools-{metadata.version('setuptools')}.dist-info"):
            (library / part).symlink_to(LIBRARY / part)
        _run(*pip, "--no-index", "--no-deps", "--no-build-isolation", "--editable", tree, cwd=top)
    else:
        _run(*pip, "--no-index", "--no-deps", built[request.param], cwd=top)
    # After pip, which must not meet the sekisho of this interpreter. A bare path in a .pth file does not run the .pth
    # files found there, so the editable install of the repository stays out of sight.
    (library / "borrowed.pth").write_text(f"{LIBRARY}\n", "utf-8")
    return scripts


def test_every_module_imports_from_what_was_installed(installed: Path, tree: Path) -> None:
    """Away from the repository, with nothing of it on the path, every module is found and imports."""
    names = _modules(tree)
    assert len(names) >= len(ROOMS)
    _run(installed / "python", "-c", IMPORT, *names, cwd=installed)
    where = _run(installed / "python", "-c", "import sekisho.codecs as c; print(c.__file__)", cwd=installed).strip()
    assert Path(where).is_relative_to(installed.parent) or Path(where).is_relative_to(tree)


def test_the_command_runs_from_what_was_installed(installed: Path) -> None:
    """``sekisho codes`` reads the layout tables, so data files are found too."""
    assert "OLA11" in _run(installed / "sekisho", "codes", cwd=installed)
