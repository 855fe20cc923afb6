"""LSE-C, LSE-D and what they leave out, from SyncNet's evidence."""

from __future__ import annotations

from collections.abc import Callable

from tlbench.metrics.metric import Arithmetic, Direction, Metric
from tlbench.metrics.tally import HitTally, MeanTally
from tlbench.observing.evidence import Evidence

IN_SYNC_FRAMES = 1  # 40 ms: the shift SyncNet is trained to tell from none (Chung and Zisserman, 2016)


def _clip_mean_of(name: str) -> Callable[[Evidence], MeanTally]:
    def tally(evidence: Evidence) -> MeanTally:
        return MeanTally(evidence.number(name), 1)

    return tally


def _size_of(name: str) -> Callable[[Evidence], MeanTally]:
    def tally(evidence: Evidence) -> MeanTally:
        return MeanTally(abs(evidence.number(name)), 1)

    return tally


def _near_zero(name: str) -> Callable[[Evidence], HitTally]:
    def tally(evidence: Evidence) -> HitTally:
        return HitTally(int(abs(evidence.number(name)) <= IN_SYNC_FRAMES), 1)

    return tally


def _lse(name: str, label: str, arithmetic: Arithmetic, better: Direction, what: str) -> Metric:
    # "sound" is the view of the run: the frames themselves, or what a small network of our own sees.
    seen = "the whole frame after the published JPEG round trip" if arithmetic == "paper" else "the view of the run"
    return Metric(
        name=name,
        arithmetic=arithmetic,
        label=label,
        observer="syncnet",
        view="paper" if arithmetic == "paper" else "",
        unit="",
        better=better,
        version=1,
        tally=_clip_mean_of(f"{arithmetic}_{name}"),
        description=f"{what}, SyncNet on {seen}; mean over clips (Wav2Lip evaluation, "
        "calculate_scores_LRS.py). Blind to a constant lag: read it beside the offset",
        aggregation="clips",
    )


def _track_mean_of(name: str) -> Callable[[Evidence], MeanTally]:
    """A clip counts with the mean over its tracks; one without a track does not count."""

    def tally(evidence: Evidence) -> MeanTally:
        values = evidence.array(name)
        return MeanTally(float(values.mean()), 1) if len(values) else MeanTally()

    return tally


def _track_lse(name: str, label: str, better: Direction, what: str) -> Metric:
    return Metric(
        name=f"{name}_track",
        arithmetic="sound",
        label=f"{label} track",
        observer="syncnet",
        view="face-track",
        unit="",
        better=better,
        version=1,
        tally=_track_mean_of(f"track_{name}"),
        description=f"{what}, SyncNet on followed faces of more than 50 frames, crop of joonson/syncnet_python; mean "
        "over a clip's tracks, then over clips. Not the whole-frame number, nor the public pipeline's: the detector is "
        "the embedded one, shots are not cut, and nothing is encoded in between",
        aggregation="clips",
        headline=False,
    )


_CONFIDENCE = "median minus least of the mean distances over 31 shifts"
_DISTANCE = "least mean distance of lips and speech over 31 shifts"

METRICS: tuple[Metric, ...] = (
    _lse("lse_c", "LSE-C", "paper", "higher", _CONFIDENCE),
    _lse("lse_d", "LSE-D", "paper", "lower", _DISTANCE),
    _lse("lse_c", "LSE-C", "sound", "higher", _CONFIDENCE),
    _lse("lse_d", "LSE-D", "sound", "lower", _DISTANCE),
    Metric(
        name="lse_d_zero",
        arithmetic="sound",
        label="LSE-D at 0",
        observer="syncnet",
        view="",
        unit="",
        better="lower",
        version=1,
        tally=_clip_mean_of("sound_zero_offset_distance"),
        description="mean distance of the lips to the speech that is played with them, mean over clips; "
        "unlike LSE-D it grows with a lag",
        aggregation="clips",
    ),
    Metric(
        name="in_sync",
        arithmetic="sound",
        label="in sync",
        observer="syncnet",
        view="",
        unit="%",
        better="higher",
        version=1,
        tally=_near_zero("sound_offset_frames"),
        description="share of clips whose best offset is at most one frame (40 ms)",
        aggregation="clips",
        scale=100.0,
        digits=1,
    ),
    Metric(
        name="offset_size",
        arithmetic="sound",
        label="|offset|",
        observer="syncnet",
        view="",
        unit="frames",
        better="lower",
        version=1,
        tally=_size_of("sound_offset_frames"),
        description="size of the offset at which lips and speech fit best, mean over clips",
        aggregation="clips",
    ),
    _track_lse("lse_c", "LSE-C", "higher", _CONFIDENCE),
    _track_lse("lse_d", "LSE-D", "lower", _DISTANCE),
)
