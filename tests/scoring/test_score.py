"""Scoring as a Python user calls it: what is looked with, what is recorded, and what stops a run."""

from __future__ import annotations

import errno
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tlbench
from tests.factories.media_factory import write_clip
from tlbench.datasets.selection import load_dataset
from tlbench.errors import TlbenchError
from tlbench.observing.evidence import Observation
from tlbench.observing.face_options import FaceOptions
from tlbench.scoring.aggregate_folder import aggregate
from tlbench.scoring.announcement import read_announcement
from tlbench.scoring.options import MetricOptions
from tlbench.scoring.record import read_records
from tlbench.scoring.result import Result
from tlbench.scoring.score import score, score_all
from tlbench.scoring.setup import prepare


@pytest.fixture(autouse=True)
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache and no checkpoints but the test's own."""
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TLBENCH_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    for number, name in enumerate("abcd"):
        for place, quality in (("refs", 18), ("gen", 34)):
            (folder / place).mkdir(exist_ok=True)
            options = {"crf": str(quality)}
            write_clip(folder / place / f"{name}.mp4", frames=4 + number, codec_options=options)
        (folder / "boxes").mkdir(exist_ok=True)
        np.save(folder / "boxes" / f"{name}.npy", np.tile(np.array([8, 8, 56, 44]), (4 + number, 1)))
    return folder


@pytest.fixture
def desk(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def pixels(folder: str = "gen", **options: Any) -> Result:
    given = {"metrics": ["psnr", "ssim"], "boxes": Path("boxes"), "out": Path("out"), **options}
    return score(folder, "folder", "refs", **given)


def lines(system: str = "gen") -> list[str]:
    return (Path("out") / system / "records.jsonl").read_text().splitlines()


def test_a_result_holds_every_clip_in_the_selections_order(desk: Path) -> None:
    result = pixels()
    assert result.complete
    assert [clip.id for clip in result.clips] == ["a", "b", "c", "d"]
    assert [clip.info.frames for clip in result.clips] == [4, 5, 6, 7]
    assert result.row("psnr/sound").value is not None
    assert [json.loads(line)["id"] for line in lines()] == ["a", "b", "c", "d"]


def test_folders_may_be_given_as_texts(desk: Path) -> None:
    pixels(out="elsewhere")
    assert (Path("elsewhere") / "gen" / "result.json").is_file()


def test_the_public_function_is_this_one() -> None:
    assert tlbench.score is score


def test_a_part_of_the_clips_is_another_protocol(desk: Path) -> None:
    whole, part = pixels(), pixels(limit=2, overwrite=True)
    (desk / "list.txt").write_text("d\na\n")
    listed = pixels(subset=Path("list.txt"), overwrite=True)
    ids = [result.protocols["psnr/sound"].id for result in (whole, part, listed)]
    assert len(set(ids)) == 3
    assert [clip.id for clip in listed.clips] == ["a", "d"]
    assert (whole.selection, part.selection) == (None, "limit=2")


def test_given_and_detected_boxes_are_two_protocols(desk: Path) -> None:
    given, detected = pixels(), pixels(boxes=None, overwrite=True)
    assert given.protocols["psnr/sound"].boxes == "given"
    assert detected.protocols["psnr/sound"].boxes == "blazeface"


def test_what_was_done_to_a_clip_reaches_its_record(desk: Path) -> None:
    write_clip(desk / "gen" / "b.mp4", frames=6, frames_per_second=30)
    write_clip(desk / "refs" / "c.mp4", frames=12, frames_per_second=50)
    result = pixels()
    codes = {clip.id: {found.code for found in clip.findings} for clip in result.clips}
    assert "frame-rate" in codes["b"]
    assert "reference-rate" in codes["c"]
    assert not codes["a"] & {"frame-rate", "reference-rate"}
    second = list(read_records(Path("out/gen/records.jsonl")))[1]
    assert second.findings == result.by_id["b"].findings


def test_a_missing_and_a_broken_clip_are_counted_with_their_reason(desk: Path) -> None:
    (desk / "gen" / "b.mp4").unlink()
    (desk / "gen" / "c.mp4").write_bytes(b"")
    result = pixels()
    assert not result.complete
    row = result.row("psnr/sound")
    assert (row.scored, row.expected) == (2, 4)
    assert {clip.id: clip.failures["pixels"].code for clip in result.clips if clip.failures} == {
        "b": "missing",
        "c": "empty-file",
    }


def test_the_same_bytes_elsewhere_give_the_same_records_from_the_cache(
    desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlbench.scoring.announcement.SECONDS_BETWEEN", 0.0)
    cached: list[tuple[int, int]] = []

    def hear(name: str, seen: Observation | None, done: int, total: int) -> None:
        about = read_announcement(Path("out") / "gen")
        assert about is not None
        cached.append((seen.cached if seen else 0, about.from_cache))

    first = pixels(progress=hear)
    assert cached == [(0, 0)] * 4
    before = lines()
    shutil.move(desk / "gen", desk / "another name")
    again = pixels("another name", name="gen", progress=hear)
    assert cached[4:] == [(1, 1), (1, 2), (1, 3), (1, 4)]
    assert lines() == before
    assert again.rows()[0].value == first.rows()[0].value


def test_progress_hears_of_every_clip_and_of_controls_in_the_making(desk: Path) -> None:
    calls: list[tuple[str, str | None, int, int]] = []

    def hear(system: str, seen: Observation | None, done: int, total: int) -> None:
        calls.append((system, seen.clip.id if seen else None, done, total))

    score_all(
        ["gen"],
        "folder",
        "refs",
        metrics=["psnr"],
        boxes=Path("boxes"),
        controls=["static"],
        limit=2,
        out=Path("out"),
        progress=hear,
    )
    assert calls == [
        ("gen", "a", 1, 2),
        ("gen", "b", 2, 2),
        ("controls", None, 1, 2),
        ("controls", None, 2, 2),
        ("static", "a", 1, 2),
        ("static", "b", 2, 2),
    ]


def test_a_control_that_can_not_be_made_is_said_and_counted(desk: Path) -> None:
    (desk / "refs" / "b.mp4").write_text("no video")
    with pytest.warns(UserWarning, match="control static, clip b"):
        results = score_all(
            ["gen"],
            "folder",
            "refs",
            metrics=["psnr"],
            boxes=Path("boxes"),
            controls=["static", "static"],
            out=Path("out"),
        )
    assert [result.name for result in results] == ["gen", "static"]  # asked for twice is asked for once
    assert [(r.row("psnr/sound").scored, r.expected) for r in results] == [(3, 4), (3, 4)]


def test_metrics_without_their_checkpoint_are_left_out_aloud_or_refused_if_asked_for(desk: Path) -> None:
    with (
        pytest.warns(UserWarning, match="LSE-C.*left out: no checkpoint.*--weights syncnet="),
        pytest.warns(
            UserWarning, match="WER1, WER2, WER3, ACC left out: no clip has a transcript.* put CLIP.txt next to"
        ),
    ):
        result = pixels(metrics=None)
    assert {metric.observer for metric in result.metrics} == {"pixels"}
    with pytest.raises(TlbenchError, match="--weights syncnet="):
        pixels(metrics=["psnr", "lse_c"])


def test_a_preset_leaves_out_what_can_not_be_computed_here_and_says_so(desk: Path) -> None:
    with pytest.warns(UserWarning, match=r"left out: (no checkpoint|.*not installed)"):
        result = pixels(metrics=["paper-avatar"])
    assert {"psnr/sound", "ssim/sound"} <= {metric.key for metric in result.metrics}
    assert not any(metric.arithmetic == "paper" for metric in result.metrics if metric.name in ("psnr", "ssim"))
    with pytest.raises(TlbenchError, match=r"wer1/sound.* left out: no clip has the transcript or the word"):
        pixels(metrics=["reading"])
    with pytest.raises(TlbenchError, match="WER1: the checkpoint"):  # asked for by name as well
        pixels(metrics=["reading", "wer1"])


def test_a_preset_wants_no_number_of_a_set_without_real_videos_and_a_name_does(desk: Path) -> None:
    selection = load_dataset("folder", None, generated=desk / "gen")
    setup = prepare(selection, MetricOptions(("paper-avatar", "psnr"), probe=False))
    assert not setup.sets
    assert any("left out: no clip has a real video" in line for line in setup.left_out)
    with pytest.raises(TlbenchError, match="FID: folder has no real video"):
        prepare(selection, MetricOptions(("paper-avatar", "fid")))


def test_a_view_with_metrics_of_its_own_is_refused_before_anything_is_scored(desk: Path) -> None:
    with pytest.raises(TlbenchError, match="--metrics lse_c_track/paper, lse_d_track/paper, lse_c_track/sound"):
        pixels(metrics=["lse_c/sound"], views={"syncnet": "face-track"})


def test_no_detector_is_chosen_for_observers_that_need_no_boxes(desk: Path) -> None:
    selection = load_dataset("folder", desk / "refs", generated=desk / "gen")
    setup = prepare(selection, MetricOptions(("psnr",)))
    assert setup.plan.boxes.detector == "blazeface"
    with pytest.raises(TlbenchError, match="s3fd"):
        prepare(selection, MetricOptions(("psnr",)), FaceOptions("s3fd"))


@pytest.mark.parametrize("where", ["open", "write", "close"])
def test_a_disk_that_fills_up_under_the_records_is_one_line(
    desk: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            if where == "write":
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(text)

        def fileno(self) -> int:
            return 0

        def close(self) -> None:
            super().close()
            if where == "close":
                raise OSError(errno.ENOSPC, "No space left on device")

    def opened(path: Path, mode: str = "r", **rest: Any) -> Any:
        if mode == "r":
            return open(path, mode, **rest)
        if where == "open":
            raise OSError(errno.ENOSPC, "No space left on device")
        return Full()

    with monkeypatch.context() as patch:
        patch.setattr("tlbench.scoring.record.open", opened, raising=False)
        with pytest.raises(TlbenchError, match="the disk is full") as caught:
            pixels()
    assert "\n" not in str(caught.value)
    assert not Path("out/gen/result.json").exists()
    assert pixels().complete  # and the same command goes on


def test_a_result_is_made_again_from_its_records_alone(desk: Path) -> None:
    before = pixels()
    for place in ("gen", "refs", "cache"):
        shutil.rmtree(desk / place)
    again = aggregate("out/gen")
    assert [(row.metric.key, row.value, row.low, row.high) for row in again.rows()] == [
        (row.metric.key, row.value, row.low, row.high) for row in before.rows()
    ]
    assert again.to_json() == before.to_json()


def test_records_of_another_version_are_refused(desk: Path) -> None:
    pixels()
    records = Path("out/gen/records.jsonl")
    records.write_text(records.read_text().replace("tlbench.record/1", "tlbench.record/9"))
    with pytest.raises(TlbenchError, match=r"tlbench\.record/9"):
        aggregate("out/gen")


@pytest.mark.parametrize(
    ("folders", "name", "said"),
    [
        ([], None, "no folder"),
        (["gen", "refs"], "x", "can name one system"),
        (["gen", "gen/../gen"], None, "two folders are called 'gen'"),
        (["gen"], "..", "can't name a system"),
    ],
)
def test_systems_need_names_of_their_own(desk: Path, folders: list[str], name: str | None, said: str) -> None:
    with pytest.raises(TlbenchError, match=said):
        score_all(folders, "folder", "refs", name=name, metrics=["psnr"])


@pytest.mark.parametrize(
    ("detector", "metric", "boxes"),
    [
        ("haar", "psnr/paper", "haar"),
        ("haar", "psnr/sound", "haar+followed"),
        ("blazeface", "psnr/paper", "blazeface"),
        ("blazeface", "psnr/sound", "blazeface"),
    ],
)
def test_a_number_of_the_followed_face_is_not_one_of_the_best_box(
    desk: Path, detector: str, metric: str, boxes: str
) -> None:
    """Haar was there before faces were followed: what depends on that has another id since."""
    assert pixels(metrics=[metric], detector=detector, boxes=None).protocols[metric].boxes == boxes
