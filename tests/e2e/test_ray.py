"""The command on Ray writes the bytes of one process, whether workers do all or some decode for others."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.slow]
GOLDEN = Path(__file__).parents[1] / "golden" / "clips"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ray")
    for place in ("refs", "gen", "boxes"):
        (folder / place).mkdir()
    for clip, real, made in (("one", "clip_c", "clip_c_pert"), ("two", "clip_c_pert", "clip_c")):
        shutil.copy(GOLDEN / f"{real}.mp4", folder / "refs" / f"{clip}.mp4")
        shutil.copy(GOLDEN / f"{made}.mp4", folder / "gen" / f"{clip}.mp4")
        shutil.copy(GOLDEN / "clip_c.txt", folder / "refs" / f"{clip}.txt")
        shutil.copy(GOLDEN / "clip_c.npy", folder / "boxes" / f"{clip}.npy")
    return folder


def score(folder: Path, out: str, *words: str) -> tuple[bytes, dict[str, object]]:
    """The records of a run with a cache of its own, and its result without its times and its words."""
    given = ["score", "gen", "--dataset", "folder", "--data-root", "refs", "--boxes", "boxes", "--out", out]
    given += ["--cache", f"{out}-cache", "--weights", "syncnet-synthetic", "--weights", "avhubert-synthetic"]
    given += ["--matrix-product", "torch"]
    done = subprocess.run(
        [sys.executable, "-m", "tlbench", *given, *words],
        cwd=folder,
        env={**os.environ, "TLBENCH_CHECKPOINTS": str(folder / "checkpoints")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((folder / out / "gen" / "result.json").read_text("utf-8"))
    for differs in ("started", "finished", "command"):
        result["provenance"].pop(differs)
    return (folder / out / "gen" / "records.jsonl").read_bytes(), result


def test_records_and_result_are_those_of_one_process(desk: Path) -> None:
    pytest.importorskip("ray", reason="Ray has no wheel for this Python")
    one = score(desk, "one", "--workers", "1")
    assert b'"avhubert"' in one[0]
    assert b'"syncnet"' in one[0]
    assert score(desk, "whole", "--engine", "ray", "--workers", "1") == one
    assert score(desk, "divided", "--engine", "ray", "--workers", "1", "--decode-workers", "1") == one
