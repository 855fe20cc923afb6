"""Training the reference generator on a few synthetic clips: files, resuming, rollbacks, and refused options."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("lightning_fabric", reason="training needs the extra 'train'")

from tests.factories.expert_factory import write_expert
from tests.factories.media_factory import tone, write_clip
from tlbench.checkpoints.package import read_package
from tlbench.datasets.clip import Clip
from tlbench.errors import TlbenchError
from tlbench.talklip import trainer as trainer_module
from tlbench.talklip.batches import BatchMaker, FrameMasking
from tlbench.talklip.checkpoint import load_generator
from tlbench.talklip.dataset import Faces, TalkLipDataset, TrainingClip
from tlbench.talklip.divergence_guard import DivergenceGuardConfig
from tlbench.talklip.generator import AHEAD_FRAMES, TalkLip, dims_for
from tlbench.talklip.run_config import DataConfig, Devices, Hooks, ModelConfig, TrainingConfig
from tlbench.talklip.stages import StageSchedule
from tlbench.talklip.train import TrainedReference, train_reference
from tlbench.talklip.train_config import LossConfig, OptimConfig
from tlbench.talklip.train_step import TrainStep
from tlbench.talklip.trainer import TrainLoopConfig
from tlbench.training import run_folder

TEXTS = {"train": ("BLUE BOATS", "RED CARS", "BLUE CARS", "RED BOATS AGAIN"), "val": ("BLUE BOATS",)}
QUICK = TrainLoopConfig(batch_clips=2, validate_every=3, save_every=2)
STAGES = StageSchedule((2, 2, 2))
CPU = Devices("cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips without faces in LRS2's layout; their boxes are given."""
    root = tmp_path_factory.mktemp("lrs2")
    for split, texts in TEXTS.items():
        for number, text in enumerate(texts):
            video = root / "main" / split / f"{number:05d}.mp4"
            video.parent.mkdir(parents=True, exist_ok=True)
            frames = 14 + number
            write_clip(video, frames=frames, width=160, height=160, samples=tone(frames / 25), audio_codec="aac")
            video.with_suffix(".txt").write_text(f"Text:  {text}\n")
        (root / f"{split}.txt").write_text("".join(f"{split}/{number:05d}\n" for number in range(len(texts))))
    return root


@pytest.fixture(scope="module")
def expert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_expert(tmp_path_factory.mktemp("expert") / "reader", TEXTS["train"])


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def boxes(root: Path) -> Path:
    folder = root / "boxes"
    for video in (root / "main").rglob("*.mp4"):
        path = folder / video.relative_to(root / "main").with_suffix(".npy")
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.array([[30, 20, 130, 150]] * 40))
    return folder


Train = Callable[..., TrainedReference]


@pytest.fixture
def train(root: Path, expert: Path, cache: Path, boxes: Path) -> Train:
    def run(
        out: Path,
        variant: str = "g+c",
        optim: OptimConfig | None = None,
        *,
        model: dict[str, Any] | None = None,
        loss: LossConfig | None = None,
        stages: StageSchedule = STAGES,
        loop: TrainLoopConfig = QUICK,
        masking: FrameMasking | None = None,
        guard: DivergenceGuardConfig | None = None,
        devices: Devices = CPU,
        **hooks: Any,
    ) -> TrainedReference:
        default = {"expert": None if variant.startswith("base") else str(expert), "size": "tiny"}
        training = TrainingConfig(
            loss or LossConfig.for_variant(variant),
            optim or OptimConfig(),
            stages,
            loop,
            masking or FrameMasking(),
            guard or DivergenceGuardConfig(),
        )
        data = DataConfig("lrs2", root, boxes=boxes, cache=cache)
        max_seconds = hooks.pop("max_seconds", None)
        return train_reference(
            data,
            ModelConfig(**{**default, **(model or {})}),
            training,
            out,
            devices=devices,
            max_seconds=max_seconds,
            hooks=Hooks(**hooks),
        )

    return run


@pytest.fixture(scope="module")
def whole(root: Path, expert: Path, cache: Path, boxes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    trained = train_reference(
        DataConfig("lrs2", root, boxes=boxes, cache=cache),
        ModelConfig(str(expert), size="tiny"),
        TrainingConfig(LossConfig.for_variant("g+c"), stages=STAGES, loop=QUICK),
        out,
        devices=CPU,
    )
    assert (trained.step, trained.done, trained.failures) == (6, True, {})
    return out


def state(out: Path) -> dict[str, Any]:
    kept: dict[str, Any] = torch.load(out / "state.pt", weights_only=True)
    return kept


def assert_same(one: Any, other: Any, where: str = "state") -> None:
    assert type(one) is type(other), where
    if isinstance(one, dict):
        assert list(one) == list(other), where
        for name in one:
            assert_same(one[name], other[name], f"{where}.{name}")
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for index, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_same(a, b, f"{where}[{index}]")
    elif isinstance(one, Tensor):
        assert torch.equal(one, other), where
    else:
        assert one == other, where


@pytest.mark.parametrize("after", [pytest.param(1, marks=pytest.mark.slow), 3, pytest.param(5, marks=pytest.mark.slow)])
def test_a_training_that_is_stopped_and_resumed_ends_exactly_as_one_that_was_not(
    whole: Path, train: Train, tmp_path: Path, after: int
) -> None:
    steps = iter(range(100))
    stopped = train(tmp_path, stop=lambda: next(steps) == after)
    assert (stopped.step, stopped.done) == (after, False)
    resumed = train(tmp_path)
    assert (resumed.step, resumed.done) == (6, True)
    assert_same(state(whole), state(tmp_path))
    logs = [[json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()] for out in (whole, tmp_path)]
    assert [line["step"] for line in logs[0]] == [line["step"] for line in logs[1]]


@pytest.mark.slow
def test_a_kill_between_two_states_costs_steps_but_changes_nothing(whole: Path, train: Train, tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    call, calls = TrainStep.__call__, 0

    def killed(self: TrainStep, batches: Any) -> dict[str, Tensor]:
        nonlocal calls
        calls += 1
        losses = call(self, batches)
        if calls == 4:
            raise Killed  # the weights have changed, but the step is not counted
        return losses

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainStep, "__call__", killed)
        with pytest.raises(Killed):
            train(tmp_path)
    assert state(tmp_path)["at"]["step"] == 3
    train(tmp_path)
    assert_same(state(whole), state(tmp_path))


def test_a_training_with_old_names_of_settings_is_continued(train: Train, tmp_path: Path) -> None:
    before = Path(__file__).parents[1] / "files_of_before" / "reference_settings.json"
    optim = OptimConfig(4e-4, 2e-4, 0.9, 3, 0.3, 1)
    given = {
        "loss": replace(LossConfig.for_variant("base-no-lip-gan"), mouth_weight=8),
        "masking": FrameMasking(0.02, 2),
    }
    steps = iter(range(100))
    train(tmp_path / "cut", "base-no-lip-gan", optim, **given, stop=lambda: next(steps) == 3)
    shutil.copy(before, tmp_path / "cut" / "settings.json")
    assert train(tmp_path / "cut", "base-no-lip-gan", optim, **given).done
    train(tmp_path / "whole", "base-no-lip-gan", optim, **given)
    assert_same(state(tmp_path / "whole"), state(tmp_path / "cut"))


def test_batches_that_are_accumulated_are_one_step(train: Train, tmp_path: Path) -> None:
    trained = train(tmp_path, loop=replace(QUICK, batch_clips=1, accumulate=2), stages=StageSchedule((1, 0, 0)))
    assert trained.step == 1


def test_the_last_package_loads_and_says_how_it_was_trained(whole: Path, expert: Path) -> None:
    generator = load_generator(whole / "last")
    assert (generator.dims.audio, generator.dims.contrast_width) == ("global", 32)
    trained = read_package(whole / "last").config["trained"]
    assert trained["recipe"]["variant"] == "g+c"
    assert (trained["trained_with"], trained["step"], trained["overlap"]) == (["reader"], 6, [])
    assert trained["expert"]["sha256"] == read_package(expert).source_sha256


def test_the_same_networks_are_in_files_of_the_originals_format(whole: Path) -> None:
    kept = state(whole)
    content = torch.load(whole / "generator.pth", weights_only=True)
    assert (content["global_step"], content["optimizer"]) == (6, None)
    for name, tensor in load_generator(whole / "generator.pth").state_dict().items():
        assert torch.equal(tensor, kept["generator"][name]), name
    for name, tensor in torch.load(whole / "discriminator.pth", weights_only=True)["state_dict"].items():
        assert torch.equal(tensor, kept["discriminator"][name]), name


def test_log_tensorboard_and_samples_have_each_validation(whole: Path) -> None:
    lines = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
    validations = [line for line in lines if "val_l1" in line]
    assert [line["step"] for line in validations] == [3, 6]
    assert all(line["val_lip_per_token"] > 0 and line["val_contrast"] > 0 for line in validations)
    assert "lip" not in validations[0]  # the third stage begins with step 5
    assert validations[1]["lip_per_token"] > 0
    assert [(line["step"], line["stage"]) for line in lines if "stage" in line and "l1" not in line] == [
        (2, 1),
        (4, 2),
        (6, 3),
    ]
    assert [(line["step"], line["truth_lip_per_token"] > 0) for line in lines if "truth_lip_per_token" in line] == [
        (0, True)
    ]
    assert list((whole / "tensorboard").glob("events.*"))
    for step in (3, 6):
        assert (whole / "samples" / f"{step:07d}.png").stat().st_size > 1000
        assert (whole / "samples" / f"{step:07d}.mp4").stat().st_size > 1000


@pytest.mark.slow
def test_each_stage_trains_its_own_parameters(train: Train, tmp_path: Path) -> None:
    def moved(variant: str, stages: tuple[int, int, int]) -> set[str]:
        out = tmp_path / f"{variant}-{stages}"
        before: dict[str, Tensor] = {}
        set_stage = TrainStep.set_stage

        def spy(self: TrainStep, **stage: bool) -> None:
            if not before:
                before.update({name: tensor.clone() for name, tensor in self.generator.state_dict().items()})
            set_stage(self, **stage)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TrainStep, "set_stage", spy)
            train(out, variant, stages=StageSchedule(stages))
        after = state(out)["generator"]
        return {name.split(".")[0] for name, tensor in before.items() if not torch.equal(tensor, after[name])}

    pictures = {"face_encoder_blocks", "face_decoder_blocks", "output_block"}
    assert moved("g+c", (2, 0, 0)) == pictures | {"audio_map"}
    assert moved("g+c", (0, 2, 0)) == pictures | {"audio_map", "audio_encoder"}
    assert moved("g+c", (0, 0, 2)) == pictures | {"audio_map", "audio_encoder", "sync_net"}
    assert moved("l", (2, 0, 0)) == pictures | {"audio_encoder"}


@pytest.mark.parametrize("variant", ["l+c", "base-no-lip", "base-no-lip-gan"])
def test_other_variants_have_their_own_losses(train: Train, tmp_path: Path, variant: str) -> None:
    train(tmp_path, variant, stages=StageSchedule((0, 0, 1)))
    line = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert ("contrast" in line) == (variant == "l+c")
    assert ("lip" in line) == (variant == "l+c")
    assert ("fake" in line) == (variant != "base-no-lip-gan")


def test_an_expert_that_can_not_read_real_videos_is_reported_before_the_first_step(
    train: Train, tmp_path: Path
) -> None:
    lines: list[str] = []
    train(tmp_path, "l", stages=StageSchedule((0, 0, 1)), notify=lines.append)
    (line,) = [line for line in lines if "the expert's loss on" in line]
    assert "can't read these videos, so a generator learns nothing from it; take another (--expert)" in line


def test_a_diverged_discriminator_is_rolled_back(train: Train, tmp_path: Path) -> None:
    call = TrainStep.__call__
    calls = []

    def sick(self: TrainStep, batches: Any) -> dict[str, Tensor]:
        losses = call(self, batches)
        calls.append(1)
        return {**losses, "fake": torch.tensor(100.0)} if len(calls) in (4, 5) else losses

    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainStep, "__call__", sick)
        trained = train(tmp_path, guard=DivergenceGuardConfig(limit=30, window=2), notify=lines.append)
    assert (trained.step, trained.done) == (6, True)
    (back,) = [line for line in lines if "went back" in line]
    assert back.startswith("step 5: fake is 100.0 over 2 steps: the discriminator has diverged; went back to step 3")
    events = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    (event,) = [line for line in events if "went_back_from" in line]
    assert (event["step"], event["went_back_from"]) == (3, 5)
    assert state(tmp_path)["at"]["tries"] == 1


def test_weights_that_are_not_finite_are_never_saved(train: Train, tmp_path: Path) -> None:
    call = TrainStep.__call__
    calls = []

    def sick(self: TrainStep, batches: Any) -> dict[str, Tensor]:
        losses = call(self, batches)
        calls.append(1)
        if len(calls) == 2:
            with torch.no_grad():
                next(self.generator.output_block.parameters()).fill_(float("nan"))
        return losses

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainStep, "__call__", sick)
        trained = train(tmp_path, "base-no-lip")
    assert trained.done
    assert len(calls) > 6
    assert all(tensor.isfinite().all() for tensor in state(tmp_path)["generator"].values())


def test_a_validation_that_is_not_finite_rolls_back(train: Train, tmp_path: Path) -> None:
    """The statistics of batch norm can be NaN while every training loss is finite, as training does not use them."""
    call = TrainStep.__call__
    calls = []

    def sick(self: TrainStep, batches: Any) -> dict[str, Tensor]:
        losses = call(self, batches)
        calls.append(1)
        if len(calls) == 3:  # the step before the first validation
            for name, buffer in self.generator.named_buffers():
                if name.endswith("running_var"):
                    buffer.fill_(float("nan"))
        return losses

    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainStep, "__call__", sick)
        trained = train(tmp_path, "base-no-lip", notify=lines.append)
    assert trained.done
    (back,) = [line for line in lines if "went back" in line]
    assert back.startswith("step 3: l1 of the validation set is nan; went back to step 2")


@pytest.mark.parametrize("part", ["running_mean", "weight"])
def test_a_state_that_is_not_finite_is_refused(whole: Path, train: Train, tmp_path: Path, part: str) -> None:
    shutil.copytree(whole, tmp_path / "run")
    damaged = state(tmp_path / "run")
    name = next(name for name in damaged["generator"] if name.endswith(part))
    damaged["generator"][name].fill_(float("inf"))
    torch.save(damaged, tmp_path / "run" / "state.pt")
    with pytest.raises(TlbenchError, match=rf"not all values of generator\.{name} are finite\); remove it"):
        train(tmp_path / "run")


def test_a_training_that_diverges_again_and_again_gives_up(train: Train, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainStep, "__call__", lambda self, batches: {"l1": torch.tensor(float("nan"))})
        with pytest.raises(TlbenchError, match=r"diverged 3 times after step 0 \(l1 is nan\)"):
            train(tmp_path, "base-no-lip", guard=DivergenceGuardConfig(patience=2))


def test_a_folder_of_another_training_says_what_is_different(whole: Path, train: Train) -> None:
    before = (whole / "state.pt").read_bytes()
    with pytest.raises(TlbenchError) as caught:
        train(whole, "g", loop=replace(QUICK, seed=7, batch_clips=1))
    assert (
        "loss.variant 'g+c', not 'g', loss.contrast_weight 0.001, not 0.0, batch_clips 2, not 1, seed 0, not 7"
        in str(caught.value)
    )
    assert (whole / "state.pt").read_bytes() == before


def test_a_full_disk_leaves_the_old_state_as_it_was(train: Train, tmp_path: Path) -> None:
    loop = replace(QUICK, validate_every=100)
    steps = iter(range(100))
    train(tmp_path, "base-no-lip", loop=loop, stop=lambda: next(steps) == 3)
    before = (tmp_path / "state.pt").read_bytes()

    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(TlbenchError, match=r"training state can't be written .*No space left.* free some space"):
            train(tmp_path, "base-no-lip", loop=loop)
    assert (tmp_path / "state.pt").read_bytes() == before
    assert not list(tmp_path.glob(".*.tmp"))
    assert train(tmp_path, "base-no-lip", loop=loop).done


def test_a_damaged_state_is_reported(train: Train, tmp_path: Path) -> None:
    train(tmp_path, "base-no-lip", stop=lambda: True)
    (tmp_path / "state.pt").write_bytes(b"PK nothing")
    with pytest.raises(TlbenchError, match=r"state.pt: training can't resume from it .* remove it to start again"):
        train(tmp_path, "base-no-lip")


def test_max_seconds_leaves_everything_saved(train: Train, tmp_path: Path) -> None:
    trained = train(tmp_path, "base-no-lip", max_seconds=1e-9)
    assert (trained.step, trained.l1, trained.done) == (0, None, False)
    assert state(tmp_path)["at"]["step"] == 0


def test_an_expert_of_another_vocabulary_is_refused(train: Train, tmp_path: Path) -> None:
    stranger = write_expert(tmp_path / "stranger", ["ζητα ηχω", "ηχω"])
    with pytest.raises(TlbenchError, match=r"unknown to the lip-reading expert.*another vocabulary"):
        train(tmp_path / "out", model={"expert": str(stranger)})


def test_an_expert_that_also_scores_is_warned_of_and_recorded(train: Train, tmp_path: Path) -> None:
    from tlbench.talklip.find_expert import find_expert

    found = find_expert("avhubert-grid", "grid")
    assert found.overlaps == ("observer overlap: the expert is observer 'avhubert-grid' itself",)
    assert find_expert("avhubert-grid", "lrs2").overlaps == ()


@pytest.mark.parametrize(
    ("variant", "changed", "message"),
    [
        (
            "g+c",
            {"model": {"expert": None}},
            "variant 'g+c' is trained with an expert; give its name or file (--expert)",
        ),
        (
            "base-no-lip",
            {"model": {"expert": "x"}},
            "variant 'base-no-lip' is trained without an expert; leave out --expert x",
        ),
        ("g", {"model": {"expert": "nobody"}}, "--expert nobody: there is no such file and no such checkpoint"),
        (
            "g",
            {"model": {"expert": "talklip-expert"}},
            "--expert talklip-expert: this checkpoint is not in the checkpoint folder",
        ),
        ("g", {"model": {"size": "huge"}}, "no size 'huge'; there are published, miniature, tiny"),
        ("g", {"model": {"size": {"colour": 3}}}, "these are not sizes of the generator"),
        ("g", {"devices": Devices("abacus")}, "accelerator 'abacus'"),
    ],
)
def test_contradicting_options_are_refused_in_one_line(
    variant: str,
    changed: dict[str, Any],
    message: str,
    train: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TLBENCH_CHECKPOINTS", str(tmp_path / "none"))
    with pytest.raises(TlbenchError) as caught:
        train(tmp_path / "out", variant, **changed)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_variant_that_the_paper_does_not_have_is_refused() -> None:
    with pytest.raises(TlbenchError, match=r"no variant 'x'; there are l, l\+c, g, g\+c, base-no-lip"):
        LossConfig.for_variant("x")


# Copying the upper half and the best constant lower half gives L1 0.032 on these clips; only a lower one shows fitting.
@pytest.mark.slow
def test_four_clips_can_be_fitted(train: Train, tmp_path: Path) -> None:
    train(
        tmp_path,
        "base-no-lip-gan",
        OptimConfig(learning_rate=2e-3),
        model={"size": "miniature"},
        loop=TrainLoopConfig(batch_clips=4, validate_every=1000, save_every=1000),
        stages=StageSchedule((150, 0, 0)),
    )
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = [line["l1"] for line in lines if "l1" in line]
    assert losses[0] > 0.06  # the mean of the first 50 steps
    assert losses[-1] < 0.03


def test_a_local_audio_encoder_has_the_same_offset_in_inference_as_in_training(train: Train, tmp_path: Path) -> None:
    """Inference uses the package: with audio two frames later than in training, lips would lag."""
    train(tmp_path, "base-no-lip-gan", stages=StageSchedule((1, 0, 0)))
    generator = load_generator(tmp_path / "last")
    assert generator.dims.ahead_frames == AHEAD_FRAMES
    sound = tone(0.8).reshape(-1)
    faces = Faces.encode(np.zeros((20, 96, 96, 3), np.uint8))
    clip = TrainingClip(Clip("a"), faces, np.tile([0, 0, 9, 9], (20, 1)), sound, [], lambda: np.zeros(0))
    learned = BatchMaker(None, None, generator.dims.ahead_frames).all_frames(clip, 0, 20).audio
    assert (learned.numpy() == generator.audio_features(sound, 20)).all()


def test_the_learning_rates_decay_over_the_last_steps(train: Train, tmp_path: Path) -> None:
    rates = []
    call = TrainStep.__call__

    def watched(self: TrainStep, batches: Any) -> dict[str, Tensor]:
        rates.append([group["lr"] for optimiser in self.optimisers.values() for group in optimiser.param_groups])
        return call(self, batches)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainStep, "__call__", watched)
        train(
            tmp_path,
            "base-no-lip",
            OptimConfig(0.01, 0.002, lr_decay_fraction=0.5),
            stages=StageSchedule((2, 2, 4)),
        )
    left = [1.0] * 5 + [0.75, 0.5, 0.25]
    assert rates == [pytest.approx([0.01 * share, 0.002 * share]) for share in left]


def test_decay_needs_a_fixed_number_of_steps(train: Train, tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match=r"needs a fixed number of steps \(--lr-decay-fraction, --stage-steps\)"):
        train(tmp_path, "base-no-lip", OptimConfig(lr_decay_fraction=0.5), stages=StageSchedule())
    with pytest.raises(TlbenchError, match=r"decay over 1\.5 of all steps"):
        OptimConfig(lr_decay_fraction=1.5)


def test_batch_norms_are_frozen_from_the_given_step(train: Train, tmp_path: Path) -> None:
    def statistics(steps: int) -> dict[str, Tensor]:
        out = tmp_path / str(steps)
        train(out, "base-no-lip-gan", OptimConfig(freeze_bn_from=2), stages=StageSchedule((steps, 0, 0)))
        kept = state(out)["generator"]
        return {name: kept[name] for name in kept if "running" in name or name == "output_block.1.bias"}

    one, two, four = statistics(1), statistics(2), statistics(4)
    means = [name for name in one if name.endswith("running_mean")]
    assert means
    assert any(not torch.equal(one[name], two[name]) for name in means)
    assert all(torch.equal(two[name], four[name]) for name in two if "running" in name)
    assert not torch.equal(two["output_block.1.bias"], four["output_block.1.bias"])  # it still learns


def test_frames_are_decoded_only_for_an_expert(train: Train, tmp_path: Path) -> None:
    decoded = []
    frames = TalkLipDataset._frames

    def watched(self: TalkLipDataset, clip: Clip, squares: np.ndarray) -> np.ndarray:
        decoded.append(clip.id)
        return frames(self, clip, squares)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TalkLipDataset, "_frames", watched)
        train(tmp_path / "base", "base-no-lip")
        assert decoded == []
        train(tmp_path / "l", "l", loop=replace(QUICK, validate_every=100))
    learned = [clip for clip in decoded if clip.startswith("train")]
    assert len(learned) == 2 * QUICK.batch_clips  # of the third stage alone


def test_a_miniature_may_be_initialised_as_a_copy(train: Train, tmp_path: Path) -> None:
    train(
        tmp_path,
        "base-no-lip-gan",
        OptimConfig(freeze_bn_from=0),
        model={"init": "copy", "size": "miniature"},
        stop=lambda: True,
    )
    generator = TalkLip(dims_for("miniature", "local", 0, 0)).eval()
    generator.load_state_dict(state(tmp_path)["generator"])
    shown = torch.rand(2, 6, 96, 96, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2
    shown[:, :3, 48:] = 0
    with torch.no_grad():
        generated = generator(torch.zeros(2, 1, 80, 16), None, None, shown)
    copied = torch.cat([shown[:, :3, :48], shown[:, 3:, 48:]], dim=2)
    assert float((generated - copied).abs().mean()) < 0.06  # random faces would differ by 0.25, another face by 0.2


def test_a_generator_too_narrow_to_copy_is_refused(train: Train, tmp_path: Path) -> None:
    with pytest.raises(
        TlbenchError, match="1 channels in its first stage can't be initialised as a copy; 6 are needed"
    ):
        train(tmp_path, "base-no-lip-gan", model={"init": "copy"})


def test_a_generator_may_be_trained_further(train: Train, tmp_path: Path, expert: Path) -> None:
    train(tmp_path / "bare", "l", stages=StageSchedule((1, 0, 0)))
    learned = load_generator(tmp_path / "bare" / "last").state_dict()
    none = replace(QUICK, validate_every=1)
    still = OptimConfig(1e-12, freeze_bn_from=0)
    model = {"init_from": tmp_path / "bare" / "last", "size": None}
    train(tmp_path / "more", "base-no-lip", still, model=model, stages=StageSchedule((1, 0, 0)), loop=none)
    further = load_generator(tmp_path / "more" / "last").state_dict()
    assert list(further) == list(learned)
    for name, tensor in learned.items():
        torch.testing.assert_close(further[name], tensor, rtol=0, atol=1e-9)
    kept = json.loads((tmp_path / "more" / "settings.json").read_text())
    assert kept["init_from"]["name"] == "bare/last"
    # A base that starts from a generator trained with an expert was trained with that expert, too.
    assert read_package(tmp_path / "more" / "last").config["trained"]["trained_with"] == [expert.name]


def test_the_contrastive_layer_may_be_new_to_a_generator_that_is_trained_further(train: Train, tmp_path: Path) -> None:
    train(tmp_path / "bare", "base-no-lip-gan", stages=StageSchedule((1, 0, 0)))
    model = {"init_from": tmp_path / "bare" / "last", "size": None}
    more = train(tmp_path / "more", "l+c", model=model, stages=StageSchedule((0, 0, 1)))
    assert load_generator(more.last).dims.contrast_width > 0


@pytest.mark.parametrize(
    ("variant", "changed", "message"),
    [
        ("g", {"size": None}, "has a local audio encoder, the variant needs a global one"),
        ("l", {}, "leave out --size and --init copy"),
    ],
)
def test_a_generator_that_can_not_be_trained_further_is_refused(
    train: Train, tmp_path: Path, variant: str, changed: dict[str, Any], message: str
) -> None:
    train(tmp_path / "bare", "base-no-lip-gan", stages=StageSchedule((1, 0, 0)))
    with pytest.raises(TlbenchError, match=message):
        train(tmp_path / "more", variant, model={"init_from": tmp_path / "bare" / "last", **changed})


class Dead(BaseException):
    """The process was killed: nothing that it would still do happens."""


def killed_at_state(patch: pytest.MonkeyPatch, at: int, moment: str) -> None:
    """Kill the training before or after the ``at``-th state is written; then neither state nor log can be written."""
    written, write = 0, run_folder.write_state

    def write_state(out: Path, state: dict[str, Any]) -> None:
        nonlocal written
        written += 1
        if written < at or (written == at and moment == "after"):
            write(out, state)
        if written >= at:
            patch.setattr(run_folder.RunLog, "append", write_state)  # whatever is called now raises
            raise Dead

    patch.setattr(trainer_module, "write_state", write_state)


@pytest.mark.parametrize(
    ("at", "moment"),
    [
        pytest.param(at, moment, marks=() if (at, moment) == (5, "before") else pytest.mark.slow)
        for at in range(1, 7)
        for moment in ("before", "after")
    ],
)
def test_a_kill_around_a_rollback_changes_nothing(train: Train, tmp_path: Path, at: int, moment: str) -> None:
    """States: at the start, after steps 2, 3 and 4, after the rollback from step 5 to 4, and at the end."""
    step = trainer_module.ReferenceTraining._step

    def diverging(self: Any, batches: Any) -> str | None:
        why = step(self, batches)
        return "made up" if (self._position.step, self._position.tries) == (5, 0) else why

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer_module.ReferenceTraining, "_step", diverging)
        train(tmp_path / "whole", "base-no-lip-gan")
        with pytest.MonkeyPatch.context() as inner:
            killed_at_state(inner, at, moment)
            with pytest.raises(Dead):
                train(tmp_path / "cut", "base-no-lip-gan")
        train(tmp_path / "cut", "base-no-lip-gan")
    assert (tmp_path / "whole" / "state.pt").read_bytes() == (tmp_path / "cut" / "state.pt").read_bytes()
    logs = [
        [
            {name: value for name, value in json.loads(line).items() if name != "frames_per_second"}
            for line in (tmp_path / name / "log.jsonl").read_text().splitlines()
        ]
        for name in ("whole", "cut")
    ]
    assert logs[0] == logs[1]
    assert [line["went_back_from"] for line in logs[0] if "went_back_from" in line] == [5]
