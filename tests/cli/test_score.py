"""``tlbench score`` as a person or a script meets it: what is printed where, what is imported, and the exit code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.factories.dataset_factory import make_synthetic
from tests.factories.media_factory import tone, write_clip
from tests.factories.warm_commands import run_command

RUN = "from tlbench.cli.main import main; main()"
HEAVY = "sorted(set(sys.modules) & {'torch', 'av', 'cv2', 'numpy', 'pandas', 'scipy', 'rich'})"
SCORE = ("score", "gen", "--dataset", "folder", "--data-root", "refs", "--boxes", "boxes", "--workers", "1")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three references with a generated video and a box a frame each."""
    folder = tmp_path_factory.mktemp("clips")
    for place in ("refs", "gen", "boxes"):
        (folder / place).mkdir()
    for number, name in enumerate(("a", "b", "c")):
        frames = 6 + number
        for place, quality in (("refs", 18), ("gen", 30)):
            path = folder / place / f"{name}.mp4"
            sound = tone(frames / 25)
            write_clip(path, frames=frames, codec_options={"crf": str(quality)}, audio_codec="aac", samples=sound)
        np.save(folder / "boxes" / f"{name}.npy", np.tile(np.array([8, 8, 56, 44]), (frames, 1)))
    return folder


@pytest.fixture
def desk(clips: Path, tmp_path: Path) -> Path:
    shutil.copytree(clips, tmp_path, dirs_exist_ok=True)
    return tmp_path


def environment_of(folder: Path) -> dict[str, str]:
    """As in a terminal of 120 columns that is not one."""
    places = {"TLBENCH_CACHE": str(folder / "cache"), "TLBENCH_CHECKPOINTS": str(folder / "checkpoints")}
    return {**os.environ, **places, "COLUMNS": "120", "PYTHONIOENCODING": "utf-8"}


def tlbench(
    folder: Path, *words: str, code: str = "", environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line, or ``code`` in a Python that has imported nothing."""
    given = {**environment_of(folder), **(environment or {})}
    if not code:
        return run_command(words, folder, given)
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="surrogateescape",
        cwd=folder,
        env=given,
        timeout=120,
    )


def test_the_table_goes_to_stdout_and_what_is_left_out_to_stderr(desk: Path) -> None:
    done = tlbench(desk, *SCORE)
    assert done.returncode == 0, done.stderr
    assert "PSNR" in done.stdout
    assert "3 of 3" in done.stdout
    assert done.stderr.splitlines()[0].startswith("warning: ")
    assert "LSE-C" in done.stderr
    assert "warning" not in done.stdout


def test_json_on_stdout_is_json_and_nothing_else(desk: Path) -> None:
    done = tlbench(desk, *SCORE, "--format", "json")
    assert json.loads(done.stdout)


@pytest.mark.parametrize("again", [False, True], ids=["fresh", "cached"])
def test_pixels_alone_import_no_torch(desk: Path, again: bool) -> None:
    code = (
        "import sys\nfrom tlbench.cli.main import main\n"
        "try:\n    main()\nfinally:\n    print('torch' in sys.modules, file=sys.stderr)"
    )
    if again:
        tlbench(desk, *SCORE)
    done = tlbench(desk, *SCORE, code=code)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "False"


@pytest.mark.parametrize("words", [("--help",), ("score", "--help"), ("--version",), ("controls", "--help")])
def test_help_is_instant_because_nothing_heavy_is_imported(desk: Path, words: tuple[str, ...]) -> None:
    code = f"import sys\nfrom tlbench.cli.main import main\ntry:\n    main()\nfinally:\n    print({HEAVY})"
    done = tlbench(desk, *words, code=code)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_second_run_says_the_same_decodes_nothing_and_is_told_apart(desk: Path) -> None:
    first = tlbench(desk, *SCORE)
    code = (
        "import av\n"
        "def refuse(*_, **__):\n    raise AssertionError('a file was opened for decoding')\n"
        f"av.open = refuse\n{RUN}"
    )
    second = tlbench(desk, *SCORE, code=code)
    assert second.returncode == 0, second.stderr
    assert second.stdout == first.stdout
    assert "gen: 3 of 3 clips came from the cache" in second.stderr
    assert "came from the cache" not in first.stderr


def test_each_reason_is_said_once_however_many_observers_have_it(desk: Path) -> None:
    import torch

    from tests.golden.formula import fill
    from tlbench.observers.syncnet.model import SyncNetModel

    state = SyncNetModel().state_dict()
    fill(state)
    torch.save(state, desk / "s.model")
    (desk / "gen" / "a.mp4").unlink()
    (desk / "gen" / "b.mp4").write_bytes(b"")
    done = tlbench(desk, *SCORE, "--weights", "syncnet=s.model")
    assert done.returncode == 1
    assert "1 of 3" in done.stdout
    said = [line for line in done.stderr.splitlines() if line.startswith("not scored")]
    assert [line.partition(": ")[2][:6] for line in said] == ["clip a", "clip b"]


def test_no_folder_of_the_user_is_written_into_results(desk: Path) -> None:
    (desk / "gen" / "a.mp4").write_bytes(b"")
    (desk / "refs" / "b.mp4").write_text("no video")
    words = [word if word not in ("gen", "refs", "boxes") else str(desk / word) for word in SCORE]
    done = tlbench(desk, *words)
    assert done.returncode == 1
    assert f"{desk}/gen/a.mp4" in done.stderr  # there it helps
    for name in ("result.json", "records.jsonl"):
        text = (desk / "tlbench-results" / "gen" / name).read_text("utf-8")
        assert desk.name not in text
        assert "a.mp4: 0 bytes" in text


def test_videos_that_are_no_clip_are_said(desk: Path) -> None:
    shutil.copy(desk / "gen" / "a.mp4", desk / "gen" / "stray.mp4")
    done = tlbench(desk, *SCORE)
    assert "1 of its videos belong to no clip and are left out: stray.mp4" in done.stderr


def test_names_that_draw_on_the_terminal_are_printed_as_text(desk: Path) -> None:
    odd = "x\x1b[31m\nred"
    for place in ("refs", "gen"):
        shutil.copy(desk / place / "a.mp4", desk / place / f"{odd}.mp4")
    shutil.copy(desk / "boxes" / "a.npy", desk / "boxes" / f"{odd}.npy")
    (desk / "gen" / f"{odd}.mp4").write_bytes(b"")
    done = tlbench(desk, *SCORE)
    assert done.returncode in (1, 2)
    assert "\x1b" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems know no names that are no text")
def test_a_name_that_is_no_text_is_scored(desk: Path) -> None:
    odd = os.fsdecode(b"caf\xe9")
    for place, suffix in (("refs", "mp4"), ("gen", "mp4"), ("boxes", "npy")):
        shutil.copy(desk / place / f"a.{suffix}", desk / place / f"{odd}.{suffix}")
    done = tlbench(desk, *SCORE)
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 2), done.stderr  # scored, or one line that names it
    assert ("4 of 4" in done.stdout) or done.stderr.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--device", "banana"), "no device 'banana'"),
        (("--device", "cuda:77", "--weights", "syncnet=s.model"), "torch sees"),
        (("--workers", "0"), "--workers"),
        (("--name", "a/b"), "can't name a system"),
        (("--name", "controls"), "can't name a system"),
        (("--smooth", "4"), "odd number"),
        (("--subset", "nowhere.txt"), "nowhere.txt"),
        (("--weights", "syncnet"), "NAME=FILE"),
        (("--weights", "syncnet=nowhere.model"), "nowhere.model"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_options_that_make_no_sense_are_one_line(desk: Path, words: tuple[str, ...], said: str) -> None:
    (desk / "s.model").write_bytes(b"x")
    done = tlbench(desk, *(word for word in SCORE if word not in ("--boxes", "boxes")), *words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_controls_need_references_and_say_so_before_anything_is_scored(desk: Path) -> None:
    done = tlbench(desk, "score", "gen", "--dataset", "folder", "--controls", "static", "--metrics", "psnr")
    assert done.returncode == 2
    assert "leave --controls out" in done.stderr
    one = tlbench(desk, *SCORE, "--limit", "1", "--controls", "all")
    assert one.returncode == 2
    assert "no other one to take speech from" in one.stderr
    assert not (desk / "tlbench-results").exists()


def test_controls_are_rows_and_are_not_made_twice(desk: Path) -> None:
    words = (*SCORE, "--controls", "ground-truth,static,greyed-mouth", "--format", "json")
    first = tlbench(desk, *words)
    assert first.returncode == 0, first.stderr
    results = {
        kind: json.loads((desk / "tlbench-results/controls" / kind / "result.json").read_text())
        for kind in ("ground-truth", "static", "greyed-mouth")
    }
    assert all(result["role"] == "control" for result in results.values())
    assert results["ground-truth"]["metrics"]["ssim/paper"]["value"] == pytest.approx(1)
    assert results["greyed-mouth"]["metrics"]["ssim/paper"]["value"] < 0.9
    made = {path: path.stat().st_mtime_ns for path in desk.glob("tlbench-results/controls/*/*.mp4")}
    assert len(made) == 6
    assert tlbench(desk, *words).stdout == first.stdout
    assert {path: path.stat().st_mtime_ns for path in made} == made


def test_the_options_of_a_run_are_written_beside_its_result_and_can_be_given_back(desk: Path) -> None:
    first = tlbench(desk, *SCORE, "--metrics", "psnr", "--seed", "3", "--name", "mine")
    assert first.returncode == 0, first.stderr
    kept = (desk / "tlbench-results/mine/result.json").read_bytes()
    config = desk / "tlbench-results/mine/config.toml"
    config.rename(desk / "again.toml")
    again = tlbench(desk, "score", "gen", "--config", "again.toml")
    assert again.returncode == 0, again.stderr
    assert (
        json.loads(kept)["metrics"] == json.loads((desk / "tlbench-results/mine/result.json").read_bytes())["metrics"]
    )
    assert config.read_text() == (desk / "again.toml").read_text()
    words = ("score", "gen", "--config", "again.toml", "--seed", "4")
    assert "--overwrite" in tlbench(desk, *words).stderr
    assert config.read_text() == (desk / "again.toml").read_text()
    other = tlbench(desk, *words, "--overwrite")
    assert other.returncode == 0, other.stderr
    assert json.loads((desk / "tlbench-results/mine/result.json").read_bytes())["interval"]["seed"] == 4


def test_help_shows_every_option_under_a_heading(desk: Path) -> None:
    said = tlbench(desk, "score", "--help").stdout
    headings = [line for line in said.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Data:", "What is measured:", "Faces:", "Run:", "Shards:", "Output:", "Other:"]
    assert said.partition("Other:")[2].split() == ["-h,", "--help", "Show", "this", "message", "and", "exit."]


@pytest.mark.parametrize("command", ["score", "check"])
def test_where_a_data_set_is_is_said_once(desk: Path, tmp_path: Path, command: str) -> None:
    config = {"TLBENCH_CONFIG": str(tmp_path / "config")}
    words = (command, "made", "--dataset", "synthetic")
    make_synthetic(tmp_path / "corpus")
    (tmp_path / "made").mkdir()
    write_clip(tmp_path / "made" / "none.mp4", frames=3)
    unknown = tlbench(desk, *words, environment=config)
    assert (unknown.returncode, len(unknown.stderr.splitlines())) == (2, 1)
    for way in ("--data-root FOLDER", "$TLBENCH_SYNTHETIC", "`tlbench data set synthetic FOLDER`"):
        assert way in unknown.stderr
    said = tlbench(desk, "data", "set", "synthetic", "corpus", environment=config)
    assert said.returncode == 0, said.stderr
    assert "none of its 1 video is named after a clip" in tlbench(desk, *words, environment=config).stderr
    by_variable = tlbench(desk, *words, environment=config | {"TLBENCH_SYNTHETIC": "nowhere"})
    assert "root nowhere does not exist; check the path ($TLBENCH_SYNTHETIC)" in by_variable.stderr
    by_option = tlbench(desk, *words, "--data-root", "there", environment=config | {"TLBENCH_SYNTHETIC": "nowhere"})
    assert "root there does not exist; check the path (--data-root)" in by_option.stderr
