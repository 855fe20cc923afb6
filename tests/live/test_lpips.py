"""LPIPS against the packages lpips and torchmetrics: AlexNet by formula, the channels' weights each package's own.

Those of lpips by formula too: the default tests have these values, so that they need no package.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.factories.lpips_factory import (
    BY_LPIPS_ALL_FORMULA,
    formula_channels,
    formula_channels_file,
    formula_distance,
    pairs,
)
from tests.live.packages import need, skipped_without
from tlbench.observers.lpips.checkpoint import linear_weights
from tlbench.observers.lpips.inference import PairDistance


class TorchvisionsAlexNet(nn.Module):
    """The convolutions in the order of torchvision's ``alexnet``: the packages take them from there.

    torchvision itself is left out, as its wheel has to be built for the very torch that is installed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, 4, 2),
            nn.ReLU(True),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(True),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(True),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(True),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(True),
        )


def stand_in() -> dict[str, ModuleType]:
    """A torchvision whose only model is AlexNet without weights."""
    models: Any = ModuleType("torchvision.models")
    models.alexnet = lambda **_: TorchvisionsAlexNet()
    package: Any = ModuleType("torchvision")
    package.models = models
    return {"torchvision": package, "torchvision.models": models}


def with_our_features(theirs: nn.Module, ours: PairDistance) -> None:
    """Give AlexNet's convolutions, whose keys end in the layer's number, our formula weights."""
    own = ours._model.features.state_dict()
    state = {key: own[f"features.{key.split('.', 1)[1]}"] for key in theirs.state_dict()}
    theirs.load_state_dict(state)


def package_lpips(ours: PairDistance) -> nn.Module:
    with pytest.MonkeyPatch.context() as patch:
        for name, module in stand_in().items():
            patch.setitem(sys.modules, name, module)
        lpips = need("lpips", "lpips")
        theirs: nn.Module = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    with_our_features(theirs.net, ours)
    return theirs


def package_torchmetrics(ours: PairDistance) -> nn.Module:
    module = need("torchmetrics", "torchmetrics.functional.image.lpips")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_get_tv_model_features", lambda net, pretrained: TorchvisionsAlexNet().features)
        theirs: nn.Module = module._LPIPS(net="alex", pnet_rand=True)
    with_our_features(theirs.net, ours)
    return theirs


def expected(theirs: nn.Module, one: np.ndarray, other: np.ndarray) -> float:
    as_input = [torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1 for picture in (one, other)]
    return float(theirs(*as_input))


@torch.inference_mode()
@pytest.mark.parametrize("package", [package_lpips, package_torchmetrics])
def test_lpips_is_the_packages(package: Callable[[PairDistance], nn.Module]) -> None:
    with skipped_without():
        ours = formula_distance(linear_weights())
    theirs = package(ours)
    for one, other in pairs():
        wanted = expected(theirs, one, other)
        assert ours(one, other) == pytest.approx(wanted, rel=1e-5)
        assert wanted > 1e-3


@torch.inference_mode()
def test_with_channels_by_formula_too() -> None:
    ours = formula_distance(formula_channels())
    theirs = package_lpips(ours)
    theirs.load_state_dict(formula_channels_file(), strict=False)
    found = [expected(theirs, one, other) for one, other in pairs()]
    assert [ours(one, other) for one, other in pairs()] == pytest.approx(found, rel=1e-5)
    assert list(BY_LPIPS_ALL_FORMULA) == pytest.approx(found, rel=1e-5)
