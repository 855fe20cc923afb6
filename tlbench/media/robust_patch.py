"""Mouth patches as in auto_avsr's training: aligned to the mean face by a robust estimate.

After mpc001/auto_avsr at 182b628, ``preparation/detectors/retinaface/video_process.py`` (68 landmarks) and
``.../mediapipe/video_process.py`` (four points). Missing points are interpolated, and repeated at the ends. Points are
the mean over up to 6 frames before and after, moved so that their centre is the frame's own. A similarity transform to
the mean face is estimated by least median of squares, which leaves outliers out, and 96x96 pixels around the mouth are
cut from the warped 256x256 picture. The same OpenCV gives the same pixels as the original; OpenCV 5.0 others.

Differences: a clip with points in fewer than half of its frames is not scored, and neither is one for which the
original raises an error or returns nothing. For LRS2 and LRS3 it writes the patches to a compressed video and reads it
back; here they are not compressed, as in its tutorials and in KeySync's LipScore.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tlbench.errors import ClipError
from tlbench.media.mean_face import mean_face
from tlbench.media.mouth_patch import MEAN_PX, MOUTH, PATCH_PX, filled

MARGIN_FRAMES = 6  # window_margin // 2
FEWEST_FRAMES = 12  # window_margin; with 68 landmarks only
BIAS_MAX_PX = 53.0  # 128 / 2.4, of threshold
STABLE = (28, 33, 36, 39, 42, 45, 48, 54)
# What the four points are the means of, in the mean face: right eye, left eye, nose tip, mouth centre.
FOUR_PARTS = (slice(36, 42), slice(42, 48), slice(31, 36), MOUTH)


@dataclass(frozen=True)
class _Rule:
    stable: list[int]  # points that are aligned
    target: np.ndarray  # (n, 2) float64: where they are in the mean face
    mouth: list[int]  # points whose mean is the patch's centre
    fewest_frames: int


def placements_by_landmarks(landmarks: np.ndarray) -> np.ndarray:
    """The position of the mouth patch in each frame, from 68 landmarks.

    Parameters
    ----------
    landmarks : ndarray
        (T, 68, 2) float, x y in pixels of the frame, in the order of iBUG 300-W; NaN for a frame without a face.

    Returns
    -------
    ndarray
        (T, 2, 4) float64: the affine map from the frame to the 256x256 picture, and the patch's left upper corner there
        (x, y, whole pixels).

    Raises
    ------
    ClipError
        ``no-face`` if no frame has landmarks, ``too-short`` if there are fewer than 12 frames, ``bad-landmarks`` if the
        points of a frame can't be aligned, or its mouth is more than 53 pixels from the middle.
    """
    stable = list(STABLE)
    rule = _Rule(stable, mean_face()[stable], list(range(MOUTH.start, MOUTH.stop)), FEWEST_FRAMES)
    return _placements(landmarks, rule)


def placements_by_four_points(points: np.ndarray) -> np.ndarray:
    """The same from (T, 4, 2) points: right eye, left eye, nose tip, mouth centre. They are cut to whole pixels.

    There may be any number of frames.
    """
    target = np.stack([mean_face()[part].mean(axis=0) for part in FOUR_PARTS])
    return _placements(np.trunc(points), _Rule([0, 1, 2, 3], target, [3], 1))


def warp_robust(image: np.ndarray, placement: np.ndarray) -> np.ndarray:
    """The (96, 96, ...) uint8 mouth patch of an (H, W, ...) uint8 frame, by one (2, 4) placement; black outside."""
    left, top = (int(start) for start in placement[:, 3])
    whole = cv2.warpAffine(
        image,
        placement[:, :3],
        (MEAN_PX, MEAN_PX),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0.0,
    )
    patch: np.ndarray = whole[top : top + PATCH_PX, left : left + PATCH_PX]
    return patch


def _placements(points: np.ndarray, rule: _Rule) -> np.ndarray:
    frames = len(points)
    absent = int((~np.isfinite(points).all(axis=(1, 2))).sum())
    if absent < frames and 2 * absent > frames:
        raise ClipError(
            "no-face",
            f"{absent} of {frames} frames show no face whose mouth could be aligned; give landmarks, or take another "
            "view",
        )
    whole = filled(np.asarray(points, dtype=np.float64))
    if frames < rule.fewest_frames:
        raise ClipError(
            "too-short",
            f"{frames} frames are too few to align the mouth, auto_avsr's preparation needs {rule.fewest_frames}; "
            "take another view",
        )
    return np.stack([_placement(_smoothed(whole, frame), rule, frame) for frame in range(frames)])


def _smoothed(points: np.ndarray, frame: int) -> np.ndarray:
    """The frame's points, averaged over its neighbours and moved to its own centre."""
    margin = min(MARGIN_FRAMES, frame, len(points) - 1 - frame)
    smooth: np.ndarray = np.mean([points[t] for t in range(frame - margin, frame + margin + 1)], axis=0)
    smooth += points[frame].mean(axis=0) - smooth.mean(axis=0)
    return smooth


def _placement(points: np.ndarray, rule: _Rule, frame: int) -> np.ndarray:
    found, _ = cv2.estimateAffinePartial2D(points[rule.stable], rule.target, method=cv2.LMEDS)
    if found is None:
        raise ClipError("bad-landmarks", f"frame {frame}: its landmarks can't be aligned; detect them again")
    mouth = (points[rule.mouth] @ found[:, :2].T + found[:, 2]).mean(axis=0)
    if np.abs(mouth - MEAN_PX // 2).max() > BIAS_MAX_PX:
        raise ClipError(
            "bad-landmarks",
            f"frame {frame}: the aligned mouth is at {mouth[0]:.0f}, {mouth[1]:.0f} of {MEAN_PX}, more than "
            f"{BIAS_MAX_PX:g} from the middle; detect the landmarks again",
        )
    corner = np.rint(mouth - PATCH_PX // 2)  # halves to even, as Python's round
    return np.column_stack([found, corner])
