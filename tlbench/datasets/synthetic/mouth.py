"""Drawing the mouth of a frame: lips, teeth and tongue."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tlbench.datasets.synthetic.drawing import ellipse, fill, line
from tlbench.datasets.synthetic.head import CANVAS, CX
from tlbench.datasets.synthetic.person import Person

_U = np.linspace(-1, 1, 21)  # along a lip, from corner to corner
_ARCH = np.abs(_U)
_CUPID = 1 - 0.16 * np.exp(-((_U / 0.16) ** 2)) + 0.10 * np.exp(-(((_ARCH - 0.28) / 0.16) ** 2))
_UPPER_BOW, _LOWER_BOW, _CORNERS = 1 - _ARCH**2.2, 1 - _ARCH**2.6, _ARCH**3
_CAVITY, _THROAT = (52.0, 18.0, 20.0), (44.0, 14.0, 17.0)
_TOOTH, _GAP_IN_TEETH = np.array([222, 214, 199]), (200.0, 191.0, 176.0)
_LOWER_TOOTH, _TONGUE = np.array([192, 182, 166]), np.array([176, 84, 86])
_TOOTH_PX = 7.2


@dataclass(frozen=True)
class _Lips:
    """Curves from corner to corner in canvas pixels, each (21,)."""

    half_px: float
    cy: float
    upper_gap_px: float
    lower_gap_px: float
    x: np.ndarray
    inner_x: np.ndarray
    top: np.ndarray
    upper_seam: np.ndarray
    lower_seam: np.ndarray
    bottom: np.ndarray

    @property
    def gap_px(self) -> float:
        return self.upper_gap_px + self.lower_gap_px


def draw_mouth(image: np.ndarray, who: Person, shape: np.ndarray) -> None:
    """Draw lips, teeth and tongue onto a face, (CANVAS, CANVAS, 3) uint8.

    Parameters
    ----------
    shape : (6,) float
        See ``articulation.PARTS``.
    """
    _, width, rounding, closing, tuck, tongue = (float(value) for value in shape)
    lips = _lips(who, shape)
    x0, x1 = int(CX - 60), int(CX + 60)
    y0, y1 = int(who.mouth_y - 26), int(min(who.mouth_y + 60, CANVAS))
    region = image[y0:y1, x0:x1]
    offset = np.array([x0, y0])
    color = np.array(who.lips)
    outline = _between(lips.x, lips.top, lips.bottom) - offset
    shadow = region.copy()
    fill(shadow, outline + np.array([0, 2.5]), np.array(who.skin) * 0.62)
    cv2.addWeighted(cv2.GaussianBlur(shadow, (0, 0), 3.0), 0.45, region, 0.55, 0, region)
    fill(region, _between(lips.x, lips.top, lips.upper_seam) - offset, color * 0.86)
    fill(region, _between(lips.x, lips.lower_seam, lips.bottom) - offset, color)
    height = lips.bottom - lips.lower_seam
    shine = np.stack([CX + 0.5 * (lips.x - CX), lips.lower_seam + height.max() * (0.45 + 0.2 * _U**2)], 1)
    line(region, shine - offset, np.minimum(color * 1.13 + 10, 255), max(1.0, height.max() * 0.22))
    if lips.gap_px > 0.8:
        _draw_inside(region, offset, lips, width, rounding, tuck, tongue)
    else:
        closed = min(max((closing - 0.35) / 0.5, 0.0), 1.0)
        seam = np.stack([lips.inner_x, (lips.upper_seam + lips.lower_seam) / 2], 1)
        line(region, seam - offset, color * 0.45, 2.2 - 0.8 * closed)
    cv2.GaussianBlur(region, (0, 0), 0.7, dst=region)


def _lips(who: Person, shape: np.ndarray) -> _Lips:
    jaw, width, rounding, closing, tuck, _ = (float(value) for value in shape)
    closed = min(max((closing - 0.35) / 0.5, 0.0), 1.0)
    spread = max(width, 0.0)
    half_px = who.mouth_width * (1 + 0.17 * width - 0.22 * rounding)
    gap_px = (4.0 + 33.0 * jaw) * (1 - closed) * (1 - 0.35 * rounding * (1 - jaw)) * (1 - 0.72 * tuck)
    upper_gap_px, lower_gap_px = 0.27 * max(gap_px, 0.0), 0.73 * max(gap_px, 0.0)
    upper = who.lip_upper * (1 + 0.35 * rounding - 0.32 * closed) * (1 - 0.08 * spread)
    lower = who.lip_lower * (1 + 0.35 * rounding - 0.30 * closed - 0.55 * tuck) * (1 - 0.08 * spread)
    cy = who.mouth_y + 1.5 * jaw
    inner = np.maximum(1 - _ARCH ** (2.0 + 0.9 * rounding), 0) ** 0.8
    corners = (1.0 - 2.0 * spread) * _CORNERS
    upper_seam = cy - upper_gap_px * inner + corners
    lower_seam = cy + lower_gap_px * inner + corners
    return _Lips(
        half_px,
        cy,
        upper_gap_px,
        lower_gap_px,
        CX + half_px * _U,
        CX + half_px * 0.90 * _U,
        upper_seam - upper * _UPPER_BOW * _CUPID,
        upper_seam,
        lower_seam,
        lower_seam + lower * _LOWER_BOW,
    )


def _draw_inside(
    region: np.ndarray, offset: np.ndarray, lips: _Lips, width: float, rounding: float, tuck: float, tongue: float
) -> None:
    gap = lips.gap_px
    cavity = _between(lips.inner_x, lips.upper_seam, lips.lower_seam) - offset
    fill(region, cavity, _CAVITY)
    mask = np.zeros(region.shape[:2], np.uint8)
    fill(mask, cavity, (255,))
    inside = region.copy()
    fill(inside, cavity, _THROAT)
    depth = min(6.5 + 2.5 * max(width, 0.0), 0.62 * gap + 1.5) * (1 - 0.55 * rounding)
    depth += (gap - depth) * min(max((tuck - 0.2) / 0.2, 0.0), 1.0)  # down to the lip that is tucked under
    # The row of teeth is an arch seen from the front: nearly level, independent of the lip above it.
    edge = lips.cy - lips.upper_gap_px + depth - 2.2 * _U**2
    gums = np.minimum(lips.upper_seam, edge) - 3
    fill(inside, _between(lips.inner_x, gums, edge) - offset, _TOOTH * (0.80 + 0.14 * min(gap / 14, 1)))
    for tooth in (-2, -1, 0, 1, 2):
        x = CX + tooth * _TOOTH_PX
        line(inside, np.array([[x, gums.min()], [x, edge.max() - 1.5]]) - offset, _GAP_IN_TEETH, 1)
    if gap > 9:
        top = (lips.lower_seam - min(4.0, 0.16 * gap) * (1 - 0.5 * rounding)).max() - 1
        row = _between(CX + 0.74 * (lips.inner_x - CX), top + 1.5 * _U**2, np.full_like(_U, lips.lower_seam.max() + 2))
        fill(inside, row - offset, _LOWER_TOOTH)
    if gap > 4:
        floor = lips.cy + lips.lower_gap_px
        rest, raised = lips.cy + lips.lower_gap_px * 0.45, lips.cy - lips.upper_gap_px + depth * 0.7
        tip = rest * (1 - tongue) + raised * tongue
        back = ellipse(
            CX, (tip + floor + 7) / 2, lips.half_px * (0.50 + 0.05 * tongue), max((floor + 7 - tip) / 2, 2.0)
        )
        fill(inside, back - offset, _TONGUE * (0.72 + 0.28 * tongue))
    cv2.GaussianBlur(inside, (0, 0), 0.8, dst=inside)
    share = mask[..., None].astype(np.uint16)
    region[:] = ((inside * share + region.astype(np.uint16) * (255 - share)) // 255).astype(np.uint8)


def _between(x: np.ndarray, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """The outline of the area between two curves."""
    return np.concatenate([np.stack([x, upper], 1), np.stack([x, lower], 1)[::-1]])
