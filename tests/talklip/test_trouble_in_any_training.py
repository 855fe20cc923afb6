"""What every generator's training survives: stops, divergence, weights that are not finite, a full disk, lost files."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("lightning_fabric", reason="training needs the extra 'train'")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.factories.expert_factory import write_expert
from tests.factories.media_factory import tone, write_clip
from tlbench.checkpoints.package import Package, own_package, write_package
from tlbench.errors import TlbenchError
from tlbench.media.audio import read_audio
from tlbench.media.video_reader import read_video
from tlbench.talklip.divergence_guard import DivergenceGuardConfig
from tlbench.talklip.generator_step import GeneratorStep
from tlbench.talklip.run_config import DataConfig, Devices, Hooks, ModelConfig, TrainingConfig
from tlbench.talklip.stages import StageSchedule, SwitchSchedule
from tlbench.talklip.sync_expert import SYNC_EXPERT
from tlbench.talklip.train import TrainedReference, train_reference
from tlbench.talklip.train_config import AnyLoss, FaceformerLoss, LossConfig, OptimConfig, Wav2LipLoss
from tlbench.talklip.trainer import TrainLoopConfig
from tlbench.talklip.wav2lip import ColourSyncNet, SyncDims

STEPS = 4
LOSSES: dict[str, AnyLoss] = {
    "talklip": LossConfig.for_variant("base-no-lip"),
    "wav2lip": Wav2LipLoss(sync_norm="running", sync_below=1e3),
    "faceformer": FaceformerLoss(window_frames=5),
}
# In the log, in TensorBoard and in validation, besides l1.
NAMES = {
    "talklip": {"perceptual", "real", "fake"},
    "wav2lip": {"perceptual", "real", "fake", "sync"},
    "faceformer": {"l2"},
}
VALIDATED = {"talklip": set[str](), "wav2lip": NAMES["wav2lip"], "faceformer": {"l2"}}

Train = Callable[..., TrainedReference]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    """Clips without faces in LRS2's layout; their boxes are given."""
    root = tmp_path_factory.mktemp("lrs2")
    for split, count in (("train", 2), ("val", 1)):
        for number in range(count):
            video, boxes = (root / folder / split / f"{number:05d}" for folder in ("main", "boxes"))
            for path in (video, boxes):
                path.parent.mkdir(parents=True, exist_ok=True)
            write_clip(
                video.with_suffix(".mp4"), frames=17, width=160, height=160, samples=tone(0.68), audio_codec="aac"
            )
            video.with_suffix(".txt").write_text("Text:  BLUE BOATS\n")
            np.save(boxes.with_suffix(".npy"), np.tile([30, 20, 130, 150], (17, 1)))
        (root / f"{split}.txt").write_text("".join(f"{split}/{number:05d}\n" for number in range(count)))
    return DataConfig("lrs2", root, boxes=root / "boxes", cache=root / "cache")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelConfig]:
    folder, sizes = tmp_path_factory.mktemp("experts"), SyncDims(1 / 16, 8)
    torch.manual_seed(0)
    package = Package(SYNC_EXPERT, dict(ColourSyncNet(sizes).state_dict()), {"dims": sizes.to_json()})
    write_package(own_package(package, "wav2lip-face@1", {}, half=False), folder / "sync")
    return {
        "talklip": ModelConfig(size="tiny"),
        "wav2lip": ModelConfig(size="tiny", sync_expert=folder / "sync"),
        "faceformer": ModelConfig(str(write_expert(folder / "reader", ["BLUE BOATS"])), size="tiny"),
    }


# TalkLip's own tests have most of this too.
@pytest.fixture(params=[pytest.param("talklip", marks=pytest.mark.slow), "wav2lip", "faceformer"])
def generator(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def train(data: DataConfig, models: dict[str, ModelConfig], generator: str) -> Train:
    def run(
        out: Path,
        *,
        validate_every: int = 2,
        guard: DivergenceGuardConfig | None = None,
        max_seconds: float | None = None,
        **hooks: Any,
    ) -> TrainedReference:
        training = TrainingConfig(
            LOSSES[generator],
            OptimConfig(freeze_bn_from=0),
            StageSchedule((STEPS, 0, 0)) if generator == "talklip" else SwitchSchedule(STEPS),
            TrainLoopConfig(batch_clips=2, validate_every=validate_every, save_every=2),
            guard=guard or DivergenceGuardConfig(),
        )
        return train_reference(
            data,
            models[generator],
            training,
            out,
            devices=Devices("cpu"),
            max_seconds=max_seconds,
            hooks=Hooks(**hooks),
        )

    return run


def state(out: Path) -> dict[str, Any]:
    kept: dict[str, Any] = torch.load(out / "state.pt", weights_only=True)
    return kept


def logged(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def spoilt(spoil: Callable[[GeneratorStep[Any], dict[str, Any], int], dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """A step whose losses, and weights, ``spoil`` changes; it is told how many steps there were."""
    call, steps = GeneratorStep.__call__, [0]

    def step(self: GeneratorStep[Any], batches: Sequence[Any]) -> dict[str, Any]:
        losses = call(self, batches)
        steps[0] += 1
        return spoil(self, losses, steps[0])

    return step


def test_a_stop_by_time_or_by_hand_changes_nothing_and_all_is_logged_and_shown(
    train: Train, generator: str, tmp_path: Path
) -> None:
    assert train(tmp_path / "whole").done
    assert train(tmp_path / "cut", max_seconds=1e-9).step == 0
    steps = iter(range(100))
    assert train(tmp_path / "cut", stop=lambda: next(steps) == 3).step == 3
    assert train(tmp_path / "cut").done
    assert (tmp_path / "whole" / "state.pt").read_bytes() == (tmp_path / "cut" / "state.pt").read_bytes()

    reports = [line for line in logged(tmp_path / "whole") if "l1" in line]
    assert [line["step"] for line in reports] == [2, 4]
    assert {"l1", "val_l1", "frames_per_second", *NAMES[generator]} <= reports[1].keys()
    assert {f"val_{name}" for name in VALIDATED[generator]} <= reports[1].keys()
    (events,) = (tmp_path / "whole" / "tensorboard").glob("events.*")
    board = EventAccumulator(str(events)).Reload()
    assert [point.value for point in board.Scalars("val_l1")] == pytest.approx([line["val_l1"] for line in reports])
    assert set(board.Tags()["scalars"]) >= {"l1", *NAMES[generator]}
    for step in (2, 4):
        film = tmp_path / "whole" / "samples" / f"{step:07d}.mp4"
        assert read_video(film).shape == (17, 96, 192, 3)  # the target on the left, the generated faces on the right
        assert len(read_audio(film)) >= 16 * 640
        assert film.with_suffix(".png").stat().st_size > 1000


def test_divergence_goes_back_and_weights_that_are_not_finite_are_never_saved(train: Train, tmp_path: Path) -> None:
    def spoil(step: GeneratorStep[Any], losses: dict[str, Any], number: int) -> dict[str, Any]:
        if number == 3:
            with torch.no_grad():
                next(step.networks["generator"].parameters()).fill_(float("nan"))
            return {**losses, "l1": torch.tensor(float("nan"))}
        return losses

    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GeneratorStep, "__call__", spoilt(spoil))
        assert train(tmp_path, notify=lines.append).done
    (back,) = [line for line in lines if "went back" in line]
    assert back.startswith("step 3: l1 is nan; went back to step 2")
    assert (state(tmp_path)["at"]["step"], state(tmp_path)["at"]["tries"]) == (STEPS, 1)
    assert all(tensor.isfinite().all() for tensor in state(tmp_path)["generator"].values())
    assert [line["went_back_from"] for line in logged(tmp_path) if "went_back_from" in line] == [3]


@pytest.mark.slow
def test_a_training_that_diverges_again_and_again_gives_up(train: Train, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GeneratorStep, "__call__", lambda self, batches: {"l1": torch.tensor(float("nan"))})
        with pytest.raises(TlbenchError, match=r"diverged 2 times after step 0 \(l1 is nan\)"):
            train(tmp_path, guard=DivergenceGuardConfig(patience=1))


def test_a_full_disk_leaves_the_old_state_and_a_damaged_one_is_told(train: Train, tmp_path: Path) -> None:
    steps = iter(range(100))
    train(tmp_path, validate_every=100, stop=lambda: next(steps) == 1)
    before = (tmp_path / "state.pt").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(TlbenchError, match=r"training state can't be written .*No space left.* free some space"):
            train(tmp_path, validate_every=100)
    assert (tmp_path / "state.pt").read_bytes() == before
    assert not list(tmp_path.glob(".*.tmp"))
    (tmp_path / "state.pt").write_bytes(b"PK nothing")
    with pytest.raises(TlbenchError, match=r"state.pt: training can't resume from it .* remove it to start again"):
        train(tmp_path, validate_every=100)


def test_a_data_set_without_a_part_to_train_on_is_refused() -> None:
    with pytest.raises(TlbenchError, match=r"grid-sample: no split 'train'; there are test \(--train-split\)"):
        DataConfig("grid-sample").selections()
    with pytest.raises(TlbenchError, match="a folder has one split only: list the clips to train and to validate on"):
        DataConfig("folder", Path()).selections()
