"""SyncNet in training: which speech belongs to these lips, of all that is said in the clip and in others.

Chung and Zisserman 2016 draw one pair that fits and one that does not, and push the latter apart by a margin. Here each
window of lips is matched against every window of speech of a batch at once: first of its own clip, which is about time
alone, then of all clips, which is also about what is said (Chung, Chung and Kang 2019, "Perfect match: improved
cross-modal embeddings for audio-visual synchronisation": a softmax over distances, the fitting one to be the nearest;
and the same from speech to lips, as in contrastive predictive coding, van den Oord et al. 2018, and its two-sided
form). It learns many times faster from as many frames. What comes out is read as ever: by Euclidean distances. As the
published arithmetic puts zero vectors beyond both ends of the speech, a zero vector is one of the candidates: else lips
would lie nearer to nothing than to their own speech, and short clips would fit best where there is none.

Small networks bring every embedding to one length (``Dims.norm``), so that distances, and LSE-C with them, can't grow
by longer embeddings alone and stay of the size of the published network's; the published one does not. Values of two
networks are not comparable in either case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tlbench.checkpoints.package import Package
from tlbench.errors import ClipError, TlbenchError
from tlbench.observing.evidence import Evidence
from tlbench.training.augment import jitter, relit, shifted
from tlbench.training.trainable import TOTAL, LabelInventory, Trainable, TrainingSample

from .checkpoint import OBSERVER, network_of
from .decode import window_count
from .dims import PUBLISHED, Dims
from .fast_model import FRAMES_A_WINDOW, FastSyncNet
from .inference import Lips, Passes, findings, speech_blocks
from .model import SyncNetModel, stretched
from .view import COMMON_FINDINGS, LRS2_SIDE, MEAN, OWN_FINDINGS, STD

NORM = 10.0  # two embeddings at random are then 14 apart, about as far as the published network's
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
TINY = Dims(
    side=56,
    colours=1,
    lips=(4, 8, 8, 8, 8, 32),
    speech=(4, 8, 8, 8, 8, 32),
    second_stride=1,
    hidden=32,
    embedding=16,
    norm=NORM,
)
SIZES = {"tiny": TINY, "small": SMALL, "published": PUBLISHED}
SPAN_WINDOWS = 71  # of a clip at most, cut out by chance: 3 seconds. What lies further apart in time is easily told
SPREAD = 2.65  # the softmax falls by e^(-1/2) at this distance, at first: a temperature of 0.07 for unit embeddings
OTHER_CLIPS_WEIGHT = 0.5  # two clips may say the same at times, so this charge is not always just
LOUDNESS = 1.0  # standard deviation of what is added to the log energy, the first coefficient
COLOURING = 2.0  # to the other coefficients, that of a clip as a whole: microphones differ


class LearningNetwork(nn.Module):
    """SyncNet and the sharpness of its matching, which only training has."""

    def __init__(self, model: SyncNetModel) -> None:
        super().__init__()
        self.model = model
        self.log_sharpness = nn.Parameter(torch.tensor(-2.0).mul(np.log(SPREAD)))

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses a window, in nats; the share of windows whose speech is found among all of the clip's."""
        clips, windows = batch["speech"].shape[:2]
        lips = lip_rows(self.model, batch["pictures"]).flatten(0, 1)  # (B n, embedding)
        speech = speech_rows(self.model, batch["speech"].flatten(0, 1))
        squared = (lips.square().sum(1)[:, None] + speech.square().sum(1) - 2 * lips @ speech.T).clamp(min=0)
        sharpness = 0.5 * self.log_sharpness.exp()
        logits = -sharpness * squared  # (B n, B n)
        nothing = -sharpness * lips.square().sum(1).view(clips, windows, 1)
        right = torch.arange(clips * windows, device=logits.device)
        everywhere = (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2
        blocks = logits.view(clips, windows, clips, windows).diagonal(dim1=0, dim2=2).movedim(-1, 0)  # (B, n, n)
        inside = right[:windows].expand(clips, -1)
        heard = torch.cat([blocks, nothing], dim=2)
        own = (F.cross_entropy(heard.mT, inside) + F.cross_entropy(blocks, inside)) / 2
        off = (blocks.argmax(2) - inside).abs()
        return {
            TOTAL: own + OTHER_CLIPS_WEIGHT * everywhere,
            "own_clip": own,
            "all_clips": everywhere,
            "found": off.eq(0).float().mean(),
            "found_within_1": off.le(1).float().mean(),
        }


class TrainableSyncNet(Trainable):
    """See :class:`~tlbench.training.trainable.Trainable`.

    The metric that decides is LSE-C, how clearly the best offset stands out: the share of clips in sync says all that
    is wanted, but soon 100 %, and then nothing about which checkpoint is the better one.
    """

    observer: ClassVar[str] = OBSERVER
    metric: ClassVar[str] = "lse_c/sound"
    listens: ClassVar[bool] = True
    sizes: ClassVar[tuple[str, ...]] = tuple(SIZES)

    def __init__(self, model: SyncNetModel) -> None:
        self._network = LearningNetwork(model)

    @classmethod
    def view_for(cls, size: str | Mapping[str, Any], frame_size: tuple[int, int] | None) -> str:
        if dims_of(size).colours == PUBLISHED.colours:
            return "sound"
        return "small-whole" if frame_size == (LRS2_SIDE, LRS2_SIDE) else "small-face-framed"

    @classmethod
    def begin(cls, size: str | Mapping[str, Any], curriculum: LabelInventory, seed: int) -> TrainableSyncNet:
        torch.manual_seed(seed)
        return cls(SyncNetModel(dims_of(size)))

    @classmethod
    def restore(cls, package: Package, path: Path, curriculum: LabelInventory, seed: int) -> TrainableSyncNet:
        torch.manual_seed(seed)
        return cls(network_of(package, path))

    @property
    def network(self) -> LearningNetwork:
        return self._network

    def batch(self, lessons: Sequence[TrainingSample], rng: np.random.Generator) -> dict[str, Tensor]:
        """Spans of one length, cut out of each clip by chance.

        Raises
        ------
        TlbenchError
            If a clip is too short for a single window.
        """
        fitting = [_windows_of(lesson) for lesson in lessons]
        windows = min([*fitting, SPAN_WINDOWS])
        pictures, speech = [], []
        for lesson, there in zip(lessons, fitting, strict=True):
            assert lesson.samples is not None  # listens
            begin = int(rng.integers(there - windows + 1))
            pictures.append(self._seen(lesson.pictures[begin : begin + windows + FRAMES_A_WINDOW - 1], rng))
            speech.append(speech_blocks(lesson.samples, there)[begin : begin + windows] + _microphone(rng))
        return {
            "pictures": torch.stack(pictures),  # (B, colours, T, side, side)
            "speech": torch.stack(speech),  # (B, T - 4, 13, 20)
            "frames": torch.tensor([len(lesson.pictures) for lesson in lessons]),
        }

    def _seen(self, pictures: np.ndarray, rng: np.random.Generator) -> Tensor:
        """(colours, T, side, side) float32, varied by chance."""
        if pictures.ndim == 3:
            return torch.from_numpy(jitter(pictures, rng, MEAN, STD))[None]
        varied = relit(rng).astype(np.float32)[shifted(pictures, rng)]
        return torch.from_numpy(varied).movedim(-1, 0)

    @torch.no_grad()
    def judge(self, lessons: Iterable[TrainingSample], device: torch.device) -> list[Evidence]:
        self._network.eval()
        model = self._network.model
        passes = Passes(FastSyncNet(deepcopy(model).cpu()), device)  # it is folded on the CPU
        said = []
        for lesson in lessons:
            assert lesson.samples is not None  # listens
            lips = Lips(passes, model.dims)
            lips.take(as_seen(lesson.pictures))
            try:
                values = findings(passes, {OWN_FINDINGS: lips}, len(lesson.pictures), lesson.samples)
            except ClipError as error:
                raise TlbenchError(f"clip {lesson.clip.id}: {error}") from error
            if not values[f"{COMMON_FINDINGS}_max_shift_frames"]:
                raise TlbenchError(
                    f"clip {lesson.clip.id}: too short to be judged by; leave it out of the validation part"
                )
            said.append(Evidence(OBSERVER, values))
        self._network.train()
        return said

    def package(self) -> Package:
        model = self._network.model
        tensors = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
        return Package(OBSERVER, tensors, {"dims": model.dims.to_json()})


def dims_of(size: str | Mapping[str, Any]) -> Dims:
    """One of :data:`SIZES`, or the sizes given. Raises TlbenchError if there is no such size, or it can't be."""
    try:
        return SIZES[size] if isinstance(size, str) else Dims.from_json(size)
    except KeyError as error:
        raise TlbenchError(f"syncnet has no size {size!r}; there are {', '.join(SIZES)}") from error
    except (TypeError, ValueError) as error:
        raise TlbenchError(f"syncnet: these are no sizes of it ({error})") from error


def as_seen(pictures: np.ndarray) -> np.ndarray:
    """A lesson's pictures as the view shows them: grey ones normalised, coloured ones as they are."""
    if pictures.ndim == 4:
        return pictures
    levels = ((np.arange(256) / 255.0 - MEAN) / STD).astype(np.float32)
    seen: np.ndarray = levels[pictures]
    return seen


def lip_rows(model: SyncNetModel, pictures: Tensor) -> Tensor:
    """Every 5 pictures that follow each other, embedded as by ``forward_lip``, with gradients in a third of the time.

    What costs a CPU most are convolutions over time, on their way back. Only the first layer has one: here its 5 frames
    are channels of a picture.

    Parameters
    ----------
    pictures : (B, colours, T, side, side) float32

    Returns
    -------
    (B, T - 4, embedding)
    """
    x = pictures.movedim(1, -1).unfold(1, FRAMES_A_WINDOW, 1).flatten(4)  # (B, T - 4, side, side, 5 colours)
    clips, windows = x.shape[:2]
    x = x.flatten(0, 1).movedim(-1, 1)  # channels come last in memory
    for layer in model.netcnnlip:
        x = _flat(layer, x)
    return stretched(model.netfclip(x.flatten(1)), model.dims.norm).view(clips, windows, -1)


def speech_rows(model: SyncNetModel, blocks: Tensor) -> Tensor:
    """(n, 13, 20) to (n, embedding): ``forward_aud`` with channels last in memory."""
    x = model.netcnnaud(blocks[..., None].movedim(-1, 1))
    return stretched(model.netfcaud(x.flatten(1)), model.dims.norm)


def _flat(layer: nn.Module, x: Tensor) -> Tensor:
    """A layer of the lip tower on pictures, (n, channels, h, w), in place of (n, channels, 1, h, w)."""
    if isinstance(layer, nn.Conv3d):
        assert not isinstance(layer.padding, str)
        return F.conv2d(x, layer.weight.flatten(1, 2), layer.bias, layer.stride[1:], layer.padding[1:])
    if isinstance(layer, nn.MaxPool3d):
        return F.max_pool2d(x, _in_plane(layer.kernel_size), _in_plane(layer.stride), _in_plane(layer.padding))
    if isinstance(layer, nn.BatchNorm3d):
        assert layer.momentum is not None  # else it would have to count batches
        mean, variance = layer.running_mean, layer.running_var
        return F.batch_norm(x, mean, variance, layer.weight, layer.bias, layer.training, layer.momentum, layer.eps)
    return layer(x)  # type: ignore[no-any-return]


def _in_plane(value: int | tuple[int, ...]) -> int | tuple[int, ...]:
    return value if isinstance(value, int) else value[1:]


def _windows_of(lesson: TrainingSample) -> int:
    assert lesson.samples is not None  # listens
    try:
        return window_count(len(lesson.pictures), len(lesson.samples))
    except ClipError as error:
        raise TlbenchError(f"clip {lesson.clip.id}: {error}") from error


def _microphone(rng: np.random.Generator) -> Tensor:
    """(13, 1) float32, added to every MFCC of a clip: another loudness, another microphone."""
    spread = np.full(13, COLOURING)
    spread[0] = LOUDNESS
    return torch.from_numpy(rng.normal(0, spread).astype(np.float32))[:, None]
