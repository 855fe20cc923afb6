"""The real videos that a set is compared with: the references of the scored clips, a folder, or given statistics."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np

from tlbench.array_archive import open_archive, read_array
from tlbench.datasets.clip import Clip
from tlbench.datasets.matching import find_files
from tlbench.errors import TlbenchError, shortened
from tlbench.files import ARRAY, file_sha256, open_outside
from tlbench.metrics.protocol import Protocol
from tlbench.metrics.sets import SetMetric
from tlbench.scoring.feature_file import Statistics

HASH_DIGITS = 12  # as many as of weights in protocol ids
PAIRED = "paired"
_RULE = "real="
MOST_FEATURES = 4096  # of statistics
LARGEST = 1e100  # of a mean or covariance: products of two of them are finite, and no feature comes near
LARGEST_COUNT = 2**53  # of frames: whole numbers up to it are the same in all of NumPy's types
# Of a covariance's eigenvalues, over its largest: what rounding to float32 makes of 0 is 1e-6 or so.
MOST_NEGATIVE = -1e-4
MOST_BYTES = MOST_FEATURES**2 * 16 + 2**16  # of one array: the covariance in the longest of NumPy's real numbers


@dataclass(frozen=True, eq=False)
class RealSet:
    """Which real videos a set is compared with.

    Attributes
    ----------
    mark : str
        As protocol ids have it: ``paired``, or the first digits of a hash of the folder's videos or of the file.
    clips : tuple of Clip
        Of a folder; () for the references, which are known with the clips.
    statistics : Statistics or None
        Of a file.
    """

    mark: str = PAIRED
    clips: tuple[Clip, ...] = ()
    statistics: Statistics | None = None

    @property
    def paired(self) -> bool:
        """Whether it is the references of the scored clips."""
        return self.mark == PAIRED

    def to_observe(self, clips: Sequence[Clip], part: slice) -> tuple[dict[str, Clip], list[Clip]]:
        """The real videos as clips whose generated video they are; ``part`` is which of a folder's.

        Those that are references of ``clips`` come by the id of the first such clip, with which they are decoded; the
        others follow.
        """
        if self.paired:
            return {one.id: replace(one, generated=one.reference) for one in clips if one.reference is not None}, []
        others = {clip.generated.resolve(): clip for clip in self.clips[part] if clip.generated is not None}
        of_clips = {}
        for one in clips:
            real = None if one.reference is None else others.pop(one.reference.resolve(), None)
            if real is not None:
                of_clips[one.id] = Clip(real.id, one.reference, one.reference)
        return of_clips, list(others.values())


def real_rule(real: RealSet) -> str:
    """The real set as the rule of a protocol has it."""
    return f"{_RULE}{real.mark}"


def is_paired(protocol: Protocol) -> bool:
    """Whether the real set of a number is the references of the scored clips."""
    return f"{_RULE}{PAIRED}" in (protocol.rule or "").split(",")


def real_set(given: Path | None) -> RealSet:
    """What ``--real`` says: None for the references, a folder of videos, or a file of statistics.

    Raises
    ------
    TlbenchError
        No such file or folder, a folder without videos, with one that can't be read or with two of one name, or a file
        that is not one of statistics.
    """
    if given is None:
        return RealSet()
    if given.is_dir():
        found = find_files(given)
        if not found:
            raise TlbenchError(f"--real {given}: there is no video in this folder")
        for one, other in pairwise(found):  # sorted by name
            if one.name == other.name:
                names = f"{one.path.name} and {other.path.name}"
                raise TlbenchError(f"--real {given}: {names} are both {shortened(one.name)}; keep one of them")
        clips = tuple(Clip(one.name, one.path, one.path) for one in found)
        digest = hashlib.sha256("\n".join(sorted(_video_sha256(given, one.path) for one in found)).encode()).hexdigest()
        return RealSet(digest[:HASH_DIGITS], clips)
    return RealSet(_sha256(given)[:HASH_DIGITS], statistics=_statistics(given))


def of_statistics(
    sets: Sequence[SetMetric], statistics: Statistics, path: Path | None
) -> tuple[tuple[SetMetric, ...], list[str]]:
    """The numbers that can be made of the statistics of a file, and a line for each of the others.

    Raises TlbenchError if none can.
    """
    why_not = {metric: why for metric in sets if (why := _why_not_of_statistics(metric, statistics))}
    if len(why_not) == len(sets):
        reasons = ", ".join(dict.fromkeys(why_not.values()))
        raise TlbenchError(f"--real {path}: {reasons}; pass a folder of real videos, or other statistics")
    lines = [f"{metric.label} left out: --real {path}: {why}" for metric, why in why_not.items()]
    return tuple(metric for metric in sets if metric not in why_not), lines


def _why_not_of_statistics(metric: SetMetric, statistics: Statistics) -> str:
    """Why a number can't be made of statistics; "" if it can."""
    if metric.distance == "kernel":
        return f"{metric.label} needs features, which statistics are not"
    own = len(statistics.mean)
    if own != metric.features:
        return f"its mean has {own:,} numbers and {metric.label} is of {metric.features:,}, so it is of another network"
    if statistics.count is not None and statistics.count < metric.fewest:
        return f"it is of {statistics.count:,} {metric.samples} and {metric.label} needs {metric.fewest:,}"
    return ""


def _video_sha256(folder: Path, path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        name = path.relative_to(folder)
        raise TlbenchError(f"--real {folder}: {name} can't be read ({error.strerror}); mend or remove it") from error


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise TlbenchError(f"--real {path}: can't be read ({error.strerror}); pass a folder or a .npz file") from error


def _statistics(path: Path) -> Statistics:
    """``mu`` and ``sigma``, as pytorch-fid's ``--save-stats`` writes them, and ``n`` if the file has it."""
    try:
        with open_outside(path, ARRAY) as file, open_archive(file) as archive:
            mean, covariance = (_numbers(archive, name) for name in ("mu", "sigma"))
            count = _numbers(archive, "n") if "n.npy" in archive.namelist() else None
    except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise TlbenchError(
            f"--real {path}: no statistics with mu and sigma, as pytorch-fid writes them ({shortened(str(error))}); "
            "pass such an .npz file, or a folder of videos"
        ) from error
    dims = mean.size
    if mean.ndim != 1 or covariance.shape != (dims, dims) or not 1 < dims <= MOST_FEATURES:
        raise TlbenchError(f"--real {path}: mu of shape {mean.shape} and sigma of {covariance.shape} do not fit")
    for array in (mean, covariance):
        if not (np.abs(array) <= LARGEST).all():
            raise TlbenchError(
                f"--real {path}: has a number that is NaN, infinite or beyond {LARGEST:g}; make it again"
            )
    if (covariance.diagonal() < 0).any():
        raise TlbenchError(f"--real {path}: sigma has a variance below 0, so it is no covariance; make it again")
    if not np.allclose(covariance, covariance.T, rtol=1e-5, atol=1e-8):
        raise TlbenchError(f"--real {path}: sigma is not symmetric, so it is no covariance; make it again")
    values = np.linalg.eigvalsh(covariance)
    if values[0] < MOST_NEGATIVE * values[-1]:
        raise TlbenchError(
            f"--real {path}: sigma has an eigenvalue of {values[0]:g}, so it is no covariance; make it again"
        )
    return Statistics(mean, covariance, None if count is None else _frames(count, path))


def _frames(count: np.ndarray, path: Path) -> int:
    """The number of frames that a file says. Raises TlbenchError if it is none."""
    if count.size == 1:
        count = count.reshape(())
    if count.ndim or not 2 <= count <= LARGEST_COUNT or count != np.floor(count):
        shown = f"{count.size} numbers" if count.ndim else count
        raise TlbenchError(
            f"--real {path}: n, the number of frames, is {shown}, not a whole number from 2 on; make it again"
        )
    return int(count)


def _numbers(archive: ZipFile, name: str) -> np.ndarray:
    """Real numbers as float64. Raises ValueError for others, and what :func:`read_array` raises."""
    array = read_array(archive, f"{name}.npy", MOST_BYTES)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name} holds {array.dtype}, not real numbers")
    return array.astype(np.float64)
