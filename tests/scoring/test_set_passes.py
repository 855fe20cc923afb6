"""What a run with numbers of a set reads and loads: each file is decoded once, and each network loaded once."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from tests.factories.media_factory import write_clip
from tests.factories.observer_weights import formula_weights
from tlbench.datasets.options import DataOptions
from tlbench.media.video_reader import VideoReader
from tlbench.observing.face_options import DEFAULT_FACES
from tlbench.observing.plan import ObserverPlan
from tlbench.scoring.options import MetricOptions, RunOptions
from tlbench.scoring.result import Result
from tlbench.scoring.score import score_folders

NAMES = ("a", "b", "c")
FRAMES = (8, 9, 16)
ALL = ("psnr_frame/sound", "fid", "fvd")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    for place, quality in (("refs", 18), ("gen", 40), ("second", 30)):
        (folder / place).mkdir()
        for name, frames in zip(NAMES, FRAMES, strict=True):
            write_clip(folder / place / f"{name}.mp4", frames=frames, codec_options={"crf": str(quality)})
    for network in ("inception", "i3d"):
        formula_weights(network, folder)
    return folder


@pytest.fixture
def desk(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file was decoded."""
    counts: Counter[str] = Counter()
    decode = VideoReader._decoded

    def counted(reader: VideoReader) -> Iterator[av.VideoFrame]:
        counts[str(reader.path)] += 1
        return decode(reader)

    monkeypatch.setattr(VideoReader, "_decoded", counted)
    return counts


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each observer was loaded."""
    counts: Counter[str] = Counter()
    load = ObserverPlan.load

    def counted(plan: ObserverPlan, device: str) -> Any:
        counts[plan.name] += 1
        return load(plan, device)

    monkeypatch.setattr(ObserverPlan, "load", counted)
    return counts


def scored(
    metrics: tuple[str, ...],
    cache: str = "cache",
    generated: tuple[str, ...] = ("gen",),
    real: str | None = None,
    controls: tuple[str, ...] = (),
) -> list[Result]:
    measured = MetricOptions(
        metrics,
        weights={"inception": Path("inception"), "i3d": Path("i3d")},
        probe=False,
        real=None if real is None else Path(real),
        controls=controls,
    )
    options = RunOptions(device="cpu", cache=Path(cache), overwrite=True)
    folders = [Path(one) for one in generated]
    return score_folders(
        folders, DataOptions("folder", Path("refs")), measured, DEFAULT_FACES, options, out=Path("out")
    )


def once(*folders: str) -> dict[str, int]:
    return {str(Path(folder) / f"{name}.mp4"): 1 for folder in folders for name in NAMES}


def features_in(cache: str) -> dict[str, bytes]:
    """The cached evidence of networks, by its key."""
    found = {path.name: path.read_bytes() for path in Path(cache, "evidence").rglob("*.json")}
    return {name: entry for name, entry in found.items() if b'"observer":"pixels' not in entry}


@pytest.mark.parametrize("real", [None, "refs", "./gen/../refs"])
def test_every_file_is_decoded_once_and_every_network_loaded_once(
    desk: Path, decoded: Counter[str], loaded: Counter[str], real: str | None
) -> None:
    (result,) = scored(ALL, real=real)
    assert decoded == once("gen", "refs")
    assert loaded == {"pixels": 1, "inception": 1, "i3d": 1}
    assert [score.real for score in result.sets] == [33, 33, 1 + 1 + 2]  # windows of 8 frames


def test_a_real_video_decoded_with_its_clip_gives_the_bytes_of_one_decoded_alone(
    desk: Path, decoded: Counter[str]
) -> None:
    (together,) = scored(ALL)
    (apart,) = scored(("fid", "fvd"), cache="apart")  # nothing compares both videos
    assert together.sets == apart.sets
    assert features_in("cache") == features_in("apart")
    assert len(features_in("apart")) == 2 * (3 + 3)  # of both sides


def test_real_videos_of_no_clip_are_decoded_after_the_clips_by_the_same_networks(
    desk: Path, decoded: Counter[str], loaded: Counter[str]
) -> None:
    (result,) = scored(ALL, real="second")
    assert decoded == once("gen", "refs", "second")
    assert loaded == {"pixels": 1, "inception": 1, "i3d": 1}
    assert result.sets[0].real == sum(FRAMES)


def test_further_systems_and_controls_load_nothing_again(
    desk: Path, decoded: Counter[str], loaded: Counter[str]
) -> None:
    scored(ALL, generated=("gen", "second"), controls=("ground-truth",))
    assert loaded == {"pixels": 1, "inception": 1, "i3d": 1}
    assert {path: count for path, count in decoded.items() if path.startswith(("gen", "second"))} == once(
        "gen", "second"
    )
    assert {decoded[f"refs/{name}.mp4"] for name in NAMES} == {3}  # next to each system's, and as ground truth


def test_one_video_that_ends_or_breaks_earlier_takes_nothing_from_the_other(desk: Path) -> None:
    """A generated video that can't be read costs the real one nothing; and the other way round only what compares."""
    Path("gen/a.mp4").write_bytes(b"no video")
    Path("refs/b.mp4").write_bytes(b"no video")
    write_clip(Path("gen/c.mp4"), frames=12)
    with pytest.warns(UserWarning, match=r"1 of 3 real videos are not in the set: .*b\.mp4"):
        (result,) = scored(("psnr_frame/sound", "kid"), real="refs")
    (kid,) = result.sets
    assert kid.real == 8 + 16
    assert kid.clips == 2
    assert kid.generated == 9 + 12
