"""``train_reference``: from a data set, a variant and a lip reader to a generator."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tlbench.datasets.dataset import dataset_class
from tlbench.datasets.selection import Selection, load_dataset
from tlbench.errors import ClipError, TlbenchError
from tlbench.observing.cache import default_cache
from tlbench.observing.face_boxes import BoxRule, choose_rule
from tlbench.training.devices import FABRIC_PRECISION, Precision, make_fabric
from tlbench.training.run_folder import claim
from tlbench.version import VERSION

if TYPE_CHECKING:
    from tlbench.checkpoints.package import Package
    from tlbench.talklip.batches import FrameMasking
    from tlbench.talklip.discriminator import Discriminator
    from tlbench.talklip.divergence_guard import DivergenceGuardConfig
    from tlbench.talklip.find_expert import FoundExpert
    from tlbench.talklip.generator import TalkLip
    from tlbench.talklip.stages import StageSchedule
    from tlbench.talklip.train_step import Recipe
    from tlbench.talklip.trainer import TrainLoopConfig
    from tlbench.training.expert import AudioEncoder, Expert
    from tlbench.training.loop import TrainingReport
    from tlbench.training.preprocessed import Count

# May change between two parts of one training: how long and where it runs, not what it learns.
FREE_SETTINGS = frozenset({"version", "stage_steps", "patience", "save_every", "expert_file"})
# Kept with the generator, besides who taught it.
NOTED_SETTINGS = ("version", "dataset", "recipe", "size", "begun_from", "boxes", "overlap", "seed", "expert")


@dataclass(frozen=True)
class TrainedReference:
    """What :func:`train_reference` did.

    Attributes
    ----------
    last : Path
        The package of the generator as it is now; ``tlbench generate --checkpoint`` takes it.
    l1 : float or None
        Of the last judgement, on the validation part: mean absolute error of pictures between 0 and 1.
    step : int
    done : bool
        Whether the last stage is over.
    failures : dict of clip id to ClipError
        Clips that could not be learned from.
    converted : dict of clip id to str
        Clips whose sound had to be converted, and what it was.
    """

    last: Path
    l1: float | None
    step: int
    done: bool
    failures: dict[str, ClipError]
    converted: dict[str, str]


@dataclass(frozen=True)
class Splits:
    """What is learned from, and what is judged by.

    Attributes
    ----------
    train_split, val_split : str or None
        None is ``train`` and ``val``, or all there is where a list chooses from a data set of one part.
    train_list, val_list : Path or None
        Lists of clips: only these of the part.
    """

    train_split: str | None = None
    val_split: str | None = None
    train_list: Path | None = None
    val_list: Path | None = None


@dataclass(frozen=True)
class InitCheckpoint:
    """A generator that has learned something, to begin from."""

    path: Path
    package: Package

    @property
    def name(self) -> str:
        """Of its file; of a training's folder and the package in it."""
        return "/".join(self.path.resolve().parts[-2:]) if self.path.is_dir() else self.path.name

    @property
    def learned_from(self) -> list[str]:
        """Lip readers that it has learned from."""
        trained = self.package.config.get("trained")
        named = trained.get("trained_with") if isinstance(trained, dict) else None
        return [str(name) for name in named] if isinstance(named, list) else []


@dataclass(frozen=True)
class Devices:
    """Where a training runs: Lightning Fabric's accelerator, how many of it, its precision; processes for batches."""

    accelerator: str = "auto"
    count: int = 1
    precision: Precision = "fp32"
    loaders: int = 0


def train_reference(
    dataset: str,
    recipe: Recipe,
    out: Path,
    data_root: Path | None = None,
    *,
    expert: str | None = None,
    begin_from: Path | None = None,
    size: str | Mapping[str, Any] | None = None,
    stages: StageSchedule | None = None,
    pace: TrainLoopConfig | None = None,
    picking: FrameMasking | None = None,
    guard: DivergenceGuardConfig | None = None,
    parts: Splits | None = None,
    boxes: Path | None = None,
    detector: str = "auto",
    smooth: int = 0,
    face: str = "largest",
    weights: Mapping[str, Path] | None = None,
    devices: Devices | None = None,
    cache: Path | None = None,
    max_seconds: float | None = None,
    stop: Callable[[], bool] | None = None,
    prepared: Count | None = None,
    tell: Callable[[TrainingReport], None] | None = None,
    notice: Callable[[str], None] | None = None,
) -> TrainedReference:
    """Train a generator, or go on with a training that was interrupted.

    Parameters
    ----------
    dataset, data_root, parts
        Where its clips come from. Nothing of another part is read.
    recipe : Recipe
        The variant and its weights.
    out : Path
        A folder; if it holds a training with the same settings, that one is continued.
    expert : str or None
        Name or file of the lip reader. A global audio encoder begins as a copy of its own, too.
    begin_from : Path or None
        A generator's file, package or name to learn more from; None for one that knows nothing.
    size : str or mapping or None
        One of the generator's sizes, or ``{"width": 0.25, "deepest": 96}``; None is ``published``, or what
        ``begin_from`` has.
    stages, pace, picking, guard
        None are the published ones.
    boxes, detector, smooth, face, weights
        Where faces are, as in scoring.
    devices : Devices or None
    cache : Path or None
        Where frames and faces are kept; None is tlbench's own.
    max_seconds : float or None
        Stop after so long, with everything saved.
    stop : callable or None
        Asked after each step whether to stop, with everything saved.
    prepared, tell, notice : callable or None
        Get clips done and in all, reports, and lines that a person should see.

    Raises
    ------
    TlbenchError
        One line: no expert, clips in another vocabulary, a folder that holds another training ...

    Warns
    -----
    UserWarning
        If an observer that scores this data set is the expert or a relative of it.
    """
    from tlbench.checkpoints.package import open_package
    from tlbench.talklip.batches import SHORTEST, BatchMaker, FrameMasking
    from tlbench.talklip.checkpoint import find_generator, read_published
    from tlbench.talklip.dataset import TalkLipDataset
    from tlbench.talklip.divergence_guard import DivergenceGuardConfig
    from tlbench.talklip.find_expert import find_expert
    from tlbench.talklip.stages import StageSchedule
    from tlbench.talklip.train_step import TrainStep
    from tlbench.talklip.trainer import LAST_NAME, ReferenceTraining, TrainLoopConfig

    began = time.monotonic()
    stages, pace, guard = stages or StageSchedule(), pace or TrainLoopConfig(), guard or DivergenceGuardConfig()
    picking = picking or FrameMasking()
    if recipe.fade and stages.steps is None:
        raise TlbenchError("a learning rate that fades needs to know how many steps there are (--stage-steps)")
    begun = None
    if begin_from is not None:
        if recipe.copies or size is not None:
            raise TlbenchError(
                f"a generator that begins from {begin_from} has its sizes and copies what it has learned to; leave "
                "--size and --copier out (--begin-from)"
            )
        begin_from = find_generator(begin_from, "begin-from")
        begun = InitCheckpoint(begin_from, open_package(begin_from, read_published))
    parts, devices, say = parts or Splits(), devices or Devices(), notice or _quiet
    reader = _expert(recipe, expert, dataset, find_expert)
    selections = [
        _part(dataset, data_root, split or usual, listed, boxes)
        for split, usual, listed in (
            (parts.train_split, "train", parts.train_list),
            (parts.val_split, "val", parts.val_list),
        )
    ]
    rule = _boxes(selections[0], detector, smooth, face, weights or {})
    settings = {
        "version": VERSION,
        "dataset": dataset,
        "splits": [selection.split for selection in selections],
        "lists": [None if path is None else path.name for path in (parts.train_list, parts.val_list)],
        "boxes": "given" if boxes is not None else rule.identity,
        "recipe": recipe.to_json(),
        "size": _stated_size(size, begun),
        "begun_from": None if begun is None else {"name": begun.name, "sha256": begun.package.source_sha256},
        "expert": None if reader is None else {"name": reader.name, "sha256": reader.sha256},
        "overlap": [] if reader is None else list(reader.overlaps),
        "stage_steps": None if stages.steps is None else list(stages.steps),
        "patience": stages.patience,
        **pace.to_json(),
        "masking": {"share": picking.share, "run": picking.run},
        "guard": {"limit": guard.limit, "window": guard.window},
        "precision": FABRIC_PRECISION[devices.precision],
        "devices": devices.count,
    }
    claim(out, settings, FREE_SETTINGS)
    say("settings " + json.dumps(settings))
    for line in () if reader is None else reader.overlaps:
        warnings.warn(f"{line}; its score will not tell how readable this generator is to others", stacklevel=2)
    fabric = make_fabric(devices.accelerator, devices.count, devices.precision, out)
    teacher = None if reader is None else reader.teacher
    folder = cache if cache is not None else default_cache()
    spell = None if teacher is None else teacher.tokens
    books = [TalkLipDataset(selection, rule, folder, shortest=SHORTEST, spell=spell) for selection in selections]
    for book in books:
        book.prepare(prepared or _silent)
    converted = {**books[0].converted, **books[1].converted}
    if converted:
        clip, was = next(iter(converted.items()))
        say(f"sound of {len(converted)} clips converted to 16 kHz in one channel (the first: {clip}, {was})")
    generator, discriminator, ear = build_networks(recipe, size or "published", teacher, pace.seed, begun)
    taught_by = [] if begun is None else begun.learned_from
    if reader is not None:
        taught_by.append(reader.name)
    training = ReferenceTraining(
        TrainStep(generator, discriminator, teacher, recipe, fabric),
        BatchMaker(ear, teacher, generator.dims.ahead_frames, picking),
        books[0],
        books[1],
        out,
        replace(stages, idle=idle_stages(recipe)),
        pace,
        fabric,
        guard=guard,
        loaders=devices.loaders,
        note={
            **{name: settings[name] for name in NOTED_SETTINGS},
            "trained_with": list(dict.fromkeys(taught_by)),
        },
    )
    until = None if max_seconds is None else began + max_seconds

    def enough() -> bool:
        return (stop is not None and stop()) or (until is not None and time.monotonic() >= until)

    at, done = training.run(tell or _unheard, say, enough)
    failures = {**books[0].failures, **books[1].failures}
    return TrainedReference(out / LAST_NAME, at.l1, at.step, done, failures, converted)


def build_networks(
    recipe: Recipe,
    size: str | Mapping[str, Any],
    teacher: Expert | None,
    seed: int,
    begun: InitCheckpoint | None = None,
) -> tuple[TalkLip, Discriminator, AudioEncoder | None]:
    """A generator, untrained or as far as another, an untrained discriminator, and the former's global audio encoder.

    Raises TlbenchError if there is no such size, or the variant can't begin from that generator.
    """
    import torch

    from tlbench.talklip.checkpoint import generator_to_train_on
    from tlbench.talklip.discriminator import Discriminator
    from tlbench.talklip.generator import TalkLip, dims_for
    from tlbench.training.expert import AudioEncoder

    torch.manual_seed(seed)
    seen = teacher.width if recipe.contrast and teacher is not None else 0
    if begun is not None:
        audio: Literal["global", "local"] = "global" if recipe.hears_all else "local"
        generator = generator_to_train_on(begun.package, begun.path, audio, seen)
        encoder, dims = generator.audio_encoder, generator.dims
        ear = encoder if isinstance(encoder, AudioEncoder) else None
        return generator, Discriminator(dims.width, dims.deepest), ear
    ear = None
    if recipe.hears_all:
        assert teacher is not None  # a variant that hears all reads as well
        ear = teacher.audio_encoder()
    dims = dims_for(size, "local" if ear is None else "global", 0 if ear is None else ear.width, seen)
    return TalkLip(dims, ear), Discriminator(dims.width, dims.deepest), ear


def _stated_size(size: str | Mapping[str, Any] | None, begun: InitCheckpoint | None) -> str | dict[str, Any]:
    if begun is not None:
        return dict(begun.package.config.get("generator") or {})
    if size is None:
        return "published"
    return size if isinstance(size, str) else dict(size)


def idle_stages(recipe: Recipe) -> tuple[int, ...]:
    """Stages that change nothing for a variant: a local audio encoder learns from the start, a base is never read."""
    from tlbench.talklip.stages import LISTENING, READING

    return (() if recipe.hears_all else (LISTENING,)) + (() if recipe.reads else (READING,))


def _expert(
    recipe: Recipe, given: str | None, dataset: str, find: Callable[[str, str], FoundExpert]
) -> FoundExpert | None:
    if recipe.reads and given is None:
        raise TlbenchError(f"variant {recipe.variant!r} learns from a lip reader; name one or give its file (--expert)")
    if not recipe.reads and given is not None:
        raise TlbenchError(f"variant {recipe.variant!r} learns from no lip reader; leave --expert {given} out")
    return None if given is None else find(given, dataset)


def _part(dataset: str, root: Path | None, split: str, listed: Path | None, boxes: Path | None) -> Selection:
    """A part of the data set; of one that has a single part, the clips of a list."""
    if dataset_class(dataset).name == "folder":
        if listed is None:
            raise TlbenchError(
                "folder has one part only: say which clips are learned from and which are judged by "
                "(--train-list, --val-list: one clip id a line)"
            )
        split = "all"
    return load_dataset(dataset, root, split=split, subset=listed, boxes=boxes)


def _boxes(selection: Selection, detector: str, smooth: int, face: str, weights: Mapping[str, Path]) -> BoxRule:
    return choose_rule(selection.fixed_box, detector, smooth, weights, face=face)[0]


def _silent(done: int, total: int) -> None:
    pass


def _unheard(report: TrainingReport) -> None:
    pass


def _quiet(line: str) -> None:
    pass
