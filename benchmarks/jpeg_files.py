"""The JPEG files of the original's baseline: those of the encoder alone, which chooses its quantisers itself.

They take the encoder's time only; a view that has to equal FFmpeg 5.1 takes more (:mod:`tlbench.media.jpeg_rate`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
from av.video.reformatter import ColorRange

from tlbench.media.jpeg import DEFAULT_BIT_RATE, jpeg_layout
from tlbench.media.rates import FRAMES_PER_SECOND


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
