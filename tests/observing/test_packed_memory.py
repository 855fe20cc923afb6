"""Where packed weights serve, the weights that they were made from are gone: memory does not double."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import nn

from tests.factories.observer_weights import TINY
from tlbench.observers.avhubert.dictionary import Dictionary
from tlbench.observers.avhubert.inference import AVHubertInference
from tlbench.observers.avhubert.model import AVHubert
from tlbench.observers.avhubert.view import VIEWS as AVHUBERT_VIEWS
from tlbench.observers.conformer.inference import ConformerInference
from tlbench.observers.conformer.model import ConformerModel
from tlbench.observers.conformer.view import VIEWS as CONFORMER_VIEWS
from tlbench.observers.mvm.fast_model import FastMVM
from tlbench.observers.mvm.inference import MVMInference
from tlbench.observers.mvm.model import MVMModel
from tlbench.observers.mvm.view import VIEWS as MVM_VIEWS
from tlbench.observing.packed_linear import can_pack

pytestmark = pytest.mark.skipif(not can_pack(), reason="this torch has no oneDNN")

CPU = torch.device("cpu")


def avhubert(half: bool) -> tuple[object, dict[str, weakref.ref[nn.Parameter]]]:
    model = AVHubert(TINY)
    weights = weights_of(model)
    symbols = ["<s>", "<pad>", "</s>", "<unk>", *(f"w{number}" for number in range(TINY.vocabulary - 4))]
    view = AVHUBERT_VIEWS["lrs2-center"]
    return AVHubertInference(
        model, Dictionary(symbols, None), view, CPU, similarity=False, half=half, packed=True
    ), weights


def conformer(half: bool) -> tuple[object, dict[str, weakref.ref[nn.Parameter]]]:
    model = ConformerModel()
    weights = weights_of(model)
    view = CONFORMER_VIEWS["lrs2-112"]
    return ConformerInference(model, view, CPU, free=False, half=half, packed=True), weights


def mvm(half: bool) -> tuple[object, dict[str, weakref.ref[nn.Parameter]]]:
    net = FastMVM(MVMModel().eval())
    weights = weights_of(net)
    return MVMInference(net, MVM_VIEWS["lrw"], CPU, half=half, packed=True), weights


def weights_of(network: nn.Module) -> dict[str, weakref.ref[nn.Parameter]]:
    return {name: weakref.ref(layer.weight) for name, layer in network.named_modules() if isinstance(layer, nn.Linear)}


@pytest.mark.parametrize("half", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("build", "whole"),
    [
        (avhubert, set()),
        (conformer, {"decoder.output_layer", "ctc.ctc_lo"}),
        (mvm, {"output"}),
    ],
)
def test_the_weights_of_packed_layers_are_dropped(
    build: Callable[[bool], tuple[object, dict[str, weakref.ref[nn.Parameter]]]], whole: set[str], half: bool
) -> None:
    reader, weights = build(half)
    gc.collect()
    assert len(weights) > len(whole)
    kept = {name for name, weight in weights.items() if weight() is not None}
    assert kept <= whole, "these layers keep their own weights"
    del reader
