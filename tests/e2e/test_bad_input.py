"""Whatever lies in the folder, a run ends with a table, a reason for each clip that is not in it, and no traceback."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from tests.factories.media_factory import tone, write_clip
from tests.golden.formula import fill
from tlbench.cli.main import main
from tlbench.observers.syncnet.model import SyncNetModel


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def tlbench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Outcome]:
    """Runs the command line in this process, in an empty folder, as a shell would."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TLBENCH_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("COLUMNS", "120")

    def call(*words: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["tlbench", *map(str, words)])
        with warnings.catch_warnings():
            warnings.simplefilter("default")  # as outside of tests: the command line prints them
            with pytest.raises(SystemExit) as ended:
                main()
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return Outcome(int(ended.value.code or 0), printed.out, printed.err)

    return call


def good(path: Path, frames: int = 8, *, sound: bool = True, **options: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = tone(frames / 25) if sound else None
    return write_clip(path, frames=frames, audio_codec="aac" if sound else None, samples=samples, **options)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Two good clips, references and generated, and a box for each frame: no detector runs in these tests."""
    for name, frames in (("a", 8), ("b", 10)):  # equal bytes would be one entry of the cache
        good(tmp_path / "refs" / f"{name}.mp4", frames)
        good(tmp_path / "gen" / f"{name}.mp4", frames)
        box(tmp_path, name, frames)
    return tmp_path


def box(folder: Path, name: str, frames: int = 10) -> None:
    (folder / "boxes").mkdir(exist_ok=True)
    np.save(folder / "boxes" / f"{name}.npy", np.tile(np.array([8, 8, 56, 44]), (frames, 1)))


SCORE = ("score", "gen", "--dataset", "folder", "--data-root", "refs", "--boxes", "boxes", "--workers", "1")


def reasons(folder: Path, name: str = "gen") -> dict[str, dict[str, list[str]]]:
    data = json.loads((folder / "tlbench-results" / name / "result.json").read_text("utf-8"))["clips"]
    return {data["id"][int(index)]: failures for index, failures in data["failures"].items()}


def test_a_good_folder_scores_completely(tlbench: Callable[..., Outcome], clips: Path) -> None:
    done = tlbench(*SCORE)
    assert done.code == 0, done.err
    assert "2 of 2" in done.out


def empty_file(path: Path) -> None:
    path.write_bytes(b"")


def text_file(path: Path) -> None:
    path.write_text("not a video at all")


def cut_file(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:900])


def symlink_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (empty_file, "empty-file"),
        (text_file, "unreadable"),
        (cut_file, "truncated"),
        (symlink_loop, "unreadable"),
        (Path.unlink, "missing"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_broken_video_is_a_record_with_a_reason(
    tlbench: Callable[..., Outcome], clips: Path, damage: Callable[[Path], None], code: str
) -> None:
    damage(clips / "gen" / "b.mp4")
    done = tlbench(*SCORE)
    assert done.code == 1
    assert "1 of 2" in done.out
    assert done.err.count("not scored: clip b:") + done.err.count("not scored: clip b: ") >= 1
    assert [failure[0] for failure in reasons(clips)["b"].values()] == [code]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_video_one_may_not_read_is_a_record_with_a_reason(tlbench: Callable[..., Outcome], clips: Path) -> None:
    (clips / "gen" / "b.mp4").chmod(0)
    assert tlbench(*SCORE).code == 1
    assert reasons(clips)["b"]["pixels"][0] == "unreadable"


def test_a_broken_reference_is_told_apart_from_a_broken_generated_video(
    tlbench: Callable[..., Outcome], clips: Path
) -> None:
    text_file(clips / "refs" / "b.mp4")
    done = tlbench(*SCORE)
    assert done.code == 1
    assert "refs/b.mp4" in done.err


@pytest.mark.slow
def test_one_frame_a_huge_frame_and_names_of_any_kind_are_scored(tlbench: Callable[..., Outcome], clips: Path) -> None:
    odd = 'sp ace\'s "quoted" [bold] ünïcode'
    for name, options in {"one": {"frames": 1}, odd: {}, "huge": {"frames": 2, "width": 3840, "height": 2160}}.items():
        good(clips / "refs" / f"{name}.mp4", **options)
        good(clips / "gen" / f"{name}.mp4", **options)
        box(clips, name)
    done = tlbench(*SCORE)
    assert done.code == 0, done.err
    assert "5 of 5" in done.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("score", "nowhere", "--dataset", "folder", "--data-root", "refs"), "nowhere"),
        (("score", "empty", "--dataset", "folder", "--data-root", "refs"), "empty"),
        (("score", "gen", "--dataset", "folder", "--data-root", "elsewhere"), "elsewhere"),
        (("score", "gen", "--dataset", "lrs2", "--data-root", "refs"), "lrs2"),
        (("score", "gen", "--dataset", "lsr2", "--data-root", "refs"), "did you mean 'lrs2'"),
        (("score", "gen", "--dataset", "folder", "--data-root", "refs", "--metrics", "pnsr"), "did you mean 'psnr'"),
        (("score", "gen", "--dataset", "folder", "--data-root", "refs", "--metrics", "lse_c"), "--weights syncnet="),
        (("score", "gen", "--dataset", "folder", "--data-root", "refs", "--weights", "sincnet=x"), "did you mean"),
        (("score", "gen", "--dataset", "folder", "--data-root", "refs", "--controls", "frozen"), "no control 'frozen'"),
        (("score", "gen", "gen", "--dataset", "folder", "--data-root", "refs"), "two folders are called 'gen'"),
        (("score", "gen", "--dataset", "folder", "--data-root", "refs", "--detector", "s3fd"), "--weights s3fd="),
        (("table", "refs"), "result.json"),
        (("compare", "refs", "gen"), "result.json"),
        (("aggregate", "refs"), "result.json"),
        (("nothing",), "No such command"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else value,
)
def test_what_can_not_be_done_is_one_line_with_the_way_out(
    tlbench: Callable[..., Outcome], clips: Path, words: tuple[str, ...], said: str
) -> None:
    (clips / "empty").mkdir()
    done = tlbench(*words)
    assert done.code == 2
    assert done.out == ""
    assert said in done.err
    errors = [line for line in done.err.splitlines() if line.lower().startswith("error")]
    assert len(errors) == 1


def syncnet_state() -> dict[str, torch.Tensor]:
    state = SyncNetModel().state_dict()
    fill(state, 0)
    return state


def test_without_sound_pixels_are_scored_and_lse_says_why_not(tlbench: Callable[..., Outcome], clips: Path) -> None:
    torch.save(syncnet_state(), clips / "s.model")
    good(clips / "gen" / "b.mp4", sound=False)
    done = tlbench(*SCORE, "--weights", "syncnet=s.model")
    assert done.code == 1
    assert reasons(clips)["b"] == {"syncnet": ["no-audio", reasons(clips)["b"]["syncnet"][1]]}
    data = json.loads((clips / "tlbench-results" / "gen" / "result.json").read_text("utf-8"))
    assert data["metrics"]["psnr/paper"]["scored"] == 2
    assert data["metrics"]["lse_c/paper"]["scored"] == 1


class Evil:
    """A pickle that would run a program when it is read."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch pwned",)


def web_page(path: Path) -> None:
    path.write_text("<!DOCTYPE html><html>please sign in</html>")


def another_model(path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(3)}, path)


def pickled_code(path: Path) -> None:
    torch.save({"x": Evil()}, path)


def plain_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"x": Evil()}))


def cut_checkpoint(path: Path) -> None:
    torch.save(syncnet_state(), path)
    path.write_bytes(path.read_bytes()[:50_000])


@pytest.mark.parametrize("make", [web_page, another_model, pickled_code, plain_pickle, cut_checkpoint])
def test_a_checkpoint_that_is_none_is_one_line_and_runs_nothing(
    tlbench: Callable[..., Outcome], clips: Path, make: Callable[[Path], None]
) -> None:
    make(clips / "s.model")
    done = tlbench(*SCORE, "--weights", "syncnet=s.model")
    assert done.code == 2
    assert "s.model" in done.err.splitlines()[-1]
    assert not (clips / "pwned").exists()


def test_a_full_disk_is_one_line_and_what_was_done_is_kept(
    tlbench: Callable[..., Outcome], clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, left = os.replace, [3]  # what is running, findings and evidence of the first clip

    def full(source: object, target: object) -> None:
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        left[0] -= 1
        replace(source, target)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "replace", full)
    done = tlbench(*SCORE)
    assert done.code == 2
    assert "disk is full" in done.err
    assert not list(clips.rglob("*.tmp"))
    monkeypatch.setattr(os, "replace", replace)
    again = tlbench(*SCORE)
    assert again.code == 0, again.err
    assert "1 of 2 clips came from the cache" in again.err


def test_a_damaged_cache_entry_is_said_and_made_again(tlbench: Callable[..., Outcome], clips: Path) -> None:
    first = tlbench(*SCORE)
    entries = sorted((clips / "cache" / "evidence").rglob("*.json"))
    assert len(entries) == 2
    entries[0].write_text(entries[0].read_text()[:-200])
    entries[1].write_text(entries[1].read_text().replace('"frames":', '"frames":1'))
    again = tlbench(*SCORE)
    assert again.err.count("is damaged") == 2
    assert again.out == first.out


def test_a_result_of_another_schema_or_changed_by_hand_is_refused(tlbench: Callable[..., Outcome], clips: Path) -> None:
    tlbench(*SCORE)
    file = clips / "tlbench-results" / "gen" / "result.json"
    text = file.read_text()
    file.write_text(text.replace("tlbench.result/1", "tlbench.result/9"))
    newer = tlbench("table", "tlbench-results/gen")
    assert (newer.code, newer.out) == (2, "")
    assert "tlbench.result/9" in newer.err
    data = json.loads(text)
    data["metrics"]["ssim/paper"]["value"] = 0.999999
    file.write_text(json.dumps(data))
    changed = tlbench("table", "tlbench-results/gen")
    assert changed.code == 2
    assert "ssim/paper" in changed.err


def test_records_alone_give_the_same_result_again(tlbench: Callable[..., Outcome], clips: Path) -> None:
    tlbench(*SCORE)
    file = clips / "tlbench-results" / "gen" / "result.json"
    before = json.loads(file.read_text())
    shutil.rmtree(clips / "gen")
    shutil.rmtree(clips / "cache")
    assert tlbench("aggregate", "tlbench-results/gen").code == 0
    assert json.loads(file.read_text()) == before


def test_an_unlooked_at_view_can_not_be_aggregated(tlbench: Callable[..., Outcome], clips: Path) -> None:
    tlbench(*SCORE)
    done = tlbench("aggregate", "tlbench-results/gen", "--metrics", "psnr_frame")
    assert done.code == 2
    assert "score again with --metrics" in done.err


def test_boxes_and_controls_are_written_and_kept(tlbench: Callable[..., Outcome], clips: Path) -> None:
    done = tlbench("boxes", "found", "--dataset", "folder", "--data-root", "refs")
    assert done.code == 0, done.err
    assert np.load(clips / "found" / "a.npy").shape == (8, 4)
    words = ("controls", "faults", "--dataset", "folder", "--data-root", "refs", "--boxes", "boxes")
    done = tlbench(*words, "--kinds", "static,frozen-mouth")
    assert done.code == 0, done.err
    made = {path: path.stat().st_mtime_ns for path in (clips / "faults").rglob("*.mp4")}
    assert len(made) == 4
    tlbench(*words, "--kinds", "static,frozen-mouth")
    assert made == {path: path.stat().st_mtime_ns for path in (clips / "faults").rglob("*.mp4")}
