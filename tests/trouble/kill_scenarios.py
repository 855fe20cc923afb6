"""The commands that write several files, with tiny input: what is killed in :mod:`tests.trouble.kills`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tests.factories.expert_factory import write_expert
from tests.factories.leaderboard_factory import filed_result
from tests.factories.media_factory import tone, write_clip
from tests.factories.observer_weights import formula_weights
from tlbench.checkpoints.package import Package, own_package, write_package
from tlbench.leaderboard import build as leaderboard
from tlbench.talklip.sync_expert import SYNC_EXPERT
from tlbench.talklip.wav2lip import ColourSyncNet, SyncDims

TEXTS = {"train": ("BLUE BOATS", "RED CARS", "BLUE CARS"), "val": ("RED BOATS",)}
LRW_WORDS = ("ABOUT", "ABUSE")
INPUTS = "../../inputs"  # as seen from the folder that a command runs in
_FOLDER = ("--dataset", "folder", "--data-root", f"{INPUTS}/real", "--boxes", f"{INPUTS}/boxes")
_CORPUS = ("data", "synth", "corpus", "--part", "sentences")
_SMALL = ("--accelerator", "cpu", "--size", "tiny", "--out", "run")
TINY_SYNC = SyncDims(1 / 16, 8)
_LRS2 = ("--dataset", "lrs2", "--data-root", f"{INPUTS}/lrs2")

# What makes something in the folder of inputs.
Maker = Callable[[Path], None]


@dataclass(frozen=True)
class Scenario:
    """A command to kill.

    Attributes
    ----------
    words : tuple of str
        The command; its folder is new each time.
    inputs : tuple of callable
        Each writes into the folder of inputs, once.
    imports : tuple of str
        Modules that take long to import.
    code : int
        The exit code of a run that is not killed.
    copies : str
        A folder of the inputs that is in the command's folder at the start.
    makes : tuple of (str, str)
        A folder that the run makes, and what it is called among the inputs of ``after``.
    after : str
        The scenario whose result this one needs.
    complete : str
        What the command says, with exit code 2, if its result is there already and nothing is left to do.
    """

    words: tuple[str, ...]
    inputs: tuple[Maker, ...] = ()
    imports: tuple[str, ...] = ()
    code: int = 0
    copies: str = ""
    makes: tuple[str, str] = ("", "")
    after: str = ""
    complete: str = ""


def folder_of_videos(inputs: Path) -> None:
    """Two real and two generated videos, and their boxes."""
    for number, name in enumerate("ab"):
        for place, crf in (("real", "18"), ("made", "30")):
            _clip(inputs / place / f"{name}.mp4", 15 + number, crf=crf)
        _boxes(inputs / "boxes" / f"{name}.npy", 15 + number)


def lrs2(inputs: Path) -> None:
    """Sentences in LRS2's layout, their boxes, and configs of ``train-reference``, with and without stages."""
    _sentences(inputs, "lrs2", 16)
    schedule = "batch_clips = 2\nvalidate_every = 3\nsave_every = 2\n"
    (inputs / "reference.toml").write_text(f"{schedule}stage_steps = [2, 2, 1]\n")
    (inputs / "other.toml").write_text(f"{schedule}steps = 5\n")


def long_lrs2(inputs: Path) -> None:
    """As :func:`lrs2`, long enough for SyncNet."""
    _sentences(inputs, "long", 45)


def lrw(inputs: Path) -> None:
    """Two words in LRW's layout."""
    for split in TEXTS:
        for word in LRW_WORDS:
            _clip(inputs / "lrw" / word / split / f"{word}_00001.mp4", 29, side=256)


def reader(inputs: Path) -> None:
    """A lip reader to train a generator against."""
    write_expert(inputs / "reader", TEXTS["train"])


def sync_expert(inputs: Path) -> None:
    """A sync expert to train Wav2Lip against."""
    torch.manual_seed(0)
    package = Package(SYNC_EXPERT, dict(ColourSyncNet(TINY_SYNC).state_dict()), {"dims": TINY_SYNC.to_json()})
    write_package(own_package(package, "wav2lip-face@1", {}, half=False), inputs / "sync-expert")


def script(inputs: Path) -> None:
    """Another repository's generator, a script that copies the video that it is given, and its recipe."""
    (inputs / "theirs").mkdir()
    (inputs / "theirs" / "copy.py").write_text("import shutil, sys\nshutil.copy(sys.argv[1], sys.argv[3])\n")
    (inputs / "theirs.toml").write_text(
        'title = "Theirs"\nrepository = "https://example.org"\nsource = "its README"\n'
        'command = ["{python}", "copy.py", "{video}", "{sound}", "{work}/made.mp4"]\n'
        '[inputs]\nvideo = { kind = "video" }\nsound = { kind = "sound" }\n[output]\npath = "{work}/*.mp4"\n'
    )


def board(inputs: Path) -> None:
    """A leaderboard of two systems, and the result of a third."""
    for name in ("Theirs", "Ours"):
        made = inputs / "results" / f"{name}.json"
        filed_result(name).write(made)
        leaderboard.add(made, inputs / "board", trained_with=["none"])
    filed_result("Mine").write(inputs / "mine.json")


def published(inputs: Path) -> None:
    """A published file of weights."""
    formula_weights("syncnet", inputs)


def _observer(name: str, *words: str, inputs: Maker = lrs2) -> Scenario:
    data = words or _LRS2
    schedule = ("--steps", "5", "--batch-frames", "30", "--validate-every", "3")
    imports = (f"tlbench.observers.{name}.train", "tlbench.training.loop", "torch.utils.tensorboard")
    return Scenario(("train-observer", name, *data, *_SMALL, *schedule), (inputs,), imports)


def _reference(*words: str, config: str = "reference", inputs: tuple[Maker, ...] = (lrs2,)) -> Scenario:
    imports = ("tlbench.talklip.train", "tlbench.observers.avhubert.train", "torch.utils.tensorboard")
    files = ("--boxes", f"{INPUTS}/lrs2-boxes", "--config", f"{INPUTS}/{config}.toml")
    return Scenario(("train-reference", *_LRS2, *_SMALL, *files, *words), inputs, imports)


SCENARIOS: dict[str, Scenario] = {
    "data synth": Scenario(
        (*_CORPUS, "--train", "1", "--val", "0", "--test", "1", "--workers", "2"),
        imports=("tlbench.datasets.synthetic.corpus",),
        makes=("corpus", "corpus"),
    ),
    "data synth, more clips": Scenario(
        (*_CORPUS, "--train", "1", "--val", "1", "--test", "1", "--workers", "1"),
        imports=("tlbench.datasets.synthetic.corpus",),
        copies="corpus",
        after="data synth",
    ),
    "train-observer avhubert": _observer("avhubert"),
    "train-observer conformer": _observer("conformer"),
    "train-observer mvm": _observer("mvm", "--dataset", "lrw", "--data-root", f"{INPUTS}/lrw", inputs=lrw),
    "train-observer syncnet": _observer(
        *("syncnet", "--dataset", "lrs2", "--data-root", f"{INPUTS}/long", "--num-workers", "1"), inputs=long_lrs2
    ),
    "train-reference g+c": _reference(
        *("--variant", "g+c", "--expert", f"{INPUTS}/reader", "--num-workers", "1"), inputs=(lrs2, reader)
    ),
    "train-reference base": _reference("--variant", "base-no-lip-gan"),
    "train-observer autoavsr": _observer("autoavsr"),
    "train-observer wav2lip-sync": _observer(
        *("wav2lip-sync", "--dataset", "lrs2", "--data-root", f"{INPUTS}/long", "--boxes", f"{INPUTS}/long-boxes"),
        inputs=long_lrs2,
    ),
    "train-reference wav2lip": _reference(
        *("--generator", "wav2lip", "--sync-expert", f"{INPUTS}/sync-expert"),
        config="other",
        inputs=(lrs2, sync_expert),
    ),
    "train-reference faceformer": _reference(
        *("--generator", "faceformer", "--expert", f"{INPUTS}/reader"), config="other", inputs=(lrs2, reader)
    ),
    "generate": Scenario(
        ("generate", *_FOLDER, "--generator", "talklip-gc-synthetic", "--out", "made"),
        (folder_of_videos,),
        ("tlbench.generation.generate_dataset", "tlbench.talklip.face_generator"),
    ),
    "generate, by a script": Scenario(
        (
            *("generate", *_FOLDER, "--generator", "command", "--recipe", f"{INPUTS}/theirs.toml"),
            *("--repo", f"{INPUTS}/theirs", "--python", sys.executable, "--out", "made"),
        ),
        (folder_of_videos, script),
        ("tlbench.generation.generate_by_command",),
    ),
    "data drive": Scenario(
        ("data", "drive", "--dataset", "folder", "--data-root", f"{INPUTS}/real", "--out", "drive"),
        (folder_of_videos,),
        ("tlbench.generation.make_drive",),
        makes=("drive", "drive"),
    ),
    "generate, for a drive": Scenario(
        (
            *("generate", "--drive", f"{INPUTS}/drive", "--data-root", f"{INPUTS}/real", "--boxes", f"{INPUTS}/boxes"),
            *("--generator", "talklip-gc-synthetic", "--out", "made"),
        ),
        (folder_of_videos,),
        imports=("tlbench.generation.generate_dataset", "tlbench.talklip.face_generator"),
        after="data drive",
    ),
    "score": Scenario(
        (
            *("score", f"{INPUTS}/made", *_FOLDER, "--metrics", "psnr", "--out", "out", "--workers", "2"),
            *("--controls", "reencoded"),
        ),
        (folder_of_videos,),
        ("tlbench.scoring.score",),
        makes=("out", "scored"),
    ),
    "score, a shard": Scenario(
        (
            *("score", f"{INPUTS}/made", *_FOLDER, "--metrics", "psnr", "--out", "out", "--workers", "1"),
            *("--controls", "reencoded", "--shard", "1/1"),
        ),
        (folder_of_videos,),
        ("tlbench.scoring.score_shard",),
        makes=("out", "sharded"),
    ),
    "merge": Scenario(
        ("merge", "sharded"), imports=("tlbench.scoring.merge",), copies="sharded", after="score, a shard"
    ),
    "report": Scenario(
        ("report", f"{INPUTS}/scored/made", "--out", "pages/page.html"),
        imports=("tlbench.reporting.report",),
        after="score",
    ),
    "boxes": Scenario(
        ("boxes", "found", "--dataset", "folder", "--data-root", f"{INPUTS}/real", "--detector", "haar"),
        (folder_of_videos,),
        ("cv2", "av", "scipy.signal"),
    ),
    "controls": Scenario(
        ("controls", "controls", *_FOLDER, "--kinds", "reencoded,frozen-mouth,swapped-audio"),
        (folder_of_videos,),
        ("tlbench.generation.write_controls",),
    ),
    "calibrate": Scenario(
        ("calibrate", *_FOLDER, "--metrics", "psnr", "--faults", "blur", "--out", "out"),
        (folder_of_videos,),
        ("tlbench.calibration.calibrate", "matplotlib.pyplot"),
    ),
    "leaderboard add": Scenario(
        ("leaderboard", "add", f"{INPUTS}/mine.json", "--trained-with", "none", "--board", "board"),
        (board,),
        ("tlbench.leaderboard.build",),
        copies="board",
    ),
    "leaderboard build": Scenario(
        ("leaderboard", "build", "--board", "board", "--site", "site"),
        (board,),
        ("tlbench.leaderboard.build",),
        copies="board",
    ),
    "checkpoints import": Scenario(
        ("checkpoints", "import", f"{INPUTS}/syncnet_v2.model", "--as", "syncnet", "--out", "package"),
        (published,),
        ("torch",),
        complete="package package: exists already",
    ),
    "plot snapshots": Scenario(
        (
            *("plot", "snapshots", f"{INPUTS}/made", "--dataset", "folder", "--data-root", f"{INPUTS}/real"),
            *("--clip", "a", "--out", "drawn/snapshots.png", "--frames", "3"),
        ),
        (folder_of_videos,),
        ("tlbench.figures.snapshot_figure",),
    ),
    "study new": Scenario(
        (
            *("study", "new", "study", "--method", f"ours={INPUTS}/made", "--dataset", "folder"),
            *("--data-root", f"{INPUTS}/real", "--clips", "2", "--participants", "1", "--reading-clips", "0"),
            *("--checks", "0"),
        ),
        (folder_of_videos,),
        ("tlbench.study.new_study",),
        complete="study: is not an empty folder but a study, with its codes",
    ),
    "data set": Scenario(("data", "set", "lrs2", INPUTS)),
}


def change_a_clip(corpus: Path) -> None:
    """Change a clip of a corpus, which the next run has to notice."""
    next((corpus / "main").glob("test*/*.txt")).write_text("changed\n")


def start_folder(scenario: Scenario, inputs: Path, folder: Path) -> None:
    """Put into a new folder what the command finds there."""
    folder.mkdir(parents=True)
    if scenario.copies:
        shutil.copytree(inputs / scenario.copies, folder / scenario.copies)


def _sentences(inputs: Path, name: str, frames: int) -> None:
    for split, texts in TEXTS.items():
        for number, text in enumerate(texts):
            clip_id = f"{split}/{number:05d}"
            _clip(inputs / name / "main" / f"{clip_id}.mp4", frames + number)
            (inputs / name / "main" / f"{clip_id}.txt").write_text(f"Text:  {text}\n")
            _boxes(inputs / f"{name}-boxes" / f"{clip_id}.npy", frames + number)
        ids = "".join(f"{split}/{number:05d}\n" for number in range(len(texts)))
        (inputs / name / f"{split}.txt").write_text(ids)


def _clip(path: Path, frames: int, *, side: int = 160, crf: str = "23") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sound, options = tone(frames / 25), {"crf": crf}
    write_clip(path, frames=frames, width=side, height=side, codec_options=options, samples=sound, audio_codec="aac")


def _boxes(path: Path, frames: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.array([[30, 20, 130, 150]] * frames))
