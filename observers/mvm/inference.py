"""MVM on clips: crops are collected, then the network classifies each clip and its mirror image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.views import View
from tlbench.observing.evidence import Evidence, Value
from tlbench.observing.lip_reader import Crops, read_together
from tlbench.observing.observer import ClipChunk, ClipState
from tlbench.observing.pack_layers import pack_layers
from tlbench.observing.precision import HALF, to_half

from .decode import predict, predict_both
from .fast_model import FastMVM
from .model import FRAMES
from .words import WORDS, label_of

# Clips in one batch. On a CPU, 58 pictures (a clip and its mirror image) are the best size for the cache.
CLIPS_PER_BATCH = {"cpu": 1, "cuda": 16}


class MVMClipState(ClipState):
    """The crops of one clip and its word."""

    def __init__(self, clip: Clip, word: str, view: View, words: Sequence[str] = WORDS) -> None:
        self.clip = clip
        self.word = word
        self.label = label_of(word, clip.id, words)
        self.frames = 0
        self._crops = Crops(view)  # (n, 112, 112) float32

    def update(self, chunk: ClipChunk) -> None:
        if chunk.generated is None:
            return
        self.frames += len(chunk.generated)
        if self.frames <= FRAMES:  # of a clip that is too long only the length is needed
            self._crops.take(chunk.generated, chunk.boxes)

    @property
    def crops(self) -> np.ndarray:
        """(29, 112, 112) float32, normalised, with zeros after the last frame.

        Raises
        ------
        ClipError
            ``no-frames`` or ``word-length``: the original fails on such a clip too.
        """
        if self.frames > FRAMES:
            raise ClipError(
                "word-length",
                f"clip {self.clip.id}: {self.frames} frames, MVM reads at most {FRAMES}; "
                f"cut out the {FRAMES} around the word",
            )
        return pad_crops(self._crops.all(self.clip.id))


@dataclass(frozen=True)
class MVMStart:
    """Starts clips for one view, of words that a network classifies."""

    view: View
    words: Sequence[str]

    def __call__(self, clip: Clip, samples: np.ndarray | None) -> MVMClipState:
        """Raises ClipError if the clip has no word label, or one that the network does not classify."""
        if not clip.word:
            raise ClipError("no-word", f"clip {clip.id}: no word label (ACC needs one); leave acc out, or add it")
        return MVMClipState(clip, clip.word, self.view, self.words)


def pad_crops(crops: np.ndarray) -> np.ndarray:
    """Pad (n, side, side) float32 with zeros at the end to (29, side, side)."""
    whole = np.zeros((FRAMES, *crops.shape[1:]), np.float32)
    whole[: len(crops)] = crops
    return whole


class MVMInference:
    """The network of a run, the words that it classifies, and its view; ``half`` computes in bfloat16.

    ``packed`` multiplies with packed weights.
    """

    def __init__(
        self,
        net: FastMVM,
        view: View,
        device: torch.device,
        *,
        words: Sequence[str] = WORDS,
        half: bool = False,
        packed: bool = False,
    ) -> None:
        if half:
            to_half(net, whole=[net.output])
        if packed:
            pack_layers(net, whole=[net.output])
        self._net = net.to(device)
        self._dtype = HALF if half else torch.float32
        self._words = words
        self.start = MVMStart(view, words)
        self._device = device

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        """The evidence of each clip, or the reason why there is none, in order."""
        return read_together(states, MVMClipState, lambda state: state.crops, self.read)

    def read(self, states: Sequence[MVMClipState], crops: Sequence[np.ndarray]) -> list[Evidence]:
        """The evidence of clips with these normalised (29, side, side) float32 crops."""
        return [
            Evidence("mvm", _values(state, plain, mirrored, self._words), bool(np.isfinite(plain + mirrored).all()))
            for state, (plain, mirrored) in zip(states, self.logits(crops), strict=True)
        ]

    def logits(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
        """(2, 500) logits of each clip of normalised (29, side, side) float32 crops: plain and mirrored."""
        found: list[np.ndarray] = []
        size = CLIPS_PER_BATCH.get(self._device.type, CLIPS_PER_BATCH["cuda"])
        for start in range(0, len(clips), size):
            batch = clips[start : start + size]
            # Every batch has the same shape, padded with blank clips, so that the order of sums, and so the rounding,
            # does not depend on the other clips.
            blank = [np.zeros_like(batch[0])] * (size - len(batch))
            crops = torch.from_numpy(np.stack([*batch, *blank])).to(self._device, self._dtype)
            logits: Tensor = self._net(torch.cat([crops, crops.flip(-1)])).unflatten(0, (2, size))
            found += list(logits.transpose(0, 1)[: len(batch)].cpu().numpy())
        return found


def _values(state: MVMClipState, plain: np.ndarray, mirrored: np.ndarray, words: Sequence[str]) -> dict[str, Value]:
    both, alone = predict_both(plain, mirrored, state.label), predict(plain, state.label)
    return {
        "word": state.word,
        "predicted": words[both.top[0]],
        "predicted_plain": words[alone.top[0]],
        "rank": both.rank,
        "rank_plain": alone.rank,
        "top5": [words[label] for label in both.top],
    }
