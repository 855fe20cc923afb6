"""Videos that are not framed on a face: LSE on followed faces becomes a headline number.

Whole-frame LSE expects a face that fills the frame, as in LRS2. In videos of half bodies most of a 224x224 picture is
background, and papers on such videos publish LSE on followed faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.document import counted
from tlbench.errors import ClipError
from tlbench.media.probe import probe
from tlbench.media.rates import FRAMES_PER_SECOND
from tlbench.media.video_reader import VideoReader
from tlbench.metrics.catalogue import find_metrics
from tlbench.metrics.metric import Metric
from tlbench.metrics.sync import LONG_TRACK
from tlbench.observing.face_boxes import embedded_detector

SMALL_SHARE = 0.5  # of the frame's height; LRS2's faces have 0.71
LOOKED_AT = 9  # clips, evenly spread, one frame of each
LONG_TRACKS, SHORT_TRACKS = ("lse_c_track", "lse_d_track"), ("lse_c_track50", "lse_d_track50")


def with_tracked_lse(usual: tuple[Metric, ...], clips: Sequence[Clip]) -> tuple[tuple[Metric, ...], str]:
    """The usual metrics and, if faces are small, LSE on followed faces as headline metrics; and a line that says so.

    Nothing is added, and the line is empty, if no face is found, or the median face box is at least half as high as the
    frame. Real videos decide where there are any, so that every system of a data
    set gets the same columns. Where the median clip is too short for a track of more than 100 faces, those of more than
    50 are shown.
    """
    videos = _spread([video for clip in clips if (video := clip.reference or clip.generated) is not None])
    shares = [share for video in videos if (share := _face_share(video)) is not None]
    if not shares or (share := float(np.median(shares))) >= SMALL_SHARE:
        return usual, ""
    names = LONG_TRACKS if np.median([_frames(video) for video in videos]) > LONG_TRACK else SHORT_TRACKS
    added = tuple(replace(metric, headline=True, promoted=True) for metric in find_metrics(names))
    line = (
        f"{', '.join(dict.fromkeys(metric.label for metric in added))} added: the median face box is {share:.0%} of "
        f"the frame's height (of {counted(len(shares), 'clip')} looked at), and LSE of the whole frame expects "
        f"{SMALL_SHARE:.0%} or more"
    )
    return (*usual, *added), line


def _spread(videos: Sequence[Path]) -> list[Path]:
    """At most `LOOKED_AT` of the videos, evenly spread."""
    places = {int((part + 0.5) * len(videos) / LOOKED_AT) for part in range(LOOKED_AT)} if videos else set()
    return [videos[place] for place in sorted(places)]


def _face_share(video: Path) -> float | None:
    """The height of the best face over that of the frame, in the middle of a video's first frames; None without one."""
    try:
        chunk = next(iter(VideoReader(video, 0).frames()), None)
    except ClipError:
        return None  # reported when the clip is scored
    if chunk is None:
        return None
    frame = chunk.rgb[len(chunk) // 2]
    (face,) = embedded_detector().detect(frame[None])
    return None if face is None else float(face[3] - face[1]) / frame.shape[0]


def _frames(video: Path) -> float:
    """The length of a video in frames at 25 a second; 0 if it can't be read."""
    try:
        return probe(video).duration_seconds * FRAMES_PER_SECOND
    except ClipError:
        return 0.0
