"""Turning and mirroring stored pictures as the file's display matrix says."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
from av.sidedata.sidedata import SideData
from av.video.reformatter import Interpolation, VideoReformatter

# Pixel layouts that can be turned plane by plane. With chroma at half size in both directions this is exact for even
# sizes only; with chroma at half width only (4:2:2) a turned picture would need another layout.
TURNED_BY_PLANE = frozenset({"yuv444p", "yuvj444p", "gray"})
TURNED_BY_PLANE_IF_EVEN = frozenset({"yuv420p", "yuvj420p"})
MATRIX = struct.Struct("=9i")  # libavutil/display.h


@dataclass(frozen=True)
class Orientation:
    """How a stored picture is shown: first turned, then mirrored.

    Attributes
    ----------
    rotation_degrees : int
        Clockwise: 0, 90, 180 or 270.
    mirrored : bool
        Left and right are exchanged after the turn. Upside down is 180 degrees and mirrored.
    """

    rotation_degrees: int = 0
    mirrored: bool = False


def orientation(frame: av.VideoFrame) -> Orientation:
    """What the display matrix of a decoded picture says, read as the ffmpeg program does (``-autorotate``).

    The rule is that of fftools/ffmpeg_filter.c, which takes the turn from two entries of the matrix and the flip from a
    third. Angles other than multiples of 90 degrees count as 0, as in OpenCV.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if not isinstance(data, SideData) or data.buffer_size < MATRIX.size:
        return Orientation()
    matrix = MATRIX.unpack_from(memoryview(data))
    horizontal, vertical = math.hypot(matrix[0], matrix[3]), math.hypot(matrix[1], matrix[4])
    if not horizontal or not vertical:
        return Orientation()
    turn = round(math.degrees(math.atan2(matrix[1] / vertical, matrix[0] / horizontal))) % 360
    if turn == 90:
        return Orientation(90, mirrored=matrix[3] > 0)
    if turn == 270:
        return Orientation(270, mirrored=matrix[3] < 0)
    if turn == 180:
        left_to_right, upside_down = matrix[0] < 0, matrix[4] < 0
    elif turn == 0:
        left_to_right, upside_down = False, matrix[4] < 0
    else:
        return Orientation()
    return Orientation(180 if upside_down else 0, mirrored=left_to_right != upside_down)


def turned(frame: av.VideoFrame, clockwise_degrees: int, *, mirrored: bool = False) -> av.VideoFrame:
    """The frame turned by 0, 90, 180 or 270 degrees, then mirrored, in its own layout if that is exact, else in BGR24.

    In both cases its RGB is bit for bit the turned RGB of the original.
    """
    name = frame.format.name
    even = frame.width % 2 == 0 and frame.height % 2 == 0
    quarter_turns = -clockwise_degrees // 90  # numpy turns counter-clockwise
    if name in TURNED_BY_PLANE or (name in TURNED_BY_PLANE_IF_EVEN and even):
        planes = [_turned_array(plane, quarter_turns, mirrored) for plane in _planes(frame)]
        height, width = planes[0].shape
        array: np.ndarray
        packed = np.concatenate([plane.reshape(-1) for plane in planes])
        if name == "gray":
            array = packed.reshape(height, width)
        elif name in TURNED_BY_PLANE:
            array = packed.reshape(3, height, width)
        else:
            array = packed.reshape(height * 3 // 2, width)
        upright = av.VideoFrame.from_ndarray(array, format=name)
        upright.colorspace, upright.color_range = frame.colorspace, frame.color_range
    else:
        bgr = _turned_array(to_bgr(VideoReformatter(), frame), quarter_turns, mirrored)
        upright = av.VideoFrame.from_ndarray(np.ascontiguousarray(bgr), format="bgr24")
    upright.pts = frame.pts
    if frame.time_base is not None:
        upright.time_base = frame.time_base
    return upright


def _turned_array(array: np.ndarray, quarter_turns: int, mirrored: bool) -> np.ndarray:
    upright = np.rot90(array, quarter_turns)
    return upright[:, ::-1] if mirrored else upright


def _planes(frame: av.VideoFrame) -> Iterator[np.ndarray]:
    """The planes of an 8-bit planar frame, each (height, width) uint8, without line padding."""
    for plane in frame.planes:
        lines = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        yield lines[: plane.height, : plane.width]


def to_bgr(reformatter: VideoReformatter, frame: av.VideoFrame) -> np.ndarray:
    converted = reformatter.reformat(frame, format="bgr24", interpolation=Interpolation.BICUBIC, threads=1)
    return converted.to_ndarray()
