"""The files around the code: one address, one version, notes for a release, and no release with placeholders."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.factories.site_factory import make_leaderboards
from tlbench.leaderboard import build as leaderboard
from tlbench.version import VERSION

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]


def script(name: str, folder: str = "scripts") -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ADDRESS, NOTES = script("project_address"), script("release_notes")
WITHOUT_TORCH, WHEEL_SIZE = script("without_torch", ".ci"), script("wheel_size", ".ci")


def test_every_file_has_the_address_and_the_contact_of_pyproject() -> None:
    place, contact = ADDRESS.address_of((ROOT / "pyproject.toml").read_text("utf-8"))
    owner, _, name = place.partition("/")
    own = {f"github.com/{place}", f"{owner}.github.io/{name}"}
    for file in ADDRESS.REPEATED_IN:
        text = (ROOT / file).read_text("utf-8")
        pages = set(re.findall(r"[\w-]+\.github\.io/[\w-]+", text))
        places = set(re.findall(rf"github\.com/[\w.-]+/{name}\b", text))
        mails = set(re.findall(r"[\w.+-]+@[\w-]+\.[\w.]*\w", text)) - {f"{name}@0.1"}
        assert pages | places <= own, file
        assert mails <= {contact}, file
        assert pages | places | mails, f"{file} repeats nothing"


def test_no_other_file_repeats_them() -> None:
    place, contact = ADDRESS.address_of((ROOT / "pyproject.toml").read_text("utf-8"))
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a checkout: git can't list its files")
    texts = [
        file for file in listed.stdout.split("\n") if file.endswith((".md", ".toml", ".yml", ".py", ".cff", ".html"))
    ]
    exempt = {*ADDRESS.REPEATED_IN, "scripts/project_address.py"}
    for file in texts:
        if file not in exempt and (ROOT / file).is_file():
            text = (ROOT / file).read_text("utf-8")
            assert f"github.com/{place}" not in text, file
            assert contact not in text, file


def test_a_new_address_is_written_everywhere_and_only_then_a_release_is_allowed(tmp_path: Path) -> None:
    for file in (*ADDRESS.REPEATED_IN, "scripts/project_address.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    run = [sys.executable, str(tmp_path / "scripts" / "project_address.py")]
    told = subprocess.check_output([*run, "someone/toolkit", "mail@example.net"], text=True)
    assert told.startswith("written: pyproject.toml, CITATION.cff, ")
    assert subprocess.check_output(run, text=True) == "someone/toolkit, mail@example.net\n"
    assert "https://someone.github.io/toolkit/docs/" in (tmp_path / "CITATION.cff").read_text("utf-8")
    subprocess.run([*run, *ADDRESS.PLACEHOLDERS], check=True, capture_output=True)
    refused = subprocess.run(run, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"pyproject.toml: {', '.join(ADDRESS.PLACEHOLDERS)} is a placeholder; ")
    wrong = subprocess.run([*run, "someone", "mail"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stderr.startswith("usage:")) == (1, True)


def test_what_is_cited_is_this_version() -> None:
    assert f"\nversion: {VERSION}\n" in (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"version = {{{VERSION}}}" in (ROOT / "docs" / "cite.md").read_text("utf-8")


def test_the_notes_of_a_release_are_its_section_of_the_changelog() -> None:
    changelog = "# Changelog\n\n## 0.2.0 (2027-01-01)\n\n### Added\n- New.\n\n## 0.1.0 (unreleased)\n\n- Old.\n"
    assert NOTES.notes(changelog, "0.2.0") == "### Added\n- New.\n"
    with pytest.raises(SystemExit, match="says unreleased"):
        NOTES.notes(changelog, "0.1.0")
    with pytest.raises(SystemExit, match=r"no section 0\.3\.0"):
        NOTES.notes(changelog, "0.3.0")
    assert f"## {VERSION}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def workflow_commands(name: str) -> list[list[str]]:
    """The words of each ``tlbench`` command of a workflow."""
    text = (ROOT / ".github" / "workflows" / f"{name}.yml").read_text("utf-8")
    return [line.split() for line in re.findall(r"tlbench (leaderboard [a-z]+(?: --[a-z]+ [\w./-]+)*)", text)]


def test_leaderboards_and_site_need_no_torch(tmp_path: Path) -> None:
    make_leaderboards(tmp_path).rename(tmp_path / "leaderboards")
    leaderboard.build(tmp_path / "leaderboards")
    commands = [*workflow_commands("leaderboard"), *workflow_commands("site")]
    assert ["leaderboard", "check"] in commands
    assert any("--site" in words for words in commands)
    code = (
        "import json, sys\nsys.modules['torch'] = None\nfrom tlbench.cli.main import group\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    try:\n        group.main(words, standalone_mode=True)\n"
        "    except SystemExit as end:\n        assert not end.code, words\n"
    )
    run = [sys.executable, "-c", code, json.dumps(commands)]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "index.html").is_file()


def test_what_these_jobs_install_is_pyproject_without_torch() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    listed = tomllib.loads(text)["project"]["dependencies"]
    left = [one for one in listed if one not in WITHOUT_TORCH.needed(text)]
    assert [one.partition(">")[0] for one in left] == ["torch"]
    for name in ("leaderboard", "site"):
        workflow = (ROOT / ".github" / "workflows" / f"{name}.yml").read_text("utf-8")
        assert "python .ci/without_torch.py" in workflow
        assert "pip install --no-deps ." in workflow
        assert "pip install .\n" not in workflow


def test_a_wheel_that_is_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="has no wheel"):
        WHEEL_SIZE.main(tmp_path)
    with open(tmp_path / "a.whl", "wb") as wheel:
        wheel.truncate(WHEEL_SIZE.MOST_BYTES - 1)
    WHEEL_SIZE.main(tmp_path)
    with open(tmp_path / "b.whl", "wb") as wheel:
        wheel.truncate(WHEEL_SIZE.MOST_BYTES)
    with pytest.raises(SystemExit, match=r"b\.whl: 65 MB or more"):
        WHEEL_SIZE.main(tmp_path)


def test_the_image_gets_all_that_an_installation_reads_and_the_torch_of_the_project() -> None:
    text = (ROOT / "Dockerfile").read_text("utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    copied = [name for line in re.findall(r"^COPY (.+) \S+$", text, re.M) for name in line.split()]
    read = [project["project"]["readme"], *project["project"]["license-files"]]
    read += project["tool"]["setuptools"]["package-dir"].values()
    assert all((ROOT / name).exists() for name in read)
    assert {name.partition("/")[0] for name in read} <= set(copied)
    (torch,) = [one for one in project["project"]["dependencies"] if one.startswith("torch")]
    assert f'"{torch}"' in text
    assert all(extra in project["project"]["optional-dependencies"] for extra in re.findall(r"\.\[(\w+)\]", text))
    ignored = (ROOT / ".dockerignore").read_text("utf-8").split()
    assert not set(ignored) & set(copied)


def test_python_dash_m_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "tlbench", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"tlbench, version {VERSION}\n"
