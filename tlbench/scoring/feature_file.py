"""Features of a run's clips as one file, from which numbers of the set are made once all clips are there.

A zip file of arrays in NumPy's format, uncompressed: ``generated/inception/<clip id>`` and the same below ``real``. A
run keeps it until its result is made, and a shard for :func:`tlbench.scoring.merge.merge`. Neither the order in which
clips come nor the number of files changes a number: they are always read sorted by clip id.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal
from unicodedata import normalize
from urllib.parse import quote, unquote

import numpy as np

from tlbench.array_archive import open_archive, read_array, read_shape
from tlbench.errors import TlbenchError, shortened
from tlbench.files import FEATURES, open_outside, unwritable
from tlbench.scoring.record import PARTIAL

FEATURES_NAME = "features.zip"  # of the file in a run's folder
MOST_MEMBERS = 4 * 10**6
MOST_DIRECTORY_BYTES = 2**29
MOST_BYTES = 2**30  # of one array: two hours of 2,048 float32 for each frame

Side = Literal["generated", "real"]


@dataclass(frozen=True, eq=False)
class Statistics:
    """Mean (d,) and covariance (d, d), float64, and the number of rows they are of; None if the file does not say."""

    mean: np.ndarray
    covariance: np.ndarray
    count: int | None


class FeatureWriter:
    """Writes features clip by clip. A context manager; the file appears under its name when the block ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._partial = path.with_name(path.name + PARTIAL)
        self._archive: zipfile.ZipFile | None = None

    def __enter__(self) -> FeatureWriter:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._archive = zipfile.ZipFile(self._partial, "w", zipfile.ZIP_STORED)
        except OSError as error:
            raise unwritable(self.path, error) from error
        return self

    def write(self, side: Side, observer: str, clip_id: str, features: np.ndarray) -> None:
        """Add the (n, d) float32 features of one clip. Raises TlbenchError if the disk is full."""
        self._write(_member(side, observer, clip_id), np.ascontiguousarray(features, dtype="<f4"))

    def write_statistics(self, statistics: Statistics) -> None:
        """Add the statistics of a real set whose videos are not here. Raises TlbenchError if the disk is full."""
        for name, array in (("mu", statistics.mean), ("sigma", statistics.covariance)):
            self._write(f"statistics/{name}", np.ascontiguousarray(array, dtype="<f8"))
        self._write("statistics/n", np.array(-1 if statistics.count is None else statistics.count, dtype="<i8"))

    def _write(self, name: str, array: np.ndarray) -> None:
        assert self._archive is not None
        content = io.BytesIO()
        np.lib.format.write_array(content, array, allow_pickle=False)
        try:
            self._archive.writestr(zipfile.ZipInfo(name), content.getvalue())
        except OSError as error:
            raise unwritable(self.path, error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._archive is not None
        try:
            self._archive.close()
            if kind is None:
                os.replace(self._partial, self.path)
            else:
                self._partial.unlink(missing_ok=True)
        except OSError as problem:
            if kind is None:
                raise unwritable(self.path, problem) from problem


class FeatureReader:
    """Reads the features of one or several files, as if they were one. A context manager.

    Raises TlbenchError if a file is missing or is none of these, or if two files have the same clip.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = list(paths)
        self._open = ExitStack()
        self._places: dict[str, tuple[zipfile.ZipFile, Path]] = {}

    def __enter__(self) -> FeatureReader:
        with ExitStack() as opened:
            for path in self._paths:
                try:
                    archive = open_archive(opened.enter_context(open_outside(path, FEATURES)), MOST_DIRECTORY_BYTES)
                    names = archive.namelist()
                except (OSError, zipfile.BadZipFile) as error:
                    raise _damaged(path, error) from error
                self._take(path, archive, names)
            self._open = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def _take(self, path: Path, archive: zipfile.ZipFile, names: Sequence[str]) -> None:
        if len(names) > MOST_MEMBERS:
            raise _damaged(path, ValueError(f"{len(names):,} members"))
        for name in names:
            if name in self._places:
                raise TlbenchError(
                    f"{path}: has features {shortened(name)}, which {self._places[name][1].name} has as well; "
                    "score both shards again"
                )
            self._places[name] = (archive, path)

    def ids(self, side: Side, observer: str) -> list[str]:
        """The clips that have features, sorted."""
        start = _member(side, observer, "")
        return sorted(unquote(name.removeprefix(start)) for name in self._places if name.startswith(start))

    def read(self, side: Side, observer: str, clip_id: str) -> np.ndarray:
        """(n, d) float32. Raises TlbenchError if they are damaged, KeyError if there are none."""
        return self._read(_member(side, observer, clip_id), "<f4", 2)

    def shape(self, side: Side, observer: str, clip_id: str) -> tuple[int, int]:
        """(n, d) of the features of a clip, which are not read. Raises as :meth:`read`."""
        name = _member(side, observer, clip_id)
        archive, path = self._places[name]
        try:
            rows, width = read_shape(archive, name, MOST_BYTES)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise _damaged(path, error) from error
        return rows, width

    def statistics(self) -> Statistics | None:
        """Those of the real set; None if its videos were observed. Raises TlbenchError if they are damaged."""
        if "statistics/mu" not in self._places:
            return None
        count = int(self._read("statistics/n", "<i8", 0))
        own = self._read("statistics/mu", "<f8", 1), self._read("statistics/sigma", "<f8", 2)
        return Statistics(*own, None if count < 0 else count)

    def _read(self, name: str, dtype: str, dimensions: int) -> np.ndarray:
        archive, path = self._places[name]
        try:
            array = read_array(archive, name, MOST_BYTES)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise _damaged(path, error) from error
        if array.dtype != np.dtype(dtype) or array.ndim != dimensions:
            raise _damaged(path, ValueError(f"{array.dtype} of shape {array.shape}"))
        if not np.isfinite(array).all():
            raise _damaged(path, ValueError(f"{shortened(name)} has a number that is NaN or infinite"))
        return array


def _member(side: Side, observer: str, clip_id: str) -> str:
    return f"{side}/{observer}/{quote(normalize('NFC', clip_id), safe='')}"


def _damaged(path: Path, error: Exception) -> TlbenchError:
    return TlbenchError(f"{path}: no features of this tlbench ({shortened(str(error))}); score again")
