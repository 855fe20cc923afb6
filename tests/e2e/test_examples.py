"""The example plug-in as a stranger would use it: built and installed into a folder, found, scored with, read back."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from io import StringIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from tests.factories.media_factory import picture, tone
from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.video_reader import VideoReader
from tlbench.media.video_writer import write_video
from tlbench.observing.observer import ClipChunk

ROOT = Path(__file__).parents[2]
PLUG_IN = ROOT / "examples" / "tlbench-motion"
GENERATOR = ROOT / "examples" / "tlbench-flap"
FRAMES = 20


def talking(seed: int, still: bool = False) -> np.ndarray:
    """(FRAMES, 96, 96, 3) uint8: a mouth in the lower half that opens and closes at its own times."""
    openness = np.abs(np.cumsum(np.random.default_rng(seed).normal(size=FRAMES)))
    frames = np.repeat(picture(0, 96, 96)[None], FRAMES, axis=0)
    frames[:, :8, : 8 * (seed % 10 + 1)] = 255  # outside of the mouth: no two clips have the same pictures
    for frame, wide in zip(frames, np.zeros(FRAMES) if still else openness, strict=True):
        height = 2 + min(int(4 * wide), 30)
        frame[60 : 60 + height, 30:66] = 0
    return frames


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the plug-in is installed; nothing is fetched, and this one is left as it is."""
    pytest.importorskip("setuptools", minversion="77", reason="building the plug-in needs setuptools 77")
    folder = tmp_path_factory.mktemp("plug-in")
    for plug_in in (PLUG_IN, GENERATOR):
        _install(plug_in, folder)
    paths = [str(folder / "lib"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "TLBENCH_CACHE": str(folder / "cache")}


def _install(plug_in: Path, folder: Path) -> None:
    source = shutil.copytree(plug_in, folder / plug_in.name)  # building leaves files beside it
    build = f"from setuptools.build_meta import build_wheel; build_wheel({str(folder)!r})"  # as pip asks (PEP 517)
    done = subprocess.run([sys.executable, "-c", build], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [wheel] = folder.glob(f"{plug_in.name.replace('-', '_')}*.whl")
    with ZipFile(wheel) as archive:
        archive.extractall(folder / "lib")  # a pure wheel is installed by unpacking it


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    boxes = folder / "boxes"
    boxes.mkdir()
    for name, shift in (("real", 0), ("other", 100)):
        (folder / name).mkdir()
        for seed in range(3):
            write_video(folder / name / f"c{seed}.mp4", talking(seed + shift))
    (folder / "frozen").mkdir()
    for seed in range(3):
        write_video(folder / "frozen" / f"c{seed}.mp4", talking(seed, still=True))
        np.save(boxes / f"c{seed}.npy", np.tile(np.array([0, 0, 96, 96]), (FRAMES, 1)))
    return folder


def tlbench(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from tlbench.cli.main import main; main()", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_an_installed_plug_in_is_scored_with_and_sees_what_it_should(
    installed: dict[str, str], videos: Path, tmp_path: Path
) -> None:
    folders = [str(videos / name) for name in ("real", "other", "frozen")]
    where = ["--dataset", "folder", "--data-root", str(videos / "real"), "--boxes", str(videos / "boxes")]
    out = ["--out", str(tmp_path), "--workers", "1", "--format", "csv"]
    done = tlbench(installed, "score", *folders, *where, "--metrics", "motion", *out)
    assert done.returncode == 0, done.stderr
    rows = {row["system"]: row for row in csv.DictReader(StringIO(done.stdout))}
    assert float(rows["real"]["value"]) == pytest.approx(1, abs=1e-9)
    assert float(rows["other"]["value"]) < 0.6
    assert abs(float(rows["frozen"]["value"])) < 0.6
    assert rows["real"]["protocol"].startswith("motion[folder:all/motion-first-box-48@1/")
    compared = tlbench(installed, "compare", str(tmp_path / "real"), str(tmp_path / "frozen"))
    assert compared.returncode == 0, compared.stderr
    page = tlbench(installed, "report", str(tmp_path / "real"), "--videos", str(videos / "real"))
    assert page.returncode == 0, page.stderr
    assert "motion/sound" in (tmp_path / "real" / "report.html").read_text("utf-8")
    again = tlbench(installed, "table", str(tmp_path / "real"), "--format", "csv")
    assert next(csv.DictReader(StringIO(again.stdout)))["value"] == rows["real"]["value"]


def test_without_the_plug_in_its_result_says_what_is_missing(
    installed: dict[str, str], videos: Path, tmp_path: Path
) -> None:
    where = ["--dataset", "folder", "--data-root", str(videos / "real"), "--boxes", str(videos / "boxes")]
    out = ["--out", str(tmp_path), "--workers", "1"]
    done = tlbench(installed, "score", str(videos / "real"), *where, "--metrics", "motion", *out)
    assert done.returncode == 0, done.stderr
    without = {name: value for name, value in installed.items() if name != "PYTHONPATH"} | {"PYTHONPATH": str(ROOT)}
    read = tlbench(without, "table", str(tmp_path / "real"))
    assert read.returncode == 2
    assert "metric 'motion/sound' is not known to this tlbench" in read.stderr
    assert "Traceback" not in read.stderr


def test_how_a_clip_is_cut_into_runs_changes_nothing(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PLUG_IN))
    motion = import_module("tlbench_motion.observer").Motion.load(None, ("lower-face",), "cpu")
    said = []
    for run in (1, 7, FRAMES):
        state = motion.start_clip(Clip("c0"), None)
        boxes = np.tile(np.array([0, 0, 96, 96]), (FRAMES, 1))
        pairs = zip(*(VideoReader(videos / name / "c0.mp4").frames(run) for name in ("other", "real")), strict=True)
        for generated, reference in pairs:
            state.update(ClipChunk(generated, reference, boxes[generated.start : generated.start + run]))
        said.append(motion.compute([state])[0].to_json())
    assert said[0] == said[1] == said[2]
    assert isinstance(motion.compute([motion.start_clip(Clip("none"), None)])[0], ClipError)  # there was no frame


def test_an_installed_generator_is_found_and_its_mouth_opens_with_the_sound(
    installed: dict[str, str], tmp_path: Path
) -> None:
    """A clip whose second half is silent; the mouth is where the example says, in a box that is the frame."""
    (tmp_path / "real").mkdir()
    sound = tone(FRAMES / 25)[:, 0]
    sound[len(sound) // 2 :] = 0
    write_video(tmp_path / "real" / "a.mp4", np.full((FRAMES, 96, 96, 3), 200, np.uint8), samples=sound)
    (tmp_path / "boxes").mkdir()
    np.save(tmp_path / "boxes" / "a.npy", np.tile(np.array([0, 0, 96, 96]), (FRAMES, 1)))
    where = ["--dataset", "folder", "--data-root", str(tmp_path / "real"), "--boxes", str(tmp_path / "boxes")]
    out = tmp_path / "made"
    for written in ("1 video of 20 frames", "0 videos of 0 frames"):
        done = tlbench(installed, "generate", "--generator", "flap", *where, "--out", str(out))
        assert (done.returncode, done.stdout.startswith(written)) == (0, True), done.stderr
    shown = np.concatenate([chunk.rgb for chunk in VideoReader(out / "a.mp4").frames()])
    mouth = shown[:, 70:74, 46:50].mean((1, 2, 3))  # a closed one is a line of one pixel
    assert mouth[2 : FRAMES // 2 - 1].max() < 100 < 140 < mouth[FRAMES // 2 + 2 :].min()
    log = json.loads((out / "generation.json").read_text("utf-8"))
    assert log["generator"] == {"name": "flap", "version": 1}
    refused = tlbench(installed, "generate", "--generator", "flapp", *where, "--out", str(out))
    assert refused.returncode == 2
    assert "did you mean 'flap'?" in refused.stderr


@pytest.mark.parametrize(("name", "plug_in"), [("adding-an-observer", PLUG_IN), ("adding-a-generator", GENERATOR)])
def test_the_page_on_plug_ins_shows_the_code_of_the_example(name: str, plug_in: Path) -> None:
    page = (ROOT / "docs" / f"{name}.md").read_text("utf-8")
    source = "".join(
        path.read_text("utf-8") for path in sorted(plug_in.rglob("*.*")) if path.suffix in (".py", ".toml")
    )
    blocks = re.findall(r"```(?:python|toml)\n(.*?)```", page, re.S)
    assert blocks
    for block in blocks:
        assert block.rstrip() in source, block
