"""Numbers of a whole set: from the features of a run's clips to a value, an interval and what comparisons need.

Clips are always taken sorted by id, so the result does not depend on the order in which they were observed, nor on
workers and shards. The features of each clip are read once for the hash and the moments of the set, and once more for
the interval of each Frechet distance, when its group is left out; they are not kept. KID, which compares all pairs of
clips, reads them again. So the moments of the sets, of both halves of the real one, and of one group are in memory:
34 MB each of Inception's features, where those of 20 groups on either side would be 1.4 GB.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tlbench.errors import TlbenchError
from tlbench.metrics.frechet import distance_of_moments, frechet_distance
from tlbench.metrics.jackknife import FEWEST_GROUPS, Groups, groups_of, jackknife_interval
from tlbench.metrics.kernel_distance import KernelSums, chosen_clips, kernel_sums
from tlbench.metrics.moments import MomentSum, MomentTally
from tlbench.metrics.protocol import Protocol
from tlbench.metrics.sets import SetMetric, set_metric
from tlbench.scoring.feature_file import FeatureReader, Side, Statistics
from tlbench.scoring.real_set import is_paired
from tlbench.statistics import IntervalSettings

NO_FEATURES = "no clip has features"


@dataclass(frozen=True)
class SetScore:
    """One number of a set in a result.

    Attributes
    ----------
    metric : SetMetric
    protocol : Protocol
    value : float or None
        In the unit shown; None if there is none, for ``reason``.
    low, high : float or None
        Ends of the confidence interval.
    clips : int
        Generated clips in the number.
    generated, real : int or None
        Rows of features (frames, windows) on either side; ``real`` is None for statistics that do not say.
    unit : str or None
        What was left out or resampled for the interval: ``clips``, ``speakers``.
    without_each : tuple of float
        The number without each group of clips; () without groups.
    group_sizes : tuple of int
        Rows of features in each group, of the generated set.
    groups_sha256 : str
        Of which clip is in which group: two results are compared group by group only if it is the same.
    features_sha256 : str
        Of all features on both sides.
    ceiling : float or None
        The same number between two halves of the real set: what a perfect system would get of as few videos.
    reason : str
        Why there is no value; "" if there is one.
    of_halves : bool
        Whether the generated videos are the real ones, as in the control ``ground-truth``. The distance of a set to
        itself is 0 and says nothing, so the value is the ceiling.
    """

    metric: SetMetric
    protocol: Protocol
    value: float | None = None
    low: float | None = None
    high: float | None = None
    clips: int = 0
    generated: int = 0
    real: int | None = None
    unit: str | None = None
    without_each: tuple[float, ...] = ()
    group_sizes: tuple[int, ...] = ()
    groups_sha256: str = ""
    features_sha256: str = ""
    ceiling: float | None = None
    reason: str = ""
    of_halves: bool = False

    @property
    def groups(self) -> int | None:
        """Number of groups; None without them."""
        return len(self.without_each) or None


@dataclass(frozen=True, eq=False)
class _ChosenClips:
    """The features of some clips of a side, each read when it is asked for: those of 2,000 clips are gigabytes."""

    sides: _Sides
    side: Side
    clips: np.ndarray

    @property
    def frames(self) -> Sequence[int]:
        return [self.sides.lengths[self.side][clip] for clip in self.clips]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, clip: int, /) -> np.ndarray:
        return self.sides.features(self.side, int(self.clips[clip]))


@dataclass(frozen=True, eq=False)
class _Sides:
    """The features of one observer on both sides, by clips sorted by id, and their groups.

    ``lengths`` are the rows of each clip, ``widths`` the numbers of features in a row: one, or none without clips.
    ``moments``: whether some number is made of moments.
    """

    reader: FeatureReader
    observer: str
    ids: Mapping[Side, Sequence[str]]
    groups: Mapping[Side, Groups]
    paired: bool
    statistics: Statistics | None
    moments: bool
    lengths: dict[Side, list[int]] = field(default_factory=dict)
    widths: set[int] = field(default_factory=set)
    _passes: dict[Side, _Pass] = field(default_factory=dict)
    _kernels: list[KernelSums] = field(default_factory=list)

    def passed(self, side: Side) -> _Pass:
        """What one reading of the features of a side gives, which is done when it is first asked for."""
        if side not in self._passes:
            self._passes[side] = _pass(self, side)
        return self._passes[side]

    def kernels(self, settings: IntervalSettings) -> KernelSums:
        """The kernel's sums, which are made when they are first asked for."""
        if not self._kernels:
            chosen = {side: chosen_clips(len(ids), settings.seed) for side, ids in self.ids.items()}
            features = [_ChosenClips(self, side, chosen[side]) for side in ("generated", "real")]
            self._kernels.append(kernel_sums(*features, paired=self.paired))
        return self._kernels[0]

    def without(self, group: int, side: Side) -> MomentTally:
        """The moments of a side without those of the clips of a group, added in the order of their ids."""
        part = MomentSum()
        for clip in np.flatnonzero(self.groups[side].index == group):
            part.add(MomentTally.of(self.features(side, int(clip))))
        return self.passed(side).whole.less(part.tally())

    def features(self, side: Side, clip: int) -> np.ndarray:
        return self.reader.read(side, self.observer, self.ids[side][clip])

    def rows(self, side: Side) -> int | None:
        """Rows of features on a side; None if they are not known."""
        if side == "real" and self.statistics is not None:
            return self.statistics.count
        return sum(self.lengths[side])


def set_scores(
    wanted: Sequence[SetScore],
    reader: FeatureReader,
    speakers: Mapping[str, str | None],
    settings: IntervalSettings,
) -> tuple[SetScore, ...]:
    """Compute the numbers of a set.

    Parameters
    ----------
    wanted : sequence of SetScore
        Metrics and protocols, without values.
    reader : FeatureReader
        The features of the run's clips, and of the real videos.
    speakers : mapping of clip id to speaker
    settings : IntervalSettings

    Returns
    -------
    tuple of SetScore
        In the order of ``wanted``. A metric that takes the place of another is added behind it.

    Raises
    ------
    TlbenchError
        If features are damaged, or those of one observer are of two networks.
    """
    names = {score.metric.name for score in wanted}
    found: dict[int, list[SetScore]] = {}
    for observer in dict.fromkeys(score.metric.observer for score in wanted):  # of one at a time the sums are kept
        own = {place: score for place, score in enumerate(wanted) if score.metric.observer == observer}
        sides = _sides(list(own.values()), reader, speakers, settings)
        for place, score in own.items():
            done = _scored(score, sides, settings)
            found[place] = [done]
            has_other = score.metric.instead and score.metric.instead not in names and sides.statistics is None
            if done.value is None and has_other:
                other = set_metric(score.metric.instead)
                protocol = replace(score.protocol, metric=other.name, version=other.version)
                found[place].append(_scored(SetScore(other, protocol), sides, settings))
    return tuple(score for place in sorted(found) for score in found[place])


def _sides(
    scores: Sequence[SetScore], reader: FeatureReader, speakers: Mapping[str, str | None], settings: IntervalSettings
) -> _Sides:
    """Of numbers of one observer, with one real set."""
    observer, paired = scores[0].metric.observer, is_paired(scores[0].protocol)
    generated = reader.ids("generated", observer)
    others = reader.ids("real", observer)
    if paired:
        generated = others = sorted(set(generated) & set(others))
    groups: dict[Side, Groups] = {
        "generated": groups_of(generated, [speakers.get(one) for one in generated], settings.cluster)
    }
    groups["real"] = groups["generated"] if paired else groups_of(others, [None] * len(others), None)
    ids: dict[Side, Sequence[str]] = {"generated": generated, "real": others}
    moments = any(score.metric.distance == "frechet" for score in scores)
    sides = _Sides(reader, observer, ids, groups, paired, reader.statistics(), moments)
    for side, own in ids.items():
        shapes = [reader.shape(side, observer, one) for one in own]
        sides.lengths[side] = [rows for rows, _ in shapes]
        sides.widths.update(width for _, width in shapes)
    if len(sides.widths) > 1:
        raise TlbenchError(f"features of {observer} are of two networks: {sorted(sides.widths)} in a row; score again")
    return sides


@dataclass(frozen=True, eq=False)
class _Pass:
    """What one reading of a side gives.

    ``sha256`` is of the ids of its clips and their features, ``of_clips`` of the features of each, sorted. ``whole``
    and ``halves`` (of the groups with an even and with an odd number) are the moments of clips added in the order of
    their ids; () for what nobody needs.
    """

    sha256: str
    of_clips: tuple[bytes, ...]
    whole: MomentTally
    halves: tuple[MomentTally, ...]


def _pass(sides: _Sides, side: Side) -> _Pass:
    digest = hashlib.sha256()
    of_clips = []
    whole, halves = MomentSum(), [MomentSum(), MomentSum()]
    for clip, name in enumerate(sides.ids[side]):
        features = np.ascontiguousarray(sides.features(side, clip), "<f4")
        digest.update(f"{name}\n".encode())
        content = features.tobytes()
        digest.update(content)
        of_clips.append(hashlib.sha256(content).digest())
        if sides.moments:
            own = MomentTally.of(features)
            whole.add(own)
            if side == "real":
                halves[int(sides.groups[side].index[clip]) % 2].add(own)
    return _Pass(
        digest.hexdigest(),
        tuple(sorted(of_clips)),
        whole.tally(),
        tuple(half.tally() for half in halves) if sides.moments and side == "real" else (),
    )


def _scored(score: SetScore, sides: _Sides, settings: IntervalSettings) -> SetScore:
    metric = score.metric
    counts = sides.rows("generated"), sides.rows("real")
    base = replace(score, clips=len(sides.ids["generated"]), generated=counts[0] or 0, real=counts[1])
    reason = _why_none(metric, sides)
    if reason:
        return replace(base, reason=reason)
    own, real = (sides.passed(side) for side in ("generated", "real"))
    base = replace(base, features_sha256=_of_both([own.sha256, real.sha256], sides.statistics))
    if own.of_clips == real.of_clips:
        return _of_halves(base, sides, settings)
    if metric.distance == "frechet":
        return _frechet_score(base, sides, settings)
    return _kernel_score(base, sides, settings)


def _of_halves(score: SetScore, sides: _Sides, settings: IntervalSettings) -> SetScore:
    """The number of the real videos as a system: that between two halves of them."""
    if score.metric.distance == "frechet":
        value = _frechet_ceiling(score.metric, sides)
    else:
        value = _kernel_ceiling(score.metric, sides, settings)
    if value is None:
        what = f"{score.metric.fewest:,} {score.metric.samples} in each half of them"
        return replace(score, reason=f"these are the real videos, and it needs {what}")
    return replace(score, value=value, ceiling=value, of_halves=True)


def _why_none(metric: SetMetric, sides: _Sides) -> str:
    if not sides.ids["generated"]:
        return NO_FEATURES
    if sides.statistics is not None and metric.distance == "kernel":
        return "statistics (--real) have no features; pass a folder of real videos"
    if sides.statistics is not None and {len(sides.statistics.mean)} != sides.widths:
        own = len(sides.statistics.mean)
        return f"the statistics (--real) have {own:,} features, {metric.observer} has {max(sides.widths):,}"
    for side in sides.ids:
        rows = sides.rows(side)
        if rows is not None and rows < metric.fewest:
            has_other = bool(metric.instead) and sides.statistics is None
            more = f"; {metric.instead.upper()} takes its place" if has_other else ""
            return f"{rows:,} {side} {metric.samples}, it needs {metric.fewest:,}{more}"
    return ""


# Frechet distances


def _frechet_score(score: SetScore, sides: _Sides, settings: IntervalSettings) -> SetScore:
    own = sides.passed("generated").whole
    real = sides.passed("real").whole if sides.ids["real"] else None
    value = _distance(own, real, sides.statistics)
    if value is None:
        return replace(score, reason=NO_FEATURES)
    count = sides.groups["generated"].count
    without, sizes = [], []
    for group in range(count if count >= FEWEST_GROUPS else 0):
        others = real
        if real is not None and group < sides.groups["real"].count:
            others = sides.without(group, "real")
        left = sides.without(group, "generated")
        distance = _distance(left, others, sides.statistics)
        if distance is not None:
            without.append(distance * score.metric.scale)
            sizes.append(own.count - left.count)
    value *= score.metric.scale
    ends = (
        jackknife_interval(value, np.array(without), np.array(sizes), settings.level) if len(sizes) == count else None
    )
    low, high = (max(ends[0], 0.0), ends[1]) if ends is not None else (None, None)  # no distance is below 0
    return replace(
        score,
        value=value,
        low=low,
        high=high,
        unit=sides.groups["generated"].unit if ends is not None else None,
        without_each=tuple(without) if ends is not None else (),
        group_sizes=tuple(sizes) if ends is not None else (),
        groups_sha256=_groups_sha256(sides) if ends is not None else "",
        ceiling=_frechet_ceiling(score.metric, sides),
    )


def _distance(generated: MomentTally, real: MomentTally | None, statistics: Statistics | None) -> float | None:
    if statistics is None:
        return None if real is None else distance_of_moments(generated, real)
    mean, covariance = generated.mean, generated.covariance
    if mean is None or covariance is None:
        return None
    return frechet_distance(mean, covariance, statistics.mean, statistics.covariance)


def _frechet_ceiling(metric: SetMetric, sides: _Sides) -> float | None:
    """Between the groups with an even and those with an odd number; None if a half has too few rows."""
    if sides.statistics is not None:
        return None
    halves = sides.passed("real").halves
    if min(half.count for half in halves) < metric.fewest:
        return None
    distance = distance_of_moments(*halves)
    return None if distance is None else distance * metric.scale


# KID


def _chosen_groups(sides: _Sides, side: Side, settings: IntervalSettings) -> np.ndarray:
    """The group of each clip that is in the sums."""
    index = sides.groups[side].index
    return np.asarray(index[chosen_clips(len(index), settings.seed)])


def _kernel_ceiling(metric: SetMetric, sides: _Sides, settings: IntervalSettings) -> float | None:
    """Between the groups with an even and those with an odd number; None if a half has too few rows."""
    ceiling = sides.kernels(settings).between_halves(_chosen_groups(sides, "real", settings) % 2 == 1)
    return None if ceiling is None else ceiling * metric.scale


def _kernel_score(score: SetScore, sides: _Sides, settings: IntervalSettings) -> SetScore:
    sums = sides.kernels(settings)
    value = sums.value()
    if value is None:
        return replace(score, reason="fewer than two rows of features")
    scale = score.metric.scale
    ends = sums.interval(settings.level, settings.resamples, settings.seed)
    index = {side: _chosen_groups(sides, side, settings) for side in sides.groups}
    count = sides.groups["generated"].count
    without = sums.without_groups(index["generated"], index["real"], count)
    sizes = np.bincount(index["generated"], weights=sums.generated_frames, minlength=count)
    usable = bool(np.isfinite(without).all() and (sizes > 0).all()) and count >= FEWEST_GROUPS
    return replace(
        score,
        clips=len(index["generated"]),
        generated=int(sums.generated_frames.sum()),
        real=int(sums.real_frames.sum()),
        value=value * scale,
        low=None if ends is None else ends[0] * scale,
        high=None if ends is None else ends[1] * scale,
        unit=None if ends is None else "clips",
        without_each=tuple((without * scale).tolist()) if usable else (),
        group_sizes=tuple(int(size) for size in sizes) if usable else (),
        groups_sha256=_groups_sha256(sides) if usable else "",
        ceiling=_kernel_ceiling(score.metric, sides, settings),
    )


# Hashes


def _groups_sha256(sides: _Sides) -> str:
    digest = hashlib.sha256()
    for clip, group in zip(sides.ids["generated"], sides.groups["generated"].index, strict=True):
        digest.update(f"{group} {clip}\n".encode())
    return digest.hexdigest()


def _of_both(digests: Sequence[str], statistics: Statistics | None) -> str:
    digest = hashlib.sha256("".join(digests).encode())
    if statistics is not None:
        digest.update(statistics.mean.tobytes() + statistics.covariance.tobytes())
    return digest.hexdigest()
