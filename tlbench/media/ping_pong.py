"""A video played to and fro, for as long as somebody speaks, without holding all of it in memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from tlbench.media.video_reader import VideoReader

HELD_BYTES = 256 * 2**20  # of frames that wait to be played backwards


def to_and_fro(
    video: VideoReader, frames: int, count: int, held_bytes: int = HELD_BYTES
) -> Iterator[tuple[int, np.ndarray]]:
    """``count`` frames of a video of so many: 0 1 2 3 2 1 0 1 ... for four; each with its number.

    Backwards, the video is decoded again for each stretch that may be held, unless ``video`` keeps its frames.

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
