"""A folder as hashes, without what may differ between a run that was taken up and one that was never stopped."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def _log(path: Path) -> bytes:
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    return json.dumps([{key: line[key] for key in line if key != "frames_per_second"} for line in lines]).encode()


def _without_times(path: Path) -> bytes:
    content: dict[str, Any] = json.loads(path.read_bytes())
    for key in ("started", "finished"):
        content["provenance"].pop(key)
    return json.dumps(content).encode()


def _study(path: Path) -> bytes:
    """The videos and trials of a study, without the names of the videos and the codes."""
    shown = "task, condition, clip, sha256, seconds, truth, wanted"
    with closing(sqlite3.connect(path)) as database:
        rows = [
            database.execute(query).fetchall()
            for query in (
                "SELECT * FROM study",
                f"SELECT {shown} FROM videos ORDER BY task, condition, clip",
                f"SELECT participant, position, offered, {shown} FROM trials JOIN videos ON video = id "
                "ORDER BY participant, position",
            )
        ]
    return json.dumps(rows).encode()


def _length(path: Path) -> bytes:
    return str(path.stat().st_size).encode()


def _hashes(path: Path) -> bytes:
    """The hashes of a list of hashes and names."""
    return b"\n".join(sorted(line.partition(b"  ")[0] for line in path.read_bytes().splitlines()))


@dataclass(frozen=True)
class Differing:
    """Files that may differ.

    Attributes
    ----------
    pattern : str
        Of the path.
    why : str
    compared : callable or None
        What of the file is compared all the same; None if nothing.
    named_by_content : bool
        The file's name is random.
    """

    pattern: str
    why: str
    compared: Callable[[Path], bytes] | None
    named_by_content: bool = False


MAY_DIFFER = (
    Differing(r"run/tensorboard/events\..*", "TensorBoard begins a file at each start, named by the time", None),
    Differing(r"run/log\.jsonl", "frames_per_second is the speed of the machine", _log),
    Differing(r".*/(result|calibration)\.json", "it says when the run started and ended", _without_times),
    Differing(r".*/shards/\d+-of-\d+\.json", "it says when the shard started and ended", _without_times),
    Differing(r"study/videos/.*\.mp4", "names are random, so that participants can't guess", Path.read_bytes, True),
    Differing(r"study/videos\.sha256", "it has these names", _hashes),
    Differing(r"study/plan\.sha256", "it is of these names and of the codes", _length),
    Differing(r"study/codes\.txt", "codes are random", _length),
    Differing(r"study/study\.sqlite", "it has these names and codes", _study),
)


def tree(folder: Path) -> dict[str, str]:
    """By path below ``folder``: a hash of each file without what may differ; an empty text for each folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        rule = next((rule for rule in MAY_DIFFER if re.fullmatch(rule.pattern, name)), None)
        if path.is_dir():
            found[name] = ""
            continue
        if rule is not None and rule.compared is None:
            continue
        content = path.read_bytes() if rule is None or rule.compared is None else rule.compared(path)
        digest = hashlib.sha256(content).hexdigest()
        if rule is not None and rule.named_by_content:
            name = f"{name.rpartition('/')[0]}/{digest}"
        found[name] = digest
    return found


def difference(wanted: Mapping[str, str], found: Mapping[str, str]) -> str:
    """The first differences between two trees in words; empty if there are none."""
    lacking = [f"lacks {name}" for name in wanted if name not in found]
    more = [f"left: {name}" for name in found if name not in wanted]
    other = [f"other {name}" for name in wanted if name in found and found[name] != wanted[name]]
    return "; ".join((lacking + more + other)[:6])
