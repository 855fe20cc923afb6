"""Pictures of a clip from its video: a film strip of the mouth, and a small preview that plays.

A video is used only if its bytes are those that were scored, so a page can't show one thing and count another.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from PIL import Image

from tlbench.datasets.matching import ClipNames, find_files, match_files
from tlbench.errors import ClipError
from tlbench.files import file_sha256
from tlbench.media.audio import read_audio
from tlbench.media.blazeface import BlazeFaceDetector
from tlbench.media.rates import FRAMES_PER_SECOND, SAMPLE_RATE
from tlbench.media.video_reader import VideoReader
from tlbench.media.video_writer import write_video
from tlbench.scoring.result import ClipScore

TILES = 8  # frames a strip
TILE_PX = 88  # width of one
GAP_PX = 2
QUALITY = 72  # of JPEG
PREVIEW_PX = 192  # longest side
PREVIEW_CRF = 30


@dataclass(frozen=True)
class Picture:
    """What a page shows of one clip's video.

    Attributes
    ----------
    strip : str
        A data URI, or "".
    caption : str
        What the strip shows, or why there is none.
    tiles : int
    preview : str
        A data URI of a small video, or "".
    link : str
        Where the video itself lies, as seen from the page, or "".
    """

    strip: str = ""
    caption: str = ""
    tiles: int = 0
    preview: str = ""
    link: str = ""

    def to_json(self) -> dict[str, Any]:
        said = {"strip": self.strip, "caption": self.caption, "tiles": self.tiles}
        return {name: value for name, value in (said | {"preview": self.preview, "link": self.link}).items() if value}


class Videos:
    """The videos below some folders, asked for by clip and known by their bytes."""

    def __init__(self, folders: Sequence[Path], ids: Sequence[str]) -> None:
        self._names = ClipNames(ids, lambda clip_id: ())
        self._folders = folders

    @cached_property
    def _files(self) -> list[dict[str, Path]]:
        return [match_files(self._names, find_files(folder)).files for folder in self._folders]

    def find(self, clip: ClipScore) -> Path:
        """The video that was scored. Raises ClipError ``missing`` or ``other-bytes`` with one line for the page."""
        found = [files[clip.id] for files in self._files if clip.id in files]
        if not found:
            raise ClipError("missing", "the video is not here")
        for path in found:
            try:
                if clip.generated_sha256 is not None and file_sha256(path) == clip.generated_sha256:
                    return path
            except OSError:
                continue
        raise ClipError("other-bytes", f"{found[0].name} is not the video that was scored: its bytes are others")


def draw(path: Path, link: str, *, embed: bool) -> Picture:
    """A clip's strip, and its preview if asked. What can't be drawn is said in the caption."""
    video = VideoReader(path)
    try:
        count = sum(len(chunk) for chunk in video.frames())
        wanted = sorted(set(np.linspace(0, count - 1, TILES).round().astype(int).tolist()))
        frames = np.stack(list(_frames(video, wanted)))
        strip, what = _strip(frames)
        preview = _preview(video, path) if embed else ""
    except ClipError as error:
        return Picture(caption=error.message.replace(str(path), path.name), link=link)
    return Picture(strip, what, len(wanted), preview, link)


def _frames(video: VideoReader, wanted: Iterable[int]) -> Iterable[np.ndarray]:
    """(H, W, 3) RGB of the wanted frames, in order."""
    chosen = set(wanted)
    for chunk in video.frames():
        if chosen & set(range(chunk.start, chunk.start + len(chunk))):
            for index in range(len(chunk)):
                if chunk.start + index in chosen:
                    yield chunk.rgb[index]


def _strip(frames: np.ndarray) -> tuple[str, str]:
    """The strip as a data URI, and what it shows.

    The crop is for people: the lower half of the face as BlazeFace sees it in these frames, the same in all of
    them (their median), so that what moves is the mouth. What each observer was shown is its view's business.
    """
    boxes = [box for box in BlazeFaceDetector().detect(frames) if box is not None]
    height, width = frames.shape[1:3]
    what = "lower half of the face"
    x1, y1, x2, y2 = 0, 0, width, height
    if boxes:
        left, top, right, bottom = (int(edge) for edge in np.median(np.stack(boxes), axis=0))
        x1, x2 = max(0, left), min(width, right)
        y1, y2 = max(0, (top + bottom) // 2), min(height, bottom)
    if not boxes or x2 - x1 < 2 or y2 - y1 < 2:
        what, x1, y1, x2, y2 = "whole frames, no face was found", 0, 0, width, height
    tile_height = max(1, round(TILE_PX * (y2 - y1) / (x2 - x1)))
    strip = Image.new("RGB", (len(frames) * (TILE_PX + GAP_PX) - GAP_PX, tile_height), (128, 128, 128))
    for place, frame in enumerate(frames):
        tile = cv2.resize(frame[y1:y2, x1:x2], (TILE_PX, tile_height), interpolation=cv2.INTER_AREA)
        strip.paste(Image.fromarray(tile), (place * (TILE_PX + GAP_PX), 0))
    held = BytesIO()
    strip.save(held, "JPEG", quality=QUALITY, optimize=True)
    return _data_uri("image/jpeg", held.getvalue()), what


def _preview(video: VideoReader, path: Path) -> str:
    """The whole clip, small, with its sound if it has any."""
    height, width = next(iter(video.frames())).rgb.shape[1:3]
    scale = min(1.0, PREVIEW_PX / max(height, width))
    size = (max(2, round(width * scale) // 2 * 2), max(2, round(height * scale) // 2 * 2))
    small = (cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for chunk in video.frames() for frame in chunk.rgb)
    try:
        samples = read_audio(path, SAMPLE_RATE)
    except ClipError:
        samples = None
    with TemporaryDirectory() as folder:
        written = Path(folder) / "preview.mp4"
        write_video(written, small, FRAMES_PER_SECOND, samples, SAMPLE_RATE, "libx264", PREVIEW_CRF)
        return _data_uri("video/mp4", written.read_bytes())


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
