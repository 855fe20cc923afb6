"""LSE-C, LSE-D and the metrics of the offset, from SyncNet's evidence."""

from __future__ import annotations

from collections.abc import Callable

from tlbench.errors import ClipError
from tlbench.media.shots import SHOTS_RULE
from tlbench.metrics.metric import Arithmetic, Direction, Metric
from tlbench.metrics.tally import HitTally, MeanTally
from tlbench.observing.evidence import Evidence

IN_SYNC_FRAMES = 1  # 40 ms: the smallest shift that SyncNet is trained to detect (Chung and Zisserman, 2016)
# Below it the best shift is random. docs/metrics.md says on which clips it was chosen.
CONFIDENCE_FLOOR = 1.0
# From observers/syncnet/decode.py, part of protocol ids: the same 10 or more windows of speech are compared at each
# shift, which takes 5 frames more than windows, and 3 to 15 frames more at each end.
SHIFTS_RULE = "shifts=3..15,windows=10"
LEAST_WINDOWS = 10
FRAMES_LOST = 5
LEAST_FRAMES = LEAST_WINDOWS + 2 * 3 + FRAMES_LOST
# Faces that a track needs more of: joonson/syncnet_python's ``min_track``, and that of LatentSync's evaluation.
LONG_TRACK, SHORT_TRACK = 100, 50
CHANCE_NOTE = (
    "in sync: 3 of 31 shifts count, so lips that have nothing to do with the speech reach up to 9.7 % by chance, more "
    "in clips below 45 frames (3 of 15 shifts at 29 frames, 3 of 7 at 21)."
)


def _as_published(evidence: Evidence, name: str) -> float:
    return evidence.number(f"paper_{name}")


def _over_the_same_speech(evidence: Evidence, name: str) -> float:
    """Raises ClipError ``too-short`` if no window of speech can be compared at every shift."""
    if evidence.number("common_max_shift_frames") == 0:
        frames = int(evidence.number("windows")) + FRAMES_LOST
        raise ClipError(
            "too-short",
            f"{frames} frames with sound, and LSE compares {LEAST_WINDOWS} windows of speech with lips up to 3 frames "
            f"either way, which takes {LEAST_FRAMES}; leave this clip out for LSE",
        )
    return evidence.number(f"common_{name}")


def _clip_mean_of(name: str, arithmetic: Arithmetic) -> Callable[[Evidence], MeanTally]:
    value = _as_published if arithmetic == "paper" else _over_the_same_speech

    def tally(evidence: Evidence) -> MeanTally:
        return MeanTally(value(evidence, name), 1)

    return tally


def _offset_size(evidence: Evidence) -> MeanTally:
    return MeanTally(abs(_over_the_same_speech(evidence, "offset_frames")), 1)


def _in_sync(evidence: Evidence) -> HitTally:
    near = abs(_over_the_same_speech(evidence, "offset_frames")) <= IN_SYNC_FRAMES
    return HitTally(int(near and _over_the_same_speech(evidence, "lse_c") >= CONFIDENCE_FLOOR), 1)


def _lse(name: str, label: str, arithmetic: Arithmetic, better: Direction, what: str) -> Metric:
    # "sound" uses the view of the run: the whole frames, or the view of a network trained with tlbench.
    seen = "the whole frame after the published JPEG round trip" if arithmetic == "paper" else "the view of the run"
    return Metric(
        name=name,
        arithmetic=arithmetic,
        label=label,
        observer="syncnet",
        view="paper" if arithmetic == "paper" else "",
        unit="",
        better=better,
        version=2,
        rule="" if arithmetic == "paper" else SHIFTS_RULE,
        tally=_clip_mean_of(name, arithmetic),
        description=f"{what}, SyncNet on {seen}; mean over clips (Wav2Lip evaluation, "
        "calculate_scores_LRS.py). Blind to a constant lag: read it beside the offset",
        aggregation="clips",
        lowest=0,
    )


def _track_mean_of(name: str, counted: str, faces_min: int) -> Callable[[Evidence], MeanTally]:
    """The mean over a clip's tracks of more faces than ``faces_min``; a clip without such a track is left out."""

    def tally(evidence: Evidence) -> MeanTally:
        values = evidence.array(name)[evidence.array(counted) > faces_min]
        return MeanTally(float(values.mean()), 1) if len(values) else MeanTally()

    return tally


def _track_lse(name: str, label: str, arithmetic: Arithmetic, better: Direction, what: str, faces_min: int) -> Metric:
    own = "" if faces_min == LONG_TRACK else str(faces_min)
    same_speech = "" if arithmetic == "paper" else f"{SHIFTS_RULE},"
    prefix = "track" if arithmetic == "paper" else "track_common"
    return Metric(
        name=f"{name}_track{own}",
        arithmetic=arithmetic,
        label=f"{label} track{own and ' '}{own}",
        observer="syncnet",
        view="face-track",
        unit="",
        better=better,
        version=3,
        rule=f"{same_speech}{SHOTS_RULE},min_track={faces_min}",
        tally=_track_mean_of(f"{prefix}_{name}", f"{prefix}_faces", faces_min),
        description=f"{what}, SyncNet on followed faces of more than {faces_min} frames, cut into shots, tracked and "
        "cropped as in joonson/syncnet_python; mean over a clip's tracks, then over clips. Not the whole-frame number; "
        "the detector is the embedded one, and nothing is encoded in between",
        aggregation="clips",
        headline=False,
        lowest=0,
    )


def _all_track_lse(arithmetic: Arithmetic, faces_min: int) -> tuple[Metric, Metric]:
    confidence, distance = (_CONFIDENCE_31, _DISTANCE_31) if arithmetic == "paper" else (_CONFIDENCE, _DISTANCE)
    return (
        _track_lse("lse_c", "LSE-C", arithmetic, "higher", confidence, faces_min),
        _track_lse("lse_d", "LSE-D", arithmetic, "lower", distance, faces_min),
    )


_CONFIDENCE_31 = "median minus least of the mean distances over 31 shifts"
_DISTANCE_31 = "least mean distance of lips and speech over 31 shifts"
_CONFIDENCE = "median minus least of the mean distances over all shifts"
_DISTANCE = "least mean distance of lips and speech over all shifts"

METRICS: tuple[Metric, ...] = (
    _lse("lse_c", "LSE-C", "paper", "higher", _CONFIDENCE_31),
    _lse("lse_d", "LSE-D", "paper", "lower", _DISTANCE_31),
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
        version=2,
        rule=SHIFTS_RULE,
        tally=_clip_mean_of("zero_offset_distance", "sound"),
        description="mean distance of the lips to the speech that is played with them, mean over clips; "
        "unlike LSE-D it grows with a lag",
        aggregation="clips",
        lowest=0,
    ),
    Metric(
        name="in_sync",
        arithmetic="sound",
        label="in sync",
        observer="syncnet",
        view="",
        unit="%",
        better="higher",
        version=2,
        rule=f"{SHIFTS_RULE},confidence={CONFIDENCE_FLOOR:g}",
        note=CHANCE_NOTE,
        tally=_in_sync,
        description="share of clips whose best offset is at most one frame (40 ms) with a confidence (LSE-C) of at "
        f"least {CONFIDENCE_FLOOR:g}",
        aggregation="clips",
        scale=100.0,
        digits=1,
        lowest=0,
        highest=100,
    ),
    Metric(
        name="offset_size",
        arithmetic="sound",
        label="|offset|",
        observer="syncnet",
        view="",
        unit="frames",
        better="lower",
        version=2,
        rule=SHIFTS_RULE,
        tally=_offset_size,
        description="size of the offset at which lips and speech fit best, mean over clips",
        aggregation="clips",
        lowest=0,
    ),
    *_all_track_lse("paper", LONG_TRACK),
    *_all_track_lse("sound", LONG_TRACK),
    *_all_track_lse("paper", SHORT_TRACK),
    *_all_track_lse("sound", SHORT_TRACK),
)
