"""Trains Wav2Lip's sync expert: do five lower halves of a face and 0.2 s of speech belong together?

The loss is that of Rudrabha/Wav2Lip ``color_syncnet_train.py``: binary cross-entropy of the cosine similarity of both
embeddings. There a sample is one window of a clip with its own speech or, as often, with that of another window of the
clip. Here several windows of a clip are embedded, and each is compared with the speech of all of them; pairs that
belong together count as much as all others, so that the loss is the same in expectation, from more pairs. The optimiser
and its schedule are those of all trainings of observers (AdamW, half a cosine); the original has Adam at 1e-4.

Faces are those of the generators, from the same cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from tlbench.checkpoints.package import Package
from tlbench.datasets.selection import Selection
from tlbench.media.mel import mel_spectrogram
from tlbench.metrics.metric import Metric
from tlbench.metrics.tally import MeanTally
from tlbench.observing.evidence import Evidence
from tlbench.observing.face_boxes import EMBEDDED, choose_rule
from tlbench.talklip.batches import to_float
from tlbench.talklip.dataset import TalkLipDataset, TrainingClip
from tlbench.talklip.losses import sync_losses
from tlbench.talklip.sync_expert import SYNC_EXPERT, read_published_sync, sync_network_of
from tlbench.talklip.sync_windows import MIN_WINDOW_FRAMES, frames_of, window_speech, window_starts
from tlbench.talklip.wav2lip import ColourSyncNet, SyncDims, lower_halves
from tlbench.training.trainable import TOTAL, LabelInventory, Trainable, cpu_tensors, dims_of

VIEW = "face"
VIEW_ID = "wav2lip-face@1"  # the face box, resized to 96x96
WINDOWS = 5  # of a clip in a batch; batches of 64 samples as published are then 13 clips of 3 s, 1000 frames
SYNC_STRIDE = 5  # frames between two windows of a validation clip
SIZES = {"tiny": SyncDims(1 / 16, 8), "small": SyncDims(1 / 4, 128), "published": SyncDims()}


def pair_losses(speech: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """Losses of the windows of B clips, each compared with the speech of all windows of its clip.

    Parameters
    ----------
    speech, faces : (B, n, C)
        Embeddings, n at least 2.

    Returns
    -------
    ((B, n), (B, n, n - 1))
        The sync losses of pairs that belong together, and of those that do not, in nats.
    """
    clips, count = speech.shape[:2]
    shape = clips, count, count, speech.shape[2]
    said, shown = speech[:, None].expand(shape).flatten(0, 2), faces[:, :, None].expand(shape).flatten(0, 2)
    matching = torch.eye(count, device=speech.device).expand(clips, -1, -1)
    losses = sync_losses(said, shown, matching.flatten()).view(clips, count, count)
    own = losses.diagonal(dim1=1, dim2=2)
    return own, losses[matching == 0].view(clips, count, count - 1)


class TrainingNetwork(nn.Module):
    """The sync expert with its loss."""

    def __init__(self, model: ColourSyncNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses in nats, and the share of windows whose own speech is the most similar of the clip's windows."""
        clips, windows = batch["speech"].shape[:2]
        speech, faces = self.model(batch["speech"].flatten(0, 1), lower_halves(batch["faces"].flatten(0, 1)))
        speech, faces = speech.view(clips, windows, -1), faces.view(clips, windows, -1)
        own, other = pair_losses(speech, faces)
        nearest = (faces.detach() @ speech.detach().mT).argmax(2)  # (B, n)
        found = nearest == torch.arange(windows, device=nearest.device)
        return {
            TOTAL: (own.mean() + other.mean()) / 2,
            "matching": own.mean(),
            "mismatched": other.mean(),
            "found": found.float().mean(),
        }


class TrainableSyncExpert(Trainable):
    """See :class:`~tlbench.training.trainable.Trainable`. The best checkpoint is that of the lowest loss."""

    observer: ClassVar[str] = SYNC_EXPERT
    metric: ClassVar[str] = "sync_loss/sound"
    needs_audio: ClassVar[bool] = True
    sizes: ClassVar[tuple[str, ...]] = tuple(SIZES)

    def __init__(self, model: ColourSyncNet) -> None:
        self._network = TrainingNetwork(model)

    @classmethod
    def views(cls) -> Mapping[str, str]:
        return {VIEW: VIEW_ID}

    @classmethod
    def reads(cls) -> bool:
        return False

    @classmethod
    def validation_metric(cls) -> Metric:
        return SYNC_LOSS

    @classmethod
    def read_published(cls, path: Path) -> Package:
        return read_published_sync(path)

    @classmethod
    def own_clips(cls, selection: Selection, cache: Path) -> TalkLipDataset:
        rule, _ = choose_rule(selection.fixed_box, EMBEDDED, 0, {})
        return TalkLipDataset(selection, rule, cache, min_frames=MIN_WINDOW_FRAMES)

    @classmethod
    def view_for(cls, size: str | Mapping[str, Any], frame_size: tuple[int, int] | None) -> str:
        return VIEW

    @classmethod
    def from_scratch(cls, size: str | Mapping[str, Any], inventory: LabelInventory, seed: int) -> TrainableSyncExpert:
        torch.manual_seed(seed)
        return cls(ColourSyncNet(dims_of(SYNC_EXPERT, SIZES, size)))

    @classmethod
    def from_checkpoint(cls, package: Package, path: Path, inventory: LabelInventory, seed: int) -> TrainableSyncExpert:
        return cls(sync_network_of(package, path).train())

    @property
    def network(self) -> TrainingNetwork:
        return self._network

    def batch(self, samples: Sequence[TrainingClip], rng: np.random.Generator) -> dict[str, Tensor]:
        """Windows of each clip at random, no two of which begin with the same frame.

        Raises
        ------
        TlbenchError
            If a clip's sound is too short.
        """
        mels = [mel_spectrogram(clip.samples) for clip in samples]
        possible = [
            window_starts(len(clip), mel.shape[1], clip.clip.id) for clip, mel in zip(samples, mels, strict=True)
        ]
        count = min(WINDOWS, *map(len, possible))
        starts = [rng.choice(of_clip, count, replace=False) for of_clip in possible]
        return {
            "faces": torch.stack([_faces(clip, chosen) for clip, chosen in zip(samples, starts, strict=True)]),
            "speech": torch.stack(
                [torch.from_numpy(window_speech(mel, chosen)) for mel, chosen in zip(mels, starts, strict=True)]
            ),
            "frames": torch.tensor([len(clip) for clip in samples]),
        }

    @torch.no_grad()
    def predict(self, samples: Iterable[TrainingClip], device: torch.device) -> list[Evidence]:
        """The mean loss of windows that are evenly spaced in each clip, and how many find their own speech."""
        self._network.eval()
        evidence = []
        for clip in samples:
            mel = mel_spectrogram(clip.samples)
            possible = window_starts(len(clip), mel.shape[1], clip.clip.id)
            starts = possible[:: max(min(SYNC_STRIDE, len(possible) // 2), 1)]
            batch = {"faces": _faces(clip, starts)[None], "speech": torch.from_numpy(window_speech(mel, starts))[None]}
            losses = self._network({name: tensor.to(device) for name, tensor in batch.items()})
            evidence.append(Evidence(SYNC_EXPERT, {"loss": float(losses[TOTAL]), "found": float(losses["found"])}))
        self._network.train()
        return evidence

    def package(self) -> Package:
        model = self._network.model
        return Package(SYNC_EXPERT, cpu_tensors(model), {"dims": model.dims.to_json()})


SYNC_LOSS = Metric(
    name="sync_loss",
    arithmetic="sound",
    label="Sync loss",
    observer=SYNC_EXPERT,
    view=VIEW,
    unit="nats",
    better="lower",
    version=1,
    tally=lambda evidence: MeanTally(evidence.number("loss"), 1),
    description="Loss of Wav2Lip's sync expert, a mean over clips; only chooses a checkpoint in training.",
    aggregation="clips",
)


def _faces(clip: TrainingClip, starts: np.ndarray) -> Tensor:
    """(5 n, 3, 96, 96) float32 of the windows that begin at ``starts``."""
    return to_float(clip.faces[frames_of(starts)])
