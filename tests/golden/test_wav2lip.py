"""Wav2Lip equal to the original code: generator, sync expert, discriminator, mel spectrogram.

Weights and inputs are made by formulas; outputs are those of Rudrabha/Wav2Lip on a CPU with librosa 0.9.2, and, of the
spectrogram, what the release of librosa gives that its authors pinned.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.golden.formula import fill
from tlbench.media.mel import mel_segments, mel_spectrogram
from tlbench.talklip.discriminator import Discriminator
from tlbench.talklip.wav2lip import ColourSyncNet, Wav2Lip, frames_first

FOLDER = Path(__file__).with_name("wav2lip")
TOLERANCE = 1e-5  # of values up to 1 and mels up to 4; measured 7.2e-7


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    return dict(np.load(FOLDER / "formula.npz"))


def face(shape: tuple[int, ...], step: float = 0.0173, wobble: float = 0.2) -> Tensor:
    n = np.arange(np.prod(shape), dtype=np.float64)
    wave = 0.5 + 0.5 * np.sin(n * step + wobble * np.cos(n * 0.0007))
    return torch.from_numpy(wave.astype(np.float32).reshape(shape))


def mel(shape: tuple[int, ...]) -> Tensor:
    n = np.arange(np.prod(shape), dtype=np.float64)
    return torch.from_numpy((4 * np.sin(0.031 * n) * np.cos(0.0023 * n)).astype(np.float32).reshape(shape))


def filled(network: nn.Module) -> nn.Module:
    fill(network.state_dict())
    return network.eval()


def close(found: Tensor, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("name", "network"), [("generator", Wav2Lip), ("colour_syncnet", ColourSyncNet), ("discriminator", Discriminator)]
)
def test_names_order_and_shapes_are_the_originals(name: str, network: type[nn.Module]) -> None:
    with torch.device("meta"):
        state = network().state_dict()
    manifest = json.loads((FOLDER / f"manifest_{name}.json").read_text())
    assert [[key, list(tensor.shape)] for key, tensor in state.items()] == [list(item) for item in manifest.items()]


@torch.inference_mode()
def test_faces_one_by_one_and_clips_of_faces(golden: dict[str, np.ndarray]) -> None:
    wav2lip = filled(Wav2Lip())
    assert isinstance(wav2lip, Wav2Lip)
    close(wav2lip.generate(mel((3, 1, 80, 16))[:1], face((3, 6, 96, 96))[:1]), golden["out4d_0"])
    clips = wav2lip.generate(mel((2, 5, 1, 80, 16))[:, 1:3], face((2, 6, 5, 96, 96))[:, :, 1:3])
    close(clips[..., ::6, ::6], golden["out5d_thin"][:, :, 1:3])


@torch.inference_mode()
def test_the_sync_experts_embeddings(golden: dict[str, np.ndarray]) -> None:
    heard, seen = filled(ColourSyncNet())(mel((2, 1, 80, 16)), face((2, 15, 48, 96), 0.0091, 0))
    close(heard, golden["syncnet_color_audio"])
    close(seen, golden["syncnet_color_face"])


@torch.inference_mode()
def test_the_quality_discriminator(golden: dict[str, np.ndarray]) -> None:
    found = filled(Discriminator())(frames_first(face((2, 3, 2, 96, 96), 0.0057, 0)))
    close(found, golden["disc_qual"])


@pytest.mark.parametrize(
    ("edges", "name"), [("constant", "mel_librosa092_pad_constant"), ("reflect", "mel_librosa070_pad_reflect")]
)
def test_the_mel_spectrogram(golden: dict[str, np.ndarray], edges: Literal["constant", "reflect"], name: str) -> None:
    found = mel_spectrogram(golden["wav"], edges)
    np.testing.assert_allclose(found, golden[name], rtol=0, atol=TOLERANCE)


def test_the_mel_spectrogram_of_a_clips_sound(golden: dict[str, np.ndarray]) -> None:
    samples = np.load(FOLDER.with_name("syncnet") / "clip_a.npz")["audio"]  # int16, as the original's decoder gave it
    np.testing.assert_allclose(mel_spectrogram(samples, "constant"), golden["clip_a_mel"], rtol=0, atol=TOLERANCE)


def test_each_frames_segment_begins_where_the_originals_does() -> None:
    starts = json.loads((FOLDER / "chunk_starts.json").read_text())
    numbered = np.tile(np.arange(103, dtype=np.float32), (80, 1))
    segments = mel_segments(numbered, 29)
    assert segments.shape == (29, 1, 80, 16)
    assert segments[:, 0, 0, 0].tolist() == starts["chunk_starts_inference.py"]
    assert segments[:28, 0, 0, 0].tolist() == starts["chunk_starts_gen_videos_from_filelist.py"]
