"""The Conformer with formula weights: 52 million numbers, so it is made once for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

from tests.golden.formula import fill
from tlbench.observers.conformer.model import ConformerModel
from tlbench.observers.conformer.tokenizer import EOS

CONFIDENCE = 4.0  # a power of two, so that dividing by it restores the weights exactly


@cache
def formula_model() -> ConformerModel:
    """The network; tests must not change it."""
    model = ConformerModel()
    fill(model.state_dict())
    return model.eval().requires_grad_(False)


@contextmanager
def talkative(less: float = 4.0) -> Iterator[ConformerModel]:
    """The network with larger logits and a lower one for the end mark; with the formula weights it writes no text."""
    model = formula_model()
    output = model.decoder.output_layer
    output.weight *= CONFIDENCE
    output.bias[EOS] -= less
    try:
        yield model
    finally:
        output.weight /= CONFIDENCE
        output.bias[EOS] += less


def noise(frames: int, seed: int = 0) -> torch.Tensor:
    """(frames, 112, 112) uint8 crops."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 256, (frames, 14, 14), generator=generator, dtype=torch.uint8)
    return coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)
