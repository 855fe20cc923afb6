"""Playing a video forwards and backwards in turn, to any length, without keeping all of it in memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from tlbench.media.video_reader import VideoReader

HELD_BYTES = 256 * 2**20  # memory for frames that are played backwards


def to_and_fro(
    video: VideoReader, frames: int, count: int, held_bytes: int = HELD_BYTES
) -> Iterator[tuple[int, np.ndarray]]:
    """``count`` frames with their indices, of a video of ``frames`` frames: 0 1 2 3 2 1 0 1 ... for four.

    Backwards, the video is decoded again for each part that fits into memory, unless ``video`` keeps its frames.

    Yields
    ------
    index : int
    frame : (height, width, 3) uint8 RGB
    """
    given = 0
    while given < count:
        for index, frame in _there_and_back(video, frames, held_bytes):
            if given == count:
                return
            yield index, frame
            given += 1


def _there_and_back(video: VideoReader, frames: int, held_bytes: int) -> Iterator[tuple[int, np.ndarray]]:
    """0 1 2 3 2 1"""
    yield from _numbered(video)
    held_frames = max(1, held_bytes // (3 * video.info.width * video.info.height))
    end = frames - 1
    while end > 1:
        begin = max(1, end - held_frames)
        stretch = islice(_numbered(video), begin, end)
        yield from reversed([(index, frame.copy()) for index, frame in stretch])
        end = begin


def _numbered(video: VideoReader) -> Iterator[tuple[int, np.ndarray]]:
    for chunk in video.frames():
        yield from zip(range(chunk.start, chunk.start + len(chunk)), chunk.rgb, strict=True)
