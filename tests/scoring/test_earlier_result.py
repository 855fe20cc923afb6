"""Results that are there are replaced only by a run that makes every number of them again, or if that is asked for."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.factories.media_factory import write_clip
from tlbench.datasets.options import DataOptions
from tlbench.errors import TlbenchError
from tlbench.observing.face_options import DEFAULT_FACES
from tlbench.scoring.options import MetricOptions, RunOptions
from tlbench.scoring.result import Result
from tlbench.scoring.score import score, score_all
from tlbench.scoring.score_shard import score_shard
from tlbench.scoring.shard import Shard

RESULT = Path("out/gen/result.json")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    for place, quality in (("refs", 18), ("gen", 34)):
        (folder / place).mkdir()
        for name in "ab":
            write_clip(folder / place / f"{name}.mp4", frames=4, codec_options={"crf": str(quality)})
    (folder / "boxes").mkdir()
    for name in "ab":
        np.save(folder / "boxes" / f"{name}.npy", np.tile(np.array([8, 8, 56, 44]), (4, 1)))
    return folder


@pytest.fixture(autouse=True)
def desk(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two clips, scored once."""
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TLBENCH_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    pixels()
    return tmp_path


def pixels(**options: Any) -> Result:
    return score("gen", "folder", "refs", **{"metrics": "psnr", "boxes": "boxes", "out": "out", **options})


def test_the_same_run_and_one_that_measures_more_replace_it() -> None:
    assert pixels().rows()[0].value == pixels(metrics="psnr,ssim").row("psnr/paper").value
    assert '"ssim/sound"' in RESULT.read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"metrics": "ssim"}, "it has psnr/paper, which this run does not measure"),
        ({"limit": 1}, "its clips are the whole split, now limit=1"),
        ({"boxes": None}, "its psnr/paper is "),
        ({"seed": 3}, "its intervals were made with other settings"),
    ],
)
def test_another_run_does_not_unless_asked(options: dict[str, Any], said: str) -> None:
    before = RESULT.read_bytes()
    with pytest.raises(TlbenchError) as refused:
        pixels(**options)
    line = str(refused.value)
    assert line.startswith(f"{Path('out/gen')}: has the results of another run: {said}")
    assert line.endswith("choose another --out or --name, or replace them (--overwrite)")
    assert RESULT.read_bytes() == before
    pixels(**options, overwrite=True)
    assert RESULT.read_bytes() != before
    pixels(**options)


def test_another_folder_of_that_name_is_another_run(desk: Path) -> None:
    (desk / "other").mkdir()
    shutil.copytree(desk / "gen", desk / "other" / "gen")
    score("other/gen", "folder", "refs", metrics="psnr", boxes="boxes", out="out")  # the same videos
    shutil.copy(desk / "refs" / "b.mp4", desk / "other" / "gen" / "b.mp4")
    with pytest.raises(TlbenchError, match="1 video changed since, such as that of clip b; choose another --out"):
        score("other/gen", "folder", "refs", metrics="psnr", boxes="boxes", out="out")


def test_a_clip_that_was_not_scored_may_come_later(desk: Path) -> None:
    (desk / "gen" / "b.mp4").rename(desk / "b.mp4")
    assert not pixels(out="later").complete
    (desk / "b.mp4").rename(desk / "gen" / "b.mp4")
    assert pixels(out="later").complete


def test_a_result_that_can_not_be_read_is_kept() -> None:
    RESULT.write_text("{")
    with pytest.raises(TlbenchError, match=r"its result\.json can't be read"):
        pixels()
    assert RESULT.read_text() == "{"


def test_controls_are_kept_too_and_nothing_is_scored_before(desk: Path) -> None:
    score_all("gen", "folder", "refs", metrics="psnr", boxes="boxes", out="out", controls="ground-truth")
    with pytest.raises(TlbenchError, match=r"controls.ground-truth: has the results of another run") as refused:
        score_all("gen", "folder", "refs", metrics="ssim", boxes="boxes", out="out", name="b", controls="ground-truth")
    assert "--name" not in str(refused.value)
    assert not Path("out/b").exists() or not list(Path("out/b").iterdir())


def test_a_shard_of_another_run_is_refused() -> None:
    def shard(metrics: str, **options: Any) -> None:
        data = DataOptions("folder", Path("refs"), boxes=Path("boxes"))
        measured, run = MetricOptions((metrics,)), RunOptions(**options)
        score_shard([Path("gen")], data, measured, DEFAULT_FACES, run, Shard(1, 2), out=Path("out"))

    with pytest.raises(TlbenchError, match="which this run does not measure"):
        shard("ssim")
    shard("ssim", overwrite=True)
