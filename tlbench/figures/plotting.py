"""Whole jobs: figures of what generators make of one clip, and of what they hear in two words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.datasets.dataset import Span
from tlbench.datasets.matching import ClipNames
from tlbench.datasets.selection import Selection, load_dataset
from tlbench.datasets.word_times import word_times
from tlbench.errors import ClipError, TlbenchError
from tlbench.figures.embeddings import EmbeddingPanel, draw_embeddings
from tlbench.figures.figure_files import check_png
from tlbench.figures.snapshots import Moment, SnapshotRow, draw_snapshots
from tlbench.media.audio import read_audio
from tlbench.media.rates import FRAMES_PER_SECOND, SAMPLE_RATE
from tlbench.media.video_reader import VideoReader
from tlbench.talklip.generator import TalkLip

SNAPSHOTS = 8
EACH_WORD = 100  # occurrences: LRW has 50 in a test split
FEWEST = 3  # occurrences of a word below which a figure shows nothing
PERPLEXITY = 30.0  # scikit-learn's own; of few points as many as it takes
SILENCES = ("", "sil", "sp")

Count = Callable[[int, int], None]


@dataclass(frozen=True)
class EmbeddingSpread:
    """What :func:`plot_embeddings` found of one checkpoint.

    Attributes
    ----------
    name : str
    counts : (int, int)
        Occurrences of either word.
    told_apart : float
        See :class:`tlbench.figures.embeddings.EmbeddingPanel`.
    """

    name: str
    counts: tuple[int, int]
    told_apart: float


def plot_snapshots(
    generated: Sequence[Path],
    dataset: str,
    data_root: Path | None,
    clip: str,
    out: Path,
    *,
    split: str | None = None,
    manifest: Path | None = None,
    names: Sequence[str] = (),
    count: int = SNAPSHOTS,
    begin_seconds: float = 0.0,
    end_seconds: float | None = None,
    at_seconds: Sequence[float] = (),
    labels: bool = True,
) -> tuple[str, ...]:
    """Draw one clip by several systems: rows are systems, below the truth, columns moments.

    Parameters
    ----------
    generated : sequence of Path
        Folders of systems. One that lacks the clip, or has a broken one, says so in its row.
    clip : str
        Its id, or another name by which it is unmistakable.
    out : Path
        A ``.png``.
    names : sequence of str
        Of the systems; the folders' if not given.
    count : int
        Moments spread evenly between ``begin_seconds`` and ``end_seconds`` (the reference's end).
    at_seconds : sequence of float
        The moments themselves; the three before are not looked at then.
    labels : bool
        Write above each moment what is said then, where the data set knows.

    Returns
    -------
    tuple of str
        What is missing, a line each.

    Raises
    ------
    TlbenchError
        If there is no such clip, or it has no reference, or a moment is not in it.
    """
    check_png(out)
    titles = _named(generated, names, "folders")
    selections = [
        load_dataset(dataset, data_root, generated=folder, split=split, manifest=manifest) for folder in generated
    ]
    if not selections:
        selections = [load_dataset(dataset, data_root, split=split, manifest=manifest)]
    clip_id = _clip_id(selections[0], clip)
    found = [next(one for one in selection.clips if one.id == clip_id) for selection in selections]
    truth = found[0].reference
    if truth is None:
        raise TlbenchError(f"clip {clip_id}: has no reference video to be put on top; choose a data set that has")
    length_seconds = sum(len(run) for run in VideoReader(truth, 0).frames()) / FRAMES_PER_SECOND
    times = _moments(at_seconds, count, begin_seconds, end_seconds, length_seconds, clip_id)
    numbers = [floor(seconds * FRAMES_PER_SECOND + 1e-6) for seconds in times]
    rows, missing = [SnapshotRow("Ground truth", _frames(truth, numbers))], []
    for name, one in zip(titles, found, strict=False):
        try:
            if one.generated is None:
                raise ClipError("missing", "has no video of this clip")
            rows.append(SnapshotRow(name, _frames(one.generated, numbers)))
        except ClipError as error:
            missing.append(f"{name}: {error}")
            rows.append(SnapshotRow(name, note=error.message[:80]))
    moments = _labelled(selections[0], found[0], times) if labels else [Moment(seconds) for seconds in times]
    said = found[0].transcript or found[0].word or ""
    draw_snapshots(f"{clip_id}   {said}".strip(), moments, rows, out)
    return tuple(missing)


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
    progress: Count | None = None,
) -> list[EmbeddingSpread]:
    """Draw what generators hear in two words that are easily confused: a panel a checkpoint, a point an occurrence.

    As in the paper (Sec. 4.6): the audio embeddings of the frames in which a word is said are summed, and the sums are
    brought to the plane by t-SNE.

    Parameters
    ----------
    checkpoints : sequence of Path
        As :func:`tlbench.talklip.checkpoint.load_generator` takes them.
    each : int
        Occurrences of a word at most, the first ones.
    seed : int
        Of t-SNE.
    progress : (done, total) -> None, optional
        Counts clips.

    Raises
    ------
    TlbenchError
        If scikit-learn is not installed, the words are said too seldom, or the data set does not know when.
    """
    from tlbench.talklip.checkpoint import load_generator

    check_png(out)
    first, second = (word.upper() for word in words)
    if first == second:
        raise TlbenchError(f"words {words[0]},{words[1]}: are one word; give two (--words)")
    place = _embedder(seed)
    titles = _named(checkpoints, names, "checkpoints")
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
        panels.append(EmbeddingPanel(name, place(points), labels, told_apart(points, labels)))
    draw_embeddings((first, second), panels, out)
    counts = len(occurrences[0]), len(occurrences[1])
    return [EmbeddingSpread(panel.title, counts, panel.told_apart) for panel in panels]


def told_apart(points: np.ndarray, labels: np.ndarray) -> float:
    """The share of (N, F) points whose nearest other point has the same label; of equally near ones the first."""
    from scipy.spatial.distance import cdist

    distances = cdist(points.astype(np.float64), points.astype(np.float64))
    np.fill_diagonal(distances, np.inf)
    return float((labels[distances.argmin(axis=1)] == labels).mean())


def _embedder(seed: int) -> Callable[[np.ndarray], np.ndarray]:
    try:
        from sklearn.manifold import TSNE  # type: ignore[import-untyped]
    except ImportError as error:
        raise TlbenchError('t-SNE needs scikit-learn: pip install "tlbench[plot]"') from error

    def place(points: np.ndarray) -> np.ndarray:
        perplexity = min(PERPLEXITY, (len(points) - 1) / 3)
        placed = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(points)
        return np.asarray(placed)

    return place


def _occurrences(selection: Selection, word: str, most: int) -> list[tuple[Clip, Span]]:
    """Where a word is said. Raises TlbenchError if that is known of too few."""
    having = [clip for clip in selection.clips if word in f"{clip.word or ''} {clip.transcript or ''}".upper().split()]
    found = [
        (clip, span)
        for clip in having
        if clip.reference is not None
        for span in word_times(clip, selection.spans(clip))
        if span.label.upper() == word
    ][:most]
    if len(found) < FEWEST:
        why = f"is said in {len(having)} clips" + (f", and only of {len(found)} is it known when" if having else "")
        raise TlbenchError(
            f"{selection.dataset.name} split {selection.split!r}: {word} {why}; choose another word or split"
        )
    return found


def _embedding(network: TalkLip, clip: Clip, span: Span) -> np.ndarray:
    """(heard,) float32: the audio embeddings of a word's frames, summed. Raises ClipError."""
    import torch

    assert clip.reference is not None  # _occurrences has no other
    samples = read_audio(clip.audio or clip.reference)
    frames = max(1, len(samples) * FRAMES_PER_SECOND // SAMPLE_RATE)
    features = torch.from_numpy(np.ascontiguousarray(network.audio_features(samples, frames)))
    with torch.inference_mode():
        if network.dims.audio == "local":
            embeddings = network.audio_embedding(features, None, None)  # (T, heard)
        else:
            hidden = torch.zeros(1, frames, dtype=torch.bool)
            embeddings = network.audio_embedding(features.T[None], hidden, torch.arange(frames))
    begin = min(floor(span.begin_seconds * FRAMES_PER_SECOND), frames - 1)
    end = max(ceil(span.end_seconds * FRAMES_PER_SECOND), begin + 1)
    return np.asarray(embeddings[begin:end].sum(dim=0))


def _named(paths: Sequence[Path], names: Sequence[str], what: str) -> list[str]:
    if names and len(names) != len(paths):
        raise TlbenchError(f"{len(names)} names for {len(paths)} {what}; give one each (--names)")
    return list(names) or [_name(path.resolve()) for path in paths]


def _name(path: Path) -> str:
    """``last`` and ``best`` are what every training calls its checkpoints, so those go by their folder's name."""
    return path.parent.name if path.stem in ("last", "best", "generator") else path.name.removesuffix(".pth")


def _clip_id(selection: Selection, name: str) -> str:
    found = ClipNames([clip.id for clip in selection.clips], selection.dataset.aliases).find(name)
    if len(found) != 1:
        what = (
            f"could be {found[0]} or {found[1]}; write the whole id"
            if found
            else "is no clip of it; look into the list"
        )
        raise TlbenchError(f"{selection.dataset.name} split {selection.split!r}: {name} {what} (--clip)")
    return found[0]


def _moments(
    at: Sequence[float], count: int, begin: float, end: float | None, length: float, clip_id: str
) -> list[float]:
    last = length if end is None else end
    times = list(at) or [begin + (last - begin) * (place + 0.5) / count for place in range(count)]
    outside = [seconds for seconds in times if not 0 <= seconds < length]
    if outside or begin >= last:
        which = f"{outside[0]:g} s" if outside else f"{begin:g} to {last:g} s"
        raise TlbenchError(f"clip {clip_id}: {which} is no moment of its {length:g} s (--at, --from, --to)")
    return times


def _frames(path: Path, numbers: Sequence[int]) -> tuple[np.ndarray | None, ...]:
    """The frames of these numbers; None for those beyond the end. Raises ClipError."""
    found: dict[int, np.ndarray] = {}
    for run in VideoReader(path, 0).frames():
        for number in set(numbers).intersection(range(run.start, run.start + len(run))):
            found[number] = run.rgb[number - run.start].copy()
    return tuple(found.get(number) for number in numbers)


def _labelled(selection: Selection, clip: Clip, times: Sequence[float]) -> list[Moment]:
    spans = selection.spans(clip)
    words = word_times(clip, spans)
    sounds = [span for span in spans if span not in words]
    return [Moment(seconds, _said(sounds, seconds), _said(words, seconds)) for seconds in times]


def _said(spans: Sequence[Span], seconds: float) -> str:
    labels = [span.label for span in spans if span.begin_seconds <= seconds < span.end_seconds]
    return next((label for label in labels if label.lower() not in SILENCES), "")
