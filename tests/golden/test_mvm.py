"""MVM equals the original code on formula weights: each network, the crops, what whole clips are taken for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from tests.golden.formula import fill
from tlbench.datasets.clip import Clip
from tlbench.media.video_reader import VideoReader, read_video
from tlbench.media.views import View, open_view
from tlbench.observers.mvm.fast_model import FastMVM
from tlbench.observers.mvm.inference import MVMInference
from tlbench.observers.mvm.model import MVMModel
from tlbench.observers.mvm.view import LRW
from tlbench.observers.mvm.words import WORDS
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk

GOLDEN = Path(__file__).with_name("mvm")
CLIPS = Path(__file__).with_name("clips")
ITEMS = {item["clip"]: item for item in json.loads((GOLDEN / "mvm.json").read_text("utf-8"))["dataset"]}
PARTS = ("v_front", "a_front", "mem", "tcn")
REL = 2e-6  # of the norm; measured below 1e-6, sums in another order


@pytest.fixture(scope="module")
def model() -> MVMModel:
    with torch.device("meta"):
        model = MVMModel().to_empty(device="cpu")
    for part in PARTS:
        fill(getattr(model, part).state_dict())
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def fast(model: MVMModel) -> FastMVM:
    return FastMVM(model)


@pytest.fixture(scope="module")
def formula() -> dict[str, np.ndarray]:
    return dict(np.load(GOLDEN / "formula.npz"))


@pytest.fixture(scope="module")
def crops() -> torch.Tensor:
    """(2, 1, 29, 112, 112)"""
    b, t, y, x = np.meshgrid(np.arange(2), np.arange(29), np.arange(112), np.arange(112), indexing="ij")
    seen = 1.4 * np.sin(0.11 * y + 0.3 * t + 0.8 * b) * np.cos(0.08 * x - 0.15 * t) + 0.4 * np.cos(
        0.017 * x * y + 0.5 * t
    )
    return torch.from_numpy(seen.astype(np.float32)[:, None])


def relative_error(ours: torch.Tensor | np.ndarray, theirs: np.ndarray) -> float:
    a, b = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    assert a.shape == b.shape
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


@pytest.mark.parametrize("part", PARTS)
def test_names_and_shapes_are_the_originals_in_their_order(part: str, model: MVMModel) -> None:
    expected = json.loads((GOLDEN / "state_dict.json").read_text("utf-8"))[f"{part}_state_dict"]
    own = getattr(model, part).state_dict()
    assert [(name, list(tensor.shape)) for name, tensor in own.items()] == [(n, s) for n, (s, _) in expected.items()]
    count = sum(parameter.numel() for parameter in getattr(model, part).parameters())
    assert count == json.loads((GOLDEN / "mvm.json").read_text("utf-8"))[f"{part}_params"]


def test_each_network_equals_the_original(model: MVMModel, formula: dict[str, np.ndarray], crops: torch.Tensor) -> None:
    with torch.inference_mode():
        seen = model.v_front(crops)
        assert relative_error(seen, formula["v_feat"]) < REL
        recalled = model.mem(seen)
        assert relative_error(recalled, formula["mem_te"]) < REL
        tcn = model.tcn.tcn.mb_ms_tcn
        layer1 = tcn.layer1(recalled.transpose(1, 2))
        assert relative_error(layer1, formula["tcn_layer1"]) < REL
        assert relative_error(tcn.mem1(layer1.transpose(1, 2)).transpose(1, 2), formula["tcn_mem1"]) < REL
        assert relative_error(model.tcn(recalled), formula["logits"]) < REL


def test_the_audio_front_end_equals_the_original(model: MVMModel, formula: dict[str, np.ndarray]) -> None:
    spectrum = np.sin(0.013 * np.arange(2 * 80 * 116)).astype(np.float32).reshape(2, 1, 80, 116)
    with torch.inference_mode():
        assert relative_error(model.a_front(torch.from_numpy(spectrum)), formula["a_feat"]) < REL


def test_the_fast_network_gives_the_originals_logits_mirrored_or_not(
    fast: FastMVM, formula: dict[str, np.ndarray], crops: torch.Tensor
) -> None:
    plain, mirrored = fast(crops[:, 0]), fast(crops[:, 0].flip(-1))
    assert relative_error(plain, formula["logits"]) < REL
    assert relative_error(mirrored, formula["logits_flip"]) < REL
    assert relative_error(plain + mirrored, formula["logits_test_aug_sum"]) < REL


@pytest.mark.parametrize("clip", ITEMS)
def test_crops_of_decoded_clips_are_the_originals_to_the_bit(clip: str, formula: dict[str, np.ndarray]) -> None:
    """Decoded by us, where the original's were by torchvision's reader."""
    grey = open_view(View("mvm-lrw-uint8", 1, LRW.steps[:-1]))
    seen = np.concatenate([grey.apply(frames) for frames in VideoReader(CLIPS / f"{clip}.mp4").frames()])
    assert len(seen) == len(read_video(CLIPS / f"{clip}.mp4")) == 29
    np.testing.assert_array_equal(seen[[0, 14, 28]], formula[f"{clip}_gray112_u8"])
    np.testing.assert_array_equal(seen.sum(axis=(1, 2), dtype=np.int64), formula[f"{clip}_gray112_sum"])


class Recorder:
    """The network, and what it said."""

    def __init__(self, net: FastMVM) -> None:
        self._net = net
        self.said: list[torch.Tensor] = []  # (2, 500): the clip and its mirror image

    def to(self, _: torch.device) -> Recorder:
        return self

    def __call__(self, crops: torch.Tensor) -> torch.Tensor:
        self.said.append(self._net(crops))
        return self.said[-1]


@pytest.mark.parametrize("clip", ITEMS)
def test_clips_are_taken_for_the_originals_words(clip: str, fast: FastMVM, formula: dict[str, np.ndarray]) -> None:
    item = ITEMS[clip]
    recorder = Recorder(fast)
    reader = MVMInference(cast(FastMVM, recorder), LRW, torch.device("cpu"))
    state = reader.start(Clip(clip, word=WORDS[item["target"]]), None)
    for frames in VideoReader(CLIPS / f"{clip}.mp4").frames():
        state.update(ClipChunk(frames))
    (evidence,) = reader.compute([state])
    (logits,) = recorder.said
    theirs, theirs_mirrored = formula[f"{clip}_logits"], formula[f"{clip}_logits_flip"]
    assert relative_error(logits, np.stack([theirs, theirs_mirrored])) < REL

    assert isinstance(evidence, Evidence)
    assert evidence.values["word"] == item["path"].split("/")[0]
    assert evidence.values["predicted"] == WORDS[item["argmax_aug"]]
    assert evidence.values["predicted_plain"] == WORDS[item["argmax"]]
    both = theirs + theirs_mirrored
    assert evidence.number("rank") == np.sum(both > both[item["target"]])
    assert evidence.number("rank_plain") == np.sum(theirs > theirs[item["target"]])
    assert evidence.values["top5"] == [WORDS[label] for label in np.argsort(-both)[:5]]


def test_words_stand_in_the_originals_order() -> None:
    assert list(WORDS) == json.loads((GOLDEN / "lrw_words_sorted.json").read_text("utf-8"))
