"""MVM on sentences: one prediction for each word, from the frames around it; its training and its errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from tests.factories.observer_weights import formula_weights
from tlbench.checkpoints.package import own_package, write_package
from tlbench.datasets.clip import Clip, Span
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.video_reader import FrameChunk
from tlbench.metrics.catalogue import find_metric
from tlbench.observers.mvm.aligned.inference import SentenceState
from tlbench.observers.mvm.aligned.observer import AlignedMVM
from tlbench.observers.mvm.aligned.train import TrainableAlignedMVM
from tlbench.observers.mvm.model import FRAMES
from tlbench.observers.mvm.observer import MVM
from tlbench.observers.mvm.view import MEAN, STD, VIEWS
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk
from tlbench.training.augment import normalise
from tlbench.training.trainable import NO_LABEL, TOTAL, LabelInventory, TrainingSample

SIDE = 48
CPU = torch.device("cpu")
TIMES = (Span(0.1, 0.5, "bin"), Span(0.5, 1.5, "Blue"), Span(1.9, 2.1, "BIN"))  # middles: frames 7, 25 and 50
CLIP = Clip("s1/a", transcript="bin blue bin", word_times=TIMES)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return formula_weights("mvm-aligned", tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def observer(package: Path) -> AlignedMVM:
    torch.set_num_threads(1)
    return AlignedMVM.load(package, ("small-mouth",), "cpu")


def video(frames: int, seed: int = 0) -> FrameChunk:
    noise = np.random.RandomState(seed).randint(0, 256, (frames, 20, 20, 3)).astype(np.uint8)
    large = [np.kron(image, np.ones((8, 8, 1), np.uint8)) for image in noise]
    return FrameChunk(0, tuple(av.VideoFrame.from_ndarray(image, format="rgb24") for image in large))


def watched(observer: AlignedMVM, frames: FrameChunk, clip: Clip = CLIP, run: int = 32) -> SentenceState:
    state = observer.start_clip(clip, None)
    for start in range(0, len(frames), run):
        state.update(ClipChunk(FrameChunk(start, frames.native[start : start + run])))
    state.update(ClipChunk())
    assert isinstance(state, SentenceState)
    return state


def test_each_word_is_read_as_the_word_clip_around_it(observer: AlignedMVM, package: Path, tmp_path: Path) -> None:
    """The same network as MVM, given the 29 frames as a clip of their own."""
    frames = video(75)
    (said,) = observer.compute([watched(observer, frames)])
    assert isinstance(said, Evidence)
    assert said.observer == "mvm-aligned"
    assert said.values["words"] == ["BIN", "BLUE", "BIN"]
    renamed = (package / "package.json").read_text().replace('"mvm-aligned"', '"mvm"')
    mine = tmp_path / "mvm"
    mine.mkdir()
    (mine / "package.json").write_text(renamed)
    (mine / "weights.safetensors").write_bytes((package / "weights.safetensors").read_bytes())
    words = MVM.load(mine, ("small-mouth",), "cpu")
    for place, word, first in ((1, "BLUE", 11), (2, "BIN", 36)):  # a clip of MVM's can only be filled up at its end
        state = words.start_clip(Clip("w", word=word), None)
        state.update(ClipChunk(FrameChunk(0, frames.native[first : first + FRAMES])))
        (one,) = words.compute([state])
        assert isinstance(one, Evidence)
        for name, both in (("predicted", "predicted"), ("predicted_plain", "predicted_plain")):
            assert said.values[both][place] == one.values[name]  # type: ignore[index]
        assert said.array("ranks")[place] == one.values["rank"]
        assert said.array("ranks_plain")[place] == one.values["rank_plain"]


def test_windows_are_zero_where_the_video_has_no_frame(observer: AlignedMVM) -> None:
    whole, short = watched(observer, video(75)).windows, watched(observer, video(45)).windows
    assert [window.shape for window in whole] == [(FRAMES, SIDE, SIDE)] * 3
    assert not whole[0][:7].any()
    assert whole[0][7:].any(axis=(1, 2)).all()
    np.testing.assert_array_equal(whole[0], short[0])
    np.testing.assert_array_equal(whole[2][:9], short[2][:9])  # frames 36 to 44
    assert not short[2][9:].any()
    (said,) = observer.compute([watched(observer, video(30))])  # ends before the last word's window
    assert isinstance(said, Evidence)
    assert len(said.array("ranks")) == 3
    tally = find_metric("acc_aligned/sound").tally(said)
    assert tally.denominator == 3


def test_a_clip_says_the_same_among_others_and_in_other_chunks(observer: AlignedMVM) -> None:
    frames = video(75)
    (alone,) = observer.compute([watched(observer, frames)])
    other = observer.start_clip(Clip("s1/b", transcript="blue", word_times=TIMES[1:2]), None)
    nothing, again = observer.compute([other, watched(observer, frames, run=7)])
    assert isinstance(nothing, ClipError)
    assert nothing.code == "no-frames"
    assert isinstance(alone, Evidence)
    assert isinstance(again, Evidence)
    assert alone.to_json() == again.to_json()


@pytest.mark.parametrize(
    ("clip", "code", "message"),
    [
        (Clip("s1/a", transcript="bin blue"), "no-word-times", "the times of its words are not known"),
        (replace(CLIP, transcript="bin blue now"), "no-word-times", "its word times are of 'BIN BLUE BIN'"),
        (
            Clip("s1/a", transcript="pink", word_times=(Span(0, 1, "pink"),)),
            "unknown-word",
            "'PINK' is none of the 51 words that this MVM was trained on; leave acc_aligned out",
        ),
    ],
)
def test_a_clip_that_can_not_be_read_is_one_line(observer: AlignedMVM, clip: Clip, code: str, message: str) -> None:
    with pytest.raises(ClipError, match=message) as caught:
        observer.start_clip(clip, None)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)


def test_a_package_of_word_clips_is_refused(package: Path) -> None:
    with pytest.raises(TlbenchError, match="is of observer 'mvm-aligned', not 'mvm'"):
        MVM.load(package, ("small-mouth",), "cpu")


WORDS = ("BIN", "BLUE", "NOW", "RED")
INVENTORY = LabelInventory((), WORDS, ("bin", "blue", "now", "red", "sil"))


def sample(words: str, seed: int, frames: int = 60) -> TrainingSample:
    """Stripes of another width and direction, and another tone, for each word; a word each 0.4 s."""
    rng = np.random.default_rng(seed)
    said = words.split()
    times = tuple(Span(0.4 * place + 0.1, 0.4 * place + 0.4, word) for place, word in enumerate(said))
    numbers = np.array([WORDS.index(said[min(frame // 10, len(said) - 1)].upper()) for frame in range(frames)])
    rows = np.sin(np.arange(SIDE) / (1.5 + numbers[:, None] // 2) + rng.random((frames, 1)))
    lying = np.broadcast_to(rows[:, :, None], (frames, SIDE, SIDE))
    pictures = np.where((numbers % 2 == 0)[:, None, None], lying, lying.transpose(0, 2, 1))
    hertz = np.repeat(300 + 400 * numbers, 640)
    samples = (5000 * np.sin(2 * np.pi * hertz * np.arange(frames * 640) / 16000)).astype(np.int16)
    clip = Clip(f"s/{seed}", transcript=words, word_times=times)
    return TrainingSample(clip, (128 + 100 * pictures).astype(np.uint8), samples, numbers.astype(np.int64))


SAMPLES = [sample("red blue", 0), sample("now bin blue", 1)]


@pytest.fixture(scope="module")
def learned() -> TrainableAlignedMVM:
    """A tiny network after a few steps on five words."""
    torch.set_num_threads(1)
    trainable = TrainableAlignedMVM.from_scratch("tiny", INVENTORY, 0)
    rng = np.random.default_rng(0)
    optimiser = torch.optim.Adam(trainable.network.parameters(), 5e-3)
    trainable.network.train()
    for _ in range(15):
        losses = trainable.network(trainable.batch(SAMPLES, rng))
        losses[TOTAL].backward()
        optimiser.step()
        optimiser.zero_grad()
    return trainable


def test_steps_lower_the_loss_and_reach_every_weight(learned: TrainableAlignedMVM) -> None:
    batch = learned.batch(SAMPLES, np.random.default_rng(1))
    fresh = TrainableAlignedMVM.from_scratch("tiny", INVENTORY, 0)
    before, after = fresh.network(batch), learned.network(batch)
    assert float(after[TOTAL].detach()) < 0.95 * float(before[TOTAL].detach())
    before[TOTAL].backward()
    assert [name for name, parameter in fresh.network.named_parameters() if parameter.grad is None] == []


def test_its_metric_counts_every_word(learned: TrainableAlignedMVM) -> None:
    metric = find_metric(TrainableAlignedMVM.metric)
    said = learned.predict(SAMPLES, CPU)
    assert [one.values["words"] for one in said] == [["RED", "BLUE"], ["NOW", "BIN", "BLUE"]]
    assert [metric.tally(one).denominator for one in said] == [2, 3]


def test_a_batch_has_the_window_of_each_word() -> None:
    trainable = TrainableAlignedMVM.from_scratch("tiny", INVENTORY, 0)
    batch = trainable.batch([SAMPLES[0], sample("blue", 2, frames=20)], np.random.default_rng(1))
    pictures, windows = batch["pictures"], batch["windows"]
    assert windows.shape == (3, FRAMES)
    assert batch["spectrum"].shape == (3, 1, 80, 4 * FRAMES)
    assert batch["word"].tolist() == [3, 1, 1]
    assert batch["frames"].tolist() == [60, 20]
    assert (windows.diff(dim=1) == 1).all()
    assert windows.min() >= 0
    assert windows.max() < pictures.shape[0] * pictures.shape[1]
    shown = pictures.flatten(0, 1)[windows].flatten(2).abs().sum(-1).ne(0)  # (3, 29): a frame of the video
    assert torch.equal(shown, batch["labels"].ne(NO_LABEL))
    middle = FRAMES // 2
    assert batch["labels"][:, middle].tolist() == [3, 1, 1]
    trainable.batch([sample("blue", 2, frames=9)], np.random.default_rng(1))  # the video ends in the window


def test_the_front_end_sees_in_a_sentence_what_it_sees_in_a_window(learned: TrainableAlignedMVM) -> None:
    """Except for two frames at each end of a window, whose neighbours are cut off in inference."""
    from tlbench.observers.mvm.train import frontend_features

    front = learned.network.model.v_front.eval()
    pictures = torch.from_numpy(normalise(SAMPLES[0].pictures, MEAN, STD))[None]
    with torch.no_grad():
        whole = frontend_features(front, pictures)[:, 20 : 20 + FRAMES]
        window = frontend_features(front, pictures[:, 20 : 20 + FRAMES])
    learned.network.train()
    torch.testing.assert_close(whole[:, 2:-2], window[:, 2:-2], rtol=1e-4, atol=1e-4)
    assert (whole[:, 0] - window[:, 0]).abs().max() > 1e-3


def test_the_package_reads_as_in_validation(learned: TrainableAlignedMVM, tmp_path: Path) -> None:
    write_package(own_package(learned.package(), VIEWS["small-mouth"].id, {}, half=False), tmp_path / "mine")
    observer = AlignedMVM.load(tmp_path / "mine", ("small-mouth",), "cpu")
    clip = Clip("a", transcript="red now", word_times=(Span(0.1, 0.3, "red"), Span(0.5, 0.9, "now")))
    state = observer.start_clip(clip, None)
    state.update(ClipChunk(video(35)))
    (read,) = observer.compute([state])
    crops = state._crops.all("a")  # type: ignore[attr-defined]
    levels = normalise(np.arange(256, dtype=np.uint8), MEAN, STD)
    pictures = np.abs(crops[..., None] - levels).argmin(-1).astype(np.uint8)
    (said,) = learned.predict([TrainingSample(clip, pictures, None, None)], CPU)
    assert isinstance(read, Evidence)
    assert read.to_json() == said.to_json()


def test_sentences_that_can_not_be_learned_are_named(learned: TrainableAlignedMVM) -> None:
    strange = Clip("s/9", transcript="pink", word_times=(Span(0.1, 0.4, "pink"),))
    with pytest.raises(TlbenchError, match="clip s/9: 'PINK' is none of the 4 words"):
        learned.predict([replace(SAMPLES[0], clip=strange)], CPU)
    with pytest.raises(TlbenchError, match="clip s/9: the times of its words are not known"):
        learned.predict([replace(SAMPLES[0], clip=Clip("s/9", transcript="red"))], CPU)
