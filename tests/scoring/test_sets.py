"""Numbers of a whole set in a run: computed once from cached features, whatever workers, shards and order did."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.factories.media_factory import write_clip
from tests.factories.observer_weights import formula_weights
from tlbench.comparison.set_differences import why_not_compared
from tlbench.datasets.options import DataOptions
from tlbench.errors import TlbenchError
from tlbench.metrics.frechet import distance_of_moments
from tlbench.metrics.moments import MomentTally
from tlbench.metrics.protocol import Protocol
from tlbench.metrics.sets import set_metric
from tlbench.observing.face_options import DEFAULT_FACES
from tlbench.scoring.aggregate_folder import aggregate
from tlbench.scoring.feature_file import FEATURES_NAME, FeatureReader, FeatureWriter, Statistics
from tlbench.scoring.merge import merge
from tlbench.scoring.options import MetricOptions, RunOptions
from tlbench.scoring.real_set import real_set
from tlbench.scoring.record import read_records
from tlbench.scoring.result import Result
from tlbench.scoring.result_file import load_result
from tlbench.scoring.score import score, score_folders
from tlbench.scoring.score_shard import score_shard
from tlbench.scoring.set_notes import set_notes
from tlbench.scoring.set_scores import SetScore, set_scores
from tlbench.scoring.setup import prepare
from tlbench.scoring.shard import Shard
from tlbench.statistics import IntervalSettings
from tlbench.tables.result_table import render

SETTINGS = IntervalSettings(resamples=200)


# From features


def outline(name: str, real: str = "paired") -> SetScore:
    metric = set_metric(name)
    protocol = Protocol(name, metric.version, "d", "s", "v@1", "pyav-25fps@1", "set", "sound", rule=f"real={real}")
    return SetScore(metric, protocol)


def written(path: Path, clips: dict[str, tuple[np.ndarray, np.ndarray | None]]) -> Path:
    with FeatureWriter(path) as writer:
        for clip, (generated, real) in clips.items():
            writer.write("generated", "inception", clip, generated)
            if real is not None:
                writer.write("real", "inception", clip, real)
    return path


def made_features(count: int, frames: int, dims: int = 6, seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(dims, dims))
    found = {}
    for number in range(count):
        real = rng.normal(size=(frames + number % 3, dims)) @ mix + rng.normal(size=dims)
        generated = real * 0.9 + 0.3 + 0.1 * rng.normal(size=real.shape)
        found[f"s{number % 4}/clip {number:02} é"] = (generated.astype(np.float32), real.astype(np.float32))
    return found


def scores_of(*paths: Path, wanted: tuple[SetScore, ...] = (), speakers: bool = False) -> tuple[SetScore, ...]:
    with FeatureReader(paths) as reader:
        of_clip = {one: one[:2] for one in reader.ids("generated", "inception")} if speakers else {}
        return set_scores(wanted or (outline("fid"), outline("kid")), reader, of_clip, SETTINGS)


@pytest.fixture(scope="module")
def clips() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return made_features(24, 86)


@pytest.fixture(scope="module")
def fid_kid(clips: dict[str, tuple[np.ndarray, np.ndarray]], tmp_path_factory: pytest.TempPathFactory) -> Any:
    return scores_of(written(tmp_path_factory.mktemp("features") / "all.zip", dict(clips)))


def test_fid_is_that_of_all_frames_with_an_interval_and_a_ceiling(
    clips: dict[str, tuple[np.ndarray, np.ndarray]], fid_kid: tuple[SetScore, ...]
) -> None:
    fid, kid = fid_kid
    sides = [MomentTally.of(np.concatenate([own[side] for own in clips.values()])) for side in (0, 1)]
    assert fid.value == pytest.approx(distance_of_moments(*sides), rel=1e-9)
    assert fid.low is not None
    assert fid.high is not None
    assert fid.value is not None
    assert fid.low < fid.value < fid.high
    assert (fid.clips, fid.groups, fid.unit) == (24, 20, "clips")
    assert fid.generated == fid.real == sum(fid.group_sizes)
    assert fid.ceiling is None  # a half has fewer than 2,048 frames
    assert kid.ceiling is not None
    assert kid.value is not None
    assert kid.value > 0
    assert kid.groups == 20
    assert fid.features_sha256 == kid.features_sha256
    assert fid.groups_sha256 == kid.groups_sha256


@pytest.mark.parametrize("seed", [1, 2])
def test_order_and_shards_change_no_bit(
    clips: dict[str, tuple[np.ndarray, np.ndarray]], fid_kid: tuple[SetScore, ...], tmp_path: Path, seed: int
) -> None:
    ids = [list(clips)[i] for i in np.random.default_rng(seed).permutation(len(clips))]
    parts = [ids[part::3] for part in range(3)]
    paths = [written(tmp_path / f"{i}.zip", {one: clips[one] for one in part}) for i, part in enumerate(parts)]
    assert scores_of(*paths) == fid_kid
    assert scores_of(*reversed(paths)) == fid_kid


def test_the_ceiling_is_that_of_two_halves_of_the_real_set(tmp_path: Path) -> None:
    own = made_features(10, 420)
    (fid,) = scores_of(written(tmp_path / "a.zip", dict(own)), wanted=(outline("fid"),))
    real = [own[one][1] for one in sorted(own)]
    halves = [MomentTally.of(np.concatenate(real[half::2])) for half in (0, 1)]
    assert fid.ceiling == pytest.approx(distance_of_moments(*halves), rel=1e-9)


def test_too_few_frames_are_kid_alone_and_that_is_said(tmp_path: Path) -> None:
    path = written(tmp_path / "few.zip", dict(made_features(8, 20)))
    fid, kid = scores_of(path, wanted=(outline("fid"),))
    assert fid.value is None
    assert fid.reason == "167 generated frames, it needs 2,048; KID takes its place"
    assert kid.metric.name == "kid"
    assert kid.value is not None
    assert kid.protocol == replace(fid.protocol, metric="kid")


def test_a_clip_without_its_real_video_is_not_in_the_set(tmp_path: Path) -> None:
    own: dict[str, tuple[np.ndarray, np.ndarray | None]] = dict(made_features(6, 10))
    first = next(iter(own))
    own[first] = (own[first][0], None)
    (kid,) = scores_of(written(tmp_path / "a.zip", own), wanted=(outline("kid"),))
    assert kid.clips == 5
    (folder,) = scores_of(tmp_path / "a.zip", wanted=(outline("kid", "0" * 12),))
    assert folder.clips == 6
    assert folder.real == kid.real
    assert folder.value != kid.value


def test_kid_of_chosen_clips_says_how_many_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlbench.metrics.kernel_distance.MOST_CLIPS", 55)
    path = written(tmp_path / "many.zip", dict(made_features(60, 60)))
    fid, kid = scores_of(path)
    assert (fid.clips, kid.clips) == (60, 55)
    assert kid.generated == kid.real == sum(kid.group_sizes) < fid.generated
    (note,) = set_notes([kid])
    assert f"KID of {kid.generated:,} generated and {kid.real:,} real frames; interval: bootstrap over 55 clips" in note


def test_a_number_without_an_interval_says_why(tmp_path: Path) -> None:
    own: dict[str, tuple[np.ndarray, np.ndarray | None]] = dict(made_features(6, 400))
    (_, real), *others = (own.pop(one) for one in sorted(own))
    own["long"] = (others[0][0], np.concatenate([real] * 6))  # the one real video, and another system's clips
    own |= {f"clip {number}": (generated, None) for number, (generated, _) in enumerate(others)}
    path = written(tmp_path / "one.zip", own)
    fid, kid = scores_of(path, wanted=(outline("fid", "0" * 12), outline("kid", "0" * 12)))
    assert (fid.low, kid.low) == (None, None)
    notes = set_notes([fid, kid])
    assert "no interval: too few clips to leave out groups of them" in notes[0]
    assert "no interval: too few clips to resample" in notes[1]


def test_few_clips_make_no_groups(tmp_path: Path) -> None:
    (kid,) = scores_of(written(tmp_path / "few.zip", dict(made_features(4, 20))), wanted=(outline("kid"),))
    assert kid.value is not None
    assert (kid.without_each, kid.group_sizes, kid.groups_sha256) == ((), (), "")
    assert why_not_compared(kid, kid) == "a has too few clips for groups"


def test_nothing_is_no_number(tmp_path: Path) -> None:
    fid, kid = scores_of(written(tmp_path / "none.zip", {}))
    assert (fid.value, kid.value) == (None, None)
    assert fid.reason == kid.reason == "no clip has features"
    (one,) = scores_of(written(tmp_path / "one.zip", dict(made_features(1, 1))), wanted=(outline("kid"),))
    assert one.reason == "1 generated frames, it needs 2"


def test_statistics_give_fid_and_no_kid(clips: dict[str, tuple[np.ndarray, np.ndarray]], tmp_path: Path) -> None:
    real = np.concatenate([own[1] for own in clips.values()]).astype(np.float64)
    path = tmp_path / "a.zip"
    with FeatureWriter(path) as writer:
        for one, (generated, _) in clips.items():
            writer.write("generated", "inception", one, generated)
        writer.write_statistics(Statistics(real.mean(axis=0), np.cov(real, rowvar=False), None))
    fid, kid = scores_of(path, wanted=(outline("fid", "0" * 12), outline("kid", "0" * 12)))
    (plain, _) = scores_of(written(tmp_path / "b.zip", dict(clips)))
    assert fid.value == pytest.approx(plain.value, rel=1e-9)
    assert (fid.real, fid.ceiling) == (None, None)
    assert fid.low is not None
    assert "no features" in kid.reason


def test_statistics_of_another_network_are_a_reason_and_no_number(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with FeatureWriter(path) as writer:
        for one, (generated, _) in made_features(24, 90).items():
            writer.write("generated", "inception", one, generated)
        writer.write_statistics(Statistics(np.zeros(5), np.eye(5), 3000))
    (fid,) = scores_of(path, wanted=(outline("fid", "0" * 12),))
    assert fid.value is None
    assert fid.reason == "the statistics (--real) have 5 features, inception has 6"


def test_features_that_are_not_finite_or_of_two_networks_are_one_line(tmp_path: Path) -> None:
    clips = made_features(3, 4)
    spoilt, wide = (dict(clips) for _ in range(2))
    name = next(iter(clips))
    spoilt[name] = (np.full_like(clips[name][0], np.nan), clips[name][1])
    wide[name] = (clips[name][0][:, :4], clips[name][1])
    for number, (given, said) in enumerate(((spoilt, "NaN or infinite"), (wide, r"of two networks: \[4, 6\]"))):
        with pytest.raises(TlbenchError, match=said):
            scores_of(written(tmp_path / f"{number}.zip", dict(given)))


def test_a_damaged_or_doubled_file_of_features_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.zip").write_bytes(b"PK no")
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "pipe.zip")
        with pytest.raises(TlbenchError, match="not a regular file"), FeatureReader([tmp_path / "pipe.zip"]):
            pass
    good = written(tmp_path / "good.zip", dict(made_features(2, 3)))
    shutil.copy(good, tmp_path / "again.zip")
    for paths, said in (
        ([tmp_path / "bad.zip"], "no features of this tlbench"),
        ([tmp_path / "absent.zip"], "no features of this tlbench"),
        ([good, tmp_path / "again.zip"], "which good.zip has as well"),
    ):
        with pytest.raises(TlbenchError, match=said), FeatureReader(paths):
            pass


# The real set


def test_statistics_are_read_and_strange_ones_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "ok.npz", mu=np.zeros(3), sigma=np.eye(3))
    found = real_set(tmp_path / "ok.npz")
    assert found.statistics is not None
    assert found.statistics.count is None
    assert len(found.mark) == 12
    for name, arrays, said in (
        ("other", {"mean": np.zeros(3)}, "no statistics with mu and sigma"),
        ("shape", {"mu": np.zeros(3), "sigma": np.eye(2)}, "do not fit"),
        ("nan", {"mu": np.array([0, np.nan]), "sigma": np.eye(2)}, "NaN, infinite"),
        ("skew", {"mu": np.zeros(2), "sigma": np.array([[1.0, 2.0], [0.0, 1.0]])}, "not symmetric"),
        ("text", {"mu": np.array(["a", "b"]), "sigma": np.eye(2)}, "no statistics with mu and sigma"),
        ("huge", {"mu": np.array([0, 1e200]), "sigma": np.eye(2)}, r"beyond 1e\+100"),
        ("negative", {"mu": np.zeros(2), "sigma": np.array([[1.0, 2.0], [2.0, 1.0]])}, "an eigenvalue of -1,"),
        (
            "infinitely many",
            {"mu": np.zeros(2), "sigma": np.eye(2), "n": np.array(np.inf)},
            "the number of frames, is inf",
        ),
        ("too many", {"mu": np.zeros(2), "sigma": np.eye(2), "n": np.array(1e30)}, r"the number of frames, is 1e\+30"),
        ("half", {"mu": np.zeros(2), "sigma": np.eye(2), "n": np.array(2.5)}, "the number of frames, is 2.5"),
        ("one", {"mu": np.zeros(2), "sigma": np.eye(2), "n": np.array(1)}, "the number of frames, is 1"),
        (
            "list",
            {"mu": np.zeros(2), "sigma": np.eye(2), "n": np.array([30, 40])},
            "the number of frames, is 2 numbers",
        ),
    ):
        np.savez(tmp_path / f"{name}.npz", **arrays)
        with pytest.raises(TlbenchError, match=said):
            real_set(tmp_path / f"{name}.npz")
    (tmp_path / "a.npz").write_text("no zip")
    (tmp_path / "empty").mkdir()
    for name, said in (("a.npz", "mu and sigma"), ("empty", "no video"), ("nowhere", "can't be read")):
        with pytest.raises(TlbenchError, match=said):
            real_set(tmp_path / name)


# In a run


MEASURED = MetricOptions(("psnr/sound", "fid"), weights={"inception": Path("inception")}, probe=False)
DATA = DataOptions("folder", Path("refs"), boxes=Path("boxes"))


def scored(measured: MetricOptions = MEASURED, out: str = "one", workers: int = 1) -> Result:
    options = RunOptions(workers, device="cpu", cache=Path("cache"))
    (result,) = score_folders([Path("gen")], DATA, measured, DEFAULT_FACES, options, out=Path(out))
    return result


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one process, with what it needs; its cache has all features."""
    folder = tmp_path_factory.mktemp("made")
    for number, name in enumerate("abcdef"):
        for place, quality in (("refs", 18), ("gen", 40)):
            (folder / place).mkdir(exist_ok=True)
            write_clip(folder / place / f"{name}.mp4", frames=3 + number, codec_options={"crf": str(quality)})
        (folder / "boxes").mkdir(exist_ok=True)
        np.save(folder / "boxes" / f"{name}.npy", np.tile(np.array([8, 8, 56, 44]), (3 + number, 1)))
    formula_weights("inception", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        scored()
    return folder


@pytest.fixture
def desk(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TLBENCH_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_a_run_has_the_number_and_no_features_in_its_records(desk: Path) -> None:
    result = load_result(Path("one/gen"))
    fid, kid = result.sets
    assert result.complete
    assert (fid.value, kid.metric.name) == (None, "kid")
    assert kid.clips == 6
    assert kid.generated == kid.real == sum(range(3, 9))
    assert kid.value is not None
    assert kid.low is not None
    assert kid.protocol.rule == "real=paired"
    assert kid.protocol.weights is not None
    records = list(read_records(Path("one/gen/records.jsonl")))
    assert [set(record.evidence) for record in records] == [{"pixels"}] * 6
    assert not list(Path("one").rglob(f"*{FEATURES_NAME}*"))
    assert aggregate(Path("one/gen")).sets == result.sets


def test_a_second_run_takes_all_from_the_cache(desk: Path) -> None:
    Path("inception/weights.safetensors").unlink()  # the network can't be loaded
    assert scored(out="two").sets == load_result(Path("one/gen")).sets


def test_a_generator_that_learned_from_the_columns_network_is_no_fair_system(desk: Path) -> None:
    with pytest.warns(UserWarning, match="the system was trained with 'inception', which also scores it"):
        result = scored(replace(MEASURED, trained_with=("inception",)), "two")
    said = " ".join(render([result], width=80).split())
    assert "observer overlap: the system was trained with 'inception', which also scores it" in said
    assert not scored(replace(MEASURED, trained_with=("alexnet",)), "three").remarks


def test_shards_give_the_same_bytes(desk: Path) -> None:
    for number in (2, 1, 3):
        options = RunOptions(device="cpu", cache=Path(f"cache {number}"))  # each computes its own features
        score_shard([Path("gen")], DATA, MEASURED, DEFAULT_FACES, options, Shard(number, 3), out=Path("parts"))
    (merged,) = merge("parts")
    assert merged.sets == load_result(Path("one/gen")).sets
    assert Path("parts/gen/records.jsonl").read_bytes() == Path("one/gen/records.jsonl").read_bytes()
    Path("parts/gen/shards/2-of-3.features.zip").unlink()
    with pytest.raises(TlbenchError, match=r"2-of-3\.features\.zip"):
        merge("parts")


def test_a_real_video_that_is_left_out_is_said(desk: Path) -> None:
    shutil.copytree("refs", "others")
    Path("others/b.mp4").write_bytes(b"no video")
    with pytest.warns(UserWarning, match=r"1 of 6 real videos are not in the set: .*b\.mp4"):
        kid = scored(replace(MEASURED, real=Path("others")), "two").sets[1]
    assert kid.real == sum(range(3, 9)) - 4  # frames of all but the second


def test_another_real_set_is_another_id(desk: Path) -> None:
    folder = scored(replace(MEASURED, real=Path("refs")), "two").sets[1]
    paired = load_result(Path("one/gen")).sets[1]
    assert paired.protocol != folder.protocol
    assert folder.real == paired.real
    assert folder.ceiling is not None


def test_statistics_that_fit_no_number_are_refused_before_a_video_is_read(desk: Path) -> None:
    np.savez("fvd.npz", mu=np.zeros(400), sigma=np.eye(400))
    with pytest.raises(
        TlbenchError, match=r"fvd\.npz: its mean has 400 numbers and FID is of 2,048, so it is of another"
    ):
        scored(replace(MEASURED, real=Path("fvd.npz")), "two")
    with pytest.raises(TlbenchError, match=r"fvd\.npz: KID needs features"):
        scored(replace(MEASURED, metrics=("kid",), real=Path("fvd.npz")), "two")


def test_the_table_shows_the_number_with_its_notes(desk: Path) -> None:
    result = load_result(Path("one/gen"))
    text = render([result], width=80)
    assert "KID" in text
    assert "FID" in text
    flat = " ".join(text.split())
    assert "no FID: 33 generated frames, it needs 2,048; KID takes its place" in flat
    assert "not recomputed" in flat
    rows = json.loads(render([result], "json"))["results"][0]["rows"]
    assert {row["metric"] for row in rows} == {"psnr/sound", "fid/sound", "kid/sound"}


def test_without_the_checkpoint_it_is_left_out_and_said(desk: Path) -> None:
    with pytest.raises(TlbenchError, match=r"FID: the checkpoint of observer 'inception' is not here; run `tlbench"):
        score("gen", "folder", "refs", metrics=["fid"], out="two")
    with pytest.raises(TlbenchError, match=r"'fid' is a number of the whole set, made from features that no record"):
        aggregate("one/gen", metrics="fid")
    with pytest.raises(TlbenchError, match=r"--real refs: no number of a set is measured"):
        score("gen", "folder", "refs", metrics=["psnr"], real="refs", out="two")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("value", "12"),
        ("features_sha256", "zz"),
        ("low", 1e9),
        ("clips", 7),
        ("group_sizes", [1]),
        ("groups_sha256", ""),
        ("group_sizes", [0] * 6),
        ("protocol", "psnr[a:b/c/d/e/sound]@1"),
        ("version", 9),
    ],
)
def test_a_strange_number_in_a_file_is_refused(made: Path, tmp_path: Path, field: str, value: Any) -> None:
    data = json.loads((made / "one" / "gen" / "result.json").read_text())
    data["sets"]["kid/sound"][field] = value
    (tmp_path / "result.json").write_text(json.dumps(data))
    with pytest.raises(TlbenchError, match="kid/sound"):
        load_result(tmp_path / "result.json")


def test_ground_truth_has_the_number_between_two_halves_of_itself(tmp_path: Path) -> None:
    own = {one: (real, real) for one, (_, real) in made_features(10, 420).items()}
    fid, kid = scores_of(written(tmp_path / "a.zip", dict(own)))
    for score_ in (fid, kid):
        assert score_.of_halves
        assert score_.value == score_.ceiling
        assert score_.value is not None
        assert score_.value > 0
        assert score_.low is None
    few = {one: (real, real) for one, (_, real) in made_features(10, 210).items()}
    (fid, _) = scores_of(written(tmp_path / "b.zip", dict(few)))
    assert fid.value is None
    assert fid.reason == "these are the real videos, and it needs 2,048 frames in each half of them"


def test_the_real_videos_from_a_folder_are_ground_truth_under_any_name(tmp_path: Path) -> None:
    """The distance of a set to itself is 0, which would be printed as the ceiling of a perfect system."""
    path = tmp_path / "a.zip"
    own = [real for _, real in made_features(10, 420).values()]
    with FeatureWriter(path) as writer:
        for number, features in enumerate(own):
            writer.write("generated", "inception", f"clip {number}", features)
            writer.write("real", "inception", f"other {9 - number}", features)
    wanted = (outline("fid", "0" * 12), outline("kid", "0" * 12))
    for found in scores_of(path, wanted=wanted):
        assert found.of_halves
        assert found.value == found.ceiling
        assert found.value is not None
        assert found.value > 0


def test_the_features_of_a_clip_are_read_twice_and_again_only_for_pairs_of_clips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: dict[str, int] = {}
    read = FeatureReader.read

    def counted(reader: FeatureReader, side: Any, observer: str, clip_id: str) -> np.ndarray:
        reads[f"{side} {clip_id}"] = reads.get(f"{side} {clip_id}", 0) + 1
        return read(reader, side, observer, clip_id)

    monkeypatch.setattr(FeatureReader, "read", counted)
    path = written(tmp_path / "a.zip", dict(made_features(10, 420)))
    scores_of(path, wanted=(outline("fid"),))
    assert len(reads) == 20
    assert set(reads.values()) == {2}  # once with all, once when its group is left out
    reads.clear()
    scores_of(path, wanted=(outline("kid"), outline("fid")))
    # KID: 4,209 frames are two blocks of a side. Each clip is in one of them and is held against the blocks from its
    # own on; a generated clip also against the two of the real side, in which a real clip is once more.
    assert max(count for name, count in reads.items() if name.startswith("generated")) == 2 + 1 + 2 + 2
    assert max(count for name, count in reads.items() if name.startswith("real")) == 2 + 1 + 2 + 1


def test_statistics_leave_out_what_they_can_not_give_and_few_frames_are_refused(desk: Path) -> None:
    mean, covariance = np.zeros(2048), np.eye(2048)
    np.savez("many.npz", mu=mean, sigma=covariance, n=np.array(5000))
    np.savez("few.npz", mu=mean, sigma=covariance, n=np.array(100))
    with pytest.raises(TlbenchError, match=r"few\.npz: it is of 100 frames and FID needs 2,048; pass a folder"):
        scored(replace(MEASURED, real=Path("few.npz")), "two")
    measured = replace(MEASURED, metrics=("fid", "kid", "fvd"), real=Path("many.npz"))
    setup = prepare(DATA.load(Path("gen")), measured, options=RunOptions(device="cpu"))
    assert list(setup.left_out) == [
        "KID left out: --real many.npz: KID needs features, which statistics are not",
        "FVD left out: --real many.npz: its mean has 2,048 numbers and FVD is of 400, so it is of another network",
    ]
    assert [metric.name for metric in setup.sets] == ["fid"]
    assert [plan.name for plan in setup.plan.observers] == ["inception"]


def test_a_folder_with_a_broken_link_or_two_videos_of_one_name_is_refused_at_once(desk: Path) -> None:
    shutil.copytree("refs", "doubled")
    shutil.copy("refs/b.mp4", "doubled/b.avi")
    with pytest.raises(TlbenchError, match=r"--real doubled: b\.avi and b\.mp4 are both b; keep one of them"):
        real_set(Path("doubled"))
    if sys.platform != "win32":
        shutil.copytree("refs", "linked")
        Path("linked/z.mp4").symlink_to("nowhere.mp4")
        with pytest.raises(TlbenchError, match=r"--real linked: z\.mp4 can't be read \(No such file or directory\)"):
            real_set(Path("linked"))


def test_the_view_of_a_column_can_be_chosen_by_the_frames(desk: Path) -> None:
    measured = replace(MEASURED, views={"inception": "auto"})
    setup = prepare(DATA.load(Path("gen")), measured, options=RunOptions(device="cpu"))
    assert [plan.views for plan in setup.plan.observers if plan.name == "inception"] == [("whole-frame",)]
    assert any(line.startswith("--view inception=auto: whole-frame") for line in setup.remarks)
