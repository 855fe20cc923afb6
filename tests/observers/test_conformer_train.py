"""Training the Conformer: batches, losses, overfitting two clips, and the observer with the trained package."""

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
from tlbench.metrics.catalogue import find_metric
from tlbench.observers.conformer.fast_model import JoinedEncoder, normalise
from tlbench.observers.conformer.model import ConformerModel, pad_features
from tlbench.observers.conformer.observer import Conformer
from tlbench.observers.conformer.tokenizer import EOS, required_frames, text_of
from tlbench.observers.conformer.train import SIZES, TrainableConformer, frontend_features
from tlbench.observers.conformer.view import VIEWS
from tlbench.observing.evidence import Evidence
from tlbench.observing.lip_reader import shown_side
from tlbench.observing.observer import ClipChunk
from tlbench.training.trainable import NO_LABEL, TOTAL, LabelInventory, TrainingSample

TEXTS = ("BIN BLUE", "SET RED")
INVENTORY = LabelInventory(TEXTS, (), tuple("ABCDEFGH"))
CPU = torch.device("cpu")
SIDE = 48
STEPS = 80


def sample(text: str, seed: int, frames: int = 20) -> TrainingSample:
    """Grey blocks that change every 4 frames, others for each seed."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (-(-frames // 4), 6, 6), dtype=np.uint8).repeat(4, 0)[:frames]
    pictures = blocks.repeat(SIDE // 6, 1).repeat(SIDE // 6, 2)
    return TrainingSample(Clip(f"s/{seed}", transcript=text), pictures, None, np.arange(frames) // 4 % 8)


SAMPLES = [sample(text, seed) for seed, text in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def learned() -> TrainableConformer:
    """A tiny network that is overfitted to two clips."""
    torch.set_num_threads(1)
    trainable = TrainableConformer.from_scratch("tiny", INVENTORY, 0)
    rng = np.random.default_rng(0)
    optimiser = torch.optim.Adam(trainable.network.parameters(), 1e-2)
    # At a rate that does not fall, whether all is spelled depends on the step that is the last, and on rounding.
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.1, STEPS)
    trainable.network.train()
    for _ in range(STEPS):
        losses = trainable.network(trainable.batch(SAMPLES, rng))
        losses[TOTAL].backward()
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
    return trainable


def val_value(trainable: TrainableConformer, samples: list[TrainingSample]) -> float:
    metric = find_metric(TrainableConformer.metric)
    tallies = [metric.tally(evidence) for evidence in trainable.predict(samples, CPU)]
    value = metric.value(sum(tallies[1:], tallies[0]))
    assert value is not None
    return value


def test_it_spells_the_clips_it_has_learned(learned: TrainableConformer) -> None:
    assert val_value(learned, SAMPLES) == 0.0
    said = learned.predict(SAMPLES, CPU)
    assert [text_of(evidence.array("forced_ids").tolist()) for evidence in said] == list(TEXTS)
    assert [evidence.values["reference"] for evidence in said] == list(TEXTS)


def test_steps_lower_every_loss(learned: TrainableConformer) -> None:
    batch = learned.batch(SAMPLES, np.random.default_rng(1))
    fresh = TrainableConformer.from_scratch("tiny", INVENTORY, 0)
    before, after = fresh.network(batch), learned.network(batch)
    for name in (TOTAL, "attention", "ctc", "labels"):
        assert float(after[name].detach()) < 0.7 * float(before[name].detach()), name
    assert float(after["label_accuracy"]) > float(before["label_accuracy"])
    assert float(after["character_accuracy"]) > 0.8


def test_the_package_reads_as_in_validation(learned: TrainableConformer, tmp_path: Path) -> None:
    write_package(own_package(learned.package(), VIEWS["small-mouth"].id, {}, half=False), tmp_path / "mine")
    observer = Conformer.load(tmp_path / "mine", ("small-mouth",), "cpu")
    frames = _frames(10)
    state = observer.start_clip(Clip("a", transcript=TEXTS[0]), None)
    state.update(ClipChunk(frames))
    (read,) = observer.compute([state])
    pictures = state.crops.numpy()  # type: ignore[attr-defined]
    assert pictures.shape == (10, SIDE, SIDE)
    (said,) = learned.predict([TrainingSample(Clip("a", transcript=TEXTS[0]), pictures, None, None)], CPU)
    assert isinstance(read, Evidence)
    assert read.to_json() == said.to_json()


def test_a_half_precision_package_spells_the_same(learned: TrainableConformer, tmp_path: Path) -> None:
    package = own_package(learned.package(), VIEWS["small-mouth"].id, {}, half=True)
    other = TrainableConformer.from_checkpoint(package, tmp_path, INVENTORY, 0)
    assert val_value(other, SAMPLES) == 0.0


def test_clips_of_a_batch_are_encoded_as_each_by_itself(learned: TrainableConformer) -> None:
    """With any lengths and padding, training in batches equals inference of single clips."""
    model = learned.network.model.eval()
    crops = [torch.from_numpy(sample("A", seed, frames).pictures) for seed, frames in ((3, 9), (4, 14))]
    lengths = [12, 14]
    pictures = torch.zeros(2, 14, SIDE, SIDE)
    for row, clip in zip(pictures, crops, strict=True):
        row[: len(clip)] = normalise(clip)
    with torch.no_grad():
        features = frontend_features(model.visual_frontend, pictures, [9, 14])
        plain = model.visual_frontend(pictures, [9, 14])
        mask = (torch.arange(14) < torch.tensor(lengths)[:, None])[:, None]
        together = model.encoder(pad_features(features, lengths), mask, apart=True)
        alone = JoinedEncoder(model.encoder)(
            [pad_features([rows], [n])[0] for rows, n in zip(features, lengths, strict=True)]
        )
    learned.network.train()
    for ours, theirs in zip(features, plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    for row, length, own in zip(together, lengths, alone, strict=True):
        torch.testing.assert_close(row[:length], own, rtol=1e-4, atol=1e-5)


def test_a_batch_has_padded_clips() -> None:
    trainable = TrainableConformer.from_scratch("tiny", INVENTORY, 0)
    one = trainable.batch(SAMPLES, np.random.default_rng(1))
    assert one["before"].tolist()[1] == [EOS, *one["after"].tolist()[1][:-2], EOS]
    assert one["after"].tolist()[1][-2:] == [EOS, NO_LABEL]  # a character shorter than the other


def test_a_clip_too_short_for_its_text_gets_frames_that_count_and_have_no_label() -> None:
    trainable = TrainableConformer.from_scratch("tiny", INVENTORY, 0)
    short = sample("BIN BLUE", 5, frames=4)
    needed = required_frames(list(range(8)))
    batch = trainable.batch([short], np.random.default_rng(0))
    assert batch["frames"].tolist() == [4]
    assert batch["lengths"].tolist() == [needed]
    assert batch["labels"].tolist() == [[NO_LABEL] * 2 + [0] * 4 + [NO_LABEL] * 2]
    losses = trainable.network(batch)
    assert torch.isfinite(losses[TOTAL])


def test_some_clips_get_such_frames_although_they_need_none() -> None:
    trainable = TrainableConformer.from_scratch("tiny", INVENTORY, 0)
    lengths = [int(trainable.batch(SAMPLES[:1], np.random.default_rng(seed))["lengths"]) for seed in range(40)]
    assert min(lengths) == 20
    assert 4 <= sum(length > 20 for length in lengths) <= 20


def test_without_times_there_is_nothing_to_name() -> None:
    trainable = TrainableConformer.from_scratch("tiny", replace(INVENTORY, labels=()), 0)
    batch = trainable.batch([replace(one, labels=None) for one in SAMPLES], np.random.default_rng(0))
    assert "labels" not in batch
    assert "labels" not in trainable.network(batch)


def test_clips_without_times_may_stand_beside_others_and_alone() -> None:
    trainable = TrainableConformer.from_scratch("tiny", INVENTORY, 0)
    batch = trainable.batch([SAMPLES[0], replace(SAMPLES[1], labels=None)], np.random.default_rng(0))
    assert (batch["labels"][1] == NO_LABEL).all()
    assert float(trainable.network(batch)["labels"].detach()) > 0
    alone = trainable.network(trainable.batch([replace(SAMPLES[1], labels=None)], np.random.default_rng(0)))
    assert float(alone["labels"].detach()) == 0
    assert torch.isfinite(alone[TOTAL])


def test_sizes_and_views_fit() -> None:
    for size, dims in SIZES.items():
        for frame_size in ((160, 160), (360, 288), None):
            assert shown_side(VIEWS[TrainableConformer.view_for(size, frame_size)]) == dims.side
    assert TrainableConformer.view_for("small", (160, 160)) == "small-mouth"
    assert TrainableConformer.view_for("small", (360, 288)) == "small-face-framed"
    assert TrainableConformer.view_for("published", (160, 160)) == "lrs2-112"
    with torch.device("meta"):
        small = ConformerModel(SIZES["small"])
    assert 1.5e6 < sum(parameter.numel() for parameter in small.parameters()) < 2.1e6


def test_names_are_the_published_ones_in_every_size() -> None:
    with torch.device("meta"):
        published, small = (
            ConformerModel(),
            ConformerModel(replace(SIZES["small"], encoder_blocks=12, decoder_blocks=6)),
        )
    assert list(small.state_dict()) == list(published.state_dict())


@pytest.mark.slow
def test_the_published_size_takes_a_step() -> None:
    trainable = TrainableConformer.from_scratch("published", INVENTORY, 0)
    big = replace(SAMPLES[0], pictures=np.zeros((8, 112, 112), np.uint8), labels=None)
    losses = trainable.network(trainable.batch([big], np.random.default_rng(0)))
    losses[TOTAL].backward()
    assert torch.isfinite(losses[TOTAL])


def test_another_view_than_the_networks_is_refused_in_one_line(learned: TrainableConformer, tmp_path: Path) -> None:
    write_package(learned.package(), tmp_path / "mine")
    with pytest.raises(
        TlbenchError, match=r"pictures of 48 pixels, view conformer-lrs2-112@1 shows 112; choose"
    ) as one:
        Conformer.load(tmp_path / "mine", ("lrs2-112",), "cpu")
    assert "--view conformer=small-mouth or small-face-framed" in str(one.value)


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ({"width": 30, "heads": 4}, "divisible by the 4 heads"),
        ({"kernel": 4}, "odd number"),
        ({"hidden": 0}, "above 0"),
        ({"hidden": 1.5}, "not a whole number"),
    ],
)
def test_sizes_that_can_not_be_are_said_in_one_line(size: str | dict[str, object], said: str) -> None:
    with pytest.raises(TlbenchError, match=said) as caught:
        TrainableConformer.from_scratch(size, INVENTORY, 0)
    assert "\n" not in str(caught.value)


def test_texts_that_can_not_be_learned_are_said_with_their_clip() -> None:
    trainable = TrainableConformer.from_scratch("tiny", INVENTORY, 0)
    with pytest.raises(TlbenchError, match="clip s/9: the transcript has 'Ø'"):
        trainable.batch([sample("Ø", 9)], np.random.default_rng(0))
    with pytest.raises(TlbenchError, match="clip s/9: the transcript is empty"):
        trainable.batch([sample("", 9)], np.random.default_rng(0))
    with pytest.raises(TlbenchError, match="no training clip has a transcript"):
        TrainableConformer.from_scratch("tiny", LabelInventory((), (), ()), 0)


def test_a_package_of_another_network_is_told(learned: TrainableConformer, tmp_path: Path) -> None:
    package = learned.package()
    with pytest.raises(TlbenchError, match="of observer 'mvm', not 'conformer'"):
        TrainableConformer.from_checkpoint(replace(package, observer="mvm"), tmp_path, INVENTORY, 0)
    with pytest.raises(TlbenchError, match="its sizes can't be read"):
        TrainableConformer.from_checkpoint(replace(package, config={"dims": {"side": "48"}}), tmp_path, INVENTORY, 0)
    with pytest.raises(TlbenchError, match="of another shape"):
        TrainableConformer.from_checkpoint(
            Package("conformer", package.tensors, {"dims": SIZES["small"].to_json()}), tmp_path, INVENTORY, 0
        )


def _frames(count: int) -> FrameChunk:
    import av

    noise = np.random.RandomState(0).randint(0, 256, (count, 10, 10, 3)).astype(np.uint8)
    big = [np.kron(image, np.ones((16, 16, 1), np.uint8)) for image in noise]
    return FrameChunk(
        0, tuple(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p") for image in big)
    )
