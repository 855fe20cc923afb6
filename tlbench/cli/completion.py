"""What a shell completes: the values of options and arguments that are names, or files as well as names.

click asks these functions with the word that is typed; see docs/commands.md for how a shell is told of them. They know
the words before it (``context.params``), so that a split is one of the data set that was given. A mistake on the way,
such as two packages that bring one metric, completes to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    from tlbench.checkpoints.card import Card
    from tlbench.metrics.sets import AnyMetric

_Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def complete_datasets(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Names of data sets, each with its title."""
    from tlbench.datasets.dataset import dataset_class, dataset_names

    return _beginning(word, lambda: ((name, dataset_class(name).title) for name in dataset_names()))


def complete_splits(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Splits of the data set that ``--dataset`` names: those of its folder, or the published ones if it has none."""
    return _beginning(word, lambda: ((split, "") for split in _splits(context)))


def complete_clips(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Ids of the clips of the data set and split that were given, each with its transcript or word."""
    return _beginning(word, lambda: _clips(context))


def complete_checkpoints(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Names of checkpoints, each with its title."""
    return _beginning(word, lambda: _cards(lambda card: True))


def complete_weights(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """As :func:`complete_checkpoints`; after ``NAME=``, files."""
    return _files_after_equals(word) or complete_checkpoints(context, parameter, word)


def complete_training_checkpoints(
    context: click.Context, parameter: click.Parameter, word: str
) -> list[CompletionItem]:
    """Checkpoints that a system may have been trained with, or ``none``; the last of a list with commas."""
    none = ("none", "trained with no observer's checkpoint")
    return _last_of_list(word, lambda: (none, *_cards(lambda card: True)))


def complete_own_checkpoints(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Checkpoints of the observer that is trained; files."""
    observer = _first_argument(context, "observer")
    return _or_file(word, lambda: _cards(lambda card: card.observer == observer))


def complete_generator_checkpoints(
    context: click.Context, parameter: click.Parameter, word: str
) -> list[CompletionItem]:
    """Checkpoints of generators, each with its title; files."""
    from tlbench.generation.registry import generator_cards

    return _or_file(word, lambda: ((card.name, card.title) for card in generator_cards()))


def complete_experts(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Checkpoints of lip readers that a generator can learn from, each with its title; files."""
    from tlbench.observing.registry import observers_with

    return _or_file(word, lambda: _cards(lambda card: card.observer in observers_with("expert")))


def complete_metrics(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Names of metrics, and their keys once a name is written out; the last of a list with commas."""
    return _last_of_list(word, lambda: _metrics(word))


def complete_metric_choice(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """As :func:`complete_metrics`, and what selects several: arithmetics, presets, observers that have metrics."""
    return _last_of_list(word, lambda: dict([*_metrics(word), *_groups_of_metrics()]).items())


def complete_presets(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Names of presets, each with what it is for."""
    from tlbench.metrics.presets import PRESETS

    return _beginning(word, lambda: ((preset.name, preset.description) for preset in PRESETS.values()))


def complete_comparison_columns(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Columns of a comparison; the last of a list with commas."""
    from tlbench.comparison.comparison_table import COLUMNS

    return _last_of_list(word, lambda: ((name, "") for name in COLUMNS))


def complete_views(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """``OBSERVER=VIEW`` for the views of every observer, and ``OBSERVER=auto``, each with the view's id."""
    from tlbench.checkpoints.catalogue import observer_names
    from tlbench.observing.registry import observer_class

    return _beginning(
        word,
        lambda: (
            (f"{observer}={view}", view_id)
            for observer in observer_names()
            for view, view_id in {**observer_class(observer).views, "auto": "by the size of the frames"}.items()
        ),
    )


def complete_trained_views(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Views of the network that is trained, each with its id."""
    from tlbench.training.registry import find_trainable

    return _beginning(word, lambda: find_trainable(_first_argument(context, "observer")).views().items())


def complete_sizes(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Sizes of the network that is trained; files."""
    from tlbench.training.registry import find_trainable

    return _or_file(word, lambda: ((size, "") for size in find_trainable(_first_argument(context, "observer")).sizes))


def complete_generators(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Names of generators and their checkpoints, of controls, ``command`` for another repository's script; files."""
    from tlbench.generation.registry import generator_choices

    names = _or_file(word, lambda: ((name, "") for name in (*generator_choices(), "command")))
    return _files_after_equals(word) or names


def complete_controls(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Names of controls, and ``all``; the last of a list with commas."""
    from tlbench.generation.controls import CONTROLS

    return _last_of_list(word, lambda: (("all", ""), *((known.name, "") for known in CONTROLS)))


def complete_faults(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Names of faults; the last of a list with commas."""
    from tlbench.generation.faults import FAULTS

    return _last_of_list(word, lambda: ((fault.name, "") for fault in FAULTS))


def complete_trainables(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Names of what ``train-observer`` trains."""
    from tlbench.training.registry import trainable_names

    return _beginning(word, lambda: ((name, "") for name in trainable_names()))


def complete_recipes(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Names of recipes for scripts of other repositories; files."""
    from tlbench.generation.recipe import recipe_names

    return _or_file(word, lambda: ((name, "") for name in recipe_names()))


def complete_settings(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """``NAME=VALUE`` of the settings of the recipe that was given, with the values that it has."""
    from tlbench.generation.recipe import find_recipe

    return _beginning(
        word,
        lambda: (
            (f"{name}={value}", "") for name, value in find_recipe(context.params.get("recipe") or "").settings.items()
        ),
    )


def complete_speakers(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Speakers of GRID, and ``all``; the last of a list with commas."""
    from tlbench.datasets.fetch_grid import SPEAKERS

    return _last_of_list(word, lambda: ((name, "") for name in (*SPEAKERS, "all")))


def complete_systems(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Names of the systems on the leaderboards in ``--board``, each with its data set."""
    return _beginning(word, lambda: _systems(Path(context.params.get("board") or "")))


def complete_methods(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """``NAME=`` for each method of the study that was given; files, also after ``NAME=``."""
    from tlbench.study.store import Store

    def methods() -> list[tuple[str, str]]:
        with Store(Path(_first_argument(context, "study"))) as store:
            return [(f"{name}=", "") for name in store.answers().conditions]

    return _files_after_equals(word) or _or_file(word, methods)


def complete_named_files(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Files, after a ``NAME=`` that is free."""
    return _files_after_equals(word)


def complete_one_of(names: Iterable[str], *, or_file: bool = False) -> _Complete:
    """A function as those above, for names that are known without looking anything up."""
    known = tuple((name, "") for name in names)
    return lambda context, parameter, word: (_or_file if or_file else _beginning)(word, lambda: known)


complete_devices = complete_one_of(("auto", "cpu", "cuda"))  # which GPUs there are is not looked up: that loads torch
complete_faces = complete_one_of(("largest", "central"))


def _first_argument(context: click.Context, name: str) -> str:
    """The first word that is no option, "" without one. click reads none while an option waits for its value."""
    value = context.params.get(name)
    return str(value or next(iter(context.args), ""))


def _splits(context: click.Context) -> Iterable[str]:
    from tlbench.datasets.dataset import Source, dataset_class
    from tlbench.datasets.locations import find_root

    dataset = dataset_class(context.params.get("dataset") or "")()
    given, manifest = context.params.get("data_root"), context.params.get("manifest")
    found = find_root(dataset.name, None if given is None else Path(given))
    if found is None and (dataset.needs_root or (dataset.anonymous and manifest is None)):
        return dataset.expected_clips
    source = Source(None if found is None else found.folder, None if manifest is None else Path(manifest))
    return [split for split in dataset.splits(source) if split not in dataset.refused_splits]


def _clips(context: click.Context) -> Iterable[tuple[str, str]]:
    from tlbench.datasets.selection import load_dataset

    given = context.params
    loaded = load_dataset(
        given.get("dataset") or "", given.get("data_root"), split=given.get("split"), manifest=given.get("manifest")
    )
    return [(clip.id, clip.transcript or clip.word or "") for clip in loaded.clips]


def _systems(board: Path) -> Iterator[tuple[str, str]]:
    """Names in the records, which are read and not checked: that would take seconds."""
    from tlbench.files import BOARD_RECORD, read_outside
    from tlbench.json_input import parse_json

    for path in sorted(board.glob("*/*.json")):
        try:
            record = parse_json(read_outside(path, BOARD_RECORD))
        except (OSError, ValueError):
            continue
        for part in (record, record.get("result")) if isinstance(record, dict) else ():
            if isinstance(part, dict) and isinstance(part.get("name"), str):
                yield part["name"], path.parent.name


def _cards(wanted: Callable[[Card], bool]) -> list[tuple[str, str]]:
    from tlbench.checkpoints.catalogue import known_cards

    return [(card.name, card.title) for card in known_cards() if wanted(card)]


def _metrics(word: str) -> Iterable[tuple[str, str]]:
    """Names of metrics with their labels; those of the metric that is written out with its arithmetics."""
    from tlbench.metrics.catalogue import all_metrics
    from tlbench.metrics.sets import SET_METRICS

    last = word.rpartition(",")[2]
    metrics: list[AnyMetric] = [*all_metrics(), *SET_METRICS]
    keys = "/" in last or last in {metric.name for metric in metrics}
    return dict.fromkeys(
        (metric.key if keys and metric.name == last.partition("/")[0] else metric.name, metric.label)
        for metric in metrics
    )


def _groups_of_metrics() -> Iterable[tuple[str, str]]:
    from tlbench.metrics.catalogue import all_metrics
    from tlbench.metrics.presets import PRESETS

    observers = dict.fromkeys(metric.observer for metric in all_metrics() if not metric.parts)
    return [
        *((arithmetic, f"{arithmetic} arithmetic") for arithmetic in ("paper", "sound")),
        *((observer, f"all of observer {observer}") for observer in observers),
        *((preset.name, preset.description) for preset in PRESETS.values()),
    ]


def _last_of_list(word: str, known: Callable[[], Iterable[tuple[str, str]]]) -> list[CompletionItem]:
    before, comma, last = word.rpartition(",")
    return [
        CompletionItem(before + comma + item.value, help=item.help)
        for item in _beginning(last, known)
        if item.value not in before.split(",")
    ]


def _or_file(word: str, known: Callable[[], Iterable[tuple[str, str]]]) -> list[CompletionItem]:
    """Names, or files: bash offers files if no name fits, which it does only if they are said before the names."""
    return [CompletionItem(word, type="file"), *_beginning(word, known)]


def _files_after_equals(word: str) -> list[CompletionItem]:
    """The files of ``NAME=FILE``; none before the ``=``.

    bash completes the part after the ``=`` as a file by itself, if that is said last; other shells are given the files.
    """
    name, equals, path = word.partition("=")
    if not equals:
        return []
    folder, slash, _ = path.rpartition("/")
    try:
        there = sorted(Path(folder + slash or ".").expanduser().iterdir())
    except OSError:
        there = []
    files = [f"{folder}{slash}{entry.name}{'/' if entry.is_dir() else ''}" for entry in there]
    named = [CompletionItem(f"{name}={file}") for file in files if file.startswith(path)]
    return [*named, CompletionItem(word, type="file")]


def _beginning(word: str, known: Callable[[], Iterable[tuple[str, str]]]) -> list[CompletionItem]:
    try:
        return [CompletionItem(name, help=title or None) for name, title in known() if name.startswith(word)]
    except TlbenchError:
        return []
