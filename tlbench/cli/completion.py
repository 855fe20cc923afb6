"""What a shell completes: names of data sets, checkpoints, metrics, presets, generators, controls, faults and others.

click asks these functions with the word that is typed; see docs/commands.md for how a shell is told of them. A mistake
on the way, such as two packages that bring one metric, completes to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from tlbench.errors import TlbenchError

_Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def complete_datasets(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Names of data sets, each with its title."""
    from tlbench.datasets.dataset import dataset_class, dataset_names

    return _beginning(word, lambda: ((name, dataset_class(name).title) for name in dataset_names()))


def complete_checkpoints(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Names of checkpoints, each with its title."""
    from tlbench.checkpoints.catalogue import known_cards

    return _beginning(word, lambda: ((card.name, card.title) for card in known_cards()))


def complete_checkpoint_list(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """As :func:`complete_checkpoints`, the last of a list with commas."""
    from tlbench.checkpoints.catalogue import known_cards

    return _last_of_list(word, lambda: ((card.name, card.title) for card in known_cards()))


def complete_metrics(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Names of metrics, and their keys once a name is written out; the last of a list with commas."""
    from tlbench.metrics.catalogue import all_metrics

    last = word.rpartition(",")[2]
    names = {metric.name for metric in all_metrics()}
    keys = "/" in last or last in names
    return _last_of_list(
        word,
        lambda: dict.fromkeys(
            (metric.key if keys and metric.name == last.partition("/")[0] else metric.name, metric.label)
            for metric in all_metrics()
        ),
    )


def complete_presets(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Names of presets, each with what it is for."""
    from tlbench.metrics.presets import PRESETS

    return _beginning(word, lambda: ((preset.name, preset.description) for preset in PRESETS.values()))


def complete_generators(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Names of generators and their checkpoints, of controls, and ``command`` for a script of another repository."""
    from tlbench.generation.registry import generator_choices

    return _beginning(word, lambda: ((name, "") for name in (*generator_choices(), "command")))


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
    """Names of recipes for scripts of other repositories."""
    from tlbench.generation.recipe import recipe_names

    return _beginning(word, lambda: ((name, "") for name in recipe_names()))


def complete_one_of(names: Iterable[str]) -> _Complete:
    """A function as those above, for names that are known without looking anything up."""
    known = tuple(names)
    return lambda context, parameter, word: _beginning(word, lambda: ((name, "") for name in known))


def _last_of_list(word: str, known: Callable[[], Iterable[tuple[str, str]]]) -> list[CompletionItem]:
    before, comma, last = word.rpartition(",")
    return [
        CompletionItem(before + comma + item.value, help=item.help)
        for item in _beginning(last, known)
        if item.value not in before.split(",")
    ]


def _beginning(word: str, known: Callable[[], Iterable[tuple[str, str]]]) -> list[CompletionItem]:
    try:
        return [CompletionItem(name, help=title or None) for name, title in known() if name.startswith(word)]
    except TlbenchError:
        return []
