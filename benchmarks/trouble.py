"""Trouble of many kinds from a seed, and what tlbench makes of it: a right number, a finding, or one line.

    python -m benchmarks.trouble [--cases 300] [--seed 0] [--only KIND] [--keep FOLDER]

Prints for each kind: tried, right, finding, one line, fell short. A hang, a traceback, a crash and another number
without a finding fall short; each of these is named. Exits with 1 if anything fell short. Every command runs as a child
with limits on time and memory.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.trouble.checkpoint_cases import hostile_checkpoints
from tests.trouble.download_cases import hostile_downloads
from tests.trouble.kills import random_kills
from tests.trouble.media_cases import Verdict, damaged_media
from tests.trouble.option_cases import wrong_files
from tests.trouble.owner_cases import owners
from tests.trouble.record_cases import damaged_records
from tests.trouble.special_cases import special_files
from tests.trouble.stream_cases import lost_streams
from tests.trouble.surroundings_cases import surroundings
from tests.trouble.visit_cases import visits

KINDS: dict[str, Callable[[Path, int, int], Iterator[Verdict]]] = {
    "kills": random_kills,
    "media": damaged_media,
    "checkpoints": hostile_checkpoints,
    "special": special_files,
    "files": wrong_files,
    "owners": owners,
    "visits": visits,
    "streams": lost_streams,
    "surroundings": surroundings,
    "downloads": hostile_downloads,
    "records": damaged_records,
}
ENDS = ("right", "finding", "one line", "fell short")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=300, help="of each kind (default: 300)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=list(KINDS))
    parser.add_argument("--keep", type=Path, help="an empty folder for all files, which are kept")
    given = parser.parse_args()
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    short = []
    with tempfile.TemporaryDirectory() as temporary:
        for kind, tries in KINDS.items():
            if given.only in (None, kind):
                folder = (given.keep or Path(temporary)) / kind
                folder.mkdir(parents=True)
                for verdict in tries(folder, given.cases, given.seed):
                    counts[verdict.kind][verdict.end] += 1
                    if verdict.end == "fell short":
                        short.append(verdict)
    print(f"{'kind':<28} {'tried':>6} " + " ".join(f"{end:>10}" for end in ENDS))
    for kind, ends in sorted(counts.items()):
        print(f"{kind:<28} {ends.total():>6} " + " ".join(f"{ends[end]:>10}" for end in ENDS))
    for verdict in short:
        print(f"fell short: {verdict.kind}, {verdict.name}: {verdict.why}")
    sys.exit(1 if short else 0)


if __name__ == "__main__":
    main()
