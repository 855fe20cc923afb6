"""Refuses a wheel of 65 MB or more: ``python .ci/wheel_size.py dist``. A package index takes 100 MB."""

from __future__ import annotations

import sys
from pathlib import Path

MOST_BYTES = 65 * 10**6


def main(folder: Path) -> None:
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        sys.exit(f"{folder}: has no wheel; run python -m build")
    for wheel in wheels:
        size = wheel.stat().st_size
        print(f"{wheel.name}: {size / 1e6:.1f} MB")
        if size >= MOST_BYTES:
            sys.exit(
                f"{wheel.name}: {MOST_BYTES / 1e6:.0f} MB or more; leave a bundled network out, or make it smaller"
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
