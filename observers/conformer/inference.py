"""The Conformer on clips: crops are collected, then several clips are decoded in one batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.views import View
from tlbench.observing.evidence import Evidence
from tlbench.observing.lip_reader import Crops, read_together
from tlbench.observing.observer import ClipChunk, ClipState
from tlbench.observing.pack_layers import pack_layers
from tlbench.observing.precision import to_half

from .decode import beam_search, ctc_greedy, teacher_forced_logits
from .fast_model import FusedFrontend, JoinedDecoder, JoinedEncoder
from .model import POSITIONS, ConformerModel, pad_features
from .tokenizer import ids_of, required_frames, text_of


class ConformerClipState(ClipState):
    """The crops of one clip and its transcript."""

    def __init__(self, clip: Clip, view: View) -> None:
        assert clip.transcript is not None  # the observer refuses a clip without a transcript
        self.clip = clip
        self.transcript = clip.transcript
        self.reference_ids = ids_of(clip.transcript, clip.id)  # (n,) int64
        # The network normalises: uint8 crops (n, 112, 112) take a quarter of the memory.
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
                f"clip {self.clip.id}: {why} {frames} frames, the Conformer reads at most {POSITIONS}; "
                "cut it into utterances",
            )


@dataclass(frozen=True)
class ConformerStart:
    """Starts clips for one view."""

    view: View

    def __call__(self, clip: Clip, samples: np.ndarray | None) -> ConformerClipState:
        """Raises ClipError if the clip has no transcript, or one that can't be spelled or is too long."""
        if clip.transcript is None:
            raise ClipError(
                "no-transcript", f"clip {clip.id}: no transcript (WER2 needs one); leave wer2 out, or add it"
            )
        return ConformerClipState(clip, self.view)


class ConformerInference:
    """The network of a run, for one view.

    Parameters
    ----------
    model : ConformerModel
        Its layers are frozen and fused.
    view : View
    device : torch.device
    free : bool
        Also decode without the transcript.
    half : bool
        Compute in bfloat16.
    packed : bool
        Multiply with packed weights.
    """

    def __init__(
        self,
        model: ConformerModel,
        view: View,
        device: torch.device,
        *,
        free: bool,
        half: bool = False,
        packed: bool = False,
    ) -> None:
        model = model.eval().requires_grad_(False)
        self._frontend = FusedFrontend(model.visual_frontend).eval().requires_grad_(False).to(device)
        self._encoder = JoinedEncoder(model.encoder).to(device)
        self._decoder = JoinedDecoder(model.decoder).to(device)
        self._ctc = model.ctc.to(device)
        self._view = view
        self._device = device
        self._free = free
        # In bfloat16 a clip is computed alone: in a batch the order of its sums differs, which can change characters.
        self._one_by_one = half
        if half:
            for network in (self._frontend, self._encoder, self._decoder):
                to_half(network, whole=[model.decoder.output_layer])
        if packed:
            for part in (self._frontend, self._encoder, self._decoder):
                pack_layers(part, whole=[model.decoder.output_layer])

    def start_clip(self, clip: Clip) -> ConformerClipState:
        """The state of a new clip. Raises ClipError as :class:`ConformerStart`."""
        return ConformerStart(self._view)(clip, None)

    @torch.inference_mode()
    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        """The evidence of each clip, or the reason why there is none, in order."""
        return read_together(states, ConformerClipState, lambda state: state.crops, self.read)

    @torch.inference_mode()
    def read(self, states: Sequence[ConformerClipState], crops: Sequence[Tensor]) -> list[Evidence]:
        """The evidence of clips with these (T, side, side) uint8 crops."""
        if self._one_by_one:
            return [self._read([one], [own])[0] for one, own in zip(states, crops, strict=True)]
        return self._read(states, crops)

    def _read(self, states: Sequence[ConformerClipState], crops: Sequence[Tensor]) -> list[Evidence]:
        features = self._frontend(crops)
        needed = [max(len(rows), required_frames(w.reference_ids)) for rows, w in zip(features, states, strict=True)]
        encoded = self._encoder([pad_features([rows], [n])[0] for rows, n in zip(features, needed, strict=True)])
        references = [torch.tensor(state.reference_ids, device=self._device) for state in states]
        logits = teacher_forced_logits(self._decoder, self._decoder.memory(encoded), references)
        read = [
            Evidence(
                "conformer",
                {
                    "reference": state.transcript,
                    "forced_ids": rows.argmax(dim=-1).cpu().numpy(),
                    "reference_ids": state.reference_ids,
                },
                bool(rows.isfinite().all()),
            )
            for state, rows in zip(states, logits, strict=True)
        ]
        if not self._free:
            return read
        free = self._read_freely(features, encoded)
        return [
            Evidence("conformer", {**one.values, **other.values}, one.finite and other.finite)
            for one, other in zip(read, free, strict=True)
        ]

    def _read_freely(self, features: Sequence[Tensor], encoded: Sequence[Tensor]) -> list[Evidence]:
        """Decode without the transcript. Features are not padded, because padding would reveal the text's length.

        ``encoded`` is used for clips that were not padded; the others are encoded again.
        """
        unpadded = list(encoded)
        padded = [index for index, rows in enumerate(features) if len(rows) < len(unpadded[index])]
        if padded:
            for index, rows in zip(padded, self._encoder([features[index] for index in padded]), strict=True):
                unpadded[index] = rows
        hypotheses = beam_search(self._decoder, self._decoder.memory(unpadded))
        logits = [self._ctc(rows.float()) for rows in unpadded]
        return [
            Evidence(
                "conformer",
                {
                    "free_hypothesis": text_of(hypothesis.ids.tolist()),
                    "ctc_hypothesis": text_of(ctc_greedy(of_frames).tolist()),
                },
                math.isfinite(hypothesis.score) and bool(of_frames.isfinite().all()),
            )
            for hypothesis, of_frames in zip(hypotheses, logits, strict=True)
        ]
