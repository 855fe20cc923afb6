"""Pictures of a clip from its video: a film strip of the mouth, and a small preview that plays.

A video is used only if its bytes are those that were scored, so that a page never shows another video than it counts.
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
from tlbench.datasets.selection import load_dataset
from tlbench.errors import ClipError, TlbenchError
from tlbench.files import file_sha256
from tlbench.media.audio import read_audio
from tlbench.media.blazeface import BlazeFaceDetector
from tlbench.media.rates import FRAMES_PER_SECOND
from tlbench.media.video_reader import VideoReader
from tlbench.media.video_writer import write_video
from tlbench.scoring.result import Result

TILES = 8  # frames a strip
TILE_PX = 88  # width of a frame
GAP_PX = 2
QUALITY = 72  # of the JPEG
PREVIEW_PX = 192  # longest side
PREVIEW_CRF = 30
SAMPLE_RATE = 16000


@dataclass(frozen=True)
class Picture:
    """The pictures of one clip on the page.

    Attributes
    ----------
    strip : str
        A data URI, or "".
    caption : str
        What the strip shows, or why there is no strip.
    tiles : int
    preview : str
        A data URI of a small video, or "".
    link : str
        Path of the video itself relative to the page, or "".
    """

    strip: str = ""
    caption: str = ""
    tiles: int = 0
    preview: str = ""
    link: str = ""

    def to_json(self) -> dict[str, Any]:
        """The fields that are not empty."""
        fields = {"strip": self.strip, "caption": self.caption, "tiles": self.tiles}
        return {name: value for name, value in (fields | {"preview": self.preview, "link": self.link}).items() if value}


class Videos:
    """Finds the video of a clip below some folders, by its name and its bytes."""

    def __init__(self, folders: Sequence[Path], ids: Sequence[str]) -> None:
        self._names = ClipNames(ids, lambda clip_id: ())
        self._folders = folders

    @cached_property
    def _files(self) -> list[dict[str, Path]]:
        return [match_files(self._names, find_files(folder)).files for folder in self._folders]

    def find(self, clip_id: str, sha256: str | None) -> Path:
        """The video of a clip whose bytes have this SHA-256.

        Raises ClipError ``missing`` or ``other-bytes`` with one line for the page.
        """
        found = [files[clip_id] for files in self._files if clip_id in files]
        if not found:
            raise ClipError("missing", "the video is not here")
        for path in found:
            try:
                if sha256 is not None and file_sha256(path) == sha256:
                    return path
            except OSError:
                continue
        raise ClipError("other-bytes", f"{found[0].name} is not the video that was scored: its bytes differ")


class RealVideos:
    """Finds the real video of a clip below some folders and in the data set, by its bytes.

    Parameters
    ----------
    result : Result
        Of these clips.
    folders : sequence of Path
        Searched by name first.
    data_root : Path or None
        The data set's folder; None for the one that is set for it, if there is one.

    Attributes
    ----------
    missing : str
        Why the last clip that was looked for has no real video, with the way out; "" if it has one.

    Raises TlbenchError if ``data_root`` is given and does not have the data set.
    """

    def __init__(self, result: Result, folders: Sequence[Path], data_root: Path | None) -> None:
        self._result = result
        self._named = Videos(folders, [clip.id for clip in result.clips])
        self._data_root = data_root
        self.missing = ""
        if data_root is not None:
            self._listed = self._of_dataset()

    @cached_property
    def _listed(self) -> dict[str, Path]:
        try:
            return self._of_dataset()
        except TlbenchError:  # the data set is not on this machine
            return {}

    def _of_dataset(self) -> dict[str, Path]:
        result = self._result
        clips = load_dataset(result.dataset, self._data_root, split=result.split).clips
        return {clip.id: clip.reference for clip in clips if clip.reference is not None}

    def find(self, clip_id: str) -> Path | None:
        """The real video that was scored with the clip; None if it is not here, and ``missing`` says why."""
        sha256 = self._result.by_id[clip_id].info.reference_sha256
        try:
            return self._named.find(clip_id, sha256)
        except ClipError as error:
            other = self._listed.get(clip_id)
            if other is not None and other.is_file() and sha256 is not None and file_sha256(other) == sha256:
                return other
            self.missing = (
                f"No real videos beside the generated ones ({error.message}); pass their folder with --data-root"
            )
            return None


def draw(path: Path, link: str, *, embed: bool) -> Picture:
    """The strip of a video, and its preview if ``embed``. The caption says what can't be drawn."""
    reader = VideoReader(path)
    try:
        count = sum(len(chunk) for chunk in reader.frames())
        wanted = sorted(set(np.linspace(0, count - 1, TILES).round().astype(int).tolist()))
        frames = np.stack(list(_frames(reader, wanted)))
        strip, what = _strip(frames)
        preview = _preview(reader, path) if embed else ""
    except ClipError as error:
        return Picture(caption=error.message.replace(str(path), path.name), link=link)
    return Picture(strip, what, len(wanted), preview, link)


def _frames(reader: VideoReader, wanted: Iterable[int]) -> Iterable[np.ndarray]:
    """(H, W, 3) RGB of the wanted frames, in order."""
    chosen = set(wanted)
    for run in reader.frames():
        if chosen & set(range(run.start, run.start + len(run))):
            for index in range(len(run)):
                if run.start + index in chosen:
                    yield run.rgb[index]


def _strip(frames: np.ndarray) -> tuple[str, str]:
    """The strip of (N, H, W, 3) uint8 RGB frames as a data URI, and what it shows.

    All frames get the same crop, so that only the mouth moves: the lower half of the median face box that BlazeFace
    finds in them. It is not the crop of any observer.
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
    buffer = BytesIO()
    strip.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return data_uri("image/jpeg", buffer.getvalue()), what


def _preview(reader: VideoReader, path: Path) -> str:
    """The whole video in a small size, with its sound if it has any, as a data URI."""
    height, width = next(iter(reader.frames())).rgb.shape[1:3]
    scale = min(1.0, PREVIEW_PX / max(height, width))
    size = (max(2, round(width * scale) // 2 * 2), max(2, round(height * scale) // 2 * 2))
    small = (cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for chunk in reader.frames() for frame in chunk.rgb)
    try:
        samples = read_audio(path, SAMPLE_RATE)
    except ClipError:
        samples = None
    with TemporaryDirectory() as folder:
        written = Path(folder) / "preview.mp4"
        write_video(written, small, FRAMES_PER_SECOND, samples, SAMPLE_RATE, "libx264", PREVIEW_CRF)
        return data_uri("video/mp4", written.read_bytes())


def data_uri(kind: str, data: bytes) -> str:
    """The bytes of a file as an address that a page can show without loading anything."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
