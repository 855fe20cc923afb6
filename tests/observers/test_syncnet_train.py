"""Training SyncNet: batches, offsets of overfitted and of new clips, and the observer with the trained package."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tlbench.checkpoints.package import Package, own_package, write_package
from tlbench.datasets.clip import Clip
from tlbench.errors import TlbenchError
from tlbench.media.video_reader import FrameChunk
from tlbench.media.views import Grey
from tlbench.metrics.catalogue import find_metric
from tlbench.observers.syncnet.dims import Dims
from tlbench.observers.syncnet.fast_model import FastSyncNet
from tlbench.observers.syncnet.inference import SyncNetInference
from tlbench.observers.syncnet.model import SyncNetModel
from tlbench.observers.syncnet.observer import SyncNet
from tlbench.observers.syncnet.train import SIZES, TINY, TrainableSyncNet, as_shown, embed_lips, embed_speech
from tlbench.observers.syncnet.view import VIEWS, shown
from tlbench.observing.evidence import Evidence
from tlbench.training.trainable import TOTAL, LabelInventory, TrainingSample

INVENTORY = LabelInventory((), (), ())
CPU = torch.device("cpu")
FRAMES = 30
STEPS = 80


def sample(seed: int, lag_frames: int = 0) -> TrainingSample:
    """A mouth that opens with the loudness of the voice, or ``lag_frames`` later."""
    rng = np.random.default_rng(seed)
    knots = rng.uniform(0, 1, FRAMES // 2 + 12)
    loud = np.interp(np.arange(-8, FRAMES + 8) / 2, np.arange(-5, len(knots) - 5), knots)  # a frame each
    opening = loud[8 - lag_frames : 8 - lag_frames + FRAMES]
    rows, columns = np.mgrid[:56, :56]
    inside = ((columns - 28) / 14) ** 2 + ((rows - 28) / (2 + 14 * opening[:, None, None])) ** 2 < 1
    pictures = (rng.normal(150, 6, (FRAMES, 56, 56)) - 100 * inside).clip(0, 255).astype(np.uint8)
    volume = np.repeat(10 ** (2.5 * loud[8 : 8 + FRAMES]), 640)
    samples = (rng.standard_normal(len(volume)) * volume).clip(-32768, 32767).astype(np.int16)
    return TrainingSample(Clip(f"s/{seed}"), pictures, samples, None)


@pytest.fixture(scope="module")
def learned() -> TrainableSyncNet:
    """A tiny network that has learned twelve clips.

    With six clips and a constant learning rate it took up to two of twelve other clips for out of sync, and which ones
    depended on the processor's rounding.
    """
    torch.set_num_threads(1)
    trainable = TrainableSyncNet.from_scratch("tiny", INVENTORY, 0)
    samples = [sample(seed) for seed in range(12)]
    rng = np.random.default_rng(0)
    optimiser = torch.optim.Adam(trainable.network.parameters(), 6e-3)
    falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1, 0.02, STEPS)
    trainable.network.train()
    for _ in range(STEPS):
        losses = trainable.network(trainable.batch(samples, rng))
        losses[TOTAL].backward()
        optimiser.step()
        optimiser.zero_grad()
        falling.step()
    return trainable


def value(key: str, said: list[Evidence]) -> float:
    metric = find_metric(key)
    tallies = [metric.tally(evidence) for evidence in said]
    found = metric.value(sum(tallies[1:], tallies[0]))
    assert found is not None
    return found


def test_it_finds_the_offset_of_clips_it_has_learned_and_of_others(learned: TrainableSyncNet) -> None:
    for seeds in (range(12), range(20, 26)):
        said = learned.predict([sample(seed) for seed in seeds], CPU)
        assert value("in_sync/sound", said) == 100.0


@pytest.mark.parametrize("lag_frames", [-5, -2, 3, 5])
def test_lips_that_lag_are_seen_to_lag_by_as_much(learned: TrainableSyncNet, lag_frames: int) -> None:
    for one in learned.predict([sample(seed, lag_frames) for seed in range(30, 33)], CPU):
        assert one.number("common_offset_frames") == pytest.approx(lag_frames, abs=1)


def test_the_voice_of_another_clip_is_less_in_sync(learned: TrainableSyncNet) -> None:
    own = [sample(seed) for seed in range(40, 46)]
    others = [replace(one, samples=other.samples) for one, other in zip(own, own[1:] + own[:1], strict=True)]
    theirs, ours = learned.predict(others, CPU), learned.predict(own, CPU)
    assert value("lse_c/sound", theirs) < value("lse_c/sound", ours)
    assert value("lse_d_zero/sound", theirs) > 2 * value("lse_d_zero/sound", ours)
    assert (value("in_sync/sound", theirs), value("in_sync/sound", ours)) == (0.0, 100.0)


def test_distances_of_small_networks_are_of_the_published_ones_size(learned: TrainableSyncNet) -> None:
    """Embeddings have the length 10, so none is further than 20 from another, and two at random 14."""
    (said,) = learned.predict([sample(0)], CPU)
    assert 0 < said.number("common_lse_d") < 14.2
    assert said.array("common_mean_distance").max() < 20


def test_the_package_reads_as_in_validation(learned: TrainableSyncNet, tmp_path: Path) -> None:
    package = own_package(learned.package(), "small-whole", {}, half=False)
    write_package(package, tmp_path / "mine")
    observer = SyncNet.load(tmp_path / "mine", ("small-whole",), "cpu")
    one = sample(50)
    assert one.samples is not None
    state = observer.start_clip(one.clip, one.samples)
    for prefix, (_, lips) in state.lips.items():  # type: ignore[attr-defined]
        assert prefix == "sound"
        lips.take(as_shown(one.pictures[:7]))
        lips.take(as_shown(one.pictures[7:]))
    state.frames = FRAMES  # type: ignore[attr-defined]
    (read,) = observer.compute([state])
    (validated,) = learned.predict([one], CPU)
    assert isinstance(read, Evidence)
    assert read.to_json() == validated.to_json()


def test_a_half_precision_package_says_nearly_the_same(learned: TrainableSyncNet, tmp_path: Path) -> None:
    write_package(own_package(learned.package(), "small-whole", {}, half=True), tmp_path / "half")
    package = own_package(learned.package(), "small-whole", {}, half=True)
    other = TrainableSyncNet.from_checkpoint(package, tmp_path / "half", INVENTORY, 0)
    (full,), (half,) = learned.predict([sample(0)], CPU), other.predict([sample(0)], CPU)
    assert half.number("common_lse_d") == pytest.approx(full.number("common_lse_d"), rel=0.01)
    assert half.number("common_offset_frames") == full.number("common_offset_frames")


def test_a_batch_has_spans_of_one_length() -> None:
    trainable = TrainableSyncNet.from_scratch("tiny", INVENTORY, 0)
    samples = [sample(0), sample(1)]
    one = trainable.batch(samples, np.random.default_rng(1))
    assert one.keys() == {"pictures", "speech", "frames"}
    assert one["pictures"].shape == (2, 1, 29, 56, 56)  # one window fewer than would fit, as in scoring
    assert one["speech"].shape == (2, 25, 13, 20)


def test_clips_of_a_batch_are_cut_to_the_shortest_with_lips_and_speech_together() -> None:
    trainable = TrainableSyncNet.from_scratch("tiny", INVENTORY, 0)
    long, short = sample(0), sample(1)
    assert short.samples is not None
    steps = np.repeat(np.arange(FRAMES, dtype=np.uint8)[:, None, None], 56 * 56, axis=1).reshape(FRAMES, 56, 56)
    short = replace(short, pictures=short.pictures[:20], samples=short.samples[: 20 * 640])
    starts = set()
    for seed in range(12):
        batch = trainable.batch([replace(long, pictures=steps * 6), short], np.random.default_rng(seed))
        assert batch["pictures"].shape[2] == 19
        assert batch["speech"].shape[1] == 15
        starts.add(float(batch["speech"][0, 0, 5, 0]))
    assert len(starts) > 3  # the long one is cut elsewhere each time


@pytest.mark.parametrize("dims", [TINY, Dims(side=72, colours=3, lips=(4,) * 6, speech=(4,) * 6, embedding=8)])
def test_the_towers_of_training_and_of_inference_are_those_of_the_model(dims: Dims) -> None:
    torch.manual_seed(0)
    model = SyncNetModel(dims).eval().requires_grad_(False)
    shape = (9, dims.side, dims.side, 3) if dims.colours == 3 else (9, dims.side, dims.side)
    shot = torch.randint(0, 256, shape, dtype=torch.uint8) if dims.colours == 3 else torch.rand(shape)
    row = shot.float().view(9, dims.side, dims.side, dims.colours).movedim(-1, 0)  # (colours, 9, side, side)
    windows = row.unfold(1, 5, 1).permute(1, 0, 4, 2, 3)  # (5, colours, 5, side, side)
    expected = model.forward_lip(windows)
    torch.testing.assert_close(embed_lips(model, row[None])[0], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(FastSyncNet(model).lips(shot), expected, rtol=1e-4, atol=1e-5)
    speech = torch.rand(3, 13, 20)
    torch.testing.assert_close(embed_speech(model, speech), model.forward_aud(speech[:, None]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(FastSyncNet(model).speech(speech), model.forward_aud(speech[:, None]))


def test_sizes_and_views_fit() -> None:
    for size, dims in SIZES.items():
        for frame_size in ((160, 160), (360, 288), None):
            view = TrainableSyncNet.view_for(size, frame_size)
            assert shown(view) == (dims.side, dims.colours)
    assert TrainableSyncNet.view_for("small", (160, 160)) == "small-whole"
    assert TrainableSyncNet.view_for("small", (360, 288)) == "small-face-framed"
    assert TrainableSyncNet.view_for("published", (160, 160)) == "sound"
    small = SyncNetModel(SIZES["small"])
    assert 0.7e6 < sum(parameter.numel() for parameter in small.parameters()) < 1.2e6


def test_small_views_show_the_mouth_in_grey() -> None:
    for name in ("small-whole", "small-face-framed"):
        assert any(isinstance(step, Grey) for step in VIEWS[name].steps)
    assert SyncNet.needs_for(("small-face-framed",), ()).framing
    assert not SyncNet.needs_for(("small-whole", "sound"), ()).boxes


def test_another_view_than_the_networks_is_refused_in_one_line(learned: TrainableSyncNet) -> None:
    with pytest.raises(TlbenchError, match="sees 56x56 grey, view 'paper' shows 224x224 coloured; choose") as one:
        SyncNetInference(FastSyncNet(learned.network.model.eval()), ("small-whole", "paper"), "cpu")
    assert "small-face-framed" in str(one.value)
    with pytest.raises(TlbenchError, match="one view of the run at a time; got small-whole, small-face-framed"):
        SyncNetInference(FastSyncNet(learned.network.model.eval()), ("small-whole", "small-face-framed"), "cpu")
    learned.network.train()


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ({"side": 20}, "leaves no pixel"),
        ({"lips": [1, 2]}, "6 layers"),
        ({"colours": 2}, "got 2"),
        ({"hidden": 0}, "above 0"),
    ],
)
def test_sizes_that_can_not_be_are_said_in_one_line(size: str | dict[str, object], said: str) -> None:
    with pytest.raises(TlbenchError, match=said) as caught:
        TrainableSyncNet.from_scratch(size, INVENTORY, 0)
    assert "\n" not in str(caught.value)


def test_a_clip_that_is_too_short_is_named() -> None:
    trainable = TrainableSyncNet.from_scratch("tiny", INVENTORY, 0)
    short = replace(sample(3), pictures=sample(3).pictures[:5])
    with pytest.raises(TlbenchError, match="clip s/3: 5 frames of video and 30 of audio"):
        trainable.batch([sample(0), short], np.random.default_rng(0))
    with pytest.raises(TlbenchError, match="clip s/3"):
        trainable.predict([short], CPU)


def test_a_package_of_another_network_is_told(learned: TrainableSyncNet, tmp_path: Path) -> None:
    package = learned.package()
    with pytest.raises(TlbenchError, match="of observer 'mvm', not 'syncnet'"):
        TrainableSyncNet.from_checkpoint(replace(package, observer="mvm"), tmp_path, INVENTORY, 0)
    with pytest.raises(TlbenchError, match="of another shape"):  # without sizes it has the published ones
        TrainableSyncNet.from_checkpoint(Package("syncnet", package.tensors), tmp_path, INVENTORY, 0)
    with pytest.raises(TlbenchError, match="of another shape"):
        TrainableSyncNet.from_checkpoint(
            replace(package, config={"dims": SIZES["small"].to_json()}), tmp_path, INVENTORY, 0
        )


def test_what_the_view_shows_is_what_was_learned_from() -> None:
    """Through the clip state: frames of 160x160 become the same pictures as a sample's."""
    import av

    from tlbench.media.views import Normalise, open_view

    noise = np.random.RandomState(0).randint(0, 256, (3, 10, 10, 3)).astype(np.uint8)
    big = [np.kron(image, np.ones((16, 16, 1), np.uint8)) for image in noise]
    native = tuple(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p") for image in big)
    view = VIEWS["small-whole"]
    assert isinstance(view.steps[-1], Normalise)
    kept = open_view(replace(view, steps=view.steps[:-1])).apply(FrameChunk(0, native))
    np.testing.assert_array_equal(as_shown(kept), open_view(view).apply(FrameChunk(0, native)))
