"""An untrained lip reader, small enough to train a generator against in a test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tlbench.checkpoints.package import own_package, write_package
from tlbench.observers.avhubert.train import TrainableAVHubert
from tlbench.observers.avhubert.view import VIEWS
from tlbench.training.trainable import LabelInventory


def write_expert(folder: Path, transcripts: Sequence[str], view: str = "small-mouth") -> Path:
    """Write a package of a tiny AV-HuBERT with the words of the transcripts as its vocabulary; returns the folder."""
    trainable = TrainableAVHubert.from_scratch("tiny", LabelInventory(tuple(transcripts), (), ()), 0)
    write_package(own_package(trainable.package(), VIEWS[view].id, {}, half=False), folder)
    return folder
