"""From which gap of the lips on a mouth counts as open: so that 5 % of the `sil` frames of GRID's training part do.

    python -m benchmarks.mouth_threshold --data-root grid/

For every clip of the split ``train``, the gap of the inner lips over the width of the mouth is measured as the observer
`mouth` does, in the frames that lie wholly in the `sil` before or after the sentence (pauses between words are not
counted). Printed is the 95th percentile, for `OPEN_GAP` in ``tlbench/metrics/leakage.py``, and how many of the frames
of words are above it.
"""

from __future__ import annotations

import argparse
import sys
from math import ceil, floor
from pathlib import Path

import numpy as np

from tlbench.cli.progress import CountProgress
from tlbench.datasets.clip import Clip
from tlbench.datasets.options import DataOptions
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.rates import FRAMES_PER_SECOND
from tlbench.media.video_reader import VideoReader
from tlbench.observers.mouth.opening import MouthOpening
from tlbench.observing.face_options import DEFAULT_FACES
from tlbench.observing.make_boxes import box_finder, select_references

SHARE_OPEN = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="GRID, with split_train.txt and its alignments")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth clip")
    arguments = parser.parse_args()
    try:
        selection = select_references(DataOptions("grid", arguments.data_root, split="train"))
        finder = box_finder(selection, DEFAULT_FACES, None, None)
    except TlbenchError as error:
        sys.exit(str(error))
    silent: list[float] = []
    spoken: list[float] = []
    used, opening = 0, MouthOpening()
    clips = selection.clips[:: arguments.every]
    with CountProgress("measuring", "clips") as progress:
        for done, clip in enumerate(clips, start=1):
            spans = selection.spans(clip)
            try:
                gaps = gaps_of(clip, finder.of_clip(clip).face.xyxy, opening) if spans else []
            except ClipError as error:
                print(f"left out: {error}", file=sys.stderr)
                continue
            used += bool(spans)
            for number, span in enumerate(spans):
                first, end = ceil(span.begin_seconds * FRAMES_PER_SECOND), floor(span.end_seconds * FRAMES_PER_SECOND)
                of_span = [gap for gap in gaps[first:end] if gap is not None]
                if span.label != "sil":
                    spoken += of_span
                elif number in (0, len(spans) - 1):
                    silent += of_span
            progress(done, len(clips))
    threshold = float(np.quantile(silent, 1 - SHARE_OPEN))
    print(f"{used} clips, {len(silent)} silent and {len(spoken)} spoken frames")
    print(f"gap at 50, 90, 95, 99 % of the silent frames: {np.quantile(silent, (0.5, 0.9, 0.95, 0.99)).round(4)}")
    print(f"threshold: {threshold:.4f}; above it {np.mean(np.array(spoken) > threshold):.3f} of the spoken frames")


def gaps_of(clip: Clip, boxes: np.ndarray, opening: MouthOpening) -> list[float | None]:
    """The gap in each frame of the real video, None where no face is seen. Raises ClipError if it can't be read."""
    assert clip.reference is not None  # select_references
    frames = (frame for chunk in VideoReader(clip.reference, 0).frames() for frame in chunk.rgb)
    return [opening(frame, box) for frame, box in zip(frames, boxes, strict=False)]


if __name__ == "__main__":
    main()
