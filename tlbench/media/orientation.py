"""How a stored picture must be turned and mirrored to be seen upright, as the file asks."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import av
from av.sidedata.sidedata import SideData

MATRIX = struct.Struct("=9i")  # libavutil/display.h


@dataclass(frozen=True)
class Orientation:
    """What is done to a stored picture: first turned, then mirrored.

    Attributes
    ----------
    rotation_degrees : int
        Clockwise: 0, 90, 180 or 270.
    mirrored : bool
        Left and right exchanged after the turn. Upside down is 180 degrees and mirrored.
    """

    rotation_degrees: int = 0
    mirrored: bool = False


def orientation(frame: av.VideoFrame) -> Orientation:
    """What the display matrix of a decoded picture asks for, as the ffmpeg program obeys it (``-autorotate``).

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
