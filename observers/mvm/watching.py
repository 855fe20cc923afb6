"""MVM at work on clips: frames are kept as crops, then each clip and its mirror image go through the network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.video import Frames
from tlbench.media.views import View
from tlbench.observing.evidence import Evidence, Value
from tlbench.observing.observer import Watcher
from tlbench.observing.precision import HALF, to_half
from tlbench.observing.reading import Crops, read_together

from .decode import read, read_both
from .fast import FastMVM
from .model import FRAMES
from .words import WORDS, label_of

# A clip and its mirror image keep a CPU busy, and 58 pictures are as much as its cache likes; a GPU wants more.
CLIPS_A_PASS = {"cpu": 1, "cuda": 16}


class ClipWatcher(Watcher):
    """The crops of one clip, and what is said in it."""

    def __init__(self, clip: Clip, word: str, view: View, words: Sequence[str] = WORDS) -> None:
        self.clip = clip
        self.word = word
        self.label = label_of(word, clip.id, words)
        self.frames = 0
        self._crops = Crops(view)  # (n, 112, 112) float32

    def see(
        self,
        generated: Frames | None,
        reference: Frames | None,
        boxes: np.ndarray | None,
        placements: np.ndarray | None = None,
        reference_boxes: np.ndarray | None = None,
        reference_placements: np.ndarray | None = None,
    ) -> None:
        if generated is None:
            return
        self.frames += len(generated)
        if self.frames <= FRAMES:  # of a clip that is too long nothing more is needed but its length
            self._crops.take(generated, boxes)

    @property
    def crops(self) -> np.ndarray:
        """(29, 112, 112) float32, normalised, zeros after the last frame.

        Raises
        ------
        ClipError
            ``no-frames``, or ``word-length``: the original fails on such a clip too.
        """
        if self.frames > FRAMES:
            raise ClipError(
                "word-length",
                f"clip {self.clip.id}: {self.frames} frames, MVM reads {FRAMES} at most; "
                f"cut out the {FRAMES} around the word",
            )
        return filled_up(self._crops.all(self.clip.id))


def filled_up(crops: np.ndarray) -> np.ndarray:
    """(n, side, side) float32 to (29, side, side), zeros after the last."""
    whole = np.zeros((FRAMES, *crops.shape[1:]), np.float32)
    whole[: len(crops)] = crops
    return whole


class Reader:
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

    def watch(self, clip: Clip, word: str) -> ClipWatcher:
        """Begin with a clip. Raises ClipError if the network does not know its word."""
        return ClipWatcher(clip, word, self._view, self._words)

    def conclude(self, watchers: Sequence[Watcher]) -> list[Evidence | ClipError]:
        """Evidence or the reason for none of each clip, in order."""
        return read_together(watchers, ClipWatcher, lambda watcher: watcher.crops, self.read)

    def read(self, watchers: Sequence[ClipWatcher], crops: Sequence[np.ndarray]) -> list[Evidence]:
        """What clips are taken for in these (29, side, side) float32 crops, normalised."""
        return [
            Evidence("mvm", _verdict(watcher, plain, mirrored, self._words))
            for watcher, (plain, mirrored) in zip(watchers, self._logits(crops), strict=True)
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


def _verdict(watcher: ClipWatcher, plain: np.ndarray, mirrored: np.ndarray, words: Sequence[str]) -> dict[str, Value]:
    both, alone = read_both(plain, mirrored, watcher.label), read(plain, watcher.label)
    return {
        "word": watcher.word,
        "predicted": words[both.top[0]],
        "predicted_plain": words[alone.top[0]],
        "rank": both.rank,
        "rank_plain": alone.rank,
        "top5": [words[label] for label in both.top],
    }
