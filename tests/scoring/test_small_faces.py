"""LSE on followed faces is a headline number of the user's own videos where faces are small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.factories.observer_weights import formula_weights
from tlbench.datasets.clip import Clip
from tlbench.datasets.selection import load_dataset
from tlbench.media.video_reader import read_video
from tlbench.media.video_writer import write_video
from tlbench.metrics.catalogue import find_metrics
from tlbench.metrics.metric import Metric
from tlbench.scoring.options import MetricOptions, RunOptions
from tlbench.scoring.result import Result
from tlbench.scoring.result_file import parse_result
from tlbench.scoring.setup import Setup, prepare
from tlbench.scoring.small_faces import with_tracked_lse
from tlbench.statistics import IntervalSettings

HEAD = Path(__file__).parents[1] / "golden" / "clips" / "clip_b.mp4"  # 80 frames of 160x160
USUAL = find_metrics(["lse_c", "lse_d"])
TRACKED = ["lse_c_track/paper", "lse_d_track/paper", "lse_c_track/sound", "lse_d_track/sound"]


def write_head(path: Path, frames: int, height: int) -> Path:
    """A head that fills 160 pixels of a higher picture."""
    head = read_video(HEAD)
    wide = np.full((frames, height, height, 3), 90, np.uint8)
    for number in range(frames):
        wide[number, 20:180, 20:180] = head[min(number, len(head) - 1)]
    path.parent.mkdir(exist_ok=True)
    write_video(path, wide, 25)
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_head(tmp_path_factory.mktemp("small") / "videos" / "a.mp4", 110, 320)


def keys(metrics: tuple[Metric, ...]) -> list[str]:
    return [metric.key for metric in metrics]


def test_small_faces_add_lse_on_followed_faces_as_headline_metrics(small: Path) -> None:
    metrics, line = with_tracked_lse(USUAL, [Clip("a", reference=small)])
    assert keys(metrics) == [*keys(USUAL), *TRACKED]
    assert all(metric.headline for metric in metrics)
    assert line.startswith("LSE-C track, LSE-D track added: the median face box is 3")
    assert "(of 1 clip looked at)" in line


def test_short_clips_are_followed_for_50_frames(tmp_path: Path) -> None:
    metrics, line = with_tracked_lse(USUAL, [Clip("a", generated=write_head(tmp_path / "short.mp4", 60, 320))])
    assert [metric.name for metric in metrics[len(USUAL) :: 2]] == ["lse_c_track50", "lse_c_track50"]
    assert line.startswith("LSE-C track 50, LSE-D track 50 added")


def test_faces_that_fill_half_of_the_frame_add_nothing(tmp_path: Path) -> None:
    assert with_tracked_lse(USUAL, [Clip("a", reference=HEAD)]) == (USUAL, "")


def test_the_median_clip_decides(small: Path) -> None:
    two_of_three = [Clip("a", reference=small), Clip("b", reference=HEAD), Clip("c", reference=HEAD)]
    assert with_tracked_lse(USUAL, two_of_three)[1] == ""


def test_no_face_no_video_and_a_file_that_can_not_be_read_add_nothing(tmp_path: Path) -> None:
    write_video(tmp_path / "grey.mp4", np.full((30, 96, 96, 3), 120, np.uint8), 25)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    for clips in ([], [Clip("a")], *([Clip("a", reference=tmp_path / name)] for name in ("grey.mp4", "broken.mp4"))):
        assert with_tracked_lse(USUAL, clips) == (USUAL, "")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return formula_weights("syncnet", tmp_path_factory.mktemp("weights"))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_folder_has_them_in_its_table_and_says_why(small: Path, weights: Path) -> None:
    def setup(metrics: tuple[str, ...] | None = None) -> Setup:
        selection = load_dataset("folder", small.parent)
        return prepare(selection, MetricOptions(metrics, {"syncnet": weights}), options=RunOptions(device="cpu"))

    found = setup()
    assert set(TRACKED) < set(keys(found.metrics))
    assert any(remark.startswith("LSE-C track, LSE-D track added") for remark in found.remarks)
    assert not set(TRACKED) & set(keys(setup(("lse_c",)).metrics))


def test_a_result_keeps_what_its_videos_made_a_headline_metric(small: Path) -> None:
    from tlbench.metrics.protocol import Protocol

    metrics, _ = with_tracked_lse(USUAL, [Clip("a", reference=small)])
    protocols = {
        metric.key: Protocol.of(metric, dataset="folder", split="all", view="v@1", decoding="d") for metric in metrics
    }
    result = Result("x", "folder", "all", metrics, protocols, (), 0, dict.fromkeys(keys(metrics)), IntervalSettings())
    data = result.to_json()
    assert [metric.headline for metric in parse_result(data).metrics] == [True] * len(metrics)
    for key in TRACKED:
        del data["metrics"][key]["promoted"]
    assert sum(metric.headline for metric in parse_result(data).metrics) == len(USUAL)
