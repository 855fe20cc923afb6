"""What generating a data set and a single video have in common: the network, the frames, and the entry of the log."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, Literal, TypeAlias

import av
import numpy as np
import torch

from tlbench.checkpoints.package import WEIGHTS_NAME, Package
from tlbench.errors import ClipError
from tlbench.files import file_sha256
from tlbench.generation.controls import CODEC
from tlbench.generation.generation_log import made_with
from tlbench.media.rates import FRAMES_PER_SECOND
from tlbench.media.video_reader import DECODING
from tlbench.observing.device import choose_device
from tlbench.observing.evidence import NOT_FINITE
from tlbench.observing.observer import HALF_NAME
from tlbench.talklip.checkpoint import find_generator, generator_of, open_generator
from tlbench.talklip.dataset import crop_face
from tlbench.talklip.inference import TalkLipInference, Trim
from tlbench.talklip.pasting import paste

Identity: TypeAlias = Literal["first", "same"]
Precision: TypeAlias = Literal["fp32", "bf16"]

VIDEO_BYTES = 256 * 2**20  # frames of a video up to this size are kept in memory, so that it is decoded once


class Stopped(Exception):  # noqa: N818 not an error
    """Generation was stopped by the user."""


@dataclass(frozen=True)
class GenerationConfig:
    """How faces are generated and written.

    Attributes
    ----------
    identity : "first" or "same"
        The face that the generator is given besides the upper half: the clip's first one, or that of the same frame.
    trim : "both-ends" or "end"
        See :meth:`tlbench.talklip.inference.TalkLipInference.encode_audio`.
    crf : int
        Quality of the H.264 encoder; lower is better.
    precision : "fp32" or "bf16"
    """

    identity: Identity
    trim: Trim
    crf: int
    precision: Precision


@dataclass(frozen=True)
class OpenGenerator:
    """A generator that is ready for inference, and the file it was read from."""

    checkpoint: Path
    package: Package
    inference: TalkLipInference

    @classmethod
    def open(cls, checkpoint: Path, device: str, precision: Precision) -> OpenGenerator:
        """Find and load a generator. Raises TlbenchError if there is none, or no such device."""
        path = find_generator(checkpoint)
        package = open_generator(path)
        chosen = torch.device(choose_device(device, networks=True))
        return cls(path, package, TalkLipInference(generator_of(package, path), chosen, half=precision == "bf16"))

    def log_entry(self, config: GenerationConfig) -> dict[str, Any]:
        """What decides the frames of all clips, as JSON for the generation log."""
        weights = self.checkpoint / WEIGHTS_NAME if self.checkpoint.is_dir() else self.checkpoint
        sha256 = self.package.source_sha256 or file_sha256(weights)
        return {
            "checkpoint": {"sha256": sha256, "config": dict(self.package.config)},
            "identity": config.identity,
            "pose": "lower half black",
            "trim": config.trim,
            "frames_per_second": FRAMES_PER_SECOND,
            "decoding": DECODING,
            "encoder": {"pictures": CODEC, "crf": config.crf, "sound": "aac"},
        } | ({"numbers": HALF_NAME} if config.precision == "bf16" else {})

    def log_extra(self) -> dict[str, Any]:
        """Further fields for the log, which may change when a run is continued."""
        versions = made_with({"torch": str(torch.__version__), "av": av.__version__})
        return {"checkpoint_file": self.checkpoint.name} | versions


def generate_frames(
    inference: TalkLipInference,
    frames: Iterator[tuple[int, np.ndarray]],
    boxes: list[np.ndarray | None],
    audio_features: torch.Tensor,
    identity: Identity,
    stop: Event,
) -> Iterator[np.ndarray]:
    """The frames of a video with generated faces pasted into them, computed in runs.

    Parameters
    ----------
    inference : TalkLipInference
    frames : iterator of (number, (height, width, 3) uint8 RGB)
        As many as ``audio_features`` has rows.
    boxes : list of (4,) int64 or None
        The face box of each frame by number; None for a frame that stays as it is.
    audio_features : (frames, ...) float32
    identity : "first" or "same"
    stop : Event
        When it is set, :class:`Stopped` is raised.

    Raises
    ------
    ClipError
        If a frame has no entry in ``boxes``, its box is outside the frame, or a generated face is not finite.
    """
    first: np.ndarray | None = None
    for begin in range(0, len(audio_features), inference.run_frames):
        if stop.is_set():
            raise Stopped
        run = list(itertools.islice(frames, inference.run_frames))
        shown = [(row, frame, _box(boxes, number)) for row, (number, frame) in enumerate(run)]
        with_face = [(row, frame, box) for row, frame, box in shown if box is not None]
        results = [frame.copy() for _, frame, _ in shown]  # VideoReader may return the same array again
        if with_face:
            poses = np.stack([crop_face(frame, box)[..., ::-1] for _, frame, box in with_face])
            first = poses[:1] if first is None else first
            rows = torch.tensor([begin + row for row, _, _ in with_face], device=audio_features.device)
            faces = inference.generate(audio_features[rows], poses, first if identity == "first" else poses)
            if not np.isfinite(faces).all():
                raise ClipError(
                    NOT_FINITE,
                    "the generator gives faces whose pixels are not finite numbers; its checkpoint is damaged, take "
                    "another (--checkpoint)",
                )
            for (row, _, box), face in zip(with_face, faces, strict=True):
                paste(results[row], box, np.ascontiguousarray(face[..., ::-1]))
        yield from results


def _box(boxes: list[np.ndarray | None], number: int) -> np.ndarray | None:
    if number >= len(boxes):
        raise ClipError(
            "boxes-too-short", f"{len(boxes)} face boxes, but the video has a frame {number}; find boxes again"
        )
    return boxes[number]


def audio_form(rate: int, channels: int) -> str:
    """A sample rate and a number of channels as text: ``44100 Hz in 2 channels``."""
    return f"{rate} Hz in {channels} channels" if channels > 1 else f"{rate} Hz"
