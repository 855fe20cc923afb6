"""Training data of a generator: the face in every frame, the frames around it, and the audio of each clip.

The faces are the generator's targets (96x96, TalkLip ``train.py`` and Wav2Lip); the frames are what the expert is given
after generated faces have been pasted into them. Videos that do not have LRS2's framing, 160x160 around the face, are
brought to that framing for the expert; faces are cropped from the original video.

The cache keeps faces as PNG, lossless and about 10 kB each, and only the selected ones are decoded for a step. Frames
are not kept: decoding them from the video takes half the time of decoding PNG, and only an expert needs them. As raw
pixels both took 77 to 104 kB a frame, 20 GB for 4000 clips.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.datasets.selection import Selection
from tlbench.errors import ClipError, TlbenchError
from tlbench.generation.face_patch import crop_face
from tlbench.media.audio import read_whole_audio, sound_form, why_silent
from tlbench.media.face_crop import centres_and_halves, face_window, steady
from tlbench.media.frame_rows import repeat_last
from tlbench.media.rates import SAMPLE_RATE
from tlbench.media.timeline import decoding_key
from tlbench.media.video_reader import DECODING, KEPT_VIDEO_BYTES, VideoReader
from tlbench.media.views import FrameFace, ToBgr, View, open_view
from tlbench.observing.cache import content_sha256
from tlbench.observing.face_boxes import BoxRule
from tlbench.training.preprocessed import PreprocessedDataset

FRAME_SIDE = 160  # pixels, of LRS2's videos
FORMAT = 2  # version of the arrays in the cache
FACE_SIDE = 96  # pixels; crop_size of TalkLip train.py
PNG_OPTIONS = (cv2.IMWRITE_PNG_COMPRESSION, 1)  # the fastest; level 9 saves little
WHOLE_FRAME = View("reference-whole", 1, (ToBgr(),))
FACE_FRAMED = View("reference-framed", 1, (FrameFace(FRAME_SIDE), ToBgr()))

Tokenize = Callable[[str], list[int]]


class Faces:
    """Faces of a clip as PNG files; ``faces[rows]`` decodes those rows to (n, 96, 96, 3) uint8 BGR.

    Parameters
    ----------
    packed : (N,) uint8
        T PNG files, one after the other.
    ends : (T,) int64
        The end of each file in ``packed``.

    Raises
    ------
    TlbenchError
        From ``faces[rows]``, if a file is damaged.
    """

    def __init__(self, packed: np.ndarray, ends: np.ndarray) -> None:
        self.packed = packed
        self.ends = ends

    @classmethod
    def encode(cls, faces: Iterable[np.ndarray]) -> Faces:
        """Encode faces, (96, 96, 3) uint8 BGR each."""
        files = [cv2.imencode(".png", face, PNG_OPTIONS)[1] for face in faces]
        return cls(np.concatenate(files), np.cumsum([len(file) for file in files]))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return np.stack([self._decoded(int(row)) for row in rows])

    def _decoded(self, row: int) -> np.ndarray:
        begin = int(self.ends[row - 1]) if row else 0
        face = cv2.imdecode(self.packed[begin : self.ends[row]], cv2.IMREAD_COLOR)
        if face is None:
            raise TlbenchError(
                f"face {row} of a clip is damaged in the cache; remove the cache's folder 'material' and run again"
            )
        return np.asarray(face)


@dataclass(frozen=True)
class TrainingClip:
    """One clip of T frames.

    Attributes
    ----------
    clip : Clip
    faces : Faces
    boxes : (T, 4) int64
        x1 y1 x2 y2 of each face in ``frames``; x2 and y2 may be outside the frame.
    samples : (N,) int16
        16 kHz.
    tokens : list of int
        The transcript; empty without an expert.
    frames : callable
        Takes no argument and decodes the frames, (T, 160, 160, 3) uint8 BGR.
    """

    clip: Clip
    faces: Faces
    boxes: np.ndarray
    samples: np.ndarray
    tokens: list[int]
    frames: Callable[[], np.ndarray]

    def __len__(self) -> int:
        return len(self.boxes)


class TalkLipDataset(PreprocessedDataset):
    """The clips of one split of a data set, in order; ``dataset[index]`` is a :class:`TrainingClip`.

    Parameters
    ----------
    selection : Selection
        Its reference videos.
    boxes : BoxRule
    cache : Path
    min_frames : int
        Shorter clips are left out.
    tokenize : callable or None
        Transcript to token numbers; raises TlbenchError if it can't. None without an expert.

    Attributes
    ----------
    converted : dict of clip id to str
        Clips with audio other than 16 kHz mono, and the form of their audio.
    """

    def __init__(
        self, selection: Selection, boxes: BoxRule, cache: Path, *, min_frames: int, tokenize: Tokenize | None = None
    ) -> None:
        super().__init__(selection, boxes, cache, "material")
        self._lrs2_framing = selection.dataset.frame_size == (FRAME_SIDE, FRAME_SIDE)
        self._min_frames = min_frames
        self._tokenize = tokenize
        self._tokens: list[list[int]] = []
        self.converted: dict[str, str] = {}

    def __getitem__(self, index: int) -> TrainingClip:
        clip, kept = self.clips[index], self.arrays(index)
        faces = Faces(kept["faces"], kept["ends"])
        frames = partial(self._frames, clip, kept["squares"])
        return TrainingClip(clip, faces, kept["boxes"], kept["samples"], self._tokens[index], frames)

    def _frames(self, clip: Clip, squares: np.ndarray) -> np.ndarray:
        """Decode a clip's frames, in LRS2's framing around ``squares``, (T, 4).

        Raises TlbenchError if the number of frames is no longer the same.
        """
        assert clip.reference is not None  # other clips are left out
        stream, frames, count = open_view(WHOLE_FRAME if self._lrs2_framing else FACE_FRAMED), [], 0
        for chunk in VideoReader(clip.reference, 0).frames():
            frames.append(stream.apply(chunk, repeat_last(squares, chunk.start, chunk.start + len(chunk))))
            count += len(chunk)
        if count != len(squares):
            raise TlbenchError(
                f"clip {clip.id}: {clip.reference.name} has {count} frames, not {len(squares)} as at the start of "
                "the training; restore the file, or train in another folder (--out)"
            )
        return np.concatenate(frames)

    def _key(self, clip: Clip, sha256: str) -> Mapping[str, Any]:
        return {
            "material": FORMAT,
            "video": sha256,
            "decoding": DECODING + decoding_key(clip.reference, clip.audio),
            "boxes": self.finder.identity(clip, sha256),
            "framed": self._lrs2_framing,
            "sound": "" if clip.audio is None else content_sha256(clip.audio, clip.id, "sound"),
        }

    def _take(self, clip: Clip, arrays: Mapping[str, np.ndarray]) -> int:
        frames = len(arrays["boxes"])
        if int(arrays["missing"]) == frames:
            raise ClipError(
                "no-face",
                f"clip {clip.id}: no face was found in any frame; give boxes (--boxes), or leave the clip out",
            )
        if frames < self._min_frames:
            raise ClipError(
                "too-short",
                f"clip {clip.id}: has {frames} frames; at least {self._min_frames} are needed",
            )
        rate, channels = (int(number) for number in arrays["sound"])
        tokens = self._tokens_of(clip)
        if (rate, channels) != (SAMPLE_RATE, 1):
            self.converted[clip.id] = f"{rate} Hz in {channels} channels" if channels > 1 else f"{rate} Hz"
        self._tokens.append(tokens)
        return frames

    def _tokens_of(self, clip: Clip) -> list[int]:
        if self._tokenize is None:
            return []
        if not clip.transcript:
            raise ClipError("no-transcript", f"clip {clip.id}: has no transcript, which the expert needs")
        try:
            return self._tokenize(clip.transcript)
        except TlbenchError as error:
            raise ClipError("unknown-text", f"clip {clip.id}: {error}") from error

    def _make(self, clip: Clip, sha256: str) -> Mapping[str, np.ndarray]:
        assert clip.reference is not None  # content_sha256 refuses a clip without one
        speech = clip.audio or clip.reference
        samples = read_whole_audio(speech)
        silent = why_silent(samples)
        if silent is not None:
            raise ClipError("silent-audio", f"clip {clip.id}: {silent}; silence fits any mouth, so leave it out")
        video = VideoReader(clip.reference, KEPT_VIDEO_BYTES)
        found = self.finder.boxes(clip, video, sha256)
        rows = found.of_person
        faces, box_rows = [], []
        for chunk in video.frames():
            boxes = repeat_last(rows, chunk.start, chunk.start + len(chunk))
            _check_boxes(clip, boxes, *chunk.rgb.shape[1:3])
            faces += [crop_face(rgb[..., ::-1], box) for rgb, box in zip(chunk.rgb, boxes, strict=True)]
            box_rows.append(boxes)
        if not faces:
            raise ClipError("no-frames", f"clip {clip.id}: the video has no frames; check the file")
        packed, boxes = Faces.encode(faces), np.concatenate(box_rows)
        squares = repeat_last(steady(rows), 0, len(boxes))
        if not self._lrs2_framing:
            boxes = boxes_in_crop(boxes, squares)
            _check_boxes(clip, boxes, FRAME_SIDE, FRAME_SIDE)
        return {
            "boxes": boxes,
            "squares": squares,
            "missing": np.array(found.missing),
            "sound": np.array(sound_form(speech)),
            "samples": samples,
            "faces": packed.packed,
            "ends": packed.ends,
        }


def boxes_in_crop(boxes: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Boxes after their frames have been brought to LRS2's framing around ``squares``, (n, 4): (n, 4) int64."""
    rows = []
    for box, (x, y, half_px) in zip(boxes.astype(np.float64), centres_and_halves(squares), strict=True):
        left, top, right, bottom = face_window(x, y, half_px)
        scale = np.array([FRAME_SIDE / (right - left), FRAME_SIDE / (bottom - top)] * 2)
        rows.append((box - [left, top, left, top]) * scale)
    rounded: np.ndarray = np.clip(np.rint(np.stack(rows)), 0, None).astype(np.int64)
    return rounded


def _check_boxes(clip: Clip, boxes: np.ndarray, height: int, width: int) -> None:
    outside = (boxes[:, 0] >= np.minimum(boxes[:, 2], width)) | (boxes[:, 1] >= np.minimum(boxes[:, 3], height))
    if outside.any():
        edges = ",".join(map(str, boxes[outside.argmax()]))
        raise ClipError(
            "bad-boxes", f"clip {clip.id}: box {edges} is outside frame {outside.argmax()}; correct the boxes file"
        )
