"""SyncNet in training: match windows of lips with windows of speech, within a clip and among clips.

Chung and Zisserman 2016 draw one matching and one mismatched pair and use a margin. Here every window of lips in a
batch is compared with every window of speech by a softmax over distances (Chung, Chung and Kang 2019, "Perfect match:
improved cross-modal embeddings for audio-visual synchronisation"), in both directions as in contrastive predictive
coding (van den Oord et al. 2018): first among the windows of its own clip, which is about time alone, then among those
of all clips, which is also about what is said. This learns many times faster from the same frames. The zero vector is a
further candidate within a clip, because the published arithmetic compares lips with zero vectors beyond both ends of
the speech: lips that are nearer to zero than to their own speech would match best where there is no speech.

Small networks scale every embedding to one length (``Dims.norm``). Distances, and LSE-C with them, then can't grow by
longer embeddings alone, and are about as large as the published network's, which does not scale. Values of two networks
are not comparable in either case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.checkpoints.package import Package
from tlbench.errors import ClipError, TlbenchError
from tlbench.observing.evidence import Evidence
from tlbench.training.augment import augment, normalise, random_levels, random_shift
from tlbench.training.trainable import TOTAL, LabelInventory, Trainable, TrainingSample, cpu_tensors, dims_of

from .checkpoint import FORMAT, OBSERVER
from .decode import window_count
from .dims import PUBLISHED, Dims
from .fast_model import FRAMES_A_WINDOW, FastSyncNet
from .inference import Lips, Passes, speech_blocks, sync_values
from .model import SyncNetModel, stretched
from .view import COMMON_PREFIX, LRS2_SIDE, MEAN, OWN_PREFIX, STD

NORM = 10.0  # the expected distance of two unrelated embeddings is then 14, about that of the published network
SMALL = Dims(
    side=56,
    colours=1,
    lips=(24, 48, 64, 64, 64, 256),
    speech=(24, 48, 64, 64, 64, 256),
    second_stride=1,
    hidden=256,
    embedding=128,
    norm=NORM,
)
TINY = replace(SMALL, lips=(4, 8, 8, 8, 8, 32), speech=(4, 8, 8, 8, 8, 32), hidden=32, embedding=16)
SIZES = {"tiny": TINY, "small": SMALL, "published": PUBLISHED}
MAX_WINDOWS = 71  # 3 seconds at most, cut out of a clip at random; windows further apart are easily told apart
INITIAL_SPREAD = 2.65  # distance at which the softmax falls by e^(-1/2): a temperature of 0.07 for unit embeddings
ALL_CLIPS_WEIGHT = 0.5  # less than 1, because two clips may say the same at times
LOUDNESS_STD = 1.0  # of the offset added to the log energy, the first coefficient
COLOURING_STD = 2.0  # of the offsets added to the other coefficients of a clip: microphones differ


class TrainingNetwork(nn.Module):
    """SyncNet with its loss, and the sharpness of the softmax, a parameter that only training has."""

    def __init__(self, model: SyncNetModel) -> None:
        super().__init__()
        self.model = model
        self.log_sharpness = nn.Parameter(torch.tensor(-2.0).mul(np.log(INITIAL_SPREAD)))

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses per window in nats, and the share of windows whose own speech is the nearest in the clip."""
        clips, windows = batch["speech"].shape[:2]
        lips = embed_lips(self.model, batch["pictures"]).flatten(0, 1)  # (B n, embedding)
        speech = embed_speech(self.model, batch["speech"].flatten(0, 1))
        squared = (lips.square().sum(1)[:, None] + speech.square().sum(1) - 2 * lips @ speech.T).clamp(min=0)
        sharpness = 0.5 * self.log_sharpness.exp()
        logits = -sharpness * squared  # (B n, B n)
        zero_logits = -sharpness * lips.square().sum(1).view(clips, windows, 1)  # of the zero vector
        targets = torch.arange(clips * windows, device=logits.device)
        all_clips = (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2
        blocks = logits.view(clips, windows, clips, windows).diagonal(dim1=0, dim2=2).movedim(-1, 0)  # (B, n, n)
        own_targets = targets[:windows].expand(clips, -1)
        candidates = torch.cat([blocks, zero_logits], dim=2)
        own_clip = (F.cross_entropy(candidates.mT, own_targets) + F.cross_entropy(blocks, own_targets)) / 2
        offsets = (blocks.argmax(2) - own_targets).abs()
        return {
            TOTAL: own_clip + ALL_CLIPS_WEIGHT * all_clips,
            "own_clip": own_clip,
            "all_clips": all_clips,
            "found": offsets.eq(0).float().mean(),
            "found_within_1": offsets.le(1).float().mean(),
        }


class TrainableSyncNet(Trainable):
    """See :class:`~tlbench.training.trainable.Trainable`.

    The metric that chooses the best checkpoint is LSE-C, how clearly the best offset stands out. The share of clips in
    sync soon reaches 100 %, and then can't tell two checkpoints apart.
    """

    observer: ClassVar[str] = OBSERVER
    metric: ClassVar[str] = "lse_c/sound"
    needs_audio: ClassVar[bool] = True
    sizes: ClassVar[tuple[str, ...]] = tuple(SIZES)

    def __init__(self, model: SyncNetModel) -> None:
        self._network = TrainingNetwork(model)

    @classmethod
    def view_for(cls, size: str | Mapping[str, Any], frame_size: tuple[int, int] | None) -> str:
        if dims_of(OBSERVER, SIZES, size).colours == PUBLISHED.colours:
            return "sound"
        return "small-whole" if frame_size == (LRS2_SIDE, LRS2_SIDE) else "small-face-framed"

    @classmethod
    def from_scratch(cls, size: str | Mapping[str, Any], inventory: LabelInventory, seed: int) -> TrainableSyncNet:
        torch.manual_seed(seed)
        return cls(SyncNetModel(dims_of(OBSERVER, SIZES, size)))

    @classmethod
    def from_checkpoint(cls, package: Package, path: Path, inventory: LabelInventory, seed: int) -> TrainableSyncNet:
        torch.manual_seed(seed)
        return cls(FORMAT.network_of(package, path))

    @property
    def network(self) -> TrainingNetwork:
        return self._network

    def batch(self, samples: Sequence[TrainingSample], rng: np.random.Generator) -> dict[str, Tensor]:
        """Spans of one length, cut out of the clips at random.

        Raises
        ------
        TlbenchError
            If a clip is too short for a single window.
        """
        counts = [_window_count(sample) for sample in samples]
        windows = min([*counts, MAX_WINDOWS])
        pictures, speech = [], []
        for sample, count in zip(samples, counts, strict=True):
            assert sample.samples is not None  # needs_audio
            start = int(rng.integers(count - windows + 1))
            pictures.append(self._augment(sample.pictures[start : start + windows + FRAMES_A_WINDOW - 1], rng))
            speech.append(speech_blocks(sample.samples, count)[start : start + windows] + _microphone_offset(rng))
        return {
            "pictures": torch.stack(pictures),  # (B, colours, T, side, side)
            "speech": torch.stack(speech),  # (B, T - 4, 13, 20)
            "frames": torch.tensor([len(sample.pictures) for sample in samples]),
        }

    def _augment(self, pictures: np.ndarray, rng: np.random.Generator) -> Tensor:
        """(T, side, side[, 3]) uint8 to (colours, T, side, side) float32."""
        if pictures.ndim == 3:
            return torch.from_numpy(augment(pictures, rng, MEAN, STD))[None]
        coloured = random_levels(rng).astype(np.float32)[random_shift(pictures, rng)]
        return torch.from_numpy(coloured).movedim(-1, 0)

    @torch.no_grad()
    def predict(self, samples: Iterable[TrainingSample], device: torch.device) -> list[Evidence]:
        self._network.eval()
        model = self._network.model
        passes = Passes(FastSyncNet(deepcopy(model).cpu()), device)  # its layers are fused on the CPU
        evidence = []
        for sample in samples:
            assert sample.samples is not None  # needs_audio
            lips = Lips(passes, model.dims)
            lips.take(as_shown(sample.pictures))
            try:
                values = sync_values(passes, {OWN_PREFIX: lips}, len(sample.pictures), sample.samples)
            except ClipError as error:
                raise TlbenchError(f"clip {sample.clip.id}: {error}") from error
            if not values[f"{COMMON_PREFIX}_max_shift_frames"]:
                raise TlbenchError(
                    f"clip {sample.clip.id}: too short for validation; leave it out of the validation split"
                )
            evidence.append(Evidence(OBSERVER, values))
        self._network.train()
        return evidence

    def package(self) -> Package:
        model = self._network.model
        return Package(OBSERVER, cpu_tensors(model), {"dims": model.dims.to_json()})


def as_shown(pictures: np.ndarray) -> np.ndarray:
    """A sample's pictures as its view shows them: grey ones normalised, coloured ones unchanged."""
    return pictures if pictures.ndim == 4 else normalise(pictures, MEAN, STD)


def embed_lips(model: SyncNetModel, pictures: Tensor) -> Tensor:
    """The embedding of every 5 consecutive pictures, as by ``forward_lip``, with gradients in a third of the time.

    The backward pass of a convolution over time is slow on a CPU. Only the first layer has one; here its 5 frames are
    channels of a 2-D convolution.

    Parameters
    ----------
    model : SyncNetModel
    pictures : (B, colours, T, side, side) float32

    Returns
    -------
    (B, T - 4, embedding) float32
    """
    x = pictures.movedim(1, -1).unfold(1, FRAMES_A_WINDOW, 1).flatten(4)  # (B, T - 4, side, side, 5 colours)
    clips, windows = x.shape[:2]
    x = x.flatten(0, 1).movedim(-1, 1)  # channels-last memory
    for layer in model.netcnnlip:
        x = _as_2d(layer, x)
    return stretched(model.netfclip(x.flatten(1)), model.dims.norm).view(clips, windows, -1)


def embed_speech(model: SyncNetModel, blocks: Tensor) -> Tensor:
    """(n, 13, 20) to (n, embedding): ``forward_aud`` in channels-last memory."""
    x = model.netcnnaud(blocks[..., None].movedim(-1, 1))
    return stretched(model.netfcaud(x.flatten(1)), model.dims.norm)


def _as_2d(layer: nn.Module, x: Tensor) -> Tensor:
    """Apply a 3-D layer of the lip tower to (n, channels, h, w) instead of (n, channels, 1, h, w)."""
    if isinstance(layer, nn.Conv3d):
        assert not isinstance(layer.padding, str)
        return F.conv2d(x, layer.weight.flatten(1, 2), layer.bias, layer.stride[1:], layer.padding[1:])
    if isinstance(layer, nn.MaxPool3d):
        return F.max_pool2d(x, _in_plane(layer.kernel_size), _in_plane(layer.stride), _in_plane(layer.padding))
    if isinstance(layer, nn.BatchNorm3d):
        assert layer.momentum is not None  # None would average over batches
        mean, variance = layer.running_mean, layer.running_var
        return F.batch_norm(x, mean, variance, layer.weight, layer.bias, layer.training, layer.momentum, layer.eps)
    return layer(x)  # type: ignore[no-any-return]


def _in_plane(value: int | tuple[int, ...]) -> int | tuple[int, ...]:
    return value if isinstance(value, int) else value[1:]


def _window_count(sample: TrainingSample) -> int:
    assert sample.samples is not None  # needs_audio
    try:
        return window_count(len(sample.pictures), len(sample.samples))
    except ClipError as error:
        raise TlbenchError(f"clip {sample.clip.id}: {error}") from error


def _microphone_offset(rng: np.random.Generator) -> Tensor:
    """(13, 1) float32 random offsets for a clip's MFCC, as of another loudness and another microphone."""
    std = np.full(13, COLOURING_STD)
    std[0] = LOUDNESS_STD
    return torch.from_numpy(rng.normal(0, std).astype(np.float32))[:, None]
