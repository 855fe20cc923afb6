"""Faceformer: biases, positions and order of frames, its loss, training, and the same faces in training as after."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("lightning_fabric", reason="training needs the extra 'train'")

from lightning_fabric import Fabric

from tests.factories.expert_factory import write_expert
from tests.factories.generator_factory import generator_weights
from tests.factories.media_factory import tone, write_clip
from tlbench.checkpoints.package import read_package
from tlbench.datasets.clip import Clip
from tlbench.errors import TlbenchError
from tlbench.generation.generator import GenerateOptions
from tlbench.talklip.checkpoint import load_generator
from tlbench.talklip.dataset import Faces, TrainingClip
from tlbench.talklip.faceformer import HEADS, BiasedDecoderLayer, Faceformer, biases, periodic_position
from tlbench.talklip.faceformer_generator import FaceformerGenerator
from tlbench.talklip.faceformer_step import FaceformerStep, WindowOfFramesMaker
from tlbench.talklip.faceformer_training import faceformer_of
from tlbench.talklip.losses import reconstruction_loss
from tlbench.talklip.run_config import DataConfig, Devices, ModelConfig, TrainingConfig
from tlbench.talklip.stages import SwitchSchedule
from tlbench.talklip.train import TrainedReference, train_reference
from tlbench.talklip.train_config import FaceformerLoss, OptimConfig
from tlbench.talklip.trainer import TrainLoopConfig


def test_attention_falls_by_the_slope_with_each_second_between_two_frames() -> None:
    found = biases(list(range(60)))
    assert found.shape == (HEADS, 60)
    expected = [-0.25 * ((59 - number) // 25) for number in range(60)]
    assert found[0].tolist() == expected
    assert found[3].tolist() == pytest.approx([value / 64 for value in expected])


def test_positions_repeat_every_second() -> None:
    for number in (0, 3, 24):
        found = periodic_position(number, 8)
        expected = [f(number / 10000 ** (pair / 8)) for pair in (0, 2, 4, 6) for f in (math.sin, math.cos)]
        assert found.tolist() == pytest.approx(expected, abs=1e-6)
        assert torch.equal(found, periodic_position(number + 25, 8))


def test_the_layer_is_torchs_decoder_layer_with_biased_attention() -> None:
    """All frames at once by torch's own layer, with FaceFormer's two masks, are the frames one by one."""
    torch.manual_seed(0)
    ours = BiasedDecoderLayer(8).eval()
    theirs = torch.nn.TransformerDecoderLayer(8, HEADS, 16, batch_first=True).eval()
    theirs.load_state_dict(ours.state_dict())
    inputs, speech = torch.randn(2, 30, 8), torch.randn(2, 30, 8)
    mask = torch.full((HEADS, 30, 30), -math.inf)
    for row in range(30):
        for column in range(row + 1):
            for head in range(HEADS):
                mask[head, row, column] = -(0.25 ** (head + 1)) * ((row - column) // 25)
    own_speech = ~torch.eye(30, dtype=torch.bool)
    with torch.no_grad():
        whole = theirs(inputs, speech, mask.repeat(2, 1, 1), own_speech)
        single = [ours(inputs[:, : t + 1], list(range(t + 1)), speech[:, t]) for t in range(30)]
    torch.testing.assert_close(torch.stack(single, 1), whole, rtol=0, atol=2e-6)


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> FaceformerGenerator:
    path = generator_weights("faceformer", tmp_path_factory.mktemp("faceformer"))
    return FaceformerGenerator.load(path, GenerateOptions(device="cpu"))


def clip(frames: int) -> TrainingClip:
    rng = np.random.default_rng(frames)
    faces = Faces.encode(rng.integers(0, 256, (frames, 96, 96, 3), dtype=np.uint8))
    return TrainingClip(Clip("a"), faces, np.tile([0, 0, 9, 9], (frames, 1)), tone(frames / 25)[:, 0], [], np.zeros(0))


def test_a_frame_depends_on_its_speech_and_on_those_before_it_alone(generator: FaceformerGenerator) -> None:
    network = generator.network
    torch.manual_seed(1)
    speech, styles = torch.randn(1, 6, 8), torch.randn(1, 6, 8)
    changed = speech.clone()
    changed[0, 3] += 1
    with torch.no_grad():
        before, after = network.motion(speech, styles), network.motion(changed, styles)
    differs = (before - after).abs().amax(2)[0] > 1e-5
    assert differs.tolist() == [False, False, False, True, True, True]


def test_generating_gives_the_faces_of_training(generator: FaceformerGenerator) -> None:
    """A whole clip in one window, and the same clip in runs of three frames."""
    given = clip(13)
    network: Faceformer = generator.network
    step = FaceformerStep(network, FaceformerLoss(), OptimConfig(), Fabric(accelerator="cpu"))
    network.eval()
    batch = WindowOfFramesMaker(network.audio_encoder, 50).validation(given)
    with torch.no_grad():
        trained = step.generate(batch)[1].permute(0, 2, 3, 1).numpy()[..., ::-1] * 255
    faces = given.faces[np.arange(13)][..., ::-1]
    state = generator.start_clip(given.samples, 13)
    runs = [np.arange(begin, min(begin + 3, 13)) for begin in range(0, 13, 3)]
    poses = faces.copy()
    poses[:, 48:] = 0
    generated = np.concatenate([state.generate(run, poses[run], faces[:1]) for run in runs])
    np.testing.assert_allclose(generated, trained, rtol=0, atol=1e-2)
    network.requires_grad_(False)


def test_a_batch_is_a_window_of_each_clip_with_one_identity(generator: FaceformerGenerator) -> None:
    maker = WindowOfFramesMaker(generator.network.audio_encoder, 15)
    batch = maker.training([clip(14), clip(40)], np.random.default_rng(0))
    assert len(batch.faces) == 28  # the shorter clip decides
    for rows, offset in ((batch.index[:14], 0), (batch.index[14:], 40)):
        assert (rows.diff() == 1).all()
        assert offset <= int(rows[0])
        assert int(rows[-1]) < offset + 40
    for window in batch.faces.view(2, 14, 6, 96, 96):
        assert (window[:, 3:] == window[:1, 3:]).all()


@pytest.mark.parametrize("weight", [1.0, 8.0])
def test_the_loss_is_the_weighted_mean_squared_error(weight: float) -> None:
    rng = np.random.default_rng(0)
    generated, target = rng.random((2, 3, 96, 96)), rng.random((2, 3, 96, 96))
    weights = np.ones((96, 96))
    weights[56:94, 20:76] = weight
    squared = (generated - target) ** 2
    expected = (squared * weights).sum() / np.broadcast_to(weights, squared.shape).sum()
    tensors = [torch.from_numpy(x).float() for x in (generated, target)]
    error = torch.tensor(squared.mean(), dtype=torch.float32)
    assert float(reconstruction_loss(error, *tensors, weight, power=2)) == pytest.approx(expected, rel=1e-5)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lrs2")
    for split in ("train", "val"):
        for number in range(2):
            video = root / "main" / split / f"{number:05d}.mp4"
            video.parent.mkdir(parents=True, exist_ok=True)
            write_clip(video, frames=14, width=160, height=160, samples=tone(0.56), audio_codec="aac")
            video.with_suffix(".txt").write_text("Text:  BLUE BOATS\n")
            boxes = root / "boxes" / split / f"{number:05d}.npy"
            boxes.parent.mkdir(parents=True, exist_ok=True)
            np.save(boxes, np.array([[30, 20, 130, 150]] * 14))
        (root / f"{split}.txt").write_text("".join(f"{split}/{number:05d}\n" for number in range(2)))
    return root


Train = Callable[..., TrainedReference]


@pytest.fixture
def train(root: Path, tmp_path: Path) -> Train:
    expert = write_expert(tmp_path / "reader", ["BLUE BOATS"])

    def run(out: Path, model: dict[str, Any] | None = None, **limits: Any) -> TrainedReference:
        training = TrainingConfig(
            FaceformerLoss(window_frames=6),
            OptimConfig(freeze_bn_from=0),
            SwitchSchedule(3),
            TrainLoopConfig(batch_clips=2, validate_every=3, save_every=2, val_clips=1),
        )
        given = ModelConfig(**{"expert": str(expert), "size": "tiny", **(model or {})})
        data = DataConfig("lrs2", root, boxes=root / "boxes", cache=root / "cache")
        return train_reference(data, given, training, out, devices=Devices("cpu"), **limits)

    return run


def test_a_training_is_resumed_exactly_and_its_package_loads(train: Train, tmp_path: Path) -> None:
    whole = train(tmp_path / "whole")
    assert (whole.step, whole.done) == (3, True)
    assert not train(tmp_path / "cut", max_seconds=1e-9).done
    assert train(tmp_path / "cut").done
    assert (tmp_path / "whole" / "state.pt").read_bytes() == (tmp_path / "cut" / "state.pt").read_bytes()
    package = read_package(whole.last)
    assert (package.observer, package.config["trained"]["trained_with"]) == ("faceformer", ["reader"])
    network = faceformer_of(package, whole.last)
    assert network.output_map.weight.any()  # it starts at zero and learns
    lines = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert {"l1", "l2", "val_l1", "val_l2"} <= lines[-1].keys() | lines[-2].keys()
    assert not (tmp_path / "whole" / "generator.pth").exists()  # there is no original's format
    assert FaceformerGenerator.load(whole.last, GenerateOptions(device="cpu")).name == "faceformer"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"expert": None}, r"Faceformer's audio encoder is that of a lip reader; give its name or file \(--expert\)"),
        ({"sync_expert": Path("x.pth")}, "leave out --sync-expert x.pth"),
        ({"init_discriminator": Path("x.pth")}, "leave out --init-discriminator x.pth"),
    ],
)
def test_what_it_is_not_trained_with_is_refused(
    train: Train, tmp_path: Path, model: dict[str, Any], message: str
) -> None:
    with pytest.raises(TlbenchError, match=message):
        train(tmp_path / "out", model)


def test_generators_do_not_take_each_others_checkpoints(train: Train, tmp_path: Path) -> None:
    (tmp_path / "wav2lip").mkdir()
    mine, other = (generator_weights(name, tmp_path / name) for name in ("faceformer", "wav2lip"))
    with pytest.raises(TlbenchError, match="holds 'faceformer', not 'talklip' or 'wav2lip'"):
        load_generator(mine)
    with pytest.raises(TlbenchError, match="holds 'talklip', not 'faceformer'"):
        train(tmp_path / "out", {"expert": None, "size": None, "init_from": other})
    with pytest.raises(TlbenchError, match="computes in float32 only"):
        FaceformerGenerator.load(mine, replace(GenerateOptions(), precision="bf16"))
