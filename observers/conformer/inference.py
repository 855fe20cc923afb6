"""The Conformer at work on clips: frames are kept as crops, then read together, a few clips at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.views import View
from tlbench.observing.evidence import Evidence, Value
from tlbench.observing.lip_reader import Crops, read_together
from tlbench.observing.observer import ClipChunk, ClipState
from tlbench.observing.precision import to_half

from .decode import beam_search, ctc_greedy, forced
from .fast_model import FusedFrontend, PackedDecoder, PackedEncoder
from .model import POSITIONS, ConformerModel, pad_features
from .tokenizer import ids_of, required_frames, text_of


class ConformerClipState(ClipState):
    """The crops of one clip, and what is said in it."""

    def __init__(self, clip: Clip, view: View) -> None:
        assert clip.transcript is not None  # the observer refuses a clip without
        self.clip = clip
        self.transcript = clip.transcript
        self.reference_ids = ids_of(clip.transcript, clip.id)  # (n,) int64
        # Normalising comes last and is left to the network: (n, 112, 112) uint8 are kept, a quarter of the memory.
        self._crops = Crops(View(view.name, view.version, view.steps[:-1]))
        self._check(required_frames(self.reference_ids), "its transcript needs")

    def update(self, chunk: ClipChunk) -> None:
        if chunk.generated is None:
            return
        self._check(self._crops.frames + len(chunk.generated), "it has at least")
        self._crops.take(chunk.generated, chunk.boxes)

    @property
    def crops(self) -> Tensor:
        """(T, 112, 112) uint8. Raises ClipError if there are none."""
        return torch.from_numpy(self._crops.all(self.clip.id))

    def _check(self, frames: int, why: str) -> None:
        if frames > POSITIONS:
            raise ClipError(
                "too-long",
                f"clip {self.clip.id}: {why} {frames} frames, the Conformer reads {POSITIONS} at most; "
                "cut it into utterances",
            )


class ConformerInference:
    """The network and the view of a run."""

    def __init__(
        self, model: ConformerModel, view: View, device: torch.device, *, free: bool, half: bool = False
    ) -> None:
        model = model.eval().requires_grad_(False)
        self._eye = FusedFrontend(model.visual_frontend).eval().requires_grad_(False).to(device)
        self._encoder = PackedEncoder(model.encoder).to(device)
        self._decoder = PackedDecoder(model.decoder).to(device)
        self._ctc = model.ctc.to(device)
        self._view = view
        self._device = device
        self._free = free
        # Beside others a clip's sums would be taken in another order, and in half precision that can change words.
        self._alone = half
        if half:
            for network in (self._eye, self._encoder, self._decoder):
                to_half(network, whole=[model.decoder.output_layer])

    def start_clip(self, clip: Clip) -> ConformerClipState:
        """Begin with a clip. Raises ClipError if what is said in it can't be spelt, or is too much."""
        return ConformerClipState(clip, self._view)

    @torch.inference_mode()
    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        """Evidence or the reason for none of each clip, in order."""
        return read_together(states, ConformerClipState, lambda state: state.crops, self.read)

    @torch.inference_mode()
    def read(self, states: Sequence[ConformerClipState], crops: Sequence[Tensor]) -> list[Evidence]:
        """What is read of clips in these (T, side, side) uint8 crops."""
        if self._alone:
            found = [self._read([one], [own])[0] for one, own in zip(states, crops, strict=True)]
        else:
            found = self._read(states, crops)
        return [Evidence("conformer", values) for values in found]

    def _read(self, states: Sequence[ConformerClipState], crops: Sequence[Tensor]) -> list[dict[str, Value]]:
        features = self._eye(crops)
        needed = [max(len(rows), required_frames(w.reference_ids)) for rows, w in zip(features, states, strict=True)]
        encoded = self._encoder([pad_features([rows], [n])[0] for rows, n in zip(features, needed, strict=True)])
        references = [torch.from_numpy(state.reference_ids).to(self._device) for state in states]
        ids = forced(self._decoder, self._decoder.memory(encoded), references)
        values: list[dict[str, Value]] = [
            {
                "reference": state.transcript,
                "forced_ids": written.cpu().numpy(),
                "reference_ids": state.reference_ids,
            }
            for state, written in zip(states, ids, strict=True)
        ]
        if self._free:
            for found, free in zip(values, self._read_freely(features, encoded), strict=True):
                found |= free
        return values

    def _read_freely(self, features: Sequence[Tensor], encoded: Sequence[Tensor]) -> list[dict[str, Value]]:
        """What is read by who does not know the text, not even its length: nothing is padded.

        Clips that needed no padding are as they were ``encoded``; of the others the features are encoded once more.
        """
        bare = list(encoded)
        padded = [index for index, rows in enumerate(features) if len(rows) < len(bare[index])]
        if padded:
            for index, rows in zip(padded, self._encoder([features[index] for index in padded]), strict=True):
                bare[index] = rows
        hypotheses = beam_search(self._decoder, self._decoder.memory(bare))
        return [
            {
                "free_hypothesis": text_of(hypothesis.ids.tolist()),
                "ctc_hypothesis": text_of(ctc_greedy(self._ctc(rows.float())).tolist()),
            }
            for hypothesis, rows in zip(hypotheses, bare, strict=True)
        ]
