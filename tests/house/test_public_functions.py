"""One public function for each idea: its examples run, and it gives the numbers that ``score`` gives."""

from __future__ import annotations

import doctest
import shutil
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import tlbench
from tests.factories.media_factory import write_clip
from tests.factories.observer_weights import formula_weights
from tlbench.checkpoints.catalogue import find_card
from tlbench.errors import ClipError, TlbenchError
from tlbench.metrics.metric import Arithmetic
from tlbench.scoring.record import RECORDS_NAME, read_records
from tlbench.scoring.result import Result

CLIPS = Path(__file__).parents[1] / "golden" / "clips"
ARITHMETICS: tuple[Arithmetic, ...] = ("sound", "paper")


@pytest.fixture(autouse=True)
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache and no checkpoints but the test's own."""
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TLBENCH_CHECKPOINTS", str(tmp_path / "checkpoints"))


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A real clip with its transcript, a generated one, and a box for each frame."""
    for place, name in (("refs", "clip_a.mp4"), ("gen", "clip_a_pert.mp4"), ("boxes", "clip_a.npy")):
        (tmp_path / place).mkdir()
        shutil.copy(CLIPS / name, tmp_path / place / f"clip_a{Path(name).suffix}")
    (tmp_path / "refs" / "clip_a.txt").write_text("Text:  W3 W4, W5\n")
    return tmp_path


def scored(desk: Path, metrics: list[str], weights: dict[str, Path | str] | None = None) -> Result:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # not the published checkpoints
        return tlbench.score(
            *(desk / "gen", "folder", desk / "refs"),
            boxes=desk / "boxes",
            metrics=metrics,
            weights=weights,
            device="cpu",
            probe=False,
            out=desk / "out",
        )


@pytest.mark.parametrize("name", ["metrics.of_texts", "metrics.of_frames", "observing.one_clip", "datasets.locations"])
def test_the_examples_of_the_docstrings_run(name: str, tmp_path: Path) -> None:
    real, generated = tmp_path / "real.mp4", tmp_path / "generated.mp4"
    write_clip(real, frames=8)
    write_clip(generated, frames=8)
    if name == "metrics.of_frames":
        shutil.copy(CLIPS / "clip_a_pert.mp4", generated)
    given = {"real": real, "generated": generated, "boxes": np.load(CLIPS / "clip_a.npy")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        done = doctest.testmod(import_module(f"tlbench.{name}"), extraglobs=given)
    assert done.attempted
    assert not done.failed


def test_psnr_and_ssim_of_frames_are_those_that_score_gives(desk: Path) -> None:
    result = scored(desk, ["psnr", "ssim", "psnr_frame", "ssim_frame"])
    generated, real = (tlbench.read_video(desk / place / "clip_a.mp4") for place in ("gen", "refs"))
    boxes = np.load(desk / "boxes" / "clip_a.npy")
    for arithmetic in ARITHMETICS:
        for name, function in (("psnr", tlbench.psnr), ("ssim", tlbench.ssim)):
            face = function(generated, real, boxes=boxes, arithmetic=arithmetic)
            frame = function(generated, real, arithmetic=arithmetic)
            assert face == result.row(f"{name}/{arithmetic}").value
            assert frame == result.row(f"{name}_frame/{arithmetic}").value


def test_lse_of_frames_is_what_score_gives(desk: Path) -> None:
    package = find_card("syncnet-grid").package
    assert package is not None
    result = scored(desk, ["lse_c/sound", "lse_d/sound", "offset_size"], {"syncnet-grid": package})
    frames, samples = tlbench.read_video(desk / "gen/clip_a.mp4"), tlbench.read_audio(desk / "gen/clip_a.mp4")
    found = tlbench.lse(frames, samples, boxes=np.load(desk / "boxes/clip_a.npy"), weights="syncnet-grid")
    assert found.lse_c == pytest.approx(result.row("lse_c/sound").value, rel=1e-6)
    assert found.lse_d == pytest.approx(result.row("lse_d/sound").value, rel=1e-6)
    assert abs(found.offset_frames) == result.row("offset_size/sound").value


def test_wer_of_texts_is_what_score_gives(desk: Path) -> None:
    result = scored(desk, ["wer1"], {"avhubert": formula_weights("avhubert", desk)})
    (record,) = read_records(desk / "out" / "gen" / RECORDS_NAME)
    said, read = (str(record.evidence["avhubert"].values[name]) for name in ("reference", "hypothesis"))
    for arithmetic in ARITHMETICS:
        value = result.row(f"wer1/{arithmetic}").value
        assert value is not None
        assert 100 * tlbench.wer(said, read, arithmetic=arithmetic) == pytest.approx(value, rel=1e-12)


def test_what_an_observer_says_of_one_clip_is_what_the_record_of_a_run_holds(desk: Path) -> None:
    scored(desk, ["psnr_frame"])
    (record,) = read_records(desk / "out" / "gen" / RECORDS_NAME)
    clip = tlbench.Clip("clip_a", reference=desk / "refs/clip_a.mp4", generated=desk / "gen/clip_a.mp4")
    found = tlbench.observe(clip, "pixels", view="frame", cache=desk / "other")
    assert found.to_json() == record.evidence["pixels"].to_json()


def test_what_can_not_be_computed_is_one_line(tmp_path: Path) -> None:
    small = np.zeros((2, 8, 8, 3), np.uint8)
    with pytest.raises(TlbenchError, match=r"\(2, 8, 8, 3\) float64"):
        tlbench.psnr(small.astype(float), small.astype(float))
    with pytest.raises(TlbenchError, match="differ in shape"):
        tlbench.psnr(small, small[:1])
    with pytest.raises(TlbenchError, match="at least 11 pixels"):
        tlbench.ssim(small, small)
    with pytest.raises(TlbenchError, match="1 transcripts, but 2 hypotheses"):
        tlbench.wer(["a"], ["a", "b"])
    with pytest.raises(TlbenchError, match="has no word"):
        tlbench.wer("...", "a")
    with pytest.raises(TlbenchError, match="tlbench checkpoints fetch syncnet"):
        tlbench.lse(small, np.zeros(16000, np.int16))
    with pytest.raises(TlbenchError, match="frames the face; pass its boxes"):
        tlbench.lse(small, np.zeros(16000, np.int16), weights="syncnet-grid")
    with pytest.raises(TlbenchError, match="has no view 'ear'"):
        tlbench.observe(tlbench.Clip("a"), "pixels", view="ear")
    with pytest.raises(ClipError, match="there is no generated video"):
        tlbench.observe(tlbench.Clip("a"), "pixels", view="frame")
