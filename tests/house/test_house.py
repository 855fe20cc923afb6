"""The house plan, kept: which room may import which, what a start may import, and what is packaged."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from scripts.draw_house import PICTURE, ROOMS, draw, imports, sources

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
FOUNDATION = {
    *("tlbench.arguments", "tlbench.document", "tlbench.downloads", "tlbench.errors", "tlbench.files"),
    *("tlbench.array_archive", "tlbench.html_pages", "tlbench.zip_files"),
    *("tlbench.files_of_before", "tlbench.json_fields", "tlbench.json_input", "tlbench.litter", "tlbench.names"),
    *("tlbench.owner", "tlbench.owner_card", "tlbench.plugins"),
    "tlbench.statistics",
    "tlbench.toml_input",
    "tlbench.version",
    "tlbench.worker_processes",
}
WHOLE_JOBS = {"tlbench.checking", "tlbench.demo", "tlbench.verify"}  # they call every room but cli
OBSERVERS_MAY_IMPORT = (
    *("tlbench.media", "tlbench.datasets.clip", "tlbench.datasets.transcripts", "tlbench.checkpoints"),
    *("tlbench.observing", "tlbench.training.augment", "tlbench.training.expert", "tlbench.training.trainable"),
)


def test_a_room_imports_only_from_rooms_on_its_left() -> None:
    paths = sources(ROOT / "tlbench")
    assert len(paths) > 300
    for path in paths:
        check_imports_of_a_room(path)


def check_imports_of_a_room(path: Path) -> None:
    parts = path.relative_to(ROOT / "tlbench").parts
    module = "tlbench." + ".".join(parts).removesuffix(".py")
    for name in imports(path):
        assert not name.startswith("tlbench.observers"), f"{path} imports an observer by name: {name}"
        room = name.split(".")[1] if "." in name else ""
        if len(parts) > 1 and room in ROOMS:
            assert ROOMS.index(room) <= ROOMS.index(parts[0]), f"{path} imports {name}, which comes after it"
        elif len(parts) > 1 and parts[0] != "cli":
            assert name in FOUNDATION or room in ROOMS, f"{path} imports {name}, which is above its room"
        elif module in WHOLE_JOBS:
            assert room != "cli", f"{path} imports {name}; nothing imports the command line"


@pytest.mark.parametrize("module", sorted(FOUNDATION))
def test_the_ground_floor_imports_only_itself(module: str) -> None:
    path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    assert set(imports(path)) <= FOUNDATION


def test_an_observer_imports_only_media_observing_and_itself() -> None:
    paths = sources(ROOT / "observers")
    assert len(paths) > 40
    for path in paths:
        own = f"tlbench.observers.{path.relative_to(ROOT / 'observers').parts[0]}"
        for name in imports(path):
            allowed = name in FOUNDATION or name.startswith((*OBSERVERS_MAY_IMPORT, own))
            assert allowed, f"{path} imports {name}"


def test_every_package_folder_is_in_the_wheel() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["packages"]
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "tlbench").rglob("__init__.py")}
    observers = (path.parent.relative_to(ROOT) for path in (ROOT / "observers").rglob("__init__.py"))
    found |= {".".join(("tlbench", *folder.parts)) for folder in observers}
    assert set(listed) == found


def test_help_answers_without_the_heavy_libraries() -> None:
    code = (
        "import sys, tlbench.cli.main as m\n"
        "m.group.main(['--help'], standalone_mode=False)\n"
        "print(sorted(set(sys.modules) & {'torch', 'av', 'cv2', 'numpy', 'pandas', 'scipy', 'rich'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_importing_tlbench_is_light_and_its_public_names_are_there() -> None:
    code = "import sys, tlbench; print('torch' in sys.modules); print([hasattr(tlbench, n) for n in tlbench.__all__])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    light, names = done.stdout.splitlines()
    assert light == "False"
    assert "False" not in names


def test_no_catch_all_and_no_module_of_helpers() -> None:
    for path in [*sources(ROOT / "tlbench"), *sources(ROOT / "observers")]:
        assert path.stem not in ("utils", "helpers", "common", "misc"), path
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ExceptHandler):
                caught = "" if node.type is None else ast.unparse(node.type)
                assert caught not in ("", "Exception", "BaseException"), (
                    f"{path}:{node.lineno} catches {caught or 'all'}"
                )


def test_no_class_name_is_there_twice() -> None:
    """Two classes of one name are one too many for somebody who searches."""
    names: Counter[str] = Counter()
    for path in sources(ROOT / "tlbench"):
        tree = ast.parse(path.read_text("utf-8"))
        names.update(node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    assert [name for name, number in names.items() if number > 1] == []


def test_no_room_or_module_is_named_like_a_public_function() -> None:
    """``tlbench.report()`` and a module ``tlbench.report`` would be one attribute with two meanings."""
    import tlbench

    taken = {path.stem for path in (ROOT / "tlbench").glob("*") if path.is_dir() or path.suffix == ".py"}
    assert taken & set(tlbench.__all__) == set()


def test_the_picture_of_the_house_is_what_the_imports_say() -> None:
    assert PICTURE.read_text("utf-8") == draw(), "run python scripts/draw_house.py"
