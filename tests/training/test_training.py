"""Training an observer on a few tiny clips: the run folder, resuming, errors, and the data set of samples."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("lightning_fabric", reason="training needs the extra 'train'")

from tests.factories.training_factory import SENTENCES, make_training_set
from tlbench.checkpoints.card import Domain
from tlbench.checkpoints.catalogue import find_card
from tlbench.checkpoints.package import read_package
from tlbench.checkpoints.weights import find_weights
from tlbench.datasets.dataset import Span
from tlbench.datasets.selection import load_dataset
from tlbench.errors import TlbenchError
from tlbench.media.views import View
from tlbench.observers.avhubert.checkpoint import load
from tlbench.observers.avhubert.view import VIEWS
from tlbench.observing.domain import check_domain, domain_of
from tlbench.observing.face_boxes import BoxRule
from tlbench.training.loop import TrainingReport
from tlbench.training.sample_dataset import SampleDataset, SampleSpec, frame_labels
from tlbench.training.schedule import Schedule
from tlbench.training.train_observer import TrainedObserver, TrainingDevices, train_observer
from tlbench.training.trainable import LabelInventory

CPU = TrainingDevices("cpu")
QUICK = Schedule(steps=6, batch_frames=30, learning_rate=1e-3, warmup=2, validate_every=3)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_training_set(tmp_path_factory.mktemp("lrs2"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def train(
    root: Path, out: Path, cache: Path, schedule: Schedule = QUICK, max_seconds: float | None = None
) -> TrainedObserver:
    return train_observer(
        "avhubert",
        "lrs2",
        out,
        root,
        size="tiny",
        schedule=schedule,
        devices=CPU,
        cache=cache,
        max_seconds=max_seconds,
    )


@pytest.fixture(scope="module")
def whole(root: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    trained = train(root, out, cache)
    assert trained.step == trained.steps == 6
    return out


def test_the_best_package_is_one_the_observer_reads(whole: Path) -> None:
    model, dictionary = load(whole / "best")
    assert model.dims.vocabulary == len(dictionary)
    assert dictionary.text(dictionary.encode("BLUE CARS")) == "blue cars"
    about = read_package(whole / "best").config
    assert about["view"] == VIEWS["small-mouth"].id
    assert about["trained"]["dataset"] == "lrs2"
    assert about["trained"]["step"] in (3, 6)
    assert "wer1/sound" in about["trained"]


def test_the_package_says_on_which_speakers_and_words_it_was_trained(whole: Path, root: Path) -> None:
    domain = Domain.from_json(read_package(whole / "best").config["trained"]["domain"])
    train = load_dataset("lrs2", root, split="train")
    assert domain == domain_of(train.dataset, train.clips, "small-mouth", reads=True)
    assert list(check_domain("mine", domain, train.dataset, train.clips)) == []
    assert set(domain.speakers) == {clip.speaker for clip in train.clips}
    weights = find_weights([find_card("avhubert")], {"avhubert": whole / "best"}, "lrs2")
    assert weights is not None
    assert weights.domain == domain


def test_sentences_with_word_times_are_learned_word_by_word(root: Path, cache: Path, tmp_path: Path) -> None:
    timed = tmp_path / "timed"
    shutil.copytree(root, timed)
    for text in timed.rglob("main/**/*.txt"):
        words = text.read_text().removeprefix("Text:").split()
        rows = (f"{word} {0.1 * place:.2f} {0.1 * place + 0.08:.2f} 1.0" for place, word in enumerate(words))
        text.write_text(f"Text:  {' '.join(words)}\n\nWORD START END ASDSCORE\n" + "\n".join(rows) + "\n")
    (timed / "main/a/00002.txt").write_text("Text:  RED CARS\n")
    trained = train_observer(
        "mvm-aligned", "lrs2", tmp_path / "out", timed, size="tiny", schedule=QUICK, devices=CPU, cache=cache
    )
    assert {name: error.code for name, error in trained.failures.items()} == {"a/00002": "no-word-times"}
    about = read_package(trained.best).config
    assert about["words"] == ["AGAIN", "BLUE", "BOATS", "CARS", "RED"]
    assert trained.metric == "acc_aligned/sound"
    assert trained.value is not None


def test_a_package_is_named_by_what_decides_its_numbers(whole: Path, root: Path, cache: Path, tmp_path: Path) -> None:
    again = train(root, tmp_path / "again", cache)
    first, second = read_package(whole / "best"), read_package(again.best)
    assert first.source_sha256 == second.source_sha256
    other = train(root, tmp_path / "other", cache, replace(QUICK, seed=1))
    assert read_package(other.best).source_sha256 != first.source_sha256


def test_an_interrupted_training_ends_with_the_same_weights(
    whole: Path, root: Path, cache: Path, tmp_path: Path
) -> None:
    def stop(report: TrainingReport) -> None:
        if report.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_observer(
            "avhubert", "lrs2", tmp_path, root, size="tiny", schedule=QUICK, devices=CPU, cache=cache, on_report=stop
        )
    halfway = torch.load(tmp_path / "state.pt", weights_only=True)
    assert halfway["step"] == 3
    train(root, tmp_path, cache)
    straight, resumed = (torch.load(out / "state.pt", weights_only=True) for out in (whole, tmp_path))
    assert straight["step"] == resumed["step"] == 6
    for name, tensor in straight["network"].items():
        assert torch.equal(tensor, resumed["network"][name]), name


@pytest.mark.parametrize("after", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_a_training_that_is_stopped_between_validations_ends_with_the_same_files(
    whole: Path, root: Path, cache: Path, tmp_path: Path, after: int
) -> None:
    steps = iter(range(100))
    stopped = train_observer(
        *("avhubert", "lrs2", tmp_path, root),
        size="tiny",
        schedule=QUICK,
        devices=CPU,
        cache=cache,
        stop=lambda: next(steps) == after,
    )
    assert stopped.step == after
    train(root, tmp_path, cache)
    for name in ("state.pt", "best/weights.safetensors", "best/package.json", "settings.json"):
        assert (whole / name).read_bytes() == (tmp_path / name).read_bytes(), name
    logs = [
        [
            {name: value for name, value in json.loads(line).items() if name != "frames_per_second"}
            for line in (out / "log.jsonl").read_text().splitlines()
        ]
        for out in (whole, tmp_path)
    ]
    assert logs[0] == logs[1]


def test_time_that_is_up_leaves_everything_saved(root: Path, cache: Path, tmp_path: Path) -> None:
    trained = train(root, tmp_path, cache, max_seconds=1e-9)
    assert (trained.step, trained.value) == (0, None)
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 0


def test_every_validation_is_in_the_log_once(whole: Path) -> None:
    lines = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "wer1/sound" in line] == [3, 6]
    assert all(line["loss"] > 0 and line["learning_rate"] > 0 for line in lines)
    assert list((whole / "tensorboard").glob("events.*"))


def test_a_folder_of_another_training_is_not_touched(whole: Path, root: Path, cache: Path) -> None:
    before = (whole / "state.pt").read_bytes()
    with pytest.raises(TlbenchError, match=r"holds a training run with seed 0, not 7; choose another folder"):
        train(root, whole, cache, replace(QUICK, seed=7))
    assert (whole / "state.pt").read_bytes() == before


def test_settings_have_the_names_that_folders_of_older_runs_have(whole: Path) -> None:
    """A run that was started by an older tlbench is resumed, so no setting may change its name or value."""
    settings = json.loads((whole / "settings.json").read_text())
    assert settings.pop("version")
    assert settings.pop("boxes") is None  # newer, and the same as none: faces are found
    assert settings == {
        **{
            "observer": "avhubert",
            "size": "tiny",
            "view": "small-mouth",
            "dataset": "lrs2",
            "splits": ["train", "val"],
        },
        **{"start": None, "precision": "32-true", "devices": 1, "steps": 6, "batch_frames": 30, "learning_rate": 0.001},
        **{"warmup": 2, "weight_decay": 0.01, "clip_norm": 1.0, "accumulate": 1, "validate_every": 3},
        **{"judged_clips": 0, "seed": 0},
    }


def test_a_damaged_state_is_said(root: Path, cache: Path, tmp_path: Path) -> None:
    train(root, tmp_path, cache, max_seconds=1e-9)
    (tmp_path / "state.pt").write_bytes(b"PK nothing")
    with pytest.raises(TlbenchError, match=r"state.pt: training can't resume from it .* remove it to start again"):
        train(root, tmp_path, cache)


def test_training_goes_on_from_a_package_with_its_size_and_vocabulary(
    whole: Path, root: Path, cache: Path, tmp_path: Path
) -> None:
    tuned = train_observer(
        "avhubert",
        "lrs2",
        tmp_path,
        root,
        init_from=whole / "best",
        view="small-mouth",
        schedule=replace(QUICK, steps=1),
        devices=CPU,
        cache=cache,
        save_fp16=True,
    )
    package = read_package(tuned.best)
    assert package.config["dims"] == read_package(whole / "best").config["dims"]
    assert package.config["dictionary"] == read_package(whole / "best").config["dictionary"]
    assert {tensor.dtype for tensor in package.tensors.values() if tensor.is_floating_point()} == {torch.float16}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"observer": "pixels"},
            "observer 'pixels' can't be trained; choose one of autoavsr, avhubert, conformer, mvm, mvm-aligned",
        ),
        ({"size": "huge"}, "avhubert has no size 'huge'; there are tiny, small"),
        ({"size": {"encoder_layers": 2, "colour": 3}}, "avhubert can't be built with these dimensions"),
        ({"view": "sideways"}, "avhubert has no view 'sideways'; there are lrs2-center"),
        ({"view": "mouth-aligned"}, "avhubert can't be trained with the view 'mouth-aligned'"),
        ({"train_split": "pretrain"}, "lrs2: split 'pretrain'"),
        ({"devices": TrainingDevices("abacus")}, "accelerator 'abacus'"),
    ],
)
def test_what_can_not_be_is_one_line(
    changed: dict[str, object], message: str, root: Path, cache: Path, tmp_path: Path
) -> None:
    given = {"observer": "avhubert", "dataset": "lrs2", "out": tmp_path / "out", "data_root": root, "size": "tiny"}
    given |= {"schedule": QUICK, "devices": CPU, "cache": cache}
    with pytest.raises(TlbenchError) as caught:
        train_observer(**{**given, **changed})  # type: ignore[arg-type]
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def book(
    root: Path, cache: Path, view: View, progress: Callable[[int, int], None] = lambda done, total: None
) -> SampleDataset:
    made = SampleDataset(
        load_dataset("lrs2", root, split="train"), SampleSpec(view, BoxRule(), needs_audio=True), cache
    )
    made.prepare(progress)
    return made


def test_lessons_are_the_views_pictures_before_they_are_normalised(root: Path, cache: Path) -> None:
    samples = book(root, cache, VIEWS["small-mouth"])
    assert samples.lengths == [10, 11, 12, 13]
    sample = samples[3]
    assert (sample.clip.id, sample.clip.transcript) == ("b/00002", "RED BOATS AGAIN")
    assert (sample.pictures.shape, sample.pictures.dtype) == ((13, 48, 48), np.uint8)
    assert sample.samples is not None
    assert abs(len(sample.samples) / 16000 - 13 / 25) < 0.1
    assert sample.labels is None  # LRS2 has no times
    assert samples.label_inventory() == LabelInventory(tuple(SENTENCES["train"].values()), (), ())


def test_lessons_are_made_once(root: Path, tmp_path: Path) -> None:
    book(root, tmp_path, VIEWS["small-mouth"])
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "lessons").rglob("*.npz")}
    assert len(made) == 4
    book(root, tmp_path, VIEWS["small-mouth"])
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "lessons").rglob("*.npz")} == made
    book(root, tmp_path, VIEWS["lrs2-center"])
    assert len(list((tmp_path / "lessons").rglob("*.npz"))) == 8


def test_a_damaged_lesson_is_named(root: Path, tmp_path: Path) -> None:
    samples = book(root, tmp_path, VIEWS["small-mouth"])
    for path in (tmp_path / "lessons").rglob("*.npz"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(TlbenchError, match=r"\.npz: the file is damaged .* remove it"):
        samples[0]


def test_a_clip_that_can_not_be_decoded_is_left_out_and_said(tmp_path: Path, cache: Path) -> None:
    root = make_training_set(tmp_path / "set")
    (root / "main/a/00002.mp4").write_bytes(b"no video")
    told: list[tuple[int, int]] = []
    samples = book(root, cache, VIEWS["small-mouth"], lambda done, total: told.append((done, total)))
    assert len(samples) == 3
    assert list(samples.failures) == ["a/00002"]
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_frame_is_labelled_by_what_is_said_at_its_middle() -> None:
    spans = (Span(0.0, 0.05, "sil"), Span(0.05, 0.14, "b"), Span(0.14, 0.2, "unheard"))
    # middles of frames: 0.02, 0.06, 0.10, 0.14, 0.18, 0.22 s
    assert frame_labels(spans, {"b": 0, "sil": 1}, 6).tolist() == [1, 0, 0, -1, -1, -1]
