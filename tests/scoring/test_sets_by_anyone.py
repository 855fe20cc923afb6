"""FID, KID and FVD with networks that run: the same numbers from one process, two workers, one shard or three."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from tests.factories.observer_weights import formula_weights
from tlbench.datasets.options import DataOptions
from tlbench.media.video_writer import write_video
from tlbench.metrics import sets
from tlbench.observing.face_options import DEFAULT_FACES
from tlbench.scoring import set_file
from tlbench.scoring.merge import merge
from tlbench.scoring.options import MetricOptions, RunOptions
from tlbench.scoring.result import Result
from tlbench.scoring.score import score_folders
from tlbench.scoring.score_shard import score_shard
from tlbench.scoring.shard import Shard

CLIPS, FRAMES = 8, 40  # 320 frames, and 40 windows of 8
ENOUGH = 40  # rows of features, in place of the 2,048 and 400 that these numbers need
DATA = DataOptions("folder", Path("refs"))
NAMES = ("fid", "kid", "fvd")


@dataclass(frozen=True)
class Made:
    """Videos, networks, and the result of one process."""

    folder: Path
    measured: MetricOptions
    alone: Result


@pytest.fixture(scope="module", autouse=True)
def few_are_enough() -> Iterator[None]:
    """So that minutes of video are not needed: how many rows there have to be is not what is tested here."""
    lowered = tuple(replace(metric, fewest=min(metric.fewest, ENOUGH)) for metric in sets.SET_METRICS)
    with pytest.MonkeyPatch.context() as patch:
        for module in (sets, set_file):
            patch.setattr(module, "SET_METRICS", lowered)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, few_are_enough: None) -> Made:
    folder = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:32, 0:48]
    for clip in range(CLIPS):
        waves = np.sin((columns + rows) / 7 + np.arange(FRAMES)[:, None, None] / rng.uniform(3, 9) + clip)
        real = np.clip(128 + 90 * waves[..., None] * rng.uniform(0.3, 1, 3), 0, 255).astype(np.uint8)
        for place, frames in (("refs", real), ("gen", real // 2 + 40)):
            (folder / place).mkdir(exist_ok=True)
            write_video(folder / place / f"{chr(97 + clip)}.mp4", frames, 25)
    weights = {name: formula_weights(name, folder) for name in ("inception", "i3d")}
    measured = MetricOptions(NAMES, weights=weights, probe=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return Made(folder, measured, scored(measured, workers=1))


def scored(measured: MetricOptions, workers: int) -> Result:
    options = RunOptions(workers, device="cpu", cache=Path(f"cache of {workers}"))
    (result,) = score_folders([Path("gen")], DATA, measured, DEFAULT_FACES, options, out=Path(f"by {workers}"))
    return result


@pytest.mark.slow
def test_two_workers_and_shards_in_any_order_give_the_numbers_of_one_process(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made.folder)
    values = {score.metric.name: score.value for score in made.alone.sets}
    assert set(values) == set(NAMES)
    assert all(value is not None and value > 0 for value in values.values())
    assert scored(made.measured, workers=2).sets == made.alone.sets
    for count, order in ((1, (1,)), (3, (3, 1, 2))):
        out = Path(f"parts of {count}")
        for number in order:
            workers = 2 if number == 3 else 1
            options = RunOptions(workers, device="cpu", cache=out / f"cache {number}")
            score_shard([Path("gen")], DATA, made.measured, DEFAULT_FACES, options, Shard(number, count), out=out)
            shutil.rmtree(out / f"cache {number}")  # as on another machine
        (merged,) = merge(out)
        assert merged.sets == made.alone.sets
        assert merged.complete
