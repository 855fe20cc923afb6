"""A JPEG round trip: frames as read back from JPEG files that ffmpeg wrote with its default quality.

The published lip-sync scores read such files (``ffmpeg -i VIDEO -threads 1 -f image2 %06d.jpg`` in
SyncNetInstance_calc_scores.py of Rudrabha/Wav2Lip and Sxjdwang/TalkLip). ffmpeg's default is Motion JPEG with rate
control at 200 kbit/s for 25 frames/s: the first frames are good, the later ones are coarse, and earlier so for larger
pictures. The published scores depend on it.

The levels are stretched to the full range as in FFmpeg 5.1 (:mod:`tlbench.media.jpeg_levels`), and the chroma of 4:1:1,
4:1:0 and 4:4:0 is scaled as there (:mod:`tlbench.media.jpeg_chroma`). The scaler that is here only unpacks the samples
of other layouts than planar YUV and converts RGB to YUV, in 16 bits and without a change of the range. Grey and what
has the full range already need no stretching, and go through the scaler as they are.

The encoder that is here only gets told the quantiser: which one FFmpeg 5.1 takes depends on the lengths of its files
(:mod:`tlbench.media.jpeg_rate`, :mod:`tlbench.media.jpeg_length`). At the same quantiser its pictures are the same.

The chroma keeps the video's resolution: ffmpeg takes the encoder's format that loses least
(``avcodec_find_best_pix_fmt_of_list`` in libavcodec/avcodec.c), which is 4:4:4 also for RGB, grey and 4:4:0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
import cv2
import numpy as np
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from tlbench.media.jpeg_length import length_in_ffmpeg_5
from tlbench.media.jpeg_levels import planar_levels
from tlbench.media.jpeg_rate import JpegRate

_PLANAR = re.compile(r"yuvj?4\d\dp(9|10|12|14|16)?(le)?")  # 8 bits where none are named
DEFAULT_BIT_RATE = 200_000  # bits a second; ffmpeg's AVCodecContext default, libavcodec/options_table.h


class JpegRoundTrip:
    """Encodes the frames of one clip, in order, and decodes them again.

    The encoder's rate control depends on the frames before, so each clip needs its own instance. The grouping of frames
    into chunks makes no difference.

    Parameters
    ----------
    bit_rate : int
        Target of the rate control, in bits per second.
    frames_per_second : int
    """

    def __init__(self, bit_rate: int = DEFAULT_BIT_RATE, frames_per_second: int = 25) -> None:
        self._rate = JpegRate(bit_rate, frames_per_second)
        self._frames_per_second = frames_per_second
        self._encoder: av.VideoCodecContext | None = None
        self._reformatter = VideoReformatter()  # one for all frames, because it keeps tables
        self._count = 0

    def encode(self, frame: av.VideoFrame, sample_aspect: Fraction | None = None) -> bytes:
        """The next frame as a JPEG file. Frames of another size than the first are scaled to it, as ffmpeg does.

        ``sample_aspect``, the width of a pixel by its height, has a place in the file, and so in the rate control.
        """
        if self._encoder is None:
            self._encoder = self._open(frame.width, frame.height, jpeg_layout(frame.format), sample_aspect)
        picture = self._picture(frame, self._encoder)
        picture.pts, picture.time_base = self._count, Fraction(1, self._frames_per_second)
        self._count += 1
        self._encoder.qmin = self._encoder.qmax = self._rate.quantiser(_samples(picture.planes[0], np.uint8))
        file = b"".join(bytes(packet) for packet in self._encoder.encode(picture))
        self._rate.wrote(length_in_ffmpeg_5(file))
        return file

    def _picture(self, frame: av.VideoFrame, encoder: av.VideoCodecContext) -> av.VideoFrame:
        """A new frame in the encoder's size, layout and range."""
        width, height, layout = encoder.width, encoder.height, str(encoder.pix_fmt)
        picture = av.VideoFrame(width, height, layout)
        same = (frame.width, frame.height) == (width, height) and jpeg_layout(frame.format) == layout
        planes = _planes(frame, picture) if same else None
        if planes is None and not _is_stretched(frame):
            return self._reformatter.reformat(
                _bare(frame), width, height, layout, interpolation=Interpolation.BICUBIC, threads=1
            )
        for plane, levels in zip(picture.planes, planes or self._unpacked(frame, width, height, layout), strict=True):
            _samples(plane, np.uint8)[:] = levels
        return picture

    def _unpacked(self, frame: av.VideoFrame, width: int, height: int, layout: str) -> list[np.ndarray]:
        """Y, U and V of a frame of any limited layout in the full range, uint8."""
        deep = self._reformatter.reformat(
            _bare(frame),
            width,
            height,
            layout.replace("yuvj", "yuv") + "16le",
            src_color_range=ColorRange.MPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.BICUBIC,
            threads=1,
        )
        dithered = 8 < max(component.bits for component in frame.format.components) <= 16  # floats have 32
        return [
            planar_levels(_samples(plane, np.uint16), index, 16, _shape(plane), limited=True, dithered=dithered)
            for index, plane in enumerate(deep.planes)
        ]

    def bgr(self, frame: av.VideoFrame, sample_aspect: Fraction | None = None) -> np.ndarray:
        """The next frame after the round trip: (height, width, 3) uint8 BGR, as cv2.imread gives it."""
        image = cv2.imdecode(np.frombuffer(self.encode(frame, sample_aspect), np.uint8), cv2.IMREAD_COLOR)
        assert image is not None  # our own encoder wrote it
        return image

    def bgr_of(self, frames: Iterable[av.VideoFrame], sample_aspect: Fraction | None) -> Iterator[np.ndarray]:
        """:meth:`bgr` of each of the next frames."""
        return (self.bgr(frame, sample_aspect) for frame in frames)

    def _open(self, width: int, height: int, layout: str, sample_aspect: Fraction | None) -> av.VideoCodecContext:
        encoder = av.CodecContext.create("mjpeg", "w")
        assert isinstance(encoder, av.VideoCodecContext)
        encoder.width, encoder.height, encoder.pix_fmt = width, height, layout
        if sample_aspect is not None:
            encoder.sample_aspect_ratio = sample_aspect
        encoder.framerate = Fraction(self._frames_per_second)
        encoder.time_base = Fraction(1, self._frames_per_second)
        encoder.thread_count = 1  # slice threads add restart markers, whose bytes change the rate control
        return encoder


def _planes(frame: av.VideoFrame, picture: av.VideoFrame) -> list[np.ndarray] | None:
    """Y, U and V in the full range, uint8, in the sizes of ``picture``, of a frame of planar YUV.

    None for other layouts, and if neither the range nor the size of a plane changes.
    """
    planar = _PLANAR.fullmatch(frame.format.name)
    if planar is None:
        return None
    limited = _is_stretched(frame)
    if not limited and all(_shape(plane) == _shape(wanted) for plane, wanted in _pairs(frame, picture)):
        return None
    bits = int(planar[1] or 8)
    kind = np.uint8 if bits == 8 else np.uint16
    return [
        planar_levels(_samples(plane, kind), index, bits, _shape(wanted), limited=limited, dithered=bits > 8)
        for index, (plane, wanted) in enumerate(_pairs(frame, picture))
    ]


def _pairs(frame: av.VideoFrame, picture: av.VideoFrame) -> Iterator[tuple[VideoPlane, VideoPlane]]:
    return zip(frame.planes, picture.planes, strict=True)


def _shape(plane: VideoPlane) -> tuple[int, int]:
    """Height and width."""
    return plane.height, plane.width


def _is_stretched(frame: av.VideoFrame) -> bool:
    """Whether FFmpeg changes the range of a frame's levels: all RGB, and limited YUV, but no grey."""
    if frame.format.is_rgb or frame.format.has_palette:
        return True
    limited = frame.color_range != ColorRange.JPEG and not frame.format.name.startswith("yuvj")
    return limited and len(frame.format.components) > 2  # grey has one, with alpha two


def _bare(frame: av.VideoFrame) -> av.VideoFrame:
    """The same samples and range, and nothing else.

    From FFmpeg 8 on the scaler heeds field order and the place of the chroma, in 5.1 it did not. Layouts with a palette
    have neither, nor have pictures whose last row comes first, which are RGB or grey.
    """
    if frame.format.has_palette or any(plane.line_size < 0 for plane in frame.planes):
        return frame
    bare = av.VideoFrame(frame.width, frame.height, frame.format.name)
    for there, here in zip(frame.planes, bare.planes, strict=True):
        length = min(there.line_size, here.line_size)
        _rows(here)[:, :length] = _rows(there)[:, :length]
    bare.color_range = frame.color_range
    return bare


def _rows(plane: VideoPlane) -> np.ndarray:
    """(height, line_size) uint8: a view of a plane's rows with their padding."""
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)


def _samples(plane: VideoPlane, kind: type[np.uint8 | np.uint16]) -> np.ndarray:
    """(height, width): a view of a plane's samples, without the padding of its rows."""
    rows: np.ndarray = np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)
    return rows[:, : plane.width]


def jpeg_layout(layout: av.VideoFormat) -> str:
    """The pixel layout that ffmpeg's JPEG encoder uses for a source layout: ``yuvj420p``, ``yuvj422p`` or ``yuvj444p``.

    The chroma width is halved if the source's is reduced, and then the height likewise. Checked with ffmpeg 9.0 for 31
    layouts of up to 16 bits, planar, packed and with a palette.
    """
    side = 64  # pixels; any multiple of four
    if layout.is_rgb or layout.chroma_width(side) == side:
        return "yuvj444p"
    return "yuvj422p" if layout.chroma_height(side) == side else "yuvj420p"
