"""Prints the dependencies of pyproject.toml but torch, one a line, for jobs that compute no network.

    python .ci/without_torch.py > needed.txt && pip install -r needed.txt && pip install --no-deps .

Leaderboards and their site are made from result files. A test runs their commands with torch blocked.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def needed(pyproject: str) -> list[str]:
    """The requirements of a pyproject.toml without torch."""
    listed = tomllib.loads(pyproject)["project"]["dependencies"]
    return [one for one in listed if re.split(r"[^\w.-]", one, maxsplit=1)[0] != "torch"]


if __name__ == "__main__":
    print("\n".join(needed((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))))
