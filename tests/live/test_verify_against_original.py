"""``tlbench checkpoints verify --against original``: files in the original's format, read by both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.factories.fairseq_factory import DIMS, LETTERS, fine_tuned_config, write_checkpoint
from tests.factories.observer_weights import formula_weights
from tests.golden.formula import fill
from tests.live.packages import need
from tlbench.checkpoints.catalogue import find_card
from tlbench.checkpoints.weights import Weights
from tlbench.observers.avhubert.model import AVHubert
from tlbench.observers.syncnet import inference
from tlbench.verify import OriginalDifference, original_check

need("ve-fairseq", "fairseq.sequence_generator")
need("espnet", "espnet2.asr.encoder.avhubert_encoder")
need("syncnet-python", "syncnet_python.SyncNetInstance", alone=True)


def check(name: str, path: Path) -> list[OriginalDifference]:
    found = original_check(Weights(find_card(name), path, "0" * 64), None, None)
    assert [one for one in found if not one.equal] == []
    return found


@pytest.mark.parametrize("name", ["syncnet", "conformer", "avhubert", "autoavsr"])
def test_both_read_the_made_up_clip_alike(name: str, tmp_path: Path) -> None:
    assert check(name, formula_weights(name, tmp_path))


def test_a_file_of_fairseqs_trainer_is_read_alike(tmp_path: Path) -> None:
    model = AVHubert(replace(DIMS, vocabulary=len(LETTERS)))
    fill(model.state_dict())
    path = tmp_path / "checkpoint.pt"
    write_checkpoint(path, model.state_dict(), fine_tuned_config(), LETTERS, None)
    assert [one.name for one in check("avhubert", path)] == ["hypothesis", "tokens", "score"]


def test_other_arithmetic_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = formula_weights("syncnet", tmp_path)
    read = inference.read_sync
    monkeypatch.setattr(inference, "read_sync", lambda distances: replace(read(distances), lse_c=1.0))
    found = original_check(Weights(find_card("syncnet"), path, "0" * 64), None, None)
    assert [one.name for one in found if not one.equal] == ["sound_lse_c"]
