"""Shards: which clips are whose, what is the same for 1, 3 and 64 of them, and what does not fit together."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.factories.media_factory import tone, write_clip
from tlbench.datasets.clip import Clip
from tlbench.datasets.options import DataOptions
from tlbench.errors import TlbenchError
from tlbench.observing import device
from tlbench.observing.face_options import DEFAULT_FACES
from tlbench.observing.stopping import STOP, StoppedError
from tlbench.owner import owned
from tlbench.scoring import run as run_module
from tlbench.scoring import shard_files
from tlbench.scoring.merge import merge, missing_shards
from tlbench.scoring.options import MetricOptions, RunOptions
from tlbench.scoring.sbatch import sbatch_script
from tlbench.scoring.score import score_folders
from tlbench.scoring.score_shard import score_shard
from tlbench.scoring.shard import Shard, parse_shard
from tlbench.scoring.shard_files import files_sha256, read_plan

NAMES = "abcdefg"
DATA = DataOptions("folder", Path("refs"), boxes=Path("boxes"))
PSNR = MetricOptions(("psnr",))
MEASURED = MetricOptions(("psnr",), controls=("static", "swapped-audio"))
# What differs from one run is told by its times, which a test stops.
NOON = datetime(2026, 1, 1, 12)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    for place in ("refs", "gen", "boxes"):
        (folder / place).mkdir()
    for number, name in enumerate(NAMES):
        frames = 4 + number
        for place, quality in (("refs", "18"), ("gen", "34")):
            path = folder / place / f"{name}.mp4"
            sound = tone(frames / 25, 200 + 50 * number)
            write_clip(path, frames=frames, codec_options={"crf": quality}, audio_codec="aac", samples=sound)
        np.save(folder / "boxes" / f"{name}.npy", np.tile(np.array([8, 8, 56, 44]), (frames, 1)))
    shutil.copy(folder / "gen" / "a.mp4", folder / "gen" / "f.mp4")  # a copy, in another shard
    (folder / "gen" / "c.mp4").write_bytes(b"")
    with pytest.MonkeyPatch.context() as patch:  # all evidence is kept, so the tests decode nothing again
        patch.chdir(folder)
        score_folders([Path("gen")], DATA, PSNR, DEFAULT_FACES, RunOptions(cache=folder / "cache"), out=Path("first"))
        shutil.rmtree("first")
    return folder


@pytest.fixture
def desk(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TLBENCH_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Clock:
            return cls(NOON.year, NOON.month, NOON.day, NOON.hour, tzinfo=tz)

    monkeypatch.setattr(run_module, "datetime", Clock)


@pytest.fixture(autouse=True)
def no_request() -> Iterator[None]:
    yield
    STOP.clear()


def one_run(out: str = "one", measured: MetricOptions = MEASURED) -> None:
    score_folders([Path("gen")], DATA, measured, DEFAULT_FACES, RunOptions(), out=Path(out))


def shard(
    number: int,
    count: int,
    out: str = "shards",
    measured: MetricOptions = MEASURED,
    options: RunOptions = RunOptions(),  # noqa: B008
    data: DataOptions = DATA,
) -> bool:
    done = score_shard([Path("gen")], data, measured, DEFAULT_FACES, options, Shard(number, count), out=Path(out))
    return all(result.complete for result in done)


def content(folder: Path) -> dict[str, bytes]:
    """Every result and every file of records below a folder, but those of shards."""
    found = [path for path in folder.rglob("*") if path.name in ("result.json", "records.jsonl")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_the_clips_of_a_shard_are_those_at_its_places_of_the_sorted_list_in_the_runs_order() -> None:
    clips = [Clip(name) for name in "dbeca"]
    assert ["".join(clip.id for clip in Shard(i, 3).of(clips)) for i in (1, 2, 3)] == ["da", "be", "c"]
    assert sorted(one for i in range(1, 65) for one in Shard(i, 64).ids("dbeca")) == list("abcde")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SLURM_ARRAY_TASK_ID": "10", "SLURM_ARRAY_TASK_MIN": "4", "SLURM_ARRAY_TASK_COUNT": "8"}, (7, 8)),
        (
            {
                "SLURM_ARRAY_TASK_ID": "10",
                "SLURM_ARRAY_TASK_MIN": "4",
                "SLURM_ARRAY_TASK_STEP": "3",
                "SLURM_ARRAY_TASK_COUNT": "3",
                "SLURM_PROCID": "0",
                "SLURM_NTASKS": "1",
            },
            (3, 3),
        ),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "5", "RANK": "3", "WORLD_SIZE": "4"}, (1, 5)),
        ({"RANK": "3", "WORLD_SIZE": "4"}, (4, 4)),
    ],
)
def test_auto_is_what_the_batch_system_says(variables: dict[str, str], expected: tuple[int, int]) -> None:
    assert parse_shard("auto", variables) == Shard(*expected)


@pytest.mark.parametrize(
    ("text", "variables", "message"),
    [
        ("0/3", {}, "no shard 0 of 3"),
        ("4/3", {}, "no shard 4 of 3; they are numbered from 1 to 3"),
        ("1/0", {}, "0 shards"),
        ("1/1001", {}, "1001 shards: there may be 1 to 1,000"),
        ("3", {}, "--shard takes I/N"),
        ("-1/3", {}, "--shard takes I/N"),
        ("auto", {}, "neither SLURM_ARRAY_TASK_ID, SLURM_PROCID nor RANK is set"),
        ("auto", {"RANK": "two", "WORLD_SIZE": "4"}, r"\$RANK is 'two'"),
        ("auto", {"RANK": "2"}, r"\$WORLD_SIZE is not set"),
        ("auto", {"RANK": "2", "WORLD_SIZE": ""}, r"\$WORLD_SIZE is ''"),
        ("auto", {"RANK": "4", "WORLD_SIZE": "4"}, r"\$RANK is 4 and \$WORLD_SIZE is 4; places begin at 0"),
        ("auto", {"SLURM_PROCID": "0", "SLURM_NTASKS": "0"}, r"\$SLURM_NTASKS is 0"),
        (
            "auto",
            {"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_TASK_MIN": "3", "SLURM_ARRAY_TASK_COUNT": "2"},
            "task 2 is none of 2 tasks from 3",
        ),
        (
            "auto",
            {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "3", "SLURM_ARRAY_TASK_COUNT": "2"},
            "task 7 is none of 2 tasks from 3",
        ),
    ],
)
def test_a_shard_that_can_not_be_is_one_line(text: str, variables: dict[str, str], message: str) -> None:
    with pytest.raises(TlbenchError, match=message) as caught:
        parse_shard(text, variables)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("noon")
def test_one_and_three_shards_give_the_bytes_of_one_run(desk: Path) -> None:
    one_run("one")
    expected = content(Path("one"))
    assert set(expected) == {
        f"{place}/{name}"
        for place in ("gen", "controls/static", "controls/swapped-audio")
        for name in ("result.json", "records.jsonl")
    }
    assert b"the same bytes as a" in expected["gen/result.json"]  # of a clip in another shard
    for count in (1, 3):
        out = f"shards-{count}"
        for number in range(count, 0, -1):
            assert shard(number, count, out) == (not {"c"} & Shard(number, count).ids(NAMES))
        merge(Path(out))
        assert content(Path(out)) == expected
    videos = {path.name: path.read_bytes() for path in Path("one/controls/swapped-audio").glob("*.mp4")}
    assert videos == {path.name: path.read_bytes() for path in Path("shards-3/controls/swapped-audio").glob("*.mp4")}


@pytest.mark.usefixtures("noon")
def test_names_with_decomposed_letters_go_through_shards_as_through_one_run(desk: Path) -> None:
    """As some file systems and archives write them: a letter and its accent as two characters."""
    for place in ("refs", "gen", "boxes"):
        for path in list(Path(place).glob("[bf].*")):
            path.rename(path.with_stem(f"{path.stem}e\u0301"))
    one_run("one", PSNR)
    for number in (1, 2):
        shard(number, 2, measured=PSNR)
    (result,) = merge("shards")
    assert {"b\u00e9", "f\u00e9"} < {clip.id for clip in result.clips}
    assert content(Path("shards")) == content(Path("one"))


@pytest.mark.usefixtures("noon")
@pytest.mark.slow
def test_sixty_four_shards_of_which_most_have_no_clip_give_the_bytes_of_one_run(desk: Path) -> None:
    one_run("one", PSNR)
    for number in range(1, 65):
        shard(number, 64, measured=PSNR)
    merge("shards")
    assert content(Path("shards")) == content(Path("one"))


def test_a_merge_names_what_is_missing_and_goes_on_when_it_is_there(desk: Path) -> None:
    shard(1, 3, measured=PSNR)
    with pytest.raises(TlbenchError, match=r"shards 2, 3 of 3 not done, so 4 of 7 clips are missing: b, e, c, \.\.\.;"):
        merge("shards")
    shard(3, 3, measured=PSNR)
    run = Path("shards/gen")
    (missing,) = missing_shards(run, read_plan(run))
    assert (str(missing.shard), missing.state, missing.ids) == ("2/3", "not started", ("b", "e"))
    (run / "shards" / "2-of-3.records.jsonl.partial").touch()
    assert missing_shards(run, read_plan(run))[0].state == "started"
    shard(2, 3, measured=PSNR)
    (result,) = merge("shards")
    assert [clip.id for clip in result.clips] == list(NAMES)
    assert merge(run) == [result]  # again


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 4}, "the number of shards is 3 there and 4 here"),
        ({"measured": MetricOptions(("ssim",))}, r"what is measured \(\w+\)"),
        ({"options": RunOptions(precision="bf16")}, r"the way of computing \(precision\) is fp32 there"),
        ({"options": RunOptions(seed=1)}, r"what is measured \(interval\)"),
        ({"data": DataOptions("folder", Path("refs"), boxes=Path("boxes"), limit=5)}, "the list of clips|the files"),
    ],
    ids=["count", "metrics", "precision", "seed", "clips"],
)
@pytest.mark.filterwarnings("ignore:full precision all the same")
def test_shards_of_another_plan_are_refused_before_a_clip_is_read(
    desk: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], message: str
) -> None:
    shard(1, 3, measured=PSNR)

    def refuse(*_: object) -> None:
        raise AssertionError("a clip was observed")

    monkeypatch.setattr(run_module, "observe", refuse)
    with pytest.raises(TlbenchError, match=message) as caught:
        shard(2, **{"count": 3, "measured": PSNR, **change})
    assert "\n" not in str(caught.value)
    assert "choose another --out" in str(caught.value)


def test_a_data_root_with_other_files_is_another_plan(desk: Path) -> None:
    shard(1, 3, measured=PSNR)
    with (desk / "refs" / "g.mp4").open("ab") as file:
        file.write(b"more")
    with pytest.raises(TlbenchError, match=r"the files of the clips \(names or sizes\) differs"):
        shard(2, 3, measured=PSNR)


def test_the_hash_of_files_knows_names_and_sizes_but_no_folders(tmp_path: Path) -> None:
    for place, size in (("x", 3), ("y", 3), ("z", 4)):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a.mp4").write_bytes(b"v" * size)
    x, y, z, none = (files_sha256([Clip("a", tmp_path / place / "a.mp4")]) for place in ("x", "y", "z", "none"))
    assert x == y
    assert len({x, z, none}) == 3


def test_the_first_job_chooses_the_way_of_computing_for_all(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard(1, 2, measured=PSNR, options=RunOptions(matrix_product="onednn"))
    plan = Path("shards/gen/shards/plan.json")
    said = json.loads(plan.read_text())
    assert said["computing"] == {"device": "cpu", "precision": "fp32", "matrix_product": "torch"}  # no network here
    said["computing"] |= {"matrix_product": "onednn"}
    plan.write_text(json.dumps(said))
    obeyed = shard_files.obeyed(RunOptions(), Path("shards/gen"))
    assert (obeyed.device, obeyed.matrix_product) == ("cpu", "onednn")
    said["computing"]["device"] = "cuda"
    plan.write_text(json.dumps(said))
    monkeypatch.setattr(device, "may_have_gpu", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        TlbenchError, match=r"plan.json: the other shards are computed on cuda.* where there is one, or"
    ):
        shard_files.obeyed(RunOptions(), Path("shards/gen"))
    assert shard_files.obeyed(RunOptions(engine="ray"), Path("shards/gen")).device == "cuda"
    own = RunOptions(device="cuda", matrix_product="torch")
    assert shard_files.obeyed(own, Path("shards/gen")) == own  # and is refused, as it differs
    assert shard_files.obeyed(RunOptions(), Path("elsewhere")) == RunOptions()


def damaged(what: str) -> None:
    folder = Path("shards/gen/shards")
    records, other = folder / "1-of-2.records.jsonl", folder / "2-of-2.records.jsonl"
    lines = records.read_text().splitlines(keepends=True)
    if what == "twice":
        records.write_text("".join([lines[0], *lines]))
    elif what == "another shard's":
        records.write_text(other.read_text())
    elif what == "cut":
        records.write_text("".join(lines[:-1]))
    elif what == "another run's":
        for number in (1, 2):  # of the same clips
            shard(number, 2, "others", PSNR, data=DataOptions("folder", Path("gen"), boxes=Path("boxes")))
        shutil.copy(Path("others/gen/shards") / records.name, records)
    elif what == "provenance":
        summary = json.loads((folder / "1-of-2.json").read_text())
        summary["provenance"]["packages"] = {"torch": 2}
        (folder / "1-of-2.json").write_text(json.dumps(summary))
    elif what == "no provenance":
        summary = json.loads((folder / "1-of-2.json").read_text())
        (folder / "1-of-2.json").write_text(json.dumps({**summary, "provenance": {}}))
    elif what == "summary of another":
        shutil.copy(folder / "2-of-2.json", folder / "1-of-2.json")
    elif what == "another plan":
        (folder / "plan.json").write_text((folder / "plan.json").read_text() + " ")
    elif what == "another version":
        (folder / "plan.json").write_text((folder / "plan.json").read_text().replace('"tlbench": "', '"tlbench": "9.'))
    elif what == "no JSON":
        (folder / "1-of-2.json").write_text("{")
    else:
        (folder / "plan.json").write_text('{"schema": "tlbench.shards/9"}')


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("twice", "has clip a where clip c should follow, twice or of another shard"),
        ("another shard's", "has clip b where clip a should follow"),
        ("cut", "clip g is missing; score shard 1/2 again"),
        ("another run's", "1-of-2.records.jsonl: is not the file that shard 1/2 wrote; copy its files again, or score"),
        ("provenance", "provenance.packages.torch must be a text, got 2"),
        ("no provenance", "provenance.tlbench must be a text, got None"),
        ("summary of another", r"it says that it is shard \[2, 2\]"),
        ("another plan", "of another plan than plan.json next to it"),
        ("another version", r"plan.json: made by tlbench 9\.\S+, this is \S+; merge with the version that made"),
        ("no JSON", "not a file of shards of this tlbench"),
        ("another schema", "its schema is not tlbench.shards/1"),
    ],
)
def test_files_that_do_not_fit_together_are_refused_and_nothing_is_written(desk: Path, what: str, message: str) -> None:
    for number in (1, 2):
        shard(number, 2, measured=PSNR)
    damaged(what)
    with pytest.raises(TlbenchError, match=message) as caught:
        merge("shards")
    assert "\n" not in str(caught.value)
    assert not list(Path("shards/gen").glob("records.jsonl*"))
    assert not Path("shards/gen/result.json").exists()


def test_a_folder_without_shards_is_said(desk: Path) -> None:
    with pytest.raises(TlbenchError, match="tlbench score --shard I/N"):
        merge(".")


def test_a_merge_says_which_processors_and_packages_were_mixed(desk: Path) -> None:
    for number in (1, 2):
        shard(number, 2, measured=PSNR)
    path = Path("shards/gen/shards/2-of-2.json")
    said = json.loads(path.read_text())
    (own,) = said["provenance"]["processors"]
    said["provenance"]["processors"] = ["Another avx9"]
    said["provenance"]["packages"]["numpy"] = "0.1"
    path.write_text(json.dumps(said))
    with (
        pytest.warns(UserWarning, match=r"2 types of processor \(.*Another avx9.*docs/precision.md"),
        pytest.warns(UserWarning, match=r"different versions of packages \(numpy 0.1, "),
    ):
        (result,) = merge("shards")
    assert result.provenance["processors"] == sorted([own, "Another avx9"])


def test_one_job_owns_a_shard_and_others_go_on(desk: Path) -> None:
    with owned(Path("shards/gen/shards"), name="1-of-2"):
        with pytest.raises(TlbenchError, match="1-of-2: another run writes to it"):
            shard(1, 2, measured=PSNR)
        shard(2, 2, measured=PSNR)
    shard(1, 2, measured=PSNR)
    assert not list(Path("shards").rglob("*.owner"))
    assert len(merge("shards")) == 1


def test_a_run_that_is_asked_to_stop_keeps_what_it_has_and_goes_on_later(desk: Path) -> None:
    shutil.rmtree("cache")
    seen: list[str] = []

    def stop_at_two(_: str, observation: Any, done: int, total: int) -> None:
        seen.append(observation.clip.id)
        if done == 2:
            STOP.set()

    options = RunOptions()
    given = ([Path("gen")], DATA, PSNR, DEFAULT_FACES, options, Shard(1, 1))
    with pytest.raises(StoppedError, match="run the same command again"):
        score_shard(*given, out=Path("shards"), progress=stop_at_two)
    STOP.clear()
    cached: list[int] = []
    score_shard(*given, out=Path("shards"), progress=lambda _, one, *__: cached.append(one.cached if one else 0))
    assert cached[: len(seen)] == [1, 1] + [0] * (len(seen) - 2)
    assert len(merge("shards")) == 1


MEDDLER = """
import os, sys
folder = sys.argv[1]
n = 0
while True:
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                os.stat(os.path.join(root, name))
                if name == "other":
                    os.replace(os.path.join(root, name), os.path.join(root, name))
                    os.rename(os.path.join(root, name), os.path.join(root, f"other-{n % 7}"))
                    open(os.path.join(root, "other"), "w").close()
                    n += 1
            except OSError:
                pass
"""


def test_jobs_at_one_time_share_a_folder_that_another_process_lists_and_renames_in(desk: Path) -> None:
    """No job locks anything: four write one plan and their own files, while somebody meddles with names there."""
    place = Path("shards/gen/shards")
    place.mkdir(parents=True)
    (place / "other").touch()
    meddler = subprocess.Popen([sys.executable, "-c", MEDDLER, str(place)])
    failed: list[BaseException] = []

    def job(number: int) -> None:
        try:
            shard(number, 4, measured=PSNR)
        except TlbenchError as error:
            failed.append(error)

    jobs = [threading.Thread(target=job, args=(number,)) for number in range(1, 5)]
    try:
        while not (place / "other-0").exists():  # a process may take long to start
            assert meddler.poll() is None
            time.sleep(0.01)
        for one in jobs:
            one.start()
        for one in jobs:
            one.join()
        assert failed == []
        (result,) = merge("shards")
    finally:
        meddler.kill()
        meddler.wait()
    assert [clip.id for clip in result.clips] == list(NAMES)


def test_a_plan_is_kept_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    plan = json.dumps({"schema": shard_files.PLAN_SCHEMA, **dict.fromkeys(shard_files._FIELDS, "x")})
    first = shard_files.keep_plan(tmp_path, plan)
    assert shard_files.keep_plan(tmp_path, plan) == first
    with pytest.raises(TlbenchError, match="the name is x there and y here"):
        shard_files.keep_plan(tmp_path, plan.replace('"system": "x"', '"system": "y"'))


def test_a_job_script_has_the_command_with_each_tasks_shard(tmp_path: Path) -> None:
    script = sbatch_script(
        ["score", "my gen", "--print-sbatch", "64", "--shard", "1/2", "--seed", "1"], 64, Path("o ut")
    )
    lines = script.splitlines()
    assert lines[0] == "#!/bin/bash"
    assert "#SBATCH --array=1-64" in lines
    assert "#SBATCH --signal=B:USR1@120" in lines
    assert """tlbench score 'my gen' --seed 1 --shard "${SLURM_ARRAY_TASK_ID}/64" "${again[@]}" &""" in lines
    assert "# After: tlbench merge 'o ut'" in lines
    path = tmp_path / "job.sh"
    path.write_text(script)
    subprocess.run(["bash", "-n", str(path)], check=True)
    checker = shutil.which("shellcheck", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if checker is None:
        pytest.skip("ShellCheck is not installed")
    assert subprocess.run([checker, str(path)], capture_output=True, text=True, check=False).stdout == ""


@pytest.mark.parametrize(("code", "requeued"), [(0, False), (75, True), (1, False)])
def test_the_job_script_passes_the_signal_on_and_asks_for_more_time_only_if_stopped(
    tmp_path: Path, code: int, requeued: bool
) -> None:
    """The script in a shell, with a tlbench and an scontrol that write down what they are told."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "tlbench").write_text(
        f'#!/bin/bash\ntrap "echo usr1 >> told; exit {code}" USR1\necho "$@" > words\ntouch ready\n'
        "for i in $(seq 200); do sleep 0.05; done\nexit 3\n"
    )
    (tools / "scontrol").write_text('#!/bin/bash\necho "$@" > requeued\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    script = tmp_path / "job.sh"
    script.write_text(sbatch_script(["score", "gen"], 3, Path("out")))
    variables = {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "SLURM_ARRAY_TASK_ID": "2",
        "SLURM_ARRAY_JOB_ID": "99",
        "SLURM_RESTART_COUNT": "1",
    }
    job = subprocess.Popen(["bash", str(script)], cwd=tmp_path, env=variables)
    for _ in range(200):
        if (tmp_path / "ready").exists():
            break
        threading.Event().wait(0.05)
    job.send_signal(10)  # SIGUSR1
    assert job.wait(timeout=30) == code
    assert (tmp_path / "told").read_text() == "usr1\n"
    assert (tmp_path / "words").read_text() == "score gen --shard 2/3 --take-over\n"
    assert (tmp_path / "requeued").exists() == requeued
    if requeued:
        assert (tmp_path / "requeued").read_text() == "requeue 99_2\n"
