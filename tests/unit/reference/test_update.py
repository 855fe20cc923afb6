"""One step of training, and the picking of frames, against the original's numbers and by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("lightning_fabric", reason="training needs the extra 'train'")

from lightning_fabric import Fabric

from tests.golden.formula import fill
from tests.golden.talklip_inputs import PICKED, inputs
from tests.golden.test_avhubert_encoder import TINY
from tests.golden.test_talklip import network
from tlbench.observing.teaching import Sight
from tlbench.reference.batches import Batch, picked_in_training, picked_in_validation
from tlbench.reference.discriminator import Discriminator
from tlbench.reference.update import Recipe, Update, contrastive, hybrid


def golden_batch() -> Batch:
    given = inputs()
    rows = np.concatenate([PICKED[0], PICKED[1] + 20])
    boxes = np.concatenate([all_of[picked] for all_of, picked in zip(given.boxes, PICKED, strict=True)])
    frames = torch.from_numpy(np.concatenate(given.videos))
    return Batch(
        given.faces,
        given.real,
        given.audio,
        given.hidden,
        given.index,
        given.tokens,
        frames,
        torch.from_numpy(boxes),
        torch.from_numpy(rows),
    )


def test_a_steps_losses_and_new_weights_are_the_originals(shared: Path) -> None:
    folder = shared / "golden" / "talklip"
    meta = json.loads((folder / "tiny_meta.json").read_text())["nodrop_ft0"]
    generator, discriminator = network(TINY), Discriminator()
    fill(generator.state_dict())
    fill(discriminator.state_dict())
    update = Update(generator, discriminator, None, Recipe("base-no-lip", 0.0, 0.0), Fabric(accelerator="cpu"))
    told = update([golden_batch()])
    names = {"l1": "l1", "perceptual": "perceptual", "real": "disc_real", "fake": "disc_fake"}
    for ours, theirs in names.items():
        assert float(told[ours]) == pytest.approx(meta[theirs], abs=1e-6), ours
    with np.load(folder / "tiny_trainstep.npz") as golden:
        after = [name for name in golden.files if name.startswith("nodrop_ft0.after.disc.")]
        assert after
        state = discriminator.state_dict()
        for name in after:
            found = state[name.removeprefix("nodrop_ft0.after.disc.")].numpy()
            np.testing.assert_allclose(found, golden[name], rtol=0, atol=2e-6, err_msg=name)


def test_generated_faces_are_pasted_as_the_original_pastes_them(shared: Path) -> None:
    patches = torch.from_numpy(np.random.RandomState(21).random_sample((15, 3, 96, 96)).astype(np.float32))
    seen = hybrid(Sight(160, False, (36, 36, 124, 124), 88, 0.421, 0.165), golden_batch(), patches)
    with np.load(shared / "golden" / "talklip" / "tiny_forward.npz") as golden:
        # Sums of three colours in another order: 1.7e-6 of values up to 3.5.
        np.testing.assert_allclose(seen.numpy(), golden["hybrid_processed"], rtol=0, atol=3e-6)


def test_contrastive_learning_is_the_originals(shared: Path) -> None:
    generator = network(TINY)
    fill(generator.state_dict())
    torch.manual_seed(1234)
    with torch.no_grad(), np.load(shared / "golden" / "talklip" / "tiny_forward.npz") as golden:
        video, audio = (torch.from_numpy(golden[f"av_sync_{kind}"]) for kind in ("video", "audio"))
        loss = contrastive(video, generator.sync_net(audio))
        assert float(loss) == pytest.approx(float(golden["av_sync_loss_seed1234"]), abs=1e-5)


@pytest.mark.parametrize("frames", [13, 25, 75, 300])
def test_training_picks_runs_of_five_that_do_not_overlap(frames: int) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        picked, others = picked_in_training(frames, rng)
        starts = picked.reshape(-1, 5)[:, 0]
        assert (picked.reshape(-1, 5) == starts[:, None] + np.arange(5)).all()
        assert 1 <= len(starts) <= max(int(frames * 0.08), 1)
        assert starts.min() >= 1
        assert picked.max() < frames
        assert (np.diff(starts) >= 5).all()
        assert others.min() >= 0
        assert others.max() < frames
        assert (others.reshape(-1, 5)[:, 0] != starts).all()


def test_validation_picks_evenly_and_the_first_frame_lends_the_face() -> None:
    picked, others = picked_in_validation(75)
    assert picked.reshape(-1, 5)[:, 0].tolist() == [0, 9, 18, 27, 36, 45, 54, 63]
    assert not others.any()
