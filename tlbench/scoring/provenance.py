"""Where a result comes from: versions, weights, command, type of processor; no machine's name, user or folders."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from tlbench.checkpoints.weights import Weights
from tlbench.json_fields import entries_of, fields_of, optional_text, text
from tlbench.observing.device import LAST_DIGITS, package_versions
from tlbench.version import VERSION

# Options that take names. These may contain a slash (``wer1/sound``, ``other:lab/reader``), but are not paths.
NAMES_FOLLOW = frozenset({"--metrics", "--controls", "--trained-with", "--name", "--view", "--split", "--dataset"})
MOST_WORDS = 10_000  # of a command line, which may name a folder for each system
# What a provenance may have; a record of a leaderboard with anything else is refused.
PROVENANCE_FIELDS = frozenset(
    (
        *("tlbench", "python", "packages", "platform", "command", "weights", "device", "processors", "numbers"),
        *("products", "started", "finished", "generation"),
    )
)


def make_provenance(
    command: Sequence[str],
    weights: Iterable[Weights],
    started: datetime,
    finished: datetime,
    *,
    device: str = "cpu",
    processors: Iterable[str] = (),
    numbers: Mapping[str, str] | None = None,
    products: Mapping[str, str] | None = None,
    generation: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A JSON object for :attr:`tlbench.scoring.result.Result.provenance`.

    Parameters
    ----------
    command : sequence of str
        The words of the command line. Of paths only the last part is kept.
    weights : iterable of Weights
        The checkpoints used.
    started, finished : datetime
        With time zone.
    device : str
        Where networks computed: ``cpu`` or a GPU.
    processors : iterable of str
        The types of processor that computed, see :func:`tlbench.observing.device.processor_type`.
    numbers : mapping of observer to str, optional
        Data type of each network: ``float32`` or ``bfloat16``.
    products : mapping of observer to str, optional
        Matrix product of each network that does not use torch's own.
    generation : mapping, optional
        How the videos were made, see :func:`tlbench.generation.generation_log.origin_of`.
    """
    return {
        "tlbench": VERSION,
        "python": platform.python_version(),
        "packages": package_versions(),
        "platform": f"{platform.system()} {platform.machine()}",
        "command": command_without_folders(command),
        "weights": {
            used.card.name: {
                "sha256": used.sha256,
                "as_published": used.as_published,
                "title": used.card.title,
                "trained_on": used.card.trained_on,
                "licence": used.card.licence,
                "url": used.card.url,
            }
            for used in weights
        },
        "device": device.partition(":")[0],
        "processors": sorted(processors),
        "numbers": dict(numbers or {}),
        **({"products": dict(products)} if products else {}),
        "started": _utc(started),
        "finished": _utc(finished),
        **({"generation": dict(generation)} if generation else {}),
    }


def read_provenance(value: Any) -> Mapping[str, Any]:
    """What :func:`make_provenance` made, from a file that anybody may have written.

    Raises ValueError, or TypeError for what is no list or object, for a field that is missing or of another kind. What
    weights and generation hold is checked by those who read it.
    """
    data = fields_of(value, "provenance")
    for name in ("tlbench", "python", "platform", "device", "started", "finished"):
        text(data.get(name), f"provenance.{name}")
    for name in ("command", "processors"):
        for one in entries_of(data.get(name), f"provenance.{name}", most=MOST_WORDS):
            text(one, f"provenance.{name}")
    for name, version in fields_of(data.get("packages"), "provenance.packages").items():
        optional_text(version, f"provenance.packages.{name}")
    return data


def mixed_processors(where: object, types: Iterable[str]) -> Iterator[str]:
    """A line if numbers were computed on more than one type of processor."""
    found = sorted(set(types))
    if len(found) > 1:
        yield f"{where}: computed on {len(found)} types of processor ({', '.join(found)}); {LAST_DIGITS}"


def _utc(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat(timespec="seconds")


def command_without_folders(words: Sequence[str]) -> list[str]:
    """A command line with only the last part of each path. Arguments of options that take names stay as they are.

    >>> command_without_folders(["tlbench", "score", "/home/me/made", "--metrics", "wer1/sound,psnr/paper"])
    ['tlbench', 'score', 'made', '--metrics', 'wer1/sound,psnr/paper']
    """
    before = ("", *words)
    return [
        word if option in NAMES_FOLLOW or word.partition("=")[0] in NAMES_FOLLOW else without_folders(word)
        for option, word in zip(before, words, strict=False)
    ]


def without_folders(word: str) -> str:
    """One word of a command line with only the last part of its path; ``--opt=path`` and ``name=path`` too.

    >>> without_folders("/data/mvlrs_v1/"), without_folders("syncnet=weights/syncnet_v2.model")
    ('mvlrs_v1', 'syncnet=syncnet_v2.model')
    """
    option, equals, path = word.partition("=")
    if not equals or re.search(r"[/\\]", option):  # the equals sign is part of a path
        option, equals, path = "", "", word
    if os.path.expanduser(path).rstrip("/\\") == os.path.expanduser("~"):  # not Path.home(): not every user has one
        return f"{option}{equals}~"  # its last part would be the user's name
    parts = [part for part in re.split(r"[/\\]", path) if part]
    return f"{option}{equals}{parts[-1] if parts else path}"


def without_option(words: Sequence[str], option: str) -> list[str]:
    """A command line without one option and its value.

    >>> without_option(["tlbench", "score", "made", "--shard", "3/64", "--seed=1"], "--shard")
    ['tlbench', 'score', 'made', '--seed=1']
    """
    before = ("", *words)
    return [
        word
        for previous, word in zip(before, words, strict=False)
        if word != option and previous != option and not word.startswith(f"{option}=")
    ]
