"""A figure of the audio embeddings of two words: finding, embedding and projecting where they are spoken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path

import numpy as np

from tlbench.arguments import CountCallback
from tlbench.datasets.clip import Clip
from tlbench.datasets.dataset import Span
from tlbench.datasets.selection import Selection, load_dataset
from tlbench.datasets.word_times import word_times
from tlbench.document import counted
from tlbench.errors import TlbenchError, quoted
from tlbench.figures.embeddings import EmbeddingPanel, draw_embeddings
from tlbench.figures.figure_files import Width, check_figure, system_names
from tlbench.media.audio import read_audio
from tlbench.media.rates import FRAMES_PER_SECOND, SAMPLE_RATE
from tlbench.talklip.generator import TalkLip

EACH_WORD = 100  # occurrences; LRW has 50 of each word in its test split
FEWEST = 3  # occurrences; with fewer of a word the figure shows nothing
PERPLEXITY = 30.0  # scikit-learn's default; lowered for few points


@dataclass(frozen=True)
class EmbeddingSpread:
    """How well the embeddings of one checkpoint separate the two words.

    Attributes
    ----------
    name : str
    counts : (int, int)
        Occurrences of each word.
    same_word_share : float
        See :class:`tlbench.figures.embeddings.EmbeddingPanel`.
    """

    name: str
    counts: tuple[int, int]
    same_word_share: float


def plot_embeddings(
    checkpoints: Sequence[Path],
    dataset: str,
    data_root: Path | None,
    words: tuple[str, str],
    out: Path,
    *,
    split: str | None = None,
    subset: Path | None = None,
    manifest: Path | None = None,
    names: Sequence[str] = (),
    each: int = EACH_WORD,
    seed: int = 0,
    width: Width | None = None,
    progress: CountCallback | None = None,
) -> list[EmbeddingSpread]:
    """Draw the audio embeddings of two easily confused words: one panel a checkpoint, one point an occurrence.

    As in the paper (Sec. 4.6): the audio embeddings of the frames of a word are summed, and t-SNE projects the sums to
    the plane.

    Parameters
    ----------
    checkpoints : sequence of Path
        Generators, as :func:`tlbench.talklip.checkpoint.load_generator` takes them.
    words : (str, str)
        Of any case.
    out : Path
        A ``.png``, ``.pdf`` or ``.svg``, with fonts inside.
    each : int
        The most occurrences of a word; the first ones are taken.
    seed : int
        Seed of t-SNE.
    width : "column" or "page", optional
        The width of the figure: 3.3 or 6.875 inches; as wide as it needs if not given.
    progress : (done, total) -> None, optional
        Called after each occurrence.

    Raises
    ------
    TlbenchError
        If scikit-learn is not installed, a word occurs too seldom, or the data set has no times of words.
    """
    from tlbench.talklip.checkpoint import load_generator

    check_figure(out)
    first, second = (word.upper() for word in words)
    if first == second:
        raise TlbenchError(f"--words {words[0]},{words[1]} is one word twice; give two different words")
    project = _projection(seed)
    titles = system_names(checkpoints, names, "checkpoints")
    selection = load_dataset(dataset, data_root, split=split, subset=subset, manifest=manifest)
    occurrences = [_occurrences(selection, word, each) for word in (first, second)]
    spans = [span for found in occurrences for span in found]
    labels = np.repeat([0, 1], [len(found) for found in occurrences])
    panels = []
    for number, (path, name) in enumerate(zip(checkpoints, titles, strict=True)):
        network = load_generator(path)
        sums = []
        for done, (clip, span) in enumerate(spans, start=1):
            sums.append(_embedding(network, clip, span))
            if progress is not None:
                progress(number * len(spans) + done, len(checkpoints) * len(spans))
        points = np.stack(sums)
        panels.append(EmbeddingPanel(name, project(points), labels, same_word_share(points, labels)))
    draw_embeddings((first, second), panels, out, width)
    counts = len(occurrences[0]), len(occurrences[1])
    return [EmbeddingSpread(panel.title, counts, panel.same_word_share) for panel in panels]


def same_word_share(points: np.ndarray, labels: np.ndarray) -> float:
    """The share of (N, F) points with the same label as their nearest other point (the first of equally near ones)."""
    from scipy.spatial.distance import cdist

    distances = cdist(points.astype(np.float64), points.astype(np.float64))
    np.fill_diagonal(distances, np.inf)
    return float((labels[distances.argmin(axis=1)] == labels).mean())


def _projection(seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """t-SNE of (N, F) points to (N, 2). Raises TlbenchError if scikit-learn is not installed."""
    try:
        from sklearn.manifold import TSNE  # type: ignore[import-untyped]
    except ImportError as error:
        raise TlbenchError('t-SNE needs scikit-learn: pip install "tlbench[plot]"') from error

    def project(points: np.ndarray) -> np.ndarray:
        perplexity = min(PERPLEXITY, (len(points) - 1) / 3)
        placed = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(points)
        return np.asarray(placed)

    return project


def _occurrences(selection: Selection, word: str, most: int) -> list[tuple[Clip, Span]]:
    """The first ``most`` occurrences of a word with known times. Raises TlbenchError if there are too few."""
    having = [clip for clip in selection.clips if word in f"{clip.word or ''} {clip.transcript or ''}".upper().split()]
    found = [
        (clip, span)
        for clip in having
        if clip.reference is not None
        for span in word_times(clip, selection.spans(clip))
        if span.label.upper() == word
    ][:most]
    if len(found) < FEWEST:
        why = f"occurs in {counted(len(having), 'clip')}" + (
            f", with known times in only {len(found)}" if having else ""
        )
        raise TlbenchError(
            f"{selection.dataset.name} split {quoted(selection.split)}: {word} {why}; choose another word or split"
        )
    return found


def _embedding(network: TalkLip, clip: Clip, span: Span) -> np.ndarray:
    """The sum of the audio embeddings of a word's frames, (F,) float32. Raises ClipError."""
    import torch

    assert clip.reference is not None  # _occurrences has no other
    samples = read_audio(clip.audio or clip.reference)
    frames = max(1, len(samples) * FRAMES_PER_SECOND // SAMPLE_RATE)
    features = torch.from_numpy(np.ascontiguousarray(network.audio_features(samples, frames)))
    with torch.inference_mode():
        if network.dims.audio == "local":
            embeddings = network.audio_embedding(features, None, None)  # (T, F)
        else:
            hidden = torch.zeros(1, frames, dtype=torch.bool)
            embeddings = network.audio_embedding(features.T[None], hidden, torch.arange(frames))
    begin = min(floor(span.begin_seconds * FRAMES_PER_SECOND), frames - 1)
    end = max(ceil(span.end_seconds * FRAMES_PER_SECOND), begin + 1)
    return np.asarray(embeddings[begin:end].sum(dim=0))
