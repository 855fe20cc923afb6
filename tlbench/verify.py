"""Checks of a checkpoint: a self-test that needs no data, and the published value on the real videos."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from tlbench.checkpoints.card import Card
from tlbench.checkpoints.catalogue import how_to_fetch, observer_names
from tlbench.checkpoints.package import Package, words_of
from tlbench.checkpoints.weights import Weights, find_weights
from tlbench.datasets.clip import Clip, Span
from tlbench.datasets.selection import load_dataset
from tlbench.datasets.word_times import with_word_times
from tlbench.errors import TlbenchError
from tlbench.generation.controls import control
from tlbench.generation.write_controls import control_clips
from tlbench.media.mean_face import MEAN_FACE_PX, mean_face
from tlbench.media.rates import SAMPLE_RATE
from tlbench.media.scaling import Size
from tlbench.media.video_writer import write_video
from tlbench.metrics.text import distance
from tlbench.observing.device import choose_device
from tlbench.observing.engines import observe
from tlbench.observing.evidence import Evidence, first_not_finite
from tlbench.observing.face_boxes import BoxRule, load_detector
from tlbench.observing.kept import LoadedObservers
from tlbench.observing.lip_reader import LipReader
from tlbench.observing.observer import Observer
from tlbench.observing.plan import ObserverPlan, Plan
from tlbench.observing.registry import capability, observer_class, trained_view
from tlbench.observing.runner import ObserverRunner
from tlbench.scoring.options import MetricOptions
from tlbench.scoring.result import Result
from tlbench.scoring.run import Progress, run
from tlbench.scoring.setup import prepare

SELF_TEST_FRAMES = 29  # LRW's: long enough for every observer
ANY_SIZE: Size = (256, 256)  # of frames, for views that take any size
ORIGINAL_TOLERANCE = 1e-4  # of numbers: two right computations in float32 differ by less, see docs/live.md
MADE_UP_WORD = "ABOUT"  # one of LRW's words


@dataclass(frozen=True)
class GroundTruthCheck:
    """A metric of the real videos, measured here and as published, in the unit of the table."""

    metric: str
    value: float
    low: float | None
    high: float | None
    published: float
    scored: int  # clips in the value
    expected: int  # clips there should be

    @property
    def agrees(self) -> bool:
        """Whether the published value is in the interval; False if there is no interval, as for a single clip."""
        return self.low is not None and self.high is not None and self.low <= self.published <= self.high


def self_test(weights: Weights) -> str:
    """Load a checkpoint and run it on a made-up clip twice.

    Returns
    -------
    str
        Its evidence about the clip, in a few words.

    Raises
    ------
    TlbenchError
        If it does not load, fails on the clip, gives other evidence the second time, or a number that is not finite.
    """
    if weights.card.observer == "s3fd":
        return _detects(weights)
    if weights.card.observer not in observer_names():
        raise TlbenchError(f"checkpoint {weights.card.name!r}: no observer uses it, so there is nothing to verify")
    kind = observer_class(weights.card.observer)
    view = trained_view(kind, weights.view)
    plan = ObserverPlan(kind.name, (view,), weights.path, weights.sha256)
    with tempfile.TemporaryDirectory() as folder:
        clip = saying(made_up_clip(Path(folder), _frame_size(kind, view)), _known_word(weights), kind)
        first, second = (_observe(plan, clip, Path(folder) / f"cache{turn}") for turn in (1, 2))
    if json.dumps(first.to_json()) != json.dumps(second.to_json()):
        raise TlbenchError(f"checkpoint {weights.card.name!r}: gives two answers for one clip; please report this")
    if strange := first_not_finite(first):
        raise TlbenchError(f"checkpoint {weights.card.name!r}: its {strange} is not finite; damaged weights?")
    return _summary(first)


@dataclass(frozen=True)
class HalfEffect:
    """How a lip reader's answers change in half precision.

    Attributes
    ----------
    clips, differing : int
        Number of clips read in both precisions, and of those with different answers.
    symbols, edits : int
        Length of all answers in full precision, and the fewest edits that turn them into those of half precision.
        Symbols are tokens or characters; a word classifier's answer is one symbol.
    """

    clips: int
    differing: int
    symbols: int
    edits: int


def half_effect(weights: Weights, clips: Sequence[Clip], *, cache: Path, device: str = "cpu") -> HalfEffect:
    """Read clips in full and in half precision. A clip that can't be read in both is left out.

    Parameters
    ----------
    clips : sequence of Clip
        Each with a generated video, as :func:`tlbench.generation.write_controls.control_clips` gives the real ones.
    cache : Path
        Folder of kept evidence.

    Raises
    ------
    TlbenchError
        If the observer has no half precision.
    """
    kind, view = _reader(weights)
    full, half = (
        ObserverPlan(kind.name, (view,), weights.path, weights.sha256, half=numbers) for numbers in (False, True)
    )
    answers = [_answers(kind, plan, clips, cache, device) for plan in (full, half)]
    pairs = [(answers[0][name], answers[1][name]) for name in answers[0] if name in answers[1]]
    return HalfEffect(
        clips=len(pairs),
        differing=sum(one != other for one, other in pairs),
        symbols=sum(len(one) for one, _ in pairs),
        edits=sum(distance(one, other) for one, other in pairs),
    )


def _reader(weights: Weights) -> tuple[type[LipReader], str]:
    """The observer of a checkpoint and its view. Raises TlbenchError if it has no half precision."""
    if weights.card.observer not in observer_names():
        raise TlbenchError(f"checkpoint {weights.card.name!r}: no observer uses it")
    kind = observer_class(weights.card.observer)
    if not (issubclass(kind, LipReader) and kind.has_half):
        raise TlbenchError(f"checkpoint {weights.card.name!r}: observer {kind.name!r} has no half precision")
    return kind, trained_view(kind, weights.view)


def half_precision_check(
    weights: Weights, dataset: str | None, data_root: Path | None, *, limit: int | None = None
) -> HalfEffect:
    """:func:`half_effect` on the real videos of a data set, or on a made-up clip if there is no data set.

    It runs on the first GPU, or on the CPU if there is none. Raises TlbenchError as :func:`half_effect`, or if clips
    can't be listed.
    """
    device = choose_device("auto", networks=True)
    kind, view = _reader(weights)
    with tempfile.TemporaryDirectory() as folder:
        if dataset is None:
            clip = made_up_clip(Path(folder), _frame_size(kind, view))
            if kind.needs.word_times:
                clip = saying(clip, _known_word(weights), kind)
            return half_effect(weights, [clip], cache=Path(folder) / "cache", device=device)
        selection = load_dataset(dataset, data_root, limit=limit)
        selection = with_word_times(selection) if kind.needs.word_times else selection
        clips = control_clips(selection.clips, "ground-truth", None)
        return half_effect(weights, clips, cache=Path(folder), device=device)


def _answers(
    kind: type[LipReader], plan: ObserverPlan, clips: Sequence[Clip], cache: Path, device: str
) -> dict[str, list[object]]:
    """The answer for each clip as a list of symbols, by clip id."""
    found: dict[str, list[object]] = {}
    for seen in observe(Plan((plan,), BoxRule(), cache, device), clips):
        if kind.name in seen.evidence:
            answer = seen.evidence[kind.name].values[kind.answer]
            found[seen.clip.id] = symbols(answer)
    return found


def symbols(answer: object) -> list[object]:
    """An answer as a list of symbols: characters, tokens or words."""
    several = answer.tolist() if isinstance(answer, np.ndarray) else answer
    return list(several) if isinstance(several, list) else [several]


@dataclass(frozen=True)
class OriginalDifference:
    """One value of a clip, as the original package and tlbench give it.

    Attributes
    ----------
    clip_id, name : str
        ``name`` is the evidence's: ``lse_d``, ``tokens``.
    original, ours : str
        Both values, shortened.
    largest : float or None
        The largest difference of numbers, None for texts and tokens.
    equal : bool
        Numbers differ by less than ``ORIGINAL_TOLERANCE`` of the original's largest value; texts and tokens not at all.
    """

    clip_id: str
    name: str
    original: str
    ours: str
    largest: float | None
    equal: bool


def original_check(
    weights: Weights,
    dataset: str | None,
    data_root: Path | None,
    *,
    limit: int | None = None,
    code: Path | None = None,
) -> list[OriginalDifference]:
    """Read clips by the original package and by tlbench with the same weights, on the CPU.

    Crops and samples are tlbench's for both. The clips are the real videos of a data set, or a made-up one if there is
    no data set. ``code`` is a folder with the original code, for an observer whose original is in no package.

    Raises
    ------
    TlbenchError
        If the original package is missing, the observer has none, or no clip can be read by both.
    """
    if weights.card.observer not in observer_names():
        raise TlbenchError(f"checkpoint {weights.card.name!r}: no observer uses it")
    load_original: Callable[[Path, str, Path | None], Observer] = capability(weights.card.observer, "original")
    kind = observer_class(weights.card.observer)
    view = trained_view(kind, weights.view)
    other = load_original(weights.path, view, code)
    plan = ObserverPlan(kind.name, (view,), weights.path, weights.sha256)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if dataset is None:
            clips: Sequence[Clip] = [made_up_clip(folder, _frame_size(kind, view))]
        else:
            clips = control_clips(load_dataset(dataset, data_root, limit=limit).clips, "ground-truth", None)
        runners = [
            ObserverRunner(Plan((plan,), BoxRule(), folder / side), LoadedObservers(given))
            for side, given in (("original", {kind.name: other}), ("ours", {}))
        ]
        found: list[OriginalDifference] = []
        reason = "there is no clip"
        for clip in clips:
            seen = [runner.observe([clip])[0] for runner in runners]
            for failure in (error for one in seen for error in one.failures.values()):
                reason = str(failure)
            if all(kind.name in one.evidence for one in seen):
                found += _differences(clip.id, *(one.evidence[kind.name] for one in seen))
    if not found:
        raise TlbenchError(f"checkpoint {weights.card.name!r}: no clip was read by both: {reason}")
    return found


def _differences(clip_id: str, original: Evidence, ours: Evidence) -> Iterator[OriginalDifference]:
    """Of every value that the original's evidence has."""
    for name, value in original.values.items():
        own = ours.values[name]
        largest = None
        if isinstance(value, float):
            largest = abs(float(value) - float(str(own)))
            equal = largest <= ORIGINAL_TOLERANCE * max(abs(value), 1.0)
        else:
            equal = np.array_equal(np.asarray(value), np.asarray(own))
        yield OriginalDifference(clip_id, name, _short(value), _short(own), largest, equal)


def _short(value: object) -> str:
    return repr(value.tolist() if isinstance(value, np.ndarray) else value)[:60]


def _frame_size(kind: type[Observer], view: str) -> Size:
    """The frame size that an observer's view was made for."""
    recipe = kind.recipe(view)
    return recipe.frame_sizes[0] if recipe is not None and recipe.frame_sizes else ANY_SIZE


def made_up_clip(folder: Path, size: Size = ANY_SIZE) -> Clip:
    """A clip of moving coloured noise with a hum: no face, but with everything an observer may need.

    Box and landmarks are given: a face in the middle of the frame. ``size`` is (width, height) of its frames.
    """
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (SELF_TEST_FRAMES + 8, 16, 16, 3), dtype=np.uint8)
    wide = np.stack([cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST) for picture in coarse])
    frames = np.stack([wide[index : index + 8].mean(axis=0).astype(np.uint8) for index in range(SELF_TEST_FRAMES)])
    seconds = np.arange(SAMPLE_RATE * SELF_TEST_FRAMES // 25) / SAMPLE_RATE
    hum = np.round(8000 * np.sin(2 * np.pi * 180 * seconds) * np.sin(2 * np.pi * 3 * seconds)).astype(np.int16)
    path = folder / f"{MADE_UP_WORD}_00001.mp4"
    write_video(path, frames, samples=hum)
    boxes = folder / "boxes.npy"
    np.save(boxes, np.tile(np.array([*size, *size]) * [1, 1, 3, 3] // 4, (SELF_TEST_FRAMES, 1)))
    landmarks = folder / "landmarks.npy"
    np.save(landmarks, np.tile(mean_face() * np.array(size) / MEAN_FACE_PX, (SELF_TEST_FRAMES, 1, 1)))
    return Clip(
        "self-test",
        reference=path,
        generated=path,
        transcript="HELLO WORLD",
        word=MADE_UP_WORD,
        boxes=boxes,
        landmarks=landmarks,
    )


def saying(clip: Clip, word: str, kind: type[Observer]) -> Clip:
    """The clip with this word label, and as its only word for an observer that needs word times."""
    if not kind.needs.word_times:
        return replace(clip, word=word)
    return replace(clip, transcript=word, word=word, word_times=(Span(0.2, 0.8, word),))


def _known_word(weights: Weights) -> str:
    """A word that a classifier knows: the first of its package, else one of LRW's words."""
    words = words_of(weights.path) if weights.path.is_dir() else []
    return words[0] if words else MADE_UP_WORD


def _observe(plan: ObserverPlan, clip: Clip, cache: Path) -> Evidence:
    (seen,) = ObserverRunner(Plan((plan,), BoxRule(), cache)).observe([clip])
    for error in seen.failures.values():
        raise TlbenchError(f"self-test of {plan.name} with {plan.weights}: {error}")
    return seen.evidence[plan.name]


def _detects(weights: Weights) -> str:
    detector = load_detector(BoxRule("s3fd", weights.path, weights.sha256))
    found = detector.detect_all(np.full((1, 96, 96, 3), 128, np.uint8), detector.sure_score)
    return f"{len(found[0])} faces in an empty picture"


def _summary(evidence: Evidence) -> str:
    kinds = (str, float, int, list)
    shown = [f"{name} {value!r:.60}" for name, value in evidence.values.items() if isinstance(value, kinds)]
    return ", ".join(shown[:4])


def has_published_value(card: Card, dataset: str) -> bool:
    """Whether the card has published values for the real videos of this data set."""
    return next(_published(card, dataset), None) is not None


def published_check(
    weights: Weights,
    dataset: str,
    data_root: Path | None = None,
    *,
    limit: int | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
) -> list[GroundTruthCheck]:
    """Score the real videos of a data set, to compare them with the values on the card.

    Parameters
    ----------
    limit : int, optional
        Only the first clips: the interval gets wider, and the published value is of all clips.
    out : Path, optional
        Folder for records and result; a temporary folder if not given.

    Raises
    ------
    TlbenchError
        If the card has no published value for this data set, or no clip could be scored.
    """
    expected = dict(_published(weights.card, dataset))
    if not expected:
        known = ", ".join(sorted({key.partition("_")[0] for key in weights.card.published_values})) or "none"
        raise TlbenchError(
            f"checkpoint {weights.card.name!r}: no published value of ground truth on {dataset!r} ({known} known)"
        )
    selection = load_dataset(dataset, data_root, limit=limit)
    chosen = replace(selection, clips=control_clips(selection.clips, "ground-truth", None))
    setup = prepare(chosen, MetricOptions(tuple(expected), {weights.card.name: weights.path}))
    with tempfile.TemporaryDirectory() as folder:
        result = run(
            chosen,
            setup,
            "ground truth",
            role="control",
            out=out or Path(folder),
            progress=progress,
            excused=control("ground-truth").excused,
        )
    return list(_compared(result, expected))


def _published(card: Card, dataset: str) -> Iterator[tuple[str, float]]:
    """Metric key and value of a card's reference entries such as ``lrs2_wer1``."""
    for key, value in card.published_values.items():
        where, _, name = key.partition("_")
        if where == dataset:
            yield f"{name}/paper", value


def _compared(result: Result, expected: dict[str, float]) -> Iterator[GroundTruthCheck]:
    for key, published in expected.items():
        row = result.row(key)
        if row.value is None:
            raise TlbenchError(f"{key}: none of {len(result.clips)} clips could be scored; see `tlbench check`")
        yield GroundTruthCheck(key, row.value, row.low, row.high, published, row.scored, row.expected)


def weights_of(card: Card, path: Path | None) -> Weights:
    """The checkpoint of a card: ``path``, else the bundled one, else the one in the checkpoint folder.

    Raises TlbenchError if there is none.
    """
    named = replace(card, default=True)  # the card was asked for by name
    chosen = path or card.package
    found = find_weights([named], {} if chosen is None else {card.name: chosen})
    if found is None:
        raise TlbenchError(f"checkpoint {card.name!r} is not here; {how_to_fetch(card)}, or pass --file FILE")
    return replace(found, card=card)


def reader_of(card: Card) -> Callable[[Path], Package]:
    """The function that makes a package of a card's checkpoint. Raises TlbenchError if there is none."""
    if card.observer not in observer_names():
        raise TlbenchError(f"checkpoint {card.name!r}: no observer uses it, so it can't be imported")
    if not observer_class(card.observer).read_published:
        raise TlbenchError(f"checkpoint {card.name!r}: {card.observer} reads {card.file} as it is; nothing to import")
    read: Callable[[Path], Package] = capability(card.observer, "read_published")
    return read
