"""Landmarks: read from files that may be anything, or found by dlib where it is installed."""

from __future__ import annotations

import pickle
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tests.factories.boxes_factory import best_boxes
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.dlib_models import MODELS
from tlbench.media.haar import HaarDetector
from tlbench.media.landmarks import PREDICTOR, find_landmarks, published_predictor, read_landmarks
from tlbench.media.video_reader import FrameChunk, VideoReader

CLIPS = Path(__file__).parents[1] / "golden" / "clips"
INSTALLED = find_spec("dlib") is not None and find_spec(MODELS) is not None


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def test_a_file_gives_its_landmarks(tmp_path: Path) -> None:
    landmarks = np.random.default_rng(0).uniform(0, 300, (5, 68, 2)).astype(np.float32)
    landmarks[2] = np.nan  # no face there
    read = read_landmarks(saved(tmp_path / "a.npy", landmarks))
    assert read.dtype == np.float64
    np.testing.assert_array_equal(read, landmarks.astype(np.float64))


def test_whole_numbers_will_do(tmp_path: Path) -> None:
    read = read_landmarks(saved(tmp_path / "a.npy", np.ones((2, 68, 2), np.int32)))
    np.testing.assert_array_equal(read, np.ones((2, 68, 2)))


@pytest.mark.parametrize(
    ("array", "fault"),
    [
        (np.zeros((4, 67, 2)), r"has shape \(4, 67, 2\)"),
        (np.zeros((68, 2)), r"has shape \(68, 2\)"),
        (np.zeros((0, 68, 2)), r"has shape \(0, 68, 2\)"),
        (np.zeros((4, 68, 2), complex), "holds complex128"),
        (np.full((4, 68, 2), "x"), "holds <U1"),
        (np.full((4, 68, 2), np.inf), "frame 0 holds a number that is no place"),
        (np.full((4, 68, 2), 1e9), "frame 0 holds a number that is no place"),
        (np.array([None], dtype=object), "is not a .npy file of numbers"),
    ],
)
def test_what_is_no_landmarks_is_refused(tmp_path: Path, array: np.ndarray, fault: str) -> None:
    with pytest.raises(ClipError, match=f"landmarks a.npy {fault}.*wanted is .frames, 68, 2") as caught:
        read_landmarks(saved(tmp_path / "a.npy", array))
    assert caught.value.code == "bad-landmarks"


def test_a_file_that_is_cut_short_or_no_array_is_refused(tmp_path: Path) -> None:
    whole = saved(tmp_path / "a.npy", np.zeros((4, 68, 2)))
    whole.write_bytes(whole.read_bytes()[:-100])
    (tmp_path / "b.npy").write_text("landmarks")
    for name in ("a.npy", "b.npy"):
        with pytest.raises(ClipError, match=f"landmarks {name} is not a .npy file"):
            read_landmarks(tmp_path / name)
    with pytest.raises(ClipError, match=r"landmarks c.npy are not there"):
        read_landmarks(tmp_path / "c.npy")


def test_upstreams_pickle_is_not_opened_but_the_way_to_convert_it_is_told(tmp_path: Path) -> None:
    detected = [np.zeros((68, 2), np.int32), None, np.ones((68, 2), np.int32)]
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(detected))
    with pytest.raises(ClipError, match=r"a\.pkl are a pickle, which may hold code") as caught:
        read_landmarks(path)
    # The line in the message, taken at its word:
    line = caught.value.message.partition("convert it: ")[2].replace("NAME.npy", str(tmp_path / "a.npy"))
    with path.open("rb") as file:
        exec(line, {"np": np, "pickle": pickle, "file": file})
    read = read_landmarks(tmp_path / "a.npy")
    assert np.isnan(read).all(axis=(1, 2)).tolist() == [False, True, False]


def test_without_dlib_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dlib", None)  # as if it were not there
    with pytest.raises(TlbenchError, match=r"pip install 'tlbench\[landmarks\]'"):
        find_landmarks(iter(()))


def test_another_predictor_than_the_published_one_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its points would be other points, under the same name in protocol ids."""
    package = tmp_path / MODELS
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('the old package of this name can not be imported')\n")
    monkeypatch.delitem(sys.modules, MODELS, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(TlbenchError, match=f"need {PREDICTOR}, which is not installed"):
        published_predictor()
    (package / "models" / PREDICTOR).write_bytes(b"other")
    with pytest.raises(TlbenchError, match="is not the published"):
        published_predictor()


@pytest.mark.skipif(not INSTALLED, reason="needs the extra landmarks: pip install 'tlbench[landmarks]'")
def test_landmarks_lie_on_the_face() -> None:
    run = next(VideoReader(CLIPS / "clip_c256.mp4").frames(4))
    found = find_landmarks([run])
    assert found.shape == (4, 68, 2)
    x1, y1, x2, y2 = best_boxes([run], HaarDetector()).xyxy.T
    mouth, eyes = found[:, 48:68].mean(axis=1), found[:, 36:48].mean(axis=1)  # (4, 2) each
    assert ((x1 < mouth[:, 0]) & (mouth[:, 0] < x2)).all()
    assert ((y1 + y2 < 2 * mouth[:, 1]) & (mouth[:, 1] < y2)).all()
    assert ((y1 < eyes[:, 1]) & (2 * eyes[:, 1] < y1 + y2)).all()


@pytest.mark.skipif(not INSTALLED, reason="needs the extra landmarks: pip install 'tlbench[landmarks]'")
def test_a_frame_without_a_face_has_none() -> None:
    run = next(VideoReader(CLIPS / "clip_a.mp4").frames(1))
    blank = run.native[0].reformat(format="gray").to_ndarray() * 0
    frame = type(run.native[0]).from_ndarray(blank, format="gray")
    assert np.isnan(find_landmarks([FrameChunk(0, (frame,))])).all()
    with pytest.raises(ClipError, match="has no frame"):
        find_landmarks(iter(()))
