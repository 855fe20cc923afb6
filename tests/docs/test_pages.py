"""Pages stay true: commands parse, links lead somewhere, keys exist."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path

import click
from PIL import Image

from scripts.front_page import PIXELS, SCALE, draw, numbers_in, points, stale
from tests.docs.commands import PAGES, ROOT, tlbench_commands
from tlbench.cli.main import group
from tlbench.metrics.catalogue import all_metrics
from tlbench.metrics.sets import SET_METRICS

COMMANDS = [(page.name, line) for page in PAGES for line in tlbench_commands(page)]


def refusal(line: str) -> str:
    """What the command line's own parser says of a command; empty if it understands it."""
    words = shlex.split(line)[1:]
    command: click.Command = group
    while isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(click.Context(command), name)
        if found is None:
            return f"no command {name}"
        command = found
    try:
        command.make_context(command.name, words)
    except click.ClickException as error:
        return error.format_message()
    return ""


def test_every_command_on_a_page_is_one_tlbench_understands() -> None:
    assert len(COMMANDS) > 100
    refused = [f"{page}: {line}: {said}" for page, line in COMMANDS if (said := refusal(line))]
    assert refused == []
    assert "No such option" in refusal("tlbench score generated --datasets lrs2")
    assert "No such option" in refusal("tlbench leaderboard build --page site")
    assert refusal("tlbench scores generated") == "no command scores"


def test_links_between_pages_lead_somewhere() -> None:
    links = [(page, target) for page in PAGES for target in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8"))]
    assert len(links) > 100
    assert [
        f"{page.name} links to {target}"
        for page, target in links
        if not target.startswith("http") and not (page.parent / target).exists()
    ] == []


def test_every_column_of_a_table_has_a_heading() -> None:
    """A screen reader says the heading of the column before each cell."""
    lines = [(page, page.read_text("utf-8").splitlines()) for page in PAGES]
    headings = [
        (page.name, above)
        for page, found in lines
        for above, below in pairwise(found)
        if re.fullmatch(r"\|( *:?-+:? *\|)+", below)
    ]
    assert len(headings) > 100
    assert [found for found in headings if not all(cell.strip() for cell in found[1].strip("|").split("|"))] == []


def test_the_page_of_questions_answers_all_twelve() -> None:
    questions = (ROOT / "docs" / "faq.md").read_text("utf-8").split("\n## ")[1:]
    assert len(questions) == 12
    assert all(len(question.partition("\n")[2].split()) > 20 for question in questions)


def test_the_metrics_page_names_every_headline_metric() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    for metric in all_metrics():
        if metric.headline:
            assert f"{metric.name}/{metric.arithmetic}" in text or f"`{metric.key}`" in text, metric.key


def test_the_metrics_page_gives_every_metric_a_formula_a_range_and_its_limits() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    table = text.partition("## Formulas, ranges, limits")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:3] == "| `"]
    named = {name.partition("/")[0] for row in rows for name in re.findall(r"`([^`]+)`", row[0])}
    assert {metric.name for metric in (*all_metrics(), *SET_METRICS)} == named
    assert all(len(row) == 4 and all(row) for row in rows)


def test_the_readme_fits_one_screen_of_a_repository_page() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 80


def test_ci_runs_what_the_readme_says() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    readme = (ROOT / "README.md").read_text("utf-8")
    for name in ("demo", "test"):
        assert f"command_of {name}" in script
    for name in ("install", "demo", "test"):
        assert readme.count(f"<!-- ci: {name} -->\n```bash\n") == 1
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert '-m pytest -m "not slow" -n auto' in makefile
    assert ".[dev]" in (ROOT / "scripts" / "set_up.sh").read_text("utf-8")


def test_links_of_the_readme_work_on_a_package_index_too() -> None:
    """They are absolute, and those into the repository lead to files."""
    text = (ROOT / "README.md").read_text("utf-8")
    links = [*re.findall(r"\]\(([^)]+)\)", text), *re.findall(r'<img src="([^"]+)"', text)]
    assert len(links) > 10
    repository = re.search(r'^Repository = "(.+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.M)
    assert repository is not None
    for link in links:
        assert link.startswith("https://"), link
        if link.startswith(repository[1]):
            kind, _, path = link.removeprefix(f"{repository[1]}/").partition("/")
            assert kind in ("blob", "raw", "issues"), link
            if kind == "issues":
                template = path.rpartition("template=")[2]
                assert (ROOT / ".github" / "ISSUE_TEMPLATE" / template).is_file(), link
            else:
                assert (ROOT / path.removeprefix("main/")).is_file(), link


def test_the_picture_and_the_table_of_the_front_pages_are_those_of_the_records() -> None:
    assert stale() == [], "run: python scripts/front_page.py"
    assert len(points()) == 10


def test_the_picture_can_be_drawn_and_holds_every_system(tmp_path: Path) -> None:
    draw(tmp_path / "picture.png")
    assert numbers_in(tmp_path / "picture.png") == [list(point) for point in points()]
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.size == (PIXELS[0] * SCALE, PIXELS[1] * SCALE)
