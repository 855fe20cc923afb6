"""Leakage: what of the source video's own mouth and speech shows in a video that was generated for other sound.

Measured on a drive (:mod:`tlbench.generation.drive`): each source video is generated for silence (`SILENT`), for the
speech of another clip (`MISMATCHED`) and for its own (`MATCHED`). `AGAINST_SOURCE` is the mismatched video beside the
source's own sound and transcript.

(a) silent input is after LipLeak of KeySync (arXiv:2505.00497): a generator that hears nothing should close the mouth.
(c) the difference of matched and mismatched sync is the lip-sync discrepancy of arXiv:2511.08613, with the source video
as the identity reference. Of its definition we know what its abstract and public summaries say.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import numpy as np

from tlbench.errors import ClipError
from tlbench.generation.drive import MATCHED, MISMATCHED, SILENT
from tlbench.metrics.intelligibility import spoken_word_errors
from tlbench.metrics.metric import Direction, Metric
from tlbench.metrics.sync import LEAST_FRAMES, SHIFTS_RULE
from tlbench.metrics.tally import HitTally, MeanTally, Tally
from tlbench.observing.evidence import Evidence

AGAINST_SOURCE = "mismatched-source"

# From this gap of the inner lips over the width of the mouth on, a mouth counts as open: of 24,770 frames of `sil`
# in GRID's training part (s1) 5 % have a larger one (benchmarks/mouth_threshold.py).
OPEN_GAP = 0.0696
LEAST_SHARE_SEEN = 0.5  # of the frames in which the source's mouth is open: with fewer, the clip is not scored
_NO_ENDS = "no fixed ends; read it beside the controls ground-truth, where all leaks, and static"


def _open_too(evidence: Evidence) -> HitTally:
    """Frames that are open in both videos, among those open in the source whose generated face is seen.

    Raises ClipError ``no-face`` if the generated face is seen in less than half of the frames that count.
    """
    gap, source = evidence.array(f"{SILENT}.gap"), evidence.array(f"{SILENT}.reference_gap")
    counted = source > OPEN_GAP
    seen = counted & (gap >= 0)
    if seen.sum() < LEAST_SHARE_SEEN * counted.sum():
        raise ClipError(
            "no-face",
            f"a face is seen in {int(seen.sum())} of the {int(counted.sum())} frames with an open mouth in the source; "
            "look at the video generated for silence",
        )
    return HitTally(int(np.count_nonzero(gap[seen] > OPEN_GAP)), int(seen.sum()))


def _sync(part: str, name: str, evidence: Evidence) -> float:
    """LSE of one kind of video, the same windows of speech at every shift. Raises ClipError ``too-short``."""
    if evidence.number(f"{part}.common_max_shift_frames") == 0:
        raise ClipError("too-short", f"LSE takes {LEAST_FRAMES} frames with sound; leave this clip out of the drive")
    return evidence.number(f"{part}.common_{name}")


def _sync_of(part: str, name: str) -> Callable[[Evidence], MeanTally]:
    def tally(evidence: Evidence) -> MeanTally:
        return MeanTally(_sync(part, name, evidence), 1)

    return tally


def _discrepancy_of(name: str) -> Callable[[Evidence], MeanTally]:
    def tally(evidence: Evidence) -> MeanTally:
        return MeanTally(_sync(MATCHED, name, evidence) - _sync(MISMATCHED, name, evidence), 1)

    return tally


def _lse(
    name: str, label: str, better: Direction, parts: tuple[str, ...], tally: Callable[[Evidence], Tally], what: str
) -> Metric:
    return Metric(
        name=name,
        arithmetic="sound",
        label=label,
        observer="syncnet",
        view="",
        unit="",
        better=better,
        version=1,
        rule=SHIFTS_RULE,
        tally=tally,
        description=f"{what}, SyncNet on the view of the run, as lse_c/sound and lse_d/sound; mean over clips",
        aggregation="clips",
        headline=name.endswith(("lse_c", "lse_c_new", "lsd_c")),
        parts=parts,
        ends=_NO_ENDS,
        lowest=0 if len(parts) == 1 else -inf,  # a difference may have either sign
    )


def _wer(name: str, label: str, better: Direction, text: str, what: str) -> Metric:
    return Metric(
        name=name,
        arithmetic="sound",
        label=label,
        observer="avhubert",
        view="",
        unit="%",
        better=better,
        version=1,
        tally=spoken_word_errors(f"{MISMATCHED}.{text}", f"{MISMATCHED}.hypothesis"),
        description=f"word errors of AV-HuBERT reading the video generated for another clip's speech, against {what}; "
        "over all words",
        aggregation="pooled",
        scale=100.0,
        lowest=0,
        parts=(MISMATCHED,),
        ends=_NO_ENDS,
    )


_OWN = "the video generated for another clip's speech, against the source's own sound"
_NEW = "the video generated for another clip's speech, against that speech"

METRICS: tuple[Metric, ...] = (
    Metric(
        name="leak_open",
        arithmetic="sound",
        label="open in silence",
        observer="mouth",
        view="",
        unit="%",
        better="lower",
        version=2,
        tally=_open_too,
        description="share of the frames with an open mouth in the source that are open too when generated for "
        "silence; over all such frames (after KeySync's LipLeak, arXiv:2505.00497)",
        aggregation="pooled",
        rule=f"gap={OPEN_GAP:g}",
        scale=100.0,
        digits=1,
        parts=(SILENT,),
        ends="100 with the source's own mouth, 0 with closed lips, as measured (docs/leakage.md)",
        lowest=0,
        highest=100,
    ),
    _lse(
        "leak_silent_lse_c",
        "silent LSE-C",
        "lower",
        (SILENT,),
        _sync_of(SILENT, "lse_c"),
        "confidence of the video generated for silence against the source's own sound",
    ),
    _lse(
        "leak_silent_lse_d",
        "silent LSE-D",
        "higher",
        (SILENT,),
        _sync_of(SILENT, "lse_d"),
        "distance of the video generated for silence to the source's own sound",
    ),
    _wer("leak_wer", "WER source", "higher", "source_reference", "the source's transcript, which nobody drove it with"),
    _wer("leak_wer_new", "WER new", "lower", "reference", "the transcript of that speech"),
    _lse(
        "leak_lse_c", "LSE-C source", "lower", (AGAINST_SOURCE,), _sync_of(AGAINST_SOURCE, "lse_c"), f"LSE-C of {_OWN}"
    ),
    _lse(
        "leak_lse_d", "LSE-D source", "higher", (AGAINST_SOURCE,), _sync_of(AGAINST_SOURCE, "lse_d"), f"LSE-D of {_OWN}"
    ),
    _lse("leak_lse_c_new", "LSE-C new", "higher", (MISMATCHED,), _sync_of(MISMATCHED, "lse_c"), f"LSE-C of {_NEW}"),
    _lse("leak_lse_d_new", "LSE-D new", "lower", (MISMATCHED,), _sync_of(MISMATCHED, "lse_d"), f"LSE-D of {_NEW}"),
    _lse(
        "leak_lsd_c",
        "LSE-C matched - mismatched",
        "none",
        (MATCHED, MISMATCHED),
        _discrepancy_of("lse_c"),
        "LSE-C of the video generated for its own speech minus that for another clip's, each against the sound that "
        "drove it; above 0 if the own mouth helps (lip-sync discrepancy, arXiv:2511.08613)",
    ),
    _lse(
        "leak_lsd_d",
        "LSE-D matched - mismatched",
        "none",
        (MATCHED, MISMATCHED),
        _discrepancy_of("lse_d"),
        "LSE-D of the video generated for its own speech minus that for another clip's, each against the sound that "
        "drove it; below 0 if the own mouth helps (lip-sync discrepancy, arXiv:2511.08613)",
    ),
)
