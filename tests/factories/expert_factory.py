"""An untrained lip reader, small enough to be the expert in a test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tlbench.checkpoints.package import own_package, write_package
from tlbench.observers.avhubert.train import TrainableAVHubert
from tlbench.observers.avhubert.view import VIEWS
from tlbench.training.trainable import LabelInventory


def write_expert(folder: Path, transcripts: Sequence[str], view: str = "small-mouth") -> Path:
    """A package of a tiny AV-HuBERT whose words are those of the transcripts. Returns its folder."""
    trainable = TrainableAVHubert.from_scratch("tiny", LabelInventory(tuple(transcripts), (), ()), 0)
    write_package(own_package(trainable.package(), VIEWS[view].id, {}, half=False), folder)
    return folder
