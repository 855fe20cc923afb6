"""The JPEG files of the original's baseline: those of the encoder alone, which chooses its quantisers itself.

    python -m benchmarks.jpeg_files CLIP...

prints the processor time of these files and of the view's, which have the quantisers of FFmpeg 5.1
(:mod:`tlbench.media.jpeg_rate`): the least of three turns, of at most 50 frames.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
from av.video.reformatter import ColorRange

from tlbench.media.jpeg import DEFAULT_BIT_RATE, JpegRoundTrip, jpeg_layout
from tlbench.media.rates import FRAMES_PER_SECOND
from tlbench.media.video_reader import VideoReader


def jpeg_files(frames: Iterable[av.VideoFrame]) -> Iterator[bytes]:
    """The file of each frame; all frames have one size and layout."""
    encoder = None
    for number, frame in enumerate(frames):
        if encoder is None:
            encoder = av.CodecContext.create("mjpeg", "w")
            assert isinstance(encoder, av.VideoCodecContext)
            encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, jpeg_layout(frame.format)
            encoder.bit_rate, encoder.thread_count = DEFAULT_BIT_RATE, 1
            encoder.time_base = Fraction(1, FRAMES_PER_SECOND)
        picture = frame.reformat(format=str(encoder.pix_fmt), dst_color_range=ColorRange.JPEG)
        picture.pts, picture.time_base = number, encoder.time_base
        yield b"".join(bytes(packet) for packet in encoder.encode(picture))


def view_files(frames: Iterable[av.VideoFrame]) -> Iterator[bytes]:
    return map(JpegRoundTrip().encode, frames)


def milliseconds(make: Callable[[list[av.VideoFrame]], Iterator[bytes]], frames: list[av.VideoFrame]) -> float:
    """Processor time a frame."""
    start = time.process_time()
    for _ in make(frames):
        pass
    return 1000 * (time.process_time() - start) / len(frames)


def main(paths: list[str]) -> None:
    for path in paths:
        frames = list(islice((frame for run in VideoReader(Path(path)).frames() for frame in run.native), 50))
        encoder, view = (min(milliseconds(make, frames) for _ in range(3)) for make in (jpeg_files, view_files))
        size = f"{frames[0].width}x{frames[0].height}"
        print(f"{Path(path).name} {size}: encoder alone {encoder:.2f} ms a frame, the view {view:.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
