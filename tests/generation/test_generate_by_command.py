"""Scripts of other repositories: what they are given, what is taken from them, and what is said if they fail.

The stand-in repository has a script that copies what it reads, one that fails on the third clip, and one that is called
for a list and writes videos of other names, other lengths and crops.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.factories.media_factory import picture, tone
from tlbench.datasets.options import DataOptions
from tlbench.errors import TlbenchError
from tlbench.generation import run_command as running
from tlbench.generation.drive import KINDS, DriveOptions
from tlbench.generation.generate_by_command import CommandOptions, generate_by_command
from tlbench.generation.generation_log import origin_of
from tlbench.generation.generator import Stopped
from tlbench.generation.make_drive import make_drive
from tlbench.generation.run_command import run_command
from tlbench.generation.write_generated import GeneratedDataset
from tlbench.media.audio import read_audio
from tlbench.media.video_reader import read_video
from tlbench.media.video_writer import write_video

ROOT = Path(__file__).parents[2]
FRAMES, WIDTH, HEIGHT = 10, 128, 96
BOX = (40, 20, 88, 76)
IDS = ("a", "b", "deep er/c")

COPY = """
import shutil, sys, time
video, sound, out, times = sys.argv[1:]
assert open(sound, "rb").read(4) == b"RIFF"
with open(times, "a") as file:
    file.write(video + "\\n")
calls = len(open(times).readlines())
print("working\\ron call", calls)
if "fail" in times and calls == 3:
    sys.exit("no GPU is left")
if times.endswith("/hang") and calls == 2:
    time.sleep(600)
shutil.copy(video, out)
"""

LIST = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
import cv2, numpy as np
from tlbench.media.video_writer import write_video
out = Path("results")
out.mkdir(exist_ok=True)
for line in open(sys.argv[1]):
    person, frames, count = line.split()
    read = sorted(Path(frames).glob("*.png"))
    assert len(read) == int(count) and len(list(Path(person).glob("*.png"))) == 1
    if "broken" in frames:
        continue
    pictures = [cv2.imread(str(path))[..., ::-1] for path in read]
    write_video(out / ("made_from_" + Path(person).name + ".mp4"), [255 - p for p in pictures[2:-1]], crf=1)
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("real")
    for number, clip_id in enumerate(IDS):
        path = root / "videos" / f"{clip_id}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = np.stack([picture(20 * number + index, WIDTH, HEIGHT) for index in range(FRAMES)])
        write_video(path, frames, samples=tone(FRAMES / 25, hertz=300 * (number + 1))[:, 0], crf=5)
        boxes = root / "boxes" / f"{clip_id}.npy"
        boxes.parent.mkdir(parents=True, exist_ok=True)
        np.save(boxes, np.tile(BOX, (FRAMES, 1)))
    return root


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "their code"
    folder.mkdir()
    (folder / "one.py").write_text(COPY)
    (folder / "many.py").write_text(LIST.format(root=str(ROOT)))
    for words in (
        ("init", "--quiet"),
        ("add", "."),
        ("-c", "user.name=they", "-c", "user.email=they@x", "commit", "--quiet", "-m", "x"),
    ):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    return folder


def recipe(folder: Path, text: str, name: str = "theirs") -> str:
    path = folder / f"{name}.toml"
    path.write_text('title = "Theirs"\nrepository = "https://example.org"\nsource = "its README"\n' + text)
    return str(path)


def copying(folder: Path, calls: str) -> str:
    return recipe(
        folder,
        f"""
command = ["{{python}}", "one.py", "{{video}}", "{{sound}}", "{{work}}/made.mp4", "{folder}/{{calls}}"]
[settings]
calls = "{calls}"
[inputs]
video = {{ kind = "video" }}
sound = {{ kind = "sound" }}
[output]
path = "{{work}}/*.mp4"
""",
    )


LISTED = """
command = ["{python}", "many.py", "{list}"]
[inputs]
person = { kind = "frames", crop = true, form = "png", first_only = true }
pose = { kind = "frames", crop = true, form = "png" }
[crop]
scale = 1.5
side = 64
[list]
path = "{work}/list.txt"
line = "{person} {pose} {frames}"
clips = 2
[output]
path = "results/made_from_{key}.mp4"
first_frame = 2
place = "crop"
region = [0.0, 0.5, 1.0, 1.0]
"""

Generate = Callable[..., GeneratedDataset]


@pytest.fixture
def generate(repository: Path, real: Path, tmp_path: Path) -> Generate:
    def run(given: str, out: str = "made", **changes: object) -> GeneratedDataset:
        command = CommandOptions(given, repository, sys.executable, **changes)  # type: ignore[arg-type]
        data = DataOptions("folder", real / "videos", boxes=real / "boxes")
        (done,) = generate_by_command(command, tmp_path / out, data).values()
        return done

    return run


def test_each_clip_s_video_is_taken_as_the_script_wrote_it(
    generate: Generate, repository: Path, real: Path, tmp_path: Path
) -> None:
    done = generate(copying(tmp_path, "calls"))
    assert (done.written, done.frames, done.failures, done.converted) == (3, 3 * FRAMES, {}, {})
    for clip_id in IDS:
        made, own = (read_video(folder / f"{clip_id}.mp4") for folder in (tmp_path / "made", real / "videos"))
        assert np.abs(made.astype(int) - own).mean() < 3
        sounds = [
            read_audio(folder / f"{clip_id}.mp4").astype(float) for folder in (tmp_path / "made", real / "videos")
        ]
        count = min(map(len, sounds))
        assert np.corrcoef(sounds[0][:count], sounds[1][:count])[0, 1] > 0.95
    assert not (tmp_path / "made-work").exists()
    log = json.loads((tmp_path / "made" / "generation.json").read_text("utf-8"))
    commit = subprocess.run(["git", "-C", str(repository), "rev-parse", "HEAD"], capture_output=True, text=True)
    assert log["repository"] == {"url": "https://example.org", "commit": commit.stdout.strip(), "changed": False}
    assert log["command"][:2] == ["{python}", "one.py"]
    assert (log["recipe"]["name"], log["settings"]) == ("theirs", {"calls": "calls"})
    assert sorted(log["clips"]) == list(IDS)
    origin = origin_of(tmp_path / "made")
    assert origin is not None
    assert (origin["generator"], origin["recipe"]["name"]) == ({"name": "command"}, "theirs")
    assert origin["repository"]["commit"] == commit.stdout.strip()


def test_a_clip_that_fails_is_named_with_the_last_line_and_is_made_by_the_next_run(
    generate: Generate, tmp_path: Path
) -> None:
    given = copying(tmp_path, "fail")
    done = generate(given)
    assert (done.written, list(done.failures)) == (2, ["deep er/c"])
    error = done.failures["deep er/c"]
    assert error.code == "no-output"
    assert "ended with status 1 and wrote no video" in error.message
    assert "its last line: 'no GPU is left'" in error.message
    [log] = (tmp_path / "made-work").rglob("log.txt")
    assert str(log) in error.message
    assert "on call 3" in log.read_text()
    done = generate(given)
    assert (done.written, done.kept, done.failures) == (1, 2, {})
    assert len((tmp_path / "fail").read_text().splitlines()) == 4  # the two that were there are not made again
    assert not (tmp_path / "made-work").exists()


def test_a_list_s_videos_of_other_names_lengths_and_crops_are_put_in_their_clips(
    generate: Generate, real: Path, tmp_path: Path
) -> None:
    """The script inverts its crops, leaves out two frames at the begin and one at the end, and writes no sound."""
    steps = recipe(tmp_path, LISTED)
    done = generate(steps)
    assert (done.written, done.failures) == (3, {})
    assert done.converted["a"] == "written again with the clip's speech; 9 frames, its reference has 10"
    own, made = read_video(real / "videos" / "a.mp4"), read_video(tmp_path / "made" / "a.mp4")
    assert len(made) == 9
    # A square of 1.5 times 56 pixels around the box's middle (64, 48); its lower half is shown.
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[48:90, 22:106] = True
    np.testing.assert_allclose(made[:, ~inside].mean(1), own[:9][:, ~inside].mean(1), atol=4)
    lower = own[:, 6:90, 22:106][:, :, :]  # the whole square, which the script was given
    for number in (0, 1, 2, 5):
        inverted = 255 - lower[max(number, 2)].astype(float).mean((0, 1))
        np.testing.assert_allclose(made[number, 48:90, 22:106].mean((0, 1)), inverted, atol=8)
    assert np.corrcoef(read_audio(tmp_path / "made" / "a.mp4")[:4000], tone(0.36, hertz=300)[:4000, 0])[0, 1] > 0.95
    assert generate(steps).kept == 3


def test_what_a_list_leaves_out_is_named_and_an_old_result_is_not_taken(
    generate: Generate, repository: Path, real: Path, tmp_path: Path
) -> None:
    steps = recipe(tmp_path, LISTED)
    generate(steps)
    (repository / "many.py").write_text(
        "import sys\nprint(len(open(sys.argv[1]).readlines()), 'lines, and nothing made')"
    )
    done = generate(recipe(tmp_path, LISTED, "again"), "other")
    assert [error.code for error in done.failures.values()] == ["no-output"] * 3
    assert "wrote only a video from before this run" in done.failures["a"].message
    assert "'2 lines, and nothing made'" in done.failures["a"].message
    (repository / "many.py").write_text("raise SystemExit('no module torch')")
    with pytest.raises(TlbenchError, match="status 1 and made none of 2 videos; its last line: 'no module torch'"):
        generate(recipe(tmp_path, LISTED, "third"), "third")


def test_a_changed_repository_is_another_generator(generate: Generate, repository: Path, tmp_path: Path) -> None:
    given = copying(tmp_path, "calls")
    generate(given)
    (repository / "one.py").write_text(COPY + "\n# better\n")
    with pytest.raises(TlbenchError, match=r"generated otherwise \(repository differ"):
        generate(given)
    with pytest.raises(TlbenchError, match=r"generated otherwise \(.*settings"):
        generate(given, settings={"calls": "other"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": "wave2lip"}, r"no such file or recipe; did you mean 'wav2lip'\?"),
        ({"repository": Path("nowhere")}, r"--repo nowhere: there is no such folder"),
        ({"python": ""}, "--python is empty"),
        ({"python": "'"}, "can't be split into words"),
        ({"repository": Path(__file__)}, "is a file, not a folder"),
        ({}, "has no inference.py; give the repository that the recipe is for"),
        ({"python": "no-such-python"}, "no-such-python: can't be run in .*--python"),
        ({"settings": {"checkpiont": "x"}}, r"--set checkpiont: recipe wav2lip has no such setting; did you mean"),
        ({"settings": {"checkpoint": ""}}, r"recipe wav2lip needs its checkpoint; give it as --set checkpoint=VALUE"),
    ],
)
def test_what_can_not_be_run_is_one_line(
    repository: Path, real: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    words: dict[str, object] = {"recipe": "wav2lip", "repository": plain, "python": sys.executable, **changes}
    with pytest.raises(TlbenchError, match=message) as error:
        generate_by_command(CommandOptions(**words), tmp_path / "made", DataOptions("folder", real / "videos"))  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
    assert not (tmp_path / "made").exists()
    assert not (tmp_path / "made-work").exists()


def test_a_run_that_made_no_video_is_in_nobody_s_way(generate: Generate, repository: Path, tmp_path: Path) -> None:
    (repository / "one.py").write_text("import os, sys\nos.mkdir(sys.argv[3])\nos.kill(os.getpid(), 9)\n")
    done = generate(copying(tmp_path, "calls"))
    assert len(done.failures) == 3
    assert "was ended by SIGKILL and wrote nothing that is a file at" in done.failures["a"].message
    assert "it printed nothing" in done.failures["a"].message
    (repository / "one.py").write_text(COPY)
    assert generate(copying(tmp_path, "other calls")).written == 3


def test_a_video_of_a_script_that_ended_badly_is_told(generate: Generate, repository: Path, tmp_path: Path) -> None:
    (repository / "one.py").write_text(COPY + "sys.exit(3)\n")
    done = generate(copying(tmp_path, "calls"))
    assert (done.written, len(done.converted)) == (3, 3)
    assert done.converted["a"].startswith("its command ended with status 3")


def test_somebody_s_files_beside_the_videos_are_not_removed(generate: Generate, tmp_path: Path) -> None:
    theirs = tmp_path / "made-work" / "thesis.txt"
    theirs.parent.mkdir()
    theirs.write_text("years")
    with pytest.raises(TlbenchError, match=r"made-work: is not a run's; .* choose another --out"):
        generate(copying(tmp_path, "calls"))
    assert theirs.read_text() == "years"
    assert not (tmp_path / "made").exists()


def test_a_script_that_prints_without_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "MOST_PRINTED_BYTES", 2**20)
    words = [sys.executable, "-c", "while True: print('x' * 9999)"]
    with pytest.raises(TlbenchError, match="was ended, as it printed more than 1 MiB"):
        run_command(words, tmp_path, tmp_path / "log.txt", threading.Event())


def test_a_call_that_takes_too_long_is_ended_its_clip_named_and_the_next_one_made(
    generate: Generate, tmp_path: Path
) -> None:
    """A script may wait for ever, for a GPU or a password."""
    done = generate(copying(tmp_path, "hang"), call_minutes=0.03)
    assert (done.written, list(done.failures)) == (2, ["b"])
    assert "was ended by SIGTERM and wrote no video" in done.failures["b"].message
    assert "its last line: 'tlbench: ended after 0.03 minutes (--call-minutes)'" in done.failures["b"].message


def test_each_item_of_a_drive_is_made_by_the_script_and_continued(repository: Path, real: Path, tmp_path: Path) -> None:
    root = tmp_path / "told"
    shutil.copytree(real / "videos", root)
    for clip_id in IDS:
        (root / f"{clip_id}.txt").write_text(f"WORD {clip_id}\n")
    make_drive(tmp_path / "drive", DataOptions("folder", root))
    command = CommandOptions(copying(tmp_path, "calls"), repository, sys.executable)
    for written in (3, 0):
        done = generate_by_command(command, tmp_path / "made", DriveOptions(tmp_path / "drive", root))
        assert {folder: of_kind.written for folder, of_kind in done.items()} == {
            tmp_path / "made" / kind: written for kind in KINDS
        }
    assert not (tmp_path / "made-work").exists()
    sounds = {kind: read_audio(tmp_path / "made" / kind / "a.mp4").astype(float) for kind in KINDS}
    assert not sounds["silent"].any()
    hertz = {kind: int(np.abs(np.fft.rfft(sounds[kind])).argmax() * 16000 / len(sounds[kind])) for kind in KINDS[1:]}
    assert hertz["matched"] == pytest.approx(300, abs=5)
    assert hertz["mismatched"] in (pytest.approx(600, abs=5), pytest.approx(900, abs=5))
    log = json.loads((tmp_path / "made" / "silent" / "generation.json").read_text())
    assert (log["kind"], log["dataset"], log["generator"]["name"]) == ("silent", "folder", "command")


def test_a_path_that_the_script_can_not_read_is_refused(repository: Path, real: Path, tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match="can't read a path with spaces"):
        generate_by_command(
            CommandOptions("wav2lip", repository), tmp_path / "made", DataOptions("folder", real / "videos")
        )


def test_stopping_ends_the_script_and_what_it_started(tmp_path: Path) -> None:
    script = tmp_path / "long.py"
    script.write_text(
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "open('child', 'w').write(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    stop = threading.Event()

    def stop_soon() -> None:
        deadline = time.monotonic() + 30
        while not (tmp_path / "child").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        stop.set()

    threading.Thread(target=stop_soon, daemon=True).start()
    begin = time.monotonic()
    with pytest.raises(Stopped):
        run_command([sys.executable, str(script)], tmp_path, tmp_path / "log.txt", stop)
    assert time.monotonic() - begin < 45
    _wait_for_the_end_of(int((tmp_path / "child").read_text()))


def test_what_a_script_left_running_is_ended_with_it(tmp_path: Path) -> None:
    script = tmp_path / "short.py"
    script.write_text("import subprocess\nopen('child', 'w').write(str(subprocess.Popen(['sleep', '60']).pid))\n")
    assert run_command([sys.executable, str(script)], tmp_path, tmp_path / "log.txt", threading.Event()) == 0
    _wait_for_the_end_of(int((tmp_path / "child").read_text()))


def _wait_for_the_end_of(pid: int) -> None:
    deadline = time.monotonic() + 10
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
