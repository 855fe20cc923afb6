"""The real videos that a set is compared with: the references of the scored clips, a folder, or given statistics."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.datasets.matching import find_files
from tlbench.errors import TlbenchError
from tlbench.files import file_sha256
from tlbench.metrics.protocol import Protocol
from tlbench.scoring.feature_file import Statistics

HASH_DIGITS = 12  # as many as of weights in protocol ids
PAIRED = "paired"
_RULE = "real="
MOST_FEATURES = 4096  # of statistics: 134 MB of covariance


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

    def to_observe(self, clips: Sequence[Clip], part: slice) -> list[Clip]:
        """The real videos as clips whose generated video they are; ``part`` is which of a folder's."""
        if self.paired:
            return [replace(clip, generated=clip.reference) for clip in clips if clip.reference is not None]
        return list(self.clips[part])


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
        No such file or folder, a folder without videos, or a file that is not one of statistics.
    """
    if given is None:
        return RealSet()
    if given.is_dir():
        found = find_files(given)
        if not found:
            raise TlbenchError(f"--real {given}: there is no video in this folder")
        clips = tuple(Clip(one.name, one.path, one.path) for one in found)
        digest = hashlib.sha256("\n".join(sorted(file_sha256(one.path) for one in found)).encode()).hexdigest()
        return RealSet(digest[:HASH_DIGITS], clips)
    return RealSet(_sha256(given)[:HASH_DIGITS], statistics=_statistics(given))


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise TlbenchError(f"--real {path}: can't be read ({error.strerror}); pass a folder or a .npz file") from error


def _statistics(path: Path) -> Statistics:
    """``mu`` and ``sigma``, as pytorch-fid's ``--save-stats`` writes them, and ``n`` if the file has it."""
    try:
        with np.load(path, allow_pickle=False, max_header_size=10_000) as file:
            mean, covariance = (np.asarray(file[name], dtype=np.float64) for name in ("mu", "sigma"))
            count = int(file["n"]) if "n" in file.files else None
    except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError) as error:
        raise TlbenchError(
            f"--real {path}: no statistics with mu and sigma, as pytorch-fid writes them ({error}); pass such an .npz "
            "file, or a folder of videos"
        ) from error
    dims = mean.size
    if mean.ndim != 1 or covariance.shape != (dims, dims) or not 1 < dims <= MOST_FEATURES:
        raise TlbenchError(f"--real {path}: mu of shape {mean.shape} and sigma of {covariance.shape} do not fit")
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise TlbenchError(f"--real {path}: has a number that is NaN or infinite; make it again")
    if not np.allclose(covariance, covariance.T, rtol=1e-5, atol=1e-8):
        raise TlbenchError(f"--real {path}: sigma is not symmetric, so it is no covariance; make it again")
    return Statistics(mean, covariance, count)
