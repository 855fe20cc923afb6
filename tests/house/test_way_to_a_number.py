"""How many files of tlbench one opens to follow a number from the command line to the table.

Counted are the modules with a function that is called, on any thread, while ``tlbench score`` makes PSNR of one clip:
the checks with their findings and the table included, what only runs while a module is imported not.
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
called = set()

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
    files = sorted({str(Path(code.co_filename).relative_to(ROOT.parent)) for code in called})
    print("\\n" + json.dumps(files))
"""
COMMAND = "from tlbench.cli.main import main\ntraced(main)"
FUNCTION = """
import tlbench
real, generated = (tlbench.read_video(f"{place}/a.mp4") for place in ("refs", "gen"))
tlbench.psnr(generated, real)  # imports are done
traced(lambda: tlbench.psnr(generated, real))
"""
MOST_FILES_OF_SCORE = 78
MOST_FILES_OF_PSNR = 16


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    for place, quality in (("refs", "18"), ("gen", "30")):
        (tmp_path / place).mkdir()
        write_clip(tmp_path / place / "a.mp4", frames=8, codec_options={"crf": quality})
    (tmp_path / "boxes").mkdir()
    np.save(tmp_path / "boxes" / "a.npy", np.tile(np.array([8, 8, 56, 44]), (8, 1)))
    return tmp_path


def files_opened(folder: Path, code: str, *words: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", TRACE + code, *words],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={**os.environ, "TLBENCH_CACHE": str(folder / "cache")},
    )
    files: list[str] = json.loads(done.stdout.splitlines()[-1])
    return files


def test_from_the_command_line_to_the_table(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("score", "gen", "--dataset", "folder", "--data-root", "refs", "--boxes", "boxes", "--metrics", "psnr")
    files = files_opened(clip, COMMAND, *words, "--workers", "1")
    with capsys.disabled():
        print(f"\nscore, one clip, PSNR: {len(files)} files of tlbench")
    assert "observers/pixels/psnr.py" in files
    assert len(files) <= MOST_FILES_OF_SCORE, files


def test_from_the_public_function_to_the_arithmetic(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = files_opened(clip, FUNCTION)
    with capsys.disabled():
        print(f"\ntlbench.psnr: {len(files)} files of tlbench")
    assert "observers/pixels/psnr.py" in files
    assert len(files) <= MOST_FILES_OF_PSNR, files
