"""auto_avsr's own network and search, from a clone of its repository, against ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CLONE = os.environ.get("TLBENCH_AUTO_AVSR")


@pytest.mark.skipif(not CLONE, reason="no clone of mpc001/auto_avsr; name its folder in TLBENCH_AUTO_AVSR")
def test_names_encoding_and_every_hypothesis_are_the_clones() -> None:
    words = [sys.executable, "-m", "tests.live.clone_of_auto_avsr", str(CLONE)]
    done = subprocess.run(words, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["names_and_shapes"] is True
    assert found["encoding"] < 1e-5
    assert found["hypotheses"] >= 40
    assert found["equal"] == found["hypotheses"]
