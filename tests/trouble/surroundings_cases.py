"""Every command in odd surroundings: closed and full outputs, full disks, no home, few descriptors, a false clock."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from tests.factories.leaderboard_factory import filed_result
from tests.factories.media_factory import tone, write_clip
from tests.factories.observer_weights import formula_weights
from tests.factories.training_factory import make_training_set
from tests.trouble.children import Outcome, run
from tests.trouble.media_cases import Verdict
from tlbench.cli.main import group
from tlbench.litter import is_temporary

SECONDS = 300.0  # the demo takes two minutes of a core
DATA = ("--dataset", "folder", "--data-root", "real")
BOXED = (*DATA, "--boxes", "boxes")
QUICK = ("--accelerator", "cpu", "--size", "tiny")

# What each command is given in the world of `make_world`: a right call, as quick as it can be. {out} is the place for
# what it writes.
CALLS: dict[str, tuple[str, ...]] = {
    "merge": ("sharded",),
    "metrics list": (),
    "metrics presets": (),
    "observers list": (),
    "demo": ("{out}", "--sentences", "2", "--words", "0", "--workers", "1"),
    "check": ("made", *BOXED),
    "score": ("made", "other", *BOXED, "--metrics", "psnr", "--out", "{out}", "--workers", "1"),
    "compare": ("results/made", "results/other"),
    "table": ("results/made", "results/other"),
    "report": ("results/made", "--out", "{out}/page.html"),
    "aggregate": ("results/made",),
    "boxes": ("{out}", *DATA),
    "controls": ("{out}", *BOXED, "--kinds", "frozen-mouth"),
    "checkpoints fetch": ("mvm", "--out", "{out}"),
    "checkpoints import": ("syncnet_v2.model", "--as", "syncnet", "--out", "{out}"),
    "checkpoints list": (),
    "checkpoints verify": ("syncnet", "--file", "syncnet_v2.model"),
    "calibrate": (*BOXED, "--metrics", "psnr", "--faults", "blur", "--out", "{out}"),
    "data drive": ("--out", "{out}", *DATA),
    "data fetch": ("grid", "{out}", "--speakers", "s35"),
    "data info": ("corpus",),
    "data list": (),
    "data set": ("lrs2", "real"),
    "data synth": ("{out}", "--part", "sentences", "--train", "0", "--val", "0", "--test", "1"),
    "train-observer": (
        *("avhubert", "--dataset", "lrs2", "--data-root", "lrs2", *QUICK, "--batch-frames", "30"),
        *("--validate-every", "1", "--val-clips", "1", "--steps", "1", "--out", "{out}"),
    ),
    "train-reference": (
        *(*BOXED, "--train-list", "a.txt", "--val-list", "b.txt", "--variant", "base-no-lip-gan", *QUICK),
        *("--batch-clips", "1", "--stage-steps", "1,0,0", "--out", "{out}"),
    ),
    "generate": ("--generator", "generator", *BOXED, "--out", "{out}", "--device", "cpu"),
    "plot embeddings": ("syncnet_v2.model", "--words", "A,B", *DATA, "--out", "{out}/plot.png"),
    "plot snapshots": ("made", *DATA, "--clip", "a", "--out", "{out}/strip.png"),
    "study new": (
        *("{out}", "--method", "a=made", "--method", "b=other", "--dataset", "folder", "--manifest", "clips.csv"),
        *("--clips", "3", "--checks", "0", "--reading-clips", "0", "--participants", "3"),
    ),
    "study progress": ("study",),
    "study results": ("study",),
    "study serve": ("no-study",),
    "view": ("no-results",),
    "leaderboard add": ("one", "--trained-with", "none", "--board", "{out}"),
    "leaderboard build": ("--board", "board"),
    "leaderboard check": ("--board", "board"),
}


@dataclass(frozen=True)
class Surrounding:
    """One way in which the surroundings of a command are odd.

    Attributes
    ----------
    name : str
    shell : str
        Lines of bash that run the command, which is ``"$@"``. The world is the current folder.
    environment : tuple of (name, value)
    prelude : str
        Lines of Python that run before the command.
    out : str
        Where the command writes, in place of ``{out}``.
    codes : set of int
        Exit codes that are right here, whatever the command.
    loses : bool
        Whether what goes to stdout can't arrive, so that a command which prints has to say so and to exit with 2.
    """

    name: str
    shell: str = 'exec "$@"'
    environment: tuple[tuple[str, str], ...] = ()
    prelude: str = ""
    out: str = "out"
    loses: bool = False


NOBODY = "setpriv --reuid 65534 --regid 65534 --clear-groups"
IN_A_SMALL_DISK = (
    "unshare -m bash -c 'mkdir -p small && mount -t tmpfs -o size={size} tmpfs small && "
    '{{ "$@"; code=$?; cp -a small kept; exit $code; }}\' bash "$@"'
)
NO_TEMPORARY = "import tempfile; tempfile._candidate_tempdir_list = lambda: ['/nowhere']"
CLOCK = """
import time
_now, _steps = time.time, iter(range(10**9))
time.time = lambda: _now() - 3600 * next(_steps)
"""
# The k-th time that Python opens a file for writing, renames or makes a folder inside the world, it fails.
FAILING = """
import errno, os, sys
left, number, here = [{nth}], errno.{error}, os.getcwd()
def hook(event, words):
    if event == "open":
        path, mode, flags = words
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        path = path if writes else None
    elif event in ("os.rename", "os.mkdir"):
        path = words[0]
    else:
        return
    if isinstance(path, (str, bytes, os.PathLike)) and os.path.abspath(os.fsdecode(path)).startswith(here):
        left[0] -= 1
        if left[0] == 0:
            raise OSError(number, os.strerror(number), os.fsdecode(path))
sys.addaudithook(hook)
"""

SURROUNDINGS = (
    Surrounding("stdout closed", 'exec "$@" >&-', loses=True),
    Surrounding("stderr closed", 'exec "$@" 2>&-'),
    Surrounding("stdin closed", 'exec "$@" <&-'),
    Surrounding("all closed", 'exec "$@" <&- >&- 2>&-', loses=True),
    Surrounding("stdout full", 'exec "$@" >/dev/full', loses=True),
    Surrounding("stderr full", 'exec "$@" 2>/dev/full'),
    Surrounding("both full", 'exec "$@" >/dev/full 2>&1', loses=True),
    Surrounding("stdout a broken pipe", '"$@" | true; exit ${PIPESTATUS[0]}'),
    Surrounding("stdout read for one line", '"$@" | head -1; exit ${PIPESTATUS[0]}'),
    Surrounding("stderr a broken pipe", 'set -o pipefail; { "$@" 2>&3 | cat; } 3>&1 >/dev/null | true'),
    *(Surrounding(f"files of {kb} kB at most", f'ulimit -f {kb}; exec "$@"') for kb in (0, 1, 8, 64)),
    *(
        Surrounding(f"a disk of {size}", IN_A_SMALL_DISK.format(size=size), out="small/out")
        for size in ("4k", "16k", "64k", "256k")
    ),
    Surrounding("a disk that is read only", IN_A_SMALL_DISK.format(size="64k,ro"), out="small/out"),
    Surrounding("no temporary folder", environment=(("TMPDIR", "/nowhere"),), prelude=NO_TEMPORARY),
    Surrounding("TMPDIR is a file", environment=(("TMPDIR", "a.txt"),)),
    Surrounding("no HOME", f'unset HOME; export XDG_CACHE_HOME= ; exec {NOBODY.replace("65534", "54321")} "$@"'),
    Surrounding("HOME that is not there", environment=(("HOME", "/nowhere/at/all"),)),
    Surrounding("HOME is empty", environment=(("HOME", ""),)),
    Surrounding("a user without rights", f'exec {NOBODY} "$@"'),
    Surrounding("XDG folders are files", environment=(("XDG_CACHE_HOME", "a.txt"), ("XDG_DATA_HOME", "/dev/null"))),
    Surrounding("the cache is a file", environment=(("TLBENCH_CACHE", "a.txt"),)),
    Surrounding("the cache is below a device", environment=(("TLBENCH_CACHE", "/dev/null/cache"),)),
    Surrounding("the checkpoints are a file", environment=(("TLBENCH_CHECKPOINTS", "a.txt"),)),
    *(Surrounding(f"{n} processes", f'ulimit -u {n}; exec {NOBODY} "$@"') for n in (1, 3)),
    *(Surrounding(f"{n} file descriptors", f'ulimit -n {n}; exec "$@"') for n in (16, 32)),
    *(Surrounding(f"{mb} MB of memory", f'ulimit -d {mb * 1024}; exec "$@"') for mb in (64, 200, 590, 1024)),
    *(Surrounding(f"{mb} MB of address space", f'ulimit -v {mb * 1024}; exec "$@"') for mb in (30, 150, 500, 650)),
    Surrounding("1 GB of address space", 'ulimit -v 1048576; exec "$@"'),
    Surrounding("a clock that goes back", prelude=CLOCK),
    Surrounding("files from the future", 'find . -exec touch -d "2099-01-01" {} +; exec "$@"'),
    Surrounding(
        "inputs that nobody may write", f'chmod -R a-w,a+rX .; mkdir -m 777 out-; exec {NOBODY} "$@"', out="out-/out"
    ),
    Surrounding("a path of 4,000 bytes", out="/".join(["x" * 99] * 40)),
    Surrounding("a name of 4,000 bytes", out="x" * 4000),
    Surrounding("a name with a newline", out="out\nwith 'quotes\" and\ttabs"),
    Surrounding("a name with a leading dash", out="./-out"),
    Surrounding("a name that is not UTF-8", out="out-\udcff\udce9"),
    Surrounding("a name in ASCII", 'exec env LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 "$@"', out="caf\u00e9"),
    Surrounding(
        "ASCII in all",
        environment=(("LC_ALL", "C"), ("PYTHONIOENCODING", "ascii"), ("PYTHONUTF8", "0"), ("PYTHONCOERCECLOCALE", "0")),
    ),
    Surrounding("a locale that is not there", environment=(("LC_ALL", "xx_YY.nothing"), ("LANG", "q"))),
    *(Surrounding(f"COLUMNS={n}", environment=(("COLUMNS", n),)) for n in ("0", "1", "abc", "-5", "99999999999")),
    Surrounding("TERM=dumb", environment=(("TERM", "dumb"), ("NO_COLOR", "1"))),
    Surrounding("TERM is unknown", environment=(("TERM", "\u00fc"), ("LINES", "x"))),
    Surrounding("a current folder that is gone", 'mkdir gone; cd gone; rmdir ../gone; exec "$@"'),
    Surrounding("the output is a file", 'touch out; exec "$@"'),
    Surrounding("the output is a folder of others", 'mkdir -p out/out; echo mine > out/mine; exec "$@"'),
    Surrounding("the output is a link into nothing", 'ln -s nowhere/at/all out; exec "$@"'),
    Surrounding("the output is a loop of links", 'ln -s out out; exec "$@"'),
    Surrounding("the output is a link to a folder", 'mkdir elsewhere; ln -s elsewhere out; exec "$@"'),
    Surrounding("the output is a device", 'ln -s /dev/null out; exec "$@"'),
    Surrounding("the output is a pipe", 'mkfifo out; exec "$@"'),
    Surrounding("the output is below a file", out="a.txt/out"),
    *(
        Surrounding(f"{error} at write {nth}", prelude=FAILING.format(nth=nth, error=error))
        for nth in (*range(1, 9), 12, 16, 24, 32)
        for error in ("ENOSPC", "EDQUOT", "EIO", "EROFS", "EACCES")
    ),
)


# Commands that make the rest of the world, and where.
MADE = (
    ("score", "results"),
    ("leaderboard add", "board"),
    ("study new", "study"),
    ("data synth", "corpus"),
    ("train-reference", "trained"),
)


def leaf_commands(command: click.Command = group, path: tuple[str, ...] = ()) -> Iterator[str]:
    """The names of all commands that do something, from the tree of the command line: ``leaderboard add``."""
    context = click.Context(command)
    if not isinstance(command, click.Group):
        yield " ".join(path)
        return
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below is not None
        yield from leaf_commands(below, (*path, name))


def make_world(folder: Path) -> Path:
    """Small inputs for every command of :data:`CALLS`."""
    for role, crf in (("real", "18"), ("made", "30"), ("other", "40")):
        (folder / role).mkdir(parents=True)
        for number, name in enumerate("abc"):
            sound = tone(0.6, hertz=400 + number)
            path, options = folder / role / f"{name}.mp4", {"crf": crf}
            write_clip(path, frames=15, width=160, height=160, samples=sound, audio_codec="aac", codec_options=options)
    (folder / "boxes").mkdir()
    for name in "abc":
        np.save(folder / "boxes" / f"{name}.npy", np.array([[30, 20, 130, 150]] * 15))
        (folder / f"{name}.txt").write_text(f"{name}\n")
    rows = "".join(f"{name},real/{name}.mp4,set white by k one now\n" for name in "abc")
    (folder / "clips.csv").write_text(f"id,reference,transcript\n{rows}")
    make_training_set(folder / "lrs2")
    formula_weights("syncnet", folder)
    (folder / "one").mkdir()
    filed_result("one").write(folder / "one" / "result.json")
    for command, out in MADE:
        outcome = _run(folder, command, out)
        assert outcome.code in (0, 1), outcome.stderr
    shard = ("score", "made", *BOXED, "--metrics", "psnr", "--shard", "1/1", "--workers", "1", "--out", "sharded")
    sharded = run(list(shard), folder, seconds=SECONDS, memory_bytes=None)
    assert sharded.code in (0, 1), sharded.stderr  # 1 if the clips, which show the same, were coded to the same bytes
    shutil.copytree(folder / "trained" / "last", folder / "generator")
    shutil.rmtree(folder / "trained")
    return folder


def surroundings(folder: Path, cases: int, seed: int) -> Iterator[Verdict]:
    """Run commands in odd surroundings: ``cases`` pairs of the two, drawn by the seed; ``folder`` is empty."""
    world = make_world(folder / "world")
    pairs = [(command, around) for command in CALLS for around in SURROUNDINGS if _possible(around)]
    random.Random(seed).shuffle(pairs)
    usual: dict[str, Seen] = {}
    for number, (command, around) in enumerate(pairs[:cases]):
        if command not in usual:
            usual[command] = _see(world, folder / f"usual {command}", command, Surrounding("usual"))
        yield try_out(world, folder / f"{number:04d}", command, around, usual[command])


@dataclass(frozen=True)
class Seen:
    """How a command ended, and the names of the files below the place for what it writes."""

    outcome: Outcome
    files: frozenset[str]
    broken: str  # why one of the files is not whole


def try_out(world: Path, place: Path, command: str, around: Surrounding, usual: Seen) -> Verdict:
    """Run one command in one surrounding, in a copy of the world, and compare with how it usually ends."""
    seen = _see(world, place, command, around)
    end, why = _ending(seen, around, usual)
    return Verdict(f"surroundings: {around.name.split(' at write')[0]}", f"{command}, {around.name}", end, why)


def _ending(seen: Seen, around: Surrounding, usual: Seen) -> tuple[str, str]:
    outcome = seen.outcome
    said = outcome.stderr + outcome.stdout
    strange = [line for line in said.splitlines() if any(sign in line for sign in STRANGE)]
    errors = [line for line in outcome.stderr.splitlines() if line.lower().startswith("error:")]
    silent = "2>" in around.shell
    lost = around.loses and usual.outcome.stdout
    if outcome.fell_short and not (silent and "without a reason" in outcome.fell_short):
        return "fell short", outcome.fell_short
    if strange:
        return "fell short", strange[-1][:200]
    if seen.broken:
        return "fell short", seen.broken
    if outcome.code not in (0, 1, 2):
        return "fell short", f"exit code {outcome.code}"
    if len(errors) > 1:
        return "fell short", f"{len(errors)} lines of errors"
    same = _SECONDS.sub("", outcome.stdout) == _SECONDS.sub("", usual.outcome.stdout)
    if outcome.code == 2 and outcome.stdout and same:
        return "right", ""  # `check` has found errors
    if outcome.code == 2:
        return ("one line", "") if errors or silent else ("fell short", "no line says why")
    if lost:
        return "fell short", "what could not be printed is lost without a word"
    if outcome.code == usual.outcome.code and seen.files != usual.files:
        missing, more = sorted(usual.files - seen.files), sorted(seen.files - usual.files)
        return "fell short", f"ends as usual, but lacks {missing[:3]}, has {more[:3]}"
    return ("right" if outcome.code == usual.outcome.code else "finding"), ""


# What no person should read.
STRANGE = ("Exception ignored", "Fatal Python error", "leaked", "Traceback (most", "terminate called", "RuntimeError")


_SECONDS = re.compile(r"in\s[0-9.]+\ss\b")  # how long a command took, in what it prints
_RANDOM = re.compile(r"[0-9a-f]{32}|[0-9]{10}.*")  # parts of names that differ from run to run


def _see(world: Path, place: Path, command: str, around: Surrounding) -> Seen:
    shutil.copytree(world, place, ignore=shutil.ignore_patterns("*.model"))
    (place / "syncnet_v2.model").symlink_to(world / "syncnet_v2.model")
    os.chmod(place, 0o777)
    try:
        outcome = _run(place, command, around.out, around)
        written = place / around.out.replace("small/", "kept/", 1)
        try:
            found = [path for path in written.rglob("*") if path.is_file()] if written.is_dir() else []
        except OSError:
            found = []
        names = frozenset(_RANDOM.sub("", str(path.relative_to(written))) for path in found if path.name != "mine")
        results = [path for path in (place / "results").rglob("*") if path.is_file()]
        return Seen(outcome, names, next(filter(None, map(_broken, [*found, *results])), ""))
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _broken(path: Path) -> str:
    """Why a file that a command left is not whole, or an empty text."""
    if is_temporary(path.name):
        return f"litter: {path.name}"
    try:
        if path.suffix == ".json":
            json.loads(path.read_text("utf-8"))
        elif path.suffix == ".jsonl":
            for line in path.read_text("utf-8").splitlines():
                json.loads(line)
        elif path.suffix == ".npy":
            np.load(path)
        elif path.suffix == ".png":
            assert path.read_bytes().endswith(b"IEND\xaeB`\x82")
        else:
            assert path.stat().st_size or path.suffix not in (".mp4", ".html", ".md", ".toml", ".safetensors")
    except (ValueError, AssertionError, EOFError) as error:
        return f"{path.name} is not whole ({type(error).__name__})"
    return ""


def _run(folder: Path, command: str, out: str, around: Surrounding = Surrounding("usual")) -> Outcome:
    words = [*command.split(), *(word.replace("{out}", out) for word in CALLS[command])]
    places = {"TLBENCH_CONFIG": str(folder / "config"), **dict(around.environment)}
    return run(
        words,
        folder,
        seconds=SECONDS,
        memory_bytes=None,
        environment=places,
        shell=around.shell,
        prelude=around.prelude,
    )


def _possible(around: Surrounding) -> bool:
    """Whether this machine and this user can make a surrounding: some need root, and a mount."""
    return os.geteuid() == 0 or not any(tool in around.shell for tool in ("setpriv", "unshare"))
