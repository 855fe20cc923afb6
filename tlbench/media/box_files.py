"""Files of face boxes in TalkLip's layout."""

from __future__ import annotations

from pathlib import Path
from tokenize import TokenError

import numpy as np

from tlbench.errors import ClipError
from tlbench.files import atomic_path
from tlbench.media.faces import FALLBACK_PX, Boxes, as_boxes, fallback_box
from tlbench.media.followed import FOUND, fill_gaps

LARGEST_PX = 2**20  # no picture is wider, so a larger coordinate is a mistake
# What NumPy raises for a file that is not an array, holds objects, or has a header made to break its parser.
NOT_NPY = (ValueError, TypeError, EOFError, SyntaxError, OverflowError, MemoryError, RecursionError, TokenError)


def read_boxes(path: Path, frame_count: int | None = None, frame_size: tuple[int, int] | None = None) -> Boxes:
    """Read boxes in TalkLip's layout: a ``.npy`` of shape (N, 4), x1 y1 x2 y2 for each frame.

    Fractions are truncated and negative edges set to 0, as ``bbx_extract.py`` does before writing. A row of four NaN
    means a frame without a face. ``bbx_extract.py`` writes the centred box there instead, so in a file without NaN
    every frame counts as showing a face.

    Parameters
    ----------
    path : Path
    frame_count : int, optional
        How many frames need a box. Further rows are dropped: they belong to frames that are not scored.
    frame_size : (width, height), optional
        Of the video, in pixels. Rows without a face get the published centred box of this frame size, which ``paper``
        numbers use; without ``frame_size`` they get the box of the faces around them.

    Raises
    ------
    ClipError
        ``bad-boxes`` if the file is not such an array, ``boxes-too-short`` if it has fewer rows than
        ``frame_count`` (the original stopped with an IndexError).
    """
    rows = _opened(path)
    needed = len(rows) if frame_count is None else frame_count
    if len(rows) < needed:
        message = f"boxes {path.name} has {len(rows)} rows for {needed} frames; detect the faces of this video again"
        raise ClipError("boxes-too-short", message)
    numbers = np.asarray(rows[:needed], dtype=np.float64)
    faceless = np.isnan(numbers).all(axis=1)
    in_picture = np.all(np.abs(numbers) <= LARGEST_PX, axis=1) | faceless
    _refuse(path, numbers, in_picture, "is no place in a picture")  # some NaN and some numbers are refused too
    best = np.trunc(np.clip(numbers, 0, None))
    _refuse(path, numbers, np.all(best[:, :2] < best[:, 2:], axis=1) | faceless, "has no area")
    if not faceless.any():
        return Boxes(best.astype(np.int64), 0, "given")
    width, height = frame_size or (FALLBACK_PX, FALLBACK_PX)
    centre = np.tile(fallback_box(width, height), (needed, 1))
    face = fill_gaps(best, centre)
    return as_boxes(best, face.xyxy if frame_size is None else centre, face, "given")


def write_boxes(path: Path, boxes: Boxes) -> None:
    """Write boxes in TalkLip's layout, (T, 4) ``.npy``, whole or not at all.

    Writes the best face, as published, or the followed one if a frame shows several people. The numbers are int64 if
    it was found in every frame, else float64 with rows of NaN for the frames without it.
    """
    face = boxes.face
    rows = (face.xyxy if face.several else boxes.xyxy).astype(np.int64)
    found = face.states == FOUND
    if not found.all():
        rows = np.where(found[:, None], rows, np.nan)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, rows, allow_pickle=False)


def _opened(path: Path) -> np.ndarray:
    """The file's rows, (N, 4) of numbers. Raises ClipError ``bad-boxes``."""
    try:
        # Mapped, so that a header that declares more than the file holds is refused before memory is allocated.
        rows = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError as error:
        raise ClipError("bad-boxes", f"boxes {path.name} are not there; detect them, or correct the path") from error
    except OSError as error:
        raise ClipError("bad-boxes", f"boxes {path.name} can't be read ({error.strerror or error})") from error
    except NOT_NPY as error:
        raise _bad(path, "is not a .npy file of numbers") from error
    if rows.ndim != 2 or rows.shape[1] != 4 or len(rows) == 0:
        raise _bad(path, f"has shape {rows.shape}")
    if rows.dtype.kind not in "iuf":
        raise _bad(path, f"holds {rows.dtype}")
    return rows


def _bad(path: Path, fault: str) -> ClipError:
    return ClipError(
        "bad-boxes",
        f"boxes {path.name} {fault}; wanted is (frames, 4): x1 y1 x2 y2 in pixels, or four NaN without a face",
    )


def _refuse(path: Path, numbers: np.ndarray, sound: np.ndarray, fault: str) -> None:
    if not sound.all():
        row = int(sound.argmin())
        raise _bad(path, f"row {row} ({', '.join(f'{edge:g}' for edge in numbers[row])}) {fault}")
