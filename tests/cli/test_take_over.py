"""Every command that writes a folder refuses one that another run writes, leaves no owner file, and has --take-over."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np
import pytest

from tests.factories.leaderboard_factory import filed_result
from tests.factories.media_factory import tone, write_clip
from tests.trouble.owner_cases import dead_card, leave
from tlbench.cli.config_file import CONFIG_NAME
from tlbench.cli.main import COMMANDS, group
from tlbench.datasets.synthetic.speech import SpeechSynthesizer
from tlbench.errors import TlbenchError
from tlbench.owner import owned, owner_path

DATA = "--dataset folder --data-root real --boxes boxes"
TRAIN = "--dataset folder --data-root real --accelerator cpu --out trained"
STUDY = "--clips 2 --reading-clips 0 --participants 1 --dataset folder --data-root real"
GENERATE = "generate --generator talklip-gc-synthetic --device cpu"
# A command that writes, and what it then owns: a folder, or a folder and a name in it.
WRITES = {
    "aggregate": ("aggregate result", "result", ""),
    "boxes": ("boxes out --dataset folder --data-root real --detector haar", "out", ""),
    "calibrate": (f"calibrate {DATA} --faults blur --metrics psnr --out out", "out", ""),
    "checkpoints fetch": ("checkpoints fetch syncnet --out out", "out", "syncnet_v2.model"),
    "controls": (f"controls out {DATA} --kinds reencoded", "out/reencoded", ""),
    "data drive": ("data drive --out out --dataset folder --data-root real", "out", ""),
    "data fetch": ("data fetch grid out", "out", "alignments"),
    "data synth": ("data synth out --part words --word-train 0 --word-val 0 --word-test 1", "out", ""),
    "demo": ("demo out --sentences 2 --words 0", "out/corpus", ""),
    "generate": (f"{GENERATE} {DATA} --out out", "out", ""),
    "leaderboard add": ("leaderboard add result --trained-with none --board board", "board", ""),
    "leaderboard build": ("leaderboard build --board board", "board", ""),
    "merge": ("merge sharded", "sharded/made", ""),
    "score": ("score made --workers 1 --metrics psnr --out out " + DATA, "out/made", ""),
    "study new": (
        f"study new out --method m=made --clips 2 --reading-clips 0 --participants 1 {DATA[:33]}",
        ".",
        "out",
    ),
    "study serve": ("study serve study --port 0", "study", "server"),
    "train-observer": (f"train-observer syncnet --size tiny --train-split all --val-split all {TRAIN}", "trained", ""),
    "train-reference": (
        f"train-reference --variant base-no-lip-gan --size tiny --train-list list --val-list list {TRAIN}",
        "trained",
        "",
    ),
}
# These print, or write one file by one renaming, or a folder that must be new by one renaming; of two, one is there.
OTHERS = {
    *("check", "compare", "data info", "data list", "data set", "leaderboard check", "study progress", "study results"),
    *("checkpoints import", "checkpoints list", "checkpoints verify", "metrics list", "metrics presets"),
    *("observers list", "table"),
    *("plot embeddings", "plot snapshots", "report", "view"),
}
HEAVY = {"calibrate", "demo", "generate", "train-observer", "train-reference"}  # seconds before they write
NEEDS = {"train-observer": "lightning_fabric", "train-reference": "lightning_fabric", "study serve": "waitress"}


def commands(within: click.Command = group, name: str = "") -> Iterator[tuple[str, click.Command]]:
    if not isinstance(within, click.Group):
        yield name, within
        return
    for part in within.list_commands(click.Context(within)):
        command = within.get_command(click.Context(within), part)
        assert command is not None
        yield from commands(command, f"{name} {part}".strip())


def test_every_command_that_writes_a_folder_can_take_over() -> None:
    found = {name: any("--take-over" in option.opts for option in command.params) for name, command in commands()}
    assert {name for name, has in found.items() if has} == WRITES.keys()
    assert {name for name, has in found.items() if not has} == OTHERS
    assert {name.split()[0] for name in found} == COMMANDS.keys()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    desk = tmp_path_factory.mktemp("desk")
    (desk / "boxes").mkdir()
    for number, name in enumerate("abcd"):
        for place, quality in (("real", 18), ("made", 30)):
            path = desk / place / f"{name}.mp4"
            path.parent.mkdir(exist_ok=True)
            sound = {"samples": tone(0.6), "audio_codec": "aac"}
            write_clip(path, frames=15, width=160, height=160, codec_options={"crf": str(quality + number)}, **sound)
        np.save(desk / "boxes" / f"{name}.npy", np.tile(np.array([40, 40, 120, 120]), (15, 1)))
    (desk / "list").write_text("a\n")
    (desk / "result").mkdir()
    filed_result("made", boxes="haar").write(desk / "result" / "result.json")
    (desk / "board").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(desk)
        patch.setenv("TLBENCH_CACHE", str(desk / "cache"))
        assert tlbench(f"score made --workers 1 --metrics psnr --shard 1/1 --out sharded {DATA}") == 0
    return desk


@pytest.fixture
def here(desk: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(desk)
    monkeypatch.setenv("TLBENCH_CACHE", str(desk / "cache"))
    monkeypatch.setenv("TLBENCH_CHECKPOINTS", str(desk / "checkpoints"))
    return desk


def tlbench(words: str) -> int:
    return int(group.main(words.split(), standalone_mode=False) or 0)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in HEAVY else []) for name in WRITES]
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_folder_that_another_run_writes_is_refused(here: Path, name: str) -> None:
    if name in NEEDS and find_spec(NEEDS[name]) is None:
        pytest.skip(f"needs {NEEDS[name]}")
    if name in ("data synth", "demo"):
        try:
            SpeechSynthesizer().close()
        except TlbenchError as error:
            pytest.skip(str(error))
    words, folder, thing = WRITES[name]
    if name == "study serve":
        assert tlbench(WRITES["study new"][0].replace("new out", "new study")) == 0
    with owned(Path(folder), name=thing):
        before = sorted(path for path in here.rglob("*") if here / "cache" not in path.parents)
        with pytest.raises(TlbenchError, match="another run writes to it, process"):
            tlbench(words)
        assert sorted(path for path in here.rglob("*") if here / "cache" not in path.parents) == before
    assert list(here.rglob("*.owner*")) == []


def test_a_score_takes_over_and_its_config_does_not(here: Path) -> None:
    path = leave(owner_path(here / "out" / "made"), dead_card(here=False).to_json())
    with pytest.raises(TlbenchError, match=r"on elsewhere since .*, last seen \d+ s ago"):
        tlbench(WRITES["score"][0])
    with pytest.warns(UserWarning, match="taken over from process"):
        assert tlbench(WRITES["score"][0] + " --take-over") == 0
    assert not path.exists()
    assert "take_over" not in (here / "out" / "made" / CONFIG_NAME).read_text()
    assert sorted(path.name for path in (here / "out").rglob("*") if path.is_file()) == [
        *(CONFIG_NAME, "records.jsonl", "result.json")
    ]
    (here / "own.toml").write_text("take_over = true\n")
    with pytest.raises(TlbenchError, match="no option take_over"):
        tlbench(WRITES["score"][0] + " --config own.toml")
