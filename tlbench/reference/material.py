"""Clips as a generator learns from them: the face in every frame, the frame around it, and the sound.

The faces are what is generated (96x96, TalkLip ``train.py`` and Wav2Lip); the frames are what the lip reader is shown
once a generated face has been pasted back. Where videos are not framed as LRS2's are, 160x160 around the face, the
frames are brought to that framing first, because that is what lip readers know; faces are cut from the video itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.datasets.dataset import Selection
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.audio import read_audio
from tlbench.media.container import opened
from tlbench.media.filterbank import SAMPLE_RATE
from tlbench.media.framing import centres_and_halves, face_window, steady
from tlbench.media.video import DECODING, Footage
from tlbench.media.views import FrameFace, ToBgr, View, open_view
from tlbench.observing.boxing import BoxRule
from tlbench.observing.cache import content_sha256
from tlbench.training.kept import FOOTAGE_BYTES, ClipBook

FACE_SIDE = 96  # pixels; crop_size of TalkLip train.py
FRAME_SIDE = 160  # pixels, of LRS2's videos
FORM = 1  # of a clip's arrays
WHOLE = View("reference-whole", 1, (ToBgr(),))
FRAMED = View("reference-framed", 1, (FrameFace(FRAME_SIDE), ToBgr()))

Spell = Callable[[str], list[int]]


@dataclass(frozen=True)
class Material:
    """One clip.

    Attributes
    ----------
    clip : Clip
    faces : (T, 96, 96, 3) uint8 BGR
    frames : (T, 160, 160, 3) uint8 BGR
    boxes : (T, 4) int64
        x1 y1 x2 y2 of each face in ``frames``; x2 and y2 may pass the edge.
    samples : (N,) int16
        16 kHz.
    tokens : list of int
        What is said, as the lip reader spells it; empty if there is none.
    """

    clip: Clip
    faces: np.ndarray
    frames: np.ndarray
    boxes: np.ndarray
    samples: np.ndarray
    tokens: list[int]

    def __len__(self) -> int:
        return len(self.frames)


class MaterialBook(ClipBook):
    """The material of a part of a data set, in order.

    Parameters
    ----------
    selection : Selection
        Its reference videos.
    boxes : BoxRule
    cache : Path
    shortest : int
        Frames that a clip must have.
    spell : callable or None
        Turns a transcript into token numbers, or raises TlbenchError; None if nobody reads what is generated.

    Attributes
    ----------
    converted : dict of clip id to str
        Clips whose sound was not 16 kHz in one channel, and what it was.
    """

    def __init__(
        self, selection: Selection, boxes: BoxRule, cache: Path, *, shortest: int, spell: Spell | None = None
    ) -> None:
        super().__init__(selection, boxes, cache, "material")
        self._framed = selection.dataset.frame_size == (FRAME_SIDE, FRAME_SIDE)
        self._shortest = shortest
        self._spell = spell
        self._tokens: list[list[int]] = []
        self.converted: dict[str, str] = {}

    def __getitem__(self, index: int) -> Material:
        kept = self.arrays(index)
        faces = kept.get("faces")
        if faces is None:
            faces = np.stack([face_of(frame, box) for frame, box in zip(kept["frames"], kept["boxes"], strict=True)])
        return Material(self.clips[index], faces, kept["frames"], kept["boxes"], kept["samples"], self._tokens[index])

    def _key(self, clip: Clip, sha256: str) -> Mapping[str, Any]:
        return {
            "material": FORM,
            "video": sha256,
            "decoding": DECODING,
            "boxes": self.finder.identity(clip, sha256),
            "framed": self._framed,
            "sound": "" if clip.audio is None else content_sha256(clip.audio, clip.id, "sound"),
        }

    def _take(self, clip: Clip, arrays: Mapping[str, np.ndarray]) -> int:
        frames = len(arrays["boxes"])
        if int(arrays["missing"]) == frames:
            raise ClipError("no-face", f"clip {clip.id}: no face was found in any frame; give boxes, or leave it out")
        if frames < self._shortest:
            raise ClipError(
                "too-short",
                f"clip {clip.id}: {frames} frames are too few to pick and mask from; {self._shortest} are needed",
            )
        rate, channels = (int(number) for number in arrays["sound"])
        tokens = self._spelt(clip)
        if (rate, channels) != (SAMPLE_RATE, 1):
            self.converted[clip.id] = f"{rate} Hz in {channels} channels" if channels > 1 else f"{rate} Hz"
        self._tokens.append(tokens)
        return frames

    def _spelt(self, clip: Clip) -> list[int]:
        if self._spell is None:
            return []
        if not clip.transcript:
            raise ClipError("no-transcript", f"clip {clip.id}: the lip reader has no text to compare with")
        try:
            return self._spell(clip.transcript)
        except TlbenchError as error:
            raise ClipError("unknown-text", f"clip {clip.id}: {error}") from error

    def _make(self, clip: Clip, sha256: str) -> Mapping[str, np.ndarray]:
        assert clip.reference is not None  # content_sha256 refuses a clip without one
        speech = clip.audio or clip.reference
        samples = read_audio(speech)
        video = Footage(clip.reference, FOOTAGE_BYTES)
        found = self.finder.boxes(clip, video, sha256)
        boxes, missing = found.xyxy, found.missing
        squares = steady(boxes)
        stream = open_view(FRAMED if not self._framed else WHOLE)
        frames, faces, places = [], [], []
        for run in video.frames():
            rows = np.minimum(run.start + np.arange(len(run)), len(boxes) - 1)
            frames.append(stream.see(run, squares[rows]))
            places.append(boxes[rows] if self._framed else placed(boxes[rows], squares[rows]))
            if not self._framed:
                faces += [face_of(rgb[..., ::-1], box) for rgb, box in zip(run.rgb, boxes[rows], strict=True)]
        if not frames:
            raise ClipError("no-frames", f"clip {clip.id}: no frame to learn from; look at the file")
        whole, inside = np.concatenate(frames), np.concatenate(places)
        _check_boxes(clip, whole, inside)
        return {
            "boxes": inside,
            "missing": np.array(missing),
            "sound": np.array(_sound_of(speech)),
            "samples": samples,
            "frames": whole,
            **({"faces": np.stack(faces)} if faces else {}),
        }


def face_of(frame: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The face in a box, (96, 96, 3) uint8: cut at the frame's edge and resized as ``croppatch`` in ``train.py``.

    There x2 and y2 are both held to the frame's width, which is its height as well in LRS2; here each to its own.
    Raises ClipError if nothing of the box lies in the frame.
    """
    x1, y1, x2, y2 = (max(int(edge), 0) for edge in box)
    face = frame[y1:y2, x1:x2]
    if face.size == 0:
        raise ClipError("bad-boxes", f"box {x1},{y1},{x2},{y2} leaves nothing of its frame; mend the boxes")
    return np.asarray(cv2.resize(face, (FACE_SIDE, FACE_SIDE), interpolation=cv2.INTER_LINEAR))


def placed(boxes: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """(n, 4) int64: where boxes lie once their frames are brought to LRS2's framing around ``squares``, (n, 4)."""
    rows = []
    for box, (x, y, half_px) in zip(boxes.astype(np.float64), centres_and_halves(squares), strict=True):
        left, top, right, bottom = face_window(x, y, half_px)
        shrunk = np.array([FRAME_SIDE / (right - left), FRAME_SIDE / (bottom - top)] * 2)
        rows.append((box - [left, top, left, top]) * shrunk)
    whole: np.ndarray = np.clip(np.rint(np.stack(rows)), 0, None).astype(np.int64)
    return whole


def _check_boxes(clip: Clip, frames: np.ndarray, boxes: np.ndarray) -> None:
    height, width = frames.shape[1:3]
    outside = (boxes[:, 0] >= np.minimum(boxes[:, 2], width)) | (boxes[:, 1] >= np.minimum(boxes[:, 3], height))
    if outside.any():
        edges = ",".join(map(str, boxes[outside.argmax()]))
        raise ClipError(
            "bad-boxes", f"clip {clip.id}: box {edges} leaves nothing of frame {outside.argmax()}; mend the boxes file"
        )


def _sound_of(path: Path) -> tuple[int, int]:
    """Rate and channels of a file's sound as it is there; :func:`read_audio` has read it before."""
    with opened(path) as container:
        stream = container.streams.audio[0]
        return stream.codec_context.sample_rate, stream.codec_context.channels
