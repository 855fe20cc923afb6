"""Training MVM: batches, losses, memories, overfitting two clips, and the observer with the trained package."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tlbench.checkpoints.package import own_package, write_package
from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.video_reader import FrameChunk
from tlbench.metrics.catalogue import find_metric
from tlbench.observers.mvm.mel import mel_spectrogram
from tlbench.observers.mvm.model import FRAMES, MVMModel
from tlbench.observers.mvm.observer import MVM
from tlbench.observers.mvm.train import SIZES, TrainableMVM, address, classify, frontend_features
from tlbench.observers.mvm.view import MEAN, STD, VIEWS
from tlbench.observing.evidence import Evidence
from tlbench.observing.lip_reader import shown_side
from tlbench.observing.observer import ClipChunk
from tlbench.training.augment import normalise
from tlbench.training.trainable import NO_LABEL, TOTAL, LabelInventory, TrainingSample

WORDS = ("BLUE", "GREEN", "RED", "WHITE")
INVENTORY = LabelInventory((), WORDS, tuple("ABCDEFGH"))
CPU = torch.device("cpu")
SIDE = 48


def sample(word: str, seed: int, frames: int = FRAMES) -> TrainingSample:
    """Horizontal or vertical stripes that move a little, and a tone, others for each word."""
    rng = np.random.default_rng(seed)
    waves = np.sin(np.arange(SIDE) / (1.5 + WORDS.index(word) // 2 if word in WORDS else 1) + rng.random((frames, 1)))
    lying = np.broadcast_to(waves[:, :, None], (frames, SIDE, SIDE))
    pictures = (128 + 100 * (lying if word in WORDS[::2] else lying.transpose(0, 2, 1))).astype(np.uint8)
    seconds = np.arange(frames * 640) / 16000
    samples = (5000 * np.sin(2 * np.pi * (300 + 400 * len(word)) * seconds)).astype(np.int16)
    return TrainingSample(Clip(f"s/{seed}", word=word), pictures, samples, np.arange(frames) // 4 % 8)


SAMPLES = [sample("RED", 0), sample("GREEN", 1)]


@pytest.fixture(scope="module")
def learned() -> TrainableMVM:
    """A tiny network that is overfitted to two clips."""
    torch.set_num_threads(1)
    trainable = TrainableMVM.from_scratch("tiny", INVENTORY, 0)
    rng = np.random.default_rng(0)
    optimiser = torch.optim.Adam(trainable.network.parameters(), 5e-3)
    trainable.network.train()
    for _ in range(20):
        losses = trainable.network(trainable.batch(SAMPLES, rng))
        losses[TOTAL].backward()
        optimiser.step()
        optimiser.zero_grad()
    return trainable


def test_it_names_the_words_it_has_learned(learned: TrainableMVM) -> None:
    metric = find_metric(TrainableMVM.metric)
    said = learned.predict(SAMPLES, CPU)
    tallies = [metric.tally(evidence) for evidence in said]
    assert metric.value(tallies[0] + tallies[1]) == 100.0
    assert [evidence.values["predicted"] for evidence in said] == ["RED", "GREEN"]
    assert all(sorted(evidence.values["top5"]) == sorted(WORDS) for evidence in said)  # type: ignore[arg-type]


def test_steps_lower_every_loss(learned: TrainableMVM) -> None:
    batch = learned.batch(SAMPLES, np.random.default_rng(1))
    fresh = TrainableMVM.from_scratch("tiny", INVENTORY, 0)
    before, after = fresh.network(batch), learned.network(batch)
    for name in (TOTAL, "word", "word_by_sound", "rebuilding", "crowding", "heard"):
        assert float(after[name].detach()) < 0.9 * float(before[name].detach()), name
    assert float(after["word_accuracy"]) == 1.0


def test_every_weight_learns() -> None:
    """The audio front end and the memories too; only audio features change a memory's values."""
    trainable = TrainableMVM.from_scratch("tiny", INVENTORY, 0)
    losses = trainable.network(trainable.batch(SAMPLES, np.random.default_rng(0)))
    losses["word"].backward(retain_graph=True)
    model = trainable.network.model
    assert model.mem.value.grad is None
    assert model.mem.key.grad is not None
    losses[TOTAL].backward()
    assert [name for name, parameter in trainable.network.named_parameters() if parameter.grad is None] == []


def test_a_memory_finds_what_was_put_into_it() -> None:
    """Four sounds, four slots that hold them: nothing is left to rebuild, and orthogonal slots do not crowd."""
    memory = MVMModel(replace(SIZES["tiny"], features=8, slots=4)).mem
    sounds = torch.eye(8)[:4]
    with torch.no_grad():
        memory.value.copy_(3 * sounds)
        memory.v_embd.weight.copy_(torch.eye(8))
        memory.v_embd.bias.zero_()
        found = address(memory, sounds[None])
    torch.testing.assert_close(found.values[0], 3 * sounds, atol=1e-4, rtol=0)
    assert float(found.rebuilding) == pytest.approx(0, abs=1e-4)
    assert float(found.crowding) == pytest.approx(0, abs=1e-6)
    with torch.no_grad():
        memory.value.copy_(sounds[:1].expand(4, 8))
        assert float(address(memory, sounds[None]).crowding) == pytest.approx(6)  # half of 4 x 3 pairs


def test_the_package_reads_as_in_validation(learned: TrainableMVM, tmp_path: Path) -> None:
    write_package(own_package(learned.package(), VIEWS["small-mouth"].id, {}, half=False), tmp_path / "mine")
    observer = MVM.load(tmp_path / "mine", ("small-mouth",), "cpu")
    state = observer.start_clip(Clip("a", word="WHITE"), None)
    state.update(ClipChunk(_frames(20)))  # shorter than 29
    (read,) = observer.compute([state])
    crops = state.crops  # type: ignore[attr-defined]
    assert crops.shape == (FRAMES, SIDE, SIDE)
    levels = normalise(np.arange(256, dtype=np.uint8), MEAN, STD)
    pictures = np.abs(crops[:20, ..., None] - levels).argmin(-1).astype(np.uint8)
    np.testing.assert_array_equal(normalise(pictures, MEAN, STD), crops[:20])
    one = TrainingSample(Clip("a", word="WHITE"), pictures, np.zeros(0, np.int16), None)
    (said,) = learned.predict([one], CPU)
    assert isinstance(read, Evidence)
    assert read.to_json() == said.to_json()
    assert set(said.values["top5"]) == set(WORDS)  # type: ignore[arg-type]


def test_a_package_knows_its_own_words_alone(learned: TrainableMVM, tmp_path: Path) -> None:
    write_package(learned.package(), tmp_path / "mine")
    observer = MVM.load(tmp_path / "mine", ("small-mouth",), "cpu")
    with pytest.raises(ClipError, match="'ABOUT' is none of the 4 words that this MVM was trained on"):
        observer.start_clip(Clip("a", word="ABOUT"), None)
    with pytest.raises(ClipError, match="did you mean WHITE"):
        observer.start_clip(Clip("a", word="white"), None)


def test_what_is_trained_is_the_model(learned: TrainableMVM) -> None:
    """The front end in another order of sums, the rest in another order of layers."""
    model = learned.network.model.eval()
    pictures = torch.from_numpy(np.stack([normalise(one.pictures, MEAN, STD) for one in SAMPLES]))
    with torch.no_grad():
        seen, theirs = frontend_features(model.v_front, pictures), model.v_front(pictures[:, None])
        logits, expected = classify(model, seen, None), model(pictures[:, None])
    learned.network.train()
    torch.testing.assert_close(seen, theirs, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


def test_a_batch_has_padded_clips() -> None:
    trainable = TrainableMVM.from_scratch("tiny", INVENTORY, 0)
    samples = [SAMPLES[0], sample("WHITE", 2, frames=17)]
    one = trainable.batch(samples, np.random.default_rng(1))
    assert one["pictures"].shape == (2, FRAMES, SIDE, SIDE)
    assert one["spectrum"].shape == (2, 1, 80, 4 * FRAMES)
    assert one["word"].tolist() == [2, 3]
    assert (one["pictures"][1, 17:] == 0).all()
    assert (one["labels"][1, 17:] == NO_LABEL).all()


def test_without_times_there_is_nothing_to_name() -> None:
    trainable = TrainableMVM.from_scratch("tiny", replace(INVENTORY, labels=()), 0)
    batch = trainable.batch([replace(one, labels=None) for one in SAMPLES], np.random.default_rng(0))
    assert "labels" not in batch
    assert "labels" not in trainable.network(batch)


def test_the_spectrum_shows_a_tone_in_its_band_when_it_sounds() -> None:
    seconds = np.arange(FRAMES * 640) / 16000
    tone = np.where(seconds > 0.58, 8000 * np.sin(2 * np.pi * 1000 * seconds), 0)
    heard = mel_spectrogram((tone + np.random.default_rng(0).normal(0, 5, len(tone))).astype(np.int16), FRAMES)
    assert heard.shape == (80, 116)
    assert heard.dtype == np.float32
    np.testing.assert_allclose(heard.mean(1), 0, atol=0.1)  # over 117 steps it is 0
    mels = 2595 * np.log10(1 + np.array([1000, 8000]) / 700)
    band = round(81 * mels[0] / mels[1]) - 1
    assert heard[band, 62:].min() > 0.5 > -0.5 > heard[band, :56].max()
    assert np.abs(heard[band, 62:] - heard[band, :50].mean()).mean() > 1.5


def test_the_spectrum_of_a_short_sound_is_filled_up() -> None:
    noise = np.random.default_rng(0).integers(-9000, 9000, 16000).astype(np.int16)
    assert (mel_spectrogram(noise, FRAMES)[:, 101:] == 0).all()
    assert (mel_spectrogram(noise[:150], FRAMES) == 0).all()
    assert mel_spectrogram(np.tile(noise, 3), FRAMES).shape == (80, 116)


def test_sizes_and_views_fit() -> None:
    for size, dims in SIZES.items():
        for frame_size in ((160, 160), (256, 256), (360, 288), None):
            assert shown_side(VIEWS[TrainableMVM.view_for(size, frame_size)]) == dims.side
    assert TrainableMVM.view_for("small", (160, 160)) == "small-mouth"
    assert TrainableMVM.view_for("published", (256, 256)) == "lrw"
    with torch.device("meta"):
        small = MVMModel(SIZES["small"])
    assert 1.0e6 < sum(parameter.numel() for parameter in small.parameters()) < 1.5e6


def test_names_are_the_published_ones_in_every_size() -> None:
    with torch.device("meta"):
        published, small = MVMModel(), MVMModel(SIZES["small"])
    assert list(small.state_dict()) == list(published.state_dict())


@pytest.mark.slow
def test_the_published_size_takes_a_step() -> None:
    trainable = TrainableMVM.from_scratch("published", INVENTORY, 0)
    samples = [replace(one, pictures=np.zeros((FRAMES, 112, 112), np.uint8)) for one in SAMPLES]
    losses = trainable.network(trainable.batch(samples, np.random.default_rng(0)))
    losses[TOTAL].backward()
    assert torch.isfinite(losses[TOTAL])
    assert trainable.network.model.mem.dropout.p == 0.5  # as published
    assert not any(parameter.grad is None for parameter in trainable.network.parameters())


def test_another_view_than_the_networks_is_refused_in_one_line(learned: TrainableMVM, tmp_path: Path) -> None:
    write_package(learned.package(), tmp_path / "mine")
    with pytest.raises(TlbenchError, match=r"pictures of 48 pixels, view mvm-lrw@1 shows 112; choose") as one:
        MVM.load(tmp_path / "mine", ("lrw",), "cpu")
    assert "--view mvm=small-mouth or small-face-framed" in str(one.value)


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ({"features": 30, "heads": 4}, "divisible by the 4 heads"),
        ({"slots": 0}, "above 0"),
    ],
)
def test_sizes_that_can_not_be_are_said_in_one_line(size: str | dict[str, object], said: str) -> None:
    with pytest.raises(TlbenchError, match=said) as caught:
        TrainableMVM.from_scratch(size, INVENTORY, 0)
    assert "\n" not in str(caught.value)


def test_clips_that_can_not_be_learned_are_named() -> None:
    trainable = TrainableMVM.from_scratch("tiny", INVENTORY, 0)
    rng = np.random.default_rng(0)
    with pytest.raises(TlbenchError, match="clip s/9: 30 frames, MVM reads at most 29"):
        trainable.batch([sample("RED", 9, frames=30)], rng)
    with pytest.raises(TlbenchError, match="clip s/9: 'PINK' is none of the 4 words"):
        trainable.batch([sample("PINK", 9)], rng)
    with pytest.raises(TlbenchError, match="clip s/9: no word label"):
        trainable.predict([replace(sample("RED", 9), clip=Clip("s/9"))], CPU)
    with pytest.raises(TlbenchError, match="0 different words"):
        TrainableMVM.from_scratch("tiny", LabelInventory(("TEXT",), (), ()), 0)


def test_a_package_of_another_network_is_told(learned: TrainableMVM, tmp_path: Path) -> None:
    package = learned.package()
    with pytest.raises(TlbenchError, match="of observer 'conformer', not 'mvm'"):
        TrainableMVM.from_checkpoint(replace(package, observer="conformer"), tmp_path, INVENTORY, 0)
    for words, said in ((["A", "B"], "2 words for 4 outputs"), (["A"] * 4, "1 words for 4"), ("ABCD", "can't be read")):
        with pytest.raises(TlbenchError, match=said):
            TrainableMVM.from_checkpoint(
                replace(package, config={**package.config, "words": words}), tmp_path, INVENTORY, 0
            )
    with pytest.raises(TlbenchError, match="its 4 words lack 1 words of the data set, such as 'PINK'"):
        TrainableMVM.from_checkpoint(package, tmp_path, replace(INVENTORY, words=(*WORDS, "PINK")), 0)
    fewer = TrainableMVM.from_checkpoint(package, tmp_path, replace(INVENTORY, words=WORDS[:2]), 0)
    assert fewer.package().config["words"] == list(WORDS)


def _frames(count: int) -> FrameChunk:
    import av

    noise = np.random.RandomState(0).randint(0, 256, (count, 10, 10, 3)).astype(np.uint8)
    big = [np.kron(image, np.ones((16, 16, 1), np.uint8)) for image in noise]
    return FrameChunk(
        0, tuple(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p") for image in big)
    )
