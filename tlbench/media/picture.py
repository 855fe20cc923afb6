"""Pictures from outside, such as the source picture that a face was generated from."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from tlbench.errors import ClipError
from tlbench.files import PICTURE, read_outside
from tlbench.media.container import most_pixels

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")


def read_picture(path: Path, clip_id: str, what: str) -> np.ndarray:
    """The picture, (height, width, 3) uint8 RGB, upright as its EXIF says, as ``cv2.imread`` gives it.

    Its size is read from its head first, because a few bytes can announce a picture of many gigabytes.

    Parameters
    ----------
    path : Path
        A PNG, JPEG, WebP or BMP file.
    clip_id, what : str
        Named in errors: the clip, and what the picture is of it.

    Raises
    ------
    ClipError
        ``missing``, ``unreadable``, or ``too-large`` for more pixels than a video may have.
    """
    try:
        data = read_outside(path, PICTURE)
        large = _is_larger(data, most_pixels())
    except FileNotFoundError:
        raise ClipError("missing", f"clip {clip_id}: there is no {what} {path.name}") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or f"it is none of {', '.join(FORMATS)}, or damaged"
        raise ClipError("unreadable", f"clip {clip_id}: the {what} {path.name} can't be read: {why}") from error
    if large:
        most = f"more than {most_pixels():,} pixels"
        raise ClipError("too-large", f"clip {clip_id}: the {what} {path.name} has {most}; pass a smaller one")
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error:
        picture = None
    if picture is None:
        raise ClipError("unreadable", f"clip {clip_id}: the {what} {path.name} can't be read: it is damaged")
    return picture


def _is_larger(data: bytes, pixels: int) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # what is too large is decided here
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                return bool(picture.width * picture.height > pixels)
        except Image.DecompressionBombError:  # it opens none of 179 million pixels and more
            return True
