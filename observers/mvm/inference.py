"""MVM at work on clips: frames are kept as crops, then each clip and its mirror image go through the network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.views import View
from tlbench.observing.evidence import Evidence, Value
from tlbench.observing.lip_reader import Crops, read_together
from tlbench.observing.observer import ClipChunk, ClipState
from tlbench.observing.precision import HALF, to_half

from .decode import read, read_both
from .fast_model import FastMVM
from .model import FRAMES
from .words import WORDS, label_of

# A clip and its mirror image keep a CPU busy, and 58 pictures are as much as its cache likes; a GPU wants more.
CLIPS_A_PASS = {"cpu": 1, "cuda": 16}


class MVMClipState(ClipState):
    """The crops of one clip, and what is said in it."""

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
        if self.frames <= FRAMES:  # of a clip that is too long nothing more is needed but its length
            self._crops.take(chunk.generated, chunk.boxes)

    @property
    def crops(self) -> np.ndarray:
        """(29, 112, 112) float32, normalised, zeros after the last frame.

        Raises
        ------
        ClipError
            ``no-frames``, or ``too-long``: the original fails on such a clip too.
        """
        if self.frames > FRAMES:
            raise ClipError(
                "too-long",
                f"clip {self.clip.id}: {self.frames} frames, MVM reads {FRAMES} at most; "
                f"cut out the {FRAMES} around the word",
            )
        return filled_up(self._crops.all(self.clip.id))


def filled_up(crops: np.ndarray) -> np.ndarray:
    """(n, side, side) float32 to (29, side, side), zeros after the last."""
    whole = np.zeros((FRAMES, *crops.shape[1:]), np.float32)
    whole[: len(crops)] = crops
    return whole


class MVMInference:
    """The network, the words it chooses from, and the view of a run."""

    def __init__(
        self,
        net: FastMVM,
        view: View,
        device: torch.device,
        *,
        words: Sequence[str] = WORDS,
        half: bool = False,
    ) -> None:
        if half:
            to_half(net, whole=[net.output])
        self._net = net.to(device)
        self._numbers = HALF if half else torch.float32
        self._view = view
        self._words = words
        self._device = device

    def start_clip(self, clip: Clip, word: str) -> MVMClipState:
        """Begin with a clip. Raises ClipError if the network does not know its word."""
        return MVMClipState(clip, word, self._view, self._words)

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        """Evidence or the reason for none of each clip, in order."""
        return read_together(states, MVMClipState, lambda state: state.crops, self.read)

    def read(self, states: Sequence[MVMClipState], crops: Sequence[np.ndarray]) -> list[Evidence]:
        """What clips are taken for in these (29, side, side) float32 crops, normalised."""
        return [
            Evidence("mvm", _verdict(state, plain, mirrored, self._words))
            for state, (plain, mirrored) in zip(states, self._logits(crops), strict=True)
        ]

    def _logits(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
        """(2, 500) of each clip: as it is, and mirrored."""
        found: list[np.ndarray] = []
        size = CLIPS_A_PASS.get(self._device.type, CLIPS_A_PASS["cuda"])
        for start in range(0, len(clips), size):
            batch = clips[start : start + size]
            # Every pass has the same shape, filled up with blank clips, so that no sum is taken in another order
            # because of who else is in it.
            blank = [np.zeros_like(batch[0])] * (size - len(batch))
            crops = torch.from_numpy(np.stack([*batch, *blank])).to(self._device, self._numbers)
            logits: Tensor = self._net(torch.cat([crops, crops.flip(-1)])).unflatten(0, (2, size))
            found += list(logits.transpose(0, 1)[: len(batch)].cpu().numpy())
        return found


def _verdict(state: MVMClipState, plain: np.ndarray, mirrored: np.ndarray, words: Sequence[str]) -> dict[str, Value]:
    both, alone = read_both(plain, mirrored, state.label), read(plain, state.label)
    return {
        "word": state.word,
        "predicted": words[both.top[0]],
        "predicted_plain": words[alone.top[0]],
        "rank": both.rank,
        "rank_plain": alone.rank,
        "top5": [words[label] for label in both.top],
    }
