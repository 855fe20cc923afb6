"""Shards at the command line: what is printed, the exit codes, and the signals of a batch system."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.factories.media_factory import write_clip
from tests.factories.warm_commands import run_command

RUN = "from tlbench.cli.main import main; main()"
WORDS = ("score", "gen", "--dataset", "folder", "--data-root", "refs", "--boxes", "boxes", "--metrics", "psnr")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    for place in ("refs", "gen", "boxes"):
        (folder / place).mkdir()
    for number, name in enumerate("abcde"):
        for place, quality in (("refs", "18"), ("gen", "34")):
            write_clip(folder / place / f"{name}.mp4", frames=4 + number, codec_options={"crf": quality})
        np.save(folder / "boxes" / f"{name}.npy", np.tile(np.array([8, 8, 56, 44]), (4 + number, 1)))
    return folder


@pytest.fixture
def desk(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def environment_of(folder: Path) -> dict[str, str]:
    return {**os.environ, "COLUMNS": "80", "TLBENCH_CACHE": str(folder / "cache")}


def start(folder: Path, *words: str, code: str = RUN) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *words]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, env=environment_of(folder)
    )


def tlbench(folder: Path, *words: str, code: str = "") -> tuple[int | None, str, str]:
    """Run the command line, or ``code`` in a Python that has imported nothing."""
    if not code:
        done = run_command(words, folder, environment_of(folder), 600)
        return done.returncode, done.stdout, done.stderr
    process = start(folder, *words, code=code)
    out, errors = process.communicate(timeout=600)
    return process.returncode, out, errors


def test_shards_are_scored_what_is_missing_is_listed_and_all_are_merged(desk: Path) -> None:
    code, out, _ = tlbench(desk, *WORDS, "--workers", "1", "--shard", "2/2", "--out", "out")
    assert (code, out.splitlines()) == (
        0,
        ["gen: shard 2/2, 2 of 2 clips scored", "when all shards are done: tlbench merge out"],
    )
    code, out, errors = tlbench(desk, "merge", "out", "--missing")
    assert (code, out.split(), errors) == (1, ["a", "c", "e"], "out/gen: 1 of 2 shards done; not started: 1\n")
    code, out, errors = tlbench(desk, "merge", "out")
    assert (code, out) == (2, "")
    assert errors.startswith("error: out/gen: shard 1 of 2 not done, so 3 of 5 clips are missing: a, c, e; score")
    tlbench(desk, *WORDS, "--workers", "1", "--shard", "1/2", "--out", "out")
    assert tlbench(desk, "merge", "out", "--missing") == (0, "", "out/gen: 2 of 2 shards done\n")
    cut = desk / "out/gen/shards/1-of-2.records.jsonl"
    cut.write_bytes(cut.read_bytes()[:-200])
    said = "out/gen: 1 of 2 shards done; files changed since, to be scored again: 1\n"
    assert tlbench(desk, "merge", "out", "--missing") == (1, "a\nc\ne\n", said)
    code, out, errors = tlbench(desk, "merge", "out")
    assert (code, out) == (2, "")
    assert errors.startswith("error: out/gen/shards/1-of-2.records.jsonl:3: the last line is incomplete")
    tlbench(desk, *WORDS, "--workers", "1", "--shard", "1/2", "--out", "out")
    assert tlbench(desk, "merge", "out", "--missing") == (0, "", "out/gen: 2 of 2 shards done\n")
    code, out, errors = tlbench(desk, "merge", "out")
    assert (code, errors) == (0, "")
    whole = tlbench(desk, *WORDS, "--workers", "1", "--out", "whole")
    assert out == whole[1]
    for name in ("records.jsonl", "config.toml"):
        merged, one = (desk / place / "gen" / name for place in ("out", "whole"))
        assert merged.read_text().replace('"out"', '"whole"') == one.read_text()


def test_a_job_script_is_printed_and_nothing_is_done(desk: Path) -> None:
    code, out, errors = tlbench(desk, *WORDS, "--print-sbatch", "64")
    assert (code, errors) == (0, "")
    assert out.startswith("#!/bin/bash\n")
    assert f'tlbench {" ".join(WORDS)} --shard "${{SLURM_ARRAY_TASK_ID}}/64"' in out
    assert not (desk / "tlbench-results").exists()


@pytest.mark.parametrize("shard", ["0/2", "3/2", "x", "auto"])
def test_a_shard_that_can_not_be_is_refused_before_anything_is_read(desk: Path, shard: str) -> None:
    code, out, errors = tlbench(desk, "score", "nowhere", "--dataset", "folder", "--shard", shard)
    assert (code, out, errors.count("\n")) == (2, "", 1)
    assert "--shard" in errors or f"no shard {shard[0]} of 2" in errors


@pytest.mark.slow  # renders speech and reads it
@pytest.mark.parametrize("controls", [(), ("--controls", "ground-truth,swapped-audio")], ids=["probe", "controls"])
def test_blind_rows_and_the_reading_of_real_clips_are_those_of_one_run(
    tmp_path: Path, controls: tuple[str, ...]
) -> None:
    pytest.importorskip("espeakng_loader", reason="speech needs the extra 'demo'")
    synth = ("data", "synth", "corpus", "--part", "sentences", "--train", "3", "--val", "0", "--test", "4")
    assert tlbench(tmp_path, *synth)[0] == 0
    data = ("--dataset", "synthetic", "--data-root", "corpus")
    assert tlbench(tmp_path, "controls", "made", *data, "--kinds", "reencoded")[0] == 0
    words = ("score", "made/reencoded", *data, "--metrics", "wer1", "--workers", "1", *controls)
    assert tlbench(tmp_path, *words, "--out", "whole")[0] == 0
    for number in ("1", "2", "3"):
        assert tlbench(tmp_path, *words, "--out", "parts", "--shard", f"{number}/3")[0] == 0
    assert tlbench(tmp_path, "merge", "parts")[0] == 0
    for path in (tmp_path / "whole").rglob("result.json"):
        one, merged = (
            json.loads((tmp_path / out / path.relative_to(tmp_path / "whole")).read_text())
            for out in ("whole", "parts")
        )
        assert one["blind"]["probe"]["source"] == ("ground-truth" if controls else "probe")
        for found in (one, merged):
            for changing in ("started", "finished", "command"):
                del found["provenance"][changing]
        assert merged == one


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--ray-address", "head:6379", "--ray-address 'head:6379' is for a Ray cluster"),
        ("--decode-workers", "3", "--decode-workers 3 are workers of a Ray cluster"),
        ("--gpus-per-worker", "0.25", "--gpus-per-worker 0.25 is for a Ray cluster"),
    ],
)
def test_what_is_said_of_a_cluster_needs_its_engine(desk: Path, option: str, value: str, said: str) -> None:
    code, out, errors = tlbench(desk, *WORDS, option, value)
    assert (code, out) == (2, "")
    assert errors == f"error: {said}; pass --engine ray too\n"


@pytest.mark.slow
@pytest.mark.ray
def test_ray_gives_the_bytes_of_one_process_and_shards_on_it_too(desk: Path) -> None:
    pytest.importorskip("ray", reason="Ray has no wheel for this Python")
    assert tlbench(desk, *WORDS, "--workers", "1", "--out", "one")[0] == 0
    ray = ("--engine", "ray", "--workers", "2")
    for cache, words in (("a", ("--out", "whole")), ("b", ("--out", "parts", "--shard", "1/2"))):
        code, _, errors = tlbench(desk, *WORDS, *ray, *words, "--cache", cache)
        assert (code, errors) == (0, "")
    tlbench(desk, *WORDS, "--workers", "1", "--out", "parts", "--shard", "2/2")
    assert tlbench(desk, "merge", "parts")[0] == 0
    one, whole, parts = (desk / place / "gen" / "records.jsonl" for place in ("one", "whole", "parts"))
    assert one.read_bytes() == whole.read_bytes() == parts.read_bytes()


SLOWLY = (  # each clip waits, so that a signal comes in the middle
    "import time\nfrom tlbench.observing.runner import ObserverRunner\nplain = ObserverRunner.observe\n"
    "def slow(self, clips):\n    print('batch', flush=True)\n    time.sleep(0.7)\n    return plain(self, clips)\n"
    f"ObserverRunner.observe = slow\n{RUN}"
)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGTERM, 143, "interrupted"), (signal.SIGUSR1, 75, "stopped as asked")],
)
def test_a_shard_that_is_stopped_goes_on_where_it_was(desk: Path, number: signal.Signals, code: int, said: str) -> None:
    words = (*WORDS, "--workers", "1", "--shard", "1/1", "--out", "out")
    process = start(desk, *words, code=SLOWLY)
    assert process.stdout is not None
    for _ in range(3):
        assert process.stdout.readline() == "batch\n"
    process.send_signal(number)
    asked = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert time.monotonic() - asked < 5
    assert said in errors
    assert "Traceback" not in errors
    assert not list((desk / "out").rglob("*.owner"))
    kept = list((desk / "cache" / "evidence").rglob("*.json"))
    assert len(kept) == (3 if number == signal.SIGUSR1 else 2)  # the batch in flight is finished, or dropped
    assert tlbench(desk, *words)[0] == 0
    assert tlbench(desk, "merge", "out")[0] == 0
