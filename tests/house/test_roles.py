"""Where a page or a docstring sends its reader, there is something: roles, modules and files are looked up."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from importlib.util import resolve_name
from pathlib import Path

from scripts.draw_house import ROOMS, ROOT, sources

ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`~?([\w.]+)`")
DOTTED = re.compile(r"`((?:tlbench|observers)(?:\.\w+)+)`")
ARCHITECTURE = ROOT / "docs" / "architecture.md"
ROOM_ROW = re.compile(r"\| `(\w+)` \| [^|]* \| [^|]* \| ([^|]*) \|")
MODULES = [*sources(ROOT / "tlbench"), *sources(ROOT / "observers")]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def exists(name: str) -> bool:
    """Whether a dotted name leads to a module, or to something in one. Fields without a default count."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:-1]:
            found = getattr(found, part, None)
        last = parts[-1]
        return length == len(parts) or hasattr(found, last) or last in getattr(found, "__annotations__", {})
    return False


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("tlbench", *parts) if parts[0] == "observers" else parts).removesuffix(".__init__")


def docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """Each docstring with the dotted name of the module, class or function that it is of."""

    def inside(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield name, ast.get_docstring(node) or ""
        for child in ast.iter_child_nodes(node):
            named = isinstance(child, ast.ClassDef | ast.FunctionDef)
            yield from inside(child, f"{name}.{child.name}" if named else name)

    return inside(ast.parse(path.read_text("utf-8")), module_name(path))


def meant(role: str, where: str, package: str) -> list[str]:
    """What a role can mean: a full name, one relative to the package, or one of the module or the class."""
    if role.startswith("."):
        return [resolve_name(role, package)]
    parts = where.split(".")
    return [role, *(".".join([*parts[:length], role]) for length in range(len(parts), 1, -1))]


def missing_roles(path: Path) -> list[str]:
    package = module_name(path.parent / "__init__.py")
    return [
        f"{where}: {role}"
        for where, text in docstrings(path)
        for role in ROLE.findall(text)
        if not any(exists(name) for name in meant(role, where, package))
    ]


def test_a_role_leads_to_something() -> None:
    assert len(MODULES) > 350
    assert [role for path in MODULES for role in missing_roles(path)] == []


def test_a_dotted_name_on_a_page_leads_to_something() -> None:
    named = [(page.name, name) for page in PAGES for name in DOTTED.findall(page.read_text("utf-8"))]
    assert len(named) > 3
    assert [one for one in named if not exists(one[1])] == []


def test_a_name_that_is_gone_is_noticed() -> None:
    assert exists("tlbench.datasets.selection.load_dataset")
    assert exists("tlbench.scoring.result.Result.provenance")
    assert not exists("tlbench.datasets.dataset.load_dataset")
    assert not exists("tlbench.gone.load_dataset")
    assert not exists("tlbench.scoring.result.Result.gone")


def test_the_architecture_names_files_that_are_there() -> None:
    text = ARCHITECTURE.read_text("utf-8")
    named = set(re.findall(r"\b(?:\w+/)+\w+\.py\b", text)) - {"scripts/draw_house.py"}
    assert len(named) > 5
    places = {name: ROOT if name.startswith("observers/") else ROOT / "tlbench" for name in named}
    assert [name for name, place in sorted(places.items()) if not (place / name).is_file()] == []


def test_a_rooms_page_and_its_own_docstring_begin_with_the_same_files() -> None:
    rows = dict(ROOM_ROW.findall(ARCHITECTURE.read_text("utf-8")))
    assert [room for room in rows if room in ROOMS] == list(ROOMS)
    for room in ROOMS:
        told = ast.get_docstring(ast.parse((ROOT / "tlbench" / room / "__init__.py").read_text("utf-8"))) or ""
        for file in re.findall(r"`(\w+)\.py`", rows[room]):
            assert (ROOT / "tlbench" / room / f"{file}.py").is_file(), f"{room}/{file}.py"
            assert f"`{file}.py`" in told or f"tlbench.{room}.{file}" in told, f"{room}: {file}.py"
