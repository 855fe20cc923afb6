"""The commands that stand in the documentation."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def shell_lines(page: Path) -> list[str]:
    """Commands in the bash blocks of a page, without their comments; one that goes on after a backslash is one."""
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text("utf-8"), re.S)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.join(words) for line in lines if (words := shlex.split(line, comments=True))]


def tlbench_commands(page: Path) -> list[str]:
    return [line for line in shell_lines(page) if line.startswith("tlbench ")]
