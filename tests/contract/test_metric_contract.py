"""What every metric must do, whoever wrote it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tlbench.checkpoints.catalogue import observer_names
from tlbench.errors import TlbenchError
from tlbench.metrics.catalogue import all_metrics, find_metric, find_metrics
from tlbench.metrics.metric import Metric
from tlbench.metrics.protocol import Protocol
from tlbench.metrics.tally import Tally
from tlbench.observing.clip_info import ClipInfo
from tlbench.observing.evidence import Evidence, Value
from tlbench.observing.registry import observer_class
from tlbench.scoring.aggregation import aggregate
from tlbench.scoring.record import ClipRecord
from tlbench.scoring.result_file import load_result
from tlbench.statistics import IntervalSettings

CLEAN, DAMAGED = 0.0, 1.0


def _lips(damage: float) -> dict[str, Value]:
    """Read with one error that no lips could show, or hardly read at all."""
    similar = {f"avs_{kind}": 0.9 - 0.5 * damage for kind in "umv"}
    read = "bat the old dog now" if not damage else "see a cat"
    said = {"reference": "PAT THE OLD DOG NOW", "source_reference": "SEE A CAT", "hypothesis": read}
    return {**said, **similar}


def _characters(damage: float) -> dict[str, Value]:
    said = np.array([9, 2, 11, 1, 4, 7], np.int64)
    read = said.copy()
    read[: int(4 * damage)] = 30
    free = "all of it" if not damage else "some"
    return {
        "reference": "ALL OF IT",
        "reference_ids": said,
        "forced_ids": read,
        "free_hypothesis": free,
        "ctc_hypothesis": free,
    }


def _word(damage: float) -> dict[str, Value]:
    rank = int(9 * damage)
    return {"word": "ABOUT", "rank": rank, "rank_plain": rank}


def _words(damage: float) -> dict[str, Value]:
    ranks = np.array([0, int(9 * damage), int(2 * damage)])
    return {"words": ["BIN", "BLUE", "NOW"], "ranks": ranks, "ranks_plain": ranks}


def _pieces(damage: float) -> dict[str, Value]:
    lips = _lips(damage)
    return {
        "reference": lips["reference"],
        "reference_spelled": lips["reference"],
        "hypothesis": lips["hypothesis"],
        "ctc_hypothesis": lips["hypothesis"],
        "lip_score": 0.9 - 0.5 * damage,
    }


READERS: dict[str, Callable[[float], dict[str, Value]]] = {
    "autoavsr": _pieces,
    "avhubert": _lips,
    "conformer": _characters,
    "mvm": _word,
    "mvm-aligned": _words,
}


def evidence_of(observer: str, damage: float, frames: int = 4) -> Evidence:
    """Evidence as the built-in observers give it, of a clip that is clean or damaged."""
    if observer == "pixels":
        ones = np.ones(frames)
        values: dict[str, Value] = {"frames": frames}
        for region in ("face", "mouth", "frame"):
            values |= {
                f"{region}_psnr_wrapped": (40 - 8 * damage) * ones,
                f"{region}_mse": (6 + 500 * damage) * ones,
                f"{region}_ssim": (0.98 - 0.3 * damage) * ones,
            }
        return Evidence(observer, values)
    if observer == "mouth":
        open_frames = np.arange(10 * frames) < 5 * frames * (1 + damage) - 2
        values = {"frames": 10 * frames, "gap": 0.3 * open_frames, "reference_gap": np.full(10 * frames, 0.3)}
        return Evidence(observer, values)
    if observer == "lpips":
        return Evidence(observer, {"frames": frames, "distance": np.full(frames, 0.05 + 0.3 * damage)})
    if observer == "sharpness":
        return Evidence(observer, {"frames": frames, "laplacian_variance": np.full(frames, 300 - 200 * damage)})
    if observer in ("identity", "arcface"):
        likeness = np.full(frames, 0.97 - 0.2 * damage)
        return Evidence(observer, {"frames": frames, "reference_seen": frames, "cosine": likeness})
    if observer == "landmarks":
        moved = {name: np.full(frames, 0.1 + damage) for name in ("face_px", "mouth_px", "face_shape", "mouth_shape")}
        return Evidence(observer, {"frames": frames, "reference_seen": frames, **moved})
    if observer in READERS:
        return Evidence(observer, READERS[observer](damage))
    values = {
        "windows": frames,
        "common_max_shift_frames": 15,
        "track_faces": np.array([51, 101]),
        "track_lse_c": np.array([8.0 - 5 * damage, 7.0 - 5 * damage]),
        "track_lse_d": np.array([6.5 + 4 * damage, 7.5 + 4 * damage]),
        "track_common_faces": np.array([51, 101]),
        "track_common_lse_c": np.array([8.0 - 5 * damage, 7.0 - 5 * damage]),
        "track_common_lse_d": np.array([6.5 + 4 * damage, 7.5 + 4 * damage]),
    }
    for view in ("paper", "common"):
        values |= {
            f"{view}_lse_c": 8.0 - 5 * damage,
            f"{view}_lse_d": 6.5 + 4 * damage,
            f"{view}_offset_frames": int(5 * damage),
            f"{view}_zero_offset_distance": 6.6 + 6 * damage,
        }
    return Evidence(observer, values)


# In two of these parts of a drive a damaged clip, into which its source leaks, fits better; `matched` is always clean.
DAMAGE_OF_PART: dict[str, Callable[[float], float]] = {
    "silent": lambda damage: 1 - damage,
    "mismatched-source": lambda damage: 1 - damage,
    "matched": lambda damage: 0.0,
}


def recorded(metric: Metric, damage: float, frames: int = 4) -> dict[str, Evidence]:
    """The evidence that a record has for a metric: one, or one for each part of a drive."""
    if not metric.parts or metric.observer == "mouth":
        (name,) = metric.evidence_names
        return {name: Evidence(name, evidence_of(metric.observer, damage, frames).values)}
    found = {}
    for part, name in zip(metric.parts, metric.evidence_names, strict=True):
        own = DAMAGE_OF_PART.get(part, lambda damage: damage)(damage)
        found[name] = Evidence(name, evidence_of(metric.observer, own, frames).values)
    return found


def evidence_for(metric: Metric, damage: float, frames: int = 4) -> Evidence:
    """What the metric's tally gets of such a record."""
    return metric.of_parts(recorded(metric, damage, frames))


@pytest.fixture(params=all_metrics(), ids=lambda metric: metric.key)
def metric(request: pytest.FixtureRequest) -> Metric:
    found: Metric = request.param
    return found


def test_its_data_are_complete(metric: Metric) -> None:
    assert metric.arithmetic in ("paper", "sound")
    assert metric.better in ("higher", "lower", "none")
    assert metric.version >= 1
    assert len(metric.description) > 20
    assert metric.label.strip() == metric.label != ""
    assert metric.aggregation in ("frames", "clips", "pooled", "words", "utterances")


def test_its_observer_is_known_and_has_its_view(metric: Metric) -> None:
    assert metric.observer in observer_names()
    observer = observer_class(metric.observer)
    assert (metric.view or observer.default_view) in observer.views
    assert metric.mode in ("", *observer.modes)


def test_a_damaged_clip_scores_worse_than_a_clean_one(metric: Metric) -> None:
    clean, damaged = (metric.value(metric.tally(evidence_for(metric, d))) for d in (CLEAN, DAMAGED))
    assert clean is not None
    assert damaged is not None
    if metric.better != "none":
        assert clean > damaged if metric.better == "higher" else clean < damaged


def test_neither_the_order_of_clips_nor_their_grouping_matters(metric: Metric) -> None:
    tallies: list[Tally] = [metric.tally(evidence_for(metric, d, n)) for d, n in ((0.0, 3), (0.5, 9), (1.0, 1))]
    together = metric.value(sum(tallies[1:], tallies[0]))
    assert metric.value(tallies[2] + (tallies[0] + tallies[1])) == pytest.approx(together, rel=1e-12)


def test_evidence_from_a_file_tallies_as_it_did_before(metric: Metric) -> None:
    evidence = evidence_for(metric, DAMAGED)
    read = Evidence.from_json(json.loads(json.dumps(evidence.to_json())))
    assert metric.tally(read) == metric.tally(evidence)


def test_a_result_of_it_has_an_interval_and_comes_back_from_its_file(metric: Metric, tmp_path: Path) -> None:
    records = [
        ClipRecord(ClipInfo(str(i)), evidence=recorded(metric, damage))
        for i, damage in enumerate((CLEAN, DAMAGED, DAMAGED, 0.5))
    ]
    protocol = Protocol.of(metric, dataset="toy", split="test", view="whole@1", decoding="pyav-25fps@1")
    settings = IntervalSettings(resamples=100)
    result = aggregate(
        records, [metric], {metric.key: protocol}, name="x", dataset="toy", split="test", expected=4, interval=settings
    )
    row = result.row(metric.key)
    assert row.scored == 4
    assert row.low is not None
    assert row.high is not None
    assert row.low < row.high
    result.write(tmp_path / "result.json")
    assert load_result(tmp_path).row(metric.key) == row


def test_finish_keeps_the_order_of_ratios_one_way_or_the_other(metric: Metric) -> None:
    finished = metric.finish(np.linspace(0.1, 200, 50))
    assert np.all(np.diff(finished) > 0) or np.all(np.diff(finished) < 0)


def test_nothing_tallied_is_none(metric: Metric) -> None:
    kind = type(metric.tally(evidence_for(metric, CLEAN)))
    assert metric.value(kind()) is None


def test_keys_are_unique_and_found() -> None:
    keys = [metric.key for metric in all_metrics()]
    assert len(set(keys)) == len(keys)
    assert all(find_metric(key).key == key for key in keys)


def test_words_ask_for_metrics() -> None:
    assert [metric.key for metric in find_metrics(["psnr"])] == ["psnr/paper", "psnr/sound"]
    assert {metric.arithmetic for metric in find_metrics(["paper"])} == {"paper"}
    assert {metric.observer for metric in find_metrics(["syncnet"])} == {"syncnet"}
    assert find_metrics(["all"]) == tuple(metric for metric in all_metrics() if not metric.parts)
    assert [metric.key for metric in find_metrics(["leak_open"])] == ["leak_open/sound"]
    assert all(metric.headline for metric in find_metrics(None))


def test_an_unknown_word_gets_a_hint() -> None:
    with pytest.raises(TlbenchError, match="did you mean 'psnr'"):
        find_metrics(["pnsr"])


def test_identical_videos_have_infinite_pooled_psnr_and_the_published_hundred() -> None:
    same = Evidence("pixels", {"face_mse": np.zeros(3), "face_psnr_wrapped": np.full(3, 100.0)})
    sound, frame_mean, paper = (find_metric(k) for k in ("psnr/sound", "psnr_frame_mean/sound", "psnr/paper"))
    assert sound.value(sound.tally(same)) == float("inf")
    assert frame_mean.value(frame_mean.tally(same)) == 100.0
    assert paper.value(paper.tally(same)) == 100.0


def test_a_region_the_observer_could_not_compare_tallies_nothing() -> None:
    metric = find_metric("psnr_frame/sound")
    assert metric.tally(Evidence("pixels", {"face_mse": np.ones(3)})).value is None
