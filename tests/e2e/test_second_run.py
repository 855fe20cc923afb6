"""A second run of a folder is read from the cache: without torch, without another process, to the same bytes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[1] / "golden" / "clips"
# The command in a Python of its own, which says at its end what it has imported and what became of its children.
RUN = """
import json, resource, sys
from tlbench.cli.main import main
try:
    main()
except SystemExit as end:
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(json.dumps({"torch": "torch" in sys.modules, "children": children}), file=sys.stderr)
    raise
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("second")
    for place in ("refs", "gen", "boxes"):
        (folder / place).mkdir()
    for clip, real, made in (("one", "clip_c", "clip_c_pert"), ("two", "clip_c_pert", "clip_c")):
        shutil.copy(GOLDEN / f"{real}.mp4", folder / "refs" / f"{clip}.mp4")
        shutil.copy(GOLDEN / f"{made}.mp4", folder / "gen" / f"{clip}.mp4")
        shutil.copy(GOLDEN / "clip_c.txt", folder / "refs" / f"{clip}.txt")
        shutil.copy(GOLDEN / "clip_c.npy", folder / "boxes" / f"{clip}.npy")
    return folder


def score(folder: Path, out: str, workers: int) -> dict[str, object]:
    """Score with networks that look, read and listen; what the run did in its process."""
    words = ["score", "gen", "--dataset", "folder", "--data-root", "refs", "--cache", "cache", "--out", out]
    words += ["--boxes", "boxes"]
    words += ["--weights", "syncnet-synthetic", "--weights", "avhubert-synthetic", "--device", "auto"]
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words, "--workers", str(workers)],
        cwd=folder,
        env={**os.environ, "TLBENCH_CHECKPOINTS": str(folder / "checkpoints")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    did: dict[str, object] = json.loads(done.stderr.splitlines()[-1])
    return did


def result(folder: Path, out: str) -> dict[str, object]:
    """The result without the times of the run and the words of its command."""
    data = json.loads((folder / out / "gen" / "result.json").read_text("utf-8"))
    for differs in ("started", "finished", "command"):
        data["provenance"].pop(differs)
    return dict(data)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere torch is asked whether there is a GPU")
def test_a_second_run_needs_no_torch_and_no_process(desk: Path) -> None:
    assert score(desk, "first", workers=1)["torch"] is True
    here = score(desk, "second", workers=2)
    if any(Path("/dev", name).exists() for name in ("nvidiactl", "dxg", "kfd")):
        here["torch"] = False  # it was asked about the GPU
    assert here == {"torch": False, "children": 0}
    first, second = (desk / out / "gen" / "records.jsonl" for out in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    assert result(desk, "first") == result(desk, "second")
