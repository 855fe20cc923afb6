"""The files that a recipe's script reads of a clip, and its video put in the place of the clip's."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.generation.encoding import CODEC
from tlbench.generation.recipe import Recipe, RecipeCrop, RecipeInput
from tlbench.media.audio import read_whole_audio
from tlbench.media.faces import Boxes
from tlbench.media.rates import FRAMES_PER_SECOND, SAMPLE_RATE
from tlbench.media.video_reader import VideoReader
from tlbench.media.video_writer import write_video
from tlbench.media.wav_file import write_wav

INPUT_CRF = 10  # of videos that a script reads: their loss is far below that of its own
JPEG_QUALITY = 98


@dataclass(frozen=True)
class Square:
    """A square in the frames of a clip, in pixels; it may reach beyond their edges."""

    left: int
    top: int
    size: int


def key_of(clip_id: str) -> str:
    """A name for a clip in the files of any script: letters, digits and dashes, different for each id.

    >>> key_of("s1/bbaf2n")
    's1-bbaf2n-6820f813'
    """
    plain = re.sub(r"[^A-Za-z0-9]+", "-", clip_id).strip("-")[-40:]
    return f"{plain}-{hashlib.sha256(clip_id.encode()).hexdigest()[:8]}"


def prepare_inputs(recipe: Recipe, clip: Clip, boxes: Boxes | None, folder: Path) -> dict[str, str]:
    """Write the inputs of a clip into a folder.

    A file is ``<input>/<key>.<suffix>``, a folder of frames ``<input>/<key>``: many scripts name their videos after the
    files that they read.

    Returns
    -------
    dict of str to str
        The path of each input by its name, with ``key`` and ``frames``.

    Raises
    ------
    ClipError
        If the real video or its sound can't be read, or it has no face where one is to be cropped.
    TlbenchError
        If the folder can't be written.
    """
    assert clip.reference is not None  # the caller has its hash
    samples = read_whole_audio(clip.audio or clip.reference)
    frames = [frame.copy() for chunk in VideoReader(clip.reference).frames() for frame in chunk.rgb]
    if not frames:
        raise ClipError("no-frames", f"clip {clip.id}: the video has no frames; check the file")
    square = None if recipe.crop is None else face_square(recipe.crop, clip, boxes)
    values = {"key": key_of(clip.id), "frames": str(len(frames))}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, made in recipe.inputs.items():
            place = folder / name / values["key"]
            place.parent.mkdir(exist_ok=True)
            values[name] = str(_write(made, place, frames, samples, recipe.crop, square))
    except OSError as error:
        raise TlbenchError(f"{folder}: can't be written ({error.strerror or error}); free some space") from error
    return values


def face_square(crop: RecipeCrop, clip: Clip, boxes: Boxes | None) -> Square:
    """The square around the median face box of a clip. Raises ClipError if no frame has a face."""
    if boxes is None or boxes.missing == len(boxes):
        raise ClipError("no-face", f"clip {clip.id}: no face was found in any frame; give boxes (--boxes)")
    x1, y1, x2, y2 = np.median(boxes.of_person, axis=0)
    size = max(2, round(float(max(x2 - x1, y2 - y1)) * crop.scale))
    left, top = (x1 + x2 - size) / 2, (y1 + y2 - size) / 2 - crop.up * size
    return Square(round(float(left)), round(float(top)), size)


def cut(frame: np.ndarray, square: Square, side: int) -> np.ndarray:
    """(side, side, 3) uint8: the square of a frame; beyond its edges the edge's pixels are repeated."""
    height, width = frame.shape[:2]
    rows = np.clip(np.arange(square.top, square.top + square.size), 0, height - 1)
    columns = np.clip(np.arange(square.left, square.left + square.size), 0, width - 1)
    shrinks = side < square.size
    inside = frame[rows[:, None], columns]
    return np.asarray(cv2.resize(inside, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))


def put_back(frame: np.ndarray, square: Square, region: tuple[float, float, float, float], made: np.ndarray) -> None:
    """Put a generated picture into the part ``region`` of a square of a frame, in place."""
    x1, x2 = (round(square.left + part * square.size) for part in (region[0], region[2]))
    y1, y2 = (round(square.top + part * square.size) for part in (region[1], region[3]))
    resized = cv2.resize(made, (max(1, x2 - x1), max(1, y2 - y1)), interpolation=cv2.INTER_LINEAR)
    height, width = frame.shape[:2]
    top, bottom, left, right = max(y1, 0), min(y2, height), max(x1, 0), min(x2, width)
    if top < bottom and left < right:
        frame[top:bottom, left:right] = resized[top - y1 : bottom - y1, left - x1 : right - x1]


def aligned(generated: Iterable[np.ndarray], first_frame: int) -> Iterator[np.ndarray]:
    """The frames of a video whose first one belongs to ``first_frame`` of the clip; it is repeated before."""
    for number, frame in enumerate(generated):
        for _ in range(1 + first_frame if number == 0 else 1):
            yield frame


def _write(
    made: RecipeInput,
    place: Path,
    frames: list[np.ndarray],
    samples: np.ndarray,
    crop: RecipeCrop | None,
    square: Square | None,
) -> Path:
    if made.kind == "video":
        path = place.with_suffix(".mp4")
        write_video(path, frames, FRAMES_PER_SECOND, samples, SAMPLE_RATE, CODEC, INPUT_CRF)
        return path
    if made.kind == "sound":
        path = place.with_suffix(".wav")
        write_wav(path, samples)
        return path

    def shown(frame: np.ndarray) -> np.ndarray:
        if not made.crop:
            return frame
        assert crop is not None  # a recipe that crops says how
        assert square is not None
        return cut(frame, square, crop.side)

    if made.kind == "image":
        path = place.with_suffix(f".{made.form}")
        _write_picture(path, shown(frames[0]))
        return path
    place.mkdir(exist_ok=True)
    for number, frame in enumerate(frames[:1] if made.first_only else frames):
        _write_picture(place / f"{number:06d}.{made.form}", shown(frame))
    return place


def _write_picture(path: Path, picture: np.ndarray) -> None:
    options = (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY) if path.suffix == ".jpg" else ()
    written, packed = cv2.imencode(path.suffix, picture[..., ::-1], options)
    assert written  # these formats take any picture
    path.write_bytes(packed.tobytes())
