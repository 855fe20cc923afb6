"""Clips as a generator learns from them: the face in every frame, the frame around it, and the sound.

The faces are what is generated (96x96, TalkLip ``train.py`` and Wav2Lip); the frames are what the lip reader is shown
once a generated face has been pasted back. Where videos are not framed as LRS2's are, 160x160 around the face, the
frames are brought to that framing first, because that is what lip readers know; faces are cut from the video itself.

What is kept in the cache is small, and exact. Faces lie there as PNG, about 10 kB each, and only those are unpacked
that a step picks. Frames do not lie there at all: a video is its own best compression, a frame of H.264 is read in half
the time of the same frame as PNG, and only a lip reader looks at them. As plain pixels both took 77 to 104 kB a frame,
20 GB for 4000 clips.
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
from tlbench.media.audio import read_audio, sound_form
from tlbench.media.face_crop import centres_and_halves, face_window, steady
from tlbench.media.frame_rows import repeat_last
from tlbench.media.rates import SAMPLE_RATE
from tlbench.media.timeline import decoding_key
from tlbench.media.video_reader import DECODING, VideoReader
from tlbench.media.views import FrameFace, ToBgr, View, open_view
from tlbench.observing.cache import content_sha256
from tlbench.observing.face_boxes import BoxRule
from tlbench.training.preprocessed import KEPT_VIDEO_BYTES, PreprocessedDataset

FACE_SIDE = 96  # pixels; crop_size of TalkLip train.py
FRAME_SIDE = 160  # pixels, of LRS2's videos
FORM = 2  # of a clip's arrays
PACKING = (cv2.IMWRITE_PNG_COMPRESSION, 1)  # the quickest; level 9 saves little
WHOLE = View("reference-whole", 1, (ToBgr(),))
FRAMED = View("reference-framed", 1, (FrameFace(FRAME_SIDE), ToBgr()))

Spell = Callable[[str], list[int]]


class Faces:
    """Faces of a clip, (T, 96, 96, 3) uint8 BGR, packed without loss: ``faces[rows]`` unpacks those rows.

    Parameters
    ----------
    packed : (N,) uint8
        PNG files, one after the other.
    ends : (T,) int64
        Where each of them ends.

    Raises
    ------
    TlbenchError
        From ``faces[rows]``, if what was packed is damaged.
    """

    def __init__(self, packed: np.ndarray, ends: np.ndarray) -> None:
        self.packed = packed
        self.ends = ends

    @classmethod
    def of(cls, pictures: Iterable[np.ndarray]) -> Faces:
        """Pack pictures, (96, 96, 3) uint8 BGR each."""
        files = [cv2.imencode(".png", picture, PACKING)[1] for picture in pictures]
        return cls(np.concatenate(files), np.cumsum([len(file) for file in files]))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return np.stack([self._unpacked(int(row)) for row in rows])

    def _unpacked(self, row: int) -> np.ndarray:
        begin = int(self.ends[row - 1]) if row else 0
        picture = cv2.imdecode(self.packed[begin : self.ends[row]], cv2.IMREAD_COLOR)
        if picture is None:
            raise TlbenchError(
                f"face {row} of a clip is damaged in the cache; remove its folder material and run again"
            )
        return np.asarray(picture)


@dataclass(frozen=True)
class TrainingClip:
    """One clip of T frames.

    Attributes
    ----------
    clip : Clip
    faces : Faces
    boxes : (T, 4) int64
        x1 y1 x2 y2 of each face in the frames; x2 and y2 may pass the edge.
    samples : (N,) int16
        16 kHz.
    tokens : list of int
        What is said, as the lip reader spells it; empty if there is none.
    frames : callable
        Decodes the frames, (T, 160, 160, 3) uint8 BGR.
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

    def __getitem__(self, index: int) -> TrainingClip:
        clip, kept = self.clips[index], self.arrays(index)
        faces = Faces(kept["faces"], kept["ends"])
        frames = partial(self._frames, clip, kept["squares"])
        return TrainingClip(clip, faces, kept["boxes"], kept["samples"], self._tokens[index], frames)

    def _frames(self, clip: Clip, squares: np.ndarray) -> np.ndarray:
        """Decode a clip's frames, brought to LRS2's framing around ``squares``, (T, 4), if they have another.

        Raises TlbenchError if the video is no longer what it was.
        """
        assert clip.reference is not None  # it would not have joined the book
        stream, frames, seen = open_view(WHOLE if self._framed else FRAMED), [], 0
        for chunk in VideoReader(clip.reference, 0).frames():
            frames.append(stream.apply(chunk, repeat_last(squares, chunk.start, chunk.start + len(chunk))))
            seen += len(chunk)
        if seen != len(squares):
            raise TlbenchError(
                f"clip {clip.id}: {clip.reference.name} has {seen} frames, not {len(squares)} as when the training "
                "began; bring the old file back, or begin again"
            )
        return np.concatenate(frames)

    def _key(self, clip: Clip, sha256: str) -> Mapping[str, Any]:
        return {
            "material": FORM,
            "video": sha256,
            "decoding": DECODING + decoding_key(clip.reference, clip.audio),
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
        video = VideoReader(clip.reference, KEPT_VIDEO_BYTES)
        found = self.finder.boxes(clip, video, sha256)
        rows = found.of_person
        faces, places = [], []
        for chunk in video.frames():
            boxes = repeat_last(rows, chunk.start, chunk.start + len(chunk))
            _check_boxes(clip, boxes, *chunk.rgb.shape[1:3])
            faces += [face_of(rgb[..., ::-1], box) for rgb, box in zip(chunk.rgb, boxes, strict=True)]
            places.append(boxes)
        if not faces:
            raise ClipError("no-frames", f"clip {clip.id}: no frame to learn from; look at the file")
        packed, boxes = Faces.of(faces), np.concatenate(places)
        squares = repeat_last(steady(rows), 0, len(boxes))
        if not self._framed:
            boxes = placed(boxes, squares)
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


def _check_boxes(clip: Clip, boxes: np.ndarray, height: int, width: int) -> None:
    outside = (boxes[:, 0] >= np.minimum(boxes[:, 2], width)) | (boxes[:, 1] >= np.minimum(boxes[:, 3], height))
    if outside.any():
        edges = ",".join(map(str, boxes[outside.argmax()]))
        raise ClipError(
            "bad-boxes", f"clip {clip.id}: box {edges} leaves nothing of frame {outside.argmax()}; mend the boxes file"
        )
