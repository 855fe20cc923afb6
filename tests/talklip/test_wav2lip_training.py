"""Training Wav2Lip and its sync expert on a few clips: losses, batches, the switch, files, refused options."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("lightning_fabric", reason="training needs the extra 'train'")

from lightning_fabric import Fabric

from tests.factories.media_factory import tone, write_clip
from tlbench.checkpoints.package import Package, own_package, read_package, write_package
from tlbench.datasets.clip import Clip
from tlbench.datasets.selection import load_dataset
from tlbench.errors import TlbenchError
from tlbench.media.mel import mel_spectrogram
from tlbench.talklip.checkpoint import load_generator, open_discriminator
from tlbench.talklip.dataset import Faces, TrainingClip
from tlbench.talklip.discriminator import Discriminator
from tlbench.talklip.generator import TINY, TalkLip
from tlbench.talklip.losses import sync_losses
from tlbench.talklip.run_config import DataConfig, Devices, Hooks, ModelConfig, TrainingConfig
from tlbench.talklip.stages import StageSchedule, SwitchedStages, SwitchSchedule
from tlbench.talklip.sync_expert import SYNC_EXPERT, find_sync_expert
from tlbench.talklip.sync_windows import window_starts
from tlbench.talklip.train import TrainedReference, train_reference
from tlbench.talklip.train_config import LossConfig, OptimConfig, Wav2LipLoss
from tlbench.talklip.train_sync_expert import TrainableSyncExpert, pair_losses
from tlbench.talklip.trainer import TrainLoopConfig
from tlbench.talklip.wav2lip import ColourSyncNet, SyncDims
from tlbench.talklip.wav2lip_batches import WindowMaker
from tlbench.talklip.wav2lip_step import Wav2LipStep
from tlbench.training.schedule import Schedule
from tlbench.training.train_observer import TrainingDevices, train_observer

CPU = Devices("cpu")
QUICK = TrainLoopConfig(batch_clips=2, validate_every=2, save_every=2)
TINY_SYNC = SyncDims(1 / 16, 8)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips without faces in LRS2's layout; their boxes are given."""
    root = tmp_path_factory.mktemp("lrs2")
    for split, count in (("train", 3), ("val", 2)):
        for number in range(count):
            video = root / "main" / split / f"{number:05d}.mp4"
            video.parent.mkdir(parents=True, exist_ok=True)
            frames = 17 + number
            write_clip(video, frames=frames, width=160, height=160, samples=tone(frames / 25), audio_codec="aac")
            video.with_suffix(".txt").write_text("Text:  WORDS\n")
            boxes = root / "boxes" / split / f"{number:05d}.npy"
            boxes.parent.mkdir(parents=True, exist_ok=True)
            np.save(boxes, np.array([[30, 20, 130, 150]] * 40))
        (root / f"{split}.txt").write_text("".join(f"{split}/{number:05d}\n" for number in range(count)))
    return root


@pytest.fixture(scope="module")
def sync_expert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("expert") / "best"
    package = Package(SYNC_EXPERT, dict(ColourSyncNet(TINY_SYNC).state_dict()), {"dims": TINY_SYNC.to_json()})
    write_package(own_package(package, "wav2lip-face@1", {}, half=False), path)
    return path


Train = Callable[..., TrainedReference]


@pytest.fixture
def train(root: Path, sync_expert: Path, tmp_path_factory: pytest.TempPathFactory) -> Train:
    def run(
        out: Path,
        loss: Wav2LipLoss | None = None,
        *,
        model: dict[str, Any] | None = None,
        schedule: SwitchSchedule | None = None,
        loop: TrainLoopConfig = QUICK,
        optim: OptimConfig | None = None,
        **hooks: Any,
    ) -> TrainedReference:
        training = TrainingConfig(loss or Wav2LipLoss(), optim or OptimConfig(), schedule or SwitchSchedule(4), loop)
        data = DataConfig("lrs2", root, boxes=root / "boxes", cache=root / "cache")
        given = {"size": "tiny", "sync_expert": sync_expert, **(model or {})}
        return train_reference(data, ModelConfig(**given), training, out, devices=CPU, hooks=Hooks(**hooks))

    return run


def moving_clip(frames: int, sound_seconds: float | None = None) -> TrainingClip:
    """Frame t of the clip has the level t everywhere."""
    levels = np.broadcast_to(np.arange(frames, dtype=np.uint8)[:, None, None, None], (frames, 96, 96, 3))
    sound = tone(frames / 25 if sound_seconds is None else sound_seconds).reshape(-1)
    boxes = np.tile([0, 0, 9, 9], (frames, 1))
    return TrainingClip(Clip("a"), Faces.encode(levels), boxes, sound, [], lambda: np.zeros(0))


def by_hand(speech: np.ndarray, faces: np.ndarray, matching: np.ndarray) -> np.ndarray:
    """nn.BCELoss of nn.functional.cosine_similarity, in numpy."""
    likeness = (speech * faces).sum(1) / (np.linalg.norm(speech, axis=1) * np.linalg.norm(faces, axis=1))
    with np.errstate(divide="ignore"):
        own, other = np.maximum(np.log(likeness), -100), np.maximum(np.log(1 - likeness), -100)
    found: np.ndarray = -(matching * own + (1 - matching) * other)
    return found


def test_the_sync_loss_is_the_cross_entropy_of_the_cosine() -> None:
    rng = np.random.default_rng(0)
    speech, faces = rng.random((6, 8)), rng.random((6, 8))
    faces[5], speech[5] = [0] * 7 + [1], [1] + [0] * 7  # orthogonal: the logarithm is cut off at -100
    matching = np.array([1.0, 0, 1, 0, 0, 1])
    found = sync_losses(*(torch.from_numpy(x) for x in (speech, faces, matching.astype(np.float32))))
    np.testing.assert_allclose(found.numpy(), by_hand(speech, faces, matching), rtol=1e-5)
    assert float(found[5]) == 100
    assert torch.isfinite(sync_losses(torch.ones(1, 3), torch.ones(1, 3), torch.ones(1))).all()


def test_each_window_is_compared_with_the_speech_of_all_windows_of_its_clip() -> None:
    rng = np.random.default_rng(1)
    speech, faces = rng.random((2, 3, 8)), rng.random((2, 3, 8))
    own, other = pair_losses(torch.from_numpy(speech), torch.from_numpy(faces))
    for clip in range(2):
        for row in range(3):
            alone = by_hand(speech[clip, row : row + 1], faces[clip, row : row + 1], np.ones(1))
            np.testing.assert_allclose(own[clip, row].item(), alone[0], rtol=1e-5)
            rest = [index for index in range(3) if index != row]
            expected = by_hand(speech[clip, rest], np.repeat(faces[clip, row : row + 1], 2, 0), np.zeros(2))
            np.testing.assert_allclose(other[clip, row].numpy(), expected, rtol=1e-5)


def test_every_loss_of_a_step_is_what_numpy_makes_of_the_networks_outputs() -> None:
    torch.manual_seed(0)
    networks = TalkLip(replace(TINY, ahead_frames=1)), Discriminator(1 / 16, 8), ColourSyncNet(TINY_SYNC)
    loss = Wav2LipLoss(sync_norm="running", mouth_weight=3)
    step = Wav2LipStep(*networks, loss, OptimConfig(), Fabric(accelerator="cpu"))
    step.set_stage(train_audio=True, use_expert=True)
    batch = WindowMaker(1, 2).training([moving_clip(20), moving_clip(18)], np.random.default_rng(0))
    for network in step.networks.values():
        network.eval()
    with torch.no_grad():
        generated = step.generate(batch)[1]
        probabilities = [networks[1](faces).numpy() for faces in (generated, batch.target)]
        halves = generated[:, :, 48:].reshape(2, 15, 48, 96)
        said, shown = (x.numpy() for x in networks[2](batch.speech, halves))
        losses = step.validation_losses(batch)
    expected = {
        "l1": np.abs(generated.numpy() - batch.target.numpy()).mean(),
        "sync": by_hand(said, shown, np.ones(2)).mean(),
        "perceptual": -np.log(probabilities[0]).mean(),
        "fake": -np.log(1 - probabilities[0]).mean(),
        "real": -np.log(probabilities[1]).mean(),
    }
    assert {name: float(value) for name, value in losses.items()} == pytest.approx(expected, rel=1e-5)


def test_a_batch_is_a_window_of_each_clip_with_its_speech_and_another_window_of_it() -> None:
    clips = [moving_clip(frames) for frames in (16, 30)]
    for seed in range(20):
        batch = WindowMaker(1, 2).training(clips, np.random.default_rng(seed))
        levels = (batch.target[:, 0, 0, 0] * 255).round().int().view(2, 5)
        others = (batch.faces[:, 3, 0, 0] * 255).round().int().view(2, 5)
        assert (levels[:, 1:] - levels[:, :1] == torch.arange(1, 5)).all()
        assert (others[:, 1:] - others[:, :1] == torch.arange(1, 5)).all()
        assert (levels[:, 0] >= 1).all()
        assert (levels[:, 0] != others[:, 0]).all()
        assert (batch.faces[:, :3, 48:] == 0).all()
        assert (batch.faces[:, :3, :48] == batch.target[:, :, :48]).all()
        for row, clip in enumerate(clips):
            mel, start = mel_spectrogram(clip.samples), int(levels[row, 0])
            first = int(80 * start / 25)  # crop_audio_window of the original
            assert (batch.speech[row, 0].numpy() == mel[:, first : first + 16]).all()
            for frame in range(5):
                first = int(80 * (start + frame - 1) / 25)  # get_segmented_mels
                assert (batch.audio[5 * row + frame, 0].numpy() == mel[:, first : first + 16]).all()


def test_validation_has_four_windows_of_each_clip_the_same_every_time() -> None:
    clips = [moving_clip(20), moving_clip(25), moving_clip(30)]
    once, again = (list(WindowMaker(1, 8).validation_batches(clips, 3)) for _ in range(2))
    assert [len(batch.speech) for batch in once] == [6, 6]
    assert all(torch.equal(one.faces, other.faces) for one, other in zip(once, again, strict=True))
    starts = [round(float(window[0, 0, 0, 0]) * 255) for b in once for window in b.target.view(-1, 5, 3, 96, 96)]
    assert starts[:3] == [1, 1, 1]
    assert starts[-3:] == [12, 17, 22]  # the speech of frame t + 3 ends with the sound


def test_windows_end_where_the_sound_does() -> None:
    clip = moving_clip(40, sound_seconds=0.8)
    steps = mel_spectrogram(clip.samples).shape[1]
    assert window_starts(40, steps, "a").tolist() == list(range(16))  # frame 20 is at 0.8 s
    assert window_starts(40, steps, "a", 1).tolist() == list(range(1, 13))
    with pytest.raises(TlbenchError, match=r"clip a: its sound ends after 0\.2. s, too early for two windows"):
        window_starts(40, 17, "a")


def test_the_sync_loss_is_added_when_it_is_below_the_limit_and_stays() -> None:
    stages = SwitchedStages(SwitchSchedule(6, below=0.75))
    assert not stages.use_expert
    assert not stages.validated(0.1, {"sync": 0.75})
    assert stages.validated(0.1, {"sync": 0.74})
    assert stages.use_expert
    assert not stages.validated(0.1, {"sync": 2.0})
    assert stages.use_expert
    again = SwitchedStages(SwitchSchedule(6, below=0.75))
    again.restore(json.loads(json.dumps(stages.to_json())))
    assert again.to_json() == stages.to_json()
    assert [stages.at_step(step) for step in (5, 6)] == [False, True]
    assert stages.is_over


def test_patience_ends_a_training_without_a_fixed_number_of_steps() -> None:
    stages = SwitchedStages(SwitchSchedule(patience=1, below=0.75))
    ended = [stages.validated(0.1, {"sync": sync}) for sync in (0.9, 0.9, 0.7, 0.9, 0.9)]
    assert ended == [False, False, True, False, True]
    assert stages.described() == "training done"
    never = SwitchedStages(SwitchSchedule(1, below=0.75))
    never.at_step(1)
    assert never.described() == "training done; the sync loss was never below 0.75 and never added"


def logged(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def same_state(one: Path, other: Path) -> bool:
    return (one / "state.pt").read_bytes() == (other / "state.pt").read_bytes()


def test_a_training_is_resumed_exactly_and_its_files_load(train: Train, tmp_path: Path, sync_expert: Path) -> None:
    lines: list[str] = []
    loss = Wav2LipLoss(sync_below=1e3, sync_norm="running")
    trained = train(tmp_path / "whole", loss, notify=lines.append)
    assert (trained.step, trained.done) == (4, True)
    steps = iter(range(100))
    assert not train(tmp_path / "cut", loss, stop=lambda: next(steps) == 3).done
    assert train(tmp_path / "cut", loss).done
    assert same_state(tmp_path / "whole", tmp_path / "cut")
    assert any(line.startswith("the sync expert's loss on real videos of the validation set is ") for line in lines)
    assert "stage 2 of 2: the sync loss is added" in lines
    reports = [line for line in logged(tmp_path / "whole") if "val_l1" in line]
    assert [line["step"] for line in reports] == [2, 4]
    assert {f"val_{name}" for name in ("l1", "sync", "perceptual", "real", "fake")} <= reports[0].keys()
    assert ["sync" in line for line in reports] == [False, True]  # in the losses of training
    settings = json.loads((tmp_path / "whole" / "settings.json").read_text())
    assert settings["generator"] == "wav2lip"
    assert settings["sync_expert"] == {
        "name": f"{sync_expert.parent.name}/best",
        "sha256": read_package(sync_expert).source_sha256,
    }
    package = read_package(trained.last)
    assert package.config["trained"]["recipe"]["variant"] == "wav2lip"
    assert package.config["trained"]["trained_with"] == [settings["sync_expert"]["name"]]
    generator = load_generator(trained.last)
    assert (generator.dims.audio, generator.dims.ahead_frames) == ("local", 1)
    kept = torch.load(tmp_path / "whole" / "state.pt", weights_only=True)
    for name, tensor in load_generator(tmp_path / "whole" / "generator.pth").state_dict().items():
        assert torch.equal(tensor, kept["generator"][name]), name
    assert list((tmp_path / "whole" / "samples").glob("*.mp4"))


@pytest.mark.slow
def test_a_published_file_is_trained_further_with_its_discriminator(train: Train, tmp_path: Path) -> None:
    loss = Wav2LipLoss(sync_norm="running")
    train(tmp_path / "whole", loss, schedule=SwitchSchedule(2))
    kept = torch.load(tmp_path / "whole" / "state.pt", weights_only=True)
    official = {"state_dict": {f"module.{name}": tensor for name, tensor in kept["generator"].items()}}
    torch.save(torch.load(tmp_path / "whole" / "generator.pth") | official, tmp_path / "wav2lip_gan.pth")
    model = {"size": None, "init_from": tmp_path / "wav2lip_gan.pth"}
    model["init_discriminator"] = tmp_path / "whole" / "discriminator.pth"
    still = OptimConfig(1e-12, 1e-12, freeze_bn_from=0)
    further = train(tmp_path / "more", loss, model=model, schedule=SwitchSchedule(2), optim=still)
    for name, tensor in load_generator(further.last).state_dict().items():
        torch.testing.assert_close(tensor, kept["generator"][name], rtol=0, atol=1e-9)
    for name, tensor in open_discriminator(tmp_path / "more" / "discriminator.pth").state_dict().items():
        torch.testing.assert_close(tensor, kept["discriminator"][name], rtol=0, atol=1e-9)


@pytest.mark.slow
def test_a_diverged_training_goes_back(train: Train, tmp_path: Path) -> None:
    call, calls = Wav2LipStep.__call__, []

    def sick(self: Wav2LipStep, batches: Any) -> dict[str, Tensor]:
        losses = call(self, batches)
        calls.append(1)
        return {**losses, "l1": torch.tensor(float("nan"))} if len(calls) == 3 else losses

    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Wav2LipStep, "__call__", sick)
        assert train(tmp_path, Wav2LipLoss(sync_norm="running"), notify=lines.append).done
    assert any("l1 is nan; went back to step 2" in line for line in lines)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"sync_expert": None}, "Wav2Lip is trained with a sync expert; give lipsync_expert.pth, or OUT/best of"),
        ({"expert": "avhubert-grid"}, "Wav2Lip is trained without a lip-reading expert; leave out --expert"),
        ({"sync_expert": Path("nowhere.pth")}, "--sync-expert nowhere.pth: there is no such file"),
    ],
)
def test_a_missing_or_wrong_expert_is_refused(
    train: Train, tmp_path: Path, model: dict[str, Any], message: str
) -> None:
    with pytest.raises(TlbenchError, match=message):
        train(tmp_path, model=model)


def test_files_of_other_models_are_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": ColourSyncNet().state_dict(), "global_step": 7}, tmp_path / "lipsync_expert.pth")
    sync_expert = tmp_path / "lipsync_expert.pth"
    assert find_sync_expert(sync_expert).network.dims == SyncDims()  # as Wav2Lip's scripts write it
    torch.save({"state_dict": Discriminator(1 / 16, 8).state_dict()}, tmp_path / "disc.pth")
    with pytest.raises(TlbenchError, match=r"is another model's file, not a sync expert of Wav2Lip"):
        find_sync_expert(tmp_path / "disc.pth")
    with pytest.raises(TlbenchError, match="is a sync expert; give a generator"):
        load_generator(sync_expert)
    with pytest.raises(TlbenchError, match=r"is not a discriminator .*--init-discriminator"):
        open_discriminator(sync_expert)


def test_a_batch_of_one_window_can_not_be_normalised_by(train: Train, tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match="at least two windows; give --batch-clips 2 or more"):
        train(tmp_path, loop=replace(QUICK, batch_clips=1))


def test_weights_that_leave_nothing_for_l1_are_refused() -> None:
    with pytest.raises(TlbenchError, match="leave nothing of 1 for L1"):
        Wav2LipLoss(sync_weight=0.9, gan_weight=0.1)
    with pytest.raises(ValueError, match="wav2lip is not trained by"):
        TrainingConfig(Wav2LipLoss(), stages=StageSchedule())
    with pytest.raises(ValueError, match="talklip is not trained by"):
        TrainingConfig(LossConfig("l"), stages=SwitchSchedule())


def test_a_sync_expert_is_trained_and_resumed(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_clips = TrainableSyncExpert.own_clips  # the clips show no faces, so that boxes have to be given
    monkeypatch.setattr(
        TrainableSyncExpert,
        "own_clips",
        lambda selection, cache: own_clips(
            load_dataset("lrs2", root, split=selection.split, boxes=root / "boxes"), cache
        ),
    )

    def run(out: Path, stop: Callable[[], bool] | None = None) -> Any:
        return train_observer(
            "wav2lip-sync",
            "lrs2",
            out,
            root,
            size="tiny",
            schedule=Schedule(steps=4, batch_frames=40, warmup=1, validate_every=2),
            devices=TrainingDevices("cpu"),
            cache=root / "cache",
            stop=stop,
        )

    trained = run(tmp_path / "whole")
    assert (trained.step, trained.metric) == (4, "sync_loss/sound")
    steps = iter(range(100))
    run(tmp_path / "cut", lambda: next(steps) == 3)
    run(tmp_path / "cut")
    assert same_state(tmp_path / "whole", tmp_path / "cut")
    found = find_sync_expert(trained.best)
    assert found.name == "whole/best"
    assert found.network.dims == TINY_SYNC
    with torch.no_grad():
        said, shown = found.network(torch.zeros(1, 1, 80, 16), torch.rand(1, 15, 48, 96))
    assert said.shape == shown.shape == (1, 8)
