"""Training AV-HuBERT: batches, losses, and overfitting two clips."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tlbench.datasets.clip import Clip
from tlbench.errors import TlbenchError
from tlbench.observers.avhubert.train import TrainableAVHubert, symbols_of
from tlbench.training.trainable import LabelInventory, TrainingSample, train_pieces

TEXTS = ("BLUE BOATS", "RED CARS AGAIN")


def samples(frames: int = 20, labelled: bool = True) -> list[TrainingSample]:
    rng = np.random.default_rng(0)
    made = []
    for number, text in enumerate(TEXTS):
        bars = np.where(np.arange(48) // 6 % 2, 220, 30).astype(np.uint8)  # upright in one clip, lying in the other
        picture = np.tile(bars, (48, 1)) if number else np.tile(bars[:, None], (1, 48))
        pictures = np.repeat(picture[None], frames + number, axis=0)
        samples = rng.integers(-9000, 9000, 640 * frames, np.int16)
        labels = np.full(frames + number, number) if labelled else None
        made.append(TrainingSample(Clip(str(number), transcript=text), pictures, samples, labels))
    return made


def trainable(labels: tuple[str, ...] = ("a", "b")) -> TrainableAVHubert:
    return TrainableAVHubert.from_scratch("tiny", LabelInventory(TEXTS, (), labels), seed=0)


def test_batches_are_of_lips_of_speech_and_of_both() -> None:
    mine = trainable()
    kinds = set()
    for seed in range(30):
        batch = mine.batch(samples(), np.random.default_rng(seed))
        kinds.add(("video" in batch, "audio" in batch))
        if "video" in batch:
            assert batch["video"].shape == (2, 1, 21, 48, 48)
        if "audio" in batch:
            assert batch["audio"].shape == (2, 104, 21)
        assert batch["frames"].tolist() == [20, 21]
        assert batch["padding_mask"].sum() == 1  # the shorter clip's missing frame
        assert batch["labels"][0, -1] == -1
        assert torch.isfinite(mine.network(batch)["loss"])
    assert kinds == {(True, False), (False, True), (True, True)}


def test_the_loss_of_a_batch_without_labels_is_that_of_its_tokens() -> None:
    mine = trainable()
    losses = mine.network(mine.batch(samples(labelled=False), np.random.default_rng(1)))
    assert losses["labels"] == 0
    assert torch.equal(losses["loss"], losses["tokens"])
    without = trainable(labels=())
    assert "labels" not in without.network(without.batch(samples(labelled=False), np.random.default_rng(1)))


def test_it_overfits_two_clips() -> None:
    mine = trainable()
    optimiser = torch.optim.AdamW(mine.network.parameters(), lr=3e-3)
    mine.network.train()
    for step in range(120):
        optimiser.zero_grad()
        mine.network(mine.batch(samples(), np.random.default_rng(step)))["loss"].backward()
        optimiser.step()
    said = mine.predict(samples(), torch.device("cpu"))
    assert [evidence.values["hypothesis"] for evidence in said] == [text.lower() for text in TEXTS]
    assert mine.network.training


def test_a_tokenizer_is_the_same_for_the_same_texts() -> None:
    assert train_pieces(TEXTS, 100) == train_pieces(TEXTS, 100)
    assert symbols_of(train_pieces(TEXTS, 100))[:4] == ["<s>", "<pad>", "</s>", "<unk>"]
    with pytest.raises(TlbenchError, match="no training clip has a transcript"):
        train_pieces(("", " "), 100)
