"""How many files of tlbench one opens to follow a number from the command line to the table.

Two counts while ``tlbench score`` makes PSNR of one clip, on all threads, imports aside. ``called``: modules with a
function that is called, so decoding, checks, findings and provenance too. ``way``: modules on the stack whenever the
number itself is made: errors of pixels, tallies, their sum, and the drawing of the table.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.factories.media_factory import write_clip

TRACE = """
import json, sys, threading
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(find_spec("tlbench").origin).parent
PLACES = (str(ROOT), str(ROOT.parent / "observers"))
called, way, steps = set(), set(), set()
STEPS = {  # where the number is made: file and function
    ("observers/pixels/psnr.py", "mean_squared_error"),
    ("observers/pixels/psnr.py", "wrapped_psnr_db"),
    ("tlbench/metrics/quality.py", "_mean"),
    ("tlbench/scoring/result.py", "total_value"),
    ("tlbench/document.py", "number_text"),
}

def place(code):
    return str(Path(code.co_filename).relative_to(ROOT.parent))

def stack(frame):
    while frame is not None:
        if frame.f_code.co_filename.startswith(PLACES):
            yield place(frame.f_code)
        frame = frame.f_back

def importing(frame):
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") != "__main__":
            return True
        frame = frame.f_back
    return False

def trace(frame, event, argument):
    code = frame.f_code
    if event == "call" and code.co_filename.startswith(PLACES) and code not in called and not importing(frame):
        called.add(code)
        if (place(code), code.co_name) in STEPS:
            steps.add(code.co_name)
            way.update(stack(frame))

def traced(work):
    threading.setprofile(trace)
    sys.setprofile(trace)
    try:
        work()
    except SystemExit as done:
        assert not done.code, done.code
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    found = {"called": sorted(set(map(place, called))), "way": sorted(way), "steps": sorted(steps)}
    print("\\n" + json.dumps(found))
"""
COMMAND = "from tlbench.cli.main import main\ntraced(main)"
FUNCTION = """
import tlbench
real, generated = (tlbench.read_video(f"{place}/a.mp4") for place in ("refs", "gen"))
tlbench.psnr(generated, real)  # imports are done
traced(lambda: tlbench.psnr(generated, real))
"""
# Eight more than before names of systems, choice of views, entry points, drives, TOML, kept observers, what is shown of
# a clip and the minute between lines of progress had modules.
MOST_CALLED = 108
MOST_ON_THE_WAY = 25
MOST_OF_PSNR = 16


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    for place, quality in (("refs", "18"), ("gen", "30")):
        (tmp_path / place).mkdir()
        write_clip(tmp_path / place / "a.mp4", frames=8, codec_options={"crf": quality})
    (tmp_path / "boxes").mkdir()
    np.save(tmp_path / "boxes" / "a.npy", np.tile(np.array([8, 8, 56, 44]), (8, 1)))
    return tmp_path


def files_opened(folder: Path, code: str, *words: str) -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", TRACE + code, *words],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={**os.environ, "TLBENCH_CACHE": str(folder / "cache")},
    )
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_from_the_command_line_to_the_table(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("score", "gen", "--dataset", "folder", "--data-root", "refs", "--boxes", "boxes", "--metrics", "psnr")
    found = files_opened(clip, COMMAND, *words, "--workers", "1")
    called, way = found["called"], found["way"]
    with capsys.disabled():
        print(f"\nscore, one clip, PSNR: {len(called)} files of tlbench called, {len(way)} on the way of the number")
    assert len(found["steps"]) == 5, found["steps"]
    assert len(called) <= MOST_CALLED, called
    assert len(way) <= MOST_ON_THE_WAY, way


def test_from_the_public_function_to_the_arithmetic(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    called = files_opened(clip, FUNCTION)["called"]
    with capsys.disabled():
        print(f"\ntlbench.psnr: {len(called)} files of tlbench")
    assert "observers/pixels/psnr.py" in called
    assert len(called) <= MOST_OF_PSNR, called
