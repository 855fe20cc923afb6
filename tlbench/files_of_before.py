"""Names in files that were written before the names were changed, and what they are called now.

``settings.json`` of a training is read under the names of :data:`SETTINGS`. Everything else uses the names of today.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

# In settings.json of a training: a setting before -> now. A dot leads into an object.
SETTINGS = {
    "recipe.variant": "loss.variant",
    "recipe.lip": "loss.lip_weight",
    "recipe.contrast": "loss.contrast_weight",
    "recipe.gan": "loss.gan_weight",
    "recipe.gan_form": "loss.gan_form",
    "recipe.mouth": "loss.mouth_weight",
    "recipe.learning_rate": "optim.learning_rate",
    "recipe.judge_rate": "optim.discriminator_lr",
    "recipe.momentum": "optim.adam_beta1",
    "recipe.warmup": "optim.warmup_steps",
    "recipe.fade": "optim.lr_decay_fraction",
    "recipe.settled_from": "optim.freeze_bn_from",
    "recipe.copies": "init",
    "begun_from": "init_from",
    "judged_clips": "val_clips",
    "masking.share": "masking.probability",
    "masking.run": "masking.length",
}
# Values that have changed with the name: setting now -> value before -> value now.
VALUES: dict[str, dict[Any, Any]] = {"init": {False: "random", True: "copy"}}


def settings_now(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a training under the names of today; settings that already have them are unchanged."""
    now = deepcopy(dict(settings))
    for before, name in SETTINGS.items():
        *folders, key = before.split(".")
        source = _object_at(now, folders)
        if source is None or key not in source:
            continue
        value = source.pop(key)
        *folders, key = name.split(".")
        target = now
        for folder in folders:
            target = target.setdefault(folder, {})
        target[key] = VALUES[name].get(value, value) if name in VALUES else value
    if now.get("recipe") == {}:
        del now["recipe"]
    return now


def _object_at(settings: Any, folders: list[str]) -> dict[str, Any] | None:
    for folder in folders:
        settings = settings.get(folder) if isinstance(settings, dict) else None
    return settings if isinstance(settings, dict) else None
