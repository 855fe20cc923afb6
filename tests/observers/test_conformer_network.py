"""The Conformer's fast model equals the plain one, for any batch of clips."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.factories.conformer_factory import formula_model, noise
from tlbench.observers.conformer.fast_model import (
    FRAMES_A_PASS,
    FusedFrontend,
    JoinedDecoder,
    JoinedEncoder,
    PrefixCache,
    normalise,
)
from tlbench.observers.conformer.model import ConformerModel, pad_features
from tlbench.observers.conformer.tokenizer import EOS
from tlbench.observing.espnet_layers import positions, relative_positions

ROUNDING = 1e-5  # relative; sums in another order
LENGTHS = (1, 7, 30, 16)


@pytest.fixture(scope="module")
def model() -> ConformerModel:
    return formula_model()


@pytest.fixture(scope="module")
def features() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(length, 512, generator=generator) for length in LENGTHS]


@pytest.fixture(scope="module")
def encoded(model: ConformerModel, features: list[Tensor]) -> list[Tensor]:
    return JoinedEncoder(model.encoder)(features)


@pytest.fixture(scope="module")
def prefixes() -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    said = [torch.randint(1, 39, (length,), generator=generator) for length in (3, 1, 12, 8)]
    return [torch.cat([torch.tensor([EOS]), ids]) for ids in said]


def assert_equal_to_rounding(ours: Tensor, theirs: Tensor) -> None:
    assert ours.shape == theirs.shape
    assert float((ours - theirs).norm() / theirs.norm()) < ROUNDING


def everything(length: int) -> Tensor:
    return torch.ones(1, 1, length, dtype=torch.bool)


def test_the_eye_sees_what_the_plain_front_end_sees(model: ConformerModel) -> None:
    crops = noise(FRAMES_A_PASS + 5)
    with torch.inference_mode():
        plain = model.visual_frontend(normalise(crops)[None], [len(crops)])[0]
    assert_equal_to_rounding(FusedFrontend(model.visual_frontend)([crops])[0], plain)


def test_clips_seen_together_are_seen_as_alone(model: ConformerModel) -> None:
    """One ends inside a pass, one spans two, one is a single frame: no clip sees its neighbours."""
    eye = FusedFrontend(model.visual_frontend)
    clips = [noise(5, 1), noise(FRAMES_A_PASS, 2), noise(1, 3), noise(3, 4)]
    for together, clip in zip(eye(clips), clips, strict=True):
        assert_equal_to_rounding(together, eye([clip])[0])


def test_passes_side_by_side_change_nothing_and_leave_the_callers_threads_alone(model: ConformerModel) -> None:
    eye, clips = FusedFrontend(model.visual_frontend), [noise(FRAMES_A_PASS, 5), noise(9, 6)]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one_by_one = eye(clips)
        torch.set_num_threads(5)
        for together, alone in zip(eye(clips), one_by_one, strict=True):
            assert_equal_to_rounding(together, alone)
        assert torch.get_num_threads() == 5
    finally:
        torch.set_num_threads(before)


def test_clips_encoded_together_are_encoded_as_alone(
    model: ConformerModel, features: list[Tensor], encoded: list[Tensor]
) -> None:
    for together, clip in zip(encoded, features, strict=True):
        with torch.inference_mode():
            plain = model.encoder(clip[None], everything(len(clip)))[0]
        assert_equal_to_rounding(together, plain)


def test_clips_spelt_together_are_spelt_as_alone(
    model: ConformerModel, encoded: list[Tensor], prefixes: list[Tensor]
) -> None:
    decoder = JoinedDecoder(model.decoder)
    for together, clip, prefix in zip(
        decoder.teacher_forced(prefixes, decoder.memory(encoded)), encoded, prefixes, strict=True
    ):
        with torch.inference_mode():
            plain = model.decoder(prefix[None], clip[None], everything(len(clip)))[0]
        assert_equal_to_rounding(together, plain)


def test_character_by_character_is_as_all_at_once(
    model: ConformerModel, encoded: list[Tensor], prefixes: list[Tensor]
) -> None:
    decoder = JoinedDecoder(model.decoder)
    seen = decoder.memory(encoded)
    # Two prefixes of the first clip and three of the third; after 4 characters they go on from one another.
    rows = {0: [prefixes[2], prefixes[2].flip(0)], 2: [prefixes[2], prefixes[2].roll(1), prefixes[2].roll(2)]}
    parents = [1, 1, 2, 4, 2]
    ids = torch.stack([*rows[0], *rows[2]])
    said = PrefixCache(len(decoder.blocks))
    logits = torch.empty(0)
    for position in range(8):
        logits = decoder.step(ids[:, position], position, said, [seen[0], seen[2]], [2, 3])
        if position == 3:
            ids = torch.cat([ids[parents, :4], ids[:, 4:]], dim=1)
            said.follow(torch.tensor(parents))
    whole = decoder.teacher_forced(list(ids[:, :8]), [seen[0]] * 2 + [seen[2]] * 3)
    for stepwise, at_once in zip(logits, whole, strict=True):
        assert_equal_to_rounding(stepwise, at_once[-1])


def test_padding_stands_around_the_features_the_odd_row_behind_them() -> None:
    rows = torch.ones(4, 512)
    padded = pad_features([rows, rows[:2]], [7, 3])
    assert padded[..., 0].tolist() == [[0, 1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0, 0]]


def test_positions_are_sines_and_cosines_in_turn_and_distances_run_both_ways() -> None:
    table = positions(torch.tensor([0, 3]), 256)
    assert table[0].tolist() == [0.0, 1.0] * 128
    expected = [math.sin(3), math.cos(3), math.sin(3 * 10000 ** (-2 / 256)), math.cos(3 * 10000 ** (-2 / 256))]
    assert table[1, :4].tolist() == pytest.approx(expected, abs=1e-6)
    torch.testing.assert_close(relative_positions(3, 8), positions(torch.tensor([2, 1, 0, -1, -2]), 8))
