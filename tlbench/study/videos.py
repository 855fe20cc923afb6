"""The videos that are shown: every condition through one encoder, so that nothing but the pictures tells them apart.

Browsers play H.264 and AAC in MP4 and little else that generators write; and a file's name, tags, size of sound or
encoder would tell a curious participant which method it is. The clips to read are written without any sound: what is
not sent can't be heard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.audio import read_audio
from tlbench.media.rates import FRAMES_PER_SECOND, SAMPLE_RATE
from tlbench.media.video_reader import read_video
from tlbench.media.video_writer import write_video
from tlbench.study.plan import Task

CRF = 14  # below the 18 that is visually near lossless: the study is about the generators, not about this encoder
CHECK_WIDTH = 480  # pixels, at least, so that what a check asks can be read whatever the clip's own size


def write_shown(path: Path, clip: Clip, task: Task, wanted: int | None = None) -> float:
    """Write what a participant sees of ``clip.generated``; returns its length in seconds.

    Parameters
    ----------
    task : "rate", "check" or "read"
        ``read`` leaves the sound out.
    wanted : int, optional
        For ``check``: the score that is written on the picture.

    Raises
    ------
    TlbenchError
        If the video can't be read or written.
    """
    assert clip.generated is not None  # only clips that every condition has are drawn
    try:
        frames = read_video(clip.generated)
        samples = None if task == "read" else _sound(clip)
    except ClipError as error:
        raise TlbenchError(f"{error}; mend the file, or leave the clip out (--subset)") from error
    height, width = (size // 2 * 2 for size in frames.shape[1:3])  # odd sizes would be 4:4:4, which few browsers play
    frames = np.ascontiguousarray(frames[:, :height, :width])
    if wanted is not None:
        frames = _asking(frames, wanted)
    write_video(path, frames, FRAMES_PER_SECOND, samples, SAMPLE_RATE, "libx264", CRF)
    return len(frames) / FRAMES_PER_SECOND


def _sound(clip: Clip) -> np.ndarray:
    """The video's own sound; where it has none, the speech that it was made from."""
    for source in (clip.generated, clip.audio, clip.reference):
        if source is None:
            continue
        try:
            return read_audio(source, SAMPLE_RATE)
        except ClipError as error:
            if error.code != "no-audio":
                raise
    raise ClipError("no-audio", f"clip {clip.id}: neither the video nor its reference has sound, and sync is asked for")


def _asking(frames: np.ndarray, wanted: int) -> np.ndarray:
    """The frames with the request written over their lower part, enlarged where it would be too small to read."""
    height, width = frames.shape[1:3]
    factor = max(1, -(-CHECK_WIDTH // width))
    size = (width * factor, height * factor)
    band = _band(size[0], size[1] - size[1] * 5 // 8, (f"Attention check: answer {wanted}", "on all three scales"))
    drawn = [cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR) for frame in frames]
    for frame in drawn:
        frame[-len(band) :] = band
    return np.stack(drawn)


def _band(width: int, height: int, lines: Sequence[str]) -> np.ndarray:
    """Lines of text, black on white, as large as fits (OpenCV's own font: no font file is needed)."""
    font, line_height = cv2.FONT_HERSHEY_DUPLEX, height // len(lines)
    sizes = [cv2.getTextSize(line, font, 1.0, 1)[0] for line in lines]
    scale = min(0.92 * width / max(w for w, _ in sizes), 0.45 * line_height / max(h for _, h in sizes))
    band = np.full((height, width, 3), 255, np.uint8)
    for number, (line, (unit_width, unit_height)) in enumerate(zip(lines, sizes, strict=True)):
        left = round((width - scale * unit_width) / 2)
        bottom = number * line_height + round((line_height + scale * unit_height) / 2)
        cv2.putText(band, line, (left, bottom), font, scale, (0, 0, 0), max(1, round(1.5 * scale)), cv2.LINE_AA)
    return band


def real(clip: Clip) -> Clip:
    """The real video in the place of a generated one."""
    return replace(clip, generated=clip.reference, audio=None)
