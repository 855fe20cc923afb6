"""Whether the readers of a run can read: the probe, blind rows beside a run, and who may fill a `paper` column."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories.dataset_factory import make_lrs2, make_lrw, make_synthetic
from tests.factories.media_factory import write_clip
from tests.factories.observer_weights import formula_weights
from tests.factories.results_factory import record, result
from tlbench.checkpoints.catalogue import find_card, known_cards
from tlbench.checkpoints.package import Package, own_package, read_package, write_package
from tlbench.checkpoints.weights import Weights
from tlbench.datasets.clip import Clip
from tlbench.datasets.dataset import dataset_class
from tlbench.datasets.selection import load_dataset
from tlbench.metrics.catalogue import find_metrics
from tlbench.observing.clip_info import ClipInfo
from tlbench.observing.evidence import Evidence, Observation
from tlbench.observing.grey import grey_evidence
from tlbench.scoring.aggregate_folder import aggregate
from tlbench.scoring.options import MetricOptions, RunOptions
from tlbench.scoring.probe import BlindReaders, check_training, probe_clips, read_probe, unpublished
from tlbench.scoring.record import ClipRecord
from tlbench.scoring.result import Result
from tlbench.scoring.result_file import load_result
from tlbench.scoring.score import score, score_all
from tlbench.scoring.setup import prepare

SENTENCES = ("bbaf2n", "lrwz9a", "pgib4s", "sbwt1p")


@pytest.fixture(autouse=True)
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache and no checkpoints but the test's own."""
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TLBENCH_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    folder = tmp_path_factory.mktemp("references")
    for number in range(30):
        (folder / f"{number}.mp4").touch()
    return [Clip(f"c{number}", reference=folder / f"{number}.mp4") for number in range(30)]


@given(st.integers(0, 2**32), st.integers(0, 30), st.randoms(use_true_random=False))
def test_the_probe_is_of_seed_and_ids_alone(references: list[Clip], seed: int, count: int, dice: random.Random) -> None:
    chosen = probe_clips(references[:count], seed)
    assert len(chosen) == min(count, 20)
    assert [clip.id for clip in chosen] == [c.id for c in references if c.id in {clip.id for clip in chosen}]
    assert all(clip.generated == clip.reference for clip in chosen)
    mixed = references[:count]
    dice.shuffle(mixed)
    assert {clip.id for clip in probe_clips(mixed, seed)} == {clip.id for clip in chosen}
    smaller = {clip.id for clip in probe_clips(references[:count], seed, 5)}
    assert smaller <= {clip.id for clip in chosen}


def test_another_seed_takes_other_clips(references: list[Clip]) -> None:
    assert len({tuple(clip.id for clip in probe_clips(references, seed)) for seed in range(5)}) == 5


def test_clips_without_a_real_video_are_not_probed(references: list[Clip]) -> None:
    lost = [Clip("a"), Clip("b", reference=Path("not") / "there.mp4"), references[0]]
    assert [clip.id for clip in probe_clips(lost, 0)] == [references[0].id]


def test_what_was_not_seen_of_the_probe_is_in_no_number() -> None:
    [wer] = find_metrics(["wer1/sound"])
    like = result([record("c0", {"reference": "a b", "hypothesis": "a b"})], (replace(wer, observer="eye"),))
    seen = [
        Observation(
            Clip("c0"),
            ClipInfo("c0", frames=7),
            {"eye": Evidence("eye", {"reference": "a b", "hypothesis": "a c"})},
        ),
        Observation(Clip("c1"), ClipInfo("c1")),
    ]
    truth = read_probe(like, seen)
    assert (truth.role, len(truth.clips), truth.expected) == ("control", 2, 2)
    assert truth.row("wer1/sound").value == 50.0
    assert truth.row("wer1/sound").scored == 1


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of GRID's speaker s4, which show no face and move no lips."""
    root = tmp_path_factory.mktemp("grid")
    for number, name in enumerate(SENTENCES):
        for place, crf in (("data", "18"), ("gen", "34")):
            (root / place / "s4").mkdir(parents=True, exist_ok=True)
            write_clip(root / place / "s4" / f"{name}.mp4", frames=10 + number, codec_options={"crf": crf})
        (root / "boxes" / "s4").mkdir(parents=True, exist_ok=True)
        np.save(root / "boxes" / "s4" / f"{name}.npy", np.tile(np.array([8, 8, 40, 40]), (10 + number, 1)))
    return root


def read(grid: Path, **options: Any) -> Result:
    given = {"metrics": ["wer1", "psnr/sound"], "boxes": grid / "boxes", "out": Path("out"), **options}
    return score(grid / "gen", "grid", grid / "data", **given)


def codes(result: Result) -> set[str]:
    return {found.code for found in result.findings}


def test_a_reader_before_speakers_and_pictures_it_does_not_know_is_marked(grid: Path) -> None:
    own = read(grid)
    assert own.blind is not None
    assert [row.name for row in own.blind.rows] == [
        "most frequent sentence",
        "most frequent words",
        "sentence by chance",
    ]
    assert set(own.blind.verdicts) == {"wer1/paper", "wer1/sound"}
    assert not any(verdict.read for verdict in own.blind.verdicts.values())
    assert own.blind.probe is not None
    assert own.blind.probe.source == "probe"
    assert {verdict.clips for verdict in own.blind.probe.verdicts.values()} == {4}
    assert codes(own) == {"other-speakers", "cannot-read"}
    assert own.complete
    assert load_result("out/gen").to_json() == own.to_json()
    assert aggregate("out/gen").to_json() == own.to_json()


def test_the_probe_can_be_left_out_and_ground_truth_takes_its_place(grid: Path) -> None:
    without = read(grid, probe=False)
    assert without.blind is not None
    assert without.blind.probe is None
    assert codes(without) == {"other-speakers"}
    results = score_all(
        [grid / "gen"],
        "grid",
        grid / "data",
        metrics=["wer1/sound"],
        boxes=grid / "boxes",
        controls=["ground-truth"],
    )
    assert [r.name for r in results] == ["gen", "ground-truth"]
    for own in results:
        assert own.blind is not None
        assert own.blind.probe is not None
        assert own.blind.probe.source == "ground-truth"
        assert "cannot-read" in codes(own)


def test_warnings_of_the_reader_count_where_they_are_strict(grid: Path) -> None:
    assert not read(grid, strict=True, metrics=["wer1/sound"]).complete


def test_nothing_is_read_twice_and_nothing_where_nobody_reads(grid: Path) -> None:
    seen: list[tuple[str, int]] = []

    def progress(name: str, observation: Observation | None, done: int, total: int) -> None:
        if observation is not None:
            seen.append((name, observation.cached))

    read(grid, progress=progress, metrics=["wer1/sound"])
    read(grid, progress=progress, metrics=["wer1/sound"])
    assert seen == [("gen", 0)] * 4 + [("probe", 0)] * 4 + [("gen", 1)] * 4 + [("probe", 1)] * 4
    seen.clear()
    pixels = read(grid, progress=progress, metrics=["psnr"], overwrite=True)
    assert pixels.blind is None
    assert codes(pixels) == set()
    assert {name for name, _ in seen} == {"gen"}


def test_before_grey_frames_a_network_is_told_the_beginning_and_no_file_is_read(tmp_path: Path) -> None:
    root = make_synthetic(tmp_path / "corpus")
    for number, text in enumerate(root.rglob("main/*/*.txt")):
        text.write_text(f"Text:  MARY BUYS THE BREAD {'TODAY' if number else 'AGAIN'}\n")
    selection = load_dataset("synthetic", root)
    setup = prepare(selection, MetricOptions(("wer2",)), options=RunOptions(cache=tmp_path / "cache"))
    clips = [replace(clip, reference=None, boxes=None) for clip in selection.clips]
    [wer2] = find_metrics(["wer2/sound"])
    first = grey_evidence(setup.plan, "conformer", [(clip, 9) for clip in clips])
    assert set(first) == {clip.id for clip in clips}
    assert all(wer2.tally(seen).denominator == 5 for seen in first.values())
    again = grey_evidence(setup.plan, "conformer", [(clip, 9) for clip in reversed(clips)])
    assert {clip: seen.to_json() for clip, seen in again.items()} == {c: s.to_json() for c, s in first.items()}
    longer = grey_evidence(setup.plan, "conformer", [(clips[0], 30)])
    assert set(longer) == {clips[0].id}


def test_the_told_network_has_a_row_of_its_own(tmp_path: Path) -> None:
    root = make_synthetic(tmp_path / "corpus")
    for text in root.rglob("main/*/*.txt"):
        text.write_text("Text:  MARY BUYS THE BREAD TODAY\n")
    selection = load_dataset("synthetic", root)
    setup = prepare(selection, MetricOptions(("wer2", "wer2_free")), options=RunOptions(cache=tmp_path / "cache"))
    told = {metric.key for metric in setup.metrics if metric.reads == "forced"}
    seen = grey_evidence(setup.plan, "conformer", [(clip, 8) for clip in selection.clips])
    like = result(
        [ClipRecord(ClipInfo(name, frames=8), {"eye": said}) for name, said in seen.items()],
        [replace(metric, observer="eye") for metric in setup.metrics if metric.reads == "forced"],
    )
    own = BlindReaders(selection, setup.metrics, setup.plan).add_to(like)
    assert own.blind is not None
    assert [row.name for row in own.blind.rows] == ["grey frames"]
    assert {metric.key for metric in own.blind.rows[0].metrics} == told == {"wer2/paper", "wer2/sound"}
    assert all(row.scored == len(selection.clips) for row in own.blind.rows[0].rows())
    short = replace(like, clips=tuple(replace(clip, info=replace(clip.info, frames=None)) for clip in like.clips))
    assert BlindReaders(selection, setup.metrics, setup.plan).add_to(short).blind is None


def trained(name: str, folder: Path, **told: object) -> Path:
    """A package as ``train-observer`` writes it, of the formula's weights."""
    package = read_package(formula_weights(name, folder))
    plain = Package(name, package.tensors, package.config, package.files)
    write_package(own_package(plain, "avhubert-lrs2-center@1", told, half=False), folder / "mine")
    return folder / "mine"


def test_a_package_trained_here_fills_no_paper_column_beside_published_values(tmp_path: Path) -> None:
    selection = load_dataset("lrs2", make_lrs2(tmp_path / "lrs2"))
    mine = trained("avhubert", tmp_path, dataset="grid")
    setup = prepare(selection, MetricOptions(("wer1", "cer1", "psnr"), {"avhubert": mine}))
    assert [metric.key for metric in setup.metrics if metric.observer == "avhubert"] == ["wer1/sound", "cer1/sound"]
    assert [metric.key for metric in setup.metrics if metric.observer == "pixels"] == ["psnr/paper", "psnr/sound"]
    assert any(
        line.startswith("wer1/paper") and "left out: checkpoint 'avhubert' was trained by" in line
        for line in setup.left_out
    )
    told = {found.code for found in check_training(setup.metrics, setup.weights, selection)}
    assert told == {"other-dataset"}


def test_a_file_of_unknown_hash_keeps_its_paper_column_and_is_said_to_be_unverified(tmp_path: Path) -> None:
    selection = load_dataset("lrs2", make_lrs2(tmp_path / "lrs2"))
    file = formula_weights("avhubert", tmp_path)
    setup = prepare(selection, MetricOptions(("wer1",), {"avhubert": file}))
    assert [metric.key for metric in setup.metrics] == ["wer1/paper", "wer1/sound"]
    assert [f.code for f in check_training(setup.metrics, setup.weights, selection)] == ["unverified-checkpoint"]
    elsewhere = replace(selection, dataset=dataset_class("grid")())
    assert {f.code for f in check_training(setup.metrics, setup.weights, elsewhere)} == {"other-dataset"}


@pytest.mark.parametrize("dataset", ["grid", "synthetic", "folder", "lrs2", "lrw", "lrs2-wav2lip-pairs"])
def test_columns_are_withheld_only_where_there_are_published_values(dataset: str, tmp_path: Path) -> None:
    weights = Weights(find_card("avhubert"), tmp_path, "0", trained={"dataset": "grid"})
    metrics = find_metrics(["wer1", "lse_c", "psnr"])
    withheld = {metric.key for metric, _ in unpublished(metrics, weights, dataset_class(dataset)(), known_cards())}
    assert withheld == ({"wer1/paper"} if dataset.startswith("lr") else set())
    published = replace(weights, trained=None)
    assert list(unpublished(metrics, published, dataset_class(dataset)(), known_cards())) == []


def test_lrw_has_blind_words(tmp_path: Path) -> None:
    selection = load_dataset("lrw", make_lrw(tmp_path / "lrw"))
    setup = prepare(selection, MetricOptions(("acc/sound",), {"mvm": formula_weights("mvm", tmp_path)}))
    hit = {"word": "ABOUT", "rank": 0, "rank_plain": 0}
    [acc] = find_metrics(["acc/sound"])
    like = result([record(c.id, hit) for c in selection.clips], (replace(acc, observer="eye"),))
    own = BlindReaders(selection, setup.metrics, setup.plan).add_to(like)
    assert own.blind is not None
    assert [row.name for row in own.blind.rows] == ["most frequent word", "word by chance"]
    assert own.blind.learned_from == ("1 word labels of lrw:train",)


def test_folders_without_a_data_set_are_each_guessed_from_their_own_clips(tmp_path: Path) -> None:
    for folder, ids in (("one", "ab"), ("two", "cde")):
        (tmp_path / folder).mkdir()
        (tmp_path / "boxes").mkdir(exist_ok=True)
        for number, name in enumerate(ids):
            write_clip(tmp_path / folder / f"{name}.mp4", frames=8 + number)
            (tmp_path / folder / f"{name}.txt").write_text("bin blue")
            np.save(tmp_path / "boxes" / f"{name}.npy", np.tile(np.array([8, 8, 40, 40]), (8 + number, 1)))
    mine = {"avhubert-grid": find_card("avhubert-grid").package or Path()}
    one, two = score_all(
        ["one", "two"], "folder", metrics=["wer1/sound"], weights=mine, boxes=Path("boxes"), boxes_from="generated"
    )
    assert one.blind is not None
    assert two.blind is not None
    assert [one.blind.rows[0].row("wer1/sound").scored, two.blind.rows[0].row("wer1/sound").scored] == [2, 3]
    assert one.blind.probe is two.blind.probe is None
