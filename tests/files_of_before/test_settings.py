"""Settings of trainings that were written before their names were changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tlbench.errors import TlbenchError
from tlbench.files_of_before import SETTINGS, settings_now
from tlbench.training.run_folder import claim

BEFORE = json.loads(Path(__file__).with_name("reference_settings.json").read_text("utf-8"))


def test_settings_get_the_names_of_today() -> None:
    now = settings_now(BEFORE)
    assert now["loss"] == {
        "variant": "base-no-lip-gan",
        "lip_weight": 0.0,
        "contrast_weight": 0.0,
        "gan_weight": 0.0,
        "gan_form": "code",
        "mouth_weight": 8.0,
    }
    assert now["optim"] == {
        "learning_rate": 4e-4,
        "discriminator_lr": 2e-4,
        "adam_beta1": 0.9,
        "warmup_steps": 3,
        "lr_decay_fraction": 0.3,
        "freeze_bn_from": 1,
    }
    assert (now["init"], now["init_from"], now["val_clips"]) == ("random", None, 0)
    assert now["masking"] == {"probability": 0.02, "length": 2}
    assert not {name.partition(".")[0] for name in SETTINGS} & now.keys() - {"masking"}
    assert (now["seed"], now["size"], now["precision"]) == (BEFORE["seed"], BEFORE["size"], BEFORE["precision"])


def test_settings_of_today_are_unchanged() -> None:
    now = settings_now(BEFORE)
    assert settings_now(now) == now
    assert settings_now({"init": "copy", "masking": {"length": 3}}) == {"init": "copy", "masking": {"length": 3}}


def test_a_generator_that_was_initialised_as_a_copy_still_is() -> None:
    assert settings_now({"recipe": {"copies": True}}) == {"init": "copy"}


def test_a_folder_with_old_settings_takes_the_same_training_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(json.dumps(BEFORE))
    (tmp_path / "log.jsonl").write_text("{}\n")  # steps were done
    now = settings_now(BEFORE)
    other = {**now, "optim": {**now["optim"], "discriminator_lr": 1e-3}}
    with pytest.raises(TlbenchError, match=r"optim\.discriminator_lr 0\.0002, not 0\.001"):
        claim(tmp_path, other, frozenset())
    claim(tmp_path, now, frozenset())
    assert json.loads((tmp_path / "settings.json").read_text()) == now
