"""``tlbench checkpoints``: list, fetch, import and verify weights."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tlbench.cli.completion import complete_checkpoints, complete_datasets
from tlbench.cli.facts import print_json
from tlbench.cli.grouped_help import CommandGroup
from tlbench.cli.lines import say
from tlbench.cli.options import data_root_option, json_option, limit_option, take_over_option
from tlbench.document import counted

if TYPE_CHECKING:
    from tlbench.checkpoints.card import Card
    from tlbench.checkpoints.package import Package
    from tlbench.verify import GroundTruthCheck, HalfEffect, OriginalDifference


@click.group(cls=CommandGroup)
def command() -> None:
    """List, fetch, import and verify checkpoints.

    tlbench brings small checkpoints of its own. The published ones come from their authors, most for research only.
    """


@command.command("list")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_checkpoints)
@json_option
def list_command(names: tuple[str, ...], as_json: bool) -> None:
    """Every known checkpoint in a line, or all that is known about those called NAME.

    That is its use, training data, licence, address, and whether it is here.
    """
    from tlbench.checkpoints.catalogue import find_card, known_cards
    from tlbench.checkpoints.weights import checkpoint_folder, here, known_hashes
    from tlbench.tables.terminal import folded, terminal_width

    cards, first_seen = [find_card(name) for name in names] or known_cards(), known_hashes()
    if as_json:
        print_json([_facts(card, here(card), first_seen.get(card.name)) for card in cards])
        return
    if names:
        for card in cards:
            for line in _described(card, here(card), first_seen.get(card.name)).split("\n"):
                click.echo(folded(line, sys.stdout))
        return
    for line in _lines(cards, terminal_width() if sys.stdout.isatty() else None):
        say(line)
    say(f"details: tlbench checkpoints list NAME; files are looked for in {checkpoint_folder()}", err=True)


def _facts(card: Card, path: Path | None, first_seen: str | None) -> dict[str, Any]:
    """What ``--json`` says of one checkpoint."""
    return {
        "name": card.name,
        "title": card.title,
        "observer": card.observer or None,
        "file": card.file,
        "url": card.url,
        "trained_on": card.trained_on,
        "domain": None if card.domain is None else card.domain.to_json(),
        "licence": card.licence,
        "view": card.view or None,
        "relatives": card.relatives,
        "used_unnamed": bool(card.observer) and card.default,
        "bundled_for": card.datasets,
        "published": card.published_values,
        "sha256": card.sha256 or None,
        "md5": card.md5 or None,
        "also_called": card.names,
        "sha256_first_seen": first_seen,
        "size_bytes": card.size_bytes or None,
        "here": None if path is None else str(path),
    }


def _lines(cards: Sequence[Card], columns: int | None) -> Iterator[str]:
    """One line for each checkpoint: name, whether it is here, and what it is, cut at the width of the terminal."""
    from tlbench.checkpoints.weights import here

    states = ["bundled" if card.package is not None else "not here" if here(card) is None else "here" for card in cards]
    names, places = max(len(card.name) for card in cards), max(map(len, states))
    for card, state in zip(cards, states, strict=True):
        line = f"{card.name:{names}}  {state:{places}}  {card.title}"
        yield line if columns is None or len(line) <= columns else line[: columns - 3].rstrip() + "..."


def _described(card: Card, path: Path | None, first_seen: str | None) -> str:
    """A few lines about one checkpoint; a table would cut off licences and addresses."""
    if card.sha256:
        known = f"sha256 {card.sha256[:12]} (published)"
    elif card.md5:
        known = f"md5 beginning with {card.md5} (published)"
    else:
        known = f"sha256 {first_seen[:12]} (first seen here)" if first_seen else "no published hash"
    place = "not here" if path is None else f"here, as {'a package' if path.is_dir() else 'the published file'}"
    if card.package is not None:
        place = "bundled"
    if card.size_bytes:
        known += f", {card.size_bytes / 1e6:,.1f} MB"
    lines = [
        f"{card.name}  [{place}]",
        f"  {card.title}",
        f"  trained on: {card.trained_on}",
        f"  licence: {card.licence}",
        f"  from: {card.url}",
        f"  file: {' or '.join((card.file, *card.names))}, {known}",
    ]
    if card.domain is not None:
        lines.append(f"  clips compared with: {card.domain}")
    if card.view:
        lines.append(f"  sees: {card.view}")
    if card.published_values:
        lines.append(
            "  published of ground truth: " + ", ".join(f"{k} {v:g}" for k, v in card.published_values.items())
        )
    if card.datasets:
        lines.append(f"  used: for data set {', '.join(card.datasets)} unless another is given")
    if card.observer and not card.default:
        lines.append(f"  used: only when named, as --weights {card.name}=FILE")
    return "\n".join(lines) + "\n"


@command.command("fetch")
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_checkpoints)
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help="[default: $TLBENCH_CHECKPOINTS]")
@take_over_option
@json_option
def fetch_command(names: tuple[str, ...], out: Path | None, take_over: bool, as_json: bool) -> None:
    """Download checkpoints and check their hashes. An interrupted download goes on where it stopped.

    By fetching a checkpoint you accept the licence that is shown.
    """
    from tlbench.checkpoints.catalogue import find_card
    from tlbench.checkpoints.download import fetch
    from tlbench.checkpoints.weights import checkpoint_folder
    from tlbench.cli.progress import DownloadProgress

    paths: dict[str, Path] = {}
    for card in [find_card(name) for name in names]:
        if card.package is not None:
            click.echo(f"{card.name}: {card.url}; nothing to fetch", err=True)
            paths[card.name] = card.package
            if not as_json:
                say(card.package)
            continue
        click.echo(f"{card.name}: {card.title}\nlicence: {card.licence}", err=True)
        with DownloadProgress(card.file) as progress:
            path = paths[card.name] = fetch(card, out or checkpoint_folder(), progress, take_over=take_over)
        if not as_json:
            say(path)
    if as_json:
        print_json(paths)


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--as",
    "name",
    required=True,
    metavar="NAME",
    shell_complete=complete_checkpoints,
    help="Which checkpoint this is: avhubert, conformer, ...",
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help="[default: where it is found]")
@json_option
def import_command(file: Path, name: str, out: Path | None, as_json: bool) -> None:
    """Convert a published FILE to a package of safetensors and plain text, which loads faster and can't run code.

    The file is read without running code that may be in it, and refused if it has more than tensors and plain data. The
    package gives the same numbers and the same protocol as the file.
    """
    from tlbench.checkpoints.catalogue import find_card
    from tlbench.checkpoints.package import write_package
    from tlbench.checkpoints.weights import checkpoint_folder
    from tlbench.errors import TlbenchError
    from tlbench.verify import reader_of, weights_of

    card = find_card(name)
    if card.package is not None:
        raise TlbenchError(f"checkpoint {card.name!r} is bundled with tlbench, so no file is imported as it (--as)")
    package = reader_of(card)(file)
    folder = out or checkpoint_folder() / card.name
    write_package(package, folder)
    weights_of(card, folder)  # warns if the card knows another hash
    if as_json:
        print_json({"package": folder, "observer": package.observer, "source_sha256": package.source_sha256})
    else:
        say(folder)
    for line in _contents(package):
        say(line, err=True)


def _contents(package: Package) -> Iterator[str]:
    """The contents of a package, so that people can see whether it is the right file."""
    count = sum(tensor.numel() for tensor in package.tensors.values())
    yield f"{package.observer}: {count:,} numbers in {counted(len(package.tensors), 'tensor')}"
    for name, value in package.config.items():
        if isinstance(value, dict):
            yield f"{name}: " + ", ".join(f"{key} {inner}" for key, inner in value.items())
        elif isinstance(value, list):
            yield f"{name}: {counted(len(value), 'entry', 'entries')}"
        elif value:
            yield f"{name}: {value}"
    for name, content in package.files.items():
        yield f"{name}: {len(content):,} bytes"
    yield f"made of {package.source_file}, sha256 {package.source_sha256}"


@command.command("verify")
@click.argument("name", shell_complete=complete_checkpoints)
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Instead of the file in the checkpoint folder.",
)
@click.option(
    "--dataset",
    metavar="NAME",
    shell_complete=complete_datasets,
    help="Also score its real videos and compare with the published value.",
)
@data_root_option
@limit_option
@click.option("--compare-bf16", is_flag=True, help="Also count the clips that are read differently in bfloat16.")
@click.option(
    "--against",
    type=click.Choice(["original"]),
    help="Also read the clips by the original package, and print the differences.",
)
@click.option(
    "--original-code",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="A clone of av_hubert or auto_avsr, which are in no package, for --against original. Its code is run.",
)
@json_option
@click.pass_context
def verify_command(
    context: click.Context,
    name: str,
    file: Path | None,
    dataset: str | None,
    data_root: Path | None,
    limit: int | None,
    compare_bf16: bool,
    against: str | None,
    original_code: Path | None,
    as_json: bool,
) -> None:
    """Load the checkpoint NAME and run it on a made-up clip; with a data set, score its real videos too.

    --against original needs the original packages, see docs/live.md.

    Exit code: 0 all well; 1 it is not the published file, a published value is outside the interval, the original gives
    other values, or clips could not be scored; 2 it does not work.
    """
    from tlbench.checkpoints.catalogue import find_card
    from tlbench.cli.progress import ScoreProgress
    from tlbench.errors import TlbenchError
    from tlbench.verify import (
        half_precision_check,
        has_published_value,
        original_check,
        published_check,
        self_test,
        weights_of,
    )

    if dataset is None and data_root is not None:
        raise TlbenchError(f"--data-root {data_root}: of which data set? pass --dataset too")
    if original_code is not None and against is None:
        raise TlbenchError(f"--original-code {original_code}: for what? pass --against original too")
    if file is None and Path(name).exists():
        raise TlbenchError(f"{name} is a file; say which checkpoint it should be: verify NAME --file {name}")
    weights = weights_of(find_card(name), file)
    facts: dict[str, Any] = {"name": name, "file": weights.path, "as_published": weights.as_published}

    def tell(field: str, value: Any, *lines: str) -> None:
        """Print lines for people at once, or keep the value for the one document at the end."""
        facts[field] = value
        for line in () if as_json else lines:
            say(line)

    state = {True: "the published file", False: "NOT the published file", None: "no published hash to compare with"}
    tell("sha256", weights.sha256, f"{name}: {weights.path}", f"sha256 {weights.sha256}: {state[weights.as_published]}")
    passed = self_test(weights)
    tell("self_test", passed, f"self-test passed: {passed}")
    if compare_bf16:
        effect = half_precision_check(weights, dataset, data_root, limit=limit)
        tell("half_precision", asdict(effect), _effect(effect))
    well = weights.as_published is not False
    if against is not None:
        differences = original_check(weights, dataset, data_root, limit=limit, code=original_code)
        tell("against_original", [asdict(one) for one in differences], *_against(differences))
        well &= all(difference.equal for difference in differences)
    # without a published value the clips were for these comparisons only
    others_only = (compare_bf16 or against) and dataset and not has_published_value(weights.card, dataset)
    if dataset is not None and not others_only:
        with ScoreProgress() as progress:
            compared = published_check(weights, dataset, data_root, limit=limit, progress=progress)
        tell("published", [{**asdict(one), "agrees": one.agrees} for one in compared], *map(_verdict, compared))
        well &= all(comparison.agrees and comparison.scored == comparison.expected for comparison in compared)
    if as_json:
        print_json(facts)
    context.exit(0 if well else 1)


def _effect(found: HalfEffect) -> str:
    return (
        f"half precision: {found.differing} of {counted(found.clips, 'clip')} read differently, "
        f"{found.edits} of {counted(found.symbols, 'symbol')}"
    )


def _against(found: Sequence[OriginalDifference]) -> Iterator[str]:
    """Every value that differs, and the largest difference of those that do not."""
    for one in found:
        if not one.equal:
            yield f"clip {one.clip_id}, {one.name}: original {one.original}, ours {one.ours}"
    clips = len({one.clip_id for one in found})
    for name in dict.fromkeys(one.name for one in found):
        values = [one for one in found if one.name == name]
        same = sum(one.equal for one in values)
        gaps = [one.largest for one in values if one.largest is not None]
        apart = f", largest difference {max(gaps):.1e}" if gaps else ""
        yield f"against the original, {name}: equal in {same} of {counted(clips, 'clip')}{apart}"


def _verdict(found: GroundTruthCheck) -> str:
    interval = "" if found.low is None else f" [{found.low:.2f}, {found.high:.2f}]"
    said = "in the interval" if found.agrees else "NOT in the interval"
    what = f"{found.metric} of ground truth, {found.scored} of {counted(found.expected, 'clip')}"
    return f"{what}: {found.value:.2f}{interval}, published {found.published:g}: {said}"
