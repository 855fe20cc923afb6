"""The clips that a page opens with, each as one small video: the real video and the runs' videos side by side.

One file with all of them plays in step in every browser, without a script.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from tlbench.errors import ClipError
from tlbench.media.audio import read_audio
from tlbench.media.rates import FRAMES_PER_SECOND, SAMPLE_RATE
from tlbench.media.video_reader import VideoReader
from tlbench.media.video_writer import write_video
from tlbench.reporting.pictures import data_uri

HEIGHT_PX = 208  # of every video in a film
MOST_WIDTH_PX = 416  # of one of them; a wider one is cropped at both sides
MOST_SECONDS = 15
CRF = 27
ENDED = 40  # grey level after the end of a video that is shorter than the others


@dataclass(frozen=True)
class Film:
    """Videos of one clip side by side.

    Attributes
    ----------
    video : str
        A data URI.
    columns : tuple of (str, float)
        From left to right: what is shown, and the share of the picture's width that it has.
    note : str
        What is not in it, as after the first seconds; "" for nothing.
    """

    video: str
    columns: tuple[tuple[str, float], ...]
    note: str = ""


def draw_film(paths: Sequence[Path], names: Sequence[str]) -> Film:
    """The videos side by side under their names, with the sound of the last one that has any.

    Raises
    ------
    ClipError
        If one of them can't be decoded.
    """
    readers = [VideoReader(path) for path in paths]
    sizes = [_size(reader) for reader in readers]
    most = MOST_SECONDS * FRAMES_PER_SECOND
    frames = zip_longest(*(_small(reader, size) for reader, size in zip(readers, sizes, strict=True)))
    ended = [np.full((HEIGHT_PX, width, 3), ENDED, np.uint8) for width in sizes]
    joined = (
        np.concatenate([there if there is not None else end for there, end in zip(row, ended, strict=True)], axis=1)
        for row in islice(frames, most)
    )
    longer = any(sum(len(chunk) for chunk in reader.frames()) > most for reader in readers)
    with TemporaryDirectory() as folder:
        written = Path(folder) / "film.mp4"
        write_video(written, joined, FRAMES_PER_SECOND, _sound(paths), SAMPLE_RATE, "libx264", CRF)
        video = data_uri("video/mp4", written.read_bytes())
    shares = (round(width / sum(sizes), 4) for width in sizes)
    return Film(video, tuple(zip(names, shares, strict=True)), f"the first {MOST_SECONDS} s" if longer else "")


def _size(reader: VideoReader) -> int:
    """The width of a video at ``HEIGHT_PX``: an even number, so that every player shows the film."""
    height, width = next(iter(reader.frames())).rgb.shape[1:3]
    return int(min(MOST_WIDTH_PX, max(2, round(HEIGHT_PX * width / height / 2) * 2)))


def _small(reader: VideoReader, width: int) -> Iterator[np.ndarray]:
    """(HEIGHT_PX, width, 3) uint8 RGB frames: the middle of the picture if it is wider."""
    for chunk in reader.frames():
        for frame in chunk.rgb:
            whole = round(HEIGHT_PX * frame.shape[1] / frame.shape[0])
            small = cv2.resize(frame, (max(width, whole), HEIGHT_PX), interpolation=cv2.INTER_AREA)
            left = (small.shape[1] - width) // 2
            yield small[:, left : left + width]


def _sound(paths: Sequence[Path]) -> np.ndarray | None:
    """(N,) int16 samples of the last video with sound; None if none has any."""
    for path in reversed(paths):
        try:
            return read_audio(path, SAMPLE_RATE)[: MOST_SECONDS * SAMPLE_RATE]
        except ClipError:
            continue
    return None
