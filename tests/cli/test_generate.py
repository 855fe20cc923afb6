"""``tlbench generate`` as a person meets it: what is printed where, and the exit code."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.factories.media_factory import tone, write_clip
from tlbench.cli.main import main
from tlbench.talklip.wav2lip import Wav2Lip

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def generate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tlbench", "generate", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return end.value.code, said.out, said.err

    return run


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in Wav2Lip's format and size; all its tensors share one block."""
    path = tmp_path_factory.mktemp("weights") / "wav2lip.pth"
    with torch.device("meta"):
        state = Wav2Lip().state_dict()
    block = torch.rand(max(tensor.numel() for tensor in state.values())) / 50
    content = {f"module.{name}": block[: t.numel()].view(t.shape).to(t.dtype) for name, t in state.items()}
    torch.save({"state_dict": content, "optimizer": None, "global_step": 1, "global_epoch": 1}, path)
    return path


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("real")
    (root / "boxes").mkdir()
    (root / "videos").mkdir()
    write_clip(root / "videos" / "a.mp4", frames=3, width=96, height=96, samples=tone(0.12), audio_codec="aac")
    np.save(root / "boxes" / "a.npy", np.tile([10, 10, 80, 90], (3, 1)))
    return root


def test_a_published_generator_writes_a_folder_and_continues(
    generate: Run, published: Path, real: Path, tmp_path: Path
) -> None:
    clips = ("--dataset", "folder", "--data-root", real / "videos", "--boxes", real / "boxes")
    words = ("--generator", published, *clips, "--out", tmp_path / "out", "--device", "cpu")
    assert generate(*words) == (0, f"1 video of 3 frames in {tmp_path / 'out'}\n", "")
    assert generate(*words) == (0, f"0 videos of 0 frames in {tmp_path / 'out'}, 1 existed already\n", "")
    code, out, err = generate(*words, "--identity", "same")
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "generated otherwise (identity differ" in err


def test_frames_without_a_face_and_changed_files_are_reported(
    generate: Run, published: Path, real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Blinking:
        name = "blinking"
        sure_score = 0.5

        def detect(self, frames: np.ndarray, before: np.ndarray | None = None) -> list[np.ndarray | None]:
            return [None, *[np.array([10, 10, 80, 90])] * (len(frames) - 1)]

        def detect_all(self, frames: np.ndarray, min_score: float) -> list[np.ndarray]:
            return [np.array([[10, 10, 80, 90, 1.0]])] * len(frames)

    monkeypatch.setattr("tlbench.observing.face_boxes.load_detector", lambda rule: Blinking())
    root = tmp_path / "real"
    shutil.copytree(real / "videos", root)
    clips = ("--dataset", "folder", "--data-root", root, "--detector", "haar", "--cache", tmp_path / "cache")
    words = ("--generator", published, *clips, "--out", tmp_path / "out", "--device", "cpu")
    assert generate(*words)[2] == "no face: a: in 1 of 3 frames; they got a box in the middle\n"
    write_clip(root / "a.mp4", frames=4, width=96, height=96, samples=tone(0.16), audio_codec="aac")
    code, out, err = generate(*words)
    assert (code, out) == (0, f"1 video of 4 frames in {tmp_path / 'out'}\n")
    assert err.endswith("generated again: 1 video whose reference or audio file has changed\n")


def test_a_clip_that_fails_is_named_and_the_exit_code_is_1(
    generate: Run, published: Path, real: Path, tmp_path: Path
) -> None:
    root = tmp_path / "real"
    root.mkdir()
    (root / "broken.mp4").write_bytes(b"nothing")
    words = ("--generator", published, "--dataset", "folder", "--data-root", root, "--device", "cpu")
    code, out, err = generate(*words, "--out", tmp_path / "out", "--cache", tmp_path / "cache", "--detector", "haar")
    assert code == 1
    assert out.startswith("0 videos")
    assert err.startswith("not generated: broken: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "nothing to generate from"),
        (("--video", "me.mp4"), "nothing to generate from"),
        (("--dataset", "grid", "--video", "me.mp4"), "leave them out, or leave out --dataset"),
        (("--video", "me.mp4", "--audio", "s.wav", "--data-root", "x"), "--data-root is for data sets"),
        (("--video", "me.mp4", "--audio", "s.wav", "--trim", "end"), "--trim is for data sets"),
        (("--video", "me.mp4", "--audio", "s.wav"), "nothing.pth"),
        (("--dataset", "folder", "--data-root", "."), "holds no"),
        (("--dataset", "gird"), "did you mean 'grid'"),
    ],
)
def test_what_can_not_be_done_is_one_line(
    generate: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = generate("--generator", "nothing.pth", "--out", "out", "--device", "cpu", *words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert not (tmp_path / "out").exists()


def test_the_option_of_before_is_answered_with_the_new_one(generate: Run) -> None:
    code, out, err = generate("--checkpoint", "talklip_g.pth", "--dataset", "lrs2", "--out", "made")
    assert (code, out) == (2, "")
    assert err == "error: --checkpoint is called --generator now; write --generator talklip_g.pth\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--recipe", "wav2lip"), "--generator command needs --repo"),
        (("--repo", "."), "--generator command needs --recipe"),
        (("--recipe", "wav2lip", "--repo", "."), "--generator command needs --dataset, or --drive"),
        (("--recipe", "wav2lip", "--repo", ".", "--workers", "2"), "scripts keep files of fixed names"),
        (("--recipe", "wav2lip", "--repo", ".", "--video", "me.mp4"), "run the script itself for a single video"),
        (
            ("--recipe", "wav2lip", "--repo", ".", "--drive", "d", "--limit", "3"),
            "--limit does not go with --drive",
        ),
        (("--recipe", "wav2lip", "--repo", ".", "--drive", "nowhere"), "nowhere: there is no such file"),
        (("--recipe", "wav2lip", "--repo", ".", "--identity", "same"), "--identity does not go with"),
        (("--recipe", "wav2lip", "--repo", ".", "--dataset", "lrs2", "--set", "gpu"), "--set takes NAME=VALUE"),
        (
            ("--recipe", "wav2lip", "--repo", "nowhere", "--dataset", "folder"),
            "--repo nowhere: there is no such folder",
        ),
    ],
)
def test_what_a_command_lacks_is_one_line(
    generate: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = generate("--generator", "command", "--out", "out", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert not (tmp_path / "out").exists()


def test_a_recipe_without_a_command_is_refused(generate: Run) -> None:
    code, _, err = generate("--generator", "frozen-mouth", "--recipe", "wav2lip", "--dataset", "lrs2", "--out", "out")
    assert code == 2
    assert "--recipe is for another repository's script; pass --generator command too" in err
