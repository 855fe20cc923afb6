"""The packages whose versions decide the last digits of what is observed."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("torch", "av", "opencv-python-headless", "numpy", "scipy")  # that decode and compute

LAST_DIGITS = "floats may differ in their last digits from a run on one machine (docs/precision.md)"


def package_versions() -> dict[str, str | None]:
    """The versions that are installed here, by package; None for one that is not, or that has another build's name."""
    return {name: _installed(name) for name in PACKAGES}


@cache
def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:  # another build of the same package, such as opencv-python
        return None
