"""TalkLip equal to the original code: names, faces, what each stage sees, audio embeddings, the discriminator.

Weights and inputs are made by formulas (``formula.py``, ``talklip_inputs.py``); outputs are those of Sxjdwang/TalkLip
on a CPU, with AV-HuBERT's audio encoder at the published size ("base") or a tiny one. ``talklip/`` holds those of the
tiny one, three of its fifteen faces; the rest needs the shared folder.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.golden.formula import fill
from tests.golden.talklip_inputs import Inputs, inputs
from tests.golden.test_avhubert_encoder import BASE, TINY
from tlbench.observers.avhubert.dims import Dims
from tlbench.observers.avhubert.expert import AVHubertAudioEncoder
from tlbench.talklip.discriminator import Discriminator
from tlbench.talklip.generator import GeneratorDims, TalkLip

FOLDER = Path(__file__).with_name("talklip")
TOLERANCE = 1e-5  # absolute, of values around 1; measured 3.1e-6 (audio embedding), 3.6e-7 (faces)
KEPT = [0, 7, 14]  # of the selected faces, kept next to this test
AUDIO = {"tiny": TINY, "base": BASE}


def network(audio: Dims) -> TalkLip:
    width = audio.encoder_width
    dims = GeneratorDims("global", audio_width=width, contrast_width=width)
    return TalkLip(dims, AVHubertAudioEncoder(audio)).eval()


@pytest.fixture(scope="module")
def batch() -> Inputs:
    return inputs()


@pytest.fixture(scope="module")
def tiny() -> TalkLip:
    model = network(TINY)
    fill(model.state_dict())
    return model


@pytest.fixture(scope="module")
def discriminator() -> Discriminator:
    discriminator = Discriminator().eval()
    fill(discriminator.state_dict())
    return discriminator


@pytest.mark.parametrize("size", ["tiny", "base"])
def test_names_order_and_shapes_are_the_originals(size: str) -> None:
    with torch.device("meta"):
        state = network(AUDIO[size]).state_dict()
    manifest = json.loads((FOLDER / f"manifest_gen_{size}.json").read_text())
    assert [[name, list(tensor.shape)] for name, tensor in state.items()] == [list(item) for item in manifest.items()]


def test_the_discriminators_too() -> None:
    with torch.device("meta"):
        state = Discriminator().state_dict()
    manifest = json.loads((FOLDER / "manifest_disc.json").read_text())
    assert [[name, list(tensor.shape)] for name, tensor in state.items()] == [list(item) for item in manifest.items()]


def close(found: torch.Tensor, golden: np.ndarray) -> None:
    np.testing.assert_allclose(found.numpy(), golden, rtol=0, atol=TOLERANCE)


@torch.inference_mode()
def check_audio(model: TalkLip, batch: Inputs, golden: dict[str, np.ndarray]) -> None:
    np.testing.assert_array_equal(batch.index, golden["audio_idx"])
    np.testing.assert_array_equal(batch.padding_mask, golden["padding_mask"])
    features = model.audio_encoder(batch.audio, batch.padding_mask)  # (B, T, C)
    close(features.transpose(0, 1), golden["gen_eval_audio_embedding"])
    selected = model.audio_embedding(batch.audio, batch.padding_mask, batch.index)
    embeddings = golden["gen_eval_audio_embedding"].transpose(1, 0, 2).reshape(-1, model.dims.audio_embedding_width)
    close(selected, embeddings[batch.index])


@torch.inference_mode()
def check_looking(model: TalkLip, batch: Inputs, golden: dict[str, np.ndarray]) -> None:
    for stage, seen in enumerate(model.encode_faces(batch.faces[:2])):
        close(seen.flatten(1)[:, :64], golden[f"face_feat{stage}_slice"])


def test_the_tiny_audio_encoder_is_the_originals(tiny: TalkLip, batch: Inputs) -> None:
    check_audio(tiny, batch, dict(np.load(FOLDER / "tiny_forward.npz")))


def test_each_stage_of_the_face_encoder_is_the_originals(tiny: TalkLip, batch: Inputs) -> None:
    check_looking(tiny, batch, dict(np.load(FOLDER / "tiny_forward.npz")))


@torch.inference_mode()
def test_tiny_generates_the_originals_faces(tiny: TalkLip, discriminator: Discriminator, batch: Inputs) -> None:
    golden = np.load(FOLDER / "tiny_forward.npz")
    generated = tiny(batch.audio, batch.padding_mask, batch.index[KEPT], batch.faces[KEPT])
    close(generated, golden["gen_eval_out_0_7_14"])
    close(discriminator(generated), golden["disc_gen"][KEPT])
    close(discriminator(batch.real[KEPT]), golden["disc_gt"][KEPT])
    expected = -np.log(golden["disc_gen"][KEPT]).mean()
    assert float(discriminator.perceptual(generated)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("size", ["tiny", "base"])
def test_all_recorded_faces(shared: Path, discriminator: Discriminator, batch: Inputs, size: str) -> None:
    golden = dict(np.load(shared / "golden" / "talklip" / f"{size}_forward.npz"))
    model = network(AUDIO[size])
    fill(model.state_dict())
    check_audio(model, batch, golden)
    check_looking(model, batch, golden)
    with torch.inference_mode():
        generated = model(batch.audio, batch.padding_mask, batch.index, batch.faces)
        close(generated, golden["gen_eval_out"])
        close(discriminator(generated), golden["disc_gen"])
        close(discriminator(batch.real), golden["disc_gt"])
        assert float(discriminator.perceptual(generated)) == pytest.approx(float(golden["perceptual_gen"]), abs=1e-6)
