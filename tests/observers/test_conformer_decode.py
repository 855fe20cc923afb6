"""Decoding of the Conformer: beam search against a plain search, end marks, blanks and ties."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from tests.factories.conformer_factory import formula_model, talkative
from tlbench.observers.conformer.decode import beam_search, ctc_greedy, teacher_forced_ids
from tlbench.observers.conformer.fast_model import JoinedDecoder
from tlbench.observers.conformer.model import ConformerModel
from tlbench.observers.conformer.tokenizer import BLANK, EOS


@pytest.fixture(scope="module")
def model() -> ConformerModel:
    return formula_model()


@pytest.fixture
def speaking() -> Iterator[JoinedDecoder]:
    with talkative() as model:
        yield JoinedDecoder(model.decoder)


@pytest.fixture(scope="module")
def clips() -> list[Tensor]:
    """Encodings, as different from each other as the formula's are not."""
    generator = torch.Generator().manual_seed(3)
    return [3 * torch.randn(length, 256, generator=generator) for length in (9, 4, 1, 12)]


def log_probabilities(model: ConformerModel, clip: Tensor, ids: list[int]) -> Tensor:
    """(n + 1, 40) of what follows each beginning, by the plain decoder."""
    prefix = torch.tensor([[EOS, *ids]])
    with torch.inference_mode():
        logits = model.decoder(prefix, clip[None], torch.ones(1, 1, len(clip), dtype=torch.bool))[0]
    return logits.double().log_softmax(-1)


def score(model: ConformerModel, clip: Tensor, ids: list[int]) -> float:
    logs = log_probabilities(model, clip, ids)
    return float(logs[range(len(ids) + 1), [*ids, EOS]].sum())


def plain_search(model: ConformerModel, clip: Tensor, beam: int) -> tuple[list[int], float]:
    """To the very end, one whole prefix after the other, nothing kept from step to step."""
    running: list[tuple[float, list[int]]] = [(0.0, [])]
    ended: list[tuple[float, list[int]]] = []
    for step in range(len(clip) + 1):
        candidates = []
        for total, ids in running:
            logs = log_probabilities(model, clip, ids)[-1]
            allowed = [EOS] if step == len(clip) else [i for i in range(40) if i != BLANK]
            candidates += [(total + float(logs[i]), [*ids, i]) for i in allowed]
        best = sorted(candidates, key=lambda pair: -pair[0])[:beam]
        ended += [(total, ids[:-1]) for total, ids in best if ids[-1] == EOS]
        running = [(total, ids) for total, ids in best if ids[-1] != EOS]
    total, ids = max(ended, key=lambda pair: pair[0])
    return ids, total


@pytest.mark.parametrize("beam", [1, 5])
def test_clips_read_together_read_what_a_plain_search_reads_in_each(
    model: ConformerModel, speaking: JoinedDecoder, clips: list[Tensor], beam: int
) -> None:
    found = beam_search(speaking, speaking.memory(clips), beam)
    for clip, hypothesis in zip(clips, found, strict=True):
        ids, total = plain_search(model, clip, beam)
        assert hypothesis.ids.tolist() == ids
        assert hypothesis.score == pytest.approx(total, abs=1e-4)
    assert len({tuple(hypothesis.ids.tolist()) for hypothesis in found}) > 1
    assert max(len(hypothesis.ids) for hypothesis in found) > 1


def test_a_beam_as_wide_as_all_sentences_finds_the_best_of_them(model: ConformerModel) -> None:
    clip = 3 * torch.randn(2, 256, generator=torch.Generator().manual_seed(17))
    pairs = torch.cartesian_prod(torch.arange(1, EOS), torch.arange(1, EOS))  # (38 * 38, 2)
    prefixes = torch.cat([torch.full((len(pairs), 1), EOS), pairs], dim=1)
    with talkative(8.0):
        decoder = JoinedDecoder(model.decoder)
        (found,) = beam_search(decoder, decoder.memory([clip]), beam=40**2)
        with torch.inference_mode():
            mask = torch.ones(1, 1, 2, dtype=torch.bool)
            logs = model.decoder(prefixes, clip.expand(len(pairs), 2, 256), mask).double().log_softmax(-1)
    first, second = (logs[range(len(pairs)), i, pairs[:, i]] for i in (0, 1))
    ends = logs[:, :, EOS]
    scores: dict[tuple[int, ...], float] = {(): float(ends[0, 0])}
    for pair, of_one, of_two in zip(pairs.tolist(), first + ends[:, 1], first + second + ends[:, 2], strict=True):
        scores[pair[0],] = float(of_one)
        scores[tuple(pair)] = float(of_two)
    best = max(scores, key=lambda sentence: scores[sentence])
    assert len(scores) == 1 + 38 + 38**2
    assert best != ()
    assert tuple(found.ids.tolist()) == best
    assert found.score == pytest.approx(scores[best], rel=1e-5)


def test_its_score_is_the_log_probability_of_the_whole_sentence_and_its_end(
    model: ConformerModel, speaking: JoinedDecoder, clips: list[Tensor]
) -> None:
    for clip, found in zip(clips, beam_search(speaking, speaking.memory(clips)), strict=True):
        assert found.score == pytest.approx(score(model, clip, found.ids.tolist()), abs=1e-4)


def test_no_sentence_is_longer_than_the_clip_has_frames(model: ConformerModel, clips: list[Tensor]) -> None:
    with talkative(50.0):  # it would never end
        decoder = JoinedDecoder(model.decoder)
        found = beam_search(decoder, decoder.memory(clips), 3)
    assert [len(hypothesis.ids) for hypothesis in found] == [len(clip) for clip in clips]
    for hypothesis in found:
        assert not set(hypothesis.ids.tolist()) & {BLANK, EOS}


def test_who_else_is_read_changes_nothing(speaking: JoinedDecoder, clips: list[Tensor]) -> None:
    together = beam_search(speaking, speaking.memory(clips))
    for clip, among_others in zip(clips, together, strict=True):
        (alone,) = beam_search(speaking, speaking.memory([clip]))
        assert alone.ids.tolist() == among_others.ids.tolist()
        assert alone.score == pytest.approx(among_others.score, rel=1e-5)


def test_forced_characters_follow_the_true_text_and_what_comes_after_it_is_dropped(
    model: ConformerModel, clips: list[Tensor]
) -> None:
    decoder = JoinedDecoder(model.decoder)
    references = [torch.tensor(ids) for ids in ([5, 9, 9], [2], [31, 1, 4, 4, 22], [1, 1])]
    written = teacher_forced_ids(decoder, decoder.memory(clips), references)
    for clip, reference, ids in zip(clips, references, written, strict=True):
        expected = log_probabilities(model, clip, reference.tolist()).argmax(-1)
        assert ids.tolist() == expected[:-1].tolist()


def test_ctc_drops_repetitions_then_blanks() -> None:
    path = [0, 9, 9, 0, 9, 6, 0, 0, 6, 6]
    logits = torch.nn.functional.one_hot(torch.tensor(path), 40).float()
    assert ctc_greedy(logits).tolist() == [9, 9, 6, 6]
    assert ctc_greedy(logits[:1]).tolist() == []
