"""The losses of a step and the selection of frames, compared with the original's numbers and with direct formulas."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("lightning_fabric", reason="training needs the extra 'train'")


from tests.golden.formula import fill
from tests.golden.talklip_inputs import SELECTED, inputs
from tests.golden.test_avhubert_encoder import TINY
from tests.golden.test_talklip import network
from tlbench.errors import TlbenchError
from tlbench.talklip.batches import MIN_FRAMES, Batch, FrameMasking, training_frames, validation_frames
from tlbench.talklip.losses import contrastive_loss, expert_input, gan_losses, reconstruction_loss
from tlbench.talklip.train_config import LossConfig, OptimConfig
from tlbench.training.expert import ExpertPreprocessing


def golden_batch() -> Batch:
    given = inputs()
    rows = np.concatenate([SELECTED[0], SELECTED[1] + 20])
    boxes = np.concatenate([of_clip[selected] for of_clip, selected in zip(given.boxes, SELECTED, strict=True)])
    frames = torch.from_numpy(np.concatenate(given.videos))
    return Batch(
        given.faces,
        given.real,
        given.audio,
        given.padding_mask,
        given.index,
        given.tokens,
        frames,
        torch.from_numpy(boxes),
        torch.from_numpy(rows),
    )


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """The number of threads of torch."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_generated_faces_are_pasted_as_the_original_pastes_them(shared: Path, threads: int) -> None:
    """Exact on several threads, as the golden was recorded; on one, torch interpolates in another order (1.2e-6)."""
    patches = torch.from_numpy(np.random.RandomState(21).random_sample((15, 3, 96, 96)).astype(np.float32))
    seen = expert_input(ExpertPreprocessing(160, False, (36, 36, 124, 124), 88, 0.421, 0.165), golden_batch(), patches)
    with np.load(shared / "golden" / "talklip" / "tiny_forward.npz") as golden:
        np.testing.assert_allclose(seen.numpy(), golden["hybrid_processed"], rtol=0, atol=0 if threads > 1 else 3e-6)


def test_contrastive_learning_is_the_originals(shared: Path) -> None:
    generator = network(TINY)
    fill(generator.state_dict())
    torch.manual_seed(1234)
    with torch.no_grad(), np.load(shared / "golden" / "talklip" / "tiny_forward.npz") as golden:
        video, audio = (torch.from_numpy(golden[f"av_sync_{kind}"]) for kind in ("video", "audio"))
        loss = contrastive_loss(video, generator.sync_net(audio))
        assert float(loss) == pytest.approx(float(golden["av_sync_loss_seed1234"]), abs=1e-5)


@pytest.mark.parametrize("frames", [13, 25, 75, 300])
def test_training_selects_runs_of_five_that_do_not_overlap(frames: int) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        selected, others = training_frames(frames, rng)
        starts = selected.reshape(-1, 5)[:, 0]
        assert (selected.reshape(-1, 5) == starts[:, None] + np.arange(5)).all()
        assert 1 <= len(starts) <= max(int(frames * 0.08), 1)
        assert starts.min() >= 1
        assert selected.max() < frames
        assert (np.diff(starts) >= 5).all()
        assert others.min() >= 0
        assert others.max() < frames
        assert (others.reshape(-1, 5)[:, 0] != starts).all()


def test_validation_selects_evenly_with_the_first_frame_as_identity() -> None:
    selected, others = validation_frames(75)
    assert selected.reshape(-1, 5)[:, 0].tolist() == [0, 9, 18, 27, 36, 45, 54, 63]
    assert not others.any()


@pytest.mark.parametrize(("probability", "length"), [(0.02, 5), (0.3, 3), (1.0, 1), (1.0, 11)])
def test_other_masks_have_their_own_length_and_probability(probability: float, length: int) -> None:
    rng = np.random.default_rng(0)
    for frames in (MIN_FRAMES, 58):
        for _ in range(20):
            selected, others = training_frames(frames, rng, FrameMasking(probability, length))
            starts = selected.reshape(-1, length)[:, 0]
            assert (selected.reshape(-1, length) == starts[:, None] + np.arange(length)).all()
            assert 1 <= len(starts) <= max(int(frames * probability), 1)
            assert selected.max() < frames
            assert (np.diff(starts) >= length).all()
            assert len(others) == len(selected)
    # With probability 1 and runs of one frame, every frame but the first is selected.
    assert training_frames(20, rng, FrameMasking(1.0, 1))[0].tolist() == list(range(1, 20))


@pytest.mark.parametrize(
    ("probability", "length", "message"),
    [(0.0, 5, "probability 0.0"), (1.1, 5, "probability 1.1"), (0.1, 0, "length 0"), (0.1, 12, "length 12")],
)
def test_masks_out_of_range_are_refused(probability: float, length: int, message: str) -> None:
    with pytest.raises(TlbenchError, match=message):
        FrameMasking(probability, length)


def test_the_discriminators_losses_are_the_codes_or_as_printed() -> None:
    real, fake = torch.tensor([[2.0], [-1.0]], requires_grad=True), torch.tensor([[0.5], [-3.0]], requires_grad=True)
    d_real, d_fake = torch.sigmoid(real), torch.sigmoid(fake)
    code, paper = gan_losses(real, fake), gan_losses(real, fake, "paper")
    expected = {"perceptual": -d_fake.log(), "real": -d_real.log(), "fake": -(1 - d_fake).log()}
    printed = {"perceptual": (1 - d_fake).log(), "real": (1 - d_real).log(), "fake": d_fake.log()}  # Eq. 2 and 3
    for name in expected:
        assert code[name].item() == pytest.approx(expected[name].mean().item(), abs=1e-6)
        assert paper[name].item() == pytest.approx(printed[name].mean().item(), abs=1e-6)
    for losses in (code, paper):  # both want the same of each network: real up, fake down; the generator fake up
        gradients = [
            torch.autograd.grad(losses[name], given, retain_graph=True)[0]
            for name, given in (("real", real), ("fake", fake), ("perceptual", fake))
        ]
        assert (gradients[0] < 0).all()
        assert (gradients[1] > 0).all()
        assert (gradients[2] < 0).all()


def test_printed_losses_are_clamped_like_the_codes_logarithm() -> None:
    sure = gan_losses(torch.full((2, 1), 5e3), torch.full((2, 1), -5e3), "paper")
    assert (float(sure["real"]), float(sure["fake"])) == (-100, -100)


def test_an_unknown_form_of_the_losses_is_refused() -> None:
    with pytest.raises(TlbenchError, match="no form 'book'"):
        LossConfig("l", gan_form="book")  # type: ignore[arg-type]


def test_learning_rates_are_constant_as_published_or_have_warmup_and_decay() -> None:
    assert [OptimConfig().lr_scale(step, 10) for step in (0, 9, 100)] == [1.0] * 3
    assert OptimConfig(lr_decay_fraction=0.4).lr_scale(9, None) == 1.0
    left = [OptimConfig(lr_decay_fraction=0.4).lr_scale(step, 10) for step in (0, 6, 7, 8, 9, 10, 11)]
    assert left == pytest.approx([1, 1, 0.75, 0.5, 0.25, 0, 0])
    rising = [OptimConfig(warmup_steps=4).lr_scale(step, None) for step in range(6)]
    assert rising == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])


@pytest.mark.parametrize("weight", [1.0, 8.0])
def test_the_reconstruction_loss_is_a_weighted_mean(weight: float) -> None:
    torch.manual_seed(0)
    generated, target = torch.rand(2, 3, 96, 96), torch.rand(2, 3, 96, 96)
    weights = torch.ones(96, 96)
    weights[56:94, 20:76] = weight
    difference = (generated - target).abs()
    by_hand = (difference * weights).sum() / (weights.expand_as(difference)).sum()
    assert float(reconstruction_loss(difference.mean(), generated, target, weight)) == pytest.approx(
        float(by_hand), rel=1e-5
    )


def test_weights_out_of_range_are_refused() -> None:
    with pytest.raises(TlbenchError, match=r"beta1 1\.0: must be at least 0 and less than 1 \(--adam-beta1\)"):
        OptimConfig(adam_beta1=1.0)
    with pytest.raises(TlbenchError, match=r"mouth weight 0\.5: must be at least 1 \(--mouth-weight\)"):
        LossConfig("l", mouth_weight=0.5)
