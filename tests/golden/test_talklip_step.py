"""One whole step of TalkLip's training equal to the original's: losses, what they push, gradients, new weights.

The goldens are the body of Sxjdwang/TalkLip ``train.py`` with every loss switched on. ``talklip_step/`` holds those of
the tiny audio encoder (three of the fifteen faces); the others need the shared folder.

Adam's first step is the learning rate in the direction of each gradient's sign, however large it is. The new weights
therefore say little about how much each loss counts; gradient norms and the gradient on the faces do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("lightning_fabric", reason="training needs the extra 'train'")

from lightning_fabric import Fabric

from tests.golden.formula import fill
from tests.golden.talklip_inputs import inputs
from tests.golden.test_avhubert_encoder import network as reader
from tests.golden.test_talklip import AUDIO, KEPT, network
from tests.talklip.test_train_step import golden_batch
from tlbench.observers.avhubert import expert as avhubert_expert
from tlbench.observers.avhubert.dictionary import SPECIAL, Dictionary
from tlbench.talklip.batches import Batch
from tlbench.talklip.discriminator import Discriminator
from tlbench.talklip.losses import contrastive_loss, expert_input
from tlbench.talklip.train_config import LossConfig, OptimConfig
from tlbench.talklip.train_step import TrainStep
from tlbench.training.expert import ExpertPreprocessing

FOLDER = Path(__file__).with_name("talklip_step")
PREPROCESSING = ExpertPreprocessing(160, False, (36, 36, 124, 124), 88, 0.421, 0.165)
SEED = 1234  # of the negatives' draw, the goldens' README
LOSSES = {
    "l1": "l1",
    "perceptual": "perceptual",
    "real": "disc_real",
    "fake": "disc_fake",
    "lip": "lip_loss",
    "contrast": "local_sync",
}
LOSS_TOLERANCE = 1e-5  # relative: they reach from 0.28 to 139; measured 1.5e-7
# Float32 itself: computed in float64, the tiny step's norms lie up to 4.6e-3 from the golden's and up to 4.5e-3 from
# ours, each by its own rounding before the batch norms. Measured between the two: 1.6e-3 (tiny), 2.9e-3 (base).
NORM_TOLERANCE = 5e-3  # relative
MEDIAN_TOLERANCE = 3e-4  # of all norms; measured 1.0e-4 (tiny). Contrast that does not reach the faces makes it 5.7e-4
# A bias before a batch norm and an attention key's bias change nothing: in float64 their gradients are below 1e-15, and
# what float32 leaves of them is noise, of up to 4.2e-8.
NOISE = 1e-5  # norms below it are only required to stay below it
WEIGHT_TOLERANCE = 1e-6  # a hundredth of the learning rate; measured 2.4e-7, of a bias whose gradient is noise


@dataclass(frozen=True)
class Golden:
    """A recorded step: numbers by name, arrays by name (faces of ``kept`` only)."""

    numbers: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    kept: list[int]


@dataclass(frozen=True)
class Step:
    """Our own step.

    Losses, the generated faces with their gradient, the output of the contrastive layer, the expert, gradients before
    the optimiser steps, state dicts after them.
    """

    losses: Mapping[str, Tensor]
    generated: Tensor
    projected: Tensor
    expert: avhubert_expert.AVHubertExpert
    gradients: Mapping[str, Mapping[str, Tensor]]
    after: Mapping[str, Mapping[str, Tensor]]


class Watched(TrainStep):
    """A step whose faces keep their gradient. ``audio_features`` replaces the audio encoder's output, if given."""

    generated: Tensor
    projected: Tensor
    audio_features: Tensor | None = None

    def generate(self, batch: Batch) -> tuple[Tensor, Tensor]:
        if self.audio_features is None:
            audio_features, self.generated = super().generate(batch)
        else:
            audio_features = self.audio_features
            self.generated = self.generator.paint(audio_features, batch.faces)
        self.generated.retain_grad()
        self.projected = self.generator.sync_net(audio_features).detach()
        return audio_features, self.generated


def take_step(size: str, *, train_audio: bool = False, audio_features: Tensor | None = None) -> Step:
    model = reader(AUDIO[size])
    symbols = Dictionary([*SPECIAL, *map(str, range(len(SPECIAL), AUDIO[size].vocabulary))])
    generator, discriminator = network(AUDIO[size]), Discriminator()
    fill(generator.state_dict())
    fill(discriminator.state_dict())
    expert = avhubert_expert.AVHubertExpert(model, symbols, PREPROCESSING)
    loss, fabric = LossConfig.for_variant("g+c"), Fabric(accelerator="cpu")
    train_step = Watched(generator, discriminator, expert, loss, OptimConfig(), fabric)
    train_step.set_stage(train_audio=train_audio, use_expert=True)
    train_step.audio_features = audio_features
    gradients: dict[str, dict[str, Tensor]] = {}

    def watch(name: str, learns: nn.Module) -> None:
        def keep(*_: object) -> None:
            gradients[name] = {
                key: parameter.grad.clone()
                for key, parameter in learns.named_parameters()
                if parameter.grad is not None
            }

        train_step.optimisers[name].register_step_pre_hook(keep)

    for name, learns in train_step.networks.items():
        watch(name, learns)
    torch.manual_seed(SEED)
    losses = train_step([golden_batch().to(fabric.device)])
    after = {name: learns.state_dict() for name, learns in train_step.networks.items()}
    return Step(losses, train_step.generated, train_step.projected, expert, gradients, after)


def in_shared(shared: Path, size: str, case: str) -> Golden:
    folder = shared / "golden" / "talklip"
    with np.load(folder / f"{size}_trainstep.npz") as golden:
        arrays = {name.removeprefix(f"{case}."): golden[name] for name in golden.files if name.startswith(f"{case}.")}
    return Golden(json.loads((folder / f"{size}_meta.json").read_text())[case], arrays, list(range(15)))


@pytest.fixture(scope="module")
def golden() -> Golden:
    with np.load(FOLDER / "tiny_nodrop_ft0.npz") as arrays:
        return Golden(json.loads((FOLDER / "tiny_nodrop_ft0.json").read_text()), dict(arrays), KEPT)


@pytest.fixture(scope="module")
def step() -> Step:
    return take_step("tiny")


def check_losses(step: Step, golden: Golden) -> None:
    for ours, theirs in LOSSES.items():
        assert float(step.losses[ours]) == pytest.approx(golden.numbers[theirs], rel=LOSS_TOLERANCE), ours
    tokens = golden.numbers["logs"]["ntokens"]
    assert float(step.losses["lip_per_token"]) == pytest.approx(golden.numbers["lip_loss"] / tokens, rel=LOSS_TOLERANCE)


def check_faces(step: Step, golden: Golden) -> None:
    # Batch norms in training divide by the spread of 15 faces: more rounding than in evaluation. Measured 4.3e-6 by
    # AVX2 and, in 3 of 82,944 values above 1e-5, 1.13e-5 by AVX-512, whose sums torch takes in another order.
    found = step.generated.detach().numpy()[golden.kept]
    np.testing.assert_allclose(found, golden.arrays["syntim"], rtol=0, atol=3e-5)


def check_face_gradients(step: Step, golden: Golden) -> None:
    """The gradient on the faces is the four losses' gradients, weighted as published.

    Solved for the four weights, so that each is measured by itself: the lips' is so small beside L1's that no gradient
    norm would tell if it were missing. The lips' gradient is the recorded one; the goldens hold no contrastive one by
    itself, so that is ours.
    """
    discriminator = Discriminator()
    fill(discriminator.state_dict())
    faces = step.generated.detach().requires_grad_()
    (pleased,) = torch.autograd.grad(discriminator.perceptual(faces), faces)
    nearer = (faces.detach() - inputs().real).sign() / faces.numel()
    lip = torch.from_numpy(golden.arrays["grad_lip_wrt_syntim"])
    parts = [nearer[golden.kept], lip, pleased[golden.kept], matched(step)[golden.kept]]
    columns = torch.stack([part.flatten().double() for part in parts], dim=1)
    sizes = columns.norm(dim=0)
    assert step.generated.grad is not None
    whole = step.generated.grad[golden.kept].flatten().double()
    weights = torch.linalg.lstsq(columns / sizes, whole[:, None]).solution[:, 0] / sizes
    # L1, lips, discriminator, contrast. Measured 4e-6 off, relative, at most (tiny).
    np.testing.assert_allclose(weights, [1 - 1e-5 - 0.07, 1e-5, 0.07, 1e-3], rtol=1e-3)


def matched(step: Step) -> Tensor:
    """The gradient of the contrastive loss on the faces."""
    faces = step.generated.detach().requires_grad_()
    batch = golden_batch()
    video_features = step.expert.encode(expert_input(PREPROCESSING, batch, faces), batch.padding_mask)
    torch.manual_seed(SEED)
    loss = contrastive_loss(video_features.flatten(0, 1)[batch.index], step.projected)
    (gradient,) = torch.autograd.grad(loss, faces)
    return gradient


def check_norms(found: Mapping[str, Tensor], expected: Mapping[str, float]) -> None:
    assert found.keys() == expected.keys()  # what learns, and nothing else
    off = []
    for name, norm in expected.items():
        ours = float(found[name].norm())
        if norm < NOISE:
            assert ours < NOISE, name
        else:
            assert ours == pytest.approx(norm, rel=NORM_TOLERANCE), name
            off.append(abs(ours / norm - 1))
    assert np.median(off) < MEDIAN_TOLERANCE


def check_leak(step: Step, golden: Golden) -> None:
    """The gradient that the generator's loss leaves in the discriminator: the rest after its own two losses."""
    discriminator = Discriminator()
    fill(discriminator.state_dict())
    own = nn.functional.softplus(-discriminator.logits(inputs().real)).mean()
    own = own + nn.functional.softplus(discriminator.logits(step.generated.detach())).mean()
    own.backward()
    found = step.gradients["discriminator"]
    leaked = {}
    for name, parameter in discriminator.named_parameters():
        assert parameter.grad is not None
        leaked[name] = found[name] - parameter.grad
    check_norms(leaked, golden.numbers["disc_grad_norms_before_disc_backward"])


def check_weights(step: Step, golden: Golden) -> None:
    short = {"gen": "generator", "disc": "discriminator"}
    names = [name for name in golden.arrays if name.startswith("after.")]
    assert len(names) == 10
    for name in names:
        who, tensor = name.removeprefix("after.").split(".", 1)
        found = step.after[short[who]][tensor].numpy()
        np.testing.assert_allclose(found, golden.arrays[name], rtol=0, atol=WEIGHT_TOLERANCE, err_msg=name)


def check_all(step: Step, golden: Golden) -> None:
    check_losses(step, golden)
    check_faces(step, golden)
    check_face_gradients(step, golden)
    check_norms(step.gradients["generator"], golden.numbers["gen_grad_norms"])
    check_leak(step, golden)
    check_weights(step, golden)


def test_every_loss_is_the_originals(step: Step, golden: Golden) -> None:
    check_losses(step, golden)


def test_the_faces_are(step: Step, golden: Golden) -> None:
    check_faces(step, golden)


def test_each_loss_has_its_published_weight_in_the_gradient_of_the_faces(step: Step, golden: Golden) -> None:
    check_face_gradients(step, golden)


def test_the_generators_gradients_are(step: Step, golden: Golden) -> None:
    check_norms(step.gradients["generator"], golden.numbers["gen_grad_norms"])


def test_the_generators_loss_leaves_its_gradient_in_the_discriminator(step: Step, golden: Golden) -> None:
    check_leak(step, golden)


def test_the_new_weights_are(step: Step, golden: Golden) -> None:
    check_weights(step, golden)


@pytest.mark.slow
@pytest.mark.parametrize(("case", "train_audio"), [("nodrop_ft0", False), ("nodrop_ft1", True)])
def test_the_published_size(shared: Path, monkeypatch: pytest.MonkeyPatch, case: str, train_audio: bool) -> None:
    """ft1: the last three blocks of the audio encoder learn too."""
    monkeypatch.setattr(avhubert_expert, "DROPOUT", 0.0)
    check_all(take_step("base", train_audio=train_audio), in_shared(shared, "base", case))


@pytest.mark.slow
@pytest.mark.parametrize("size", ["tiny", "base"])
def test_a_step_after_an_audio_encoder_with_dropout(shared: Path, size: str) -> None:
    """The original's dropout can't be repeated here, so the step starts from the recorded output of its encoder."""
    golden = in_shared(shared, size, "drop_ft0")
    spoken = torch.from_numpy(golden.arrays["enc_audio"]).transpose(0, 1).flatten(0, 1)  # (B * T, C)
    check_all(take_step(size, audio_features=spoken[inputs().index]), golden)
