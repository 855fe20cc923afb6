"""``tlbench data``: where data sets are, and those that need no licence: the synthetic corpus, and GRID."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlbench.cli.completion import complete_datasets, complete_one_of, complete_speakers
from tlbench.cli.facts import print_json
from tlbench.cli.grouped_help import CommandGroup
from tlbench.cli.lines import say
from tlbench.cli.options import PATH, SEED, WholeNumber, clip_data_options, json_option, seed_option, take_over_option
from tlbench.document import counted
from tlbench.errors import TlbenchError, quoted

if TYPE_CHECKING:
    from tlbench.datasets.dataset import Dataset
    from tlbench.datasets.locations import Location
    from tlbench.datasets.options import DataOptions


FETCHED = "grid"  # the data set that `fetch` fetches


@click.group("data", cls=CommandGroup)
def command() -> None:
    """Say where data sets are; make and fetch those that need no licence."""


@command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """Every data set: its licence, and where it is on this machine."""
    from tlbench.datasets.dataset import dataset_class, dataset_names
    from tlbench.datasets.locations import find_root
    from tlbench.tables.terminal import folded

    kinds = {name: dataset_class(name) for name in dataset_names()}
    found = {name: None if kind.anonymous else find_root(name) for name, kind in kinds.items()}
    if not as_json:
        for name, kind in kinds.items():
            place = _place(kind, found[name])
            for line in (name, f"  {kind.title}", f"  licence: {kind.licence}", f"  where: {place}", ""):
                click.echo(folded(line, sys.stdout))
        return
    items = [
        {
            "name": name,
            "title": kind.title,
            "licence": kind.licence,
            "layout": kind.layout,
            "folder": None if (location := found[name]) is None else str(location.folder),
            "said_by": None if location is None else location.source,
            "there": location is not None and location.folder.is_dir(),
        }
        for name, kind in kinds.items()
    ]
    print_json(items)


def _place(kind: type[Dataset], found: Location | None) -> str:
    """Where a data set is and who says so, or how to say it."""
    from tlbench.datasets.locations import ways_to_say

    if kind.anonymous:
        return "videos of your own; pass --data-root or --manifest"
    if found is None:
        return f"not known; {ways_to_say(kind.name)}"
    missing = "" if found.folder.is_dir() else ": there is no such folder"
    return f"{found.folder} ({found.source}){missing}"


@command.command("set")
@click.argument("name", shell_complete=complete_datasets)
@click.argument("folder", type=PATH)
@json_option
def set_command(name: str, folder: Path, as_json: bool) -> None:
    """Say once that data set NAME is in FOLDER, for every command that takes --dataset.

    The environment variable of the data set, such as TLBENCH_LRS2, wins over it, and --data-root over both.
    """
    from tlbench.datasets.dataset import dataset_class
    from tlbench.datasets.locations import set_root

    kind = dataset_class(name)
    if kind.anonymous:
        raise TlbenchError(f"data set {quoted(name)} is videos of your own; pass their folder as --data-root")
    written = set_root(name, folder)
    if as_json:
        print_json({"name": name, "folder": folder, "written_to": written})
    else:
        say(f"{name}: {folder}, written to {written}")


@command.command("synth")
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--part", type=click.Choice(["sentences", "words", "all"]), default="all", show_default=True, help="What to render."
)
@click.option("--train", type=WholeNumber(min=0), metavar="N", help="Sentences to train with.  [default: 4000]")
@click.option("--val", type=WholeNumber(min=0), metavar="N", help="Sentences to validate with.  [default: 120]")
@click.option("--test", type=WholeNumber(min=0), metavar="N", help="Sentences to test with.  [default: 120]")
@click.option("--word-train", type=WholeNumber(min=0), metavar="N", help="Clips a word to train with.  [default: 30]")
@click.option("--word-val", type=WholeNumber(min=0), metavar="N", help="Clips a word to validate with.  [default: 2]")
@click.option("--word-test", type=WholeNumber(min=0), metavar="N", help="Clips a word to test with.  [default: 2]")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of all that is drawn at random.")
@click.option("--workers", type=WholeNumber(min=1), metavar="N", help="Processes side by side.  [default: one a core]")
@take_over_option
@json_option
def synth(
    out: Path,
    part: str,
    train: int | None,
    val: int | None,
    test: int | None,
    word_train: int | None,
    word_val: int | None,
    word_test: int | None,
    seed: int,
    workers: int | None,
    take_over: bool,
    as_json: bool,
) -> None:
    """Render talking faces into the folder OUT; needs the extra 'demo'.

    The bundled observers '*-synthetic' were trained with seed 0 and the default sizes. A clip does not depend on the
    sizes, so more clips may be added to the same folder later. An interrupted run goes on where it stopped.
    """
    from tlbench.cli.progress import CountProgress
    from tlbench.datasets.synthetic.corpus import PARTS, Sizes, render_corpus

    usual = Sizes()
    sizes = Sizes(
        usual.train if train is None else train,
        usual.val if val is None else val,
        usual.test if test is None else test,
        usual.word_train if word_train is None else word_train,
        usual.word_val if word_val is None else word_val,
        usual.word_test if word_test is None else word_test,
    )
    with CountProgress("rendering", "clips") as progress:
        rendered = render_corpus(
            out,
            seed=seed,
            sizes=sizes,
            parts=PARTS if part == "all" else (part,),
            workers=workers,
            take_over=take_over,
            progress=progress,
        )
    if as_json:
        print_json({"out": out, "rendered": rendered})
    else:
        say(f"{out}: {counted(rendered, 'clip')} rendered now")


@command.command("drive")
@clip_data_options
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FOLDER", help="Where it is written.")
@seed_option
@take_over_option
@json_option
def drive(data: DataOptions, out: Path, seed: int, take_over: bool, as_json: bool) -> None:
    """Write what a generator is driven with to see what leaks from the source video.

    For each clip of the data set three sound files as long as its video: silence, the speech of another clip and its
    own. OUT/drive.json says which video and which sound belong together. Generate each pair with any generator, write
    the videos to GENERATED/silent/<id>.mp4, GENERATED/mismatched/<id>.mp4 and GENERATED/matched/<id>.mp4, and score
    them with `tlbench score GENERATED --drive OUT`.
    """
    from tlbench.cli.progress import CountProgress
    from tlbench.generation.make_drive import make_drive

    with CountProgress("listening", "clips") as progress:
        made = make_drive(out, data, seed=seed, take_over=take_over, progress=progress)
    cut = sum(item.cut_seconds > 0 for item in made.of_kind("mismatched").values())
    if as_json:
        print_json({"out": out, "sounds": len(made.items), "clips": len(made.clips), "cut": cut})
    else:
        say(f"{out}: {counted(len(made.items), 'sound')} for {counted(len(made.clips), 'clip')}")
    if cut:
        say(f"{cut} of the speeches of another clip are longer than the video and were cut", err=True)


@command.command("info")
@click.argument("root", type=click.Path(path_type=Path))
@json_option
@click.pass_context
def info(context: click.Context, root: Path, as_json: bool) -> None:
    """Hash every file of the synthetic corpus in ROOT and print what has changed since it was rendered.

    Exit code: 0 nothing has changed, 1 something has, 2 there is no complete corpus.
    """
    from tlbench.cli.progress import CountProgress
    from tlbench.datasets.synthetic.corpus import check_corpus, corpus_seed

    with CountProgress("hashing", "files") as progress:
        problems = check_corpus(root, progress)
    if as_json:
        print_json({"root": root, "seed": corpus_seed(root), "changed": list(problems)})
        context.exit(1 if problems else 0)
    for line in problems:
        say(line)
    if problems:
        say(
            f"{root}: {counted(len(problems), 'file has', 'files have')} changed; run `tlbench data synth {root}` again"
        )
        context.exit(1)
    say(f"{root}: synthetic corpus, seed {corpus_seed(root)}, unchanged")


@command.command("fetch")
@click.argument("dataset", metavar="grid", shell_complete=complete_one_of((FETCHED,)))
@click.argument("root", type=click.Path(path_type=Path), required=False)
@click.option(
    "--speakers",
    default="s1",
    show_default=True,
    metavar="NAMES",
    shell_complete=complete_speakers,
    help="With commas: s1,s4; s1 to s34 without s21; or all.",
)
@click.option("--per-speaker", type=WholeNumber(min=1), metavar="N", help="Only N clips of each speaker, 400 kB each.")
@click.option(
    "--clips",
    metavar="IDS",
    shell_complete=complete_one_of(("sample",)),
    help="Only these clips, with commas: s1/bbaf2n,s4/lbax4n; or sample, those of grid-sample.",
)
@click.option("--split", is_flag=True, help="Write split_*.txt by speaker: those tested on are never trained on.")
@take_over_option
@json_option
def fetch(
    dataset: str,
    root: Path | None,
    speakers: str,
    per_speaker: int | None,
    clips: str | None,
    split: bool,
    take_over: bool,
    as_json: bool,
) -> None:
    """Fetch GRID, real people who read short sentences (CC BY 4.0, Zenodo 3625687), into the folder ROOT.

    A whole speaker has about 0.5 GB. Single clips are taken out of the public archives by parts of them, with
    fetched_clips.json to say which, from where, and their hashes. Existing files are kept, an interrupted download goes
    on. Score it with --dataset grid.
    """
    from tlbench.arguments import as_names
    from tlbench.cli.progress import DownloadProgress
    from tlbench.datasets.fetch_grid import ALIGNMENTS, SPEAKERS, check_speakers, fetch_grid
    from tlbench.datasets.fetch_grid_clips import fetch_grid_clips, parse_clips, write_speaker_splits

    if dataset != FETCHED or root is None:
        raise TlbenchError(f"what is fetched is GRID: tlbench data fetch {FETCHED} {root or dataset}")
    if clips is not None and per_speaker is not None:
        raise TlbenchError("--clips and --per-speaker are two ways to choose; give one of them")
    names = SPEAKERS if speakers == "all" else as_names(speakers) or ()
    check_speakers(names)
    wanted: dict[str, list[str] | int | None] = dict.fromkeys(names, per_speaker)
    if clips is not None:
        wanted = dict(parse_clips(as_names(clips) or ()))
    tell = (lambda _: None) if as_json else say  # each download when it is done
    with DownloadProgress(f"{ALIGNMENTS}.zip") as progress:
        paths = [fetch_grid(root, ALIGNMENTS, progress, take_over=take_over)]
    tell(paths[0])
    for name, some in wanted.items():
        with DownloadProgress(name if some else f"{name}.zip") as progress:
            if some is None:
                there = [fetch_grid(root, name, progress, take_over=take_over)]
            else:
                there = fetch_grid_clips(root, name, some, progress, take_over=take_over)
        tell(there[0] if some is None else f"{root / name}: {counted(len(there), 'clip')}")
        paths += there
    parts = write_speaker_splits(root) if split else {}
    for part, count in parts.items():
        tell(f"{root / f'split_{part}.txt'}: {counted(count, 'clip')}")
    if as_json:
        print_json({"fetched": paths, "splits": parts})
