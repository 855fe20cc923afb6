"""What is made of each clip of a data set once, and read from disk as often as it is learned from.

A clip's file lies in the cache under the content that decides it (bytes of the video, view, decoding, boxes), so a
second training, or the rest of an interrupted preparation, costs a look-up.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from tlbench.arguments import CountCallback
from tlbench.datasets.clip import Clip
from tlbench.datasets.selection import Selection
from tlbench.errors import ClipError, TlbenchError
from tlbench.files import atomic_path
from tlbench.observing.cache import Cache, content_key, content_sha256
from tlbench.observing.face_boxes import BoxFinder, BoxRule

KEPT_VIDEO_BYTES = 96 * 2**20  # a clip this small is decoded once even if boxes have to be found first


class PreprocessedDataset(ABC):
    """Arrays of the clips of a part of a data set, in order.

    Parameters
    ----------
    selection : Selection
        Reference videos are what is learned from.
    boxes : BoxRule
    cache : Path
    folder : str
        Inside the cache, for this kind of book.

    Attributes
    ----------
    clips : list of Clip
        Those that can be learned from, once :meth:`prepare` is done.
    failures : dict of clip id to ClipError
        The others.
    lengths : list of int
        Frames of each of ``clips``.
    """

    def __init__(self, selection: Selection, boxes: BoxRule, cache: Path, folder: str) -> None:
        self.clips: list[Clip] = []
        self.failures: dict[str, ClipError] = {}
        self.lengths: list[int] = []
        self.selection = selection
        self.finder = BoxFinder(boxes, Cache(cache / "boxes"))
        self._folder = cache / folder
        self._files: list[Path] = []

    def prepare(self, progress: CountCallback) -> None:
        """Make what is not there yet. A clip that can't be learned from is in ``failures``.

        Raises
        ------
        TlbenchError
            If the disk is full, or no clip is left.
        """
        clips = self.selection.clips
        for done, clip in enumerate(clips):
            try:
                path = self._prepared(clip)
                with opened_arrays(path) as arrays:
                    frames = self._take(clip, arrays)
            except ClipError as error:
                self.failures[clip.id] = error
                continue
            self.clips.append(clip)
            self._files.append(path)
            self.lengths.append(frames)
            progress(done + 1, len(clips))
        if not self.clips:
            first = next(iter(self.failures.values()))
            raise TlbenchError(f"no clip of split {self.selection.split!r} can be learned from; the first: {first}")

    def __len__(self) -> int:
        return len(self.clips)

    def arrays(self, index: int) -> dict[str, np.ndarray]:
        """What :meth:`_make` made of a clip. Raises TlbenchError if its file is damaged."""
        with opened_arrays(self._files[index]) as arrays:
            return dict(arrays)

    @abstractmethod
    def _key(self, clip: Clip, sha256: str) -> Mapping[str, Any]:
        """JSON of all that decides the arrays. ``sha256`` is of the video."""

    @abstractmethod
    def _make(self, clip: Clip, sha256: str) -> Mapping[str, np.ndarray]:
        """The arrays. Raises ClipError if there are none to be had."""

    @abstractmethod
    def _take(self, clip: Clip, arrays: Mapping[str, np.ndarray]) -> int:
        """Frames of a clip that is about to join the book. Raises ClipError if it may not.

        Each of ``arrays`` is read when it is asked for.
        """

    def _prepared(self, clip: Clip) -> Path:
        sha256 = content_sha256(clip.reference, clip.id, "reference video")
        name = content_key(self._key(clip, sha256))
        path = self._folder / name[:2] / f"{name}.npz"
        if not path.is_file():
            _write(path, self._make(clip, sha256))
        return path


@contextmanager
def opened_arrays(path: Path) -> Iterator[Mapping[str, np.ndarray]]:
    """The arrays of a file, each read when it is asked for. Raises TlbenchError if the file is damaged."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as kept:
            yield kept
    except (OSError, ValueError, KeyError, BadZipFile, EOFError) as error:
        raise TlbenchError(f"lesson {path}: is damaged ({error}); remove it and run the same command again") from error


def _write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary, open(temporary, "xb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # its stub takes the names for options
    except OSError as error:
        raise TlbenchError(f"{path.parent}: lessons can't be written ({error.strerror}); free some space") from error
