"""Training auto_avsr: batches, losses, masks, and overfitting two clips."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tlbench.datasets.clip import Clip
from tlbench.errors import TlbenchError
from tlbench.observers.autoavsr.train import TrainableAutoAVSR, frontend_features, units_of
from tlbench.training.trainable import LabelInventory, TrainingSample, train_pieces

TEXTS = ("blue boats", "RED CARS AGAIN")


def samples(frames: int = 20) -> list[TrainingSample]:
    made = []
    for number, text in enumerate(TEXTS):
        bars = np.where(np.arange(48) // 6 % 2, 220, 30).astype(np.uint8)  # upright in one clip, lying in the other
        picture = np.tile(bars, (48, 1)) if number else np.tile(bars[:, None], (1, 48))
        pictures = np.repeat(picture[None], frames + number, axis=0)
        labels = np.full(frames + number, number)
        made.append(TrainingSample(Clip(str(number), transcript=text), pictures, None, labels))
    return made


def trainable(labels: tuple[str, ...] = ("a", "b")) -> TrainableAutoAVSR:
    return TrainableAutoAVSR.from_scratch("tiny", LabelInventory(TEXTS, (), labels), seed=0)


def test_units_are_unk_and_the_pieces_in_upper_case() -> None:
    pieces = train_pieces([text.upper() for text in TEXTS], 100)
    units = units_of(pieces)
    assert units[0] == "<unk>"
    assert len(set(units)) == len(units)
    assert not any(unit != unit.upper() for unit in units[1:])
    with pytest.raises(TlbenchError, match="no training clip has a transcript"):
        TrainableAutoAVSR.from_scratch("tiny", LabelInventory(("", " "), (), ()), seed=0)


def test_a_batch_has_the_text_between_end_marks() -> None:
    mine = trainable()
    end = mine.network.model.end
    batch = mine.batch(samples(), np.random.default_rng(0))
    assert batch["pictures"].shape == (2, 21, 48, 48)
    assert batch["before"][:, 0].tolist() == [end, end]
    rows = [row[row != -1].tolist() for row in batch["after"]]
    assert all(row[-1] == end and end not in row[:-1] for row in rows)
    assert [row[:-1] for row in rows] == [
        row[1 : len(own)].tolist() for row, own in zip(batch["before"], rows, strict=True)
    ]
    assert batch["labels"][0, -1] == -1
    losses = {name: loss.detach() for name, loss in mine.network(batch).items()}
    assert float(losses["loss"]) == pytest.approx(
        float(0.1 * losses["ctc"] + 0.9 * losses["attention"] + losses["labels"]), rel=1e-6
    )
    assert "labels" not in trainable(()).network(trainable(()).batch(samples(), np.random.default_rng(0)))


def test_the_features_of_training_are_the_front_ends() -> None:
    """In evaluation, where batch normalisation does not depend on the batch."""
    frontend = trainable().network.model.frontend.eval()
    pictures = torch.randn(2, 9, 48, 48, generator=torch.Generator().manual_seed(0))
    pictures[1, 6:] = 0
    ours = frontend_features(frontend, pictures, [9, 6])
    theirs = frontend(pictures[:, :, None]).detach()
    for number, features in enumerate(ours):
        torch.testing.assert_close(features, theirs[number, : len(features)], rtol=1e-4, atol=1e-5)


def test_a_clip_of_a_batch_is_encoded_as_alone() -> None:
    mine = trainable()
    model = mine.network.model.eval()
    pictures = torch.randn(2, 12, 1, 48, 48, generator=torch.Generator().manual_seed(1))
    pictures[1, 7:] = 0
    together, _ = model.encode(pictures, torch.tensor([12, 7]), apart=True)
    alone, _ = model.encode(pictures[1:, :7], torch.tensor([7]), apart=True)
    torch.testing.assert_close(together[1:, :7], alone, rtol=1e-4, atol=1e-5)


def test_a_text_longer_than_its_clip_adds_nothing_to_ctc() -> None:
    mine = trainable()
    short = [TrainingSample(one.clip, one.pictures[:1], None, None) for one in samples()]
    with torch.no_grad():
        losses = mine.network(mine.batch(short, np.random.default_rng(0)))
    assert float(losses["ctc"]) == 0
    assert torch.isfinite(losses["loss"])


def test_too_long_a_clip_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlbench.observers.autoavsr.train.POSITIONS", 20)
    with pytest.raises(TlbenchError, match="clip 0: 20 frames, auto_avsr reads at most 19; cut it into utterances"):
        trainable().batch(samples(), np.random.default_rng(0))


def test_it_overfits_two_clips() -> None:
    mine = trainable()
    optimiser = torch.optim.AdamW(mine.network.parameters(), lr=3e-3)
    mine.network.train()
    for step in range(100):
        optimiser.zero_grad()
        mine.network(mine.batch(samples(), np.random.default_rng(step)))["loss"].backward()
        optimiser.step()
    said = mine.predict(samples(), torch.device("cpu"))
    assert [evidence.values["hypothesis"] for evidence in said] == [text.upper() for text in TEXTS]
    assert [evidence.values["reference_spelled"] for evidence in said] == [text.upper() for text in TEXTS]
    assert mine.network.training
