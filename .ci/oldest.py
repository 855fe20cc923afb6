"""Prints pip constraints that pin every dependency of pyproject.toml, extras included, to its declared minimum.

Used by the weekly run with the oldest dependencies (.github/workflows/weekly.yml); needs packaging, and tomli on 3.10.
"""

from __future__ import annotations

import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def oldest(pyproject: str) -> list[str]:
    """One ``name==minimum`` a dependency, sorted; of a name that is listed more than once, the highest minimum.

    Raises
    ------
    ValueError
        If a dependency has no minimum (``>=`` or ``==``), since no run could then tell with what it works.
    """
    project = tomllib.loads(pyproject)["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    pins: dict[str, Requirement] = {}
    for line in lines:
        requirement = Requirement(line)
        minimum = [part.version for part in requirement.specifier if part.operator in (">=", "==")]
        if len(minimum) != 1:
            raise ValueError(f"pyproject.toml: {line!r} must have one minimum; write {requirement.name}>=VERSION")
        pin = Requirement(f"{requirement.name}=={minimum[0]}")
        pin.marker = requirement.marker
        pins[pin.name] = max(pins.get(pin.name, pin), pin, key=_version)
    return [str(pins[name]) for name in sorted(pins)]


def _version(pin: Requirement) -> Version:
    return Version(next(iter(pin.specifier)).version)


if __name__ == "__main__":
    sys.stdout.write("\n".join(oldest((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))) + "\n")
