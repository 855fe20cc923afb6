"""Face tracks and the crops of SyncNet's training, after joonson/syncnet_python's ``run_pipeline.py``.

Differences from that file that change the numbers:

* The detector. The original uses S3FD with another checkpoint (``sfd_face.pth``) on frames of a quarter of the size,
  with the means on the right channels, and suppresses boxes at an overlap of 0.1.
* Shots are cut on the decoded frames (:mod:`tlbench.media.shots`), those of the original on an AVI file that it encodes
  first.
* Frames and crops stay in memory. In the original they go through JPEG files and an XVID video.
* A frame gives at most one face to a track. The original's loop could take two, but its suppression at 0.1 removes the
  second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tlbench.errors import TlbenchError
from tlbench.media.face_crop import MARGIN, PAD_GREY, SMOOTH_FRAMES, centres_and_halves, cut_face, face_window
from tlbench.media.faces import running_median


@dataclass(frozen=True)
class TrackRule:
    """The parameters of tracking and cropping. The defaults are those of ``run_pipeline.py``.

    Attributes
    ----------
    overlap_min : float
        A face continues a track if its intersection over union with the last face is above this (``iouThres``).
    gap_frames_max : int
        A track ends after a gap of more frames than this (``num_failed_det``).
    faces_min : int
        A track needs **more** faces than this, not counting frames without one, and a shot at least so many frames
        (``min_track``). LSE on tracks is also published with 50.
    face_px_min : float
        The larger of a track's mean width and mean height must be **above** this (``min_face_size``).
    smooth_frames : int
        Width of the running median over centre and size (``kernel_size``).
    margin : float
        Margin of the crop, as a share of half the face's size: on the left, on the right, and twice below
        (``crop_scale``).
    pad_grey : int
        Grey level outside the frame.
    crop_px : int
        Side of the crop.
    """

    overlap_min: float = 0.5
    gap_frames_max: int = 25
    faces_min: int = 100
    face_px_min: float = 100
    smooth_frames: int = SMOOTH_FRAMES
    margin: float = MARGIN
    pad_grey: int = PAD_GREY
    crop_px: int = 224

    def __post_init__(self) -> None:
        if self.smooth_frames < 1 or self.smooth_frames % 2 == 0:
            raise TlbenchError(f"tracks can't be smoothed over {self.smooth_frames} frames; give an odd number")
        if self.faces_min < self.smooth_frames // 2:  # otherwise the zero padding would decide the median
            least = self.smooth_frames // 2
            raise TlbenchError(f"tracks of {self.faces_min} faces are too short to smooth; give at least {least}")


@dataclass(frozen=True)
class Track:
    """One face over consecutive frames.

    Attributes
    ----------
    start : int
        Index of the first frame in the video.
    faces : int
        Frames in which it was detected.
    xyxy : ndarray
        (T, 4) float64: the face in each frame, interpolated linearly between detections.
    centre_xy, half_px : ndarray
        (T, 2) and (T,) float64: centre and half the longer side of the face, smoothed.
    rule : TrackRule
        The parameters that the track was made with and is cropped with.
    """

    start: int
    faces: int
    xyxy: np.ndarray
    centre_xy: np.ndarray = field(repr=False)
    half_px: np.ndarray = field(repr=False)
    rule: TrackRule

    def __len__(self) -> int:
        return len(self.xyxy)

    @property
    def stop(self) -> int:
        """Index after the last frame."""
        return self.start + len(self)


def find_tracks(
    detections: Sequence[np.ndarray], rule: TrackRule | None = None, shots: Sequence[tuple[int, int]] | None = None
) -> list[Track]:
    """Join the faces of consecutive frames into tracks.

    Each track starts at the first face that is left and takes from each later frame of its shot the first face that
    overlaps its last one, so the faces should be sorted best first, as from `FaceDetector.detect_all`.

    Parameters
    ----------
    detections : sequence of ndarray
        For each frame (k, 4 or more) x1 y1 x2 y2 ..., k may be 0.
    rule : TrackRule, optional
        The published one if not given.
    shots : sequence of (first, stop), optional
        Frames of each shot, from :class:`tlbench.media.shots.ShotCutter`. One shot if not given.

    Returns
    -------
    list of Track
        Shot by shot, in the order of their first faces.
    """
    rule = rule or TrackRule()
    found = []
    for first, stop in ((0, len(detections)),) if shots is None else shots:
        if stop - first >= rule.faces_min:
            found += _tracks_of_shot(detections[first:stop], rule, first)
    return found


def _tracks_of_shot(detections: Sequence[np.ndarray], rule: TrackRule, shot_start: int) -> list[Track]:
    left = [[np.asarray(face[:4], dtype=np.float64) for face in faces] for faces in detections]
    tracks: list[Track] = []
    for first in range(len(left)):
        while left[first]:
            frames, faces = _take(left, first, rule)
            if len(frames) <= rule.faces_min:
                continue
            every = np.arange(frames[0], frames[-1] + 1)
            xyxy = np.stack([np.interp(every, frames, edges) for edges in np.array(faces).T], axis=1)
            sides = xyxy[:, 2:] - xyxy[:, :2]
            if sides.mean(axis=0).max() > rule.face_px_min:
                tracks.append(_track(shot_start + first, len(faces), xyxy, rule))
    return tracks


def _take(left: list[list[np.ndarray]], first: int, rule: TrackRule) -> tuple[list[int], list[np.ndarray]]:
    """Take the faces of one track out of ``left``, starting with the first face of frame ``first``."""
    frames, faces = [first], [left[first].pop(0)]
    for frame in range(first + 1, len(left)):
        if frame - frames[-1] > rule.gap_frames_max:
            break
        for place, face in enumerate(left[frame]):
            if overlap(face, faces[-1]) > rule.overlap_min:
                frames.append(frame)
                faces.append(left[frame].pop(place))
                break
    return frames, faces


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes, with edges as points (no +1 pixel)."""
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return float(shared / union) if union > 0 else 0.0


def _track(start: int, faces: int, xyxy: np.ndarray, rule: TrackRule) -> Track:
    # Zeros at the ends as in the original's scipy.signal.medfilt, so near the ends the median is a lower value.
    smooth = running_median(centres_and_halves(xyxy), rule.smooth_frames, "constant")
    return Track(start, faces, xyxy, smooth[:, :2], smooth[:, 2], rule)


def crop_track(frame: np.ndarray, track: Track, index: int) -> np.ndarray:
    """Crop one frame of a track.

    Parameters
    ----------
    frame : ndarray
        (H, W, 3) uint8, the video's frame ``track.start + index``.
    track : Track
    index : int
        Frame inside the track, from 0.

    Returns
    -------
    ndarray
        (224, 224, 3) uint8: the face, a margin on both sides and more below it, bilinear.
    """
    rule = track.rule
    x, y = (float(value) for value in track.centre_xy[index])
    window = face_window(x, y, float(track.half_px[index]), rule.margin)
    return cut_face(frame, window, rule.crop_px, rule.pad_grey)
