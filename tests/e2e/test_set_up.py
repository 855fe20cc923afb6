"""``make demo`` and ``make test`` on machines of many kinds, played by programs that only answer as a Python would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.commands import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TOOLS = ("make", "sh", "cat", "cp", "dirname", "head", "mkdir", "mv", "rm", "touch", "tr")
SUPPORTED = ("3.10", "3.11", "3.12", "3.13")
pytestmark = pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason="needs make and the usual tools of a shell")
# Answers as python does, installs nothing, and notes in $LOG which version was asked to do what.
PYTHON = """#!/bin/sh
case "$1 $2 $3" in
"-c "*) echo "{version}" ;;
"-m venv .venv") echo "{version} venv" >>"$LOG"; {venv} ;;
"-m pip --version") {pip} ;;
"-m pip install") echo "{version} $*" >>"$LOG"; [ ! -e "$STOP" ] || exit 1; cp "$0" .venv/bin/tlbench ;;
"demo  ") echo "{version} tlbench demo" >>"$LOG" ;;
"-m pytest -m") echo "{version} pytest $*" >>"$LOG" ;;
*) exit 1 ;;
esac
"""
MAKES = 'mkdir -p .venv/bin; cp "$0" .venv/bin/python'
BROKEN = "#!/bin/sh\necho 'pyenv: no such command' >&2\nexit 127\n"
TESTS = "-m pytest -m not slow -n auto --maxprocesses 4 --dist worksteal"


class Machine:
    """A clone on a machine that has a shell, make, and whatever Pythons a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.clone = folder / "a clone"
        self.bin = folder / "bin"
        self.log = folder / "log"
        self.stop = folder / "stop"  # while this is there, installing is interrupted
        self.pyenv = folder / "pyenv"
        self.bin.mkdir()
        (self.clone / "scripts").mkdir(parents=True)
        for name in ("Makefile", "pyproject.toml", "scripts/set_up.sh"):
            shutil.copy2(ROOT / name, self.clone / name)
        for name in TOOLS:
            (self.bin / name).symlink_to(str(shutil.which(name)))

    def program(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def python(self, version: str, name: str, *, venv: str = MAKES, pip: str = ":") -> None:
        """Put a Python there: ``name`` on PATH, or one of pyenv's if it is a path."""
        path = self.bin / name if "/" not in name else self.pyenv / "versions" / name
        self.program(path, PYTHON.format(version=version, venv=venv, pip=pip))

    def make(self, *words: str, path: str = "") -> subprocess.CompletedProcess[str]:
        environment = {
            **{"PATH": f"{path}{self.bin}", "LOG": str(self.log), "STOP": str(self.stop)},
            **{"PYENV_ROOT": str(self.pyenv), "HOME": str(self.clone)},
        }
        return subprocess.run(["make", *words], cwd=self.clone, env=environment, capture_output=True, text=True)

    def did(self) -> list[str]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return lines


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def set_up(version: str) -> list[str]:
    return [f"{version} venv", f"{version} -m pip install --quiet --editable .[dev]"]


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of an error, without what make adds to it."""
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.mark.parametrize(
    ("there", "chosen"),
    [
        ({"python3.10": "3.10"}, "3.10"),
        ({"python3": "3.11"}, "3.11"),
        ({"python": "3.12"}, "3.12"),
        ({"python3.10": "3.10", "python3.12": "3.12", "python3.13": "3.13", "python3": "3.11"}, "3.13"),
        ({"python3.14": "3.14", "python3": "3.14", "python3.11": "3.11"}, "3.11"),
        ({"python3": "3.9", "3.12.1/bin/python": "3.12", "3.8.18/bin/python": "3.8"}, "3.12"),
        ({"python3": "3.11", "3.10.13/bin/python": "3.10"}, "3.11"),
        ({"python3": "3.12", "python": "2.7"}, "3.12"),
        ({"3.13.0t/bin/python": "3.13t", "python3": "3.10"}, "3.10"),  # free-threaded
        ({"python3": "", "python3.12": "3.12"}, "3.12"),  # not CPython
    ],
)
def test_the_newest_supported_python_is_taken_wherever_it_is(
    machine: Machine, there: dict[str, str], chosen: str
) -> None:
    for name, version in there.items():
        machine.python(version, name)
    done = machine.make("demo")
    assert done.returncode == 0, done.stderr
    assert machine.did() == [*set_up(chosen), f"{chosen} tlbench demo"]
    assert f"Python {chosen}" in done.stderr
    assert len((done.stdout + done.stderr).splitlines()) == 2  # what is being done, and the command


def test_a_launcher_that_is_there_and_does_not_run_is_passed_over(machine: Machine, tmp_path: Path) -> None:
    shims = tmp_path / "shims"
    for name in ("python3.13", "python3.12", "python3"):
        machine.program(shims / name, BROKEN)
    machine.python("3.12", "python3.12")
    assert machine.make("demo", path=f"{shims}:").returncode == 0
    assert machine.did() == [*set_up("3.12"), "3.12 tlbench demo"]


@pytest.mark.parametrize(
    "there", [{}, {"python3": "3.9", "python": "2.7"}, {"python3.14": "3.14"}, {"python3": "3.13t"}]
)
def test_without_a_supported_python_one_line_names_the_versions(machine: Machine, there: dict[str, str]) -> None:
    for name, version in there.items():
        machine.python(version, name)
    line = said(machine.make("test"))
    assert all(version in line for version in SUPPORTED)
    assert not (machine.clone / ".venv").exists()
    assert machine.did() == []


def test_a_python_that_cannot_make_environments_is_passed_over_and_named_if_it_is_the_only_one(
    machine: Machine,
) -> None:
    machine.python("3.13", "python3.13", venv=f"{MAKES}; exit 1")
    line = said(machine.make("test"))
    assert "python3.13 can't make environments" in line
    assert "python3-venv" in line
    assert not (machine.clone / ".venv").exists()
    machine.python("3.12", "python3.12", pip="exit 1")  # makes one without pip
    said(machine.make("test"))
    machine.python("3.11", "python3.11")
    machine.did()
    assert machine.make("test").returncode == 0
    assert machine.did()[-3:] == [
        *set_up("3.11"),
        f"3.11 pytest {TESTS}",
    ]


def test_a_python_can_be_named(machine: Machine) -> None:
    machine.python("3.13", "python3.13")
    machine.python("3.10", "mine")
    machine.python("3.9", "old")
    assert "PYTHON=old is 3.9" in said(machine.make("demo", "PYTHON=old"))
    assert "PYTHON=gone is no Python" in said(machine.make("demo", "PYTHON=gone"))
    assert machine.make("demo", "PYTHON=mine").returncode == 0
    assert machine.did() == [*set_up("3.10"), "3.10 tlbench demo"]


def test_what_was_set_up_is_gone_on_from(machine: Machine) -> None:
    machine.python("3.12", "python3")
    machine.make("demo")
    machine.did()
    machine.python("3.13", "python3.13")  # a newer one comes to the machine
    assert machine.make("demo").returncode == 0
    assert machine.make("test").returncode == 0
    assert machine.did() == [
        "3.12 tlbench demo",
        f"3.12 pytest {TESTS}",
    ]
    later = (machine.clone / ".venv/.installed").stat().st_mtime + 10
    os.utime(machine.clone / "pyproject.toml", (later, later))
    assert machine.make("demo").returncode == 0
    assert machine.did() == [*set_up("3.12")[1:], "3.12 tlbench demo"]


def test_an_interrupted_installation_is_continued(machine: Machine) -> None:
    machine.python("3.12", "python3")
    machine.stop.touch()
    assert machine.make("demo").returncode != 0
    assert machine.did() == set_up("3.12")
    machine.stop.unlink()
    assert machine.make("demo").returncode == 0
    assert machine.did() == [*set_up("3.12")[1:], "3.12 tlbench demo"]


def test_an_environment_whose_python_is_gone_is_made_anew_and_another_version_is_left_alone(machine: Machine) -> None:
    machine.python("3.12", "python3")
    (machine.clone / ".venv/bin").mkdir(parents=True)
    (machine.clone / ".venv/bin/python").symlink_to("/gone/python")
    assert machine.make("demo").returncode == 0
    assert machine.did() == [*set_up("3.12"), "3.12 tlbench demo"]
    shutil.rmtree(machine.clone / ".venv")
    (machine.clone / ".venv/bin").mkdir(parents=True)
    machine.program(machine.clone / ".venv/bin/python", PYTHON.format(version="3.9", venv=":", pip=":"))
    assert ".venv is of Python 3.9" in said(machine.make("demo"))
    assert (machine.clone / ".venv/bin/python").is_file()


def test_the_versions_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = [line.rpartition(" ")[2] for line in project["classifiers"] if "Python :: 3." in line]
    script = (ROOT / "scripts/set_up.sh").read_text("utf-8")
    assert project["requires-python"] == ">=3.10,<3.14"
    assert tuple(named) == SUPPORTED
    assert f'versions="{" ".join(reversed(SUPPORTED))}"' in script
    assert f'named="{", ".join(SUPPORTED[:-1])} or {SUPPORTED[-1]}"' in script
    assert f"python: {list(SUPPORTED)}".replace("'", '"') in (ROOT / ".github/workflows/tests.yml").read_text("utf-8")
