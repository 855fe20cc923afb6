"""Data sets of clips that are preprocessed once and read from the cache in every epoch.

The cache names a clip's file by the content that decides it (the bytes of the video, the view, the decoding, the face
boxes). So a second training run, or the rest of an interrupted preparation, only looks it up.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZIP_STORED, BadZipFile

import numpy as np

from tlbench.arguments import CountCallback
from tlbench.array_archive import check_array, open_archive
from tlbench.datasets.clip import Clip
from tlbench.datasets.selection import Selection
from tlbench.errors import ClipError, TlbenchError
from tlbench.files import PREPROCESSED, atomic_path, open_outside
from tlbench.litter import remove_litter
from tlbench.observing.cache import Cache, content_key, content_sha256
from tlbench.observing.face_boxes import BoxFinder, BoxRule
from tlbench.zip_files import damage_as_bad_zip


class PreprocessedDataset(ABC):
    """The clips of one split of a data set as arrays, in order.

    Parameters
    ----------
    selection : Selection
        The clips; their reference videos are used.
    boxes : BoxRule
        Where face boxes come from.
    cache : Path
        The cache folder.
    folder : str
        Name of the folder inside it for this kind of data set.

    Attributes
    ----------
    clips : list of Clip
        The clips that can be used, known after :meth:`prepare`.
    failures : dict of clip id to ClipError
        The other clips.
    lengths : list of int
        Number of frames of each of ``clips``.
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

        ``progress`` is called after every clip, those included.

        Raises
        ------
        TlbenchError
            If the disk is full, or no clip can be used.
        """
        remove_litter(self._folder, deep=True)
        clips = self.selection.clips
        for done, clip in enumerate(clips):
            try:
                path = self._prepared(clip)
                with opened_arrays(path) as arrays:
                    frames = self._take(clip, arrays)
            except ClipError as error:
                self.failures[clip.id] = error
            else:
                self.clips.append(clip)
                self._files.append(path)
                self.lengths.append(frames)
            progress(done + 1, len(clips))
        if not self.clips:
            first = next(iter(self.failures.values()))
            raise TlbenchError(f"no clip of split {self.selection.split!r} can be trained on; the first: {first}")

    def __len__(self) -> int:
        return len(self.clips)

    @abstractmethod
    def __getitem__(self, index: int) -> Any:
        """One clip as it is trained on."""

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def arrays(self, index: int) -> dict[str, np.ndarray]:
        """The arrays of one clip, as :meth:`_make` returned them. Raises TlbenchError if its file is damaged."""
        with opened_arrays(self._files[index]) as arrays:
            return dict(arrays)

    @abstractmethod
    def _key(self, clip: Clip, sha256: str) -> Mapping[str, Any]:
        """JSON of everything that decides the arrays; ``sha256`` is of the video."""

    @abstractmethod
    def _make(self, clip: Clip, sha256: str) -> Mapping[str, np.ndarray]:
        """Compute a clip's arrays. Raises ClipError if the clip can't be used."""

    @abstractmethod
    def _take(self, clip: Clip, arrays: Mapping[str, np.ndarray]) -> int:
        """Add a clip to the data set and return its number of frames. Raises ClipError if it can't be used.

        Each of ``arrays`` is read from the file when it is accessed.
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
    """The arrays of a file, each read when it is accessed. Raises TlbenchError if the file is damaged."""
    try:
        with open_outside(path, PREPROCESSED) as file:
            _check_members(file)
            with np.load(file, allow_pickle=False) as arrays:
                yield arrays
    except (OSError, ValueError, KeyError, BadZipFile, EOFError) as error:
        raise TlbenchError(
            f"preprocessed clip {path}: the file is damaged ({error}); remove it and run the same command again"
        ) from error


def _check_members(file: BinaryIO) -> None:
    """Raises ValueError unless the arrays are stored as they are and as large as their headers say."""
    with open_archive(file) as archive:
        for info in archive.infolist():
            if info.compress_type != ZIP_STORED:
                raise ValueError(f"{info.filename:.60} is packed")
            with damage_as_bad_zip(), archive.open(info) as member:
                check_array(member, info)
    file.seek(0)


def _write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary, open(temporary, "xb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # its stub takes the names for options
    except OSError as error:
        raise TlbenchError(
            f"{path.parent}: preprocessed clips can't be written ({error.strerror}); free some space"
        ) from error
